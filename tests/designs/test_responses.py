import re

import numpy as np
import pandas as pd
import pytest

import mixedbayes as mb
from mixedbayes.designs.build import build_design
from mixedbayes.designs.extend import extend
from mixedbayes.errors import DataError, FamilyError
from mixedbayes.language.additions import ADDITIONS, AdditionKind

DATA = pd.DataFrame(
    {
        "y": [1.5, 2.0, 4.0, 8.0],
        "x": [0.1, 0.2, 0.4, 0.3],
        "t": [True, False, True, True],
        "r": ["N", "Y", "N", "Y"],
        "c": pd.Categorical(["lo", "hi", "mid", "lo"], ["lo", "mid", "hi"], ordered=True),
        "s": [1, 2, 0, 3],
        "n": [4, 4, 5, 3],
        "d": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]),
        "my outcome": [1, 2, 3, 4],
        "class": [1, 2, 3, 4],
        "log(y)": [4, 3, 2, 1],
    }
)


@pytest.mark.parametrize(
    ("left", "name", "values", "levels"),
    [
        ("y", "y", [1.5, 2, 4, 8], None),
        ("log(y)", "log(y)", np.log([1.5, 2, 4, 8]), None),
        ("I(y + x)", "I(y + x)", [1.6, 2.2, 4.4, 8.3], None),
        ("{y^2}", "y ** 2", [2.25, 4, 16, 64], None),
        ("scale(y)", "scale(y)", (DATA["y"] - DATA["y"].mean()) / DATA["y"].std(), None),
        ("t", "t", [1, 0, 1, 1], (False, True)),
        ("r", "r", [0, 1, 0, 1], ("N", "Y")),
        ("r['Y']", "r", [0, 1, 0, 1], ("N", "Y")),
        ("r['N']", "r", [1, 0, 1, 0], ("Y", "N")),
        ("t[FALSE]", "t", [0, 1, 0, 0], (True, False)),
        ("c", "c", [0, 2, 1, 0], ("lo", "mid", "hi")),
        ("c['mid']", "c", [0, 0, 1, 0], ("all others", "mid")),
        ("s[2]", "s", [0, 1, 0, 0], ("all others", 2)),
        ("C(s)", "C(s)", [1, 2, 0, 3], (0, 1, 2, 3)),
        ("I(r == 'Y')", "I(r == 'Y')", [0, 1, 0, 1], None),
        ("`my outcome`", "`my outcome`", [1, 2, 3, 4], None),
        ("class", "class", [1, 2, 3, 4], None),
        ("`log(y)`", "`log(y)`", [4, 3, 2, 1], None),
    ],
)
def test_a_response_has_a_name_values_and_levels(left, name, values, levels):
    response = build_design(f"{left} ~ x", DATA).response
    assert response.name == name
    np.testing.assert_allclose(response.values, values)
    assert response.levels == levels
    assert response.trials is None


@pytest.mark.parametrize(
    ("left", "name", "values", "trials"),
    [
        ("s | trials(n)", "s", [1, 2, 0, 3], [4, 4, 5, 3]),
        ("s | trials(10)", "s", [1, 2, 0, 3], [10] * 4),
        ("s | trials(2*n)", "s", [1, 2, 0, 3], [8, 8, 10, 6]),
        ("cbind(s, n - s)", "s", [1, 2, 0, 3], [4, 4, 5, 3]),
        ("cbind(s, 5)", "s", [1, 2, 0, 3], [6, 7, 5, 8]),
    ],
)
def test_successes_have_trials(left, name, values, trials):
    response = build_design(f"{left} ~ x", DATA).response
    assert (response.name, response.levels) == (name, None)
    np.testing.assert_array_equal(response.values, values)
    np.testing.assert_array_equal(response.trials, trials)


def test_a_response_says_which_level_is_modelled():
    assert build_design("r ~ x", DATA).response.modelled == "r = 'Y' (against 'N')"
    assert build_design("r['N'] ~ x", DATA).response.modelled == "r = 'N' (against 'Y')"
    assert build_design("c['mid'] ~ x", DATA).response.modelled == "c = 'mid' (against all others)"
    assert build_design("y ~ x", DATA).response.modelled is None


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ("d", "d holds dates; a response is a number, a text or a category"),
        ("r['y']", "r has no level 'y'; its levels are 'N', 'Y'"),
        ("s[7]", "s has no level 7; its levels are 0, 1, 2, 3"),
        ("log(r)", "r holds text or categories"),
        ("log(s)", "log(s) is not finite in 1 row, the first being row 2"),
        ("poly(y, 2)", "poly(y, 2) is not one number for each row"),
        ("I(3)", "I(3) is not one number for each row"),
        ("I('a')", "I('a') is no column of numbers"),
        ("r | trials(n)", "trials() goes with counts"),
        ("s | trials(r)", "r holds text or categories where numbers are needed"),
        ("s | trials(log(s))", "log(s) is not finite in 1 row"),
        ("cbind(s)", "cbind() in a response takes two columns"),
        ("cbind(s, n, y)", "cbind() in a response takes two columns"),
        ("cbind(r, s)", "r holds text or categories"),
        ("C(s, contr.sum)", "in a response C() takes one column"),
    ],
)
def test_what_is_no_response_is_refused(left, message):
    with pytest.raises(DataError, match=re.escape(message)):
        build_design(f"{left} ~ x", DATA)


