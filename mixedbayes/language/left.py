"""Left sides: tokens -> `Response`, `y['level'] | trials(n) + weights(w)`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from formulaic.parser.types import Token

from mixedbayes.errors import FormulaError, listed, nearest
from mixedbayes.language import elsewhere
from mixedbayes.language.additions import ADDITIONS, Addition
from mixedbayes.language.expressions import (
    Array,
    Call,
    Expression,
    Literal,
    Operation,
    Record,
    functions_in,
    names_in,
    text_of,
)
from mixedbayes.language.formula import Response
from mixedbayes.language.lines import Line
from mixedbayes.language.read import has_dot
from mixedbayes.language.tokens import BARS, deeper, expression_at, is_sign

LEVEL = re.compile(r"(?P<name>`(?:\\.|[^`\\])+`|[\w.]+)\s*\[(?P<level>.*)\]", re.DOTALL)
"""`y['level']`: a column and one of its levels."""


def read_response(line: Line, was: Response | None = None) -> Response:
    """The left side: an expression, perhaps a level in square brackets, perhaps additions after a bar.

    Args:
        line: The first.
        was: What a dot stands for, where a formula is changed; its additions stay where a dot does.
    """
    text, start = line.text, line.left[0].source_start or 0
    bar = _first_bar(line.left)
    stop = line.tilde if bar is None else line.left[bar].source_start or 0
    body = text[start:stop].rstrip()
    is_braced = body.startswith("{") and (len(line.left) if bar is None else bar) == 1
    response = _modelled(body, text, start, was, is_braced=is_braced)
    if bar is not None:
        additions = read_additions(text[stop + 1 : line.tilde], text, stop + 1)
        response = replace(response, additions=additions)
    match response.expression:
        case Call("cbind") if response.trials is not None:
            raise FormulaError("cbind() says the trials itself: leave trials() out.", text, stop)
    return response


def _modelled(body: str, text: str, start: int, was: Response | None, *, is_braced: bool) -> Response:
    """What stands left of a bar, at `start` of the text."""
    place, level = start, None
    if found := LEVEL.fullmatch(body):
        place_of_level = start + found.start("level")
        match expression_at(found["level"], text, place_of_level):
            case Literal(value) if value is not None:
                body, level = found["name"], value
            case _:
                raise FormulaError(
                    "The level of a response is a text or number: y['yes'].", text, place_of_level
                )
    elif is_braced:
        body, place = body[1:-1], start + 1
    expression = expression_at(body, text, place, None if was is None else was.expression)
    if not (names_in(expression) or functions_in(expression)):
        raise FormulaError("The response is a column, not a constant.", text, start)
    if _has_list(expression):
        raise FormulaError(
            "A response is one column, or computed from some, not a list; cbind(successes, failures) counts trials.",
            text,
            start,
        )
    if was is None or not has_dot(body):
        return Response(expression, level)
    if was.level is not None and level is None:
        if body.strip() != ".":
            raise FormulaError(f"{was} is one level, of which nothing is computed.", text, start)
        level = was.level
    return Response(expression, level, was.additions)


def _has_list(expression: Expression) -> bool:
    """Whether a list stands in it outside calls."""
    match expression:
        case Array() | Record():
            return True
        case Operation(_, operands):
            return any(map(_has_list, operands))
    return False


def _first_bar(tokens: Sequence[Token]) -> int | None:
    """Which token is the first bar outside brackets: inside, it is part of a condition."""
    depths = accumulate(map(deeper, tokens))
    outside = (i for i, depth in enumerate(depths) if depth == 0 and is_sign(tokens[i], BARS))
    return next(outside, None)


def read_additions(written: str, text: str, place: int) -> dict[str, Addition]:
    """What follows a response and a bar, `trials(n) + weights(w)`, in the order of the table."""
    lead = len(written) - len(written.lstrip())
    found: dict[str, Addition] = {}
    for call in _summands(expression_at(written.strip(), text, place + lead)):
        name, addition = _addition(call, text, place)
        if name in found:
            raise FormulaError(f"{name}() stands twice beside the response.", text, place)
        found[name] = addition
    return {name: found[name] for name in ADDITIONS if name in found}


def _summands(expression: Expression) -> list[Expression]:
    match expression:
        case Operation("+", (left, right)):
            return [*_summands(left), *_summands(right)]
    return [expression]


def _addition(expression: Expression, text: str, place: int) -> tuple[str, Addition]:
    """One addition and its name; what other programs have there is told what is written here."""
    match expression:
        case Call(name, (inside,), keywords) if name in ADDITIONS:
            return name, Addition(inside, _options(name, dict(keywords), text, place))
        case Call(name) if name in ADDITIONS:
            raise FormulaError(
                f"{name}() takes one column or number: y | {name}(n) ~ x.",
                text,
                place,
            )
    written_as = next((name for name in functions_in(expression) if name not in ADDITIONS), "")
    function = written_as.removeprefix("resp_")  # brms has both
    if function in elsewhere.ADDITIONS:
        message = f"{function}() beside a response: {elsewhere.ADDITIONS[function]}."
    elif function != written_as and function in ADDITIONS:
        message = f"Beside a response {written_as}() is {function}()."
    elif isinstance(expression, Call):
        hint = nearest(expression.function, ADDITIONS)
        message = (
            f"{expression.function}() is not known beside a response; there is {listed(ADDITIONS)}.{hint}"
        )
    else:
        message = (
            "Right of the bar in a response stands trials(n), weights(w) or se(s): y | trials(n) ~ x. A condition with a bar "
            "of its own stands in brackets: ((a > 1) | (b > 2)) ~ x."
        )
    raise FormulaError(message, text, place)


def _options(name: str, given: Mapping[str, Expression], text: str, place: int) -> dict[str, bool]:
    """The keywords of an addition, those that were not given as its kind has them."""
    options = dict(ADDITIONS[name].options)
    for key, value in given.items():
        if key not in options:
            known = f"; there is {listed(options)}" if options else ""
            raise FormulaError(f"{name}() beside a response has no option {key!r}{known}.", text, place)
        match value:
            case Literal(bool() as chosen):
                options[key] = chosen
            case _:
                raise FormulaError(
                    f"The option {key} of {name}() is TRUE or FALSE, not {text_of(value)}.", text, place
                )
    return options
