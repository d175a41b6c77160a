"""Columns of every type that pandas, polars and Arrow have, in every role: taken for what they hold, or refused in a sentence.

The oracle is the same formula on the same values in plain NumPy types. A longer run by hand:

    uv run python tests/fuzz/fuzz_tables.py 600        # seconds, and perhaps a seed
"""

import datetime as dt
import decimal
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))

from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import MixedBayesError

N = 24
DAYS = [dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2025, 1, 1)]
UTC = dt.UTC

VALUES: dict[str, list[Any]] = {
    "whole numbers": [3, 1, 2],
    "large numbers": [2**63 + 1, 2**63 + 2, 2**53 + 1],
    "larger numbers": [10**25, 10**25 + 1, 5],
    "long numbers": [2**53 + 1, 2**53, -7],
    "numbers": [1.5, -0.25, 3.0],
    "texts": ["b", "a", "größe"],
    "booleans": [True, False],
    "days": DAYS,
    "ancient days": [dt.date(1, 1, 1), dt.date(1500, 6, 1), dt.date(9999, 12, 31)],
    "times": [dt.datetime(2024, 1, 31, 12), dt.datetime(2024, 2, 29, 0, 0, 1), dt.datetime(2025, 1, 1)],  # noqa: DTZ001
    "times of a zone": [dt.datetime(2024, month, 1, tzinfo=UTC) for month in (3, 1, 2)],
    "hours": [dt.time(1), dt.time(13, 30), dt.time(2)],
    "durations": [dt.timedelta(1), dt.timedelta(3), dt.timedelta(hours=2)],
    "bytes": [b"a", b"b", b"\xff"],
    "complex": [1j, 2 + 0j, 3.0 + 1j],
    "lists": [[1, 2], [3, 4], [5, 6]],
    "records": [{"a": 1}, {"a": 2}, {"a": 3}],
    "decimals": [decimal.Decimal("1.50"), decimal.Decimal("-0.25"), decimal.Decimal(3)],
    "whole decimals": [decimal.Decimal(2**63 + 1), decimal.Decimal(2**63 + 2), decimal.Decimal(5)],
    "names": [uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)],
    "of two kinds": [1, "1", "a"],
    "of three kinds": [1, 2.5, True],
    "nothing": [None],
}

NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "longdouble"]  # fmt: skip
PANDAS = [
    *("object", "Int8", "Int64", "UInt8", "UInt64", "Float32", "Float64", "boolean", "bool", "str", "string", "category"),
    *("datetime64[ns]", "datetime64[s]", "datetime64[us, UTC]", "datetime64[ns, Europe/Paris]", "timedelta64[ns]", "timedelta64[s]"),
    *("period[D]", "period[M]", "Sparse[float]", "Sparse[int]", "Sparse[bool]", "complex128", "interval"),
]  # fmt: skip
ARROW = [
    pa.null(), pa.bool_(), pa.int8(), pa.int64(), pa.uint8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(),
    pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary(1), pa.date32(), pa.date64(),
    *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")), pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Paris"),
    pa.time32("s"), pa.time64("us"), *(pa.duration(unit) for unit in ("s", "ns")), pa.month_day_nano_interval(),
    pa.decimal32(5, 2), pa.decimal64(10, 2), pa.decimal128(25, 2), pa.decimal256(40, 2), pa.decimal128(20, 0),
    pa.list_(pa.int64()), pa.list_(pa.int64(), 2), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int64()),
    pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.int64()), pa.dictionary(pa.int8(), pa.date32()),
    pa.dictionary(pa.int8(), pa.uint64()), pa.dictionary(pa.int8(), pa.float64()), pa.dictionary(pa.int8(), pa.bool_()),
    pa.dictionary(pa.int8(), pa.string(), ordered=True), pa.run_end_encoded(pa.int32(), pa.string()), pa.uuid(), pa.bool8(),
]  # fmt: skip
POLARS = [
    pl.Boolean, pl.Int8, pl.Int64, pl.Int128, pl.UInt8, pl.UInt64, pl.UInt128, pl.Float16, pl.Float32, pl.Float64,
    pl.Decimal(25, 2), pl.Decimal(20, 0), pl.String, pl.Binary, pl.Date, pl.Datetime("ms"), pl.Datetime("ns"),
    pl.Datetime("us", "UTC"), pl.Datetime("us", "Europe/Paris"), pl.Time, pl.Duration("us"), pl.Categorical,
    pl.Enum(["größe", "b", "a"]), pl.List(pl.Int64), pl.Array(pl.Int64, 2), pl.Struct({"a": pl.Int64}), pl.Object, pl.Null,
]  # fmt: skip

