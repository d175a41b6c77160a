"""A fit: draws and the model they are of, with its tables."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import pandas as pd
import xarray as xr

from mixedbayes.errors import ArgumentError, PartialDrawsWarning, listed, nearest
from mixedbayes.model.spec import ModelSpec
from mixedbayes.results import predict, storage, tables
from mixedbayes.results.diagnostics import describe_draws
from mixedbayes.results.predict import Kind, ResidualKind
from mixedbayes.results.predictor import Groups, NewLevels, Predictor, predictor_of
from mixedbayes.results.report import Report, build_report


@dataclass(frozen=True, eq=False)
class Fit:
    """What `mb.fit` returns; print it.

    Attributes:
        spec: The model as data: design, family, priors.
        idata: ArviZ's DataTree with posterior, sample_stats and observed_data. In the posterior are `b`
            (dim coefficient, the intercept at zero of all predictors), and for each block `sd_<group>`,
            `cor_<group>`, `r_<group>`. Where not all draws of `r_<group>` were kept, for want of memory, those
            that were are in a group `group_effects`, and their means and standard deviations (`r_<group>_sd`)
            over all draws in `group_effects_moments`.
    """

    spec: ModelSpec
    idata: xr.DataTree

    @property
    def posterior(self) -> xr.Dataset:
        """The draws."""
        return self.idata["posterior"].to_dataset()

    def tidy(
        self,
        effects: str | Sequence[str] = ("fixed", "ran_pars", "ran_vals"),
        conf_level: float = 0.95,
        robust: bool = False,
    ) -> pd.DataFrame:
        """One row a parameter, in broom.mixed's columns with underscores.

        Args:
            effects: Some of `fixed` (coefficients), `ran_pars` (standard deviations `sd__x` and
                correlations `cor__x.z` by group, and of the residual), `ran_vals` (each level's deviations).
            conf_level: Mass of the equal-tailed interval.
            robust: Median and scaled median absolute deviation in place of mean and standard deviation.

        Returns:
            Columns effect, component, group, level, term, estimate, std_error, conf_low, conf_high, rhat,
            ess_bulk, ess_tail, on the scale of the linear predictor.

        Raises:
            ArgumentError: An unknown effect, or a conf_level outside (0, 1).
        """
        return tables.tidy(
            self.spec,
            self._said("ran_vals" in (effects if isinstance(effects, Iterable) else ())),
            effects,
            conf_level,
            robust=robust,
        )

    def fixef(self, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
        """Population-level coefficients: estimate, std_error, conf_low, conf_high, indexed by term."""
        return tables.fixef(self.spec, self.idata, conf_level, robust=robust)

    def ranef(self, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
        """Each level's deviations from the population, indexed by group, level and term.

        `fit.ranef()["estimate"].loc["Subject"].unstack()` is lme4's `ranef(fit)$Subject`.
        """
        return tables.ranef(self.spec, self._said(), conf_level, robust=robust)

    def coef(self, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
        """Each level's coefficients, population plus deviation, indexed by group, level and term."""
        return tables.coef(self.spec, self._said(), conf_level, robust=robust)

    def varcorr(self, conf_level: float = 0.95, robust: bool = False) -> pd.DataFrame:
        """Variances and correlations as lme4's `as.data.frame(VarCorr(fit))` has them.

        Returns:
            Columns group, var1, var2, vcov (mean of the variance or covariance), sdcor (of the standard
            deviation or correlation), and std_error, conf_low, conf_high of sdcor.
        """
        return tables.varcorr(self.spec, self.idata, conf_level, robust=robust)

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
                distribution, which is standard normal if the model is right, for discrete responses too.
            conf_level: Mass of the equal-tailed interval.
            draws: All draws in place of their summaries; quantile residuals have none.
            seed: Of the places of discrete responses between their neighbours.

        Returns:
            Columns estimate, std_error, conf_low, conf_high (only estimate for quantiles), by row.

        Raises:
            ArgumentError: An unknown kind.
        """
        known = predict.RESIDUALS
        if kind not in known or (draws and kind == "quantile"):
            raise ArgumentError(
                f"kind is one of {listed(map(repr, known))}, the last without draws, not {kind!r}.{nearest(str(kind), known)}"
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

    def _predictor(
        self, groups: Groups = "all", new_levels: NewLevels = "sample", seed: int | None = None
    ) -> Predictor:
        return predictor_of(self.spec, self.idata, groups, new_levels, seed)

    def to_netcdf(self, path: str | PathLike[str]) -> None:
        """Save draws, data and model in one netCDF file, which `mb.load` reads back.

        Raises:
            FileError: The file cannot be written.
        """
        storage.save(self.spec, self.idata, path)

    def _said(self, concerned: bool = True) -> xr.DataTree:
        """The draws, after saying so where not all draws of the effects were kept."""
        partial = describe_draws(self.idata).partial
        if concerned and partial:
            warnings.warn(partial, PartialDrawsWarning, stacklevel=3)
        return self.idata

    @property
    def is_beyond_doubt(self) -> bool:
        """Whether draws are independent and many, so that nothing needs to be computed to trust them."""
        return describe_draws(self.idata).are_beyond_doubt

    @cached_property
    def report(self) -> Report:
        """What printing shows, as data: header, sections of rows, notes, complaints."""
        return build_report(self.spec, self.idata)

    def __str__(self) -> str:
        return self.report.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.report.html()
