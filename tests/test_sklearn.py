"""scikit-learn's estimator: its own checks, its tools around ours, and what a formula adds to both."""

import inspect
import pickle
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pandas as pd
import polars as pl
import pytest
from data import dataset
from monte_carlo import assert_near, degrees, errors
from synthetic import synthetic_fit

import mixedbayes as mb
from mixedbayes.errors import ArgumentError, DataError, FormulaError
from mixedbayes.inference.engine import NAMES
from mixedbayes.inference.options import Options

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_dataframe_column_names_consistency, parametrize_with_checks

MixedModel = mb.sklearn.MixedModel

SLEEP = dataset("sleepstudy", "Subject")
SLOPES = "Reaction ~ Days + (Days | Subject)"
FEW = {"draws": 50, "random_state": 1}
RNG = np.random.default_rng(3)
N = 40
DATA = pd.DataFrame(
    {
        "y": RNG.normal(5.0, 2.0, N),
        "x": RNG.normal(2.0, 1.0, N),
        "f": np.resize(["a", "b", "c"], N),
        "school": np.resize(["s1", "s2", "s3", "s4"], N),
        "won": np.resize(["no", "yes", "yes"], N),
        "n": np.resize([4, 7, 10], N),
    }
)
DATA["s"] = RNG.binomial(DATA["n"], 0.4)
VALUES = DATA["y"].to_numpy()


@pytest.fixture
def noise(monkeypatch):
    """Fits whose draws are noise, without sampling."""

    def draw(formula, data, family, *, link, priors, missing, env, seed, **others):
        predictors = {name: value for name, value in others.items() if name not in NAMES}
        return synthetic_fit(
            formula,
            data,
            family,
            link=link,
            priors=priors,
            missing=missing,
            env=env,
            seed=seed,
            **predictors,
        )

    monkeypatch.setattr("mixedbayes.sklearn.fit", draw)


def fitted(formula, family="gaussian", X=DATA, y=None, **options):
    return MixedModel(formula, family, **{"random_state": 1, **options}).fit(X, y)


# its response is one of its columns, exactly: there is no residual, and no posterior
REFUSED = {"check_regressors_no_decision_function": "a response without a residual is refused"}


@pytest.mark.slow
@parametrize_with_checks(
    [MixedModel(**FEW), MixedModel("y ~ .", **FEW)],
    expected_failed_checks=lambda _: REFUSED,
    xfail_strict=True,
)
def test_all_of_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.slow
def test_without_a_response_in_the_formula_columns_are_held_to_those_of_fit():
    check_dataframe_column_names_consistency("MixedModel", MixedModel(**FEW))


@pytest.mark.slow
def test_cross_validation_by_groups_is_what_it_is_by_hand():
    folds = GroupKFold(5)
    found = cross_val_score(
        MixedModel(SLOPES, **FEW), SLEEP, SLEEP["Reaction"], groups=SLEEP["Subject"], cv=folds
    )
    expected = []
    for train, test in folds.split(SLEEP, groups=SLEEP["Subject"]):
        fit = mb.fit(SLOPES, SLEEP.iloc[train], draws=50, seed=1)
        predicted = fit.predict(SLEEP.iloc[test], seed=1)["estimate"]
        expected.append(r2_score(SLEEP["Reaction"].iloc[test], predicted))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.slow
def test_cross_validation_takes_any_table_with_the_response_in_it_or_beside_it():
    model, folds = MixedModel(SLOPES, **FEW), GroupKFold(3)
    named = SLEEP.assign(Subject=SLEEP["Subject"].astype(str))
    groups = named["Subject"]
    expected = cross_val_score(model, named, named["Reaction"], groups=groups, cv=folds)
    polars = pl.DataFrame(named)
    cases = [
        (named, None),
        (named.drop(columns="Reaction"), named["Reaction"].to_numpy()),
        (polars, polars["Reaction"]),
        (polars, named["Reaction"]),
    ]
    for X, y in cases:
        np.testing.assert_allclose(cross_val_score(model, X, y, groups=groups, cv=folds), expected)


@pytest.mark.slow
def test_processes_in_parallel_find_the_same():
    model, folds = MixedModel(SLOPES, cores=1, **FEW), KFold(2, shuffle=True, random_state=1)
    alone, together = (
        cross_val_score(model, SLEEP, SLEEP["Reaction"], cv=folds, n_jobs=jobs) for jobs in (1, 2)
    )
    np.testing.assert_allclose(together, alone, rtol=1e-8)


