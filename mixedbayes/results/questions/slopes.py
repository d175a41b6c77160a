"""Slopes: the derivative of the design's columns by a number, and of predictions by the chain rule.

    d eta / dx = offset' + X' b + sum over blocks of Z_k' r_k,    d mean / dx = (d mean / d eta) (d eta / dx)

Columns cost no draws, so their differences are taken over smaller and smaller steps until they agree.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.arguments import names_of, one_of
from mixedbayes.designs.design import Encoded, EncodedLinear
from mixedbayes.errors import ArgumentError, DesignWarning, counted, listed, warn
from mixedbayes.language.formula import MEAN
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.summary import check_table
from mixedbayes.results.questions.predictors import chosen, is_numeric
from mixedbayes.results.questions.question import Over, Question, Setting
from mixedbayes.results.rows.block_draws import NewLevels
from mixedbayes.results.rows.predict import KINDS, Kind, encode
from mixedbayes.results.rows.predictor import Groups
from mixedbayes.results.rows.row_draws import RowDraws

STEP = 1e-4
"""Of the first differences, in ranges of the predictor."""

SHORTER, ROUNDS = 4.0, 24
"""How much shorter each next step is, and how many there are: a logarithm is steep where numbers are small."""

AGREEMENT, DISAGREEMENT = 1e-6, 1e-3
"""Of a slope, within which two steps say the same; and beyond which no two do, so that there is none."""

ROUNDING = 100 * np.finfo(float).eps
"""Of a column's size: what is lost in computing it, about."""

ETA_STEP = 1e-5
"""In the linear predictor, or of it where it is large."""


type Columns = Callable[[np.ndarray, np.ndarray], np.ndarray]


def slopes(  # noqa: PLR0913, PLR0917  # options that users pass by name
    fit: Fitted,
    x: str,
    by: str | Sequence[str] | None = None,
    over: Over = "data",
    at: Mapping[str, Any] | None = None,
    kind: Kind = "mean",
    groups: Groups | Literal["auto"] = "auto",
    new_levels: NewLevels = "sample",
    conf_level: float = 0.95,
    draws: bool = False,
    seed: int | None = None,
    parameter: str | None = None,
) -> pd.DataFrame | xr.DataArray:
    """The derivative of the prediction by a number: how much it rises for one more.

    Steps, as `I(x > 0)` and `floor(x)` make them, are no slopes: what changes in steps alone is refused, and a
    warning says where slopes leave steps out.

    Args:
        x: The predictor, a number: where each row has it, or at its mean over `"reference"`, or at the values
            that `at` names.
        by: As in `effects`.
        over: `"data"`, averaged over its rows, or `"reference"`, as in `effects`.
        at: As in `effects`; `{x: [...]}` for the slope at some values of x.
        kind: `"mean"` or `"linear"`.
        groups: As in `effects`, x not counting; rows stay in their groups, also where x is what groups them.
        new_levels: As in `predict`.
        conf_level: Mass of the equal-tailed interval.
        draws: All draws in place of their summaries.
        seed: The same seed gives the same new levels.
        parameter: A parameter of the family, `"sigma"`, as in `predict`; None for the mean of the response.

    Returns:
        Columns term (the name of x), x where `at` has it, by, estimate, std_error, conf_low, conf_high.

    Raises:
        ArgumentError: A predictor that has levels, or that the model does not have; an unknown option.
    """
    check_table(conf_level, draws=draws)
    one_of("kind", kind, KINDS)
    if kind == "response":
        raise ArgumentError("Slopes are of kind 'mean' or 'linear': responses have noise, and no slope.")
    several = names_of("by", by, "a column")
    asked = Setting(fit, x, several, chosen(at), over, kind, groups, new_levels, seed, parameter)
    focal = [x, *asked.by] if x in asked.at and x not in asked.by else [*asked.by]
    moved = {*asked.by, *(name for name in asked.at if name != x)}
    question = asked.question(focal, moved, own=("term",))
    found = question.grid(_mover(question, x).slopes)
    if draws:
        return found.array("slope")
    table = found.table(conf_level)
    table.insert(0, "term", x)
    return table


