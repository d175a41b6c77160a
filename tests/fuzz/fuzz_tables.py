"""Columns of every type that pandas, polars and Arrow have, in every role, in tables of every form and index: taken for
what they hold, or refused in a sentence.

The oracles are the same formula on the same values in plain NumPy types, on the same rows in another order, and on the
rows without gaps alone. A longer run by hand:

    uv run python tests/fuzz/fuzz_tables.py 600        # seconds, and perhaps a seed
"""

import datetime as dt
import decimal
import enum
import fractions
import sys
import tempfile
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fuzzing
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzzing import Odd
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import MixedBayesError

N = 24
DAYS = [dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2025, 1, 1)]
UTC = dt.UTC
PARIS = ZoneInfo("Europe/Paris")


class Colour(enum.Enum):
    """Members that are no numbers."""

    RED = "red"
    BLUE = 2


class Size(enum.IntEnum):
    """Members that are numbers."""

    SMALL = 1
    LARGE = 2


class Text(str):
    """Texts of another class."""

    __slots__ = ()


VALUES: dict[str, list[Any]] = {
    "whole numbers": [3, 1, 2],
    "large numbers": [2**63 + 1, 2**63 + 2, 2**53 + 1],
    "larger numbers": [10**25, 10**25 + 1, 5],
    "largest numbers": [10**400, -(10**400), 1],
    "long numbers": [2**53 + 1, 2**53, -7],
    "numbers of both signs": [-1, 2**64 - 1, 0],
    "numbers": [1.5, -0.25, 3.0],
    "huge numbers": [1e308, -1e308, 1e-308],
    "tiny numbers": [5e-324, -0.0, 0.0],
    "numbers far from zero": [1e15 + 0.25, 1e15, 1e15 + 0.5],
    "infinite numbers": [float("inf"), 1.0, 2.0],
    "numbers and no numbers": [float("nan"), 1.0, 2.0],
    "one number": [2.0],
    "zeros and ones": [0, 1],
    "numbers of other libraries": [np.float32(1.5), np.int8(2), np.float64(3)],
    "fractions": [fractions.Fraction(1, 3), fractions.Fraction(1, 2), fractions.Fraction(3)],
    "texts": ["b", "a", "größe"],
    "odd texts": ["", " ", "a:b", '"', "\x00", "\n", "x" * 70, "é", "e\u0301", "a[T.b]", "T", "None", "nan"],
    "broken texts": ["\ud83d", "a"],
    "numbers in texts": ["1", "2.0", "1e3", "٣", "1,5"],
    "texts of other classes": [Text("b"), np.str_("a"), "c"],
    "members": [Colour.RED, Colour.BLUE],
    "members that are numbers": [Size.SMALL, Size.LARGE],
    "booleans": [True, False],
    "one boolean": [True],
    "days": DAYS,
    "ancient days": [dt.date(1, 1, 1), dt.date(1500, 6, 1), dt.date(9999, 12, 31)],
    "days before years": [np.datetime64("-5000-01-01"), np.datetime64("20000-01-01"), np.datetime64("2024-01-01")],
    "times": [dt.datetime(2024, 1, 31, 12), dt.datetime(2024, 2, 29, 0, 0, 1), dt.datetime(2025, 1, 1)],  # noqa: DTZ001
    "days and times": [dt.date(2024, 1, 31), dt.datetime(2024, 2, 29, 0, 0, 1), pd.Timestamp("2025")],  # noqa: DTZ001
    "times of nanoseconds": [pd.Timestamp(1), pd.Timestamp(2), pd.Timestamp(10**18)],
    "times of a zone": [dt.datetime(2024, month, 1, tzinfo=UTC) for month in (3, 1, 2)],
    "an hour twice": [dt.datetime(2024, 10, 27, 2, 30, tzinfo=PARIS, fold=fold) for fold in (0, 1)],
    "times of zones": [dt.datetime(2024, 3, 1, tzinfo=each) for each in (UTC, PARIS, dt.timezone(dt.timedelta(hours=3)))],
    "times with and without a zone": [dt.datetime(2024, 3, 1, tzinfo=UTC), dt.datetime(2024, 3, 1)],  # noqa: DTZ001
    "hours": [dt.time(1), dt.time(13, 30), dt.time(2)],
    "durations": [dt.timedelta(1), dt.timedelta(3), dt.timedelta(hours=2)],
    "periods": [pd.Period("2024-01", "M"), pd.Period("2023-05", "M"), pd.Period("2025-12", "M")],
    "periods of two lengths": [pd.Period("2024-01", "M"), pd.Period("2023", "Y")],
    "intervals": [pd.Interval(0, 1), pd.Interval(1, 2), pd.Interval(-1.5, 0)],
    "intervals of two kinds": [pd.Interval(0, 1), pd.Interval(1, 2, closed="both")],
    "bytes": [b"a", b"b", b"\xff"],
    "complex": [1j, 2 + 0j, 3.0 + 1j],
    "lists": [[1, 2], [3, 4], [5, 6]],
    "lists of lengths": [[], [1], [2, 3]],
    "tuples": [(1, "a"), (2, "b")],
    "arrays": [np.array([1, 2]), np.array([3, 4])],
    "sets": [{1}, {2}, frozenset()],
    "records": [{"a": 1}, {"a": 2}, {"a": 3}],
    "tables": [pd.DataFrame({"a": [1]}), pd.Series([1])],
    "decimals": [decimal.Decimal("1.50"), decimal.Decimal("-0.25"), decimal.Decimal(3)],
    "whole decimals": [decimal.Decimal(2**63 + 1), decimal.Decimal(2**63 + 2), decimal.Decimal(5)],
    "huge decimals": [decimal.Decimal("1e500"), decimal.Decimal("1e-500"), decimal.Decimal(1)],
    "endless decimals": [decimal.Decimal("NaN"), decimal.Decimal("Infinity"), decimal.Decimal(1)],
    "names": [uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)],
    "paths": [Path("a"), Path("b")],
    "types": [int, str, len],
    "of two kinds": [1, "1", "a"],
    "of three kinds": [1, 2.5, True],
    "booleans and texts": [True, "True", False],
    "booleans and numbers": [True, 1, 0.0],
    "texts and days": ["2024-01-31", dt.date(2024, 1, 31)],
    "odd objects": [Odd(), Odd(), 1],
    "gaps of many kinds": [float("nan"), pd.NaT, pd.NA, np.datetime64("NaT", "s"), 1.5, 2.5],
    "gaps among texts": [float("nan"), pd.NaT, pd.NA, "a", "b"],
    "nothing": [None],
}  # fmt: skip

NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "longdouble",
           ">i4", ">f8", "S3", "U3", "V3", "M8[D]", "M8[Y]", "M8[ns]", "m8[h]", "complex64", "clongdouble"]  # fmt: skip
PANDAS = [
    *("object", "Int8", "Int16", "Int64", "UInt8", "UInt64", "Float32", "Float64", "boolean", "bool", "str", "string", "category"),
    *("string[python]", "string[pyarrow]", "datetime64[ns]", "datetime64[s]", "datetime64[ms]", "datetime64[us, UTC]"),
    *("datetime64[ns, Europe/Paris]", "datetime64[s, UTC+03:00]", "timedelta64[ns]", "timedelta64[s]"),
    *("period[D]", "period[M]", "period[Q]", "period[W]", "period[Y]", "period[h]", "period[ns]", "interval"),
    *("Sparse[float]", "Sparse[int]", "Sparse[bool]", "Sparse[object]", "Sparse[str]", "Sparse[datetime64[ns]]", "complex128"),
]  # fmt: skip
ARROW = [
    pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int64(), pa.uint8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(),
    pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary(1), pa.binary_view(), pa.date32(),
    pa.date64(), *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")), pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Paris"),
    pa.timestamp("s", "+03:00"), pa.time32("s"), pa.time64("us"), *(pa.duration(unit) for unit in ("s", "ns")),
    pa.month_day_nano_interval(), pa.decimal32(5, 2), pa.decimal64(10, 2), pa.decimal128(25, 2), pa.decimal256(40, 2),
    pa.decimal128(20, 0), pa.decimal128(5, -2), pa.decimal256(76, 0), pa.list_(pa.int64()), pa.list_(pa.int64(), 2),
    pa.large_list(pa.int64()), pa.list_view(pa.int64()), pa.struct([("a", pa.int64())]), pa.struct([("a", pa.list_(pa.int64()))]),
    pa.map_(pa.string(), pa.int64()), pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.int64()),
    pa.dictionary(pa.int8(), pa.date32()), pa.dictionary(pa.int8(), pa.uint64()), pa.dictionary(pa.int8(), pa.float64()),
    pa.dictionary(pa.int8(), pa.bool_()), pa.dictionary(pa.int8(), pa.string(), ordered=True), pa.dictionary(pa.uint8(), pa.binary()),
    pa.dictionary(pa.int8(), pa.timestamp("us", "UTC")), pa.dictionary(pa.int8(), pa.decimal128(25, 2)),
    pa.dictionary(pa.int8(), pa.large_string()), pa.dictionary(pa.int8(), pa.duration("s")), pa.run_end_encoded(pa.int32(), pa.string()),
    pa.run_end_encoded(pa.int16(), pa.int64()), pa.run_end_encoded(pa.int64(), pa.bool_()), pa.uuid(), pa.bool8(), pa.json_(pa.string()),
    pa.fixed_shape_tensor(pa.int64(), [2]), pa.opaque(pa.string(), "type", "vendor"),
]  # fmt: skip
POLARS = [
    pl.Boolean, pl.Int8, pl.Int16, pl.Int64, pl.Int128, pl.UInt8, pl.UInt64, pl.UInt128, pl.Float16, pl.Float32, pl.Float64,
    pl.Decimal(25, 2), pl.Decimal(20, 0), pl.Decimal(38, 0), pl.String, pl.Binary, pl.Date, pl.Datetime("ms"), pl.Datetime("ns"),
    pl.Datetime("us", "UTC"), pl.Datetime("us", "Europe/Paris"), pl.Time, pl.Duration("us"), pl.Duration("ns"), pl.Categorical,
    pl.Categorical(pl.Categories("own", physical=pl.UInt8)), pl.Enum(["größe", "b", "a"]), pl.Enum([]), pl.List(pl.Int64),
    pl.List(pl.List(pl.String)), pl.Array(pl.Int64, 2), pl.Struct({"a": pl.Int64}), pl.Object, pl.Null,
]  # fmt: skip