@pytest.mark.slow
def test_a_search_over_formulas_finds_the_slopes():
    grid = {"formula": ["Reaction ~ 1 + (1 | Subject)", "Reaction ~ Days + (1 | Subject)", SLOPES]}
    folds = KFold(5, shuffle=True, random_state=1)
    search = GridSearchCV(MixedModel(**FEW), grid, cv=folds).fit(SLEEP, SLEEP["Reaction"])
    assert search.best_params_ == {"formula": SLOPES}
    assert search.predict(SLEEP).shape == (180,)


@pytest.mark.slow
def test_in_a_pipeline_scaled_columns_predict_the_same(seed):
    scale = ColumnTransformer(
        [("scale", StandardScaler(), ["Days"])], remainder="passthrough", verbose_feature_names_out=False
    )
    model = MixedModel(SLOPES, draws=500, random_state=seed)
    pipeline = make_pipeline(scale.set_output(transform="pandas"), model)
    X = SLEEP[["Subject", "Days"]]
    pipeline.fit(X, SLEEP["Reaction"])
    plain = clone(model).fit(X, SLEEP["Reaction"])
    predicted = pipeline.predict(X)
    draws = np.moveaxis(plain.fit_.predict(draws=True).to_numpy(), -1, 0)
    error = np.array([errors(each)[0] for each in draws])
    df = [degrees(each)[0] for each in draws]
    assert_near(predicted, plain.predict(X), np.sqrt(2) * error, df=df)
    assert pipeline.score(X, SLEEP["Reaction"]) == pytest.approx(r2_score(SLEEP["Reaction"], predicted))


@pytest.mark.slow
def test_a_response_is_transformed_around_the_model():
    model = MixedModel("~ Days + (Days | Subject)", **FEW)
    around = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)
    X = SLEEP[["Days", "Subject"]]
    around.fit(X, SLEEP["Reaction"].to_numpy())
    assert around.score(X, SLEEP["Reaction"]) > 0.7


def test_a_clone_has_the_parameters_and_no_fit(noise):
    model = fitted(
        "y ~ x + (1 | school)", priors={"b[x]": mb.prior("normal", 0, 1)}, groups=["school"], draws=7
    )
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        copied.predict(DATA)
    assert copied.set_params(draws=9, formula="y ~ 1").get_params()["formula"] == "y ~ 1"


@pytest.mark.parametrize("X", [DATA, DATA[["x"]].to_numpy()], ids=["table", "array"])
def test_a_pickled_estimator_predicts_the_same(noise, X):
    model = fitted("~ x" if X is DATA else "~ x0", X=X, y=VALUES)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_parameters_are_those_of_fit_and_of_its_options():
    ours = set(MixedModel().get_params())
    assert ours >= set(inspect.signature(mb.fit).parameters) - {"data", "options"}
    assert ours >= {field.name for field in fields(Options)} - {"seed"}
    assert ours >= set(inspect.signature(mb.Fit.predict).parameters) & {"groups", "new_levels"}


@pytest.mark.slow
def test_every_option_reaches_the_fit():
    chosen = {"chains": 3, "draws": 20, "memory": 0.5, "cores": 1, "progress": False, "method": "collapsed"}
    model = fitted("y ~ x + (1 | school)", random_state=11, priors={"b[x]": "normal(0, 1)"}, **chosen)
    assert model.fit_.engine.options == Options(seed=11, **chosen)
    assert model.seed_ == 11
    expected = mb.fit("y ~ x + (1 | school)", DATA, priors={"b[x]": "normal(0, 1)"}, seed=11, **chosen)
    pd.testing.assert_frame_equal(model.fit_.tidy(), expected.tidy())


def test_sources_of_randomness_are_scikit_learns(noise):
    def seeds(random_state):
        return fitted("y ~ x", random_state=random_state).seed_, fitted(
            "y ~ x", random_state=random_state
        ).seed_

    assert seeds(5) == (5, 5)
    assert seeds(np.int64(5)) == (5, 5)
    first, second = seeds(np.random.RandomState(5))
    assert first != second
    assert seeds(np.random.RandomState(5)) == (first, second)
    assert len(set(seeds(None))) == 2


