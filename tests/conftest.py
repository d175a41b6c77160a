import os
import sys

import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits  # with scikit-learn

# Where tests share the processors, threads of BLAS wait for each other, and small problems take eight times as long:
# of NumPy's, which plugins have imported, and of SciPy's and those of processes that tests start, which read this.
threadpool_limits(1)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

settings.register_profile("mixedbayes", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mixedbayes")

pytest.register_assert_rewrite("monte_carlo")


def pytest_addoption(parser):
    parser.addoption(
        "--seed", type=int, default=0, help="of what is random in tests that sample; any must do"
    )
    parser.addoption("--hunt", type=int, default=12, help="made data sets that test_hunt.py fits")


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "default::monte_carlo.MonteCarloAlert")


@pytest.fixture(autouse=True)
def no_figures_left():
    """Pictures that a test drew are closed: pyplot keeps them, and warns of the twenty-first."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def seed(request):
    """From the command line: `uv run pytest -m slow --seed 7`."""
    return request.config.getoption("--seed")
