"""Claims on spectra made by hand, whose order is known."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from fpkit import config
from fpkit.claims import bounds, intervals, replication, statistics, verdicts
from fpkit.claims.pooling import pooled
from fpkit.config.claims import Claim
from fpkit.errors import UserError
from fpkit.figures import style

FREQUENCIES = [1, 2, 3, 4, 5]


def lines(passages, followed=None, diverged=None, **controls) -> xr.Dataset:
    """Spectra of `projection`, reduced to what claims read: one row of passages for each member.

    Of each control, rows for each draw.
    """
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
        stacked = np.stack([np.asarray(controls[null], float) for null in nulls])
        variables |= {
            f"control_{name}": (("null", "draw", *dims), factor * stacked)
            for name, factor in (("first_passage", 1), ("hold_passage", 2), ("area", 1e-3))
        }
    coords = {"frequency": FREQUENCIES[: passages.shape[1]], "member": range(members)}
    return xr.Dataset(variables, coords | ({"null": nulls} if nulls else {}), {"measure": "projection"})


def claim(statistic="first_order", measure="fft", control=None, given=None, pool=None, **bound) -> dict:
    """A claim as the workflow hands it over."""
    entry = Claim(
        statement="low first",
        source="Sec. 3",
        experiment="one",
        measure=measure,
        statistic=statistic,
        bound=bound or {"at_least": 0.5},
        given=given or {},
        pool=pool,
    )
    return config.plain(entry) | {"control": control}


def judged(entry: dict, *spectra: xr.Dataset) -> dict:
    return verdicts.judge("c", entry, "base", spectra)


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
    row = judged(claim(statistic, **bound), lines([[np.nan] * 5] * 6))
    assert np.isnan(row["value"])
    assert row["verdict"] == "undecided"
    assert row["censored"] == ("" if statistic == "area_order" else "30 of 30")


def test_a_null_that_captures_nothing_has_no_order_which_is_0():
    """A network is not undecided because its null, as a null should, shows nothing."""
    spectra = lines([UP] * 6, share=np.full((20, 6, 5), np.nan))
    row = judged(claim(measure="projection", control="share"), spectra)
    assert (row["value"], row["control"], row["verdict"]) == (1, 0, "holds")


def test_members_that_captured_nothing_are_not_passed_over():
    """Three members in perfect order beside five that learned nothing prove no order; one beside nine spoils none."""
    row = judged(claim(at_least=0.8), lines([UP] * 7 + [[np.nan] * 5] * 5))
    assert (row["value"], row["verdict"]) == (1, "undecided")
    assert row["ci_low"] == -np.inf
    row = judged(claim(at_least=0.8), lines([UP] * 9 + [[np.nan] * 5]))
    assert (row["value"], row["ci_low"], row["ci_high"], row["verdict"]) == (1, 1, 1, "holds")


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


def filtered(low, high, share=(0.5,), null=None, members=2) -> xr.Dataset:
    """Spectra of `filtering`; errors are (step, width), the same for all members."""
    steps = [0, 1, 10, 100]
    variables = {"low_share": ("width", list(share)), "diverged": ("member", [False] * members)}
    for name, values in (("low_error", low), ("high_error", high)):
        values = np.broadcast_to(np.asarray(values, float), (4, len(share)))
        variables[name] = (("step", "member", "width"), np.stack([values] * members, axis=1))
        if null is not None:
            dims = ("null", "draw", "step", "member", "width")
            variables[f"control_{name}"] = (dims, np.full((1, 20, 4, members, len(share)), null))
    coords = {"step": steps, "member": range(members), "width": np.arange(len(share)) + 0.1, "null": ["share"]}
    return xr.Dataset(variables, coords, {"measure": "filtering"})


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
    row = judged(claim("low_advantage", "filtering"), filtered(0.01, 0.1, share=(0.01, 0.99)))
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
        [np.nan, 10, 100, 10, 1000],  # one in time; one of the noise too early, one later
        [np.nan, np.nan, 1000, 1, 1],
        [np.nan, 1, np.nan, 100, np.nan],  # what is never captured is not captured later
    ]
    spectra = noisy(passages, [U_SHAPED] * 4)
    before, after = statistics.signal_before_best(spectra), statistics.noise_after_best(spectra)
    assert before.dims == after.dims == ("member",)
    np.testing.assert_allclose(before, [1, 0.5, 0, 0.5])
    np.testing.assert_allclose(after, [1, 0.5, 0, 0.5])


def test_noise_is_no_later_than_the_target_where_neither_is_ever_captured():
    spectra = noisy([[np.nan] * 5] * 6, [FALLING] * 6)
    assert np.isnan(statistics.noise_after_best(spectra)).all()
    assert judged(claim("noise_after_best"), spectra)["verdict"] == "undecided"
    assert (statistics.signal_before_best(spectra) == 0).all()  # it asks for capture, and there is none


def test_every_member_has_its_own_best_step():
    spectra = noisy([[np.nan, 10, 10, 10, 10]] * 2, [RISING, FALLING])
    np.testing.assert_allclose(statistics.signal_before_best(spectra), [0, 1])
    np.testing.assert_allclose(statistics.noise_after_best(spectra), [1, 0])


def test_noise_that_is_never_captured_is_not_captured_later():
    """So that a network that learned next to nothing does not meet a claim about it."""
    spectra = noisy([[np.nan, 1, np.nan, np.nan, np.nan]] * 8, [FALLING] * 8)
    row = judged(claim("noise_after_best"), spectra)
    assert (row["value"], row["verdict"], row["censored"]) == (0, "does not hold", "24 of 32")


def test_only_followed_frequencies_are_of_signal_or_noise():
    spectra = noisy([[1, 1, 1000, 1, 1000]], [U_SHAPED], followed=[False, True, False, False, True])
    assert statistics.signal_before_best(spectra) == 1
    assert statistics.noise_after_best(spectra) == 1


def test_without_any_noise_among_the_followed_frequencies_the_claim_is_undecided():
    spectra = noisy([[1] * 5] * 4, [U_SHAPED] * 4, followed=[False, True, True, False, False])
    row = judged(claim("noise_after_best"), spectra)
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
    passages = [[np.nan, 1, 10, 100, 1000]] * 7
    spectra = noisy(passages, [U_SHAPED] * 7, [[9, 8, 2, 4, 6]] * 7)
    spectra["diverged"][1] = True
    for name in ("first_passage", "loss_validation", "loss_test"):
        spectra[name] = spectra[name].where(~spectra["diverged"])
    row = judged(claim(statistic, at_least=0.9), spectra)
    assert (row["verdict"], row["members"]) == ("holds", "6 of 7")
    assert row["censored"] == ("" if statistic == "overfitting" else "0 of 24")


@pytest.mark.parametrize("statistic", sorted(set(config.STATISTICS) - {"low_advantage", "lead"}))
def test_nobody_left_is_undecided_under_every_statistic(statistic):
    spectra = noisy([[1] * 5], [U_SHAPED], accuracy_train=[[1] * 5], accuracy_test=[[1] * 5])
    for name in ("hold_passage", "area", "predicted_rate", "measured_rate"):
        spectra[name] = spectra["first_passage"]
    spectra["kernel_change"] = spectra["loss_test"].isel(step=0, drop=True)
    spectra["diverged"][:] = True
    row = judged(claim(statistic), spectra)
    assert np.isnan(row["value"])
    assert (row["verdict"], row["members"], row["remark"]) == ("undecided", "0 of 1", "all members diverged")


# --- theory -----------------------------------------------------------------------------------------------------------


def rates(predicted, measured) -> xr.Dataset:
    """Spectra of `ntk`, reduced to the rates (member, frequency)."""
    variables = {"predicted_rate": predicted, "measured_rate": measured}
    variables = {k: (("member", "frequency"), np.atleast_2d(np.asarray(v, float))) for k, v in variables.items()}
    members = len(variables["predicted_rate"][1])
    coords = {"member": list(range(members)), "frequency": FREQUENCIES}
    marks = {"diverged": ("member", [False] * members), "followed": ("frequency", [True] * len(FREQUENCIES))}
    return xr.Dataset(variables | marks, coords)


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
    row = verdicts.judge("order", claim(at_least=0.8), "activation~relu", [lines([UP] * 6)])
    assert tuple(row) == verdicts.COLUMNS
    assert (row["claim"], row["variant"], row["experiment"]) == ("order", "activation~relu", "one")
    assert (row["value"], row["ci_low"], row["ci_high"]) == pytest.approx((1, 1, 1))
    assert (row["bound"], row["verdict"], row["members"], row["censored"]) == (">= 0.8", "holds", "6 of 6", "0 of 30")
    assert row["level"] == 1 - 2 / 2**6
    assert (row["given"], row["remark"], row["explains"], row["conjecture"], row["reached"]) == ("",) * 5
    assert np.isnan(row["control"])


@pytest.mark.parametrize(
    ("rows", "variant", "verdict", "shown"),
    [
        ([UP] * 6, "std~2", "holds", ""),
        ([DOWN] * 6, "std~2", "does not hold", "Large."),
        ([DOWN] * 6, "std~0.1", "does not hold", ""),
        ([UP] * 3 + [DOWN] * 3, "std~2", "undecided", ""),
    ],
)
def test_a_conjecture_is_given_with_the_variants_it_names_where_the_claim_does_not_hold(rows, variant, verdict, shown):
    entry = claim() | {"conjecture": {"std~2": "Large."}}
    row = verdicts.judge("order", entry, variant, [lines(rows)])
    assert (row["verdict"], row["conjecture"]) == (verdict, shown)


def test_a_claim_says_which_one_it_explains():
    assert judged(claim() | {"explains": "another"}, lines([UP] * 6))["explains"] == "another"


def test_perfect_order_meets_a_bound_of_1():
    row = judged(claim(at_least=1), lines([UP] * 6))
    assert row["verdict"] == "holds"  # and rounding in the last bit does not turn it into its opposite


def test_with_a_control_value_and_interval_are_of_the_difference():
    spectra = lines([UP] * 6, share=[[DOWN] * 6] * 20, paces=[[[7] * 5] * 6] * 20)
    row = judged(claim(measure="projection", control="share"), spectra)
    assert (row["value"], row["control"], row["ci_low"]) == pytest.approx((2, -1, 2))
    assert row["statistic"] == "first_order - first_order under share"
    assert row["reached"] == "0 of 20"
    with pytest.raises(UserError, match="paces: projection computes no control of first_passage"):
        judged(claim(measure="projection", control="paces"), spectra)


def test_a_null_is_taken_by_its_mean_over_draws_and_its_spread_is_in_the_interval():
    """One draw of 20 reaches what was measured: no difference to the null is certain."""
    draws = [[DOWN] * 6] * 19 + [[UP] * 6]
    row = judged(claim(measure="projection", control="share", at_least=0.01), lines([UP] * 6, share=draws))
    assert (row["value"], row["control"]) == pytest.approx((1.9, -0.9))
    assert (row["ci_low"], row["ci_high"], row["reached"]) == (pytest.approx(0), pytest.approx(2), "1 of 20")
    assert row["verdict"] == "undecided"
    row = judged(claim(measure="projection", control="share", at_most=0), lines([DOWN] * 6, share=draws))
    assert row["reached"] == "19 of 20"  # on the side that the bound asks for


def test_a_null_that_is_unknown_for_a_member_leaves_nothing_to_conclude():
    spectra = lines([UP] * 6, share=[[UP] * 6] * 20)
    spectra["control_area"][0, 3, 2] = np.nan
    row = judged(claim("area_order", "projection", control="share"), spectra)
    assert (row["verdict"], row["remark"]) == ("undecided", "area_order under share is undefined for 1 of 20 draws")


def test_under_the_null_a_difference_holds_by_chance_in_at_most_1_of_20_cases():
    """Both are drawn alike: a level that the whole ensemble shares, of the draw, and members around it."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(1000):
        members = rng.normal(size=(21, 1)) + 0.2 * rng.normal(size=(21, 8))
        interval, _ = verdicts.beyond(intervals.known_interval(members[0]), np.median(members[1:], axis=1))
        held += bounds.verdict(interval.low, interval.high, {"at_least": 0}) == "holds"
    assert 5 < held < 65  # 1 of 21 at most, and no test that never finds anything


