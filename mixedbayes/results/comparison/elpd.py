"""Expected log predictive densities: one record for all criteria, which ArviZ's functions take.

All are sums over rows (or groups) of log predictive densities; higher is better.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.utils import ELPDDataLOO
from scipy.special import logsumexp

from mixedbayes.models.names import OBSERVATION
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.comparison.psis import good_k


@dataclass(kw_only=True, repr=False)
class Elpd(ELPDDataLOO):  # type: ignore[misc]  # ArviZ is typed loosely
    """Expected log predictive density, by row or by group; ArviZ's record (`az.compare`, `az.plot_khat`).

    Attributes:
        criterion: `loo`, `waic`, `dic`, `kfold` or `logo` (leave one group out).
        p_i: Of each row (or group) its part of the effective number of parameters; None where that is not known.
        index: What the rows (or groups) are called.
        data: What was predicted: response, weights, trials, and the group of each row.
        folds: With which others each row was left out, by numbers; None but for k folds.
    """

    criterion: str
    p_i: np.ndarray | None
    index: pd.Index
    data: tuple[np.ndarray, ...]
    folds: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """The criterion."""
        return self.criterion

    @property
    def pointwise(self) -> pd.DataFrame:
        """By row (or group): elpd, p (its part of the effective number of parameters) and pareto_k, where there are some."""
        columns = {"elpd": np.asarray(self.elpd_i)}
        columns |= {} if self.p_i is None else {"p": self.p_i}
        columns |= {} if self.pareto_k is None else {"pareto_k": np.asarray(self.pareto_k)}
        return pd.DataFrame(columns, index=self.index)

    @property
    def table(self) -> pd.DataFrame:
        """Estimate and std_error of the elpd, of p, and of the information criterion -2 elpd."""
        rows = {f"elpd_{self.criterion}": (self.elpd, self.se)}
        if self.p_i is not None:
            rows[f"p_{self.criterion}"] = (self.p, standard_error(self.p_i))
        name = {"loo": "looic", "waic": "waic", "dic": "dic"}.get(self.criterion, f"{self.criterion}ic")
        rows[name] = (-2 * self.elpd, 2 * self.se)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "std_error"])

    def _table(self) -> str:
        lines = super()._table().split("\n")
        return "\n".join(line for line in lines if self.p_i is not None or not line.startswith("p_"))

    def _header(self) -> str:
        units = "groups" if self.criterion == "logo" else "rows"
        return f"Computed from {self.n_samples:,} draws and {self.n_data_points:,} {units}."


def elpd_of(
    criterion: str,
    spec: ModelSpec,
    S: int,
    elpd: np.ndarray,
    *,
    p: np.ndarray | None = None,
    k: np.ndarray | None = None,
    groups: tuple[pd.Index, np.ndarray] | None = None,
) -> Elpd:
    """The record of a criterion.

    Args:
        criterion: Its name.
        spec: The model.
        S: How many draws it is from.
        elpd: By row, or by group.
        p: Its part of the effective number of parameters; None where that is not known.
        k: Pareto k of the weights; None where there are none.
        groups: What they are called and each row's place among them; None of rows.
    """
    response, rows = spec.design.response, spec.design.rows
    weights = np.ones(spec.design.n) if response.weights is None else response.weights
    index, labels, codes = rows.index, rows.kept, []
    if groups is not None:
        index, labels, codes = groups[0], np.arange(len(groups[0])), [groups[1]]
    coords = {OBSERVATION: np.asarray(labels)}
    threshold = good_k(S) if k is not None else None
    return Elpd(
        criterion=criterion,
        elpd=float(elpd.sum()),
        se=standard_error(elpd),
        p=np.nan if p is None else float(p.sum()),
        n_samples=S,
        n_data_points=len(elpd),
        scale="log",
        warning=k is not None and bool((~(k <= threshold)).any()),
        good_k=threshold,
        elpd_i=xr.DataArray(elpd, dims=OBSERVATION, coords=coords, name=spec.response),
        pareto_k=None if k is None else xr.DataArray(k, dims=OBSERVATION, coords=coords, name="pareto_k"),
        p_i=p,
        index=index,
        data=(response.values, weights, *([] if response.trials is None else [response.trials]), *codes),  # noqa: PD011
    )


def standard_error(values: np.ndarray) -> float:
    """Of a sum of independent values; NaN of one."""
    return float(np.sqrt(len(values) * values.var(ddof=1))) if len(values) > 1 else float("nan")


def log_mean_exp(values: np.ndarray) -> np.ndarray:
    """The logarithm of the mean over draws of what has these logarithms, (m, S) -> (m,)."""
    return np.asarray(logsumexp(values, axis=1) - np.log(values.shape[1]))
