"""Priors as values: `prior("normal", 0, 10)`, or the text `normal(0, 10)`; an argument may be a prior."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from mixedbayes.arguments import is_number, is_one_of
from mixedbayes.errors import FormulaError, PriorError, listed, nearest, shown
from mixedbayes.language.expressions import Call, Expression, Literal, Name, Operation
from mixedbayes.language.read import parse_expression
from mixedbayes.models.distributions import DISTRIBUTIONS, Interval

type Argument = float | Prior | Reference


@dataclass(frozen=True, slots=True)
class Reference:
    """An argument that is a sampled parameter: a hyperprior's, by its address."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class Prior:
    """A distribution and its arguments, in Stan's names and order; made by `prior` or `parse_prior`."""

    distribution: str
    arguments: tuple[Argument, ...] = ()

    @property
    def named(self) -> dict[str, Argument]:
        """The arguments by Stan's names."""
        return dict(zip(DISTRIBUTIONS[self.distribution].arguments, self.arguments, strict=True))

    @property
    def support(self) -> Interval:
        """Where its values lie."""
        match self:
            case Prior("uniform", (int() | float() as lower, int() | float() as upper)):
                return Interval(lower, upper)
        return DISTRIBUTIONS[self.distribution].support

    def __str__(self) -> str:
        """Text that parses to an equal prior."""
        return self.text()

    def text(self, digits: int | None = None) -> str:
        """The prior's text, numbers to so many digits; None for all of them."""
        if self.distribution == "flat":
            return "flat"
        shown = [
            _number_text(value, digits) if isinstance(value, int | float)
            else value.text(digits) if isinstance(value, Prior)
            else str(value)
            for value in self.arguments
        ]  # fmt: skip
        return f"{self.distribution}({', '.join(shown)})"


def prior(distribution: str, *arguments: float | Prior, **named: float | Prior) -> Prior:
    """A prior.

    Args:
        distribution: Stan's name: normal, student_t, cauchy, exponential, gamma, lkj, ...
        *arguments: Its arguments in Stan's order (`normal(mu, sigma)`, `exponential(beta)` with beta
            the rate, `gamma(alpha, beta)`); each a number or itself a prior.
        **named: The same by name.

    Raises:
        PriorError: An unknown distribution, a wrong number of arguments, or one out of range.
    """
    if not is_one_of(distribution, DISTRIBUTIONS):
        raise PriorError(
            f"There is no prior distribution {shown(distribution)}.{_hint(shown(distribution).strip("'"))} Known: {listed(DISTRIBUTIONS, 30)}."
        )
    wanted = DISTRIBUTIONS[distribution].arguments
    usage = f"{distribution}({', '.join(wanted)})"
    if len(arguments) > len(wanted):
        raise PriorError(f"{usage} takes {len(wanted)} arguments, not {len(arguments)}.")
    values: dict[str, float | Prior] = dict(zip(wanted, arguments, strict=False))
    for name, value in named.items():
        if name not in wanted or name in values:
            raise PriorError(f"{name!r} is {'given twice' if name in values else 'no argument'} in {usage}.")
        values[name] = value
    lacking = [name for name in wanted if name not in values]
    if lacking:
        raise PriorError(f"{usage} lacks {listed(lacking)}.")
    ordered = tuple(_checked(values[name], name, wanted[name], usage) for name in wanted)
    made = Prior(distribution, ordered)
    if distribution == "uniform" and not made.support.lower < made.support.upper:
        raise PriorError("uniform(lower, upper) needs lower < upper.")
    return made


def _hint(unknown: str) -> str:
    """The nearest name; of a half distribution, that the whole one does."""
    plain = unknown.lower().replace("_", "").replace("-", "")
    if not plain.startswith("half"):
        return nearest(unknown, DISTRIBUTIONS)
    located = {name.replace("_", ""): name for name, known in DISTRIBUTIONS.items() if known.half_names}
    whole = located.get(plain.removeprefix("half"), "normal")
    usage = ", ".join("0" if name == "mu" else name for name in DISTRIBUTIONS[whole].arguments)
    return f" A half-{whole} is {whole}({usage}) on a parameter that is positive: the cut at zero is implied."


def parse_prior(text: str | Prior) -> Prior:
    """Read a prior from its text; a `Prior` is passed on.

    Raises:
        PriorError: The text is no prior.
    """
    if isinstance(text, Prior):
        return text
    if not isinstance(text, str):
        raise PriorError(
            f"A prior is a text such as 'normal(0, 10)' or mb.prior(...), not {type(text).__name__}."
        )
    try:
        value = _read(parse_expression(text), text)
    except FormulaError as error:
        raise PriorError(f"{error.message} A prior reads as normal(0, 10).") from None
    if not isinstance(value, Prior):
        raise PriorError(f"{text!r} is no prior; a prior reads as normal(0, 10).")
    return value


def _read(expression: Expression, text: str) -> float | Prior:
    match expression:
        case Literal(bool()):
            pass
        case Literal(int() | float() as value):
            return float(value)
        case Operation("-" | "+" as sign, (operand,)):
            number = _read(operand, text)
            if isinstance(number, float):
                return -number if sign == "-" else number
        case Name("flat"):
            return prior("flat")
        case Name(name) if name in DISTRIBUTIONS:
            raise PriorError(
                f"{name} needs its arguments: {name}({', '.join(DISTRIBUTIONS[name].arguments)})."
            )
        case Call(function, arguments, keywords):
            named = {key: _read(value, text) for key, value in keywords}
            return prior(function, *(_read(item, text) for item in arguments), **named)
    raise PriorError(
        f"{text!r} is no prior: arguments are numbers or priors, as in normal(0, 10) or normal(0, exponential(1))."
    )


def _checked(value: float | Prior, name: str, interval: Interval, usage: str) -> float | Prior:
    """The argument, if it is a number or a prior that lies where it must."""
    if isinstance(value, Prior):
        if value.distribution in ("flat", "lkj"):
            raise PriorError(
                f"{value} cannot be the prior of {name} in {usage}: a hyperprior must be a proper prior of one number."
            )
        if not interval.meets(value.support):
            raise PriorError(f"{name} of {usage} takes {interval}, where {value} has no mass.")
        return value
    if not is_number(value) or not isfinite(value):
        raise PriorError(f"{name} of {usage} must be a finite number or a prior, not {value!r}.")
    if not interval.lower < value < interval.upper:
        raise PriorError(f"{name} of {usage} takes {interval}, not {value:g}.")
    return float(value)


def _number_text(value: float, digits: int | None) -> str:
    if digits is not None:
        return f"{value:.{digits}g}"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def parse_priors(priors: Mapping[str, str | Prior] | None) -> dict[str, Prior]:
    """Every prior of a mapping from address to text or value.

    Raises:
        PriorError: One of them cannot be read; the message has its address.
    """
    if priors is not None and not isinstance(priors, Mapping):
        raise PriorError(
            f"priors is a mapping such as {{'b[x]': 'normal(0, 1)'}}, not {type(priors).__name__}."
        )
    read: dict[str, Prior] = {}
    for address, text in (priors or {}).items():
        try:
            read[str(address)] = parse_prior(text)
        except PriorError as error:
            raise PriorError(f"priors[{address!r}]: {error}") from None
    return read
