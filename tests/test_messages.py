"""What users of other programs write first: taken where it costs nothing, else answered with what to write here."""

import re

import numpy as np
import pandas as pd
import pytest

import mixedbayes as mb
from mixedbayes.designs.functions import FUNCTIONS
from mixedbayes.errors import ArgumentError, DataError, FamilyError, FormulaError, nearest, nearest_address
from mixedbayes.inference.elsewhere import WORDS
from mixedbayes.language import elsewhere
from mixedbayes.models.elsewhere import ALIASES, UNSUPPORTED, squeezed
from mixedbayes.models.families import FAMILIES, find_family

RNG = np.random.default_rng(7)
N = 60
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "w": RNG.uniform(1, 5, N),
        "n": RNG.integers(5, 9, N),
        "f": np.resize(list("abc"), N),
        "g": np.repeat([f"g{i}" for i in range(6)], 10),
        "my col": RNG.normal(size=N),
    }
)
SILLY = "Did you mean"


def columns_of(formula, data=DATA, **options):
    return mb.design(formula, data, **options).fixed.columns


def matrix_of(formula, data=DATA):
    return mb.design(formula, data).fixed.X


# what is taken -------------------------------------------------------------------------------------------

ALIKE = [
    ("y ~ as.factor(f)", "y ~ factor(f)"),
    ("y ~ factor(f)", "y ~ f"),
    ("y ~ factor(f, c('b', 'a', 'c'))", "y ~ C(f, levels=c('b', 'a', 'c'))"),
    ("y ~ factor(f, levels=c('b', 'a', 'c'))", "y ~ C(f, Treatment('b'))"),
    ("y ~ factor(f, contr.sum)", "y ~ C(f, contr.sum)"),
    ("y ~ C(f, 'contr.sum')", "y ~ C(f, Sum)"),
    ("y ~ C(f, Treatment)", "y ~ f"),
    ("y ~ Q('my col')", "y ~ `my col`"),
    ("y ~ poly(x, 2, raw=T)", "y ~ poly(x, 2, raw=TRUE)"),
    ("y ~ poly(x, 2, raw=TRUE)", "y ~ x + I(x^2)"),
    ("y ~ scale(x, center=F)", "y ~ scale(x, center=FALSE)"),
    ("y ~ log(w, 10)", "y ~ log10(w)"),
    ("y ~ log(w, base=2)", "y ~ log2(w)"),
    ("y ~ log(w, 3)", "y ~ I(log(w) / log(3))"),
    ("y ~ x − 1  # through the origin", "y ~ x - 1"),
    ("w/n ~ x", "I(w / n) ~ x"),
    ("y^2 ~ x", "I(y^2) ~ x"),
    ("y - w ~ x", "I(y - w) ~ x"),
    ("(y > 0) ~ x", "I(y > 0) ~ x"),
    ("((y > 0) | (w > 2)) ~ x", "I((y > 0) | (w > 2)) ~ x"),
]


@pytest.mark.parametrize(("written", "meant"), ALIKE)
def test_what_is_written_elsewhere_makes_the_same_design(written, meant):
    one, other = mb.design(written, DATA), mb.design(meant, DATA)
    np.testing.assert_allclose(one.fixed.X, other.fixed.X, rtol=1e-12)
    np.testing.assert_array_equal(one.response.values, other.response.values)
    again = one.encode(DATA.iloc[[7, 3]])
    np.testing.assert_allclose(again.X, one.fixed.X[[7, 3]], rtol=1e-12)
    assert mb.design(str(one.formula), DATA).formula == one.formula


def test_polynomials_are_numbered_from_one():
    assert columns_of("y ~ poly(x, 2)")[1:] == ("poly(x, 2)[1]", "poly(x, 2)[2]")
    assert columns_of("y ~ poly(x, 2, raw=TRUE)")[1:] == (
        "poly(x, 2, raw=True)[1]",
        "poly(x, 2, raw=True)[2]",
    )
    assert columns_of("y ~ poly(x, 1, raw=TRUE)")[1:] == ("poly(x, 1, raw=True)[1]",)


