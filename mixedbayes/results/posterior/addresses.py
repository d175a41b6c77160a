"""Addresses of parameters -> their draws: `b[Days]`, `sd[Subject, Days]`, `r[Subject, 308, Days]`, `sigma`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import xarray as xr

from mixedbayes.designs.levels import texts_of
from mixedbayes.errors import ArgumentError, listed, nearest, nearest_address
from mixedbayes.models.covariances import at_means, covariance_of, sds_and_correlations
from mixedbayes.models.spec import CENTRED, BlockSpec, ModelSpec
from mixedbayes.results.posterior.layout import effects_draws, posterior_of

type Draws = Callable[[], np.ndarray]

type OfLevel = tuple[BlockSpec, str, str]
"""A block, a term, and what stands between its group and that term: the level as it is written."""

OF_LEVELS = ("r", "coef")
"""Kinds of parameters of which there is one for each level of a group."""

ECHO = 120
"""Characters of the caller's text that a message repeats."""


@dataclass(frozen=True, eq=False)
class Addresses:
    """Every parameter of a fit by its address; blanks count only where they alone tell two apart.

    Attributes:
        spec: The model.
        idata: Its draws.
    """

    spec: ModelSpec
    idata: xr.DataTree

    @cached_property
    def named(self) -> Mapping[str, Draws]:
        """Those of which there are few: for each address its draws, shape (chain, draw), when they are called for."""
        posterior = posterior_of(self.idata)
        found: dict[str, Draws] = {}
        for j, label in enumerate(self.spec.design.fixed.columns):
            found[f"b[{label}]"] = _one(posterior["b"], j)
            if j != self.spec.design.fixed.intercept:
                found.setdefault(label, found[f"b[{label}]"])
        if self.spec.intercept is not None and not self._is_intercept_two_things:
            found["Intercept"] = found["b[Intercept]"]
        for block in self.spec.blocks:
            name, columns = block.block.name, block.block.columns
            for i, column in enumerate(columns):
                found[f"sd[{name}, {column}]"] = _one(posterior[block.sd], i)
                if len(columns) == 1:
                    found[f"sd[{name}]"] = found[f"sd[{name}, {column}]"]
            for i, one in enumerate(columns if block.cor else ()):
                for j, other in enumerate(columns):
                    found |= (
                        {f"cor[{name}, {one}, {other}]": _one(posterior[block.correlation], i, j)}
                        if i != j
                        else {}
                    )
        for parameter in (*self.spec.auxiliary, *self.spec.hyper):
            found[parameter.address] = _one(posterior[parameter.address])
        return found | self._at_means()

    def _at_means(self) -> dict[str, Draws]:
        """Coefficients, standard deviations and correlations that are others at the predictors' means."""
        found: dict[str, Draws] = {}
        fixed = self.spec.design.fixed
        for name, moves, row in zip(
            fixed.columns, fixed.centring.moves, fixed.centring.to_means, strict=True
        ):
            if moves:
                found[f"{CENTRED}b[{name}]"] = partial(_combined, posterior_of(self.idata)["b"], row)
        for block in self.spec.blocks:
            name, columns, moves = block.block.name, block.block.columns, block.block.centring.moves
            if not (block.cor and moves.any()):
                continue
            for i, one in enumerate(columns):
                if moves[i]:
                    found[f"{CENTRED}sd[{name}, {one}]"] = partial(self._block_at_means, block, i)
                for j, other in enumerate(columns):
                    if i != j:
                        found[f"{CENTRED}cor[{name}, {one}, {other}]"] = partial(
                            self._block_at_means, block, i, j
                        )
        return found

    def _block_at_means(self, block: BlockSpec, i: int, j: int | None = None) -> np.ndarray:
        """A standard deviation of a block's effects at the means, or the correlation of two, shape (chain, draw)."""
        posterior = posterior_of(self.idata)
        sd, correlation = (
            posterior[name].transpose("chain", "draw", ...).to_numpy()
            for name in (block.sd, block.correlation)
        )
        covariance = at_means(covariance_of(sd, correlation), block.block.centring)
        sd, correlation = sds_and_correlations(covariance)
        return np.asarray(sd[..., i] if j is None else correlation[..., i, j])

    @property
    def shown(self) -> str:
        """Addresses in words, each parameter once."""
        bracketed = {address[2:-1] for address in self.named if address.startswith("b[")}
        once = [address for address in self.named if address not in bracketed]
        return listed([address for address in once if not self._is_mirrored(address)], 40)

    def _is_mirrored(self, address: str) -> bool:
        """Whether it is a correlation that stands before in the other order."""
        return any(
            address.removeprefix(CENTRED) == f"cor[{b.block.name}, {one}, {other}]"
            for b in self.spec.blocks
            for j, one in enumerate(b.block.columns)
            for other in b.block.columns[:j]
        )

    @cached_property
    def canonical(self) -> Mapping[str, list[str]]:
        """Addresses without blanks -> as they are written."""
        found: dict[str, list[str]] = {}
        for address in self.named:
            found.setdefault(squeezed(address), []).append(address)
        return found

    @property
    def _is_intercept_two_things(self) -> bool:
        intercept = self.spec.design.fixed.intercept
        return intercept is not None and bool(self.spec.centring.moves[intercept])

    def draws(self, address: str) -> np.ndarray:
        """The draws of a parameter, shape (chain, draw).

        Raises:
            ArgumentError: There is none of that address.
        """
        if address in self.named:
            return self.named[address]()
        key = squeezed(address)
        if key in self.canonical:
            return self.named[_only(self.canonical[key], address)]()
        if key == "Intercept" and self._is_intercept_two_things:
            raise ArgumentError(
                "Intercept is two things: b[Intercept], where all predictors are zero, as tables show it, and the one at "
                f"their means, of which priors are: {CENTRED}b[Intercept]. Write one of these."
            )
        for block, term, written in (read := self._readings(address)):
            place = self._place(block, written, address)
            if place is not None:
                return (
                    self._coef(block, place, term)
                    if squeezed(address).startswith("coef[")
                    else self._effect(block, place, term)
                )
        if not read:
            raise self.unknown(address)
        block, _, written = read[0]
        texts = texts_of(block.block.levels)
        raise ArgumentError(
            f"{cut(address)!r}: {block.block.group} has no level {written.strip()!r}.{nearest(written.strip(), texts)} "
            f"Its levels are {listed(texts, 12)}."
        )

    def is_of_known_level(self, address: str) -> bool:
        """Whether it is `r[group, level, term]` or `coef[group, level, term]` of a level that there is."""
        return any(
            self._place(block, written, address) is not None for block, _, written in self._readings(address)
        )

    def unknown(self, address: str) -> ArgumentError:
        """The error for an address that nothing has."""
        usage = (
            " r[group, level, term] and coef[group, level, term] are those of one level."
            if self.spec.blocks
            else ""
        )
        return ArgumentError(
            f"No parameter has the address {cut(address)!r}.{nearest_address(cut(address), self.named)} Addresses here: {self.shown}.{usage}"
        )

    def _readings(self, address: str) -> list[OfLevel]:
        """The ways in which it is `kind[group, level, term]`, whether or not there is the level."""
        kind, bracket, rest = address.strip().partition("[")
        if not bracket or kind.strip() not in OF_LEVELS or not rest.endswith("]"):
            return []
        found: list[OfLevel] = []
        for block in self.spec.blocks:
            name, terms = block.block.name, block.block.columns
            if kind.strip() == "coef":
                name, terms = block.block.group, self._terms(block.block.group)
            after = _after(rest[:-1], f"{name},")
            for term in terms if after is not None else ():
                before = _after(str(after)[::-1], f",{term}"[::-1])
                found += [(block, term, before[::-1])] if before is not None else []
        return found

    def _place(self, block: BlockSpec, written: str, address: str) -> int | None:
        """Which level of the block is written so; None if there is none."""
        places = self._levels[block.block.group]
        for text in (written.removeprefix(" "), written):
            if text in places:
                return places[text]
        alike = [text for text in places if squeezed(text) == squeezed(written)]
        return places[_only(alike, address)] if alike else None

    @cached_property
    def _levels(self) -> Mapping[str, Mapping[str, int]]:
        """For each group the places of its levels, by their texts."""
        return {
            block.block.group: {text: i for i, text in enumerate(texts_of(block.block.levels))}
            for block in self.spec.blocks
        }

    def _terms(self, group: str) -> tuple[str, ...]:
        own = [
            column
            for block in self.spec.blocks
            if block.block.group == group
            for column in block.block.columns
        ]
        return tuple(dict.fromkeys([*self.spec.design.fixed.columns, *own]))

    def _effect(self, block: BlockSpec, place: int, term: str) -> np.ndarray:
        draws = effects_draws(self.idata, block).transpose("chain", "draw", ...)
        return draws[..., place, block.block.columns.index(term)].to_numpy()

    def _coef(self, block: BlockSpec, place: int, term: str) -> np.ndarray:
        """Population plus deviations: of one level alone."""
        own = [other for other in self.spec.blocks if other.block.group == block.block.group]
        parts = [self._effect(other, place, term) for other in own if term in other.block.columns]
        columns = self.spec.design.fixed.columns
        if term in columns:
            kept = effects_draws(self.idata, block)["draw"]
            b = posterior_of(self.idata)["b"].sel(draw=kept).transpose("chain", "draw", ...)
            parts.append(b[..., columns.index(term)].to_numpy())
        return np.sum(parts, axis=0)


