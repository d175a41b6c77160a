"""The LKJ distribution on correlation matrices, written out: Lewandowski, Kurowicka & Joe (2009)."""

import numpy as np
from scipy.special import gammaln


def correlation(w: np.ndarray, q: int) -> np.ndarray:
    """The correlation matrix of canonical partial correlations, by the recursion of partial correlations.

    Joe (2006), Generating random correlation matrices based on partial correlations.

    Args:
        w: Row by row below the diagonal, shape (q (q - 1) / 2,), real or complex.
    """
    P = np.zeros((q, q), dtype=w.dtype)
    P[np.tril_indices(q, -1)] = w
    R = np.eye(q, dtype=w.dtype)
    for i in range(1, q):
        for k in range(i):
            rho = P[i, k]
            for m in reversed(range(k)):
                rho = rho * np.sqrt((1 - P[i, m] ** 2) * (1 - P[k, m] ** 2)) + P[i, m] * P[k, m]
            R[i, k] = R[k, i] = rho
    return R


def log_stretch(w: np.ndarray, q: int) -> float:
    """The log of |det dR/dw|, by complex steps."""
    rows = np.tril_indices(q, -1)
    step = 1e-30
    columns = [correlation(w + 1j * step * e, q)[rows].imag / step for e in np.eye(len(w))]
    return float(np.linalg.slogdet(np.array(columns))[1])


def lkj_logpdf(R: np.ndarray, eta: float) -> float:
    """Lewandowski, Kurowicka & Joe (2009), equations 16 and 17."""
    d = len(R)
    constant = 0.0
    for k in range(1, d):
        a = eta + (d - 1 - k) / 2
        beta = 2 * gammaln(a) - gammaln(2 * a)
        constant += (2 * eta - 2 + d - k) * (d - k) * np.log(2) + (d - k) * beta
    return (eta - 1) * np.linalg.slogdet(R)[1] - constant
