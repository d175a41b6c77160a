import re
from dataclasses import replace

import pytest
from formulas import assert_usually, column, expression, formula, response, terms
from hypothesis import assume, given
from hypothesis import strategies as st

from mixedbayes.errors import FormulaError, MixedBayesError
from mixedbayes.language.additions import ADDITIONS, Addition, AdditionKind
from mixedbayes.language.expressions import Array, Literal, Name, Operation, Record, names_in, quoted, text_of
from mixedbayes.language.formula import GroupTerm, Response
from mixedbayes.language.parse import parse

COLUMNS = ("y", "x", "z", "a", "b", "g", "h")


def read(text, columns=None):
    """The formula; None for one that is refused: a random one may hold a bar term twice, or be empty."""
    try:
        return parse(text, columns)
    except MixedBayesError:
        return None


def test_a_formula_prints_as_text_that_parses_to_it():
    def check(text):
        parsed = read(text)
        if parsed is None:
            return False
        again = parse(str(parsed))
        assert again == parsed
        assert str(again) == str(parsed)
        assert hash(again) == hash(parsed)
        return True

    assert_usually(check, formula, least=0.3)


def _has_list(expression):
    return isinstance(expression, Array | Record) or (
        isinstance(expression, Operation) and any(map(_has_list, expression.operands))
    )


def test_any_expression_may_be_a_response_and_its_trials():
    def check(modelled, trials):
        if not names_in(modelled) or _has_list(modelled):
            return False
        response = Response(modelled, None, {} if trials is None else {"trials": Addition(trials)})
        assert parse(f"{response} ~ 1").response == response
        return True

    symbols = st.sampled_from(["+", "-", "*", "/", "**", "%", "&", "|", "//"])
    computed = st.builds(Operation, symbols, st.tuples(st.builds(Name, column), expression))
    assert_usually(check, expression | computed, st.none() | expression, least=0.2)


def test_any_expression_may_be_weights_and_errors_beside_any_response():
    def check(left, weights, errors, sigma):
        if read(f"{left} ~ 1") is None:
            return False
        response = parse(f"{left} ~ 1").response
        more = {"weights": Addition(weights), "se": Addition(errors, {"sigma": sigma})}
        whole = replace(response, additions={**response.additions, **more})
        assert parse(f"{whole} ~ 1").response == whole
        swapped = replace(whole, additions=dict(reversed(whole.additions.items())))
        assert str(swapped) == str(whole)
        return True

    assert_usually(check, response, expression, expression, st.booleans(), least=0.5)


def test_a_formula_of_several_parameters_prints_as_text_that_parses_to_it():
    def check(text, sigma, nu, label):
        own = read(text)
        barred = f"{sigma} + (x | {quoted(label)} | g)"
        whole = read(f"{text}\nsigma ~ {barred}; nu ~ {nu}")
        if whole is None or own is None:
            return False
        assert replace(whole, predictors={}) == own
        assert parse(str(whole)) == parse(whole.text) == whole
        assert parse(text, None, {"nu": f"~ {nu}", "sigma": f"~{barred}"}) == whole
        assert str(parse(text, None, {"nu": f"~ {nu}", "sigma": f"~{barred}"})) == str(whole)
        assert hash(parse(str(whole))) == hash(whole)
        assert whole.predictors["sigma"].groups[-1].label == label
        for name, side in (("sigma", barred), ("nu", nu)):
            assert whole.predictors[name] == parse(f"response ~ {side}").side
        return True

    assert_usually(check, formula, terms, terms, column, least=0.1)


LOOKALIKES = {"-": "\u2212\u2010\u2011\u2012\u2013\uff0d", "~": "\u223c\u02dc\uff5e", "*": "\u2217\uff0a", "|": "\u2223\uff5c",
              "(": "\uff08", ")": "\uff09", "+": "\uff0b", ":": "\uff1a", "^": "\uff3e", "/": "\uff0f"}  # fmt: skip
QUOTED = re.compile(r"""`[^`]*`|'[^']*'|"[^"]*\"""")


@given(formula, st.randoms(use_true_random=False))
def test_lookalikes_comments_and_new_lines_change_nothing(text, random):
    """What a word processor or a web page makes of a formula is the formula; quotes are left alone."""
    parsed = read(text)
    assume(parsed is not None)
    quoted_places = {i for found in QUOTED.finditer(text) for i in range(*found.span())}
    dressed = "".join(
        random.choice([sign, *LOOKALIKES.get(sign, "")]) if i not in quoted_places else sign
        for i, sign in enumerate(text)
    )
    assert parse(dressed) == parsed
    assert parse(f"{dressed} # it's `the` last (line") == parsed
    commented = parse(f"# {text}\n{dressed}\n# + {text}")
    assert commented == parsed
    assert parse(commented.text) == parsed, "the text that is kept says the same"


