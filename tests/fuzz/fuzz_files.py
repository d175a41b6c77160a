"""Files of fits that were changed at random: read as they were saved, or refused in a sentence, soon and in little memory.

Bytes are flipped, cut, doubled, moved and taken from another file, with the checksum, without, and signed again as somebody
who means harm would; so are groups, links, data sets, attributes, the description and the options. What is read is asked for
predictions and saved again. A longer run by hand:

    uv run python tests/fuzz/fuzz_files.py 600        # seconds, and perhaps a seed
"""

import gzip
import json
import pickle
import resource
import sys
import tempfile
import time
import tracemalloc
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import fuzzing
import h5py
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import FileError, MixedBayesError
from mixedbayes.results.files import container

SECONDS, MEMORY = 20, 2**28
"""Of a processor, and bytes, that one file may take at most."""

FOLDER = tempfile.TemporaryDirectory()


def _data() -> pd.DataFrame:
    rng, n = np.random.default_rng(1), 40
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "g": np.resize(["a", "b", "c"], n),
            "d": np.resize(pd.date_range("2024", periods=4).to_numpy(), n),
            "b": np.resize([True, False], n),
            "k": np.resize([0, 1, 2, 2**63 + 1], n),
            "z": np.resize([1.5, np.nan, 2.5], n),
            "i": pd.cut(np.arange(n), 4),
        },
        index=pd.period_range("2020", periods=n, freq="M"),
    )


def _saved(formula: str, name: str, family: str = "gaussian", index: Any = None) -> bytes:
    data = _data() if index is None else _data().set_axis(index, axis=0)
    path = Path(FOLDER.name) / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.DesignWarning)
        synthetic_fit(formula, data, family, chains=2, draws=5).to_netcdf(path)
    return path.read_bytes()


LEVELS = [
    ["p", None] * 20,
    pd.cut(np.arange(40.0), 4),
    pd.date_range("2024", periods=40, tz="UTC"),
    [(1, "a"), 2.5] * 20,
]

SAVED = [
    _saved("y ~ x + (x | g)", "one.nc"),
    _saved("y ~ x + b + (1 | d) + (1 | g:b)", "two.nc"),
    _saved("b ~ poly(x, 2) + i + (1 | k)", "three.nc", "bernoulli", pd.MultiIndex.from_arrays(LEVELS)),
    _saved("y ~ z + bs(x, df=4) * g", "four.nc", index=pd.timedelta_range("1h", periods=40)),
]
TEXTS = {content: str(mb.load(Path(FOLDER.name) / name)) for content, name in zip(SAVED, ("one.nc", "two.nc", "three.nc", "four.nc"), strict=True)}  # fmt: skip

EXTREMES = [0, 1, 2**7, 2**15, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1]
"""Sizes, counts and addresses that programs trip over."""


def with_changed_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Some bytes changed, lost or moved."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at, size = int(rng.integers(len(changed))), int(2 ** rng.integers(0, 12))
        match rng.integers(8):
            case 0:
                changed[at] ^= 1 << int(rng.integers(8))
            case 1:
                changed[at : at + size] = rng.bytes(len(changed[at : at + size]))
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case 4:
                changed[at : at + size] = bytes(len(changed[at : at + size]))
            case 5:
                width = int(rng.choice([2, 4, 8]))
                extreme = EXTREMES[rng.integers(len(EXTREMES))] % 2 ** (8 * width)
                changed[at : at + width] = extreme.to_bytes(width, "little")
            case 6:  # an address for another
                other = int(rng.integers(len(changed)))
                changed[at : at + 8] = changed[other : other + 8]
            case 7:
                other = SAVED[rng.integers(len(SAVED))]
                changed[at : at + size] = other[at : at + size]
        if not changed:
            return b""
    return bytes(changed)


