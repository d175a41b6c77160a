"""The functions that families are written with, once for all kinds of numbers: arrays here, graphs in `inference/nuts`.

    log_density(y, p)  with  m = p.maths:   -0.5 * z * z - p.log("sigma") - ...,   m.log_expit(x),   m.gammaln(y + 1)

`Jet` is a third kind: a number with its first and second derivative, so that whoever writes a density has written these.
Source: Griewank & Walther (2008), Evaluating Derivatives, chapter 13 (univariate Taylor arithmetic).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import special

HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


class Maths(Protocol):
    """Functions of one kind of number, element by element."""

    def exp(self, x: Any) -> Any:
        """The exponential."""

    def log(self, x: Any) -> Any:
        """The natural logarithm."""

    def log1p(self, x: Any) -> Any:
        """The logarithm of 1 + x."""

    def expm1(self, x: Any) -> Any:
        """The exponential less 1."""

    def log1mexp(self, x: Any) -> Any:
        """The logarithm of 1 - exp(x), x negative."""

    def sqrt(self, x: Any) -> Any:
        """The square root."""

    def expit(self, x: Any) -> Any:
        """1 / (1 + exp(-x))."""

    def log_expit(self, x: Any) -> Any:
        """The logarithm of `expit`."""

    def ndtr(self, x: Any) -> Any:
        """The standard normal distribution function."""

    def log_ndtr(self, x: Any) -> Any:
        """The logarithm of `ndtr`."""

    def gammaln(self, x: Any) -> Any:
        """The logarithm of the gamma function."""

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """X where the condition holds, else y."""


def _quiet(function: Callable[..., Any]) -> Any:
    """The function without a warning where its value is infinite, which it may be, or is none."""

    def of(x: Any) -> Any:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return function(x)

    return staticmethod(of)


def log_rising(m: Maths, x: Any, n: Any) -> Any:
    """The logarithm of gamma(x + n) / gamma(x), which is about n log(x) where x is large: no digits are lost there.

    Source: Abramowitz & Stegun (1964), 6.1.41 (Stirling's series), the difference taken term by term.
    """
    is_large = x > 100
    near, far = m.where(is_large, 1.0, x), m.where(is_large, x, 100.0)
    top = far + n
    series = (far - 0.5) * m.log1p(n / far) + n * (m.log(top) - 1) - n / (12 * far * top)
    return m.where(
        is_large,
        series - 1 / (360 * top**3) + 1 / (360 * far**3),
        m.gammaln(near + n) - m.gammaln(near),
    )


def _log_1m_exp(x: Any) -> Any:
    # Mächler (2012), Accurately computing log(1 - exp(-|a|))
    return np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(np.minimum(x, -0.5))))


class _Arrays:
    """Of NumPy arrays."""

    exp, log, log1p = _quiet(np.exp), _quiet(np.log), _quiet(np.log1p)
    expm1, sqrt, log1mexp = _quiet(np.expm1), _quiet(np.sqrt), _quiet(_log_1m_exp)
    expit, log_expit, ndtr, log_ndtr = special.expit, special.log_expit, special.ndtr, special.log_ndtr
    gammaln, where = special.gammaln, staticmethod(np.where)


ARRAYS: Maths = _Arrays()


@dataclass(frozen=True, eq=False, slots=True)
class Jet:
    """A number with its first and second derivative by one variable.

    Attributes:
        value, slope, curvature: Arrays that broadcast.
    """

    value: Any
    slope: Any
    curvature: Any

    __array_ufunc__ = None  # array + jet is the jet's to compute

    def through(self, value: Any, first: Any, second: Any) -> "Jet":
        """A function of it, by the function's value and derivatives here."""
        return Jet(value, first * self.slope, second * self.slope**2 + first * self.curvature)

    def __neg__(self) -> "Jet":
        return Jet(-self.value, -self.slope, -self.curvature)

    def __add__(self, other: Any) -> "Jet":
        o = jet_of(other)
        return Jet(self.value + o.value, self.slope + o.slope, self.curvature + o.curvature)

    def __mul__(self, other: Any) -> "Jet":
        o = jet_of(other)
        return Jet(
            self.value * o.value,
            self.slope * o.value + self.value * o.slope,
            self.curvature * o.value + 2 * self.slope * o.slope + self.value * o.curvature,
        )

    def __pow__(self, power: float) -> "Jet":
        x = self.value
        return self.through(x**power, power * x ** (power - 1), power * (power - 1) * x ** (power - 2))

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other: Any) -> "Jet":
        return self + -jet_of(other)

    def __rsub__(self, other: Any) -> "Jet":
        return -self + other

    def __truediv__(self, other: Any) -> "Jet":
        return self * _inverse(other) if isinstance(other, Jet) else self * (1 / np.asarray(other))

    def __rtruediv__(self, other: Any) -> "Jet":
        return _inverse(self) * other

    def __lt__(self, other: Any) -> Any:
        return self.value < jet_of(other).value

    def __le__(self, other: Any) -> Any:
        return self.value <= jet_of(other).value

    def __gt__(self, other: Any) -> Any:
        return self.value > jet_of(other).value

    def __ge__(self, other: Any) -> Any:
        return self.value >= jet_of(other).value


