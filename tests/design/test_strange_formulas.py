"""Whatever a formula holds, a design is built or refused in a sentence; nothing else happens."""

import re

import numpy as np
import pandas as pd
import pytest
from formulas import formula
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedbayes.design.design import build_design
from mixedbayes.errors import MixedBayesError

N = 24
RNG = np.random.default_rng(9)
DATA = pd.DataFrame(
    {
        **{name: RNG.normal(size=N) for name in ("y", "x", "my col", "Sepal.Length")},
        "z": RNG.uniform(1, 5, N),
        "u": RNG.uniform(1, 5, N),
        "a": ["A", "B", "C"] * 8,
        "b": ["u", "v"] * 12,
        "class": ["p", "q", "q", "p"] * 6,
        "t": RNG.random(N) < 0.5,
        "n": RNG.integers(0, 4, N),
        "m": RNG.integers(4, 9, N),
        "g": np.repeat(range(6), 4),
        "h": list("pqrs") * 6,
        "my group": ["one", "two", "three"] * 8,
    }
)


def built(text):
    """The design, if there is one, after what must hold of any."""
    try:
        design = build_design(text, DATA)
    except MixedBayesError:
        return None
    assert design.fixed.X.shape == (N, len(design.fixed.columns))
    assert np.isfinite(design.fixed.X).all()
    again = build_design(str(design.formula), DATA)
    assert str(again) == str(design)
    np.testing.assert_array_equal(again.fixed.X, design.fixed.X)
    encoded = design.encode(DATA)
    np.testing.assert_array_equal(encoded.X, design.fixed.X)
    for block, (X, codes, _) in zip(design.groups, encoded.groups.values(), strict=True):
        np.testing.assert_array_equal(X, block.X)
        np.testing.assert_array_equal(codes, block.codes)
        assert block.X.shape == (N, len(block.columns))
        assert len(set(block.columns)) == len(block.columns)
    return design


@settings(max_examples=60)
@given(formula)
def test_a_random_formula_makes_a_design_that_its_text_makes_again(text):
    built(text)


def mutated(text: str, moves: list[tuple[str, float, float]]) -> str:
    """The text after cuts, doublings and insertions at places given as parts of its length."""
    for what, start, length in moves:
        i = int(start * len(text))
        piece = text[i : i + 1 + int(length * 6)]
        text = (
            text[:i]
            + {"cut": "", "double": piece * 2}.get(what, what)
            + text[i + len(piece) * (what == "cut") :]
        )
    return text


SLIPS = [
    "cut",
    "double",
    *"+-*:/^()|~`'01.#,=[]{}>&é\\",
    "||",
    "%in%",
    " a",
    " x ",
    "log(",
    "C(",
    "poly(",
    "^2",
]
SLIPS += [
    " in ",
    "None",
    "TRUE",
    "I(",
    "bs(z, df=5)",
    "contr.sum",
    "(1 | g)",
    "9^9^9",
    "np.",
    "scale(",
    "offset(",
]

move = st.tuples(st.sampled_from(SLIPS), st.floats(0, 1), st.floats(0, 1))


@settings(max_examples=150)
@given(formula, st.lists(move, min_size=1, max_size=3))
def test_a_formula_with_slips_is_built_or_refused(text, moves):
    built(mutated(text, moves))


@pytest.mark.parametrize(
    "text",
    [
        "y ~ " + "+".join(f"I(x^{i})" for i in range(500)),
        "y ~ " + ":".join(f"poly(x, {i})" for i in range(1, 15)),
        "y ~ (. )^2",
        "y ~ (poly(x, 150):poly(z, 150) | g)",
        "y ~ C(x):C(z):C(u):C(n)",
        "y ~ I(" + "^".join(["x"] * 20) + ")",
        "y ~ I('a' * 1000000000)",
        "y ~ I(c(1) * 1000000000)",
        "y ~ bs(x, knots=x, degree=150)",
        "y ~ poly(poly(poly(x, 100), 100), 100)",
        "y ~ C(a, [[1, 0], [0, 1]])",
        "y ~ C(a, x)",
        "y ~ C(a, levels=x)",
        "y ~ C(a, {})",
        "y ~ C(a, contr.treatment(x))",
        "y ~ C(a, contr.poly(scores=c(1, 1, 1)))",
        "y ~ C(poly(x, 2))",
        "y ~ I(C(a)) + log(C(a))",
        "y ~ scale(x, center=z, scale='a')",
        "y ~ contr.sum(a)",
        "y ~ I(a == b) + I(a == x) + I('a' == 'b')",
        "y ~ I({'a': x})",
        "y ~ (1 | g:h:a:b:t:class)",
    ],
)
def test_a_monstrous_formula_is_soon_built_or_refused(text):
    built(text)


def test_nothing_is_run(tmp_path):
    target = tmp_path / "touched"
    for code in (
        f'__import__("os").system("touch {target}")',
        f'open("{target}", "w")',
        f'np.savetxt("{target}", x)',
        f'x.to_csv("{target}")',
        f"eval(\"open('{target}', 'w')\")",
        f'(lambda: open("{target}", "w"))()',
        f'[open("{target}", "w") for i in x]',
        f"f\"{{open('{target}', 'w')}}\"",
        f'C(x, open("{target}", "w"))',
        f'I(x.__class__.__base__.__subclasses__()[0]("{target}"))',
    ):
        for text in (
            f"y ~ {code}",
            f"y ~ {{{code}}}",
            f"y ~ ({code} | g)",
            f"{code} ~ x",
            f"y | trials({code}) ~ x",
            f"y ~ offset({code})",
            f"y ~ (1 | {code})",
        ):
            with pytest.raises(MixedBayesError, match=re.compile(r"\w{3}")):
                build_design(text, DATA)
    assert not target.exists()
