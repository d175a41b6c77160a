"""Effects, slopes, contrasts and poststratification are what averaging `predict` by hand gives."""

import re
from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from synthetic import synthetic_fit

from mixedbayes.errors import ArgumentError, DataError, DesignWarning

RNG = np.random.default_rng(21)
N = 60
DATA = pd.DataFrame(
    {
        "y": RNG.normal(5.0, 2.0, N),
        "x": RNG.uniform(0.0, 4.0, N),
        "z": RNG.normal(1.0, 1.0, N),
        "k": np.resize([2, 4, 7], N),
        "t": np.resize([True, False, False], N),
        "f": np.resize(["b", "a", "c", "b"], N),
        "g": np.resize(["g1", "g2", "g3", "g4", "g5"], N),
        "h": np.repeat(["h1", "h2", "h3"], N // 3),
        "won": np.resize(["no", "yes", "yes"], N),
        "n": np.resize([3, 8], N),
    }
)
DATA["s"] = RNG.binomial(DATA["n"], 0.5)
COLUMNS = ["estimate", "std_error", "conf_low", "conf_high"]


def fit_of(formula, family="gaussian", **options):
    fit = synthetic_fit(formula, DATA, family, **options)
    scaled = {name: 0.3 * fit.posterior[name] for name in fit.posterior if not str(name).startswith("cor")}
    fit.idata["posterior"] = xr.DataTree(fit.posterior.assign(scaled))
    return fit


def by_hand(fit, frame, groups=None, kind="mean"):
    """Draws averaged over the rows of a frame, shape (S,)."""
    draws = fit.predict(frame, groups=groups, kind=kind, draws=True)
    return draws.to_numpy().reshape(-1, len(frame)).mean(axis=1)


def summary(draws):
    return [draws.mean(), draws.std(ddof=1), *np.quantile(draws, [0.025, 0.975])]


REFERENCE = {"x": DATA["x"].mean(), "z": DATA["z"].mean(), "k": DATA["k"].mean(), "t": False, "f": "a"}
CASES = [
    ("y ~ poly(x, 2) * f + (x | g)", "gaussian"),
    ("won ~ x * t + log(k) + f + (1 | g)", "bernoulli"),
    ("s | trials(n) ~ bs(x, df=4) + offset(z) + f + t + (f | g)", "binomial"),
]


@pytest.mark.parametrize("over", ["reference", "data"])
@pytest.mark.parametrize(("formula", "family"), CASES)
def test_effects_are_averages_of_predictions(formula, family, over):
    fit = fit_of(formula, family)
    base = pd.DataFrame(REFERENCE, index=[0]) if over == "reference" else DATA
    table = fit.effects("f", over=over)
    assert table["f"].tolist() == ["a", "b", "c"]
    for level, row in zip(table["f"], table[COLUMNS].to_numpy(), strict=True):
        np.testing.assert_allclose(row, summary(by_hand(fit, base.assign(f=level))), rtol=1e-10)
    grid = fit.effects("x", by="f", over=over, at={"x": [0.5, 3.0]}, kind="linear", draws=True)
    assert grid.dims == ("chain", "draw", "x", "f")
    for x, f in product((0.5, 3.0), "abc"):
        expected = by_hand(fit, base.assign(x=x, f=f), kind="linear")
        np.testing.assert_allclose(grid.sel(x=x, f=f).to_numpy().ravel(), expected, rtol=1e-10)


def test_effects_by_a_group_are_with_its_effects():
    fit = fit_of("y ~ x + (x | g) + (1 | h) + (1 | g:h)")
    reference = pd.DataFrame({"x": [DATA["x"].mean()]})
    table = fit.effects("x", by="g", at={"x": [1.0, 2.0]})
    assert table[["x", "g"]].to_numpy().tolist() == [
        [x, g] for x in (1.0, 2.0) for g in sorted(set(DATA["g"]))
    ]
    for (x, g), row in zip(table[["x", "g"]].to_numpy(), table["estimate"], strict=True):
        assert row == pytest.approx(by_hand(fit, reference.assign(x=x, g=g), groups=["g"]).mean())
    both = fit.effects("g", by="h", draws=True).sel(g="g2", h="h3").to_numpy().ravel()
    np.testing.assert_allclose(both, by_hand(fit, reference.assign(g="g2", h="h3"), groups="all"))
    alone = fit.effects("x", groups=["h"], at={"x": [1.0]}, draws=True).to_numpy().ravel()
    np.testing.assert_allclose(alone, by_hand(fit, reference.assign(x=1.0, h="h1"), groups=["h"]))


def test_values_of_a_predictor_are_its_levels_or_its_numbers_or_its_range():
    fit = fit_of("y ~ x + z + k + t + C(h) + (1 | g)")
    assert fit.effects("k")["k"].tolist() == [2, 4, 7]
    assert fit.effects("t")["t"].tolist() == [False, True]
    assert fit.effects("h")["h"].tolist() == ["h1", "h2", "h3"]
    x = fit.effects("x")["x"].to_numpy()
    np.testing.assert_allclose(x, np.linspace(DATA["x"].min(), DATA["x"].max(), 25))
    by = fit.effects("k", by="x")["x"].unique()
    np.testing.assert_allclose(by, DATA["x"].mean() + DATA["x"].std() * np.array([-1, 0, 1]))
    coded = fit_of("y ~ C(k) * x")
    assert coded.effects("x", at={"x": 1.0})["estimate"].iloc[0] == pytest.approx(
        by_hand(coded, pd.DataFrame({"k": [2], "x": [1.0]})).mean()
    )


def test_other_predictors_can_be_held_elsewhere():
    fit = fit_of("y ~ x * f + z")
    held = fit.effects("x", at={"x": [1.0], "f": "c", "z": -2.0}, draws=True).to_numpy().ravel()
    np.testing.assert_allclose(held, by_hand(fit, pd.DataFrame({"x": [1.0], "f": "c", "z": -2.0})))
    over = fit.effects("x", at={"x": [1.0], "f": "c"}, over="data", draws=True).to_numpy().ravel()
    np.testing.assert_allclose(over, by_hand(fit, DATA.assign(x=1.0, f="c")))


def test_slopes_of_a_line_are_its_coefficient():
    fit = fit_of("y ~ x * f + z + (x | g)")
    b = {
        name: fit.posterior["b"].sel(coefficient=name).to_numpy().ravel()
        for name in ("x", "x:f[T.b]", "x:f[T.c]")
    }
    found = fit.slopes("x", by="f", draws=True)
    expected = np.stack([b["x"], b["x"] + b["x:f[T.b]"], b["x"] + b["x:f[T.c]"]], axis=1)
    np.testing.assert_allclose(found.to_numpy().reshape(-1, 3), expected, rtol=1e-6, atol=1e-8)
    shares = DATA["f"].value_counts(normalize=True).reindex(list("abc")).to_numpy()
    table = fit.slopes("x")
    assert table["term"].tolist() == ["x"]
    assert table["estimate"].iloc[0] == pytest.approx((expected @ shares).mean())
    r = fit.posterior["r_g"].sel(g_effect="x").to_numpy().reshape(-1, 5)
    by_group = fit.slopes("x", by="g", over="reference", draws=True).to_numpy().reshape(-1, 5)
    np.testing.assert_allclose(by_group, b["x"][:, None] + r, rtol=1e-6, atol=1e-8)


def test_slopes_of_a_probability_are_averages_of_its_derivative():
    fit = fit_of("won ~ x + z", "bernoulli")
    p = fit.predict(draws=True).to_numpy().reshape(-1, N)
    b = fit.posterior["b"].sel(coefficient="x").to_numpy().ravel()
    expected = ((p * (1 - p)).mean(axis=1) * b).mean()
    assert fit.slopes("x")["estimate"].iloc[0] == pytest.approx(expected, rel=1e-4)
    at = fit.slopes("x", at={"x": [1.0, 2.0]}, over="reference")
    mean = by_hand(fit, pd.DataFrame({"x": [2.0], "z": DATA["z"].mean()}))
    assert at["x"].tolist() == [1.0, 2.0]
    assert at["estimate"].iloc[1] == pytest.approx((mean * (1 - mean) * b).mean(), rel=1e-4)


SKEWED = DATA.assign(m=np.exp(np.linspace(-12.0, 12.0, N)))
DERIVATIVES = [
    ("y ~ log(m)", "m", lambda m: 1 / m),
    ("y ~ sqrt(m)", "m", lambda m: 0.5 / np.sqrt(m)),
    ("y ~ I(m^2)", "m", lambda m: 2 * m),
    ("y ~ I(1 / m)", "m", lambda m: -1 / m**2),
    ("y ~ exp(x)", "x", np.exp),
    ("y ~ abs(x)", "x", np.sign),
    ("y ~ I((x - 1) * (x > 1))", "x", lambda x: 1.0 * (x > 1)),
    ("y ~ sin(30 * x)", "x", lambda x: 30 * np.cos(30 * x)),
]


@pytest.mark.parametrize(("formula", "name", "derivative"), DERIVATIVES)
def test_slopes_are_the_derivative_where_it_is_steep_and_where_it_is_flat(formula, name, derivative):
    fit = synthetic_fit(formula, SKEWED)
    b = fit.fixef()["estimate"].iloc[1]
    x = SKEWED[name].to_numpy()
    assert fit.slopes(name)["estimate"].iloc[0] == pytest.approx(b * derivative(x).mean(), rel=1e-5)
    values = np.quantile(x, [0.0, 0.1, 0.5, 0.9, 1.0]).tolist()
    table = fit.slopes(name, at={name: values})
    np.testing.assert_allclose(table["estimate"], b * derivative(np.array(values)), rtol=1e-5)


@pytest.mark.parametrize("shift", [1e6, 1e9])
def test_slopes_are_the_same_wherever_the_response_lies(shift):
    fit = fit_of("y ~ x * f + (x | g)")
    expected = fit.slopes("x", by="f", groups="all")
    b = fit.posterior["b"]
    fit.idata["posterior"] = xr.DataTree(
        fit.posterior.assign(b=b + shift * (b["coefficient"] == "Intercept"))
    )
    np.testing.assert_allclose(
        fit.slopes("x", by="f", groups="all")[COLUMNS], expected[COLUMNS], rtol=1e-9, atol=1e-9
    )


def jump(x):
    return np.where(x > 1.5, 1.0, 0.0)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ I(x > 1)",
        "y ~ floor(x)",
        "y ~ I(k // 2)",
        "y ~ z + sign(x - 1)",
        "y ~ jump(x) * f",
        "y ~ z + (0 + floor(x) | g)",
    ],
)
def test_what_changes_in_steps_alone_has_no_slope(formula):
    name = "k" if "k" in formula else "x"
    fit = fit_of(formula, env={"jump": jump})
    with pytest.raises(ArgumentError, match=f"Predictions change with {name} in steps alone"):
        fit.slopes(name, groups="all")


