"""The design IR: what a formula comes to on data, as frozen arrays with names; no priors, no PyMC.

    Formula × table -> Design(response, fixed, offset, groups, rows)

`build.py` makes one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mixedbayes.designs.centring import Centring
from mixedbayes.designs.columns import alike
from mixedbayes.designs.levels import Levels, texts_of
from mixedbayes.designs.matrices import Recipe
from mixedbayes.designs.offset import build_offset
from mixedbayes.designs.response import ResponseValues, additions_of
from mixedbayes.designs.table import Missing, Rows, index_of, open_table, read_columns, unknown_columns
from mixedbayes.errors import DesignWarning, counted, listed, warn
from mixedbayes.language.formula import MEAN, Formula, GroupTerm, Side

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


@dataclass(frozen=True, eq=False, slots=True)
class Linear:
    """The predictor of a parameter beside the mean, but for its groups.

    Attributes:
        fixed: The population level.
        offset: Added to the predictor with coefficient one, shape (n,).
        states: What stateful functions of its offsets learned.
    """

    fixed: Fixed
    offset: np.ndarray
    states: tuple[dict[str, Any], ...]

    def only(self, rows: np.ndarray) -> "Linear":
        """Over some of the rows, by their places."""
        return replace(self, fixed=replace(self.fixed, X=self.fixed.X[rows]), offset=self.offset[rows])

    def encode(self, side: Side, columns: pd.DataFrame, env: Mapping[str, Any]) -> "EncodedLinear":
        """The same of new data; `side` is what the formula says of it."""
        offset = build_offset(side.offsets, columns, env, self.states)
        return EncodedLinear(self.fixed.encode(columns, env), offset)


class EncodedLinear(NamedTuple):
    """A predictor on new data, but for its groups.

    Attributes:
        X: Population level, shape (m, p).
        offset: Shape (m,).
    """

    X: np.ndarray
    offset: np.ndarray


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
class Part:
    """The effects of a block that one predictor takes.

    Attributes:
        parameter: Whose predictor that is, `"mu"` or `"sigma"`.
        term: The bar term that they are of; several under one label make one.
        columns: Names of the effects.
        recipe: What makes their columns, and those that are left out.
    """

    parameter: str
    term: GroupTerm
    columns: tuple[str, ...]
    recipe: Recipe

    @property
    def intercept(self) -> int | None:
        """The place of the intercept among the columns; None if there is none."""
        place = self.recipe.intercept
        return None if place is None else self.columns.index(self.recipe.columns[place])

    @property
    def dropped(self) -> tuple[str, ...]:
        """Columns left out because they are zero in every row."""
        return tuple(name for name in self.recipe.columns if name not in self.columns)

    def encode(self, columns: pd.DataFrame, env: Mapping[str, Any], where: str) -> np.ndarray:
        """The effects' columns of new data, after a warning where those left out are not zero; `where` is the block in words."""
        whole = self.recipe.encode(columns, env)
        kept = [self.recipe.columns.index(name) for name in self.columns]
        lost = np.delete(whole, kept, axis=1) != 0
        if lost.any():
            names = listed(np.array(self.dropped)[lost.any(axis=0)])
            warn(
                f"{counted(int(lost.any(axis=1).sum()), 'row')} cannot be told from the data that were fitted, where {names} "
                f"of {where} was zero and was left out: its effects are taken as zero.",
                DesignWarning,
            )
        return whole[:, kept]


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Effects that vary by the levels of a group: those of one bar term, or of all that share a label.

    Attributes:
        name: Unique in the design: the group, or `Subject.2` for a second block on it; of another parameter than the
            mean `sigma.Subject`.
        group: The grouping factor, `batch:cask`.
        columns: Names of the effects, q of them; in a block of several predictors each has that of its own before it,
            `sigma.Intercept`.
        X: What multiplies them, shape (n, q).
        levels: The observed levels, shape (L,), in category or sorted order.
        codes: Each row's place in `levels`, shape (n,).
        covariance: The name of the structure that the formula asks for: `"full"`, or `"diagonal"` for `||`.
        centring: What effects are at the predictors' means; those of each predictor by themselves.
        label: Its name in addresses, where another word says of which parameter it is.
        parts: The effects by the predictor that takes them, in the order of the columns.
    """

    name: str
    group: str
    columns: tuple[str, ...]
    X: np.ndarray
    levels: np.ndarray
    codes: np.ndarray
    covariance: str
    centring: Centring
    factor: Levels
    label: str
    parts: tuple[Part, ...]

    @property
    def parameter(self) -> str:
        """The parameter whose predictor takes all effects; the mean where there are several, for which columns speak."""
        return self.parts[0].parameter if len(self.parts) == 1 else MEAN

    @property
    def predictors(self) -> tuple[str, ...]:
        """For each effect the parameter whose predictor it is part of."""
        return tuple(part.parameter for part in self.parts for _ in part.columns)

    @property
    def terms(self) -> tuple[str, ...]:
        """For each effect its name in its own predictor."""
        return tuple(name for part in self.parts for name in part.columns)

    @property
    def intercepts(self) -> tuple[int, ...]:
        """The places of intercepts among the columns, one for each predictor that has one."""
        starts = np.cumsum([0, *(len(part.columns) for part in self.parts)]).tolist()
        pairs = zip(starts, self.parts, strict=False)
        return tuple(start + part.intercept for start, part in pairs if part.intercept is not None)

    def places(self, parameter: str) -> list[int]:
        """The places among the columns of the effects that a predictor takes."""
        return [j for j, name in enumerate(self.predictors) if name == parameter]

    def encode(self, columns: pd.DataFrame, env: Mapping[str, Any]) -> EncodedBlock:
        """The effects' columns and levels of new data, after a warning where those left out are not zero."""
        where = f"{self.label}{self.whose}"
        X = [part.encode(columns, env, where) for part in self.parts]
        return EncodedBlock(X[0] if len(X) == 1 else np.hstack(X), *self.factor.encode(columns))

    @property
    def whose(self) -> str:
        """What stands after its label where words say whose it is: ` of sigma`; nothing of the mean's."""
        return "" if self.parameter == MEAN else f" of {self.parameter}"

    def __str__(self) -> str:
        bar = "||" if self.covariance == "diagonal" else "|"
        levels = listed(texts_of(self.levels), 4)
        return f"({', '.join(self.columns)} {bar} {self.label}){self.whose}: {len(self.levels):,} levels ({levels})"


