"""Prior distributions as data: Stan's names and arguments, what they mean in PyMC, where they live."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Interval:
    """The open interval in which a value lies."""

    lower: float = -inf
    upper: float = inf

    def holds(self, other: "Interval") -> bool:
        """Whether all of the other interval lies in this one."""
        return self.lower <= other.lower and other.upper <= self.upper

    def meets(self, other: "Interval") -> bool:
        """Whether the two share more than a point."""
        return max(self.lower, other.lower) < min(self.upper, other.upper)

    def __str__(self) -> str:
        return {(-inf, inf): "all numbers", (0.0, inf): "positive numbers"}.get(
            (self.lower, self.upper), f"({self.lower:g}, {self.upper:g})"
        )


REAL = Interval()
POSITIVE = Interval(0.0, inf)
UNIT = Interval(0.0, 1.0)
CORRELATION = Interval(-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One row of the table.

    Attributes:
        arguments: Stan's argument names in order, each with the interval it must lie in.
        support: Where its values lie.
        pymc: The PyMC distribution, by name.
        names: For each PyMC argument the Stan argument it is.
        half: The PyMC distribution of its upper half when the location is zero, if PyMC has one.
        half_names: Its arguments.
        located: Names of the location and scale arguments of a family that is closed under shift and
            stretch; None for others.
        can_be_cut: Whether PyMC knows its distribution function, and so its mass beyond a cut.
    """

    arguments: Mapping[str, Interval]
    support: Interval
    pymc: str
    names: Mapping[str, str]
    half: str | None = None
    half_names: Mapping[str, str] | None = None
    located: tuple[str, str] | None = None
    can_be_cut: bool = True


_LOCATED = {"mu": REAL, "sigma": POSITIVE}
_MU_SIGMA = ("mu", "sigma")
_SHAPED = {"alpha": POSITIVE, "beta": POSITIVE}

DISTRIBUTIONS: Mapping[str, Distribution] = {
    "normal": Distribution(
        _LOCATED, REAL, "Normal", {"mu": "mu", "sigma": "sigma"}, "HalfNormal", {"sigma": "sigma"}, _MU_SIGMA
    ),
    "student_t": Distribution(
        {"nu": POSITIVE, **_LOCATED},
        REAL,
        "StudentT",
        {"nu": "nu", "mu": "mu", "sigma": "sigma"},
        "HalfStudentT",
        {"nu": "nu", "sigma": "sigma"},
        _MU_SIGMA,
    ),
    "cauchy": Distribution(
        _LOCATED, REAL, "Cauchy", {"alpha": "mu", "beta": "sigma"}, "HalfCauchy", {"beta": "sigma"}, _MU_SIGMA
    ),
    "double_exponential": Distribution(
        _LOCATED, REAL, "Laplace", {"mu": "mu", "b": "sigma"}, located=_MU_SIGMA
    ),
    "logistic": Distribution(_LOCATED, REAL, "Logistic", {"mu": "mu", "s": "sigma"}, located=_MU_SIGMA),
    "gumbel": Distribution(
        {"mu": REAL, "beta": POSITIVE}, REAL, "Gumbel", {"mu": "mu", "beta": "beta"}, located=("mu", "beta")
    ),
    "skew_normal": Distribution(
        {"xi": REAL, "omega": POSITIVE, "alpha": REAL},
        REAL,
        "SkewNormal",
        {"mu": "xi", "sigma": "omega", "alpha": "alpha"},
        located=("xi", "omega"),
        can_be_cut=False,
    ),
    "exponential": Distribution({"beta": POSITIVE}, POSITIVE, "Exponential", {"lam": "beta"}),
    "gamma": Distribution(_SHAPED, POSITIVE, "Gamma", {"alpha": "alpha", "beta": "beta"}),
    "inv_gamma": Distribution(_SHAPED, POSITIVE, "InverseGamma", {"alpha": "alpha", "beta": "beta"}),
    "lognormal": Distribution(_LOCATED, POSITIVE, "LogNormal", {"mu": "mu", "sigma": "sigma"}),
    "weibull": Distribution(
        {"alpha": POSITIVE, "sigma": POSITIVE}, POSITIVE, "Weibull", {"alpha": "alpha", "beta": "sigma"}
    ),
    "chi_square": Distribution({"nu": POSITIVE}, POSITIVE, "ChiSquared", {"nu": "nu"}),
    "beta": Distribution(_SHAPED, UNIT, "Beta", {"alpha": "alpha", "beta": "beta"}),
    "uniform": Distribution(
        {"lower": REAL, "upper": REAL}, REAL, "Uniform", {"lower": "lower", "upper": "upper"}
    ),
    "flat": Distribution({}, REAL, "Flat", {}, "HalfFlat", {}),
    "lkj": Distribution({"eta": POSITIVE}, CORRELATION, "", {}),
}
"""Every distribution that a prior can name; Stan Functions Reference 2.35, parts on continuous distributions.

`lkj` is a distribution of whole correlation matrices and has no PyMC name: the model writes it out.
"""
