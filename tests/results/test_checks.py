"""Replicated data as ArviZ takes them, and what is in the pictures of them."""

import re
import warnings
from contextlib import nullcontext

import arviz as az
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from monte_carlo import assert_likely, assert_near
from scipy import stats
from synthetic import NoEngine, synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, ConvergenceWarning, DesignWarning, PictureWarning
from mixedbayes.results.checks.calibration import is_binary, loo_means, loo_places
from mixedbayes.results.checks.pp_check import bernoulli_draws
from mixedbayes.results.comparison.psis import leave_out_weights
from mixedbayes.results.fit import Fit
from mixedbayes.results.rows.predictor import predictor_of

RNG = np.random.default_rng(3)
N = 60
DATA = pd.DataFrame(
    {
        "y": RNG.normal(5.0, 2.0, N),
        "x": RNG.normal(0.0, 1.0, N),
        "school": np.resize(["s/1", "s/2", "s3"], N),
        "item": np.resize([1.5, 2.0, 3.0, 10.0], N),
        "day": np.resize(pd.date_range("2024-01-01", periods=5), N),
        "pupil": np.resize(np.arange(20), N),
        "count": RNG.poisson(3.0, N),
        "won": np.resize(["no", "yes", "yes"], N),
        "n": np.resize([4, 7, 10], N),
    },
    index=np.arange(N) // 2,  # labels that occur twice
)
DATA["s"] = RNG.binomial(DATA["n"], 0.4)
FORMULAS = {
    "gaussian": "y ~ x + (1 | school) + (1 | pupil)",
    "poisson": "count ~ x + (1 | school)",
    "bernoulli": "won ~ x + (1 | school)",
    "binomial": "s | trials(n) ~ x + (1 | school)",
}
FITS = {}


@pytest.fixture(autouse=True)
def _pictures(monkeypatch):
    mpl.use("Agg")
    yield
    mpl.pyplot.close("all")


def fit_of(family):
    """A fit with draws that are not far from the data."""
    if family not in FITS:
        fit = synthetic_fit(FORMULAS[family], DATA, family)
        posterior = fit.idata["posterior"].to_dataset()
        at = {"gaussian": [5.0, 0.0], "poisson": [1.1, 0.0]}.get(family, [-0.2, 0.0])
        near = {name: draws * 0.05 for name, draws in posterior.items() if name not in ("b", "sigma")}
        near["b"] = posterior["b"] * 0.1 - 0.2 + xr.DataArray(at, dims="coefficient")
        tree = fit.idata.copy()
        tree["posterior"] = xr.DataTree(posterior.assign(near))
        FITS[family] = Fit(fit.spec, tree, NoEngine())
    return FITS[family]


def axes_of(picture):
    return {str(name): axes.item() for name, axes in picture.viz["plot"].data_vars.items()}


def lines_of(picture, what, panel):
    return list(np.ravel(picture.viz[what][panel].to_numpy()))


def quietly(family, kind):
    """Draws that are noise have bad importance weights."""
    return (
        warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
        if kind == "calibration"
        else nullcontext()
    )


@pytest.mark.parametrize("family", FORMULAS)
def test_the_tree_holds_replicated_and_observed_responses_of_the_same_rows(family):
    fit = fit_of(family)
    tree = fit.posterior_predictive(seed=1)
    replicated, data = (tree[group][fit.spec.response] for group in ("posterior_predictive", "observed_data"))
    assert replicated.dims == ("chain", "draw", "observation")
    assert replicated.shape == (4, 25, N)
    np.testing.assert_array_equal(data, fit.spec.design.response.values)
    np.testing.assert_array_equal(replicated["observation"], tree["log_likelihood"]["observation"])
    mean = fit.predict(draws=True).to_numpy() * (1 if family != "binomial" else DATA["n"].to_numpy())
    variance = {
        "gaussian": lambda: (fit.posterior["sigma"].to_numpy() ** 2)[..., None],
        "poisson": lambda: mean,
        "bernoulli": lambda: mean * (1 - mean),
        "binomial": lambda: mean * (1 - mean / DATA["n"].to_numpy()),
    }[family]()
    z = (replicated.to_numpy() - mean).sum(axis=(0, 1)) / np.sqrt((variance + 0 * mean).sum(axis=(0, 1)))
    assert np.abs(z).max() < 5
    assert {replicated.dtype.kind, data.dtype.kind} == {"f" if family == "gaussian" else "i"}


