"""What options can be: each function returns a value that is one, or refuses it by the option's name."""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from numbers import Integral, Real
from typing import Any

import numpy as np

from mixedbayes.errors import ArgumentError, listed, nearest, shown

MOST_HELD = 2**30
"""Bytes of draws that are returned at once."""


def is_one_of(value: Any, known: Collection[str]) -> bool:
    """Whether a value is one of some texts; arrays and tables, which compare item by item, are none."""
    return isinstance(value, str) and value in known


def is_number(value: Any) -> bool:
    """Whether a value is a number of whatever type; a truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def whole_number(value: Any) -> int | None:
    """A whole number of whatever type; None for what is none, as a truth value."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def whole(name: str, value: Any, least: int, most: int | None = None, otherwise: str = "") -> int:
    """A whole number within bounds, plain.

    Args:
        name: Of the option.
        value: What was passed.
        least: The least that it can be.
        most: The most; None for no bound.
        otherwise: What else it can be, in words: `", or None"`.

    Raises:
        ArgumentError: It is none, or out of bounds.
    """
    number = whole_number(value)
    if number is None or number < least:
        raise ArgumentError(f"{name} is a whole number of at least {least}{otherwise}, not {shown(value)}.")
    if most is not None and number > most:
        raise ArgumentError(f"{name} is at most {most:,}, not {shown(number)}.")
    return number


def seed_of(value: Any) -> int | None:
    """A seed, or None for a new one each time.

    Raises:
        ArgumentError: It is neither.
    """
    return None if value is None else whole("seed", value, least=0)


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """One of some texts.

    Raises:
        ArgumentError: It is none of them; the message names those that there are, and the nearest.
    """
    if is_one_of(value, known):
        return str(value)
    texts = list(map(repr, known))
    can_be = " or ".join(texts) if len(texts) == 2 else f"one of {listed(texts)}"
    raise ArgumentError(f"{name} is {can_be}, not {shown(value)}.{nearest(shown(value), known)}")


def share(name: str, value: Any) -> float:
    """A number between 0 and 1, neither of them.

    Raises:
        ArgumentError: It is none.
    """
    if not is_number(value) or not 0 < value < 1:
        raise ArgumentError(f"{name} lies between 0 and 1, not {shown(value)}.")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """True or False, NumPy's too.

    Raises:
        ArgumentError: It is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{name} is True or False, not {shown(value)}.")
    return bool(value)


def name_of(name: str, value: Any, what: str) -> str:
    """A name; `what` says of what, with its article: `"a factor"`.

    Raises:
        ArgumentError: It is no text.
    """
    if not isinstance(value, str):
        raise ArgumentError(f"{name} is the name of {what}, not {shown(value)}.")
    return value


def names_of(name: str, value: Any, what: str) -> list[str]:
    """None, one name or several, as a list.

    Raises:
        ArgumentError: It is something else.
    """
    if value is None:
        return []
    found = [value] if isinstance(value, str) else value
    several = isinstance(found, Collection) and getattr(found, "ndim", 1) == 1
    if not several or not all(isinstance(each, str) for each in found):
        raise ArgumentError(f"{name} is the name of {what} or a list of names, not {shown(value)}.")
    return list(found)


MOST_NAMED = 100
"""Things that are looked at where some of a few names are asked for: these tell what `range(10**12)` is as well as all do."""


def some_of(name: str, value: Any, known: Collection[str]) -> list[str]:
    """One or several of some texts, as a list.

    Raises:
        ArgumentError: There are none, or others among them.
    """
    several = isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) == 1
    asked: Sequence[Any] = list(islice(value, MOST_NAMED)) if several else [value]
    unknown = [each for each in asked if not is_one_of(each, known)]
    if unknown or not asked:
        raise ArgumentError(
            f"{name} are some of {listed(known)}; {listed(map(shown, unknown)) or 'none'} was asked for."
        )
    return list(asked)


def fits(numbers: int, what: str, advice: str) -> None:
    """Refuse more numbers than can be held at once.

    Args:
        numbers: How many, of eight bytes.
        what: What they are, in words that begin the message: `"4,000 draws of 20 rows"`.
        advice: How the message ends: `"; ask for them in pieces"`.

    Raises:
        ArgumentError: It says how much they are.
    """
    size = 8 * numbers
    if size > MOST_HELD:
        much = f"are {size / 2**30:,.1f} GiB" if size < 2**60 else "do not fit into any memory"
        raise ArgumentError(f"{what} {much}{advice}.")
