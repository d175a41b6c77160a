"""The collapsed density, its gradient and its draws, against dense matrices and SciPy."""

import dense_gaussian
import numpy as np
import pandas as pd
import pytest
from gaussian_cases import DATA, FORMULAS, ONE_LEVEL, PRIORS, WEIGHTS
from monte_carlo import assert_near
from scipy import linalg, stats

import mixedbayes as mb
from mixedbayes.designs import build
from mixedbayes.designs.levels import find_all_levels
from mixedbayes.inference.gaussian import collapsed, dense, elimination, rows
from mixedbayes.inference.gaussian.prior_densities import LOG_DENSITIES, LOG_MASS_ABOVE_ZERO
from mixedbayes.inference.gaussian.sample import collapse, why_not
from mixedbayes.models.distributions import DISTRIBUTIONS

SHAPES = FORMULAS | ONE_LEVEL


@pytest.fixture(params=["small", "large root", "levels in pieces", "no products"])
def path(request, monkeypatch):
    """Each way through the linear algebra, whatever the size of the problem."""
    if request.param == "large root":
        for module in (dense, collapsed):
            monkeypatch.setattr(module, "SMALL", 3)
    if request.param == "levels in pieces":
        monkeypatch.setattr(collapsed, "AT_ONCE", 2 * collapsed.LEAST_AT_ONCE)
    if request.param == "no products":
        monkeypatch.setattr(collapsed, "MAX_DENSE", 0)
    return request.param


def density_of(formula, precisions=None, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "find_levels", find_all_levels)  # one level too, as smooths will have
        if precisions is not None:
            patch.setattr(rows, "additions_of", lambda _: rows.Additions(None, precisions))
        return collapse(mb.model(formula, DATA, **options).spec)


def points(density, n, spread=0.7, seed=1):
    """Thetas around a start, shape (n, d)."""
    start = density.variances.start({})
    return start + np.random.default_rng(seed).normal(0, spread, (n, len(start)))


def assert_is_dense(density, theta, weights=None):
    values = density.log_posterior(theta)
    expected = [dense_gaussian.log_posterior(density.variances, each, weights) for each in theta]
    np.testing.assert_allclose(values, expected, rtol=1e-8)


def assert_slope(density, theta):
    """The gradient equals central differences."""
    values, slopes = density.log_posterior_and_gradient(theta)
    np.testing.assert_allclose(values, density.log_posterior(theta), rtol=1e-12)
    h = 1e-5
    for each, slope, value in zip(theta, slopes, values, strict=True):
        rounding = 10 * np.finfo(float).eps * abs(value) / h  # of the differences
        moves = h * np.eye(len(each))
        differences = (density.log_posterior(each + moves) - density.log_posterior(each - moves)) / (2 * h)
        np.testing.assert_allclose(slope, differences, rtol=1e-6, atol=1e-6 + rounding)


COORDINATES = {
    ("y ~ x + (x | g)", ""): ["centred.sd[g, Intercept]", "sd[g, x]", "partial[g, Intercept, x]", "sigma"],
    ("y ~ x + (x || g) + (1 | h)", ""): ["sd[g, Intercept]", "sd[g, x]", "sd[h, Intercept]", "sigma"],
    ("y ~ x + w + (1 | g) + (0 + x + w | g)", ""): [
        *("sd[g, Intercept]", "sd[g.2, x]", "sd[g.2, w]", "partial[g.2, x, w]", "sigma"),
    ],
    ("y ~ x + w + (x + w | g)", "hyperpriors"): [
        *("prior[b, mu]", "prior[b, sigma]", "prior[cor, eta]", "prior[sd, sigma]", "prior[sigma, upper]"),
        *("sd[g, Intercept]", "sd[g, x]", "sd[g, w]"),
        *("partial[g, Intercept, x]", "partial[g, Intercept, w]", "partial[g, x, w]", "sigma"),
    ],
}


