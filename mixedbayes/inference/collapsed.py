"""The collapsed density of a Gaussian model, its gradient, and exact draws of all that it integrates out.

    y = X b + sum_k Z_k u_k + e,   e ~ N(0, sigma^2 W^-1),   u_k,l ~ N(0, F_k F_k'),   b ~ N(b0, diag(s)^2)

Given theta (what the F_k, sigma, b0 and s are made of) all of it is Gaussian. With v = (u, b - b0) = F w,
F = diag(F_k, s), a = (0, -b0, 1) and C = [Z, X, y]'W[Z, X, y], which is `Moments`,

    log p(y | theta) = -1/2 [n log(2 pi sigma^2) - sum log W + log|S / sigma^2| + (a'C a - k'S^-1 k) / sigma^2]
    S = F'C_vv F + sigma^2 I,   k = F'C_v. a,   w | theta, y ~ N(S^-1 k, sigma^2 S^-1).

The factors in `elimination.stages_of` are eliminated level by level; what is left, the root, takes one dense
Cholesky factorisation. `docs/internals.md` derives both.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg import blas, lapack

from mixedbayes.inference.elimination import (
    MAX_DENSE,
    Eliminated,
    Products,
    between,
    eliminate,
    products_of,
    products_size,
    rest_gradient,
    stage_gradient,
    stages_of,
    sum_by_parent,
    update,
)
from mixedbayes.inference.log_densities import LOG_2PI
from mixedbayes.inference.moments import Moments
from mixedbayes.inference.variances import STEP, Point, Variances, is_flat, side_by_side

SMALL = 48
"""Dense matrices up to this size are factorised many at a time, larger ones one by one."""

AT_ONCE = 2**16
"""Numbers in an array over thetas and levels, about: a few of them fit in a processor's cache."""


@dataclass(frozen=True, eq=False, slots=True)
class Root:
    """The dense rest at B thetas: crossed factors' effects, then coefficients, m in all.

    Attributes:
        K: What elimination leaves of C, y last, shape (B, m + 1, m + 1); of a large root only what is on and
            above the diagonal.
        cholesky: Of S, lower, shape (B, m, m); what is above the diagonal may be anything.
        inverse: S^-1, the same shape; None where it was not asked for and the root is large.
        w: S^-1 k, shape (B, m).
        gap: a - F w, its last entry 1; shape (B, m + 1).
        K_gap: K times it.
        log_det: log|S|, shape (B,).
    """

    K: np.ndarray
    cholesky: np.ndarray
    inverse: np.ndarray | None
    w: np.ndarray
    gap: np.ndarray
    K_gap: np.ndarray
    log_det: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Solved:
    """The linear algebra at B thetas: enough for the density, its gradient and draws."""

    point: Point
    factors: tuple[np.ndarray, ...]
    stages: tuple[Eliminated, ...]
    root: Root
    log_density: np.ndarray


