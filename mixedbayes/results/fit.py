"""A fit: draws and the model they are of. Its verbs are named here; each stands, with its code, in the file named."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import numpy as np
import xarray as xr

from mixedbayes.designs.table import Missing
from mixedbayes.errors import ConvergenceWarning, no_attribute, warn
from mixedbayes.models.priors import Prior
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results import elsewhere, update
from mixedbayes.results.checks import pp_check
from mixedbayes.results.comparison import folds, loo
from mixedbayes.results.files import netcdf
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.record import describe_draws
from mixedbayes.results.questions import effects, hypothesis, poststratify, slopes
from mixedbayes.results.redraws import Redraws
from mixedbayes.results.rows import predict, replicates
from mixedbayes.results.rows.log_likelihood import with_log_likelihood
from mixedbayes.results.tables import forest, shares
from mixedbayes.results.tables import tidy as tables
from mixedbayes.results.tables.report import Report, build_report, terminal_width
from mixedbayes.sampling import FitOptions


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Fitted):
    """What `mb.fit` returns; print it."""

    tidy, summary, plot = tables.tidy, tables.summary, forest.plot
    fixef, ranef, coef, varcorr = tables.fixef, tables.ranef, tables.coef, tables.varcorr
    bayes_r2, icc = shares.bayes_r2, shares.icc
    predict, residuals, simulate = predict.predict, predict.residuals, predict.simulate
    effects, slopes, contrasts = effects.effects, slopes.slopes, effects.contrasts
    hypothesis, poststratify = hypothesis.hypothesis, poststratify.poststratify
    loo, kfold, waic, dic = loo.loo, folds.kfold, loo.waic, loo.dic
    posterior_predictive, pp_check = replicates.posterior_predictive, pp_check.pp_check
    to_netcdf = netcdf.to_netcdf

    if not TYPE_CHECKING:  # for a type checker any name would do

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name, elsewhere.FIT)

    def __post_init__(self) -> None:
        object.__setattr__(self, "idata", with_log_likelihood(self))  # in a tree of its own

    def update(
        self,
        formula: str | None = None,
        *,
        data: Any = None,
        new_rows: Any = None,
        priors: Mapping[str, str | Prior] | None = None,
        missing: Missing = "drop",
        **options: Unpack[FitOptions],
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
            **options: Options of `Model.fit` that are to change; the others are as they were. And changes of the formulas of
                other parameters, `sigma="~ . + x"`.

        Returns:
            The new fit.

        Raises:
            ArgumentError: Nothing is to change, or changes that do not go together.
            MixedBayesError: What was passed does not make a model.
        """
        sampling: Any = {**options}
        own = [parameter.name for parameter in self.spec.family.others]
        predictors = {
            name: sampling.pop(name)
            for name, value in options.items()
            if name in own or (isinstance(value, str) and value.lstrip().startswith("~"))
        }
        update.check_change(formula, data, new_rows, priors, predictors)
        if new_rows is not None:
            spec = update.extended_spec(self.spec, new_rows, missing)
            new = np.arange(self.spec.design.n, spec.design.n)
            return checked_fit(spec, *self.engine.draw(spec, sampling, self.idata, new))
        spec = update.changed_spec(
            self.spec, formula, data, predictors=predictors, priors=priors, missing=missing
        )
        return checked_fit(spec, *self.engine.draw(spec, sampling))

    @property
    def is_beyond_doubt(self) -> bool:
        """Whether draws are independent and many, so that nothing needs to be computed to trust them."""
        return describe_draws(self.idata).are_beyond_doubt

    @cached_property
    def report(self) -> Report:
        """What printing shows, as data: header, sections of rows, notes, complaints."""
        return build_report(self)

    def __str__(self) -> str:
        return self.report.text(terminal_width())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.report.html()


def checked_fit(spec: ModelSpec, idata: xr.DataTree, engine: Redraws) -> Fit:
    """The fit, after warning of whatever is wrong with its draws."""
    fitted = Fit(spec, idata, engine)
    if not fitted.is_beyond_doubt:
        for complaint in fitted.report.complaints:
            warn(complaint, ConvergenceWarning)
    return fitted
