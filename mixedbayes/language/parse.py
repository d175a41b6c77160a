"""Text -> `Formula`: one function that reads as the list of its stages."""

from collections.abc import Collection, Mapping, Sequence

from formulaic.parser.types import Factor, Term

from mixedbayes.language.expressions import names_in
from mixedbayes.language.formula import MEAN, Formula, Response, Side, column_text
from mixedbayes.language.left import read_response
from mixedbayes.language.lines import checked, lines, one_sided, parameter_of
from mixedbayes.language.right import Prepared, assemble, evaluate, prepared


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


def kept_out(response: Response, sides: Collection[Prepared]) -> set[str]:
    """The columns that `.` does not stand for: those in the response, and grouping ones."""
    used = {name for expression in response.expressions for name in names_in(expression)}
    return used.union(*(side.grouping for side in sides))


def column_term(name: str) -> Term:
    """A column by itself."""
    return Term([Factor(column_text(name), eval_method="lookup")])
