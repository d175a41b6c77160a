"""A density of few dimensions -> weighted draws: mode, curvature, an adapted proposal, Pareto-smoothed weights.

Sources: Tierney & Kadane (1986) for mode and curvature; Cappé et al. (2008), Adaptive importance sampling in
general mixture classes, for the mixture of Student t distributions; Owen & Zhou (2000), Safe and effective
importance sampling, for weighing all rounds by the mixture of their proposals; Vehtari et al. (2024), Pareto
smoothed importance sampling, for k-hat and the smoothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp

NU = 8.0
"""Degrees of freedom of the proposals: tails heavier than those of posteriors of log sds."""

MAX_K = 0.7
"""Pareto k-hat over which weights are not to be trusted; Vehtari et al. (2024), section 3.2.4."""

GOOD = 0.7
"""Of a proposal's draws the part that is effective, from which on it is not adapted further."""

ROUNDS = 6
"""Proposals tried before giving up."""

TAILS = 0.1
LEAST_TAIL = 1e-4
"""Share of the tails in the first proposal, and the least of the target that keeps a tail in later ones."""

STEP = 1e-4
"""Of the differences of gradients that give the curvature; coordinates are logs."""

WIDEST = 5.0
"""Standard deviation of a direction in which the curvature says nothing."""

MAX_CLIMB, SHORTENINGS, LONGEST, LEAST_SLOPE = 150, 12, 3.0, 0.03
"""Steps to a mode and trials of each, at most; the longest step, in logs; the slope at which a mode is reached."""

MAX_MODES, SAME_MODE = 6, 1.0
LEAST_PEAK, LEAST_MASS = -30.0, -9.0
"""Modes of a proposal, at most; how near two are the same, in sds; and how far below the others a mode's height and mass
may lie, in logs, the mass being Laplace's approximation: a narrow mode is high, and a wide one heavy."""

LEAST_SHARE = 0.03
"""Of a component in a proposal, however little mass it holds."""

LEAST_COMPONENT = 1e-3
"""Mass that keeps a component in later proposals."""

EXPECTATIONS = 30
"""Steps of expectation-maximisation."""

type Density = Callable[[np.ndarray], np.ndarray]
type Gradient = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False, slots=True)
class Proposal:
    """A mixture of Student t distributions, and of tails.

    A tail (j, 1) or (j, -1) is exponential in coordinate j, up or down from a place on that side of the centre
    of the first component, and like that component in the others: posteriors of log sds that pile up at zero
    fall off as exp(theta_j), more slowly than any t of their width reaches.

    Attributes:
        weights: Of c components and then of the tails; they add up to 1.
        means: Shape (c, d).
        scales: Lower Cholesky factors of the scale matrices, shape (c, d, d).
        tails: Coordinates and signs.
    """

    weights: np.ndarray
    means: np.ndarray
    scales: np.ndarray
    tails: tuple[tuple[int, int], ...] = ()

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Shape (n, d)."""
        c, d = self.means.shape
        component = rng.choice(len(self.weights), size=n, p=self.weights)
        base = np.where(component < c, component, 0)
        z = rng.standard_normal((n, d)) * np.sqrt(NU / rng.chisquare(NU, size=(n, 1)))
        theta = self.means[base] + np.einsum("nij,nj->ni", self.scales[base], z)
        beyond = rng.standard_exponential(n)
        for k, (j, sign) in enumerate(self.tails):
            own = component == c + k
            theta[own, j] = self._corner(j, sign) + sign * beyond[own]
        return theta

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Shape (n,)."""
        return np.asarray(np.logaddexp.reduce(self.by_component(theta), axis=1))

    def by_component(self, theta: np.ndarray) -> np.ndarray:
        """The log of each component's weight times density, and of each tail's, shape (n, c + tails)."""
        with np.errstate(divide="ignore"):
            logs = np.tile(np.log(self.weights), (len(theta), 1))
        for k, (mean, scale) in enumerate(zip(self.means, self.scales, strict=True)):
            logs[:, k] += _log_student_t(theta - mean, scale)
        spread = self.scales[0] @ self.scales[0].T
        for k, (j, sign) in enumerate(self.tails, len(self.means)):
            others = [i for i in range(theta.shape[1]) if i != j]
            beyond = sign * (theta[:, j] - self._corner(j, sign))
            logs[:, k] += np.where(beyond > 0, -beyond, -np.inf)
            if others:
                scale = np.linalg.cholesky(spread[np.ix_(others, others)])
                logs[:, k] += _log_student_t((theta - self.means[0])[:, others], scale)
        return logs

    def _corner(self, j: int, sign: int) -> float:
        """Where a tail begins."""
        return float(self.means[0, j] + sign * np.linalg.norm(self.scales[0, j]))

    def with_tails(self, shares: Mapping[tuple[int, int], float]) -> "Proposal":
        """The mixture with tails of such shares."""
        t = self.weights[: len(self.means)]
        weights = np.concatenate([t / t.sum() * (1 - sum(shares.values())), list(shares.values())])
        return Proposal(weights, self.means, self.scales, tuple(shares))


