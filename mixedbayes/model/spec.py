"""The model as data: every parameter with its address, labels and prior; still no PyMC.

    Design × family × priors -> ModelSpec

Names of variables and dimensions are decided here, once, and never changed after.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedbayes.design.design import RANK_TOLERANCE, Block, Design
from mixedbayes.errors import DataError, FamilyError, PriorError, listed, nearest_address
from mixedbayes.model.distributions import CORRELATION, DISTRIBUTIONS, POSITIVE, REAL, Interval
from mixedbayes.model.families import Family, Link, check_response
from mixedbayes.model.priors import Prior, Reference

CHAIN, DRAW, COEFFICIENT, OBSERVATION = "chain", "draw", "coefficient", "observation"

SMALLEST, LARGEST = 1e-100, 1e100
"""Between these lies the largest number of a column, so that sums of squares can be computed."""

ROUNDING = 1e-12
"""A column whose range is less than this part of its largest value is constant but for rounding."""


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
    """

    address: str
    prior: Prior
    support: Interval
    default: bool
    location: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class BlockSpec:
    """A block with its priors and the names of its variables and dimensions.

    Attributes:
        sds: One for each effect.
        cor: None where there is no correlation.
        sd, r, correlation, z, partial: Names of variables; z and partial are internal.
        level, effect, other: Names of dimensions.
    """

    block: Block
    sds: tuple[Parameter, ...]
    cor: Parameter | None
    sd: str
    r: str
    correlation: str
    z: str
    partial: str
    level: str
    effect: str
    other: str


