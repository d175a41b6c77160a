"""The linear predictor as a function of rows, over all draws: NumPy alone.

    draws × Encoded rows -> eta = offset + X b + sum over blocks of X_k times r_k[codes_k], shape (m, S)

Levels that the fit has not seen are drawn from the population that each draw describes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mixedbayes.arguments import one_of, seed_of
from mixedbayes.designs.design import Encoded
from mixedbayes.errors import ArgumentError, DataError, listed, nearest, shown
from mixedbayes.models.families import Family
from mixedbayes.models.maths import ARRAYS
from mixedbayes.models.spec import ModelSpec
from mixedbayes.models.values import FromPredictor, Values
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.layout import effects_draws
from mixedbayes.results.rows.block_draws import NEW_LEVELS, BlockDraws, NewLevels, factor_of, flat

type Groups = Literal["all"] | Sequence[str] | None

AT_ONCE = 2**18
"""Numbers of one array over rows and draws that are worked on at once, about: some fit in a processor's cache."""


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

    def eta(self, rows: Encoded) -> np.ndarray:
        """The linear predictor of some rows, shape (m, S)."""
        eta = rows.X @ self.b
        eta += rows.offset[:, None]
        for name, block in self.blocks.items():
            block.add_to(eta, rows.groups[name], self.new_levels)
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
        main = {spec.main.name: FromPredictor(spec.link, eta)}
        return Values(ARRAYS, main | dict(own), {} if trials is None else {"trials": trials[:, None]})

    def variance(self, arguments: Values) -> np.ndarray:
        """The variance of a response.

        Raises:
            ArgumentError: It is infinite.
        """
        variance = self.likelihood.variance_of(arguments)
        if np.isinf(variance).any():
            raise ArgumentError(
                f"In {np.isinf(variance).mean():.2g} of the draws the {self.spec.family.name} response has no finite variance, and "
                "nothing that is measured by it: residuals('quantile') and loo() need none."
            )
        return variance

    def mean(self, rows: Encoded) -> np.ndarray:
        """The mean of the response (of one trial, where it counts successes), shape (m, S)."""
        mean = self.likelihood.mean(self.arguments(self.eta(rows)))
        return np.broadcast_to(mean, (len(rows), self.S))

    def log_density(
        self,
        rows: Encoded,
        y: np.ndarray,
        eta: np.ndarray | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """The log density of the response of some rows, shape (m, S).

        Args:
            rows: Of which the response is.
            y: The response, shape (m,).
            eta: The linear predictor, in place of that of the draws.
            parameters: The family's own, in place of those of the draws.
        """
        eta = self.eta(rows) if eta is None else eta
        values = self.likelihood.log_density(y[:, None], self.arguments(eta, rows.trials, parameters))
        return np.broadcast_to(values, eta.shape)

    def response(self, rows: Encoded, rng: np.random.Generator) -> np.ndarray:
        """One random response for each row and draw, shape (m, S)."""
        return self.likelihood.draw(rng, self.arguments(self.eta(rows), rows.trials))

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
        return replace(
            self,
            b=self.b[:, wanted],
            blocks=blocks,
            parameters=parameters,
            chains=np.zeros(1, int),
            draws=np.arange(len(wanted)),
        )


def predictor_of(
    fit: Fitted, groups: Groups = "all", new_levels: NewLevels = "sample", seed: int | None = None
) -> Predictor:
    """Bring the draws into the order in which rows use them.

    Args:
        fit: The model and its draws.
        groups: Which group effects take part: all, none, or those of some groups (or blocks) by name.
        new_levels: What the effects of unseen levels are.
        seed: Of what is random beside the posterior's draws.

    Raises:
        ArgumentError: An unknown group or option; or no draws of the effects were kept.
    """
    one_of("new_levels", new_levels, NEW_LEVELS)
    source = np.random.SeedSequence(seed_of(seed))
    entropy = int.from_bytes(source.generate_state(8, np.uint32).tobytes(), "little")
    names = block_names(fit.spec, groups)
    chosen = [block for block in fit.spec.blocks if block.block.name in names]
    posterior = fit.posterior
    draws = posterior["draw"]
    if chosen:
        kept = effects_draws(fit.idata, chosen[0])["draw"]
        if not kept.size:
            raise ArgumentError(
                "Predictions with group effects need draws of these, and none were kept: fit with more memory= (GiB) or fewer "
                "draws=, or predict for the population with groups=None."
            )
        draws = draws.sel(draw=kept)
    posterior = posterior.sel(draw=draws)
    S = posterior.sizes["chain"] * posterior.sizes["draw"]
    return Predictor(
        spec=fit.spec,
        b=flat(posterior["b"]) if "b" in posterior else np.zeros((0, S)),
        blocks={
            block.block.name: BlockDraws(
                block.block.name,
                flat(effects_draws(fit.idata, block).transpose(block.level, block.effect, ...)),
                factor_of(block, posterior),
                entropy,
            )
            for block in chosen
        },
        parameters={p.address: flat(posterior[p.address]) for p in fit.spec.auxiliary},
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