@pytest.mark.parametrize(
    "X",
    [DATA, pl.DataFrame(DATA), pl.DataFrame(DATA).to_arrow(), DATA.to_dict("list")],
    ids=["pandas", "polars", "arrow", "mapping"],
)
@pytest.mark.parametrize(
    "y",
    [
        VALUES,
        VALUES.tolist(),
        pd.Series(VALUES, index=range(N, 0, -1)),
        pd.DataFrame({"z": VALUES}),
        pl.Series(VALUES),
    ],
    ids=["array", "list", "series", "frame", "polars"],
)
def test_the_response_is_y_row_by_row_whatever_it_is_and_wins_over_a_column(noise, X, y):
    expected = fitted("y ~ x + (1 | school)", X=DATA)
    other = DATA.assign(y=0.0).to_dict("list") if isinstance(X, dict) else X
    found = fitted("y ~ x + (1 | school)", X=other, y=y)
    np.testing.assert_array_equal(found.fit_.spec.design.response.values, VALUES)
    np.testing.assert_allclose(found.predict(X), expected.predict(DATA))
    assert found.score(other, y) == pytest.approx(expected.score(DATA))


def test_a_matrix_of_one_column_as_y_is_warned_of(noise):
    with pytest.warns(DataConversionWarning, match="column-vector"):
        fitted("~ x", y=VALUES[:, None])


def test_categories_of_y_keep_their_order(noise):
    won = pd.Series(pd.Categorical(DATA["won"], categories=["yes", "no"]))
    for y in (won, won.to_frame()):
        model = fitted("~ x", "bernoulli", y=y)
        assert model.fit_.spec.design.response.modelled == "y_ = 'no' (against 'yes')"
    with pytest.raises(
        DataError, match="categories of pandas, whose order would be lost in a table of polars"
    ):
        fitted("~ x", "bernoulli", X=pl.DataFrame(DATA), y=won)


def test_without_a_response_in_the_formula_a_column_named_y_is_a_predictor(noise):
    model = fitted("~ .", X=DATA[["y", "x"]], y=DATA["s"].to_numpy(dtype=float))
    assert model.fit_.spec.design.fixed.columns == ("Intercept", "y", "x")
    assert model.fit_.spec.response == "y_"
    assert model.score(DATA[["y", "x"]], DATA["s"]) < 1


def test_features_are_the_columns_but_those_of_the_left_side_alone(noise):
    model = fitted("s | trials(n) ~ x + (1 | school)", "binomial")
    assert model.feature_names_in_.tolist() == ["y", "x", "f", "school", "won"]
    assert model.n_features_in_ == 5
    assert fitted("s | trials(n) ~ x + n", "binomial").feature_names_in_.tolist()[-1] == "n"
    array = model.set_params(formula="y ~ x0", family="gaussian").fit(DATA[["x", "n"]].to_numpy(), VALUES)
    assert array.n_features_in_ == 2
    assert not hasattr(array, "feature_names_in_")


def test_a_formula_with_a_response_finds_columns_by_name(noise):
    model = fitted("y ~ x + f + (1 | school)")
    new = DATA[["school", "f", "x"]]
    np.testing.assert_array_equal(model.predict(new), model.predict(DATA.assign(more=1)))


def test_arrays_and_tables_stand_in_for_each_other_by_place(noise):
    table, array = DATA[["x", "n"]], DATA[["x", "n"]].to_numpy()
    by_name, by_place = fitted("y ~ x + n", X=table, y=VALUES), fitted("y ~ x0 + x1", X=array, y=VALUES)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        from_array = by_name.predict(array)
    with pytest.warns(UserWarning, match="X has feature names, but MixedModel was fitted without"):
        from_table = by_place.predict(table)
    np.testing.assert_allclose(from_array, by_place.predict(array))
    np.testing.assert_allclose(from_table, by_name.predict(table))


def test_predictions_are_means_of_the_fits_own(noise):
    model = fitted("y ~ x + (x | school)", groups=None)
    np.testing.assert_array_equal(model.predict(DATA), model.fit_.predict(groups=None)["estimate"])
    model.set_params(groups="all")
    np.testing.assert_array_equal(model.predict(DATA), model.fit_.predict()["estimate"])


