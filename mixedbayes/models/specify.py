"""`Design` × family × priors -> `ModelSpec`: every parameter of a design gets its prior, and every variable its name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mixedbayes.designs.centring import Centring, no_centring
from mixedbayes.designs.design import Block, Design, Linear
from mixedbayes.errors import DataError, DesignWarning, PriorError, listed, warn
from mixedbayes.language.formula import MEAN
from mixedbayes.models.addresses import Address, addresses, by_address, moved_effects, names_of
from mixedbayes.models.defaults import Scaling, reach, scaling_of
from mixedbayes.models.distributions import DISTRIBUTIONS, REAL, Interval
from mixedbayes.models.families import Family
from mixedbayes.models.links import Link
from mixedbayes.models.names import COEFFICIENT, OF_PREDICTOR, RESERVED, Names
from mixedbayes.models.priors import Prior, Reference
from mixedbayes.models.responses import check_response
from mixedbayes.models.spec import BlockSpec, ModelSpec, Parameter, PredictorSpec
from mixedbayes.models.structures import LKJ, Structure, StructureParameter, structures_of

SMALLEST, LARGEST = 1e-100, 1e100
"""Between these lies the largest number of a column, so that sums of squares can be computed."""


def specify(
    design: Design,
    family: Family,
    links: Mapping[str, Link],
    priors: Mapping[str, Prior],
    structures: Mapping[str, str | Structure] | None = None,
) -> ModelSpec:
    """Give every parameter of the design its prior.

    Args:
        design: From `build_design`.
        family: From `find_family`.
        links: Of each parameter of the family that has a predictor.
        priors: The user's, by address; the rest are the defaults of `docs/internals.md`.
        structures: What hangs the effects of blocks together, by their names; of the others the formula says.

    Raises:
        FamilyError: The response is not one that the family takes.
        DataError: A group has as many levels as there are rows, where a residual is also estimated; or
            numbers are too large or too small to compute with.
        PriorError: An unknown address, or a prior that does not fit its parameter.
        ArgumentError: An unknown structure, or one of a group that there is not.

    Warns:
        DesignWarning: A prior that no parameter takes.
    """
    check_response(design, family)
    estimated = family.estimated(design.formula.response.additions)
    scalars = [p for p in estimated[1:] if p.name not in design.linears]
    if not (any(linear.fixed.columns for linear in design.linears.values()) or design.groups or scalars):
        raise DataError("The model has no parameter: nothing stands right of '~' but an offset.")
    _check_levels(design, family)
    _check_sizes(design)
    found = structures_of(design.groups, structures)
    known = addresses(design, family, found)
    priors = by_address(dict(priors), known)
    variables = {
        str(Address("b", (), name)) for name in design.linears
    }  # as those of the coefficients are called
    names = Names([*_reserved(design), *(p.name for p in family.others), *(set(map(str, known)) - variables)])
    chooser = Chooser(priors, names)
    y = family.margins_of(design.response)
    scalings = {name: scaling_of(design, family, name, links[name], y) for name in design.linears}
    predictors = {
        name: _predictor_spec(name, linear, links[name], scalings[name], chooser, names)
        for name, linear in design.linears.items()
    }
    for block in design.groups:
        names.of_group(block.group)
    blocks = tuple(
        _block_spec(block, found[block.name], design.groups, scalings, chooser, names)
        for block in design.groups
    )
    auxiliary = tuple(
        chooser.choose(Address(p.name), (Address(p.name),), p.support, p.default(y))
        for p in scalars
        if p.default
    )
    _check_used(chooser)
    spec = ModelSpec(
        design=design,
        family=family,
        predictors=predictors,
        blocks=blocks,
        auxiliary=auxiliary,
        hyper=tuple(chooser.hyper),
        priors=priors,
        response=names.claim(design.response.name.strip("`")),
    )
    _check_determined(spec)
    return spec


def _check_determined(spec: ModelSpec) -> None:
    """Refuse a flat prior of what the rows that count say nothing of; with none of weight zero columns see to that."""
    weights = spec.design.response.weights
    lost = [] if weights is None or weights.all() else spec.undetermined()
    if lost:
        raise PriorError(
            f"No row whose weight is above zero says what {listed(lost)} is, and its prior is flat, so there is no posterior: "
            "give it a proper prior."
        )


def _reserved(design: Design) -> list[str]:
    """Names that variables have without asking for them: those that the main predictor's have, and others' with a name before."""
    others = [f"{name}.{each}" for name in design.predictors for each in OF_PREDICTOR]
    return [*RESERVED, *others]


def _check_used(chooser: "Chooser") -> None:
    """Say so where a prior is given that no parameter takes."""
    unused = [key for key in chooser.priors if key not in chooser.referred]
    if unused:
        warn(
            f"No parameter takes its prior from {listed(unused)}: all that {'it names' if len(unused) == 1 else 'they name'} have "
            "priors under addresses of their own.",
            DesignWarning,
        )


def _predictor_spec(
    name: str, linear: Linear, link: Link, scaling: Scaling, chooser: "Chooser", names: Names
) -> PredictorSpec:
    """A predictor's coefficients with their priors, each at the predictors' means unless the user's prior is of what tables show."""
    fixed = linear.fixed
    found: list[Parameter] = []
    to_means = np.eye(len(fixed.columns))
    for j, column in enumerate(fixed.columns):
        is_intercept = j == fixed.intercept
        at_zero = (Address("b", (column,), name), *(() if is_intercept else (Address("b", (), name),)))
        at_means = (
            Address("Intercept", (), name) if is_intercept else Address("b", (column,), name, centred=True)
        )
        moves = bool(fixed.centring.moves[j]) or is_intercept
        keys: tuple[Address, ...] = at_zero
        given = chooser.given(at_zero)
        if moves and not given:
            keys, to_means[j] = (at_means,), fixed.centring.to_means[j]
        elif moves and chooser.given((at_means,)):
            what = "intercept" if is_intercept else f"coefficient of {column}"
            raise PriorError(
                f"{at_means} is the {what} at the predictors' means, {given[0]} that at zero, which tables show: give one of them a prior."
            )
        where, scale = (
            (scaling.location, scaling.scale) if is_intercept else (0.0, scaling.of_coefficient(fixed, j))
        )
        chosen = chooser.choose_located(keys[0], keys, where, scale)
        found.append(replace(chosen, at_means=bool(fixed.centring.moves[j]) and keys == (at_means,)))
    main = name == MEAN
    return PredictorSpec(
        name=name,
        link=link,
        linear=linear,
        intercept=found[0] if fixed.has_intercept else None,
        coefficients=tuple(found[1:] if fixed.has_intercept else found),
        centring=Centring(to_means, np.linalg.inv(to_means)),
        b="b" if main else names.claim(f"{name}.b"),
        coefficient=COEFFICIENT if main else names.claim(f"{name}.{COEFFICIENT}"),
    )


