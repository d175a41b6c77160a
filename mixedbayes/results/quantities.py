"""Which draws are which parameter: the posterior as lists of labelled columns, in the order of tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mixedbayes.model.spec import BlockSpec, ModelSpec

RESIDUAL = "Residual"
PRIOR = "(prior)"


@dataclass(frozen=True, eq=False, slots=True)
class Quantities:
    """Parameters of one kind, side by side.

    Attributes:
        effect: broom.mixed's word: `fixed`, `ran_pars` or `ran_vals`.
        group: The grouping factor, `Residual`, or None at the population level.
        levels: For each its level; None but for `ran_vals`.
        terms: For each broom.mixed's term, `sd__Intercept`.
        labels: For each what a printed table calls it, `sd(Intercept)`.
        draws: Shape (chain, draw, len(terms)).
    """

    effect: str
    group: str | None
    levels: Sequence[Any]
    terms: Sequence[str]
    labels: Sequence[str]
    draws: np.ndarray


def fixed(spec: ModelSpec, posterior: xr.Dataset) -> Iterator[Quantities]:
    """The coefficients."""
    columns = spec.design.fixed.columns
    if columns:
        yield Quantities("fixed", None, [None] * len(columns), columns, columns, _array(posterior["b"]))


def ran_pars(spec: ModelSpec, posterior: xr.Dataset) -> Iterator[Quantities]:
    """Standard deviations and correlations of each block, then the residual's, then hyperparameters."""
    for block in spec.blocks:
        yield block_pars(block, posterior)
    for parameter in spec.auxiliary:
        name = parameter.address
        group, term = (RESIDUAL, "sd__Observation") if name == "sigma" else (RESIDUAL, name)
        yield Quantities("ran_pars", group, [None], [term], [name], _array(posterior[name])[..., None])
    for parameter in spec.hyper:
        name = parameter.address
        yield Quantities("ran_pars", PRIOR, [None], [name], [name], _array(posterior[name])[..., None])


def block_pars(block: BlockSpec, posterior: xr.Dataset) -> Quantities:
    """Standard deviations and correlations of one block."""
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


def ran_vals(spec: ModelSpec, posterior: xr.Dataset) -> Iterator[Quantities]:
    """Each level's deviations, block by block and effect by effect."""
    for block in spec.blocks:
        r = _array(posterior[block.r])
        levels = list(pd.Index(block.block.levels))  # dates as timestamps, not as NumPy's
        for k, name in enumerate(block.block.columns):
            yield Quantities("ran_vals", block.block.name, levels, [name] * len(levels), levels, r[..., k])


def coefs(spec: ModelSpec, posterior: xr.Dataset) -> Iterator[Quantities]:
    """Population plus deviation, for each grouping factor, level and coefficient."""
    names = spec.design.fixed.columns
    b = dict(zip(names, np.moveaxis(_array(posterior["b"]), -1, 0), strict=True)) if names else {}
    groups: dict[str, dict[str, np.ndarray]] = {}
    levels: dict[str, list[Any]] = {}
    for block in spec.blocks:
        r = _array(posterior[block.r])
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


def _array(variable: xr.DataArray) -> np.ndarray:
    return variable.transpose("chain", "draw", ...).to_numpy()
