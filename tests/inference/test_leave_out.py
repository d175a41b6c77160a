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
from mixedbayes.inference.gaussian import rows, sample
from mixedbayes.inference.gaussian.coordinates import as_matrix, variances_of
from mixedbayes.inference.gaussian.leave_out import LeaveOut
from mixedbayes.inference.gaussian.sample import collapse, extended, moments_of
from mixedbayes.inference.options import Options

real = LeaveOut._fits

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
        F = T @ np.moveaxis(factor if factor.ndim == 3 else as_matrix(factor), -1, 0)  # or a diagonal
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


@pytest.mark.parametrize("kind", ["weights", "precisions"])
@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)"])
def test_what_stands_beside_the_response_counts_in_every_density(monkeypatch, kind, formula):
    """With rows left out and rows added, too; a weight of k is a row written k times."""
    numbers = np.resize([1.0, 2.0, 3.0], N)
    beside = lambda design: rows.Additions(**{kind: numbers[design.rows.kept]})  # noqa: E731
    monkeypatch.setattr(rows, "additions_of", beside)
    spec, out = mb.model(formula, DATA).spec, np.arange(5, 17)
    rest = np.setdiff1d(np.arange(N), out)
    theta = np.random.default_rng(2).normal(0.3, 0.4, (3, variances_of(spec).size))
    left = LeaveOut(collapse(spec), None, 1)
    vars(left)["theta"] = theta
    whole, without = collapse(spec).log_posterior(theta), collapse(spec.only(rest)).log_posterior(theta)
    np.testing.assert_allclose(left.at_draws(out), whole - without, rtol=1e-9, atol=1e-9)
    grown = extended(moments_of(spec, rest), spec, out)
    np.testing.assert_allclose(grown.log_posterior(theta), whole, rtol=1e-10)
    if kind == "weights":
        monkeypatch.undo()
        again = spec.only(np.repeat(np.arange(N), numbers.astype(int)))
        np.testing.assert_allclose(whole, collapse(again).log_posterior(theta), rtol=1e-10)


def badly_scaled():
    """Columns and a response of very different sizes, far from zero; a group that has most of a column."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(12), 10)
    x = 1e8 + 1e3 * rng.normal(size=120) * np.where(g == 3, 40.0, 1.0)
    w = 1e-6 * rng.normal(size=12)[g]
    y = -5e4 + 2e-3 * (x - 1e8) + 1e6 * w + rng.normal(size=12)[g] + rng.normal(size=120)
    return pd.DataFrame({"g": g, "h": np.resize(list("abcde"), 120), "x": x, "w": w, "y": y})


@pytest.mark.parametrize(
    "formula", ["y ~ x + w + (x | g)", "y ~ x + w + (1 | g) + (x | h)", "y ~ x + w + (x | g:h)"]
)
@pytest.mark.parametrize("column", ["g", "h"])
def test_moments_taken_off_are_as_good_as_those_of_the_other_rows(monkeypatch, formula, column):
    """By all ways: levels taken off the root, the root made anew, and where a group has most of a column, all other rows."""
    data = badly_scaled()
    spec = mb.model(formula, data).spec
    density = collapse(spec)
    theta = density.variances.start({"sigma": 1.0}) + np.random.default_rng(1).normal(
        0, 0.3, (5, density.variances.size)
    )
    left, plain = LeaveOut(density, None, 1), LeaveOut(density, None, 1)
    vars(left)["theta"] = vars(plain)["theta"] = theta
    monkeypatch.setattr(LeaveOut, "_fits", lambda self, levels: self is left and real(self, levels))
    for level in sorted(set(data[column])):
        out = np.flatnonzero(data[column] == level)
        direct = collapse(spec.only(np.setdiff1d(np.arange(120), out))).log_posterior(theta)
        for each in (left, plain):
            np.testing.assert_allclose(each.log_density - each.at_draws(out), direct, rtol=0, atol=1e-5)
    assert not plain._rest(np.flatnonzero(data["g"] == 3))[1]
    assert plain._rest(np.flatnonzero(data["g"] == 4))[1]


def test_leaving_groups_out_reads_each_row_once(monkeypatch):
    read = []
    made = sample.chunks_of
    monkeypatch.setattr(
        sample,
        "chunks_of",
        lambda design, at=None: read.append(design.n if at is None else len(at)) or made(design, at),
    )
    fit = mb.fit("y ~ x + (1 | school)", DATA, seed=1, draws=200)
    read.clear()
    assert fit.loo(groups="school").n_data_points == 5
    assert sum(read) == N


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