def test_levels_are_zeros_and_ones():
    data = fit_of("bernoulli").posterior_predictive(5)["observed_data"]["won"]
    np.testing.assert_array_equal(data, DATA["won"] == "yes")


@pytest.mark.parametrize("n", [1, 7, 99])
def test_n_draws_are_spread_evenly_over_the_posterior(n):
    fit = synthetic_fit("y ~ x", DATA)
    fit.idata["posterior"]["sigma"] = fit.idata["posterior"]["sigma"] * 1e-9
    tree = fit.posterior_predictive(n)
    found = tree["posterior_predictive"]["y"]
    assert found.shape == (1, n, N)
    every = fit.predict(draws=True).to_numpy().reshape(100, N)
    places = [int(np.argmin(np.abs(every - one).sum(axis=1))) for one in found.to_numpy()[0]]
    np.testing.assert_allclose(found[0], every[places], atol=1e-6)
    assert np.ptp(np.diff([-1, *places, 100])[1:-1]) <= 1 if n > 1 else places == [50]
    assert set(tree.children) == {"posterior_predictive", "observed_data"}


def test_new_rows_have_replicates_and_no_data():
    fit = fit_of("poisson")
    new = pd.DataFrame({"x": [0.0, 1.0, np.nan], "school": ["s3", "new", "s3"]})
    with pytest.warns(DesignWarning, match="x in 1 row"):
        tree = fit.posterior_predictive(newdata=new, seed=2)
    assert set(tree.children) == {"posterior_predictive"}
    drawn = tree["posterior_predictive"]["count"]
    assert np.isnan(drawn[..., 2]).all()
    complete = fit.posterior_predictive(newdata=new[:2], groups=None, new_levels="population", seed=2)
    assert complete["posterior_predictive"]["count"].dtype.kind == "i"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is a whole number of at least 1, or None, not 0"),
        ({"n": True}, "n is a whole number of at least 1, or None, not True"),
        ({"groups": ["shcool"]}, "Did you mean 'school'?"),
    ],
)
def test_bad_options_of_the_tree_are_refused_with_a_sentence(options, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        fit_of("gaussian").posterior_predictive(**options)


def test_more_draws_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr("mixedbayes.arguments.MOST_HELD", 8 * N * 30)
    with pytest.raises(ArgumentError, match=r"100 draws of 60 rows are .* n=30 is the most"):
        fit_of("gaussian").posterior_predictive()
    assert fit_of("gaussian").posterior_predictive(30)["posterior_predictive"].sizes["draw"] == 30
    assert len(lines_of(fit_of("gaussian").pp_check(), "predictive_dist", "y")) == 30


def test_a_fit_with_few_draws_of_effects_has_replicates_of_those():
    fit = synthetic_fit("y ~ x + (1 | school)", DATA)
    posterior = fit.idata["posterior"].to_dataset()
    moments = {
        "r_school": posterior["r_school"].mean(["chain", "draw"]),
        "r_school_sd": posterior["r_school"].std(["chain", "draw"]),
    }
    groups = {
        "posterior": posterior.drop_vars("r_school"),
        "group_effects": posterior[["r_school"]].isel(draw=[3, 11]),
        "group_effects_moments": xr.Dataset(moments),
    }
    tree = Fit(fit.spec, xr.DataTree.from_dict(groups), NoEngine()).posterior_predictive()
    assert list(tree["posterior_predictive"]["draw"].to_numpy()) == [3, 11]
    assert tree["log_likelihood"].sizes == tree["posterior_predictive"].sizes


ARVIZ = {
    "summary": lambda fit: az.summary(fit.idata, var_names=["b", "sd_school"]),
    "plot_trace": lambda fit: az.plot_trace(fit.idata, var_names=["b"]),
    "plot_forest": lambda fit: az.plot_forest(fit.idata, var_names=["r_school"]),
    "loo": lambda fit: az.loo(fit.idata),
    "plot_ppc_dist": lambda fit: az.plot_ppc_dist(fit.posterior_predictive(50, seed=1), kind="ecdf"),
    "plot_ppc_tstat": lambda fit: az.plot_ppc_tstat(fit.posterior_predictive(seed=1)),
    "plot_ppc_pit": lambda fit: az.plot_ppc_pit(fit.posterior_predictive(seed=1)),
    "plot_loo_pit": lambda fit: az.plot_loo_pit(fit.posterior_predictive(seed=1)),
    "loo_pit": lambda fit: az.loo_pit(fit.posterior_predictive(seed=1)),
}


@pytest.mark.filterwarnings(
    "ignore:Estimated shape parameter",  # draws that are noise
    "ignore:(invalid value|divide by zero):RuntimeWarning:arviz_stats",  # ArviZ's tails of equal counts
)
@pytest.mark.parametrize("function", ARVIZ)
@pytest.mark.parametrize("family", ["gaussian", "poisson", "binomial"])
def test_arviz_takes_fits_and_trees_and_leaves_them_unchanged(family, function):
    fit = fit_of(family)
    before = fit.idata.copy(deep=True)
    assert ARVIZ[function](fit) is not None
    xr.testing.assert_identical(fit.idata, before)


@pytest.mark.parametrize(
    ("family", "function"), [("poisson", az.plot_ppc_rootogram), ("bernoulli", az.plot_ppc_pava)]
)
def test_arviz_knows_counts_and_binary_responses(family, function):
    tree = fit_of(family).posterior_predictive(seed=1)
    picture = function(tree)
    assert any(axes.lines or axes.collections for axes in picture.viz["figure"].item().axes)
    kinds = [
        tree[group][fit_of(family).spec.response].dtype.kind
        for group in ("posterior_predictive", "observed_data")
    ]
    assert kinds == ["i", "i"]  # by which it knows them


def test_a_density_shows_each_replicated_data_set_and_the_data():
    picture = fit_of("gaussian").pp_check(seed=1)
    (axes,) = axes_of(picture).values()
    assert axes.get_xlabel() == "y"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "observed",
        "replicated (50 draws)",
    ]
    replicated, (data,) = (lines_of(picture, name, "y") for name in ("predictive_dist", "observed_dist"))
    assert len(replicated) == 50
    x, density = data.get_data()
    assert (x.min(), x.max()) == pytest.approx((DATA["y"].min(), DATA["y"].max()), abs=0.05)
    assert np.trapezoid(density, x) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("family", "column"), [("poisson", "count"), ("binomial", "s"), ("bernoulli", "won")]
)
def test_of_discrete_responses_the_density_is_cumulative(family, column):
    fit = fit_of(family)
    picture = fit.pp_check(n=10, seed=1)
    data = fit.spec.design.response.values  # noqa: PD011
    drawn = fit.posterior_predictive(10, seed=1)["posterior_predictive"][fit.spec.response].to_numpy()[0]
    replicated, (observed,) = (
        lines_of(picture, name, column) for name in ("predictive_dist", "observed_dist")
    )
    for line, values in [(observed, data), *zip(replicated, drawn, strict=True)]:
        assert line.get_drawstyle() == "steps-pre"  # at each x, the line has the height of the x behind it
        x, share = line.get_data()
        np.testing.assert_allclose(share[1:], [(values <= at).mean() for at in x[:-1]])
        assert (share[0], share[-1]) == (0.0, 1.0)


