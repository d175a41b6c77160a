"""A hunt for wrong posteriors: made data of every awkward shape, each fit held to brute force.

    uv run pytest tests/inference/test_hunt.py -s --hunt 500             # 500 data sets, other ones each time
    uv run pytest tests/inference/test_hunt.py -s --hunt 1 --seed 137    # that of one seed

What is compared is the mass below three quantiles of each coordinate of theta, and the integral. A fit that complains
of its draws is warned of, and let go; the swarm may miss a mode too, and then its integral is the smaller one.
"""

import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from brute_force import posterior
from monte_carlo import assert_likely
from scipy.stats import norm

import mixedbayes as mb
from mixedbayes.inference.gaussian.coordinates import variances_of
from mixedbayes.inference.gaussian.sample import collapse, evidence
from mixedbayes.inference.proposals.importance import MAX_K

QUANTILES = (0.1, 0.5, 0.9)
ENOUGH = 300
"""Effective draws of the oracle, below which it says nothing."""

FORMULAS = {
    "intercepts": "y ~ x + (1 | g)",
    "mean alone": "y ~ 1 + (1 | g)",
    "slopes": "y ~ x + (x | g)",
    "independent slopes": "y ~ x + (x || g)",
    "slopes alone": "y ~ x + (0 + x | g)",
    "two blocks": "y ~ x + (1 | g) + (0 + x | g)",
    "three effects": "y ~ x + w + (x + w | g)",
    "three independent effects": "y ~ x + w + (x + w || g)",
    "nested": "y ~ x + (1 | g/k)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "crossed slopes": "y ~ x + (x | g) + (1 | h)",
    "dummies": "y ~ 0 + f + (0 + f | g)",
    "no coefficients": "y ~ 0 + (1 | g)",
}


@dataclass
class Made:
    """A data set with its model."""

    seed: int
    formula: str
    data: pd.DataFrame
    priors: dict[str, str]
    twists: list[str]

    def __str__(self) -> str:
        twists = ", ".join(self.twists)
        return f"seed {self.seed}: {self.formula}, {len(self.data)} rows, {self.data['g'].nunique()} groups, {twists}"


def made(seed: int) -> Made:
    """One data set, its shape and its troubles drawn by the seed."""
    rng = np.random.default_rng([9, seed])
    shape = list(FORMULAS)[rng.integers(len(FORMULAS))]
    formula, twists = FORMULAS[shape], [shape]

    def twist(name: str, chance: float) -> bool:
        happens = bool(rng.uniform() < chance)
        twists.extend([name] * happens)
        return happens

    def ten_to(low: float, high: float) -> float:
        return float(10.0 ** rng.uniform(low, high))

    groups = int(rng.integers(2, 7)) if twist("few groups", 0.5) else int(rng.integers(7, 21))
    sizes = np.full(groups, rng.integers(2, 9))
    if twist("unbalanced", 0.3):
        sizes = rng.integers(1, 9, groups)
    sizes[: 2 if sizes.sum() < 8 else 1] += 4
    g = np.repeat(np.arange(groups), sizes)
    n = len(g)
    h, k = rng.integers(0, rng.integers(2, 6), n), np.arange(n) // 2 % 3
    if twist("aliased", 0.15):  # h is g but for a row or two
        h = g.copy()
        h[rng.integers(n, size=2)] = 0
    f = np.resize(["a", "b", "b"], n)
    x, w = rng.normal(size=(2, n))
    if twist("predictor of groups", 0.1):
        x = rng.normal(size=groups)[g] + 0.01 * rng.normal(size=n)
    if twist("collinear", 0.15):
        w = x + ten_to(-4, -1) * w
    sds = np.where(rng.uniform(size=5) < 0.35, 10.0 ** rng.uniform(-4, -1, 5), rng.gamma(2.0, 0.7, 5))
    sigma = ten_to(-3, -1) if twist("small residual", 0.1) else rng.gamma(3.0, 0.3) + 0.05
    u = rng.normal(size=(groups, 3)) * sds[:3]
    if twist("correlated", 0.3):
        u[:, 1] = u[:, 0] * sds[1] / sds[0] + 0.05 * u[:, 1]
    if twist("a group apart", 0.1):
        u[0] *= 20
    y = 1 + 0.5 * x + u[g, 0] + u[g, 1] * x + u[g, 2] * w + (f == "b")
    y += rng.normal(0, sds[3], groups + 6)[h] + rng.normal(0, sds[4], (groups, 3))[g, k]
    y += sigma * (rng.standard_t(1.5, n) if twist("outliers", 0.15) else rng.normal(size=n))
    shift = x.std() * rng.choice([-1, 1]) * ten_to(0.5, 2.5) if twist("shifted", 0.3) else 0.0
    x = x + shift
    if twist("scaled", 0.25):
        x, w = x * ten_to(-3, 3), w * ten_to(-3, 3)
    if twist("unit of y", 0.2):
        y = y * ten_to(-4, 4)
    data = pd.DataFrame({"g": g, "h": h, "k": k, "f": f, "x": x, "w": w, "y": y})
    return Made(seed, formula, data, priors_of(formula, data, shift, twist, ten_to), twists)


