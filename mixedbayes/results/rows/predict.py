"""Predictions, residuals and simulated responses, by row.

Each row's numbers are summaries of what every draw predicts for it; rows are worked on in pieces.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from mixedbayes.arguments import one_of, whole
from mixedbayes.designs.design import Encoded
from mixedbayes.designs.response import Others
from mixedbayes.designs.table import Missing
from mixedbayes.errors import ArgumentError, DesignWarning, counted, listed, warn
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.summary import LEVEL, check_table
from mixedbayes.results.rows.block_draws import NewLevels
from mixedbayes.results.rows.predictor import Groups, Predictor, predictor_of
from mixedbayes.results.rows.row_draws import OfRows, RowDraws, check_size

type Kind = Literal["mean", "linear", "response"]
type ResidualKind = Literal["response", "pearson", "quantile"]

KINDS = ("mean", "linear", "response")
RESIDUALS = ("response", "pearson", "quantile")


def predict(  # noqa: PLR0913, PLR0917  # options that users pass by name
    fit: Fitted,
    newdata: Any = None,
    kind: Kind = "mean",
    groups: Groups = "all",
    new_levels: NewLevels = "sample",
    conf_level: float = 0.95,
    draws: bool = False,
    seed: int | None = None,
    parameter: str | None = None,
) -> pd.DataFrame | xr.DataArray:
    """What the model predicts, for the rows it was fitted to or for new ones.

    Args:
        newdata: Any table that `mb.fit` takes, with the columns that the prediction needs (not the response);
            what `scale`, `poly`, splines and factors learned stays as it was. None for the fit's own rows.
        kind: `"mean"`, the mean of the response (the probability of success, where it counts successes);
            `"linear"`, the linear predictor; `"response"`, new responses, with their own noise.
        groups: Which group effects take part: `"all"`, None, or those of some groups, `["school"]`.
        new_levels: What the effects of a level are that the fit has not seen: `"sample"` draws them from the
            population, all effects of the level jointly, once for all its rows; `"population"` takes them as
            zero; `"error"` refuses the level.
        conf_level: Mass of the equal-tailed interval.
        draws: All draws in place of their summaries.
        seed: The same seed gives the same new levels and responses.
        parameter: A parameter of the family, `"sigma"`: itself in place of the mean of the response, or its linear
            predictor.

    Returns:
        Columns estimate (the mean), std_error, conf_low, conf_high, and the rows of `newdata` under its
        index; NaN where one lacks a value. With `draws`, an array with dims chain, draw and observation.

    Raises:
        DataError: `newdata` lacks columns, or holds what the model has not learned.
        ArgumentError: An unknown option; or more draws than memory can hold.
    """
    check_table(conf_level, draws=draws)
    one_of("kind", kind, KINDS)
    name = checked_parameter(fit, parameter, kind)
    predictor = predictor_of(fit, groups, new_levels, seed)
    rows = encode(predictor, newdata, noise=kind == "response")
    found = predictions(predictor, rows, kind) if name is None else of_parameter(predictor, rows, kind, name)
    return found.array() if draws else found.table(conf_level)


def residuals(
    fit: Fitted,
    kind: ResidualKind = "response",
    conf_level: float = 0.95,
    draws: bool = False,
    seed: int | None = None,
) -> pd.DataFrame | xr.DataArray:
    """What the model leaves unexplained of each row.

    Args:
        kind: `"response"`, the response less its mean; `"pearson"`, that over the standard deviation of the
            response; `"quantile"`, the normal score of the response's place in its posterior predictive
            distribution, near standard normal if the model is right, for discrete responses too.
        conf_level: Mass of the equal-tailed interval; quantile residuals have none.
        draws: All draws in place of their summaries; quantile residuals have none.
        seed: Of the places of discrete responses between their neighbours.

    Returns:
        Columns estimate, std_error, conf_low, conf_high (only estimate for quantiles), by row.

    Raises:
        ArgumentError: An unknown kind; or draws or intervals of quantile residuals, which have none.
    """
    check_table(conf_level, draws=draws)
    one_of("kind", kind, RESIDUALS)
    if kind == "quantile" and (draws or conf_level != LEVEL):
        raise ArgumentError(
            "A quantile residual is one number for all draws, without an interval: leave draws and conf_level out."
        )
    predictor = predictor_of(fit, seed=seed)
    if kind == "quantile":
        return _quantile_residuals(predictor)
    found = _residuals(predictor, kind)
    return found.array() if draws else found.table(conf_level)


def simulate(
    fit: Fitted,
    n: int = 1,
    newdata: Any = None,
    groups: Groups = "all",
    new_levels: NewLevels = "sample",
    seed: int | None = None,
) -> pd.DataFrame:
    """N data sets of responses from the posterior predictive distribution, columns sim_1, sim_2, ...

    Args:
        n: How many; each is of another draw of the parameters.
        newdata: As in `predict`.
        groups: As in `predict`.
        new_levels: As in `predict`.
        seed: The same seed gives the same data.

    Returns:
        A row for each row; levels where the response has levels.

    Raises:
        DataError, ArgumentError: As in `predict`.
    """
    n = whole("n", n, least=1)
    predictor = predictor_of(fit, groups, new_levels, seed)
    rows = encode(predictor, newdata, noise=True)
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
    return _as_observed(fit, pd.DataFrame(numbers, index=rows.index, columns=names))


def _as_observed(fit: Fitted, numbers: pd.DataFrame) -> pd.DataFrame:
    """Levels in place of their numbers, where the response has levels."""
    levels = fit.spec.design.response.levels
    if levels is None:
        return numbers
    labels = [str(level) if isinstance(level, Others) else level for level in levels]
    columns = {
        name: pd.Categorical.from_codes(column.fillna(-1).astype(int), categories=labels)
        for name, column in numbers.items()
    }
    return pd.DataFrame(columns, index=numbers.index)


def encode(predictor: Predictor, newdata: Any, *, noise: bool, missing: Missing = "drop") -> Encoded:
    """The rows to predict: the fit's own, or new ones; with what the noise of responses depends on, if that is wanted.

    Raises:
        DataError: The new data do not fit the model, or have levels that are to be refused.
    """
    design = predictor.spec.design
    if newdata is None:
        return design.encoded
    additions = predictor.likelihood.additions if noise else ()
    rows = design.encode(newdata, missing, groups=tuple(predictor.blocks), additions=additions)
    predictor.check(rows)
    if rows.missing:
        warn(f"The new data lack values ({_gaps(rows)}): predictions there are NaN.", DesignWarning)
    return rows


def predictions(predictor: Predictor, rows: Encoded, kind: Kind) -> RowDraws:
    """What each draw predicts for each row.

    Raises:
        ArgumentError: An unknown kind.
    """
    one_of("kind", kind, KINDS)
    of: dict[str, OfRows] = {
        "linear": lambda at, _: predictor.eta(rows.part(at)),
        "mean": lambda at, _: predictor.mean(rows.part(at)),
        "response": lambda at, rng: predictor.response(rows.part(at), rng),
    }
    return RowDraws(kind, predictor, rows, of[kind])


def _residuals(predictor: Predictor, kind: ResidualKind) -> RowDraws:
    """The response less its mean: as it is, or over its standard deviation.

    Responses that count successes are taken as a part of their trials.
    """
    rows, y = _own_rows(predictor)
    likelihood = predictor.likelihood

    def response(at: slice, _: np.random.Generator) -> np.ndarray:
        trials = np.ones(()) if rows.trials is None else rows.trials[at, None]
        with np.errstate(invalid="ignore"):  # no trial, no residual
            return y[at, None] / trials - predictor.mean(rows.part(at))

    def pearson(at: slice, _: np.random.Generator) -> np.ndarray:
        arguments = predictor.values(rows.part(at))
        with np.errstate(invalid="ignore", divide="ignore"):
            return (y[at, None] - likelihood.mean(arguments)) / np.sqrt(predictor.variance(arguments))

    return RowDraws(f"{kind} residual", predictor, rows, response if kind == "response" else pearson)


def _quantile_residuals(predictor: Predictor) -> pd.DataFrame:
    """Normal scores of each response's place in its posterior predictive distribution.

    Of a discrete response the place is drawn between the probabilities of less and of as much. Source: Dunn &
    Smyth (1996), Randomized quantile residuals.
    """
    rows, y = _own_rows(predictor)
    likelihood = predictor.likelihood

    def place(at: slice, rng: np.random.Generator) -> np.ndarray:
        arguments = predictor.values(rows.part(at))
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


def checked_parameter(fit: Fitted, parameter: str | None, kind: Kind) -> str | None:
    """The parameter of the family that is asked for.

    Raises:
        ArgumentError: There is none of that name, or it has nothing of that kind.
    """
    if parameter is None:
        return None
    known = fit.spec.of_family
    one_of("parameter", parameter, known)
    if kind == "response":
        raise ArgumentError(
            f"A response is of the whole model: parameter={parameter!r} goes with kind='mean' or 'linear'."
        )
    if kind == "linear" and parameter not in fit.spec.predictors:
        raise ArgumentError(
            f"{parameter} has no linear predictor: it is the same in every row. kind='mean' has its value."
        )
    return parameter


def of_parameter(predictor: Predictor, rows: Encoded, kind: Kind, name: str) -> RowDraws:
    """A parameter of the family, or its linear predictor."""

    def itself(at: slice, _: np.random.Generator) -> np.ndarray:
        part = rows.part(at)
        return np.array(np.broadcast_to(predictor.values(part)[name], (len(part), predictor.S)))

    def linear(at: slice, _: np.random.Generator) -> np.ndarray:
        return predictor.eta(rows.part(at), name)

    return RowDraws(name, predictor, rows, linear if kind == "linear" else itself)


def _own_rows(predictor: Predictor) -> tuple[Encoded, np.ndarray]:
    """The fit's own rows and their responses."""
    design = predictor.spec.design
    return design.encoded, design.response.values  # noqa: PD011


def _responses(predictor: Predictor, rows: Encoded) -> np.ndarray:
    """One response for each row and draw, shape (rows, S); NaN for rows that lack a value."""
    numbers = np.full((len(rows.index), predictor.S), np.nan)
    drawn = RowDraws("response", predictor, rows, lambda at, rng: predictor.response(rows.part(at), rng))
    for at, values in drawn.pieces("Simulating"):
        numbers[rows.places[at]] = values
    return numbers


def _gaps(rows: Encoded) -> str:
    return listed(f"{name} in {counted(count, 'row')}" for name, count in rows.missing.items())
