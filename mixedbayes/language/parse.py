"""Text -> `Formula`: one function that reads as the list of its stages."""

import re
from collections.abc import Collection, Sequence
from itertools import pairwise, zip_longest

from formulaic.errors import FormulaParsingError
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.algos.tokens_to_ast import tokens_to_ast
from formulaic.parser.types import Factor, Term, Token

from mixedbayes.errors import FormulaError, listed, nearest
from mixedbayes.language.expressions import (
    Call,
    Expression,
    Literal,
    Name,
    Operation,
    names_in,
    parse_expression,
    text_of,
    unquoted,
)
from mixedbayes.language.formula import (
    INTERCEPT,
    Formula,
    GroupTerm,
    Response,
    calls,
    column_text,
    expression_of,
    ordered,
    term_text,
)
from mixedbayes.language.operators import FormulaOperators

MAX_LENGTH = 100_000
"""Characters of the longest formula that is read."""

MAX_BRACKETS = 50
"""Brackets within brackets, beyond which a formula is refused."""

ADDITIONS = ("trials",)
"""What may stand right of the bar in a response, `y | trials(n)`."""

NAME, VALUE, CODE, OPERATOR, BRACKET = (
    Token.Kind.NAME,
    Token.Kind.VALUE,
    Token.Kind.PYTHON,
    Token.Kind.OPERATOR,
    Token.Kind.CONTEXT,
)
CLOSERS = {"`": "`", "{": "}", "%": "%"}
BARS = ("|", "||")
SIGNS = ("+", "-")

_NO_TERM = "A number is no term: 1 is the intercept, 0 removes it; multiply in I(...), as I(2 * x)."


def parse(text: str, columns: Sequence[str] | None = None) -> Formula:
    """Read a formula.

    Args:
        text: `response ~ terms`, as in lme4; `docs/formulas.md` has the whole grammar.
        columns: Names of the data's columns, which `.` stands for; without them `.` is an error.

    Returns:
        The formula, frozen; `str()` of it is its canonical text.

    Raises:
        FormulaError: With the place of the mistake.
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula is a text such as 'y ~ x + (1 | g)', not {type(text).__name__}.")
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"A formula has at most {MAX_LENGTH:,} characters; this one has {len(text):,}.")
    left, tilde, right = sides(scan(text), text)
    response = read_response(left, tilde, text)
    refuse_lambda(right, text)
    right = [canonical(token, text) for token in right]
    right = signs(intercepts(zeros(right, text), text))
    spared = kept_out(response, right)
    everything = None if columns is None else tuple(name for name in columns if name not in spared)
    terms = evaluate(right, text, everything, spared)
    return assemble(text, response, terms)


def scan(text: str) -> list[Token]:
    """Formulaic's tokens, with runs of operators such as `+-` or `~ .` taken apart."""
    tokens: list[Token] = []
    try:
        raw = list(tokenize(text))
    except FormulaParsingError as error:
        raise _located(error, text) from None
    for token, after in zip_longest(raw, raw[1:]):
        start, end = token.source_start or 0, token.source_end or token.source_start or 0
        written = text[start : end + 1]
        gap = text[end + 1 : len(text) if after is None else after.source_start].strip()
        if gap != CLOSERS.get(text[start], ""):
            raise FormulaError("Nothing stands between these marks.", text, start)
        if written.startswith("%"):
            if token.token.strip() != "in":
                raise FormulaError(f"Unknown operator '{written}%'; the one with % is %in%.", text, start)
            tokens.append(token.copy_with_attrs(token="in"))
        elif token.kind is OPERATOR:
            tokens += [
                _token(found.group(), OPERATOR, text, start + found.start())
                for found in re.finditer(r"\|\||\*\*|\S", written)
            ]
        elif written == ".":
            tokens.append(_token(".", OPERATOR, text, start))
        else:
            tokens.append(token)
    return tokens


