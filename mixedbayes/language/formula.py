"""What a formula says: the values that parsing leaves behind, and how each prints.

y ~ x + (x | g)   ->   Formula(response=y, terms=(1, x), groups=((1 + x | g),), offsets=())
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from formulaic.parser.types import Factor, Term, Token

from mixedbayes.errors import FormulaError
from mixedbayes.language.additions import Addition, additions_text
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

MEAN = "mu"
"""The parameter whose predictor is a formula's own right side."""

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
        label: The `p` of `(1 | p | g)`: terms on one group that share it are correlated; None for most.
    """

    def __init__(
        self,
        terms: Iterable[Term],
        group: tuple[str, ...],
        correlated: bool,
        token: Token,
        label: str | None = None,
    ) -> None:
        self.terms = ordered(terms)
        self.group = group
        self.correlated = correlated
        self.token = token
        self.label = label
        bar = "||" if not correlated else "|" if label is None else f"| {quoted(label)} |"
        text = f"({_sum_text(self.terms)} {bar} {':'.join(quoted(name) for name in group)})"
        super().__init__([Factor(text, eval_method="lookup", token=token)])

    def at(self, token: Token) -> "GroupTerm":
        """The same bar term, with another place in the text."""
        return GroupTerm(self.terms, self.group, self.correlated, token, self.label)

    def __repr__(self) -> str:
        return self.factors[0].expr


@dataclass(frozen=True, slots=True)
class Response:
    """The left side: `log(y)`, `y['Y']`, `y | trials(n) + weights(w)`, `cbind(s, f)`.

    Attributes:
        expression: What is modelled.
        level: The level of a two-valued response that counts as success; None: the last in order.
        additions: What stands right of the bar, by name.
    """

    expression: Expression
    level: str | float | bool | None = None
    additions: Mapping[str, Addition] = field(default_factory=dict, hash=False)

    @property
    def trials(self) -> Expression | None:
        """The number of trials of each row; None where the response says it all."""
        return self.additions["trials"].argument if "trials" in self.additions else None

    @property
    def trial_names(self) -> tuple[str, ...]:
        """Names that the number of trials is made of."""
        return self.names_of(("trials",))

    def names_of(self, additions: Collection[str]) -> tuple[str, ...]:
        """Names that some of the additions are made of; `cbind(s, f)` says the trials itself."""
        match self.expression:
            case Call("cbind") if "trials" in additions:
                own = names_in(self.expression)
            case _:
                own = ()
        others = (
            name
            for key, addition in self.additions.items()
            if key in additions
            for name in names_in(addition.argument)
        )
        return tuple(dict.fromkeys([*own, *others]))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expression and those of the additions."""
        return (self.expression, *(addition.argument for addition in self.additions.values()))

    @property
    def text(self) -> str:
        """What stands left of a bar: the expression, in braces where its signs could be read as the formula's."""
        text = text_of(self.expression)
        return text if _stands_alone(self.expression) else f"{{{text}}}"

    def __str__(self) -> str:
        text = self.text
        if self.level is not None:
            text = f"{text}[{self.level!r}]"
        return f"{text} | {additions_text(self.additions)}" if self.additions else text


@dataclass(frozen=True, slots=True)
class Side:
    """What stands right of a `~`: the linear predictor of one parameter.

    Attributes:
        terms: Population-level terms by degree; the first is `INTERCEPT` where there is one.
        groups: Bar terms in the order written, `a/b` taken apart.
        offsets: What is added to the predictor with coefficient one.
    """

    terms: tuple[Term, ...] = (INTERCEPT,)
    groups: tuple[GroupTerm, ...] = ()
    offsets: tuple[Expression, ...] = ()

    def __str__(self) -> str:
        offsets = [f"offset({text_of(offset)})" for offset in self.offsets]
        groups = [repr(group) for group in self.groups]
        return " + ".join([_sum_text(self.terms), *offsets, *groups])

    @property
    def expressions(self) -> list[Expression]:
        """Every expression, in order of appearance."""
        terms = [*self.terms, *(term for group in self.groups for term in group.terms)]
        factors = (
            factor
            for term in terms
            for factor in term.factors
            if factor.eval_method is not Factor.EvalMethod.LITERAL
        )
        return [*map(expression_of, factors), *self.offsets]

    def only(self, groups: Iterable[GroupTerm]) -> "Side":
        """The right side with no other bar terms than these."""
        return replace(self, groups=tuple(groups))

    @property
    def names(self) -> list[str]:
        """Every name that stands for a value, in order of appearance; those of groups last."""
        names = [name for expression in self.expressions for name in names_in(expression)]
        return [*names, *(name for group in self.groups for name in group.group)]


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula. `str()` is its canonical text, which parses to an equal formula.

    Attributes:
        response: The left side.
        terms: Population-level terms by degree; the first is `INTERCEPT` where there is one.
        groups: Bar terms in the order written, `a/b` taken apart.
        offsets: What is added to the predictor with coefficient one.
        text: The formula as the user wrote it.
        predictors: Right sides of further parameters by name, as of `sigma ~ x`; the formula's own is that of the mean.
    """

    response: Response
    terms: tuple[Term, ...]
    groups: tuple[GroupTerm, ...]
    offsets: tuple[Expression, ...]
    text: str = field(compare=False)
    predictors: Mapping[str, Side] = field(default_factory=dict, hash=False)

    @property
    def side(self) -> Side:
        """The formula's own right side, the predictor of the mean."""
        return Side(self.terms, self.groups, self.offsets)

    @property
    def sides(self) -> dict[str, Side]:
        """Its own right side, that of `MEAN`, and those of further parameters, by name."""
        return {MEAN: self.side, **self.predictors}

    @property
    def bar_terms(self) -> list[tuple[str, GroupTerm]]:
        """All bar terms in order, each with the parameter whose predictor it is part of."""
        return [(name, group) for name, side in self.sides.items() for group in side.groups]

    @property
    def has_intercept(self) -> bool:
        """Whether the population level has an intercept."""
        return INTERCEPT in self.terms

    def __str__(self) -> str:
        others = (f"{quoted(name)} ~ {side}" for name, side in sorted(self.predictors.items()))
        return "; ".join([f"{self.response} ~ {self.side}", *others])

    def names(self, response: bool = True) -> tuple[str, ...]:
        """Every name that stands for a value, in order of appearance, each once; the response's if asked."""
        left = self.response.expressions if response else ()
        names = [name for expression in left for name in names_in(expression)]
        return tuple(dict.fromkeys([*names, *(name for side in self.sides.values() for name in side.names)]))

    def functions(self) -> tuple[str, ...]:
        """Every function called anywhere, each once."""
        return tuple(
            dict.fromkeys(
                name for expression in self.expressions(response=True) for name in functions_in(expression)
            )
        )

    def expressions(self, response: bool) -> list[Expression]:
        """Every expression, in order of appearance; the response's if asked."""
        left = self.response.expressions if response else ()
        return [*left, *(expression for side in self.sides.values() for expression in side.expressions)]


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
