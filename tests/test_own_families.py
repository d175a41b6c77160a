"""Families that users write, from outside the package, through everything that a fit can do."""

import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm
import pytest
from monte_carlo import assert_same_posterior
from scipy import special
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.inference.nuts.graph import build
from mixedbayes.models.families import FAMILIES

POSITIVE, UNIT = mb.Interval(0, np.inf), mb.Interval(0, 1)
MU = mb.FamilyParameter("mu", POSITIVE, ("log",))


def default_shape(y):
    return mb.prior("exponential", 0.1)


# gamma by its mean, without any word of PyMC ---------------------------------------------------------------


def log_density(y, p):
    m, shape = p.maths, p["shape"]
    rate = shape / p["mu"]
    log = m.log(m.where(y > 0, y, 1.0))
    found = shape * m.log(rate) - m.gammaln(shape) + (shape - 1) * log - rate * y
    return m.where(y > 0, found, -np.inf)


GAMMA = mb.Family(
    "gamma",
    "positive",
    (MU, mb.FamilyParameter("shape", POSITIVE, ("log",), default_shape)),
    log_density=log_density,
    mean=lambda p: p["mu"],
    variance=lambda p: p["mu"] ** 2 / p["shape"],
    draw=lambda rng, p: rng.gamma(p["shape"], p["mu"] / p["shape"], p.shape),
    tails=mb.Tails(
        lambda y, p: np.log(special.gammainc(p["shape"], p["shape"] * y / p["mu"])),
        lambda y, p: np.log(special.gammaincc(p["shape"], p["shape"] * y / p["mu"])),
    ),
)

# exponential, with PyMC's ----------------------------------------------------------------------------------

EXPONENTIAL = mb.Family(
    "exponential",
    "positive",
    (MU,),
    log_density=lambda y, p: -p.log("mu") - y / p["mu"],
    mean=lambda p: p["mu"],
    variance=lambda p: p["mu"] ** 2,
    draw=lambda rng, p: rng.exponential(p["mu"], p.shape),
    tails=mb.Tails(lambda y, p: np.log(-np.expm1(-y / p["mu"])), lambda y, p: -y / p["mu"]),
    pymc=mb.PyMC("Exponential", lambda p: {"scale": p["mu"]}),
)

# zero-inflated negative binomial: discrete, of a distribution without `rv_op`, with a parameter on (0, 1) --------


def zi_log_density(y, p):
    m, zi = p.maths, p["zi"]
    inside = FAMILIES["negative_binomial"].log_density(y, p)
    return m.where(y > 0, m.log1p(-zi) + inside, m.log(zi + (1 - zi) * m.exp(inside)))


def zi_draw(rng, p):
    return np.where(rng.random(p.shape) < p["zi"], 0.0, FAMILIES["negative_binomial"].draw(rng, p))


def zi_below(y, p):
    cdf = FAMILIES["negative_binomial"].cdf(y, p)
    with np.errstate(divide="ignore"):
        return np.log(np.where(y < 0, 0.0, p["zi"] + (1 - p["zi"]) * cdf))


ZI_NEGATIVE_BINOMIAL = mb.Family(
    "zero_inflated_negative_binomial",
    "count",
    (
        MU,
        mb.FamilyParameter("shape", POSITIVE, ("log",), default_shape),
        mb.FamilyParameter("zi", UNIT, ("logit",), lambda _: mb.prior("flat"), lambda _: 0.5),
    ),
    log_density=zi_log_density,
    mean=lambda p: (1 - p["zi"]) * p["mu"],
    draw=zi_draw,
    tails=mb.Tails(zi_below, lambda y, p: np.log1p(-np.exp(zi_below(y, p)))),
    pymc=mb.PyMC(
        "ZeroInflatedNegativeBinomial", lambda p: {"psi": 1 - p["zi"], "mu": p["mu"], "alpha": p["shape"]}
    ),
    is_discrete=True,
)
GEOMETRIC = mb.Family(
    "geometric",
    "count",
    (MU,),
    log_density=lambda y, p: y * p.log("mu") - (y + 1) * p.maths.log1p(p["mu"]),
    mean=lambda p: p["mu"],
    draw=lambda rng, p: rng.geometric(1 / (1 + p["mu"]), p.shape) - 1.0,
    is_discrete=True,
)

