"""A PyMC model -> draws, by the no-U-turn sampler of nutpie, PyMC, NumPyro or BlackJAX."""

import logging
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pymc as pm
from rich.console import Console
from xarray import Dataset, DataTree

from mixedbayes.inference.nuts.graph import INCLUDED
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


def sampler_without(
    model: pm.Model, variables: tuple[str, ...], options: Options
) -> Callable[[np.ndarray, int | None], DataTree]:
    """Compile a masked model once, to draw from it with different rows left out, by nutpie.

    Args:
        model: From `pymc_model.build`, masked.
        variables: Those whose draws are kept.
        options: How.

    Returns:
        Which rows count (1 or 0, shape (n,)) and a seed -> draws, in silence.
    """
    import nutpie  # noqa: PLC0415  # seconds to import

    compiled = nutpie.compile_pymc_model(model, var_names=list(variables))

    def draw(included: np.ndarray, seed: int | None) -> DataTree:
        idata = nutpie.sample(
            compiled.with_data(**{INCLUDED: included.astype(float)}),
            draws=options.draws or DRAWS,
            tune=options.tune or TUNE,
            chains=options.chains,
            cores=min(options.chains, options.processors),
            seed=seed,
            progress_bar=False,
            target_accept=options.target_accept or TARGET_ACCEPT,
            **SAMPLERS["nutpie"].options,
        )
        _check_whole(idata, options.chains, options.draws or DRAWS)
        return DataTree.from_dict({"posterior": _own(idata, variables)})

    return draw


def _check_whole(idata: DataTree, chains: int, draws: int) -> None:
    """Samplers answer Ctrl-C with the draws made so far, nutpie with the rest as NaN; a part of a fit is no fit."""
    posterior = idata["posterior"].to_dataset()
    short = posterior.sizes["chain"] < chains or posterior.sizes["draw"] < draws
    if short or all(variable.isnull().any() for variable in posterior.isel(draw=-1).values()):
        raise KeyboardInterrupt


def _kept(idata: DataTree, variables: tuple[str, ...], sampler: str) -> DataTree:
    """Draws of the model's own variables, the sampler's statistics and the response."""
    stats = idata["sample_stats"].to_dataset().assign_attrs(mixedbayes_sampler=sampler)
    groups = {
        "posterior": _own(idata, variables),
        "sample_stats": stats,
        "observed_data": idata["observed_data"].to_dataset(),
    }
    return DataTree.from_dict(groups)


def _own(idata: DataTree, variables: tuple[str, ...]) -> Dataset:
    """Draws of the model's own variables."""
    posterior = idata["posterior"].to_dataset()[list(variables)]
    dims = {dim for variable in posterior.data_vars.values() for dim in variable.dims}
    return posterior.drop_vars([name for name in posterior.coords if name not in dims])
