"""Statements about parameters -> their posterior probability: `sd[Subject, Days] / sigma > 0.2`.

Addresses are found first and stand for themselves; what is left is read by the grammar of formulas' expressions
and computed on draws by a walk over the tree: nothing is evaluated as Python.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.errors import ArgumentError, FormulaError, listed, shown
from mixedbayes.language.expressions import (
    Call,
    Expression,
    Literal,
    Name,
    Operation,
    names_in,
    parse_expression,
    text_of,
)
from mixedbayes.results.posterior.addresses import Addresses, cut
from mixedbayes.results.posterior.summary import check_level, estimate

ARITHMETIC: Mapping[str, Callable[..., np.ndarray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
}
FUNCTIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "min": np.minimum,
    "max": np.maximum,
}
ORDER: Mapping[str, Callable[..., np.ndarray]] = {
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
LOGIC: Mapping[str, Callable[..., np.ndarray]] = {"&": np.logical_and, "|": np.logical_or}

PRIVATE = "\ue000"
"""A character for private use, which no keyboard has."""

LONGEST = 2_000
"""Characters of a hypothesis."""

AFTER = "+-*/^%<>=!&|),"
"""What can follow an operand."""

BRACKETED = re.compile(r"(?<![\w.\]])(?:\w+\.)*(?:b|sd|cor|r|coef)\s*\[")
COLUMNS = ("hypothesis", "estimate", "std_error", "conf_low", "conf_high", "probability", "evidence_ratio")


def weigh(addresses: Addresses, hypotheses: str | Sequence[str], conf_level: float) -> pd.DataFrame:
    """One row for each hypothesis.

    Raises:
        ArgumentError: One that cannot be read, or that names no parameter of the fit.
    """
    texts = [hypotheses] if isinstance(hypotheses, str) else hypotheses
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise ArgumentError(
            f"A hypothesis is a text such as 'sigma > 1', or a list of them, not {shown(hypotheses)}."
        )
    check_level(conf_level)
    return pd.DataFrame([_row(addresses, text, conf_level) for text in texts], columns=list(COLUMNS))


def _row(addresses: Addresses, text: str, conf_level: float) -> tuple[Any, ...]:
    statement = read(addresses, text)
    numbers = [np.nan] * 4
    match statement.expression:
        case Operation("==" | "!=", _):
            raise ArgumentError(
                f"{statement.text!r}: a number that varies equals another with probability zero. Ask for less than or more than, or for a "
                "range: (x > -0.1) & (x < 0.1)."
            )
        case Operation(symbol, (left, right)) if symbol in ORDER:
            holds = statement.truth(statement.expression)
            with np.errstate(all="ignore"):
                difference = statement.value(left) - statement.value(right)
                if np.isfinite(difference).all():
                    numbers = estimate(np.atleast_3d(difference), conf_level).iloc[0].tolist()
        case Operation(symbol, _) if symbol in LOGIC or symbol == "~":
            holds = statement.truth(statement.expression)
        case _:
            raise ArgumentError(
                f"{statement.text!r} states nothing: a hypothesis compares, as in {statement.text.strip()} > 0."
            )
    probability = float(holds.mean())
    with np.errstate(divide="ignore"):
        ratio = float(np.divide(probability, 1 - probability))
    return (text.strip(), *numbers, probability, ratio)


@dataclass(frozen=True, eq=False, slots=True)
class Statement:
    """An expression over draws.

    Attributes:
        text: As the user wrote it, cut for messages.
        expression: Its names stand for parameters.
        draws: Of each name, shape (chain, draw).
        aliases: The names and the addresses that they stand for.
    """

    text: str
    expression: Expression
    draws: Mapping[str, np.ndarray]
    aliases: "Aliases"

    def value(self, expression: Expression) -> np.ndarray:
        """Numbers, shape (chain, draw)."""
        match expression:
            case Literal(int() | float() as value) if not isinstance(value, bool):
                return np.full(self._shape(), float(value))
            case Name(name):
                return self.draws[name]
            case Operation("-", (operand,)):
                return -self.value(operand)
            case Operation("+", (operand,)):
                return self.value(operand)
            case Operation(symbol, (left, right)) if symbol in ARITHMETIC:
                with np.errstate(all="ignore"):
                    return ARITHMETIC[symbol](self.value(left), self.value(right))
            case Call(function, arguments, ()) if function in FUNCTIONS:
                with np.errstate(all="ignore"):
                    return self._call(function, [self.value(item) for item in arguments])
            case Call(function):
                raise ArgumentError(
                    f"{self.text!r}: a hypothesis has no function {function}(); it has {listed(FUNCTIONS)}."
                )
        raise ArgumentError(f"{self.text!r}: {self._said(expression)} is no number.")

    def truth(self, expression: Expression) -> np.ndarray:
        """Whether it holds, shape (chain, draw)."""
        match expression:
            case Operation(symbol, (left, right)) if symbol in LOGIC:
                return LOGIC[symbol](self.truth(left), self.truth(right))
            case Operation(symbol, (left, right)) if symbol in ORDER:
                return ORDER[symbol](self._defined(left), self._defined(right))
            case Operation("~", (operand,)):
                return ~self.truth(operand)
        raise ArgumentError(f"{self.text!r}: & and | join comparisons in brackets: (a > 0) & (b < 1).")

    def _defined(self, expression: Expression) -> np.ndarray:
        """Numbers, of which none is undefined: what is not known neither holds nor does not."""
        values = self.value(expression)
        lost = int(np.isnan(values).sum())
        if lost:
            raise ArgumentError(
                f"{self.text!r}: {self._said(expression)} is not a number in {lost:,} of {values.size:,} draws, so the hypothesis "
                "has no probability. Ask for what every draw has, as abs() of what log() or sqrt() takes."
            )
        return values

    def _said(self, expression: Expression) -> str:
        return cut(self.aliases.said(text_of(expression)))

    def _call(self, function: str, values: list[np.ndarray]) -> np.ndarray:
        wanted = FUNCTIONS[function].nin  # type: ignore[attr-defined]  # they are ufuncs
        if len(values) != wanted:
            raise ArgumentError(f"{self.text!r}: {function}() takes {wanted} numbers, not {len(values)}.")
        return FUNCTIONS[function](*values)

    def _shape(self) -> tuple[int, ...]:
        return next(iter(self.draws.values())).shape


@dataclass(frozen=True, slots=True)
class Aliases:
    """Names that stand for addresses while the rest of a hypothesis is read.

    Attributes:
        sign: What they begin and end with, which stands nowhere in the text.
        found: Addresses as they are written; the first has the number 0 between two signs for a name.
    """

    sign: str
    found: dict[str, str]

    def name(self, address: str) -> str:
        """The name of an address."""
        return self.found.setdefault(address, f"{self.sign}{len(self.found)}{self.sign}")

    def said(self, text: str) -> str:
        """A text of names, as it is or escaped, with the addresses in their place."""
        addresses = list(self.found)
        sign = f"(?:{re.escape(self.sign)}|{re.escape(repr(self.sign)[1:-1])})"
        return re.sub(rf"`?{sign}(\d+){sign}`?", lambda m: addresses[int(m[1])], text)


def read(addresses: Addresses, text: str) -> Statement:
    """Find the addresses of a hypothesis, and parse what they leave.

    Raises:
        ArgumentError: It cannot be read, or names no parameter.
    """
    if len(text) > LONGEST:
        raise ArgumentError(
            f"The hypothesis {cut(text)!r} has {len(text):,} characters; at most {LONGEST:,} are read."
        )
    sign = PRIVATE
    while sign in text:
        sign += PRIVATE
    aliases = Aliases(sign, {})
    source, place = "", 0
    while place < len(text):
        address = _address_at(addresses, text, place)
        if address is None:
            source += text[place]
            place += 1
            continue
        source += f"`{aliases.name(address)}`"
        place += len(address)
    source = re.sub(r"(?<![<>=!])=(?!=)", "==", source)
    try:
        expression = parse_expression(source)
    except FormulaError as error:
        raise ArgumentError(
            f"The hypothesis {cut(text)!r} cannot be read. {aliases.said(error.message)}"
        ) from None
    draws = {alias: addresses.draws(address) for address, alias in aliases.found.items()}
    for name in names_in(expression):
        if name not in draws:  # in backticks, or unknown
            draws[name] = addresses.draws(aliases.said(name))
    if not draws:
        raise ArgumentError(
            f"The hypothesis {cut(text)!r} names no parameter. Addresses here: {addresses.shown}."
        )
    sizes = {values.shape for values in draws.values()}
    if len(sizes) > 1 or not all(
        values.size for values in draws.values()
    ):  # not all draws of effects were kept
        raise ArgumentError(
            f"{cut(text)!r}: there are fewer draws of group effects than of the other parameters, for want of memory; fit with more memory= (GiB)."
        )
    return Statement(cut(text), expression, draws, aliases)


def _address_at(addresses: Addresses, text: str, place: int) -> str | None:
    """The longest address that begins at a place of the text, as it is written or but for blanks; None if there is none."""
    if text[place].isspace() or (place and (text[place - 1].isalnum() or text[place - 1] in "_.")):
        return None
    known = [*addresses.named, "Intercept"]
    written = [name for name in known if text.startswith(name, place) and _ends(text[place + len(name) :])]
    if written:
        return max(written, key=len)
    places = [i for i in range(place, len(text)) if not text[i].isspace()]
    rest = "".join(text[i] for i in places)
    ends = [places[len(key) - 1] + 1 for key in (*addresses.canonical, "Intercept") if rest.startswith(key)]
    whole = [end for end in ends if _ends(text[end:])]
    if whole:
        return text[place : max(whole)]
    bracketed = BRACKETED.match(text, place)
    if not bracketed:
        return None
    for found in re.finditer(r"\]", text[bracketed.end() :]):  # levels may have brackets of their own
        address = text[place : bracketed.end() + found.end()]
        if addresses.is_of_known_level(address):
            return address
    return text[place : _closing(text, bracketed.end() - 1) + 1]


def _ends(rest: str) -> bool:
    """Whether a name is over where the rest of the text begins."""
    after = rest.lstrip()
    return not after or after[0] in AFTER


def _closing(text: str, opening: int) -> int:
    """The place of the bracket that closes the one at `opening`.

    Raises:
        ArgumentError: There is none.
    """
    depth = 0
    for i in range(opening, len(text)):
        depth += (text[i] == "[") - (text[i] == "]")
        if depth == 0:
            return i
    raise ArgumentError(
        f"The hypothesis {cut(text)!r} has a bracket that is not closed, in {cut(text[opening:])!r}."
    )
