"""Formula × table × family × priors -> `ModelSpec`: the first three rooms in one call."""

from collections.abc import Mapping
from typing import Any

from mixedbayes.designs.build import build_design
from mixedbayes.designs.table import Missing
from mixedbayes.errors import DesignWarning, warn
from mixedbayes.language.formula import MEAN, Formula
from mixedbayes.models.families import Family, find_family
from mixedbayes.models.priors import Prior, parse_priors
from mixedbayes.models.spec import ModelSpec
from mixedbayes.models.specify import specify


def build_spec(
    formula: str | Formula,
    data: Any,
    family: str | Family,
    *,
    link: str | None,
    priors: Mapping[str, str | Prior] | None,
    missing: Missing,
    env: Mapping[str, Any] | None,
) -> ModelSpec:
    """The model as data, after warning of whatever was left out.

    Raises:
        FormulaError, DataError, FamilyError, PriorError: What was passed does not make a model.
    """
    record, its_link = find_family(family, link)
    read = parse_priors(priors)
    spec = specify(build_design(formula, data, missing=missing, env=env), record, {MEAN: its_link}, read)
    for note in spec.design.notes:
        warn(note, DesignWarning)
    return spec
