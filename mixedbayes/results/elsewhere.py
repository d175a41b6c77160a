"""What fits and models of lme4, brms, statsmodels, scikit-learn, Bambi and PyMC have -> what it is called here."""

from collections.abc import Mapping

_COEFFICIENTS = "fit.fixef() has the coefficients, fit.summary() all that is printed"
_EFFECTS = "fit.ranef() has each level's deviations, fit.coef() its coefficients"
_VARIANCES = "fit.varcorr() has variances, standard deviations and correlations"
_INTERVALS = "fit.tidy(conf_level=0.9) has estimates, their errors and intervals"
_NO_TESTS = "there are no p-values; fit.hypothesis('x > 0') has the probability of a statement on parameters"
_COMPARED = "mb.compare({'a': fit, 'b': other}) compares fits by how well they predict"
_CRITERIA = "fit.loo(), fit.waic() and fit.dic() say how well it predicts; -2 elpd is on the scale of AIC"
_DENSITIES = (
    "fit.idata['log_likelihood'] has that of each row and draw; fit.loo() sums up how well rows are predicted"
)
_RESIDUALS = "fit.residuals() has them, of kind 'response', 'pearson' or 'quantile'"
_FITTED = "fit.predict() has the means of the rows, fit.predict(kind='linear') their linear predictors"
_PREDICTIONS = "fit.predict(newdata) predicts means, fit.predict(newdata, kind='response') new responses"
_REPLICATES = "fit.simulate(n) has new data sets, fit.posterior_predictive() draws for ArviZ"
_VARIANCE_SHARES = "fit.bayes_r2() has the share of variance explained, fit.icc() that of each group"
_DRAWS = "fit.posterior has the draws, fit.idata is ArviZ's tree of them"
_SAVED = "fit.to_netcdf('fit.nc') saves the fit, mb.load('fit.nc') reads it"
_TABLES = "fit.tidy() is a data frame of all parameters, fit.summary() of those that are printed"
_PRINTED = "print(fit) shows it; fit.summary() has its tables as a data frame"
_PICTURES = "fit.plot() shows the parameters, fit.pp_check() the data beside replicated data; ArviZ has others of fit.idata"
_QUESTIONS = "fit.effects('x') has predictions over the values of x, fit.slopes('x') slopes, fit.contrasts('x') contrasts"
_DIAGNOSTICS = "fit.summary() has rhat, ess_bulk and ess_tail, fit.report.complaints says what may be wrong"
_MODEL = "fit.spec is the model: its design, family, priors and parameters"
_DATA = "fit.spec.design has the formula, the data, their rows and matrices"
_AGAIN = "fit.update(data=...) fits again, with another formula, other data or more rows"
_FOLDS = "fit.kfold(10) and fit.loo() are cross-validations"
_ESTIMATOR = "mb.sklearn.MixedModel is the estimator for scikit-learn; its fit_ is such a fit"


def _each(words: str, meant: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), meant)


