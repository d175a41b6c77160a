"""What a predictor does: predictions over a grid of its values, their slopes and their contrasts.

    focal predictors × (reference row | all rows) -> draws of each cell of the grid -> tidy frames

Every number is computed for each draw and then summarised.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.design.groups import texts_of
from mixedbayes.errors import ArgumentError, listed, nearest
from mixedbayes.language.expressions import Call, Expression, Name, parts_of
from mixedbayes.model.spec import CHAIN, DRAW, ModelSpec
from mixedbayes.results.predict import COLUMNS, MAX_DRAWS, Kind, encode, predictions, summarise_rows
from mixedbayes.results.predictor import Groups, NewLevels, Predictor, predictor_of
from mixedbayes.work import Work, somebody_watches

type Over = Literal["reference", "data"]
type Comparison = Literal["difference", "ratio"]
type Pairs = Sequence[tuple[Any, Any]] | None

FEW = 10
"""Different values of a number, up to which each is a cell of its own."""

POINTS = 25
"""Cells of a number with more values than that, evenly spaced over its range."""

STEP = 1e-4
"""Of a slope, in ranges of the predictor."""

type Move = Callable[[pd.DataFrame], tuple[pd.DataFrame, np.ndarray]]


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """Draws for each cell of a grid.

    Attributes:
        cells: What they are, a row a cell.
        values: Shape (cells, S).
        predictor: Of which draws.
        axes: Where the cells are all combinations of some values, these by name, the last varying fastest.
    """

    cells: pd.DataFrame
    values: np.ndarray
    predictor: Predictor
    axes: Mapping[str, Sequence[Any]] | None = None

    def table(self, conf_level: float) -> pd.DataFrame:
        """The cells with estimate, std_error, conf_low and conf_high."""
        numbers = summarise_rows(self.values, conf_level)
        return pd.concat([self.cells, pd.DataFrame(numbers, columns=list(COLUMNS))], axis=1)

    def array(self, name: str) -> xr.DataArray:
        """All draws, with dims chain, draw and the axes; `cell` where there are none."""
        p = self.predictor
        axes = {"cell": range(len(self.cells))} if self.axes is None else self.axes
        sizes = [len(values) for values in axes.values()]
        draws = np.moveaxis(self.values.reshape(-1, len(p.chains), len(p.draws)), 0, -1)
        coords: dict[str, Any] = {CHAIN: p.chains, DRAW: p.draws}
        coords |= {name: pd.Index(list(values)) for name, values in axes.items()}
        coords |= {name: ("cell", self.cells[name]) for name in self.cells} if self.axes is None else {}
        shape = (len(p.chains), len(p.draws), *sizes)
        return xr.DataArray(draws.reshape(shape), dims=(CHAIN, DRAW, *axes), coords=coords, name=name)


def full_grid(axes: Mapping[str, Sequence[Any]], values: np.ndarray, predictor: Predictor) -> Grid:
    """A grid of all combinations of the axes."""
    rows = list(product(*axes.values()))
    columns = {name: pd.Series([row[i] for row in rows]) for i, name in enumerate(axes)}
    return Grid(pd.DataFrame(columns, index=pd.RangeIndex(len(rows))), values, predictor, axes)


@dataclass(frozen=True, eq=False)
class Question:
    """What a grid is to be of: the options that all verbs share, checked.

    Attributes:
        spec: The model.
        predictor: The draws, with the effects of the groups that take part.
        focal: The values of each focal predictor.
        base: The rows that the focal predictors' values are put into: one reference row, or the data.
        kind: What is predicted.
    """

    spec: ModelSpec
    predictor: Predictor
    focal: Mapping[str, Sequence[Any]]
    base: pd.DataFrame
    kind: Kind

    def grid(self, move: Move | None = None) -> Grid:
        """Predictions for each cell, averaged over the rows of the base.

        Args:
            move: Changes the rows of a cell, and gives each row a weight.

        Raises:
            ArgumentError: There are too many cells to hold.
        """
        cells = list(product(*self.focal.values()))
        size = 8 * len(cells) * self.predictor.S
        if size > MAX_DRAWS:
            raise ArgumentError(
                f"Draws of {len(cells):,} cells are {size / 2**30:,.1f} GiB, too many to hold: ask for fewer with at=."
            )
        if len(self.base) == 1:  # the cells are the rows
            frame = self.base.loc[np.zeros(len(cells), dtype=int)].reset_index(drop=True)
            frame = frame.assign(**{name: [cell[i] for cell in cells] for i, name in enumerate(self.focal)})
            return full_grid(self.focal, np.concatenate(list(self._rows(frame, move))), self.predictor)
        values = np.empty((len(cells), self.predictor.S))
        with Work(watched=somebody_watches()) as work:

            def average(i: int) -> None:
                cell = dict(zip(self.focal, cells[i], strict=True))
                frame = self.base.assign(**{name: [value] * len(self.base) for name, value in cell.items()})
                values[i] = sum(piece.sum(axis=0) for piece in self._rows(frame, move)) / len(frame)

            for _ in work.each("Averaging over the data", average, range(len(cells))):
                pass
        return full_grid(self.focal, values, self.predictor)

    def _rows(self, frame: pd.DataFrame, move: Move | None) -> Iterator[np.ndarray]:
        """Predictions for the rows of a frame, piece by piece."""
        weights = np.ones(len(frame))
        if move is not None:
            frame, weights = move(frame)
        rows = encode(self.spec, self.predictor, frame, trials=self.kind == "response")
        for at, values in predictions(self.predictor, rows, self.kind).pieces("Predicting"):
            yield values * weights[at, None]


def ask(
    spec: ModelSpec,
    idata: xr.DataTree,
    focal: Sequence[str],
    *,
    moved: Sequence[str] = (),
    over: Over,
    at: Mapping[str, Any] | None,
    kind: Kind,
    groups: Groups | Literal["auto"],
    new_levels: NewLevels,
    seed: int | None,
) -> Question:
    """Check the options of a verb, and choose the values and rows that it is about.

    Raises:
        ArgumentError: A predictor that the model does not have, or an unknown option.
    """
    at = dict(at or {})
    known = predictors(spec)
    for name in (*focal, *moved, *at):
        if name not in known:
            raise ArgumentError(
                f"The model has no predictor {name!r}.{nearest(str(name), known)} Its predictors: {listed(known, 20)}."
            )
    if len(set(focal)) < len(focal):
        raise ArgumentError(f"{listed(map(repr, focal))}: a predictor stands twice.")
    if over not in ("reference", "data"):
        raise ArgumentError(
            f"over is 'reference' or 'data', not {over!r}.{nearest(str(over), ('reference', 'data'))}"
        )
    chosen = _groups_of(spec, focal) if isinstance(groups, str) and groups == "auto" else groups
    predictor = predictor_of(spec, idata, chosen, new_levels, seed)
    values = {
        name: _given(at.pop(name)) if name in at else values_of(spec, name, i) for i, name in enumerate(focal)
    }
    columns = spec.design.columns_of(predictor.blocks, trials=kind == "response")
    data = spec.design.data[[*dict.fromkeys([*columns, *focal, *moved])]]
    base = data if over == "data" else reference_row(spec, data)
    fixed = {name: _one(name, value) for name, value in at.items()}
    base = base.assign(**{name: [value] * len(base) for name, value in fixed.items() if name in columns})
    return Question(spec, predictor, values, base.reset_index(drop=True), kind)


def predictors(spec: ModelSpec) -> tuple[str, ...]:
    """The columns of the data that the right side of the formula uses."""
    return tuple(name for name in spec.design.formula.names(response=False) if name in spec.design.data)


def is_factor(spec: ModelSpec, name: str) -> bool:
    """Whether a column stands for levels: text, booleans, categories; numbers in C() or that only group rows."""
    if isinstance(spec.design.data[name].dtype, pd.CategoricalDtype):
        return True
    expressions = [e for e in spec.design.formula.expressions(response=False) if _mentions(e, name)]
    return not expressions or any(_codes(e, name) for e in expressions)


def _mentions(expression: Expression, name: str) -> bool:
    if isinstance(expression, Name):
        return expression.name == name
    return any(_mentions(part, name) for part in parts_of(expression))


def _codes(expression: Expression, name: str) -> bool:
    """Whether it takes the column for a factor somewhere inside."""
    if isinstance(expression, Call) and expression.function in ("C", "factor"):
        return any(_mentions(part, name) for part in expression.arguments[:1])
    return any(_codes(part, name) for part in parts_of(expression))


def values_of(spec: ModelSpec, name: str, place: int) -> list[Any]:
    """The values of a focal predictor: all levels; of a number those that occur, or a range, or mean and sd.

    Args:
        spec: The model.
        name: The predictor.
        place: 0 for the predictor asked for, more for those that it is asked for by.
    """
    column = spec.design.data[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.categories.tolist()
    different = np.unique(column.to_numpy())
    if is_factor(spec, name) or len(different) <= FEW:
        return pd.Index(different).tolist()
    if place == 0:
        return np.linspace(different[0], different[-1], POINTS).tolist()
    mean, sd = column.mean(), column.std()
    return [mean - sd, mean, mean + sd]


def reference_row(spec: ModelSpec, data: pd.DataFrame) -> pd.DataFrame:
    """One row: numbers at their means, factors at their first levels, dates at the first."""
    row: dict[str, Any] = {}
    for name in data:
        column = data[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            row[name] = column.cat.categories[0]
        elif is_factor(spec, name) or column.dtype.kind == "M":
            row[name] = column.min()
        else:
            row[name] = column.mean()
    return pd.DataFrame({name: [value] for name, value in row.items()}, index=pd.RangeIndex(1))


def slopes(question: Question, name: str) -> Grid:
    """The derivative by a number, at each row's own value, averaged over rows: differences within the range of the data.

    Raises:
        ArgumentError: The predictor has levels and no slope.
    """
    column = question.spec.design.data[name]
    if is_factor(question.spec, name) or column.dtype.kind not in "if":
        raise ArgumentError(f"{name} holds levels, which have no slope: contrasts({name!r}) compares them.")
    low, high = float(column.min()), float(column.max())
    step = STEP * ((high - low) or 1.0)

    def end(side: int) -> Move:
        def move(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
            x = frame[name].to_numpy(dtype=float)
            before = np.where(x >= low, np.maximum(x - step, low), x - step)  # splines end with the data
            after = np.where(x <= high, np.minimum(x + step, high), x + step)
            return frame.assign(**{name: after if side > 0 else before}), side / (after - before)

        return move

    one, other = question.grid(end(1)), question.grid(end(-1))
    return full_grid(question.focal, one.values + other.values, question.predictor)  # noqa: PD011


def contrasts(question: Question, pairs: Pairs, compare: Comparison) -> Grid:
    """Pairs of values of the first focal predictor, one less (or over) the other, in each cell of the others.

    Raises:
        ArgumentError: Nothing to compare, or a pair of values that are not there.
    """
    if compare not in ("difference", "ratio"):
        raise ArgumentError(
            f"compare is 'difference' or 'ratio', not {compare!r}.{nearest(str(compare), ('difference', 'ratio'))}"
        )
    name, *others = question.focal
    levels = list(question.focal[name])
    chosen = (
        [(b, a) for a, b in combinations(levels, 2)]
        if pairs is None
        else [_pair(name, p, levels) for p in pairs]
    )
    if not chosen:
        raise ArgumentError(f"{name} has one value here, {levels[0]!r}; a contrast takes two.")
    values = question.grid().values.reshape(len(levels), -1, question.predictor.S)  # noqa: PD011
    texts = dict(zip(levels, _texts(levels), strict=True))
    sign = "-" if compare == "difference" else "/"
    labels = [f"{texts[b]} {sign} {texts[a]}" for b, a in chosen]
    ends = ([levels.index(pair[i]) for pair in chosen] for i in (0, 1))
    one, other = (values[list(places)] for places in ends)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = one - other if compare == "difference" else one / other
    focal = {"contrast": labels} | {other: question.focal[other] for other in others}
    return full_grid(focal, found.reshape(-1, question.predictor.S), question.predictor)


def _pair(name: str, pair: Any, levels: list[Any]) -> tuple[Any, Any]:
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ArgumentError(
            f"pairs is a list of pairs of values, [({levels[-1]!r}, {levels[0]!r})], not {pair!r}."
        )
    for level in pair:
        if level not in levels:
            raise ArgumentError(
                f"{name} has no value {level!r} here; it has {listed(map(repr, levels), 20)}."
            )
    return pair[0], pair[1]


def _texts(levels: list[Any]) -> list[str]:
    """Values as they are written; numbers to four digits."""
    if any(isinstance(level, float) for level in levels):
        return [f"{level:.4g}" for level in levels]
    return texts_of(pd.Index(levels).to_numpy())


def _groups_of(spec: ModelSpec, focal: Sequence[str]) -> list[str]:
    """The blocks whose grouping columns are all focal."""
    return [block.name for block in spec.design.groups if set(block.factor.columns) <= set(focal)]


def _given(values: Any) -> list[Any]:
    """Values that the caller chose for a focal predictor."""
    if isinstance(values, str) or np.ndim(values) == 0:
        return [values]
    return pd.Index(values).tolist()


def _one(name: str, value: Any) -> Any:
    """The value at which the caller holds another predictor."""
    if not isinstance(value, str) and np.ndim(value) != 0:
        raise ArgumentError(
            f"at has several values for {name!r}, at which predictors that are not asked for are held; give one."
        )
    return value
