"""Any table -> the columns that a formula uses, in a few plain pandas dtypes, rows with gaps left out.

pandas, polars and Arrow tables come in through narwhals; the caller's table is only read. What leaves
is a pandas frame of int64 (uint64 where numbers are beyond it), float64, datetime64 and categorical columns
(texts, booleans, periods and intervals become categorical: False before True, texts sorted by code point).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from os import PathLike
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pandas as pd

from mixedbayes.errors import ArgumentError, DataError, counted, is_one_of, listed, nearest, shown

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
    if not len(rows.kept) and not may_be_empty:
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
    return columns.assign(**{name: _alike(columns[name], learned[name]) for name in columns})


def _alike(column: pd.Series, learned: pd.Series) -> pd.Series:
    here, there = _kind(column), _kind(learned)
    if here != there:
        raise DataError(f"{column.name} holds {here}, where the model has learned {there}.")
    if isinstance(learned.dtype, pd.CategoricalDtype):
        return _with_categories(column.astype("category"), learned.cat.categories)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if here == AWARE:
        return column.dt.tz_convert(learned.dt.tz)
    if learned.dtype.kind in "iu" and column.dtype.kind == "f":
        is_whole = (column % 1 == 0).all() and (column.abs() <= EXACT).all()
        return column.astype(np.int64) if is_whole else column  # whole numbers beside gaps arrive as floats
    return column


def _with_categories(column: pd.Series, known: pd.Index) -> pd.Series:
    """A categorical column with the categories known first, and then its own others."""
    if isinstance(known, pd.DatetimeIndex) and known.tz is not None:
        column = column.cat.rename_categories(column.cat.categories.tz_convert(known.tz))
    new = column.cat.categories.difference(known, sort=False)
    if known.dtype != new.dtype and {known.dtype.kind, new.dtype.kind} <= set("iuf"):
        known, new = known.astype(object), new.astype(object)  # appended they would be floats
    return column.cat.set_categories(known.append(new))


def _kind(column: pd.Series) -> str:
    """What a column from `read_columns` holds, in words."""
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    dtype = column.cat.categories.dtype if is_categorical else column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return AWARE
    return {"b": "booleans", "M": "dates", **dict.fromkeys("iuf", "numbers")}.get(
        dtype.kind, "text or categories"
    )


AWARE = "dates with a time zone"

EXACT = 2**53
"""Up to here floats tell whole numbers apart."""


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


STRAYS = 10
"""A column has strays if it has so many times as many numbers."""


def strays(levels: Sequence[Any]) -> list[str]:
    """Texts that are no numbers among very many that are, as '?' or '1,5'; none where levels are texts of any kind."""
    odd = [level for level in levels if isinstance(level, str) and not _is_number_text(level)]
    return odd if len(odd) * STRAYS <= len(levels) - len(odd) else []


def _is_number_text(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def stray_notes(columns: pd.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    """What to say of predictors that would be numbers but for a few texts among them: they are factors."""
    factors = {
        name: columns[name].cat.categories
        for name in names
        if name in columns and isinstance(columns[name].dtype, pd.CategoricalDtype)
    }
    return tuple(
        f"{name} holds {listed(map(repr, odd), 4)} beside numbers and is a factor of {len(levels):,} levels; make it a gap to have numbers."
        for name, levels in factors.items()
        if (odd := strays(list(levels)))
    )


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
    name = column.name
    try:
        dtype = column.dtype
    except ValueError:  # of decimals in tens or hundreds, for which narwhals has no word
        return _objects(column.to_list(), name)
    if isinstance(dtype, nw.Decimal | nw.Int128 | nw.UInt128):
        return _objects(column.to_list(), name)
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
        return _texts(native if isinstance(native, pd.Series) else column.to_list(), name)
    if isinstance(dtype, nw.Date | nw.Datetime):
        return _dates(column)
    if isinstance(dtype, nw.Unknown):
        return _uncommon(column)
    if isinstance(dtype, nw.Object):
        return _objects(column.to_list(), name)
    held = getattr(column.to_native(), "dtype", dtype)
    raise _unusable(name, str(held), next((key for key in REMEDIES if key in str(dtype).lower()), ""))


REMEDIES = {
    "duration": "make it a number, such as its hours",
    "timedelta": "make it a number, such as its hours",
    "time": "make it a number, such as hours since midnight",
    "binary": "decode it to text",
    "dict": "give each value a column of its own",
    "tuple": "give each value a row or a column of its own",
    "bytes": "decode it to text",
    "complex": "take its real and imaginary parts, or its size, as columns",
    "list": "give each value a row or a column of its own",
    "array": "give each value a row or a column of its own",
    "struct": "give each value a column of its own",
    "mixed": "make it of one kind, such as text",
}
"""What to do with a column that no model can use, by what it holds."""


def _unusable(name: str, held: str, kind: str) -> DataError:
    """The error for a column that no model can use."""
    remedy = f": {REMEDIES[kind]}" if kind in REMEDIES else ""
    return DataError(
        f"Column {name!r} holds {held}; a model can use one kind of number, text, boolean, category or date{remedy}."
    )


def _remedy_kind(kind: str, types: str) -> str:
    """The key into REMEDIES, by pandas' word for some objects and the names of their types."""
    return next((key for key in REMEDIES if key in f"{kind} {types}".lower()), "")


