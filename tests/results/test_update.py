"""Fits that are changed: other formulas, other data, more rows."""

import re

import numpy as np
import pandas as pd
import pytest
from gaussian_cases import DATA as GAUSSIAN
from gaussian_cases import FORMULAS
from monte_carlo import assert_near, assert_same_posterior, draws_by_address, errors
from synthetic import synthetic_draws, synthetic_fit

import mixedbayes as mb
from mixedbayes.designs.extend import extend
from mixedbayes.errors import ArgumentError, DataError, DesignWarning, FamilyError
from mixedbayes.inference.gaussian.coordinates import variances_of
from mixedbayes.inference.gaussian.sample import collapse, extended
from mixedbayes.inference.nuts.graph import build
from mixedbayes.inference.nuts.start import start_of
from mixedbayes.results.fit import Fit

SLEEP = mb.load_dataset("sleepstudy").astype({"Subject": str})
FORMULA = "Reaction ~ Days + (Days | Subject)"
OLD, NEW = SLEEP[SLEEP["Subject"] < "349"], SLEEP[SLEEP["Subject"] >= "349"]


class Recorder:
    """An engine that draws noise, and remembers of what."""

    def __init__(self):
        self.asked = []

    def draw_anew(self, spec, sampling):
        self.asked.append(("anew", spec, sampling))
        return synthetic_draws(spec, 2, 500, 1), self

    def extend(self, spec, idata, new, sampling):
        self.asked.append(("extend", spec, new))
        return synthetic_draws(spec, 2, 500, 1), self


def recorded(formula=FORMULA, data=SLEEP, **options):
    fit = synthetic_fit(formula, data, **options)
    return Fit(fit.spec, fit.idata, Recorder())


@pytest.mark.parametrize("name", FORMULAS)
def test_moments_of_new_rows_are_added_to_those_of_the_old(name):
    """New levels too; the density is that of all rows."""
    old, new = GAUSSIAN.iloc[:37], GAUSSIAN.iloc[37:]
    spec = mb.model(FORMULAS[name], old).spec
    more = spec.of(extend(spec.design, new))
    theta = np.random.default_rng(4).normal(0.0, 0.5, (3, variances_of(more).size))
    found = extended(collapse(spec).moments, more, np.arange(37, 60)).log_posterior(theta)
    np.testing.assert_allclose(found, collapse(more).log_posterior(theta), rtol=1e-10)


@pytest.mark.slow
def test_more_rows_are_exact_and_without_the_old_ones(monkeypatch, seed):
    first = mb.fit(FORMULA, OLD, seed=seed)
    seen = []
    moments = mb.inference.exact.moments
    monkeypatch.setattr(
        "mixedbayes.inference.gaussian.sample.moments",
        lambda design, *others: seen.append(design.n) or moments(design, *others),
    )
    both = first.update(new_rows=NEW, seed=seed)
    assert seen == [len(NEW)]
    priors = {p.address: p.prior for p in first.spec.parameters if not p.address.startswith("Intercept")}
    whole = mb.fit(FORMULA, SLEEP, priors=priors, seed=seed + 1, draws=2000)
    assert sorted(both.spec.blocks[0].block.levels) == sorted(whole.spec.blocks[0].block.levels)
    assert_same_posterior(both, whole)
    again = both.update(new_rows=NEW.assign(Subject="new"), seed=1)
    assert again.spec.design.n == 180 + len(NEW)
    assert "new" in again.spec.blocks[0].block.levels


@pytest.mark.slow
def test_a_fit_grown_by_pieces_is_saved_and_loaded(tmp_path):
    fit = mb.fit("Reaction ~ poly(Days, 2) + (Days | Subject)", OLD, seed=1, draws=100)
    fit = fit.update(new_rows=NEW.iloc[40:]).update(new_rows=NEW.iloc[:40])
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(loaded.tidy(), fit.tidy())
    pd.testing.assert_frame_equal(loaded.predict(), fit.predict())
    assert str(loaded) == str(fit)
    np.testing.assert_allclose(loaded.spec.main.centring.to_means, fit.spec.main.centring.to_means)
    grown = loaded.update(new_rows=NEW.iloc[:10].assign(Subject="zz"), seed=3)
    directly = fit.update(new_rows=NEW.iloc[:10].assign(Subject="zz"), seed=3)
    np.testing.assert_allclose(grown.posterior["b"], directly.posterior["b"], rtol=1e-6)


