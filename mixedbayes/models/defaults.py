"""Where default priors sit and how wide they are: the table of `docs/internals.md`, alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedbayes.designs.centring import beyond, size, spread
from mixedbayes.designs.design import Block, Design, Fixed
from mixedbayes.designs.margins import Margins
from mixedbayes.designs.rank import spans_constant
from mixedbayes.errors import FamilyError
from mixedbayes.language.formula import MEAN
from mixedbayes.models.families import Family
from mixedbayes.models.links import Link


@dataclass(frozen=True, eq=False, slots=True)
class Scaling:
    """In what unit the data would have the coefficients and effects of one predictor.

    Attributes:
        location: Of the intercept at the predictors' means.
        scale: sd(y) where the predictor is on y's scale, else 1.
        from_zero: The same, where predictors are measured from zero.
        has_constant: Whether the population level holds a constant: an intercept, or full dummies.
    """

    location: float
    scale: float
    from_zero: float
    has_constant: bool

    def of_coefficient(self, fixed: Fixed, j: int) -> float:
        """Of a population-level column's: by its spread beside an intercept, else by its size."""
        x = fixed.centring.column(fixed.X, j)
        return self.scale / spread(x) if fixed.has_intercept else self.from_zero / size(x)

    def of_effect(self, block: Block, j: int) -> float:
        """Of a block's effect: by its column's spread beside a constant, else by its size."""
        x = block.centring.column(block.X, j)
        return self.scale / spread(x) if self.has_constant else self.from_zero / size(x)


def reach(block: Block, parameter: str, groups: Sequence[Block], *, at_zero: bool) -> float:
    """By how much more a group's intercept may vary where it is defined than within the data.

    The hypotenuse of 1 and, for each effect in the same group and predictor that is defined at zero of its column, of how
    far zero is from its values: sd(y) bounds what effects are within the data, and a slope multiplies what is beyond.

    Args:
        block: That the intercept is of.
        parameter: Whose predictor takes the intercept.
        groups: All blocks.
        at_zero: Whether the block's own effects are defined at zero.
    """
    own = block.places(parameter) if at_zero else []
    within = [block.X[:, j] for j in own if j not in block.intercepts]
    beside = [
        x for other in groups if other is not block for x in _defined_at_zero(other, block.group, parameter)
    ]
    return float(np.sqrt(1 + sum(beyond(x) ** 2 for x in (*within, *beside))))


def _defined_at_zero(other: Block, group: str, parameter: str) -> list[np.ndarray]:
    """The columns of effects on a group that a predictor takes from a block which has no intercept for it."""
    places = other.places(parameter) if other.group == group else []
    return [] if set(places) & set(other.intercepts) else [other.X[:, j] for j in places]


def scaling_of(design: Design, family: Family, name: str, link: Link, y: Margins) -> Scaling:
    """Where the intercept's prior sits, and the scale of the predictor.

    The intercept at the predictors' means is the link of the mean of y, or of what is typical of another parameter,
    less the mean offset. The scale is sd(y) where the main predictor has the identity link, and 1 on others.

    Raises:
        FamilyError: The link cannot take the mean.
    """
    linear = design.linears[name]
    typical = y.mean if name == MEAN else family.parameter(name).typical(y)
    with np.errstate(all="ignore"):
        location = float(link.link(np.asarray(typical, dtype=float)))
    if not np.isfinite(location):
        what = f"mean of {design.response.name}" if name == MEAN else f"typical {name}"
        raise FamilyError(f"The {what} is {typical:.4g}, which the {link.name} link cannot take.")
    location -= float(linear.offset.mean())
    scale = 1.0 if link.name != "identity" else y.sd if name == MEAN else abs(typical)
    constant = linear.fixed.has_intercept or spans_constant(linear.fixed.X)
    return Scaling(location, scale, float(np.hypot(scale, location)), constant)
