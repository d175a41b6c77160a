"""More rows for a design: as if they had been there from the first, but for what was learned."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mixedbayes.designs import table
from mixedbayes.designs.build import build_design
from mixedbayes.designs.extend import extend
from mixedbayes.errors import DataError

RNG = np.random.default_rng(9)
N = 40
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(1.0, 2.0, N),
        "f": np.resize(["A", "B", "C"], N),
        "t": np.resize([True, False, False], N),
        "g": [f"g{i // 4}" for i in range(N)],
        "k": np.resize([3, 1, 2, 11], N),
        "d": pd.to_datetime("2024-01-01") + pd.to_timedelta(np.arange(N) // 8, "D"),
        "won": np.resize(["no", "yes", "yes"], N),
        "n": np.resize([4, 7], N),
    },
    index=[f"row {i}" for i in range(N)],
)
DATA["s"] = RNG.binomial(DATA["n"], 0.5)
FORMULAS = [
    "y ~ x",
    "y ~ 0 + f + offset(x)",
    "y ~ f * t + (x | g) + (0 + f || k)",
    "won ~ x + (1 | g/k) + (1 | d)",
    "s | trials(n) ~ x + (1 | g)",
    "cbind(s, k) ~ log(n) + (1 | f:t)",
    "won['no'] ~ 1 + (1 | g) + (0 + x | g)",
    "log(n) ~ 1 + (x | g)",
]


def labelled(block):
    return block.levels[block.codes].tolist()


@pytest.mark.parametrize("make", [lambda frame: frame, pl.DataFrame], ids=["pandas", "polars"])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("cuts", [(24,), (9, 10, 31)])
def test_a_design_in_pieces_is_the_design_at_once(formula, cuts, make):
    whole = build_design(formula, DATA)
    pieces = np.split(np.arange(N), cuts)
    design = build_design(formula, DATA.iloc[pieces[0]])
    for piece in pieces[1:]:
        design = extend(design, make(DATA.iloc[piece]))
    np.testing.assert_allclose(design.fixed.X, whole.fixed.X)
    np.testing.assert_allclose(design.offset, whole.offset)
    np.testing.assert_array_equal(design.response.values, whole.response.values)
    assert design.response.levels == whole.response.levels
    if whole.response.trials is not None:
        np.testing.assert_array_equal(design.response.trials, whole.response.trials)
    for block, other in zip(design.groups, whole.groups, strict=True):
        assert labelled(block) == labelled(other)
        assert sorted(map(str, block.levels)) == sorted(map(str, other.levels))
        np.testing.assert_allclose(block.X, other.X)
        again = block.factor.encode(design.data)[0]
        np.testing.assert_array_equal(again, block.codes)
    assert design.n == N
    assert design.batches == tuple(len(piece) for piece in pieces)
    if make is not pl.DataFrame:
        assert design.rows.index.equals(DATA.index)
    assert str(design.data.to_numpy().tolist()) == str(whole.data.to_numpy().tolist())


def test_new_levels_come_after_the_old_and_old_codes_stay():
    first = DATA[DATA["g"].isin(["g3", "g5"])]
    design = build_design("y ~ (1 | g) + (1 | g:k)", first)
    more = extend(design, DATA[~DATA["g"].isin(["g3", "g5"])])
    assert more.groups[0].levels.tolist() == ["g3", "g5", "g0", "g1", "g2", "g4", "g6", "g7", "g8", "g9"]
    for block, old in zip(more.groups, design.groups, strict=True):
        np.testing.assert_array_equal(block.codes[: design.n], old.codes)
        assert block.levels[: len(old.levels)].tolist() == old.levels.tolist()


def test_what_was_learned_stays():
    design = build_design("y ~ scale(x) + poly(x, 2) + C(f, contr.sum)", DATA.iloc[:20])
    more = extend(design, DATA.iloc[20:])
    np.testing.assert_array_equal(more.fixed.X[:20], design.fixed.X)
    np.testing.assert_allclose(more.fixed.X[20:], design.encode(DATA.iloc[20:]).X)


def test_rows_that_lack_a_value_are_left_out_and_counted():
    gaps = DATA.assign(x=DATA["x"].where(np.arange(N) % 7 != 3), y=DATA["y"].where(np.arange(N) != 30))
    design = extend(build_design("y ~ x", gaps.iloc[:20]), gaps.iloc[20:])
    whole = build_design("y ~ x", gaps)
    np.testing.assert_array_equal(design.rows.kept, whole.rows.kept)
    assert str(design.rows) == str(whole.rows)
    assert design.notes == whole.notes
    with pytest.raises(DataError, match="missing values"):
        extend(design, gaps.iloc[20:], missing="error")


@pytest.mark.parametrize(
    "formula",
    ["factor(b) ~ x", "C(b) ~ x", "b[1] ~ x", "three[2] ~ x", "b ~ x", "won['yes'] ~ x + (1 | g)"],
)
def test_a_batch_need_not_have_every_level_of_the_response(formula):
    data = DATA.assign(b=np.arange(N) % 2, three=np.arange(N) % 3)
    whole = build_design(formula, data)
    first, rest = data.iloc[:30], data.iloc[30:]
    design = build_design(formula, first)
    for i in range(len(rest)):
        design = extend(design, rest.iloc[[i]])
    np.testing.assert_array_equal(design.response.values, whole.response.values)
    assert design.response.levels == whole.response.levels


def test_a_response_that_all_rows_have_a_part_in_is_refused():
    design = build_design("centred(y) ~ x", DATA.iloc[:30], env={"centred": lambda y: y - y.mean()})
    with pytest.raises(DataError, match=r"the response centred.y. of the old ones would be another"):
        extend(design, DATA.iloc[30:])


def test_whole_numbers_beside_gaps_are_the_numbers_that_they_were():
    design = build_design("y ~ C(k) + (1 | k) + (1 | k:g)", DATA.iloc[:20])
    new = DATA.iloc[20:].assign(k=DATA["k"].iloc[20:].astype(float).where(np.arange(20) != 4), g="zz")
    more = extend(design, new)
    assert more.fixed.columns == design.fixed.columns
    assert more.groups[0].levels.tolist() == design.groups[0].levels.tolist()
    assert more.groups[1].levels[-1] == "11:zz"


@pytest.mark.parametrize("learned", [None, "UTC"])
def test_dates_with_and_without_a_time_zone_are_not_the_same(learned):
    dated = DATA.assign(d=DATA["d"].dt.tz_localize(learned))
    design = build_design("y ~ (1 | d)", dated)
    other = DATA.assign(d=DATA["d"].dt.tz_localize("UTC" if learned is None else None))
    with pytest.raises(DataError, match=r"d holds dates.*, where the model has learned dates"):
        design.encode(other)
    if learned:
        moved = dated.assign(d=dated["d"].dt.tz_convert("Europe/Berlin"))
        np.testing.assert_array_equal(design.encode(moved).groups["d"].codes, design.groups[0].codes)


@pytest.mark.parametrize(
    ("formula", "changes", "message"),
    [
        ("y ~ x", {"x": None}, "There is no column 'x'"),
        ("y ~ x + (1 | g)", {"y": None, "g": None}, "There are no columns 'y', 'g'"),
        ("y ~ f", {"f": "Z"}, "f has 1 level that the model has not seen: 'Z'"),
        ("y ~ x", {"y": "a"}, "y holds text or categories, where the model has learned numbers"),
        ("won ~ x", {"won": "perhaps"}, "The response won has levels that the model has not seen: 'perhaps'"),
        ("scale(y) ~ x", {}, "The response is measured by scale(), which learns from the data"),
    ],
)
def test_rows_of_another_kind_are_refused(formula, changes, message):
    design = build_design(formula, DATA)
    gone = [name for name, value in changes.items() if value is None]
    new = DATA.iloc[:3].assign(**{k: v for k, v in changes.items() if v is not None}).drop(columns=gone)
    with pytest.raises(DataError, match=re.escape(message)):
        extend(design, new)


def test_some_rows_of_a_design_are_neither_incomplete_nor_of_other_batches():
    gaps = DATA.assign(x=DATA["x"].where(np.arange(N) % 7 != 3))
    design = extend(build_design("y ~ x", gaps.iloc[:20]), gaps.iloc[20:])
    rows = np.flatnonzero(design.rows.kept >= 17)
    some = design.only(rows)
    assert some.batches == (2, design.n - sum(design.rows.kept < 20))
    assert sum(some.batches) == some.n == len(rows)
    assert (some.rows.dropped, str(some.rows)) == (
        6,
        f"{len(rows)} of 40 rows; 6 dropped for missing values (x 6)",
    )
    assert some.notes == (f"{some.rows}.",)
    whole = build_design("y ~ x", DATA)
    assert str(whole.only(np.arange(10)).rows) == "10 of 40 rows"
    assert whole.only(np.arange(10)).notes == ()
    assert str(whole.only(np.arange(10)).only(np.arange(4)).rows) == "4 of 40 rows"
    assert whole.only(np.arange(0)).batches == (0,)


def test_notes_on_rows_are_those_of_the_rows_and_the_others_stay():
    strange = DATA.assign(x=DATA["x"].where(np.arange(N) % 7 != 3), z=2 * DATA["x"])
    design = build_design("y ~ x + z", strange.iloc[:20])
    said, other = design.notes
    assert said == "17 of 20 rows; 3 dropped for missing values (x 3)."
    more = extend(design, strange.iloc[20:])
    assert more.notes == ("34 of 40 rows; 6 dropped for missing values (x 6).", other)
    assert extend(build_design("y ~ x", DATA.iloc[:20]), strange.iloc[20:].assign(z=1)).notes == (
        "37 of 40 rows; 3 dropped for missing values (x 3).",
    )


def test_new_rows_are_read_once(monkeypatch):
    read = []
    for module in ("extend", "design"):
        name = f"mixedbayes.designs.{module}.read_columns"
        monkeypatch.setattr(name, lambda *a, **k: read.append(a) or table.read_columns(*a, **k))
    design = build_design("y ~ x + (1 | g)", DATA.iloc[:20])
    extend(design, DATA.iloc[20:])
    assert len(read) == 1
