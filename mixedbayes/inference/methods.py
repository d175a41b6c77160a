"""Which way of drawing from a posterior suits a model, and why."""

from collections.abc import Callable
from dataclasses import dataclass

from mixedbayes.errors import ArgumentError, listed
from mixedbayes.inference.gaussian.collapsed import Collapsed
from mixedbayes.inference.gaussian.sample import too_large, too_many, why_not
from mixedbayes.inference.options import Options
from mixedbayes.models.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Choice:
    """A method, and where `auto` chose it, why."""

    method: str
    why: str | None = None

    def __str__(self) -> str:
        return f"{self.method} (auto: {self.why})" if self.why else self.method


def choose(spec: ModelSpec, options: Options, density: Callable[[], Collapsed]) -> Choice:
    """The method to use: `collapsed` where it is exact, `nuts` otherwise, unless the options name one.

    Args:
        spec: The model.
        options: How to draw.
        density: Makes the model's collapsed density; called if the model has one.

    Raises:
        ArgumentError: The options name `collapsed`, and the model has no closed form or is too large for it.
    """
    if options.method == "nuts":
        return Choice("nuts")
    against = why_not(spec) or too_large(density())
    if options.method == "collapsed":
        if against:
            raise ArgumentError(
                f"method='collapsed' cannot be used: {against}. method='nuts' samples any model."
            )
        return Choice("collapsed")
    against = against or too_many(density())
    if against:
        return Choice("nuts", against)
    if options.for_nuts:
        are = "is an option" if len(options.for_nuts) == 1 else "are options"
        return Choice("nuts", f"{listed(options.for_nuts)} {are} of nuts alone")
    return Choice("collapsed", "given its variances the model is Gaussian")
