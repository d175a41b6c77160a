"""With default priors a shift or a change of unit of a predictor changes nothing that is not defined at its zero.

The law is held to the density itself, at random points, where no draw blurs it: at corresponding points the log
density may differ by one constant alone (the Jacobian of the units). A few fits show that tables say the same.
"""

import numpy as np
import pandas as pd
import pytest
from monte_carlo import assert_same_draws

import mixedbayes as mb
from mixedbayes.inference.gaussian.sample import collapse
from mixedbayes.inference.nuts.graph import build

RNG = np.random.default_rng(12)
N = 144
DATA = pd.DataFrame(
    {
        "x": RNG.normal(0.4, 2.0, N).round(3),
        "z": RNG.uniform(-1.0, 3.0, N).round(3),
        "pre": RNG.integers(0, 2, N),
        "w": RNG.normal(0, 1, N),
        "f": np.resize(list("aabc"), N),
        "school": np.repeat(list("ABCDEF"), 24),
        "klass": np.repeat(np.arange(18) % 3, 8),
        "item": np.resize(list("pqrstuv"), N),
        "count": RNG.poisson(3.0, N),
    }
)
DATA["y"] = (
    3
    + 0.5 * DATA["x"]
    + DATA["school"].map(dict(zip("ABCDEF", RNG.normal(0, 1, 6), strict=True))) * (1 + 0.3 * DATA["x"])
    + RNG.normal(0, 1, N)
)

SHIFTED = [
    "y ~ x + (x | school)",
    "y ~ x + z + (x + z | school)",
    "y ~ x + (x | school/klass)",
    "y ~ x + (x | school) + (x | item)",
    "y ~ x * f + (x | school)",
    "y ~ x * f + (x * f | school)",
    "y ~ x * z + (x * z | item)",
    "y ~ x + I(x^2) + (x + I(x^2) | school)",
    "y ~ poly(x, 2) * f + (x | school)",
    "y ~ 0 + f + x + (0 + f + x | school)",
    "y ~ 0 + f + f:x + (0 + f + x | school)",
    "y ~ pre * f + (pre | school)",
    "y ~ x + bs(z, df=4) + (x | school)",
    "y ~ x + offset(w) + (1 + x | school) + (1 | item)",
]
SCALED = [
    *SHIFTED,
    "y ~ x + (x || school)",
    "y ~ 0 + x + (0 + x | school)",
    "y ~ x + (1 | school) + (0 + x | school)",
    "y ~ x:f + (0 + x:f | school)",
]
"""Where a block has no intercept, or independence is declared, zero is part of the model: units are not."""

SHIFTS = (50, 2000, 1e6)
SCALES = (1e-3, 1e3)


def changed(shift=0.0, scale=1.0, column=None):
    """The data with each predictor moved and in another unit."""
    columns = ("x", "z", "pre") if column is None else (column,)
    return DATA.assign(**{name: (DATA[name] + shift) * scale for name in columns})


def gaps(values, others):
    """How far differences of log densities are from one constant."""
    difference = np.asarray(values) - np.asarray(others)
    return np.abs(difference - difference.mean()).max()


def units(spec, other):
    """For each sd, the factor between its units in two models of the same data: that of their default priors."""
    rates = [
        np.array([parameter.prior.named["beta"] for block in each.blocks for parameter in block.sds])
        for each in (spec, other)
    ]
    return rates[0] / rates[1]


