"""The collapsed density by Markov chains, for where no proposal fits it: NUTS on a handful of dimensions."""

import numpy as np
import xarray as xr

from mixedbayes.inference.collapsed import Collapsed
from mixedbayes.inference.importance import Weighted, resample
from mixedbayes.inference.options import Options
from mixedbayes.model.spec import CHAIN, DRAW

TUNE, TARGET_ACCEPT = 1000, 0.95


def sample_by_chains(
    density: Collapsed,
    weighted: Weighted,
    *,
    chains: int,
    draws: int,
    options: Options,
    seed: np.random.SeedSequence,
) -> tuple[np.ndarray, xr.Dataset]:
    """Draws of theta, shape (chains * draws, d), chain by chain, and the sampler's statistics.

    Chains begin at draws of the best proposal found, by their weights.
    """
    import nutpie  # noqa: PLC0415  # seconds to import, and seldom needed
    from nutpie.compiled_pyfunc import from_pyfunc  # noqa: PLC0415  # as above

    d = density.variances.size
    first, second = seed.spawn(2)
    starts = weighted.theta[resample(weighted, max(100, chains), np.random.default_rng(first))]

    def make_log_density() -> object:
        def log_density(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = density.log_posterior_and_gradient(theta[None])
            if not np.isfinite(value[0]) or not np.isfinite(slope).all():
                raise ArithmeticError
            return float(value[0]), slope[0]

        return log_density

    def make_expand(_seed: int, _chain: int, _other: int) -> object:
        return lambda theta: {"theta": theta}

    model = from_pyfunc(
        d,
        make_log_density,
        make_expand,
        [np.dtype("float64")],
        [(d,)],
        ["theta"],
        make_initial_point_fn=lambda number: starts[np.random.default_rng(number).integers(len(starts))],
    )
    tree = nutpie.sample(
        model,
        draws=draws,
        tune=TUNE,
        chains=chains,
        cores=min(chains, options.processors),
        target_accept=TARGET_ACCEPT,
        seed=int(second.generate_state(1)[0]),
        progress_bar=options.is_watched,
    )
    theta = tree["posterior"]["theta"].transpose(CHAIN, DRAW, ...).to_numpy().reshape(chains * draws, d)
    stats = xr.Dataset(
        {"diverging": ((CHAIN, DRAW), tree["sample_stats"]["diverging"].to_numpy())},
        attrs={"mixedbayes_sampler": "nutpie on the collapsed density", "tuning_steps": TUNE},
    )
    return theta, stats
