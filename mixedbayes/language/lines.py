"""Text -> its formulas: that of the response, and those of further parameters, `y ~ x; sigma ~ z`."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from formulaic.parser.types import Token

from mixedbayes.errors import FormulaError
from mixedbayes.language.expressions import quoted
from mixedbayes.language.formula import MEAN
from mixedbayes.language.spelling import plain
from mixedbayes.language.tokens import BRACKET, CODE, NAME, OPERATOR, deeper, is_sign, name_of, scan

MAX_LENGTH = 100_000
"""Characters of the longest formula that is read."""

TILDE_INSIDE = (
    "The '~' of a formula stands outside brackets, as in 'y ~ x + (1 | g)'; the formula of another parameter is a line of its "
    "own: y ~ x; sigma ~ z."
)

ONE_TILDE = "A formula has one '~'; the formula of another parameter is a line of its own, or stands after ';': y ~ x; sigma ~ z."


MAX_LINES = 50
"""Formulas of the longest text: no family has so many parameters."""


@dataclass(frozen=True, slots=True)
class Line:
    """One `left ~ right` among the tokens of a text.

    Attributes:
        text: The whole text, for messages.
        left: Tokens left of the `~`.
        tilde: The place of the `~`.
        right: Tokens right of it.
        stop: Where the next line begins, or the text ends.
    """

    text: str
    left: tuple[Token, ...]
    tilde: int
    right: tuple[Token, ...]
    stop: int

    @property
    def written(self) -> str:
        """What the user wrote, on one line."""
        start = (self.left[0].source_start or 0) if self.left else self.tilde
        return " ".join(self.text[start : self.stop].split())


def checked(text: str) -> str:
    """The text with lookalikes and comments replaced, if it is one and not too long."""
    if not isinstance(text, str):
        raise FormulaError(f"A formula is a text such as 'y ~ x + (1 | g)', not {type(text).__name__}.")
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"A formula has at most {MAX_LENGTH:,} characters; this one has {len(text):,}.")
    return plain(text)


def lines(text: str, *, is_change: bool = False) -> list[Line]:
    """The formulas of a text: of the response, and of further parameters on lines of their own or after `;`.

    Args:
        text: Checked.
        is_change: Whether nothing need stand left of the first `~`.
    """
    tokens = scan(text)
    tildes = [i for i, token in enumerate(tokens) if token.kind is OPERATOR and token.token == "~"]
    if not tildes:
        raise _without_tilde(tokens, text)
    wrong = next((i for i in tildes[1:] if not _begins_line(tokens, i - 1, text)), None)
    if wrong is not None:
        raise FormulaError(ONE_TILDE, text, tokens[wrong].source_start)
    if len(tildes) > MAX_LINES:
        raise FormulaError(
            f"A text has the formulas of at most {MAX_LINES} parameters.",
            text,
            tokens[tildes[MAX_LINES]].source_start,
        )
    starts = [0, *(i - 1 for i in tildes[1:]), len(tokens)]
    result = [_line(tokens, *at, text) for at in zip(starts, tildes, starts[1:], strict=False)]
    for i, line in enumerate(result):
        _check_line(line, is_change=is_change and not i)
    return result


def _line(tokens: list[Token], start: int, tilde: int, end: int, text: str) -> Line:
    """The line of some of the tokens; a semicolon before the next one is part of none."""
    close = end - (end < len(tokens) and is_sign(tokens[end - 1], (";",)))
    stop = len(text) if close == len(tokens) else tokens[close].source_start or 0
    left, right = tuple(tokens[start:tilde]), tuple(tokens[tilde + 1 : close])
    return Line(text, left, tokens[tilde].source_start or 0, right, stop)


def one_sided(predictors: Mapping[str, str]) -> list[Line]:
    """The lines `parameter ~ terms` of right sides that were given by name, `{"sigma": "~ x"}`."""
    if len(predictors) > MAX_LINES:
        raise FormulaError(f"A model has formulas of at most {MAX_LINES} parameters.")
    result = []
    for name, written in predictors.items():
        if not (isinstance(name, str) and name.strip()):
            raise FormulaError(f"The name of a parameter is a text, as 'sigma', not {name!r}.")
        if not isinstance(written, str):
            raise FormulaError(
                f"The formula of {name} is a text such as '~ x + (1 | g)', not {type(written).__name__}."
            )
        side = plain(written)
        if not side.lstrip().startswith("~"):
            raise FormulaError(f"The formula of {name} begins with '~', as '~ x + (1 | g)'.", side, 0)
        lead = f"{quoted(name)} "
        first, *others = lines(checked(lead + side))
        if others:
            raise FormulaError(ONE_TILDE, first.text, others[0].tilde)
        result.append(first)
    return result


def parameter_of(line: Line, known: Collection[str]) -> str:
    """The parameter whose formula a line is; the first line's is the mean's."""
    (token,) = line.left
    name = name_of(token, line.text)
    if name in known:
        said = f"The formula of {name} is the first one" if name == MEAN else f"{name} has two formulas"
        raise FormulaError(f"{said}; add their terms in one.", line.text, token.source_start)
    return name


def _begins_line(tokens: list[Token], i: int, text: str) -> bool:
    """Whether a token is a name with which a new line begins, or which follows a semicolon."""
    if i < 1 or tokens[i].kind is not NAME:
        return False
    before = tokens[i - 1]
    gap = text[before.source_end or 0 : tokens[i].source_start]
    return is_sign(before, (";",)) or "\n" in gap or "\r" in gap


def _check_line(line: Line, *, is_change: bool) -> None:
    """Refuse a line whose sides are empty or brackets."""
    text = line.text
    if sum(map(deeper, line.left)):
        raise FormulaError(TILDE_INSIDE, text, line.tilde)
    if not line.left and not is_change:
        raise FormulaError("Nothing stands left of '~': name the response.", text, line.tilde)
    if not line.right:
        raise FormulaError(
            "Nothing stands right of '~': write '~ 1' for an intercept alone.", text, line.stop
        )
    square = [token for token in line.right if token.kind is BRACKET and token.token in "[]"]
    if square:
        raise FormulaError("Square brackets have no meaning among terms.", text, square[0].source_start)


def _without_tilde(tokens: list[Token], text: str) -> FormulaError:
    """The error for a formula that has no `~` between its sides."""
    if not tokens:
        return FormulaError("A formula needs a response: 'y ~ ' and then its terms.", text, 0)
    for token in tokens:
        start = token.source_start or 0
        if token.kind is CODE and "~" in token.token:
            return FormulaError(TILDE_INSIDE, text, start)
        found = re.match(r"<-|:=|={1,2}", text[start:]) if token.kind is OPERATOR else None
        if found:
            return FormulaError(
                f"Between a response and its terms stands '~', not '{found.group()}': y ~ x.", text, start
            )
    return FormulaError(
        "A formula needs a '~' between its response and its terms: 'y ~ x + (1 | g)'.", text, 0
    )
