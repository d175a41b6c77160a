"""Hypotheses against the draws by hand; addresses found in text, and text that is none."""

import re

import numpy as np
import pandas as pd
import pytest
from synthetic import synthetic_fit

from mixedbayes.errors import ArgumentError

RNG = np.random.default_rng(4)
N = 40
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(1.0, 1.0, N),
        "sigmax": RNG.normal(size=N),
        "f": np.resize(["a", "b, c", "d]"], N),
        "Sepal.Length": RNG.normal(size=N),
        "g": np.resize([1, 2, 3, 4], N),
        "school": np.resize(["A", "B", "C, x", "Intercept"], N),
        "class": np.repeat(["u", "v"], N // 2),
    }
)
FORMULA = "y ~ x + f + poly(sigmax, 2) + `Sepal.Length` + (1 + x | school/class) + (1 | g) + (0 + x | g)"


@pytest.fixture(scope="module")
def fit():
    return synthetic_fit(FORMULA, DATA, priors={"b[x]": "normal(0, exponential(1))"})


def draws_of(fit):
    p = fit.posterior
    b = {name: p["b"].sel(coefficient=name).to_numpy() for name in p["coefficient"].to_numpy()}
    sd, cor, r = p["sd_school"].to_numpy(), p["cor_school"].to_numpy(), p["r_school"].to_numpy()
    return b, sd, cor, r, p


