"""Addresses of parameters -> their draws: `b[Days]`, `sd[Subject, Days]`, `r[Subject, 308, Days]`, `sigma`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import xarray as xr

from mixedbayes.designs.levels import texts_of
from mixedbayes.errors import ArgumentError, listed, nearest, nearest_address
from mixedbayes.models.addresses import Address, spelled, squeezed, varying
from mixedbayes.models.covariances import at_means, covariance_of, sds_and_correlations
from mixedbayes.models.spec import BlockSpec, ModelSpec, PredictorSpec
from mixedbayes.models.variables import Role, Variable, former_names
from mixedbayes.results.posterior.layout import effects_draws, posterior_of

type Draws = Callable[[], np.ndarray]


@dataclass(frozen=True, slots=True)
class OfLevel:
    """A reading of an address as that of one level: `r[group, level, term]`, `coef[group, level, term]`.

    Attributes:
        block: One on the group.
        kind: `r` or `coef`.
        predictor: Whose it is, of those that the block reaches into.
        term: The effect or coefficient, as that predictor calls it.
        level: As it is written, blanks and all.
    """

    block: BlockSpec
    kind: str
    predictor: str
    term: str
    level: str


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
        for variable in self.spec.variables:
            for address, place in variable.elements.items():
                found[str(address)] = _one(posterior[variable.name], *place)
            found |= self._short(variable, found)
        found |= {str(address): draws for address, draws in self._at_means()}
        return {alias: found[address] for alias, address in self._formerly.items()} | found

    @cached_property
    def _formerly(self) -> dict[str, str]:
        return former_names(self.spec)

    def _short(self, variable: Variable, found: Mapping[str, Draws]) -> dict[str, Draws]:
        """Shorter addresses: a column's own name of the main predictor, a predictor's `Intercept`, `sd[group]` of a lone effect."""
        if variable.role is Role.SDS and variable.block is not None:
            return self._short_sds(variable, variable.block, found)
        predictor = variable.predictor
        if predictor is None:
            return {}
        short: dict[str, Draws] = {}
        for address, (j,) in variable.elements.items():
            if j == predictor.linear.fixed.intercept:
                whole = Address("Intercept", (), predictor.name)
                short |= {} if _is_two_things(predictor) else {str(whole): found[str(address)]}
            elif predictor.is_main and address.names[0] not in found:
                short[address.names[0]] = found[str(address)]
        return short

    def _short_sds(self, variable: Variable, spec: BlockSpec, found: Mapping[str, Draws]) -> dict[str, Draws]:
        """`sd[group]` of a lone effect; in a block of several predictors each effect by its name in its own, `sigma.sd[group, x]`."""
        addresses, block = list(variable.elements), spec.block
        if len(addresses) == 1:
            return {str(replace(addresses[0], names=addresses[0].names[:1])): found[str(addresses[0])]}
        own = (
            replace(address, names=(address.names[0], term), predictor=predictor)
            for address, predictor, term in zip(addresses, block.predictors, block.terms, strict=True)
        )
        pairs = zip(own, addresses, strict=True)
        return {
            str(short): found[str(address)]
            for short, address in pairs
            if short != address and str(short) not in found
        }

    def _at_means(self) -> Iterator[tuple[Address, Draws]]:
        """Coefficients, standard deviations and correlations that are others at the predictors' means."""
        for predictor in self.spec.predictors.values():
            fixed = predictor.linear.fixed
            for name, moves, row in zip(
                fixed.columns, fixed.centring.moves, fixed.centring.to_means, strict=True
            ):
                if moves:
                    address = Address("b", (name,), predictor.name, centred=True)
                    yield address, partial(_combined, posterior_of(self.idata)[predictor.b], row)
        for block in self.spec.blocks:
            columns, moves = block.block.columns, block.block.centring.moves
            if not (block.structure.moves and block.cor and moves.any()):
                continue
            own = Address("sd", (block.block.label,), block.block.parameter, centred=True)
            for i, one in enumerate(columns):
                if moves[i]:
                    yield (
                        replace(own, names=(*own.names, one)),
                        partial(self._block_at_means, block, i),
                    )
                for j, other in enumerate(columns):
                    if i != j:
                        yield (
                            replace(own, kind="cor", names=(*own.names, one, other)),
                            partial(self._block_at_means, block, i, j),
                        )

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
        once = [
            address for address in self.named if address not in bracketed and address not in self._formerly
        ]
        return listed([address for address in once if address not in self._mirrored], 40)

    @cached_property
    def _mirrored(self) -> frozenset[str]:
        """Correlations that stand before in the other order."""
        pairs = [
            (each, place)
            for v in self.spec.variables
            if v.role is Role.CORRELATIONS
            for each, place in v.elements.items()
        ]
        late = [each for each, (i, j) in pairs if i > j]
        return frozenset(str(each) for address in late for each in (address, replace(address, centred=True)))

    @cached_property
    def canonical(self) -> Mapping[str, list[str]]:
        """Addresses without blanks -> as they are written."""
        found: dict[str, list[str]] = {}
        for address in self.named:
            found.setdefault(spelled(address), []).append(address)
        return found

    def draws(self, address: str) -> np.ndarray:
        """The draws of a parameter, shape (chain, draw).

        Raises:
            ArgumentError: There is none of that address.
        """
        if address in self.named:
            return self.named[address]()
        key = spelled(address)
        if key in self.canonical:
            return self.named[_only(self.canonical[key], address)]()
        for predictor in self.spec.predictors.values():
            whole = Address("Intercept", (), predictor.name)
            if key == str(whole) and _is_two_things(predictor):
                at_zero = replace(whole, kind="b", names=("Intercept",))
                raise ArgumentError(
                    f"{whole} is two things: {at_zero}, where all predictors are zero, as tables show it, and the one at "
                    f"their means, of which priors are: {replace(at_zero, centred=True)}. Write one of these."
                )
        for reading in (read := self._readings(address)):
            place = self._place(reading, address)
            if place is not None:
                of = self._coef if reading.kind == "coef" else self._effect
                return of(reading, place)
        if not read:
            raise self.unknown(address)
        block, written = read[0].block, read[0].level.strip()
        texts = texts_of(block.block.levels)
        raise ArgumentError(
            f"{cut(address)!r}: {block.block.group} has no level {written!r}.{nearest(written, texts)} "
            f"Its levels are {listed(texts, 12)}."
        )

    def is_of_known_level(self, address: str) -> bool:
        """Whether it is `r[group, level, term]` or `coef[group, level, term]` of a level that there is."""
        return any(self._place(reading, address) is not None for reading in self._readings(address))

    def unknown(self, address: str) -> ArgumentError:
        """The error for an address that nothing has."""
        usage = (
            " r[group, level, term] and coef[group, level, term] are those of one level."
            if self.spec.blocks
            else ""
        )
        hint = varying(address, self.spec.predictors) or nearest_address(cut(address), self.named)
        return ArgumentError(
            f"No parameter has the address {cut(address)!r}.{hint} Addresses here: {self.shown}.{usage}"
        )

    def _readings(self, address: str) -> list[OfLevel]:
        """The ways in which it is `kind[group, level, term]`, whether or not there is the level.

        Groups, levels and terms may hold commas of their own: any of them may be what parts two.
        """
        head, bracket, rest = address.strip().partition("[")
        of, _, kind = squeezed(head).rpartition(".")
        if not bracket or kind not in OF_LEVELS or not rest.endswith("]"):
            return []
        pieces = rest[:-1].split(",")
        found: list[OfLevel] = []
        predictor = of or self.spec.main.name
        for spec in self.spec.blocks:
            block = spec.block
            names = [(spec.block.label, self._effects(spec, predictor))] if kind == "r" else []
            if kind == "coef" and predictor in block.predictors:
                names = [(block.group, self._terms(spec, predictor))]
            for name, terms in names:
                start = _ends_of(pieces, name)
                found += [
                    OfLevel(spec, kind, own, term, ",".join(pieces[start:stop]))
                    for written, (own, term) in terms.items()
                    if start is not None
                    if (stop := _starts_of(pieces, written)) is not None and stop > start
                ]
        return found

    def _place(self, reading: OfLevel, address: str) -> int | None:
        """Which level of the block is written so; None if there is none."""
        places, written = self._levels[reading.block.block.group], reading.level
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

    def _effects(self, spec: BlockSpec, predictor: str) -> dict[str, tuple[str, str]]:
        """The effects of a block by what they are called after the name of a predictor: each with its own predictor and term."""
        block = spec.block
        own = list(zip(block.predictors, block.terms, strict=True))
        found = {term: (of, term) for of, term in own if of == predictor}
        if predictor == block.parameter:  # which says nothing of columns that name their own
            found |= dict(zip(block.columns, own, strict=True))
        return found

    def _beside(self, spec: BlockSpec, predictor: str) -> list[BlockSpec]:
        """The blocks of the same group that reach into a predictor, itself among them."""
        return [
            other
            for other in self.spec.blocks
            if other.block.group == spec.block.group and predictor in other.block.predictors
        ]

    def _terms(self, spec: BlockSpec, predictor: str) -> dict[str, tuple[str, str]]:
        """The coefficients of a group's levels in a predictor."""
        effects = (term for other in self._beside(spec, predictor) for term in _terms_of(other, predictor))
        columns = self.spec.predictors[predictor].linear.fixed.columns
        return {term: (predictor, term) for term in (*columns, *effects)}

    def _effect(self, reading: OfLevel, place: int) -> np.ndarray:
        block = reading.block.block
        named = list(zip(block.predictors, block.terms, strict=True))
        draws = effects_draws(self.idata, reading.block).transpose("chain", "draw", ...)
        return draws[..., place, named.index((reading.predictor, reading.term))].to_numpy()

    def _coef(self, reading: OfLevel, place: int) -> np.ndarray:
        """Population plus deviations: of one level alone."""
        parts = [
            self._effect(replace(reading, block=other), place)
            for other in self._beside(reading.block, reading.predictor)
            if reading.term in _terms_of(other, reading.predictor)
        ]
        population = self.spec.predictors[reading.predictor]
        columns = population.linear.fixed.columns
        if reading.term in columns:
            kept = effects_draws(self.idata, reading.block)["draw"]
            b = posterior_of(self.idata)[population.b].sel(draw=kept).transpose("chain", "draw", ...)
            parts.append(b[..., columns.index(reading.term)].to_numpy())
        return np.sum(parts, axis=0)


