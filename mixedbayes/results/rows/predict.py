"""Predictions, residuals and simulated responses, by row: draws of a predictor -> tidy frames.

Each row's numbers are summaries of what every draw predicts for it; rows are worked on in pieces.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from mixedbayes.designs.design import Encoded
from mixedbayes.designs.response import Others
from mixedbayes.designs.table import Missing
from mixedbayes.errors import (
    ArgumentError,
    DesignWarning,
    counted,
    is_one_of,
    listed,
    nearest,
    shown,
    warn,
    whole_number,
)
from mixedbayes.models.spec import CHAIN, DRAW, OBSERVATION, ModelSpec
from mixedbayes.results.posterior.summary import STATISTICS, check_level
from mixedbayes.results.rows.predictor import Predictor
from mixedbayes.work import Work, somebody_watches

type Kind = Literal["mean", "linear", "response"]
type ResidualKind = Literal["response", "pearson", "quantile"]
type OfRows = Callable[[slice, np.random.Generator], np.ndarray]

KINDS = ("mean", "linear", "response")
RESIDUALS = ("response", "pearson", "quantile")
COLUMNS = STATISTICS[:4]

MAX_DRAWS = 2**30
"""Bytes of draws that are returned at once."""


@dataclass(frozen=True, eq=False, slots=True)
class RowDraws:
    """Numbers for each row and draw, made piece by piece when they are needed.

    Attributes:
        name: What they are.
        predictor: Of which draws.
        rows: Of which rows.
        of: A slice of rows and a source of randomness -> their numbers, shape (m, S).
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
        check_level(conf_level)
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


def encode(
    spec: ModelSpec, predictor: Predictor, newdata: Any, *, trials: bool, missing: Missing = "drop"
) -> Encoded:
    """The rows to predict: the fit's own, or new ones.

    Raises:
        DataError: The new data do not fit the model, or have levels that are to be refused.
    """
    if newdata is None:
        return spec.design.encoded
    additions = ("trials",) if trials else ()
    rows = spec.design.encode(newdata, missing, groups=tuple(predictor.blocks), additions=additions)
    predictor.check(rows)
    if rows.missing:
        warn(f"The new data lack values ({_gaps(rows)}): predictions there are NaN.", DesignWarning)
    return rows


def predictions(predictor: Predictor, rows: Encoded, kind: Kind) -> RowDraws:
    """What each draw predicts for each row.

    Raises:
        ArgumentError: An unknown kind.
    """
    check_kind(kind, KINDS)
    of: dict[str, OfRows] = {
        "linear": lambda at, _: predictor.eta(rows, at),
        "mean": lambda at, _: predictor.mean(rows, at),
        "response": lambda at, rng: predictor.response(rows, at, rng),
    }
    return RowDraws(kind, predictor, rows, of[kind])


def residuals(spec: ModelSpec, predictor: Predictor, kind: ResidualKind) -> RowDraws:
    """The response less its mean: as it is, or over its standard deviation.

    Responses that count successes are taken as a part of their trials.
    """
    rows, y = spec.design.encoded, spec.design.response.values  # noqa: PD011
    likelihood = predictor.likelihood

    def response(at: slice, _: np.random.Generator) -> np.ndarray:
        trials = np.ones(()) if rows.trials is None else rows.trials[at, None]
        with np.errstate(invalid="ignore"):  # no trial, no residual
            return y[at, None] / trials - predictor.mean(rows, at)

    def pearson(at: slice, _: np.random.Generator) -> np.ndarray:
        trials = None if rows.trials is None else rows.trials[at]
        arguments = predictor.arguments(predictor.eta(rows, at), trials)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (y[at, None] - likelihood.mean(arguments)) / np.sqrt(likelihood.variance(arguments))

    return RowDraws(f"{kind} residual", predictor, rows, response if kind == "response" else pearson)


