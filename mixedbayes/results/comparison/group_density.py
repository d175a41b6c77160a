"""The joint predictive density of the rows of a group that a fit has not seen, for any family.

    p(y_g) = E_theta ∫ prod_i p(y_i | eta_i(theta) + z_i'u) N(u; 0, Sigma(theta)) du

over draws of theta given the other rows; u are the effects of the levels that occur in no other row. The
integral is by importance sampling: u is proposed from a t distribution about what the fit with these rows found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from scipy.special import gammaln, logsumexp

from mixedbayes.designs.design import Encoded
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.comparison.psis import leave_out_weights
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows.block_draws import BlockDraws
from mixedbayes.results.rows.predictor import predictor_of

NU = 7.0
"""Degrees of freedom of the proposal."""

SPREAD = 1.2
"""Times the posterior's covariance is the proposal's scale."""

REPEATS = 4
"""Values of u for each draw of theta."""


@dataclass(frozen=True, eq=False, slots=True)
class Fresh:
    """A block's levels that occur in no row beside those left out.

    Attributes:
        levels: Their places in the block.
        at: Where in u the effects of each begin.
    """

    block: str
    levels: np.ndarray
    at: np.ndarray


def log_predictive(
    fit: Fitted, without: xr.DataTree, out: np.ndarray, seed: int | None
) -> tuple[float, float]:
    """Log p(y_out | y_in), and the Pareto k of its weights.

    Args:
        fit: Of all rows.
        without: Draws given the other rows.
        out: Places of the rows left out.
        seed: Of u.
    """
    rng = np.random.default_rng(seed)
    left = Fitted(fit.spec.only(out), without, fit.engine)
    design = left.spec.design
    fresh, d = _fresh(fit.spec, out)
    predictor = predictor_of(left, new_levels="population")
    many = predictor.some(np.tile(np.arange(predictor.S), REPEATS if d else 1))
    etas = many.etas(_as_unseen(design.encoded, fresh))
    log_weights = np.zeros(many.S)
    if d:
        u, log_density = _t_draws(*_proposal(predictor_of(fit).blocks, fresh, d), many.S, rng)
        log_weights -= log_density
        for part in fresh:
            block, (X, codes, _) = many.blocks[part.block], design.encoded.groups[part.block]
            q, predictors = X.shape[1], np.array(block.predictors)
            for level, start in zip(part.levels, part.at, strict=True):
                effects = u[start : start + q]
                at = codes == level
                for name in dict.fromkeys(block.predictors):
                    own = predictors == name
                    etas[name][at] += X[np.ix_(at, own)] @ effects[own]
                log_weights += _log_normal(effects, block.factor)
    log_weights += many.log_density(design.encoded, design.response.values, etas).sum(axis=0)
    log_weights = np.where(np.isnan(log_weights), -np.inf, log_weights)
    _, k = leave_out_weights(-log_weights[None], 1.0)
    return float(logsumexp(log_weights) - np.log(many.S)), float(k[0])


def _as_unseen(rows: Encoded, fresh: list[Fresh]) -> Encoded:
    """The rows with fresh levels as levels that the fit has not seen, whose effects are zero for the population."""
    groups = {
        part.block: block._replace(codes=np.where(np.isin(block.codes, part.levels), -1, block.codes))
        for part in fresh
        for block in (rows.groups[part.block],)
    }
    return replace(rows, groups=groups)


def _fresh(spec: ModelSpec, out: np.ndarray) -> tuple[list[Fresh], int]:
    """Which levels are fresh, and how many effects they have in all."""
    others = np.setdiff1d(np.arange(spec.design.n), out)
    found, d = [], 0
    for block in spec.design.groups:
        levels = np.setdiff1d(block.codes[out], block.codes[others])
        q = len(block.columns)
        found.append(Fresh(block.name, levels, d + q * np.arange(len(levels))))
        d += q * len(levels)
    return found, d


def _proposal(blocks: Mapping[str, BlockDraws], fresh: list[Fresh], d: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre and the Cholesky factor of the scale, from the draws of these effects given all rows."""
    draws = np.concatenate(
        [blocks[part.block].r[part.levels].reshape(-1, blocks[part.block].r.shape[-1]) for part in fresh]
    )
    covariance = np.atleast_2d(np.cov(draws)) * SPREAD
    covariance += 1e-9 * np.eye(d) * max(np.trace(covariance) / d, 1e-300)
    return draws.mean(axis=1), np.linalg.cholesky(covariance)


def _t_draws(
    centre: np.ndarray, scale: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """N draws of a multivariate t, shape (d, n), and their log density."""
    d = len(centre)
    z, chi = rng.standard_normal((d, n)), rng.chisquare(NU, n) / NU
    draws = centre[:, None] + scale @ z / np.sqrt(chi)
    quadratic = (z**2).sum(axis=0) / chi
    constant = gammaln((NU + d) / 2) - gammaln(NU / 2) - 0.5 * d * np.log(NU * np.pi)
    log_density = constant - np.log(np.diag(scale)).sum() - 0.5 * (NU + d) * np.log1p(quadratic / NU)
    return draws, log_density


def _log_normal(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Log N(x; 0, F F'), x of shape (q, S), F of shape (q, q, S), or its diagonal, (q, S)."""
    if factor.ndim == x.ndim:
        return -(0.5 * (x / factor) ** 2 + np.log(factor)).sum(axis=0) - 0.5 * len(x) * np.log(2 * np.pi)
    by_draw = np.moveaxis(factor, -1, 0)
    z = np.linalg.solve(by_draw, x.T[..., None])[..., 0]
    log_det = np.linalg.slogdet(by_draw)[1]
    return -0.5 * (z**2).sum(axis=1) - log_det - 0.5 * len(x) * np.log(2 * np.pi)