class Chooser:
    """Chooses priors by address, and turns arguments that are priors into parameters of their own."""

    def __init__(self, priors: Mapping[str, Prior], names: Names) -> None:
        self.priors, self.names = priors, names
        self.hyper: list[Parameter] = []
        self.referred: dict[str, Prior] = {}

    def given(self, keys: Sequence[Address]) -> list[str]:
        """Those of the addresses that the user gave a prior."""
        return [str(key) for key in keys if str(key) in self.priors]

    def choose(
        self, address: Address, keys: Sequence[Address], support: Interval, default: Prior
    ) -> Parameter:
        """The parameter with the prior of the first key that the user named, else the default."""
        key, *_ = (*self.given(keys), None)
        if key is None:
            return Parameter(str(address), default, support, default=True)
        prior = self.priors[key]
        is_matrix = default.distribution == LKJ
        if (prior.distribution == LKJ) != is_matrix:
            right = "correlations take lkj(eta)" if is_matrix else "lkj is for correlations alone"
            raise PriorError(f"{prior} cannot be the prior of {address}: {right}.")
        if not support.holds(prior.support) and not DISTRIBUTIONS[prior.distribution].can_be_cut:
            raise PriorError(
                f"{prior} cannot be the prior of {address}, which lies on {support}: a {prior.distribution} cannot be cut to that."
            )
        if not support.meets(prior.support):
            raise PriorError(
                f"{prior} cannot be the prior of {address}: it has no mass where {address} lies, on {support}."
            )
        if key not in self.referred:  # one key, one hyperparameter for all that it names
            self.referred[key] = self.refer(prior, key)
        return Parameter(str(address), self.referred[key], support, default=False)

    def choose_located(
        self, address: Address, keys: Sequence[Address], location: float, scale: float
    ) -> Parameter:
        """The same for a coefficient, whose default is normal(location, 2.5 scale)."""
        chosen = self.choose(address, keys, REAL, Prior("normal", (location, 2.5 * scale)))
        return replace(chosen, location=location, scale=scale)

    def refer(self, prior: Prior, key: str) -> Prior:
        """The prior with each argument that is a prior replaced by a reference to a parameter."""
        arguments: list[float | Prior | Reference] = []
        for name, value in prior.named.items():
            if not isinstance(value, Prior):
                arguments.append(value)
                continue
            address = self.names.claim(str(Address("prior", (key, name))))
            support = DISTRIBUTIONS[prior.distribution].arguments[name]
            self.hyper.append(
                Parameter(address, self.refer(value, address), support, default=False, of_prior=(key, name))
            )
            arguments.append(Reference(address))
        return replace(prior, arguments=tuple(arguments))


