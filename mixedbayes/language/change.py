"""A formula × a change -> the text of a new formula, as R's `update`: a dot stands for what was there.

y ~ x + (x | g),  "log(.) ~ . - x"   ->   "log(y) ~ (x + (1 + x | g)) - x"
"""

import re
from dataclasses import replace

from mixedbayes.errors import FormulaError, shown
from mixedbayes.language import spelling
from mixedbayes.language.expressions import Operation, text_of
from mixedbayes.language.formula import Formula, Response

PIECES = re.compile(
    r"""(?P<quoted>`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<dot>(?<![\w.])\.(?![\w.]))|(?P<other>.)""",
    re.DOTALL,
)
"""What is in quotes, dots that are no part of a name or number, and single characters."""

DOT = "dot"


def updated(formula: Formula, change: str) -> str:
    """The text of the formula that the change makes of this one.

    Args:
        formula: As it was.
        change: `"~ . - x"`, `"log(.) ~ ."`; nothing left of `~` keeps the response.

    Raises:
        FormulaError: The change has no `~`.
    """
    found = PIECES.finditer(spelling.plain(change)) if isinstance(change, str) else ()
    pieces = [DOT if piece.lastgroup == "dot" else piece.group() for piece in found]
    if "~" not in pieces:
        raise FormulaError(
            f"A change of a formula reads as '~ . - x', with a dot for what was there, not {shown(change)}."
        )
    tilde = pieces.index("~")
    response = str(formula.response)
    terms = str(formula)[len(response) + len(" ~ ") :]
    removed = terms == "0" or terms.startswith("0 + ")
    plain = terms.removeprefix("0 + ").removeprefix("1 + ")
    within = f"0 + {plain}" if removed else plain  # left of a bar, where an intercept is implied anew
    right, outside = "", False
    for i, piece in enumerate(pieces[tilde + 1 :], tilde + 1):
        in_bar = piece is DOT and _left_of_bar(pieces, i)
        outside |= piece is DOT and not in_bar
        right += (within if in_bar else f"({plain})") if piece is DOT else piece
    left = _left(formula.response, pieces[:tilde])
    return f"{left} ~ {'0 + ' if removed and outside else ''}{right.strip()}"


def _left(response: Response, pieces: list[str]) -> str:
    """The new left side; trials that the change does not name stay as they are."""
    if not any(piece is not DOT and piece.strip() for piece in pieces):
        return str(response)
    computed = isinstance(response.expression, Operation)
    dot = f"({text_of(response.expression)})" if computed else str(replace(response, trials=None))
    left = "".join(dot if piece is DOT else piece for piece in pieces).strip()
    if response.trials is None or DOT not in pieces or "|" in pieces:
        return left
    return f"{left} | trials({text_of(response.trials)})"


def _left_of_bar(pieces: list[str], place: int) -> bool:
    """Whether a place is in brackets, with a bar after it in the same ones."""
    depth = 0
    for piece in pieces[place + 1 :]:
        depth += (piece == "(") - (piece == ")")
        if depth < -1:
            return False
        if piece == "|" and depth == 0:
            return any(before == "(" for before in pieces[:place])
        if depth == -1:
            return False
    return False
