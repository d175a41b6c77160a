"""Right sides: tokens -> terms by their kind, a `Side`."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from formulaic.errors import FormulaParsingError
from formulaic.parser.algos.tokens_to_ast import tokens_to_ast
from formulaic.parser.types import Factor, Term, Token

from mixedbayes.errors import FormulaError
from mixedbayes.language import elsewhere
from mixedbayes.language.expressions import Call, Expression, Literal, Name, Operation, names_in, text_of
from mixedbayes.language.formula import (
    INTERCEPT,
    GroupTerm,
    Response,
    Side,
    calls,
    column_text,
    expression_of,
    ordered,
    term_text,
)
from mixedbayes.language.lines import Line
from mixedbayes.language.operators import FormulaOperators
from mixedbayes.language.read import is_number, parse_expression
from mixedbayes.language.tokens import (
    BARS,
    BRACKET,
    CODE,
    NAME,
    OPERATOR,
    SIGNS,
    VALUE,
    expression_at,
    is_sign,
    located,
    name_of,
    token_of,
)

MAX_BRACKETS = 50
"""Brackets within brackets, beyond which a formula is refused."""

EXPONENT = re.compile(r"(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
"""A number as 1e-7, which the tokenizer takes for a name, a sign and a number."""

NO_TERM = "A number is no term: 1 is the intercept, 0 removes it; multiply in I(...), as I(2 * x)."


@dataclass(frozen=True, slots=True)
class Prepared:
    """A right side whose tokens are canonical, ready to be evaluated.

    Attributes:
        text: That they stand in.
        tokens: Without labels; implied intercepts are not written out yet.
        labels: The `p` of each `(1 | p | g)`, by the place of the bar that is left.
    """

    text: str
    tokens: tuple[Token, ...]
    labels: Mapping[int, str]

    @property
    def dot(self) -> Token | None:
        """The first `.`, if there is one."""
        return next((token for token in self.tokens if is_sign(token, (".",))), None)

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


def prepared(line: Line, columns: Sequence[str]) -> Prepared:
    """The right side of a line, its expressions in canonical text; implied intercepts come later."""
    text, tokens = line.text, list(line.right)
    refuse_lambda(tokens, text)
    refuse_signs(tokens, text)
    labels, tokens = labelled(tokens, text)
    tokens = [canonical(token, text, columns) for token in tokens]
    return Prepared(text, tuple(zeros(tokens, text)), labels)


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


def labelled(tokens: list[Token], text: str) -> tuple[dict[int, str], list[Token]]:
    """The `p` of each `(1 | p | g)` by the place of its second bar, and the tokens without them.

    As in brms, terms on one group that share a label are correlated.
    """
    labels: dict[int, str] = {}
    dropped: set[int] = set()
    ends: set[int] = set()  # a bar that ends one begins none: (1 | p | g | h)
    for i, (bar, label, second) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        about = is_sign(bar, BARS) and is_sign(second, BARS) and label.kind in (NAME, VALUE)
        if not about or i in ends:
            continue
        if (bar.token, second.token) != ("|", "|"):
            raise FormulaError(
                "A label says with which effects others are correlated, which || says they are not: (1 | p | g).",
                text,
                bar.source_start,
            )
        labels[second.source_start or 0] = name_of(label, text)
        dropped |= {i, i + 1}
        ends.add(i + 2)
    return labels, [token for i, token in enumerate(tokens) if i not in dropped]


def canonical(token: Token, text: str, columns: Collection[str]) -> Token:
    """The token with its expression in canonical text, if it holds one; a number, if it is a value.

    A name that reads as a number, as `1e7`, is a column's if there is one; else it stands in backticks.
    """
    start = token.source_start or 0
    if token.kind is CODE:
        inside = start + (text[start] == "{")
        match expression_at(token.token, text, inside):
            case Name(name):
                return token.copy_with_attrs(token=column_text(name), kind=NAME)
            case Literal():
                raise FormulaError(NO_TERM, text, start)
            case Call(function, (Operation("|", _), *_)) if function in elsewhere.STRUCTURES:
                raise FormulaError(
                    f"A formula has no {function}(... | ...): {elsewhere.STRUCTURES[function]}.", text, start
                )
            case expression:
                return token.copy_with_attrs(token=text_of(expression))
    if token.kind is NAME:
        name = name_of(token, text)
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
        alone = (before is None or is_sign(before, opens)) and (after is None or is_sign(after, closes))
        if not alone:
            raise FormulaError(
                "0 removes the intercept and stands alone, as in '0 + x'.", text, token.source_start
            )
        result += [token_of("-", OPERATOR, text, token.source_start or 0), token.copy_with_attrs(token="1")]
    return result


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
        raise located(error, side.text) from None


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
        pairwise([token_of("", BRACKET, text, 0), *tokens, token_of("", BRACKET, text, len(text))]), -1
    ):
        if i >= 0:
            result.append(token)
        if i in starts:
            place = after.source_start or 0
            result.append(token_of("1", VALUE, text, place))
            if not is_sign(after, SIGNS):
                result.append(token_of("+", OPERATOR, text, place))
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
        elif is_sign(token, (".",)):
            found.add(around[-1])
    return found


def bar_brackets(  # noqa: C901  # one pass over brackets
    tokens: Sequence[Token], text: str
) -> dict[int, tuple[int, int]]:
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
        if result and is_sign(result[-1], SIGNS) and is_sign(token, SIGNS):
            result[-1] = token.copy_with_attrs(token="+" if result[-1].token == token.token else "-")
        else:
            result.append(token)
    return result


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
        raise FormulaError(NO_TERM, text, place)


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
