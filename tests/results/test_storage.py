"""Fits saved and loaded: nothing that tables or prediction need is lost, and no file is trusted."""

import datetime as dt
import decimal
import io
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, FileError
from mixedbayes.models.families import FAMILIES
from mixedbayes.results.files import container
from mixedbayes.results.fit import Fit

RNG = np.random.default_rng(9)
N = 60


def repeat(*values):
    return RNG.permutation(np.resize(np.array(values, dtype=object), N))


DAYS = ["2020-01-31", "2020-02-29", "2021-01-01"]
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": RNG.uniform(1, 2, size=N),
        "k": RNG.poisson(3, size=N),
        "a": repeat("u", "v", "w"),
        "g": repeat(*"abcdef"),
        "int": RNG.permutation(np.resize([10, 2, 33], N)),
        "int8": RNG.permutation(np.resize([10, 2, 33], N)).astype(np.int8),
        "float": RNG.permutation(np.resize([1.5, -0.1, 1e300], N)),
        "bool": RNG.permutation(np.resize([True, False], N)),
        "date": pd.to_datetime(repeat(*DAYS)),
        "nano": pd.to_datetime(repeat(*DAYS)).astype("datetime64[ns]") + pd.Timedelta(1, "ns"),
        "zone": pd.to_datetime(repeat(*DAYS)).tz_localize("Europe/Paris"),
        "category": pd.Categorical(repeat("q", "p", "o"), ["o", "z", "q", "p"]),  # z does not occur
        "ordered": pd.Categorical(repeat("hi", "lo", "mid"), ["lo", "mid", "hi"], ordered=True),
        "numbers": pd.Categorical(repeat(3, 1, 2), [3, 1, 2]),
        "of dates": pd.Categorical(pd.to_datetime(repeat(*DAYS))),
        "interval": pd.cut(RNG.normal(size=N), 3),
        "month": pd.Categorical(pd.PeriodIndex(repeat(*DAYS), freq="M")),
        "nullable": pd.Categorical(pd.array(RNG.permutation(np.resize([1, 2], N)), dtype="Int64")),
        "ancient": np.resize(np.array(["-3000-01-01", "1500-01-01", "9999-12-31"], dtype="M8[s]"), N),
        "far zone": pd.DatetimeIndex(
            np.resize(np.array(["0900-06-01", "1600-01-01"], dtype="M8[us]"), N)
        ).tz_localize("UTC"),
        "large": np.resize(np.array([2**63 + 1, 2**63 + 2, 5], dtype=np.uint64), N),
        "nul": pd.Series(repeat("a", "a\x00", "\x00", r"a\x00"), dtype=object),
        "with space": RNG.normal(size=N),
        "with/slash": RNG.normal(size=N),
        "größe": RNG.normal(size=N),
        "g h/ü": repeat("a/b", "c d", "é", "🙂", ""),
        "yes": repeat("N", "Y"),
        "s": RNG.integers(0, 5, size=N),
        "n": np.full(N, 5),
    }
)


def double(x):
    return 2 * x


CASES = {
    "groups of numbers and texts": ("y ~ x + (1 | int) + (1 | int8) + (1 | float) + (x | g)", {}),
    "groups of dates": ("y ~ x + (1 | date) + (1 | nano) + (1 | zone) + (1 | `of dates`)", {}),
    "groups of categories": ("y ~ category + (1 | category) + (1 | numbers) + (1 | interval)", {}),
    "categories of no plain kind": ("y ~ x + (1 | month) + (1 | nullable)", {}),
    "dates of any year": ("y ~ x + (1 | ancient) + (1 | `far zone`) + (1 | ancient:g)", {}),
    "numbers of 64 bits": ("y ~ x + (1 | large)", {}),
    "texts with NUL": ("y ~ x + nul + (1 | nul) + (1 | nul:g)", {}),
    "booleans": ("y ~ x + bool + (x | bool)", {}),
    "ordered": ("y ~ numbers + (ordered | g)", {}),
    "nested and crossed": ("y ~ x + (x | a/g) + (1 | int:date)", {}),
    "diagonal": ("y ~ x + z + (x + z || g)", {}),
    "two blocks": ("y ~ x + (1 | g) + (0 + x | g)", {}),
    "odd names": ("y ~ `with space` + `with/slash` + größe + (`with/slash` | `g h/ü`)", {}),
    "learned states": ("y ~ poly(x, 2) + bs(z, df=4) + scale(größe) + center(`with space`) + (scale(x) | g)", {}),
    "contrasts": ("y ~ C(a, contr.sum) + C(int) + (1 | g)", {}),
    "offset": ("k ~ x + offset(log(z)) + (1 | g)", {"family": "poisson"}),
    "dot": ("y ~ . + (1 | g)", {"columns": ["y", "x", "a", "g"]}),
    "computed response": ("log(z) ~ x + (1 | g)", {}),
    "text response": ("yes ~ x + (1 | g)", {"family": "bernoulli", "link": "probit"}),
    "one level": ("a['v'] ~ x + (1 | g)", {"family": "bernoulli"}),
    "trials": ("s | trials(n) ~ x + (1 | g)", {"family": "binomial"}),
    "cbind": ("cbind(s, n) ~ x + (1 | g)", {"family": "binomial", "link": "cloglog"}),
    "no intercept": ("y ~ 0 + a + (1 | g)", {}),
    "nothing but groups": ("y ~ 0 + (1 | g)", {}),
    "no groups": ("y ~ x", {}),
    "heavy tails": ("y ~ x + (1 | g)", {"family": "student_t", "priors": {"nu": "gamma(4, 0.2)"}}),
    "positive": ("z ~ x + (1 | g)", {"family": "lognormal"}),
    "varied counts": ("k ~ x + (1 | g)", {"family": "negative_binomial"}),
    "shares": ("I(z - 1) ~ x + (1 | g)", {"family": "beta", "link": "probit"}),
    "priors": ("y ~ x + a + (x | g)", {"priors": {"b[Intercept]": "normal(0, 5)", "b": "flat", "cor": "lkj(4)"}}),
    "hyperpriors": (
        "y ~ x + a + (`with/slash` | g)",
        {"priors": {"b": "normal(0, exponential(1))", "sd[g, with/slash]": "gamma(2, gamma(normal(0, 1), 1))"}},
    ),
}  # fmt: skip