def _mover(question: Question, name: str) -> "Mover":
    """What moves with a number.

    Raises:
        ArgumentError: The predictor has levels, or one value; or predictions change with it in steps alone.
    """
    column = question.predictor.spec.design.data[name]
    if not is_numeric(question.predictor.spec, name):
        raise ArgumentError(f"{name} holds levels, which have no slope: contrasts({name!r}) compares them.")
    low, high = float(column.min()), float(column.max())
    if low == high:
        raise ArgumentError(f"{name} is {low:g} in all rows: the model knows no slope of what does not vary.")
    mover = Mover(question, name, low, high)
    mover.check_steps()
    return mover


class Slopes(NamedTuple):
    """Derivatives of columns, shape (rows, columns), and where there are none."""

    values: np.ndarray
    lost: np.ndarray


@dataclass(frozen=True, eq=False)
class Mover:
    """A number that moves, and the columns that move with it.

    Attributes:
        question: What slopes are asked of.
        name: The number's.
        low, high: Its range in the data, where splines end.
    """

    question: Question
    name: str
    low: float
    high: float

    def slopes(self, frame: pd.DataFrame) -> Iterator[np.ndarray]:
        """The slopes of some rows over all draws, piece by piece, (m, S)."""
        predictor = self.question.predictor
        rows = encode(predictor, frame, noise=False, missing="error")
        rates = self.rates(frame, rows)

        def of(at: slice, _: np.random.Generator) -> np.ndarray:
            if self.question.kind == "linear":
                return predictor.eta(rates.part(at), self.question.parameter or MEAN)
            rising, etas = predictor.etas(rates.part(at)), predictor.etas(rows.part(at))
            return np.sum([rate * self.gain(etas, name) for name, rate in rising.items()], axis=0)

        for _, values in RowDraws("slope", predictor, rows, of).pieces("Predicting"):
            yield values

    def gain(self, etas: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """The derivative of what is predicted by the linear predictor of a parameter."""
        predictor, eta, asked = self.question.predictor, etas[name], self.question.parameter
        step = ETA_STEP * np.maximum(1.0, np.abs(eta))
        values = (predictor.values_at({**etas, name: moved}) for moved in (eta + step, eta - step))
        after, before = (predictor.likelihood.mean(each) if asked is None else each[asked] for each in values)
        with np.errstate(invalid="ignore"):
            return np.asarray((after - before) / (2 * step))

    def rates(self, frame: pd.DataFrame, rows: Encoded) -> Encoded:
        """The rows with the derivatives of their columns in place of these; they stay in their groups.

        Raises:
            ArgumentError: A column jumps where some row is.
        """
        found, lost = self.derivative(frame)
        if lost.any():
            names = listed(np.array(self.names, dtype=object)[lost.any(axis=0)])
            raise ArgumentError(
                f"{names} has no slope at the {self.name} of {counted(int(lost.any(axis=1).sum()), 'row')}, where it jumps or is vertical: "
                f"contrasts({self.name!r}, pairs=...) compares values of {self.name}."
            )
        parts = iter(np.split(found, np.cumsum([each.shape[1] for each in _parts(rows)])[:-1], axis=1))
        linears = {name: EncodedLinear(offset=next(parts)[:, 0], X=next(parts)) for name in rows.linears}
        groups = {name: block._replace(X=next(parts)) for name, block in rows.groups.items()}
        own = linears.pop(MEAN)
        return replace(rows, offset=own.offset, X=own.X, groups=groups, predictors=linears)

    def check_steps(self) -> None:
        """Refuse what changes in steps alone, between which all slopes are zero; and say which steps slopes leave out.

        Raises:
            ArgumentError: No column has a slope anywhere in the data.
        """
        data = self.question.predictor.spec.design.data
        x = data[self.name].to_numpy(dtype=float)
        others = (np.full(len(x), self.low), np.full(len(x), self.high), np.roll(x, 1))
        changing = np.any(
            [(self.columns(data.assign(**{self.name: x})) != self.present).any(axis=0) for x in others],
            axis=0,
        )
        found, lost = self.derivative(data)
        stepped = changing & ~((found != 0) & ~lost).any(axis=0)
        if not stepped.any():
            return
        names = listed(np.array(self.names, dtype=object)[stepped])
        if (stepped == changing).all():
            raise ArgumentError(
                f"Predictions change with {self.name} in steps alone ({names}), and have no slope but zero between them: "
                f"effects({self.name!r}) and contrasts({self.name!r}, pairs=...) show the steps."
            )
        warn(
            f"{names} has steps along {self.name}: slopes are those between them, and leave the steps out; "
            f"contrasts({self.name!r}, pairs=...) compares values of {self.name} with both.",
            DesignWarning,
        )

    @cached_property
    def present(self) -> np.ndarray:
        """The columns of the data's own rows."""
        return self.columns(self.question.predictor.spec.design.data)

    @property
    def names(self) -> list[str]:
        """What the columns are called."""
        design, blocks = self.question.predictor.spec.design, self.question.predictor.blocks
        linears = [name for each in design.linears.values() for name in ("The offset", *each.fixed.columns)]
        return [
            *linears,
            *(name for block in design.groups if block.name in blocks for name in block.columns),
        ]

    def columns(self, frame: pd.DataFrame) -> np.ndarray:
        """All columns that predictors are made of side by side: offsets, Xs and those of the blocks."""
        blocks = tuple(self.question.predictor.blocks)
        rows = self.question.predictor.spec.design.encode(frame, "error", groups=blocks)
        return np.column_stack(_parts(rows))

    def derivative(self, frame: pd.DataFrame) -> Slopes:
        """The derivatives of the columns at each row of a frame."""

        def columns(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
            return self.columns(frame.iloc[rows].assign(**{self.name: x}))

        usual = np.abs(self.present).max(axis=0) / (self.high - self.low)
        return derivative(columns, frame[self.name].to_numpy(dtype=float), self.low, self.high, usual)


def derivative(columns: Columns, x: np.ndarray, low: float, high: float, usual: np.ndarray) -> Slopes:
    """The derivatives of some functions of a number at m places.

    Differences over a step and over a shorter one are compared; of each derivative that difference is taken which
    the shorter step changed least. From within the range no step leaves it.

    Args:
        columns: Some of the places and values of the number there -> the functions, shape (places, k).
        x: The places' own values, shape (m,).
        low: Where the range begins.
        high: Where it ends.
        usual: For each function the size of a slope that is not small, shape (k,).
    """
    step, rows = STEP * (high - low), np.arange(len(x))
    best = difference(columns, rows, x, low, high, step)[0]
    last, apart, lost = best.copy(), np.full(best.shape, np.inf), np.ones(best.shape, dtype=bool)
    settled = np.zeros(best.shape, dtype=bool)
    for _ in range(ROUNDS):
        step /= SHORTER
        found, noise = difference(columns, rows, x[rows], low, high, step)
        change, size = np.abs(found - last[rows]), np.abs(found)
        better = ~settled[rows] & (change <= apart[rows])
        best[rows] = np.where(better, found, best[rows])
        apart[rows] = np.where(better, change, apart[rows])
        lost[rows] = np.where(better, change > DISAGREEMENT * np.maximum(size, usual) + noise, lost[rows])
        settled[rows] |= change <= AGREEMENT * size + noise
        last[rows] = found
        rows = rows[~(settled[rows] | np.isnan(change)).all(axis=1)]
        if not len(rows):
            break
    return Slopes(best, lost)


def difference(
    columns: Columns, rows: np.ndarray, x: np.ndarray, low: float, high: float, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Differences over a step to both sides (to one, where the other leaves the range), over it, and their rounding.

    NaN where the step is too short to be told from x.
    """
    before = np.where(x >= low, np.maximum(x - step, low), x - step)
    after = np.where(x <= high, np.minimum(x + step, high), x + step)
    one, other = columns(rows, after), columns(rows, before)
    width = np.where(after > before, after - before, np.nan)[:, None]
    return (one - other) / width, ROUNDING * np.maximum(np.abs(one), np.abs(other)) / width


def _parts(rows: Encoded) -> list[np.ndarray]:
    """The offset and the columns of each predictor, then those of each block, shape (m, columns) each."""
    linears = [part for X, offset in rows.linears.values() for part in (offset[:, None], X)]
    return [*linears, *(block.X for block in rows.groups.values())]
