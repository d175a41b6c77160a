"""Names of variables and dimensions: decided here, once, and never changed after."""

from collections.abc import Iterable

CHAIN, DRAW, COEFFICIENT, OBSERVATION = "chain", "draw", "coefficient", "observation"

OF_PREDICTOR = ("Intercept", "slopes", "Intercept_scaled", "slopes_scaled")
"""Variables of a predictor that PyMC's model has and whose draws are not kept."""

RESERVED = (
    *(CHAIN, DRAW, COEFFICIENT, OBSERVATION),
    *("b", *OF_PREDICTOR),
    *("sample", "pred_id"),  # dimensions that ArviZ makes of its own
)
"""Names that no variable or dimension of the user's can have; theirs gets an underscore."""


class Names:
    """Names of variables and dimensions: no two are equal, and none has the slash that files cannot hold."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self.groups: dict[str, str] = {}

    def of_group(self, group: str) -> str:
        """The name of a grouping factor's dimension, the same each time."""
        if group not in self.groups:
            self.groups[group] = self.claim(group)
        return self.groups[group]

    def claim(self, name: str) -> str:
        """The name, with underscores after it if it is taken."""
        name = name.replace("/", "_")
        while name in self.taken or " #" in name:  # parts of a variable are named so
            name = name.replace(" #", "_#") if " #" in name else f"{name}_"
        self.taken.add(name)
        return name