type Make = Callable[[list[Any]], Any]
"""Python's values -> a column."""


def _pandas(dtype: str) -> Make:
    if dtype == "interval":
        return lambda values: pd.Series(pd.arrays.IntervalArray.from_arrays(values, [v + 1 for v in values]))
    return lambda values: pd.Series(pd.array(values, dtype=dtype))


def _numpy(dtype: str) -> Make:
    return lambda values: pd.Series(np.array(values, dtype=dtype))


def _chunked(kind: pa.DataType) -> Make:
    """In three pieces, of which one has nothing and one begins within an array."""

    def make(values: list[Any]) -> pa.ChunkedArray:
        pieces = [_arrow(values[:10], kind), _arrow(values[9:], kind).slice(1), _arrow([], kind)]
        return pa.chunked_array(pieces)

    return make


def _category(of: Make, *, ordered: bool = False) -> Make:
    """Categories of some type, in order of appearance and with one that does not occur."""

    def make(values: list[Any]) -> pd.Series:
        categories = pd.Index(of(list(dict.fromkeys(value for value in values if value is not None))))
        return pd.Series(
            pd.Categorical.from_codes(
                [-1 if value is None else categories.get_loc(value) for value in values],
                categories,
                ordered=ordered,
            )
        )

    return make


@cache
def representations() -> tuple[tuple[str, str, Make], ...]:
    """The library, the type's name, and what makes a column of it from Python's values."""
    return tuple(_representations())


def _representations() -> Iterator[tuple[str, str, Make]]:
    for dtype in NUMBERS:
        yield "pandas", dtype, _numpy(dtype)
    for dtype in PANDAS:
        yield "pandas", dtype, _pandas(dtype)
        if dtype != "category":
            yield "pandas", f"category of {dtype}", _category(_pandas(dtype), ordered=len(dtype) % 2 == 0)
    yield "pandas", "masked", lambda values: pd.Series(np.ma.masked_equal(values, values[0]))
    yield "pandas", "every second", lambda values: pd.Series(np.repeat(np.array(values), 2)[::2])
    for kind in ARROW:
        chunked = _chunked(kind)
        yield "arrow", str(kind), chunked
        wrapped = lambda values, chunked=chunked: pd.Series(pd.arrays.ArrowExtensionArray(chunked(values)))  # noqa: E731
        yield "pandas", f"{kind}[pyarrow]", wrapped
        yield "pandas", f"category of {kind}[pyarrow]", _category(wrapped)
    for union in ("sparse", "dense"):
        yield "arrow", f"{union} union", lambda values, union=union: _union(values, union)
    for dtype in POLARS:
        make = lambda values, dtype=dtype: pl.Series(values, dtype=dtype, strict=True)  # noqa: E731
        yield "polars", str(dtype), make
        yield "polars", f"{dtype} in pieces", lambda values, make=make: make(values[:10]).append(make(values[10:]))  # fmt: skip


def _arrow(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        encoded = pa.array(values, type=kind.value_type).dictionary_encode()
        indices = encoded.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered)
    if pa.types.is_run_end_encoded(kind):
        return pc.run_end_encode(pa.array(values, type=kind.value_type), run_end_type=kind.run_end_type)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, type=kind.storage_type))
    return pa.array(values, type=kind)


def _union(values: list[Any], union: str) -> pa.Array:
    types = pa.array([int(isinstance(value, str)) for value in values], pa.int8())
    if union == "sparse":
        halves = [
            pa.array([value if isinstance(value, str) is text else None for value in values])
            for text in (False, True)
        ]
        return pa.UnionArray.from_sparse(types, halves)
    halves = [[value for value in values if isinstance(value, str) is text] for text in (False, True)]
    seen, places = [0, 0], []
    for each in types.to_pylist():
        places.append(seen[each])
        seen[each] += 1
    return pa.UnionArray.from_dense(types, pa.array(places, pa.int32()), [pa.array(half) for half in halves])


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

