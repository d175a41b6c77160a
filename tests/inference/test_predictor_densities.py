"""Models whose family's other parameters have formulas: their density, priors and posteriors against oracles."""

import warnings

import numpy as np
import pandas as pd
import pytest
from lkj import correlation, lkj_logpdf, log_stretch
from monte_carlo import assert_likely, assert_near, degrees, errors
from scipy import stats
from scipy.special import expit

import mixedbayes as mb
from mixedbayes.inference.nuts.graph import build

RNG = np.random.default_rng(31)
N = 60
DATA = pd.DataFrame(
    {
        "x": RNG.normal(2.0, 1.5, N),
        "z": RNG.normal(-3.0, 0.5, N),
        "g": np.resize(list("abcdef"), N),
        "y": RNG.normal(10.0, 3.0, N),
        "count": RNG.poisson(4.0, N),
        "share": RNG.beta(2.0, 3.0, N),
    }
)
X, Z = DATA["x"].to_numpy(), DATA["z"].to_numpy()
XC, ZC = X - X.mean(), Z - Z.mean()
CODES = np.unique(DATA["g"], return_inverse=True)[1]


def random_point(model, seed):
    rng = np.random.default_rng(seed)
    return {
        name: np.asarray(start) + rng.normal(0, 0.3, np.shape(start))
        for name, start in model.initial_point().items()
    }


def constrained(values):
    found = {}
    for name, value in values.items():
        if name.endswith("_log__"):
            found[name.removesuffix("_log__")] = np.exp(value)
        elif name.endswith("_logodds__"):
            found[name.removesuffix("_logodds__")] = expit(value)
        else:
            found[name] = value
    return found


def coefficient(v, location, unit):
    """A coefficient sampled in its unit, and the log density of what is sampled under normal(location, 2.5 unit)."""
    value = location + unit * v
    return value, (stats.norm.logpdf(value, location, 2.5 * unit) + np.log(unit)).sum()


def correlated(sd, partial, q):
    """The factor of the effects' covariance, and the log density of the partial correlations on (0, 1) under lkj(2)."""
    w = 2 * partial - 1
    R = correlation(w, q)
    return np.diag(sd) @ np.linalg.cholesky(R), lkj_logpdf(R, 2.0) + log_stretch(w, q) + len(w) * np.log(2)


def predictor(point, name, x, location, s):
    """Intercept and slope of one predictor, at the mean of x, with their priors: shape (N,), log density."""
    before = "" if name == "mu" else f"{name}."
    a, first = coefficient(point[f"{before}Intercept_scaled"], location, s)
    b, second = coefficient(point[f"{before}slopes_scaled"], 0.0, s / x.std(ddof=1))
    return a + (x - x.mean()) * b, first + second