def test_a_difference_that_is_there_is_found():
    rng = np.random.default_rng(4)
    under = 0.1 * rng.normal(size=(20, 8))
    interval, control = verdicts.beyond(
        intervals.known_interval(0.5 + 0.05 * rng.normal(size=8)), np.median(under, axis=1)
    )
    assert 0.2 < interval.low < interval.value < interval.high < 0.8
    assert control == pytest.approx(0, abs=0.05)
    assert interval.level == pytest.approx(1 - 2 / 2**8 - 2 / 21)


def test_one_draw_of_a_control_replaces_what_is_asked_for_and_keeps_the_rest():
    spectra = lines([UP] * 2, share=[[DOWN] * 2, [[7] * 5] * 2])
    null = verdicts.on_null(spectra, "share", ["area"], 1)
    assert np.array_equal(null["area"], spectra["control_area"].sel(null="share").isel(draw=1))
    assert np.array_equal(null["first_passage"], spectra["first_passage"])
    assert np.array_equal(null["followed"], spectra["followed"])


def test_filtering_has_its_control_too():
    spectra = filtered(0.01, 0.1, null=0.3, members=6)
    row = judged(claim("low_advantage", "filtering", "share"), spectra)
    assert row["value"] == pytest.approx(1)
    assert row["control"] == pytest.approx(0)
    assert row["censored"] == ""


