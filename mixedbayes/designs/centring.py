"""Columns of a matrix at zero of all predictors <-> at the predictors' means, where default priors live.

    X_c = X T,   S = T^-1,   X b = X_c b_c   with   b_c = S b,   b = T b_c

A predictor x is moved to its mean wherever it occurs, in `x:f` and `I(x^2)` too, if the moved columns span what
the written ones do; then every column but the intercept is taken about its own mean, if there is an intercept.
What coefficients at the means are is then the same for x, x + c and c x.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic.parser.types import Factor, Term

from mixedbayes.designs.matrices import build_matrix
from mixedbayes.designs.rank import ROUNDING, peaks
from mixedbayes.errors import MixedBayesError
from mixedbayes.language.expressions import names_in
from mixedbayes.language.formula import INTERCEPT, expression_of

SAME = 1e-7
"""Of the largest number of a column: two columns that differ by less are the same but for rounding."""

LOST = 1e-3
"""Of the largest number of a column at the means, that may be lost to rounding when it is made of those at zero."""

TWO = 1e-6
"""Of the range of a column of two values, within which one lies at either of them, but for rounding."""

NOTHING = 1e-13
"""A share of a column that is a smaller part of it than this is rounding."""


@dataclass(frozen=True, eq=False, slots=True)
class Centring:
    """What coefficients of p columns are at the predictors' means.

    Attributes:
        to_means: S, shape (p, p): coefficients at the means are S times those at zero.
        to_zero: T, its inverse; the columns at the means are X T.
    """

    to_means: np.ndarray
    to_zero: np.ndarray

    @property
    def is_none(self) -> bool:
        """Whether nothing is centred."""
        return not self.moves.any()

    @property
    def moves(self) -> np.ndarray:
        """Which coefficients are others at the means than at zero, shape (p,)."""
        return np.asarray((self.to_means != np.eye(len(self.to_means))).any(axis=1))

    def columns(self, X: np.ndarray) -> np.ndarray:
        """The columns at the means, shape (n, p)."""
        return X if self.is_none else X @ self.to_zero

    def column(self, X: np.ndarray, j: int) -> np.ndarray:
        """One of the columns at the means, shape (n,)."""
        parts = np.flatnonzero(self.to_zero[:, j])
        return np.asarray(X[:, parts] @ self.to_zero[parts, j])


def no_centring(p: int) -> Centring:
    """Of p columns that are taken as they are."""
    return Centring(np.eye(p), np.eye(p))


def apart(centrings: Sequence[Centring]) -> Centring:
    """Of columns side by side, some of which are moved by themselves."""
    ends = np.cumsum([len(each.to_means) for each in centrings]).tolist()
    to_means, to_zero = np.eye(ends[-1]), np.eye(ends[-1])
    for start, stop, each in zip([0, *ends], ends, centrings, strict=False):
        to_means[start:stop, start:stop], to_zero[start:stop, start:stop] = each.to_means, each.to_zero
    return Centring(to_means, to_zero)


def centre_columns(X: np.ndarray, intercept: int | None) -> Centring:
    """Each column but the intercept about its own mean; nothing without an intercept.

    Args:
        X: Shape (n, p).
        intercept: The place of the intercept among the columns.
    """
    to_means, to_zero = np.eye(X.shape[1]), np.eye(X.shape[1])
    if intercept is not None:
        means = np.array([x.mean() for x in X.T])
        means[np.abs(means) <= ROUNDING * peaks(X)] = 0.0  # scale(x) is at its mean, but for rounding
        means[intercept] = 0.0
        to_means[intercept] += means
        to_zero[intercept] -= means
    return Centring(to_means, to_zero)


@dataclass(frozen=True, eq=False, slots=True)
class Moved:
    """The columns of a matrix with predictors moved to their means.

    Attributes:
        X: Shape (n, p).
        shares: How they add up to the columns as written, shape (p, p); None where none is moved.
    """

    X: np.ndarray
    shares: np.ndarray | None = None

    def only(self, kept: Sequence[int], X: np.ndarray) -> "Moved":
        """Some of the columns, of those that are written as X, shape (n, len(kept))."""
        if self.shares is None:
            return Moved(X)
        moved = self.X[:, kept]
        return Moved(moved, _shares(X, moved))


def centre(moved: Moved, intercept: int | None) -> Centring:
    """The centring of a matrix of independent columns.

    Args:
        moved: From `at_means`.
        intercept: The place of the intercept among the columns.
    """
    about = centre_columns(moved.X, intercept)
    if moved.shares is None:
        return about
    return Centring(about.to_means @ moved.shares, np.linalg.inv(moved.shares) @ about.to_zero)


def at_means(terms: Sequence[Term], X: np.ndarray, columns: pd.DataFrame, env: Mapping[str, Any]) -> Moved:
    """The matrix of the terms with predictors moved to their means, where it spans the same.

    Only predictors that occur in products or in several terms are moved: of others a column's own mean says all,
    where there is an intercept. A factor of a product that cannot be moved by its predictor, such as `log(x)`, is itself taken about its mean.
    `f:x` without `f` can be neither, for after a shift of x it is another model.

    Args:
        terms: As in `build_matrix`.
        X: What that made of them, shape (n, p).
        columns: Of the data.
        env: Of the formula.
    """
    names = _moving_together(terms, columns)
    if len(terms) < 2 or not (names or any(len(_varying(term)) > 1 for term in terms)):
        return Moved(X)

    def moved(names: Sequence[str], *, factors: bool) -> Moved | None:
        shifted = columns.assign(**{name: columns[name] - columns[name].mean() for name in names})
        try:
            values, _ = build_matrix(terms, shifted, env, about_means=factors)
        except MixedBayesError:  # log(x) has no mean to go to
            return None
        shares = _shares_if_same(values, X) if values.shape == X.shape else None
        return None if shares is None else Moved(values, shares)

    whole = moved(names, factors=True)
    if whole is not None:
        return whole
    best, known = Moved(X), list[str]()
    for name in names if len(names) > 1 else ():
        tried = moved([*known, name], factors=False)
        if tried is not None:
            best, known = tried, [*known, name]
    tried = moved(known, factors=True)
    return best if tried is None else tried


def spread(x: np.ndarray) -> float:
    """How a column varies: the difference between its two values if it has two, else its standard deviation.

    Of a constant column its size.
    """
    low, high = float(x.min()), float(x.max())
    largest = max(abs(low), abs(high))
    if high - low <= ROUNDING * largest:
        return largest or 1.0
    is_two_valued = bool((np.minimum(x - low, high - x) <= TWO * (high - low)).all())
    return high - low if is_two_valued else float(x.std(ddof=1))


def size(x: np.ndarray) -> float:
    """The root mean square of a column; of one of zeros and another number that number's size."""
    largest = float(np.abs(x).max())
    if ((x == 0) | (x == largest)).all() or ((x == 0) | (x == -largest)).all():
        return largest or 1.0
    return float(np.sqrt(np.mean(x * x)))


