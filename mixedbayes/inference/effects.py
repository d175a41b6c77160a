"""Draws of coefficients and group effects given theta, within a budget of memory."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import xarray as xr

from mixedbayes.inference.collapsed import SMALL, Collapsed
from mixedbayes.inference.work import Work
from mixedbayes.model.spec import CHAIN, DRAW

LEAST = 400
"""Draws of group effects, below which memory is saved by halving their precision, and then by keeping none."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much of the group effects' draws is kept.

    Attributes:
        chains, draws: Of theta and the coefficients.
        kept: Draws of effects of each chain; 0 for none.
        dtype: Of these.
    """

    chains: int
    draws: int
    kept: int
    dtype: type[np.floating[Any]]

    @classmethod
    def within(cls, budget: float, density: Collapsed, chains: int, draws: int) -> Self:
        """As many draws as fit into so many bytes; then, if those were fewer than `LEAST`, in single precision; then none."""
        effects = sum(own.shape[0] * own.shape[1] for own in density.moments.own)
        for dtype in (np.float64, np.float32):
            fit = int(budget / max(effects * np.dtype(dtype).itemsize, 1)) // chains
            if fit >= min(draws, -(-LEAST // chains)):
                return cls(chains, draws, min(fit, draws), dtype)
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
        sums: For each factor the sums over all draws of conditional mean, its square, and variance, shape (3, L, q).
    """

    density: Collapsed
    work: Work
    seed: np.random.SeedSequence
    keeping: Keeping
    draws: list[np.ndarray] = field(default_factory=list)
    sums: list[np.ndarray] = field(default_factory=list)
    ready: dict[int, tuple[np.ndarray, list[np.ndarray]]] = field(default_factory=dict)
    weighed: int = 0

    @property
    def draws_early(self) -> bool:
        """Whether effects are drawn while theta is weighed."""
        return self.density.m >= SMALL and self.keeping.is_all

    def log_posterior(self, theta: np.ndarray) -> np.ndarray:
        """The log density at n thetas, shape (n,); in early mode effects are drawn along."""
        pieces = self._pieces(theta)
        values = []
        for value, drawn in self.work.each("Weighing", self._weigh, pieces):
            values.append(value)
            if drawn is not None:
                for b in range(len(value)):
                    self.ready[self.weighed + b] = (drawn[0][b], [each[b] for each in drawn[1]])
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
            drawn = self.ready.pop(int(place), None)
            if drawn is None:
                late.append(i)
                continue
            coefficients[i] = drawn[0]
            for store, each in zip(self.draws, drawn[1], strict=True):
                store[divmod(i, keeping.draws)] = each
        rows = np.array(late, dtype=np.int64)
        pieces = self._pieces(theta[rows])
        start = 0
        for b, drawn, conditional in self.work.each("Drawing effects", self._draw, pieces):
            at = rows[start : start + len(b)]
            start += len(b)
            coefficients[at] = b
            chain, place = np.divmod(at, keeping.draws)
            kept = slot[place] >= 0
            for store, each in zip(self.draws, drawn, strict=True):
                store[chain[kept], slot[place[kept]]] = each[kept]
            if not keeping.is_all:
                for total, (mean, variance) in zip(self.sums, conditional, strict=True):
                    total += [mean.sum(axis=0), (mean**2).sum(axis=0), variance.sum(axis=0)]
        return coefficients

    def by_block(self) -> dict[str, np.ndarray]:
        """The draws kept, by the names of their variables, shape (chains * kept, L, q)."""
        return {name: r.reshape(-1, *r.shape[2:]) for name, r in self._split(self.draws).items()}

    def datasets(self) -> dict[str, xr.Dataset]:
        """The draws kept, if any, and the moments over all draws, as groups of a tree."""
        spec, keeping = self.density.variances.spec, self.keeping
        total = keeping.chains * keeping.draws
        means = [each[0] / total for each in self.sums]
        sds = [np.sqrt(each[2] / total + np.maximum(each[1] / total - mean**2, 0.0)) for each, mean in zip(self.sums, means, strict=True)]
        dims, coords = spec.dims, {}
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
            ends = np.cumsum([len(specs[i].sds) for i in blocks])[:-1]
            parts = np.split(values, ends, axis=-1)
            found |= {specs[i].r: part for i, part in zip(blocks, parts, strict=True)}
        return found

    def _pieces(self, theta: np.ndarray) -> list[tuple[np.ndarray, np.random.SeedSequence]]:
        """Thetas in batches, each with a source of noise of its own: how many threads there are changes nothing."""
        starts = range(0, len(theta), self.density.batch)
        seeds = self.seed.spawn(len(starts))
        return [(theta[i : i + self.density.batch], seed) for i, seed in zip(starts, seeds, strict=True)]

    def _weigh(
        self, piece: tuple[np.ndarray, np.random.SeedSequence]
    ) -> tuple[np.ndarray, tuple[np.ndarray, list[np.ndarray]] | None]:
        solved = self.density.solve(piece[0])
        if not self.draws_early:
            return solved.log_density, None
        b, effects, _ = self.density.draw(solved, np.random.default_rng(piece[1]))
        return solved.log_density, (b, effects)

    def _draw(
        self, piece: tuple[np.ndarray, np.random.SeedSequence]
    ) -> tuple[np.ndarray, list[np.ndarray], list[tuple[np.ndarray, np.ndarray]]]:
        return self.density.draw(self.density.solve(piece[0]), np.random.default_rng(piece[1]))
