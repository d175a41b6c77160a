"""Fits as data frames: broom.mixed's tidy table, and what lme4 users know by name."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.errors import ArgumentError, is_one_of, listed, shown
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.posterior.quantities import (
    RESIDUAL,
    Quantities,
    apart,
    coefs,
    fixed,
    posterior_of,
    ran_pars,
    ran_vals,
)
from mixedbayes.results.posterior.summary import STATISTICS, estimate, summarise

KINDS = {"fixed": fixed, "ran_pars": ran_pars, "ran_vals": ran_vals}
COLUMNS = ("effect", "component", "group", "level", "term", *STATISTICS)


def tidy(
    spec: ModelSpec, idata: xr.DataTree, effects: str | Sequence[str], conf_level: float, *, robust: bool
) -> pd.DataFrame:
    """One row a parameter, in broom.mixed's columns with underscores."""
    asked = named(effects)
    unknown = [name for name in asked if not is_one_of(name, KINDS)]
    if unknown or not asked:
        raise ArgumentError(
            f"effects are some of {listed(KINDS)}; {listed(map(shown, unknown)) or 'none'} was asked for."
        )
    rows = [
        _labelled(
            quantities, summarise(quantities.draws, conf_level, robust=robust, moments=quantities.moments)
        )
        for kind in KINDS
        if kind in asked
        for quantities in KINDS[kind](spec, idata)
    ]
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(rows, ignore_index=True)[list(COLUMNS)]


def named(effects: str | Sequence[str]) -> list[str]:
    """The effects asked for, one or several."""
    several = (
        isinstance(effects, Iterable) and not isinstance(effects, str) and getattr(effects, "ndim", 1) == 1
    )
    # some tell what range(10**12) is as well as all do
    return list(islice(effects, 100)) if several else [effects]  # type: ignore[list-item]


def fixef(spec: ModelSpec, idata: xr.DataTree, conf_level: float, *, robust: bool) -> pd.DataFrame:
    """Population-level coefficients, indexed by term."""
    return _indexed(fixed(spec, idata), ["term"], conf_level, robust=robust)


def ranef(spec: ModelSpec, idata: xr.DataTree, conf_level: float, *, robust: bool) -> pd.DataFrame:
    """Each level's deviations, indexed by group, level and term."""
    return _indexed(ran_vals(spec, idata), ["group", "level", "term"], conf_level, robust=robust)


def coef(spec: ModelSpec, idata: xr.DataTree, conf_level: float, *, robust: bool) -> pd.DataFrame:
    """Each level's coefficients, indexed by group, level and term."""
    return _indexed(coefs(spec, idata), ["group", "level", "term"], conf_level, robust=robust)


def varcorr(spec: ModelSpec, idata: xr.DataTree, conf_level: float, *, robust: bool) -> pd.DataFrame:
    """lme4's `as.data.frame(VarCorr(fit))`, with uncertainty: variances and covariances, sds and correlations."""
    rows: list[pd.DataFrame] = []
    posterior = posterior_of(idata)
    for block in spec.blocks:
        columns = block.block.columns
        sd = posterior[block.sd].transpose("chain", "draw", ...).to_numpy()
        pairs = [(k, k) for k in range(len(columns))]
        shown, covariance = sd, sd**2
        if block.cor:
            i, j = np.triu_indices(len(columns), 1)
            cor = posterior[block.correlation].transpose("chain", "draw", ...).to_numpy()[..., i, j]
            pairs += list(zip(i.tolist(), j.tolist(), strict=True))
            shown = np.concatenate([shown, cor], axis=-1)
            covariance = np.concatenate([covariance, cor * sd[..., i] * sd[..., j]], axis=-1)
        names = [(columns[a], columns[b] if a != b else None) for a, b in pairs]
        rows.append(_variances(block.block.name, names, covariance, shown, conf_level, robust=robust))
    if "sigma" in posterior:
        sigma = posterior["sigma"].transpose("chain", "draw").to_numpy()[..., None]
        rows.append(
            _variances(apart(RESIDUAL, spec), [(None, None)], sigma**2, sigma, conf_level, robust=robust)
        )
    if not rows:
        return pd.DataFrame(columns=["group", "var1", "var2", "vcov", "sdcor", *STATISTICS[1:4]])
    return pd.concat(rows, ignore_index=True)


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
        "component": "cond",
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
    rows: Iterator[pd.DataFrame] = (
        _labelled(q, estimate(q.draws, conf_level, robust=robust, moments=q.moments)) for q in each
    )
    found = list(rows)
    columns = [*index, *STATISTICS[:4]]
    frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
    return frame[columns].set_index(index)
