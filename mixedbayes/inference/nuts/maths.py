"""The functions that families are written with (`models.maths.Maths`), of PyTensor's graphs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor.tensor as pt


def _of(function: Callable[..., Any]) -> Any:
    """The function, plain numbers in double precision: PyTensor takes 2.0 for single."""
    return staticmethod(lambda *x: function(*(np.float64(v) if isinstance(v, int | float) else v for v in x)))


def _log_ndtr(x: Any) -> Any:
    is_low = x < -1
    low, high = pt.switch(is_low, x, -1.0), pt.switch(is_low, -1.0, x)
    below = pt.log(pt.erfcx(-low / np.sqrt(2)) / 2) - low * low / 2
    return pt.switch(is_low, below, pt.log1p(-pt.erfc(high / np.sqrt(2)) / 2))


class _Graphs:
    """Of symbolic tensors."""

    exp, log, log1p, expm1, log1mexp = (
        _of(pt.exp),
        _of(pt.log),
        _of(pt.log1p),
        _of(pt.expm1),
        _of(pt.log1mexp),
    )
    sqrt, expit, gammaln, where = _of(pt.sqrt), _of(pt.sigmoid), _of(pt.gammaln), _of(pt.switch)
    log_expit, log_ndtr = _of(lambda x: -pt.softplus(-x)), _of(_log_ndtr)
    ndtr = _of(lambda x: pt.exp(_log_ndtr(x)))


GRAPHS = _Graphs()
