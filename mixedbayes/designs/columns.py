"""Any column of any table -> one of a few plain pandas dtypes; and new columns in the kinds of those learned from.

int64 (uint64 where numbers are beyond it), float64, datetime64 and categories (texts, booleans, periods and
intervals become categories: False before True, texts sorted by code point).
"""

from collections.abc import Mapping, Sequence
from datetime import time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from mixedbayes.errors import DataError, counted, listed


class Held(Enum):
    """What a column of the caller's holds, by its type or, of Python's objects, by theirs."""

    NUMBERS = auto()
    LONG_FLOATS = auto()
    BOOLEANS = auto()
    TEXTS = auto()
    CATEGORIES = auto()
    DATES = auto()
    SPANS = auto()
    SPARSE = auto()
    OBJECTS = auto()
    NOTHING = auto()
    UNUSABLE = auto()


HELD: Mapping[type[nw.dtypes.DType], Held] = {
    **dict.fromkeys((nw.Decimal, nw.Int128, nw.UInt128, nw.Object), Held.OBJECTS),
    nw.Boolean: Held.BOOLEANS,
    nw.String: Held.TEXTS,
    nw.Categorical: Held.CATEGORIES,
    nw.Enum: Held.CATEGORIES,
    nw.Date: Held.DATES,
    nw.Datetime: Held.DATES,
}
"""By the type that narwhals has for a column; other numeric ones are numbers, the rest no model can use."""

HELD_BY_OBJECTS: Mapping[str, Held] = {
    "string": Held.TEXTS,
    "boolean": Held.BOOLEANS,
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), Held.NUMBERS),
    **dict.fromkeys(("date", "datetime", "datetime64"), Held.DATES),
    **dict.fromkeys(("period", "interval"), Held.SPANS),
    "empty": Held.NOTHING,
}
"""By pandas' word for Python's objects (`infer_dtype`); others no model can use."""

_HOURS, _OF_DAY = "make it a number, such as its hours", "make it a number, such as hours since midnight"
_DECODE, _PARTS = "decode it to text", "take its real and imaginary parts, or its size, as columns"
_COLUMNS, _ROWS = "give each value a column of its own", "give each value a row or a column of its own"
_MIXED = "make it of one kind, such as text"

REMEDIES: Mapping[type[nw.dtypes.DType], str] = {
    nw.Duration: _HOURS,
    nw.Time: _OF_DAY,
    nw.Binary: _DECODE,
    nw.List: _ROWS,
    nw.Array: _ROWS,
    nw.Struct: _COLUMNS,
}
"""What to do with a column that no model can use, by its type."""

REMEDIES_BY_NUMPY = {"c": _PARTS, "m": _HOURS}
"""The same by NumPy's kinds."""

REMEDIES_OF_OBJECTS: Mapping[type, str] = {
    timedelta: _HOURS,
    np.timedelta64: _HOURS,
    time: _OF_DAY,
    dict: _COLUMNS,
    bytes: _DECODE,
    complex: _PARTS,
    **dict.fromkeys((tuple, list, np.ndarray), _ROWS),
}
"""The same by the types of Python's objects; where none of these is among them they are of several kinds."""


def plain_column(column: nw.Series[Any]) -> pd.Series:  # noqa: C901, PLR0911  # a match over a closed set
    """One column in a plain dtype; gaps are NaN, NaT or an absent category.

    Raises:
        DataError: It holds what no model can use.
    """
    name = column.name
    match held_by(column):
        case Held.NUMBERS:
            return pd.Series(_numbers(column))
        case Held.LONG_FLOATS:
            floats = column.to_native().to_numpy()
            with np.errstate(over="ignore"):
                doubles = floats.astype(float)
            return pd.Series(_told_apart(floats, doubles, name))
        case Held.BOOLEANS:
            pairs = zip(column.to_list(), column.is_null().to_list(), strict=True)
            values = [None if lost else bool(value) for value, lost in pairs]
            return pd.Series(pd.Categorical(values, categories=[False, True]))
        case Held.TEXTS:
            native = column.to_native()
            return _texts(native if isinstance(native, pd.Series) else column.to_list(), name)
        case Held.CATEGORIES:
            return _categorical(column)
        case Held.DATES:
            return _dates(column)
        case Held.SPANS:
            return _spans(column.to_native(), name)
        case Held.SPARSE:
            dense = column.to_native().sparse.to_dense().rename(name)
            return plain_column(nw.from_native(dense, series_only=True))
        case Held.OBJECTS:
            return _objects(column.to_list(), name)
        case Held.NOTHING:
            return pd.Series(np.full(len(column), np.nan))
        case Held.UNUSABLE:
            raise _unusable(name, str(getattr(column.to_native(), "dtype", column.dtype)), _remedy(column))


def held_by(column: nw.Series[Any]) -> Held:
    """What a column holds, found once."""
    try:
        dtype = column.dtype
    except ValueError:  # of decimals in tens or hundreds, for which narwhals has no word
        return Held.OBJECTS
    if isinstance(dtype, nw.Unknown):
        return _held_by_rare(column)
    known = next((held for kind, held in HELD.items() if isinstance(dtype, kind)), None)
    return known or (Held.NUMBERS if dtype.is_numeric() else Held.UNUSABLE)


