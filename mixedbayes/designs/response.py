"""The response of a formula on data: numbers, with what they count or which level they stand for."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.designs.columns import finite, strays
from mixedbayes.designs.evaluate import Scope, evaluate
from mixedbayes.errors import DataError, listed
from mixedbayes.language.additions import ADDITIONS, NumbersKind
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
        additions: What stands right of the bar, as numbers, shape (n,), by name; `cbind()` has `trials` too.
    """

    name: str
    values: np.ndarray
    levels: tuple[Any, ...] | None = None
    additions: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def trials(self) -> np.ndarray | None:
        """The number of trials of each row, shape (n,); None where there are none."""
        return self.additions.get("trials")

    @property
    def weights(self) -> np.ndarray | None:
        """What each row's log density is multiplied by, shape (n,); None where there are no weights."""
        return self.additions.get("weights")

    @property
    def counted(self) -> "ResponseValues":
        """Over the rows that count: not those of weight zero."""
        return self if self.weights is None else self.only(np.flatnonzero(self.weights))

    def only(self, rows: np.ndarray) -> "ResponseValues":
        """Some of the rows, by their places."""
        additions = {name: numbers[rows] for name, numbers in self.additions.items()}
        return replace(self, values=self.values[rows], additions=additions)

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


@dataclass(frozen=True, slots=True)
class Rule:
    """What the numbers of an addition must be.

    Attributes:
        wanted: In words.
        holds: Of numbers, shape (n,), which are.
    """

    wanted: str
    holds: Callable[[np.ndarray], np.ndarray]


RULES: Mapping[NumbersKind, Rule] = {
    "count": Rule("whole numbers from 0", lambda x: (x >= 0) & (x % 1 == 0)),
    "weight": Rule("numbers from 0", lambda x: x >= 0),
    "deviation": Rule("numbers above 0", lambda x: x > 0),
}


def additions_of(
    response: Response, columns: pd.DataFrame, env: Mapping[str, Any], wanted: Collection[str]
) -> dict[str, np.ndarray]:
    """The numbers of the additions wanted that a response has, shape (n,), by name.

    Args:
        response: The left side of a formula.
        columns: Of the data.
        env: Functions and values by name.
        wanted: Names of additions.

    Raises:
        DataError: They are no finite numbers, or not what the addition takes.
    """
    scope = Scope(columns, env)
    numbers = {
        name: _numbers(addition.argument, scope, scalar=True)
        for name, addition in response.additions.items()
        if name in wanted
    }
    match response.expression:
        case Call("cbind", (successes, failures), ()) if "trials" in wanted:
            numbers["trials"] = _numbers(successes, scope) + _numbers(failures, scope, scalar=True)
    for name, values in numbers.items():
        _check_addition(name, values, columns.index)
    return {name: _frozen(values) for name, values in numbers.items()}


def _check_addition(name: str, values: np.ndarray, index: pd.Index) -> None:
    kind = ADDITIONS[name]
    rule = RULES[kind.numbers]
    wrong = np.flatnonzero(~rule.holds(values))
    if len(wrong):
        raise DataError(
            f"{kind.noun.capitalize()} are {rule.wanted}, not {values[wrong[0]]:g} as in row {index[wrong[0]]} (from 0)."
        )


class Others(str):
    """All levels but one, as a level of its own."""

    __slots__ = ()


def read_response(response: Response, columns: pd.DataFrame, env: Mapping[str, Any]) -> ResponseValues:
    """The response's values over the rows.

    Raises:
        DataError: It is no column of numbers or levels, its level does not occur, or its additions are not what they
            must be: of weights one must be above zero.
    """
    if response.level is not None and response.trials is not None:
        raise DataError(
            f"{text_of(response.expression)} is one level against others, and not a number of successes: leave out trials()."
        )
    values = _modelled(response, Scope(columns, env))
    additions = additions_of(response, columns, env, ("trials", *response.additions))
    if values.levels is not None and "trials" in additions:
        raise DataError(
            f"The response {values.name} holds levels, not numbers of successes; trials() goes with counts."
        )
    for name, numbers in additions.items():
        if ADDITIONS[name].numbers == "weight" and not numbers.any():
            raise DataError(f"{ADDITIONS[name].noun.capitalize()} are 0 in every row, so that none counts.")
    return replace(values, additions=additions)


def _modelled(response: Response, scope: Scope) -> ResponseValues:
    """What is modelled, without its additions."""
    name = text_of(response.expression)
    match response.expression:
        case Call("cbind", (successes, _), ()):
            return ResponseValues(text_of(successes), _frozen(_numbers(successes, scope)))
        case Call("cbind"):
            raise DataError("cbind() in a response takes two columns: cbind(successes, failures) ~ x.")
        case Call("C" | "factor", (inside,), ()):
            value = evaluate(inside, scope)
            value = value.astype("category") if isinstance(value, pd.Series) else value
        case Call("C" | "factor"):
            raise DataError(f"{name}: in a response C() takes one column; order its levels in the data.")
        case expression:
            value = evaluate(expression, scope)
    if isinstance(value, pd.Series) and isinstance(value.dtype, pd.CategoricalDtype):
        levels = tuple(value.cat.categories.tolist())
        codes = value.cat.codes.to_numpy().astype(float)
        if response.level is not None:
            return _one_level(name, codes, levels, response.level)
        return ResponseValues(name, _frozen(codes), levels)
    values = _numbers(response.expression, scope)
    if response.level is not None:
        found, codes = np.unique(np.asarray(value), return_inverse=True)
        return _one_level(name, codes.astype(float), tuple(found.tolist()), response.level)
    return ResponseValues(name, _frozen(values))


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
