"""What a predictor does: predictions over a grid of its values, their slopes and their contrasts.

    focal predictors × (reference row | all rows) -> draws of each cell of the grid -> tidy frames

Every number is computed for each draw and then summarised.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import comb, prod
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.designs.levels import texts_of
from mixedbayes.errors import ArgumentError, is_one_of, listed, nearest, shown
from mixedbayes.language.expressions import Call, Expression, Name, parts_of
from mixedbayes.models.spec import CHAIN, DRAW, ModelSpec
from mixedbayes.results.rows.predict import (
    COLUMNS,
    KINDS,
    MAX_DRAWS,
    Kind,
    check_kind,
    encode,
    predictions,
    summarise_rows,
)
from mixedbayes.results.rows.predictor import Groups, NewLevels, Predictor, predictor_of
from mixedbayes.work import Work, somebody_watches

type Over = Literal["reference", "data"]
type Comparison = Literal["difference", "ratio"]
type Pairs = Sequence[tuple[Any, Any]] | None
type Verb = Literal["effects", "slopes", "contrasts"]

FEW = 10
"""Different values of a number, up to which each is a cell of its own."""

POINTS = 25
"""Cells of a number with more values than that, evenly spaced over its range."""

TAKEN = (*COLUMNS, CHAIN, DRAW, "cell")
"""Names in every result, which no column of the data can have there."""

OWN: Mapping[Verb, tuple[str, ...]] = {"effects": (), "slopes": ("term",), "contrasts": ("contrast",)}
"""Names in the results of one verb."""

type OfFrame = Callable[[pd.DataFrame], Iterator[np.ndarray]]


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
        """The cells with estimate, std_error, conf_low and conf_high; NaN where not every draw is a finite number."""
        with np.errstate(invalid="ignore"):
            numbers = summarise_rows(self.values, conf_level)
        numbers[~np.isfinite(self.values).all(axis=1)] = np.nan
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

    def grid(self, of: OfFrame | None = None) -> Grid:
        """Numbers for each cell, averaged over the rows of the base.

        Args:
            of: Rows -> their numbers over all draws, piece by piece; None for predictions.

        Raises:
            ArgumentError: There are too many cells to hold.
        """
        check_size(prod(map(len, self.focal.values())), self.predictor.S)
        of = self.predictions if of is None else of
        cells = list(product(*self.focal.values()))
        if len(self.base) == 1:  # the cells are the rows
            frame = self.base.loc[np.zeros(len(cells), dtype=int)].reset_index(drop=True)
            frame = frame.assign(**{name: [cell[i] for cell in cells] for i, name in enumerate(self.focal)})
            return full_grid(self.focal, np.concatenate(list(of(frame))), self.predictor)
        values = np.empty((len(cells), self.predictor.S))
        with Work(watched=somebody_watches()) as work:

            def average(i: int) -> None:
                cell = dict(zip(self.focal, cells[i], strict=True))
                frame = self.base.assign(**{name: [value] * len(self.base) for name, value in cell.items()})
                values[i] = sum(piece.sum(axis=0) for piece in of(frame)) / len(frame)

            for _ in work.each("Averaging over the data", average, range(len(cells))):
                pass
        return full_grid(self.focal, values, self.predictor)

    def predictions(self, frame: pd.DataFrame) -> Iterator[np.ndarray]:
        """Predictions for the rows of a frame, piece by piece."""
        rows = encode(self.spec, self.predictor, frame, trials=self.kind == "response", missing="error")
        for _, values in predictions(self.predictor, rows, self.kind).pieces("Predicting"):
            yield values


def ask(
    spec: ModelSpec,
    idata: xr.DataTree,
    verb: Verb,
    x: str,
    by: Sequence[str],
    *,
    pairs: Pairs = None,
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
    check_kind(kind, KINDS)
    if at is not None and not isinstance(at, Mapping):
        raise ArgumentError(f"at is a mapping from predictors to values, {{'x': 1.0}}, not {shown(at)}.")
    at = {name: given(name, values) for name, values in (at or {}).items()}
    trials = trial_columns(spec) if kind == "response" else ()
    check_predictors([x, *by, *at], dict.fromkeys([*predictors(spec), *trials]))
    if not is_one_of(over, ("reference", "data")):
        raise ArgumentError(
            f"over is 'reference' or 'data', not {shown(over)}.{nearest(shown(over), ('reference', 'data'))}"
        )
    if pairs is not None:
        check_pairs(pairs)
        if x not in at and x not in trials and is_number(spec, x):
            at[x] = given(x, list(dict.fromkeys(value for pair in pairs for value in pair)))
    moves = verb == "slopes"
    focal = [x, *by] if not moves or (x in at and x not in by) else [*by]
    check_names(focal, OWN[verb])
    asked = {*by, *(name for name in at if not moves or name != x), *(() if moves else (x,))}
    chosen = _groups_of(spec, asked) if isinstance(groups, str) and groups == "auto" else groups
    predictor = predictor_of(spec, idata, chosen, new_levels, seed)
    columns = spec.design.columns_of(predictor.blocks, trials=kind == "response")
    fixed = {name: _one(name, values) for name, values in at.items() if name not in focal}
    for name in fixed:
        if name not in columns:
            raise ArgumentError(
                f"at has {name!r}, which changes nothing here: it only groups rows, and effects of its groups take no part. "
                "Leave it out, or have them take part with groups=."
            )
    grouping = grouping_columns(spec, predictor.blocks)
    observed = {*grouping, *trials}
    values = {
        name: at[name] if name in at else values_of(spec, name, int(name != x), observed) for name in focal
    }
    data = spec.design.data[[*dict.fromkeys([*columns, *focal, x])]]
    base = data if over == "data" else reference_row(spec, data, grouping, trials)
    base = base.assign(**{name: [value] * len(base) for name, value in fixed.items()})
    return Question(spec, predictor, values, base.reset_index(drop=True), kind)


def check_predictors(names: Sequence[str], known: Collection[str]) -> None:
    """Refuse what is no predictor.

    Raises:
        ArgumentError: It names those that there are.
    """
    for name in names:
        if name not in known:
            has = f"Its predictors: {listed(known, 20)}." if known else "The model has no predictors."
            raise ArgumentError(f"The model has no predictor {name!r}.{nearest(str(name), known)} {has}")


def check_names(names: Sequence[str], own: Sequence[str] = ()) -> None:
    """Refuse names that stand twice, or that a result has for its own columns and dims.

    Raises:
        ArgumentError: It says which.
    """
    if len(set(names)) < len(names):
        raise ArgumentError(f"{listed(map(repr, names))}: a predictor stands twice.")
    for name in names:
        if name in (*TAKEN, *own):
            raise ArgumentError(
                f"{name!r} is the name of a column or dim of the result itself: rename the column in the data."
            )


def check_pairs(pairs: Any) -> None:
    """Refuse what is no list of pairs of values.

    Raises:
        ArgumentError: It shows how one is written.
    """
    if isinstance(pairs, str) or not isinstance(pairs, Sequence):
        raise ArgumentError(f"pairs is a list of pairs of values, [('b', 'a')], not {shown(pairs)}.")
    if not pairs:
        raise ArgumentError("pairs is empty: give one or more, [('b', 'a')], or leave it out for all.")
    for pair in pairs:
        whole = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
        if not whole or not all(map(pd.api.types.is_scalar, pair)):
            raise ArgumentError(f"pairs is a list of pairs of values, [('b', 'a')]; {pair!r} is no pair.")


def check_size(cells: int, S: int) -> None:
    """Refuse more cells than can be held.

    Raises:
        ArgumentError: It says how much they are.
    """
    size = 8 * cells * S
    if size > MAX_DRAWS:
        raise ArgumentError(
            f"Draws of {cells:,} cells are {size / 2**30:,.1f} GiB, too many to hold: ask for fewer with at=."
        )


def predictors(spec: ModelSpec) -> tuple[str, ...]:
    """The columns of the data that the right side of the formula uses."""
    return tuple(name for name in spec.design.formula.names(response=False) if name in spec.design.data)


def trial_columns(spec: ModelSpec) -> tuple[str, ...]:
    """The columns of the data that the number of trials is made of."""
    return tuple(name for name in spec.design.formula.response.trial_names if name in spec.design.data)


def is_factor(spec: ModelSpec, name: str) -> bool:
    """Whether a column stands for levels: text, booleans, categories; numbers in C() or that only group rows."""
    if isinstance(spec.design.data[name].dtype, pd.CategoricalDtype):
        return True
    expressions = [e for e in spec.design.formula.expressions(response=False) if _mentions(e, name)]
    return not expressions or any(_codes(e, name) for e in expressions)


def is_number(spec: ModelSpec, name: str) -> bool:
    """Whether a column stands for its numbers."""
    return not is_factor(spec, name) and spec.design.data[name].dtype.kind in "if"


def grouping_columns(spec: ModelSpec, blocks: Collection[str]) -> set[str]:
    """The columns that group the rows of some blocks."""
    return {name for block in spec.design.groups if block.name in blocks for name in block.factor.columns}


def _mentions(expression: Expression, name: str) -> bool:
    if isinstance(expression, Name):
        return expression.name == name
    return any(_mentions(part, name) for part in parts_of(expression))


def _codes(expression: Expression, name: str) -> bool:
    """Whether it takes the column for a factor somewhere inside."""
    if isinstance(expression, Call) and expression.function in ("C", "factor"):
        return any(_mentions(part, name) for part in expression.arguments[:1])
    return any(_codes(part, name) for part in parts_of(expression))


def values_of(spec: ModelSpec, name: str, place: int, observed: Collection[str]) -> list[Any]:
    """The values of a focal predictor: all levels; of a number those that occur, or a range, or mean and sd.

    Args:
        spec: The model.
        name: The predictor.
        place: 0 for the predictor asked for, more for those that it is asked for by.
        observed: Columns of which values that do not occur would be of no use: a group, a number of trials.
    """
    column = spec.design.data[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.categories.tolist()
    different = np.unique(column.to_numpy())
    if name in observed or is_factor(spec, name) or len(different) <= FEW:
        return pd.Index(different).tolist()
    if place == 0:
        return np.linspace(different[0], different[-1], POINTS).tolist()
    mean, sd = column.mean(), column.std()
    return [mean - sd, mean, mean + sd]


def reference_row(
    spec: ModelSpec, data: pd.DataFrame, grouping: Collection[str], trials: Collection[str]
) -> pd.DataFrame:
    """One row: numbers at their means, factors at their first levels, dates at the first.

    Numbers that group its rows are factors here; numbers of trials are whole.
    """
    row: dict[str, Any] = {}
    for name in data:
        column = data[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            row[name] = column.cat.categories[0]
        elif name in trials and name not in grouping:
            row[name] = max(1, round(column.mean()))
        elif name in grouping or is_factor(spec, name) or column.dtype.kind == "M":
            row[name] = column.min()
        else:
            row[name] = column.mean()
    return pd.DataFrame({name: [value] for name, value in row.items()}, index=pd.RangeIndex(1))


def contrasts(question: Question, pairs: Pairs, compare: Comparison) -> Grid:
    """Pairs of values of the first focal predictor, one less (or over) the other, in each cell of the others.

    Raises:
        ArgumentError: Nothing to compare, or a pair of values that are not there.
    """
    if not is_one_of(compare, ("difference", "ratio")):
        raise ArgumentError(
            f"compare is 'difference' or 'ratio', not {shown(compare)}.{nearest(shown(compare), ('difference', 'ratio'))}"
        )
    name, *others = question.focal
    levels = list(question.focal[name])
    if len(levels) == 1:
        raise ArgumentError(f"{name} has one value here, {levels[0]!r}; a contrast takes two.")
    for level in (level for pair in pairs or () for level in pair):
        if level not in levels:
            raise ArgumentError(
                f"{name} has no value {level!r} here; it has {listed(map(repr, levels), 20)}."
            )
    cells = prod(len(question.focal[other]) for other in others)
    check_size((comb(len(levels), 2) if pairs is None else len(pairs)) * cells, question.predictor.S)
    chosen = [(b, a) for a, b in combinations(levels, 2)] if pairs is None else pairs
    values = question.grid().values.reshape(len(levels), -1, question.predictor.S)  # noqa: PD011
    texts = dict(zip(levels, _texts(levels), strict=True))
    sign = "-" if compare == "difference" else "/"
    labels = [f"{texts[b]} {sign} {texts[a]}" for b, a in chosen]
    places = {level: i for i, level in enumerate(levels)}
    ends = ([places[pair[i]] for pair in chosen] for i in (0, 1))
    one, other = (values[end] for end in ends)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = one - other if compare == "difference" else one / other
    focal = {"contrast": labels} | {other: question.focal[other] for other in others}
    return full_grid(focal, found.reshape(-1, question.predictor.S), question.predictor)


def _texts(levels: list[Any]) -> list[str]:
    """Values as they are written; numbers to four digits, or as many as tell them apart."""
    if not all(isinstance(level, Real) and not isinstance(level, bool) for level in levels):
        return texts_of(pd.Index(levels).to_numpy())
    texts: list[str] = []
    for digits in range(4, 18):
        texts = [_number(float(level), digits) for level in levels]
        if len(set(map(float, texts))) == len(set(levels)):
            break
    return texts


def _number(value: float, digits: int) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.{digits}g}"


def _groups_of(spec: ModelSpec, asked: Collection[str]) -> list[str]:
    """The blocks whose grouping columns are all asked for."""
    return [block.name for block in spec.design.groups if set(block.factor.columns) <= set(asked)]


MAX_VALUES = 1_000_000
"""Of a predictor: `range(10**12)` must not take all memory."""


def given(name: str, values: Any) -> list[Any]:
    """The values that the caller chose for a predictor: one or more.

    Raises:
        ArgumentError: There are none, or a missing one, or something that is no value.
    """
    if getattr(values, "ndim", None) == 0:  # an array of one number
        values = np.asarray(values)[()]
    several = pd.api.types.is_list_like(values, allow_sets=False)
    found = pd.Index(list(islice(values, MAX_VALUES + 1))).tolist() if several else [values]
    if len(found) > MAX_VALUES:
        raise ArgumentError(f"at has more than {MAX_VALUES:,} values for {name!r}; give fewer.")
    if not found:
        raise ArgumentError(f"at has no value for {name!r}: give one or more, or leave it out.")
    for value in found:
        if not pd.api.types.is_scalar(value):
            raise ArgumentError(
                f"at has {value!r} for {name!r}: values are numbers, texts, booleans or dates, one or a list."
            )
        if pd.isna(value):
            raise ArgumentError(f"A value for {name!r} is missing; predictions need one that is known.")
    return found


def _one(name: str, values: list[Any]) -> Any:
    """The value at which the caller holds another predictor."""
    if len(values) > 1:
        raise ArgumentError(
            f"at has several values for {name!r}, at which predictors that are not asked for are held; give one."
        )
    return values[0]
