"""Shares of variance: Bayesian R2 and the intraclass correlation, draw by draw."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.language.formula import MEAN
from mixedbayes.models.links import Link
from mixedbayes.models.spec import BlockSpec, ModelSpec
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.quantities import RESIDUAL, apart
from mixedbayes.results.posterior.summary import estimate
from mixedbayes.results.rows.predictor import Predictor, predictor_of


def bayes_r2(fit: Fitted, conf_level: float = 0.95) -> pd.DataFrame:
    """The share of variance explained: `conditional` with the groups' effects, `marginal` without them.

    With f the mean of each row, f0 that of the population, and v the mean residual variance over rows,

        conditional = var(f) / (var(f) + v),   marginal = var(f0) / (var(f0) + var(f - f0) + v).

    Returns:
        Columns estimate, std_error, conf_low, conf_high. Source: Gelman et al. (2019), R-squared for Bayesian
        regression models, eq. 3; marginal and conditional as Nakagawa & Schielzeth (2013).
    """
    predictor, population = predictor_of(fit), predictor_of(fit, groups=None)
    if predictor.S != population.S:  # not all draws of the effects were kept
        population = _at(population, predictor)
    design = fit.spec.design
    trials = design.response.trials
    tried = np.arange(design.n) if trials is None else np.flatnonzero(trials)  # no trial, no share
    rows = design.only(tried).encoded
    centres: list[np.ndarray] = []  # of the first rows: squares about zero lose the digits of a large mean
    sums, squares, noise = np.zeros((3, predictor.S)), np.zeros((3, predictor.S)), np.zeros(predictor.S)
    for at in predictor.pieces(len(rows)):
        part = rows.part(at)
        many = 1.0 if part.trials is None else part.trials[:, None]
        values = predictor.values(part)
        f = predictor.likelihood.mean(values) / many
        f0 = population.mean(part)
        noise += np.broadcast_to(predictor.variance(values) / many**2, f.shape).sum(axis=0)
        parts = (f, f0, f - f0)
        centres = centres or [each.mean(axis=0) for each in parts]
        apart = [each - centre for each, centre in zip(parts, centres, strict=True)]
        sums += [x.sum(axis=0) for x in apart]
        squares += [np.square(x).sum(axis=0) for x in apart]
    n = len(rows)
    fitted, fixed, random = np.maximum(squares - sums**2 / n, 0.0) / max(n - 1, 1)
    noise /= n
    with np.errstate(invalid="ignore"):
        shares = [fitted / (fitted + noise), fixed / (fixed + random + noise)]
    return _table(["conditional", "marginal"], shares, conf_level).rename_axis("r2")


def icc(fit: Fitted, conf_level: float = 0.95) -> pd.DataFrame:
    """The share of each group, and of the residual, in the variance that the fixed effects leave.

    Effects of a predictor count with its values: a block's variance is the mean of z'Sigma z over rows. The
    residual variance is that of the latent variable where the response counts signs of one (pi^2/3 for logit), else
    that of the response over the squared slope of the inverse link, at the mean of the response.

    Returns:
        Columns estimate, std_error, conf_low, conf_high by group, on the scale of the linear predictor. Source:
        Nakagawa, Johnson & Schielzeth (2017); Johnson (2014).
    """
    spec = fit.spec
    constant = spec.link.name == "identity" and spec.residual is not None and not _beside(spec)
    needs_mean = spec.latent_variance is None and not constant
    predictor = predictor_of(fit, groups="all" if needs_mean else None)
    groups: dict[str, Any] = {}
    for block_spec in spec.blocks:
        block = block_spec.block
        own = block.places(MEAN)
        if not own:
            continue
        X = np.where(np.isin(np.arange(block.X.shape[1]), own), block.X, 0.0)  # of the mean's effects alone
        squares = X.T @ X / len(X)
        variance = _of_effects(block_spec, fit.posterior.sel(draw=predictor.draws), squares)
        groups[block.group] = groups.get(block.group, 0.0) + variance
    groups[apart(RESIDUAL, spec)] = _residual(spec.link, predictor)
    total = sum(groups.values())
    shares = {name: variance / total for name, variance in groups.items()}
    return _table(shares, shares.values(), conf_level).rename_axis("group")


def _of_effects(block: BlockSpec, posterior: xr.Dataset, squares: np.ndarray) -> np.ndarray:
    """The mean of z'Sigma z, of which squares are the mean of zz', shape (S,); Sigma is the covariance of a block's effects."""
    sd = posterior[block.sd].transpose(block.effect, "chain", "draw").to_numpy().reshape(block.q, -1)
    if not block.is_correlated:
        return np.asarray(np.diag(squares) @ sd**2)
    correlation = (
        posterior[block.correlation].transpose(block.effect, block.other, "chain", "draw").to_numpy()
    )
    covariance = correlation.reshape(*correlation.shape[:2], -1) * sd[:, None] * sd
    return np.asarray(np.einsum("abs,ab->s", covariance, squares))


