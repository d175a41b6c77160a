"""The verbs of a fit that say how good it is: predictive densities and shares of variance."""

from typing import Any

import pandas as pd

from mixedbayes.errors import ArgumentError
from mixedbayes.results.comparison import elpd
from mixedbayes.results.comparison.elpd import Elpd
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.summary import check_flag
from mixedbayes.results.tables import shares


class FitComparisons(Fitted):
    """How well the model predicts, and how much it explains."""

    def loo(self, groups: Any = None, reloo: bool = False, seed: int | None = None) -> Elpd:
        """Leave-one-out cross-validation: how well each row is predicted from the others, or each group from the others.

        Args:
            groups: A group of the model, a factor among its columns, or a column with a value for each row of the
                data, `radon["county"]`: leave out one level at a time, and predict its rows jointly. None leaves out
                one row at a time.
            reloo: Whether rows whose importance weights are not to be trusted are left out by fitting the model
                again without each of them. Groups are, without being asked for.
            seed: Of what is drawn again.

        Returns:
            The expected log predictive density with its standard error and the Pareto k; `.pointwise` by row (or
            group) and `.table`. Rows are left out by Pareto-smoothed importance sampling. Groups in closed form
            where the model is Gaussian given its variances; else the model is fitted again without each of them.

        Raises:
            ArgumentError: An unknown group; or reloo with groups.
        """
        check_flag("reloo", reloo)
        if groups is None:
            return elpd.loo(self.spec, self.idata, self.engine, reloo=reloo, seed=seed)
        if reloo:
            raise ArgumentError(
                "reloo=True is for rows left out one by one; loo(groups=) draws anew where it must, unasked. Leave reloo out."
            )
        return elpd.logo(self.spec, self.idata, self.engine, group=groups, seed=seed)

    def kfold(self, k: int = 10, groups: Any = None, seed: int | None = None) -> Elpd:
        """K-fold cross-validation: fit the model k times, each time without one fold of the rows, and predict these.

        Args:
            k: Folds.
            groups: As in `loo`, or a list of such: levels are not taken apart, so that rows of one are in one fold.
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
        return shares.bayes_r2(self.spec, self.idata, conf_level)

    def icc(self, conf_level: float = 0.95) -> pd.DataFrame:
        """The share of each group, and of the residual, in the variance that the fixed effects leave.

        Returns:
            Columns estimate, std_error, conf_low, conf_high by group, on the scale of the linear predictor; of
            families without a residual that of the link's latent variable, or of the response at its mean.
        """
        return shares.icc(self.spec, self.idata, conf_level)
