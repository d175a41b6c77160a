"""Any table gives the same design; what cannot be used is named."""

import datetime as dt
import decimal
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

import mixedbayes as mb
from mixedbayes.designs.build import build_design
from mixedbayes.designs.extend import extend
from mixedbayes.errors import ArgumentError, DataError, FamilyError

N = 24
RNG = np.random.default_rng(7)
BASE = {
    "y": RNG.normal(size=N).round(6).tolist(),
    "x": RNG.normal(size=N).round(6).tolist(),
    "n": RNG.integers(0, 9, N).tolist(),
    "f": ["low", "mid", "high"] * 8,
    "t": [True, False, False, True] * 6,
    "g": np.repeat(["g1", "g2", "g3", "g10", "g5", "g6"], 4).tolist(),
    "k": np.repeat([30, 4, 5, 2000, 1, 7], 4).tolist(),
    "d": np.repeat([dt.date(2024, 1, day) for day in (9, 3, 27, 4, 5, 6)], 4).tolist(),
}
FORMULA = "y ~ x + n*f + t + log(n + 1) + (1 + x + f | g) + (t | k) + (1 | d) + (1 | f/g)"


def base():
    return pd.DataFrame(BASE)


def assert_same(one, other):
    assert one.fixed.columns == other.fixed.columns
    np.testing.assert_array_equal(one.fixed.X, other.fixed.X)
    np.testing.assert_array_equal(one.response.values, other.response.values)
    for a, b in zip(one.groups, other.groups, strict=True):
        assert (a.name, a.columns) == (b.name, b.columns)
        assert list(map(str, a.levels)) == list(map(str, b.levels))
        np.testing.assert_array_equal(a.codes, b.codes)
        np.testing.assert_array_equal(a.X, b.X)


SORTED = ("high", "low", "mid")
TABLES = {
    "objects": lambda: base().astype({"f": object, "g": object, "t": object, "n": object, "x": object}),
    "nullable": lambda: base().convert_dtypes(),
    "nullable, each named": lambda: base().astype(
        {"x": "Float64", "n": "Int64", "t": "boolean", "f": "string", "k": "UInt16"}
    ),
    "pandas with arrow": lambda: base().convert_dtypes(dtype_backend="pyarrow"),
    "small numbers": lambda: base().astype({"n": "int8", "k": "uint16"}),
    "categories": lambda: base().astype({"f": "category", "g": "category"}),
    "ordered categories": lambda: base().assign(f=pd.Categorical(BASE["f"], SORTED, ordered=True)),
    "unused categories": lambda: base().assign(f=pd.Categorical(BASE["f"], ("high", "low", "mid", "none"))),
    "dates as datetimes": lambda: base().assign(d=pd.to_datetime(base()["d"])),
    "another index": lambda: base().set_index(pd.Index(RNG.permutation(N))),
    "rows named": lambda: base().set_index(pd.Index([f"row{i // 2}" for i in range(N)])),
    "mapping of lists": lambda: dict(BASE),
    "mapping of arrays": lambda: {name: np.array(values) for name, values in BASE.items()},
    "polars": lambda: pl.DataFrame(BASE),
    "polars categories": lambda: pl.DataFrame(BASE).with_columns(
        pl.col("f").cast(pl.Enum(SORTED)), pl.col("n").cast(pl.UInt8)
    ),
    "arrow": lambda: pa.table(BASE),
    "records": lambda: base().to_dict("records"),
    "a tuple of records": lambda: tuple(base().to_dict("records")),
    "record array": lambda: (
        base().astype({"f": "S9", "g": "S9"}).astype({"f": str, "g": str}).to_records(index=False)
    ),
    "record batch": lambda: pa.record_batch(BASE),
    "batches": lambda: pa.table(BASE).to_reader(),
    "xarray": lambda: xr.Dataset({name: ("row", values) for name, values in BASE.items()}),
    "xarray with labels": lambda: base().assign(d=pd.to_datetime(base()["d"])).set_index("n").to_xarray(),
    "sparse": lambda: base().astype(
        {"x": "Sparse[float]", "n": "Sparse[int]", "k": "Sparse[int]", "t": "Sparse[bool]"}
    ),
    "long doubles": lambda: base().astype({"x": np.longdouble, "y": np.longdouble}),
    "dictionaries of arrow in pandas": lambda: base().assign(
        f=pd.Series(BASE["f"], dtype=pd.ArrowDtype(pa.string())).astype(
            pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
        )
    ),
    "large integers of polars": lambda: pl.DataFrame(BASE).with_columns(
        pl.col("n").cast(pl.Int128), pl.col("k").cast(pl.UInt128)
    ),
    "decimals": lambda: pa.table(
        BASE
        | {
            "n": pa.array(BASE["n"]).cast(pa.decimal128(25, 0)),
            "k": pa.array(BASE["k"]).cast(pa.decimal256(40, 0)),
        }
    ),
    "arrow dictionary": lambda: pa.table(
        BASE | {"f": pa.array(BASE["f"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))}
    ).select(list(BASE)),
}


