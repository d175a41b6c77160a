"""Posteriors of families that no closed form has: against quadrature on a grid, simulated truth, and each other."""

import numpy as np
import pandas as pd
import pytest
from monte_carlo import (
    assert_draws_near,
    assert_mixed,
    assert_near,
    assert_same_posterior,
    draws_by_address,
)
from scipy import optimize, special, stats

import mixedbayes as mb

SAMPLING = {"method": "nuts", "progress": False}
MODELS = {
    "student_t": ("y ~ 1", ("sigma", "nu")),
    "negative_binomial": ("y ~ x", ("shape",)),
    "beta": ("y ~ x", ("phi",)),
}
DISTRIBUTIONS = {
    "normal": stats.norm,
    "exponential": lambda beta: stats.expon(scale=1 / beta),
    "gamma": lambda alpha, beta: stats.gamma(alpha, scale=1 / beta),
    "inv_gamma": lambda alpha, beta: stats.invgamma(alpha, scale=beta),
}


def table_of(family, rng, groups=1, each=40):
    """Rows with the truth that they were drawn from."""
    g = np.repeat(np.arange(groups), each)
    x = rng.normal(size=len(g))
    truth = {"Intercept": 0.4, "x": 0.6, "sd[g, Intercept]": 0.5}
    eta = truth["Intercept"] + truth["x"] * x + (rng.normal(0, 0.5, groups)[g] if groups > 1 else 0.0)
    if family == "student_t":
        truth |= {"sigma": 0.7, "nu": 4.0}
        y = eta + 0.7 * rng.standard_t(4, len(g))
    elif family == "negative_binomial":
        truth |= {"shape": 2.0}
        y = rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta)))
    else:
        truth |= {"phi": 8.0}
        mu = special.expit(eta)
        y = rng.beta(8 * mu, 8 * (1 - mu)).clip(1e-6, 1 - 1e-6)
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]}), truth


FLAT = 1e7
"""A shape from which on a negative binomial is a Poisson distribution, to a ten-millionth of its mean squared."""


def log_likelihood(family, y, eta, own):
    """By SciPy, summed over the last axis."""
    if family == "student_t":
        density = stats.t.logpdf(y, own["nu"], eta, own["sigma"])
    elif family == "negative_binomial":
        mu, shape = np.exp(eta), own["shape"]
        # SciPy's loses its digits where the probability is all but one, and there it is Poisson's to as many
        density = stats.nbinom.logpmf(y, np.minimum(shape, FLAT), 1 / (1 + mu / np.minimum(shape, FLAT)))
        density = np.where(shape < FLAT, density, stats.poisson.logpmf(y, mu))
    else:
        mu = special.expit(eta)
        density = stats.beta.logpdf(y, mu * own["phi"], (1 - mu) * own["phi"])
    return density.sum(axis=-1)


