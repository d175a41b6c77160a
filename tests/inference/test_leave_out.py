"""Rows left out of a Gaussian model, in closed form, against dense matrices; theta read back from draws."""

from dataclasses import replace

import dense_gaussian
import numpy as np
import pandas as pd
import pytest
from gaussian_cases import DATA, FORMULAS, PRIORS, N
from monte_carlo import assert_likely
from scipy import stats
from scipy.special import logsumexp
from synthetic import synthetic_draws

import mixedbayes as mb
from mixedbayes.inference.engine import Engine, engine_of
from mixedbayes.inference.gaussian.coordinates import variances_of
from mixedbayes.inference.gaussian.leave_out import LeaveOut
from mixedbayes.inference.gaussian.sample import collapse
from mixedbayes.inference.options import Options

CASES = [
    *((formula, {}) for name, formula in FORMULAS.items() if name != "nested thrice, with slopes"),
    ("y ~ x + (x | g)", PRIORS["flat coefficients"]),
    ("y ~ x + (x | g)", PRIORS["intercept at zero"]),
    ("y ~ x + (x | g)", PRIORS["hyperpriors"]),
    ("y ~ x + (x | g)", PRIORS["sd ~ uniform(0.5, 5)"]),
]


def variables_at(spec, theta):
    """What a fit's posterior holds at the thetas, as one chain: sds and correlations at zero."""
    point = variances_of(spec).at(theta)
    known = point.values  # noqa: PD011
    values = {p.address: known[p.address][None] for p in (*spec.hyper, *spec.auxiliary)}
    for block, factor in zip(spec.blocks, point.factors, strict=True):
        _, T = dense_gaussian.at_means(block.block.X, block.sds)
        F = T @ np.moveaxis(factor, -1, 0)
        covariance = F @ np.swapaxes(F, 1, 2)
        sd = np.sqrt(np.einsum("saa->sa", covariance))
        values[block.sd] = sd[None]
        if block.cor:
            values[block.correlation] = (covariance / (sd[:, :, None] * sd[:, None, :]))[None]
    return values


@pytest.mark.parametrize(("formula", "priors"), CASES)
def test_theta_is_read_back_from_draws(formula, priors):
    spec = mb.model(formula, DATA, priors=priors).spec
    variances = variances_of(spec)
    theta = np.random.default_rng(1).normal(0.3, 0.8, (7, variances.size))
    np.testing.assert_allclose(variances.of(variables_at(spec, theta)), theta, rtol=1e-8, atol=1e-10)


def test_a_correlation_that_rounding_brought_to_one_has_a_finite_theta():
    spec = mb.model("y ~ x + (x | g)", DATA).spec
    values = variables_at(spec, np.zeros((1, 4)))
    values["cor_g"] = np.ones((1, 1, 2, 2))
    assert np.isfinite(variances_of(spec).of(values)).all()


@pytest.mark.parametrize(("formula", "priors"), CASES)
def test_the_density_of_rows_left_out_is_that_of_dense_matrices(formula, priors):
    spec = mb.model(formula, DATA, priors=priors).spec
    theta = np.random.default_rng(2).normal(0.3, 0.4, (3, variances_of(spec).size))
    left = LeaveOut(collapse(spec), None, 1)
    vars(left)["theta"] = theta  # in place of a fit's draws
    for out in ([5], np.flatnonzero(DATA["g"] == 2), np.arange(12)):
        within = np.setdiff1d(np.arange(N), out)
        both = [
            [dense_gaussian.log_posterior(variances_of(spec), t, rows=rows) for t in theta]
            for rows in (slice(None), within)
        ]
        expected = np.subtract(*both)
        np.testing.assert_allclose(left.at_draws(np.asarray(out)), expected, rtol=1e-8, atol=1e-8)


def test_where_there_is_no_closed_form_there_is_none():
    cases = [
        ("y ~ x", {"priors": {"b": "cauchy(0, 1)"}}, Options()),
        ("k ~ x + (1 | g)", {"family": "poisson"}, Options()),
        ("y ~ x", {}, Options("nuts")),
    ]
    for formula, options, drawn in cases:
        spec = mb.model(formula, DATA, **options).spec
        assert Engine(drawn).leave_out(spec, synthetic_draws(spec, 2, 5, 1)) is None
    spec = mb.model("y ~ x + (1 | g)", DATA).spec
    assert Engine(Options()).leave_out(spec, synthetic_draws(spec, 2, 5, 1)) is not None


def test_a_group_far_from_the_others_is_left_out_exactly(seed):
    """Its density is a ratio of two integrals, here over two standard deviations by a dense grid."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(list("bcdefg"), 12)})
    data["y"] = rng.normal(size=72) + 8.0 * (data["g"] == "b")
    spec = mb.model("y ~ 1 + (1 | g)", data).spec
    grid = [np.linspace(-12, 3.5, 500), np.linspace(-0.7, 0.9, 160)]
    theta = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
    out = np.arange(12)
    left = [LeaveOut(collapse(spec), None, seed + i) for i in range(10)]
    expected = [logsumexp(each.log_posterior(theta)) for each in (left[0].density, left[0]._without(out))]
    found, k = np.transpose([each.exactly(out) for each in left])
    assert np.median(k) < 0.5
    assert_likely(stats.ttest_1samp(found, expected[0] - expected[1]).pvalue)
    assert found.std() < 0.05


@pytest.mark.slow
def test_a_fit_remembers_how_it_was_drawn(tmp_path):
    fit = mb.fit("y ~ x + (1 | g)", DATA, seed=5, draws=50, chains=3, method="collapsed")
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    assert loaded.engine == fit.engine == engine_of(fit.idata)
    assert fit.engine.options == Options("collapsed", draws=50, chains=3, seed=5)
    again = loaded.engine.draw(loaded.spec, {"seed": 5})[0]
    np.testing.assert_array_equal(again["posterior"]["b"], fit.posterior["b"])
    changed = replace(fit.engine.options, seed=7)
    assert not np.array_equal(Engine(changed).draw(fit.spec, {})[0]["posterior"]["b"], fit.posterior["b"])


@pytest.mark.slow
def test_options_may_be_numpys_numbers():
    options = {"seed": np.int64(3), "chains": np.int32(2), "draws": np.int64(40), "memory": np.float32(0.5)}
    fit = mb.fit("y ~ x + (1 | g)", DATA, **options)
    assert engine_of(fit.idata) == fit.engine
    assert fit.engine.options == Options(seed=3, chains=2, draws=40, memory=0.5)
    assert mb.fit("y ~ x + (1 | g)", DATA, draws=40, memory=float("inf")).posterior.sizes["g"] == 6


def test_an_engine_is_read_where_its_sampler_is_not_installed(monkeypatch):
    monkeypatch.setattr("mixedbayes.inference.options.find_spec", lambda _: None)
    spec = mb.model("y ~ x", DATA).spec
    idata = synthetic_draws(spec, 2, 5, 1)
    idata["sample_stats"].attrs["mixedbayes_options"] = '{"sampler": "numpyro"}'
    engine = engine_of(idata)
    with pytest.raises(mb.ArgumentError, match="needs the package numpyro"):
        engine.draw(spec, {"seed": 1})
