"""The driver: one line a stage, from a formula and a table to a fit."""

from collections.abc import Mapping
from dataclasses import fields
from os import PathLike
from typing import TYPE_CHECKING, Any

from mixedbayes.designs.design import Design, build_design
from mixedbayes.designs.table import Missing
from mixedbayes.errors import FileError
from mixedbayes.inference.elsewhere import unknown_options
from mixedbayes.inference.engine import Engine, Prepared, engine_of
from mixedbayes.inference.options import Options
from mixedbayes.models.build import build_spec
from mixedbayes.models.families import Family
from mixedbayes.models.priors import Prior
from mixedbayes.models.text import spec_html, spec_text

if TYPE_CHECKING:
    from mixedbayes.results.fit import Fit

MODEL_OPTIONS = ("family", "link", "priors", "missing", "env")
OPTIONS = tuple(option.name for option in fields(Options))
"""What `fit` can be told of the model, and of sampling."""


class Model(Prepared):
    """A model that is not fitted yet: printing it shows every parameter with its prior.

    Attributes:
        spec: The model as data.
    """

    @property
    def design(self) -> Design:
        """The design IR."""
        return self.spec.design

    def fit(
        self,
        *,
        method: str = "auto",
        sampler: str | None = None,
        chains: int = 4,
        draws: int | None = None,
        tune: int | None = None,
        target_accept: float | None = None,
        seed: int | None = None,
        cores: int | None = None,
        memory: float = 1.0,
        progress: bool = True,
        **unknown: Any,
    ) -> "Fit":
        """Draw from the posterior.

        Args:
            method: `"collapsed"` integrates coefficients and group effects out and needs no Markov chains; it
                is for the gaussian family with the identity link and normal or flat priors on coefficients.
                `"nuts"` samples any model. `"auto"` takes the first where it can; the printed fit says which.
            sampler: Of NUTS: `"nutpie"` (the default), `"pymc"`, or with their extras installed `"numpyro"`
                and `"blackjax"`.
            chains: Independent chains.
            draws: Kept draws of each chain; None for 1,000, or for fewer (down to 1,000 in all) where the
                collapsed method finds them costly.
            tune: Adaptation steps of each chain of NUTS, not kept; None for 1,000.
            target_accept: Mean acceptance probability that NUTS aims at, in (0, 1), None for 0.9; raise it
                against divergences.
            seed: The same seed gives the same draws.
            cores: Chains of NUTS at once; None for as many as there are processors. The collapsed method has
                one thread.
            memory: GiB for the collapsed method's draws of group effects. Past it fewer of them are kept, down
                to 400, then in single precision, then none; their means and standard deviations are over all
                draws nevertheless.
            progress: Whether to show a progress bar, where there is a terminal or a notebook to show it.
            **unknown: Anything else is refused, with what it is called here.

        Returns:
            The fit.

        Raises:
            ArgumentError: An option out of range, a sampler that is not installed, or a method that the
                model does not allow.
        """
        from mixedbayes.results.fit import checked_fit  # noqa: PLC0415  # ArviZ takes seconds to import

        if unknown:
            raise unknown_options(unknown, OPTIONS)
        options = Options(method, sampler, chains, draws, tune, target_accept, seed, cores, memory, progress)
        return checked_fit(self.spec, *Engine(options).draw(self))

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


def model(
    formula: str,
    data: Any,
    family: str | Family = "gaussian",
    *,
    link: str | None = None,
    priors: Mapping[str, str | Prior] | None = None,
    missing: Missing = "drop",
    env: Mapping[str, Any] | None = None,
    **unknown: Any,
) -> Model:
    """A model, not fitted yet.

    Args:
        formula: As in lme4, `y ~ x + (1 + x | g)`; `docs/formulas.md` has the grammar.
        data: A pandas, polars or Arrow table, or a mapping of columns; it is only read.
        family: Its name, as `docs/formulas.md` lists them, or a record of your own, `mb.Family(...)`.
        link: Of the mean; None for the family's own, the first of its links.
        priors: By address, `{"b[x]": "normal(0, 1)", "sd[g]": "exponential(1)"}`; the others are
            defaults scaled by the data, printed with the model.
        missing: `"drop"` leaves out, once, every row with a gap in a column used; `"error"` refuses.
        env: Functions and values, by name, that the formula may use beside the published ones.
        **unknown: Anything else is refused, with what it is called here.

    Returns:
        The model; print it, look at `.pymc`, or call `.fit()`.

    Raises:
        FormulaError, DataError, FamilyError, PriorError: What was passed does not make a model; the
            message says what, where and what to do.
    """
    if unknown:
        raise unknown_options(unknown, MODEL_OPTIONS)
    return Model(build_spec(formula, data, family, link=link, priors=priors, missing=missing, env=env))


def fit(
    formula: str,
    data: Any,
    family: str | Family = "gaussian",
    *,
    link: str | None = None,
    priors: Mapping[str, str | Prior] | None = None,
    missing: Missing = "drop",
    env: Mapping[str, Any] | None = None,
    **sampling: Any,
) -> "Fit":
    """Fit a model: `model(...)` and then its `.fit(...)`.

    Args:
        formula: As in lme4, `y ~ x + (1 + x | g)`; `docs/formulas.md` has the grammar.
        data: A pandas, polars or Arrow table, or a mapping of columns; it is only read.
        family: Its name or a record of your own; see `model`.
        link: Of the mean; None for the family's own.
        priors: By address, `{"b[x]": "normal(0, 1)", "sd[g]": "exponential(1)"}`.
        missing: `"drop"` or `"error"`.
        env: Functions and values that the formula may use beside the published ones.
        **sampling: Options of `Model.fit`: method, chains, draws, seed, cores, memory, progress, and for NUTS
            sampler, tune, target_accept.

    Returns:
        The fit: print it, or take `.tidy()`, `.fixef()`, `.ranef()`, `.coef()`, `.varcorr()`, `.idata`.

    Raises:
        MixedBayesError: What was passed does not make a model; see `model` and `Model.fit`.
    """
    if unknown := [name for name in sampling if name not in OPTIONS]:  # before the data are looked at
        raise unknown_options(unknown, (*MODEL_OPTIONS, *OPTIONS))
    unfitted = model(formula, data, family, link=link, priors=priors, missing=missing, env=env)
    return unfitted.fit(**sampling)


def load(
    path: str | PathLike[str], *, env: Mapping[str, Any] | None = None, family: Family | None = None
) -> "Fit":
    """Read a fit that `Fit.to_netcdf` saved.

    Args:
        path: The file.
        env: The functions and values that the formula used, if it was fitted with `env`.
        family: The record of the family, if it was fitted with one of your own.

    Returns:
        The fit, as it was saved.

    Raises:
        FileError: There is no such file, or it holds no fit.
    """
    from mixedbayes.results.files.netcdf import read  # noqa: PLC0415  # as above
    from mixedbayes.results.fit import Fit  # noqa: PLC0415  # ArviZ takes seconds to import

    spec, idata = read(path, env, family)
    try:
        engine = engine_of(idata)
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FileError(f"{path} is damaged: how its draws were made cannot be read.") from error
    return Fit(spec, idata, engine)
