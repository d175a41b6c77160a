"""Families and links by name, and the responses that they refuse."""

import warnings
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

import mixedbayes as mb
from mixedbayes.designs.margins import margins
from mixedbayes.errors import DataError, FamilyError
from mixedbayes.models.distributions import POSITIVE, REAL, UNIT, Interval
from mixedbayes.models.families import FAMILIES, FamilyParameter, find_family
from mixedbayes.models.links import LINKS
from mixedbayes.models.responses import RESPONSES

N = 12
DATA = pd.DataFrame(
    {
        "y": np.linspace(1, 5, N) ** 2,
        "u": np.linspace(0.02, 0.97, N),
        "x": np.cos(np.arange(N)),
        "g": np.resize(list("abc"), N),
        "k": np.resize([0, 3, 1, 5], N),
        "bit": np.resize([0, 1, 1], N),
        "yes": np.resize([True, False], N),
        "word": np.resize(["N", "Y", "Y"], N),
        "three": np.resize(["lo", "mid", "hi"], N),
        "s": np.resize([2, 0, 4], N),
        "n": np.resize([5, 3, 4], N),
    }
)
MU = FamilyParameter("mu", POSITIVE, ("log",))
GAPS = DATA.assign(x=DATA["x"].where(~DATA.index.isin([0, 1, 4])))
"""Rows 0, 1 and 4 are left out, so that places among the rows kept are not places in the data."""


def build(formula, family, data=DATA, link=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.DesignWarning)
        return mb.model(formula, data, family, link=link)


def changed(column, row, value, data=GAPS):
    values = data[column].astype(float)
    values[row] = value
    return data.assign(**{column: values})


@pytest.mark.parametrize("name", LINKS)
def test_a_link_is_undone_by_its_inverse(name):
    link = LINKS[name]
    mu = np.array([1e-9, 0.01, 0.3, 0.5, 0.99, 1 - 1e-9]) + (name == "logm1")
    np.testing.assert_allclose(link.inverse(link.link(mu)), mu, rtol=1e-9)
    eta = np.array([-3.0, -0.1, 0.0, 0.5, 1.2])
    np.testing.assert_allclose(link.link(link.inverse(eta)), eta, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "mu", "eta"),
    [
        ("identity", 0.3, 0.3),
        ("log", 0.3, -1.2039728043259361),
        ("logm1", 1.3, -1.2039728043259361),
        ("logit", 0.3, -0.8472978603872037),
        ("probit", 0.3, -0.5244005127080409),  # qnorm(.3) of R
        ("cloglog", 0.3, -1.0309304331587234),  # log(-log(1 - .3))
    ],
)
def test_a_link_is_the_textbook_s(name, mu, eta):
    assert LINKS[name].link(np.array(mu)) == pytest.approx(eta, rel=1e-14)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_family_s_record_refers_to_what_there_is(family):
    assert set(family.links) <= set(LINKS)
    assert family.response in RESPONSES
    assert [p.default is None for p in family.parameters] == [True, *(False for _ in family.others)]
    assert family.residual is None or family.parameter(family.residual) in family.others
    for parameter in family.others:  # a formula of its own is predicted by default where it must lie
        assert parameter.support.holds(LINKS[parameter.links[0]].support)


def test_a_family_is_found_by_name_or_given():
    family, link = find_family("poisson")
    assert (family.name, link.name) == ("poisson", "log")
    assert find_family("bernoulli", "probit")[1] is LINKS["probit"]
    own = replace(FAMILIES["poisson"], name="mine")
    assert find_family(own) == (own, LINKS["log"])
    assert "Family:   mine" in str(build("k ~ x + (1 | g)", own))


