"""Passages and areas against curves made by hand and against naive loops."""

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from fpkit.measures import convergence


def curve(values, steps=None) -> xr.DataArray:
    steps = list(range(len(values))) if steps is None else steps
    return xr.DataArray(np.asarray(values, float), dims="step", coords={"step": steps})


def test_first_passage_is_the_first_recorded_step_strictly_below_the_threshold():
    assert convergence.first_passage(curve([1, 0.5, 0.2, 0.1, 0.5], [0, 1, 10, 30, 100]), 0.2) == 30


def test_passage_never_reached_is_censored():
    error = curve([1, 0.5, 0.2, np.nan], [0, 1, 10, 100])
    assert np.isnan(convergence.first_passage(error, 0.2))
    assert np.isnan(convergence.hold_passage(error, 0.2, 0.05))


def test_passage_at_the_very_first_record_is_step_0_and_not_censored():
    error = curve([0.1, 0.1], [0, 1])
    assert convergence.first_passage(error, 0.2) == 0
    assert convergence.hold_passage(error, 0.2, 1.0) == 0


def test_hold_passage_waits_until_the_error_stays_below():
    values = [1, 0.1, 1, 0.1, 0.1, 1, 0.1, 0.1, 0.1, 1]
    steps = [0, 1, 2, 3, 5, 10, 20, 30, 50, 100]
    for fraction, expected in ((0.1, 1), (0.2, 3), (0.3, 20)):
        assert convergence.hold_passage(curve(values, steps), 0.2, fraction) == expected
    assert np.isnan(convergence.hold_passage(curve(values, steps), 0.2, 0.4))


def test_record_at_the_end_has_seen_too_little_to_count_as_held():
    assert np.isnan(convergence.hold_passage(curve([1, 1, 1, 0.1]), 0.2, 0.5))
    assert convergence.hold_passage(curve([1, 1, 0.1, 0.1]), 0.2, 0.5) == 2


def test_area_of_hand_made_curves():
    steps = [0, 1, 10, 100]
    assert convergence.area(curve([9, 1, 1, 1], steps)) == pytest.approx(1)
    assert convergence.area(curve([9, 7, 5, 3], steps)) == pytest.approx(1)  # never more than 1
    assert convergence.area(curve([9, 0, 0, 0], steps)) == pytest.approx(0)
    # Trapezoids over the decades 1..10 and 10..100: (1 + 0.5) / 2 and (0.5 + 0) / 2, averaged.
    assert convergence.area(curve([9, 1, 0.5, 0], steps)) == pytest.approx((0.75 + 0.25) / 2)
    assert convergence.area(curve([9, 4, 0.5, 0], steps)) == pytest.approx((0.75 + 0.25) / 2)


def test_area_of_few_records_is_their_mean():
    assert convergence.area(curve([9, 0.4], [0, 1])) == pytest.approx(0.4)
    assert convergence.area(curve([9, 3], [0, 1])) == pytest.approx(1)


def test_nan_error_has_a_nan_area():
    for steps in ([0, 1], [0, 1, 2, 3]):
        values = np.full(len(steps), 0.5)
        values[-1] = np.nan
        assert np.isnan(convergence.area(curve(values, steps)))


# --- naive loops ------------------------------------------------------------------------------------------------------

THRESHOLD = 0.5
errors = st.integers(1, 30).flatmap(
    lambda steps: st.lists(
        st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 3.0, np.nan]), min_size=steps, max_size=steps),
        min_size=1,
        max_size=3,
    )
)


def stacked(rows) -> xr.DataArray:
    """(member, step), with steps that grow unevenly."""
    steps = [0, *np.cumsum(np.arange(1, len(rows[0])))]
    return xr.DataArray(np.asarray(rows), dims=("member", "step"), coords={"step": steps, "member": range(len(rows))})


@given(rows=errors, hold=st.floats(0.01, 1))
@settings(deadline=None)
def test_passages_equal_naive_loops(rows, hold):
    error = stacked(rows)
    steps = error["step"].to_numpy()
    first, held = convergence.first_passage(error, THRESHOLD), convergence.hold_passage(error, THRESHOLD, hold)
    assert first.dims == held.dims == ("member",)
    records = max(1, math.ceil(hold * len(steps)))
    for member, row in enumerate(rows):
        below = [value < THRESHOLD for value in row]
        expected = next((steps[i] for i in range(len(row)) if below[i]), np.nan)
        np.testing.assert_equal(float(first[member]), float(expected))
        windows = range(len(row) - records + 1)
        expected = next((steps[i] for i in windows if all(below[i : i + records])), np.nan)
        np.testing.assert_equal(float(held[member]), float(expected))


@given(rows=errors, hold=st.floats(0.01, 1))
@settings(deadline=None)
def test_hold_comes_never_before_first_and_is_censored_where_first_is(rows, hold):
    error = stacked(rows)
    first = convergence.first_passage(error, THRESHOLD).to_numpy()
    held = convergence.hold_passage(error, THRESHOLD, hold).to_numpy()
    assert np.isnan(held[np.isnan(first)]).all()
    both = np.isfinite(held)
    assert (first[both] <= held[both]).all()


@given(rows=errors, hold=st.floats(0.01, 1), more=st.floats(0, 1))
@settings(deadline=None)
def test_longer_hold_and_smaller_threshold_come_never_earlier(rows, hold, more):
    error = stacked(rows)
    short, long = (convergence.hold_passage(error, THRESHOLD, f).fillna(np.inf) for f in (hold, min(1, hold + more)))
    assert (short <= long).all()
    loose, strict = (convergence.first_passage(error, threshold).fillna(np.inf) for threshold in (0.6, 0.3))
    assert (loose <= strict).all()


@given(rows=errors)
@settings(deadline=None)
def test_area_equals_trapezoids_over_log_step(rows):
    if len(rows[0]) < 2:
        return  # every training records steps 0 and 1 at least
    error = stacked(rows)
    steps = error["step"].to_numpy()
    area = convergence.area(error)
    for member, row in enumerate(rows):
        kept = [(math.log10(s), min(v, 1) if v == v else v) for s, v in zip(steps, row, strict=True) if s >= 1]
        if len(kept) == 1:
            expected = kept[0][1]
        else:
            pieces = [(b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(kept)]
            expected = sum(pieces) / (kept[-1][0] - kept[0][0])
        np.testing.assert_allclose(float(area[member]), expected, atol=1e-12)
        assert np.isnan(expected) or 0 <= float(area[member]) <= 1 + 1e-12


def test_other_dimensions_are_kept_and_results_are_described():
    error = xr.DataArray(
        np.random.default_rng(0).random((20, 2, 3)),
        dims=("step", "member", "frequency"),
        coords={"step": range(20), "frequency": [1, 2, 3]},
    )
    for found in (
        convergence.first_passage(error, 0.2),
        convergence.hold_passage(error, 0.5, 0.1),
        convergence.area(error),
    ):
        assert found.dims == ("member", "frequency")
        assert found["frequency"].to_numpy().tolist() == [1, 2, 3]
        assert "step" not in found.coords
        assert found.attrs["units"]
        assert found.attrs["long_name"]
