"""Moments are the dense cross-products, and add over rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixedbayes as mb
from mixedbayes.inference.gaussian import moments as module
from mixedbayes.inference.gaussian import rows as chunks
from mixedbayes.inference.gaussian.moments import Frame, Moments
from mixedbayes.inference.gaussian.rows import Additions, additions_of, chunks_of, factors_of

RNG = np.random.default_rng(8)
N = 90
DATA = pd.DataFrame(
    {
        "y": RNG.normal(10, 3, N),
        "x": RNG.normal(2, 1, N),
        "w": RNG.normal(0, 1, N),
        "g": RNG.permutation(np.resize(list("abcdef"), N)),
        "h": pd.Categorical(RNG.permutation(np.resize(["low", "mid", "high"], N)), ["low", "mid", "high"]),
    }
)
WEIGHTS = RNG.uniform(0.5, 2.0, N)
FORMULA = "y ~ x + w + offset(w) + (x | g) + (0 + w | g) + (1 | h)"


def moments(design, frame=None, additions=None, rows=None):
    """Those of a design's rows, with what stands beside the response."""
    with pytest.MonkeyPatch.context() as patch:
        if additions is not None:
            patch.setattr(chunks, "additions_of", lambda _: additions)
        return module.moments(chunks_of(design, rows), factors_of(design), frame)


def dense(design, frame, weights):
    """[Z, X, y]'W[Z, X, y] with Z written out, factor by factor."""
    parts = []
    for group in dict.fromkeys(block.group for block in design.groups):
        blocks = [block for block in design.groups if block.group == group]
        moved = dict(zip(design.groups, frame.groups, strict=True))
        Z = np.column_stack([block.X @ moved[block] for block in blocks])
        wide = np.zeros((design.n, len(blocks[0].levels), Z.shape[1]))
        wide[np.arange(design.n), blocks[0].codes] = Z
        parts.append(wide.reshape(design.n, -1))
    y = design.response.values - design.offset - frame.location  # noqa: PD011
    A = np.column_stack([*parts, design.fixed.X @ frame.fixed, y])
    return A.T @ (A * weights[:, None])


def assembled(sums: Moments) -> np.ndarray:
    """The same matrix from moments."""
    sizes = [own.shape[0] * own.shape[1] for own in sums.own]
    ends = np.cumsum([0, *sizes, sums.total.shape[0]])
    whole = np.zeros((ends[-1], ends[-1]))
    whole[ends[-2] :, ends[-2] :] = sums.total
    for i, (own, border) in enumerate(zip(sums.own, sums.border, strict=True)):
        for level, block in enumerate(own):
            at = ends[i] + level * len(block)
            whole[at : at + len(block), at : at + len(block)] = block
        whole[ends[i] : ends[i + 1], ends[-2] :] = border.reshape(sizes[i], -1)
        whole[ends[-2] :, ends[i] : ends[i + 1]] = border.reshape(sizes[i], -1).T
        for j in range(i):
            block = sums.between[j, i].toarray()
            whole[ends[j] : ends[j + 1], ends[i] : ends[i + 1]] = block
            whole[ends[i] : ends[i + 1], ends[j] : ends[j + 1]] = block.T
    return whole


@pytest.mark.parametrize("chunk", [10**6, 200, 1], ids=["one chunk", "some", "row by row"])
@pytest.mark.parametrize(
    "additions",
    [Additions(), Additions(WEIGHTS), Additions(None, WEIGHTS), Additions(WEIGHTS, WEIGHTS[::-1])],
    ids=["equal", "weighted", "precise", "both"],
)
def test_moments_are_the_dense_cross_products(monkeypatch, chunk, additions):
    monkeypatch.setattr(chunks, "CHUNK", chunk)
    weights, precisions = (np.ones(N) if each is None else each for each in additions)
    design = mb.design(FORMULA, DATA)
    slope = np.array([[1.0, -2.0], [0.0, 1.0]])
    fixed = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    frame = Frame(10.0, fixed, (slope, np.eye(1), np.eye(1)))
    sums = moments(design, frame, additions)
    expected = dense(design, frame, weights * precisions)
    np.testing.assert_allclose(assembled(sums), expected, rtol=1e-11, atol=1e-10)
    assert sums.n == pytest.approx(weights.sum())
    assert sums.log_precision == pytest.approx(weights @ np.log(precisions), abs=1e-12)
    assert [count.sum() for count in sums.counts] == [N, N]