@pytest.mark.parametrize("seed", range(3))
def test_the_density_of_two_predictors_is_the_one_written_out(seed):
    model = build(mb.model("y ~ x + (x | g)", DATA, sigma="~ z + (1 | g)").spec)
    values = random_point(model, seed)
    p, y = constrained(values), DATA["y"].to_numpy()
    s = y.std(ddof=1)
    mu, total = predictor(p, "mu", X, y.mean(), s)
    log_sigma, more = predictor(p, "sigma", Z, np.log(s), 1.0)
    total += more
    F, density = correlated(p["centred_sd_g"], p["partial_g"], 2)
    total += density + stats.expon.logpdf(p["centred_sd_g"], scale=[s, s / X.std(ddof=1)]).sum()
    total += stats.norm.logpdf(p["z_g"]).sum() + stats.norm.logpdf(p["z_sigma.g"]).sum()
    total += stats.expon.logpdf(p["sd_sigma.g"], scale=1.0).sum()
    mu = mu + ((p["z_g"] @ F.T)[CODES] * np.column_stack([np.ones(N), XC])).sum(axis=1)
    log_sigma = log_sigma + (p["sd_sigma.g"] * p["z_sigma.g"])[CODES, 0]
    total += stats.norm.logpdf(y, mu, np.exp(log_sigma)).sum()
    logp = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    assert float(logp(values)) == pytest.approx(float(np.sum(total)), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_density_of_effects_that_are_correlated_across_predictors_is_the_one_written_out(seed):
    model = build(mb.model("y ~ x + (1 | p | g)", DATA, sigma="~ z + (z | p | g)").spec)
    values = random_point(model, seed)
    p, y = constrained(values), DATA["y"].to_numpy()
    s = y.std(ddof=1)
    mu, total = predictor(p, "mu", X, y.mean(), s)
    log_sigma, more = predictor(p, "sigma", Z, np.log(s), 1.0)
    F, density = correlated(p["centred_sd_g"], p["partial_g"], 3)
    total += more + density
    total += stats.expon.logpdf(p["centred_sd_g"], scale=[s, 1.0, 1.0 / Z.std(ddof=1)]).sum()
    total += stats.norm.logpdf(p["z_g"]).sum()
    effects = (p["z_g"] @ F.T)[CODES]
    mu = mu + effects[:, 0]
    log_sigma = log_sigma + effects[:, 1] + effects[:, 2] * ZC
    total += stats.norm.logpdf(y, mu, np.exp(log_sigma)).sum()
    logp = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    assert float(logp(values)) == pytest.approx(float(np.sum(total)), rel=1e-6)


def test_terms_under_a_label_are_the_model_of_one_term():
    options = {"seed": 1, "progress": False}
    labelled = mb.fit("y ~ x + (1 | p | g) + (0 + x | p | g)", DATA, **options)
    pd.testing.assert_frame_equal(labelled.summary(), mb.fit("y ~ x + (x | g)", DATA, **options).summary())
    assert "collapsed" in str(labelled)


def softened(v):
    return 1 + np.exp(v)


OTHERS = {
    "shape": (
        ("count ~ x", "negative_binomial", {"shape": "~ z"}),
        lambda y, eta, v: stats.nbinom.logpmf(y, np.exp(v["shape"]), 1 / (1 + np.exp(eta - v["shape"]))),
    ),
    "sigma and nu": (
        ("y ~ x", "student_t", {"sigma": "~ z", "nu": "~ z"}),
        lambda y, eta, v: stats.t.logpdf(y, softened(v["nu"]), eta, np.exp(v["sigma"])),
    ),
    "phi": (
        ("share ~ x", "beta", {"phi": "~ z"}),
        lambda y, eta, v: stats.beta.logpdf(y, expit(eta) * np.exp(v["phi"]), expit(-eta) * np.exp(v["phi"])),
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_the_likelihood_of_each_family_takes_its_parameters_row_by_row(case):
    (formula, family, sides), log_density = OTHERS[case]
    spec = mb.model(formula, DATA, family, **sides).spec
    model = build(spec)
    values = random_point(model, 2)
    observed = model[spec.response]
    logp = model.compile_logp(vars=[observed], jacobian=False, mode="FAST_COMPILE")
    names = [p.b for p in spec.predictors.values()]
    compute = model.compile_fn(
        model.replace_rvs_by_values([model[name] for name in names]),
        inputs=model.value_vars,
        on_unused_input="ignore",
        mode="FAST_COMPILE",
    )
    b = dict(zip(spec.predictors, compute(values), strict=True))
    v = {name: b[name][0] + b[name][1] * Z for name in sides}
    expected = log_density(spec.design.response.values, b["mu"][0] + b["mu"][1] * X, v).sum()
    assert float(logp(values)) == pytest.approx(expected, rel=1e-6)


def test_default_priors_of_another_predictor_are_the_same_after_a_shift_and_stretch_of_its_column():
    def priors(data):
        spec = mb.model("y ~ x", data, sigma="~ z * w + (z | g)").spec
        return {p.address: p.prior.arguments for p in spec.parameters}

    data = DATA.assign(w=X**2)
    first = priors(data)
    moved = priors(data.assign(z=data["z"] + 100.0))
    stretched = priors(data.assign(z=data["z"] * 10.0))
    assert list(first) == list(moved) == list(stretched)
    for address, arguments in first.items():
        np.testing.assert_allclose(moved[address], arguments, rtol=1e-6, err_msg=address)
        unit = 10.0 if ", z]" in address or "b[z" in address or "[z:" in address else 1.0
        by = np.array(arguments) * unit if "sd[" in address else np.array(arguments) / unit
        np.testing.assert_allclose(stretched[address], by, rtol=1e-6, err_msg=address)


def test_a_family_s_parameter_with_an_identity_link_has_priors_on_its_own_scale():
    spec = mb.model("y ~ x", DATA, link={"sigma": "identity"}, sigma="~ z").spec
    s = DATA["y"].std()
    found = {p.address: p.prior.arguments for p in spec.predictors["sigma"].parameters}
    np.testing.assert_allclose(found["sigma.Intercept"], (s, 2.5 * s))
    np.testing.assert_allclose(found["sigma.b[z]"], (0.0, 2.5 * s / Z.std(ddof=1)))


FIVE = "pqrst"
SDS = dict(zip(FIVE, (0.3, 0.7, 1.0, 2.0, 4.0), strict=True))


@pytest.mark.slow
def test_groups_with_a_sigma_each_are_as_many_separate_fits(seed):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(list(FIVE), 12)})
    data["y"] = 5.0 + data["g"].map(SDS) * rng.normal(size=len(data))
    priors = {"b": "normal(5, 3)", "sigma.b": "normal(0, 1)"}
    options = {"method": "nuts", "seed": seed, "progress": False}
    together = mb.fit("y ~ 0 + g", data, sigma="~ 0 + g", priors=priors, **options)
    alone = {
        level: mb.fit(
            "y ~ 1",
            data[data["g"] == level],
            sigma="~ 1",
            priors={"b[Intercept]": "normal(5, 3)", "sigma.b[Intercept]": "normal(0, 1)"},
            **options,
        )
        for level in FIVE
    }
    found, expected, error, names, df = [], [], [], [], []
    for j, level in enumerate(FIVE):
        for variable in ("b", "sigma.b"):
            one = together.posterior[variable].to_numpy()[..., j]
            other = alone[level].posterior[variable].to_numpy()[..., 0]
            for i, of in enumerate((np.mean, np.std)):
                found.append(of(one))
                expected.append(of(other))
                error.append(np.hypot(errors(one)[i], errors(other)[i]))
                df.append(min(degrees(one)[i], degrees(other)[i]))
                names.append(f"{of.__name__} of {variable} of {level}")
    assert_near(found, expected, error, names, df)


def assert_places_are_likely(fit, truth):
    """Hold each true value to the posterior's draws, beyond which it is no oftener than one of them."""
    below = [fit.hypothesis(f"{name} < {value}")["probability"].item() for name, value in truth.items()]
    least = 1 / fit.posterior["b"][..., 0].size  # of draws, none beyond tells no more than this
    p = 2 * np.maximum(np.minimum(below, np.subtract(1, below)), least)
    assert_likely(p, list(truth))


@pytest.mark.slow
def test_simulated_truth_is_recovered(seed):
    """The truth is a draw from the priors, so that its place among the posterior's draws is uniform."""
    rng = np.random.default_rng([seed, 5])
    groups, n = 15, 20
    g = np.repeat(np.arange(groups), n)
    x = rng.normal(size=len(g))
    truth = {
        "b[Intercept]": rng.normal(0, 1),
        "b[x]": rng.normal(0, 1),
        "sigma.b[Intercept]": rng.normal(0, 0.5),
        "sigma.b[x]": rng.normal(0, 0.5),
        "sd[g]": rng.exponential(1),
        "sigma.sd[g]": rng.exponential(0.5),
    }
    u, v = truth["sd[g]"] * rng.normal(size=groups), truth["sigma.sd[g]"] * rng.normal(size=groups)
    mu = truth["b[Intercept]"] + truth["b[x]"] * x + u[g]
    sigma = np.exp(truth["sigma.b[Intercept]"] + truth["sigma.b[x]"] * x + v[g])
    data = pd.DataFrame({"x": x, "g": g, "y": mu + sigma * rng.normal(size=len(g))})
    priors = {
        "b[Intercept]": "normal(0, 1)",
        "b[x]": "normal(0, 1)",
        "sigma.b[Intercept]": "normal(0, 0.5)",
        "sigma.b[x]": "normal(0, 0.5)",
        "sd[g]": "exponential(1)",
        "sigma.sd[g]": "exponential(2)",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.ConvergenceWarning)
        fit = mb.fit("y ~ x + (1 | g)", data, sigma="~ x + (1 | g)", priors=priors, seed=seed, progress=False)
    assert_places_are_likely(fit, truth)


@pytest.mark.slow
def test_simulated_correlations_across_predictors_are_recovered(seed):
    """The truth is a draw from the priors, so that its place among the posterior's draws is uniform."""
    rng = np.random.default_rng([seed, 6])
    groups, n = 30, 12
    g = np.repeat(np.arange(groups), n)
    rho = 2 * rng.beta(2, 2) - 1  # of two effects lkj(2)
    truth = {
        "b[Intercept]": rng.normal(0, 1),
        "sigma.b[Intercept]": rng.normal(0, 0.5),
        "sd[g, Intercept]": rng.exponential(1),
        "sd[g, sigma.Intercept]": rng.exponential(0.5),
        "cor[g, Intercept, sigma.Intercept]": rho,
    }
    sd = np.array([truth["sd[g, Intercept]"], truth["sd[g, sigma.Intercept]"]])
    effects = rng.normal(size=(groups, 2)) @ np.linalg.cholesky([[1, rho], [rho, 1]]).T * sd
    mu, log_sigma = (np.array([truth["b[Intercept]"], truth["sigma.b[Intercept]"]]) + effects)[g].T
    data = pd.DataFrame({"g": g, "y": mu + np.exp(log_sigma) * rng.normal(size=len(g))})
    priors = {
        "b[Intercept]": "normal(0, 1)",
        "sigma.b[Intercept]": "normal(0, 0.5)",
        "sd[g, Intercept]": "exponential(1)",
        "sd[g, sigma.Intercept]": "exponential(2)",
        "cor[g]": "lkj(2)",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.ConvergenceWarning)
        fit = mb.fit("y ~ (1 | p | g)", data, sigma="~ (1 | p | g)", priors=priors, seed=seed, progress=False)
    assert_places_are_likely(fit, truth)


def test_no_pooling_with_own_residuals_runs_and_prints():
    sleepstudy = mb.load_dataset("sleepstudy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.ConvergenceWarning)
        fit = mb.fit(
            "Reaction ~ 0 + Subject + Subject:Days",
            sleepstudy,
            sigma="~ 0 + Subject",
            chains=2,
            draws=50,
            tune=200,
            seed=1,
            progress=False,
        )
    text = str(fit)
    assert "Formula: Reaction ~ 0 + Subject + Subject:Days; sigma ~ 0 + Subject" in text
    rows = {section.title: section.rows for section in fit.report.sections}
    subjects = [f"Subject[{label}]" for label in sleepstudy["Subject"].unique()]
    assert [label for label, *_ in rows["Population-level effects of sigma"]] == subjects
    sigmas = fit.predict(parameter="sigma")["estimate"].groupby(sleepstudy["Subject"]).agg(["min", "max"])
    np.testing.assert_allclose(sigmas["min"], sigmas["max"])
    by_hand = np.exp(fit.posterior["sigma.b"].to_numpy()).mean(axis=(0, 1))
    np.testing.assert_allclose(sigmas["min"], by_hand)
