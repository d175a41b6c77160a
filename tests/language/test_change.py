"""Changes of a formula, as R's `update.formula` makes them."""

import re

import pytest

from mixedbayes.errors import FormulaError
from mixedbayes.language.change import updated
from mixedbayes.language.parse import parse

COLUMNS = ["y", "x", "z", "a.b", "g", "n", "my . col", "a ~ b"]
CASES = [
    ("y ~ x + (x | g)", "~ . - x", "y ~ 1 + (1 + x | g)"),
    ("y ~ x + (x | g)", "~ . + z", "y ~ 1 + x + z + (1 + x | g)"),
    ("y ~ x + (x | g)", "~ . - (x | g) + (1 | g)", "y ~ 1 + x + (1 | g)"),
    ("y ~ x + (x | g)", ". ~ .", "y ~ 1 + x + (1 + x | g)"),
    ("y ~ x + (x | g)", "log(.) ~ .", "log(y) ~ 1 + x + (1 + x | g)"),
    ("y ~ x + (x | g)", "z ~ x", "z ~ 1 + x"),
    ("y ~ x", "~ . - 1", "y ~ 0 + x"),
    ("y ~ 0 + x", "~ . + z", "y ~ 0 + x + z"),
    ("y ~ 0 + x", "~ . + 1", "y ~ 1 + x"),
    ("y ~ 0 + x", "~ z", "y ~ 1 + z"),
    ("y ~ x", "~ .:z", "y ~ 1 + x:z"),
    ("y ~ x", "~ (. + z)^2", "y ~ 1 + x + z + x:z"),
    ("y ~ x", "~ . + a.b", "y ~ 1 + x + a.b"),
    ("y ~ x", "~ . + `my . col`", "y ~ 1 + x + `my . col`"),
    ("y ~ x", "~ . + I(x^.5)", "y ~ 1 + x + I(x ** 0.5)"),
    ("y ~ x + offset(z) + (x || g)", "~ . - x", "y ~ 1 + offset(z) + (1 + x || g)"),
    ("x | trials(n) ~ z", "~ . - z", "x | trials(n) ~ 1"),
    ("x | trials(n) ~ z", ". + 1 ~ .", "x + 1 | trials(n) ~ 1 + z"),
    ("x | trials(n) ~ z", ". | trials(n + 1) ~ .", "x | trials(n + 1) ~ 1 + z"),
    ("y / n ~ z", "~ . + x", "y / n ~ 1 + z + x"),
    ("y - n ~ z", ".^2 ~ .", "(y - n) ** 2 ~ 1 + z"),
    ("y - n ~ z", "log(.) ~ .", "log(y - n) ~ 1 + z"),
    ("y - n ~ z", "x - . ~ .", "x - (y - n) ~ 1 + z"),
    ("((y > 1) | (n > 2)) ~ z", "~ . + x", "{(y > 1) | (n > 2)} ~ 1 + z + x"),
    ("((y > 1) | (n > 2)) ~ z", "2 * . ~ .", "{2 * ((y > 1) | (n > 2))} ~ 1 + z"),
    ("y ~ x", "∼ . − 1  # no intercept", "y ~ 0 + x"),
    ("y ~ 0 + (1 | g)", "~ . + x", "y ~ 0 + x + (1 | g)"),
    ("y ~ 0 + x", "~ . + (. | g)", "y ~ 0 + x + (0 + x | g)"),
    ("y ~ 0 + x", "~ (. | g)", "y ~ 1 + (0 + x | g)"),
    ("y ~ x", "~ . + (. + z | g)", "y ~ 1 + x + (1 + x + z | g)"),
    ("`a ~ b` ~ x", "~ . + z", "`a ~ b` ~ 1 + x + z"),
    ("y ~ x", "~ . + `a ~ b`", "y ~ 1 + x + `a ~ b`"),
]


@pytest.mark.parametrize(("formula", "change", "expected"), CASES)
def test_a_dot_stands_for_what_was_there(formula, change, expected):
    text = updated(parse(formula, COLUMNS), change)
    assert str(parse(text, COLUMNS)) == expected


@pytest.mark.parametrize("change", ["- x", "x", 3, ""])
def test_a_change_has_two_sides(change):
    with pytest.raises(FormulaError, match=re.escape("A change of a formula reads as '~ . - x'")):
        updated(parse("y ~ x"), change)
