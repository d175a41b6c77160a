"""Options of every kind, size and sign, of all that is public: taken, or refused in a sentence before any work.

Functions, fits of each family and what is asked of them one after another, the estimator of scikit-learn, and the
command line with its files. Markov chains are not run: a call that would begin them ends there. A longer run by hand:

    uv run python tests/fuzz/fuzz_options.py 600        # seconds, and perhaps a seed
"""

import decimal
import fractions
import gzip
import inspect
import os
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import fuzzing
import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzzing import Odd
from synthetic import synthetic_draws

import mixedbayes as mb
from mixedbayes import cli
from mixedbayes.errors import ArgumentError, MixedBayesError
from mixedbayes.inference.engine import Engine
from mixedbayes.inference.nuts import graph
from mixedbayes.inference.options import Options
from mixedbayes.results.fit import Fit

N = 24
RNG = np.random.default_rng(4)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "g": np.resize(["a", "b", "c", "d"], N),
        "f": np.resize(["u", "v", "w"], N),
        "h": pd.Categorical(np.resize([1, 2], N)),
        "d": np.resize(pd.date_range("2024", periods=4).to_numpy(), N),
        "k": np.resize([0, 1, 2, 3, 5], N),
        "n": np.full(N, 6),
        "r": np.resize([True, False, False], N),
        "z": np.resize([1.5, np.nan, 2.0, 3.0, 7.5], N),
    }
)
SECONDS = 20
"""Of a processor that a call may take at most; a fit of these data takes a tenth of one."""

MEMORY = 2**33
"""Bytes of addresses that calls may take beside what is taken at the start."""


VALUES: list[Any] = [
    None, True, False, np.True_, 0, 1, 2, -1, 3, 10, 10**9, 2**31, 2**63, 2**64, 10**30, -(10**30), 10**5000, 0.0, 0.5, 0.95, 1.0, 1.5, -0.5,
    1e-300, 1e300, float("inf"), float("-inf"), float("nan"), 1j, np.float32(0.5), np.int8(2), np.uint64(2**63), np.array(2),
    np.array([2]), np.array([1, 2]), np.array([]), np.zeros((N, 2)), np.ma.masked, fractions.Fraction(1, 2), fractions.Fraction(1, 10**400),
    decimal.Decimal("0.5"), decimal.Decimal("NaN"), decimal.Decimal("sNaN"), decimal.Decimal("1e999999"), "", " ", "0.5", "1000", "x", "g",
    "all", "\x00", "\ud83d", "x" * 300, "mean", "response", "collapsed", "nuts", "normal(0, 1)", "%s{0}", b"x", [], [1], [0.5, 0.9], ["x"],
    ["g"], (), ("x", "g"), [None], [["x"]], [["x", "g"]], {}, {"x": 1}, {"x": [0, 1]}, {1: 2}, {"x": None}, {"x": {}}, set(), {"x"}, range(3),
    range(10**12), slice(3), object(), int, len, lambda: 3, lambda *_: None, pd.NA, pd.NaT, pd.Timestamp("2024"), pd.Timedelta(1),
    pd.Series([1.0]), pd.Series(["x"]), pd.Index(["x"]), DATA, DATA["g"], DATA["x"], DATA.iloc[:0], DATA.to_numpy(), pl.DataFrame({"x": [1.0]}),
    np.datetime64("2024"), np.str_("x"), Path("x"), ..., NotImplemented, Odd(), [Odd()], {"x": Odd()}, ValueError("x"),
]  # fmt: skip