def test_slopes_leave_out_the_steps_beside_them_and_say_so():
    fit = fit_of("y ~ x + I(x > 1)")
    with pytest.warns(
        DesignWarning, match=r"I\(x > 1\)\[T.True\] has steps along x: slopes are those between"
    ):
        table = fit.slopes("x")
    assert table["estimate"].iloc[0] == pytest.approx(fit.fixef()["estimate"]["x"])


@pytest.mark.parametrize(
    ("formula", "value"), [("y ~ x + I(x > 1)", 1.0), ("y ~ floor(x) * x", 2.0), ("y ~ sqrt(x - 0.5)", 0.5)]
)
@pytest.mark.filterwarnings("ignore:.*has steps along x")
def test_there_is_no_slope_where_predictions_jump(formula, value):
    fit = synthetic_fit(formula, DATA.assign(x=DATA["x"] - DATA["x"].min() + 0.5))
    with pytest.raises(ArgumentError, match="has no slope at the x of 1 row, where it jumps or is vertical"):
        fit.slopes("x", at={"x": [0.75, value, 2.75]}, over="reference")


def test_slopes_of_a_spline_stay_within_the_data():
    fit = fit_of("y ~ bs(x, df=5)")
    assert np.isfinite(fit.slopes("x")["estimate"]).all()
    ends = fit.slopes("x", at={"x": [DATA["x"].min(), DATA["x"].max()]})
    assert np.isfinite(ends["estimate"]).all()