@given(column)
def test_any_column_name_can_be_written_in_backticks(name):
    text = f"`{name.replace(chr(92), 2 * chr(92)).replace('`', chr(92) + '`')}`"
    assume(name.strip() and name != "y")
    parsed = parse(f"{text} ~ 0 + log({text}) + (1 | {text})")
    assert parsed.names() == (name,)
    assert parse(str(parsed)) == parsed
    alone = parse(f"y ~ {text}", ())
    assert alone.has_intercept
    assert alone.names(response=False) == (name,)
    assert parse(f"y ~ {quoted(name)}") == alone == parse(str(alone))
    assert parse("y ~ .", (name,)) == alone


def test_what_is_taken_from_the_dot_is_a_column():
    with pytest.raises(FormulaError, match="agee cannot be taken away: it does not stand before the minus"):
        parse("y ~ . - agee", ("y", "age", "g"))


def test_a_star_is_both_sides_and_their_products():
    def check(left, right):
        star = read(f"y ~ ({left}) * ({right})")
        written_out = read(f"y ~ ({left}) + ({right}) + ({left}):({right})")
        assert (star and star.terms) == (written_out and written_out.terms)
        return star is not None

    assert_usually(check, terms, terms, least=0.3)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("y~x", "y ~ 1 + x"),
        ("y ~ 1", "y ~ 1"),
        ("y ~ +x", "y ~ 1 + x"),
        ("y ~ 0 + x", "y ~ 0 + x"),
        ("y ~ x - 1", "y ~ 0 + x"),
        ("y ~ -1 + x", "y ~ 0 + x"),
        ("y ~ x + 0", "y ~ 0 + x"),
        ("y ~ x - 1 + 1", "y ~ 1 + x"),
        ("y ~ x +- 1", "y ~ 0 + x"),
        ("y ~ x - 0", "y ~ 1 + x"),
        ("y ~ a*b", "y ~ 1 + a + b + a:b"),
        ("y ~ a*b*z - a:b", "y ~ 1 + a + b + z + a:z + b:z + a:b:z"),
        ("y ~ a:b + z", "y ~ 1 + z + a:b"),
        ("y ~ a/b", "y ~ 1 + a + a:b"),
        ("y ~ a/b/z", "y ~ 1 + a + a:b + a:b:z"),
        ("y ~ (a + b)/z", "y ~ 1 + a + b + a:b:z"),
        ("y ~ a/(b + z)", "y ~ 1 + a + a:b + a:z"),
        ("y ~ b %in% a", "y ~ 1 + b:a"),
        ("y ~ a + b % in % a", "y ~ 1 + a + b:a"),
        ("y ~ (a + b + z)^2", "y ~ 1 + a + b + z + a:b + a:z + b:z"),
        ("y ~ (a + b)**2", "y ~ 1 + a + b + a:b"),
        ("y ~ (a + b)^99999999999999999999", "y ~ 1 + a + b + a:b"),
        ("y ~ (a + b - 1)*z", "y ~ 1 + a + b + z + a:z + b:z"),
        ("y ~ a:a + a", "y ~ 1 + a"),
        ("y ~ a:b + b:a", "y ~ 1 + a:b"),
        ("y ~ x*z + (1 + z:x | g)", "y ~ 1 + x + z + x:z + (1 + x:z | g)"),
        ("y ~ x + (1 + z:x | g)", "y ~ 1 + x + (1 + z:x | g)"),
        ("y ~ 1:x + x:1", "y ~ 1 + x"),
        ("y ~ .", "y ~ 1 + x + z + a + b + g + h"),
        ("y ~ . - x", "y ~ 1 + z + a + b + g + h"),
        ("y ~ . - y - g + (1 | g)", "y ~ 1 + x + z + a + b + h + (1 | g)"),
        ("y ~ x + offset(z) - offset(z)", "y ~ 1 + x"),
        ("y ~ . + (1 | g)", "y ~ 1 + x + z + a + b + h + (1 | g)"),
        (
            "y ~ 0 + . + (. | C(g)/h)",
            "y ~ 0 + x + z + a + b + (1 + x + z + a + b | g) + (1 + x + z + a + b | g:h)",
        ),
        ("log(y + z) ~ .", "log(y + z) ~ 1 + x + a + b + g + h"),
        ("y | trials(z) ~ .", "y | trials(z) ~ 1 + x + a + b + g + h"),
        ("y ~ (x | g)", "y ~ 1 + (1 + x | g)"),
        ("y ~ (0 + x | g)", "y ~ 1 + (0 + x | g)"),
        ("y ~ (x - 1 | g)", "y ~ 1 + (0 + x | g)"),
        ("y ~ (x + 0 | g)", "y ~ 1 + (0 + x | g)"),
        ("y ~ (a*x || g)", "y ~ 1 + (1 + a + x + a:x || g)"),
        ("y ~ (1 | g) - 1", "y ~ 0 + (1 | g)"),
        ("y ~ 0 + (1 | g)", "y ~ 0 + (1 | g)"),
        ("y ~ x + ((1 | g) + (1 | h))", "y ~ 1 + x + (1 | g) + (1 | h)"),
        ("y ~ (((x | g)))", "y ~ 1 + (1 + x | g)"),
        ("y ~ (x | g) + z - (x | g)", "y ~ 1 + z"),
        ("y ~ (1 | g/h)", "y ~ 1 + (1 | g) + (1 | g:h)"),
        ("y ~ (1 | a/g/h)", "y ~ 1 + (1 | a) + (1 | a:g) + (1 | a:g:h)"),
        ("y ~ (1 | g + h)", "y ~ 1 + (1 | g) + (1 | h)"),
        ("y ~ (1 | g*h)", "y ~ 1 + (1 | g) + (1 | h) + (1 | g:h)"),
        ("y ~ (1 | C(g):factor(h))", "y ~ 1 + (1 | g:h)"),
        ("y ~ (1 | h %in% g)", "y ~ 1 + (1 | h:g)"),
        ("y ~ (1 | `my group`)", "y ~ 1 + (1 | `my group`)"),
        ("y ~ (1 | g) + (0 + x | g)", "y ~ 1 + (1 | g) + (0 + x | g)"),
        ("y ~ I(x^2) + {x + z} + {x}", "y ~ 1 + I(x ** 2) + {x + z} + x"),
        ("y ~ `my col` + `x` + `1`", "y ~ 1 + `my col` + x + `1`"),
        ("y ~ x + offset(log(z)) + offset(a)", "y ~ 1 + x + offset(log(z)) + offset(a)"),
        ("y ~ offset(z) - 1", "y ~ 0 + offset(z)"),
        ("log(y) ~ x", "log(y) ~ 1 + x"),
        ("{y + z} ~ x", "y + z ~ 1 + x"),
        ("(y) ~ x", "y ~ 1 + x"),
        ('y["a b"] ~ x', "y['a b'] ~ 1 + x"),
        ("`my y`[TRUE] ~ x", "`my y`[True] ~ 1 + x"),
        ("y[2] ~ x", "y[2] ~ 1 + x"),
        ("y|trials( 2*z ) ~ x", "y | trials(2 * z) ~ 1 + x"),
        ("y | weights(w)+trials(n) ~ x", "y | trials(n) + weights(w) ~ 1 + x"),
        ("y | weights(1 / (1 + z)) ~ x", "y | weights(1 / (1 + z)) ~ 1 + x"),
        ("y | se(s) + weights(w) ~ .", "y | weights(w) + se(s) ~ 1 + x + z + a + b + g + h"),
        ("y | se(s, sigma=TRUE) ~ x", "y | se(s, sigma=True) ~ 1 + x"),
        ("y | se(s, sigma=FALSE) ~ x", "y | se(s) ~ 1 + x"),
        ("y | se(z) ~ .", "y | se(z) ~ 1 + x + a + b + g + h"),
        ("y['a'] | weights(2) ~ x", "y['a'] | weights(2) ~ 1 + x"),
        ("cbind(y, z) | weights(x) ~ a", "cbind(y, z) | weights(x) ~ 1 + a"),
        ("y ~ (1 | p | g)", "y ~ 1 + (1 | p | g)"),
        ("y ~ (x|2|g/h)", "y ~ 1 + (1 + x | `2` | g) + (1 + x | `2` | g:h)"),
        ("y ~ (1 | `my id` | g) - (1 | `my id` | g)", "y ~ 1"),
        ("y ~ (1|p|`g`)", "y ~ 1 + (1 | p | g)"),
        ("y ~ x; sigma ~ z", "y ~ 1 + x; sigma ~ 1 + z"),
        ("y ~ x\n  + z\nsigma ~ x - 1", "y ~ 1 + x + z; sigma ~ 0 + x"),
        ("y ~ x\r\nsigma ~ z", "y ~ 1 + x; sigma ~ 1 + z"),
        ("y ~ x  # mean\n# spread\nsigma ~ 1 + (x || g)  # not z", "y ~ 1 + x; sigma ~ 1 + (1 + x || g)"),
        (
            "y ~ . + (1 | p | g); phi ~ . ; sigma ~ offset(log(z)) + (0 + x | p | g)",
            "y ~ 1 + x + z + a + b + h + (1 | p | g); phi ~ 1 + x + z + a + b + h; sigma ~ 1 + offset(log(z)) + (0 + x | p | g)",
        ),
        ("y ~ 1; `my par` ~ x", "y ~ 1; `my par` ~ 1 + x"),
        ("cbind(y, z - y) ~ x", "cbind(y, z - y) ~ 1 + x"),
        ("y\n~ x\n\t+ z", "y ~ 1 + x + z"),
        ("y ~ x − 1", "y ~ 0 + x"),
        ("y ∼ x", "y ~ 1 + x"),
        ("y ~ x  # the slope\n  + z  # don't (forget) it", "y ~ 1 + x + z"),
        ("y[‘yes’] ~ C(a, levels=[“x – 1”, 'z'])", "y['yes'] ~ 1 + C(a, levels=['x – 1', 'z'])"),
        ("y ~ `a–b` + C(a, levels=['#', '–'])", "y ~ 1 + `a–b` + C(a, levels=['#', '–'])"),
        ("y ~ as.factor(a) + (1 | as.factor(g))", "y ~ 1 + factor(a) + (1 | g)"),
        ("y ~ Q('my column') + Q(\"z\")", "y ~ 1 + `my column` + z"),
        ("y ~ is.female + log(in.degree) + `is`", "y ~ 1 + is.female + log(in.degree) + `is`"),
        ("y/z ~ x", "y / z ~ 1 + x"),
        ("y^2 ~ x", "y ** 2 ~ 1 + x"),
        ("y - z ~ x", "y - z ~ 1 + x"),
        ("y+1 ~ x", "y + 1 ~ 1 + x"),
        ("(y>1) ~ x", "y > 1 ~ 1 + x"),
        ("y == 'a' ~ x", "{y == 'a'} ~ 1 + x"),
        ("((y>1) | (z<2)) ~ x", "{(y > 1) | (z < 2)} ~ 1 + x"),
        ("{~(y > 1)} ~ x", "{~(y > 1)} ~ 1 + x"),
        ("(y + z)/2 | trials(2*z + 1) ~ x", "(y + z) / 2 | trials(2 * z + 1) ~ 1 + x"),
        ("-log(y) ~ x", "-log(y) ~ 1 + x"),
        ("y - z ~ .", "y - z ~ 1 + x + a + b + g + h"),
        ("y/z | trials(g) ~ .", "y / z | trials(g) ~ 1 + x + a + b + h"),
        ("y ~ C(a, Treatment('b)'))", "y ~ 1 + C(a, Treatment('b)'))"),
        ("µg ~ ﬁt + Größe + class + lambda", "µg ~ 1 + ﬁt + Größe + class + `lambda`"),
    ],
)
def test_formulas_print_canonically(written, canonical):
    parsed = parse(written, COLUMNS)
    assert str(parsed) == canonical
    assert parse(canonical) == parsed


