"""The response of a formula on data: numbers, with what they count or which level they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.designs.evaluate import Scope, evaluate
from mixedbayes.designs.table import finite, strays
from mixedbayes.errors import DataError, listed
from mixedbayes.language.expressions import Call, Expression, text_of
from mixedbayes.language.formula import Response


@dataclass(frozen=True, eq=False, slots=True)
class ResponseValues:
    """What is modelled.

    Attributes:
        name: Its text in the formula, `log(y)`.
        values: Shape (n,): the numbers, or places in `levels`.
        levels: For text, booleans and categories their values in order (the last is the modelled one
            of two); None for numbers.
        trials: Number of trials of each row, shape (n,); None where there are none.
    """

    name: str
    values: np.ndarray
    levels: tuple[Any, ...] | None = None
    trials: np.ndarray | None = None

    def only(self, rows: np.ndarray) -> "ResponseValues":
        """Some of the rows, by their places."""
        trials = None if self.trials is None else self.trials[rows]
        return replace(self, values=self.values[rows], trials=trials)

    @property
    def modelled(self) -> str | None:
        """Which level counts as success, where that had to be chosen: `r2 = 'Y' (against 'N')`."""
        if self.levels is None or len(self.levels) != 2:
            return None
        other, success = self.levels
        return f"{self.name} = {success!r} (against {other if isinstance(other, Others) else repr(other)})"

    @property
    def held(self) -> str:
        """What its levels are, in words: of numbers and some strays these."""
        levels = self.levels or ()
        odd = strays(levels)
        return f"{listed(map(repr, odd), 4)} beside numbers" if odd else listed(map(repr, levels), 4)

    def __str__(self) -> str:
        if self.levels is not None:
            return (
                self.modelled or f"{self.name}, {len(self.levels)} levels ({listed(map(repr, self.levels))})"
            )
        trials = f" of {self.trials.sum():,.0f} trials" if self.trials is not None else ""
        total = f"{self.values.sum():,.0f}{trials}" if trials else f"mean {self.values.mean():.4g}"
        return f"{self.name}, {total}"


def trials_of(response: Response, columns: pd.DataFrame, env: Mapping[str, Any]) -> np.ndarray | None:
    """The number of trials of each row of new data, shape (n,); None for a response that has none.

    Raises:
        DataError: They are no whole numbers from 0.
    """
    scope = Scope(columns, env)
    match response.expression:
        case Call("cbind", (successes, failures), ()):
            trials = _numbers(successes, scope) + _numbers(failures, scope, scalar=True)
            finite(trials, columns.index, text_of(response.expression))
        case _ if response.trials is None:
            return None
        case _:
            trials = _numbers(response.trials, scope, scalar=True)
    wrong = np.flatnonzero((trials < 0) | (trials % 1 != 0))
    if len(wrong):
        raise DataError(
            f"Trials are whole numbers from 0, not {trials[wrong[0]]:g} as in row {columns.index[wrong[0]]} (from 0)."
        )
    return trials


class Others(str):
    """All levels but one, as a level of its own."""

    __slots__ = ()


def read_response(response: Response, columns: pd.DataFrame, env: Mapping[str, Any]) -> ResponseValues:
    """The response's values over the rows.

    Raises:
        DataError: It is no column of numbers or levels, or its level does not occur.
    """
    scope = Scope(columns, env)
    name = text_of(response.expression)
    match response.expression:
        case Call("cbind", (successes, failures), ()):
            s, f = _numbers(successes, scope), _numbers(failures, scope, scalar=True)
            return ResponseValues(
                text_of(successes), _frozen(s), None, _frozen(finite(s + f, columns.index, name))
            )
        case Call("cbind"):
            raise DataError("cbind() in a response takes two columns: cbind(successes, failures) ~ x.")
        case Call("C" | "factor", (inside,), ()):
            value = evaluate(inside, scope)
            value = value.astype("category") if isinstance(value, pd.Series) else value
        case Call("C" | "factor"):
            raise DataError(f"{name}: in a response C() takes one column; order its levels in the data.")
        case expression:
            value = evaluate(expression, scope)
    if response.level is not None and response.trials is not None:
        raise DataError(
            f"{name} is one level against others, and not a number of successes: leave out trials()."
        )
    trials = None if response.trials is None else _frozen(_numbers(response.trials, scope, scalar=True))
    if isinstance(value, pd.Series) and isinstance(value.dtype, pd.CategoricalDtype):
        levels = tuple(value.cat.categories.tolist())
        codes = value.cat.codes.to_numpy().astype(float)
        if response.level is not None:
            return _one_level(name, codes, levels, response.level)
        if trials is not None:
            raise DataError(
                f"The response {name} holds levels, not numbers of successes; trials() goes with counts."
            )
        return ResponseValues(name, _frozen(codes), levels)
    values = _numbers(response.expression, scope)
    if response.level is not None:
        found, codes = np.unique(np.asarray(value), return_inverse=True)
        return _one_level(name, codes.astype(float), tuple(found.tolist()), response.level)
    return ResponseValues(name, _frozen(values), None, trials)


def _one_level(name: str, codes: np.ndarray, levels: tuple[Any, ...], level: Any) -> ResponseValues:
    """`y['Y']`: one level against the others."""
    if level not in levels:
        raise DataError(f"{name} has no level {level!r}; its levels are {listed(map(repr, levels))}.")
    others = [other for other in levels if other != level]
    against = others[0] if len(others) == 1 else Others("all others")
    return ResponseValues(name, _frozen((codes == levels.index(level)).astype(float)), (against, level))


def _numbers(expression: Expression, scope: Scope, scalar: bool = False) -> np.ndarray:
    """The expression as floats over the rows."""
    value, name = evaluate(expression, scope), text_of(expression)
    if isinstance(value, pd.Series) and value.dtype.kind == "M":
        raise DataError(f"{name} holds dates; a response is a number, a text or a category.")
    if isinstance(value, pd.Series) and isinstance(value.dtype, pd.CategoricalDtype):
        raise DataError(f"{name} holds text or categories where numbers are needed.")
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{name} is no column of numbers.") from None
    if array.shape != (len(scope.columns),) and not (scalar and array.ndim == 0):
        raise DataError(f"{name} is not one number for each row.")
    return np.array(finite(np.broadcast_to(array, len(scope.columns)), scope.columns.index, name))


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array, dtype=float)
    array.flags.writeable = False
    return array
