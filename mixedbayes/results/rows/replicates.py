"""Replicated data: responses drawn from the posterior predictive distribution, as ArviZ takes them."""

from typing import Any

import numpy as np
import xarray as xr

from mixedbayes.designs.design import Encoded
from mixedbayes.errors import ArgumentError, shown, whole_number
from mixedbayes.models.names import CHAIN, DRAW, OBSERVATION
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.rows import predict
from mixedbayes.results.rows.log_likelihood import LOG_LIKELIHOOD
from mixedbayes.results.rows.predictor import Predictor

PREDICTIVE, OBSERVED = "posterior_predictive", "observed_data"


def posterior_predictive(
    spec: ModelSpec, idata: xr.DataTree, predictor: Predictor, newdata: Any, n: int | None
) -> xr.DataTree:
    """Replicated responses beside the observed ones.

    Args:
        spec: The model.
        idata: Its draws.
        predictor: The same, as rows use them.
        newdata: Rows to draw responses for; None for the fit's own.
        n: How many draws at most, spread evenly over the posterior; None for all.

    Raises:
        ArgumentError: n is no number of draws; or these are more than memory can hold.
        DataError: The new data do not fit the model.
    """
    rows = predict.encode(spec, predictor, newdata, trials=True)
    check_draws(n)
    some = thinned(predictor, n)
    drawn = replicated(some, rows)
    if newdata is not None:
        return xr.DataTree.from_dict({PREDICTIVE: _dataset(spec, drawn, np.arange(len(rows.index)))})
    places = np.asarray(spec.design.rows.kept)
    groups = {PREDICTIVE: _dataset(spec, drawn, places), OBSERVED: _dataset(spec, observed(spec), places)}
    if some is predictor:  # draw for draw the same, as leave-one-out needs them
        named = ("posterior", LOG_LIKELIHOOD)
        groups |= {name: idata[name].to_dataset() for name in named if name in idata.children}
    return xr.DataTree.from_dict(groups)


def replicated(predictor: Predictor, rows: Encoded) -> xr.DataArray:
    """One response for each draw and row, with dims chain, draw and observation; whole numbers where they are."""
    most = most_draws(rows)
    if most < predictor.S:
        raise ArgumentError(
            f"{predictor.S:,} draws of {len(rows.index):,} rows are {8 * predictor.S * len(rows.index) / 2**30:,.1f} GiB; "
            f"n={most} is the most draws that are held at once."
        )
    drawn = predict.predictions(predictor, rows, "response").array()
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
    return max(1, predict.MAX_DRAWS // (8 * max(len(rows.index), 1)))


def check_draws(n: int | None) -> None:
    """Refuse what is no number of draws."""
    if n is not None and (whole_number(n) or 0) < 1:
        raise ArgumentError(f"n is a whole number of at least 1, or None, not {shown(n)}.")


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
