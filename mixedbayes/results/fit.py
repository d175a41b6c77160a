"""A fit: draws and the model they are of, with its tables."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from mixedbayes.errors import (
    ArgumentError,
    ConvergenceWarning,
    PartialDrawsWarning,
    listed,
    nearest,
    warn,
)
from mixedbayes.model.spec import ModelSpec
from mixedbayes.results import elpd, predict, replicates, storage, tables, variance
from mixedbayes.results.diagnostics import describe_draws
from mixedbayes.results.elpd import Elpd
from mixedbayes.results.engine import Engine
from mixedbayes.results.log_likelihood import add_log_likelihood
from mixedbayes.results.predict import Kind, ResidualKind
from mixedbayes.results.predictor import Groups, NewLevels, Predictor, predictor_of
from mixedbayes.results.report import Report, build_report

if TYPE_CHECKING:
    from arviz_plots import PlotCollection


@dataclass(frozen=True, eq=False)
class Fit:
    """What `mb.fit` returns; print it.

    Attributes:
        spec: The model as data: design, family, priors.
        idata: ArviZ's DataTree with posterior, sample_stats and observed_data. In the posterior are `b`
            (dim coefficient, the intercept at zero of all predictors), and for each block `sd_<group>`,
            `cor_<group>`, `r_<group>`. Where not all draws of `r_<group>` were kept, for want of memory, those
            that were are in a group `group_effects`, and their means and standard deviations (`r_<group>_sd`)
            over all draws in `group_effects_moments`. `log_likelihood` is computed when it is read.
        engine: How to draw again, from other models or fewer rows.
    """

    spec: ModelSpec
    idata: xr.DataTree
    engine: Engine

    def __post_init__(self) -> None:
        add_log_likelihood(self.spec, self.idata)

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

    def loo(self, groups: str | None = None, reloo: bool = False, seed: int | None = None) -> Elpd:
        """Leave-one-out cross-validation: how well each row is predicted from the others, or each group from the others.

        Args:
            groups: A group of the model, or a factor among its columns: leave out one level at a time, and predict
                its rows jointly. None leaves out one row at a time.
            reloo: Whether rows whose importance weights are not to be trusted are left out by fitting the model
                again without each of them.
            seed: Of what is drawn again.

        Returns:
            The expected log predictive density with its standard error and the Pareto k; `.pointwise` by row (or
            group) and `.table`. Rows are left out by Pareto-smoothed importance sampling. Groups in closed form
            where the model is Gaussian given its variances; else the model is fitted again without each of them.

        Raises:
            ArgumentError: An unknown group.
        """
        if groups is None:
            return elpd.loo(self.spec, self.idata, self.engine, reloo=reloo, seed=seed)
        return elpd.logo(self.spec, self.idata, self.engine, group=groups, seed=seed)

    def kfold(self, k: int = 10, groups: str | Sequence[str] | None = None, seed: int | None = None) -> Elpd:
        """K-fold cross-validation: fit the model k times, each time without one fold of the rows, and predict these.

        Args:
            k: Folds.
            groups: A group (or several) whose levels are not taken apart: rows of one level are in one fold.
            seed: Of the folds and draws.

        Returns:
            The expected log predictive density, by row; priors and centring are those of the whole fit.

        Raises:
            ArgumentError: An unknown group, or too few rows or groups for k folds.
        """
        return elpd.kfold(self.spec, self.idata, self.engine, k=k, groups=groups, seed=seed)

    def waic(self) -> Elpd:
        """The widely applicable information criterion, by row, on the scale of log densities; `loo()` is more robust."""
        return elpd.waic(self.spec, self.idata)

    def dic(self) -> Elpd:
        """The deviance information criterion, on the scale of log densities: -2 elpd is DIC as BUGS has it.

        It is measured at the mean of the linear predictor and of the other parameters, and not over draws.
        """
        return elpd.dic(self.spec, self.idata)

    def bayes_r2(self, conf_level: float = 0.95) -> pd.DataFrame:
        """The share of variance explained: `conditional` with the groups' effects, `marginal` without them.

        Returns:
            Columns estimate, std_error, conf_low, conf_high. Source: Gelman et al. (2019), R-squared for Bayesian
            regression models; marginal and conditional as Nakagawa & Schielzeth (2013).
        """
        return variance.bayes_r2(self.spec, self.idata, conf_level)

    def icc(self, conf_level: float = 0.95) -> pd.DataFrame:
        """The share of each group, and of the residual, in the variance that the fixed effects leave.

        Returns:
            Columns estimate, std_error, conf_low, conf_high by group, on the scale of the linear predictor; of
            families without a residual that of the link's latent variable, or of the response at its mean.
        """
        return variance.icc(self.spec, self.idata, conf_level)

    def posterior_predictive(
        self,
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
        predictor = self._predictor(groups, new_levels, seed)
        return replicates.posterior_predictive(self.spec, self.idata, predictor, newdata, n)

    def pp_check(
        self,
        kind: str = "density",
        by: str | None = None,
        stat: Any = "mean",
        n: int | None = None,
        max_levels: int = 16,
        seed: int | None = None,
    ) -> "PlotCollection":
        """A picture of the data beside what the model says data are like, by arviz-plots.

        Args:
            kind: `"density"`, the distribution of the response (cumulative, where it is discrete); `"stat"`, a
                statistic of it; `"grouped"`, the same by the levels of `by`; `"rootogram"`, how often each count
                occurs; `"calibration"`, whether predictions are as sure as they should be. The last predicts each
                row from the others, by importance sampling as in `loo`: of a binary response it shows the share
                observed against the probability predicted, of others how far the places of responses in their
                predictive distributions (LOO-PIT) are from uniform, which needs no replicated data.
            by: A group of the model, or a factor among its columns: a panel for each level (`density`, `stat`, `grouped`).
            stat: `"mean"`, `"sd"`, `"min"`, `"max"`, `"median"`, a function from the responses of a data set to a
                number, or a list of these (`stat`, `grouped`).
            n: How many replicated data sets at most; None for what suits the kind.
            max_levels: How many levels of `by` are shown; of more, those with most rows.
            seed: The same seed gives the same picture.

        Returns:
            arviz-plots' PlotCollection, on matplotlib: `.savefig("check.png")`, `.show()`; `.viz["figure"].item()` is
            the figure, and each panel's axes are in `.viz["plot"]` by the name of the response, or of the level
            (`county=2`). Source: Gabry et al. (2019), Visualization in Bayesian workflow; Kleiber & Zeileis (2016),
            Visualizing count data regressions using rootograms; Dimitriadis et al. (2021), Stable reliability
            diagrams for probabilistic classifiers; Tesso et al. (2026), LOO-PIT predictive model checking.

        Raises:
            ArgumentError: An unknown kind, factor or statistic; or a kind that does not suit the response.
        """
        from mixedbayes.results import checks  # noqa: PLC0415  # arviz-plots takes seconds to import

        predictor = self._predictor(seed=seed)
        return checks.pp_check(checks.Asked(self.spec, self.idata, predictor, kind, by, stat, n, max_levels))

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


def checked_fit(spec: ModelSpec, idata: xr.DataTree, engine: Engine) -> Fit:
    """The fit, after warning of whatever is wrong with its draws."""
    fitted = Fit(spec, idata, engine)
    if not fitted.is_beyond_doubt:
        for complaint in fitted.report.complaints:
            warn(complaint, ConvergenceWarning)
    return fitted
