"""Designs of several predictors: that of each parameter is what a formula of its own would make."""

import re

import numpy as np
import pandas as pd
import pytest

import mixedbayes as mb
from mixedbayes.designs.build import build_design
from mixedbayes.designs.extend import extend
from mixedbayes.errors import DataError, FamilyError, FormulaError

RNG = np.random.default_rng(4)
N = 40
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(3.0, 2.0, N),
        "z": RNG.uniform(1.0, 2.0, N),
        "f": np.resize(["A", "B", "C"], N),
        "g": [f"g{i // 4}" for i in range(N)],
        "h": np.resize(["u", "v", "w", "t"], N),
    }
)
SIDES = {
    "mu": "x + (x | g) + offset(z)",
    "sigma": "0 + f + scale(x) + offset(scale(z)) + (1 | g) + (0 + z | g)",
    "nu": "poly(x, 2) * f + (1 | h)",
}
TEXT = f"y ~ {SIDES['mu']}; sigma ~ {SIDES['sigma']}\nnu ~ {SIDES['nu']}"


def alone(name, data=DATA):
    return build_design(f"y ~ {SIDES[name]}", data)


def parts(design, name):
    """The population level, the offset, and the blocks of one parameter."""
    linear = design if name == "mu" else design.predictors[name]
    return linear.fixed, linear.offset, [block for block in design.groups if block.parameter == name]


def assert_same(design, name, other):
    fixed, offset, blocks = parts(design, name)
    own, its_offset, its_blocks = parts(other, "mu")
    assert fixed.columns == own.columns
    assert fixed.dropped == own.dropped
    np.testing.assert_array_equal(fixed.X, own.X)
    np.testing.assert_array_equal(fixed.centring.to_means, own.centring.to_means)
    np.testing.assert_array_equal(offset, its_offset)
    for block, its in zip(blocks, its_blocks, strict=True):
        assert (block.group, block.columns) == (its.group, its.columns)
        np.testing.assert_array_equal(block.X, its.X)
        np.testing.assert_array_equal(block.codes, its.codes)
        np.testing.assert_array_equal(block.levels, its.levels)


@pytest.mark.parametrize("name", SIDES)
def test_each_predictor_is_that_of_a_formula_of_its_own(name):
    design = build_design(TEXT, DATA)
    rows = np.array([30, 2, 7])
    assert_same(design, name, alone(name))
    assert_same(design.only(rows), name, alone(name).only(rows))
    grown = extend(build_design(TEXT, DATA.iloc[:25]), DATA.iloc[25:])
    assert_same(grown, name, extend(alone(name, DATA.iloc[:25]), DATA.iloc[25:]))


@pytest.mark.parametrize("name", SIDES)
def test_new_rows_go_by_the_recipe_of_each_predictor(name):
    new = DATA.iloc[:6].assign(x=9.0, g="new")
    encoded, own = build_design(TEXT, DATA).encode(new), alone(name).encode(new)
    linear = encoded if name == "mu" else encoded.predictors[name]
    np.testing.assert_array_equal(linear.X, own.X)
    np.testing.assert_array_equal(linear.offset, own.offset)
    prefix = "" if name == "mu" else f"{name}."
    for block, its in own.groups.items():
        np.testing.assert_array_equal(encoded.groups[prefix + block].X, its.X)
        np.testing.assert_array_equal(encoded.groups[prefix + block].codes, its.codes)


def test_blocks_have_names_of_their_own():
    design = build_design(TEXT, DATA)
    assert [(block.name, block.parameter) for block in design.groups] == [
        ("g", "mu"),
        ("sigma.g", "sigma"),
        ("sigma.g.2", "sigma"),
        ("nu.h", "nu"),
    ]
    assert [block.label for block in design.groups] == ["g", "g", "g.2", "h"]
    odd = DATA.rename(columns={"h": "sigma.g"})
    names = [b.name for b in build_design("y ~ (1 | sigma.g) + (1 | g); sigma ~ (1 | g)", odd).groups]
    assert names == ["sigma.g", "g", "sigma.g_"]


def test_predictors_that_are_not_wanted_need_no_columns():
    design = build_design(TEXT, DATA)
    assert design.columns_of((), parameters=()) == ("x", "z")
    assert design.columns_of(("nu.h",), parameters=("nu",)) == ("x", "z", "f", "h")
    assert set(design.columns_of([block.name for block in design.groups])) == {"x", "z", "f", "g", "h"}
    some = design.encode(DATA[["x", "z", "g"]], parameters=())
    assert (list(some.predictors), list(some.groups)) == ([], ["g"])
    nu = design.encode(DATA[["x", "z", "f", "h"]], parameters=("nu",), groups=("nu.h",))
    assert (list(nu.predictors), list(nu.groups)) == (["nu"], ["nu.h"])
    none = design.encode(DATA.iloc[:0], parameters=("nu",))
    assert (list(none.predictors), none.predictors["nu"].X.shape[0]) == (["nu"], 0)
    with pytest.raises(DataError, match="There is no column 'f'"):
        design.encode(DATA[["x", "z", "g", "h"]])


