"""The root: what elimination leaves, crossed factors' effects and then coefficients, at B thetas at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedbayes.inference.gaussian import dense
from mixedbayes.inference.gaussian.coordinates import is_diagonal


@dataclass(frozen=True, eq=False, slots=True)
class Prior:
    """F = diag(F_k for each level of each crossed factor, s), the factor of the root's prior covariance.

    Attributes:
        factors: F_k of each crossed factor, shape (q, q, B), or its diagonal, (q, B).
        scale: s, shape (B, p).
        ends: Where each crossed factor's effects begin, and the coefficients.
        penalty: 1, and 0 for coefficients with flat priors; shape (m,).
    """

    factors: tuple[np.ndarray, ...]
    scale: np.ndarray
    ends: Sequence[int]
    penalty: np.ndarray

    @property
    def is_diagonal(self) -> bool:
        """Whether F is."""
        return all(is_diagonal(F) for F in self.factors)

    def times(self, A: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        """F, or F', times the vectors along the last axis of A, shape (B, ..., m)."""
        result = np.empty_like(A)
        B, start = len(A), self.ends[-1]
        for F, i, j in zip(self.factors, self.ends, self.ends[1:], strict=False):
            q, part = len(F), A[..., i:j]
            if is_diagonal(F):
                by_level = part.reshape(*part.shape[:-1], -1, q)
                result[..., i:j] = (by_level * F.T.reshape(B, *(1 for _ in A.shape[1:]), q)).reshape(
                    part.shape
                )
            else:
                subscripts = "acb,bxa->bxc" if transposed else "acb,bxc->bxa"
                result[..., i:j] = np.einsum(subscripts, F, part.reshape(B, -1, q)).reshape(part.shape)
        result[..., start:] = A[..., start:] * self.scale.reshape(B, *(1 for _ in A.shape[2:]), -1)
        return result


