"""A fit's posterior -> where to begin drawing from a similar model's: the inverse of `pymc_model`, at the means."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from mixedbayes.inference.gaussian.coordinates import partials
from mixedbayes.inference.nuts.placement import of_model
from mixedbayes.models.covariances import at_means, cholesky, covariance_of, sds_and_correlations
from mixedbayes.models.spec import BlockSpec, ModelSpec

ENOUGH = 200
"""Draws, over which the means are taken."""


def start_of(spec: ModelSpec, idata: xr.DataTree, free: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Values of a PyMC model's free variables at the means of another fit's draws; zero for levels that it lacks.

    Args:
        spec: The model to be drawn from.
        idata: Draws of one with the same parameters, and the first of the levels.
        free: The variables, each with its number of dimensions.
    """
    posterior = idata["posterior"].to_dataset()
    thin = posterior.isel(
        draw=slice(None, None, max(1, posterior.sizes["chain"] * posterior.sizes["draw"] // ENOUGH))
    )
    draws = {
        str(name): values.transpose("chain", "draw", ...).to_numpy().reshape(-1, *values.shape[2:])
        for name, values in thin.items()
    }
    means = {p.address: draws[p.address].mean(axis=0) for p in spec.scalars}
    for predictor in spec.predictors.values():
        if predictor.b in draws:
            b = predictor.centring.to_means @ draws[predictor.b].mean(axis=0)
            means |= {p.address: value for p, value in zip(predictor.parameters, b, strict=True)}
    found: dict[str, np.ndarray] = {}
    for block in spec.blocks:
        sds, others = _block(block, draws)
        means |= {p.address: sd for p, sd in zip(block.sds, sds, strict=False)}
        for kind, name in block.own.items():
            numbers = map(np.asarray, np.atleast_1d(draws[name].mean(axis=0)))
            means |= {p.address: number for p, number in zip(block.parameters[kind], numbers, strict=True)}
        found |= others
    for each in of_model(spec):
        found[each.name] = each.value(np.array([means[p.address] for p in each.parameters]))
    return {name: found[name] if ndim else found[name].reshape(()) for name, ndim in free.items()}


def _block(spec: BlockSpec, draws: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The standard deviations where their priors are, and a block's other variables."""
    L, q = len(spec.block.levels), spec.q
    z, found = np.zeros((L, q)), {}
    if not spec.is_correlated:
        sd = draws[spec.sd]
        if spec.r in draws:
            r = draws[spec.r]
            z[: r.shape[1]] = (r / sd[:, None]).mean(axis=0)
        return sd.mean(axis=0), {spec.z: z}
    covariance = at_means(covariance_of(draws[spec.sd], draws[spec.correlation]), spec.centring)
    sd, correlation = sds_and_correlations(covariance)
    factor = sd[:, :, None] * cholesky(correlation + 1e-10 * np.eye(q))
    if spec.cor:
        w = np.tanh(partials(correlation))
        found[spec.partial] = (w.mean(axis=1) + 1) / 2
    if spec.r in draws:
        r = draws[spec.r] @ spec.centring.to_means.T
        z[: r.shape[1]] = np.linalg.solve(factor[:, None], r[..., None])[..., 0].mean(axis=0)
    return sd.mean(axis=0), found | {spec.z: z}