@pytest.mark.parametrize("kind", [kind for kind in TABLES if "dictionar" not in kind])
def test_every_kind_of_table_gives_the_same_design(kind):
    assert_same(build_design(FORMULA, TABLES[kind]()), build_design(FORMULA, base()))


def test_categories_keep_their_order_whatever_the_table():
    order = ("mid", "low", "high")
    tables = [
        base().assign(f=pd.Categorical(BASE["f"], order)),
        pl.DataFrame(BASE).with_columns(pl.col("f").cast(pl.Enum(order))),
        pa.table(
            BASE | {"f": pa.DictionaryArray.from_arrays([order.index(f) for f in BASE["f"]], list(order))}
        ),
    ]
    tables += [base().assign(f=pd.Series(pd.arrays.ArrowExtensionArray(tables[-1]["f"].combine_chunks())))]
    for table in tables:
        design = build_design("y ~ f + (1 | f)", table)
        assert design.fixed.columns == ("Intercept", "f[T.low]", "f[T.high]")
        assert list(design.groups[0].levels) == list(order)


def test_levels_are_the_data_s_own_values_in_order():
    design = build_design("y ~ (1 | g) + (1 | k) + (1 | d) + (1 | t)", base())
    g, k, d, t = (block.levels.tolist() for block in design.groups)
    assert g == ["g1", "g10", "g2", "g3", "g5", "g6"]
    assert k == [1, 4, 5, 7, 30, 2000]
    assert list(map(str, pd.to_datetime(d).date)) == [f"2024-01-{day:02}" for day in (3, 4, 5, 6, 9, 27)]
    assert t == [False, True]


@pytest.mark.parametrize("kind", ["objects", "nullable", "categories", "another index", "polars"])
def test_the_caller_s_table_is_not_changed(kind):
    table = TABLES[kind]()
    copy = table.clone() if isinstance(table, pl.DataFrame) else table.copy(deep=True)
    design = build_design(FORMULA, table)
    assert copy.equals(table)
    response = design.response
    for array in (design.fixed.X, design.offset, response.values, *(b.X for b in design.groups)):  # noqa: PD011  # ours
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0


def test_a_function_cannot_write_into_the_data():
    table = base()
    for call in ("log(n + 1, out=x)", "log(n, x)", "exp(x, where=t)"):
        with pytest.raises(DataError, match="cannot be computed"):
            build_design(f"y ~ {call}", table)
    assert table.equals(base())


def test_missing_values_are_dropped_once_over_all_columns_and_counted():
    table = base()
    table["unused"] = np.nan
    table.loc[[0, 3], "x"] = np.nan
    table.loc[[3, 5], "f"] = None
    table.loc[23, "y"] = np.nan
    design = build_design("y ~ x + (1 | f) + (1 | g)", table)
    assert design.n == 20
    assert design.rows.total == 24
    assert design.rows.kept.tolist() == [i for i in range(24) if i not in (0, 3, 5, 23)]
    assert dict(design.rows.missing) == {"y": 1, "x": 2, "f": 2}
    assert "20 of 24 rows; 4 dropped for missing values (y 1, x 2, f 2)" in design.notes[0]
    assert_same(design, build_design("y ~ x + (1 | f) + (1 | g)", table.iloc[design.rows.kept]))
    with pytest.raises(DataError, match=r"missing values: y in 1 row, x in 2 rows, f in 2 rows"):
        build_design("y ~ x + (1 | f) + (1 | g)", table, missing="error")
    assert build_design("y ~ n", table.iloc[:20], missing="error").n == 20


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT, float("nan")])
def test_every_sign_of_a_gap_is_one(gap):
    table = base().astype(object)
    for name in ("x", "f", "t", "d", "n"):
        table.loc[2, name] = gap
    design = build_design("y ~ x + f + t + n + (1 | d)", table)
    assert dict(design.rows.missing) == dict.fromkeys(("x", "f", "t", "n", "d"), 1)