@pytest.mark.parametrize(("formula", "priors"), COORDINATES)
def test_coordinates_are_named_after_parameters(formula, priors):
    density = density_of(formula, priors=PRIORS.get(priors))
    names, hyper = density.variances.names, len(density.variances.spec.hyper)
    assert [*sorted(names[:hyper]), *names[hyper:]] == COORDINATES[formula, priors]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_density_is_the_dense_one_and_has_its_gradient(name, weights, path):
    density = density_of(SHAPES[name], weights)
    theta = points(density, 3)
    assert_is_dense(density, theta, weights)
    assert_slope(density, theta)


@pytest.mark.parametrize("formula", ["y ~ x + w + (x | g)", "y ~ x + w + (x | g) + (1 | h)"])
@pytest.mark.parametrize("name", PRIORS)
def test_any_prior_of_the_variances_is_in_the_density(name, formula):
    density = density_of(formula, priors=PRIORS[name])
    theta = points(density, 2, spread=0.4)
    assert_is_dense(density, theta)
    assert_slope(density, theta)


def test_the_table_of_densities_is_that_of_the_priors():
    assert set(LOG_DENSITIES) == set(DISTRIBUTIONS) - {"lkj"}
    below_zero = {name for name, known in DISTRIBUTIONS.items() if known.support.lower < 0}
    cannot = {"lkj", "skew_normal"}  # the model refuses to cut these
    assert set(LOG_MASS_ABOVE_ZERO) == below_zero - cannot


def test_which_path_is_which(monkeypatch):
    """The parametrised paths above are taken."""
    nested, crossed = density_of(FORMULAS["nested thrice, with slopes"]), density_of(FORMULAS["crossed"])
    assert (len(nested.stages), len(nested.crossed), nested.m) == (3, 0, 2)
    assert (len(crossed.stages), len(crossed.crossed), crossed.m) == (1, 1, 5)
    assert crossed.products.are_sparse
    one = density_of(FORMULAS["q = 2"])
    assert len(one.pieces) == 1
    monkeypatch.setattr(collapsed, "AT_ONCE", 2 * collapsed.LEAST_AT_ONCE)
    assert len(density_of(FORMULAS["q = 2"]).pieces) == 3
    monkeypatch.setattr(collapsed, "MAX_DENSE", 0)
    assert density_of(FORMULAS["q = 2"]).products is None


@pytest.mark.parametrize("crossed", ["", " + (1 | h)"])
def test_a_factor_of_one_level_is_in_the_root_and_not_a_parent(crossed):
    """As a parent of L levels its q effects would be passed up from each of them, q x q x L numbers a theta."""
    columns = " + ".join(f"I(x^{k})" for k in range(2, 6))
    density = density_of(f"y ~ x + ({columns} | all) + (1 | all:school) + (1 | all:school:klass){crossed}")
    levels = [len(density.moments.levels[i]) for i in density.crossed]
    assert min(levels) == 1
    assert [stage.own.shape[-1] for stage in density.stages] == ([15] if crossed else [15, 5])
    assert (density.coupling is None) == (not crossed)


@pytest.mark.parametrize(
    ("name", "shift"),
    [
        ("sds near zero", {"centred.sd[g, Intercept]": -20.0, "sd[g, x]": -18.0}),
        ("sds enormous", {"centred.sd[g, Intercept]": 9.0, "sd[g, x]": 9.0}),
        ("sigma near zero", {"sigma": -4.0}),
        ("correlations near one", {"partial[g, Intercept, x]": 9.0}),
        ("correlations near minus one", {"partial[g, Intercept, x]": -9.0}),
    ],
)
@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)", "y ~ x + (x | g) + w + (w | h)"]
)
def test_the_density_at_the_edges_is_the_dense_one(formula, name, shift, path):
    density = density_of(formula)
    theta = points(density, 2, spread=0.1)
    for address, value in shift.items():
        theta[:, density.variances.names.index(address)] = value
    assert_is_dense(density, theta)
    assert_slope(density, theta)


