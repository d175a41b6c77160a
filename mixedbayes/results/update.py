"""A fit × a change -> another fit: of another formula, of other data, or of more rows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mixedbayes.designs.build import build_design
from mixedbayes.designs.design import Design
from mixedbayes.designs.extend import extend
from mixedbayes.designs.table import Missing, Rows, open_table
from mixedbayes.errors import ArgumentError, DesignWarning, FormulaError, UnknownColumns, listed, shown, warn
from mixedbayes.language.change import updated
from mixedbayes.language.lines import one_sided
from mixedbayes.models.addresses import addresses
from mixedbayes.models.families import links_of
from mixedbayes.models.priors import Prior, parse_priors
from mixedbayes.models.responses import check_response
from mixedbayes.models.spec import ModelSpec
from mixedbayes.models.specify import specify
from mixedbayes.models.structures import Structure, structures_of

HINT = " A fit keeps only the columns that it used: pass the whole table as data=."


def changed_spec(
    spec: ModelSpec,
    formula: str | None,
    data: Any,
    *,
    predictors: Mapping[str, str],
    priors: Mapping[str, str | Prior] | None,
    missing: Missing,
) -> ModelSpec:
    """The model with another formula, or of other data; its family and priors kept.

    Raises:
        FormulaError, DataError, PriorError: What was passed does not make a model.
    """
    if formula is not None and not isinstance(formula, str):
        raise FormulaError(
            f"A change of a formula is a text such as '~ . - x', with a dot for what was there, not {shown(formula)}."
        )
    one_sided(predictors)  # refuse what is no right side, before it is part of a text
    was = spec.design
    own = data is None
    table = open_table(was.data.set_axis(was.rows.index, axis=0) if own else data)
    change = "; ".join([formula or "~ .", *(f"{name} {side}" for name, side in predictors.items())])
    new = updated(was.formula, change, table.columns) if formula or predictors else str(was.formula)
    try:
        design = build_design(new, table, missing=missing, env=was.env)
    except UnknownColumns as error:
        if own:
            raise UnknownColumns(f"{error}{HINT}", error.names) from None
        raise
    kept = _applicable(spec, design) if priors is None else parse_priors(priors)
    links = {name: link for name, link in spec.links.items() if name in design.linears}
    made = specify(
        design, spec.family, links_of(spec.family, links, design.linears), kept, _structures(spec, design)
    )
    for note in design.notes:
        warn(note, DesignWarning)
    return replace(made, design=_among_all(design, was.rows)) if own else made


def _among_all(design: Design, rows: Rows) -> Design:
    """The design with its rows told by their places in the caller's table, of which it had those that were kept."""
    kept = rows.kept[design.rows.kept]
    composed = Rows(rows.total, kept, {**rows.missing, **design.rows.missing}, design.rows.index, rows.spared)
    return replace(design, rows=composed, data=design.data.set_axis(kept, axis=0))


def _structures(spec: ModelSpec, design: Design) -> dict[str, Structure]:
    """What the user gave to blocks that another design has too."""
    names = {block.name for block in design.groups}
    return {name: structure for name, structure in spec.given_structures.items() if name in names}


def _applicable(spec: ModelSpec, design: Design) -> Mapping[str, Prior]:
    """The user's priors that a model of another design has parameters for; the others are told."""
    if not spec.priors:
        return {}
    structures = structures_of(design.groups, _structures(spec, design))
    known = set(map(str, addresses(design, spec.family, structures)))
    left = [address for address in spec.priors if address not in known]
    if left:
        warn(
            f"The new model has no parameter for the priors of {listed(left)}; they are left out.",
            DesignWarning,
        )
    return {address: prior for address, prior in spec.priors.items() if address in known}


def extended_spec(spec: ModelSpec, rows: Any, missing: Missing) -> ModelSpec:
    """The model with more rows: priors, centring, and what transforms learned stay as they were.

    Raises:
        DataError, FamilyError: The rows are not of the same kind.
    """
    design = extend(spec.design, rows, missing)
    check_response(design, spec.family)
    new = len(design.rows.kept) - len(spec.design.rows.kept)
    if design.rows.dropped > spec.design.rows.dropped:
        warn(f"{design.rows}. ({new:,} rows are new.)", DesignWarning)
    return spec.of(design)


def check_change(formula: Any, data: Any, new_rows: Any, priors: Any, predictors: Mapping[str, Any]) -> None:
    """Refuse changes that do not go together.

    Raises:
        ArgumentError: They do not.
    """
    if formula is None and data is None and new_rows is None and priors is None and not predictors:
        raise ArgumentError(
            "update takes what is to change: a formula ('~ . - x'), data=, new_rows= or priors=."
        )
    if new_rows is not None and not (formula is None and data is None and priors is None and not predictors):
        raise ArgumentError(
            "new_rows are rows more for the same model; change the formula, data or priors in a call of its own."
        )
