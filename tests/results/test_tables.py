"""Tables of a fit against formulas written out on its draws."""

import numpy as np
import pandas as pd
import pytest
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import ArgumentError

RNG = np.random.default_rng(3)
N = 48
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": RNG.normal(size=N),
        "f": np.resize(["p", "q", "r"], N),
        "g": np.resize(list("abcd"), N),
        "h": np.resize([30, 4, 100], N),
        "s": np.repeat(["one", "two"], N // 2),
        "k": RNG.poisson(3, N),
    }
)
COLUMNS = ["effect", "component", "group", "level", "term", "estimate", "std_error", "conf_low", "conf_high", "rhat", "ess_bulk", "ess_tail"]  # fmt: skip


@pytest.fixture(scope="module")
def fits():
    made = {}

    def fit(formula, family="gaussian", **options):
        key = formula, family
        if key not in made:
            made[key] = synthetic_fit(formula, DATA, family, **options)
        return made[key]

    return fit


def draws(fit, name, **labels):
    """The draws of one number, all chains in a row."""
    return fit.posterior[name].sel(**labels).to_numpy().ravel()


def row(values):
    return [values.mean(), values.std(ddof=1), *np.quantile(values, [0.025, 0.975])]


ESTIMATES = COLUMNS[5:9]

# formula -> (group, term) of every standard deviation and correlation, in order
STRUCTURES = {
    "y ~ x + (1 | g)": [("g", "sd__Intercept"), ("Residual", "sd__Observation")],
    "y ~ x + (x | g)": [("g", "sd__Intercept"), ("g", "sd__x"), ("g", "cor__Intercept.x"), ("Residual", "sd__Observation")],
    "y ~ x + (x || g)": [("g", "sd__Intercept"), ("g", "sd__x"), ("Residual", "sd__Observation")],
    "y ~ x + (x + z | g)": [
        ("g", "sd__Intercept"), ("g", "sd__x"), ("g", "sd__z"),
        ("g", "cor__Intercept.x"), ("g", "cor__Intercept.z"), ("g", "cor__x.z"),
        ("Residual", "sd__Observation"),
    ],
    "y ~ x + (1 | g) + (1 | h)": [("g", "sd__Intercept"), ("h", "sd__Intercept"), ("Residual", "sd__Observation")],
    "y ~ x + (1 | s/g)": [("s", "sd__Intercept"), ("s:g", "sd__Intercept"), ("Residual", "sd__Observation")],
    "y ~ x + (1 | g) + (0 + x | g)": [("g", "sd__Intercept"), ("g.2", "sd__x"), ("Residual", "sd__Observation")],
    "y ~ 0 + f + (1 | g)": [("g", "sd__Intercept"), ("Residual", "sd__Observation")],
    "y ~ 0 + (1 | g)": [("g", "sd__Intercept"), ("Residual", "sd__Observation")],
    "y ~ x": [("Residual", "sd__Observation")],
    "k ~ x + (x | g)": [("g", "sd__Intercept"), ("g", "sd__x"), ("g", "cor__Intercept.x")],
    "k ~ x": [],
}  # fmt: skip


def of(fits, formula):
    return fits(formula, "poisson" if formula.startswith("k") else "gaussian")


@pytest.mark.parametrize("formula", STRUCTURES)
def test_tidy_has_broom_mixed_s_columns_and_terms(fits, formula):
    fit = of(fits, formula)
    table = fit.tidy()
    assert list(table.columns) == COLUMNS
    assert list(table.index) == list(range(len(table)))
    fixed = table[table["effect"] == "fixed"]
    assert fixed["term"].tolist() == list(fit.spec.design.fixed.columns)
    assert fixed["group"].isna().all()
    pars = table[table["effect"] == "ran_pars"]
    assert list(zip(pars["group"], pars["term"], strict=True)) == STRUCTURES[formula]
    assert table.loc[table["effect"] != "ran_vals", "level"].isna().all()
    values = table[table["effect"] == "ran_vals"]
    assert len(values) == sum(len(b.block.levels) * len(b.block.columns) for b in fit.spec.blocks)
    assert set(table["component"]) <= {"cond"}
    assert not table[COLUMNS[5:]].isna().any().any()


