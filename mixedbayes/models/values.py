"""The parameters of a family in numbers, as its density takes them: from predictors, or as they are.

Values(m, {"mu": FromPredictor(link, eta), "sigma": AsIs(sigma)}, {"trials": n})["mu"], .log("mu"), .logit("mu")
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixedbayes.models.links import Link
from mixedbayes.models.maths import JETS, Jet, Maths

WEIGHTS = "weights"
"""The addition that any family takes, for it is no business of a distribution: what log densities are multiplied by."""


@dataclass(frozen=True, eq=False, slots=True)
class FromPredictor:
    """A parameter by its linear predictor."""

    link: Link
    eta: Any


@dataclass(frozen=True, eq=False, slots=True)
class Values:
    """The parameters of a family at some rows, draws, or points of a graph; what is asked for is computed.

    Attributes:
        maths: Of which kind the numbers are.
        parameters: Each by its predictor, or itself.
        additions: What the response has beside its values, by name: `trials`, `weights`, `se`.
    """

    maths: Maths
    parameters: Mapping[str, Any]
    additions: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """The parameter itself."""
        match self.parameters[name]:
            case FromPredictor(link, eta):
                return link.inverse_of(self.maths, eta)
            case value:
                return value

    def log(self, name: str) -> Any:
        """Its logarithm."""
        match self.parameters[name]:
            case FromPredictor(Link(log_of=of), eta) if of is not None:
                return of(self.maths, eta)
        return self.maths.log(self[name])

    def logit(self, name: str) -> Any:
        """Its log-odds."""
        match self.parameters[name]:
            case FromPredictor(Link(logit_of=of), eta) if of is not None:
                return of(self.maths, eta)
        p = self[name]
        return self.maths.log(p) - self.maths.log1p(-p)

    def addition(self, name: str, default: Any = None) -> Any:
        """What the response has by that name, or the default where it has none."""
        return self.additions.get(name, default)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all together, where they are arrays."""
        each = (v.eta if isinstance(v, FromPredictor) else v for v in self.parameters.values())
        return np.broadcast_shapes(*(np.shape(value) for value in (*each, *self.additions.values())))

    def jets(self, name: str) -> "Values":
        """The same with the derivatives by the predictor of one parameter; by the parameter itself, if it has none."""
        moved = self.parameters[name]
        one = np.ones(())
        jet = (
            FromPredictor(moved.link, Jet(moved.eta, one, 0 * one))
            if isinstance(moved, FromPredictor)
            else Jet(moved, one, 0 * one)
        )
        return Values(JETS, {**self.parameters, name: jet}, self.additions)
