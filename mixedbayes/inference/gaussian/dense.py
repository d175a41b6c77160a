"""Dense symmetric matrices, B at a time: small ones in one go, large ones one by one with LAPACK.

Of a large matrix only what is on and above the diagonal is read; `whole` makes the rest.
"""

import numpy as np
from scipy.linalg import blas, lapack

SMALL = 48
"""The side from which on matrices are factorised one by one."""


def whole(K: np.ndarray) -> np.ndarray:
    """The matrix from what is on and above its diagonal, shape (B, m, m)."""
    if K.shape[1] < SMALL:
        return K
    return np.triu(K) + np.swapaxes(np.triu(K, 1), 1, 2)


def times(K: np.ndarray, x: np.ndarray) -> np.ndarray:
    """K x, shapes (B, m, m) and (B, m)."""
    if K.shape[1] < SMALL:
        return np.einsum("bij,bj->bi", K, x)
    return np.stack([blas.dsymv(1.0, each.T, y, lower=1) for each, y in zip(K, x, strict=True)])


def cholesky(S: np.ndarray) -> np.ndarray:
    """Lower factors, shape (B, m, m), NaN where there is none; S is overwritten.

    What is above the diagonal of a large factor may be anything.
    """
    if S.shape[1] < SMALL:
        try:
            return np.linalg.cholesky(S)
        except np.linalg.LinAlgError:
            return np.stack([_one(each) for each in S])
    S = np.ascontiguousarray(S)
    columnwise = np.swapaxes(S, 1, 2)  # LAPACK's order of memory: what is on and above is on and below
    for b, each in enumerate(columnwise):
        _, info = lapack.dpotrf(each, lower=1, clean=0, overwrite_a=1)
        if info:
            columnwise[b] = np.nan
    return columnwise


def inverse(factor: np.ndarray) -> np.ndarray:
    """The inverse of the matrix with these Cholesky factors, shape (B, m, m)."""
    if factor.shape[1] < SMALL:
        half = np.linalg.inv(factor)
        return np.einsum("bki,bkj->bij", half, half)
    return whole(np.stack([lapack.dpotri(each, lower=1)[0].T for each in factor]))


def solve(factor: np.ndarray, x: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """L^-1 x, or L'^-1 x, for each of B lower triangles, shapes (B, m, m) and (B, m)."""
    m = x.shape[1]
    if m == 0:
        return x
    if m >= SMALL:
        solved = [
            lapack.dtrtrs(L, y, lower=1, trans=int(transposed))[0] for L, y in zip(factor, x, strict=True)
        ]
        return np.stack(solved)
    result = np.empty_like(x)
    for i in range(m - 1, -1, -1) if transposed else range(m):
        column = factor[:, i + 1 :, i] if transposed else factor[:, i, :i]
        known = result[:, i + 1 :] if transposed else result[:, :i]
        result[:, i] = (x[:, i] - np.einsum("bj,bj->b", column, known)) / factor[:, i, i]
    return result


def _one(S: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        return np.full_like(S, np.nan)
