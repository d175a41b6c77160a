"""The model as data: every parameter with its address, labels and prior; still no PyMC.

    Design × family × priors -> ModelSpec

Names of variables and dimensions are decided here, once, and never changed after.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedbayes.designs.centring import Centring, beyond, no_centring, size, spread
from mixedbayes.designs.design import Block, Design, Fixed
from mixedbayes.designs.margins import Margins, margins
from mixedbayes.designs.rank import spans_constant
from mixedbayes.errors import DataError, DesignWarning, FamilyError, PriorError, listed, nearest_address, warn
from mixedbayes.models.distributions import CORRELATION, DISTRIBUTIONS, POSITIVE, REAL, Interval
from mixedbayes.models.families import AS_IT_IS, Family
from mixedbayes.models.links import Link
from mixedbayes.models.priors import Prior, Reference
from mixedbayes.models.responses import check_response

CHAIN, DRAW, COEFFICIENT, OBSERVATION = "chain", "draw", "coefficient", "observation"

SMALLEST, LARGEST = 1e-100, 1e100
"""Between these lies the largest number of a column, so that sums of squares can be computed."""

CENTRED = "centred."
"""Before an address: the parameter at the predictors' means, where tables show another at zero."""


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
    """

    address: str
    prior: Prior
    support: Interval
    default: bool
    location: float = 0.0
    scale: float = 1.0
    at_means: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class BlockSpec:
    """A block with its priors and the names of its variables and dimensions.

    Attributes:
        sds: One for each effect, at the predictors' means if that is where their priors live.
        cor: None where there is no correlation.
        centring: Between the effects that have these priors and those that tables show.
        sd, r, correlation, z, partial, inner: Names of variables; z, partial and inner (sds before they are brought
            to zero) are internal.
        level, effect, other: Names of dimensions.
    """

    block: Block
    sds: tuple[Parameter, ...]
    cor: Parameter | None
    centring: Centring
    sd: str
    r: str
    correlation: str
    z: str
    partial: str
    inner: str
    level: str
    effect: str
    other: str


@dataclass(frozen=True, eq=False, slots=True)
class ModelSpec:
    """Everything a sampler has to know.

    Attributes:
        intercept: At the predictors' means or at zero. None without an intercept.
        coefficients: One for each column but the intercept, likewise.
        centring: Between these and the coefficients that tables show.
        auxiliary: The family's parameters beside the mean, by name.
        hyper: Parameters that priors refer to, each before what refers to it.
        priors: The user's own, by address, as they were given.
        response: Name of the observed variable.
    """

    design: Design
    family: Family
    link: Link
    intercept: Parameter | None
    coefficients: tuple[Parameter, ...]
    centring: Centring
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
        return replace(self, design=design, blocks=blocks)

    @property
    def modelled(self) -> Design:
        """The design with its response on the scale of which the family's first parameter is a location."""
        if self.family.scale is AS_IT_IS:
            return self.design
        y = self.design.response
        return replace(self.design, response=replace(y, values=self.family.scale.of(y.values)))

    @property
    def latent_variance(self) -> float | None:
        """Of the latent variable of which the response is the sign; None where it is no sign."""
        return self.link.latent_variance if self.family.counts_signs else None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter with a prior, in the order tables have them."""
        first = (self.intercept,) if self.intercept else ()
        groups = [p for block in self.blocks for p in (*block.sds, *((block.cor,) if block.cor else ()))]
        return (*first, *self.coefficients, *groups, *self.auxiliary, *self.hyper)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables whose draws are kept."""
        return tuple(self.dims)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """For each variable whose draws are kept its dimensions, after chain and draw."""
        dims: dict[str, tuple[str, ...]] = {"b": (COEFFICIENT,)} if self.design.fixed.columns else {}
        for b in self.blocks:
            dims[b.sd] = (b.effect,)
            dims |= {b.correlation: (b.effect, b.other)} if b.cor else {}
            dims[b.r] = (b.level, b.effect)
        return dims | {p.address: () for p in (*self.auxiliary, *self.hyper)}

    @property
    def coords(self) -> dict[str, np.ndarray]:
        """For each dimension its labels; levels keep the data's own values."""
        coords = {COEFFICIENT: _labels(self.design.fixed.columns)} if self.design.fixed.columns else {}
        for b in self.blocks:
            coords |= {b.level: b.block.levels, b.effect: _labels(b.block.columns)}
            coords |= {b.other: _labels(b.block.columns)} if b.cor else {}
        return coords


