import re

import numpy as np
import pandas as pd
import pytest

from mixedbayes.designs.build import build_design
from mixedbayes.errors import DataError

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