def test_pooled_draws_are_judged_by_all_their_members_each_on_its_own_frequencies():
    """The second draw follows other frequencies than the first; a member of it diverged."""
    one = lines([UP, DOWN] * 3, followed=[True] * 3 + [False] * 2)
    other = lines([DOWN, UP] * 3, followed=[False] * 2 + [True] * 3, diverged=[False] * 5 + [True])
    row = verdicts.judge("c", claim(at_least=-2), "seed~*", [one, other])
    assert (row["variant"], row["members"], row["censored"]) == ("seed~*", "11 of 12 in 2 draws", "0 of 33")
    values = np.array([1.0, -1] * 3 + [-1, 1] * 2 + [-1])
    assert row["value"] == np.median(values)
    found = intervals.known_interval(values, np.repeat([0, 1], [6, 5]))
    assert (row["ci_low"], row["ci_high"], row["level"]) == (found.low, found.high, found.level)
    alone = verdicts.judge("c", claim(at_least=-2), "seed~*", [other.isel(member=[5])])
    assert alone["remark"] == "all members diverged"


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


def test_figures_give_pooled_draws_the_interval_of_the_claim():
    rng = np.random.default_rng(3)
    slopes = rng.normal(0.5, 1.5, (5, 1, 1))
    passages = 50 + slopes * np.arange(5) + rng.normal(0, 2, (5, 8, 5))
    several = [named(lines(rows), seed) for seed, rows in enumerate(passages)]
    row = judged(claim(pool="dataset.seed", at_least=-2), *several)
    values = statistics.first_order(style.kept(pooled("seed~*", several)))
    assert style.interval_of(values) == (row["value"], row["ci_low"], row["ci_high"])
    assert np.ptp(intervals.median_interval(values.to_numpy())[1:]) < row["ci_high"] - row["ci_low"]


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
    row = judged(claim(), spectra)
    assert (row["value"], row["members"], row["censored"]) == (pytest.approx(1), "2 of 3", "0 of 10")