def test_gaps_of_polars_and_arrow_are_gaps():
    holed = {name: [None, *values[1:]] for name, values in BASE.items()}
    for table in (pl.DataFrame(holed), pa.table(holed), pd.DataFrame(holed).convert_dtypes()):
        assert dict(build_design(FORMULA, table).rows.missing) == dict.fromkeys(
            ("y", "x", "n", "f", "t", "g", "k", "d"), 1
        )


def test_a_level_that_only_dropped_rows_had_is_none():
    table = base()
    table.loc[table["f"] == "mid", "x"] = np.nan
    design = build_design("y ~ x + f + (1 | f)", table)
    assert design.fixed.columns == ("Intercept", "x", "f[T.low]")
    assert list(design.groups[0].levels) == ["high", "low"]


@pytest.mark.parametrize(
    ("table", "formula", "message"),
    [
        (pd.DataFrame({"y": [], "x": []}), "y ~ x", "The data have no rows"),
        (pd.DataFrame(index=range(3)), "y ~ x", "The data have no columns"),
        (
            pd.DataFrame({"y": [1.0, None], "x": [None, 2.0]}),
            "y ~ x",
            "No row is complete: each of the 2 lacks",
        ),
        (base().assign(x=np.nan), "y ~ x", "column 'x' lacks 24"),
        (base().assign(x=[None] * N), "y ~ x", "column 'x' lacks 24"),
        (
            base().assign(x=[np.inf, *BASE["x"][1:-1], -np.inf]),
            "y ~ x",
            "'x' is infinite in 2 rows, the first being row 0",
        ),
        (pd.concat([base(), base()[["x"]]], axis=1), "y ~ x", "more than one column named 'x'"),
        (pa.table([[1.0, 2], [3.0, 4]], names=["y", "y"]), "y ~ 1", "two columns of one name"),
        (base().assign(x=[[1, 2]] * N), "y ~ x", "Column 'x' holds list"),
        (base().assign(x=[{"a": 1}] * N), "y ~ (1 | x)", "Column 'x' holds dict"),
        (base().assign(x=[1, "a"] * 12), "y ~ x", "Column 'x' holds int, str"),
        (pl.DataFrame({"y": [1.0, 2], "x": [[1], [2]]}), "y ~ x", "Column 'x' holds List"),
        (
            base().assign(d=[pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02", tz="UTC")] * 12),
            "y ~ (1 | d)",
            "Column 'd' holds dates that do not go together",
        ),
        (
            base().assign(k=np.array(BASE["k"]) * 1e200),
            "y ~ k:I(k*1)",
            "k:I(k * 1): not a finite number in every row",
        ),
        (base(), "y ~ d", "d holds dates; as a predictor make it a number first"),
        (base(), "y ~ log(d)", "d holds dates"),
        (
            base(),
            "y ~ xx + ff + (1 | gg)",
            "There are no columns 'xx', 'ff', 'gg' in the data. 'xx': did you mean 'x'?",
        ),
        (
            base(),
            "yy ~ x",
            "There is no column 'yy' in the data. Did you mean 'y'? The columns are y, x, n, f, t, g, k, d.",
        ),
        (base(), "y ~ x.mean", "a formula cannot reach into the column 'x'"),
        (base(), "y ~ X", "Did you mean 'x'?"),
        (
            base(),
            "y ~ lgo(x)",
            "A formula has no function lgo(); compute the column first, or pass your own as env={'lgo': function}. Did you mean 'log'?",
        ),
        (base(), "y ~ log(f)", "f holds text or categories; arithmetic needs numbers"),
        (base(), "y ~ log(x)", "log(x) is not finite in"),
        (base(), "y ~ I(n/0)", "I(n / 0) is not finite in 24 rows, the first being row 0"),
        (base(), "y ~ x + offset(log(x))", "offset(log(x)) is not finite"),
        (base(), "y ~ offset(f)", "offset(f) is not a number for each row"),
        (base(), "y ~ I(f == 'hihg')", "'hihg' is not a level; they are 'high', 'low', 'mid'"),
        (base(), "y ~ I(n == '2')", "numbers are never equal to the text '2'"),
        (base(), "y ~ I(n & t)", "&, | and ~ take conditions such as (x > 0); n holds numbers"),
        (base(), "y ~ C(f, contr.treatment('none'))", "is not among the provided levels"),
        (base(), "y ~ C(f, levels=['low', 'mid'])", "names only some of the levels that occur"),
        (base(), "y ~ C(f, contr.summ)", "no column 'contr.summ' in the data. Did you mean 'contr.sum'?"),
        (base(), "y ~ poly(x, 10^9)", "asks for more than 200 columns"),
        (base(), "y ~ bs(x, 5, None, 10^9)", "asks for more than 200 columns"),
        (base(), "y ~ poly(x, 0)", "the degree of a polynomial is a whole number from 1, not 0"),
        (base(), "y ~ poly(x, 99, raw=TRUE):poly(n, 99, raw=TRUE)", "columns over 24 rows, too many to hold"),
        (base(), "y ~ I(9^9^9^9)", "a number is too large"),
        (base(), "y ~ pi", "There is no column 'pi' in the data"),
        (base(), "y ~ I(x, n)", "I() takes 1 positional argument but 2 were given"),
        (base().assign(g="only"), "y ~ (1 | g)", "The group g has one level, 'only'"),
        (base().assign(f="only"), "y ~ (0 + f - f + x | g:f:d:k) + (1 | f)", "The group f has one level"),
        (
            base().assign(**{"f[T.low]": 1.0}),
            "y ~ f + `f[T.low]`",
            "Two predictors would both be named 'f[T.low]'",
        ),
        (base(), "y ~ eval('1')", "no function eval()"),
        (base(), "y ~ open('/etc/passwd')", "no function open()"),
        (base(), "y ~ np.load('x')", "no function np.load()"),
        (base(), "y ~ x.to_csv('x')", "no function x.to_csv()"),
    ],
)
def test_what_cannot_be_used_is_named(table, formula, message):
    with pytest.raises(DataError, match=re.escape(message)):
        build_design(formula, table)


def test_a_row_is_named_by_its_place_in_the_caller_s_table():
    table = base().assign(x=np.arange(N) - 5.0)
    table.loc[[0, 1, 2, 3], "n"] = None
    for formula in ("y ~ n + log(x + 1)", "log(x + 1) ~ n", "y ~ n + offset(log(x + 1))"):
        with pytest.raises(DataError, match=r"is not finite in 1 row, the first being row 4 \(from 0\)"):
            build_design(formula, table)


LARGE = [2**63 + 1, 2**63 + 2, 2**63 + 4096, 2**63 + 8192, 5, 6]
LARGER = [10**25, 10**25 + 1, 10**25 + 2, -5, 5, 6]
HOLD_LARGE = {
    "numpy": lambda v: pd.Series(np.array(v, dtype=np.uint64)),
    "pandas": lambda v: pd.Series(np.array(v, dtype=np.uint64)).astype("UInt64"),
    "pandas with a gap": lambda v: pd.Series([*v[:-1], None], dtype="UInt64"),
    "arrow in pandas": lambda v: pd.Series(v, dtype="uint64[pyarrow]"),
    "python": lambda v: pd.Series(v, dtype=object),
    "python with a gap": lambda v: pd.Series([*v[:-1], None], dtype=object),
    "decimals": lambda v: pd.Series([decimal.Decimal(each) for each in v], dtype=object),
    "polars": lambda v: pl.Series(v, dtype=pl.UInt64),
    "polars with a gap": lambda v: pl.Series([*v[:-1], None], dtype=pl.UInt64),
    "polars of 128 bits": lambda v: pl.Series(v, dtype=pl.Int128),
    "polars unsigned of 128 bits": lambda v: pl.Series(v, dtype=pl.UInt128),
    "polars decimals": lambda v: pl.Series(v, dtype=pl.Decimal(20, 0)),
    "arrow": lambda v: pa.array(v, type=pa.uint64()),
    "arrow decimals": lambda v: pa.array([decimal.Decimal(each) for each in v], type=pa.decimal128(20, 0)),
    "arrow long decimals": lambda v: pa.array([decimal.Decimal(each) for each in v], type=pa.decimal256(40, 0)),
    "categories": lambda v: pd.Series(pd.Categorical(np.array(v, dtype=np.uint64))),
}  # fmt: skip


def with_ids(column):
    """A table of the column's own library."""
    if isinstance(column, pl.Series):
        return pl.DataFrame({"y": BASE["y"]}).with_columns(id=column)
    if isinstance(column, pd.Series):
        return pd.DataFrame({"y": BASE["y"], "id": column})
    return pa.table({"y": BASE["y"], "id": column})


@pytest.mark.parametrize("kind", HOLD_LARGE)
@pytest.mark.parametrize("new", ["numpy", "python", "polars", "arrow", "polars of 128 bits", "decimals"])
def test_ids_beyond_63_bits_stay_apart(kind, new):
    design = build_design("y ~ 1 + (1 | id)", with_ids(HOLD_LARGE[kind](LARGE * 4)))
    assert list(map(int, design.groups[0].levels)) == sorted(LARGE)
    rows = with_ids(HOLD_LARGE[new]([2**63 + 2, 2**63 + 3, 5, 7] * 6))
    encoded = design.encode(rows).groups["id"]
    assert encoded.codes[:4].tolist() == [3, -1, 0, -2]
    assert encoded.unseen == (str(2**63 + 3), "7")


@pytest.mark.parametrize("levels", [[2**53 + 1, 2**53, 7], [2**63 + 1, 2**63 + 2, 7]])
def test_floats_are_not_taken_for_whole_numbers_that_they_round(levels):
    design = build_design("y ~ 1 + (1 | id)", {"y": BASE["y"], "id": levels * 8})
    encoded = design.encode({"id": [float(levels[0]), 7.0]}).groups["id"]
    places = dict(zip(map(int, design.groups[0].levels), range(3), strict=True))
    assert encoded.codes.tolist() == [places.get(int(float(levels[0])), -1), places[7]]


def test_more_rows_with_larger_ids_keep_them_apart():
    design = build_design("y ~ 1 + (1 | id)", {"y": BASE["y"], "id": [1, 2, 2**53 + 1] * 8})
    more = {"y": BASE["y"], "id": np.array([2**63 + 1, 2**63 + 2, 2**53 + 1, 1] * 6, dtype=np.uint64)}
    levels = extend(design, more).groups[0].levels
    assert levels.tolist() == [1, 2, 2**53 + 1, 2**63 + 1, 2**63 + 2]
    design = build_design("y ~ 1 + (1 | id)", {"y": BASE["y"], "id": [1, -2, 5] * 8})
    with pytest.raises(DataError, match="id holds numbers below zero and beyond 2"):
        extend(design, more)


@pytest.mark.parametrize(
    "values",
    [
        LARGER[:3],
        [decimal.Decimal(each) for each in LARGER[1:4]],
        [decimal.Decimal("1.00000000000000000001"), decimal.Decimal(1), decimal.Decimal("2.5")],
        [2**63 + 1, 0.5, 3],
        np.array([1, np.nextafter(np.longdouble(1), 2), 3], dtype=np.longdouble),
    ],
)
def test_numbers_that_64_bits_would_mix_up_are_refused(values):
    table = {
        "y": BASE["y"],
        "id": pd.Series(values * 8, dtype=object) if isinstance(values, list) else np.tile(values, 8),
    }
    with pytest.raises(
        DataError, match="which 64 bits would round: make it text if it names a group, floats if"
    ):
        build_design("y ~ 1 + (1 | id)", table)


UNUSABLE = {
    "durations": (pd.to_timedelta(range(N), "D"), "timedelta64.*: make it a number, such as its hours"),
    "durations of objects": ([dt.timedelta(i) for i in range(N)], "timedelta.*: make it a number, such as its hours"),
    "durations of polars": (pl.Series([dt.timedelta(i) for i in range(N)]), "Duration.*: make it a number"),
    "durations of arrow": (pa.array(range(N), type=pa.duration("s")), "uration.*: make it a number, such as its hours"),
    "hours": ([dt.time(i) for i in range(N)], "time; .*: make it a number, such as hours since midnight"),
    "hours of arrow": (pa.array(range(N), type=pa.time32("s")), "ime.*: make it a number, such as hours since"),
    "complex numbers": (np.arange(N) * 1j, "complex128.*: take its real and imaginary parts"),
    "bytes": ([b"a", b"b"] * 12, "bytes.*: decode it to text"),
    "bytes of arrow": (pa.array([b"a", b"b"] * 12), ".inary.*: decode it to text"),
    "lists": ([[1, 2]] * N, "list.*: give each value a row or a column of its own"),
    "lists of polars": (pl.Series([[1, 2]] * N), "List.*: give each value a row or a column of its own"),
    "records": (pl.Series([{"a": 1}] * N), "Struct.*: give each value a column of its own"),
    "texts and dates": (["a", dt.datetime(2024, 1, 1, tzinfo=dt.UTC)] * 12, "datetime, str.*: make it of one kind, such as text"),
    "several kinds": ([1, "a"] * 12, "int, str.*: make it of one kind, such as text"),
    "categories of several kinds": (pd.Categorical([1, "1", 2] * 8), "categories of int, str.*: make it of one kind"),
    "categories of durations": (pd.Categorical(pd.to_timedelta(range(N), "D")), "categories of Timedelta.*: make it a number"),
    "halves of characters": (pd.Series(["a", "\ud800"] * 12, dtype=object), "which is no text of Unicode: read the file in its own"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("formula", ["y ~ z", "y ~ x + (1 | z)", "z ~ x", "y ~ x + (z | g)"])
def test_a_column_that_no_model_can_use_is_refused_with_what_to_do(kind, formula):
    values, message = UNUSABLE[kind]
    if isinstance(values, pl.Series):
        table = pl.DataFrame(BASE).with_columns(z=values)
    else:
        table = pa.table(BASE | {"z": values}) if isinstance(values, pa.Array) else base().assign(z=values)
    with pytest.raises(DataError, match=f"Column 'z' holds .*{message}"):
        build_design(formula, table)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.PeriodIndex(["2024-03", "1500-01", "2024-01"] * 8, freq="M")),
        pd.Series(pd.PeriodIndex(["2024-03", None, "2024-01"] * 8, freq="M")),
        pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2, 10]).repeat(8)),
        pd.Series(pd.PeriodIndex(["2024-03", "1500-01", "2024-01"] * 8, freq="M")).astype(object),
        pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2, 10]).repeat(8)).astype(object),
    ],
    ids=lambda values: str(values.dtype),
)
def test_periods_and_intervals_are_levels_in_their_order(values):
    design = build_design("y ~ 1 + (1 | z)", base().assign(z=values))
    assert design.groups[0].levels.tolist() == [str(each) for each in sorted(values.dropna().unique())]
    assert (design.encode(base().assign(z=values)).groups["z"].codes == design.groups[0].codes).all()