def test_a_bar_over_nested_groups_is_one_bar_term_for_each():
    assert parse("y ~ (x | g/h)") == parse("y ~ (x | g) + (x | g:h)")


def test_a_parsed_formula_says_its_parts():
    parsed = parse("log(y) | trials(n) ~ x*a + offset(log(e)) + (x || g:h)")
    assert [repr(term) for term in parsed.terms] == ["1", "x", "a", "x:a"]
    assert parsed.has_intercept
    assert [(group.group, group.correlated) for group in parsed.groups] == [(("g", "h"), False)]
    assert isinstance(parsed.groups[0], GroupTerm)
    assert list(map(text_of, parsed.offsets)) == ["log(e)"]
    assert parsed.response.expression == parse("log(y) ~ 1").response.expression
    assert parsed.response.trials == Name("n")
    assert parsed.names() == ("y", "n", "x", "a", "e", "g", "h")
    assert parsed.names(response=False) == ("x", "a", "e", "g", "h")
    assert parsed.functions() == ("log",)
    assert parsed.text == "log(y) | trials(n) ~ x*a + offset(log(e)) + (x || g:h)"


def test_a_name_that_reads_as_a_number_is_a_column_where_there_is_one():
    parsed = parse("y ~ 1e7 + `2e-3` + (1e7 | g)", ("y", "1e7", "2e-3", "g"))
    assert parsed.names(response=False) == ("1e7", "2e-3", "g")
    assert parse(str(parsed)) == parsed
    with pytest.raises(FormulaError, match="2e-3 is a number, which is no term"):
        parse("y ~ 2e-3", ("y", "1e7", "2e-3", "g"))
    assert parse("y ~ I(1e7 * x) + log(2e-3 + x)").names(response=False) == ("x",)


