"""A formula can come from a stranger: whatever it holds, it is read, or refused at once in a sentence."""

import time

import pytest
from formulas import assert_usually
from hypothesis import strategies as st

from mixedbayes.errors import MixedBayesError
from mixedbayes.language.change import updated
from mixedbayes.language.parse import parse

READ = {
    "a long sum",
    "a long product",
    "a huge exponent",
    "signs",
    "a long name",
    "spaces",
    "full-width brackets",
    "a byte order mark",
    "no width",
    "a response's comments",
}
"""Of the monstrous formulas those that are good; the others are refused."""

V = [f"v{i}" for i in range(26)]
N = 20_000


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name)
        for name, text in {
            "a long sum": "y ~ " + "+".join(["x"] * (N // 4)),
            "many terms": "y ~ " + "+".join(f"c{i}" for i in range(7_000)),
            "a long product": "y ~ " + ":".join(["x"] * (N // 4)),
            "a product of many": "y ~ " + ":".join(f"c{i}" for i in range(7_000)),
            "a star of many": "y ~ " + "*".join(V),
            "deep nesting": "y ~ " + "/".join(f"c{i}" for i in range(7_000)),
            "a power tower": "y ~ x" + "^2" * (N // 4),
            "a power of many": f"y ~ ({'+'.join(V)})^30",
            "a power of everything": "y ~ .^30",
            "a huge exponent": "y ~ (x + z)^" + "9" * N,
            "brackets": "y ~ " + "(" * (N // 2) + "x" + ")" * (N // 2 - 9),
            "opened brackets": "y ~ " + "(" * N,
            "closed brackets": "y ~ x" + ")" * N,
            "minus in brackets": "y ~ " + "-(" * (N // 3) + "x" + ")" * (N // 3),
            "signs": "y ~ " + "+-" * (N // 2) + "x",
            "tildes": "~" * N,
            "bars": "y ~ " + "|" * N,
            "bars in brackets": "y ~ " + "(1|" * (N // 4) + "g" + ")" * (N // 4),
            "many bar terms": "y ~ " + "+".join(f"(0+x:c{i}|g)" for i in range(2_100)),
            "many groups": f"y ~ (1 | {'*'.join(V)})",
            "calls": "y ~ " + "log(" * (N // 6) + "x" + ")" * (N // 6),
            "an expression's sum": "y ~ I(" + "+".join(["x"] * (N // 2 - 9)) + ")",
            "an expression's signs": "y ~ I(" + "-" * N + "x)",
            "an expression's tower": "y ~ I(" + "^".join(["9"] * (N // 2 - 9)) + ")",
            "digits": "y ~ I(" + "9" * N + "*x)",
            "hexadecimal digits": "y ~ I(0x" + "f" * N + "*x)",
            "lists": "y ~ I(" + "[" * (N // 2) + "]" * (N // 2) + ")",
            "backticks": "y ~ " + "`" * N,
            "quotes": "y ~ " + "'" * N,
            "per cents": "y ~ " + "%" * N,
            "braces": "y ~ " + "{" * (N // 2) + "x" + "}" * (N // 2 - 9),
            "dots": "y ~ " + "." * N,
            "a long name": "y ~ " + "a" * N,
            "spaces": "y ~ " + " " * N + "x",
            "a megabyte": "y ~ " + "x" * 1_000_000,
            "a response's brackets": "I(" * 100 + "y" + ")" * 100 + " ~ x",
            "a response's bars in brackets": "(y" + "|" * N * 4 + ") ~ x",
            "a response's quotes": "y" + "'" * N * 4 + " ~ x",
            "a response's comments": "#" * N * 4 + "\ny ~ x",
            "a response's bars": "y" + "|" * N + "~ x",
            "many lines": "y ~ x" + "".join(f"\np{i} ~ x" for i in range(N // 4)),
            "semicolons": "y ~ x" + ";" * N,
            "many labels": "y ~ " + "+".join(f"(0+x:c{i}|p|g)" for i in range(2_100)),
            "labels in labels": "y ~ (1" + "|p" * N + "|g)",
            "many additions": "y | " + "+".join(f"weights(w{i})" for i in range(140)) + " ~ x",
            "an addition's sum": "y | weights(" + "+".join(["w"] * (N // 2)) + ") ~ x",
            "additions in brackets": "y | " + "(" * 200 + "weights(w)" + ")" * 200 + " ~ x",
            "null": "y ~ x\0",
            "a surrogate": "y ~ \ud800",
            "right to left": "y ~ \u202ex",
            "a byte order mark": "\ufeffy ~ x",
            "an emoji": "y ~ 😀",
            "no width": "y ~ x\u200b",
            "full-width brackets": "y ~ （x）",
        }.items()
    ],
)
def test_a_monstrous_formula_is_soon_read_or_refused(text, request):
    start = time.process_time()
    assert reads(text, V) == (request.node.callspec.id in READ)
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    "change",
    ["~ " + ". + " * N + "x", "~ " + "(. | g) + " * (N // 4) + "x", "~ (.)" + "^2" * N, "." * N + "~ .", "~ (" + ". + " * N + "1 | g)",
     "log(" * N + ".", "~ .; sigma ~ " + ".:" * N + "."],
)  # fmt: skip
def test_a_monstrous_change_is_soon_made_or_refused(change):
    start = time.process_time()
    try:
        changed = updated(parse("y ~ 0 + x + z"), change)
    except MixedBayesError:
        pass
    else:
        assert parse(str(changed)) == changed
    assert time.process_time() - start < 3


def reads(text, columns):
    """Whether the formula is read, and its text read again; else it is refused in a sentence."""
    try:
        parsed = parse(text, columns)
    except MixedBayesError:
        return False
    assert parse(str(parsed)) == parsed
    return True


COLUMNS = ("y", "x", "z", "g", "a b")
CHARACTERS = "yxzgab1029.:+-*/^|~()[]{}%`'\"\\#,=<>&!@_ \n\tµ²é\u0301😀"
PIECES = [
    "x",
    "z",
    "1",
    "0",
    " ",
    "+",
    "-",
    "*",
    ":",
    "^2",
    "(",
    ")",
    "(x|g)",
    "log(x)",
    "`a b`",
    "\n",
    "#",
    "−",
    ".",
]


@pytest.mark.parametrize(
    ("texts", "least"),
    [
        (st.text(CHARACTERS, max_size=40), 0.0),
        (st.lists(st.sampled_from(PIECES), max_size=6).map("".join), 0.05),
    ],
    ids=["characters", "pieces"],
)
def test_any_text_parses_and_prints_or_is_refused(texts, least):
    def check(text):
        return any([reads(text, COLUMNS), reads(f"y ~ {text}", COLUMNS), reads(f"y ~ I({text})", COLUMNS)])

    assert_usually(check, texts, least=least)
