"""A few seconds of each fuzzer, from seeds that are always the same, and what longer runs found; their own files say how to run them."""

import datetime as dt
from collections import Counter
from decimal import Decimal
from io import BytesIO

import fuzz_files
import fuzz_options
import fuzz_tables
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from fuzzing import Odd

import mixedbayes as mb
from mixedbayes import cli
from mixedbayes.results.files import container


@pytest.mark.parametrize("seed", range(0, 600, 100))
def test_columns_of_every_type_in_every_role(seed):
    counts: Counter[str] = Counter()
    for each in range(seed, seed + 100):
        fuzz_tables.check(np.random.default_rng(each), counts)
    assert counts["taken"] > 5
    assert counts["refused"] > 5


@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_files_changed_at_random(seed):
    counts: Counter[str] = Counter()
    for each in range(seed, seed + 20):
        fuzz_files.check(np.random.default_rng(each), counts)
    assert sum(counts.values()) == 20


@pytest.mark.parametrize("seed", range(0, 200, 50))
def test_options_of_every_kind(seed, monkeypatch):
    monkeypatch.setattr("mixedbayes.inference.nuts.graph.build", fuzz_options.stop)
    counts: Counter[str] = Counter()
    for each in range(seed, seed + 50):
        fuzz_options.check(np.random.default_rng(each), counts)
    assert sum(each for outcome, each in counts.items() if "refused" in outcome) > 10


N = 24
OTHERS = {"y": np.random.default_rng(1).normal(size=N), "g": ["a", "b"] * 12}
ZONES = [dt.datetime(2024, 3, 1, tzinfo=dt.UTC), dt.datetime(2024, 3, 2)]  # noqa: DTZ001
HUGE = np.resize([1e308, -1e308, 1e308], N)


@pytest.mark.parametrize(
    ("formula", "column", "match"),
    [
        ("y ~ z", np.array([b"ab", b"c\xff"] * 12, dtype="V2"), r"holds \|V2"),
        ("y ~ (1 | z)", pd.Categorical(ZONES * 12), "dates that do not go together"),
        ("y ~ z", [Decimal("Infinity"), Decimal(1)] * 12, "infinite in 12 rows"),
        ("y ~ C(z, levels=[1, 0])", [True, False] * 12, "levels TRUE and FALSE"),
        ("y ~ factor(z, [1, 2, 3])", [True] * N, "levels TRUE and FALSE"),
        ("y ~ C(z, levels=[TRUE, FALSE])", [1, 0] * 12, "levels TRUE and FALSE"),
        ("y ~ poly(z, 1)", [1.0] * N, "degree of a polynomial is below the number of distinct values, here 1"),
        ("y ~ poly(z, 2)", [0.1, 0.7] * 12, "degree of a polynomial is below the number of distinct values, here 2"),
        ("y ~ (poly(z, 3) | g)", [0.1, 0.7, 3.0] * 8, "distinct values, here 3"),
        ("cbind(z, z) ~ g", HUGE, "not inf"),
    ],
)  # fmt: skip
def test_columns_that_were_found_are_refused(formula, column, match):
    with pytest.raises(mb.DataError, match=match):
        mb.design(formula, {**OTHERS, "z": column})


def test_decimals_in_hundreds_are_numbers():
    decimals = pa.array([Decimal(100), Decimal(300), None] * 8, pa.decimal128(5, -2))
    design = mb.design("y ~ z", pa.table({**OTHERS, "z": decimals}))
    assert design.fixed.X[:2, 1].tolist() == [100, 300]
    assert design.rows.dropped == 8


def test_a_category_that_is_no_number_is_a_gap():
    categories = pd.Index(pd.array(pa.array([2.0, float("nan"), 1.0]), dtype=pd.ArrowDtype(pa.float64())))
    column = pd.Categorical.from_codes([0, 1, 2, -1] * 6, categories)
    design = mb.design("y ~ (1 | z)", pd.DataFrame(OTHERS).assign(z=column))
    assert design.groups[0].levels.tolist() == [2.0, 1.0]
    assert design.groups[0].codes.tolist() == [0, 1] * 6


