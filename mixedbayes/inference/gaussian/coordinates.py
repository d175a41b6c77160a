"""theta, the unconstrained vector that is not integrated out <-> standard deviations, correlations, sigma.

One `Coordinate` of theta each, in this order:

    a hyperparameter         the parameter itself, its log or its logit, by its support
    a group's sd             log sd; the logit of its place where the prior has two ends
    a correlation matrix     atanh of each canonical partial correlation, row by row
    sigma                    log sigma; none where standard errors are known, beside which sigma is 1

Coefficients and group effects are not here: given theta they are Gaussian. All functions take real or
complex arrays: the Jacobian is one complex step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from mixedbayes.inference.gaussian.prior_densities import log_beta, log_density, log_mass_above_zero
from mixedbayes.models.covariances import at_means, covariance_of, sds_and_correlations
from mixedbayes.models.maths import ARRAYS
from mixedbayes.models.priors import Prior, Reference
from mixedbayes.models.spec import BlockSpec, ModelSpec, Parameter
from mixedbayes.models.structures import Within, check_factor, formulas_own, rows_of

STEP = 1e-30
"""Of the complex step; its square vanishes beside anything."""

LARGEST_PARTIAL = 1 - 1e-15
"""Of a partial correlation that is read from a matrix, whose rounding may have reached 1."""


@dataclass(frozen=True, eq=False, slots=True)
class Point:
    """What theta stands for, at B points at once.

    Attributes:
        values: Of each coordinate by its name: a parameter by its address, a partial correlation's atanh; shape (B,).
        factors: For each block the factor of its effects' covariance, of the effects that have the priors: at the
            predictors' means where those live there. A diagonal, shape (q, B), or lower triangular, (q, q, B).
        sigma: Shape (B,).
        location, scale: Of the coefficients' normal priors, shape (p, B); scale 1 where the prior is flat.
        log_prior: The log prior density of theta, shape (B,).
    """

    values: Mapping[str, np.ndarray]
    factors: tuple[np.ndarray, ...]
    sigma: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    log_prior: np.ndarray


@dataclass(frozen=True, slots=True)
class Scalar:
    """The coordinate of a parameter that has a number of its own.

    Attributes:
        parameter: Its prior may refer to parameters of earlier coordinates.
    """

    parameter: Parameter

    @property
    def name(self) -> str:
        """The parameter's address."""
        return self.parameter.address

    def to_line(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The coordinate at values of the parameters by address, this one's and earlier ones', shape (S,)."""
        lower, upper, _, _ = _frame(self.parameter, values)
        return _all_to_line(values[self.name], lower, upper)

    def from_line(self, u: np.ndarray, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The parameter at its coordinate, and the log prior density of the coordinate, shape (B,) each."""
        lower, upper, arguments, mass = _frame(self.parameter, values)
        x, log_slope = _from_line(u, lower, upper)
        return x, log_density(self.parameter.prior.distribution, x, arguments) - mass + log_slope

    def start(self, guess: float | None, values: Mapping[str, np.ndarray]) -> float:
        """The coordinate of a guess, brought inside the ends; without one of what the prior says."""
        lower, upper, _, _ = _frame(self.parameter, values)
        if guess is None and upper < inf and self.parameter.support.lower != 0:
            return 0.0  # halfway
        return _to_line(_typical(self.parameter) if guess is None else guess, float(lower), float(upper))


@dataclass(frozen=True, slots=True)
class Partial:
    """The coordinate of a canonical partial correlation w, u = atanh(w), which is its value too: w may round to 1.

    (w + 1) / 2 of column k = 0, 1, ... is Beta(a, a), a = eta + (q - 2 - k) / 2; see `nuts/graph.py`. The density of u is
    then 2 (x (1 - x))^a / B(a, a) with x = expit(2 u).

    Attributes:
        name: `partial[g, x, z]`.
        prior: Of the correlation matrix.
        shift: (q - 2 - k) / 2.
    """

    name: str
    prior: Prior
    shift: float

    def to_line(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The value, shape (S,)."""
        return values[self.name]

    def from_line(self, u: np.ndarray, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The value, and the log prior density of the coordinate, shape (B,) each."""
        a = _arguments(self.prior, values)["eta"] + self.shift
        size = np.where(np.real(u) < 0, -u, u)
        return u, a * (-2 * size - 2 * np.log1p(np.exp(-2 * size))) + np.log(2) - log_beta(a, a)

    def start(self, guess: float | None, values: Mapping[str, np.ndarray]) -> float:  # noqa: ARG002  # as a scalar's
        """The guess; without one no correlation."""
        return 0.0 if guess is None else guess


type Coordinate = Scalar | Partial


@dataclass(frozen=True, eq=False)
class Variances:
    """The coordinates of theta for one model.

    Attributes:
        spec: A Gaussian model whose coefficients have normal or flat priors.
        coordinates: In the order of theta; each may need values of those before it.
    """

    spec: ModelSpec
    coordinates: tuple[Coordinate, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One for each coordinate."""
        return tuple(coordinate.name for coordinate in self.coordinates)

    @property
    def size(self) -> int:
        """The dimension d of theta."""
        return len(self.coordinates)

    @property
    def coefficients(self) -> tuple[Parameter, ...]:
        """The parameters that are integrated out, in the order of the columns."""
        return self.spec.main.parameters

    def at(self, theta: np.ndarray) -> Point:
        """What theta stands for.

        Args:
            theta: Shape (B, d), real or complex.
        """
        values: dict[str, np.ndarray] = {}
        log_prior = np.zeros(len(theta), dtype=theta.dtype)
        for coordinate, u in zip(self.coordinates, theta.T, strict=True):
            values[coordinate.name], log_density_of_u = coordinate.from_line(u, values)
            log_prior = log_prior + log_density_of_u
        factors = [_factor(block, values, theta) for block in self.spec.blocks]
        location, scale = self._coefficient_priors(values, theta)
        residual = self.spec.residual
        sigma = np.ones(len(theta), dtype=theta.dtype) if residual is None else values[residual]
        return Point(values, tuple(factors), sigma, location, scale, log_prior)

    def steps(self, theta: np.ndarray) -> Point:
        """The point at each of B thetas moved along each coordinate by an imaginary step, (B d) points in all.

        The imaginary parts over `STEP` are derivatives.
        """
        moved = theta[:, None, :] + 1j * STEP * np.eye(self.size)
        return self.at(moved.reshape(len(theta) * self.size, self.size))

    def of(self, draws: Mapping[str, np.ndarray]) -> np.ndarray:
        """Theta at draws of the parameters: the inverse of `at`, shape (S, d).

        Args:
            draws: By the names of the specification's variables, shape (chain, draw, ...).
        """
        values = {p.address: draws[p.address].ravel() for p in (*self.spec.hyper, *self.spec.auxiliary)}
        for block in self.spec.blocks:
            q = block.q
            sds = draws[block.sd].reshape(-1, q)
            if block.cor:
                covariance = covariance_of(sds, draws[block.correlation].reshape(-1, q, q))
                sds, correlation = sds_and_correlations(at_means(covariance, block.centring))
                values |= zip(partial_names(block), partials(correlation), strict=True)
            values |= {p.address: sd for p, sd in zip(block.sds, sds.T, strict=False)}
            for kind, name in block.own.items():
                own = block.parameters[kind]
                values |= zip([p.address for p in own], draws[name].reshape(-1, len(own)).T, strict=True)
        S = draws[next(iter(draws))].shape[:2]
        lines = [coordinate.to_line(values) for coordinate in self.coordinates]
        return np.column_stack(lines) if lines else np.empty((int(np.prod(S)), 0))

    def start(self, guesses: Mapping[str, float]) -> np.ndarray:
        """A theta to begin from, shape (d,): parameters at the guesses, hyperparameters where their priors say."""
        values: dict[str, np.ndarray] = {}
        theta: list[float] = []
        for coordinate in self.coordinates:
            theta.append(coordinate.start(guesses.get(coordinate.name), values))
            values[coordinate.name], _ = coordinate.from_line(np.array(theta[-1]), values)
        return np.array(theta)

    def _coefficient_priors(
        self, values: Mapping[str, np.ndarray], theta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        empty = np.zeros((0, len(theta)), dtype=theta.dtype)
        located = [_normal_arguments(p.prior, values, theta) for p in self.coefficients]
        if not located:
            return empty, empty
        location, scale = zip(*located, strict=True)
        return np.stack(location), np.stack(scale)


def variances_of(spec: ModelSpec) -> Variances:
    """The coordinates of a model."""
    coordinates: list[Coordinate] = [Scalar(p) for p in spec.hyper]
    for block in spec.blocks:
        coordinates += [Scalar(p) for p in block.scalars]
        if block.cor:
            q, prior = block.q, block.cor.prior
            columns = [k for i in range(q) for k in range(i)]
            coordinates += [
                Partial(name, prior, (q - 2 - k) / 2)
                for name, k in zip(partial_names(block), columns, strict=True)
            ]
    return Variances(spec, (*coordinates, *(Scalar(p) for p in spec.auxiliary)))


def partial_names(block: BlockSpec) -> list[str]:
    """Of a block's partial correlations, row by row."""
    columns, name = block.block.columns, block.block.name
    return [f"partial[{name}, {columns[k]}, {columns[i]}]" for i in range(len(columns)) for k in range(i)]


def is_flat(parameter: Parameter) -> bool:
    """Whether its prior is flat."""
    return parameter.prior.distribution == "flat"


def _normal_arguments(
    prior: Prior, values: Mapping[str, np.ndarray], theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Location and scale of a coefficient, shape (B,) each."""
    known = {"mu": 0.0, "sigma": 1.0} | _arguments(prior, values)
    ones = np.ones(len(theta), dtype=theta.dtype)
    return known["mu"] * ones, known["sigma"] * ones


def _arguments(prior: Prior, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Stan's arguments by name, references followed."""
    return {
        name: values[value.address] if isinstance(value, Reference) else value
        for name, value in prior.named.items()
    }


def _frame(parameter: Parameter, values: Mapping[str, np.ndarray]) -> tuple[Any, Any, dict[str, Any], Any]:
    """The ends of the interval in which the parameter lies, its prior's arguments, and the log mass kept there."""
    prior, support = parameter.prior, parameter.support
    arguments = _arguments(prior, values)
    lower: Any = prior.support.lower
    upper: Any = prior.support.upper
    if prior.distribution == "uniform":
        lower, upper = arguments["lower"], arguments["upper"]
    is_cut = support.lower == 0 and np.any(np.real(lower) < 0)
    mass = log_mass_above_zero(prior.distribution, arguments) if is_cut else 0.0
    if support.lower == 0:
        lower = np.where(np.real(lower) < 0, 0.0, lower)
    return lower, upper, arguments, mass


def is_cut_at_zero(parameter: Parameter) -> bool:
    """Whether a prior lies within its parameter's support, or does but for what is below zero, whose mass is known."""
    support, prior = parameter.support, parameter.prior.support
    return support.holds(prior) or (support.lower == 0 and support.upper == inf)


def _typical(parameter: Parameter) -> float:
    """A number of the prior's own size, to begin from."""
    match parameter.prior.named:
        case {"mu": float() as mu, "sigma": float() as sigma}:
            return mu if mu > parameter.support.lower else sigma
        case {"beta": float() as rate} if parameter.prior.distribution == "exponential":
            return 1 / rate
    return 1.0


def _from_line(u: np.ndarray, lower: Any, upper: Any) -> tuple[Any, Any]:
    """The line -> an interval, and the log of the slope."""
    if np.any(np.real(upper) < inf):
        size = np.where(np.real(u) < 0, -u, u)
        far = np.exp(-size)
        inside = np.where(np.real(u) < 0, far, 1.0) / (1 + far)
        return lower + (upper - lower) * inside, np.log(upper - lower) - size - 2 * np.log1p(far)
    if np.any(np.real(lower) > -inf):
        return lower + np.exp(u), u
    return u, np.zeros_like(u)


def _to_line(x: float, lower: float, upper: float) -> float:
    """The inverse of `_from_line`, values near and beyond an end brought inside."""
    if upper < inf:
        place = np.clip((x - lower) / (upper - lower), 0.05, 0.95)
        return float(np.log(place / (1 - place)))
    if lower > -inf:
        return float(np.log(max(x - lower, 1e-3 * abs(x), 1e-300)))
    return x


def _all_to_line(x: np.ndarray, lower: Any, upper: Any) -> np.ndarray:
    """The inverse of `_from_line`."""
    if np.any(np.real(upper) < inf):
        return np.log(x - lower) - np.log(upper - x)
    return np.log(x - lower) if np.any(np.real(lower) > -inf) else x


def partials(correlation: np.ndarray) -> list[np.ndarray]:
    """Atanh of the canonical partial correlations, row by row, of matrices of shape (S, q, q)."""
    q = correlation.shape[-1]
    L = np.zeros_like(correlation)
    found = []
    for i in range(q):
        left = np.ones(len(correlation))
        for k in range(i):
            inner = correlation[:, i, k] - np.einsum("sj,sj->s", L[:, i, :k], L[:, k, :k])
            L[:, i, k] = inner / L[:, k, k]
            w = np.clip(L[:, i, k] / np.sqrt(left), -LARGEST_PARTIAL, LARGEST_PARTIAL)
            left = left * (1 - w**2)
            found.append(np.arctanh(w))
        L[:, i, i] = np.sqrt(left)
    return found


def _factor(spec: BlockSpec, values: Mapping[str, np.ndarray], theta: np.ndarray) -> np.ndarray:
    """The factor of a block's structure: a diagonal, shape (q, B), or lower triangular, (q, q, B)."""
    if not isinstance(spec.structure, Within):
        raise TypeError(f"There is no closed form of the structure {spec.structure.name!r}.")
    q, of_all = spec.q, (len(theta),)
    cor = _correlation_factor(spec, values, theta) if spec.cor else None
    numbers = spec.values(lambda p: values[p.address], np.stack, cor)
    F = spec.structure.factor(ARRAYS, numbers, q)
    if isinstance(F, np.ndarray):
        check_factor(spec.structure, F.shape, (q, q, *of_all) if spec.is_correlated else (q, *of_all))
        if spec.is_correlated and not formulas_own(spec.structure) and F[np.triu_indices(q, 1)].any():
            check_factor(spec.structure, "numbers above the diagonal", F.shape)
        return F
    rows = rows_of(spec.structure, F, q)
    if not spec.is_correlated:
        return np.stack([np.broadcast_to(np.asarray(row[-1]), of_all) for row in rows])
    whole = np.zeros((q, q, *of_all), dtype=theta.dtype)
    for i, row in enumerate(rows):
        for k, number in enumerate(row):
            whole[i, k] = number
    return whole


def _correlation_factor(spec: BlockSpec, values: Mapping[str, np.ndarray], theta: np.ndarray) -> np.ndarray:
    """The Cholesky factor of the correlation matrix, shape (q, q, B), from the coordinates of its partial correlations.

    sqrt(1 - w^2) is 1 / cosh(u), which no rounding takes to zero.
    """
    q = spec.q
    L = np.zeros((q, q, len(theta)), dtype=theta.dtype)
    L[0, 0] = 1.0
    coordinates = iter(partial_names(spec))
    for i in range(1, q):
        left: Any = 1.0
        for k in range(i):
            u = values[next(coordinates)]
            fade = np.exp(-np.where(np.real(u) < 0, -u, u))  # 1 / cosh(u), without overflow
            L[i, k] = np.tanh(u) * left
            left = left * 2 * fade / (1 + fade * fade)
        L[i, i] = left
    return L


def is_diagonal(F: np.ndarray) -> bool:
    """Whether a factor at B points is given as its diagonal, shape (q, B), and not as a matrix, (q, q, B)."""
    return F.ndim == 2  # of effects and points


def joined(factors: Sequence[np.ndarray]) -> np.ndarray:
    """The factors of independent blocks at B points as one: a diagonal, shape (q, B), if all are, else (q, q, B)."""
    if all(is_diagonal(F) for F in factors):
        return factors[0] if len(factors) == 1 else np.concatenate(factors)
    return side_by_side([as_matrix(F) if is_diagonal(F) else F for F in factors])


def as_matrix(diagonal: np.ndarray) -> np.ndarray:
    """A matrix by its diagonal, (q, ...) -> (q, q, ...)."""
    whole = np.zeros((len(diagonal), *diagonal.shape), dtype=diagonal.dtype)
    whole[range(len(diagonal)), range(len(diagonal))] = diagonal
    return whole


def side_by_side(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Matrices of independent blocks as one, shape (q, q, ...)."""
    if len(factors) == 1:
        return factors[0]
    q = sum(len(factor) for factor in factors)
    whole = np.zeros((q, q, *factors[0].shape[2:]), dtype=factors[0].dtype)
    start = 0
    for factor in factors:
        stop = start + len(factor)
        whole[start:stop, start:stop] = factor
        start = stop
    return whole
