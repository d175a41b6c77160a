"""`ModelSpec` -> `pymc.Model`: the only door to PyMC's distributions.

    eta = offset + X_c b_c + sum over blocks of rows of X_k,c times r_k,c[codes_k],   b = T b_c,   r_k = r_k,c T_k^T
    r_k,c = z_k (diag(sd_k,c) L_k)^T,   L_k L_k^T = cor_k,c ~ LKJ(eta)

c is for at the predictors' means, where default priors live; T brings what is there to zero (`Centring`).

Source: Stan User's Guide 2.35, "Multivariate priors for hierarchical models" (non-centred).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from mixedbayes.inference.nuts.maths import GRAPHS
from mixedbayes.inference.nuts.placement import Placement, is_half, of_block, of_predictor, side_by_side
from mixedbayes.models.distributions import DISTRIBUTIONS, REAL, Interval
from mixedbayes.models.families import Family
from mixedbayes.models.maths import ARRAYS, Maths
from mixedbayes.models.names import OBSERVATION
from mixedbayes.models.priors import Prior, Reference
from mixedbayes.models.spec import BlockSpec, ModelSpec, Parameter, PredictorSpec
from mixedbayes.models.structures import Within, check_factor, rows_of
from mixedbayes.models.values import WEIGHTS, FromPredictor, Values

INCLUDED = "included rows"
"""Name of the data that say which rows of a masked model count, 1 or 0."""


def build(spec: ModelSpec, *, masked: bool = False) -> pm.Model:
    """The PyMC model: every dimension named, every coordinate the data's own label.

    Args:
        spec: From `specify`.
        masked: Whether rows can be left out after compiling: then the data `INCLUDED` say which rows count, and
            the response is a potential and no observed variable.

    Returns:
        A model with the variables of `spec.variables`, and internal ones: `Intercept_scaled` and
        `slopes_scaled`, in units of the data, and for each block `z_` (standard normal), `partial_` (canonical
        partial correlations on (0, 1)) and, where priors live at the predictors' means, `centred_sd_`.
    """
    with pm.Model(coords=spec.coords) as model:
        hyper: dict[str, TensorVariable] = {}
        for parameter in spec.hyper:
            hyper[parameter.address] = _one(parameter.address, parameter, hyper)
        etas = {name: _population(predictor, hyper) for name, predictor in spec.predictors.items()}
        for block in spec.blocks:
            for name, part in _group(block, hyper).items():
                etas[name] += part
        etas = {
            name: pt.broadcast_to(eta, (spec.design.n,)) if eta.ndim == 0 else eta
            for name, eta in etas.items()
        }
        _observe(spec, etas, hyper, masked=masked)
    return model


def _population(spec: PredictorSpec, hyper: Mapping[str, TensorVariable]) -> TensorVariable:
    """The part of a predictor that is the same for all groups; `b` on the original scale."""
    fixed, offset = spec.linear.fixed, spec.linear.offset
    eta = pt.as_tensor(offset) if offset.any() else pt.as_tensor(0.0)
    if not fixed.columns:
        return eta
    parts: list[TensorVariable] = []
    X = spec.centring.columns(fixed.X)
    of_intercept, of_slopes = of_predictor(spec)
    slopes = _placed(of_slopes, hyper) if of_slopes else None
    if of_intercept:
        intercept = _placed(of_intercept, hyper)[0]
        eta += intercept
        parts.append(pt.shape_padleft(intercept))
    if slopes is not None:
        eta += X[:, len(parts) :] @ slopes
        parts.append(slopes)
    b = pt.concatenate(parts)
    if not spec.centring.is_none:
        b = (spec.centring.to_zero * b).sum(axis=1)
    pm.Deterministic(spec.b, b, dims=spec.coefficient)
    return eta


def _group(spec: BlockSpec, hyper: Mapping[str, TensorVariable]) -> dict[str, TensorVariable]:
    """A block's part of each predictor that it reaches into."""
    block, centring = spec.block, spec.centring
    values = _numbers(spec, hyper)
    z = pm.Normal(spec.z, 0.0, 1.0, dims=(spec.level, spec.effect))
    values |= {kind: _correlation_factor(spec, cor, hyper) for kind, cor in spec.matrices.items()}
    F = _factor(spec, values)
    effects = _times(z, F) if spec.is_correlated else z * F
    if centring.is_none:
        _show_covariance(spec, F)
        pm.Deterministic(spec.r, effects, dims=(spec.level, spec.effect))
    else:
        F = _times(pt.as_tensor(centring.to_zero), F.T)
        _show_covariance(spec, F)
        pm.Deterministic(spec.r, _times(z, F), dims=(spec.level, spec.effect))
    X = centring.columns(block.X)
    if len(block.columns) == 1:
        column = effects[:, 0][block.codes]
        return {block.predictors[0]: column if (X == 1).all() else column * X[:, 0]}
    parts = effects[block.codes] * X
    names = dict.fromkeys(block.predictors)
    if len(names) == 1:
        return {name: parts.sum(axis=1) for name in names}
    places = {name: [j for j, of in enumerate(block.predictors) if of == name] for name in names}
    return {name: parts[:, own].sum(axis=1) for name, own in places.items()}


