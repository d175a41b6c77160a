"""Averages of predictions over the cells of a population: multilevel regression and poststratification."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from mixedbayes.designs.table import open_table, read_columns, unknown_columns
from mixedbayes.errors import ArgumentError, DataError, counted, listed, shown
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.questions.effects import Grid, check_names
from mixedbayes.results.rows.predict import KINDS, Kind, check_kind, encode, predictions
from mixedbayes.results.rows.predictor import Predictor


def poststratify(
    spec: ModelSpec, predictor: Predictor, cells: Any, weight: str, by: Sequence[str], kind: Kind
) -> Grid:
    """The weighted mean of the cells' predictions, in all and within levels of `by`, for each draw.

    Source: Gelman & Little (1997), Poststratification into many categories using hierarchical logistic regression.

    Raises:
        DataError: The cells lack columns or values, or have weights that are no weights.
        ArgumentError: Responses are asked for; or a column of the result is named as another.
    """
    check_kind(kind, KINDS)
    if kind == "response":
        raise ArgumentError(
            "Poststratification is of kind 'mean' or 'linear': the noise of one response a cell is not that of its people."
        )
    if not isinstance(weight, str):
        raise ArgumentError(f"weight is the name of a column of the cells, not {shown(weight)}.")
    check_names(by)
    table = open_table(cells)
    absent = [name for name in (weight, *by) if name not in table.columns]
    if absent:
        raise unknown_columns(absent, table.columns, ())
    weights = _weights(table, weight)
    strata, codes = _strata(table, by)
    totals = np.bincount(codes, weights, minlength=len(strata))
    if not totals.all():
        empty = [", ".join(map(str, row)) for row in strata[totals == 0].itertuples(index=False)]
        raise DataError(f"The weights {weight} add up to 0 in {listed(empty) if by else 'all rows'}.")
    rows = encode(spec, predictor, cells, trials=False, missing="error")
    sums = np.zeros((len(strata), predictor.S))
    for at, values in predictions(predictor, rows, kind).pieces("Predicting"):
        np.add.at(sums, codes[at], values * weights[at, None])
    return Grid(strata, sums / totals[:, None], predictor)


def _weights(table: nw.DataFrame[Any], name: str) -> np.ndarray:
    """A column of numbers from 0."""
    column = read_columns(table, [name], "error")[0][name]
    if column.dtype.kind not in "if":
        raise DataError(f"{name} is no weight: it holds no numbers.")
    weights = column.to_numpy(dtype=float)
    wrong = np.flatnonzero(weights < 0)
    if len(wrong):
        raise DataError(
            f"{name} is no weight (a number from 0) in {counted(len(wrong), 'row')}, the first being row {wrong[0]} (from 0)."
        )
    return weights


def _strata(table: nw.DataFrame[Any], by: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The combinations of the columns that occur, in order, and the place of each row among them."""
    if not by:
        return pd.DataFrame(index=pd.RangeIndex(1)), np.zeros(len(table), dtype=np.int64)
    columns, _ = read_columns(table, by, "error")
    groups = columns.groupby(list(by), observed=True, sort=True)
    first = groups.head(1)
    codes = groups.ngroup().to_numpy()
    order = np.argsort(codes[first.index.to_numpy()])
    return first.iloc[order].reset_index(drop=True), codes
