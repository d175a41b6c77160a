"""The table of methods: one is added from outside, and taken through everything; options are one list."""

import inspect
from dataclasses import fields
from typing import Unpack, get_type_hints

import click
import numpy as np
import pandas as pd
import pytest
from monte_carlo import assert_near, assert_same_posterior

import mixedbayes as mb
from mixedbayes.cli import fit_command
from mixedbayes.inference.draws import as_tree
from mixedbayes.inference.methods import METHODS, Method
from mixedbayes.inference.options import Options
from mixedbayes.models.families import FAMILIES
from mixedbayes.sampling import FitOptions, Sampling

RNG = np.random.default_rng(5)
DATA = pd.DataFrame({"y": RNG.normal(3, 2, 40), "g": np.resize(list("abcd"), 40), "k": RNG.poisson(2, 40)})
FLAT = {"Intercept": "flat", "sigma": "uniform(0, 50)"}
KNOWN = "Known: auto, collapsed, nuts; a Method of your own is passed itself, or added to METHODS"


def against(model):
    spec = model.spec
    is_one = (
        spec.family.name == "gaussian" and spec.design.fixed.columns == ("Intercept",) and not spec.blocks
    )
    return None if is_one else "it is for the mean of one sample"


def draw(model, options):
    """With flat priors sigma^2 is scaled inverse chi-squared (n - 2 degrees for a flat sigma), the mean normal given it."""
    y, rng = model.spec.design.response.values, np.random.default_rng(options.seed)  # noqa: PD011
    S = options.chains * (options.draws or 1000)
    sigma = np.sqrt(np.sum((y - y.mean()) ** 2) / rng.chisquare(len(y) - 2, S))
    b = rng.normal(y.mean(), sigma / np.sqrt(len(y)))
    return as_tree(model.spec, {"b": b[:, None], "sigma": sigma}, options.chains)


def one_sample():
    return Method("one sample", draw=draw, against=against, why="there is one sample")


@pytest.fixture
def added():
    """The method in the table, before the others."""
    method, others = one_sample(), dict(METHODS)
    METHODS.clear()
    METHODS.update({method.name: method, **others})
    yield method
    METHODS.clear()
    METHODS.update(others)


def test_a_method_of_ones_own_goes_all_the_way(tmp_path, seed):
    """From fit through printing, tables, prediction, leaving rows and groups out, more rows, a file, and back."""
    method = one_sample()
    fit = mb.fit("y ~ 1", DATA, priors=FLAT, method=method, seed=seed)
    assert " Method: one sample\n" in str(fit)
    assert "(one sample)" in str(fit)
    assert_same_posterior(fit, mb.fit("y ~ 1", DATA, priors=FLAT, method="collapsed", seed=seed + 1))
    assert_near(fit.predict()["estimate"].iloc[0], DATA["y"].mean(), fit.tidy()["std_error"].iloc[0] / 30)
    again = [mb.fit("y ~ 1", DATA, priors=FLAT, method=method, seed=5 * seed + i) for i in range(5)]
    apart = [each.loo().elpd - each.kfold(k=40, seed=5 * seed + i).elpd for i, each in enumerate(again)]
    assert_near(np.mean(apart), 0, np.std(apart, ddof=1) / np.sqrt(5), df=4)
    assert fit.loo(groups=DATA["g"]).n_data_points == 4
    assert fit.update(new_rows=DATA.iloc[:9], seed=seed).spec.design.n == 49
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(loaded.tidy(), fit.tidy())
    assert str(loaded) == str(fit)


def test_a_file_of_a_method_not_known_here_is_read_and_not_drawn_from(tmp_path):
    mb.fit("y ~ 1", DATA, priors=FLAT, method=one_sample(), seed=1, draws=200).to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")
    assert loaded.loo().n_data_points == 40
    for again in (lambda: loaded.kfold(k=2), lambda: loaded.update(new_rows=DATA.iloc[:3])):
        with pytest.raises(mb.ArgumentError, match=f"There is no method 'one sample'. {KNOWN}"):
            again()
    assert loaded.update(new_rows=DATA.iloc[:3], method=one_sample()).spec.design.n == 43
    assert loaded.update(new_rows=DATA.iloc[:3], method="auto").spec.design.n == 43


def test_a_method_of_the_table_is_known_to_auto_and_by_its_name(tmp_path, added):
    fit = mb.fit("y ~ 1", DATA, priors=FLAT, seed=1, draws=200)
    assert " Method: one sample (auto: there is one sample)\n" in str(fit)
    assert " Method: one sample\n" in str(mb.fit("y ~ 1", DATA, method="one sample", draws=200))
    assert " Method: collapsed (auto: given" in str(mb.fit("y ~ 1 + (1 | g)", DATA, draws=200))
    with pytest.raises(
        mb.ArgumentError, match=r"'one sample' cannot be used: it is for the .*\. method='collapsed' can\."
    ):
        mb.fit("y ~ 1 + (1 | g)", DATA, method="one sample")
    fit.to_netcdf(tmp_path / "fit.nc")
    assert mb.load(tmp_path / "fit.nc").update(new_rows=DATA.iloc[:3]).spec.design.n == 43


def test_a_name_is_of_one_method():
    for name in ("nuts", "auto"):
        with pytest.raises(
            mb.ArgumentError, match=f"There is a method '{name}' already: give yours another name"
        ):
            mb.fit("y ~ 1", DATA, method=Method(name, draw=draw, against=against))
    with pytest.raises(mb.ArgumentError, match=KNOWN):
        mb.fit("y ~ 1", DATA, method="one sample")


def test_options_that_a_method_of_ones_own_has_no_use_for_are_refused():
    for options, owner in (({"tune": 5}, "nuts"), ({"memory": 2}, "collapsed")):
        with pytest.raises(
            mb.ArgumentError, match=rf"no use for {next(iter(options))}; method='{owner}' has"
        ):
            mb.fit("y ~ 1", DATA, method=one_sample(), **options)
    asked = []
    own = Method(
        "own", draw=lambda *both: asked.append(both[1].tune) or draw(*both), against=against, own=("tune",)
    )
    mb.fit("y ~ 1", DATA, method=own, tune=5, draws=100)
    assert asked == [5]


def test_the_options_of_sampling_are_one_list():
    names = list(get_type_hints(Sampling))
    assert names == [field.name for field in fields(Options)]
    assert inspect.signature(mb.Model.fit).parameters["sampling"].annotation == Unpack[Sampling]
    for verb in (mb.fit, mb.Fit.update):
        assert inspect.signature(verb).parameters["options"].annotation == Unpack[FitOptions]
    parameters = {parameter.name for family in FAMILIES.values() for parameter in family.others}
    assert set(get_type_hints(FitOptions)) == {*names, *parameters}
    assert all(f"\n    {name}: " in inspect.getdoc(mb.Model.fit) for name in names)
    assert {each.name for each in fit_command.params if isinstance(each, click.Option)} >= set(names)
