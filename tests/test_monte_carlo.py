"""What holds random figures passes right ones, warns of seldom ones, and fails wrong ones."""

import warnings

import numpy as np
import pytest
from monte_carlo import MonteCarloAlert, assert_draws_near, assert_likely, assert_mixed, assert_near, errors
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
    with pytest.raises(AssertionError), np.errstate(all="ignore"):
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
