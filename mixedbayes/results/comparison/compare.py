"""Fits side by side: differences of their expected log predictive densities, and stacking weights."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from arviz_stats.loo.compare import compare as arviz_compare

from mixedbayes.arguments import one_of
from mixedbayes.errors import ArgumentError, DataError, counted, listed
from mixedbayes.results.comparison.elpd import Elpd
from mixedbayes.results.comparison.folds import kfold
from mixedbayes.results.comparison.loo import dic, loo, waic
from mixedbayes.results.fitted import Fitted

type Criterion = Literal["loo", "waic", "dic", "kfold"]
CRITERIA: Mapping[str, Callable[[Fitted], Elpd]] = {
    "loo": loo,
    "waic": waic,
    "dic": dic,
    "kfold": partial(kfold, seed=0),  # the same folds for all
}


def compare(fits: Mapping[str, Fitted | Elpd], by: Criterion = "loo") -> pd.DataFrame:
    """Compare fits of the same rows by how well they predict.

    Args:
        fits: By name, fits or what their `loo()`, `waic()`, `dic()`, `kfold()` returned (so that folds or groups
            can be chosen).
        by: The criterion for fits: `"loo"`, `"waic"`, `"dic"`, `"kfold"` (of ten folds, the same for all). Of what
            `loo()` and others returned it can only be theirs.

    Returns:
        ArviZ's comparison, the best first, indexed by name: rank, elpd, se, p (effective parameters), elpd_diff
        and its standard error dse, p_worse, weight (stacking), and what to beware of (diag_diff, diag_elpd).

    Raises:
        DataError: The fits are not of the same rows of the same response.
        ArgumentError: Fewer than two of them, an unknown criterion, or different ones, or different folds.
    """
    if not isinstance(fits, Mapping) or len(fits) < 2:
        raise ArgumentError("compare takes two fits or more by name: compare({'pooled': a, 'slopes': b}).")
    one_of("by", by, CRITERIA)
    wrong = [name for name, fit in fits.items() if not isinstance(fit, Fitted | Elpd)]
    if wrong:
        raise ArgumentError(f"{listed(map(repr, wrong))} is no fit, nor what loo() returns.")
    names = [str(name) for name in fits]
    if len(set(names)) < len(names):
        raise ArgumentError(f"Two fits have one name: {listed(names)}.")
    given = {name: fit.criterion for name, fit in fits.items() if isinstance(fit, Elpd)}
    other = next((name for name, criterion in given.items() if criterion != by), None)
    if by != "loo" and other is not None:
        raise ArgumentError(
            f"by={by!r} is for fits, and {other!r} has its criterion, {given[other]}: pass the fit, or leave by out."
        )
    found = {str(name): fit if isinstance(fit, Elpd) else CRITERIA[by](fit) for name, fit in fits.items()}
    _check_same(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each fit has said what is wrong with its own weights
        table = arviz_compare(dict(found), round_to="none")
    order = ("rank", "elpd", "se", "p", "elpd_diff", "dse", "p_worse", "weight", "diag_diff", "diag_elpd")
    return table[list(order)].rename_axis("fit")


def _check_same(found: Mapping[str, Elpd]) -> None:
    first, *others = found
    one = found[first]
    for name, each in found.items():
        wrong = int((~np.isfinite(np.asarray(each.elpd_i))).sum())
        if wrong:
            raise DataError(
                f"{name!r} gives no finite density to {counted(wrong, 'row')}, and does not compare."
            )
    for name in others:
        other = found[name]
        if one.criterion != other.criterion:
            raise ArgumentError(
                f"{first!r} is by {one.criterion} and {name!r} by {other.criterion}: use one criterion."
            )
        if one.n_data_points != other.n_data_points:
            unit = "group" if one.criterion == "logo" else "row"
            raise DataError(
                f"{first!r} is of {counted(one.n_data_points, unit)} and {name!r} of {counted(other.n_data_points, unit)}; "
                "only fits of the same rows compare. Drop rows with missing values before fitting."
            )
        if not _are_equal(one.folds, other.folds):
            raise ArgumentError(
                f"{first!r} and {name!r} are by different folds: give kfold() the same k, groups and seed for both."
            )
        same = len(one.data) == len(other.data) and all(map(np.array_equal, one.data, other.data))
        if not same:
            raise DataError(
                f"{first!r} and {name!r} are not of the same response in the same rows; only fits of the same data compare."
            )


def _are_equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
