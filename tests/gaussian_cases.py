"""Gaussian models of all shapes on one small table, and priors of all kinds."""

import numpy as np
import pandas as pd

RNG = np.random.default_rng(3)
N = 60
DATA = pd.DataFrame(
    {
        "x": RNG.normal(2.0, 1.5, N),
        "w": RNG.normal(-1.0, 0.5, N),
        "v": RNG.normal(0.0, 1.0, N),
        "f": np.resize(list("abc"), N),
        "g": RNG.integers(0, 6, N),
        "h": np.resize(list("uvts"), N),
        "k": RNG.integers(0, 3, N),
        "y": RNG.normal(10.0, 3.0, N),
        "school": np.repeat(list("ABCDE"), 12),
        "klass": np.resize([1, 1, 2, 2, 3, 3], N),
        "pupil": np.resize([1, 2], N),
        "all": "all",
        "same": "same",
    }
)
WEIGHTS = RNG.uniform(0.5, 2.0, N)

FORMULAS = {
    "no groups": "y ~ x",
    "nothing but a residual": "y ~ 0 + offset(w)",
    "q = 1": "y ~ x + (1 | g)",
    "q = 2": "y ~ x + (x | g)",
    "q = 2, independent": "y ~ x + (x || g)",
    "q = 3": "y ~ x + w + (x + w | g)",
    "q = 4": "y ~ x + w + v + (x + w + v | g)",
    "dummies": "y ~ 0 + f + (0 + f | g)",
    "no coefficients": "y ~ (1 | g) - 1",
    "two blocks on a factor": "y ~ x + (1 | g) + (0 + x + w | g)",
    "crossed": "y ~ 1 + (1 | g) + (1 | h)",
    "crossed, slopes in the root": "y ~ x + (1 | g) + (x | h)",
    "crossed, slopes everywhere": "y ~ x + (x | g) + (w | h) + (1 | k)",
    "nested": "y ~ x + (1 | school/klass)",
    "nested thrice, with slopes": "y ~ x + (x | school/klass/pupil)",
    "nested and crossed": "y ~ x + (1 | school/klass) + (x | h)",
    "offset": "y ~ x + offset(w) + (1 | g)",
}

ONE_LEVEL = {
    "one level": "y ~ x + (x | all)",
    "one level, and nested": "y ~ x + (1 | all) + (1 | all:g)",
    "one level, two effects": "y ~ x + (x | all) + (w | all:g)",
    "one level, three effects": "y ~ x + (x + w | all) + (x + w | all:g)",
    "one level, nested thrice": "y ~ x + (x || all) + (x | all:school) + (1 | all:school:klass)",
    "one level, and crossed": "y ~ x + (w | all) + (1 | g) + (x | h)",
    "two of one level": "y ~ x + (1 | all) + (0 + x | same) + (1 | g)",
}
"""Groups that a formula cannot have yet, as smooths will: every row is of their level."""

PRIORS = {
    "flat coefficients": {"b": "flat", "Intercept": "flat"},
    "intercept at zero": {"b[Intercept]": "normal(8, 2)"},
    "flat sds": {"sd": "flat", "sigma": "flat"},
    "every coefficient its own": {"b[x]": "normal(1, 0.1)", "b[w]": "flat"},
    "hyperpriors": {
        "b": "normal(normal(0, 2), exponential(1))",
        "sd": "normal(0, exponential(1))",
        "sigma": "uniform(0, exponential(0.1))",
        "cor": "lkj(gamma(3, 1))",
    },
    "hyperpriors of hyperpriors": {"sd": "gamma(lognormal(0, normal(1, 0.2)), weibull(2, exponential(1)))"},
    "cut with hyperpriors": {"sd": "student_t(gamma(4, 1), normal(1, 1), exponential(1))"},
    **{
        f"sd ~ {text}": {"sd": text, "sigma": text}
        for text in (
            "normal(1, 2)",
            "normal(0, 3)",
            "student_t(3, 1, 2)",
            "cauchy(-1, 2)",
            "double_exponential(1, 2)",
            "double_exponential(-1, 2)",
            "logistic(1, 2)",
            "gumbel(1, 2)",
            "gamma(2, 1)",
            "inv_gamma(2, 1)",
            "lognormal(0, 1)",
            "weibull(2, 3)",
            "chi_square(3)",
            "beta(2, 2)",
            "uniform(-1, 5)",
            "uniform(0.5, 5)",
        )
    },
}
