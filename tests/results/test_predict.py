"""Predictions against PyMC's own, against closed forms, and against what new data may lack."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pymc as pm
import pytest
import xarray as xr
from data import dataset
from monte_carlo import assert_likely, assert_near, errors
from scipy import stats
from synthetic import NoEngine, synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, DataError, DesignWarning
from mixedbayes.results.fit import Fit
from mixedbayes.results.rows.predict import summarise_rows

RNG = np.random.default_rng(8)
N = 48
DATA = pd.DataFrame(
    {
        "y": RNG.normal(5.0, 2.0, N),
        "x": RNG.normal(2.0, 1.0, N),
        "w": RNG.uniform(1.0, 3.0, N),
        "f": RNG.choice(["a", "b", "c"], N),
        "school": np.resize(["s1", "s2", "s3", "s4"], N),
        "class": np.repeat(["k1", "k2", "k3"], N // 3),
        "item": np.resize(np.arange(6), N),
        "count": RNG.poisson(3.0, N),
        "won": np.resize(["no", "yes", "yes"], N),
        "n": np.resize([4, 7, 10], N),
    },
    index=pd.Index([f"row {i}" for i in range(N)], name="id"),
)
DATA["s"] = RNG.binomial(DATA["n"], 0.4)
CASES = [
    ("y ~ x + f + (1 + x | school)", "gaussian", None),
    ("y ~ poly(x, 2) * f + offset(w) + (x || school/class) + (0 + f | item)", "gaussian", None),
    ("y ~ scale(x) + (1 | school) + (0 + x | school) + (x + w | item)", "gaussian", "log"),
    ("count ~ bs(w, df=4) + offset(log(w)) + (1 | item)", "poisson", None),
    ("won ~ x + (x | school)", "bernoulli", "probit"),
    ("s | trials(n) ~ C(f, contr.sum) + (1 | school) + (1 | item)", "binomial", "cloglog"),
    ("y ~ 0 + (x | item)", "gaussian", None),
    ("y ~ 1", "gaussian", None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("formula", "family", "link"), CASES)
def test_the_mean_is_that_of_the_pymc_model_at_its_own_draws(formula, family, link):
    model = mb.model(formula, DATA, family, link=link)
    observed = model.pymc[model.spec.response].owner.op.dist_params(model.pymc[model.spec.response].owner)
    names = list(model.spec.dims)
    drawn = pm.draw(
        [*(model.pymc[name] for name in names), observed[-1 if family != "gaussian" else 0]],
        draws=6,
        random_seed=3,
    )
    values = dict(zip(names, drawn[:-1], strict=True))
    posterior = xr.Dataset(
        {name: (("chain", "draw", *model.spec.dims[name]), values[name][None]) for name in names},
        coords={**model.spec.coords, "chain": [0], "draw": np.arange(6)},
    )
    fit = Fit(
        model.spec, xr.DataTree.from_dict({"posterior": posterior, "sample_stats": xr.Dataset()}), NoEngine()
    )
    expected = drawn[-1].reshape(6, -1)  # the probability, where successes are counted
    for newdata in (None, DATA.drop(columns=["y", "count", "won", "s", "n"])):
        found = fit.predict(newdata, draws=True).to_numpy()[0]
        np.testing.assert_allclose(found, np.broadcast_to(expected, (6, N)), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("formula", "family", "link"), CASES)
def test_new_responses_are_scipys_of_the_linear_predictor(formula, family, link, seed):
    """At one draw of the parameters: their places in SciPy's distribution are uniform, and rows independent."""
    S = 4000
    fit = synthetic_fit(formula, DATA, family, link=link, chains=1, draws=1)
    one = fit.posterior * 0.1
    fit.idata["posterior"] = xr.DataTree(
        one.sel(draw=np.zeros(S, dtype=int)).assign_coords(draw=np.arange(S))
    )
    found = fit.predict(kind="response", draws=True, seed=seed).to_numpy()[0]
    inverse = {
        "log": np.exp,
        "probit": stats.norm.cdf,
        "cloglog": lambda eta: 1 - np.exp(-np.exp(eta)),
        None: np.exp if family == "poisson" else lambda eta: eta,
    }
    mean = inverse[link](fit.predict(kind="linear")["estimate"].to_numpy())
    distribution = {
        "gaussian": lambda: stats.norm(mean, float(one["sigma"].item()) if "sigma" in one else None),
        "poisson": lambda: stats.poisson(mean),
        "bernoulli": lambda: stats.bernoulli(mean),
        "binomial": lambda: stats.binom(DATA["n"].to_numpy(), mean),
    }[family]()
    upper = distribution.cdf(found)
    lower = upper if family == "gaussian" else distribution.cdf(found - 1)
    places = lower + np.random.default_rng(2).random(found.shape) * (upper - lower)
    assert_likely([stats.kstest(row, "uniform").pvalue for row in places.T])
    assert_near(np.corrcoef(places.T)[np.triu_indices(N, 1)], 0, 1 / np.sqrt(S))