MORE_ROLES = [
    "y ~ 0 + z", "y ~ z * x", "y ~ z:g", "y ~ g/z", "y ~ z * g + (z || g)", "y ~ (0 + z | g)", "y ~ x + (x | z)", "y ~ (1 | z/g)",
    "y ~ (1 | z:z)", "y ~ (1 | C(z))", "y ~ .", "y ~ . + (1 | z)", "y ~ poly(z, 2)", "y ~ poly(z, 2, raw=TRUE)", "y ~ bs(z, df=4)",
    "y ~ cs(z, df=4)", "y ~ cr(z, df=3)", "y ~ cc(z, df=3)", "y ~ scale(z)", "y ~ center(z)", "y ~ standardize(z)", "y ~ exp(z)",
    "y ~ sqrt(z)", "y ~ abs(z)", "y ~ floor(z)", "y ~ sign(z)", "y ~ log(z, 10)", "y ~ I(z^2)", "y ~ I(-z)", "y ~ I(z + x)", "y ~ I(z / x)",
    "y ~ I(x / z)", "y ~ I(z // 2)", "y ~ I(z % 2)", "y ~ I(2 ** z)", "y ~ I(z * z)", "y ~ I(z == 1)", "y ~ I(z == TRUE)", "y ~ I(z != g)",
    "y ~ I(z < 'b')", "y ~ I((z > 1) & (x > 0))", "y ~ I((z == 'a') | (g == 'g1'))", "y ~ I(z > '2024-02-01')", "y ~ C(z, contr.sum)",
    "y ~ C(z, contr.poly)", "y ~ C(z, contr.helmert)", "y ~ C(z, Treatment('a'))", "y ~ C(z, Treatment(1))", "y ~ C(z, levels=['a', 'b'])",
    "y ~ C(z, levels=[1, 2, 3])", "y ~ factor(z)", "log(z) ~ x", "z^2 ~ x", "z / x ~ x", "z - y ~ x", "(z > 1) ~ x", "z['a'] ~ x", "z[1] ~ x",
    "z[TRUE] ~ x", "C(z) ~ x", "y | trials(z) ~ x", "z | trials(3) ~ x", "z | trials(z) ~ x", "cbind(z, z) ~ x", "cbind(n, z) ~ x",
    "n | trials(z) ~ x + (1 | g)", "z ~ 1", "z ~ z", "y ~ offset(log(z))", "y ~ x + (poly(z, 2) | g)", "y ~ x + (1 | z) + (1 | g)",
]  # fmt: skip

FAMILIES = ["gaussian", "bernoulli", "binomial", "poisson"]

