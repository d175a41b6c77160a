"""A design × more rows of the same table -> a design of both, by the first's recipe: what it learned stays.

Levels of groups that the design has not seen come after its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.designs.columns import alike
from mixedbayes.designs.design import Block, Design, EncodedLinear, Linear
from mixedbayes.designs.functions import FUNCTIONS
from mixedbayes.designs.levels import Levels, find_all_levels
from mixedbayes.designs.response import ResponseValues, read_response
from mixedbayes.designs.table import Missing, Rows, open_table, read_columns, unknown_columns
from mixedbayes.errors import DataError, listed
from mixedbayes.language.expressions import functions_in


def extend(design: Design, data: Any, missing: Missing = "drop") -> Design:
    """The design with more rows.

    Args:
        design: From `build_design`.
        data: A table with all columns that the formula uses, the response too.
        missing: As in `build_design`.

    Raises:
        DataError: A column is not there; a factor or the response has a level that was not learned; or the response
            is measured by a function that learns from the data, whose unit would change.
    """
    _check_response(design)
    table = open_table(data)
    needed = [name for name in design.formula.names() if name in design.data]
    absent = [name for name in needed if name not in table.columns]
    if absent:
        raise unknown_columns(absent, table.columns, ())
    columns, rows = read_columns(table, needed, missing)
    columns = alike(columns, design.data)
    names = [block.name for block in design.groups]
    encoded = design.encode_columns(columns, names, (), tuple(design.predictors))
    whole = _joined(design.data[needed], columns)
    levels = {block.group: _more_levels(block.factor, columns) for block in reversed(design.groups)}
    groups = tuple(
        _more_rows(block, encoded.groups[block.name].X, *levels[block.group]) for block in design.groups
    )
    together = Rows(
        design.rows.total + rows.total,
        np.concatenate([design.rows.kept, design.rows.total + rows.kept]),
        _added(design.rows.missing, rows.missing, needed),
        design.rows.index.append(rows.index),
        design.rows.spared,
    )
    return replace(
        design,
        response=_more_response(design, read_response(design.formula.response, whole, design.env)),
        fixed=replace(design.fixed, X=np.concatenate([design.fixed.X, encoded.X])),
        offset=np.concatenate([design.offset, encoded.offset]),
        groups=groups,
        rows=together,
        data=whole.set_axis(together.kept, axis=0),
        batches=(*design.batches, len(rows.kept)),
        predictors={
            name: _more_linear(linear, encoded.predictors[name]) for name, linear in design.predictors.items()
        },
    )


def _check_response(design: Design) -> None:
    """Refuse a response whose unit was learned from the data."""
    learned = [
        name
        for name in functions_in(design.formula.response.expression)
        if getattr(FUNCTIONS.get(name), "__is_stateful_transform__", False) and name not in ("C", "factor")
    ]
    if learned:
        raise DataError(
            f"The response is measured by {listed(f'{name}()' for name in learned)}, which learns from the data: with more rows "
            "it would be another response. Fit all rows anew with update(data=...)."
        )


def _joined(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Both frames' rows; categories are the second's, which begin with the first's.

    Raises:
        DataError: Whole numbers of the one are beyond those of the other, so that no type holds both.
    """
    first: dict[str, pd.Series] = {}
    second: dict[str, pd.Series] = {}
    for name in one:
        a, b = one[name], other[name]
        if isinstance(a.dtype, pd.CategoricalDtype):
            a = a.cat.set_categories(b.cat.categories)
        elif {a.dtype.kind, b.dtype.kind} == {"i", "u"}:
            if min(a.min(), b.min()) < 0:
                raise DataError(
                    f"{name} holds numbers below zero and beyond 2**63, which no 64 bits hold together."
                )
            a, b = a.astype(np.uint64), b.astype(np.uint64)
        first[name], second[name] = a, b
    return pd.concat([pd.DataFrame(first), pd.DataFrame(second)], ignore_index=True)


def _more_levels(levels: Levels, columns: pd.DataFrame) -> tuple[Levels, np.ndarray]:
    """The levels with those of new rows after them, and the code of each new row."""
    codes, unseen = levels.encode(columns)
    if not unseen:
        return levels, codes
    rows = columns.iloc[np.flatnonzero(codes < 0)][list(levels.columns)]
    new, among = find_all_levels(levels.columns, rows.apply(_without_unused))
    joined = levels.joined(new)
    codes[codes < 0] = len(levels.labels) + among
    return joined, codes


def _without_unused(column: pd.Series) -> pd.Series:
    return column.cat.remove_unused_categories() if isinstance(column.dtype, pd.CategoricalDtype) else column


def _more_rows(block: Block, X: np.ndarray, levels: Levels, codes: np.ndarray) -> Block:
    return replace(
        block,
        X=np.concatenate([block.X, X]),
        levels=levels.labels,
        codes=np.concatenate([block.codes, codes]),
        factor=levels,
    )


def _more_linear(linear: Linear, more: EncodedLinear) -> Linear:
    return replace(
        linear,
        fixed=replace(linear.fixed, X=np.concatenate([linear.fixed.X, more.X])),
        offset=np.concatenate([linear.offset, more.offset]),
    )


def _more_response(design: Design, both: ResponseValues) -> ResponseValues:
    """The response of old and new rows together, if the old ones are what they were.

    Raises:
        DataError: New rows have levels that the model has not seen, or change what the old ones are.
    """
    one, level = design.response, design.formula.response.level
    if one.levels != both.levels and level is None:
        new = [value for value in both.levels or () if value not in (one.levels or ())]
        raise DataError(
            f"The response {one.name} has levels that the model has not seen: {listed(map(repr, new))}."
        )
    if not np.array_equal(both.values[: design.n], one.values):  # noqa: PD011
        raise DataError(
            f"With the new rows the response {one.name} of the old ones would be another: it is computed from all rows. "
            "Fit them anew with update(data=...)."
        )
    return replace(both, levels=one.levels)


def _added(one: Mapping[str, int], other: Mapping[str, int], names: list[str]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in names if name in one or name in other}
