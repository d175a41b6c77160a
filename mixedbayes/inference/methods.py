"""The ways to draw from a posterior, in a table to which anybody can add, and which of them suits a model.

A method is a record of functions; the two that any must have say why it cannot draw from a model, and draw:

    mean = Method("mean", against=lambda model: None if is_simple(model.spec) else "it is not simple", draw=draw)
    mb.fit("y ~ 1", data, method=mean)     # or METHODS["mean"] = mean, and method="mean"
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedbayes.errors import ArgumentError, listed, nearest, shown
from mixedbayes.inference.options import Options, check_installed
from mixedbayes.inference.prepared import Prepared, gaussian, nuts
from mixedbayes.models import structures
from mixedbayes.sampling import LeftOut, Named

if TYPE_CHECKING:
    from xarray import DataTree

AUTO = "auto"
"""What stands for the first method of the table without a reason against it."""


def _nothing(_: Prepared) -> None:
    return None


@dataclass(frozen=True, eq=False, slots=True)
class Method:
    """A way to draw from a posterior.

    Attributes:
        name: What `method=` takes, printed fits say and files remember.
        draw: A model and options -> draws, ArviZ's DataTree: groups `posterior`, of the variables and dimensions of
            `model.spec`, and `sample_stats` (`draws.as_tree` makes one). It may look at `model.before`.
        against: A model -> why the method cannot draw from it, in a clause; None if it can.
        doubts: A model -> why `auto` had better pass the method by; None if it need not.
        why: What speaks for it, in a clause; where nothing is said, what speaks against those before it.
        own: Options that only it has a use for; `auto` takes it where one of them is given.
        limits: Options by which it can be held to something; where another is taken, these have no use.
        without: A model and options -> draws of the posterior without some rows, as a function of the rows' places
            and a seed; None to take the model of the other rows each time.
        leave_out: A model, its draws and a seed -> densities of rows left out in closed form, or None. None where
            there are none for any model.
        keep: A model that was drawn from -> what is to be kept of its rows, for when there are more of them.
        takes: For which structures of group effects it was written; those of `|` and `||` where nothing is said.
    """

    name: str
    draw: "Callable[[Prepared, Options], DataTree]"
    against: Callable[[Prepared], str | None]
    doubts: Callable[[Prepared], str | None] = _nothing
    why: str = ""
    own: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    without: "Callable[[Prepared, Options], Callable[[np.ndarray, int | None], DataTree] | None] | None" = (
        None
    )
    leave_out: "Callable[[Prepared, DataTree, int | None], LeftOut | None] | None" = None
    keep: Callable[[Prepared], Any] = _nothing
    takes: structures.Takes = structures.formulas_own

    def why_not(self, model: Prepared) -> str | None:
        """Why it cannot draw from a model, in a clause: for what hangs effects together, or what the method says."""
        return structures.why_not(self.name, self.takes, model.spec.structures) or self.against(model)


def _draw_collapsed(model: Prepared, options: Options) -> "DataTree":
    return gaussian().sample.sample_exactly(model.collapsed, options)


def _against_collapsed(model: Prepared) -> str | None:
    door = gaussian().sample
    return door.why_not(model.spec) or door.too_large(model.collapsed)


def _doubts_collapsed(model: Prepared) -> str | None:
    return gaussian().sample.too_many(model.collapsed)


def _leave_out_collapsed(model: Prepared, idata: "DataTree", seed: int | None) -> LeftOut:
    return gaussian().leave_out.LeaveOut(model.collapsed, idata, seed)


def _draw_nuts(model: Prepared, options: Options) -> "DataTree":
    check_installed(options)
    if gaussian().sample.is_gaussian(model.spec):
        gaussian().propriety.check_rows(
            model.collapsed
        )  # or the sampler would be lost in what is no posterior
    start = None
    if model.before is not None:
        free = {variable.name: variable.ndim for variable in model.pymc.free_RVs}
        start = nuts().start.start_of(model.spec, model.before.idata, free)
    return nuts().sample.sample(model.pymc, tuple(model.spec.dims), options, start)


def _without_nuts(model: Prepared, options: Options) -> "Callable[[np.ndarray, int | None], DataTree] | None":
    """Nutpie compiles the model once; the other samplers do it each time."""
    if options.sampler not in (None, "nutpie"):
        return None
    rows, masked = np.arange(model.spec.design.n), nuts().graph.build(model.spec, masked=True)
    draw = nuts().sample.sampler_without(masked, tuple(model.spec.dims), options)
    return lambda out, seed: draw(~np.isin(rows, out), seed)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "collapsed",
            draw=_draw_collapsed,
            against=_against_collapsed,
            doubts=_doubts_collapsed,
            why="given its variances the model is Gaussian",
            limits=("memory",),
            leave_out=_leave_out_collapsed,
            keep=lambda model: model.collapsed.moments,
            takes=structures.independent_levels,
        ),
        Method(
            "nuts",
            draw=_draw_nuts,
            against=_nothing,
            own=("sampler", "tune", "target_accept"),
            without=_without_nuts,
            takes=structures.independent_levels,
        ),
    )
}
"""The methods, the most preferred first. What is added here is known by its name, to `auto` and to files."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A method; where `auto` chose it, why; and the options given that it has no use for."""

    method: Method
    why: str | None = None
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"{AUTO}: {self.why}"] if self.why else []
        said += [f"it has no use for {listed(self.unused)}"] if self.unused else []
        return f"{self.method.name} ({'; '.join(said)})" if said else self.method.name