def _held_by_rare(column: nw.Series[Any]) -> Held:
    """Of types that narwhals has no word for: pandas' own ones, and rare ones of Arrow's."""
    dtype = getattr(column.to_native(), "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "V":  # bytes without a meaning, of which none is a gap
        return Held.UNUSABLE
    if column.is_null().all():
        return Held.NOTHING
    match dtype:
        case pd.SparseDtype():
            return Held.SPARSE
        case pd.PeriodDtype() | pd.IntervalDtype():
            return Held.SPANS
        case np.dtype(kind="f"):
            return Held.LONG_FLOATS
        case np.dtype():
            return Held.UNUSABLE
    is_date = str(getattr(_unwrapped(column), "type", "")).startswith("date")  # Arrow's date64
    return Held.DATES if is_date else Held.OBJECTS


def _remedy(column: nw.Series[Any]) -> str:
    """What to do with a column that no model can use."""
    match getattr(column.to_native(), "dtype", None):
        case np.dtype(kind=kind) if kind in REMEDIES_BY_NUMPY:
            return REMEDIES_BY_NUMPY[kind]
    return next((remedy for kind, remedy in REMEDIES.items() if isinstance(column.dtype, kind)), "")


def _remedy_of_objects(values: Sequence[Any]) -> str:
    return next(
        (
            remedy
            for kind, remedy in REMEDIES_OF_OBJECTS.items()
            if any(isinstance(value, kind) for value in values)
        ),
        _MIXED,
    )


def _unusable(name: str, held: str, remedy: str) -> DataError:
    """The error for a column that no model can use."""
    what = f": {remedy}" if remedy else ""
    return DataError(
        f"Column {name!r} holds {held}; a model can use one kind of number, text, boolean, category or date{what}."
    )


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


def _spans(column: pd.Series, name: str) -> pd.Series:
    """Periods and intervals, which name what lies in them: categories in their order."""
    try:
        return _labelled(column.astype("category"), name)
    except TypeError:
        raise _unusable(name, str(column.dtype), _MIXED) from None


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
        return plain_column(nw.from_native(values, series_only=True).alias(name))


def _labelled(column: pd.Series, name: str) -> pd.Series:
    """A categorical column whose categories are of one plain kind, so that no two read alike."""
    categories = column.cat.categories
    kind = pd.api.types.infer_dtype(categories, skipna=False)
    if isinstance(categories, pd.IntervalIndex | pd.PeriodIndex):
        plain = pd.Index([str(category) for category in categories], dtype=object)
    elif kind not in ("string", "boolean", "integer", "floating", "datetime64", "datetime", "date", "empty"):
        types = listed(sorted({type(category).__name__ for category in categories}))
        raise _unusable(name, f"categories of {types}", _remedy_of_objects(categories.tolist()))
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
    match HELD_BY_OBJECTS.get(pd.api.types.infer_dtype(clean, skipna=True)):
        case Held.TEXTS:
            return _texts(clean, name)
        case Held.BOOLEANS:
            return pd.Series(pd.Categorical(clean, categories=[False, True]))
        case Held.NUMBERS:
            return pd.Series(_number_objects(clean, name))
        case Held.DATES:
            return pd.Series(_datetimes(pd.Series(clean), name))
        case Held.SPANS if (inferred := pd.Series(clean)).dtype != object:
            return _spans(inferred, name)
        case Held.NOTHING:
            return pd.Series(np.full(len(values), np.nan))
    known = [value for value in clean if value is not None]
    types = listed(sorted({type(value).__name__ for value in known}))
    raise _unusable(name, types, _remedy_of_objects(known))


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


def tidied(column: pd.Series, name: str) -> pd.Series:
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


def alike(columns: pd.DataFrame, learned: pd.DataFrame) -> pd.DataFrame:
    """New columns in the kinds of the columns that a model learned from.

    Raises:
        DataError: One is of another kind, as text where there were numbers.
    """
    return columns.assign(**{name: _alike(columns[name], learned[name]) for name in columns})


def _alike(column: pd.Series, learned: pd.Series) -> pd.Series:
    here, there = kind_of(column), kind_of(learned)
    if here is not there:
        raise DataError(f"{column.name} holds {here}, where the model has learned {there}.")
    if isinstance(learned.dtype, pd.CategoricalDtype):
        return _with_categories(column.astype("category"), learned.cat.categories)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if here is Kind.AWARE_DATES:
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


class Kind(StrEnum):
    """What a column from `read_columns` holds, in words."""

    NUMBERS = "numbers"
    BOOLEANS = "booleans"
    DATES = "dates"
    AWARE_DATES = "dates with a time zone"
    TEXTS = "text or categories"


KINDS = {"b": Kind.BOOLEANS, "M": Kind.DATES, **dict.fromkeys("iuf", Kind.NUMBERS)}
"""By NumPy's kinds; others are texts."""


def kind_of(column: pd.Series) -> Kind:
    """What a column from `read_columns` holds; of categories, what they are."""
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    dtype = column.cat.categories.dtype if is_categorical else column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return Kind.AWARE_DATES
    return KINDS.get(dtype.kind, Kind.TEXTS)


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