# the square root of y is normal: in closed form -----------------------------------------------------------


def root_normal(y, p):
    m = p.maths
    root = m.sqrt(m.where(y > 0, y, 1.0))
    z = (root - p["mu"]) / p["sigma"]
    return -z * z / 2 - p.log("sigma") - np.log(2 * np.pi) / 2 - m.log(2 * root)


ROOT = mb.Family(
    "root_normal",
    "positive",
    (
        mb.FamilyParameter("mu", mb.Interval(), ("identity",)),
        mb.FamilyParameter("sigma", POSITIVE, ("log",), lambda y: mb.prior("exponential", 1 / y.sd)),
    ),
    log_density=root_normal,
    mean=lambda p: p["mu"] ** 2 + p["sigma"] ** 2,
    draw=lambda rng, p: rng.normal(p["mu"], p["sigma"], p.shape) ** 2,
    scale=mb.Scale(np.sqrt, lambda y: -np.log(2 * np.sqrt(y))),
    residual="sigma",
    is_gaussian=True,
)


def data(rng, draw, groups=8, each=12):
    """A table whose response is drawn given its mean."""
    g = np.repeat(np.arange(groups), each)
    x = rng.normal(size=len(g))
    mu = np.exp(1.0 + 0.5 * x + rng.normal(0, 0.4, groups)[g])
    return pd.DataFrame({"y": draw(mu), "x": x, "g": [f"g{i}" for i in g]})


RNG = np.random.default_rng(11)
OWN = {
    GAMMA.name: (GAMMA, data(RNG, lambda mu: RNG.gamma(3.0, mu / 3.0))),
    EXPONENTIAL.name: (EXPONENTIAL, data(RNG, RNG.exponential)),
    GEOMETRIC.name: (GEOMETRIC, data(RNG, lambda mu: RNG.geometric(1 / (1 + mu)) - 1)),
    ZI_NEGATIVE_BINOMIAL.name: (
        ZI_NEGATIVE_BINOMIAL,
        data(RNG, lambda mu: RNG.negative_binomial(4, 4 / (4 + mu)) * (RNG.random(len(mu)) > 0.3)),
    ),
    ROOT.name: (ROOT, data(RNG, lambda mu: RNG.normal(mu, 0.3).clip(0.1) ** 2)),
}
FORMULA = "y ~ x + (1 | g)"


@pytest.mark.parametrize("name", OWN)
def test_a_model_of_it_is_printed_and_built(name):
    family, table = OWN[name]
    model = mb.model(FORMULA, table, family)
    text = str(model)
    assert f"Family:   {name}" in text
    assert f"{family.parameters[0].name} = {family.links[0]}" in text
    assert all(f"\n{p.name} " in text for p in family.others)
    spec = model.spec
    point = build(spec).initial_point()
    assert all(np.isfinite(value).all() for value in point.values())
    for masked in (False, True):
        made = build(spec, masked=masked)
        logp = made.compile_logp(sum=False)(made.initial_point())
        assert np.isfinite(np.concatenate([np.ravel(value) for value in logp])).all()


TABLE = pd.DataFrame(
    {
        "real": RNG.normal(size=30),
        "positive": RNG.gamma(2.0, size=30),
        "share": RNG.beta(2.0, 3.0, size=30),
        "binary": np.resize([0, 1, 1], 30),
        "count": RNG.poisson(2.0, size=30),
        "successes": np.resize([0, 1, 3], 30),
        "x": RNG.normal(size=30),
    }
)


