"""Draws by the cells of a grid -> tidy frames and arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.arguments import fits
from mixedbayes.errors import ArgumentError, listed
from mixedbayes.models.names import CHAIN, DRAW
from mixedbayes.results.rows.predictor import Predictor
from mixedbayes.results.rows.row_draws import COLUMNS, summarise_rows

TAKEN = (*COLUMNS, CHAIN, DRAW, "cell")
"""Names in every result, which no column of the data can have there."""


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


def check_size(cells: int, S: int) -> None:
    """Refuse more cells than can be held.

    Raises:
        ArgumentError: It says how much they are.
    """
    fits(cells * S, f"Draws of {cells:,} cells", ", too many to hold: ask for fewer with at=")