@pytest.mark.parametrize("over", ["reference", "data"])
def test_contrasts_are_differences_and_ratios_of_effects(over):
    fit = fit_of("won ~ f * t + x", "bernoulli")
    effects = fit.effects("f", by="t", over=over, draws=True)
    table = fit.contrasts("f", by="t", over=over)
    assert table["contrast"].tolist() == ["b - a", "b - a", "c - a", "c - a", "c - b", "c - b"]
    assert table["t"].tolist() == [False, True] * 3
    difference = (effects.sel(f="c") - effects.sel(f="b")).sel(t=True).to_numpy().ravel()
    np.testing.assert_allclose(table[COLUMNS].iloc[5].tolist(), summary(difference))
    ratio = fit.contrasts("f", pairs=[("a", "c")], compare="ratio", over=over, at={"t": True}, draws=True)
    expected = effects.sel(f="a", t=True) / effects.sel(f="c", t=True)
    if over == "reference":
        np.testing.assert_allclose(ratio.sel(contrast="a / c").to_numpy(), expected.to_numpy())
    link = (
        fit.contrasts("f", kind="linear", pairs=[("b", "a")], at={"t": False}, draws=True).to_numpy().ravel()
    )
    np.testing.assert_allclose(
        link, fit.posterior["b"].sel(coefficient="f[T.b]").to_numpy().ravel(), atol=1e-12
    )