def _numbers(spec: BlockSpec, hyper: Mapping[str, TensorVariable]) -> dict[str, TensorVariable]:
    """The structure's parameters by kind, but for a correlation matrix."""
    values = {}
    for kind, each in spec.asked.items():
        own = spec.parameters[kind]
        if each.is_matrix:
            continue
        if kind not in spec.own:
            name = spec.sd if spec.centring.is_none else spec.inner
            values[kind] = _placed(of_block(spec), hyper, name, spec.effect)
        elif each.each:
            values[kind] = _placed(side_by_side(spec.own[kind], own), hyper, spec.own[kind], spec.effect)
        else:
            values[kind] = _one(spec.own[kind], own[0], hyper)
    return values


def _factor(spec: BlockSpec, values: Mapping[str, TensorVariable]) -> TensorVariable:
    """The structure's factor of its parameters: its diagonal, shape (q,), or (q, q)."""
    if not isinstance(spec.structure, Within):
        raise TypeError(f"PyMC's model of the structure {spec.structure.name!r} is not known.")
    F = spec.structure.factor(GRAPHS, values, spec.q)
    if not isinstance(F, Sequence):
        check_factor(spec.structure, F.ndim, 2 if spec.is_correlated else 1)
        return F
    rows = rows_of(spec.structure, F, spec.q)
    if not spec.is_correlated:
        return pt.stack([row[-1] for row in rows])
    return pt.stacklists([[*row, *[pt.zeros(())] * (spec.q - len(row))] for row in rows])


def _show_covariance(spec: BlockSpec, F: TensorVariable) -> None:
    """Standard deviations and correlations as tables show them, where they are not parameters themselves; F at zero."""
    known = spec.centring.is_none and spec.sds
    sd = pm.modelcontext(None)[spec.sd] if known else pt.sqrt((F**2).sum(axis=1)) if F.ndim > 1 else F
    if not known:
        pm.Deterministic(spec.sd, sd, dims=spec.effect)
    if spec.is_correlated:
        L = F / sd[:, None]
        pm.Deterministic(spec.correlation, _times(L, L), dims=(spec.effect, spec.other))


def _times(A: TensorVariable, B: TensorVariable) -> TensorVariable:
    """A B^T, for a B of few rows: as a sum, for a product of matrices takes two seconds more to compile."""
    return (A[:, None, :] * B[None, :, :]).sum(axis=-1)