def same(one: Moments, other: Moments) -> None:
    """Equal but for rounding, levels compared by their labels."""
    other = other.among(one.levels)
    np.testing.assert_allclose(assembled(one), assembled(other), rtol=1e-11, atol=1e-10)
    assert (one.n, one.groups) == (other.n, other.groups)
    np.testing.assert_array_equal(np.concatenate([*one.counts, []]), np.concatenate([*other.counts, []]))
    assert one.log_precision == pytest.approx(other.log_precision, abs=1e-11)


@given(st.lists(st.integers(0, 2), min_size=N, max_size=N))
def test_moments_add_over_any_division_of_the_rows(division):
    """Rows of one part may lack levels of another: what is added are sums by label."""
    groups = np.array(division)
    parts = [DATA[groups == k] for k in range(3)]
    if any(part["g"].nunique() < 2 or part["h"].nunique() < 2 for part in parts):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.DesignWarning)
        designs = [mb.design(FORMULA, part.copy()) for part in parts]
    if any(len(design.fixed.columns) < 3 for design in designs):  # of too few rows
        return
    one, two, three = map(moments, designs)
    same(moments(mb.design(FORMULA, DATA)), one + two + three)
    same(one + two, two + one)
    same((one + two) + three, one + (two + three))


def test_new_levels_join_the_old():
    old, new = DATA[DATA["g"] < "d"], DATA[DATA["g"] >= "c"].assign(h="mid").assign(h=lambda d: d["h"])
    new.loc[new.index[:5], "h"] = "new"
    design = [mb.design("y ~ x + (1 | g) + (1 | h)", part.astype({"h": str})) for part in (old, new)]
    both = moments(design[0]) + moments(design[1])
    assert both.levels[0].tolist() == list("abcdef")
    assert both.levels[1].tolist() == ["high", "low", "mid", "new"]
    rows = pd.concat([old, new]).astype({"h": str})
    same(moments(mb.design("y ~ x + (1 | g) + (1 | h)", rows)), both)


def test_levels_keep_their_order_where_they_are_the_same():
    both = moments(mb.design("y ~ 1 + (1 | h)", DATA)) + moments(mb.design("y ~ 1 + (1 | h)", DATA))
    assert both.levels[0].tolist() == ["low", "mid", "high"]


def test_levels_that_lack_present_ones_are_refused():
    one = moments(mb.design("y ~ x + (1 | g) + (1 | h)", DATA))
    with pytest.raises(mb.ArgumentError, match="The levels wanted of h lack mid, which have rows"):
        one.among((one.levels[0], np.array(["low", "high", "other"], dtype=object)))


def test_moments_of_different_things_do_not_add():
    one = moments(mb.design("y ~ x + (1 | g)", DATA))
    with pytest.raises(mb.ArgumentError, match="Moments of different models do not add"):
        one + moments(mb.design("y ~ x + (1 | h)", DATA))
    with pytest.raises(mb.ArgumentError, match="Moments of different models do not add"):
        one + moments(mb.design("y ~ x + w + (1 | g)", DATA))
    with pytest.raises(mb.ArgumentError, match="in the same frame"):
        one + moments(mb.design("y ~ x + (1 | g)", DATA), Frame(1.0, np.eye(2), (np.eye(1),)))


def test_additions_are_weights_and_precisions():
    data = DATA.assign(v=WEIGHTS)
    assert additions_of(mb.design("y ~ x", data)) == (None, None)
    beside = additions_of(mb.design("y | weights(v) + se(v) ~ x", data))
    np.testing.assert_array_equal(beside.weights, WEIGHTS)
    np.testing.assert_allclose(beside.precisions, 1 / WEIGHTS**2)


