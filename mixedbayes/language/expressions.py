"""Expressions inside a formula, text -> tree -> text: `log(y)`, `C(x, contr.sum)`, `I(a + b^2)`.

An expression is data. The text is read with Python's own grammar (`ast.parse`, which runs nothing),
and only the nodes below come through: names, literals, arithmetic, comparisons and calls of a *named*
function. There is no attribute, subscript, lambda or comprehension to refuse later: `contr.sum` is a
name with a dot in it, and what a name means is looked up in tables when there are data.
"""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from keyword import kwlist

from mixedbayes.errors import FormulaError


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or a named constant: `x`, `Sepal.Length`, `` `my column` ``, `contr.sum`."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, TRUE or FALSE, or None."""

    value: float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Array:
    """`[1, 2, 3]`."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Record:
    """`{'a': [1, -1]}`, as contrasts are written out by hand."""

    items: tuple[tuple[str, "Expression"], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`function(argument, ..., keyword=argument)`; the function is a name, never a value."""

    function: str
    arguments: tuple["Expression", ...] = ()
    keywords: tuple[tuple[str, "Expression"], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator and its one or two operands."""

    symbol: str
    operands: tuple["Expression", ...]


type Expression = Name | Literal | Array | Record | Call | Operation

BINARY: dict[type[ast.AST], str] = {
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
UNARY: dict[type[ast.AST], str] = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}
CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}
"""R's spellings, read as Python's."""

ALIASES = {"as.factor": "factor"}
"""Functions that have two names; the first is read as the second."""

SYNTAX = {
    "True",
    "False",
    "None",
    "lambda",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "for",
    "async",
    "await",
}
"""Python's words that an expression is made of; its other keywords (`class`, `yield`) are good names."""

PRECEDENCE = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 1),
    "|": 2,
    "&": 3,
    **dict.fromkeys("+-", 4),
    **dict.fromkeys(("*", "/", "//", "%"), 5),
    "unary": 6,
    "**": 7,
}
ATOM = 8

MAX_INTEGER = 2**63
"""Integers beyond which a number is written with a point or an exponent, as 1e30."""

MAX_CHAIN = 150
"""Operators in a row, as in the sum of a questionnaire's items."""

MAX_REMEMBERED = 500
"""Characters of the longest expression that is kept once read."""

_DOUBTFUL = re.compile(r"""(?<!\\)(?:\\\\)*\\(?![\\'"abfnrtvxuUN0-7\n])""")

MAX_DEPTH = 50
"""Nesting beyond which an expression is refused: nobody writes it, and recursion has its limit."""

_SPELT_OTHERWISE = {
    "%%": "R's %% is written % here; it binds no tighter than *.",
    "%/%": "R's %/% is written // here; it binds no tighter than *.",
    "%in%": "%in% stands between terms; for a test write (a == 'x') | (a == 'y').",
    "#": "A comment has no place here.",
    "<-": "A keyword takes =.",
    "[,": "scale(x) and center(x) are columns as they are, without [, 1].",
    "$": "Columns are named alone, without their table: y and not d$y.",
    "~": "The '~' of a formula stands outside brackets.",
}
_LOGICAL = (ast.BitAnd, ast.BitOr)
_BRACKET_COMPARISONS = (
    "a comparison beside & or | stands in brackets, and cannot be chained: (a > 1) & (b < 2)"
)
_REFUSED = {
    ast.Lambda: "a lambda is code; formulas call only named functions (pass your own in env={...})",
    ast.Attribute: "attributes of values are not available in a formula",
    ast.Subscript: "indexing is not available here (y['level'] is for a response alone)",
    ast.BoolOp: "write & and | with brackets around each side, not 'and' and 'or'",
    ast.Compare: _BRACKET_COMPARISONS,
    ast.UnaryOp: "write ~ for 'not', with brackets around its condition",
    ast.Starred: "* before an argument is not available in a formula",
}


def text_of(expression: Expression) -> str:
    """The canonical text of an expression: `parse_expression(text_of(e)) == e`."""
    return _text(expression)[0]


def names_in(expression: Expression) -> tuple[str, ...]:
    """Every name that stands for a value (not the functions called), in order, each once."""
    if isinstance(expression, Name):
        return (expression.name,)
    return tuple(dict.fromkeys(name for part in parts_of(expression) for name in names_in(part)))


def functions_in(expression: Expression) -> tuple[str, ...]:
    """Every function called, outermost first, each once."""
    own = (expression.function,) if isinstance(expression, Call) else ()
    inside = (name for part in parts_of(expression) for name in functions_in(part))
    return tuple(dict.fromkeys([*own, *inside]))


def parts_of(expression: Expression) -> tuple[Expression, ...]:
    """The expressions that it is made of, one level down."""
    match expression:
        case Name() | Literal():
            return ()
        case Array(items):
            return items
        case Record(pairs):
            return tuple(value for _, value in pairs)
        case Call(_, arguments, keywords):
            return arguments + tuple(value for _, value in keywords)
        case Operation(_, operands):
            return operands
    raise AssertionError(expression)


