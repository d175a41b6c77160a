"""Formula × table -> `Design`: `build_design` reads as the list of its steps."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic.parser.types import Term

from mixedbayes.designs.centring import Centring, Moved, apart, at_means, centre
from mixedbayes.designs.design import Block, Design, Fixed, Linear, Part
from mixedbayes.designs.evaluate import unknown_function
from mixedbayes.designs.functions import CONTRASTS, FUNCTIONS, VALUES
from mixedbayes.designs.levels import Levels, find_levels
from mixedbayes.designs.matrices import build_matrix
from mixedbayes.designs.notes import remarks_on
from mixedbayes.designs.offset import build_offset
from mixedbayes.designs.rank import dependent_columns
from mixedbayes.designs.response import read_response
from mixedbayes.designs.table import Missing, open_table, read_columns, unknown_columns
from mixedbayes.errors import ArgumentError, DataError, FormulaError, listed, shown
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
    odd = [name for name in env or {} if not isinstance(name, str)]
    if odd:
        raise ArgumentError(f"Names of env are texts, not {shown(odd[0])}.")
    if isinstance(data, str | Formula) and not isinstance(formula, str | Formula):
        raise ArgumentError("The formula comes first and the data second, as in fit('y ~ x', data).")
    env = dict(env or {})
    table = open_table(data)
    parsed = formula if isinstance(formula, Formula) else parse(formula, table.columns, predictors)
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
    """One block a bar term, or for all that share a label; each grouping factor's levels are found once.

    Args:
        groups: The bar terms, each with the parameter whose predictor it stands in, the mean's first.
        columns: Of the data.
        env: Functions and values by name.

    Raises:
        FormulaError: A label stands for two groups.
        DataError: Two things would have one name; or nothing varies by a group.
    """
    found: dict[tuple[str, ...], tuple[Levels, np.ndarray]] = {}
    known = {_text(term) for _, term in groups}
    blocks: list[Block] = []
    for terms in _together(groups):
        first = next(iter(terms.values()))
        group = _text(first)
        if first.group not in found:
            found[first.group] = find_levels(first.group, columns)
        levels, codes = found[first.group]
        if any(block.group == group and block.factor.columns != first.group for block in blocks):
            raise DataError(f"Two groups would both be named {group!r}; rename a column.")
        made = [_build_part(parameter, term, columns, env) for parameter, term in terms.items()]
        parts, Xs, centrings = zip(*made, strict=True)
        names = tuple(
            name if part.parameter == MEAN or len(parts) == 1 else f"{part.parameter}.{name}"
            for part in parts
            for name in part.columns
        )
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(f"Two effects of {group} would both be named {twice[0]!r}; rename a column.")
        parameter = parts[0].parameter if len(parts) == 1 else MEAN
        label = _label(group, parameter, blocks, known)
        blocks.append(
            Block(
                name=_name(label, parameter, blocks),
                group=group,
                columns=names,
                X=Xs[0] if len(parts) == 1 else _frozen(np.hstack(Xs)),
                levels=levels.labels,
                codes=codes,
                covariance="full" if first.correlated else "diagonal",
                centring=centrings[0] if len(parts) == 1 else apart(centrings),
                factor=levels,
                label=label,
                parts=parts,
            )
        )
    return tuple(blocks)


def _together(groups: Sequence[tuple[str, GroupTerm]]) -> list[dict[str, GroupTerm]]:
    """The bar terms of each block, by the parameter whose predictor takes them: several under one label are one.

    Raises:
        FormulaError: A label stands for two groups.
    """
    blocks: list[dict[str, GroupTerm]] = []
    labelled: dict[str, dict[str, GroupTerm]] = {}
    for parameter, term in groups:
        if term.label is None:
            blocks.append({parameter: term})
            continue
        if term.label not in labelled:
            labelled[term.label] = {}
            blocks.append(labelled[term.label])
        own = labelled[term.label]
        first = next(iter(own.values()), term)
        if set(first.group) != set(term.group):
            raise FormulaError(
                f"The label {term.label} stands for effects of {_text(first)} in {first!r} and of {_text(term)} in {term!r}: only those "
                "of one group can be correlated. Give each group a label of its own."
            )
        terms = [*(own[parameter].terms if parameter in own else ()), *term.terms]
        own[parameter] = GroupTerm(terms, first.group, correlated=True, token=term.token, label=term.label)
    return blocks


def _build_part(
    parameter: str, term: GroupTerm, columns: pd.DataFrame, env: Mapping[str, Any]
) -> tuple[Part, np.ndarray, Centring]:
    """The effects of a bar term, what multiplies them, shape (n, q), and what they are at the predictors' means."""
    X, recipe = build_matrix(term.terms, columns, env, of_group=True)
    kept = np.flatnonzero(X.any(axis=0)).tolist()
    if not kept:
        zero = f"{listed(recipe.columns)} {'is' if len(recipe.columns) == 1 else 'are'} zero in every row"
        raise DataError(f"{term!r}: {zero}, so that nothing varies by {_text(term)}; leave the term out.")
    moved = at_means(term.terms, X, columns, env)
    if len(kept) < X.shape[1]:
        X = _frozen(X[:, kept])
        moved = moved.only(kept, X)
    if moved.shares is not None and dependent_columns(moved.X):
        moved = Moved(X)
    part = Part(parameter, term, tuple(recipe.columns[j] for j in kept), recipe)
    return part, X, centre(moved, part.intercept)


def _frozen(X: np.ndarray) -> np.ndarray:
    X.flags.writeable = False
    return X


def _text(term: GroupTerm) -> str:
    """What the group is called."""
    return ":".join(term.group)


def _label(group: str, parameter: str, blocks: Sequence[Block], known: Collection[str]) -> str:
    """What a block is called among those of its parameter: its group, or `g.2`, unless another group is called so."""
    number = 1 + sum((block.parameter, block.group) == (parameter, group) for block in blocks)
    if number == 1:
        return group
    taken = {block.label for block in blocks if block.parameter == parameter}
    while (label := f"{group}.{number}") in taken or label in known:
        number += 1
    return label


def _name(label: str, parameter: str, blocks: Sequence[Block]) -> str:
    """What a block is called among all; underscores tell it from a group of the mean that is called `sigma.g`."""
    name, taken = label if parameter == MEAN else f"{parameter}.{label}", {block.name for block in blocks}
    while name in taken:
        name += "_"
    return name
