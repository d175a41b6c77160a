"""Every case of lme4's own reading of formulas."""

import json
from collections import Counter

import numpy as np
import pytest
from data import REFERENCE, dataset

from mixedbayes.designs.build import build_design

CASES = json.loads((REFERENCE / "grammar_lme4.json").read_text(encoding="utf-8"))


def sums(sums_, squares):
    """Sums of squares and sums of columns as a set; signs of polynomials are free."""
    pairs = zip(np.asarray(squares, float), np.abs(np.asarray(sums_, float)), strict=True)
    return tuple(sorted((round(s2, 4), round(s, 4)) for s2, s in pairs))


def sums_of(X):
    return sums(X.sum(axis=0), (X * X).sum(axis=0))


@pytest.mark.parametrize("case", CASES, ids=[f"{case['dataset']}: {case['formula']}" for case in CASES])
def test_columns_blocks_and_levels_are_those_of_lme4(case):
    design = build_design(case["formula"], dataset(case["dataset"], *case["factors"]))
    assert design.n == case["n"]
    assert sums_of(design.fixed.X) == sums(case["X_sums"], case["X_sumsq"])
    assert len(design.fixed.columns) == len(case["X_columns"])

    ours = Counter()
    for block in design.groups:
        split = block.covariance == "diagonal"  # lme4 makes a block of each column
        for X in np.split(block.X, len(block.columns), axis=1) if split else [block.X]:
            ours[frozenset(block.group.split(":")), len(block.levels), sums_of(X)] += 1
        assert set(block.codes) == set(range(len(block.levels)))
    theirs = Counter(
        (
            frozenset(block["group"].split(":")),
            block["n_levels"],
            sums(block["column_sums"], block["column_sumsq"]),
        )
        for block in case["blocks"]
    )
    assert ours == theirs

    ends = {frozenset(block["group"].split(":")): block for block in case["blocks"]}
    for block in design.groups:
        theirs = ends[frozenset(block.group.split(":"))]
        assert set(str(block.levels[0]).split(":")) == set(theirs["first_level"].split(":"))
        if block.group != "item":  # R's order of letters there was a locale's, which is not ours
            assert set(str(block.levels[-1]).split(":")) == set(theirs["last_level"].split(":"))


def test_all_cases_are_here():
    assert len(CASES) == 38