def test_one_row_a_level_is_seen_too():
    data = DATA.assign(one=np.where(np.arange(N) == 0, "lone", "others"))
    fit = synthetic_fit("count ~ x + (1 | one)", data, "poisson", seed=2)
    fit.idata["posterior"]["b"] = fit.idata["posterior"]["b"] * 0.1
    picture = fit.pp_check(by="one", seed=1)
    (line,) = lines_of(picture, "observed_dist", "one=lone")
    x, share = line.get_data()
    np.testing.assert_allclose(share[1:], x[:-1] >= data["count"].iloc[0])


def ends(axes):
    """Where the bars begin and end."""
    (bars,) = axes.collections
    vertices = bars.get_paths()[0].vertices
    return vertices[:, 0].min(), vertices[:, 0].max()


SHARE = "share_of_ones"


def share_of_ones(values):
    return (values == 1).mean()


STATISTICS = {
    "mean": np.mean,
    "sd": lambda values: np.std(values, ddof=1),
    "min": np.min,
    "max": np.max,
    "median": np.median,
    SHARE: share_of_ones,
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("family", FORMULAS)
def test_the_statistic_is_that_of_the_data_and_of_the_replicated_data(family, name):
    fit = fit_of(family)
    stat = share_of_ones if name == SHARE else name
    picture = fit.pp_check("stat", stat=stat, n=40, seed=1)
    drawn = fit.posterior_predictive(40, seed=1)["posterior_predictive"][fit.spec.response].to_numpy()[0]
    by_hand = np.array([STATISTICS[name](values) for values in drawn])
    np.testing.assert_allclose(picture.data[fit.spec.response], by_hand)
    ((axes_name, axes),) = axes_of(picture).items()
    assert axes_name == fit.spec.response
    assert axes.get_xlabel().startswith(f"{name} of {fit.spec.design.response.name}")
    (line,) = lines_of(picture, "observed", fit.spec.response)
    np.testing.assert_allclose(line.get_xdata(), STATISTICS[name](fit.spec.design.response.values))
    low, high = ends(axes)
    assert low - 1e-9 <= by_hand.min() <= by_hand.max() <= high + 1e-9


@pytest.mark.parametrize(
    ("values", "observed"),
    [
        (np.ones(30), 1.0),
        (np.ones(30), 1.001),
        (np.resize([3.0, 4.0, 7.0], 30), 5.0),
        (np.random.default_rng(1).integers(0, 500, 2000) / 7, 5.0),
        (np.random.default_rng(1).normal(size=500), 0.0),
        (np.zeros(1), -3.0),
    ],
)
def test_bars_hold_all_draws(values, observed):
    from mixedbayes.results.checks.pictures import FINEST, _edges

    edges = _edges(values, observed)
    assert np.histogram(values, edges)[0].sum() == len(values)
    assert 1 <= len(edges) - 1 <= FINEST + 1
    whole = np.unique(values)
    if 1 < len(whole) < 20:
        assert not np.isin(edges, whole).any()


def test_several_statistics_have_a_panel_each():
    picture = fit_of("gaussian").pp_check("stat", stat=["mean", "sd", share_of_ones], seed=1)
    assert [axes.get_title() for axes in axes_of(picture).values()] == ["mean", "sd", "share_of_ones"]
    assert picture.viz["figure"].item().get_supxlabel() == "y"


LEVELS = {
    "school": ["s/1", "s/2", "s3"],
    "item": ["1.5", "2.0", "3.0", "10.0"],
    "day": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"],
    "school:item": None,
}


@pytest.mark.parametrize("by", LEVELS)
@pytest.mark.parametrize("kind", ["grouped", "stat", "density"])
def test_each_level_has_a_panel_of_its_rows(kind, by):
    fit = synthetic_fit("y ~ x + (1 | school/item) + (1 | day)", DATA)
    picture = fit.pp_check(kind, by=by, seed=1)
    panels = axes_of(picture)
    texts = DATA["school"] + ":" + DATA["item"].astype(str) if ":" in by else DATA[by].astype(str)
    levels = LEVELS[by] or sorted(
        set(texts), key=lambda text: (text.split(":")[0], float(text.split(":")[1]))
    )
    assert [axes.get_title() for axes in panels.values()] == [f"{by} = {level}" for level in levels]
    for (name, _), level in zip(panels.items(), levels, strict=True):
        values = DATA["y"][(texts == level).to_numpy()]
        if kind == "density":
            (line,) = lines_of(picture, "observed_dist", name)
            x, share = line.get_data()
            np.testing.assert_allclose(share[1:], [(values <= at).mean() for at in x[:-1]])
        else:
            (line,) = lines_of(picture, "observed", name)
            np.testing.assert_allclose(line.get_xdata(), values.mean())
    legend = picture.viz["figure"].item().legends[0]
    assert legend.get_texts()[0].get_text() == "observed"


def test_of_many_levels_those_with_most_rows_are_shown_and_the_rest_told():
    data = pd.concat([DATA, DATA[DATA["pupil"] == 17]])
    fit = synthetic_fit("y ~ x + (1 | pupil)", data)
    with pytest.warns(
        PictureWarning, match="pupil has 20 levels; the picture shows the 16 with most rows. max_levels="
    ):
        picture = fit.pp_check("grouped", by="pupil", seed=1)
    assert [axes.get_title() for axes in axes_of(picture).values()] == [
        f"pupil = {i}" for i in [*range(15), 17]
    ]
    assert len(axes_of(fit.pp_check("grouped", by="pupil", max_levels=50, seed=1))) == 20
    assert len(axes_of(fit.pp_check("grouped", by="pupil", max_levels=3, seed=1))) == 3


def test_more_panels_than_arviz_has_by_default_can_be_asked_for():
    data = DATA.assign(each=np.arange(N))
    fit = synthetic_fit("count ~ x + (1 | each)", data, "poisson")
    fit.idata["posterior"] = fit.idata["posterior"].to_dataset() * 0.1
    assert len(axes_of(fit.pp_check("grouped", by="each", max_levels=N, n=5))) == N


def test_levels_without_the_statistic_are_left_out_and_told():
    data = DATA.assign(one=np.where(np.arange(N) == 0, "lone", "others"))
    fit = synthetic_fit("y ~ x + (1 | one)", data)
    with pytest.warns(PictureWarning, match="not a finite number and not shown of one=lone"):
        picture = fit.pp_check("grouped", by="one", stat="sd", seed=1)
    assert list(axes_of(picture)) == ["one=others"]
    with pytest.raises(ArgumentError, match="not a finite number, of the data or of replicated data: y"):
        fit.pp_check("stat", stat=lambda _: np.nan)


def test_titles_of_long_levels_have_several_lines():
    data = DATA.assign(
        school=[f"School number {i % 3} of the city that nobody can remember" for i in range(N)]
    )
    picture = synthetic_fit("y ~ x + (1 | school)", data).pp_check("grouped", by="school", seed=1)
    assert [axes.get_title() for axes in axes_of(picture).values()] == [
        f"school = School number {i} of\nthe city that nobody can\nremember" for i in range(3)
    ]


def test_a_rootogram_counts_rows_of_the_data_and_of_replicated_data():
    fit = fit_of("poisson")
    picture = fit.pp_check("rootogram", n=60, seed=1)
    drawn = fit.posterior_predictive(60, seed=1)["posterior_predictive"]["count"].to_numpy()[0]
    (markers,) = lines_of(picture, "observed_markers", "count")
    for value, rows in markers.get_offsets():
        assert rows == (DATA["count"] == value).sum()
    values = [value for value, _ in markers.get_offsets()]
    assert set(values) == set(DATA["count"]) | set(drawn.ravel())
    (medians,) = lines_of(picture, "predictive_markers", "count")
    for value, rows in medians.get_offsets():
        assert rows == np.median((drawn == value).sum(axis=1))


@pytest.mark.parametrize("family", ["bernoulli", "binomial"])
def test_a_rootogram_is_of_any_whole_numbers(family):
    (axes,) = axes_of(fit_of(family).pp_check("rootogram", seed=1)).values()
    assert axes.get_ylabel() == "rows"
    assert axes.get_yscale() == "sqrt"


def test_a_rootogram_is_not_of_a_continuous_response():
    with pytest.raises(
        ArgumentError, match="y is continuous: 'density', 'stat', 'grouped' and 'calibration' suit it"
    ):
        fit_of("gaussian").pp_check("rootogram")


def test_a_response_is_binary_if_it_can_be_nothing_but_zero_or_one():
    zeros = DATA.assign(count=np.arange(N) % 2, n=1, s=np.arange(N) % 2)
    fits = [(fit_of(family), family == "bernoulli") for family in FORMULAS]
    fits += [
        (synthetic_fit(FORMULAS[family], zeros, family), family == "binomial")
        for family in ("poisson", "binomial")
    ]
    for fit, expected in fits:
        assert is_binary(predictor_of(fit)) is expected


def flat(fit):
    """A fit whose draws are all but equal, so that importance weights are even."""
    posterior = fit.idata["posterior"].to_dataset()
    mean = posterior.mean(["chain", "draw"])
    tree = fit.idata.copy()
    tree["posterior"] = xr.DataTree(mean + (posterior - mean) * 1e-6)
    return Fit(fit.spec, tree, NoEngine())


def test_places_are_those_of_responses_in_their_predictive_distribution():
    fit = flat(fit_of("gaussian"))
    mean, sigma = fit.predict()["estimate"].to_numpy(), float(fit.posterior["sigma"].mean())
    found = loo_places(fit, predictor_of(fit))
    np.testing.assert_allclose(found, stats.norm.cdf((DATA["y"] - mean) / sigma), atol=1e-4)


@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_places_of_counts_lie_between_less_and_as_much(family, seed):
    fit = flat(fit_of(family))
    mean, y = fit.predict()["estimate"].to_numpy(), fit.spec.design.response.values  # noqa: PD011
    law = stats.poisson(mean) if family == "poisson" else stats.binom(DATA["n"], mean)
    low, high = law.cdf(y - 1), law.cdf(y)
    found = np.array([loo_places(fit, predictor_of(fit, seed=i)) for i in range(50 * seed, 50 * seed + 50)])
    assert ((low - 1e-4 <= found) & (found <= high + 1e-4)).all()
    assert_likely(stats.kstest(((found - low) / (high - low)).ravel(), "uniform").pvalue)


def test_leaving_a_row_out_moves_the_distribution_away_from_it(seed):
    """The exact leave-one-out distribution of a normal mean with known variance and a flat prior."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"y": rng.normal(0.0, 1.0, 12)})
    fit = synthetic_fit("y ~ 1", data, chains=4, draws=5000)
    tree = fit.idata.copy()
    posterior = tree["posterior"].to_dataset()
    mean, sd = data["y"].mean(), 1 / np.sqrt(12)
    drawn = mean + sd * np.random.default_rng([4, seed]).standard_normal(posterior["b"].shape)
    tree["posterior"] = xr.DataTree(
        posterior.assign(b=posterior["b"].copy(data=drawn), sigma=posterior["sigma"] * 0 + 1)
    )
    fit = Fit(fit.spec, tree, NoEngine())
    others = (data["y"].sum() - data["y"]) / 11
    exact = stats.norm.cdf((data["y"] - others) / np.sqrt(1 + 1 / 11))
    # the weights of 20,000 independent draws have a variance here: no row's is much over one
    places, means = (found(fit, predictor_of(fit)) for found in (loo_places, loo_means))
    assert_near(places, exact, np.sqrt(2 * exact * (1 - exact) / 20_000))
    assert_near(means, others, np.sqrt(2 / 11 / 20_000))


def test_weights_that_cannot_be_smoothed_are_plain_importance_weights(monkeypatch):
    logs = np.random.default_rng(1).normal(size=(2, 400))
    smooth, k = leave_out_weights(logs, 1.0)
    smooth = np.exp(smooth)
    plain = np.exp(-logs) / np.exp(-logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(smooth, plain, atol=0.01)
    np.testing.assert_allclose(smooth.sum(axis=1), 1.0)
    monkeypatch.setattr(
        "mixedbayes.results.comparison.psis.array_stats.psislw",
        lambda values, **_: (np.where([[True], [False]], np.nan, -values), k),
    )
    found, infinite = leave_out_weights(logs, 1.0)
    found = np.exp(found)
    np.testing.assert_allclose(found, plain)
    assert infinite[0] == np.inf
    assert infinite[1] == k[1]


@pytest.mark.parametrize(("family", "name"), [("gaussian", "y"), ("poisson", "count"), ("binomial", "s")])
def test_calibration_shows_how_far_places_are_from_uniform(family, name):
    fit = flat(fit_of(family))
    picture = fit.pp_check("calibration", seed=1)
    ((_, axes),) = axes_of(picture).items()
    assert axes.get_xlabel() == f"place of {name} in its predictive distribution (LOO-PIT)"
    assert axes.get_title().startswith("test of uniformity: p ")
    places = np.sort(loo_places(fit, predictor_of(fit, seed=1)))
    (line,) = lines_of(picture, "ecdf_lines", "place")
    x, difference = line.get_data()
    inside = (x > 0) & (x < 1)
    expected = np.searchsorted(places, x, side="right") / N - x
    np.testing.assert_allclose(difference[inside], expected[inside], atol=1.5 / N)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:2] == ["observed", "uniform"]


def test_calibration_of_a_binary_response_is_its_share_by_predicted_probability():
    fit = flat(fit_of("bernoulli"))
    picture = fit.pp_check("calibration", n=500, seed=1)
    ((_, axes),) = axes_of(picture).items()
    assert axes.get_xlabel() == "predicted probability of won = 'yes' (against 'no')"
    (line,) = lines_of(picture, "lines", "won")
    x, share = line.get_data()
    p = fit.predict()["estimate"].to_numpy()
    np.testing.assert_allclose(x, np.sort(p), atol=1 / 500 + 1e-4)
    assert (np.diff(share) >= 0).all()
    assert share.mean() == pytest.approx((DATA["won"] == "yes").mean())


def test_draws_of_probabilities_have_their_mean_and_are_independent(seed):
    p = np.array([0.0, 1.0, 0.3, 0.3, 0.7123, 1e-3])
    drawn = bernoulli_draws(p, 2000, np.random.default_rng([1, seed]))
    np.testing.assert_allclose(drawn.mean(axis=0), p, atol=1 / 2000)
    assert_near(np.corrcoef(drawn[:, 2:5].T)[np.triu_indices(3, 1)], 0, 1 / np.sqrt(2000))
    runs = [
        bernoulli_draws(np.array([0.37]), 10, np.random.default_rng([seed, i]))[0, 0] for i in range(4000)
    ]
    assert_near(np.mean(runs), 0.37, np.sqrt(0.37 * 0.63 / 4000))


def test_weights_that_are_not_to_be_trusted_are_told():
    fit = synthetic_fit("y ~ x + (1 | school)", DATA)
    with pytest.warns(
        ConvergenceWarning, match="importance weights of .* where these rows stand in the picture"
    ):
        fit.pp_check("calibration", seed=1)


def test_labels_say_what_numbers_are():
    for family, label in [
        ("bernoulli", "won, 1 where won = 'yes' (against 'no')"),
        ("binomial", "s (successes)"),
        ("gaussian", "y"),
    ]:
        (axes,) = axes_of(fit_of(family).pp_check(seed=1)).values()
        assert axes.get_xlabel() == label


@pytest.mark.parametrize("kind", ["density", "stat", "rootogram", "calibration"])
@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_the_same_seed_gives_the_same_picture(family, kind, tmp_path):
    pictures = []
    for seed in (1, 1, 2):
        with quietly(family, kind):
            fit_of(family).pp_check(kind, seed=seed).savefig(
                tmp_path / "picture.png", metadata={"Software": ""}
            )
        pictures.append((tmp_path / "picture.png").read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


def test_a_response_that_is_a_call_has_a_picture():
    fit = synthetic_fit("log(n / 2) ~ x + (1 | school)", DATA)
    (axes,) = axes_of(fit.pp_check(seed=1)).values()
    assert axes.get_xlabel() == "log(n / 2)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "densty"},
            "kind is one of 'density', 'stat', 'grouped', 'rootogram', 'calibration', not 'densty'. Did you mean 'density'?",
        ),
        ({"kind": None}, "kind is one of"),
        (
            {"kind": "grouped"},
            "kind='grouped' needs by=, the name of a factor; the fit knows school, pupil, y, x",
        ),
        (
            {"kind": "calibration", "by": "school"},
            "by= goes with 'density', 'stat', 'grouped', not with 'calibration'",
        ),
        ({"stat": "sd"}, "stat= goes with 'stat', 'grouped', not with 'density'"),
        ({"by": "shcool"}, "rows can be grouped by pupil, school, y, x. Did you mean 'school'?"),
        (
            {"kind": ["density"]},
            "kind is one of 'density', 'stat', 'grouped', 'rootogram', 'calibration', not ['density']",
        ),
        (
            {"kind": "stat", "stat": repr},
            "The statistic 'repr' takes the responses of a data set and returns one",
        ),
        ({"by": ["school"]}, "by is the name of a factor, not ['school']"),
        ({"kind": "stat", "stat": "medain"}, "or a function, not 'medain'. Did you mean 'median'?"),
        ({"kind": "stat", "stat": 3}, "stat is a name, a function, or a list of these, not 3"),
        ({"kind": "stat", "stat": []}, "stat is a name, a function, or a list of these, not []"),
        ({"kind": "stat", "stat": [["mean"]]}, "or a function, not ['mean']"),
        ({"kind": "stat", "stat": ["sd", "sd"]}, "Two statistics are named 'sd'"),
        (
            {"kind": "stat", "stat": np.sort},
            "The statistic 'sort' takes the responses of a data set and returns one number",
        ),
        ({"n": 2.5}, "n is a whole number of at least 1, or None, not 2.5"),
        ({"max_levels": 3}, "max_levels= is of the levels of by=, which names no factor."),
        ({"kind": "calibration", "n": 9}, "kind='calibration' of y needs no replicated data, of which n="),
        ({"max_levels": 0}, "max_levels is a whole number of at least 1, not 0"),
        ({"seed": "x"}, "seed is a whole number of at least 0, not 'x'"),
    ],
)
def test_bad_checks_are_refused_with_a_sentence(options, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        fit_of("gaussian").pp_check(**options)


def test_a_loaded_fit_has_the_same_pictures(tmp_path):
    fit = fit_of("poisson")
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    xr.testing.assert_equal(
        loaded.posterior_predictive(9, seed=1)["posterior_predictive"],
        fit.posterior_predictive(9, seed=1)["posterior_predictive"],
    )
    with quietly("poisson", "calibration"):
        loaded.pp_check("calibration", seed=1)