FIT: Mapping[str, str] = {
    **_each(
        "params params_ coef_ coefs coefficients beta betas fe_params fixed fixed_effects fixefs",
        _COEFFICIENTS,
    ),
    **_each("intercept_ intercept estimates common constant", _COEFFICIENTS),
    **_each(
        "random random_effects re ranefs blup blups u group_effects group_specific random_effects_cov",
        _EFFECTS,
    ),
    **_each(
        "var_corr vc vcomp cov_re variance_components variances vcov cov_params sd sds sigma scale",
        _VARIANCES,
    ),
    **_each(
        "conf_int confint ci hdi quantiles bse std_err stderr standard_errors se posterior_interval",
        _INTERVALS,
    ),
    **_each("credible_interval fixed_ci eti posterior_summary", _INTERVALS),
    **_each(
        "pvalues pvalue p_values tvalues zvalues f_test t_test wald_test wald_test_terms drop1", _NO_TESTS
    ),
    **_each(
        "anova lrtest compare_lr_test bayes_factor bridge_sampler post_prob loo_compare model_weights",
        _COMPARED,
    ),
    **_each("compare", _COMPARED),
    **_each("aic aicc bic looic ic info_criteria add_criterion caic psis_loo", _CRITERIA),
    **_each("loglik loglike llf log_lik log_likelihood deviance marginal_likelihood logp", _DENSITIES),
    **_each("resid resids residual resid_pearson resid_response resid_deviance predictive_error", _RESIDUALS),
    **_each("fitted fitted_ fittedvalues fitted_values yhat y_pred mu eta posterior_epred epred", _FITTED),
    **_each("posterior_linpred linpred linear_predictor", _FITTED),
    **_each(
        "forecast predictions get_prediction posterior_predict predict_proba predict_response", _PREDICTIONS
    ),
    **_each("sample_posterior_predictive sample_ppc rvs simulated replicate", _REPLICATES),
    **_each("rsquared rsquared_adj r2 r2_ r_squared bayes_rsquared score r2_score", _VARIANCE_SHARES),
    **_each(
        "trace trace_ samples draws as_draws as_draws_df as_draws_array posterior_samples extract", _DRAWS
    ),
    **_each(
        "get_posterior inference_data inferencedata idata_ chains data_tree as_matrix as_array stan_variable",
        _DRAWS,
    ),
    **_each("save dump write to_file to_pickle to_zarr to_json to_disk load from_netcdf", _SAVED),
    **_each(
        "columns to_dataframe to_frame to_pandas to_df df dataframe table as_dataframe as_data_frame", _TABLES
    ),
    **_each("parameters parameter_estimates tables variable_names head values index iloc loc", _TABLES),
    **_each("print show display print_summary summary2 summary_frame info describe to_csv as_text", _PRINTED),
    **_each(
        "forest forestplot plot_forest plot_trace traceplot plot_posterior plot_params plot_diagnostics",
        _PICTURES,
    ),
    **_each(
        "mcmc_plot stanplot pairs plot_ppc ppc plot_ppc_dist ppc_check posterior_vs_prior plot_density",
        _PICTURES,
    ),
    **_each(
        "conditional_effects marginal_effects plot_predictions plot_slopes avg_slopes avg_predictions",
        _QUESTIONS,
    ),
    **_each(
        "avg_comparisons comparisons ggpredict ggeffects emmeans emtrends margins get_margeff", _QUESTIONS
    ),
    **_each("predicted_effects marginaleffects interpret", _QUESTIONS),
    **_each(
        "rhat rhats ess n_eff neff_ratio divergences divergent diagnostics diagnose converged", _DIAGNOSTICS
    ),
    **_each("warnings check sample_stats convergence nuts_params is_converged mcse", _DIAGNOSTICS),
    **_each("model model_ family link priors prior prior_ prior_summary get_prior backend stancode", _MODEL),
    **_each(
        "formula data frame model_frame design nobs n_obs n ngrps exog endog x y terms offset weights", _DATA
    ),
    **_each("model_matrix getme groups levels response", _DATA),
    **_each("refit sample resample fit update_data", _AGAIN),
    **_each("cv cross_validate cross_val_score kfold_cv reloo", _FOLDS),
    **_each("get_params set_params n_features_in_ feature_names_in_ classes_ transform", _ESTIMATOR),
}
"""By names in small letters."""

_FIT_FIRST = "it is not fitted yet: fit = model.fit(), then fit."
_SHOWN = "print(model) shows every parameter with its prior; model.fit() has their estimates"

VERBS = (
    "tidy summary plot fixef ranef coef varcorr predict residuals simulate effects slopes contrasts hypothesis "
    "poststratify loo kfold waic dic bayes_r2 icc posterior_predictive pp_check update to_netcdf report posterior idata"
)
"""What a fit has and a model has not."""

MODEL: Mapping[str, str] = {
    **{name: f"{_FIT_FIRST}{name}" for name in VERBS.split()},
    **{
        name: f"it is not fitted yet: fit = model.fit(); then {meant}"
        for name, meant in FIT.items()
        if name not in ("design", "fit")
    },
    **_each("sample fit_ train run estimate nuts mcmc pymc_sample", "model.fit() draws from the posterior"),
    **_each("summary describe info print show params parameters coefficients priors prior", _SHOWN),
    **_each("prior_summary get_prior set_priors default_prior", _SHOWN),
    **_each("build compile model graph to_pymc pymc_model stancode backend", "model.pymc is the PyMC model"),
    **_each(
        "formula data frame nobs n_obs n exog endog x y terms model_matrix",
        "model.design has the formula, the data and their matrices",
    ),
    **_each("family link", "model.spec.family and model.spec.link are these"),
    **_each(
        "sample_prior_predictive prior_predictive sample_prior plot_priors",
        "draws from priors alone are not supported yet; pymc.sample_prior_predictive(model=model.pymc) has them",
    ),
}
"""The same of a model that is not fitted yet."""
