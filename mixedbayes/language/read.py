"""Text -> expression: `log(y)`, `C(x, contr.sum)`, `I(a + b^2)`.

The text is read with Python's own grammar (`ast.parse`, which runs nothing), and only the kinds of node in
`READERS` come through, one small function each.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from keyword import kwlist
from typing import Any, NamedTuple

from mixedbayes.errors import FormulaError
from mixedbayes.language.expressions import (
    CONSTANTS,
    SYNTAX,
    Array,
    Call,
    Expression,
    Literal,
    Name,
    Operation,
    Record,
    is_bare,
    unquoted,
)

BINARY: Mapping[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
UNARY: Mapping[type[ast.AST], str] = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}
LOGICAL = (ast.BitAnd, ast.BitOr)

ALIASES = {"as.factor": "factor"}
"""Functions that have two names; the first is read as the second."""

MAX_INTEGER = 2**63
"""Integers beyond which a number is written with a point or an exponent, as 1e30."""

MAX_CHAIN = 150
"""Operators in a row, as in the sum of a questionnaire's items."""

MAX_DEPTH = 50
"""Nesting beyond which an expression is refused: nobody writes it, and recursion has its limit."""

MAX_REMEMBERED = 500
"""Characters of the longest expression that is kept once read."""

SPELT_OTHERWISE = {
    "%%": "R's %% is written % here; it binds no tighter than *.",
    "%/%": "R's %/% is written // here; it binds no tighter than *.",
    "%in%": "%in% stands between terms; for a test write (a == 'x') | (a == 'y').",
    "#": "A comment has no place here.",
    "<-": "A keyword takes =.",
    "[,": "scale(x) and center(x) are columns as they are, without [, 1].",
    "$": "Columns are named alone, without their table: y and not d$y.",
    "~": "The '~' of a formula stands outside brackets.",
}
_BRACKET_COMPARISONS = (
    "a comparison beside & or | stands in brackets, and cannot be chained: (a > 1) & (b < 2)"
)
_MEMBERSHIP = "'in' and 'is' are not available in a formula; write (a == 'x') | (a == 'y')"
REFUSED: Mapping[type[ast.AST], str] = {
    ast.Lambda: "a lambda is code; formulas call only named functions (pass your own in env={...})",
    ast.Attribute: "attributes of values are not available in a formula",
    ast.Subscript: "indexing is not available here (y['level'] is for a response alone)",
    ast.BoolOp: "write & and | with brackets around each side, not 'and' and 'or'",
    ast.Compare: _BRACKET_COMPARISONS,
    ast.UnaryOp: "write ~ for 'not', with brackets around its condition",
    ast.Starred: "* before an argument is not available in a formula",
}
"""What Python has and expressions here have not."""

