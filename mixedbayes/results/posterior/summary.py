"""Draws -> numbers: estimate, error, interval, R-hat and effective sample sizes, column by column."""

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats
from scipy.special import ndtri

from mixedbayes.arguments import flag, share
from mixedbayes.errors import ArgumentError
from mixedbayes.results.posterior.record import MIN_DRAWS

LEVEL = 0.95
"""The mass of intervals, where nobody says."""

STATISTICS = ("estimate", "std_error", "conf_low", "conf_high", "rhat", "ess_bulk", "ess_tail")


def summarise(
    draws: np.ndarray, conf_level: float = 0.95, *, robust: bool = False, moments: np.ndarray | None = None
) -> pd.DataFrame:
    """One row for each of k quantities.

    Args:
        draws: Shape (chain, draw, k).
        conf_level: Mass of the equal-tailed interval, in (0, 1).
        robust: Median and scaled median absolute deviation in place of mean and standard deviation.
        moments: Means and standard deviations over more draws than these, shape (2, k), to be shown for theirs;
            of no draws at all the interval is that of a normal distribution.

    Returns:
        A frame with the columns `STATISTICS` and k rows. R-hat is rank-normalised and split, the
        effective sample sizes are those of the bulk and of the 5% and 95% quantiles; NaN for a
        quantity that does not vary. Source: Vehtari et al. (2021), Rank-normalization, folding, and
        localization: an improved R-hat.

    Raises:
        ArgumentError: `conf_level` is not between 0 and 1; or medians are asked for and there are no draws.
    """
    intervals = estimate(draws, conf_level, robust=robust, moments=moments)
    diagnosed = pd.DataFrame(diagnose(draws), columns=list(STATISTICS[4:]))
    return pd.concat([intervals, diagnosed], axis=1)


def estimate(
    draws: np.ndarray, conf_level: float = 0.95, *, robust: bool = False, moments: np.ndarray | None = None
) -> pd.DataFrame:
    """The first four columns of `summarise`, which need no chains."""
    flag("robust", robust)
    tail = (1 - share("conf_level", conf_level)) / 2
    flat = draws.reshape(draws.shape[0] * draws.shape[1], draws.shape[-1])
    if not len(flat):
        if moments is None or robust:
            raise ArgumentError(
                "Draws of the group effects are needed here, and none were kept: fit with more memory= (GiB) or fewer draws=."
            )
        middle, error = moments
        low, high = middle + error * ndtri(tail), middle - error * ndtri(tail)
        return pd.DataFrame(dict(zip(STATISTICS, (middle, error, low, high), strict=False)))
    middle = np.median(flat, axis=0) if robust else flat.mean(axis=0)
    if robust:
        error = 1.4826 * np.median(np.abs(flat - middle), axis=0)
    else:
        error = flat.std(axis=0, ddof=1) if len(flat) > 1 else np.full_like(middle, np.nan)
    if moments is not None and not robust:
        middle, error = moments
    low, high = np.quantile(flat, [tail, 1 - tail], axis=0)
    return pd.DataFrame(dict(zip(STATISTICS, (middle, error, low, high), strict=False)))


def check_table(conf_level: float, *, draws: bool) -> None:
    """Refuse options of a table that do not go together: all draws, which have no intervals, and the mass of these."""
    share("conf_level", conf_level)
    flag("draws", draws)
    if draws and conf_level != LEVEL:
        raise ArgumentError(
            f"draws=True returns all draws, of which conf_level={conf_level!r} says nothing: leave one of them out."
        )


def diagnose(draws: np.ndarray) -> np.ndarray:
    """R-hat, bulk and tail effective sample size, shape (k, 3)."""
    k = draws.shape[-1]
    result = np.full((k, 3), np.nan)
    varies = np.ptp(draws.reshape(-1, k), axis=0) > 0 if draws.size else np.zeros(k, dtype=bool)
    if varies.any() and draws.shape[1] >= MIN_DRAWS:
        own = draws[..., varies]
        axes = {"chain_axis": 0, "draw_axis": 1}
        result[varies, 0] = array_stats.rhat(own, **axes)
        result[varies, 1] = array_stats.ess(own, method="bulk", **axes)
        result[varies, 2] = array_stats.ess(own, method="tail", prob=(0.05, 0.95), **axes)
    return result
