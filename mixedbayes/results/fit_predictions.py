"""The verbs of a fit that predict: fitted values and new rows, residuals, simulated data."""

from typing import Any

import pandas as pd
import xarray as xr

from mixedbayes.errors import ArgumentError
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.summary import LEVEL, check_table
from mixedbayes.results.rows import predict
from mixedbayes.results.rows.predict import Kind, ResidualKind
from mixedbayes.results.rows.predictor import Groups, NewLevels


class FitPredictions(Fitted):
    """What the model predicts."""

    def predict(
        self,
        newdata: Any = None,
        kind: Kind = "mean",
        groups: Groups = "all",
        new_levels: NewLevels = "sample",
        conf_level: float = 0.95,
        draws: bool = False,
        seed: int | None = None,
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

        Returns:
            Columns estimate (the mean), std_error, conf_low, conf_high, and the rows of `newdata` under its
            index; NaN where one lacks a value. With `draws`, an array with dims chain, draw and observation.

        Raises:
            DataError: `newdata` lacks columns, or holds what the model has not learned.
            ArgumentError: An unknown option; or more draws than memory can hold.
        """
        check_table(conf_level, draws=draws)
        predict.check_kind(kind, predict.KINDS)
        predictor = self._predictor(groups, new_levels, seed)
        rows = predict.encode(self.spec, predictor, newdata, trials=kind == "response")
        found = predict.predictions(predictor, rows, kind)
        return found.array() if draws else found.table(conf_level)

    def residuals(
        self,
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
        predict.check_kind(kind, predict.RESIDUALS)
        if kind == "quantile" and (draws or conf_level != LEVEL):
            raise ArgumentError(
                "A quantile residual is one number for all draws, without an interval: leave draws and conf_level out."
            )
        predictor = self._predictor(seed=seed)
        if kind == "quantile":
            return predict.quantile_residuals(self.spec, predictor)
        found = predict.residuals(self.spec, predictor, kind)
        return found.array() if draws else found.table(conf_level)

    def simulate(
        self,
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
        predictor = self._predictor(groups, new_levels, seed)
        rows = predict.encode(self.spec, predictor, newdata, trials=True)
        return predict.simulate(self.spec, predictor, rows, n)
