"""Families of the response, each one small record; adding a family is adding a record.

FAMILIES["poisson"] = Family("poisson", ("log", "identity"), "count", (), Density("Poisson", {"mu": "mu"}))
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from mixedbayes.designs.design import Design
from mixedbayes.designs.response import ResponseValues
from mixedbayes.errors import FamilyError, counted, is_one_of, listed, nearest, shown
from mixedbayes.models import elsewhere
from mixedbayes.models.distributions import POSITIVE, Interval
from mixedbayes.models.priors import Prior


@dataclass(frozen=True, slots=True)
class Link:
    """What is linear: `link(mean) = predictor`, both vectorised NumPy functions.

    Attributes:
        latent_variance: Of a variable whose sign is zero or one with probabilities by this link; None where the
            link takes no probabilities. Families say whether their responses are such signs.
    """

    name: str
    link: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]
    latent_variance: float | None = None

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle one of ours by its name: functions without a name cannot be pickled."""
        if LINKS.get(self.name) is self:
            return _link, (self.name,)
        return object.__reduce_ex__(self, protocol)


LINKS: Mapping[str, Link] = {
    link.name: link
    for link in (
        Link("identity", lambda mu: mu, lambda eta: eta),
        Link("log", np.log, np.exp),
        Link("logit", logit, expit, np.pi**2 / 3),
        Link("probit", ndtri, ndtr, 1.0),
        Link("cloglog", lambda mu: np.log(-np.log1p(-mu)), lambda eta: -np.expm1(-np.exp(eta)), np.pi**2 / 6),
    )
}


@dataclass(frozen=True, slots=True)
class Density:
    """The density of one observation, as data.

    Attributes:
        distribution: PyMC's distribution, by name.
        arguments: For each of its arguments what it is: `mu` (the mean, or the probability), `logit_mu`
            (its log-odds, computed without loss for every link), `eta` (the linear predictor), `trials`,
            or a parameter of the family.
    """

    distribution: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FamilyParameter:
    """A parameter beside the mean: its support, and its default prior given sd(y)."""

    name: str
    support: Interval
    default: Callable[[float], Prior]


@dataclass(frozen=True, slots=True)
class Family:
    """A family.

    Attributes:
        links: Names of the links it can take, the default first.
        response: Which responses it takes, a key of `RESPONSES`.
        parameters: What it has beside the mean.
        counts_signs: Whether a response is the sign of a latent variable, or counts such signs in trials that are
            independent: the variable's variance is then known (`Link.latent_variance`).
    """

    name: str
    links: tuple[str, ...]
    response: str
    parameters: tuple[FamilyParameter, ...]
    density: Density
    counts_signs: bool = False

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle one of `FAMILIES` by its name, so that it is the same again."""
        if FAMILIES.get(self.name) is self:
            return _family, (self.name,)
        return object.__reduce_ex__(self, protocol)


SIGMA = FamilyParameter("sigma", POSITIVE, lambda sd: Prior("exponential", (1.0 / sd,)))
BINARY_LINKS = ("logit", "probit", "cloglog")

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "gaussian",
            ("identity", "log"),
            "real",
            (SIGMA,),
            Density("Normal", {"mu": "mu", "sigma": "sigma"}),
        ),
        Family(
            "bernoulli",
            BINARY_LINKS,
            "binary",
            (),
            Density("Bernoulli", {"logit_p": "logit_mu"}),
            counts_signs=True,
        ),
        Family(
            "binomial",
            BINARY_LINKS,
            "successes",
            (),
            Density("Binomial", {"n": "trials", "logit_p": "logit_mu"}),
            counts_signs=True,
        ),
        Family("poisson", ("log", "identity"), "count", (), Density("Poisson", {"mu": "mu"})),
    )
}

_NAMES = {*FAMILIES, *elsewhere.ALIASES}


def find_family(family: str | Family, link: str | None = None) -> tuple[Family, Link]:
    """The family and link by their names.

    Raises:
        FamilyError: There is none of that name, or the family does not take that link.
    """
    if not isinstance(family, Family):
        family = _family_of(family)
    name = family.links[0] if link is None else link
    if not is_one_of(name, family.links):
        raise FamilyError(
            f"The {family.name} family has no link {shown(name)}.{nearest(shown(name), family.links)} Its links: {listed(family.links)}."
        )
    return family, LINKS[name]


def _family_of(family: Any) -> Family:
    """The family of that name, as it is here or elsewhere, whatever its letters' case."""
    if not isinstance(family, str):
        kind = getattr(family, "__name__", type(family).__name__)
        named = (
            f": family={elsewhere.ALIASES.get(kind.lower(), kind.lower())!r}"
            if kind.lower() in _NAMES
            else ""
        )
        raise FamilyError(f"A family is a text{named or f', one of {listed(FAMILIES, 40)}'}, not {kind}.")
    name = family.strip().lower()
    name = elsewhere.ALIASES.get(name, name)
    if name in FAMILIES:
        return FAMILIES[name]
    head, bracket, rest = name.partition("(")
    if bracket and head in _NAMES:
        link = next((repr(link) for link in LINKS if link in rest), "...")
        called = elsewhere.ALIASES.get(head, head)
        raise FamilyError(
            f"A family is named without brackets, and its link by itself: family={called!r}, link={link}."
        )
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


def _family(name: str) -> Family:
    """The family that a pickle names."""
    return find_family(name)[0]