def assert_same(loaded, fit):
    one, other = loaded.spec, fit.spec
    assert str(loaded) == str(fit)
    for table in ("tidy", "coef", "ranef", "varcorr", "fixef"):
        pd.testing.assert_frame_equal(getattr(loaded, table)(), getattr(fit, table)())
    np.testing.assert_array_equal(one.design.fixed.X, other.design.fixed.X)
    np.testing.assert_array_equal(one.design.offset, other.design.offset)
    np.testing.assert_array_equal(one.design.response.values, other.design.response.values)
    assert one.design.fixed.columns == other.design.fixed.columns
    assert (one.design.response.levels, one.design.response.modelled) == (
        other.design.response.levels,
        other.design.response.modelled,
    )
    for mine, theirs in zip(one.design.groups, other.design.groups, strict=True):
        assert (mine.name, mine.group, mine.columns, mine.covariance) == (
            theirs.name,
            theirs.group,
            theirs.columns,
            theirs.covariance,
        )
        assert mine.levels.dtype == theirs.levels.dtype
        for name in ("X", "levels", "codes"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    assert str(one.design) == str(other.design)
    assert one.parameters == other.parameters
    assert one.priors == other.priors
    assert (one.family, one.link) == (other.family, other.link)
    pd.testing.assert_frame_equal(
        one.design.data.reset_index(drop=True), other.design.data.reset_index(drop=True)
    )
    for name in ("posterior", "sample_stats", "observed_data"):
        xr.testing.assert_identical(loaded.idata[name].to_dataset(), fit.idata[name].to_dataset())


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_is_loaded(tmp_path, case):
    formula, options = CASES[case]
    options = dict(options)
    columns = options.pop("columns", list(DATA.columns))
    fit = synthetic_fit(formula, DATA[columns], draws=3, **options)
    fit.to_netcdf(tmp_path / "fit.nc")
    assert_same(mb.load(tmp_path / "fit.nc"), fit)


def test_the_same_recipe_encodes_new_data_after_loading(tmp_path):
    fit = synthetic_fit(CASES["learned states"][0], DATA, draws=3)
    fit.to_netcdf(tmp_path / "fit.nc")
    new = DATA.iloc[:7].assign(x=np.linspace(-1, 1, 7), g=["a", "new", "b", "c", "d", "e", "f"])
    mine, theirs = mb.load(tmp_path / "fit.nc").spec.design.encode(new), fit.spec.design.encode(new)
    np.testing.assert_allclose(mine.X, theirs.X, rtol=1e-12)
    np.testing.assert_array_equal(
        next(iter(mine.groups.values())).codes, next(iter(theirs.groups.values())).codes
    )


def test_dropped_rows_and_notes_are_remembered(tmp_path):
    data = DATA.assign(x=DATA["x"].where(DATA.index > 3), w=2 * DATA["z"])
    with pytest.warns(mb.DesignWarning):
        fit = synthetic_fit("y ~ x + z + w + (x | date)", data, draws=3)
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc")  # and warns of nothing again
    assert_same(loaded, fit)
    assert loaded.spec.design.rows.kept.tolist() == list(range(4, N))
    assert loaded.spec.design.rows.missing == {"x": 4}
    assert len(loaded.spec.design.notes) == 2


PAIRS = [("a", 1), ("a", 2.5), (None, ("b", True)), *((chr(100 + i), i) for i in range(57))]
INDEXES = {
    "texts": pd.Index([f"row {i}" for i in range(N)], name="id"),
    "texts with NUL": pd.Index([f"row\x00{i}" for i in range(N)], name="i\x00d"),
    "texts with gaps": pd.Index(["a", None] * 30, dtype="str"),
    "texts of objects": pd.Index([f"row {i}" for i in range(N)], dtype=object),
    "a range": pd.RangeIndex(10, 70),
    "numbers": pd.Index(np.linspace(0, 1, N), name="x"),
    "numbers with gaps": pd.Index([np.nan, *range(59)]),
    "large numbers": pd.Index([2**64 - 1, 5] * 30, dtype=np.uint64),
    "larger numbers": pd.Index([10**30, 5] * 30, dtype=object),
    "nullable numbers": pd.Index([2**62 + 1, None] * 30, dtype="Int64"),
    "large nullable numbers": pd.Index(
        pd.Series(np.array([2**63 + 1, 5] * 30, dtype=np.uint64)).astype("UInt64")
    ),
    "nullable booleans": pd.Index([True, None] * 30, dtype="boolean"),
    "booleans": pd.Index([True, False] * 30),
    "of several kinds": pd.Index([1, 1.0, True, "1", None, np.nan] * 10, dtype=object),
    "days": pd.date_range("2024-01-31", periods=N, tz="Europe/Vienna", name="day"),
    "ancient days": pd.DatetimeIndex(np.resize(np.array(["-0044-03-15", "NaT"], dtype="M8[s]"), N)),
    "periods": pd.period_range("1500-01", periods=N, freq="M", name="month"),
    "quarters": pd.period_range("2020Q1", periods=N, freq="Q-MAR"),
    "durations": pd.timedelta_range("1 s", periods=N),
    "intervals": pd.interval_range(0, 60, N, closed="left", name="age"),
    "intervals of days": pd.interval_range(pd.Timestamp("2024-01-01"), periods=N),
    "tuples": pd.Index(PAIRS, tupleize_cols=False, name=("a", 1)),
    "levels": pd.MultiIndex.from_product([["a", "b", "c"], range(20)], names=["class", None]),
    "levels of periods and categories": pd.MultiIndex.from_arrays(
        [pd.period_range("2020", periods=N, freq="Y"), pd.Categorical(["b", "a"] * 30, ["b", "a", "c"])],
        names=[3, "\ud800"],
    ),
    "categories": pd.CategoricalIndex(np.resize(["u", "v"], N)),
    "ordered categories": pd.CategoricalIndex(np.resize([2, 1], N), [2, 1, 7], ordered=True),
    "categories of intervals": pd.CategoricalIndex(pd.cut(np.arange(N), 3)),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_what_the_caller_calls_the_rows_is_remembered(tmp_path, kind):
    index = INDEXES[kind]
    data = pd.DataFrame(np.random.default_rng(1).normal(size=(N, 2)), columns=["y", "x"], index=index)
    fit = synthetic_fit("y ~ x", data)
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc").spec.design.rows.index
    pd.testing.assert_index_equal(loaded, index, exact="equiv", check_freq=False)
    assert [repr(label) for label in loaded] == [repr(label) for label in index]
    assert loaded.names == index.names


@pytest.mark.parametrize("label", [decimal.Decimal("1.5"), dt.date(2024, 1, 1), b"a", 1j])
def test_names_of_rows_that_a_file_cannot_hold_are_told(tmp_path, label):
    index = pd.Index([label, 3] * 30, dtype=object)
    fit = synthetic_fit("y ~ x", DATA.set_axis(index, axis=0))
    with pytest.warns(mb.DesignWarning, match=f"A file holds no .*{type(label).__name__}.* saved as text"):
        fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc").spec.design.rows.index
    assert list(loaded) == [str(each) for each in index]


def test_functions_of_the_caller_are_needed_again(tmp_path):
    path = tmp_path / "fit.nc"
    fit = synthetic_fit(
        "y ~ double(x) + I(z * scale_) + (1 | g)",
        DATA,
        draws=3,
        env={"double": double, "scale_": 3.0, "unused": 1},
    )
    fit.to_netcdf(path)
    with pytest.raises(
        FileError, match=r"its formula uses double, scale_ of env=\{...\}; pass the same to load"
    ):
        mb.load(path)
    assert_same(mb.load(path, env={"double": double, "scale_": 3.0}), fit)


def test_a_loaded_fit_can_be_saved_over_its_own_file(tmp_path):
    path = tmp_path / "fit.nc"
    fit = synthetic_fit("y ~ x + (x | g) + (1 | zone)", DATA, draws=3)
    fit.to_netcdf(str(path))
    mb.load(str(path)).to_netcdf(path)
    assert_same(mb.load(path), fit)


def test_what_a_sampler_says_in_objects_is_left_out(tmp_path):
    fit = synthetic_fit("y ~ x", DATA, draws=3)
    messages = np.full((4, 3), None, dtype=object)
    fit.idata["sample_stats"]["message"] = (("chain", "draw"), messages)
    fit.to_netcdf(tmp_path / "fit.nc")
    assert "message" not in mb.load(tmp_path / "fit.nc").idata["sample_stats"]


def test_other_tools_read_the_file(tmp_path):
    fit = synthetic_fit("y ~ x + (x | zone)", DATA, draws=3)
    fit.to_netcdf(tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf") as tree:
        assert tree["posterior"]["b"].dims == ("chain", "draw", "coefficient")
        assert tree["posterior"]["coefficient"].to_numpy().tolist() == ["Intercept", "x"]
        assert tree["posterior"]["zone"].to_numpy()[0].startswith("2020-01-31 00:00:00+01:00")


# files that hold no fit ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    synthetic_fit("y ~ x + (x | g)", DATA, draws=3).to_netcdf(path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path, saved):
    path = tmp_path / "fit.nc"
    path.write_bytes(saved)
    return path


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"There is no file .*nothing\.nc"):
        mb.load(tmp_path / "nothing.nc")


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"CDF\x01" + bytes(50), b"\x89HDF\r\n\x1a\n", bytes(range(256)) * 40]
)
def test_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "fit.nc"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"fit\.nc cannot be read as a netCDF file"):
        mb.load(path)


