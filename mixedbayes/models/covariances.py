"""Standard deviations and correlations of effects <-> their covariance, at zero and at the predictors' means.

With S of a `Centring`, effects u at zero are S u at the means, and their covariance C is S C S'.
"""

import numpy as np

from mixedbayes.designs.centring import Centring


def covariance_of(sd: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """The covariance of standard deviations and correlations, shapes (..., q) and (..., q, q), shape (..., q, q)."""
    return np.asarray(sd[..., :, None] * sd[..., None, :] * correlation)


def sds_and_correlations(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `covariance_of`, shapes (..., q) and (..., q, q)."""
    q = covariance.shape[-1]
    sd = np.sqrt(np.maximum(np.einsum("...ii->...i", covariance), 0.0))
    scale = np.where(sd > 0, sd, 1.0)
    correlation = np.clip(covariance / (scale[..., :, None] * scale[..., None, :]), -1.0, 1.0)
    correlation[..., range(q), range(q)] = 1.0
    return sd, correlation


def at_means(covariance: np.ndarray, centring: Centring) -> np.ndarray:
    """The covariance of effects at the means, from that of effects at zero, shape (..., q, q)."""
    S = centring.to_means
    return covariance if centring.is_none else np.asarray(S @ covariance @ S.T)


def factor_at_zero(covariance: np.ndarray, centring: Centring) -> np.ndarray:
    """F with F F' the covariance at zero, shape (S, q, q).

    It is triangular at the means and brought to zero from there: far from the data effects are as good as
    collinear, and a factorisation there would keep nothing of how they vary within the data.
    """
    return np.asarray(centring.to_zero @ cholesky(at_means(covariance, centring)))


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Lower Cholesky factors, shape (S, q, q), also of matrices that are singular by rounding."""
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrices)
        half = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        upper = np.linalg.qr(np.swapaxes(half, 1, 2), mode="r")
        signs = np.where(np.einsum("saa->sa", upper) < 0, -1.0, 1.0)
        return np.swapaxes(upper * signs[:, :, None], 1, 2)
