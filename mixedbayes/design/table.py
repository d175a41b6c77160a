"""Any table -> the columns that a formula uses, in a few plain pandas dtypes, rows with gaps left out.

pandas, polars and Arrow tables come in through narwhals; the caller's table is only read. What leaves
is a pandas frame of int64, float64, datetime64 and categorical columns (texts and booleans become
categorical: False before True, texts sorted by code point).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pandas as pd

from mixedbayes.errors import ArgumentError, DataError, counted, listed, nearest

type Missing = Literal["drop", "error"]


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Which rows of the data are in the model.

    Attributes:
        total: Rows of the data.
        kept: Positions of the rows used, ascending, shape (n,).
        missing: For each column with gaps, how many rows it lacks.
        index: What the caller's table calls the rows used: a pandas index, else their positions.
    """

    total: int
    kept: np.ndarray
    missing: Mapping[str, int]
    index: pd.Index

    @property
    def dropped(self) -> int:
        """How many rows were left out."""
        return self.total - len(self.kept)

    def __str__(self) -> str:
        if not self.dropped:
            return f"{self.total:,} rows"
        gaps = listed(f"{name} {count:,}" for name, count in self.missing.items())
        return (
            f"{len(self.kept):,} of {self.total:,} rows; {self.dropped:,} dropped for missing values ({gaps})"
        )


def open_table(data: Any) -> nw.DataFrame[Any]:
    """The caller's table behind narwhals.

    Raises:
        DataError: Not a table, an empty one, or one with two columns of a name.
    """
    if isinstance(data, Mapping):
        try:
            data = pd.DataFrame(data)
        except (ValueError, TypeError) as error:
            raise DataError(f"The data cannot be made a table: {error}") from None
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
        lazy = " Call .collect() first." if hasattr(data, "collect") else ""
        if isinstance(data, str | PathLike):
            lazy = " Read it first, as pd.read_csv(path) or mb.load_dataset(name) do."
        raise DataError(
            f"The data must be a pandas, polars or Arrow table, not {type(data).__name__}.{lazy}"
        ) from None
    if not table.columns:
        raise DataError("The data have no columns.")
    if len(table) == 0:
        raise DataError("The data have no rows.")
    return table


def read_columns(
    table: nw.DataFrame[Any], names: Sequence[str], missing: Missing = "drop"
) -> tuple[pd.DataFrame, Rows]:
    """The named columns over the rows where none of them has a gap.

    The frame's index is each row's place in the table, from 0.

    Args:
        table: From `open_table`.
        names: Columns to read; names that are no columns are the caller's to complain of.
        missing: `"drop"` leaves out rows with a gap in any column; `"error"` refuses them.

    Raises:
        DataError: A gap under `"error"`, no complete row, infinite values, or cells that are no
            numbers, texts, booleans, categories or dates.
    """
    if missing not in ("drop", "error"):
        raise ArgumentError(f"missing={missing!r} is not known; choose 'drop' or 'error'.")
    columns = {name: _series(table[name]) for name in names}
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
    if not len(rows.kept):
        worst = max(counts, key=lambda name: counts[name])
        raise DataError(
            f"No row is complete: each of the {len(table):,} lacks a value (column {worst!r} lacks {counts[worst]:,})."
        )
    whole = not rows.dropped
    tidy = {name: _tidied(column if whole else column[keep], name) for name, column in columns.items()}
    index = pd.RangeIndex(len(table)) if whole else pd.Index(rows.kept)
    return pd.DataFrame(tidy, index=index), rows


def index_of(table: nw.DataFrame[Any]) -> pd.Index:
    """The index of a pandas table; of others the positions of rows."""
    index = nw.maybe_get_index(table)
    return pd.RangeIndex(len(table)) if index is None else index


