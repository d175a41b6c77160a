"""What a verb on predictors asks: the grid of its focal predictors' values, and the rows that these are put into.

    focal predictors × (reference row | all rows) -> draws of each cell of the grid

Every number is computed for each draw and then summarised.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedbayes.arguments import name_of, one_of
from mixedbayes.errors import ArgumentError
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.questions.grid import Grid, check_names, check_size, full_grid
from mixedbayes.results.questions.predictors import (
    addition_columns,
    blocks_of,
    check_predictors,
    grouping_columns,
    one,
    predictors,
    reference_row,
    values_of,
)
from mixedbayes.results.rows.block_draws import NewLevels
from mixedbayes.results.rows.predict import KINDS, Kind, checked_parameter, encode, of_parameter, predictions
from mixedbayes.results.rows.predictor import Groups, Predictor, predictor_of
from mixedbayes.work import Work, somebody_watches

type Over = Literal["reference", "data"]
type OfFrame = Callable[[pd.DataFrame], Iterator[np.ndarray]]


@dataclass(frozen=True, eq=False)
class Question:
    """What a grid is to be of.

    Attributes:
        predictor: The draws, with the effects of the groups that take part.
        focal: The values of each focal predictor.
        base: The rows that the focal predictors' values are put into: one reference row, or the data.
        kind: What is predicted.
        parameter: Of the family, in place of the mean of the response; None for that.
    """

    predictor: Predictor
    focal: Mapping[str, Sequence[Any]]
    base: pd.DataFrame
    kind: Kind
    parameter: str | None = None

    def grid(self, of: OfFrame | None = None) -> Grid:
        """Numbers for each cell, averaged over the rows of the base.

        Args:
            of: Rows -> their numbers over all draws, piece by piece; None for predictions.

        Raises:
            ArgumentError: There are too many cells to hold.
        """
        check_size(prod(map(len, self.focal.values())), self.predictor.S)
        of = self.predictions if of is None else of
        cells = list(product(*self.focal.values()))
        if len(self.base) == 1:  # the cells are the rows
            frame = self.base.loc[np.zeros(len(cells), dtype=int)].reset_index(drop=True)
            frame = frame.assign(**{name: [cell[i] for cell in cells] for i, name in enumerate(self.focal)})
            return full_grid(self.focal, np.concatenate(list(of(frame))), self.predictor)

        def average(cell: tuple[Any, ...]) -> np.ndarray:
            values = dict(zip(self.focal, cell, strict=True))
            frame = self.base.assign(**{name: [value] * len(self.base) for name, value in values.items()})
            return np.asarray(sum(piece.sum(axis=0) for piece in of(frame)) / len(frame))

        found = np.empty((len(cells), self.predictor.S))
        with Work(watched=somebody_watches()) as work:
            for i, mean in enumerate(work.each("Averaging over the data", average, cells)):
                found[i] = mean
        return full_grid(self.focal, found, self.predictor)

    def predictions(self, frame: pd.DataFrame) -> Iterator[np.ndarray]:
        """Predictions for the rows of a frame, piece by piece."""
        rows = encode(self.predictor, frame, noise=self.kind == "response", missing="error")
        if self.parameter is None:
            found = predictions(self.predictor, rows, self.kind)
        else:
            found = of_parameter(self.predictor, rows, self.kind, self.parameter)
        for _, values in found.pieces("Predicting"):
            yield values


@dataclass(frozen=True, eq=False)
class Setting:
    """The options that all verbs on predictors share, checked.

    Attributes:
        fit: What is asked.
        x: The predictor that is asked for.
        by: Those that it is asked for by.
        at: The values that the caller chose, by predictor.
        over: Whether other predictors are at a reference row, or as they are in each row of the data.
        kind: What is predicted.
        groups: Which group effects take part.
        new_levels: What the effects of levels are that the fit has not seen.
        seed: Of these, and of responses.
        parameter: Of the family, in place of the mean of the response; None for that.

    Raises:
        ArgumentError: A predictor that the model does not have, or an unknown option.
    """

    fit: Fitted
    x: str
    by: Sequence[str]
    at: Mapping[str, Sequence[Any]]
    over: Over
    kind: Kind
    groups: Groups | Literal["auto"]
    new_levels: NewLevels
    seed: int | None
    parameter: str | None = None

    def __post_init__(self) -> None:
        name_of("x", self.x, "one predictor")
        one_of("kind", self.kind, KINDS)
        checked_parameter(self.fit, self.parameter, self.kind)
        known = dict.fromkeys([*predictors(self.fit.spec), *self.beside])
        check_predictors([self.x, *self.by, *self.at], known)
        one_of("over", self.over, ("reference", "data"))

    @property
    def beside(self) -> tuple[str, ...]:
        """Columns of what stands beside a response and its noise depends on, where that counts: trials, standard errors."""
        return addition_columns(self.fit.spec) if self.kind == "response" else ()

    @property
    def trials(self) -> tuple[str, ...]:
        """Those that hold counts."""
        return addition_columns(self.fit.spec, "count") if self.kind == "response" else ()

    def question(self, focal: Sequence[str], moved: Collection[str], own: Sequence[str] = ()) -> Question:
        """The values and rows that a verb is about; predictors of `at` that are not focal are held at its values.

        Args:
            focal: The predictors whose values the grid is of.
            moved: Those whose groups take part, where that is for us to say.
            own: Names in the result of the verb.

        Raises:
            ArgumentError: A predictor stands twice, changes nothing here, or is named as a part of the result.
        """
        check_names(focal, own)
        spec, design = self.fit.spec, self.fit.spec.design
        auto = isinstance(self.groups, str) and self.groups == "auto"
        groups = blocks_of(spec, moved) if auto else self.groups
        predictor = predictor_of(self.fit, groups, self.new_levels, self.seed)
        columns = design.columns_of(
            predictor.blocks, additions=spec.family.additions if self.kind == "response" else ()
        )
        held = {name: one(name, values) for name, values in self.at.items() if name not in focal}
        _check_held(held, columns)
        grouping = grouping_columns(spec, predictor.blocks)
        values = {name: self._values_of(name, {*grouping, *self.trials}) for name in focal}
        data = design.data[[*dict.fromkeys([*columns, *focal, self.x])]]
        base = data if self.over == "data" else reference_row(spec, data, grouping, self.trials)
        base = base.assign(**{name: [value] * len(base) for name, value in held.items()})
        return Question(predictor, values, base.reset_index(drop=True), self.kind, self.parameter)

    def _values_of(self, name: str, observed: Collection[str]) -> Sequence[Any]:
        if name in self.at:
            return self.at[name]
        return values_of(self.fit.spec, name, int(name != self.x), observed)


def _check_held(held: Collection[str], columns: Collection[str]) -> None:
    """Refuse values of what changes nothing.

    Raises:
        ArgumentError: It says which.
    """
    for name in held:
        if name not in columns:
            raise ArgumentError(
                f"at has {name!r}, which changes nothing here: it only groups rows, and effects of its groups take no part. "
                "Leave it out, or have them take part with groups=."
            )
