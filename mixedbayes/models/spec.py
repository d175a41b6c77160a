"""The model as data: every parameter with its address, labels and prior; still no PyMC.

    Design × family × priors -> ModelSpec        (`specify.py`)

Names of variables and dimensions are decided there, once, and never changed after.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mixedbayes.designs.centring import Centring
from mixedbayes.designs.design import Block, Design, Linear
from mixedbayes.designs.rank import dependent_columns
from mixedbayes.language.formula import MEAN
from mixedbayes.models.addresses import Address
from mixedbayes.models.distributions import Interval
from mixedbayes.models.families import AS_IT_IS, Family
from mixedbayes.models.links import Link
from mixedbayes.models.priors import Prior
from mixedbayes.models.structures import Structure, StructureParameter, structures_of
from mixedbayes.models.variables import Variable, variables_of


@dataclass(frozen=True, slots=True)
class Parameter:
    """One sampled number (for `cor`, one matrix).

    Attributes:
        address: Its name in priors, tables and tests, `sd[Subject, Days]`.
        prior: Numbers and references to hyperparameters.
        support: Where it lies; the prior is cut to it.
        default: Whether the prior is ours and not the user's.
        location, scale: Where the data put it and in which unit it is sampled, so that no unit of a
            column is too large or too small for the sampler; the prior is the same.
        at_means: Whether it is of what is at the predictors' means, and tables show another at zero.
        of_prior: Of a hyperparameter the address whose prior it is in, and which argument it is.
    """

    address: str
    prior: Prior
    support: Interval
    default: bool
    location: float = 0.0
    scale: float = 1.0
    at_means: bool = False
    of_prior: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class PredictorSpec:
    """A linear predictor's population level, with its priors and the names of its variables.

    Attributes:
        name: The parameter of the family that it predicts.
        link: Of that parameter.
        linear: Its columns and offset.
        intercept: At the predictors' means or at zero. None without an intercept.
        coefficients: One for each column but the intercept, likewise.
        centring: Between these and the coefficients that tables show.
        b: The variable of the coefficients, as tables show them.
        coefficient: Its dimension.
    """

    name: str
    link: Link
    linear: Linear
    intercept: Parameter | None
    coefficients: tuple[Parameter, ...]
    centring: Centring
    b: str
    coefficient: str

    @property
    def is_main(self) -> bool:
        """Whether it is the one of the formula's own right side."""
        return self.name == MEAN

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One for each column, in their order: the intercept stands first."""
        return (*((self.intercept,) if self.intercept else ()), *self.coefficients)


@dataclass(frozen=True, eq=False, slots=True)
class BlockSpec:
    """A block with its priors and the names of its variables and dimensions.

    Attributes:
        structure: What hangs its effects together.
        parameters: The structure's, by kind in the order of tables: one, or one for each effect. Those of effects are
            at the predictors' means if that is where their priors live.
        centring: Between the effects that have these priors and those that tables show.
        sd, r, correlation, z, partial, inner: Names of variables; z, partial and inner (sds before they are brought
            to zero) are internal.
        own: The names of the variables of other parameters than effects' sds and their correlations, by kind.
        level, effect, other: Names of dimensions.
    """

    block: Block
    structure: Structure
    parameters: Mapping[str, tuple[Parameter, ...]]
    centring: Centring
    sd: str
    r: str
    correlation: str
    z: str
    partial: str
    inner: str
    own: Mapping[str, str]
    level: str
    effect: str
    other: str

    @property
    def asked(self) -> Mapping[str, StructureParameter]:
        """What the structure asks for, by kind."""
        return {each.kind: each for each in self.structure.parameters(self.q)}

    @property
    def q(self) -> int:
        """The number of effects."""
        return len(self.block.columns)

    @property
    def is_correlated(self) -> bool:
        """Whether effects of a level are."""
        return self.q > 1 and not self.structure.is_diagonal

    @property
    def sds(self) -> tuple[Parameter, ...]:
        """The standard deviations of the effects, if these are parameters."""
        return self.parameters["sd"] if "sd" in self.asked and self.asked["sd"].each else ()

    @property
    def cor(self) -> Parameter | None:
        """The correlation matrix of the effects, if it is a parameter."""
        return next(iter(self.matrices.values()), None)

    @property
    def matrices(self) -> dict[str, Parameter]:
        """The correlation matrix by its kind, if it is a parameter."""
        return {kind: self.parameters[kind][0] for kind, each in self.asked.items() if each.is_matrix}

    @property
    def scalars(self) -> tuple[Parameter, ...]:
        """All parameters but a correlation matrix."""
        return tuple(
            p for kind, each in self.asked.items() if not each.is_matrix for p in self.parameters[kind]
        )

    def values[T](
        self, number: Callable[[Parameter], T], stacked: Callable[[list[T]], Any], cor: Any
    ) -> dict[str, Any]:
        """What the structure's factor is made of.

        Args:
            number: What stands for a parameter.
            stacked: Makes one array of those of all effects.
            cor: The Cholesky factor of the correlation matrix, if that is a parameter.
        """
        found: dict[str, Any] = {}
        for kind, each in self.asked.items():
            if each.is_matrix:
                found[kind] = cor
                continue
            numbers = [number(p) for p in self.parameters[kind]]
            found[kind] = stacked(numbers) if each.each else numbers[0]
        return found


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """Everything a sampler has to know.

    Attributes:
        predictors: By the parameter of the family that they predict, the first one's first.
        blocks: The group-level effects; one may reach into several predictors.
        auxiliary: The family's parameters without a predictor of their own.
        hyper: Parameters that priors refer to, each before what refers to it.
        priors: The user's own, by address, as they were given.
        response: Name of the observed variable.
    """

    design: Design
    family: Family
    predictors: Mapping[str, PredictorSpec]
    blocks: tuple[BlockSpec, ...]
    auxiliary: tuple[Parameter, ...]
    hyper: tuple[Parameter, ...]
    priors: Mapping[str, Prior]
    response: str

    def only(self, rows: np.ndarray) -> "ModelSpec":
        """The same model of some of its rows, by their places: with the same priors, centred at the same means."""
        return self.of(self.design.only(rows))

    def of(self, design: Design) -> "ModelSpec":
        """The same model of other rows: of a design with the same columns."""
        blocks = tuple(
            replace(spec, block=block) for spec, block in zip(self.blocks, design.groups, strict=True)
        )
        predictors = {
            name: replace(predictor, linear=design.linears[name])
            for name, predictor in self.predictors.items()
        }
        return replace(self, design=design, blocks=blocks, predictors=predictors)

    def undetermined(self, out: Sequence[int] | np.ndarray = ()) -> list[str]:
        """The coefficients with flat priors of which no row that counts says anything, as tables have them: `b[x]`.

        Args:
            out: Places of rows that are left out.
        """
        weights, found = self.design.response.weights, []
        rows = np.arange(self.design.n) if weights is None else np.flatnonzero(weights)
        rows = np.setdiff1d(rows, np.asarray(out, dtype=np.int64))
        for name, predictor in self.predictors.items():
            flat = [j for j, p in enumerate(predictor.parameters) if p.prior.distribution == "flat"]
            lost = dependent_columns(predictor.linear.fixed.X[rows][:, flat]) if flat else []
            columns = predictor.linear.fixed.columns
            found += [str(Address("b", (columns[flat[j]],), name)) for j in lost]
        return found

    @property
    def modelled(self) -> Design:
        """The design with its response on the scale of which the family's first parameter is a location."""
        if self.family.scale is AS_IT_IS:
            return self.design
        y = self.design.response
        return replace(self.design, response=replace(y, values=self.family.scale.of(y.values)))

    @property
    def main(self) -> PredictorSpec:
        """The predictor of the formula's own right side."""
        return self.predictors[MEAN]

    @property
    def link(self) -> Link:
        """The main predictor's link."""
        return self.main.link

    @property
    def links(self) -> dict[str, str]:
        """The names of all links, by parameter."""
        return {name: predictor.link.name for name, predictor in self.predictors.items()}

    @property
    def latent_variance(self) -> float | None:
        """Of the latent variable of which the response is the sign; None where it is no sign."""
        return self.link.latent_variance if self.family.counts_signs else None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter with a prior, in the order tables have them."""
        population = [p for predictor in self.predictors.values() for p in predictor.parameters]
        groups = [p for block in self.blocks for own in block.parameters.values() for p in own]
        return (*population, *groups, *self.auxiliary, *self.hyper)

    @property
    def of_family(self) -> tuple[str, ...]:
        """The family's parameters that are estimated, by a predictor or as they are; not those that additions stand for."""
        return tuple(p.name for p in self.family.estimated(self.design.formula.response.additions))

    @property
    def residual(self) -> str | None:
        """The parameter that is the standard deviation of the response about its mean; None if it varies, or there is none."""
        own = self.family.residual
        return own if own in [p.address for p in self.auxiliary] else None

    @property
    def scalars(self) -> tuple[Parameter, ...]:
        """Parameters that have a variable of their own, by the name of their address."""
        return (*self.auxiliary, *self.hyper)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The variables whose draws are kept, in the order of tables."""
        return tuple(variables_of(self))

    @property
    def structures(self) -> dict[str, Structure]:
        """What hangs the effects of each block together, by the block's name."""
        return {block.block.name: block.structure for block in self.blocks}

    @property
    def given_structures(self) -> dict[str, Structure]:
        """Those that are not what the formula says."""
        said = structures_of(block.block for block in self.blocks)
        return {name: each for name, each in self.structures.items() if each != said[name]}

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """For each variable whose draws are kept its dimensions, after chain and draw."""
        return {variable.name: variable.dims for variable in self.variables}

    @property
    def coords(self) -> dict[str, np.ndarray]:
        """For each dimension its labels; levels keep the data's own values."""
        coords = {
            p.coefficient: _labels(p.linear.fixed.columns)
            for p in self.predictors.values()
            if p.linear.fixed.columns
        }
        for b in self.blocks:
            coords |= {b.level: b.block.levels, b.effect: _labels(b.block.columns)}
            coords |= {b.other: _labels(b.block.columns)} if b.is_correlated else {}
        return coords


def _labels(names: tuple[str, ...]) -> np.ndarray:
    return np.array(names, dtype=object)