CASES = [
    ("x > 1", lambda b, sd, cor, r, p: (b["x"], 1)),
    ("`x` > 1", lambda b, sd, cor, r, p: (b["x"], 1)),
    ("b[x] > 1", lambda b, sd, cor, r, p: (b["x"], 1)),
    ("1 < x", lambda b, sd, cor, r, p: (b["x"], 1)),
    ("b[ x ]>=1e0", lambda b, sd, cor, r, p: (b["x"], 1)),
    ("b[Intercept] > 2", lambda b, sd, cor, r, p: (b["Intercept"], 2)),
    ("f[T.b, c] > 0", lambda b, sd, cor, r, p: (b["f[T.b, c]"], 0)),
    ("b[f[T.b, c]] - poly(sigmax, 2)[2] > 0", lambda b, sd, cor, r, p: (b["f[T.b, c]"], b["poly(sigmax, 2)[2]"])),
    ("poly(sigmax,2)[1] ^ 2 > 1", lambda b, sd, cor, r, p: (b["poly(sigmax, 2)[1]"] ** 2, 1)),
    ("Sepal.Length > 0", lambda b, sd, cor, r, p: (b["Sepal.Length"], 0)),
    ("sigma > 2", lambda b, sd, cor, r, p: (p["sigma"].to_numpy(), 2)),
    ("2 * sigma - x > sigma", lambda b, sd, cor, r, p: (p["sigma"].to_numpy(), b["x"])),
    ("sd[school, x] / sigma > 0.2", lambda b, sd, cor, r, p: (sd[..., 1] / p["sigma"].to_numpy(), 0.2)),
    ("sd[school,Intercept]^2 > 2", lambda b, sd, cor, r, p: (sd[..., 0] ** 2, 2)),
    ("sd[g] > 1", lambda b, sd, cor, r, p: (p["sd_g"].to_numpy()[..., 0], 1)),
    ("sd[g.2, x] > 1", lambda b, sd, cor, r, p: (p["sd_g.2"].to_numpy()[..., 0], 1)),
    ("cor[school, Intercept, x] > 0", lambda b, sd, cor, r, p: (cor[..., 0, 1], 0)),
    ("cor[school, x, Intercept] > 0", lambda b, sd, cor, r, p: (cor[..., 0, 1], 0)),
    ("r[school, B, x] > 0", lambda b, sd, cor, r, p: (r[..., 1, 1], 0)),
    ("r[school, C, x, x] > 0", lambda b, sd, cor, r, p: (r[..., 2, 1], 0)),
    ("r[school, Intercept, Intercept] > 0", lambda b, sd, cor, r, p: (r[..., 3, 0], 0)),
    ("r[g, 3, Intercept] > r[g.2, 3, x]", lambda b, sd, cor, r, p: (p["r_g"].to_numpy()[..., 2, 0], p["r_g.2"].to_numpy()[..., 2, 0])),
    ("coef[school, B, x] > 1", lambda b, sd, cor, r, p: (b["x"] + r[..., 1, 1], 1)),
    ("coef[g, 2, x] > 1", lambda b, sd, cor, r, p: (b["x"] + p["r_g.2"].to_numpy()[..., 1, 0], 1)),
    ("r[school:class, A:u, x] < 1", lambda b, sd, cor, r, p: (1, p["r_school:class"].to_numpy()[..., 0, 1])),
    ("prior[b[x], sigma] > 2", lambda b, sd, cor, r, p: (p["prior[b[x], sigma]"].to_numpy(), 2)),
    ("b[x].sigma > 2", lambda b, sd, cor, r, p: (p["prior[b[x], sigma]"].to_numpy(), 2)),
    ("abs(x) + max(x, sigma) > exp(-1) + sqrt(2) * log(3)", lambda b, sd, cor, r, p: (np.abs(b["x"]) + np.maximum(b["x"], p["sigma"].to_numpy()), np.exp(-1) + np.sqrt(2) * np.log(3))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_the_probability_is_the_share_of_draws(fit, text, expected):
    above, below = expected(*draws_of(fit))
    row = fit.hypothesis(text).iloc[0]
    probability = np.mean(above > below)
    assert row["hypothesis"] == text
    assert row["probability"] == pytest.approx(probability)
    assert row["evidence_ratio"] == pytest.approx(np.divide(probability, 1 - probability))
    difference = np.broadcast_to(above - below, (4, 25))
    sign = 1 if row["estimate"] * difference.mean() > 0 else -1  # `1 < x` is 1 less x
    assert sign * row["estimate"] == pytest.approx(difference.mean())
    assert row["std_error"] == pytest.approx(difference.std(ddof=1))
    low, high = np.quantile(sign * difference, [0.025, 0.975])
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((low, high))


def test_statements_join(fit):
    b, _, _, _, p = draws_of(fit)
    x, sigma = b["x"], p["sigma"].to_numpy()
    table = fit.hypothesis(["(x > 2) & (sigma < 2)", "(x > 2) | (sigma < 2)", "~(x > 2) & (sigma < 2)"])
    expected = [((x > 2) & (sigma < 2)), ((x > 2) | (sigma < 2)), (~(x > 2) & (sigma < 2))]
    np.testing.assert_allclose(table["probability"], [truth.mean() for truth in expected])
    assert table["estimate"].isna().all()


def test_certainty_has_infinite_evidence(fit):
    table = fit.hypothesis(["sigma > 0", "sigma < 0"])
    assert table["evidence_ratio"].tolist() == [np.inf, 0.0]


def test_the_intercept_is_one_thing_where_predictors_have_mean_zero():
    centred = synthetic_fit("y ~ 1 + (1 | g)", DATA)
    assert centred.hypothesis("Intercept > 2")["probability"].iloc[0] == np.mean(
        centred.posterior["b"].to_numpy()[..., 0] > 2
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xx > 1", "No parameter has the address 'xx'. Did you mean 'x'?"),
        ("sd[scool, x] > 1", "No parameter has the address 'sd[scool, x]'. Did you mean 'sd[school, x]'?"),
        ("r[school, Z, x] > 1", "school has no level 'Z'. Its levels are A, B, C, x, Intercept."),
        ("r[school, A, w] > 1", "No parameter has the address 'r[school, A, w]'"),
        ("coef[school] > 1", "No parameter has the address 'coef[school]'"),
        ("Intercept > 1", "Intercept is two things: b[Intercept], where all predictors are zero"),
        ("x", "'x' states nothing: a hypothesis compares, as in x > 0."),
        ("x = 1", "'x = 1': a number that varies equals another with probability zero."),
        ("x == 1", "equals another with probability zero"),
        ("(x = 1) & (sigma > 2)", "& and | join comparisons in brackets"),
        ("1 > 0", "names no parameter"),
        ("b[x > 1", "has a bracket that is not closed, in '[x > 1'"),
        ("x > 'a'", "'a' is no number"),
        ("x > True", "True is no number"),
        ("sin(x) > 0", "a hypothesis has no function sin(); it has abs, exp, log, sqrt, min, max."),
        ("max(x) > 0", "max() takes 2 numbers, not 1"),
        ("x.__class__ > 0", "The hypothesis 'x.__class__ > 0' cannot be read."),
        ("__import__('os') > x", "cannot be read"),
        ("x >", "cannot be read"),
        ("", "cannot be read"),
        ("x > 1 > 0", "cannot be read"),
        ("log(x - 2) > 0", "log(x - 2) is not a number in"),
        ("(sigma > 0) & (1 < sqrt(b[ x ] - 2))", "sqrt(b[ x ] - 2) is not a number in"),
        ("`parameter0` > x", "No parameter has the address 'parameter0'."),
        ("b[x].shape > 1", "No parameter has the address 'b[x].shape'. Did you mean 'b[x].sigma'?"),
        ("r[school, A, x].max > 1", "No parameter has the address 'r[school, A, x].max'."),
        ("b[x]0 > 1", "The hypothesis 'b[x]0 > 1' cannot be read."),
        ("b[ x ] > > 1", "'b[ x ] > > 1' cannot be read as an expression."),
        ("~x > 1", "~x is no number"),
        ("~x", "& and | join comparisons in brackets"),
        ("x > 1" + " " * 2000, "has 2,005 characters; at most 2,000 are read."),
        (3, "A hypothesis is a text such as 'sigma > 1', or a list of them, not 3."),
        ([], "or a list of them, not []"),
    ],
)
def test_what_states_nothing_is_refused_with_a_sentence(fit, text, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        fit.hypothesis(text)


def test_a_conf_level_is_checked_whatever_the_hypothesis(fit):
    with pytest.raises(ArgumentError, match="conf_level lies between 0 and 1, not 2"):
        fit.hypothesis("(x > 0) & (sigma > 1)", conf_level=2)


def test_the_contrary_stands_alone(fit):
    table = fit.hypothesis(["x > 2", "~(x > 2)"])
    assert table["probability"].sum() == pytest.approx(1.0)


def test_infinite_sides_compare_and_have_no_estimate(fit):
    row = fit.hypothesis("exp(1000 * sigma) > exp(1000 * (sigma + 1)) - 1").iloc[0]
    assert row["probability"] == 0.0
    assert row[["estimate", "std_error", "conf_low", "conf_high"]].isna().all()


def test_messages_repeat_no_more_than_the_beginning_of_a_long_text(fit):
    with pytest.raises(ArgumentError, match=r"x \+x \+.*\.\.\.") as raised:
        fit.hypothesis("x +" * 600)
    assert len(str(raised.value)) < 400


BLANKS = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "a b": RNG.normal(size=N),
        "ab": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "x-ab": RNG.normal(size=N),
        "g": np.resize(["a", "a ", "b c", "bc"], N),
        "cut": pd.cut(np.linspace(0.01, 1, N), [0, 0.25, 0.5, 1], right=True),
        "left": pd.cut(np.linspace(0, 0.99, N), [0, 0.5, 1], right=False),
    }
)