@pytest.mark.parametrize(
    ("written", "family"),
    [
        ("Student", "student_t"), ("t", "student_t"), ("StudentT", "student_t"), ("t_family", "student_t"),
        ("lnorm", "lognormal"), ("LogNormal", "lognormal"), ("negbinomial", "negative_binomial"),
        ("nbinom2", "negative_binomial"), ("nb", "negative_binomial"), ("neg_binomial_2", "negative_binomial"),
        ("NegativeBinomial", "negative_binomial"), ("Negative Binomial", "negative_binomial"), ("betar", "beta"),
        ("Beta", "beta"), ("beta_family", "beta"), (" Normal ", "gaussian"), ("negative-binomial", "negative_binomial"),
    ],
)  # fmt: skip
def test_a_family_is_found_by_what_it_is_called_elsewhere(written, family):
    assert find_family(written)[0] is FAMILIES[family]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": ()}, "The family 'mine' has no parameter; the first is the one that a formula predicts"),
        ({"parameters": (replace(MU, name="rate"),)}, "The first parameter of the family 'mine', .* is called 'mu', not 'rate'"),
        ({"parameters": (MU, MU)}, "'mine' has two parameters of one name: mu, mu"),
        ({"parameters": (MU, FamilyParameter("k", POSITIVE, ("log",)))}, "The parameter k of the family 'mine' has no default prior"),
        ({"parameters": (FamilyParameter("mu", POSITIVE, ("lug",)),)}, "The parameter mu of the family 'mine' has no link 'lug'; there are identity"),
        ({"parameters": (FamilyParameter("mu", POSITIVE, ()),)}, "The parameter mu of the family 'mine' has to have a link"),
        ({"residual": "sd"}, "The residual of the family 'mine', 'sd', is none of its parameters"),
    ],
)  # fmt: skip
def test_a_record_that_no_model_can_be_made_of_is_refused(changes, message):
    with pytest.raises(FamilyError, match=message):
        replace(FAMILIES["poisson"], **{"name": "mine", **changes})


@pytest.mark.parametrize(
    ("support", "typical"),
    [
        (REAL, 1),
        (POSITIVE, 1),
        (UNIT, 0.5),
        (Interval(1, np.inf), 2),
        (Interval(-3, -1), -2),
        (Interval(-np.inf, 0), -1),
    ],
)
def test_a_parameter_has_a_typical_value_where_it_lies(support, typical):
    assert FamilyParameter("k", support, ("log",)).typical(margins(DATA["y"].to_numpy())) == typical
    assert FamilyParameter("k", support, ("log",), typical=lambda y: y.sd).typical(Mock(sd=3.5)) == 3.5


def test_a_response_of_a_kind_that_there_is_not_is_named():
    with pytest.raises(
        FamilyError,
        match="'mine' takes responses of the kind 'angle', which there is not; kinds: real, positive",
    ):
        build("y ~ x", replace(FAMILIES["gaussian"], name="mine", response="angle"))


@pytest.mark.parametrize(
    ("family", "link", "message"),
    [
        (
            "gausian",
            None,
            r"There is no family 'gausian'. Did you mean 'gaussian'\? Known: gaussian, student_t",
        ),
        (
            "nbinom1",
            None,
            r"The family 'nbinom1' is not supported yet; .* Counts that vary more than Poisson's are family='negative_binomial'",
        ),
        (
            "Zero_Inflated_Poisson",
            None,
            "The family 'Zero_Inflated_Poisson' is not supported yet; there are gaussian",
        ),
        ("exgaussian", None, "Positive responses with a long right tail are family='lognormal'"),
        ("skew_normal", None, "Responses with heavy tails are family='student_t'"),
        ("multinomial", None, "One level against the others is family='bernoulli'"),
        (
            "binomial(link = 'probit')",
            None,
            "named without brackets, and its link by itself: family='binomial', link='probit'",
        ),
        ("normal()", None, "family='gaussian', link=..."),
        (None, None, "A family is a text, one of gaussian, student_t, .*, or an mb.Family, not NoneType"),
        (type("Poisson", (), {}), None, "A family is a text: family='poisson', not Poisson"),
        (type("Normal", (), {})(), None, "A family is a text: family='gaussian', not Normal"),
        (
            "poisson",
            "logg",
            r"The poisson family has no link 'logg'. Did you mean 'log'\? Its links: log, identity",
        ),
        ("poisson", "logit", "The poisson family has no link 'logit'"),
        ("bernoulli", "identity", "Its links: logit, probit, cloglog"),
    ],
)
def test_an_unknown_family_or_link_is_refused(family, link, message):
    with pytest.raises(FamilyError, match=message):
        build("y ~ x", family, link=link)