def _log_student_t(deviation: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Of NU degrees of freedom in d dimensions, shape (n, d) -> (n,)."""
    d = deviation.shape[1]
    z = solve_triangular(scale, deviation.T, lower=True, check_finite=False)
    constant = gammaln((NU + d) / 2) - gammaln(NU / 2) - 0.5 * d * np.log(NU * np.pi)
    return constant - np.log(np.diag(scale)).sum() - 0.5 * (NU + d) * np.log1p((z * z).sum(axis=0) / NU)


@dataclass(frozen=True, eq=False, slots=True)
class Weighted:
    """Draws of theta with weights.

    Attributes:
        theta: Shape (n, d).
        log_density: Of the target, up to its constant, shape (n,).
        log_weights: Pareto-smoothed, shape (n,); their exponentials add up to 1.
        pareto_k: k-hat; over `MAX_K` the weights are not to be trusted.
        proposal: The last that was tried.
        log_evidence: The log of the target's integral.
    """

    theta: np.ndarray
    log_density: np.ndarray
    log_weights: np.ndarray
    pareto_k: float
    proposal: Proposal
    log_evidence: float

    @property
    def effective(self) -> float:
        """Kish's effective number of draws."""
        return float(np.exp(-logsumexp(2 * self.log_weights)))

    @property
    def is_trusted(self) -> bool:
        """Whether the weights say that they can be."""
        return bool(self.pareto_k <= MAX_K)


def find_modes(density: Gradient, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Climb from all starts at once, by BFGS with backtracking (Nocedal & Wright, 2006, algorithm 6.1, section 3.1).

    Args:
        density: (n, d) -> (n,) and (n, d), the log density and its gradient.
        starts: Shape (n, d).

    Returns:
        Where each has come, shape (n, d), and the log density there, shape (n,).
    """
    theta = np.array(starts)
    n, d = theta.shape
    value, slope = _finite(*density(theta))
    inverse, is_fresh = np.tile(np.eye(d), (n, 1, 1)), np.ones(n, dtype=bool)
    climbing = np.isfinite(value)
    for _ in range(MAX_CLIMB):
        climbing &= np.abs(slope).max(axis=1, initial=0.0) > LEAST_SLOPE
        at = np.flatnonzero(climbing)
        if not len(at):
            break
        step = np.einsum("nij,nj->ni", inverse[at], slope[at])
        step /= np.maximum(1.0, np.abs(step).max(axis=1, keepdims=True) / LONGEST)
        new, new_value, new_slope = _backtracked(density, theta[at], value[at], slope[at], step)
        stuck = new_value <= value[at]
        moved, bent = new - theta[at], slope[at] - new_slope
        theta[at], value[at], slope[at] = new, np.maximum(new_value, value[at]), new_slope
        for i, s, y, is_stuck in zip(at, moved, bent, stuck, strict=True):
            if is_stuck:  # once more along the gradient, then it has arrived
                climbing[i], inverse[i], is_fresh[i] = not is_fresh[i], np.eye(d), True
            elif (sy := s @ y) > 1e-10 * np.sqrt((s @ s) * (y @ y)):
                start = np.eye(d) * sy / (y @ y) if is_fresh[i] else inverse[i]
                turn = np.eye(d) - np.outer(s, y) / sy
                inverse[i], is_fresh[i] = turn @ start @ turn.T + np.outer(s, s) / sy, False
    return theta, value


def _backtracked(
    density: Gradient, theta: np.ndarray, value: np.ndarray, slope: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, each shortened until the density rises by a part of what its slope promises; none where it never does."""
    found, found_value, found_slope = theta.copy(), value.copy(), slope.copy()
    length, at = np.ones(len(theta)), np.arange(len(theta))
    promised = np.einsum("nd,nd->n", step, slope)
    for _ in range(SHORTENINGS):
        new = theta[at] + length[at, None] * step[at]
        new_value, new_slope = _finite(*density(new))
        rises = new_value > value[at] + 1e-4 * length[at] * promised[at]
        done = at[rises]
        found[done], found_value[done], found_slope[done] = new[rises], new_value[rises], new_slope[rises]
        at = at[~rises]
        if not len(at):
            break
        length[at] *= 0.25
    return found, found_value, found_slope


def _finite(value: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, minus infinity and no slope where either cannot be computed."""
    good = np.isfinite(value) & np.isfinite(slope).all(axis=1)
    return np.where(good, value, -np.inf), np.where(good[:, None], slope, 0.0)


def at_modes(density: Gradient, modes: np.ndarray, values: np.ndarray) -> Proposal:
    """A proposal of the target's own curvature at each of its modes that matter.

    Their shares are by Laplace's approximation of the mass about each, evened out, for it may be far off.

    Args:
        density: As for `find_modes`.
        modes: Shape (n, d), some of them the same but for rounding.
        values: The log density there.
    """
    d = modes.shape[1]
    means: list[np.ndarray] = []
    scales: list[np.ndarray] = []
    logs: list[float] = []
    for i in np.argsort(-values):
        known = zip(means, scales, strict=True)
        if len(means) == MAX_MODES or not values[i] > values.max() + LEAST_PEAK:
            break
        if any(_distance(modes[i], mean, scale) < SAME_MODE for mean, scale in known):
            continue
        scale = _curvature(density, modes[i])
        if all(_distance(mean, modes[i], scale) > SAME_MODE for mean in means):
            means.append(modes[i])
            scales.append(scale)
            logs.append(values[i] + np.log(np.diag(scale)).sum())
    mass = np.array(logs) - max(logs)
    order = [i for i in np.argsort(-mass) if mass[i] > LEAST_MASS]
    shares = np.maximum(np.exp(0.5 * mass[order]), LEAST_SHARE)
    proposal = Proposal(shares / shares.sum(), np.stack(means)[order], np.stack(scales)[order])
    tails = [(j, sign) for j in range(d) for sign in (-1, 1)]
    return proposal.with_tails(dict.fromkeys(tails, TAILS / len(tails)))


def _distance(theta: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> float:
    """In standard deviations."""
    return float(np.linalg.norm(solve_triangular(scale, theta - mean, lower=True, check_finite=False)))


def _curvature(density: Gradient, mode: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor of the inverse of the target's curvature at a mode, shape (d, d)."""
    d = len(mode)
    moves = STEP * np.concatenate([np.eye(d), -np.eye(d)])
    _, slopes = _finite(*density(mode + moves))
    hessian = (slopes[:d] - slopes[d:]) / (2 * STEP)
    values, vectors = np.linalg.eigh(-0.5 * (hessian + hessian.T))
    sd = np.where(values > WIDEST**-2, np.abs(values), WIDEST**-2) ** -0.5
    return np.linalg.cholesky((vectors * sd**2) @ vectors.T)


def sample(
    density: Density, first: Proposal, wanted: int, *, rng: np.random.Generator, at_once: int, limit: int
) -> Weighted:
    """Draw until the weights are worth so many independent draws.

    Args:
        density: (n, d) -> (n,), the log density.
        first: From `at_mode`.
        wanted: Effective draws.
        rng: The source of all randomness.
        at_once: Draws of the first round, from which the proposal is judged.
        limit: Draws, at most; the result may then have fewer effective ones.
    """
    proposals, rounds = [first], [0]
    theta, values = np.empty((0, first.means.shape[1])), np.empty(0)
    n = at_once
    while True:
        new = proposals[-1].draw(n, rng)
        theta, values = np.concatenate([theta, new]), np.concatenate([values, density(new)])
        rounds[-1] += n
        weighted = _weigh(theta, values, proposals, rounds)
        effective, left = weighted.effective, limit - len(theta)
        if (effective >= wanted and weighted.is_trusted) or left <= 0:
            return weighted
        is_good = _efficiency(theta, values, proposals[-1], rounds[-1]) >= GOOD and weighted.is_trusted
        if len(proposals) < ROUNDS and not is_good:
            proposals.append(
                _adapted(weighted, proposals[-1], components=len(first.means) + len(proposals) - 1)
            )
            rounds.append(0)
            n = min(at_once, left)
            continue
        rate = max(effective / len(theta), 0.05)
        n = min(max(int(1.1 * (wanted - effective) / rate), at_once), left)


def resample(weighted: Weighted, size: int, rng: np.random.Generator) -> np.ndarray:
    """Places of `size` draws of equal weight, shape (size,), by systematic resampling.

    A draw that is taken more than once is so in a row, and draws of all rounds are mixed: what is computed
    from the order of draws (autocorrelation, and from it effective sample sizes) then tells the truth.
    """
    order = rng.permutation(len(weighted.theta))
    ends = np.cumsum(np.exp(weighted.log_weights[order]))
    marks = (np.arange(size) + rng.uniform()) / size * ends[-1]
    return order[np.minimum(np.searchsorted(ends, marks), len(order) - 1)]


def _weigh(theta: np.ndarray, values: np.ndarray, proposals: list[Proposal], rounds: list[int]) -> Weighted:
    """Weights against the mixture of all proposals, each as much as was drawn from it."""
    from arviz_stats.base import array_stats  # noqa: PLC0415  # seconds to import

    drawn = [
        (p.log_density(theta) + np.log(n / len(theta))) for p, n in zip(proposals, rounds, strict=True) if n
    ]
    log_ratios = values - np.logaddexp.reduce(drawn, axis=0)
    log_ratios = np.where(np.isfinite(log_ratios), log_ratios, -1e300)
    log_weights, k = array_stats.psislw(log_ratios.max() - log_ratios)  # it takes what is divided by
    log_weights = log_weights - logsumexp(log_weights)
    evidence = float(logsumexp(log_ratios) - np.log(len(log_ratios)))
    return Weighted(theta, values, log_weights, float(k), proposals[-1], evidence)


def _efficiency(theta: np.ndarray, values: np.ndarray, proposal: Proposal, n: int) -> float:
    """The effective part of the last n draws, which are the proposal's own."""
    log_ratios = values[-n:] - proposal.log_density(theta[-n:])
    log_ratios = log_ratios[np.isfinite(log_ratios)]
    if not len(log_ratios):
        return 0.0
    return float(np.exp(2 * logsumexp(log_ratios) - logsumexp(2 * log_ratios)) / n)


def _adapted(weighted: Weighted, last: Proposal, components: int) -> Proposal:
    """A mixture fitted to weighted draws by expectation-maximisation, with those tails that hold some of them.

    Components begin as the last proposal's, the heaviest of them split in two until there are as many as asked for.
    """
    theta = weighted.theta
    # tempered, where a few draws have all the weight
    power = min(1.0, weighted.effective / (20 * theta.shape[1] * components))
    weights = np.exp(weighted.log_weights * power)
    weights /= weights.sum()
    shares = _tail_shares(weighted, last)
    if components == 1:
        return _from_moments(theta, weights).with_tails(shares)
    belongs = _belonging(last, theta)
    ridges = 1e-2 * (last.scales @ np.swapaxes(last.scales, 1, 2))  # a component does not shrink to a point
    while belongs.shape[1] < components:
        k = int(np.argmax(weights @ belongs))
        near = np.where(_beyond_median(theta, weights * belongs[:, k]), 0.0, belongs[:, k])
        belongs = np.column_stack([np.delete(belongs, k, axis=1), near, belongs[:, k] - near])
        ridges = np.concatenate([np.delete(ridges, k, axis=0), ridges[[k, k]]])
    for _ in range(EXPECTATIONS):
        mass = weights @ belongs
        kept = mass > LEAST_COMPONENT
        belongs, ridges, mass = belongs[:, kept], ridges[kept], mass[kept]
        parts = [
            _from_moments(theta, weights * b / m, r) for b, m, r in zip(belongs.T, mass, ridges, strict=True)
        ]
        means, scales = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("means", "scales")
        )
        proposal = Proposal(mass / mass.sum(), means, scales)
        belongs = _belonging(proposal, theta)
    heaviest = np.argsort(-mass)  # tails are the first component's
    mass = np.maximum(mass[heaviest], LEAST_SHARE)
    return Proposal(mass / mass.sum(), means[heaviest], scales[heaviest]).with_tails(shares)


def _belonging(proposal: Proposal, theta: np.ndarray) -> np.ndarray:
    """The share of each component in the density at each theta, tails aside; shape (n, c)."""
    logs = proposal.by_component(theta)[:, : len(proposal.means)]
    return np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))


