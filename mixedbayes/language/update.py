"""A formula × a change -> the text of a new formula, as R's `update`: a dot stands for what was there.

y ~ x + (x | g),  "log(.) ~ . - x"   ->   "log(y) ~ (x + (1 + x | g)) - x"
"""

import re

from mixedbayes.errors import FormulaError
from mixedbayes.language.formula import Formula

DOT = re.compile(r"""(`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<![\w.])\.(?![\w.])""")


def updated(formula: Formula, change: str) -> str:
    """The text of the formula that the change makes of this one.

    Args:
        formula: As it was.
        change: `"~ . - x"`, `"log(.) ~ ."`; nothing left of `~` keeps the response.

    Raises:
        FormulaError: The change has no `~`.
    """
    if not isinstance(change, str) or "~" not in change:
        raise FormulaError(
            f"A change of a formula reads as '~ . - x', with a dot for what was there, not {change!r}."
        )
    left, _, right = change.partition("~")
    response, _, terms = str(formula).partition(" ~ ")
    removed = terms == "0" or terms.startswith("0 + ")
    kept = f"({terms.removeprefix('0 + ').removeprefix('1 + ')})"
    had_dot = _replaced(right, kept) != right
    start = "0 + " if removed and had_dot else ""
    return f"{_replaced(left, response).strip() or response} ~ {start}{_replaced(right, kept).strip()}"


def _replaced(text: str, what: str) -> str:
    """The text with its dots replaced; not those in quotes or names."""
    return DOT.sub(lambda found: found.group(1) or what, text)