def test_summaries_are_those_of_the_draws():
    fit = synthetic_fit("y ~ x + (x | school)", DATA)
    draws = fit.predict(kind="linear", draws=True)
    assert draws.dims == ("chain", "draw", "observation")
    assert list(draws["observation"].to_numpy()) == list(DATA.index)
    table = fit.predict(kind="linear", conf_level=0.9)
    flat = draws.to_numpy().reshape(-1, N)
    expected = [flat.mean(axis=0), flat.std(axis=0, ddof=1), *np.quantile(flat, [0.05, 0.95], axis=0)]
    np.testing.assert_allclose(table.to_numpy().T, expected, rtol=1e-12)
    assert table.index.equals(DATA.index)
    assert list(table.columns) == ["estimate", "std_error", "conf_low", "conf_high"]


@pytest.mark.parametrize("conf_level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("S", [1, 2, 7, 1000])
def test_summaries_of_rows_are_numpys(S, conf_level):
    values = np.random.default_rng(S).normal(size=(5, S))
    tail = (1 - conf_level) / 2
    found = summarise_rows(values.copy(), conf_level)
    np.testing.assert_allclose(found[:, 0], values.mean(axis=1))
    np.testing.assert_allclose(found[:, 2:].T, np.quantile(values, [tail, 1 - tail], axis=1))
    assert np.isnan(found[:, 1]).all() == (S == 1)


def test_groups_choose_which_effects_take_part():
    fit = synthetic_fit("y ~ x + (x | school/class) + (1 | item)", DATA)
    b = fit.posterior["b"].to_numpy().reshape(-1, 2)
    population = b[:, :1] + b[:, 1:] * DATA["x"].to_numpy()

    def linear(groups):
        return fit.predict(kind="linear", groups=groups, draws=True).to_numpy().reshape(-1, N)

    def part(name, multipliers):
        block = next(block for block in fit.spec.blocks if block.block.name == name)
        r = fit.posterior[block.r].to_numpy().reshape(len(b), -1, len(multipliers))
        return sum(r[:, block.block.codes, j] * x for j, x in enumerate(multipliers))

    x = DATA["x"].to_numpy()
    school, within, item = part("school", (1, x)), part("school:class", (1, x)), part("item", (1,))
    np.testing.assert_allclose(linear(None), population, atol=1e-12)
    np.testing.assert_allclose(linear([]), population, atol=1e-12)
    np.testing.assert_allclose(linear(["school"]), population + school, atol=1e-12)
    np.testing.assert_allclose(linear("item"), population + item, atol=1e-12)
    np.testing.assert_allclose(linear("all"), population + school + within + item, atol=1e-12)
    bare = fit.predict(DATA[["x"]], groups=None, kind="linear", draws=True).to_numpy()
    np.testing.assert_allclose(bare.reshape(-1, N), population, atol=1e-12)


def new_rows(**columns):
    return pd.DataFrame({name: np.resize(values, 6) for name, values in columns.items()})


def test_an_unseen_level_has_one_draw_from_its_population_in_all_rows(seed):
    fit = synthetic_fit("y ~ x + (1 + x | school)", DATA, chains=2, draws=4000)
    new = new_rows(x=[0.0, 1.0], school=["new", "new", "other", "other", "s1", "s1"])
    eta = fit.predict(new, kind="linear", groups="all", draws=True, seed=seed).to_numpy().reshape(-1, 6)
    b = fit.posterior["b"].to_numpy().reshape(-1, 2)
    intercept = eta[:, [0, 2]] - b[:, :1]
    slope = eta[:, [1, 3]] - eta[:, [0, 2]] - b[:, 1:]
    sd = fit.posterior["sd_school"].to_numpy().reshape(-1, 2)
    cor = fit.posterior["cor_school"].to_numpy().reshape(-1, 2, 2)[:, 0, 1]
    z0, z1 = (
        intercept / sd[:, :1],
        (slope / sd[:, 1:] - cor[:, None] * intercept / sd[:, :1]) / np.sqrt(1 - cor[:, None] ** 2),
    )
    standard = np.column_stack([z0, z1])  # of two levels, each two independent standard normals
    S = len(standard)
    assert_near(standard.mean(axis=0), 0, 1 / np.sqrt(S))
    assert_near((standard**2).mean(axis=0), 1, np.sqrt(2 / S))
    assert_near(np.corrcoef(standard.T)[np.triu_indices(4, 1)], 0, 1 / np.sqrt(S))
    assert_likely(stats.kstest(standard.ravel(), "norm").pvalue)
    known = fit.predict(new.iloc[4:], kind="linear", draws=True).to_numpy().reshape(-1, 2)
    np.testing.assert_allclose(eta[:, 4:], known)


def test_a_level_has_the_same_draw_whatever_the_rows_beside_it():
    fit = synthetic_fit("y ~ x + (1 + x | school) + (1 | item)", DATA)
    new = new_rows(x=[0.0, 1.0, 3.0], school=["new", "s1", "other"], item=[1, 99])
    whole = fit.predict(new, seed=5)
    for order in ([5, 3, 1, 0, 2, 4], [2], [4, 4, 1]):
        pd.testing.assert_frame_equal(fit.predict(new.iloc[order], seed=5), whole.iloc[order])
    assert not np.allclose(fit.predict(new, seed=6), whole)
    assert not np.allclose(fit.predict(new), fit.predict(new))


def test_pieces_of_rows_change_nothing(monkeypatch):
    fit = synthetic_fit("y ~ x + (1 + x | school)", DATA)
    new = DATA.assign(school=np.resize(["new", "s1", "other"], N))
    whole = fit.predict(new, seed=5)
    monkeypatch.setattr("mixedbayes.results.rows.predictor.AT_ONCE", 700)
    monkeypatch.setattr("mixedbayes.results.rows.predictor.REMEMBERED", 0)
    pd.testing.assert_frame_equal(fit.predict(new, seed=5), whole)


def test_unseen_levels_can_be_of_the_population_or_refused():
    fit = synthetic_fit("y ~ x + (1 + x | school) + (1 | item)", DATA)
    new = new_rows(x=[0.0, 1.0], school=["new", "other"], item=[0])
    at_zero = fit.predict(new, new_levels="population", draws=True)
    xr.testing.assert_allclose(at_zero, fit.predict(new, groups=["item"], draws=True))
    with pytest.raises(DataError, match=re.escape("has not seen these levels (school: new, other)")):
        fit.predict(new, new_levels="error")
    fit.predict(new.assign(school="s2"), new_levels="error")
    fit.predict(new, groups=["item"], new_levels="error")


def test_a_new_class_in_a_known_school_keeps_the_schools_effect():
    fit = synthetic_fit("y ~ x + (1 | school/class)", DATA)
    new = pd.DataFrame({"x": [0.0], "school": ["s2"], "class": ["new"]})
    kept = fit.predict(new, new_levels="population", draws=True)
    xr.testing.assert_allclose(kept, fit.predict(new, groups=["school"], draws=True))


def test_effects_of_two_blocks_on_one_factor_are_independent_draws(seed):
    fit = synthetic_fit("y ~ 1 + (1 | school) + (0 + x | school)", DATA, chains=1, draws=4000)
    new = pd.DataFrame({"x": [0.0, 1.0], "school": "new"})
    eta = fit.predict(new, kind="linear", draws=True, seed=seed).to_numpy()[0]
    sds = [fit.posterior[name].to_numpy()[0, :, 0] for name in ("sd_school", "sd_school.2")]
    z = np.stack(
        [(eta[:, 0] - fit.posterior["b"].to_numpy()[0, :, 0]) / sds[0], (eta[:, 1] - eta[:, 0]) / sds[1]]
    )
    assert_near(np.corrcoef(z)[0, 1], 0, 1 / np.sqrt(4000))


def test_any_table_is_new_data():
    fit = synthetic_fit("y ~ poly(x, 2) + f + (1 | school)", DATA)
    expected = fit.predict(DATA)
    for table in (
        pl.DataFrame(DATA.reset_index()),
        pl.DataFrame(DATA.reset_index()).to_arrow(),
        DATA.to_dict("list"),
    ):
        found = fit.predict(table)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert list(found.index) == list(range(N))


def test_rows_that_lack_a_value_are_nan_and_told():
    fit = synthetic_fit("y ~ x + (1 | school)", DATA)
    gaps = DATA.assign(x=DATA["x"].where(np.arange(N) != 3))
    with pytest.warns(DesignWarning, match="x in 1 row"):
        table = fit.predict(gaps)
    assert np.flatnonzero(table["estimate"].isna()).tolist() == [3]
    pd.testing.assert_frame_equal(table.drop("row 3"), fit.predict().drop("row 3"))
    with pytest.warns(DesignWarning, match="x in 1 row"):
        assert np.isnan(fit.predict(gaps, draws=True).to_numpy()[..., 3]).all()


EMPTY = [DATA.iloc[:0], {"x": [], "school": []}, pl.DataFrame(DATA[["x", "school"]]).clear()]


@pytest.mark.parametrize("new", EMPTY)
def test_of_no_rows_there_are_no_predictions(new):
    fit = synthetic_fit("s | trials(n) ~ x + (1 | school)", DATA, "binomial")
    for kind in ("mean", "linear"):
        table = fit.predict(new, kind=kind)
        assert table.shape == (0, 4)
        assert fit.predict(new, kind=kind, draws=True).shape == (4, 25, 0)
    rows = DATA.iloc[:0]
    assert fit.predict(rows, kind="response", draws=True, seed=1).shape == (4, 25, 0)
    assert fit.simulate(3, rows).shape == (0, 3)
    assert fit.posterior_predictive(newdata=rows)["posterior_predictive"]["s"].shape == (4, 25, 0)


@pytest.mark.parametrize("rows", [[3], [3, 5], [3, 4]])
def test_a_row_with_a_gap_is_nan_alone_as_among_others(rows):
    fit = synthetic_fit("y ~ x + (1 | school)", DATA)
    gaps = DATA.assign(x=DATA["x"].where(~np.isin(np.arange(N), [3, 5])))
    with pytest.warns(DesignWarning, match="The new data lack values"):
        whole = fit.predict(gaps)
    with pytest.warns(DesignWarning, match="The new data lack values"):
        pd.testing.assert_frame_equal(fit.predict(gaps.iloc[rows]), whole.iloc[rows])
    with pytest.warns(DesignWarning, match="The new data lack values"):
        lost = fit.simulate(2, gaps.iloc[rows], seed=1).isna().all(axis=1)
    assert list(lost) == [row in (3, 5) for row in rows]


def test_fitted_values_are_of_the_rows_kept():
    gaps = DATA.assign(x=DATA["x"].where(np.arange(N) % 5 != 3))
    with pytest.warns(DesignWarning, match="dropped"):
        fit = synthetic_fit("y ~ x + (1 | school)", gaps)
    assert fit.predict().index.equals(gaps.index[gaps["x"].notna()])


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (DATA[["w"]], "There are no columns 'x', 'f', 'school' in the data"),
        (DATA.assign(x="a"), "x holds text or categories, where the model has learned numbers"),
        (DATA.assign(f="z"), "f has 1 level that the model has not seen: 'z'. It knows 'a', 'b', 'c'."),
        (DATA.iloc[:0][["x"]], "There are no columns 'f', 'school' in the data"),
        (DATA.assign(x=np.inf), "'x' is infinite"),
        ([1, 2], "must be a pandas, polars or Arrow table, not list"),
    ],
)
def test_bad_new_data_are_refused_with_a_sentence(new, message):
    fit = synthetic_fit("y ~ x + f + (1 | school)", DATA)
    with pytest.raises(DataError, match=re.escape(message)):
        fit.predict(new)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "means"}, "kind is one of 'mean', 'linear', 'response', not 'means'. Did you mean 'mean'?"),
        ({"groups": ["shcool"]}, "no group 'shcool'; they are school. Did you mean 'school'?"),
        ({"groups": 3}, "groups is 'all', None or a list of names, not 3"),
        ({"new_levels": "zero"}, "new_levels is one of 'sample', 'population', 'error', not 'zero'"),
        ({"conf_level": 95}, "conf_level lies between 0 and 1, not 95"),
        ({"draws": 10}, "draws is True or False, not 10"),
        (
            {"draws": True, "conf_level": 0.9},
            "draws=True returns all draws, of which conf_level=0.9 says nothing",
        ),
        ({"seed": -1}, "seed is a whole number of at least 0, not -1"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(options, message):
    fit = synthetic_fit("y ~ x + f + (1 | school)", DATA)
    with pytest.raises(ArgumentError, match=re.escape(message)):
        fit.predict(**options)


def test_more_draws_than_memory_holds_are_refused(monkeypatch):
    fit = synthetic_fit("y ~ x + (1 | school)", DATA)
    monkeypatch.setattr("mixedbayes.results.rows.predict.MAX_DRAWS", 1000)
    with pytest.raises(ArgumentError, match="100 draws of 48 rows are"):
        fit.predict(draws=True)


def test_trials_are_needed_for_responses_alone():
    fit = synthetic_fit("s | trials(n) ~ x + (1 | school)", DATA, "binomial")
    assert fit.predict(DATA[["x", "school"]])["estimate"].between(0, 1).all()
    with pytest.raises(DataError, match="There is no column 'n'"):
        fit.predict(DATA[["x", "school"]], kind="response")
    counts = fit.predict(DATA.assign(n=3), kind="response", draws=True).to_numpy()
    assert set(np.unique(counts)) <= {0, 1, 2, 3}


def test_residuals_are_what_the_mean_leaves():
    fit = synthetic_fit("y ~ x + (1 | school)", DATA)
    mean = fit.predict(draws=True)
    raw = fit.residuals(draws=True)
    np.testing.assert_allclose(raw.to_numpy(), DATA["y"].to_numpy() - mean.to_numpy())
    pearson = fit.residuals("pearson", draws=True)
    np.testing.assert_allclose(pearson, raw / fit.posterior["sigma"], rtol=1e-12)
    place = stats.norm.cdf(raw / fit.posterior["sigma"]).mean(axis=(0, 1))
    found = fit.residuals("quantile")
    np.testing.assert_allclose(found["estimate"], stats.norm.ppf(place), rtol=1e-9)
    assert found.index.equals(DATA.index)


def test_residuals_of_successes_are_of_their_part_of_the_trials():
    fit = synthetic_fit("s | trials(n) ~ x", DATA, "binomial")
    p = fit.predict(draws=True).to_numpy()
    s, n = DATA["s"].to_numpy(), DATA["n"].to_numpy()
    np.testing.assert_allclose(fit.residuals(draws=True), s / n - p)
    np.testing.assert_allclose(
        fit.residuals("pearson", draws=True), (s - n * p) / np.sqrt(n * p * (1 - p)), rtol=1e-5
    )


def test_quantile_residuals_of_counts_lie_between_the_neighbouring_places():
    fit = synthetic_fit("count ~ 1", DATA, "poisson")
    fit.idata["posterior"]["b"] = fit.idata["posterior"]["b"] * 0.1 + 1.0
    mu = fit.predict(draws=True).to_numpy().reshape(-1, N)
    low, high = (stats.poisson.cdf(DATA["count"].to_numpy() - k, mu).mean(axis=0) for k in (1, 0))
    places = np.array([stats.norm.cdf(fit.residuals("quantile", seed=i)["estimate"]) for i in range(200)])
    assert (places >= low - 1e-12).all()
    assert (places <= high + 1e-12).all()
    assert_likely(stats.kstest(((places - low) / (high - low)).ravel(), "uniform").pvalue)


def test_bad_kinds_of_residuals_are_refused():
    fit = synthetic_fit("y ~ x", DATA)
    with pytest.raises(
        ArgumentError, match="kind is one of 'response', 'pearson', 'quantile', not 'deviance'"
    ):
        fit.residuals("deviance")
    for options in ({"draws": True}, {"conf_level": 0.5}):
        with pytest.raises(ArgumentError, match="A quantile residual is one number for all draws"):
            fit.residuals("quantile", **options)
    with pytest.raises(ArgumentError, match="draws=True returns all draws, of which conf_level="):
        fit.residuals("pearson", draws=True, conf_level=0.5)


def test_simulated_responses_are_each_of_one_draw():
    fit = synthetic_fit("y ~ x + (1 | school)", DATA, chains=1, draws=50)
    fit.idata["posterior"]["sigma"] = fit.idata["posterior"]["sigma"] * 1e-9
    simulated = fit.simulate(50, seed=2)
    assert list(simulated.columns) == [f"sim_{i + 1}" for i in range(50)]
    np.testing.assert_allclose(simulated.T, fit.predict(draws=True)[0], rtol=1e-6)
    assert fit.simulate(80, seed=2).shape == (N, 80)
    assert fit.simulate(2, seed=1).equals(fit.simulate(2, seed=1))
    with pytest.raises(ArgumentError, match="n is a whole number of at least 1"):
        fit.simulate(0)


def test_simulated_levels_are_the_responses_levels():
    fit = synthetic_fit("won ~ x", DATA, "bernoulli")
    simulated = fit.simulate(3, seed=1)
    assert set(np.unique(simulated.astype(str))) <= {"no", "yes"}
    assert list(simulated["sim_1"].cat.categories) == ["no", "yes"]


def test_simulated_levels_are_missing_where_a_row_lacks_a_value():
    fit = synthetic_fit("won ~ x", DATA, "bernoulli")
    with pytest.warns(DesignWarning, match="x in 1 row"):
        simulated = fit.simulate(3, DATA.assign(x=DATA["x"].where(np.arange(N) != 3)), seed=1)
    for name in simulated:
        assert list(simulated[name].cat.categories) == ["no", "yes"]
        assert np.flatnonzero(simulated[name].isna()).tolist() == [3]


def test_more_data_sets_than_memory_holds_are_refused(monkeypatch):
    fit = synthetic_fit("y ~ x + (1 | school)", DATA)
    with pytest.raises(ArgumentError, match=r"1,000,000,000 data sets of 48 rows are .* GiB; ask for them"):
        fit.simulate(10**9)


def test_data_sets_beyond_the_draws_take_each_draw_as_often_as_chance_has_it(seed):
    fit = synthetic_fit("y ~ x", DATA, chains=1, draws=20)
    fit.idata["posterior"]["sigma"] = fit.idata["posterior"]["sigma"] * 1e-9
    draws = fit.predict(draws=True).to_numpy()[0, :, 0]
    nearest = np.abs(fit.simulate(2000, seed=seed).to_numpy()[0][:, None] - draws).argmin(axis=1)
    counts = np.bincount(nearest, minlength=20)
    assert_likely(stats.chisquare(counts).pvalue)


def test_data_sets_beyond_the_draws_have_new_levels_of_their_own():
    fit = synthetic_fit("y ~ 1 + (1 | school)", DATA, chains=1, draws=20)
    one = fit.posterior.isel(draw=np.zeros(20, dtype=int)).assign_coords(draw=np.arange(20))
    fit.idata["posterior"] = xr.DataTree(one.assign(sigma=one["sigma"] * 1e-9))
    found = fit.simulate(60, pd.DataFrame({"school": ["new"]}), seed=3).to_numpy()[0]
    assert len(np.unique(found.round(6))) == 60


def test_a_new_date_has_the_same_draw_whatever_the_dates_beside_it():
    data = DATA.assign(day=np.resize(pd.date_range("2024-01-01", periods=6).to_numpy(), N))
    fit = synthetic_fit("y ~ x + (1 | day)", data)
    new = pd.DataFrame(
        {"x": 1.0, "day": pd.to_datetime(["2030-01-01", "2030-01-02 03:00:00"], format="mixed")}
    )
    pd.testing.assert_frame_equal(fit.predict(new, seed=5).iloc[:1], fit.predict(new.iloc[:1], seed=5))


def test_simulated_booleans_are_booleans():
    data = DATA.assign(flag=np.arange(N) % 3 == 0)
    simulated = synthetic_fit("flag ~ x", data, "bernoulli").simulate(2, seed=1)
    assert list(simulated["sim_1"].cat.categories) == [False, True]
    others = synthetic_fit("f['a'] ~ x", DATA, "bernoulli").simulate(2, seed=1)
    assert list(others["sim_1"].cat.categories) == ["all others", "a"]


def test_where_few_draws_of_effects_were_kept_predictions_are_of_those():
    fit = synthetic_fit("y ~ x + (1 | school)", DATA, draws=20)
    posterior = fit.idata["posterior"].to_dataset()
    tree = fit.idata.copy()
    moments = {
        "r_school": posterior["r_school"].mean(["chain", "draw"]),
        "r_school_sd": posterior["r_school"].std(["chain", "draw"]),
    }
    tree["posterior"] = xr.DataTree(posterior.drop_vars("r_school"))
    tree["group_effects_moments"] = xr.DataTree(xr.Dataset(moments))
    none_kept = Fit(fit.spec, tree.copy(), NoEngine())
    tree["group_effects"] = xr.DataTree(posterior[["r_school"]].isel(draw=[3, 11]))
    some_kept = Fit(fit.spec, tree, NoEngine())
    np.testing.assert_allclose(
        some_kept.predict(draws=True), fit.predict(draws=True).isel(draw=[3, 11]), rtol=1e-6
    )
    assert some_kept.predict(groups=None, draws=True).sizes["draw"] == 20
    none_kept.predict(groups=None)
    with pytest.raises(ArgumentError, match="none were kept: fit with more memory="):
        none_kept.predict()


def test_a_loaded_fit_predicts_as_the_original(tmp_path):
    fit = synthetic_fit("y ~ poly(x, 2)*f + (x | school/class)", DATA)
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    new = DATA.assign(x=DATA["x"] + 1, school=np.resize(["s1", "new"], N))
    for options in ({}, {"newdata": new, "kind": "response", "seed": 4}):
        pd.testing.assert_frame_equal(loaded.predict(**options), fit.predict(**options))


def balanced(seed=4, groups=8, n=5):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), n)
    return pd.DataFrame({"y": 10 + rng.normal(0, 2, groups)[g] + rng.normal(0, 1.5, groups * n), "g": g})