def _numbers(column: nw.Series[Any]) -> Any:
    """int64 where every value is a whole number, uint64 where one is beyond it (Int64, UInt64 where some are gaps), else float64."""
    lost = column.is_null().to_numpy().astype(bool)
    if not column.dtype.is_integer():
        floats = column.fill_null(np.nan) if lost.any() else column
        return floats.cast(nw.Float64).to_numpy().astype(float)
    values = (column.fill_null(0) if lost.any() else column).to_numpy()
    dtype = "UInt64" if values.dtype == np.uint64 and values.max(initial=0) >= 2**63 else "Int64"
    if not lost.any():
        return values.astype(dtype.lower())
    return pd.arrays.IntegerArray(values.astype(dtype.lower()), lost)


def _dates(column: nw.Series[Any]) -> pd.Series:
    """Dates of any year: by way of NumPy, for Python knows only the years 1 to 9999, and no nanoseconds."""
    native = _unwrapped(column)
    if isinstance(native, pd.Series):
        return pd.Series(pd.to_datetime(native, utc=False)).reset_index(drop=True)
    values = native.to_numpy()
    if values.dtype == "M8[D]":
        values = values.astype("M8[s]")
    zone = getattr(column.dtype, "time_zone", None)
    dates = pd.Series(values)
    return dates if zone is None else dates.dt.tz_localize("UTC").dt.tz_convert(zone)


def _unwrapped(column: nw.Series[Any]) -> Any:
    """The column as its library has it; Arrow's also where pandas keeps it."""
    native = column.to_native()
    if (
        isinstance(native, pd.Series)
        and hasattr(native.array, "__arrow_array__")
        and hasattr(native.dtype, "pyarrow_dtype")
    ):
        return native.array.__arrow_array__()
    return native


def _uncommon(column: nw.Series[Any]) -> pd.Series:
    """A column of a type that narwhals has no word for: pandas' own ones, and rare ones of Arrow's."""
    native, name = column.to_native(), column.name
    dtype = getattr(native, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "V":  # bytes without a meaning, of which none is a gap
        raise _unusable(name, str(dtype), "")
    if column.is_null().all():
        return pd.Series(np.full(len(column), np.nan))
    if isinstance(dtype, pd.SparseDtype):
        return _series(nw.from_native(native.sparse.to_dense().rename(name), series_only=True))
    if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        return _spans(native, name)
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        with np.errstate(over="ignore"):
            floats = native.to_numpy().astype(float)
        return pd.Series(_told_apart(native.to_numpy(), floats, name))
    if isinstance(dtype, np.dtype):
        raise _unusable(name, str(dtype), {"c": "complex", "m": "timedelta"}.get(dtype.kind, ""))
    if str(getattr(_unwrapped(column), "type", "")).startswith("date"):
        return _dates(column)
    return _objects(column.to_list(), name)


def _spans(column: pd.Series, name: str) -> pd.Series:
    """Periods and intervals, which name what lies in them: categories in their order."""
    try:
        return _labelled(column.astype("category"), name)
    except TypeError:
        raise _unusable(name, str(column.dtype), "mixed") from None


def _categorical(column: nw.Series[Any]) -> pd.Series:
    native, name = column.to_native(), column.name
    if isinstance(column.dtype, nw.Enum) and column.implementation.is_polars():
        return pd.Series(pd.Categorical(column.cast(nw.String).to_list(), categories=column.dtype.categories))
    if column.implementation.is_polars():  # its categories are in order of appearance
        return _texts(column.cast(nw.String).to_list(), name)
    if isinstance(native, pd.Series) and isinstance(native.dtype, pd.CategoricalDtype):
        return _labelled(native, name)
    arrow = _unwrapped(column)
    try:
        return _labelled(arrow.unify_dictionaries().to_pandas(), name)
    except (ValueError, NotImplementedError):  # a dictionary with gaps, or with a value twice
        values = arrow.cast(arrow.type.value_type)
        return _series(nw.from_native(values, series_only=True).alias(name))


def _labelled(column: pd.Series, name: str) -> pd.Series:
    """A categorical column whose categories are of one plain kind, so that no two read alike."""
    categories = column.cat.categories
    kind = pd.api.types.infer_dtype(categories, skipna=False)
    if isinstance(categories, pd.IntervalIndex | pd.PeriodIndex):
        plain = pd.Index([str(category) for category in categories], dtype=object)
    elif kind not in ("string", "boolean", "integer", "floating", "datetime64", "datetime", "date", "empty"):
        types = listed(sorted({type(category).__name__ for category in categories}))
        raise _unusable(name, f"categories of {types}", _remedy_kind(kind, types))
    elif kind in ("datetime", "date"):
        plain = pd.DatetimeIndex(_datetimes(categories, name))
    elif isinstance(categories.dtype, np.dtype | pd.StringDtype | pd.DatetimeTZDtype):
        plain = categories
    else:
        plain = pd.Index(categories.tolist())
    if kind == "string":
        _check_unicode(plain, name)
    known = plain.notna()  # a category of Arrow's can be no number
    codes = np.append(np.where(known, np.cumsum(known) - 1, -1), -1)[column.cat.codes.to_numpy()]
    return pd.Series(pd.Categorical.from_codes(codes, plain[known]))


def _texts(values: Any, name: str) -> pd.Series:
    codes, levels = pd.factorize(np.asarray(values, dtype=object) if isinstance(values, list) else values)
    levels = pd.Index([str(level) for level in levels], dtype=object)
    _check_unicode(levels, name)
    order = np.argsort(levels.to_numpy(dtype=object), kind="stable")
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return pd.Series(pd.Categorical.from_codes(rank[codes], categories=levels[order]))


def _check_unicode(levels: pd.Index, name: str) -> None:
    """Refuse halves of characters, which neither files nor terminals take."""
    for level in levels:
        try:
            level.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"Column {name!r} holds {level!r}, which is no text of Unicode: read the file in its own encoding."
            ) from None


