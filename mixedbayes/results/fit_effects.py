"""The verbs of a fit that ask what predictors do: effects, slopes, contrasts, hypotheses, poststratification."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import xarray as xr

from mixedbayes.errors import ArgumentError
from mixedbayes.results import effects, hypothesis
from mixedbayes.results.addresses import Addresses
from mixedbayes.results.effects import Comparison, Over, Question
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.poststratify import poststratify
from mixedbayes.results.predict import Kind
from mixedbayes.results.predictor import Groups, NewLevels


class FitEffects(Fitted):
    """What predictors do."""

    def effects(
        self,
        x: str,
        by: str | Sequence[str] | None = None,
        over: Over = "reference",
        at: Mapping[str, Any] | None = None,
        kind: Kind = "mean",
        groups: Groups | Literal["auto"] = "auto",
        new_levels: NewLevels = "sample",
        conf_level: float = 0.95,
        draws: bool = False,
        seed: int | None = None,
    ) -> pd.DataFrame | xr.DataArray:
        """Predictions over the values of a predictor, by those of others.

        Args:
            x: The predictor: all its levels, the numbers that occur if they are few, else 25 over their range.
            by: Others, for each of whose levels to predict; of numbers with many values for the mean, and a
                standard deviation below and above it.
            over: What the other predictors are: `"reference"`, numbers at their means and factors at their first
                levels; `"data"`, as they are in each row of the data, over which predictions are averaged.
            at: Values to use for some predictors: a list for x and by, one value for any other.
            kind: `"mean"`, `"linear"` or `"response"`, as in `predict`.
            groups: Which group effects take part: `"auto"` for those of groups that are among x and by; else as
                in `predict`.
            new_levels: As in `predict`.
            conf_level: Mass of the equal-tailed interval.
            draws: All draws in place of their summaries.
            seed: The same seed gives the same new levels and responses.

        Returns:
            Columns x, by, estimate, std_error, conf_low, conf_high. With `draws`, an array with dims chain, draw,
            x, by.

        Raises:
            ArgumentError: A predictor that the model does not have, or an unknown option.
            DataError: A value that the model has not learned.
        """
        question = self._ask([x, *_several(by)], over, at, kind, groups, new_levels, seed)
        found = question.grid()
        return found.array(kind) if draws else found.table(conf_level)

    def slopes(
        self,
        x: str,
        by: str | Sequence[str] | None = None,
        over: Over = "data",
        at: Mapping[str, Any] | None = None,
        kind: Kind = "mean",
        groups: Groups | Literal["auto"] = "auto",
        new_levels: NewLevels = "sample",
        conf_level: float = 0.95,
        draws: bool = False,
        seed: int | None = None,
    ) -> pd.DataFrame | xr.DataArray:
        """The derivative of the prediction by a number: how much it rises for one more.

        Args:
            x: The predictor, a number: where each row has it, or at its mean over `"reference"`, or at the values
                that `at` names.
            by: As in `effects`.
            over: `"data"`, averaged over its rows, or `"reference"`, as in `effects`.
            at: As in `effects`; `{x: [...]}` for the slope at some values of x.
            kind: `"mean"` or `"linear"`.
            groups: As in `effects`.
            new_levels: As in `predict`.
            conf_level: Mass of the equal-tailed interval.
            draws: All draws in place of their summaries.
            seed: The same seed gives the same new levels.

        Returns:
            Columns term (the name of x), x where `at` has it, by, estimate, std_error, conf_low, conf_high.

        Raises:
            ArgumentError: A predictor that has levels, or that the model does not have; an unknown option.
        """
        if kind == "response":
            raise ArgumentError("Slopes are of kind 'mean' or 'linear': responses have noise, and no slope.")
        along = [x] if x in (at or {}) else []
        question = self._ask([*along, *_several(by)], over, at, kind, groups, new_levels, seed, x)
        found = effects.slopes(question, x)
        if draws:
            return found.array("slope")
        table = found.table(conf_level)
        table.insert(0, "term", x)
        return table

    def contrasts(
        self,
        x: str,
        by: str | Sequence[str] | None = None,
        pairs: Sequence[tuple[Any, Any]] | None = None,
        compare: Comparison = "difference",
        over: Over = "reference",
        at: Mapping[str, Any] | None = None,
        kind: Kind = "mean",
        groups: Groups | Literal["auto"] = "auto",
        new_levels: NewLevels = "sample",
        conf_level: float = 0.95,
        draws: bool = False,
        seed: int | None = None,
    ) -> pd.DataFrame | xr.DataArray:
        """Predictions at pairs of values of a predictor, one less or over the other.

        Args:
            x: The predictor.
            by: As in `effects`: pairs are compared within each of its levels.
            pairs: `[("b", "a")]` is b less a; None for every later value less every earlier one.
            compare: `"difference"` or `"ratio"`, of predictions after averaging.
            over: As in `effects`.
            at: As in `effects`; `{x: [...]}` for the values to compare.
            kind: The scale, `"mean"` (of the response) or `"linear"` (of the link); or `"response"`.
            groups: As in `effects`.
            new_levels: As in `predict`.
            conf_level: Mass of the equal-tailed interval.
            draws: All draws in place of their summaries.
            seed: The same seed gives the same new levels and responses.

        Returns:
            Columns contrast (`b - a`, `b / a`), by, estimate, std_error, conf_low, conf_high.

        Raises:
            ArgumentError: A predictor or a value that is not there, or an unknown option.
        """
        question = self._ask([x, *_several(by)], over, at, kind, groups, new_levels, seed)
        found = effects.contrasts(question, pairs, compare)
        return found.array(compare) if draws else found.table(conf_level)

    def hypothesis(self, hypotheses: str | Sequence[str], conf_level: float = 0.95) -> pd.DataFrame:
        """The posterior probability of statements about parameters.

        Args:
            hypotheses: A comparison of arithmetic over addresses, or several: `"Days > 5"`,
                `"sd[Subject, Days] / sigma > 0.2"`, `"coef[Subject, 308, Days] > coef[Subject, 309, Days]"`,
                `"(Days > 5) & (sigma < 30)"`. Functions are abs, exp, log, sqrt, min and max.
            conf_level: Mass of the equal-tailed interval.

        Returns:
            Columns hypothesis; estimate, std_error, conf_low, conf_high of its left side less its right;
            probability, and evidence_ratio: the probability over that of the contrary, infinite where no draw
            contradicts.

        Raises:
            ArgumentError: A hypothesis that cannot be read, or that names no parameter of the fit.
        """
        return hypothesis.weigh(Addresses(self.spec, self.idata), hypotheses, conf_level)

    def poststratify(
        self,
        cells: Any,
        weight: str = "n",
        by: str | Sequence[str] | None = None,
        kind: Kind = "mean",
        groups: Groups = "all",
        new_levels: NewLevels = "sample",
        conf_level: float = 0.95,
        draws: bool = False,
        seed: int | None = None,
    ) -> pd.DataFrame | xr.DataArray:
        """Predictions averaged over the cells of a population, such as a census has them.

        Args:
            cells: A table with a row for each cell, with the model's predictors and groups.
            weight: The column with the number of people in each cell.
            by: Columns, for each of whose combinations to average; None for the whole population.
            kind: As in `predict`.
            groups: As in `predict`.
            new_levels: As in `predict`.
            conf_level: Mass of the equal-tailed interval.
            draws: All draws in place of their summaries.
            seed: The same seed gives the same new levels and responses.

        Returns:
            Columns by, estimate, std_error, conf_low, conf_high. With `draws`, an array with dims chain, draw, cell.

        Raises:
            DataError: The cells lack columns or values, or have weights that are no weights.
        """
        predictor = self._predictor(groups, new_levels, seed)
        found = poststratify(self.spec, predictor, cells, weight, _several(by), kind)
        return found.array("poststratified") if draws else found.table(conf_level)

    def _ask(
        self,
        focal: Sequence[str],
        over: Over,
        at: Mapping[str, Any] | None,
        kind: Kind,
        groups: Groups | Literal["auto"],
        new_levels: NewLevels,
        seed: int | None,
        *moved: str,
    ) -> Question:
        return effects.ask(
            self.spec,
            self.idata,
            focal,
            moved=moved,
            over=over,
            at=at,
            kind=kind,
            groups=groups,
            new_levels=new_levels,
            seed=seed,
        )


def _several(names: str | Sequence[str] | None) -> list[str]:
    """None, one name or several, as a list."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)
