import os

# Where tests share the processors, threads of BLAS wait for each other, and small problems take eight times as long.
# It is read when NumPy is imported, which nothing may do before.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile("mixedbayes", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mixedbayes")

pytest.register_assert_rewrite("monte_carlo")


def pytest_addoption(parser):
    parser.addoption(
        "--seed", type=int, default=0, help="of what is random in tests that sample; any must do"
    )


def pytest_configure(config):
    # here, for in pyproject.toml they would import the package, and NumPy, before this file
    for category in ("ignore::mixedbayes.errors.ConvergenceWarning", "default::monte_carlo.MonteCarloAlert"):
        config.addinivalue_line("filterwarnings", category)  # tests fit with few draws; alerts are printed


@pytest.fixture(scope="session")
def seed(request):
    """From the command line: `uv run pytest -m slow --seed 7`."""
    return request.config.getoption("--seed")
