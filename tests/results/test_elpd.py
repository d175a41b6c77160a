"""Predictive densities against ArviZ, against refits, and against densities written out by hand."""

import re
import warnings
from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from monte_carlo import assert_likely, assert_near, assert_same_draws, degrees, errors
from scipy import stats
from scipy.special import logsumexp
from synthetic import NoEngine, synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, ConvergenceWarning, DataError
from mixedbayes.inference.gaussian.leave_out import LeaveOut
from mixedbayes.models.families import FAMILIES
from mixedbayes.results.comparison import psis
from mixedbayes.results.comparison.group_density import log_predictive
from mixedbayes.results.fit import Fit
from mixedbayes.results.rows import row_groups

RNG = np.random.default_rng(12)
N = 36
DATA = pd.DataFrame(
    {
        "y": RNG.normal(2.0, 2.0, N),
        "x": RNG.normal(0.0, 1.0, N),
        "count": RNG.poisson(3.0, N),
        "won": np.resize(["no", "yes", "yes"], N),
        "n": np.resize([4, 7, 10], N),
        "school": np.resize(["s1", "s2", "s3", "s4", "s5", "s6"], N),
        "class": np.repeat(["k1", "k2", "k3", "k4"], N // 4),
        "region": np.resize(["A", "B", "C"], N),
    },
    index=[f"row {i}" for i in range(N)],
)
DATA["s"] = RNG.binomial(DATA["n"], 0.4)
FORMULAS = {
    "gaussian": "y ~ x + (x | school)",
    "poisson": "count ~ x + (1 | school)",
    "bernoulli": "won ~ x + (1 | school)",
    "binomial": "s | trials(n) ~ x + (1 | school)",
}
SLEEP = mb.load_dataset("sleepstudy")
FORMULA = "Reaction ~ Days + (Days | Subject)"


def small(family="gaussian", formula=None, **options):
    """A synthetic fit with parameters of a likely size."""
    fit = synthetic_fit(formula or FORMULAS[family], DATA, family, **options)
    scaled = {name: 0.2 * values for name, values in fit.posterior.items() if not str(name).startswith("cor")}
    scaled["b"] = scaled["b"] + 0.5
    if "sigma" in scaled:
        scaled["sigma"] = scaled["sigma"] + 2.0
    tree = fit.idata.copy()
    tree["posterior"] = xr.DataTree(fit.posterior.assign(scaled))
    return Fit(fit.spec, tree, NoEngine())


def by_hand(fit, family):
    """The log likelihood by SciPy, shape (chain, draw, n)."""
    mean = fit.predict(draws=True).to_numpy()
    match family:
        case "gaussian":
            return stats.norm.logpdf(DATA["y"], mean, fit.posterior["sigma"].to_numpy()[..., None])
        case "poisson":
            return stats.poisson.logpmf(DATA["count"], mean)
        case "bernoulli":
            return stats.bernoulli.logpmf(DATA["won"] == "yes", mean)
        case "binomial":
            return stats.binom.logpmf(DATA["s"], DATA["n"], mean)


@pytest.mark.parametrize("family", FORMULAS)
def test_the_log_likelihood_is_there_when_it_is_read(family):
    fit = small(family)
    stored = fit.idata["log_likelihood"][fit.spec.response]
    expected = by_hand(fit, family)
    assert stored.dims == ("chain", "draw", "observation")
    np.testing.assert_allclose(stored, expected, rtol=1e-9)
    np.testing.assert_allclose(stored.isel(observation=3), expected[..., 3], rtol=1e-9)
    np.testing.assert_allclose(stored.isel(observation=[5, 1], draw=7), expected[:, 7][:, [5, 1]], rtol=1e-9)
    np.testing.assert_allclose(stored[1:3, ::5, ::-2], expected[1:3, ::5, ::-2], rtol=1e-9)


def test_the_log_likelihood_takes_no_memory_and_no_place_in_files(tmp_path):
    fit = small()
    assert "..." in repr(fit.idata["log_likelihood"])
    fit.to_netcdf(tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf") as stored:
        assert "log_likelihood" not in stored.children
    loaded = mb.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(loaded.idata["log_likelihood"]["y"], fit.idata["log_likelihood"]["y"])
    copied = fit.idata.copy(deep=True)
    np.testing.assert_array_equal(copied["log_likelihood"]["y"], fit.idata["log_likelihood"]["y"])


@pytest.mark.parametrize("family", FORMULAS)
def test_loo_is_arvizs(family):
    fit = small(family, draws=250)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = fit.loo(), az.loo(fit.idata, pointwise=True)
    np.testing.assert_allclose(ours.elpd_i, theirs.elpd_i, rtol=1e-9)
    np.testing.assert_allclose(ours.pareto_k, theirs.pareto_k, rtol=1e-6, atol=1e-9)
    assert (ours.elpd, ours.se, ours.p) == pytest.approx((theirs.elpd, theirs.se, theirs.p))
    assert ours.good_k == pytest.approx(theirs.good_k)
    assert ours.pointwise.index.equals(DATA.index)
    assert ours.table.loc["looic"].tolist() == pytest.approx([-2 * ours.elpd, 2 * ours.se])
    assert "elpd_loo" in str(ours)


@pytest.mark.parametrize("family", FORMULAS)
def test_waic_and_dic_are_their_formulas(family):
    fit = small(family, draws=100)
    values = by_hand(fit, family).reshape(-1, N)
    p = values.var(axis=0)  # as arviz.waic had it, until ArviZ 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        waic = fit.waic()
    np.testing.assert_allclose(waic.pointwise["elpd"], logsumexp(values, axis=0) - np.log(len(values)) - p)
    np.testing.assert_allclose(waic.pointwise["p"], p)
    eta = fit.predict(kind="linear", draws=True).mean(("chain", "draw")).to_numpy()
    at_mean = {
        "gaussian": lambda: stats.norm.logpdf(DATA["y"], eta, float(fit.posterior["sigma"].mean())),
        "poisson": lambda: stats.poisson.logpmf(DATA["count"], np.exp(eta)),
        "bernoulli": lambda: stats.bernoulli.logpmf(DATA["won"] == "yes", 1 / (1 + np.exp(-eta))),
        "binomial": lambda: stats.binom.logpmf(DATA["s"], DATA["n"], 1 / (1 + np.exp(-eta))),
    }[family]()
    dic = fit.dic()
    effective = 2 * (at_mean.sum() - values.sum(axis=1).mean())
    assert dic.p == pytest.approx(effective)
    assert -2 * dic.elpd == pytest.approx(-2 * at_mean.sum() + 2 * effective)


def test_unreliable_weights_are_told(recwarn):
    fit = synthetic_fit("y ~ x + (x | school)", DATA, draws=100)
    fit.loo()
    assert any("Pareto k over" in str(w.message) and "reloo=True" in str(w.message) for w in recwarn)
    fit.waic()
    assert any("p_waic is over 0.4" in str(w.message) for w in recwarn)


def test_weights_whose_tail_cannot_be_fitted_are_not_trusted():
    values = np.random.default_rng(1).normal(-1.0, 0.1, (4, 400))
    values[1] = -1.0  # says nothing of any draw
    values[2, 3:] = -1.0  # ArviZ raises an error: all of the tail is the same
    values[3, 5] = -np.inf
    weights, k = psis.leave_out_weights(values, 1.0)
    np.testing.assert_allclose(logsumexp(weights, axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(weights[1], -np.log(400))
    assert k[0] < 0.7
    assert k[1] == -np.inf
    assert k[2] == np.inf
    assert k[3] == np.inf


def test_rows_without_trials_are_predicted_with_certainty():
    data = DATA.assign(n=DATA["n"].where(np.arange(N) != 4, 0), s=DATA["s"].where(np.arange(N) != 4, 0))
    fit = synthetic_fit("s | trials(n) ~ 1", data, "binomial", draws=100)
    assert fit.loo().pointwise["elpd"].iloc[4] == pytest.approx(0.0)


class Same:
    """An engine whose refits are the fit itself."""

    def __init__(self, idata):
        self.idata, self.left = idata, []

    def without(self, spec):
        def draw(out, seed):
            self.left.append(set(np.atleast_1d(out).tolist()))
            return self.idata

        return draw

    def leave_out(self, spec, idata):
        return None


@pytest.mark.parametrize("groups", [None, "school", ["school", "region"]])
def test_folds_take_the_rows_apart(groups):
    fit = small(formula="y ~ x + (x | school) + (1 | region)")
    engine, k = Same(fit.idata), 3 if isinstance(groups, list) else 4
    fold = Fit(fit.spec, fit.idata, engine).kfold(k=k, groups=groups, seed=1)
    left = engine.left
    assert len(left) == k
    assert sorted(place for rows in left for place in rows) == list(range(N))
    assert max(map(len, left)) - min(map(len, left)) <= (1 if groups is None else 6)
    if groups:
        for column in [groups] if isinstance(groups, str) else groups:
            units = DATA.reset_index().groupby(column).indices.values()
            assert all(sum(bool(set(unit.tolist()) & rows) for rows in left) == 1 for unit in units)
    values = by_hand(fit, "gaussian").reshape(-1, N)
    np.testing.assert_allclose(fold.elpd_i, logsumexp(values, axis=0) - np.log(len(values)), rtol=1e-9)
    np.testing.assert_allclose(fold.p, 0.0, atol=1e-9)


def test_reloo_refits_without_each_bad_row():
    fit = small("poisson", draws=100)
    engine = Same(fit.idata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = fit.loo()
        again = Fit(fit.spec, fit.idata, engine).loo(reloo=True)
    bad = np.flatnonzero(plain.pareto_k > plain.good_k)
    assert engine.left == [{i} for i in bad]
    assert 0 < len(bad) < N
    good = np.setdiff1d(np.arange(N), bad)
    np.testing.assert_array_equal(again.elpd_i[good], plain.elpd_i[good])
    values = fit.idata["log_likelihood"]["count"].to_numpy().reshape(-1, N)[:, bad]
    np.testing.assert_allclose(again.elpd_i[bad], logsumexp(values, axis=0) - np.log(len(values)))
    assert not again.warning


def test_the_joint_density_of_a_group_of_counts_is_the_average_over_its_population(seed):
    """Against brute force: effects of the fresh levels drawn from the population by the hundred thousand."""
    fit = small("poisson", "count ~ x + (1 + x | school) + (1 | class)", draws=50)
    wide = fit.posterior["r_school"] * 3 - 1
    fit.idata["posterior"] = xr.DataTree(fit.posterior.assign(r_school=wide))
    out = np.flatnonzero(DATA["school"] == "s2")[:3]
    keep = np.setdiff1d(np.arange(N), np.flatnonzero(DATA["school"] == "s2"))
    spec = fit.spec.only(np.concatenate([keep, out]))
    own = np.arange(len(keep), len(keep) + 3)
    found, k = np.transpose(
        [log_predictive(replace(fit, spec=spec), fit.idata, own, seed=8 * seed + i) for i in range(8)]
    )
    rng = np.random.default_rng([2, seed])
    posterior = {
        name: values.to_numpy().reshape(200, *values.shape[2:]) for name, values in fit.posterior.items()
    }
    values = []
    for _ in range(500):
        sd, cor = posterior["sd_school"], posterior["cor_school"][:, 0, 1]
        z = rng.standard_normal((200, 2))
        u = sd * np.column_stack([z[:, 0], cor * z[:, 0] + np.sqrt(1 - cor**2) * z[:, 1]])
        eta = 0.0
        x = DATA["x"].to_numpy()[out]
        eta = (posterior["b"] + u) @ np.stack([np.ones(3), x])
        eta = eta + posterior["r_class"][:, fit.spec.design.groups[1].codes[out], 0]
        values.append(stats.poisson.logpmf(DATA["count"].to_numpy()[out], np.exp(eta)).sum(axis=1))
    densities = np.exp(np.concatenate(values))
    error = densities.std() / densities.mean() / np.sqrt(len(densities))
    assert (k < 0.7).all()
    error = np.hypot(error, found.std(ddof=1) / np.sqrt(8))
    assert_near(found.mean(), np.log(densities.mean()), error, df=7)


def test_groups_that_are_no_groups_are_refused():
    fit = small()
    message = re.escape(
        "The fit has no group 'shcool'; rows can be grouped by school, y, x. Did you mean 'school'?"
    )
    with pytest.raises(ArgumentError, match=message):
        fit.loo(groups="shcool")
    with pytest.raises(ArgumentError, match=message):
        fit.kfold(groups="shcool")
    with pytest.raises(ArgumentError, match="There are 6 groups, too few for 10 folds"):
        fit.kfold(groups="school")
    with pytest.raises(ArgumentError, match="k is a whole number of at least 2, not 1"):
        fit.kfold(1)
    with pytest.raises(ArgumentError, match="reloo=True is for rows left out one by one"):
        fit.loo(groups="school", reloo=True)
    with pytest.raises(ArgumentError, match="reloo is True or False, not 'yes'"):
        fit.loo(reloo="yes")


def test_a_column_that_the_model_does_not_know_groups_rows_too():
    gaps = DATA.assign(x=DATA["x"].where(np.arange(N) != 3))
    with pytest.warns(mb.DesignWarning, match="dropped"):
        fit = synthetic_fit("y ~ x", gaps)
    for column in (DATA["class"], DATA["class"].to_numpy()[fit.spec.design.rows.kept]):
        index, codes = row_groups.group_rows(fit.spec, column)
        assert list(index) == ["k1", "k2", "k3", "k4"]
        assert list(index[codes]) == list(np.delete(DATA["class"].to_numpy(), 3))
    with pytest.raises(ArgumentError, match="one value for each of the 36 rows of the data, not 5"):
        fit.loo(groups=DATA["class"].head())
    with pytest.raises(ArgumentError, match="lacks values in 35 rows of the fit"):
        fit.kfold(k=2, groups=pd.Series([None] * N))
    shuffled, _ = row_groups.group_rows(fit.spec, DATA["class"].sample(frac=1.0, random_state=1))
    assert list(shuffled) == ["k1", "k2", "k3", "k4"]
    np.testing.assert_array_equal(
        row_groups.group_rows(fit.spec, DATA["class"].sample(frac=1.0, random_state=1))[1], codes
    )
    with pytest.raises(ArgumentError, match="is a series or an array, not list"):
        fit.loo(groups=list(DATA["class"]))
    with pytest.raises(ArgumentError, match="this has 2 dimensions"):
        fit.loo(groups=DATA[["class"]])
    with pytest.raises(ArgumentError, match="All rows are of one group, 0"):
        fit.loo(groups=np.zeros(N))
    with pytest.raises(ArgumentError, match="names no factor"):
        fit.kfold(groups=[])
    with pytest.raises(ArgumentError, match="are crossed: no folds keep the levels"):
        fit.kfold(groups=[DATA["class"], DATA["school"]])


def test_rows_that_alone_tell_a_coefficient_with_a_flat_prior_cannot_be_left_out():
    data = DATA.assign(one=(np.arange(N) == 4) * 1.0)
    fit = synthetic_fit("y ~ x + one", data, priors={"b": "flat", "Intercept": "flat"})
    with pytest.raises(DataError, match=r"nothing says what b\[one\] is, and its prior is flat"):
        Fit(fit.spec, fit.idata, Same(fit.idata)).kfold(k=6, seed=1)
    with pytest.raises(DataError, match=r"b\[one\]"):
        Fit(fit.spec, fit.idata, Same(fit.idata)).loo(groups=np.arange(N))


def test_fits_of_different_data_do_not_compare():
    fit, fewer = small(), synthetic_fit("y ~ x", DATA.iloc[:-1])
    other = synthetic_fit("y ~ x", DATA.assign(y=DATA["y"] + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with pytest.raises(DataError, match="'a' is of 36 rows and 'b' of 35 rows"):
            mb.compare({"a": fit, "b": fewer})
        with pytest.raises(DataError, match="are not of the same response in the same rows"):
            mb.compare({"a": fit, "b": other})
        with pytest.raises(ArgumentError, match="'a' is by loo and 'b' by waic"):
            mb.compare({"a": fit.loo(), "b": fit.waic()})
        with pytest.raises(ArgumentError, match="by='waic' is for fits, and 'b' has its criterion, loo"):
            mb.compare({"a": fit, "b": fit.loo()}, by="waic")
    with pytest.raises(ArgumentError, match="compare takes two fits or more by name"):
        mb.compare([fit, fit])
    with pytest.raises(ArgumentError, match="by is one of 'loo', 'waic', 'dic', 'kfold', not 'aic'"):
        mb.compare({"a": fit, "b": fit}, by="aic")
    with pytest.raises(ArgumentError, match="Two fits have one name: 1, 1"):
        mb.compare({1: fit, "1": fit})
    with pytest.raises(ArgumentError, match="'b' is no fit"):
        mb.compare({"a": fit, "b": 3})


FOLDS = [
    {"k": 6, "seed": 1},
    {"k": 5, "seed": 2},
    {"k": 5, "seed": 1, "groups": "school"},
    {"k": 5, "seed": 1, "groups": DATA["school"]},
]


@pytest.mark.parametrize("options", FOLDS)
def test_only_predictions_by_the_same_folds_compare(options):
    one, two = small(), small(formula="y ~ x + (1 | school)", seed=3)
    one, two = (Fit(fit.spec, fit.idata, Same(fit.idata)) for fit in (one, two))
    with pytest.raises(ArgumentError, match="'one' and 'two' are by different folds: give kfold"):
        mb.compare({"one": one.kfold(5, seed=1), "two": two.kfold(**options)})
    assert len(mb.compare({"one": one.kfold(**options), "two": two.kfold(**options)})) == 2


def test_folds_of_a_group_are_the_same_however_it_is_named():
    """By the model's own factor, in the order of its categories, or by the column."""
    data = DATA.assign(school=pd.Categorical(DATA["school"], ["s4", "s6", "s1", "s2", "s5", "s3"]))
    fit = synthetic_fit("y ~ x + (1 | school)", data)
    fit = Fit(fit.spec, fit.idata, Same(fit.idata))
    found = [
        fit.kfold(3, groups=group, seed=1).folds
        for group in ("school", data["school"], data["school"].to_numpy())
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert len(mb.compare({"one": fit.kfold(3, seed=1), "two": fit.kfold(3, seed=1)})) == 2
    np.testing.assert_array_equal(
        row_groups.group_rows(fit.spec, "school")[1], row_groups.group_rows(fit.spec, data["school"])[1]
    )


@pytest.mark.parametrize("by", ["loo", "waic", "dic"])
def test_comparisons_are_of_the_criterion(by):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = {"one": small(), "two": small(formula="y ~ x + (1 | school)", seed=3)}
        table = mb.compare(fits, by=by)
        each = {name: getattr(fit, by)() for name, fit in fits.items()}
    best = table.index[0]
    assert each[best].elpd == max(one.elpd for one in each.values())
    np.testing.assert_allclose(table["elpd"], [each[name].elpd for name in table.index])
    other = table.index[1]
    difference = np.asarray(each[other].elpd_i - each[best].elpd_i)
    assert table.loc[other, "elpd_diff"] == pytest.approx(difference.sum())
    assert table.loc[other, "dse"] == pytest.approx(np.sqrt(N * difference.var()))
    assert table["weight"].sum() == pytest.approx(1.0)


def test_r2_is_arvizs_and_its_parts_add_up():
    fit = small(draws=100)
    tree = fit.idata.copy()
    mean = fit.predict(draws=True).to_dataset(name="mean")
    tree["posterior"] = xr.DataTree(fit.posterior.merge(mean))
    theirs = az.bayesian_r2(tree, "mean", "sigma", summary=False)
    table = fit.bayes_r2()
    assert table.loc["conditional", "estimate"] == pytest.approx(float(np.mean(theirs)))
    population = fit.predict(groups=None, draws=True).to_numpy()
    f = mean["mean"].to_numpy()
    sigma2 = fit.posterior["sigma"].to_numpy() ** 2
    marginal = population.var(-1, ddof=1) / (
        population.var(-1, ddof=1) + (f - population).var(-1, ddof=1) + sigma2
    )
    assert table.loc["marginal", "estimate"] == pytest.approx(marginal.mean())


@pytest.mark.parametrize("shift", [1e6, 1e9, -1e9])
def test_r2_is_the_same_wherever_the_response_lies(shift):
    fit = small(draws=100)
    tree = fit.idata.copy()
    b = fit.posterior["b"]
    tree["posterior"] = xr.DataTree(fit.posterior.assign(b=b + shift * (b["coefficient"] == "Intercept")))
    moved = Fit(fit.spec, tree, NoEngine())
    np.testing.assert_allclose(moved.bayes_r2(), fit.bayes_r2(), rtol=1e-5)


def test_r2_of_successes_is_of_their_part_of_the_trials():
    fit = small("binomial")
    p, n = fit.predict(draws=True).to_numpy(), DATA["n"].to_numpy()
    expected = p.var(-1, ddof=1) / (p.var(-1, ddof=1) + (p * (1 - p) / n).mean(-1))
    assert fit.bayes_r2().loc["conditional", "estimate"] == pytest.approx(expected.mean())


def test_rows_without_trials_have_no_part_in_r2():
    data = DATA.assign(n=DATA["n"].where(np.arange(N) != 4, 0), s=DATA["s"].where(np.arange(N) != 4, 0))
    with_row = synthetic_fit("s | trials(n) ~ x", data, "binomial")
    without = Fit(with_row.spec.only(np.delete(np.arange(N), 4)), with_row.idata, NoEngine())
    pd.testing.assert_frame_equal(with_row.bayes_r2(), without.bayes_r2())


def test_icc_is_the_share_of_the_groups_variance():
    fit = small(formula="y ~ x + (x | school) + (1 | class)")
    sd, cor = fit.posterior["sd_school"], fit.posterior["cor_school"][..., 0, 1]
    x = DATA["x"]
    school = sd[..., 0] ** 2 + (x**2).mean() * sd[..., 1] ** 2 + 2 * x.mean() * cor * sd[..., 0] * sd[..., 1]
    klass, residual = fit.posterior["sd_class"][..., 0] ** 2, fit.posterior["sigma"] ** 2
    total = school + klass + residual
    table = fit.icc()
    assert list(table.index) == ["school", "class", "Residual"]
    expected = [float((part / total).mean()) for part in (school, klass, residual)]
    np.testing.assert_allclose(table["estimate"], expected)


def test_icc_of_links_without_a_residual():
    fit = small("bernoulli")
    sd2 = fit.posterior["sd_school"][..., 0] ** 2
    assert fit.icc().loc["school", "estimate"] == pytest.approx(float((sd2 / (sd2 + np.pi**2 / 3)).mean()))
    counts = small("poisson")
    sd2, mean = counts.posterior["sd_school"][..., 0] ** 2, counts.predict(draws=True).mean("observation")
    expected = float((sd2 / (sd2 + 1 / mean)).mean())
    assert counts.icc().loc["school", "estimate"] == pytest.approx(expected, rel=1e-6)


def test_icc_takes_a_latent_variance_only_of_responses_that_are_signs():
    """A share between 0 and 1 has the logit link too, and no latent variable."""
    shares = replace(FAMILIES["bernoulli"], name="shares", counts_signs=False)
    fit = small("bernoulli")
    other = Fit(replace(fit.spec, family=shares), fit.idata, NoEngine())
    sd2, mean = fit.posterior["sd_school"][..., 0] ** 2, fit.predict(draws=True).mean("observation")
    expected = float((sd2 / (sd2 + 1 / (mean * (1 - mean)))).mean())
    assert other.icc().loc["school", "estimate"] == pytest.approx(expected, rel=1e-6)


def test_icc_of_counts_with_the_identity_link_is_at_the_mean_of_all():
    data = DATA.assign(count=DATA["count"] + 5)
    fit = synthetic_fit("count ~ x + (1 | school)", data, "poisson", link="identity")
    sd2, mean = fit.posterior["sd_school"][..., 0] ** 2, fit.predict(draws=True).mean("observation")
    assert fit.icc().loc["school", "estimate"] == pytest.approx(float((sd2 / (sd2 + mean)).mean()))


@pytest.mark.parametrize("name", ["Residual", "Residual_", "(prior)", "sigma", "sample", "estimate", "group"])
def test_a_group_of_any_name_has_its_share_in_tables(name):
    formula, priors = "y ~ x + (1 | {g}) + (1 | class)", {"sd": "exponential(gamma(2, 1))"}
    plain = synthetic_fit(formula.format(g="school"), DATA, priors=priors)
    named = synthetic_fit(formula.format(g=f"`{name}`"), DATA.rename(columns={"school": name}), priors=priors)
    for table in ("icc", "varcorr", "tidy", "ranef", "coef"):
        ours, theirs = getattr(named, table)().reset_index(), getattr(plain, table)().reset_index()
        pd.testing.assert_frame_equal(ours.drop(columns="group"), theirs.drop(columns="group"))
        known = theirs["group"].replace("school", name)
        apart = known.mask(theirs["group"].isin(["Residual", "(prior)"]), ours["group"])
        assert list(ours["group"].dropna()) == list(apart.dropna())
        assert ours["group"].nunique() == theirs["group"].nunique()
    pd.testing.assert_frame_equal(named.predict(), plain.predict())


@pytest.fixture(scope="module")
def sleep(seed):
    return mb.fit(FORMULA, SLEEP, seed=seed, draws=2000)


def of_mean(values):
    """The relative error of a mean of draws, shape (chain, draw), which is that of its log; and its degrees of freedom."""
    return errors(values)[0] / values.mean(), degrees(values)[0]


@pytest.mark.slow
def test_loo_agrees_with_leaving_each_row_out(sleep, seed):
    """Every third by refits of the variances, by the collapsed density; and three, and the bad ones, by whole refits."""
    with pytest.warns(ConvergenceWarning, match="Pareto k"):
        found = sleep.loo()
    closed = sleep.engine.leave_out(sleep.spec, sleep.idata)
    k, elpd = np.asarray(found.pareto_k), np.asarray(found.elpd_i)
    rows = np.array([i for i in range(0, 180, 3) if k[i] < 0.5])  # so that inverse densities have a variance
    exact = np.array([closed.exactly(np.array([i]))[0] for i in rows])
    again = [LeaveOut(closed.density, None, 100 + 5 * seed + i).exactly(rows[:1])[0] for i in range(5)]
    its = np.std(again, ddof=1)  # of all rows, since the evidence of all data is in each
    log_density = sleep.idata["log_likelihood"]["Reaction"].to_numpy()
    inverse = np.exp(-log_density[..., rows])
    error, df = np.transpose([of_mean(inverse[..., j]) for j in range(len(rows))])
    assert_near(elpd[rows], exact, np.hypot(error, its), df=np.minimum(df, 4 * ((error / its) ** 2 + 1) ** 2))
    error, df = of_mean((inverse / inverse.mean(axis=(0, 1))).mean(axis=2))
    assert_near(
        (elpd[rows] - exact).mean(), 0, np.hypot(error, its), df=min(df, 4 * ((error / its) ** 2 + 1) ** 2)
    )
    once_more = sleep.loo(reloo=True, seed=seed + 1)
    bad = np.flatnonzero(~(k <= found.good_k))
    assert len(bad)
    assert not once_more.warning
    refitted = np.asarray(once_more.elpd_i)
    np.testing.assert_array_equal(np.delete(refitted, bad), np.delete(elpd, bad))
    for i in (*rows[:3], *bad):
        spec = sleep.spec.only(np.setdiff1d(np.arange(180), [i]))
        refit = Fit(sleep.spec, sleep.engine.draw(spec, {"seed": seed + 5})[0], sleep.engine)
        density = np.exp(refit.idata["log_likelihood"]["Reaction"].to_numpy()[..., i])
        expected, (error, df) = closed.exactly(np.array([i]))[0], of_mean(density)
        values = [np.log(density.mean()), *([refitted[i]] if i in bad else [])]
        assert_near(values, expected, np.hypot(error, its), df=min(df, 4 * ((error / its) ** 2 + 1) ** 2))


@pytest.mark.slow
def test_leaving_a_subject_out_equals_refitting_without_it(sleep, seed):
    found = sleep.loo(groups="Subject").pointwise
    priors = {p.address: p.prior for p in sleep.spec.parameters if not p.address.startswith("cor")}
    for subject in ("308", "335", "352"):
        others, own = SLEEP[SLEEP["Subject"] != subject], SLEEP[SLEEP["Subject"] == subject]
        # the intercept's prior is at the mean of Days, which is 4.5 with every subject
        fit = mb.fit(FORMULA, others, priors=priors, seed=seed + 1, draws=1000)
        flat = {
            name: values.to_numpy().reshape(4000, *values.shape[2:]) for name, values in fit.posterior.items()
        }
        Z = np.column_stack([np.ones(10), own["Days"]])
        logs = []
        for s in range(4000):
            D = np.diag(flat["sd_Subject"][s])
            covariance = Z @ D @ flat["cor_Subject"][s] @ D @ Z.T + flat["sigma"][s] ** 2 * np.eye(10)
            logs.append(stats.multivariate_normal.logpdf(own["Reaction"], Z @ flat["b"][s], covariance))
        density = np.exp(np.array(logs) - max(logs))
        expected = np.log(density.mean()) + max(logs)
        error, df = of_mean(density.reshape(4, 1000))
        assert_near(found.loc[subject, "elpd"], expected, np.hypot(error, error), df=df)


@pytest.mark.slow
def test_leaving_a_subject_out_by_refits_agrees_with_the_closed_form(sleep, seed):
    class ByRefit:
        without = staticmethod(sleep.engine.without)

        def leave_out(self, spec, idata):
            return None

    others = [mb.fit(FORMULA, SLEEP, seed=100 + 3 * seed + i, draws=2000) for i in range(3)]
    closed = np.array([fit.loo(groups="Subject").elpd_i for fit in (sleep, *others)])
    by_refit = Fit(sleep.spec, sleep.idata, ByRefit())
    seeds = range(4 * seed, 4 * seed + 4)
    refitted = np.array([by_refit.loo(groups="Subject", seed=each).elpd_i for each in seeds])
    for one, other in ((closed, refitted), (closed.sum(1, keepdims=True), refitted.sum(1, keepdims=True))):
        assert_likely(stats.ttest_ind(one, other, equal_var=False).pvalue)


@pytest.mark.slow
def test_the_three_classic_models_compare(sleep, seed):
    complete = mb.fit("Reaction ~ Days", SLEEP, seed=seed)
    none = mb.fit("Reaction ~ 0 + C(Subject) + C(Subject):Days", SLEEP, seed=seed)
    with pytest.warns(ConvergenceWarning, match="Pareto k"):
        table = mb.compare({"complete": complete, "none": none, "partial": sleep})
    assert list(table.index) == ["partial", "none", "complete"]
    assert table.loc["complete", "elpd_diff"] < -4 * table.loc["complete", "dse"]
    with pytest.warns(ConvergenceWarning, match="Pareto k"):
        assert table.loc["partial", "elpd"] == pytest.approx(sleep.loo().elpd)


def test_the_efficiency_of_draws_is_arvizs():
    fit = small(draws=200)
    ess = az.ess(fit.posterior, method="mean")
    expected = np.hstack([values.to_numpy().ravel() for values in ess.data_vars.values()]).mean() / 800
    assert psis.relative_efficiency(fit) == pytest.approx(float(expected))
    beside = fit.posterior.assign(other=("kind", [1.0]))  # which no draw is of
    tree = fit.idata.assign({"posterior": xr.DataTree(beside)})
    assert psis.relative_efficiency(replace(fit, idata=tree)) == pytest.approx(float(expected))


@pytest.mark.slow
def test_a_model_compiled_once_is_sampled_without_some_of_its_rows(seed):
    """Counts by NUTS, without a fold, against a model of the other rows that was built anew."""
    data = mb.load_dataset("cbpp")
    fit = mb.fit(
        "incidence | trials(size) ~ period + (1 | herd)", data, "binomial", seed=seed, draws=500, tune=500
    )
    without = fit.engine.without(fit.spec)
    out = np.arange(0, 56, 3)
    draws = without(out, seed=seed + 7)
    again = fit.engine.draw(fit.spec.only(np.setdiff1d(np.arange(56), out)), {"seed": seed + 8})[0]
    assert dict(draws["posterior"].sizes) == dict(again["posterior"].sizes)
    named = [{}, {}]
    for name in ("b", "sd_herd", "r_herd"):
        assert draws["posterior"][name].dims == again["posterior"][name].dims
        for found, each in zip(named, (draws, again), strict=True):
            values = each["posterior"][name].to_numpy().reshape(4, 500, -1)
            found |= {f"{name}[{i}]": values[..., i] for i in range(values.shape[2])}
    assert_same_draws(*named)
    by_herd = fit.loo(groups="herd", seed=seed + 3)
    assert by_herd.pointwise.index.tolist() == fit.posterior["herd"].to_numpy().tolist()
    assert not by_herd.warning