@pytest.mark.parametrize(
    "family", [*FAMILIES.values(), EXPONENTIAL, ZI_NEGATIVE_BINOMIAL], ids=lambda family: family.name
)
def test_a_model_by_pymcs_distribution_is_the_one_by_the_record_s_density(family):
    trials = " | trials(4)" if "trials" in family.additions else ""
    proper = {p.name: "beta(1, 1)" for p in family.parameters if p.name == "zi"}
    spec = mb.model(f"{family.response}{trials} ~ x", TABLE, family, priors=proper).spec
    theirs, ours = build(spec), build(replace(spec, family=replace(family, pymc=None)))
    point = theirs.initial_point()
    for made in (theirs, ours):
        drawn = pm.draw(made[spec.response], draws=3, random_seed=1, mode="FAST_COMPILE")
        assert drawn.shape == (3, 30)
        assert np.isfinite(drawn).all()
        assert len(np.unique(drawn)) > 1
    mine, other = (made.compile_logp(mode="FAST_COMPILE")(point) for made in (ours, theirs))
    np.testing.assert_allclose(mine, other, rtol=1e-9)


@pytest.mark.parametrize("name", OWN)
def test_everything_after_a_fit_is_done(name, tmp_path):
    check_everything(synthetic_fit(FORMULA, OWN[name][1], OWN[name][0], draws=60), tmp_path)


