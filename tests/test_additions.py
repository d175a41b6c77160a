"""Weights and known standard errors, in both engines and in everything after the fit: `y | weights(w) + se(s) ~ x`."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import dense_gaussian
import numpy as np
import pandas as pd
import pytest
from monte_carlo import assert_draws_near, assert_mixed, assert_near, assert_same_posterior, draws_by_address
from scipy import stats
from scipy.special import logsumexp

import mixedbayes as mb
from mixedbayes.inference.gaussian.leave_out import LeaveOut
from mixedbayes.inference.gaussian.sample import collapse, why_not
from mixedbayes.inference.nuts.graph import INCLUDED, build
from mixedbayes.language.additions import ADDITIONS, AdditionKind
from mixedbayes.models.families import FAMILIES
from mixedbayes.models.links import LINKS
from mixedbayes.models.maths import ARRAYS
from mixedbayes.models.values import FromPredictor, Values
from mixedbayes.results.comparison.group_density import log_predictive
from mixedbayes.results.rows.predictor import predictor_of

RNG = np.random.default_rng(11)
N = 24
G = np.repeat(np.arange(6), 4)
ETA = 0.5 + RNG.normal(0, 0.4, 6)[G]
DATA = pd.DataFrame(
    {
        "g": [f"g{i}" for i in G],
        "id": np.arange(N),
        "x": np.tile([-1.0, 0.0, 1.0, 2.0], 6),
        "w": np.resize([0.5, 1.0, 2.0, 3.25, 0.0], N),
        "two": 2.0,
        "s": np.resize([0.3, 0.6, 1.1], N),
        "y": ETA + RNG.normal(0, 0.7, N),
        "share": 1 / (1 + np.exp(-ETA - RNG.normal(0, 0.5, N))),
        "size": np.exp(ETA + RNG.normal(0, 0.3, N)),
        "count": RNG.poisson(np.exp(ETA)),
        "n": np.resize([3, 5, 8], N),
        "wins": RNG.binomial(np.resize([3, 5, 8], N), 0.6),
        "yes": np.resize([0, 1, 1], N),
        "t": np.linspace(0.5, 4.0, N),
    }
)
PRIORS = {"Intercept": "normal(0.5, 2)", "sd": "exponential(1)"}
GAUSSIAN = PRIORS | {"sigma": "exponential(1)"}
RESPONSES = {
    "gaussian": "y",
    "student_t": "y",
    "lognormal": "size",
    "bernoulli": "yes",
    "binomial": "wins | trials(n)",
    "poisson": "count",
    "negative_binomial": "count",
    "beta": "share",
}
FEW = {"draws": 50, "chains": 2, "tune": 50, "seed": 1, "progress": False}
"""Draws, where what is asked is not how good they are."""


def beside(response, addition):
    return f"{response} {'+' if '|' in response else '|'} {addition}"


def rows_density(model):
    """PyMC's log density of each row at a point of its parameters, and such a point."""
    response = model.spec.response
    pymc = model.pymc
    point = pymc.initial_point(random_seed=1)
    rng = np.random.default_rng(5)
    point = {name: value + 0.3 * rng.normal(size=np.shape(value)) for name, value in sorted(point.items())}
    return pymc.compile_logp(vars=[pymc[response]], sum=False, mode="FAST_COMPILE")(point)[0], point


