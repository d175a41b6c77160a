"""Families by the names that R, brms, glmmTMB, Bambi, statsmodels and PyMC users write for them."""

from collections.abc import Mapping

ALIASES: Mapping[str, str] = {"normal": "gaussian", "norm": "gaussian"}
"""Other names of families that there are."""

_BINARY = (
    "zeros and ones are family='bernoulli', counts of successes family='binomial'; the link is link='probit'"
)
_MORE_VARIED = (
    "with family='poisson' a group of one row each, (1 | row), takes up what varies more than a Poisson count"
)
_LOGARITHM = "the logarithm of a positive response is gaussian, as log(y) ~ x"
_LEVELS = "one level against the others is family='bernoulli', as y['a'] ~ x"
_SHARES = "shares of counts are family='binomial', as y | trials(n) ~ x"
_TAILS = (
    "the gaussian family has no heavier tails; transform the response, or look at rows far out by residuals()"
)
_NOTHING = ""

_GROUPS: Mapping[str, str] = {
    "logistic logit probit binary logisticregression cloglog": _BINARY,
    "negbinomial negativebinomial nbinom nbinom1 nbinom2 negbinom negbin nb negbinomial2 negativebinomialp "
    "generalizedpoisson genpois compois quasipoisson geometric": _MORE_VARIED,
    "gamma lognormal lnorm inversegaussian wald weibull exponential expon frechet shiftedlognormal exgaussian tweedie "
    "invgaussian": _LOGARITHM,
    "multinomial categorical cumulative ordinal ordered sratio cratio acat clm logisticnormal": _LEVELS,
    "beta betar betabinomial betabinomial2 zeroinflatedbeta zeroonebeta zeroinflatedbinomial zeroinflatedbetabinomial "
    "zeroonezeroinflatedbeta zerooneinflatedbeta zoib quasibinomial orderedbeta dirichlet": _SHARES,
    "student studentt t skewnormal asymlaplace laplace cauchy skewstudent generalextremevalue huber scat": _TAILS,
    "zeroinflatedpoisson zip zeroinflatednegbinomial zinb zeroinflatednegativebinomial hurdlepoisson hurdlenegbinomial "
    "hurdlenegativebinomial hurdlegamma hurdlelognormal truncatedpoisson truncatednbinom1 truncatednbinom2 vonmises wiener "
    "cox custom mixture": _NOTHING,
}

UNSUPPORTED: Mapping[str, str] = {name: advice for names, advice in _GROUPS.items() for name in names.split()}
"""Families that there are elsewhere, by their names in small letters without signs -> what comes nearest here."""


def squeezed(name: str) -> str:
    """The name in small letters, without underscores, dots and blanks."""
    return "".join(character for character in name.lower() if character.isalnum())