def quantile_residuals(spec: ModelSpec, predictor: Predictor) -> pd.DataFrame:
    """Normal scores of each response's place in its posterior predictive distribution.

    Of a discrete response the place is drawn between the probabilities of less and of as much. Source: Dunn &
    Smyth (1996), Randomized quantile residuals.
    """
    rows, y = spec.design.encoded, spec.design.response.values  # noqa: PD011
    likelihood = predictor.likelihood

    def place(at: slice, rng: np.random.Generator) -> np.ndarray:
        trials = None if rows.trials is None else rows.trials[at]
        arguments = predictor.arguments(predictor.eta(rows, at), trials)
        upper = likelihood.cdf(y[at, None], arguments).mean(axis=1)
        if not likelihood.is_discrete:
            return upper
        lower = likelihood.cdf(y[at, None] - 1, arguments).mean(axis=1)
        return lower + rng.random(len(lower)) * (upper - lower)

    places = np.concatenate(
        [piece for _, piece in RowDraws("place", predictor, rows, place).pieces("Predicting")]
    )
    least = np.finfo(float).eps / 2  # 8 standard deviations
    scores = ndtri(np.clip(places, least, 1 - least))
    return pd.DataFrame({"estimate": scores}, index=rows.index)


def simulate(spec: ModelSpec, predictor: Predictor, rows: Encoded, n: int) -> pd.DataFrame:
    """N data sets, each from one of n draws that are spread over the posterior; columns sim_1, sim_2, ...

    Raises:
        ArgumentError: n is no number of data sets, or they are too many to hold.
    """
    if (whole_number(n) or 0) < 1:
        raise ArgumentError(f"n is a whole number of at least 1, not {shown(n)}.")
    n = int(n)
    m = len(rows.index)
    check_size(n, "data sets", m)
    rng = np.random.default_rng(predictor.seed.spawn(1)[0])
    places = np.sort(
        rng.permutation(predictor.S)[:n] if n <= predictor.S else rng.integers(predictor.S, size=n)
    )
    numbers = np.full((m, n), np.nan)
    for again, start in enumerate(range(0, n, predictor.S)):  # of no more parameters at once than there are
        some = slice(start, min(start + predictor.S, n))
        numbers[:, some] = _responses(predictor.some(places[some], again), rows)
    names = [f"sim_{i + 1}" for i in range(n)]
    levels = spec.design.response.levels
    if levels is None:
        return pd.DataFrame(numbers, index=rows.index, columns=names)
    labels = [str(level) if isinstance(level, Others) else level for level in levels]
    codes = np.where(np.isnan(numbers), -1, numbers).astype(int)
    columns = {
        name: pd.Categorical.from_codes(column, categories=labels)
        for name, column in zip(names, codes.T, strict=True)
    }
    return pd.DataFrame(columns, index=rows.index)


def _responses(predictor: Predictor, rows: Encoded) -> np.ndarray:
    """One response for each row and draw, shape (rows, S); NaN for rows that lack a value."""
    numbers = np.full((len(rows.index), predictor.S), np.nan)
    drawn = RowDraws("response", predictor, rows, lambda at, rng: predictor.response(rows, at, rng))
    for at, values in drawn.pieces("Simulating"):
        numbers[rows.places[at]] = values
    return numbers


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


def check_kind(kind: str, known: Sequence[str]) -> None:
    """Refuse an unknown kind."""
    if not is_one_of(kind, known):
        raise ArgumentError(
            f"kind is one of {listed(map(repr, known))}, not {shown(kind)}.{nearest(shown(kind), known)}"
        )


def check_size(S: int, what: str, rows: int, otherwise: str = "") -> None:
    """Refuse more numbers than can be held.

    Raises:
        ArgumentError: It says how much they are.
    """
    size = 8 * S * rows
    if size > MAX_DRAWS:
        much = f"are {size / 2**30:,.1f} GiB" if size < 2**60 else "do not fit into any memory"
        raise ArgumentError(
            f"{shown(S) if S > 10**18 else f'{S:,}'} {what} of {rows:,} rows {much}; ask for them in pieces of rows{otherwise}."
        )


def _gaps(rows: Encoded) -> str:
    return listed(f"{name} in {counted(count, 'row')}" for name, count in rows.missing.items())
