"""Each likelihood in numbers against SciPy's distributions, through the links that its families take."""

import numpy as np
import pytest
from monte_carlo import assert_near
from scipy import stats
from scipy.special import ndtr

from mixedbayes.errors import FamilyError
from mixedbayes.models.families import FAMILIES, LINKS, Density, Family, find_family
from mixedbayes.models.likelihoods import LIKELIHOODS, arguments_of, likelihood_of

ETA = np.linspace(-2.5, 2.4, 7)[:, None] + np.array([0.0, 0.3])
SIGMA = np.array([0.7, 2.0])
TRIALS = np.array([1.0, 2, 5, 9, 12, 30, 3])[:, None]
MEANS = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": lambda eta: 1 / (1 + np.exp(-eta)),
    "probit": ndtr,
    "cloglog": lambda eta: 1 - np.exp(-np.exp(eta)),
}
PEERS = {
    "gaussian": lambda mu: stats.norm(mu, SIGMA),
    "bernoulli": stats.bernoulli,
    "binomial": lambda mu: stats.binom(TRIALS.astype(int), mu),
    "poisson": stats.poisson,
}
CASES = [(family, link) for family in FAMILIES for link in FAMILIES[family].links]


def both(family, link, eta=ETA):
    record, its_link = find_family(family, link)
    trials = TRIALS if record.response == "successes" else None
    return (
        likelihood_of(record),
        arguments_of(record, its_link, eta, {"sigma": SIGMA}, trials),
        PEERS[family](MEANS[link](eta)),
    )


@pytest.mark.parametrize(("family", "link"), CASES)
def test_density_distribution_function_and_moments_are_scipys(family, link):
    eta = np.abs(ETA) if (family, link) == ("poisson", "identity") else ETA
    likelihood, arguments, peer = both(family, link, eta)
    log_density = peer.logpmf if likelihood.is_discrete else peer.logpdf
    for y in (-1.0, 0.0, 1.0, 2.0, 7.0) if likelihood.is_discrete else (-3.3, 0.0, 1.7):
        here = np.full_like(eta, y)
        ours = likelihood.log_density(here, arguments)  # minus infinity of what is impossible
        np.testing.assert_allclose(ours, log_density(here), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(likelihood.cdf(here, arguments), peer.cdf(here), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(np.broadcast_to(likelihood.mean(arguments), eta.shape), peer.mean())
    np.testing.assert_allclose(np.broadcast_to(likelihood.variance(arguments), eta.shape), peer.var())


@pytest.mark.parametrize(("family", "link"), CASES)
def test_draws_have_the_moments_of_the_distribution(family, link, seed):
    n = 20_000
    eta = np.repeat((np.abs(ETA) if (family, link) == ("poisson", "identity") else ETA)[None], n, axis=0)
    likelihood, arguments, _ = both(family, link, eta)
    peer = both(family, link, eta[0])[2]
    drawn = likelihood.draw(np.random.default_rng([3, seed]), arguments)
    mean, variance, _, excess = (np.broadcast_to(m, eta.shape[1:]) for m in peer.stats("mvsk"))
    assert drawn.shape == eta.shape
    assert_near(drawn.mean(axis=0), mean, np.sqrt(variance / n))
    assert_near(drawn.var(axis=0), variance, variance * np.sqrt((excess + 2) / n))


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_far_out_nothing_is_rounded_to_zero_or_one(link):
    family, its_link = find_family("bernoulli", link)
    arguments = arguments_of(family, its_link, np.array([-30.0, 3.5]), {}, None)
    found = likelihood_of(family).log_density(np.array([1.0, 0.0]), arguments)
    exact = {
        "logit": [-30.0, -3.5 - np.log1p(np.exp(-3.5))],
        "probit": [stats.norm.logcdf(-30.0), stats.norm.logcdf(-3.5)],
        "cloglog": [-30.0, -np.exp(3.5)],
    }
    np.testing.assert_allclose(found, exact[link], rtol=1e-9)


def test_a_negative_mean_of_counts_is_impossible_and_not_an_error():
    family, link = find_family("poisson", "identity")
    arguments = arguments_of(family, link, np.array([-1.0, 2.0]), {}, None)
    likelihood = LIKELIHOODS["Poisson"]
    assert likelihood.log_density(np.array([1.0, 1.0]), arguments)[0] == -np.inf
    assert np.isnan(likelihood.draw(np.random.default_rng(1), arguments)).tolist() == [True, False]
    assert np.isnan(likelihood.cdf(np.array([1.0, 1.0]), arguments)).tolist() == [True, False]


def test_a_huge_mean_of_counts_is_drawn():
    drawn = LIKELIHOODS["Poisson"].draw(np.random.default_rng(1), {"mu": np.array([1e30, 3.0])})
    assert drawn[0] == pytest.approx(1e30, rel=1e-10)
    assert drawn[1] < 50


def test_a_density_that_is_not_known_in_numbers_is_named():
    own = Family("mine", ("identity",), "real", (), Density("Strange", {"mu": "mu"}))
    with pytest.raises(FamilyError, match="Strange, the distribution of the family 'mine'"):
        likelihood_of(own)
    assert set(LIKELIHOODS) >= {family.density.distribution for family in FAMILIES.values()}
    assert set(LINKS) == set(MEANS)
