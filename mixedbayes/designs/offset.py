"""The offsets of a formula on data: what is added to the predictor with coefficient one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.designs.columns import finite
from mixedbayes.designs.evaluate import Scope, evaluate
from mixedbayes.errors import DataError
from mixedbayes.language.expressions import Expression, text_of


def build_offset(
    offsets: Sequence[Expression],
    columns: pd.DataFrame,
    env: Mapping[str, Any],
    states: Sequence[dict[str, Any]],
) -> np.ndarray:
    """The sum of the offsets, shape (n,).

    Args:
        offsets: Of a formula.
        columns: Of the data.
        env: Functions and values by name.
        states: What stateful functions of each learned; filled on first use.

    Raises:
        DataError: One is no finite number in every row.
    """
    total = np.zeros(len(columns))
    for expression, state in zip(offsets, states, strict=True):
        value = evaluate(expression, Scope(columns, env, state))
        try:
            values = np.broadcast_to(np.asarray(value, dtype=float), total.shape)
        except (TypeError, ValueError):
            raise DataError(f"offset({text_of(expression)}) is not a number for each row.") from None
        total += finite(values, columns.index, f"offset({text_of(expression)})")
    total.flags.writeable = False
    return total