def test_unseen_levels_are_the_same_at_each_prediction(noise):
    model = fitted("y ~ x + (1 | school)", random_state=None)
    new = DATA.assign(school="new")
    first = model.predict(new)
    np.testing.assert_array_equal(model.predict(new.iloc[::-1])[::-1], first)
    at_zero = model.set_params(new_levels="population").predict(new)
    np.testing.assert_allclose(at_zero, model.fit_.predict(groups=None)["estimate"])
    assert not np.allclose(first, at_zero)
    with pytest.raises(DataError, match="has not seen these levels"):
        model.set_params(new_levels="error").predict(new)


@pytest.mark.parametrize("y", [None, DATA["won"], DATA["won"].to_numpy(), DATA["won"] == "yes"])
def test_two_levels_are_predicted_by_the_probability_of_the_last(noise, y):
    model = fitted("won ~ x + (1 | school)", "bernoulli", y=y)
    p, won = model.predict(DATA), (DATA["won"] == "yes").astype(float)
    assert ((p > 0) & (p < 1)).all()
    weights = np.arange(N)
    assert model.score(DATA, y) == pytest.approx(r2_score(won, p))
    assert model.score(DATA, y, weights) == pytest.approx(r2_score(won, p, sample_weight=weights))
    brier = np.mean((won - p) ** 2)
    assert model.score(DATA, y) == pytest.approx(1 - brier / won.var(ddof=0))


def test_one_level_is_scored_against_all_others_also_where_it_does_not_occur(noise):
    model = fitted("f['b'] ~ x", "bernoulli")
    p = model.predict(DATA)
    assert model.score(DATA) == pytest.approx(r2_score(DATA["f"] == "b", p))
    some = DATA["f"] != "b"
    assert model.score(DATA[some]) == 0.0  # scikit-learn's convention where all responses are the same


def test_successes_are_scored_as_shares_of_their_trials(noise):
    model = fitted("s | trials(n) ~ x + (1 | school)", "binomial")
    expected = r2_score(DATA["s"] / DATA["n"], model.predict(DATA))
    assert model.score(DATA) == pytest.approx(expected)
    assert model.score(DATA.drop(columns="s"), DATA["s"]) == pytest.approx(expected)
    assert model.score(pd.concat([DATA, DATA[:2].assign(s=0, n=0)])) == pytest.approx(expected)


def gaps():
    return DATA.assign(x=DATA["x"].where(np.arange(N) != 3), y=DATA["y"].where(np.arange(N) != 5), f=None)


def test_gaps_in_columns_used_are_refused(noise):
    for X, y in ((gaps(), None), (DATA.assign(y=gaps()["y"]), None), (DATA, gaps()["y"])):
        with pytest.raises(DataError, match="missing values"):
            fitted("y ~ x", X=X, y=y)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        fitted("y ~ x", y=gaps()["y"].to_numpy())
    model = fitted("y ~ x")
    with pytest.raises(DataError, match="The data have missing values: x in 1 row"):
        model.predict(gaps())
    with pytest.raises(DataError, match="The data have missing values: y in 1 row"):
        model.score(gaps())


def test_gaps_are_left_out_where_that_is_asked_for(noise):
    with pytest.warns(mb.DesignWarning, match="2 dropped for missing values"):
        model = fitted("y ~ x", X=gaps(), missing="drop")
    assert model.fit_.spec.design.n == N - 2
    with pytest.warns(mb.DesignWarning, match="x in 1 row"):
        predicted = model.predict(gaps())
    assert np.flatnonzero(np.isnan(predicted)).tolist() == [3]
    kept = [i for i in range(N) if i not in (3, 5)]
    with pytest.warns(mb.DesignWarning, match="x in 1 row"):
        found = model.score(gaps(), sample_weight=np.arange(N))
    assert found == pytest.approx(r2_score(VALUES[kept], predicted[kept], sample_weight=kept))


