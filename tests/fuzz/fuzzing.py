"""Random cases, each made from a seed of its own, until time is up: what the fuzzers of this folder share."""

import faulthandler
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

type Check = Callable[[np.random.Generator, Counter[str]], None]
"""Makes one random case, complains of what is wrong by an AssertionError, and counts what became of the case."""

HANG = 300
"""Seconds after which a case is taken to run without end: where it is, is written, and the process ends."""


class Odd:
    """Compared item by item, neither true nor false, and without a text."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def run(check: Check, seconds: float, seed: int) -> Counter[str]:
    """As many cases as fit into the time, of the seed and those after it; a complaint names the seed to see it again."""
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        faulthandler.dump_traceback_later(HANG, exit=True)
        try:
            check(np.random.default_rng(seed), counts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        seed += 1
    faulthandler.cancel_dump_traceback_later()
    return counts


def main(check: Check) -> None:
    """Run for the seconds that the command line names, and from the seed if it names one."""
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts = run(check, seconds, seed)
    print(f"{sum(counts.values()):,} outcomes from seed {seed}: {dict(sorted(counts.items()))}")  # noqa: T201
