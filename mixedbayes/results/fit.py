"""A fit: draws and the model they are of. Its verbs are in the files whose names begin with `fit_`."""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike

import xarray as xr

from mixedbayes.errors import ConvergenceWarning, warn
from mixedbayes.model.spec import ModelSpec
from mixedbayes.results import storage
from mixedbayes.results.diagnostics import describe_draws
from mixedbayes.results.engine import Engine
from mixedbayes.results.fit_comparisons import FitComparisons
from mixedbayes.results.fit_effects import FitEffects
from mixedbayes.results.fit_predictions import FitPredictions
from mixedbayes.results.fit_tables import FitTables
from mixedbayes.results.log_likelihood import add_log_likelihood
from mixedbayes.results.report import Report, build_report


@dataclass(frozen=True, eq=False, repr=False)
class Fit(FitTables, FitPredictions, FitEffects, FitComparisons):
    """What `mb.fit` returns; print it."""

    def __post_init__(self) -> None:
        add_log_likelihood(self.spec, self.idata)

    def to_netcdf(self, path: str | PathLike[str]) -> None:
        """Save draws, data and model in one netCDF file, which `mb.load` reads back.

        Raises:
            FileError: The file cannot be written.
        """
        storage.save(self.spec, self.idata, path)

    @property
    def is_beyond_doubt(self) -> bool:
        """Whether draws are independent and many, so that nothing needs to be computed to trust them."""
        return describe_draws(self.idata).are_beyond_doubt

    @cached_property
    def report(self) -> Report:
        """What printing shows, as data: header, sections of rows, notes, complaints."""
        return build_report(self.spec, self.idata)

    def __str__(self) -> str:
        return self.report.text()

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