@pytest.mark.parametrize(
    ("options", "X", "y", "error", "message"),
    [
        (
            {"formula": "log(y) ~ x"},
            DATA,
            None,
            ArgumentError,
            "is one column, not log(y): compute it before",
        ),
        ({"formula": "cbind(s, n) ~ x"}, DATA, None, ArgumentError, "is one column, not cbind"),
        ({"formula": "~ x"}, DATA, None, ArgumentError, "requires y to be passed, but the target y is None"),
        ({"formula": "z ~ x"}, DATA, None, ArgumentError, "X has no column 'z'"),
        ({"formula": "y ~ z"}, DATA, None, DataError, "There is no column 'z' in the data"),
        ({"formula": "~"}, DATA, VALUES, FormulaError, "Nothing stands right of '~'"),
        ({"formula": 3}, DATA, VALUES, FormulaError, "A formula is a text"),
        ({"formula": "y ~ x"}, pl.LazyFrame(DATA), None, DataError, "Call .collect() first"),
        ({"formula": "y ~ x"}, DATA, VALUES[1:], ValueError, "inconsistent numbers of samples"),
        ({"formula": "y ~ x"}, DATA, DATA[["x", "n"]], ValueError, "should be a 1d array"),
        ({"missing": "keep"}, DATA[["x"]], VALUES, ArgumentError, "choose 'drop' or 'error'"),
        ({"random_state": -1}, DATA[["x"]], VALUES, ArgumentError, "seed is a whole number of at least 0"),
        ({"family": "gauss"}, DATA[["x"]], VALUES, ValueError, "Did you mean 'gaussian'"),
    ],
)
def test_mistakes_are_told(options, X, y, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(").replace(")", r"\)")):
        MixedModel(**options).fit(X, y)


def test_mistakes_of_new_data_are_told(noise):
    model = fitted("won ~ x + (1 | school)", "bernoulli")
    with pytest.raises(DataError, match="There are no columns 'x', 'school'"):
        model.predict(DATA[["f"]])
    with pytest.raises(DataError, match="The response won has values that the model has not seen: perhaps"):
        model.score(DATA.assign(won="perhaps"))
    with pytest.raises(DataError, match="won holds numbers, where the model has learned text"):
        model.score(DATA, VALUES)
    with pytest.raises(ArgumentError, match="X has no column 'won'"):
        model.score(DATA.drop(columns="won"))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(DATA, sample_weight=[1.0])
    counts = fitted("s | trials(n) ~ x", "binomial")
    with pytest.raises(DataError, match="There is no column 'n'"):
        counts.score(DATA[["x"]], DATA["s"])


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_mixedbayes_does_not_import_scikit_learn():
    done = run(
        "import sys, mixedbayes as mb; print('sklearn' in sys.modules, mb.sklearn.MixedModel.__name__)"
    )
    assert done.stdout.split() == ["False", "MixedModel"]


def test_without_scikit_learn_one_is_told_how_to_install_it():
    done = run("import sys; sys.modules['sklearn'] = None; import mixedbayes as mb; mb.sklearn")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: mixedbayes.sklearn needs scikit-learn 1.6 or later: pip install 'mixedbayes[sklearn]'."
    )


def test_formulas_of_other_parameters_are_given_by_name(noise):
    model = fitted(
        "y ~ x + (1 | school)", predictors={"sigma": "~ f + (1 | school)"}, link={"sigma": "identity"}
    )
    assert list(model.feature_names_in_) == ["x", "f", "school"] or set(model.feature_names_in_) >= {
        "x",
        "f",
        "school",
    }
    assert model.fit_.spec.links == {"mu": "identity", "sigma": "identity"}
    assert model.get_params()["predictors"] == {"sigma": "~ f + (1 | school)"}
    again = clone(model).set_params(predictors={"sigma": "~ 1"})
    assert again.predictors == {"sigma": "~ 1"}
    expected = model.fit_.predict(DATA, seed=model.seed_)["estimate"]
    np.testing.assert_allclose(model.predict(DATA), expected)
    one_sided = fitted("~ x", X=DATA[["x", "f"]], y=DATA["y"], predictors={"sigma": "~ f"})
    assert list(one_sided.fit_.spec.predictors) == ["mu", "sigma"]


@pytest.mark.parametrize(
    ("predictors", "error", "match"),
    [
        ("~ x", ArgumentError, "predictors is a mapping from parameters to formulas"),
        ({"draws": "~ x"}, ArgumentError, "'draws', which is no parameter"),
        ({"sigma": "x"}, FormulaError, "begins with '~'"),
        ({"sigma": "~ nothere"}, DataError, "There is no column 'nothere'"),
    ],
)
def test_formulas_of_other_parameters_that_are_none_are_refused(noise, predictors, error, match):
    with pytest.raises(error, match=match):
        fitted("y ~ x", predictors=predictors)
