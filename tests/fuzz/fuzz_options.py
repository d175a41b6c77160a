"""Options of every kind, size and sign, of fits and of what is asked of them: taken, or refused in a sentence before any work.

A longer run by hand:

    uv run python tests/fuzz/fuzz_options.py 600        # seconds, and perhaps a seed
"""

import decimal
import fractions
import inspect
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

import mixedbayes as mb
from mixedbayes.errors import MixedBayesError

N = 24
RNG = np.random.default_rng(4)
DATA = pd.DataFrame(
    {"y": RNG.normal(size=N), "x": RNG.normal(size=N), "g": np.resize(["a", "b", "c", "d"], N)}
)
SECONDS = 90
"""That a call may take at most; a fit of these data takes a tenth of one."""

VALUES: list[Any] = [
    None, True, False, np.True_, 0, 1, 2, -1, 3, 10, 10**9, 2**31, 2**63, 2**64, 10**30, -(10**30), 10**5000, 0.0, 0.5, 0.95, 1.0, 1.5, -0.5,
    1e-300, 1e300, float("inf"), float("-inf"), float("nan"), 1j, np.float32(0.5), np.int8(2), np.uint64(2**63), np.array(2),
    np.array([2]), np.array([1, 2]), np.array([]), fractions.Fraction(1, 2), decimal.Decimal("0.5"), "", "0.5", "1000", "x", "g", "all",
    "\x00", "mean", "response", "collapsed", "nuts", b"x", [], [1], [0.5, 0.9], ["x"], ["g"], (), ("x", "g"), {}, {"x": 1}, {"x": [0, 1]},
    set(), {"x"}, range(3), slice(3), object(), int, len, lambda: 3, pd.NA, pd.NaT, pd.Timestamp("2024"), pd.Series([1.0]), DATA, DATA["g"],
    DATA.iloc[:0], np.datetime64("2024"), ...,
]  # fmt: skip

FIT = ["method", "chains", "draws", "tune", "target_accept", "seed", "cores", "memory", "progress", "missing", "family", "link",
       "priors", "env", "sampler"]  # fmt: skip


with warnings.catch_warnings():
    warnings.simplefilter("ignore", mb.ConvergenceWarning)
    FITTED = mb.fit("y ~ x + (1 | g)", DATA, seed=1, chains=2, draws=50, progress=False)


def verbs() -> dict[str, list[str]]:
    """The public methods of a fit that draw no picture, with their options."""
    found = {}
    for name, method in inspect.getmembers(FITTED, inspect.ismethod):
        if name.startswith(("_", "plot", "check", "pp_")) or name in ("to_netcdf", "update"):
            continue
        found[name] = [each for each in inspect.signature(method).parameters if each != "sampling"]
    return found


OF_VERB = verbs()


def shown(options: dict[str, Any]) -> str:
    """Options in few characters."""
    return ", ".join(f"{name}={type(value).__name__} {'...' if isinstance(value, int) and abs(value) > 10**20 else repr(value)[:40]}" for name, value in options.items())  # fmt: skip


def check(rng: np.random.Generator, counts: dict[str, int]) -> None:
    """One call with one or two random options."""
    verb = "fit" if rng.random() < 0.4 else str(rng.choice(list(OF_VERB)))
    names = FIT if verb == "fit" else OF_VERB[verb]
    chosen = rng.choice(names, size=min(len(names), rng.integers(1, 3)), replace=False) if names else []
    options = {str(name): VALUES[rng.integers(len(VALUES))] for name in chosen}
    method = options.get("method")
    is_nuts = isinstance(method, str) and method == "nuts"
    if verb == "fit" and (is_nuts or {"tune", "target_accept", "sampler"} & set(options)):
        options["draws"] = -1  # Markov chains take long: it is asked only what is refused
    what = f"{verb}({shown(options)})"
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if verb == "fit":
                mb.fit("y ~ x + (1 | g)", DATA, **{"chains": 2, "draws": 50, "progress": False} | options)
            else:
                getattr(FITTED, verb)(**options)
        outcome = "taken"
    except MixedBayesError as error:
        if not 10 < len(str(error)) < 800:
            raise AssertionError(f"{what}: {error}") from error
        outcome = "refused"
    except TypeError as error:
        if "required positional argument" not in str(error) and "required keyword" not in str(error):
            raise AssertionError(f"{what}: TypeError: {error}") from error
        outcome = "not a call"
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {str(error)[:200]}") from error
    seconds = time.monotonic() - start
    assert seconds < SECONDS, f"{what}: {seconds:.0f} s"
    counts[outcome] = counts.get(outcome, 0) + 1


def run(seconds: float, seed: int) -> dict[str, int]:
    """As many calls as fit into the time."""
    counts: dict[str, int] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            check(np.random.default_rng(seed), counts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        seed += 1
    return counts


if __name__ == "__main__":
    print(run(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))  # noqa: T201