def sides(tokens: list[Token], text: str) -> tuple[list[Token], int, list[Token]]:
    """The tokens left of the one `~`, its place, and the tokens right of it."""
    tildes = [i for i, token in enumerate(tokens) if token.kind is OPERATOR and token.token == "~"]
    if not tildes:
        raise FormulaError("A formula needs a response: 'y ~ ' and then its terms.", text, 0)
    if len(tildes) > 1:
        raise FormulaError("A formula has one '~'.", text, tokens[tildes[1]].source_start)
    left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
    if not left:
        raise FormulaError("Nothing stands left of '~': name the response.", text, tokens[0].source_start)
    if not right:
        raise FormulaError(
            "Nothing stands right of '~': write '~ 1' for an intercept alone.", text, len(text)
        )
    square = [token for token in right if token.kind is BRACKET and token.token in "[]"]
    if square:
        raise FormulaError("Square brackets have no meaning among terms.", text, square[0].source_start)
    return left, tokens[tildes[0]].source_start or 0, right


def read_response(tokens: list[Token], end: int, text: str) -> Response:
    """The left side: an expression, perhaps a level in square brackets, perhaps `| trials(n)`."""
    start = tokens[0].source_start or 0
    bar = next(
        (token.source_start for token in tokens if token.kind is OPERATOR and token.token in BARS), None
    )
    stop = end if bar is None else bar
    level: str | float | bool | None = None
    body, place = text[start:stop].rstrip(), start
    found = re.fullmatch(r"(?P<name>`(?:\\.|[^`\\])+`|[\w.]+)\s*\[(?P<level>.*)\]", body, re.DOTALL)
    if found:
        value = _expression(found["level"], text, start + found.start("level"))
        if not isinstance(value, Literal) or value.value is None:
            raise FormulaError(
                "The level of a response is a text or number: y['yes'].", text, start + found.start("level")
            )
        body, level = found["name"], value.value
    elif body.startswith("{") and body.endswith("}"):
        body, place = body[1:-1], start + 1
    expression = _expression(body, text, place)
    if isinstance(expression, Literal):
        raise FormulaError("The response is a column, not a constant.", text, start)
    if not isinstance(expression, Name | Call) and place == start:
        raise FormulaError("A response that is computed stands in I(...): I(a + b) ~ x.", text, start)
    trials = None if bar is None else _addition(text[bar + 1 : end], text, bar + 1)
    if trials is not None and isinstance(expression, Call) and expression.function == "cbind":
        raise FormulaError("cbind() says the trials itself: leave trials() out.", text, bar)
    return Response(expression, level, trials)


def refuse_lambda(tokens: list[Token], text: str) -> None:
    """`lambda x: ...` among terms; `lambda` alone is a column."""
    for token, after in pairwise(tokens):
        if (token.kind, token.token, after.kind) == (NAME, "lambda", NAME):
            raise FormulaError("A lambda is code, which a formula cannot hold.", text, token.source_start)


def canonical(token: Token, text: str) -> Token:
    """The token with its expression in canonical text, if it holds one; a number, if it is a value."""
    start = token.source_start or 0
    if token.kind is CODE:
        inside = start + (text[start] == "{")
        match _expression(token.token, text, inside):
            case Name(name):
                return token.copy_with_attrs(token=column_text(name), kind=NAME)
            case Literal():
                raise FormulaError(_NO_TERM, text, start)
            case expression:
                return token.copy_with_attrs(token=text_of(expression))
    if token.kind is NAME:
        return token.copy_with_attrs(token=column_text(_name(token, text)))
    if token.kind is VALUE and not re.fullmatch(r"\d+(\.\d*)?|\.\d+", token.token):
        raise FormulaError(
            "A text or malformed number cannot be a term; a column's name stands without quotes or in `backticks`.",
            text,
            start,
        )
    return token


def zeros(tokens: list[Token], text: str) -> list[Token]:
    """`0` as a term of its own becomes `- 1`."""
    opens, closes = ("(", *SIGNS, *BARS), (")", *SIGNS, *BARS)
    result: list[Token] = []
    for before, token, after in zip([None, *tokens[:-1]], tokens, [*tokens[1:], None], strict=True):
        if token.kind is not VALUE or float(token.token) != 0:
            result.append(token)
            continue
        alone = (before is None or _is(before, opens)) and (after is None or _is(after, closes))
        if not alone:
            raise FormulaError(
                "0 removes the intercept and stands alone, as in '0 + x'.", text, token.source_start
            )
        result += [_token("-", OPERATOR, text, token.source_start or 0), token.copy_with_attrs(token="1")]
    return result


