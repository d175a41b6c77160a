"""Addresses of parameters -> their draws: `b[Days]`, `sd[Subject, Days]`, `r[Subject, 308, Days]`, `sigma`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from mixedbayes.design.groups import texts_of
from mixedbayes.errors import ArgumentError, listed, nearest
from mixedbayes.model.spec import ModelSpec
from mixedbayes.results.quantities import coefs, effects_draws, posterior_of

type Draws = Callable[[], np.ndarray]

OF_LEVELS = ("r", "coef")
"""Kinds of parameters of which there is one for each level of a group."""


@dataclass(frozen=True, eq=False)
class Addresses:
    """Every parameter of a fit by its address, blanks not counting.

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
            if label != "Intercept":
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
        return found

    @property
    def shown(self) -> str:
        """Addresses in words, each parameter once."""
        bracketed = {address[2:-1] for address in self.named if address.startswith("b[")}
        once = [address for address in self.named if address not in bracketed]
        return listed([address for address in once if not self._is_mirrored(address)], 40)

    def _is_mirrored(self, address: str) -> bool:
        """Whether it is a correlation that stands before in the other order."""
        return any(
            address == f"cor[{b.block.name}, {one}, {other}]"
            for b in self.spec.blocks
            for j, one in enumerate(b.block.columns)
            for other in b.block.columns[:j]
        )

    @cached_property
    def canonical(self) -> Mapping[str, str]:
        """Addresses without blanks -> as they are written."""
        return {"".join(address.split()): address for address in self.named}

    @property
    def _is_intercept_two_things(self) -> bool:
        return self.spec.centred and bool(np.any(self.spec.means != 0))

    def draws(self, address: str) -> np.ndarray:
        """The draws of a parameter, shape (chain, draw).

        Raises:
            ArgumentError: There is none of that address.
        """
        key = "".join(address.split())
        if key in self.canonical:
            return self.named[self.canonical[key]]()
        if key == "Intercept" and self._is_intercept_two_things:
            raise ArgumentError(
                "Intercept is two things: b[Intercept], where all predictors are zero, as tables show it, and the one at "
                "their means, of which priors are. Write b[Intercept], or b[Intercept] + (mean of x) * b[x] for the other."
            )
        kind, bracket, rest = address.strip().partition("[")
        if bracket and kind.strip() in OF_LEVELS and rest.endswith("]"):
            return self._of_level(kind.strip(), rest[:-1], address)
        raise self.unknown(address)

    def unknown(self, address: str) -> ArgumentError:
        """The error for an address that nothing has."""
        usage = (
            " r[group, level, term] and coef[group, level, term] are those of one level."
            if self.spec.blocks
            else ""
        )
        return ArgumentError(
            f"No parameter has the address {address!r}.{nearest(address, self.named)} Addresses here: {self.shown}.{usage}"
        )

    def _of_level(self, kind: str, inside: str, address: str) -> np.ndarray:
        """`r[group, level, term]` and `coef[group, level, term]`; a level is known by its text."""
        for block in self.spec.blocks:
            name = block.block.group if kind == "coef" else block.block.name
            terms = block.block.columns if kind == "r" else self._terms(block.block.group)
            texts = {text.strip(): i for i, text in enumerate(texts_of(block.block.levels))}
            for term in terms:
                head, tail = name + ",", "," + "".join(term.split())
                squeezed = "".join(inside.split())
                if not squeezed.startswith("".join(head.split())) or not squeezed.endswith(tail):
                    continue
                level = inside.strip().removeprefix(name).strip().removeprefix(",")
                level = _without_term(level, term).strip()
                if level not in texts:
                    raise ArgumentError(
                        f"{address!r}: {name} has no level {level!r}.{nearest(level, texts)} Its levels are {listed(texts, 12)}."
                    )
                place = texts[level]
                if kind == "r":
                    return _one(
                        effects_draws(self.idata, block)[..., place, :].transpose("chain", "draw", ...),
                        terms.index(term),
                    )()
                return self._coef(block.block.group, place, term)
        raise self.unknown(address)

    def _terms(self, group: str) -> tuple[str, ...]:
        own = [
            column
            for block in self.spec.blocks
            if block.block.group == group
            for column in block.block.columns
        ]
        return tuple(dict.fromkeys([*self.spec.design.fixed.columns, *own]))

    def _coef(self, group: str, place: int, term: str) -> np.ndarray:
        found = (q for q in coefs(self.spec, self.idata) if q.group == group and q.terms[0] == term)
        return next(found).draws[..., place]


def _one(variable: xr.DataArray, *places: int) -> Draws:
    return lambda: variable.transpose("chain", "draw", ...).to_numpy()[(..., *places)]  # type: ignore[arg-type]  # an index


def _without_term(text: str, term: str) -> str:
    """What stands before the last comma that only the term follows."""
    squeezed = "".join(term.split())
    ends = [
        i
        for i, character in enumerate(text)
        if character == "," and "".join(text[i + 1 :].split()) == squeezed
    ]
    return text[: ends[-1]] if ends else text