@dataclass(frozen=True, eq=False, slots=True)
class Encoded:
    """Rows by the recipe of a design: matrices only, of m rows.

    Attributes:
        X: Population level, shape (m, p).
        offset: Shape (m,).
        groups: The blocks that were asked for, by name.
        additions: Of those of the response that were asked for the numbers, shape (m,), by name.
        index: What their table calls the rows given, complete or not.
        places: Of the m rows used among the rows given, shape (m,).
        missing: For each column with gaps, how many rows it lacks.
        predictors: Of the parameters beside the mean that were asked for, by name.
    """

    X: np.ndarray
    offset: np.ndarray
    groups: Mapping[str, EncodedBlock]
    additions: Mapping[str, np.ndarray]
    index: pd.Index
    places: np.ndarray
    missing: Mapping[str, int]
    predictors: Mapping[str, EncodedLinear] = field(default_factory=dict)

    @property
    def trials(self) -> np.ndarray | None:
        """The number of trials of each row, shape (m,); None if the response has none, or they were not asked for."""
        return self.additions.get("trials")

    @property
    def linears(self) -> Mapping[str, EncodedLinear]:
        """Of each parameter that has a predictor what that is made of but for its groups; the mean's comes first."""
        return {MEAN: EncodedLinear(self.X, self.offset), **self.predictors}

    def __len__(self) -> int:
        """The number m of rows."""
        return len(self.X)

    def part(self, at: slice) -> "Encoded":
        """Some of the m rows; their index stays that of all."""
        return replace(
            self,
            X=self.X[at],
            offset=self.offset[at],
            groups={
                name: EncodedBlock(X[at], codes[at], unseen)
                for name, (X, codes, unseen) in self.groups.items()
            },
            additions={name: values[at] for name, values in self.additions.items()},
            places=self.places[at],
            predictors={
                name: EncodedLinear(X[at], offset[at]) for name, (X, offset) in self.predictors.items()
            },
        )


