"""Numbers by row and draw, made piece by piece -> tidy frames, means, arrays."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.arguments import fits, share
from mixedbayes.designs.design import Encoded
from mixedbayes.errors import shown
from mixedbayes.models.names import CHAIN, DRAW, OBSERVATION
from mixedbayes.results.posterior.summary import STATISTICS
from mixedbayes.results.rows.predictor import Predictor
from mixedbayes.work import Work, somebody_watches

type OfRows = Callable[[slice, np.random.Generator], np.ndarray]

COLUMNS = STATISTICS[:4]


@dataclass(frozen=True, eq=False, slots=True)
class RowDraws:
    """Numbers for each row and draw, made piece by piece when they are needed.

    Attributes:
        name: What they are.
        predictor: Of which draws.
        rows: Of which rows.
        of: A slice of the rows and a source of randomness -> their numbers, shape (m, S).
    """

    name: str
    predictor: Predictor
    rows: Encoded
    of: OfRows

    def pieces(self, what: str) -> Iterable[tuple[slice, np.ndarray]]:
        """Piece by piece, with progress once it takes long; `what` stands beside the bar."""
        slices = self.predictor.pieces(len(self.rows))
        generators = dict(zip((at.start for at in slices), self.predictor.generators(slices), strict=True))

        def run(at: slice) -> tuple[slice, np.ndarray]:
            return at, self.of(at, generators[at.start])

        with Work(watched=somebody_watches()) as work:
            yield from work.each(what, run, slices)

    def table(self, conf_level: float) -> pd.DataFrame:
        """Mean, standard deviation and equal-tailed interval of each row; NaN for rows that lack a value."""
        share("conf_level", conf_level)
        numbers = np.full((len(self.rows.index), len(COLUMNS)), np.nan)
        for at, values in self.pieces("Predicting"):
            numbers[self.rows.places[at]] = summarise_rows(values, conf_level)
        return pd.DataFrame(numbers, columns=list(COLUMNS), index=self.rows.index)

    def means(self) -> np.ndarray:
        """The mean of each row, shape (rows,); NaN for rows that lack a value."""
        found = np.full(len(self.rows.index), np.nan)
        for at, values in self.pieces("Predicting"):
            found[self.rows.places[at]] = values.mean(axis=1)
        return found

    def array(self) -> xr.DataArray:
        """All of them, with dims chain, draw and observation.

        Raises:
            ArgumentError: They are too many to hold.
        """
        predictor, n = self.predictor, len(self.rows.index)
        check_size(predictor.S, "draws", n, ", or without draws=True")
        values = np.full((n, predictor.S), np.nan)
        for at, piece in self.pieces("Predicting"):
            values[self.rows.places[at]] = piece
        shape = (n, len(predictor.chains), len(predictor.draws))
        labels = self.rows.index.to_flat_index().to_numpy()
        return xr.DataArray(
            np.moveaxis(values.reshape(shape), 0, -1),
            dims=(CHAIN, DRAW, OBSERVATION),
            coords={CHAIN: predictor.chains, DRAW: predictor.draws, OBSERVATION: labels},
            name=self.name,
        )


def summarise_rows(values: np.ndarray, conf_level: float) -> np.ndarray:
    """Mean, standard deviation and equal-tailed interval over the last axis, (m, S) -> (m, 4); `values` may be reordered.

    Quantiles are NumPy's (linear interpolation).
    """
    S = values.shape[1]
    result = np.empty((len(values), 4))
    result[:, 0] = values.mean(axis=1)
    result[:, 1] = values.std(axis=1, ddof=1) if S > 1 else np.nan
    tail = (1 - conf_level) / 2
    places = np.array([tail, 1 - tail]) * (S - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, S - 1)
    ordered = np.partition(values, np.unique([below, above]), axis=1)
    share = places - below
    result[:, 2:] = ordered[:, below] * (1 - share) + ordered[:, above] * share
    return result


def check_size(S: int, what: str, rows: int, otherwise: str = "") -> None:
    """Refuse more numbers by row than can be held.

    Raises:
        ArgumentError: It says how much they are.
    """
    many = shown(S) if S > 10**18 else f"{S:,}"
    fits(S * rows, f"{many} {what} of {rows:,} rows", f"; ask for them in pieces of rows{otherwise}")