def squeezed(text: str) -> str:
    """The text without blanks."""
    return "".join(text.split())


def cut(text: str) -> str:
    """As much of the caller's text as a message repeats."""
    return text if len(text) <= ECHO else text[: ECHO - 3] + "..."


def _only(candidates: list[str], address: str) -> str:
    """The one candidate.

    Raises:
        ArgumentError: There are several.
    """
    if len(candidates) > 1:
        raise ArgumentError(
            f"{cut(address)!r} may be {listed(map(repr, candidates))}, which differ in blanks alone: write them as they are there."
        )
    return candidates[0]


def _after(text: str, head: str) -> str | None:
    """What comes after a head, blanks not counting in it; None if the text begins otherwise."""
    place = 0
    for character in squeezed(head):
        while text[place : place + 1].isspace():
            place += 1
        if text[place : place + 1] != character:
            return None
        place += 1
    return text[place:]


def _combined(variable: xr.DataArray, row: np.ndarray) -> np.ndarray:
    """The draws of a sum of coefficients, shape (chain, draw)."""
    return np.asarray(variable.transpose("chain", "draw", ...).to_numpy() @ row)


def _one(variable: xr.DataArray, *places: int) -> Draws:
    return lambda: variable.transpose("chain", "draw", ...).to_numpy()[(..., *places)]  # type: ignore[arg-type]  # an index
