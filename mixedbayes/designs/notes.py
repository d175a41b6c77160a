"""What to say of a design: whatever was left out, or is read otherwise than lme4 would, each in a sentence."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mixedbayes.designs.centring import beyond
from mixedbayes.designs.columns import strays
from mixedbayes.designs.design import Block, Fixed, Linear, Part
from mixedbayes.errors import listed
from mixedbayes.language.expressions import Name
from mixedbayes.language.formula import MEAN, Formula

FAR = 5.0
"""Spreads of a predictor, from which on zero lies far outside its values."""


def remarks_on(
    formula: Formula, columns: pd.DataFrame, linear: Mapping[str, Linear], groups: Sequence[Block]
) -> tuple[str, ...]:
    """All that is to be said but of rows left out, of which the rows tell.

    Args:
        formula: Of the design.
        columns: Of the data.
        linear: Population levels of all parameters, by name.
        groups: Of all parameters.
    """
    plain = [each.name for each in formula.expressions(response=False) if isinstance(each, Name)]
    parts = [(part, f" of {block.label}{_whose(part)}") for block in groups for part in block.parts]
    return (
        *stray_notes(columns, plain),
        *(note for name, each in linear.items() for note in fixed_notes(each.fixed, name)),
        *(note for part, where in parts for note in column_notes(part.recipe.empty, where)),
        *(note for part, where in parts for note in zero_notes(part, where)),
        *(note for part, _ in parts for note in bar_notes(part)),
        *independence_notes(groups),
    )


def _whose(part: Part) -> str:
    return "" if part.parameter == MEAN else f" of {part.parameter}"


def stray_notes(columns: pd.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    """What to say of predictors that would be numbers but for a few texts among them: they are factors."""
    factors = {
        name: columns[name].cat.categories
        for name in names
        if name in columns and isinstance(columns[name].dtype, pd.CategoricalDtype)
    }
    return tuple(
        f"{name} holds {listed(map(repr, odd), 4)} beside numbers and is a factor of {len(levels):,} levels; make it a gap to have numbers."
        for name, levels in factors.items()
        if (odd := strays(list(levels)))
    )


def fixed_notes(fixed: Fixed, parameter: str) -> tuple[str, ...]:
    """What to say of columns left out of a population level."""
    where = "" if parameter == MEAN else f" of {parameter}"
    dropped = [name for name in fixed.dropped if name not in fixed.nearly]
    return (*column_notes(dropped, where), *near_notes(fixed.nearly, where))


def column_notes(dropped: Sequence[str], where: str = "") -> tuple[str, ...]:
    """What to say of columns left out."""
    if not dropped:
        return ()
    these, are = ("Column", "is a linear combination")
    if len(dropped) > 1:
        these, are = ("Columns", "are linear combinations")
    return (f"{these} {listed(dropped)}{where} {are} of the others and left out.",)


def near_notes(columns: Sequence[str], where: str = "") -> tuple[str, ...]:
    """What to say of columns left out because they vary too little for their size."""
    return tuple(
        f"Column {name}{where} differs from a linear combination of the others by less than a ten-millionth of its size and is left "
        "out, as in R; less that combination it stays."
        for name in columns
    )


def zero_notes(part: Part, where: str) -> tuple[str, ...]:
    """What to say of effects left out."""
    if not part.dropped:
        return ()
    these, are = ("Column", "is") if len(part.dropped) == 1 else ("Columns", "are")
    return (f"{these} {listed(part.dropped)}{where} {are} zero in every row and left out.",)


def bar_notes(part: Part) -> tuple[str, ...]:
    """What to say where lme4 reads `||` otherwise: it leaves the effects of a factor correlated."""
    factors = part.recipe.factors
    if part.term.correlated or not factors:
        return ()
    return (
        f"{part.term!r}: all effects are independent, those of the factor {listed(factors)} too; lme4 would leave these correlated.",
    )


def independence_notes(groups: Sequence[Block]) -> tuple[str, ...]:
    """What to say where a group's intercept and slopes are independent at a zero that is far from the data."""
    return tuple(
        f"In {block.group}{_whose(part)}, the intercept and the effect of {name} are independent where {name} is 0, far from its values "
        f"({x.min():.6g} to {x.max():.6g}): write (1 + {name} | {block.group}), or take the mean {x.mean():.6g} off {name} first."
        for block in groups
        for part in block.parts
        if part.intercept is not None
        for name, x in independent_of(block, part.parameter, groups)
        if beyond(x) > FAR
    )


def independent_of(block: Block, parameter: str, groups: Sequence[Block]) -> list[tuple[str, np.ndarray]]:
    """The effects that are declared independent of an intercept of a block: its own by `||`, and those of `(0 + x | g)` beside it.

    Args:
        block: That the intercept is of.
        parameter: Whose predictor takes the intercept, and the effects.
        groups: All blocks.
    """
    return [
        (name, other.X[:, j])
        for other in groups
        if other.group == block.group
        for part in other.parts
        if part.parameter == parameter
        and ((other is block and block.covariance == "diagonal") or part.intercept is None)
        for j, name in zip(other.places(parameter), part.columns, strict=True)
        if j not in other.intercepts
    ]
