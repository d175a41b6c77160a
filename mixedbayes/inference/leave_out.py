"""Gaussian models without some of their rows, in closed form: what the other rows predict of those left out.

    log p(y_out | theta, y_in) = log p(y | theta) - log p(y_in | theta)

Both terms are the collapsed density, coefficients and group effects integrated out.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import logsumexp
from xarray import DataTree

from mixedbayes.inference.collapsed import Collapsed
from mixedbayes.inference.exact import collapse, draw_theta
from mixedbayes.inference.options import Options

MOST = 1000
"""Draws of theta, where one costs much."""


@dataclass(frozen=True, eq=False)
class LeaveOut:
    """The predictive densities of rows of a fit given its other rows.

    Attributes:
        density: Of the model with all rows.
        idata: Its draws.
        options: How to draw anew.
    """

    density: Collapsed
    idata: DataTree
    options: Options

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
        return self.log_density - _at(self._without(out), self.theta)

    def exactly(self, out: np.ndarray) -> float:
        """Log p(y_out | y_in), over draws of theta given y_in alone."""
        without = self._without(out)
        theta = draw_theta(without, replace(self.options, method="collapsed", progress=False))
        values = _at(self.density, theta) - _at(without, theta)
        return float(logsumexp(values) - np.log(len(values)))

    def _without(self, out: np.ndarray) -> Collapsed:
        spec = self.density.variances.spec
        return collapse(spec.only(np.setdiff1d(np.arange(spec.design.n), out)))


def _at(density: Collapsed, theta: np.ndarray) -> np.ndarray:
    pieces = range(0, len(theta), density.batch)
    return np.concatenate([density.log_posterior(theta[i : i + density.batch]) for i in pieces])
