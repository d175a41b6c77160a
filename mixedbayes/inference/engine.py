"""`ModelSpec` × `Options` -> draws: the door through which fits are made, and made again."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mixedbayes.inference.elsewhere import unknown_options
from mixedbayes.inference.memory import check_memory
from mixedbayes.inference.methods import METHODS, Choice, Method, choose, find_method
from mixedbayes.inference.options import MEMORY, Options
from mixedbayes.inference.prepared import Before, Prepared
from mixedbayes.models.spec import ModelSpec
from mixedbayes.sampling import LeftOut, Sampling

if TYPE_CHECKING:
    from xarray import DataTree

METHOD, SAMPLER, OPTIONS = "mixedbayes_method", "mixedbayes_sampler", "mixedbayes_options"
"""Attributes of sample_stats: the method with its reason, what made its draws, and how to draw again."""

NAMES = tuple(option.name for option in fields(Options))
"""Of the options."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Draws from the posterior of any model, always in the same way.

    Attributes:
        options: The way.
        given: The method, where it was passed itself and not by its name.
        kept: What the method kept of the rows that were drawn from, so that more of them need no look at these.
    """

    options: Options = field(default_factory=Options)
    given: Method | None = field(default=None, compare=False)
    kept: Any = field(default=None, compare=False, repr=False)

    def told(self, sampling: Sampling) -> Self:
        """The same engine with some options changed.

        Raises:
            ArgumentError: An option that there is not, or out of range.
        """
        unknown = [name for name in sampling if name not in NAMES]
        if unknown:
            raise unknown_options(unknown, NAMES)
        changes: dict[str, Any] = {**sampling}
        given = self.given
        if "method" in sampling:
            method = find_method(sampling["method"])
            given = method if method is sampling["method"] else None
            changes["method"] = sampling["method"] if given is None else given.name
        return replace(self, options=replace(self.options, **changes), given=given)

    def draw(
        self,
        spec: ModelSpec,
        sampling: Sampling,
        after: "DataTree | None" = None,
        new: np.ndarray | None = None,
    ) -> "tuple[DataTree, Engine]":
        """Draws from the posterior of a model, and the engine that made them.

        Args:
            spec: The model.
            sampling: Options that are changed.
            after: Draws of the posterior of all but the new rows, by this engine: what it kept of these is added to, or
                Markov chains begin about the draws.
            new: Places of the new rows.

        Raises:
            ArgumentError: An option that there is not, or out of range; or a method that the model does not allow.
        """
        before = None if after is None or new is None else Before(after, new, self.kept)
        return self.told(sampling).draw_from(Prepared(spec, before))

    def draw_from(self, model: Prepared) -> "tuple[DataTree, Engine]":
        """The same of a model of which some things may be built."""
        choice = self._choose(model)
        method = choice.method
        check_memory(model.spec, self.options, is_bounded="memory" in method.limits)
        idata = method.draw(model, self.options)
        attrs = idata["sample_stats"].attrs
        attrs |= {SAMPLER: attrs.get(SAMPLER, method.name), METHOD: str(choice)}
        attrs[OPTIONS] = json.dumps(asdict(self.options))
        return idata, replace(self, kept=method.keep(model))

    def without(self, spec: ModelSpec) -> "Callable[[np.ndarray, int | None], DataTree]":
        """Places of rows left out and a seed -> draws from the posterior of the other rows, in silence."""
        model, rows = Prepared(spec), np.arange(spec.design.n)
        method = self._choose(model).method
        own = None if method.without is None else method.without(model, self.options)

        def again(out: np.ndarray, seed: int | None) -> "DataTree":
            return self.draw(spec.only(np.setdiff1d(rows, out)), {"seed": seed, "progress": False})[0]

        return own or again

    def leave_out(self, spec: ModelSpec, idata: "DataTree") -> LeftOut | None:
        """The densities of rows left out of a fit in closed form; None where there is none.

        Args:
            spec: A model that this engine drew from.
            idata: Its draws.
        """
        model, named = Prepared(spec, Before(idata, np.arange(0), self.kept)), self._named
        for method in (
            METHODS.values() if named is None else (named,)
        ):  # draws of another method serve as well
            if method.leave_out and not method.why_not(model) and not method.doubts(model):
                return method.leave_out(model, idata, self.options.seed)
        return None

    @property
    def _named(self) -> Method | None:
        return self.given or find_method(self.options.method)

    def _choose(self, model: Prepared) -> Choice:
        return choose(model, self.options, self._named)


def engine_of(idata: "DataTree") -> Engine:
    """The engine that made the draws, by their own record; one with the usual options where there is none.

    A method that is not known here is refused when it is to draw.

    Raises:
        TypeError, ValueError: The record holds no options.
    """
    stats = idata["sample_stats"]
    described = json.loads(str(stats.attrs.get(OPTIONS, "{}")))
    if not isinstance(described, Mapping):
        raise TypeError("options are no mapping")
    known: dict[str, Any] = {"progress": True} | {str(name): value for name, value in described.items()}
    if known.get("memory") == MEMORY:  # which older files say of every fit
        del known["memory"]
    return Engine(Options(**known))