def _beyond_median(theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which thetas lie in the further half of the weight along its longest axis, shape (n,)."""
    weights = weights / weights.sum()
    part = _from_moments(theta, weights)
    place = (theta - part.means[0]) @ np.linalg.svd(part.scales[0])[0][:, 0]
    order = np.argsort(place)
    middle = order[np.searchsorted(np.cumsum(weights[order]), 0.5)]
    return np.asarray(place > place[middle])


def _tail_shares(weighted: Weighted, last: Proposal) -> dict[tuple[int, int], float]:
    """Which tails the target has: those to which its draws belong, by their weights."""
    logs = last.by_component(weighted.theta)
    share = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))[:, len(last.means) :]
    mass = np.exp(weighted.log_weights) @ share
    wanted = {tail: float(m) for tail, m in zip(last.tails, mass, strict=True) if m > LEAST_TAIL}
    total = sum(wanted.values())
    return {tail: m * min(max(2 * total, 0.05), 0.3) / total for tail, m in wanted.items()}


def _from_moments(theta: np.ndarray, weights: np.ndarray, ridge: np.ndarray | float = 0.0) -> Proposal:
    """One component with the mean and covariance of weighted draws."""
    mean = weights @ theta
    centred = theta - mean
    covariance = (centred * weights[:, None]).T @ centred * (NU - 2) / NU * 1.2 + ridge
    covariance += 1e-9 * np.diag(np.diag(covariance)) + 1e-12 * np.eye(len(mean))
    return Proposal(np.ones(1), mean[None], np.linalg.cholesky(covariance)[None])
