"""Where the density of theta may have its modes: moments of the data -> starts, from which modes are climbed to.

A posterior of few groups, or of predictors far from zero, can have a second mode where an sd is all but zero, and from
one start the lesser may be found. Starts are spread: over all that effects could be, over what each factor's moments say
that they are, and at random about these. Source of the moments' way: Dempster, Laird & Rubin (1977), section 4.4,
expectation-maximisation for variance components.
"""

from collections.abc import Sequence

import numpy as np

from mixedbayes.inference.gaussian.collapsed import Collapsed
from mixedbayes.inference.gaussian.coordinates import Partial, is_diagonal, partial_names, partials
from mixedbayes.models.covariances import sds_and_correlations
from mixedbayes.models.spec import BlockSpec

STEPS = (1, 6, 40)
"""Of expectation-maximisation, after which its variances are a start: effects hardly shrunken, and more and more so."""

NEGLIGIBLE = 0.02
"""What is left of a factor's sds in the starts that do without it."""

PARTS = (0.5, 1e-3)
"""Of what least squares leave of y's variance, the residual's before the first step: groups then differ little or wholly."""

LEAST_SPAN = 1e-12
"""Of the columns' mean squares, in units in which each is 1: less in a direction, and they do not span it."""

LEAST_MIRRORED = 0.5
"""Atanh of a partial correlation, below which its negative is the same place."""

JUMPS = (0.0, 0.5, 3.0)
"""Standard deviations by which a coordinate of a start is moved at random; they are logs."""


def starts(density: Collapsed) -> np.ndarray:
    """Thetas to begin from, shape (n, d), those that the data alone suggest."""
    units, size = [_of_factor(density, i) for i in range(len(density.blocks))], density.size
    plain = [np.diag((0.4 * unit) ** 2) for unit in units]
    found = [_theta(density, plain, 0.7 * size)]
    if not units or not density.moments.n:  # no groups, or no row that counts
        return np.array(found)
    for part in PARTS:
        fitted = [_by_moments(density, i, unit, part) for i, unit in enumerate(units)]
        for step in range(len(STEPS)):
            covariances, sigma = [each[step][0] for each in fitted], min(each[step][1] for each in fitted)
            found.append(_theta(density, covariances, sigma))
            if len(fitted) > 1 and step == 1:
                found += [
                    _theta(density, _only(covariances, i), each[step][1]) for i, each in enumerate(fitted)
                ]
    found.append(_theta(density, [NEGLIGIBLE**2 * covariance for covariance in plain], size))
    return np.array(found)


