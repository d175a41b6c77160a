"""A fit: draws and the model they are of. Its verbs are in the files whose names begin with `fit_`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, Unpack

import numpy as np
import xarray as xr

from mixedbayes.designs.table import Missing
from mixedbayes.errors import ConvergenceWarning, warn
from mixedbayes.models.priors import Prior
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results import update
from mixedbayes.results.engine import Engine
from mixedbayes.results.files import netcdf
from mixedbayes.results.fit_checks import FitChecks
from mixedbayes.results.fit_comparisons import FitComparisons
from mixedbayes.results.fit_effects import FitEffects
from mixedbayes.results.fit_predictions import FitPredictions
from mixedbayes.results.fit_tables import FitTables
from mixedbayes.results.posterior.record import describe_draws
from mixedbayes.results.rows.log_likelihood import add_log_likelihood
from mixedbayes.results.tables.report import Report, build_report, terminal_width
from mixedbayes.sampling import Sampling


@dataclass(frozen=True, eq=False, repr=False)
class Fit(FitTables, FitPredictions, FitEffects, FitComparisons, FitChecks):
    """What `mb.fit` returns; print it."""

    def __post_init__(self) -> None:
        add_log_likelihood(self.spec, self.idata)

    def update(
        self,
        formula: str | None = None,
        *,
        data: Any = None,
        new_rows: Any = None,
        priors: Mapping[str, str | Prior] | None = None,
        missing: Missing = "drop",
        **sampling: Unpack[Sampling],
    ) -> "Fit":
        """The fit of a changed model, of other data, or of more rows; this one stays as it is.

        Args:
            formula: The change, as in R: `"~ . - Days"`, `"log(.) ~ . + x"`; a dot stands for what was there.
            data: Other data. None for those of this fit, of which it keeps the columns that it used.
            new_rows: Rows more, of old groups and new. Priors, centring and what transforms learned stay as they
                are, so that fitting in pieces is fitting at once. Where the fit was made in closed form, sums over the
                new rows are added to those over the old ones, which are not summed again (but once, if the fit was read
                from a file); else Markov chains begin about the old draws.
            priors: In place of this fit's; None keeps them.
            missing: `"drop"` or `"error"`.
            **sampling: Options of `Model.fit` that are to change; the others are as they were.

        Returns:
            The new fit.

        Raises:
            ArgumentError: Nothing is to change, or changes that do not go together.
            MixedBayesError: What was passed does not make a model.
        """
        update.check_change(formula, data, new_rows, priors)
        if new_rows is not None:
            spec = update.extended_spec(self.spec, new_rows, missing)
            new = np.arange(self.spec.design.n, spec.design.n)
            return checked_fit(spec, *self.engine.draw(spec, sampling, self.idata, new))
        spec = update.changed_spec(self.spec, formula, data, priors=priors, missing=missing)
        return checked_fit(spec, *self.engine.draw(spec, sampling))

    def to_netcdf(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Save draws, data and model in one netCDF file, which `mb.load` reads back.

        The file is written beside its place and then moved there: an interrupt or a full disk leaves what was.

        Args:
            path: The file. One that holds a fit is replaced.
            overwrite: Whether to replace a file that holds something else, too.

        Raises:
            ArgumentError: That is no path.
            FileError: The file cannot be written, or there is one that holds something else.
        """
        netcdf.save(self.spec, self.idata, path, overwrite=overwrite)

    @property
    def is_beyond_doubt(self) -> bool:
        """Whether draws are independent and many, so that nothing needs to be computed to trust them."""
        return describe_draws(self.idata).are_beyond_doubt

    @cached_property
    def report(self) -> Report:
        """What printing shows, as data: header, sections of rows, notes, complaints."""
        return build_report(self.spec, self.idata)

    def __str__(self) -> str:
        return self.report.text(terminal_width())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.report.html()


def checked_fit(spec: ModelSpec, idata: xr.DataTree, engine: Engine) -> Fit:
    """The fit, after warning of whatever is wrong with its draws."""
    fitted = Fit(spec, idata, engine)
    if not fitted.is_beyond_doubt:
        for complaint in fitted.report.complaints:
            warn(complaint, ConvergenceWarning)
    return fitted
