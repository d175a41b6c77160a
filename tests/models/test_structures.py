"""Structures from outside the package, from `mb.fit` through all that is done with a fit; and those that no engine knows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from monte_carlo import assert_near
from scipy import stats

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, FileError
from mixedbayes.inference import methods
from mixedbayes.inference.gaussian.coordinates import variances_of
from mixedbayes.inference.gaussian.sample import collapse
from mixedbayes.inference.methods import METHODS, Method
from mixedbayes.inference.nuts import graph
from mixedbayes.inference.prepared import Prepared
from mixedbayes.models.distributions import POSITIVE, Interval
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
DATA = pd.DataFrame({"y": Y, "x": X, "f": F, "g": G, "h": np.resize(list("stuvw"), N), "k": np.resize(range(48), N)})

CASES = {
    "symmetric": ("y ~ x + (0 + f | g)", Symmetric()),
    "symmetric, with two effects and another group": ("y ~ x + (x | g) + (1 | h)", Symmetric()),
    "symmetric, with one effect": ("y ~ x + (1 | g) + (1 | h)", Symmetric()),
    "symmetric beside another block": ("y ~ x + (0 + f | g) + (0 + x | g)", Symmetric()),
    "known": ("y ~ x + (x | g)", Known()),
    "known, in the root": ("y ~ x + (x | g) + (1 | k)", Known()),
    "equal": ("y ~ x + (0 + f | g)", Equal()),
    "equal, in the root": ("y ~ x + (0 + f | g) + (1 | k)", Equal()),
}


def covariance_by_hand(structure, values, q):
    """Of a level's effects, from values of parameters by address."""
    if structure.name == "known":
        a, b = values["sd[g, Intercept]"], values["sd[g, x]"]
        return np.array([[a * a, 0.6 * a * b], [0.6 * a * b, b * b]])
    rho = values.get("rho[g]", 0.0)
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
    up, down = (variances.at(theta[None] + sign * h * np.eye(len(theta))).values for sign in (1, -1))
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


@pytest.mark.parametrize("name", ["symmetric", "known", "equal"])
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
        names = {p.address: block.own[kind] for kind, own in block.parameters.items() for p in own if kind in block.own}
        numbers = {names.get(k, k): np.asarray(v) for k, v in values.items() if not k.startswith("sd[g, ")}
        if block.sds:
            numbers[block.sd] = np.array([values[p.address] for p in block.sds])
        numbers[block.z] = z
        for variable in model.pymc.free_RVs:
            if variable.name not in numbers:
                continue
            value = model.pymc.rvs_to_values[variable]
            transform, number = model.pymc.rvs_to_transforms[variable], numbers[variable.name]
            point[value.name] = number if transform is None else transform.forward(number, *variable.owner.inputs).eval()
        C = covariance_by_hand(structure, values, block.q)
        r = z @ np.linalg.cholesky(C).T
        eta = (block.block.X * r[block.block.codes]).sum(axis=1)
        expected = stats.norm(eta, values["sigma"]).logpdf(spec.design.response.values - _population(model, point))
        total = expected.sum() + stats.norm.logpdf(z).sum() + _priors(spec, values)
        logps.append((float(compiled(point)), total))
    found, by_hand = np.transpose(logps)
    np.testing.assert_allclose(np.diff(found), np.diff(by_hand), rtol=1e-8)  # the coefficients' priors are the same


def _population(model, point):
    """The population's part of the predictor at PyMC's own initial point."""
    spec = model.spec
    X = spec.main.centring.columns(spec.design.fixed.X)
    intercept, slopes = (
        point[name] * np.array([p.scale for p in own]) + np.array([p.location for p in own])
        for name, own in (("Intercept_scaled", [spec.main.intercept]), ("slopes_scaled", spec.main.coefficients))
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
    return mb.fit("y ~ x + (0 + f | g)", DATA, structures={"g": Symmetric()}, priors={"rho[g]": "uniform(-0.3, 0.9)"}, seed=1, progress=False)


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
    assert fit.hypothesis("rho[g] > -0.3")["post_prob"].item() == 1.0
    assert fit.icc()["estimate"].sum() == pytest.approx(1)


def test_effects_of_new_levels_have_the_covariance_of_the_structure(fit):
    new = pd.DataFrame({"x": 0.0, "f": list("abc"), "g": "new"})
    predicted = fit.predict(new, kind="linear", draws=True) if False else fit.predict(new, kind="linear", new_levels="sample", as_draws=True)
    assert predicted is not None
