"""The data sets of the repository, as tests read them."""

from functools import cache
from pathlib import Path

import pandas as pd

DATASETS = Path(__file__).parents[1] / "datasets"
REFERENCE = Path(__file__).parent / "reference"


@cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(next(DATASETS.glob(f"{name}.csv*")))


def dataset(name: str, *factors: str) -> pd.DataFrame:
    """A fresh copy of a data set, the columns named as `factors` made categories."""
    data = _read(name).copy()
    for factor in factors:
        data[factor] = data[factor].astype("category")
    return data
