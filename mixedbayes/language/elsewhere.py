"""What formulas of other programs hold and ours do not: for each word, what it would be and what is written here."""

from collections.abc import Mapping

_SMOOTH = "smooths are not supported yet; bs(x, df=5), cr(x, df=5) and poly(x, 3) are curves without a penalty, and s(g, bs='re') is (1 | g)"
_PROCESS = "Gaussian processes are not supported yet; bs(x, df=8) and cr(x, df=8) are curves that bend freely"
_RESIDUALS = (
    "correlations of residuals are not supported yet; (1 | g) makes the rows of a group alike, and "
    "(1 + time | g) lets each group go its own way"
)
_ORDINAL = "order the categories in the data first, as pd.Categorical(..., ordered=True); C(f, contr.poly) has their trends"
_TYPES = "columns keep the types that they have in the data: convert there, as data['x'].astype(float)"
_OTHER_ROWS = (
    "what is computed from other rows is made a column first, as data.groupby('g')['x'].shift() or .transform('mean'); "
    "center(x) and scale(x) are here"
)
_COLUMN_FIRST = "make the column first, in the data"
_CONDITION = "write a condition, I(x > 0), or make the column first, in the data"
_INTERVALS = "make the intervals a column first, as pd.cut(data['x'], 4); I(x > 0) is a step"
_STANDARD = "scale(x) is centred and divided by its sd, center(x) is centred alone"
_POWER = "write a power in I(...), as I(x^2)"
_ADDITION = "it stands in a response alone, right of a bar, as y | trials(n) ~ ..."
_FORMULA = "a formula is a text by itself, 'y ~ x + (1 | g)'; that of another parameter is a line of its own: y ~ x; sigma ~ z"
_STRUCTURE = "this structure of group effects is not supported yet; (x | g) estimates all correlations, (x || g) has none"
_KNOWN_COVARIANCE = (
    "known covariances, by= and dist= are not supported yet; the levels of (1 | g) are independent and normal"
)
_MEMBERSHIP = (
    "groups of several members are not supported yet; (1 | a) + (1 | b) gives each column effects of its own"
)

