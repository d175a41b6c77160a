"""What priors and checks read of a column of numbers: a few sums, which add over rows."""

from dataclasses import dataclass
from math import sqrt

import numpy as np


@dataclass(frozen=True, slots=True)
class Margins:
    """A column's margins.

    Attributes:
        n: Rows.
        mean: Of the numbers, weighted by trials where a response has some.
        squares: The sum of squares about the unweighted mean `centre`.
        centre: The unweighted mean.
        least, largest: Of the numbers.
        weight: The sum of the weights of `mean`.
    """

    n: int
    mean: float
    squares: float
    centre: float
    least: float
    largest: float
    weight: float

    @property
    def sd(self) -> float:
        """The standard deviation; 1 where all numbers are the same, and there is no scale to be had."""
        if self.least == self.largest or self.n < 2:
            return 1.0
        return sqrt(self.squares / (self.n - 1))

    def __add__(self, other: "Margins") -> "Margins":
        """The margins of both sets of rows. Source: Chan, Golub & LeVeque (1983), eq. 2.1."""
        n, weight = self.n + other.n, self.weight + other.weight
        apart = other.centre - self.centre
        return Margins(
            n=n,
            mean=self.mean + (other.mean - self.mean) * (other.weight / weight if weight else 0.0),
            squares=self.squares + other.squares + apart**2 * self.n * other.n / n,
            centre=self.centre + apart * other.n / n,
            least=min(self.least, other.least),
            largest=max(self.largest, other.largest),
            weight=weight,
        )


def margins(numbers: np.ndarray, trials: np.ndarray | None = None) -> Margins:
    """The margins of a column, shape (n,), n positive; of counts of successes in trials, with the mean of one trial."""
    centre = float(numbers.mean())
    weight = float(len(numbers) if trials is None else trials.sum())
    return Margins(
        n=len(numbers),
        mean=centre if trials is None else float(numbers.sum() / weight) if weight else np.nan,
        squares=float(np.square(numbers - centre).sum()),
        centre=centre,
        least=float(numbers.min()),
        largest=float(numbers.max()),
        weight=weight,
    )
