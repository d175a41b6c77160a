"""The verbs of a fit: each one function with one signature; and what is said of names that a fit does not have."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
import traceback
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic import NoEngine, synthetic_draws, synthetic_fit

import mixedbayes as mb
from mixedbayes.driver import Model
from mixedbayes.results import elsewhere
from mixedbayes.results.fit import Fit

RNG = np.random.default_rng(8)
DATA = pd.DataFrame({"y": RNG.normal(size=24), "x": RNG.normal(size=24), "g": np.resize(list("abcd"), 24)})
FORMULA = "y ~ x + (x | g)"
VERBS = [name for name in vars(Fit) if not name.startswith("_") and inspect.isfunction(getattr(Fit, name))]


@pytest.fixture(scope="module")
def fit():
    return synthetic_fit(FORMULA, DATA)


@pytest.fixture(scope="module")
def model():
    return mb.model(FORMULA, DATA)


@pytest.mark.parametrize("name", VERBS)
def test_help_on_a_verb_describes_the_arguments_that_it_takes_and_no_others(fit, name):
    bound = getattr(fit, name)
    taken = list(inspect.signature(bound).parameters)
    assert "fit" not in taken
    assert "self" not in taken
    doc = inspect.getdoc(bound)
    assert re.match(r"\S.*\.", doc)
    described = re.search(r"\nArgs:\n(.*?)(\n\n|\Z)", doc, re.DOTALL)
    if described:
        said = re.findall(r"^    \*{0,2}(\w+): ", described[1], re.MULTILINE)
        assert said == taken


def test_a_verb_stands_in_one_file_with_its_code():
    homes = {name: inspect.getmodule(getattr(Fit, name)).__name__ for name in VERBS}
    assert homes["loo"] == "mixedbayes.results.comparison.loo"
    assert homes["tidy"] == "mixedbayes.results.tables.tidy"
    assert homes["predict"] == "mixedbayes.results.rows.predict"
    assert all(getattr(Fit, name).__name__ == name for name in VERBS)
    assert [name for name, home in homes.items() if home == "mixedbayes.results.fit"] == ["update"]


@pytest.mark.parametrize(
    "module", ["mixedbayes", "mixedbayes.results.fit", "mixedbayes.results.comparison.compare"]
)
def test_importing_waits_with_pictures_and_with_pymc(module):
    heavy = "{'pymc', 'pytensor', 'arviz_plots', 'matplotlib'}"
    code = f"import sys, {module}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_fit_leaves_the_tree_that_it_is_given_as_it_is(model):
    tree = synthetic_draws(model.spec, 2, 10, 1)
    before = set(tree.children)
    fit = Fit(model.spec, tree, NoEngine())
    assert "log_likelihood" in fit.idata.children
    assert set(tree.children) == before
    del fit.idata["sample_stats"]
    assert set(tree.children) == before


def test_the_log_likelihood_of_a_fit_is_of_its_own_draws_whatever_the_tree_held(model):
    fit = Fit(model.spec, synthetic_draws(model.spec, 2, 10, 1), NoEngine())
    tree = fit.idata.copy()
    tree["posterior"] = xr.DataTree(fit.posterior.assign(b=fit.posterior["b"] + 1))
    moved, expected = (
        Fit(model.spec, each, NoEngine()).idata["log_likelihood"]["y"]
        for each in (tree, xr.DataTree.from_dict({"posterior": tree["posterior"].to_dataset()}))
    )
    np.testing.assert_array_equal(moved, expected)
    assert not np.allclose(moved, fit.idata["log_likelihood"]["y"])


MEANT = {  # name elsewhere -> the verb that is named
    "params": "fit.fixef()", "params_": "fit.fixef()", "coef_": "fit.fixef()", "fixed_effects": "fit.fixef()",
    "random_effects": "fit.ranef()", "re": "fit.ranef()", "var_corr": "fit.varcorr()", "vcov": "fit.varcorr()",
    "conf_int": "fit.tidy(conf_level=0.9)", "confint": "fit.tidy(conf_level=0.9)",
    "AIC": "fit.loo()", "aic": "fit.loo()", "bic": "fit.loo()", "loglik": "fit.idata['log_likelihood']",
    "logLik": "fit.idata['log_likelihood']", "llf": "fit.idata['log_likelihood']",
    "resid": "fit.residuals()", "fitted": "fit.predict()", "fittedvalues": "fit.predict()",
    "pvalues": "fit.hypothesis('x > 0')", "rsquared": "fit.bayes_r2()", "r2": "fit.bayes_r2()",
    "trace": "fit.posterior", "samples": "fit.posterior", "draws": "fit.posterior",
    "save": "fit.to_netcdf('fit.nc')", "columns": "fit.tidy()", "to_dataframe": "fit.tidy()",
    "forecast": "fit.predict(newdata)", "plot_forest": "fit.plot()", "conditional_effects": "fit.effects('x')",
    "anova": "mb.compare(", "formula": "fit.spec.design", "family": "fit.spec", "refit": "fit.update(",
    "get_params": "mb.sklearn.MixedModel",
}  # fmt: skip


@pytest.mark.parametrize(("name", "verb"), MEANT.items())
def test_names_of_other_libraries_are_answered_by_the_verb_that_is_meant(fit, name, verb):
    with pytest.raises(
        AttributeError, match=re.escape(f"'Fit' object has no attribute {name!r}: ")
    ) as caught:
        getattr(fit, name)
    assert verb in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("VarCorr", "Did you mean 'varcorr'?"),
        ("fixeff", "Did you mean 'fixef'?"),
        ("Tidy", "Did you mean 'tidy'?"),
        ("residual", "fit.residuals() has them"),
        ("xyzzy", "It has bayes_r2, coef"),
    ],
)
def test_a_slip_is_answered_once_by_the_nearest_name(fit, name, said):
    with pytest.raises(AttributeError, match=name) as caught:
        getattr(fit, name)
    shown = "".join(traceback.format_exception_only(caught.value))
    assert said in shown
    assert shown.lower().count("did you mean") <= 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sample", "model.fit() draws from the posterior"),
        ("summary", "print(model) shows every parameter with its prior"),
        ("params", "print(model) shows every parameter with its prior"),
        ("tidy", "fit = model.fit(), then fit.tidy"),
        ("aic", "it is not fitted yet"),
        ("fti", "Did you mean 'fit'?"),
    ],
)
def test_a_model_that_is_not_fitted_says_where_its_numbers_come_from(model, name, said):
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(model, name)


def test_advice_names_what_there_is_and_every_word_is_of_elsewhere():
    for words, of in ((elsewhere.FIT, Fit), (elsewhere.MODEL, Model)):
        assert not {*dir(of), *(each.name for each in fields(of))} & set(words)
        assert all(name == name.lower() for name in words)
        for meant in words.values():
            for owner, name in re.findall(r"\b(fit|model|mb)\.(\w+)", meant):
                found = {"fit": Fit, "model": Model, "mb": mb}[owner]
                assert hasattr(found, name) or name in ("spec", "idata", "nc"), meant
    public = {name for name in dir(Fit) if not name.startswith("_")} - {"is_beyond_doubt"}
    assert set(elsewhere.VERBS.split()) == public | {"idata"}


@pytest.mark.parametrize("of", ["fit", "model"])
def test_whoever_only_looks_whether_there_is_a_name_hears_nothing(request, of):
    thing = request.getfixturevalue(of)
    assert not hasattr(thing, "params")
    assert getattr(thing, "params", None) is None
    for name in ("_repr_png_", "_ipython_display_", "_ipython_canary_method_should_not_exist_", "__array__"):
        with pytest.raises(AttributeError, match=rf"^'{of.capitalize()}' object has no attribute '{name}'$"):
            getattr(thing, name)
    for again in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):  # noqa: S301
        assert str(again) == str(thing)


def test_an_error_inside_a_property_is_not_taken_for_a_name_that_is_not_there(monkeypatch, fit):
    monkeypatch.setattr("mixedbayes.results.fit.build_report", lambda fit: fit.spec.no_such_thing)
    with pytest.raises(AttributeError, match="'ModelSpec' object has no attribute 'no_such_thing'"):
        _ = synthetic_fit(FORMULA, DATA).report
