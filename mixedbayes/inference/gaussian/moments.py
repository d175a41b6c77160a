"""Chunks of rows -> `Moments`: the cross-products that are all a Gaussian likelihood needs of its rows.

They add over rows: `moments(rows 1) + moments(rows 2)` is `moments(all rows)`, and `moments(all rows) - moments(rows 2)`
is `moments(rows 1)` but for digits.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add, sub
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mixedbayes.errors import ArgumentError, listed
from mixedbayes.inference.gaussian.coordinates import side_by_side
from mixedbayes.inference.gaussian.rows import Chunk, Factor

LEAST_SHARE = 0.1
"""Of each column's sum of squares that is to be left after a subtraction, so that it costs a digit at most."""

LEAST_SHARE_OF_LEVEL = 1e-3
"""The same of each level that has rows left. Its sums stand beside sigma^2, so that three digits may go."""


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Weighted cross-products of y, X and each grouping factor's Z.

    The columns of a factor's Z are those of all its blocks, q of them for each of L levels; those of the
    border are X and then y, t = p + 1 of them. All are as the `frame` has them. W holds each row's weight times its
    precision: a weight w multiplies the log density of a row, -w/2 [log(2 pi sigma^2) + e^2 / sigma^2], and a precision
    p divides its variance, -1/2 [log(2 pi sigma^2 / p) + p e^2 / sigma^2]. So both multiply squares, but weights count
    rows (n) and precisions have logs (log_precision).

    Attributes:
        n: Rows; with weights, their sum.
        log_precision: The sum over rows of the log precision, times the weight; 0 where there are no precisions.
        frame: What is taken off, and how columns are combined. Moments add only if theirs are equal.
        factors: With their levels, L of them.
        counts: For each factor how many rows each level has, shape (L,).
        own: For each factor Z'WZ by level, shape (L, q, q).
        border: For each factor Z'W[X, y] by level, shape (L, q, t).
        between: For each pair of factors i < j the sparse Z_i'WZ_j, shape (L_i q_i, L_j q_j).
        total: [X, y]'W[X, y], shape (t, t).
    """

    n: float
    log_precision: float
    frame: "Frame"
    factors: tuple[Factor, ...]
    counts: tuple[np.ndarray, ...]
    own: tuple[np.ndarray, ...]
    border: tuple[np.ndarray, ...]
    between: Mapping[tuple[int, int], sparse.csr_array]
    total: np.ndarray

    @property
    def groups(self) -> tuple[str, ...]:
        """The factors' names."""
        return tuple(factor.group for factor in self.factors)

    @property
    def levels(self) -> tuple[np.ndarray, ...]:
        """For each factor its levels."""
        return tuple(factor.levels for factor in self.factors)

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows; levels are those of either, in the first's order if they are the same.

        Raises:
            ArgumentError: They are not of the same columns, or have different origins.
        """
        self._check_alike(other)
        union = tuple(_union(a, b) for a, b in zip(self.levels, other.levels, strict=True))
        return self.among(union)._with(other.among(union), add)

    def __sub__(self, other: "Moments") -> "Moments":
        """The moments of the rows but for some of them; a level that loses all its rows has sums of exactly zero.

        Digits go where little is left: a column whose squares sum to s of S keeps log10(S / s) fewer of them. `keeps`
        says whether that matters.

        Args:
            other: Of rows that are among these.

        Raises:
            ArgumentError: They are not of the same columns, have different origins, or have levels of their own.
        """
        self._check_alike(other)
        rest = self._with(other.among(self.levels), sub)
        gone = [count <= 0 for count in rest.counts]
        for sums in (rest.own, rest.border):
            for each, without in zip(sums, gone, strict=True):
                each[without] = 0.0
        return rest

    def keeps(self, whole: "Moments") -> bool:
        """Whether what was subtracted from the whole to make these left digits enough."""
        columns, before = np.diag(self.total), np.diag(whole.total)
        if not (columns >= LEAST_SHARE * before).all():
            return False
        return all(
            (_diagonals(own)[there] >= LEAST_SHARE_OF_LEVEL * _diagonals(of_all)[there]).all()
            for own, of_all, there in zip(
                self.own, whole.own, (count > 0 for count in self.counts), strict=True
            )
        )

    def about(self, frame: "Frame") -> "Moments":
        """The same rows as another frame has them.

        With X2 = X A and y2 = y - d X c, where X c = 1, all sums are products of these with the ones at hand: exact but
        for rounding. The rounding is that of the larger of both frames' sums: from an origin that lies k standard deviations
        off, sums of squares about the mean keep some 16 - 2 log10(k) digits. So take the first origin near the data, as
        the mean of a first chunk.

        Args:
            frame: Of the same columns.

        Raises:
            ArgumentError: y is to be moved, and no column of ones says what that changes.
        """
        if self.frame.equals(frame):
            return self
        A, d, t = (
            np.linalg.solve(self.frame.fixed, frame.fixed),
            frame.location - self.frame.location,
            len(self.total),
        )
        P = np.eye(t)
        P[:-1, :-1] = A
        if d and frame.intercept is None:
            raise ArgumentError(
                "Without an intercept the origin of y cannot be moved: make moments of the rows anew."
            )
        if d and frame.intercept is not None:
            P[:-1, -1] = -d * np.linalg.solve(self.frame.fixed, np.eye(t - 1)[:, frame.intercept])
        moved = [np.linalg.solve(a, b) for a, b in zip(self.frame.groups, frame.groups, strict=True)]
        Bs = [side_by_side([moved[i] for i in factor.blocks]) for factor in self.factors]
        wide = [
            sparse.kron(sparse.eye_array(len(L)), B, format="csr")
            for L, B in zip(self.levels, Bs, strict=True)
        ]
        return replace(
            self,
            frame=frame,
            own=tuple(B.T @ own @ B for B, own in zip(Bs, self.own, strict=True)),
            border=tuple(B.T @ border @ P for B, border in zip(Bs, self.border, strict=True)),
            between={(i, j): (wide[i].T @ block @ wide[j]).tocsr() for (i, j), block in self.between.items()},
            total=P.T @ self.total @ P,
        )

    def _check_alike(self, other: "Moments") -> None:
        widths = [[block.shape[1:] for block in moments.border] for moments in (self, other)]
        if self.groups != other.groups or widths[0] != widths[1] or self.total.shape != other.total.shape:
            raise ArgumentError("Moments of different models do not add.")
        if not self.frame.equals(other.frame):
            raise ArgumentError(
                "Moments add only in the same frame: build both with frame=, or move one by about()."
            )

    def _with(self, other: "Moments", way: Callable[[Any, Any], Any]) -> "Moments":
        """The sum of, or the difference between, moments among the same levels."""

        def both(one: Iterable[np.ndarray], two: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
            return tuple(way(a, b) for a, b in zip(one, two, strict=True))

        return replace(
            self,
            n=way(self.n, other.n),
            log_precision=way(self.log_precision, other.log_precision),
            counts=both(self.counts, other.counts),
            own=both(self.own, other.own),
            border=both(self.border, other.border),
            between={pair: way(self.between[pair], other.between[pair]) for pair in self.between},
            total=way(self.total, other.total),
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
        return replace(
            self,
            factors=tuple(f._replace(levels=wanted) for f, wanted in zip(self.factors, levels, strict=True)),
            counts=tuple(map(_scattered, self.counts, places, map(len, levels))),
            own=tuple(map(_scattered, self.own, places, map(len, levels))),
            border=tuple(map(_scattered, self.border, places, map(len, levels))),
            between={
                (i, j): (moves[i].T @ block @ moves[j]).tocsr() for (i, j), block in self.between.items()
            },
        )


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """How a design's numbers are taken, so that sums of squares keep the digits of data that are far from zero.

    Attributes:
        location: What is taken off y, beside the offset.
        fixed: What X is multiplied by, shape (p, p).
        groups: For each block what its X is multiplied by, shape (q, q).
        intercept: The place of a column of ones in X as it is written; None where there is none.
    """

    location: float
    fixed: np.ndarray
    groups: tuple[np.ndarray, ...]
    intercept: int | None = None

    def equals(self, other: "Frame") -> bool:
        """Whether the two are the same."""
        mine, theirs = ((np.array([f.location]), f.fixed, *f.groups) for f in (self, other))
        return len(mine) == len(theirs) and all(map(np.array_equal, mine, theirs))


def plain_frame(chunk: Chunk) -> Frame:
    """All as it is."""
    return Frame(0.0, np.eye(chunk.X.shape[1]), tuple(np.eye(Z.shape[1]) for Z in chunk.effects))


def moments(chunks: Iterable[Chunk], factors: Sequence[Factor], frame: Frame | None = None) -> Moments:
    """One pass over rows.

    Args:
        chunks: At least one, whatever they come from.
        factors: The grouping factors, whose levels the chunks' codes mean.
        frame: How the numbers are taken; None for as they are.
    """
    return reduce(add, (_of_chunk(chunk, tuple(factors), frame or plain_frame(chunk)) for chunk in chunks))


def _of_chunk(chunk: Chunk, factors: tuple[Factor, ...], frame: Frame) -> Moments:
    """The moments of some rows."""
    T = np.column_stack([_times(chunk.X, frame.fixed), chunk.y - frame.location])
    weights, precisions = chunk.additions
    w = weights if precisions is None else precisions if weights is None else weights * precisions
    weighted = T if w is None else T * w[:, None]
    own, border, wide, counts = [], [], [], []
    for factor in factors:
        Z = np.column_stack([_times(chunk.effects[i], frame.groups[i]) for i in factor.blocks])
        codes, L, q = chunk.codes[factor.blocks[0]], len(factor.levels), Z.shape[1]
        by = np.concatenate([Z if w is None else Z * w[:, None], weighted], axis=1)
        products = (Z[:, :, None] * by[:, None, :]).reshape(len(T), q * by.shape[1])
        sums = (_indicator(codes, L).T @ products).reshape(L, q, -1)
        own.append(np.ascontiguousarray(sums[:, :, :q]))
        border.append(np.ascontiguousarray(sums[:, :, q:]))
        wide.append(_sparse(Z, codes, L))
        counts.append(np.bincount(codes, minlength=L))
    between = {
        (i, j): (wide[i].T @ (wide[j] if w is None else wide[j].multiply(w[:, None]))).tocsr()
        for j in range(len(factors))
        for i in range(j)
    }
    log_precision = (
        0.0
        if precisions is None
        else float(np.log(precisions) @ np.broadcast_to(1.0 if weights is None else weights, len(T)))
    )
    return Moments(
        n=len(T) if weights is None else float(weights.sum()),
        log_precision=log_precision,
        frame=frame,
        factors=factors,
        counts=tuple(counts),
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


def _diagonals(own: np.ndarray) -> np.ndarray:
    """Those of each level's matrix, shape (L, q)."""
    return np.einsum("laa->la", own)
