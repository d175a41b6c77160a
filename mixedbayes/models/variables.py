"""The variables whose draws are kept: one table, which samplers, files, tables, hypotheses and predictions read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from mixedbayes.models.addresses import Address

if TYPE_CHECKING:
    from mixedbayes.models.spec import BlockSpec, ModelSpec, PredictorSpec


class Role(Enum):
    """What a variable holds."""

    COEFFICIENTS = "coefficients of a predictor, as tables show them"
    SDS = "standard deviations of a block's effects, as tables show them"
    CORRELATIONS = "their correlations"
    STRUCTURE = "another parameter of what hangs a block's effects together"
    EFFECTS = "the effects of a block's levels"
    FAMILY = "a parameter of the family"
    HYPER = "a parameter of a prior"


@dataclass(frozen=True, eq=False, slots=True)
class Variable:
    """A variable whose draws are kept.

    Attributes:
        name: In the posterior, in PyMC's model and in files.
        dims: After chain and draw.
        role: What it holds.
        elements: The address of each element that has one of its own, and its place; of effects, which are many, there
            are none: `effect` makes those.
        predictor: Of which it holds coefficients.
        block: Of which it holds something.
    """

    name: str
    dims: tuple[str, ...]
    role: Role
    elements: Mapping[Address, tuple[int, ...]] = field(default_factory=dict)
    predictor: "PredictorSpec | None" = None
    block: "BlockSpec | None" = None


def variables_of(spec: "ModelSpec") -> Iterator[Variable]:
    """Every variable of a model whose draws are kept, in the order of tables."""
    for predictor in spec.predictors.values():
        columns = predictor.linear.fixed.columns
        elements = {Address("b", (name,), predictor.name): (j,) for j, name in enumerate(columns)}
        if columns:
            dims = (predictor.coefficient,)
            yield Variable(predictor.b, dims, Role.COEFFICIENTS, elements, predictor=predictor)
    for block in spec.blocks:
        yield from _of_block(block)
    for role, parameters in ((Role.FAMILY, spec.auxiliary), (Role.HYPER, spec.hyper)):
        for parameter in parameters:
            yield Variable(parameter.address, (), role, {Address(parameter.address): ()})


def former_names(spec: "ModelSpec") -> dict[str, str]:
    """What hyperparameters were called before addresses of predictors began with a name and a dot, `b.sigma`: the addresses now."""
    found: dict[str, str] = {}
    for parameter in reversed(spec.hyper):  # an outer one stands after what it refers to
        if parameter.of_prior is not None:
            key, argument = parameter.of_prior
            outer = next((former for former, now in found.items() if now == key), key)
            found[f"{outer}.{argument}"] = parameter.address
    return found


def _of_block(spec: "BlockSpec") -> Iterator[Variable]:
    block, columns = spec.block, spec.block.columns
    of = block.parameter
    sds = {Address("sd", (block.label, name), of): (i,) for i, name in enumerate(columns)}
    yield Variable(spec.sd, (spec.effect,), Role.SDS, sds, block=spec)
    if spec.is_correlated:
        pairs = {
            Address("cor", (block.label, one, other), of): (i, j)
            for i, one in enumerate(columns)
            for j, other in enumerate(columns)
            if i != j
        }
        yield Variable(spec.correlation, (spec.effect, spec.other), Role.CORRELATIONS, pairs, block=spec)
    for kind, name in spec.own.items():
        whole = Address(kind, (block.label,), of)
        if spec.asked[kind].each:
            places = {replace(whole, names=(block.label, x)): (i,) for i, x in enumerate(columns)}
            yield Variable(name, (spec.effect,), Role.STRUCTURE, places, block=spec)
        else:
            yield Variable(name, (), Role.STRUCTURE, {whole: ()}, block=spec)
    yield Variable(spec.r, (spec.level, spec.effect), Role.EFFECTS, block=spec)
