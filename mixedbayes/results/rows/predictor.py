"""The linear predictor as a function of rows, over all draws: NumPy alone.

    draws × Encoded rows -> eta = offset + X b + sum over blocks of X_k times r_k[codes_k], shape (m, S)

Levels that the fit has not seen are drawn from the population that each draw describes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

import numpy as np
import xarray as xr

from mixedbayes.designs.design import Encoded, EncodedBlock
from mixedbayes.errors import ArgumentError, DataError, is_one_of, listed, nearest, shown, whole_number
from mixedbayes.models.covariances import covariance_of, factor_at_zero
from mixedbayes.models.families import Family
from mixedbayes.models.maths import ARRAYS
from mixedbayes.models.spec import BlockSpec, ModelSpec
from mixedbayes.models.values import FromPredictor, Values
from mixedbayes.results.posterior.quantities import effects_draws, posterior_of

type NewLevels = Literal["sample", "population", "error"]
type Groups = Literal["all"] | Sequence[str] | None

AT_ONCE = 2**18
"""Numbers of one array over rows and draws that are worked on at once, about: some fit in a processor's cache."""

REMEMBERED = 2**26
"""Numbers of effects of unseen levels that are kept once drawn; beyond that they are drawn again, the same."""


@dataclass(frozen=True, eq=False)
class BlockDraws:
    """A block's effects over S draws.

    Attributes:
        name: The block's.
        r: Of the levels seen, shape (L, q, S).
        factor: F with F F' the effects' covariance, shape (q, q, S).
        seed: Of the unseen levels' draws.
        drawn: Unseen levels' effects, by label.
    """

    name: str
    r: np.ndarray
    factor: np.ndarray
    seed: int
    drawn: dict[str, np.ndarray] = field(default_factory=dict)

    def new(self, label: str) -> np.ndarray:
        """The effects of an unseen level, shape (q, S): by the seed and its label alone, whatever the other rows."""
        if label in self.drawn:
            return self.drawn[label]
        key = blake2b(f"{self.name}\0{label}".encode(), digest_size=16, key=self.seed.to_bytes(32, "little"))
        rng = np.random.default_rng(int.from_bytes(key.digest(), "little"))
        q, _, S = self.factor.shape
        effects = np.einsum("abs,bs->as", self.factor, rng.standard_normal((q, S)))
        if len(self.drawn) * effects.size < REMEMBERED:
            self.drawn[label] = effects
        return effects

    def add_to(self, eta: np.ndarray, rows: EncodedBlock, new_levels: NewLevels) -> None:
        """Add the block's part to the predictor, shape (m, S), in place."""
        known = rows.codes >= 0
        plain = rows.X.shape[1] == 1 and (rows.X == 1).all()
        if known.all():
            for j, x in enumerate(rows.X.T):
                effects = self.r[rows.codes, j]
                eta += effects if plain else np.multiply(effects, x[:, None], out=effects)
            return
        if known.any():
            part = eta[known]
            self.add_to(part, EncodedBlock(rows.X[known], rows.codes[known], ()), new_levels)
            eta[known] = part
        if new_levels == "sample":
            for code in np.unique(rows.codes[~known]):
                at = rows.codes == code
                eta[at] += rows.X[at] @ self.new(rows.unseen[-1 - code])


