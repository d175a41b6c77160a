"""Which draws are which parameter: the posterior as lists of labelled columns, in the order of tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.layout import MOMENTS, by_draw, effects_draws

RESIDUAL = "Residual"
"""What tables call the residual, as they call a group; see `apart`."""

PRIOR = "(prior)"
"""The same of hyperparameters."""


@dataclass(frozen=True, eq=False, slots=True)
class Quantities:
    """Parameters of one kind, side by side.

    Attributes:
        effect: broom.mixed's word: `fixed`, `ran_pars` or `ran_vals`.
        group: The grouping factor, `Residual`, `(prior)`, or None at the population level.
        levels: For each its level; None but for `ran_vals`.
        terms: For each broom.mixed's term, `sd__Intercept`.
        labels: For each what a printed table calls it, `sd(Intercept)`.
        draws: Shape (chain, draw, len(terms)).
        moments: Means and standard deviations over more draws than were kept, shape (2, len(terms)); None
            if all were.
        section: The title of their table in a printed fit; empty for what is not printed.
        bounds: Between which they lie, where they do by nature: correlations.
    """

    effect: str
    group: str | None
    levels: Sequence[Any]
    terms: Sequence[str]
    labels: Sequence[str]
    draws: np.ndarray
    moments: np.ndarray | None = None
    section: str = ""
    bounds: tuple[float, float] | None = None


def fixed(fit: Fitted) -> Iterator[Quantities]:
    """The coefficients."""
    columns = fit.spec.design.fixed.columns
    if columns:
        draws = by_draw(fit.posterior["b"])
        nothing = [None] * len(columns)
        yield Quantities("fixed", None, nothing, columns, columns, draws, section="Population-level effects")


def ran_pars(fit: Fitted) -> Iterator[Quantities]:
    """Standard deviations and correlations of each block, then the residual's, then hyperparameters."""
    yield from block_pars(fit)
    yield from single_pars(fit)


def printed(fit: Fitted) -> Iterator[Quantities]:
    """The parameters of a printed fit, in its order; each has its section."""
    yield from block_pars(fit)
    yield from fixed(fit)
    yield from single_pars(fit)


def single_pars(fit: Fitted) -> Iterator[Quantities]:
    """The family's parameters beside the mean, then parameters of priors: each in a variable of its own."""
    spec = fit.spec
    for parameter in spec.scalars:
        address, group, section = parameter.address, None, "Family parameters"
        if address == spec.family.residual:
            group, section = apart(RESIDUAL, spec), "Residual"
        elif parameter.of_prior is not None:
            group, section = apart(PRIOR, spec), "Hyperparameters"
        term = "sd__Observation" if section == "Residual" else address
        draws = by_draw(fit.posterior[address])[..., None]
        yield Quantities("ran_pars", group, [None], [term], [address], draws, section=section)


def apart(name: str, spec: ModelSpec) -> str:
    """What is no group, as tables call it: with underscores after it where a group has that name."""
    taken = {text for block in spec.blocks for text in (block.block.name, block.block.group)}
    while name in taken:
        name += "_"
    return name


def block_pars(fit: Fitted) -> Iterator[Quantities]:
    """Standard deviations and then correlations, block by block."""
    posterior = fit.posterior
    for block in fit.spec.blocks:
        name, columns = block.block.name, block.block.columns
        section = f"Group-level effects, {name} ({len(block.block.levels):,} levels)"
        sds = [f"sd({column})" for column in columns]
        terms = [f"sd__{column}" for column in columns]
        draws = by_draw(posterior[block.sd])
        yield Quantities("ran_pars", name, [None] * len(terms), terms, sds, draws, section=section)
        if block.cor:
            i, j = np.triu_indices(len(columns), 1)
            pairs = [(columns[a], columns[b]) for a, b in zip(i, j, strict=True)]
            yield Quantities(
                effect="ran_pars",
                group=name,
                levels=[None] * len(pairs),
                terms=[f"cor__{a}.{b}" for a, b in pairs],
                labels=[f"cor({a}, {b})" for a, b in pairs],
                draws=by_draw(posterior[block.correlation])[..., i, j],
                section=section,
                bounds=(-1.0, 1.0),
            )


def ran_vals(fit: Fitted) -> Iterator[Quantities]:
    """Each level's deviations, block by block and effect by effect."""
    for block in fit.spec.blocks:
        r = by_draw(effects_draws(fit.idata, block))
        levels = list(pd.Index(block.block.levels))  # dates as timestamps, not as NumPy's
        over_all = None
        if MOMENTS in fit.idata.children:
            stored = fit.idata[MOMENTS].to_dataset()
            over_all = np.stack([stored[block.r].to_numpy(), stored[f"{block.r}_sd"].to_numpy()])
        for k, name in enumerate(block.block.columns):
            moments = None if over_all is None else over_all[..., k]
            names = [name] * len(levels)
            yield Quantities("ran_vals", block.block.name, levels, names, levels, r[..., k], moments)


def coefs(fit: Fitted) -> Iterator[Quantities]:
    """Population plus deviation, for each grouping factor, level and coefficient."""
    names = fit.spec.design.fixed.columns
    b: dict[str, np.ndarray] = {}
    if names and fit.spec.blocks:
        kept = effects_draws(fit.idata, fit.spec.blocks[0])["draw"]
        b = dict(zip(names, np.moveaxis(by_draw(fit.posterior["b"].sel(draw=kept)), -1, 0), strict=True))
    groups: dict[str, dict[str, np.ndarray]] = {}
    levels: dict[str, list[Any]] = {}
    for block in fit.spec.blocks:
        r = by_draw(effects_draws(fit.idata, block))
        own = groups.setdefault(block.block.group, {})
        levels[block.block.group] = list(pd.Index(block.block.levels))
        for k, name in enumerate(block.block.columns):
            own[name] = own.get(name, 0.0) + r[..., k]
    for group, own in groups.items():
        n = len(levels[group])
        for name in dict.fromkeys([*b, *own]):
            deviation = own.get(name, np.zeros((1, 1, n)))
            population = b[name][..., None] if name in b else np.zeros((1, 1, 1))
            yield Quantities("coef", group, levels[group], [name] * n, levels[group], population + deviation)
