"""Posteriors of data drawn from the priors are right on average: ranks of the truth are uniform."""

import numpy as np
import pytest
from calibration import CASES, DRAWS, p_values, ranks
from monte_carlo import assert_likely
from scipy import stats

DATASETS = 300


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_ranks_of_the_truth_are_uniform(name, seed):
    p = {
        f"{statistic} of the ranks of {quantity}": value
        for quantity, each in ranks(CASES[name], DATASETS, seed=20 + seed).items()
        for statistic, value in p_values(each).items()
    }
    assert_likely(list(p.values()), list(p))


def drawn(shift=0.0, scale=1.0, datasets=DATASETS):
    """Ranks of a standard normal truth among draws of another normal distribution."""
    rng = np.random.default_rng(1)
    place = stats.norm.cdf((rng.normal(size=datasets) - shift) / scale)
    return rng.binomial(DRAWS, place)


def test_uniform_ranks_pass():
    assert_likely(list(p_values(drawn()).values()))


@pytest.mark.parametrize(
    ("wrong", "statistic"),
    [({"shift": 0.4}, "mean"), ({"scale": 0.7}, "variance"), ({"scale": 1.4}, "variance")],
)
def test_ranks_of_a_wrong_sampler_fail(wrong, statistic):
    p = p_values(drawn(**wrong))
    assert min(p, key=p.get) == statistic
    with pytest.raises(AssertionError, match="p = "):
        assert_likely(list(p.values()))
