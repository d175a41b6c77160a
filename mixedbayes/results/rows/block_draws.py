"""A block's effects over all draws: of the levels that the fit has seen, and of others from their population."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

import numpy as np
import xarray as xr

from mixedbayes.designs.design import EncodedBlock
from mixedbayes.models.covariances import covariance_of, factor_at_zero
from mixedbayes.models.spec import BlockSpec
from mixedbayes.models.structures import Structure

type NewLevels = Literal["sample", "population", "error"]

NEW_LEVELS = ("sample", "population", "error")

REMEMBERED = 2**26
"""Numbers of effects of unseen levels that are kept once drawn; beyond that they are drawn again, the same."""


@dataclass(frozen=True, eq=False)
class BlockDraws:
    """A block's effects over S draws.

    Attributes:
        name: The block's.
        r: Of the levels seen, shape (L, q, S).
        structure: What hangs the effects together.
        factor: F with F F' the covariance of a level's effects, shape (q, q, S), or its diagonal, (q, S).
        seed: Of the unseen levels' draws.
        predictors: For each effect the parameter of the family whose predictor takes it.
        drawn: Unseen levels' effects, by label.
    """

    name: str
    r: np.ndarray
    structure: Structure
    factor: np.ndarray
    seed: int
    predictors: tuple[str, ...]
    drawn: dict[str, np.ndarray] = field(default_factory=dict)

    def new(self, label: str) -> np.ndarray:
        """The effects of an unseen level, shape (q, S): by the seed and its label alone, whatever the other rows."""
        if label in self.drawn:
            return self.drawn[label]
        key = blake2b(f"{self.name}\0{label}".encode(), digest_size=16, key=self.seed.to_bytes(32, "little"))
        rng = np.random.default_rng(int.from_bytes(key.digest(), "little"))
        noise = rng.standard_normal((len(self.factor), self.factor.shape[-1]))
        effects = self.structure.new_level(self.factor, noise, self.r)
        if len(self.drawn) * effects.size < REMEMBERED:
            self.drawn[label] = effects
        return effects

    def add_to(self, eta: np.ndarray, parameter: str, rows: EncodedBlock, new_levels: NewLevels) -> None:
        """Add the block's part to the predictor of a parameter, shape (m, S), in place."""
        own = [j for j, name in enumerate(self.predictors) if name == parameter]
        if not own:
            return
        known = rows.codes >= 0
        if known.all():
            self._add_known(eta, rows.X, rows.codes, own)
            return
        if known.any():
            part = eta[known]
            self._add_known(part, rows.X[known], rows.codes[known], own)
            eta[known] = part
        if new_levels == "sample":
            for code in np.unique(rows.codes[~known]):
                at = rows.codes == code
                eta[at] += rows.X[np.ix_(at, own)] @ self.new(rows.unseen[-1 - code])[own]

    def _add_known(self, eta: np.ndarray, X: np.ndarray, codes: np.ndarray, own: Sequence[int]) -> None:
        for j in own:
            effects, x = self.r[codes, j], X[:, j]
            plain = len(own) == 1 and (x == 1).all()
            eta += effects if plain else np.multiply(effects, x[:, None], out=effects)


def flat(variable: xr.DataArray) -> np.ndarray:
    """The draws of a variable with those of all chains in one last axis, shape (..., S)."""
    values = variable.transpose(..., "chain", "draw").to_numpy()
    return np.ascontiguousarray(values.reshape(*values.shape[:-2], -1), dtype=float)


def factor_of(block: BlockSpec, posterior: xr.Dataset) -> np.ndarray:
    """F with F F' the covariance of a level's effects, shape (q, q, S), or its diagonal, (q, S)."""
    sd = flat(posterior[block.sd])
    if not block.is_correlated:
        return sd
    correlation = flat(posterior[block.correlation].transpose(block.effect, block.other, ...))
    covariance = covariance_of(sd.T, np.moveaxis(correlation, -1, 0))
    return np.ascontiguousarray(np.moveaxis(factor_at_zero(covariance, block.centring), 0, -1))
