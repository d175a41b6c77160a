"""Families by the names that R, brms, glmmTMB, Bambi, statsmodels and PyMC users write for them."""

from collections.abc import Mapping

_NAMES: Mapping[str, str] = {
    "gaussian": "normal norm",
    "student_t": "student studentt t tfamily",
    "lognormal": "lnorm",
    "negative_binomial": "negativebinomial negbinomial negbinomial2 negbinom negbin nbinom nbinom2 nbinomial nb nb2",
    "beta": "betar betafamily",
}

ALIASES: Mapping[str, str] = {name: family for family, names in _NAMES.items() for name in names.split()}
"""Other names of families that there are, in small letters without signs."""

_BINARY = (
    "zeros and ones are family='bernoulli', counts of successes family='binomial'; the link is link='probit'"
)
_MORE_VARIED = (
    "counts that vary more than Poisson's are family='negative_binomial', with the variance mu + mu^2 / shape"
)
_ONE_SHAPE = "family='negative_binomial' with shape near 1 is one: priors={'shape': 'lognormal(0, 0.01)'}"
_SKEW = "positive responses with a long right tail are family='lognormal'"
_ZEROS = "family='negative_binomial' takes many zeros up, with a small shape"
_LEVELS = "one level against the others is family='bernoulli', as y['a'] ~ x"
_SHARES = (
    "shares of counts are family='binomial', as y | trials(n) ~ x; numbers between 0 and 1 are family='beta'"
)
_MORE_SHARES = "with family='binomial' a group of one row each, (1 | row), takes up what varies more than a binomial count"
_TAILS = "responses with heavy tails are family='student_t'"
_NOTHING = ""

_GROUPS: Mapping[str, str] = {
    "logistic logit probit binary logisticregression cloglog": _BINARY,
    "nbinom1 negbinomial1 nb1 negativebinomialp generalizedpoisson genpois compois quasipoisson": _MORE_VARIED,
    "geometric": _ONE_SHAPE,
    "gamma inversegaussian wald weibull exponential expon frechet shiftedlognormal exgaussian tweedie invgaussian": _SKEW,
    "multinomial categorical cumulative ordinal ordered sratio cratio acat clm logisticnormal": _LEVELS,
    "betabinomial betabinomial2 quasibinomial zeroinflatedbinomial zeroinflatedbetabinomial": _MORE_SHARES,
    "zeroinflatedbeta zeroonebeta zeroonezeroinflatedbeta zerooneinflatedbeta zoib orderedbeta dirichlet": _SHARES,
    "skewnormal asymlaplace laplace cauchy skewstudent generalextremevalue huber scat": _TAILS,
    "zeroinflatedpoisson zip zeroinflatednegbinomial zinb zeroinflatednegativebinomial hurdlepoisson hurdlenegbinomial "
    "hurdlenegativebinomial": _ZEROS,
    "hurdlegamma hurdlelognormal truncatedpoisson truncatednbinom1 truncatednbinom2 vonmises wiener cox custom mixture": _NOTHING,
}

UNSUPPORTED: Mapping[str, str] = {name: advice for names, advice in _GROUPS.items() for name in names.split()}
"""Families that there are elsewhere, by their names in small letters without signs -> what comes nearest here."""


def squeezed(name: str) -> str:
    """The name in small letters, without underscores, dots and blanks."""
    return "".join(character for character in name.lower() if character.isalnum())
