"""Seconds and memory of a design of a million rows and a hundred thousand levels.

Run: python tests/benchmarks/bench_design.py. The target is 3 s and 1 GB (of which the table's own share
is shown). Each case runs in a process of its own, for the peak of memory counts from its start.
"""

import multiprocessing
import resource
import sys
import time

import numpy as np
import pandas as pd

from mixedbayes.designs.build import build_design

ROWS, LEVELS = 1_000_000, 100_000
FORMULA = "y ~ x + f + (1 + x | g) + (1 | a/b)"


def table(kind: str) -> pd.DataFrame:
    """A table with `g` of 100,000 levels and `a/b` of 1,000 and 100,000, as integers or as texts."""
    rng = np.random.default_rng(1)
    pair = rng.integers(0, LEVELS, ROWS)
    columns = {"g": rng.integers(0, LEVELS, ROWS), "a": pair % 1000, "b": pair // 1000}
    if kind == "text":
        columns = {name: np.char.add(f"{name}-", values.astype(str)) for name, values in columns.items()}
    return pd.DataFrame(
        {
            "y": rng.normal(size=ROWS),
            "x": rng.normal(size=ROWS),
            "f": rng.choice(["low", "mid", "high"], ROWS),
            **columns,
        }
    )


def peak() -> float:
    """The most memory that this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(kind: str) -> None:
    """Build once and print."""
    build_design("y ~ x + (1 | g)", pd.DataFrame({"y": [1.0, 2, 3], "x": [1.0, 2, 4], "g": [1, 2, 2]}))
    data = table(kind)
    before, start = peak(), time.perf_counter()
    design = build_design(FORMULA, data)
    seconds = time.perf_counter() - start
    levels = ", ".join(f"{block.name} {len(block.levels):,}" for block in design.groups)
    sys.stdout.write(f"{kind:5} {seconds:5.2f} s, peak {peak():.2f} GB ({before:.2f} GB before); {levels}\n")


if __name__ == "__main__":
    for kind in ("int", "text"):
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(kind,))
        process.start()
        process.join()
