"""What keyboards, word processors and web pages make of a formula -> the signs that the grammar knows.

y ∼ x − 1  # no intercept   ->   y ~ x - 1

Every character keeps its place, so that a caret under one points at what the user wrote.
"""

import re

LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"),  # minus, hyphens, dashes
        **dict.fromkeys("\u223c\u02dc\uff5e", "~"),
        **dict.fromkeys("\u2217\uff0a", "*"),
        **dict.fromkeys("\u2223\uff5c", "|"),
        **dict.fromkeys("\ufeff\u200b", " "),  # a byte order mark, a blank of no width
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u2018\u2019", "'"),
        **{chr(ord(sign) + 0xFEE0): sign for sign in "+/^:()[],=<>%."},  # as East Asian keyboards have them
    }
)

_PIECE = re.compile(
    r"""
    (?P<quoted>  `(?:\\.|[^`\\])*`? | "(?:\\.|[^"\\])*"? | '(?:\\.|[^'\\])*'? )
  | (?P<curly>   \u201c[^\u201c\u201d"\\\n]*\u201d | \u2018[^\u2018\u2019'\\\n]*\u2019 )
  | (?P<comment> \#[^\n]* )
  | (?P<other>   [^`"'\u201c\u2018\#]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def plain(text: str) -> str:
    """The text with lookalikes of the grammar's signs as those signs, and comments as blanks; quotes keep theirs."""
    return "".join(_plain(piece) for piece in _PIECE.finditer(text))


def _plain(piece: re.Match[str]) -> str:
    written = piece.group()
    match piece.lastgroup:
        case "quoted":
            return written
        case "curly":
            return written[0].translate(LOOKALIKES) + written[1:-1] + written[-1].translate(LOOKALIKES)
        case "comment":
            return " " * len(written)
    return written.translate(LOOKALIKES)
