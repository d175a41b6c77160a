"""Moments are the dense cross-products, and add over rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixedbayes as mb
from mixedbayes.inference.gaussian import moments as module
from mixedbayes.inference.gaussian.moments import Frame, Moments, moments

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
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_moments_are_the_dense_cross_products(monkeypatch, chunk, weights):
    monkeypatch.setattr(module, "CHUNK", chunk)
    design = mb.design(FORMULA, DATA)
    slope = np.array([[1.0, -2.0], [0.0, 1.0]])
    fixed = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    frame = Frame(10.0, fixed, (slope, np.eye(1), np.eye(1)))
    sums = moments(design, frame, weights)
    expected = dense(design, frame, np.ones(N) if weights is None else weights)
    np.testing.assert_allclose(assembled(sums), expected, rtol=1e-11, atol=1e-10)
    assert sums.n == N
    assert sums.log_weights == pytest.approx(0.0 if weights is None else np.log(weights).sum(), abs=1e-12)


def same(one: Moments, other: Moments) -> None:
    """Equal but for rounding, levels compared by their labels."""
    other = other.among(one.levels)
    np.testing.assert_allclose(assembled(one), assembled(other), rtol=1e-11, atol=1e-10)
    assert (one.n, one.groups) == (other.n, other.groups)
    assert one.log_weights == pytest.approx(other.log_weights, abs=1e-11)


@given(st.lists(st.integers(0, 2), min_size=N, max_size=N))
def test_moments_add_over_any_division_of_the_rows(division):
    """Rows of one part may lack levels of another: what is added are sums by label."""
    groups = np.array(division)
    parts = [DATA[groups == k] for k in range(3)]
    if any(part["g"].nunique() < 2 or part["h"].nunique() < 2 for part in parts):
        return
    one, two, three = (moments(mb.design(FORMULA, part.copy())) for part in parts)
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


@pytest.mark.parametrize("weights", [np.ones(3), np.zeros(N), -WEIGHTS, np.full(N, np.nan)])
def test_weights_are_positive_numbers(weights):
    with pytest.raises(mb.ArgumentError, match="weights are 90 positive numbers"):
        moments(mb.design("y ~ x", DATA), weights=weights)