def test_nobody_left_is_undecided():
    row = judged(claim(), lines([UP, UP], diverged=[True, True]))
    assert np.isnan([row["value"], row["ci_low"], row["ci_high"]]).all()
    assert (row["verdict"], row["members"], row["censored"]) == ("undecided", "0 of 2", "0 of 0")


def test_single_member_is_undecided_however_clear_it_is():
    row = judged(claim(at_least=-5), lines([UP]))
    assert row["value"] == pytest.approx(1)
    assert row["verdict"] == "undecided"


def test_censored_pairs_are_counted_among_the_followed_ones_of_kept_members():
    spectra = lines(
        [[10, np.nan, np.nan, 40, 50], [10, 20, 30, np.nan, 50], [np.nan] * 5],
        followed=[True, True, False, True, True],
        diverged=[False, False, True],
    )
    assert judged(claim("first_order"), spectra)["censored"] == "2 of 8"
    assert judged(claim("hold_order"), spectra)["censored"] == "2 of 8"
    assert judged(claim("area_order"), spectra)["censored"] == ""


BOUNDS = {">=": "at_least", "<=": "at_most"}


@pytest.mark.parametrize(
    ("low", "high", "bound", "expected"),
    [
        (0.8, 0.9, ">= 0.8", "holds"),
        (0.7, 0.9, ">= 0.8", "undecided"),
        (0.7, 0.8, ">= 0.8", "undecided"),
        (0.6, 0.79, ">= 0.8", "does not hold"),
        (0.1, 0.2, "<= 0.2", "holds"),
        (0.1, 0.3, "<= 0.2", "undecided"),
        (0.2, 0.3, "<= 0.2", "undecided"),
        (0.21, 0.3, "<= 0.2", "does not hold"),
        (np.nan, np.nan, ">= 0", "undecided"),
        (np.nan, 1, "<= 0", "undecided"),
        (-np.inf, np.inf, ">= 0", "undecided"),
        (-np.inf, np.inf, "<= 0", "undecided"),
        (1.7, 2.3, "in [1.7, 2.3]", "holds"),
        (1.9, 2.0, "in [1.7, 2.3]", "holds"),
        (1.6, 2.0, "in [1.7, 2.3]", "undecided"),
        (2.0, 2.4, "in [1.7, 2.3]", "undecided"),
        (1.0, 3.0, "in [1.7, 2.3]", "undecided"),
        (1.0, 1.6, "in [1.7, 2.3]", "does not hold"),
        (2.4, 3.0, "in [1.7, 2.3]", "does not hold"),
    ],
)
def test_verdict_compares_the_whole_interval_with_the_bound(low, high, bound, expected):
    entry = {"between": [1.7, 2.3]} if bound.startswith("in") else {BOUNDS[bound[:2]]: float(bound[3:])}
    assert bounds.verdict(low, high, entry) == expected
    assert bounds.text(entry) == bound
    assert bounds.parsed(bound) == bounds.ends(entry)
    if np.isfinite([low, high]).all():
        least, most = bounds.margins(low, high, bound)
        assert (least >= 0) == (expected == "holds")
        assert (most < 0) == (expected == "does not hold")