def quadrature(data, priors):
    """Weights, and moments given (tau, sigma), of the mean of group 0, of a new group, by a dense grid."""
    means = data.groupby("g")["y"].mean().to_numpy()
    J, n = len(means), len(data) // len(means)
    within = ((data["y"] - means[data["g"]]) ** 2).sum()
    m0, s0, rate_tau, rate_sigma = priors
    tau, sigma = (
        x.ravel() for x in np.meshgrid(np.exp(np.linspace(-7, 3, 700)), np.exp(np.linspace(-0.7, 1.6, 300)))
    )
    v = tau**2 + sigma**2 / n
    precision = J / v + 1 / s0**2
    mu, var_mu = (means.sum() / v + m0 / s0**2) / precision, 1 / precision
    log_p = (
        -0.5 * J * np.log(v)
        - 0.5 * ((means[:, None] - mu) ** 2).sum(axis=0) / v
        - 0.5 * (mu - m0) ** 2 / s0**2
        + 0.5 * np.log(var_mu)
        - J * (n - 1) * np.log(sigma)
        - 0.5 * within / sigma**2
        - rate_tau * tau
        - rate_sigma * sigma
        + np.log(tau)
        + np.log(sigma)
    )
    weights = np.exp(log_p - log_p.max())
    share = tau**2 / v
    known = share * means[0] + (1 - share) * mu, tau**2 * (1 - share) + (1 - share) ** 2 * var_mu
    return weights / weights.sum(), known, (mu, var_mu + tau**2), sigma**2, (mu, var_mu), tau**2


