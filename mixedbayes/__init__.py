"""Bayesian mixed models for people who think in lme4 formulas and work in DataFrames.

One formula passes through five rooms; what leaves a room is a frozen value of its own type, and a room
imports only from those before it:

    "y ~ x + (1 + x | g)"
        │  language    text → Formula             what the formula says, with places in the text
        ▼
        │  designs     Formula × table → Design   matrices, levels and codes; knows no priors
        ▼
        │  models      Design × family × priors → ModelSpec   every parameter with its address and prior
        ▼
        │  inference   ModelSpec → draws          the only door to PyMC
        ▼
        │  results     draws × ModelSpec → tables what people read
        ▼
    mb.fit(...)        `driver.py` drives, one line a stage
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixedbayes.datasets import list_datasets, load_dataset
from mixedbayes.driver import Model, design, fit, load, model
from mixedbayes.errors import (
    ArgumentError,
    ConvergenceWarning,
    DataError,
    DesignWarning,
    FamilyError,
    FileError,
    FormulaError,
    MixedBayesError,
    PartialDrawsWarning,
    PictureWarning,
    PriorError,
)
from mixedbayes.inference.methods import METHODS, Method
from mixedbayes.models.distributions import Interval
from mixedbayes.models.families import Family, FamilyParameter, PyMC, Scale, Tails
from mixedbayes.models.priors import prior

if TYPE_CHECKING:
    from mixedbayes.results.comparison.compare import compare
    from mixedbayes.results.fit import Fit

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "ArgumentError",
    "ConvergenceWarning",
    "DataError",
    "DesignWarning",
    "Family",
    "FamilyError",
    "FamilyParameter",
    "FileError",
    "Fit",
    "FormulaError",
    "Interval",
    "Method",
    "MixedBayesError",
    "Model",
    "PartialDrawsWarning",
    "PictureWarning",
    "PriorError",
    "PyMC",
    "Scale",
    "Tails",
    "compare",
    "design",
    "fit",
    "list_datasets",
    "load",
    "load_dataset",
    "model",
    "prior",
]


LATE = {"Fit": "mixedbayes.results.fit", "compare": "mixedbayes.results.comparison.compare"}
"""Names whose modules import ArviZ, which takes seconds."""

LATE_MODULES = ("sklearn",)
"""Modules that import what is not always installed."""


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module(LATE[name]), name)
    if name in LATE_MODULES:
        return import_module(f"mixedbayes.{name}")
    raise AttributeError(f"module 'mixedbayes' has no attribute {name!r}")
