"""`Design` -> `Moments`: the cross-products that are all a Gaussian likelihood needs of its rows.

They add over rows: `moments(rows 1) + moments(rows 2)` is `moments(all rows)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from mixedbayes.designs.design import Block, Design
from mixedbayes.errors import ArgumentError, listed

CHUNK = 2**22
"""Numbers in memory at once, about, while rows are read."""


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Weighted cross-products of y, X and each grouping factor's Z.

    The columns of a factor's Z are those of all its blocks, q of them for each of L levels; those of the
    border are X and then y, t = p + 1 of them. All are as the `frame` has them.

    Attributes:
        n: Rows.
        log_weights: The sum of the log weights; 0 without weights.
        frame: What is taken off, and how columns are combined. Moments add only if theirs are equal.
        groups: The factors' names.
        levels: For each factor its L levels.
        own: For each factor Z'WZ by level, shape (L, q, q).
        border: For each factor Z'W[X, y] by level, shape (L, q, t).
        between: For each pair of factors i < j the sparse Z_i'WZ_j, shape (L_i q_i, L_j q_j).
        total: [X, y]'W[X, y], shape (t, t).
    """

    n: int
    log_weights: float
    frame: "Frame"
    groups: tuple[str, ...]
    levels: tuple[np.ndarray, ...]
    own: tuple[np.ndarray, ...]
    border: tuple[np.ndarray, ...]
    between: Mapping[tuple[int, int], sparse.csr_array]
    total: np.ndarray

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows; levels are those of either, in the first's order if they are the same.

        Raises:
            ArgumentError: They are not of the same columns, or have different origins.
        """
        widths = [[block.shape[1:] for block in moments.border] for moments in (self, other)]
        if self.groups != other.groups or widths[0] != widths[1]:
            raise ArgumentError("Moments of different models do not add.")
        if not self.frame.equals(other.frame):
            raise ArgumentError("Moments add only in the same frame: build both with frame=.")
        union = tuple(_union(a, b) for a, b in zip(self.levels, other.levels, strict=True))
        one, two = self.among(union), other.among(union)
        return Moments(
            n=self.n + other.n,
            log_weights=self.log_weights + other.log_weights,
            frame=self.frame,
            groups=self.groups,
            levels=union,
            own=tuple(a + b for a, b in zip(one.own, two.own, strict=True)),
            border=tuple(a + b for a, b in zip(one.border, two.border, strict=True)),
            between={pair: one.between[pair] + two.between[pair] for pair in one.between},
            total=self.total + other.total,
        )

    def among(self, levels: Sequence[np.ndarray]) -> "Moments":
        """The same moments with more levels, which have no rows, or in another order.

        Args:
            levels: For each factor all levels wanted; they hold the present ones.

        Raises:
            ArgumentError: They do not.
        """
        if all(wanted is own for wanted, own in zip(levels, self.levels, strict=True)):
            return self
        places = [
            pd.Index(wanted).get_indexer(pd.Index(own))
            for wanted, own in zip(levels, self.levels, strict=True)
        ]
        for place, own, group in zip(places, self.levels, self.groups, strict=True):
            if (place < 0).any():
                raise ArgumentError(
                    f"The levels wanted of {group} lack {listed(own[place < 0].tolist())}, which have rows."
                )
        if all(
            np.array_equal(place, np.arange(len(wanted)))
            for place, wanted in zip(places, levels, strict=True)
        ):
            return self
        moves = [
            _selector(place, len(wanted), block.shape[1])
            for place, wanted, block in zip(places, levels, self.own, strict=True)
        ]
        return Moments(
            n=self.n,
            log_weights=self.log_weights,
            frame=self.frame,
            groups=self.groups,
            levels=tuple(levels),
            own=tuple(map(_scattered, self.own, places, map(len, levels))),
            border=tuple(map(_scattered, self.border, places, map(len, levels))),
            between={
                (i, j): (moves[i].T @ block @ moves[j]).tocsr() for (i, j), block in self.between.items()
            },
            total=self.total,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """How a design's numbers are taken, so that sums of squares keep the digits of data that are far from zero.

    Attributes:
        location: What is taken off y, beside the offset.
        fixed: What X is multiplied by, shape (p, p).
        groups: For each block what its X is multiplied by, shape (q, q).
    """

    location: float
    fixed: np.ndarray
    groups: tuple[np.ndarray, ...]

    def equals(self, other: "Frame") -> bool:
        """Whether the two are the same."""
        mine, theirs = ((np.array([f.location]), f.fixed, *f.groups) for f in (self, other))
        return len(mine) == len(theirs) and all(map(np.array_equal, mine, theirs))


def plain_frame(design: Design) -> Frame:
    """All as it is."""
    return Frame(0.0, np.eye(len(design.fixed.columns)), tuple(np.eye(len(b.columns)) for b in design.groups))


def moments(design: Design, frame: Frame | None = None, weights: np.ndarray | None = None) -> Moments:
    """One pass over the rows of a design.

    Args:
        design: From `build_design`.
        frame: How the numbers are taken; None for as they are.
        weights: Of the rows, shape (n,), positive: the residual variance of a row is sigma^2 / weight.

    Raises:
        ArgumentError: Weights that are not one positive number for each row.
    """
    p = len(design.fixed.columns)
    frame = plain_frame(design) if frame is None else frame
    if weights is not None:
        weights = np.asarray(weights, dtype=float)
        if weights.shape != (design.n,) or not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ArgumentError(f"weights are {design.n:,} positive numbers, one for each row.")
    factors = tuple(factors_of(design))
    width = max([p + 1, *(q * (q + p + 1) for q in (sum(len(b.columns) for b in f) for f in factors))])
    step = max(1, CHUNK // width)
    whole = _rows(design, factors, frame, weights, slice(0, step))
    for start in range(step, design.n, step):
        whole = whole + _rows(design, factors, frame, weights, slice(start, start + step))
    return whole


def factors_of(design: Design) -> list[tuple[Block, ...]]:
    """The blocks of each grouping factor, in the order in which factors first occur."""
    groups = dict.fromkeys(block.group for block in design.groups)
    return [tuple(block for block in design.groups if block.group == group) for group in groups]


def _rows(
    design: Design,
    factors: Sequence[tuple[Block, ...]],
    frame: Frame,
    weights: np.ndarray | None,
    rows: slice,
) -> Moments:
    """The moments of some rows."""
    y = design.response.values[rows] - design.offset[rows] - frame.location  # noqa: PD011
    T = np.column_stack([_times(design.fixed.X[rows], frame.fixed), y])
    effects = dict(zip((block.name for block in design.groups), frame.groups, strict=True))
    w = np.ones(len(y)) if weights is None else weights[rows]
    weighted = T if weights is None else T * w[:, None]
    own, border, wide = [], [], []
    for blocks in factors:
        Z = np.column_stack([_times(block.X[rows], effects[block.name]) for block in blocks])
        codes, L, q = blocks[0].codes[rows], len(blocks[0].levels), Z.shape[1]
        products = (Z[:, :, None] * np.concatenate([Z * w[:, None], weighted], axis=1)[:, None, :]).reshape(
            len(y), -1
        )
        sums = (_indicator(codes, L).T @ products).reshape(L, q, -1)
        own.append(np.ascontiguousarray(sums[:, :, :q]))
        border.append(np.ascontiguousarray(sums[:, :, q:]))
        wide.append(_sparse(Z, codes, L))
    between = {
        (i, j): (wide[i].T @ (wide[j] if weights is None else wide[j].multiply(w[:, None]))).tocsr()
        for j in range(len(factors))
        for i in range(j)
    }
    return Moments(
        n=len(y),
        log_weights=float(np.log(w).sum()),
        frame=frame,
        groups=tuple(blocks[0].group for blocks in factors),
        levels=tuple(blocks[0].levels for blocks in factors),
        own=tuple(own),
        border=tuple(border),
        between=between,
        total=T.T @ weighted,
    )


def _times(X: np.ndarray, A: np.ndarray) -> np.ndarray:
    """X A, without a copy where A is the identity."""
    return X if (np.eye(len(A)) == A).all() else X @ A


def _indicator(codes: np.ndarray, L: int) -> sparse.csr_array:
    """Which row is of which level, shape (rows, L)."""
    return _sparse(np.ones((len(codes), 1)), codes, L)


def _sparse(Z: np.ndarray, codes: np.ndarray, L: int) -> sparse.csr_array:
    """The factor's Z with a column for each effect of each level, shape (rows, L q)."""
    n, q = Z.shape
    columns = (codes[:, None] * q + np.arange(q)).ravel()
    return sparse.csr_array((Z.ravel(), columns, np.arange(n + 1) * q), shape=(n, L * q))


def _union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The levels of either: the first's order if the two are the same set, sorted otherwise."""
    if one is other:
        return one
    a, b = pd.Index(one), pd.Index(other)
    if len(a) == len(b) and (a.equals(b) or a.isin(b).all()):
        return one
    return a.union(b).to_numpy()


def _scattered(blocks: np.ndarray, places: np.ndarray, L: int) -> np.ndarray:
    wider = np.zeros((L, *blocks.shape[1:]))
    wider[places] = blocks
    return wider


def _selector(places: np.ndarray, L: int, q: int) -> sparse.csr_array:
    """Columns of a factor's Z from their present places to those wanted, shape (present, wanted)."""
    columns = (places[:, None] * q + np.arange(q)).ravel()
    n = len(columns)
    return sparse.csr_array((np.ones(n), columns, np.arange(n + 1)), shape=(n, L * q))
