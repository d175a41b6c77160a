"""Effects, slopes, contrasts and poststratification are what averaging `predict` by hand gives."""

import re
from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from synthetic import synthetic_fit

from mixedbayes.errors import ArgumentError, DataError

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
            "pairs is a list of pairs of values, [('c', 'a')], not 'ab'.",
        ),
        ("contrasts", {"x": "f", "at": {"f": "a"}}, "f has one value here, 'a'; a contrast takes two."),
        ("contrasts", {"x": "f", "compare": "odds"}, "compare is 'difference' or 'ratio', not 'odds'."),
    ],
)
def test_questions_that_make_no_sense_are_refused(verb, arguments, message):
    fit = fit_of("y ~ x * f + (1 | g)")
    with pytest.raises(ArgumentError, match=re.escape(message)):
        getattr(fit, verb)(**arguments)


def test_a_level_that_the_model_has_not_learned_is_refused():
    with pytest.raises(DataError, match="f has 1 level that the model has not seen: 'z'"):
        fit_of("y ~ x * f").effects("x", at={"f": "z"})


def test_grids_beyond_memory_are_refused(monkeypatch):
    monkeypatch.setattr("mixedbayes.results.effects.MAX_DRAWS", 1000)
    with pytest.raises(ArgumentError, match=r"Draws of 25 cells are .* too many to hold"):
        fit_of("y ~ x").effects("x")


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
        (CELLS.assign(n="a"), {}, "n is no weight"),
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


@pytest.mark.filterwarnings("ignore:The new data lack values")
def test_cells_that_lack_a_value_are_refused():
    fit = fit_of("won ~ x + f + (1 | g)", "bernoulli")
    with pytest.raises(DataError, match=r"needs complete rows; the data lack values \(x in 1 row\)"):
        fit.poststratify(CELLS.assign(x=CELLS["x"].where(np.arange(N) != 5)))