def intercepts(tokens: list[Token], text: str) -> list[Token]:
    """`1 +` where an intercept is implied: at the start, and after each bracket that holds a bar."""
    starts = {-1} | bar_brackets(tokens, text).keys()
    result: list[Token] = []
    for i, (token, after) in enumerate(
        pairwise([_token("", BRACKET, text, 0), *tokens, _token("", BRACKET, text, len(text))]), -1
    ):
        if i >= 0:
            result.append(token)
        if i in starts:
            place = after.source_start or 0
            result.append(_token("1", VALUE, text, place))
            if not _is(after, SIGNS):
                result.append(_token("+", OPERATOR, text, place))
    return result


def bar_brackets(tokens: list[Token], text: str) -> dict[int, tuple[int, int]]:
    """For each bracket that holds a bar directly: where it opens -> where its bar is, where it closes."""
    opened: list[tuple[int, int | None]] = []
    found: dict[int, tuple[int, int]] = {}
    for i, token in enumerate(tokens):
        if token.kind is BRACKET and token.token == "(":
            opened.append((i, None))
            if len(opened) > MAX_BRACKETS:
                raise FormulaError(
                    f"Brackets are nested more than {MAX_BRACKETS} deep.", text, token.source_start
                )
        elif token.kind is BRACKET:
            if not opened:
                raise FormulaError("This bracket was never opened.", text, token.source_start)
            start, bar = opened.pop()
            if i == start + 1:
                raise FormulaError("Nothing stands in these brackets.", text, tokens[start].source_start)
            if bar is not None:
                if bar == start + 1 or i == bar + 1:
                    raise FormulaError(
                        "A bar stands between effects and a grouping column: (1 + x | g).",
                        text,
                        tokens[bar].source_start,
                    )
                found[start] = (bar, i)
        elif token.kind is OPERATOR and token.token in BARS:
            if not opened:
                raise FormulaError("A group term stands in brackets: (1 + x | g).", text, token.source_start)
            start, bar = opened.pop()
            if bar is not None:
                raise FormulaError(
                    "A group term has one bar: (1 | a/b) or (1 | a) + (1 | b).", text, token.source_start
                )
            opened.append((start, i))
    if opened:
        raise FormulaError("This bracket is never closed.", text, tokens[opened[-1][0]].source_start)
    return found


def signs(tokens: list[Token]) -> list[Token]:
    """Runs of signs become one: `+ - 1` is `- 1`, `- - 1` is `+ 1`."""
    result: list[Token] = []
    for token in tokens:
        if result and _is(result[-1], SIGNS) and _is(token, SIGNS):
            result[-1] = token.copy_with_attrs(token="+" if result[-1].token == token.token else "-")
        else:
            result.append(token)
    return result


def kept_out(response: Response, tokens: list[Token]) -> set[str]:
    """The columns that `.` does not stand for: those in the response, and grouping ones."""
    used = set(names_in(response.expression))
    if response.trials is not None:
        used |= set(names_in(response.trials))
    for bar, close in bar_brackets(tokens, "").values():
        for token in tokens[bar:close]:
            if token.kind in (NAME, CODE):
                used |= set(names_in(expression_of(token.to_factor())))
    return used


def evaluate(
    tokens: list[Token], text: str, columns: tuple[str, ...] | None, spared: Collection[str]
) -> list[Term]:
    """The set of terms that the tokens of the right side come to."""
    try:
        tree = tokens_to_ast(tokens, FormulaOperators(text, columns, spared))
        return list(tree.to_terms(context={})) if tree is not None else []
    except FormulaParsingError as error:
        raise _located(error, text) from None


def assemble(text: str, response: Response, terms: list[Term]) -> Formula:
    """The terms by their kind, checked against each other."""
    plain = [term for term in terms if not isinstance(term, GroupTerm)]
    spelled = {term: term for term in plain}  # z:x of a group is the x:z of the population
    groups = [
        GroupTerm([spelled.get(t, t) for t in term.terms], term.group, term.correlated, term.token)
        for term in terms
        if isinstance(term, GroupTerm)
    ]
    offsets = [_offset(term, text) for term in plain if calls(term, "offset")]
    population = [term for term in plain if not calls(term, "offset")]
    for term in [*population, *(term for group in groups for term in group.terms)]:
        _check_literals(term, text)
        _check_response(response, term, text)
    _check_blocks(groups, text)
    if not (population or groups or offsets):
        raise FormulaError("Nothing is left to fit on the right of '~'.", text, len(text) - 1)
    return Formula(response, ordered(population), tuple(groups), tuple(offsets), " ".join(text.split()))


