"""What options can be: each kind of value against what it takes and what it says of the others."""

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from mixedbayes.arguments import fits, flag, name_of, names_of, one_of, seed_of, share, some_of, whole
from mixedbayes.errors import ArgumentError

KINDS = ("mean", "linear", "response")


@pytest.mark.parametrize(
    ("check", "value", "expected"),
    [
        (lambda x: whole("n", x, least=1), 3, 3),
        (lambda x: whole("n", x, least=1), np.int64(3), 3),
        (lambda x: whole("n", x, least=0, most=3), 3, 3),
        (seed_of, None, None),
        (seed_of, np.uint8(7), 7),
        (lambda x: share("p", x), 0.5, 0.5),
        (lambda x: share("p", x), Fraction(1, 4), 0.25),
        (lambda x: share("p", x), np.float32(0.5), 0.5),
        (lambda x: flag("draws", x), np.True_, True),
        (lambda x: one_of("kind", x, KINDS), "mean", "mean"),
        (lambda x: names_of("by", x, "a column"), None, []),
        (lambda x: names_of("by", x, "a column"), "g", ["g"]),
        (lambda x: names_of("by", x, "a column"), ("g", "h"), ["g", "h"]),
        (lambda x: some_of("kinds", x, KINDS), "mean", ["mean"]),
        (lambda x: some_of("kinds", x, KINDS), np.array(["mean", "linear"]), ["mean", "linear"]),
    ],
)
def test_values_that_fit_are_returned_plain(check, value, expected):
    found = check(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda: whole("n", 0, least=1), "n is a whole number of at least 1, not 0."),
        (lambda: whole("n", 2.0, least=1), "n is a whole number of at least 1, not 2.0."),
        (lambda: whole("n", True, least=1), "n is a whole number of at least 1, not True."),
        (lambda: whole("n", "3", least=1), "n is a whole number of at least 1, not '3'."),
        (
            lambda: whole("n", None, least=1, otherwise=", or None"),
            "n is a whole number of at least 1, or None, not None.",
        ),
        (lambda: whole("n", 10**30, least=1, most=5), "n is at most 5, not a number of more than 20 digits."),
        (lambda: seed_of(-1), "seed is a whole number of at least 0, not -1."),
        (lambda: share("p", 1), "p lies between 0 and 1, not 1."),
        (lambda: share("p", True), "p lies between 0 and 1, not True."),
        (lambda: share("p", float("nan")), "p lies between 0 and 1, not nan."),
        (lambda: share("p", Decimal("0.5")), "p lies between 0 and 1, not Decimal('0.5')."),
        (lambda: share("p", np.array([0.5])), "p lies between 0 and 1, not array([0.5])."),
        (lambda: flag("draws", 1), "draws is True or False, not 1."),
        (
            lambda: one_of("over", "dat", ("reference", "data")),
            "over is 'reference' or 'data', not 'dat'. Did you mean 'data'?",
        ),
        (
            lambda: one_of("kind", np.array(["mean"]), KINDS),
            "kind is one of 'mean', 'linear', 'response', not array(",
        ),
        (lambda: name_of("x", ["x"], "one predictor"), "x is the name of one predictor, not ['x']."),
        (
            lambda: names_of("by", np.ma.masked, "a column"),
            "by is the name of a column or a list of names, not masked.",
        ),
        (lambda: names_of("by", [1], "a column"), "by is the name of a column or a list of names, not [1]."),
        (
            lambda: some_of("kinds", [], KINDS),
            "kinds are some of mean, linear, response; none was asked for.",
        ),
        (lambda: some_of("kinds", 3, KINDS), "kinds are some of mean, linear, response; 3 was asked for."),
        (
            lambda: fits(2**40, "Draws of all rows", "; ask for fewer"),
            "Draws of all rows are 8,192.0 GiB; ask for fewer.",
        ),
        (lambda: fits(2**80, "They", ""), "They do not fit into any memory."),
    ],
)
def test_others_are_refused_by_the_name_of_the_option(check, said):
    with pytest.raises(ArgumentError, match=re.escape(said)):
        check()
