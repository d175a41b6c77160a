"""The data sets are what their sources say, and have the types that R gives them."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mixedbayes.datasets import list_datasets, load_dataset
from mixedbayes.errors import DataError

FOLDER = Path(__file__).parent.parent / "datasets"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def numbered(last, without=()):
    return [str(level) for level in range(1, last + 1) if level not in without]


# Name, rows as published, and each column: "int", "float", all of a factor's levels in order, or
# (number of levels, first, last). Levels as of R's `factor(read.csv(...))`, counts as in the R help pages.
CASES = {
    "cake": (
        270,
        {
            "replicate": numbered(15),
            "recipe": ["A", "B", "C"],
            "temperature": ["175", "185", "195", "205", "215", "225"],
            "angle": "int",
            "temp": "int",
        },
    ),
    "cbpp": (56, {"herd": numbered(15), "incidence": "int", "size": "int", "period": numbered(4)}),
    "contraception": (
        1934,
        {
            "woman": numbered(1934),
            "district": numbered(61, without=[54]),
            "use": ["N", "Y"],
            "livch": ["0", "1", "2", "3+"],
            "age": "float",
            "urban": ["N", "Y"],
        },
    ),
    "dyestuff": (30, {"Batch": list("ABCDEF"), "Yield": "int"}),
    "eight_schools": (8, {"school": list("ABCDEFGH"), "effect": "int", "se": "int"}),
    "epilepsy": (
        236,
        {
            "Age": "int",
            "Base": "int",
            "Trt": ["0", "1"],
            "patient": numbered(59),
            "visit": numbered(4),
            "count": "int",
            "obs": numbered(236),
            "zAge": "float",
            "zBase": "float",
        },
    ),
    "grouseticks": (
        403,
        {
            "INDEX": numbered(403),
            "TICKS": "int",
            "BROOD": (118, "501", "743"),
            "HEIGHT": "int",
            "YEAR": ["95", "96", "97"],
            "LOCATION": numbered(63),
            "cHEIGHT": "float",
        },
    ),
    "insteval": (
        73421,
        {
            "s": numbered(2972),
            "d": (1128, "1", "2160"),
            "studage": ["2", "4", "6", "8"],
            "lectage": numbered(6),
            "service": ["0", "1"],
            "dept": numbered(15, without=[13]),
            "y": "int",
        },
    ),
    "machines": (54, {"Worker": numbered(6), "Machine": ["A", "B", "C"], "score": "float"}),
    "oats": (
        72,
        {
            "Block": ["I", "II", "III", "IV", "V", "VI"],
            "Variety": ["Golden Rain", "Marvellous", "Victory"],
            "nitro": "float",
            "yield": "int",
        },
    ),
    "orthodont": (
        108,
        {"distance": "float", "age": "int", "Subject": (27, "F01", "M16"), "Sex": ["Female", "Male"]},
    ),
    "pastes": (
        60,
        {
            "strength": "float",
            "batch": list("ABCDEFGHIJ"),
            "cask": ["a", "b", "c"],
            "sample": [f"{batch}:{cask}" for batch in "ABCDEFGHIJ" for cask in "abc"],
        },
    ),
    "penicillin": (
        144,
        {"diameter": "int", "plate": list("abcdefghijklmnopqrstuvwx"), "sample": list("ABCDEF")},
    ),
    "radon": (919, {"county": numbered(85), "floor": "int", "log_radon": "float", "log_uranium": "float"}),
    "rats": (150, {"rat": numbered(30), "day": "int", "weight": "int"}),
    "seeds": (
        21,
        {"plate": numbered(21), "germinated": "int", "total": "int", "seed": "int", "extract": "int"},
    ),
    "sleepstudy": (180, {"Reaction": "float", "Days": "int", "Subject": (18, "308", "372")}),
    "verbagg": (
        7584,
        {
            "Anger": "int",
            "Gender": ["F", "M"],
            "item": (24, "S1DoCurse", "S4WantShout"),
            "resp": ["no", "perhaps", "yes"],
            "id": numbered(316),
            "btype": ["curse", "scold", "shout"],
            "situ": ["other", "self"],
            "mode": ["do", "want"],
            "r2": ["N", "Y"],
        },
    ),
}

# What is made a factor before lme4 parses the formulas of tests/reference/grammar_lme4.json.
LME4_FACTORS = {
    "sleepstudy": ["Subject"],
    "pastes": ["batch", "cask", "sample"],
    "penicillin": ["plate", "sample"],
    "cake": ["recipe", "replicate", "temperature"],
    "machines": ["Machine", "Worker"],
    "oats": ["Block", "Variety"],
    "verbagg": ["Gender", "btype", "id", "item", "mode", "r2", "situ"],
    "cbpp": ["herd", "period"],
    "orthodont": ["Sex", "Subject"],
    "insteval": ["d", "dept", "lectage", "s", "service", "studage"],
}

# Sums that R gives for the data sets of its packages (lme4 1.1-31, nlme 3.1-162).
R_SUMS = [
    ("cake", "angle", 8673),
    ("cbpp", "incidence", 99),
    ("dyestuff", "Yield", 45825),
    ("grouseticks", "TICKS", 2567),
    ("insteval", "y", 235369),
    ("machines", "score", 3221.1),
    ("oats", "yield", 7486),
    ("orthodont", "distance", 2594.5),
    ("pastes", "strength", 3603.2),
    ("penicillin", "diameter", 3308),
    ("sleepstudy", "Reaction", 53731.4205),
    ("verbagg", "Anger", 151704),
]


def kind(column, expected):
    """The column in the words of CASES, with as much of its levels as `expected` has."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        assert not column.cat.ordered
        levels = list(column.cat.categories)
        return (len(levels), levels[0], levels[-1]) if isinstance(expected, tuple) else levels
    return {"i": "int", "f": "float"}.get(column.dtype.kind, column.dtype)


