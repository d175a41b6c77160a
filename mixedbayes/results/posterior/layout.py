"""Where draws are in the tree: the posterior, and what was kept of group effects where that is not all."""

import numpy as np
import xarray as xr

from mixedbayes.models.spec import BlockSpec

EFFECTS, MOMENTS = "group_effects", "group_effects_moments"
"""Groups of the tree that hold what was kept of the effects, where that is not all."""


def posterior_of(idata: xr.DataTree) -> xr.Dataset:
    """The draws."""
    return idata["posterior"].to_dataset()


def effects_draws(idata: xr.DataTree, block: BlockSpec) -> xr.DataArray:
    """The draws of a block's effects that were kept; none of them, if none were."""
    for group in ("posterior", EFFECTS):
        if group in idata.children and block.r in idata[group].data_vars:
            return idata[group].to_dataset()[block.r]
    mean = idata[MOMENTS].to_dataset()[block.r]
    chains = idata["posterior"].to_dataset()["chain"]
    return mean.expand_dims({"chain": chains, "draw": np.arange(0)})


def by_draw(variable: xr.DataArray) -> np.ndarray:
    """The draws of a variable, shape (chain, draw, ...)."""
    return variable.transpose("chain", "draw", ...).to_numpy()
