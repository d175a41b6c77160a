"""Random figures, held to thresholds that are computed from their Monte Carlo error.

A figure is brought to a p-value: how often a right program is so far off, or farther. One in a thousand is told
among pytest's warnings, for somebody to look at; one in a million fails. Source: DynamicHMC.jl's tests of
correctness, which have an alert and a fail threshold.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike
from scipy import optimize, stats

import mixedbayes as mb

ALERT, FAIL = 1e-3, 1e-6
"""Of a claim's p-value: the smallest of its figures, times their number."""

AXES = {"chain_axis": 0, "draw_axis": 1}


class MonteCarloAlert(UserWarning):
    """Something that a right program seldom does."""


def assert_likely(p: ArrayLike, names: Sequence[str] | None = None) -> None:
    """Fail where the figures are what those of a right program all but never are.

    Args:
        p: The p-value of each figure.
        names: What the figures are.
    """
    values = np.ravel(p)
    worst = int(values.argmin())  # NaN, if there is one
    claim = values[worst] * len(values)
    told = (
        f"{names[worst] if names else f'figure {worst}'}: p = {values[worst]:.1e}, the least of {len(values)}"
    )
    assert claim >= FAIL, told
    if claim < ALERT:
        warnings.warn(f"{told}. Seldom by chance.", MonteCarloAlert, stacklevel=2)


def assert_near(
    found: ArrayLike,
    expected: ArrayLike,
    error: ArrayLike,
    names: Sequence[str] | None = None,
    df: ArrayLike = np.inf,
) -> None:
    """Hold figures to what is expected of them, given their standard errors and these errors' degrees of freedom."""
    assert_likely(2 * stats.t(df).sf(np.abs(np.subtract(found, expected) / error)), names)


def assert_mean_near(draws: np.ndarray, expected: float, error: float = 0.0) -> None:
    """Hold the mean of draws, shape (chain, draw), to what is known but for an error."""
    assert_near(draws.mean(), expected, np.hypot(errors(draws)[0], error), df=degrees(draws)[0])


def errors(draws: np.ndarray) -> tuple[float, float]:
    """The Monte Carlo errors of the mean and of the standard deviation of draws, shape (chain, draw)."""
    mean, sd = (float(array_stats.mcse(draws, method=method, **AXES)) for method in ("mean", "sd"))
    return mean, sd


def degrees(draws: np.ndarray) -> tuple[float, float]:
    """The degrees of freedom of `errors`: how many draws of a normal variable would tell their variances as well.

    2 / df is the relative variance of the squared error. By the kurtosis of the draws that is (kurtosis - 3) / ess
    more than for normal ones; it is doubled, since it goes with skewness, which makes one tail of t heavier. For
    normal ones that are dependent it is 2 (2 w + 1) / n, where autocovariances are summed up to the lag w, and
    doubled too, since w is chosen by the draws. Source: Wolff (2004), Monte Carlo errors with less errors.
    """
    deviations = draws - draws.mean()
    mean, sd = (_degrees(each) for each in (deviations, deviations**2))
    return mean, sd


def _degrees(values: np.ndarray) -> float:
    if (
        np.ptp(values) <= 1e-9 * np.abs(values).max()
    ):  # all the same, as squares of what is half the time below
        return np.inf
    ess = float(array_stats.ess(values, method="mean", **AXES))
    heavy = max(0.0, stats.kurtosis(values, axis=None)) / ess
    return float(1 / (2 * (2 * last_lag(values) + 1) / values.size + heavy))


