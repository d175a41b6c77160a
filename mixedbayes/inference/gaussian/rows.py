"""`Design` -> chunks of rows and their grouping factors: what moments are made from, whoever has the rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mixedbayes.designs.design import Design

CHUNK = 2**22
"""Numbers in memory at once, about, while rows are read."""


class Factor(NamedTuple):
    """A grouping factor: its name, its levels, and the places of its blocks among the model's."""

    group: str
    levels: np.ndarray
    blocks: tuple[int, ...]


class Additions(NamedTuple):
    """What stands beside the response, for each row; None where nothing does.

    Attributes:
        weights: What the row's log density is multiplied by, as if it stood in the data so many times; shape (n,).
        precisions: The variance of the row's residual is sigma^2 over this; shape (n,).
    """

    weights: np.ndarray | None = None
    precisions: np.ndarray | None = None


NOTHING = Additions()


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """Some rows of a Gaussian model, m of them.

    Attributes:
        y: The response less the offset, shape (m,).
        X: Of the population level, shape (m, p).
        effects: For each block what multiplies its effects, shape (m, q).
        codes: For each block each row's place among the levels of its factor, shape (m,).
        additions: Of these rows.
    """

    y: np.ndarray
    X: np.ndarray
    effects: tuple[np.ndarray, ...]
    codes: tuple[np.ndarray, ...]
    additions: Additions = NOTHING


def additions_of(design: Design) -> Additions:
    """What stands beside the response of a design: the one place where the closed form asks for it.

    Beside known standard errors sigma is 1.
    """
    known = design.response.additions.get("se")
    return Additions(design.response.weights, None if known is None else known**-2.0)


def factors_of(design: Design) -> tuple[Factor, ...]:
    """The grouping factors, in the order in which they first occur."""
    groups = dict.fromkeys(block.group for block in design.groups)
    found = []
    for group in groups:
        places = tuple(i for i, block in enumerate(design.groups) if block.group == group)
        found.append(Factor(group, design.groups[places[0]].levels, places))
    return tuple(found)


def chunks_of(design: Design, rows: np.ndarray | None = None) -> Iterator[Chunk]:
    """Rows of a design, as many at once as suit memory.

    Args:
        design: From `build_design`.
        rows: Places of those wanted; None for all.
    """
    additions, widths = additions_of(design), [block.X.shape[1] for block in design.groups]
    p, n = design.fixed.X.shape[1], design.n if rows is None else len(rows)
    wide = max(
        [p + 1, *(q * (q + p + 1) for q in (sum(widths[i] for i in f.blocks) for f in factors_of(design)))]
    )
    step = max(1, CHUNK // wide)
    for start in range(0, max(n, 1), step):
        at = slice(start, start + step) if rows is None else rows[start : start + step]
        yield Chunk(
            y=design.response.values[at] - design.offset[at],
            X=design.fixed.X[at],
            effects=tuple(block.X[at] for block in design.groups),
            codes=tuple(block.codes[at] for block in design.groups),
            additions=Additions(*(None if values is None else values[at] for values in additions)),
        )