def jet_of(x: Any) -> Jet:
    """The number itself, or a constant as one."""
    return x if isinstance(x, Jet) else Jet(np.asarray(x), 0.0, 0.0)


def _inverse(x: Jet) -> Jet:
    return x.through(1 / x.value, -1 / x.value**2, 2 / x.value**3)


def _lifted(function: Callable[[Any], Any], derivatives: Callable[[Any], tuple[Any, Any]]) -> Any:
    """The function of arrays and jets."""

    def of(x: Any) -> Any:
        if not isinstance(x, Jet):
            return function(x)
        with np.errstate(all="ignore"):
            return x.through(function(x.value), *derivatives(x.value))

    return staticmethod(of)


def _exp(x: Any) -> tuple[Any, Any]:
    return np.exp(x), np.exp(x)


def _log1mexp(x: Any) -> tuple[Any, Any]:
    first = -1 / np.expm1(-x)
    return first, first * (1 - first)


def _expit(x: Any) -> tuple[Any, Any]:
    first = special.expit(x) * special.expit(-x)
    return first, first * (special.expit(-x) - special.expit(x))


def _ndtr(x: Any) -> tuple[Any, Any]:
    first = np.exp(-0.5 * x * x - HALF_LOG_2PI)
    return first, -x * first


def _log_ndtr(x: Any) -> tuple[Any, Any]:
    first = np.sqrt(2 / np.pi) / special.erfcx(-x / np.sqrt(2))  # Mills' ratio, inverted
    return first, np.where(x < -1e4, -1.0, -first * (x + first))  # of which there the sum has few digits


class _Jets:
    """Of jets, and of arrays beside them."""

    exp = _lifted(ARRAYS.exp, _exp)
    log = _lifted(ARRAYS.log, lambda x: (1 / x, -1 / x**2))
    log1p = _lifted(ARRAYS.log1p, lambda x: (1 / (1 + x), -1 / (1 + x) ** 2))
    expm1 = _lifted(ARRAYS.expm1, _exp)
    log1mexp = _lifted(ARRAYS.log1mexp, _log1mexp)
    sqrt = _lifted(ARRAYS.sqrt, lambda x: (0.5 / np.sqrt(x), -0.25 / x**1.5))
    expit = _lifted(special.expit, _expit)
    log_expit = _lifted(
        special.log_expit, lambda x: (special.expit(-x), -special.expit(x) * special.expit(-x))
    )
    ndtr = _lifted(special.ndtr, _ndtr)
    log_ndtr = _lifted(special.log_ndtr, _log_ndtr)
    gammaln = _lifted(special.gammaln, lambda x: (special.digamma(x), special.polygamma(1, x)))

    @staticmethod
    def where(condition: Any, x: Any, y: Any) -> Any:
        """As in `Maths`."""
        if not (isinstance(x, Jet) or isinstance(y, Jet)):
            return np.where(condition, x, y)
        x, y = jet_of(x), jet_of(y)
        parts = ((getattr(x, name), getattr(y, name)) for name in ("value", "slope", "curvature"))
        return Jet(*(np.where(condition, a, b) for a, b in parts))


JETS: Maths = _Jets()