Column = tuple[str, Callable[[list[Any]], Any]]


def _pandas(dtype: str) -> Callable[[list[Any]], Any]:
    if dtype == "interval":
        return lambda values: pd.Series(pd.arrays.IntervalArray.from_arrays(values, [v + 1 for v in values]))
    return lambda values: pd.Series(pd.array(values, dtype=dtype))


def representations() -> Iterator[tuple[str, str, Callable[[list[Any]], Any]]]:
    """The library, the type's name, and what makes a column of it from Python's values."""
    for dtype in NUMBERS:
        yield "pandas", dtype, lambda values, dtype=dtype: pd.Series(np.array(values, dtype=dtype))
    for dtype in PANDAS:
        yield "pandas", dtype, _pandas(dtype)
    for kind in ARROW:
        yield "pandas", f"{kind}[pyarrow]", lambda values, kind=kind: pd.Series(
            pd.arrays.ArrowExtensionArray(pa.chunked_array([_arrow(values[:10], kind), _arrow(values[10:], kind)]))
        )  # fmt: skip
        yield (
            "arrow",
            str(kind),
            lambda values, kind=kind: pa.chunked_array(
                [_arrow(values[:10], kind), _arrow(values[10:], kind)]
            ),
        )
    for dtype in POLARS:
        yield "polars", str(dtype), lambda values, dtype=dtype: pl.Series(values, dtype=dtype, strict=True)


def _arrow(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        encoded = pa.array(values, type=kind.value_type).dictionary_encode()
        indices = encoded.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered)
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return pc.run_end_encode(pa.array(values, type=kind.value_type))
    return pa.array(values, type=kind)


def table(library: str, column: Any, others: dict[str, list[Any]]) -> Any:
    """A table of the library with the column as z."""
    match library:
        case "pandas":
            return pd.DataFrame(others).assign(z=column)
        case "arrow":
            return pa.table({**others, "z": column})
    return pl.DataFrame(others).with_columns(z=column)


ROLES = ["y ~ x + (1 | z)", "y ~ x + (1 | g:z)", "y ~ z + (1 | g)", "z ~ x + (1 | g)", "y ~ x + (z | g)", "y ~ C(z)",
         "y ~ x + offset(z)", "y ~ log(z)", "y ~ I(z > 1)", "y ~ I(z == 'a')"]  # fmt: skip

