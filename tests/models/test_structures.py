"""Structures from outside the package, from `mb.fit` through all that is done with a fit; and those that no engine knows."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from monte_carlo import assert_near
from scipy import stats

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, FileError
from mixedbayes.inference.gaussian.coordinates import variances_of
from mixedbayes.inference.gaussian.sample import collapse
from mixedbayes.inference.methods import METHODS, Method
from mixedbayes.inference.nuts import graph
from mixedbayes.models.distributions import CORRELATION, POSITIVE, Interval
from mixedbayes.models.priors import Prior
from mixedbayes.models.structures import STRUCTURES, Structure, StructureParameter, Within


@dataclass(frozen=True)
class Symmetric(Within):
    """Compound symmetry: one standard deviation, one correlation of any two effects."""

    name = "symmetric"

    def parameters(self, q):
        least = -1.0 / max(q - 1, 1)
        rho = StructureParameter("rho", Interval(least, 1.0), Prior("uniform", (least, 1.0)))
        return (StructureParameter("sd"), rho) if q > 1 else (StructureParameter("sd"),)

    def factor(self, maths, values, q):
        sd, rho, taken = values["sd"], values.get("rho", 0.0), 0.0
        columns = []
        for _ in range(q):  # columns of the Cholesky factor, below the diagonal all equal
            own = maths.sqrt(1.0 - taken)
            below = (rho - taken) / own
            columns.append((own, below))
            taken = taken + below**2
        return [[sd * columns[k][0 if k == i else 1] for k in range(i + 1)] for i in range(q)]


@dataclass(frozen=True)
class Known(Within):
    """Standard deviations, and a correlation of two effects that is known."""

    name = "known"
    r: float = 0.6

    def parameters(self, q):
        return (StructureParameter("sd", each=True),)

    def factor(self, maths, values, q):
        one, other = values["sd"][0], values["sd"][1]
        return [[one], [self.r * other, (1 - self.r**2) ** 0.5 * other]]


@dataclass(frozen=True)
class Autoregressive(Within):
    """Effects in the order of their columns, each of one standard deviation, correlated rho with the one before."""

    name = "ar1"

    def parameters(self, q):
        return (
            StructureParameter("sd"),
            StructureParameter("rho", CORRELATION, Prior("uniform", (-1.0, 1.0))),
        )

    def factor(self, maths, values, q):
        sd, rho = values["sd"], values["rho"]
        own = [1.0, *[maths.sqrt(1.0 - rho**2)] * (q - 1)]
        return [[sd * own[k] * rho ** (i - k) for k in range(i + 1)] for i in range(q)]


@dataclass(frozen=True)
class Equal(Within):
    """One standard deviation for all effects, which are independent."""

    name = "equal"
    is_diagonal = True

    def parameters(self, q):
        return (StructureParameter("sd"),)

    def factor(self, maths, values, q):
        return [values["sd"]] * q


@dataclass(frozen=True)
class Ratios(Within):
    """Independent effects, sds the same multiple of a parameter of each; which NUTS alone is to sample."""

    name = "ratios"
    is_diagonal = True

    def parameters(self, q):
        return (
            StructureParameter("sd"),
            StructureParameter("phi", POSITIVE, Prior("gamma", (4.0, 4.0)), each=True),
        )

    def factor(self, maths, values, q):
        return values["sd"] * values["phi"]

    def why_not(self, method):
        return "its density has ridges" if method == "collapsed" else None


class Walk(Structure):
    """Levels hang together: a kind that no engine was written for."""

    name = "walk"

    def parameters(self, q):
        return (StructureParameter("sd", each=True),)

    def new_level(self, factor, noise, r):
        return r[-1] + factor * noise


RNG = np.random.default_rng(11)
N, LEVELS = 240, 12
F = np.resize(list("abc"), N)
G = np.repeat([f"g{i:02d}" for i in range(LEVELS)], N // LEVELS)
TRUE = 1.5 * np.linalg.cholesky(np.full((3, 3), 0.5) + 0.5 * np.eye(3))
U = RNG.normal(size=(LEVELS, 3)) @ TRUE.T
X = RNG.normal(size=N)
Y = 5 + U[np.arange(N) // (N // LEVELS), np.arange(N) % 3] + X + RNG.normal(0, 0.7, N)
DATA = pd.DataFrame(
    {"y": Y, "x": X, "f": F, "g": G, "h": np.resize(list("stuvw"), N), "k": np.resize(range(48), N)}
)

CASES = {
    "symmetric": ("y ~ x + (0 + f | g)", Symmetric()),
    "symmetric, with two effects and another group": ("y ~ x + (x | g) + (1 | h)", Symmetric()),
    "symmetric, with one effect": ("y ~ x + (1 | g) + (1 | h)", Symmetric()),
    "symmetric beside another block": ("y ~ x + (0 + f | g) + (0 + x | g)", Symmetric()),
    "known": ("y ~ x + (x | g)", Known()),
    "known, in the root": ("y ~ x + (x | g) + (1 | k)", Known()),
    "autoregressive": ("y ~ x + (0 + f | g)", Autoregressive()),
    "equal": ("y ~ x + (0 + f | g)", Equal()),
    "equal, in the root": ("y ~ x + (0 + f | g) + (1 | k)", Equal()),
}


def covariance_by_hand(structure, values, q):
    """Of a level's effects, from values of parameters by address."""
    if structure.name == "known":
        a, b = values["sd[g, Intercept]"], values["sd[g, x]"]
        return np.array([[a * a, 0.6 * a * b], [0.6 * a * b, b * b]])
    rho = values.get("rho[g]", 0.0)
    if structure.name == "ar1":
        places = np.arange(q)
        return values["sd[g]"] ** 2 * rho ** np.abs(places[:, None] - places)
    return values["sd[g]"] ** 2 * ((1 - rho) * np.eye(q) + rho)


