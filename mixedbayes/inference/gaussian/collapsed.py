"""The collapsed density of a Gaussian model, its gradient, and exact draws of all that it integrates out.

    y = X b + sum_k Z_k u_k + e,   e ~ N(0, sigma^2 W^-1),   u_k,l ~ N(0, F_k F_k'),   b ~ N(b0, diag(s)^2)

Given theta (what the F_k, sigma, b0 and s are made of) all of it is Gaussian. With v = (u, b - b0) = F w,
F = diag(F_k, s), a = (0, -b0, 1) and C = [Z, X, y]'W[Z, X, y], which is `Moments`,

    log p(y | theta) = -1/2 [n log(2 pi sigma^2) - sum log W + log|S / sigma^2| + (a'C a - k'S^-1 k) / sigma^2]
    S = F'C_vv F + sigma^2 I,   k = F'C_v. a,   w | theta, y ~ N(S^-1 k, sigma^2 S^-1).

The factors in `elimination.stages_of` are eliminated level by level; what is left, the root, takes one dense
Cholesky factorisation. `docs/internals.md` derives both.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from mixedbayes.inference.gaussian.coordinates import (
    STEP,
    Point,
    Variances,
    is_diagonal,
    is_flat,
    joined,
    side_by_side,
)
from mixedbayes.inference.gaussian.dense import SMALL
from mixedbayes.inference.gaussian.elimination import (
    MAX_DENSE,
    Eliminated,
    Products,
    Stage,
    between,
    conditional,
    eliminate,
    has_one_level,
    products_of,
    products_size,
    rest_gradient,
    stage_gradient,
    stages_of,
    sum_by_parent,
    update,
    update_of_all,
)
from mixedbayes.inference.gaussian.moments import Moments
from mixedbayes.inference.gaussian.prior_densities import LOG_2PI
from mixedbayes.inference.gaussian.root import Prior, Root, factorise, gradient

AT_ONCE = 2**16
"""Numbers in an array over thetas and levels, about: a dozen of them fit in a processor's cache."""

MAX_PASSED = 2**24
"""Numbers that a stage passes to its parents, at all thetas at once."""

LEAST_AT_ONCE = 16
"""Thetas at once, where levels can be taken in pieces."""