FORMULAS = [
    "y ~ x + (1 | g)", "y ~ x", "y ~ 1", "y ~ 0 + f", "y ~ poly(x, 2) + (x | g)", "k ~ x + (1 | g)", "r ~ x * f + (1 | g)", "k | trials(n) ~ h",
    "y ~ z + (1 | d)", "y ~ (1 | g/f)", "y ~ . + (1 | g)", "f ~ x", "log(k) ~ x", "x ~ y", "y ~ x +", "~ x", "y", "y ~ x | g", "y ~ (x + f || g)",
    "y ~ bs(x, df=10000000)", "y ~ poly(x, 1e9)", "y ~ I(x ** 1e9)", "y ~ I(10 ** 10 ** 10)", "y ~ (x + f + g + h + k + n + z)^20",
    "y ~ " + "(" * 60 + "x" + ")" * 60, "y ~ " + " + ".join(["x"] * 3000), "y ~ " + "-" * 3000 + "x", "y ~ `" + "x" * 300 + "`",
    "y ~ cube(x)", "y ~ q", "y ~ x.__class__", "y ~ 'x'", "y ~ offset(x) + offset(k)", "y ~ 1 + 1e400", "y ~ x\x00", "y ∼ x − 1",
    "cbind(k, n) ~ x + (1 | g)", "k | trials(x) ~ 1", "y ~ C(f, levels=['u'])", "y ~ C(f, contr.poly)", "y ~ scale(x):f + (1 | f:g:h)",
]  # fmt: skip

CHANGES = [
    "~ .",
    "~ . - x",
    "~ . + z",
    "log(.) ~ .",
    ". ~ 1",
    "~ . + (1 | f)",
    "~ . - (1 | g)",
    "k ~ .",
    "r ~ .",
    "~ q",
    "~ . ^ 5",
    "~",
    ".",
]

TABLES: list[Any] = [
    DATA, DATA.iloc[:3], DATA.iloc[[0]], DATA.iloc[:0], DATA[["x"]], DATA.drop(columns="g"), DATA.assign(g="new"), DATA.assign(g=1), DATA.assign(g=None),
    DATA.assign(x="a"), DATA.assign(x=np.inf), DATA.assign(x=1e308), DATA.assign(x=None), DATA.assign(f="new"), DATA.assign(h=[3] * N),
    DATA.assign(h=DATA["h"].astype(int)), DATA.assign(d="2024-01-01"), DATA.assign(y=None), DATA.assign(y=1), DATA.assign(k=-1), DATA.assign(k=0.5),
    DATA.assign(n=0), DATA.set_axis(pd.period_range("2024", periods=N)), DATA.set_axis(["row"] * N), DATA.to_dict("list"), DATA.to_dict("records"),
    pl.DataFrame(DATA.drop(columns="h").to_dict("list")), {"x": 1}, {"x": [1, 2], "g": ["a"]}, {}, [], "sleepstudy", DATA.sample(frac=1, random_state=1),
    pd.concat([DATA, DATA], axis=1), DATA.rename(columns={"x": 1}),
]  # fmt: skip

PRIORS = [{"b": "normal(0, 1)"}, {"b[x]": "normal(0, 1)"}, {"sd": "exponential(1)"}, {"sd[g]": "half_normal(1)"}, {"cor[g]": "lkj(2)"},
          {"b[x]": "normal(0, 0)"}, {"b[x]": "normal(1e308, 1e308)"}, {"sigma": "normal(0, 1)"}, {"b[q]": "flat"}, {"Intercept": "flat"},
          {"b[x]": "normal(0)"}, {"b[x]": "normal(0, 1"}, {"b[x]": "normal(0, " + "9" * 5000 + ")"}, {"b[x]": "normal(nan, 1)"},
          {"": "flat"}, {"b[x]": "student_t(3, 0, 2.5)"}, {"sd[g]": "student_t(0, 0, 1)"}, {"b[x]": "1"}]  # fmt: skip

