"""Posteriors of small Gaussian models with nothing of the engine's: dense likelihoods, a tempered swarm, and weights.

    reference distribution -> particles moved by differential evolution as the likelihood is turned on -> kernels about
    where they end -> importance sampling from these

The swarm begins everywhere and needs no mode; the weights make exact what it found, and say how exact. Priors and
coordinates are `Variances.at`'s, which `dense_gaussian` holds to SciPy. Sources: Del Moral, Doucet & Jasra (2006),
sequential Monte Carlo samplers; ter Braak (2006), differential evolution Markov chains.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from dense_gaussian import at_means, dense
from scipy.special import gammaln, logsumexp

from mixedbayes.inference.gaussian.coordinates import Variances, as_matrix

PARTICLES, MOVES, KEEP = 800, 6, 0.6
KERNELS, NEIGHBOURS, DRAWS = 200, 40, 8000
AT_ONCE = 500


@dataclass(frozen=True)
class Oracle:
    """Weighted thetas, shape (n, d), the log of their weights, which add up to one, and of the integral."""

    theta: np.ndarray
    log_weights: np.ndarray
    log_evidence: float

    @property
    def effective(self) -> float:
        return float(np.exp(-logsumexp(2 * self.log_weights)))

    def quantile(self, values: np.ndarray, p: float) -> float:
        order = np.argsort(values)
        return float(values[order][np.searchsorted(np.cumsum(np.exp(self.log_weights[order])), p)])

    def share(self, holds: np.ndarray) -> tuple[float, float]:
        """The mass where a condition holds, and its Monte Carlo error."""
        w = np.exp(self.log_weights)
        p = float(w @ holds)
        return p, float(np.sqrt(np.sum(w**2 * (holds - p) ** 2)))


def dense_log_posterior(
    variances: Variances, rows: slice | np.ndarray = slice(None)
) -> Callable[[np.ndarray], np.ndarray]:
    """log p(theta | y) + constant, (B, d) -> (B,), of some rows, by dense multivariate normals.

    Rows are rotated so that those which no column reaches, whose covariance is sigma^2 I, stand apart.
    """
    spec, design = variances.spec, variances.spec.design
    X = at_means(design.fixed.X, variances.coefficients)[0][rows]
    Zs = [dense(block)[rows] for block in spec.blocks]
    whole = np.column_stack([X, *Zs]) if X.shape[1] or Zs else np.zeros((len(X), 1))
    U, sizes, _ = np.linalg.svd(whole / (np.abs(whole).max(axis=0) + 1e-300), full_matrices=False)
    U = U[:, sizes > 1e-13 * sizes[0]]
    y, n, r = (design.response.values - design.offset)[rows], len(X), U.shape[1]
    apart = np.sum((y - U @ (U.T @ y)) ** 2)
    X, y = U.T @ X, U.T @ y
    Zs = [(U.T @ Z).reshape(r, len(b.block.levels), -1) for Z, b in zip(Zs, spec.blocks, strict=True)]
    flat = [j for j, p in enumerate(variances.coefficients) if p.prior.distribution == "flat"]
    other = [j for j in range(X.shape[1]) if j not in flat]
    Q = np.linalg.qr(X[:, flat], mode="complete")[0][:, len(flat) :] if flat else None
    constant = -0.5 * np.linalg.slogdet(X[:, flat].T @ X[:, flat])[1] if flat else 0.0
    constant -= 0.5 * (n - len(flat)) * np.log(2 * np.pi)

    def some(theta: np.ndarray) -> np.ndarray:
        point = variances.at(theta)
        scaled = X[:, other] * point.scale[other].T[:, None, :]
        V = scaled @ np.swapaxes(scaled, 1, 2)
        V[:, range(r), range(r)] += point.sigma[:, None] ** 2
        for Z, F in zip(Zs, point.factors, strict=True):
            effects = np.einsum("ilq,qsb->bils", Z, F if F.ndim == 3 else as_matrix(F)).reshape(
                len(theta), r, -1
            )
            V += effects @ np.swapaxes(effects, 1, 2)
        left = y - (X[:, other] @ point.location[other]).T
        if Q is not None:
            V, left = Q.T @ V @ Q, left @ Q
        L = np.linalg.cholesky(V)
        z = np.linalg.solve(L, left[:, :, None])[:, :, 0]
        log_det = np.log(np.einsum("bii->bi", L)).sum(axis=1) + (n - r) * np.log(point.sigma)
        return point.log_prior - 0.5 * ((z**2).sum(axis=1) + apart / point.sigma**2) - log_det + constant

    def one_by_one(theta: np.ndarray) -> np.ndarray:
        try:
            return some(theta)
        except np.linalg.LinAlgError:
            if len(theta) == 1:
                return np.array([-np.inf])
            half = len(theta) // 2
            return np.concatenate([one_by_one(theta[:half]), one_by_one(theta[half:])])

    def log_posterior(theta: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            values = np.concatenate(
                [one_by_one(theta[i : i + AT_ONCE]) for i in range(0, len(theta), AT_ONCE)]
            )
        return np.where(np.isfinite(values), values, -np.inf)

    return log_posterior


def reference(variances: Variances) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale of a distribution over all that theta may be, shape (d,) each."""
    spec = variances.spec
    size = np.log(spec.design.response.values.std())
    known = {"sigma": (size - 1.0, 1.5)}
    for block in spec.blocks:
        X = at_means(block.block.X, block.sds)[0]
        rms = np.sqrt(np.mean(X**2, axis=0))
        rms = np.where(rms > 0, rms, 1.0)
        scaled = X / rms
        spans = np.linalg.pinv(scaled.T @ scaled / len(scaled) + 1e-10 * np.eye(len(rms)))
        for p, r, s in zip(block.sds, rms, np.sqrt(np.diag(spans)), strict=True):
            far = np.log(max(s, 1.0))  # where columns are all but collinear, effects may be large
            known[p.address] = (size - np.log(r) - 1.0 + 0.5 * far, 2.5 + 0.5 * far)
    return tuple(np.array([known.get(name, (0.0, 1.5))[k] for name in variances.names]) for k in (0, 1))