@dataclass(frozen=True, eq=False, slots=True)
class Root:
    """The root factorised; S = F'KF + sigma^2 diag(penalty).

    Attributes:
        K: What elimination leaves of [Z, X, y]'W[Z, X, y], y last, shape (B, m + 1, m + 1).
        prior: F.
        factor: The Cholesky factor of S, or, where F is diagonal and the root large, of F'^-1 S F^-1.
        is_whitened: Which of the two it is.
        x: The conditional mean F S^-1 k, shape (B, m).
        w: S^-1 k.
        gap: a - x, its last entry 1; shape (B, m + 1).
        K_gap: K times it.
        log_det: log|S|, shape (B,).
    """

    K: np.ndarray
    prior: Prior
    factor: np.ndarray
    is_whitened: bool
    x: np.ndarray
    w: np.ndarray
    gap: np.ndarray
    K_gap: np.ndarray
    log_det: np.ndarray

    @property
    def quadratic(self) -> np.ndarray:
        """A'K a - k'S^-1 k but for what the penalty adds, shape (B,)."""
        return np.einsum("bi,bi->b", self.gap, self.K_gap)

    def draw(self, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """From N(x, sigma^2 F S^-1 F'), shape (B, m)."""
        noise = dense.solve(self.factor, rng.standard_normal(self.x.shape), transposed=True)
        return self.x + sigma[:, None] * (self.prior.times(noise) if self.is_whitened else noise)

    def covariance(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """F S^-1 F' and F S^-1, shape (B, m, m), and the trace of S^-1 diag(penalty), shape (B,)."""
        inverse = dense.inverse(self.factor)
        if self.is_whitened:
            Q = np.swapaxes(self.prior.times(inverse), 1, 2)
            return self.prior.times(Q), Q, np.einsum("i,bii->b", self.prior.penalty, inverse)
        d = self.prior.times(np.ones_like(self.x))
        trace = np.einsum("i,bii,bi->b", self.prior.penalty, inverse, d**-2)
        return inverse, inverse / d[:, None, :], trace


def factorise(K: np.ndarray, prior: Prior, sigma: np.ndarray, a: np.ndarray) -> Root:
    """Factorise the root.

    Args:
        K: Shape (B, m + 1, m + 1), of a large one what is on and above the diagonal.
        prior: F.
        sigma: Shape (B,).
        a: Shape (B, m + 1).
    """
    m = K.shape[1] - 1
    Ka = dense.times(K, a)[:, :m]
    diagonal = range(m)
    is_whitened = m < dense.SMALL or not prior.is_diagonal
    if is_whitened:
        half = prior.times(dense.whole(K)[:, :m, :m], transposed=True)
        S = prior.times(np.swapaxes(half, 1, 2), transposed=True)
        S[:, diagonal, diagonal] += prior.penalty * (sigma**2)[:, None]
        factor = dense.cholesky(S)
        k = prior.times(Ka, transposed=True)
        w = dense.solve(factor, dense.solve(factor, k), transposed=True)
        x, log_det = prior.times(w), np.zeros(len(K))
    else:  # scaling by a diagonal changes nothing of the precision, and costs passes over the matrix
        d = prior.times(np.ones_like(Ka))
        S = K[:, :m, :m].copy()
        S[:, diagonal, diagonal] += prior.penalty * (sigma[:, None] / d) ** 2
        factor = dense.cholesky(S)
        x = dense.solve(factor, dense.solve(factor, Ka), transposed=True)
        w, log_det = x / d, 2 * np.log(d).sum(axis=1)
    gap = a.copy()
    gap[:, :m] -= x
    log_det = log_det + 2 * np.log(np.einsum("bii->bi", factor)).sum(axis=1)
    return Root(K, prior, factor, is_whitened, x, w, gap, dense.times(K, gap), log_det)


@dataclass(frozen=True, eq=False, slots=True)
class RootGradient:
    """Derivatives of -1/2 (log|S| + quadratic / sigma^2).

    Attributes:
        K: Symmetric, shape (B, m + 1, m + 1).
        sigma2: Of what sigma^2 multiplies in S, shape (B,); and of 1 / sigma^2.
        factors: For each crossed factor, shape (q, q, B), or of a diagonal (q, B).
        location, scale: Of the coefficients' priors, shape (B, p).
    """

    K: np.ndarray
    sigma2: np.ndarray
    factors: tuple[np.ndarray, ...]
    location: np.ndarray
    scale: np.ndarray


def gradient(root: Root, sigma: np.ndarray) -> RootGradient:
    """The derivatives, by the envelope theorem at the conditional mean."""
    sigma2, (m, ends) = sigma**2, (root.x.shape[1], root.prior.ends)
    start = ends[-1]
    covariance, Q, trace = root.covariance()
    K_bar = -0.5 * root.gap[:, :, None] * root.gap[:, None, :] / sigma2[:, None, None]
    K_bar[:, :m, :m] -= 0.5 * covariance
    K = dense.whole(root.K)

    def by_factor(rows: slice, columns: slice) -> np.ndarray:
        moved = root.K_gap[:, rows] * root.w[:, columns] / sigma2[:, None]
        return moved - np.einsum("bij,bji->bi", K[:, rows, :m], Q[:, :, columns])

    factors = []
    for F, i, j in zip(root.prior.factors, ends, ends[1:], strict=False):
        q = len(F)
        bar = np.empty_like(F)
        if is_diagonal(F):
            for r in range(q):
                bar[r] = by_factor(slice(i + r, j, q), slice(i + r, j, q)).sum(axis=1)
            factors.append(bar)
            continue
        for r, c in np.ndindex(q, q):
            bar[r, c] = by_factor(slice(i + r, j, q), slice(i + c, j, q)).sum(axis=1)
        factors.append(bar)
    location = root.K_gap[:, start:m] / sigma2[:, None]
    scale = by_factor(slice(start, m), slice(start, m))
    return RootGradient(K_bar, -0.5 * (trace - root.quadratic / sigma2**2), tuple(factors), location, scale)