def test_tidy_rows_are_the_draws_summarised(fits):
    fit = fits("y ~ x + (x + z | g)")
    table = fit.tidy()

    def found(**labels):
        chosen = table
        for name, value in labels.items():
            chosen = chosen[chosen[name] == value]
        assert len(chosen) == 1, labels
        return chosen.iloc[0][ESTIMATES].tolist()

    assert found(effect="fixed", term="x") == pytest.approx(row(draws(fit, "b", coefficient="x")))
    assert found(term="sd__z") == pytest.approx(row(draws(fit, "sd_g", g_effect="z")))
    cor = draws(fit, "cor_g", g_effect="x", g_effect_other="z")
    assert found(term="cor__x.z") == pytest.approx(row(cor))
    assert found(term="sd__Observation") == pytest.approx(row(draws(fit, "sigma")))
    r = draws(fit, "r_g", g="c", g_effect="x")
    assert found(effect="ran_vals", group="g", level="c", term="x") == pytest.approx(row(r))


def test_levels_keep_the_data_s_own_values(fits):
    table = fits("y ~ x + (1 | g) + (1 | h)").tidy("ran_vals")
    assert table.loc[table["group"] == "h", "level"].tolist() == [4, 30, 100]
    assert table.loc[table["group"] == "g", "level"].tolist() == list("abcd")
    dates = DATA.assign(day=pd.to_datetime(np.resize(["2024-03-01", "2024-02-29"], N)))
    days = synthetic_fit("y ~ x + (1 | day)", dates).tidy("ran_vals")["level"].tolist()
    assert days == [pd.Timestamp("2024-02-29"), pd.Timestamp("2024-03-01")]


@pytest.mark.parametrize(
    ("effects", "kinds"),
    [
        ("fixed", ["fixed"]),
        (("ran_vals", "fixed"), ["fixed", "ran_vals"]),
        (["ran_pars"], ["ran_pars"]),
        (("fixed", "ran_pars", "ran_vals"), ["fixed", "ran_pars", "ran_vals"]),
    ],
)
def test_tidy_takes_some_effects(fits, effects, kinds):
    fit = fits("y ~ x + (x | g)")
    table, whole = fit.tidy(effects), fit.tidy()
    assert list(dict.fromkeys(table["effect"])) == kinds
    pd.testing.assert_frame_equal(table, whole[whole["effect"].isin(kinds)].reset_index(drop=True))


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ("random", "effects are some of fixed, ran_pars, ran_vals; 'random' was asked for"),
        (("fixed", "ran_coefs"), "'ran_coefs' was asked for"),
        ((), "none was asked for"),
        ([], "none was asked for"),
        (3, "effects are some of"),
        (None, "effects are some of"),
    ],
)
def test_unknown_effects_are_refused(fits, effects, message):
    with pytest.raises(ArgumentError, match=message):
        fits("y ~ x + (x | g)").tidy(effects)


def test_effects_that_a_model_lacks_give_an_empty_table_with_columns(fits):
    table = fits("y ~ x").tidy("ran_vals")
    assert (len(table), list(table.columns)) == (0, COLUMNS)
    assert list(of(fits, "k ~ x").varcorr().columns) == [
        "group",
        "var1",
        "var2",
        "vcov",
        "sdcor",
        *COLUMNS[6:9],
    ]
    assert fits("y ~ x").ranef().empty
    assert fits("y ~ x").coef().empty
    assert fits("y ~ 0 + (1 | g)").fixef().empty


def test_conf_level_and_robust_reach_every_table(fits):
    fit = fits("y ~ x + (x | g)")
    b = draws(fit, "b", coefficient="x")
    low, high = np.quantile(b, [0.1, 0.9])
    for table in (
        fit.tidy("fixed", conf_level=0.8, robust=True).set_index("term"),
        fit.fixef(0.8, robust=True),
    ):
        assert table.loc["x", "estimate"] == pytest.approx(np.median(b))
        assert table.loc["x", ["conf_low", "conf_high"]].tolist() == pytest.approx([low, high])
    r = draws(fit, "r_g", g="b", g_effect="x")
    assert fit.ranef(0.8, robust=True).loc[("g", "b", "x"), "estimate"] == pytest.approx(np.median(r))
    assert fit.coef(0.8, robust=True).loc[("g", "b", "x"), "estimate"] == pytest.approx(np.median(b + r))
    sigma = draws(fit, "sigma")
    assert fit.varcorr(0.8, robust=True)["sdcor"].iloc[-1] == pytest.approx(np.median(sigma))
    for table in (fit.tidy, fit.fixef, fit.ranef, fit.coef, fit.varcorr):
        with pytest.raises(ArgumentError, match="conf_level lies between 0 and 1, not 95"):
            table(conf_level=95)


