"""Expressions inside a formula, as data: `log(y)`, `C(x, contr.sum)`, `I(a + b^2)`; `read.py` reads them.

An expression is a tree of the six nodes below: names, literals, lists, records, calls of a *named* function,
arithmetic and comparisons. There is no attribute, subscript, lambda or comprehension to refuse later: `contr.sum`
is a name with a dot in it, and what a name means is looked up in tables when there are data.
"""

import re
from dataclasses import dataclass


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

CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}
"""R's spellings, read as Python's."""

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
