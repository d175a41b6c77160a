"""How well a fit predicts data it has not seen: LOO, WAIC, DIC, k-fold and leave-one-group-out.

Each returns an `Elpd`: ArviZ's record, which its functions take, with tidy tables. All are sums over rows (or
groups) of log predictive densities; higher is better.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.utils import ELPDDataLOO
from scipy import sparse
from scipy.special import logsumexp

from mixedbayes.designs.rank import dependent_columns
from mixedbayes.errors import (
    ArgumentError,
    ConvergenceWarning,
    DataError,
    counted,
    listed,
    shown,
    warn,
    whole_number,
)
from mixedbayes.models.names import OBSERVATION
from mixedbayes.models.spec import ModelSpec
from mixedbayes.results.comparison.group_density import log_predictive
from mixedbayes.results.comparison.psis import good_k, leave_out_weights, relative_efficiency
from mixedbayes.results.engine import Engine
from mixedbayes.results.posterior.quantities import posterior_of
from mixedbayes.results.rows.log_likelihood import log_likelihood_of
from mixedbayes.results.rows.predictor import check_seed, predictor_of
from mixedbayes.results.rows.row_groups import group_rows
from mixedbayes.work import Work, somebody_watches


@dataclass(kw_only=True, repr=False)
class Elpd(ELPDDataLOO):  # type: ignore[misc]  # ArviZ is typed loosely
    """Expected log predictive density, by row or by group; ArviZ's record (`az.compare`, `az.plot_khat`).

    Attributes:
        criterion: `loo`, `waic`, `dic`, `kfold` or `logo` (leave one group out).
        p_i: Of each row (or group) its part of the effective number of parameters; None where that is not known.
        index: What the rows (or groups) are called.
        data: What was predicted: response, trials, and the group of each row.
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
            rows[f"p_{self.criterion}"] = (self.p, _se(self.p_i))
        name = {"loo": "looic", "waic": "waic", "dic": "dic"}.get(self.criterion, f"{self.criterion}ic")
        rows[name] = (-2 * self.elpd, 2 * self.se)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "std_error"])

    def _table(self) -> str:
        lines = super()._table().split("\n")
        return "\n".join(line for line in lines if self.p_i is not None or not line.startswith("p_"))

    def _header(self) -> str:
        units = "groups" if self.criterion == "logo" else "rows"
        return f"Computed from {self.n_samples:,} draws and {self.n_data_points:,} {units}."


def loo(spec: ModelSpec, idata: xr.DataTree, engine: Engine, *, reloo: bool, seed: int | None) -> Elpd:
    """Leave one row out, by Pareto-smoothed importance sampling; if asked, exactly where that fails."""
    check_seed(seed)
    predictor, rows, y = predictor_of(spec, idata), spec.design.encoded, _response(spec)
    r_eff = relative_efficiency(spec, idata)
    elpd, k, p = (np.empty(spec.design.n) for _ in range(3))
    with Work(watched=somebody_watches()) as work:

        def smooth(at: slice) -> None:
            values = predictor.log_likelihood(rows, y, at)
            weights, k[at] = leave_out_weights(values, r_eff)
            elpd[at] = logsumexp(weights + values, axis=1)
            p[at] = _log_mean_exp(values) - elpd[at]

        for _ in work.each("Smoothing weights", smooth, predictor.pieces(spec.design.n)):
            pass
        bad = np.flatnonzero(~(k <= good_k(predictor.S)))
        if len(bad) and reloo:
            lppd = elpd + p
            for i, value in work.each("Refitting", _refitted(spec, engine, seed), list(enumerate(bad))):
                elpd[bad[i]], k[bad[i]] = value, 0.0
            p = lppd - elpd
    if len(bad) and not reloo:
        warn(
            f"The importance weights of {counted(len(bad), 'row')} are not to be trusted (Pareto k over {good_k(predictor.S):.2f}); "
            "loo(reloo=True) refits the model without each of them.",
            ConvergenceWarning,
        )
    return _elpd("loo", spec, predictor.S, elpd, p=p, k=k)


def waic(spec: ModelSpec, idata: xr.DataTree) -> Elpd:
    """The widely applicable information criterion. Source: Watanabe (2010); Gelman, Hwang & Vehtari (2014), eq. 12 to 14."""
    predictor, rows, y = predictor_of(spec, idata), spec.design.encoded, _response(spec)
    elpd, p = np.empty(spec.design.n), np.empty(spec.design.n)
    for at in predictor.pieces(spec.design.n):
        values = predictor.log_likelihood(rows, y, at)
        p[at] = values.var(axis=1)
        elpd[at] = _log_mean_exp(values) - p[at]
    high = int((p > 0.4).sum())
    if high:
        warn(
            f"p_waic is over 0.4 in {counted(high, 'row')}: WAIC is not to be trusted; use loo().",
            ConvergenceWarning,
        )
    return _elpd("waic", spec, predictor.S, elpd, p=p)


