"""What results ask of whoever drew: to draw again. Tables know no sampler; this is all they know of one."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import xarray as xr

from mixedbayes.models.spec import ModelSpec


class LeftOut(Protocol):
    """The predictive densities of rows of a fit given its other rows, in closed form."""

    def at_draws(self, out: np.ndarray) -> np.ndarray:
        """Log p(y_out | theta, y_in) at the fit's own draws of theta, given the places of the rows left out."""

    def exactly(self, out: np.ndarray) -> tuple[float, float]:
        """Log p(y_out | y_in), and the Pareto k of the weights that it rests on."""


class Redraws(Protocol):
    """Draws from posteriors, always in the same way."""

    def without(self, spec: ModelSpec) -> Callable[[np.ndarray, int | None], xr.DataTree]:
        """Places of rows left out and a seed -> draws from the posterior of the other rows, in silence."""

    def draw_anew(self, spec: ModelSpec, sampling: Mapping[str, Any]) -> "tuple[xr.DataTree, Redraws]":
        """Draws from another model's posterior, with some options changed, and the engine that made them."""

    def extend(
        self, spec: ModelSpec, idata: xr.DataTree, new: np.ndarray, sampling: Mapping[str, Any]
    ) -> "tuple[xr.DataTree, Redraws]":
        """Draws from the posterior of a model with more rows than one that was drawn from, and the engine that made them."""

    def leave_out(self, spec: ModelSpec, idata: xr.DataTree) -> LeftOut | None:
        """The densities of rows left out of a fit in closed form; None where there is none."""
