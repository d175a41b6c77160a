"""Sampling: the same seed gives the same draws, every sampler the same posterior, Ctrl-C leaves nothing behind."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr

import mixedbayes as mb
from mixedbayes.inference import options

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def model():
    return mb.model(FORMULA, mb.load_dataset("sleepstudy"))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_the_same_seed_gives_the_same_draws_bit_for_bit(model, sampler):
    how = {"sampler": sampler, "chains": 2, "draws": 200, "tune": 200, "progress": False}
    one, same, other = (model.fit(seed=seed, **how).posterior for seed in (3, 3, 4))
    assert list(one.data_vars) == list(model.spec.variables)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], same[name])
    assert not np.array_equal(one["b"], other["b"])


@pytest.mark.slow
@pytest.mark.parametrize("sampler", list(options.SAMPLERS))
def test_every_sampler_finds_the_posterior(model, sampler):
    package = options.SAMPLERS[sampler].package
    if package and find_spec(package) is None:
        pytest.skip(f"the extra {package} is not installed")
    fit = model.fit(sampler=sampler, seed=5, progress=False)
    # brms: tests/reference/brms/sleepstudy.json
    row = fit.fixef().loc["Days"]
    error = row["std_error"] / np.sqrt(fit.tidy("fixed").set_index("term").loc["Days", "ess_bulk"])
    assert abs(row["estimate"] - 10.4655) < 4.5 * error + 3 * 0.0175
    assert set(fit.idata.children) == {"posterior", "sample_stats", "observed_data", "log_likelihood"}
    assert "diverging" in fit.idata["sample_stats"]
    assert fit.idata["observed_data"]["Reaction"].sizes == {"observation": 180}


@pytest.mark.slow
def test_draws_are_named_by_the_data(model):
    posterior = model.fit(method="nuts", seed=1, chains=1, draws=20, tune=50, progress=False).posterior
    assert {name: variable.dims[2:] for name, variable in posterior.data_vars.items()} == {
        "b": ("coefficient",),
        "sd_Subject": ("Subject_effect",),
        "cor_Subject": ("Subject_effect", "Subject_effect_other"),
        "r_Subject": ("Subject", "Subject_effect"),
        "sigma": (),
    }
    assert posterior["coefficient"].to_numpy().tolist() == ["Intercept", "Days"]
    assert posterior["Subject"].to_numpy().tolist()[:2] == ["308", "309"]
    ones = xr.ones_like(posterior["cor_Subject"].sel(Subject_effect="Days", Subject_effect_other="Days"))
    np.testing.assert_allclose(
        posterior["cor_Subject"].sel(Subject_effect="Days", Subject_effect_other="Days"), ones
    )


INTERRUPTED = """
import multiprocessing, os, signal, subprocess, threading, time
import mixedbayes as mb
data = mb.load_dataset("sleepstudy")
def fit(draws, tune):
    return mb.fit("Reaction ~ Days + (1 | Subject)", data, sampler={sampler!r}, draws=draws, tune=tune, seed=1, progress=False)
start = time.perf_counter()
fit(5, 5)  # how long compiling takes here
threading.Timer(time.perf_counter() - start + {wait}, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    fit({draws}, {tune})
    print("finished")
except KeyboardInterrupt:
    time.sleep(1)
    left = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True).stdout.split()
    print("interrupted", len(multiprocessing.active_children()), [name for name in left if name != "ps"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
@pytest.mark.parametrize(
    ("draws", "tune"), [(500_000, 100), (100, 500_000)], ids=["while drawing", "while tuning"]
)
def test_ctrl_c_leaves_no_process_and_no_part_of_a_fit(sampler, draws, tune):
    code = INTERRUPTED.format(sampler=sampler, wait=3, draws=draws, tune=tune)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.strip() == "interrupted 0 []", done.stderr[-2000:]


def test_a_sampler_that_is_not_installed_names_its_extra(model, monkeypatch):
    monkeypatch.setattr(options, "find_spec", lambda _: None)
    with pytest.raises(mb.ArgumentError, match=r"pip install 'mixedbayes\[numpyro\]'"):
        model.fit(sampler="numpyro")
