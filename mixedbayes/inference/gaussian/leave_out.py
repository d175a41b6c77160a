"""Gaussian models without some of their rows, in closed form: what the other rows predict of those left out.

    log p(y_out | theta, y_in) = log p(y | theta) - log p(y_in | theta)

Both terms are the collapsed density, coefficients and group effects integrated out.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from xarray import DataTree

from mixedbayes.inference.gaussian.collapsed import Collapsed
from mixedbayes.inference.gaussian.sample import collapse, evidence
from mixedbayes.work import one_thread

MOST = 1000
"""Draws of theta, where one costs much."""


@dataclass(frozen=True, eq=False)
class LeaveOut:
    """The predictive densities of rows of a fit given its other rows.

    Attributes:
        density: Of the model with all rows.
        idata: Its draws.
        seed: Of what is drawn anew.
    """

    density: Collapsed
    idata: DataTree
    seed: int | None

    @cached_property
    def theta(self) -> np.ndarray:
        """The draws of theta, shape (S, d): all of them where they are cheap."""
        variances, posterior = self.density.variances, self.idata["posterior"].to_dataset()
        theta = variances.of({str(name): values.to_numpy() for name, values in posterior.items()})
        if self.density.batch == 1 and len(theta) > MOST:
            theta = theta[np.linspace(0, len(theta) - 1, MOST).astype(int)]
        return theta

    @cached_property
    def log_density(self) -> np.ndarray:
        """The log density with all rows at the draws, shape (S,)."""
        return _at(self.density, self.theta)

    def at_draws(self, out: np.ndarray) -> np.ndarray:
        """Log p(y_out | theta, y_in) at the fit's own draws of theta, shape (S,).

        Args:
            out: Places of the rows left out.
        """
        return self.log_density - _at(self._without(out), self.theta) + self._log_slope(out)

    @cached_property
    def evidence(self) -> tuple[float, float]:
        """Log p(y) up to the constant of the density, and the Pareto k of its weights."""
        return evidence(self.density, self.seed)

    def exactly(self, out: np.ndarray) -> tuple[float, float]:
        """Log p(y_out | y_in) = log p(y) - log p(y_in), and the larger Pareto k of the weights of either."""
        without, k = evidence(self._without(out), self.seed)
        return self.evidence[0] - without + self._log_slope(out), max(self.evidence[1], k)

    def _log_slope(self, out: np.ndarray) -> float:
        """Of the scale on which the rows left out are normal, in all: from densities there to those of the response."""
        spec = self.density.variances.spec
        return float(spec.family.scale.log_slope(spec.design.response.values[out]).sum())

    def _without(self, out: np.ndarray) -> Collapsed:
        spec = self.density.variances.spec
        return collapse(spec.only(np.setdiff1d(np.arange(spec.design.n), out)))


def _at(density: Collapsed, theta: np.ndarray) -> np.ndarray:
    pieces = range(0, len(theta), density.batch)
    with one_thread():
        return np.concatenate([density.log_posterior(theta[i : i + density.batch]) for i in pieces])
