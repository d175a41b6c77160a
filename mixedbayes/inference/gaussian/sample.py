"""A Gaussian model -> draws without Markov chains: theta by importance sampling, the rest exactly given theta.

`why_not` says whether a model is one, `sample_exactly` reads as the list of the steps.
"""

from math import ceil

import numpy as np
import xarray as xr

from mixedbayes.errors import DataError, listed
from mixedbayes.inference.draws import as_tree
from mixedbayes.inference.gaussian import starts
from mixedbayes.inference.gaussian.collapsed import Collapsed
from mixedbayes.inference.gaussian.coordinates import is_cut_at_zero, is_diagonal, variances_of
from mixedbayes.inference.gaussian.group_effects import Effects, Keeping
from mixedbayes.inference.gaussian.moments import Frame, Moments, moments
from mixedbayes.inference.gaussian.propriety import check_flat_priors, check_residual
from mixedbayes.inference.gaussian.rows import chunks_of, factors_of
from mixedbayes.inference.options import Options
from mixedbayes.inference.proposals import importance
from mixedbayes.inference.proposals.metropolis import sample_by_chains
from mixedbayes.language.formula import MEAN
from mixedbayes.models import structures
from mixedbayes.models.covariances import sds_and_correlations
from mixedbayes.models.names import CHAIN, DRAW
from mixedbayes.models.spec import ModelSpec
from mixedbayes.work import Work, one_thread

DRAWS = 4000
"""In all, where the user does not say."""

FEWEST = 500
"""Effective draws of theta, where they are costly and the user does not say: 400 of each parameter beyond doubt."""

OPERATIONS = 3e10
"""Of floating point, about, that may be spent on thetas where the user does not say how many draws."""

MAX_ROOT = 6000
MAX_PRODUCTS = 2 * 10**7
"""Bounds of the dense root's side and of the products that make it: some 1 and 2 GB while they are built."""

MAX_DIMENSIONS = 20
"""Of theta, up to which the efficiency of proposals was seen to be good: six correlated effects have 21."""

CLIMBS, MAX_CLIMBS = 3e7, 12
"""Operations for one density, times the climbs to modes that are made if it takes so many; and climbs, at most."""

FIRST_ROUND = 1000
"""Draws of the first proposal, where they are cheap."""

CLOSED = {"se"}
"""Additions of families, but weights, that have a closed form: known standard errors in place of sigma."""

PATIENCE = 20
"""Times as many proposals as draws are wanted, at most."""


def is_gaussian(spec: ModelSpec) -> bool:
    """Whether given its predictor a response is Gaussian, with a residual that is the same in all rows, and its moments have a use."""
    same = spec.residual is not None and not spec.family.additions & spec.design.response.additions.keys()
    is_normal = (
        same and spec.family.is_gaussian and spec.link.name == "identity" and len(spec.predictors) == 1
    )
    return is_normal and not structures.why_not("collapsed", structures.independent_levels, spec.structures)


def why_not(spec: ModelSpec) -> str | None:
    """Why given its variances a model is not Gaussian, in a clause; None if it is."""
    if not spec.family.is_gaussian:
        return f"the {spec.family.name} family has no closed form"
    if spec.link.name != "identity":
        return f"with the {spec.link.name} link there is no closed form"
    if len(spec.predictors) > 1:
        return f"where {listed(name for name in spec.predictors if name != MEAN)} differs from row to row there is no closed form"
    additions = spec.family.additions & spec.design.response.additions.keys()
    if additions and spec.residual is not None:
        return f"with a residual beside what {listed(f'{name}()' for name in sorted(additions))} says, variances differ from row to row: there is no closed form"
    if unknown := additions - CLOSED:
        return f"of {listed(f'{name}()' for name in sorted(unknown))} there is no closed form"
    for parameter in spec.main.parameters:
        if parameter.prior.distribution not in ("normal", "flat"):
            return f"the prior of {parameter.address} is neither normal nor flat"
    for parameter in (*spec.hyper, *(p for block in spec.blocks for p in block.scalars), *spec.auxiliary):
        if not is_cut_at_zero(parameter):
            return f"the prior of {parameter.address} is cut elsewhere than at zero"
    return structures.why_not("collapsed", structures.independent_levels, spec.structures)


def collapse(spec: ModelSpec) -> Collapsed:
    """The density of the variance parameters, all else integrated out: one pass over the rows.

    Args:
        spec: A model for which `why_not` is None.
    """
    return Collapsed(variances_of(spec), moments_of(spec))


def extended(known: Moments, spec: ModelSpec, new: np.ndarray) -> Collapsed:
    """The density of a model some of whose rows' moments are known.

    Args:
        known: Of the other rows, in the model's frame; levels that they lack come last.
        spec: The model of all rows.
        new: Places of the rows to be added.
    """
    more = moments_of(spec, new)
    return Collapsed(variances_of(spec), known.among(more.levels) + more)


