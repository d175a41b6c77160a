"""What holds random figures passes right ones, warns of seldom ones, and fails wrong ones."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from monte_carlo import (
    Moments,
    MonteCarloAlert,
    assert_draws_near,
    assert_likely,
    assert_mixed,
    assert_near,
    errors,
    scores_of,
    weighted_chi2_sf,
)
from scipy import stats
from scipy.signal import lfilter
from synthetic import synthetic_fit


@pytest.mark.parametrize("p", [0.5, 1.1e-3, [0.4, 0.9, 0.003], 1.0])
def test_what_chance_does_passes(p):
    assert_likely(p)  # warnings would be errors


@pytest.mark.parametrize("p", [0.9e-3, 2e-6, [0.5, 3e-4, 0.9]])
def test_what_chance_seldom_does_is_told(p):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_likely(p)
    assert [warning.category for warning in caught] == [MonteCarloAlert]


@pytest.mark.parametrize("p", [0.9e-6, 0.0, np.nan, [0.5, np.nan], [0.5, 2e-7, 0.9, 0.2]])
def test_what_chance_never_does_fails(p):
    with pytest.raises(AssertionError, match="p = "):
        assert_likely(p)


def test_the_worst_figure_is_named():
    with pytest.raises(AssertionError, match=r"right: p = 2\.0e-09, the least of 2"):
        assert_near([1.0, 2.0], [1.1, 2.6], [0.1, 0.1], ["left", "right"])


def test_figures_of_no_error_are_no_evidence():
    with pytest.raises(AssertionError, match="figure 0: p = nan"), np.errstate(all="ignore"):
        assert_near(1.0, 1.0, 0.0)


ONES = [f"x{i}" for i in range(30)]


def normal(rng, *, shift=0.0, scale=1.0, names=ONES):
    """Draws of correlated standard normal parameters."""
    common = rng.normal(size=(4, 500))
    return {name: shift + scale * (0.6 * common + 0.8 * rng.normal(size=(4, 500))) for name in names}


KNOWN = dict.fromkeys(ONES, (0.0, 1.0, 0.0, 0.0))


def test_right_draws_pass_with_thirty_seeds():
    for seed in range(30):
        assert_draws_near(normal(np.random.default_rng([7, seed])), KNOWN)


@pytest.mark.parametrize("wrong", [{"shift": 0.2}, {"scale": 1.15}])
def test_biased_draws_fail_with_each_of_twenty_seeds(wrong):
    for seed in range(20):
        with pytest.raises(AssertionError, match=r"mean of|sd of|all together"):
            assert_draws_near(normal(np.random.default_rng([8, seed]), **wrong), KNOWN)


@pytest.mark.filterwarnings("ignore::monte_carlo.MonteCarloAlert")
def test_a_bias_of_many_that_none_shows_by_itself_fails():
    rng = np.random.default_rng(9)
    independent = {name: 0.07 + rng.normal(size=(4, 500)) for name in ONES}
    with pytest.raises(AssertionError, match="all together"):
        assert_draws_near(independent, KNOWN)


def test_errors_are_those_of_repeated_draws():
    rng = np.random.default_rng(10)
    many = rng.normal(size=(400, 4, 500)) ** 3
    found = np.mean([errors(draws) for draws in many], axis=0)
    flat = many.reshape(400, -1)
    np.testing.assert_allclose(found, [flat.mean(axis=1).std(), flat.std(axis=1).std()], rtol=0.15)


def test_chains_that_disagree_are_not_mixed():
    fit = synthetic_fit("y ~ x", {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 4.0]}, draws=500)
    assert_mixed(fit)
    fit.idata["posterior"]["b"] += 2.0 * (fit.idata["posterior"]["chain"] == 0)
    with pytest.raises(AssertionError, match="ess_bulk"):
        assert_mixed(fit)


def chains(rng, phi, shape=(4, 500)):
    """Standard normal draws of first-order autoregressive chains."""
    noise = rng.normal(size=shape) * np.sqrt(1 - phi**2)
    noise[..., 0] /= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=-1)


def follow_one_slow_direction(rng):
    """Six parameters of correlation 0.3, whose means are all but one."""
    slow, fast = chains(rng, 0.9), rng.normal(size=(6, 4, 500))
    return np.sqrt(0.3) * slow + np.sqrt(0.7) * fast, 0.0, 1.0


def in_a_funnel(rng):
    """A log sd, and three parameters that have it."""
    v = chains(rng, 0.5)
    x = np.exp(v / 2) * rng.normal(size=(3, 4, 500))
    return np.concatenate([v[None], x]), 0.0, np.array([1.0, *[np.exp(0.25)] * 3])


def skewed(rng):
    """Exponential variables, by chains."""
    return -stats.norm.logsf(chains(rng, 0.5, (4, 4, 500))), 1.0, 1.0


def independent(rng):
    return rng.normal(size=(6, 4, 500)), 0.0, 1.0


@pytest.mark.parametrize("draw", [follow_one_slow_direction, in_a_funnel, skewed, independent])
def test_right_draws_have_small_p_values_no_oftener_than_chance(draw):
    """Of one parameter and of all together, in repeated chains whose moments are known."""
    n = 300
    found = []
    for seed in range(n):
        x, mean, sd = draw(np.random.default_rng([11, seed]))
        own = Moments.of(x)
        known = np.array([np.broadcast_to(each, len(x)) for each in (mean, sd)])
        scores, R = scores_of(own, replace(own, values=known, errors=np.zeros_like(known)))
        together = [
            weighted_chi2_sf(np.sum(each**2), np.linalg.eigvalsh(r))
            for each, r in zip(scores, R, strict=True)
        ]
        found.append([*(2 * stats.norm.sf(scores[:, -1])), *together])
    for level in (0.1, 0.01, 1e-3, 1e-5):
        seen = np.sum(np.array(found) < level, axis=0)
        assert_likely(stats.binom(n, 1.2 * level).sf(seen - 1))  # a tenth more of standard errors is let go


@pytest.mark.parametrize("q", [3.0, 10.0, 30.0, 60.0])
def test_sums_of_weighted_squares_are_as_likely_as_they_are(q):
    """Squares by twos are exponential, and their sums known; far out, where two moments say 1e-13 for 1e-6."""
    few, many = np.array([5.0, 2.0, 1.0]) / 8, np.ones(10) / 10
    exact = sum(
        a ** (len(few) - 1) / np.prod([a - b for b in few if b != a]) * np.exp(-q / (2 * a)) for a in few
    )
    assert weighted_chi2_sf(q, np.repeat(few, 2)) == pytest.approx(exact, rel=0.1)
    assert weighted_chi2_sf(q, many) == pytest.approx(stats.chi2(10).sf(10 * q), rel=0.1)
    assert weighted_chi2_sf(q, np.ones(1)) == pytest.approx(stats.chi2(1).sf(q), rel=0.35)


@pytest.mark.parametrize(("parameters", "least"), [(10, 20), (1, 10)])
def test_a_bias_of_a_fifth_of_an_sd_fails_with_a_thousand_effective_draws(parameters, least):
    """Of many parameters with every seed; of one with most, since it is 6.3 errors, give or take one, and 5.4 fail."""
    names, failed = ONES[:parameters], 0
    for seed in range(20):
        x = 0.2 + chains(np.random.default_rng([12, seed]), 1 / 3, (parameters, 4, 500))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                assert_draws_near(dict(zip(names, x, strict=True)), {name: KNOWN[name] for name in names})
            except AssertionError:
                failed += 1
            else:
                assert told
    assert failed >= least
