"""Rows by the levels of a factor: of the model, of its data, or of a column that the caller brings."""

from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.errors import ArgumentError, counted, listed, nearest
from mixedbayes.models.spec import ModelSpec


def group_rows(spec: ModelSpec, group: Any) -> tuple[pd.Index, np.ndarray]:
    """The levels of a factor, and each row's place in them.

    Args:
        spec: The model.
        group: The name of a grouping factor of the model or of a column of its data; or a column (a series or an
            array) with a value for each row of the data, with or without those that were left out. A pandas
            series is matched by its index where that knows all rows of the fit.

    Raises:
        ArgumentError: There is none of that name, or the values are not one for each row.
    """
    if not isinstance(group, str):
        return _labelled_rows(spec, group)
    blocks = {block.block.group: block.block for block in reversed(spec.blocks)}
    if group in blocks:
        block = blocks[group]
        occurring, codes = np.unique(block.codes, return_inverse=True)
        return pd.Index(block.levels[occurring], name=group), codes
    if group in spec.design.data:
        codes, levels = pd.factorize(spec.design.data[group], sort=True)
        return pd.Index(levels, name=group), codes
    known = list(dict.fromkeys([*blocks, *spec.design.data.columns]))
    raise ArgumentError(
        f"The fit has no group {group!r}; rows can be grouped by {listed(known, 20)}.{nearest(group, known)} "
        "Or pass the column itself, with a value for each row."
    )


def _labelled_rows(spec: ModelSpec, column: Any) -> tuple[pd.Index, np.ndarray]:
    """Levels and places of a column of values."""
    rows = spec.design.rows
    one_for_each = f"A column of groups has one value for each of the {rows.total:,} rows of the data"
    if not hasattr(column, "__array__"):
        raise ArgumentError(f"{one_for_each}, and is a series or an array, not {type(column).__name__}.")
    if np.ndim(column) != 1:
        raise ArgumentError(f"{one_for_each}; this has {np.ndim(column)} dimensions.")
    if isinstance(column, pd.Series) and column.index.is_unique and rows.index.isin(column.index).all():
        values = column.loc[rows.index]
    elif len(column) in (rows.total, len(rows.kept)):
        values = column.reset_index(drop=True) if isinstance(column, pd.Series) else pd.Series(list(column))
        values = values if len(values) == len(rows.kept) else values.iloc[rows.kept]
    else:
        raise ArgumentError(f"{one_for_each}, not {len(column):,}.")
    try:
        codes, levels = pd.factorize(values, sort=True)
    except TypeError:
        codes, levels = pd.factorize(values.astype(str), sort=True)
    if (codes < 0).any():
        raise ArgumentError(
            f"The column of groups lacks values in {counted(int((codes < 0).sum()), 'row')} of the fit."
        )
    return pd.Index(levels, name=getattr(column, "name", None)), codes