def test_contrasts_of_numbers_are_of_the_values_chosen():
    fit = fit_of("y ~ x")
    table = fit.contrasts("x", at={"x": [0.5, 2.5]})
    assert table["contrast"].tolist() == ["2.5 - 0.5"]
    assert table["estimate"].iloc[0] == pytest.approx(
        2 * float(fit.posterior["b"].sel(coefficient="x").mean())
    )


@pytest.mark.parametrize(
    ("verb", "arguments", "message"),
    [
        (
            "effects",
            {"x": "xx"},
            "The model has no predictor 'xx'. Did you mean 'x'? Its predictors: x, f, g.",
        ),
        ("effects", {"x": "x", "by": "z"}, "The model has no predictor 'z'."),
        ("effects", {"x": "x", "at": {"q": 1}}, "The model has no predictor 'q'."),
        ("effects", {"x": "x", "by": "x"}, "a predictor stands twice"),
        ("effects", {"x": "x", "over": "means"}, "over is 'reference' or 'data', not 'means'"),
        ("effects", {"x": "x", "at": {"f": ["a", "b"]}}, "at has several values for 'f'"),
        ("slopes", {"x": "f"}, "f holds levels, which have no slope: contrasts('f') compares them."),
        ("slopes", {"x": "x", "kind": "response"}, "Slopes are of kind 'mean' or 'linear'"),
        ("contrasts", {"x": "f", "pairs": [("a", "z")]}, "f has no value 'z' here; it has 'a', 'b', 'c'."),
        (
            "contrasts",
            {"x": "f", "pairs": ["ab"]},
            "pairs is a list of pairs of values, [('b', 'a')]; 'ab' is no pair.",
        ),
        ("contrasts", {"x": "f", "pairs": 5}, "pairs is a list of pairs of values, [('b', 'a')], not 5."),
        ("contrasts", {"x": "f", "pairs": []}, "pairs is empty: give one or more"),
        ("contrasts", {"x": "x", "pairs": [([1], [2])]}, "([1], [2]) is no pair."),
        (
            "effects",
            {"x": "x", "at": "abc"},
            "at is a mapping from predictors to values, {'x': 1.0}, not 'abc'.",
        ),
        (
            "effects",
            {"x": "x", "at": {"x": []}},
            "at has no value for 'x': give one or more, or leave it out.",
        ),
        ("effects", {"x": "x", "at": {"x": [[1], [2]]}}, "at has [1] for 'x': values are numbers, texts"),
        ("effects", {"x": "x", "at": {"x": [1.0, None]}}, "A value for 'x' is missing"),
        ("effects", {"x": "x", "at": {"f": np.nan}}, "A value for 'f' is missing"),
        ("contrasts", {"x": "x", "pairs": [(1.0, np.nan)]}, "A value for 'x' is missing"),
        ("effects", {"x": "x", "by": 3}, "by is the name of a column or a list of names, not 3."),
        ("slopes", {"x": ["x"]}, "x is the name of one predictor, not ['x']."),
        ("effects", {"x": "x", "groups": [["g"]]}, "The model has no group ['g']; they are g."),
        ("effects", {"x": "x", "conf_level": 95}, "conf_level lies between 0 and 1, not 95."),
        ("slopes", {"x": "x", "conf_level": 95}, "conf_level lies between 0 and 1, not 95."),
        ("contrasts", {"x": "f", "conf_level": 95}, "conf_level lies between 0 and 1, not 95."),
        ("effects", {"x": "x", "conf_level": 0.5, "draws": True}, "draws=True returns all draws, of which"),
        ("slopes", {"x": "x", "conf_level": 0.5, "draws": True}, "draws=True returns all draws, of which"),
        ("contrasts", {"x": "f", "conf_level": 0.5, "draws": True}, "draws=True returns all draws, of which"),
        ("effects", {"x": "x", "at": {"g": "g1"}, "groups": None}, "at has 'g', which changes nothing here"),
        ("contrasts", {"x": "f", "at": {"f": "a"}}, "f has one value here, 'a'; a contrast takes two."),
        ("contrasts", {"x": "f", "compare": "odds"}, "compare is 'difference' or 'ratio', not 'odds'."),
    ],
)
def test_questions_that_make_no_sense_are_refused(verb, arguments, message):
    fit = fit_of("y ~ x * f + (1 | g)")
    with pytest.raises(ArgumentError, match=re.escape(message)):
        getattr(fit, verb)(**arguments)


