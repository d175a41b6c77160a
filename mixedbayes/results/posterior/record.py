"""How draws came about, by the sampler's own record."""

from dataclasses import dataclass
from math import isfinite

import xarray as xr

from mixedbayes.results.posterior.layout import EFFECTS, MOMENTS

MIN_ESS = 400
MIN_DRAWS = 4
"""Effective draws that estimates need (Vehtari et al. 2021, section 4); and draws of a chain that ArviZ needs to say anything."""


@dataclass(frozen=True, slots=True)
class Draws:
    """How the draws came about.

    Attributes:
        chains, draws: Sizes of the posterior.
        tune: Adaptation steps of each chain; None if the sampler does not say.
        sampler: The sampler's name.
        divergences: Transitions after adaptation that left the energy surface.
        method: The method, and why it was chosen; None if that was not recorded.
        pareto_k: k-hat of the importance weights; None for Markov chains.
        proposals: Weighted draws from which these were taken.
        effective: Kish's effective number of them; 0 for Markov chains.
        kept: Draws of the group effects that were kept, in all; None if all were.
    """

    chains: int
    draws: int
    tune: int | None
    sampler: str
    divergences: int
    method: str | None = None
    pareto_k: float | None = None
    proposals: int = 0
    effective: float = 0.0
    kept: int | None = None

    @property
    def are_independent(self) -> bool:
        """Whether no Markov chain made them."""
        return self.pareto_k is not None

    @property
    def are_beyond_doubt(self) -> bool:
        """Whether they are independent, several chains of them, and effectively more than enough."""
        size = min(self.effective, self.chains * self.draws)
        return self.are_independent and self.chains > 1 and self.draws >= MIN_DRAWS and size >= 1.25 * MIN_ESS

    @property
    def partial(self) -> str | None:
        """What numbers on group effects rest on, where not all draws of these were kept."""
        if self.kept is None:
            return None
        kept = f"{self.kept:,}" if self.kept else "None"
        rest = "over these" if self.kept else "those of normal distributions"
        return (
            f"{kept} of the {self.chains * self.draws:,} draws of the group effects were kept, for want of memory: "
            f"their means and standard deviations are over all draws, their intervals {rest}; memory= (GiB) raises the bound."
        )

    def __str__(self) -> str:
        if self.pareto_k is not None:
            how = f"of {self.proposals:,} proposals by weight, Pareto k {self.pareto_k:.2f}"
            how = how if isfinite(self.pareto_k) else "each from the posterior itself"
            return (
                f"{self.chains:,} chains x {self.draws:,} draws, {self.chains * self.draws:,} in all ({how})"
            )
        tuned = f" after {self.tune:,} tuning steps" if self.tune is not None else ""
        return f"{self.chains:,} chains x {self.draws:,} draws{tuned}, {self.chains * self.draws:,} in all ({self.sampler})"


def describe_draws(idata: xr.DataTree) -> Draws:
    """Read the sampler's own record."""
    posterior, stats = idata["posterior"], idata["sample_stats"]
    tune = posterior.attrs.get("tuning_steps", stats.attrs.get("tuning_steps"))
    return Draws(
        posterior.sizes["chain"],
        posterior.sizes["draw"],
        int(tune) if tune is not None else None,
        str(stats.attrs.get("mixedbayes_sampler", "nuts")),
        int(stats["diverging"].sum()) if "diverging" in stats else 0,
        str(stats.attrs["mixedbayes_method"]) if "mixedbayes_method" in stats.attrs else None,
        float(stats.attrs["pareto_k"]) if "pareto_k" in stats.attrs else None,
        int(stats.attrs.get("proposals", 0)),
        float(stats.attrs.get("effective", 0.0)),
        _kept(idata),
    )


def _kept(idata: xr.DataTree) -> int | None:
    if MOMENTS not in idata.children:
        return None
    return idata[EFFECTS].sizes["chain"] * idata[EFFECTS].sizes["draw"] if EFFECTS in idata.children else 0
