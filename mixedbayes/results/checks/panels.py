"""What the panels of a picture compare: numbers of the data, and of replicated data sets."""

from dataclasses import dataclass

import numpy as np

from mixedbayes.errors import counted


@dataclass(frozen=True, eq=False, slots=True)
class Panel:
    """What one panel shows.

    Attributes:
        name: Of the panel in the collection.
        title: Over the panel.
        observed: Responses, shape (m,), or their statistic, shape (1,).
        replicated: Of each replicated data set, shape (S, m) or (S,).
    """

    name: str
    title: str
    observed: np.ndarray
    replicated: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Compared:
    """What a picture shows.

    Attributes:
        panels: One after the other.
        label: What the numbers of all panels are.
    """

    panels: tuple[Panel, ...]
    label: str

    @property
    def draws(self) -> str:
        """How many replicated data sets there are, in words."""
        return f"replicated ({counted(len(self.panels[0].replicated), 'draw')})"