def test_fixef_is_indexed_by_term(fits):
    fit = fits("y ~ x + f + (1 | g)")
    table = fit.fixef()
    assert table.index.name == "term"
    assert list(table.columns) == ESTIMATES
    assert table.index.tolist() == ["Intercept", "x", "f[T.q]", "f[T.r]"]
    assert table.loc["f[T.r]"].tolist() == pytest.approx(row(draws(fit, "b", coefficient="f[T.r]")))


def test_ranef_unstacks_to_lme4_s_table(fits):
    fit = fits("y ~ x + (x | g)")
    table = fit.ranef()
    assert table.index.names == ["group", "level", "term"]
    wide = table["estimate"].loc["g"].unstack("term")  # noqa: PD010  # as the docstring says
    assert wide.shape == (4, 2)
    means = fit.posterior["r_g"].mean(["chain", "draw"]).sel(g_effect="x")
    np.testing.assert_allclose(wide["x"], means)


# formula -> for one (group, level, term) the draws that its coefficient is the sum of
SUMS = [
    ("y ~ x + (x | g)", ("g", "b", "x"), [("b", {"coefficient": "x"}), ("r_g", {"g": "b", "g_effect": "x"})]),
    (
        "y ~ x + (x || g)",
        ("g", "b", "x"),
        [("b", {"coefficient": "x"}), ("r_g", {"g": "b", "g_effect": "x"})],
    ),
    ("y ~ x + (1 | g)", ("g", "b", "x"), [("b", {"coefficient": "x"})]),  # no deviation
    ("y ~ x + (x + z | g)", ("g", "d", "z"), [("r_g", {"g": "d", "g_effect": "z"})]),  # no coefficient
    ("y ~ 0 + (1 | g)", ("g", "d", "Intercept"), [("r_g", {"g": "d", "g_effect": "Intercept"})]),
    ("y ~ 0 + f + (1 | g)", ("g", "a", "f[q]"), [("b", {"coefficient": "f[q]"})]),
    (
        "y ~ x + (1 | g) + (1 | h)",
        ("h", 30, "Intercept"),
        [("b", {"coefficient": "Intercept"}), ("r_h", {"h": 30, "h_effect": "Intercept"})],
    ),
    (
        "y ~ x + (1 | s/g)",
        ("s:g", "two:c", "Intercept"),
        [("b", {"coefficient": "Intercept"}), ("r_s:g", {"s:g": "two:c", "s:g_effect": "Intercept"})],
    ),
    # two blocks on one factor are one row of coefficients
    (
        "y ~ x + (1 | g) + (0 + x | g)",
        ("g", "c", "x"),
        [("b", {"coefficient": "x"}), ("r_g.2", {"g": "c", "g.2_effect": "x"})],
    ),
    (
        "y ~ x + (1 | g) + (0 + x | g)",
        ("g", "c", "Intercept"),
        [("b", {"coefficient": "Intercept"}), ("r_g", {"g": "c", "g_effect": "Intercept"})],
    ),
    ("k ~ x + (x | g)", ("g", "b", "x"), [("b", {"coefficient": "x"}), ("r_g", {"g": "b", "g_effect": "x"})]),
]


@pytest.mark.parametrize(("formula", "place", "parts"), SUMS)
def test_coef_is_population_plus_deviation(fits, formula, place, parts):
    fit = of(fits, formula)
    total = sum(draws(fit, name, **labels) for name, labels in parts)
    assert fit.coef().loc[place].tolist() == pytest.approx(row(total))


def test_coef_has_every_coefficient_for_every_level_once(fits):
    table = fits("y ~ x + (1 | g) + (0 + x | g)").coef()
    assert table.index.is_unique
    assert table.loc["g"].index.tolist() == [(level, term) for term in ("Intercept", "x") for level in "abcd"]


def test_coef_knows_a_product_whatever_the_order_in_which_it_is_written(fits):
    fit = fits("y ~ x*z + (0 + z:x | g)")
    b = fit.posterior["b"].sel(coefficient="x:z").to_numpy()
    r = fit.posterior["r_g"].to_numpy()[..., 0]
    table = fit.coef().xs("x:z", level="term")
    np.testing.assert_allclose(table["estimate"], (b[..., None] + r).mean(axis=(0, 1)))
    assert fit.coef().index.get_level_values("term").nunique() == 4


