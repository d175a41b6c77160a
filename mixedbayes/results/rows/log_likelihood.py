"""The log density of each observation at each draw, computed when it is read.

ArviZ finds it in the group `log_likelihood` of a fit's `idata`; it takes no memory before.
"""

from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from mixedbayes.models.names import CHAIN, DRAW, OBSERVATION
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.posterior.quantities import EFFECTS, MOMENTS
from mixedbayes.results.rows.predictor import Predictor, predictor_of

LOG_LIKELIHOOD = "log_likelihood"


class LogLikelihood(BackendArray):
    """An array with dims chain, draw and observation, computed for those observations that are asked for.

    Source: xarray's "How to add a new backend", section on lazy loading.
    """

    def __init__(self, spec: ModelSpec, idata: xr.DataTree, chains: int, draws: int) -> None:
        self.spec, self.idata = spec, idata
        self.shape = (chains, draws, spec.design.n)
        self.dtype = np.dtype(float)

    @cached_property
    def predictor(self) -> Predictor:
        """The draws, as rows use them."""
        return predictor_of(self.spec, self.idata)

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        chain, draw, observation = key
        places = np.arange(self.shape[2])[observation]
        rows = self.spec.design.only(np.atleast_1d(places))
        values = log_likelihood_of(self.predictor, rows.encoded, rows.response.values)
        array = np.moveaxis(values.reshape(-1, *self.shape[:2]), 0, -1)[chain][..., draw, :]
        return array if np.ndim(places) else array[..., 0]


def log_likelihood_of(predictor: Predictor, rows: Any, y: np.ndarray) -> np.ndarray:
    """The log density of each row's response at each draw, shape (m, S)."""
    values = np.empty((len(y), predictor.S))
    for at in predictor.pieces(len(y)):
        values[at] = predictor.log_likelihood(rows, y, at)
    return values


def add_log_likelihood(spec: ModelSpec, idata: xr.DataTree) -> None:
    """Give the tree the group `log_likelihood`, if draws of all that it needs were kept."""
    kept = idata[EFFECTS] if EFFECTS in idata.children else idata["posterior"]
    if MOMENTS in idata.children and EFFECTS not in idata.children:
        return
    if LOG_LIKELIHOOD in idata.children:
        return
    coords = {name: kept[name] for name in (CHAIN, DRAW)} | {OBSERVATION: np.asarray(spec.design.rows.kept)}
    draws = {name: idata[name].to_dataset() for name in ("posterior", EFFECTS) if name in idata.children}
    source = LogLikelihood(spec, xr.DataTree.from_dict(draws), kept.sizes[CHAIN], kept.sizes[DRAW])
    lazy: Any = indexing.LazilyIndexedArray(source)
    lazy = indexing.CopyOnWriteArray(lazy)
    variable = xr.Variable((CHAIN, DRAW, OBSERVATION), lazy)
    idata[LOG_LIKELIHOOD] = xr.DataTree(xr.Dataset({spec.response: variable}, coords=coords))