FUNCTIONS: Mapping[str, str] = {
    **dict.fromkeys(("s", "te", "ti", "t2", "lo", "pspline", "pb"), _SMOOTH),
    **dict.fromkeys(("gp", "hsgp", "HSGP"), _PROCESS),
    **dict.fromkeys(("ar", "ma", "arma", "arima", "cosy", "unstr", "sar", "car", "fcor"), _RESIDUALS),
    "mo": "monotonic effects are not supported yet; C(x) has a coefficient for each level, x alone a straight line",
    "me": "errors in a predictor are not supported yet; predictors are taken as they were measured",
    "mi": "gaps are not imputed: rows with them are left out; fill them in the data",
    **dict.fromkeys(("ns", "rcs"), "natural splines are cr(x, df=4, constraints='center')"),
    **dict.fromkeys(("bSpline", "mSpline", "iSpline"), "B-splines are bs(x, df=5)"),
    "polym": "write poly(x, 2) * poly(z, 2)",
    "Q": "a column whose name is no word stands in backticks, as `my column`",
    **dict.fromkeys(("p", "prop", "proportion"), "Bambi's p(y, n) ~ x is y | trials(n) ~ x"),
    "binary": "write I(x == 'a'), or for a response y['a'] ~ x",
    "dummy": "write I(f == 'a')",
    "relevel": "write C(f, Treatment('b')), with the reference level in quotes",
    **dict.fromkeys(("ordered", "as.ordered"), _ORDINAL),
    "interaction": "write a:b, for groups (1 | a:b)",
    **dict.fromkeys(("cut", "cut_number", "findInterval", "ntile", "bin"), _INTERVALS),
    **dict.fromkeys(("ifelse", "if_else", "where", "np.where", "case_when", "recode"), _CONDITION),
    **dict.fromkeys(
        ("as.numeric", "as.integer", "as.double", "as.character", "as.logical", "as.Date", "numeric"), _TYPES
    ),
    **dict.fromkeys(("lag", "lead", "diff", "shift", "cumsum", "ave", "rank", "demean"), _OTHER_ROWS),
    **dict.fromkeys(("mean", "median", "sd", "std", "var", "min", "max", "sum", "quantile"), _OTHER_ROWS),
    **dict.fromkeys(("np.mean", "np.std", "np.var", "np.median", "np.min", "np.max", "np.sum"), _OTHER_ROWS),
    **dict.fromkeys(("is.na", "isnan", "np.isnan", "paste", "pmin", "pmax", "np.minimum"), _COLUMN_FIRST),
    **dict.fromkeys(("np.maximum", "clip", "np.clip", "nchar", "substr", "weekdays", "month"), _COLUMN_FIRST),
    **dict.fromkeys(("round", "trunc", "np.round", "as.int"), "floor(x) and ceil(x) are here"),
    **dict.fromkeys(("standardise", "rescale", "zscore", "z_score", "std_scale", "minmax"), _STANDARD),
    **dict.fromkeys(("pow", "power", "square", "np.power", "np.square"), _POWER),
    **dict.fromkeys(("logit", "qlogis", "logodds"), "write I(log(p / (1 - p)))"),
    **dict.fromkeys(("plogis", "expit", "inv_logit", "invlogit"), "write I(1 / (1 + exp(-x)))"),
    "ln": "the natural logarithm is log(x)",
    "math.log": "the natural logarithm is log(x)",
    "math.exp": "write exp(x)",
    "math.sqrt": "write sqrt(x)",
    "trials": "it stands in a response, right of a bar and outside brackets: y | trials(n) ~ x",
    **dict.fromkeys(("weights", "se", "cens", "subset", "rate", "thres", "cat", "dec"), _ADDITION),
    **dict.fromkeys(("vint", "vreal", "index"), _ADDITION),
    "cbind": "cbind(successes, failures) stands left of '~'",
    **dict.fromkeys(("mvbind", "mvbf"), "a model has one response; fit one model for each"),
    "Surv": "times that may be censored are not supported yet",
    "offset": "offset(x) stands among the terms, by itself",
    **dict.fromkeys(("bf", "brmsformula", "lf", "nlf", "nl", "set_rescor", "formula"), _FORMULA),
    "as.formula": _FORMULA,
    **dict.fromkeys(("random", "re", "fixed"), "terms stand by themselves, groups as (1 | g)"),
    **dict.fromkeys(("probit", "cloglog", "link"), "the link is an option of the model, link='probit'"),
    "us": "(x | g) estimates all variances and correlations",
    "diag": "independent effects are (x || g)",
    **dict.fromkeys(("ar1", "hetar1", "ou", "toep", "rr", "propto", "equalto", "homdiag", "mat"), _STRUCTURE),
    **dict.fromkeys(("exp_", "gau", "car1", "cosymm", "homcs", "rw1", "rw2", "icar", "bym2"), _STRUCTURE),
    "gr": _KNOWN_COVARIANCE,
    **dict.fromkeys(("mm", "mmc"), _MEMBERSHIP),
}
"""Functions of lme4, brms, mgcv, glmmTMB, patsy, Bambi, base R and NumPy that a formula here cannot call."""

STRUCTURES: Mapping[str, str] = {
    **FUNCTIONS,
    "cs": "compound symmetry is not supported yet; (x | g) estimates all correlations, (x || g) has none",
}
"""The same where a bar stands in the brackets, as `cs(1 + x | g)`; `cs(x)` alone is a spline."""

ADDITIONS: Mapping[str, str] = {
    "sigma": "known standard errors are y | se(s) ~ ...; the formula of sigma is a line of its own: y ~ x; sigma ~ z",
    "cens": "censored responses are not supported yet",
    "trunc": "truncated responses are not supported yet",
    "mi": "not supported yet: gaps in the response are not imputed; rows with them are left out, and predict() answers for them",
    "subset": "not supported yet; leave the other rows out of the data",
    "rate": "not supported yet; a rate is an offset among the terms: y ~ x + offset(log(exposure))",
    **dict.fromkeys(("thres", "cat"), "ordinal responses are not supported yet"),
    **dict.fromkeys(("dec", "vint", "vreal", "index"), "the families that take it are not supported yet"),
}
"""What brms has right of the bar in a response."""

OPERATORS: Mapping[str, str] = {
    **dict.fromkeys("<>=!", "A condition stands in I(...): I(x > 0), I(f == 'a'), I(x != 1)."),
    "&": "Conditions are joined in I(...): I((x > 0) & (z > 1)).",
    "$": "Columns are named alone, without their table: y and not d$y.",
    ",": "A comma has no place between terms: they are added with +, and a group term has a bar, (1 | g). Options such as "
    "family= stand outside the formula's quotes.",
    ";": "After ';' stands the formula of another parameter: y ~ x; sigma ~ z. One model has one response.",
    "@": "'@' has no meaning among terms: interactions are a:b, groups (1 | g).",
}
"""Signs that are no operators among terms."""
