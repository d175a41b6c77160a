"""Fits on disk: one netCDF file with draws, the data used, and the model as text; nothing is pickled.

The design is not stored but made again, by the same recipe from the same rows: formula and data say it all.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.design.design import build_design
from mixedbayes.design.table import Rows
from mixedbayes.errors import FileError, MixedBayesError, listed
from mixedbayes.model.families import find_family
from mixedbayes.model.priors import parse_priors
from mixedbayes.model.spec import ModelSpec, specify

FORMAT = 1
MODEL, DATA = "mixedbayes", "mixedbayes_data"
"""The root's attribute that holds the model, and the group that holds the data."""

MAX_BYTES = 16 * 2**30
"""Bytes of the largest fit that is read: a small file can unpack to anything."""


def save(spec: ModelSpec, idata: xr.DataTree, path: str | PathLike[str]) -> None:
    """Write a fit.

    Raises:
        FileError: The file cannot be written.
    """
    tree = xr.DataTree.from_dict(
        {name: _storable(node.to_dataset()) for name, node in idata.children.items()}
    )
    tree[DATA] = xr.DataTree(_columns_to_dataset(spec.design.data))
    tree.attrs[MODEL] = json.dumps(_described(spec))
    try:
        tree.to_netcdf(path, engine="h5netcdf")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from error


def read(path: str | PathLike[str], env: Mapping[str, Any] | None = None) -> tuple[ModelSpec, xr.DataTree]:
    """Read what `save` wrote.

    Args:
        path: The file.
        env: The functions and values that the formula used, if it was fitted with `env`.

    Raises:
        FileError: There is no such file, or it holds no fit.
    """
    try:
        with xr.open_datatree(path, engine="h5netcdf") as lazy:
            if MODEL not in lazy.attrs:
                raise FileError(f"{path} holds no fit of mixedbayes.")
            if lazy.nbytes > MAX_BYTES:
                raise FileError(f"{path} unpacks to {lazy.nbytes / 2**30:,.0f} GiB, more than is read.")
            tree = lazy.load()
    except FileNotFoundError:
        raise FileError(f"There is no file {path}.") from None
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, MixedBayesError):
            raise
        raise FileError(f"{path} cannot be read as a netCDF file.") from error
    try:
        spec = _rebuilt(json.loads(tree.attrs[MODEL]), _dataset_to_columns(tree[DATA].to_dataset()), env)
        _check_draws(spec, tree["posterior"].to_dataset())
    except MixedBayesError as error:
        raise FileError(f"{path} holds a fit that cannot be rebuilt: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileError(f"{path} is damaged: its model cannot be read.") from error
    draws = {name: node.to_dataset() for name, node in tree.children.items() if name != DATA}
    return spec, xr.DataTree.from_dict(draws)


def _described(spec: ModelSpec) -> dict[str, Any]:
    """The model in plain values."""
    design = spec.design
    used = [*design.formula.names(), *design.formula.functions()]
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
        "notes": list(design.notes),
        "env": sorted(name for name in design.env if name in used),
    }


def _rebuilt(described: Mapping[str, Any], columns: pd.DataFrame, env: Mapping[str, Any] | None) -> ModelSpec:
    if described["format"] != FORMAT:
        raise FileError(
            f"it was written in format {described['format']}, and this version reads format {FORMAT}"
        )
    lacking = [name for name in described["env"] if name not in (env or {})]
    if lacking:
        raise FileError(f"its formula uses {listed(lacking)} of env={{...}}; pass the same to load")
    design = build_design(described["formula"], columns, env=env)
    rows = described["rows"]
    kept = np.arange(rows["total"]) if rows["kept"] is None else np.asarray(rows["kept"], dtype=np.int64)
    kept.flags.writeable = False
    design = replace(
        design,
        formula=replace(design.formula, text=str(described["written"])),
        rows=Rows(int(rows["total"]), kept, {str(k): int(v) for k, v in rows["missing"].items()}),
        notes=tuple(map(str, described["notes"])),
    )
    family, link = find_family(described["family"], described["link"])
    return specify(design, family, link, parse_priors(described["priors"]))


def _check_draws(spec: ModelSpec, posterior: xr.Dataset) -> None:
    """Refuse draws that are not of this model."""
    lacking = [name for name in spec.variables if name not in posterior]
    if lacking:
        raise FileError(f"draws of {listed(lacking)} are not in it")
    for dim, labels in spec.coords.items():
        if dim in posterior.dims and posterior.sizes[dim] != len(labels):
            raise FileError(f"its draws have {posterior.sizes[dim]} of {dim}, its data {len(labels)}")


def _storable(data: xr.Dataset) -> xr.Dataset:
    """Without variables of Python objects that are no texts, such as a sampler's messages."""
    odd = [
        name
        for name, variable in data.data_vars.items()
        if variable.dtype == object and not all(isinstance(value, str) for value in variable.to_numpy().flat)
    ]
    return data.drop_vars(odd)


def _columns_to_dataset(columns: pd.DataFrame) -> xr.Dataset:
    """Columns as numbers; categories beside them, by the column's place (names can be any text)."""
    variables: dict[str, Any] = {}
    for i, (name, column) in enumerate(columns.items()):
        attrs = {"name": str(name), "categorical": int(isinstance(column.dtype, pd.CategoricalDtype))}
        if attrs["categorical"]:
            categories = column.cat.categories.to_numpy()
            attrs["boolean"] = int(categories.dtype == bool)
            values = categories.astype(np.int8) if attrs["boolean"] else categories
            variables[f"levels_{i}"] = (f"level_{i}", values)
            variables[f"column_{i}"] = ("row", column.cat.codes.to_numpy(), attrs)
        else:
            variables[f"column_{i}"] = ("row", column.to_numpy(), attrs)
    return xr.Dataset(variables)


def _dataset_to_columns(data: xr.Dataset) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for i in range(sum(str(name).startswith("column_") for name in data.data_vars)):
        stored = data[f"column_{i}"]
        values: Any = stored.to_numpy()
        if stored.attrs["categorical"]:
            categories = data[f"levels_{i}"].to_numpy()
            categories = categories.astype(bool) if stored.attrs["boolean"] else categories
            values = pd.Categorical.from_codes(values, categories=pd.Index(categories))
        columns[str(stored.attrs["name"])] = values
    return pd.DataFrame(columns)
