"""Sampling without Markov chains: same names as NUTS, reproducible, honest diagnostics, bounded memory."""

import subprocess
import sys
from dataclasses import replace

import dense_gaussian
import numpy as np
import pandas as pd
import pytest
from monte_carlo import (
    assert_likely,
    assert_mean_near,
    assert_mixed,
    assert_near,
    assert_same_posterior,
    degrees,
    draws_by_address,
    errors,
)
from scipy import stats
from scipy.special import logsumexp

import mixedbayes as mb
from mixedbayes.inference.gaussian import group_effects, sample
from mixedbayes.inference.methods import METHODS, choose
from mixedbayes.inference.options import Options
from mixedbayes.inference.proposals import importance, metropolis
from mixedbayes.inference.proposals.importance import Proposal, Weighted
from mixedbayes.inference.proposals.metropolis import sample_by_chains
from mixedbayes.results.posterior.summary import diagnose

FORMULA = "Reaction ~ Days + (Days | Subject)"
SLEEP = mb.load_dataset("sleepstudy")
BYTES = 2.0**-30
"""In GiB."""


@pytest.fixture(scope="module")
def model():
    return mb.model(FORMULA, SLEEP)


@pytest.fixture(scope="module")
def fit(model, seed):
    return model.fit(seed=seed)


def test_draws_have_the_names_and_shapes_of_the_model(model, fit):
    posterior = fit.posterior
    assert {name: variable.dims[2:] for name, variable in posterior.data_vars.items()} == model.spec.dims
    assert dict(posterior.sizes) == {
        "chain": 4,
        "draw": 1000,
        "coefficient": 2,
        "Subject": 18,
        "Subject_effect": 2,
        "Subject_effect_other": 2,
    }
    assert posterior["Subject"].to_numpy().tolist()[:2] == ["308", "309"]
    assert set(fit.idata.children) == {"posterior", "sample_stats", "observed_data", "log_likelihood"}
    assert fit.idata["observed_data"]["Reaction"].sizes == {"observation": 180}
    cor = posterior["cor_Subject"]
    np.testing.assert_allclose(cor[..., 0, 0], 1.0)
    np.testing.assert_allclose(cor[..., 0, 1], cor[..., 1, 0])
    assert posterior.attrs == {}


def test_the_same_seed_gives_the_same_draws_bit_for_bit(model, fit, seed):
    same, other = model.fit(seed=seed), model.fit(seed=seed + 1)
    for name in fit.posterior.data_vars:
        np.testing.assert_array_equal(fit.posterior[name], same.posterior[name])
    assert not np.array_equal(fit.posterior["b"], other.posterior["b"])


@pytest.mark.parametrize(
    ("options", "family", "expected"),
    [
        ({}, {}, "collapsed (auto: given its variances the model is Gaussian)"),
        ({"method": "collapsed"}, {}, "collapsed"),
        ({"method": "nuts"}, {}, "nuts"),
        ({"tune": 10}, {}, "nuts (auto: tune is an option of nuts alone)"),
        ({"tune": 10, "sampler": "pymc"}, {}, "nuts (auto: sampler, tune are options of nuts alone)"),
        ({}, {"family": "poisson"}, "nuts (auto: the poisson family has no closed form)"),
        ({"memory": 2}, {}, "collapsed (auto: given its variances the model is Gaussian)"),
        ({"cores": 1}, {}, "collapsed (auto: given its variances the model is Gaussian)"),
        (
            {"memory": 2},
            {"family": "poisson"},
            "nuts (auto: the poisson family has no closed form; it has no use for memory)",
        ),
        (
            {},
            {"priors": {"b": "cauchy(0, 1)"}},
            "nuts (auto: the prior of b[Days] is neither normal nor flat)",
        ),
    ],
)
def test_the_fit_says_which_method_was_used_and_why(monkeypatch, fit, options, family, expected):
    data = SLEEP.assign(Reaction=SLEEP["Reaction"].round())
    for method in list(METHODS.values()):
        monkeypatch.setitem(METHODS, method.name, replace(method, draw=lambda *_: fit.idata.copy()))
    said = " ".join(str(mb.fit(FORMULA, data, **family, **options)).split())  # whose lines are broken
    assert f" Method: {expected} Draws: " in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"family": "poisson"},
            "method='collapsed' cannot be used: the poisson family has no closed form. method='nuts'",
        ),
        (
            {"priors": {"b": "cauchy(0, 1)"}},
            r"cannot be used: the prior of b\[Days\] is neither normal nor flat",
        ),
    ],
)
def test_the_method_is_refused_where_it_is_not_exact(options, message):
    data = SLEEP.assign(Reaction=SLEEP["Reaction"].round())
    with pytest.raises(mb.ArgumentError, match=message):
        mb.fit(FORMULA, data, method="collapsed", **options)