@pytest.mark.parametrize("formula", ["y ~ z * x", "y ~ (z | g)", "y ~ x + scale(z)"])
def test_numbers_that_are_too_large_are_refused_in_silence_of_numpy(formula):
    with pytest.raises(mb.DataError, match=r"too large|not finite|not a finite"):
        mb.model(formula, {**OTHERS, "z": HUGE, "x": np.arange(N) / 7})


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda fit: mb.prior({"normal": 1}, 0, 1), "no prior distribution"),
        (lambda fit: mb.prior(["normal"]), "no prior distribution"),
        (lambda fit: mb.load_dataset([]), "No data set"),
        (lambda fit: mb.load_dataset("x" * 5000), "No data set 'x{12}[.]{3}x{13}'"),
        (lambda fit: fit.effects("x", kind=np.zeros((2, 2))), "kind is one of"),
        (lambda fit: fit.slopes("x", kind=["mean"]), "kind is one of"),
        (lambda fit: fit.to_netcdf(Odd()), "path of a file is a text"),
        (
            lambda fit: fit.to_netcdf("fit.nc", overwrite=pd.DataFrame({"a": [1]})),
            "overwrite is True or False",
        ),
        (lambda fit: fit.coef(conf_level={"x": 10**5000}), "a dict that cannot be shown"),
        (lambda fit: fit.poststratify(fuzz_options.DATA, weight=Odd()), "weight is the name"),
        (lambda fit: fit.predict(groups=[Odd()]), "The model has no group"),
        (lambda fit: mb.design("y ~ x", {"y": [1.0], "x": range(10**15)}), "cannot be made a table"),
        (lambda fit: fit.effects("x", at={"x": range(10**12)}), "more than 1,000,000 values"),
        (lambda fit: fit.tidy(effects=range(10**12)), "effects are some of"),
        (lambda fit: fit.pp_check("grouped", by=fuzz_options.DATA), "^.{1,200}$"),
        (lambda fit: fit.pp_check("stat", stat="x" * 5000), "^.{1,300}$"),
        (lambda fit: fit.update(["~ . - x"] * 500), "^.{1,300}$"),
        (
            lambda fit: mb.model("y ~ x", {"y": ["a" * 9999, *map(str, range(40))], "x": range(41)}),
            "aaa[.]{3}aaa",
        ),
    ],
)
def test_options_that_were_found_are_refused(call, match):
    with pytest.raises(mb.MixedBayesError, match=match):
        call(fuzz_options.fits()["exact"])


@pytest.mark.parametrize("missing", [np.array(["drop", "error"]), pd.Series(["drop"])])
def test_the_estimator_refuses_a_missing_that_is_no_text(missing):
    model = mb.sklearn.MixedModel(missing=missing)
    with pytest.raises(mb.ArgumentError, match="missing="):
        model.fit(np.random.default_rng(1).normal(size=(9, 2)), np.arange(9.0))


@pytest.mark.parametrize(
    "given", [("x" * 5000 + ".csv",), ("x" * 5000,), ("sleepstudy", "--output", "x" * 5000)]
)
def test_names_of_files_that_are_too_long_are_refused_in_a_line(given):
    result = CliRunner().invoke(cli.main, ["fit", "Reaction ~ 1", *given])
    assert result.exit_code == 2
    assert result.stderr.startswith("mixedbayes: ")
    assert "name too long" in result.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["data.csv", "-"])
def test_text_is_read_in_the_encoding_that_its_first_bytes_say(encoding, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = fuzz_options.DATA[["y", "x"]].to_csv(index=False).encode(encoding)
    (tmp_path / "data.csv").write_bytes(content)
    given = ["fit", "y ~ x", name, "--draws", "20", "--chains", "1"]
    assert CliRunner().invoke(cli.main, given, input=content).exit_code == 0


def test_a_text_that_says_it_is_longer_than_its_file_takes_no_memory(tmp_path):
    """HDF5 takes as much as the length says, before it looks for the text."""
    content = fuzz_files.SAVED[0][: -container.SIGNATURE]
    descriptors = [start for start, _ in container._descriptors(content)]
    assert len(descriptors) > 20
    with h5py.File(BytesIO(content)) as file:
        descriptors.append(file["posterior/coefficient"].id.get_offset())
    for at in descriptors:
        path = tmp_path / "fit.nc"
        path.write_bytes(content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :])
        container._sign(path)
        with pytest.raises(mb.FileError, match="longer than the file"):
            container.read(path)


@pytest.mark.parametrize("numbers", [("draw", [0, 0, 1, 2, 3]), ("other", [0, 1, 2])])
def test_draws_that_are_not_told_apart_by_their_numbers_are_refused(numbers, tmp_path):
    path = tmp_path / "fit.nc"
    path.write_bytes(fuzz_files.SAVED[0])
    tree, _ = container.read(path)
    tree["posterior"] = tree["posterior"].to_dataset().drop_vars("draw").assign_coords(draw=numbers)
    container.write(tree, path)
    with pytest.raises(mb.FileError, match="draws are not numbered"):
        mb.load(path)


def test_an_attribute_of_a_type_that_stands_elsewhere_is_refused(tmp_path):
    path = tmp_path / "fit.nc"
    path.write_bytes(fuzz_files.SAVED[0][: -container.SIGNATURE])
    with h5py.File(path, "r+") as file:
        file["type"] = h5py.string_dtype()
        file["posterior"].attrs.create("text", "a", dtype=file["type"])
        del file["type"]
    container._sign(path)
    with pytest.raises(mb.FileError, match="a type that stands elsewhere, 'text'"):
        mb.load(path)