@dataclass(frozen=True, eq=False)
class Predictor:
    """All that turns rows into draws of their predictor, mean and response.

    Attributes:
        spec: The model.
        b: Coefficients, shape (p, S).
        blocks: Those that are not left out, by name.
        parameters: The family's own, shape (S,) each.
        chains: Of the S draws, chain by chain.
        draws: Which draws of each chain they are.
        new_levels: What unseen levels' effects are.
        seed: Of what is random beside the posterior's draws.
    """

    spec: ModelSpec
    b: np.ndarray
    blocks: Mapping[str, BlockDraws]
    parameters: Mapping[str, np.ndarray]
    chains: np.ndarray
    draws: np.ndarray
    new_levels: NewLevels
    seed: np.random.SeedSequence

    @property
    def S(self) -> int:  # noqa: N802  # the number of draws, in the equations
        """Draws in all."""
        return len(self.chains) * len(self.draws)

    @property
    def likelihood(self) -> Family:
        """The distribution of a response."""
        return self.spec.family

    def check(self, rows: Encoded) -> None:
        """Refuse unseen levels, if they are to be refused.

        Raises:
            DataError: There are some.
        """
        if self.new_levels != "error":
            return
        new = {name: rows.groups[name].unseen for name in self.blocks if rows.groups[name].unseen}
        if new:
            said = "; ".join(f"{name}: {listed(unseen)}" for name, unseen in new.items())
            raise DataError(
                f"The fit has not seen these levels ({said}). new_levels='sample' draws their effects from the population, "
                "'population' takes them as zero."
            )

    def pieces(self, m: int) -> list[slice]:
        """M rows in pieces of bounded memory."""
        step = max(1, AT_ONCE // max(self.S, 1))
        return [slice(i, min(i + step, m)) for i in range(0, m, step)]

    def eta(self, rows: Encoded, at: slice = slice(None)) -> np.ndarray:
        """The linear predictor of some rows, shape (m, S)."""
        eta = rows.X[at] @ self.b
        eta += rows.offset[at, None]
        for name, block in self.blocks.items():
            X, codes, unseen = rows.groups[name]
            block.add_to(eta, EncodedBlock(X[at], codes[at], unseen), self.new_levels)
        return eta

    def arguments(
        self,
        eta: np.ndarray,
        trials: np.ndarray | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
    ) -> Values:
        """What the family's functions take, over rows and draws; of one trial where no number of them is given.

        Args:
            eta: Shape (m, S).
            trials: Shape (m,).
            parameters: In place of the draws' own.
        """
        spec = self.spec
        own = self.parameters if parameters is None else parameters
        first = {spec.family.parameters[0].name: FromPredictor(spec.link, eta)}
        return Values(ARRAYS, first | dict(own), {} if trials is None else {"trials": trials[:, None]})

    def variance(self, arguments: Values) -> np.ndarray:
        """The variance of a response.

        Raises:
            ArgumentError: It is infinite.
        """
        variance = self.likelihood.variance_of(arguments)
        if np.isinf(variance).any():
            share = np.isinf(variance).mean()
            raise ArgumentError(
                f"In {share:.2g} of the draws the {self.spec.family.name} response has no finite variance, and nothing that is "
                "measured by it: residuals('quantile') and loo() need none."
            )
        return variance

    def mean(self, rows: Encoded, at: slice = slice(None)) -> np.ndarray:
        """The mean of the response (of one trial, where it counts successes), shape (m, S)."""
        return np.broadcast_to(
            self.likelihood.mean(self.arguments(self.eta(rows, at))), self._shape(rows, at)
        )

    def log_likelihood(self, rows: Encoded, y: np.ndarray, at: slice = slice(None)) -> np.ndarray:
        """The log density of the response of some rows, shape (m, S)."""
        trials = None if rows.trials is None else rows.trials[at]
        return self.likelihood.log_density(y[at, None], self.arguments(self.eta(rows, at), trials))

    def response(self, rows: Encoded, at: slice, rng: np.random.Generator) -> np.ndarray:
        """One random response for each row and draw, shape (m, S)."""
        trials = None if rows.trials is None else rows.trials[at]
        return self.likelihood.draw(rng, self.arguments(self.eta(rows, at), trials))

    def generators(self, pieces: Sequence[slice]) -> Iterator[np.random.Generator]:
        """A source of randomness for each piece of rows."""
        return (np.random.default_rng(child) for child in self.seed.spawn(len(pieces)))

    def some(self, wanted: np.ndarray, again: int = 0) -> "Predictor":
        """The same from some of the draws, by their places among the S; as one chain.

        Args:
            wanted: Their places.
            again: Another number has other draws of new levels.
        """
        blocks = {
            name: BlockDraws(name, block.r[..., wanted], block.factor[..., wanted], block.seed ^ again)
            for name, block in self.blocks.items()
        }
        parameters = {name: values[wanted] for name, values in self.parameters.items()}
        number = np.arange(len(wanted))
        return Predictor(
            self.spec,
            self.b[:, wanted],
            blocks,
            parameters,
            np.zeros(1, int),
            number,
            self.new_levels,
            self.seed,
        )

    def _shape(self, rows: Encoded, at: slice) -> tuple[int, int]:
        return len(range(*at.indices(len(rows.X)))), self.S


def predictor_of(
    spec: ModelSpec,
    idata: xr.DataTree,
    groups: Groups = "all",
    new_levels: NewLevels = "sample",
    seed: int | None = None,
) -> Predictor:
    """Bring the draws into the order in which rows use them.

    Args:
        spec: The model.
        idata: Its draws.
        groups: Which group effects take part: all, none, or those of some groups (or blocks) by name.
        new_levels: What the effects of unseen levels are.
        seed: Of what is random beside the posterior's draws.

    Raises:
        ArgumentError: An unknown group or option; or no draws of the effects were kept.
    """
    check_seed(seed)
    if not is_one_of(new_levels, known := ("sample", "population", "error")):
        raise ArgumentError(f"new_levels is one of {listed(map(repr, known))}, not {shown(new_levels)}.")
    source = np.random.SeedSequence(seed)
    entropy = int.from_bytes(source.generate_state(8, np.uint32).tobytes(), "little")
    names = block_names(spec, groups)
    chosen = [block for block in spec.blocks if block.block.name in names]
    posterior = posterior_of(idata)
    draws = posterior["draw"]
    if chosen:
        kept = effects_draws(idata, chosen[0])["draw"]
        if not kept.size:
            raise ArgumentError(
                "Predictions with group effects need draws of these, and none were kept: fit with more memory= (GiB) or fewer "
                "draws=, or predict for the population with groups=None."
            )
        draws = draws.sel(draw=kept)
    posterior = posterior.sel(draw=draws)
    S = posterior.sizes["chain"] * posterior.sizes["draw"]

    def flat(variable: xr.DataArray) -> np.ndarray:
        values = variable.transpose(..., "chain", "draw").to_numpy()
        return np.ascontiguousarray(values.reshape(*values.shape[:-2], -1), dtype=float)

    return Predictor(
        spec=spec,
        b=flat(posterior["b"]) if "b" in posterior else np.zeros((0, S)),
        blocks={
            block.block.name: BlockDraws(
                block.block.name,
                flat(effects_draws(idata, block).transpose(block.level, block.effect, ...)),
                _factor(block, posterior, flat),
                entropy,
            )
            for block in chosen
        },
        parameters={p.address: flat(posterior[p.address]) for p in spec.auxiliary},
        chains=posterior["chain"].to_numpy(),
        draws=posterior["draw"].to_numpy(),
        new_levels=new_levels,
        seed=source,
    )


def block_names(spec: ModelSpec, groups: Groups) -> tuple[str, ...]:
    """The blocks that are meant.

    Raises:
        ArgumentError: There is no such group.
    """
    blocks = [block.block for block in spec.blocks]
    if groups is None:
        return ()
    if isinstance(groups, str) and groups == "all":
        return tuple(block.name for block in blocks)
    asked = [groups] if isinstance(groups, str) else groups
    known = dict.fromkeys(name for block in blocks for name in (block.group, block.name))
    if not isinstance(asked, Collection) or getattr(asked, "ndim", 1) != 1:
        raise ArgumentError(f"groups is 'all', None or a list of names, not {shown(groups)}.")
    for name in asked:
        if not isinstance(name, str) or name not in known:
            has = f"they are {listed(known)}" if known else "it has none"
            raise ArgumentError(f"The model has no group {name!r}; {has}.{nearest(str(name), known)}")
    return tuple(block.name for block in blocks if block.name in asked or block.group in asked)


def check_seed(seed: int | None) -> None:
    """Refuse what is no seed."""
    if seed is not None and ((number := whole_number(seed)) is None or number < 0):
        raise ArgumentError(f"seed is a whole number of at least 0, not {shown(seed)}.")


def _factor(
    block: BlockSpec, posterior: xr.Dataset, flat: Callable[[xr.DataArray], np.ndarray]
) -> np.ndarray:
    """F with F F' the covariance of the effects, shape (q, q, S)."""
    sd = flat(posterior[block.sd])
    if not block.cor:
        factor = np.zeros((len(sd), *sd.shape))
        factor[range(len(sd)), range(len(sd))] = sd
        return factor
    correlation = flat(posterior[block.correlation].transpose(block.effect, block.other, ...))
    covariance = covariance_of(sd.T, np.moveaxis(correlation, -1, 0))
    return np.ascontiguousarray(np.moveaxis(factor_at_zero(covariance, block.centring), 0, -1))
