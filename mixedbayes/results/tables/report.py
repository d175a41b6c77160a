"""The printed fit, in the manner of brms: header, tables by group, and what may be wrong."""

import sys
from dataclasses import dataclass
from html import escape
from math import floor, isfinite, log10
from shutil import get_terminal_size
from textwrap import wrap

import numpy as np
import pandas as pd
from rich.cells import cell_len, chop_cells

from mixedbayes.models.text import definitions, header, notes
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.quantities import Quantities, before_terms, printed, ran_vals
from mixedbayes.results.posterior.record import describe_draws
from mixedbayes.results.posterior.summary import STATISTICS, diagnose, summarise
from mixedbayes.results.tables.complaints import complaints

HEADINGS = ("Estimate", "Est.Error", "l-{}% CI", "u-{}% CI", "Rhat", "Bulk_ESS", "Tail_ESS")
SMALLEST, LARGEST = -7, 6
"""Powers of ten of the errors that are printed in full."""

NARROWEST = 20
"""Cells of the column of labels, if there is room: tables of different fits look alike, and have 80 cells."""

LEFT = "text-align:left;padding:0 .6em"

WIDTH = 80
"""Cells at which sentences are broken, at most."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table: a title, and for each parameter its label and the numbers as text."""

    title: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that a printed fit says.

    Attributes:
        header: Names and what they are.
        headings: Of the columns of numbers.
        sections: The tables.
        notes: On the data and draws.
        complaints: What may be wrong.
    """

    header: tuple[tuple[str, str], ...]
    headings: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    complaints: tuple[str, ...]

    def text(self, width: int | None = None) -> str:
        """Plain text, the columns of all tables aligned.

        Args:
            width: Cells of the terminal, in which labels too long for their column have lines of their own;
                None where every row is to be one line, whatever it takes.
        """
        fold = min(width or WIDTH, WIDTH)
        indent = max(len(name) for name, _ in self.header)
        lines: list[str] = []
        for name, value in (*self.header, *(("Note", note) for note in self.notes)):
            lines += _wrapped(f"{name:>{indent}}: {value}", fold, indent + 2)
        lines += ["", *_aligned(self.headings, self.sections, width)]
        for i, said in enumerate(self.complaints):
            lines += [*([] if i else [""]), *_wrapped(said, fold)]
        return "\n".join(lines)

    def html(self) -> str:
        """The same for a notebook."""
        said = [*self.header, *(("Note", note) for note in self.notes)]
        rows = ["".join(_cell(heading, "th") for heading in ("", *self.headings))]
        for section in self.sections:
            rows.append(f"<th colspan='{len(self.headings) + 1}' style='{LEFT}'>{escape(section.title)}</th>")
            rows += [_cell(row[0], "td", LEFT) + "".join(map(_cell, row[1:])) for row in section.rows]
        table = "".join(f"<tr>{row}</tr>" for row in rows)
        sentences = "".join(f"<div style='color:#b00'>{escape(said)}</div>" for said in self.complaints)
        return f"<div>{definitions(said)}<table style='margin:1em 0'>{table}</table>{sentences}</div>"


def _cell(text: str, tag: str = "td", style: str = "text-align:right;padding:0 .6em") -> str:
    return f"<{tag} style='{style}'>{escape(text)}</{tag}>"


def terminal_width() -> int | None:
    """Cells of a line of the terminal; None where what is printed goes to a file, a pipe or a notebook."""
    return get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None


def build_report(fit: Fitted, conf_level: float = 0.95) -> Report:
    """Summarise the draws of a fit, with intervals of that mass."""
    spec, draws = fit.spec, describe_draws(fit.idata)
    summaries = [(quantities, summarise(quantities.draws, conf_level)) for quantities in printed(fit)]
    sections = tuple(
        Section(
            q.section, tuple(_row(label, row) for label, row in zip(q.labels, table.to_numpy(), strict=True))
        )
        for q, table in summaries
    )
    diagnosed = [_named(q, table[list(STATISTICS[4:])]) for q, table in summaries]
    if not draws.are_independent:  # else effects are drawn anew for each draw
        diagnosed += [
            _named(q, pd.DataFrame(diagnose(q.draws), columns=list(STATISTICS[4:]))) for q in ran_vals(fit)
        ]
    said = tuple(complaints(draws, pd.concat(diagnosed, ignore_index=True))) if diagnosed else ()
    method = (("Method", draws.method),) if draws.method else ()
    said_of = (*notes(spec), *((draws.partial,) if draws.partial else ()))
    headings = tuple(heading.format(f"{100 * conf_level:.6g}") for heading in HEADINGS)
    return Report((*header(spec), *method, ("Draws", str(draws))), headings, _merged(sections), said_of, said)


def _named(quantities: Quantities, statistics: pd.DataFrame) -> pd.DataFrame:
    """Diagnostics with each parameter's address-like name."""
    group = quantities.group
    if quantities.effect == "ran_vals":
        names = [
            f"{before_terms(quantities.component)}r[{group}, {level}, {term}]"
            for level, term in zip(quantities.levels, quantities.terms, strict=True)
        ]
    else:
        before = quantities.before
        names = [
            (before_terms(quantities.component) if before is None else before)
            + (f"{label} of {group}" if group and label.startswith(("sd(", "cor(")) else label)
            for label in quantities.labels
        ]
    return statistics.assign(name=names)


