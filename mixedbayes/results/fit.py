"""A fit: draws and the model they are of, with its tables."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike

import pandas as pd
import xarray as xr

from mixedbayes.errors import PartialDrawsWarning
from mixedbayes.model.spec import ModelSpec
from mixedbayes.results import storage, tables
from mixedbayes.results.diagnostics import describe_draws
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
