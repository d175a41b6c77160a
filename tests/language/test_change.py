"""Changes of a formula, as R's `update.formula` makes them."""

import re

import pytest
from formulas import assert_usually, formula, terms

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
    ("y ~ 0 + x", "~ (. + z | g)", "y ~ 1 + (0 + x + z | g)"),
    ("y ~ 0 + x", "~ z + ((.)^2 | g) + 0", "y ~ 0 + z + (0 + x | g)"),
    (
        "y ~ x + C(z, levels=['(', '|', ')'])",
        "~ (. | g)",
        "y ~ 1 + (1 + x + C(z, levels=['(', '|', ')']) | g)",
    ),
    ("y ~ 0 + C(z, Treatment('(')) ", "~ . + x", "y ~ 0 + C(z, Treatment('(')) + x"),
    ("y ~ x", "~ . + C(z, levels=['.', '~'])", "y ~ 1 + x + C(z, levels=['.', '~'])"),
    ("y ~ x + (1 | p | g)", "~ . - (1 | p | g)", "y ~ 1 + x"),
    ("y['~'] ~ x", "~ . + z", "y['~'] ~ 1 + x + z"),
    ("y['~'] | weights(n) ~ x", ". ~ . + z", "y['~'] | weights(n) ~ 1 + x + z"),
    ("y['a'] ~ x", ".['b'] ~ .", "y['b'] ~ 1 + x"),
    ("y | weights(n) + se(z, sigma=TRUE) ~ x", "~ 1", "y | weights(n) + se(z, sigma=True) ~ 1"),
    ("y | weights(n) + se(z) ~ x", "log(.) ~ .", "log(y) | weights(n) + se(z) ~ 1 + x"),
    ("y | weights(n) + se(z) ~ x", ". | se(z, sigma=TRUE) ~ .", "y | se(z, sigma=True) ~ 1 + x"),
    ("y | weights(n) ~ x", "log(y) ~ .", "log(y) ~ 1 + x"),
    ("y + 2 ~ x", ". * 3 ~ .", "(y + 2) * 3 ~ 1 + x"),
    ("y ~ x; sigma ~ z + (1 | g)", "~ . - x", "y ~ 1; sigma ~ 1 + z + (1 | g)"),
    ("y ~ x; sigma ~ z + (1 | g)", "~ .\nsigma ~ . - z", "y ~ 1 + x; sigma ~ 1 + (1 | g)"),
    (
        "y ~ x; sigma ~ 0 + z",
        ". ~ .; sigma ~ . + x; phi ~ . + z",
        "y ~ 1 + x; phi ~ 1 + z; sigma ~ 0 + z + x",
    ),
]


@pytest.mark.parametrize(("formula", "change", "expected"), CASES)
def test_a_dot_stands_for_what_was_there(formula, change, expected):
    changed = updated(parse(formula, COLUMNS), change)
    assert str(changed) == expected
    assert parse(changed.text) == parse(expected) == changed


def test_a_dot_on_each_side_changes_nothing():
    def check(text, sigma):
        try:
            was = parse(f"{text}; sigma ~ {sigma}")
        except FormulaError:
            return False
        assert updated(was, ". ~ .") == updated(was, "~ .; sigma ~ .") == updated(was, "~ (.)") == was
        if not (was.terms[was.has_intercept :] or was.groups or was.offsets):
            return False
        removed = updated(was, "~ 0 + .")
        assert removed == updated(was, ". ~ . - 1")
        assert removed.groups == was.groups
        assert not removed.has_intercept
        return True

    assert_usually(check, formula, terms, least=0.1)


@pytest.mark.parametrize("change", ["- x", "x", 3, ""])
def test_a_change_has_two_sides(change):
    with pytest.raises(FormulaError, match=re.escape("A change of a formula reads as '~ . - x'")):
        updated(parse("y ~ x"), change)


@pytest.mark.parametrize(
    ("formula", "change", "message"),
    [
        ("y['a'] ~ x", "log(.) ~ .", "y['a'] is one level, of which nothing is computed"),
        ("y ~ x", "~ . - z", "z cannot be taken away"),
        ("y ~ x + (1 | g)", "~ . + (1 | g)", "(1 | g) stands twice"),
        ("y ~ x + (x | g)", "~ . + (1 | g)", "both hold the effect 1"),
        ("y ~ x + (1 | g)", "~ (. | h)", "A group term cannot stand inside another"),
        ("y ~ x", "~ . - x - 1", "Nothing is left to fit"),
        ("y ~ x", "log(z) ~ . + log(z)", "cannot predict itself"),
        ("y ~ x", "~ . ~ z", "A formula has one '~'"),
        ("y ~ x", "~ . + 1e7", "1e7 is a number, which is no term"),
    ],
)
def test_a_change_that_makes_no_formula_is_refused_at_its_place(formula, change, message):
    with pytest.raises(FormulaError, match=re.escape(message)) as caught:
        updated(parse(formula), change)
    assert 0 <= caught.value.place <= len(change)
