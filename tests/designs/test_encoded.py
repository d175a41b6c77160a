"""Parts of encoded rows: each field cut alike."""

import numpy as np
import pandas as pd
import pytest

import mixedbayes as mb

DATA = pd.DataFrame(
    {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 2.0], "k": [1, 0, 2, 1, 3, 2], "n": [2, 3, 4, 5, 6, 7], "x": [0.5, 1.0, np.nan, 2.0, 3.0, 4.0], "g": list("aabbab")}
)  # fmt: skip


@pytest.mark.parametrize("formula", ["y ~ x + offset(x) + (x | g)", "k | trials(n) ~ x + (1 | g)"])
@pytest.mark.parametrize("at", [slice(0, 2), slice(2, 5), slice(0, 0), slice(None)])
def test_a_part_of_rows_is_these_rows_of_every_field(formula, at):
    design = mb.design(formula, DATA)
    new = DATA.assign(g=list("abccda"))
    rows = design.encode(new, additions=design.response.additions)
    part = rows.part(at)
    assert len(part) == len(rows.X[at])
    for name in ("X", "offset", "places"):
        np.testing.assert_array_equal(getattr(part, name), getattr(rows, name)[at])
    if rows.trials is None:
        assert part.trials is None
    else:
        np.testing.assert_array_equal(part.trials, rows.trials[at])
    for name, block in rows.groups.items():
        np.testing.assert_array_equal(part.groups[name].X, block.X[at])
        np.testing.assert_array_equal(part.groups[name].codes, block.codes[at])
        assert part.groups[name].unseen == block.unseen
    assert list(part.index) == list(rows.index)
