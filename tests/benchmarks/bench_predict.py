"""Seconds and memory of predictions for a million rows by 4,000 draws.

Run: python tests/benchmarks/bench_predict.py. The target is 3 minutes and 2 GB. Each case runs in a process of its
own, for the peak of memory counts from its start.
"""

import multiprocessing
import resource
import sys
import time

import numpy as np
import pandas as pd

import mixedbayes as mb

ROWS = 1_000_000


def measure(rows: int, unseen: int) -> None:
    """Predict once and print."""
    sleep = mb.load_dataset("sleepstudy")
    fit = mb.fit("Reaction ~ Days + (Days | Subject)", sleep, seed=1)
    rng = np.random.default_rng(1)
    subjects = np.array([*sleep["Subject"].unique(), *(f"new {i}" for i in range(unseen))])
    data = pd.DataFrame({"Days": rng.uniform(0, 9, rows), "Subject": rng.choice(subjects, rows)})
    start = time.perf_counter()
    fit.predict(data, seed=1)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sys.stdout.write(f"| {rows:,} x 4,000, {unseen:,} new subjects | {seconds:.1f} | {peak:.2f} |\n")


if __name__ == "__main__":
    for rows, unseen in ((10_000, 0), (ROWS, 0), (ROWS, 10_000)):
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(rows, unseen))
        process.start()
        process.join()
