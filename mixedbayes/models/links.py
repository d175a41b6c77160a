"""Links: what of a family's parameter is linear. Each is written once, for arrays, graphs and derivatives.

link(parameter) = predictor,   parameter = inverse(predictor)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from scipy.special import ndtri

from mixedbayes.models.distributions import POSITIVE, REAL, UNIT, Interval
from mixedbayes.models.maths import ARRAYS, Maths

type OfPredictor = Callable[[Maths, Any], Any]


@dataclass(frozen=True, slots=True)
class Link:
    """What is linear.

    Attributes:
        name: As users write it.
        link: The predictor, of the parameter in arrays.
        inverse_of: The parameter, of the predictor.
        support: Where the parameter lies, whatever the predictor.
        log_of, logit_of: The parameter's logarithm and log-odds, of the predictor, where they can be had without passing
            through the parameter: nothing is rounded to 0 or 1, or to infinity, on the way.
        latent_variance: Of a variable whose sign is zero or one with probabilities by this link; None where the
            link takes no probabilities. Families say whether their responses are such signs.
    """

    name: str
    link: Callable[[np.ndarray], np.ndarray]
    inverse_of: OfPredictor
    support: Interval
    log_of: OfPredictor | None = None
    logit_of: OfPredictor | None = None
    latent_variance: float | None = None

    def inverse(self, eta: np.ndarray) -> np.ndarray:
        """The parameter, of the predictor in arrays."""
        return np.asarray(self.inverse_of(ARRAYS, eta))

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle one of ours by its name: functions without a name cannot be pickled."""
        if LINKS.get(self.name) is self:
            return _link, (self.name,)
        return object.__reduce_ex__(self, protocol)


def _cloglog_log(m: Maths, eta: Any) -> Any:
    """log(1 - exp(-rate)), by its series where the rate is small."""
    is_low = eta < -25
    low, high = m.where(is_low, eta, -25.0), m.where(is_low, -25.0, eta)
    return m.where(is_low, low - m.exp(low) / 2, m.log1mexp(-m.exp(high)))


def _cloglog_logit(m: Maths, eta: Any) -> Any:
    return m.exp(eta) + _cloglog_log(m, eta)


LINKS: Mapping[str, Link] = {
    link.name: link
    for link in (
        Link("identity", lambda mu: mu, lambda _, eta: eta, REAL),
        Link("log", np.log, lambda m, eta: m.exp(eta), POSITIVE, log_of=lambda _, eta: eta),
        Link(
            "logm1",
            lambda mu: np.log(mu - 1),
            lambda m, eta: 1 + m.exp(eta),
            Interval(1.0, np.inf),
        ),
        Link(
            "logit",
            lambda mu: np.log(mu) - np.log1p(-mu),
            lambda m, eta: m.expit(eta),
            UNIT,
            lambda m, eta: m.log_expit(eta),
            lambda _, eta: eta,
            np.pi**2 / 3,
        ),
        Link(
            "probit",
            ndtri,
            lambda m, eta: m.ndtr(eta),
            UNIT,
            lambda m, eta: m.log_ndtr(eta),
            lambda m, eta: m.log_ndtr(eta) - m.log_ndtr(-eta),
            1.0,
        ),
        Link(
            "cloglog",
            lambda mu: np.log(-np.log1p(-mu)),
            lambda m, eta: -m.expm1(-m.exp(eta)),
            UNIT,
            _cloglog_log,
            _cloglog_logit,
            np.pi**2 / 6,
        ),
    )
}


def _link(name: str) -> Link:
    """The link that a pickle names."""
    return LINKS[name]
