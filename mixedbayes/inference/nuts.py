"""A PyMC model -> draws, by the no-U-turn sampler of nutpie, PyMC, NumPyro or BlackJAX."""

import logging
import warnings
from collections.abc import Mapping

import numpy as np
import pymc as pm
from rich.console import Console
from xarray import DataTree

from mixedbayes.inference.options import SAMPLERS, Options

DRAWS, TUNE, TARGET_ACCEPT = 1000, 1000, 0.9
"""Of each chain, where the user does not say."""


def sample(
    model: pm.Model,
    variables: tuple[str, ...],
    options: Options,
    start: Mapping[str, np.ndarray] | None = None,
) -> DataTree:
    """Draw from the posterior.

    Args:
        model: From `pymc_model.build`.
        variables: Those whose draws are kept.
        options: How.
        start: Values of free variables to begin about; None to begin where the priors say.

    Returns:
        ArviZ's DataTree: posterior, sample_stats, observed_data.
    """
    sampler = options.sampler or "nutpie"
    chains, draws = options.chains, options.draws or DRAWS
    if options.is_watched:
        Console(stderr=True).print(
            "Compiling the model (seconds; up to a minute the first time on a machine) ..."
        )
    level = logging.getLogger("pymc").level
    logging.getLogger("pymc").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="PyTensor could not link to a BLAS", category=UserWarning
            )
            idata = pm.sample(
                draws,
                tune=options.tune or TUNE,
                chains=chains,
                cores=min(chains, options.processors),
                random_seed=options.seed,
                initvals=None if start is None else dict(start),
                progressbar=options.is_watched,
                var_names=list(variables),
                nuts_sampler=sampler,
                nuts={"target_accept": options.target_accept or TARGET_ACCEPT, **SAMPLERS[sampler].options},
                compute_convergence_checks=False,
                model=model,
            )
    except ValueError as error:
        if "Not enough samples to build a trace" in str(error):  # PyMC's answer to Ctrl-C while tuning
            raise KeyboardInterrupt from None
        raise
    finally:
        logging.getLogger("pymc").setLevel(level)
    _check_whole(idata, chains, draws)
    return _kept(idata, variables, sampler)


def _check_whole(idata: DataTree, chains: int, draws: int) -> None:
    """Samplers answer Ctrl-C with the draws made so far, nutpie with the rest as NaN; a part of a fit is no fit."""
    posterior = idata["posterior"].to_dataset()
    short = posterior.sizes["chain"] < chains or posterior.sizes["draw"] < draws
    if short or all(variable.isnull().any() for variable in posterior.isel(draw=-1).values()):
        raise KeyboardInterrupt


def _kept(idata: DataTree, variables: tuple[str, ...], sampler: str) -> DataTree:
    """Draws of the model's own variables, the sampler's statistics and the response."""
    stats = idata["sample_stats"].to_dataset().assign_attrs(mixedbayes_sampler=sampler)
    posterior = idata["posterior"].to_dataset()[list(variables)]
    dims = {dim for variable in posterior.data_vars.values() for dim in variable.dims}
    posterior = posterior.drop_vars([name for name in posterior.coords if name not in dims])
    groups = {
        "posterior": posterior,
        "sample_stats": stats,
        "observed_data": idata["observed_data"].to_dataset(),
    }
    return DataTree.from_dict(groups)
