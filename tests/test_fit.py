"""The driver: options, warnings, and what importing costs."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, DataError, FamilyError, FormulaError, MixedBayesError, PriorError
from mixedbayes.inference import memory

RNG = np.random.default_rng(2)
N = 30
DATA = pd.DataFrame({"y": RNG.normal(size=N), "x": RNG.normal(size=N), "g": np.resize(list("abc"), N)})
GAPS = DATA.assign(x=DATA["x"].where(DATA.index > 4), w=3 * DATA["x"].where(DATA.index > 4))
FORMULA = "y ~ x + (1 | g)"


@pytest.fixture(scope="module")
def model():
    return mb.model(FORMULA, DATA)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": -1}, "draws is a whole number of at least 1, not -1"),
        ({"draws": 0}, "draws is a whole number of at least 1, not 0"),
        ({"draws": 1000.5}, r"draws is a whole number of at least 1, not 1000\.5"),
        ({"draws": "1000"}, "draws is a whole number of at least 1, not '1000'"),
        ({"draws": True}, "draws is a whole number of at least 1, not True"),
        ({"chains": None}, "chains is a whole number of at least 1, not None"),
        ({"memory": 0}, "memory is a positive number of GiB, not 0"),
        ({"chains": 0}, "chains is a whole number of at least 1, not 0"),
        ({"tune": -5}, "tune is a whole number of at least [01], not -5"),
        ({"cores": 0}, "cores is a whole number of at least 1, not 0"),
        ({"seed": -1}, "seed is a whole number of at least 0, not -1"),
        ({"seed": 1.5}, r"seed is a whole number of at least 0, not 1\.5"),
        (
            {"draws": 10**9},
            r"4 chains of draws=1,000,000,000 would take 29\.8 GiB for each parameter; at most 1\.0 GiB are taken, 33,554,432 draws of each chain",
        ),
        ({"draws": 2**27, "chains": 2}, r"2 chains of draws=134,217,728 would take 2\.0 GiB"),
        (
            {"draws": 10**30},
            r"draws is at most 4,611,686,018,427,387,904, not a number of more than 20 digits",
        ),
        ({"draws": 10**10_000}, "draws is at most"),
        (
            {"draws": -(10**10_000)},
            "draws is a whole number of at least 1, not a number of more than 20 digits",
        ),
        ({"chains": 10**9}, "chains is at most 10,000, not 1000000000"),
        ({"tune": 10**12}, "4 chains of tune=1,000,000,000,000 would take"),
        ({"cores": 10**12}, "cores is at most"),
        ({"seed": 2**64}, "seed is at most 18,446,744,073,709,551,615"),
        ({"draws": np.array([5])}, r"draws is a whole number of at least 1, not array\(\[5\]\)"),
        ({"draws": np.array([5, 6])}, r"draws is a whole number of at least 1, not array"),
        ({"draws": [100]}, r"draws is a whole number of at least 1, not \[100\]"),
        ({"draws": np.True_}, "draws is a whole number of at least 1, not np.True_"),
        ({"draws": 3 + 0j}, "draws is a whole number of at least 1"),
        ({"memory": np.array([1.0, 2.0])}, "memory is a positive number of GiB"),
        ({"memory": "1"}, "memory is a positive number of GiB, not '1'"),
        ({"memory": float("nan")}, "memory is a positive number of GiB, not nan"),
        ({"sampler": ["nutpie"]}, r"There is no sampler \['nutpie'\]"),
        ({"method": ["nuts"]}, r"There is no method \['nuts'\]"),
        ({"method": None}, "There is no method None"),
        ({"progress": 1}, "progress is True or False, not 1"),
        ({"target_accept": 0}, "target_accept lies between 0 and 1, not 0"),
        ({"target_accept": 1.0}, r"target_accept lies between 0 and 1, not 1\.0"),
        ({"target_accept": float("nan")}, "target_accept lies between 0 and 1, not nan"),
        ({"sampler": "nutpi"}, r"There is no sampler 'nutpi'. Did you mean 'nutpie'\? Known: nutpie, pymc"),
        (
            {"method": "colapsed"},
            r"no method 'colapsed'. Did you mean 'collapsed'\? Known: auto, collapsed, nuts",
        ),
        (
            {"method": "collapsed", "tune": 10, "sampler": "pymc"},
            "no use for sampler, tune; method='nuts' has",
        ),
        ({"method": "nuts", "memory": 2}, "method='nuts' has no use for memory; method='collapsed' has"),
        ({"method": "collapsed", "memory": 2, "tune": 5}, "no use for tune; method='nuts' has"),
    ],
)
def test_an_option_out_of_range_is_refused_before_anything_is_built(model, options, message):
    with pytest.raises(ArgumentError, match=message):
        mb.model(FORMULA, DATA).fit(**options)


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        (FORMULA, {"draws": 10_000}, r"40,000 draws of this model take .* and this machine has .* GiB: ask for fewer draws= or chains=, or less memory="),
        (FORMULA, {"chains": 10_000, "draws": 4}, r"40,000 draws of this model"),
        (FORMULA, {"method": "nuts", "draws": 10_000}, r"40,000 draws of this model take .* fewer draws= or chains=\."),
        ("y ~ x", {"draws": 30_000}, "120,000 draws of this model"),
    ],
)  # fmt: skip
def test_draws_that_the_machine_has_no_room_for_are_refused(monkeypatch, formula, options, message):
    monkeypatch.setattr(memory, "physical_memory", lambda: 2.0**21)
    with pytest.raises(ArgumentError, match=message):
        mb.fit(formula, DATA, **options)


def test_the_usual_draws_of_a_small_model_take_little(monkeypatch):
    monkeypatch.setattr(memory, "physical_memory", lambda: 2.0**21)
    mb.fit(FORMULA, DATA, seed=1, memory=10**400)


def test_fit_refuses_what_the_model_s_fit_does():
    with pytest.raises(ArgumentError, match="draws is a whole number"):
        mb.fit(FORMULA, DATA, draws=-1)
    with pytest.raises(ArgumentError, match=r"no option 'drawz'\. Did you mean 'draws'"):
        mb.fit(FORMULA, DATA, drawz=10)


@pytest.mark.parametrize(
    ("error", "formula", "data", "options"),
    [
        (FormulaError, "y ~ (x", DATA, {}),
        (DataError, "y ~ q", DATA, {}),
        (DataError, FORMULA, DATA.iloc[:0], {}),
        (FamilyError, FORMULA, DATA, {"family": "gausian"}),
        (PriorError, FORMULA, DATA, {"priors": {"q": "normal(0, 1)"}}),
        (ArgumentError, FORMULA, DATA, {"missing": "keep"}),
    ],
)
@pytest.mark.parametrize("function", [mb.model, mb.fit])
def test_every_refusal_is_an_error_of_the_package_and_a_value_error(function, error, formula, data, options):
    with pytest.raises(error, match=r"\w+ ") as caught:
        function(formula, data, **options)
    assert isinstance(caught.value, MixedBayesError)
    assert isinstance(caught.value, ValueError)


def stopped(model, **_):
    """In place of sampling."""
    return model


@pytest.mark.parametrize("function", [mb.model, mb.fit])
def test_what_was_left_out_is_warned_of_at_the_caller_s_line(monkeypatch, function):
    monkeypatch.setattr(mb.Model, "fit", stopped)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function("y ~ x + w + (1 | g)", GAPS)
    assert [warning.category for warning in caught] == [mb.DesignWarning] * 2
    assert "25 of 30 rows; 5 dropped for missing values (x 5, w 5)" in str(caught[0].message)
    assert str(caught[1].message) == "Column w is a linear combination of the others and left out."
    assert {warning.filename for warning in caught} == {__file__}


def test_no_warning_where_nothing_is_left_out():
    mb.model(FORMULA, DATA)  # warnings are errors in these tests


def test_the_caller_s_frame_is_unchanged():
    data = GAPS.assign(c=pd.Categorical(DATA["g"], ["c", "b", "a", "z"]), flag=DATA["x"] > 0)
    data.index = pd.Index(range(100, 100 + N), name="row")
    before = data.copy(deep=True)
    with pytest.warns(mb.DesignWarning, match="dropped|levels|linear"):
        mb.model("y ~ scale(x) + poly(y, 2) + c + flag + (x | g) + (1 | c)", data)
    pd.testing.assert_frame_equal(data, before)


def test_arrays_of_a_model_are_frozen(model):
    design = model.design
    for array in (design.fixed.X, design.response.values, design.offset, design.groups[0].X):  # noqa: PD011
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_a_model_builds_its_pymc_model_once(model):
    pymc = pytest.importorskip("pymc")
    assert isinstance(model.pymc, pymc.Model)
    assert model.pymc is model.pymc


def test_a_model_reads_dictionaries_and_other_tables():
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    expected = str(mb.model(FORMULA, DATA))
    for data in (DATA.to_dict("list"), polars.from_pandas(DATA), pyarrow.Table.from_pandas(DATA)):
        assert str(mb.model(FORMULA, data)) == expected


def test_design_has_no_priors_and_the_same_columns(model):
    assert str(mb.design(FORMULA, DATA)) == str(model.design)


def test_every_public_name_is_there():
    for name in mb.__all__:
        assert getattr(mb, name) is not None
    with pytest.raises(AttributeError, match="module 'mixedbayes' has no attribute 'fits'"):
        mb.fits  # noqa: B018


@pytest.mark.parametrize(
    "module", ["pymc", "pytensor", "arviz", "arviz_stats", "nutpie", "numba", "matplotlib"]
)
def test_importing_does_not_import(imported, module):
    assert module not in imported


@pytest.fixture(scope="module")
def imported():
    """Modules that a fresh interpreter has after `import mixedbayes` and after a model is described."""
    code = (
        "import sys, mixedbayes as mb\n"
        "str(mb.model('Reaction ~ Days + (Days | Subject)', mb.load_dataset('sleepstudy')))\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()
