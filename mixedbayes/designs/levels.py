"""Grouping columns -> observed levels and one integer code a row; never a dense indicator matrix."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedbayes.errors import DataError, listed


@dataclass(frozen=True, eq=False, slots=True)
class Levels:
    """The observed levels of a grouping factor, and which combinations of its columns they are.

    Attributes:
        columns: The grouping columns, `("batch", "cask")`.
        values: For each column its own levels, in category or sorted order.
        combinations: For each level its place in each column's levels, shape (L, len(columns)).
        labels: One for each level, shape (L,): the data's own values, or texts such as `"A:a"`.
    """

    columns: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    combinations: np.ndarray
    labels: np.ndarray

    def encode(self, data: pd.DataFrame) -> tuple[np.ndarray, tuple[str, ...]]:
        """The code of each row of new data, shape (n,), and the levels among them that were not seen.

        Those have the codes -1, -2, ... in the order in which they are returned, that of their first rows.
        """
        places = [
            _places(values, _plain(data[name]))
            for name, values in zip(self.columns, self.values, strict=True)
        ]
        known = _mixed(list(self.combinations.T), self.values)
        rows = _mixed(places, self.values)
        codes = pd.Index(known).get_indexer(pd.Index(rows))
        codes[np.any([place < 0 for place in places], axis=0)] = -1
        codes = np.asarray(codes, dtype=np.int64)
        new = np.flatnonzero(codes < 0)
        if not len(new):
            return codes, ()
        parts = [np.array(_texts_alone(_plain(data[name])[new]), dtype=object) for name in self.columns]
        labels = (
            parts[0] if len(parts) == 1 else np.array([_joined(each) for each in zip(*parts, strict=True)])
        )
        order, unseen = pd.factorize(labels)
        codes[new] = -1 - order
        return codes, tuple(unseen)

    def joined(self, other: "Levels") -> "Levels":
        """These levels and then those of the other, which has none of these."""
        values, moves = zip(
            *(_merged(mine, theirs) for mine, theirs in zip(self.values, other.values, strict=True)),
            strict=True,
        )
        theirs = np.column_stack(
            [move[place] for move, place in zip(moves, other.combinations.T, strict=True)]
        )
        labels = _appended(self.labels, other.labels)
        return _frozen(Levels(self.columns, values, np.concatenate([self.combinations, theirs]), labels))


def find_levels(columns: Sequence[str], data: pd.DataFrame) -> tuple[Levels, np.ndarray]:
    """The levels that occur and the code of each row, shape (n,), into them.

    Raises:
        DataError: There is only one level.
    """
    levels, codes = find_all_levels(columns, data)
    if len(levels.labels) == 1:
        label, text = levels.labels[0], texts_of(levels.labels)[0]
        raise DataError(
            f"The group {':'.join(columns)} has one level, {repr(text) if isinstance(label, str) else text}; nothing varies between levels. Leave the term out."
        )
    return levels, codes


def find_all_levels(columns: Sequence[str], data: pd.DataFrame) -> tuple[Levels, np.ndarray]:
    """The same, also where there is only one level."""
    factors = [_factorized(data[name]) for name in columns]
    codes = factors[0][0]
    span = len(factors[0][1])
    for place, values in factors[1:]:
        # compact after each column, so that the mixed code cannot overflow
        codes, found = pd.factorize(codes * len(values) + place, sort=True)
        span = len(found)
    first = np.empty(span, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    combinations = np.column_stack([place[first] for place, _ in factors])
    own = tuple(levels for _, levels in factors)
    labels = own[0] if len(columns) == 1 else _labels(combinations, own)
    codes = codes.astype(np.int64)
    codes.flags.writeable = False
    return _frozen(Levels(tuple(columns), own, combinations, labels)), codes


def _frozen(levels: Levels) -> Levels:
    for array in (levels.labels, levels.combinations, *levels.values):  # noqa: PD011
        array.flags.writeable = False
    return levels


def _merged(mine: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One column's levels and those of another that it lacks after them; and where the other's are among them."""
    new = pd.Index(theirs)[_places(mine, theirs) < 0]
    whole = _appended(mine, new.to_numpy())
    return whole, _places(whole, theirs)


def _appended(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The one and then the other, without making int64 and uint64 floats."""
    if {one.dtype.kind, other.dtype.kind} == {"i", "u"}:
        kind: Any = object if min(one.min(initial=0), other.min(initial=0)) < 0 else np.uint64
        return np.concatenate([one.astype(kind), other.astype(kind)])
    return pd.Index(one).append(pd.Index(other)).to_numpy()


def _places(levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value is among the levels, -1 for those that are none of them; numbers of two kinds are not rounded."""
    mixed = levels.dtype != values.dtype and {levels.dtype.kind, values.dtype.kind} <= set("iuf")
    one, other = (pd.Index(each.astype(object) if mixed else each) for each in (levels, values))
    return one.get_indexer(other)


def _factorized(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Codes and levels: in category order for categories, sorted for the rest."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64), np.array(column.cat.categories)
    codes, levels = pd.factorize(column.to_numpy(), sort=True)
    return codes.astype(np.int64), np.array(levels)


def _plain(column: pd.Series) -> np.ndarray:
    """The column's values, categories taken for what they hold."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.categories.to_numpy()[column.cat.codes.to_numpy()]
    return column.to_numpy()


def _mixed(places: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> np.ndarray:
    """One number for each combination of places."""
    sizes = [len(level) for level in values]
    if np.prod([float(size) for size in sizes]) < 2**62:
        return np.ravel_multi_index([np.maximum(place, 0) for place in places], sizes)
    return np.array([tuple(row) for row in np.column_stack(places)], dtype=object)


def _labels(combinations: np.ndarray, values: Sequence[np.ndarray]) -> np.ndarray:
    """`A:a`; a part that itself holds a colon or quote stands in quotes, so that no two labels are equal."""
    texts = [np.array([_part(text) for text in texts_of(levels)], dtype=object) for levels in values]
    parts = [text[place] for text, place in zip(texts, combinations.T, strict=True)]
    labels = parts[0]
    for part in parts[1:]:
        labels = labels + ":" + part
    if len(set(labels)) < len(labels):
        raise AssertionError(f"labels of levels are not unique: {listed(labels)}")
    return labels


def _joined(texts: Sequence[str]) -> str:
    """The label of a combination."""
    return ":".join(map(_part, texts))


def texts_of(levels: np.ndarray) -> list[str]:
    """Levels as people write them: days without their midnight."""
    if levels.dtype.kind == "M":
        return pd.DatetimeIndex(levels).astype(str).tolist()
    return [str(level) for level in levels]


def _texts_alone(values: np.ndarray) -> list[str]:
    """Values each by itself: the same value is the same text whatever stands beside it, and 2050.0 is 2050."""
    if values.dtype.kind == "M":
        return [str(pd.Timestamp(value)).removesuffix(" 00:00:00") for value in values]
    if values.dtype.kind == "f":
        return [str(int(value)) if value.is_integer() else str(value) for value in values]
    return texts_of(values)


def _part(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if ":" in text or '"' in text else text
