"""Fits on disk: one netCDF file with draws, the data used, and the model as text; nothing is pickled.

The design is not stored but made again, by the same recipe from the same rows: formula and data say it all.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from itertools import pairwise
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.designs.build import build_design
from mixedbayes.designs.extend import extend
from mixedbayes.designs.levels import texts_of
from mixedbayes.designs.table import Rows
from mixedbayes.errors import ArgumentError, DesignWarning, FileError, MixedBayesError, listed, shown, warn
from mixedbayes.language.formula import MEAN
from mixedbayes.models.families import FAMILIES, Family, find_family, links_of
from mixedbayes.models.names import CHAIN, DRAW
from mixedbayes.models.priors import parse_priors
from mixedbayes.models.spec import ModelSpec
from mixedbayes.models.specify import specify
from mixedbayes.models.structures import STRUCTURES, Structure
from mixedbayes.models.variables import former_names
from mixedbayes.results.files import container
from mixedbayes.results.files.columns import (
    columns_to_dataset,
    dataset_to_columns,
    dataset_to_index,
    index_to_dataset,
    names_of,
    writable,
)
from mixedbayes.results.files.container import MODEL, check_place, write
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.layout import EFFECTS, MOMENTS
from mixedbayes.results.posterior.record import describe_draws
from mixedbayes.results.rows.log_likelihood import LOG_LIKELIHOOD

FORMAT = 3
"""Of files. The first had no checksum, and did not say which priors were the defaults; the first two had the link of the
mean alone, and other names of hyperparameters."""

DATA = "mixedbayes_data"
"""The group that holds the data."""

DIGITS = 6
"""Of priors, to which they are what they were: processors differ in the last ones."""

MAX_ROWS = 2**53

FIRST_YEAR, LAST_YEAR = 1678, 2261
"""Of dates in nanoseconds, as which most tools read them."""


def to_netcdf(fit: Fitted, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Save draws, data and model in one netCDF file, which `mb.load` reads back.

    The file is written beside its place and then moved there: an interrupt or a full disk leaves what was.

    Args:
        path: The file. One that holds a fit is replaced.
        overwrite: Whether to replace a file that holds something else, too.

    Raises:
        ArgumentError: That is no path.
        FileError: The file cannot be written, or there is one that holds something else; or the family or a
            structure has the name of another.
    """
    spec = fit.spec
    check_place(path, overwrite=overwrite)
    if FAMILIES.get(spec.family.name, spec.family) is not spec.family:
        raise FileError(
            f"The family {spec.family.name!r} is your own and has the name of one that there is: call it something else."
        )
    for structure in spec.given_structures.values():
        if STRUCTURES.get(structure.name, structure) != structure:
            raise FileError(
                f"The structure {structure.name!r} is your own and has the name of one that there is: call it something else."
            )
    tree = xr.DataTree.from_dict(
        {
            name: _storable(node.to_dataset())
            for name, node in fit.idata.children.items()
            if name != LOG_LIKELIHOOD  # it can be computed
        }
    )
    rows = spec.design.rows
    tree[DATA] = xr.DataTree(
        xr.merge([columns_to_dataset(spec.design.data), index_to_dataset(rows.index, rows.kept)])
    )
    tree.attrs[MODEL] = json.dumps(_described(spec))
    write(tree, path, overwrite=overwrite)