def test_dates_of_any_year_are_levels():
    years = ["-3000-01-01", "1500-01-01", "9999-12-31", "20000-01-01"]
    days = np.resize(np.array(years, dtype="M8[D]"), N)
    for column in (
        pd.Series(days.astype("M8[s]")),
        pl.Series(days),
        pa.array(days),
        pa.array(days.astype("M8[ms]")).cast(pa.date64()),
    ):
        design = build_design("y ~ 1 + (1 | id)", with_ids(column))
        assert design.groups[0].levels.astype("M8[D]").astype(str).tolist() == years


@pytest.mark.parametrize(
    ("learned", "new"),
    [
        (pd.Series(BASE["d"]), pd.Series(pd.Categorical(pd.to_datetime(BASE["d"])))),
        (pd.Series(pd.Categorical(pd.to_datetime(BASE["d"]))), pd.Series(BASE["d"])),
        (pd.Series(BASE["k"]), pd.Series(pd.Categorical(BASE["k"]))),
        (pd.Series(pd.Categorical(BASE["k"])), pd.Series(BASE["k"], dtype=float)),
        (pd.Series(pd.to_datetime(BASE["d"])).dt.tz_localize("UTC"), pd.Series(pd.Categorical(pd.to_datetime(BASE["d"]).tz_localize("UTC")))),
        (pd.Series(pd.Categorical(pd.to_datetime(BASE["d"]).tz_localize("UTC"))), pd.Series(pd.to_datetime(BASE["d"])).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
    ],
)  # fmt: skip
def test_categories_and_their_values_are_the_same_levels(learned, new):
    design = build_design("y ~ 1 + (1 | z)", base().assign(z=learned))
    encoded = design.encode(base().assign(z=new)).groups["z"]
    assert encoded.codes.tolist() == design.groups[0].codes.tolist()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((3, 2)), r"not ndarray\. Give its columns names: pd\.DataFrame\(array, columns=\[\.\.\.\]\)"),
        (pd.Series([1.0], name="y"), r"not Series\. Call \.to_frame\(\) first"),
        (pl.Series("y", [1.0]), r"not Series\. Call \.to_frame\(\) first"),
        (xr.Dataset({"y": (("a", "b"), [[1.0]])}), "have the dimensions a, b, and a table has one"),
        (xr.Dataset({"y": 1.0}), r"have the dimensions \(none\)"),
        (xr.DataArray([1.0], dims="a", name="y"), "must be a pandas, polars or Arrow table, not DataArray"),
        (xr.DataTree(xr.Dataset({"y": ("a", [1.0])})), "must be a pandas, polars or Arrow table|cannot be made"),
        ([], "must be a pandas, polars or Arrow table, not list"),
        ([{"y": 1}, 3], "must be a pandas, polars or Arrow table, not list"),
        (np.zeros(2, dtype=[("y", float, 3)]), "cannot be made a table"),
        ({"y": 1, "x": 2}, "cannot be made a table"),
        (pa.schema([("y", pa.float64())]).empty_table().to_reader(), "The data have no rows"),
    ],
)  # fmt: skip
def test_what_is_nearly_a_table_is_refused_with_what_to_do(data, message):
    with pytest.raises(DataError, match=message):
        build_design("y ~ x", data)


