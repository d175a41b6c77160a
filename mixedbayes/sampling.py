"""The options of drawing from a posterior, as users pass them: one list for all that pass them on."""

from typing import Protocol, TypedDict


class Named(Protocol):
    """A method that is passed itself, and not by its name."""

    @property
    def name(self) -> str:
        """What it is called."""


class Sampling(TypedDict, total=False):
    """Options of drawing from a posterior: all by name, and any of them left out.

    `Model.fit` says what they mean, and `inference/options.py` what is taken for those left out.
    """

    method: str | Named
    sampler: str | None
    chains: int
    draws: int | None
    tune: int | None
    target_accept: float | None
    seed: int | None
    cores: int | None
    memory: float | None
    progress: bool


class FitOptions(Sampling, total=False):
    """The same with formulas of a family's parameters beside the mean, which `mb.fit` takes under their names."""

    sigma: str
    nu: str
    shape: str
    phi: str
