"""A fit's posterior -> where to begin drawing from a similar model's: the inverse of `pymc_model`, at the means."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from mixedbayes.inference.gaussian.coordinates import partials
from mixedbayes.models.covariances import at_means, cholesky, covariance_of, sds_and_correlations
from mixedbayes.models.spec import BlockSpec, ModelSpec, Parameter

ENOUGH = 200
"""Draws, over which the means are taken."""

PART = re.compile(r"(.*) #(\d+)(_scaled)?")


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
    known: dict[str, Any] = {p.address: draws[p.address].mean(axis=0) for p in (*spec.auxiliary, *spec.hyper)}
    known |= _coefficients(spec, draws["b"].mean(axis=0)) if "b" in draws else {}
    for block in spec.blocks:
        known |= _block(block, draws)
    found = {name: _of(name, known) for name in free}
    return {
        name: np.reshape(value, np.shape(value) or (1,) * free[name])
        for name, value in found.items()
        if value is not None
    }


def _of(name: str, known: Mapping[str, Any]) -> Any:
    """The value of a variable, or of the part of one that it is."""
    if name in known:
        return known[name]
    part = PART.fullmatch(name)
    if part is None:
        return None
    whole = known.get(f"{part[1]}{part[3] or ''}")
    return None if whole is None else np.asarray(whole)[int(part[2])]


def _coefficients(spec: ModelSpec, b: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {}
    b = spec.centring.to_means @ b
    slopes = b[1:] if spec.intercept is not None else b
    if spec.intercept is not None:
        value = b[:1]
        found |= {"Intercept": value, "Intercept_scaled": _scaled(value, (spec.intercept,))}
    return found | {"slopes": slopes, "slopes_scaled": _scaled(slopes, spec.coefficients)}


def _scaled(values: np.ndarray, parameters: tuple[Parameter, ...]) -> np.ndarray:
    location, scale = (np.array([getattr(p, key) for p in parameters]) for key in ("location", "scale"))
    return (values - location) / scale


def _block(spec: BlockSpec, draws: Mapping[str, np.ndarray]) -> dict[str, Any]:
    correlation = draws[spec.correlation] if spec.cor else None
    covariance = at_means(covariance_of(draws[spec.sd], correlation), spec.centring)
    sd, correlation = sds_and_correlations(covariance)
    L, q = len(spec.block.levels), len(spec.sds)
    found: dict[str, Any] = {spec.sd if spec.centring.is_none else spec.inner: sd.mean(axis=0)}
    factor = sd[:, :, None] * cholesky(correlation + 1e-10 * np.eye(q))
    if spec.cor:
        w = np.tanh(partials(correlation))
        found[spec.partial] = (w.mean(axis=1) + 1) / 2
    z = np.zeros((L, q))
    if spec.r in draws:
        r = draws[spec.r] @ spec.centring.to_means.T
        z[: r.shape[1]] = np.linalg.solve(factor[:, None], r[..., None])[..., 0].mean(axis=0)
    return found | {spec.z: z}
