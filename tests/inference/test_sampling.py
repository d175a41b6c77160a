"""Sampling: the same seed gives the same draws, every sampler the same posterior, Ctrl-C leaves nothing behind."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr
from monte_carlo import assert_near, errors

import mixedbayes as mb
from mixedbayes.inference import options

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def model():
    return mb.model(FORMULA, mb.load_dataset("sleepstudy"))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_the_same_seed_gives_the_same_draws_bit_for_bit(sampler, seed):
    model = mb.model("Reaction ~ Days + (1 | Subject)", mb.load_dataset("sleepstudy"))
    how = {"sampler": sampler, "chains": 2, "draws": 50, "tune": 100, "progress": False}
    one, same, other = (model.fit(seed=each, **how).posterior for each in (seed, seed, seed + 1))
    assert list(one.data_vars) == list(model.spec.dims)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], same[name])
    assert not np.array_equal(one["b"], other["b"])


@pytest.mark.slow
@pytest.mark.parametrize("sampler", list(options.SAMPLERS))
def test_every_sampler_finds_the_posterior(model, sampler, seed):
    package = options.SAMPLERS[sampler].package
    if package and find_spec(package) is None:
        pytest.skip(f"the extra {package} is not installed")
    fit = model.fit(sampler=sampler, seed=seed, progress=False)
    days = fit.posterior["b"].sel(coefficient="Days").to_numpy()
    # brms: tests/reference/brms/sleepstudy.json
    assert_near(days.mean(), 10.4655, np.hypot(errors(days)[0], 0.0175))
    assert set(fit.idata.children) == {"posterior", "sample_stats", "observed_data", "log_likelihood"}
    assert "diverging" in fit.idata["sample_stats"]
    assert fit.idata["observed_data"]["Reaction"].sizes == {"observation": 180}


@pytest.mark.slow
def test_draws_are_named_by_the_data(model, seed):
    posterior = model.fit(method="nuts", seed=seed, chains=1, draws=20, tune=50, progress=False).posterior
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
import numpy as np
import nutpie
import mixedbayes as mb

x, noise = np.random.default_rng(1).normal(size=(2, 20_000))
model = mb.model("y ~ x", {{"x": x, "y": x + noise}})  # a draw takes long, so few are many
has_begun, sample = threading.Event(), nutpie.sample
nutpie.sample = lambda *args, **options: (has_begun.set(), sample(*args, **options))[1]  # nutpie has threads

def interrupt():
    while not has_begun.is_set() and not multiprocessing.active_children():  # PyMC has processes
        time.sleep(0.01)
    time.sleep({wait})
    os.kill(os.getpid(), signal.SIGINT)

for draws, tune in ((200_000, 10), (10, 200_000)):
    has_begun.clear()
    threading.Thread(target=interrupt).start()
    try:
        model.fit(sampler={sampler!r}, draws=draws, tune=tune, chains=2, seed={seed}, progress=False)
        print("finished")
    except KeyboardInterrupt:
        time.sleep(0.5)
        left = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True).stdout.split()
        print("interrupted", len(multiprocessing.active_children()), [name for name in left if name != "ps"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_ctrl_c_while_drawing_or_tuning_leaves_no_process_and_no_part_of_a_fit(sampler, seed):
    code = INTERRUPTED.format(sampler=sampler, wait=2, seed=seed)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.splitlines() == ["interrupted 0 []"] * 2, done.stderr[-2000:]


def test_a_sampler_that_is_not_installed_names_its_extra(model, monkeypatch):
    monkeypatch.setattr(options, "find_spec", lambda _: None)
    with pytest.raises(mb.ArgumentError, match=r"pip install 'mixedbayes\[numpyro\]'"):
        model.fit(sampler="numpyro")