@pytest.mark.parametrize("family", RESPONSES)
def test_weights_multiply_the_log_densities_of_any_family(family):
    """Those of PyMC's own distributions; also where rows can be left out later."""
    response, data = RESPONSES[family], DATA.assign(w=DATA["w"] + 0.25)
    plain, point = rows_density(mb.model(f"{response} ~ x + (1 | g)", data, family))
    weighted = mb.model(f"{beside(response, 'weights(w)')} ~ x + (1 | g)", data, family)
    found, same = rows_density(weighted)
    assert all(np.array_equal(point[name], same[name]) for name in point)
    assert [variable.name for variable in weighted.pymc.observed_RVs] == [weighted.spec.response]
    np.testing.assert_allclose(found, data["w"] * plain, rtol=1e-9)
    masked = build(weighted.spec, masked=True)
    included = np.resize([1.0, 1.0, 0.0], N)
    masked.set_data(INCLUDED, included)
    potential = masked.compile_logp(vars=masked.potentials, sum=True, mode="FAST_COMPILE")(point)
    np.testing.assert_allclose(potential, (included * data["w"] * plain).sum(), rtol=1e-9)


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_a_row_of_weight_zero_adds_nothing_however_unlikely_it_is(family):
    response = RESPONSES[family]
    data = DATA.assign(one=(DATA["w"] > 0).astype(float))
    data["y"] = np.where(data["one"] > 0, data["y"], 1e90)
    found = [
        rows_density(mb.model(f"{beside(response, f'weights({w})')} ~ 1 + (1 | g)", data, family))[0]
        for w in ("w", "one")
    ]
    np.testing.assert_allclose(found[0], data["w"] * found[1], rtol=1e-12)
    assert (found[0][data["one"] == 0] == 0).all()


@pytest.mark.parametrize("family", [name for name in RESPONSES if name != "lognormal"])
def test_derivatives_are_weighted_too(family):
    spec = mb.model(f"{RESPONSES[family]} ~ x", DATA, family).spec
    eta = np.linspace(-0.5, 1.0, N)
    parameters = {p.address: 1.5 + 0 * eta for p in spec.auxiliary}
    known = {"mu": FromPredictor(spec.link, eta), **parameters}
    y, additions = DATA[spec.response].to_numpy(), dict(spec.design.response.additions)
    plain = spec.family.derivatives(y, Values(ARRAYS, known, additions), "mu")
    weighted = Values(ARRAYS, known, additions | {"weights": DATA["w"].to_numpy()})
    for one, other in zip(plain, spec.family.derivatives(y, weighted, "mu"), strict=True):
        np.testing.assert_allclose(other, DATA["w"] * one, rtol=1e-12, atol=1e-300)


def test_an_impossible_response_of_weight_zero_is_no_matter():
    """In silence: a count where the mean is below zero."""
    p = {"mu": FromPredictor(LINKS["identity"], np.array([-1.0, 2.0]))}
    values = Values(ARRAYS, p, {"weights": np.array([0.0, 3.0])})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = FAMILIES["poisson"].log_likelihood(np.array([1.0, 1.0]), values)
    np.testing.assert_allclose(found, [0.0, 3 * stats.poisson(2).logpmf(1)])


@pytest.mark.parametrize("replaced", [{"se": "sigma"}, {"trials": "nu"}, {"trials": "mu"}])
def test_an_addition_stands_for_a_parameter_that_there_is(replaced):
    with pytest.raises(mb.FamilyError, match="it takes no such addition, or has no such parameter"):
        replace(FAMILIES["binomial"], name="mine", replaced=replaced)


def points(spec, n=4):
    variances = collapse(spec).variances
    return variances.start({}) + np.random.default_rng(2).normal(0, 0.5, (n, variances.size))


@pytest.mark.parametrize("formula", ["~ x + (1 | g)", "~ x + (x | g)", "~ x"])
def test_weights_multiply_log_densities_in_closed_form(formula):
    """N(y; m, s^2)^w is N(y; m, s^2 / w) times (2 pi s^2)^((1 - w) / 2) / sqrt(w): a dense Gaussian says the first."""
    data = DATA.assign(w=DATA["w"] + 0.25)
    spec = mb.model(f"y | weights(w) {formula}", data, priors={"sigma": "exponential(1)"}).spec
    density, theta, w = collapse(spec), points(spec), data["w"].to_numpy()
    expected = [
        dense_gaussian.log_posterior(density.variances, each, w)
        + ((1 - w) / 2 * (np.log(2 * np.pi) + 2 * each[-1]) - np.log(w) / 2).sum()
        for each in theta
    ]
    np.testing.assert_allclose(density.log_posterior(theta), expected, rtol=1e-10)
    h = 1e-5 * np.eye(theta.shape[1])
    for each, slope in zip(theta, density.log_posterior_and_gradient(theta)[1], strict=True):
        differences = (density.log_posterior(each + h) - density.log_posterior(each - h)) / 2e-5
        np.testing.assert_allclose(slope, differences, rtol=1e-5, atol=1e-5)


