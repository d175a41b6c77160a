import re

import pytest
from formulas import expression
from hypothesis import given

from mixedbayes.errors import FormulaError
from mixedbayes.language.expressions import (
    Array,
    Call,
    Literal,
    Name,
    Operation,
    functions_in,
    names_in,
    text_of,
)
from mixedbayes.language.read import parse_expression


@given(expression)
def test_an_expression_prints_as_text_that_parses_to_it(tree):
    assert parse_expression(text_of(tree)) == tree


@given(expression)
def test_names_and_functions_are_those_of_the_tree(tree):
    text = text_of(tree)
    again = parse_expression(text)
    assert names_in(again) == names_in(tree)
    assert functions_in(again) == functions_in(tree)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("log( y )", "log(y)"),
        ("a+b^2", "a + b ** 2"),
        ("a + b**2", "a + b ** 2"),
        ("-x^2", "-x ** 2"),
        ("(-x)^2", "(-x) ** 2"),
        ("2^-x", "2 ** -x"),
        ("2^3^4", "2 ** 3 ** 4"),
        ("(2^3)^4", "(2 ** 3) ** 4"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a - b) - c", "a - b - c"),
        ("a*(b+c)/d", "a * (b + c) / d"),
        ("C(x, contr.sum)", "C(x, contr.sum)"),
        ("C(x,levels=c('b','a'))", "C(x, levels=c('b', 'a'))"),
        ("C(x, {'one': [1, -1]})", "C(x, {'one': [1, -1]})"),
        ("(1, 2)", "[1, 2]"),
        ("f(TRUE, FALSE, NULL)", "f(True, False, None)"),
        ("log(`my column`)", "log(`my column`)"),
        ("log(`x`)", "log(x)"),
        (r"log(`a\`b\\c`)", r"log(`a\`b\\c`)"),
        ("log(class)", "log(class)"),
        ("I(`lambda` + `TRUE`)", "I(`lambda` + `TRUE`)"),
        ('f("a^b`c`")', "f('a^b`c`')"),
        ("(a > 1) & ~(b < 2)", "(a > 1) & ~(b < 2)"),
        ("1e999", "1e999"),
        ("x\n  +\u00a0z", "x + z"),
    ],
)
def test_expressions_print_canonically(written, canonical):
    tree = parse_expression(written)
    assert text_of(tree) == canonical
    assert parse_expression(canonical) == tree


def test_an_expression_is_a_tree_of_names_literals_operations_and_calls():
    assert parse_expression("log(x + 1, base=[2, 'a'])") == Call(
        "log", (Operation("+", (Name("x"), Literal(1))),), (("base", Array((Literal(2), Literal("a")))),)
    )


@pytest.mark.parametrize("name", ["µg", "ﬁt", "x²y", "class", "Sepal.Length", "Größe", "年齢"])
def test_names_keep_their_letters_which_python_would_normalise(name):
    assert names_in(parse_expression(f"log({name})")) == (name,)


@pytest.mark.parametrize(
    ("written", "message", "place"),
    [
        ('__import__("os").system("ls")', "Only a named function can be called", 0),
        ('log(__import__("os"))', "'__import__' is not available", 4),
        ("I(x.__class__)", "'x.__class__' is not available", 2),
        ("I(().__class__)", "Attributes of values are not available", 2),
        ("I('a'.upper)", "Attributes of values", 2),
        ("I(x[0])", "Indexing is not available", 2),
        ("I(lambda: 1)", "A lambda is code", 2),
        ("(lambda x: x)(1)", "Only a named function", 0),
        ("f(x)(y)", "Only a named function", 0),
        ("I([i for i in x])", "code that a formula cannot hold", 2),
        ("I({i for i in x})", "code that a formula cannot hold", 2),
        ("I({'a': i for i in x})", "code that a formula cannot hold", 2),
        ("f(i for i in x)", "code that a formula cannot hold", 1),
        ('I(f"{x}")', "code that a formula cannot hold", 2),
        ("I(x := 3)", "code that a formula cannot hold", 2),
        ("I(x if t else z)", "code that a formula cannot hold", 2),
        ("I(await x)", "code that a formula cannot hold", 2),
        ("I(x and z)", "not 'and' and 'or'", 2),
        ("I(not t)", "Write ~ for 'not'", 2),
        ("I(x in z)", "'in' and 'is' are not available", 2),
        ("I(x is z)", "'in' and 'is' are not available", 2),
        ("I(1 < x < 2)", "stands in brackets, and cannot be chained", 2),
        ("I(x > 0 | t)", "stands in brackets", 2),
        ("I(x > 0 & z > 3)", "stands in brackets", 2),
        ("I(b'x')", "code that a formula cannot hold", 2),
        ("I(1j)", "code that a formula cannot hold", 2),
        ("I(...)", "code that a formula cannot hold", 2),
        ("I(x @ z)", "code that a formula cannot hold", 2),
        ("I(x << 1000000)", "code that a formula cannot hold", 2),
        ("I(*x)", r"\* before an argument", 2),
        ("f(**x)", r"\*\* before an argument", 0),
        ("scale(x, _state=1)", "argument '_state' is not available", 0),
        ("f(a=1, a=2)", "argument 'a' stands twice", 0),
        ("_f(x)", "'_f' is not available", 0),
        ("np._f(x)", "'np._f' is not available", 0),
        ("log(__x__)", "'__x__' is not available", 4),
        ("{1: 2}", "names in {...} must be texts", 0),
        ("{**x}", "names in {...} must be texts", 0),
        ("I(99999999999999999999)", "integer is too large", 2),
        ("`my f`(x)", "'my f' cannot be the name of a function", 1),
        ("I(x %% 2)", "R's %% is written % here", None),
        ("I(x %/% 2)", "R's %/% is written // here", None),
        ("I(x %in% z)", "for a test write", None),
        ("x # + z", "A comment has no place here", 2),
        ("I(x; z)", "cannot be read", None),
        ("import os", "cannot be read", None),
        ("x = 1", "cannot be read", None),
        ("I('a\\d')", "cannot be read", None),
        ("I(x\u200b)", "cannot be read", None),
        ("I(x\0)", "cannot be read", None),
        ("I('\ud800')", "cannot be read", None),
        ("", "cannot be read", None),
        ("log(" * 60 + "x" + ")" * 60, "nested more than 50 deep", None),
        ("log(" * 9_000 + "x" + ")" * 9_000, "cannot be read", None),
        ("-" * 30_000 + "x", "cannot be read", None),
        ("+".join(["x"] * 30_000), "cannot be read", None),
        ("9" * 5_000, "cannot be read", None),
    ],
)
def test_what_is_no_expression_of_a_formula_is_refused_at_its_place(written, message, place):
    with pytest.raises(FormulaError, match=message if "\\" in message else re.escape(message)) as caught:
        parse_expression(written)
    if place is not None:
        assert caught.value.place == place


def test_python_doubts_are_refusals_and_no_warnings():
    with pytest.raises(FormulaError, match="cannot be read"):
        parse_expression("1if x else 2")