@given(st.floats(-5, 5), st.floats(0, 3), st.floats(-5, 5))
def test_verdict_of_a_mirrored_claim_is_the_same(low, width, bound):
    high = low + width
    mirrored = bounds.verdict(-high, -low, {"at_most": -bound})
    assert bounds.verdict(low, high, {"at_least": bound}) == mirrored


def test_margins_to_a_bound_of_two_sides_are_those_of_the_values_within():
    assert bounds.margins(1.8, 1.9, "in [1, 3]") == pytest.approx((0.8, 0.9))
    assert bounds.margins(1.5, 2.8, "in [1, 3]") == pytest.approx((0.2, 1))  # farthest inside at 2
    assert bounds.margins(-np.inf, np.inf, "in [1, 3]") == (-np.inf, 1)
    assert bounds.margins(-np.inf, np.inf, "<= 3") == (-np.inf, np.inf)


# --- what a claim takes for granted -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test", "verdict"),
    [(1.0, 0.1, "holds"), (1.0, 0.9, "does not hold"), (0.3, 0.1, "undecided"), (0.3, 0.9, "undecided")],
)
def test_nothing_is_concluded_where_what_is_given_is_not_met(train, test, verdict):
    """Chance accuracy on test samples says nothing of a network that did not learn its training samples either."""
    scores = {"accuracy_train": [[0, 0, 0, 0, train]] * 8, "accuracy_test": [[0, 0, 0, 0, test]] * 8}
    spectra = noisy([[1] * 5] * 8, [U_SHAPED] * 8, **scores)
    row = judged(claim("test_accuracy", given={"train_accuracy": {"at_least": 0.95}}, at_most=0.2), spectra)
    assert (row["value"], row["verdict"]) == (test, verdict)
    found = f"{train:g} [{train:g}, {train:g}]"
    assert row["given"] == f"train_accuracy >= 0.95: {found}"
    assert row["remark"] == ("" if train == 1 else f"not met: train_accuracy >= 0.95, which is {found}")


def test_what_is_given_has_to_clear_its_bound_with_its_interval():
    train = [[0, 0, 0, 0, value] for value in (0.9, 0.97, 0.98, 0.99, 1, 1, 1, 1)]
    scores = {"accuracy_train": train, "accuracy_test": [[0.1] * 5] * 8}
    spectra = noisy([[1] * 5] * 8, [U_SHAPED] * 8, **scores)
    row = judged(claim("test_accuracy", given={"train_accuracy": {"at_least": 0.95}}, at_most=0.2), spectra)
    assert row["verdict"] == "undecided"
    row = judged(
        claim("test_accuracy", given={"train_accuracy": {"at_least": 0.95}}, at_most=0.2),
        spectra.drop_vars("accuracy_train"),
    )
    assert (
        row["remark"]
        == "not met: train_accuracy >= 0.95, train_accuracy needs accuracy_train, which the run does not have"
    )


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [*range(1, 41), 100, 401])
def test_rank_and_level_of_an_interval_are_those_of_the_binomial_distribution(count):
    rank, level = intervals.order_statistics(count)
    if count < intervals.FEWEST:
        assert rank == 0
        return
    assert level == pytest.approx(1 - 2 * scipy.stats.binom.cdf(rank - 1, count, 0.5))
    assert level >= 0.95 > 1 - 2 * scipy.stats.binom.cdf(rank, count, 0.5)


@pytest.mark.parametrize("count", [6, 8, 10, 25])
def test_interval_covers_the_true_median_as_often_as_it_says(count):
    """Whatever the values are distributed like: lopsided, here."""
    drawn = np.random.default_rng(count).exponential(size=(4000, count))
    covered = 0
    for values in drawn:
        _, low, high = intervals.median_interval(values)
        covered += low <= np.log(2) <= high
    assert covered / 4000 == pytest.approx(intervals.order_statistics(count)[1], abs=0.01)


@given(st.lists(st.floats(-1, 1) | st.just(np.nan), min_size=1, max_size=15))
@settings(deadline=None, max_examples=30)
def test_interval_contains_the_median_and_has_values_for_ends(values):
    values = np.asarray(values)
    finite = np.sort(values[np.isfinite(values)])
    median, low, high = intervals.median_interval(values)
    if len(finite) == 0:
        assert np.isnan([median, low, high]).all()
        return
    assert median == np.median(finite)
    if len(finite) < 6:
        assert (low, high) == (-np.inf, np.inf)
    else:
        rank = intervals.order_statistics(len(finite))[0]
        assert (low, high) == (finite[rank - 1], finite[-rank])