def test_the_formula_changes_and_all_else_stays():
    fit = recorded(priors={"b[Days]": "normal(0, 3)", "sigma": "exponential(1)"})
    with pytest.warns(DesignWarning, match=r"no parameter for the priors of b\[Days\]; they are left out"):
        changed = fit.update("~ . - Days", draws=7)
    ((kind, spec, sampling),) = fit.engine.asked
    assert (kind, sampling) == ("anew", {"draws": 7})
    assert str(spec.design.formula) == "Reaction ~ 1 + (1 + Days | Subject)"
    assert {address: str(prior) for address, prior in spec.priors.items()} == {"sigma": "exponential(1)"}
    assert changed.spec.design.rows.index.equals(SLEEP.index)
    assert str(fit.spec.design.formula) == "Reaction ~ 1 + Days + (1 + Days | Subject)"


def test_family_and_link_stay():
    counts = SLEEP.assign(Reaction=SLEEP["Reaction"].round())
    fit = recorded("Reaction ~ Days + (1 | Subject)", counts, family="poisson", link="identity")
    spec = fit.update("~ . + (0 + Days | Subject)").spec
    assert (spec.family.name, spec.link.name) == ("poisson", "identity")


def test_data_and_priors_change():
    fit = recorded()
    other = fit.update(data=OLD).spec
    assert other.design.n == len(OLD)
    assert other.parameters[0].prior != fit.spec.parameters[0].prior  # scaled by the data
    with_priors = fit.update(priors={"b": "normal(0, 1)"}).spec
    assert [str(p) for p in with_priors.priors.values()] == ["normal(0, 1)"]


def test_priors_and_centring_stay_with_more_rows():
    fit = recorded(data=OLD)
    grown = fit.update(new_rows=NEW.assign(Days=NEW["Days"] + 50))
    ((kind, spec, new),) = fit.engine.asked
    assert kind == "extend"
    assert [p.prior for p in spec.parameters] == [p.prior for p in fit.spec.parameters]
    assert spec.main.centring is fit.spec.main.centring
    np.testing.assert_array_equal(new, np.arange(len(OLD), len(SLEEP)))
    assert grown.spec.design.n == len(SLEEP)