def dic(spec: ModelSpec, idata: xr.DataTree) -> Elpd:
    """The deviance information criterion, at the means of predictor and parameters. Source: Spiegelhalter et al. (2002)."""
    predictor, rows, y = predictor_of(spec, idata), spec.design.encoded, _response(spec)
    centre = {name: values.mean(axis=-1, keepdims=True) for name, values in predictor.parameters.items()}
    elpd, p = np.empty(spec.design.n), np.empty(spec.design.n)
    for at in predictor.pieces(spec.design.n):
        eta = predictor.eta(rows, at)
        trials = None if rows.trials is None else rows.trials[at]
        values = predictor.likelihood.log_density(y[at, None], predictor.arguments(eta, trials))
        one = predictor.arguments(eta.mean(axis=1, keepdims=True), trials, centre)
        at_mean = np.broadcast_to(predictor.likelihood.log_density(y[at, None], one), (len(eta), 1))[:, 0]
        p[at] = 2 * (at_mean - values.mean(axis=1))
        elpd[at] = at_mean - p[at]
    return _elpd("dic", spec, predictor.S, elpd, p=p)


def kfold(
    spec: ModelSpec,
    idata: xr.DataTree,
    engine: Engine,
    *,
    k: int,
    groups: Any,
    seed: int | None,
) -> Elpd:
    """Fit the model to all folds but one, k times, and predict the rows of that one."""
    check_seed(seed)
    predictor, y = predictor_of(spec, idata), _response(spec)
    folds = _folds(spec, k, groups, np.random.default_rng(seed))
    elpd, numbers = np.empty(spec.design.n), np.empty(spec.design.n, dtype=np.int64)
    for i, rows in enumerate(folds):
        numbers[rows] = i
    with Work(watched=somebody_watches()) as work:
        refit = _refitted(spec, engine, seed)
        for i, values in work.each("Fitting folds", refit, list(enumerate(folds))):
            elpd[folds[i]] = values
    full = _log_mean_exp(log_likelihood_of(predictor, spec.design.encoded, y))
    return replace(_elpd("kfold", spec, predictor.S, elpd, p=full - elpd), folds=pd.factorize(numbers)[0])


def logo(spec: ModelSpec, idata: xr.DataTree, engine: Engine, *, group: Any, seed: int | None) -> Elpd:
    """Leave one group out: the joint predictive density of all its rows, given those of the others.

    In closed form over the draws of the variances where there is one, by importance sampling; where its weights
    fail, over draws of the variances without the group. Otherwise by refitting without each group.
    """
    check_seed(seed)
    index, codes = group_rows(spec, group)
    members = [np.flatnonzero(codes == code) for code in range(len(index))]
    if len(index) < 2:
        raise ArgumentError(
            f"All rows are of one group, {index[0]}: without it there is nothing to predict from."
        )
    closed = engine.leave_out(spec, idata)
    elpd, k = np.empty(len(index)), np.full(len(index), np.nan)
    S = posterior_of(idata).sizes["chain"] * posterior_of(idata).sizes["draw"]
    with Work(watched=somebody_watches()) as work:
        without = None if closed else engine.without(spec)

        def one(i: int) -> None:
            check_determined(spec, members[i])
            if without is not None:
                draws = without(members[i], _seed(seed, i))
                elpd[i], k[i] = log_predictive(spec, idata, draws, members[i], _seed(seed, i))
            if closed is None:
                return
            values = closed.at_draws(members[i])
            weights, k[[i]] = leave_out_weights(values[None], 1.0)
            elpd[i] = logsumexp(weights[0] + values)
            if not k[i] <= good_k(len(values)):
                elpd[i], k[i] = closed.exactly(members[i])

        for _ in work.each("Leaving groups out", one, range(len(index))):
            pass
    bad = int((~(k <= good_k(S))).sum())
    if bad:
        warn(
            f"The importance weights of {counted(bad, 'group')} are not to be trusted (Pareto k over {good_k(S):.2f}): "
            "kfold(groups=) scores its rows one by one, by a fit without it.",
            ConvergenceWarning,
        )
    return _elpd("logo", spec, S, elpd, k=k, index=index, data=(codes,))


