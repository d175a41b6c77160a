"""The linear predictor as a function of rows, over all draws: NumPy alone.

    draws × Encoded rows -> eta = offset + X b + sum over blocks of X_k times r_k[codes_k], shape (m, S)

Levels that the fit has not seen are drawn from the population that each draw describes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from mixedbayes.arguments import one_of, seed_of
from mixedbayes.designs.design import Encoded
from mixedbayes.errors import ArgumentError, DataError, listed, nearest, shown
from mixedbayes.language.formula import MEAN
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
        b: The coefficients of each linear predictor by the parameter that it predicts, the mean's first, shape (p, S).
        blocks: Those that are not left out, by name.
        parameters: The family's without a predictor, shape (S,) each.
        chains: Of the S draws, chain by chain.
        draws: Which draws of each chain they are.
        new_levels: What unseen levels' effects are.
        seed: Of what is random beside the posterior's draws.
    """

    spec: ModelSpec
    b: Mapping[str, np.ndarray]
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
        new = {
            block.group: rows.groups[block.name].unseen
            for block in self.spec.design.groups
            if block.name in self.blocks and rows.groups[block.name].unseen
        }
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

    def eta(self, rows: Encoded, name: str = MEAN) -> np.ndarray:
        """The linear predictor of a parameter in some rows, shape (m, S)."""
        X, offset = rows.linears[name]
        eta = X @ self.b[name]
        eta += offset[:, None]
        for block in self.blocks.values():
            block.add_to(eta, name, rows.groups[block.name], self.new_levels)
        return eta

    def etas(self, rows: Encoded) -> dict[str, np.ndarray]:
        """Those of all parameters that have one, by name, each of shape (m, S)."""
        return {name: self.eta(rows, name) for name in self.b}

    def values(self, rows: Encoded) -> Values:
        """What the family's functions take of some rows, with what stands beside their responses."""
        return self.values_at(self.etas(rows), rows.additions)

    def values_at(
        self,
        etas: Mapping[str, np.ndarray],
        additions: Mapping[str, np.ndarray] | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
    ) -> Values:
        """What the family's functions take; of one trial where no number of them is given.

        Args:
            etas: The linear predictors by parameter, of shape (m, S) each.
            additions: What stands beside the responses, by name, of shape (m,) each.
            parameters: Those without a predictor, in place of the draws' own.
        """
        links = self.spec.predictors
        known: dict[str, Any] = {name: FromPredictor(links[name].link, eta) for name, eta in etas.items()}
        known |= self.parameters if parameters is None else parameters
        return Values(ARRAYS, known, {name: each[:, None] for name, each in (additions or {}).items()})

    def variance(self, values: Values) -> np.ndarray:
        """The variance of a response.

        Raises:
            ArgumentError: It is infinite.
        """
        variance = self.likelihood.variance_of(values)
        if np.isinf(variance).any():
            raise ArgumentError(
                f"In {np.isinf(variance).mean():.2g} of the draws the {self.spec.family.name} response has no finite variance, and "
                "nothing that is measured by it: residuals('quantile') and loo() need none."
            )
        return variance

    def mean(self, rows: Encoded) -> np.ndarray:
        """The mean of the response (of one trial, where it counts successes), shape (m, S)."""
        mean = self.likelihood.mean(self.values_at(self.etas(rows)))
        return np.broadcast_to(mean, (len(rows), self.S))

    def log_density(
        self,
        rows: Encoded,
        y: np.ndarray,
        etas: Mapping[str, np.ndarray] | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """The log density of the response of some rows times their weights, shape (m, S).

        Args:
            rows: Of which the response is.
            y: The response, shape (m,).
            etas: The linear predictors, in place of those of the draws.
            parameters: Those without a predictor, in place of those of the draws.
        """
        etas = self.etas(rows) if etas is None else etas
        found = self.likelihood.log_likelihood(y[:, None], self.values_at(etas, rows.additions, parameters))
        return np.broadcast_to(found, etas[MEAN].shape)

    def response(self, rows: Encoded, rng: np.random.Generator) -> np.ndarray:
        """One random response for each row and draw, shape (m, S)."""
        return self.likelihood.draw(rng, self.values(rows))

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
            name: replace(
                block,
                r=block.r[..., wanted],
                factor=block.factor[..., wanted],
                seed=block.seed ^ again,
                drawn={},
            )
            for name, block in self.blocks.items()
        }
        parameters = {name: values[wanted] for name, values in self.parameters.items()}
        return replace(
            self,
            b={name: b[:, wanted] for name, b in self.b.items()},
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
        b={
            name: flat(posterior[p.b]) if p.b in posterior else np.zeros((0, S))
            for name, p in fit.spec.predictors.items()
        },
        blocks={
            block.block.name: BlockDraws(
                block.block.name,
                flat(effects_draws(fit.idata, block).transpose(block.level, block.effect, ...)),
                block.structure,
                factor_of(block, posterior),
                entropy,
                block.block.predictors,
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
            raise ArgumentError(f"The model has no group {shown(name)}; {has}.{nearest(shown(name), known)}")
    return tuple(block.name for block in blocks if block.name in asked or block.group in asked)