_PIECES = re.compile(
    r"""
    (?P<text>    "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
  | `(?P<name>   (?:\\.|[^`\\])+ )`
  | (?P<word>    [^\W\d]\w* )
  | (?P<dot>     (?<![\w.])\.(?![\w.]) )
  | (?P<power>   \^ )
  | (?P<space>   \s+ )
  | (?P<strange> \# | [^\x00-\x7f] )
  | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
_DOUBTFUL = re.compile(r"""(?<!\\)(?:\\\\)*\\(?![\\'"abfnrtvxuUN0-7\n])""")
"""A backslash that Python would warn of, and keep."""


def parse_expression(text: str, dot: Expression | None = None) -> Expression:
    """Read one expression.

    Args:
        text: For example `poly(x, 2)`, ``log(`my column`)`` or `a + b^2` (`^` is a power, as in R).
        dot: What a `.` that is no part of a name or number stands for; None where it stands for nothing.

    Raises:
        FormulaError: Not an expression, or one with a part that a formula may not have; `place`
            counts from the start of `text`.
    """
    if dot is None and len(text) <= MAX_REMEMBERED:
        return _remembered(text)
    return _parsed(text, dot)


def has_dot(text: str) -> bool:
    """Whether a `.` that is no part of a name, number or text stands in an expression."""
    return any(found.lastgroup == "dot" for found in _PIECES.finditer(text))


def is_number(text: str) -> bool:
    """Whether the text is that of a number: `1e7`, `1_000`, `0x1f`."""
    if not text[:1].isdigit():
        return False
    try:
        expression = parse_expression(text)
    except FormulaError:
        return False
    return isinstance(expression, Literal)


@dataclass(frozen=True, slots=True)
class Source:
    """One text, and the same as Python's grammar takes it.

    Attributes:
        text: As written.
        python: What `ast.parse` reads.
        places: For each character of `python` the place in `text` that it came from.
        names: For each identifier that stands for a name which Python's grammar would not take, that name.
        values: For each identifier that stands for an expression, that expression.
    """

    text: str
    python: str
    places: tuple[int, ...]
    names: Mapping[str, str]
    values: Mapping[str, Expression]

    def place(self, offset: int) -> int:
        """The place in the text of a character of `python`; beyond its end that of the last one."""
        return self.places[min(offset, len(self.places) - 1)] if self.places else 0

    def refuse(self, node: ast.AST, why: str) -> FormulaError:
        """The error for a node, pointing at it."""
        before = self.python.encode()[: getattr(node, "col_offset", 0)]  # ast counts in bytes
        place = self.place(len(before.decode(errors="ignore")))
        return FormulaError(why[0].upper() + why[1:] + ".", self.text, place)

    def dotted(self, node: ast.AST) -> str | None:
        """The name that a name or a chain of attributes spells, as `contr.sum`; None for what is neither."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(self.names.get(node.attr, node.attr))
            node = node.value
        if not isinstance(node, ast.Name) or node.id in self.values:
            return None
        return ".".join([self.names.get(node.id, node.id), *reversed(parts)])


def _parsed(text: str, dot: Expression | None = None) -> Expression:
    source = source_of(text, dot)
    if doubtful := _DOUBTFUL.search(source.python):
        raise _unreadable(text, source.place(doubtful.end() - 1))
    try:
        tree = ast.parse(source.python, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _unreadable(text, source.place((getattr(error, "offset", None) or 1) - 1)) from None
    return read(source, tree, 0)


_remembered = lru_cache(maxsize=1024)(_parsed)


def _unreadable(text: str, place: int) -> FormulaError:
    said = f"{text!r}" if len(text) < 80 else "This"
    hint = next((f" {advice}" for sign, advice in SPELT_OTHERWISE.items() if sign in text), "")
    return FormulaError(f"{said} cannot be read as an expression.{hint}", text, place)


def read(source: Source, node: ast.AST, depth: int) -> Expression:
    """The expression of a node that is so deep in others."""
    if depth > MAX_DEPTH:
        raise source.refuse(node, f"this is nested more than {MAX_DEPTH} deep")
    reader = READERS.get(type(node))
    if reader is None:
        raise _refused(source, node)
    return reader(source, node, depth + 1)


def _refused(source: Source, node: ast.AST) -> FormulaError:
    return source.refuse(node, REFUSED.get(type(node), "this is code that a formula cannot hold"))


def _read_name(source: Source, node: ast.Name | ast.Attribute, _: int) -> Expression:
    name = source.dotted(node)
    if isinstance(node, ast.Name):
        if node.id in source.values:
            return source.values[node.id]
        if node.id in source.names:  # in backticks any name is a column's
            return Name(source.names[node.id])
        if node.id in CONSTANTS:
            return Literal(CONSTANTS[node.id])
    if name is None:
        raise _refused(source, node)
    if any(part.startswith("__") for part in name.split(".")):
        raise source.refuse(
            node,
            f"{name!r} is not available in a formula: names that begin with two underscores are Python's own",
        )
    return Name(name)


def _read_literal(source: Source, node: ast.Constant, _: int) -> Expression:
    match node.value:
        case int() as value if value >= MAX_INTEGER:
            raise source.refuse(node, "this integer is too large; write it with an exponent, as 1e30")
        case None | bool() | int() | float() | str() as value:
            return Literal(value)
    raise _refused(source, node)


def _read_list(source: Source, node: ast.List | ast.Tuple, depth: int) -> Expression:
    return Array(tuple(read(source, item, depth) for item in node.elts))


def _read_record(source: Source, node: ast.Dict, depth: int) -> Expression:
    labels = [key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    if len(labels) < len(node.keys):
        raise source.refuse(node, "the names in {...} must be texts in quotes")
    values = (read(source, value, depth) for value in node.values)
    return Record(tuple(zip(labels, values, strict=True)))


def _read_call(source: Source, node: ast.Call, depth: int) -> Expression:
    function = source.dotted(node.func)
    if function is None:
        raise source.refuse(node, "only a named function can be called in a formula")
    if any(part.startswith("_") for part in function.split(".")):
        raise source.refuse(
            node,
            f"{function!r} is not available in a formula: functions that begin with an underscore are Python's own",
        )
    if not is_bare(function):
        raise source.refuse(node, f"{function!r} cannot be the name of a function")
    keywords = _keywords(source, node)
    match function, node.args, keywords:
        case "Q", [ast.Constant(str(column))], []:  # patsy's backticks
            return Name(column)
    return Call(
        ALIASES.get(function, function),
        tuple(read(source, item, depth) for item in node.args),
        tuple((name, read(source, value, depth)) for name, value in keywords),
    )


def _keywords(source: Source, call: ast.Call) -> list[tuple[str, ast.expr]]:
    """The keyword arguments of a call, each of which has a name of its own."""
    keywords: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise source.refuse(call, "** before an argument is not available in a formula")
        if keyword.arg in keywords:
            raise source.refuse(call, f"the argument {keyword.arg!r} stands twice")
        if keyword.arg.startswith("_"):
            raise source.refuse(call, f"the argument {keyword.arg!r} is not available in a formula")
        keywords[keyword.arg] = keyword.value
    return list(keywords.items())


def _read_chain(source: Source, node: ast.BinOp, depth: int) -> Expression:
    """`a + b + c + ...`, of any length: only what hangs to the right of it nests."""
    links: list[ast.BinOp] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and type(left.op) in BINARY:
        links.append(left)
        left = left.left
    if not links:
        raise _refused(source, node)
    if len(links) > MAX_CHAIN:
        raise source.refuse(node, f"this has more than {MAX_CHAIN} operators in a row")
    result = read(source, left, depth)
    for link in reversed(links):
        result = Operation(BINARY[type(link.op)], (result, read(source, link.right, depth)))
    return result


def _read_comparison(source: Source, node: ast.Compare, depth: int) -> Expression:
    match node.ops, node.comparators:
        case [operator], [right] if type(operator) in BINARY:
            sides = (node.left, right)
            if any(isinstance(side, ast.BinOp) and isinstance(side.op, LOGICAL) for side in sides):
                raise source.refuse(node, _BRACKET_COMPARISONS)
            return Operation(BINARY[type(operator)], tuple(read(source, side, depth) for side in sides))
        case [ast.In() | ast.NotIn() | ast.Is() | ast.IsNot()], _:
            raise source.refuse(node, _MEMBERSHIP)
    raise _refused(source, node)


def _read_sign(source: Source, node: ast.UnaryOp, depth: int) -> Expression:
    if type(node.op) not in UNARY:
        raise _refused(source, node)
    return Operation(UNARY[type(node.op)], (read(source, node.operand, depth),))


READERS: Mapping[type[ast.AST], Callable[[Source, Any, int], Expression]] = {
    ast.Name: _read_name,
    ast.Attribute: _read_name,
    ast.Constant: _read_literal,
    ast.List: _read_list,
    ast.Tuple: _read_list,
    ast.Dict: _read_record,
    ast.Call: _read_call,
    ast.BinOp: _read_chain,
    ast.Compare: _read_comparison,
    ast.UnaryOp: _read_sign,
}
"""For each kind of node that an expression is made of what reads it: the source, the node, how deep its parts are."""


class Piece(NamedTuple):
    """A piece of `Source.python`.

    Attributes:
        written: Its characters.
        start: Where it came from in the text.
        moves: Whether its characters came from as many there; else all came from the first.
    """

    written: str
    start: int
    moves: bool


def source_of(text: str, dot: Expression | None = None) -> Source:
    """The text as Python's grammar reads it.

    Outside quotes:
    - `^` becomes `**`, for in Python `a + b^2` is `(a + b)^2`;
    - a name in backticks, a keyword, and a name that is not ASCII (Python would normalise it) become an
      identifier that stands for it; so does a dot by itself, if it stands for something;
    - `#` and other signs that are not ASCII become a sign that cannot be read: `#` would begin a comment.
    """
    prefix = "quoted_"
    while prefix in text:
        prefix += "_"
    pieces: list[Piece] = []
    names: dict[str, str] = {}
    values: dict[str, Expression] = {}
    for found in _PIECES.finditer(text):
        identifier = f"{prefix}{len(names) + len(values)}"
        match found.lastgroup:
            case "name":
                names[identifier] = unquoted(found["name"])
                pieces.append(Piece(f" {identifier} ", found.start("name"), moves=False))
            case "word" if not _is_plain(found):
                names[identifier] = found["word"]
                pieces.append(Piece(f" {identifier} ", found.start(), moves=False))
            case "dot" if dot is not None:
                values[identifier] = dot
                pieces.append(Piece(f" {identifier} ", found.start(), moves=False))
            case "power":
                pieces.append(Piece("**", found.start(), moves=False))
            case "strange":
                pieces.append(Piece("?", found.start(), moves=False))
            case "space":
                pieces.append(Piece(" ", found.start(), moves=False))
            case _:
                pieces.append(Piece(found.group(), found.start(), moves=True))
    python = "".join(piece.written for piece in pieces)
    places = [piece.start + i * piece.moves for piece in pieces for i in range(len(piece.written))]
    lead, code = len(python) - len(python.lstrip()), python.strip()
    return Source(text, code, tuple(places[lead : lead + len(code)]), names, values)


def _is_plain(word: re.Match[str]) -> bool:
    """Whether Python's grammar takes the word as it is; in a name with dots, as `is.na`, no word is syntax."""
    written, (start, end) = word["word"], word.span()
    dotted = "." in (word.string[start - 1 : start], word.string[end : end + 1])
    return written.isascii() and (written not in kwlist or (written in SYNTAX and not dotted))