def _correlation_factor(
    spec: BlockSpec, cor: Parameter, hyper: Mapping[str, TensorVariable]
) -> TensorVariable:
    """The Cholesky factor L (q x q) of a correlation matrix with an LKJ(eta) prior.

    The canonical partial correlations w[i, k] of the C-vine are independent, and (w + 1) / 2 of column
    k = 0, 1, ... is Beta(a_k, a_k) with a_k = eta + (q - 2 - k) / 2; then

        L[i, k] = w[i, k] sqrt(prod_{j < k} (1 - w[i, j]^2)),  L[i, i] = sqrt(prod_{j < i} (1 - w[i, j]^2)).

    Source: Lewandowski, Kurowicka & Joe (2009), Generating random correlation matrices based on vines
    and extended onion method, section 2.4.
    """
    eta = _arguments(cor.prior, hyper)["eta"]
    q = len(spec.block.columns)
    rows, columns = np.tril_indices(q, -1)
    shape = eta + (q - 2 - columns) / 2
    w = 2 * pm.Beta(spec.partial, shape, shape, shape=len(rows)) - 1
    if q == 2:
        return pt.stacklists([[pt.ones(()), pt.zeros(())], [w[0], pt.sqrt(1 - w[0] ** 2)]])
    W = pt.set_subtensor(pt.zeros((q, q))[rows, columns], w)
    left = pt.sqrt(pt.cumprod(1 - W**2, axis=1))
    return (W + pt.eye(q)) * pt.concatenate([pt.ones((q, 1)), left[:, :-1]], axis=1)


def _observe(
    spec: ModelSpec, etas: Mapping[str, TensorVariable], hyper: Mapping[str, TensorVariable], *, masked: bool
) -> None:
    """The density of the response: PyMC's own distribution where it has one."""
    y, family = spec.design.response, spec.family
    parameters: dict[str, Any] = {
        name: FromPredictor(spec.predictors[name].link, eta) for name, eta in etas.items()
    }
    parameters |= {p.address: _one(p.address, p, hyper) for p in spec.auxiliary}
    values = Values(GRAPHS, parameters, y.additions)
    observed = y.values.astype(np.int64) if family.is_discrete else y.values
    if masked:
        included = pm.Data(INCLUDED, np.ones(spec.design.n))
        pm.Potential(
            spec.response, pt.switch(included > 0, _log_likelihood(family, observed, values), 0.0).sum()
        )
        return
    pm.modelcontext(None).add_coord(OBSERVATION, np.asarray(spec.design.rows.kept))
    known: dict[str, Any] = {"observed": observed, "dims": OBSERVATION}
    if family.pymc is None or WEIGHTS in values.additions:
        _custom(spec.response, family, values, **known)
    else:
        getattr(pm, family.pymc.distribution)(spec.response, **family.pymc.arguments(values), **known)


def _log_likelihood(family: Family, observed: np.ndarray, values: Values) -> TensorVariable:
    """Of each row, shape (n,)."""
    if family.pymc is None or WEIGHTS in values.additions:
        return pt.as_tensor(family.log_likelihood(observed, values))
    distribution = getattr(pm, family.pymc.distribution)
    return pm.logp(distribution.dist(**family.pymc.arguments(values)), observed)


def _custom(name: str, family: Family, values: Values, **known: Any) -> None:
    """The response of a family that PyMC has no distribution for, or weighted, by the family's own log density and draws."""
    names = (*values.parameters, *values.additions)
    numbers = [v.eta if isinstance(v, FromPredictor) else v for v in values.parameters.values()]

    def again(maths: Maths, found: Sequence[Any]) -> Values:
        by_name = dict(zip(names, found, strict=True))
        parameters = {
            key: replace(value, eta=by_name[key]) if isinstance(value, FromPredictor) else by_name[key]
            for key, value in values.parameters.items()
        }
        return Values(maths, parameters, {key: by_name[key] for key in values.additions})

    def random(*found: Any, rng: np.random.Generator, size: Any) -> np.ndarray:
        own = found if size is None else [np.broadcast_to(value, size) for value in found]
        return np.asarray(family.draw(rng, again(ARRAYS, own)))

    pm.CustomDist(
        name,
        *numbers,
        *values.additions.values(),
        logp=lambda y, *found: family.log_likelihood(y, again(GRAPHS, found)),
        random=random,
        signature=",".join(["()"] * len(names)) + "->()",
        dtype="int64" if family.is_discrete else "float64",
        **known,
    )