def change_tree(rng: np.random.Generator, file: h5py.File) -> None:  # noqa: PLR0915  # a match over a closed set
    """One change of groups, links, data sets or attributes."""
    names: list[str] = []
    file.visit(names.append)
    groups = ["/", *(name for name in names if isinstance(file[name], h5py.Group))]
    sets = [name for name in names if isinstance(file[name], h5py.Dataset)]
    group, name = file[str(rng.choice(groups))], str(rng.choice(names))
    data = file[str(rng.choice(sets))]
    new = f"new{rng.integers(1000)}"
    match rng.integers(18):
        case 0:
            group[new] = file[name]  # a hard link, in a circle if it is a group above
        case 1:
            group[new] = file["/"]
        case 2:
            group[new] = h5py.SoftLink(f"/{name}")
        case 3:
            group[new] = h5py.ExternalLink("/etc/passwd", "/")
        case 4:
            for _ in range(rng.integers(1, 300)):
                group = group.create_group("deep")
        case 5:
            for i in range(rng.integers(1, 1000)):
                group.create_group(f"{new}_{i}")
        case 6:
            shape = tuple(int(each) for each in 2 ** rng.integers(0, 20, size=rng.integers(1, 4)))
            group.create_dataset(new, shape=shape, dtype="f8", chunks=True, fillvalue=3.0, compression="gzip")
        case 7:
            del file[name]
        case 8:
            target = file[name] if rng.random() < 0.5 else file
            odd = [
                1,
                "x" * 5000,
                np.zeros(1000),
                "\ud83d".encode("utf-8", "replace"),
                np.nan,
                np.arange(5),
                ["a"] * 100,
            ]
            target.attrs[str(rng.choice([*target.attrs, new]))] = odd[rng.integers(len(odd))]
        case 9:
            for key in list(data.attrs)[:2]:
                del data.attrs[key]
        case 10:
            if data.dtype.kind in "if" and data.size:
                flat = data[...].ravel()
                odd = [-1, 0, 127] if data.dtype.kind == "i" else [np.nan, np.inf, 1e30]
                flat[rng.integers(flat.size)] = rng.choice(odd)
                data[...] = flat.reshape(data.shape)
        case 11:
            other = file[str(rng.choice(sets))][...]
            path = data.name
            del file[path]
            file[path] = other
        case 12:
            file.move(name, new)
        case 13:
            file[new] = np.dtype("f8")
        case 14:  # what xarray takes for instructions
            key = CONVENTIONS[rng.integers(len(CONVENTIONS))]
            data.attrs[key] = ODD[rng.integers(len(ODD))]
        case 15:
            _retyped(rng, data)
        case 16:
            path, values = data.name, data[...]
            del file[path]
            shape = [(), (0,), (1,), (values.size,), (*values.shape, 1), values.shape[::-1], (7,)][
                rng.integers(7)
            ]
            file[path] = np.resize(values, shape)
        case 17:
            other = str(rng.choice(sets))
            path, other_path = data.name, file[other].name
            if path != other_path:
                file.move(path, "/between")
                file.move(other_path, path)
                file.move("/between", other_path)


CONVENTIONS = ["_FillValue", "missing_value", "scale_factor", "add_offset", "units", "calendar", "_Unsigned", "dtype", "coordinates",
               "grid_mapping", "bounds", "cell_methods", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict", "CLASS", "NAME", "DIMENSION_LIST",
               "REFERENCE_LIST", "pandas_dtype", "closed", "ordered", "mixedbayes_options", "mixedbayes_method", "mixedbayes_sampler"]  # fmt: skip

ODD: list[Any] = [
    1, -1, 0, 10**18, 1e300, np.nan, np.arange(5), "x", "", "days since 0000-00-00", "days since 2024-01-01", "seconds", "noleap", "true", "bool",
    "a b c chain draw", "datetime64[ns]", "datetime64[ns, Evil/Zone]", "datetime64[Q]", "datetime64[s, UTC]", "timedelta64[ns]", "timedelta64[x]",
    "period[M]", "period[100000000Y]", "period[x]", "interval", "category", "json object", "json int64", "json Int64", "json x", "object", "str",
    "float64", "int8", "uint64", "complex128", "O", "V8", "<M8[ns]", "DIMENSION_SCALE", "neither",
]  # fmt: skip


