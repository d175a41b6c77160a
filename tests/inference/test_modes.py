"""Posteriors of several modes, of columns without information, and none at all: what the collapsed engine makes of them."""

import numpy as np
import pandas as pd
import pytest
from brute_force import dense_log_posterior, oracle, posterior
from monte_carlo import assert_likely, assert_mean_near, assert_near
from scipy import stats
from scipy.special import logsumexp
from threadpoolctl import threadpool_info, threadpool_limits

import mixedbayes as mb
from mixedbayes.inference.gaussian.collapsed import Collapsed
from mixedbayes.inference.gaussian.coordinates import variances_of
from mixedbayes.inference.gaussian.sample import collapse, evidence
from mixedbayes.inference.proposals import importance
from mixedbayes.inference.proposals.importance import Proposal


def shifted(by: float) -> pd.DataFrame:
    """20 groups, slopes of sd 0.3, and a predictor that lies far from zero."""
    rng = np.random.default_rng(5)
    x, g = np.tile(np.linspace(-1, 1, 11) * 5, 20), np.repeat(np.arange(20), 11)
    y = 10 + 0.2 * x + rng.normal(0, 1, 20)[g] + rng.normal(0, 0.3, 20)[g] * x + rng.normal(0, 1, 220)
    return pd.DataFrame({"x": x + by, "x0": x, "y": y, "g": g})


def at_the_mean(by: float, spec: mb.model) -> object:
    """The posterior of a model with priors at zero, in the coordinates of effects at the predictor's mean.

    There both modes are wide, and brute force finds them. A covariance S at zero is T C T' of C at the mean, T of
    determinant one, so that the volume of both is the same, and that of each in its coordinates
    |d(s1^2, s2^2, r s1 s2) / d(log s1, log s2, atanh r)| = 4 (s1 s2)^3 (1 - r^2).
    """
    target = dense_log_posterior(variances_of(spec))

    def volume(s1, s2, r):
        return np.log(4) + 3 * np.log(s1 * s2) + np.log1p(-(r**2))

    def moved(theta):
        s1, s2, r = np.exp(theta[:, 0]), np.exp(theta[:, 1]), np.tanh(theta[:, 2])
        v1 = s1**2 - 2 * by * r * s1 * s2 + (by * s2) ** 2
        left = (1 - r**2) * (s1 * s2) ** 2  # the determinant, which shifts leave
        cross = r * s1 * s2 - by * s2**2
        with np.errstate(all="ignore"):
            z1 = np.sqrt(v1)
            p = cross / (z1 * s2)
            complement = left / (v1 * s2**2)  # 1 - p^2 without cancellation
            partial = np.sign(p) * (np.log1p(np.abs(p)) - 0.5 * np.log(complement))
            at_zero = np.column_stack([np.log(z1), theta[:, 1], partial, theta[:, 3]])
            at_zero_volume = np.log(4) + 3 * np.log(z1 * s2) + np.log(complement)
            values = target(at_zero) + volume(s1, s2, r) - at_zero_volume
        return np.where(np.isfinite(values), values, -np.inf)

    return moved