PLAUSIBLE: dict[str, list[Any]] = {
    "formula": [*FORMULAS[:3], *FORMULAS],
    "change": CHANGES,
    "data": [DATA, DATA, DATA, *TABLES],
    "newdata": TABLES,
    "new_rows": TABLES,
    "cells": [DATA, *TABLES],
    "X": [DATA, DATA, *TABLES],
    "family": ["gaussian", "bernoulli", "binomial", "poisson", "normal", "Gamma", "student"],
    "link": ["identity", "log", "logit", "probit", "cloglog"],
    "priors": PRIORS,
    "env": [{"cube": lambda x: x**3}, {"cube": lambda x: x / 0}, {"cube": lambda x: None}, {"cube": lambda x: [1]}, {"cube": 3}, {"x": len}],
    "missing": ["drop", "error"],
    "method": ["auto", "collapsed", "nuts"],
    "sampler": ["nutpie", "pymc", "numpyro", "blackjax"],
    "chains": [1, 2, 3, 10_001],
    "draws": [1, 2, 20, 2**27],
    "tune": [1, 20],
    "target_accept": [0.5, 0.999],
    "seed": [0, 1, 2**64 - 1],
    "cores": [1, 2],
    "memory": [1e-9, 0.5, 1e9],
    "progress": [False],
    "x": ["x", "f", "g", "h", "d", "k", "n", "y", "z", "Intercept"],
    "by": ["f", "g", "h", "x", ["x", "f"], ["f", "g"], ["f", "f"], "y", "d"],
    "at": [{"x": 1}, {"x": [0, 1]}, {"f": "u"}, {"f": ["u", "v"]}, {"f": "new"}, {"g": "a"}, {"g": ["a", "new"]}, {"x": "a"}, {"x": 1e308},
           {"x": np.inf}, {"x": []}, {"x": range(10**12)}, {"y": 1}, {"n": 3}, {"n": -1}, {"h": 1}, {"h": "1"}, {"d": "2024-01-02"}, {"x": DATA["x"]},
           {"x": [[0]]}, {"x": np.zeros((2, 2))}, {"x": 10**400}, {"k": 2**63}, {"x": True}],
    "over": ["reference", "data"],
    "kind": ["mean", "linear", "response", "pearson", "quantile", "density", "stat", "grouped", "rootogram", "calibration"],
    "groups": ["all", "auto", "g", ["g"], ["g", "f"], [], "f", DATA["g"], DATA["f"].tolist(), ["g:f"], [DATA["g"]]],
    "new_levels": ["sample", "population", "error"],
    "conf_level": [0.5, 0.95, 1e-12, 1 - 1e-12],
    "pairs": [[("v", "u")], [("u", "u")], [("u", "new")], [(0, 1)], [(1,)], ("v", "u"), [["v", "u"]], [(None, "u")], [(1e308, -1e308)]],
    "compare": ["difference", "ratio"],
    "hypotheses": ["x > 0", "x > 5", ["x > 0", "x < 0"], "sigma > 1", "sd[g] > 0.2", "sd[g, Intercept] / sigma > 1", "coef[g, a, Intercept] > 0",
                   "(x > 0) & ~(x < 1)", "x", "x > ", "q > 0", "x / 0 > 1", "exp(x * 1e10) > 1", "x ** 1e9 > 1", "log(-x) > 0", "-" * 5000 + "x > 0",
                   "(" * 500 + "x" + ")" * 500 + " > 0", "9" * 5000 + " > x", "x > 0 > 1", "__import__('os')", "f[T.v] > 0", "x == 0", "b[x] > 0",
                   " + ".join(["x"] * 3000) + " > 0", "x > 1e400", "max(x, 1) > min(1, x)", "max() > 0", "(x > 0) * 2 > 1"],
    "weight": ["n", "k", "x", "y", "g", "q"],
    "n": [1, 2, 5, 1000, 10**12],
    "k": [2, 3, N, N + 1],
    "stat": ["mean", "sd", "min", "max", "median", np.mean, len, lambda y: None, lambda y: y, lambda y: y / 0, ["mean", np.median]],
    "max_levels": [1, 4],
    "effects": ["fixed", "ran_pars", "ran_vals", ["fixed", "ran_vals"], []],
    "robust": [True, False],
    "reloo": [True, False],
    "fits": [],
    "path": ["fit.nc", "no/fit.nc", ".", "fit\x00.nc", "x" * 300, "/dev/null", "/dev/full", Path("other.nc"), "data.csv"],
    "overwrite": [True, False],
    "name": ["sleepstudy", "Sleepstudy", "sleep", "../x", "x" * 300],
    "text": ["normal(0, 1)", "lkj(2)", "flat", "half_normal(1)", "normal(0)", "normal(a, b)", "normal(0, -1)", "normal(1e400, 1)", "f(" * 1000,
             "normal(0, 1) + 1", "exponential(0)", "student_t(-1, 0, 1)", "normal(mu=0, sigma=1)", "normal(0, sd=1)"],
    "random_state": [0, 1, np.random.RandomState(1), np.random.default_rng(1), -1],
    "y": [DATA["y"], DATA["y"].to_numpy(), DATA["r"], DATA["f"], DATA["k"], DATA["y"].tolist(), DATA["y"].to_frame(), [1], DATA[["x", "y"]], pl.Series([1.0] * N)],
    "sample_weight": [np.ones(N), np.zeros(N), -np.ones(N), [1], np.full(N, np.nan)],
}  # fmt: skip
"""Values that mean something, or nearly, by the name of the option."""


