"""Pictures of checks, by arviz-plots: replicated data in colour, the observed in black."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from warnings import catch_warnings, filterwarnings

import arviz_plots as azp
import numpy as np
import xarray as xr
from arviz_base import rc_context
from arviz_plots.visuals import ecdf_line, scatter_xy, vline
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mixedbayes.results.checks.panels import Compared, Panel

REPLICATED, DATA, UNEXPECTED = "C0", "black", "C3"
ALPHA = 0.3
INTERVAL = 0.95

FEW = 30
"""Different values of a panel, from which its density is estimated; fewer are shown as they are."""

FINE = 1000
"""Places at which a line steps at most: more cannot be seen."""

FINEST = 40
"""Bars of a histogram at most."""


def density(compared: Compared, discrete: bool) -> azp.PlotCollection:
    """The distribution of the responses in the data and in each replicated data set.

    A density where they are continuous; the share of rows up to each value where they are whole numbers, or few.
    """
    few = any(len(np.unique(panel.observed)) < FEW for panel in compared.panels)
    if discrete or few:
        return _shares(compared, discrete)
    with _arviz():
        picture = azp.plot_ppc_dist(
            _tree(compared.panels),
            kind="kde",
            num_samples=len(compared.panels[0].replicated),
            visuals={
                "predictive_dist": {"color": REPLICATED, "alpha": ALPHA},
                "observed_dist": {"color": DATA, "width": 2},
                "title": False,
            },
            **_layout(compared.panels, sharex=True),
        )
    _finish(picture, compared)
    return picture


def _shares(compared: Compared, discrete: bool) -> azp.PlotCollection:
    """The share of rows up to each value; steps begin at none and end at all, so that one row is seen too."""
    margin = 0.5 if discrete else 0.0
    grids = [_grid(panel, margin) for panel in compared.panels]
    replicated, data = (
        xr.Dataset(
            {
                panel.name: _steps(values, grid, i)
                for i, (panel, values, grid) in enumerate(zip(compared.panels, each, grids, strict=True))
            }
        )
        for each in ([p.replicated for p in compared.panels], [p.observed for p in compared.panels])
    )
    with _arviz():
        picture = azp.PlotCollection.wrap(
            replicated.assign_coords(sample=np.arange(replicated.sizes["sample"])),
            cols=["__variable__"],
            aes={"overlay_ppc": ["sample"]},
            **_layout(compared.panels, sharex=True, sharey=True),
        )
        picture.map(ecdf_line, "predictive_dist", color=REPLICATED, alpha=ALPHA)
        picture.map(ecdf_line, "observed_dist", data=data, ignore_aes={"overlay_ppc"}, color=DATA, width=2)
    _finish(picture, compared, "share of rows up to this")
    if discrete:
        _whole_ticks(picture)
    return picture


def statistic(compared: Compared) -> azp.PlotCollection:
    """A statistic of the data, and its distribution over replicated data sets."""
    replicated = xr.Dataset({panel.name: ("sample", panel.replicated) for panel in compared.panels})
    data = xr.Dataset({panel.name: panel.observed[0] for panel in compared.panels})
    bars = xr.Dataset({panel.name: _bars(panel, i) for i, panel in enumerate(compared.panels)})
    with _arviz():
        picture = azp.plot_dist(
            replicated,
            sample_dims=["sample"],
            kind="hist",
            stats={"dist": bars},
            visuals={
                "dist": False,
                "face": {"color": REPLICATED, "alpha": 0.6},
                "credible_interval": False,
                "point_estimate": False,
                "point_estimate_text": False,
                "title": False,
            },
            **_layout(compared.panels, sharex=False),
        )
        picture.map(vline, "observed", data=data, color=DATA, width=2, zorder=3)  # over the bars
    _finish(picture, compared, replicated=Patch(color=REPLICATED, alpha=0.6))
    return picture


def rootogram(compared: Compared) -> azp.PlotCollection:
    """How often each count occurs, in the data and in replicated data sets, on a scale of square roots."""
    (panel,) = compared.panels
    values = np.union1d(panel.observed, panel.replicated)
    rows = (panel.observed[:, None] == values).sum(axis=0)
    data = xr.DataArray(
        np.stack([values, rows]), dims=("plot_axis", "count #"), coords={"plot_axis": ["x", "y"]}
    )
    with _arviz():
        picture = azp.plot_ppc_rootogram(
            _tree(compared.panels),
            ci_prob=INTERVAL,
            point_estimate="median",
            visuals={
                "predictive_markers": {"color": REPLICATED},
                "credible_interval": {"color": REPLICATED, "alpha": ALPHA},
                "observed_markers": False,  # ArviZ has none for counts that do not occur in the data
                "title": False,
                "xlabel": False,
                "ylabel": False,
            },
            **_layout(compared.panels),
        )
        picture.map(
            scatter_xy,
            "observed_markers",
            data=xr.Dataset({panel.name: data}),
            color=DATA,
            marker=".",
            clip_on=False,
        )
    _finish(
        picture,
        compared,
        "rows",
        data=Line2D([], [], color=DATA, marker=".", linestyle=""),
        replicated=Line2D([], [], color=REPLICATED, marker="d", linewidth=3, alpha=0.6),
        note=f", median and {INTERVAL:.0%}",
    )
    _whole_ticks(picture)
    return picture


def places(found: np.ndarray, name: str) -> azp.PlotCollection:
    """How far the distribution of places is from uniform, with a test of it."""
    data = xr.Dataset({"place": ("observation", found)})
    p = float(data.azstats.uniformity_test(dim=["observation"], method="pot_c")[0]["place"])
    with _arviz():
        picture = azp.plot_ecdf_pit(
            xr.DataTree.from_dict({"loo_pit": data}),
            group="loo_pit",
            sample_dims=["observation"],
            visuals={
                "ecdf_lines": {"color": DATA},
                "suspicious_points": {"color": UNEXPECTED},
                "p_value_text": False,
                "title": False,
                "xlabel": False,
                "remove_axis": False,
            },
            **_layout([None]),
        )
    (axes,) = _axes(picture)
    axes.set_xlabel(f"place of {name} in its predictive distribution (LOO-PIT)")
    axes.set_ylabel("share of rows up to this, less the expected")
    axes.set_title(f"test of uniformity: p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}", fontsize="medium")
    axes.set_ylim(*(1.05 * limit for limit in axes.get_ylim()))
    handles = {
        "observed": Line2D([], [], color=DATA),
        "uniform": Line2D([], [], color="grey", linestyle="--"),
        "rows that speak most against it": Line2D([], [], color=UNEXPECTED, marker=".", linestyle=""),
    }
    shown = list(handles)[: 3 if any(len(points.get_offsets()) for points in axes.collections) else 2]
    axes.legend([handles[label] for label in shown], shown, loc="lower left")
    return picture


def probabilities(compared: Compared) -> azp.PlotCollection:
    """The share of ones among rows by their predicted probability, as monotone regression has it."""
    with _arviz():
        picture = azp.plot_ppc_pava(
            _tree(compared.panels),
            ci_prob=INTERVAL,
            visuals={
                "lines": {"color": DATA},
                "credible_interval": {"color": REPLICATED, "alpha": ALPHA},
                "title": False,
                "xlabel": False,
                "ylabel": False,
            },
            **_layout(compared.panels),
        )
    (axes,) = _axes(picture)
    axes.set_xlabel(f"predicted probability of {compared.label}")
    axes.set_ylabel("share observed")
    axes.legend(
        [Line2D([], [], color=DATA), Patch(color=REPLICATED, alpha=ALPHA)],
        ["observed", f"replicated, {INTERVAL:.0%}"],
    )
    return picture


@contextmanager
def _arviz() -> Iterator[None]:
    """As many panels as were asked for; and no advice on the kind of picture, which was chosen."""
    with rc_context({"plot.max_subplots": None}), catch_warnings():
        filterwarnings("ignore", message=".*look (binary|discrete)", category=UserWarning)
        filterwarnings(
            "ignore", message="Found chain dimension to be longer", category=UserWarning
        )  # few counts
        yield


def _tree(panels: Sequence[Panel]) -> xr.DataTree:
    """One variable a panel, each with its own rows."""
    replicated = {
        panel.name: (("chain", "draw", f"row #{i}"), panel.replicated[None]) for i, panel in enumerate(panels)
    }
    data = {panel.name: (f"row #{i}", panel.observed) for i, panel in enumerate(panels)}
    return xr.DataTree.from_dict(
        {"posterior_predictive": xr.Dataset(replicated), "observed_data": xr.Dataset(data)}
    )


def _layout(panels: Sequence[Any], **figure: Any) -> dict[str, Any]:
    """Panels in rows of at most four."""
    number = len(panels)
    columns = number if number <= 4 else 3 if number <= 9 else 4
    rows = -(-number // columns)
    size = (6.4, 4.2) if number == 1 else (max(6.4, 3.0 * columns), 2.1 * rows + 1.0)
    return {
        "backend": "matplotlib",
        "col_wrap": columns,
        "figure_kwargs": {"figsize": size, "figsize_units": "inches", "layout": "constrained", **figure},
    }


def _bars(panel: Panel, number: int) -> xr.DataArray:
    """A histogram of a statistic; each value has its own bar where there are few."""
    edges = _edges(panel.replicated, panel.observed[0])
    heights, _ = np.histogram(panel.replicated, edges, density=True)
    return xr.DataArray(
        np.stack([heights, edges[:-1], edges[1:]]),
        dims=("plot_axis", f"bar #{number}"),
        coords={"plot_axis": ["histogram", "left_edges", "right_edges"]},
        attrs={"kind": "hist"},
    )


def _edges(values: np.ndarray, observed: float) -> np.ndarray:
    """Where bars begin and end: around values that are equally far apart, if there are more draws than such values."""
    unique = np.unique(values)
    if len(unique) == 1:
        half = abs(observed - unique[0]) / 20 or 0.5
        return np.asarray(unique[0] + half * np.array([-3, -1, 1, 3]))
    step = np.diff(unique).min()
    between = (unique[-1] - unique[0]) / step
    most = min(FINEST, round(2 * len(values) ** (1 / 3)))
    if between < len(values):
        width = np.ceil(between / most)
        bars = int(between // width) + 1
        return np.asarray(unique[0] + step * (width * np.arange(bars + 1) - 0.5))
    return np.histogram_bin_edges(values, bins=most)


def _grid(panel: Panel, margin: float) -> np.ndarray:
    """The values at which shares step, and a place before and behind them."""
    values = np.union1d(panel.observed, panel.replicated)
    if len(values) > FINE:
        values = np.linspace(values[0], values[-1], FINE)
    return np.concatenate([values[:1] - margin, values, values[-1:] + margin])


def _steps(values: np.ndarray, grid: np.ndarray, number: int) -> xr.DataArray:
    """The share of values, shape (..., m), up to the place before each of the grid, at which ArviZ's lines step."""
    ordered = np.sort(values, axis=-1)
    up_to = [np.searchsorted(each, grid[:-1], side="right") for each in np.atleast_2d(ordered)]
    shares = np.concatenate([np.zeros((len(up_to), 1)), np.array(up_to) / values.shape[-1]], axis=1)
    shares = shares.reshape(*values.shape[:-1], -1)
    dims = ("sample", f"place #{number}")[2 - shares.ndim :]
    both = np.stack(np.broadcast_arrays(grid, shares))
    return xr.DataArray(both, dims=("plot_axis", *dims), coords={"plot_axis": ["x", "y"]})


def _finish(
    picture: azp.PlotCollection,
    compared: Compared,
    y: str = "",
    *,
    data: Any = None,
    replicated: Any = None,
    note: str = "",
) -> None:
    """Titles, labels and a legend."""
    figure, axes = picture.viz["figure"].item(), _axes(picture)
    handles = [
        data or Line2D([], [], color=DATA, linewidth=2),
        replicated or Line2D([], [], color=REPLICATED),
    ]
    labels = ["observed", compared.draws + note]
    if len(axes) == 1:
        axes[0].set_xlabel(compared.label)
        axes[0].set_ylabel(y)
        axes[0].set_title(compared.panels[0].title)
        axes[0].legend(handles, labels)
        return
    for each, panel in zip(axes, compared.panels, strict=True):
        each.set_title(panel.title, fontsize="medium")
    figure.supxlabel(compared.label, fontsize="medium")
    figure.supylabel(y, fontsize="medium")
    figure.legend(handles, labels, loc="outside upper right", ncols=2)


def _axes(picture: azp.PlotCollection) -> list[Any]:
    return [axes.item() for axes in picture.viz["plot"].data_vars.values()]


def _whole_ticks(picture: azp.PlotCollection) -> None:
    for axes in _axes(picture):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
