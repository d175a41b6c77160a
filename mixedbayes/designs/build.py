"""Formula × table -> `Design`: `build_design` reads as the list of its steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.designs.centring import Moved, at_means, centre
from mixedbayes.designs.design import Block, Covariance, Design, Fixed
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
from mixedbayes.language.formula import Formula, GroupTerm
from mixedbayes.language.parse import parse


def build_design(
    formula: str | Formula, data: Any, *, missing: Missing = "drop", env: Mapping[str, Any] | None = None
) -> Design:
    """Apply a formula to data.

    Args:
        formula: Text, as in lme4, or a parsed formula.
        data: A pandas, polars or Arrow table, or a mapping of columns; it is only read.
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
    parsed = formula if isinstance(formula, Formula) else parse(formula, table.columns)
    check_supported(parsed)
    check_functions(parsed, env)
    columns, rows = read_columns(table, column_names(parsed, table.columns, env), missing)
    response = read_response(parsed.response, columns, env)
    fixed = build_fixed(parsed, columns, env)
    groups = build_blocks(parsed.groups, columns, env)
    states: tuple[dict[str, Any], ...] = tuple({} for _ in parsed.offsets)
    offset = build_offset(parsed.offsets, columns, env, states)
    remarks = remarks_on(parsed, columns, fixed, groups)
    batches = (len(rows.kept),)
    return Design(parsed, response, fixed, offset, groups, rows, remarks, columns, env, states, batches)


def check_supported(formula: Formula) -> None:
    """Refuse what the language has and designs have not.

    Raises:
        FormulaError: The formula has right sides of further parameters, or labels of group terms.
    """
    if formula.predictors:
        raise FormulaError(
            f"Formulas for {listed(formula.predictors)} are not supported yet: a parameter beside the mean is the same in every row."
        )
    labelled = [group for group in formula.groups if group.label is not None]
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
    grouping = {name for group in formula.groups for name in group.group}
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


def build_fixed(formula: Formula, columns: pd.DataFrame, env: Mapping[str, Any]) -> Fixed:
    """The population-level matrix, without columns that earlier ones add up to."""
    X, recipe = build_matrix(formula.terms, columns, env)
    moved = at_means(formula.terms, X, columns, env)
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
    groups: Sequence[GroupTerm], columns: pd.DataFrame, env: Mapping[str, Any]
) -> tuple[Block, ...]:
    """One block a bar term; each grouping factor's levels are found once."""
    found: dict[tuple[str, ...], tuple[Levels, np.ndarray]] = {}
    named = {":".join(term.group) for term in groups}
    blocks: list[Block] = []
    for term in groups:
        if term.group not in found:
            found[term.group] = find_levels(term.group, columns)
        levels, codes = found[term.group]
        X, recipe = build_matrix(term.terms, columns, env, of_group=True)
        group = ":".join(term.group)
        if any(block.group == group and block.factor.columns != term.group for block in blocks):
            raise DataError(f"Two groups would both be named {group!r}; rename a column.")
        name, number = group, sum(block.group == group for block in blocks)
        while number and (name == group or name in named):  # another group may be called g.2
            number += 1
            name = f"{group}.{number}"
        named.add(name)
        covariance: Covariance = "full" if term.correlated else "diagonal"
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
            Block(name, group, names, X, levels.labels, codes, covariance, centring, recipe, levels)
        )
    return tuple(blocks)