def _merged(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """Sections of one title as one."""
    titles = dict.fromkeys(section.title for section in sections)
    return tuple(
        Section(title, tuple(row for section in sections if section.title == title for row in section.rows))
        for title in titles
    )


def _row(label: str, values: np.ndarray) -> tuple[str, ...]:
    """A row of text: two decimals, or as many as the error needs to show two digits."""
    *estimates, rhat, bulk, tail = (float(value) for value in values)
    size = floor(log10(error)) if isfinite(error := estimates[1]) and error > 0 else 0
    if SMALLEST <= size <= LARGEST:
        shown = [f"{value:.{max(2, 1 - size)}f}" for value in estimates]
    else:  # powers of ten, each number to the same place
        shown = [f"{value:.{max(1, _size(value) - size + 1)}e}" for value in estimates]
    diagnosed = [f"{rhat:.2f}", *(f"{ess:.0f}" for ess in (bulk, tail))]
    plain = "".join(character if character.isprintable() else " " for character in label)
    return (plain, *shown, *("NA" if cell == "nan" else cell for cell in diagnosed))


def _size(value: float) -> int:
    return floor(log10(abs(value))) if value and isfinite(value) else 0


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    return wrap(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _aligned(headings: tuple[str, ...], sections: tuple[Section, ...], width: int | None) -> list[str]:
    """The tables under their titles, one width of each column for all."""
    heading = ("", *headings)
    rows = [heading, *(row for section in sections for row in section.rows)]
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(heading))]
    widths[0] = max(widths[0], NARROWEST)
    if width is not None:
        widths[0] = min(widths[0], max(0, width - sum(size + 1 for size in widths[1:])))
    lines: list[str] = []
    for section in sections:
        lines += ["", f"{section.title}:"]
        for row in (heading, *section.rows):
            lines += _lines(row, widths, width)
    return lines[1:]


def _lines(row: tuple[str, ...], widths: list[int], width: int | None) -> list[str]:
    """The label to the left, numbers to the right, by the cells that a terminal gives each character."""
    label, *numbers = row
    above = [] if cell_len(label) <= widths[0] else chop_cells(label, max(width or 0, 1))
    label = "" if above else label
    cells = [label + " " * (widths[0] - cell_len(label))]
    cells += [
        " " * (size - cell_len(number)) + number for number, size in zip(numbers, widths[1:], strict=True)
    ]
    return [*above, " ".join(cells)]