@pytest.mark.parametrize("data", [3, "sleepstudy", [1, 2], None, pl.DataFrame(BASE).lazy()])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(DataError, match="must be a pandas, polars or Arrow table"):
        build_design("y ~ x", data)


def test_a_mapping_of_unequal_columns_is_refused():
    with pytest.raises(DataError, match="cannot be made a table"):
        build_design("y ~ x", {"y": [1, 2], "x": [1]})


def test_missing_is_drop_or_error():
    with pytest.raises(ArgumentError, match="missing='ignore' is not known; choose 'drop' or 'error'"):
        build_design("y ~ x", base(), missing="ignore")


@pytest.mark.parametrize(
    ("formula", "dropped"),
    [
        ("y ~ x + I(2*x + 1)", ("I(2 * x + 1)",)),
        ("y ~ x + n + {x + n} + {x - n}", ("x + n", "x - n")),
        ("y ~ one + x", ("one",)),
        ("y ~ 0 + one + x", ()),
        ("y ~ zero + x", ("zero",)),
        ("y ~ single + x", ("single",)),
        ("y ~ f + C(f, contr.sum)", ("C(f, contr.sum)[S.high]", "C(f, contr.sum)[S.low]")),
        ("y ~ 0 + f + g", ()),
        ("y ~ nested + g", ("g[T.g6]",)),
        ("y ~ scaled + x", ()),
        ("y ~ huge + tiny + x", ()),
        ("y ~ huge + I(huge/1e100)", ("I(huge / 1e+100)",)),
    ],
)
def test_a_linear_combination_of_earlier_columns_is_dropped_and_named(formula, dropped):
    nested = ["early" if g in ("g1", "g10") else "late" for g in BASE["g"]]
    table = base().assign(
        huge=np.array(BASE["k"]) * 1e200,
        tiny=np.array(BASE["n"]) * 1e-200,
        one=1.0,
        zero=0,
        single="a",
        nested=nested,
        scaled=np.array(BASE["x"]) * 1e4 + BASE["n"],
    )
    design = build_design(formula, table)
    assert design.fixed.dropped == dropped
    X = design.fixed.X / np.abs(design.fixed.X).max(axis=0)
    assert np.linalg.matrix_rank(X) == len(design.fixed.columns)
    assert any("linear combination" in note for note in design.notes) == bool(dropped)
    np.testing.assert_array_equal(design.encode(table).X, design.fixed.X)


