"""Classic data sets of mixed models, read as R would read them.

>>> from mixedbayes.datasets import load_dataset
>>> load_dataset("sleepstudy").shape
(180, 3)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import pandas as pd

from mixedbayes.arguments import is_one_of
from mixedbayes.errors import DataError, nearest, shown


@dataclass(frozen=True, slots=True)
class Dataset:
    """One file of the folder `datasets`; its README has the sources, licences and units.

    Attributes:
        name: What `load_dataset` takes, and the stem of the file.
        factors: Columns that are labels, whatever they look like; the others are numbers.
        about: One line for people.
        suffix: The rest of the file's name.
    """

    name: str
    factors: tuple[str, ...]
    about: str
    suffix: str = ".csv"


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "cake",
            ("replicate", "recipe", "temperature"),
            "Breakage angle of chocolate cakes by recipe and temperature (split plot)",
        ),
        Dataset("cbpp", ("herd", "period"), "New cases of a lung disease in 15 herds of cattle (binomial)"),
        Dataset(
            "contraception",
            ("woman", "district", "use", "livch", "urban"),
            "Use of contraception by women in 60 districts of Bangladesh (Bernoulli)",
        ),
        Dataset("dyestuff", ("Batch",), "Yield of dyestuff from six batches (one-way)"),
        Dataset(
            "eight_schools",
            ("school",),
            "Effects of coaching in eight schools, with standard errors (meta-analysis)",
        ),
        Dataset(
            "epilepsy",
            ("Trt", "patient", "visit", "obs"),
            "Seizures of 59 patients in a trial of a drug (Poisson)",
        ),
        Dataset(
            "grouseticks",
            ("INDEX", "BROOD", "YEAR", "LOCATION"),
            "Ticks on the heads of red grouse chicks (overdispersed Poisson, nested)",
        ),
        Dataset(
            "insteval",
            ("s", "d", "studage", "lectage", "service", "dept"),
            "Ratings of lecturers by students at ETH Zurich (large, crossed)",
            suffix=".csv.gz",
        ),
        Dataset("machines", ("Worker", "Machine"), "Productivity of six workers on three machines"),
        Dataset("oats", ("Block", "Variety"), "Yield of oats by variety and nitrogen (split plot)"),
        Dataset("orthodont", ("Subject", "Sex"), "Growth of the jaws of 27 children from 8 to 14 years"),
        Dataset("pastes", ("batch", "cask", "sample"), "Strength of paste by cask within batch (nested)"),
        Dataset("penicillin", ("plate", "sample"), "Growth inhibition by penicillin on plates (crossed)"),
        Dataset("radon", ("county",), "Radon in 919 houses of Minnesota, with uranium of the county"),
        Dataset("rats", ("rat",), "Weight of 30 young rats in five weeks (growth curves)"),
        Dataset("seeds", ("plate",), "Germination of seeds on 21 plates, two by two (binomial)"),
        Dataset("sleepstudy", ("Subject",), "Reaction time of 18 people over days of short sleep"),
        Dataset(
            "verbagg",
            ("Gender", "item", "resp", "id", "btype", "situ", "mode", "r2"),
            "Verbal aggression: answers of 316 people to 24 items (crossed, Bernoulli or ordinal)",
        ),
    )
}


def load_dataset(name: str) -> pd.DataFrame:
    """A data set by its name, a new frame at each call.

    Labels (identifiers, factors) are unordered categories of text: in numeric order when all are numbers,
    else in alphabetical order whatever their case, as R's `factor` sorts them. The rest is numbers.

    Args:
        name: One of the names in `list_datasets()`.

    Raises:
        DataError: There is no such data set.
    """
    if not is_one_of(name, DATASETS):
        raise DataError(
            f"No data set {shown(name)}.{nearest(shown(name), DATASETS)} There are: {', '.join(DATASETS)}."
        )
    return _read(DATASETS[name])


def list_datasets() -> pd.DataFrame:
    """The data sets there are: name, rows, columns (names with commas between) and what it is about."""
    frames = {name: _read(dataset) for name, dataset in DATASETS.items()}
    return pd.DataFrame(
        {
            "name": list(frames),
            "rows": [len(frame) for frame in frames.values()],
            "columns": [", ".join(frame.columns) for frame in frames.values()],
            "about": [dataset.about for dataset in DATASETS.values()],
        }
    )


def _read(dataset: Dataset) -> pd.DataFrame:
    compression = "gzip" if dataset.suffix.endswith(".gz") else None
    with (_folder() / (dataset.name + dataset.suffix)).open("rb") as file:
        frame = pd.read_csv(file, dtype=dict.fromkeys(dataset.factors, "str"), compression=compression)
    return frame.assign(**{column: _factor(frame[column]) for column in dataset.factors})


def _folder() -> Traversable:
    """Where the files are: inside the installed package, or beside it in a checkout."""
    package = files("mixedbayes")
    installed, checkout = package / "_datasets", package / ".." / "datasets"
    return installed if installed.is_dir() else checkout


def _factor(labels: "pd.Series[str]") -> pd.Categorical:
    return pd.Categorical(labels, categories=_in_order(labels.unique()))


def _in_order(levels: Iterable[str]) -> list[str]:
    """Numbers by size; other labels by letters, capitals only breaking ties (the order of English locales)."""
    found = list(levels)
    if all(level.isdigit() for level in found):
        return sorted(found, key=int)
    return sorted(found, key=lambda level: (level.casefold(), level))
