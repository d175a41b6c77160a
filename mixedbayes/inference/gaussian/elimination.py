"""Block elimination of the arrow matrix S = F'CF + sigma^2 I, at B thetas at once.

Arrays of small matrices have their rows and columns first, then theta, then level: (q, q, B, L). A bar marks
a derivative: `F_bar` is that of a number with respect to F. Source of the order of elimination: Bates et al.
(2015), Fitting linear mixed-effects models using lme4, section 3; of passing update matrices from children to
parents: Duff & Reid (1983), The multifrontal solution of indefinite sparse symmetric linear equations.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import Any

import numpy as np
from scipy import sparse

from mixedbayes.inference.gaussian.moments import Moments

MAX_DENSE = 2**25
"""Numbers, at most, in the products of a stage kept as a dense array."""


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """A factor that is eliminated level by level.

    Attributes:
        factor: Its place in the moments.
        own: Z'WZ by level, shape (q, q, 1, L).
        rest: Z'W[Z of later stages, Z of the root if all of that is dense, X, y] by level, shape (q, w, 1, L).
        parent: Each level's level of the next stage, shape (L,); None at the last.
    """

    factor: int
    own: np.ndarray
    rest: np.ndarray
    parent: np.ndarray | None

    @property
    def effects(self) -> int:
        """The number of effects, q L."""
        return self.own.shape[0] * self.own.shape[-1]


@dataclass(frozen=True, eq=False, slots=True)
class Eliminated:
    """A stage at B thetas.

    Attributes:
        own, rest: The stage's blocks less what earlier stages took.
        F: The factor of the effects' covariance, shape (q, q, B, 1), or its diagonal, (q, B, 1).
        G: The inverse of the Cholesky factor of S = F' own F + sigma^2 I, shape (q, q, B, L); None where
            `conditional` found V without it.
        V: F S^-1 F', the conditional covariance over sigma^2, shape (q, q, B, L).
        log_det: The sum of log|S| over levels, shape (B,).
        v_det: |V|, shape (B, L), where `conditional` knows it.
    """

    own: np.ndarray
    rest: np.ndarray
    F: np.ndarray
    G: np.ndarray | None
    V: np.ndarray
    log_det: np.ndarray
    v_det: np.ndarray | None = None

    @property
    def half(self) -> np.ndarray:
        """Such that half' half is V, shape (q, q, B, L)."""
        if self.G is not None:
            return _half(self.G, self.F)
        if self.v_det is None:
            return np.sqrt(self.V)
        half = np.zeros_like(self.V)
        half[0, 0] = np.sqrt(self.V[0, 0])
        half[0, 1] = self.V[0, 1] / half[0, 0]
        half[1, 1] = np.sqrt(self.v_det) / half[0, 0]
        return half


def stages_of(moments: Moments) -> tuple[Stage, ...]:
    """The factors to eliminate level by level: the largest, then, if all are nested, each that the last nests in.

    A factor of one level stays in the root, as columns of X do: all else nests in it, and would carry as many columns.
    """
    sizes = [own.shape[0] * own.shape[1] for own in moments.own]
    order = sorted((i for i in range(len(sizes)) if not has_one_level(moments, i)), key=lambda i: -sizes[i])
    parents = [_parent(moments, i, j) for i, j in pairwise(order)]
    if any(parent is None for parent in parents):
        order, parents = order[:1], []
    crossed = [i for i in range(len(sizes)) if i not in order]
    dense = crossed if all(has_one_level(moments, i) for i in crossed) else []
    stages = []
    for place, i in enumerate(order):
        later = [_by_level(moments, i, j) for j in (*order[place + 1 :], *dense)]
        rest = np.concatenate([*later, moments.border[i]], axis=2)
        parent = parents[place] if place < len(parents) else None
        stages.append(Stage(i, _levels_last(moments.own[i]), _levels_last(rest), parent))
    return tuple(stages)


