"""Mixed models as scikit-learn's estimators: `fit`, `predict`, `score`, and all that is built on them.

cross_val_score(mb.sklearn.MixedModel("y ~ x + (1 | g)"), data, data["y"], groups=data["g"], cv=GroupKFold(5))
"""

from collections.abc import Collection, Mapping
from typing import Any, Self

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.sparse import issparse

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.metrics import r2_score
    from sklearn.utils import Tags, check_array, check_consistent_length, check_random_state, column_or_1d
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "mixedbayes.sklearn needs scikit-learn 1.6 or later: pip install 'mixedbayes[sklearn]'."
    ) from error

from mixedbayes.arguments import is_one_of
from mixedbayes.designs.columns import alike
from mixedbayes.designs.design import Design
from mixedbayes.designs.response import additions_of
from mixedbayes.designs.table import Missing, open_table, read_columns, unknown_columns
from mixedbayes.driver import MODEL_OPTIONS, fit
from mixedbayes.errors import ArgumentError, DataError, listed, shown
from mixedbayes.inference.engine import NAMES
from mixedbayes.language.expressions import Name
from mixedbayes.language.formula import Response
from mixedbayes.language.parse import parse
from mixedbayes.models.families import Family
from mixedbayes.models.priors import Prior
from mixedbayes.results.rows.block_draws import NewLevels
from mixedbayes.results.rows.predict import encode, predictions
from mixedbayes.results.rows.predictor import Groups, predictor_of

OPTIONS = (*MODEL_OPTIONS, *NAMES, "formula", "data")
"""Of `mb.fit`, which no parameter of a family is called."""

MAX_SEED = 2**31 - 1
"""Of the seeds drawn: what `RandomState.randint` can draw on every platform."""


class MixedModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """A mixed model for cross-validation, pipelines and searches; `fit_` is the fit with all its tables.

    A formula with a response, `"y ~ x + (1 | g)"`, is applied to a table: columns are found by name, in any order,
    and others are ignored. A formula without one, `"~ x + (1 | g)"`, has `y` as its response and keeps
    scikit-learn's rule that `X` has the same columns in the same order as it had in `fit`. The columns of
    an array are named `x0`, `x1`, ... The left side is one column, perhaps `y['level']` or `y | trials(n)`: what is
    computed on the left, as log(y), would be predicted on a scale that scorers do not know. Two levels are predicted by
    the probability of the last, as a regressor does; `score` knows what that means for a response of texts, and
    scikit-learn's own scorers need it as 0 and 1.

    Args:
        formula: As in lme4. The default is a linear regression on all columns of `X`.
        family: Its name or a record of your own; see `mb.model`.
        link: Of the mean, or of several parameters by name; None for the family's own.
        predictors: Formulas of other parameters of the family by name, `{"sigma": "~ x + (1 | g)"}`; those left out
            are the same in every row.
        priors: By address, `{"b[x]": "normal(0, 1)"}`.
        env: Functions and values that the formula may use beside the published ones.
        missing: `"error"` refuses rows with gaps; `"drop"` fits and scores without them, and predicts NaN for them.
        groups: Which group effects take part in predictions: `"all"`, None, or those of some groups, `["school"]`.
        new_levels: What the effects of a level are that the fit has not seen: `"sample"` draws them from the
            population, so that a prediction is the mean over what the level may be like; `"population"` takes them
            as zero; `"error"` refuses the level.
        method: As of `Model.fit`, and so the following ones.
        sampler: Of NUTS.
        chains: Independent chains.
        draws: Kept draws of each chain; None for as many as `Model.fit` takes.
        tune: Adaptation steps of each chain of NUTS.
        target_accept: Mean acceptance probability that NUTS aims at.
        cores: Processors at once, at most; 1 goes well with `n_jobs` of whatever runs the estimator.
        memory: GiB for draws of group effects; None for 1.
        progress: Whether to show a progress bar.
        random_state: A whole number is the seed of `mb.fit`; None or a `numpy.random.RandomState` draws one.

    Attributes:
        fit_: The `Fit`: print it, or take `.tidy()`, `.ranef()`, `.loo()`, `.predict(kind=...)`.
        seed_: The seed of the draws, and of unseen levels: an estimator always predicts the same for the same rows.
        n_features_in_: The number of columns of `X`, without the response if it is one of them.
        feature_names_in_: Their names, shape (n_features_in_,); not there after an array.
    """

    def __init__(
        self,
        formula: str = "~ .",
        family: str | Family = "gaussian",
        *,
        link: str | Mapping[str, str] | None = None,
        predictors: Mapping[str, str] | None = None,
        priors: Mapping[str, str | Prior] | None = None,
        env: Mapping[str, Any] | None = None,
        missing: Missing = "error",
        groups: Groups = "all",
        new_levels: NewLevels = "sample",
        method: str = "auto",
        sampler: str | None = None,
        chains: int = 4,
        draws: int | None = None,
        tune: int | None = None,
        target_accept: float | None = None,
        cores: int | None = None,
        memory: float | None = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.formula = formula
        self.family = family
        self.link = link
        self.predictors = predictors
        self.priors = priors
        self.env = env
        self.missing = missing
        self.groups = groups
        self.new_levels = new_levels
        self.method = method
        self.sampler = sampler
        self.chains = chains
        self.draws = draws
        self.tune = tune
        self.target_accept = target_accept
        self.cores = cores
        self.memory = memory
        self.progress = progress
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw from the posterior.

        Args:
            X: A pandas, polars or Arrow table, or a mapping of columns, with the columns of the formula; or an array
                of numbers, shape (n, p).
            y: The response, shape (n,); it takes the place of a column of its name in `X`. None if it is that column.

        Returns:
            The estimator, fitted.

        Raises:
            MixedBayesError: What was passed does not make a model; see `mb.fit`. It is a `ValueError`.
        """
        table = self._table(X, reset=True)
        formula = self._two_sided(table.columns)
        predictors = checked_predictors(self.predictors)
        response = one_column(parse(formula, table.columns, predictors).response)
        table = with_response(table, response, y, self.missing)
        seed = seed_of(self.random_state)
        self.fit_ = fit(
            formula,
            table.to_native(),
            self.family,
            link=self.link,
            priors=self.priors,
            missing=self.missing,
            env=self.env,
            seed=seed,
            **{name: getattr(self, name) for name in NAMES if name != "seed"},
            **predictors,
        )
        self.seed_ = seed
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The posterior mean of each row's mean: of the response, or of its probability where it has two levels or counts successes.

        Args:
            X: As in `fit`, with the columns of the formula's right side.

        Returns:
            Shape (m,); NaN for rows that lack a value, with `missing="drop"`.

        Raises:
            DataError: `X` lacks columns or values, or holds what the model has not learned.
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        predictor = predictor_of(self.fit_, self.groups, self.new_levels, self.seed_)
        rows = encode(predictor, table.to_native(), noise=False, missing=self.missing)
        return predictions(predictor, rows, "mean").means()

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """R² of the predictions: 1 - sum (y - predicted)² / sum (y - mean y)².

        Of two levels y is 0 and 1, and of trials it is the share of successes. R² looks at means alone;
        `fit_.loo()`, `fit_.kfold()` and `fit_.bayes_r2()` say how well whole distributions are predicted.

        Args:
            X: As in `predict`, and with `y=None` the response.
            y: The response, shape (m,).
            sample_weight: Shape (m,).

        Returns:
            R² over the rows that lack nothing; 1 at best.

        Raises:
            DataError: As `predict`; or the response is not what the model has learned.
        """
        check_is_fitted(self)
        table, design = self._table(X, reset=False), self.fit_.spec.design
        table = with_response(table, one_column(design.formula.response), y, self.missing)
        truth, predicted = observed(design, table, self.missing), self.predict(X)
        there = ~(np.isnan(truth) | np.isnan(predicted))
        check_consistent_length(truth, sample_weight)
        weights = None if sample_weight is None else column_or_1d(sample_weight)[there]
        return float(r2_score(truth[there], predicted[there], sample_weight=weights))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self._is_one_sided
        tags.input_tags.allow_nan = is_one_of(self.missing, ("drop",))
        return tags

    @property
    def _is_one_sided(self) -> bool:
        return isinstance(self.formula, str) and self.formula.lstrip().startswith("~")

    def _two_sided(self, columns: Collection[str]) -> str:
        """The formula with a response, whose name is that of no column."""
        name = "y"
        while name in columns:
            name += "_"
        return f"{name} {self.formula.lstrip()}" if self._is_one_sided else self.formula

    def _table(self, X: Any, *, reset: bool) -> nw.DataFrame[Any]:
        """`X` as a table with names, after scikit-learn's checks; learning names and their number, or comparing with them."""
        if has_names(X) and (reset or hasattr(self, "feature_names_in_")):
            table = open_table(X)
            if self._is_one_sided:
                validate_data(self, table.to_native(), reset=reset, skip_check_array=True)
            elif reset:
                self._learn_names(table)
            return table
        array = validate_data(
            self,
            X,
            reset=reset,
            ensure_all_finite=True if is_one_of(self.missing, ("error",)) else "allow-nan",
            ensure_min_samples=2 if reset else 1,
        )
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(array.shape[1])])
        return open_table(pd.DataFrame(array, columns=names))

    def _learn_names(self, table: nw.DataFrame[Any]) -> None:
        """All columns are features but those that only the left side uses."""
        formula = parse(self.formula, table.columns, checked_predictors(self.predictors))
        left = set(formula.names()) - set(formula.names(response=False))
        features = [name for name in table.columns if name not in left]
        self.n_features_in_, self.feature_names_in_ = len(features), np.array(features, dtype=object)


