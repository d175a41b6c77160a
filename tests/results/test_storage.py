"""Fits saved and loaded: nothing that tables or prediction need is lost, and no file is trusted."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import FileError
from mixedbayes.results import storage
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


def test_levels_of_no_plain_kind_return_as_plain_ones(tmp_path):
    for name in ("month", "nullable"):
        fit = synthetic_fit(f"y ~ x + (1 | {name})", DATA, draws=3)
        fit.to_netcdf(tmp_path / "fit.nc")
        loaded = mb.load(tmp_path / "fit.nc")
        levels = [[str(level) for level in each.spec.blocks[0].block.levels] for each in (loaded, fit)]
        assert levels[0] == levels[1]
        np.testing.assert_array_equal(loaded.ranef(), fit.ranef())


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


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([f"row {i}" for i in range(60)], name="id"),
        pd.RangeIndex(10, 70),
        pd.Index(np.linspace(0, 1, 60), name="x"),
        pd.date_range("2024-01-31", periods=60, tz="Europe/Vienna", name="day"),
        pd.MultiIndex.from_product([["a", "b", "c"], range(20)], names=["class", None]),
        pd.CategoricalIndex(np.resize(["u", "v"], 60)),
    ],
    ids=lambda index: type(index).__name__,
)
def test_what_the_caller_calls_the_rows_is_remembered(tmp_path, index):
    data = pd.DataFrame(np.random.default_rng(1).normal(size=(60, 2)), columns=["y", "x"], index=index)
    fit = synthetic_fit("y ~ x", data)
    fit.to_netcdf(tmp_path / "fit.nc")
    loaded = mb.load(tmp_path / "fit.nc").spec.design.rows.index
    assert list(loaded) == list(index)
    assert loaded.names == index.names


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
    return storage._opened(path)


@pytest.fixture
def load_described(tree, monkeypatch):
    """Load the file as if its description were another text; opening it each time would take seconds."""

    def load(text):
        other = tree.copy()
        other.attrs["mixedbayes"] = text
        monkeypatch.setattr(storage, "_opened", lambda _: other)
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
        ({"format": 99}, REBUILT + "it says that its format is 99, and this version reads 1"),
        ({"format": "1"}, REBUILT + "it says that its format is '1', and this version reads 1"),
        ({"formula": 'y ~ __import__("os").system("true")'}, REBUILT),
        ({"formula": "y ~ x.__class__"}, REBUILT),
        ({"formula": "y ~ (lambda: 1)()"}, REBUILT),
        ({"formula": "y ~ open('x')"}, REBUILT),
        ({"formula": "y ~ "}, REBUILT),
        ({"formula": "y ~ unknown"}, REBUILT + "There is no column 'unknown'"),
        ({"formula": "y ~ x + (1 | g)"}, REBUILT),  # other draws
        ({"formula": "y ~ poly(x, 3) + (x | g)"}, REBUILT + "its draws have 2 of coefficient, its data 4"),
        ({"formula": "y ~ x + (x | g) + (1 | y)"}, REBUILT),
        ({"formula": 3}, "is damaged|" + REBUILT),
        ({"formula": None}, "is damaged"),
        ({"family": "poisson"}, REBUILT),
        ({"family": "Gauss"}, REBUILT + "There is no family 'Gauss'"),
        ({"link": "logg"}, REBUILT + "The gaussian family has no link 'logg'"),
        ({"priors": {"b": "normal(0, open('x'))"}}, REBUILT + r"priors\['b'\]"),
        ({"priors": {"b": "normal(0, exponential(1))"}}, REBUILT + "draws of b.sigma are not in it"),
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


def test_a_description_changed_in_the_file(path):
    with h5py.File(path, "r+") as file:
        described = json.loads(file.attrs["mixedbayes"])
        file.attrs["mixedbayes"] = json.dumps({**described, "formula": 'y ~ __import__("os").system("true")'})
    with pytest.raises(FileError, match=REBUILT):
        mb.load(path)


def changed(path, change):
    """The file with its groups changed by a function of the h5py file."""
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def without(name):
    def change(file):
        del file[name]

    return change


@pytest.mark.parametrize(
    "name",
    ["posterior", "sample_stats", "mixedbayes_data", "posterior/b", "posterior/sigma", "posterior/r_g", "posterior/cor_g",
     "mixedbayes_data/column_0", "mixedbayes_data/column_2", "mixedbayes_data/levels_2"],
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
        file["mixedbayes_data/column_0"].attrs["pandas_dtype"] = "complex128"

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


@pytest.mark.parametrize(
    ("place", "reason"), [("nowhere/fit.nc", "No such file or directory"), ("", "Is a directory")]
)
def test_a_place_that_cannot_be_written(tmp_path, place, reason):
    fit = synthetic_fit("y ~ x", DATA, draws=3)
    with pytest.raises(FileError, match=f"cannot be written: {reason}"):
        fit.to_netcdf(tmp_path / place)


def test_a_small_file_that_unpacks_to_gigabytes(path):
    with h5py.File(path, "a") as file:
        file.create_dataset("posterior/huge", shape=(2**29,), dtype="f8", chunks=(2**20,))
    assert path.stat().st_size < 2**20
    with pytest.raises(FileError, match=r"unpacks to 4\.0 GiB, far more than it can hold"):
        mb.load(path)


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
    from dataclasses import replace

    from mixedbayes.model.families import FAMILIES

    fit = synthetic_fit(
        "y ~ x", DATA, replace(FAMILIES["gaussian"], response="real", links=("identity",)), draws=3
    )
    with pytest.raises(FileError, match="The family 'gaussian' is your own"):
        fit.to_netcdf(tmp_path / "fit.nc")