def test_more_columns_than_rows_leave_as_many_as_rows():
    design = build_design("y ~ poly(x, 3) + C(n)*g*f", base())
    assert design.fixed.X.shape[1] == np.linalg.matrix_rank(design.fixed.X) <= N


def test_a_factor_of_one_level_left_of_a_bar_is_noted():
    design = build_design("y ~ (single | g)", base().assign(single="a"))
    assert design.groups[0].columns == ("Intercept",)
    assert "single of g is a linear combination" in design.notes[0]


def test_a_formula_may_use_the_caller_s_functions_and_values():
    env = {"double": lambda x: 2 * x, "shift": 3.0, "log": lambda x: x, "loose": lambda x: pd.Series(list(x))}
    table = base()
    table.loc[0, "n"] = None
    design = build_design("y ~ double(x) +  I(x + shift*n^2) + log(n) + I(loose(x) * n)", table, env=env)
    x, n = (np.array(table[name][1:], dtype=float) for name in ("x", "n"))
    np.testing.assert_allclose(design.fixed.X[:, 1:], np.column_stack([2 * x, x + 3 * n**2, n, x * n]))
    with pytest.raises(DataError, match="no function x"):
        build_design("y ~ x(n)", table, env={"x": 3})
    with pytest.raises(DataError, match=r"broken\(x\) cannot be computed: no luck"):
        build_design("y ~ broken(x)", table, env={"broken": _broken})