def test_coef_does_not_take_a_column_called_intercept_for_the_intercept():
    data = DATA.rename(columns={"z": "Intercept"})
    fit = synthetic_fit("y ~ x + (0 + Intercept | g)", data)
    b = fit.posterior["b"].sel(coefficient="Intercept").to_numpy()
    r = fit.posterior["r_g"].to_numpy()[..., 0]
    table = fit.coef()["estimate"]
    np.testing.assert_allclose(table.xs("Intercept", level="term"), b.mean())
    np.testing.assert_allclose(table.xs("`Intercept`", level="term"), r.mean(axis=(0, 1)))
    assert list(fit.ranef().index.get_level_values("term").unique()) == ["`Intercept`"]
    greater = fit.hypothesis("r[g, a, `Intercept`] > b[Intercept]")["probability"].iloc[0]
    assert greater == (r[..., 0] > b).mean()


def test_varcorr_is_lme4_s_frame(fits):
    fit = fits("y ~ x + (x + z | g)")
    table = fit.varcorr()
    assert list(table.columns) == [
        "group",
        "var1",
        "var2",
        "vcov",
        "sdcor",
        "std_error",
        "conf_low",
        "conf_high",
    ]
    labels = (
        table[["group", "var1", "var2"]].astype(object).where(table[["group", "var1", "var2"]].notna(), None)
    )
    assert labels.to_numpy().tolist() == [
        ["g", "Intercept", None],
        ["g", "x", None],
        ["g", "z", None],
        ["g", "Intercept", "x"],
        ["g", "Intercept", "z"],
        ["g", "x", "z"],
        ["Residual", None, None],
    ]
    sd_x, sd_z = (draws(fit, "sd_g", g_effect=name) for name in "xz")
    cor = draws(fit, "cor_g", g_effect="x", g_effect_other="z")
    assert table.loc[1, "vcov"] == pytest.approx((sd_x**2).mean())
    assert table.loc[5, "vcov"] == pytest.approx((cor * sd_x * sd_z).mean())
    sigma = draws(fit, "sigma")
    assert table.loc[6, "vcov"] == pytest.approx((sigma**2).mean())
    for place, values in ((1, sd_x), (5, cor), (6, sigma)):
        assert table.loc[place, ["sdcor", "std_error", "conf_low", "conf_high"]].tolist() == pytest.approx(
            row(values)
        )


@pytest.mark.parametrize(
    ("formula", "groups"),
    [
        ("y ~ x + (x || g)", ["g", "g", "Residual"]),
        ("y ~ x + (1 | g) + (0 + x | g)", ["g", "g.2", "Residual"]),
        ("y ~ x + (1 | s/g)", ["s", "s:g", "Residual"]),
        ("k ~ x + (x | g)", ["g", "g", "g"]),
    ],
)
def test_varcorr_has_a_row_for_each_variance_and_correlation(fits, formula, groups):
    assert of(fits, formula).varcorr()["group"].tolist() == groups


def test_hyperparameters_are_in_the_tidy_table():
    fit = synthetic_fit(
        "y ~ x + (1 | g)", DATA, priors={"b": "normal(0, exponential(1))", "sd": "gamma(2, gamma(1, 1))"}
    )
    table = fit.tidy("ran_pars")
    own = table[table["group"] == "(prior)"]
    assert own["term"].tolist() == ["prior[b, sigma]", "prior[sd, beta]"]
    assert own.iloc[1][ESTIMATES].tolist() == pytest.approx(row(draws(fit, "prior[sd, beta]")))


def test_tables_do_not_depend_on_the_order_of_dimensions(fits):
    fit = fits("y ~ x + (x | g)")
    turned = fit.idata.map_over_datasets(lambda data: data.transpose(..., *reversed(list(data.dims))))
    other = type(fit)(fit.spec, turned, fit.engine)
    for name in ("tidy", "coef", "ranef", "varcorr", "fixef"):
        pd.testing.assert_frame_equal(getattr(other, name)(), getattr(fit, name)())
    assert str(other) == str(fit)


def test_mb_has_the_class_of_fits(fits):
    assert isinstance(fits("y ~ x"), mb.Fit)
