"""The printed fit, and the sentences on what may be wrong with it."""

import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rich.cells import cell_len
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.results.fit import Fit
from mixedbayes.results.posterior.record import Draws, complaints, describe_draws
from mixedbayes.results.tables.report import Report, Section, build_report, terminal_width

RNG = np.random.default_rng(5)
N = 40
DATA = pd.DataFrame({"y": RNG.normal(size=N), "x": RNG.normal(size=N), "g": np.resize(list("abcd"), N)})

# made by this package, and read by a person: it holds the layout still; the numbers are tested elsewhere
GOLDEN = """\
 Family: gaussian
  Links: mu = identity; sigma = identity
Formula: Reaction ~ Days + (Days | Subject)
   Data: 180 rows
  Draws: 4 chains x 500 draws after 500 tuning steps, 2,000 in all (nutpie)

Group-level effects, Subject (18 levels):
                     Estimate Est.Error l-95% CI u-95% CI Rhat Bulk_ESS Tail_ESS
sd(Intercept)            2.00      1.00     0.49     4.41 1.00     1970     1744
sd(Days)                 2.00      1.01     0.60     4.50 1.00     1948     2059
cor(Intercept, Days)    -0.01      0.50    -0.89     0.86 1.00     1722     1894

Population-level effects:
                     Estimate Est.Error l-95% CI u-95% CI Rhat Bulk_ESS Tail_ESS
Intercept                1.96      0.99    -0.03     3.89 1.00     1995     1992
Days                     1.95      1.01    -0.10     3.89 1.00     1931     1891

Residual:
                     Estimate Est.Error l-95% CI u-95% CI Rhat Bulk_ESS Tail_ESS
sigma                    1.98      0.98     0.56     4.20 1.00     1498     1842"""


def fit_with(draws=500, formula="y ~ x + (1 | g)", data=DATA, **options):
    return synthetic_fit(formula, data, draws=draws, **options)


def with_draws(fit, change):
    """The fit with its posterior changed by a function of the dataset."""
    idata = fit.idata.copy(deep=True)
    idata["posterior"] = change(idata["posterior"].to_dataset())
    return Fit(fit.spec, idata, fit.engine)


def sections(text):
    """Lines of the tables by their titles, and what comes before and after."""
    parts = [part.splitlines() for part in text.split("\n\n")]
    return {part[0].rstrip(":"): part[1:] for part in parts[1:] if part[0].endswith(":")}


def test_a_fit_prints_in_the_manner_of_brms():
    sleep = mb.load_dataset("sleepstudy")
    fit = synthetic_fit("Reaction ~ Days + (Days | Subject)", sleep, draws=500, seed=20)
    assert str(fit) == repr(fit) == GOLDEN