def test_additions_are_a_mapping_of_what_stands_right_of_the_bar():
    response = parse("y | weights(2 * w) + se(s, sigma=TRUE) + trials(n) ~ x").response
    assert dict(response.additions) == {
        "trials": Addition(Name("n")),
        "weights": Addition(Operation("*", (Literal(2), Name("w")))),
        "se": Addition(Name("s"), {"sigma": True}),
    }
    assert list(response.additions) == ["trials", "weights", "se"]
    assert response.names_of(("weights", "trials")) == ("n", "w")
    assert parse("cbind(a, b) | weights(w) ~ x").response.names_of(("weights", "trials")) == ("a", "b", "w")
    assert parse("y | se(s) ~ x").response.additions["se"].options == {"sigma": False}
    assert parse("y | weights(w) + se(log(s)) ~ x").names() == ("y", "w", "s", "x")
    assert parse("y | weights(w) + se(log(s)) ~ x").functions() == ("log",)


def test_an_addition_more_is_a_record(monkeypatch):
    monkeypatch.setitem(ADDITIONS, "upto", AdditionKind("limits", "count", {"open": True}))
    parsed = parse("y | trials(n) + upto(z, open=FALSE) ~ x")
    assert parsed.response.additions["upto"] == Addition(Name("z"), {"open": False})
    assert str(parsed) == "y | trials(n) + upto(z, open=False) ~ 1 + x"
    assert parse(str(parsed)) == parsed


