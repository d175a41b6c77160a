"""What every verb of a fit takes: the model as data, its draws, and how to draw again."""

from dataclasses import dataclass

import xarray as xr

from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.redraws import Redraws


@dataclass(frozen=True, eq=False)
class Fitted:
    """The parts of a fit; `Fit` has the verbs.

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
    engine: Redraws

    @property
    def posterior(self) -> xr.Dataset:
        """The draws of all parameters, dims chain and draw first; of group effects only where all were kept."""
        return self.idata["posterior"].to_dataset()
