"""Priors as values: text, arguments, and the densities that the names stand for."""

from dataclasses import dataclass
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import mixedbayes as mb
from mixedbayes.errors import PriorError
from mixedbayes.models.distributions import DISTRIBUTIONS, POSITIVE, REAL, UNIT, Interval
from mixedbayes.models.priors import Prior, parse_prior, parse_priors

PROPER = [name for name in DISTRIBUTIONS if name not in ("flat", "lkj")]


def numbers(interval: Interval) -> st.SearchStrategy[float]:
    return st.floats(
        max(interval.lower, -1e300),
        min(interval.upper, 1e300),
        allow_nan=False,
        exclude_min=interval.lower == 0,
        exclude_max=interval.upper == 1,
    )


@st.composite
def priors(draw: st.DrawFn, depth: int = 2, names: tuple[str, ...] = tuple(DISTRIBUTIONS)) -> Prior:
    name = draw(st.sampled_from(names))
    wanted = DISTRIBUTIONS[name].arguments
    if name == "uniform":  # its bounds are in order
        low, high = sorted(
            draw(st.tuples(numbers(REAL), numbers(REAL)).filter(lambda pair: pair[0] != pair[1]))
        )
        return mb.prior("uniform", low, high)
    arguments = [
        draw(priors(depth - 1, ("normal", "exponential", "gamma", "beta")))
        if depth and draw(st.booleans())
        else draw(numbers(interval))
        for interval in wanted.values()
    ]
    return mb.prior(name, *arguments)


@given(priors())
def test_a_prior_prints_as_text_that_parses_to_it(prior):
    assert parse_prior(str(prior)) == prior


@given(priors(depth=0))
def test_a_prior_is_the_same_by_position_by_name_and_as_itself(prior):
    assert mb.prior(prior.distribution, **prior.named) == prior
    assert parse_prior(prior) is prior
    named = ", ".join(f"{name}={value!r}" for name, value in reversed(prior.named.items()))
    if named:
        assert parse_prior(f"{prior.distribution}({named})") == prior