def rounding(formula, shift):
    """What may differ: products and squares of numbers near the shift keep so many digits fewer."""
    power = 2 if any(text in formula for text in ("^", "x * z")) else 1
    return 1e-6 + 1e-14 * float(shift) ** power


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("formula", SHIFTED)
def test_the_collapsed_density_is_the_same_wherever_zero_is(formula, shift):
    plain, moved = (collapse(mb.model(formula, data).spec) for data in (DATA, changed(shift)))
    assert [p.prior.text(6) for p in plain.variances.spec.parameters] == [
        p.prior.text(6) for p in moved.variances.spec.parameters
    ]
    theta = plain.variances.start({}) + RNG.normal(0, 0.7, (8, plain.variances.size))
    assert gaps(plain.log_posterior(theta), moved.log_posterior(theta)) < rounding(formula, shift)
    assert plain.variances.names == moved.variances.names


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("formula", SCALED)
def test_the_collapsed_density_is_the_same_in_any_unit(formula, scale):
    plain, other = (collapse(mb.model(formula, data).spec) for data in (DATA, changed(0, scale)))
    theta = plain.variances.start({}) + RNG.normal(0, 0.7, (8, plain.variances.size))
    names = plain.variances.names
    there = theta.copy()
    sds = [p.address for block in plain.variances.spec.blocks for p in block.sds]
    for address, unit in zip(sds, units(plain.variances.spec, other.variances.spec), strict=True):
        there[:, names.index(address)] += np.log(unit)
    assert gaps(plain.log_posterior(theta), other.log_posterior(there)) < 1e-6


@pytest.mark.parametrize(("shift", "scale"), [(2000, 1), (1e6, 1), (0, 1e-3), (50, 1e3)])
@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ x * f + (x | school/klass)", "gaussian"),
        ("count ~ x + (x | school) + (x + z | item)", "poisson"),
        ("count ~ x + I(x^2) + (1 + x | item)", "poisson"),
    ],
)
def test_the_pymc_model_is_the_same_wherever_zero_is_and_in_any_unit(formula, family, shift, scale):
    specs = [mb.model(formula, data, family).spec for data in (DATA, changed(shift, scale))]
    factors = iter(np.log(units(*specs)))
    models = [build(spec) for spec in specs]
    densities = [model.compile_logp(mode="FAST_COMPILE") for model in models]
    names = list(models[0].initial_point())
    assert names == list(models[1].initial_point())
    moves = {
        f"{block.inner if block.cor else block.sd}_log__": np.array([next(factors) for _ in block.sds])
        for block in specs[0].blocks
    }
    values, others = [], []
    for _ in range(6):
        point = {
            name: np.asarray(start) + RNG.normal(0, 0.3, np.shape(start))
            for name, start in models[0].initial_point().items()
        }
        values.append(float(densities[0](point)))
        others.append(float(densities[1]({k: v + moves.get(k, 0.0) for k, v in point.items()})))
    assert gaps(values, others) < rounding(formula, shift)


def quantities(fit, shift, scale):
    """What is not defined at zero, in the first unit: each with draws, shape (chain, draw)."""
    posterior = fit.posterior
    b, sd, r = (posterior[name].to_numpy() for name in ("b", "sd_school", "r_school"))
    mean = (DATA["x"].mean() + shift) * scale
    return {
        "b[x]": b[..., 1] * scale,
        "Intercept at the mean": b[..., 0] + mean * b[..., 1],
        "sd[x]": sd[..., 1] * scale,
        "sd at the mean": _sd_at(fit, mean),
        "sigma": posterior["sigma"].to_numpy(),
        "a school at the mean": r[:, :, 2, 0] + mean * r[:, :, 2, 1],
    }


