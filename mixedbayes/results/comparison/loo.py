"""How well a fit predicts rows that it has not seen, from its own draws: LOO, WAIC and DIC."""

from typing import Any

import numpy as np
from scipy.special import logsumexp

from mixedbayes.arguments import flag, seed_of
from mixedbayes.errors import ArgumentError, ConvergenceWarning, counted, warn
from mixedbayes.results.comparison.elpd import Elpd, elpd_of, log_mean_exp
from mixedbayes.results.comparison.folds import refitted
from mixedbayes.results.comparison.groups import leave_groups_out
from mixedbayes.results.comparison.psis import good_k, leave_out_weights, relative_efficiency
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows.predictor import predictor_of
from mixedbayes.work import Work, somebody_watches


def loo(fit: Fitted, groups: Any = None, reloo: bool = False, seed: int | None = None) -> Elpd:
    """Leave-one-out cross-validation: how well each row is predicted from the others, or each group from the others.

    Args:
        groups: A group of the model, a factor among its columns, or a column with a value for each row of the
            data, `radon["county"]`: leave out one level at a time, and predict its rows jointly. None leaves out
            one row at a time.
        reloo: Whether rows whose importance weights are not to be trusted are left out by fitting the model
            again without each of them. Groups are, without being asked for.
        seed: Of what is drawn again.

    Returns:
        The expected log predictive density with its standard error and the Pareto k; `.pointwise` by row (or
        group) and `.table`. Rows are left out by Pareto-smoothed importance sampling. Groups in closed form
        where the model is Gaussian given its variances; else the model is fitted again without each of them.

    Raises:
        ArgumentError: An unknown group; or reloo with groups.
    """
    flag("reloo", reloo)
    seed_of(seed)
    if groups is None:
        return _leave_rows_out(fit, reloo=reloo, seed=seed)
    if reloo:
        raise ArgumentError(
            "reloo=True is for rows left out one by one; loo(groups=) draws anew where it must, unasked. Leave reloo out."
        )
    return leave_groups_out(fit, groups, seed)


def _leave_rows_out(fit: Fitted, *, reloo: bool, seed: int | None) -> Elpd:
    """Pareto-smoothed importance sampling; if asked, a fit to the other rows where that fails."""
    design, predictor, r_eff = fit.spec.design, predictor_of(fit), relative_efficiency(fit)
    rows, y, n = design.encoded, design.response.values, design.n
    pieces = predictor.pieces(n)

    def smooth(at: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values = predictor.log_density(rows.part(at), y[at])
        weights, k = leave_out_weights(values, r_eff)
        return logsumexp(weights + values, axis=1), log_mean_exp(values), k

    with Work(watched=somebody_watches()) as work:
        found = list(work.each("Smoothing weights", smooth, pieces))
        elpd, lppd, k = (np.concatenate([piece[i] for piece in found]) for i in range(3))
        bad = np.flatnonzero(~(k <= good_k(predictor.S)))
        if len(bad) and reloo:
            outs = [bad[[i]] for i in range(len(bad))]
            refits = work.each("Refitting", refitted(fit, seed), list(enumerate(outs)))
            for i, value in zip(bad, refits, strict=True):
                elpd[i], k[i] = value[0], 0.0
    if len(bad) and not reloo:
        warn(
            f"The importance weights of {counted(len(bad), 'row')} are not to be trusted (Pareto k over {good_k(predictor.S):.2f}); "
            "loo(reloo=True) refits the model without each of them.",
            ConvergenceWarning,
        )
    return elpd_of("loo", fit.spec, predictor.S, elpd, p=lppd - elpd, k=k)


def waic(fit: Fitted) -> Elpd:
    """The widely applicable information criterion, by row, on the scale of log densities; `loo()` is more robust.

    Source: Watanabe (2010); Gelman, Hwang & Vehtari (2014), eq. 12 to 14.
    """
    design, predictor = fit.spec.design, predictor_of(fit)
    rows, y = design.encoded, design.response.values
    elpd, p = np.empty(design.n), np.empty(design.n)
    for at in predictor.pieces(design.n):
        values = predictor.log_density(rows.part(at), y[at])
        p[at] = values.var(axis=1)
        elpd[at] = log_mean_exp(values) - p[at]
    high = int((p > 0.4).sum())
    if high:
        warn(
            f"p_waic is over 0.4 in {counted(high, 'row')}: WAIC is not to be trusted; use loo().",
            ConvergenceWarning,
        )
    return elpd_of("waic", fit.spec, predictor.S, elpd, p=p)


def dic(fit: Fitted) -> Elpd:
    """The deviance information criterion, on the scale of log densities: -2 elpd is DIC as BUGS has it.

    It is measured at the means of the linear predictors and of the other parameters, and not over draws. Source:
    Spiegelhalter et al. (2002).
    """
    design, predictor = fit.spec.design, predictor_of(fit)
    rows, y = design.encoded, design.response.values
    centre = {name: values.mean(axis=-1, keepdims=True) for name, values in predictor.parameters.items()}
    elpd, p = np.empty(design.n), np.empty(design.n)
    for at in predictor.pieces(design.n):
        part = rows.part(at)
        etas = predictor.etas(part)
        values = predictor.log_density(part, y[at], etas)
        means = {name: eta.mean(axis=1, keepdims=True) for name, eta in etas.items()}
        at_mean = predictor.log_density(part, y[at], means, centre)[:, 0]
        p[at] = 2 * (at_mean - values.mean(axis=1))
        elpd[at] = at_mean - p[at]
    return elpd_of("dic", fit.spec, predictor.S, elpd, p=p)
