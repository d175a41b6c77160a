"""Formula × table -> `Design`: `build_design` reads as the list of its steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic.parser.types import Term

from mixedbayes.designs.centring import Moved, at_means, centre
from mixedbayes.designs.design import Block, Design, Fixed, Linear
from mixedbayes.designs.evaluate import unknown_function
from mixedbayes.designs.functions import CONTRASTS, FUNCTIONS, VALUES
from mixedbayes.designs.levels import Levels, find_levels
from mixedbayes.designs.matrices import build_matrix
from mixedbayes.designs.notes import remarks_on
from mixedbayes.designs.offset import build_offset
from mixedbayes.designs.rank import dependent_columns
from mixedbayes.designs.response import read_response
from mixedbayes.designs.table import Missing, open_table, read_columns, unknown_columns
from mixedbayes.errors import ArgumentError, DataError, FormulaError, listed
from mixedbayes.language.expressions import Name, functions_in
from mixedbayes.language.formula import MEAN, Formula, GroupTerm, Side
from mixedbayes.language.parse import parse


@np.errstate(over="ignore", invalid="ignore")  # what is too large to compute with is refused, in a sentence
def build_design(
    formula: str | Formula,
    data: Any,
    *,
    predictors: Mapping[str, str] | None = None,
    missing: Missing = "drop",
    env: Mapping[str, Any] | None = None,
) -> Design:
    """Apply a formula to data.

    Args:
        formula: Text, as in lme4, or a parsed formula.
        data: A pandas, polars or Arrow table, or a mapping of columns; it is only read.
        predictors: Right sides of further parameters by name, beside those in a text: `{"sigma": "~ x"}`.
        missing: `"drop"` leaves out, once, every row with a gap in a column used; `"error"` refuses.
        env: Functions and values by name that the formula may use beside its own.

    Returns:
        The design IR.

    Raises:
        FormulaError: The formula cannot be read.
        DataError: It cannot be applied to these data.
    """
    if env is not None and not isinstance(env, Mapping):
        raise ArgumentError(f"env is a mapping from names to functions and values, not {type(env).__name__}.")
    if isinstance(data, str | Formula) and not isinstance(formula, str | Formula):
        raise ArgumentError("The formula comes first and the data second, as in fit('y ~ x', data).")
    env = dict(env or {})
    table = open_table(data)
    parsed = formula if isinstance(formula, Formula) else parse(formula, table.columns, predictors)
    check_supported(parsed)
    check_functions(parsed, env)
    columns, rows = read_columns(table, column_names(parsed, table.columns, env), missing)
    response = read_response(parsed.response, columns, env)
    sides = {name: build_linear(side, columns, env) for name, side in parsed.sides.items()}
    groups = build_blocks(parsed.bar_terms, columns, env)
    own = sides.pop(MEAN)
    return Design(
        formula=parsed,
        response=response,
        fixed=own.fixed,
        offset=own.offset,
        groups=groups,
        rows=rows,
        remarks=remarks_on(parsed, columns, {MEAN: own, **sides}, groups),
        data=columns,
        env=env,
        states=own.states,
        batches=(len(rows.kept),),
        predictors=sides,
    )


def check_supported(formula: Formula) -> None:
    """Refuse what the language has and designs have not.

    Raises:
        FormulaError: The formula has labels of group terms.
    """
    labelled = [group for _, group in formula.bar_terms if group.label is not None]
    if labelled:
        raise FormulaError(
            f"{labelled[0]!r}: labels, which correlate effects of several group terms, are not supported yet; "
            "(x | g) correlates those of one."
        )


def check_functions(formula: Formula, env: Mapping[str, Any]) -> None:
    """Refuse a formula that calls what nobody provided."""
    from_response = {"cbind"} & set(functions_in(formula.response.expression))
    for name in formula.functions():
        if name not in FUNCTIONS and name not in from_response and not callable(env.get(name)):
            raise unknown_function(name, env)


def column_names(formula: Formula, columns: Sequence[str], env: Mapping[str, Any]) -> list[str]:
    """The columns that the formula uses; every name that is nothing else must be one."""
    names = formula.names()
    grouping = {name for _, group in formula.bar_terms for name in group.group}
    alone = {part.name for part in formula.expressions(response=True) if isinstance(part, Name)}
    unknown = [
        name
        for name in names
        if name not in columns
        and (name in grouping or (name not in env and (name in alone or name not in VALUES)))
    ]
    if unknown:
        raise unknown_columns(unknown, columns, (*env, *CONTRASTS))
    used = [name for name in names if name in columns]
    if not used:
        raise DataError("The formula uses no column of the data.")
    return used


def build_linear(side: Side, columns: pd.DataFrame, env: Mapping[str, Any]) -> Linear:
    """The predictor of one parameter, but for its groups."""
    states: tuple[dict[str, Any], ...] = tuple({} for _ in side.offsets)
    fixed = build_fixed(side.terms, columns, env)
    return Linear(fixed, build_offset(side.offsets, columns, env, states), states)


def build_fixed(terms: Sequence[Term], columns: pd.DataFrame, env: Mapping[str, Any]) -> Fixed:
    """The population-level matrix, without columns that earlier ones add up to."""
    X, recipe = build_matrix(terms, columns, env)
    moved = at_means(terms, X, columns, env)
    dependent = dependent_columns(moved.X)
    kept = [j for j in range(X.shape[1]) if j not in dependent]
    combination, slack = np.zeros((len(kept), 0)), np.zeros(0)
    if dependent:
        combination = np.linalg.lstsq(X[:, kept], X[:, dependent], rcond=None)[0]
        slack = np.abs(X[:, dependent] - X[:, kept] @ combination).max(axis=0)
        X = X[:, kept]
        moved = moved.only(kept, X)
        X.flags.writeable = False
    names = recipe.columns
    dropped = (*recipe.empty, *(names[j] for j in dependent))
    centring = centre(moved, None if recipe.intercept is None else kept.index(recipe.intercept))
    return Fixed(tuple(names[j] for j in kept), X, dropped, recipe, centring, combination, slack)


def build_blocks(
    groups: Sequence[tuple[str, GroupTerm]], columns: pd.DataFrame, env: Mapping[str, Any]
) -> tuple[Block, ...]:
    """One block a bar term, each with the parameter that it is of; each grouping factor's levels are found once."""
    found: dict[tuple[str, ...], tuple[Levels, np.ndarray]] = {}
    named = {_block_name(parameter, term) for parameter, term in groups}
    blocks: list[Block] = []
    for parameter, term in groups:
        if term.group not in found:
            found[term.group] = find_levels(term.group, columns)
        levels, codes = found[term.group]
        X, recipe = build_matrix(term.terms, columns, env, of_group=True)
        group = ":".join(term.group)
        if any(block.group == group and block.factor.columns != term.group for block in blocks):
            raise DataError(f"Two groups would both be named {group!r}; rename a column.")
        name = first = _block_name(parameter, term)
        number = sum((block.parameter, block.group) == (parameter, group) for block in blocks)
        number += not number and any(block.name == first for block in blocks)  # a group may be called sigma.g
        while number and (name == first or name in named):  # another group may be called g.2
            number += 1
            name = f"{first}.{number}"
        named.add(name)
        kept = np.flatnonzero(X.any(axis=0)).tolist()
        if not kept:
            zero = f"{listed(recipe.columns)} {'is' if len(recipe.columns) == 1 else 'are'} zero in every row"
            raise DataError(f"{term!r}: {zero}, so that nothing varies by {group}; leave the term out.")
        moved = at_means(term.terms, X, columns, env)
        if len(kept) < X.shape[1]:
            X = X[:, kept]
            moved = moved.only(kept, X)
            X.flags.writeable = False
        place = None if recipe.intercept is None else kept.index(recipe.intercept)
        if moved.shares is not None and dependent_columns(moved.X):
            moved = Moved(X)
        centring = centre(moved, place)
        names = tuple(recipe.columns[j] for j in kept)
        blocks.append(
            Block(
                name=name,
                group=group,
                columns=names,
                X=X,
                levels=levels.labels,
                codes=codes,
                covariance="full" if term.correlated else "diagonal",
                centring=centring,
                recipe=recipe,
                factor=levels,
                label=name if parameter == MEAN else group + name[len(first) :],
                parameter=parameter,
            )
        )
    return tuple(blocks)


def _block_name(parameter: str, term: GroupTerm) -> str:
    """The name of the first block on a group."""
    group = ":".join(term.group)
    return group if parameter == MEAN else f"{parameter}.{group}"
