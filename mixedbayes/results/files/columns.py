"""Columns of a table and the names of its rows <-> arrays that a netCDF file can hold; they return as they were."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.errors import DesignWarning, FileError, listed, warn

PLAIN = (
    "bool",
    "float32",
    "float64",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
)
"""Dtypes that columns and levels can have beside texts and dates."""

NULLABLE = (
    "boolean",
    "Float32",
    "Float64",
    *(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)),
)
"""Dtypes of numbers with gaps."""

JSON = "json "
"""Before the dtype of values that are each written as JSON: what texts in a file cannot say."""


def columns_to_dataset(columns: pd.DataFrame) -> xr.Dataset:
    """All columns' values and all factors' codes and levels, end to end: a variable for each would take long to read."""
    plain: dict[int, pd.Index] = {}
    codes: dict[int, pd.Index] = {}
    levels: dict[int, pd.Index] = {}
    for i, name in enumerate(columns):
        column = columns[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes[i], levels[i] = pd.Index(column.cat.codes.to_numpy()), column.cat.categories
        else:
            plain[i] = pd.Index(column)
    return xr.Dataset(_joined("values", plain) | _joined("codes", codes) | _joined("levels", levels))


def dataset_to_columns(data: xr.Dataset, names: Sequence[str] | None) -> pd.DataFrame:
    """The inverse of `columns_to_dataset`.

    Args:
        data: What it made.
        names: Of the columns; None where a file of the first format has them beside each.
    """
    if names is None:
        return _columns_one_by_one(data)
    plain, codes, levels = (_parted(data, what) for what in ("values", "codes", "levels"))
    made = plain | {i: pd.Categorical.from_codes(codes[i].to_numpy(), levels[i]) for i in codes}
    if sorted(made) != list(range(len(names))):
        raise FileError("its columns are not those of its description")
    return pd.DataFrame({str(name): made[i] for i, name in enumerate(names)})


def _joined(what: str, parts: Mapping[int, pd.Index]) -> dict[str, Any]:
    """Variables of the parts end to end, those of a dtype in one, with the place and length of each."""
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    for place, part in parts.items():
        values, dtype = _numbers(part)
        found.setdefault(dtype, []).append((place, values))
    variables: dict[str, Any] = {}
    for k, (dtype, several) in enumerate(found.items()):
        name = f"{what}_{k}"
        joined = np.concatenate([values for _, values in several])
        variables[name] = (f"{name}_item", joined, {"pandas_dtype": dtype})
        variables[f"{name}_places"] = (f"{name}_part", np.array([place for place, _ in several]))
        variables[f"{name}_lengths"] = (f"{name}_part", np.array([len(values) for _, values in several]))
    return variables


def _parted(data: xr.Dataset, what: str) -> dict[int, pd.Index]:
    """The inverse of `_joined`."""
    found: dict[int, pd.Index] = {}
    k = 0
    while (name := f"{what}_{k}") in data:
        values = _values(data[name])
        places, lengths = (data[f"{name}_{each}"].to_numpy().tolist() for each in ("places", "lengths"))
        ends = np.cumsum([0, *lengths]).tolist()
        if min(lengths) < 0 or ends[-1] != len(values) or set(places) & set(found):
            raise FileError(f"the parts of its {what} are not as long as they say")
        found |= {
            place: values[start:stop] for place, (start, stop) in zip(places, pairwise(ends), strict=True)
        }
        k += 1
    return found


def _columns_one_by_one(data: xr.Dataset) -> pd.DataFrame:
    """Columns as files of the first format have them."""
    columns: dict[str, Any] = {}
    for i in range(sum(str(name).startswith("column_") for name in data.data_vars)):
        stored = data[f"column_{i}"]
        columns[str(stored.attrs["name"])] = (
            pd.Categorical.from_codes(stored.to_numpy(), categories=_values(data[f"levels_{i}"]))
            if f"levels_{i}" in data
            else _values(stored)
        )
    return pd.DataFrame(columns)


def index_to_dataset(index: pd.Index, kept: np.ndarray) -> xr.Dataset:
    """What the caller's table calls its rows; nothing where that is their positions."""
    if index.dtype == np.int64 and index.name is None and np.array_equal(index.to_numpy(), kept):
        return xr.Dataset()
    variables: dict[str, Any] = {}
    for i in range(index.nlevels):
        variables |= _index_variables(f"index_{i}", index.get_level_values(i), "row")
    return xr.Dataset(variables)


def dataset_to_index(data: xr.Dataset, names: Sequence[Any] | None) -> pd.Index | None:
    """The inverse of `index_to_dataset`.

    Args:
        data: What it made.
        names: Of the index; None for those in the file.
    """
    levels = [f"index_{i}" for i in range(sum(str(name).startswith("index_") for name in data.data_vars))]
    levels = [name for name in levels if name in data]
    if names is None:
        names = [data[name].attrs.get("name") for name in levels]
    names = [_tupled(name) for name in names]
    found = [_index_of(data, name) for name in levels]
    if len(found) > 1:
        return pd.MultiIndex.from_arrays(found, names=names)
    return found[0].rename(names[0]) if found else None


def names_of(index: pd.Index) -> list[Any]:
    """What an index and its levels are called, as JSON can say it."""
    return [name if _decoded(_encoded(name)) == name else str(name) for name in index.names]


