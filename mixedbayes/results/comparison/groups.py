"""How well a fit predicts groups that it has not seen: the joint predictive density of all rows of each."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp

from mixedbayes.errors import ArgumentError, ConvergenceWarning, counted, warn
from mixedbayes.results.comparison.elpd import Elpd, elpd_of
from mixedbayes.results.comparison.folds import check_determined, seed_for
from mixedbayes.results.comparison.group_density import log_predictive
from mixedbayes.results.comparison.psis import good_k, leave_out_weights
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows.row_groups import group_rows
from mixedbayes.sampling import LeftOut
from mixedbayes.work import Work, somebody_watches

type LeaveOut = Callable[[tuple[int, np.ndarray]], tuple[float, float]]
"""A number and the places of a group's rows -> log p(y_out | y_in) and the Pareto k that it rests on."""


def leave_groups_out(fit: Fitted, group: Any, seed: int | None) -> Elpd:
    """Leave one group out: the joint predictive density of all its rows, given those of the others.

    In closed form where there is one, else by fits without each group.

    Args:
        fit: Of all rows.
        group: As `group_rows` takes it.
        seed: Of what is drawn again.

    Raises:
        ArgumentError: An unknown group, or only one.
        DataError: Without some group nothing says what a coefficient with a flat prior is.
    """
    spec = fit.spec
    index, codes = group_rows(spec, group)
    members = [np.flatnonzero(codes == code) for code in range(len(index))]
    if len(index) < 2:
        raise ArgumentError(
            f"All rows are of one group, {index[0]}: without it there is nothing to predict from."
        )
    closed = fit.engine.leave_out(spec, fit.idata)
    with Work(watched=somebody_watches()) as work:
        leave_out = _by_refits(fit, seed) if closed is None else _in_closed_form(fit, closed)
        found = list(work.each("Leaving groups out", leave_out, list(enumerate(members))))
    elpd, k = map(np.array, zip(*found, strict=True))
    S = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    bad = int((~(k <= good_k(S))).sum())
    if bad:
        warn(
            f"The importance weights of {counted(bad, 'group')} are not to be trusted (Pareto k over {good_k(S):.2f}): "
            "kfold(groups=) scores its rows one by one, by a fit without it.",
            ConvergenceWarning,
        )
    return elpd_of("logo", spec, S, elpd, k=k, groups=(index, codes))


def _in_closed_form(fit: Fitted, closed: LeftOut) -> LeaveOut:
    """Over the fit's own draws of the variances, by importance sampling; over draws without the group where that fails."""

    def leave_out(numbered: tuple[int, np.ndarray]) -> tuple[float, float]:
        _, out = numbered
        check_determined(fit.spec, out)
        values = closed.at_draws(out)
        weights, k = leave_out_weights(values[None], 1.0)
        if not k[0] <= good_k(len(values)):
            return closed.exactly(out)
        return float(logsumexp(weights[0] + values)), float(k[0])

    return leave_out


def _by_refits(fit: Fitted, seed: int | None) -> LeaveOut:
    """Over draws from the posterior of the other rows."""
    without = fit.engine.without(fit.spec)

    def leave_out(numbered: tuple[int, np.ndarray]) -> tuple[float, float]:
        i, out = numbered
        check_determined(fit.spec, out)
        own = seed_for(seed, i)
        return log_predictive(fit, without(out, own), out, own)

    return leave_out
