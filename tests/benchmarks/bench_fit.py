"""Time of a warm fit of sleepstudy beside a hand-written PyMC model of the same posterior; import times.

    uv run python tests/benchmarks/bench_fit.py [repeats]

Both sample with nutpie in this process, in turn, after one uncounted fit each.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import nutpie
import pandas as pd
import pymc as pm

import mixedbayes as mb

SLEEP = mb.load_dataset("sleepstudy")
SAMPLING = {"draws": 1000, "tune": 1000, "chains": 4, "seed": 1}


def ours() -> object:
    return mb.fit("Reaction ~ Days + (Days | Subject)", SLEEP, progress=False, **SAMPLING)


def by_hand() -> object:
    y, days = SLEEP["Reaction"].to_numpy(), SLEEP["Days"].to_numpy()
    codes, levels = pd.factorize(SLEEP["Subject"])
    s, s_days = y.std(ddof=1), days.std(ddof=1)
    with pm.Model(coords={"subject": levels, "effect": ["Intercept", "Days"]}) as model:
        intercept = pm.Normal("intercept", y.mean(), 2.5 * s)
        slope = pm.Normal("slope", 0, 2.5 * s / s_days)
        sds = pm.Exponential.dist(1 / np.array([s, s / s_days]), shape=2)
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=sds, compute_corr=True)
        z = pm.Normal("z", 0, 1, dims=("subject", "effect"))
        r = pm.Deterministic("r", z @ chol.T, dims=("subject", "effect"))
        mu = intercept + (days - days.mean()) * slope + r[codes, 0] + r[codes, 1] * days
        pm.Normal("y", mu, pm.Exponential("sigma", 1 / s), observed=y)
    compiled = nutpie.compile_pymc_model(model)
    return nutpie.sample(compiled, progress_bar=False, save_warmup=False, **SAMPLING)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def importing(modules: str) -> float:
    """Median seconds of a fresh interpreter that imports the modules, the interpreter's own start taken off."""
    runs = [
        seconds(lambda: subprocess.run([sys.executable, "-c", f"import {modules}"], check=True))
        for _ in range(5)
    ]
    empty = [seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) for _ in range(5)]
    return statistics.median(runs) - statistics.median(empty)


def main(repeats: int) -> None:
    ours(), by_hand()
    pairs = [(seconds(ours), seconds(by_hand)) for _ in range(repeats)]
    mine, hand = (statistics.median(column) for column in zip(*pairs, strict=True))
    differences = statistics.median(a - b for a, b in pairs)
    print(
        f"fit sleepstudy, warm: ours {mine:.2f} s, by hand {hand:.2f} s, median difference {differences:+.2f} s"
    )
    base, own = importing("formulaic, pandas, xarray"), importing("mixedbayes")
    print(
        f"import: mixedbayes {own:.2f} s, formulaic + pandas + xarray {base:.2f} s, difference {own - base:+.2f} s"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
