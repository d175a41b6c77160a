"""The distribution of one observation in numbers: density, distribution function, moments, random draws.

    Family × link × predictor -> arguments -> LIKELIHOODS["Poisson"].log_density(y, arguments)

All functions are NumPy and SciPy, over arrays that broadcast. A family is served by a row of `LIKELIHOODS`
for its distribution; nothing else asks which family it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, expit, gammaln, log_expit, log_ndtr, ndtr, pdtr, xlogy

from mixedbayes.errors import FamilyError
from mixedbayes.models.families import Family, Link

type Arguments = Mapping[str, np.ndarray]
type Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A distribution as functions of its arguments, by PyMC's names.

    Attributes:
        log_density: Of y.
        cdf: The probability of y or less.
        mean, variance: Of y.
        draw: One random y for each set of arguments.
        is_discrete: Whether y takes whole numbers only.
        is_homoscedastic: Whether the variance is the same whatever the mean.
    """

    log_density: Callable[[np.ndarray, Arguments], np.ndarray]
    cdf: Callable[[np.ndarray, Arguments], np.ndarray]
    mean: Callable[[Arguments], np.ndarray]
    variance: Callable[[Arguments], np.ndarray]
    draw: Callable[[Generator, Arguments], np.ndarray]
    is_discrete: bool
    is_homoscedastic: bool = False


LOG_ODDS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "logit": lambda eta: eta,
    "probit": lambda eta: log_ndtr(eta) - log_ndtr(-eta),
    "cloglog": lambda eta: np.exp(eta) + np.log(-np.expm1(-np.exp(eta))),
}
"""The log-odds of the mean, by link: no probability is rounded to 0 or 1 on the way."""


def arguments_of(
    family: Family,
    link: Link,
    eta: np.ndarray,
    parameters: Mapping[str, np.ndarray],
    trials: np.ndarray | None,
) -> Arguments:
    """What the family's distribution takes, from the linear predictor.

    Args:
        family: From `find_family`, with its link.
        link: Of the mean.
        eta: The linear predictor.
        parameters: The family's own, by name.
        trials: For families that count successes.
    """
    found: dict[str, np.ndarray] = {}
    with np.errstate(over="ignore", divide="ignore"):
        for name, source in family.density.arguments.items():
            match source:
                case "mu":
                    found[name] = link.inverse(eta)
                case "logit_mu":
                    found[name] = LOG_ODDS[link.name](eta)
                case "eta":
                    found[name] = eta
                case "trials":
                    found[name] = np.ones(()) if trials is None else trials
                case parameter:
                    found[name] = parameters[parameter]
    return found


def likelihood_of(family: Family) -> Likelihood:
    """The family's distribution in numbers.

    Raises:
        FamilyError: It is of the user's own making, and nobody said what it is in numbers.
    """
    if family.density.distribution not in LIKELIHOODS:
        raise FamilyError(
            f"What {family.density.distribution}, the distribution of the family {family.name!r}, is in numbers is not known: "
            "add it to mixedbayes.models.likelihoods.LIKELIHOODS."
        )
    return LIKELIHOODS[family.density.distribution]


HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def _normal_log_density(y: np.ndarray, a: Arguments) -> np.ndarray:
    z = (y - a["mu"]) / a["sigma"]
    return -0.5 * z * z - np.log(a["sigma"]) - HALF_LOG_2PI


def _binomial_log_density(y: np.ndarray, a: Arguments) -> np.ndarray:
    n, x = a["n"], a["logit_p"]
    ways = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)
    # y log p + (n - y) log(1 - p), where an impossible outcome that did not occur counts nothing
    return ways + np.where(y > 0, y * log_expit(x), 0.0) + np.where(y < n, (n - y) * log_expit(-x), 0.0)


def _poisson_log_density(y: np.ndarray, a: Arguments) -> np.ndarray:
    mu = a["mu"]  # by the identity link it may be negative
    return np.where(mu >= 0, xlogy(y, np.maximum(mu, 0.0)) - mu - gammaln(y + 1), -np.inf)


def _binomial_cdf(y: np.ndarray, a: Arguments) -> np.ndarray:
    y, n, failure = np.broadcast_arrays(np.floor(y), a["n"], expit(-a["logit_p"]))
    inside = betainc(np.maximum(n - y, 1.0), np.maximum(y, 0.0) + 1, failure)
    return np.where(y < 0, 0.0, np.where(y >= n, 1.0, inside))


def _poisson_cdf(y: np.ndarray, a: Arguments) -> np.ndarray:
    y, mu = np.broadcast_arrays(np.floor(y), a["mu"])
    return np.where(mu < 0, np.nan, np.where(y < 0, 0.0, pdtr(np.maximum(y, 0), np.maximum(mu, 0.0))))


def _as_binomial(a: Arguments) -> Arguments:
    return {"n": np.ones(()), **a}


_BINOMIAL = Likelihood(
    log_density=_binomial_log_density,
    cdf=_binomial_cdf,
    mean=lambda a: a["n"] * expit(a["logit_p"]),
    variance=lambda a: a["n"] * expit(a["logit_p"]) * expit(-a["logit_p"]),
    draw=lambda rng, a: rng.binomial(np.asarray(a["n"], dtype=np.int64), expit(a["logit_p"])).astype(float),
    is_discrete=True,
)

LIKELIHOODS: dict[str, Likelihood] = {
    "Normal": Likelihood(
        log_density=_normal_log_density,
        cdf=lambda y, a: ndtr((y - a["mu"]) / a["sigma"]),
        mean=lambda a: a["mu"],
        variance=lambda a: np.square(a["sigma"]),
        draw=lambda rng, a: a["mu"] + a["sigma"] * rng.standard_normal(np.broadcast_shapes(*_shapes(a))),
        is_discrete=False,
        is_homoscedastic=True,
    ),
    "Bernoulli": Likelihood(
        log_density=lambda y, a: _binomial_log_density(y, _as_binomial(a)),
        cdf=lambda y, a: _binomial_cdf(y, _as_binomial(a)),
        mean=lambda a: _BINOMIAL.mean(_as_binomial(a)),
        variance=lambda a: _BINOMIAL.variance(_as_binomial(a)),
        draw=lambda rng, a: (rng.random(np.shape(a["logit_p"])) < expit(a["logit_p"])).astype(float),
        is_discrete=True,
    ),
    "Binomial": _BINOMIAL,
    "Poisson": Likelihood(
        log_density=_poisson_log_density,
        cdf=_poisson_cdf,
        mean=lambda a: a["mu"],
        variance=lambda a: a["mu"],
        draw=lambda rng, a: _poisson_draw(rng, a["mu"]),
        is_discrete=True,
    ),
}
"""By the name of PyMC's distribution."""

MAX_MEAN = 1e18
"""Of a Poisson draw as a 64-bit integer; beyond it a normal draw is the same to all digits."""


def _poisson_draw(rng: Generator, mu: np.ndarray) -> np.ndarray:
    drawn = rng.poisson(np.clip(mu, 0.0, MAX_MEAN)).astype(float)
    if np.all((mu >= 0) & (mu < MAX_MEAN)):
        return drawn
    with np.errstate(invalid="ignore"):
        large = mu + np.sqrt(mu) * rng.standard_normal(np.shape(mu))
    return np.where((mu >= 0) & (mu < MAX_MEAN), drawn, large)


def _shapes(a: Arguments) -> list[tuple[int, ...]]:
    return [np.shape(value) for value in a.values()]
