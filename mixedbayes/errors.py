"""What a user is told when something is wrong: one family of exceptions, one of warnings."""

import re
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as shortened
from typing import Any


class MixedBayesError(ValueError):
    """Any mistake in what the user passed; the message says what, where and what to do."""


class FormulaError(MixedBayesError):
    """A formula that cannot be read, shown with a caret under the place.

    Args:
        message: What is wrong and what to write instead.
        text: The whole formula.
        place: Index into `text` of the first wrong character; None shows no caret.
    """

    def __init__(self, message: str, text: str = "", place: int | None = None) -> None:
        self.message, self.text, self.place = message, text, place
        shown = f"{message}\n{_pointed(text, place)}" if text and place is not None else message
        super().__init__(shown)


class DataError(MixedBayesError):
    """Data that the formula cannot be applied to."""


class UnknownColumns(DataError):  # noqa: N818  # the error of the data that it is
    """Names that are no columns of the data.

    Args:
        message: Which, and what they may have meant.
        names: The names.
    """

    def __init__(self, message: str, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


class PriorError(MixedBayesError):
    """A prior that cannot be read, or that does not fit its parameter."""


class FamilyError(MixedBayesError):
    """An unknown family or link, or a response outside the family's support."""


class ArgumentError(MixedBayesError):
    """An option with a value that it cannot take."""


class FileError(MixedBayesError):
    """A file that cannot be read as what it should be."""


class DesignWarning(UserWarning):
    """Something was left out of the model (rows, columns), or read otherwise than lme4 would."""


class ConvergenceWarning(UserWarning):
    """The draws of a fit are not to be trusted as they are; the message says what to do."""


class PartialDrawsWarning(UserWarning):
    """Not all draws of the group effects were kept, for want of memory; the message says what numbers rest on."""


class PictureWarning(UserWarning):
    """Not all that was asked for is in a picture; the message says what is."""


HOUSE = str(Path(__file__).parent)
"""Warnings point at the first line outside: the user's."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the caller's line."""
    warnings.warn(message, category, skip_file_prefixes=(HOUSE,))


def _pointed(text: str, place: int) -> str:
    """The line of `text` that holds `place`, and a caret under it; long lines are cut."""
    start = text.rfind("\n", 0, place) + 1
    end = text.find("\n", place)
    line, column = text[start : end if end >= 0 else len(text)], place - start
    before, after = 60, 30
    if column > before:
        line, column = "..." + line[column - before :], before + 3
    if len(line) > column + after + 3:
        line = line[: column + after] + "..."
    return f"  {line}\n  {' ' * column}^"


SHORT = 2
"""Letters of names that resemble too many others: one must begin the other, but for a letter."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """` Did you mean 'x'?` when one of `choices` is close to `name`, else an empty string."""
    by_lower = {choice.lower(): choice for choice in choices}
    if name.lower() in by_lower:
        return _asked(by_lower[name.lower()])
    near = [lower for lower, choice in by_lower.items() if _may_be(choice, name)]
    close = get_close_matches(name.lower(), near, n=1, cutoff=0.6)
    return _asked(by_lower[close[0]]) if close else ""


def _may_be(choice: str, name: str) -> bool:
    """Whether one could be a slip of the other."""
    short, long = sorted((choice, name), key=len)
    return len(short) > SHORT or (long.startswith(short) and len(long) == len(short) + 1)


def no_attribute(owner: object, name: str, meant: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that an object does not have.

    Args:
        owner: The object.
        name: The attribute.
        meant: Words for attributes elsewhere, in small letters -> what there is in their place.

    Raises:
        AttributeError: That of a property which is there, and fails for want of some other attribute.
    """
    if hasattr(type(owner), name):
        object.__getattribute__(owner, name)
    said = f"{type(owner).__name__!r} object has no attribute {name!r}"
    if name.startswith("_"):  # copy, pickle and notebooks ask for these, and read no advice
        return AttributeError(said, name=name)
    advice = meant.get(name, meant.get(name.lower()))
    if advice is not None:
        return AttributeError(f"{said}: {advice}.", name=name)
    known = [each for each in dir(owner) if not each.startswith("_")]
    hint = nearest(name, known) or f" It has {listed(known, 40)}."
    return AttributeError(
        f"{said}.{hint}", name=name
    )  # without obj=, for which Python would add a guess of its own


def nearest_address(address: str, known: Iterable[str]) -> str:
    """The same of an address such as `b[x]`: a factor's name stands for all its coefficients, and kinds do not mix."""
    kind, bracket, rest = address.partition("[")
    choices = [choice for choice in known if choice.partition("[")[0].strip() == kind.strip()]
    if not bracket or not choices:
        return nearest(address, known)
    inside = rest.rstrip().removesuffix("]")
    whole = [choice for choice in choices if _without_levels(choice) == _without_levels(f"{kind}[{inside}]")]
    if whole:
        return f" Did you mean {listed(map(repr, whole))}?"
    by_inside = {choice.partition("[")[2].removesuffix("]"): choice for choice in choices}
    hint = nearest(inside, by_inside)
    return next(
        (f" Did you mean {choice!r}?" for key, choice in by_inside.items() if hint == _asked(key)), ""
    )


def _asked(name: str) -> str:
    return f" Did you mean {name!r}?"


def _without_levels(address: str) -> str:
    """`b[f[T.b]:x]` as `b[f:x]`, without blanks."""
    kind, _, inside = "".join(address.split()).partition("[")
    return f"{kind}[{re.sub(r'\[[^\[\]]*\]', '', inside.removesuffix(']'))}]"


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


LONGEST = 120
"""Characters of one thing in a list: a level can be a whole letter."""


def listed(items: Iterable[object], limit: int = 8) -> str:
    """`a, b, c and 12 more`: the items in words, at most `limit` of them."""
    texts = [_cut(str(item)) for item in items]
    if len(texts) <= limit:
        return ", ".join(texts)
    return f"{', '.join(texts[:limit])} and {len(texts) - limit:,} more"


def _cut(text: str) -> str:
    """The beginning and the end of a long text."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}...{text[-half:]}"


def shown(value: Any) -> str:
    """What was passed, in a few characters: numbers can have a million digits, and tables as many rows."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    try:
        return " ".join(shortened(value).split())
    except ValueError:  # such a number within a list
        return f"a {type(value).__name__} that cannot be shown"
