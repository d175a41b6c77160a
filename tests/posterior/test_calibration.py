"""Posteriors of data drawn from the priors are right on average: ranks of the truth are uniform."""

import pytest
from calibration import CASES, counts, ranks
from scipy import stats


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_ranks_of_the_truth_are_uniform(name):
    p = {quantity: stats.chisquare(counts(each)).pvalue for quantity, each in ranks(CASES[name]).items()}
    assert min(p.values()) > 0.01, p