def spread(thetas: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Thetas and n more about them, some of their coordinates moved a little and some far."""
    moved = thetas[rng.integers(len(thetas), size=n)]
    jumps = rng.choice(JUMPS, size=moved.shape) * rng.standard_normal(moved.shape)
    return np.concatenate([thetas, moved + jumps])


def mirrored(density: Collapsed, mode: np.ndarray) -> np.ndarray:
    """The mode with each of its partial correlations that is far from zero negated, shape (n, d).

    Where groups hardly tell two effects apart, as all but collinear ones, either sign of their correlation may have a mode.
    """
    coordinates = enumerate(density.variances.coordinates)
    far = [j for j, each in coordinates if isinstance(each, Partial) and abs(mode[j]) > LEAST_MIRRORED]
    signs = np.ones((len(far), len(mode)))
    signs[range(len(far)), far] = -1.0
    return signs * mode


def apart(thetas: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Places of the n best thetas, none of them within a unit of a better one in all coordinates."""
    chosen: list[int] = []
    for i in np.argsort(-values):
        if len(chosen) == n or not np.isfinite(values[i]):
            break
        if all(np.abs(thetas[i] - thetas[j]).max() > 1.0 for j in chosen):
            chosen.append(int(i))
    return np.array(chosen, dtype=int)


def units_of(density: Collapsed) -> dict[str, float]:
    """By address the sds with which effects would move y by as much as y varies, and sigma's.

    Where effects share one, it has the least of them.
    """
    specs, residual = density.variances.spec.blocks, density.variances.spec.residual
    units = {} if residual is None else {residual: density.size}
    for i, places in enumerate(density.blocks):
        left = _of_factor(density, i)
        for spec in (specs[place] for place in places):
            own, left = left[: spec.q], left[spec.q :]
            units |= _as_sds(spec, own, own.min())
    return units


def _as_sds(spec: BlockSpec, each: np.ndarray, of_all: float) -> dict[str, float]:
    """By address the standard deviations of a block's effects; where its structure has one for all, what that is."""
    parameters = spec.parameters.get("sd", ())
    numbers = each if spec.sds else [of_all] * len(parameters)
    return {p.address: float(number) for p, number in zip(parameters, numbers, strict=True)}


def _of_factor(density: Collapsed, factor: int) -> np.ndarray:
    """The sds of a factor's effects with which they would move y by as much as y varies, shape (q,).

    A column of zeros, as subsets of rows may have, moves nothing: its sds are what the priors say.
    """
    variances, sums = density.variances, density.moments
    known = variances.at(variances.start({})[None]).factors
    factors = [known[i] for i in density.blocks[factor]]
    said = np.concatenate([F if is_diagonal(F) else np.sqrt(np.square(F).sum(axis=1)) for F in factors])[:, 0]
    squares = np.einsum("laa->a", sums.own[factor]) / density.n
    return np.where(squares > 0, density.size / np.sqrt(np.where(squares > 0, squares, 1.0)), said)


def _only(covariances: Sequence[np.ndarray], i: int) -> list[np.ndarray]:
    """All but one of them made small."""
    return [each if j == i else NEGLIGIBLE**2 * each for j, each in enumerate(covariances)]


def _by_moments(
    density: Collapsed, factor: int, unit: np.ndarray, part: float
) -> list[tuple[np.ndarray, float]]:
    """Covariances of a factor's effects and sigma as if there were no other factor, after each of `STEPS`.

    With e_l = Z_l'(y - Xb), b by least squares, the effects of level l are N(V_l e_l, sigma^2 V_l); their mean squares
    are the next covariance, those of the residual the next sigma^2. The first covariance is as wide as y in every
    direction that columns span: of a predictor far from zero, intercept and slope are then as good as one.
    """
    sums, n = density.moments, density.n
    b = np.linalg.lstsq(sums.total[:-1, :-1], sums.total[:-1, -1], rcond=None)[0]
    a = np.append(-b, 1.0)
    left = float(a @ sums.total @ a)
    own = sums.own[factor] * unit[:, None] * unit  # effects in their units
    e = (sums.border[factor] @ a) * unit
    least = (2 * density.least_sigma) ** 2
    mask = _pattern(density, factor)
    values, vectors = np.linalg.eigh(own.sum(axis=0) / n)
    covariance = np.eye(len(unit)) + (vectors / np.where(values > LEAST_SPAN, values, np.inf)) @ vectors.T
    is_known = density.variances.spec.residual is None
    covariance, sigma2 = covariance * mask, 1.0 if is_known else max(part * left / n, least)
    found = []
    for step in range(1, STEPS[-1] + 1):
        F = np.linalg.cholesky(covariance)
        S = F.T @ own @ F + sigma2 * np.eye(len(F))
        V = F @ np.linalg.solve(S, np.broadcast_to(F.T, S.shape))
        u = np.einsum("lab,lb->la", V, e)
        rest = left - 2 * np.sum(u * e) + np.einsum("la,lab,lb->", u, own, u) + sigma2 * np.sum(V * own)
        covariance = (u.T @ u + sigma2 * V.sum(axis=0)) / len(u) * mask
        covariance = 0.5 * (covariance + covariance.T) + 1e-12 * np.eye(len(F))
        sigma2 = 1.0 if is_known else max(float(rest) / n, least)
        if step in STEPS:
            found.append((covariance * unit[:, None] * unit, float(np.sqrt(sigma2))))
    return found


def _pattern(density: Collapsed, factor: int) -> np.ndarray:
    """Which of a factor's effects may be correlated, shape (q, q)."""
    specs = [density.variances.spec.blocks[i] for i in density.blocks[factor]]
    q = sum(spec.q for spec in specs)
    mask, start = np.eye(q), 0
    for spec in specs:
        stop = start + spec.q
        if spec.is_correlated:
            mask[start:stop, start:stop] = 1.0
        start = stop
    return mask


def _theta(density: Collapsed, covariances: Sequence[np.ndarray], sigma: float) -> np.ndarray:
    """The theta of such covariances of each factor's effects, sds brought inside the ends of their priors."""
    variances = density.variances
    residual = variances.spec.residual
    guesses = {} if residual is None else {residual: sigma}
    for covariance, places in zip(covariances, density.blocks, strict=True):
        start = 0
        for spec in (variances.spec.blocks[i] for i in places):
            stop = start + spec.q
            sds, R = sds_and_correlations(covariance[start:stop, start:stop])
            guesses |= _as_sds(spec, sds, float(np.sqrt(np.mean(sds**2))))
            if spec.cor is not None:
                guesses |= zip(partial_names(spec), np.concatenate(partials(R[None])).tolist(), strict=True)
            start = stop
    return variances.start(guesses)
