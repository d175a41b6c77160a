"""How to draw from a posterior: one record, which checks itself before anything is built."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from numbers import Real
from operator import index
from typing import Any

from mixedbayes.errors import ArgumentError, listed, nearest
from mixedbayes.work import somebody_watches

METHODS = ("auto", "collapsed", "nuts")
GIB = 2.0**30


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


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `Model.fit`, which says what they mean.

    Raises:
        ArgumentError: An option out of range.
    """

    method: str = "auto"
    sampler: str | None = None
    chains: int = 4
    draws: int | None = None
    tune: int | None = None
    target_accept: float | None = None
    seed: int | None = None
    cores: int | None = None
    memory: float = 1.0
    progress: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ArgumentError(
                f"There is no method {self.method!r}.{nearest(str(self.method), METHODS)} Known: {', '.join(METHODS)}."
            )
        if self.sampler is not None and self.sampler not in SAMPLERS:
            raise ArgumentError(
                f"There is no sampler {self.sampler!r}.{nearest(str(self.sampler), SAMPLERS)} Known: {', '.join(SAMPLERS)}."
            )
        least = {"chains": 1, "draws": 1, "tune": 1, "cores": 1, "seed": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            optional = value is None and name != "chains"
            if not optional and (
                isinstance(value, bool) or not hasattr(value, "__index__") or value < lowest
            ):
                raise ArgumentError(f"{name} is a whole number of at least {lowest}, not {value!r}.")
            if value is not None:
                object.__setattr__(self, name, index(value))  # plain, whoever's number it was
        accept = self.target_accept
        if accept is not None and (not _is_number(accept) or not 0 < accept < 1):
            raise ArgumentError(f"target_accept lies between 0 and 1, not {accept!r}.")
        if not _is_number(self.memory) or not self.memory > 0:
            raise ArgumentError(f"memory is a positive number of GiB, not {self.memory!r}.")
        if not isinstance(self.progress, bool):
            raise ArgumentError(f"progress is True or False, not {self.progress!r}.")
        object.__setattr__(self, "memory", float(self.memory))
        object.__setattr__(self, "target_accept", None if accept is None else float(accept))
        if self.method == "collapsed" and self.for_nuts:
            raise ArgumentError(
                f"method='collapsed' has no use for {listed(self.for_nuts)}; method='nuts' has."
            )

    @property
    def for_nuts(self) -> tuple[str, ...]:
        """Options given that only NUTS has a use for."""
        return tuple(name for name in ("sampler", "tune", "target_accept") if getattr(self, name) is not None)

    @property
    def processors(self) -> int:
        """How many things to do at once."""
        if self.cores:
            return int(self.cores)
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def is_watched(self) -> bool:
        """Whether progress is wanted and somebody can see it: a terminal or a notebook, and not a file or a pipe."""
        return self.progress and somebody_watches()


def check_installed(options: Options) -> None:
    """Refuse to draw by a sampler whose package is not there.

    Raises:
        ArgumentError: It is not installed.
    """
    package = None if options.sampler is None else SAMPLERS[options.sampler].package
    if package and find_spec(package) is None:
        raise ArgumentError(
            f"sampler={options.sampler!r} needs the package {package}: pip install 'mixedbayes[{package}]'."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