@pytest.mark.parametrize(
    ("bound", "reason"), [("MAX_ROOT", "have 6 effects beside"), ("MAX_PRODUCTS", "meet in")]
)
def test_a_model_that_would_not_fit_in_memory_goes_to_nuts(monkeypatch, bound, reason):
    model = mb.model("diameter ~ 1 + (1 | plate) + (1 | sample)", mb.load_dataset("penicillin"))
    monkeypatch.setattr(sample, bound, 3)
    assert reason in sample.too_large(model.collapsed)
    with pytest.raises(mb.ArgumentError, match=reason):
        model.fit(method="collapsed")


def test_many_correlated_effects_go_to_nuts_unless_asked_otherwise():
    columns = list("abcdef")
    values = np.random.default_rng(1).normal(size=(60, 7))
    data = pd.DataFrame(values, columns=[*columns, "y"]).assign(g=np.repeat(np.arange(6), 10))
    models = [mb.model(f"y ~ 1 + (0 + {' + '.join(columns)} {bar} g)", data) for bar in ("||", "|")]
    choices = [
        choose(model, Options(), method) for model in models for method in (None, METHODS["collapsed"])
    ]
    assert [choice.method.name for choice in choices] == ["collapsed", "collapsed", "nuts", "collapsed"]
    assert choices[2].why == "22 standard deviations and correlations are many to propose at once"


def test_repeated_draws_stand_side_by_side_so_that_effective_sizes_tell_the_truth(seed):
    """Weights of known distribution: the effective size from autocorrelation is Kish's, duplicates counted."""
    rng = np.random.default_rng([3, seed])
    n = 4000
    weights = rng.exponential(size=n)  # half of the draws are worth as much as they are many
    weighted = Weighted(
        np.arange(n)[:, None] * 1.0, np.zeros(n), np.log(weights / weights.sum()), 0.0, None, 0.0
    )
    places = importance.resample(weighted, n, rng)
    copies = np.bincount(places, minlength=n)
    np.testing.assert_allclose(copies, n * weights / weights.sum(), atol=1)
    assert (np.diff(np.flatnonzero(np.diff(places))) >= 1).all()
    runs = 1 + np.count_nonzero(np.diff(places))
    assert runs == np.count_nonzero(copies)
    truth = n**2 / np.sum(copies**2)
    found = diagnose(rng.normal(size=(n, 50))[places].reshape(4, -1, 50))[:, 1]
    assert_near(
        found.mean(), truth, np.hypot(found.std() / np.sqrt(50), 0.01 * truth)
    )  # sums are cut somewhere


def test_effective_sizes_are_those_of_independent_draws(fit):
    attributes = fit.idata["sample_stats"].attrs
    assert_mixed(fit, 0.6 * min(attributes["effective"], 4000))
    assert attributes["pareto_k"] < 0.7