def _residual(link: Link, predictor: Predictor) -> np.ndarray:
    """The residual variance on the scale of the linear predictor, shape (S,)."""
    family, spec = predictor.spec.family, predictor.spec
    if (latent := spec.latent_variance) is not None:
        return np.full(predictor.S, latent)
    if family.residual is not None and link.name == "identity" and not _beside(spec):
        return np.square(_means(predictor, [family.residual], squares=True)[family.residual])
    at_mean = {
        name: spec.predictors[name].link.link(mean)[None]
        for name, mean in _means(predictor, list(spec.predictors)).items()
    }
    eta = at_mean[MEAN]
    step = 1e-5 * np.maximum(1.0, np.abs(eta))
    after, before = (
        family.mean(predictor.values_at({**at_mean, MEAN: moved})) for moved in (eta + step, eta - step)
    )
    variance = _variance(predictor) if _beside(spec) else predictor.variance(predictor.values_at(at_mean))
    return np.broadcast_to(variance / np.square((after - before) / (2 * step)), (1, predictor.S))[0]


def _beside(spec: ModelSpec) -> bool:
    """Whether the variance of a response depends on what stands beside it, but for the number of trials."""
    return bool(spec.family.additions & spec.design.response.additions.keys() - {"trials"})


def _variance(predictor: Predictor) -> np.ndarray:
    """The mean over rows of the variance of a response, shape (1, S)."""
    rows, total = predictor.spec.design.encoded, np.zeros(predictor.S)
    for at in predictor.pieces(len(rows)):
        part = rows.part(at)
        found = predictor.variance(predictor.values(part))
        total += np.broadcast_to(found, (len(part), predictor.S)).sum(axis=0)
    return total[None] / len(rows)


def _means(predictor: Predictor, names: Sequence[str], *, squares: bool = False) -> dict[str, np.ndarray]:
    """The means over rows of parameters of the family, or the roots of their mean squares, shape (S,)."""
    rows = predictor.spec.design.encoded
    sums = {name: np.zeros(predictor.S) for name in names}
    for at in predictor.pieces(len(rows)):
        part = rows.part(at)
        values = predictor.values(part)
        for name in names:
            found = np.broadcast_to(values[name], (len(part), predictor.S))
            sums[name] += (found**2 if squares else found).sum(axis=0)
    means = {name: total / len(rows) for name, total in sums.items()}
    return {name: np.sqrt(mean) if squares else mean for name, mean in means.items()}


def _at(population: Predictor, predictor: Predictor) -> Predictor:
    """The population's draws that are those of the predictor."""
    place = np.searchsorted(population.draws, predictor.draws)
    each = np.arange(len(population.chains))[:, None] * len(population.draws) + place
    return population.some(each.ravel())


def _table(names: Iterable[str], shares: Iterable[np.ndarray], conf_level: float) -> pd.DataFrame:
    return estimate(np.stack(list(shares), axis=-1)[None], conf_level).set_axis(pd.Index(list(names)))
