"""What is computed of a fit with several predictors: by hand from its draws."""

import numpy as np
import pandas as pd
import pytest
from monte_carlo import assert_likely
from scipy import stats
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, DataError, FamilyError, FormulaError, PriorError

RNG = np.random.default_rng(8)
N = 40
DATA = pd.DataFrame(
    {
        "x": RNG.normal(2.0, 1.0, N),
        "z": RNG.normal(5.0, 1.0, N),
        "g": np.resize(list("abcde"), N),
        "y": RNG.normal(10.0, 3.0, N),
    }
)
SIGMA = "~ z + (z | g)"


@pytest.fixture(scope="module")
def fit():
    return synthetic_fit("y ~ x + (x | g)", DATA, sigma=SIGMA)


def drawn(fit, name):
    """Draws of a variable, shape (chain, draw, ...)."""
    return fit.posterior[name].to_numpy()


def by_hand(fit, b, r, column, levels):
    """The linear predictor of rows, shape (chain, draw, rows)."""
    X = np.column_stack([np.ones(len(column)), column])
    effects = drawn(fit, r)[..., [sorted(set(DATA["g"])).index(level) for level in levels], :]
    return (X * (drawn(fit, b)[:, :, None, :] + effects)).sum(axis=-1)


def test_predictions_of_both_predictors_are_those_by_hand(fit):
    new = pd.DataFrame({"x": [0.0, 3.0, 1.0], "z": [4.0, 6.0, 5.5], "g": ["a", "e", "a"]})
    mu = by_hand(fit, "b", "r_g", new["x"].to_numpy(), new["g"])
    eta = by_hand(fit, "sigma.b", "r_sigma.g", new["z"].to_numpy(), new["g"])
    np.testing.assert_allclose(fit.predict(new, draws=True), mu)
    np.testing.assert_allclose(fit.predict(new, parameter="mu", draws=True), mu)
    np.testing.assert_allclose(fit.predict(new, parameter="sigma", kind="linear", draws=True), eta)
    np.testing.assert_allclose(fit.predict(new, parameter="sigma", draws=True), np.exp(eta))
    np.testing.assert_allclose(fit.predict(new, parameter="sigma")["estimate"], np.exp(eta).mean(axis=(0, 1)))
    own = by_hand(fit, "sigma.b", "r_sigma.g", DATA["z"].to_numpy(), DATA["g"])
    np.testing.assert_allclose(fit.predict(parameter="sigma", kind="linear", draws=True), own)


def test_responses_have_the_sd_of_their_row(fit):
    rows = DATA.iloc[:4]
    mu = by_hand(fit, "b", "r_g", rows["x"].to_numpy(), rows["g"])
    sigma = np.exp(by_hand(fit, "sigma.b", "r_sigma.g", rows["z"].to_numpy(), rows["g"]))
    y = fit.predict(rows, "response", draws=True, seed=4).to_numpy()
    assert_likely(stats.kstest(((y - mu) / sigma).ravel(), "norm").pvalue)


def test_without_groups_both_predictors_are_the_population_s(fit):
    rows = DATA.iloc[:3]
    eta = drawn(fit, "sigma.b") @ np.column_stack([np.ones(3), rows["z"]]).T
    found = fit.predict(rows, "linear", groups=None, parameter="sigma", draws=True)
    np.testing.assert_allclose(found, eta)


@pytest.mark.parametrize(
    ("name", "column", "b", "block"), [("mu", "x", "b", "g"), ("sigma", "z", "sigma.b", "sigma.g")]
)
def test_effects_of_a_new_level_have_the_covariance_of_each_draw(name, column, b, block):
    fit = synthetic_fit("y ~ x + (x | g)", DATA, sigma=SIGMA, draws=200)
    rows = pd.DataFrame({"x": [0.0, 1.0], "z": [0.0, 1.0], "g": ["new", "new"]})
    eta = fit.predict(rows, "linear", parameter=name, draws=True, seed=2).to_numpy()
    intercept = eta[..., 0]
    effects = np.stack([intercept, eta[..., 1] - intercept], axis=-1) - drawn(fit, b)
    sd, cor = drawn(fit, f"sd_{block}"), drawn(fit, f"cor_{block}")
    factor = np.linalg.cholesky(cor * sd[..., :, None] * sd[..., None, :])
    z = np.linalg.solve(factor, effects[..., None])[..., 0]
    assert_likely([stats.kstest(z[..., i].ravel(), "norm").pvalue for i in (0, 1)])
    assert_likely(stats.pearsonr(z[..., 0].ravel(), z[..., 1].ravel()).pvalue)


