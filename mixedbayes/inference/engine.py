"""`ModelSpec` × `Options` -> draws: the door through which fits are made, and made again.

Imports of PyMC and SciPy's parts wait until a model is drawn from: they take seconds.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedbayes.inference.elsewhere import unknown_options
from mixedbayes.inference.memory import check_memory
from mixedbayes.inference.options import Options, check_installed
from mixedbayes.models.spec import ModelSpec

if TYPE_CHECKING:
    import pymc
    from xarray import DataTree

    from mixedbayes.inference.gaussian.collapsed import Collapsed
    from mixedbayes.inference.gaussian.leave_out import LeaveOut
    from mixedbayes.inference.gaussian.moments import Moments

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
        from mixedbayes.inference.nuts.graph import build  # noqa: PLC0415  # PyMC takes seconds to import

        return build(self.spec)

    @cached_property
    def collapsed(self) -> "Collapsed":
        """The density of the variance parameters alone, for Gaussian models: one pass over the rows, on first use."""
        from mixedbayes.inference.gaussian.sample import collapse  # noqa: PLC0415  # SciPy's parts take a second to import

        return collapse(self.spec)


@dataclass(frozen=True, slots=True)
class Engine:
    """Draws from the posterior of any model, always in the same way.

    Attributes:
        options: The way.
        moments: Of the rows that were drawn from, where that was in closed form: with them more rows need no look
            at the old ones.
    """

    options: Options
    moments: "Moments | None" = field(default=None, compare=False)

    def draw(self, model: Prepared, after: "DataTree | None" = None) -> "tuple[DataTree, Engine]":
        """Draws from a model's posterior, ArviZ's DataTree, and the engine that knows its rows.

        Args:
            model: To draw from.
            after: Draws of a similar model, about which chains begin.

        Raises:
            ArgumentError: The options name a method that the model does not allow.
        """
        from mixedbayes.inference.methods import choose  # noqa: PLC0415  # as above

        check_installed(self.options)
        choice = choose(model.spec, self.options, lambda: model.collapsed)
        check_memory(model.spec, choice.method, self.options)
        if choice.method == "nuts":
            _check_residual(model)
        idata = _draw(model, choice.method, self.options, after)
        idata["sample_stats"].attrs |= {METHOD: str(choice), OPTIONS: json.dumps(asdict(self.options))}
        moments = model.collapsed.moments if choice.method == "collapsed" else None
        return idata, replace(self, moments=moments)

    def redraw(self, spec: ModelSpec, seed: int | None) -> "DataTree":
        """Draws from another model's posterior, in silence."""
        options = replace(self.options, seed=seed, progress=False)
        return Engine(options).draw(Prepared(spec))[0]

    def without(self, spec: ModelSpec) -> "Callable[[np.ndarray, int | None], DataTree]":
        """Places of rows left out and a seed -> draws from the posterior of the other rows, in silence.

        nutpie compiles the model once; what else there is builds it each time.
        """
        from mixedbayes.inference.methods import choose  # noqa: PLC0415  # as above

        method = choose(spec, self.options, lambda: Prepared(spec).collapsed).method
        rows = np.arange(spec.design.n)
        if method == "collapsed" or self.options.sampler not in (None, "nutpie"):
            return lambda out, seed: self.redraw(spec.only(np.setdiff1d(rows, out)), seed)
        from mixedbayes.inference.nuts.graph import build  # noqa: PLC0415  # as above
        from mixedbayes.inference.nuts.sample import sampler_without  # noqa: PLC0415  # as above

        draw = sampler_without(build(spec, masked=True), tuple(spec.dims), self.options)
        return lambda out, seed: draw(~np.isin(rows, out), seed)

    def draw_anew(self, spec: ModelSpec, sampling: Mapping[str, Any]) -> "tuple[DataTree, Engine]":
        """Draws from another model's posterior, with some options changed.

        Raises:
            ArgumentError: An option that there is not, or out of range.
        """
        return self._with(sampling).draw(Prepared(spec))

    def extend(
        self, spec: ModelSpec, idata: "DataTree", new: np.ndarray, sampling: Mapping[str, Any]
    ) -> "tuple[DataTree, Engine]":
        """Draws from the posterior of a model with more rows than one that was drawn from.

        Where the old rows' moments are known, those of the new rows are added to them; else chains begin about the
        old draws.

        Args:
            spec: The model of all rows.
            idata: Draws of the old rows' posterior.
            new: Places of the new rows.
            sampling: Options that are changed.

        Raises:
            ArgumentError: An option that there is not, or out of range.
        """
        model = Prepared(spec)
        if self.moments is not None:
            from mixedbayes.inference.gaussian.sample import extended  # noqa: PLC0415  # as above

            vars(model)["collapsed"] = extended(self.moments, spec, new)  # in place of a pass over all rows
        return self._with(sampling).draw(model, after=idata)

    def leave_out(self, spec: ModelSpec, idata: "DataTree") -> "LeaveOut | None":
        """The densities of rows left out of a fit in closed form; None where there is none."""
        from mixedbayes.inference.gaussian.leave_out import LeaveOut  # noqa: PLC0415  # as above
        from mixedbayes.inference.gaussian.sample import too_large, too_many, why_not  # noqa: PLC0415  # as above

        if self.options.method == "nuts" or why_not(spec):
            return None
        density = Prepared(spec).collapsed
        if too_large(density) or too_many(density):
            return None
        return LeaveOut(density, idata, self.options.seed)

    def _with(self, sampling: Mapping[str, Any]) -> "Engine":
        known = [option.name for option in fields(Options)]
        unknown = [name for name in sampling if name not in known]
        if unknown:
            raise unknown_options(unknown, known)
        return Engine(replace(self.options, **sampling))


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


def _check_residual(model: Prepared) -> None:
    """Refuse what has no posterior before a sampler is lost in it; the collapsed method sees for itself."""
    from mixedbayes.inference.gaussian.propriety import check_rows  # noqa: PLC0415  # as above
    from mixedbayes.inference.gaussian.sample import is_gaussian  # noqa: PLC0415  # as above

    if is_gaussian(model.spec):
        check_rows(model.collapsed)


def _draw(model: Prepared, method: str, options: Options, after: "DataTree | None") -> "DataTree":
    if method == "collapsed":
        from mixedbayes.inference.gaussian.sample import sample_exactly  # noqa: PLC0415  # as above

        return sample_exactly(model.collapsed, options)
    from mixedbayes.inference.nuts.sample import sample  # noqa: PLC0415  # PyMC takes seconds

    if after is None:
        return sample(model.pymc, tuple(model.spec.dims), options)
    from mixedbayes.inference.nuts.start import start_of  # noqa: PLC0415  # as above

    free = {variable.name: variable.ndim for variable in model.pymc.free_RVs}
    return sample(model.pymc, tuple(model.spec.dims), options, start_of(model.spec, after, free))
