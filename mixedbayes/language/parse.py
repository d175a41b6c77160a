"""Text -> `Formula`: one function that reads as the list of its stages."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise, zip_longest

from formulaic.errors import FormulaParsingError
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.algos.tokens_to_ast import tokens_to_ast
from formulaic.parser.types import Factor, Term, Token

from mixedbayes.errors import FormulaError, listed, nearest
from mixedbayes.language import elsewhere
from mixedbayes.language.additions import ADDITIONS, Addition
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
    quoted,
    text_of,
    unquoted,
)
from mixedbayes.language.formula import (
    INTERCEPT,
    Formula,
    GroupTerm,
    Response,
    Side,
    calls,
    column_text,
    expression_of,
    ordered,
    term_text,
)
from mixedbayes.language.operators import FormulaOperators
from mixedbayes.language.read import has_dot, is_number, parse_expression
from mixedbayes.language.spelling import plain

MAX_LENGTH = 100_000
"""Characters of the longest formula that is read."""

MAX_BRACKETS = 50
"""Brackets within brackets, beyond which a formula is refused."""

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

EXPONENT = re.compile(r"(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
"""A number as 1e-7, which the tokenizer takes for a name, a sign and a number."""

MEAN = "mu"
"""The parameter whose predictor is the formula's own right side."""