TWO_MODES = {
    "a hundred away": (100, {"sd[g, Intercept]": "exponential(0.664)", "sd[g, x]": "exponential(2.1)"}),
    "two thousand away, flat": (2010, {"sd[g, Intercept]": "flat", "sd[g, x]": "flat"}),
    "two thousand away, wide": (
        2010,
        {"sd[g, Intercept]": "exponential(0.001)", "sd[g, x]": "exponential(2.1)"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TWO_MODES)
def test_both_of_two_modes_are_found_and_weighed(name, seed):
    """Priors at zero of a predictor far from it: random slopes, or none. Either mode was found before, by luck."""
    by, priors = TWO_MODES[name]
    fit = mb.fit("y ~ x + (x | g)", shifted(by), priors=priors, seed=seed)
    known = oracle(
        at_the_mean(by, fit.spec), np.array([0.0, -3.0, 0.0, 0.0]), np.array([1.5, 3.0, 1.5, 0.5]), seed=seed
    )
    log_evidence, k = evidence(collapse(fit.spec), seed)
    assert k < 1  # over MAX_K for some seeds: then the fit says so, and takes Markov chains
    effective = fit.idata["sample_stats"].attrs.get("effective", 400)  # of chains there is no such number
    error = np.hypot(np.sqrt(1 / effective + 1 / known.effective), 0.01)
    assert_near(log_evidence, known.log_evidence, error)
    sd = fit.posterior["sd_g"].sel(g_effect="x").to_numpy().ravel()
    share, own_error = known.share(known.theta[:, 1] < np.log(0.03))
    error = np.hypot(own_error, np.sqrt(share * (1 - share) * (1 / effective + 1 / len(sd))))
    assert_near(np.mean(sd < 0.03), share, error)


def mixture(weights, means, sds):
    scales = np.stack([np.diag(sd) for sd in np.asarray(sds, dtype=float)])
    return Proposal(np.array(weights), np.array(means, dtype=float), scales)


def with_slope(proposal):
    """A mixture's log density and gradient, by differences."""

    def density(theta):
        moves = 1e-5 * np.concatenate([np.eye(theta.shape[1]), -np.eye(theta.shape[1])])
        values = proposal.log_density((theta[:, None] + moves).reshape(-1, theta.shape[1]))
        ahead, behind = np.split(values.reshape(len(theta), -1), 2, axis=1)
        return proposal.log_density(theta), (ahead - behind) / 2e-5

    return density


MIXTURES = {
    "a high narrow and a low wide one": mixture(
        [0.5, 0.5], [[0, 0, 0], [12, 3, -5]], [[0.01, 0.02, 0.01], [1, 2, 1]]
    ),
    "one of twenty": mixture([0.95, 0.05], [[0, 0], [-15, 8]], [[1, 1], [0.5, 0.5]]),
    "three": mixture([0.2, 0.3, 0.5], [[0, 0], [10, 0], [0, 10]], [[1, 1], [0.1, 3], [3, 0.1]]),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_modes_are_weighed_by_their_mass_and_not_by_their_height(name, seed):
    target = MIXTURES[name]
    rng = np.random.default_rng([7, seed])
    density = with_slope(target)
    sds = np.einsum("kii->ki", target.scales)
    begin = np.concatenate([target.means + sds, target.means - 0.5 * sds])
    first = importance.at_modes(density, *importance.find_modes(density, begin))
    assert len(first.means) == len(target.means)
    weighted = importance.sample(target.log_density, first, 4000, rng=rng, at_once=1000, limit=80_000)
    assert weighted.is_trusted
    belongs = target.by_component(weighted.theta)
    belongs = np.exp(belongs - np.logaddexp.reduce(belongs, axis=1, keepdims=True))
    w = np.exp(weighted.log_weights)
    error = np.sqrt((w**2) @ (belongs - target.weights) ** 2)
    assert_near(w @ belongs, target.weights, error)
    assert_near(weighted.log_evidence, 0.0, weighted.effective**-0.5)
    assert weighted.effective > 0.25 * len(weighted.theta)


def test_climbs_end_at_the_modes_whatever_the_scales():
    """A quadratic of very different curvatures, whose mode is known; and a start from which nothing can be computed."""
    scale = 10.0 ** np.array([-3.0, 0.0, 2.0])
    R = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    A, centre = R @ np.diag(scale**-2.0) @ R.T, np.array([1.0, -2.0, 3.0])

    def density(theta):
        d = theta - centre
        values = -0.5 * np.einsum("ni,ij,nj->n", d, A, d)
        return np.where(np.abs(theta).max(axis=1) > 50, np.nan, values), -d @ A

    begin = np.array([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0], [100.0, 0.0, 0.0]])
    modes, values = importance.find_modes(density, begin)
    assert (values[:2] > -0.05).all()
    assert values[2] == -np.inf
    np.testing.assert_array_equal(modes[2], begin[2])


RNG = np.random.default_rng(3)
TREATED = pd.DataFrame(
    {"g": np.resize(np.arange(8), 48), "f": np.repeat(list("abc"), 16), "x": RNG.normal(size=48)}
)
TREATED["y"] = 1 + TREATED["x"] + RNG.normal(size=8)[TREATED["g"]] + RNG.normal(size=48)
TREATED["t"] = (TREATED["f"] == "c") * 1.0


@pytest.mark.parametrize(
    "formula", ["y ~ x + (0 + t | g)", "y ~ x + (t | g)", "y ~ x + (0 + f | g)", "y ~ x + (t || g)"]
)
@pytest.mark.parametrize("left_out", list("abc"))
def test_rows_without_a_column_of_a_group_say_nothing_of_its_effects(formula, left_out, seed):
    """Without the treated rows the column is zero: its sd is what the prior says, and all else as if it were not there."""
    rows = np.flatnonzero(TREATED["f"] != left_out)
    spec = mb.model(formula, TREATED).spec
    log_evidence, k = evidence(collapse(spec.only(rows)), seed)
    known = posterior(variances_of(spec), seed, rows)
    assert k < importance.MAX_K
    assert_near(log_evidence, known.log_evidence, np.hypot(0.02, known.effective**-0.5))


@pytest.mark.slow
def test_leaving_out_all_rows_of_a_column_is_a_prediction_like_others(seed):
    """The same by fits and by evidences, of several seeds each."""
    seeds = range(8 * seed, 8 * seed + 8)
    model = mb.model("y ~ x + (0 + t | g)", TREATED)
    fits = [model.fit(seed=each) for each in seeds]
    loo = [float(fit.loo(groups=TREATED["f"]).elpd) for fit in fits]
    rows = [np.flatnonzero(TREATED["f"] == level) for level in "abc"]
    densities = [
        collapse(model.spec),
        *(collapse(model.spec.only(np.setdiff1d(range(48), out))) for out in rows),
    ]
    expected = [
        3 * whole - sum(parts)
        for whole, *parts in ([evidence(density, 1000 + each)[0] for density in densities] for each in seeds)
    ]
    assert_likely(stats.ttest_ind(loo, expected, equal_var=False).pvalue)
    assert np.std(loo) < 0.3  # of 0.1 by chance, so that the comparison tells something
    kfold = fits[0].kfold(3, groups=TREATED["f"], seed=seed)
    assert -200 < float(kfold.elpd) < -60


def constant(levels, each, values, also=0.0):
    g = np.repeat(np.arange(levels), each)
    return pd.DataFrame(
        {"g": g, "h": np.tile(np.arange(each), levels), "x": np.arange(len(g)) % 7 - 3.0}
    ).assign(y=lambda d: values[d["g"]] + also * d["h"])


UNIFORM = np.random.default_rng(2).normal(100, 15, 20)
NOTHING_LEFT = {
    "constant within groups": ("y ~ 1 + (1 | g)", constant(20, 5, UNIFORM)),
    "rounded": ("y ~ 1 + (1 | g)", constant(20, 5, UNIFORM.round(1))),
    "three groups": ("y ~ 1 + (1 | g)", constant(3, 5, np.arange(3.0))),
    "sums of two factors": ("y ~ 1 + (1 | g) + (1 | h)", constant(20, 5, UNIFORM, 3.0)),
    "constant within groups, slopes": ("y ~ x + (x | g)", constant(20, 5, UNIFORM)),
    "constant within the outer of nested groups": (
        "y ~ 1 + (1 | g/h)",
        pd.concat([constant(20, 5, UNIFORM)] * 2),
    ),
    "a line": ("y ~ h + (1 | g)", constant(20, 5, np.full(20, 7.0), 3.0)),
    "a line, no group": ("y ~ h", constant(20, 5, np.full(20, 7.0), 3.0)),
    "all but rounding": ("y ~ 1 + (1 | g)", constant(20, 5, UNIFORM, 1e-9)),
}


@pytest.mark.parametrize("name", NOTHING_LEFT)
def test_a_response_that_leaves_nothing_to_sigma_is_refused(name):
    formula, data = NOTHING_LEFT[name]
    with pytest.raises(
        mb.DataError, match=r"of y, which varies by .* no residual from which sigma could be estimated"
    ):
        mb.fit(formula, data.reset_index(drop=True), seed=1)


@pytest.mark.parametrize("ratio", [1e-2, 1e-4, 1e-5, 1e-6, 4e-7])
def test_small_residuals_are_estimated_down_to_rounding(ratio, seed):
    """Within groups sigma is known from the sums of squares there, of 80 degrees of freedom, whatever lies between."""
    noise = np.random.default_rng(3).normal(size=100)
    data = constant(20, 5, UNIFORM).assign(y=lambda d: d["y"] + ratio * 15 * noise)
    within = data["y"] - data.groupby("g")["y"].transform("mean")
    fit = mb.fit("y ~ 1 + (1 | g)", data, seed=seed)
    grid = np.sqrt(np.sum(within**2) / 80) * np.linspace(0.5, 2.5, 4000)
    logs = -80 * np.log(grid) - 0.5 * np.sum(within**2) / grid**2 - grid / data["y"].std()
    expected = np.exp(logs - logsumexp(logs)) @ grid
    assert_mean_near(fit.posterior["sigma"].to_numpy(), expected, 1e-4 * expected)
    assert_mean_near(
        fit.posterior["b"][..., 0].to_numpy(), data["y"].mean()
    )  # where its prior has its mean too


@pytest.mark.parametrize("priors", [None, {"Intercept": "student_t(3, 0, 10)"}])
def test_nuts_is_not_asked_for_a_posterior_that_is_none(priors):
    formula, data = NOTHING_LEFT["constant within groups"]
    with pytest.raises(mb.DataError, match="no residual from which sigma could be estimated"):
        mb.fit(formula, data.reset_index(drop=True), seed=1, method="nuts", priors=priors)


def test_effects_as_many_as_rows_leave_a_residual_to_the_priors(seed):
    """Columns then span any response, but no part of it is told by them for certain."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 2), "x": rng.normal(size=12), "y": rng.normal(size=12)})
    spec = mb.model("y ~ 1 + (x | g)", data).spec
    known = posterior(variances_of(spec), seed)
    assert_near(evidence(collapse(spec), seed)[0], known.log_evidence, np.hypot(0.02, known.effective**-0.5))


FLAT = {"sd": "flat", "Intercept": "flat"}


@pytest.mark.parametrize(
    ("formula", "levels", "refused"),
    [
        ("y ~ 1 + (1 | g)", 2, True),
        ("y ~ 1 + (1 | g)", 3, False),
        ("y ~ 1 + (1 | g) + (1 | h)", 3, True),  # h is g: of each sd alone it could be said, of both not
        ("y ~ 1 + (1 | g) + (1 | h)", 4, False),
        ("y ~ 0 + (1 | g)", 2, False),
    ],
)
@pytest.mark.parametrize("unit", [1.0, 1e-5, 1e5])
def test_flat_priors_that_leave_no_posterior_are_refused(formula, levels, refused, unit):
    """The density of the log of an sd falls as sd^(1 - m), m being the groups less what an intercept takes; none for m = 1."""
    rng = np.random.default_rng(levels)
    g = np.repeat(np.arange(levels), 6)
    data = pd.DataFrame(
        {"g": g, "h": g, "y": unit * (rng.normal(size=levels)[g] + rng.normal(size=6 * levels))}
    )
    priors = FLAT if "1 + (" in formula else {"sd": "flat"}
    if refused:
        with pytest.raises(mb.PriorError, match=r"With a flat prior for sd.* there is no posterior"):
            mb.fit(formula, data, priors=priors, seed=1)
    else:
        assert np.isfinite(mb.fit(formula, data, priors=priors, seed=1, draws=100).posterior["sigma"]).all()


def test_a_model_of_a_residual_alone_is_fitted(seed):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"w": rng.normal(size=40)}).assign(y=lambda d: d["w"] + rng.normal(0, 2, 40))
    fit = mb.fit("y ~ 0 + offset(w)", data, seed=seed, priors={"sigma": "flat"})
    S = np.sum((data["y"] - data["w"]) ** 2)
    grid = np.linspace(0.5, 6, 4000)
    logs = -40 * np.log(grid) - 0.5 * S / grid**2
    expected = np.exp(logs - logsumexp(logs)) @ grid
    assert_mean_near(fit.posterior["sigma"].to_numpy(), expected)


def test_blas_has_one_thread_while_a_fit_is_made(monkeypatch):
    """And as many as before, afterwards."""

    def threads():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    seen, solve = [], Collapsed.solve
    monkeypatch.setattr(
        Collapsed, "solve", lambda self, theta: (seen.append(threads()), solve(self, theta))[1]
    )
    with threadpool_limits(2, "blas"):
        before = threads()
        mb.fit("y ~ x + (1 | g)", TREATED, seed=1).loo(groups="g")
        assert threads() == before
    assert seen
    assert all(set(each) == {1} for each in seen)