def test_rows_left_out_of_the_new_ones_are_told():
    fit = recorded(data=OLD)
    gaps = NEW.assign(Days=NEW["Days"].where(NEW["Days"] > 0))
    with pytest.warns(DesignWarning, match="dropped for missing values"):
        grown = fit.update(new_rows=gaps)
    assert grown.spec.design.n == len(OLD) + len(NEW) * 9 // 10


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({}, ArgumentError, "update takes what is to change"),
        (
            {"formula": "~ . - Days", "new_rows": NEW},
            ArgumentError,
            "new_rows are rows more for the same model",
        ),
        ({"formula": "~ . + age"}, DataError, "no column 'age' in the data. The columns are"),
        (
            {"formula": "~ . + age"},
            DataError,
            "A fit keeps only the columns that it used: pass the whole table",
        ),
        ({"data": SLEEP.drop(columns="Days")}, DataError, "There is no column 'Days' in the data"),
        ({"new_rows": NEW.drop(columns="Reaction")}, DataError, "There is no column 'Reaction' in the data"),
        ({"new_rows": NEW.iloc[:0]}, DataError, "The data have no rows"),
    ],
)
def test_changes_that_make_no_model_are_refused(change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        recorded().update(**change)


def test_new_rows_that_the_family_does_not_take_are_refused():
    fit = recorded("Days ~ 1 + (1 | Subject)", family="poisson")
    with pytest.raises(FamilyError, match="Days is -1 in row"):
        fit.update(new_rows=NEW.assign(Days=-1))


def test_rows_that_were_dropped_stay_so_when_the_formula_changes():
    gaps = SLEEP.assign(Days=SLEEP["Days"].where(np.arange(len(SLEEP)) % 7 != 3))
    with pytest.warns(DesignWarning, match="dropped"):
        fit = recorded(data=gaps)
    changed = fit.update("~ . - Days").spec.design
    np.testing.assert_array_equal(changed.rows.kept, fit.spec.design.rows.kept)
    assert (changed.rows.total, str(changed.rows)) == (len(SLEEP), str(fit.spec.design.rows))
    assert changed.rows.index.equals(fit.spec.design.rows.index)


@pytest.mark.slow
def test_options_of_sampling_are_kept_and_changed():
    fit = mb.fit(FORMULA, SLEEP, seed=1, draws=50, chains=3)
    assert dict(fit.update("~ . - Days").posterior.sizes)["draw"] == 50
    assert dict(fit.update("~ . - Days", draws=60).posterior.sizes)["draw"] == 60
    with pytest.raises(ArgumentError, match=r"There is no option .draw.\. Did you mean"):
        fit.update("~ . - Days", draw=60)


CASES = [
    ("y ~ x + f + (x | g) + (1 | h)", {}),
    ("y ~ 0 + x + (x + w | g)", {"priors": {"sd[g]": "normal(1, 1)", "sd[g, w]": "exponential(1)"}}),
    (
        "y ~ x + w",
        {"priors": {"b[x]": "cauchy(0, 1)", "b[w]": "gamma(2, 1)", "b[Intercept]": "normal(0, 9)"}},
    ),
    ("y ~ x", {"priors": {"b": "normal(0, exponential(1))", "sigma": "uniform(0, 90)"}}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("formula", "options"), CASES)
def test_chains_begin_where_the_old_draws_are(formula, options):
    fit = synthetic_fit(formula, GAUSSIAN.iloc[:40], chains=1, draws=1, **options)
    spec = fit.spec.of(extend(fit.spec.design, GAUSSIAN.iloc[40:].assign(g=99)))
    model = build(spec)
    start = start_of(spec, fit.idata, {variable.name: variable.ndim for variable in model.free_RVs})
    assert set(start) == {variable.name for variable in model.free_RVs}
    names = list(spec.dims)
    compute = model.compile_fn([model[name] for name in names], inputs=model.free_RVs, point_fn=False)
    found = dict(zip(names, compute(*(start[variable.name] for variable in model.free_RVs)), strict=True))
    for name in names:
        expected = fit.posterior[name].to_numpy()[0, 0]
        if name.startswith("r_"):
            assert (found[name][len(expected) :] == 0).all()
            found[name] = found[name][: len(expected)]
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_more_rows_of_counts_are_sampled_about_the_old_draws(monkeypatch, seed):
    data = mb.load_dataset("epilepsy").astype({"patient": str})
    patients = data["patient"].unique()
    old, new = (data[data["patient"].isin(part)] for part in (patients[:40], patients[40:]))
    how = {"draws": 300, "tune": 300, "chains": 2}
    fit = mb.fit("count ~ zAge + (1 | patient)", old, "poisson", seed=seed, **how)
    seen = {}
    sample = mb.inference.nuts.pm.sample
    monkeypatch.setattr(
        "mixedbayes.inference.nuts.sample.pm.sample",
        lambda *a, **options: seen.update(options) or sample(*a, **options),
    )
    grown = fit.update(new_rows=new, seed=seed)
    assert seen["initvals"]["z_patient"].shape == (len(patients), 1)
    sd = fit.posterior["sd_patient"][..., 0].to_numpy()
    assert_near(seen["initvals"]["sd_patient"], sd.mean(), errors(sd)[0])  # the mean of some of them
    assert grown.posterior.sizes["patient"] == len(patients)
    whole = mb.fit("count ~ zAge + (1 | patient)", data, "poisson", seed=seed + 1, **how)
    one, two = (draws_by_address(each) for each in (grown, whole))
    for name in ("Intercept", "zAge", "sd[patient, Intercept]"):
        error = np.hypot(errors(one[name])[0], errors(two[name])[0])
        assert_near(one[name].mean(), two[name].mean(), error)