def quoted(name: str) -> str:
    """The name as a formula writes it: bare where it can be, else in backticks."""
    return name if is_bare(name) else "`" + re.sub(r"([`\\])", r"\\\1", name) + "`"


def unquoted(written: str) -> str:
    """The name that stands between backticks, where a backslash takes the next character as it is."""
    return re.sub(r"\\(.)", r"\1", written, flags=re.DOTALL)


_WORD = re.compile(r"[^\W\d]\w*")


def is_bare(name: str) -> bool:
    """Whether a formula writes the name without backticks."""
    parts = name.split(".")
    return name not in CONSTANTS and all(
        part.isidentifier()
        and _WORD.fullmatch(part)
        and (len(parts) > 1 or part not in SYNTAX)
        and not part.startswith("__")
        for part in parts
    )


def parse_expression(text: str) -> Expression:
    """Read one expression.

    Args:
        text: For example `poly(x, 2)`, ``log(`my column`)`` or `a + b^2` (`^` is a power, as in R).

    Raises:
        FormulaError: Not an expression, or one with a part that a formula may not have; `place`
            counts from the start of `text`.
    """
    return _remembered(text) if len(text) <= MAX_REMEMBERED else _parsed(text)


def _parsed(text: str) -> Expression:
    source, places, names = _pythonic(text)
    if doubtful := _DOUBTFUL.search(source):  # Python would warn, and keep the backslash
        raise _unreadable(text, places[doubtful.end() - 1])
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        column = getattr(error, "offset", None) or 1
        raise _unreadable(text, places[min(column - 1, len(places) - 1)] if places else 0) from None

    def place_of(node: ast.AST) -> int:
        offset = len(source.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore"))
        return places[min(offset, len(places) - 1)] if places else 0

    def refuse(node: ast.AST, message: str) -> FormulaError:
        return FormulaError(message[0].upper() + message[1:] + ".", text, place_of(node))

    def dotted(node: ast.AST) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(names.get(node.attr, node.attr))
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([names.get(node.id, node.id), *reversed(parts)])

    def chain(node: ast.BinOp, depth: int) -> Expression:
        """`a + b + c + ...`, of any length: only what hangs to the right of it nests."""
        links: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and type(left.op) in BINARY:
            links.append(left)
            left = left.left
        if len(links) > MAX_CHAIN:
            raise refuse(node, f"this has more than {MAX_CHAIN} operators in a row")
        result = convert(left, depth)
        for link in reversed(links):
            result = Operation(BINARY[type(link.op)], (result, convert(link.right, depth)))
        return result

    def convert(node: ast.AST, depth: int = 0) -> Expression:
        if depth > MAX_DEPTH:
            raise refuse(node, f"this is nested more than {MAX_DEPTH} deep")
        down = depth + 1
        match node:
            case ast.Name() | ast.Attribute() if (name := dotted(node)) is not None:
                if isinstance(node, ast.Name) and node.id in CONSTANTS:
                    return Literal(CONSTANTS[node.id])
                if any(part.startswith("__") for part in name.split(".")) and not _is_quoted(node, names):
                    raise refuse(
                        node,
                        f"{name!r} is not available in a formula: names that begin with two underscores are Python's own",
                    )
                return Name(name)
            case ast.Constant(value) if value is None or isinstance(value, bool | int | float | str):
                if isinstance(value, int) and value >= MAX_INTEGER:
                    raise refuse(node, "this integer is too large; write it with an exponent, as 1e30")
                return Literal(value)
            case ast.List(elts) | ast.Tuple(elts):
                return Array(tuple(convert(item, down) for item in elts))
            case ast.Dict(keys, values):
                if not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in keys):
                    raise refuse(node, "the names in {...} must be texts in quotes")
                labels = [key.value for key in keys if isinstance(key, ast.Constant)]
                return Record(tuple((str(k), convert(v, down)) for k, v in zip(labels, values, strict=True)))
            case ast.Call(func, args, keywords):
                function = dotted(func)
                if function is None:
                    raise refuse(node, "only a named function can be called in a formula")
                if any(part.startswith("_") for part in function.split(".")):
                    raise refuse(
                        node,
                        f"{function!r} is not available in a formula: functions that begin with an underscore are Python's own",
                    )
                if not is_bare(function):
                    raise refuse(node, f"{function!r} cannot be the name of a function")
                given = [keyword.arg for keyword in keywords]
                for keyword in keywords:
                    if given.count(keyword.arg) > 1:
                        raise refuse(node, f"the argument {keyword.arg!r} stands twice")
                    if keyword.arg is None:
                        raise refuse(node, "** before an argument is not available in a formula")
                    if keyword.arg.startswith("_"):
                        raise refuse(node, f"the argument {keyword.arg!r} is not available in a formula")
                match function, args, keywords:
                    case "Q", [ast.Constant(str(column))], []:  # patsy's backticks
                        return Name(column)
                return Call(
                    ALIASES.get(function, function),
                    tuple(convert(item, down) for item in args),
                    tuple((str(item.arg), convert(item.value, down)) for item in keywords),
                )
            case ast.BinOp(_, operator, _) if type(operator) in BINARY:
                return chain(node, down)
            case ast.Compare(left, [operator], [right]) if type(operator) in BINARY:
                if any(isinstance(side, ast.BinOp) and type(side.op) in _LOGICAL for side in (left, right)):
                    raise refuse(node, _BRACKET_COMPARISONS)
                return Operation(BINARY[type(operator)], (convert(left, down), convert(right, down)))
            case ast.Compare(_, [ast.In() | ast.NotIn() | ast.Is() | ast.IsNot()], _):
                raise refuse(
                    node, "'in' and 'is' are not available in a formula; write (a == 'x') | (a == 'y')"
                )
            case ast.UnaryOp(operator, operand) if type(operator) in UNARY:
                return Operation(UNARY[type(operator)], (convert(operand, down),))
        raise refuse(node, _REFUSED.get(type(node), "this is code that a formula cannot hold"))

    return convert(tree)