YEARS = pd.DataFrame(
    {
        "y": RNG.normal(5.0, 2.0, 48),
        "x": RNG.uniform(0.0, 4.0, 48),
        "year": np.resize(np.arange(2001, 2013), 48),
        "one": 1.0,
    }
)


def years_fit(formula):
    return synthetic_fit(formula, YEARS)


@pytest.mark.parametrize(
    "options",
    [
        {"groups": "all"},
        {"groups": "all", "over": "reference"},
        {"by": "year"},
        {"groups": "all", "at": {"year": [2003, 2010]}},
        {"groups": "all", "new_levels": "error"},
    ],
)
def test_slopes_of_a_predictor_that_groups_rows_too_leave_rows_in_their_groups(options):
    fit = years_fit("y ~ year + x + (1 | year)")
    b = fit.posterior["b"].sel(coefficient="year").to_numpy()
    found = fit.slopes("year", draws=True, **options).to_numpy().reshape(*b.shape, -1)
    np.testing.assert_allclose(found, np.broadcast_to(b[..., None], found.shape), rtol=1e-4)


def test_slopes_along_a_group_that_varies_with_itself_have_its_own_slope():
    fit = years_fit("y ~ year + (1 + year | year)")
    b = fit.posterior["b"].sel(coefficient="year").to_numpy()[..., None]
    r = fit.posterior["r_year"].sel(year_effect="year").to_numpy()
    np.testing.assert_allclose(fit.slopes("year", by="year", draws=True), b + r, rtol=1e-4, atol=1e-6)
    at = fit.slopes("year", at={"year": [2003.5]}, draws=True).to_numpy()
    np.testing.assert_allclose(at, b, rtol=1e-4)  # its values do not ask for the group