def test_labels_are_of_bar_terms():
    parsed = parse("y ~ (1 | p | g) + (0 + x | h); sigma ~ (1 | p | g)")
    assert [group.label for group in parsed.groups] == ["p", None]
    assert parsed.predictors["sigma"].groups == (parsed.groups[0],)
    assert "p" not in parsed.names()
    assert parse("y ~ (1 | p | g)") != parse("y ~ (1 | q | g)") != parse("y ~ (1 | g)")


def test_right_sides_of_further_parameters_are_lines_or_named():
    text = parse("y ~ x + (1 | g); sigma ~ log(z) + (x | p | h) + offset(b)\nphi ~ 0 + a", COLUMNS)
    sides = {"sigma": "~ log(z) + (x | p | h) + offset(b)", "phi": " ~ 0 + a # spread"}
    assert parse("y ~ x + (1 | g)", COLUMNS, sides) == text == parse(text.text) == parse(str(text))
    assert text.text == "y ~ x + (1 | g); sigma ~ log(z) + (x | p | h) + offset(b); phi ~ 0 + a"
    assert hash(parse(str(text))) == hash(text)
    sigma = text.predictors["sigma"]
    assert [repr(term) for term in sigma.terms] == ["1", "log(z)"]
    assert [(group.group, group.label) for group in sigma.groups] == [(("h",), "p")]
    assert list(map(text_of, sigma.offsets)) == ["b"]
    assert text.names() == ("y", "x", "g", "z", "b", "h", "a")
    assert text.functions() == ("log",)
    assert text != parse("y ~ x + (1 | g)")
    swapped = {"phi": sides["phi"], "sigma": sides["sigma"]}
    assert parse("y ~ x + (1 | g)", COLUMNS, swapped) == text
    assert str(parse("y ~ x + (1 | g)", COLUMNS, swapped)) == str(text)


@pytest.mark.parametrize(
    ("predictors", "message"),
    [
        ({"sigma": "x"}, "The formula of sigma begins with '~'"),
        ({"sigma": "sigma ~ x"}, "The formula of sigma begins with '~'"),
        ({"sigma": 3}, "The formula of sigma is a text such as '~ x + (1 | g)', not int"),
        ({3: "~ x"}, "The name of a parameter is a text"),
        ({"mu": "~ x"}, "The formula of mu is the first one"),
        ({"sigma": "~ x; phi ~ z"}, "A formula has one '~'"),
        ({"sigma": "~ x +"}, "insufficient arguments"),
        ({"sigma": "~ y"}, "The response y cannot predict itself"),
        ({"sigma": "~ " + "x" * 1_000_000}, "A formula has at most"),
        ({"sigma": "~ x ~ z"}, "A formula has one '~'"),
        ({"sigma": "~ log(x[1])"}, "Indexing"),
    ],
)
def test_a_right_side_that_is_none_is_refused(predictors, message):
    with pytest.raises(FormulaError, match=re.escape(message)):
        parse("y ~ x", None, predictors)


NO_PRODUCT = "cannot have a group term"
NESTED = "A group term cannot stand inside another"


