"""Checks of a fit against its data: what each picture compares, panel by panel.

kind -> observed and replicated responses, or leave-one-out places -> a picture of `pictures`

Imports of arviz-plots wait until a picture is drawn: they take seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from numbers import Real
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedbayes.arguments import name_of, one_of, seed_of, whole
from mixedbayes.errors import ArgumentError, PictureWarning, counted, listed, nearest, shown, warn
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.checks.calibration import is_binary, loo_means, loo_places
from mixedbayes.results.checks.panels import Compared, Panel
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows.predictor import Predictor, predictor_of
from mixedbayes.results.rows.replicates import check_draws, most_draws, observed, replicated, thinned
from mixedbayes.results.rows.row_groups import group_rows

if TYPE_CHECKING:
    from arviz_plots import PlotCollection

type Statistic = Callable[..., Any]
type Statistics = str | Statistic | Sequence[str | Statistic]


def _sd(values: np.ndarray, axis: int) -> np.ndarray:
    """The standard deviation of a sample; NaN of one value."""
    squares = (values - values.mean(axis=axis, keepdims=True)) ** 2
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.divide(squares.sum(axis=axis), values.shape[axis] - 1))


STATISTICS: Mapping[str, Statistic] = {
    "mean": np.mean,
    "sd": _sd,
    "min": np.min,
    "max": np.max,
    "median": np.median,
}
"""By name; each is over the last axis."""

MAX_LEVELS = 16
"""Panels that can be read."""

LONGEST = 28
"""Characters in a line of a panel's title."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A check that was asked for.

    Attributes:
        fit: What is checked.
        kind: Of picture.
        by: The factor whose levels have panels of their own.
        stat: Which statistics.
        n: How many replicated data sets; None for as many as the kind needs.
        max_levels: How many levels of `by` are shown; None for as many as can be read.
        seed: Of replicated data.
    """

    fit: Fitted
    kind: str
    by: str | None
    stat: Statistics
    n: int | None
    max_levels: int | None
    seed: int | None

    @cached_property
    def predictor(self) -> Predictor:
        """The draws, as rows use them."""
        return predictor_of(self.fit, seed=self.seed)

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self.fit.spec

    @property
    def draws(self) -> int:
        """How many replicated data sets."""
        usual = min(KINDS[self.kind].draws, most_draws(self.spec.design.encoded))
        return usual if self.n is None else self.n


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of picture.

    Attributes:
        picture: What draws it.
        draws: How many replicated data sets it needs, if nobody says.
        by_levels: Whether it has panels by the levels of a factor.
        statistics: Whether it is of a statistic.
    """

    picture: "Callable[[Asked], PlotCollection]"
    draws: int
    by_levels: bool = False
    statistics: bool = False


def pp_check(
    fit: Fitted,
    kind: str = "density",
    by: str | None = None,
    stat: Any = "mean",
    n: int | None = None,
    max_levels: int | None = None,
    seed: int | None = None,
) -> "PlotCollection":
    """A picture of the data beside what the model says data are like, by arviz-plots.

    Args:
        kind: `"density"`, the distribution of the response (cumulative, where it is discrete); `"stat"`, a
            statistic of it; `"grouped"`, the same by the levels of `by`; `"rootogram"`, how often each count
            occurs; `"calibration"`, whether predictions are as sure as they should be. The last predicts each
            row from the others, by importance sampling as in `loo`: of a binary response it shows the share
            observed against the probability predicted, of others how far the places of responses in their
            predictive distributions (LOO-PIT) are from uniform, which needs no replicated data.
        by: A group of the model, or a factor among its columns: a panel for each level (`density`, `stat`, `grouped`).
        stat: `"mean"`, `"sd"`, `"min"`, `"max"`, `"median"`, a function from the responses of a data set to a
            number, or a list of these (`stat`, `grouped`).
        n: How many replicated data sets at most; None for what suits the kind.
        max_levels: How many levels of `by` are shown, those with most rows; None for 16, and a warning if there are more.
        seed: The same seed gives the same picture.

    Returns:
        arviz-plots' PlotCollection, on matplotlib: `.savefig("check.png")`, `.show()`; `.viz["figure"].item()` is
        the figure, and each panel's axes are in `.viz["plot"]` by the name of the response, or of the level
        (`county=2`). Source: Gabry et al. (2019), Visualization in Bayesian workflow; Kleiber & Zeileis (2016),
        Visualizing count data regressions using rootograms; Dimitriadis et al. (2021), Stable reliability
        diagrams for probabilistic classifiers; Tesso et al. (2026), LOO-PIT predictive model checking.

    Raises:
        ArgumentError: An unknown kind, factor or statistic; or a kind that does not suit the response.
    """
    asked = Asked(fit, kind, by, stat, n, max_levels, seed_of(seed))
    _check(asked)
    return KINDS[asked.kind].picture(asked)


