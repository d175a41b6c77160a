"""The design IR: what a formula comes to on data, as frozen arrays with names; no priors, no PyMC.

    Formula × table -> Design(response, fixed, offset, groups, rows)

`build_design` is the stage; it reads as the list of its steps.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from mixedbayes.designs.centring import Centring, at_means, beyond, centre
from mixedbayes.designs.evaluate import Scope, evaluate, unknown_function
from mixedbayes.designs.functions import CONTRASTS, FUNCTIONS, VALUES
from mixedbayes.designs.levels import Levels, find_levels, texts_of
from mixedbayes.designs.matrices import Recipe, build_matrix
from mixedbayes.designs.rank import dependent_columns
from mixedbayes.designs.response import ResponseValues, read_response, trials_of
from mixedbayes.designs.table import (
    Missing,
    Rows,
    alike,
    finite,
    index_of,
    open_table,
    read_columns,
    stray_notes,
    unknown_columns,
)
from mixedbayes.errors import ArgumentError, DataError, DesignWarning, FormulaError, counted, listed, warn
from mixedbayes.language.expressions import Name, functions_in, text_of
from mixedbayes.language.formula import Formula, GroupTerm
from mixedbayes.language.parse import parse

type Covariance = Literal["full", "diagonal"]

FAR = 5.0
"""Spreads of a predictor, from which on zero lies far outside its values."""

SAME = 1e-6
"""Of the size of a number, up to which two are the same but for rounding."""

ROUNDING = 1e-12
"""Of the size of a column, up to which arithmetic alone sets it apart from a combination of others."""


@dataclass(frozen=True, eq=False, slots=True)
class Fixed:
    """Population-level predictors.

    Attributes:
        columns: Names, the intercept first where there is one.
        X: The matrix, shape (n, p).
        dropped: Columns left out because earlier ones add up to them, and factors with one level.
        centring: What coefficients are at the predictors' means.
        combination: How the columns of X add up to those left out of the recipe's, shape (p, recipe's - p).
        slack: By how much they do not, at most, shape (recipe's - p,).
    """

    columns: tuple[str, ...]
    X: np.ndarray
    dropped: tuple[str, ...]
    recipe: Recipe
    centring: Centring
    combination: np.ndarray
    slack: np.ndarray

    def encode(self, columns: pd.DataFrame, env: Mapping[str, Any]) -> np.ndarray:
        """The same columns from new data, after a warning where those left out are not what they were.

        Nothing says what a column left out does by itself; its coefficient is taken as zero.
        """
        whole = self.recipe.encode(columns, env)
        kept = [self.recipe.columns.index(name) for name in self.columns]
        X = whole[:, kept]
        if len(kept) < whole.shape[1]:
            rest = [j for j in range(whole.shape[1]) if j not in kept]
            bound = SAME * (1 + np.abs(whole[:, rest])) + 10 * self.slack
            apart = np.abs(whole[:, rest] - X @ self.combination) > bound
            if apart.any():
                names = listed(self.recipe.columns[rest[j]] for j in np.flatnonzero(apart.any(axis=0)))
                warn(
                    f"{counted(int(apart.any(axis=1).sum()), 'row')} cannot be told from the data that were fitted, where {names} "
                    "added up from other columns and was left out: its coefficient is taken as zero.",
                    DesignWarning,
                )
        return X

    @property
    def intercept(self) -> int | None:
        """The place of the intercept among the columns; None if there is none."""
        place = self.recipe.intercept
        return None if place is None else self.columns.index(self.recipe.columns[place])

    @property
    def nearly(self) -> tuple[str, ...]:
        """The columns left out to which the others add up only nearly: a small number beside a large one."""
        rest = [name for name in self.recipe.columns if name not in self.columns]
        sizes = np.abs(self.X @ self.combination).max(axis=0, initial=0.0)
        return tuple(
            name for name, slack, size in zip(rest, self.slack, sizes, strict=True) if slack > ROUNDING * size
        )

    @property
    def has_intercept(self) -> bool:
        """Whether there is an intercept, the first column."""
        return self.intercept is not None

    @property
    def slopes(self) -> tuple[str, ...]:
        """Names of the columns but the intercept."""
        return tuple(name for j, name in enumerate(self.columns) if j != self.intercept)


class EncodedBlock(NamedTuple):
    """A block on new data.

    Attributes:
        X: What multiplies its effects, shape (m, q).
        codes: Each row's place in the block's levels, shape (m,); -1, -2, ... for those of `unseen`.
        unseen: Levels that the design does not have, as text.
    """

    X: np.ndarray
    codes: np.ndarray
    unseen: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """One bar term: effects that vary by the levels of a group.

    Attributes:
        name: Unique in the design: the group, or `Subject.2` for a second block on it.
        group: The grouping factor, `batch:cask`.
        columns: Names of the effects, q of them.
        X: What multiplies them, shape (n, q).
        levels: The observed levels, shape (L,), in category or sorted order.
        codes: Each row's place in `levels`, shape (n,).
        covariance: `"full"`, or `"diagonal"` for `||`.
        centring: What effects are at the predictors' means.
    """

    name: str
    group: str
    columns: tuple[str, ...]
    X: np.ndarray
    levels: np.ndarray
    codes: np.ndarray
    covariance: Covariance
    centring: Centring
    recipe: Recipe
    factor: Levels

    @property
    def intercept(self) -> int | None:
        """The place of the intercept among the columns; None if there is none."""
        place = self.recipe.intercept
        return None if place is None else self.columns.index(self.recipe.columns[place])

    @property
    def dropped(self) -> tuple[str, ...]:
        """Columns left out because they are zero in every row."""
        return tuple(name for name in self.recipe.columns if name not in self.columns)

    def encode(self, columns: pd.DataFrame, env: Mapping[str, Any]) -> EncodedBlock:
        """The effects' columns and levels of new data, after a warning where those left out are not zero."""
        whole = self.recipe.encode(columns, env)
        kept = [self.recipe.columns.index(name) for name in self.columns]
        lost = np.delete(whole, kept, axis=1) != 0
        if lost.any():
            names = listed(np.array(self.dropped)[lost.any(axis=0)])
            warn(
                f"{counted(int(lost.any(axis=1).sum()), 'row')} cannot be told from the data that were fitted, where {names} "
                f"of {self.name} was zero and was left out: its effects are taken as zero.",
                DesignWarning,
            )
        return EncodedBlock(whole[:, kept], *self.factor.encode(columns))

    @property
    def has_correlation(self) -> bool:
        """Whether effects are correlated: `|`, and more than one of them."""
        return self.covariance == "full" and len(self.columns) > 1

    def __str__(self) -> str:
        bar = "||" if self.covariance == "diagonal" else "|"
        levels = listed(texts_of(self.levels), 4)
        return f"({', '.join(self.columns)} {bar} {self.name}): {len(self.levels):,} levels ({levels})"


@dataclass(frozen=True, eq=False, slots=True)
class Encoded:
    """Rows by the recipe of a design: matrices only, of m rows.

    Attributes:
        X: Population level, shape (m, p).
        offset: Shape (m,).
        groups: The blocks that were asked for, by name.
        trials: Of the response, shape (m,); None if it has none, or they were not asked for.
        index: What their table calls the rows given, complete or not.
        places: Of the m rows used among the rows given, shape (m,).
        missing: For each column with gaps, how many rows it lacks.
    """

    X: np.ndarray
    offset: np.ndarray
    groups: Mapping[str, EncodedBlock]
    trials: np.ndarray | None
    index: pd.Index
    places: np.ndarray
    missing: Mapping[str, int]

    def __len__(self) -> int:
        """M."""
        return len(self.X)


@dataclass(frozen=True, eq=False, slots=True)
class Design:
    """A formula on data: frozen arrays, over the n rows in which nothing is missing.

    Attributes:
        formula: The parsed formula, `.` replaced by the columns it stood for.
        response: Its name and values.
        fixed: The population level.
        offset: Added to the predictor with coefficient one, shape (n,).
        groups: One block a bar term, in the order written.
        rows: Which rows of the data were kept, and what the others lacked.
        notes: Whatever was left out, or read otherwise than lme4 would, each in a sentence.
        data: The columns used, over the rows kept.
        batches: Rows kept of each table that it was made of; from the first it was learned.
    """

    formula: Formula
    response: ResponseValues
    fixed: Fixed
    offset: np.ndarray
    groups: tuple[Block, ...]
    rows: Rows
    notes: tuple[str, ...]
    data: pd.DataFrame
    env: Mapping[str, Any]
    states: tuple[dict[str, Any], ...]
    batches: tuple[int, ...]

    @property
    def n(self) -> int:
        """Rows in the model."""
        return len(self.rows.kept)

    @property
    def encoded(self) -> Encoded:
        """The design's own rows, as `encode` returns others."""
        groups = {block.name: EncodedBlock(block.X, block.codes, ()) for block in self.groups}
        trials = self.response.trials
        return Encoded(self.fixed.X, self.offset, groups, trials, self.rows.index, np.arange(self.n), {})

    def only(self, rows: np.ndarray) -> "Design":
        """The design over some of its rows, by their places in it: columns and levels stay as they are."""
        return replace(
            self,
            response=self.response.only(rows),
            fixed=replace(self.fixed, X=self.fixed.X[rows]),
            offset=self.offset[rows],
            groups=tuple(replace(block, X=block.X[rows], codes=block.codes[rows]) for block in self.groups),
            rows=replace(self.rows, kept=self.rows.kept[rows], index=self.rows.index[rows]),
            data=self.data.iloc[rows],
        )

    def columns_of(self, blocks: Collection[str], *, trials: bool = False) -> tuple[str, ...]:
        """The columns that the population level and some blocks are made of, and the response's trials if asked."""
        pairs = zip(self.formula.groups, self.groups, strict=True)
        wanted = self.formula.only(term for term, block in pairs if block.name in blocks).names(
            response=False
        )
        wanted += self.formula.response.trial_names if trials else ()
        return tuple(name for name in dict.fromkeys(wanted) if name in self.data)

    def encode(
        self,
        data: Any,
        missing: Missing = "drop",
        *,
        groups: Collection[str] | None = None,
        trials: bool = False,
    ) -> Encoded:
        """New data by the same recipe: the states of `poly`, `scale` and splines, and the levels, learned here.

        Args:
            data: A table with the predictors and groups; it needs no response, and no complete row.
            missing: As in `design`.
            groups: Names of the blocks wanted; columns of others are not asked for. None for all.
            trials: Whether those of the response are wanted.

        Raises:
            DataError: A column is not there, or a population-level factor has a new level.
        """
        table = open_table(data, may_be_empty=True)
        names = [block.name for block in self.groups] if groups is None else groups
        needed = self.columns_of(names, trials=trials)
        absent = [name for name in needed if name not in table.columns]
        if absent:
            raise unknown_columns(absent, table.columns, ())
        columns, rows = read_columns(table, needed, missing, may_be_empty=True)
        if not len(rows.kept):
            nothing = self.only(np.arange(0)).encoded
            return replace(
                nothing,
                groups={name: nothing.groups[name] for name in names},
                trials=nothing.trials if trials else None,
                index=index_of(table),
                missing=rows.missing,
            )
        columns = alike(columns, self.data)
        encoded = {
            block.name: block.encode(columns, self.env) for block in self.groups if block.name in names
        }
        return Encoded(
            X=self.fixed.encode(columns, self.env),
            offset=build_offset(self.formula, columns, self.env, self.states),
            groups=encoded,
            trials=trials_of(self.formula.response, columns, self.env) if trials else None,
            index=index_of(table),
            places=rows.kept,
            missing=rows.missing,
        )

    def __str__(self) -> str:
        lines = [f"Formula: {self.formula}", f"Rows: {self.rows}", f"Response: {self.response}"]
        lines += [f"Fixed: {self.n:,} x {len(self.fixed.columns)} ({listed(self.fixed.columns, 12)})"]
        lines += [f"Group: {block}" for block in self.groups]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    __repr__ = __str__


@np.errstate(over="ignore", invalid="ignore")  # what is too large to compute with is refused, in a sentence
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
    check_functions(parsed, env)
    columns, rows = read_columns(table, column_names(parsed, table.columns, env), missing)
    response = read_response(parsed.response, columns, env)
    fixed = build_fixed(parsed, columns, env)
    groups = build_blocks(parsed.groups, columns, env)
    states: tuple[dict[str, Any], ...] = tuple({} for _ in parsed.offsets)
    offset = build_offset(parsed, columns, env, states)
    plain = [each.name for each in parsed.expressions(response=False) if isinstance(each, Name)]
    notes = (
        *row_notes(rows),
        *stray_notes(columns, plain),
        *column_notes([name for name in fixed.dropped if name not in fixed.nearly]),
        *near_notes(fixed.nearly),
        *(note for block in groups for note in column_notes(block.recipe.empty, f" of {block.name}")),
        *(note for block in groups for note in zero_notes(block)),
        *(note for term, block in zip(parsed.groups, groups, strict=True) for note in bar_notes(term, block)),
        *independence_notes(groups),
    )
    batches = (len(rows.kept),)
    return Design(parsed, response, fixed, offset, groups, rows, notes, columns, env, states, batches)


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
    numbers = [name for name in unknown if re.fullmatch(r"\d+(\.\d*)?[eE]\d+", name)]
    if numbers:
        raise FormulaError(
            f"{numbers[0]} is a number, which is no term; multiply and add in I(...), as I(2 * x)."
        )
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
    dependent = dependent_columns(moved)
    kept = [j for j in range(X.shape[1]) if j not in dependent]
    combination, slack = np.zeros((len(kept), 0)), np.zeros(0)
    if dependent:
        combination = np.linalg.lstsq(X[:, kept], X[:, dependent], rcond=None)[0]
        slack = np.abs(X[:, dependent] - X[:, kept] @ combination).max(axis=0)
        as_written, X = X, X[:, kept]
        moved = X if moved is as_written else moved[:, kept]
        X.flags.writeable = False
    names = recipe.columns
    dropped = (*recipe.empty, *(names[j] for j in dependent))
    centring = centre(X, moved, None if recipe.intercept is None else kept.index(recipe.intercept))
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
            X, moved = X[:, kept], moved[:, kept]
            X.flags.writeable = False
        place = None if recipe.intercept is None else kept.index(recipe.intercept)
        if moved is not X and dependent_columns(moved):
            moved = X
        centring = centre(X, moved, place)
        names = tuple(recipe.columns[j] for j in kept)
        blocks.append(
            Block(name, group, names, X, levels.labels, codes, covariance, centring, recipe, levels)
        )
    return tuple(blocks)


def build_offset(
    formula: Formula, columns: pd.DataFrame, env: Mapping[str, Any], states: Sequence[dict[str, Any]]
) -> np.ndarray:
    """The sum of the offsets, shape (n,)."""
    total = np.zeros(len(columns))
    for expression, state in zip(formula.offsets, states, strict=True):
        value = evaluate(expression, Scope(columns, env, state))
        try:
            values = np.broadcast_to(np.asarray(value, dtype=float), total.shape)
        except (TypeError, ValueError):
            raise DataError(f"offset({text_of(expression)}) is not a number for each row.") from None
        total += finite(values, columns.index, f"offset({text_of(expression)})")
    total.flags.writeable = False
    return total


def row_notes(rows: Rows) -> tuple[str, ...]:
    """What to say of rows left out."""
    return (str(rows)[0].upper() + str(rows)[1:] + ".",) if rows.dropped else ()


def column_notes(dropped: Sequence[str], where: str = "") -> tuple[str, ...]:
    """What to say of columns left out."""
    if not dropped:
        return ()
    these, are = ("Column", "is a linear combination")
    if len(dropped) > 1:
        these, are = ("Columns", "are linear combinations")
    return (f"{these} {listed(dropped)}{where} {are} of the others and left out.",)


def near_notes(columns: Sequence[str]) -> tuple[str, ...]:
    """What to say of columns left out because they vary too little for their size."""
    return tuple(
        f"Column {name} differs from a linear combination of the others by less than a ten-millionth of its size and is left "
        "out, as in R; less that combination it stays."
        for name in columns
    )


def zero_notes(block: Block) -> tuple[str, ...]:
    """What to say of effects left out."""
    if not block.dropped:
        return ()
    these, are = ("Column", "is") if len(block.dropped) == 1 else ("Columns", "are")
    return (f"{these} {listed(block.dropped)} of {block.name} {are} zero in every row and left out.",)


def bar_notes(term: GroupTerm, block: Block) -> tuple[str, ...]:
    """What to say where lme4 reads `||` otherwise: it leaves the effects of a factor correlated."""
    factors = block.recipe.factors
    if term.correlated or not factors:
        return ()
    return (
        f"{term!r}: all effects are independent, those of the factor {listed(factors)} too; lme4 would leave these correlated.",
    )


def independence_notes(groups: Sequence[Block]) -> tuple[str, ...]:
    """What to say where a group's intercept and slopes are independent at a zero that is far from the data."""
    notes = []
    for block in groups:
        if block.intercept is None:
            continue
        for name, x in independent_of(block, groups):
            if beyond(x) > FAR:
                notes.append(
                    f"In {block.group}, the intercept and the effect of {name} are independent where {name} is 0, far from its values "
                    f"({x.min():.6g} to {x.max():.6g}): write (1 + {name} | {block.group}), or take the mean {x.mean():.6g} off {name} first."
                )
    return tuple(notes)


def independent_of(block: Block, groups: Sequence[Block]) -> list[tuple[str, np.ndarray]]:
    """The effects that are declared independent of a block's intercept: its own by `||`, and those of `(0 + x | g)` beside it."""
    return [
        (name, x)
        for other in groups
        if other.group == block.group
        and ((other is block and block.covariance == "diagonal") or other.intercept is None)
        for j, (name, x) in enumerate(zip(other.columns, other.X.T, strict=True))
        if j != other.intercept
    ]