def same_priors(formula, data, family="gaussian", **options):
    return mb.model(formula, data, family, priors=GAUSSIAN | {"b": "normal(0, 1)"}, **options)


TWICE = pd.concat([DATA, DATA], ignore_index=True)


@pytest.mark.parametrize("family", ["gaussian", "lognormal"])
def test_a_weight_of_two_is_a_row_written_twice_in_closed_form(family):
    response = RESPONSES[family]
    weighted = same_priors(f"{response} | weights(two) ~ x + (1 | g)", DATA, family).spec
    twice = same_priors(f"{response} ~ x + (1 | g)", TWICE, family).spec
    theta = points(weighted)
    np.testing.assert_allclose(
        collapse(weighted).log_posterior(theta), collapse(twice).log_posterior(theta), rtol=1e-10
    )
    out = np.arange(4, 8)
    both = [LeaveOut(collapse(spec), None, 1) for spec in (weighted, twice)]
    for left in both:
        vars(left)["theta"] = theta
    np.testing.assert_allclose(
        both[0].at_draws(out), both[1].at_draws(np.concatenate([out, N + out])), rtol=1e-9
    )
    assert both[0].exactly(out)[0] == pytest.approx(both[1].exactly(np.concatenate([out, N + out]))[0])


def test_a_weight_of_two_is_a_row_written_twice_after_the_fit():
    """By draws that serve both: the log likelihood, DIC, groups left out together."""
    weighted = same_priors("y | weights(two) ~ x + (1 | g)", DATA).fit(draws=300, seed=1, progress=False)
    twice = same_priors("y ~ x + (1 | g)", TWICE)
    twice = type(weighted)(twice.spec, weighted.idata, weighted.engine)
    once = predictor_of(weighted)
    each = once.log_density(weighted.spec.design.encoded, DATA["y"].to_numpy())
    again = predictor_of(twice).log_density(twice.spec.design.encoded, TWICE["y"].to_numpy())
    np.testing.assert_allclose(each, again[:N] + again[N:], rtol=1e-10)
    stored = weighted.idata["log_likelihood"]["y"].to_numpy().reshape(-1, N)
    np.testing.assert_allclose(stored, each.T, rtol=1e-12)
    assert weighted.dic().elpd == pytest.approx(twice.dic().elpd)
    groups = [fit.loo(groups="g", seed=1).pointwise["elpd"] for fit in (weighted, twice)]
    np.testing.assert_allclose(*groups, rtol=1e-8)
    plain = type(weighted)(same_priors("y ~ x + (1 | g)", DATA).spec, weighted.idata, weighted.engine)
    with pytest.raises(mb.DataError, match="not of the same response in the same rows"):
        mb.compare({"one": weighted, "other": plain}, by="dic")


@pytest.mark.filterwarnings("ignore::mixedbayes.ConvergenceWarning")
def test_a_row_left_out_by_its_weight_is_that_many_rows_left_out():
    """By importance weights of rows, and in closed form with effects and coefficients integrated out."""
    fit = same_priors("y | weights(two) ~ x + (1 | g)", DATA).fit(draws=4000, seed=1, progress=False)
    by_row, closed = fit.loo(), fit.loo(groups=DATA["id"])
    rows = np.flatnonzero(by_row.pointwise["pareto_k"] < 0.5)
    assert len(rows) > N / 2
    values = predictor_of(fit).log_density(fit.spec.design.encoded, DATA["y"].to_numpy())[rows]
    relative = np.exp(-values - logsumexp(-values, axis=1, keepdims=True))
    error = np.sqrt((relative**2).sum(axis=1))  # of a self-normalised harmonic mean
    assert_near(by_row.pointwise["elpd"].iloc[rows], closed.pointwise["elpd"].iloc[rows], 2 * error)