def test_values_of_a_number_that_groups_rows_are_those_that_occur():
    fit = years_fit("y ~ year + x + (1 | year)")
    years = sorted(set(YEARS["year"]))
    assert fit.effects("year")["year"].tolist() == years
    assert fit.effects("x", by="year", at={"x": 1.0})["year"].tolist() == years
    assert len(fit.effects("year", groups=None)) == 25
    draws = fit.effects("x", groups="all", at={"x": [1.0]}, new_levels="error", draws=True)
    expected = by_hand(fit, pd.DataFrame({"x": [1.0], "year": [2001]}), groups="all")
    np.testing.assert_allclose(draws.to_numpy().ravel(), expected)


def test_a_slope_of_what_does_not_vary_is_refused():
    with pytest.raises(ArgumentError, match="one is 1 in all rows: the model knows no slope"):
        years_fit("y ~ 0 + one + x").slopes("one")


def test_slopes_by_a_number_are_at_its_mean_and_a_standard_deviation_around():
    fit = fit_of("y ~ x * z")
    assert len(fit.slopes("x", by="z")) == 3


@pytest.mark.parametrize(
    ("verb", "name"),
    [("effects", "estimate"), ("slopes", "term"), ("contrasts", "contrast"), ("effects", "draw")],
)
def test_predictors_named_as_columns_of_the_result_are_refused(verb, name):
    fit = synthetic_fit(f"y ~ x + {name}", DATA.rename(columns={"f": name}))
    message = f"{name!r} is the name of a column or dim of the result itself: rename"
    with pytest.raises(ArgumentError, match=re.escape(message)):
        getattr(fit, verb)("x", by=name)


def test_a_predictor_named_as_another_verbs_column_is_fine():
    fit = synthetic_fit("y ~ x + term", DATA.rename(columns={"f": "term"}))
    assert fit.effects("x", by="term", at={"x": 1.0})["term"].tolist() == ["a", "b", "c"]


def test_a_model_without_predictors_says_so():
    with pytest.raises(ArgumentError, match=r"no predictor 'x'. The model has no predictors\."):
        fit_of("y ~ 1").effects("x")


def test_responses_are_of_the_mean_number_of_trials_or_of_that_in_at():
    fit = fit_of("s | trials(n) ~ x", "binomial")
    at = {"x": [1.0]}
    p = 1 / (1 + np.exp(-fit.posterior["b"].to_numpy().sum(axis=-1).ravel()))
    for chosen, trials in ({}, round(DATA["n"].mean())), ({"n": 20}, 20):
        counts = np.stack(
            [
                fit.effects("x", at=at | chosen, kind="response", draws=True, seed=seed).to_numpy().ravel()
                for seed in range(200)
            ]
        )
        assert set(np.unique(counts)) <= set(range(trials + 1))
        error = np.sqrt(trials * p * (1 - p) / len(counts))
        assert np.abs((counts.mean(axis=0) - trials * p) / error).max() < 5
    assert fit.effects("n", kind="response")["n"].tolist() == [3, 8]
    with pytest.raises(ArgumentError, match="The model has no predictor 'n'"):
        fit.effects("x", at={"n": 20})


