"""What hangs the effects of a block's levels together, in a table to which anybody can add.

    u_l = F(theta) w_l,   w_l ~ N(0, I)      for each level l

A structure is a small final class: its parameters with their priors, its factor F as an expression, and why a method
cannot take it, if one cannot:

    @dataclass(frozen=True)
    class Equal(Within):                     # one standard deviation for all effects
        name = "equal"

        def parameters(self, q): return (StructureParameter("sd", each=False),)
        def factor(self, maths, values, q): return [values["sd"]] * q

    mb.fit("y ~ f + (0 + f | g)", data, structures={"g": Equal()})     # or STRUCTURES["equal"] = Equal(), and "equal"

Structures of which levels are independent are `Within`. What hangs levels together (a walk over weeks, neighbours, a known
covariance of species) is a `Structure` of another kind: no method takes a kind that it does not name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from mixedbayes.arguments import is_one_of
from mixedbayes.designs.design import Block
from mixedbayes.errors import ArgumentError, listed, nearest, shown
from mixedbayes.models.distributions import CORRELATION, POSITIVE, Interval
from mixedbayes.models.maths import Maths
from mixedbayes.models.priors import Prior

LKJ = "lkj"
"""The prior of correlation matrices, and of nothing else."""


@dataclass(frozen=True, slots=True)
class StructureParameter:
    """A parameter that a structure asks for.

    Attributes:
        kind: What it is called before the bracket, `rho[g]`. Those of `sd` that are one for each effect are the effects'
            standard deviations.
        support: Where it lies.
        default: Its default prior; None for a standard deviation, whose is scaled by the data. With an lkj prior it is
            the correlation matrix of all effects.
        each: Whether there is one for each effect, `sd[g, x]`; else there is one for the block.
    """

    kind: str
    support: Interval = POSITIVE
    default: Prior | None = None
    each: bool = False

    @property
    def is_matrix(self) -> bool:
        """Whether it is a correlation matrix."""
        return self.default is not None and self.default.distribution == LKJ


class Structure(ABC):
    """What hangs the effects of a block together.

    Attributes:
        name: In printed models, in files and in `STRUCTURES`.
        is_diagonal: Whether the effects of a level are independent.
        moves: Whether effects at the predictors' means have it whenever those at zero do, as no other prior then
            tells the two apart; priors then live at the means.
    """

    name: ClassVar[str]
    is_diagonal: ClassVar[bool] = False
    moves: ClassVar[bool] = False

    @abstractmethod
    def parameters(self, q: int) -> Sequence[StructureParameter]:
        """Those of a block of q effects, in the order of tables."""

    @abstractmethod
    def new_level(self, factor: np.ndarray, noise: np.ndarray, r: np.ndarray) -> np.ndarray:
        """The effects of a level that was not seen, given those that were, shape (q, S).

        Args:
            factor: At S draws, a vector (q, S) where it is diagonal, else (q, q, S).
            noise: Standard normal, shape (q, S).
            r: Of the levels seen, shape (L, q, S).
        """

    def why_not(self, method: str) -> str | None:  # noqa: ARG002  # some structures ask
        """Why a method that takes structures of its kind cannot take this one, in a clause; None if it can."""
        return None


class Within(Structure):
    """A structure of which levels are independent: all that there is to it is the factor of one level's effects."""

    @abstractmethod
    def factor(self, maths: Maths, values: Mapping[str, Any], q: int) -> Any:
        """F, with F F' the covariance of a level's effects.

        Args:
            maths: Functions of the numbers that values are: NumPy's, real or complex, or PyTensor's.
            values: Each parameter by its kind: a number or an array of numbers, shape (...); with the effects first,
                (q, ...), where there is one for each; of a correlation matrix its Cholesky factor, (q, q, ...).
            q: The number of effects.

        Returns:
            Its diagonal where that is all, as q numbers or of shape (q, ...); else it is lower triangular: rows of 1,
            2, ..., q numbers, or of shape (q, q, ...).
        """

    @final
    def new_level(self, factor: np.ndarray, noise: np.ndarray, r: np.ndarray) -> np.ndarray:  # noqa: ARG002  # independent of them
        """As of any structure: from their population."""
        return factor * noise if factor.ndim == noise.ndim else np.einsum("abs,bs->as", factor, noise)


