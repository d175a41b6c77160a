"""Files of fits that were changed at random: read as they were saved, or refused in a sentence, soon and in little memory.

Bytes are flipped, cut, doubled and moved; then, signed again as somebody who means harm would, groups, links, data sets,
attributes, the description and the options are changed. A longer run by hand:

    uv run python tests/fuzz/fuzz_files.py 600        # seconds, and perhaps a seed
"""

import json
import resource
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import FileError
from mixedbayes.results.files import container

SECONDS, MEMORY = 60, 2**28
"""That one file may take at most."""

FOLDER = tempfile.TemporaryDirectory()


def _saved(formula: str, name: str) -> bytes:
    rng = np.random.default_rng(1)
    n = 40
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "g": np.resize(["a", "b", "c"], n),
            "d": np.resize(pd.date_range("2024", periods=4).to_numpy(), n),
            "b": np.resize([True, False], n),
        },
        index=pd.period_range("2020", periods=n, freq="M"),
    )
    path = Path(FOLDER.name) / name
    synthetic_fit(formula, data, chains=2, draws=5).to_netcdf(path)
    return path.read_bytes()


SAVED = [_saved("y ~ x + (x | g)", "one.nc"), _saved("y ~ x + b + (1 | d) + (1 | g:b)", "two.nc")]
TEXTS = {content: str(mb.load(Path(FOLDER.name) / name)) for content, name in zip(SAVED, ("one.nc", "two.nc"), strict=True)}  # fmt: skip


def with_changed_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Some bytes changed, lost or moved."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at, size = int(rng.integers(len(changed))), int(2 ** rng.integers(0, 12))
        match rng.integers(5):
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
        if not changed:
            return b""
    return bytes(changed)


def change_tree(rng: np.random.Generator, file: h5py.File) -> None:
    """One change of groups, links, data sets or attributes."""
    names: list[str] = []
    file.visit(names.append)
    groups = ["/", *(name for name in names if isinstance(file[name], h5py.Group))]
    sets = [name for name in names if isinstance(file[name], h5py.Dataset)]
    group, name = file[str(rng.choice(groups))], str(rng.choice(names))
    data = file[str(rng.choice(sets))]
    new = f"new{rng.integers(1000)}"
    match rng.integers(14):
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


def load(path: Path, what: str, *, traced: bool) -> str:
    """What is read as text, nothing if it is refused, within bounds of time and, if it is traced, of memory."""
    if traced:
        tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mb.DesignWarning)
            fit = mb.load(path)
        result = str(fit)
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
    seconds = time.monotonic() - start
    assert seconds < SECONDS, f"{what}: {seconds:.1f} s"
    assert max(memory, grown) < MEMORY, f"{what}: {max(memory, grown) / 2**20:.0f} MiB"
    return result


def check(rng: np.random.Generator, counts: dict[str, int]) -> None:
    """One random change of one file."""
    content = SAVED[rng.integers(len(SAVED))]
    path = Path(FOLDER.name) / "changed.nc"
    traced = rng.random() < 0.1  # takes ten times as long
    kind = ("bytes", "signed bytes", "tree", "text")[rng.integers(4)]
    if kind in ("bytes", "signed bytes"):
        changed = with_changed_bytes(rng, content if kind == "bytes" else content[: -container.SIGNATURE])
        path.write_bytes(changed)
        if kind == "signed bytes":
            container._sign(path)
        text = load(path, kind, traced=traced)
        if kind == "bytes":
            assert text in ("", TEXTS[content]), "changed bytes were read as others"
            assert not text or changed == content, "changed bytes were not noticed"
    else:
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            for _ in range(rng.integers(1, 4)):
                try:
                    (change_tree if kind == "tree" else change_text)(rng, file)
                except (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError):
                    continue  # h5py does not let it happen
        container._sign(path)
        text = load(path, kind, traced=traced)
    counts[f"{kind} {'read' if text else 'refused'}"] = (
        counts.get(f"{kind} {'read' if text else 'refused'}", 0) + 1
    )


def run(seconds: float, seed: int) -> dict[str, int]:
    """As many changed files as fit into the time."""
    counts: dict[str, int] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            check(np.random.default_rng(seed), counts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        seed += 1
    return counts


if __name__ == "__main__":
    print(run(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))  # noqa: T201
