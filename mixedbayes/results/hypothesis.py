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

from mixedbayes.errors import ArgumentError, FormulaError, listed
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
from mixedbayes.results.addresses import Addresses
from mixedbayes.results.summary import estimate

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

BRACKETED = re.compile(r"(?<![\w.\]])(?:b|sd|cor|r|coef)\s*\[")
COLUMNS = ("hypothesis", "estimate", "std_error", "conf_low", "conf_high", "probability", "evidence_ratio")


def weigh(addresses: Addresses, hypotheses: str | Sequence[str], conf_level: float) -> pd.DataFrame:
    """One row for each hypothesis.

    Raises:
        ArgumentError: One that cannot be read, or that names no parameter of the fit.
    """
    texts = [hypotheses] if isinstance(hypotheses, str) else hypotheses
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise ArgumentError(
            f"A hypothesis is a text such as 'sigma > 1', or a list of them, not {hypotheses!r}."
        )
    return pd.DataFrame([_row(addresses, text, conf_level) for text in texts], columns=list(COLUMNS))


def _row(addresses: Addresses, text: str, conf_level: float) -> tuple[Any, ...]:
    statement = read(addresses, text)
    match statement.expression:
        case Operation("==" | "!=", _):
            raise ArgumentError(
                f"{text!r}: a number that varies equals another with probability zero. Ask for less than or more than, or for a "
                "range: (x > -0.1) & (x < 0.1)."
            )
        case Operation(symbol, (left, right)) if symbol in ORDER:
            one, other = statement.value(left), statement.value(right)
            holds = ORDER[symbol](one, other)
            numbers = estimate(np.atleast_3d(one - other), conf_level).iloc[0].tolist()
        case Operation(symbol, _) if symbol in LOGIC:
            holds, numbers = statement.truth(statement.expression), [np.nan] * 4
        case _:
            raise ArgumentError(f"{text!r} states nothing: a hypothesis compares, as in {text.strip()} > 0.")
    probability = float(holds.mean())
    with np.errstate(divide="ignore"):
        ratio = float(np.divide(probability, 1 - probability))
    return (text.strip(), *numbers, probability, ratio)


@dataclass(frozen=True, eq=False, slots=True)
class Statement:
    """An expression over draws.

    Attributes:
        text: As the user wrote it.
        expression: Its names stand for parameters.
        draws: Of each name, shape (chain, draw).
    """

    text: str
    expression: Expression
    draws: Mapping[str, np.ndarray]

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
        raise ArgumentError(f"{self.text!r}: {text_of(expression)} is no number.")

    def truth(self, expression: Expression) -> np.ndarray:
        """Whether it holds, shape (chain, draw)."""
        match expression:
            case Operation(symbol, (left, right)) if symbol in LOGIC:
                return LOGIC[symbol](self.truth(left), self.truth(right))
            case Operation(symbol, (left, right)) if symbol in ORDER:
                return ORDER[symbol](self.value(left), self.value(right))
            case Operation("~", (operand,)):
                return ~self.truth(operand)
        raise ArgumentError(f"{self.text!r}: & and | join comparisons in brackets: (a > 0) & (b < 1).")

    def _call(self, function: str, values: list[np.ndarray]) -> np.ndarray:
        wanted = FUNCTIONS[function].nin  # type: ignore[attr-defined]  # they are ufuncs
        if len(values) != wanted:
            raise ArgumentError(f"{self.text!r}: {function}() takes {wanted} numbers, not {len(values)}.")
        return FUNCTIONS[function](*values)

    def _shape(self) -> tuple[int, ...]:
        return next(iter(self.draws.values())).shape


def read(addresses: Addresses, text: str) -> Statement:
    """Find the addresses of a hypothesis, and parse what they leave.

    Raises:
        ArgumentError: It cannot be read, or names no parameter.
    """
    found: dict[str, str] = {}
    source, place = "", 0
    while place < len(text):
        address = _address_at(addresses, text, place)
        if address is None:
            source += text[place]
            place += 1
            continue
        alias = found.setdefault(address, f"parameter{len(found)}")
        source += f" `{alias}` "
        place += len(address)
    source = re.sub(r"(?<![<>=!])=(?!=)", "==", source)
    try:
        expression = parse_expression(source)
    except FormulaError as error:
        raise ArgumentError(f"The hypothesis {text!r} cannot be read. {error.message}") from None
    draws = {alias: addresses.draws(address) for address, alias in found.items()}
    unknown = [name for name in names_in(expression) if name not in draws]
    if unknown:
        raise addresses.unknown(unknown[0])
    if not draws:
        raise ArgumentError(f"The hypothesis {text!r} names no parameter. Addresses here: {addresses.shown}.")
    sizes = {values.shape for values in draws.values()}
    if len(sizes) > 1:  # not all draws of the effects were kept
        raise ArgumentError(
            f"{text!r}: there are fewer draws of group effects than of the other parameters, for want of memory; fit with more memory= (GiB)."
        )
    return Statement(text, expression, draws)


def _address_at(addresses: Addresses, text: str, place: int) -> str | None:
    """The longest address that begins at a place of the text; None if there is none."""
    if text[place].isspace() or (place and (text[place - 1].isalnum() or text[place - 1] in "_.")):
        return None
    squeezed = [(i, text[i]) for i in range(place, len(text)) if not text[i].isspace()]
    rest = "".join(character for _, character in squeezed)
    known = [key for key in (*addresses.canonical, "Intercept") if rest.startswith(key)]
    whole = [key for key in known if not _continues(key, text[squeezed[len(key) - 1][0] + 1 :])]
    if whole:
        longest = max(whole, key=len)
        return text[place : squeezed[len(longest) - 1][0] + 1]
    bracketed = BRACKETED.match(text, place)
    return text[place : _closing(text, bracketed.end() - 1) + 1] if bracketed else None


def _continues(name: str, rest: str) -> bool:
    """Whether a word goes on after the name."""
    return bool(rest) and name[-1].isalnum() and (rest[0].isalnum() or rest[0] in "_.")


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
    raise ArgumentError(f"The hypothesis {text!r} has a bracket that is not closed, in {text[opening:]!r}.")
