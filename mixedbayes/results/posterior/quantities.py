"""Which draws are which parameter: the posterior as lists of labelled columns, in the order of tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.language.formula import MEAN
from mixedbayes.models.spec import BlockSpec, ModelSpec, PredictorSpec
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.layout import MOMENTS, by_draw, effects_draws

RESIDUAL = "Residual"
"""What tables call the residual, as they call a group; see `apart`."""

CONDITIONAL = "cond"
"""broom.mixed's word for the predictor of the mean."""

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
        component: Of which linear predictor: `cond` for the mean's, else the name of the parameter.
        before: What stands before a label where those of all predictors stand together; None for the component's name.
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
    component: str = CONDITIONAL
    before: str | None = None


def fixed(fit: Fitted) -> Iterator[Quantities]:
    """The coefficients, predictor by predictor."""
    for predictor in fit.spec.predictors.values():
        columns = predictor.linear.fixed.columns
        if columns:
            yield Quantities(
                effect="fixed",
                group=None,
                levels=[None] * len(columns),
                terms=columns,
                labels=columns,
                draws=by_draw(fit.posterior[predictor.b]),
                section=f"Population-level effects{_of(predictor.name)}",
                component=component_of(predictor.name),
            )


def component_of(parameter: str) -> str:
    """What tables call the predictor of a parameter."""
    return CONDITIONAL if parameter == MEAN else parameter


def before_terms(component: str) -> str:
    """What stands before the terms of a predictor where those of all stand together."""
    return "" if component == CONDITIONAL else f"{component}."


def _of(parameter: str) -> str:
    return "" if parameter == MEAN else f" of {parameter}"


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
        if address == spec.residual:
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
    """Standard deviations, then correlations, then what else a structure has, block by block."""
    posterior, given = fit.posterior, fit.spec.given_structures
    for spec in fit.spec.blocks:
        block, columns = spec.block, spec.block.columns
        hung = f", {structure.name}" if (structure := given.get(block.name)) else ""
        section = f"Group-level effects{block.whose}, {block.label} ({len(block.levels):,} levels{hung})"
        sds = by_draw(posterior[spec.sd])
        for part in block.parts:
            own = block.places(part.parameter)
            yield Quantities(
                effect="ran_pars",
                group=block.label,
                levels=[None] * len(own),
                terms=[f"sd__{name}" for name in part.columns],
                labels=[f"sd({columns[j]})" for j in own],
                draws=sds[..., own],
                section=section,
                component=component_of(part.parameter),
                before=before_terms(component_of(block.parameter)),
            )
        if spec.is_correlated:
            i, j = np.triu_indices(len(columns), 1)
            pairs = [(columns[a], columns[b]) for a, b in zip(i, j, strict=True)]
            yield Quantities(
                effect="ran_pars",
                group=block.label,
                levels=[None] * len(pairs),
                terms=[f"cor__{a}.{b}" for a, b in pairs],
                labels=[f"cor({a}, {b})" for a, b in pairs],
                draws=by_draw(posterior[spec.correlation])[..., i, j],
                section=section,
                bounds=(-1.0, 1.0),
                component=component_of(block.parameter),
            )

        for kind, variable in spec.own.items():
            each = columns if spec.asked[kind].each else ()
            numbers = by_draw(posterior[variable])
            yield Quantities(
                effect="ran_pars",
                group=block.label,
                levels=[None] * max(len(each), 1),
                terms=[f"{kind}__{column}" for column in each] or [kind],
                labels=[f"{kind}({column})" for column in each] or [kind],
                draws=numbers if each else numbers[..., None],
                section=section,
                component=component_of(block.parameter),
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
        for k, (parameter, name) in enumerate(zip(block.block.predictors, block.block.terms, strict=True)):
            moments = None if over_all is None else over_all[..., k]
            names = [name] * len(levels)
            of = component_of(parameter)
            yield Quantities(
                "ran_vals", block.block.label, levels, names, levels, r[..., k], moments, component=of
            )


def coefs(fit: Fitted) -> Iterator[Quantities]:
    """Population plus deviation, for each predictor, grouping factor, level and coefficient."""
    for predictor in fit.spec.predictors.values():
        blocks = [block for block in fit.spec.blocks if predictor.name in block.block.predictors]
        if blocks:
            yield from _coefs(fit, predictor, blocks)


def _coefs(fit: Fitted, predictor: PredictorSpec, blocks: Sequence[BlockSpec]) -> Iterator[Quantities]:
    names = predictor.linear.fixed.columns
    b: dict[str, np.ndarray] = {}
    if names:
        kept = effects_draws(fit.idata, blocks[0])["draw"]
        draws = by_draw(fit.posterior[predictor.b].sel(draw=kept))
        b = dict(zip(names, np.moveaxis(draws, -1, 0), strict=True))
    groups: dict[str, dict[str, np.ndarray]] = {}
    levels: dict[str, list[Any]] = {}
    for block in blocks:
        r = by_draw(effects_draws(fit.idata, block))
        own = groups.setdefault(block.block.group, {})
        levels[block.block.group] = list(pd.Index(block.block.levels))
        for k in block.block.places(predictor.name):
            name = block.block.terms[k]
            own[name] = own.get(name, 0.0) + r[..., k]
    for group, own in groups.items():
        n = len(levels[group])
        for name in dict.fromkeys([*b, *own]):
            deviation = own.get(name, np.zeros((1, 1, n)))
            population = b[name][..., None] if name in b else np.zeros((1, 1, 1))
            yield Quantities(
                effect="coef",
                group=group,
                levels=levels[group],
                terms=[name] * n,
                labels=levels[group],
                draws=population + deviation,
                component=component_of(predictor.name),
            )
