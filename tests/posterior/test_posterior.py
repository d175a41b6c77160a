"""Posteriors agree with brms and with quadrature, within Monte Carlo error that is computed.

What fails is a bias of five to six standard errors in one number, which is about a tenth of its posterior's sd, or
a much smaller one in many.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from arviz_stats.base import array_stats
from monte_carlo import (
    assert_draws_near,
    assert_mean_near,
    assert_mixed,
    assert_near,
    assert_same_posterior,
    degrees,
    draws_by_address,
    errors,
)
from scipy import integrate, stats
from scipy.special import logsumexp

import mixedbayes as mb
from mixedbayes.inference.gaussian.sample import why_not
from mixedbayes.results.comparison.elpd import Elpd

pytestmark = pytest.mark.slow

REFERENCE = Path(__file__).parent.parent / "reference"
METHODS = {
    "nuts": {"method": "nuts", "draws": 2500, "tune": 1000, "progress": False},
    "collapsed": {"method": "collapsed", "draws": 2500, "progress": False},
}

BRMS = {
    "sleepstudy": ("sleepstudy", {}),
    "sleepstudy_uncorrelated": ("sleepstudy", {}),
    "penicillin_crossed": ("penicillin", {}),
    "pastes_nested": ("pastes", {"target_accept": 0.95}),
    "epilepsy_poisson": ("epilepsy", {}),
}
QUADRATURE = json.loads((REFERENCE / "posteriors.json").read_text())


def from_brms(name: str, columns: tuple[str, ...]) -> str:
    """Our address of a parameter of brms's."""
    if name.startswith("b_"):
        plain = {column.replace("[T.", "").replace("]", ""): column for column in columns}
        return plain[name.removeprefix("b_")]
    if name.startswith("sd_"):
        group, effect = name.removeprefix("sd_").split("__")
        return f"sd[{group}, {effect}]"
    if name.startswith("cor_"):
        group, one, other = name.removeprefix("cor_").split("__")
        return f"cor[{group}, {one}, {other}]"
    if name.startswith("r_"):
        group, rest = name.removeprefix("r_").removesuffix("]").split("[")
        level, effect = rest.split(",")
        return f"r[{group}, {level.replace('_', ':')}, {effect}]"
    return name


def of_others(draws: np.ndarray, mean: float, sd: float, ess: float) -> tuple[float, float, float, float]:
    """A posterior's mean and sd as others found them, and the errors that n effective draws leave in both.

    That of a standard deviation is sd sqrt((kurtosis - 1) / (4 n)), the kurtosis being that of our draws.
    """
    kurtosis = stats.kurtosis(draws, axis=None, fisher=False)
    return mean, sd, sd / np.sqrt(ess), sd * np.sqrt((kurtosis - 1) / (4 * ess))


def assert_agree(draws: dict[str, np.ndarray], expected: dict[str, tuple[float, float, float]]) -> None:
    assert_draws_near(draws, {name: of_others(draws[name], *row) for name, row in expected.items()})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BRMS)
def test_posterior_agrees_with_brms(name, method, seed):
    reference = json.loads((REFERENCE / "brms" / f"{name}.json").read_text())
    dataset, options = BRMS[name]
    model = mb.model(
        reference["formula"], mb.load_dataset(dataset), reference["family"], priors=priors_of(reference)
    )
    fit = model.fit(**METHODS[method], **options, seed=seed) if method == "nuts" else exactly(model, seed)
    columns = fit.spec.design.fixed.columns
    rows = {
        from_brms(row["variable"], columns): (
            row["mean"],
            row["sd"],
            min(row["ess_bulk"], (row["sd"] / row["mcse_mean"]) ** 2),
        )
        for row in reference["posterior"]
    }
    assert len(rows) == len(reference["posterior"])
    draws = draws_by_address(fit)
    assert_agree(draws, rows)
    assert_mixed(fit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mb.ConvergenceWarning)  # R's loo has bad weights too
        elpd = fit.loo()
    # its errors are to ours as they are in the means of parameters
    ratio = np.median([sd / np.sqrt(ess) / errors(draws[name])[0] for name, (_, sd, ess) in rows.items()])
    expected = [reference["loo"]["elpd_loo"], reference["loo"]["se"]]
    error, df = loo_errors(fit, elpd)
    assert_near([elpd.elpd, elpd.se], expected, np.hypot(1, ratio) * error, ["elpd", "its se"], df)


def priors_of(reference: dict, units: dict[str, float] | None = None) -> dict[str, str]:
    """The priors that brms was given, under our addresses: its group effects have them where predictors are zero.

    In `units` is what each of its parameters is to be multiplied by, where the data are in other units.
    """
    ours = {"Intercept_centered": "Intercept", "Trt1": "b[Trt[T.1]]", "zBase:Trt1": "b[zBase:Trt[T.1]]"}
    found = {}
    for name, value in reference["priors"].items():
        unit = (units or {}).get(name, 1.0)
        if name.startswith("sd_"):
            group, effect = name.removeprefix("sd_").split("__")
            found[f"sd[{group}, {effect.strip('()')}]"] = f"exponential({1 / (unit * value)!r})"
        elif name == "sigma":
            found["sigma"] = f"exponential({1 / (unit * value)!r})"
        else:
            location, scale = value
            found[ours.get(name, f"b[{name}]")] = f"normal({unit * location!r}, {unit * scale!r})"
    correlated = any(row["variable"].startswith("cor_") for row in reference["posterior"])
    return found | ({"cor": "lkj(2)"} if correlated else {})


