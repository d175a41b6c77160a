"""Full dummies exactly where R's model.matrix has them, at the population level and left of a bar."""

import json

import numpy as np
import pandas as pd
import pytest
from data import REFERENCE
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedbayes.designs.build import build_design

ORACLE = json.loads((REFERENCE / "model_matrix_r.json").read_text(encoding="utf-8"))
CASES = ORACLE["cases"]
PROBE = np.array(ORACLE["probe"])


def table():
    data = pd.DataFrame(ORACLE["data"])
    for name, levels in ORACLE["levels"].items():
        data[name] = pd.Categorical(data[name], categories=levels)
    return data


DATA = table()


def assert_is_r(X, case):
    assert X.shape == (len(DATA), len(case["columns"]))
    np.testing.assert_allclose(np.sort((X * X).sum(axis=0)), np.sort(case["sumsq"]), atol=1e-6)
    np.testing.assert_allclose(np.sort(np.abs(X.sum(axis=0))), np.sort(np.abs(case["sums"])), atol=1e-6)
    if X.shape[1]:
        assert np.linalg.matrix_rank(X) == case["rank"]
        fitted = X @ np.linalg.lstsq(X, PROBE, rcond=1e-9)[0]
        np.testing.assert_allclose(fitted, case["fitted"], atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=[case["formula"] for case in CASES])
def test_the_population_level_has_the_columns_of_r(case):
    design = build_design(f"y ~ {case['formula']} + (1 | g)", DATA)
    assert_is_r(design.fixed.recipe.encode(design.data, {}), case)
    assert design.fixed.X.shape[1] == np.linalg.matrix_rank(design.fixed.X) == case["rank"]
    assert len(design.fixed.columns) + len(design.fixed.dropped) == len(case["columns"])


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case["columns"]],
    ids=[case["formula"] for case in CASES if case["columns"]],
)
def test_the_left_of_a_bar_has_the_columns_of_r(case):
    design = build_design(f"y ~ x + ({case['formula']} | g)", DATA)
    assert_is_r(design.groups[0].X, case)


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("f3", ["Intercept", "f3[T.B]", "f3[T.C]"]),
        ("0 + f3", ["f3[A]", "f3[B]", "f3[C]"]),
        ("f4", ["Intercept", "f4[T.p]", "f4[T.q]", "f4[T.r]"]),
        ("t*x", ["Intercept", "t[T.True]", "x", "t[T.True]:x"]),
        (
            "f2:f3 - 1",
            ["f2[hi]:f3[A]", "f2[lo]:f3[A]", "f2[hi]:f3[B]", "f2[lo]:f3[B]", "f2[hi]:f3[C]", "f2[lo]:f3[C]"],
        ),
        ("C(f3, contr.sum)", ["Intercept", "C(f3, contr.sum)[S.A]", "C(f3, contr.sum)[S.B]"]),
        ("poly(x, 2)", ["Intercept", "poly(x, 2)[1]", "poly(x, 2)[2]"]),
        ("I(x^2) + {x+z}", ["Intercept", "I(x ** 2)", "x + z"]),
    ],
)
def test_columns_are_named_as_formulaic_names_them(formula, columns):
    design = build_design(f"y ~ {formula} + ({formula} | g)", DATA)
    assert list(design.fixed.columns) == columns
    assert list(design.groups[0].columns) == columns


def test_ordered_categories_are_coded_by_treatment_unless_asked():
    data = DATA.assign(f3=DATA["f3"].cat.as_ordered())
    assert build_design("y ~ f3", data).fixed.columns == ("Intercept", "f3[T.B]", "f3[T.C]")
    assert build_design("y ~ C(f3, contr.poly)", data).fixed.columns[1:] == (
        "C(f3, contr.poly)[.L]",
        "C(f3, contr.poly)[.Q]",
    )


FORMULA = "y ~ f3*x + poly(z, 2) + scale(x) + (f2 + x | f4/g) + (0 + f3 || g)"


@settings(max_examples=20)
@given(st.permutations(range(len(DATA))))
def test_permuting_rows_permutes_the_design_and_changes_nothing_else(order):
    before, after = build_design(FORMULA, DATA), build_design(FORMULA, DATA.iloc[list(order)])
    np.testing.assert_allclose(after.fixed.X, before.fixed.X[list(order)], atol=1e-12)
    np.testing.assert_array_equal(after.response.values, np.asarray(before.response.values)[list(order)])
    assert after.fixed.columns == before.fixed.columns
    assert after.fixed.dropped == before.fixed.dropped
    for one, other in zip(after.groups, before.groups, strict=True):
        assert (one.name, one.columns, list(one.levels)) == (other.name, other.columns, list(other.levels))
        np.testing.assert_allclose(one.X, other.X[list(order)], atol=1e-12)
        np.testing.assert_array_equal(one.codes, other.codes[list(order)])


@settings(max_examples=20)
@given(st.lists(st.text(min_size=1, max_size=4), min_size=3, max_size=3, unique=True).map(sorted))
def test_relabelling_levels_in_order_changes_labels_and_nothing_else(names):
    data = DATA.assign(f3=DATA["f3"].astype(str), g=DATA["f3"].astype(str))
    relabelled = data.assign(**{c: data[c].map(dict(zip("ABC", names, strict=True))) for c in ("f3", "g")})
    formula = "y ~ f3*x + (f3 | g) + (1 | g:f2)"
    before, after = build_design(formula, data), build_design(formula, relabelled)
    np.testing.assert_array_equal(after.fixed.X, before.fixed.X)
    assert list(after.groups[0].levels) == names
    for one, other in zip(after.groups, before.groups, strict=True):
        np.testing.assert_array_equal(one.X, other.X)
        np.testing.assert_array_equal(one.codes, other.codes)