def test_a_row_of_weight_zero_is_as_if_it_were_not_there():
    """Not in the density, nor in default priors, nor where rows are left out; its values may be anything."""
    data = DATA.assign(y=np.where(DATA["w"] == 0, 1e6, DATA["y"]), one=(DATA["w"] > 0).astype(float))
    kept = data[data["one"] > 0]
    weighted, plain = (
        mb.model(f"{y} ~ 1 + (1 | g)", rows).spec for y, rows in (("y | weights(one)", data), ("y", kept))
    )
    assert [p.prior for p in weighted.parameters] == [p.prior for p in plain.parameters]
    theta = points(weighted)
    np.testing.assert_allclose(
        collapse(weighted).log_posterior(theta), collapse(plain).log_posterior(theta), rtol=1e-10
    )
    with pytest.raises(mb.FamilyError, match="is 3 in every row; there is nothing to model"):
        mb.model("y | weights(one) ~ x", data.assign(y=np.where(data["one"] > 0, 3.0, data["y"])))
    left = LeaveOut(collapse(weighted), None, 1)
    vars(left)["theta"] = theta
    np.testing.assert_allclose(left.at_draws(np.flatnonzero(data["one"] == 0)), 0.0, atol=1e-8)
    with pytest.raises(mb.DataError, match=r"as many levels as there are rows \(24\)"):
        mb.model("y | weights(one) ~ 1 + (1 | id)", pd.concat([DATA.assign(one=1), DATA.assign(one=0)]))


def test_exact_fits_beside_rows_of_weight_zero_have_no_residual():
    data = DATA.assign(one=np.resize([1.0, 1.0, 0.0], N))
    data["y"] = np.where(data["one"] > 0, 2.0 + 3.0 * data["x"], 17.0)
    for method in ("collapsed", "nuts"):
        with pytest.raises(mb.DataError, match="there is no residual"):
            mb.fit("y | weights(one) ~ x", data, method=method, **FEW | {"tune": None})


@pytest.mark.parametrize("formula", ["~ x + (1 | g)", "~ 1 + (1 | id)", "~ x + (1 | g) + (1 | id)", "~ x"])
def test_known_standard_errors_are_those_of_a_dense_gaussian(formula):
    """There is no sigma, so that effects may be one for each row."""
    spec = mb.model(f"y | se(s) {formula}", DATA).spec
    assert spec.residual is None
    assert "sigma" not in [p.address for p in spec.parameters]
    density, theta = collapse(spec), points(spec)
    expected = [
        dense_gaussian.log_posterior(density.variances, each, DATA["s"].to_numpy() ** -2.0) for each in theta
    ]
    np.testing.assert_allclose(density.log_posterior(theta), expected, rtol=1e-10)
    w = np.full(N, 0.5)  # and weighted: half of what each row says
    half = collapse(mb.model(f"y | se(s) + weights(0.5) {formula}", DATA).spec)
    s2 = DATA["s"].to_numpy() ** 2
    extra = ((1 - w) / 2 * np.log(2 * np.pi * s2) - np.log(w) / 2).sum()
    expected = [dense_gaussian.log_posterior(half.variances, each, w / s2) + extra for each in theta]
    np.testing.assert_allclose(half.log_posterior(theta), expected, rtol=1e-10)


