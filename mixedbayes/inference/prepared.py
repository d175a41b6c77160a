"""A model with what ways of drawing from it need, each built on first use.

Imports of PyMC take seconds, those of SciPy's parts one: they wait until somebody draws, each behind a door of its own.
"""

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedbayes.models.spec import ModelSpec

if TYPE_CHECKING:
    import pymc
    from xarray import DataTree

    from mixedbayes.inference.gaussian.collapsed import Collapsed


@dataclass(frozen=True, eq=False, slots=True)
class Before:
    """What there is of a model before it is drawn from: draws of a similar one, of the same parameters.

    Attributes:
        idata: The draws.
        new: Places of the rows that the similar model lacked, shape (m,); the others were its own.
        kept: What its method kept of these.
    """

    idata: "DataTree"
    new: np.ndarray
    kept: Any


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model with what its samplers need.

    Attributes:
        spec: The model as data.
        before: What there is of it already; None for nothing.
    """

    spec: ModelSpec
    before: Before | None = None

    @cached_property
    def pymc(self) -> "pymc.Model":
        """The `pymc.Model`, built on first use."""
        return nuts().graph.build(self.spec)

    @cached_property
    def collapsed(self) -> "Collapsed":
        """The density of the variance parameters alone, for Gaussian models: one pass over the rows, on first use.

        Where moments of the other rows are at hand, over the new ones.
        """
        door = gaussian()
        known = None if self.before is None else self.before.kept
        if self.before is not None and isinstance(known, door.moments.Moments):
            return door.sample.extended(known, self.spec, self.before.new)
        return door.sample.collapse(self.spec)


def gaussian() -> ModuleType:
    """The files of the closed form."""
    import mixedbayes.inference.gaussian.leave_out  # noqa: PLC0415  # imports SciPy's parts, which take a second

    return mixedbayes.inference.gaussian


def nuts() -> ModuleType:
    """The files of NUTS."""
    import mixedbayes.inference.nuts.sample  # noqa: PLC0415  # imports PyMC, which takes seconds
    import mixedbayes.inference.nuts.start  # noqa: PLC0415  # as above

    return mixedbayes.inference.nuts