def _retyped(rng: np.random.Generator, data: h5py.Dataset) -> None:
    """The same data set of another type, or stored in another way."""
    file, path, shape = data.file, data.name, data.shape
    values = data[...]
    del file[path]
    match rng.integers(12):
        case 0:
            file[path] = values.astype([">f8", "f4", "i1", "u8", "c16", "S5", "?"][rng.integers(7)])
        case 1:
            file.create_dataset(path, data=values.astype(str).tolist(), dtype=h5py.string_dtype())
        case 2:
            file[path] = np.zeros(shape, dtype=[("a", "f8"), ("b", "i4")])
        case 3:
            file.create_dataset(path, shape, dtype=h5py.ref_dtype)
        case 4:
            file.create_dataset(path, shape, dtype=h5py.vlen_dtype(np.float64))
        case 5:
            file.create_dataset(path, shape, dtype=h5py.enum_dtype({"A": 0, "B": 1}, basetype="i1"))
        case 6:
            file[path] = np.zeros(shape, dtype="V8")
        case 7:
            layout = h5py.VirtualLayout(shape, values.dtype)
            layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape)
            file.create_virtual_dataset(path, layout)
        case 8:
            file.create_dataset(path, shape, dtype="f8", external=[("/etc/passwd", 0, 8 * values.size)])
        case 9:
            filters = [
                {"compression": "gzip"},
                {"compression": "lzf"},
                {"shuffle": True},
                {"fletcher32": True},
                {"scaleoffset": 1},
            ]
            file.create_dataset(path, data=values, chunks=True, **filters[rng.integers(5)])
        case 10:
            file.create_dataset(
                path, data=values, maxshape=(None,) * len(shape), chunks=tuple(10**4 for _ in shape)
            )
        case 11:
            file.create_dataset(path, (2**40, *shape[1:]), dtype="f8", chunks=True, fillvalue=1.0)


PLAIN: list[Any] = [
    None,
    True,
    -1,
    0,
    10**9,
    2**70,
    1e400,
    float("nan"),
    "",
    "x",
    "\x00",
    [],
    [1],
    {},
    {"a": 1},
    "y ~ x",
    [[]] * 5,
    "y ~ q",
    "y ~ poly(x, 1000000000)",
    "y ~ I(10 ** 10 ** 10) + I(x ** 1e9)",
    "y ~ (x + g + d + b + k)^20",
    "y ~ " + "(" * 1000 + "x" + ")" * 1000,
    "y ~ " + " + ".join(["x"] * 5000),
    "x" * 10**6,
    "normal(0, 1)",
    "normal(nan, -1)",
    "poisson",
    "log",
    "nuts",
    "numpyro",
    ["x", "x"],
    list(range(40)),
    list(range(40))[::-1],
    [40],
    [39, 1],
    [2**63] * 40,
    "\ud83d",
]