@pytest.mark.parametrize(
    ("formula", "family", "data", "message"),
    [
        # text where numbers are needed
        ("word ~ x", "gaussian", DATA, "The response word holds 'N', 'Y', not numbers, .* Two levels go with family='bernoulli'"),
        ("three ~ x", "gaussian", DATA, "holds 'hi', 'lo', 'mid', not numbers, which the gaussian family needs.$"),
        ("yes ~ x", "gaussian", DATA, "holds False, True, not numbers"),
        ("word ~ x", "poisson", DATA, "holds 'N', 'Y', not counts, which the poisson family needs"),
        ("word ~ x", "binomial", DATA, "holds 'N', 'Y', not counts; two levels go with family='bernoulli'"),
        # nothing to model
        ("y ~ x", "gaussian", DATA.assign(y=3.5), "The response y is 3.5 in every row; there is nothing to model"),
        ("k ~ x", "poisson", DATA.assign(k=0), "The response k is 0 in every row"),
        ("bit ~ x", "bernoulli", DATA.assign(bit=1), "The response bit is 1 in every row"),
        ("word ~ x", "bernoulli", DATA.assign(word="N"), "The response word is 'N' in every row"),
        ("s | trials(n) ~ x", "binomial", DATA.assign(s=0), "Every trial of s came out the same"),
        ("s | trials(n) ~ x", "binomial", DATA.assign(s=DATA["n"]), "Every trial of s came out the same"),
        # outside the support, by the row in the caller's data
        ("k ~ x", "poisson", changed("k", 3, -1), r"k is -1 in row 3 \(from 0\): the poisson family takes whole numbers from 0"),
        ("k ~ x", "poisson", changed("k", 7, 1.5), r"k is 1.5 in row 7 \(from 0\)"),
        ("k ~ x", "poisson", changed("k", [5, 9], 0.5), r"k is 0.5 in row 5 \(from 0\); 1 more row is like it:"),
        ("k ~ x", "negative_binomial", changed("k", 7, 1.5), r"k is 1.5 in row 7 \(from 0\): the negative_binomial family"),
        ("y ~ x", "lognormal", changed("y", 3, -2), r"y is -2 in row 3 \(from 0\): the lognormal family takes positive numbers.$"),
        ("y ~ x", "lognormal", changed("y", 3, 0), r"y is 0 in row 3 .* positive numbers. Zeros that are rounded small numbers"),
        ("u ~ x", "beta", changed("u", 3, 1), r"u is 1 in row 3 \(from 0\): the beta family takes numbers between 0 and 1. Counts of succ"),
        ("y ~ x", "beta", GAPS, r"the beta family takes numbers between 0 and 1. .*"),
        ("100 * u ~ x", "beta", GAPS, "between 0 and 1. Divide percentages by 100"),
        ("word ~ x", "student_t", DATA, "not numbers, which the student_t family needs"),
        ("y ~ x", "student_t", DATA.assign(y=3.5), "The response y is 3.5 in every row"),
        ("u ~ x", "beta", DATA.assign(u=0.5), "The response u is 0.5 in every row"),
        ("k ~ x", "negative_binomial", DATA.assign(k=0), "The response k is 0 in every row"),
        ("s | trials(n) ~ x", "beta", DATA, "go with family='binomial', not 'beta'"),
        ("y ~ x", "poisson", GAPS.assign(y=-1.5), r"y is -1.5 in row 2 \(from 0\); 8 more rows are like it:"),
        ("bit ~ x", "bernoulli", changed("bit", 6, 2), r"bit is 2 in row 6 \(from 0\): .* takes 0 and 1. Counts of successes go with"),
        ("s | trials(n) ~ x", "binomial", changed("s", 8, -1), r"s is -1 in row 8 \(from 0\): successes are whole numbers"),
        ("s | trials(n) ~ x", "binomial", changed("s", 8, 0.5), r"s is 0.5 in row 8"),
        ("s | trials(n) ~ x", "binomial", changed("s", 10, 9), r"more successes than trials in 1 row, the first row 10 \(from 0\): 9 of 3"),
        ("s | trials(3) ~ x", "binomial", GAPS, r"more successes than trials in 4 rows, the first row 2 \(from 0\): 4 of 3"),
        # trials
        ("s ~ x", "binomial", DATA, r"needs the number of trials: s \| trials\(n\) ~ ... or cbind"),
        ("s | trials(n) ~ x", "poisson", DATA, r"trials\(\) and cbind\(\) go with family='binomial', not 'poisson'"),
        ("s | trials(n) ~ x", "gaussian", DATA, "go with family='binomial', not 'gaussian'"),
        ("cbind(s, n) ~ x", "bernoulli", DATA, "go with family='binomial', not 'bernoulli'"),
        # levels
        ("three ~ x", "bernoulli", DATA, r"three has 3 levels \('hi', 'lo', 'mid'\); the bernoulli family takes two. .* write three\['mid'\] ~"),
        # the mean that the link cannot take
        ("y ~ x", "gaussian-log", DATA.assign(y=-DATA["y"]), r"The mean of y is -[0-9.]+, which the log link cannot take"),
    ],
)  # fmt: skip
def test_a_response_that_the_family_cannot_take_is_refused(formula, family, data, message):
    name, _, link = family.partition("-")
    with pytest.raises(FamilyError, match=message):
        build(formula, name, data, link or None)


