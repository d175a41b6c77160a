"""Expression × columns -> values: a walk over the tree, with no `eval`.

Stateful functions (`poly`, `scale`, splines) keep what they learned in `state`, under their own text,
so that new data are put on the same scale.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.designs.functions import (
    BASES,
    CONTRASTS,
    FUNCTIONS,
    MAX_BASIS,
    TAKES_ANYTHING,
    VALUES,
)
from mixedbayes.errors import DataError, MixedBayesError, listed, nearest
from mixedbayes.language import elsewhere
from mixedbayes.language.expressions import (
    Array,
    Call,
    Expression,
    Literal,
    Name,
    Operation,
    Record,
    text_of,
)

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "|": operator.or_,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SIGNS: Mapping[str, Callable[..., Any]] = {"-": operator.neg, "+": operator.pos, "~": operator.invert}


@dataclass(frozen=True, eq=False, slots=True)
class Scope:
    """What the names of an expression mean.

    Attributes:
        columns: The data, from `table.read_columns`.
        env: The caller's own functions and values, by name.
        state: What stateful functions learned, by their text; filled on first use.
    """

    columns: pd.DataFrame
    env: Mapping[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """A column, else a value of the caller's, else one of the table's."""
        if name in self.columns:
            return self.columns[name]
        value = self.env[name] if name in self.env else VALUES[name]
        return self.placed(value)

    def placed(self, value: Any) -> Any:
        """The caller's series with the index of the data: rows are told by their place."""
        if isinstance(value, pd.Series) and len(value) == len(self.columns):
            return value.set_axis(self.columns.index)
        return value

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the caller's, else one of the table's.

        Raises:
            DataError: There is none of that name.
        """
        if name in self.env and callable(self.env[name]):
            function: Callable[..., Any] = self.env[name]
            return function
        if name in FUNCTIONS:
            return FUNCTIONS[name]
        raise unknown_function(name, self.env)


def unknown_function(name: str, env: Mapping[str, Any]) -> DataError:
    """The error for a call of something that nobody provided."""
    if name in env:
        return DataError(
            f"A formula has no function {name}(): {name!r} of env is a value, {type(env[name]).__name__}, and cannot be called."
        )
    if name in elsewhere.FUNCTIONS:
        return DataError(f"A formula has no function {name}(): {elsewhere.FUNCTIONS[name]}.")
    known = [key for key in FUNCTIONS if not key.startswith("np.")]
    head, dot, _ = name.partition(".")
    if dot and head not in {key.partition(".")[0] for key in FUNCTIONS}:
        return DataError(
            f"A formula has no function {name}(): it cannot reach into {head!r}, for nothing has attributes there. "
            "Compute the column first, or pass a function in env={...}."
        )
    hint = nearest(name, [*known, *env])
    offered = hint or f" Known: {listed([key for key in known if key not in CONTRASTS], 60)}."
    return DataError(
        f"A formula has no function {name}(); compute the column first, or pass your own as env={{{name!r}: function}}.{offered}"
    )


def evaluate(expression: Expression, scope: Scope) -> Any:
    """The value of an expression: a scalar, a series or array over the rows, or several columns.

    Raises:
        DataError: The computation fails on these data; the message has the expression.
    """
    try:
        with np.errstate(all="ignore"):
            return _evaluate(expression, scope)
    except MixedBayesError:
        raise
    except OverflowError as error:
        raise DataError(f"{text_of(expression)} cannot be computed: a number is too large.") from error
    except Exception as error:  # whatever a function of the table or the caller's raises on these data
        said = str(error).split("\n", 1)[0] or type(error).__name__
        raise DataError(f"{text_of(expression)} cannot be computed: {said}") from error


def _evaluate(expression: Expression, scope: Scope) -> Any:
    match expression:
        case Literal(value):
            return value
        case Name(name):
            return scope.value(name)
        case Array(items):
            return [_scalar(item, scope) for item in items]
        case Record(pairs):
            return {key: _evaluate(value, scope) for key, value in pairs}
        case Operation(symbol, (operand,)):
            return SIGNS[symbol](_number(_evaluate(operand, scope), operand, logical=symbol == "~"))
        case Operation(symbol, (left, right)):
            return _operate(symbol, left, right, scope)
        case Call():
            return _call(expression, scope)
    raise AssertionError(expression)


def _scalar(expression: Expression, scope: Scope) -> Any:
    """An item of a list, which is no column: a list of columns would take memory without end."""
    value = _evaluate(expression, scope)
    if np.ndim(value) and not isinstance(expression, Array):
        raise DataError(f"{text_of(expression)} is a column, where a list takes numbers and texts.")
    return value


def _operate(symbol: str, left: Expression, right: Expression, scope: Scope) -> Any:
    a, b = _evaluate(left, scope), _evaluate(right, scope)
    if symbol in ("==", "!="):
        for one, other in ((a, b), (b, a)):
            if (
                _is_categorical(one)
                and not isinstance(other, pd.Series)
                and other not in list(one.cat.categories)
            ):
                raise DataError(
                    f"{text_of(Operation(symbol, (left, right)))}: {other!r} is not a level; they are {listed(map(repr, one.cat.categories))}."
                )
            if isinstance(other, str) and getattr(getattr(one, "dtype", None), "kind", "-") in "biuf":
                raise DataError(
                    f"{text_of(Operation(symbol, (left, right)))}: numbers are never equal to the text {other!r}."
                )
        return OPERATIONS[symbol](a, b)
    logical = symbol in "&|"
    a, b = _number(a, left, logical), _number(b, right, logical)
    if (
        not isinstance(a, pd.Series | np.ndarray)
        and not isinstance(b, pd.Series | np.ndarray)
        and not logical
    ):
        # numbers only: as floats, so that 9^9^9 is a sentence and not an hour
        result = OPERATIONS[symbol](float(a), float(b))
        whole = (
            isinstance(a, int) and isinstance(b, int) and float(result).is_integer() and abs(result) < 2**53
        )
        return int(result) if whole else result
    return OPERATIONS[symbol](a, b)


def _call(call: Call, scope: Scope) -> Any:
    function = scope.function(call.function)
    read = _scalar if call.function == "c" and "c" not in scope.env else _evaluate
    arguments = [read(item, scope) for item in call.arguments]
    keywords = {key: _evaluate(value, scope) for key, value in call.keywords}
    own = call.function in scope.env
    if not own and call.function in BASES:
        for size in (*arguments[1:], *keywords.values()):
            columns = np.size(size) if np.ndim(size) else size
            if isinstance(columns, int | float) and columns > MAX_BASIS:
                raise DataError(f"{text_of(call)} asks for more than {MAX_BASIS} columns.")
    if not own and call.function not in TAKES_ANYTHING:
        arguments = [
            _number(value, item) if isinstance(value, pd.Series) else value
            for value, item in zip(arguments, call.arguments, strict=True)
        ]
    if getattr(function, "__is_stateful_transform__", False):
        keywords["_state"] = scope.state.setdefault(text_of(call), {})
    value = function(*arguments, **keywords)
    return scope.placed(value) if own else value


def _number(value: Any, expression: Expression, logical: bool = False) -> Any:
    """The value as floats (integers would wrap around), booleans as 0 and 1; text is refused."""
    if _is_categorical(value):
        if (
            list(value.cat.categories) in ([False, True], [False], [True])
            and value.cat.categories.dtype == bool
        ):
            value = value.astype(bool)
        else:
            raise DataError(f"{text_of(expression)} holds text or categories; arithmetic needs numbers.")
    if isinstance(value, pd.Series) and value.dtype.kind == "M":
        raise DataError(
            f"{text_of(expression)} holds dates; as a predictor make it a number first, such as days since the start."
        )
    if logical and np.asarray(value).dtype.kind != "b":
        raise DataError(f"&, | and ~ take conditions such as (x > 0); {text_of(expression)} holds numbers.")
    if isinstance(value, pd.Series | np.ndarray):
        return value if logical or value.dtype == float else value.astype(float)
    if isinstance(value, str | list | dict) or value is None:
        raise DataError(f"{text_of(expression)} is no number.")
    return value


def _is_categorical(value: Any) -> bool:
    return isinstance(value, pd.Series) and isinstance(value.dtype, pd.CategoricalDtype)
