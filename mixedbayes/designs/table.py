"""Any table -> the columns that a formula uses, in a few plain pandas dtypes, rows with gaps left out.

pandas, polars and Arrow tables come in through narwhals; the caller's table is only read. What leaves is a pandas
frame, whose dtypes `columns.py` has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pandas as pd

from mixedbayes.arguments import is_one_of
from mixedbayes.designs.columns import plain_column, tidied
from mixedbayes.errors import ArgumentError, DataError, UnknownColumns, counted, listed, nearest, shown

type Missing = Literal["drop", "error"]


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Which rows of the data are in the model.

    Attributes:
        total: Rows of the data.
        kept: Positions of the rows used, ascending, shape (n,).
        missing: For each column with gaps, how many rows it lacks.
        index: What the caller's table calls the rows used: a pandas index, else their positions.
        spared: How many complete rows are not used, because others were chosen.
    """

    total: int
    kept: np.ndarray
    missing: Mapping[str, int]
    index: pd.Index
    spared: int = 0

    @property
    def dropped(self) -> int:
        """How many rows were left out for what they lack."""
        return self.total - len(self.kept) - self.spared

    def only(self, rows: np.ndarray) -> "Rows":
        """Some of the rows used, by their places among them."""
        spared = self.spared + len(self.kept) - len(rows)
        return replace(self, kept=self.kept[rows], index=self.index[rows], spared=spared)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on rows left out, if any were."""
        return (f"{self}.",) if self.dropped else ()

    def __str__(self) -> str:
        used = len(self.kept)
        of = f"{used:,} of {self.total:,} rows" if used < self.total else f"{self.total:,} rows"
        if not self.dropped:
            return of
        gaps = listed(f"{name} {count:,}" for name, count in self.missing.items())
        return f"{of}; {self.dropped:,} dropped for missing values ({gaps})"


def open_table(data: Any, *, may_be_empty: bool = False) -> nw.DataFrame[Any]:
    """The caller's table behind narwhals.

    Raises:
        DataError: Not a table, one without columns or (if it may not be) rows, or one with two columns of a name.
    """
    data = _framed(data)
    if isinstance(data, pd.DataFrame) and not all(isinstance(name, str) for name in data.columns):
        data = data.set_axis([str(name) for name in data.columns], axis=1)
    if isinstance(data, pd.DataFrame) and not data.columns.is_unique:
        twice = data.columns[data.columns.duplicated()].unique()
        raise DataError(
            f"The data have more than one column named {listed(map(repr, twice))}; rename all but one."
        )
    try:
        table = nw.from_native(data, eager_only=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"The data have two columns of one name; rename one. ({error})") from None
    except (TypeError, ValueError):
        raise DataError(
            f"The data must be a pandas, polars or Arrow table, not {type(data).__name__}.{_remedy_of(data)}"
        ) from None
    if not table.columns:
        raise DataError("The data have no columns.")
    if len(table) == 0 and not may_be_empty:
        raise DataError("The data have no rows.")
    return table


def _framed(data: Any) -> Any:
    """What is nearly a table as one: columns by name, rows by name, records, streams of Arrow's, xarray of one dimension."""
    try:
        if hasattr(data, "data_vars") and hasattr(data, "to_dataframe"):
            return _from_xarray(data)
        if isinstance(data, Mapping) or (isinstance(data, np.ndarray) and data.dtype.names):
            return pd.DataFrame(data)
        if isinstance(data, list | tuple) and data and all(isinstance(row, Mapping) for row in data):
            return pd.DataFrame(list(data))
        if hasattr(data, "__arrow_c_stream__") and hasattr(data, "schema") and not hasattr(data, "columns"):
            return nw.from_arrow(data, backend="pyarrow").to_native()
        if hasattr(data, "__arrow_c_array__") and hasattr(data, "schema"):
            return nw.from_arrow(data, backend="pyarrow").to_native()
    except (ValueError, TypeError, ImportError, MemoryError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"The data cannot be made a table: {error}") from None
    return data