def alike(columns: pd.DataFrame, learned: pd.DataFrame) -> pd.DataFrame:
    """New columns in the kinds of the columns that a model learned from.

    Raises:
        DataError: One is of another kind, as text where there were numbers.
    """
    made: dict[str, Any] = {}
    for name in columns:
        here, there = _kind(columns[name]), _kind(learned[name])
        if (here, there) == ("numbers", "numbers") and learned[name].dtype.kind == "i":
            if columns[name].dtype.kind == "f" and (columns[name] % 1 == 0).all():
                made[name] = columns[name].astype(np.int64)  # whole numbers beside gaps arrive as floats
            continue
        if (here, there) == ("numbers", "categories of numbers"):
            made[name] = columns[name].astype("category")
        elif here != there:
            raise DataError(f"{name} holds {here}, where the model has learned {there}.")
        elif here == AWARE:
            made[name] = columns[name].dt.tz_convert(learned[name].dt.tz)
        elif isinstance(columns[name].dtype, pd.CategoricalDtype):
            known = learned[name].cat.categories
            new = columns[name].cat.categories.difference(known, sort=False)
            made[name] = columns[name].cat.set_categories(known.append(new))
    return columns.assign(**made)


def _kind(column: pd.Series) -> str:
    """What a column from `read_columns` holds, in words."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return AWARE
    kinds = {"b": "booleans", "M": "dates", **dict.fromkeys("iuf", "numbers")}
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return kinds[column.dtype.kind]
    kind = kinds.get(column.cat.categories.dtype.kind, "text or categories")
    return "categories of numbers" if kind == "numbers" else kind


AWARE = "dates with a time zone"


def finite(values: np.ndarray, index: pd.Index, name: str) -> np.ndarray:
    """The values, rows first, if all are finite numbers.

    Raises:
        DataError: Some are not; the message has the first row, by its place in the caller's table.
    """
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        raise DataError(
            f"{name} is not finite in {counted(len(bad), 'row')}, the first being row {index[bad[0]]} (from 0)."
        )
    return values


def unknown_columns(names: Sequence[str], columns: Sequence[str], known: Sequence[str]) -> DataError:
    """The error for names that are neither columns nor anything else that is known."""
    if len(names) == 1:
        name = names[0]
        head, dot, _ = name.partition(".")
        if dot and head in columns:
            return DataError(
                f"There is no column {name!r}, and a formula cannot reach into the column {head!r}: it has no attributes there."
            )
        said = f"There is no column {name!r} in the data.{nearest(name, [*columns, *known])}"
    else:
        said = f"There are no columns {listed(map(repr, names), 20)} in the data." + "".join(
            f" {name!r}:{hint.replace(' Did you mean', ' did you mean')}"
            for name in names
            if (hint := nearest(name, [*columns, *known]))
        )
    return DataError(f"{said} The columns are {listed(columns, 20)}.")


def _series(column: nw.Series[Any]) -> pd.Series:
    """One column in a plain dtype; gaps are NaN, NaT or an absent category."""
    dtype, name = column.dtype, column.name
    if dtype.is_numeric():
        return pd.Series(_numbers(column))
    if isinstance(dtype, nw.Boolean):
        pairs = zip(column.to_list(), column.is_null().to_list(), strict=True)
        values = [None if lost else bool(value) for value, lost in pairs]
        return pd.Series(pd.Categorical(values, categories=[False, True]))
    if isinstance(dtype, nw.Categorical | nw.Enum):
        return _categorical(column)
    if isinstance(dtype, nw.String):
        native = column.to_native()
        return _texts(native if isinstance(native, pd.Series) else column.to_list())
    if isinstance(dtype, nw.Date | nw.Datetime):
        native = column.to_native()
        return pd.Series(
            pd.to_datetime(
                native if isinstance(native, pd.Series) else pd.Series(column.to_list()), utc=False
            )
        ).reset_index(drop=True)
    if isinstance(dtype, nw.Object):
        return _objects(column.to_list(), name)
    if isinstance(dtype, nw.Unknown) and column.is_null().all():
        return pd.Series(np.full(len(column), np.nan))
    raise DataError(
        f"Column {name!r} holds {getattr(column.to_native(), 'dtype', dtype)}; a model can use numbers, texts, booleans, categories and dates."
    )


def _numbers(column: nw.Series[Any]) -> Any:
    """int64 where every value is a whole number that fits (Int64 where some are gaps), else float64."""
    if column.dtype.is_integer() and column.dtype != nw.UInt64 and column.is_null().any():
        whole = pd.array(column.fill_null(0).cast(nw.Int64).to_numpy(), dtype="Int64")
        whole[column.is_null().to_numpy().astype(bool)] = pd.NA
        return whole
    if column.is_null().any():
        return column.cast(nw.Float64).fill_null(np.nan).to_numpy().astype(float)
    if column.dtype.is_integer():
        values = column.to_numpy()
        return (
            values.astype(np.int64)
            if values.dtype != np.uint64 or values.max(initial=0) < 2**63
            else values.astype(float)
        )
    return column.cast(nw.Float64).to_numpy().astype(float)


def _categorical(column: nw.Series[Any]) -> pd.Series:
    native = column.to_native()
    if isinstance(column.dtype, nw.Enum) and not isinstance(native, pd.Series):
        return pd.Series(pd.Categorical(column.cast(nw.String).to_list(), categories=column.dtype.categories))
    if column.implementation.is_polars():  # its categories are in order of appearance
        return _texts(column.cast(nw.String).to_list())
    native = native if isinstance(native, pd.Series) else native.to_pandas()
    if isinstance(native.cat.categories, pd.IntervalIndex):
        native = native.cat.rename_categories([str(interval) for interval in native.cat.categories])
    return native.cat.as_unordered().reset_index(drop=True)


def _texts(values: Any) -> pd.Series:
    codes, levels = pd.factorize(np.asarray(values, dtype=object) if isinstance(values, list) else values)
    levels = pd.Index([str(level) for level in levels], dtype=object)
    order = np.argsort(levels.to_numpy(dtype=object), kind="stable")
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return pd.Series(pd.Categorical.from_codes(rank[codes], categories=levels[order]))


def _objects(values: list[Any], name: str) -> pd.Series:
    """A column of Python objects: what pandas takes it for, if that is one plain kind."""
    gone = pd.Series(values, dtype=object).isna().to_list()
    clean = [None if lost else value for lost, value in zip(gone, values, strict=True)]
    kind = pd.api.types.infer_dtype(clean, skipna=True)
    if kind == "string":
        return _texts(clean)
    if kind == "boolean":
        return pd.Series(pd.Categorical(clean, categories=[False, True]))
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        if kind == "integer" and all(value is None or abs(value) < 2**63 for value in clean):
            whole = pd.array([0 if value is None else int(value) for value in clean], dtype="Int64")
            whole[np.array(gone)] = pd.NA
            return pd.Series(whole)
        return pd.Series(np.array([np.nan if value is None else float(value) for value in clean]))
    if kind in ("date", "datetime", "datetime64"):
        try:
            return pd.Series(pd.to_datetime(pd.Series(clean)))
        except (TypeError, ValueError) as error:
            raise DataError(f"Column {name!r} holds dates that do not go together: {error}") from error
    if kind == "empty":
        return pd.Series(np.full(len(values), np.nan))
    types = listed(sorted({type(value).__name__ for value in clean if value is not None}))
    raise DataError(
        f"Column {name!r} holds {types}; a model can use one kind of number, text, boolean, category or date."
    )


def _tidied(column: pd.Series, name: str) -> pd.Series:
    """The column without levels that no longer occur; infinite numbers are refused."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories()
    if isinstance(column.dtype, pd.Int64Dtype):
        return column.astype(np.int64)
    if column.dtype.kind == "f":
        values = column.to_numpy()
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            row = column.index[infinite[0]]
            raise DataError(
                f"Column {name!r} is infinite in {counted(len(infinite), 'row')}, the first being row {row} (from 0); remove or replace the value."
            )
    return column


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
