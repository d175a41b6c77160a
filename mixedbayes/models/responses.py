"""Which responses families take: for each kind a check, which names what is wrong and where."""

from collections.abc import Callable, Mapping

import numpy as np

from mixedbayes.designs.design import Design
from mixedbayes.designs.response import ResponseValues
from mixedbayes.errors import FamilyError, counted, listed
from mixedbayes.models.families import FAMILIES, Family
from mixedbayes.models.values import WEIGHTS


def check_response(design: Design, family: Family) -> None:
    """Refuse a response that the family cannot take; a bad value is named with its row in the data.

    Raises:
        FamilyError: With the remedy.
    """
    if family.response not in RESPONSES:
        raise FamilyError(
            f"The family {family.name!r} takes responses of the kind {family.response!r}, which there is not; kinds: {listed(RESPONSES)}."
        )
    for name in design.linears:
        family.parameter(name)
    _check_additions(design, family)
    RESPONSES[family.response](design.response, family, design.rows.kept)
    if (
        family.response in CONTINUOUS
        and family.estimated(design.formula.response.additions) == family.parameters
    ):
        _check_varies(design.response.counted)


def _check_additions(design: Design, family: Family) -> None:
    """Refuse what stands right of the bar and the family does not take, or what is both known and to be predicted."""
    y, additions = design.response, design.formula.response.additions
    others = [f"{name}()" for name in additions if name not in ("trials", WEIGHTS, *family.additions)]
    if others:
        able = [each.name for each in FAMILIES.values() if set(additions) <= {WEIGHTS, *each.additions}]
        raise FamilyError(
            f"{listed(others)} beside the response {y.name}: the {family.name} family does not take it"
            + (f"; {listed(able)} {'does' if len(able) == 1 else 'do'}." if able else ".")
        )
    estimated = [p.name for p in family.estimated(additions)]
    for addition, name in family.replaced.items():
        if name in design.linears and name not in estimated:
            raise FamilyError(
                f"{name} has a formula, and {addition}() stands in its place: write {addition}(..., {name}=TRUE) to have both."
            )


def _check_varies(y: ResponseValues) -> None:
    """Refuse numbers that are the same in every row: nothing then says how far they lie from their mean.

    Of known standard errors they may be.
    """
    if np.ptp(y.values) == 0:
        raise FamilyError(
            f"The response {y.name} is {y.values[0]:g} in every row; there is nothing to model."
        )


def _real(y: ResponseValues, family: Family, _rows: np.ndarray) -> None:
    if y.levels is not None:
        raise FamilyError(
            f"The response {y.name} holds {y.held}, not numbers, which the {family.name} family needs.{_two(y)}"
        )
    _no_trials(y, family)


def _positive(y: ResponseValues, family: Family, rows: np.ndarray) -> None:
    _real(y, family, rows)
    _refuse_rows(
        y,
        rows,
        y.values <= 0,
        f"the {family.name} family takes positive numbers",
        "Zeros that are rounded small numbers can be raised to half the least that is measured."
        if not y.values.min()
        else "",
    )


def _share(y: ResponseValues, family: Family, rows: np.ndarray) -> None:
    _real(y, family, rows)
    hint = (
        "Counts of successes in trials go with family='binomial', as y | trials(n) ~ ..."
        if ((y.values == 0) | (y.values == 1)).any()
        else "Divide percentages by 100."
    )
    _refuse_rows(
        y,
        rows,
        (y.values <= 0) | (y.values >= 1),
        f"the {family.name} family takes numbers between 0 and 1",
        hint,
    )


def _binary(y: ResponseValues, family: Family, rows: np.ndarray) -> None:
    _no_trials(y, family)
    if y.levels is not None and len(y.levels) > 2:
        raise FamilyError(
            f"The response {y.name} has {len(y.levels)} levels ({listed(map(repr, y.levels))}); the {family.name} family takes two. "
            f"To model one of them against the rest write {y.name}[{y.levels[-1]!r}] ~ ..."
        )
    _refuse_rows(
        y,
        rows,
        ~np.isin(y.values, (0.0, 1.0)),
        f"the {family.name} family takes 0 and 1",
        "Counts of successes go with family='binomial': y | trials(n) ~ ...",
    )
    values = y.counted.values
    if len(np.unique(values)) < 2:
        only = f"{values[0]:g}" if y.levels is None else repr(y.levels[int(values[0])])
        raise FamilyError(f"The response {y.name} is {only} in every row; there is nothing to model.")


def _count(y: ResponseValues, family: Family, rows: np.ndarray) -> None:
    if y.levels is not None:
        raise FamilyError(
            f"The response {y.name} holds {y.held}, not counts, which the {family.name} family needs.{_two(y)}"
        )
    _no_trials(y, family)
    _refuse_rows(
        y,
        rows,
        (y.values < 0) | (y.values % 1 != 0),
        f"the {family.name} family takes whole numbers from 0",
        "",
    )
    if not y.counted.values.any():
        raise FamilyError(f"The response {y.name} is 0 in every row; there is nothing to model.")


def _successes(y: ResponseValues, _family: Family, rows: np.ndarray) -> None:
    if y.levels is not None:
        raise FamilyError(
            f"The response {y.name} holds {y.held}, not counts; two levels go with family='bernoulli'."
        )
    if y.trials is None:
        raise FamilyError(
            f"The binomial family needs the number of trials: {y.name} | trials(n) ~ ... or cbind(successes, failures) ~ ..."
            + (" Zeros and ones go with family='bernoulli'." if np.isin(y.values, (0.0, 1.0)).all() else "")
        )
    _refuse_rows(y, rows, (y.values < 0) | (y.values % 1 != 0), "successes are whole numbers from 0", "")
    above = np.flatnonzero(y.values > y.trials)
    if len(above):
        i = above[0]
        raise FamilyError(
            f"{y.name} has more successes than trials in {counted(len(above), 'row')}, the first row {rows[i]} (from 0): {y.values[i]:g} of {y.trials[i]:g}."
        )
    rest = y.counted
    if rest.values.sum() in (0, rest.additions["trials"].sum()):
        raise FamilyError(f"Every trial of {y.name} came out the same; there is nothing to model.")


RESPONSES: Mapping[str, Callable[[ResponseValues, Family, np.ndarray], None]] = {
    "real": _real,
    "positive": _positive,
    "share": _share,
    "binary": _binary,
    "count": _count,
    "successes": _successes,
}
"""For each kind of response the check that it is one."""

CONTINUOUS = ("real", "positive", "share")
"""Kinds that vary by a parameter of their own."""


def _no_trials(y: ResponseValues, family: Family) -> None:
    if y.trials is not None and "trials" not in family.additions:
        raise FamilyError(f"trials() and cbind() go with family='binomial', not {family.name!r}.")


def _two(y: ResponseValues) -> str:
    return " Two levels go with family='bernoulli'." if y.levels is not None and len(y.levels) == 2 else ""


def _refuse_rows(y: ResponseValues, rows: np.ndarray, bad: np.ndarray, rule: str, hint: str) -> None:
    """Name the first bad value and its row."""
    places = np.flatnonzero(bad)
    if len(places):
        i, others = places[0], len(places) - 1
        more = f"; {counted(others, 'more row')} {'is' if others == 1 else 'are'} like it" if others else ""
        raise FamilyError(
            f"{y.name} is {y.values[i]:g} in row {rows[i]} (from 0){more}: {rule}. {hint}".rstrip()
        )
