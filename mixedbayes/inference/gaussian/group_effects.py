"""Draws of coefficients and group effects given theta, within a budget of memory."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import xarray as xr

from mixedbayes.inference.gaussian.collapsed import Collapsed, Drawn
from mixedbayes.inference.gaussian.dense import SMALL
from mixedbayes.models.names import CHAIN, DRAW
from mixedbayes.work import Work

LEAST = 400
"""Draws of group effects, below which memory is saved by halving their precision, and then by keeping none."""


EARLY = 2
"""Draws that are made for a theta when it is weighed, where that is the cheapest time."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much of the group effects' draws is kept.

    Attributes:
        chains, draws: Of theta and the coefficients.
        kept: Draws of effects of each chain; 0 for none.
        dtype: Of these.
        spare: Whether draws that may not be retained fit into the budget too.
    """

    chains: int
    draws: int
    kept: int
    dtype: type[np.floating[Any]]
    spare: bool = False

    @classmethod
    def within(cls, budget: float, density: Collapsed, chains: int, draws: int) -> Self:
        """As many draws as fit into so many bytes; then, if those were fewer than `LEAST`, in single precision; then none."""
        effects = sum(own.shape[0] * own.shape[1] for own in density.moments.own)
        for dtype in (np.float64, np.float32):
            fit = int(min(budget / max(effects * np.dtype(dtype).itemsize, 1), 2**62)) // chains
            if fit >= min(draws, -(-LEAST // chains)):
                return cls(chains, draws, min(fit, draws), dtype, fit >= 2 * EARLY * draws)
        return cls(chains, draws, 0, np.float64)

    @property
    def is_all(self) -> bool:
        """Whether nothing is lost."""
        return self.kept == self.draws and self.dtype is np.float64

    @property
    def places(self) -> np.ndarray:
        """Which draws of each chain are kept, evenly spread, shape (kept,)."""
        return (np.arange(self.kept) * self.draws) // max(self.kept, 1)


@dataclass(eq=False)
class Effects:
    """Draws group effects, now or already while theta is weighed, and holds what is kept of them.

    Where the root is large, factorising it is nearly all the work, so that each proposal's effects are drawn
    when its density is computed; otherwise only those of the draws that are retained.

    Attributes:
        density: What to draw from.
        work: Runs the pieces.
        seed: Of the normal noise.
        keeping: What is kept.
        draws: For each factor the draws kept, shape (chains, kept, L, q).
        sums: For each factor the sums over all draws of conditional mean, its squared distance from its average,
            and variance, shape (3, L, q); unused where all draws are kept.
        ready: Draws already made, by the place of their theta among those weighed.
        weighed: How many thetas were.
    """

    density: Collapsed
    work: Work
    seed: np.random.SeedSequence
    keeping: Keeping
    draws: list[np.ndarray] = field(default_factory=list)
    sums: list[np.ndarray] = field(default_factory=list)
    ready: dict[int, list[Drawn]] = field(default_factory=dict)
    weighed: int = 0

    @property
    def draws_early(self) -> bool:
        """Whether effects are drawn while theta is weighed."""
        return (
            self.density.batch == 1 and self.density.m >= SMALL and self.keeping.is_all and self.keeping.spare
        )

    def log_posterior(self, theta: np.ndarray) -> np.ndarray:
        """The log density at n thetas, shape (n,); in early mode effects are drawn along."""
        values = []
        for value, drawn in self.work.each("Weighing", self._weigh, self._pieces(theta)):
            values.append(value)
            if drawn:
                self.ready[self.weighed] = drawn
            self.weighed += len(value)
        return np.concatenate(values)

    def draw(self, theta: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Draw effects for each theta and keep what is to be kept.

        Args:
            theta: Shape (chains * draws, d), chain by chain.
            places: Which of the thetas weighed each is, -1 for none of them.

        Returns:
            The coefficients, shape (chains * draws, p).
        """
        keeping, own = self.keeping, self.density.moments.own
        self.draws = [
            np.empty((keeping.chains, keeping.kept, *block.shape[:2]), dtype=keeping.dtype) for block in own
        ]
        self.sums = [np.zeros((3, *block.shape[:2])) for block in own]
        coefficients = np.empty((len(theta), len(self.density.flat)))
        slot = np.full(keeping.draws, -1)
        slot[keeping.places] = np.arange(keeping.kept)
        late = []
        for i, place in enumerate(places):
            if not self.ready.get(int(place)):
                late.append(i)
                continue
            drawn = self.ready[int(place)].pop()
            coefficients[i] = drawn.coefficients[0]
            for store, each in zip(self.draws, drawn.effects, strict=True):
                store[divmod(i, keeping.draws)] = each[0]
        rows = np.array(late, dtype=np.int64)
        chain, place = np.divmod(rows, keeping.draws)
        slots = slot[place]
        start = 0
        for drawn in self.work.each("Drawing effects", self._draw, self._pieces(theta[rows], slots >= 0)):
            stop = start + len(drawn.coefficients)
            coefficients[rows[start:stop]] = drawn.coefficients
            kept = slots[start:stop] >= 0
            for store, each in zip(self.draws, drawn.effects, strict=True):
                store[chain[start:stop][kept], slots[start:stop][kept]] = each
            if drawn.sums:
                self.sums = [
                    _added(total, start, each, stop - start)
                    for total, each in zip(self.sums, drawn.sums, strict=True)
                ]
            start = stop
        return coefficients

    def by_block(self) -> dict[str, np.ndarray]:
        """The draws kept, by the names of their variables, shape (chains * kept, L, q)."""
        return {name: r.reshape(-1, *r.shape[2:]) for name, r in self._split(self.draws).items()}

    def datasets(self) -> dict[str, xr.Dataset]:
        """The draws kept, if any, and the moments over all draws, as groups of a tree."""
        spec, keeping = self.density.variances.spec, self.keeping
        total = keeping.chains * keeping.draws
        means = [each[0] / total for each in self.sums]
        sds = [np.sqrt((each[1] + each[2]) / total) for each in self.sums]
        dims = spec.dims
        coords: dict[str, np.ndarray] = {}
        for block in spec.blocks:
            coords |= {block.level: spec.coords[block.level], block.effect: spec.coords[block.effect]}
        moments = {name: (dims[name], mean) for name, mean in self._split(means).items()}
        moments |= {f"{name}_sd": (dims[name], sd) for name, sd in self._split(sds).items()}
        groups = {"group_effects_moments": xr.Dataset(moments, coords=coords)}
        if keeping.kept:
            numbers = {CHAIN: np.arange(keeping.chains), DRAW: keeping.places}
            kept = {name: ((CHAIN, DRAW, *dims[name]), r) for name, r in self._split(self.draws).items()}
            groups["group_effects"] = xr.Dataset(kept, coords=numbers | coords)
        return groups

    def _split(self, by_factor: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Factors' effects, along the last axis, as blocks' variables."""
        specs = self.density.variances.spec.blocks
        found: dict[str, np.ndarray] = {}
        for values, blocks in zip(by_factor, self.density.blocks, strict=True):
            ends = np.cumsum([specs[i].q for i in blocks])[:-1]
            parts = np.split(values, ends, axis=-1)
            found |= {specs[i].r: part for i, part in zip(blocks, parts, strict=True)}
        return found

    def _pieces(self, theta: np.ndarray, kept: np.ndarray | None = None) -> "list[_Piece]":
        """Thetas in batches, each with a source of noise of its own: how many threads there are changes nothing."""
        kept = np.ones(len(theta), dtype=bool) if kept is None else kept
        batches = [slice(i, i + self.density.batch) for i in range(0, len(theta), self.density.batch)]
        seeds = self.seed.spawn(len(batches))
        return [_Piece(theta[at], kept[at], seed) for at, seed in zip(batches, seeds, strict=True)]

    def _weigh(self, piece: "_Piece") -> tuple[np.ndarray, list[Drawn]]:
        solved = self.density.solve(piece.theta)
        rng = np.random.default_rng(piece.seed)
        draws = range(EARLY if self.draws_early else 0)
        return solved.log_density, [self.density.draw(solved, rng) for _ in draws]

    def _draw(self, piece: "_Piece") -> Drawn:
        kept = None if self.keeping.is_all else piece.kept
        return self.density.draw(self.density.solve(piece.theta), np.random.default_rng(piece.seed), kept)


def _added(one: np.ndarray, n: int, other: np.ndarray, m: int) -> np.ndarray:
    """The sums over n draws and m others. Source: Chan, Golub & LeVeque (1983), eq. 2.1."""
    total = one + other
    if n:  # the squares are about averages of their own
        total[1] += (other[0] / m - one[0] / n) ** 2 * (n * m / (n + m))
    return total


@dataclass(frozen=True, eq=False, slots=True)
class _Piece:
    """Thetas, of which the effects are kept, and their source of noise."""

    theta: np.ndarray
    kept: np.ndarray
    seed: np.random.SeedSequence