def test_a_column_named_t_comes_before_true():
    data = DATA.assign(T=DATA["x"])
    np.testing.assert_array_equal(matrix_of("y ~ T", data), matrix_of("y ~ x", data))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("normal", "gaussian"),
        ("Normal", "gaussian"),
        ("Gaussian", "gaussian"),
        ("POISSON", "poisson"),
        (" binomial ", "binomial"),
    ],
)
def test_a_family_has_other_names(name, family):
    assert find_family(name)[0] is FAMILIES[family]


def test_a_computed_response_goes_all_the_way(tmp_path):
    data = DATA.assign(y=DATA["w"] * DATA["n"])
    fit = mb.fit("y/n ~ x + (1 | g)", data, seed=1)
    other = mb.fit("z ~ x + (1 | g)", data.assign(z=data["y"] / data["n"]), seed=1)
    pd.testing.assert_frame_equal(fit.fixef(), other.fixef())
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    assert str(loaded) == str(fit)
    assert loaded.spec.design.formula == fit.spec.design.formula
    new = data[["x", "g"]].head(3)  # predictions need no response
    pd.testing.assert_frame_equal(loaded.predict(new, seed=1), other.predict(new, seed=1))
    assert fit.loo().elpd == other.loo().elpd
    squared = fit.update(".^2 ~ . - x", seed=1)
    np.testing.assert_allclose(squared.spec.design.response.values, (data["y"] / data["n"]) ** 2)
    more = fit.update(new_rows=data.head(2))
    np.testing.assert_array_equal(
        more.spec.design.response.values[-2:],  # noqa: PD011
        fit.spec.design.response.values[:2],  # noqa: PD011
    )
    assert list(fit.idata["log_likelihood"].data_vars) == [fit.spec.response]


# what is answered ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", elsewhere.FUNCTIONS)
def test_a_function_of_another_program_is_answered_with_what_is_written_here(name):
    where = "offset(y) ~ x" if name == "offset" else f"y ~ {name}(x)"  # among terms offset() is ours
    with pytest.raises(DataError, match=re.escape(f"A formula has no function {name}(): ")) as caught:
        mb.design(where, DATA)
    assert SILLY not in str(caught.value)
    assert "Known:" not in str(caught.value)
    if name not in ("offset", "Q"):
        assert columns_of(f"y ~ {name}(x)", env={name: np.exp})[1:] == (f"{name}(x)",)


def test_no_function_of_ours_is_said_to_be_elsewhere():
    assert not set(FUNCTIONS) & set(elsewhere.FUNCTIONS)
    assert not set(ALIASES) & set(FAMILIES)
    assert not {squeezed(name) for name in (*FAMILIES, *ALIASES)} & set(UNSUPPORTED)


ANSWERS = [
    ("y ~ foo(x)", "compute the column first, or pass your own as env={'foo': function}"),
    ("y ~ cube(x)", "Known: I, C, factor"),
    ("y ~ lgo(x)", "Did you mean 'log'?"),
    (
        "y ~ poly(x, w, 2)",
        "poly() takes one column and a degree; for two columns write poly(x, 2) * poly(z, 2)",
    ),
    ("y ~ poly(x, 1.5)", "the degree of a polynomial is a whole number from 1, not 1.5"),
    ("y ~ log(w, 0)", "the base of a logarithm is a number above 0 that is not 1"),
    ("y ~ log(w, x)", "the base of a logarithm is a number above 0 that is not 1"),
    ("y ~ C(f, 'sum')", "beside the column stands a coding, as contr.sum or Treatment('b')"),
    ("y ~ C(f, c('b', 'a', 'c'))", "an order of levels is levels=['b', 'a']"),
    ("y ~ C(f, 3)", "beside the column stands a coding"),
    ("y ~ NA", "There is no column 'NA' in the data. The columns"),
    ("y ~ T", "There is no column 'T' in the data"),
    ("y ~ pi", "There is no column 'pi' in the data"),
    ("y ~ 1e7 + x", "1e7 is a number, which is no term"),
    ("mvbind(y, x) ~ w", "a model has one response"),
]