def _density(asked: Asked) -> "PlotCollection":
    from mixedbayes.results.checks import pictures  # noqa: PLC0415  # arviz-plots takes seconds to import

    return pictures.density(_compared(asked, _level_panels(asked)), is_discrete(asked))


def _stat(asked: Asked) -> "PlotCollection":
    from mixedbayes.results.checks import pictures  # noqa: PLC0415  # as above

    statistics = _statistics(asked.stat)
    panels = [
        _statistic_panel(panel, name, statistic, several=len(statistics) > 1)
        for panel, (name, statistic) in product(_level_panels(asked), statistics.items())
    ]
    defined = [
        panel for panel in panels if np.isfinite(panel.observed).all() and np.isfinite(panel.replicated).all()
    ]
    if len(defined) < len(panels):
        undefined = listed(panel.name for panel in panels if panel not in defined)
        if not defined:
            raise ArgumentError(
                f"The statistic is not a finite number, of the data or of replicated data: {undefined}."
            )
        warn(f"The statistic is not a finite number and not shown of {undefined}.", PictureWarning)
    label = response_label(asked.spec)
    label = label if len(statistics) > 1 else f"{next(iter(statistics))} of {label}"
    return pictures.statistic(_compared(asked, defined, label))


def _rootogram(asked: Asked) -> "PlotCollection":
    from mixedbayes.results.checks import pictures  # noqa: PLC0415  # as above

    if not is_discrete(asked):
        raise ArgumentError(
            f"A rootogram is of counts, and {asked.spec.design.response.name} is continuous: 'density', 'stat', 'grouped' and "
            "'calibration' suit it."
        )
    return pictures.rootogram(_compared(asked, _level_panels(asked)))


def _calibration(asked: Asked) -> "PlotCollection":
    from mixedbayes.results.checks import pictures  # noqa: PLC0415  # as above

    fit, spec, predictor = asked.fit, asked.spec, asked.predictor
    if not is_binary(predictor):
        if asked.n is not None:
            raise ArgumentError(
                f"kind='calibration' of {spec.design.response.name} needs no replicated data, of which n= says how many: leave it out."
            )
        return pictures.places(loo_places(fit, predictor), spec.design.response.name)
    means = np.clip(loo_means(fit, predictor), 0.0, 1.0)
    rng = np.random.default_rng(predictor.seed.spawn(1)[0])
    panel = Panel(spec.response, "", observed(spec).to_numpy(), bernoulli_draws(means, asked.draws, rng))
    one = spec.design.response.modelled or f"{spec.design.response.name} = 1"
    return pictures.probabilities(_compared(asked, [panel], one))


KINDS: Mapping[str, Kind] = {
    "density": Kind(_density, 50, by_levels=True),
    "stat": Kind(_stat, 1000, by_levels=True, statistics=True),
    "grouped": Kind(_stat, 1000, by_levels=True, statistics=True),
    "rootogram": Kind(_rootogram, 400),
    "calibration": Kind(_calibration, 400),
}


def is_discrete(asked: Asked) -> bool:
    """Whether responses are whole numbers."""
    return asked.predictor.likelihood.is_discrete


def response_label(spec: ModelSpec) -> str:
    """What the numbers of the response are, in words of the data."""
    response = spec.design.response
    if response.modelled is not None:
        return f"{response.name}, 1 where {response.modelled}"
    if response.levels is not None:
        return f"{response.name}, {listed(f'{i} is {level!r}' for i, level in enumerate(response.levels))}"
    return f"{response.name} (successes)" if response.trials is not None else response.name