def specify(design: Design, family: Family, link: Link, priors: Mapping[str, Prior]) -> ModelSpec:
    """Give every parameter of the design its prior.

    Args:
        design: From `build_design`.
        family: From `find_family`, with its link.
        link: Of the mean.
        priors: The user's, by address; the rest are the defaults of `docs/internals.md`.

    Raises:
        FamilyError: The response is not one that the family takes.
        DataError: A group has as many levels as there are rows, where a residual is also estimated; or
            numbers are too large or too small to compute with.
        PriorError: An unknown address, or a prior that does not fit its parameter.

    Warns:
        DesignWarning: A prior that no parameter takes.
    """
    check_response(design, family)
    if not (design.fixed.columns or design.groups or family.others):
        raise DataError("The model has no parameter: nothing stands right of '~' but an offset.")
    _check_levels(design, family)
    _check_sizes(design)
    y = _margins(design, family)
    location, scale = _scales(design, link, y)
    known = addresses(design, family)
    priors = _by_address(priors, known)
    names = _Names([*_RESERVED, *(p.name for p in family.others), *known])
    chooser = _Chooser(priors, names)
    units = _Units(
        scale, float(np.hypot(scale, location)), design.fixed.has_intercept or spans_constant(design.fixed.X)
    )
    population, centring = _coefficients(design.fixed, location, units, chooser)
    for block in design.groups:
        names.of_group(block.group)
    blocks = tuple(_block_spec(block, design.groups, units, chooser, names) for block in design.groups)
    auxiliary = tuple(
        chooser.choose(p.name, (p.name,), p.support, p.default(y)) for p in family.others if p.default
    )
    unused = [key for key in priors if key not in chooser.referred]
    if unused:
        warn(
            f"No parameter takes its prior from {listed(unused)}: all that {'it names' if len(unused) == 1 else 'they name'} have "
            "priors under addresses of their own.",
            DesignWarning,
        )
    return ModelSpec(
        design=design,
        family=family,
        link=link,
        intercept=population[0] if design.fixed.has_intercept else None,
        coefficients=population[1:] if design.fixed.has_intercept else population,
        centring=centring,
        blocks=blocks,
        auxiliary=auxiliary,
        hyper=tuple(chooser.hyper),
        priors=priors,
        response=names.claim(design.response.name.strip("`")),
    )


def addresses(design: Design, family: Family) -> tuple[str, ...]:
    """Every address that a prior can have, in the order of tables."""
    fixed, found = design.fixed, list[str]()
    if fixed.has_intercept:
        found += ["Intercept", "b[Intercept]"]
    found += ["b", *(f"b[{name}]" for name in fixed.slopes)] if fixed.slopes else []
    found += [f"{CENTRED}b[{name}]" for name in _moved_slopes(fixed)]
    if design.groups:
        found.append("sd")
    for block in design.groups:
        for name in dict.fromkeys((block.name, block.group)):
            found += [f"sd[{name}]", *(f"sd[{name}, {column}]" for column in block.columns)]
        found += [f"{CENTRED}sd[{block.name}, {column}]" for column in _moved_effects(block)]
    if any(block.has_correlation for block in design.groups):
        found.append("cor")
    for block in design.groups:
        found += [f"cor[{block.name}]"] if block.has_correlation else []
        found += [f"{CENTRED}cor[{block.name}]"] if _moved_effects(block) else []
    return tuple(dict.fromkeys([*found, *(p.name for p in family.others)]))