def stop(*_: Any, **__: Any) -> Any:
    """In place of the model for Markov chains, which take long to compile and to run."""
    raise ArgumentError("Here Markov chains would begin.")


def value(rng: np.random.Generator, name: str) -> Any:
    """Something to pass as an option."""
    plausible = PLAUSIBLE.get(name, [])
    if plausible and rng.random() < 0.6:
        return plausible[rng.integers(len(plausible))]
    plain = VALUES[rng.integers(len(VALUES))]
    match rng.integers(12):
        case 0:
            return [plain, VALUES[rng.integers(len(VALUES))]]
        case 1:
            return {("x", "g", "b[x]", 1)[rng.integers(4)]: plain}
    return plain


@cache
def fits() -> dict[str, Fit]:
    """A fit of each kind: one in closed form, the others of draws that are noise."""
    engine = Engine(Options(chains=2, draws=20, progress=False))

    def made(formula: str, family: str = "gaussian", data: Any = DATA, **options: Any) -> Fit:
        spec = mb.model(formula, data, family, **options).spec
        return Fit(spec, synthetic_draws(spec, 2, 20, 1), engine)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "exact": mb.fit("y ~ x + (1 | g)", DATA, seed=1, chains=2, draws=50, progress=False),
            "slopes": made("y ~ x * f + (x | g)", priors={"b[x]": "normal(0, 1)"}),
            "binary": made("r ~ x + f + (1 | g) + (1 | d)", "bernoulli"),
            "counts": made("k ~ log(x + 9) + h + (1 | g/f)", "poisson"),
            "trials": made("k | trials(n) ~ x + offset(x) + (1 | h)", "binomial"),
            "no groups": made("y ~ poly(x, 2) + C(f, contr.sum)"),
            "gaps": made(
                "y ~ z + (0 + f | g)", data=DATA.set_axis(pd.period_range("2024", periods=N), axis=0)
            ),
        }
        PLAUSIBLE["fits"] = [
            {"a": found["exact"], "b": found["exact"]}, {"a": found["exact"], "b": found["slopes"]}, {"a": found["exact"]}, list(found.values()),
            {"a": found["exact"], "b": found["gaps"]}, {"a": found["exact"].loo(), "b": found["exact"].waic()}, {1: found["exact"], "1": found["slopes"]},
            found,
        ]  # fmt: skip
    return found


FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(mb, name) for name in ("fit", "model", "design", "load", "compare", "prior", "load_dataset", "list_datasets")
}  # fmt: skip

RARE = {"pp_check": 0.1, "kfold": 0.3, "compare": 0.3}
"""Calls that take long, and how often one that was chosen is made."""


def parameters(name: str, call: Callable[..., Any]) -> list[str]:
    """The options of a call; those of sampling by their names."""
    found = [
        each for each in inspect.signature(call).parameters if each not in ("self", "sampling", "unknown")
    ]
    if name in ("fit", "update"):
        found += [option for option in inspect.signature(mb.Model.fit).parameters if option not in ("self", "unknown", *found)]  # fmt: skip
    return found


