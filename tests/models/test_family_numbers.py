"""Each family in numbers, through each of its links: against SciPy's distributions, mpmath's digits and PyMC's own."""

import mpmath
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from monte_carlo import assert_near
from scipy import stats
from scipy.special import expit, ndtr

from mixedbayes.errors import FamilyError
from mixedbayes.inference.nuts.maths import GRAPHS
from mixedbayes.models.families import FAMILIES, find_family
from mixedbayes.models.links import LINKS
from mixedbayes.models.maths import ARRAYS, JETS, Jet, log_rising
from mixedbayes.models.values import FromPredictor, Values

ETA = np.linspace(-2.5, 2.4, 7)[:, None] + np.array([0.0, 0.3])
TRIALS = np.array([1.0, 2, 5, 9, 12, 30, 3])[:, None]
OTHERS = {
    "sigma": np.array([0.7, 2.0]),
    "nu": np.array([3.5, 40.0]),
    "shape": np.array([0.4, 7.0]),
    "phi": np.array([0.9, 20.0]),
}
MEANS = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logm1": lambda eta: 1 + np.exp(eta),
    "logit": lambda eta: 1 / (1 + np.exp(-eta)),
    "probit": ndtr,
    "cloglog": lambda eta: 1 - np.exp(-np.exp(eta)),
}
PEERS = {
    "gaussian": stats.norm,
    "student_t": lambda mu, sigma, nu: stats.t(nu, mu, sigma),
    "lognormal": lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu)),
    "bernoulli": stats.bernoulli,
    "binomial": lambda mu: stats.binom(TRIALS.astype(int), mu),
    "poisson": stats.poisson,
    "negative_binomial": lambda mu, shape: stats.nbinom(shape, shape / (shape + mu)),
    "beta": lambda mu, phi: stats.beta(mu * phi, (1 - mu) * phi),
}
WHERE = {
    "real": (-9.3, 0.0, 1.7, 30.0),
    "positive": (-1.0, 0.0, 1e-3, 1.7, 90.0),
    "share": (-0.5, 1e-4, 0.3, 0.98, 1.5),
    "binary": (-1.0, 0.0, 1.0, 2.0),
    "count": (-1.0, 0.0, 1.0, 7.0, 60.0),
    "successes": (-1.0, 0.0, 1.0, 2.0, 7.0),
}
"""Responses, possible and impossible ones."""
CASES = [(family, link) for family in FAMILIES for link in FAMILIES[family].links]
BY_PARAMETER = [
    (family.name, parameter.name, link)
    for family in FAMILIES.values()
    for parameter in family.parameters
    for link in parameter.links
]


def eta_of(family, link):
    """Where the mean is one that the family can have."""
    return np.abs(ETA) if family in ("poisson", "negative_binomial") and link == "identity" else ETA


def values_of(family, link, eta, maths=ARRAYS, **others):
    record, its_link = find_family(family, link)
    own = {p.name: {**OTHERS, **others}[p.name] for p in record.others}
    return Values(
        maths,
        {"mu": FromPredictor(its_link, eta), **own},
        {"trials": TRIALS} if "trials" in record.additions else {},
    )


def peer_of(family, link, eta):
    return PEERS[family](MEANS[link](eta), *(OTHERS[p.name] for p in FAMILIES[family].others))