def _objects(values: list[Any], name: str) -> pd.Series:
    """A column of Python objects: what pandas takes it for, if that is one plain kind."""
    gone = pd.Series(values, dtype=object).isna().to_list()
    clean = [None if lost else value for lost, value in zip(gone, values, strict=True)]
    kind = pd.api.types.infer_dtype(clean, skipna=True)
    if kind == "string":
        return _texts(clean, name)
    if kind == "boolean":
        return pd.Series(pd.Categorical(clean, categories=[False, True]))
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return pd.Series(_number_objects(clean, name))
    if kind in ("date", "datetime", "datetime64"):
        return pd.Series(_datetimes(pd.Series(clean), name))
    if kind in ("period", "interval") and (inferred := pd.Series(clean)).dtype != object:
        return _spans(inferred, name)
    if kind == "empty":
        return pd.Series(np.full(len(values), np.nan))
    types = listed(sorted({type(value).__name__ for value in clean if value is not None}))
    raise _unusable(name, types, _remedy_kind(kind, types))


def _datetimes(values: Any, name: str) -> Any:
    """Dates as pandas has them, in one zone or all without."""
    try:
        return pd.to_datetime(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"Column {name!r} holds dates that do not go together: {error}") from error


def _number_objects(values: list[Any], name: str) -> Any:
    """Python's numbers, None for gaps: as 64 bits, if these tell apart what is not the same."""
    known = [value for value in values if value is not None]
    if all(_is_whole(value) for value in known):
        least, most = min(map(int, known)), max(map(int, known))
        fits = {"Int64": (-(2**63), 2**63 - 1), "UInt64": (0, 2**64 - 1)}
        for dtype, (lowest, highest) in fits.items():
            if lowest <= least and most <= highest:
                # not by pd.array, which takes large numbers through floats
                whole = np.array([0 if value is None else int(value) for value in values], dtype.lower())
                return pd.arrays.IntegerArray(whole, np.array([value is None for value in values]))
    try:
        floats = np.array([np.nan if value is None else float(value) for value in values])
    except OverflowError:
        raise DataError(f"Column {name!r} holds numbers beyond 1e308; measure it in a larger unit.") from None
    exact = np.empty(len(known), dtype=object)
    exact[:] = known
    _told_apart(exact, floats[[value is not None for value in values]], name)
    return floats


def _is_whole(value: Any) -> bool:
    """Whether a number is a whole one by its type, or a whole one of those that hold decimals."""
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return hasattr(value, "__index__")


def _told_apart(exact: np.ndarray, floats: np.ndarray, name: str) -> np.ndarray:
    """The floats, if no two of them are the same that were not, and none stands for a whole number that it is not."""
    known = ~np.isnan(floats)
    rounded = exact[known][floats[known] != exact[known]]
    whole = any(map(_is_whole, rounded))
    if whole or (len(rounded) and len(np.unique(floats[known])) < len(set(exact[known].tolist()))):
        raise DataError(
            f"Column {name!r} holds {rounded[0]}, which 64 bits would round: make it text if it names a group, floats if it is a predictor."
        )
    return floats


def _tidied(column: pd.Series, name: str) -> pd.Series:
    """The column without levels that no longer occur; infinite numbers are refused."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories()
    if isinstance(column.dtype, pd.Int64Dtype):
        return column.astype(np.int64)
    if column.dtype in ("uint64", "UInt64"):
        return column.astype(np.int64 if not len(column) or column.max() < 2**63 else np.uint64)
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
