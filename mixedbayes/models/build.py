"""Formula × table × family × priors -> `ModelSpec`: the first three rooms in one call."""

from collections.abc import Mapping
from typing import Any

from mixedbayes.designs.build import build_design
from mixedbayes.designs.table import Missing
from mixedbayes.errors import DesignWarning, warn
from mixedbayes.language.formula import Formula
from mixedbayes.models.families import Family, find_family, links_of
from mixedbayes.models.priors import Prior, parse_priors
from mixedbayes.models.spec import ModelSpec
from mixedbayes.models.specify import specify
from mixedbayes.models.structures import Structure


def build_spec(  # noqa: PLR0913  # what users pass by name
    formula: str | Formula,
    data: Any,
    family: str | Family,
    *,
    predictors: Mapping[str, str] | None = None,
    link: str | Mapping[str, str] | None,
    priors: Mapping[str, str | Prior] | None,
    missing: Missing,
    env: Mapping[str, Any] | None,
    structures: Mapping[str, str | Structure] | None = None,
) -> ModelSpec:
    """The model as data, after warning of whatever was left out.

    Raises:
        FormulaError, DataError, FamilyError, PriorError: What was passed does not make a model.
    """
    record, _ = find_family(family, link if isinstance(link, str) else None)
    for name in predictors or {}:
        record.parameter(name)
    read = parse_priors(priors)
    design = build_design(formula, data, predictors=predictors, missing=missing, env=env)
    for name in design.linears:
        record.parameter(name)
    spec = specify(design, record, links_of(record, link, design.linears), read, structures)
    for note in spec.design.notes:
        warn(note, DesignWarning)
    return spec
