"""The command line: data from files and by name, tables on stdout, every error one line on stderr."""

import codecs
import csv
import gzip
import io
import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from monte_carlo import assert_near
from synthetic import NoEngine, synthetic_draws

import mixedbayes as mb
import mixedbayes.cli as command
from mixedbayes.inference.options import Options
from mixedbayes.results.fit import Fit

FORMULA = "Reaction ~ Days + (Days | Subject)"
SLEEP = mb.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Data in every kind of file, and files that are none."""
    folder = tmp_path_factory.mktemp("data")
    SLEEP.to_csv(folder / "data.csv", index=False)
    SLEEP.to_csv(folder / "DATA.CSV", index=False)
    SLEEP.to_csv(folder / "data.csv.gz", index=False)
    SLEEP.to_csv(folder / "data.tsv", index=False, sep="\t")
    SLEEP.to_csv(folder / "data.tsv.gz", index=False, sep="\t")
    SLEEP.to_parquet(folder / "data.parquet")
    SLEEP.to_feather(folder / "data.feather")
    SLEEP.assign(day=pd.Timestamp("2024-02-29") + pd.to_timedelta(SLEEP["Days"] % 3, "D")).to_parquet(
        folder / "dates.parquet"
    )
    SLEEP.assign(Days=SLEEP["Days"].where(SLEEP.index > 1), twice=2 * SLEEP["Days"]).to_csv(
        folder / "gaps.csv", index=False
    )
    written = {
        "empty.csv": b"",
        "header.csv": b"Reaction,Days,Subject\n",
        "quote.csv": b'a,b\n"1,2\n',
        "binary.csv": bytes(range(256)) * 10,
        "latin.csv": "Reaction,Größe\n1,2\n".encode("latin-1"),
        "ragged.csv": b"a,b\n1,2\n1,2,3,4\n",
        "twice.csv": b"y,x,x\n1,2,3\n4,5,6\n",
        "plain.csv.gz": b"a,b\n1,2\n",
        "short.csv.gz": gzip.compress(SLEEP.to_csv().encode())[:200],
        "bad.parquet": b"PAR1xx",
        "bad.feather": b"xx",
        "data.txt": b"a b",
    }
    plain = SLEEP.to_csv(index=False)
    written |= {
        "latin.csv.gz": gzip.compress(written["latin.csv"]),
        "late latin.csv": plain.encode() + "1,2,Größe\n".encode("latin-1"),
        "utf16 without mark.csv": plain.encode("utf-16-le"),
        "semicolons.csv": SLEEP.to_csv(index=False, sep=";", decimal=",").encode(),
        "tabs.csv": (folder / "data.tsv").read_bytes(),
        "commas.tsv": plain.encode(),
        "longer.csv": "".join(
            f"{i},{line}\n" if i else f"{line}\n" for i, line in enumerate(plain.splitlines())
        ).encode(),
        "trailing.csv": "".join(
            f"{line},\n" if i else f"{line}\n" for i, line in enumerate(plain.splitlines())
        ).encode(),
        "strays.csv": plain.replace("249.56", "?").encode(),
        "spaces.csv": plain.replace(",", ", ").encode(),
        "spaces.tsv": plain.replace(",", "\t ").encode(),
        "utf16.csv": plain.encode("utf-16"),
        "utf16be.csv": codecs.BOM_UTF16_BE + plain.encode("utf-16-be"),
        "utf16.tsv.gz": gzip.compress((folder / "data.tsv").read_text().encode("utf-16")),
        "utf8mark.csv": plain.encode("utf-8-sig"),
        "windows.csv": plain.replace("\n", "\r\n").encode(),
        "quoted.csv": SLEEP.to_csv(index=False, quoting=csv.QUOTE_ALL).encode(),
        "penicillin": plain.encode(),
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    (folder / "sleepstudy").mkdir()
    (folder / "folder.csv").mkdir()
    (folder / "link.csv").symlink_to(folder / "data.csv")
    (folder / "hard.csv").hardlink_to(folder / "data.csv")
    return folder


@pytest.fixture
def run(files, monkeypatch):
    """Run the command in the folder of the files; fits have draws of a random generator."""

    def fit(formula, data, family, *, link, priors, missing, progress, **sampling):
        formulas = {name: sampling.pop(name) for name in command.PARAMETERS if name in sampling}
        spec = mb.model(formula, data, family, link=link, priors=priors, missing=missing, **formulas).spec
        Options(**sampling)
        return Fit(spec, synthetic_draws(spec, chains=2, draws=10, seed=1), NoEngine())

    monkeypatch.setattr(command, "fit", fit)
    monkeypatch.chdir(files)
    return lambda *arguments, **options: CliRunner().invoke(
        command.main, [str(argument) for argument in arguments], **options
    )


NAMES = [
    "data.csv",
    "DATA.CSV",
    "data.csv.gz",
    "data.tsv",
    "data.tsv.gz",
    "data.parquet",
    "data.feather",
    "sleepstudy",
    *(
        "spaces.csv",
        "spaces.tsv",
        "utf16.csv",
        "utf16be.csv",
        "utf16.tsv.gz",
        "utf8mark.csv",
        "windows.csv",
        "trailing.csv",
        "quoted.csv",
    ),
]


@pytest.mark.parametrize("source", NAMES)
def test_data_are_read_from(run, source):
    result = run("fit", FORMULA, source)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Data: 180 rows" in result.stdout
    assert "Group-level effects, Subject (18 levels):" in result.stdout


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.tsv", "data.tsv.gz"])
def test_data_are_read_from_standard_input(run, files, name):
    result = run("fit", FORMULA, "-", input=(files / name).read_bytes())
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == run("fit", FORMULA, name).stdout


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "Standard input cannot be read as a table: No columns"),
        (bytes(range(256)), "Standard input cannot be read as a table"),
        (b"\x1f\x8b not gzip", "Standard input cannot be read as a table"),
        (b"y,x,x\n1,2,3\n", "Standard input has more than one column named 'x'"),
        (b"Reaction,Days,Subject\n", "The data have no rows"),
    ],
)
def test_standard_input_that_is_no_table_is_refused(run, sent, message):
    result = run("fit", FORMULA, "-", input=sent)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"mixedbayes: {message}")
    assert len(result.stderr.splitlines()) == 1


def tidy_of(data=SLEEP, formula=FORMULA, **options):
    spec = mb.model(formula, data).spec
    return Fit(spec, synthetic_draws(spec, chains=2, draws=10, seed=1), NoEngine()).tidy(**options)


def assert_equal(found, expected):
    assert list(found.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(
        found.astype(object).where(found.notna(), None),
        expected.astype(object).where(expected.notna(), None),
    )


def test_csv_parses_back_to_the_tidy_table(run):
    result = run("fit", FORMULA, "sleepstudy", "--format", "csv")
    assert_equal(pd.read_csv(io.StringIO(result.stdout), dtype={"level": object}), tidy_of())


def test_json_parses_back_to_the_tidy_table(run):
    result = run("fit", FORMULA, "sleepstudy", "--format", "json", "--conf-level", "0.5")
    records = json.loads(result.stdout)
    assert records[0]["group"] is None
    assert_equal(pd.DataFrame(records), tidy_of(conf_level=0.5))


def test_the_table_s_intervals_have_the_mass_asked_for(run):
    half, whole = (
        run("fit", FORMULA, "sleepstudy", *level).stdout for level in (("--conf-level", "0.5"), ())
    )
    assert half.count("l-50% CI u-50% CI") == whole.count("l-95% CI u-95% CI") == 3
    row = next(line.split() for line in half.splitlines() if line.startswith("Days"))
    days = tidy_of(effects="fixed", conf_level=0.5).set_index("term").loc["Days"]
    assert [float(cell) for cell in row[3:5]] == pytest.approx([days.conf_low, days.conf_high], abs=0.005)


def test_levels_that_are_numbers_or_dates_are_written(run):
    by_day = run("fit", "Reaction ~ (1 | day) + (1 | Days)", "dates.parquet", "--format", "json")
    levels = [record["level"] for record in json.loads(by_day.stdout) if record["level"] is not None]
    assert levels[:3] == ["2024-02-29 00:00:00", "2024-03-01 00:00:00", "2024-03-02 00:00:00"]
    assert levels[3:] == list(range(10))
    as_csv = run("fit", "Reaction ~ (1 | day)", "dates.parquet", "--format", "csv")
    assert "2024-02-29" in as_csv.stdout


def test_the_output_is_a_fit_that_loads(run, tmp_path):
    path = tmp_path / "fit.nc"
    result = run("fit", FORMULA, "sleepstudy", "--output", path)
    assert result.exit_code == 0
    assert str(mb.load(path)) + "\n" == result.stdout


def test_a_fit_that_is_there_is_replaced_and_another_file_only_if_said(run, tmp_path):
    path = tmp_path / "fit.nc"
    arguments = ("fit", FORMULA, "data.csv", "--output", path)
    assert [run(*arguments).exit_code for _ in range(2)] == [0, 0]
    path.write_text("thesis")
    assert run(*arguments).exit_code == 2
    assert path.read_text() == "thesis"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert mb.load(path).spec.design.n == 180


HOSTILE = ["\x1b[2J", "\x9b31m", "\x1b]0;title\x07", "\u202eabc", "a\tb", "größe 🙂"]


@pytest.mark.parametrize("terminal", [False, True])
def test_labels_are_kept_in_a_pipe_and_cannot_command_a_terminal(run, files, monkeypatch, terminal):
    SLEEP.assign(Subject=[HOSTILE[i // 10 % 6] for i in range(180)]).to_parquet(files / "hostile.parquet")
    monkeypatch.setattr(command, "_is_terminal", lambda: terminal)
    shown = run("fit", FORMULA, "hostile.parquet", "--format", "csv").stdout
    levels = pd.read_csv(io.StringIO(shown))["level"].dropna().unique()
    if not terminal:
        assert sorted(levels) == sorted(HOSTILE)
        return
    assert all(character.isprintable() or character == "\n" for character in shown)
    escaped = {r"\x1b[2J", r"\x9b31m", r"\x1b]0;title\x07", r"\u202eabc", r"a\tb", "größe 🙂"}
    assert set(levels) == escaped


def test_a_stray_text_among_numbers_is_a_note(run, files):
    SLEEP.assign(Days=["?", *map(str, SLEEP["Reaction"][1:])]).to_csv(files / "stray.csv", index=False)
    result = run("fit", "Reaction ~ Days + (1 | Subject)", "stray.csv")
    assert "note: Days holds '?' beside numbers and is a factor of 1" in result.stderr


def test_what_the_data_lack_is_a_note_on_stderr(run):
    result = run("fit", "Reaction ~ Days + twice + (1 | Subject)", "gaps.csv", "--format", "csv")
    assert result.exit_code == 0
    assert result.stdout.startswith("effect,component,")
    notes = result.stderr.splitlines()
    assert [note.startswith("note: ") for note in notes] == [True, True]
    assert "178 of 180 rows; 2 dropped for missing values (Days 2)" in notes[0]
    assert "twice" in notes[1]


@pytest.mark.parametrize(
    ("prior", "address", "text"),
    [
        ("b[Days]=normal(0, 10)", "b[Days]", "normal(0, 10)"),
        ("b = normal( 0,10 )", "b", "normal( 0,10 )"),
        ("b=normal(0, sigma=10)", "b", "normal(0, sigma=10)"),
        ("sd[Subject,Days]=exponential(gamma(1, 1))", "sd[Subject,Days]", "exponential(gamma(1, 1))"),
        ("b[bs(Days, df=4)[1]]=normal(0, 3)", "b[bs(Days, df=4)[1]]", "normal(0, 3)"),
        ("b[`a=b`]=normal(0, 3)", "b[`a=b`]", "normal(0, 3)"),
    ],
)
def test_a_prior_is_split_at_the_equals_sign_outside_brackets(prior, address, text):
    assert command._split_prior(prior) == (address, text)


def test_priors_reach_the_model(run, tmp_path):
    path = tmp_path / "fit.nc"
    run("fit", "Reaction ~ bs(Days, df=4) + (1 | Subject)", "sleepstudy", "--output", path,
        "--prior", "b[bs(Days, df=4)[1]]=normal(0, 3)", "--prior", "sigma=normal(0, sigma=9)")  # fmt: skip
    priors = {address: str(prior) for address, prior in mb.load(path).spec.priors.items()}
    assert priors == {"b[bs(Days, df=4)[1]]": "normal(0, 3)", "sigma": "normal(0, 9)"}


ERRORS = {
    # formulas
    ('R ~ __import__("os").system("touch made")', "data.csv"): "not available in a formula",
    ("Reaction ~ Days.mean()", "data.csv"): "Days.mean|attribute",
    ("Reaction ~ (lambda: 1)()", "data.csv"): r"\(character \d+ of ",
    ("Reaction ~ [c for c in 'ab']", "data.csv"): "Square brackets have no meaning",
    ("Reaction ~ open('/etc/passwd')", "data.csv"): "no function open",
    ("Reaction ~ (Days", "data.csv"): r"bracket is never closed. \(character 12 of 'Reaction ~ \(Days'\)",
    ("Reaction ~\nDays + (", "data.csv"): r"bracket is never closed.",
    ("", "data.csv"): "A formula needs a response",
    ("Reaction ~ Dais + Sex", "data.csv"): "no columns 'Dais', 'Sex' in the data.*did you mean 'Days'",
    # data
    (FORMULA, "nope.csv"): r"There is no file nope\.csv",
    (FORMULA, "sleepstud"): "no data set 'sleepstud', and no file of that name. Did you mean 'sleepstudy'",
    (FORMULA, ""): "no data set ''",
    (FORMULA, "."): r"no data set '\.'",
    (FORMULA, "https://example.org/data.csv"): "There is no file https",
    (FORMULA, "data.txt"): r"data\.txt does not end in \.csv, \.csv\.gz, \.tsv",
    (FORMULA, "empty.csv"): r"empty\.csv cannot be read as a table: No columns",
    (FORMULA, "header.csv"): "The data have no rows",
    (FORMULA, "quote.csv"): "cannot be read as a table",
    (FORMULA, "binary.csv"): "cannot be read as a table",
    (FORMULA, "latin.csv"): r"latin\.csv cannot be read as a table: it is not in UTF-8 \(byte 0xf6\).*save it as 'CSV UTF-8', or convert it by iconv",
    (FORMULA, "latin.csv.gz"): r"latin\.csv\.gz cannot be read as a table: it is not in UTF-8",
    (FORMULA, "late latin.csv"): r"late latin\.csv cannot be read as a table: it is not in UTF-8",
    (FORMULA, "utf16 without mark.csv"): "it holds zeros, as text in UTF-16 does",
    (FORMULA, "semicolons.csv"): r"semicolons\.csv has semicolons between its columns where commas are expected: save it with these, or read it in Python, pd\.read_csv\(path, sep=';', decimal=','\)",
    (FORMULA, "tabs.csv"): "has tabs between its columns where commas are expected",
    (FORMULA, "commas.tsv"): "has commas between its columns where tabs are expected",
    (FORMULA, "longer.csv"): "its rows have more fields than its first line has names",
    (FORMULA, "folder.csv"): r"folder\.csv is a folder; name a file in it",
    (FORMULA, "penicillin"): r"penicillin is a file here and also the name of a data set: rename the file .* as penicillin\.csv",
    ("Reaction ~ Days", "strays.csv"): "The response Reaction holds '\\?' beside numbers, not numbers",
    (FORMULA, "ragged.csv"): "cannot be read as a table.*Expected 2 fields in line 3, saw 4",
    (FORMULA, "plain.csv.gz"): "cannot be read as a table: Not a gzipped file",
    (FORMULA, "short.csv.gz"): "cannot be read as a table: Compressed file ended",
    (FORMULA, "bad.parquet"): "cannot be read as a table",
    (FORMULA, "bad.feather"): "cannot be read as a table",
    ("y ~ x", "twice.csv"): r"twice\.csv has more than one column named 'x'; rename all but one",
    (FORMULA, "gaps.csv", "--missing", "error"): "missing values: Days in 2 rows",
    # families and priors
    (FORMULA, "data.csv", "--family", "gausian"): "no family 'gausian'. Did you mean 'gaussian'",
    (FORMULA, "data.csv", "--link", "logg"): "no link 'logg'",
    (FORMULA, "data.csv", "--family", "poisson"): r"Reaction is 249\.56 in row 0",
    (FORMULA, "data.csv", "--prior", "b"): r"--prior 'b' lacks '='",
    (FORMULA, "data.csv", "--prior", "b=nrmal(0, 1)"): r"priors\['b'\]: .* Did you mean 'normal'",
    (FORMULA, "data.csv", "--prior", "b=normal(0,"): r"A prior reads as normal\(0, 10\)",
    (FORMULA, "data.csv", "--prior", "b="): r"A prior reads as normal\(0, 10\)",
    (FORMULA, "data.csv", "--prior", 'b=__import__("os")'): r"A prior reads as normal\(0, 10\)",
    (FORMULA, "data.csv", "--prior", "B=normal(0, 1)"): "No parameter has the address 'B'. Did you mean 'b'",
    (FORMULA, "data.csv", "--prior", "sd=uniform(-2, -1)"): "it has no mass",
    (FORMULA, "data.csv", "--prior", "b=normal(0, 1)", "--prior", "b=normal(0, 2)"): "--prior b is given twice",
    (FORMULA, "data.csv", "--prior", "sd[Subject,Days]=normal(0, 1)", "--prior", "sd[Subject, Days]=normal(0, 1)"): "given two priors",
    # options
    (FORMULA, "data.csv", "--draws", "-1"): "draws is a whole number of at least 1, not -1",
    (FORMULA, "data.csv", "--draws", "many"): "'many' is not a valid integer",
    (FORMULA, "data.csv", "--chains", "0"): "chains is a whole number of at least 1",
    (FORMULA, "data.csv", "--seed", "-1"): "seed is a whole number of at least 0",
    (FORMULA, "data.csv", "--target-accept", "1.5"): "target_accept lies between 0 and 1",
    (FORMULA, "data.csv", "--conf-level", "95"): "95.0 is not in the range 0<x<1",
    (FORMULA, "data.csv", "--sampler", "nutpi"): "no sampler 'nutpi'. Did you mean 'nutpie'",
    (FORMULA, "data.csv", "--format", "xml"): "'xml' is not one of",
    (FORMULA, "data.csv", "--missing", "keep"): "'keep' is not one of",
    (FORMULA, "data.csv", "--output", "nowhere/fit.nc"): "There is no folder nowhere to save fit.nc in",
    (FORMULA, "data.csv", "--output", "."): "is a directory",
    (FORMULA, "data.csv", "--output", "data.csv"): r"data\.csv is the data: save the fit under another name",
    (FORMULA, "data.csv", "--output", "data.csv", "--overwrite"): r"data\.csv is the data: save the fit under another name",
    (FORMULA, "data.csv", "--output", "./link.csv", "--overwrite"): r"link\.csv is the data",
    (FORMULA, "data.csv", "--output", "hard.csv", "--overwrite"): r"hard\.csv is the data",
    (FORMULA, "data.csv", "--output", "data.tsv"): r"data\.tsv is there and holds something else than a fit: .*--overwrite",
    (FORMULA, "data.csv", "--output", "folder.csv/x/fit.nc"): r"There is no folder folder\.csv/x",
    (FORMULA, "data.csv", "--output", "/dev/full"): "/dev/full cannot be written: it is no file of a disk",
    (FORMULA, "data.csv", "--overwrite"): "--overwrite goes with --output",
    (FORMULA, "data.csv", "--draws", "1000000000"): r"4 chains of draws=1,000,000,000 would take 29\.8 GiB for each parameter",
    (FORMULA, "data.csv", "--chains", "1000000000"): "chains is at most 10,000",
    (FORMULA, "data.csv", "--wat"): "No such option '--wat'",
    (FORMULA,): "Missing argument 'DATA'",
    (): "Missing argument 'FORMULA'",
}  # fmt: skip


@pytest.mark.parametrize("arguments", ERRORS, ids=lambda arguments: " ".join(arguments)[-40:])
def test_an_error_is_one_line_on_stderr_and_status_2(run, files, arguments):
    result = run("fit", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("mixedbayes: ")
    assert pd.Series([line]).str.contains(ERRORS[arguments]).all(), line
    assert not (files / "made").exists()


def test_a_fault_of_ours_is_one_line_too(run, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("of the\nsampler")

    monkeypatch.setattr(command, "fit", broken)
    result = run("fit", FORMULA, "sleepstudy")
    assert result.exit_code == 1
    assert result.stderr == "mixedbayes: stopped by a fault of its own, RuntimeError: of the sampler\n"


def test_an_interrupt_says_so(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "fit", interrupted)
    result = run("fit", FORMULA, "sleepstudy")
    assert (result.exit_code, result.stderr.strip()) == (130, "Interrupted.")


def test_an_unknown_command_is_an_error(run):
    result = run("fits", FORMULA, "sleepstudy")
    assert result.exit_code == 2
    assert result.stderr.startswith("mixedbayes: No such command 'fits'")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("fit", "--help"), ("datasets", "-h")])
def test_help_is_no_error(run, arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")


def test_without_a_command_the_help_is_shown(run):
    result = run()
    assert result.exit_code == 2
    assert "fit " in result.output
    assert "datasets " in result.output


def test_the_version_is_the_package_s(run):
    assert run("--version").stdout == f"mixedbayes, version {mb.__version__}\n"


def test_datasets_lists_every_data_set(run):
    lines = run("datasets").stdout.splitlines()
    names = mb.list_datasets()["name"].tolist()
    assert [line.split()[0] for line in lines] == names
    assert next(line for line in lines if line.startswith("sleepstudy")).split()[1:3] == ["180", "rows"]


def script():
    """The command as pip installed it."""
    found = shutil.which("mixedbayes", path=sysconfig.get_path("scripts")) or shutil.which("mixedbayes")
    if found is None:
        pytest.skip("mixedbayes is not installed as a command")
    return found


def test_the_installed_command_refuses_a_malicious_formula_without_a_traceback(tmp_path):
    formula = f'Reaction ~ __import__("os").system("touch {tmp_path / "made"}")'
    done = subprocess.run(
        [script(), "fit", formula, "sleepstudy"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("mixedbayes: '__import__' is not available in a formula")
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_the_installed_command_fits_and_saves(tmp_path):
    path = Path(tmp_path / "fit.nc")
    options = [
        "--chains",
        "2",
        "--draws",
        "100",
        "--tune",
        "200",
        "--seed",
        "1",
        "--output",
        str(path),
        "--format",
        "json",
    ]
    done = subprocess.run(
        [script(), "fit", "Reaction ~ Days + (1 | Subject)", "sleepstudy", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "fewer than 400 effective draws" in done.stderr  # said beside the data, for 200 draws are few
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())
    tidy = pd.DataFrame(json.loads(done.stdout))
    assert_equal(tidy, mb.load(path).tidy())
    days = tidy.set_index("term").loc["Days"]  # lme4 finds 10.467
    assert_near(days["estimate"], 10.467, days["std_error"] / np.sqrt(days["ess_bulk"]))


def test_formulas_of_other_parameters_are_given_by_name(run):
    formulas = ("--formula", "sigma=~ Days + (1 | Subject)", "--formula", " nu = ~ Days ")
    result = run("fit", FORMULA, "data.csv", "--family", "student_t", *formulas)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Population-level effects of sigma:" in result.stdout
    assert "Population-level effects of nu:" in result.stdout


@pytest.mark.parametrize(
    ("formulas", "message"),
    [
        (["sigma"], "--formula 'sigma' is not that of a parameter: write --formula 'sigma=~ x'"),
        (["sigma=Days"], "--formula 'sigma=Days' is not that of a parameter"),
        (["y ~ x = 3"], "is not that of a parameter"),
        (["sigmo=~ Days"], "no family has a parameter 'sigmo'. Did you mean 'sigma'?"),
        (["draws=~ Days"], "no family has a parameter 'draws'"),
        (["sigma=~ Days", "sigma=~ 1"], "--formula sigma is given twice"),
        (["nu=~ Days"], "The gaussian family has no parameter 'nu'"),
        (["sigma=~ (Days"], "This bracket is never closed"),
    ],
)
def test_formulas_of_other_parameters_that_are_none_are_one_line(run, formulas, message):
    result = run("fit", FORMULA, "data.csv", *(part for each in formulas for part in ("--formula", each)))
    assert result.exit_code == 2
    assert message in result.stderr
