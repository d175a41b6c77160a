"""Hypothesis strategies for expressions and formulas, from the grammar up."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mixedbayes.language.expressions import Array, Call, Literal, Name, Operation, Record

PLAIN = ("x", "z", "f2", "f3", "t", "class", "Sepal.Length", "µg", "lambda", "TRUE")
STRANGE = (
    "my column",
    "1",
    "a:b",
    "a|b",
    "x + z",
    "log(x)",
    "`",
    "\\",
    "it's",
    '"',
    "#",
    "é́",
    "__x__",
    "0",
    "-",
    "(",
    ".",
    "|",
    "~",
)
KEYWORD = ("df", "degree", "levels")

column = st.sampled_from(PLAIN + STRANGE) | st.text(min_size=1, max_size=8).filter(
    lambda name: name.isprintable() and name == name.strip()
)
number = st.integers(0, 10**6) | st.floats(0, allow_nan=False, allow_infinity=True)
literal = st.builds(Literal, number | st.text(max_size=5) | st.booleans() | st.none())


def _larger(inner):
    keywords = st.lists(
        st.tuples(st.sampled_from(KEYWORD), inner), max_size=2, unique_by=lambda pair: pair[0]
    )
    function = st.sampled_from(["log", "I", "poly", "C", "contr.sum", "np.log", "class"])
    arguments = st.lists(inner, max_size=3).map(tuple)
    arithmetic = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "&", "|"])
    comparison = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    compared = inner.filter(lambda side: not (isinstance(side, Operation) and side.symbol in ("&", "|")))
    return (
        st.builds(Call, function, arguments, keywords.map(tuple))
        | st.builds(Array, arguments)
        | st.builds(Record, st.lists(st.tuples(st.text(max_size=3), inner), max_size=2).map(tuple))
        | st.builds(Operation, st.sampled_from(["-", "+", "~"]), st.tuples(inner))
        | st.builds(Operation, arithmetic, st.tuples(inner, inner))
        | st.builds(Operation, comparison, st.tuples(compared, compared))
    )


expression = st.recursive(literal | st.builds(Name, column), _larger, max_leaves=8)


def _joined(symbols: list[str], items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(items, st.sampled_from(symbols), items).map(" ".join)


_atom = st.sampled_from(
    [
        "x",
        "z",
        "a",
        "b",
        "t",
        "`my col`",
        "Sepal.Length",
        "class",
        "1",
        "log(z)",
        "I(x^2)",
        "{x + z}",
        "poly(x, 2)",
        "C(a, contr.sum)",
        "scale(x)",
        "I((x > 0) & (z > 3))",
        "C(b, levels=c('v', 'u'))",
    ]
)
terms = st.recursive(
    _atom,
    lambda inner: (
        _joined(["+", "*", ":", "/", "%in%"], inner.map("({})".format))
        | _joined(["+"], inner)
        | inner.map("({} + z)^2".format)
        | st.tuples(inner, inner).map(lambda sides: "({0}) + ({1}) - ({1})".format(*sides))
        | inner.map("{} - 1".format)
    ),
    max_leaves=5,
)
_group = st.sampled_from(["g", "h", "g:h", "g/h", "C(g)", "`my group`", "g + h"])
_left = st.sampled_from(["1", "x", "0 + x", "x - 1", "a", "0 + a", "x*a", "poly(x, 2)", "log(z) + b"])
_bar = st.tuples(_left, st.sampled_from(["|", "||"]), _group).map(" ".join).map("({})".format)
COMPUTED = (
    "y / u",
    "u^2",
    "(y > 0)",
    "((y > 0) | (u > 3))",
    "y - u * 2",
    "-y",
    "I(y)^3",
    "a == 'B'",
    "`my col` - 1",
)
response = st.sampled_from(
    [
        "y",
        "log(u)",
        "a['B']",
        "t",
        "n | trials(m)",
        "n | weights(u) + trials(m + 1)",
        "y | se(exp(u), sigma=TRUE)",
        "n + 1 | trials(m + 1)",
        "cbind(n, m)",
        "{y + u}",
        *COMPUTED,
    ]
)
formula = st.tuples(response, terms, st.lists(_bar, max_size=2), st.sampled_from(["", "offset(x)"])).map(
    lambda parts: f"{parts[0]} ~ {' + '.join([parts[1], *parts[2], *filter(None, parts[3:])])}"
)
"""Good formulas over the columns of `table`; a few are refused, as when a bar term stands twice."""


def assert_usually(check, *strategies, least, examples=100):
    """Run a check on random examples; of these at least a share must come to something, for which it returns true.

    A test that passes when everything is refused says nothing.
    """
    outcomes = Counter()

    @settings(max_examples=examples)
    @given(st.tuples(*strategies))
    def run(drawn):
        outcomes[bool(check(*drawn))] += 1

    run()
    assert outcomes[True] >= least * outcomes.total(), outcomes
