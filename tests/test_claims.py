"""Claims on spectra made by hand, whose order is known, and on networks that learned nothing."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from conftest import run
from hypothesis import given, settings
from hypothesis import strategies as st

from fpkit import config
from fpkit.claims import intervals, replication, statistics, verdicts
from fpkit.claims.pooling import pooled
from fpkit.config.claims import Claim
from fpkit.errors import UserError

FREQUENCIES = [1, 2, 3, 4, 5]


def lines(passages, followed=None, diverged=None, **controls) -> xr.Dataset:
    """Spectra of `projection`, reduced to what claims read: one row of passages for each member."""
    passages = np.atleast_2d(np.asarray(passages, float))
    members = len(passages)
    dims = ("member", "frequency")
    variables = {
        "first_passage": (dims, passages),
        "hold_passage": (dims, 2 * passages),
        "area": (dims, passages / 1000),
        "followed": ("frequency", np.ones(passages.shape[1], bool) if followed is None else np.asarray(followed)),
        "diverged": ("member", np.zeros(members, bool) if diverged is None else np.asarray(diverged)),
    }
    nulls = list(controls)
    if nulls:
        stacked = np.stack([np.atleast_2d(np.asarray(controls[null], float)) for null in nulls])
        variables |= {
            f"control_{name}": (("null", *dims), factor * stacked)
            for name, factor in (("first_passage", 1), ("hold_passage", 2), ("area", 1e-3))
        }
    coords = {"frequency": FREQUENCIES[: passages.shape[1]], "member": range(members)}
    return xr.Dataset(variables, coords | ({"null": nulls} if nulls else {}))


def claim(statistic="first_order", measure="fft", control=None, **bound) -> dict:
    """A claim as the workflow hands it over."""
    return config.plain(
        Claim(
            statement="low first",
            source="Sec. 3",
            experiment="one",
            measure=measure,
            statistic=statistic,
            control=control,
            bound=bound or {"at_least": 0.5},
        )
    )


ORDERS = ["first_order", "hold_order", "area_order"]
UP, DOWN = [10, 20, 30, 40, 50], [50, 40, 30, 20, 10]


@pytest.mark.parametrize("statistic", ORDERS)
def test_perfect_order_is_1_reversed_is_minus_1(statistic):
    found = getattr(statistics, statistic)(lines([UP, DOWN]))
    assert found.dims == ("member",)
    np.testing.assert_allclose(found, [1, -1])


@pytest.mark.parametrize("statistic", ORDERS)
def test_capturing_everything_at_once_is_no_order(statistic):
    assert getattr(statistics, statistic)(lines([7] * 5)) == 0


@pytest.mark.parametrize("statistic", ORDERS)
def test_capturing_nothing_has_no_order_to_speak_of(statistic):
    spectra = lines([[np.nan] * 5, [np.nan, np.nan, 5, np.nan, np.nan]])
    spectra["area"][:] = [0.9991, 0.9992, 0.9993, 0.9994, 0.9995]  # an order of nothing but the first steps
    found = getattr(statistics, statistic)(spectra)
    assert np.isnan(found).to_numpy().tolist() == [True, False]


def test_captured_by_the_way_is_not_captured_for_good():
    spectra = lines([UP]).assign(hold_passage=lines([[np.nan] * 5])["hold_passage"])
    assert np.isnan(statistics.hold_order(spectra))
    assert statistics.first_order(spectra) == 1


def test_only_what_is_followed_counts_as_captured():
    spectra = lines([[np.nan, np.nan, np.nan, np.nan, 50]], followed=[True] * 4 + [False])
    assert np.isnan(statistics.first_order(spectra))


@pytest.mark.parametrize("bound", [{"at_most": 0}, {"at_least": 0}, {"at_least": -2}, {"at_most": 2}])
@pytest.mark.parametrize("statistic", ORDERS)
def test_no_claim_about_the_order_is_decided_by_what_captured_nothing(statistic, bound):
    row = verdicts.judge("c", claim(statistic, **bound), "base", [lines([[np.nan] * 5] * 6)])
    assert np.isnan(row["value"])
    assert row["verdict"] == "undecided"
    assert row["censored"] == ("" if statistic == "area_order" else "30 of 30")


def test_a_null_that_captures_nothing_has_no_order_which_is_0():
    """A network is not undecided because its null, as a null should, shows nothing."""
    spectra = lines([UP] * 6, shuffled_labels=[[np.nan] * 5] * 6)
    row = verdicts.judge("c", claim(measure="projection", control="shuffled_labels"), "base", [spectra])
    assert (row["value"], row["control"], row["verdict"]) == (1, 0, "holds")


def test_members_that_captured_nothing_are_not_passed_over():
    """Three members in perfect order beside five that learned nothing prove no order; one beside nine spoils none."""
    row = verdicts.judge("c", claim(at_least=0.8), "base", [lines([UP] * 3 + [[np.nan] * 5] * 5)])
    assert (row["value"], row["verdict"]) == (1, "undecided")
    assert row["ci_low"] == -np.inf
    row = verdicts.judge("c", claim(at_least=0.8), "base", [lines([UP] * 9 + [[np.nan] * 5])])
    assert (row["value"], row["ci_low"], row["ci_high"], row["verdict"]) == (1, 1, 1, "holds")


@pytest.fixture(scope="module")
def written_down() -> config.Config:
    """`config.yaml`."""
    return config.load(config.read_yaml(Path(__file__).parents[1] / "config.yaml"))


ABOUT_ORDER = [*ORDERS, "noise_after_best"]


def test_no_claim_about_the_order_holds_of_networks_that_learned_nothing(written_down, tmp_path):
    """Every one in `config.yaml`, on a variant of its experiment trained for three steps that are next to none."""
    judged = {}
    for name, entry in written_down.claims.items():
        if entry.statistic not in ABOUT_ORDER:
            continue
        experiment = written_down.experiments[entry.experiment]
        # Of the images, the fully connected ones: a few seconds less.
        variant = next(
            v for v in config.variants(written_down)
            if v.experiment == entry.experiment and any(map(Path(v.name).match, entry.variants))
        )  # fmt: skip
        place = tmp_path / entry.experiment / variant.name
        if not place.exists():
            source = config.plain(written_down.datasets[variant.dataset])
            data = import_module(f"fpkit.datasets.{source.pop('kind')}").build(**source)
            data.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
            recipe = variant.training | {"steps": 3, "learning_rate": 1e-12, "device": "cpu"}
            predictions = run(
                tmp_path / "data.nc", place, tmp_path / "checkpoints", model=variant.model, training=recipe,
                record=variant.record,
            )  # fmt: skip
            decompose = import_module(f"fpkit.measures.{entry.measure}").decompose
            split = experiment.record.split
            spectra = decompose(predictions, data, split=split, **variant.decomposition[entry.measure])
            judged[entry.experiment] = spectra
        row = verdicts.judge(name, config.plain(entry), variant.name, [judged[entry.experiment]])
        assert row["verdict"] != "holds", row
        if row["censored"] and len(set(row["censored"].split(" of "))) == 1:  # nothing, not even by chance
            assert row["verdict"] == "undecided", row
    assert {"synthetic", "images", "amplitudes", "early_stopping", "natural_image"} <= set(judged)


@pytest.mark.parametrize("statistic", ["first_order", "hold_order"])
def test_censored_frequencies_rank_last_together(statistic):
    found = getattr(statistics, statistic)(lines([[10, 20, 30, np.nan, np.nan], [np.nan, np.nan, 30, 20, 10]]))
    ties = scipy.stats.spearmanr(FREQUENCIES, [1, 2, 3, 4, 4]).statistic
    np.testing.assert_allclose(found, [ties, -ties])


def test_undefined_area_and_a_single_frequency_have_no_order():
    assert np.isnan(statistics.area_order(lines([10, 20, np.nan, 40, 50])))
    assert np.isnan(statistics.first_order(lines([[10]])))


def test_only_followed_frequencies_are_ranked():
    wild = [10, 99, 20, 1, 30]
    assert statistics.first_order(lines(wild, followed=[True, False, True, False, True])) == pytest.approx(1)


@given(
    st.lists(
        st.lists(st.integers(1, 9) | st.just(np.nan), min_size=5, max_size=5),
        min_size=1,
        max_size=3,
    )
)
@settings(deadline=None)
def test_order_equals_the_correlation_of_average_ranks(rows):
    found = statistics.first_order(lines(rows)).to_numpy()
    for value, row in zip(found, rows, strict=True):
        filled = [1e9 if np.isnan(item) else item for item in row]
        ranks = [sum(b < a for b in filled) + (sum(b == a for b in filled) + 1) / 2 for a in filled]
        expected = 0 if len(set(ranks)) == 1 else np.corrcoef(FREQUENCIES, ranks)[0, 1]
        expected = np.nan if np.isnan(row).all() else expected
        assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)


# --- filtering --------------------------------------------------------------------------------------------------------


def filtered(low, high, share=(0.5,), null=None) -> xr.Dataset:
    """Spectra of `filtering`; errors are (step, width), the same for two members."""
    steps = [0, 1, 10, 100]
    variables = {"low_share": ("width", list(share)), "diverged": ("member", [False, False])}
    for name, values in (("low_error", low), ("high_error", high)):
        values = np.broadcast_to(np.asarray(values, float), (4, len(share)))
        variables[name] = (("step", "member", "width"), np.stack([values] * 2, axis=1))
        if null is not None:
            variables[f"control_{name}"] = (("null", "step", "member", "width"), np.full((1, 4, 2, len(share)), null))
    coords = {"step": steps, "member": [0, 1], "width": np.arange(len(share)) + 0.1, "null": ["white_noise"]}
    return xr.Dataset(variables, coords)


def test_advantage_counts_the_decades_that_the_low_part_is_ahead():
    np.testing.assert_allclose(statistics.low_advantage(filtered(0.01, 0.1)), [1, 1])
    np.testing.assert_allclose(statistics.low_advantage(filtered(0.3, 0.3)), [0, 0], atol=1e-12)
    np.testing.assert_allclose(statistics.low_advantage(filtered(0.1, 0.001)), [-2, -2])


def test_advantage_is_the_mean_over_the_logarithm_of_the_step_from_1_on():
    low = np.array([[1e-9], [1.0], [0.1], [0.1]])  # step 0 counts for nothing
    np.testing.assert_allclose(statistics.low_advantage(filtered(low, 1.0)), 0.75)


def test_advantage_is_taken_where_both_parts_carry_energy():
    low = [[0.1, 1e-6, 0.01, 1e-6]] * 4
    np.testing.assert_allclose(statistics.low_advantage(filtered(low, 1.0, share=(0.1, 0.05, 0.9, 0.95))), 1.5)


def test_advantage_is_undefined_where_no_width_carries_both():
    """A run whose widths say nothing has to come out as undecided, not to break the claims of all others."""
    row = verdicts.judge("c", claim("low_advantage", "filtering"), "base", [filtered(0.01, 0.1, share=(0.01, 0.99))])
    assert np.isnan(row["value"])
    assert row["verdict"] == "undecided"


def test_advantage_of_a_training_of_one_step_is_that_of_the_step():
    spectra = filtered(0.01, 0.1).isel(step=[0, 1])
    np.testing.assert_allclose(statistics.low_advantage(spectra), [1, 1])


# --- early stopping ---------------------------------------------------------------------------------------------------

STEPS = [0, 1, 10, 100, 1000]


def noisy(passages, validation, test=None, clean=(0, 1, 0.5, 0.09, 0.0), followed=None, **accuracy) -> xr.Dataset:
    """Spectra of `fft` of a noisy target with five frequencies, 0 first; losses are (member, step)."""
    passages = np.atleast_2d(np.asarray(passages, float))
    members = range(len(passages))
    scores = {"loss_validation": validation, "loss_test": validation if test is None else test} | accuracy
    variables = {
        "first_passage": (("member", "frequency"), passages),
        "clean_amplitude": (("frequency", "output"), np.asarray(clean, float)[:, None]),
        "followed": ("frequency", [False, True, True, True, True] if followed is None else followed),
        "diverged": ("member", np.zeros(len(passages), bool)),
    }
    variables |= {name: (("step", "member"), np.atleast_2d(np.asarray(v, float)).T) for name, v in scores.items()}
    return xr.Dataset(variables, {"frequency": [0, 1, 2, 3, 4], "member": list(members), "step": STEPS})


U_SHAPED, FALLING, RISING = [5, 4, 1, 2, 3], [5, 4, 3, 2, 1], [1, 2, 3, 4, 5]


def test_best_step_is_that_of_the_lowest_validation_loss_and_the_first_of_equals():
    spectra = noisy([[0, 1, 1, 1, 1]] * 4, [U_SHAPED, FALLING, RISING, [3, 1, 2, 1, 1]])
    found = statistics.best_step(spectra)
    assert found.dims == ("member",)
    assert found.to_numpy().tolist() == [10, 1000, 0, 1]


def test_signal_is_what_the_clean_target_holds_from_a_tenth_of_its_largest_amplitude():
    flat = [[1] * 5]
    assert statistics.signal(noisy(flat, [U_SHAPED])).to_numpy().tolist() == [False, True, True, False, False]
    mean = noisy(flat, [U_SHAPED], clean=(100, 1, 0.5, 0.1, 0))  # a mean is no scale for the others
    assert statistics.signal(mean).sel(frequency=[1, 2, 3, 4]).to_numpy().tolist() == [True, True, True, False]


def test_signal_takes_the_norm_over_outputs():
    spectra = noisy([[1] * 5], [U_SHAPED]).drop_vars("clean_amplitude")
    spectra["clean_amplitude"] = (("frequency", "output"), [[0, 0], [3, 4], [0.3, 0.4], [0.4, 0.2], [0, 0]])
    assert statistics.signal(spectra).to_numpy().tolist() == [False, True, True, False, False]


def test_fractions_captured_before_and_after_the_best_step():
    passages = [
        [np.nan, 1, 10, 100, 1000],  # both of the target in time, both of the noise later
        [np.nan, 10, 100, 10, np.nan],  # one in time; one of the noise too early, one never
        [np.nan, np.nan, 1000, 1, 1],
    ]
    spectra = noisy(passages, [U_SHAPED] * 3)
    before, after = statistics.signal_before_best(spectra), statistics.noise_after_best(spectra)
    assert before.dims == after.dims == ("member",)
    np.testing.assert_allclose(before, [1, 0.5, 0])
    np.testing.assert_allclose(after, [1, 0.5, 0])


def test_noise_is_no_later_than_the_target_where_neither_is_ever_captured():
    spectra = noisy([[np.nan] * 5] * 6, [FALLING] * 6)
    assert np.isnan(statistics.noise_after_best(spectra)).all()
    assert verdicts.judge("c", claim("noise_after_best"), "base", [spectra])["verdict"] == "undecided"
    assert (statistics.signal_before_best(spectra) == 0).all()  # it asks for capture, and there is none


def test_every_member_has_its_own_best_step():
    spectra = noisy([[np.nan, 10, 10, 10, 10]] * 2, [RISING, FALLING])
    np.testing.assert_allclose(statistics.signal_before_best(spectra), [0, 1])
    np.testing.assert_allclose(statistics.noise_after_best(spectra), [1, 0])


def test_only_followed_frequencies_are_of_signal_or_noise():
    spectra = noisy([[1, 1, 1000, 1, 1000]], [U_SHAPED], followed=[False, True, False, False, True])
    assert statistics.signal_before_best(spectra) == 1
    assert statistics.noise_after_best(spectra) == 1


def test_without_any_noise_among_the_followed_frequencies_the_claim_is_undecided():
    spectra = noisy([[1] * 5] * 4, [U_SHAPED] * 4, followed=[False, True, True, False, False])
    row = verdicts.judge("c", claim("noise_after_best"), "base", [spectra])
    assert np.isnan(row["value"])
    assert row["verdict"] == "undecided"


def test_overfitting_is_the_final_test_loss_over_that_of_the_best_validation_step():
    test = [[9, 8, 2, 4, 6], [9, 8, 2, 4, 6], [9, 8, 2, 4, 6]]
    spectra = noisy([[1] * 5] * 3, [U_SHAPED, FALLING, RISING], test)
    found = statistics.overfitting(spectra)
    assert found.dims == ("member",)
    np.testing.assert_allclose(found, [6 / 2, 1, 6 / 9])


def test_test_accuracy_is_that_of_the_last_record():
    accuracy = [[0.1, 0.2, 0.3, 0.9, 0.8], [0.5, 0.5, 0.5, 0.5, 1]]
    found = statistics.test_accuracy(noisy([[1] * 5] * 2, [U_SHAPED] * 2, accuracy_test=accuracy))
    assert found.dims == ("member",)
    np.testing.assert_allclose(found, [0.8, 1])


@pytest.mark.parametrize("statistic", ["signal_before_best", "noise_after_best", "overfitting"])
def test_statistics_of_early_stopping_are_judged_without_diverged_members(statistic):
    passages = [[np.nan, 1, 10, 100, 1000]] * 3
    spectra = noisy(passages, [U_SHAPED] * 3, [[9, 8, 2, 4, 6]] * 3)
    spectra["diverged"][1] = True
    for name in ("first_passage", "loss_validation", "loss_test"):
        spectra[name] = spectra[name].where(~spectra["diverged"])
    row = verdicts.judge("c", claim(statistic, at_least=0.9), "base", [spectra])
    assert (row["verdict"], row["members"], row["censored"]) == ("holds", "2 of 3", "")


@pytest.mark.parametrize("statistic", sorted(set(config.STATISTICS) - {"low_advantage"}))
def test_nobody_left_is_undecided_under_every_statistic(statistic):
    spectra = noisy([[1] * 5], [U_SHAPED], accuracy_test=[[1] * 5])
    for name in ("hold_passage", "area", "predicted_rate", "measured_rate"):
        spectra[name] = spectra["first_passage"]
    spectra["diverged"][:] = True
    row = verdicts.judge("c", claim(statistic, measure=config.measures_of(statistic)[0]), "base", [spectra])
    assert np.isnan(row["value"])
    assert (row["verdict"], row["members"]) == ("undecided", "0 of 1")


# --- theory -----------------------------------------------------------------------------------------------------------


def rates(predicted, measured) -> xr.Dataset:
    """Spectra of `ntk`, reduced to the rates (member, frequency)."""
    variables = {"predicted_rate": predicted, "measured_rate": measured}
    variables = {k: (("member", "frequency"), np.atleast_2d(np.asarray(v, float))) for k, v in variables.items()}
    members = len(variables["predicted_rate"][1])
    coords = {"member": list(range(members)), "frequency": FREQUENCIES}
    return xr.Dataset(variables | {"diverged": ("member", [False] * members)}, coords)


RATES = np.array([0.5, 0.2, 0.1, 0.02, 0.001])


def test_correlation_of_rates_is_of_their_ranks():
    spectra = rates([RATES] * 3, [RATES**3, RATES[::-1], [0.5, 0.2, 0.02, 0.1, 0.001]])
    found = statistics.rate_correlation(spectra)
    assert found.dims == ("member",)
    np.testing.assert_allclose(found, [1, -1, 1 - 6 * 2 / (5 * 24)])


@given(slope=st.floats(-3, 3), factor=st.floats(0.01, 100))
@settings(deadline=None, max_examples=20)
def test_slope_of_rates_is_the_exponent_of_a_power_law(slope, factor):
    assert statistics.rate_slope(rates(RATES, factor * RATES**slope)) == pytest.approx(slope, abs=1e-9)


def test_slope_of_rates_is_that_of_least_squares():
    measured = RATES * np.array([1.1, 0.8, 1.3, 0.9, 1])
    x, y = np.log(RATES), np.log(measured)
    expected = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    assert statistics.rate_slope(rates(RATES, measured)) == pytest.approx(expected)


@pytest.mark.parametrize("hole", [np.nan, 0, -0.01])
@pytest.mark.parametrize("of", ["predicted", "measured"])
def test_rates_that_are_unknown_or_not_positive_are_left_out(of, hole):
    spoiled = RATES.copy()
    spoiled[1] = hole
    other = RATES**2 * np.array([1, 50, 1, 1, 1])  # what is left out would spoil both statistics
    pair = (spoiled, other) if of == "predicted" else (other, spoiled)
    assert statistics.rate_correlation(rates(*pair)) == pytest.approx(1)
    assert statistics.rate_slope(rates(*pair)) == pytest.approx(2 if of == "predicted" else 0.5)


def test_two_rates_are_not_enough():
    few = np.where(np.arange(5) < 2, RATES, np.nan)
    assert np.isnan(statistics.rate_correlation(rates(few, few)))
    assert np.isnan(statistics.rate_slope(rates(few, few)))


# --- judging ----------------------------------------------------------------------------------------------------------


def test_row_has_the_columns_of_the_table_and_says_what_was_measured():
    row = verdicts.judge("order", claim(at_least=0.8), "activation~relu", [lines([UP] * 4)])
    assert tuple(row) == verdicts.COLUMNS
    assert (row["claim"], row["variant"], row["experiment"]) == ("order", "activation~relu", "one")
    assert (row["value"], row["ci_low"], row["ci_high"]) == pytest.approx((1, 1, 1))
    assert (row["bound"], row["verdict"], row["members"], row["censored"]) == (">= 0.8", "holds", "4 of 4", "0 of 20")
    assert np.isnan(row["control"])


@pytest.mark.parametrize(("rows", "verdict", "shown"), [([UP] * 4, "holds", ""), ([DOWN] * 4, "does not hold", "Why.")])
def test_sentence_why_is_given_with_a_claim_that_does_not_hold_alone(rows, verdict, shown):
    row = verdicts.judge("order", claim() | {"why_not": "Why."}, "base", [lines(rows)])
    assert (row["verdict"], row["why_not"]) == (verdict, shown)
    assert verdicts.judge("order", claim(), "base", [lines(rows)])["why_not"] == ""


def test_perfect_order_meets_a_bound_of_1():
    row = verdicts.judge("order", claim(at_least=1), "base", [lines([UP] * 4)])
    assert row["verdict"] == "holds"  # and rounding in the last bit does not turn it into its opposite


def test_with_a_control_value_and_interval_are_of_the_difference():
    spectra = lines([UP] * 4, white_noise=[DOWN] * 4, shuffled_labels=[[7] * 5] * 4)
    row = verdicts.judge("c", claim(measure="projection", control="white_noise"), "base", [spectra])
    assert (row["value"], row["control"], row["ci_low"]) == pytest.approx((2, -1, 2))
    assert row["statistic"] == "first_order - first_order under white_noise"
    row = verdicts.judge("c", claim(measure="projection", control="shuffled_labels"), "base", [spectra])
    assert (row["value"], row["control"]) == pytest.approx((1, 0))


def test_control_replaces_every_quantity_and_keeps_the_rest():
    spectra = lines([UP] * 2, white_noise=[DOWN] * 2)
    null = verdicts.on_null(spectra, "white_noise", ["area"])
    for name in ("first_passage", "hold_passage", "area"):
        assert np.array_equal(null[name], spectra[f"control_{name}"].sel(null="white_noise"))
    assert np.array_equal(null["followed"], spectra["followed"])


def test_filtering_has_its_control_too():
    row = verdicts.judge(
        "c", claim("low_advantage", "filtering", "white_noise"), "base", [filtered(0.01, 0.1, null=0.3)]
    )
    assert row["value"] == pytest.approx(1)
    assert row["control"] == pytest.approx(0)
    assert row["censored"] == ""


def test_pooled_draws_are_judged_by_all_their_members_each_on_its_own_frequencies():
    """The second draw follows other frequencies than the first; a member of it diverged."""
    one = lines([UP, DOWN, UP], followed=[True] * 3 + [False] * 2)
    other = lines([DOWN, UP, UP], followed=[False] * 2 + [True] * 3, diverged=[False, False, True])
    row = verdicts.judge("c", claim(at_least=-2), "seed~*", [one, other])
    assert (row["variant"], row["members"], row["censored"]) == ("seed~*", "5 of 6", "0 of 15")
    assert row["value"] == np.median([1, -1, 1, -1, 1])
    assert (row["ci_low"], row["ci_high"]) == intervals.known_interval(np.array([1.0, -1, 1, -1, 1]))[1:]
    alone = verdicts.judge("c", claim(at_least=-2), "seed~*", [other.isel(member=[2])])
    assert alone["remark"] == "all members diverged"


def test_pooled_control_is_the_difference_of_each_draw_to_its_own():
    one = lines([UP] * 3, white_noise=[DOWN] * 3)
    other = lines([UP] * 3, white_noise=[UP] * 3)
    row = verdicts.judge("c", claim(measure="projection", control="white_noise"), "seed~*", [one, other])
    assert row["value"] == np.median([2, 2, 2, 0, 0, 0])


def named(spectra: xr.Dataset, seed: int, **arrays) -> xr.Dataset:
    name = f"noisy+noise~0.1+seed~{seed}"
    return spectra.assign(arrays).assign_attrs(experiment="e", dataset=name, variant=f"seed~{seed}", measure="fft")


def test_pooled_spectra_have_the_members_of_all_draws_and_the_target_of_the_first():
    several = [
        named(
            lines(
                [UP, DOWN][::scale] * scale,
                followed=[True] * (5 - scale) + [False] * scale,
                diverged=[scale > 1, False],
            ),
            scale,
            target_amplitude=("frequency", np.full(5, float(scale))),
            snapshot_output=(("snapshot", "member"), np.full((1, 2), float(scale))),
        )
        for scale in (1, 2)
    ]
    whole = pooled("seed~*", several)
    passages = np.concatenate([one["first_passage"] for one in several])
    np.testing.assert_array_equal(whole["first_passage"], passages)
    assert whole["member"].to_numpy().tolist() == [0, 1, 2, 3]
    assert whole["diverged"].to_numpy().tolist() == [False, False, True, False]
    assert whole["diverged"].dtype == bool
    assert whole["followed"].to_numpy().tolist() == [True] * 3 + [False] * 2, "where all follow it"
    assert (whole["target_amplitude"] == 1).all()
    np.testing.assert_array_equal(whole["snapshot_output"], [[1, 1, np.nan, np.nan]])
    about = {"experiment": "e", "dataset": "noisy+noise~0.1", "variant": "seed~*", "measure": "fft", "draws": 2}
    assert whole.attrs == about
    assert pooled("base", several[:1]) is several[0]


def test_spectra_of_other_frequencies_are_not_pooled():
    one, other = named(lines([UP] * 2), 0), named(lines([UP] * 2).isel(frequency=slice(3)), 1)
    with pytest.raises(UserError, match=r"^e/seed~\*: cannot be pooled \(.*\); leave out pool$"):
        pooled("seed~*", [one, other])


def test_replication_counts_verdict_against_verdict_of_the_same_question():
    def rows(*verdict: str, bound: str = ">= 1") -> pd.DataFrame:
        asked = {"claim": "c", "experiment": "e", "statistic": "lead", "bound": bound, "value": 1.0}
        several = [asked | {"variant": f"v{n}", "verdict": one} for n, one in enumerate(verdict)]
        return pd.DataFrame(several).assign(ci_low=0.5, ci_high=1.5)

    run = rows("holds", "holds", "undecided", "does not hold")
    table = replication.beside(
        run, {2: rows("holds", "does not hold", "holds"), 1: run, 3: rows("holds", bound=">= 2")}
    )
    assert replication.numbers(table) == [1, 2, 3]
    assert replication.counts(table, 2).to_numpy().tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert replication.agreement(table) == (
        "replication 1: 4 of 4 verdicts agree, 0 are opposite; "
        "replication 2: 1 of 3 verdicts agree, 1 is opposite, 1 of this configuration not repeated; "
        "replication 3: 0 of 0 verdicts agree, 0 are opposite, 4 of this configuration not repeated"
    )
    assert replication.agreement(replication.beside(run, {})) == "no replication yet; make replicate"


def test_damaged_table_of_a_replication_is_told(tmp_path):
    path = tmp_path / "claims.csv"
    for content in ("", "claim,variant\n", "no table"):
        path.write_text(content)
        with pytest.raises(UserError, match=r"damaged; delete it, `make replicate` makes it anew$"):
            replication.read(path)


def test_diverged_members_are_left_out_and_counted():
    spectra = lines([UP, DOWN, UP], diverged=[False, True, False])
    row = verdicts.judge("c", claim(), "base", [spectra])
    assert (row["value"], row["members"], row["censored"]) == (pytest.approx(1), "2 of 3", "0 of 10")


def test_nobody_left_is_undecided():
    row = verdicts.judge("c", claim(), "base", [lines([UP, UP], diverged=[True, True])])
    assert np.isnan([row["value"], row["ci_low"], row["ci_high"]]).all()
    assert (row["verdict"], row["members"], row["censored"]) == ("undecided", "0 of 2", "0 of 0")


def test_single_member_is_undecided_however_clear_it_is():
    row = verdicts.judge("c", claim(at_least=-5), "base", [lines([UP])])
    assert row["value"] == pytest.approx(1)
    assert row["verdict"] == "undecided"


def test_censored_pairs_are_counted_among_the_followed_ones_of_kept_members():
    spectra = lines(
        [[10, np.nan, np.nan, 40, 50], [10, 20, 30, np.nan, 50], [np.nan] * 5],
        followed=[True, True, False, True, True],
        diverged=[False, False, True],
    )
    assert verdicts.judge("c", claim("first_order"), "base", [spectra])["censored"] == "2 of 8"
    assert verdicts.judge("c", claim("hold_order"), "base", [spectra])["censored"] == "2 of 8"
    assert verdicts.judge("c", claim("area_order"), "base", [spectra])["censored"] == ""


@pytest.mark.parametrize(
    ("low", "high", "kind", "bound", "expected"),
    [
        (0.8, 0.9, "at_least", 0.8, "holds"),
        (0.7, 0.9, "at_least", 0.8, "undecided"),
        (0.7, 0.8, "at_least", 0.8, "undecided"),
        (0.6, 0.79, "at_least", 0.8, "does not hold"),
        (0.1, 0.2, "at_most", 0.2, "holds"),
        (0.1, 0.3, "at_most", 0.2, "undecided"),
        (0.2, 0.3, "at_most", 0.2, "undecided"),
        (0.21, 0.3, "at_most", 0.2, "does not hold"),
        (np.nan, np.nan, "at_least", 0, "undecided"),
        (np.nan, 1, "at_most", 0, "undecided"),
        (-np.inf, np.inf, "at_least", 0, "undecided"),
        (-np.inf, np.inf, "at_most", 0, "undecided"),
    ],
)
def test_verdict_compares_the_whole_interval_with_the_bound(low, high, kind, bound, expected):
    assert verdicts.verdict(low, high, kind, bound) == expected


@given(st.floats(-5, 5), st.floats(0, 3), st.floats(-5, 5))
def test_verdict_of_a_mirrored_claim_is_the_same(low, width, bound):
    high = low + width
    assert verdicts.verdict(low, high, "at_least", bound) == verdicts.verdict(-high, -low, "at_most", -bound)


# --- interval ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1, 1) | st.just(np.nan), min_size=1, max_size=12))
@settings(deadline=None, max_examples=15)
def test_interval_contains_the_median_lies_within_the_values_and_is_always_the_same(values):
    values = np.asarray(values)
    finite = values[np.isfinite(values)]
    median, low, high = found = intervals.median_interval(values)
    np.testing.assert_equal(found, intervals.median_interval(values))
    if len(finite) == 0:
        assert np.isnan(found).all()
        return
    assert median == np.median(finite)
    assert low <= median <= high
    if len(finite) == 1:
        assert (low, high) == (-np.inf, np.inf)
    else:
        assert finite.min() <= low
        assert high <= finite.max()


def test_interval_equals_the_quantiles_of_a_bootstrap_written_out():
    values = np.array([0.1, 0.4, 0.5, 0.55, 0.7, 0.72, 0.9, 0.95])
    rng = np.random.default_rng(5)
    medians = np.median(rng.choice(values, (200_000, len(values))), axis=1)
    _, low, high = intervals.median_interval(values)
    # Another stream of random numbers: the same up to one step of the discrete distribution of medians.
    assert low == pytest.approx(np.quantile(medians, 0.025), abs=0.03)
    assert high == pytest.approx(np.quantile(medians, 0.975), abs=0.03)