def log_joint_by_hand(spec, values, structure):
    """Log density of y and of the parameters of variances, by a normal of n dimensions and priors of SciPy."""
    design, total = spec.design, 0.0
    n = design.n
    V = values["sigma"] ** 2 * np.eye(n)
    for block in spec.blocks:
        b, q = block.block, block.q
        for own in block.parameters.values():
            for p in own:
                (a, *more) = p.prior.arguments
                prior = stats.expon(scale=1 / a) if not more else stats.uniform(a, more[0] - a)
                total += prior.logpdf(values[p.address])
        C = (
            covariance_by_hand(structure, values, q)
            if block.structure == structure
            else np.diag([values[p.address] ** 2 for p in block.sds])
        )
        same = b.codes[:, None] == b.codes
        V += same * (b.X @ C @ b.X.T)
    (sigma,) = spec.auxiliary
    total += stats.expon(scale=1 / sigma.prior.arguments[0]).logpdf(values["sigma"])
    Xc, mean = spec.main.centring.columns(design.fixed.X), np.zeros(n)
    for x, p in zip(Xc.T, spec.main.parameters, strict=True):
        mu, sd = p.prior.arguments
        mean += mu * x
        V += sd**2 * np.outer(x, x)
    return total + stats.multivariate_normal(mean, V).logpdf(design.response.values)


def points(spec, n, seed=3):
    """Values of each parameter of variances, inside its support."""
    rng = np.random.default_rng(seed)
    own = [*(p for block in spec.blocks for p in block.scalars), *spec.auxiliary]
    return [
        {
            p.address: float(np.exp(rng.normal(0, 0.4))) if p.support == POSITIVE else rng.uniform(-0.4, 0.9)
            for p in own
        }
        for _ in range(n)
    ]


def slopes(density, values):
    """Log of the slope from the line to the parameters, by differences."""
    variances = density.variances
    arrays = {k: np.array([v]) for k, v in values.items()}
    theta = np.array([c.to_line(arrays)[0] for c in variances.coordinates])
    h = 1e-6
    moved = [variances.at(theta[None] + sign * h * np.eye(len(theta))) for sign in (1, -1)]
    up, down = (point.values for point in moved)  # noqa: PD011
    names = enumerate(variances.names)
    return theta, sum(np.log((up[name][i] - down[name][i]) / (2 * h)) for i, name in names)