def quadrature(data, spec):
    """Means and sds of (sd, sigma) of a balanced one-way layout, by its closed form on a grid of their logs.

    Group means are N(b0, (tau^2 + sigma^2 / n) I + s^2 11'), and sums of squares within independent of them.
    """
    L, n = data["g"].nunique(), int(data["g"].value_counts().iloc[0])
    means = data.groupby("g")["y"].mean().to_numpy()
    within = np.sum((data["y"].to_numpy() - np.repeat(means, n)) ** 2)
    (b0, s) = spec.main.intercept.prior.arguments
    centre = np.log([max(means.std(), 1e-3), np.sqrt(within / (L * (n - 1)))])
    tau, sigma = np.exp(
        np.meshgrid(centre[0] + np.linspace(-9, 5, 700), centre[1] + np.linspace(-1.5, 2, 500), indexing="ij")
    )
    v = tau**2 + sigma**2 / n
    total = np.sum((means - b0) ** 2) / v - s**2 * np.sum(means - b0) ** 2 / v / (v + L * s**2)
    logs = -0.5 * (total + (L - 1) * np.log(v) + np.log(v + L * s**2) + within / sigma**2)
    logs += -L * (n - 1) * np.log(sigma) + np.log(tau) + np.log(sigma)
    for parameter, values in ((spec.blocks[0].sds[0], tau), (spec.auxiliary[0], sigma)):
        if parameter.prior.distribution != "flat":
            logs += dense_gaussian.SCIPY[parameter.prior.distribution](*parameter.prior.arguments).logpdf(
                values
            )
    weights = np.exp(logs - logsumexp(logs))
    found = [(np.sum(weights * values), np.sum(weights * values**2)) for values in (tau, sigma)]
    return [m for m, _ in found], [np.sqrt(square - m**2) for m, square in found]


def one_way(L, n, tau, sigma, seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(L), n)
    return pd.DataFrame({"g": g, "y": rng.normal(0, tau, L)[g] + rng.normal(0, sigma, L * n)})


ONE_WAY = {
    "5 levels, flat prior": (one_way(5, 6, 1.0, 1.0, 1), {"sd": "flat"}),
    "sd piles up at zero": (one_way(8, 5, 0.0, 1.0, 2), {}),
    "sd piles up at zero, flat prior": (one_way(8, 4, 0.0, 1.0, 3), {"sd": "flat", "sigma": "flat"}),
    "sigma small": (one_way(8, 4, 1.0, 0.01, 4), {}),
    "a prior far from the data": (one_way(8, 4, 1.0, 1.0, 5), {"sd": "lognormal(3, 0.3)"}),
}


@pytest.mark.parametrize("name", ONE_WAY)
def test_awkward_variances_are_those_of_quadrature(name, seed):
    data, priors = ONE_WAY[name]
    mean, sd = quadrature(data, mb.model("y ~ 1 + (1 | g)", data, priors=priors).spec)
    posterior = mb.fit("y ~ 1 + (1 | g)", data, priors=priors, draws=5000, seed=seed).posterior
    for values, m, s in zip((posterior["sd_g"][..., 0], posterior["sigma"]), mean, sd, strict=True):
        draws = values.to_numpy()
        assert_near([draws.mean(), draws.std()], [m, s], errors(draws), df=degrees(draws))


def slopes_alike():
    """Slopes that are their intercepts' doubles."""
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(10), 6), np.tile(np.arange(6.0), 10)
    u = rng.normal(0, 2, 10)
    return pd.DataFrame({"g": g, "x": x, "y": u[g] * (1 + 2 * x) + rng.normal(0, 1, 60)})