@pytest.mark.parametrize("known", range(6))
def test_fewer_than_six_members_are_undecided_and_told(known):
    row = judged(claim(at_least=-5), lines([UP] * known + [[np.nan] * 5] * (6 - known)))
    assert row["verdict"] == "undecided"
    assert row["remark"].startswith("first_order is undefined for")
    if known:
        row = judged(claim(at_least=-5), lines([UP] * known))
        assert row["verdict"] == "undecided"
        assert re.fullmatch(r"\d members? ha(s|ve) no 95% interval; it takes 6", row["remark"])


# --- several draws of the data ----------------------------------------------------------------------------------------


def test_members_of_several_draws_of_the_data_are_judged_together():
    row = judged(claim(pool="dataset.seed"), *[lines([UP] * 8)] * 4, lines([UP] * 8, diverged=[True] + [False] * 7))
    assert (row["verdict"], row["members"], row["censored"]) == ("holds", "39 of 40 in 5 draws", "0 of 195")


def test_members_of_draws_that_differ_count_for_no_more_than_their_draws():
    up, down = lines([UP] * 8), lines([DOWN] * 8)
    row = judged(claim(pool="dataset.seed", at_least=-2), up, down, up, up, up)
    assert row["verdict"] == "undecided"
    assert row["remark"] == "the members of its 5 draws of the data are too much alike, and count for fewer than 6"


def test_as_how_many_members_count():
    draws = np.repeat(range(5), 8)
    rng = np.random.default_rng(0)
    apart = rng.permutation(40).astype(float)
    assert intervals.independent(apart, 0 * draws) == 40  # of one draw, which the interval is of
    assert intervals.independent(apart, np.arange(40)) == 40
    assert intervals.independent(np.ones(40), draws) == 40
    assert intervals.independent(draws.astype(float), draws) == 5  # alike within each draw
    # By the analysis of variance of balanced groups, written out.
    values = rng.normal(size=(5, 8)) + rng.normal(size=(5, 1))
    ranks = scipy.stats.rankdata(values).reshape(5, 8)
    between, within = 8 * ranks.mean(1).var(ddof=1), ranks.var(1, ddof=1).mean()
    rho = (between - within) / (between + 7 * within)
    assert intervals.independent(values.ravel(), draws) == int(40 / (1 + 7 * rho))


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_interval_over_draws_of_the_data_covers_where_that_of_independent_members_does_not(spread):
    rng, draws = np.random.default_rng(int(10 * spread)), np.repeat(range(5), 8)
    covered = {True: 0, False: 0}
    for _ in range(600):
        values = spread * rng.normal(size=5)[draws] + rng.normal(size=40)
        for whole in covered:
            interval = intervals.known_interval(values, draws if whole else None)
            covered[whole] += interval.low <= 0 <= interval.high
    assert covered[True] / 600 > 0.93
    if spread:
        assert covered[False] / 600 < 0.9


# --- exponents, violations, capture -----------------------------------------------------------------------------------


@given(exponent=st.floats(-1, 4), factor=st.floats(1, 100))
@settings(deadline=None, max_examples=20)
def test_exponent_of_passages_is_that_of_a_power_law(exponent, factor):
    spectra = lines([10 * factor * np.array(FREQUENCIES) ** exponent])
    assert statistics.passage_exponent(spectra) == pytest.approx(exponent, abs=1e-9)


def test_exponent_leaves_out_what_was_not_captured_followed_or_learned_and_takes_three_points():
    law = 10 * np.array(FREQUENCIES) ** 2.0
    rows = [[*law[:4], np.nan], [np.nan, *law[1:]], [*law[:2], *[np.nan] * 3], [0, *law[1:]], [np.nan] * 5]
    found = statistics.passage_exponent(lines(rows))
    np.testing.assert_allclose(found, [2, 2, np.nan, 2, np.nan])
    found = statistics.passage_exponent(lines([[999, *law[1:]]], followed=[False] + [True] * 4))
    assert found == pytest.approx(2)
    row = judged(claim("passage_exponent", between=[1.7, 2.3]), lines([rows[0]] * 8))
    assert (row["bound"], row["verdict"], row["censored"]) == ("in [1.7, 2.3]", "holds", "8 of 40")
    row = judged(claim("passage_exponent", between=[1.7, 2.3]), lines([law**2] * 8))
    assert row["verdict"] == "does not hold"