def test_a_group_named_in_at_takes_part():
    fit = fit_of("y ~ x + (x | g) + (1 | g:h)")
    rows = pd.DataFrame({"x": [1.0], "g": "g2", "h": "h3"})
    found = fit.effects("x", at={"x": [1.0], "g": "g2"}, draws=True).to_numpy().ravel()
    np.testing.assert_allclose(found, by_hand(fit, rows, groups=["g"]))
    both = fit.effects("x", by="h", at={"x": [1.0], "g": "g2"}, draws=True).sel(h="h3").to_numpy().ravel()
    np.testing.assert_allclose(both, by_hand(fit, rows, groups="all"))
    with pytest.raises(ArgumentError, match="at has 'h', which changes nothing here"):
        fit.effects("x", at={"h": "h3"})


def test_pairs_of_numbers_are_of_any_values():
    fit = fit_of("y ~ x + k")
    b = fit.posterior["b"].sel(coefficient="x").to_numpy()
    found = fit.contrasts("x", pairs=[(1, 0), (2.5, 1)], draws=True)
    assert found["contrast"].to_numpy().tolist() == ["1 - 0", "2.5 - 1"]
    np.testing.assert_allclose(found, np.stack([b, 1.5 * b], axis=-1))
    with pytest.raises(ArgumentError, match=re.escape("x has no value 0 here; it has 1.0, 2.0.")):
        fit.contrasts("x", pairs=[(1, 0)], at={"x": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ([0.123456, 0.123457], "0.123457 - 0.123456"),
        ([0.123456, 0.7], "0.7 - 0.1235"),
        ([100000.0, 2500000.0], "2500000 - 100000"),
        ([100000, 100000.5], "100000.5 - 100000"),
        ([1, 2], "2 - 1"),
    ],
)
def test_contrasts_of_numbers_are_labelled_with_as_many_digits_as_tell_them_apart(values, label):
    assert fit_of("y ~ x").contrasts("x", at={"x": values})["contrast"].tolist() == [label]


def test_a_ratio_that_some_draw_does_not_have_is_not_a_number():
    fit = fit_of("y ~ 0 + x")
    table = fit.contrasts("x", pairs=[(1, 0), (1, 2)], compare="ratio")
    assert table[COLUMNS].iloc[0].isna().all()
    assert table["estimate"].iloc[1] == pytest.approx(0.5)


def test_a_level_that_the_model_has_not_learned_is_refused():
    with pytest.raises(DataError, match="f has 1 level that the model has not seen: 'z'"):
        fit_of("y ~ x * f").effects("x", at={"f": "z"})


def test_grids_beyond_memory_are_refused(monkeypatch):
    monkeypatch.setattr("mixedbayes.arguments.MOST_HELD", 1000)
    with pytest.raises(ArgumentError, match=r"Draws of 25 cells are .* too many to hold"):
        fit_of("y ~ x").effects("x")
    many = {name: np.arange(1e6) for name in ("x", "z")}
    with pytest.raises(ArgumentError, match=r"Draws of 1,000,000,000,000 cells are .* too many to hold"):
        fit_of("y ~ x + z").effects("x", by="z", at=many)


def test_contrasts_beyond_memory_are_refused_before_they_are_listed(monkeypatch):
    fit = fit_of("y ~ x")
    monkeypatch.setattr("mixedbayes.arguments.MOST_HELD", 8 * 100 * 10_000)
    with pytest.raises(ArgumentError, match=r"Draws of 49,995,000 cells are .* too many to hold"):
        fit.contrasts("x", at={"x": np.arange(10_000)})


CELLS = DATA[["x", "f", "g", "h"]].assign(n=RNG.integers(1, 50, N), state=np.resize(["A", "B", "C"], N))