def test_a_directory(tmp_path):
    with pytest.raises(FileError, match="cannot be read as a netCDF file"):
        mb.load(tmp_path)


@pytest.mark.parametrize("part", [0.001, 0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file(path, saved, part):
    path.write_bytes(saved[: int(part * len(saved))])
    with pytest.raises(FileError, match="cannot be read as a netCDF file"):
        mb.load(path)


def test_a_netcdf_file_of_somebody_else(tmp_path):
    xr.Dataset({"v": ("x", [1.0, 2.0])}).to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    with pytest.raises(FileError, match=r"fit\.nc holds no fit of mixedbayes"):
        mb.load(tmp_path / "fit.nc")


def test_an_hdf5_file_of_somebody_else(tmp_path):
    with h5py.File(tmp_path / "fit.nc", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(FileError, match=r"holds no fit of mixedbayes|cannot be read as a netCDF file"):
        mb.load(tmp_path / "fit.nc")


@pytest.fixture(scope="module")
def tree(saved, tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "fit.nc"
    path.write_bytes(saved)
    return container.read(path)[0]


@pytest.fixture
def load_described(tree, monkeypatch):
    """Load the file as if its description were another text; opening it each time would take seconds."""

    def load(text):
        other = tree.copy()
        other.attrs["mixedbayes"] = text
        monkeypatch.setattr(container, "read", lambda _: (other, True))
        return mb.load("fit.nc")

    return load


def test_a_description_that_is_as_it_was(load_described, tree):
    assert "y ~ x" in str(load_described(tree.attrs["mixedbayes"]))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"', "{}", '{"format": 1}', "[" * 100_000])
def test_a_description_that_is_none(load_described, text):
    with pytest.raises(
        FileError, match=r"is damaged: its model cannot be read|holds a fit that cannot be rebuilt"
    ):
        load_described(text)


REBUILT = "holds a fit that cannot be rebuilt: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, REBUILT + "it was written in format 99, and this version reads 1 to 3"),
        ({"format": "1"}, REBUILT + "it was written in format '1', and this version reads 1 to 3"),
        ({"formula": 'y ~ __import__("os").system("true")'}, REBUILT + "'__import__' is not available"),
        ({"formula": "y ~ x.__class__"}, REBUILT + "There is no column 'x.__class__'"),
        ({"formula": "y ~ (lambda: 1)()"}, REBUILT + "Nothing stands in these brackets"),
        ({"formula": "y ~ open('x')"}, REBUILT + r"A formula has no function open\(\)"),
        ({"formula": "y ~ "}, REBUILT + "Nothing stands right of '~'"),
        ({"formula": "y ~ unknown"}, REBUILT + "There is no column 'unknown'"),
        ({"formula": "y ~ x + (1 | g)"}, REBUILT + "its draws have 2 of g_effect, its data 1"),
        ({"formula": "y ~ poly(x, 3) + (x | g)"}, REBUILT + "its draws have 2 of coefficient, its data 4"),
        ({"formula": "y ~ x + (x | g) + (1 | y)"}, REBUILT + "The group y has as many levels as there are rows"),
        ({"formula": 3}, REBUILT + "A formula is a text"),
        ({"formula": None}, "is damaged"),
        ({"family": "poisson"}, REBUILT + "y is -?[0-9.]+ in row 0"),
        ({"links": {"mu": "logg"}}, REBUILT + "The gaussian family has no link 'logg'"),
        ({"family": "Gauss"}, REBUILT + "its family, 'Gauss', is none of this version's"),
        ({"priors": {"b": "normal(0, open('x'))"}}, REBUILT + r"priors\['b'\]"),
        ({"priors": {"b": "normal(0, exponential(1))"}}, REBUILT + "draws of prior\\[b, sigma\\] are not in it"),
        ({"priors": ["b"]}, REBUILT + "priors is a mapping"),
        ({"rows": {"total": 10**15, "kept": None, "missing": {}}}, REBUILT + "its rows are not those of its data") ,
        ({"rows": {"total": 3, "kept": None, "missing": {}}}, REBUILT + "its rows are not those of its data"),
        ({"rows": {"total": N, "kept": [1, 2], "missing": {}}}, REBUILT + "its rows are not those of its data"),
        ({"rows": {"total": N, "kept": list(range(N))[::-1], "missing": {}}}, REBUILT + "its rows are not"),
        ({"rows": {"total": N, "kept": "all", "missing": {}}}, "is damaged"),
        ({"rows": []}, "is damaged"),
        ({"notes": 5}, "is damaged"),
        ({"env": ["os"]}, REBUILT + "its formula uses os of env="),
        ({"env": 1}, "is damaged"),
    ],
)  # fmt: skip
def test_a_description_that_was_changed(load_described, tree, changes, message):
    described = {**json.loads(tree.attrs["mixedbayes"]), **changes}
    with pytest.raises(FileError, match=message):
        load_described(json.dumps({name: value for name, value in described.items() if value is not None}))


def changed(path, change):
    """The file changed by a function of the h5py file, by somebody who knows of the checksum."""
    with h5py.File(path, "r+") as file:
        change(file)
    container._sign(path)
    return path


def describe(**changes):
    """A change of the description."""

    def change(file):
        file.attrs["mixedbayes"] = json.dumps(json.loads(file.attrs["mixedbayes"]) | changes)

    return change


def test_a_description_changed_in_the_file(path):
    changed(path, describe(formula='y ~ __import__("os").system("true")'))
    with pytest.raises(FileError, match=REBUILT):
        mb.load(path)


def without(name):
    def change(file):
        del file[name]

    return change


@pytest.mark.parametrize(
    "name",
    ["posterior", "sample_stats", "mixedbayes_data", "posterior/b", "posterior/sigma", "posterior/r_g", "posterior/cor_g",
     "mixedbayes_data/values_0", "mixedbayes_data/values_0_places", "mixedbayes_data/values_0_lengths", "mixedbayes_data/codes_0",
     "mixedbayes_data/levels_0", "mixedbayes_data/levels_0_lengths"],
)  # fmt: skip
def test_a_file_that_lacks_a_part(path, name):
    with pytest.raises(FileError, match=r"is damaged|cannot be rebuilt|cannot be read"):
        mb.load(changed(path, without(name)))


def test_draws_of_another_shape(path):
    def change(file):
        del file["posterior/sigma"]
        file["posterior/sigma"] = np.ones(3)

    with pytest.raises(FileError, match=r"fit\.nc"):
        mb.load(changed(path, change))


def test_a_column_of_another_dtype(path):
    def change(file):
        file["mixedbayes_data/values_0"].attrs["pandas_dtype"] = "complex128"

    with pytest.raises(FileError, match="it has a column of complex128"):
        mb.load(changed(path, change))


@pytest.mark.parametrize("draws", ["text", "turned", "other dims"])
def test_draws_that_do_not_fit_the_model(tmp_path, draws):
    fit = synthetic_fit("y ~ x + (x | g)", DATA, draws=3)
    posterior = fit.idata["posterior"].to_dataset()
    posterior = {
        "text": lambda: posterior.assign(sigma=posterior["sigma"].astype(str)),
        "turned": lambda: posterior.assign(b=posterior["b"].isel(coefficient=0)),
        "other dims": lambda: posterior.drop_vars("sigma").assign(sigma=("coefficient", [1.0, 2.0])),
    }[draws]()
    fit.idata["posterior"] = posterior
    Fit(fit.spec, fit.idata, fit.engine).to_netcdf(tmp_path / "fit.nc")
    with pytest.raises(FileError, match="holds no draws of"):
        mb.load(tmp_path / "fit.nc")


@pytest.mark.parametrize("kind", ["external storage", "external link", "soft link", "virtual"])
def test_a_file_that_would_read_another_file(path, tmp_path, kind):
    other = tmp_path / "secret"
    with h5py.File(other, "w") as file:
        file["x"] = np.arange(12.0)
    with h5py.File(path, "a") as file:
        del file["posterior/sigma"]
        if kind == "external storage":
            file.create_dataset("posterior/sigma", shape=(12,), dtype="f8", external=[(str(other), 0, 96)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(12,), dtype="f8")
            layout[:] = h5py.VirtualSource(str(other), "x", shape=(12,))
            file.create_virtual_dataset("posterior/sigma", layout)
        else:
            link = (
                h5py.SoftLink("/posterior/b") if kind == "soft link" else h5py.ExternalLink(str(other), "x")
            )
            file["posterior/sigma"] = link
    with pytest.raises(FileError, match="points to data outside of it, at posterior/sigma"):
        mb.load(path)


def test_a_family_of_the_user_s_own_is_not_saved_under_another_s_name(tmp_path):
    own = replace(FAMILIES["gaussian"], is_gaussian=False)
    with pytest.raises(
        FileError, match="The family 'gaussian' is your own and has the name of one that there is"
    ):
        synthetic_fit("y ~ x", DATA, own, draws=3).to_netcdf(tmp_path / "fit.nc")


def test_a_family_of_the_user_s_own_is_passed_to_load(tmp_path):
    own = replace(FAMILIES["student_t"], name="mine")
    fit, path = synthetic_fit("y ~ x + (1 | g)", DATA, own, draws=3), tmp_path / "fit.nc"
    fit.to_netcdf(path)
    assert_same(mb.load(path, family=own), fit)
    with pytest.raises(
        FileError, match=r"cannot be rebuilt: its family, 'mine', is none of .* if it is your own, pass"
    ):
        mb.load(path)
    with pytest.raises(FileError, match="its family is 'mine', and family= is another, 'student_t'"):
        mb.load(path, family=FAMILIES["student_t"])
    with pytest.raises(
        ArgumentError, match=r"family is the record that the fit was made with, .* not 'mine'"
    ):
        mb.load(path, family="mine")
    synthetic_fit("y ~ x", DATA, "student_t", draws=3).to_netcdf(path)
    assert mb.load(path, family=FAMILIES["student_t"]).spec.family is FAMILIES["student_t"]
    with pytest.raises(FileError, match="its family is 'student_t', and family= is another, 'mine'"):
        mb.load(path, family=own)


# places ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit():
    return synthetic_fit("y ~ x", DATA, draws=3)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere/fit.nc", "There is no folder .*nowhere to save fit.nc in"),
        ("", "is a folder; name a file in it"),
        ("a" * 300, "cannot be written: File name too long"),
        ("a\x00b", "cannot be written: .*embedded null"),
        ("pipe", "is no file of a disk"),
    ],
)
def test_a_place_that_cannot_be_written(tmp_path, fit, place, message):
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileError, match=message):
        fit.to_netcdf(f"{tmp_path}/{place}")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("path", [None, 3, True, b"fit.nc", 1.5, [], "", io.BytesIO()])
def test_what_is_no_path_is_refused(fit, path):
    with pytest.raises(ArgumentError, match=r"The path of a file is a text, as 'fit\.nc', not "):
        fit.to_netcdf(path)
    with pytest.raises(ArgumentError, match=r"The path of a file is a text, as 'fit\.nc', not "):
        mb.load(path)


def _tables(path):
    DATA.to_csv(path)


def _netcdf(path):
    xr.Dataset({"v": ("x", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")


def _hdf5(path):
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(3)


OTHERS = {
    "a table": _tables,
    "netCDF": _netcdf,
    "HDF5": _hdf5,
    "a byte": lambda path: path.write_bytes(b"\x00"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("link", [False, True], ids=["itself", "by a link"])
def test_a_file_of_another_kind_is_not_written_over(tmp_path, fit, kind, link):
    path = other = tmp_path / "data.csv"
    OTHERS[kind](path)
    content = path.read_bytes()
    if link:
        other = tmp_path / "link.nc"
        other.symlink_to(path)
    with pytest.raises(FileError, match=r"holds something else than a fit: .*overwrite=True"):
        fit.to_netcdf(other)
    assert path.read_bytes() == content
    fit.to_netcdf(other, overwrite=True)
    assert_same(mb.load(path), fit)
    assert other.is_symlink() == link


def test_overwriting_is_asked_for_by_a_truth_value(tmp_path, fit):
    other = tmp_path / "data.csv"
    other.write_text("y,x\n1,2\n")
    with pytest.raises(ArgumentError, match="overwrite is True or False, not 'no'"):
        fit.to_netcdf(other, overwrite="no")
    assert other.read_text() == "y,x\n1,2\n"


def _truncated(path, saved):
    path.write_bytes(saved[: len(saved) // 2] + saved[-container.SIGNATURE :])


def _old(path, saved):
    path.write_bytes(saved[: -container.SIGNATURE])


@pytest.mark.parametrize(
    "there", [lambda path, saved: path.write_bytes(saved), _truncated, _old, lambda path, _: path.touch()]
)
def test_a_fit_and_an_empty_file_are_written_over(path, saved, fit, there):
    there(path, saved)
    path.chmod(0o640)
    fit.to_netcdf(path)
    assert_same(mb.load(path), fit)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("stage", ["to_netcdf", "_sign", "replace"])
def test_what_is_stopped_while_writing_leaves_what_was(path, saved, fit, monkeypatch, error, stage):
    def stop(*_, **__):
        raise error

    if stage == "_sign":
        monkeypatch.setattr(container, "_sign", stop)
    else:
        owner = xr.DataTree if stage == "to_netcdf" else type(path)
        monkeypatch.setattr(owner, stage, stop)
    with pytest.raises((FileError, KeyboardInterrupt, MemoryError), match=r"No space left|^$"):
        fit.to_netcdf(path)
    assert path.read_bytes() == saved
    assert list(path.parent.iterdir()) == [path]


# checksums -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 9, 0.1, 0.3, 0.5, 0.7, 0.9, -1, -33, -40])
def test_a_changed_byte_is_noticed(path, saved, place):
    at = place if isinstance(place, int) else int(place * len(saved))
    content = bytearray(saved)
    content[at] ^= 4
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"is damaged: its bytes are not|its checksum is lost|cannot be read"):
        mb.load(path)


def test_every_changed_number_is_noticed(path, saved):
    with h5py.File(path) as file:
        stored = {name: file[f"posterior/{name}"] for name in ("b", "sigma", "sd_g")}
        places = [
            at
            for each in stored.values()
            for at in range(each.id.get_offset(), each.id.get_offset() + each.nbytes, 8)
        ]
    for at in places:
        content = bytearray(saved)
        content[at] ^= 1
        path.write_bytes(content)
        with pytest.raises(FileError, match="is damaged"):
            mb.load(path)


def test_a_file_changed_by_other_tools_is_not_what_was_saved(path):
    with h5py.File(path, "r+") as file:
        file["posterior/sigma"][0, 0] = 99.0
    with pytest.raises(FileError, match=r"is damaged: its bytes are not|its checksum is lost"):
        mb.load(path)


def test_a_file_that_lost_its_checksum(path, saved):
    path.write_bytes(saved[: -container.SIGNATURE])
    with pytest.raises(FileError, match="its checksum is lost: it was changed or cut short"):
        mb.load(path)


def as_before(file):
    """The file in the first format: a variable for each column, no names and no default priors in the description."""
    data = file["mixedbayes_data"]
    y, x = np.split(data["values_0"][...], 2)
    levels = data["levels_0"][...]
    codes = data["codes_0"][...]
    for name in list(data):
        if not name.startswith("index"):
            del data[name]
    for i, (name, values) in enumerate({"y": y, "x": x, "g": codes}.items()):
        data[f"column_{i}"] = values
        data[f"column_{i}"].attrs["name"] = name
        data[f"column_{i}"].attrs["pandas_dtype"] = "float64"
    data["levels_2"] = levels
    data["levels_2"].attrs["pandas_dtype"] = "object"
    describe(format=1, parameters=None, columns=None, index=None)(file)


def test_a_file_of_the_first_format_is_read(path):
    path.write_bytes(changed(path, as_before).read_bytes()[: -container.SIGNATURE])
    with pytest.warns(mb.DesignWarning, match=r"fit\.nc does not say its default priors"):
        loaded = mb.load(path)
    assert_same(loaded, synthetic_fit("y ~ x + (x | g)", DATA, draws=3))


FORMAT_2 = Path(__file__).parent / "format2.nc"
"""Of 24 rows, `y ~ x + (x | g)` with priors that have priors: written by the version before other parameters had formulas."""

MEANS = {
    "prior[prior[b, sigma], beta]": 0.7302926,
    "prior[b, sigma]": 2.3527283,
    "prior[sd, beta]": 1.0381007,
}
"""Of its draws of `b.sigma.beta`, `b.sigma` and `sd.beta`, as that version read them."""


def test_a_file_of_the_second_format_is_read_with_its_hyperparameters_under_their_names():
    loaded = mb.load(FORMAT_2)
    assert {p.address for p in loaded.spec.hyper} == set(MEANS)
    for address, mean in MEANS.items():
        assert loaded.posterior[address].mean().item() == pytest.approx(mean, rel=1e-6)
        assert loaded.hypothesis(f"{address} > 0")["estimate"].item() == pytest.approx(mean, rel=1e-6)
    assert loaded.hypothesis("b.sigma > 0")["estimate"].item() == pytest.approx(MEANS["prior[b, sigma]"])
    assert loaded.spec.links == {"mu": "identity"}
    assert len(loaded.predict()) == 24
    assert "prior[b, sigma]" in str(loaded)


def test_a_file_of_the_second_format_can_be_saved_anew(tmp_path):
    loaded = mb.load(FORMAT_2)
    loaded.to_netcdf(tmp_path / "fit.nc")
    assert_same(mb.load(tmp_path / "fit.nc"), loaded)


def test_a_model_of_many_columns_is_saved_in_few_variables(tmp_path):
    data = {f"x{i}": RNG.normal(size=N) for i in range(25)} | {f"f{i}": repeat("a", "b") for i in range(25)}
    fit = synthetic_fit("y ~ .", pd.DataFrame({"y": DATA["y"], **data}), draws=3)
    fit.to_netcdf(tmp_path / "fit.nc")
    with h5py.File(tmp_path / "fit.nc") as file:
        assert len(file["mixedbayes_data"]) < 20
    assert_same(mb.load(tmp_path / "fit.nc"), fit)


def test_other_default_priors_than_this_version_s_are_told(path):
    with h5py.File(path) as file:
        parameters = json.loads(file.attrs["mixedbayes"])["parameters"]
    changed(path, describe(parameters=parameters | {"sigma": "exponential(3)"}))
    with pytest.warns(mb.DesignWarning, match=r"made with other default priors .*: sigma exponential\(3\)\."):
        mb.load(path)


# files made to harm ----------------------------------------------------------------------------------------


def _in_a_circle(file):
    file["posterior/loop"] = file["/"]


def _in_two_places(file):
    for i in range(1000):
        file[f"posterior/copy{i}"] = file["posterior/sigma"]


def _softly_in_a_circle(file):
    file["posterior/loop"] = h5py.SoftLink("/posterior")


def _deep(file):
    group = file
    for _ in range(500):
        group = group.create_group("a")


def _many_groups(file):
    for i in range(3000):
        file.create_group(f"group{i}")


def _many_attributes(file):
    group = file.create_group("many", track_order=True)
    for i in range(20_001):
        group.attrs[f"a{i}"] = 1


def _many_sets(file):
    for i in range(2000):
        file[f"posterior/set{i}"] = 1.0


def _named_type(file):
    file["posterior/type"] = np.dtype("f8")


def _huge(file):
    file.create_dataset("posterior/huge", shape=(2**29,), dtype="f8", chunks=(2**20,))


def _huge_chunk(file):
    file.create_dataset("posterior/huge", shape=(1,), maxshape=(None,), dtype="f8", chunks=(2**28,))


def _huge_values(file):
    file.create_dataset("posterior/huge", shape=(10,), dtype=np.dtype((np.uint8, (2**30,))), chunks=(1,))


def _one_text_many_times(file):
    """Every element points to the same heap object: 16 bytes in the file, a megabyte in memory."""
    data = file.create_dataset("posterior/texts", shape=(2000,), dtype=h5py.string_dtype())
    data[0] = "x" * 2**20
    at = data.id.get_offset()
    file.flush()
    with open(file.filename, "r+b") as raw:  # noqa: PTH123
        raw.seek(at)
        pointer = raw.read(16)
        raw.seek(at)
        raw.write(pointer * 2000)


def _texts_as_attribute(file):
    file["posterior"].attrs["texts"] = ["x" * 100] * 400


def _vlen(file):
    data = file.create_dataset("posterior/vlen", shape=(3,), dtype=h5py.vlen_dtype(np.dtype("f8")))
    data[0] = np.zeros(5)


def _vlen_attribute(file):
    values = np.empty(2, dtype=object)
    values[:] = [np.zeros(3), np.zeros(2)]
    file["posterior"].attrs.create("vlen", values, dtype=h5py.vlen_dtype(np.dtype("f8")))


HARMFUL = {
    _in_a_circle: "has one part in two places, the second at posterior/loop",
    _in_two_places: "has one part in two places",
    _softly_in_a_circle: "points to data outside of it, at posterior/loop",
    _deep: "has more groups than a fit has, such as a/a",
    _many_groups: "has more groups than a fit has",
    _many_attributes: "has more than 2,000 data sets or 20,000 attributes",
    _many_sets: "has more than 2,000 data sets or 20,000 attributes",
    _named_type: "something else than groups and data sets, at posterior/type",
    _huge: r"unpacks to 4\.0 GiB or more, far more than it can hold",
    _huge_chunk: r"unpacks to 2\.0 GiB or more",
    _huge_values: r"unpacks to 10\.0 GiB or more",
    _one_text_many_times: "unpacks to .* GiB or more|cannot be read",
    _texts_as_attribute: "an attribute of 400 texts, 'texts'",
    _vlen: "has values of a kind that no fit has, at /posterior/vlen",
    _vlen_attribute: "has an attribute of a kind that no fit has, 'vlen'",
}


@pytest.mark.parametrize("harm", HARMFUL, ids=lambda harm: harm.__name__.strip("_"))
def test_a_file_made_to_harm_is_refused_at_once(path, harm):
    changed(path, harm)
    start = time.monotonic()
    with pytest.raises(FileError, match=HARMFUL[harm]):
        mb.load(path)
    assert time.monotonic() - start < 5


def test_a_heap_without_end_is_not_walked(path, saved):
    at = saved.index(b"GCOL\x01\x00\x00\x00") + 16
    path.write_bytes(saved[:at] + bytes(200) + saved[at + 200 : -container.SIGNATURE])
    container._sign(path)
    with pytest.raises(FileError, match="its texts have no end"):
        mb.load(path)


def test_a_driver_is_not_asked(path, saved):
    path.write_bytes(saved[:48] + (96).to_bytes(8, "little") + saved[56 : -container.SIGNATURE])
    container._sign(path)
    with pytest.raises(FileError, match="it asks for a driver"):
        mb.load(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("codes_0", -1, "missing values: g in 1 row"),
        ("codes_0", 6, "is damaged"),
        ("values_0", np.nan, "missing values: y in 1 row"),
        ("values_0", np.inf, "'y' is infinite in 1 row"),
        ("values_0_places", 7, "its columns are not those of its description"),
        ("values_0_places", 1, "its columns are not those of its description"),
        ("values_0_lengths", 59, "the parts of its values are not as long as they say"),
        ("values_0_lengths", -1, "the parts of its values are not as long as they say"),
        ("levels_0_lengths", 2**62, "the parts of its levels are not as long as they say"),
    ],
)
def test_a_value_that_no_model_takes(path, name, value, message):
    def change(file):
        file[f"mixedbayes_data/{name}"][0] = value

    with pytest.raises(FileError, match=message):
        mb.load(changed(path, change))


@pytest.mark.parametrize(
    "options",
    [
        {"draws": 10**9}, {"chains": 10**9}, {"tune": 10**12}, {"draws": -1}, {"draws": "1000"}, {"seed": -1},
        {"memory": -1}, {"sampler": ["nutpie"]}, {"method": {}}, {"iter": 5}, [], 3, "x",
    ],
    ids=str,
)  # fmt: skip
def test_options_that_no_fit_has_are_refused(path, options):
    def change(file):
        file["sample_stats"].attrs["mixedbayes_options"] = json.dumps(options)

    with pytest.raises(FileError, match="is damaged: how its draws were made cannot be read"):
        mb.load(changed(path, change))