_TILDE_INSIDE = (
    "The '~' of a formula stands outside brackets, as in 'y ~ x + (1 | g)'; the formula of another parameter is a line of its "
    "own, y ~ x; sigma ~ z, which models do not take: it is not supported yet, nor are nonlinear ones."
)
_ONE_TILDE = "A formula has one '~'; the formula of another parameter is a line of its own, or stands after ';': y ~ x; sigma ~ z."
_REMAINDER = "R's %% and %/% are % and // here, inside I(...): I(x % 2)."
_NO_TERM = "A number is no term: 1 is the intercept, 0 removes it; multiply in I(...), as I(2 * x)."


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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A right side whose tokens are canonical, ready to be evaluated.

    Attributes:
        text: That they stand in.
        tokens: With signs joined and implied intercepts written out.
        labels: The `p` of each `(1 | p | g)`, by the place of the bar that is left.
    """

    text: str
    tokens: tuple[Token, ...]
    labels: Mapping[int, str]

    @property
    def dot(self) -> Token | None:
        """The first `.`, if there is one."""
        return next((token for token in self.tokens if _is(token, (".",))), None)

    @property
    def grouping(self) -> set[str]:
        """The names that stand right of a bar."""
        among = (self.tokens[bar:close] for bar, close in bar_brackets(self.tokens, self.text).values())
        return {
            name
            for token in chain.from_iterable(among)
            if token.kind in (NAME, CODE)
            for name in names_in(expression_of(token.to_factor()))
        }


def parse(
    text: str, columns: Sequence[str] | None = None, predictors: Mapping[str, str] | None = None
) -> Formula:
    """Read a formula.

    Args:
        text: `response ~ terms`, as in lme4; `docs/formulas.md` has the whole grammar. Right sides of further
            parameters are lines of their own, or stand after a semicolon: `y ~ x; sigma ~ z`.
        columns: Names of the data's columns, which `.` stands for; without them `.` is an error.
        predictors: Right sides of further parameters by name, as `{"sigma": "~ z"}`.

    Returns:
        The formula, frozen; `str()` of it is its canonical text.

    Raises:
        FormulaError: With the place of the mistake.
    """
    first, *others = lines(checked(text))
    response = read_response(first)
    sides = {MEAN: prepared(first, columns or ())}
    written = [first.written]
    for line in (*others, *one_sided(predictors or {})):
        sides[parameter_of(line, sides)] = prepared(line, columns or ())
        written.append(line.written)
    spared = kept_out(response, sides.values())
    dot = None if columns is None else tuple(map(column_term, (c for c in columns if c not in spared)))
    found = {name: assemble(response, side, evaluate(side, dot, spared)) for name, side in sides.items()}
    return formula_of(response, found, "; ".join(written))


def formula_of(response: Response, sides: Mapping[str, Side], text: str) -> Formula:
    """The formula of a response and the right sides of all parameters."""
    own, others = sides[MEAN], {name: side for name, side in sides.items() if name != MEAN}
    return Formula(response, own.terms, own.groups, own.offsets, text, others)


def checked(text: str) -> str:
    """The text with lookalikes and comments replaced, if it is one and not too long."""
    if not isinstance(text, str):
        raise FormulaError(f"A formula is a text such as 'y ~ x + (1 | g)', not {type(text).__name__}.")
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"A formula has at most {MAX_LENGTH:,} characters; this one has {len(text):,}.")
    return plain(text)


def one_sided(predictors: Mapping[str, str]) -> list[Line]:
    """The lines `parameter ~ terms` of right sides that were given by name, `{"sigma": "~ x"}`."""
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
            raise FormulaError(_ONE_TILDE, first.text, others[0].tilde)
        result.append(first)
    return result


def parameter_of(line: Line, known: Collection[str]) -> str:
    """The parameter whose formula a line is; the first line's is the mean's."""
    (token,) = line.left
    name = _name(token, line.text)
    if name in known:
        said = f"The formula of {name} is the first one" if name == MEAN else f"{name} has two formulas"
        raise FormulaError(f"{said}; add their terms in one.", line.text, token.source_start)
    return name


def prepared(line: Line, columns: Sequence[str]) -> Prepared:
    """The right side of a line, its expressions in canonical text; implied intercepts come later."""
    text, tokens = line.text, list(line.right)
    refuse_lambda(tokens, text)
    refuse_signs(tokens, text)
    labels, tokens = labelled(tokens, text)
    tokens = [canonical(token, text, columns) for token in tokens]
    return Prepared(text, tuple(zeros(tokens, text)), labels)


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
        raise FormulaError(_ONE_TILDE, text, tokens[wrong].source_start)
    result = []
    starts = [0, *(i - 1 for i in tildes[1:])]
    for start, tilde, end in zip(starts, tildes, [*starts[1:], len(tokens)], strict=True):
        stop = len(text) if end == len(tokens) else tokens[end].source_start or 0
        if end < len(tokens) and _is(tokens[end - 1], (";",)):
            end, stop = end - 1, tokens[end - 1].source_start or 0  # noqa: PLW2901
        left, right = tokens[start:tilde], tokens[tilde + 1 : end]
        result.append(Line(text, tuple(left), tokens[tilde].source_start or 0, tuple(right), stop))
        _check_line(result[-1], is_change=is_change and not start)
    return result


def _begins_line(tokens: list[Token], i: int, text: str) -> bool:
    """Whether a token is a name with which a new line begins, or which follows a semicolon."""
    if i < 1 or tokens[i].kind is not NAME:
        return False
    before = tokens[i - 1]
    gap = text[before.source_end or 0 : tokens[i].source_start]
    return _is(before, (";",)) or "\n" in gap or "\r" in gap


def _check_line(line: Line, *, is_change: bool) -> None:
    """Refuse a line whose sides are empty or brackets."""
    text = line.text
    if sum(map(_opening, line.left)):
        raise FormulaError(_TILDE_INSIDE, text, line.tilde)
    if not line.left and not is_change:
        raise FormulaError("Nothing stands left of '~': name the response.", text, line.tilde)
    if not line.right:
        raise FormulaError(
            "Nothing stands right of '~': write '~ 1' for an intercept alone.", text, line.stop
        )
    square = [token for token in line.right if token.kind is BRACKET and token.token in "[]"]
    if square:
        raise FormulaError("Square brackets have no meaning among terms.", text, square[0].source_start)


def read_response(line: Line, was: Response | None = None) -> Response:
    """The left side: an expression, perhaps a level in square brackets, perhaps additions after a bar.

    Args:
        line: The first.
        was: What a dot stands for, where a formula is changed.
    """
    text, start = line.text, line.left[0].source_start or 0
    bar = _first_bar(line.left)
    body_tokens, stop = (
        (line.left, line.tilde) if bar is None else (line.left[:bar], line.left[bar].source_start or 0)
    )
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
    expression = _expression(body, text, place, None if was is None else was.expression)
    kept: Mapping[str, Addition] = {}
    if was is not None and has_dot(body):
        kept = was.additions
        if was.level is not None and level is None:
            if body.strip() != ".":
                raise FormulaError(f"{was} is one level, of which nothing is computed.", text, start)
            level = was.level
    if not (names_in(expression) or functions_in(expression)):
        raise FormulaError("The response is a column, not a constant.", text, start)
    if _has_list(expression):
        raise FormulaError(
            "A response is one column, or computed from some, not a list; cbind(successes, failures) counts trials.",
            text,
            start,
        )
    additions = kept if bar is None else read_additions(text[stop + 1 : line.tilde], text, stop + 1)
    if "trials" in additions and isinstance(expression, Call) and expression.function == "cbind":
        raise FormulaError("cbind() says the trials itself: leave trials() out.", text, stop)
    return Response(expression, level, additions)


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


def canonical(token: Token, text: str, columns: Collection[str]) -> Token:
    """The token with its expression in canonical text, if it holds one; a number, if it is a value.

    A name that reads as a number, as `1e7`, is a column's if there is one; else it stands in backticks.
    """
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
        name = _name(token, text)
        if text[start] != "`" and name not in columns:
            exponent = EXPONENT.match(text, start)
            if exponent or is_number(name):
                raise FormulaError(
                    f"{exponent.group() if exponent else name} is a number, which is no term; multiply and add in I(...), "
                    "as I(2 * x).",
                    text,
                    start,
                )
        return token.copy_with_attrs(token=column_text(name))
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


def labelled(tokens: list[Token], text: str) -> tuple[dict[int, str], list[Token]]:
    """The `p` of each `(1 | p | g)` by the place of its second bar, and the tokens without them.

    As in brms, terms on one group that share a label are correlated.
    """
    labels: dict[int, str] = {}
    result: list[Token] = []
    i = 0
    while i < len(tokens):
        bar, label, second = (*tokens[i : i + 3], None, None, None)[:3]
        if not (
            bar is not None
            and second is not None
            and _is(bar, BARS)
            and _is(second, BARS)
            and label is not None
            and label.kind in (NAME, VALUE)
        ):
            result.append(tokens[i])
            i += 1
            continue
        if (bar.token, second.token) != ("|", "|"):
            raise FormulaError(
                "A label says with which effects others are correlated, which || says they are not: (1 | p | g).",
                text,
                bar.source_start,
            )
        labels[second.source_start or 0] = _name(label, text)
        result.append(second)
        i += 3
    return labels, result


def intercepts(tokens: Sequence[Token], text: str, *, dot_has_none: bool = False) -> list[Token]:
    """`1 +` where an intercept is implied: at the start, and after each bracket that holds a bar.

    Args:
        tokens: Of a right side.
        text: That they stand in.
        dot_has_none: Whether `.` stands for a right side without an intercept, which is then implied in no sum that holds it.
    """
    brackets = bar_brackets(tokens, text)
    starts: set[int | None] = {-1, *brackets}
    if dot_has_none:
        starts -= _sums_with_dot(tokens, brackets)
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


def _sums_with_dot(tokens: Sequence[Token], brackets: Mapping[int, tuple[int, int]]) -> set[int | None]:
    """Where the sums begin that hold a `.`: at a bracket whose bar it is left of, or -1; None for one right of a bar."""
    bars, closes = {bar for bar, _ in brackets.values()}, {close for _, close in brackets.values()}
    around: list[int | None] = [-1]
    found: set[int | None] = set()
    for i, token in enumerate(tokens):
        if i in brackets:
            around.append(i)
        elif i in bars:
            around[-1] = None
        elif i in closes:
            around.pop()
        elif _is(token, (".",)):
            found.add(around[-1])
    return found


def bar_brackets(tokens: Sequence[Token], text: str) -> dict[int, tuple[int, int]]:
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
                    "A group term has one bar, (1 | a/b) or (1 | a) + (1 | b), or two about a label: (1 | p | g).",
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


def kept_out(response: Response, sides: Collection[Prepared]) -> set[str]:
    """The columns that `.` does not stand for: those in the response, and grouping ones."""
    used = {name for expression in response.expressions for name in names_in(expression)}
    return used.union(*(side.grouping for side in sides))


def column_term(name: str) -> Term:
    """A column by itself."""
    return Term([Factor(column_text(name), eval_method="lookup")])


def evaluate(
    side: Prepared,
    dot: Sequence[Term] | None,
    spared: Collection[str] = (),
    *,
    dot_has_none: bool = False,
) -> list[Term]:
    """The set of terms that a right side comes to.

    Args:
        side: Its tokens.
        dot: What `.` stands for; None where it stands for nothing.
        spared: Names of columns that it never stands for, and that may yet be taken away from it.
        dot_has_none: Whether it stands for a right side without an intercept.
    """
    tokens = signs(intercepts(side.tokens, side.text, dot_has_none=dot_has_none))
    operators = FormulaOperators(side.text, dot, side.dot, spared, side.labels)
    try:
        tree = tokens_to_ast(tokens, operators)
        return list(tree.to_terms(context={})) if tree is not None else []
    except FormulaParsingError as error:
        raise _located(error, side.text) from None


def assemble(response: Response, side: Prepared, terms: list[Term]) -> Side:
    """The terms by their kind, checked against each other."""
    text = side.text
    plain = [term for term in terms if not isinstance(term, GroupTerm)]
    spelled = {term: term for term in plain}  # z:x of a group is the x:z of the population
    groups = [
        GroupTerm(
            [spelled.get(t, t) for t in term.terms], term.group, term.correlated, term.token, term.label
        )
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
    return Side(ordered(population), tuple(groups), tuple(offsets))


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


def read_additions(written: str, text: str, place: int) -> dict[str, Addition]:
    """What follows a response and a bar, `trials(n) + weights(w)`, in the order of the table."""
    lead = len(written) - len(written.lstrip())
    found: dict[str, Addition] = {}
    for call in _summands(_expression(written.strip(), text, place + lead)):
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


def _expression(written: str, text: str, start: int, dot: Expression | None = None) -> Expression:
    """An expression that stands at `start` of the formula, with errors placed in the formula."""
    try:
        return parse_expression(written, dot)
    except FormulaError as error:
        raise FormulaError(error.message, text, start + (error.place or 0)) from None


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