@dataclass(frozen=True, eq=False)
class Collapsed:
    """log p(theta | y) up to a constant.

    Attributes:
        variances: The coordinates of theta.
        moments: Of the same model.
        shift: What the moments' origin took off y, in coefficients, shape (p,): b0 is measured from it.
    """

    variances: Variances
    moments: Moments
    shift: np.ndarray

    @cached_property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """For each grouping factor its blocks in the model."""
        specs = self.variances.spec.blocks
        return tuple(
            tuple(i for i, spec in enumerate(specs) if spec.block.group == group) for group in self.moments.groups
        )

    @cached_property
    def stages(self) -> tuple:
        """The factors eliminated level by level."""
        return stages_of(self.moments)

    @cached_property
    def crossed(self) -> tuple[int, ...]:
        """The factors that stay in the root."""
        eliminated = {stage.factor for stage in self.stages}
        return tuple(i for i in range(len(self.moments.groups)) if i not in eliminated)

    @cached_property
    def ends(self) -> list[int]:
        """Where in the root each crossed factor's effects begin and end, and the coefficients begin."""
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

    @cached_property
    def penalty(self) -> np.ndarray:
        """What sigma^2 is added to: 1, and 0 for flat coefficients; shape (m,)."""
        return np.concatenate([np.ones(self.ends[-1]), 1.0 - self.flat])

    @cached_property
    def coupling(self) -> sparse.csr_array | None:
        """Z'WZ of the eliminated factor and the crossed ones, shape (L q, m - p)."""
        if not self.crossed:
            return None
        return sparse.hstack(
            [between(self.moments, self.stages[0].factor, j) for j in self.crossed], format="csr"
        )

    @cached_property
    def products_size(self) -> int:
        """Numbers that say how the only stage enters the root; 0 if there is more than one stage, or none."""
        return products_size(self.stages[0], self.coupling) if len(self.stages) == 1 else 0

    @cached_property
    def products(self) -> Products | None:
        """How the only stage enters the root."""
        if len(self.stages) != 1:
            return None
        if self.coupling is None and self.products_size > MAX_DENSE:
            return None
        return products_of(self.stages[0], self.coupling)

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

    @cached_property
    def batch(self) -> int:
        """Thetas that are worked on at once."""
        wide = max([1, self.m**2 // 8, *(stage.own.shape[-1] for stage in self.stages)])
        return int(np.clip(AT_ONCE // wide, 1, 1024))

    def log_posterior(self, theta: np.ndarray) -> np.ndarray:
        """The log density at B thetas, (B, d) -> (B,); minus infinity where it cannot be computed."""
        return self.solve(theta).log_density

    def log_posterior_and_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The log density and its gradient at B thetas, shapes (B,) and (B, d)."""
        solved = self.solve(theta, inverse=True)
        with np.errstate(all="ignore"):
            return solved.log_density, self._gradient(theta, solved)

    def solve(self, theta: np.ndarray, *, inverse: bool = False) -> Solved:
        """Eliminate stage by stage, then factorise the root."""
        with np.errstate(all="ignore"):  # a proposal may lie anywhere; what overflows has no density
            point = self.variances.at(theta)
            factors = tuple(side_by_side([point.factors[i] for i in blocks]) for blocks in self.blocks)
            stages, K = self._eliminate(factors, point.sigma)
            root = self._factorise(K, factors, point, inverse=inverse)
            size = self.m + sum(stage.effects for stage in self.stages)
            quadratic = np.einsum("bi,bi->b", root.gap, root.K_gap) / point.sigma**2
            quadratic += (self.penalty * root.w**2).sum(axis=1)
            log_likelihood = -0.5 * (
                (self.moments.n - self.flat.sum()) * LOG_2PI
                + (self.moments.n - size) * 2 * np.log(point.sigma)
                - self.moments.log_weights
                + sum(stage.log_det for stage in stages)
                + root.log_det
                + quadratic
            )
            log_density = log_likelihood + point.log_prior
        return Solved(point, factors, stages, root, np.where(np.isfinite(log_density), log_density, -np.inf))

    def draw(
        self, solved: Solved, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[np.ndarray], list[tuple[np.ndarray, np.ndarray]]]:
        """One exact draw of coefficients and effects at each theta.

        Returns:
            The coefficients, shape (B, p), the intercept where the moments' X has it; for each grouping
            factor its effects, shape (B, L, q); and the mean and variance that these were drawn from, given
            what stands above them in the elimination, of the same shapes.
        """
        sigma, start = solved.point.sigma, self.ends[-1]
        noise = rng.standard_normal(solved.root.w.shape)
        scaled = solved.root.w + sigma[:, None] * _triangular(solved.root.cholesky, noise, transposed=True)
        x = self._times_factor(scaled, solved)
        coefficients = x[:, start:] + solved.point.location.T
        drawn: dict[int, np.ndarray] = {}  # by factor, (q, B, L)
        conditional: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        shifted = coefficients - self.shift
        for place, i in enumerate(self.crossed):
            q = self.moments.own[i].shape[1]
            effects = x[:, self.ends[place] : self.ends[place + 1]].reshape(len(x), -1, q)
            drawn[i] = np.moveaxis(effects, -1, 0)
            conditional[i] = (drawn[i], np.zeros_like(drawn[i]))
        border = np.concatenate([-shifted.T, np.ones((1, len(x)))])[:, :, None]  # (p + 1, B, 1)
        for place in range(len(self.stages) - 1, -1, -1):
            constant, stage = self.stages[place], solved.stages[place]
            vectors = border
            if constant.parent is not None:
                above = [-drawn[later.factor] for later in self.stages[place + 1 :]]
                vectors = self._at_parents(place, above, border)
            e = _contract(stage.rest, vectors)
            if self.coupling is not None:
                q, L = e.shape[0], e.shape[-1]
                taken = (self.coupling @ x[:, :start].T).reshape(L, q, -1)
                e = e - np.moveaxis(taken, 0, -1)
            mean = np.einsum("ab...,b...->a...", stage.V, e)
            noise = rng.standard_normal(mean.shape)
            drawn[constant.factor] = mean + sigma[:, None] * np.einsum("ac...,a...->c...", stage.half, noise)
            variance = np.einsum("aabl->abl", stage.V) * (sigma**2)[:, None]
            conditional[constant.factor] = (mean, variance)
        order = range(len(self.moments.groups))
        return (
            coefficients,
            [np.moveaxis(drawn[i], 0, -1) for i in order],
            [(np.moveaxis(conditional[i][0], 0, -1), np.moveaxis(conditional[i][1], 0, -1)) for i in order],
        )

    def _at_parents(self, place: int, above: list[np.ndarray], border: np.ndarray) -> np.ndarray:
        """The later stages' effects at each level of a stage, and the border, shape (w, B, L)."""
        level = self.stages[place].parent
        parts = []
        for k, effects in enumerate(above):
            parts.append(effects[..., level])
            if k + 1 < len(above):
                level = self.stages[place + 1 + k].parent[level]
        shape = parts[0].shape[1:]
        return np.concatenate([*parts, np.broadcast_to(border, (len(border), *shape))])

    def _eliminate(
        self, factors: tuple[np.ndarray, ...], sigma: np.ndarray
    ) -> tuple[tuple[Eliminated, ...], np.ndarray]:
        """The stages, and what they leave for the root."""
        B = len(sigma)
        K = np.repeat(self.constant[None], B, axis=0)
        stages: list[Eliminated] = []
        carried: np.ndarray | None = None
        for constant in self.stages:
            own, rest = constant.own, constant.rest
            if carried is not None:
                q = len(own)
                own, rest, carried = own - carried[:q, :q], rest - carried[:q, q:], carried[q:, q:]
            stage = eliminate(own, rest, factors[constant.factor][..., None], sigma)
            stages.append(stage)
            if self.products is not None:
                entries = self.products.apply(stage.V)
                rows, columns = self.products.rows, self.products.columns
                K[:, columns, rows] -= entries
                if self.m < SMALL:
                    K[:, rows, columns] = K[:, columns, rows]
                return (stage,), K
            taken = update(stage) if carried is None else update(stage) + carried
            if constant.parent is None:
                K -= np.moveaxis(taken.sum(axis=-1), -1, 0)
            else:
                L = self.stages[len(stages)].own.shape[-1]
                carried = sum_by_parent(taken, constant.parent, L)
        return tuple(stages), K

    def _factorise(
        self, K: np.ndarray, factors: tuple[np.ndarray, ...], point: Point, *, inverse: bool
    ) -> Root:
        """The root at B thetas."""
        m, start = self.m, self.ends[-1]
        a = np.zeros((len(K), m + 1))
        a[:, start:m] = -(point.location.T - self.shift)
        a[:, m] = 1.0
        Ka = _symmetric_times(K, a)
        S = self._whitened(K, factors, point.scale)
        S[:, range(m), range(m)] += self.penalty * (point.sigma**2)[:, None]
        cholesky, S_inverse = _cholesky(S, inverse=inverse)
        k = _times_factor(Ka[:, :m], factors, point.scale, self.ends, self.crossed, transposed=True)
        w = _triangular(cholesky, _triangular(cholesky, k), transposed=True)
        gap = a.copy()
        gap[:, :m] -= _times_factor(w, factors, point.scale, self.ends, self.crossed)
        log_det = 2 * np.log(np.einsum("bii->bi", cholesky)).sum(axis=1)
        return Root(K, cholesky, S_inverse, w, gap, _symmetric_times(K, gap), log_det)

    def _times_factor(self, w: np.ndarray, solved: Solved) -> np.ndarray:
        return _times_factor(w, solved.factors, solved.point.scale, self.ends, self.crossed)

    def _whitened(self, K: np.ndarray, factors: tuple[np.ndarray, ...], scale: np.ndarray) -> np.ndarray:
        """F'KF without y, where K is whole or on and above the diagonal."""
        m = self.m
        if all(len(factors[i]) == 1 for i in self.crossed):  # F is diagonal
            d = _times_factor(np.ones((len(K), m)), factors, scale, self.ends, self.crossed)
            S = K[:, :m, :m] * d[:, :, None]
            S *= d[:, None, :]
            return S
        half = _times_factor(
            _whole(K)[:, :m, :m], factors, scale, self.ends, self.crossed, transposed=True
        )
        return _times_factor(np.swapaxes(half, 1, 2), factors, scale, self.ends, self.crossed, transposed=True)

    def _gradient(self, theta: np.ndarray, solved: Solved) -> np.ndarray:
        """The gradient at B thetas, shape (B, d)."""
        point, root, m, start = solved.point, solved.root, self.m, self.ends[-1]
        B, sigma2 = len(theta), point.sigma**2
        assert root.inverse is not None
        Q = np.swapaxes(  # F S^-1
            _times_factor(root.inverse, solved.factors, point.scale, self.ends, self.crossed), 1, 2
        )
        covariance = _times_factor(Q, solved.factors, point.scale, self.ends, self.crossed)
        K_bar = -0.5 * root.gap[:, :, None] * root.gap[:, None, :] / sigma2[:, None, None]
        K_bar[:, :m, :m] -= 0.5 * covariance
        sigma2_bar = -0.5 * (
            np.einsum("i,bii->b", self.penalty, root.inverse)
            - np.einsum("bi,bi->b", root.gap, root.K_gap) / sigma2**2
            + (self.moments.n - self.m - sum(s.effects for s in self.stages)) / sigma2
        )
        location_bar = root.K_gap[:, start:m] / sigma2[:, None]
        K = _whole(root.K)
        KQ = np.einsum("bij,bji->bi", K[:, start:m, :m], Q[:, :, start:])
        scale_bar = root.K_gap[:, start:m] * root.w[:, start:] / sigma2[:, None] - KQ
        F_bars: dict[int, np.ndarray] = {}
        for place, i in enumerate(self.crossed):
            q = self.moments.own[i].shape[1]
            F_bar = np.empty((q, q, B))
            for r in range(q):
                for c in range(q):
                    rows = slice(self.ends[place] + r, self.ends[place + 1], q)
                    columns = slice(self.ends[place] + c, self.ends[place + 1], q)
                    moved = np.einsum("bi,bi->b", root.K_gap[:, rows], root.w[:, columns]) / sigma2
                    F_bar[r, c] = moved - np.einsum("bij,bji->b", K[:, rows, :m], Q[:, :, columns])
            F_bars[i] = F_bar
        N_bar = np.moveaxis(-K_bar, 0, -1)[..., None]
        for place in range(len(self.stages) - 1, -1, -1):
            constant, stage = self.stages[place], solved.stages[place]
            rest_bar = None
            if self.products is not None:
                V_bar = -self.products.adjoint(K_bar)
            else:
                V_bar, rest_bar = rest_gradient(stage, N_bar)
            F_bar, own_sigma2_bar, own_bar = stage_gradient(stage, V_bar)
            F_bars[constant.factor] = F_bar
            sigma2_bar = sigma2_bar + own_sigma2_bar
            if place:
                q, w = stage.rest.shape[:2]
                front = np.empty((q + w, q + w, *own_bar.shape[2:]))
                front[:q, :q] = -own_bar
                front[:q, q:] = -0.5 * rest_bar
                front[q:, :q] = -0.5 * np.swapaxes(rest_bar, 0, 1)
                front[q:, q:] = N_bar
                N_bar = front[..., self.stages[place - 1].parent]
        steps = self.variances.steps(theta)

        def slope(values: np.ndarray) -> np.ndarray:
            return values.imag.reshape(*values.shape[:-1], B, self.variances.size) / STEP

        gradient = slope(steps.log_prior)
        gradient += (sigma2_bar * 2 * point.sigma)[:, None] * slope(steps.sigma)
        gradient += np.einsum("bp,pbd->bd", location_bar, slope(steps.location))
        gradient += np.einsum("bp,pbd->bd", scale_bar, slope(steps.scale))
        for i, blocks in enumerate(self.blocks):
            dF = slope(side_by_side([steps.factors[j] for j in blocks]))
            gradient += np.einsum("acb,acbd->bd", F_bars[i], dF)
        return gradient


def _times_factor(
    A: np.ndarray,
    factors: tuple[np.ndarray, ...],
    scale: np.ndarray,
    ends: list[int],
    crossed: tuple[int, ...],
    *,
    transposed: bool = False,
) -> np.ndarray:
    """F, or F', times vectors that lie along the last axis of A, shape (B, ..., m)."""
    result = np.empty_like(A)
    B, start = len(A), ends[-1]
    lift = (B, *(1 for _ in A.shape[1:]))
    for place, i in enumerate(crossed):
        F, part = factors[i], slice(ends[place], ends[place + 1])
        q = len(F)
        if q == 1:
            result[..., part] = A[..., part] * F[0, 0].reshape(lift)
        else:
            blocks = A[..., part].reshape(B, -1, q)
            subscripts = "acb,bxa->bxc" if transposed else "acb,bxc->bxa"
            result[..., part] = np.einsum(subscripts, F, blocks).reshape(A[..., part].shape)
    result[..., start:] = A[..., start:] * scale.T.reshape(B, *(1 for _ in A.shape[2:]), -1)
    return result


def _contract(rest: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Each level's rest times a vector, (q, w, B, L) and (w, B, L) -> (q, B, L)."""
    if rest.shape[2] == 1 and vectors.shape[2] == 1:
        return np.einsum("awl,wb->abl", rest[:, :, 0], vectors[:, :, 0], optimize=True)
    return np.einsum("aw...,w...->a...", rest, vectors)


def _whole(K: np.ndarray) -> np.ndarray:
    """A symmetric matrix from what is on and above its diagonal, which is all that large roots hold."""
    if K.shape[1] <= SMALL:
        return K
    above = np.triu(K)
    return above + np.swapaxes(np.triu(K, 1), 1, 2)


def _symmetric_times(K: np.ndarray, x: np.ndarray) -> np.ndarray:
    """K x at B thetas, by what is on and above the diagonal where K is large."""
    if K.shape[1] <= SMALL:
        return np.einsum("bij,bj->bi", K, x)
    return np.stack([blas.dsymv(1.0, each.T, y, lower=1) for each, y in zip(K, x, strict=True)])


def _cholesky(S: np.ndarray, *, inverse: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Lower Cholesky factors of B matrices, NaN where there is none; and their inverses."""
    B, m, _ = S.shape
    if m < SMALL:
        try:
            factors = np.linalg.cholesky(S)
        except np.linalg.LinAlgError:
            factors = np.stack([_one_cholesky(each) for each in S])
        if not inverse:
            return factors, None
        half = np.linalg.inv(factors)
        return factors, np.einsum("bki,bkj->bij", half, half)
    columnwise = np.swapaxes(S, 1, 2)  # LAPACK's order of memory, in which what is on and above is on and below
    inverses = np.empty_like(S) if inverse else None
    for b in range(B):
        factor, info = lapack.dpotrf(columnwise[b], lower=1, clean=0, overwrite_a=1)
        columnwise[b] = factor if info == 0 else np.nan
        if inverses is not None:
            inverses[b] = _whole(lapack.dpotri(factor, lower=1)[0].T[None])[0]
    return columnwise, inverses


def _one_cholesky(S: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        return np.full_like(S, np.nan)


def _triangular(cholesky: np.ndarray, x: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """L^-1 x, or L'^-1 x, for each of B lower triangles, shapes (B, m, m) and (B, m)."""
    m = x.shape[1]
    if m == 0:
        return x
    if m >= SMALL:
        return np.stack(
            [lapack.dtrtrs(L, y, lower=1, trans=int(transposed))[0] for L, y in zip(cholesky, x, strict=True)]
        )
    solved = np.empty_like(x)
    for i in range(m - 1, -1, -1) if transposed else range(m):
        column = cholesky[:, i + 1 :, i] if transposed else cholesky[:, i, :i]
        known = solved[:, i + 1 :] if transposed else solved[:, :i]
        solved[:, i] = (x[:, i] - np.einsum("bj,bj->b", column, known)) / cholesky[:, i, i]
    return solved
