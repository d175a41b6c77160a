"""The model's log density equals one written out in NumPy and SciPy with dense matrices, at random points."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from lkj import correlation, lkj_logpdf, log_stretch
from scipy import stats
from scipy.special import expit, ndtr

import mixedbayes as mb
from mixedbayes.inference.nuts.graph import build

RNG = np.random.default_rng(20)
N = 60
DATA = pd.DataFrame(
    {
        "x": RNG.normal(2.0, 1.5, N),
        "w": RNG.normal(-1.0, 0.5, N),
        "f": pd.Categorical(np.resize(["a", "b", "c"], N)),
        "flag": RNG.integers(0, 2, N),
        "g": RNG.integers(0, 6, N),
        "h": pd.Categorical(np.resize(["u", "v", "t", "s"], N)),
        "y": RNG.normal(10.0, 3.0, N),
        "positive": RNG.gamma(3.0, 2.0, N),
        "count": RNG.poisson(4.0, N),
        "binary": np.resize(["no", "yes", "yes"], N),
        "n": np.resize([5, 9, 12], N),
        "exposure": RNG.uniform(0.5, 3.0, N),
    }
)
DATA["s"] = RNG.binomial(DATA["n"], 0.4)
ONE = np.ones(N)
X_, W_ = DATA["x"].to_numpy(), DATA["w"].to_numpy()
IS = {level: (DATA["f"] == level).to_numpy(float) for level in "abc"}


@dataclass(frozen=True)
class Group:
    """A block by hand: labels of its rows, what multiplies its effects, whether these are correlated."""

    name: str
    labels: np.ndarray
    Z: tuple[np.ndarray, ...]
    correlated: bool = True

    def indicator(self) -> np.ndarray:
        """The dense matrix, shape (N, levels * effects), level by level."""
        levels = sorted(set(self.labels.tolist()))
        dummies = np.array(
            [[label == level for level in levels] for label in self.labels.tolist()], dtype=float
        )
        return np.stack([dummies * z[:, None] for z in self.Z], axis=2).reshape(N, -1)


@dataclass(frozen=True)
class Case:
    formula: str
    X: tuple[np.ndarray, ...]
    groups: tuple[Group, ...] = ()
    family: str = "gaussian"
    link: str | None = None
    intercept: bool = True
    offset: np.ndarray = field(default_factory=lambda: np.zeros(N))


G = DATA["g"].to_numpy()
H = DATA["h"].astype(str).to_numpy()
GH = np.array([f"{a}:{b}" for a, b in zip(G, H, strict=True)])

CASES = [
    Case("y ~ x", (X_,)),
    Case("y ~ 0 + x + w", (X_, W_), intercept=False),
    Case("y ~ x + flag + (1 | g)", (X_, DATA["flag"].to_numpy(float)), (Group("g", G, (ONE,)),)),
    Case("y ~ x + (x | g)", (X_,), (Group("g", G, (ONE, X_)),)),
    Case("y ~ x + (x || g)", (X_,), (Group("g", G, (ONE, X_), correlated=False),)),
    Case("y ~ x + w + (x + w | g)", (X_, W_), (Group("g", G, (ONE, X_, W_)),)),
    Case("y ~ f + (0 + f | g)", (IS["b"], IS["c"]), (Group("g", G, (IS["a"], IS["b"], IS["c"])),)),
    Case("y ~ (1 | g) - 1", (), (Group("g", G, (ONE,)),), intercept=False),
    Case("y ~ 1 + (1 | g) + (x | h)", (), (Group("g", G, (ONE,)), Group("h", H, (ONE, X_)))),
    Case("y ~ 1 + (1 | g/h)", (), (Group("g", G, (ONE,)), Group("g:h", GH, (ONE,)))),
    Case("y ~ x + (1 | g) + (0 + x | g)", (X_,), (Group("g", G, (ONE,)), Group("g.2", G, (X_,)))),
    Case("y ~ x + offset(w)", (X_,), offset=W_),
    Case("positive ~ x + (1 | g)", (X_,), (Group("g", G, (ONE,)),), link="log"),
    Case("count ~ x + (x | g)", (X_,), (Group("g", G, (ONE, X_)),), "poisson"),
    Case(
        "count ~ x + offset(log(exposure)) + (1 | g)",
        (X_,),
        (Group("g", G, (ONE,)),),
        "poisson",
        offset=np.log(DATA["exposure"].to_numpy()),
    ),
    *(
        Case("binary ~ x + (1 | g)", (X_,), (Group("g", G, (ONE,)),), "bernoulli", link)
        for link in ("logit", "probit", "cloglog")
    ),
    *(
        Case("s | trials(n) ~ x + (x | h)", (X_,), (Group("h", H, (ONE, X_)),), "binomial", link)
        for link in ("logit", "probit", "cloglog")
    ),
    Case("cbind(s, n - s) ~ x", (X_,), family="binomial"),
]

INVERSE = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "logit": expit,
    "probit": ndtr,
    "cloglog": lambda eta: 1 - np.exp(-np.exp(eta)),
}
LINK = {
    "identity": lambda mu: mu,
    "log": np.log,
    "logit": lambda p: np.log(p / (1 - p)),
    "probit": stats.norm.ppf,
    "cloglog": lambda p: np.log(-np.log(1 - p)),
}
DEFAULT_LINK = {"gaussian": "identity", "poisson": "log", "bernoulli": "logit", "binomial": "logit"}


def log_density(case: Case, point: dict[str, np.ndarray]) -> float:
    """The whole log density at a point, priors of the design document and all.

    `point` holds the model's own variables: Intercept and slopes in units of the data (whence the logs of
    the units), and for each block sd_, z_, partial_.
    """
    link = case.link or DEFAULT_LINK[case.family]
    y, trials, mean = response(case)
    s = y.std(ddof=1) if link == "identity" else 1.0
    location = LINK[link](mean) - case.offset.mean()
    total = 0.0
    eta = case.offset.copy()

    def spread(x: np.ndarray) -> float:
        if set(np.unique(x)) <= {0.0, 1.0}:
            return 1.0
        return x.std(ddof=1) if case.intercept else np.sqrt(np.mean(x**2))

    if not case.intercept:  # nothing is centred, so the scale is the distance from zero
        s = np.hypot(s, location)
    if case.intercept:
        intercept = location + s * point["Intercept_scaled"][0]
        total += stats.norm.logpdf(intercept, location, 2.5 * s) + np.log(s)
        eta += intercept
    for j, x in enumerate(case.X):
        unit = s / spread(x)
        slope = unit * point["slopes_scaled"][j]
        total += stats.norm.logpdf(slope, 0, 2.5 * unit) + np.log(unit)
        eta += slope * (x - x.mean() if case.intercept else x)
    for group in case.groups:
        q = len(group.Z)
        at_means = q > 1 and group.correlated and (group.Z[0] == 1).all()
        sd, z = point[f"{'centred_' if at_means else ''}sd_{group.name}"], point[f"z_{group.name}"]
        scales = [s / spread(v) for v in group.Z]
        total += stats.expon.logpdf(sd, scale=scales).sum() + stats.norm.logpdf(z).sum()
        L = np.eye(q)
        if q > 1 and group.correlated:
            w = 2 * point[f"partial_{group.name}"] - 1
            R = correlation(w, q)
            L = np.linalg.cholesky(R)
            # the density of the partials on (0, 1): of R, times how R stretches, times 2 for each
            total += lkj_logpdf(R, 2.0) + log_stretch(w, q) + len(w) * np.log(2)
        u = (np.diag(sd) @ L @ z.T).T
        columns = [v - v.mean() if at_means and j else v for j, v in enumerate(group.Z)]
        eta += replace(group, Z=tuple(columns)).indicator() @ u.reshape(-1)
    mu = INVERSE[link](eta)
    if case.family == "gaussian":
        total += stats.expon.logpdf(point["sigma"], scale=y.std(ddof=1))
        return total + stats.norm.logpdf(y, mu, point["sigma"]).sum()
    if case.family == "poisson":
        return total + stats.poisson.logpmf(y, mu).sum()
    return total + stats.binom.logpmf(y, trials, mu).sum()


def response(case: Case) -> tuple[np.ndarray, np.ndarray | float, float]:
    name = case.formula.split("~")[0].strip()
    if case.family == "binomial":
        s, n = DATA["s"].to_numpy(float), DATA["n"].to_numpy(float)
        return s, n, s.sum() / n.sum()
    y = (DATA[name] == "yes").to_numpy(float) if name == "binary" else DATA[name].to_numpy(float)
    return y, 1.0, y.mean()


def constrained(name: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    """The variable that an unconstrained value stands for."""
    for suffix, function in (("_log__", np.exp), ("_logodds__", expit)):
        if name.endswith(suffix):
            return name.removesuffix(suffix), function(value)
    return name, value


def random_point(model, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: np.asarray(start) + rng.normal(0, 0.3, np.shape(start))
        for name, start in model.initial_point().items()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.formula} {c.family} {c.link or ''}")
def test_log_density_is_the_one_written_out(case):
    model = build(mb.model(case.formula, DATA, case.family, link=case.link).spec)
    logp = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    for seed in range(3):
        values = random_point(model, seed)
        point = dict(constrained(name, value) for name, value in values.items())
        assert float(logp(values)) == pytest.approx(log_density(case, point), rel=1e-6)


@pytest.mark.parametrize("q", [2, 3, 5])
@pytest.mark.parametrize("eta", [0.7, 1.0, 4.0])
def test_partial_correlations_have_the_lkj_density(q, eta):
    rng = np.random.default_rng(q)
    columns = {f"v{i}": rng.normal(size=N) for i in range(q - 1)}
    data = pd.DataFrame({"y": DATA["y"], "g": DATA["g"], **columns})
    formula = f"y ~ 1 + ({' + '.join(columns)} | g)"
    model = build(mb.model(formula, data, priors={"cor[g]": f"lkj({eta})"}).spec)
    logp = model.compile_logp(vars=[model["partial_g"]], jacobian=False, mode="FAST_COMPILE")
    values = random_point(model, 1)
    w = 2 * expit(values["partial_g_logodds__"]) - 1
    expected = lkj_logpdf(correlation(w, q), eta) + log_stretch(w, q) + len(w) * np.log(2)
    assert float(logp(values)) == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_deterministics_are_what_their_names_say():
    design = mb.design("y ~ x + w + (x + w | g)", DATA)
    spec = mb.model("y ~ x + w + (x + w | g)", DATA).spec
    model = build(spec)
    values = random_point(model, 4)
    point = dict(constrained(name, value) for name, value in values.items())
    names = ["b", "sd_g", "cor_g", "r_g"]
    inputs = model.value_vars
    compute = model.compile_fn(
        model.replace_rvs_by_values([model[name] for name in names]),
        inputs=inputs,
        on_unused_input="ignore",
        mode="FAST_COMPILE",
    )
    b, sd, cor, r = compute(values)
    R = correlation(2 * point["partial_g"] - 1, 3)
    X, y = design.fixed.X[:, 1:], DATA["y"]
    slopes = y.std() / X.std(axis=0, ddof=1) * point["slopes_scaled"]
    at_means = y.mean() + y.std() * point["Intercept_scaled"][0]
    np.testing.assert_allclose(b, [at_means - X.mean(axis=0) @ slopes, *slopes])
    T = np.eye(3)
    T[0, 1:] = -X.mean(axis=0)
    F = T @ np.diag(point["centred_sd_g"]) @ np.linalg.cholesky(R)
    np.testing.assert_allclose(sd, np.sqrt(np.diag(F @ F.T)))
    np.testing.assert_allclose(np.diag(sd) @ cor @ np.diag(sd), F @ F.T, atol=1e-10)
    np.testing.assert_allclose(r, point["z_g"] @ F.T, atol=1e-10)


PRIOR_CASES = [
    ({"sd": "normal(0, 3)"}, lambda p: stats.halfnorm.logpdf(p["sd_g"], scale=3).sum()),
    (
        {"sd": "normal(1, 3)"},
        lambda p: (stats.norm.logpdf(p["sd_g"], 1, 3) - stats.norm.logsf(0, 1, 3)).sum(),
    ),
    ({"sd": "cauchy(0, 5)"}, lambda p: stats.halfcauchy.logpdf(p["sd_g"], scale=5).sum()),
    (
        {"sd": "student_t(3, 0, 2)"},
        lambda p: (stats.t.logpdf(p["sd_g"], 3, 0, 2) + np.log(2)).sum(),
    ),
    ({"sd": "uniform(-1, 9)"}, lambda p: -np.log(9) * p["sd_g"].size),
    ({"sd": "flat"}, lambda _: 0.0),
    (
        {"sd[g, Intercept]": "gamma(2, 0.5)", "sd[g, x]": "exponential(2)"},
        lambda p: stats.gamma.logpdf(p["sd_g #0"], 2, scale=2) + stats.expon.logpdf(p["sd_g #1"], scale=0.5),
    ),
    (
        {"sd": "exponential(gamma(2, 3))"},
        lambda p: (
            stats.expon.logpdf(p["sd_g"], scale=1 / p["prior[sd, beta]"]).sum()
            + stats.gamma.logpdf(p["prior[sd, beta]"], 2, scale=1 / 3)
        ),
    ),
]


@pytest.mark.parametrize(("priors", "expected"), PRIOR_CASES, ids=[str(case[0]) for case in PRIOR_CASES])
def test_priors_are_cut_to_the_support_and_normalised(priors, expected):
    model = build(mb.model("y ~ x + (x | g)", DATA, priors=priors).spec)
    variables = [v for v in model.free_RVs if v.name.startswith(("sd", "prior[sd"))]
    values = random_point(model, 2)
    logp = model.compile_logp(vars=variables, jacobian=False, mode="FAST_COMPILE")
    back = model.compile_fn(
        model.replace_rvs_by_values(variables),
        inputs=model.value_vars,
        on_unused_input="ignore",
        mode="FAST_COMPILE",
    )
    point = dict(zip([v.name for v in variables], back(values), strict=True))
    assert float(logp(values)) == pytest.approx(expected(point), rel=1e-6)


def test_a_hyperprior_is_shared_by_all_that_its_address_names():
    model = mb.model(
        "y ~ x + w", DATA, priors={"b": mb.prior("normal", 0, mb.prior("gamma", 2, mb.prior("gamma", 1, 1)))}
    )
    assert [p.address for p in model.spec.hyper] == ["prior[prior[b, sigma], beta]", "prior[b, sigma]"]
    built = build(model.spec)
    values = random_point(built, 3)
    logp = built.compile_logp(
        vars=[built["slopes_scaled"], built["prior[b, sigma]"], built["prior[prior[b, sigma], beta]"]],
        jacobian=False,
        mode="FAST_COMPILE",
    )
    sigma, beta = (
        np.exp(values["prior[b, sigma]_log__"]),
        np.exp(values["prior[prior[b, sigma], beta]_log__"]),
    )
    units = DATA["y"].std() / DATA[["x", "w"]].std().to_numpy()
    expected = (
        stats.norm.logpdf(units * values["slopes_scaled"], 0, sigma).sum()
        + np.log(units).sum()
        + stats.gamma.logpdf(sigma, 2, scale=1 / beta)
        + stats.gamma.logpdf(beta, 1, scale=1.0)
    )
    assert float(logp(values)) == pytest.approx(expected, rel=1e-6)


LOCATED = {
    "normal(1, 3)": lambda b: stats.norm.logpdf(b, 1, 3),
    "student_t(4, 1, 3)": lambda b: stats.t.logpdf(b, 4, 1, 3),
    "cauchy(1, 3)": lambda b: stats.cauchy.logpdf(b, 1, 3),
    "double_exponential(1, 3)": lambda b: stats.laplace.logpdf(b, 1, 3),
    "logistic(1, 3)": lambda b: stats.logistic.logpdf(b, 1, 3),
    "gumbel(1, 3)": lambda b: stats.gumbel_r.logpdf(b, 1, 3),
    "skew_normal(1, 3, 2)": lambda b: stats.skewnorm.logpdf(b, 2, 1, 3),
    "flat": np.zeros_like,
}


@pytest.mark.parametrize("prior", LOCATED)
def test_coefficients_have_the_prior_asked_for_in_whatever_unit_they_are_sampled(prior):
    spec = mb.model("y ~ x + w", DATA, priors={"b": prior, "Intercept": prior}).spec
    model = build(spec)
    values = random_point(model, 5)
    logp = model.compile_logp(vars=model.free_RVs[:2], jacobian=False, mode="FAST_COMPILE")
    s = DATA["y"].std()
    slopes = s / DATA[["x", "w"]].std().to_numpy() * values["slopes_scaled"]
    intercept = DATA["y"].mean() + s * values["Intercept_scaled"]
    units = np.log(s) * 3 - np.log(DATA[["x", "w"]].std()).sum() if prior != "flat" else 0.0
    expected = LOCATED[prior](slopes).sum() + LOCATED[prior](intercept).sum() + units
    assert float(logp(values)) == pytest.approx(expected, rel=1e-6)


def test_columns_with_slashes_can_have_priors_of_several_kinds():
    priors = {"b[I(x / 2)]": "cauchy(0, 1)", "sd[g, I(x / 2)]": "normal(0, 1)"}
    model = build(mb.model("y ~ I(x / 2) + w + (I(x / 2) | g)", DATA, priors=priors).spec)
    assert {"slopes #0_scaled", "slopes #1_scaled"} | {f"centred_sd_g #{i}" for i in (0, 1)} <= {
        v.name for v in model.free_RVs
    }


def test_coefficients_with_priors_of_several_kinds_keep_their_order():
    priors = {"b[x]": "gamma(2, 1)", "b[w]": "normal(0, 1)", "b[flag]": "uniform(-1, 2)"}
    model = build(mb.model("y ~ x + w + flag", DATA, priors=priors).spec)
    values = random_point(model, 6)
    variables = [v for v in model.free_RVs if v.name.startswith("slopes")]
    logp = model.compile_logp(vars=variables, jacobian=False, mode="FAST_COMPILE")
    b = model.compile_fn(
        model.replace_rvs_by_values([model["b"]])[0],
        inputs=model.value_vars,
        on_unused_input="ignore",
        mode="FAST_COMPILE",
    )(values)
    expected = stats.gamma.logpdf(b[1], 2) + stats.norm.logpdf(b[2]) - np.log(3)
    unit = np.log(DATA["y"].std() / DATA["w"].std())
    assert float(logp(values)) == pytest.approx(expected + unit, rel=1e-6)
    assert -1 < b[3] < 2


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_extreme_predictors_have_a_finite_density_and_gradient(link):
    data = pd.DataFrame({"y": [0, 1] * 4, "x": [-1e3, 1e3, -30.0, 30.0, -8.0, 8.0, 0.0, 0.5]})
    model = build(mb.model("y ~ 0 + x", data, "bernoulli", link=link).spec)
    slope = 1.0 if link != "cloglog" else 0.3
    values = {"slopes_scaled": np.array([slope * data["x"].std()])}
    gradient = model.compile_dlogp(mode="FAST_COMPILE")(values)
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(values))
    assert np.isfinite(gradient).all()


SIGNED = ["normal(1, 2)", "student_t(4, 1, 2)", "cauchy(0, 1)", "double_exponential(0, 1)", "logistic(0, 1)"]
POSITIVE = [
    "exponential(1)",
    "gamma(2, 1)",
    "inv_gamma(2, 1)",
    "lognormal(0, 1)",
    "weibull(2, 1)",
    "chi_square(3)",
]
ANY = [*SIGNED, *POSITIVE, "gumbel(0, 1)", "uniform(-1, 5)", "beta(2, 2)", "cauchy(normal(0, 1), 2)"]


@pytest.mark.parametrize("address", ["sd", "sigma", "b", "Intercept"])
@pytest.mark.parametrize("prior", ANY)
def test_every_prior_has_a_start_of_finite_density(address, prior):
    model = build(mb.model("y ~ x + w + (x | g)", DATA, priors={address: prior}).spec)
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point(random_seed=1)))


def test_priors_of_one_kind_are_cut_each_to_its_own_support():
    priors = {"sd[g, Intercept]": "uniform(0, 10)", "sd[g, x]": "uniform(-1, 5)"}
    model = build(mb.model("y ~ x + (x | g)", DATA, priors=priors).spec)
    values = random_point(model, 7)
    variables = [v for v in model.free_RVs if v.name.startswith("sd_g")]
    logp = model.compile_logp(vars=variables, jacobian=False, mode="FAST_COMPILE")
    assert float(logp(values)) == pytest.approx(-np.log(10) - np.log(5))


def test_names_of_parts_cannot_meet_names_of_columns():
    data = DATA.assign(**{"g_0": DATA["h"], "g #0": DATA["f"]})
    formula = "y ~ x + (x | g) + (1 | g_0) + (1 | `g #0`)"
    model = build(mb.model(formula, data, priors={"sd[g, Intercept]": "normal(0, 1)"}).spec)
    names = [variable.name for variable in model.unobserved_RVs]
    assert len(names) == len(set(names))
