"""Exact Gaussian fits beside Bambi, lme4 and rstanarm: time, effective draws, memory; time as rows grow, and beside a busy process.

    uv run --with bambi python tests/benchmarks/bench_collapsed.py [folder]

Writes collapsed.json and collapsed.png into the folder (the present one, if none is given) and prints a table.
Every fit is in a process of its own, so that peaks of memory are its own; loading packages and reading data are
not timed, and each fit is timed after an uncounted one of another small model, so that nothing is compiled or
imported in the time that counts (rstanarm compiles nothing; Bambi's compiling is part of each of its fits).
Peers that are not installed (`pip install bambi`; Debian's r-cran-lme4, r-cran-rstanarm) are left out with a note.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import pandas as pd

ROWS, LEVELS = 1_000_000, 100_000
GROWTH = (10_000, 100_000, 1_000_000, 10_000_000)
SLEEP = "Reaction ~ Days + (Days | Subject)"
MACHINES = "score ~ Machine + (Machine | Worker)"
PASTES = "strength ~ 1 + (1 | batch/cask)"
INSTEVAL = "y ~ service + (1 | s) + (1 | d) + (1 | dept)"
MILLION = "y ~ x + (1 + x | g)"

OURS = """
import json, resource, sys, time, warnings
import numpy as np, pandas as pd
import mixedbayes as mb
from mixedbayes.results.posterior.summary import diagnose
warnings.simplefilter("ignore")
formula, path, factors, repeats = sys.argv[1], sys.argv[2], sys.argv[3].split(","), int(sys.argv[4])
data = pd.read_parquet(path)
mb.fit("Yield ~ 1 + (1 | Batch)", mb.load_dataset("dyestuff"), seed=1)
seconds = []
for seed in range(repeats):
    start = time.perf_counter()
    fit = mb.fit(formula, data, seed=seed)
    seconds.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
