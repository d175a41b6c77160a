"""Families of the response, each one record; adding a family is adding a record.

    Family("poisson", "count", (FamilyParameter("mu", POSITIVE, ("log", "identity")),), log_density=_poisson, ...)

Its functions take y and `Values`, the parameters in numbers of any kind: log densities are written once for arrays,
for PyMC's graphs and for derivatives (`maths.py`). What happens only in arrays (moments, tails, draws) is NumPy and SciPy.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, SupportsIndex

import numpy as np
from scipy.special import betainc, betaincc, expit, pdtr, pdtrc, stdtr

from mixedbayes.arguments import is_one_of
from mixedbayes.designs.margins import Margins, margins
from mixedbayes.designs.response import ResponseValues
from mixedbayes.errors import FamilyError, listed, nearest, shown
from mixedbayes.language.additions import Addition
from mixedbayes.language.formula import MEAN
from mixedbayes.models import elsewhere
from mixedbayes.models.distributions import POSITIVE, REAL, UNIT, Interval
from mixedbayes.models.links import LINKS, Link
from mixedbayes.models.maths import HALF_LOG_2PI, Maths, jet_of, log_rising
from mixedbayes.models.priors import Prior
from mixedbayes.models.values import WEIGHTS, Values

type Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Always:
    """A number that does not depend on the data."""

    number: float

    def __call__(self, _: Margins) -> float:
        """The number."""
        return self.number


def _somewhere(support: Interval) -> float:
    """One if it lies there, else the middle, or one from the end."""
    if support.lower < 1 < support.upper:
        return 1.0
    if np.isfinite(support.lower) and np.isfinite(support.upper):
        return (support.lower + support.upper) / 2
    return support.lower + 1 if np.isfinite(support.lower) else support.upper - 1


_ANYWHERE = Always(np.nan)


@dataclass(frozen=True, slots=True)
class FamilyParameter:
    """A parameter of a family.

    Attributes:
        name: As in addresses and formulas.
        support: Where it lies.
        links: Names of the links that it can take with a formula of its own, the default first.
        default: Its prior without a formula, given the data's margins; None for the first, which always has one.
        typical: A value of about its size, at whose link the prior of the intercept of a formula of its own sits; some
            value of its support if nobody says.
    """

    name: str
    support: Interval
    links: tuple[str, ...]
    default: Callable[[Margins], Prior] | None = None
    typical: Callable[[Margins], float] = _ANYWHERE

    def __post_init__(self) -> None:
        """Find a typical value if none was given."""
        if self.typical is _ANYWHERE:
            object.__setattr__(self, "typical", Always(_somewhere(self.support)))


@dataclass(frozen=True, slots=True)
class Scale:
    """On which scale of the response the first parameter is a location: `of(y)`, with the log of its slope."""

    of: Callable[[np.ndarray], np.ndarray]
    log_slope: Callable[[np.ndarray], np.ndarray]


AS_IT_IS = Scale(np.asarray, np.zeros_like)
LOGARITHM = Scale(np.log, lambda y: -np.log(y))


@dataclass(frozen=True, slots=True)
class Tails:
    """The logs of the probabilities of y or less, `below(y, values)`, and of more, `above(y, values)`."""

    below: Callable[[np.ndarray, Values], np.ndarray]
    above: Callable[[np.ndarray, Values], np.ndarray]


@dataclass(frozen=True, slots=True)
class PyMC:
    """The family in PyMC: a distribution by name, and its arguments by PyMC's names."""

    distribution: str
    arguments: Callable[[Values], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Family:
    """A family.

    Attributes:
        name: In small letters, as users write it.
        response: Which responses it takes, a key of `responses.RESPONSES`.
        parameters: In order; the first has the formula's predictor.
        log_density: Of y, in numbers of any kind.
        mean: Of y, in arrays.
        draw: One random y for each set of parameters.
        variance: Of y; infinite, or not a number, where there is none. None if nobody said.
        tails: The probabilities of y or less, and of more. None if nobody said.
        pymc: The distribution that PyMC has for it; None to let PyMC sample from `log_density`.
        additions: What may stand beside the response, `y | trials(n) ~ x`, by name; weights may beside any.
        replaced: Parameters in whose place one of these stands, by its name: `{"se": "sigma"}`. An option of the parameter's
            name keeps it, as in `se(s, sigma=TRUE)`.
        scale: That of the first parameter, where it is not the response's own.
        residual: The parameter, if one is, that is the standard deviation of y about its mean (on that scale).
        is_gaussian: Whether on that scale y is normal, with the first parameter as mean and the residual.
        is_discrete: Whether y takes whole numbers only.
        counts_signs: Whether a response is the sign of a latent variable, or counts such signs in trials that are
            independent: the variable's variance is then known (`Link.latent_variance`).
    """

    name: str
    response: str
    parameters: tuple[FamilyParameter, ...]
    _: KW_ONLY
    log_density: Callable[[Any, Values], Any]
    mean: Callable[[Values], np.ndarray]
    draw: Callable[[Generator, Values], np.ndarray]
    variance: Callable[[Values], np.ndarray] | None = None
    tails: Tails | None = None
    pymc: PyMC | None = None
    additions: frozenset[str] = frozenset()
    replaced: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = AS_IT_IS
    residual: str | None = None
    is_gaussian: bool = False
    is_discrete: bool = False
    counts_signs: bool = False

    @property
    def links(self) -> tuple[str, ...]:
        """Of the first parameter, the default first."""
        return self.parameters[0].links

    def __post_init__(self) -> None:
        """Refuse a record that no model could be made of.

        Raises:
            FamilyError: It says what is wrong.
        """
        if not self.parameters:
            raise FamilyError(
                f"The family {self.name!r} has no parameter; the first is the one that a formula predicts."
            )
        names = [p.name for p in self.parameters]
        if names[0] != MEAN:
            raise FamilyError(
                f"The first parameter of the family {self.name!r}, which a formula predicts, is called {MEAN!r}, not {names[0]!r}."
            )
        if len(set(names)) < len(names):
            raise FamilyError(f"The family {self.name!r} has two parameters of one name: {listed(names)}.")
        for parameter in self.parameters:
            unknown = [link for link in parameter.links if link not in LINKS]
            if unknown or not parameter.links:
                wrong = f"no link {unknown[0]!r}" if unknown else "to have a link"
                raise FamilyError(
                    f"The parameter {parameter.name} of the family {self.name!r} has {wrong}; there are {listed(LINKS)}."
                )
        for parameter in self.others:
            if parameter.default is None:
                raise FamilyError(
                    f"The parameter {parameter.name} of the family {self.name!r} has no default prior: "
                    "give it one, default=lambda y: mb.prior('exponential', 1 / y.sd)."
                )
        if self.residual is not None and self.residual not in names[1:]:
            raise FamilyError(
                f"The residual of the family {self.name!r}, {self.residual!r}, is none of its parameters."
            )
        self._check_replaced()

    def _check_replaced(self) -> None:
        for addition, name in self.replaced.items():
            if addition not in self.additions or name not in [p.name for p in self.others]:
                raise FamilyError(
                    f"The family {self.name!r} has {addition}() in place of {name!r}: it takes no such addition, or has no such "
                    "parameter beside the first."
                )

    def parameter(self, name: str) -> FamilyParameter:
        """The parameter of that name.

        Raises:
            FamilyError: There is none.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [p.name for p in self.parameters]
        raise FamilyError(
            f"The {self.name} family has no parameter {name!r}.{nearest(name, names)} Its parameters: {listed(names)}."
        )

    def estimated(self, additions: Mapping[str, Addition]) -> tuple[FamilyParameter, ...]:
        """The parameters but those in whose place something stands beside the response."""
        known = {
            name
            for addition, name in self.replaced.items()
            if addition in additions and not additions[addition].options.get(name)
        }
        return tuple(p for p in self.parameters if p.name not in known)

    def margins_of(self, y: ResponseValues) -> Margins:
        """Those of a response, on the scale of which the first parameter is a location; rows of weight zero have no part."""
        y = y.counted
        return margins(self.scale.of(y.values), y.trials)

    @property
    def others(self) -> tuple[FamilyParameter, ...]:
        """The parameters beside the first."""
        return self.parameters[1:]

    def log_likelihood(self, y: Any, values: Values) -> Any:
        """What a row adds to the log likelihood: its log density times its weight; nothing, if that is zero."""
        density, weights, m = self.log_density(y, values), values.addition(WEIGHTS), values.maths
        if weights is None:
            return density
        counts = weights > 0  # where it is zero an impossible response is no matter
        return m.where(counts, m.where(counts, weights, 1.0) * density, 0.0)

    def cdf(self, y: np.ndarray, values: Values) -> np.ndarray:
        """The probability of y or less.

        Raises:
            FamilyError: Nobody said what it is.
        """
        return np.exp(self.log_cdf(y, values))

    def log_cdf(self, y: np.ndarray, values: Values) -> np.ndarray:
        """The log of the probability of y or less.

        Raises:
            FamilyError: Nobody said what it is.
        """
        return self._tails.below(y, values)

    def log_survival(self, y: np.ndarray, values: Values) -> np.ndarray:
        """The log of the probability of more than y.

        Raises:
            FamilyError: Nobody said what it is.
        """
        return self._tails.above(y, values)

    @property
    def _tails(self) -> Tails:
        if self.tails is None:
            raise FamilyError(
                f"The family {self.name!r} has no distribution function: give its record tails=mb.Tails(below, above)."
            )
        return self.tails

    def variance_of(self, values: Values) -> np.ndarray:
        """The variance of y.

        Raises:
            FamilyError: Nobody said what it is.
        """
        if self.variance is None:
            raise FamilyError(f"The family {self.name!r} has no variance: give its record one.")
        return self.variance(values)

    def derivatives(self, y: np.ndarray, values: Values, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The first and second derivative of the log likelihood by the predictor of a parameter, exact to rounding."""
        with np.errstate(all="ignore"):  # of branches that `where` leaves
            found = jet_of(self.log_likelihood(y, values.jets(name)))
        shape = np.shape(found.value)
        return np.broadcast_to(found.slope, shape), np.broadcast_to(found.curvature, shape)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle one of `FAMILIES` by its name, so that it is the same again."""
        if FAMILIES.get(self.name) is self:
            return _family, (self.name,)
        return object.__reduce_ex__(self, protocol)


def _log(probability: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(probability)


# Normal, lognormal and Student's t: a location, a scale


def _spread(p: Values) -> Any:
    """Sigma, the known standard error in its place, or the root of both squared."""
    known = p.addition("se")
    if known is None:
        return p["sigma"]
    return p.maths.sqrt(known * known + p["sigma"] ** 2) if "sigma" in p.parameters else known


def _log_spread(p: Values) -> Any:
    return p.log("sigma") if p.addition("se") is None else p.maths.log(_spread(p))


def _z(y: Any, p: Values) -> Any:
    return (y - p["mu"]) / _spread(p)


def _normal(y: Any, p: Values) -> Any:
    z = _z(y, p)
    return -0.5 * z * z - _log_spread(p) - HALF_LOG_2PI


def _normal_draw(rng: Generator, p: Values) -> np.ndarray:
    return np.asarray(p["mu"] + _spread(p) * rng.standard_normal(p.shape))


def _lognormal(y: Any, p: Values) -> Any:
    m = p.maths
    log_y = m.log(m.where(y > 0, y, 1.0))
    return m.where(y > 0, _normal(log_y, p) - log_y, -np.inf)


def _of_log(
    function: Callable[[np.ndarray, Values], np.ndarray],
) -> Callable[[np.ndarray, Values], np.ndarray]:
    """A function of y, by that of its logarithm; minus infinity below zero."""
    return lambda y, p: function(_log(np.maximum(y, 0.0)), p)


def _student_t(y: Any, p: Values) -> Any:
    m, nu, z = p.maths, p["nu"], _z(y, p)
    scale = log_rising(m, nu / 2, 0.5) - 0.5 * m.log(nu * np.pi) - _log_spread(p)
    return scale - (nu + 1) / 2 * m.log1p(z * z / nu)


def _student_t_variance(p: Values) -> np.ndarray:
    """Infinite for one to two degrees of freedom."""
    nu = np.asarray(p["nu"])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(nu > 2, nu / (nu - 2), np.inf) * np.square(_spread(p))


# Counts of successes, and of events


def _successes(y: Any, p: Values) -> Any:
    m, x, n = p.maths, p.logit("mu"), p.addition("trials", 1.0)
    ways = m.gammaln(n + 1.0) - m.gammaln(y + 1.0) - m.gammaln(n - y + 1.0)
    return ways + _times(m, y, m.log_expit(x)) + _times(m, n - y, m.log_expit(-x))


def _times(m: Maths, n: Any, log: Any) -> Any:
    """Of something that happened n times: n times its log probability, which counts nothing where n is 0, infinite or not."""
    return n * m.where(n > 0, log, 0.0)


def _betainc(a: np.ndarray, b: np.ndarray, logit: np.ndarray) -> np.ndarray:
    """The regularised incomplete beta function I_x(a, b), of the log-odds of x: it may be very near 1."""
    return np.where(logit < 0, betainc(a, b, expit(logit)), betaincc(b, a, expit(-logit)))


def _successes_tail(y: np.ndarray, p: Values, *, above: bool) -> np.ndarray:
    y, n, x = np.broadcast_arrays(np.floor(y), p.addition("trials", 1.0), p.logit("mu"))
    a, b = np.maximum(n - y, 1.0), np.maximum(y, 0.0) + 1
    inside = _betainc(b, a, x) if above else _betainc(a, b, -x)
    return _log(np.where(y < 0, float(above), np.where(y >= n, float(not above), inside)))


def _successes_draw(rng: Generator, p: Values) -> np.ndarray:
    n = np.asarray(p.addition("trials", 1), dtype=np.int64)
    return rng.binomial(n, p["mu"], size=p.shape).astype(float)


def _poisson(y: Any, p: Values) -> Any:
    m, mu = p.maths, p["mu"]  # by the identity link it may be negative
    found = _times(m, y, p.log("mu")) - mu - m.gammaln(y + 1.0)
    return m.where(mu >= 0, found, -np.inf)


def _poisson_tail(y: np.ndarray, p: Values, *, above: bool) -> np.ndarray:
    y, mu = np.broadcast_arrays(np.floor(y), p["mu"])
    inside = (pdtrc if above else pdtr)(np.maximum(y, 0), np.maximum(mu, 0.0))
    return _log(np.where(mu < 0, np.nan, np.where(y < 0, float(above), inside)))


MAX_MEAN = 1e18
"""Of a Poisson draw as a 64-bit integer; beyond it a normal draw is the same to all digits."""


def _poisson_draw(rng: Generator, mu: np.ndarray) -> np.ndarray:
    drawn = rng.poisson(np.clip(np.nan_to_num(mu), 0.0, MAX_MEAN)).astype(float)
    if np.all((mu >= 0) & (mu < MAX_MEAN)):
        return drawn
    with np.errstate(invalid="ignore"):
        large = mu + np.sqrt(mu) * rng.standard_normal(np.shape(mu))
    return np.where((mu >= 0) & (mu < MAX_MEAN), drawn, large)


def _negative_binomial(y: Any, p: Values) -> Any:
    m, shape = p.maths, p["shape"]
    x = p.log("mu") - p.log("shape")
    ways = log_rising(m, shape, m.where(y > 0, y, 0.0)) - m.gammaln(y + 1.0)
    found = ways + _times(m, y, m.log_expit(x)) + shape * m.log_expit(-x)
    return m.where(p["mu"] >= 0, found, -np.inf)  # by the identity link it may be negative


def _negative_binomial_tail(y: np.ndarray, p: Values, *, above: bool) -> np.ndarray:
    y, shape, x = np.broadcast_arrays(np.floor(y), p["shape"], p.log("mu") - p.log("shape"))
    a = np.maximum(y, 0.0) + 1
    inside = _betainc(a, shape, x) if above else _betainc(shape, a, -x)
    return _log(np.where(y < 0, float(above), inside))


def _negative_binomial_draw(rng: Generator, p: Values) -> np.ndarray:
    shape = p["shape"]
    return _poisson_draw(rng, np.asarray(p["mu"] * rng.gamma(shape, 1.0, p.shape) / shape))


# Shares


def _others(p: Values) -> Any:
    """1 - mu, without loss where mu is near 1."""
    return p.maths.expit(-p.logit("mu"))


def _beta(y: Any, p: Values) -> Any:
    m, phi = p.maths, p["phi"]
    a, b = p["mu"] * phi, _others(p) * phi
    inside = m.where((y > 0) & (y < 1), y, 0.5)
    # gamma(a) is gamma(a + 1) / a: where mu is too near 0 for a number, its logarithm is not
    logs = p.log("mu") + m.log_expit(-p.logit("mu")) + p.log("phi")
    ways = m.gammaln(phi + 1.0) - m.gammaln(a + 1.0) - m.gammaln(b + 1.0) + logs
    found = ways + (a - 1) * m.log(inside) + (b - 1) * m.log1p(-inside)
    return m.where((y > 0) & (y < 1), found, -np.inf)


def _beta_tail(y: np.ndarray, p: Values, *, above: bool) -> np.ndarray:
    a, b, y = p["mu"] * p["phi"], _others(p) * p["phi"], np.clip(y, 0.0, 1.0)
    return _log((betaincc if above else betainc)(a, b, y))


def _beta_draw(rng: Generator, p: Values) -> np.ndarray:
    tiny = np.finfo(float).tiny
    drawn = rng.beta(
        np.maximum(p["mu"] * p["phi"], tiny), np.maximum(_others(p) * p["phi"], tiny), size=p.shape
    )
    return np.clip(
        drawn, tiny, 1 - np.finfo(float).epsneg
    )  # rounding may reach the ends, which have no density


def _tails(tail: Callable[..., np.ndarray]) -> Tails:
    """The two tails of a distribution, as a family has them."""
    return Tails(lambda y, p: tail(y, p, above=False), lambda y, p: tail(y, p, above=True))


_NORMAL_TAILS = Tails(lambda y, p: p.maths.log_ndtr(_z(y, p)), lambda y, p: p.maths.log_ndtr(-_z(y, p)))

BINARY_LINKS = ("logit", "probit", "cloglog")

LOCATION = FamilyParameter("mu", REAL, ("identity", "log"))
SIGMA = FamilyParameter(
    "sigma", POSITIVE, ("log", "identity"), lambda y: Prior("exponential", (1.0 / y.sd,)), lambda y: y.sd
)
NU = FamilyParameter(
    "nu", Interval(1.0, np.inf), ("logm1", "identity"), lambda _: Prior("gamma", (2.0, 0.1)), lambda _: 20.0
)
SHAPE = FamilyParameter("shape", POSITIVE, ("log", "identity"), lambda _: Prior("inv_gamma", (0.4, 0.3)))
PHI = FamilyParameter(
    "phi", POSITIVE, ("log", "identity"), lambda _: Prior("inv_gamma", (0.4, 0.3)), lambda _: 10.0
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "gaussian",
            "real",
            (LOCATION, SIGMA),
            log_density=_normal,
            mean=lambda p: p["mu"],
            variance=lambda p: np.square(_spread(p)),
            draw=_normal_draw,
            tails=_NORMAL_TAILS,
            pymc=PyMC("Normal", lambda p: {"mu": p["mu"], "sigma": _spread(p)}),
            additions=frozenset({"se"}),
            replaced={"se": "sigma"},
            residual="sigma",
            is_gaussian=True,
        ),
        Family(
            "student_t",
            "real",
            (LOCATION, SIGMA, NU),
            log_density=_student_t,
            mean=lambda p: p["mu"],
            variance=_student_t_variance,
            draw=lambda rng, p: np.asarray(p["mu"] + _spread(p) * rng.standard_t(p["nu"], p.shape)),
            tails=Tails(
                lambda y, p: _log(stdtr(p["nu"], _z(y, p))), lambda y, p: _log(stdtr(p["nu"], -_z(y, p)))
            ),
            pymc=PyMC("StudentT", lambda p: {"nu": p["nu"], "mu": p["mu"], "sigma": _spread(p)}),
            additions=frozenset({"se"}),
            replaced={"se": "sigma"},
        ),
        Family(
            "lognormal",
            "positive",
            (FamilyParameter("mu", REAL, ("identity",)), SIGMA),
            log_density=_lognormal,
            mean=lambda p: p.maths.exp(p["mu"] + np.square(p["sigma"]) / 2),
            variance=lambda p: (
                p.maths.expm1(np.square(p["sigma"])) * p.maths.exp(2 * p["mu"] + np.square(p["sigma"]))
            ),
            draw=lambda rng, p: p.maths.exp(_normal_draw(rng, p)),
            tails=Tails(_of_log(_NORMAL_TAILS.below), _of_log(_NORMAL_TAILS.above)),
            pymc=PyMC("LogNormal", lambda p: {"mu": p["mu"], "sigma": p["sigma"]}),
            scale=LOGARITHM,
            residual="sigma",
            is_gaussian=True,
        ),
        Family(
            "bernoulli",
            "binary",
            (FamilyParameter("mu", UNIT, BINARY_LINKS),),
            log_density=_successes,
            mean=lambda p: p["mu"],
            variance=lambda p: p["mu"] * _others(p),
            draw=lambda rng, p: (rng.random(p.shape) < p["mu"]).astype(float),
            tails=_tails(_successes_tail),
            pymc=PyMC("Bernoulli", lambda p: {"logit_p": p.logit("mu")}),
            is_discrete=True,
            counts_signs=True,
        ),
        Family(
            "binomial",
            "successes",
            (FamilyParameter("mu", UNIT, BINARY_LINKS),),
            log_density=_successes,
            mean=lambda p: p.addition("trials", 1.0) * p["mu"],
            variance=lambda p: p.addition("trials", 1.0) * p["mu"] * _others(p),
            draw=_successes_draw,
            tails=_tails(_successes_tail),
            pymc=PyMC("Binomial", lambda p: {"n": p.addition("trials"), "logit_p": p.logit("mu")}),
            additions=frozenset({"trials"}),
            is_discrete=True,
            counts_signs=True,
        ),
        Family(
            "poisson",
            "count",
            (FamilyParameter("mu", POSITIVE, ("log", "identity")),),
            log_density=_poisson,
            mean=lambda p: p["mu"],
            variance=lambda p: p["mu"],
            draw=lambda rng, p: _poisson_draw(rng, np.broadcast_to(p["mu"], p.shape)),
            tails=_tails(_poisson_tail),
            pymc=PyMC("Poisson", lambda p: {"mu": p["mu"]}),
            is_discrete=True,
        ),
        Family(
            "negative_binomial",
            "count",
            (FamilyParameter("mu", POSITIVE, ("log", "identity")), SHAPE),
            log_density=_negative_binomial,
            mean=lambda p: p["mu"],
            variance=lambda p: p["mu"] + np.square(p["mu"]) / p["shape"],
            draw=_negative_binomial_draw,
            tails=_tails(_negative_binomial_tail),
            pymc=PyMC("NegativeBinomial", lambda p: {"mu": p["mu"], "alpha": p["shape"]}),
            is_discrete=True,
        ),
        Family(
            "beta",
            "share",
            (FamilyParameter("mu", UNIT, BINARY_LINKS), PHI),
            log_density=_beta,
            mean=lambda p: p["mu"],
            variance=lambda p: p["mu"] * _others(p) / (1 + p["phi"]),
            draw=_beta_draw,
            tails=_tails(_beta_tail),
            pymc=PyMC("Beta", lambda p: {"alpha": p["mu"] * p["phi"], "beta": _others(p) * p["phi"]}),
        ),
    )
}


def find_family(family: str | Family, link: str | None = None) -> tuple[Family, Link]:
    """The family, and the link of its mean, by their names.

    Raises:
        FamilyError: There is none of that name, or the family does not take that link.
    """
    if not isinstance(family, Family):
        family = _family_of(family)
    return family, _link_of(family, MEAN, link)


def links_of(family: Family, link: str | Mapping[str, str] | None, names: Collection[str]) -> dict[str, Link]:
    """The links of the parameters that have a predictor, by name.

    Args:
        family: From `find_family`.
        link: That of the mean by its name, or of several parameters by theirs; those left out have the default.
        names: The parameters, the mean first.

    Raises:
        FamilyError: There is no such parameter or link, the parameter does not take it, or it has no predictor.
    """
    asked = link if isinstance(link, Mapping) else {MEAN: link}
    for name in asked:
        if family.parameter(str(name)).name not in names:
            raise FamilyError(
                f"The link of {name} has no use: {name} has no formula of its own, as in {name}='~ x', and is estimated as it is."
            )
    return {name: _link_of(family, name, asked.get(name)) for name in names}


def _link_of(family: Family, name: str, link: str | None) -> Link:
    parameter = family.parameter(name)
    asked = parameter.links[0] if link is None else link
    if not is_one_of(asked, parameter.links):
        of = "" if name == MEAN else f" for {name}"
        raise FamilyError(
            f"The {family.name} family has no link {shown(asked)}{of}.{nearest(shown(asked), parameter.links)} Its links: {listed(parameter.links)}."
        )
    return LINKS[asked]


def _family_of(family: Any) -> Family:
    """The family of that name, as it is here or elsewhere, whatever its letters' case."""
    if not isinstance(family, str):
        kind = getattr(family, "__name__", type(family).__name__)
        called = _called(kind)
        named = f": family={called!r}" if called else f", one of {listed(FAMILIES, 40)}, or an mb.Family"
        raise FamilyError(f"A family is a text{named}, not {kind}.")
    name = family.strip().lower()
    head, bracket, rest = name.partition("(")
    called = _called(head)
    if called and bracket:
        link = next((repr(link) for link in LINKS if link in rest), "...")
        raise FamilyError(
            f"A family is named without brackets, and its link by itself: family={called!r}, link={link}."
        )
    if called:
        return FAMILIES[called]
    plain = elsewhere.squeezed(head)
    if plain in elsewhere.UNSUPPORTED:
        advice = elsewhere.UNSUPPORTED[plain]
        raise FamilyError(
            f"The family {family!r} is not supported yet; there are {listed(FAMILIES, 40)}."
            + (f" {advice[0].upper()}{advice[1:]}." if advice else "")
        )
    raise FamilyError(
        f"There is no family {family!r}.{nearest(name, FAMILIES)} Known: {listed(FAMILIES, 40)}."
    )


def _called(name: str) -> str | None:
    """What a family of that name is called here, if it is here."""
    plain = elsewhere.squeezed(name)
    ours = {elsewhere.squeezed(known): known for known in FAMILIES} | dict(elsewhere.ALIASES)
    return name if name in FAMILIES else ours.get(plain)


def _family(name: str) -> Family:
    """The family that a pickle names."""
    return find_family(name)[0]