def priors_of(
    formula: str, data: pd.DataFrame, shift: float, twist: Callable, ten_to: Callable
) -> dict[str, str]:
    """Priors of all kinds, the default ones more often than not."""
    priors: dict[str, str] = {}
    size = float(data["y"].std())
    enough = data["g"].nunique() >= 6 and data["h"].nunique() >= 5  # for flat priors to have a posterior
    if twist("flat coefficients", 0.15):
        slopes, first = any(name in formula[:14] for name in ("x", "f")), not formula.startswith("y ~ 0")
        priors |= {"b": "flat"} if slopes else {}
        priors |= {"Intercept": "flat"} if first else {}
    for name, prior, chance in (
        ("flat sds", "flat", 0.3 * enough),
        ("vague sds", f"student_t(3, 0, {100 * size:.4g})", 0.12),
        ("half-normal sds", f"normal(0, {size:.4g})", 0.12),
        ("narrow sds", f"cauchy(0, {ten_to(-3, -1) * size:.4g})", 0.1),
        ("far sds", f"lognormal({np.log(size) + 2 * np.log(ten_to(-1, 1)):.4g}, 0.3)", 0.1),
    ):
        if twist(name, chance):
            return priors | {"sd": prior}
    if shift and formula.startswith("y ~ x") and "(x | g)" in formula and twist("priors at zero", 0.6):
        wide = abs(shift) if twist("wide", 0.5) else 1.0
        priors["sd[g, Intercept]"] = f"exponential({1 / (size * wide):.4g})"
    return priors


@dataclass
class Found:
    """What a comparison found: differences in standard errors, and what the fit said of itself."""

    case: Made
    differences: np.ndarray
    log_evidence: float
    oracle_evidence: float
    complaints: tuple[str, ...] = ()
    oracle_effective: float = np.inf

    @property
    def is_judged(self) -> bool:
        return not self.complaints and self.oracle_effective >= ENOUGH

    @property
    def missed_by_oracle(self) -> bool:
        """Whether the fit found mass that the swarm did not."""
        return self.log_evidence > self.oracle_evidence + 0.3

    @property
    def largest(self) -> float:
        return float(np.abs(self.differences).max(initial=0.0))

    def __str__(self) -> str:
        return (
            f"{self.case}: largest difference {self.largest:.1f} errors, log evidence {self.log_evidence:.2f} "
            f"({self.oracle_evidence:.2f} by brute force, {self.oracle_effective:.0f} effective), {self.complaints or 'no complaint'}"
        )


def compared(case: Made) -> Found:
    """Fit, and compare with brute force."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = mb.fit(case.formula, case.data, priors=case.priors, seed=case.seed, progress=False)
    said = [str(w.message) for w in caught if issubclass(w.category, mb.ConvergenceWarning)]
    log_evidence, k = evidence(collapse(fit.spec), case.seed)
    variances = variances_of(fit.spec)
    theta = variances.of({str(name): values.to_numpy() for name, values in fit.posterior.items()})
    known = posterior(variances, case.seed)
    draws = float(fit.idata["sample_stats"].attrs.get("effective", 400.0))
    effective = 1 / (1 / draws + 1 / len(theta))
    differences = []
    for column, of_oracle in zip(theta.T, known.theta.T, strict=True):
        for p in QUANTILES:
            at = known.quantile(of_oracle, p)
            expected, error = known.share(of_oracle <= at)
            own = float(np.mean(column <= at))
            differences.append((own - expected) / np.hypot(error, np.sqrt(p * (1 - p) / effective)))
    error = np.sqrt(1 / draws + 1 / known.effective)
    if k <= MAX_K:
        differences.append((log_evidence - known.log_evidence) / np.hypot(error, 0.01))
    return Found(case, np.array(differences), log_evidence, known.log_evidence, tuple(said), known.effective)


@pytest.mark.slow
def test_fits_of_awkward_data_are_those_of_brute_force(request, seed):
    first, sets = seed or secrets.randbelow(10**6), request.config.getoption("--hunt")
    found = [compared(made(first + i)) for i in range(sets)]
    for title, lines in {
        "fits that complain": [each for each in found if each.complaints],
        "modes missed by brute force": [each for each in found if each.is_judged and each.missed_by_oracle],
        "brute force of no avail": [each for each in found if each.oracle_effective < ENOUGH],
        "furthest": sorted(found, key=lambda each: -each.largest)[:5],
    }.items():
        print(f"\n{title}: {len(lines)} of {sets}", *lines, sep="\n    ")  # noqa: T201  # the hunt's bag
    judged = [each for each in found if each.is_judged and not each.missed_by_oracle]
    assert len(judged) > 0.7 * sets
    names = [str(each) for each in judged for _ in each.differences]
    assert_likely(2 * norm.sf(np.abs(np.concatenate([each.differences for each in judged]))), names)