def _moved_slopes(fixed: Fixed) -> tuple[str, ...]:
    """Columns but the intercept whose coefficients are others at the predictors' means."""
    pairs = enumerate(zip(fixed.columns, fixed.centring.moves, strict=True))
    return tuple(name for j, (name, moves) in pairs if moves and j != fixed.intercept)


def _moved_effects(block: Block) -> tuple[str, ...]:
    """Effects that are others at the predictors' means, where correlations tell how."""
    pairs = zip(block.columns, block.centring.moves, strict=True)
    return tuple(name for name, moves in pairs if moves) if block.has_correlation else ()


def _coefficients(
    fixed: Fixed, location: float, units: "_Units", chooser: "_Chooser"
) -> tuple[tuple[Parameter, ...], Centring]:
    """The coefficients with their priors, each at the predictors' means unless the user's prior is of what tables show."""
    found: list[Parameter] = []
    to_means = np.eye(len(fixed.columns))
    for j, name in enumerate(fixed.columns):
        is_intercept = j == fixed.intercept
        at_zero = (f"b[{name}]",) if is_intercept else (f"b[{name}]", "b")
        at_means = "Intercept" if is_intercept else f"{CENTRED}b[{name}]"
        moves = bool(fixed.centring.moves[j]) or is_intercept
        keys: tuple[str, ...] = at_zero
        if moves and not any(key in chooser.priors for key in at_zero):
            keys, to_means[j] = (at_means,), fixed.centring.to_means[j]
        elif moves and at_means in chooser.priors:
            (given, *_) = (key for key in at_zero if key in chooser.priors)
            what = "intercept" if is_intercept else f"coefficient of {name}"
            raise PriorError(
                f"{at_means} is the {what} at the predictors' means, {given} that at zero, which tables show: give one of them a prior."
            )
        where, scale = (location, units.scale) if is_intercept else (0.0, units.of_coefficient(fixed, j))
        chosen = chooser.choose_located(keys[0], keys, where, scale)
        found.append(replace(chosen, at_means=bool(fixed.centring.moves[j]) and keys == (at_means,)))
    return tuple(found), Centring(to_means, np.linalg.inv(to_means))


class _Chooser:
    """Chooses priors by address, and turns arguments that are priors into parameters of their own."""

    def __init__(self, priors: Mapping[str, Prior], names: "_Names") -> None:
        self.priors, self.names = priors, names
        self.hyper: list[Parameter] = []
        self.referred: dict[str, Prior] = {}

    def choose(self, address: str, keys: Sequence[str], support: Interval, default: Prior) -> Parameter:
        """The parameter with the prior of the first key that the user named, else the default."""
        key = next((key for key in keys if key in self.priors), None)
        if key is None:
            return Parameter(address, default, support, default=True)
        prior = self.priors[key]
        if (prior.distribution == "lkj") != (support is CORRELATION):
            right = (
                "correlations take lkj(eta)" if support is CORRELATION else "lkj is for correlations alone"
            )
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
        return Parameter(address, self.referred[key], support, default=False)

    def choose_located(self, address: str, keys: Sequence[str], location: float, scale: float) -> Parameter:
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
            address = self.names.claim(f"{key}.{name}")
            support = DISTRIBUTIONS[prior.distribution].arguments[name]
            self.hyper.append(Parameter(address, self.refer(value, address), support, default=False))
            arguments.append(Reference(address))
        return replace(prior, arguments=tuple(arguments))


class _Names:
    """Names of variables and dimensions: no two are equal, and none has the slash that files cannot hold."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self.groups: dict[str, str] = {}

    def of_group(self, group: str) -> str:
        """The name of a grouping factor's dimension, the same each time."""
        if group not in self.groups:
            self.groups[group] = self.claim(group)
        return self.groups[group]

    def claim(self, name: str) -> str:
        """The name, with underscores after it if it is taken."""
        name = name.replace("/", "_")
        while name in self.taken or " #" in name[-4:]:  # parts of a variable are named so
            name += "_"
        self.taken.add(name)
        return name