@final
@dataclass(frozen=True)
class Full(Within):
    """Standard deviations and a correlation matrix, F = diag(sd) L: `(x | g)`."""

    name = "full"
    moves = True

    def parameters(self, q: int) -> Sequence[StructureParameter]:
        """Correlations where there is something to correlate."""
        sds = StructureParameter("sd", each=True)
        return (sds, StructureParameter("cor", CORRELATION, Prior(LKJ, (2.0,)))) if q > 1 else (sds,)

    def factor(self, maths: Maths, values: Mapping[str, Any], q: int) -> Any:  # noqa: ARG002  # needs none
        """As of any structure."""
        return values["sd"][:, None] * values["cor"] if q > 1 else values["sd"]


@final
@dataclass(frozen=True)
class Diagonal(Within):
    """Standard deviations of independent effects: `(x || g)`."""

    name = "diagonal"
    is_diagonal = True

    def parameters(self, q: int) -> Sequence[StructureParameter]:  # noqa: ARG002  # one kind
        """One for each effect."""
        return (StructureParameter("sd", each=True),)

    def factor(self, maths: Maths, values: Mapping[str, Any], q: int) -> Any:  # noqa: ARG002  # needs none
        """As of any structure."""
        return values["sd"]


STRUCTURES: dict[str, Structure] = {each.name: each for each in (Full(), Diagonal())}
"""The structures by name. What is added here can be named, in files too."""


def structures_of(
    blocks: Iterable[Block], given: Mapping[str, str | Structure] | None = None
) -> dict[str, Structure]:
    """The structure of each block by the block's name: what the user gave it, else what the formula says.

    Raises:
        ArgumentError: There is no such block or structure.
    """
    found = {block.name: STRUCTURES[block.covariance] for block in blocks}
    if given is not None and not isinstance(given, Mapping):
        raise ArgumentError(
            f"structures is a mapping from groups to structures, {{'g': MyStructure()}}, not {shown(given)}."
        )
    for name, structure in (given or {}).items():
        if name not in found:
            raise ArgumentError(
                f"structures= names {shown(name)}, which is no group of the formula.{nearest(str(name), list(found))} "
                f"Groups here: {listed(found) if found else 'none'}."
            )
        found[name] = _named(structure)
    return found


def _named(structure: str | Structure) -> Structure:
    if isinstance(structure, Structure):
        if STRUCTURES.get(structure.name, structure) != structure:
            raise ArgumentError(
                f"There is another structure {structure.name!r} already: give yours another name."
            )
        return structure
    if not is_one_of(structure, STRUCTURES):
        raise ArgumentError(
            f"There is no structure {shown(structure)}.{nearest(shown(structure), list(STRUCTURES))} Known: {listed(STRUCTURES)}; "
            "a Structure of your own is passed itself, or added to STRUCTURES."
        )
    return STRUCTURES[structure]


def rows_of(structure: Within, F: Sequence[Any], q: int) -> list[list[Any]]:
    """The rows of a factor that is given as numbers: one in each of a diagonal, else one more in each than before.

    Raises:
        TypeError: They are not such rows.
    """
    rows = [list(row) if isinstance(row, Sequence) else [row] for row in F]
    check_factor(
        structure, [len(row) for row in rows], [1 if structure.is_diagonal else i + 1 for i in range(q)]
    )
    return rows


def check_factor(structure: Structure, found: object, expected: object) -> None:
    """Refuse a factor that is not of the shape that its structure says.

    Raises:
        TypeError: It is not.
    """
    if found != expected:
        kind = "its diagonal alone" if structure.is_diagonal else "lower triangular"
        raise TypeError(
            f"The factor of the structure {structure.name!r} is {kind}, of shape or with rows of {expected}, and came with {found}."
        )


type Takes = Callable[[Structure], bool]


def formulas_own(structure: Structure) -> bool:
    """Whether it is one of the two that every method has to know: those of `|` and `||`."""
    return isinstance(structure, Full | Diagonal)


def independent_levels(structure: Structure) -> bool:
    """Whether levels are independent, so that the factor is all there is to it."""
    return isinstance(structure, Within)


def why_not(method: str, takes: Takes, structures: Mapping[str, Structure]) -> str | None:
    """Why a method cannot take the structures of a model, in a clause; None if it can.

    Args:
        method: Its name.
        takes: Which kinds of structures it was written for.
        structures: Of the model's blocks, by their names.
    """
    for block, structure in structures.items():
        if not takes(structure):
            return f"it does not know the structure {structure.name!r} of {block}"
        if reason := structure.why_not(method):
            return f"the structure {structure.name!r} of {block} says: {reason}"
    return None
