"""New data through the recipe of a design: what was learned is used, never learned anew."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedbayes.designs.build import build_design
from mixedbayes.errors import DataError, DesignWarning

N = 40
RNG = np.random.default_rng(5)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": RNG.uniform(1, 5, N),
        "f": RNG.choice(["A", "B", "C"], N),
        "t": RNG.random(N) < 0.5,
        "g": np.repeat([f"g{i}" for i in range(10)], 4),
        "k": np.tile([3, 1, 2, 11], 10),
        "d": pd.to_datetime("2024-01-01") + pd.to_timedelta(np.repeat(range(4), 10), "D"),
    }
)
FORMULAS = [
    "y ~ x",
    "y ~ 0 + f",
    "y ~ f*x + t",
    "y ~ poly(x, 3)*f + (poly(x, 2) | g)",
    "y ~ scale(x) + center(z) + standardize(z) + (scale(x) || g)",
    "y ~ bs(z, df=5) + (1 | g)",
    "y ~ cs(z, df=4) + cr(x, df=4) + cc(z, df=4)",
    "y ~ C(f, contr.sum) + C(k, contr.poly) + (0 + C(f, contr.helmert) | k)",
    "y ~ scale(poly(x, 2)) + scale(log(z)) + I(x > 0) + offset(scale(z)) + offset(log(z))",
    "y ~ x + I(2*x) + f + (x | g/k) + (1 | t:f) + (1 | d)",
    "y ~ (1 | k:g) + (0 + x:f | g)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_same_data_give_the_same_design_exactly(formula):
    design = build_design(formula, DATA)
    for again in (
        design.encode(DATA),
        design.encode(DATA.drop(columns="y")),
        design.encode(pl.DataFrame(DATA)),
    ):
        np.testing.assert_array_equal(again.X, design.fixed.X)
        np.testing.assert_array_equal(again.offset, design.offset)
        for (X, codes, _), block in zip(again.groups.values(), design.groups, strict=True):
            np.testing.assert_array_equal(X, block.X)
            np.testing.assert_array_equal(codes, block.codes)


@pytest.mark.parametrize("formula", FORMULAS)
@settings(max_examples=8)
@given(rows=st.lists(st.integers(0, N - 1), min_size=1, max_size=6))
def test_some_rows_give_the_same_rows(formula, rows):
    design = build_design(formula, DATA)
    some = design.encode(DATA.iloc[rows])
    np.testing.assert_allclose(some.X, design.fixed.X[rows], atol=1e-13)
    np.testing.assert_allclose(some.offset, design.offset[rows], atol=1e-13)
    for (X, codes, _), block in zip(some.groups.values(), design.groups, strict=True):
        np.testing.assert_allclose(X, block.X[rows], atol=1e-13)
        np.testing.assert_array_equal(codes, block.codes[rows])


def test_encoding_teaches_nothing():
    design = build_design("y ~ poly(x, 2) + scale(z) + (scale(x) | g)", DATA)
    shifted = DATA.assign(x=DATA["x"] * 3 + 1, z=DATA["z"] + 5)
    first = design.encode(shifted)
    design.encode(shifted.assign(x=shifted["x"] + 100))
    np.testing.assert_array_equal(design.encode(shifted).X, first.X)
    np.testing.assert_allclose(first.X[:, 3], (shifted["z"] - DATA["z"].mean()) / DATA["z"].std())
    np.testing.assert_allclose(first.groups["g"].X[:, 1], (shifted["x"] - DATA["x"].mean()) / DATA["x"].std())


def test_unseen_levels_of_a_group_have_negative_codes_each_its_own():
    design = build_design("y ~ x + (1 | g/k) + (x | k) + (1 | d)", DATA)
    new = DATA.iloc[:4].assign(g=["g0", "new", "g9", "g0"], k=[3, 1, 99, 11])
    encoded = design.encode(new).groups
    g, gk, k, d = (block.codes.tolist() for block in encoded.values())
    assert [block.unseen for block in encoded.values()] == [("new",), ("new:1", "g9:99"), ("99",), ()]
    levels = {
        name: block.levels.tolist() for name, block in zip(("g", "gk", "k", "d"), design.groups, strict=True)
    }
    assert g == [levels["g"].index("g0"), -1, levels["g"].index("g9"), levels["g"].index("g0")]
    assert gk == [levels["gk"].index("g0:3"), -1, -2, levels["gk"].index("g0:11")]
    assert k == [2, 0, -1, 3]
    assert d == [0] * 4


def test_a_combination_not_seen_of_levels_seen_is_unseen():
    data = DATA.assign(k=[f"{g}-{i % 4}" for i, g in enumerate(DATA["g"])])
    design = build_design("y ~ (1 | g:k)", data)
    assert len(design.groups[0].levels) == 40
    crossed = data.iloc[[0, 0]].assign(g=["g0", "g1"])
    assert design.encode(crossed).groups["g:k"].codes.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("formula", "changes", "message"),
    [
        ("y ~ f", {"f": "D"}, "f has 1 level that the model has not seen: 'D'"),
        ("y ~ 0 + x:f", {"f": "D"}, "f has 1 level that the model has not seen: 'D'"),
        ("y ~ C(k)", {"k": 7}, "C(k) has 1 level that the model has not seen: 7"),
        ("y ~ C(f, contr.sum)", {"f": "D"}, "has not seen: 'D'"),
        ("y ~ x + (f | g)", {"f": "D"}, "f has 1 level that the model has not seen: 'D'"),
        ("y ~ x", {"x": "a"}, "x holds text or categories, where the model has learned numbers"),
        ("y ~ f", {"f": 3.5}, "f holds numbers, where the model has learned text or categories"),
        ("y ~ x + (1 | k)", {"k": "3"}, "k holds text or categories, where the model has learned numbers"),
        ("y ~ x + (1 | g:k)", {"g": 3}, "g holds numbers, where the model has learned text or categories"),
        ("y ~ log(z)", {"z": -1.0}, "log(z) is not finite in 1 row, the first being row 0"),
        ("y ~ bs(z, df=5)", {"z": 100.0}, "bs(z, df=5) cannot be computed"),
        ("y ~ x", {"x": np.inf}, "'x' is infinite in 1 row"),
    ],
)
def test_new_data_that_do_not_fit_are_refused(formula, changes, message):
    design = build_design(formula, DATA)
    with pytest.raises(DataError, match=re.escape(message)):
        design.encode(DATA.iloc[:1].assign(**changes))


def test_new_data_need_every_predictor_and_group_and_no_response():
    design = build_design("log(z) ~ x + f + (1 | g)", DATA)
    assert design.encode(DATA[["x", "f", "g"]]).X.shape == (N, 4)
    with pytest.raises(DataError, match="There are no columns 'x', 'g' in the data"):
        design.encode(DATA[["f", "z"]])


def test_columns_of_groups_that_are_not_asked_for_are_not_needed():
    design = build_design("y ~ x + (1 | g/k) + (t | f)", DATA)
    encoded = design.encode(DATA[["x", "g"]], groups=["g"])
    np.testing.assert_array_equal(encoded.groups["g"].codes, design.groups[0].codes)
    assert list(encoded.groups) == ["g"]
    assert not design.encode(DATA[["x"]], groups=[]).groups
    with pytest.raises(DataError, match="There are no columns 't', 'k', 'f'"):
        design.encode(DATA[["x", "g"]])


def test_rows_that_columns_left_out_would_tell_apart_are_named():
    doubled = DATA.assign(q=2 * DATA["x"] + 1)
    design = build_design("y ~ x + q", doubled)
    design.encode(doubled.assign(x=doubled["x"] + 1, q=doubled["q"] + 2))
    with pytest.warns(DesignWarning, match=r"40 rows cannot be told .* where q added up from other columns"):
        design.encode(doubled.assign(x=doubled["x"] + 1))
    empty = DATA[(DATA["f"] != "B") | ~DATA["t"]]
    crossed = build_design("y ~ f * t", empty)
    assert crossed.fixed.dropped == ("f[T.B]:t[T.True]",)
    with pytest.warns(DesignWarning, match=r"1 row cannot be told .* where f\[T.B\]:t\[T.True\] added up"):
        crossed.encode(DATA[(DATA["f"] == "B") & DATA["t"]].head(1))


def test_trials_of_new_data_are_whole_numbers():
    counts = DATA.assign(n=DATA["k"] + 4, s=DATA["k"])
    design = build_design("s | trials(n) ~ x", counts)
    for wrong in (-3, 10.9):
        with pytest.raises(DataError, match=f"Trials are whole numbers from 0, not {wrong}"):
            design.encode(counts.assign(n=wrong), additions=("trials",))


def test_trials_are_needed_where_they_are_asked_for():
    counts = DATA.assign(n=DATA["k"] + 4, s=DATA["k"], f2=4)
    for formula in ("s | trials(n) ~ x", "cbind(s, f2) ~ x", "s | trials(s + 4) ~ x"):
        design = build_design(formula, counts)
        assert design.encode(counts[["x"]]).trials is None
        np.testing.assert_array_equal(design.encode(counts, additions=("trials",)).trials, counts["n"])
        with pytest.raises(DataError, match=r"There (is|are) no column"):
            design.encode(counts[["x"]], additions=("trials",))
    assert build_design("y ~ x", DATA).encode(DATA[["x"]], additions=("trials",)).trials is None


def test_the_callers_index_is_kept():
    named = DATA.set_axis([f"row {i}" for i in range(N)], axis=0).rename_axis("id")
    design = build_design("y ~ x", named.assign(x=named["x"].where(named["x"] > -1)))
    assert design.rows.index.tolist() == [f"row {i}" for i in np.flatnonzero(DATA["x"] > -1)]
    assert design.rows.index.name == "id"
    new = design.encode(named.iloc[:3].assign(x=[1, np.nan, 2]))
    assert (list(new.index), list(new.places)) == (["row 0", "row 1", "row 2"], [0, 2])
    assert list(build_design("y ~ x", pl.DataFrame(DATA)).rows.index) == list(range(N))


def test_new_data_may_lack_values():
    design = build_design("y ~ x + (1 | g)", DATA)
    new = DATA.iloc[:4].assign(x=[1.0, np.nan, 2.0, 3.0])
    encoded = design.encode(new)
    assert encoded.places.tolist() == [0, 2, 3]
    assert encoded.missing == {"x": 1}
    assert encoded.X.shape == (3, 2)
    with pytest.raises(DataError, match="missing values: x in 1 row"):
        design.encode(new, missing="error")


def test_levels_of_other_whole_number_types_are_the_same_levels():
    design = build_design("y ~ (1 | k) + (1 | t)", DATA)
    for kind in ("int8", "float64", "Int64"):
        encoded = design.encode(DATA.astype({"k": kind, "t": "boolean" if kind == "Int64" else bool}))
        for (_, codes, _), block in zip(encoded.groups.values(), design.groups, strict=True):
            np.testing.assert_array_equal(codes, block.codes)


def test_categories_of_new_data_may_be_fewer_and_in_another_order():
    design = build_design("y ~ f + (1 | f)", DATA.assign(f=pd.Categorical(DATA["f"], ["C", "A", "B"])))
    for other in (DATA["f"], pd.Categorical(DATA["f"], ["A", "B", "C", "D"])):
        encoded = design.encode(DATA.assign(f=other))
        np.testing.assert_array_equal(encoded.X, design.fixed.X)
        np.testing.assert_array_equal(next(iter(encoded.groups.values())).codes, design.groups[0].codes)


def test_numbers_are_the_levels_of_categories_of_numbers():
    design = build_design("y ~ k + (1 | k)", DATA.assign(k=DATA["k"].astype("category")))
    assert design.fixed.columns == ("Intercept", "k[T.2]", "k[T.3]", "k[T.11]")
    encoded = design.encode(DATA)
    np.testing.assert_array_equal(encoded.X, design.fixed.X)
    np.testing.assert_array_equal(next(iter(encoded.groups.values())).codes, design.groups[0].codes)