@pytest.mark.parametrize(
    ("text", "prior"),
    [
        ("normal(0, 10)", Prior("normal", (0.0, 10.0))),
        (" normal ( 0,10 ) \n", Prior("normal", (0.0, 10.0))),
        ("normal(-1.5, 1e3)", Prior("normal", (-1.5, 1000.0))),
        ("normal(+2, .5)", Prior("normal", (2.0, 0.5))),
        ("student_t(sigma=2, nu=3, mu=0)", Prior("student_t", (3.0, 0.0, 2.0))),
        ("flat", Prior("flat")),
        ("flat()", Prior("flat")),
        ("exponential(gamma(1, 1))", Prior("exponential", (Prior("gamma", (1.0, 1.0)),))),
    ],
)
def test_text_reads_as(text, prior):
    assert parse_prior(text) == prior


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nrmal(0, 1)", r"no prior distribution 'nrmal'. Did you mean 'normal'\? Known: normal, student_t"),
        ("Normal(0, 1)", "Did you mean 'normal'"),
        ("studentt(3, 0, 1)", "Did you mean 'student_t'"),
        ("half_normal(1)", r"A half-normal is normal\(0, sigma\) on a parameter that is positive"),
        ("HalfNormal(1)", r"A half-normal is normal\(0, sigma\)"),
        ("halfcauchy(1)", r"A half-cauchy is cauchy\(0, sigma\)"),
        ("half_student_t(3, 1)", r"A half-student_t is student_t\(nu, 0, sigma\)"),
        ("normal(0)", r"normal\(mu, sigma\) lacks sigma"),
        ("normal()", r"normal\(mu, sigma\) lacks mu, sigma"),
        ("normal(0, 1, 2)", r"normal\(mu, sigma\) takes 2 arguments, not 3"),
        ("normal(0, sd=1)", r"'sd' is no argument in normal\(mu, sigma\)"),
        ("normal(0, 1, mu=2)", r"'mu' is given twice in normal\(mu, sigma\)"),
        ("flat(1)", r"flat\(\) takes 0 arguments, not 1"),
        ("normal(0, 0)", r"sigma of normal\(mu, sigma\) takes positive numbers, not 0"),
        ("normal(0, -1)", "takes positive numbers, not -1"),
        ("exponential(-2)", r"beta of exponential\(beta\) takes positive numbers, not -2"),
        ("lkj(0)", r"eta of lkj\(eta\) takes positive numbers, not 0"),
        ("normal(0, 1e400)", "must be a finite number or a prior, not inf"),
        ("uniform(1, 1)", r"uniform\(lower, upper\) needs lower < upper"),
        ("uniform(2, 1)", "needs lower < upper"),
        ("normal(0, uniform(-2, -1))", r"takes positive numbers, where uniform\(-2, -1\) has no mass"),
        (
            "normal(flat, 1)",
            "flat cannot be the prior of mu .*: a hyperprior must be a proper prior of one number",
        ),
        ("normal(lkj(2), 1)", "a hyperprior must be a proper prior of one number"),
        ("normal", r"normal needs its arguments: normal\(mu, sigma\)"),
        ("normal(x, 1)", "arguments are numbers or priors"),
        ("normal(2 * 3, 1)", "arguments are numbers or priors"),
        ("normal(0, True)", "arguments are numbers or priors"),
        ("normal('0', 1)", "arguments are numbers or priors"),
        ("1", "'1' is no prior; a prior reads as normal"),
        ("", "cannot be read"),
        ("normal(0,", r"A prior reads as normal\(0, 10\)"),
        ("normal(0, 1);", r"A prior reads as normal\(0, 10\)"),
        ('__import__("os").system("x")', r"A prior reads as normal\(0, 10\)"),
        ("normal(0, 1).real", r"A prior reads as normal\(0, 10\)|is no prior"),
        (5, r"A prior is a text such as 'normal\(0, 10\)' or mb.prior\(...\), not int"),
        (None, "not NoneType"),
    ],
)
def test_text_that_is_no_prior_is_refused(text, message):
    with pytest.raises(PriorError, match=message):
        parse_prior(text)


@pytest.mark.parametrize("value", [np.nan, inf, "1", None, True, 1j])
def test_an_argument_that_is_no_finite_number_is_refused(value):
    with pytest.raises(PriorError, match=r"sigma of normal\(mu, sigma\) must be a finite number or a prior"):
        mb.prior("normal", 0, value)


def test_numpy_numbers_are_numbers():
    assert mb.prior("normal", np.float64(0), np.float64(2)) == mb.prior("normal", 0, 2)
    assert mb.prior("normal", np.int64(0), np.float32(2)) == mb.prior("normal", 0, 2)


@pytest.mark.parametrize("given_priors", [[("b", "normal(0, 1)")], "b=normal(0, 1)", 3])
def test_priors_are_a_mapping(given_priors):
    with pytest.raises(PriorError, match="priors is a mapping such as"):
        parse_priors(given_priors)


def test_the_address_is_named_when_its_prior_cannot_be_read():
    with pytest.raises(PriorError, match=r"priors\['b\[x\]'\]: There is no prior distribution 'nrmal'"):
        parse_priors({"sigma": "exponential(1)", "b[x]": "nrmal(0, 1)"})


@dataclass(frozen=True)
class Case:
    """A distribution with arguments in Stan's order, and the same in SciPy's parametrisation."""

    name: str
    arguments: tuple[float, ...]
    scipy: stats.rv_continuous

    @property
    def support(self) -> Interval:
        return mb.prior(self.name, *self.arguments).support


