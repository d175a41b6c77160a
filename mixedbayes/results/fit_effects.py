"""The verbs of a fit that ask what predictors do: effects, slopes, contrasts, hypotheses, poststratification."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import xarray as xr

from mixedbayes.errors import ArgumentError, is_one_of, shown
from mixedbayes.results.fitted import Fitted
from mixedbayes.results.posterior.addresses import Addresses
from mixedbayes.results.posterior.summary import check_table
from mixedbayes.results.questions import effects, hypothesis, slopes
from mixedbayes.results.questions.effects import Comparison, Over, Pairs, Question, Verb
from mixedbayes.results.questions.poststratify import poststratify
from mixedbayes.results.rows.predict import Kind
from mixedbayes.results.rows.predictor import Groups, NewLevels


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
            at: Values to use for some predictors: a list for x and by, one value for any other. For responses
                also of the number of trials, which is else its mean.
            kind: `"mean"`, `"linear"` or `"response"`, as in `predict`.
            groups: Which group effects take part: `"auto"` for those of groups that are among x, by and at; else
                as in `predict`. A number that groups rows takes the values that occur.
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
        check_table(conf_level, draws=draws)
        question = self._ask("effects", x, by, None, over, at, kind, groups, new_levels, seed)
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

        Steps, as `I(x > 0)` and `floor(x)` make them, are no slopes: what changes in steps alone is refused, and a
        warning says where slopes leave steps out.

        Args:
            x: The predictor, a number: where each row has it, or at its mean over `"reference"`, or at the values
                that `at` names.
            by: As in `effects`.
            over: `"data"`, averaged over its rows, or `"reference"`, as in `effects`.
            at: As in `effects`; `{x: [...]}` for the slope at some values of x.
            kind: `"mean"` or `"linear"`.
            groups: As in `effects`, x not counting; rows stay in their groups, also where x is what groups them.
            new_levels: As in `predict`.
            conf_level: Mass of the equal-tailed interval.
            draws: All draws in place of their summaries.
            seed: The same seed gives the same new levels.

        Returns:
            Columns term (the name of x), x where `at` has it, by, estimate, std_error, conf_low, conf_high.

        Raises:
            ArgumentError: A predictor that has levels, or that the model does not have; an unknown option.
        """
        check_table(conf_level, draws=draws)
        if is_one_of(kind, ("response",)):
            raise ArgumentError("Slopes are of kind 'mean' or 'linear': responses have noise, and no slope.")
        question = self._ask("slopes", x, by, None, over, at, kind, groups, new_levels, seed)
        found = slopes.slopes(question, x)
        if draws:
            return found.array("slope")
        table = found.table(conf_level)
        table.insert(0, "term", x)
        return table

    def contrasts(
        self,
        x: str,
        by: str | Sequence[str] | None = None,
        pairs: Pairs = None,
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
            pairs: `[("b", "a")]` is b less a; None for every later value less every earlier one. Of a number any
                values can be paired.
            compare: `"difference"` or `"ratio"`, of predictions after averaging; NaN where a draw has no ratio.
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
        check_table(conf_level, draws=draws)
        question = self._ask("contrasts", x, by, pairs, over, at, kind, groups, new_levels, seed)
        found = effects.contrasts(question, pairs, compare)
        return found.array(compare) if draws else found.table(conf_level)

    def hypothesis(self, hypotheses: str | Sequence[str], conf_level: float = 0.95) -> pd.DataFrame:
        """The posterior probability of statements about parameters.

        Args:
            hypotheses: A comparison of arithmetic over addresses, or several: `"Days > 5"`,
                `"sd[Subject, Days] / sigma > 0.2"`, `"coef[Subject, 308, Days] > coef[Subject, 309, Days]"`,
                `"(Days > 5) & ~(sigma < 30)"`. Functions are abs, exp, log, sqrt, min and max.
            conf_level: Mass of the equal-tailed interval.

        Returns:
            Columns hypothesis; estimate, std_error, conf_low, conf_high of its left side less its right, NaN where
            a draw of that is infinite; probability, and evidence_ratio: the probability over that of the contrary, infinite where no draw
            contradicts.

        Raises:
            ArgumentError: A hypothesis that cannot be read, that names no parameter of the fit, or of which a side
                is not a number in some draw.
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
            kind: `"mean"` or `"linear"`, as in `predict`.
            groups: As in `predict`.
            new_levels: As in `predict`.
            conf_level: Mass of the equal-tailed interval.
            draws: All draws in place of their summaries.
            seed: The same seed gives the same new levels.

        Returns:
            Columns by, estimate, std_error, conf_low, conf_high. With `draws`, an array with dims chain, draw, cell.

        Raises:
            DataError: The cells lack columns or values, or have weights that are no weights.
            ArgumentError: An unknown option.
        """
        check_table(conf_level, draws=draws)
        predictor = self._predictor(groups, new_levels, seed)
        found = poststratify(self.spec, predictor, cells, weight, _several(by), kind)
        return found.array("poststratified") if draws else found.table(conf_level)

    def _ask(
        self,
        verb: Verb,
        x: str,
        by: str | Sequence[str] | None,
        pairs: Pairs,
        over: Over,
        at: Mapping[str, Any] | None,
        kind: Kind,
        groups: Groups | Literal["auto"],
        new_levels: NewLevels,
        seed: int | None,
    ) -> Question:
        if not isinstance(x, str):
            raise ArgumentError(f"x is the name of one predictor, not {shown(x)}.")
        return effects.ask(
            self.spec,
            self.idata,
            verb,
            x,
            _several(by),
            pairs=pairs,
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
    found = [names] if isinstance(names, str) else names
    if not isinstance(found, Collection) or not all(isinstance(name, str) for name in found):
        raise ArgumentError(f"by is the name of a column or a list of names, not {shown(names)}.")
    return list(found)