def test_a_weight_of_two_is_the_row_written_twice():
    design = mb.design(FORMULA, DATA)
    twice = moments(design, rows=np.repeat(np.arange(N), 2))
    weighted = moments(design, additions=Additions(np.full(N, 2.0)))
    np.testing.assert_allclose(assembled(weighted), assembled(twice), rtol=1e-12)
    assert (weighted.n, weighted.log_precision) == (twice.n, twice.log_precision)


@given(st.lists(st.booleans(), min_size=N, max_size=N))
def test_what_is_added_can_be_taken_away(out):
    """Levels that lose all rows have sums of exactly zero."""
    design, out = mb.design(FORMULA, DATA), np.array(out)
    whole, part = moments(design), moments(design, rows=np.flatnonzero(out))
    rest, expected = whole - part, moments(design, rows=np.flatnonzero(~out))
    same(expected, rest)
    for own, border, count in zip(rest.own, rest.border, expected.counts, strict=True):
        assert not own[count == 0].any()
        assert not border[count == 0].any()


def test_a_difference_says_when_digits_are_lost():
    """Nothing but cancellation is looked at: scales of columns do not matter."""
    rng = np.random.default_rng(3)
    data = DATA.assign(g=np.repeat(list("abc"), 30), x=1e6 * rng.normal(size=N), y=1e-4 * rng.normal(size=N))
    lone = data.assign(x=np.where(data["g"] == "a", 1e4, 1e-3) * data["x"])  # one group has all of x
    for frame, kept in ((data, True), (lone, False), (data.assign(y=data["x"] * (data["g"] == "a")), False)):
        design = mb.design("y ~ x + (x | g)", frame)
        whole, part = moments(design), moments(design, rows=np.arange(30))
        rest, direct = whole - part, moments(design, rows=np.arange(30, N))
        assert rest.keeps(whole) == kept
        off = np.abs(np.diag(rest.total) - np.diag(direct.total)) > 1e-13 * np.diag(direct.total)
        assert not (kept and off.any())
    design = mb.design("y ~ x + (1 | h)", data)
    whole = moments(design)
    for size, kept in ((60, True), (84, False)):
        assert (whole - moments(design, rows=np.arange(size))).keeps(whole) == kept


@pytest.mark.parametrize(("far", "digits"), [(0.0, 12), (1e3, 8), (1e6, 2.5)])
def test_moments_move_to_another_frame(far, digits):
    """As if made there; from an origin k sds away some 2 log10(k) digits of squares are lost."""
    data = DATA.assign(y=DATA["y"] + 3 * far, x=DATA["x"] + far, w=DATA["w"] - far / 2)
    design = mb.design(FORMULA, data)
    frames = []
    for y, x, w in ((0.0, 0.0, 0.0), (3 * far + 10.0, far + 2.0, -far / 2)):
        fixed, effects = np.eye(3), np.eye(2)
        fixed[0, 1:], effects[0, 1] = (-x, -w), -x
        frames.append(Frame(y, fixed, (effects, np.eye(1), np.eye(1)), 0))
    here, there = (moments(design, frame) for frame in frames)
    for moved, expected in ((here.about(frames[1]), there), (there.about(frames[0]), here)):
        sizes = np.sqrt(np.diag(assembled(expected)))
        off = np.abs(assembled(moved) - assembled(expected)) / np.outer(sizes, sizes)
        assert off.max() < 10.0 ** -(digits if expected is there else 12)
        assert moved.frame is expected.frame
    assert here.about(frames[0]) is here


def test_without_an_intercept_the_origin_of_y_stays():
    sums = moments(mb.design("y ~ 0 + x", DATA))
    assert sums.about(Frame(0.0, 2 * np.eye(1), ())).total[0, 0] == pytest.approx(4 * sums.total[0, 0])
    with pytest.raises(mb.ArgumentError, match="Without an intercept the origin of y cannot be moved"):
        sums.about(Frame(1.0, np.eye(1), ()))


def test_chunks_come_from_wherever_rows_are():
    """No design: arrays in pieces."""
    design = mb.design(FORMULA, DATA)
    pieces = (chunk for at in np.array_split(np.arange(N), 7) for chunk in chunks_of(design, at))
    same(moments(design), module.moments(pieces, factors_of(design)))
