"""Which columns of a matrix earlier ones add up to."""

import numpy as np

TOLERANCE = 1e-7
"""A column is a combination of earlier ones if less than this part of it is its own (as R's `qr`)."""

ROUNDING = 1e-12
"""A column whose range is less than this part of its largest value is constant but for rounding."""


def dependent_columns(X: np.ndarray) -> list[int]:
    """Columns that are linear combinations of columns before them, in order.

    After a constant column the others count by how they vary: 2,000,001 and 2,000,002 are not the same.
    """
    n, p = X.shape
    scaled = _scaled(X)
    if p <= n and (np.abs(np.diag(np.linalg.qr(scaled, mode="r"))) >= TOLERANCE).all():
        return []
    dependent: list[int] = []
    basis = np.empty((n, min(n, p)), order="F")
    for j in range(p):
        kept = basis[:, : j - len(dependent)]
        own = scaled[:, j]
        for _ in range(2):  # the second time for what the first left by rounding
            own = own - kept @ (kept.T @ own)
        size = np.linalg.norm(own)
        if size < TOLERANCE or kept.shape[1] == n:
            dependent.append(j)
        else:
            basis[:, j - len(dependent)] = own / size
    return dependent


def peaks(X: np.ndarray) -> np.ndarray:
    """The largest size of a number in each column, shape (p,); one by one, for columns are long and few."""
    return np.array([max(x.max(initial=0.0), -x.min(initial=0.0)) for x in X.T])


def spans_constant(X: np.ndarray) -> bool:
    """Whether columns add up to a constant: full dummies do, and then stand in for the intercept."""
    sizes = peaks(X)
    scaled, ones = X / np.where(sizes > 0, sizes, 1.0), np.ones(len(X))
    weights = np.linalg.lstsq(scaled, ones, rcond=None)[0] if X.shape[1] else np.zeros(0)
    return bool(np.abs(scaled @ weights - ones).max() < TOLERANCE)


def _scaled(X: np.ndarray) -> np.ndarray:
    """Columns of length one, or zero; those after a constant one about their means."""
    sizes = peaks(X)
    scaled = X / np.where(sizes > 0, sizes, 1.0)  # first, for the square of 1e200 is infinite
    constant = np.array([np.ptp(x) <= ROUNDING if len(x) else False for x in scaled.T], dtype=bool)
    first = next(iter(np.flatnonzero(constant & (sizes > 0))), None)
    if first is not None:
        after = slice(int(first) + 1, None)
        scaled[:, after] -= [x.mean() for x in scaled[:, after].T]
        scaled[:, after] *= ~constant[after]
    norms = np.sqrt(np.einsum("ij,ij->j", scaled, scaled))
    scaled /= np.where(norms > 0, norms, 1.0)
    return np.asarray(scaled)
