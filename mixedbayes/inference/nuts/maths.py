"""The functions that families are written with (`models.maths.Maths`), of PyTensor's graphs."""

from typing import Any

import pymc as pm
import pytensor.tensor as pt


class _Graphs:
    """Of symbolic tensors."""

    exp, log, log1p, expm1, log1mexp, sqrt = pt.exp, pt.log, pt.log1p, pt.expm1, pt.log1mexp, pt.sqrt
    expit, gammaln, where = pt.sigmoid, pt.gammaln, pt.switch

    @staticmethod
    def log_expit(x: Any) -> Any:
        """As in `Maths`."""
        return -pt.softplus(-x)

    @staticmethod
    def ndtr(x: Any) -> Any:
        """As in `Maths`."""
        return pt.exp(_Graphs.log_ndtr(x))

    @staticmethod
    def log_ndtr(x: Any) -> Any:
        """As in `Maths`."""
        return pm.logcdf(pm.Normal.dist(), x)


GRAPHS = _Graphs()
