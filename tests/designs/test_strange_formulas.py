"""Whatever a formula holds, a design is built or refused in a sentence; nothing else happens."""

import re
import time

import numpy as np
import pandas as pd
import pytest
from formulas import assert_usually, formula
from hypothesis import strategies as st

from mixedbayes.designs.build import build_design
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


def test_a_random_formula_makes_a_design_that_its_text_makes_again():
    assert_usually(lambda text: built(text) is not None, formula, least=0.3, examples=60)


def mutated(text: str, moves: list[tuple[str, float, float]]) -> str:
    """The text after cuts, doublings and insertions at places given as parts of its length, or at the blank after one."""
    for what, start, length in moves:
        i = int(start * len(text))
        if what in GENTLE:
            i = max(text.find(" ", i), text.find("~") + 1)
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

GENTLE = [
    " ",
    "\n",
    "  # a comment\n",
    " x +",
    " 0 +",
    " 1 +",
    " +",
    " -",
    " -1 +",
    " +z -",
    " `my col`:",
    " log(z):",
    " t*",
    " b/",
]
GENTLE += [" poly(x, 2):", " (1 | h) +", " (a | g) +", " offset(u) +"]


def moves(slips):
    """One or two slips, each at a place and of a length in parts of the text's."""
    place = st.floats(0, 1)
    return st.lists(st.tuples(st.sampled_from(slips), place, place), min_size=1, max_size=2)


@pytest.mark.parametrize(("slips", "least"), [(SLIPS, 0.0), (GENTLE, 0.15)], ids=["rough", "gentle"])
def test_a_formula_with_slips_is_built_or_refused(slips, least):
    assert_usually(
        lambda text, slipped: built(mutated(text, slipped)) is not None,
        formula,
        moves(slips),
        least=least,
        examples=100,
    )


BUILT = [
    "y ~ " + "+".join(f"I(x^{i})" for i in range(500)),
    "y ~ (. )^2",
    "y ~ bs(x, knots=x, degree=150)",
    "y ~ I({'a': x})",
    "y ~ (1 | g:h:a:b:t:class)",
]
REFUSED = [
    "y ~ " + ":".join(f"poly(x, {i})" for i in range(1, 15)),
    "y ~ (poly(x, 150):poly(z, 150) | g)",
    "y ~ C(x):C(z):C(u):C(n)",
    "y ~ I(" + "^".join(["x"] * 20) + ")",
    "y ~ I('a' * 1000000000)",
    "y ~ I(c(1) * 1000000000)",
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
]


@pytest.mark.parametrize(
    ("text", "is_built"), [(text, True) for text in BUILT] + [(text, False) for text in REFUSED]
)
def test_a_monstrous_formula_is_soon_built_or_refused(text, is_built):
    start = time.process_time()
    assert (built(text) is not None) == is_built
    assert time.process_time() - start < 5


def test_nothing_is_run(tmp_path):
    target = tmp_path / "touched"
    frames = (
        "y ~ {}",
        "y ~ {{{}}}",
        "y ~ ({} | g)",
        "{} ~ x",
        "y - {} ~ x",
        "n | trials(m + {}) ~ x",
        "y ~ offset({})",
    )
    for frame in frames:  # good code is computed in all these places
        assert built(frame.format("abs(z)" if frame != frames[5] else "abs(m)")) is not None, frame
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
        for frame in (*frames, "y ~ (1 | {})"):
            text = frame.format(code)
            with pytest.raises(MixedBayesError, match=re.compile(r"\w{3}")):
                build_design(text, DATA)
    assert not target.exists()