def test_cbind_is_for_responses_alone():
    with pytest.raises(DataError, match=r"no function cbind\(\)"):
        build_design("y ~ cbind(s, n)", DATA)


WEIGHED = DATA.assign(w=[1.0, 0.5, 0.0, 2.0], e=[0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("left", "additions"),
    [
        ("y | weights(w)", {"weights": [1.0, 0.5, 0.0, 2.0]}),
        ("y | weights(2)", {"weights": [2.0] * 4}),
        ("y | weights(1 / e)", {"weights": [10.0, 5.0, 10 / 3, 2.5]}),
        ("y | se(e)", {"se": [0.1, 0.2, 0.3, 0.4]}),
        ("y | se(sqrt(y), sigma=TRUE) + weights(n)", {"se": np.sqrt(DATA["y"]), "weights": [4, 4, 5, 3]}),
        ("s | trials(n) + weights(w)", {"trials": [4, 4, 5, 3], "weights": [1.0, 0.5, 0.0, 2.0]}),
        ("cbind(s, 5) | weights(w)", {"trials": [6, 7, 5, 8], "weights": [1.0, 0.5, 0.0, 2.0]}),
        ("r | weights(w)", {"weights": [1.0, 0.5, 0.0, 2.0]}),
        ("c['mid'] | weights(w)", {"weights": [1.0, 0.5, 0.0, 2.0]}),
    ],
)
def test_additions_are_numbers_by_name(left, additions):
    design = build_design(f"{left} ~ x", WEIGHED)
    rows = np.array([2, 0])
    encoded = design.encode(WEIGHED.iloc[::-1], additions=tuple(additions))
    for found, order in (
        (design.response.additions, slice(None)),
        (design.encoded.additions, slice(None)),
        (design.response.only(rows).additions, rows),
        (design.only(rows).encoded.additions, rows),
        (encoded.additions, slice(None, None, -1)),
    ):
        assert found.keys() == additions.keys()
        for name, numbers in additions.items():
            np.testing.assert_allclose(found[name], np.asarray(numbers, dtype=float)[order])
    assert design.encode(WEIGHED[["x"]]).additions == {}
    assert design.encode(WEIGHED.iloc[:0], additions=("weights",)).additions.keys() == {"weights"} & {
        *additions
    }


def test_options_of_additions_are_plain_values():
    response = build_design("y | se(e, sigma=TRUE) ~ x", WEIGHED).formula.response
    assert response.additions["se"].options == {"sigma": True}
    assert build_design(str(response) + " ~ x", WEIGHED).formula.response == response


def test_additions_not_wanted_are_not_read():
    design = build_design("s | trials(n) + weights(w) ~ x", WEIGHED)
    assert design.columns_of(()) == ("x",)
    assert design.columns_of((), additions=("weights", "se")) == ("x", "w")
    encoded = design.encode(WEIGHED[["x", "w"]], additions=("weights", "se"))
    assert encoded.additions.keys() == {"weights"}
    assert encoded.trials is None
    with pytest.raises(DataError, match="There is no column 'n'"):
        design.encode(WEIGHED[["x", "w"]], additions=("trials",))


def test_gaps_in_additions_drop_rows():
    data = WEIGHED.assign(w=[1.0, None, 0.0, 2.0])
    design = build_design("y | weights(w) ~ x", data)
    np.testing.assert_array_equal(design.rows.kept, [0, 2, 3])
    assert design.rows.missing == {"w": 1}
    np.testing.assert_array_equal(design.response.additions["weights"], [1.0, 0.0, 2.0])
    new = design.encode(data, additions=("weights",))
    np.testing.assert_array_equal(new.places, [0, 2, 3])
    np.testing.assert_array_equal(new.additions["weights"], [1.0, 0.0, 2.0])


def test_more_rows_have_additions_too():
    design = build_design("y | weights(w) + se(e) ~ x", WEIGHED.iloc[:2])
    more = extend(design, WEIGHED.iloc[2:])
    whole = build_design("y | weights(w) + se(e) ~ x", WEIGHED)
    for name in ("weights", "se"):
        np.testing.assert_array_equal(more.response.additions[name], whole.response.additions[name])
    with pytest.raises(DataError, match="There is no column 'w'"):
        extend(design, WEIGHED.iloc[2:].drop(columns="w"))
    with pytest.raises(DataError, match="Standard errors are numbers above 0, not 0"):
        extend(design, WEIGHED.iloc[2:].assign(e=0.0))


@pytest.mark.parametrize(
    ("left", "changes", "message"),
    [
        (
            "y | weights(w)",
            {"w": [1, -0.5, 0, 1]},
            "Weights are numbers from 0, not -0.5 as in row 1 (from 0)",
        ),
        ("y | weights(w)", {"w": 0.0}, "Weights are 0 in every row, so that none counts"),
        ("y | weights(0)", {}, "Weights are 0 in every row, so that none counts"),
        (
            "y | weights(w)",
            {"w": [1, 2, np.inf, 1]},
            "Column 'w' is infinite in 1 row, the first being row 2",
        ),
        ("y | weights(1 / w)", {}, "1 / w is not finite in 1 row, the first being row 2"),
        ("y | weights(r)", {}, "r holds text or categories where numbers are needed"),
        ("y | weights(d)", {}, "d holds dates"),
        ("y | weights(v)", {}, "There is no column 'v' in the data"),
        ("y | weights(poly(x, 2))", {}, "poly(x, 2) is not one number for each row"),
        ("y | weights(f(w))", {}, "A formula has no function f()"),
        ("y | se(e)", {"e": [0.1, 0.0, 0.3, 0.4]}, "Standard errors are numbers above 0, not 0 as in row 1"),
        ("y | se(-e)", {}, "Standard errors are numbers above 0, not -0.1 as in row 0"),
        ("s | trials(n)", {"n": [4, 4, 5.5, 3]}, "Trials are whole numbers from 0, not 5.5 as in row 2"),
        ("s | trials(n)", {"n": [4, -4, 5, 3]}, "Trials are whole numbers from 0, not -4 as in row 1"),
        ("s | trials(n)", {"n": [None, -4, 5, 3]}, "Trials are whole numbers from 0, not -4 as in row 1"),
        ("cbind(s, f)", {"f": [1, 1.5, 2, 1]}, "Trials are whole numbers from 0, not 3.5 as in row 1"),
        ("r['Y'] | trials(n)", {}, "r is one level against others"),
    ],
)
def test_numbers_that_an_addition_does_not_take_are_refused(left, changes, message):
    with pytest.raises(DataError, match=re.escape(message)):
        build_design(f"{left} ~ x", WEIGHED.assign(**changes))


def test_an_addition_more_is_a_record(monkeypatch):
    monkeypatch.setitem(ADDITIONS, "upto", AdditionKind("limits", "count", {"open": False}))
    design = build_design("y | weights(w) + upto(n, open=TRUE) ~ x", WEIGHED)
    assert list(design.response.additions) == ["weights", "upto"]
    np.testing.assert_array_equal(design.encode(WEIGHED, additions=("upto",)).additions["upto"], DATA["n"])
    with pytest.raises(DataError, match="Limits are whole numbers from 0, not -1 as in row 2"):
        build_design("y | upto(n) ~ x", WEIGHED.assign(n=[1, 2, -1, 3]))
    with pytest.raises(
        FamilyError, match=r"^upto\(\) beside the response y: the gaussian family does not take it\.$"
    ):
        mb.model("y | weights(w) + upto(n) ~ x", WEIGHED)


def test_new_rows_may_all_have_no_weight():
    design = build_design("y | weights(w) ~ x", WEIGHED)
    none = design.encode(WEIGHED.assign(w=0.0), additions=("weights",))
    np.testing.assert_array_equal(none.additions["weights"], np.zeros(4))
    with pytest.raises(DataError, match="Weights are numbers from 0, not -1"):
        design.encode(WEIGHED.assign(w=-1.0), additions=("weights",))


@pytest.mark.parametrize("family", ["lognormal", "poisson", "bernoulli", "binomial"])
@pytest.mark.parametrize("addition", ["se(e)", "weights(w) + se(e, sigma=TRUE)"])
def test_no_family_takes_standard_errors_in_silence(family, addition):
    left = {"binomial": "s | trials(n) +", "poisson": "s |", "bernoulli": "t |"}.get(family, "n |")
    with pytest.raises(
        FamilyError, match=rf"^se\(\) beside the response .: the {family} family does not take it"
    ):
        mb.model(f"{left} {addition} ~ x", WEIGHED, family=family)
