"""Fits on disk: one netCDF file with draws, the data used, and the model as text; nothing is pickled.

The design is not stored but made again, by the same recipe from the same rows: formula and data say it all.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from os import PathLike, strerror
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.design.design import build_design
from mixedbayes.design.extend import extend
from mixedbayes.design.table import Rows
from mixedbayes.errors import FileError, MixedBayesError, listed
from mixedbayes.model.families import FAMILIES, find_family
from mixedbayes.model.priors import parse_priors
from mixedbayes.model.spec import CHAIN, DRAW, ModelSpec, specify
from mixedbayes.results.diagnostics import describe_draws
from mixedbayes.results.log_likelihood import LOG_LIKELIHOOD
from mixedbayes.results.quantities import EFFECTS, MOMENTS

FORMAT = 1
MODEL, DATA = "mixedbayes", "mixedbayes_data"
"""The root's attribute that holds the model, and the group that holds the data."""

PLAIN = (
    "bool",
    "float32",
    "float64",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
)
"""Dtypes that columns and levels can have beside texts and dates."""

MAX_UNPACKING = 50
SMALL = 2**24
"""A file is read if it unpacks to no more than so many times its size, or to so few bytes."""


def save(spec: ModelSpec, idata: xr.DataTree, path: str | PathLike[str]) -> None:
    """Write a fit.

    Raises:
        FileError: The file cannot be written, or the family would not be known when it is read.
    """
    if FAMILIES.get(spec.family.name) is not spec.family:
        raise FileError(
            f"The family {spec.family.name!r} is your own: add it to FAMILIES, here and where the fit is loaded."
        )
    tree = xr.DataTree.from_dict(
        {
            name: _storable(node.to_dataset())
            for name, node in idata.children.items()
            if name != LOG_LIKELIHOOD  # it can be computed
        }
    )
    rows = spec.design.rows
    tree[DATA] = xr.DataTree(
        xr.merge([_columns_to_dataset(spec.design.data), _index_to_dataset(rows.index, rows.kept)])
    )
    tree.attrs[MODEL] = json.dumps(_described(spec))
    try:
        tree.to_netcdf(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        raise FileError(f"{path} cannot be written: {strerror(number) if number else error}.") from error


def read(path: str | PathLike[str], env: Mapping[str, Any] | None = None) -> tuple[ModelSpec, xr.DataTree]:
    """Read what `save` wrote.

    Args:
        path: The file.
        env: The functions and values that the formula used, if it was fitted with `env`.

    Raises:
        FileError: There is no such file, or it holds no fit.
    """
    tree = _opened(path)
    try:
        stored = tree[DATA].to_dataset()
        spec = _rebuilt(
            json.loads(tree.attrs[MODEL]), _dataset_to_columns(stored), _dataset_to_index(stored), env
        )
        _check_draws(spec, tree)
        describe_draws(tree)
    except MixedBayesError as error:
        raise FileError(f"{path} holds a fit that cannot be rebuilt: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise FileError(f"{path} is damaged: its model cannot be read.") from error
    draws = {
        name: _labelled(node.to_dataset(), spec.coords)
        for name, node in tree.children.items()
        if name != DATA
    }
    return spec, xr.DataTree.from_dict(draws)


def _opened(path: str | PathLike[str]) -> xr.DataTree:
    """All that is in the file, in memory."""
    try:
        _inspect(path)
        with xr.open_datatree(path, engine="h5netcdf") as lazy:
            return _loaded(lazy, path)
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"There is no file {path}.") from None
    except Exception as error:  # a damaged file shows as any exception, anywhere in three libraries
        raise FileError(f"{path} cannot be read as a netCDF file.") from error


def _inspect(path: str | PathLike[str]) -> None:
    """Refuse a file that reads from other files or unpacks to far more than it holds, before reading any of it."""
    sizes: dict[str, int] = {}
    with h5py.File(path) as file:  # h5netcdf would leave an unraisable exception behind what is no HDF5

        def elsewhere(name: str, link: Any) -> str | None:
            if _is_elsewhere(file, name, link):
                return name
            sizes[name] = getattr(file[name], "nbytes", 0)
            return None

        found = file.visititems_links(elsewhere)
    if found:
        raise FileError(f"{path} points to data outside of it, at {found}.")
    if sum(sizes.values()) > max(SMALL, MAX_UNPACKING * Path(path).stat().st_size):
        raise FileError(
            f"{path} unpacks to {sum(sizes.values()) / 2**30:,.1f} GiB, far more than it can hold."
        )


def _is_elsewhere(file: h5py.File, name: str, link: Any) -> bool:
    """Whether HDF5 would read it from another file: a link, external storage, a virtual data set."""
    if not isinstance(link, h5py.HardLink):
        return True
    item = file[name]
    return isinstance(item, h5py.Dataset) and bool(item.external or item.is_virtual)


def _loaded(lazy: xr.DataTree, path: str | PathLike[str]) -> xr.DataTree:
    if MODEL not in lazy.attrs:
        raise FileError(f"{path} holds no fit of mixedbayes.")
    return lazy.load()


def _described(spec: ModelSpec) -> dict[str, Any]:
    """The model in plain values."""
    design = spec.design
    values = [name for name in design.formula.names() if name not in design.data]
    used = [*values, *design.formula.functions()]
    return {
        "format": FORMAT,
        "formula": str(design.formula),
        "written": design.formula.text,
        "family": spec.family.name,
        "link": spec.link.name,
        "priors": {address: str(prior) for address, prior in spec.priors.items()},
        "rows": {
            "total": design.rows.total,
            "kept": None if not design.rows.dropped else design.rows.kept.tolist(),
            "missing": dict(design.rows.missing),
        },
        "batches": list(design.batches),
        "notes": list(design.notes),
        "env": sorted(name for name in design.env if name in used),
    }


def _rebuilt(
    described: Mapping[str, Any],
    columns: pd.DataFrame,
    index: pd.Index | None,
    env: Mapping[str, Any] | None,
) -> ModelSpec:
    if described["format"] != FORMAT:
        raise FileError(
            f"it says that its format is {described['format']!r}, and this version reads {FORMAT!r}"
        )
    lacking = [name for name in described["env"] if name not in (env or {})]
    if lacking:
        raise FileError(f"its formula uses {listed(lacking)} of env={{...}}; pass the same to load")
    batches = described.get("batches", [len(columns)])
    if not isinstance(batches, list) or not all(type(size) is int for size in batches):
        raise FileError("its batches of rows are no whole numbers")
    ends = np.cumsum(batches).tolist()
    if ends[-1] != len(columns) or min(np.diff([0, *ends])) < 1:
        raise FileError("its rows are not those of its data")
    family, link = find_family(described["family"], described["link"])
    design = build_design(described["formula"], columns.iloc[: ends[0]], env=env)
    spec = specify(design, family, link, parse_priors(described["priors"]))
    for start, stop in pairwise(ends):
        design = extend(design, columns.iloc[start:stop])
    design = replace(
        design,
        formula=replace(design.formula, text=str(described["written"])),
        rows=_rows(described["rows"], len(columns), index),
        notes=tuple(map(str, described["notes"])),
    )
    return spec.of(design)


def _rows(described: Mapping[str, Any], n: int, index: pd.Index | None) -> Rows:
    """Which rows of the caller's data the n rows stored are."""
    kept = np.arange(n) if described["kept"] is None else np.asarray(described["kept"], dtype=np.int64)
    total = int(described["total"])
    if described["kept"] is None and total != n:
        raise FileError("its rows are not those of its data")
    if kept.shape != (n,) or (np.diff(kept) <= 0).any() or kept[0] < 0 or kept[-1] >= total:
        raise FileError("its rows are not those of its data")
    kept.flags.writeable = False
    missing = {str(name): int(count) for name, count in described["missing"].items()}
    return Rows(total, kept, missing, pd.Index(kept) if index is None else index)


def _check_draws(spec: ModelSpec, tree: xr.DataTree) -> None:
    """Refuse draws that are not of this model."""
    effects = {block.r for block in spec.blocks}
    for name, dims in spec.dims.items():
        moments_only = name in effects and MOMENTS in tree.children
        if moments_only:
            _check_variable(spec, tree[MOMENTS], name, dims)
            _check_variable(spec, tree[MOMENTS], f"{name}_sd", dims)
        if not moments_only:
            _check_variable(spec, tree["posterior"], name, (CHAIN, DRAW, *dims))
        elif EFFECTS in tree.children:
            _check_variable(spec, tree[EFFECTS], name, (CHAIN, DRAW, *dims))


def _check_variable(spec: ModelSpec, node: Any, name: str, dims: Sequence[str]) -> None:
    if name not in node.data_vars:
        raise FileError(f"draws of {name} are not in it")
    drawn = node[name]
    if set(drawn.dims) != set(dims) or drawn.dtype.kind != "f":
        raise FileError(f"{name} holds no draws of {listed(set(dims) - {CHAIN, DRAW}) or 'a number'}")
    for dim in set(dims) - {CHAIN, DRAW}:
        if drawn.sizes[dim] != len(spec.coords[dim]):
            raise FileError(
                f"its draws have {drawn.sizes[dim]:,} of {dim}, its data {len(spec.coords[dim]):,}"
            )
        if dim in drawn.coords and not _same_labels(drawn[dim].to_numpy(), spec.coords[dim]):
            raise FileError(f"its draws of {name} are of other {dim} than its data")


def _same_labels(stored: np.ndarray, labels: np.ndarray) -> bool:
    """Whether labels are the same, as far as a file returns them as they were: numbers and texts."""
    if stored.dtype.kind in "iuf" and labels.dtype.kind in "iuf":
        return bool(np.array_equal(stored, labels))
    if all(isinstance(label, str) for label in (*stored, *labels)):
        return bool(np.array_equal(stored.astype(object), labels.astype(object)))
    return True


def _labelled(data: xr.Dataset, coords: Mapping[str, np.ndarray]) -> xr.Dataset:
    """The draws with the model's own labels: a file returns dates in nanoseconds and texts as it likes."""
    return data.assign_coords({dim: labels for dim, labels in coords.items() if dim in data.dims})


def _storable(data: xr.Dataset) -> xr.Dataset:
    """Python objects that are no texts left out, such as a sampler's messages; as labels they become texts."""
    odd = [name for name, variable in data.variables.items() if _holds_objects(variable)]
    labels = {name: data[name].astype(str).astype(object) for name in odd if name in data.coords}
    return data.drop_vars([name for name in odd if name not in labels]).assign_coords(labels)


def _holds_objects(variable: xr.Variable) -> bool:
    return variable.dtype == object and not all(isinstance(value, str) for value in variable.to_numpy().flat)


def _columns_to_dataset(columns: pd.DataFrame) -> xr.Dataset:
    """Columns as numbers; categories beside them, by the column's place (names can be any text)."""
    variables: dict[str, Any] = {}
    for i, (name, column) in enumerate(columns.items()):
        if isinstance(column.dtype, pd.CategoricalDtype):
            levels, dtype = _numbers(column.cat.categories)
            variables[f"levels_{i}"] = (f"level_{i}", levels, {"pandas_dtype": dtype})
            variables[f"column_{i}"] = ("row", column.cat.codes.to_numpy(), {"name": str(name)})
        else:
            values, dtype = _numbers(pd.Index(column))
            variables[f"column_{i}"] = ("row", values, {"name": str(name), "pandas_dtype": dtype})
    return xr.Dataset(variables)


def _index_to_dataset(index: pd.Index, kept: np.ndarray) -> xr.Dataset:
    """What the caller's table calls its rows; nothing where that is their positions."""
    if index.nlevels == 1 and index.name is None and np.array_equal(index.to_numpy(), kept):
        return xr.Dataset()
    variables: dict[str, Any] = {}
    for i in range(index.nlevels):
        values, dtype = _numbers(index.get_level_values(i))
        name = index.names[i]
        variables[f"index_{i}"] = (
            "row",
            values,
            {"pandas_dtype": dtype} | ({} if name is None else {"name": str(name)}),
        )
    return xr.Dataset(variables)


def _dataset_to_index(data: xr.Dataset) -> pd.Index | None:
    """The inverse of `_index_to_dataset`."""
    levels = [
        data[f"index_{i}"] for i in range(sum(str(name).startswith("index_") for name in data.data_vars))
    ]
    names = [level.attrs.get("name") for level in levels]
    if len(levels) > 1:
        return pd.MultiIndex.from_arrays([_values(level) for level in levels], names=names)
    return _values(levels[0]).rename(names[0]) if levels else None


def _numbers(values: pd.Index) -> tuple[np.ndarray, str]:
    """Values as a file can hold them, and the dtype they are to have again.

    Dates and booleans become integers; what is neither they nor numbers nor texts becomes texts.
    """
    if isinstance(values, pd.DatetimeIndex):
        return values.asi8, str(values.dtype)
    plain = values.to_numpy()
    if plain.dtype == bool:
        return plain.astype(np.int8), "bool"
    if str(plain.dtype) in PLAIN:
        return plain, str(plain.dtype)
    return values.astype(str).to_numpy(dtype=object), "object" if values.dtype == object else "str"


def _values(stored: xr.DataArray) -> pd.Index:
    """The inverse of `_numbers`."""
    dtype, values = stored.attrs["pandas_dtype"], stored.to_numpy()
    if dtype in ("str", "object"):
        return pd.Index(values, dtype=dtype)
    if dtype.startswith("datetime64"):
        unit = dtype.removeprefix("datetime64[").rstrip("]").split(",")[0]
        naive = pd.DatetimeIndex(values.astype(np.int64).view(f"M8[{unit}]"))
        return naive if "," not in dtype else naive.tz_localize("UTC").astype(dtype)
    if dtype not in PLAIN:
        raise FileError(f"it has a column of {dtype}")
    return pd.Index(values.astype(dtype))


def _dataset_to_columns(data: xr.Dataset) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for i in range(sum(str(name).startswith("column_") for name in data.data_vars)):
        stored = data[f"column_{i}"]
        columns[str(stored.attrs["name"])] = (
            pd.Categorical.from_codes(stored.to_numpy(), categories=_values(data[f"levels_{i}"]))
            if f"levels_{i}" in data
            else _values(stored)
        )
    return pd.DataFrame(columns)