def beyond(x: np.ndarray) -> float:
    """How far outside the values of a column zero lies, in its spreads; 0 within them."""
    low, high = float(x.min()), float(x.max())
    return max(low, -high, 0.0) / spread(x) if high > low else 0.0


def _varying(term: Term) -> list[Factor]:
    """The factors of a term but its numbers."""
    return [factor for factor in term.factors if factor.eval_method is not Factor.EvalMethod.LITERAL]


def _moving_together(terms: Sequence[Term], columns: pd.DataFrame) -> list[str]:
    """Numeric columns of the data that occur in products or in several terms; without an intercept all."""
    least = 2 if INTERCEPT in terms else 1
    times: dict[str, int] = {}
    for term in terms:
        factors = _varying(term)
        for name in {name for factor in factors for name in names_in(expression_of(factor))}:
            times[name] = times.get(name, 0) + len(factors)
    return [
        name
        for name, n in times.items()
        if n >= least and name in columns and columns[name].dtype.kind in "iuf"
    ]


def _shares_if_same(moved: np.ndarray, X: np.ndarray) -> np.ndarray | None:
    """How the moved columns add up to X, if they do and can be made of X; None if they span something else."""
    with np.errstate(all="ignore"):  # of numbers that are too large there are no shares
        shares = _shares(X, moved)
        try:
            gap, lost = X - moved @ shares, moved - X @ np.linalg.inv(shares)
        except np.linalg.LinAlgError:
            return None
    same = (peaks(gap) <= SAME * peaks(X)).all() and (peaks(lost) <= LOST * peaks(moved)).all()
    return shares if same else None


def _shares(X: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """How the moved columns add up to X, shape (p, p): each is itself and some of the others."""
    sizes, own = (np.where((size := peaks(A)) > 0, size, 1.0) for A in (moved, X))
    shares = np.eye(len(sizes))
    change = X - moved
    at = np.flatnonzero(peaks(change) > SAME * own)
    if not len(at):
        return shares
    # least squares on the triangle that is left of the rows
    both = np.hstack([moved, change[:, at]])
    both /= np.concatenate([sizes, own[at]])
    triangle = np.linalg.qr(both, mode="r")
    rest = np.linalg.lstsq(triangle[:, : len(sizes)], triangle[:, len(sizes) :], rcond=None)[0]
    rest[np.abs(rest) < NOTHING] = 0.0
    shares[:, at] = rest * own[at] / sizes[:, None]
    np.fill_diagonal(shares, 1.0)
    return shares
