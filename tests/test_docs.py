"""Every example of the README and the docs runs, and prints what the page says it prints."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

import mixedbayes as mb

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")
TABLE = 7
"""Numbers in a line of a printed fit's tables."""


def run(example: Example) -> None:
    """A block of Python; what it prints is held against the next block of text."""
    printed = StringIO()
    source = compile("\n" * example.line + example.parsed, example.path, "exec")
    with redirect_stdout(printed):
        exec(source, example.namespace)  # noqa: S102  # our own documentation
    example.namespace["printed"] = printed.getvalue()


def compare(example: Example) -> None:
    """Words must be the same; numbers near, for draws differ between machines and versions."""
    assert_same_text(example.namespace.pop("printed"), example.parsed)


def assert_same_text(printed: str, page: str) -> None:
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", page).split()
    for ours, theirs, near in zip(numbers(printed), numbers(page), tolerances(page), strict=True):
        assert number(ours) == pytest.approx(number(theirs), **near), (ours, theirs)


def numbers(text: str) -> list[str]:
    return NUMBER.findall(text)


def number(text: str) -> float:
    return float(text.replace(",", ""))


def tolerances(page: str) -> list[dict[str, float]]:
    """How far each number may be off: with other seeds none was by more than 3 % and 7 of its last digit.

    Effective sample sizes and what the sampler says of itself vary more, R-hat less; whole numbers do not.
    """
    found = []
    for line in page.splitlines():
        places = list(NUMBER.finditer(line))
        for i, place in enumerate(places):
            _, point, decimals = place.group().partition(".")
            if len(places) >= TABLE and i == len(places) - 3:
                found.append({"abs": 0.0101})
            elif not point and len(places) >= TABLE and i >= len(places) - 2:
                found.append({"rel": 0.35})
            elif line[place.end() :].startswith(" proposals"):
                found.append({"rel": 0.2})
            elif line[: place.start()].endswith("Pareto k "):
                found.append({"abs": 0.35})
            elif point:
                found.append({"rel": 0.04, "abs": 10.0 ** (1 - len(decimals))})
            else:
                found.append({"abs": 0.0})
    return found


SYBIL = Sybil(parsers=[CodeBlockParser("python", run), CodeBlockParser("text", compare)])


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_the_page_do_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = SYBIL.parse(page)
    for example in document.examples():
        example.evaluate()


WRONG = [
    ("b 1.00", "a 1.00", "'b'"),
    ("a 1.00", "a 1.11", "1.11"),
    ("x 1.00 0.10 0.80 1.20 1.02 3000 2000", "x 1.00 0.10 0.80 1.20 1.00 3000 2000", "1.00"),
    ("sd 0.71", "sd 0.82", "0.82"),
    ("k 0.40", "k 0.29", "0.29"),
    ("cor 0.19", "cor 0.08", "0.08"),
    ("[-840.0]", "[-886.9]", "-886.9"),
    ("4,001 draws", "4,000 draws", "4,000"),
    ("Pareto k 0.70", "Pareto k 0.29", "0.29"),
    ("x 1.00 0.10 0.80 1.20 1.00 3000 900", "x 1.00 0.10 0.80 1.20 1.00 3000 2000", "2000"),
]


@pytest.mark.parametrize(("printed", "page", "culprit"), WRONG)
def test_compare_sees_a_wrong_word_and_a_wrong_number(printed, page, culprit):
    assert_same_text(page, page)
    with pytest.raises(AssertionError, match=re.escape(culprit)):
        assert_same_text(printed, page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_page_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_page_of_formulas_lists_every_function():
    from mixedbayes.designs.functions import FUNCTIONS

    page = (ROOT / "docs" / "formulas.md").read_text()
    words = set(re.findall(r"[\w.]+", page))
    assert [name for name in FUNCTIONS if name not in words and name.removeprefix("np.") not in words] == []


DATA = pd.DataFrame(
    {
        **{name: np.random.default_rng(3).uniform(1, 9, 40) for name in ("x", "z", "y", "w", "s")},
        "n": np.resize([5, 6, 7], 40),
        "k": np.resize([1, 0, 2, 3], 40),
        "f": np.resize(list("abcab"), 40),
        "h": np.resize(list("pqrs"), 40),
        "g": np.repeat([f"g{i}" for i in range(8)], 5),
    }
).assign(z=lambda data: data["z"] + data["n"])
ELSEWHERE = re.search(
    r"## What other programs write.*?\n\|---.*?\n(.*?)\n\n",
    (ROOT / "docs" / "formulas.md").read_text(),
    re.DOTALL,
)[1].splitlines()


@pytest.mark.parametrize("row", ELSEWHERE)
def test_the_table_of_what_other_programs_write_is_true(row):
    written, _, here = (cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1])
    formulas = [text for text in re.findall(r"`([^`]+)`", written) if "~" in text and '="~' not in text]
    ours = [text for text in re.findall(r"`([^`]+)`", here) if "~" in text]
    assert formulas
    for text in ours:
        assert mb.design(text, DATA).n == 40
    for text in formulas:
        if "the same" in here or "groups=" in written:
            assert mb.design(text, DATA).n == 40
        else:
            said = r"^(?!.*Did you mean)" + (
                ".*not supported yet" if "not yet" in here else "(?!.*not supported yet)"
            )
            with pytest.raises(mb.MixedBayesError, match=rf"(?s){said}"):
                mb.design(text, DATA)
