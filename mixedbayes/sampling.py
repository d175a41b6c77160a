"""What those say to each other who ask for draws and who make them: options, as users pass them, and densities of rows."""

from typing import Protocol, TypedDict

import numpy as np


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


class LeftOut(Protocol):
    """The predictive densities of rows of a fit given its other rows, in closed form."""

    def at_draws(self, out: np.ndarray) -> np.ndarray:
        """Log p(y_out | theta, y_in) at the fit's own draws of theta, given the places of the rows left out."""

    def exactly(self, out: np.ndarray) -> tuple[float, float]:
        """Log p(y_out | y_in), and the Pareto k of the weights that it rests on."""