def options_of(rng: np.random.Generator, name: str, call: Callable[..., Any]) -> dict[str, Any]:
    """Some options; those without which there is no call nearly always."""
    names = parameters(name, call)
    needed = [
        each for each, parameter in inspect.signature(call).parameters.items()
        if parameter.default is parameter.empty and each in names and parameter.kind is not parameter.VAR_KEYWORD
    ]  # fmt: skip
    chosen = (
        rng.choice(names, size=min(len(names), rng.integers(1, 4)), replace=False).tolist() if names else []
    )
    chosen += [each for each in needed if each not in chosen and rng.random() < 0.95]
    found = {}
    for each in chosen:
        is_change = name == "update" and each == "formula"
        found[each] = value(rng, "change" if is_change else each)
        if each in ("formula", "data") and not is_change and rng.random() < 0.5:
            found[each] = {"formula": FORMULAS[0], "data": DATA}[each]
    return found


def shown(options: dict[str, Any]) -> str:
    """Options in few characters."""
    return ", ".join(f"{name}={_shown(each)}" for name, each in options.items())


def _shown(each: Any) -> str:
    try:
        number = isinstance(each, int) and abs(each) > 10**20
        return f"{type(each).__name__} {'...' if number else repr(each)[:60]}"
    except Exception:  # noqa: BLE001  # some have no text, or one of too many digits
        return type(each).__name__


def attempt(what: str, call: Callable[[], Any]) -> tuple[str, Any]:
    """What became of a call, and its result."""
    start, result = time.process_time(), None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call()
        outcome = "taken"
    except MixedBayesError as error:
        message = str(error)
        if not 10 < len(message) < 1200:
            raise AssertionError(f"{what}: {len(message)} characters: {message[:300]}") from error
        outcome = "began to sample" if message.startswith("Here Markov") else "refused"
    except TypeError as error:
        if "required positional argument" not in str(error) and "required keyword" not in str(error):
            raise AssertionError(f"{what}: TypeError: {error}") from error
        outcome = "not a call"
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {str(error)[:300]}") from error
    seconds = time.process_time() - start
    assert seconds < SECONDS, f"{what}: {seconds:.0f} s"
    return outcome, result


def check(rng: np.random.Generator, counts: Counter[str]) -> None:
    """One call with random options, or several of a fit one after another; an estimator; or a command line."""
    PLAUSIBLE["random_state"][2] = np.random.RandomState(1)  # as it was, whatever was drawn from it
    graph.build = stop
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            chance = rng.random()
            if chance < 0.35:
                check_function(rng, counts)
            elif chance < 0.75:
                check_fit(rng, counts)
            elif chance < 0.87:
                check_estimator(rng, counts)
            else:
                check_command(rng, counts)
        finally:
            os.chdir(home)


def check_function(rng: np.random.Generator, counts: Counter[str]) -> None:
    """A public function."""
    fits()
    names = [*FUNCTIONS, "fit", "fit", "fit", "fit", "model"]
    name = names[rng.integers(len(names))]
    if rng.random() > RARE.get(name, 1):
        return
    call = FUNCTIONS[name]
    options = options_of(rng, name, call)
    small = {"chains": 2, "draws": 20, "progress": False} if name == "fit" else {}
    outcome, result = attempt(f"{name}({shown(options)})", lambda: call(**small | options))
    if outcome == "taken" and name in ("fit", "model", "design"):
        attempt(f"str({name}({shown(options)}))", lambda: str(result))
    counts[f"function {outcome}"] += 1


def check_fit(rng: np.random.Generator, counts: Counter[str]) -> None:
    """Verbs of a fit, or of what its verbs return, one after another."""
    kinds = list(fits())
    kind = kinds[rng.integers(len(kinds))]
    fit, story = fits()[kind], kind
    for _ in range(rng.integers(1, 4)):
        verbs = [name for name, _ in inspect.getmembers(fit, inspect.ismethod) if not name.startswith("_")]
        name = verbs[rng.integers(len(verbs))]
        if rng.random() > RARE.get(name, 1):
            continue
        verb = getattr(fit, name)
        options = options_of(rng, name, verb)
        story = f"{story}.{name}({shown(options)})"
        small = {"chains": 2, "draws": 20, "progress": False} if name == "update" else {}
        outcome, result = attempt(story, lambda verb=verb, options=small | options: verb(**options))
        counts[f"fit {outcome}"] += 1
        if name == "pp_check" and outcome == "taken":
            import matplotlib.pyplot as plt

            plt.close("all")
        if name == "to_netcdf" and outcome == "taken":
            _, result = attempt(f"load of {story}", lambda options=options: mb.load(options["path"]))
            assert isinstance(result, Fit), f"{story}: it cannot be read again"
        if isinstance(result, Fit):
            fit = result