def _check_literals(term: Term, text: str) -> None:
    literals = [factor for factor in term.factors if factor.eval_method is Factor.EvalMethod.LITERAL]
    if literals and term != INTERCEPT:
        place = literals[0].token.source_start if literals[0].token else None
        raise FormulaError(_NO_TERM, text, place)


def _check_response(response: Response, term: Term, text: str) -> None:
    factors = [factor for factor in term.factors if factor.eval_method is not Factor.EvalMethod.LITERAL]
    for factor in factors:
        if expression_of(factor) == response.expression:
            place = factor.token.source_start if factor.token else None
            raise FormulaError(f"The response {term_text(term)} cannot predict itself.", text, place)


def _check_blocks(groups: list[GroupTerm], text: str) -> None:
    """The same effect of the same group in two bar terms has two sds that the data cannot tell apart."""
    seen: dict[tuple[frozenset[str], Term], GroupTerm] = {}
    for group in groups:
        for term in group.terms:
            key = (frozenset(group.group), term)
            if key in seen:
                other = seen[key]
                what = (
                    "stands twice in the formula"
                    if other == group
                    else f"and {other!r} both hold the effect {term!r}; one of them must leave it out, as (0 + x | g)"
                )
                raise FormulaError(f"{group!r} {what}.", text, group.token.source_start)
            seen[key] = group


def _offset(term: Term, text: str) -> Expression:
    expression = parse_expression(term.factors[0].expr)
    match expression:
        case Call("offset", (inside,), ()):
            return inside
    raise FormulaError(
        "offset() takes one expression: offset(log(exposure)).", text, term.factors[0].token.source_start
    )


def _addition(written: str, text: str, place: int) -> Expression:
    """`trials(n)`, the one thing that may follow a response and a bar."""
    match _expression(written.strip(), text, place + len(written) - len(written.lstrip())):
        case Call("trials", (inside,), ()):
            return inside
        case Call("trials"):
            raise FormulaError("trials() takes one column or number: y | trials(n) ~ x.", text, place)
        case Call(function):
            hint = nearest(function, ADDITIONS)
            raise FormulaError(
                f"{function}() is not known beside a response; there is {listed(ADDITIONS)}.{hint}",
                text,
                place,
            )
        case Operation() | _:
            raise FormulaError(
                "Right of the bar in a response stands trials(n): y | trials(n) ~ x.", text, place
            )


def _expression(written: str, text: str, start: int) -> Expression:
    """An expression that stands at `start` of the formula, with errors placed in the formula."""
    try:
        return parse_expression(written)
    except FormulaError as error:
        message = str(error).split("\n", 1)[0]
        raise FormulaError(message, text, start + (error.place or 0)) from None


def _name(token: Token, text: str) -> str:
    """The column that a name token stands for, its backticks taken off."""
    return unquoted(token.token) if text[token.source_start or 0] == "`" else token.token


def _is(token: Token, symbols: tuple[str, ...]) -> bool:
    """Whether the token is one of these operators or brackets, and no column so named."""
    return token.kind in (OPERATOR, BRACKET) and token.token in symbols


def _token(symbol: str, kind: Token.Kind, text: str, start: int) -> Token:
    return Token(symbol, kind=kind, source=text, source_start=start, source_end=start + len(symbol) - 1)


def _located(error: FormulaParsingError, text: str) -> FormulaError:
    """Formulaic's message, its marked-up copy of the formula replaced by a caret."""
    message, _, marked = str(error).partition("\n\n")
    place = marked.find("⧛")
    if message.startswith("Formula ended before"):
        closer = message.rstrip(".")[-1]
        message = f"The formula ends before {closer!r} closes what was opened here."
    return FormulaError(
        message.replace("insuffient", "insufficient"), text, place if place >= 0 else len(text)
    )
