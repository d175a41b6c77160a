"""Which draws are which parameter: the posterior as lists of labelled columns, in the order of tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.models.spec import BlockSpec, ModelSpec, Parameter

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
    """

    effect: str
    group: str | None
    levels: Sequence[Any]
    terms: Sequence[str]
    labels: Sequence[str]
    draws: np.ndarray
    moments: np.ndarray | None = None


EFFECTS, MOMENTS = "group_effects", "group_effects_moments"
"""Groups of the tree that hold what was kept of the effects, where that is not all."""


def posterior_of(idata: xr.DataTree) -> xr.Dataset:
    """The draws."""
    return idata["posterior"].to_dataset()


def effects_draws(idata: xr.DataTree, block: BlockSpec) -> xr.DataArray:
    """The draws of a block's effects that were kept; none of them, if none were."""
    for group in ("posterior", EFFECTS):
        if group in idata.children and block.r in idata[group].data_vars:
            return idata[group].to_dataset()[block.r]
    mean = idata[MOMENTS].to_dataset()[block.r]
    chains = idata["posterior"].to_dataset()["chain"]
    return mean.expand_dims({"chain": chains, "draw": np.arange(0)})


def fixed(spec: ModelSpec, idata: xr.DataTree) -> Iterator[Quantities]:
    """The coefficients."""
    columns = spec.design.fixed.columns
    if columns:
        yield Quantities(
            "fixed", None, [None] * len(columns), columns, columns, _array(posterior_of(idata)["b"])
        )


def ran_pars(spec: ModelSpec, idata: xr.DataTree) -> Iterator[Quantities]:
    """Standard deviations and correlations of each block, then the residual's, then hyperparameters."""
    for block in spec.blocks:
        yield block_pars(block, idata)
    yield from residual_pars(spec, idata)
    yield from hyper_pars(spec, idata)


def residual_pars(spec: ModelSpec, idata: xr.DataTree) -> Iterator[Quantities]:
    """The family's parameters beside the mean."""
    for parameter in spec.auxiliary:
        if parameter.address == spec.family.residual:
            yield _single(apart(RESIDUAL, spec), "sd__Observation", parameter, idata)
        else:
            yield _single(None, parameter.address, parameter, idata)


def hyper_pars(spec: ModelSpec, idata: xr.DataTree) -> Iterator[Quantities]:
    """Parameters of priors."""
    for parameter in spec.hyper:
        yield _single(apart(PRIOR, spec), parameter.address, parameter, idata)


def apart(name: str, spec: ModelSpec) -> str:
    """What is no group, as tables call it: with underscores after it where a group has that name."""
    taken = {text for block in spec.blocks for text in (block.block.name, block.block.group)}
    while name in taken:
        name += "_"
    return name


def block_pars(block: BlockSpec, idata: xr.DataTree) -> Quantities:
    """Standard deviations and correlations of one block."""
    posterior = posterior_of(idata)
    columns = block.block.columns
    terms = [f"sd__{name}" for name in columns]
    labels = [f"sd({name})" for name in columns]
    draws = _array(posterior[block.sd])
    if block.cor:
        i, j = np.triu_indices(len(columns), 1)
        terms += [f"cor__{columns[a]}.{columns[b]}" for a, b in zip(i, j, strict=True)]
        labels += [f"cor({columns[a]}, {columns[b]})" for a, b in zip(i, j, strict=True)]
        draws = np.concatenate([draws, _array(posterior[block.correlation])[..., i, j]], axis=-1)
    return Quantities("ran_pars", block.block.name, [None] * len(terms), terms, labels, draws)


def ran_vals(spec: ModelSpec, idata: xr.DataTree) -> Iterator[Quantities]:
    """Each level's deviations, block by block and effect by effect."""
    for block in spec.blocks:
        r = _array(effects_draws(idata, block))
        levels = list(pd.Index(block.block.levels))  # dates as timestamps, not as NumPy's
        over_all = None
        if MOMENTS in idata.children:
            stored = idata[MOMENTS].to_dataset()
            over_all = np.stack([stored[block.r].to_numpy(), stored[f"{block.r}_sd"].to_numpy()])
        for k, name in enumerate(block.block.columns):
            moments = None if over_all is None else over_all[..., k]
            names = [name] * len(levels)
            yield Quantities("ran_vals", block.block.name, levels, names, levels, r[..., k], moments)


def coefs(spec: ModelSpec, idata: xr.DataTree) -> Iterator[Quantities]:
    """Population plus deviation, for each grouping factor, level and coefficient."""
    names = spec.design.fixed.columns
    b: dict[str, np.ndarray] = {}
    if names and spec.blocks:
        kept = effects_draws(idata, spec.blocks[0])["draw"]
        b = dict(zip(names, np.moveaxis(_array(posterior_of(idata)["b"].sel(draw=kept)), -1, 0), strict=True))
    groups: dict[str, dict[str, np.ndarray]] = {}
    levels: dict[str, list[Any]] = {}
    for block in spec.blocks:
        r = _array(effects_draws(idata, block))
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


def _single(group: str | None, term: str, parameter: Parameter, idata: xr.DataTree) -> Quantities:
    """One number that is in a variable of its own."""
    draws = _array(posterior_of(idata)[parameter.address])[..., None]
    return Quantities("ran_pars", group, [None], [term], [parameter.address], draws)


def _array(variable: xr.DataArray) -> np.ndarray:
    return variable.transpose("chain", "draw", ...).to_numpy()
