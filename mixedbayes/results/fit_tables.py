"""The verbs of a fit that lay its parameters out as tables."""

import warnings
from collections.abc import Sequence

import pandas as pd
import xarray as xr

from mixedbayes.errors import PartialDrawsWarning, is_one_of
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.record import describe_draws
from mixedbayes.results.tables import tidy as tables


class FitTables(Fitted):
    """The parameters."""

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
            self._said(any(is_one_of(name, ("ran_vals",)) for name in tables.named(effects))),
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

    def _said(self, concerned: bool = True) -> xr.DataTree:
        """The draws, after saying so where not all draws of the effects were kept."""
        partial = describe_draws(self.idata).partial
        if concerned and partial:
            warnings.warn(partial, PartialDrawsWarning, stacklevel=3)
        return self.idata