# Stan Functions Reference 2.35: exponential's beta and gamma's beta are rates, weibull's alpha the shape,
# inv_gamma's beta the scale, double_exponential's sigma the scale, skew_normal's xi location, omega scale.
CASES = [
    Case("normal", (1.5, 2.0), stats.norm(1.5, 2.0)),
    Case("student_t", (3.0, 1.5, 2.0), stats.t(3.0, 1.5, 2.0)),
    Case("cauchy", (1.5, 2.0), stats.cauchy(1.5, 2.0)),
    Case("double_exponential", (1.5, 2.0), stats.laplace(1.5, 2.0)),
    Case("logistic", (1.5, 2.0), stats.logistic(1.5, 2.0)),
    Case("gumbel", (1.5, 2.0), stats.gumbel_r(1.5, 2.0)),
    Case("skew_normal", (1.5, 2.0, -3.0), stats.skewnorm(-3.0, 1.5, 2.0)),
    Case("exponential", (4.0,), stats.expon(scale=1 / 4.0)),
    Case("gamma", (3.0, 4.0), stats.gamma(3.0, scale=1 / 4.0)),
    Case("inv_gamma", (3.0, 4.0), stats.invgamma(3.0, scale=4.0)),
    Case("lognormal", (0.5, 2.0), stats.lognorm(2.0, scale=np.exp(0.5))),
    Case("weibull", (1.5, 2.0), stats.weibull_min(1.5, scale=2.0)),
    Case("chi_square", (3.0,), stats.chi2(3.0)),
    Case("beta", (3.0, 4.0), stats.beta(3.0, 4.0)),
    Case("uniform", (-1.0, 3.0), stats.uniform(-1.0, 4.0)),
]


def test_every_distribution_of_one_number_has_a_case():
    assert {case.name for case in CASES} == set(PROPER)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_support_is_the_distribution_s(case):
    assert (case.support.lower, case.support.upper) == case.scipy.support()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_density_under_pymc_s_name_is_stan_s(case):
    pm = pytest.importorskip("pymc")
    known = DISTRIBUTIONS[case.name]
    named = dict(zip(known.arguments, np.array(case.arguments), strict=True))
    made = getattr(pm, known.pymc).dist(**{theirs: named[ours] for theirs, ours in known.names.items()})
    x = case.scipy.ppf([0.001, 0.1, 0.4, 0.7, 0.95])
    np.testing.assert_allclose(
        pm.logp(made, x).eval(), case.scipy.logpdf(x), rtol=1e-7
    )  # PyMC writes some constants in single precision


HALVES = {
    "normal": ((0.0, 2.0), stats.norm(0.0, 2.0)),
    "cauchy": ((0.0, 2.0), stats.cauchy(0.0, 2.0)),
    "student_t": ((3.0, 0.0, 2.0), stats.t(3.0, 0.0, 2.0)),
    "flat": ((), None),
}


def test_every_half_has_a_case():
    assert set(HALVES) == {name for name, known in DISTRIBUTIONS.items() if known.half}


@pytest.mark.parametrize("name", HALVES)
def test_the_half_under_pymc_s_name_is_twice_the_whole(name):
    pm = pytest.importorskip("pymc")
    known, (arguments, whole) = DISTRIBUTIONS[name], HALVES[name]
    named = dict(zip(known.arguments, np.array(arguments), strict=True))
    made = getattr(pm, known.half).dist(**{theirs: named[ours] for theirs, ours in known.half_names.items()})
    x = np.array([0.1, 1.0, 5.0])
    expected = np.log(2) + whole.logpdf(x) if whole else np.zeros(3)
    np.testing.assert_allclose(
        pm.logp(made, x).eval(), expected, rtol=1e-7
    )  # PyMC writes some constants in single precision


@pytest.mark.parametrize(
    ("one", "other", "holds", "meets"),
    [
        (REAL, POSITIVE, True, True),
        (POSITIVE, REAL, False, True),
        (POSITIVE, UNIT, True, True),
        (POSITIVE, Interval(-2, 0), False, False),
        (POSITIVE, Interval(-2, 1), False, True),
        (UNIT, UNIT, True, True),
    ],
)
def test_intervals_hold_and_meet(one, other, holds, meets):
    assert (one.holds(other), one.meets(other)) == (holds, meets)


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (REAL, "all numbers"),
        (POSITIVE, "positive numbers"),
        (UNIT, "(0, 1)"),
        (Interval(-2, 0.5), "(-2, 0.5)"),
    ],
)
def test_an_interval_reads_as(interval, text):
    assert str(interval) == text
