"""A PyMC model -> draws, by the no-U-turn sampler of nutpie, PyMC, NumPyro or BlackJAX."""

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pymc as pm
from rich.console import Console
from xarray import DataTree

from mixedbayes.errors import ArgumentError, nearest


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler: the package beyond our own dependencies that it needs, and options of its own."""

    package: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


SAMPLERS = {
    # nutpie's default metric, from draws and gradients, mixes four times worse on crossed and count models
    "nutpie": Sampler(options={"adaptation": "draw_diag"}),
    "pymc": Sampler(),
    "numpyro": Sampler("numpyro"),
    "blackjax": Sampler("blackjax"),
}


def sample(
    model: pm.Model,
    variables: tuple[str, ...],
    *,
    sampler: str = "nutpie",
    chains: int = 4,
    draws: int = 1000,
    tune: int = 1000,
    target_accept: float = 0.9,
    seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> DataTree:
    """Draw from the posterior.

    Args:
        model: From `pymc_model.build`.
        variables: Those whose draws are kept.
        sampler: `nutpie`, `pymc`, `numpyro` or `blackjax`.
        chains: Independent chains.
        draws: Kept draws of each chain.
        tune: Adaptation steps of each chain, not kept.
        target_accept: Mean acceptance probability aimed at; nearer 1 makes smaller steps.
        seed: The same seed gives the same draws.
        cores: Chains sampled at once; None for as many as there are processors.
        progress: Whether to show a progress bar, where somebody can see it: a terminal or a notebook.

    Returns:
        ArviZ's DataTree: posterior, sample_stats, observed_data.

    Raises:
        ArgumentError: An option out of range, or a sampler that is not installed.
    """
    check_options(
        sampler=sampler,
        chains=chains,
        draws=draws,
        tune=tune,
        target_accept=target_accept,
        seed=seed,
        cores=cores,
    )
    cores = min(chains, cores or _processors())
    progress = progress and _is_watched()
    if progress:
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
                tune=tune,
                chains=chains,
                cores=cores,
                random_seed=seed,
                progressbar=progress,
                var_names=list(variables),
                nuts_sampler=sampler,
                nuts={"target_accept": target_accept, **SAMPLERS[sampler].options},
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


def check_options(
    *,
    sampler: str,
    chains: int,
    draws: int,
    tune: int,
    target_accept: float,
    seed: int | None,
    cores: int | None,
) -> None:
    """Refuse options out of range before anything is compiled."""
    if sampler not in SAMPLERS:
        raise ArgumentError(
            f"There is no sampler {sampler!r}.{nearest(str(sampler), SAMPLERS)} Known: {', '.join(SAMPLERS)}."
        )
    package = SAMPLERS[sampler].package
    if package and find_spec(package) is None:
        raise ArgumentError(
            f"sampler={sampler!r} needs the package {package}: pip install 'mixedbayes[{package}]'."
        )
    counts: dict[str, Any] = {"chains": (chains, 1), "draws": (draws, 1), "tune": (tune, 1)}
    if cores is not None:
        counts["cores"] = (cores, 1)
    if seed is not None:
        counts["seed"] = (seed, 0)
    for name, (value, least) in counts.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
            raise ArgumentError(f"{name} is a whole number of at least {least}, not {value!r}.")
    if not isinstance(target_accept, int | float) or not 0 < target_accept < 1:
        raise ArgumentError(f"target_accept lies between 0 and 1, not {target_accept!r}.")


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_watched() -> bool:
    """Whether output goes to a person: a terminal or a notebook, and not a file or a pipe."""
    console = Console()
    return console.is_terminal or console.is_jupyter or "marimo" in sys.modules
