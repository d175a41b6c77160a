"""`ModelSpec` × `Options` -> draws: the door through which fits are made, and made again.

Imports of PyMC and SciPy's parts wait until a model is drawn from: they take seconds.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mixedbayes.inference.options import Options
from mixedbayes.model.spec import ModelSpec

if TYPE_CHECKING:
    import pymc
    from xarray import DataTree

    from mixedbayes.inference.collapsed import Collapsed
    from mixedbayes.inference.leave_out import LeaveOut

METHOD, OPTIONS = "mixedbayes_method", "mixedbayes_options"
"""Attributes of sample_stats: the method with its reason, and how to draw again."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model with what its samplers need, each built on first use.

    Attributes:
        spec: The model as data.
    """

    spec: ModelSpec

    @cached_property
    def pymc(self) -> "pymc.Model":
        """The `pymc.Model`, built on first use."""
        from mixedbayes.inference.pymc_model import build  # noqa: PLC0415  # PyMC takes seconds to import

        return build(self.spec)

    @cached_property
    def collapsed(self) -> "Collapsed":
        """The density of the variance parameters alone, for Gaussian models: one pass over the rows, on first use."""
        from mixedbayes.inference.exact import collapse  # noqa: PLC0415  # SciPy's parts take a second to import

        return collapse(self.spec)


@dataclass(frozen=True, slots=True)
class Engine:
    """Draws from the posterior of any model, always in the same way.

    Attributes:
        options: The way.
    """

    options: Options

    def draw(self, model: Prepared) -> "DataTree":
        """Draws from a model's posterior: ArviZ's DataTree.

        Raises:
            ArgumentError: The options name a method that the model does not allow.
        """
        from mixedbayes.inference.method import choose  # noqa: PLC0415  # as above

        choice = choose(model.spec, self.options, lambda: model.collapsed)
        idata = _draw(model, choice.method, self.options)
        idata["sample_stats"].attrs |= {METHOD: str(choice), OPTIONS: json.dumps(asdict(self.options))}
        return idata

    def redraw(self, spec: ModelSpec, seed: int | None) -> "DataTree":
        """Draws from another model's posterior, in silence."""
        return replace(self, options=replace(self.options, seed=seed, progress=False)).draw(Prepared(spec))

    def leave_out(self, spec: ModelSpec, idata: "DataTree") -> "LeaveOut | None":
        """The densities of rows left out of a fit in closed form; None where there is none."""
        from mixedbayes.inference.exact import too_large, too_many, why_not  # noqa: PLC0415  # as above
        from mixedbayes.inference.leave_out import LeaveOut  # noqa: PLC0415  # as above

        if self.options.method == "nuts" or why_not(spec):
            return None
        density = Prepared(spec).collapsed
        if too_large(density) or too_many(density):
            return None
        return LeaveOut(density, idata, self.options)


def engine_of(idata: "DataTree") -> Engine:
    """The engine that made the draws, by their own record; one with the usual options where there is none.

    Raises:
        TypeError, ValueError: The record holds no options.
    """
    stats = idata["sample_stats"]
    described = json.loads(str(stats.attrs.get(OPTIONS, "{}")))
    if not isinstance(described, Mapping):
        raise TypeError("options are no mapping")
    known: dict[str, Any] = {"progress": True} | {str(name): value for name, value in described.items()}
    return Engine(Options(**known))


def _draw(model: Prepared, method: str, options: Options) -> "DataTree":
    if method == "collapsed":
        from mixedbayes.inference.exact import sample_exactly  # noqa: PLC0415  # as above

        return sample_exactly(model.collapsed, options)
    from mixedbayes.inference.nuts import sample  # noqa: PLC0415  # PyMC takes seconds

    return sample(model.pymc, model.spec.variables, options)