def read(
    path: str | PathLike[str],
    env: Mapping[str, Any] | None = None,
    family: Family | None = None,
    structures: Mapping[str, Structure] | None = None,
) -> tuple[ModelSpec, xr.DataTree]:
    """Read what `to_netcdf` wrote.

    Args:
        path: The file.
        env: The functions and values that the formula used, if it was fitted with `env`.
        family: The record of the family, if it was fitted with one of the user's own.
        structures: Those of groups, likewise.

    Raises:
        ArgumentError: The path or the family is none.
        FileError: There is no such file, or it holds no fit.
    """
    if family is not None and not isinstance(family, Family):
        raise ArgumentError(
            f"family is the record that the fit was made with, an mb.Family, not {shown(family)}."
        )
    tree, signed = container.read(path)
    try:
        described = json.loads(tree.attrs[MODEL])
        _check_format(described, signed=signed)
        stored = tree[DATA].to_dataset()
        columns = dataset_to_columns(stored, described.get("columns"))
        spec = _rebuilt(
            described,
            columns,
            dataset_to_index(stored, described.get("index")),
            env,
            family,
            structures or {},
        )
        if described["format"] < 3:
            tree = _renamed(tree, former_names(spec))
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
    _check_defaults(spec, described.get("parameters"), path)
    return spec, xr.DataTree.from_dict(draws)


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
        "links": spec.links,
        "structures": {
            name: {"name": structure.name, "record": _record(structure)}
            for name, structure in spec.given_structures.items()
        },
        "priors": {address: str(prior) for address, prior in spec.priors.items()},
        "parameters": {parameter.address: parameter.prior.text(DIGITS) for parameter in spec.parameters},
        "columns": list(map(str, design.data.columns)),
        "index": names_of(design.rows.index),
        "rows": {
            "total": design.rows.total,
            "kept": None if not design.rows.dropped else design.rows.kept.tolist(),
            "missing": dict(design.rows.missing),
        },
        "batches": list(design.batches),
        "notes": list(design.notes),
        "env": sorted(name for name in design.env if name in used),
    }


def _check_format(described: Mapping[str, Any], *, signed: bool) -> None:
    """Refuse formats that are not known, and files that should have a checksum and have none."""
    version = described["format"]
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise FileError(f"it was written in format {version!r}, and this version reads 1 to {FORMAT}")
    if version > 1 and not signed:
        raise FileError("its checksum is lost: it was changed or cut short since it was saved")


def _check_defaults(spec: ModelSpec, stored: Any, path: str | PathLike[str]) -> None:
    """Say so where priors that the user left to us are no longer what they were when the fit was made."""
    if not isinstance(stored, Mapping):
        warn(
            f"{path} does not say its default priors: those shown are of this version of mixedbayes.",
            DesignWarning,
        )
        return
    other = [
        f"{parameter.address} {stored.get(parameter.address)}"
        for parameter in spec.parameters
        if parameter.default and stored.get(parameter.address) != parameter.prior.text(DIGITS)
    ]
    if other:
        warn(
            f"{path} was made with other default priors than those of this version of mixedbayes, which are shown: {listed(other)}.",
            DesignWarning,
        )


def _rebuilt(
    described: Mapping[str, Any],
    columns: pd.DataFrame,
    index: pd.Index | None,
    env: Mapping[str, Any] | None,
    own: Family | None,
    structures: Mapping[str, Structure],
) -> ModelSpec:
    lacking = [name for name in described["env"] if name not in (env or {})]
    if lacking:
        raise FileError(f"its formula uses {listed(lacking)} of env={{...}}; pass the same to load")
    batches = described.get("batches", [len(columns)])
    if not isinstance(batches, list) or not all(type(size) is int for size in batches):
        raise FileError("its batches of rows are no whole numbers")
    ends = np.cumsum(batches).tolist()
    if ends[-1] != len(columns) or min(np.diff([0, *ends])) < 1:
        raise FileError("its rows are not those of its data")
    family, _ = find_family(_family_of(described["family"], own))
    links = described["links"] if "links" in described else {MEAN: described["link"]}
    design = build_design(described["formula"], columns.iloc[: ends[0]], missing="error", env=env)
    spec = specify(
        design,
        family,
        links_of(family, links, design.linears),
        parse_priors(described["priors"]),
        _structures_of(described.get("structures", {}), structures),
    )
    for start, stop in pairwise(ends):
        design = extend(design, columns.iloc[start:stop], "error")
    rows = _rows(described["rows"], len(columns), index)
    design = replace(
        design,
        formula=replace(design.formula, text=str(described["written"])),
        rows=rows,
        remarks=tuple(map(str, described["notes"][len(rows.notes) :])),  # that on rows is the first
    )
    return spec.of(design)


def _record(structure: Structure) -> str | None:
    """What tells a structure from others of its name: its fields; None where it has none that are known."""
    return repr(structure) if is_dataclass(structure) else None