OTHERS = {
    "y": np.random.default_rng(5).normal(size=N).tolist(),
    "x": np.random.default_rng(6).normal(size=N).tolist(),
    "g": [["g1", "g2"][i // 5 % 2] for i in range(N)],
}


def plain(values: list[Any]) -> Any:
    """The values as NumPy has them, so that no reading of types is needed; None where it has no word for them."""
    known = [value for value in values if value is not None]
    kinds = {type(value) for value in known}
    if kinds <= {int, decimal.Decimal} and all(value == int(value) for value in known):
        array = np.array([0 if value is None else int(value) for value in values])
        return array if array.dtype.kind in "iu" and len(known) == len(values) else None
    if kinds in ({float}, {decimal.Decimal}):
        return np.array([np.nan if value is None else float(value) for value in values])
    if kinds == {str}:
        return np.array(values, dtype=object)
    if kinds == {bool} and len(known) == len(values):
        return np.array(values)
    if kinds in ({dt.date}, {dt.datetime}) and getattr(known[0], "tzinfo", None) is None:
        return np.array(values, dtype="M8[us]")
    return None


def made(values: list[Any], make: Callable[[list[Any]], Any]) -> Any:
    """The column; None if the library has no such column of these values, or makes others of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            column = make(values)
    except Exception:  # noqa: BLE001  # whatever three libraries raise
        return None
    return column if len(column) == len(values) else None


def is_exact(column: Any, values: list[Any]) -> bool:
    """Whether the column still has the values."""
    try:
        back = column.to_list() if hasattr(column, "to_list") else column.to_pylist()
        back = [v.item() if isinstance(v, np.generic) else v for v in back]
        back = [
            int(v) if isinstance(v, np.longdouble | float) and v == v // 1 else v for v in back
        ]  # compared exactly
        return [None if v is None or v is pd.NA or v != v else v for v in back] == values  # noqa: PLR0124
    except BaseException:  # noqa: BLE001  # polars panics at years that Python does not know
        return False


def designed(formula: str, data: Any) -> Any:
    """The design, or the sentence that refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return mb.design(formula, data)
        except MixedBayesError as error:
            return f"{type(error).__name__}: {error}"


def assert_same(one: Any, other: Any, what: str) -> None:
    """Whether two designs are of the same numbers and groups."""
    assert one.fixed.X.shape == other.fixed.X.shape, what
    np.testing.assert_allclose(one.fixed.X, other.fixed.X, rtol=1e-9, err_msg=what)
    np.testing.assert_allclose(one.response.values, other.response.values, rtol=1e-9, err_msg=what)
    for a, b in zip(one.groups, other.groups, strict=True):
        assert len(a.levels) == len(b.levels), what
        assert len({tuple(pair) for pair in zip(a.codes, b.codes, strict=True)}) == len(a.levels), what


def check(rng: np.random.Generator, counts: dict[str, int]) -> None:
    """One random column in one random role."""
    every = list(representations())
    library, dtype, make = every[rng.integers(len(every))]
    temporal = library == "polars" and dtype.startswith(
        ("Date", "Duration")
    )  # it panics at years that Python has not
    kinds = [
        kind
        for kind in VALUES
        if not (temporal and "number" in kind) and made(VALUES[kind] * 24, make) is not None
    ]
    if not kinds:
        return
    kind = kinds[rng.integers(len(kinds))]
    values = [VALUES[kind][i] for i in rng.integers(len(VALUES[kind]), size=N)]
    if rng.random() < 0.3:
        values = [None if rng.random() < 0.1 else value for value in values]
    column = made(values, make)
    if column is None:
        return
    formula = ROLES[rng.integers(len(ROLES))]
    what = f"{kind} as {library} {dtype} in {formula!r}: {values}"
    try:
        result = designed(formula, table(library, column, OTHERS))
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    counts["refused" if isinstance(result, str) else "taken"] += 1
    if isinstance(result, str):
        assert len(result) < 600, f"{what}: {result}"
        return
    reference = plain(values)
    if reference is not None and is_exact(column, values) and "z" not in formula.replace("| z)", ""):
        expected = designed(formula, table("pandas", reference, OTHERS))
        assert not isinstance(expected, str), f"{what}: taken, and refused in plain types, {expected}"
        assert_same(result, expected, what)
        counts["compared"] += 1
    if is_exact(column, values) and formula in ROLES[:1]:
        distinct = len({value for value in values if value is not None})
        assert len(result.groups[0].levels) == distinct, f"{what}: {result.groups[0].levels}"
    _check_new_data(rng, result, values, what, counts, learned_exactly=is_exact(column, values))
    if formula in ROLES[:2] and rng.random() < 0.2:
        _check_file(formula, table(library, column, OTHERS), what)


def _check_new_data(rng: np.random.Generator, design: Any, values: list[Any], what: str, counts: dict[str, int], *, learned_exactly: bool) -> None:  # fmt: skip
    """The same values in another type are the same rows, or refused."""
    every = list(representations())
    library, dtype, make = every[rng.integers(len(every))]
    column = made(values, make)
    if column is None or not is_exact(column, values) or not learned_exactly:
        return
    what = f"{what}, new data as {library} {dtype}"
    try:
        encoded = design.encode(table(library, column, OTHERS))
    except MixedBayesError:
        return
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    counts["encoded"] += 1
    if len(encoded) != design.n:  # a response with gaps
        return
    np.testing.assert_allclose(encoded.X, design.fixed.X, rtol=1e-9, err_msg=what)
    for block in design.groups:
        own = encoded.groups[block.name].codes
        assert (own == block.codes).all() or (own < 0).all(), f"{what}: {own} {block.codes}"


def _check_file(formula: str, data: Any, what: str) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.DesignWarning)
        try:
            fit = synthetic_fit(formula, data, chains=1, draws=3)
        except MixedBayesError:
            return
        path = Path(folder) / "fit.nc"
        fit.to_netcdf(path)
        loaded = mb.load(path)
        one, other = loaded.spec.blocks[0].block, fit.spec.blocks[0].block
        assert [repr(level) for level in one.levels] == [repr(level) for level in other.levels], what
        np.testing.assert_array_equal(one.codes, other.codes, err_msg=what)


def run(seconds: float, seed: int) -> dict[str, int]:
    """As many random columns as fit into the time."""
    counts = {"taken": 0, "refused": 0, "compared": 0, "encoded": 0}
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
