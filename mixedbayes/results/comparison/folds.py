"""How well a fit predicts rows that it has not seen, by fitting without them: k-fold cross-validation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mixedbayes.arguments import seed_of, whole
from mixedbayes.errors import ArgumentError, DataError, counted, listed, shown
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.comparison.elpd import Elpd, elpd_of, log_mean_exp
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows.log_likelihood import log_likelihood_of
from mixedbayes.results.rows.predictor import predictor_of
from mixedbayes.results.rows.row_groups import group_rows
from mixedbayes.work import Work, somebody_watches

type Refit = Callable[[tuple[int, np.ndarray]], np.ndarray]


def kfold(fit: Fitted, k: int = 10, groups: Any = None, seed: int | None = None) -> Elpd:
    """K-fold cross-validation: fit the model k times, each time without one fold of the rows, and predict these.

    Args:
        k: Folds.
        groups: As in `loo`, or a list of such: levels are not taken apart, so that rows of one are in one fold.
        seed: Of the folds and draws.

    Returns:
        The expected log predictive density, by row; priors and centring are those of the whole fit.

    Raises:
        ArgumentError: An unknown group, or too few rows or groups for k folds.
    """
    seed_of(seed)
    folds = _folds(fit.spec, k, groups, np.random.default_rng(seed))
    design, predictor = fit.spec.design, predictor_of(fit)
    elpd, numbers = np.empty(design.n), np.empty(design.n, dtype=np.int64)
    with Work(watched=somebody_watches()) as work:
        fits = work.each("Fitting folds", refitted(fit, seed), list(enumerate(folds)))
        for i, (rows, values) in enumerate(zip(folds, fits, strict=True)):
            elpd[rows], numbers[rows] = values, i
    full = log_mean_exp(log_likelihood_of(predictor, design.encoded, design.response.values))
    found = elpd_of("kfold", fit.spec, predictor.S, elpd, p=full - elpd)
    return replace(found, folds=pd.factorize(numbers)[0])


def refitted(fit: Fitted, seed: int | None) -> Refit:
    """A number and places of rows -> the log predictive densities of these, shape (m,), by a fit to the others."""
    without = fit.engine.without(fit.spec)

    def refit(numbered: tuple[int, np.ndarray]) -> np.ndarray:
        i, out = numbered
        check_determined(fit.spec, out)
        left = Fitted(fit.spec.only(out), without(out, seed_for(seed, i)), fit.engine)
        design = left.spec.design
        return log_mean_exp(log_likelihood_of(predictor_of(left), design.encoded, design.response.values))

    return refit


def check_determined(spec: ModelSpec, out: np.ndarray) -> None:
    """Refuse to leave out rows without which a coefficient with a flat prior is anything at all.

    Raises:
        DataError: There is such a coefficient.
    """
    lost = spec.undetermined(out)
    if lost:
        raise DataError(
            f"Without {counted(len(out), 'row')} that are left out nothing says what {listed(lost)} is, "
            "and its prior is flat, so there is no prediction: give it a proper prior."
        )


def _folds(spec: ModelSpec, k: int, groups: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows in k folds of nearly equal size, at random; those of a group all in one."""
    k = whole("k", k, least=2)
    n = spec.design.n
    several = groups if isinstance(groups, list | tuple) else [groups]
    units = (
        np.arange(n) if groups is None else _whole([group_rows(spec, group)[1] for group in several], groups)
    )
    number = units.max() + 1
    if k > number:
        raise ArgumentError(
            f"There are {counted(int(number), 'row' if groups is None else 'group')}, too few for {shown(k)} folds."
        )
    order, sizes = rng.permutation(number), np.bincount(units)
    fold, filled = np.empty(number, dtype=int), np.zeros(k)
    for unit in order[np.argsort(-sizes[order], kind="stable")]:  # the largest first, each into the emptiest
        fold[unit] = np.argmin(filled)
        filled[fold[unit]] += sizes[unit]
    return [np.flatnonzero(fold[units] == i) for i in range(k)]


def _whole(codes: list[np.ndarray], groups: Any) -> np.ndarray:
    """The smallest sets of rows that share no level of any factor, numbered."""
    if not codes:
        raise ArgumentError("groups names no factor: groups='school', a list of names, or None.")
    ends = np.cumsum([0, *(int(code.max()) + 1 for code in codes)])
    n = len(codes[0])
    rows = np.concatenate([np.arange(n)] * len(codes))
    columns = n + np.concatenate([code + end for code, end in zip(codes, ends[:-1], strict=True)])
    size = n + int(ends[-1])
    joined = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    number, labels = sparse.csgraph.connected_components(joined, directed=False)
    if number == 1 and len(codes) > 1:
        raise ArgumentError(
            f"The factors {listed(map(str, groups))} are crossed: no folds keep the levels of all of them whole. Choose one."
        )
    return pd.factorize(labels[:n])[0]


def seed_for(seed: int | None, i: int) -> int | None:
    """A seed for each refit; none if there is none."""
    return None if seed is None else int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