OTHERS = {
    "y": np.random.default_rng(5).normal(size=N).tolist(),
    "x": np.random.default_rng(6).normal(size=N).tolist(),
    "g": [["g1", "g2"][i // 5 % 2] for i in range(N)],
    "n": [i % 4 for i in range(N)],
}


def plain(values: list[Any]) -> Any:
    """The values as NumPy has them, so that no reading of types is needed; None where it has no word for them."""
    known = [value for value in values if value is not None]
    kinds = {type(value) for value in known}
    if kinds <= {int, decimal.Decimal} and all(_is_whole(value) for value in known):
        array = np.array([0 if value is None else int(value) for value in values])
        return array if array.dtype.kind in "iu" and len(known) == len(values) else None
    if kinds in ({float}, {decimal.Decimal}):
        return np.array([np.nan if value is None else float(value) for value in values])
    if kinds == {str}:
        return np.array(values, dtype=object)
    if kinds == {bool} and len(known) == len(values):
        return np.array(values)
    if kinds in ({dt.date}, {dt.datetime}) and not any(getattr(value, "tzinfo", None) for value in known):
        return np.array(values, dtype="M8[us]")
    return None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or (value.is_finite() and value == value.to_integral_value())


def made(values: list[Any], make: Make) -> Any:
    """The column; None if the library has no such column of these values, or makes others of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            column = make(values)
    except BaseException as error:  # whatever three libraries raise, and polars' panics
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return None
    return column if len(column) == len(values) else None


@cache
def kinds_of(place: int) -> tuple[str, ...]:
    """The kinds of values that a representation can hold."""
    library, dtype, make = representations()[place]
    return tuple(
        kind
        for kind in VALUES
        if not (library == "polars" and panics(dtype, kind)) and made(VALUES[kind] * 24, make) is not None
    )


def panics(dtype: str, kind: str) -> bool:
    """Whether polars panics: at years that Python has not, at decimals that are no number, at objects without a text."""
    if kind == "endless decimals" or (kind == "odd objects" and not dtype.startswith("Object")):
        return True
    if dtype.startswith("Decimal"):
        return not ("number" in kind or "decimals" in kind) or "texts" in kind
    return dtype.startswith(("Date", "Duration")) and "number" in kind


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


def designed(formula: str, data: Any, family: str | None = None) -> Any:
    """The design, or the sentence that refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", mb.DesignWarning)
        try:
            return mb.design(formula, data) if family is None else mb.model(formula, data, family).design
        except MixedBayesError as error:
            return f"{type(error).__name__}: {error}"


def assert_same(one: Any, other: Any, what: str, order: Any = slice(None)) -> None:
    """Whether two designs are of the same numbers and groups; of the other the rows in an order."""
    assert one.fixed.X.shape == other.fixed.X.shape, what
    scale = np.abs(one.fixed.X).max(axis=0, initial=0)
    assert (np.abs(one.fixed.X - other.fixed.X[order]) <= 1e-9 * scale).all(), what
    np.testing.assert_allclose(one.response.values, other.response.values[order], rtol=1e-9, err_msg=what)  # noqa: PD011
    np.testing.assert_allclose(one.offset, other.offset[order], rtol=1e-9, err_msg=what)
    for a, b in zip(one.groups, other.groups, strict=True):
        assert len(a.levels) == len(b.levels), what
        pairs = set(zip(a.codes.tolist(), b.codes[order].tolist(), strict=True))
        assert len(pairs) == len(a.levels), what


def check(rng: np.random.Generator, counts: Counter[str]) -> None:
    """One random column in one random role, or one table of an odd form."""
    if rng.random() < 0.15:
        check_form(rng, counts)
        return
    place = int(rng.integers(len(representations())))
    library, dtype, make = representations()[place]
    kinds = kinds_of(place)
    if not kinds:
        return
    kind = kinds[rng.integers(len(kinds))]
    values = [VALUES[kind][i] for i in rng.integers(len(VALUES[kind]), size=N)]
    if rng.random() < 0.3:
        values = [None if rng.random() < 0.1 else value for value in values]
    column = made(values, make)
    if column is None:
        return
    roles = ROLES if rng.random() < 0.5 else MORE_ROLES
    formula = roles[rng.integers(len(roles))]
    family = FAMILIES[rng.integers(len(FAMILIES))] if rng.random() < 0.3 else None
    what = f"{kind} as {library} {dtype} in {formula!r} ({family}): {text_of(values)}"
    data = table(library, column, OTHERS)
    try:
        result = designed(formula, data, family)
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    counts["refused" if isinstance(result, str) else "taken"] += 1
    if isinstance(result, str):
        assert len(result) < 900, f"{what}: {result}"
        return
    exact = is_exact(column, values)
    is_name = (
        "category" in dtype and kind == "infinite numbers"
    )  # which can name a category, and be no number
    reference = None if is_name else plain(values)
    if reference is not None and exact and not {"z", "."} & set(formula.replace("| z)", "")):
        expected = designed(formula, table("pandas", reference, OTHERS))
        assert not isinstance(expected, str), f"{what}: taken, and refused in plain types, {expected}"
        assert_same(result, expected, what)
        counts["compared"] += 1
    if exact and formula in ROLES[:1] and kind != "an hour twice":  # which Python takes for one
        distinct = len({value for value in values if value is not None})
        assert len(result.groups[0].levels) == distinct, f"{what}: {result.groups[0].levels}"
    _check_other_rows(rng, result, formula, family, data, what, counts)
    _check_new_data(rng, result, values, what, counts, learned_exactly=exact)
    if formula in ROLES[:2] and rng.random() < 0.2:
        _check_file(formula, data, what)
        counts["saved"] += 1


def text_of(values: list[Any]) -> str:
    """Values in few characters; some have no text."""
    try:
        return repr(values)[:400]
    except RuntimeError:
        return "values without a text"


def _check_other_rows(rng: np.random.Generator, design: Any, formula: str, family: str | None, data: Any, what: str, counts: Counter[str]) -> None:  # fmt: skip
    """The rows that are kept alone are the same design, and so are all of them in another order, where levels have an order of their own."""
    kept, order = design.rows.kept, rng.permutation(design.rows.total)
    try:
        _taken(data, order)
    except (ValueError, NotImplementedError):  # pandas and Arrow cannot take rows of every type
        return
    if len(kept) < design.rows.total:
        alone = designed(formula, _taken(data, kept), family)
        assert not isinstance(alone, str), f"{what}: without the rows that have gaps it is refused, {alone}"
        assert_same(design, alone, f"{what}: without the rows that have gaps")
    turned = designed(formula, _taken(data, order), family)
    assert not isinstance(turned, str), f"{what}: in another order of rows it is refused, {turned}"
    places = {row: place for place, row in enumerate(kept.tolist())}
    again = [places[order[row]] for row in turned.rows.kept.tolist()]
    assert len(again) == len(kept), f"{what}: another order of rows leaves out others"
    assert_same(turned, design, f"{what}: in another order of rows", again)
    counts["turned"] += 1


def _taken(data: Any, rows: np.ndarray) -> Any:
    if isinstance(data, pd.DataFrame):
        return data.iloc[rows]
    return data.take(pa.array(rows)) if isinstance(data, pa.Table) else data[rows.tolist()]


def _check_new_data(rng: np.random.Generator, design: Any, values: list[Any], what: str, counts: Counter[str], *, learned_exactly: bool) -> None:  # fmt: skip
    """The same values in another type are the same rows, or refused."""
    library, dtype, make = representations()[rng.integers(len(representations()))]
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
    np.testing.assert_allclose(encoded.X, design.fixed.X, rtol=1e-9, atol=1e-12, err_msg=what)
    for block in design.groups:
        own = encoded.groups[block.name].codes
        assert (own == block.codes).all() or (own < 0).all(), f"{what}: {own} {block.codes}"


def _check_file(formula: str, data: Any, what: str) -> None:
    """What is saved is loaded: levels and codes, and the names of rows unless a warning says how they change."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = synthetic_fit(formula, data, chains=1, draws=3)
        except MixedBayesError:
            return
        path = Path(folder) / "fit.nc"
        fit.to_netcdf(path)
        loaded = mb.load(path)
    for one, other in zip(loaded.spec.blocks, fit.spec.blocks, strict=True):
        levels = [list(map(repr, each.block.levels)) for each in (one, other)]
        assert levels[0] == levels[1], what
        np.testing.assert_array_equal(one.block.codes, other.block.codes, err_msg=what)
    if not any("saved as" in str(each.message) for each in caught):
        one, other = loaded.spec.design.rows.index, fit.spec.design.rows.index
        assert list(map(repr, one)) == list(map(repr, other)), f"{what}: {one} {other}"
        assert loaded.predict().to_numpy().tolist() == fit.predict().to_numpy().tolist(), what


def _frame() -> pd.DataFrame:
    return pd.DataFrame(OTHERS)


INDICES: dict[str, Callable[[], Any]] = {
    "from five": lambda: pd.RangeIndex(5, 5 + N),
    "backwards": lambda: pd.RangeIndex(N, 0, -1),
    "one name": lambda: ["row"] * N,
    "numbers with gaps": lambda: [np.nan, *range(N - 1)],
    "large numbers": lambda: np.arange(2**63, 2**63 + N, dtype=np.uint64),
    "larger numbers": lambda: pd.Index([10**30 + i for i in range(N)], dtype=object),
    "truth": lambda: np.resize([True, False], N),
    "texts": lambda: [f"{i} größe\n\x00" for i in range(N)],
    "half characters": lambda: pd.Index(["\ud83d"] * N, dtype=object),
    "of many kinds": lambda: pd.Index([1, "a", None, 2.5, pd.Timestamp("2024"), (1, 2)] * 4, dtype=object),
    "bytes": lambda: pd.Index([b"a", b"\xff"] * 12, dtype=object),
    "tuples": lambda: pd.Index([(i, "a") for i in range(N)], tupleize_cols=False),
    "members": lambda: pd.Index([Colour.RED, Colour.BLUE] * 12, dtype=object),
    "decimals": lambda: pd.Index([decimal.Decimal(i) / 3 for i in range(N)], dtype=object),
    "days": lambda: pd.date_range("2024", periods=N),
    "days of a zone": lambda: pd.date_range("2024-10-26", periods=N, freq="h", tz="Europe/Paris"),
    "days of no named zone": lambda: pd.date_range("2024", periods=N, tz=dt.timezone(dt.timedelta(minutes=7))),
    "ancient days": lambda: pd.DatetimeIndex(np.arange("1500-01-01", "1500-01-25", dtype="M8[D]").astype("M8[s]")),
    "dates": lambda: pd.Index([dt.date(2024, 1, i + 1) for i in range(N)], dtype=object),
    "durations": lambda: pd.timedelta_range("1h", periods=N),
    "periods": lambda: pd.period_range("2024", periods=N, freq="W-WED"),
    "quarters": lambda: pd.period_range("1500", periods=N, freq="Q-FEB"),
    "intervals": lambda: pd.interval_range(0, periods=N, closed="both"),
    "intervals of days": lambda: pd.interval_range(pd.Timestamp("2024", tz="UTC"), periods=N),
    "categories": lambda: pd.CategoricalIndex(np.resize(["b", "a", None], N), ["b", "a", "c"], ordered=True),
    "categories of intervals": lambda: pd.CategoricalIndex(pd.cut(np.arange(N), 4)),
    "nullable numbers": lambda: pd.Index(pd.array([None, *range(N - 1)], dtype="Int64")),
    "nullable truth": lambda: pd.Index(pd.array([None, *[True] * (N - 1)], dtype="boolean")),
    "small floats": lambda: pd.Index(np.arange(N), dtype="float32"),
    "of Arrow": lambda: pd.Index(pd.array(range(N), dtype="int64[pyarrow]")),
    "lists of Arrow": lambda: pd.Index(pd.array([[i] for i in range(N)], dtype=pd.ArrowDtype(pa.list_(pa.int64())))),
    "texts of Arrow": lambda: pd.Index(pd.array(["a"] * N, dtype=pd.ArrowDtype(pa.string()))),
    "complex": lambda: pd.Index(np.arange(N) * 1j),
    "called as a column": lambda: pd.Index(range(5, 5 + N), name="x"),
    "called by no text": lambda: pd.Index(range(5, 5 + N), name=("a", 1)),
    "called by an object": lambda: pd.Index(range(5, 5 + N), name=dt.date(2024, 1, 1)),
    "of two levels": lambda: pd.MultiIndex.from_product([["a", "b"], range(N // 2)], names=["x", None]),
    "of levels with gaps": lambda: pd.MultiIndex.from_arrays([[None, "a"] * 12, pd.date_range("2024", periods=N), [pd.NaT] * N]),
    "of levels that are categories": lambda: pd.MultiIndex.from_arrays([pd.cut(np.arange(N), 3), pd.period_range("2024", periods=N)]),
    "of levels that are called alike": lambda: pd.MultiIndex.from_product([["a", "b"], range(N // 2)], names=["u", "u"]),
}  # fmt: skip


class Table(pd.DataFrame):
    """As GeoPandas and others make their own."""

    @property
    def _constructor(self) -> type:
        return Table


def _named(*names: Any) -> pd.DataFrame:
    """With columns more, of the names."""
    return pd.concat([_frame(), pd.DataFrame(np.zeros((N, len(names))))], axis=1).set_axis(
        [*OTHERS, *names], axis=1
    )


def _two_levels() -> pd.DataFrame:
    frame = _frame()
    return frame.set_axis(pd.MultiIndex.from_product([["a"], frame.columns]), axis=1)


FORMS: dict[str, Callable[[], Any]] = {
    "lists by name": lambda: dict(OTHERS),
    "arrays by name": lambda: {name: np.array(values) for name, values in OTHERS.items()},
    "series by name": lambda: {name: pd.Series(values) for name, values in OTHERS.items()},
    "tuples by name": lambda: {name: tuple(values) for name, values in OTHERS.items()},
    "generators by name": lambda: {name: (value for value in values) for name, values in OTHERS.items()},
    "series of polars by name": lambda: {name: pl.Series(values) for name, values in OTHERS.items()},
    "arrays of Arrow by name": lambda: {name: pa.array(values) for name, values in OTHERS.items()},
    "of two lengths": lambda: OTHERS | {"w": [1, 2]},
    "a number by name": lambda: OTHERS | {"w": 1},
    "an array of two dimensions by name": lambda: OTHERS | {"w": np.zeros((N, 2))},
    "records": lambda: _frame().to_dict("records"),
    "records in a tuple": lambda: tuple(_frame().to_dict("records")),
    "records of other keys": lambda: [{"y": 1.0}, {"x": 2.0}, {}],
    "records in a generator": lambda: (row for row in _frame().to_dict("records")),
    "tuples": lambda: list(_frame().itertuples()),
    "record array": lambda: _frame().to_records(),
    "structured array": lambda: np.array(
        list(zip(*OTHERS.values(), strict=True)), dtype=[("y", "f8"), ("x", ">f4"), ("g", "U2"), ("n", "u1")]
    ),
    "structured array of arrays": lambda: np.zeros(N, dtype=[("y", "f8"), ("x", "f8", 2), ("g", "O"), ("n", "V2")]),
    "array": lambda: np.zeros((N, 4)),
    "array of no dimension": lambda: np.array(1),
    "polars": lambda: pl.DataFrame(OTHERS),
    "lazy": lambda: pl.DataFrame(OTHERS).lazy(),
    "grouped by polars": lambda: pl.DataFrame(OTHERS).group_by("g"),
    "Arrow": lambda: pa.table(OTHERS),
    "batch": lambda: pa.RecordBatch.from_pydict(OTHERS),
    "reader": lambda: pa.table(OTHERS).to_reader(7),
    "used reader": lambda: [reader := pa.table(OTHERS).to_reader(), reader.read_all()][0],
    "schema": lambda: pa.table(OTHERS).schema,
    "array of Arrow": lambda: pa.array(OTHERS["y"]),
    "structs of Arrow": lambda: pa.array(_frame().to_dict("records")),
    "Arrow with a name twice": lambda: pa.Table.from_arrays([pa.array(OTHERS["y"])] * 3, names=["y", "x", "x"]),
    "Arrow without rows": lambda: pa.table(OTHERS).slice(0, 0),
    "Arrow without columns": lambda: pa.table({}),
    "polars without rows": lambda: pl.DataFrame(OTHERS).clear(),
    "polars without columns": pl.DataFrame,
    "xarray": lambda: _frame().rename_axis("row").to_xarray(),
    "xarray of two dimensions": lambda: pd.DataFrame(OTHERS).set_index(["g", "n", "x"])[["y"]].drop_duplicates().to_xarray(),
    "xarray's array": lambda: _frame()["y"].rename_axis("row").to_xarray(),
    "xarray of no dimension": lambda: _frame().iloc[0].to_frame().T.to_xarray().isel(index=0),
    "another class": lambda: Table(OTHERS),
    "with attributes": lambda: [frame := _frame(), frame.attrs.update(a=Odd()), frame][-1],
    "flagged": lambda: _frame().set_flags(allows_duplicate_labels=False),
    "grouped": lambda: _frame().groupby("g"),
    "rolled": lambda: _frame().rolling(3),
    "styled": lambda: _frame()["y"],
    "column": lambda: _frame()["y"].rename("y"),
    "without rows": lambda: _frame().iloc[:0],
    "without columns": lambda: _frame()[[]],
    "one row": lambda: _frame().iloc[:1],
    "two rows": lambda: _frame().iloc[:2],
    "transposed": lambda: _frame().T,
    "a name twice": lambda: _named("x"),
    "a name as text and as number": lambda: _named(1, "1"),
    "numbers for names": lambda: _named(0, 1.5, -1),
    "gaps for names": lambda: _named(None, np.nan),
    "days for names": lambda: _named(pd.Timestamp("2024"), dt.date(2024, 1, 1)),
    "odd names": lambda: _named("", " ", "a b", "`", "a`b", "\x00", "\n", "é", "e\u0301", "~", "(1 | g)", "Intercept", "x" * 70),
    "half characters for names": lambda: OTHERS | {"\ud83d": [1] * N},
    "tuples for names": lambda: _named(("a", 1), ("a", 2)),
    "names of two levels": _two_levels,
    "names of categories": lambda: _frame().set_axis(pd.CategoricalIndex(list(OTHERS)), axis=1),
    "names of bytes": lambda: _frame().rename(columns=str.encode),
    "names of another class": lambda: _frame().rename(columns=Text),
    "blanks around names": lambda: _frame().rename(columns=lambda name: f" {name} "),
    "nothing": lambda: None,
    "text": lambda: "data.csv",
    "bytes": lambda: b"y,x",
    "path": lambda: Path("data.csv"),
    "number": lambda: 3,
    "list": list,
    "empty records": lambda: [{}],
    "list of numbers": lambda: [1, 2],
    "tables by name": lambda: {"y": _frame(), "x": _frame()},
    "a table in a list": lambda: [_frame()],
    "type": lambda: pd.DataFrame,
    "odd object": Odd,
    "a table within the table": lambda: {**OTHERS, "w": [_frame()] * N},
}  # fmt: skip

FORM_ROLES = [
    "y ~ x + (1 | g)",
    "y ~ x * g",
    "y ~ .",
    "y ~ 1",
    "n ~ x + (x | g)",
    "y ~ `a b`",
    "y ~ `1`",
    "y ~ q",
    "y ~ ` x `",
]

AS_THEY_ARE = ("lists by name", "arrays by name", "series by name", "records", "polars", "Arrow", "batch", "another class", "flagged",
               "xarray", "one name")  # fmt: skip
"""Forms that are taken."""


def check_form(rng: np.random.Generator, counts: Counter[str]) -> None:
    """A table of an odd form, or with an odd index: designed as the plain one is, or refused."""
    formula = FORM_ROLES[rng.integers(len(FORM_ROLES))]
    has_index = rng.random() < 0.4
    names = list(INDICES if has_index else FORMS)
    name = names[rng.integers(len(names))]
    data = _frame().set_axis(INDICES[name](), axis=0) if has_index else FORMS[name]()
    if isinstance(data, pd.DataFrame) and len(data) == N and rng.random() < 0.3:
        data = data.assign(x=[None if rng.random() < 0.2 else value for value in OTHERS["x"]])
    what = f"{name} in {formula!r}"
    try:
        result = designed(formula, data)
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    counts["form refused" if isinstance(result, str) else "form taken"] += 1
    if isinstance(result, str):
        assert len(result) < 900, f"{what}: {result}"
        is_plain = has_index or name in AS_THEY_ARE
        assert not is_plain or formula not in FORM_ROLES[:4], f"{what}: {result}"
        return
    if result.rows.total == N and formula in FORM_ROLES[:2]:
        expected = designed(formula, _frame().iloc[result.rows.kept])
        if "structured" not in name:
            assert_same(result, expected, what)
    if has_index and formula in FORM_ROLES[:1]:
        _check_file(formula, data, what)
        counts["saved"] += 1


if __name__ == "__main__":
    fuzzing.main(check)
