"""A few seconds of each fuzzer, from seeds that are always the same; their own files say how to run them longer."""

import fuzz_files
import fuzz_options
import fuzz_tables
import numpy as np
import pytest


@pytest.mark.parametrize("seed", range(0, 600, 100))
def test_columns_of_every_type_in_every_role(seed):
    counts = dict.fromkeys(("taken", "refused", "compared", "encoded"), 0)
    for each in range(seed, seed + 100):
        fuzz_tables.check(np.random.default_rng(each), counts)
    assert counts["taken"] > 5
    assert counts["refused"] > 5


@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_files_changed_at_random(seed):
    counts: dict[str, int] = {}
    for each in range(seed, seed + 20):
        fuzz_files.check(np.random.default_rng(each), counts)
    assert sum(counts.values()) == 20


@pytest.mark.parametrize("seed", range(0, 200, 50))
def test_options_of_every_kind(seed):
    counts: dict[str, int] = {}
    for each in range(seed, seed + 50):
        fuzz_options.check(np.random.default_rng(each), counts)
    assert counts["refused"] > 10
