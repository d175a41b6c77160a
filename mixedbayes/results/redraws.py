"""What results ask of whoever drew: to draw again. Tables know no sampler; this is all they know of one."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import xarray as xr

from mixedbayes.models.spec import ModelSpec
from mixedbayes.sampling import LeftOut, Sampling


class Redraws(Protocol):
    """Draws from posteriors, always in the same way."""

    def draw(
        self,
        spec: ModelSpec,
        sampling: Sampling,
        after: xr.DataTree | None = None,
        new: np.ndarray | None = None,
    ) -> "tuple[xr.DataTree, Redraws]":
        """Draws from a model's posterior, with some options changed, and the engine that made them.

        `after` are draws of the posterior of all rows but the new ones, whose places are `new`.
        """

    def without(self, spec: ModelSpec) -> Callable[[np.ndarray, int | None], xr.DataTree]:
        """Places of rows left out and a seed -> draws from the posterior of the other rows, in silence."""

    def leave_out(self, spec: ModelSpec, idata: xr.DataTree) -> LeftOut | None:
        """The densities of rows left out of a fit in closed form; None where there is none."""