FORMULAS = {
    "y ~ x + (1 | g)": ["Group-level effects, g (4 levels)", "Population-level effects", "Residual"],
    "y ~ 0 + (1 | g)": ["Group-level effects, g (4 levels)", "Residual"],
    "y ~ x": ["Population-level effects", "Residual"],
    "y ~ x + (1 | g) + (0 + x | g)": [
        "Group-level effects, g (4 levels)",
        "Group-level effects, g.2 (4 levels)",
        "Population-level effects",
        "Residual",
    ],
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_report_has_a_section_for_each_kind(formula):
    assert list(sections(str(fit_with(9, formula)))) == FORMULAS[formula]


def test_poisson_has_no_residual_section():
    fit = fit_with(9, formula="k ~ x + (1 | g)", data=DATA.assign(k=RNG.poisson(3, N)), family="poisson")
    assert list(sections(str(fit))) == ["Group-level effects, g (4 levels)", "Population-level effects"]
    assert "Links: mu = log\n" in str(fit)


def test_hyperparameters_have_a_section_of_their_own():
    fit = fit_with(9, priors={"sd": "gamma(2, gamma(1, 1))", "b": "normal(0, exponential(1))"})
    lines = sections(str(fit))["Hyperparameters"]
    assert [line.split("]")[0] for line in lines[1:]] == ["prior[b, sigma", "prior[sd, beta"]


@pytest.mark.parametrize(
    "name", ["x", "a predictor with a long name that goes on", "größe", "日本語の列", "new\nline", "a\tb"]
)
def test_columns_of_every_table_end_at_the_same_place(name):
    data = DATA.assign(**{name: DATA["x"]})
    formula = f"y ~ `{name}` + (1 + `{name}` | g)"
    tables = sections(str(fit_with(9, formula, data)))
    lines = [line for table in tables.values() for line in table]
    assert len({cell_len(line) for line in lines}) == 1, "\n".join(lines)


LONG = "cor(a predictor with a long name, another one: größer, 日本語の列)"
NARROW = Report(
    header=(("Family", "gaussian"), ("Formula", "y ~ " + " + ".join(["a_column"] * 12))),
    headings=("Estimate", "Est.Error", "l-95% CI", "u-95% CI", "Rhat", "Bulk_ESS", "Tail_ESS"),
    sections=(
        Section("One", (("sigma", *["1.00"] * 7), (LONG, "-12345.67", *["2.00"] * 6))),
        Section("Two", (("cor(Intercept, Days)", *["3.00"] * 7),)),
    ),
    notes=("Something was left out, " * 8,),
    complaints=("Something is wrong, " * 8,),
)


@pytest.mark.parametrize("width", [200, 100, 80, 79, 62, 45, 20, 1])
def test_on_a_terminal_no_label_is_cut_and_no_line_too_long(width):
    lines = NARROW.text(width).splitlines()
    numbers = 61  # cells of the widest row of numbers, and a blank before it
    assert max(map(cell_len, lines)) <= max(width, numbers)
    assert NARROW.text(width).count("-12345.67") == 1
    joined = "".join(lines).replace(" ", "")
    assert all(label.replace(" ", "") in joined for label in ("sigma", LONG, "cor(Intercept, Days)"))
    ends = {cell_len(line) for line in lines if line.endswith((".00", "_ESS"))}
    assert len(ends) == 1, "numbers of all tables end at the same place"


def test_where_there_is_no_terminal_every_row_is_a_line(monkeypatch):
    rows = [line for line in NARROW.text().splitlines() if line.endswith(".00")]
    assert [row.split("  ")[0].strip() for row in rows] == [
        "sigma",
        f"{LONG} -12345.67",
        "cor(Intercept, Days)",
    ]
    monkeypatch.setenv("COLUMNS", "50")
    assert terminal_width() is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert terminal_width() == 50


def test_the_usual_table_has_80_columns():
    assert {cell_len(line) for table in sections(GOLDEN).values() for line in table} == {80}
    assert max(map(cell_len, GOLDEN.splitlines())) == 80


def test_intervals_of_another_mass_are_said_and_computed():
    fit = fit_with()
    report = build_report(fit.spec, fit.idata, 0.5)
    assert report.headings[2:4] == ("l-50% CI", "u-50% CI")
    expected = fit.tidy("fixed", conf_level=0.5)
    assert report.sections[1].title == "Population-level effects"
    for row, (_, tidy) in zip(report.sections[1].rows, expected.iterrows(), strict=True):
        assert [float(cell) for cell in row[3:5]] == pytest.approx([tidy.conf_low, tidy.conf_high], abs=0.005)


def test_the_number_of_decimals_follows_the_error():
    def scaled(data):
        scales = xr.DataArray([1e9, 1e-10], coords={"coefficient": data["coefficient"]})
        return data.assign(b=data["b"] * scales, sigma=data["sigma"] * 1e-4)

    tables = sections(str(with_draws(fit_with(9), scaled)))
    intercept, slope = (line.split() for line in tables["Population-level effects"][1:])
    assert all("e+" in cell for cell in intercept[1:5])
    assert all("e-" in cell for cell in slope[1:5])
    sigma = tables["Residual"][1].split()
    assert all(len(cell.partition(".")[2]) == 6 for cell in sigma[1:5]), sigma  # an error of 0.000097


def test_what_cannot_be_diagnosed_reads_na():
    lines = str(fit_with(draws=3)).splitlines()
    assert next(line for line in lines if line.startswith("sigma")).split()[-3:] == ["NA", "NA", "NA"]


def test_notes_of_the_design_are_printed_and_folded():
    data = DATA.assign(w=2 * DATA["x"], x=DATA["x"].where(DATA.index > 2))
    with pytest.warns(mb.DesignWarning):
        fit = fit_with(9, formula="y ~ x + w + (1 | g)", data=data)
    text = " ".join(str(fit).split())
    assert "Data: 37 of 40 rows; 3 dropped for missing values (x 3)" in text
    assert "Note: Column w is a linear combination of the others and left out." in text
    assert max(map(len, str(fit).splitlines())) <= 80


def test_names_are_escaped_in_a_notebook():
    data = DATA.assign(**{"<b>x": DATA["x"], "<i>g": DATA["g"]})
    fit = fit_with(draws=3, formula="y ~ `<b>x` + (1 | `<i>g`)", data=data)
    html = fit._repr_html_()
    assert "&lt;b&gt;x" in html
    assert "&lt;i&gt;g" in html
    assert "<b>x" not in html
    assert "<i>g" not in html


def test_a_notebook_shows_what_the_terminal_does():
    fit = fit_with()
    html = fit._repr_html_()
    for section in fit.report.sections:
        for cell in (section.title, *(cell for row in section.rows for cell in row)):
            assert cell in html
    for name, value in fit.report.header:
        assert f"<b>{name}:</b> {value}" in html


# what may be wrong --------------------------------------------------------------------------------------

FINE = Draws(chains=4, draws=1000, tune=1000, sampler="nutpie", divergences=0)


def diagnosed(*rows):
    return pd.DataFrame(rows, columns=["name", "rhat", "ess_bulk", "ess_tail"])


GOOD = ("sigma", 1.001, 2000.0, 1800.0)


@pytest.mark.parametrize(
    ("draws", "rows", "said"),
    [
        (FINE, [GOOD], []),
        (FINE, [("sigma", 1.01, 400.0, 400.0)], []),  # the thresholds themselves are fine
        (Draws(4, 1000, 1000, "nutpie", 3), [GOOD], ["3 of 4,000 transitions diverged.*raise target_accept"]),
        (Draws(4, 1000, 1000, "nutpie", 1), [GOOD], ["1 of 4,000 transitions diverged"]),
        (FINE, [GOOD, ("b", 1.02, 500.0, 500.0)], [r"chains disagree on one parameter \(R-hat over 1.01, the worst b with 1.02\).*raise tune"]),
        (FINE, [("a", 1.5, 500.0, 500.0), ("b", 1.02, 500.0, 500.0)], ["chains disagree on 2 parameters .*the worst a with 1.5"]),
        (FINE, [GOOD, ("b", 1.0, 399.0, 500.0)], [r"One parameter has fewer than 400 effective draws \(the fewest b with 399\): raise draws"]),
        (FINE, [("a", 1.0, 500.0, 80.4), ("b", 1.0, 300.0, 500.0)], [r"2 parameters have fewer than 400 .*the fewest a with 80"]),
        (FINE, [GOOD, ("b", np.nan, np.nan, np.nan)], [r"The draws of one parameter never change or are not finite \(the first b\): sampling failed"]),
        (Draws(2, 3, 10, "pymc", 0), [("b", np.nan, np.nan, np.nan)], ["With 3 draws a chain nothing can be said of convergence: raise draws"]),
        (Draws(4, 1000, 1000, "nutpie", 9), [("b", 1.2, 20.0, 30.0)], ["diverged", "disagree", "effective draws"]),
    ],
)  # fmt: skip
def test_what_is_said_of_draws(draws, rows, said):
    found = complaints(draws, diagnosed(*rows))
    assert len(found) == len(said), found
    for sentence, pattern in zip(found, said, strict=True):
        assert pd.Series([sentence]).str.contains(pattern).all(), sentence


def test_nothing_is_said_of_good_draws():
    assert fit_with().report.complaints == ()
    assert str(fit_with()).splitlines()[-1].startswith("sigma")


def test_complaints_stand_below_the_table_in_both_forms():
    fit = with_draws(fit_with(), lambda data: data.assign(b=data["b"] + data["chain"]))
    (sentence,) = [said for said in fit.report.complaints if "disagree" in said]
    assert sentence in " ".join(str(fit).split())
    assert str(fit).index("Residual") < str(fit).index("disagree")
    assert sentence in fit._repr_html_()


def test_group_effects_are_diagnosed_too():
    fit = with_draws(
        fit_with(), lambda data: data.assign(r_g=data["r_g"] + 3 * data["chain"] * (data["g"] == "c"))
    )
    assert "the worst r[g, c, Intercept]" in " ".join(fit.report.complaints)


def test_divergences_are_counted_from_the_sampler_s_record():
    fit = fit_with()
    fit.idata["sample_stats"]["diverging"][1, :7] = True
    assert describe_draws(fit.idata).divergences == 7
    assert "7 of 2,000 transitions diverged" in " ".join(str(fit).split())


@pytest.mark.parametrize(
    ("draws", "text"),
    [
        (FINE, "4 chains x 1,000 draws after 1,000 tuning steps, 4,000 in all (nutpie)"),
        (Draws(2, 50, None, "nuts", 0), "2 chains x 50 draws, 100 in all (nuts)"),
    ],
)
def test_draws_are_described(draws, text):
    assert str(draws) == text


def test_a_record_without_details_is_described():
    fit = fit_with()
    idata = fit.idata.copy()
    idata["posterior"].attrs.clear()
    idata["sample_stats"].attrs.clear()
    assert describe_draws(idata) == Draws(4, 500, None, "nuts", 0)