@pytest.mark.parametrize("name", CASES)
def test_the_collapsed_density_is_that_of_a_dense_normal(name):
    formula, structure = CASES[name]
    spec = mb.model(formula, DATA, structures={"g": structure}).spec
    density = collapse(spec)
    for values in points(spec, 3):
        theta, log_slope = slopes(density, values)
        expected = log_joint_by_hand(spec, values, structure) + log_slope
        assert density.log_posterior(theta[None])[0] == pytest.approx(expected, abs=2e-5)
        _, slope = density.log_posterior_and_gradient(theta[None])
        moves = 1e-5 * np.eye(len(theta))
        differences = (density.log_posterior(theta + moves) - density.log_posterior(theta - moves)) / 2e-5
        np.testing.assert_allclose(slope[0], differences, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["symmetric", "known", "equal", "autoregressive"])
def test_pymcs_density_is_that_of_the_formula_by_hand(name):
    """All of them, of standard normals z and of the response given r = z F', which SciPy has too."""
    formula, structure = CASES[name]
    model = mb.model(formula, DATA, structures={"g": structure})
    spec, (block,) = model.spec, model.spec.blocks
    compiled = model.pymc.compile_logp(jacobian=False)
    rng, logps = np.random.default_rng(1), []
    for values in points(spec, 3):
        point = {k: np.asarray(v) for k, v in model.pymc.initial_point().items()}
        z = rng.normal(size=(LEVELS, block.q))
        names = {
            p.address: block.own[kind]
            for kind, own in block.parameters.items()
            for p in own
            if kind in block.own
        }
        numbers = {names.get(k, k): np.asarray(v) for k, v in values.items() if not k.startswith("sd[g, ")}
        if block.sds:
            numbers[block.sd] = np.array([values[p.address] for p in block.sds])
        numbers[block.z] = z
        for variable in model.pymc.free_RVs:
            if variable.name not in numbers:
                continue
            value = model.pymc.rvs_to_values[variable]
            transform, number = model.pymc.rvs_to_transforms[variable], numbers[variable.name]
            point[value.name] = (
                number if transform is None else transform.forward(number, *variable.owner.inputs).eval()
            )
        C = covariance_by_hand(structure, values, block.q)
        r = z @ np.linalg.cholesky(C).T
        eta = (block.block.X * r[block.block.codes]).sum(axis=1)
        y = spec.design.response.values  # noqa: PD011
        expected = stats.norm(eta, values["sigma"]).logpdf(y - _population(model, point))
        total = expected.sum() + stats.norm.logpdf(z).sum() + _priors(spec, values)
        logps.append((float(compiled(point)), total))
    found, by_hand = np.transpose(logps)
    np.testing.assert_allclose(
        np.diff(found), np.diff(by_hand), rtol=1e-8
    )  # the coefficients' priors are the same


def _population(model, point):
    """The population's part of the predictor at PyMC's own initial point."""
    spec = model.spec
    X = spec.main.centring.columns(spec.design.fixed.X)
    intercept, slopes = (
        point[name] * np.array([p.scale for p in own]) + np.array([p.location for p in own])
        for name, own in (
            ("Intercept_scaled", [spec.main.intercept]),
            ("slopes_scaled", spec.main.coefficients),
        )
    )
    return X @ np.concatenate([intercept, slopes])


def _priors(spec, values):
    total = 0.0
    for p in [*(p for block in spec.blocks for p in block.scalars), *spec.auxiliary]:
        (a, *more) = p.prior.arguments
        prior = stats.expon(scale=1 / a) if not more else stats.uniform(a, more[0] - a)
        total += prior.logpdf(values[p.address])
    return total


@pytest.fixture(scope="module")
def fit():
    return mb.fit(
        "y ~ x + (0 + f | g)",
        DATA,
        structures={"g": Symmetric()},
        priors={"rho[g]": "uniform(-0.3, 0.9)"},
        seed=1,
        progress=False,
    )


