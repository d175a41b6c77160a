"""Options by the names that brms, lme4, Bambi, PyMC and statsmodels have for them -> what is written here."""

from collections.abc import Iterable, Mapping

from mixedbayes.errors import ArgumentError, listed, nearest
from mixedbayes.sampling import Sampling

_PRIORS = "priors={'b[x]': 'normal(0, 1)'}"
_WEIGHTS = (
    "weights stand in the formula, as y | weights(w) ~ x, and multiply log densities: a row of weight 2 counts as two; those that divide "
    "variances are not supported yet. For shares write the counts, y | trials(n) ~ x"
)
_IN_FORMULA = "it stands in the formula, as (1 + x | g)"
_OTHER_ROWS = "leave the other rows out of the data"
_ONE = "there is one answer, the posterior; its draws are independent of where it was looked for"
_CODING = "the coding of a factor stands in the formula, as C(f, contr.sum)"
_COLUMNS = "the formula names its columns; pass the whole table"

WORDS: Mapping[str, str] = {
    **dict.fromkeys(("samples", "n_samples", "num_samples", "ndraws", "niter"), "draws="),
    "iter": "draws= (kept ones of each chain) and tune=",
    **dict.fromkeys(("iterations", "nsample", "n_draws", "num_draws"), "draws="),
    **dict.fromkeys(
        ("warmup", "burnin", "burn", "burn_in", "n_tune", "num_warmup", "adapt", "nburn"), "tune="
    ),
    **dict.fromkeys(("random_seed", "random_state", "rng", "rng_seed", "key"), "seed="),
    **dict.fromkeys(("n_chains", "nchains", "num_chains"), "chains="),
    **dict.fromkeys(("n_jobs", "threads", "workers", "processes", "ncores", "mc_cores"), "cores="),
    **dict.fromkeys(("adapt_delta", "target_acceptance", "delta"), "target_accept="),
    **dict.fromkeys(("nuts_sampler", "backend", "inference_method", "engine"), "method= and sampler="),
    **dict.fromkeys(("algorithm", "kernel", "step"), "method= and sampler="),
    **dict.fromkeys(("progressbar", "progress_bar", "verbose", "quiet", "silent", "refresh"), "progress="),
    **dict.fromkeys(("na_action", "na", "dropna", "drop_na", "nan"), "missing='drop' or 'error'"),
    **dict.fromkeys(("prior", "sample_prior", "default_priors", "prior_mean", "prior_sd"), _PRIORS),
    **dict.fromkeys(("dist", "distribution", "likelihood"), "family="),
    **dict.fromkeys(("eval_env", "extra_namespace", "context", "functions"), "env={'name': function}"),
}
"""Words for options that we have under another name."""

ADVICE: Mapping[str, str] = {
    "thin": "draws are kept all; ask for fewer by draws=",
    "control": "its parts are options by themselves, as target_accept=0.95",
    **dict.fromkeys(
        ("max_treedepth", "stepsize", "init", "inits", "initvals", "start"), "the sampler finds it by itself"
    ),
    **dict.fromkeys(("weights", "weight", "freq_weights", "var_weights", "sample_weight"), _WEIGHTS),
    "offset": "it stands in the formula, as offset(log(exposure))",
    "exposure": "it stands in the formula, as offset(log(exposure))",
    **dict.fromkeys(
        ("random", "groups", "group", "re_formula", "vc_formula", "exog_re", "common"), _IN_FORMULA
    ),
    "sigma": "its formula belongs to the model: model(..., sigma='~ x')",
    "dispformula": "the formula of a family's other parameter goes by its name: sigma='~ x', shape='~ x', phi='~ x'",
    "ziformula": "there are no mixtures with zeros yet",
    **dict.fromkeys(
        ("autocor", "correlation", "cov_ranef", "data2"), "levels and rows are independent of each other yet"
    ),
    **dict.fromkeys(("subset", "exclude"), _OTHER_ROWS),
    **dict.fromkeys(("REML", "reml", "method_reml", "optimizer", "nAGQ", "maxiter", "disp"), _ONE),
    **dict.fromkeys(("contrasts", "categorical", "dummies"), _CODING),
    **dict.fromkeys(("y", "x", "X", "response", "target"), _COLUMNS),
    "trials": "trials stand in the formula, as y | trials(n) ~ x",
    "noncentered": "effects of groups are non-centred always",
    "center_predictors": "predictors are centred inside always; tables report at zero",
    "auto_scale": "default priors are scaled by the data always; print the model to see them",
    "file": "save the fit by fit.to_netcdf('fit.nc'), read it by load('fit.nc')",
    "save_pars": "all draws are kept, group effects within memory=",
    **dict.fromkeys(
        ("family", "link", "priors", "env"), "it belongs to the model: model(..., family=..., priors=...)"
    ),
    **dict.fromkeys(Sampling.__annotations__, "it belongs to sampling: model(...).fit(draws=..., seed=...)"),
    "stanvars": "there is no Stan; model(...).pymc is the PyMC model",
    "conf_level": "intervals are asked of the fit, as fit.tidy(conf_level=0.9)",
}
"""Words for what is no option there, and where it is."""


def unknown_options(names: Iterable[str], known: Iterable[str]) -> ArgumentError:
    """The error for options that there are not, of which there is at least one."""
    name, *others = map(str, names)
    also = f" Nor is there {listed(map(repr, others))}." if others else ""
    if name in WORDS:
        return ArgumentError(f"There is no option {name!r}; it is {WORDS[name]} here.{also}")
    if name in ADVICE:
        return ArgumentError(f"There is no option {name!r}: {ADVICE[name]}.{also}")
    known = tuple(known)
    return ArgumentError(
        f"There is no option {name!r}.{nearest(name, known)} Options: {listed(known, 20)}.{also}"
    )