@pytest.mark.slow
def test_a_balanced_one_way_model_predicts_as_quadrature_says(seed):
    data = balanced()
    fit = mb.fit("y ~ 1 + (1 | g)", data, seed=seed, draws=4000)
    prior = {p.address: p.prior.arguments for p in fit.spec.parameters}
    weights, known, new, noise, population, tau2 = quadrature(
        data, (*prior["Intercept"], *prior["sd[g, Intercept]"], *prior["sigma"])
    )
    rows = pd.DataFrame({"g": [0, 99]})
    cases = [
        (fit.predict(rows, seed=seed, draws=True), [known, new]),
        (
            fit.predict(rows, kind="response", seed=seed, draws=True),
            [(m, v + noise) for m, v in (known, new)],
        ),
        (fit.predict(rows, groups=None, draws=True), [population, population]),
    ]
    for found, expected in cases:
        for draws, (m, v) in zip(np.moveaxis(found.to_numpy(), -1, 0), expected, strict=True):
            mean = weights @ m
            sd = np.sqrt(weights @ (v + m**2) - mean**2)
            assert_near([draws.mean(), draws.std()], [mean, sd], errors(draws))
            for p in (0.025, 0.25, 0.5, 0.75, 0.975):
                # in the exact distribution, at the quantile of the draws; of these as many are below as are effective
                place = weights @ stats.norm.cdf((np.quantile(draws, p) - m) / np.sqrt(v))
                assert_near(place, p, errors(draws < np.quantile(draws, p))[0])
    # the variance of a new level is the sd squared and the uncertainty of the population's mean
    of_mean = weights @ (population[1] + population[0] ** 2) - (weights @ population[0]) ** 2
    tau = fit.posterior["sd_g"].to_numpy()[..., 0]
    assert_near((tau**2).mean(), weights @ tau2, errors(tau**2)[0])
    new_level = weights @ (new[1] + new[0] ** 2) - (weights @ new[0]) ** 2
    assert new_level == pytest.approx(of_mean + weights @ tau2)


@pytest.mark.slow
def test_sleepstudy_predicts_what_its_coefficients_say():
    data = dataset("sleepstudy", "Subject")
    fit = mb.fit("Reaction ~ Days + (Days | Subject)", data, seed=1)
    coef = fit.coef()["estimate"].loc["Subject"].unstack()  # noqa: PD010
    expected = (
        coef["Intercept"].loc[data["Subject"]].to_numpy()
        + coef["Days"].loc[data["Subject"]].to_numpy() * data["Days"]
    )
    np.testing.assert_allclose(fit.predict()["estimate"], expected, rtol=1e-10)
