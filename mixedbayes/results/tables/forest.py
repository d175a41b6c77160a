"""A picture of the parameters that are printed: each with its estimate and interval, on axes that suit its scale.

Imports of arviz-plots wait until a picture is drawn: they take seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from arviz_base import rc_context

from mixedbayes.arguments import flag, share
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.quantities import Quantities, printed
from mixedbayes.results.posterior.summary import estimate

if TYPE_CHECKING:
    from arviz_plots import PlotCollection

SHARE = 1 / 40
"""Of the width of its axes, below which an interval can hardly be told from a point."""

LONGEST = 36
"""Characters in a line of a label."""

ROW, BESIDES, TITLE = 0.24, 0.36, 0.28
"""Inches of height for a line of labels, for the numbers under axes, and for a title."""

WIDTH = 6.4


@dataclass(eq=False, slots=True)
class Panel:
    """Parameters that share axes.

    Attributes:
        title: Over them; empty where they belong to those above.
        bounds: Between which they lie, where that is known.
        labels: Of each parameter.
        numbers: Of each its estimate and the ends of its interval.
    """

    title: str
    bounds: tuple[float, float] | None
    labels: list[str] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines of its labels."""
        return sum(label.count("\n") + 1 for label in self.labels)

    @property
    def height(self) -> float:
        """In inches."""
        return ROW * (self.lines + 0.6) + BESIDES + TITLE * bool(self.title)

    def suits(self, numbers: np.ndarray) -> bool:
        """Whether all intervals can still be seen where one more shares the axes."""
        if self.bounds is not None:
            return True
        _, low, high = np.array([*self.numbers, numbers]).T
        return bool((high - low).min() >= SHARE * (high.max() - low.min()))


def plot(fit: Fitted, conf_level: float = 0.95, robust: bool = False) -> "PlotCollection":
    """A picture of the parameters that are printed, each with its estimate and interval, by arviz-plots.

    Coefficients, standard deviations, correlations and other parameters have panels of their own, and again those
    whose intervals would be points on the scale of the others: compare within panels.

    Args:
        conf_level: Mass of the equal-tailed interval.
        robust: The median in place of the mean.

    Returns:
        arviz-plots' PlotCollection, on matplotlib: `.savefig("forest.png")`, `.show()`; `.viz["figure"].item()` is
        the figure. The numbers are those of `summary`; `az.plot_forest(fit.idata)` has the levels of groups too.

    Raises:
        ArgumentError: A conf_level outside (0, 1).
    """
    share("conf_level", conf_level)
    flag("robust", robust)
    panels = [panel for q in printed(fit) for panel in _panels(q, conf_level, robust=robust)]
    for before, panel in reversed(list(pairwise(panels))):
        panel.title = "" if panel.title == before.title else panel.title
    return _drawn(panels, f"{'median' if robust else 'mean'} and {100 * conf_level:.6g}% interval")


def _panels(quantities: Quantities, conf_level: float, *, robust: bool) -> Iterator[Panel]:
    """Parameters of one kind, on as few axes as suit them."""
    table = estimate(quantities.draws, conf_level, robust=robust)
    panels: list[Panel] = []
    for label, numbers in zip(
        quantities.labels, table[["estimate", "conf_low", "conf_high"]].to_numpy(), strict=True
    ):
        panel = next((each for each in panels if each.suits(numbers)), None)
        if panel is None:
            panel = Panel(quantities.section, quantities.bounds)
            panels.append(panel)
        panel.labels.append("\n".join(wrap(label, LONGEST)) or label)
        panel.numbers.append(numbers)
    return iter(panels)


def _drawn(panels: list[Panel], what: str) -> "PlotCollection":
    from arviz_plots import PlotCollection, visuals  # noqa: PLC0415  # it takes seconds to import

    names = [f"panel {i + 1}" for i in range(len(panels))]
    points, intervals = (
        xr.Dataset({name: of(panel, i) for i, (name, panel) in enumerate(zip(names, panels, strict=True))})
        for of in (_points, _intervals)
    )
    heights = [panel.height for panel in panels]
    with rc_context({"plot.max_subplots": None}):
        picture = PlotCollection.wrap(
            points,
            cols=["__variable__"],
            col_wrap=1,
            backend="matplotlib",
            figure_kwargs={
                "figsize": (WIDTH, sum(heights) + TITLE),
                "figsize_units": "inches",
                "height_ratios": heights,
                "layout": "constrained",
            },
        )
        picture.map(visuals.line_xy, "interval", data=intervals, color="C0", width=2)
        picture.map(visuals.scatter_xy, "estimate", color="C0", marker="o", size=30)
    for name, panel in zip(names, panels, strict=True):
        _finish(picture.viz["plot"][name].item(), panel)
    picture.viz["figure"].item().supxlabel(what, fontsize="medium")
    return picture


def _points(panel: Panel, number: int) -> xr.DataArray:
    """The estimates, each at its place from above."""
    return _at_places(np.array(panel.numbers)[:, 0], np.arange(len(panel.labels), dtype=float), number)


def _intervals(panel: Panel, number: int) -> xr.DataArray:
    """The intervals one after the other, with gaps between them."""
    ends = np.array(panel.numbers)[:, 1:]
    x = np.column_stack([ends, np.full(len(ends), np.nan)]).ravel()
    return _at_places(x, np.repeat(np.arange(len(ends), dtype=float), 3), number)


def _at_places(x: np.ndarray, y: np.ndarray, number: int) -> xr.DataArray:
    return xr.DataArray(
        np.stack([x, y]), dims=("plot_axis", f"place #{number}"), coords={"plot_axis": ["x", "y"]}
    )


def _finish(axes: Any, panel: Panel) -> None:
    """Labels, a title, and a line at zero where zero is among the numbers."""
    axes.set_yticks(range(len(panel.labels)), panel.labels, parse_math=False)
    axes.set_ylim(len(panel.labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    if panel.bounds is not None:
        axes.set_xlim(*panel.bounds)
    axes.locator_params(axis="x", nbins=6)
    low, high = axes.get_xlim()
    if low < 0 < high:
        axes.axvline(0.0, color="grey", linewidth=0.8, zorder=0)
    if panel.title:
        axes.set_title(panel.title, loc="left", fontsize="medium", parse_math=False)