def checked_predictors(predictors: Any) -> dict[str, Any]:
    """The formulas of other parameters by name.

    Raises:
        ArgumentError: They are no mapping, or one goes by the name of an option of the fit.
    """
    if predictors is None:
        return {}
    if not isinstance(predictors, Mapping):
        raise ArgumentError(
            f"predictors is a mapping from parameters to formulas, {{'sigma': '~ x'}}, not {shown(predictors)}."
        )
    reserved = [name for name in predictors if name in OPTIONS]
    if reserved:
        raise ArgumentError(
            f"predictors has {reserved[0]!r}, which is no parameter of a family; give it by itself."
        )
    return dict(predictors)


def has_names(X: Any) -> bool:
    """Whether it is a table whose columns have texts for names, and not an array."""
    if isinstance(X, Mapping):
        return not issparse(X)  # one of SciPy's formats is a mapping
    if isinstance(X, pd.DataFrame):
        return all(isinstance(name, str) for name in X.columns)
    return nw.dependencies.is_into_dataframe(X) or hasattr(X, "collect")  # a lazy one is refused with advice


def one_column(response: Response) -> str:
    """The column that is the response.

    Raises:
        ArgumentError: It is computed.
    """
    if isinstance(response.expression, Name):
        return response.expression.name
    raise ArgumentError(
        f"The left side of MixedModel's formula is one column, not {response}: compute it before, or wrap the model as "
        "TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)."
    )


def with_response(table: nw.DataFrame[Any], name: str, y: Any, missing: Missing) -> nw.DataFrame[Any]:
    """The table with y as the column `name`, row by row in order, whatever their indices.

    Raises:
        ArgumentError: There is neither y nor such a column.
        ValueError: y is not one value for each row; or numbers that are not finite.
    """
    if y is None:
        if name not in table.columns:
            raise ArgumentError(
                f"This MixedModel estimator requires y to be passed, but the target y is None, and X has no column {name!r}."
            )
        return table
    check_consistent_length(table, y)
    return table.with_columns(as_series(y, name, table, missing).alias(name))


def as_series(y: Any, name: str, table: nw.DataFrame[Any], missing: Missing) -> nw.Series[Any]:
    """The response as a column of the table's library.

    Raises:
        DataError: Categories of another library, where their order would be lost.
    """
    series = nw.from_native(y, allow_series=True, pass_through=True)
    if isinstance(series, nw.DataFrame) and len(series.columns) == 1:
        series = next(series.iter_columns())
    if not isinstance(series, nw.Series):
        finite = True if is_one_of(missing, ("error",)) else "allow-nan"
        values = column_or_1d(y, warn=True)
        values = check_array(values, ensure_2d=False, dtype=None, ensure_all_finite=finite, input_name="y")
        return nw.new_series(name, values.tolist(), backend=table.implementation)
    if series.implementation is table.implementation:
        return series
    if isinstance(series.dtype, nw.Categorical | nw.Enum):
        raise DataError(
            f"y holds categories of {series.implementation}, whose order would be lost in a table of {table.implementation}: "
            "pass both from one library."
        )
    return nw.new_series(name, series.to_list(), backend=table.implementation)


def observed(design: Design, table: nw.DataFrame[Any], missing: Missing) -> np.ndarray:
    """The response of new rows on the scale of predictions, shape (m,): numbers, 0 and 1, or shares; NaN where it lacks.

    Raises:
        DataError: It is not there, or of another kind than the model's.
    """
    response = design.formula.response
    name = one_column(response)
    needed = [column for column in (name, *response.trial_names) if column in design.data]
    absent = [column for column in needed if column not in table.columns]
    if absent:
        raise unknown_columns(absent, table.columns, ())
    columns, rows = read_columns(table, needed, missing)
    columns = alike(columns, design.data[needed])
    values, levels = columns[name], design.response.levels
    result = np.full(rows.total, np.nan)
    if levels is None:
        trials = additions_of(response, columns, design.env, ("trials",)).get("trials")
        with np.errstate(invalid="ignore"):  # no trial, no share
            result[rows.kept] = values.to_numpy(dtype=float) / (1.0 if trials is None else trials)
        return result
    new = [] if response.level is not None else sorted({str(x) for x in values if x not in levels})
    if new:
        raise DataError(f"The response {name} has values that the model has not seen: {listed(new)}.")
    result[rows.kept] = (values == levels[-1]).to_numpy(dtype=float)
    return result


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """A seed: the whole number itself, or one drawn from scikit-learn's other sources of randomness."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(MAX_SEED))
