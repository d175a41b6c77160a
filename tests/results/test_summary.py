"""Estimates, errors, intervals and diagnostics of draws, against NumPy and ArviZ."""

import arviz_stats as az
import numpy as np
import pytest
import xarray as xr

from mixedbayes.errors import ArgumentError
from mixedbayes.results.posterior.summary import STATISTICS, diagnose, estimate, summarise

RNG = np.random.default_rng(11)
SHIFT = np.array([0.0, 0.1, 0.2, 2.0])[:, None, None]
DRAWS = np.concatenate(
    [
        RNG.normal(5.0, 2.0, (4, 200, 1)),
        RNG.standard_cauchy((4, 200, 1)),
        np.cumsum(RNG.normal(size=(4, 200, 1)), axis=1),  # mixes slowly
        RNG.normal(size=(4, 200, 1)) + SHIFT,  # chains disagree
        RNG.gamma(0.5, 1.0, (4, 200, 1)),
    ],
    axis=-1,
)


def arvizs():
    """R-hat, bulk and tail effective sample size, shape (k, 3)."""
    data = xr.Dataset({f"v{i}": (("chain", "draw"), DRAWS[..., i]) for i in range(DRAWS.shape[-1])})
    rhat, bulk = az.rhat(data), az.ess(data, method="bulk")
    tail = az.ess(data, method="tail", prob=(0.05, 0.95))
    return np.array([[float(each[f"v{i}"]) for each in (rhat, bulk, tail)] for i in range(DRAWS.shape[-1])])


def test_diagnostics_are_arviz_s():
    np.testing.assert_allclose(diagnose(DRAWS), arvizs(), rtol=1e-10)


@pytest.mark.parametrize(
    ("level", "quantiles"), [(0.95, (0.025, 0.975)), (0.5, (0.25, 0.75)), (np.float32(0.75), (0.125, 0.875))]
)
def test_estimates_are_mean_sd_and_quantiles_of_all_draws(level, quantiles):
    table = estimate(DRAWS, level)
    flat = DRAWS.reshape(800, -1)
    assert list(table.columns) == list(STATISTICS[:4])
    np.testing.assert_allclose(table["estimate"], flat.mean(axis=0))
    np.testing.assert_allclose(table["std_error"], flat.std(axis=0, ddof=1))
    np.testing.assert_allclose(table[["conf_low", "conf_high"]].T, np.quantile(flat, quantiles, axis=0))


def test_robust_estimates_are_median_and_mad():
    stats = pytest.importorskip("scipy.stats")
    table = estimate(DRAWS, robust=True)
    flat = DRAWS.reshape(800, -1)
    np.testing.assert_allclose(table["estimate"], np.median(flat, axis=0))
    mad = stats.median_abs_deviation(flat, axis=0, scale="normal")
    np.testing.assert_allclose(table["std_error"], mad, rtol=1e-4)  # 1.4826 as R has it
    np.testing.assert_allclose(table["conf_low"], estimate(DRAWS)["conf_low"])


def test_a_summary_is_estimates_and_diagnostics():
    table = summarise(DRAWS, 0.9)
    flat = DRAWS.reshape(800, -1)
    expected = {
        "estimate": flat.mean(axis=0),
        "std_error": flat.std(axis=0, ddof=1),
        "conf_low": np.quantile(flat, 0.05, axis=0),
        "conf_high": np.quantile(flat, 0.95, axis=0),
        **dict(zip(("rhat", "ess_bulk", "ess_tail"), arvizs().T, strict=True)),
    }
    assert list(table.columns) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-12)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, "0.95", None, True, np.nan, (0.1, 0.9)])
def test_an_interval_needs_a_mass_between_0_and_1(level):
    with pytest.raises(ArgumentError, match="conf_level lies between 0 and 1, not"):
        estimate(DRAWS, level)


@pytest.mark.parametrize(
    "draws",
    [
        np.ones((4, 50, 2)),  # never changes
        np.full((4, 50, 2), np.nan),
        RNG.normal(size=(4, 3, 2)),  # too short to be split
        RNG.normal(size=(4, 1, 2)),
    ],
    ids=["constant", "nan", "three draws", "one draw"],
)
def test_what_cannot_be_diagnosed_is_nan(draws):
    assert np.isnan(diagnose(draws)).all()


def test_one_quantity_that_never_changes_does_not_hide_the_others():
    draws = DRAWS.copy()
    draws[..., 1] = 3.0
    found, whole = diagnose(draws), diagnose(DRAWS)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2, 3, 4]], whole[[0, 2, 3, 4]])


def test_no_quantities_give_an_empty_table():
    assert summarise(np.empty((4, 50, 0))).shape == (0, 7)


def test_one_draw_has_no_error():
    table = summarise(np.full((1, 1, 2), 3.0))
    assert table["estimate"].tolist() == [3.0, 3.0]
    assert table["std_error"].isna().all()
