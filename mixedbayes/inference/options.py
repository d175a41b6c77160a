"""How to draw from a posterior: one record, which checks itself before anything is built."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from mixedbayes.arguments import flag, is_number, is_one_of, share, whole
from mixedbayes.errors import ArgumentError, counted, nearest, shown
from mixedbayes.work import somebody_watches

GIB = 2.0**30

MEMORY = 1.0
"""GiB for draws of group effects, where the user does not say."""

MOST = 2**27
"""Draws in all: 1 GiB for each parameter. More is a slip of the keyboard, or a file made to harm."""

WHOLE = {
    "chains": (1, 10_000),
    "draws": (1, 2**62),  # MOST has the last word
    "tune": (1, 2**62),
    "cores": (1, 2**31),
    "seed": (0, 2**64 - 1),  # as samplers take it
}
"""Options that are whole numbers, with the least and the largest."""

LARGEST = 1e9
"""GiB that memory= is taken for at most: as good as infinite."""


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
    """The options of `Sampling`, whole and checked; of the method its name.

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
    memory: float | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.method, str):
            raise ArgumentError(f"There is no method {shown(self.method)}.")
        if self.sampler is not None and not is_one_of(self.sampler, SAMPLERS):
            raise ArgumentError(
                f"There is no sampler {shown(self.sampler)}.{nearest(shown(self.sampler), SAMPLERS)} Known: {', '.join(SAMPLERS)}."
            )
        for name, (lowest, highest) in WHOLE.items():
            value = getattr(self, name)
            if value is None and name != "chains":
                continue
            object.__setattr__(
                self, name, whole(name, value, lowest, highest)
            )  # plain, whoever's number it was
        each = max(self.draws or 1, self.tune or 1)
        if self.chains * each > MOST:
            what = f"draws={each:,}" if each == self.draws else f"tune={each:,}"
            raise ArgumentError(
                f"{counted(self.chains, 'chain')} of {what} would take {8 * self.chains * each / GIB:,.1f} GiB for each parameter; "
                f"at most {8 * MOST / GIB:,.1f} GiB are taken, {MOST // self.chains:,} draws of each chain."
            )
        if self.target_accept is not None:
            object.__setattr__(self, "target_accept", share("target_accept", self.target_accept))
        memory = self.memory
        if memory is not None:
            if not is_number(memory) or not memory > 0:
                raise ArgumentError(f"memory is a positive number of GiB, not {shown(memory)}.")
            object.__setattr__(self, "memory", float(min(memory, LARGEST)))
        object.__setattr__(self, "progress", flag("progress", self.progress))

    @property
    def budget(self) -> float:
        """Bytes for draws of group effects."""
        return (MEMORY if self.memory is None else self.memory) * GIB

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
