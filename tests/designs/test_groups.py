"""Grouping factors: only combinations that occur are levels, whatever their names."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixedbayes.designs.build import build_design
from mixedbayes.errors import DataError

LEVEL = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3) | st.sampled_from(
    [":", '"', "a:b", '"a"', "a"]
)


def table(**columns):
    n = len(next(iter(columns.values())))
    rng = np.random.default_rng(3)
    return pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), **columns})


@given(st.lists(st.tuples(LEVEL, LEVEL, st.integers(0, 3)), min_size=2, max_size=30))
def test_levels_are_the_combinations_that_occur(rows):
    a, b, c = (list(column) for column in zip(*rows, strict=True))
    if len(set(rows)) < 2:
        return
    block = build_design("y ~ (1 | a:b:c)", table(a=a, b=b, c=c)).groups[0]
    found = sorted(set(rows))
    assert len(block.levels) == len(set(block.levels)) == len(found)
    assert [found[code] for code in block.codes] == rows


def test_800_classes_in_40_schools_are_800_class_effects_whatever_their_names():
    rng = np.random.default_rng(11)
    names = [f'{kind}{i}:"{i % 7}"' for i in range(20) for kind in ("x", "x:")]
    school = np.repeat(rng.permutation(names), 60)
    number = np.tile(np.repeat([f'c:{i}"' for i in range(20)], 3), 40)
    design = build_design("y ~ (1 | school/class)", table(school=school, **{"class": number}))
    schools, classes = design.groups
    assert (schools.name, len(schools.levels)) == ("school", 40)
    assert (classes.name, len(classes.levels)) == ("school:class", 800)
    assert len(set(classes.levels)) == 800
    assert np.bincount(classes.codes).tolist() == [3] * 800
    assert len({(s, c) for s, c in zip(schools.codes, classes.codes, strict=True)}) == 800


def test_classes_numbered_anew_in_each_school_and_classes_named_apart_are_one():
    school = np.repeat([f"s{i:02}" for i in range(8)], 10)
    anew = np.tile(np.repeat(["1", "2", "3", "4", "5"], 2), 8)
    apart = [f"{s}-{c}" for s, c in zip(school, anew, strict=True)]
    one = build_design("y ~ (x | school/class)", table(school=school, **{"class": anew}))
    other = build_design("y ~ (x | school) + (x | class)", table(school=school, **{"class": apart}))
    for a, b in zip(one.groups, other.groups, strict=True):
        np.testing.assert_array_equal(a.codes, b.codes)
        np.testing.assert_array_equal(a.X, b.X)


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        ({"a": ["A", "A", "B"], "b": ["p", "q", "p"]}, ["A:p", "A:q", "B:p"]),
        ({"a": [10, 2, 2], "b": ["p", "q", "p"]}, ["2:p", "2:q", "10:p"]),
        ({"a": ["A:p", "A", "A"], "b": ["q", "p:q", "p"]}, ["A:p", 'A:"p:q"', '"A:p":q']),
        ({"a": [True, False, True], "b": [1, 1, 2]}, ["False:1", "True:1", "True:2"]),
        ({"a": pd.Categorical(["u", "v", "v"], ["v", "u"]), "b": ["p", "p", "q"]}, ["v:p", "v:q", "u:p"]),
        ({"a": [1.5, 1.0, 1.0], "b": ["p", "p", "q"]}, ["1.0:p", "1.0:q", "1.5:p"]),
        (
            {"a": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-01"]), "b": ["p", "p", "q"]},
            ["2024-01-01:p", "2024-01-01:q", "2024-01-02:p"],
        ),
    ],
)
def test_a_combination_is_labelled_by_its_parts_in_order(columns, labels):
    block = build_design("y ~ (1 | a:b)", table(**columns)).groups[0]
    assert (block.name, block.group) == ("a:b", "a:b")
    assert block.levels.tolist() == labels


def test_a_part_with_a_colon_or_a_quote_stands_in_quotes_that_json_reads():
    block = build_design("y ~ (1 | a:b)", table(a=['x"y', "x", "x"], b=["1", "2", "3"])).groups[0]
    assert block.levels.tolist() == ["x:2", "x:3", '"x\\"y":1']
    assert json.loads(block.levels[2].rsplit(":", 1)[0]) == 'x"y'


def test_blocks_stand_in_the_order_written_and_a_second_on_a_group_is_numbered():
    design = build_design(
        "y ~ (1 | a) + (x || b) + (0 + x | a) + (0 + x:b | a)", table(a=list("uvw") * 4, b=list("pq") * 6)
    )
    assert [(b.name, b.group, b.columns, b.covariance) for b in design.groups] == [
        ("a", "a", ("Intercept",), "full"),
        ("b", "b", ("Intercept", "x"), "diagonal"),
        ("a.2", "a", ("x",), "full"),
        ("a.3", "a", ("x:b[p]", "x:b[q]"), "full"),
    ]
    assert design.groups[0].levels is design.groups[2].levels


def test_a_factor_left_of_two_bars_is_noted_for_lme4_would_leave_it_correlated():
    data = table(a=list("uvw") * 4, b=list("pq") * 6, t=[True, False, False] * 4)
    for left, factors in [
        ("b", "b"),
        ("C(x > 0)", "C(x > 0)"),
        ("x:b + t", "t, b"),
        ("I(x > 0)", "I(x > 0)"),
    ]:
        design = build_design(f"y ~ ({left} || a)", data)
        assert design.groups[0].covariance == "diagonal"
        assert any(f"those of the factor {factors} too; lme4" in note for note in design.notes), left
    assert build_design("y ~ (x || a) + (0 + b | a)", data).notes == ()


def test_groups_may_be_numbers_dates_booleans_and_categories():
    n = 12
    data = table(
        whole=[7, 3, 7] * 4,
        real=[0.5, -1.0, 2.5] * 4,
        date=pd.to_datetime(["2024-03-01", "2023-01-01", "2024-01-01"] * 4),
        zoned=pd.to_datetime(["2024-03-01", "2023-01-01", "2024-01-01"] * 4, utc=True),
        flag=[True, False, True] * 4,
        category=pd.Categorical(["b", "a", "c"] * 4, ["c", "b", "unused", "a"]),
    )
    for name in ("whole", "real", "date", "zoned", "flag", "category"):
        block = build_design(f"y ~ (1 | {name})", data).groups[0]
        assert [block.levels[code] for code in block.codes] == data[name].tolist()
        assert block.codes.shape == (n,)
        if name != "category":
            assert all(a < b for a, b in pairwise(block.levels.tolist()))
    assert build_design("y ~ (1 | category)", data).groups[0].levels.tolist() == ["c", "b", "a"]


def test_a_group_with_one_level_is_refused():
    with pytest.raises(DataError, match="The group a has one level, 'u'; nothing varies"):
        build_design("y ~ (1 | a)", table(a=["u"] * 4))
    with pytest.raises(DataError, match="The group a:b has one level"):
        build_design("y ~ (1 | a:b)", table(a=["u"] * 4, b=[1] * 4))


def test_a_design_prints_as_text():
    text = str(build_design("y ~ x + (x | a) + (1 | b)", table(a=list("uvw") * 4, b=list("pq") * 6)))
    assert text.splitlines() == [
        "Formula: y ~ 1 + x + (1 + x | a) + (1 | b)",
        "Rows: 12 rows",
        text.splitlines()[2],
        "Fixed: 12 x 2 (Intercept, x)",
        "Group: (Intercept, x | a): 3 levels (u, v, w)",
        "Group: (Intercept | b): 2 levels (p, q)",
    ]
    assert text.splitlines()[2].startswith("Response: y, mean ")


def test_a_level_not_learned_has_the_same_text_whatever_stands_beside_it():
    dates = pd.to_datetime(["2024-01-01", "2024-01-02"] * 6)
    data = table(a=dates, b=np.resize([1, 2, 3], 12))
    by_date, by_number = build_design("y ~ (1 | a) + (1 | b)", data).groups
    midnight, later = pd.Timestamp("2030-01-01"), pd.Timestamp("2030-01-01 03:00")
    alone = by_date.factor.encode(pd.DataFrame({"a": [midnight]}))[1]
    both = by_date.factor.encode(pd.DataFrame({"a": [later, midnight]}))[1]
    assert (alone, both) == (("2030-01-01",), ("2030-01-01 03:00:00", "2030-01-01"))
    for values in ([2050], [2050.0], [2050.0, 7.5]):
        assert by_number.factor.encode(pd.DataFrame({"b": values}))[1][0] == "2050"