def swarm(target: Callable, centre: np.ndarray, scale: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Particles of equal weight from the target, shape (PARTICLES, d)."""
    n, d = PARTICLES, len(centre)

    def base(theta: np.ndarray) -> np.ndarray:
        return student(theta - centre, np.diag(scale))

    theta = centre + scale * rng.standard_normal((n, d)) * np.sqrt(5.0 / rng.chisquare(5.0, (n, 1)))
    value, start, heat = target(theta), base(theta), 0.0
    while heat < 1.0:
        low, high = heat, 1.0
        gain = np.where(np.isfinite(value), value - start, -1e300)

        def kept(to: float, gain: np.ndarray = gain, heat: float = heat) -> float:
            logs = (to - heat) * gain
            return float(np.exp(2 * logsumexp(logs) - logsumexp(2 * logs)))

        if kept(1.0) < KEEP * n:
            for _ in range(40):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if kept(middle) > KEEP * n else (low, middle)
            to = high
        else:
            to = 1.0
        logs = (to - heat) * gain
        ends = np.cumsum(np.exp(logs - logsumexp(logs)))
        places = np.minimum(np.searchsorted(ends, (np.arange(n) + rng.uniform()) / n * ends[-1]), n - 1)
        theta, value, start, heat = theta[places], value[places], start[places], to
        for move in range(MOVES * (2 if heat == 1.0 else 1)):
            one, two = rng.integers(n, size=(2, n))
            size = 2.38 / np.sqrt(2 * d) * np.exp(rng.uniform(-1.6, 0.2, n)) if move % 3 else np.ones(n)
            new = theta + size[:, None] * (theta[one] - theta[two]) + 1e-4 * rng.standard_normal((n, d))
            new_value, new_start = target(new), base(new)
            ratio = heat * (new_value - value) + (1 - heat) * (new_start - start)
            taken = -rng.standard_exponential(n) < ratio
            theta = np.where(taken[:, None], new, theta)
            value, start = np.where(taken, new_value, value), np.where(taken, new_start, start)
    return theta


def student(deviation: np.ndarray, factor: np.ndarray, nu: float = 5.0) -> np.ndarray:
    d = deviation.shape[1]
    z = np.linalg.solve(factor, deviation.T)
    constant = gammaln((nu + d) / 2) - gammaln(nu / 2) - 0.5 * d * np.log(nu * np.pi)
    return (
        constant - np.log(np.abs(np.diag(factor))).sum() - 0.5 * (nu + d) * np.log1p((z**2).sum(axis=0) / nu)
    )


def posterior(variances: Variances, seed: int, rows: slice | np.ndarray = slice(None)) -> Oracle:
    """The posterior of theta given some rows, by brute force."""
    return oracle(dense_log_posterior(variances, rows), *reference(variances), seed)


def oracle(target: Callable, centre: np.ndarray, scale: np.ndarray, seed: int) -> Oracle:
    """A density of few dimensions by brute force.

    Args:
        target: (n, d) -> (n,), its log.
        centre, scale: Of the distribution that the swarm begins with, shape (d,).
        seed: Of all randomness.
    """
    rng = np.random.default_rng(seed)
    particles = swarm(target, centre, scale, rng)
    d = len(centre)
    white = (particles - particles.mean(axis=0)) / particles.std(axis=0)
    centres = particles[rng.choice(len(particles), KERNELS, replace=False)]
    factors = []
    for at in centres:
        near = np.argsort(((white - (at - particles.mean(axis=0)) / particles.std(axis=0)) ** 2).sum(axis=1))
        own = np.cov(particles[near[: NEIGHBOURS + 5 * d]].T).reshape(d, d)
        factors.append(np.linalg.cholesky(own + 1e-10 * np.eye(d)))
    whole = np.linalg.cholesky(2 * np.cov(particles.T).reshape(d, d) + 1e-10 * np.eye(d))
    kernels = [*zip(centres, factors, strict=True), (particles.mean(axis=0), whole), (centre, np.diag(scale))]
    weights = np.array([0.85 / KERNELS] * KERNELS + [0.1, 0.05])
    which = rng.choice(len(kernels), size=DRAWS, p=weights)
    noise = rng.standard_normal((DRAWS, d)) * np.sqrt(5.0 / rng.chisquare(5.0, (DRAWS, 1)))
    means, scales = np.array([m for m, _ in kernels]), np.array([f for _, f in kernels])
    theta = means[which] + np.einsum("nij,nj->ni", scales[which], noise)
    log_q = np.full(DRAWS, -np.inf)
    for (mean, factor), weight in zip(kernels, weights, strict=True):
        log_q = np.logaddexp(log_q, np.log(weight) + student(theta - mean, factor))
    logs = target(theta) - log_q
    total = logsumexp(logs)
    return Oracle(theta, logs - total, float(total - np.log(DRAWS)))
