"""The picture of the parameters: every number where the summary has it, and every interval to be seen."""

import numpy as np
import pandas as pd
import pytest
from synthetic import NoEngine, synthetic_fit

from mixedbayes.errors import ArgumentError
from mixedbayes.results.fit import Fit
from mixedbayes.results.tables.forest import SHARE

RNG = np.random.default_rng(5)
N = 60
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "count": RNG.poisson(3, N),
        "x": RNG.normal(size=N),
        "z": RNG.normal(size=N),
        "a name of $more than_one$ line of a label, as surveys have them": RNG.normal(size=N),
        "g": np.resize(list("abcde"), N),
        "h": np.resize(list("pqr"), N),
    }
)
LONG = "`a name of $more than_one$ line of a label, as surveys have them`"


def panels(picture):
    return [axes.item() for axes in picture.viz["plot"].data_vars.values()]


def shown(picture):
    """For each label the estimate and the interval that are drawn."""
    found = []
    for axes in panels(picture):
        labels = [text.get_text() for text in axes.get_yticklabels()]
        points = np.concatenate([each.get_offsets() for each in axes.collections])
        (line,) = [
            each for each in axes.lines if len(each.get_xdata()) > 2 or np.isnan(each.get_ydata()).any()
        ]
        ends = np.array(line.get_xdata()).reshape(-1, 3)[:, :2]
        assert list(points[:, 1]) == list(range(len(labels)))
        found += [
            (label.replace("\n", " "), point[0], *low_high)
            for label, point, low_high in zip(labels, points, ends, strict=True)
        ]
    return found


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("y ~ x + z + (x | g) + (1 | h)", "gaussian"),
        ("y ~ 0 + x", "gaussian"),
        ("y ~ 1", "gaussian"),
        (f"y ~ {LONG} + (z || g)", "gaussian"),
        ("count ~ x + (1 | g)", "poisson"),
    ],
)
@pytest.mark.parametrize(("level", "robust"), [(0.95, False), (0.5, True)])
def test_estimates_and_intervals_are_those_of_the_summary_in_its_order(formula, family, level, robust):
    fit = synthetic_fit(formula, DATA, family)
    found = shown(fit.plot(conf_level=level, robust=robust))
    table = fit.summary(conf_level=level, robust=robust)
    assert sorted(label for label, *_ in found) == sorted(table.index)
    by_numbers = {tuple(np.round(numbers, 9)): label for label, *numbers in found}
    for label, *numbers in table[["estimate", "conf_low", "conf_high"]].itertuples():
        assert by_numbers[tuple(np.round(numbers, 9))] == label


@pytest.mark.parametrize("seed", range(5))
def test_every_interval_can_be_seen_whatever_the_scales_of_parameters(seed):
    rng = np.random.default_rng(seed)
    fit = synthetic_fit("y ~ x + z + g + (x + z | h)", DATA)
    scales = 10.0 ** rng.integers(-6, 7, fit.posterior.sizes["coefficient"])
    sds = 10.0 ** rng.integers(-6, 7, 3)
    posterior = fit.posterior
    tree = fit.idata.copy()
    tree["posterior"] = posterior.assign(b=posterior["b"] * scales, sd_h=posterior["sd_h"] * sds)
    for axes in panels(Fit(fit.spec, tree, NoEngine()).plot()):
        low, high = axes.get_xlim()
        for line in axes.lines:
            if len(line.get_xdata()) % 3 == 0:
                ends = np.array(line.get_xdata()).reshape(-1, 3)[:, :2]
                assert (np.diff(ends) > 0.8 * SHARE * (high - low)).all()
                assert (ends >= low).all()
                assert (ends <= high).all()


def test_correlations_are_shown_from_minus_one_to_one_and_zero_is_marked_where_it_is():
    picture = synthetic_fit("y ~ x + (x | g)", DATA).plot()
    correlations = panels(picture)[1]
    assert correlations.get_xlim() == (-1.0, 1.0)
    assert any(list(line.get_xdata()) == [0.0, 0.0] for line in correlations.lines)
    assert correlations.get_title(loc="left") == ""
    assert panels(picture)[0].get_title(loc="left") == "Group-level effects, g (5 levels)"


def test_names_with_dollars_are_written_as_they_are():
    picture = synthetic_fit(f"y ~ {LONG}", DATA).plot()
    texts = [text for axes in panels(picture) for text in axes.get_yticklabels()]
    assert any("$more" in text.get_text() for text in texts)
    assert not any(text.get_parse_math() for text in texts)
    picture.viz["figure"].item().canvas.draw()


def test_parameters_that_never_vary_are_drawn():
    fit = synthetic_fit("y ~ x + z + (1 | g)", DATA)
    tree = fit.idata.copy()
    tree["posterior"] = fit.posterior.assign(b=fit.posterior["b"] * 0 + 2.0)
    picture = Fit(fit.spec, tree, NoEngine()).plot()
    picture.viz["figure"].item().canvas.draw()
    assert len(shown(picture)) == 5


def test_options_that_are_none_are_refused():
    with pytest.raises(ArgumentError, match="conf_level lies between 0 and 1, not 95"):
        synthetic_fit("y ~ x", DATA).plot(conf_level=95)
    with pytest.raises(ArgumentError, match="robust is True or False, not 'yes'"):
        synthetic_fit("y ~ x", DATA).plot(robust="yes")