def _from_xarray(data: Any) -> pd.DataFrame:
    """A dataset of one dimension; its labels are a column too."""
    if len(data.sizes) != 1:
        raise DataError(
            f"The data have the dimensions {listed(data.sizes) or '(none)'}, and a table has one; .to_dataframe().reset_index() lays them out."
        )
    frame: pd.DataFrame = data.to_dataframe()
    (dim,) = data.sizes
    return frame.assign(**{str(dim): frame.index}) if dim in data.coords else frame


def _remedy_of(data: Any) -> str:
    """What would make a table of it."""
    if isinstance(data, str | PathLike):
        return " Read it first, as pd.read_csv(path) or mb.load_dataset(name) do."
    if hasattr(data, "collect"):
        return " Call .collect() first."
    if hasattr(data, "to_frame"):
        return " Call .to_frame() first."
    if isinstance(data, np.ndarray):
        return " Give its columns names: pd.DataFrame(array, columns=[...])."
    if hasattr(data, "to_dataframe"):
        return " Call .to_dataframe().reset_index() first."
    return ""


def read_columns(
    table: nw.DataFrame[Any], names: Sequence[str], missing: Missing = "drop", *, may_be_empty: bool = False
) -> tuple[pd.DataFrame, Rows]:
    """The named columns over the rows where none of them has a gap.

    The frame's index is each row's place in the table, from 0.

    Args:
        table: From `open_table`.
        names: Columns to read; names that are no columns are the caller's to complain of.
        missing: `"drop"` leaves out rows with a gap in any column; `"error"` refuses them.
        may_be_empty: Whether there need be no complete row.

    Raises:
        DataError: A gap under `"error"`, no complete row if there must be one, infinite values, or cells that are no
            numbers, texts, booleans, categories or dates.
    """
    if not is_one_of(missing, ("drop", "error")):
        raise ArgumentError(f"missing={shown(missing)} is not known; choose 'drop' or 'error'.")
    columns = {name: plain_column(table[name]) for name in names}
    gaps = {name: column.isna().to_numpy(dtype=bool) for name, column in columns.items()}
    counts = {name: int(gap.sum()) for name, gap in gaps.items() if gap.any()}
    keep = np.ones(len(table), dtype=bool)
    for name in counts:
        keep &= ~gaps[name]
    kept = _frozen(np.flatnonzero(keep))
    rows = Rows(len(table), kept, counts, index_of(table)[kept])
    if counts and missing == "error":
        raise DataError(
            f"The data have missing values: {listed(f'{name} in {counted(gap, "row")}' for name, gap in counts.items())}."
        )
    if not len(rows.kept) and not may_be_empty:
        worst = max(counts, key=lambda name: counts[name])
        raise DataError(
            f"No row is complete: each of the {len(table):,} lacks a value (column {worst!r} lacks {counts[worst]:,})."
        )
    whole = not rows.dropped
    tidy = {name: tidied(column if whole else column[keep], name) for name, column in columns.items()}
    index = pd.RangeIndex(len(table)) if whole else pd.Index(rows.kept)
    return pd.DataFrame(tidy, index=index), rows


def index_of(table: nw.DataFrame[Any]) -> pd.Index:
    """The index of a pandas table; of others the positions of rows."""
    index = nw.maybe_get_index(table)
    return pd.RangeIndex(len(table)) if index is None else index


def unknown_columns(names: Sequence[str], columns: Sequence[str], known: Sequence[str]) -> UnknownColumns:
    """The error for names that are neither columns nor anything else that is known."""
    if len(names) == 1:
        name = names[0]
        head, dot, _ = name.partition(".")
        if dot and head in columns:
            return UnknownColumns(
                f"There is no column {name!r}, and a formula cannot reach into the column {head!r}: it has no attributes there.",
                names,
            )
        said = f"There is no column {name!r} in the data.{nearest(name, [*columns, *known])}"
    else:
        said = f"There are no columns {listed(map(repr, names), 20)} in the data." + "".join(
            f" {name!r}:{hint.replace(' Did you mean', ' did you mean')}"
            for name in names
            if (hint := nearest(name, [*columns, *known]))
        )
    return UnknownColumns(f"{said} The columns are {listed(columns, 20)}.", names)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
