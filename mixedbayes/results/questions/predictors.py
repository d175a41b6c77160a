"""Columns as predictors: what kind each is, the values it is asked at, and the row it is held at."""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.errors import ArgumentError, listed, nearest, shown
from mixedbayes.language.additions import ADDITIONS, NumbersKind
from mixedbayes.language.expressions import Call, Expression, Name, parts_of
from mixedbayes.models.spec import ModelSpec

FEW = 10
"""Different values of a number, up to which each is a cell of its own."""

POINTS = 25
"""Cells of a number with more values than that, evenly spaced over its range."""


def predictors(spec: ModelSpec) -> tuple[str, ...]:
    """The columns of the data that the right side of the formula uses."""
    return tuple(name for name in spec.design.formula.names(response=False) if name in spec.design.data)


def addition_columns(spec: ModelSpec, numbers: NumbersKind | None = None) -> tuple[str, ...]:
    """The columns of the data that the family's additions are made of: all, or those of one kind of numbers."""
    wanted = [name for name in spec.family.additions if numbers in (None, ADDITIONS[name].numbers)]
    return tuple(name for name in spec.design.formula.response.names_of(wanted) if name in spec.design.data)


def is_factor(spec: ModelSpec, name: str) -> bool:
    """Whether a column stands for levels: text, booleans, categories; numbers in C() or that only group rows."""
    if isinstance(spec.design.data[name].dtype, pd.CategoricalDtype):
        return True
    expressions = [e for e in spec.design.formula.expressions(response=False) if _mentions(e, name)]
    return not expressions or any(_codes(e, name) for e in expressions)


def is_numeric(spec: ModelSpec, name: str) -> bool:
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


def check_predictors(names: Sequence[str], known: Collection[str]) -> None:
    """Refuse what is no predictor.

    Raises:
        ArgumentError: It names those that there are.
    """
    for name in names:
        if name not in known:
            has = f"Its predictors: {listed(known, 20)}." if known else "The model has no predictors."
            raise ArgumentError(f"The model has no predictor {name!r}.{nearest(str(name), known)} {has}")


def blocks_of(spec: ModelSpec, asked: Collection[str]) -> list[str]:
    """The blocks whose grouping columns are all asked for."""
    return [block.name for block in spec.design.groups if set(block.factor.columns) <= set(asked)]


def chosen(at: Any) -> dict[str, list[Any]]:
    """The values that the caller chose, by predictor.

    Raises:
        ArgumentError: That is no mapping, or holds what is no value.
    """
    if at is not None and not isinstance(at, Mapping):
        raise ArgumentError(f"at is a mapping from predictors to values, {{'x': 1.0}}, not {shown(at)}.")
    return {name: given(name, values) for name, values in (at or {}).items()}


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


def one(name: str, values: Sequence[Any]) -> Any:
    """The value at which the caller holds another predictor."""
    if len(values) > 1:
        raise ArgumentError(
            f"at has several values for {name!r}, at which predictors that are not asked for are held; give one."
        )
    return values[0]