@pytest.mark.parametrize(
    ("written", "message", "caret"),
    [
        ("y ~ x * (1 | g)", NO_PRODUCT, "y ~ x * (1 | "),
        ("y ~ (1 | g) * x", NO_PRODUCT, None),
        ("y ~ x:(1 | g)", NO_PRODUCT, None),
        ("y ~ (1 | g):x", NO_PRODUCT, None),
        ("y ~ (1 | g)/x", NO_PRODUCT, None),
        ("y ~ x %in% (1 | g)", NO_PRODUCT, None),
        ("y ~ (x + (1 | g))^2", NO_PRODUCT, None),
        ("y ~ ((1 | g) | h)", NESTED, None),
        ("y ~ (1 | (1 | g))", NESTED, None),
        ("y ~ (x + (1 | g) | h)", NESTED, None),
        ("y ~ (1 | p | g | h)", "A group term has one bar", "y ~ (1 | p | g "),
        ("y ~ (1 | p + q | g)", "A group term has one bar", "y ~ (1 | p + q "),
        ("y ~ (1 | p || g)", "A label says with which effects others are correlated", "y ~ (1 "),
        ("y ~ (1 || p | g)", "A label says with which effects others are correlated", "y ~ (1 "),
        ("y ~ (1 | p | g) + (1 | g)", "(1 | g) and (1 | p | g) both hold the effect 1", None),
        ("y ~ (1 | p | )", "A bar stands between effects", None),
        ("y ~ (1 | g) + (1 | g)", "(1 | g) stands twice in the formula", None),
        ("y ~ (x | g) + (1 + x | g)", "(1 + x | g) stands twice", None),
        ("y ~ (x | g) + (1 | g)", "(1 | g) and (1 + x | g) both hold the effect 1", None),
        ("y ~ (x || g) + (0 + x | g)", "both hold the effect x", None),
        ("y ~ (1 | g:h) + (1 | h:g)", "both hold the effect 1", None),
        ("y ~ (1 | g) + (1 | g/h)", "stands twice", None),
        ("y ~ (1 | g + g:h) + (1 | g/h)", "stands twice", None),
        ("y ~ x - (1 | g)", "(1 | g) cannot be taken away", None),
        ("y ~ (x | g) - (1 | g)", "(1 | g) cannot be taken away", None),
        (
            "y ~ x - offset(z)",
            "offset(z) cannot be taken away: it does not stand before the minus. To subtract it, write offset(-(...)).",
            None,
        ),
        ("y ~ x - offset(z) + offset(z)", "offset(z) cannot be taken away", None),
        ("y ~ x - z", "z cannot be taken away: it does not stand before the minus.", None),
        ("y ~ x - a:b", "a:b cannot be taken away", None),
        ("y ~ (x - z | g)", "z cannot be taken away", None),
        ("y ~ x - 3", "3 cannot be taken away", None),
        ("y ~ 1 | g", "A group term stands in brackets", "y ~ 1 "),
        ("y ~ x + 1 | g", "A group term stands in brackets", None),
        ("y ~ (1 |)", "A bar stands between effects and a grouping column", None),
        ("y ~ (| g)", "A bar stands between effects", None),
        ("y ~ (0 | g)", "Nothing stands left of the bar", None),
        ("y ~ (1 | 1)", "'1' cannot be a grouping factor", None),
        ("y ~ (1 | log(g))", "'log(g)' cannot be a grouping factor", None),
        ("y ~ (1 | g - g)", "A grouping column must stand right of the bar", None),
        ("y ~ (offset(x) | g)", "offset() cannot stand in a group term", None),
        ("y ~ offset(x):z", "offset() cannot be multiplied with :", None),
        ("y ~ offset(x, z)", "offset() takes one expression", "y ~ "),
        ("y ~ y", "The response y cannot predict itself", "y ~ "),
        ("y ~ x + (y | g)", "The response y cannot predict itself", None),
        ("log(y) ~ x:log(y)", "cannot predict itself", None),
        ("y ~ x +", "insufficient arguments", None),
        ("y ~ * x", "incorrectly used", None),
        ("y ~ x z", "Missing operator between `x` and `z`", None),
        ("y ~ (x)(z)", "Missing operator", None),
        ("y ~ ()", "Nothing stands in these brackets", "y ~ "),
        ("y ~ x + (z", "This bracket is never closed", "y ~ x + "),
        ("y ~ x)", "This bracket was never opened", "y ~ x"),
        ("y ~ log(x", "The formula ends before ')' closes", None),
        ("y ~ `x", "The formula ends before '`' closes", None),
        ("y ~ x + ``", "Nothing stands between these marks", None),
        ("y ~ {} + x", "Nothing stands between these marks", None),
        ("y ~ [x]", "Square brackets have no meaning", "y ~ "),
        ("y ~ x[1]", "Indexing is not available", "y ~ "),
        (
            "y ~ x - z",
            "z cannot be taken away: it does not stand before the minus. A difference is computed",
            None,
        ),
        ("y ~ x - offset(z)", "offset(z) cannot be taken away", None),
        ("y ~ -x", "x cannot be taken away", None),
        ("y ~ x - mean(x)", "mean(x) cannot be taken away", None),
        ("(y ~ x)", "The '~' of a formula stands outside brackets", "(y "),
        ("bf(y ~ x)", "The '~' of a formula stands outside brackets", ""),
        ("bf(y ~ x, sigma ~ z)", "the formula of another parameter is a line of its own", ""),
        ("y ~ x ~ z", "the formula of another parameter is a line of its own", None),
        ("y ~ x sigma ~ z", "A formula has one '~'", "y ~ x sigma "),
        ("y ~ x\nlog(sigma) ~ z", "A formula has one '~'", "y ~ x\nlog(sigma) "),
        ("y ~ x\n~ z", "A formula has one '~'", "y ~ x\n"),
        ("y ~ x; sigma ~ z; sigma ~ x", "sigma has two formulas", "y ~ x; sigma ~ z; "),
        ("y ~ x; mu ~ z", "The formula of mu is the first one", "y ~ x; "),
        ("y ~ x; sigma ~ ", "Nothing stands right of '~'", None),
        ("y ~ x; sigma ~ 0", "Nothing is left to fit", None),
        ("y ~ x; sigma ~ y", "The response y cannot predict itself", "y ~ x; sigma ~ "),
        ("y ~ x; sigma ~ log(x[1])", "Indexing", "y ~ x; sigma ~ log("),
        ("y ~ x +; sigma ~ z", "insufficient arguments", None),
        ("y ~ (x; sigma ~ z", "This bracket is never closed", "y ~ "),
        ("y ~ x;", "After ';' stands the formula of another parameter", "y ~ x"),
        ("y = x", "Between a response and its terms stands '~', not '='", "y "),
        ("y == x", "stands '~', not '=='", "y "),
        ("y <- x", "stands '~', not '<-'", "y "),
        ("y", "A formula needs a '~'", ""),
        ("d$y ~ x", "Columns are named alone, without their table", "d"),
        ("log(d$y) ~ x", "Columns are named alone, without their table", "log(d"),
        ("y ~ d$x", "Columns are named alone, without their table", "y ~ d"),
        ("y ~ x > 0", "A condition stands in I(...)", "y ~ x "),
        ("y ~ x == 0", "A condition stands in I(...)", "y ~ x "),
        ("y ~ !x", "A condition stands in I(...)", "y ~ "),
        ("y ~ x, z", "A comma has no place between terms", "y ~ x"),
        ("y ~ (1, g)", "a group term has a bar, (1 | g)", "y ~ (1"),
        ("y ~ x; z", "After ';' stands the formula of another parameter", "y ~ x"),
        ("y ~ x %% 2", "R's %% and %/% are % and // here", "y ~ x "),
        ("y ~ scale(x)[,1]", "columns as they are, without [, 1]", None),
        ("y ~ us(1 + x | g)", "A formula has no us(... | ...): (x | g) estimates all", "y ~ "),
        ("y ~ diag(1 + x | g)", "independent effects are (x || g)", "y ~ "),
        ("y ~ cs(1 + x | g)", "compound symmetry is not supported yet", "y ~ "),
        ("y ~ ar1(0 + x | g)", "this structure of group effects is not supported yet", "y ~ "),
        ("y ~ (1 | gr(g, cov=A))", "gr() cannot be a grouping factor: known covariances", None),
        ("y ~ (1 | mm(g, h))", "mm() cannot be a grouping factor: groups of several members", None),
        ("y ~ (1 | interaction(g, h))", "for groups (1 | a:b)", None),
        ("y | weights(w) + weights(v) ~ x", "weights() stands twice beside the response", None),
        ("y | weights(w, scale=TRUE) ~ x", "weights() beside a response has no option 'scale'.", None),
        ("y | se(s, sigm=TRUE) ~ x", "se() beside a response has no option 'sigm'; there is sigma.", None),
        ("y | se(s, sigma=z) ~ x", "The option sigma of se() is TRUE or FALSE, not z", None),
        ("y | se(s, sigma=1) ~ x", "The option sigma of se() is TRUE or FALSE, not 1", None),
        ("y | se(s, z) ~ x", "se() takes one column or number", None),
        ("y | weights() ~ x", "weights() takes one column or number", None),
        ("y | weights(w) * se(s) ~ x", "Right of the bar in a response stands trials(n)", None),
        ("y | resp_weights(w) ~ x", "Beside a response resp_weights() is weights()", None),
        ("y | weights(w) + cens(c) ~ x", "censored responses are not supported yet", None),
        ("y | subset(s) ~ x", "not supported yet; leave the other rows out", None),
        ("y | sigma(s) ~ x", "known standard errors are y | se(s)", None),
        ("y | thres(3) ~ x", "ordinal responses are not supported yet", None),
        ("y ~ weights(w) + x | trials(n)", "A group term stands in brackets", None),
        ("y | cens(c) ~ x", "censored responses are not supported yet", None),
        ("y | trunc(lb = 0) ~ x", "truncated responses are not supported yet", None),
        ("y | mi() ~ x", "gaps in the response are not imputed", None),
        ("y | rate(e) ~ x", "offset(log(exposure))", None),
        ("(y > 1) | (z < 2) ~ x", "A condition with a bar of its own stands in brackets", None),
        ("2 * 3 ~ x", "The response is a column, not a constant", ""),
        ("[y, z] ~ x", "not a list", ""),
        ("y ~ x & z", "Conditions are joined in I(...)", "y ~ x "),
        ("y ~ x %/% z", "Unknown operator '%/%'", "y ~ x "),
        ("y ~ (1 ||| g)", "A group term has one bar", None),
        ("y ~ 2", "A number is no term", "y ~ "),
        ("y ~ x + 1e7", "1e7 is a number, which is no term", "y ~ x + "),
        ("y ~ x + 1e-7", "1e-7 is a number, which is no term", "y ~ x + "),
        ("y ~ x + 2.5E+3*z", "2.5E+3 is a number, which is no term", "y ~ x + "),
        ("y ~ x + 1_000", "1_000 is a number, which is no term", "y ~ x + "),
        ("y ~ x:0x1f", "0x1f is a number, which is no term", "y ~ x:"),
        ("y ~ (1 + 1e7 | g)", "1e7 is a number, which is no term", "y ~ (1 + "),
        ("y ~ {1}", "A number is no term", "y ~ "),
        ("y ~ 2:x", "A number is no term", None),
        ("y ~ 0:x", "0 removes the intercept and stands alone", "y ~ "),
        ("y ~ 'x'", "A text or malformed number cannot be a term", "y ~ "),
        ("y ~ 1.2.3", "malformed number", "y ~ "),
        ("y ~ x^z", "The exponent must be a positive whole number", None),
        ("y ~ x^1.5", "The exponent must be a positive whole number", None),
        ("y ~ x^`2`", "The exponent must be a positive whole number", None),
        ("y ~ 0", "Nothing is left to fit", None),
        ("y ~ x - x - 1", "Nothing is left to fit", None),
        ("y ~ ", "Nothing stands right of '~'", None),
        ("~ x", "Nothing stands left of '~'", ""),
        ("y + x", "A formula needs a '~' between its response and its terms", ""),
        ("", "A formula needs a response", None),
        ("y ~ x ~ z", "A formula has one '~'", "y ~ x "),
        ("3 ~ x", "The response is a column, not a constant", ""),
        ("'y' ~ x", "The response is a column, not a constant", ""),
        ("y[z] ~ x", "The level of a response is a text or number", "y["),
        ("y | n ~ x", "Right of the bar in a response stands trials(n)", None),
        ("y | trials() ~ x", "trials() takes one column or number", None),
        (
            "y | trial(n) ~ x",
            "trial() is not known beside a response; there is trials, weights, se. Did you mean 'trials'?",
            None,
        ),
        ("cbind(a, b) | trials(n) ~ x", "cbind() says the trials itself", None),
        ("y ~ .", "'.' stands for columns of the data", "y ~ "),
        ("y ~ log(x +)", "cannot be read as an expression", "y ~ log(x +"),
        ("y ~ x + I(lambda: 1)", "A lambda is code", "y ~ x + I("),
        ("log(x[1]) ~ x", "Indexing", "log("),
        ("y ~ x +\n  log(x[1])", "Indexing", "y ~ x +\n  log("),
    ],
)
def test_a_mistake_is_named_and_its_place_shown(written, message, caret):
    with pytest.raises(FormulaError, match=re.escape(message)) as caught:
        parse(written)
    if caret is not None:
        assert caught.value.place == len(caret)
    shown = str(caught.value).split("\n")
    if caught.value.place is not None and written:
        line, pointer = shown[-2:]
        assert pointer.strip() == "^"
        assert line.strip() in written


def test_the_caret_of_a_long_formula_stands_under_the_place():
    text = f"y ~ {' + '.join(f'column{i}' for i in range(200))} + log(x[1]) + {'z' * 300}"
    with pytest.raises(FormulaError, match="Indexing") as caught:
        parse(text)
    _, line, pointer = str(caught.value).split("\n")
    assert line[pointer.index("^") :].startswith("x[1]")
    assert len(line) < 110


def test_a_formula_is_a_text():
    with pytest.raises(FormulaError, match=r"A formula is a text .* not int"):
        parse(3)