def check_estimator(rng: np.random.Generator, counts: Counter[str]) -> None:
    """The estimator of scikit-learn, whose own complaints are ValueErrors and TypeErrors."""
    from sklearn.base import clone

    model = mb.sklearn.MixedModel
    options = options_of(rng, "estimator", model)
    fitting = {"X": DATA, "y": None} | options_of(rng, "", model().fit)
    asking = {"X": value(rng, "X"), "y": value(rng, "y"), "sample_weight": value(rng, "sample_weight")}
    what = f"MixedModel({shown(options)}).fit({shown(fitting)}).score({shown(asking)})"

    def story() -> Any:
        estimator = (
            clone(model(**{"chains": 2, "draws": 20} | options)) if rng.random() < 0.5 else model(**options)
        )
        estimator.set_params(chains=2, draws=20) if rng.random() < 0.5 else None
        try:
            estimator.fit(**fitting)
            estimator.predict(asking["X"])
            return estimator.score(**asking)
        except MixedBayesError:
            raise
        except Exception as error:
            files = [frame.filename for frame in inspect.getinnerframes(error.__traceback__)]
            ours = max(i for i, file in enumerate(files) if Path(mb.__file__).parent in Path(file).parents)
            if not any("sklearn" in Path(file).parts for file in files[ours + 1 :]):
                raise RuntimeError(f"{type(error).__name__}: {error}") from error
            raise ArgumentError(f"scikit-learn refuses: {str(error)[:300]}") from error

    outcome, _ = attempt(what, story)
    counts[f"estimator {outcome}"] += 1


CELLS = [
    "1",
    "2.5",
    "-3",
    "a",
    "b",
    "",
    "NA",
    "1,5",
    "1e400",
    "inf",
    '"',
    '"a, b"',
    "é",
    "\x00",
    " ",
    "2024-01-01",
    "True",
    "9" * 400,
    "a" * 10_000,
]


def table_text(rng: np.random.Generator, name: str) -> bytes:
    """A file that is nearly a table, and nearly of the kind that its name says."""
    if rng.random() < 0.2:
        name = FILES[rng.integers(len(FILES))]
    separator = "\t" if ".tsv" in name else ","
    if rng.random() < 0.2:
        separator = ["\t", ";", "|", " "][rng.integers(4)]
    header = [
        ["y", "x", "g"],
        ["y", "x", "x"],
        ["y", "x"],
        [],
        ["", "", ""],
        ["1", "2", "3"],
        ["ÿ", "x", "g"],
    ]
    names = header[0 if rng.random() < 0.7 else rng.integers(len(header))]
    rows = [names]
    for _ in range(rng.integers(0, 30)):
        row = [f"{rng.normal():.3f}", f"{rng.normal():.3f}", "abc"[rng.integers(3)]]
        if rng.random() < 0.1:
            row[rng.integers(3)] = CELLS[rng.integers(len(CELLS))]
        if rng.random() < 0.03:
            row = row * 2 if rng.random() < 0.5 else row[:1]
        rows.append(row)
    text = ["\n", "\n", "\r\n", "\r"][rng.integers(4)].join(separator.join(row) for row in rows)
    encodings = ["utf-8-sig", "utf-16", "utf-16-be", "latin-1", "utf-32"]
    content = text.encode("utf-8" if rng.random() < 0.7 else encodings[rng.integers(5)], "replace")
    if ".gz" in name:
        content = gzip.compress(content)
    if "parquet" in name or "feather" in name:
        file, frame = BytesIO(), DATA.drop(columns="h") if rng.random() < 0.8 else DATA
        frame.to_parquet(file) if "parquet" in name else frame.to_feather(file)
        content = file.getvalue()
    if rng.random() < 0.15 and content:
        changed = bytearray(content)
        at = int(rng.integers(len(changed)))
        changed[at : at + 5] = rng.bytes(int(rng.integers(6)))
        content = bytes(changed[: rng.integers(len(changed) + 1)]) if rng.random() < 0.5 else bytes(changed)
    return content