def changed_json(rng: np.random.Generator, value: Any) -> Any:
    """A value of JSON with a part replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = str(rng.choice(list(value)))
        return value | {key: changed_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.6:
        at = int(rng.integers(len(value)))
        return [*value[:at], changed_json(rng, value[at]), *value[at + 1 :]]
    return PLAIN[rng.integers(len(PLAIN))]


def change_text(rng: np.random.Generator, file: h5py.File) -> None:
    """A change of the description or of the options."""
    holder, name = (
        (file, "mixedbayes") if rng.random() < 0.7 else (file["sample_stats"], "mixedbayes_options")
    )
    if name not in holder.attrs:
        return
    value = changed_json(rng, json.loads(holder.attrs[name]))
    text = json.dumps(value)
    if rng.random() < 0.1:
        at = int(rng.integers(len(text)))
        text = text[:at] + str(rng.choice(["[", "{", '"', "9" * 5000, "[" * 3000])) + text[at:]
    holder.attrs[name] = text


FIRST = ["\n", "PK\x03\x04", "CDF\x01", "CDF\x05", "\x80\x04", "\x1f\x8b", "SIMPLE  ="]


def another(rng: np.random.Generator, path: Path) -> None:
    """A file of another kind, or a fit in other wrapping."""
    content = SAVED[rng.integers(len(SAVED))]
    match rng.integers(9):
        case 0:
            path.write_bytes(b"")
        case 1:
            path.write_bytes(
                FIRST[rng.integers(len(FIRST))].encode("latin-1") + rng.bytes(int(rng.integers(5000)))
            )
        case 2:
            path.write_bytes(gzip.compress(content))
        case 3:
            path.write_bytes(pickle.dumps(content))
        case 4:
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("fit.nc", content)
        case 5:  # HDF5 looks for its signature at 512, 1024, ...
            path.write_bytes(bytes(2 ** int(rng.integers(3, 14))) + content)
        case 6:
            path.write_bytes(content + content)
        case 7:
            path.write_bytes(content[: rng.integers(len(content))])
        case 8:
            versions = ["earliest", "v108", "v110", "v112", "latest"]
            with h5py.File(
                path, "w", libver=versions[rng.integers(5)], userblock_size=512 if rng.random() < 0.3 else 0
            ) as file:
                file.attrs["mixedbayes"] = json.dumps(changed_json(rng, {"format": 1}))
                for name in ("posterior", "sample_stats", "mixedbayes_data")[: rng.integers(4)]:
                    file.create_group(name)["b"] = rng.normal(size=(2, 3))
    if rng.random() < 0.5:
        container._sign(path)


def load(path: Path, what: str, *, traced: bool) -> str:
    """What is read as text, nothing if it is refused, within bounds of time and, if it is traced, of memory."""
    if traced:
        tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = mb.load(path)
            result = str(fit)
            ask(fit)
    except FileError as error:
        result = ""
        if not str(error).startswith(str(path)):
            raise AssertionError(f"{what}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    finally:
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 2**10
        memory = tracemalloc.get_traced_memory()[1] if traced else 0
        tracemalloc.stop()
    seconds = time.process_time() - start
    assert seconds < SECONDS, f"{what}: {seconds:.1f} s"
    assert max(memory, grown) < MEMORY, f"{what}: {max(memory, grown) / 2**20:.0f} MiB"
    return result


def ask(fit: Any) -> None:
    """What a user would do with a fit next."""
    try:
        fit.tidy()
        fit.predict()
        fit.loo()
        fit.to_netcdf(Path(FOLDER.name) / "again.nc")
    except MixedBayesError:
        return


def check(rng: np.random.Generator, counts: Counter[str]) -> None:
    """One random change of one file."""
    content = SAVED[rng.integers(len(SAVED))]
    path = Path(FOLDER.name) / "changed.nc"
    path.unlink(missing_ok=True)
    traced = rng.random() < 0.1  # takes ten times as long
    kind = ("bytes", "signed bytes", "unsigned bytes", "tree", "tree", "text", "another")[rng.integers(7)]
    match kind:
        case "bytes":
            changed = with_changed_bytes(rng, content)
            path.write_bytes(changed)
            text = load(path, kind, traced=traced)
            assert text in ("", TEXTS[content]), "changed bytes were read as others"
            assert not text or changed == content, "changed bytes were not noticed"
        case "signed bytes" | "unsigned bytes":
            content = content[: -container.SIGNATURE]
            if kind == "unsigned bytes":  # as files of the first format are
                content = content.replace(b'"format": 2', b'"format": 1')
            path.write_bytes(with_changed_bytes(rng, content))
            if kind == "signed bytes":
                container._sign(path)
            text = load(path, kind, traced=traced)
        case "tree" | "text":
            path.write_bytes(content)
            with h5py.File(path, "r+") as file:
                for _ in range(rng.integers(1, 4)):
                    try:
                        (change_tree if kind == "tree" else change_text)(rng, file)
                    except (
                        OSError,
                        KeyError,
                        ValueError,
                        TypeError,
                        RuntimeError,
                        OverflowError,
                        AttributeError,
                    ):
                        continue  # h5py does not let it happen
            container._sign(path)
            text = load(path, kind, traced=traced)
        case "another":
            another(rng, path)
            text = load(path, kind, traced=traced)
    counts[f"{kind} {'read' if text else 'refused'}"] += 1


if __name__ == "__main__":
    fuzzing.main(check)