def _index_variables(name: str, values: pd.Index, dim: str) -> dict[str, Any]:
    """One level of an index; of intervals and categories what they are made of."""
    if isinstance(values, pd.IntervalIndex):
        ends = {"pandas_dtype": "interval", "closed": values.closed}
        return {
            name: (dim, np.zeros(len(values), dtype=np.int8), ends),
            **_index_variables(f"of_{name}_left", values.left, dim),
            **_index_variables(f"of_{name}_right", values.right, dim),
        }
    if isinstance(values, pd.CategoricalIndex):
        ordered = {"pandas_dtype": "category", "ordered": int(values.ordered)}
        return {
            name: (dim, np.asarray(values.codes), ordered),
            **_index_variables(f"of_{name}_levels", values.categories, f"{name}_level"),
        }
    stored, dtype = _numbers(values)
    return {name: (dim, stored, {"pandas_dtype": dtype})}


def _index_of(data: xr.Dataset, name: str) -> pd.Index:
    """The inverse of `_index_variables`."""
    stored = data[name]
    match stored.attrs["pandas_dtype"]:
        case "interval":
            left, right = (_index_of(data, f"of_{name}_{end}") for end in ("left", "right"))
            return pd.IntervalIndex.from_arrays(left, right, closed=str(stored.attrs["closed"]))
        case "category":
            levels = _index_of(data, f"of_{name}_levels")
            ordered = bool(stored.attrs["ordered"])
            return pd.CategoricalIndex(pd.Categorical.from_codes(stored.to_numpy(), levels, ordered=ordered))
    return _values(stored)


def _numbers(values: pd.Index) -> tuple[np.ndarray, str]:
    """Values as a file can hold them, and the dtype they are to have again.

    Dates, periods, durations and booleans become integers; what is neither they nor numbers nor texts becomes JSON.
    """
    if isinstance(values, pd.DatetimeIndex) and not _is_named(values.dtype):
        warn(f"A file holds no time zone {values.tz}: its dates are saved as of UTC.", DesignWarning)
        values = values.tz_convert("UTC")
    if isinstance(values, pd.DatetimeIndex | pd.PeriodIndex | pd.TimedeltaIndex):
        return values.asi8, str(values.dtype)
    if isinstance(values.dtype, np.dtype) and str(values.dtype) in PLAIN:
        plain = values.to_numpy()
        return plain.astype(np.int8) if plain.dtype == bool else plain, str(plain.dtype)
    dtype = str(values.dtype) if str(values.dtype) in NULLABLE else "object"
    if isinstance(values.dtype, pd.StringDtype):
        dtype = "str"
    items = [_plain(value, dtype) for value in values]
    if dtype in ("str", "object") and all(isinstance(item, str) and writable(item) == item for item in items):
        return np.array(items, dtype=object), dtype
    texts = [_encoded(item) for item in items]
    back = _index([_decoded(text) for text in texts], dtype)
    if [repr(_plain(value, dtype)) for value in back] == [repr(item) for item in items]:
        return np.array(texts, dtype=object), JSON + dtype
    kinds = listed(sorted({type(value).__name__ for value in values}))
    warn(f"A file holds no {kinds}: what names rows or levels so is saved as text.", DesignWarning)
    return np.array([writable(str(value)) for value in values], dtype=object), "object"


def _values(stored: xr.DataArray) -> pd.Index:
    """The inverse of `_numbers`."""
    dtype, values = str(stored.attrs["pandas_dtype"]), stored.to_numpy()
    if dtype.startswith(JSON):
        return _index([_decoded(text) for text in values], dtype.removeprefix(JSON))
    if dtype in ("str", "object"):
        return pd.Index(values, dtype=dtype)
    if dtype.startswith("datetime64"):
        unit = dtype.removeprefix("datetime64[").rstrip("]").split(",")[0]
        naive = pd.DatetimeIndex(values.astype(np.int64).view(f"M8[{unit}]"))
        return naive if "," not in dtype else naive.tz_localize("UTC").astype(dtype)
    if dtype.startswith("period"):
        return pd.PeriodIndex.from_ordinals(values.astype(np.int64), freq=pd.PeriodDtype(dtype).freq)
    if dtype.startswith("timedelta64"):
        return pd.TimedeltaIndex(values.astype(np.int64).view(f"m8{dtype.removeprefix('timedelta64')}"))
    if dtype not in PLAIN:
        raise FileError(f"it has a column of {dtype}")
    return pd.Index(values.astype(dtype))


def _index(items: list[Any], dtype: str) -> pd.Index:
    """Values from JSON as an index, tuples as they are."""
    if dtype != "object":
        if dtype not in (*NULLABLE, "str"):
            raise FileError(f"it has a column of {dtype}")
        if "Int" in dtype:  # not by way of lists, in which large numbers become floats
            whole = np.array([item or 0 for item in items], dtype.lower())
            return pd.Index(pd.arrays.IntegerArray(whole, np.array([item is None for item in items])))
        return pd.Index(items, dtype=dtype)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return pd.Index(array, dtype=object, tupleize_cols=False)


def _plain(value: Any, dtype: str) -> Any:
    """A value of an index without NumPy's type; None for a gap where the dtype says which."""
    if dtype != "object" and pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _is_named(dtype: Any) -> bool:
    """Whether a dtype's name says all of it: not that of a zone which is no name."""
    try:
        return bool(pd.api.types.pandas_dtype(str(dtype)) == dtype)
    except (TypeError, ValueError, LookupError):
        return False


def _encoded(value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return "null"


def _decoded(text: Any) -> Any:
    return _tupled(json.loads(text))


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def writable(text: str) -> str:
    """A text with escapes for what a netCDF file cannot hold: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", r"\x00")