def check_determined(spec: ModelSpec, out: np.ndarray) -> None:
    """Refuse to leave out rows without which a coefficient with a flat prior is anything at all.

    Raises:
        DataError: There is such a coefficient.
    """
    names, X = list(spec.design.fixed.columns), spec.design.fixed.X
    flat = [j for j, p in enumerate(spec.main.parameters) if p.prior.distribution == "flat"]
    if not flat:
        return
    lost = dependent_columns(np.delete(X, out, axis=0)[:, flat])
    if lost:
        raise DataError(
            f"Without {counted(len(out), 'row')} that are left out nothing says what {listed(f'b[{names[flat[j]]}]' for j in lost)} is, "
            "and its prior is flat, so there is no prediction: give it a proper prior."
        )


def _refitted(spec: ModelSpec, engine: Engine, seed: int | None) -> Any:
    """The log predictive densities of rows left out, by a fit to the others."""
    without = engine.without(spec)

    def refit(numbered: tuple[int, np.ndarray]) -> tuple[int, np.ndarray]:
        i, out = numbered[0], np.atleast_1d(numbered[1])
        check_determined(spec, out)
        draws = without(out, _seed(seed, i))
        left = spec.only(out)
        values = log_likelihood_of(predictor_of(left, draws), left.design.encoded, _response(left))
        return i, _log_mean_exp(values) if np.ndim(numbered[1]) else _log_mean_exp(values)[0]

    return refit


def _folds(spec: ModelSpec, k: int, groups: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows in k folds of nearly equal size, at random; those of a group all in one."""
    if (whole_number(k) or 0) < 2:
        raise ArgumentError(f"k is a whole number of at least 2, not {shown(k)}.")
    n = spec.design.n
    several = groups if isinstance(groups, list | tuple) else [groups]
    units = (
        np.arange(n) if groups is None else _whole([group_rows(spec, group)[1] for group in several], groups)
    )
    number = units.max() + 1
    if k > number:
        raise ArgumentError(
            f"There are {counted(int(number), 'row' if groups is None else 'group')}, too few for {shown(k)} folds."
        )
    order, sizes = rng.permutation(number), np.bincount(units)
    fold, filled = np.empty(number, dtype=int), np.zeros(k)
    for unit in order[np.argsort(-sizes[order], kind="stable")]:  # the largest first, each into the emptiest
        fold[unit] = np.argmin(filled)
        filled[fold[unit]] += sizes[unit]
    return [np.flatnonzero(fold[units] == i) for i in range(k)]


def _whole(codes: list[np.ndarray], groups: Any) -> np.ndarray:
    """The smallest sets of rows that share no level of any factor, numbered."""
    if not codes:
        raise ArgumentError("groups names no factor: groups='school', a list of names, or None.")
    ends = np.cumsum([0, *(int(code.max()) + 1 for code in codes)])
    n = len(codes[0])
    rows = np.concatenate([np.arange(n)] * len(codes))
    columns = n + np.concatenate([code + end for code, end in zip(codes, ends[:-1], strict=True)])
    size = n + int(ends[-1])
    joined = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    number, labels = sparse.csgraph.connected_components(joined, directed=False)
    if number == 1 and len(codes) > 1:
        raise ArgumentError(
            f"The factors {listed(map(str, groups))} are crossed: no folds keep the levels of all of them whole. Choose one."
        )
    return pd.factorize(labels[:n])[0]


def _elpd(
    criterion: str,
    spec: ModelSpec,
    S: int,
    elpd: np.ndarray,
    *,
    p: np.ndarray | None = None,
    k: np.ndarray | None = None,
    index: pd.Index | None = None,
    data: tuple[np.ndarray, ...] = (),
) -> Elpd:
    y = spec.design.response
    index = spec.design.rows.index if index is None else index
    labels = spec.design.rows.kept if criterion != "logo" else np.arange(len(index))
    coords = {OBSERVATION: np.asarray(labels)}
    threshold = good_k(S) if k is not None else None
    return Elpd(
        criterion=criterion,
        elpd=float(elpd.sum()),
        se=_se(elpd),
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
        data=(_response(spec), *([] if y.trials is None else [y.trials]), *data),
    )


def _response(spec: ModelSpec) -> np.ndarray:
    return spec.design.response.values  # noqa: PD011


def _se(values: np.ndarray) -> float:
    return float(np.sqrt(len(values) * values.var(ddof=1))) if len(values) > 1 else float("nan")


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    return logsumexp(values, axis=1) - np.log(values.shape[1])


def _seed(seed: int | None, i: int) -> int | None:
    """A seed for each refit; none if there is none."""
    return None if seed is None else int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