def test_captured_is_the_fraction_of_the_followed():
    rows = [UP, [np.nan] * 5, [10, np.nan, np.nan, 10, np.nan]]
    np.testing.assert_allclose(statistics.captured(lines(rows)), [1, 0, 0.4])
    np.testing.assert_allclose(statistics.captured(lines(rows, followed=[1, 1, 0, 0, 0])), [1, 0, 0.5])


def test_train_accuracy_is_that_of_the_last_record():
    found = statistics.train_accuracy(noisy([[1] * 5], [U_SHAPED], accuracy_train=[[0.1, 0.2, 0.3, 0.9, 0.8]]))
    assert found == pytest.approx(0.8)


def test_predicted_order_is_1_where_low_is_predicted_to_be_fast():
    found = statistics.predicted_order(
        rates([RATES, RATES[::-1], [np.nan, *RATES[1:]], [*RATES[:2], *[np.nan] * 3]], [RATES] * 4)
    )
    np.testing.assert_allclose(found, [1, -1, 1, np.nan])


@pytest.mark.parametrize(
    ("predicted", "measured", "seen"),
    [
        ([5, 4, 3, 2, 1], [5, 4, 3, 2, 1], np.nan),  # nothing is predicted to be violated
        ([5, 4, 1, 2, 0.1], [5, 4, 1, 3, 0.1], 1),
        ([5, 4, 1, 2, 0.1], [5, 4, 3, 2, 0.1], 0),
        ([5, 4, 1, 1.4, 0.1], [5, 4, 1, 2, 0.1], np.nan),  # by less than half as much again
        ([5, 1, 1, 4, 2], [5, 1, 3, 4, 2], 0.75),  # of (2, 4), (2, 5), (3, 4) and (3, 5) all but the last
        ([5, 4, 1, 2, 0.1], [5, 4, np.nan, 3, 0.1], 0),  # what is not measured is not seen
        ([5, 4, np.nan, 2, 0.1], [5, 4, 1, 3, 0.1], np.nan),
    ],
)
def test_of_the_violations_that_are_predicted_those_that_are_seen(predicted, measured, seen):
    assert statistics.violations_seen(rates(predicted, measured)) == pytest.approx(seen, nan_ok=True)


# --- lead -------------------------------------------------------------------------------------------------------------


def decaying(rates, energy=None, last=1000, followed=None, members=8) -> xr.Dataset:
    """Spectra with remaining shares exp(-rate * step / 10) (frequency,), the same for all members."""
    rates = np.asarray(rates, float)
    steps = np.unique(np.round(np.concatenate([[0], np.geomspace(1, last, 400)])))
    remaining = np.exp(-rates * steps[:, None] / 10).astype(np.float32)
    energy = np.ones(len(rates)) if energy is None else np.asarray(energy, float)
    variables = {
        "remaining": (("step", "member", "frequency"), np.stack([remaining] * members, 1)),
        "initial_energy": (("member", "frequency"), np.stack([energy] * members)),
        "followed": ("frequency", np.ones(len(rates), bool) if followed is None else np.asarray(followed, bool)),
        "diverged": ("member", np.zeros(members, bool)),
    }
    return xr.Dataset(variables, {"step": steps, "member": range(members), "frequency": 1.0 + np.arange(len(rates))})


def test_lead_is_the_decades_of_training_between_the_halves():
    """exp(-r t) and exp(-r t / 10) lie a decade apart on a logarithmic axis, wherever that is."""
    found = statistics.lead(decaying([0.1, 0.1, 0.01, 0.01], last=10_000))
    assert found.dims == ("member",)
    np.testing.assert_allclose(found, 1, atol=0.02)
    np.testing.assert_allclose(statistics.lead(decaying([0.01, 0.01, 0.1, 0.1], last=10_000)), -1, atol=0.02)
    np.testing.assert_allclose(statistics.lead(decaying([0.1] * 4)), 0, atol=1e-6)


def test_lead_pools_each_half_by_the_energy_it_starts_with():
    """A frequency that starts at next to nothing, and grows without bounds against it, counts for next to nothing."""
    spectra = decaying([0.1, 0.1, 0.01, 0.01], energy=[1, 1, 1, 1e-9], last=10_000)
    spectra["remaining"][:, :, 3] = 1e3
    np.testing.assert_allclose(statistics.lead(spectra), 1, atol=0.02)
    spectra["initial_energy"][:, 3] = 0
    spectra["remaining"][:, :, 3] = np.nan
    np.testing.assert_allclose(statistics.lead(spectra), 1, atol=0.02)
    unequal = decaying([0.1, 1, 0.01, 0.001], energy=[3, 1, 1, 4], last=100_000)
    # ln of the mean rate by energy, in decades: where each half's mean curve lies.
    expected = (3 * -1 + 1 * 0) / 4 - (1 * -2 + 4 * -3) / 5
    np.testing.assert_allclose(statistics.lead(unequal), expected, atol=0.02)