_RESERVED = (
    *(CHAIN, DRAW, COEFFICIENT, OBSERVATION),
    *("b", "Intercept", "slopes", "Intercept_scaled", "slopes_scaled"),
    *("sample", "pred_id"),  # dimensions that ArviZ makes of its own
)
"""Names that no variable or dimension of the user's can have; theirs gets an underscore."""


def _block_spec(
    block: Block, groups: Sequence[Block], units: "_Units", chooser: _Chooser, names: _Names
) -> BlockSpec:
    """A block's priors and names."""
    both = dict.fromkeys((block.name, block.group))
    cor = f"cor[{block.name}]" if block.has_correlation else None
    moved = _moved_effects(block) if _lives_at_means(block, chooser.priors) else ()
    sds = []
    for j, column in enumerate(block.columns):
        keys = [*(f"sd[{name}, {column}]" for name in both), *(f"sd[{name}]" for name in both), "sd"]
        keys = [f"{CENTRED}sd[{block.name}, {column}]"] if column in moved else keys
        mean = units.of_effect(block, j)
        if j == block.intercept:
            mean *= _reach(block, groups, at_zero=not moved)
        chosen = chooser.choose(keys[0], keys, POSITIVE, Prior("exponential", (1 / mean,)))
        sds.append(replace(chosen, at_means=column in moved))
    correlation = None
    if cor:
        keys = [f"{CENTRED}{cor}"] if moved else [cor, "cor"]
        chosen = chooser.choose(keys[0], keys, CORRELATION, Prior("lkj", (2.0,)))
        correlation = replace(chosen, at_means=bool(moved))
    sd, r, variable, z, partial, inner = (
        names.claim(f"{kind}_{block.name}") for kind in ("sd", "r", "cor", "z", "partial", "centred_sd")
    )
    effect = names.claim(f"{block.name}_effect")
    return BlockSpec(
        block=block,
        sds=tuple(sds),
        cor=correlation,
        centring=block.centring if moved else no_centring(len(block.columns)),
        sd=sd,
        r=r,
        correlation=variable,
        z=z,
        partial=partial,
        inner=inner,
        level=names.of_group(block.group),
        effect=effect,
        other=names.claim(f"{effect}_other"),
    )


def _lives_at_means(block: Block, priors: Mapping[str, Prior]) -> bool:
    """Whether a block's priors are of its effects at the predictors' means: unless the user's are of what tables show.

    Raises:
        PriorError: The user's are of both.
    """
    moved = _moved_effects(block)
    if not moved:
        return False
    both = dict.fromkeys((block.name, block.group))
    of_tables = [f"sd[{name}, {column}]" for name in both for column in moved]
    of_tables += [*(f"sd[{name}]" for name in both), "sd", f"cor[{block.name}]", "cor"]
    of_means = [*(f"{CENTRED}sd[{block.name}, {column}]" for column in moved), f"{CENTRED}cor[{block.name}]"]
    zero, means = ([key for key in keys if key in priors] for keys in (of_tables, of_means))
    if zero and means:
        raise PriorError(
            f"{means[0]} is of the effects at the predictors' means, {zero[0]} of those at zero, which tables show: "
            f"give all priors of the group {block.name} in one of the two ways."
        )
    return not zero


@dataclass(frozen=True, eq=False, slots=True)
class _Units:
    """In what unit the data would have coefficients and effects.

    Attributes:
        scale: sd(y) on the identity link, 1 on others.
        from_zero: The same, where predictors are measured from zero.
        has_constant: Whether the population level holds a constant: an intercept, or full dummies.
    """

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


