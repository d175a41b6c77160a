"""Gaussian models without some of their rows, in closed form: what the other rows predict of those left out.

    log p(y_out | theta, y_in) = log p(y | theta) - log p(y_in | theta)

Both terms are the collapsed density, coefficients and group effects integrated out.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from xarray import DataTree

from mixedbayes.inference.gaussian.collapsed import Collapsed, Reduced
from mixedbayes.inference.gaussian.moments import Moments
from mixedbayes.inference.gaussian.sample import evidence, moments_of
from mixedbayes.work import one_thread

MOST = 1000
"""Draws of theta, where one costs much."""

MOST_NUMBERS = 2**24
"""In an array over all draws of theta."""


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
        return self.log_density - self._log_density_without(out) + self._log_slope(out)

    def _log_density_without(self, out: np.ndarray) -> np.ndarray:
        """The log density without some rows at the draws, shape (S,): of few levels by what is known with all rows."""
        density = self.density
        rest, is_difference = self._rest(out)
        without = Collapsed(density.variances, rest, out)
        if is_difference and self._fits(1):
            place = density.stages[0].factor
            levels = np.flatnonzero(rest.counts[place] < density.moments.counts[place])
            if self._fits(len(levels)) and 2 * len(levels) <= len(rest.counts[place]):
                return without.finish(density.reduce_without(self._reduced, without, levels)).log_density
        return _at(without, self.theta)

    def _fits(self, levels: int) -> bool:
        """Whether what is known with all rows helps without those of some levels, and fits into memory at all draws."""
        density = self.density
        if len(density.stages) != 1 or density.crossed:
            return False
        each = max(levels * int(np.prod(density.stages[0].rest.shape[:2])), (density.m + 1) ** 2)
        return len(self.theta) * each <= MOST_NUMBERS

    @cached_property
    def _reduced(self) -> Reduced:
        """What is known with all rows, at all draws of theta at once."""
        density, theta = self.density, self.theta
        with one_thread():
            parts = [
                density.reduce(theta[i : i + density.batch]) for i in range(0, len(theta), density.batch)
            ]
            point = density.variances.at(theta)
        factors = tuple(
            np.concatenate(each, axis=-1) for each in zip(*(part.factors for part in parts), strict=True)
        )
        log_det, K = (
            np.concatenate([part.log_det for part in parts]),
            np.concatenate([part.K for part in parts]),
        )
        return Reduced(point, factors, (), log_det, K)

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
        y = spec.design.response.only(out)
        return float(
            (spec.family.scale.log_slope(y.values) * (1.0 if y.weights is None else y.weights)).sum()
        )

    def _without(self, out: np.ndarray) -> Collapsed:
        return Collapsed(self.density.variances, self._rest(out)[0], out)

    def _rest(self, out: np.ndarray) -> tuple[Moments, bool]:
        """The moments without some rows: those of all less theirs, or if that costs digits, from the other rows; and which."""
        whole, spec = self.density.moments, self.density.variances.spec
        rest = whole - moments_of(spec, out)
        if rest.keeps(whole):
            return rest, True
        return moments_of(spec, np.setdiff1d(np.arange(spec.design.n), out)), False


def _at(density: Collapsed, theta: np.ndarray) -> np.ndarray:
    pieces = range(0, len(theta), density.batch)
    with one_thread():
        return np.concatenate([density.log_posterior(theta[i : i + density.batch]) for i in pieces])
