"""Any table gives the same design; what cannot be used is named."""

import datetime as dt
import decimal
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixedbayes.design.design import build_design
from mixedbayes.errors import ArgumentError, DataError

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
    "arrow dictionary": lambda: pa.table(
        BASE | {"f": pa.array(BASE["f"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))}
    ).select(list(BASE)),
}


@pytest.mark.parametrize("kind", [kind for kind in TABLES if kind != "arrow dictionary"])
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
        (base().assign(x=[1 + 2j] * N), "y ~ x", "Column 'x' holds"),
        (base().assign(x=pd.to_timedelta(range(N), "D")), "y ~ x", "Column 'x' holds"),
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
        (base(), "y ~ poly(x, 99):poly(n, 99)", "columns over 24 rows, too many to hold"),
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
