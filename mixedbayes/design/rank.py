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


def spans_constant(X: np.ndarray) -> bool:
    """Whether columns add up to a constant: full dummies do, and then stand in for the intercept."""
    peaks = np.abs(X).max(axis=0, initial=0.0)
    scaled, ones = X / np.where(peaks > 0, peaks, 1.0), np.ones(len(X))
    weights = np.linalg.lstsq(scaled, ones, rcond=None)[0] if X.shape[1] else np.zeros(0)
    return bool(np.abs(scaled @ weights - ones).max() < TOLERANCE)


def _scaled(X: np.ndarray) -> np.ndarray:
    """Columns of length one, or zero; those after a constant one about their means."""
    peaks = np.abs(X).max(axis=0, initial=0.0)
    scaled = X / np.where(peaks > 0, peaks, 1.0)  # first, for the square of 1e200 is infinite
    constant = np.ptp(scaled, axis=0) <= ROUNDING if len(X) else np.zeros(X.shape[1], dtype=bool)
    first = next((j for j in np.flatnonzero(constant & (peaks > 0))), None)
    if first is not None:
        after = np.arange(X.shape[1]) > first
        scaled[:, after] -= scaled[:, after].mean(axis=0)
        scaled[:, after & constant] = 0.0
    norms = np.linalg.norm(scaled, axis=0)
    return np.asarray(scaled / np.where(norms > 0, norms, 1.0))
