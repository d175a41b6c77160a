"""Whether draws fit into the machine's memory, asked before any are made."""

import os
from math import prod

from mixedbayes.errors import ArgumentError
from mixedbayes.inference.options import GIB, Options
from mixedbayes.models.spec import ModelSpec

USUAL = 4000
"""Draws in all, where the user does not say."""


def check_memory(spec: ModelSpec, options: Options, *, is_bounded: bool) -> None:
    """Refuse draws that the machine has no room for: an operating system kills who tries.

    Args:
        spec: The model.
        options: How many draws.
        is_bounded: Whether draws of group effects are held to `options.budget`.

    Raises:
        ArgumentError: It says how much they would take, and how much there is.
    """
    sizes = {dim: len(labels) for dim, labels in spec.coords.items()}
    values = {name: prod(sizes[dim] for dim in dims) for name, dims in spec.dims.items()}
    effects = sum(values[block.r] for block in spec.blocks)
    draws = options.chains * options.draws if options.draws else max(USUAL, options.chains)
    size: float = 8 * draws * (sum(values.values()) - effects)
    room = options.budget if is_bounded else float("inf")
    size += min(8 * draws * effects, room)
    there = physical_memory()
    if size > there:
        raise ArgumentError(
            f"{draws:,} draws of this model take {size / GIB:,.1f} GiB, and this machine has {there / GIB:,.1f} GiB: "
            f"ask for fewer draws= or chains={', or less memory=' if is_bounded else ''}."
        )


def physical_memory() -> float:
    """Bytes that the machine has; infinite where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")
