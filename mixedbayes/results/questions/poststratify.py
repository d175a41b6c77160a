"""Averages of predictions over the cells of a population: multilevel regression and poststratification."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.arguments import name_of, names_of, one_of
from mixedbayes.designs.table import open_table, read_columns, unknown_columns
from mixedbayes.errors import ArgumentError, DataError, counted, listed
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.summary import check_table
from mixedbayes.results.questions.grid import Grid, check_names
from mixedbayes.results.rows.block_draws import NewLevels
from mixedbayes.results.rows.predict import KINDS, Kind, encode, predictions
from mixedbayes.results.rows.predictor import Groups, Predictor, predictor_of


def poststratify(  # noqa: PLR0913, PLR0917  # options that users pass by name
    fit: Fitted,
    cells: Any,
    weight: str = "n",
    by: str | Sequence[str] | None = None,
    kind: Kind = "mean",
    groups: Groups = "all",
    new_levels: NewLevels = "sample",
    conf_level: float = 0.95,
    draws: bool = False,
    seed: int | None = None,
) -> pd.DataFrame | xr.DataArray:
    """Predictions averaged over the cells of a population, such as a census has them.

    Args:
        cells: A table with a row for each cell, with the model's predictors and groups.
        weight: The column with the number of people in each cell.
        by: Columns, for each of whose combinations to average; None for the whole population.
        kind: `"mean"` or `"linear"`, as in `predict`.
        groups: As in `predict`.
        new_levels: As in `predict`.
        conf_level: Mass of the equal-tailed interval.
        draws: All draws in place of their summaries.
        seed: The same seed gives the same new levels.

    Returns:
        Columns by, estimate, std_error, conf_low, conf_high. With `draws`, an array with dims chain, draw, cell.

    Raises:
        DataError: The cells lack columns or values, or have weights that are no weights.
        ArgumentError: An unknown option.
    """
    check_table(conf_level, draws=draws)
    one_of("kind", kind, KINDS)
    if kind == "response":
        raise ArgumentError(
            "Poststratification is of kind 'mean' or 'linear': the noise of one response a cell is not that of its people."
        )
    name_of("weight", weight, "a column of the cells")
    strata = names_of("by", by, "a column")
    found = _averaged(predictor_of(fit, groups, new_levels, seed), cells, weight, strata, kind)
    return found.array("poststratified") if draws else found.table(conf_level)


def _averaged(predictor: Predictor, cells: Any, weight: str, by: Sequence[str], kind: Kind) -> Grid:
    """The weighted mean of the cells' predictions, in all and within levels of `by`, for each draw.

    Source: Gelman & Little (1997), Poststratification into many categories using hierarchical logistic regression.
    """
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
    rows = encode(predictor, cells, noise=False, missing="error")
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