def _block_spec(
    block: Block,
    structure: Structure,
    groups: Sequence[Block],
    scalings: Mapping[str, Scaling],
    chooser: Chooser,
    names: Names,
) -> BlockSpec:
    """A block's priors and names."""
    moved = moved_effects(block, structure) if _lives_at_means(block, structure, chooser) else ()
    means = [scalings[name].of_effect(block, j) for j, name in enumerate(block.predictors)]
    for j in block.intercepts:
        means[j] *= reach(block, block.predictors[j], groups, at_zero=not moved)
    scaled = [Prior("exponential", (1 / mean,)) for mean in means]
    asked = structure.parameters(len(block.columns))
    parameters: dict[str, tuple[Parameter, ...]] = {}
    for each in asked:
        if each.each:
            pairs = zip(block.columns, scaled, strict=True)
            chosen = [_of_structure(block, each, column, prior, moved, chooser) for column, prior in pairs]
        else:
            widest = Prior("exponential", (1 / max(means),))
            chosen = [_of_structure(block, each, None, widest, moved, chooser)]
        parameters[each.kind] = tuple(chosen)
    sd, r, variable, z, partial, inner = (
        names.claim(f"{kind}_{block.name}") for kind in ("sd", "r", "cor", "z", "partial", "centred_sd")
    )
    effect = names.claim(f"{block.name}_effect")
    own = [each.kind for each in asked if not (each.is_matrix or (each.kind == "sd" and each.each))]
    return BlockSpec(
        block=block,
        structure=structure,
        parameters=parameters,
        centring=block.centring if moved else no_centring(len(block.columns)),
        sd=sd,
        r=r,
        correlation=variable,
        z=z,
        partial=partial,
        inner=inner,
        own={kind: names.claim(f"{kind}_{block.name}") for kind in own},
        level=names.of_group(block.group),
        effect=effect,
        other=names.claim(f"{effect}_other"),
    )


def _of_structure(
    block: Block,
    each: StructureParameter,
    column: str | None,
    scaled: Prior,
    moved: Sequence[str],
    chooser: Chooser,
) -> Parameter:
    """A parameter that a block's structure asks for: of an effect, or of the block."""
    of, names = block.predictors[0], names_of(block, each.kind)
    last = () if column is None else (column,)
    keys = [Address(each.kind, (name, *last), of) for name in names]
    keys += [Address(each.kind, (name,), of) for name in names if last] + [Address(each.kind, (), of)]
    at_means = column in moved if last else each.is_matrix and bool(moved)
    if at_means:
        keys = [Address(each.kind, (block.label, *last), of, centred=True)]
    chosen = chooser.choose(keys[0], keys, each.support, each.default or scaled)
    return replace(chosen, at_means=at_means)


def _lives_at_means(block: Block, structure: Structure, chooser: Chooser) -> bool:
    """Whether a block's priors are of its effects at the predictors' means: unless the user's are of what tables show.

    Raises:
        PriorError: The user's are of both.
    """
    moved = moved_effects(block, structure)
    if not moved:
        return False
    of = block.parameter
    of_tables = [Address("sd", (name, column), of) for name in names_of(block) for column in moved]
    of_tables += [*(Address("sd", (name,), of) for name in names_of(block)), Address("sd", (), of)]
    of_tables += [Address("cor", (block.label,), of), Address("cor", (), of)]
    of_means = [Address("sd", (block.label, column), of, centred=True) for column in moved]
    of_means += [Address("cor", (block.label,), of, centred=True)]
    zero, means = chooser.given(of_tables), chooser.given(of_means)
    if zero and means:
        raise PriorError(
            f"{means[0]} is of the effects at the predictors' means, {zero[0]} of those at zero, which tables show: "
            f"give all priors of the group {block.label}{block.whose} in one of the two ways."
        )
    return not zero


def _check_levels(design: Design, family: Family) -> None:
    """Where a residual is estimated, effects that are one for each row cannot be told from it."""
    if family.residual not in [p.name for p in family.estimated(design.formula.response.additions)]:
        return
    weights, n = design.response.weights, len(design.response.counted.values)
    for block in design.groups:
        levels = len(block.levels) if weights is None else len(np.unique(block.codes[weights > 0]))
        if levels >= n:
            raise DataError(
                f"The group {block.group} has as many levels as there are rows ({n:,}), so its effects cannot be told from "
                f"the residual of the {family.name} family. Leave it out, or group by something that repeats."
            )


def _check_sizes(design: Design) -> None:
    """Refuse numbers whose squares leave the range of floating point, and with them every scale."""
    columns = [(design.response.name, design.response.values), *design.response.additions.items()]
    for linear in design.linears.values():
        columns += zip(linear.fixed.columns, linear.fixed.X.T, strict=True)
    columns += [pair for block in design.groups for pair in zip(block.columns, block.X.T, strict=True)]
    for name, x in columns:
        size = np.abs(x).max()
        if size and not SMALLEST < size < LARGEST:
            raise DataError(
                f"The largest number of {name} is {size:.3g}, too {'small' if size < 1 else 'large'} to compute with: "
                "measure it in another unit."
            )