@pytest.fixture(scope="module")
def blanks():
    return synthetic_fit("y ~ `a b` + ab + x + `x-ab` + (1 | g) + (1 | cut) + (1 | left)", BLANKS)


@pytest.mark.parametrize(
    ("text", "variable", "place"),
    [
        ("a b > 2", "b", 1),
        ("ab > 2", "b", 2),
        ("b[a b] > 2", "b", 1),
        ("b[ab] > 2", "b", 2),
        ("x-ab > 2", "b", 4),
        ("r[g, a, Intercept] > 2", "r_g", 0),
        ("r[g, a , Intercept] > 2", "r_g", 1),
        ("r[ g,b c,Intercept ] > 2", "r_g", 2),
        ("r[g, bc, Intercept] > 2", "r_g", 3),
        ("r[cut, (0.0, 0.25], Intercept] > 2", "r_cut", 0),
        ("2 < r[cut, (0.25,0.5], Intercept]", "r_cut", 1),
        ("r[left, [0.0, 0.5), Intercept] > 2", "r_left", 0),
    ],
)
def test_an_address_is_what_is_written_first_and_then_the_same_but_for_blanks(blanks, text, variable, place):
    draws = blanks.posterior[variable].to_numpy().reshape(4, 25, -1)[..., place]
    assert blanks.hypothesis(text)["probability"].iloc[0] == (draws > 2).mean()


def test_a_minus_between_blanks_is_a_minus(blanks):
    b = blanks.posterior["b"].to_numpy()
    found = blanks.hypothesis("x - ab > 0")["estimate"].iloc[0]
    assert found == pytest.approx((b[..., 3] - b[..., 2]).mean())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b[a  b] > 2", "'b[a  b]' may be 'b[a b]', 'b[ab]', which differ in blanks alone"),
        ("r[g,   a, Intercept] > 2", "'r[g,   a, Intercept]' may be 'a', 'a ', which differ in blanks alone"),
    ],
)
def test_what_may_be_either_of_two_is_refused(blanks, text, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        blanks.hypothesis(text)