@pytest.mark.parametrize("make", [lambda frame: frame, pl.DataFrame], ids=["pandas", "polars"])
def test_poststratification_is_a_weighted_sum_by_hand(make):
    fit = fit_of("won ~ x + f + (1 | g)", "bernoulli")
    draws = fit.predict(CELLS, draws=True).to_numpy().reshape(-1, N)
    n = CELLS["n"].to_numpy()
    whole = fit.poststratify(make(CELLS))
    np.testing.assert_allclose(whole[COLUMNS].iloc[0].tolist(), summary(draws @ n / n.sum()))
    by_state = fit.poststratify(make(CELLS), by="state")
    assert by_state["state"].tolist() == ["A", "B", "C"]
    for state, row in zip("ABC", by_state[COLUMNS].to_numpy(), strict=True):
        of_state = n * (CELLS["state"] == state).to_numpy()
        np.testing.assert_allclose(row, summary(draws @ of_state / of_state.sum()))
    both = fit.poststratify(make(CELLS), by=["state", "h"], draws=True)
    strata = list(zip(both["state"].to_numpy(), both["h"].to_numpy(), strict=True))
    assert strata == sorted(product("ABC", ["h1", "h2", "h3"]))
    last = n * ((CELLS["state"] == "C") & (CELLS["h"] == "h3")).to_numpy()
    np.testing.assert_allclose(both.isel(cell=-1).to_numpy().ravel(), draws @ last / last.sum())


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (CELLS.drop(columns="n"), {}, "There is no column 'n'"),
        (CELLS, {"by": "county"}, "There is no column 'county'"),
        (CELLS.assign(n=-1), {}, "n is no weight (a number from 0) in 60 rows, the first being row 0"),
        (CELLS.assign(n="a"), {}, "n is no weight: it holds no numbers."),
        (CELLS.assign(n="3"), {}, "n is no weight: it holds no numbers."),
        (CELLS.assign(n=True), {}, "n is no weight: it holds no numbers."),
        (CELLS.assign(n=pd.Timestamp("2024-01-01")), {}, "n is no weight: it holds no numbers."),
        (CELLS.assign(n=CELLS["n"].where(CELLS["n"] > 9)), {}, "The data have missing values: n in"),
        (CELLS.assign(n=0), {}, "The weights n add up to 0 in all rows."),
        (CELLS.assign(n=CELLS["n"] * (CELLS["state"] != "B")), {"by": "state"}, "add up to 0 in B."),
        (CELLS.assign(state=None), {"by": "state"}, "missing values: state in 60 rows"),
        (CELLS.drop(columns=["x", "g"]), {}, "There are no columns 'x', 'g'"),
    ],
)
def test_cells_that_are_no_population_are_refused(cells, options, message):
    fit = fit_of("won ~ x + f + (1 | g)", "bernoulli")
    with pytest.raises(DataError, match=re.escape(message)):
        fit.poststratify(cells, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "response"}, "Poststratification is of kind 'mean' or 'linear'"),
        ({"weight": None}, "weight is the name of a column of the cells, not None."),
        ({"conf_level": 0.5, "draws": True}, "draws=True returns all draws, of which conf_level=0.5"),
        ({"conf_level": 0}, "conf_level lies between 0 and 1, not 0."),
        ({"by": "draw"}, "'draw' is the name of a column or dim of the result itself"),
        ({"by": 3}, "by is the name of a column or a list of names, not 3."),
    ],
)
def test_options_of_poststratification_that_make_no_sense_are_refused(options, message):
    fit = fit_of("won ~ x + f + (1 | g)", "bernoulli")
    with pytest.raises(ArgumentError, match=re.escape(message)):
        fit.poststratify(CELLS.assign(draw=1), **options)


def test_cells_that_lack_a_value_are_refused():
    fit = fit_of("won ~ x + f + (1 | g)", "bernoulli")
    with pytest.raises(DataError, match="The data have missing values: x in 1 row"):
        fit.poststratify(CELLS.assign(x=CELLS["x"].where(np.arange(N) != 5)))
