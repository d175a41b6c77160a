"""The operators of a formula: formulaic's, and the two bars of lme4.

Each operator takes sets of terms and gives a set of terms. Formulaic's own are kept where their
meaning is R's; what changes: `b %in% a` is `b:a` (formulaic adds `a`), a bar yields `GroupTerm`s, `+` refuses the same bar term twice, `-`
refuses what does not stand before it, products refuse bar terms, and no operator may yield more than `MAX_TERMS` terms.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import Any

from formulaic.parser import DefaultOperatorResolver
from formulaic.parser.types import Factor, Operator, OrderedSet, Term, Token

from mixedbayes.errors import FormulaError, listed
from mixedbayes.language import elsewhere
from mixedbayes.language.expressions import Call, Name
from mixedbayes.language.formula import INTERCEPT, GroupTerm, calls, expression_of, term_text

type Terms = OrderedSet[Term]

MAX_TERMS = 2_000
"""A formula is text from anywhere: `(a + b + c + ...)^9` must not take all memory."""

MAX_DEGREE = 20
"""Factors of the longest product."""

BAR = -50
"""How tightly a bar binds: less than all else."""

_NO_PRODUCT = "{symbol} cannot have a group term (...|...) on either side; group terms are added with +."


class FormulaOperators(DefaultOperatorResolver):  # type: ignore[misc]  # formulaic is typed loosely
    """Formulaic's resolver with the bars, for the right side of one formula.

    Args:
        text: The formula, for messages.
        dot: The terms that `.` stands for; None where no data are at hand.
        dot_token: The first `.` of the formula, if it has one.
        spared: Columns that it never stands for, and that may yet be taken away from it: the response's and grouping ones.
        labels: The `p` of each `(1 | p | g)`, by the place of the bar that is left of it.
    """

    def __init__(
        self,
        text: str,
        dot: Sequence[Term] | None,
        dot_token: Token | None,
        spared: Collection[str],
        labels: Mapping[int, str],
    ) -> None:
        super().__init__()
        self.text = text
        self.dot = dot
        self.dot_token = dot_token
        self.spared = spared
        self.labels = labels

    @property
    def operators(self) -> list[Operator]:
        """The table: what each sign does to sets of terms, and how tightly it binds."""
        return [
            _infix("|", BAR, self.bar(correlated=True), None, accepts_context=_inside_brackets),
            _infix("||", BAR, self.bar(correlated=False), None, accepts_context=_inside_brackets),
            _infix("+", 100, self.add),
            _infix("-", 100, self.subtract),
            Operator(
                "+",
                arity=1,
                precedence=100,
                associativity="right",
                fixity="prefix",
                to_terms=lambda terms: terms,
                structural=True,
            ),
            Operator(
                "-",
                arity=1,
                precedence=100,
                associativity="right",
                fixity="prefix",
                to_terms=lambda terms: self.subtract(OrderedSet(), terms),
                structural=True,
            ),
            _infix("*", 200, self.product("*", lambda a, b: a | b | self.cross(a, b))),
            _infix("/", 200, self.product("/", self.nest)),
            _infix("in", 200, self.product("%in%", self.cross)),
            _infix(":", 300, self.product(":", self.cross)),
            _infix("**", 500, self.product("**", self.power)),
            _infix("^", 500, self.product("^", self.power)),
            Operator(".", arity=0, precedence=1000, fixity="postfix", to_terms=self.everything),
        ]

    def refuse(self, message: str, terms: Terms) -> FormulaError:
        """The error for terms that an operator cannot take, pointing at the first."""
        places = (factor.token.source_start for term in terms for factor in term.factors if factor.token)
        dot = self.dot_token.source_start if self.dot_token else 0
        return FormulaError(message, self.text, next((place for place in places if place is not None), dot))

    def bar(self, correlated: bool, label: str | None = None) -> Callable[[Terms, Terms], Terms]:
        """`left | group`: one `GroupTerm` for each term of the group side."""

        def to_terms(left: Terms, right: Terms) -> Terms:
            nested = [term for term in [*left, *right] if isinstance(term, GroupTerm)]
            if nested:
                raise self.refuse(
                    "A group term cannot stand inside another; add them: (1 | a) + (1 | b).", nested
                )
            if not right:
                raise self.refuse("A grouping column must stand right of the bar.", left)
            if not left:
                raise self.refuse(
                    "Nothing stands left of the bar: without an intercept a group term needs a column, (0 + x | g).",
                    right,
                )
            offsets = [term for term in left if calls(term, "offset")]
            if offsets:
                raise self.refuse(
                    "offset() cannot stand in a group term: it has no coefficient that could vary.", offsets
                )
            token = next((factor.token for term in right for factor in term.factors), None) or self.dot_token
            return OrderedSet(GroupTerm(left, self.group(term), correlated, token, label) for term in right)

        return to_terms

    def group(self, term: Term) -> tuple[str, ...]:
        """The columns of one grouping factor; `C(g)` is `g`, for every group is a factor."""
        names = []
        for factor in term.factors:
            match expression_of(factor):
                case Name(name) | Call("C" | "factor", (Name(name),), ()):
                    names.append(name)
                case Call(function) if function in elsewhere.FUNCTIONS:
                    raise self.refuse(
                        f"{function}() cannot be a grouping factor: {elsewhere.FUNCTIONS[function]}.", [term]
                    )
                case _:
                    raise self.refuse(
                        f"{factor.expr!r} cannot be a grouping factor: right of the bar stand columns, "
                        "as g, a:b, a/b or C(g). Make other groups a column first.",
                        [term],
                    )
        return tuple(dict.fromkeys(names))

    def add(self, left: Terms, right: Terms) -> Terms:
        """The union; formulaic's is silent about a term that both sides have, which for bars is a mistake."""
        twice = [term for term in right if isinstance(term, GroupTerm) and term in left]
        if twice:
            raise self.refuse(f"{twice[0]!r} stands twice in the formula.", twice)
        return self.bounded(left | right)

    def subtract(self, left: Terms, right: Terms) -> Terms:
        """The terms of the left that are not in the right; a term taken away must be there."""
        absent = [term for term in right if term not in left and not self.is_spared(term)]
        if absent:
            is_group = isinstance(absent[0], GroupTerm)
            said = repr(absent[0]) if is_group else term_text(absent[0])
            hint = "" if is_group else " A difference is computed in I(...), as I(x - z)."
            if calls(absent[0], "offset"):
                hint = " To subtract it, write offset(-(...))."
            raise self.refuse(
                f"{said} cannot be taken away: it does not stand before the minus.{hint}", absent
            )
        return left - right

    def is_spared(self, term: Term) -> bool:
        """Whether a term can be taken away where it does not stand."""
        if term == INTERCEPT:
            return True
        if isinstance(term, GroupTerm):
            return False
        return all(isinstance(e := expression_of(f), Name) and e.name in self.spared for f in term.factors)

    def cross(self, left: Terms, right: Terms) -> Terms:
        """Every product of a term of the left and one of the right."""
        self.bounded(left, len(right))
        return OrderedSet(self.times(a, b) for a in left for b in right)

    def times(self, left: Term, right: Term) -> Term:
        """The product of two terms; the intercept is its neutral element."""
        if left == INTERCEPT:
            return right
        product = left if right == INTERCEPT else left * right
        if product.degree > MAX_DEGREE:
            raise self.refuse(f"A product has at most {MAX_DEGREE} factors.", OrderedSet([right]))
        return product

    def nest(self, parents: Terms, nested: Terms) -> Terms:
        """`a / b` is `a + a:b`; R takes `1 / x` for `x`, which nobody who writes it can mean."""
        if set(parents) == {INTERCEPT}:
            raise self.refuse("Among terms 1 / x is no reciprocal; write I(1 / x).", parents)
        common = reduce(self.times, parents)
        return parents | OrderedSet(self.times(common, term) for term in nested)

    def power(self, base: Terms, exponent: Terms) -> Terms:
        """`(a + b + c)^2`: all products of up to two of them."""
        factors = [factor for term in exponent for factor in term.factors]
        literal = len(factors) == 1 and factors[0].eval_method is Factor.EvalMethod.LITERAL
        digits = factors[0].expr if literal else ""
        if not (digits.isdecimal() and digits.strip("0")):
            raise self.refuse(
                "The exponent must be a positive whole number; for a power of a column write I(x^2).",
                exponent,
            )
        alone = [factor for term in base for factor in term.factors if factor.token] if len(base) == 1 else []
        if alone and int(digits[:9]) > 1:  # R takes x^2 for x, which nobody who writes it can mean
            raise self.refuse(
                f"Among terms a power is of sums, as (a + b)^2; the power of a column stands in I(...), as I({alone[0].expr}^2).",
                base,
            )
        result = base
        times = int(digits) if len(digits) < 9 else len(base)
        for _ in range(min(times, len(base)) - 1):
            result = self.bounded(result | self.cross(result, base))
        return result

    def everything(self) -> Terms:
        """`.`: every column but the response and the grouping columns; in a change of a formula what was there."""
        if self.dot is None:
            raise self.refuse(
                "'.' stands for columns of the data: pass the data, or name the columns.", OrderedSet()
            )
        return OrderedSet(self.dot)

    def product(
        self, symbol: str, operation: Callable[[Terms, Terms], Terms]
    ) -> Callable[[Terms, Terms], Terms]:
        """An operator that refuses bar terms and offsets, and bounds what it yields."""

        def to_terms(left: Terms, right: Terms) -> Terms:
            barred = [term for term in [*left, *right] if isinstance(term, GroupTerm)]
            if barred:
                raise self.refuse(_NO_PRODUCT.format(symbol=symbol), barred)
            offsets = [term for term in [*left, *right] if calls(term, "offset")]
            if offsets:
                raise self.refuse(
                    f"offset() cannot be multiplied with {symbol}; it is added with +.", offsets
                )
            if not left or not right:
                raise FormulaError(f"One side of {symbol} is empty.", self.text, self.text.find(symbol))
            return self.bounded(operation(left, right))

        return to_terms

    def bounded(self, terms: Terms, times: int = 1) -> Terms:
        """The terms, if they (and so many times them) are not too many."""
        if len(terms) * times > MAX_TERMS:
            raise FormulaError(f"This formula has more than {MAX_TERMS:,} terms.")
        return terms

    def resolve(self, token: Token) -> Any:
        """The operators that a token may stand for."""
        if token.token not in self.operator_table:
            known = listed(
                (f"%{symbol}%" if symbol == "in" else symbol for symbol in sorted(self.operator_table)), 20
            )
            raise FormulaError(
                f"Unknown operator {token.token!r}; known: {known}.", self.text, token.source_start
            )
        label = self.labels.get(token.source_start) if token.token == "|" else None
        if label is not None:
            yield (
                token,
                [
                    _infix(
                        "|",
                        BAR,
                        self.bar(correlated=True, label=label),
                        None,
                        accepts_context=_inside_brackets,
                    )
                ],
            )
        else:
            yield token, self.operator_table[token.token]


def _infix(
    symbol: str,
    precedence: float,
    to_terms: Callable[..., Terms],
    associativity: str | None = "left",
    **options: Any,
) -> Operator:
    return Operator(
        symbol,
        arity=2,
        precedence=precedence,
        associativity=associativity,
        to_terms=to_terms,
        structural=True,
        **options,
    )


def _inside_brackets(context: list[Token | Operator]) -> bool:
    return bool(context) and isinstance(context[-1], Token)
