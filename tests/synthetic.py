"""Fits without sampling: a model's own names and dimensions around draws from a random generator."""

from typing import Any

import numpy as np
import xarray as xr

import mixedbayes as mb
from mixedbayes.models.distributions import POSITIVE
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.fit import Fit


def synthetic_fit(
    formula: str,
    data: Any,
    family: str = "gaussian",
    *,
    chains: int = 4,
    draws: int = 25,
    seed: int = 1,
    **options: Any,
) -> Fit:
    """A fit of the model whose draws are noise: sds are positive, correlations are correlation matrices."""
    spec = mb.model(formula, data, family, **options).spec
    return Fit(spec, synthetic_draws(spec, chains, draws, seed), NoEngine())


class NoEngine:
    """Draws nothing."""

    def without(self, spec: ModelSpec) -> None:
        raise AssertionError("nothing was to be drawn again")

    def leave_out(self, spec: ModelSpec, idata: xr.DataTree) -> None:
        return None


def synthetic_draws(spec: ModelSpec, chains: int, draws: int, seed: int) -> xr.DataTree:
    rng = np.random.default_rng(seed)
    supports = {p.address: p.support for p in spec.scalars} | {block.sd: POSITIVE for block in spec.blocks}
    correlations = {block.correlation for block in spec.blocks}
    variables: dict[str, Any] = {}
    for name, dims in spec.dims.items():
        shape = (chains, draws, *(len(spec.coords[dim]) for dim in dims))
        if name in correlations:
            values = correlation_matrices(rng, shape)
        elif name in supports and np.isfinite(lower := supports[name].lower):
            values = lower + rng.gamma(4.0, 0.5, shape)
            if np.isfinite(upper := supports[name].upper):
                values = lower + (upper - lower) * (values - lower) / (1 + values - lower)
        else:
            values = rng.normal(2.0, 1.0, shape)
        variables[name] = (("chain", "draw", *dims), values)
    used = {dim for dims in spec.dims.values() for dim in dims}
    coords = {dim: labels for dim, labels in spec.coords.items() if dim in used}
    posterior = xr.Dataset(
        variables,
        coords={**coords, "chain": np.arange(chains), "draw": np.arange(draws)},
        attrs={"tuning_steps": 500},
    )
    statistics = xr.Dataset(
        {"diverging": (("chain", "draw"), np.zeros((chains, draws), dtype=bool))},
        attrs={"mixedbayes_sampler": "nutpie"},
    )
    observed = xr.Dataset({spec.response: ("observation", spec.design.response.values)})
    return xr.DataTree.from_dict(
        {"posterior": posterior, "sample_stats": statistics, "observed_data": observed}
    )


def correlation_matrices(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random correlation matrices, shape (..., q, q)."""
    factors = rng.normal(size=(*shape[:-1], shape[-1] + 2))
    covariance = factors @ np.swapaxes(factors, -1, -2)
    sd = np.sqrt(np.einsum("...ii->...i", covariance))
    return covariance / (sd[..., :, None] * sd[..., None, :])
