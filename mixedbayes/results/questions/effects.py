"""Predictions over the values of a predictor, and their contrasts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import comb, prod
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.arguments import is_number, names_of, one_of
from mixedbayes.designs.levels import texts_of
from mixedbayes.errors import ArgumentError, listed, shown
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.summary import check_table
from mixedbayes.results.questions.grid import Grid, check_size, full_grid
from mixedbayes.results.questions.predictors import chosen, given, is_numeric
from mixedbayes.results.questions.question import Over, Question, Setting
from mixedbayes.results.rows.block_draws import NewLevels
from mixedbayes.results.rows.predict import Kind
from mixedbayes.results.rows.predictor import Groups

type Comparison = Literal["difference", "ratio"]
type Pairs = Sequence[tuple[Any, Any]] | None


def effects(  # noqa: PLR0913, PLR0917  # options that users pass by name
    fit: Fitted,
    x: str,
    by: str | Sequence[str] | None = None,
    over: Over = "reference",
    at: Mapping[str, Any] | None = None,
    kind: Kind = "mean",
    groups: Groups | Literal["auto"] = "auto",
    new_levels: NewLevels = "sample",
    conf_level: float = 0.95,
    draws: bool = False,
    seed: int | None = None,
    parameter: str | None = None,
) -> pd.DataFrame | xr.DataArray:
    """Predictions over the values of a predictor, by those of others.

    Args:
        x: The predictor: all its levels, the numbers that occur if they are few, else 25 over their range.
        by: Others, for each of whose levels to predict; of numbers with many values for the mean, and a
            standard deviation below and above it.
        over: What the other predictors are: `"reference"`, numbers at their means and factors at their first
            levels; `"data"`, as they are in each row of the data, over which predictions are averaged.
        at: Values to use for some predictors: a list for x and by, one value for any other. For responses
            also of the number of trials, which is else its mean.
        kind: `"mean"`, `"linear"` or `"response"`, as in `predict`.
        groups: Which group effects take part: `"auto"` for those of groups that are among x, by and at; else
            as in `predict`. A number that groups rows takes the values that occur.
        new_levels: As in `predict`.
        conf_level: Mass of the equal-tailed interval.
        draws: All draws in place of their summaries.
        seed: The same seed gives the same new levels and responses.
        parameter: A parameter of the family, `"sigma"`, as in `predict`; None for the mean of the response.

    Returns:
        Columns x, by, estimate, std_error, conf_low, conf_high. With `draws`, an array with dims chain, draw,
        x, by.

    Raises:
        ArgumentError: A predictor that the model does not have, or an unknown option.
        DataError: A value that the model has not learned.
    """
    check_table(conf_level, draws=draws)
    several = names_of("by", by, "a column")
    asked = Setting(fit, x, several, chosen(at), over, kind, groups, new_levels, seed, parameter)
    found = asked.question([x, *asked.by], moved={x, *asked.by, *asked.at}).grid()
    return found.array(kind) if draws else found.table(conf_level)


def contrasts(  # noqa: PLR0913, PLR0917  # options that users pass by name
    fit: Fitted,
    x: str,
    by: str | Sequence[str] | None = None,
    pairs: Pairs = None,
    compare: Comparison = "difference",
    over: Over = "reference",
    at: Mapping[str, Any] | None = None,
    kind: Kind = "mean",
    groups: Groups | Literal["auto"] = "auto",
    new_levels: NewLevels = "sample",
    conf_level: float = 0.95,
    draws: bool = False,
    seed: int | None = None,
    parameter: str | None = None,
) -> pd.DataFrame | xr.DataArray:
    """Predictions at pairs of values of a predictor, one less or over the other.

    Args:
        x: The predictor.
        by: As in `effects`: pairs are compared within each of its levels.
        pairs: `[("b", "a")]` is b less a; None for every later value less every earlier one. Of a number any
            values can be paired.
        compare: `"difference"` or `"ratio"`, of predictions after averaging; NaN where a draw has no ratio.
        over: As in `effects`.
        at: As in `effects`; `{x: [...]}` for the values to compare.
        kind: The scale, `"mean"` (of the response) or `"linear"` (of the link); or `"response"`.
        groups: As in `effects`.
        new_levels: As in `predict`.
        conf_level: Mass of the equal-tailed interval.
        draws: All draws in place of their summaries.
        seed: The same seed gives the same new levels and responses.
        parameter: A parameter of the family, `"sigma"`, as in `predict`; None for the mean of the response.

    Returns:
        Columns contrast (`b - a`, `b / a`), by, estimate, std_error, conf_low, conf_high.

    Raises:
        ArgumentError: A predictor or a value that is not there, or an unknown option.
    """
    check_table(conf_level, draws=draws)
    one_of("compare", compare, ("difference", "ratio"))
    several = names_of("by", by, "a column")
    asked = Setting(fit, x, several, chosen(at), over, kind, groups, new_levels, seed, parameter)
    if pairs is not None:
        check_pairs(pairs)
        asked = _at_pairs(asked, pairs)
    question = asked.question([x, *asked.by], moved={x, *asked.by, *asked.at}, own=("contrast",))
    found = compared(question, pairs, compare)
    return found.array(compare) if draws else found.table(conf_level)


def _at_pairs(asked: Setting, pairs: Sequence[tuple[Any, Any]]) -> Setting:
    """A number at the values that are paired, unless others were chosen."""
    x = asked.x
    if x in asked.at or x in asked.trials or not is_numeric(asked.fit.spec, x):
        return asked
    values = given(x, list(dict.fromkeys(value for pair in pairs for value in pair)))
    return replace(asked, at={**asked.at, x: values})


def check_pairs(pairs: Any) -> None:
    """Refuse what is no list of pairs of values.

    Raises:
        ArgumentError: It shows how one is written.
    """
    if isinstance(pairs, str) or not isinstance(pairs, Sequence):
        raise ArgumentError(f"pairs is a list of pairs of values, [('b', 'a')], not {shown(pairs)}.")
    if not pairs:
        raise ArgumentError("pairs is empty: give one or more, [('b', 'a')], or leave it out for all.")
    for pair in pairs:
        whole = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
        if not whole or not all(map(pd.api.types.is_scalar, pair)):
            raise ArgumentError(f"pairs is a list of pairs of values, [('b', 'a')]; {pair!r} is no pair.")


def compared(question: Question, pairs: Pairs, compare: Comparison) -> Grid:
    """Pairs of values of the first focal predictor, one less (or over) the other, in each cell of the others.

    Raises:
        ArgumentError: Nothing to compare, or a pair of values that are not there.
    """
    name, *others = question.focal
    levels = list(question.focal[name])
    if len(levels) == 1:
        raise ArgumentError(f"{name} has one value here, {levels[0]!r}; a contrast takes two.")
    for level in (level for pair in pairs or () for level in pair):
        if level not in levels:
            raise ArgumentError(
                f"{name} has no value {level!r} here; it has {listed(map(repr, levels), 20)}."
            )
    cells = prod(len(question.focal[other]) for other in others)
    check_size((comb(len(levels), 2) if pairs is None else len(pairs)) * cells, question.predictor.S)
    wanted = [(b, a) for a, b in combinations(levels, 2)] if pairs is None else pairs
    values = question.grid().values.reshape(len(levels), -1, question.predictor.S)  # noqa: PD011
    texts = dict(zip(levels, _texts(levels), strict=True))
    sign = "-" if compare == "difference" else "/"
    labels = [f"{texts[b]} {sign} {texts[a]}" for b, a in wanted]
    places = {level: i for i, level in enumerate(levels)}
    ends = ([places[pair[i]] for pair in wanted] for i in (0, 1))
    one, other = (values[end] for end in ends)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = one - other if compare == "difference" else one / other
    focal = {"contrast": labels} | {other: question.focal[other] for other in others}
    return full_grid(focal, found.reshape(-1, question.predictor.S), question.predictor)


def _texts(levels: list[Any]) -> list[str]:
    """Values as they are written; numbers to four digits, or as many as tell them apart."""
    if not all(map(is_number, levels)):
        return texts_of(pd.Index(levels).to_numpy())
    texts: list[str] = []
    for digits in range(4, 18):
        texts = [_number(float(level), digits) for level in levels]
        if len(set(map(float, texts))) == len(set(levels)):
            break
    return texts


def _number(value: float, digits: int) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.{digits}g}"