def test_a_structure_goes_through_printing_and_tables(fit):
    assert "symmetric" in str(fit)
    assert "collapsed" in str(fit)
    assert "rho" in str(fit)
    assert "symmetric" in str(mb.model("y ~ x + (0 + f | g)", DATA, structures={"g": Symmetric()}))
    sds = fit.varcorr().query("group == 'g' and var2.isna()")["sdcor"]
    assert np.ptp(sds) == pytest.approx(0, abs=1e-9)
    rho = fit.tidy().query("term == 'rho'")["estimate"].item()
    cors = fit.varcorr().query("group == 'g' and var2.notna()")["sdcor"]
    np.testing.assert_allclose(cors, rho, atol=1e-9)
    assert -0.3 < rho < 0.9
    assert fit.hypothesis("rho[g] > -0.3")["probability"].item() == 1.0
    assert fit.icc()["estimate"].sum() == pytest.approx(1)


def test_effects_of_new_levels_have_the_covariance_of_the_structure(fit):
    new = pd.DataFrame({"x": 0.0, "f": list("abc"), "g": "new"})
    given = {"kind": "linear", "draws": True, "seed": 3}
    r = fit.predict(new, **given) - fit.predict(new, new_levels="population", **given)
    r = r.transpose("chain", "draw", ...).to_numpy().reshape(-1, 3)
    posterior = fit.idata["posterior"].to_dataset()
    sd, rho = (posterior[name].to_numpy().ravel()[:, None, None] for name in ("sd_g_", "rho_g"))
    C = sd**2 * ((1 - rho) * np.eye(3) + rho)
    z = np.linalg.solve(np.linalg.cholesky(C), r[..., None])[..., 0]
    assert_near(z.mean(axis=0), np.zeros(3), 1 / np.sqrt(len(z)))
    assert_near(z.T @ z / len(z), np.eye(3), np.sqrt((1 + np.eye(3)) / len(z)))


def test_leaving_out_is_that_of_the_density_without_the_rows(fit):
    assert np.isfinite(fit.loo().elpd)
    groups = fit.loo(groups="g")
    assert np.isfinite(groups.elpd)
    theta = variances_of(fit.spec).of(
        {k: v.to_numpy() for k, v in fit.idata["posterior"].to_dataset().items()}
    )
    whole = collapse(fit.spec).log_posterior(theta)
    values = [log_joint_at(fit.spec, fit.idata, i) for i in (0, 17)]
    np.testing.assert_allclose(whole[[0, 17]] - whole[0], np.array(values) - values[0], atol=1e-4)


def log_joint_at(spec, idata, draw):
    """By hand at a draw of the first chain, on the line."""
    posterior = idata["posterior"].to_dataset().isel(chain=0, draw=draw)
    values = {
        "sd[g]": posterior["sd_g_"].item(),
        "rho[g]": posterior["rho_g"].item(),
        "sigma": posterior["sigma"].item(),
    }
    _, log_slope = slopes(collapse(spec), values)
    return log_joint_by_hand(spec, values, Symmetric()) + log_slope


def test_a_structure_is_saved_and_read_with_its_record_or_by_a_name_that_is_known(fit, tmp_path, monkeypatch):
    fit.to_netcdf(tmp_path / "fit.nc")
    with pytest.raises(
        FileError,
        match=r"structure of g, 'symmetric', is none of this version's; .* structures={'g': record}",
    ):
        mb.load(tmp_path / "fit.nc")
    with pytest.raises(FileError, match=r"structure of g is .*Symmetric.*, and structures= has another"):
        mb.load(tmp_path / "fit.nc", structures={"g": Equal()})
    again = mb.load(tmp_path / "fit.nc", structures={"g": Symmetric()})
    assert again.spec.structures == {"g": Symmetric()}
    pd.testing.assert_frame_equal(again.tidy(), fit.tidy())
    monkeypatch.setitem(STRUCTURES, "symmetric", Symmetric())
    assert mb.load(tmp_path / "fit.nc").spec.structures == {"g": Symmetric()}
    monkeypatch.setitem(STRUCTURES, "symmetric", Equal())
    with pytest.raises(FileError, match="'symmetric' is your own and has the name of one that there is"):
        fit.to_netcdf(tmp_path / "fit.nc")


