"""Replicated data: responses drawn from the posterior predictive distribution, as ArviZ takes them."""

from typing import Any

import numpy as np
import xarray as xr

from mixedbayes import arguments
from mixedbayes.arguments import fits, whole
from mixedbayes.designs.design import Encoded
from mixedbayes.models.names import CHAIN, DRAW, OBSERVATION
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows.block_draws import NewLevels
from mixedbayes.results.rows.log_likelihood import LOG_LIKELIHOOD
from mixedbayes.results.rows.predict import encode, predictions
from mixedbayes.results.rows.predictor import Groups, Predictor, predictor_of

PREDICTIVE, OBSERVED = "posterior_predictive", "observed_data"


def posterior_predictive(
    fit: Fitted,
    n: int | None = None,
    newdata: Any = None,
    groups: Groups = "all",
    new_levels: NewLevels = "sample",
    seed: int | None = None,
) -> xr.DataTree:
    """Replicated responses, as ArviZ's functions take them: `az.plot_ppc_dist(fit.posterior_predictive())`.

    Args:
        n: How many draws at most, spread evenly over the posterior, as one chain; None for all.
        newdata: As in `predict`.
        groups: As in `predict`.
        new_levels: As in `predict`.
        seed: The same seed gives the same responses.

    Returns:
        A tree with the group `posterior_predictive`, one variable named as the response, with dims chain, draw
        and observation (places of rows in the table). Responses with levels are places in
        `fit.spec.design.response.levels`; discrete ones are integers, unless rows of `newdata` lack values. Of
        the fit's own rows there is also `observed_data`, and with all draws `posterior` and `log_likelihood`,
        for `az.loo_pit`.

    Raises:
        DataError, ArgumentError: As in `predict`; or n is no number of draws.
    """
    check_draws(n)
    predictor = predictor_of(fit, groups, new_levels, seed)
    rows = encode(predictor, newdata, noise=True)
    some = thinned(predictor, n)
    drawn, spec = replicated(some, rows), fit.spec
    if newdata is not None:
        return xr.DataTree.from_dict({PREDICTIVE: _dataset(spec, drawn, np.arange(len(rows.index)))})
    places = np.asarray(spec.design.rows.kept)
    parts = {PREDICTIVE: _dataset(spec, drawn, places), OBSERVED: _dataset(spec, observed(spec), places)}
    if some is predictor:  # draw for draw the same, as leave-one-out needs them
        named = ("posterior", LOG_LIKELIHOOD)
        parts |= {name: fit.idata[name].to_dataset() for name in named if name in fit.idata.children}
    return xr.DataTree.from_dict(parts)


def replicated(predictor: Predictor, rows: Encoded) -> xr.DataArray:
    """One response for each draw and row, with dims chain, draw and observation; whole numbers where they are."""
    most, n = most_draws(rows), len(rows.index)
    if most < predictor.S:
        fits(
            predictor.S * n,
            f"{predictor.S:,} draws of {n:,} rows",
            f"; n={most} is the most draws that are held at once",
        )
    drawn = predictions(predictor, rows, "response").array()
    return drawn.copy(data=_whole(drawn.to_numpy())) if predictor.likelihood.is_discrete else drawn


def observed(spec: ModelSpec) -> xr.DataArray:
    """The response of the fit's own rows in numbers, with dim observation; whole numbers where they are."""
    values = spec.design.response.values
    discrete = spec.family.is_discrete
    return xr.DataArray(_whole(values) if discrete else values, dims=OBSERVATION)


def thinned(predictor: Predictor, n: int | None) -> Predictor:
    """At most n draws, spread evenly over the posterior."""
    if n is None or n >= predictor.S:
        return predictor
    return predictor.some(((np.arange(n) + 0.5) * predictor.S / n).astype(int))


def most_draws(rows: Encoded) -> int:
    """How many draws of one number for each row are held at once."""
    return max(1, arguments.MOST_HELD // (8 * max(len(rows.index), 1)))


def check_draws(n: int | None) -> None:
    """Refuse what is no number of draws."""
    if n is not None:
        whole("n", n, least=1, otherwise=", or None")


def _dataset(spec: ModelSpec, values: xr.DataArray, places: np.ndarray) -> xr.Dataset:
    coords = {name: values[name] for name in (CHAIN, DRAW) if name in values.dims}
    return xr.Dataset(
        {spec.response: (values.dims, values.to_numpy())}, coords=coords | {OBSERVATION: places}
    )


def _whole(values: np.ndarray) -> np.ndarray:
    """As integers, by which ArviZ knows counts; as they are, if some are too large or lacking."""
    with np.errstate(invalid="ignore"):
        fit = (np.abs(values) < 2.0**62).all()
    return values.astype(np.int64) if fit else values
