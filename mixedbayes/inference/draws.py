"""Draws under the names and dims of a specification: what every method hands back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from mixedbayes.models.names import CHAIN, DRAW, OBSERVATION
from mixedbayes.models.spec import ModelSpec


def as_tree(
    spec: ModelSpec, arrays: Mapping[str, np.ndarray], chains: int, stats: xr.Dataset | None = None
) -> xr.DataTree:
    """ArviZ's DataTree of a posterior: groups posterior, sample_stats, observed_data.

    Args:
        spec: The model.
        arrays: By the names of `spec.dims`, with one first axis over all draws, chain by chain, shape (S, ...). What
            tables show at zero of the predictors is at zero here.
        chains: How many; S is a multiple.
        stats: What is known of the draws, with dims chain and draw.
    """
    variables: dict[str, Any] = {
        name: ((CHAIN, DRAW, *dims), arrays[name].reshape(chains, -1, *arrays[name].shape[1:]))
        for name, dims in spec.dims.items()
        if name in arrays
    }
    S = len(next(iter(arrays.values())))
    numbers = {CHAIN: np.arange(chains), DRAW: np.arange(S // chains)}
    used = {dim for dims, _ in variables.values() for dim in dims}
    coords = {dim: labels for dim, labels in spec.coords.items() if dim in used}
    observed = xr.Dataset(
        {spec.response: (OBSERVATION, spec.design.response.values)},
        coords={OBSERVATION: np.asarray(spec.design.rows.kept)},
    )
    stats = xr.Dataset() if stats is None else stats
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(variables, coords=numbers | coords),
            "sample_stats": stats.assign_coords(numbers),
            "observed_data": observed,
        }
    )