@pytest.mark.parametrize("name", CASES)
def test_rows_columns_types_and_levels_are_as_published(name):
    rows, columns = CASES[name]
    frame = load_dataset(name)
    assert list(frame.columns) == list(columns)
    assert {column: kind(frame[column], expected) for column, expected in columns.items()} == columns
    assert len(frame) == rows
    assert not frame.isna().any(axis=None)


@pytest.mark.parametrize(("name", "column", "total"), R_SUMS)
def test_sums_equal_those_of_the_r_package(name, column, total):
    assert load_dataset(name)[column].sum() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("name", LME4_FACTORS)
def test_factors_of_the_lme4_oracle_are_categories_of_text(name):
    frame = load_dataset(name)
    for column in LME4_FACTORS[name]:
        assert isinstance(frame[column].dtype, pd.CategoricalDtype), column
        assert all(isinstance(level, str) for level in frame[column].cat.categories), column


def test_the_list_has_one_row_a_data_set():
    found = list_datasets()
    assert list(found.columns) == ["name", "rows", "columns", "about"]
    assert dict(zip(found["name"], found["rows"], strict=True)) == {
        name: rows for name, (rows, _) in CASES.items()
    }
    assert list(found["columns"]) == [", ".join(CASES[name][1]) for name in found["name"]]
    assert found["about"].str.len().between(20, 90).all()


def test_every_file_is_listed_and_every_listed_one_is_a_file():
    files = {path.name.split(".")[0] for path in FOLDER.glob("*.csv*")}
    assert files == set(list_datasets()["name"])


def test_a_changed_frame_changes_no_later_one():
    first = load_dataset("sleepstudy")
    first.loc[0, "Reaction"] = -1.0
    first["Subject"] = first["Subject"].cat.rename_categories({"308": "changed"})
    second = load_dataset("sleepstudy")
    assert second.loc[0, "Reaction"] == 249.56
    assert second.loc[0, "Subject"] == "308"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "sleepstdy",
            r"^No data set 'sleepstdy'\. Did you mean 'sleepstudy'\? There are: cake, .*, verbagg\.$",
        ),
        ("Penicillin", r"^No data set 'Penicillin'\. Did you mean 'penicillin'\?"),
        ("zzz", r"^No data set 'zzz'\. There are: cake, "),
        ("../README", r"^No data set '\.\./README'\. There are: cake, "),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_the_list(name, message):
    with pytest.raises(DataError, match=message):
        load_dataset(name)


@pytest.mark.parametrize("name", CASES)
def test_the_readme_has_the_source_and_a_row_for_each_column(name):
    rows, columns = CASES[name]
    assert f"| `{name}` | {rows:,} |" in README
    section = re.search(rf"^### {name}$(.*?)(?=^### |\Z)", README, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(\w+)` \|", section.group(1), re.MULTILINE) == list(columns)


def test_loading_imports_no_pymc():
    code = (
        "import sys; from mixedbayes.datasets import load_dataset; load_dataset('rats');"
        "print({'pymc', 'pytensor', 'nutpie'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=FOLDER.parent
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")