@pytest.mark.parametrize("family", ["gaussian", "student_t"])
@pytest.mark.parametrize("sigma", ["", ", sigma=TRUE"])
def test_known_standard_errors_by_hand(family, sigma):
    model = mb.model(f"y | se(s{sigma}) ~ 1", DATA, family, priors={"Intercept": "normal(0, 1)"})
    found, point = rows_density(model)
    intercept = model.spec.main.intercept
    mu = intercept.location + intercept.scale * point["Intercept_scaled"][0]
    scale = np.hypot(DATA["s"], np.exp(point["sigma_log__"]) if sigma else 0.0)
    if family == "gaussian":
        expected = stats.norm(mu, scale).logpdf(DATA["y"])
    else:
        nu = 1 + np.exp(point[next(name for name in point if name.startswith("nu"))])
        expected = stats.t(nu, mu, scale).logpdf(DATA["y"])
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_residual_beside_known_standard_errors_has_no_closed_form():
    assert why_not(mb.model("y | se(s) ~ x", DATA).spec) is None
    reason = why_not(mb.model("y | se(s, sigma=TRUE) ~ x", DATA).spec)
    assert "with a residual beside what se() says, variances differ from row to row" in reason
    with pytest.raises(mb.DataError, match="as many levels as there are rows"):
        mb.model("y | se(s, sigma=TRUE) ~ 1 + (1 | id)", DATA)
    with pytest.raises(mb.FamilyError, match=r"sigma has a formula, and se\(\) stands in its place"):
        mb.model("y | se(s) ~ x", DATA, sigma="~ x")
    with pytest.raises(mb.PriorError, match="sigma"):
        mb.model("y | se(s) ~ x", DATA, priors={"sigma": "exponential(1)"})


def test_with_known_errors_and_no_group_all_is_gaussian(seed):
    """Generalised least squares with a normal prior: exact draws, not by way of proposals."""
    priors = {"b[Intercept]": "normal(0, 2)", "b[x]": "normal(0, 1)"}
    fit = mb.fit("y | se(s) ~ x", DATA, priors=priors, method="collapsed", seed=seed)
    X, W = np.column_stack([np.ones(N), DATA["x"]]), np.diag(DATA["s"].to_numpy() ** -2.0)
    covariance = np.linalg.inv(X.T @ W @ X + np.diag([0.25, 1.0]))
    mean = covariance @ X.T @ W @ DATA["y"].to_numpy()
    draws = draws_by_address(fit)
    zero = (0.0, 0.0)
    expected = {
        name: (mean[j], np.sqrt(covariance[j, j]), *zero) for j, name in enumerate(("Intercept", "x"))
    }
    assert_draws_near({name: draws[name] for name in expected}, expected)
    assert "each from the posterior itself" in str(fit)
    rest = np.arange(4, N)
    S = lambda rows: np.diag(DATA["s"].to_numpy()[rows] ** 2) + X[rows] @ np.diag([4.0, 1.0]) @ X[rows].T  # noqa: E731
    y = DATA["y"].to_numpy()
    whole = stats.multivariate_normal(np.zeros(N), S(np.arange(N))).logpdf(y)
    without = stats.multivariate_normal(np.zeros(N - 4), S(rest)).logpdf(y[rest])
    closed = fit.loo(groups=DATA["g"]).pointwise["elpd"]
    assert closed.iloc[0] == pytest.approx(whole - without, rel=1e-9)


def test_equal_responses_of_known_errors_can_be_modelled():
    fit = mb.fit("y | se(s) ~ 1", DATA.assign(y=2.0), **FEW | {"tune": None})
    assert np.isfinite(fit.tidy()["estimate"]).all()


def test_eight_schools(seed):
    """In closed form, as posteriordb's reference draws have them: 10,000 of them."""
    cases = json.loads((Path(__file__).parent / "reference" / "posteriors.json").read_text())
    case = next(case for case in cases if case["dataset"] == "eight_schools")
    fit = mb.fit(
        case["formula"], mb.load_dataset("eight_schools"), priors=case["priors"], seed=seed, draws=2500
    )
    assert fit.idata["sample_stats"].attrs["mixedbayes_sampler"] == "collapsed"
    draws = draws_by_address(fit)
    expected = {}
    for name, (mean, sd) in case["posterior"].items():
        kurtosis = stats.kurtosis(draws[name], axis=None, fisher=False)
        expected[name] = (mean, sd, sd / 100, sd * np.sqrt((kurtosis - 1) / 4) / 100)
    assert_draws_near(draws, expected)


