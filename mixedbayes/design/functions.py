"""What a formula may call: the published table, and nothing else.

`docs/formulas.md` prints this table. A caller adds to it with `env={"name": function}`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from formulaic.transforms import TRANSFORMS
from formulaic.transforms.contrasts import ContrastsRegistry

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


def _identity(x: Any) -> Any:
    """The value itself: `I(a + b)`."""
    return x


def _array(*items: float) -> list[float]:
    """R's `c(1, 2, 3)`."""
    return list(items)


_identity.__qualname__, _array.__qualname__ = "I", "c"  # as messages name them

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
    "C": TRANSFORMS["C"],
    "factor": TRANSFORMS["C"],
    "c": _array,
    **{name: _elementwise(name) for name in _NUMPY},
    **{f"np.{name}": _elementwise(name) for name in _NUMPY},
    **{name: TRANSFORMS[name] for name in ("poly", "bs", "cs", "cr", "cc", "scale", "center", "standardize")},
    **CONTRASTS,
}
"""Every function that a formula can call."""

VALUES: Mapping[str, Any] = {**CONTRASTS, "pi": np.pi}
"""Every name that stands for a value without being a column."""

TAKES_ANYTHING = ("I", "C", "factor", "c", *CONTRASTS)
"""Functions whose arguments may be text; the others get numbers."""

BASES = ("poly", "bs", "cs", "cr", "cc")
"""Functions that give several columns; their arguments say how many."""

MAX_BASIS = 200
"""Columns that one basis may have: `poly(x, 1000000000)` must not take all memory."""