def by_quadrature(spec, table, points=61, reach=9.0):
    """Means and standard deviations of coefficients and of the logs of the family's own parameters.

    The trapezoidal rule about the mode, in units of the curvature there, as far as anything is left.
    """
    family, main = spec.family.name, spec.main
    X = main.centring.columns(spec.design.fixed.X)
    k = X.shape[1]
    lowers = [p.support.lower for p in spec.auxiliary]

    def log_posterior(u):
        """Of u, shape (..., parameters): coefficients at the means, then log(parameter - lower)."""
        own = {
            p.address: (lower + np.exp(u[..., k + i]))[..., None]
            for i, (p, lower) in enumerate(zip(spec.auxiliary, lowers, strict=True))
        }
        total = log_likelihood(family, table["y"].to_numpy(), u[..., :k] @ X.T, own)
        for j, p in enumerate(main.parameters):
            total = total + DISTRIBUTIONS[p.prior.distribution](*p.prior.arguments).logpdf(u[..., j])
        for i, p in enumerate(spec.auxiliary):
            prior = DISTRIBUTIONS[p.prior.distribution](*p.prior.arguments)
            total = total + prior.logpdf(own[p.address][..., 0]) + u[..., k + i]
        return total

    start = np.concatenate([[p.location for p in main.parameters], np.zeros(len(lowers))])
    found = optimize.minimize(
        lambda u: -log_posterior(u), start, method="Nelder-Mead", options={"maxiter": 9999}
    )
    units = [curvature(log_posterior, found.x, j) for j in range(len(start))]
    to = np.r_[np.full(k, reach), np.full(len(lowers), 3 * reach)]  # logarithms have a long tail above
    axes = [
        x + unit * np.arange(-reach, end, 2 * reach / points)
        for x, unit, end in zip(found.x, units, to, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    log = np.concatenate([log_posterior(part[None]) for part in grid])
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    for axis in range(len(axes)):  # nothing is left at the ends
        of_axis = weights.sum(axis=tuple(a for a in range(len(axes)) if a != axis))
        assert max(of_axis[0], of_axis[-1]) < 1e-5
    values = np.moveaxis(grid, -1, 0)
    b = np.einsum("jk,k...->j...", main.centring.to_zero, values[:k])
    quantities = dict(zip(main.linear.fixed.columns, b, strict=True))
    quantities |= {
        p.address: np.log(lower + np.exp(values[k + i]))
        for i, (p, lower) in enumerate(zip(spec.auxiliary, lowers, strict=True))
    }
    expected = {}
    for name, value in quantities.items():
        mean = (weights * value).sum()
        expected[name] = (mean, np.sqrt((weights * (value - mean) ** 2).sum()), 0.0, 0.0)
    return expected


def curvature(log_posterior, mode, j, step=1e-2):
    """The standard deviation that a normal with that curvature would have; a little of it for what is skew."""
    around = np.stack([mode + step * (np.arange(len(mode)) == j) * sign for sign in (-1, 0, 1)])
    below, at, above = log_posterior(around)
    return 1 / np.sqrt(max((2 * at - below - above) / step**2, 0.25))


@pytest.mark.slow
@pytest.mark.parametrize("family", MODELS)
def test_draws_are_from_the_posterior_that_quadrature_finds(family, seed):
    formula, logged = MODELS[family]
    table, _ = table_of(family, np.random.default_rng(seed))
    fit = mb.fit(formula, table, family, seed=seed, draws=2000, **SAMPLING)
    draws = {name: np.log(x) if name in logged else x for name, x in draws_by_address(fit).items()}
    assert_draws_near(draws, by_quadrature(fit.spec, table))


@pytest.mark.slow
@pytest.mark.parametrize("family", MODELS)
def test_what_data_were_simulated_with_is_recovered(family, seed):
    table, truth = table_of(family, np.random.default_rng(1000 + seed), groups=40, each=15)
    fit = mb.fit("y ~ x + (1 | g)", table, family, seed=seed, **SAMPLING)
    assert_mixed(fit)
    draws = draws_by_address(fit)
    # on the scale on which a posterior is about normal
    to = {name: (lambda x: x) if name in ("Intercept", "x") else np.log for name in truth}
    found = {name: to[name](draws[name]) for name in truth}
    distance = [(found[name].mean() - to[name](truth[name])) / found[name].std() for name in truth]
    assert_near(distance, 0, 1, list(truth))


# lognormal -------------------------------------------------------------------------------------------------


def lognormal_table(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(12), 8)
    x = rng.normal(size=96)
    y = np.exp(1.0 + 0.5 * x + rng.normal(0, 0.6, 12)[g] + rng.normal(0, 0.4, 96))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i}" for i in g]})


@pytest.fixture(scope="module")
def pair(seed):
    table = lognormal_table(seed)
    one = mb.fit("y ~ x + (1 + x | g)", table, "lognormal", seed=seed, progress=False)
    other = mb.fit("log(y) ~ x + (1 + x | g)", table, seed=seed, progress=False)
    return table, one, other


def test_a_lognormal_model_is_the_gaussian_one_of_the_logarithm(pair):
    _, one, other = pair
    assert "collapsed" in str(one)
    for table in ("tidy", "fixef", "ranef", "coef", "varcorr"):
        pd.testing.assert_frame_equal(getattr(one, table)(), getattr(other, table)())
    assert [p.prior for p in one.spec.parameters] == [p.prior for p in other.spec.parameters]
    pd.testing.assert_frame_equal(one.icc(), other.icc())
    linear = {"kind": "linear", "seed": 1}
    pd.testing.assert_frame_equal(one.predict(**linear), other.predict(**linear))
    pd.testing.assert_frame_equal(one.residuals("quantile"), other.residuals("quantile"), rtol=1e-6)


@pytest.mark.parametrize(
    "of",
    [
        lambda fit: fit.loo().elpd,
        lambda fit: fit.waic().elpd,
        lambda fit: fit.loo(groups="g").elpd,
        lambda fit: fit.kfold(4, seed=1).elpd,
        lambda fit: fit.kfold(groups="g", seed=1).elpd,
        lambda fit: fit.dic().elpd,
    ],
    ids=["loo", "waic", "loo by groups", "kfold", "kfold by groups", "dic"],
)
def test_its_densities_are_the_gaussian_ones_and_the_jacobian(pair, of):
    table, one, other = pair
    assert of(one) == pytest.approx(of(other) - np.log(table["y"]).sum(), rel=1e-9)


def test_its_predictions_are_on_the_scale_of_the_response(pair):
    table, one, other = pair
    eta = other.predict(table, kind="linear", draws=True)
    sigma = other.posterior["sigma"].sel(draw=eta["draw"])
    mean = np.exp(eta + sigma**2 / 2)
    np.testing.assert_allclose(one.predict(table)["estimate"], mean.mean(("chain", "draw")), rtol=1e-9)
    ours, theirs = (fit.predict(table, kind="response", seed=1, draws=True) for fit in (one, other))
    np.testing.assert_allclose(ours, np.exp(theirs), rtol=1e-9)


@pytest.mark.slow
def test_both_engines_draw_from_its_posterior(seed):
    table = lognormal_table(seed)
    fits = [
        mb.fit("y ~ x + (1 | g)", table, "lognormal", seed=seed, method=method, progress=False)
        for method in ("collapsed", "nuts")
    ]
    assert_same_posterior(*fits)
