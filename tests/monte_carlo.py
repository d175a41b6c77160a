"""Random figures, held to thresholds that are computed from their Monte Carlo error.

A figure is brought to a p-value: how often a right program is so far off, or farther. One in a thousand is told
among pytest's warnings, for somebody to look at; one in a million fails. Source: DynamicHMC.jl's tests of
correctness, which have an alert and a fail threshold.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike
from scipy import stats

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
    found: ArrayLike, expected: ArrayLike, error: ArrayLike, names: Sequence[str] | None = None
) -> None:
    """Hold figures to what is expected of them, given their standard errors."""
    distance = np.abs(np.subtract(found, expected) / error)
    assert_likely(2 * stats.norm.sf(distance), names)


def errors(draws: np.ndarray) -> tuple[float, float]:
    """The Monte Carlo errors of the mean and of the standard deviation of draws, shape (chain, draw)."""
    mean, sd = (float(array_stats.mcse(draws, method=method, **AXES)) for method in ("mean", "sd"))
    return mean, sd


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


def assert_draws_near(
    draws: Mapping[str, np.ndarray], expected: Mapping[str, tuple[float, float, float, float]]
) -> None:
    """Hold draws to a posterior that is known by its means and standard deviations and the errors of both.

    Each figure by itself, and all together, which notices a small bias of many. Parameters are correlated, so the
    mean square of their distances is chi-squared with fewer degrees of freedom, by Satterthwaite's approximation.
    """
    names = list(expected)
    own = np.array([[draws[name].mean(), draws[name].std(), *errors(draws[name])] for name in names])
    known = np.array([expected[name] for name in names])
    z = (own[:, :2] - known[:, :2]) / np.hypot(own[:, 2:], known[:, 2:])
    assert_near(z.T, 0, 1, [f"the {statistic} of {name}" for statistic in ("mean", "sd") for name in names])
    deviations = np.array([draws[name].ravel() for name in names]) - own[:, :1]
    for of, distances in zip((deviations, deviations**2), z.T, strict=True):
        df = len(names) ** 2 / np.sum(np.atleast_2d(np.corrcoef(of)) ** 2)
        assert_likely(stats.chi2(df).sf(df * np.mean(distances**2)), ["all together"])


def assert_same_posterior(one: mb.Fit, other: mb.Fit) -> None:
    """Hold the means and standard deviations of all parameters of two fits to each other."""
    ours, theirs = draws_by_address(one), draws_by_address(other)
    assert set(ours) == set(theirs)
    assert_draws_near(ours, {name: (x.mean(), x.std(), *errors(x)) for name, x in theirs.items()})


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