def find_method(method: str | Named) -> Method | None:
    """The method of a name, or that is passed itself; None for `auto`.

    Raises:
        ArgumentError: There is no such method, or its name is another's.
    """
    if isinstance(method, Method):
        if method.name == AUTO or METHODS.get(method.name, method) is not method:
            raise ArgumentError(f"There is a method {method.name!r} already: give yours another name.")
        return method
    known = (AUTO, *METHODS)
    if not isinstance(method, str) or method not in known:
        raise ArgumentError(
            f"There is no method {shown(method)}.{nearest(shown(method), known)} Known: {', '.join(known)}; "
            "a Method of your own is passed itself, or added to METHODS."
        )
    return METHODS.get(method)


def choose(model: Prepared, options: Options, named: Method | None) -> Choice:
    """The method named, or the first of the table without a reason against it.

    Args:
        model: To be drawn from.
        options: How.
        named: From `find_method`.

    Raises:
        ArgumentError: The method named cannot draw from the model, or has no use for an option that was given; or none can.
    """
    if named is not None:
        _check_use(named, options)
        against = named.why_not(model)
        if against:
            able = next(
                (f" method={each.name!r} can." for each in _others(named) if not each.why_not(model)), ""
            )
            raise ArgumentError(f"method={named.name!r} cannot be used: {against}.{able}")
        return Choice(named)
    reasons: list[str] = []
    for method in METHODS.values():
        against = method.why_not(model) or method.doubts(model) or _asked_for_another(method, options)
        if against is None:
            return Choice(method, method.why or next(iter(reasons), None), _unused(method, options, "limits"))
        reasons.append(against)
    raise ArgumentError(f"No method can be used: {'; '.join(dict.fromkeys(reasons))}.")


def _others(method: Method) -> list[Method]:
    return [each for each in METHODS.values() if each is not method]


def _unused(method: Method, options: Options, *kinds: str) -> tuple[str, ...]:
    """Options given that other methods have a use for, and this one has not, in their order."""
    theirs = [name for each in _others(method) for kind in kinds for name in getattr(each, kind)]
    given = [name for name in theirs if getattr(options, name) is not None]
    return tuple(name for name in dict.fromkeys(given) if name not in (*method.own, *method.limits))


def _asked_for_another(method: Method, options: Options) -> str | None:
    """The options given that other methods alone have a use for, in a clause."""
    names = _unused(method, options, "own")
    if not names:
        return None
    owners = [each.name for each in _others(method) if set(names) & set(each.own)]
    return f"{listed(names)} {'is an option' if len(names) == 1 else 'are options'} of {listed(owners)} alone"


def _check_use(method: Method, options: Options) -> None:
    names = _unused(method, options, "own", "limits")
    if names:
        owners = [each for each in _others(method) if set(names) <= {*each.own, *each.limits}]
        has = "".join(f"; method={each.name!r} has" for each in owners[:1])
        raise ArgumentError(f"method={method.name!r} has no use for {listed(names)}{has}.")