@pytest.mark.parametrize(("formula", "message"), ANSWERS)
def test_a_mistake_is_answered(formula, message):
    with pytest.raises((DataError, FormulaError), match=re.escape(message)):
        mb.design(formula, DATA)


def test_a_value_of_env_is_not_called():
    with pytest.raises(
        DataError, match=r"no function cube\(\): 'cube' of env is a value, int, and cannot be called"
    ):
        mb.design("y ~ cube(x)", DATA, env={"cube": 3})


@pytest.mark.parametrize(("data", "label"), [(1e30, "1e+30"), ("only", "'only'"), (3, "3")])
def test_a_group_of_one_level_is_named_by_it(data, label):
    with pytest.raises(DataError, match=re.escape(f"The group z has one level, {label};")):
        mb.design("y ~ (1 | z)", DATA.assign(z=data))


def test_factors_with_many_levels_are_named_by_their_columns():
    data = pd.DataFrame({"y": np.arange(400.0), "z": np.arange(400) // 2, "w": np.arange(400) % 90}).astype(
        {"z": str, "w": str}
    )
    with pytest.raises(DataError, match=re.escape("z:w would make 17,711 columns")) as caught:
        mb.design("y ~ z*w", data)
    assert "Is z:w a group, (1 | z:w)?" in str(caught.value)
    with pytest.raises(DataError, match="too many to hold") as caught:
        mb.design("y ~ bs(w, df=99):bs(z, df=99)", data.astype(float))
    assert "group" not in str(caught.value)


@pytest.mark.parametrize("term", ["(z | g)", "(z || g)", "(0 + z | g)", "(C(z) | g)", "(f*z | g)"])
def test_effects_of_hundreds_of_levels_are_refused_before_they_are_built(term):
    data = pd.concat([DATA] * 20, ignore_index=True).assign(
        z=np.resize([f"z{i:03}" for i in range(400)], 20 * N)
    )
    with pytest.raises(
        DataError, match=r"z\)? would make 400 effects for each level of a group, which has at most 100"
    ) as caught:
        mb.design(f"y ~ {term}", data)
    assert re.search(r"Is (C\()?z\)? a group, \(1 \| ", str(caught.value))
    assert mb.design("y ~ (1 | z) + (1 | z:g)", data).groups


def test_a_column_lost_to_rounding_is_said_to_be_lost_to_rounding():
    assert columns_of("y ~ I(1e8 + x)")[1:] == ("I(100000000.0 + x)",)  # a constant is no size of a column
    (note,) = mb.design("y ~ w + I(1e8 * w + x)", DATA).notes
    assert "differs from a linear combination of the others by less than a ten-millionth of its size" in note
    assert columns_of("y ~ w + I(1e8 * w + x - 1e8 * w)")[1:] == (
        "w",
        "I(100000000.0 * w + x - 100000000.0 * w)",
    )
    (note,) = mb.design("y ~ x + w + I(x - 3 * w)", DATA).notes
    assert note == "Column I(x - 3 * w) is a linear combination of the others and left out."
    exact, near = mb.design("y ~ x + I(2 * x) + I(1e8 * x + w)", DATA).notes
    assert "I(2 * x) is a linear" in exact
    assert "I(100000000.0 * x + w) differs" in near


# families, options, addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_family_that_is_not_there_yet_is_answered_without_a_guess(name):
    with pytest.raises(FamilyError, match="is not supported yet; there are gaussian") as caught:
        find_family(name.upper())
    assert SILLY not in str(caught.value)


def test_zeros_and_ones_are_sent_to_bernoulli():
    with pytest.raises(FamilyError, match="Zeros and ones go with family='bernoulli'"):
        mb.model("y ~ x", DATA.assign(y=np.resize([0, 1], N)), "binomial")


def via_model(formula, data, **options):
    return mb.model(formula, data).fit(**options)


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("call", [mb.fit, mb.model, via_model])
def test_options_of_other_programs_are_answered_with_ours(call, name):
    with pytest.raises(ArgumentError, match=f"There is no option '{name}'; it is ") as caught:
        call("y ~ x", DATA, **{name: 10})
    assert SILLY not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        (mb.fit, {"weights": [1]}, "weights stand in the formula, as y | weights(w) ~ x"),
        (mb.fit, {"control": {}}, "its parts are options by themselves"),
        (mb.fit, {"groups": "g"}, "it stands in the formula, as (1 + x | g)"),
        (mb.fit, {"drawz": 1}, "Did you mean 'draws'?"),
        (mb.fit, {"famly": 1}, "Did you mean 'family'?"),
        (mb.fit, {"zzz": 1}, "Options: family, link, priors, structures, missing, env, method, sampler"),
        (mb.fit, {"iter": 1, "thin": 2}, "Nor is there 'thin'"),
        (mb.model, {"draws": 10}, "it belongs to sampling: model(...).fit(draws=..., seed=...)"),
        (via_model, {"priors": {}}, "it belongs to the model: model(..., family=..., priors=...)"),
    ],
)
def test_an_unknown_option_is_answered(call, options, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        call("y ~ x", DATA, **options)


@pytest.mark.parametrize("call", [mb.fit, mb.model, mb.design])
def test_swapped_arguments_are_seen(call):
    with pytest.raises(ArgumentError, match="The formula comes first and the data second"):
        call(DATA, "y ~ x")
    with pytest.raises(DataError, match=r"not str\. Read it first, as pd.read_csv"):
        call("y ~ x", "data.csv")


KNOWN = ("Intercept", "b[Intercept]", "b", "b[x]", "b[f[T.b]]", "b[f[T.c]]", "b[f[T.b]:x]", "sd", "sd[g]")
KNOWN += ("sd[g, Intercept]", "sd[g, f[T.b]]", "sd[g, f[T.c]]", "cor", "cor[g]", "sigma")


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("b[f]", " Did you mean 'b[f[T.b]]', 'b[f[T.c]]'?"),
        ("b[ f ]", " Did you mean 'b[f[T.b]]', 'b[f[T.c]]'?"),
        ("b[f[T.a]]", " Did you mean 'b[f[T.b]]', 'b[f[T.c]]'?"),
        ("b[f:x]", " Did you mean 'b[f[T.b]:x]'?"),
        ("sd[g, f]", " Did you mean 'sd[g, f[T.b]]', 'sd[g, f[T.c]]'?"),
        ("b[X]", " Did you mean 'b[x]'?"),
        ("b[z]", ""),
        ("sd[h]", ""),
        ("B", " Did you mean 'b'?"),
        ("sigmas", " Did you mean 'sigma'?"),
    ],
)
def test_the_nearest_address_is_of_its_kind(address, hint):
    assert nearest_address(address, KNOWN) == hint


def test_a_factor_s_prior_is_answered_with_its_coefficients():
    with pytest.raises(mb.PriorError, match=r"Did you mean 'b\[f\[T\.b\]\]', 'b\[f\[T\.c\]\]'\?"):
        mb.model("y ~ x + f", DATA, priors={"b[f]": "normal(0, 1)"})


@pytest.mark.parametrize(
    ("name", "choices", "hint"),
    [
        ("s", ["cs", "scale"], ""),
        ("mi", ["I", "C"], ""),
        ("NA", ["n", "x"], ""),
        ("yy", ["y"], " Did you mean 'y'?"),
        ("X", ["x"], " Did you mean 'x'?"),
        ("x", ["y", "z"], ""),
        ("Dais", ["Days"], " Did you mean 'Days'?"),
    ],
)
def test_short_names_resemble_too_many_others(name, choices, hint):
    assert nearest(name, choices) == hint