@dataclass(frozen=True, eq=False, slots=True)
class Reduced:
    """What is left at B thetas once levels are eliminated, before the root is factorised.

    Attributes:
        point: What the thetas stand for.
        factors: For each grouping factor the F of its effects, shape (q, q, B), or its diagonal, (q, B).
        stages: The stages eliminated; none where there is only one, which is made again piece by piece.
        log_det: The sum of their log|S|, shape (B,).
        K: The root, shape (B, m + 1, m + 1); on and above its diagonal, if it is large.
    """

    point: Point
    factors: tuple[np.ndarray, ...]
    stages: tuple[Eliminated, ...]
    log_det: np.ndarray
    K: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """The linear algebra at B thetas: enough for the density, its gradient and draws.

    Attributes:
        point: What the thetas stand for.
        factors: For each grouping factor the F of its effects, shape (q, q, B), or its diagonal, (q, B).
        stages: The stages eliminated; none where there is only one, which is made again piece by piece.
        root: The rest.
        log_density: log p(theta | y) up to a constant, shape (B,); minus infinity where it cannot be computed.
    """

    point: Point
    factors: tuple[np.ndarray, ...]
    stages: tuple[Eliminated, ...]
    root: Root
    log_density: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """One draw of all that is integrated out at each of B thetas, at zero of all predictors.

    Attributes:
        coefficients: Shape (B, p).
        effects: For each grouping factor, shape (kept, L, q).
        sums: For each grouping factor the sums over the B thetas of the mean that effects were drawn from given
            what stands above them in the elimination, of its squared distance from the average of the B, and of
            the variance; shape (3, L, q).
    """

    coefficients: np.ndarray
    effects: tuple[np.ndarray, ...]
    sums: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Collapsed:
    """log p(theta | y) up to a constant.

    Attributes:
        variances: The coordinates of theta.
        moments: Of the same model.
        out: Places of the model's rows that are not in the moments.
    """

    variances: Variances
    moments: Moments
    out: np.ndarray = field(default_factory=lambda: np.array([], dtype=np.int64))

    @cached_property
    def shift(self) -> np.ndarray:
        """What the moments' frame took off y, in coefficients, shape (p,): b0 is measured from it."""
        shift = np.zeros(len(self.flat))
        if self.variances.spec.main.intercept is not None:
            shift[0] = self.moments.frame.location
        return shift

    @cached_property
    def to_zero(self) -> tuple[np.ndarray, ...]:
        """For each grouping factor what brings its effects from where their priors live to zero, shape (q, q)."""
        return tuple(side_by_side([self.moments.frame.groups[i] for i in blocks]) for blocks in self.blocks)

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """For each grouping factor its blocks in the model."""
        return tuple(factor.blocks for factor in self.moments.factors)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The factors eliminated level by level."""
        return stages_of(self.moments)

    @cached_property
    def crossed(self) -> tuple[int, ...]:
        """The factors that stay in the root."""
        eliminated = {stage.factor for stage in self.stages}
        return tuple(i for i in range(len(self.moments.groups)) if i not in eliminated)

    @cached_property
    def ends(self) -> list[int]:
        """Where in the root each crossed factor's effects begin, and the coefficients."""
        sizes = [self.moments.own[i].shape[0] * self.moments.own[i].shape[1] for i in self.crossed]
        return [0, *np.cumsum(sizes, dtype=int).tolist()]

    @cached_property
    def flat(self) -> np.ndarray:
        """Which coefficients have flat priors, shape (p,)."""
        return np.array([is_flat(p) for p in self.variances.coefficients], dtype=bool)

    @property
    def m(self) -> int:
        """The root's side."""
        return self.ends[-1] + len(self.flat)

    @property
    def columns(self) -> int:
        """Effects and coefficients."""
        return self.m + sum(stage.effects for stage in self.stages)

    @property
    def degrees_of_freedom(self) -> float:
        """Rows, as weights count them, less effects and coefficients; it may be negative."""
        return self.moments.n - self.columns

    @property
    def n(self) -> float:
        """Rows, as weights count them; 1 where all that there are have none, so that it divides."""
        return self.moments.n or 1.0

    @cached_property
    def size(self) -> float:
        """The root mean square of y as the moments' frame has it; 1 where y is zero."""
        return float(np.sqrt(self.moments.total[-1, -1] / self.n)) or 1.0

    @property
    def least_sigma(self) -> float:
        """A sigma beside which sums of squares of y are lost in rounding: it moves the log density by some tenths.

        That is, n eps (size / sigma)^2 is 1. What was measured, n being 100 to a million, is a tenth to a half of it.
        """
        return self.size * float(np.sqrt(np.finfo(float).eps * self.moments.n))

    @cached_property
    def penalty(self) -> np.ndarray:
        """1, and 0 for coefficients with flat priors; shape (m,)."""
        return np.concatenate([np.ones(self.ends[-1]), 1.0 - self.flat])

    @cached_property
    def coupling(self) -> sparse.csr_array | None:
        """Z'WZ of the eliminated factor and the crossed ones, shape (L q, m - p), sparse.

        None if there are none, or all have one level: these are dense, and the stages hold them beside X.
        """
        if all(has_one_level(self.moments, i) for i in self.crossed):
            return None
        eliminated = self.stages[0].factor
        return sparse.hstack([between(self.moments, eliminated, j) for j in self.crossed], format="csr")

    @cached_property
    def products_size(self) -> int:
        """Numbers that say how the only stage enters the root; 0 if there is more than one stage, or none."""
        return products_size(self.stages[0], self.coupling) if len(self.stages) == 1 else 0

    @cached_property
    def products(self) -> Products | None:
        """How the only stage enters the root."""
        if len(self.stages) != 1 or (self.coupling is None and self.products_size > MAX_DENSE):
            return None
        return products_of(self.stages[0], self.coupling)

    @cached_property
    def pieces(self) -> list[slice]:
        """The levels of the only stage, as many at once as suit the processor's cache."""
        L = self.stages[0].own.shape[-1]
        if self.products is None or self.products.are_sparse:
            return [slice(0, L)]
        step = AT_ONCE // LEAST_AT_ONCE
        return [slice(i, min(i + step, L)) for i in range(0, L, step)]

    @cached_property
    def batch(self) -> int:
        """Thetas that are worked on at once."""
        levels = max([1, *(stage.own.shape[-1] for stage in self.stages)])
        if self.products is not None and not self.products.are_sparse:
            levels = min(levels, AT_ONCE // LEAST_AT_ONCE)
        passed = [
            stage.rest.shape[1] ** 2 * stage.rest.shape[-1] for stage in self.stages[:-1]
        ]  # to parents, by level
        most = min([1024, *(MAX_PASSED // each for each in passed)])
        return int(np.clip(AT_ONCE // max(levels, self.m**2 // 8), 1, max(most, 1)))

    @cached_property
    def constant(self) -> np.ndarray:
        """The root before anything is eliminated, shape (m + 1, m + 1)."""
        start, K = self.ends[-1], np.zeros((self.m + 1, self.m + 1))
        K[start:, start:] = self.moments.total
        for place, i in enumerate(self.crossed):
            rows = slice(self.ends[place], self.ends[place + 1])
            own, border = self.moments.own[i], self.moments.border[i]
            L, q, _ = own.shape
            at = rows.start + np.arange(L * q).reshape(L, q)
            K[at[:, :, None], at[:, None, :]] = own
            K[rows, start:] = border.reshape(L * q, -1)
            K[start:, rows] = K[rows, start:].T
            for other, j in enumerate(self.crossed[:place]):
                columns = slice(self.ends[other], self.ends[other + 1])
                K[rows, columns] = between(self.moments, i, j).toarray()
                K[columns, rows] = K[rows, columns].T
        return K

    def log_posterior(self, theta: np.ndarray) -> np.ndarray:
        """The log density at B thetas, (B, d) -> (B,); minus infinity where it cannot be computed."""
        return self.solve(theta).log_density

    def log_posterior_and_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The log density and its gradient at B thetas, shapes (B,) and (B, d)."""
        solved = self.solve(theta)
        with np.errstate(all="ignore"):
            return solved.log_density, self._gradient(theta, solved)

    def solve(self, theta: np.ndarray) -> Solved:
        """Eliminate stage by stage, then factorise the root."""
        return self.finish(self.reduce(theta))

    def reduce(self, theta: np.ndarray) -> Reduced:
        """Eliminate stage by stage."""
        with np.errstate(all="ignore"):  # a proposal may lie anywhere; what overflows has no density
            point = self.variances.at(theta)
            factors = tuple(joined([point.factors[i] for i in blocks]) for blocks in self.blocks)
            return Reduced(point, factors, *self._eliminate(factors, point.sigma))

    def finish(self, reduced: Reduced) -> Solved:
        """Factorise the root; it is changed in place."""
        point, factors = reduced.point, reduced.factors
        with np.errstate(all="ignore"):  # as above
            prior = Prior(tuple(factors[i] for i in self.crossed), point.scale.T, self.ends, self.penalty)
            a = np.zeros((len(point.sigma), self.m + 1))
            a[:, self.ends[-1] : -1] = self.shift - point.location.T
            a[:, -1] = 1.0
            root = factorise(reduced.K, prior, point.sigma, a)
            log_likelihood = -0.5 * (
                (self.moments.n - self.flat.sum()) * LOG_2PI
                + self.degrees_of_freedom * 2 * np.log(point.sigma)
                - self.moments.log_precision
                + reduced.log_det
                + root.log_det
                + root.quadratic / point.sigma**2
                + (self.penalty * root.w**2).sum(axis=1)
            )
            log_density = log_likelihood + point.log_prior
        is_known = np.isfinite(log_density) & (point.sigma > self.least_sigma)
        log_density = np.where(is_known, log_density, -np.inf)
        return Solved(point, factors, reduced.stages, root, log_density)

    def reduce_without(self, reduced: Reduced, rest: "Collapsed", levels: np.ndarray) -> Reduced:
        """What `rest.reduce` makes, from what is known with all rows: work for the levels that lose rows alone.

        For one stage and no crossed factor. What other levels take off the root stays as it is.

        Args:
            reduced: At the same thetas, with all rows.
            rest: The density without some rows.
            levels: Those that lose rows, of the only stage.
        """
        F, sigma = reduced.factors[self.stages[0].factor][..., None], reduced.point.sigma
        K, log_det = reduced.K + (rest.constant - self.constant), reduced.log_det
        with np.errstate(all="ignore"):  # as above
            for density, sign in ((self, 1.0), (rest, -1.0)):
                own, border = (part[..., levels] for part in (density.stages[0].own, density.stages[0].rest))
                stage = conditional(own, border, F, sigma)
                K += sign * update_of_all(stage)
                log_det = log_det - sign * stage.log_det
        return Reduced(reduced.point, reduced.factors, (), log_det, K)

    def _eliminate(
        self, factors: tuple[np.ndarray, ...], sigma: np.ndarray
    ) -> tuple[tuple[Eliminated, ...], np.ndarray, np.ndarray]:
        """The stages, if there are several, the sum of their log|S|, and what they leave for the root."""
        K = np.repeat(self.constant[None], len(sigma), axis=0)
        log_det = np.zeros(len(sigma))
        if self.products is not None:
            for levels, stage in self._first(factors, sigma, conditional):
                self.products.take_from(K, stage.V, levels)
                log_det += stage.log_det
            if self.m + 1 < SMALL:
                K[:, self.products.rows, self.products.columns] = K[
                    :, self.products.columns, self.products.rows
                ]
            return (), log_det, K
        stages: list[Eliminated] = []
        carried: np.ndarray | None = None
        for constant in self.stages:
            own, rest = constant.own, constant.rest
            if carried is not None:
                q = len(own)
                own, rest, carried = own - carried[:q, :q], rest - carried[:q, q:], carried[q:, q:]
            stage = eliminate(own, rest, factors[constant.factor][..., None], sigma)
            stages.append(stage)
            log_det += stage.log_det
            if constant.parent is None:
                K -= update_of_all(stage)
                K -= 0.0 if carried is None else np.moveaxis(carried.sum(axis=-1), -1, 0)
            else:
                taken = update(stage) if carried is None else update(stage) + carried
                carried = sum_by_parent(taken, constant.parent, self.stages[len(stages)].own.shape[-1])
        return tuple(stages), log_det, K

    def _first(
        self,
        factors: tuple[np.ndarray, ...],
        sigma: np.ndarray,
        way: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Eliminated],
    ) -> Iterator[tuple[slice, Eliminated]]:
        """The only stage, piece by piece of its levels."""
        constant = self.stages[0]
        for levels in self.pieces:
            own, rest = constant.own[..., levels], constant.rest[..., levels]
            yield levels, way(own, rest, factors[constant.factor][..., None], sigma)

    def draw(self, solved: Solved, rng: np.random.Generator, kept: np.ndarray | None = None) -> Drawn:
        """Draw all that is integrated out, exactly, at each theta.

        Args:
            solved: From `solve`, at B thetas.
            rng: The source of randomness.
            kept: Of which thetas the effects are wanted, shape (B,); None for all, and then no sums either.
        """
        wanted = np.ones(len(solved.log_density), dtype=bool) if kept is None else kept
        x = solved.root.draw(solved.point.sigma, rng)
        summed = kept is not None
        effects, sums = self._drawn_in_root(x, wanted, summed=summed)
        above: dict[int, np.ndarray] = {}  # of the later stages, (q, B, L)
        for place in range(len(self.stages) - 1, -1, -1):
            factor = self.stages[place].factor
            T, (L, q) = self.to_zero[factor], self.moments.own[factor].shape[:2]
            drawn = np.ones_like(wanted) if place else wanted  # what is below needs all
            effects[factor], sums[factor] = np.empty((int(wanted.sum()), L, q)), np.empty((3, L, q))
            for levels, stage, mean, values in self._draw_stage(place, solved, x, above, drawn, rng):
                here = values
                if place:
                    above[factor], here = values, values[:, wanted]
                effects[factor][:, levels] = np.moveaxis(_times(T, here), 0, -1)
                if summed:
                    variance = np.einsum("abkl,ab,k->al", _times(T, stage.V), T, solved.point.sigma**2)
                    sums[factor][:, levels] = np.swapaxes([*_sums(_times(T, mean), axis=1), variance], 1, 2)
        order = range(len(self.moments.groups))
        return Drawn(
            (x[:, self.ends[-1] :] + solved.point.location.T) @ self.moments.frame.fixed.T,
            tuple(effects[i] for i in order),
            tuple(sums[i] for i in order) if summed else (),
        )

    def _drawn_in_root(
        self, x: np.ndarray, wanted: np.ndarray, *, summed: bool
    ) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """The crossed factors' effects of a draw of the root, (kept, L, q), and their sums, (3, L, q), at zero."""
        effects, sums = {}, {}
        for place, i in enumerate(self.crossed):
            L, q = self.moments.own[i].shape[:2]
            values = x[:, self.ends[place] : self.ends[place + 1]].reshape(len(x), L, q)
            values = values if _is_one(self.to_zero[i]) else values @ self.to_zero[i].T
            effects[i] = values[wanted]
            if summed:
                sums[i] = np.stack([*_sums(values, axis=0), np.zeros((L, q))])
        return effects, sums

    def _draw_stage(
        self,
        place: int,
        solved: Solved,
        x: np.ndarray,
        above: Mapping[int, np.ndarray],
        drawn: np.ndarray,
        rng: np.random.Generator,
    ) -> Iterator[tuple[slice, Eliminated, np.ndarray, np.ndarray]]:
        """Draw the effects of one stage given those above it, where priors live, piece by piece of its levels.

        Args:
            place: The stage's; of all but the first there is one piece.
            solved: At B thetas.
            x: The draw of the root, shape (B, m).
            above: Of later stages the effects, shape (q, B, L).
            drawn: At which thetas, shape (B,).
            rng: The source of randomness.

        Yields:
            The levels, the stage at these, the effects' mean, shape (q, B, levels), and the effects, (q, drawn, levels).
        """
        constant, sigma, start = self.stages[place], solved.point.sigma, self.ends[-1]
        q, L = constant.own.shape[0], constant.own.shape[-1]
        root = [] if self.coupling is not None else [-x[:, :start]]
        border = np.column_stack(
            [*root, self.shift - x[:, start:] - solved.point.location.T, np.ones(len(x))]
        )
        whole = [(slice(0, L), solved.stages[place])] if solved.stages else []
        for levels, stage in whole or self._first(solved.factors, sigma, conditional):
            e = _contract(stage.rest, self._at_parents(place, above, border.T[:, :, None]))
            if self.coupling is not None:
                e = e - np.moveaxis((self.coupling @ x[:, :start].T).reshape(L, q, -1), 0, -1)
            mean = np.einsum("ab...,b...->a...", stage.V, e)
            noise = rng.standard_normal((q, int(drawn.sum()), mean.shape[-1]))
            moved = np.einsum("acbl,abl->cbl", stage.half[:, :, drawn], noise)
            yield levels, stage, mean, mean[:, drawn] + sigma[drawn, None] * moved

    def _at_parents(self, place: int, above: Mapping[int, np.ndarray], border: np.ndarray) -> np.ndarray:
        """Less the later stages' effects at each level of a stage, and the border, shape (w, B, L or 1)."""
        level, parts = self.stages[place].parent, []
        if level is None:
            return border
        for later in self.stages[place + 1 :]:
            parts.append(-above[later.factor][..., level])
            level = None if later.parent is None else later.parent[level]
        return np.concatenate([*parts, np.broadcast_to(border, (len(border), *parts[0].shape[1:]))])

    def _gradient(self, theta: np.ndarray, solved: Solved) -> np.ndarray:
        """The gradient at B thetas, shape (B, d)."""
        sigma = solved.point.sigma
        bars = gradient(solved.root, sigma)
        sigma2_bar = bars.sigma2 - 0.5 * self.degrees_of_freedom / sigma**2
        F_bars = dict(zip(self.crossed, bars.factors, strict=True))
        if self.products is not None:
            factor = self.stages[0].factor
            F_bars[factor] = np.zeros_like(solved.factors[factor])
            for levels, stage in self._first(solved.factors, sigma, eliminate):
                F_bar, own_sigma2_bar, _ = stage_gradient(stage, -self.products.adjoint(bars.K, levels))
                F_bars[factor] += F_bar
                sigma2_bar = sigma2_bar + own_sigma2_bar
        else:
            sigma2_bar = sigma2_bar + self._chain_gradient(solved, bars.K, F_bars)
        steps = self.variances.steps(theta)

        def slope(values: np.ndarray) -> np.ndarray:
            return values.imag.reshape(*values.shape[:-1], len(theta), self.variances.size) / STEP

        result = slope(steps.log_prior) + (sigma2_bar * 2 * sigma)[:, None] * slope(steps.sigma)
        result += np.einsum("bp,pbd->bd", bars.location, slope(steps.location))
        result += np.einsum("bp,pbd->bd", bars.scale, slope(steps.scale))
        for i, blocks in enumerate(self.blocks):
            dF = slope(joined([steps.factors[j] for j in blocks]))
            result += np.einsum("ab,abd->bd" if is_diagonal(F_bars[i]) else "acb,acbd->bd", F_bars[i], dF)
        return result

    def _chain_gradient(self, solved: Solved, K_bar: np.ndarray, F_bars: dict[int, np.ndarray]) -> np.ndarray:
        """From the last stage back to the first: fill in F_bars, return the derivative by sigma^2, shape (B,)."""
        total = np.zeros(len(K_bar))
        N_bar = np.moveaxis(-K_bar, 0, -1)[..., None]
        for place in range(len(self.stages) - 1, -1, -1):
            stage = solved.stages[place]
            V_bar, rest_bar = rest_gradient(stage, N_bar)
            F_bars[self.stages[place].factor], sigma2_bar, own_bar = stage_gradient(stage, V_bar)
            total = total + sigma2_bar
            if place:
                q, w = stage.rest.shape[:2]
                front = np.empty((q + w, q + w, *own_bar.shape[2:]))
                front[:q, :q] = -own_bar
                front[:q, q:] = -0.5 * rest_bar
                front[q:, :q] = -0.5 * np.swapaxes(rest_bar, 0, 1)
                front[q:, q:] = N_bar
                N_bar = front[..., self.stages[place - 1].parent]
        return total


def _is_one(T: np.ndarray) -> bool:
    """Whether it is the identity."""
    return bool((np.eye(len(T)) == T).all())


def _times(T: np.ndarray, values: np.ndarray) -> np.ndarray:
    """T times the vectors along the first axis."""
    return values if _is_one(T) else np.tensordot(T, values, 1)


def _sums(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum, and the sum of squared distances from the average: squares about zero lose digits."""
    return values.sum(axis=axis), np.square(values - values.mean(axis=axis, keepdims=True)).sum(axis=axis)


def _contract(rest: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Each level's rest times a vector, (q, w, B or 1, L) and (w, B, L or 1) -> (q, B, L)."""
    if rest.shape[2] == 1 and vectors.shape[2] == 1:
        return np.matmul(vectors[:, :, 0].T, rest[:, :, 0])
    return np.einsum("aw...,w...->a...", rest, vectors)
