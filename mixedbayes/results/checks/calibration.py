"""Where each response stands in what the others predict for it: leave-one-out places and probabilities.

    p(place_i) = sum over draws s of w_is F(y_i | theta_s),  w_is by Pareto-smoothed importance sampling

The distribution function is the family's own, so no response is simulated.
Source: Vehtari, Gelman & Gabry (2017), Practical Bayesian model evaluation, sections 2.1 and 3.
"""

from collections.abc import Callable

import numpy as np

from mixedbayes.errors import ConvergenceWarning, counted, warn
from mixedbayes.models.values import Values
from mixedbayes.results.comparison.psis import good_k, leave_out_weights, relative_efficiency
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows.predictor import Predictor
from mixedbayes.results.rows.row_draws import RowDraws

type OfWeighted = Callable[[np.ndarray, Values, np.ndarray, np.random.Generator], np.ndarray]


def is_binary(predictor: Predictor) -> bool:
    """Whether a response can be 0 or 1 and nothing else."""
    design, likelihood = predictor.spec.design, predictor.likelihood
    rows, y = design.encoded, design.response.values
    if not (likelihood.is_discrete and np.isin(y, (0.0, 1.0)).all()):
        return False
    one = predictor.some(np.zeros(1, dtype=int))
    return bool((likelihood.cdf(np.ones((len(y), 1)), one.values(rows)) >= 1).all())


def loo_places(fit: Fitted, predictor: Predictor) -> np.ndarray:
    """The probability of as much or less than each response, given the other rows, shape (n,); uniform if the model is right.

    Of a discrete response the place is drawn between the probabilities of less and of as much.
    """
    likelihood = predictor.likelihood

    def place(y: np.ndarray, arguments: Values, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        upper = _averaged(likelihood.cdf(y, arguments), weights)
        if not likelihood.is_discrete:
            return upper
        lower = _averaged(likelihood.cdf(y - 1, arguments), weights)
        return lower + rng.random(len(lower)) * (upper - lower)

    return np.clip(_weighted(fit, predictor, place), 0.0, 1.0)  # weights add up to 1 but for rounding


def loo_means(fit: Fitted, predictor: Predictor) -> np.ndarray:
    """The mean of each response given the other rows, shape (n,)."""
    mean = predictor.likelihood.mean
    return _weighted(fit, predictor, lambda _, arguments, weights, __: _averaged(mean(arguments), weights))


def _weighted(fit: Fitted, predictor: Predictor, of: OfWeighted) -> np.ndarray:
    """A number for each row, from the importance weights that leave it out."""
    rows, y = fit.spec.design.encoded, fit.spec.design.response.values
    efficiency = relative_efficiency(fit)
    bad = 0

    def numbers(at: slice, rng: np.random.Generator) -> np.ndarray:
        nonlocal bad
        part = rows.part(at)
        arguments = predictor.values(part)
        observed = y[at, None]
        logs, k = leave_out_weights(predictor.likelihood.log_likelihood(observed, arguments), efficiency)
        weights = np.exp(logs)
        bad += int((~(k <= good_k(predictor.S))).sum())
        return of(observed, arguments, weights, rng)

    pieces = RowDraws("place", predictor, rows, numbers).pieces("Smoothing weights")
    found = np.concatenate([piece for _, piece in pieces])
    if bad:
        warn(
            f"The importance weights of {counted(bad, 'row')} are not to be trusted (Pareto k over {good_k(predictor.S):.2f}): "
            "where these rows stand in the picture is uncertain.",
            ConvergenceWarning,
        )
    return found


def _averaged(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (values * weights).sum(axis=1)
