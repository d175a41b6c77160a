"""Terms × columns -> a matrix with named columns, and the recipe that makes it again from new data.

Formulaic multiplies, codes and names the columns; this file evaluates its factors without `eval` and
chooses between contrasts and full dummies by R's rule.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError
from formulaic.formula import SimpleFormula
from formulaic.materializers import PandasMaterializer
from formulaic.materializers.types import FactorValues, ScopedFactor, ScopedTerm
from formulaic.parser.types import Factor, Term
from interface_meta import override

from mixedbayes.designs.columns import finite
from mixedbayes.designs.evaluate import Scope, evaluate
from mixedbayes.errors import DataError, counted, listed
from mixedbayes.language.formula import INTERCEPT, expression_of, term_text

MAX_CELLS = 500_000_000
"""Cells (8 bytes each) of the largest matrix that is built."""

MAX_COLUMNS = 5_000
"""Columns of the widest matrix that is built."""

MAX_EFFECTS = 100
"""Effects of one bar term: so many have 4,950 correlations, and no sampler comes to an end with more."""


class EncodedFactor(dict[str, Any]):
    """The columns of one factor of a term, by name.

    Attributes:
        factor: Its text.
        is_categorical: Whether it has levels.
    """

    def __init__(self, columns: Mapping[str, Any], factor: str, *, is_categorical: bool) -> None:
        super().__init__(columns)
        self.factor, self.is_categorical = factor, is_categorical


@dataclass(frozen=True, eq=False, slots=True)
class Recipe:
    """How terms become columns: what was learned from the data, to do the same to new data.

    Attributes:
        spec: Formulaic's record of the columns, the states of transforms and the levels of factors.
        columns: Names of the columns.
    """

    spec: ModelSpec
    columns: tuple[str, ...]

    @property
    def intercept(self) -> int | None:
        """The place of the intercept among the columns; None if there is none."""
        before = 0
        for part in self.spec.structure:
            if part.term == INTERCEPT:
                return before
            before += len(part.columns)
        return None

    @property
    def empty(self) -> tuple[str, ...]:
        """The terms that gave no column: a factor with one level has no contrast."""
        return tuple(term_text(part.term) for part in self.spec.structure if not part.columns)

    @property
    def factors(self) -> tuple[str, ...]:
        """The categorical factors among the terms' factors."""
        coded = self.spec.encoder_state.items()
        return tuple(name for name, (kind, _) in coded if kind is Factor.Kind.CATEGORICAL)

    def encode(self, columns: pd.DataFrame, env: Mapping[str, Any]) -> np.ndarray:
        """The same columns from new data.

        Raises:
            DataError: A factor has a level that the recipe has not learned.
        """
        return _matrix(self.spec, columns, env)[0]


def build_matrix(
    terms: Sequence[Term],
    columns: pd.DataFrame,
    env: Mapping[str, Any],
    *,
    of_group: bool = False,
    about_means: bool = False,
) -> tuple[np.ndarray, Recipe]:
    """The matrix of the terms, shape (n, p), and its recipe; the effects of a group are fewer.

    Args:
        terms: Of a formula's population level, or of a bar's left side.
        columns: Of the data.
        env: Functions and values by name.
        of_group: Whether these are the effects of a group, of which there are fewer.
        about_means: Whether each numeric factor is taken about its mean before products are formed.

    Raises:
        DataError: A factor that cannot be computed, is not finite, or has too many columns.
    """
    formula = SimpleFormula(list(terms), _ordering="none")
    spec = ModelSpec(formula=formula, output="numpy", na_action="ignore")
    return _matrix(spec, columns, env, of_group=of_group, about_means=about_means)


def _matrix(
    spec: ModelSpec,
    columns: pd.DataFrame,
    env: Mapping[str, Any],
    *,
    of_group: bool = False,
    about_means: bool = False,
) -> tuple[np.ndarray, Recipe]:
    materializer = Materializer(columns, env)
    materializer.of_group, materializer.about_means = of_group, about_means
    try:
        with np.errstate(all="ignore"):
            matrix = materializer.get_model_matrix(spec)
    except FormulaicError as error:
        if isinstance(error.__cause__, DataError):
            raise error.__cause__ from None
        raise DataError(str(error).split("\n", 1)[0]) from error
    names = tuple(matrix.model_spec.column_names)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"Two predictors would both be named {twice[0]!r}; rename a column or a level.")
    values = np.asarray(matrix, dtype=float).reshape(len(columns), len(names))
    wrong = [name for name, column in zip(names, values.T, strict=True) if not np.isfinite(column).all()]
    if wrong:
        raise DataError(f"{listed(wrong)}: not a finite number in every row.")
    values.flags.writeable = False
    return values, Recipe(matrix.model_spec, names)