groups = [fit.posterior] + [fit.idata[name].to_dataset() for name in ("group_effects",) if name in fit.idata.children]
ess = np.inf
for group in groups:
    for values in group.data_vars.values():
        draws = values.transpose("chain", "draw", ...).to_numpy().astype(float)
        draws = draws.reshape(*draws.shape[:2], -1)
        draws = draws[..., :: max(1, draws.shape[-1] // 5000)]
        ess = min(ess, np.nanmin(diagnose(draws)[:, 1]))
print(json.dumps({"seconds": float(np.median(seconds)), "ess": float(ess), "gigabytes": peak,
                  "draws": int(fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"])}))
"""

GROW = """
import json, sys, time, warnings
import numpy as np, pandas as pd
import mixedbayes as mb
from mixedbayes.inference.gaussian.sample import collapse, sample_exactly
from mixedbayes.inference.options import Options
warnings.simplefilter("ignore")
rng = np.random.default_rng(1)
n, L = int(sys.argv[1]), 100
sample_exactly(collapse(mb.model("Yield ~ 1 + (1 | Batch)", mb.load_dataset("dyestuff")).spec), Options(seed=1))
g, x = rng.integers(0, L, n), rng.normal(size=n)
u = rng.normal(size=(L, 2))
data = pd.DataFrame({"g": g, "x": x, "y": 1 + x + u[g, 0] + u[g, 1] * x + rng.normal(size=n)})
times = [time.perf_counter()]
spec = mb.model("y ~ x + (1 + x | g)", data).spec
times.append(time.perf_counter())
density = collapse(spec)
times.append(time.perf_counter())
sampling = []
for seed in range(5):
    start = time.perf_counter()
    sample_exactly(density, Options(seed=seed))
    sampling.append(time.perf_counter() - start)
print(json.dumps(dict(zip(("design", "moments", "sampling"), [*np.diff(times).tolist(), float(np.median(sampling))]))))
"""

BAMBI = """
import json, logging, resource, sys, time, warnings
import arviz as az, bambi, numpy as np, pandas as pd
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
data = pd.read_parquet(sys.argv[2])
def fit(seed):
    model = bambi.Model("Reaction ~ Days + (Days | Subject)", data)
    return model.fit(draws=1000, tune=1000, chains=4, cores=2, random_seed=seed, progressbar=False)
fit(0)
start = time.perf_counter()
idata = fit(1)
seconds = time.perf_counter() - start
posterior = idata["posterior"].to_dataset()
ess = min(float(az.ess(posterior[name]).min() if hasattr(az.ess(posterior[name]), "min") else 0) for name in posterior.data_vars)
print(json.dumps({"seconds": seconds, "ess": ess, "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "draws": 4000}))
"""

PEAK = 'peak <- as.numeric(sub("\\\\D*(\\\\d+).*", "\\\\1", grep("VmHWM", readLines("/proc/self/status"), value = TRUE))) / 1e6\n'

LME4 = (
    """
suppressMessages(library(lme4))
a <- commandArgs(TRUE)
d <- read.csv(a[2])
for (k in strsplit(a[3], ",")[[1]]) d[[k]] <- factor(d[[k]])
invisible(lmer(Yield ~ 1 + (1 | Batch), Dyestuff))
s <- system.time(m <- suppressWarnings(lmer(as.formula(a[1]), d)))[["elapsed"]]
"""
    + PEAK
    + 'cat(sprintf(\'{"seconds": %f, "gigabytes": %f, "ess": null, "draws": null}\\n\', s, peak))\n'
)

RSTANARM = (
    """
suppressMessages(library(rstanarm))
options(mc.cores = 2)
a <- commandArgs(TRUE)
d <- read.csv(a[2])
for (k in strsplit(a[3], ",")[[1]]) d[[k]] <- factor(d[[k]])
s <- system.time(m <- stan_lmer(as.formula(a[1]), d, chains = 4, iter = 2000, seed = 1, refresh = 0))[["elapsed"]]
e <- summary(m)[, "n_eff"]
"""
    + PEAK
    + 'cat(sprintf(\'{"seconds": %f, "gigabytes": %f, "ess": %f, "draws": 4000}\\n\', s, peak, min(e[names(e) != "log-posterior"])))\n'
)


def run(code: str, *arguments: str, r: bool = False) -> dict[str, float]:
    """What a script prints last, in a process of its own."""
    command = ["Rscript", "-e", code] if r else [sys.executable, "-c", code]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def has_r(package: str) -> bool:
    test = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
    return (
        which("Rscript") is not None and subprocess.run(["Rscript", "-e", test], check=False).returncode == 0
    )


def tables(folder: Path) -> dict[str, str]:
    """Write the data for every language."""
    import mixedbayes as mb  # here, that the processes measured do not have it from this one

    rng = np.random.default_rng(1)
    g, x = rng.integers(0, LEVELS, ROWS), rng.normal(size=ROWS)
    u = rng.normal(size=(LEVELS, 2)) @ np.array([[1, 0.3], [0, 0.5]])
    y = 1 + 0.5 * x + u[g, 0] + u[g, 1] * x + rng.normal(size=ROWS)
    data = {
        "sleepstudy": mb.load_dataset("sleepstudy"),
        "machines": mb.load_dataset("machines"),
        "pastes": mb.load_dataset("pastes"),
        "insteval": mb.load_dataset("insteval"),
        "million": pd.DataFrame({"g": g, "x": x, "y": y}),
    }
    for name, table in data.items():
        table.to_parquet(folder / f"{name}.parquet")
        table.to_csv(folder / f"{name}.csv", index=False)
    return {name: str(folder / name) for name in data}


def compare(paths: dict[str, str]) -> list[dict[str, object]]:
    """Every program on every problem that it is compared on, one after the other."""
    cases = [
        ("sleepstudy", SLEEP, "Subject", 9, ("bambi", "lme4", "rstanarm")),
        ("insteval", INSTEVAL, "s,d,dept,service", 1, ("lme4",)),
        ("million", MILLION, "g", 1, ("lme4",)),
    ]
    rows = []
    for name, formula, factors, repeats, peers in cases:
        path = paths[name]
        rows.append(
            {"data": name, "program": "mixedbayes"}
            | run(OURS, formula, f"{path}.parquet", factors, str(repeats))
        )
        print(rows[-1], flush=True)
        for peer in peers:
            if peer == "bambi" and find_spec("bambi"):
                found = run(BAMBI, formula, f"{path}.parquet")
            elif peer != "bambi" and has_r(peer):
                found = run(
                    {"lme4": LME4, "rstanarm": RSTANARM}[peer], formula, f"{path}.csv", factors, r=True
                )
            else:
                print(f"{peer} is not installed, and left out")
                continue
            rows.append({"data": name, "program": peer} | found)
            print(rows[-1], flush=True)
    return rows


@contextmanager
def busy() -> Iterator[None]:
    """One process beside that computes all the time."""
    beside = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        beside.kill()
        beside.wait()


def loads(paths: dict[str, str]) -> list[dict[str, object]]:
    """Ours alone, on idle processors and beside a busy process."""
    cases = [
        ("sleepstudy", SLEEP, 9),
        ("machines", MACHINES, 9),
        ("pastes", PASTES, 9),
        ("insteval", INSTEVAL, 1),
    ]
    rows: list[dict[str, object]] = []
    for name, formula, repeats in cases:
        idle = run(OURS, formula, f"{paths[name]}.parquet", "", str(repeats))["seconds"]
        with busy():
            beside = run(OURS, formula, f"{paths[name]}.parquet", "", str(repeats))["seconds"]
        rows.append({"data": name, "idle": idle, "busy": beside})
        print(f"{name:<12}{idle:>9.2f} s idle{beside:>9.2f} s beside a busy process", flush=True)
    return rows


def printed(rows: list[dict[str, object]]) -> str:
    """The comparison as a table of text."""
    lines = [f"{'data':<12}{'program':<12}{'seconds':>9}{'ratio':>8}{'min ESS':>9}{'ESS/s':>9}{'GB':>6}"]
    ours = {row["data"]: row["seconds"] for row in rows if row["program"] == "mixedbayes"}
    for row in rows:
        seconds, ess = float(row["seconds"]), row["ess"]
        speed = "" if ess is None else f"{float(ess) / seconds:,.0f}"
        lines.append(
            f"{row['data']:<12}{row['program']:<12}{seconds:>9.2f}{seconds / ours[row['data']]:>8.2f}"
            f"{'' if ess is None else format(float(ess), ',.0f'):>9}{speed:>9}{float(row['gigabytes']):>6.2f}"
        )
    return "\n".join(lines)


def draw(growth: dict[int, dict[str, float]], path: Path) -> None:
    """Time against the number of rows."""
    import matplotlib.pyplot as plt  # a heavy door

    figure, axis = plt.subplots(figsize=(6, 3.6))
    for part, color in (("design", "0.7"), ("moments", "#d98c3f"), ("sampling", "#3b6ea8")):
        times = [growth[n][part] for n in growth]
        axis.loglog(list(growth), times, marker="o", color=color, linewidth=2)
        axis.annotate(f" {part}", (list(growth)[-1], times[-1]), color=color, va="center")
    axis.set(xlabel="rows (100 levels)", ylabel="seconds", title="y ~ x + (1 + x | g)")
    axis.set_xlim(right=6e7)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        paths = tables(Path(temporary))
        beside = loads(paths)
        rows = compare(paths)
    growth = {n: run(GROW, str(n)) for n in GROWTH}
    for n, times in growth.items():
        print(f"{n:>12,} rows: " + ", ".join(f"{part} {value:.2f} s" for part, value in times.items()))
    (folder / "collapsed.json").write_text(
        json.dumps({"loads": beside, "fits": rows, "growth": growth}, indent=1)
    )
    draw(growth, folder / "collapsed.png")
    print(printed(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd())