BOTH = "y | weights(w) + se(s) ~ x + (1 | g)"


@pytest.fixture(scope="module")
def fit():
    return mb.fit(BOTH, DATA, priors=PRIORS, seed=1, draws=500, progress=False)


def test_a_fit_says_what_stands_beside_its_response(fit):
    text = " ".join(str(fit).split())
    assert "weights(w) multiplies the log density of each row." in text
    assert "se(s) is the known standard error of each row." in text
    assert "sigma is not estimated: what is known stands in its place." in text
    assert "Links: mu = identity Formula" in text
    assert "multiplies the log density" in fit._repr_html_()
    model = mb.model("y | se(s, sigma=TRUE) ~ x", DATA)
    assert "se(s, sigma=True) is the known standard error of each row." in str(model)
    assert "sigma is not estimated" not in str(model)
    assert "sigma = identity" in str(model)


def test_tables_have_no_residual_that_is_known(fit):
    assert "sigma" not in set(fit.tidy("ran_pars")["term"])
    assert fit.tidy("ran_pars")["group"].unique().tolist() == ["g"]
    with pytest.raises(mb.ArgumentError, match="parameter is one of 'mu', not 'sigma'"):
        fit.predict(parameter="sigma")
    icc = fit.icc()["estimate"]
    posterior = fit.posterior["sd_g"].to_numpy()[..., 0].ravel() ** 2
    residual = np.mean(DATA["s"] ** 2)
    assert icc["g"] == pytest.approx(np.mean(posterior / (posterior + residual)), rel=1e-6)
    predictor = predictor_of(fit)
    f = predictor.mean(fit.spec.design.encoded)
    r2 = np.mean(f.var(axis=0, ddof=1) / (f.var(axis=0, ddof=1) + residual))
    assert fit.bayes_r2()["estimate"]["conditional"] == pytest.approx(r2, rel=1e-9)


@pytest.mark.parametrize("formula", [BOTH, "y | se(s, sigma=TRUE) ~ x"])
def test_a_file_has_what_stands_beside_the_response(fit, formula, tmp_path):
    made = fit if formula == BOTH else mb.fit(formula, DATA, method="nuts", **FEW)
    made.to_netcdf(tmp_path / "fit.nc")
    again = mb.load(tmp_path / "fit.nc")
    assert str(again) == str(made)
    for name, numbers in made.spec.design.response.additions.items():
        np.testing.assert_array_equal(again.spec.design.response.additions[name], numbers)
    pd.testing.assert_frame_equal(again.tidy(), made.tidy())
    assert again.dic().elpd == made.dic().elpd
    pd.testing.assert_frame_equal(
        again.predict(kind="response", seed=1), made.predict(kind="response", seed=1)
    )


def test_more_rows_bring_their_own_weights_and_errors(fit):
    """Their moments are added, and the density is that of all rows at once."""
    new = DATA.iloc[3:11].assign(g="new")
    grown = fit.update(new_rows=new)
    whole = collapse(grown.spec)
    kept = grown.engine.kept
    np.testing.assert_allclose(kept.total, whole.moments.total, rtol=1e-10)
    assert kept.n == pytest.approx(whole.moments.n) == pytest.approx(DATA["w"].sum() + new["w"].sum())
    assert kept.log_precision == pytest.approx(whole.moments.log_precision)
    with pytest.raises(mb.DataError, match="'w'"):
        fit.update(new_rows=new.drop(columns="w"))


