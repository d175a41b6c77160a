"""The verbs of a fit that hold the data against what the model says data are like."""

from typing import TYPE_CHECKING, Any

import xarray as xr

from mixedbayes.results.fitted import Fitted
from mixedbayes.results.rows import replicates
from mixedbayes.results.rows.predictor import Groups, NewLevels

if TYPE_CHECKING:
    from arviz_plots import PlotCollection


class FitChecks(Fitted):
    """What the model says data are like."""

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
        max_levels: int | None = None,
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
            max_levels: How many levels of `by` are shown, those with most rows; None for 16, and a warning if there are more.
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
        from mixedbayes.results.checks import pp_check as checks  # noqa: PLC0415  # arviz-plots takes seconds to import

        predictor = self._predictor(seed=seed)
        return checks.pp_check(checks.Asked(self.spec, self.idata, predictor, kind, by, stat, n, max_levels))