def saturated():
    """40 x 8 crossed, 96 rows, and 96 effects: two for each level."""
    rng = np.random.default_rng(6)
    rows = rng.permutation(320)[:96]
    a = np.concatenate([np.arange(40), rows[40:] // 8])
    b = rows % 8
    x = rng.normal(size=96)
    u, v = rng.normal(size=(40, 2)), rng.normal(size=(8, 2))
    y = u[a, 0] + u[a, 1] * x + v[b, 0] + v[b, 1] * x + rng.normal(0, 0.3, 96)
    return pd.DataFrame({"a": a, "b": b, "x": x, "y": y})


AWKWARD = {
    "correlation near one": ("y ~ x + (x | g)", slopes_alike(), {}),
    "as many effects as rows": ("y ~ x + (x | a) + (x | b)", saturated(), {}),
    "hyperpriors": (
        "y ~ x + (x | g)",
        slopes_alike(),
        {"sd": "normal(0, exponential(1))", "b": "normal(0, exponential(1))"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_posteriors_are_those_of_markov_chains(monkeypatch, name, seed):
    """The same density by another sampler: all variances, a coefficient and an effect."""
    formula, data, priors = AWKWARD[name]
    model = mb.model(formula, data, priors=priors)
    fit = model.fit(seed=seed, draws=2000)
    assert fit.idata["sample_stats"].attrs["pareto_k"] < importance.MAX_K
    monkeypatch.setattr(importance, "MAX_K", -np.inf)
    monkeypatch.setattr(sample, "PATIENCE", 2)
    monkeypatch.setattr(metropolis, "STEPS", 10)
    chains = model.fit(seed=seed, draws=400)
    assert "Metropolis on the collapsed density" in " ".join(str(chains).split())
    assert_same_posterior(fit, chains)
    assert_mixed(chains)


def test_markov_chains_find_both_of_two_far_places(seed):
    """Two normal distributions twenty sds apart, one with three times the mass of the other."""
    target = Proposal(
        np.array([0.75, 0.25]), np.array([[0.0, 0.0], [20.0, 5.0]]), np.tile(np.eye(2), (2, 1, 1))
    )
    rng = np.random.default_rng([1, seed])
    wide = Proposal(np.ones(1), np.array([[8.0, 2.0]]), 8 * np.eye(2)[None])
    weighted = importance.sample(target.log_density, wide, 500, rng=rng, at_once=1000, limit=4000)
    theta, values = sample_by_chains(
        target.log_density, weighted, weighted.proposal, chains=4, draws=1000, rng=rng
    )
    assert theta.shape == (4, 1000, 2)
    np.testing.assert_allclose(values, target.log_density(theta.reshape(-1, 2)).reshape(4, 1000))
    far = (theta[..., 0] > 10).astype(float)
    assert_mean_near(far, 0.25)
    assert errors(far)[0] < 0.05


def test_weights_are_those_of_the_target_whatever_the_proposals(seed):
    """A gamma-like target in log scale, its tail below heavier than the proposal's t."""
    rng = np.random.default_rng([2, seed])

    def target(theta):
        return stats.loggamma(0.7).logpdf(theta[:, 0])

    first = Proposal(np.ones(1), np.array([[0.0]]), np.array([[[0.5]]])).with_tails(
        {(0, -1): 0.1, (0, 1): 0.1}
    )
    weighted = importance.sample(target, first, 4000, rng=rng, at_once=500, limit=40_000)
    assert weighted.is_trusted
    mean = np.exp(weighted.log_weights) @ np.exp(weighted.theta[:, 0])
    assert_near(mean, 0.7, np.sqrt(0.7 / weighted.effective))


@pytest.mark.parametrize("tails", [{}, {(0, 1): 0.2, (1, -1): 0.1, (2, -1): 0.05}])
def test_proposals_are_densities_of_their_draws(tails, seed):
    """The mean of 1 / q over draws of q, where draws fall in a box, is the box's volume."""
    scales = np.linalg.cholesky(np.array([np.diag([1.0, 2.0, 0.5]) + 0.2, np.eye(3)]))
    proposal = Proposal(np.array([0.6, 0.4]), np.array([[0.0, 1, 2], [1, 0, 0]]), scales).with_tails(tails)
    draws = proposal.draw(200_000, np.random.default_rng([4, seed]))
    inside = (np.abs(draws - [0.5, 0.5, 1.0]) < 1.0).all(axis=1)
    inverse = np.where(inside, np.exp(-proposal.log_density(draws)), 0.0)
    assert_near(inverse.mean(), 8.0, inverse.std() / np.sqrt(len(draws)))


MEMORY = {
    "all": 1.0,
    "fewer": 18 * 2 * 8 * 800 * BYTES,
    "single": 18 * 2 * 4 * 500 * BYTES,
    "none": 18 * 2 * 4 * 300 * BYTES,
}


def assert_moments_of_effects(table, full):
    """Over all draws: as near to the truth as a fit that kept all."""
    draws = draws_by_address(full)
    kept = [draws[f"r[{group}, {level}, {term}]"] for group, level, term in table.index]
    expected = [(own.mean(), own.std()) for own in kept]
    error, df = ([of(own) for own in kept] for of in (errors, degrees))
    assert_near(table[["estimate", "std_error"]].to_numpy(), expected, error, df=df)


@pytest.mark.parametrize("budget", ["fewer", "single", "none"])
def test_effects_are_kept_within_the_memory_given(model, fit, budget, tmp_path, seed):
    thin = model.fit(seed=seed, memory=MEMORY[budget])
    kept = {"fewer": 800, "single": 500, "none": 0}[budget]
    assert "r_Subject" not in thin.posterior
    for name in ("b", "sd_Subject", "cor_Subject", "sigma"):
        assert thin.posterior[name].sizes == fit.posterior[name].sizes
    if kept:
        r = thin.idata["group_effects"]["r_Subject"]
        assert r.sizes["chain"] * r.sizes["draw"] == kept
        assert r.dtype == (np.float32 if budget == "single" else np.float64)
    with pytest.warns(
        mb.PartialDrawsWarning, match=rf"{kept or 'None'} of the 4,000 draws of the group effects"
    ):
        table = thin.ranef()
    assert_moments_of_effects(table, fit)
    assert ((table["conf_low"] < table["estimate"]) & (table["estimate"] < table["conf_high"])).all()
    assert "were kept, for want of memory" in " ".join(str(thin).split())  # wherever lines are broken
    path = tmp_path / "fit.nc"
    thin.to_netcdf(path)
    loaded = mb.load(path)
    assert str(loaded) == str(thin)
    with pytest.warns(mb.PartialDrawsWarning, match="draws of the group effects"):
        pd.testing.assert_frame_equal(loaded.ranef(), table)
    if kept:
        with pytest.warns(mb.PartialDrawsWarning, match="draws of the group effects"):
            assert len(thin.coef()) == len(fit.coef())
    else:
        with (
            pytest.warns(mb.PartialDrawsWarning, match="draws of the group effects"),
            pytest.raises(mb.ArgumentError, match="memory="),
        ):
            thin.coef()
        with (
            pytest.warns(mb.PartialDrawsWarning, match="draws of the group effects"),
            pytest.raises(mb.ArgumentError, match="memory="),
        ):
            thin.ranef(robust=True)


@pytest.mark.parametrize("size", [1.0, 1e9])
def test_moments_of_draws_add_wherever_they_lie(size):
    """In batches and at once: sums of squares are about averages, and keep their digits."""
    draws = np.random.default_rng(3).normal(size, 1.0, (50, 4, 2))
    sums, start = np.zeros((3, 4, 2)), 0
    for stop in (1, 8, 30, 50):
        batch = draws[start:stop]
        own = [batch.sum(axis=0), batch.var(axis=0) * len(batch), np.ones((4, 2))]
        sums, start = group_effects._added(sums, start, np.stack(own), stop - start), stop
    np.testing.assert_allclose(sums[0] / 50, draws.mean(axis=0))
    np.testing.assert_allclose(sums[1] / 50, draws.var(axis=0), rtol=1e-6)
    assert (sums[2] == 4).all()


def test_moments_of_nested_and_crossed_effects_are_over_all_draws(seed):
    data = mb.load_dataset("pastes")
    model = mb.model("strength ~ 1 + (1 | batch/cask)", data)
    full = model.fit(seed=seed)
    with pytest.warns(mb.PartialDrawsWarning, match="draws of the group effects"):
        thin = model.fit(seed=seed, memory=40 * 8 * 450 * BYTES).ranef()
    assert_moments_of_effects(thin, full)


def test_costly_models_draw_fewer_thetas_by_default(monkeypatch, model):
    monkeypatch.setattr(sample, "OPERATIONS", 1.0)
    fit = model.fit(seed=1)
    assert fit.posterior.sizes["draw"] == 2 * sample.FEWEST // 4
    assert model.fit(seed=1, draws=1000).posterior.sizes["draw"] == 1000


def tie(fit):
    """The correlation of an sd and the size of its effects over draws, by Fisher's z, its error, and this one's degrees of freedom."""
    size = np.abs(fit.posterior["r_sample"]).mean("sample_")[..., 0].to_numpy()
    sd = fit.posterior["sd_sample"][..., 0].to_numpy()
    standard = [(x - x.mean()) / x.std() for x in (size, sd)]
    r = np.mean(standard[0] * standard[1])
    # what a draw adds to r, first order
    moved = standard[0] * standard[1] - r / 2 * (standard[0] ** 2 + standard[1] ** 2)
    return np.arctanh(r), errors(moved)[0] / (1 - r**2), degrees(moved)[0]


def test_effects_are_drawn_early_where_the_root_is_large(monkeypatch, seed):
    """Then too each draw is of its own theta: Days of a subject and its sd go together as in a plain fit."""
    data = mb.load_dataset("penicillin")
    crossed = mb.model("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    plain = crossed.fit(seed=seed)
    monkeypatch.setattr(group_effects, "SMALL", 3)
    monkeypatch.setattr(group_effects.Effects, "draws_early", True)
    monkeypatch.setattr(type(crossed.collapsed), "batch", 1)
    early = crossed.fit(seed=seed, draws=500)
    assert_same_posterior(early, plain)
    (one, *its), (other, *others) = (tie(fit) for fit in (plain, early))
    assert_near(one, other, np.hypot(its[0], others[0]), df=min(its[1], others[1]))


def test_a_density_that_cannot_be_computed_is_refused(monkeypatch, model):
    solve = type(model.collapsed).solve
    monkeypatch.setattr(
        type(model.collapsed),
        "solve",
        lambda self, theta: replace(solve(self, theta), log_density=np.full(len(theta), -np.inf)),
    )
    with pytest.raises(mb.DataError, match="cannot be computed: look at the data and priors"):
        model.fit(seed=1)


def test_few_draws_are_complained_of():
    with pytest.warns(mb.ConvergenceWarning, match="fewer than 400 effective draws"):
        mb.fit(FORMULA, SLEEP, seed=1, draws=50)


def test_a_plain_regression_is_exact_too(seed):
    """Flat priors but on sigma: coefficients are Student t around least squares."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=25)
    y = 2 + 3 * x + rng.normal(size=25)
    fit = mb.fit(
        "y ~ x", {"x": x, "y": y}, priors={"b": "flat", "Intercept": "flat", "sigma": "flat"}, seed=seed
    )
    least = stats.linregress(x, y)
    df = 25 - 2 - 1  # p(sigma) flat is one less than 1 / sigma
    s2 = np.sum((y - least.intercept - least.slope * x) ** 2) / df
    scale = np.sqrt(s2 / np.sum((x - x.mean()) ** 2))
    draws = fit.posterior["b"][..., 1].to_numpy()
    assert_mean_near(draws, least.slope)
    assert_likely(stats.kstest((draws.ravel() - least.slope) / scale, stats.t(df).cdf).pvalue)


def test_sampling_imports_no_pymc():
    code = (
        "import sys, mixedbayes as mb\n"
        "mb.fit('Reaction ~ Days + (Days | Subject)', mb.load_dataset('sleepstudy'), seed=1)\n"
        "print([name for name in ('pymc', 'pytensor', 'nutpie') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


INTERRUPTED = """
import os, signal, threading, time
import numpy as np, pandas as pd
import mixedbayes as mb
rng = np.random.default_rng(1)
n, a, b = 40_000, 1500, 1000
data = pd.DataFrame({"a": rng.integers(0, a, n), "b": rng.integers(0, b, n), "y": rng.normal(size=n)})
model = mb.model("y ~ 1 + (1 | a) + (1 | b)", data)
model.collapsed
threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.perf_counter()
try:
    model.fit(draws=100_000)
    print("finished")
except KeyboardInterrupt:
    print("interrupted", "at once" if time.perf_counter() - start < 7 else "late")
"""


@pytest.mark.slow
def test_ctrl_c_stops_at_once():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.strip() == "interrupted at once", done.stderr[-2000:]