def _link(name: str) -> Link:
    """The link that a pickle names."""
    return LINKS[name]


def check_response(design: Design, family: Family) -> None:
    """Refuse a response that the family cannot take; a bad value is named with its row in the data.

    Raises:
        FamilyError: With the remedy.
    """
    _refuse_predictors(design, family)
    _refuse_additions(design.response, family)
    RESPONSES[family.response](design.response, family, design.rows.kept)


def _refuse_predictors(design: Design, family: Family) -> None:
    """Refuse right sides of parameters beside the mean, which no family has yet: they would be ignored."""
    if design.predictors:
        raise FamilyError(
            f"Formulas for {listed(design.predictors)} are not supported yet: a parameter of the {family.name} family beside the "
            "mean is the same in every row."
        )


def _refuse_additions(y: ResponseValues, family: Family) -> None:
    """Refuse what stands right of the bar and no family takes yet: it would be ignored."""
    others = [f"{name}()" for name in y.additions if name != "trials"]
    if others:
        raise FamilyError(
            f"{listed(others)} beside the response {y.name}: not supported yet by the {family.name} family, which would leave it "
            "out; for shares write the counts, successes | trials(n)."
        )


def _real(y: ResponseValues, family: Family, _rows: np.ndarray) -> None:
    if y.levels is not None:
        raise FamilyError(
            f"The response {y.name} holds {y.held}, not numbers, which the {family.name} family needs.{_two(y)}"
        )
    _no_trials(y, family)
    if np.ptp(y.values) == 0:
        raise FamilyError(
            f"The response {y.name} is {y.values[0]:g} in every row; there is nothing to model."
        )


def _binary(y: ResponseValues, family: Family, rows: np.ndarray) -> None:
    _no_trials(y, family)
    if y.levels is not None and len(y.levels) > 2:
        raise FamilyError(
            f"The response {y.name} has {len(y.levels)} levels ({listed(map(repr, y.levels))}); the {family.name} family takes two. "
            f"To model one of them against the rest write {y.name}[{y.levels[-1]!r}] ~ ..."
        )
    _refuse_rows(
        y,
        rows,
        ~np.isin(y.values, (0.0, 1.0)),
        f"the {family.name} family takes 0 and 1",
        "Counts of successes go with family='binomial': y | trials(n) ~ ...",
    )
    if len(np.unique(y.values)) < 2:
        only = f"{y.values[0]:g}" if y.levels is None else repr(y.levels[int(y.values[0])])
        raise FamilyError(f"The response {y.name} is {only} in every row; there is nothing to model.")


def _count(y: ResponseValues, family: Family, rows: np.ndarray) -> None:
    if y.levels is not None:
        raise FamilyError(
            f"The response {y.name} holds {y.held}, not counts, which the {family.name} family needs.{_two(y)}"
        )
    _no_trials(y, family)
    _refuse_rows(
        y,
        rows,
        (y.values < 0) | (y.values % 1 != 0),
        f"the {family.name} family takes whole numbers from 0",
        "",
    )
    if not y.values.any():
        raise FamilyError(f"The response {y.name} is 0 in every row; there is nothing to model.")


def _successes(y: ResponseValues, _family: Family, rows: np.ndarray) -> None:
    if y.levels is not None:
        raise FamilyError(
            f"The response {y.name} holds {y.held}, not counts; two levels go with family='bernoulli'."
        )
    if y.trials is None:
        raise FamilyError(
            f"The binomial family needs the number of trials: {y.name} | trials(n) ~ ... or cbind(successes, failures) ~ ..."
            + (" Zeros and ones go with family='bernoulli'." if np.isin(y.values, (0.0, 1.0)).all() else "")
        )
    _refuse_rows(y, rows, (y.values < 0) | (y.values % 1 != 0), "successes are whole numbers from 0", "")
    above = np.flatnonzero(y.values > y.trials)
    if len(above):
        i = above[0]
        raise FamilyError(
            f"{y.name} has more successes than trials in {counted(len(above), 'row')}, the first row {rows[i]} (from 0): {y.values[i]:g} of {y.trials[i]:g}."
        )
    if y.values.sum() in (0, y.trials.sum()):
        raise FamilyError(f"Every trial of {y.name} came out the same; there is nothing to model.")


RESPONSES: Mapping[str, Callable[[ResponseValues, Family, np.ndarray], None]] = {
    "real": _real,
    "binary": _binary,
    "count": _count,
    "successes": _successes,
}
"""For each kind of response the check that it is one."""


def _no_trials(y: ResponseValues, family: Family) -> None:
    if y.trials is not None:
        raise FamilyError(f"trials() and cbind() go with family='binomial', not {family.name!r}.")


def _two(y: ResponseValues) -> str:
    return " Two levels go with family='bernoulli'." if y.levels is not None and len(y.levels) == 2 else ""


def _refuse_rows(y: ResponseValues, rows: np.ndarray, bad: np.ndarray, rule: str, hint: str) -> None:
    """Name the first bad value and its row."""
    places = np.flatnonzero(bad)
    if len(places):
        i, others = places[0], len(places) - 1
        more = f"; {counted(others, 'more row')} {'is' if others == 1 else 'are'} like it" if others else ""
        raise FamilyError(
            f"{y.name} is {y.values[i]:g} in row {rows[i]} (from 0){more}: {rule}. {hint}".rstrip()
        )