def moments_of(spec: ModelSpec, rows: np.ndarray | None = None) -> Moments:
    """The moments of a model's rows, or of those at some places, in the model's frame and among all its levels."""
    design = spec.modelled
    return moments(chunks_of(design, rows), factors_of(design), frame_of(spec))


def frame_of(spec: ModelSpec) -> Frame:
    """Columns at the predictors' means where priors live there, and with an intercept y about the place of its prior."""
    main = spec.main
    location = main.intercept.location if main.intercept else 0.0
    effects = tuple(block.centring.to_zero for block in spec.blocks)
    return Frame(location, main.centring.to_zero, effects, main.linear.fixed.intercept)


def too_large(density: Collapsed) -> str | None:
    """Why there is not memory enough for a density, in a clause; None if there is."""
    beside = density.ends[-1]
    if beside > MAX_ROOT:
        return f"its crossed factors have {beside:,} effects beside the largest's, more than {MAX_ROOT:,}"
    if density.coupling is not None and density.products_size > MAX_PRODUCTS:
        return f"its crossed factors meet in {density.products_size:,} ways, more than {MAX_PRODUCTS:,}"
    return None


def too_many(density: Collapsed) -> str | None:
    """Why proposals are not likely to fit a density, in a clause; None if they are."""
    d = density.variances.size
    return (
        f"{d} standard deviations and correlations are many to propose at once"
        if d > MAX_DIMENSIONS
        else None
    )


def sample_exactly(density: Collapsed, options: Options) -> xr.DataTree:
    """Draw from the posterior.

    Args:
        density: From `collapse`, not too large.
        options: How many draws, and how.

    Returns:
        ArviZ's DataTree as NUTS returns it: posterior, sample_stats, observed_data. If draws of all group
        effects would not fit into `options.budget`, some or none of them are in a group `group_effects`, and
        in `group_effects_moments` are their means and standard deviations over all draws.
    """
    chains = options.chains
    wanted = chains * options.draws if options.draws else _affordable(density)
    draws = options.draws or ceil(min(DRAWS, 2 * wanted) / chains)
    for_theta, for_places, for_effects = np.random.SeedSequence(options.seed).spawn(3)
    with one_thread(), Work(watched=options.is_watched) as work:
        effects = Effects(density, work, for_effects, Keeping.within(options.budget, density, chains, draws))
        weighted = _weigh(density, effects, wanted, np.random.default_rng(for_theta))
        if weighted.is_trusted:
            places = importance.resample(weighted, chains * draws, np.random.default_rng(for_places))
            theta, stats = weighted.theta[places], _statistics(weighted, places, chains)
        else:
            theta, stats = _by_chains(
                density, work, weighted, effects.keeping, np.random.default_rng(for_places)
            )
            places = np.full(len(theta), -1)
        coefficients = effects.draw(theta, places)
    return _tree(density, theta, coefficients, effects, stats)


def evidence(density: Collapsed, seed: int | None) -> tuple[float, float]:
    """The log of the integral of the density over theta, and the Pareto k of the weights it rests on."""
    for_theta, for_effects = np.random.SeedSequence(seed).spawn(2)
    with one_thread(), Work(watched=False) as work:
        effects = Effects(density, work, for_effects, Keeping(1, 0, 0, np.float64))
        weighted = _weigh(density, effects, _affordable(density), np.random.default_rng(for_theta))
    return weighted.log_evidence, weighted.pareto_k