def test_a_changed_formula_estimates_sigma_again(fit):
    plain = fit.update("y ~ .", priors={}, draws=100)
    assert plain.spec.residual == "sigma"
    back = plain.update("y | se(s) ~ .", data=DATA)
    assert back.spec.residual is None
    assert "sigma" not in back.posterior


def test_new_responses_need_their_errors_and_no_weights(fit):
    new = DATA[["x", "g"]]
    pd.testing.assert_frame_equal(fit.predict(new), fit.predict())
    with pytest.raises(mb.DataError, match="'s'"):
        fit.predict(new, kind="response")
    drawn = fit.predict(DATA[["x", "g", "s"]].assign(s=100.0), kind="response", seed=1)
    assert drawn["std_error"].between(70, 130).all()
    assert fit.simulate(2, DATA[["x", "g", "s"]], seed=1).shape == (N, 2)
    effects = fit.effects("x", kind="response", at={"s": 50.0}, seed=1)
    assert effects["std_error"].between(35, 65).all()


def test_replicates_and_residuals_have_the_known_errors_and_no_weights(fit):
    drawn = fit.predict(kind="response", draws=True, seed=1).to_numpy().reshape(-1, N)
    mean = fit.predict(draws=True).to_numpy().reshape(-1, N)
    noise = drawn - mean
    ess = len(noise)
    assert_near(noise.std(axis=0), DATA["s"], DATA["s"] / np.sqrt(2 * ess))
    pearson = fit.residuals("pearson")["estimate"]
    np.testing.assert_allclose(pearson, (DATA["y"] - mean.mean(axis=0)) / DATA["s"], rtol=1e-9)
    places = stats.norm(mean, DATA["s"].to_numpy()).cdf(DATA["y"].to_numpy()).mean(axis=0)
    np.testing.assert_allclose(fit.residuals("quantile")["estimate"], stats.norm.ppf(places), rtol=1e-6)
    assert "y" in fit.posterior_predictive()["posterior_predictive"]


@pytest.mark.filterwarnings("ignore::mixedbayes.ConvergenceWarning")
def test_fits_with_additions_can_be_looked_at(fit):
    for kind in ("density", "stat", "grouped", "calibration"):
        fit.pp_check(kind, by="g" if kind == "grouped" else None)
    fit.plot()


@pytest.mark.filterwarnings("ignore::mixedbayes.ConvergenceWarning")
def test_folds_and_groups_left_out_are_weighted(fit):
    """A fold is scored by a fit to the others: by the weighted density of its rows; zero where the weight is."""
    folds = fit.kfold(k=3, seed=1)
    loo = fit.loo()
    for found in (folds, loo, fit.waic(), fit.dic()):
        values = found.pointwise["elpd"].to_numpy()
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values[DATA["w"] == 0], 0.0, atol=1e-12)
    groups = fit.loo(groups="g").pointwise["elpd"]
    dense = collapse(fit.spec)
    assert len(groups) == 6
    assert np.isfinite(groups).all()
    assert dense.moments.n == DATA["w"].sum()


@pytest.mark.filterwarnings("ignore::mixedbayes.ConvergenceWarning")
def test_groups_left_out_by_refits_are_those_in_closed_form(fit):
    """By the masked model of NUTS, which the closed form takes the place of."""
    nuts = mb.fit(BOTH, DATA, priors=PRIORS, method="nuts", seed=2, progress=False, draws=500, chains=2)
    assert "y" in nuts.idata["observed_data"]
    out, without = np.flatnonzero(DATA["g"] == "g2"), nuts.engine.without(nuts.spec)
    values = [log_predictive(nuts, without(out, i), out, i)[0] for i in range(5)]
    expected = fit.update(priors=PRIORS, draws=4000).loo(groups="g").pointwise["elpd"].iloc[2]
    assert_near(np.mean(values), expected, np.std(values, ddof=1) / np.sqrt(5), df=4)