FILES = [
    "data.csv",
    "data.csv",
    "data.CSV",
    "data.tsv",
    "data.csv.gz",
    "data.tsv.gz",
    "data.parquet",
    "data.feather",
    "-",
    "-",
    "data.txt",
]
TEXTS = ["", "1", "2", "-1", "0", "0.5", "1e400", "nan", "9" * 300, "x", "é", "b=normal(0, 1)", "b[x]=normal(0, 1)", "b", "=", "sd[g]=exponential(1)",
         "gaussian", "poisson", "drop", "nuts", "collapsed", "auto", "identity", "csv", "json", "table", "fit.nc", "data.csv", ".", "no/fit.nc", "--", "-",
         "nutpie", "\udcff", "%s"]  # fmt: skip


MEANT = {name: PLAUSIBLE[name] for name in ("family", "link", "missing", "method", "chains", "draws", "sampler", "tune", "target_accept", "memory", "seed", "cores")} | {
    "conf_level": ["0.5", "0.999"], "output": ["fit.nc", "data.csv", ".", "no/fit.nc"], "shape": ["table", "csv", "json"],
    "priors": ["b=normal(0, 1)", "b[x]=normal(0, 1)", "sd[g]=exponential(1)", "b[q]=flat"],
}  # fmt: skip
"""Texts that an option may be meant to have, by its name."""


def check_command(rng: np.random.Generator, counts: Counter[str]) -> None:
    """The command line: exit status 0, or 2 and a line that says why."""
    name = FILES[rng.integers(len(FILES))]
    content = table_text(rng, name)
    if name != "-":
        Path(name).write_bytes(content)
    elif rng.random() < 0.3:
        name = ["sleepstudy", "sleep", "", ".", "/dev/null", "no.csv", "x" * 300 + ".csv", "\ufffd.csv"][
            rng.integers(8)
        ]
    formula = "y ~ x + (1 | g)" if rng.random() < 0.6 else FORMULAS[rng.integers(len(FORMULAS))]
    given = ["fit", formula, name, "--chains", "2", "--draws", "20"]
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        parameter = cli.fit_command.params[rng.integers(len(cli.fit_command.params))]
        given.append(parameter.opts[0])
        if not getattr(parameter, "is_flag", False):
            meant = MEANT.get(parameter.name, [])
            given.append(
                str(meant[rng.integers(len(meant))])
                if meant and rng.random() < 0.7
                else TEXTS[rng.integers(len(TEXTS))]
            )
    if rng.random() < 0.1:
        given = [given[i] for i in rng.permutation(len(given))][: rng.integers(len(given) + 1)]
    what = f"{[each[:100] for each in given]} of {content[:300]!r}"
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(cli.main, given, input=content)
    seconds = time.process_time() - start
    said = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    failed = result.exception is not None and not isinstance(result.exception, SystemExit)
    assert not failed, f"{what}: {result.exception!r}"
    assert result.exit_code in (0, 2), f"{what}: {result.exit_code} {result.stderr}"
    is_usage = result.stdout.startswith("Usage") or result.stderr.startswith("Usage")
    if result.exit_code == 2 and not is_usage:
        assert len(said) == 1, f"{what}: {result.stderr}"
        assert said[0].startswith("mixedbayes: "), f"{what}: {result.stderr}"
        assert 20 < len(said[0]) < 1500 + len("".join(given)), f"{what}: {said[0][:1000]}"
    assert seconds < SECONDS, f"{what}: {seconds:.0f} s"
    counts[f"command {'refused' if result.exit_code else 'taken'}"] += 1


if __name__ == "__main__":
    mpl.use("Agg")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))
    fuzzing.main(check)