def _weigh(
    density: Collapsed, effects: Effects, wanted: int, rng: np.random.Generator
) -> importance.Weighted:
    """Weighted draws of theta."""

    def climb(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pieces = [theta[i : i + density.batch] for i in range(0, len(theta), density.batch)]
        both = list(effects.work.each("Looking for the modes", density.log_posterior_and_gradient, pieces))
        return np.concatenate([value for value, _ in both]), np.concatenate([slope for _, slope in both])

    check_flat_priors(density)
    if not density.variances.size:
        return _all_alike(density, wanted)
    modes, values = importance.find_modes(climb, _starts(density, rng))
    others = starts.mirrored(density, modes[np.argmax(values)])
    if len(modes) > 1 and len(others):
        more, more_values = importance.find_modes(climb, others)
        modes, values = np.concatenate([modes, more]), np.concatenate([values, more_values])
    if not np.isfinite(values).any():
        raise _uncomputable()
    check_residual(density, modes[np.argmax(values)])
    first = importance.at_modes(climb, modes, values)
    at_once = min(FIRST_ROUND, max(100, wanted // 4))
    return importance.sample(
        effects.log_posterior, first, wanted, rng=rng, at_once=at_once, limit=PATIENCE * wanted
    )


def _all_alike(density: Collapsed, wanted: int) -> importance.Weighted:
    """Weighted draws where there is no theta: all is Gaussian, and each draw as good as another."""
    value = float(density.log_posterior(np.empty((1, 0)))[0])
    if not np.isfinite(value):
        raise _uncomputable()
    alike = importance.Proposal(np.ones(1), np.empty((1, 0)), np.empty((1, 0, 0)))
    return importance.Weighted(
        theta=np.empty((wanted, 0)),
        log_density=np.full(wanted, value),
        log_weights=np.full(wanted, -np.log(wanted)),
        pareto_k=-np.inf,
        proposal=alike,
        log_evidence=value,
    )


def _uncomputable() -> DataError:
    return DataError(
        "The posterior density of the variances cannot be computed: look at the data and priors for numbers that are very "
        "large or very small. method='nuts' may get further."
    )


def _starts(density: Collapsed, rng: np.random.Generator) -> np.ndarray:
    """The best of many thetas, from which modes are looked for: as many as cost little, shape (n, d)."""
    n = int(np.clip(CLIMBS / _cost(density), 1, MAX_CLIMBS))
    known = starts.starts(density)
    cloud = starts.spread(known, 25 * (n - 1), rng)
    pieces = range(0, len(cloud), density.batch)
    values = np.concatenate([density.log_posterior(cloud[i : i + density.batch]) for i in pieces])
    places = starts.apart(cloud, values, n)
    return cloud[places] if len(places) else known[:1]


def _affordable(density: Collapsed) -> int:
    """Effective draws of theta by default: fewer where each costs much. Each then serves two draws of the rest."""
    return int(np.clip(OPERATIONS / _cost(density), FEWEST, DRAWS))


def _cost(density: Collapsed) -> float:
    """Operations of floating point, about, for one density."""
    levels = sum(10 * stage.own.shape[-1] * sum(stage.rest.shape[:2]) ** 2 for stage in density.stages)
    return max(levels + density.m**3 / 3, 1.0)


def _statistics(weighted: importance.Weighted, places: np.ndarray, chains: int) -> xr.Dataset:
    dims = (CHAIN, DRAW)
    attrs = {
        "mixedbayes_sampler": "collapsed",
        "pareto_k": weighted.pareto_k,
        "proposals": len(weighted.theta),
        "effective": weighted.effective,
    }
    return xr.Dataset(
        {
            "lp": (dims, weighted.log_density[places].reshape(chains, -1)),
            "log_weight": (dims, weighted.log_weights[places].reshape(chains, -1)),
        },
        attrs=attrs,
    )


def _by_chains(
    density: Collapsed,
    work: Work,
    weighted: importance.Weighted,
    keeping: Keeping,
    rng: np.random.Generator,
) -> tuple[np.ndarray, xr.Dataset]:
    """Draws of theta by Markov chains, shape (chains * draws, d), and what is to be said of them."""
    chains, draws = keeping.chains, keeping.draws
    with work.counting("Markov chains") as count:

        def log_density(theta: np.ndarray) -> np.ndarray:
            count()
            parts = range(0, len(theta), density.batch)
            return np.concatenate([density.log_posterior(theta[i : i + density.batch]) for i in parts])

        theta, values = sample_by_chains(
            log_density, weighted, weighted.proposal, chains=chains, draws=draws, rng=rng
        )
    attrs = {"mixedbayes_sampler": "Metropolis on the collapsed density, for no proposal fitted it"}
    return theta.reshape(chains * draws, -1), xr.Dataset({"lp": ((CHAIN, DRAW), values)}, attrs=attrs)


def _tree(
    density: Collapsed,
    theta: np.ndarray,
    coefficients: np.ndarray,
    effects: Effects,
    stats: xr.Dataset,
) -> xr.DataTree:
    """Draws under the names and dims of the specification."""
    spec, chains = density.variances.spec, effects.keeping.chains
    point = density.variances.at(theta)
    arrays: dict[str, np.ndarray] = {"b": coefficients} if coefficients.shape[1] else {}
    for block, factor in zip(spec.blocks, point.factors, strict=True):
        if is_diagonal(factor):
            arrays[block.sd] = factor.T
        else:
            at_zero = block.centring.to_zero @ np.moveaxis(factor, -1, 0)
            sds, correlation = sds_and_correlations(at_zero @ np.swapaxes(at_zero, 1, 2))
            arrays |= {block.sd: sds, block.correlation: correlation}
        for kind, name in block.own.items():
            own = [point.values[p.address] for p in block.parameters[kind]]
            arrays[name] = np.stack(own, axis=-1) if block.asked[kind].each else own[0]
    arrays |= {p.address: point.values[p.address] for p in (*spec.auxiliary, *spec.hyper)}
    kept = effects.by_block()
    groups: dict[str, xr.Dataset] = {}
    if effects.keeping.is_all:
        arrays |= kept
    else:
        groups = effects.datasets()
    tree = as_tree(spec, arrays, chains, stats)
    for name, dataset in groups.items():
        tree[name] = xr.DataTree(dataset)
    return tree