def test_many_thetas_are_as_one_by_one(path):
    density = density_of(FORMULAS["crossed, slopes everywhere"])
    theta = points(density, 40)
    one_by_one = [density.log_posterior(each[None])[0] for each in theta]
    np.testing.assert_allclose(density.log_posterior(theta), one_by_one, rtol=1e-12)


@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (1 | g) + (x | h)"])
def test_a_theta_beyond_computing_has_no_density_and_spoils_no_other(formula, path):
    density = density_of(formula)
    theta = points(density, 3)
    theta[1] = 1e4
    values = density.log_posterior(theta)
    assert values[1] == -np.inf
    np.testing.assert_allclose(values[[0, 2]], density.log_posterior(theta[[0, 2]]), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in SHAPES if "residual" not in name])
def test_draws_are_from_the_dense_conditional(name, path, seed):
    """Coefficients and all effects given theta: means and covariances within Monte Carlo error."""
    density = density_of(SHAPES[name])
    n = 6000
    theta = np.repeat(points(density, 1, spread=0.3), n, axis=0)
    kept = np.arange(n) % 3 == 0
    rng = np.random.default_rng([5, seed])
    drawn = density.draw(density.solve(theta), rng)
    part = density.draw(density.solve(theta), rng, kept)
    mean, covariance = conditional(density, theta[0])
    v = np.concatenate([drawn.coefficients, *(u.reshape(n, -1) for u in drawn.effects)], axis=1)
    variances = np.diag(covariance)
    assert_near(v.mean(axis=0), mean, np.sqrt(variances / n))
    # each product of two deviations has variance C_ii C_jj + C_ij^2
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert_near((v - mean).T @ (v - mean) / n, covariance, error)
    # of some only their number, and the moments of all are those of the conditional
    p = len(density.flat)
    assert [len(u) for u in part.effects] == [kept.sum()] * len(part.effects)
    for u, sums, at in zip(
        part.effects, part.sums, np.cumsum([p, *(u[0].size for u in drawn.effects)]), strict=False
    ):
        size = u[0].size
        average = sums[0].ravel() / n
        variance = sums[2].ravel() / n + sums[1].ravel() / n
        exact = variances[at : at + size]
        assert_near(average, mean[at : at + size], np.sqrt(exact / n))
        assert_near(variance, exact, exact * np.sqrt(2 / n))


def conditional(density, theta):
    """The mean and covariance of (coefficients, effects) at zero given theta, by dense matrices."""
    variances, spec = density.variances, density.variances.spec
    design, point = spec.design, variances.at(theta[None])
    X, T = dense_gaussian.at_means(design.fixed.X, variances.coefficients)
    to_zero = [T]
    parts, prior = [X], [point.scale[:, 0] ** 2]
    means = [point.location[:, 0]]
    covariances = [np.diag(prior[0])]
    for group in density.moments.groups:
        blocks = [i for i, block in enumerate(spec.blocks) if block.block.group == group]
        L = len(spec.blocks[blocks[0]].block.levels)
        Z = np.zeros((design.n, L, sum(len(spec.blocks[i].sds) for i in blocks)))
        codes = spec.blocks[blocks[0]].block.codes
        taken = [dense_gaussian.at_means(spec.blocks[i].block.X, spec.blocks[i].sds) for i in blocks]
        Z[np.arange(design.n), codes] = np.column_stack([X for X, _ in taken])
        to_zero.append(np.kron(np.eye(L), linalg.block_diag(*(T for _, T in taken))))
        parts.append(Z.reshape(design.n, -1))
        q = Z.shape[2]
        C, start = np.zeros((q, q)), 0
        for i in blocks:
            F = point.factors[i][..., 0]
            C[start : start + len(F), start : start + len(F)] = np.diag(F**2) if F.ndim == 1 else F @ F.T
            start += len(F)
        covariances.append(np.kron(np.eye(L), C))
        means.append(np.zeros(L * q))
    A, m0 = np.column_stack(parts), np.concatenate(means)
    sizes = np.cumsum([0, *(len(C) for C in covariances)])
    P = np.zeros((sizes[-1], sizes[-1]))
    for C, start in zip(covariances, sizes, strict=False):
        P[start : start + len(C), start : start + len(C)] = C
    sigma2 = point.sigma[0] ** 2
    marginal = A @ P @ A.T + sigma2 * np.eye(design.n)
    gain = np.linalg.solve(marginal, A @ P).T
    y = design.response.values - design.offset  # noqa: PD011
    T = linalg.block_diag(*to_zero)
    return T @ (m0 + gain @ (y - A @ m0)), T @ (P - gain @ A @ P) @ T.T


