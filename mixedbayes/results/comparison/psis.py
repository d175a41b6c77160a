"""Pareto-smoothed importance sampling, by ArviZ, guarded where it fails."""

from math import log10

import numpy as np
from arviz_stats.base import array_stats
from scipy.special import logsumexp

from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.layout import by_draw

LOWEST = -1e300
"""In place of minus infinity, of which there is no difference."""

MANY = 500
"""Parameters, beyond which group effects have no part in the relative efficiency of draws."""


def good_k(draws: int) -> float:
    """The largest Pareto k with which that many draws can be trusted. Source: Vehtari et al. (2024), eq. 13."""
    return min(1 - 1 / log10(max(draws, 11)), 0.7)


def leave_out_weights(log_density: np.ndarray, efficiency: float) -> tuple[np.ndarray, np.ndarray]:
    """Log weights of draws that leave each row out, shape (m, S), which add up to 1, and their Pareto k, shape (m,).

    Where nothing can be fitted to their tail (ArviZ then fails or returns NaN), weights are not smoothed and k is
    infinite; it is minus infinity of a row that has the same density at each draw.

    Args:
        log_density: Of each row at each draw.
        efficiency: Effective draws over draws.
    """
    log_density = np.maximum(log_density, LOWEST)
    logs, k = -log_density, np.full(len(log_density), -np.inf)
    varies = np.flatnonzero(np.ptp(log_density, axis=1) != 0)
    try:
        logs[varies], k[varies] = _smoothed(log_density[varies], efficiency)
    except (ValueError, IndexError):  # of some row; one by one then
        for i in varies:
            try:
                logs[[i]], k[[i]] = _smoothed(log_density[[i]], efficiency)
            except (ValueError, IndexError):
                k[i] = np.inf
    return logs - logsumexp(logs, axis=1, keepdims=True), k


def _smoothed(log_density: np.ndarray, efficiency: float) -> tuple[np.ndarray, np.ndarray]:
    if not len(log_density):
        return log_density, np.empty(0)
    with np.errstate(all="ignore"):
        logs, k = array_stats.psislw(log_density, r_eff=efficiency)
    failed = ~np.isfinite(logs).all(axis=1) | np.isnan(k)
    return np.where(failed[:, None], -log_density, logs), np.where(failed, np.inf, k)


def relative_efficiency(fit: Fitted) -> float:
    """Effective draws of a mean over draws, averaged over parameters, as ArviZ has it."""
    posterior = fit.posterior
    posterior = posterior[
        [name for name in fit.spec.dims if name in posterior]
    ]  # and not what else others put there
    if posterior.sizes["chain"] == 1:
        return 1.0
    size = sum(variable[0, 0].size for variable in posterior.values())
    effects = {block.r for block in fit.spec.blocks}
    names = [name for name in posterior if size <= MANY or name not in effects]
    found = [
        np.atleast_1d(
            array_stats.ess(
                by_draw(posterior[name]),
                chain_axis=0,
                draw_axis=1,
                method="mean",
            )
        ).ravel()
        for name in names
    ]
    return float(np.hstack(found).mean() / (posterior.sizes["chain"] * posterior.sizes["draw"]))
