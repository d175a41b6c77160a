"""The prior distributions as log densities in NumPy, by Stan's names; every argument may be complex.

Complex, so that derivatives come by the complex step: Im f(x + ih) / h is f'(x) to rounding, for h = 1e-30.
Source: Squire & Trapp (1998), Using complex variables to estimate derivatives of real functions.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import log_ndtr, loggamma, stdtr

LOG_2PI = float(np.log(2 * np.pi))

type LogDensity = Callable[..., Any]


def log_density(distribution: str, x: Any, arguments: Mapping[str, Any]) -> Any:
    """The log density at x, which lies inside the support.

    Args:
        distribution: A key of `LOG_DENSITIES`.
        x: An array of any shape.
        arguments: By Stan's names, broadcast against x.
    """
    return LOG_DENSITIES[distribution](x, **arguments)


def log_mass_above_zero(distribution: str, arguments: Mapping[str, Any]) -> Any:
    """The log of the distribution's mass on the positive numbers, for what is cut there."""
    return LOG_MASS_ABOVE_ZERO[distribution](**arguments)


def _positive_part(x: Any) -> Any:
    """|x| along the real line, analytic on either side of zero."""
    return np.where(np.real(x) < 0, -x, x)


def _normal(x: Any, mu: Any, sigma: Any) -> Any:
    z = (x - mu) / sigma
    return -0.5 * (z * z + LOG_2PI) - np.log(sigma)


def _student_t(x: Any, nu: Any, mu: Any, sigma: Any) -> Any:
    z = (x - mu) / sigma
    scale = loggamma((nu + 1) / 2) - loggamma(nu / 2) - 0.5 * np.log(nu * np.pi) - np.log(sigma)
    return scale - (nu + 1) / 2 * np.log1p(z * z / nu)


def _cauchy(x: Any, mu: Any, sigma: Any) -> Any:
    z = (x - mu) / sigma
    return -np.log(np.pi * sigma) - np.log1p(z * z)


def _double_exponential(x: Any, mu: Any, sigma: Any) -> Any:
    return -np.log(2 * sigma) - _positive_part((x - mu) / sigma)


def _logistic(x: Any, mu: Any, sigma: Any) -> Any:
    z = _positive_part((x - mu) / sigma)  # the density is symmetric
    return -z - np.log(sigma) - 2 * np.log1p(np.exp(-z))


def _gumbel(x: Any, mu: Any, beta: Any) -> Any:
    z = (x - mu) / beta
    return -z - np.exp(-z) - np.log(beta)


def _skew_normal(x: Any, xi: Any, omega: Any, alpha: Any) -> Any:
    return np.log(2) + _normal(x, xi, omega) + log_ndtr(alpha * (x - xi) / omega)


def _exponential(x: Any, beta: Any) -> Any:
    return np.log(beta) - beta * x


def _gamma(x: Any, alpha: Any, beta: Any) -> Any:
    return alpha * np.log(beta) - loggamma(alpha) + (alpha - 1) * np.log(x) - beta * x


def _inv_gamma(x: Any, alpha: Any, beta: Any) -> Any:
    return alpha * np.log(beta) - loggamma(alpha) - (alpha + 1) * np.log(x) - beta / x


def _lognormal(x: Any, mu: Any, sigma: Any) -> Any:
    return _normal(np.log(x), mu, sigma) - np.log(x)


def _weibull(x: Any, alpha: Any, sigma: Any) -> Any:
    z = np.log(x / sigma)
    return np.log(alpha / sigma) + (alpha - 1) * z - np.exp(alpha * z)


def _chi_square(x: Any, nu: Any) -> Any:
    return _gamma(x, nu / 2, 0.5)


def log_beta(alpha: Any, beta: Any) -> Any:
    """The log of the beta function."""
    return loggamma(alpha) + loggamma(beta) - loggamma(alpha + beta)


def _beta(x: Any, alpha: Any, beta: Any) -> Any:
    return (alpha - 1) * np.log(x) + (beta - 1) * np.log1p(-x) - log_beta(alpha, beta)


def _uniform(x: Any, lower: Any, upper: Any) -> Any:
    return -np.log(upper - lower) + 0.0 * x


LOG_DENSITIES: Mapping[str, LogDensity] = {
    "normal": _normal,
    "student_t": _student_t,
    "cauchy": _cauchy,
    "double_exponential": _double_exponential,
    "logistic": _logistic,
    "gumbel": _gumbel,
    "skew_normal": _skew_normal,
    "exponential": _exponential,
    "gamma": _gamma,
    "inv_gamma": _inv_gamma,
    "lognormal": _lognormal,
    "weibull": _weibull,
    "chi_square": _chi_square,
    "beta": _beta,
    "uniform": _uniform,
    "flat": lambda x: 0.0 * x,
}
"""The densities of `model.distributions.DISTRIBUTIONS` but `lkj`, which is one of matrices."""


def _student_t_above(nu: Any, mu: Any, sigma: Any) -> Any:
    z = mu / sigma
    value, at = stdtr(np.real(nu), np.real(z)), np.real(z)
    if not (np.iscomplexobj(z) or np.iscomplexobj(nu)):
        return np.log(value)
    # SciPy has no complex one: to first order, by the density and a difference in nu
    h = 1e-5 * np.real(nu)
    by_nu = (stdtr(np.real(nu) + h, at) - stdtr(np.real(nu) - h, at)) / (2 * h)
    by_z = np.exp(np.real(_student_t(at, np.real(nu), 0.0, 1.0)))
    return np.log(value + 1j * (by_z * np.imag(z) + by_nu * np.imag(nu)))


def _double_exponential_above(mu: Any, sigma: Any) -> Any:
    z = mu / sigma
    tail = 0.5 * np.exp(-_positive_part(z))
    return np.log(np.where(np.real(z) < 0, tail, 1 - tail))


LOG_MASS_ABOVE_ZERO: Mapping[str, LogDensity] = {
    "normal": lambda mu, sigma: log_ndtr(mu / sigma),
    "student_t": _student_t_above,
    "cauchy": lambda mu, sigma: np.log(0.5 + np.arctan(mu / sigma) / np.pi),
    "double_exponential": _double_exponential_above,
    "logistic": lambda mu, sigma: -np.log1p(np.exp(-mu / sigma)),
    "gumbel": lambda mu, beta: np.log(-np.expm1(-np.exp(mu / beta))),
    "uniform": lambda lower, upper: (
        np.log(upper - np.where(np.real(lower) < 0, 0.0, lower)) - np.log(upper - lower)
    ),
    "flat": lambda: 0.0,
}
"""Of the distributions that reach below zero and can be cut there."""