@dataclass(frozen=True, eq=False, slots=True)
class ModelSpec:
    """Everything a sampler has to know.

    Attributes:
        intercept: Its prior; at the predictors' means if `centred`. None without an intercept.
        centred: Whether predictors are centred inside.
        means: Of the predictors but the intercept, shape (p - 1,) or (p,).
        coefficients: One for each column but the intercept.
        auxiliary: The family's parameters beside the mean, by name.
        hyper: Parameters that priors refer to, each before what refers to it.
        priors: The user's own, by address, as they were given.
        response: Name of the observed variable.
    """

    design: Design
    family: Family
    link: Link
    intercept: Parameter | None
    centred: bool
    means: np.ndarray
    coefficients: tuple[Parameter, ...]
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
    """
    check_response(design, family)
    if not (design.fixed.columns or design.groups or family.parameters):
        raise DataError("The model has no parameter: nothing stands right of '~' but an offset.")
    _check_levels(design, family)
    _check_sizes(design)
    location, scale, sd_y = _scales(design, link)
    from_zero = float(np.hypot(scale, location))
    known = addresses(design, family)
    priors = _by_address(priors, known)
    names = _Names([*_RESERVED, *(p.name for p in family.parameters), *known])
    chooser = _Chooser(priors, names)
    fixed = design.fixed
    columns = fixed.columns[1:] if fixed.has_intercept else fixed.columns
    X = fixed.X[:, 1:] if fixed.has_intercept else fixed.X
    centred = fixed.has_intercept and "b[Intercept]" not in priors
    if not centred and "Intercept" in priors:
        raise PriorError(
            "Intercept is the intercept at the predictors' means, b[Intercept] that at zero: give one of them a prior."
        )
    intercept = None
    if fixed.has_intercept:
        key = "Intercept" if centred else "b[Intercept]"
        intercept = chooser.choose_located(key, (key,), location, scale)
    coefficients = tuple(
        chooser.choose_located(
            f"b[{name}]",
            (f"b[{name}]", "b"),
            0.0,
            scale / spread(x) if fixed.has_intercept else from_zero / size(x),
        )
        for name, x in zip(columns, X.T, strict=True)
    )
    spanned = fixed.has_intercept or spans_constant(X)
    sd_means = [
        [scale / spread(x) if spanned else from_zero / size(x) for x in block.X.T] for block in design.groups
    ]
    blocks = _block_specs(design, sd_means, chooser, names)
    auxiliary = tuple(
        chooser.choose(p.name, (p.name,), p.support, p.default(sd_y)) for p in family.parameters
    )
    return ModelSpec(
        design=design,
        family=family,
        link=link,
        intercept=intercept,
        centred=centred,
        means=X.mean(axis=0),
        coefficients=coefficients,
        blocks=blocks,
        auxiliary=auxiliary,
        hyper=tuple(chooser.hyper),
        priors=priors,
        response=names.claim(design.response.name.strip("`")),
    )


def spread(x: np.ndarray) -> float:
    """The standard deviation of a column, or 1 for one of zeros and ones (and one that is constant)."""
    if np.isin(x, (0.0, 1.0)).all() or np.ptp(x) <= ROUNDING * np.abs(x).max():
        return 1.0
    return float(x.std(ddof=1))


def size(x: np.ndarray) -> float:
    """The root mean square of a column, or 1 for one of zeros and ones."""
    if np.isin(x, (0.0, 1.0)).all():
        return 1.0
    return float(np.sqrt(np.mean(x * x)))


def spans_constant(X: np.ndarray) -> bool:
    """Whether columns add up to a constant: full dummies do, and then stand in for the intercept."""
    ones = np.ones(len(X))
    weights = np.linalg.lstsq(X, ones, rcond=None)[0] if X.shape[1] else np.zeros(0)
    return bool(np.abs(X @ weights - ones).max() < RANK_TOLERANCE)


def addresses(design: Design, family: Family) -> tuple[str, ...]:
    """Every address that a prior can have, in the order of tables."""
    found: list[str] = []
    if design.fixed.has_intercept:
        found += ["Intercept", "b[Intercept]"]
    slopes = [name for name in design.fixed.columns if name != "Intercept"]
    found += ["b", *(f"b[{name}]" for name in slopes)] if slopes else []
    if design.groups:
        found.append("sd")
    for block in design.groups:
        for name in dict.fromkeys((block.name, block.group)):
            found += [f"sd[{name}]", *(f"sd[{name}, {column}]" for column in block.columns)]
    if any(block.has_correlation for block in design.groups):
        found.append("cor")
        found += [f"cor[{block.name}]" for block in design.groups if block.has_correlation]
    return tuple(dict.fromkeys([*found, *(p.name for p in family.parameters)]))


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


def _block_specs(
    design: Design, sd_means: Sequence[Sequence[float]], chooser: _Chooser, names: _Names
) -> tuple[BlockSpec, ...]:
    levels = {group: names.claim(group) for group in dict.fromkeys(block.group for block in design.groups)}
    specs = []
    for block, means in zip(design.groups, sd_means, strict=True):
        both = dict.fromkeys((block.name, block.group))
        sds = tuple(
            chooser.choose(
                f"sd[{block.name}, {column}]",
                [*(f"sd[{name}, {column}]" for name in both), *(f"sd[{name}]" for name in both), "sd"],
                POSITIVE,
                Prior("exponential", (1 / mean,)),
            )
            for column, mean in zip(block.columns, means, strict=True)
        )
        cor = None
        if block.has_correlation:
            key = f"cor[{block.name}]"
            cor = chooser.choose(key, (key, "cor"), CORRELATION, Prior("lkj", (2.0,)))
        sd, r, correlation, z, partial = (
            names.claim(f"{kind}_{block.name}") for kind in ("sd", "r", "cor", "z", "partial")
        )
        effect = names.claim(f"{block.name}_effect")
        other = names.claim(f"{effect}_other")
        level = levels[block.group]
        specs.append(BlockSpec(block, sds, cor, sd, r, correlation, z, partial, level, effect, other))
    return tuple(specs)


def _scales(design: Design, link: Link) -> tuple[float, float, float]:
    """Where the intercept's prior sits, the scale of the predictor, and sd(y).

    The intercept at the predictors' means is `link(mean y)` less the mean offset. The scale is sd(y) on
    the identity link and 1 on others; the family's own parameters live on the scale of y whatever the link.
    """
    y = design.response
    mean = y.values.sum() / y.trials.sum() if y.trials is not None else y.values.mean()
    sd_y = float(y.values.std(ddof=1)) if np.ptp(y.values) > 0 else 1.0
    with np.errstate(all="ignore"):
        location = float(link.link(np.asarray(mean, dtype=float)))
    if not np.isfinite(location):
        raise FamilyError(f"The mean of {y.name} is {mean:.4g}, which the {link.name} link cannot take.")
    return location - float(design.offset.mean()), sd_y if link.name == "identity" else 1.0, sd_y


def _check_levels(design: Design, family: Family) -> None:
    """Where a residual is estimated, effects that are one for each row cannot be told from it."""
    if not any(p.name == "sigma" for p in family.parameters):
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
    found: dict[str, Prior] = {}
    for address, prior in priors.items():
        key = "".join(address.split())
        if key not in canonical:
            raise PriorError(
                f"No parameter has the address {address!r}.{nearest_address(address, known)} Addresses here: {listed(known, 40)}."
            )
        if canonical[key] in found:
            raise PriorError(f"{canonical[key]} is given two priors, which differ in blanks alone; keep one.")
        found[canonical[key]] = prior
    return found


def _labels(names: Sequence[str]) -> np.ndarray:
    return np.array(names, dtype=object)