def test_lead_is_not_clipped_and_takes_no_middle_and_only_what_is_followed():
    spectra = decaying([0.1, 0.5, 0.01], last=10_000)  # the middle belongs to neither half
    np.testing.assert_allclose(statistics.lead(spectra), 1, atol=0.02)
    spectra = decaying([9, 0.1, 0.01, 1e-9], followed=[0, 1, 1, 0], last=10_000)
    np.testing.assert_allclose(statistics.lead(spectra), 1, atol=0.02)
    above = decaying([0.0, 0.0])
    above["remaining"][:, :, 1] = 1.5
    np.testing.assert_allclose(statistics.lead(above), 0.5 * 3, atol=1e-5)


def test_lead_goes_by_frequency_and_not_by_place():
    spectra = decaying([0.1, 0.1, 0.01, 0.01], last=10_000)
    np.testing.assert_allclose(statistics.lead(spectra.isel(frequency=[3, 0, 2, 1])), 1, atol=0.02)


def test_lead_of_one_frequency_or_one_record_or_none_of_the_energy_is_unknown():
    assert np.isnan(statistics.lead(decaying([0.1]))).all()
    assert np.isnan(statistics.lead(decaying([0.1, 0.1], followed=[True, False]))).all()
    assert np.isnan(statistics.lead(decaying([0.1, 0.1]).isel(step=[0, 1]))).all()
    assert np.isnan(statistics.lead(decaying([0.1, 0.1], energy=[0, 1]))).all()


def test_lead_of_a_filter_is_the_mean_over_the_widths_at_which_both_parts_carry_energy():
    widths = [decaying([0.1, rate], last=100_000) for rate in (0.01, 0.001, 1e-5)]
    spectra = xr.concat(widths, "width", data_vars=["remaining", "initial_energy"], coords="minimal")
    spectra = spectra.assign(low_share=("width", [0.1, 0.5, 0.95]))
    np.testing.assert_allclose(statistics.lead(spectra), 1.5, atol=0.02)
    assert np.isnan(statistics.lead(spectra.assign(low_share=("width", [0.01, 0.05, 0.95])))).all()


def test_a_lead_that_more_training_would_add_to_says_so():
    spectra = decaying([0.1, 0.1, 1e-4, 1e-4])
    row = judged(claim("lead"), spectra)
    assert (row["verdict"], row["censored"]) == ("holds", "")
    assert row["remark"] == "a lower bound: the run ends before the high half is learned (8 of 8 members)"
    spectra["remaining"][-50:, :2] = 0.1
    assert "(6 of 8 members)" in judged(claim("lead"), spectra)["remark"]
    assert judged(claim("lead"), decaying([0.1, 0.1, 0.01, 0.01], last=10_000))["remark"] == ""
    assert judged(claim("lead"), decaying([0.01, 0.01, 0.1, 0.1]))["verdict"] == "does not hold"


def test_a_lead_in_which_an_error_that_grew_counts_says_so():
    spectra = decaying([0.1, 0.1, 0.01, 0.01], last=10_000)
    grown = spectra["remaining"].copy()
    grown[3, :5] = 3.3
    row = judged(claim("lead"), spectra.assign(remaining=grown))
    assert (
        row["remark"]
        == "a half's remaining share leaves [0, 1] by up to 2.3, which counts in the lead (5 of 8 members)"
    )


def test_lead_has_its_control_in_draws_which_start_with_the_same_energy():
    spectra = decaying([0.1, 0.1, 0.01, 0.01], energy=[1, 2, 3, 4], last=10_000)
    alike = decaying([0.03] * 4, last=10_000)["remaining"]
    draws = [alike + shift * (alike["frequency"] > 2) * (alike["step"] > 0) for shift in np.linspace(-0.05, 0.05, 20)]
    control = xr.concat([xr.concat(draws, "draw")], xr.Variable("null", ["paces"]))
    spectra = spectra.assign(control_remaining=control).assign_attrs(measure="projection")
    row = judged(claim("lead", "projection", "paces", at_least=0.2), spectra)
    assert (row["verdict"], row["reached"]) == ("holds", "0 of 20")
    assert row["control"] == pytest.approx(0, abs=1e-3)
    assert row["value"] == pytest.approx(float(statistics.lead(spectra)[0]), abs=1e-3)
    assert row["ci_low"] == pytest.approx(row["value"] - 0.05 * 4, abs=0.01)
    assert row["ci_high"] == pytest.approx(row["value"] + 0.05 * 4, abs=0.01)