def check_everything(fit, tmp_path):
    family, table = fit.spec.family, fit.spec.design.data
    assert f"Family: {family.name}" in " ".join(str(fit).split())
    assert {p.name for p in family.others} <= set(fit.tidy()["term"]) | {"sd__Observation", "sigma"}
    new = table.head(5).assign(g="new")
    predicted = fit.predict(new, seed=1)
    assert np.isfinite(predicted["estimate"]).all()
    drawn = fit.predict(new, kind="response", seed=1)
    assert np.isfinite(drawn["estimate"]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isfinite(fit.residuals("response")["estimate"]).all()
        assert np.isfinite(fit.loo().elpd)
        assert np.isfinite(fit.waic().elpd)
        for kind in ("density", "rootogram" if family.is_discrete else "stat"):
            fit.pp_check(kind, seed=1)
        plt.close("all")
    if family.variance is None:
        with pytest.raises(
            mb.FamilyError, match=f"The family '{family.name}' has no variance: give its record one"
        ):
            fit.residuals("pearson")
    else:
        assert np.isfinite(fit.residuals("pearson")["estimate"]).all()
    if family.tails is None:
        with pytest.raises(mb.FamilyError, match=f"The family '{family.name}' has no distribution function"):
            fit.residuals("quantile", seed=1)
    else:
        assert np.isfinite(fit.residuals("quantile", seed=1)["estimate"]).all()
    fit.to_netcdf(tmp_path / "fit.nc")
    again = mb.load(tmp_path / "fit.nc", family=family)
    assert str(again) == str(fit)
    pd.testing.assert_frame_equal(again.predict(new, seed=1), predicted)
    with pytest.raises(mb.FileError, match=f"its family, '{family.name}', is none of this version's"):
        mb.load(tmp_path / "fit.nc")


def test_one_that_is_normal_on_its_own_scale_has_the_closed_form(tmp_path, seed):
    family, table = OWN["root_normal"]
    fit = mb.fit(FORMULA, table, family, seed=seed, progress=False)
    assert "collapsed" in str(fit)
    check_everything(fit, tmp_path)
    roots = mb.fit("sqrt(y) ~ x + (1 | g)", table, seed=seed, progress=False)
    pd.testing.assert_frame_equal(fit.fixef(), roots.fixef())
    jacobian = -np.log(2 * np.sqrt(table["y"])).sum()
    assert fit.loo().elpd == pytest.approx(roots.loo().elpd + jacobian)
    assert fit.loo(groups="g").elpd == pytest.approx(roots.loo(groups="g").elpd + jacobian)
    assert fit.kfold(3, seed=1).elpd == pytest.approx(roots.kfold(3, seed=1).elpd + jacobian)


SAMPLING = {"draws": 300, "tune": 400, "chains": 2, "progress": False, "method": "nuts"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gamma", "zero_inflated_negative_binomial"])
def test_one_is_fitted_and_changed_and_left_out(name, tmp_path, seed):
    family, table = OWN[name]
    fit = mb.fit(FORMULA, table, family, seed=seed, **SAMPLING)
    check_everything(fit, tmp_path)
    assert fit.update("~ . - x").spec.family is family
    longer = fit.update(new_rows=table.head(10).assign(g="more"))
    assert longer.spec.design.n == len(table) + 10
    assert np.isfinite(fit.kfold(2, seed=1).elpd)


@pytest.mark.slow
def test_one_has_the_same_posterior_by_pymcs_distribution_and_by_its_own_density(seed):
    family, table = OWN["exponential"]
    one, other = (
        mb.fit(FORMULA, table, record, seed=seed + i, **SAMPLING | {"draws": 1000})
        for i, record in enumerate((family, replace(family, pymc=None)))
    )
    assert_same_posterior(one, other)


# priors of parameters between ends ---------------------------------------------------------------------------

PRIORS = [
    ("zi", "flat", "flat  above 0 and below 1"),
    ("zi", "normal(0.5, 1)", "normal(0.5, 1)  above 0 and below 1"),
    ("zi", "uniform(-1, 0.6)", "uniform(-1, 0.6)  above 0"),
    ("zi", "exponential(2)", "exponential(2)  mean 0.5  below 1"),
    ("zi", "beta(2, 2)", "beta(2, 2)"),
    (
        "zi",
        "normal(normal(0, 1), exponential(1))",
        "normal(prior[zi, mu], prior[zi, sigma])  above 0 and below 1",
    ),
    ("nu", "flat", "flat (improper)  above 1"),
    ("nu", "normal(0, 5)", "normal(0, 5)  above 1"),
    ("nu", "gamma(2, 0.1)", "gamma(2, 0.1)  above 1"),
    ("nu", "uniform(0, 30)", "uniform(0, 30)  above 1"),
    ("nu", "student_t(3, 0, gamma(2, 2))", "student_t(3, 0, prior[nu, sigma])  above 1"),
    ("nu", "gamma(2, uniform(0, 1))", "gamma(2, prior[nu, beta])  above 1"),
]


def between_ends(name, prior):
    family, response = (ZI_NEGATIVE_BINOMIAL, "count") if name == "zi" else ("student_t", "real")
    return mb.model(f"{response} ~ x", TABLE, family, priors={name: prior})


@pytest.mark.parametrize(("name", "prior", "text"), PRIORS)
def test_a_prior_of_a_parameter_between_ends_is_printed_and_has_a_start(name, prior, text):
    model = between_ends(name, prior)
    lines = [
        line.removeprefix(name).strip() for line in str(model).splitlines() if line.startswith(f"{name} ")
    ]
    assert [line.removesuffix("yours").strip() for line in lines] == [text]
    made = build(model.spec)
    point = made.initial_point(random_seed=1)
    assert all(np.isfinite(value).all() for value in point.values())
    assert np.isfinite(made.compile_logp(mode="FAST_COMPILE")(point))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prior"), [(name, prior) for name, prior, _ in PRIORS[:2] + PRIORS[5:8] + PRIORS[-1:]]
)
def test_a_parameter_between_ends_is_sampled_there(name, prior, seed):
    model = between_ends(name, prior)
    fit = model.fit(seed=seed, **SAMPLING)
    support = next(p.support for p in model.spec.auxiliary if p.address == name)
    drawn = fit.posterior[name]
    assert support.lower < drawn.min() < drawn.max() < support.upper
    again = fit.update(new_rows=TABLE.head(5))  # which begins where this one ended
    assert support.lower < again.posterior[name].min()
