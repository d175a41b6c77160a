"""Which random variables of the PyMC model hold which parameters: read by who builds it and by who starts it.

Parameters whose priors are of one kind stand side by side in one variable; others have one each, `name #0`, `name #1`, ...
Coefficients are sampled in units of the data, `location + scale * v`, where their prior is closed under that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedbayes.models.distributions import DISTRIBUTIONS, POSITIVE, Interval
from mixedbayes.models.priors import Prior
from mixedbayes.models.spec import BlockSpec, ModelSpec, Parameter, PredictorSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """A random variable.

    Attributes:
        name: Its name.
        parameters: What it holds, side by side.
        is_scaled: Whether in units of the data.
    """

    name: str
    parameters: tuple[Parameter, ...]
    is_scaled: bool = False

    def value(self, parameters: np.ndarray) -> np.ndarray:
        """The variable, of its parameters, shape (len(parameters),)."""
        return (parameters - self.location) / self.scale if self.is_scaled else parameters

    @property
    def location(self) -> np.ndarray:
        """Where each parameter's unit begins."""
        return np.array([p.location for p in self.parameters])

    @property
    def scale(self) -> np.ndarray:
        """Each parameter's unit."""
        return np.array([p.scale for p in self.parameters])


def side_by_side(name: str, parameters: Sequence[Parameter]) -> list[Placement]:
    """Parameters in one variable if their priors are of one kind, else one by one."""
    kinds = {
        (p.prior.distribution, p.support, is_half(p.prior, p.support), p.support.holds(p.prior.support))
        for p in parameters
    }
    if len(kinds) == 1:
        return [Placement(name, tuple(parameters))]
    return [Placement(f"{name} #{i}", (p,)) for i, p in enumerate(parameters)]


def located(name: str, parameters: Sequence[Parameter]) -> list[Placement]:
    """Coefficients, in units of the data where their priors are closed under shift and stretch."""
    first = parameters[0].prior.distribution
    if any(p.prior.distribution != first for p in parameters):
        return [each for i, p in enumerate(parameters) for each in located(f"{name} #{i}", [p])]
    if DISTRIBUTIONS[first].located is None and first != "flat":
        return side_by_side(name, parameters)
    return [Placement(f"{name}_scaled", tuple(parameters), is_scaled=True)]


def of_predictor(spec: PredictorSpec) -> tuple[list[Placement], list[Placement]]:
    """The intercept's variables, and the coefficients'."""
    before = "" if spec.is_main else f"{spec.name}."
    intercept = located(f"{before}Intercept", [spec.intercept]) if spec.intercept else []
    return intercept, located(f"{before}slopes", spec.coefficients) if spec.coefficients else []


def of_block(spec: BlockSpec) -> list[Placement]:
    """The standard deviations' variables."""
    return side_by_side(spec.sd if spec.centring.is_none else spec.inner, spec.sds) if spec.sds else []


def of_own(spec: BlockSpec) -> list[Placement]:
    """The variables of a block's other parameters, but for correlations."""
    placed = []
    for kind, name in spec.own.items():
        own = spec.parameters[kind]
        placed += side_by_side(name, own) if spec.asked[kind].each else [Placement(name, own)]
    return placed


def of_model(spec: ModelSpec) -> list[Placement]:
    """All of a model, but correlations and effects."""
    scalars = [Placement(p.address, (p,)) for p in spec.scalars]
    predictors = [each for p in spec.predictors.values() for part in of_predictor(p) for each in part]
    return [
        *scalars,
        *predictors,
        *(each for block in spec.blocks for each in (*of_block(block), *of_own(block))),
    ]


def is_half(prior: Prior, support: Interval) -> bool:
    """Whether the cut at zero has a distribution of its own in PyMC."""
    centred_at_zero = prior.named.get("mu", 0.0) == 0.0
    return support == POSITIVE and DISTRIBUTIONS[prior.distribution].half is not None and centred_at_zero