def _unreadable(text: str, place: int) -> FormulaError:
    said = f"{text!r}" if len(text) < 80 else "This"
    hint = next((f" {advice}" for sign, advice in _SPELT_OTHERWISE.items() if sign in text), "")
    return FormulaError(f"{said} cannot be read as an expression.{hint}", text, place)


_remembered = lru_cache(maxsize=1024)(_parsed)


def _is_plain(word: str, *, dotted: bool) -> bool:
    """Whether Python's grammar takes the word as it is; in a name with dots, as `is.na`, no word is syntax."""
    return word.isascii() and (word not in kwlist or (word in SYNTAX and not dotted))


def _is_quoted(node: ast.AST, names: dict[str, str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _pythonic(text: str) -> tuple[str, list[int], dict[str, str]]:
    """Text that Python's grammar reads, where each of its characters came from, and the names in it.

    Outside quotes:
    - `^` becomes `**`, for in Python `a + b^2` is `(a + b)^2`;
    - a name in backticks, a keyword, and a name that is not ASCII (Python would normalise it) become an
      identifier that stands for it;
    - `#` and other signs that are not ASCII become a sign that cannot be read: `#` would begin a comment.
    """
    prefix = "quoted_"
    while prefix in text:
        prefix += "_"
    pieces: list[tuple[str, int]] = []
    names: dict[str, str] = {}
    pattern = re.compile(
        r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|`(?P<name>(?:\\.|[^`\\])+)`|(?P<word>[^\W\d]\w*)|(?P<power>\^)|(?P<space>\s+)|(?P<strange>\#|[^\x00-\x7f])|(?P<other>.)""",
        re.DOTALL,
    )
    for found in pattern.finditer(text):
        start, piece = found.start(), found.group()
        name = found["word"] if found["name"] is None else unquoted(found["name"])
        dotted = "." in (text[start - 1 : start], text[found.end() : found.end() + 1])
        if found["name"] is not None or (name and not _is_plain(name, dotted=dotted)):
            alias = f"{prefix}{len(names)}"
            names[alias] = name
            piece = f" {alias} "
            start += found["name"] is not None
        elif found["power"]:
            piece = "**"
        elif found["strange"]:
            piece = "?"
        elif found["space"]:
            piece = " "
        pieces.append((piece, start))
    source = "".join(piece for piece, _ in pieces)
    step = [
        (start + i if len(piece) > 2 and not piece.startswith(" ") else start)
        for piece, start in pieces
        for i in range(len(piece))
    ]
    lead = len(source) - len(source.lstrip())
    return source.strip(), step[lead : lead + len(source.strip())], names


def _text(expression: Expression) -> tuple[str, int]:
    """The text and how tightly its outermost operator binds."""
    match expression:
        case Name(name):
            return quoted(name), ATOM
        case Literal(value):
            return _number_text(value)
        case Array(items):
            return f"[{', '.join(text_of(item) for item in items)}]", ATOM
        case Record(pairs):
            return "{" + ", ".join(f"{key!r}: {text_of(value)}" for key, value in pairs) + "}", ATOM
        case Call(function, arguments, keywords):
            inside = [text_of(item) for item in arguments] + [
                f"{key}={text_of(value)}" for key, value in keywords
            ]
            return f"{quoted(function)}({', '.join(inside)})", ATOM
        case Operation(symbol, (operand,)):
            level = PRECEDENCE["unary"]
            return symbol + _bracketed(operand, level), level
        case Operation(symbol, (left, right)):
            level = PRECEDENCE[symbol]
            tight_left = symbol == "**" or level == PRECEDENCE["=="]
            # the right side of a power may be a sign: 2 ** -x
            right_level = PRECEDENCE["unary"] if symbol == "**" else level + 1
            return f"{_bracketed(left, level + tight_left)} {symbol} {_bracketed(right, right_level)}", level
    raise AssertionError(expression)


def _number_text(value: float | str | bool | None) -> tuple[str, int]:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return ("1e999", ATOM) if value > 0 else ("-1e999", PRECEDENCE["unary"])
    return repr(value), ATOM


def _bracketed(expression: Expression, level: int) -> str:
    text, own = _text(expression)
    return text if own >= level else f"({text})"
