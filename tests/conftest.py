import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("mixedbayes", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mixedbayes")

pytest.register_assert_rewrite("monte_carlo")

# before anything imports NumPy: where tests share the processors, threads of BLAS wait for each other, and
# small problems take eight times as long
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--seed", type=int, default=0, help="another one draws other numbers in all tests that sample"
    )


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "default::monte_carlo.MonteCarloAlert")


@pytest.fixture(scope="session")
def seed(request):
    """From the command line, for whatever is random: `uv run pytest -m slow --seed 7`."""
    return request.config.getoption("--seed")