@pytest.mark.parametrize(("family", "link"), CASES)
def test_density_distribution_function_and_moments_are_scipys(family, link):
    record, eta = FAMILIES[family], eta_of(family, link)
    values, peer = values_of(family, link, eta), peer_of(family, link, eta)
    log_density = peer.logpmf if record.is_discrete else peer.logpdf
    for y in WHERE[record.response]:
        here = np.full_like(eta, y)
        np.testing.assert_allclose(record.log_density(here, values), log_density(here), rtol=1e-9, atol=1e-12)
        for ours, theirs in ((record.log_cdf, peer.logcdf), (record.log_survival, peer.logsf)):
            with np.errstate(divide="ignore"):
                expected = theirs(here)
            np.testing.assert_allclose(ours(here, values), expected, rtol=1e-8, atol=1e-13)
        np.testing.assert_allclose(record.cdf(here, values), peer.cdf(here), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(np.broadcast_to(record.mean(values), eta.shape), peer.mean())
    np.testing.assert_allclose(np.broadcast_to(record.variance_of(values), eta.shape), peer.var())


@pytest.mark.parametrize(("family", "link"), CASES)
def test_draws_have_the_moments_of_the_distribution(family, link, seed):
    """The variance of the estimated variance is from the fourth moment, which is taken to be there: no small nu, no large sigma."""
    n = 20_000
    record, eta = FAMILIES[family], eta_of(family, link)
    gentle = {"sigma": np.array([0.3, 0.5]), "nu": np.array([12.0, 40.0])}
    repeated = np.repeat(eta[None], n, axis=0)
    drawn = record.draw(np.random.default_rng(seed), values_of(family, link, repeated, **gentle))
    own = [{**OTHERS, **gentle}[p.name] for p in record.others]
    peer = PEERS[family](MEANS[link](eta), *own)
    mean, variance, _, excess = (np.broadcast_to(m, eta.shape) for m in peer.stats("mvsk"))
    assert drawn.shape == repeated.shape
    assert_near(drawn.mean(axis=0), mean, np.sqrt(variance / n))
    # a distribution so skew has a sample variance that is far from normal: held by its logarithm, and not at all beyond
    kind = np.abs(excess) < 30
    error = variance * np.sqrt((excess + 2) / n)
    assert_near(drawn.var(axis=0)[kind], variance[kind], error[kind])
    possible = peer.logpmf if record.is_discrete else peer.logpdf
    assert np.isfinite(possible(drawn[:100])).all()


# far out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_far_out_nothing_is_rounded_to_zero_or_one(link):
    family = FAMILIES["bernoulli"]
    values = values_of("bernoulli", link, np.array([-30.0, 3.5, -500.0]))
    y = np.array([1.0, 0.0, 1.0])
    exact = {
        "logit": [-30.0, -3.5 - np.log1p(np.exp(-3.5)), -500.0],
        "probit": [stats.norm.logcdf(-30.0), stats.norm.logcdf(-3.5), stats.norm.logcdf(-500.0)],
        "cloglog": [-30.0, -np.exp(3.5), -500.0],
    }[link]
    np.testing.assert_allclose(family.log_density(y, values), exact, rtol=1e-9)
    slope, curvature = family.derivatives(y, values, "mu")
    assert np.isfinite([slope, curvature]).all()
    assert (curvature <= 0).all()


@pytest.mark.parametrize(
    ("family", "eta", "others", "y"),
    [
        ("negative_binomial", 1.2, {"shape": 1e9}, 5.0),
        ("negative_binomial", 1.2, {"shape": 1e13}, 5.0),
        ("negative_binomial", 1.2, {"shape": 1e20}, 5.0),
        ("negative_binomial", 1.2, {"shape": 1e-8}, 5.0),
        ("negative_binomial", -700.0, {"shape": 2.0}, 1.0),
        ("negative_binomial", 14.9, {"shape": 130.0}, 3e6),
        ("student_t", 0.0, {"sigma": 1.0, "nu": 1e12}, 3.0),
        ("student_t", 0.0, {"sigma": 1.0, "nu": 1e16}, -3.0),
        ("student_t", 0.0, {"sigma": 1e-3, "nu": 1.0001}, 1e50),
        ("beta", -800.0, {"phi": 3.0}, 0.2),
        ("beta", 800.0, {"phi": 3.0}, 0.2),
        ("beta", 0.1, {"phi": 1e-9}, 0.2),
        ("beta", 0.1, {"phi": 1e7}, 0.5251),
        ("lognormal", -600.0, {"sigma": 0.1}, 1e-260),
    ],
)
def test_densities_far_out_have_the_digits_of_long_arithmetic(family, eta, others, y):
    record, link = find_family(family)
    values = Values(ARRAYS, {"mu": FromPredictor(link, np.array([eta])), **others}, {})
    found = record.log_density(np.array([y]), values)
    with mpmath.workdps(400):
        expected = EXACT[family](mpmath.mpf(y), MP_LINKS[link.name](mpmath.mpf(eta)), **others)
    assert found[0] == pytest.approx(float(expected), rel=1e-8)
    for parameter in record.parameters:
        assert np.isfinite(record.derivatives(np.array([y]), values, parameter.name)).all()


@pytest.mark.parametrize(
    ("family", "eta", "others", "y", "peer"),
    [
        ("gaussian", 0.0, {"sigma": 1.0}, 38.0, stats.norm()),
        ("lognormal", 0.0, {"sigma": 0.5}, 1e8, stats.norm(scale=0.5)),
        ("student_t", 0.0, {"sigma": 1.0, "nu": 1.3}, 1e90, stats.t(1.3)),
        ("student_t", 0.0, {"sigma": 1.0, "nu": 1e9}, 30.0, stats.norm()),
        ("poisson", 0.0, {}, 140.0, stats.poisson(1)),
        ("negative_binomial", np.log(3.0), {"shape": 1e14}, 140.0, stats.poisson(3)),
        ("negative_binomial", np.log(3.0), {"shape": 1e14}, 1.0, stats.poisson(3)),
        ("negative_binomial", -20.0, {"shape": 3.0}, 0.0, None),
    ],
)
def test_tails_are_accurate_where_nothing_is_left(family, eta, others, y, peer):
    record, link = find_family(family)
    values = Values(ARRAYS, {"mu": FromPredictor(link, np.array([eta])), **others}, {})
    upper = record.log_survival(np.array([y]), values)[0]
    at = np.log(y) if family == "lognormal" else y
    exact = peer.logsf(at) if peer else np.log(3.0) + np.log(np.exp(-20.0) / 3)
    assert upper == pytest.approx(exact, rel=1e-6)
    if family in ("gaussian", "student_t"):
        assert record.log_cdf(np.array([-y]), values)[0] == pytest.approx(exact, rel=1e-6)


def test_tails_of_impossible_responses_and_of_means_at_the_ends():
    for name in ("bernoulli", "binomial", "poisson", "negative_binomial", "beta", "lognormal"):
        record, values = FAMILIES[name], values_of(name, FAMILIES[name].links[0], ETA)
        below, above = np.full_like(ETA, -1.0), np.full_like(ETA, 1e9)
        assert (record.log_cdf(below, values) == -np.inf).all()
        np.testing.assert_allclose(record.log_survival(below, values), 0.0)
        np.testing.assert_allclose(record.log_cdf(above, values), 0.0, atol=1e-12)
    for eta in (-800.0, 800.0):  # the mean is 0 or 1 to all digits
        values = values_of("beta", "logit", np.full((1, 2), eta))
        assert np.isfinite(FAMILIES["beta"].draw(np.random.default_rng(1), values)).all()
        for y, density in ((0.0, -np.inf), (1.0, -np.inf)):  # where a beta density may be infinite
            assert (FAMILIES["beta"].log_density(np.full((1, 2), y), values) == density).all()


def test_a_student_t_has_no_finite_variance_to_two_degrees_of_freedom():
    nu = np.array([1.1, 2.0, 2.1, 5.0])
    found = FAMILIES["student_t"].variance_of(
        values_of("student_t", "identity", np.zeros(4), sigma=2.0, nu=nu)
    )
    np.testing.assert_allclose(found, [np.inf, np.inf, 84.0, 20 / 3])


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_a_negative_mean_of_counts_is_impossible_and_not_an_error(family):
    record = FAMILIES[family]
    values = values_of(family, "identity", np.array([-1.0, 0.0, 2.0]), shape=3.0)
    y = np.array([1.0, 0.0, 1.0])
    density = record.log_density(y, values)
    assert density[0] == -np.inf
    assert density[1] == 0
    assert np.isnan(record.draw(np.random.default_rng(1), values)).tolist() == [True, False, False]
    assert np.isnan(record.cdf(y, values)).tolist() == [True, False, False]


def test_a_huge_mean_of_counts_is_drawn():
    for family in ("poisson", "negative_binomial"):
        values = values_of(family, "identity", np.array([1e30, 3.0]), shape=1e25)
        drawn = FAMILIES[family].draw(np.random.default_rng(1), values)
        assert drawn[0] == pytest.approx(1e30, rel=1e-10)
        assert drawn[1] < 50


def test_a_ratio_of_gamma_functions_keeps_its_digits():
    for x in (1e-9, 0.3, 5.0, 99.9, 100.1, 1e5, 1e18):
        for n in (0.0, 0.5, 7.0, 1e4):
            with mpmath.workdps(60):
                exact = float(mpmath.loggamma(mpmath.mpf(x) + n) - mpmath.loggamma(mpmath.mpf(x)))
            assert log_rising(ARRAYS, np.array(x), n) == pytest.approx(exact, rel=1e-12, abs=1e-12)


# derivatives, by mpmath ----------------------------------------------------------------------------------

MP_LINKS = {
    "identity": lambda eta: eta,
    "log": mpmath.exp,
    "logm1": lambda eta: 1 + mpmath.exp(eta),
    "logit": lambda eta: 1 / (1 + mpmath.exp(-eta)),
    "probit": mpmath.ncdf,
    "cloglog": lambda eta: -mpmath.expm1(-mpmath.exp(eta)),
}


def _mp_normal(y, mu, sigma):
    return -((y - mu) ** 2) / (2 * sigma**2) - mpmath.log(sigma * mpmath.sqrt(2 * mpmath.pi))


def _mp_student_t(y, mu, sigma, nu):
    nu = mpmath.mpf(nu)
    scale = mpmath.loggamma((nu + 1) / 2) - mpmath.loggamma(nu / 2) - mpmath.log(nu * mpmath.pi) / 2
    return scale - mpmath.log(sigma) - (nu + 1) / 2 * mpmath.log(1 + ((y - mu) / sigma) ** 2 / nu)


def _mp_successes(y, mu, trials=1):
    return mpmath.log(mpmath.binomial(trials, y)) + y * mpmath.log(mu) + (trials - y) * mpmath.log(1 - mu)


def _mp_negative_binomial(y, mu, shape):
    shape = mpmath.mpf(shape)
    ways = mpmath.loggamma(y + shape) - mpmath.loggamma(shape) - mpmath.loggamma(y + 1)
    return ways + y * mpmath.log(mu / (mu + shape)) + shape * mpmath.log(shape / (mu + shape))


def _mp_beta(y, mu, phi):
    a, b = mu * phi, (1 - mu) * phi
    ways = mpmath.loggamma(a + b) - mpmath.loggamma(a) - mpmath.loggamma(b)
    return ways + (a - 1) * mpmath.log(y) + (b - 1) * mpmath.log(1 - y)


EXACT = {
    "gaussian": _mp_normal,
    "student_t": _mp_student_t,
    "lognormal": lambda y, mu, sigma: _mp_normal(mpmath.log(y), mu, sigma) - mpmath.log(y),
    "bernoulli": _mp_successes,
    "binomial": _mp_successes,
    "poisson": lambda y, mu: y * mpmath.log(mu) - mu - mpmath.loggamma(y + 1),
    "negative_binomial": _mp_negative_binomial,
    "beta": _mp_beta,
}
POINTS = {"real": 1.7, "positive": 2.3, "share": 0.83, "binary": 1.0, "count": 4.0, "successes": 3.0}
START = {"sigma": 0.8, "nu": 4.5, "shape": 1.7, "phi": 6.5}


@pytest.mark.parametrize(("family", "parameter", "link"), BY_PARAMETER)
@pytest.mark.parametrize("eta", [-1.7, 0.4, 2.2])
def test_derivatives_by_every_predictor_are_those_of_long_arithmetic(family, parameter, link, eta):
    record = FAMILIES[family]
    if link == "identity" and record.parameter(parameter).support.lower >= 0:
        eta = abs(eta) + record.parameter(parameter).support.lower
    others = {p.name: START[p.name] for p in record.others}
    mu = (
        FromPredictor(LINKS[record.links[0]], np.array([0.3]))
        if parameter != "mu"
        else FromPredictor(LINKS[link], np.array([eta]))
    )
    values = {"mu": mu, **others}
    if parameter != "mu":
        values[parameter] = FromPredictor(LINKS[link], np.array([eta]))
    additions = {"trials": np.array([5.0])} if "trials" in record.additions else {}
    y = POINTS[record.response]

    def exact(moving):
        own = {name: mpmath.mpf(value) for name, value in others.items()}
        own["mu"] = MP_LINKS[record.links[0]](mpmath.mpf(0.3))
        own[parameter] = MP_LINKS[link](moving)
        return EXACT[family](mpmath.mpf(y), **own, **{k: int(v[0]) for k, v in additions.items()})

    with mpmath.workdps(50):
        expected = [float(mpmath.diff(exact, mpmath.mpf(eta), n)) for n in (0, 1, 2)]
    at = Values(ARRAYS, values, additions)
    density = record.log_density(np.array([y]), at)
    found = [density, *record.derivatives(np.array([y]), at, parameter)]
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("eta", [-60.0, -3.0, 0.2, 2.5])
def test_derivatives_of_every_link_are_those_of_long_arithmetic(name, eta):
    link = LINKS[name]
    jet = Jet(np.array(eta), 1.0, 0.0)
    forms = {"mu": (link.inverse_of, MP_LINKS[name])}
    if link.log_of:
        forms["log"] = (link.log_of, lambda x: mpmath.log(MP_LINKS[name](x)))
    if link.logit_of:
        forms["logit"] = (link.logit_of, lambda x: mpmath.log(MP_LINKS[name](x) / (1 - MP_LINKS[name](x))))
    for of, exact in forms.values():
        with mpmath.workdps(900):
            expected = [float(mpmath.diff(exact, mpmath.mpf(eta), n)) for n in (0, 1, 2)]
        found = of(JETS, jet)
        np.testing.assert_allclose(
            [found.value, found.slope, found.curvature], expected, rtol=1e-9, atol=1e-300
        )


# in graphs -----------------------------------------------------------------------------------------------


def _graph(family, link, eta, y, of):
    """What `of` makes of y and the parameters, and its gradient by the predictor, in numbers."""
    predictor = pt.dmatrix()
    record = FAMILIES[family]
    density = of(record, pt.as_tensor(y), values_of(family, link, predictor, GRAPHS))
    slope = pytensor.grad(density.sum(), predictor)
    return pytensor.function([predictor], [density, slope], mode="FAST_COMPILE")(eta)


def _own(record, y, values):
    return record.log_density(y, values)


def _pymcs(record, y, values):
    return pm.logp(getattr(pm, record.pymc.distribution).dist(**record.pymc.arguments(values)), y)


@pytest.mark.parametrize(("family", "link"), CASES)
def test_the_density_in_graphs_is_the_one_in_arrays_and_pymcs_own(family, link):
    record, eta = FAMILIES[family], eta_of(family, link)
    inside = {"binary": 1.0, "count": 3.0, "successes": 1.0}.get(record.response, 0.7)
    y = np.full(ETA.shape, inside)
    numbers = record.log_density(y, values_of(family, link, eta))
    slope = record.derivatives(y, values_of(family, link, eta), "mu")[0]
    for of in (_own, _pymcs):
        density, gradient = _graph(family, link, eta, y, of)
        np.testing.assert_allclose(density, numbers, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(("family", "link"), CASES)
@pytest.mark.parametrize("far", [-300.0, -40.0, 6.0, 30.0])
def test_gradients_in_graphs_are_finite_far_out(family, link, far):
    record = FAMILIES[family]
    if link == "identity" and family in ("poisson", "negative_binomial"):
        far = abs(far)
    y = np.full(ETA.shape, {"binary": 1.0, "count": 3.0, "successes": 1.0}.get(record.response, 0.7))
    density, gradient = _graph(family, link, np.full(ETA.shape, far), y, _own)
    assert np.isfinite(density).all()
    assert np.isfinite(gradient).all()


def test_every_link_and_family_has_its_oracle():
    assert set(LINKS) == set(MEANS) == set(MP_LINKS)
    assert set(FAMILIES) == set(PEERS) == set(EXACT)


def test_what_nobody_said_of_a_family_is_named():
    from dataclasses import replace

    own = replace(FAMILIES["poisson"], name="mine", tails=None, variance=None)
    values = values_of("poisson", "log", ETA)
    with pytest.raises(
        FamilyError, match="The family 'mine' has no distribution function: give its record tails"
    ):
        own.cdf(np.zeros_like(ETA), values)
    with pytest.raises(FamilyError, match="The family 'mine' has no variance"):
        own.variance_of(values)


def test_the_standard_logistic_is_where_it_was():
    np.testing.assert_allclose(LINKS["logit"].inverse(ETA), expit(ETA))