def bernoulli_draws(p: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """N data sets of zeros and ones, shape (n, rows): each row has p n ones among its n draws, up to one, at random places.

    So the mean over draws, by which the picture orders rows, is p to one part in n and has no noise of its own.
    """
    steps = (np.arange(n)[:, None] + rng.random(len(p))) / n
    return rng.permuted(steps < p, axis=0).astype(np.int8)


def _check(asked: Asked) -> None:
    """Refuse what is unknown or does not go together."""
    one_of("kind", asked.kind, KINDS)
    check_draws(asked.n)
    limit = asked.max_levels
    if limit is not None:
        whole("max_levels", limit, least=1)
    spec = asked.spec
    if asked.kind == "grouped" and asked.by is None:
        known = dict.fromkeys([*(block.block.group for block in spec.blocks), *spec.design.data.columns])
        raise ArgumentError(
            f"kind='grouped' needs by=, the name of a factor; the fit knows {listed(known, 20)}."
        )
    kind = KINDS[asked.kind]
    if asked.by is not None and not kind.by_levels:
        raise ArgumentError(f"by= goes with {_kinds('by_levels')}, not with {asked.kind!r}.")
    if limit is not None and asked.by is None:
        raise ArgumentError("max_levels= is of the levels of by=, which names no factor.")
    if not kind.statistics and not (isinstance(asked.stat, str) and asked.stat == "mean"):
        raise ArgumentError(f"stat= goes with {_kinds('statistics')}, not with {asked.kind!r}.")
    if asked.by is not None:
        name_of("by", asked.by, "a factor")


def _kinds(property_: str) -> str:
    return listed(repr(name) for name, kind in KINDS.items() if getattr(kind, property_))


def _compared(asked: Asked, panels: Sequence[Panel], label: str | None = None) -> Compared:
    return Compared(tuple(panels), response_label(asked.spec) if label is None else label)


def _level_panels(asked: Asked) -> list[Panel]:
    """The data and their replicates; by the levels of a factor, if one is named."""
    spec = asked.spec
    parts = {} if asked.by is None else _levels(spec, asked.by, asked.max_levels)
    data = observed(spec).to_numpy()
    drawn = replicated(thinned(asked.predictor, asked.draws), spec.design.encoded).to_numpy()
    drawn = drawn.reshape(-1, drawn.shape[-1])
    if asked.by is None:
        return [Panel(spec.response, "", data, drawn)]
    return [
        Panel(_name(asked.by, text), _title(asked.by, text), data[rows], drawn[:, rows])
        for text, rows in parts.items()
    ]


def _name(by: str, level: str) -> str:
    """A name for a variable of a DataTree, which has no slash."""
    return f"{by}={level}".replace("/", "\N{FRACTION SLASH}")


def _title(by: str, level: str) -> str:
    return "\n".join(wrap(f"{by} = {level}", LONGEST))


def _levels(spec: ModelSpec, by: str, most: int | None) -> dict[str, np.ndarray]:
    """The rows of each level, in the order of levels; of those with most rows, where there are too many."""
    index, codes = group_rows(spec, by)
    counts = np.bincount(codes, minlength=len(index))
    shown = np.sort(np.argsort(-counts, kind="stable")[: MAX_LEVELS if most is None else most])
    if len(shown) < len(index) and most is None:
        warn(
            f"{by} has {counted(len(index), 'level')}; the picture shows the {len(shown):,} with most rows. max_levels= shows more.",
            PictureWarning,
        )
    texts = _texts(index)
    return {texts[i]: np.flatnonzero(codes == i) for i in shown}


def _texts(index: pd.Index) -> list[str]:
    """Levels as texts, no two of them equal."""
    texts = [str(level) for level in index.astype(str)]
    return texts if len(set(texts)) == len(texts) else [repr(level) for level in index]


def _statistics(stat: Statistics) -> dict[str, Statistic]:
    """The statistics by the names that pictures show."""
    asked = [stat] if isinstance(stat, str) or callable(stat) else stat
    if not isinstance(asked, Sequence) or not asked:
        raise ArgumentError(f"stat is a name, a function, or a list of these, not {shown(stat)}.")
    found: dict[str, Statistic] = {}
    for each in asked:
        if not callable(each) and not (isinstance(each, str) and each in STATISTICS):
            known = listed(map(repr, STATISTICS))
            raise ArgumentError(
                f"stat is one of {known}, or a function, not {shown(each)}.{nearest(shown(each), STATISTICS)}"
            )
        name = str(getattr(each, "__name__", "stat")) if callable(each) else each
        if name in found:
            raise ArgumentError(f"Two statistics are named {name!r}; give one function another name.")
        found[name] = each if callable(each) else STATISTICS[each]
    return found


def _statistic_panel(panel: Panel, name: str, statistic: Statistic, *, several: bool) -> Panel:
    """The statistic of the data and of each replicated data set."""
    title = ": ".join(part for part in (panel.title, name) if part) if several else panel.title
    return Panel(
        f"{panel.name}: {name}" if several else panel.name,
        title,
        _applied(statistic, name, panel.observed[None]),
        _applied(statistic, name, panel.replicated),
    )


def _applied(statistic: Statistic, name: str, values: np.ndarray) -> np.ndarray:
    """The statistic of each row of an array, (S, m) -> (S,)."""
    if statistic in STATISTICS.values():
        return np.asarray(statistic(values, axis=-1), dtype=float)
    found = [statistic(each) for each in values]
    wrong = next((one for one in found if not isinstance(one, Real) and not _is_one_number(one)), None)
    if wrong is not None:
        raise ArgumentError(
            f"The statistic {name!r} takes the responses of a data set and returns one number, not {shown(wrong)}."
        )
    return np.array(found, dtype=float)


def _is_one_number(value: Any) -> bool:
    """Whether an array, or what else NumPy knows, is one number."""
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "biuf"