def _structures_of(
    described: Mapping[str, Mapping[str, Any]], own: Mapping[str, Structure]
) -> dict[str, Structure]:
    """What hangs the effects of groups together, ours or the user's own.

    Raises:
        FileError: A structure is neither, or another.
    """
    found: dict[str, Structure] = {}
    for group, said in described.items():
        known = own.get(group, STRUCTURES.get(said["name"]))
        if known is None:
            raise FileError(
                f"the structure of {group}, {said['name']!r}, is none of this version's; if it is your own, pass its record: "
                f"mb.load(..., structures={{{group!r}: record}})"
            )
        if not isinstance(known, Structure) or (known.name, _record(known)) != (said["name"], said["record"]):
            raise FileError(
                f"the structure of {group} is {said['record'] or said['name']}, and structures= has another, {shown(known)}"
            )
        found[group] = known
    return found


def _family_of(name: str, own: Family | None) -> Family:
    """The family of a fit, ours or the user's own.

    Raises:
        FileError: It is neither.
    """
    known = FAMILIES.get(name, own)
    if known is None:
        raise FileError(
            f"its family, {name!r}, is none of this version's; if it is your own, pass its record: mb.load(..., family=record)"
        )
    if known.name != name or own not in (None, known):
        raise FileError(f"its family is {name!r}, and family= is another, {own.name if own else None!r}")
    return known


def _rows(described: Mapping[str, Any], n: int, index: pd.Index | None) -> Rows:
    """Which rows of the caller's data the n rows stored are."""
    kept = np.arange(n) if described["kept"] is None else np.asarray(described["kept"], dtype=np.int64)
    total = int(described["total"])
    if described["kept"] is None and total != n:
        raise FileError("its rows are not those of its data")
    if kept.shape != (n,) or (np.diff(kept) <= 0).any() or kept[0] < 0 or kept[-1] >= total:
        raise FileError("its rows are not those of its data")
    if total > MAX_ROWS:
        raise FileError(f"its data had {total:,} rows")
    kept.flags.writeable = False
    missing = {str(name): int(count) for name, count in described["missing"].items()}
    return Rows(total, kept, missing, pd.Index(kept) if index is None else index)


def _renamed(tree: xr.DataTree, names: Mapping[str, str]) -> xr.DataTree:
    """The draws under the names that variables have now."""
    posterior = tree["posterior"].to_dataset()
    there = {former: now for former, now in names.items() if former in posterior and now not in posterior}
    return tree.assign({"posterior": xr.DataTree(posterior.rename(there))}) if there else tree


def _check_draws(spec: ModelSpec, tree: xr.DataTree) -> None:
    """Refuse draws that are not of this model."""
    for group in ("posterior", EFFECTS):
        if group in tree.children:
            _check_numbering(tree[group])
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


def _check_numbering(node: Any) -> None:
    """Refuse chains or draws of which two have a number, or that have other numbers than one each."""
    for dim in (CHAIN, DRAW):
        if dim in node.coords and not (dim in node.indexes and node.indexes[dim].is_unique):
            raise FileError(f"its {dim}s are not numbered, each by a number of its own")


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
        return list(stored) == list(map(writable, labels))
    return True


def _labelled(data: xr.Dataset, coords: Mapping[str, np.ndarray]) -> xr.Dataset:
    """The draws with the model's own labels: a file returns dates in nanoseconds and texts as it likes."""
    return data.assign_coords({dim: labels for dim, labels in coords.items() if dim in data.dims})


def _storable(data: xr.Dataset) -> xr.Dataset:
    """Python objects that are no texts left out, such as a sampler's messages; as labels they become texts."""
    odd = [name for name, variable in data.variables.items() if _is_unwritable(variable)]
    labels = {
        name: [writable(text) for text in texts_of(data[name].to_numpy())]
        for name in odd
        if name in data.dims
    }
    data = data.drop_vars([name for name in odd if name not in labels])
    return data.assign_coords({name: np.array(texts, dtype=object) for name, texts in labels.items()})


def _is_unwritable(variable: xr.Variable) -> bool:
    """Whether a file cannot hold it or other tools could not read it: objects, odd texts, dates that nanoseconds do not reach."""
    values = variable.to_numpy()
    if values.dtype.kind == "M":
        years = values[~np.isnat(values)].astype("M8[Y]").astype(int) + 1970
        return bool(((years < FIRST_YEAR) | (years > LAST_YEAR)).any())
    if values.dtype.kind not in "OUS":
        return values.dtype.kind not in "biufm"
    return not all(isinstance(value, str) and writable(value) == value for value in values.flat)
