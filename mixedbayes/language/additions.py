"""What may stand right of the bar in a response, `y | trials(n) + weights(w)`: a table, and the values read by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mixedbayes.language.expressions import Expression, text_of

type NumbersKind = Literal["count", "weight", "deviation"]


@dataclass(frozen=True, slots=True)
class AdditionKind:
    """What one word right of the bar takes.

    Attributes:
        noun: What its numbers are called.
        numbers: Of what kind those of its column are: counts, weights, or standard deviations.
        options: Its keywords, each with what it is if it does not stand there.
        does: What its numbers do, as printed fits say after its text; nothing where that goes without saying.
    """

    noun: str
    numbers: NumbersKind
    options: Mapping[str, bool] = field(default_factory=dict)
    does: str = ""


ADDITIONS: dict[str, AdditionKind] = {
    "trials": AdditionKind("trials", "count"),
    "weights": AdditionKind("weights", "weight", does="multiplies the log density of each row"),
    "se": AdditionKind(
        "standard errors", "deviation", {"sigma": False}, "is the known standard error of each row"
    ),
}
"""Every addition: the number of trials of each row, its weight, the known standard error of its response."""


@dataclass(frozen=True, slots=True)
class Addition:
    """One of them as a formula has it: `se(s, sigma=True)`.

    Attributes:
        argument: The column or number that it takes.
        options: All keywords of its kind.
    """

    argument: Expression
    options: Mapping[str, bool] = field(default_factory=dict)


def additions_text(additions: Mapping[str, Addition]) -> str:
    """The canonical text, in the order of the table: `trials(n) + weights(w)`; keywords where they are no default."""
    return " + ".join(addition_text(name, additions[name]) for name in ADDITIONS if name in additions)


def addition_text(name: str, addition: Addition) -> str:
    """One of them as canonical text."""
    return f"{name}({', '.join([text_of(addition.argument), *_options_text(name, addition)])})"


def _options_text(name: str, addition: Addition) -> list[str]:
    defaults = ADDITIONS[name].options
    return [f"{key}={value!r}" for key, value in addition.options.items() if value != defaults[key]]
