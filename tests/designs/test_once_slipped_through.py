"""Formulas and data that once slipped through: memory, recursion, ids, levels, alignment."""

import threading
import warnings

import numpy as np
import pandas as pd
import pytest

import mixedbayes as mb
from mixedbayes.designs import matrices
from mixedbayes.errors import DataError, FormulaError, MixedBayesError

RNG = np.random.default_rng(3)
N = 30
DATA = pd.DataFrame({"y": RNG.normal(size=N), "x": RNG.normal(size=N), "f": np.resize(["A", "B", "C"], N)})


@pytest.mark.parametrize("formula", ["y ~ I(x{})", "y ~ {{x{}}}", "y ~ x{}(x)"])
def test_a_chain_of_dots_is_refused(formula):
    with pytest.raises(MixedBayesError, match=r"no (column|function)|cannot be read"):
        mb.design(formula.format(".a" * 3000), DATA)


def test_a_list_of_columns_is_refused():
    with pytest.raises(DataError, match="x is a column, where a list takes numbers and texts"):
        mb.design("y ~ C(c(x, x))", DATA)


def test_bases_are_counted_before_they_fill_memory(monkeypatch):
    monkeypatch.setattr(matrices, "MAX_CELLS", 12 * N)
    mb.design("y ~ poly(x, 2) + poly(x, 3)", DATA)
    with pytest.raises(DataError, match=r"poly\(x, \d\) would make \d columns .* too many to hold"):
        mb.design("y ~ poly(x, 4) + poly(x, 5) + poly(x, 6)", DATA)


def test_a_questionnaire_of_a_hundred_items_is_a_sum():
    items = {f"q{i}": RNG.normal(size=N) for i in range(100)}
    formula = f"y ~ I({' + '.join(items)})"
    X = mb.design(formula, pd.concat([DATA, pd.DataFrame(items)], axis=1)).fixed.X
    np.testing.assert_allclose(X[:, 1], sum(items.values()))
    with pytest.raises(FormulaError, match="operators in a row"):
        mb.design(f"y ~ I({' + '.join(['x'] * 500)})", DATA)


def test_threads_leave_the_warnings_of_the_process_alone():
    before = list(warnings.filters)
    read = lambda: [mb.design(f"y ~ I(x + {i})", DATA) for i in range(20)]  # noqa: E731
    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(f) for f in warnings.filters] == [str(f) for f in before]


@pytest.mark.parametrize("make", [lambda v: pd.array(v, dtype="Int64"), lambda v: np.array(v, dtype=object)])
def test_long_ids_beside_a_gap_stay_apart(make):
    ids = make([2**53, 2**53 + 1, None, *([2**53, 2**53 + 1, 5] * 5)])
    data = pd.DataFrame({"y": RNG.normal(size=18), "id": ids})
    design = mb.design("y ~ 1 + (1 | id)", data)
    assert design.groups[0].levels.tolist() == [5, 2**53, 2**53 + 1]
    assert design.rows.missing == {"id": 1}


def test_new_rows_without_a_level_that_a_comparison_names():
    design = mb.design("y ~ I(f == 'A') + x", DATA)
    rows = DATA[DATA["f"] != "A"]
    np.testing.assert_array_equal(design.encode(rows).X, design.fixed.X[rows.index])


def test_the_caller_s_series_is_read_by_place_everywhere():
    z = pd.Series(RNG.normal(size=N), index=RNG.permutation(N))
    plain = mb.design("y ~ z", DATA, env={"z": z}).fixed.X
    inside = mb.design("y ~ I(z + 0 * x)", DATA, env={"z": z}).fixed.X
    np.testing.assert_allclose(plain, inside)
    np.testing.assert_allclose(plain[:, 1], z.to_numpy())


def test_one_level_against_others_takes_no_trials():
    with pytest.raises(DataError, match=r"leave out trials\(\)"):
        mb.design("f['A'] | trials(10) ~ x", DATA)


def test_levels_and_codes_are_read_only():
    block = mb.design("y ~ 1 + (1 | f)", DATA).groups[0]
    assert not block.levels.flags.writeable
    assert not block.codes.flags.writeable


def test_two_groups_of_one_label_are_refused():
    data = DATA.assign(
        **{"g": np.resize([1, 2], N), "h": np.resize([1, 2, 3], N), "g:h": np.resize(list("abcd"), N)}
    )
    with pytest.raises(DataError, match="Two groups would both be named 'g:h'"):
        mb.design("y ~ 1 + (1 | `g:h`) + (1 | g:h)", data)


@pytest.mark.parametrize("formula", [None, 5, ["y ~ x"]])
def test_a_formula_that_is_no_text(formula):
    with pytest.raises(FormulaError, match="A formula is a text"):
        mb.design(formula, DATA)


def test_env_that_is_no_mapping():
    with pytest.raises(mb.ArgumentError, match="env is a mapping"):
        mb.design("y ~ x", DATA, env=3)
    with pytest.raises(mb.ArgumentError, match="Names of env are texts, not 1"):
        mb.design("y ~ nothing", DATA, env={1: 3})
