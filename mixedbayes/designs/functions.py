"""What a formula may call: the published table, and nothing else.

`docs/formulas.md` prints this table. A caller adds to it with `env={"name": function}`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from formulaic.materializers.types import FactorValues
from formulaic.transforms import TRANSFORMS
from formulaic.transforms.contrasts import Contrasts, ContrastsRegistry

from mixedbayes.errors import shown

_NUMPY = (
    "abs",
    "sqrt",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "tanh",
    "floor",
    "ceil",
    "sign",
)


def _elementwise(name: str) -> Callable[[Any], Any]:
    """NumPy's function of one argument; its others (`out=`, `where=`) could write into the data."""
    function = getattr(np, name)

    def apply(x: Any) -> Any:
        return function(x)

    apply.__qualname__ = name
    return apply


def _log(x: Any, base: float | None = None) -> Any:
    """The logarithm, natural or to a base, as R's `log(x, 10)`."""
    if base is None:
        return np.log(x)
    if np.ndim(base) or not isinstance(base, int | float) or not 0 < base != 1:
        raise ValueError("the base of a logarithm is a number above 0 that is not 1")
    exact: Mapping[float, Any] = {2: np.log2, 10: np.log10}
    return exact[base](x) if base in exact else np.log(x) / np.log(base)


def _poly(x: Any, degree: int = 1, raw: bool = False, _state: dict[str, Any] | None = None) -> Any:
    """Formulaic's polynomials, of one column, the raw ones numbered as the others are, from 1."""
    if np.ndim(degree) or isinstance(degree, str):
        raise ValueError(
            "poly() takes one column and a degree; for two columns write poly(x, 2) * poly(z, 2)"
        )
    if isinstance(degree, bool) or degree != int(degree) or degree < 1:
        raise ValueError(f"the degree of a polynomial is a whole number from 1, not {shown(degree)}")
    if not (raw or _state) and degree >= (distinct := len(np.unique(x))):  # what is left would be rounding
        raise ValueError(
            f"the degree of a polynomial is below the number of distinct values, here {distinct}"
        )
    value = TRANSFORMS["poly"](x, int(degree), raw, _state=_state)
    return FactorValues(value, column_names=tuple(map(str, range(1, int(degree) + 1)))) if raw else value


def _coded(data: Any, contrasts: Any = None, *, levels: Any = None) -> FactorValues:
    """A factor, coded by contrasts: a coding of the table, or one written out."""
    _check_levels(data, levels)
    coding = CONTRASTS.get(contrasts, contrasts) if isinstance(contrasts, str) else contrasts
    is_coding = isinstance(coding, Contrasts | dict) or (
        isinstance(coding, type) and issubclass(coding, Contrasts)
    )
    if not (coding is None or is_coding or np.ndim(coding) == 2):
        raise ValueError(
            "beside the column stands a coding, as contr.sum or Treatment('b'); an order of levels is levels=['b', 'a']"
        )
    return TRANSFORMS["C"](data, coding, levels=levels)


def _check_levels(data: Any, levels: Any) -> None:
    """Refuse numbers for levels of truth values, and the contrary: Python takes True for 1, and pandas does not."""
    if levels is None or np.ndim(levels) != 1:
        return
    truth = {isinstance(value, bool | np.bool_) for value in pd.unique(pd.Series(data).dropna())}
    if truth and truth != {isinstance(level, bool | np.bool_) for level in levels}:
        raise ValueError("booleans have the levels TRUE and FALSE, and numbers and texts have not")


def _factor(data: Any, levels: Any = None, contrasts: Any = None) -> FactorValues:
    """R's `factor(x, levels)`; a coding in place of the levels is taken as in `C(x, coding)`."""
    is_order = levels is None or (isinstance(levels, list) and np.ndim(levels) == 1)
    return (
        _coded(data, contrasts, levels=levels) if is_order or contrasts is not None else _coded(data, levels)
    )


_poly.__is_stateful_transform__ = True  # type: ignore[attr-defined]  # formulaic's mark of what keeps a state


def _identity(x: Any) -> Any:
    """The value itself: `I(a + b)`."""
    return x


def _array(*items: float) -> list[float]:
    """R's `c(1, 2, 3)`."""
    return list(items)


_identity.__qualname__, _array.__qualname__ = "I", "c"  # as messages name them
_log.__qualname__, _poly.__qualname__ = "log", "poly"
_coded.__qualname__, _factor.__qualname__ = "C", "factor"

CONTRASTS: Mapping[str, Any] = {
    **{
        f"contr.{name}": getattr(ContrastsRegistry, name)
        for name in ("treatment", "sum", "helmert", "poly", "SAS", "diff")
    },
    **{name: TRANSFORMS[name] for name in ("Treatment", "Sum", "Helmert", "Poly", "Diff")},
}
"""Contrast codings, by their R and their patsy names; used with or without brackets in `C(x, ...)`."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "I": _identity,
    "C": _coded,
    "factor": _factor,
    "c": _array,
    **{name: _elementwise(name) for name in _NUMPY},
    **{f"np.{name}": _elementwise(name) for name in _NUMPY},
    "log": _log,
    "poly": _poly,
    **{name: TRANSFORMS[name] for name in ("bs", "cs", "cr", "cc", "scale", "center", "standardize")},
    **CONTRASTS,
}
"""Every function that a formula can call."""

VALUES: Mapping[str, Any] = {
    **CONTRASTS,
    "Treatment": ContrastsRegistry.treatment,
    "pi": np.pi,
    "T": True,
    "F": False,
}
"""Every name that stands for a value without being a column."""

TAKES_ANYTHING = ("I", "C", "factor", "c", *CONTRASTS)
"""Functions whose arguments may be text; the others get numbers."""

BASES = ("poly", "bs", "cs", "cr", "cc")
"""Functions that give several columns; their arguments say how many."""

MAX_BASIS = 200
"""Columns that one basis may have: `poly(x, 1000000000)` must not take all memory."""