class Materializer(PandasMaterializer):  # type: ignore[misc]  # formulaic is typed loosely
    """Formulaic's builder for pandas, with our evaluation and R's contrasts."""

    width = 0
    evaluated = 0
    about_means = False
    of_group = False

    @override
    def _lookup(self, name: str) -> tuple[Any, set[Any]]:
        column = expression_of(Factor(name, eval_method="lookup"))
        value = _usable(evaluate(column, Scope(self.data, self.context)), name, self.data.index)
        return _about_mean(value) if self.about_means else value, set()

    @override
    def _evaluate(self, expr: str, metadata: Any, spec: ModelSpec) -> tuple[Any, set[Any]]:  # noqa: ARG002  # formulaic gives it
        expression = expression_of(Factor(expr, eval_method="python"))
        value = evaluate(expression, Scope(self.data, self.context, spec.transform_state))
        self.evaluated += self._check_size([expr], _columns_of(value), self.evaluated)
        usable = _usable(value, expr, self.data.index)
        return _about_mean(usable) if self.about_means else usable, set()

    @override
    def _is_categorical(self, values: Any) -> bool:
        plain = values.__wrapped__ if isinstance(values, FactorValues) else values
        is_boolean = getattr(getattr(plain, "dtype", None), "kind", "") == "b"
        return is_boolean or super()._is_categorical(values)

    @override
    def _get_scoped_terms(
        self,
        terms: Iterable[Term],
        ensure_full_rank: bool = True,  # noqa: ARG002  # formulaic gives it
    ) -> Iterator[tuple[Term, list[ScopedTerm]]]:
        """Contrasts or full dummies for each factor of each term, as R's `model.matrix` decides.

        A factor is coded by contrasts if its term without it lies within an earlier term (or is
        nothing), else by full dummies; without an intercept, the first factor that occurs gets full
        dummies whatever the rule said. Source: R, `TermCode` and `modelmatrix` in
        src/library/stats/src/model.c; Chambers & Hastie (1992), p. 38.
        """
        terms = list(terms)
        earlier: list[set[str]] = []
        dummies_due = INTERCEPT not in terms
        for term in terms:
            evaluated = [self.factor_cache[factor.expr] for factor in term.factors]
            constants = [factor for factor in evaluated if factor.metadata.kind is Factor.Kind.CONSTANT]
            varying = [factor for factor in evaluated if factor.metadata.kind is not Factor.Kind.CONSTANT]
            names = {factor.expr for factor in varying}
            scoped = []
            for factor in varying:
                margin = names - {factor.expr}
                categorical = bool(factor.metadata.spans_intercept)
                reduced = categorical and (not margin or any(margin <= other for other in earlier))
                if categorical and dummies_due:
                    reduced = dummies_due = False
                scoped.append(ScopedFactor(factor, reduced=reduced))
            if names:
                earlier.append(names)
            yield term, [ScopedTerm(scoped, scale=prod(float(factor.values) for factor in constants))]

    @override
    def _encode_evaled_factor(
        self, factor: Any, spec: ModelSpec, drop_rows: Any, reduced_rank: bool = False
    ) -> dict[str, Any]:
        is_categorical = factor.metadata.kind is Factor.Kind.CATEGORICAL
        if is_categorical:
            values = factor.values.__wrapped__  # noqa: PD011  # of formulaic
            if np.ndim(values) != 1:
                raise DataError(f"{factor.expr}: the levels of a factor are those of one column.")
            levels = pd.unique(pd.Series(values))
            known = spec.encoder_state.get(factor.expr, (None, {}))[1].get("categories")
            if known is not None and (new := [level for level in levels.tolist() if level not in set(known)]):
                raise DataError(
                    f"{factor.expr} has {counted(len(new), 'level')} that the model has not seen: {listed(map(repr, new))}. It knows {listed(map(repr, known), 20)}."
                )
            self._check_size([factor.expr], len(levels), self.width, groups=[factor.expr])
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", DataMismatchWarning)  # levels=[...] that leave some out
                encoded = super()._encode_evaled_factor(factor, spec, drop_rows, reduced_rank)
                return EncodedFactor(encoded, factor.expr, is_categorical=is_categorical)
        except DataMismatchWarning as error:
            raise DataError(f"{factor.expr} names only some of the levels that occur.") from error
        except (FormulaicError, ValueError, TypeError, LookupError) as error:  # contrasts that do not fit
            said = str(error).rstrip(".")
            has = f" Its levels are {listed(map(repr, levels.tolist()))}." if is_categorical else ""
            raise DataError(f"{factor.expr} cannot be coded: {said}.{has}") from error

    @override
    def _get_columns_for_term(
        self, factors: list[EncodedFactor], spec: ModelSpec, scale: float = 1
    ) -> dict[str, Any]:
        names = [factor.factor for factor in factors]
        groups = [factor.factor for factor in factors if factor.is_categorical]
        columns = prod(len(factor) for factor in factors)
        self.width += self._check_size(names, columns, self.width, groups=groups)
        return super()._get_columns_for_term(factors, spec, scale)

    def _check_size(
        self, factors: Sequence[str], columns: int, before: int, groups: Sequence[str] = ()
    ) -> int:
        """The number of columns, if there is room for so many of a product of factors beside those before."""
        width, name = before + columns, ":".join(factors)
        meant = f" Is {':'.join(groups)} a group, (1 | {':'.join(groups)})?" if groups else ""
        if self.of_group and width > MAX_EFFECTS:
            raise DataError(
                f"{name} would make {columns:,} effects for each level of a group, which has at most {MAX_EFFECTS}.{meant}"
            )
        if width > MAX_COLUMNS or width * len(self.data) > MAX_CELLS:
            raise DataError(
                f"{name} would make {columns:,} columns over {len(self.data):,} rows, too many to hold.{meant}"
            )
        return columns