@pytest.mark.parametrize(
    ("formula", "options", "reason"),
    [
        ("y ~ x + (1 | g)", {}, None),
        ("y ~ x + (1 | g)", {"priors": {"b": "flat", "sd": "cauchy(0, 1)"}}, None),
        (
            "y ~ x + (1 | g)",
            {"priors": {"b[x]": "student_t(3, 0, 1)"}},
            "the prior of b[x] is neither normal nor flat",
        ),
        (
            "y ~ x + (1 | g)",
            {"priors": {"Intercept": "cauchy(0, 1)"}},
            "the prior of Intercept is neither normal nor flat",
        ),
        ("k ~ x + (1 | g)", {"family": "poisson"}, "the poisson family has no closed form"),
        ("y ~ x + (1 | g)", {"link": "log"}, "with the log link there is no closed form"),
    ],
)
def test_a_model_without_a_closed_form_says_why(formula, options, reason):
    assert why_not(mb.model(formula, DATA.assign(y=DATA["y"] + 10), **options).spec) == reason


def test_eliminating_two_effects_has_the_same_form_as_any_number():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(2, 7, 5))
    own = np.einsum("anl,bnl->abl", Z, Z)[:, :, None]
    own[..., 0] = np.einsum("a,b->ab", Z[:, 0, 0], Z[:, 0, 0])[..., None]  # a level with one row
    F = np.tril(rng.normal(size=(3, 2, 2))).transpose(1, 2, 0)[..., None]
    sigma = np.array([0.5, 1.0, 2.0])
    fast, general = (way(own, own, F, sigma) for way in (elimination.conditional, elimination.eliminate))
    for name in ("V", "log_det"):
        np.testing.assert_allclose(getattr(fast, name), getattr(general, name), rtol=1e-12)
    squares = np.einsum("ka...,kb...->ab...", fast.half, fast.half)
    np.testing.assert_allclose(squares, general.V, rtol=1e-10, atol=1e-14)


def test_numbers_far_from_zero_lose_no_digits():
    """A response around a million with a residual of 3: sums of squares about zero would keep four digits."""
    far = DATA.assign(y=DATA["y"] + 1e6, x=DATA["x"] + 1e5)
    density = collapse(mb.model("y ~ x + (1 | g)", far).spec)
    assert_is_dense(density, points(density, 2))


def test_scipy_knows_the_density_of_a_one_way_layout():
    """A balanced one-way layout: group means and residuals are independent, in closed form."""
    L, n = 8, 5
    rng = np.random.default_rng(2)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(L), n), "y": rng.normal(size=L * n) + np.repeat(rng.normal(size=L), n)}
    )
    density = collapse(mb.model("y ~ 0 + (1 | g)", data, priors={"sd": "flat", "sigma": "flat"}).spec)
    theta = np.array([[0.3, -0.2], [-1.0, 0.4]])
    tau, sigma = np.exp(theta).T
    means = data.groupby("g")["y"].mean().to_numpy()
    inside = data["y"].to_numpy() - np.repeat(means, n)
    expected = [
        stats.norm(0, np.sqrt(t**2 + s**2 / n)).logpdf(means).sum()
        - 0.5 * np.sum(inside**2) / s**2
        - 0.5 * L * (n - 1) * np.log(2 * np.pi * s**2)
        - 0.5 * L * np.log(n)
        + np.log(t * s)
        for t, s in zip(tau, sigma, strict=True)
    ]
    np.testing.assert_allclose(density.log_posterior(theta), expected, rtol=1e-10)