@dataclass(frozen=True, eq=False, slots=True)
class Design:
    """A formula on data: frozen arrays, over the n rows in which nothing is missing.

    Attributes:
        formula: The parsed formula, `.` replaced by the columns it stood for.
        response: Its name and values.
        fixed: The population level.
        offset: Added to the predictor with coefficient one, shape (n,).
        groups: One block a bar term, or label, in the order written.
        rows: Which rows of the data were kept, and what the others lacked.
        remarks: What of columns was left out, or read otherwise than lme4 would, each in a sentence.
        data: The columns used, over the rows kept.
        batches: Rows kept of each table that it was made of; from the first it was learned.
        predictors: Of parameters beside the mean, whose own are `fixed` and `offset`, by name; their groups are blocks
            like all others.
    """

    formula: Formula
    response: ResponseValues
    fixed: Fixed
    offset: np.ndarray
    groups: tuple[Block, ...]
    rows: Rows
    remarks: tuple[str, ...]
    data: pd.DataFrame
    env: Mapping[str, Any]
    states: tuple[dict[str, Any], ...]
    batches: tuple[int, ...]
    predictors: Mapping[str, Linear] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Rows in the model."""
        return len(self.rows.kept)

    @property
    def linears(self) -> Mapping[str, Linear]:
        """Of each parameter that has a predictor what that is made of but for its groups; the mean's comes first."""
        return {MEAN: Linear(self.fixed, self.offset, self.states), **self.predictors}

    @property
    def notes(self) -> tuple[str, ...]:
        """Whatever was left out, rows first, or read otherwise than lme4 would, each in a sentence."""
        return (*self.rows.notes, *self.remarks)

    @property
    def encoded(self) -> Encoded:
        """The design's own rows, as `encode` returns others."""
        groups = {block.name: EncodedBlock(block.X, block.codes, ()) for block in self.groups}
        return Encoded(
            X=self.fixed.X,
            offset=self.offset,
            groups=groups,
            additions=self.response.additions,
            index=self.rows.index,
            places=np.arange(self.n),
            missing={},
            predictors={
                name: EncodedLinear(linear.fixed.X, linear.offset) for name, linear in self.predictors.items()
            },
        )

    def only(self, rows: np.ndarray) -> "Design":
        """The design over some of its rows, by their places in it: columns and levels stay as they are."""
        of_batch = np.searchsorted(np.cumsum(self.batches), rows, side="right")
        return replace(
            self,
            response=self.response.only(rows),
            fixed=replace(self.fixed, X=self.fixed.X[rows]),
            offset=self.offset[rows],
            groups=tuple(replace(block, X=block.X[rows], codes=block.codes[rows]) for block in self.groups),
            rows=self.rows.only(rows),
            data=self.data.iloc[rows],
            batches=tuple(np.bincount(of_batch, minlength=len(self.batches)).tolist()),
            predictors={name: linear.only(rows) for name, linear in self.predictors.items()},
        )

    def columns_of(
        self,
        blocks: Collection[str],
        *,
        additions: Collection[str] = (),
        parameters: Collection[str] | None = None,
    ) -> tuple[str, ...]:
        """The columns that predictors, some blocks and some of the response's additions are made of.

        Args:
            blocks: Names of blocks.
            additions: Names of additions.
            parameters: Names of parameters beside the mean, whose own are always wanted; None for all.
        """
        parts = [part for block in self.groups if block.name in blocks for part in block.parts]
        wanted: list[str] = []
        for name, side in self.formula.sides.items():
            if name == MEAN or parameters is None or name in parameters:
                wanted += side.only(part.term for part in parts if part.parameter == name).names
        wanted += self.formula.response.names_of(additions)
        return tuple(name for name in dict.fromkeys(wanted) if name in self.data)

    def encode(
        self,
        data: Any,
        missing: Missing = "drop",
        *,
        groups: Collection[str] | None = None,
        additions: Collection[str] = (),
        parameters: Collection[str] | None = None,
    ) -> Encoded:
        """New data by the same recipe: the states of `poly`, `scale` and splines, and the levels, learned here.

        Args:
            data: A table with the predictors and groups; it needs no response, and no complete row.
            missing: As in `design`.
            groups: Names of the blocks wanted; columns of others are not asked for. None for all.
            additions: Names of the response's additions wanted, as `("trials",)`; those that it has not are left out.
            parameters: Names of the parameters beside the mean whose predictors are wanted; None for all.

        Raises:
            DataError: A column is not there, or a population-level factor has a new level.
        """
        table = open_table(data, may_be_empty=True)
        others = tuple(self.predictors) if parameters is None else parameters
        names = [
            block.name
            for block in self.groups
            if any(part.parameter == MEAN or part.parameter in others for part in block.parts)
            and (groups is None or block.name in groups)
        ]
        needed = self.columns_of(names, additions=additions, parameters=others)
        absent = [name for name in needed if name not in table.columns]
        if absent:
            raise unknown_columns(absent, table.columns, ())
        columns, rows = read_columns(table, needed, missing, may_be_empty=True)
        if len(rows.kept):
            encoded = self.encode_columns(alike(columns, self.data), names, additions, others)
        else:
            encoded = self._nothing(names, additions, others)
        return replace(encoded, index=index_of(table), places=rows.kept, missing=rows.missing)

    def encode_columns(
        self,
        columns: pd.DataFrame,
        groups: Collection[str],
        additions: Collection[str],
        parameters: Collection[str],
    ) -> Encoded:
        """The same of columns that were read already, in the kinds of those learned from, with a value in every row."""
        return Encoded(
            X=self.fixed.encode(columns, self.env),
            offset=build_offset(self.formula.offsets, columns, self.env, self.states),
            groups={
                block.name: block.encode(columns, self.env) for block in self.groups if block.name in groups
            },
            additions=additions_of(self.formula.response, columns, self.env, additions),
            index=columns.index,
            places=np.arange(len(columns)),
            missing={},
            predictors={
                name: linear.encode(self.formula.predictors[name], columns, self.env)
                for name, linear in self.predictors.items()
                if name in parameters
            },
        )

    def _nothing(
        self, groups: Collection[str], additions: Collection[str], parameters: Collection[str]
    ) -> Encoded:
        """Of no row, for which not even a factor can be coded."""
        none = self.only(np.arange(0)).encoded
        return replace(
            none,
            groups={name: none.groups[name] for name in groups},
            additions={name: values for name, values in none.additions.items() if name in additions},
            predictors={name: linear for name, linear in none.predictors.items() if name in parameters},
        )

    def __str__(self) -> str:
        lines = [f"Formula: {self.formula}", f"Rows: {self.rows}", f"Response: {self.response}"]
        lines += [f"Fixed: {self.n:,} x {len(self.fixed.columns)} ({listed(self.fixed.columns, 12)})"]
        for name, linear in self.predictors.items():
            columns = linear.fixed.columns
            lines += [f"Fixed of {name}: {self.n:,} x {len(columns)} ({listed(columns, 12)})"]
        lines += [f"Group: {block}" for block in self.groups]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    __repr__ = __str__
