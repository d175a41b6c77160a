"""What a formula says: the values that parsing leaves behind, and how each prints.

y ~ x + (x | g)   ->   Formula(response=y, terms=(1, x), groups=((1 + x | g),), offsets=())
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from formulaic.parser.types import Factor, Term, Token

from mixedbayes.errors import FormulaError
from mixedbayes.language.expressions import (
    Call,
    Expression,
    Literal,
    Name,
    Operation,
    functions_in,
    is_bare,
    names_in,
    quoted,
    text_of,
    unquoted,
)
from mixedbayes.language.read import parse_expression

INTERCEPT = Term([Factor("1", eval_method="literal")])

INTERCEPT_LABEL = "Intercept"
"""What formulaic calls the intercept's column; no other column has this label."""


class GroupTerm(Term):  # type: ignore[misc]  # formulaic is typed loosely
    """One bar term over one grouping factor: `(1 + x | g)`.

    It is a formulaic term, so that formulaic's `+` and `-` carry it; its only factor is its own text.

    Attributes:
        terms: The left side, in order, the intercept first where there is one.
        group: The columns whose observed combinations are the levels: `("batch", "cask")`.
        correlated: False for `||`.
        token: The bar's place in the text.
    """

    def __init__(self, terms: Iterable[Term], group: tuple[str, ...], correlated: bool, token: Token) -> None:
        self.terms = ordered(terms)
        self.group = group
        self.correlated = correlated
        self.token = token
        bar = "|" if correlated else "||"
        text = f"({_sum_text(self.terms)} {bar} {':'.join(quoted(name) for name in group)})"
        super().__init__([Factor(text, eval_method="lookup", token=token)])

    def __repr__(self) -> str:
        return self.factors[0].expr


@dataclass(frozen=True, slots=True)
class Response:
    """The left side: `log(y)`, `y['Y']`, `y | trials(n)`, `cbind(s, f)`.

    Attributes:
        expression: What is modelled.
        level: The level of a two-valued response that counts as success; None: the last in order.
        trials: The number of trials of each row; None where the response says it all.
    """

    expression: Expression
    level: str | float | bool | None = None
    trials: Expression | None = None

    @property
    def trial_names(self) -> tuple[str, ...]:
        """Names that the number of trials is made of."""
        if isinstance(self.expression, Call) and self.expression.function == "cbind":
            return names_in(self.expression)
        return names_in(self.trials) if self.trials is not None else ()

    @property
    def text(self) -> str:
        """What stands left of a bar: the expression, in braces where its signs could be read as the formula's."""
        text = text_of(self.expression)
        return text if _stands_alone(self.expression) else f"{{{text}}}"

    def __str__(self) -> str:
        text = self.text
        if self.level is not None:
            text = f"{text}[{self.level!r}]"
        return text if self.trials is None else f"{text} | trials({text_of(self.trials)})"


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula. `str()` is its canonical text, which parses to an equal formula.

    Attributes:
        response: The left side.
        terms: Population-level terms by degree; the first is `INTERCEPT` where there is one.
        groups: Bar terms in the order written, `a/b` taken apart.
        offsets: What is added to the predictor with coefficient one.
        text: The formula as the user wrote it.
    """

    response: Response
    terms: tuple[Term, ...]
    groups: tuple[GroupTerm, ...]
    offsets: tuple[Expression, ...]
    text: str = field(compare=False)

    @property
    def has_intercept(self) -> bool:
        """Whether the population level has an intercept."""
        return INTERCEPT in self.terms

    def __str__(self) -> str:
        offsets = [f"offset({text_of(offset)})" for offset in self.offsets]
        groups = [repr(group) for group in self.groups]
        return f"{self.response} ~ {' + '.join([_sum_text(self.terms), *offsets, *groups])}"

    def only(self, groups: Iterable[GroupTerm]) -> "Formula":
        """The formula with no other bar terms than these."""
        return replace(self, groups=tuple(groups))

    def names(self, response: bool = True) -> tuple[str, ...]:
        """Every name that stands for a value, in order of appearance, each once; the response's if asked."""
        names = [name for expression in self.expressions(response) for name in names_in(expression)]
        names += [name for group in self.groups for name in group.group]
        return tuple(dict.fromkeys(names))

    def functions(self) -> tuple[str, ...]:
        """Every function called anywhere, each once."""
        return tuple(
            dict.fromkeys(
                name for expression in self.expressions(response=True) for name in functions_in(expression)
            )
        )

    def expressions(self, response: bool) -> list[Expression]:
        """Every expression, in order of appearance; the response's if asked."""
        left = [
            self.response.expression,
            *([self.response.trials] if self.response.trials is not None else []),
        ]
        terms = [*self.terms, *(term for group in self.groups for term in group.terms)]
        factors = [
            factor
            for term in terms
            for factor in term.factors
            if factor.eval_method is not Factor.EvalMethod.LITERAL
        ]
        return [*(left if response else []), *map(expression_of, factors), *self.offsets]


def column_text(name: str) -> str:
    """The text of a column's factor, and so its label: the name, in backticks if it could be misread.

    Formulaic tells factors apart by their text; a column named `1` is not the intercept, and one named
    `Intercept` would be labelled as that is.
    """
    if name == INTERCEPT_LABEL:
        return f"`{name}`"
    try:
        misread = name.startswith(("`", "(")) or (
            not is_bare(name) and text_of(parse_expression(name)) == name
        )
    except FormulaError:
        misread = False
    return quoted(name) if misread else name


def expression_of(factor: Factor) -> Expression:
    """The expression that a formulaic factor holds as text."""
    if factor.eval_method is Factor.EvalMethod.LOOKUP:
        return Name(unquoted(factor.expr[1:-1]) if factor.expr.startswith("`") else factor.expr)
    return parse_expression(factor.expr)


def calls(term: Term, function: str) -> bool:
    """Whether a factor of the term is a call of the function."""
    expressions = (
        expression_of(factor) for factor in term.factors if factor.eval_method is Factor.EvalMethod.PYTHON
    )
    return any(isinstance(expression, Call) and expression.function == function for expression in expressions)


def ordered(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms by degree, as R orders them, each degree in the order written."""
    return tuple(sorted(terms, key=lambda term: term.degree))


def factor_text(expression: Expression) -> str:
    """An expression as a factor of a term: arithmetic outside a call stands in braces."""
    return text_of(expression) if isinstance(expression, Name | Call) else f"{{{text_of(expression)}}}"


ARITHMETIC = {"+", "-", "*", "/", "//", "**", "==", "!=", "<", "<=", ">", ">="}


def _stands_alone(expression: Expression) -> bool:
    """Whether it is made of columns, calls, numbers and signs that a formula's tokens leave alone."""
    match expression:
        case Name() | Call():
            return True
        case Literal(value):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Operation(symbol, operands):
            return symbol in ARITHMETIC and all(map(_stands_alone, operands))
    return False


def term_text(term: Term) -> str:
    """A term as a formula writes it."""
    return ":".join(
        factor.expr if factor.eval_method is Factor.EvalMethod.LITERAL else factor_text(expression_of(factor))
        for factor in term.factors
    )


def _sum_text(terms: tuple[Term, ...]) -> str:
    if INTERCEPT not in terms:
        return " + ".join(["0", *map(term_text, terms)])
    return " + ".join(map(term_text, terms))
