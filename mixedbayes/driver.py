"""The driver: one line a stage, from a formula and a table to a fit."""

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

from mixedbayes.designs.build import build_design
from mixedbayes.designs.design import Design
from mixedbayes.designs.table import Missing
from mixedbayes.errors import FileError, no_attribute
from mixedbayes.inference.elsewhere import ADVICE, unknown_options
from mixedbayes.inference.engine import NAMES, Engine, engine_of
from mixedbayes.inference.prepared import Prepared
from mixedbayes.models.build import build_spec
from mixedbayes.models.families import FAMILIES, Family
from mixedbayes.models.priors import Prior
from mixedbayes.models.structures import Structure
from mixedbayes.models.text import spec_html, spec_text
from mixedbayes.results import elsewhere
from mixedbayes.sampling import FitOptions, Sampling

if TYPE_CHECKING:
    from mixedbayes.results.fit import Fit

MODEL_OPTIONS = ("family", "link", "priors", "structures", "missing", "env")
"""What `fit` can be told of the model; the rest are options of sampling."""


class Model(Prepared):
    """A model that is not fitted yet: printing it shows every parameter with its prior.

    Attributes:
        spec: The model as data.
    """

    if not TYPE_CHECKING:  # for a type checker any name would do

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name, elsewhere.MODEL)

    @property
    def design(self) -> Design:
        """The design IR."""
        return self.spec.design

    def fit(self, **sampling: Unpack[Sampling]) -> "Fit":
        """Draw from the posterior.

        Args:
            **sampling: Any of the following, by name; anything else is refused, with what it is called here.
            method: `"collapsed"` integrates coefficients and group effects out and needs no Markov chains; it
                is for the gaussian family with the identity link and normal or flat priors on coefficients.
                `"nuts"` samples any model. `"auto"`, the default, takes the first that can; the printed fit says
                which. A `Method` of your own is passed itself, or by the name under which it was added to `METHODS`.
            sampler: Of NUTS: `"nutpie"` (the default), `"pymc"`, or with their extras installed `"numpyro"`
                and `"blackjax"`.
            chains: Independent chains; 4.
            draws: Kept draws of each chain; None for 1,000, or for fewer (down to 1,000 in all) where the
                collapsed method finds them costly.
            tune: Adaptation steps of each chain of NUTS, not kept; None for 1,000.
            target_accept: Mean acceptance probability that NUTS aims at, in (0, 1), None for 0.9; raise it
                against divergences.
            seed: The same seed gives the same draws.
            cores: Processors to be used at once, at most: NUTS has a chain on each, None for as many as there are; the
                collapsed method takes one.
            memory: GiB for the collapsed method's draws of group effects, at most; None for 1. Past it fewer of them
                are kept, down to 400, then in single precision, then none; their means and standard deviations are
                over all draws nevertheless. NUTS keeps all draws, and has no use for it.
            progress: Whether to show a progress bar, where there is a terminal or a notebook to show it; True.

        Returns:
            The fit.

        Raises:
            ArgumentError: An option out of range, or that the method has no use for; a sampler that is not installed; or
                a method that the model does not allow.
        """
        from mixedbayes.results.fit import checked_fit  # noqa: PLC0415  # ArviZ takes seconds to import

        return checked_fit(self.spec, *Engine().told(sampling).draw_from(self))

    def __str__(self) -> str:
        return spec_text(self.spec)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return spec_html(self.spec)


def design(
    formula: str, data: Any, *, missing: Missing = "drop", env: Mapping[str, Any] | None = None
) -> Design:
    """Apply a formula to data, without any model.

    Args:
        formula: As in lme4, `y ~ x + (1 + x | g)`; `docs/formulas.md` has the grammar.
        data: A pandas, polars or Arrow table, or a mapping of columns; it is only read.
        missing: `"drop"` leaves out, once, every row with a gap in a column used; `"error"` refuses.
        env: Functions and values, by name, that the formula may use beside the published ones.

    Returns:
        The design IR: response, population-level matrix, blocks, rows; frozen arrays with names.

    Raises:
        FormulaError: The formula cannot be read; the message points at the place.
        DataError: It cannot be applied to these data.
    """
    return build_design(formula, data, missing=missing, env=env)