def last_lag(values: np.ndarray) -> int:
    """The lag up to which Geyer (1992) sums autocovariances: the last pair of lags whose sum is above zero."""
    covariances = array_stats.autocov(values - values.mean(), axis=1).mean(axis=0)
    pairs = covariances[: len(covariances) // 2 * 2].reshape(-1, 2).sum(axis=1)
    below = np.flatnonzero(pairs <= 0)
    return 2 * int(below[0] if len(below) else len(pairs)) - 1 if len(pairs) else 0


def draws_by_address(fit: mb.Fit) -> dict[str, np.ndarray]:
    """Draws of every parameter, shape (chain, draw), under its address; of levels' deviations and coefficients too."""
    posterior = fit.posterior
    columns = fit.spec.design.fixed.columns
    found = {name: posterior["b"].to_numpy()[..., j] for j, name in enumerate(columns)}
    found |= {p.address: posterior[p.address].to_numpy() for p in (*fit.spec.auxiliary, *fit.spec.hyper)}
    for block in fit.spec.blocks:
        names, group = block.block.columns, block.block.name
        sd, r = (posterior[name].to_numpy() for name in (block.sd, block.r))
        for i, name in enumerate(names):
            found[f"sd[{group}, {name}]"] = sd[..., i]
            for level, draws in zip(block.block.levels, np.moveaxis(r[..., i], 2, 0), strict=True):
                found[f"r[{group}, {level}, {name}]"] = draws
                if name in columns:
                    found[f"coef[{group}, {level}, {name}]"] = draws + found[name]
            for j in range(i if block.cor else 0):
                cor = posterior[block.correlation].to_numpy()
                found[f"cor[{group}, {names[j]}, {name}]"] = cor[..., i, j]
    return found


@dataclass(frozen=True)
class Moments:
    """Means and standard deviations of p parameters, as draws tell them.

    Attributes:
        values: Means, and standard deviations, shape (2, p).
        errors: Their Monte Carlo errors, shape (2, p): those of ArviZ, which stop short where a small part of what
            varies is slow, or those of batches, which do where all is.
        df: The degrees of freedom of these, shape (2, p).
        correlations: Of the errors of the means, and of those of the standard deviations, shape (2, p, p).
    """

    values: np.ndarray
    errors: np.ndarray
    df: np.ndarray
    correlations: np.ndarray

    @classmethod
    def of(cls, draws: Sequence[np.ndarray]) -> "Moments":
        deviations = np.array([each - each.mean() for each in draws])
        covariances = np.array([covariance_of_means(each) for each in (deviations, deviations**2)])
        by_batches = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
        values = np.array([(each.mean(), each.std()) for each in draws]).T
        by_batches[1] /= 2 * values[1]  # of a variance -> of its root
        return cls(
            values,
            np.maximum(np.array([errors(each) for each in draws]).T, by_batches),
            np.array([degrees(each) for each in draws]).T,
            np.array([correlation_of(each) for each in covariances]),
        )


BATCHES = 100
"""Of all chains: fewer would leave long autocorrelations inside, more would tell correlations better."""


def covariance_of_means(values: np.ndarray) -> np.ndarray:
    """The covariance of the errors of means of draws, shape (p, chain, draw) -> (p, p), by means of batches.

    Parameters that are independent in the posterior may all follow a chain's one slow direction.
    """
    p, chains, draws = values.shape
    each = max(1, BATCHES // chains)
    length = draws // each
    batches = values[:, :, : each * length].reshape(p, chains * each, length).mean(axis=2)
    return np.atleast_2d(np.cov(batches)) / batches.shape[1]


def correlation_of(covariance: np.ndarray) -> np.ndarray:
    sd = np.sqrt(np.diag(covariance))
    return covariance / np.outer(sd, sd)


def assert_draws_near(
    draws: Mapping[str, np.ndarray], expected: Mapping[str, tuple[float, float, float, float]]
) -> None:
    """Hold draws to a posterior that is known by its means and standard deviations and the errors of both.

    Of the known errors, the degrees of freedom and correlations are taken to be as those of the draws.
    """
    own = Moments.of([draws[name] for name in expected])
    known = np.array([expected[name] for name in expected]).T
    assert_moments_near(own, replace(own, values=known[:2], errors=known[2:]), list(expected))


def assert_moments_near(one: Moments, other: Moments, names: Sequence[str]) -> None:
    """Each figure by itself, and all together, which notices a small bias of many."""
    scores, R = scores_of(one, other)
    told = [f"the {statistic} of {name}" for statistic in ("mean", "sd") for name in names]
    assert_likely(2 * stats.norm.sf(scores), told)
    for each, correlations in zip(scores, R, strict=True):
        weights = np.linalg.eigvalsh(correlations)
        assert_likely(weighted_chi2_sf(np.sum(each**2), weights), ["all together"])


def scores_of(one: Moments, other: Moments) -> tuple[np.ndarray, np.ndarray]:
    """How far two are apart, shape (2, p), and the correlations of that, shape (2, p, p).

    In standard errors these are t distributed, with degrees of freedom by Welch's and Satterthwaite's formula. So
    heavy a tail in one of many would be all of their sum of squares: each is brought to where a normal variable has
    the same probability beyond.
    """
    variances = np.array([one.errors**2, other.errors**2])
    total = variances.sum(axis=0)
    df = total**2 / np.sum(variances**2 / [one.df, other.df], axis=0)
    scores = stats.norm.isf(stats.t(df).sf(np.abs(one.values - other.values) / np.sqrt(total)))
    shares = np.sqrt(variances / total)
    R = sum(
        share[:, :, None] * each.correlations * share[:, None]
        for share, each in zip(shares, (one, other), strict=True)
    )
    return scores, R


def weighted_chi2_sf(q: float, weights: np.ndarray) -> float:
    """P(sum of weights times squares of independent normal variables > q), by a saddlepoint.

    Two moments (Satterthwaite) are not enough: far out the largest weight decides. Source: Kuonen (1999),
    Saddlepoint approximations for distributions of quadratic forms in normal variables.
    """
    weights = weights[weights > 1e-12 * weights.max()]
    if not q > 0:
        return 1.0 if q == 0 else np.nan
    mean = weights.sum()
    if abs(q / mean - 1) < 1e-3:  # where the formula is 0 / 0
        q = 1.001 * mean

    def slope(zeta: float) -> float:
        return float(np.sum(weights / (1 - 2 * zeta * weights))) - q

    most = 1 / (2 * weights.max())
    zeta = optimize.brentq(slope, -len(weights) / q, most * (1 - 1e-12), xtol=1e-15)
    cumulant = -0.5 * np.sum(np.log1p(-2 * zeta * weights))
    w = np.sign(zeta) * np.sqrt(2 * (zeta * q - cumulant))
    v = zeta * np.sqrt(2 * np.sum((weights / (1 - 2 * zeta * weights)) ** 2))
    return float(stats.norm.sf(w + np.log(v / w) / w))


def assert_same_posterior(one: mb.Fit, other: mb.Fit) -> None:
    """Hold the means and standard deviations of all parameters of two fits to each other."""
    ours, theirs = draws_by_address(one), draws_by_address(other)
    assert set(ours) == set(theirs)
    assert_same_draws(ours, theirs)


def assert_same_draws(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> None:
    """Hold the means and standard deviations of draws of the same names to each other."""
    assert_moments_near(*(Moments.of([each[name] for name in ours]) for each in (ours, theirs)), list(ours))


def assert_mixed(fit: mb.Fit, draws: int = 400) -> None:
    """Hold R-hat to what chains of so many effective draws have, and the effective draws to that number.

    R-hat^2 - 1 is the variance between c half chains over that within, which is c / draws times a chi-squared
    variable with c - 1 degrees of freedom over these; less c / draws.
    """
    table = fit.tidy()
    c = 2 * fit.posterior.sizes["chain"]
    largest = stats.chi2(c - 1).isf(FAIL / len(table)) / (c - 1)
    assert table["ess_bulk"].min() > draws
    assert table["rhat"].max() < np.sqrt(1 + (largest - 1) * c / draws)
