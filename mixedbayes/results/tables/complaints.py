"""What may be wrong with draws, each in one plain sentence with what to do."""

import pandas as pd

from mixedbayes.results.posterior.record import MIN_DRAWS, MIN_ESS, Draws

MAX_RHAT = 1.01
"""Source: Vehtari et al. (2021), section 4."""


def complaints(draws: Draws, diagnosed: pd.DataFrame) -> list[str]:
    """Sentences on whatever is wrong; none if all is well.

    Args:
        draws: From `describe_draws`.
        diagnosed: One row a parameter, with columns name, rhat, ess_bulk and ess_tail.
    """
    said = []
    if draws.divergences:
        total = draws.chains * draws.draws
        said.append(
            f"{draws.divergences:,} of {total:,} transitions diverged, so some of the posterior may be missed: "
            "raise target_accept (to 0.95, then 0.99), or give the group sds tighter priors."
        )
    silent = diagnosed[diagnosed["ess_bulk"].isna()]
    if draws.chains < 2:
        said.append("One chain cannot tell whether it has converged (R-hat): sample at least two.")
    if draws.draws < MIN_DRAWS:
        said.append(
            f"With {draws.draws} draws a chain nothing can be said of convergence: raise draws (1,000 is usual)."
        )
    elif len(silent):
        said.append(
            f"The draws of {_count(len(silent))} never change or are not finite (the first {silent.iloc[0]['name']}): "
            "sampling failed; look at the data and priors for numbers that are very large or very small."
        )
    high = diagnosed[diagnosed["rhat"] > MAX_RHAT]
    if len(high):
        worst = high.loc[high["rhat"].idxmax()]
        said.append(
            f"The chains disagree on {_count(len(high))} (R-hat over {MAX_RHAT}, the worst {worst['name']} with {worst['rhat']:.4g}): "
            "the estimates are not to be trusted yet; raise tune and draws, or simplify the model."
        )
    ess = diagnosed[["ess_bulk", "ess_tail"]].min(axis=1)
    low = diagnosed[ess < MIN_ESS]
    if len(low):
        worst = diagnosed.loc[ess.idxmin()]
        said.append(
            f"{_count(len(low)).capitalize()} {'has' if len(low) == 1 else 'have'} fewer than {MIN_ESS} effective draws "
            f"(the fewest {worst['name']} with {ess.min():.0f}): raise draws before reading intervals closely."
        )
    return said


def _count(n: int) -> str:
    return "one parameter" if n == 1 else f"{n:,} parameters"