def model(  # noqa: PLR0913  # what users pass by name
    formula: str,
    data: Any,
    family: str | Family = "gaussian",
    *,
    link: str | Mapping[str, str] | None = None,
    priors: Mapping[str, str | Prior] | None = None,
    structures: Mapping[str, str | Structure] | None = None,
    missing: Missing = "drop",
    env: Mapping[str, Any] | None = None,
    **predictors: Any,
) -> Model:
    """A model, not fitted yet.

    Args:
        formula: As in lme4, `y ~ x + (1 + x | g)`; `docs/formulas.md` has the grammar.
        data: A pandas, polars or Arrow table, or a mapping of columns; it is only read.
        family: Its name, as `docs/formulas.md` lists them, or a record of your own, `mb.Family(...)`.
        link: Of the mean; None for the family's own, the first of its links. Of several parameters by name:
            `{"mu": "log", "sigma": "identity"}`.
        priors: By address, `{"b[x]": "normal(0, 1)", "sd[g]": "exponential(1)"}`; the others are
            defaults scaled by the data, printed with the model.
        structures: What hangs the effects of a group together where that is not what the formula says, by group:
            `{"g": MyStructure()}`, or its name in `STRUCTURES`; `models/structures.py` says how to write one.
        missing: `"drop"` leaves out, once, every row with a gap in a column used; `"error"` refuses.
        env: Functions and values, by name, that the formula may use beside the published ones.
        **predictors: Formulas of other parameters of the family, which else are the same in every row:
            `sigma="~ x + (1 | g)"`. Anything else is refused, with what it is called here.

    Returns:
        The model; print it, look at `.pymc`, or call `.fit()`.

    Raises:
        FormulaError, DataError, FamilyError, PriorError: What was passed does not make a model; the
            message says what, where and what to do.
    """
    _check_predictors(predictors, MODEL_OPTIONS)
    return Model(
        build_spec(
            formula,
            data,
            family,
            predictors=predictors,
            link=link,
            priors=priors,
            missing=missing,
            env=env,
            structures=structures,
        )
    )


def _check_predictors(predictors: Mapping[str, Any], options: tuple[str, ...]) -> None:
    """Refuse what is no formula of a parameter that some family has."""
    unknown = {
        name: value
        for name, value in predictors.items()
        if name not in _parameters()
        and (name in ADVICE or not (isinstance(value, str) and value.lstrip().startswith("~")))
    }
    if unknown:
        raise unknown_options(unknown, options)


def _parameters() -> set[str]:
    """The parameters beside the mean of all families."""
    return {parameter.name for family in FAMILIES.values() for parameter in family.others}


def fit(  # noqa: PLR0913  # what users pass by name
    formula: str,
    data: Any,
    family: str | Family = "gaussian",
    *,
    link: str | Mapping[str, str] | None = None,
    priors: Mapping[str, str | Prior] | None = None,
    structures: Mapping[str, str | Structure] | None = None,
    missing: Missing = "drop",
    env: Mapping[str, Any] | None = None,
    **options: Unpack[FitOptions],
) -> "Fit":
    """Fit a model: `model(...)` and then its `.fit(...)`.

    Args:
        formula: As in lme4, `y ~ x + (1 + x | g)`; `docs/formulas.md` has the grammar.
        data: A pandas, polars or Arrow table, or a mapping of columns; it is only read.
        family: Its name or a record of your own; see `model`.
        link: Of the mean; None for the family's own.
        priors: By address, `{"b[x]": "normal(0, 1)", "sd[g]": "exponential(1)"}`.
        structures: What hangs the effects of a group together, by group: `{"g": MyStructure()}`.
        missing: `"drop"` or `"error"`.
        env: Functions and values that the formula may use beside the published ones.
        **options: Options of `Model.fit`: method, chains, draws, seed, cores, memory, progress, and for NUTS
            sampler, tune, target_accept. And formulas of other parameters of the family: `sigma="~ x + (1 | g)"`.

    Returns:
        The fit: print it, or take `.tidy()`, `.fixef()`, `.ranef()`, `.coef()`, `.varcorr()`, `.idata`.

    Raises:
        MixedBayesError: What was passed does not make a model; see `model` and `Model.fit`.
    """
    given: dict[str, Any] = {**options}
    predictors = {name: given.pop(name) for name in options if name not in NAMES}
    _check_predictors(predictors, (*MODEL_OPTIONS, *NAMES))  # before the data are looked at
    unfitted = model(
        formula,
        data,
        family,
        link=link,
        priors=priors,
        structures=structures,
        missing=missing,
        env=env,
        **predictors,
    )
    return unfitted.fit(**given)


def load(
    path: str | PathLike[str],
    *,
    env: Mapping[str, Any] | None = None,
    family: Family | None = None,
    structures: Mapping[str, Structure] | None = None,
) -> "Fit":
    """Read a fit that `Fit.to_netcdf` saved.

    Args:
        path: The file.
        env: The functions and values that the formula used, if it was fitted with `env`.
        family: The record of the family, if it was fitted with one of your own.
        structures: By group the records of structures, if it was fitted with some of your own.

    Returns:
        The fit, as it was saved.

    Raises:
        FileError: There is no such file, or it holds no fit.
    """
    from mixedbayes.results.files.netcdf import read  # noqa: PLC0415  # as above
    from mixedbayes.results.fit import Fit  # noqa: PLC0415  # ArviZ takes seconds to import

    spec, idata = read(path, env, family, structures)
    try:
        engine = engine_of(idata)
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FileError(f"{path} is damaged: how its draws were made cannot be read.") from error
    return Fit(spec, idata, engine)