def test_a_structure_that_differs_in_a_number_is_another(tmp_path):
    known = mb.fit("y ~ x + (x | g)", DATA, structures={"g": Known(0.2)}, seed=1, draws=100, progress=False)
    known.to_netcdf(tmp_path / "fit.nc")
    assert mb.load(tmp_path / "fit.nc", structures={"g": Known(0.2)}).spec.structures == {"g": Known(0.2)}
    with pytest.raises(FileError, match=r"of g is Known\(r=0.2\), and structures= has another"):
        mb.load(tmp_path / "fit.nc", structures={"g": Known(0.6)})


def test_a_structure_stays_with_its_group_when_a_fit_is_updated(fit):
    smaller = fit.update("~ . - x", seed=1, progress=False)
    assert smaller.spec.structures == {"g": Symmetric()}
    assert "rho[g]" in smaller.spec.priors
    longer = fit.update(new_rows=DATA.head(12), seed=1, progress=False)
    assert longer.spec.structures == {"g": Symmetric()}
    without = fit.update("~ . - (0 + f | g) + (1 | h)", data=DATA, priors={}, seed=1, progress=False)
    assert without.spec.given_structures == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["symmetric", "known", "equal", "autoregressive"])
def test_both_engines_have_the_same_posterior(name):
    formula, structure = CASES[name]
    options = {"structures": {"g": structure}, "seed": 4, "progress": False}
    exact, nuts = (mb.fit(formula, DATA, method=method, **options).tidy() for method in ("collapsed", "nuts"))
    assert list(nuts["term"]) == list(exact["term"])
    each = [fit["std_error"] / np.sqrt(fit["ess_bulk"]) for fit in (exact, nuts)]
    assert_near(exact["estimate"].to_numpy(), nuts["estimate"].to_numpy(), np.hypot(*each).to_numpy())


@pytest.mark.slow
def test_a_structure_may_refuse_a_method_and_says_why():
    model = mb.model("y ~ x + (x | g)", DATA, structures={"g": Ratios()})
    with pytest.raises(ArgumentError, match="'ratios' of g says: its density has ridges"):
        model.fit(method="collapsed")
    nuts = model.fit(draws=20, tune=50, chains=2, seed=1, progress=False)
    assert "nuts" in str(nuts)
    assert {"phi__Intercept", "phi__x", "sd", "sd__x"} <= set(nuts.tidy()["term"])
    sd, phi, own = (nuts.idata["posterior"][name].to_numpy() for name in ("sd_g_", "phi_g", "sd_g"))
    np.testing.assert_allclose(own, sd[..., None] * phi)
    longer = nuts.update(new_rows=DATA.head(6).assign(g="more"), progress=False)
    assert longer.spec.structures == {"g": Ratios()}
    assert np.isfinite(nuts.loo(groups="g").elpd)


def test_no_engine_takes_a_structure_of_a_kind_that_it_does_not_know():
    model = mb.model("y ~ x + (1 | g)", DATA, structures={"g": Walk()})
    for method in METHODS:
        with pytest.raises(ArgumentError, match="does not know the structure 'walk' of g"):
            model.fit(method=method)
    with pytest.raises(
        ArgumentError, match="No method can be used: it does not know the structure 'walk' of g"
    ):
        model.fit()
    with pytest.raises(TypeError, match="closed form of the structure 'walk'"):
        collapse(model.spec).log_posterior(np.zeros((1, 2)))
    with pytest.raises(TypeError, match="model of the structure 'walk'"):
        graph.build(model.spec)


