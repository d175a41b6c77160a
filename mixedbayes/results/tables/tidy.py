"""Fits as data frames: broom.mixed's tidy table, a summary as printed, and what lme4 users know by name."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mixedbayes.arguments import some_of
from mixedbayes.errors import PartialDrawsWarning, warn
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.layout import by_draw
from mixedbayes.results.posterior.quantities import (
    RESIDUAL,
    Quantities,
    apart,
    before_terms,
    coefs,
    component_of,
    fixed,
    printed,
    ran_pars,
    ran_vals,
)
from mixedbayes.results.posterior.record import describe_draws
from mixedbayes.results.posterior.summary import STATISTICS, estimate, summarise

KINDS = {"fixed": fixed, "ran_pars": ran_pars, "ran_vals": ran_vals}
COLUMNS = ("effect", "component", "group", "level", "term", *STATISTICS)


def tidy(
    fit: Fitted,
    effects: str | Sequence[str] = ("fixed", "ran_pars", "ran_vals"),
    conf_level: float = 0.95,
    robust: bool = False,
) -> pd.DataFrame:
    """One row a parameter, in broom.mixed's columns with underscores.

    Args:
        effects: Some of `fixed` (coefficients), `ran_pars` (standard deviations `sd__x` and
            correlations `cor__x.z` by group, and of the residual), `ran_vals` (each level's deviations).
        conf_level: Mass of the equal-tailed interval.
        robust: Median and scaled median absolute deviation in place of mean and standard deviation.

    Returns:
        Columns effect, component, group, level, term, estimate, std_error, conf_low, conf_high, rhat,
        ess_bulk, ess_tail, on the scale of the linear predictor.

    Raises:
        ArgumentError: An unknown effect, or a conf_level outside (0, 1).
    """
    asked = some_of("effects", effects, KINDS)
    if "ran_vals" in asked:
        _say_what_was_kept(fit)
    each = (quantities for kind in KINDS if kind in asked for quantities in KINDS[kind](fit))
    return _table(each, conf_level, robust=robust)


def summary(fit: Fitted, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
    """The tables of a printed fit as one: coefficients, standard deviations, correlations, and not each level's effects.

    Args:
        conf_level: Mass of the equal-tailed interval.
        robust: Median and scaled median absolute deviation in place of mean and standard deviation.

    Returns:
        The columns of `tidy`, a row a parameter in the order of the print, under the name that it has there: `Days`,
        `sd(Days)`, `cor(Intercept, Days)`, `sigma`. Of several groups the column group tells which is whose.

    Raises:
        ArgumentError: A conf_level outside (0, 1).
    """
    each = list(printed(fit))
    labels = [label for quantities in each for label in quantities.labels]
    table = _table(each, conf_level, robust=robust)
    return table.set_axis(pd.Index(labels, name="parameter", dtype=object))


def fixef(fit: Fitted, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
    """Population-level coefficients: estimate, std_error, conf_low, conf_high, indexed by term.

    Those of another parameter than the mean have its name before theirs, `sigma.x`.
    """
    return _indexed(fixed(fit), ["term"], conf_level, robust=robust)


def ranef(fit: Fitted, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
    """Each level's deviations from the population, indexed by group, level and term.

    `fit.ranef()["estimate"].loc["Subject"].unstack()` is lme4's `ranef(fit)$Subject`.
    """
    _say_what_was_kept(fit)
    return _indexed(ran_vals(fit), ["group", "level", "term"], conf_level, robust=robust)


def coef(fit: Fitted, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
    """Each level's coefficients, population plus deviation, indexed by group, level and term."""
    _say_what_was_kept(fit)
    return _indexed(coefs(fit), ["group", "level", "term"], conf_level, robust=robust)


def varcorr(fit: Fitted, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
    """Variances and correlations as lme4's `as.data.frame(VarCorr(fit))` has them.

    Returns:
        Columns group, var1, var2, vcov (mean of the variance or covariance), sdcor (of the standard
        deviation or correlation), and std_error, conf_low, conf_high of sdcor.
    """
    rows: list[pd.DataFrame] = []
    posterior = fit.posterior
    for block in fit.spec.blocks:
        named = zip(block.block.predictors, block.block.terms, strict=True)
        columns = [f"{before_terms(component_of(of))}{name}" for of, name in named]
        sd = by_draw(posterior[block.sd])
        pairs = [(k, k) for k in range(len(columns))]
        shown, covariance = sd, sd**2
        if block.is_correlated:
            i, j = np.triu_indices(len(columns), 1)
            cor = by_draw(posterior[block.correlation])[..., i, j]
            pairs += list(zip(i.tolist(), j.tolist(), strict=True))
            shown = np.concatenate([shown, cor], axis=-1)
            covariance = np.concatenate([covariance, cor * sd[..., i] * sd[..., j]], axis=-1)
        names = [(columns[a], columns[b] if a != b else None) for a, b in pairs]
        rows.append(_variances(block.block.label, names, covariance, shown, conf_level, robust=robust))
    if fit.spec.residual is not None:
        sigma = by_draw(posterior[fit.spec.residual])[..., None]
        rows.append(
            _variances(apart(RESIDUAL, fit.spec), [(None, None)], sigma**2, sigma, conf_level, robust=robust)
        )
    if not rows:
        return pd.DataFrame(columns=["group", "var1", "var2", "vcov", "sdcor", *STATISTICS[1:4]])
    return pd.concat(rows, ignore_index=True)


def _say_what_was_kept(fit: Fitted) -> None:
    """Warn of what numbers on group effects rest on, where not all draws of these were kept."""
    partial = describe_draws(fit.idata).partial
    if partial:
        warn(partial, PartialDrawsWarning)


def _table(each: Iterable[Quantities], conf_level: float, *, robust: bool) -> pd.DataFrame:
    """A row a parameter, with all columns."""
    rows = [_labelled(q, summarise(q.draws, conf_level, robust=robust, moments=q.moments)) for q in each]
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(rows, ignore_index=True)[list(COLUMNS)]


def _variances(
    group: str,
    names: Sequence[tuple[str | None, str | None]],
    covariance: np.ndarray,
    shown: np.ndarray,
    conf_level: float,
    *,
    robust: bool,
) -> pd.DataFrame:
    labels = pd.DataFrame(
        {"group": group, "var1": [a for a, _ in names], "var2": [b for _, b in names]}, dtype=object
    )
    vcov = estimate(covariance, conf_level, robust=robust)["estimate"].rename("vcov")
    statistics = estimate(shown, conf_level, robust=robust).rename(columns={"estimate": "sdcor"})
    return pd.concat([labels, vcov, statistics], axis=1)


def _labelled(quantities: Quantities, statistics: pd.DataFrame) -> pd.DataFrame:
    """The statistics with the labels of their parameters in front."""
    labels = {
        "effect": quantities.effect,
        "component": quantities.component,
        "group": quantities.group,
        "level": pd.Series(list(quantities.levels), dtype=object),
        "term": list(quantities.terms),
    }
    frame = pd.DataFrame(labels, index=statistics.index)
    frame["group"] = frame["group"].astype(object)
    return pd.concat([frame, statistics], axis=1)


def _indexed(
    each: Iterable[Quantities], index: list[str], conf_level: float, *, robust: bool
) -> pd.DataFrame:
    found = [
        _labelled(
            replace(q, terms=[f"{before_terms(q.component)}{term}" for term in q.terms]),
            estimate(q.draws, conf_level, robust=robust, moments=q.moments),
        )
        for q in each
    ]
    columns = [*index, *STATISTICS[:4]]
    frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
    return frame[columns].set_index(index)