def has_one_level(moments: Moments, i: int) -> bool:
    """Whether a factor has: its columns are then not zero in any row for being of another level."""
    return moments.own[i].shape[0] == 1


def between(moments: Moments, i: int, j: int) -> sparse.csr_array:
    """Z_i'WZ_j, in either order."""
    return moments.between[i, j] if i < j else moments.between[j, i].T.tocsr()


def _parent(moments: Moments, i: int, j: int) -> np.ndarray | None:
    """For each level of factor i the one level of factor j that it occurs with, shape (L_i,); None if it is not one."""
    q_i, q_j = moments.own[i].shape[1], moments.own[j].shape[1]
    entries = between(moments, i, j).tocoo()
    used = entries.data != 0
    pairs = np.unique(np.stack([entries.row[used] // q_i, entries.col[used] // q_j]), axis=1)
    if len(np.unique(pairs[0])) < pairs.shape[1]:
        return None
    parent = np.zeros(len(moments.levels[i]), dtype=np.int64)  # a level without rows may have any
    parent[pairs[0]] = pairs[1]
    return parent


def _by_level(moments: Moments, i: int, j: int) -> np.ndarray:
    """Z_i'WZ_j of a factor i that nests in j: one block for each level of i, shape (L_i, q_i, q_j)."""
    q_i, q_j = moments.own[i].shape[1], moments.own[j].shape[1]
    entries = between(moments, i, j).tocoo()
    blocks = np.zeros((len(moments.levels[i]), q_i, q_j))
    np.add.at(blocks, (entries.row // q_i, entries.row % q_i, entries.col % q_j), entries.data)
    return blocks


def _levels_last(blocks: np.ndarray) -> np.ndarray:
    """(L, a, b) -> (a, b, 1, L)."""
    return np.ascontiguousarray(np.moveaxis(blocks, 0, -1))[:, :, None, :]


def eliminate(own: np.ndarray, rest: np.ndarray, F: np.ndarray, sigma: np.ndarray) -> Eliminated:
    """Factorise the blocks of one stage.

    Args:
        own: Shape (q, q, B or 1, L).
        rest: Shape (q, w, B or 1, L).
        F: Shape (q, q, B, 1), lower triangular, or its diagonal, (q, B, 1).
        sigma: Shape (B,).
    """
    S = _within(F, own)
    for a in range(len(S)):
        S[a, a] += (sigma**2)[:, None]
    G, log_det = _inverse_cholesky(S)
    half, V = _half(G, F), np.empty_like(S)
    for c, d in zip(*np.triu_indices(len(S)), strict=True):
        V[c, d] = sum(half[a, c] * half[a, d] for a in range(len(S)))
        V[d, c] = V[c, d]
    return Eliminated(own, rest, F, G, V, log_det)


def conditional(own: np.ndarray, rest: np.ndarray, F: np.ndarray, sigma: np.ndarray) -> Eliminated:
    """The same for what needs no gradient: one or two effects have a form of their own, several times as fast.

    For q = 2, adj being linear there, F adj(S) F' = |C| adj(own) + sigma^2 C with C = FF', and so

        |S| = |C| |own| + sigma^2 tr(C own) + sigma^4,   V = (|C| adj(own) + sigma^2 C) / |S|,   |V| = |C| / |S|,

    sums of positive terms, but for |own|, which is the same for all thetas.
    """
    q, s2 = len(F), (sigma**2)[:, None]
    if q > 2 or own.shape[2] > 1:
        return eliminate(own, rest, F, sigma)
    if q == 1:
        c = F.reshape(-1, 1) ** 2
        det = own[0, 0] * c + s2
        V = (c / det)[None, None]
        return Eliminated(own, rest, F, None, V, np.log(det).sum(axis=1))
    (a11, a12), (_, a22) = own[:, :, 0]
    if is_diagonal(F):
        c11, c12, c22 = F[0] ** 2, np.zeros_like(F[0]), F[1] ** 2
        det_c = c11 * c22
    else:
        c11, c12, c22 = F[0, 0] ** 2, F[0, 0] * F[1, 0], F[1, 0] ** 2 + F[1, 1] ** 2
        det_c = (F[0, 0] * F[1, 1]) ** 2
    det_a = np.maximum(a11 * a22 - a12 * a12, 0.0)
    det = np.hstack([det_c, s2 * c11, 2 * s2 * c12, s2 * c22]) @ np.stack([det_a, a11, a12, a22])
    det += s2 * s2
    one_over = 1 / det
    V = np.empty((2, 2, *det.shape))
    for place, sign, a, c in ((0, 1, a22, c11), (1, -1, a12, c12), (3, 1, a11, c22)):
        entry = V.reshape(4, *det.shape)[place]
        np.multiply(sign * det_c, a, out=entry)
        entry += s2 * c
        entry *= one_over
    V[1, 0] = V[0, 1]
    return Eliminated(own, rest, F, None, V, np.log(det).sum(axis=1), det_c * one_over)


def _half(G: np.ndarray, F: np.ndarray) -> np.ndarray:
    """G F', of which F' is upper and G lower triangular."""
    if is_diagonal(F):
        return G * F[None]
    half = np.empty_like(G)
    for a, c in np.ndindex(*G.shape[:2]):
        half[a, c] = sum(G[a, b] * F[c, b] for b in range(min(a, c) + 1))
    return half


def is_diagonal(F: np.ndarray) -> bool:
    """Whether a factor is given as its diagonal."""
    return F.ndim == 3  # of effects, thetas and levels


def _within(F: np.ndarray, A: np.ndarray) -> np.ndarray:
    """F'AF; where A is the same for all thetas, as one product of matrices."""
    q, L = len(F), A.shape[-1]
    if is_diagonal(F):
        return (F[:, None] * F) * A
    if A.shape[2] > 1:
        return np.einsum("ca...,cd...,db...->ab...", F, A, F, optimize=["einsum_path", (0, 1), (0, 1)])
    pairs = np.einsum("cax,dbx->abxcd", F[..., 0], F[..., 0])
    return (pairs.reshape(-1, q * q) @ A.reshape(q * q, L)).reshape(q, q, -1, L)


def _inverse_cholesky(S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """G with S^-1 = G'G, lower triangular, of each matrix; and the sum of log|S| over levels, shape (B,)."""
    q, C, G = len(S), np.empty_like(S), np.empty_like(S)
    G[np.triu_indices(q, 1)] = 0.0
    for j in range(q):
        pivot = S[j, j] - sum(C[j, k] ** 2 for k in range(j))
        G[j, j] = 1 / np.sqrt(pivot)
        for i in range(j + 1, q):
            C[i, j] = (S[i, j] - sum(C[i, k] * C[j, k] for k in range(j))) * G[j, j]
    for i in range(q):
        for j in range(i):
            G[i, j] = -G[i, i] * sum(C[i, k] * G[k, j] for k in range(j, i))
    diagonal = G[0, 0].copy()
    for j in range(1, q):
        diagonal *= G[j, j]
    return G, -2 * np.log(diagonal).sum(axis=-1)


def update(stage: Eliminated) -> np.ndarray:
    """What eliminating takes from the rest: rest' V rest, shape (w, w, B, L)."""
    Y = np.einsum("ab...,bj...->aj...", stage.V, stage.rest)
    return np.einsum("ai...,aj...->ij...", stage.rest, Y)


def update_of_all(stage: Eliminated) -> np.ndarray:
    """The same summed over levels, shape (B, w, w), without as much for each."""
    Y = np.einsum("ab...,bj...->aj...", stage.V, stage.rest)
    (q, w, B, L), rest = Y.shape, stage.rest
    by_theta = np.moveaxis(rest, 2, 0).transpose(0, 2, 1, 3).reshape(len(rest[0, 0]), w, q * L)
    return np.matmul(by_theta, np.moveaxis(Y, 2, 0).transpose(0, 1, 3, 2).reshape(B, q * L, w))


def sum_by_parent(N: np.ndarray, parent: np.ndarray, L: int) -> np.ndarray:
    """Sums over the levels of each parent, shape (..., B, levels) -> (..., B, L)."""
    indicator = sparse.csr_array(
        (np.ones(len(parent)), parent, np.arange(len(parent) + 1)), shape=(len(parent), L)
    )
    return (N.reshape(-1, len(parent)) @ indicator).reshape(*N.shape[:-1], L)


def stage_gradient(stage: Eliminated, V_bar: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the derivative by V (symmetric) those by F and sigma^2 of -1/2 log|S| and of what V enters.

    Returns:
        F_bar, shape (q, q, B), or (q, B) of a diagonal; sigma2_bar, shape (B,); own_bar, shape (q, q, B, L).
    """
    assert stage.G is not None  # noqa: S101  # only what `eliminate` made has a gradient
    Q = np.einsum("ka...,kb...->ab...", stage.half, stage.G)  # F S^-1
    VQ = np.einsum("ac...,cb...->ab...", V_bar, Q)
    S_bar = -np.einsum("ca...,cb...->ab...", Q, VQ) - 0.5 * np.einsum("ka...,kb...->ab...", stage.G, stage.G)
    if is_diagonal(stage.F):
        FS = stage.F[:, None] * S_bar
        F_bar = 2 * (np.einsum("aa...->a...", VQ) + np.einsum("ac...,ca...->a...", stage.own, FS)).sum(
            axis=-1
        )
        return F_bar, np.einsum("aabl->b", S_bar), FS * stage.F
    FS = np.einsum("ab...,bc...->ac...", stage.F, S_bar)
    F_bar = 2 * (VQ + np.einsum("ab...,bc...->ac...", stage.own, FS)).sum(axis=-1)
    own_bar = np.einsum("ac...,bc...->ab...", FS, stage.F)
    return F_bar, np.einsum("aabl->b", S_bar), own_bar


def rest_gradient(stage: Eliminated, N_bar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the derivative by the update, shape (w, w, B, 1 or L), those by V and by rest."""
    EN = np.einsum("ai...,ij...->aj...", stage.rest, N_bar)
    V_bar = np.einsum("aj...,bj...->ab...", EN, stage.rest)
    return V_bar, 2 * np.einsum("ab...,bj...->aj...", stage.V, EN)


@dataclass(frozen=True, eq=False, slots=True)
class Products:
    """The update of a single stage, summed over levels: linear in V, for its rest is the same for all thetas.

    Attributes:
        rows, columns: Where in the root each of e entries lies, rows >= columns.
        maps: For each pair a <= b of effects a matrix (e, L), dense or sparse.
    """

    rows: np.ndarray
    columns: np.ndarray
    maps: tuple[Any, ...]

    @property
    def are_sparse(self) -> bool:
        """Whether the maps are."""
        return sparse.issparse(self.maps[0])

    def take_from(self, K: np.ndarray, V: np.ndarray, levels: slice) -> None:
        """Take the update off the root K, shape (B, m, m), on and above its diagonal.

        Args:
            K: Changed in place.
            V: Shape (q, q, B, levels).
            levels: Which these are; all of them, if the maps are sparse.
        """
        pairs = list(zip(*np.triu_indices(len(V)), strict=True))
        flat, places = K.reshape(len(K), -1), self.columns * K.shape[1] + self.rows  # in ascending order
        for (a, b), each in zip(pairs, self.maps, strict=True):
            if self.are_sparse and len(flat) == 1:  # without copies of a large root
                flat[0][places] -= each @ V[a, b, 0]
            elif self.are_sparse:
                flat[:, places] -= (each @ V[a, b].T).T
            else:
                flat[:, places] -= V[a, b] @ each[:, levels].T

    def adjoint(self, K_bar: np.ndarray, levels: slice) -> np.ndarray:
        """The derivative by V, symmetric, from that by the root, symmetric: (B, m, m) -> (q, q, B, levels)."""
        twice = np.where(self.rows == self.columns, 1.0, 2.0)
        entries = K_bar[:, self.rows, self.columns] * twice
        q = int(np.sqrt(2 * len(self.maps)))
        bars: dict[tuple[int, int], np.ndarray] = {}
        for (a, b), each in zip(combinations_with_replacement(range(q), 2), self.maps, strict=True):
            part = each if self.are_sparse else each[:, levels]
            bars[a, b] = bars[b, a] = (part.T @ entries.T).T * (1.0 if a == b else 0.5)
        return np.stack([np.stack([bars[a, b] for b in range(q)]) for a in range(q)])


def products_size(stage: Stage, coupling: sparse.csr_array | None) -> int:
    """The numbers that `products_of` would keep."""
    q, w, _, L = stage.rest.shape
    each = np.full(L * q, w)
    if coupling is not None:
        each = each + np.diff(coupling.indptr)
    each = each.reshape(L, q)
    return int(sum((each[:, a] * each[:, b]).sum() for a, b in zip(*np.triu_indices(q), strict=True)) // 2)


def products_of(stage: Stage, coupling: sparse.csr_array | None) -> Products:
    """The products of a stage's rest with itself.

    Args:
        stage: The only one.
        coupling: Z'WZ of the crossed factors, shape (L q, m); None if there are none.
    """
    q, w, _, L = stage.rest.shape
    border = stage.rest[:, :, 0, :]
    if coupling is None:
        columns, rows = np.triu_indices(w)
        dense = [
            (border[a][rows] * border[b][columns] + (a != b) * border[b][rows] * border[a][columns])
            for a, b in zip(*np.triu_indices(q), strict=True)
        ]
        return Products(rows, columns, tuple(dense))
    wide = sparse.hstack(
        [coupling, sparse.csr_array(np.moveaxis(border, -1, 0).reshape(L * q, w))], format="csr"
    )
    m = wide.shape[1]
    found = [_pairs(wide[a::q], wide[b::q], same=a == b) for a, b in zip(*np.triu_indices(q), strict=True)]
    keys = np.unique(np.concatenate([key for key, _, _ in found]))
    maps = tuple(
        sparse.csr_array(
            (values, (np.searchsorted(keys, key).astype(np.int32), level.astype(np.int32))),
            shape=(len(keys), L),
        )
        for key, level, values in found
    )
    return Products(keys % m, keys // m, maps)


def _pairs(
    one: sparse.csr_array, other: sparse.csr_array, *, same: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All products of an entry of row l of one with one of row l of the other.

    Returns:
        For each its place (column * m + row, row >= column), l, and the product; those off the diagonal of
        two different matrices stand for both orders.
    """
    m, L = one.shape[1], one.shape[0]
    counts_one, counts_other = np.diff(one.indptr), np.diff(other.indptr)
    total = counts_one * counts_other
    level = np.repeat(np.arange(L), total)
    within = np.arange(total.sum()) - np.repeat(np.cumsum(total) - total, total)
    i = one.indptr[level] + within // np.maximum(counts_other[level], 1)
    j = other.indptr[level] + within % np.maximum(counts_other[level], 1)
    rows, columns = one.indices[i].astype(np.int64), other.indices[j].astype(np.int64)
    values = one.data[i] * other.data[j]
    if same:
        kept = rows >= columns
        rows, columns, values, level = rows[kept], columns[kept], values[kept], level[kept]
    else:
        values = np.where(rows == columns, 2.0, 1.0) * values
        rows, columns = np.maximum(rows, columns), np.minimum(rows, columns)
    return columns * m + rows, level, values