def _terms_of(spec: BlockSpec, predictor: str) -> tuple[str, ...]:
    """The effects that a predictor takes from a block, as it calls them."""
    block = spec.block
    return tuple(block.terms[j] for j in block.places(predictor))


def _is_two_things(predictor: PredictorSpec) -> bool:
    """Whether the intercept at zero, as tables show it, is another than the one of which priors are."""
    intercept = predictor.linear.fixed.intercept
    return intercept is not None and bool(predictor.centring.moves[intercept])


def _ends_of(pieces: Sequence[str], name: str) -> int | None:
    """How many of the pieces make the name; None if they do not begin with it."""
    whole = squeezed(name)
    return next((i for i in range(1, len(pieces)) if squeezed(",".join(pieces[:i])) == whole), None)


def _starts_of(pieces: Sequence[str], name: str) -> int | None:
    """At which piece the name begins that the last ones make; None if they do not end with it."""
    whole = squeezed(name)
    return next((i for i in range(len(pieces) - 1, 0, -1) if squeezed(",".join(pieces[i:])) == whole), None)


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


def _combined(variable: xr.DataArray, row: np.ndarray) -> np.ndarray:
    """The draws of a sum of coefficients, shape (chain, draw)."""
    return np.asarray(variable.transpose("chain", "draw", ...).to_numpy() @ row)


def _one(variable: xr.DataArray, *places: int) -> Draws:
    return lambda: variable.transpose("chain", "draw", ...).to_numpy()[(..., *places)]  # type: ignore[arg-type]  # an index
