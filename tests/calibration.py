"""Simulation-based calibration: data sets drawn from the priors of a model, and the ranks of what made them.

    python tests/calibration.py docs/calibration.png

Source: Talts et al. (2018), Validating Bayesian inference algorithms with simulation-based calibration.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

import mixedbayes as mb

DATASETS, DRAWS, BINS = 500, 199, 20


@dataclass(frozen=True)
class Case:
    """A model, and how its priors make a response.

    `simulate` returns y and the true values by name; `quantities` the draws by the same names.
    """

    formula: str
    data: pd.DataFrame
    priors: dict[str, str]
    simulate: Callable[[np.random.Generator, pd.DataFrame], tuple[np.ndarray, dict[str, float]]]
    quantities: Callable[[mb.Fit], dict[str, np.ndarray]]


def slopes(rng: np.random.Generator, data: pd.DataFrame) -> tuple[np.ndarray, dict[str, float]]:
    """y ~ x + (x | g), where (w + 1) / 2 ~ Beta(2, 2) is lkj(2) for one correlation."""
    x, g = data["x"].to_numpy(), data["g"].to_numpy()
    intercept, b = rng.normal(1.0, 2.0), rng.normal(0.0, 1.0)
    sd, cor, sigma = rng.exponential([1.0, 0.5]), 2 * rng.beta(2, 2) - 1, rng.exponential(1.0)
    factor = np.diag(sd) @ np.array([[1.0, 0.0], [cor, np.sqrt(1 - cor**2)]])
    u = rng.normal(size=(g.max() + 1, 2)) @ factor.T
    y = intercept + b * x + u[g, 0] + u[g, 1] * x + rng.normal(0, sigma, len(x))
    truth = {"sd(Intercept)": sd[0], "sd(x)": sd[1], "cor(Intercept, x)": cor, "sigma": sigma, "x": b}
    return y, truth | {"r[g, 0, x]": u[0, 1]}


def crossed(rng: np.random.Generator, data: pd.DataFrame) -> tuple[np.ndarray, dict[str, float]]:
    """y ~ x + (1 | g) + (1 | h)."""
    x, g, h = (data[name].to_numpy() for name in "xgh")
    intercept, b = rng.normal(1.0, 2.0), rng.normal(0.0, 1.0)
    sd, sigma = rng.exponential([1.0, 0.5]), rng.exponential(1.0)
    u, v = rng.normal(0, sd[0], g.max() + 1), rng.normal(0, sd[1], h.max() + 1)
    y = intercept + b * x + u[g] + v[h] + rng.normal(0, sigma, len(x))
    truth = {"sd of g": sd[0], "sd of h": sd[1], "sigma": sigma, "x": b, "r[h, 0, Intercept]": v[0]}
    return y, truth


def _slopes_drawn(fit: mb.Fit) -> dict[str, np.ndarray]:
    posterior = fit.posterior
    return {
        "sd(Intercept)": posterior["sd_g"][..., 0],
        "sd(x)": posterior["sd_g"][..., 1],
        "cor(Intercept, x)": posterior["cor_g"][..., 0, 1],
        "sigma": posterior["sigma"],
        "x": posterior["b"][..., 1],
        "r[g, 0, x]": posterior["r_g"][..., 0, 1],
    }


def _crossed_drawn(fit: mb.Fit) -> dict[str, np.ndarray]:
    posterior = fit.posterior
    return {
        "sd of g": posterior["sd_g"][..., 0],
        "sd of h": posterior["sd_h"][..., 0],
        "sigma": posterior["sigma"],
        "x": posterior["b"][..., 1],
        "r[h, 0, Intercept]": posterior["r_h"][..., 0, 0],
    }


def _data() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(7)
    one = pd.DataFrame({"g": np.repeat(np.arange(8), 6), "x": rng.normal(size=48)})
    both = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "h": np.tile(np.arange(6), 10)})
    both["x"] = rng.normal(size=60)
    return one, both


PRIORS = {"b": "normal(0, 1)", "b[Intercept]": "normal(1, 2)", "sigma": "exponential(1)"}
CASES = {
    "y ~ x + (x | g)": Case(
        "y ~ x + (x | g)",
        _data()[0],
        PRIORS | {"sd[g, Intercept]": "exponential(1)", "sd[g, x]": "exponential(2)", "cor": "lkj(2)"},
        slopes,
        _slopes_drawn,
    ),
    "y ~ x + (1 | g) + (1 | h)": Case(
        "y ~ x + (1 | g) + (1 | h)",
        _data()[1],
        PRIORS | {"sd[g]": "exponential(1)", "sd[h]": "exponential(2)"},
        crossed,
        _crossed_drawn,
    ),
}


def ranks(case: Case, datasets: int = DATASETS, seed: int = 20) -> dict[str, np.ndarray]:
    """For each quantity its true value's rank among `DRAWS` posterior draws, by data set."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[int]] = {}
    for number in range(datasets):
        y, truth = case.simulate(rng, case.data)
        fit = mb.fit(
            case.formula,
            case.data.assign(y=y),
            priors=case.priors,
            method="collapsed",
            draws=250,
            seed=number,
        )
        drawn = case.quantities(fit)
        for name, value in truth.items():
            values = np.asarray(drawn[name]).reshape(-1)
            thinned = values[:: len(values) // DRAWS][:DRAWS]  # so that no two are the same draw
            found.setdefault(name, []).append(int((thinned < value).sum()))
    return {name: np.array(each) for name, each in found.items()}


def p_values(each: np.ndarray, seed: int = 0) -> dict[str, float]:
    """How likely ranks are if they are uniform, by three statistics.

    A rank, moved about in its own interval, is a uniform number, and normally distributed by the inverse of the
    normal distribution function: a bias moves the mean, too narrow or wide a posterior the variance, and all else
    the distribution function, by Cramér and von Mises.
    """
    place = (each + np.random.default_rng(seed).uniform(size=len(each))) / (DRAWS + 1)
    normal, n = stats.norm.ppf(place), len(each)
    squares = stats.chi2(n)
    return {
        "mean": float(2 * stats.norm.sf(abs(normal.sum()) / np.sqrt(n))),
        "variance": float(2 * min(squares.cdf(np.sum(normal**2)), squares.sf(np.sum(normal**2)))),
        "distribution": float(stats.cramervonmises(place, "uniform").pvalue),
    }


def counts(each: np.ndarray) -> np.ndarray:
    """Data sets by twentieth of the rank."""
    return np.histogram(each, bins=BINS, range=(0, DRAWS + 1))[0]


def main(path: str) -> None:
    import matplotlib.pyplot as plt  # a heavy door

    results = {name: ranks(case) for name, case in CASES.items()}
    columns = max(len(each) for each in results.values())
    figure, axes = plt.subplots(2, columns, figsize=(2.4 * columns, 4.6), sharey=True, squeeze=False)
    low, high = stats.binom(DATASETS, 1 / BINS).ppf([0.005, 0.995])
    for row, (formula, each) in zip(axes, results.items(), strict=True):
        for axis, (name, values) in zip(row, each.items(), strict=False):
            axis.axhspan(low, high, color="0.9", zorder=0)
            axis.axhline(DATASETS / BINS, color="0.6", linewidth=1, zorder=1)
            axis.bar(np.arange(BINS) + 0.5, counts(values), width=0.85, color="#3b6ea8", zorder=2)
            p = stats.chisquare(counts(values)).pvalue
            axis.set_title(f"{name}\np = {p:.2f}", fontsize=9)
            axis.set_xticks([0, BINS], ["0", "1"])
            print(f"{formula}: {name} p = {p:.3f}", file=sys.stdout)  # noqa: T201
        for axis in row[len(each) :]:
            axis.axis("off")
        row[0].set_ylabel(f"{formula}\ndata sets", fontsize=9)
    figure.supxlabel("rank of the true value among posterior draws, in parts", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