def _reach(block: Block, groups: Sequence[Block], *, at_zero: bool) -> float:
    """By how much more a group's intercept may vary where it is defined than within the data.

    The hypotenuse of 1 and, for each effect in the same group that is defined at zero of its predictor, of how far
    zero is from its values: sd(y) bounds what effects are within the data, and a slope multiplies what is beyond.
    """
    own = [x for j, x in enumerate(block.X.T) if at_zero and j != block.intercept]
    beside = [x for other in groups if other is not block for x in _defined_at_zero(other, block)]
    return float(np.sqrt(1 + sum(beyond(x) ** 2 for x in (*own, *beside))))


def _defined_at_zero(other: Block, block: Block) -> Sequence[np.ndarray]:
    """The columns of a block without an intercept that stands beside another on the same group."""
    return tuple(other.X.T) if other.group == block.group and other.intercept is None else ()


def _margins(design: Design, family: Family) -> Margins:
    """Those of the response, on the scale on which the family's first parameter is a location."""
    y = design.response
    return margins(family.scale.of(y.values), y.trials)


def _scales(design: Design, link: Link, y: Margins) -> tuple[float, float]:
    """Where the intercept's prior sits, and the scale of the predictor.

    The intercept at the predictors' means is `link(mean y)` less the mean offset. The scale is sd(y) on
    the identity link and 1 on others; the family's own parameters live on the scale of y whatever the link.
    """
    with np.errstate(all="ignore"):
        location = float(link.link(np.asarray(y.mean, dtype=float)))
    if not np.isfinite(location):
        raise FamilyError(
            f"The mean of {design.response.name} is {y.mean:.4g}, which the {link.name} link cannot take."
        )
    return location - float(design.offset.mean()), y.sd if link.name == "identity" else 1.0


def _check_levels(design: Design, family: Family) -> None:
    """Where a residual is estimated, effects that are one for each row cannot be told from it."""
    if family.residual is None:
        return
    for block in design.groups:
        if len(block.levels) >= design.n:
            raise DataError(
                f"The group {block.group} has as many levels as there are rows ({design.n:,}), so its effects cannot be told from "
                f"the residual of the {family.name} family. Leave it out, or group by something that repeats."
            )


def _check_sizes(design: Design) -> None:
    """Refuse numbers whose squares leave the range of floating point, and with them every scale."""
    columns = [(design.response.name, design.response.values)]
    columns += zip(design.fixed.columns, design.fixed.X.T, strict=True)
    columns += [pair for block in design.groups for pair in zip(block.columns, block.X.T, strict=True)]
    for name, x in columns:
        size = np.abs(x).max()
        if size and not SMALLEST < size < LARGEST:
            raise DataError(
                f"The largest number of {name} is {size:.3g}, too {'small' if size < 1 else 'large'} to compute with: "
                "measure it in another unit."
            )


def _by_address(priors: Mapping[str, Prior], known: Sequence[str]) -> dict[str, Prior]:
    """The priors under their canonical addresses, blanks not counting."""
    canonical = {"".join(address.split()): address for address in known}
    canonical |= {f"{CENTRED}b[Intercept]": "Intercept"} if "Intercept" in known else {}
    # as it is written on the other side of the Atlantic
    canonical |= {
        f"centered.{key.removeprefix(CENTRED)}": name
        for key, name in canonical.items()
        if key.startswith(CENTRED)
    }
    found: dict[str, Prior] = {}
    for address, prior in priors.items():
        key = "".join(address.split())
        if key not in canonical:
            raise PriorError(
                f"No parameter has the address {address!r}.{nearest_address(address, known)} Addresses here: {listed(known, 40)}."
            )
        if canonical[key] in found:
            raise PriorError(f"{canonical[key]} is given two priors under two spellings; keep one.")
        found[canonical[key]] = prior
    return found


def _labels(names: Sequence[str]) -> np.ndarray:
    return np.array(names, dtype=object)