def _broken(_):
    raise RuntimeError("no luck")


@pytest.mark.parametrize("stray", ["?", "1,5", "N/A ", "-"])
def test_a_text_among_numbers_is_named(stray):
    texts = [stray, *map(str, BASE["x"][1:])]
    note = f"x holds {stray!r} beside numbers and is a factor of 24 levels; make it a gap to have numbers."
    assert note in build_design("y ~ x + (1 | g)", base().assign(x=texts)).notes
    assert note in build_design("y ~ f + (x | g)", base().assign(x=texts)).notes
    with pytest.raises(
        FamilyError, match=re.escape(f"The response x holds {stray!r} beside numbers, not numbers, which")
    ):
        mb.model("x ~ n", base().assign(x=texts))
    for formula in ("y ~ factor(x) + (1 | g)", "y ~ n + (1 | x)"):  # said to be a factor, or a group
        assert not any(
            "beside numbers" in note for note in build_design(formula, base().assign(x=texts).iloc[:20]).notes
        )
    codes = base().assign(x=["1", "2", "other"] * 8)
    assert not build_design("y ~ x", codes).notes


def test_other_number_types_are_numbers():
    table = base().assign(
        x=[decimal.Decimal(str(x)) for x in BASE["x"]], n=np.array(BASE["n"], dtype=np.uint64)
    )
    assert_same(build_design("y ~ x + n", table), build_design("y ~ x + n", base()))


def test_columns_named_by_numbers_are_named_in_backticks():
    table = pd.DataFrame(np.array([BASE["y"], BASE["x"], BASE["k"]]).T)
    design = build_design("`0` ~ `1` + (1 | `2`)", table)
    assert design.fixed.columns == ("Intercept", "`1`")
    np.testing.assert_array_equal(design.fixed.X[:, 1], BASE["x"])


def test_whole_numbers_beyond_64_bits_are_numbers():
    table = base().assign(x=[2**70 + i * 2**60 for i in range(N)])
    np.testing.assert_allclose(
        build_design("y ~ x", table).fixed.X[:, 1], [2.0**70 + i * 2.0**60 for i in range(N)]
    )