def _placed(
    placements: Sequence[Placement],
    hyper: Mapping[str, TensorVariable],
    name: str | None = None,
    dims: str | None = None,
) -> TensorVariable:
    """Parameters side by side, shape (number,), from the variables that hold them.

    A value is `location + scale * v` where v is in units of the data; v has the prior shifted and stretched to match, so
    that the value has exactly the prior asked for.
    """
    if len(placements) == 1:
        return _variable(placements[0], hyper, dims)
    whole = pt.concatenate([_variable(each, hyper, None) for each in placements])
    return whole if name is None else pm.Deterministic(name, whole, dims=dims)


def _variable(each: Placement, hyper: Mapping[str, TensorVariable], dims: str | None) -> TensorVariable:
    prior, support = each.parameters[0].prior, each.parameters[0].support
    named = [_arguments(p.prior, hyper) for p in each.parameters]
    joined = {key: _side_by_side([arguments[key] for arguments in named]) for key in named[0]}
    size: dict[str, Any] = {"dims": dims} if dims else {"shape": len(each.parameters)}
    if not each.is_scaled:
        return _random(each.name, prior, support, joined, **size)
    if (known := DISTRIBUTIONS[prior.distribution].located) is not None:
        where, unit = known
        joined |= {where: (joined[where] - each.location) / each.scale, unit: joined[unit] / each.scale}
    return each.location + each.scale * _random(each.name, prior, REAL, joined, **size)


def _one(name: str, parameter: Parameter, hyper: Mapping[str, TensorVariable]) -> TensorVariable:
    return _random(name, parameter.prior, parameter.support, _arguments(parameter.prior, hyper))


def _random(
    name: str, prior: Prior, support: Interval, arguments: Mapping[str, Any], **size: Any
) -> TensorVariable:
    """One random variable, cut to the parameter's support."""
    known = DISTRIBUTIONS[prior.distribution]
    if is_half(prior, support) and known.half and known.half_names is not None:
        named = {theirs: arguments[ours] for theirs, ours in known.half_names.items()}
        return getattr(pm, known.half)(name, **named, **size)
    named = {theirs: arguments[ours] for theirs, ours in known.names.items()}
    distribution = getattr(pm, known.pymc)
    if support.holds(prior.support):
        return distribution(name, **named, **size)
    lower = support.lower if np.isfinite(support.lower) else None
    upper = support.upper if np.isfinite(support.upper) else None
    if prior.distribution == "flat":  # which nobody can draw from: it begins where the interval says
        kept = pm.distributions.transforms.Interval(lower, upper)
        return distribution(name, **size, default_transform=kept, initval=_inside(support))
    return pm.Truncated(name, distribution.dist(**named), lower=lower, upper=upper, initval="prior", **size)


def _inside(support: Interval) -> float:
    """A number of the interval, away from its ends."""
    if np.isfinite(support.lower) and np.isfinite(support.upper):
        return (support.lower + support.upper) / 2
    return support.lower + 1 if np.isfinite(support.lower) else support.upper - 1


def _arguments(prior: Prior, hyper: Mapping[str, TensorVariable]) -> dict[str, Any]:
    """Stan's arguments by name, references followed."""
    return {
        name: hyper[value.address] if isinstance(value, Reference) else value
        for name, value in prior.named.items()
    }


def _side_by_side(values: Sequence[Any]) -> Any:
    if all(isinstance(value, float) for value in values):
        return np.array(values)
    if all(value is values[0] for value in values):
        return values[0]
    return pt.stack(list(values))