def test_gaps_of_any_predictor_drop_the_row_from_all():
    gaps = DATA.assign(f=DATA["f"].where(DATA.index != 3), h=DATA["h"].where(DATA.index != 5))
    design = build_design(TEXT, gaps)
    assert design.n == len(design.predictors["sigma"].fixed.X) == len(design.groups[-1].codes) == N - 2
    assert design.rows.missing == {"f": 1, "h": 1}


def test_what_is_said_of_columns_names_the_parameter():
    design = build_design("y ~ x; sigma ~ x + I(2 * x)", DATA)
    assert design.notes == ("Column I(2 * x) of sigma is a linear combination of the others and left out.",)
    assert "Fixed of sigma: 40 x 2 (Intercept, x)" in str(design)
    far = DATA.assign(x=DATA["x"] + 100)
    (note,) = build_design("y ~ x + (1 | g); sigma ~ (x || g)", far).notes
    assert note.startswith("In g of sigma, the intercept and the effect of x are independent where x is 0")
    assert not build_design("y ~ x + (1 | g); sigma ~ 0 + (0 + x | g)", far).notes


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("y ~ x; sigma ~ w", DataError, "There is no column 'w'"),
        ("y ~ x; sigma ~ (1 | w)", DataError, "There is no column 'w'"),
        ("y ~ x; sigma ~ f(x)", DataError, "A formula has no function f()"),
        (
            "y ~ x + (1 | p | g); sigma ~ (1 | p | h)",
            FormulaError,
            "The label p stands for effects of g in (1 | p | g) and of h in (1 | p | h)",
        ),
        ("y ~ (1 | p | g/h)", FormulaError, "The label p stands for effects of g in"),
        ("y ~ x; sigma ~ offset(f)", DataError, "offset(f) is not a number for each row"),
    ],
)
def test_predictors_that_cannot_be_made_are_refused(formula, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build_design(formula, DATA)


def test_a_family_without_the_parameter_says_so():
    with pytest.raises(FamilyError, match="The gaussian family has no parameter 'nu'"):
        mb.model(TEXT, DATA)


def test_terms_under_a_label_are_one_block():
    design = build_design("y ~ (1 | p | g) + (1 | h) + (0 + x | p | g)", DATA)
    (alone,) = build_design("y ~ (x | g)", DATA).groups
    block, other = design.groups
    assert (block.name, block.label, other.name) == ("g", "g", "h")
    assert block.columns == alone.columns == ("Intercept", "x")
    np.testing.assert_array_equal(block.X, alone.X)
    np.testing.assert_array_equal(block.centring.to_means, alone.centring.to_means)


def test_terms_of_several_predictors_under_a_label_are_one_block():
    design = build_design("y ~ (x | p | g); sigma ~ z + (0 + f | p | g); nu ~ (1 | p | g)", DATA)
    (block,) = design.groups
    fs = ("f[A]", "f[B]", "f[C]")
    assert block.columns == ("Intercept", "x", *(f"sigma.{f}" for f in fs), "nu.Intercept")
    assert block.terms == ("Intercept", "x", *fs, "Intercept")
    assert block.predictors == ("mu", "mu", "sigma", "sigma", "sigma", "nu")
    assert (block.intercepts, block.parameter) == ((0, 5), "mu")
    assert block.places("sigma") == [2, 3, 4]
    (of_mean,) = build_design("y ~ (x | g)", DATA).groups
    np.testing.assert_array_equal(block.centring.to_means[:2, :2], of_mean.centring.to_means)
    np.testing.assert_array_equal(block.centring.to_means[2:], np.eye(6)[2:])
    rows = design.encode(DATA.drop(columns="y").iloc[:7])
    np.testing.assert_array_equal(rows.groups["g"].X, block.X[:7])
    more = extend(design, DATA.iloc[:3].assign(g="new"), "error")
    np.testing.assert_array_equal(more.groups[0].X[N:], block.X[:3])
    assert design.columns_of(("g",)) == ("x", "g", "z", "f")


def test_effects_of_several_predictors_with_one_name_are_refused():
    odd = DATA.assign(**{"sigma.z": DATA["x"]})
    with pytest.raises(DataError, match=r"Two effects of g would both be named 'sigma\.z'"):
        build_design("y ~ (`sigma.z` | p | g); sigma ~ (z | p | g)", odd)
