"""The collapsed density by Markov chains, for where no proposal fits it: Metropolis on a handful of dimensions.

Many walkers move at once, for many densities cost little more than one. Every other step is a draw from the best proposal found, accepted by its weight; the
steps between are small, in the shape of one of its components: the first leap between places, the second
explore one. Source: Tierney (1994), Markov chains for exploring posterior distributions, sections 2.3.2 and 2.4.
"""

import numpy as np

from mixedbayes.inference.proposals.importance import Density, Proposal, Weighted, resample

WALKERS = 64
LENGTH = 16
"""Walkers of a chain, at most, and the draws that each is to contribute, at least."""

STEPS = 20
"""Of a walker for each draw kept, for each dimension."""

WARMUP = 10
"""Draws of each walker that are not kept."""

SIZES = (0.05, 2.4)
"""Of small steps over the square root of the dimension, in standard deviations: log-uniform between these."""


def sample_by_chains(
    density: Density,
    weighted: Weighted,
    proposal: Proposal,
    *,
    chains: int,
    draws: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of theta.

    Args:
        density: (n, d) -> (n,), the log density.
        weighted: Draws by importance sampling: chains begin at some of them, by their weights.
        proposal: The best found.
        chains: Independent chains.
        draws: Kept draws of each, those of a walker in a row.
        rng: The source of all randomness.

    Returns:
        theta, shape (chains, draws, d), and its log density, shape (chains, draws).
    """
    d = weighted.theta.shape[1]
    walkers = max(1, min(WALKERS, draws // LENGTH))
    n, length, thin = chains * walkers, -(-draws // walkers), STEPS * d
    theta = weighted.theta[rng.permutation(resample(weighted, n, rng))]
    value = density(theta)
    kept, values = np.empty((n, length, d)), np.empty((n, length))
    for step in range(-WARMUP * thin, length * thin):
        if step % 2:
            new = proposal.draw(n, rng)
            log_ratio = proposal.log_density(theta) - proposal.log_density(new)
        else:
            component = rng.choice(len(proposal.means), size=n)
            size = np.exp(rng.uniform(*np.log(SIZES), size=n)) / np.sqrt(d)
            moves = np.einsum("nij,nj->ni", proposal.scales[component], rng.standard_normal((n, d)))
            new, log_ratio = theta + size[:, None] * moves, np.zeros(n)
        new_value = density(new)
        accepted = -rng.standard_exponential(n) < new_value - value + log_ratio
        theta, value = np.where(accepted[:, None], new, theta), np.where(accepted, new_value, value)
        if step >= 0 and (step + 1) % thin == 0:
            kept[:, step // thin], values[:, step // thin] = theta, value
    whole = (chains, walkers * length)
    return kept.reshape(*whole, d)[:, :draws], values.reshape(whole)[:, :draws]
