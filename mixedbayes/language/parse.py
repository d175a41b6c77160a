"""Text -> `Formula`: one function that reads as the list of its stages."""

import re
from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise, zip_longest

from formulaic.errors import FormulaParsingError
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.algos.tokens_to_ast import tokens_to_ast
from formulaic.parser.types import Factor, Term, Token

from mixedbayes.errors import FormulaError, listed, nearest
from mixedbayes.language import elsewhere
from mixedbayes.language.expressions import (
    Array,
    Call,
    Expression,
    Literal,
    Name,
    Operation,
    Record,
    functions_in,
    names_in,
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
from mixedbayes.language.read import parse_expression
from mixedbayes.language.spelling import plain

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
QUOTED = re.compile(r"""`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", re.DOTALL)
SIGNIFICANT = "()[]{}%`'\""
HIDDEN = "".join(chr(0xE100 + i) for i in range(len(SIGNIFICANT)))
HIDE, SHOW = str.maketrans(SIGNIFICANT, HIDDEN), str.maketrans(HIDDEN, SIGNIFICANT)
SIGNS = ("+", "-")

_TILDE_INSIDE = (
    "The '~' of a formula stands outside brackets, as in 'y ~ x + (1 | g)'; formulas for sigma and other parameters are not "
    "supported yet, nor nonlinear ones."
)
_REMAINDER = "R's %% and %/% are % and // here, inside I(...): I(x % 2)."
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
    text = plain(text)
    left, tilde, right = sides(scan(text), text)
    response = read_response(left, tilde, text)
    refuse_lambda(right, text)
    refuse_signs(right, text)
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
        raw = [_shown(token, text) for token in tokenize(_hidden(text))]
    except FormulaParsingError as error:
        if "%%" in text:
            raise FormulaError(_REMAINDER, text, text.index("%%")) from None
        raise _located(error, text) from None
    for token, after in zip_longest(raw, raw[1:]):
        start, end = token.source_start or 0, token.source_end or token.source_start or 0
        written = text[start : end + 1]
        gap = text[end + 1 : len(text) if after is None else after.source_start].strip()
        if gap != CLOSERS.get(text[start], ""):
            raise FormulaError("Nothing stands between these marks.", text, start)
        if written.startswith("%"):
            if token.token.strip() != "in":
                advice = _REMAINDER if token.token.strip() in ("", "/") else "The one with % is %in%."
                raise FormulaError(f"Unknown operator '{written}%'. {advice}", text, start)
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


def _hidden(text: str) -> str:
    """The text with signs in quotes as signs of nothing: Formulaic's tokenizer would count a bracket in a level."""
    if any(sign in text for sign in HIDDEN):
        return text
    return QUOTED.sub(lambda found: found[0] if found[0][0] == "`" else _hidden_inside(found[0]), text)


def _hidden_inside(quotes: str) -> str:
    return quotes[0] + quotes[1:-1].translate(HIDE) + quotes[-1]


def _shown(token: Token, text: str) -> Token:
    """The token with what it holds as it is in the text."""
    if any(sign in text for sign in HIDDEN):
        return token
    return token.copy_with_attrs(token=token.token.translate(SHOW), source=text)


def sides(tokens: list[Token], text: str) -> tuple[list[Token], int, list[Token]]:
    """The tokens left of the one `~`, its place, and the tokens right of it."""
    tildes = [i for i, token in enumerate(tokens) if token.kind is OPERATOR and token.token == "~"]
    if not tildes:
        raise _without_tilde(tokens, text)
    if len(tildes) > 1:
        raise FormulaError(
            "A formula has one '~'; formulas for sigma and other parameters are not supported yet.",
            text,
            tokens[tildes[1]].source_start,
        )
    left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
    if sum(map(_opening, left)):
        raise FormulaError(_TILDE_INSIDE, text, tokens[tildes[0]].source_start)
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
    bar = _first_bar(tokens)
    body_tokens, stop = (tokens, end) if bar is None else (tokens[:bar], tokens[bar].source_start or 0)
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
    elif len(body_tokens) == 1 and body.startswith("{"):
        body, place = body[1:-1], start + 1
    expression = _expression(body, text, place)
    if not (names_in(expression) or functions_in(expression)):
        raise FormulaError("The response is a column, not a constant.", text, start)
    if _has_list(expression):
        raise FormulaError(
            "A response is one column, or computed from some, not a list; cbind(successes, failures) counts trials.",
            text,
            start,
        )
    trials = None if bar is None else _addition(text[stop + 1 : end], text, stop + 1)
    if trials is not None and isinstance(expression, Call) and expression.function == "cbind":
        raise FormulaError("cbind() says the trials itself: leave trials() out.", text, stop)
    return Response(expression, level, trials)


def _has_list(expression: Expression) -> bool:
    """Whether a list stands in it outside calls."""
    match expression:
        case Array() | Record():
            return True
        case Operation(_, operands):
            return any(map(_has_list, operands))
    return False


def _first_bar(tokens: list[Token]) -> int | None:
    """Which token is the first bar outside brackets: inside, it is part of a condition."""
    depths = accumulate(map(_opening, tokens))
    outside = (i for i, depth in enumerate(depths) if depth == 0 and _is(tokens[i], BARS))
    return next(outside, None)


def _opening(token: Token) -> int:
    """By how much a token goes deeper into brackets."""
    return 0 if token.kind is not BRACKET else 1 if token.token in "([" else -1


def _without_tilde(tokens: list[Token], text: str) -> FormulaError:
    """The error for a formula that has no `~` between its sides."""
    if not tokens:
        return FormulaError("A formula needs a response: 'y ~ ' and then its terms.", text, 0)
    for token in tokens:
        start = token.source_start or 0
        if token.kind is CODE and "~" in token.token:
            return FormulaError(_TILDE_INSIDE, text, start)
        found = re.match(r"<-|:=|={1,2}", text[start:]) if token.kind is OPERATOR else None
        if found:
            return FormulaError(
                f"Between a response and its terms stands '~', not '{found.group()}': y ~ x.", text, start
            )
    return FormulaError(
        "A formula needs a '~' between its response and its terms: 'y ~ x + (1 | g)'.", text, 0
    )


def refuse_lambda(tokens: list[Token], text: str) -> None:
    """`lambda x: ...` among terms; `lambda` alone is a column."""
    for token, after in pairwise(tokens):
        if (token.kind, token.token, after.kind) == (NAME, "lambda", NAME):
            raise FormulaError("A lambda is code, which a formula cannot hold.", text, token.source_start)


def refuse_signs(tokens: list[Token], text: str) -> None:
    """Signs that are operators in other languages, or inside `I(...)`, and none among terms."""
    for token in tokens:
        if token.kind is OPERATOR and token.token in elsewhere.OPERATORS:
            raise FormulaError(elsewhere.OPERATORS[token.token], text, token.source_start)


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
            case Call(function, (Operation("|", _), *_)) if function in elsewhere.STRUCTURES:
                raise FormulaError(
                    f"A formula has no {function}(... | ...): {elsewhere.STRUCTURES[function]}.", text, start
                )
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
                    "A group term has one bar: (1 | a/b) or (1 | a) + (1 | b); brms's (1 | id | g), which links formulas, is not "
                    "supported.",
                    text,
                    token.source_start,
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
    expression = _expression(written.strip(), text, place + len(written) - len(written.lstrip()))
    match expression:
        case Call("trials", (inside,), ()):
            return inside
        case Call("trials"):
            raise FormulaError("trials() takes one column or number: y | trials(n) ~ x.", text, place)
    written_as = next((name for name in functions_in(expression) if name not in ADDITIONS), "")
    function = written_as.removeprefix("resp_")  # brms has both
    if function in elsewhere.ADDITIONS:
        message = f"{function}() beside a response: {elsewhere.ADDITIONS[function]}."
    elif isinstance(expression, Call):
        hint = nearest(expression.function, ADDITIONS)
        message = (
            f"{expression.function}() is not known beside a response; there is {listed(ADDITIONS)}.{hint}"
        )
    else:
        message = (
            "Right of the bar in a response stands trials(n): y | trials(n) ~ x. A condition with a bar of its own stands in "
            "brackets: ((a > 1) | (b > 2)) ~ x."
        )
    raise FormulaError(message, text, place)


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