@pytest.mark.parametrize("is_diagonal", [False, True])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda sd: [[sd[0], sd[0]], [sd[1], sd[1]]],
        lambda sd: [[sd[0]], [sd[1]], [sd[1]]],
        lambda sd: sd[:, None] * np.ones((2, 2, 1)) if isinstance(sd, np.ndarray) else sd[:, None, None] * sd,
    ],
    ids=["square", "too many rows", "of another shape"],
)
def test_a_factor_of_another_shape_than_the_structure_says_is_refused(wrong, is_diagonal):
    own = type(
        "Wrong",
        (Known,),
        {"factor": lambda _, maths, values, q: wrong(values["sd"]), "is_diagonal": is_diagonal},
    )
    model = mb.model("y ~ x + (x | g)", DATA, structures={"g": own()})
    with pytest.raises(TypeError, match="The factor of the structure 'known' is"):
        model.fit(method="collapsed")
    with pytest.raises(TypeError, match="The factor of the structure 'known' is"):
        graph.build(model.spec)


@pytest.mark.slow
def test_a_structure_of_a_predictor_of_sigma_is_named_by_its_block():
    model = mb.model(
        "y ~ x",
        DATA,
        sigma="~ (0 + f | g)",
        structures={"sigma.g": Symmetric()},
        priors={"sigma.rho[g]": "uniform(0, 1)"},
    )
    assert "sigma.rho[g]" in str(model)
    fit = model.fit(draws=20, tune=30, chains=2, seed=1, progress=False)
    assert fit.hypothesis("sigma.rho[g] > 0")["probability"].item() == 1.0


def test_a_method_from_outside_takes_the_two_structures_of_the_formula_and_says_which_others():
    def draw(model, options):
        raise NotImplementedError

    careless = Method("careless", draw=draw, against=lambda _: None)
    plain = mb.model("y ~ x + (x | g) + (x || h)", DATA)
    other = mb.model("y ~ x + (x | g) + (x || h)", DATA, structures={"h": Known()})
    assert careless.why_not(plain) is None
    assert careless.why_not(other) == "it does not know the structure 'known' of h"
    told = replace(careless, takes=lambda structure: isinstance(structure, Known) or structure.name == "full")
    assert told.why_not(other) is None
    assert told.why_not(plain) == "it does not know the structure 'diagonal' of h"


def test_a_structure_given_by_name_is_that_of_the_formula():
    given = mb.model("y ~ x + (x | g)", DATA, structures={"g": "diagonal"}).spec
    written = mb.model("y ~ x + (x || g)", DATA).spec
    assert [(p.address, p.prior) for p in given.parameters] == [
        (p.address, p.prior) for p in written.parameters
    ]
    theta = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_array_equal(
        collapse(given).log_posterior(theta), collapse(written).log_posterior(theta)
    )


@pytest.mark.parametrize(
    ("structures", "error"),
    [
        ({"G": Equal()}, "names 'G', which is no group of the formula. Did you mean 'g'"),
        ({"g": "diagnoal"}, "no structure 'diagnoal'. Did you mean 'diagonal'"),
        ({"g": Equal}, "There is no structure"),
        ({"g": type("Mine", (Equal,), {"name": "full"})()}, "another structure 'full' already"),
    ],
)
def test_what_is_no_structure_is_refused(structures, error):
    with pytest.raises(ArgumentError, match=error):
        mb.model("y ~ x + (x | g)", DATA, structures=structures)


def test_priors_of_a_structure_are_known_by_their_addresses():
    model = mb.model(
        "y ~ (0 + f | g)",
        DATA,
        structures={"g": Symmetric()},
        priors={"rho": "uniform(0, 0.5)", "sd": "normal(0, 1)"},
    )
    said = {p.address: str(p.prior) for p in model.spec.parameters}
    assert said["rho[g]"] == "uniform(0, 0.5)"
    assert said["sd[g]"] == "normal(0, 1)"
    with pytest.raises(mb.PriorError, match="No parameter has the address 'cor\\[g\\]'"):
        mb.model("y ~ (0 + f | g)", DATA, structures={"g": Symmetric()}, priors={"cor[g]": "lkj(2)"})
    cut = mb.model(
        "y ~ (0 + f | g)", DATA, structures={"g": Symmetric()}, priors={"rho[g]": "normal(0, 0.2)"}
    )
    with pytest.raises(ArgumentError, match="the prior of rho\\[g\\] is cut elsewhere than at zero"):
        cut.fit(method="collapsed")