def _about_mean(value: Any) -> Any:
    """Numbers about their mean; bases and categories as they are."""
    if getattr(getattr(value, "dtype", None), "kind", "O") in "iuf" and np.ndim(value) == 1:
        return value - value.mean()
    return value


def _columns_of(value: Any) -> int:
    """Columns that a factor's value takes in memory."""
    plain = value.__wrapped__ if isinstance(value, FactorValues) else value
    if isinstance(plain, dict):
        return sum(map(_columns_of, plain.values()))
    return int(np.prod(np.shape(plain)[1:], dtype=float))


def _usable(value: Any, name: str, index: pd.Index) -> Any:
    """The value of a factor, if it can be columns of a matrix."""
    plain = value.__wrapped__ if isinstance(value, FactorValues) else value
    if isinstance(plain, dict):  # a basis, by the names of its columns
        for key, part in plain.items():
            if str(key).startswith("__"):  # formulaic would take it for a note to itself
                raise DataError(f"{name}: {key!r} cannot name a column.")
            if getattr(getattr(part, "dtype", None), "kind", "O") not in "biuf":
                raise DataError(f"{name} gives neither numbers nor categories.")
            _usable(part, name, index)
        return value
    if isinstance(plain, pd.Series) and plain.dtype.kind == "M":
        raise DataError(
            f"{name} holds dates; as a predictor make it a number first, such as days since the start."
        )
    if isinstance(plain, list | str) or plain is None:
        raise DataError(f"{name} is no column: it is {type(plain).__name__}.")
    if np.shape(plain)[1:] == (0,):
        raise DataError(f"{name} gives no column.")
    if np.ndim(plain) == 0 or len(plain) != len(index):
        raise DataError(f"{name} does not give one value for each of the {len(index):,} rows.")
    if isinstance(plain, pd.Series) and isinstance(plain.dtype, pd.CategoricalDtype):
        return value
    array = np.asarray(plain)
    if array.dtype.kind == "f":
        finite(array, index, name)
    elif array.dtype.kind not in "biu":
        raise DataError(f"{name} gives neither numbers nor categories.")
    return value