def _sd_at(fit, x):
    sd = fit.posterior["sd_school"].to_numpy()
    cor = fit.posterior["cor_school"].to_numpy()[..., 0, 1]
    return np.sqrt(
        np.maximum(sd[..., 0] ** 2 + 2 * x * cor * sd[..., 0] * sd[..., 1] + (x * sd[..., 1]) ** 2, 0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["collapsed", "nuts"])
def test_fits_say_the_same_wherever_zero_is(method, seed):
    """By other draws each time: parameters, log predictive densities of rows and their total, predictions."""
    told = []
    for number, (shift, scale) in enumerate([(0, 1), (2000, 1), (1e5, 1e-3)]):
        data = changed(shift, scale)
        fit = mb.fit(
            "y ~ x + (x | school)",
            data,
            seed=3 * seed + number,
            draws=1000,
            method=method,
            progress=False,
        )
        log_density = fit.idata["log_likelihood"]["y"].to_numpy()
        eta = fit.predict(data.head(5), draws=True).to_numpy()
        told.append(
            quantities(fit, shift, scale)
            | {f"row {i}": eta[..., i] for i in range(5)}
            | {"log likelihood": log_density.sum(axis=2)}
            | {f"density of row {i}": np.exp(log_density[..., i]) for i in range(0, N, 12)}
        )
    for other in told[1:]:
        assert_same_draws(told[0], other)


def test_a_column_far_from_zero_is_no_combination_of_the_intercept():
    design = mb.design("y ~ x + (x | school)", DATA.assign(x=DATA["x"] / 100 + 1e6))
    assert design.fixed.columns == ("Intercept", "x")
    assert mb.design("y ~ x", DATA.assign(x=0.1)).fixed.columns == ("Intercept",)


def test_a_product_without_its_margin_moves_what_it_can():
    """`x:z` without `z` is another model after a shift of x, and the same after one of z."""
    plain, moved = (mb.model("y ~ x + x:z + (1 | item)", data).spec for data in (DATA, changed(2000, 1, "z")))
    assert [p.address for p in plain.main.coefficients] == ["centred.b[x]", "b[x:z]"]
    assert [p.prior.text(6) for p in plain.parameters] == [p.prior.text(6) for p in moved.parameters]


@pytest.mark.parametrize(
    ("formula", "priors", "where"),
    [
        ("y ~ x + (x | school)", {}, {"Intercept", "centred.sd[school, Intercept]", "centred.cor[school]"}),
        ("y ~ x + (x | school)", {"sd[school, x]": "normal(0, 1)"}, {"Intercept", "centred.sd[school, Intercept]", "centred.cor[school]"}),
        ("y ~ x + (x | school)", {"sd[school, Intercept]": "normal(0, 1)"}, {"Intercept"}),
        ("y ~ x + (x | school)", {"sd[school]": "normal(0, 1)"}, {"Intercept"}),
        ("y ~ x + (x | school)", {"cor": "lkj(1)"}, {"Intercept"}),
        ("y ~ x + (x | school) + (x | item)", {"cor[item]": "lkj(1)"}, {"Intercept", "centred.sd[school, Intercept]", "centred.cor[school]"}),
        ("y ~ x + (x | school)", {"centered.cor[school]": "lkj(1)"}, {"Intercept", "centred.sd[school, Intercept]", "centred.cor[school]"}),
        ("y ~ x + (x | school)", {"b[Intercept]": "normal(0, 1)"}, {"centred.sd[school, Intercept]", "centred.cor[school]"}),
        ("y ~ x + (x || school)", {}, {"Intercept"}),
        ("y ~ scale(x) + poly(z, 2) + (center(x) | school)", {}, set()),
        ("y ~ x * z", {}, {"Intercept", "centred.b[x]", "centred.b[z]"}),
        ("y ~ x * z", {"b[x]": "normal(0, 1)"}, {"Intercept", "centred.b[z]"}),
        ("y ~ x * z", {"centred.b[x]": "normal(0, 1)"}, {"Intercept", "centred.b[x]", "centred.b[z]"}),
        ("y ~ x * z", {"b[x:z]": "normal(0, 1)"}, {"Intercept", "centred.b[x]", "centred.b[z]"}),
        ("y ~ x * z", {"b": "normal(0, 1)"}, {"Intercept"}),
    ],
)  # fmt: skip
def test_priors_that_are_named_as_tables_name_things_are_of_what_tables_show(formula, priors, where):
    spec = mb.model(formula, DATA, priors=priors).spec
    assert {p.address for p in spec.parameters if p.at_means} == where
    text = str(mb.model(formula, DATA, priors=priors))
    assert ("at the predictors' means; tables show what is at zero" in text) == bool(where)


@pytest.mark.parametrize(
    ("formula", "priors", "message"),
    [
        ("y ~ x * z", {"b[x]": "normal(0, 1)", "centred.b[x]": "normal(0, 1)"}, "centred.b.x. is the coefficient of x at the predictors' means, b.x. that at zero"),
        ("y ~ x * z", {"b": "normal(0, 1)", "centred.b[x]": "normal(0, 1)"}, "centred.b.x. is the coefficient of x at the predictors' means, b that at zero"),
        ("y ~ x + (x | school)", {"cor": "lkj(1)", "centred.sd[school, Intercept]": "normal(0, 1)"}, "is of the effects at the predictors' means, cor of those at zero"),
        ("y ~ x + (x | school)", {"Intercept": "normal(0, 1)", "centered.b[Intercept]": "normal(0, 1)"}, "Intercept is given two priors"),
        ("y ~ x + (1 | school)", {"centred.sd[school, Intercept]": "normal(0, 1)"}, "No parameter has the address"),
    ],
)  # fmt: skip
def test_priors_of_both_are_refused(formula, priors, message):
    with pytest.raises(mb.PriorError, match=message):
        mb.model(formula, DATA, priors=priors)


def test_what_is_at_the_means_can_be_asked_for():
    fit = mb.fit("y ~ x * z + (x | school)", changed(7), seed=1, draws=100, method="collapsed")
    b = fit.posterior["b"].to_numpy()
    columns = fit.spec.design.fixed.columns
    z, x = (changed(7)[name].mean() for name in "zx")
    asked = fit.hypothesis(
        ["centred.b[x] > 0", "centred.sd[school, Intercept] > 0", "centred.b[Intercept] > 0"]
    )
    found = asked["estimate"].to_numpy()
    slope = b[..., columns.index("x")] + z * b[..., columns.index("x:z")]
    assert found[0] == pytest.approx(slope.mean())
    assert found[1] == pytest.approx(_sd_at(fit, x).mean())
    assert found[2] == pytest.approx((fit.spec.design.fixed.X.mean(axis=0) @ b.reshape(-1, 4).T).mean())


@pytest.mark.filterwarnings("ignore::mixedbayes.errors.DesignWarning")
@pytest.mark.parametrize(
    ("formula", "priors", "far"),
    [
        ("y ~ x + (x || school)", {}, True),
        ("y ~ x + (1 | school) + (0 + x | school)", {}, True),
        ("y ~ x + (x | school)", {"cor[school]": "lkj(1)"}, True),
        ("y ~ x + (x | school)", {}, False),
        ("y ~ x + (1 | school) + (0 + x | item)", {}, False),
    ],
)
def test_where_zero_is_part_of_the_model_the_default_sd_reaches_there(formula, priors, far):
    """A slope of sd(y) / sd(x) moves the group's line at zero by as much as zero is away."""
    s, spread = DATA["y"].std(), DATA["x"].std()
    for shift in (0, 2000):
        data = changed(shift, column="x")
        spec = mb.model(formula, data, priors=priors).spec
        (rate,) = (p.prior.named["beta"] for p in spec.blocks[0].sds if "Intercept" in p.address)
        distance = max(data["x"].min(), 0.0) / spread if far else 0.0
        assert 1 / rate == pytest.approx(s * np.hypot(1.0, distance))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ x + (x || school)", True),
        ("y ~ x + (1 | school) + (0 + x | school)", True),
        ("y ~ x + (x | school)", False),
        ("y ~ x + (1 | school) + (0 + x | item)", False),
        ("y ~ x + (1 | school/klass) + (0 + x | klass:school)", False),
        ("y ~ f + (f || school)", False),
    ],
)
def test_independence_at_a_zero_far_from_the_data_is_told(formula, said):
    notes = mb.design(formula, changed(2000, column="x")).notes
    found = [note for note in notes if "are independent where x is 0, far from its values" in note]
    assert bool(found) == said
    assert not [note for note in mb.design(formula, DATA).notes if "are independent where" in note]
