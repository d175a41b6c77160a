"""The log density of each observation at each draw, computed when it is read.

ArviZ finds it in the group `log_likelihood` of a fit's `idata`; it takes no memory before.
"""

from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from mixedbayes.designs.design import Encoded
from mixedbayes.models.names import CHAIN, DRAW, OBSERVATION
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.layout import EFFECTS, MOMENTS
from mixedbayes.results.rows.predictor import Predictor, predictor_of

LOG_LIKELIHOOD = "log_likelihood"


class LogLikelihood(BackendArray):
    """An array with dims chain, draw and observation, computed for those observations that are asked for.

    Source: xarray's "How to add a new backend", section on lazy loading.
    """

    def __init__(self, fit: Fitted, chains: int, draws: int) -> None:
        self.fit = fit
        self.shape = (chains, draws, fit.spec.design.n)
        self.dtype = np.dtype(float)

    @cached_property
    def predictor(self) -> Predictor:
        """The draws, as rows use them."""
        return predictor_of(self.fit)

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        chain, draw, observation = key
        places = np.arange(self.shape[2])[observation]
        rows = self.fit.spec.design.only(np.atleast_1d(places))
        values = log_likelihood_of(self.predictor, rows.encoded, rows.response.values)
        array = np.moveaxis(values.reshape(-1, *self.shape[:2]), 0, -1)[chain][..., draw, :]
        return array if np.ndim(places) else array[..., 0]


def log_likelihood_of(predictor: Predictor, rows: Encoded, y: np.ndarray) -> np.ndarray:
    """The log density of each row's response at each draw, shape (m, S)."""
    values = np.empty((len(y), predictor.S))
    for at in predictor.pieces(len(y)):
        values[at] = predictor.log_density(rows.part(at), y[at])
    return values


def with_log_likelihood(fit: Fitted) -> xr.DataTree:
    """A tree of its own for a fit, with the group `log_likelihood` of its draws if all that it needs were kept."""
    spec, tree = fit.spec, fit.idata.copy()
    if MOMENTS in tree.children and EFFECTS not in tree.children:
        return tree
    kept = tree[EFFECTS] if EFFECTS in tree.children else tree["posterior"]
    coords = {name: kept[name] for name in (CHAIN, DRAW)} | {OBSERVATION: np.asarray(spec.design.rows.kept)}
    draws = {name: tree[name].to_dataset() for name in ("posterior", EFFECTS) if name in tree.children}
    source = LogLikelihood(
        Fitted(spec, xr.DataTree.from_dict(draws), fit.engine), kept.sizes[CHAIN], kept.sizes[DRAW]
    )
    lazy: Any = indexing.LazilyIndexedArray(source)
    lazy = indexing.CopyOnWriteArray(lazy)
    variable = xr.Variable((CHAIN, DRAW, OBSERVATION), lazy)
    tree[LOG_LIKELIHOOD] = xr.DataTree(xr.Dataset({spec.response: variable}, coords=coords))
    return tree
