"""Fits in pickles, which carry them between processes; files are netCDF."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import synthetic_fit

from mixedbayes.errors import FamilyError
from mixedbayes.models.distributions import POSITIVE, REAL
from mixedbayes.models.families import FAMILIES, Family, FamilyParameter
from mixedbayes.models.links import LINKS, Link
from mixedbayes.models.priors import Prior

RNG = np.random.default_rng(5)
N = 36
DATA = pd.DataFrame(
    {
        "y": RNG.normal(5.0, 2.0, N),
        "x": RNG.normal(2.0, 1.0, N),
        "w": RNG.uniform(1.0, 3.0, N),
        "f": np.resize(["a", "b", "c"], N),
        "school": np.resize(["s1", "s2", "s3", "s4"], N),
        "won": np.resize(["no", "yes", "yes", "no", "yes"], N),
    }
)
CASES = [
    ("y ~ poly(x, 2) * f + bs(w, df=4) + (1 + x | school/f)", "gaussian"),
    ("won ~ scale(x) + (0 + f | school)", "bernoulli"),
]


def default_sigma(y):
    return Prior("exponential", (2.0 / y.sd,))


def log_density(y, p):
    return -((y - p["mu"]) ** 2) / p["sigma"]


def mean(p):
    return p["mu"]


def draw(rng, p):
    return rng.normal(p["mu"], p["sigma"], p.shape)


def square(_, eta):
    return eta * eta


OWN = Family(
    "own",
    "real",
    (
        FamilyParameter("mu", REAL, ("identity",)),
        FamilyParameter("sigma", POSITIVE, ("log",), default_sigma),
    ),
    log_density=log_density,
    mean=mean,
    draw=draw,
)
OWN_LINK = Link("own", np.sqrt, square, POSITIVE)


@pytest.mark.parametrize("transfer", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])  # noqa: S301  # our own
@pytest.mark.parametrize("record", [*FAMILIES.values(), *LINKS.values()], ids=lambda record: record.name)
def test_families_and_links_of_ours_stay_the_same_object(record, transfer):
    assert transfer(record) is record


@pytest.mark.parametrize("record", [OWN, OWN_LINK], ids=["family", "link"])
def test_families_and_links_of_users_are_pickled_by_value(record):
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301  # our own


def test_a_registered_family_is_sought_where_it_is_unpickled(monkeypatch):
    monkeypatch.setitem(FAMILIES, "own", OWN)
    pickled = pickle.dumps(OWN)
    assert pickle.loads(pickled) is OWN  # noqa: S301  # our own
    monkeypatch.delitem(FAMILIES, "own")
    with pytest.raises(FamilyError, match="There is no family 'own'"):
        pickle.loads(pickled)  # noqa: S301  # our own


@pytest.mark.parametrize(("formula", "family"), CASES)
def test_a_pickled_fit_has_the_same_tables_and_predictions(formula, family):
    fit = synthetic_fit(formula, DATA, family)
    _ = fit.report, fit.idata["log_likelihood"].to_dataset().load()  # what is computed once is carried along
    again = pickle.loads(pickle.dumps(fit))  # noqa: S301  # our own
    assert str(again) == str(fit)
    pd.testing.assert_frame_equal(again.tidy(), fit.tidy())
    new = DATA.assign(x=DATA["x"] + 0.1, school="new").query("1.5 < x < 2.5")
    pd.testing.assert_frame_equal(again.predict(new, seed=3), fit.predict(new, seed=3))
    name = fit.spec.response
    np.testing.assert_array_equal(again.idata["log_likelihood"][name], fit.idata["log_likelihood"][name])


CODE = """
import pickle, sys
fit, new = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps([fit.predict(new, seed=3), fit.tidy()]))
"""


@pytest.mark.parametrize(("formula", "family"), CASES[:1])
def test_a_fit_works_in_another_process(formula, family):
    """Where texts have other hashes, and formulaic's terms keep theirs."""
    fit, new = synthetic_fit(formula, DATA, family), DATA.iloc[::-1]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        input=pickle.dumps((fit, new)),
        env={**os.environ, "PYTHONHASHSEED": "4", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        check=True,
    )
    predicted, tidy = pickle.loads(done.stdout)  # noqa: S301  # our own
    pd.testing.assert_frame_equal(predicted, fit.predict(new, seed=3))
    pd.testing.assert_frame_equal(tidy, fit.tidy())