@pytest.mark.parametrize(
    ("formula", "family", "data"),
    [
        ("y ~ x", "gaussian", DATA),
        ("y ~ x", "student_t", DATA),
        ("y ~ x", "lognormal", DATA),
        ("k ~ x", "negative_binomial", DATA),
        ("u ~ x", "beta", DATA),
        ("k ~ x", "gaussian", DATA),
        ("k ~ x", "poisson", changed("k", 3, 7.0)),
        ("k ~ x", "poisson", DATA.iloc[:2]),
        ("k ~ 1", "poisson", DATA.iloc[1:2]),
        ("bit ~ x", "bernoulli", DATA.assign(bit=DATA["bit"].astype(float))),
        ("s | trials(n) ~ x", "binomial", DATA),
        ("s | trials(5) ~ x", "binomial", DATA),
        ("cbind(s, n) ~ x", "binomial", DATA),
        ("s | trials(n) ~ x", "binomial", DATA.assign(s=[0, *DATA["s"][1:]], n=[0, *DATA["n"][1:]])),
    ],
)
def test_a_response_within_the_support_is_taken(formula, family, data):
    spec = build(formula, family, data).spec
    for parameter in spec.parameters:
        assert np.isfinite(parameter.prior.arguments).all(), parameter


def test_cbind_counts_successes_and_failures():
    y = build("cbind(s, n) ~ x", "binomial").spec.design.response
    np.testing.assert_array_equal(y.values, DATA["s"])
    np.testing.assert_array_equal(y.trials, DATA["s"] + DATA["n"])


@pytest.mark.parametrize(
    ("formula", "data", "ones", "said"),
    [
        ("word ~ x", DATA, DATA["word"] == "Y", "word = 'Y' (against 'N')"),
        ("word['N'] ~ x", DATA, DATA["word"] == "N", "word = 'N' (against 'Y')"),
        ("yes ~ x", DATA, DATA["yes"], "yes = True (against False)"),
        ("word ~ x", DATA.assign(word=pd.Categorical(DATA["word"], ["Y", "N"])), DATA["word"] == "N", "word = 'N' (against 'Y')"),
        ("word ~ x", DATA.assign(word=pd.Categorical(DATA["word"], ["?", "Y", "N", "!"])), DATA["word"] == "N", "word = 'N' (against 'Y')"),
        ("three['mid'] ~ x", DATA, DATA["three"] == "mid", "three = 'mid' (against all others)"),
        ("bit ~ x", DATA, DATA["bit"] == 1, None),
    ],
)  # fmt: skip
def test_a_bernoulli_response_says_which_level_is_modelled(formula, data, ones, said):
    model = build(formula, "bernoulli", data)
    np.testing.assert_array_equal(model.spec.design.response.values, ones.astype(float))
    assert model.spec.design.response.modelled == said
    assert (f"Response: {said}" in " ".join(str(model).split())) == (said is not None)


def test_a_level_that_does_not_occur_is_refused():
    with pytest.raises(DataError, match="word has no level 'y'; its levels are 'N', 'Y'"):
        build("word['y'] ~ x", "bernoulli")
