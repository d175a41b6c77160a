"""A formula × a change -> a new formula, as R's `update`: a dot stands for what was there.

y ~ x + (x | g),  "log(.) ~ . - x"   ->   log(y) ~ 1 + (1 + x | g)
"""

from collections.abc import Sequence

from formulaic.parser.types import Factor, Term, Token

from mixedbayes.errors import FormulaError, shown
from mixedbayes.language.expressions import Call
from mixedbayes.language.formula import INTERCEPT, MEAN, Formula, GroupTerm, Response, Side, factor_text
from mixedbayes.language.left import read_response
from mixedbayes.language.lines import Line, checked, lines, parameter_of
from mixedbayes.language.parse import formula_of, kept_out
from mixedbayes.language.right import Prepared, assemble, evaluate, prepared


def updated(formula: Formula, change: str, columns: Sequence[str] = ()) -> Formula:
    """The formula that the change makes of this one.

    Args:
        formula: As it was.
        change: `"~ . - x"`, `"log(.) ~ ."`; nothing left of `~` keeps the response. On lines of their own stand
            changes of further parameters, as `"~ .; sigma ~ . + x"`; those that are not named stay as they are.
        columns: Names of the data's columns.

    Raises:
        FormulaError: The change has no `~`, or what it makes is no formula.
    """
    if not isinstance(change, str) or "~" not in checked(change):
        raise FormulaError(
            f"A change of a formula reads as '~ . - x', with a dot for what was there, not {shown(change)}."
        )
    first, *others = lines(checked(change), is_change=True)
    response = _response(formula.response, first)
    changes = {MEAN: prepared(first, columns)}
    for line in others:
        changes[parameter_of(line, changes)] = prepared(line, columns)
    spared = kept_out(response, changes.values())
    sides = formula.sides
    for name, side in changes.items():
        sides[name] = _changed(sides.get(name, Side()), side, response, spared)
    made = formula_of(response, sides, "")
    return formula_of(response, sides, str(made))


def _response(was: Response, line: Line) -> Response:
    """The new left side; additions that the change does not name stay as they are where a dot does."""
    return read_response(line, was) if line.left else was


def _changed(was: Side, side: Prepared, response: Response, spared: set[str]) -> Side:
    dot = None if side.dot is None else _terms(was, side.dot)
    terms = evaluate(side, dot, spared, dot_has_none=INTERCEPT not in was.terms)
    return assemble(response, side, terms)


def _terms(was: Side, token: Token) -> list[Term]:
    """All terms of a right side but the intercept, which is implied; bars stand where the dot does."""
    offsets = (Factor(factor_text(Call("offset", (each,))), eval_method="python") for each in was.offsets)
    groups: list[GroupTerm] = [group.at(token) for group in was.groups]
    plain = (Term([Factor(f.expr, eval_method=f.eval_method) for f in term.factors]) for term in was.terms)
    return [*(t for t in plain if t != INTERCEPT), *(Term([offset]) for offset in offsets), *groups]