def test_an_addition_from_outside_goes_everywhere(monkeypatch, tmp_path):
    """Times of exposure: a record in each of two tables."""
    monkeypatch.setitem(
        ADDITIONS, "during", AdditionKind("times", "deviation", does="is how long was counted")
    )
    poisson, many = FAMILIES["poisson"], lambda p: p["mu"] * p.addition("during", 1.0)
    events = replace(
        poisson,
        name="events",
        additions=frozenset({"during"}),
        log_density=lambda y, p: y * p.maths.log(many(p)) - many(p) - p.maths.gammaln(y + 1.0),
        mean=many,
        variance=many,
        draw=lambda rng, p: rng.poisson(np.broadcast_to(many(p), p.shape)).astype(float),
        tails=None,
        pymc=None,
    )
    monkeypatch.setitem(FAMILIES, "events", events)
    fit = mb.fit("count | during(t) + weights(two) ~ x", DATA, "events", **FEW)
    assert "during(t) is how long was counted." in " ".join(str(fit).split())
    mu = fit.predict(draws=True, kind="mean").to_numpy().reshape(-1, N)
    expected = 2 * stats.poisson(mu * DATA["t"].to_numpy()).logpmf(DATA["count"].to_numpy())
    found = fit.idata["log_likelihood"]["count"].to_numpy().reshape(-1, N)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    fit.to_netcdf(tmp_path / "fit.nc")
    again = mb.load(tmp_path / "fit.nc")
    assert again.waic().elpd == fit.waic().elpd
    with pytest.raises(mb.DataError, match="'t'"):
        again.predict(DATA[["x"]], kind="response")
    long = again.predict(DATA[["x"]].assign(t=1e4), kind="response", seed=1)["estimate"]
    np.testing.assert_allclose(long, 1e4 * fit.predict()["estimate"], rtol=0.05)


def test_without_the_only_group_that_counts_the_prior_predicts():
    """The other rows have weight zero: what they leave is the density of the group by itself."""
    data = DATA.assign(w=np.where(DATA["g"] == "g1", 1.0, 0.0))
    spec = same_priors("y | weights(w) ~ x + (1 | g)", data).spec
    theta = points(spec)
    left = LeaveOut(collapse(spec), None, 1)
    vars(left)["theta"] = theta
    out = np.flatnonzero(data["w"])
    alone = collapse(spec.only(out)).log_posterior(theta)
    prior = collapse(spec).variances.at(theta).log_prior
    np.testing.assert_allclose(left.at_draws(out), alone - prior, rtol=1e-8)
    assert np.isfinite(left.exactly(out)[0])


def test_a_flat_prior_of_what_no_row_that_counts_tells_is_refused():
    data = DATA.assign(
        one=np.where(DATA["g"] == "g1", 0.0, 1.0), z=np.where(DATA["g"] == "g1", DATA["x"], 0.0)
    )
    flat = {"b[z]": "flat"}
    with pytest.raises(mb.PriorError, match=r"No row whose weight is above zero says what b\[z\] is"):
        mb.model("y | weights(one) ~ x + z", data, priors=flat)
    assert mb.model("y | weights(w) ~ x + z", data, priors=flat).spec.undetermined() == []
    fit = mb.fit("y | weights(two) ~ x + z", data, priors=flat, seed=1)
    with pytest.raises(mb.DataError, match=r"nothing says what b\[z\] is"):
        fit.loo(groups=data["g"])


@pytest.mark.slow
@pytest.mark.parametrize("formula", [BOTH, "y | weights(w) ~ x + (1 | g)", "y | se(s) ~ 1 + (x | g)"])
def test_the_methods_agree_with_each_other(formula, seed):
    model = mb.model(formula, DATA, priors=PRIORS)
    nuts = model.fit(method="nuts", seed=seed, draws=2500, target_accept=0.97, progress=False)
    assert_mixed(nuts)
    assert_same_posterior(model.fit(method="collapsed", seed=seed, draws=2500, progress=False), nuts)