def test_the_log_likelihood_is_that_of_each_row_s_sigma(fit):
    mu = by_hand(fit, "b", "r_g", DATA["x"].to_numpy(), DATA["g"])
    sigma = np.exp(by_hand(fit, "sigma.b", "r_sigma.g", DATA["z"].to_numpy(), DATA["g"]))
    found = fit.idata["log_likelihood"]["y"]
    np.testing.assert_allclose(found, stats.norm.logpdf(DATA["y"], mu, sigma))


ADDRESSES = {
    "sigma.b[z]": ("sigma.b", (1,)),
    "sigma.b[Intercept]": ("sigma.b", (0,)),
    "sigma.sd[g, z]": ("sd_sigma.g", (1,)),
    "sigma.cor[g, Intercept, z]": ("cor_sigma.g", (0, 1)),
    "sigma.r[g, c, z]": ("r_sigma.g", (2, 1)),
    "r[g, c, x]": ("r_g", (2, 1)),
    "sd[g, x]": ("sd_g", (1,)),
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_name_draws(fit, address):
    name, place = ADDRESSES[address]
    draws = drawn(fit, name)[(..., *place)]
    np.testing.assert_allclose(fit.hypothesis(f"{address} > 0")["estimate"], draws.mean())


def test_coefficients_of_a_level_are_sums(fit):
    draws = drawn(fit, "sigma.b")[..., 1] + drawn(fit, "r_sigma.g")[..., 2, 1]
    np.testing.assert_allclose(fit.hypothesis("sigma.coef[g, c, z] > 0")["estimate"], draws.mean())
    np.testing.assert_allclose(fit.coef().loc[("g", "c", "sigma.z"), "estimate"], draws.mean())


def test_what_is_at_the_means_is_moved_by_hand(fit):
    at_means = drawn(fit, "sigma.b") @ [1.0, DATA["z"].mean()]
    found = fit.hypothesis("centred.sigma.b[Intercept] > 0")["estimate"]
    np.testing.assert_allclose(found, at_means.mean())


def test_tables_say_whose_predictor_each_row_is_of(fit):
    tidy = fit.tidy()
    assert set(tidy["component"]) == {"cond", "sigma"}
    of_sigma = tidy[tidy["component"] == "sigma"]
    assert of_sigma.query("effect == 'fixed'")["term"].tolist() == ["Intercept", "z"]
    assert of_sigma.query("effect == 'ran_pars'")["term"].tolist() == [
        "sd__Intercept",
        "sd__z",
        "cor__Intercept.z",
    ]
    assert list(fit.fixef().index) == ["Intercept", "x", "sigma.Intercept", "sigma.z"]
    np.testing.assert_allclose(
        fit.ranef().loc[("g", "b", "sigma.z"), "estimate"], drawn(fit, "r_sigma.g")[..., 1, 1].mean()
    )
    assert fit.varcorr()["var1"].tolist() == [
        *("Intercept", "x", "Intercept"),
        *("sigma.Intercept", "sigma.z", "sigma.Intercept"),
    ]
    assert not (fit.varcorr()["group"] == "Residual").any()
    text = str(fit)
    assert "Group-level effects of sigma, g (5 levels):" in text
    assert "Population-level effects of sigma:" in text
    assert str(fit.spec.blocks[1].block).startswith("(Intercept, z | g) of sigma: 5 levels")


def test_a_file_holds_both_predictors(fit, tmp_path):
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    assert str(loaded) == str(fit)
    assert loaded.spec.links == {"mu": "identity", "sigma": "log"}
    np.testing.assert_allclose(
        loaded.predict(parameter="sigma", draws=True), fit.predict(parameter="sigma", draws=True)
    )


STRANGE = DATA.assign(
    sigma=RNG.normal(size=N),
    mu=RNG.normal(size=N),
    **{
        "sigma.g": np.resize(list("uvw"), N),
        "sigma.b": np.resize(list("pqr"), N),
        "sigma.z": RNG.normal(size=N),
    },
)


def test_columns_may_be_called_as_parameters_and_their_variables_are():
    fit = synthetic_fit(
        "y ~ sigma + mu + `sigma.z` + (1 | `sigma.g`) + (1 | `sigma.b`)",
        STRANGE,
        sigma="~ mu + z + (sigma | g) + (1 | `sigma.g`)",
    )
    means = {
        "b[sigma]": fit.posterior["b"].sel(coefficient="sigma"),
        "b[mu]": fit.posterior["b"].sel(coefficient="mu"),
        "b[sigma.z]": fit.posterior["b"].sel(coefficient="sigma.z"),
        "sigma.b[z]": fit.posterior["sigma.b"].sel({"sigma.coefficient": "z"}),
        "sigma.b[mu]": fit.posterior["sigma.b"].sel({"sigma.coefficient": "mu"}),
    }
    means |= {
        address: fit.posterior[block.sd][..., place]
        for address, block, place in (
            ("sd[sigma.g]", fit.spec.blocks[0], 0),
            ("sd[sigma.b]", fit.spec.blocks[1], 0),
            ("sigma.sd[g, sigma]", fit.spec.blocks[2], 1),
            ("sigma.sd[sigma.g]", fit.spec.blocks[3], 0),
        )
    }
    for address, draws in means.items():
        found = fit.hypothesis(f"{address} > 0")["estimate"].item()
        assert found == pytest.approx(float(draws.mean())), address
    assert len({block.block.name for block in fit.spec.blocks}) == 4


def test_a_number_that_varies_says_where_its_parameters_are(fit):
    with pytest.raises(ArgumentError, match=r"'sigma'\. sigma has a formula and differs from row to row"):
        fit.hypothesis("sigma > 0")
    with pytest.raises(PriorError, match=r"'sigma'\. sigma has a formula .* sigma\.Intercept, sigma\.b"):
        mb.model("y ~ x", DATA, sigma="~ z", priors={"sigma": "exponential(1)"})


def test_notes_on_another_predictor_s_groups_say_whose_they_are():
    said = "In g of sigma, the intercept and the effect of z are independent"
    with pytest.warns(mb.DesignWarning, match=said):
        mb.model("y ~ x", DATA.assign(z=DATA["z"] + 100), sigma="~ z + (z || g)")


MISTAKES = [
    ({"nu": "~ x"}, FamilyError, "gaussian family has no parameter 'nu'"),
    ({"sigma": 5}, FormulaError, "The formula of sigma is a text"),
    ({"sigma": "x"}, FormulaError, "begins with '~'"),
    ({"sigma": "~ w"}, DataError, "There is no column 'w'"),
    ({"dispformula": "~ x"}, ArgumentError, "goes by its name: sigma='~ x'"),
]


@pytest.mark.parametrize(("given", "error", "match"), MISTAKES)
def test_mistakes_in_formulas_of_other_parameters_are_named(given, error, match):
    with pytest.raises(error, match=match):
        mb.model("y ~ x", DATA, **given)
    if "dispformula" not in given:
        with pytest.raises(error, match=match):
            synthetic_fit("y ~ x", DATA).update(**given)


# one block of both predictors ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def joint():
    return synthetic_fit("y ~ x + (x | p | g)", DATA, sigma="~ z + (z | p | g)", draws=200)


JOINT = ("Intercept", "x", "sigma.Intercept", "sigma.z")


def test_a_label_makes_one_block_of_both_predictors(joint):
    (block,) = joint.spec.blocks
    assert block.block.columns == JOINT
    assert "Groups:   (Intercept, x, sigma.Intercept, sigma.z | g): 5 levels" in str(
        mb.model("y ~ x + (x | p | g)", DATA, sigma="~ z + (z | p | g)")
    )
    text = str(joint)
    assert text.count("Group-level effects") == 1
    assert "cor(Intercept, sigma.Intercept)" in text


def test_each_predictor_takes_its_own_effects_of_the_block(joint):
    rows = DATA.iloc[[0, 7, 13]]
    codes = [sorted(set(DATA["g"])).index(level) for level in rows["g"]]
    r = drawn(joint, "r_g")[..., codes, :]
    for name, column, b, places in (("mu", "x", "b", [0, 1]), ("sigma", "z", "sigma.b", [2, 3])):
        X = np.column_stack([np.ones(3), rows[column]])
        eta = (X * (drawn(joint, b)[:, :, None, :] + r[..., places])).sum(axis=-1)
        found = joint.predict(rows, "linear", parameter=name, draws=True)
        np.testing.assert_allclose(found, eta)
        own = joint.predict(kind="linear", parameter=name, draws=True)
        np.testing.assert_allclose(own[..., [0, 7, 13]], eta)


def test_effects_of_a_new_level_are_drawn_jointly_for_both_predictors(joint):
    rows = pd.DataFrame({"x": [0.0, 1.0], "z": [0.0, 1.0], "g": ["new", "new"]})
    parts = []
    for name, b in (("mu", "b"), ("sigma", "sigma.b")):
        eta = joint.predict(rows, "linear", parameter=name, draws=True, seed=2).to_numpy()
        parts += [eta[..., 0] - drawn(joint, b)[..., 0], eta[..., 1] - eta[..., 0] - drawn(joint, b)[..., 1]]
    effects = np.stack(parts, axis=-1)
    sd, cor = drawn(joint, "sd_g"), drawn(joint, "cor_g")
    factor = np.linalg.cholesky(cor * sd[..., :, None] * sd[..., None, :])
    z = np.linalg.solve(factor, effects[..., None])[..., 0].reshape(-1, 4)
    assert_likely([stats.kstest(each, "norm").pvalue for each in z.T])
    pairs = zip(*np.triu_indices(4, 1), strict=True)
    assert_likely([stats.pearsonr(z[:, i], z[:, j]).pvalue for i, j in pairs])


JOINT_ADDRESSES = {
    "sd[g, sigma.z]": ("sd_g", (3,)),
    "sigma.sd[g, z]": ("sd_g", (3,)),
    "sd[g, Intercept]": ("sd_g", (0,)),
    "cor[g, Intercept, sigma.Intercept]": ("cor_g", (0, 2)),
    "cor[g, sigma.z, x]": ("cor_g", (3, 1)),
    "r[g, b, x]": ("r_g", (1, 1)),
    "r[g, b, sigma.z]": ("r_g", (1, 3)),
    "sigma.r[g, b, z]": ("r_g", (1, 3)),
}


@pytest.mark.parametrize("address", JOINT_ADDRESSES)
def test_addresses_of_a_block_of_both_predictors_name_draws(joint, address):
    name, place = JOINT_ADDRESSES[address]
    draws = drawn(joint, name)[(..., *place)]
    np.testing.assert_allclose(joint.hypothesis(f"{address} > 0")["estimate"], draws.mean())


def test_coefficients_of_levels_are_sums_within_each_predictor(joint):
    for address, label, b, place in (
        ("coef[g, b, x]", "x", "b", 1),
        ("sigma.coef[g, b, z]", "sigma.z", "sigma.b", 3),
    ):
        draws = drawn(joint, b)[..., 1] + drawn(joint, "r_g")[..., 1, place]
        np.testing.assert_allclose(joint.hypothesis(f"{address} > 0")["estimate"], draws.mean())
        np.testing.assert_allclose(joint.coef().loc[("g", "b", label), "estimate"], draws.mean())


def test_tables_of_a_block_of_both_predictors_say_whose_each_effect_is(joint):
    tidy = joint.tidy("ran_pars")
    sds = tidy[tidy["term"].str.startswith("sd__")]
    assert sds["component"].tolist() == ["cond", "cond", "sigma", "sigma"]
    assert sds["term"].tolist() == ["sd__Intercept", "sd__x", "sd__Intercept", "sd__z"]
    np.testing.assert_allclose(sds["estimate"], drawn(joint, "sd_g").mean(axis=(0, 1)))
    assert joint.varcorr()["var1"].tolist()[:4] == list(JOINT)
    assert len(joint.varcorr()) == 10
    assert set(joint.ranef().index.get_level_values("term")) == set(JOINT)


def test_the_share_of_a_group_in_the_variance_is_that_of_the_mean_s_effects(joint):
    X = np.column_stack([np.ones(N), DATA["x"]])
    sd, cor = drawn(joint, "sd_g")[..., :2], drawn(joint, "cor_g")[..., :2, :2]
    covariance = cor * sd[..., :, None] * sd[..., None, :]
    variance = np.einsum("cdab,ab->cd", covariance, X.T @ X / N)
    sigma = joint.predict(parameter="sigma", draws=True).to_numpy()
    residual = (sigma**2).mean(axis=-1)
    share = (variance / (variance + residual)).mean()
    np.testing.assert_allclose(joint.icc().loc["g", "estimate"], share)


def test_a_file_holds_the_block_of_both_predictors(joint, tmp_path):
    joint.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    assert str(loaded) == str(joint)
    pd.testing.assert_frame_equal(loaded.ranef(), joint.ranef())


def test_priors_of_the_block_of_both_predictors_go_by_its_effects():
    model = mb.model(
        "y ~ x + (1 | p | g)",
        DATA,
        sigma="~ z + (1 | p | g)",
        priors={"sd[g, sigma.Intercept]": "exponential(5)", "cor[g]": "lkj(3)"},
    )
    found = {p.address: str(p.prior) for p in model.spec.parameters}
    assert found["sd[g, sigma.Intercept]"] == "exponential(5)"
    assert found["cor[g]"] == "lkj(3)"
    assert next(p for p in model.spec.parameters if p.address == "sd[g, Intercept]").default


def test_a_slope_of_one_predictor_leaves_the_prior_of_another_s_intercept_alone():
    far = DATA.assign(z=DATA["z"] + 1000)
    alone = mb.model("y ~ x + (1 | g)", far).spec.blocks[0].sds[0].prior
    beside = mb.model("y ~ x + (1 | g)", far, sigma="~ 0 + (0 + z | g)").spec.blocks[0].sds[0].prior
    assert beside == alone


# questions -------------------------------------------------------------------------------------------------


def test_effects_and_contrasts_are_asked_of_a_parameter(fit):
    at = [4.0, 5.0, 7.0]
    eta = drawn(fit, "sigma.b") @ np.column_stack([np.ones(3), at]).T
    linear = fit.effects("z", at={"z": at}, kind="linear", parameter="sigma", draws=True)
    np.testing.assert_allclose(linear, eta)
    np.testing.assert_allclose(fit.effects("z", at={"z": at}, parameter="sigma", draws=True), np.exp(eta))
    ratio = fit.contrasts("z", pairs=[(7.0, 4.0)], compare="ratio", parameter="sigma", draws=True)
    np.testing.assert_allclose(ratio[..., 0], np.exp(3 * drawn(fit, "sigma.b")[..., 1]))
    flat = fit.effects("x", at={"x": [0.0, 9.0]}, kind="linear", parameter="sigma", draws=True)
    np.testing.assert_allclose(flat[..., 0], flat[..., 1])


def test_slopes_are_asked_of_a_parameter(fit):
    b = drawn(fit, "sigma.b")
    linear = fit.slopes("z", kind="linear", parameter="sigma", draws=True)
    np.testing.assert_allclose(np.squeeze(linear), b[..., 1], rtol=1e-6)
    sigma = np.exp(b @ np.array([np.ones(N), DATA["z"]]))
    found = fit.slopes("z", parameter="sigma", draws=True)
    np.testing.assert_allclose(np.squeeze(found), (sigma * b[..., 1:]).mean(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(fit.slopes("x")["estimate"], drawn(fit, "b")[..., 1].mean(), rtol=1e-6)


def test_a_question_of_a_parameter_that_is_none_is_refused(fit):
    with pytest.raises(ArgumentError, match="parameter is 'mu' or 'sigma', not 'nu'"):
        fit.effects("z", parameter="nu")
    with pytest.raises(ArgumentError, match="A response is of the whole model"):
        fit.effects("z", kind="response", parameter="sigma")