def loo_errors(fit: mb.Fit, loo: Elpd) -> tuple[np.ndarray, np.ndarray]:
    """The Monte Carlo errors of the elpd and of its standard error, and the degrees of freedom of these.

    A row's elpd is -log of the mean of 1 / density over draws, so that each draw moves it by its importance weight;
    draws are the same for all rows. Weights are smoothed, without which theirs is no variance; still a
    few draws are much of it. Those that miss the tail think their error small, and well known: where a Pareto k is
    over a half, degrees of freedom are no more than those that hit it tell.
    """
    values = fit.idata["log_likelihood"][fit.spec.response].to_numpy()
    chains, draws, n = values.shape
    log_weights, _ = array_stats.psislw(values.reshape(-1, n).T)
    weights = np.exp(log_weights - logsumexp(log_weights, axis=1, keepdims=True)) * chains * draws
    elpd = np.asarray(loo.elpd_i)
    for_each = np.column_stack([np.ones(n), (elpd - elpd.mean()) / loo.se])
    moved = ((weights - 1).T @ for_each).reshape(chains, draws, 2)
    error, df = (np.array([of(moved[..., k])[0] for k in range(2)]) for of in (errors, degrees))
    return error, np.minimum(df, 4.0 if np.max(loo.pareto_k) > 0.5 else np.inf)


def exactly(model: mb.Model, seed: int) -> mb.Fit:
    """A fit by the collapsed method, where the model has it."""
    if why_not(model.spec):
        pytest.skip(why_not(model.spec))
    return model.fit(**METHODS["collapsed"], seed=seed)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "case",
    QUADRATURE,
    ids=lambda case: f"{case['dataset']}: {case['formula']} {case['priors'].get('cor', '')}",
)
def test_posterior_agrees_with_quadrature(case, method, seed):
    model = mb.model(case["formula"], mb.load_dataset(case["dataset"]), case["family"], priors=case["priors"])
    fit = model.fit(**METHODS["nuts"], seed=seed) if method == "nuts" else exactly(model, seed)
    ess = case.get("draws", 1e6)  # of quadrature as good as exact
    rows = {name: (mean, sd, ess) for name, (mean, sd) in case["posterior"].items()}
    assert_agree(draws_by_address(fit), rows)


@pytest.mark.parametrize(
    ("dataset", "formula"),
    [("dyestuff", "Yield ~ 1 + (1 | Batch)"), ("machines", "score ~ Machine + (Machine | Worker)")],
)
def test_the_methods_agree_with_each_other(dataset, formula, seed):
    model = mb.model(formula, mb.load_dataset(dataset))
    nuts = model.fit(method="nuts", seed=seed, target_accept=0.95, progress=False)
    assert_mixed(nuts)
    assert_same_posterior(exactly(model, seed), nuts)


def test_units_of_the_columns_do_not_matter(seed):
    """Reaction in nanoseconds and days in seconds: the same posterior in other units, as easily sampled."""
    reference = json.loads((REFERENCE / "brms" / "sleepstudy.json").read_text())
    data = mb.load_dataset("sleepstudy")
    data["Reaction"] *= 1e6
    data["Days"] *= 86_400
    slope = 1e6 / 86_400
    of_priors = {"Days": slope, "sd_Subject__Days": slope}
    priors = priors_of(reference, {name: of_priors.get(name, 1e6) for name in reference["priors"]})
    fit = mb.fit(reference["formula"], data, priors=priors, **METHODS["nuts"], seed=seed)
    draws = draws_by_address(fit)
    units = {"Intercept": 1e6, "Days": 1e6 / 86_400, "sigma": 1e6, "sd[Subject, Days]": 1e6 / 86_400}
    rows = {from_brms(row["variable"], ("Intercept", "Days")): row for row in reference["posterior"]}
    assert_agree(
        {name: draws[name] / unit for name, unit in units.items()},
        {name: (rows[name]["mean"], rows[name]["sd"], rows[name]["ess_bulk"]) for name in units},
    )
    assert_mixed(fit)


def test_full_dummies_far_from_zero_are_not_pulled_to_it(seed):
    """Machines is balanced, so the posterior means of the three machines are their averages, as in brms and lme4."""
    data = mb.load_dataset("machines")
    formula = "score ~ 0 + Machine + (0 + Machine | Worker)"
    fit = mb.fit(formula, data, method="nuts", seed=seed, target_accept=0.95, progress=False)
    averages = data.groupby("Machine", observed=True)["score"].mean()
    for name, average in averages.items():
        draws = fit.posterior["b"].sel(coefficient=f"Machine[{name}]").to_numpy()
        # the prior pulls by a hundredth of a standard deviation
        assert_mean_near(draws, average, 0.01 * draws.std())
    assert fit.fixef().loc["Machine[A]", "std_error"] < 4


def test_a_level_far_from_zero_does_not_swell_the_residual(seed):
    rng = np.random.default_rng(0)
    groups = 1000 + np.array([[0.0], [5.0], [10.0]]) + rng.normal(0, 5, (3, 10))
    data = {"f": np.repeat(list("abc"), 10), "y": groups.ravel()}
    sigma = mb.fit("y ~ 0 + f", data, **METHODS["nuts"], seed=seed).posterior["sigma"].to_numpy()
    squares, df = 10 * groups.var(axis=1).sum(), 30 - 3

    def density(x):
        """Of sigma, where the levels' means have flat priors: those of the model are a thousand times as wide."""
        return (
            x**-df
            * np.exp(-squares / (2 * x**2) + df * np.log(4.0))
            * stats.expon(0, data["y"].std(ddof=1)).pdf(x)
        )

    mass, mean = (integrate.quad(lambda x, k=k: x**k * density(x), 0.5, 50)[0] for k in (0, 1))
    assert_mean_near(sigma, mean / mass)
