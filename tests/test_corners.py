"""Corners that one's own points, targets, losses and steps reach: right numbers, or one line that says what lacks."""

import itertools

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fpkit
from fpkit.bases import graph
from fpkit.claims import intervals, statistics
from fpkit.config import FIGURES, MEASURES
from fpkit.datasets import arrays, kernel
from fpkit.errors import UserError
from fpkit.figures import leads, style
from fpkit.store import predictions as predictions_module

GRID = np.arange(64) / 64
STEPS = np.array([0, *np.unique(np.logspace(0, 4, 81).astype(int))])


def wave(frequency: float, x: np.ndarray = GRID) -> np.ndarray:
    """(sample, output)."""
    return np.sin(2 * np.pi * frequency * x)[:, None]


def low_first(steps: np.ndarray = STEPS, x: np.ndarray = GRID, members: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (step, member, sample, output) and target of two sines, the lower of which is learned in three steps,
    the higher in 30: the lead is one decade."""
    low, high = wave(3, x), wave(9, x)
    left = [np.exp(-steps / pace)[:, None, None] for pace in (3, 30)]
    return (low + high - left[0] * low - left[1] * high)[:, None].repeat(members, axis=1), low + high


# --- points -----------------------------------------------------------------------------------------------------------


def test_a_grid_from_high_to_low_is_the_same_grid():
    predictions, y = low_first()
    found = fpkit.measures.fft(predictions, GRID, y, steps=STEPS)
    turned = fpkit.measures.fft(predictions[:, :, ::-1], GRID[::-1], y[::-1], steps=STEPS)
    np.testing.assert_array_equal(found["frequency"], turned["frequency"])
    np.testing.assert_array_equal(found["followed"], turned["followed"])
    for name in ("relative_error", "remaining", "target_amplitude"):
        np.testing.assert_allclose(found[name], turned[name], atol=1e-5)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros(64),
        np.sort(np.random.default_rng(0).uniform(0, 1, 64)) * 1e-7,
        np.stack(np.meshgrid(*[-np.cos(np.pi * (np.arange(8) + 0.5) / 8)] * 2, indexing="ij"), -1).reshape(-1, 2),
    ],
    ids=["one place", "small and uneven", "pixels unevenly apart"],
)
def test_what_is_no_even_grid_has_no_transform(x):
    predictions, y = low_first()
    with pytest.raises(UserError, match=r"grid|picture"):
        fpkit.measures.fft(predictions, x, y, steps=STEPS)


def test_pixels_may_be_taller_than_wide():
    rows, columns = np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 3, 8), indexing="ij")
    x = np.stack([rows, columns], axis=-1).reshape(-1, 2)
    y = np.cos(2 * np.pi * 2 * np.arange(64) / 8)[:, None]  # two cycles along the columns
    spectra = fpkit.measures.fft(np.stack([0 * y, y]), x, y)
    assert float(spectra["target_amplitude"].sum("output").idxmax("frequency")) == 2


@pytest.mark.parametrize("pixels", [2, 3])
def test_a_picture_of_few_pixels_has_a_transform_or_says_that_it_has_none(pixels):
    x = np.stack(np.meshgrid(*[np.arange(pixels) / pixels] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    y = np.random.default_rng(0).standard_normal((pixels**2, 1))
    for measure in (fpkit.measures.fft, fpkit.measures.radial):
        if pixels == 2:
            with pytest.raises(UserError, match="pixels"):
                measure(np.stack([0 * y, y]), x, y)
        else:
            assert measure(np.stack([0 * y, y]), x, y)["relative_error"].isel(step=0).max() == pytest.approx(1)


def test_a_target_beyond_all_rings_is_told():
    x = np.stack(np.meshgrid(*[np.arange(16) / 16] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    board = (-1.0) ** (np.arange(16)[:, None] + np.arange(16)).reshape(-1, 1)
    for measure in (fpkit.measures.fft, fpkit.measures.radial):
        with pytest.raises(UserError, match="the target has nothing at"):
            measure(np.stack([0 * board, board]), x, board)


@pytest.mark.parametrize("constant", [0.1, -0.4242, 1 / 3, 1e9])
def test_what_never_varies_is_no_loss_of_digits(tmp_path, constant):
    """However the mean of so many equal numbers is rounded."""
    x = np.stack([GRID, np.full(64, constant)], axis=1)
    with fpkit.Recorder(tmp_path / "run.zarr", x, wave(3)) as recorder:
        recorder.append(0, wave(3))
    np.savez(tmp_path / "data.npz", x=x, y=wave(3), x_test=x + 1e-9, y_test=wave(3))
    assert np.abs(built(tmp_path / "data.npz")["x_test"]).max() < 10
    assert np.abs(built(tmp_path / "data.npz", scale="none")["x_train"][:, 1] / constant - 1).max() < 1e-6


def test_a_grid_of_many_places_is_even():
    x = np.linspace(0, 1, 20_000).astype(np.float32)
    y = np.sin(2 * np.pi * 3 * x)[:, None]
    assert fpkit.measures.fft(np.stack([0 * y, y]), x, y)["followed"].sum() >= 1


def test_points_that_single_precision_cannot_tell_apart_are_refused(tmp_path):
    seconds = 1.7e9 + np.arange(64)
    predictions, y = low_first()
    with pytest.raises(UserError, match=r"x, .* single precision; subtract"):
        fpkit.measures.projection(predictions, seconds, y, steps=STEPS)
    with pytest.raises(UserError, match="single precision"):
        fpkit.Recorder(tmp_path / "run.zarr", seconds, y)
    with pytest.raises(UserError, match=r"x holds NaN"):
        fpkit.measures.projection(predictions, GRID * np.nan, y, steps=STEPS)
    years = fpkit.measures.projection(predictions, 2000 + GRID, y, steps=STEPS)
    found = fpkit.measures.projection(predictions, GRID, y, steps=STEPS)
    np.testing.assert_allclose(years["target_amplitude"], found["target_amplitude"], atol=2e-3)


# --- targets and steps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["fft", "graph", "filtering"])
def test_targets_that_are_no_numbers_are_refused(measure):
    predictions, y = low_first()
    y[3] = np.nan
    with pytest.raises(UserError, match="y holds NaN"):
        getattr(fpkit.measures, measure)(predictions, GRID, y, steps=STEPS)


def test_descending_steps_without_a_sign_are_refused():
    predictions, y = low_first(STEPS[:3])
    with pytest.raises(UserError, match="ascending"):
        fpkit.measures.fft(predictions, GRID, y, steps=np.array([2, 1, 0], np.uint8))


def test_a_fraction_of_the_records_is_no_record_more():
    _, y = low_first()
    steps = np.arange(100)
    predictions = np.where((steps < 93)[:, None, None], 0, y)  # the last seven are the target
    spectra = fpkit.measures.fft(predictions, GRID, y, steps=steps, hold=0.07)
    assert (spectra["hold_passage"].isel(frequency=[3, 9]) == 93).all()


# --- errors that begin small, and nulls of them -----------------------------------------------------------------------


def test_where_inputs_lie_changes_no_filter():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 3)).astype(np.float32)
    y = np.sin(2 * x[:, :1])
    found = [
        fpkit.measures.filtering(np.stack([0 * y, y / 2]), x + offset, y, nulls=[], widths=[0.12])["low_share"].item()
        for offset in (0, 256, 1024)
    ]
    # In single precision inputs are rounded, by 6e-5 here.
    assert found == pytest.approx([found[0]] * 3, abs=1e-3)


@pytest.mark.parametrize("weak", [1e-2, 1e-4])
def test_under_equal_shares_a_weak_frequency_starts_where_it_starts_and_shrinks_as_all_do(weak):
    y = wave(3) + weak * wave(9)
    shrinking = np.stack([left * y for left in (0, 0.1, 0.5)])
    spectra = fpkit.measures.fft(shrinking, GRID, y, nulls=["share"], peak_height=weak / 2)
    control = spectra["control_remaining"].isel(null=0, frequency=[3, 9]).transpose("step", ...)
    for step, left in enumerate((1, 0.9, 0.5)):
        np.testing.assert_allclose(control[step], left, atol=0.01)


def test_the_share_of_a_filter_under_equal_shares_starts_at_one():
    x = np.random.default_rng(0).standard_normal((100, 2))
    y = np.sin(x[:, :1]) + 1e-3 * np.sin(9 * x[:, :1])
    spectra = fpkit.measures.filtering(np.stack([0 * y, 0.1 * y]), x, y, nulls=["share"], widths=[0.3])
    for step, left in enumerate((1, 0.9)):
        np.testing.assert_allclose(spectra["control_remaining"].sel(step=step), left, atol=1e-3)


def test_what_starts_at_nothing_has_none_of_the_energy_of_its_half():
    """A network that has a frequency from the start is judged by the others."""
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4, indexing="ij")).reshape(4, -1).T
    degrees = [signs[:, :1], signs[:, :2].prod(1, keepdims=True), signs[:, :3].prod(1, keepdims=True)]
    degrees.append(signs.prod(1, keepdims=True))
    y = sum(degrees)
    left = [np.exp(-STEPS / pace)[:, None, None] for pace in (3, 10, 30, 100)]

    def lead_of(first: float) -> float:
        """The degree that is learned first starts with this share of its error."""
        shares = [first * left[0], *left[1:]]
        predictions = y - sum(share * degree for share, degree in zip(shares, degrees, strict=True))
        return statistics.lead(fpkit.measures.walsh(predictions, signs, y, steps=STEPS)).item()

    assert lead_of(0) == pytest.approx(lead_of(1e-3), abs=1e-3)


def test_a_network_that_starts_at_its_target_has_no_share_left_to_learn():
    """Beyond the rounding of single precision nothing is told of an error."""
    _, y = low_first()
    noise = np.random.default_rng(0).standard_normal((len(STEPS), 64, 1))
    rounded = (y + np.where(STEPS[:, None, None] > 0, 1e-2, 1e-8) * noise).astype(np.float32)
    spectra = fpkit.measures.fft(rounded, GRID, y, steps=STEPS)
    assert np.isnan(statistics.lead(spectra)).all()


# --- coefficients in place of predictions -----------------------------------------------------------------------------


def recorded(path, steps=STEPS, first: int = 0, member: int = 0, **options):
    predictions, y = low_first(STEPS)
    with fpkit.Recorder(path, GRID, y, when=[int(step) for step in steps], member=member, **options) as recorder:
        for step, values in zip(STEPS[first:], predictions[first:, 0], strict=True):
            recorder.append(int(step), values)
    return path


def test_equal_shares_of_coefficients_are_of_the_error_they_were_recorded_with(tmp_path):
    """Of another start, or another target, their norms would be those of another error."""
    path = recorded(tmp_path / "one.zarr", coefficients={"fft": {}})
    run = fpkit.open_run(path)
    assert float(fpkit.measures.fft(run, nulls=["share"])["control_remaining"].isel(step=0).min()) == pytest.approx(1)
    _, y = low_first()
    np.testing.assert_allclose(fpkit.measures.fft(run, y=y, nulls=["share"])["control_remaining"].isel(step=0).max(), 1)
    for other, options in ((run.isel(step=slice(5, None)), {}), (run, {"y": 2 * y})):
        assert fpkit.measures.fft(other, **options)["followed"].sum() == 2
        with pytest.raises(UserError, match=r"share needs .* recorded"):
            fpkit.measures.fft(other, nulls=["share"], **options)
    later = recorded(tmp_path / "two.zarr", first=5, member=1, coefficients={"fft": {}})
    with pytest.raises(UserError, match=r"share needs .* recorded"):
        fpkit.measures.fft(fpkit.open_run([path, later]), nulls=["share"])


# --- when records begin and end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [10, 100, 1000])
def test_a_lead_that_was_won_before_the_first_record_is_unknown_and_told(every):
    """One decade in truth, of which records every 100 steps show nothing."""
    steps = np.arange(0, 10001, every)
    predictions, y = low_first(steps, members=8)
    found = fpkit.judge(fpkit.measures.fft(predictions, GRID, y, steps=steps), "lead", at_least=0.1)
    assert np.isnan(found.value)
    assert found.verdict == "undecided"
    assert f"at step {every}, the first record after the start" in found.remark


def test_of_records_that_begin_a_little_late_the_start_is_known():
    """Nothing is learned yet at step 0, so the gap to the first record is bridged."""
    low, high = wave(3), wave(9)

    def lead_from(first: int) -> float:
        steps = np.array([0, *np.unique(np.logspace(np.log10(first), 4, 121).astype(int))])
        left = [np.exp(-steps / pace)[:, None, None] for pace in (100, 1000)]
        predictions = low + high - left[0] * low - left[1] * high
        return statistics.lead(fpkit.measures.fft(predictions, GRID, low + high, steps=steps)).item()

    assert lead_from(10) == pytest.approx(lead_from(1), abs=0.05)


def test_records_without_a_start_are_told():
    predictions, y = low_first(STEPS, members=8)
    late = STEPS >= 10
    found = fpkit.judge(fpkit.measures.fft(predictions[late], GRID, y, steps=STEPS[late]), "lead", at_least=0.1)
    assert found.verdict == "undecided"
    assert "the first record is at step 10" in found.remark


@pytest.mark.parametrize(
    ("bound", "early", "late"),
    [
        ({"at_least": 0.8}, "undecided", "holds"),
        ({"at_least": 0.2}, "holds", "holds"),
        ({"at_least": 1.5}, "undecided", "does not hold"),
        ({"at_most": 0.8}, "undecided", "does not hold"),
        ({"at_most": 0.2}, "does not hold", "does not hold"),
        ({"between": (0, 2)}, "undecided", "holds"),
    ],
)
def test_no_lead_is_judged_by_what_is_a_lower_bound_of_it(bound, early, late):
    """The run that ends before the upper half is learned says of the lead how large it is at least."""
    predictions, y = low_first(STEPS, members=8)
    rng = np.random.default_rng(0)
    predictions = predictions + 1e-3 * rng.standard_normal(predictions.shape)
    until = STEPS <= 20
    some, whole = (
        fpkit.judge(fpkit.measures.fft(predictions[kept], GRID, y, steps=STEPS[kept]), "lead", **bound)
        for kept in (until, STEPS >= 0)
    )
    assert (some.verdict, whole.verdict) == (early, late)
    assert "a lower bound" in some.remark
    assert "a lower bound" not in whole.remark
    assert (np.isinf(some.high), np.isfinite(some.low)) == (True, True)


@pytest.mark.parametrize(
    ("paces", "bound", "verdict", "told"),
    [
        ((2000, 20), {"at_least": -2}, "undecided", "an upper bound: the run ends before the low half"),
        ((2000, 20), {"at_least": 0.1}, "does not hold", "an upper bound"),
        ((2000, 5000), {"at_least": -1}, "undecided", "no bound: the run ends before either half"),
    ],
)
def test_a_lead_that_might_still_fall_is_no_lower_bound(paces, bound, verdict, told):
    steps = STEPS[STEPS <= 500]
    left = [np.exp(-steps / pace)[:, None, None] for pace in paces]
    y = wave(3) + wave(9)
    predictions = (y - left[0] * wave(3) - left[1] * wave(9))[:, None].repeat(8, axis=1)
    spectra = fpkit.measures.fft(predictions, GRID, y, steps=steps)
    found = fpkit.judge(spectra, "lead", **bound)
    assert found.verdict == verdict
    assert told in found.remark
    given = fpkit.judge(spectra, "captured", at_most=1, given={"lead": bound})
    assert given.verdict == ("undecided" if verdict != "holds" else "holds")


def test_a_record_at_the_start_alone_beside_late_ones_is_judged():
    found = fpkit.judge([spectra_of(STEPS[:1]), spectra_of(np.arange(0, 10001, 100))], "lead", at_least=0.1)
    assert found.verdict == "undecided"


def test_a_store_counts_once_however_it_is_named(tmp_path, monkeypatch):
    path = recorded(tmp_path / "runs/one.zarr")
    other = recorded(tmp_path / "runs/two.zarr", member=1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.zarr").symlink_to(path)
    named = [path, f"{tmp_path}/runs/*.zarr", "runs/./one.zarr", "link.zarr"]
    assert fpkit.open_run(named).sizes["member"] == 2
    assert fpkit.open_run([path] * 6).sizes["member"] == 1
    assert fpkit.open_run([other, f"{tmp_path}/runs/*.zarr"])["member"].to_numpy().tolist() == [1, 0]


def test_members_of_other_outputs_or_another_part_are_no_ensemble(tmp_path):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((20, 2)), rng.integers(0, 3, 20)
    paths = []
    for name, options in {
        "logits": {"outputs": "logits"},
        "values": {"outputs": "values"},
        "test": {"outputs": "logits", "part": "test"},
    }.items():
        paths.append(tmp_path / f"{name}.zarr")
        with fpkit.Recorder(paths[-1], x, labels, **options) as recorder:
            for step in range(3):
                recorder.append(step, rng.standard_normal((20, 3)))
    for other in paths[1:]:
        with pytest.raises(UserError, match=r"recorded in another way .*(outputs|part)"):
            fpkit.open_run([paths[0], other])


def test_an_ensemble_that_one_member_cuts_short_says_so(tmp_path):
    predictions, y = low_first(STEPS)
    for seed in range(6):
        steps = STEPS[(20 if seed == 4 else 10000) >= STEPS]
        with fpkit.Recorder(tmp_path / f"seed{seed}.zarr", GRID, y, member=seed) as recorder:
            for step, values in zip(steps, predictions[:, 0], strict=False):
                recorder.append(int(step), values)
    with pytest.warns(UserWarning, match=r"seed4.zarr ends at step 19"):
        run = fpkit.open_run(tmp_path / "*.zarr")
    found = fpkit.judge(fpkit.measures.fft(run), "lead", at_least=0.1)
    assert "seed4.zarr ends at step 19, others at 10000" in found.remark


# --- members that diverged --------------------------------------------------------------------------------------------


def scored(path, predictions: np.ndarray, y: np.ndarray | None, **losses) -> bool:
    """Whether the network of these predictions (step, sample, output) is taken for diverged."""
    with fpkit.Recorder(path, GRID, y) as recorder:
        for step, values in enumerate(predictions):
            told = {name: series[step] for name, series in losses.items() if series[step] is not None}
            recorder.append(step, values, **told)
    spectra = fpkit.measures.fft(fpkit.open_run(path), **({} if y is not None else {"y": wave(3)}))
    return bool(spectra["diverged"].item())


@pytest.mark.parametrize(
    "losses",
    [
        {},
        {"loss_train": [0.0, 0.5, 0.4, 0.3]},
        {"loss_train": [-0.5, -0.51, -0.52, -0.6]},
        {"loss_train": [1e-9, 5.0, 4.0, 3.0]},
        {"loss_test": [0.3, None, 0.2, None]},
    ],
)
@pytest.mark.parametrize("target", [True, False])
def test_losses_of_ones_own_make_no_member_diverge(tmp_path, losses, target):
    y = wave(3)
    learning = np.stack([left * y for left in (0, 0.1, 0.5, 0.9)])
    assert not scored(tmp_path / "run.zarr", learning, y if target else None, **losses)
    broken = np.stack([0 * y, y, np.nan * y, y])
    assert scored(tmp_path / "broken.zarr", broken, y if target else None, **losses)


def test_of_an_ensemble_all_losses_of_ones_own_are_known_as_such(tmp_path):
    y = wave(3)
    learning = np.stack([left * y for left in (0, 0.1, 0.5, 0.9)])
    assert not scored(tmp_path / "a.zarr", learning, y)
    with fpkit.Recorder(tmp_path / "b.zarr", GRID, y, member=1) as recorder:
        recorder.append(0, learning[0], loss_train=1e-9)
        for step in (1, 2, 3):
            recorder.append(step, learning[step], loss_train=5.0 - step)
    again = fpkit.Recorder(tmp_path / "c.zarr", GRID, y, member=2)
    again.append(0, learning[0], loss_train=1e-9)
    del again
    again = fpkit.Recorder(tmp_path / "c.zarr", GRID, y, member=2)  # goes on, and gives none
    for step in (1, 2, 3):
        again.append(step, learning[step])
    again.close()
    run = fpkit.open_run([tmp_path / f"{name}.zarr" for name in "abc"])
    assert not fpkit.measures.fft(run)["diverged"].any()


def test_stores_that_have_just_begun_are_not_cut_short(tmp_path):
    for member in range(2):
        recorded(tmp_path / f"{member}.zarr", steps=[0], first=0, member=member)
    for member in range(2):
        with fpkit.Recorder(tmp_path / f"short{member}.zarr", GRID, wave(3), member=member) as recorder:
            recorder.append(0, 0 * wave(3))
    assert "cut" not in fpkit.open_run(tmp_path / "short*.zarr").attrs


def test_a_network_that_starts_where_it_shall_end_has_not_diverged(tmp_path):
    y = wave(3)
    rng = np.random.default_rng(0)
    near = np.stack([y + noise * rng.standard_normal(y.shape) for noise in (1e-6, 1e-3, 1e-2, 1e-2)])
    assert not scored(tmp_path / "near.zarr", near, y)
    assert scored(tmp_path / "far.zarr", np.stack([0 * y, y, 1e3 * y, 1e3 * y]), y)
    assert scored(tmp_path / "up.zarr", np.stack([1e3 + 0 * y, 1e3 + y, 1e3 + 1e3 * y]), 1e3 + y)


def test_a_loss_is_given_at_each_record_or_never(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "run.zarr", GRID, wave(3))
    recorder.append(0, wave(3))
    with pytest.raises(UserError, match="loss_train was not given at the first record"):
        recorder.append(1, wave(3), loss_train=0.1)


def test_classes_by_the_hundred_thousand_take_no_square_of_them(tmp_path):
    """Words of a vocabulary: one-hot targets are as large as the predictions."""
    labels = np.array([0, 7, 99_999])
    with fpkit.Recorder(tmp_path / "run.zarr", GRID[:3], labels, outputs="values") as recorder:
        recorder.append(0, np.zeros((3, 100_000), np.float32))
    y = fpkit.open_run(tmp_path / "run.zarr")["y"].to_numpy()
    assert y.argmax(axis=1).tolist() == labels.tolist()
    assert y.sum() == 3


def test_signs_are_no_probabilities(tmp_path):
    with pytest.raises(UserError, match="beyond 0 and 1"):
        fpkit.Recorder(tmp_path / "run.zarr", GRID, np.sign(wave(3)), outputs="logits")
    fpkit.Recorder(tmp_path / "run.zarr", GRID, (1 + wave(3)) / 2, outputs="logits")


# --- many modes, many samples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [2, 15, 40, 60])
def test_a_graph_in_parts_has_all_its_modes(parts):
    """Those of frequency 0, constant on each part, which no Lanczos vector tells apart, and the next ones."""
    rng = np.random.default_rng(0)
    part = np.arange(1200) % parts
    x = (rng.standard_normal((1200, 2)) + 100 * np.stack([part, 0 * part], 1)).astype(np.float32)
    similarity, root = kernel.normalised(graph.nearest(x, 10))
    frequencies, vectors = graph.leading(similarity, root, 64)
    expected, _ = kernel.modes(similarity.toarray(), root)
    np.testing.assert_allclose(frequencies, expected[:64], atol=1e-8)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(64), atol=1e-8)
    np.testing.assert_allclose(similarity @ vectors, vectors * (1 - frequencies), atol=1e-8)
    np.testing.assert_allclose(root @ vectors, 0, atol=1e-8)


def test_of_more_parts_than_modes_are_wanted_some_are_taken():
    part = np.repeat(np.arange(50), 12)
    x = (np.random.default_rng(0).standard_normal((600, 2)) + 100 * np.stack([part, 0 * part], 1)).astype(np.float32)
    frequencies, vectors = graph.leading(*kernel.normalised(graph.nearest(x, 10)), 20)
    np.testing.assert_array_equal(frequencies, 0)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=1e-12)


@pytest.mark.parametrize("constant", [0.1, 0.25, 1.0, -3.3])
def test_a_constant_output_has_no_mean_frequency(constant):
    x = np.random.default_rng(0).standard_normal((300, 2))
    assert np.isnan(fpkit.measures.mean_frequency(np.full((1, 300, 1), constant), x)).all()
    y = np.sin(x[:, :1])
    spectra = fpkit.measures.graph(np.stack([np.full_like(y, constant), y]), x, y)
    assert np.isnan(spectra["mean_frequency_output"].sel(step=0)).all()
    assert np.isfinite(spectra["mean_frequency_output"].sel(step=1)).all()


def test_the_mean_frequency_of_a_smooth_output_is_told_to_some_digits():
    """Of one wave around a ring of 20,000, where what is rough is a millionth of it."""
    angle = 2 * np.pi * np.arange(20_000) / 20_000
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = fpkit.measures.mean_frequency(np.sin(angle)[None, :, None], x, neighbours=2).item()
    assert found == pytest.approx(1 - np.cos(angle[1]), rel=0.02)


@pytest.mark.parametrize("measure", ["fft", "graph", "projection"])
@pytest.mark.parametrize("nulls", [["share"], ["share", "paces"]])
def test_large_stores_of_several_members_are_taken_by_pieces(tmp_path, monkeypatch, measure, nulls):
    paths = [recorded(tmp_path / f"{member}.zarr", member=member) for member in range(2)]
    whole = getattr(fpkit.measures, measure)(fpkit.open_run(paths), nulls=nulls)
    monkeypatch.setattr(predictions_module, "LARGE_BYTES", 1)
    run = fpkit.open_run(paths)
    assert run.chunks
    pieces = getattr(fpkit.measures, measure)(run, nulls=nulls)
    for name in ("remaining", "control_remaining"):
        np.testing.assert_allclose(pieces[name], whole[name], atol=1e-4)


# --- draws of the data ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draws", [2, 3, 4, 5])
def test_few_draws_of_the_data_say_nothing_of_others(draws):
    """How alike the members of a draw are cannot be told of fewer than five."""
    members = np.random.default_rng(0).standard_normal((draws, 8)).ravel()
    found = intervals.known_interval(members, np.repeat(np.arange(draws), 8))
    assert np.isfinite([found.low, found.high]).all() == (draws == 5)


def test_few_draws_are_told():
    predictions, y = low_first(STEPS, members=8)
    spectra = fpkit.measures.fft(predictions, GRID, y, steps=STEPS)
    found = fpkit.judge([spectra, spectra], "lead", at_least=0.1)
    assert (found.verdict, found.remark) == ("undecided", "2 draws of the data have no 95% interval; it takes 5")


# --- what is asked of the library -------------------------------------------------------------------------------------


def spectra_of(steps: np.ndarray = STEPS, **options) -> xr.Dataset:
    predictions, y = low_first(steps, members=6)
    return fpkit.measures.fft(predictions, GRID, y, steps=steps, **options)


def test_adapters_are_there_by_their_names_and_a_notebook_completes_all_of_them():
    assert fpkit.lightning.FrequencyRecorder.__module__ == "fpkit.lightning"
    assert {"Recorder", "judge", "lightning", "keras", "transformers"} <= {*dir(fpkit)}
    assert {*MEASURES, "mean_frequency"} <= {*dir(fpkit.measures)}
    assert {*FIGURES} <= {*dir(fpkit.figures)}


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: fpkit.figures.claims(spectra_of()), "shows the table of claims"),
        (lambda: fpkit.figures.calibration(spectra_of()), "shows the table of calibration"),
        (lambda: fpkit.figures.initialization(spectra_of()), "needs networks with model.activation"),
        (lambda: fpkit.figures.order([]), "shows spectra of fft"),
        (lambda: fpkit.figures.order(5), "shows spectra of fft"),
        (lambda: fpkit.figures.order(spectra_of(), width_mm=90, font_size=-3), "figures.order.font_size: "),
        (lambda: fpkit.figures.order(spectra_of(), colormap="nope"), "figures.order.colormap: unknown 'nope'"),
        (lambda: fpkit.figures.order(spectra_of(), width_mm=90), "figures.order: width_mm 90 is too narrow"),
        (lambda: fpkit.judge(5, "lead", at_least=0), "judge: give spectra"),
        (lambda: fpkit.judge([], "lead", at_least=0), "judge: give spectra"),
        (lambda: fpkit.judge(spectra_of(), "lead", at_least=0, given={"captured": 0.8}), "judge: given.captured: "),
    ],
)
def test_what_cannot_be_drawn_or_judged_is_one_line(ask, told):
    with pytest.raises(UserError) as error:
        ask()
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_outputs_are_not_drawn_of_coefficients(tmp_path):
    spectra = fpkit.measures.fft(fpkit.open_run(recorded(tmp_path / "run.zarr", coefficients={"fft": {}})))
    with pytest.raises(UserError, match="shows predictions"):
        fpkit.figures.synthetic(spectra)


@pytest.mark.parametrize("kind", ["synthetic", "order", "structures", "amplitudes"])
def test_a_single_record_is_drawn_and_judged(kind):
    """Of a training that was killed early, say, beside others."""
    one = spectra_of(STEPS[:1])
    found = fpkit.judge(one, "lead", at_least=0.1)
    assert (found.verdict, found.remark) == ("undecided", "lead is undefined for every member")
    getattr(fpkit.figures, kind)([one, spectra_of()])


def test_rows_of_one_data_set_are_told_apart_by_what_differs():
    one, other = (spectra_of().assign_attrs(experiment=name, dataset="tones") for name in ("wide", "deep"))
    assert style.short_titles([one, other]) == ["wide", "deep"]
    other = one.assign_attrs(measure="projection")
    assert style.short_titles([one, other]) == ["fft", "projection"]
    assert style.short_titles([one]) == ["tones"]


# --- files of one's own -----------------------------------------------------------------------------------------------


def built(path, **changes) -> xr.Dataset:
    options = {"targets": None, "labels": False, "scale": "each", "test_fraction": 0, "seed": 0}
    return arrays.build(str(path), **(options | changes))


X, Y = np.arange(20.0).reshape(10, 2), np.arange(10.0)[:, None]


@pytest.mark.parametrize(
    ("held", "options", "told"),
    [
        ({"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y}, {}, r"x of the test part has samples of shape \(1,\)"),
        ({"x": X, "y": Y, "x_test": X, "y_test": X}, {}, r"y of the test part has samples of shape \(2,\)"),
        ({"x": X[:0], "y": Y[:0]}, {}, "holds no sample"),
        ({"x": X[:, :0], "y": Y}, {}, "hold nothing"),
        ({"x": np.float64(3), "y": Y}, {}, "is a single number"),
        ({"x": X, "y": np.float64(3)}, {}, "is a single number"),
        ({"x": X, "y": 1e6 * (np.arange(10) % 3)}, {"labels": True}, "too many classes; number them"),
        ({"x": X, "y": Y}, {"targets": "y"}, "targets: .* names its own"),
        ({"inputs": X, "outputs": Y}, {}, "has no array x or x_train; there are inputs, outputs"),
        ({"x": np.where(X == 7, np.nan, X), "y": Y}, {}, "NaN or infinity in 1 of 10 samples, first in sample 3"),
        ({"x": 1e9 + X, "y": Y}, {"scale": "none"}, "single precision"),
    ],
)
@pytest.mark.parametrize("ending", ["npz", "nc"])
def test_arrays_that_make_no_data_set_are_one_line(tmp_path, held, options, told, ending):
    path = tmp_path / f"data.{ending}"
    if ending == "npz":
        np.savez(path, **held)
    else:
        dims = {name: [f"{name}_{axis}" for axis in range(np.ndim(values))] for name, values in held.items()}
        xr.Dataset({name: (dims[name], values) for name, values in held.items()}).to_netcdf(path)
    with pytest.raises(UserError, match=told) as error:
        built(path, **options)
    assert "\n" not in str(error.value)


def test_inputs_far_from_zero_are_scaled_in_double_precision(tmp_path):
    np.savez(tmp_path / "seconds.npz", x=1.7e9 + np.arange(200), y=np.arange(200.0))
    found = built(tmp_path / "seconds.npz")
    assert len(np.unique(found["x_train"])) == 200
    np.testing.assert_allclose(np.diff(found["position_train"]), 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1.5,2,3\n4,5,6\n7,8,9\n", "has no line of names; its first line is 1.5, 2, 3"),
        ("a;b;c\n1;2;3\n", "has one column; part them by commas"),
        ("a,b,c\n", "holds no sample"),
    ],
)
def test_tables_that_make_no_data_set_are_one_line(tmp_path, text, told):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(UserError, match=told):
        built(tmp_path / "table.csv")


def test_the_numbers_of_a_tables_rows_are_no_input(tmp_path):
    """As pandas writes them in front of each."""
    table = pd.DataFrame({"a": [1.0, 2, 4], "b": [3.0, 1, 2], "c": [0.0, 1, 0]})
    table.to_csv(tmp_path / "table.csv")
    table.to_csv(tmp_path / "bare.csv", index=False)
    xr.testing.assert_equal(built(tmp_path / "table.csv"), built(tmp_path / "bare.csv"))
    table.columns = range(3)
    table.to_csv(tmp_path / "numbers.csv", index=False)
    xr.testing.assert_equal(built(tmp_path / "numbers.csv"), built(tmp_path / "bare.csv"))


def test_a_file_may_have_an_empty_test_part(tmp_path):
    np.savez(tmp_path / "data.npz", x=X, y=Y, x_test=X[:0], y_test=Y[:0])
    assert built(tmp_path / "data.npz").sizes["sample_test"] == 0
    classes = 11 * np.arange(10)
    np.savez(tmp_path / "classes.npz", x=X, y=classes)
    assert built(tmp_path / "classes.npz", labels=True).sizes["output"] == 100


def test_what_single_precision_holds_is_kept(tmp_path):
    x = (1e5 + np.random.default_rng(0).standard_normal((10, 2)) / 2).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=Y)
    np.testing.assert_array_equal(built(tmp_path / "data.npz", scale="none")["x_train"], x)


@pytest.mark.parametrize("kind", ["graph", "natural_image"])
def test_curves_of_nothing_are_drawn(kind):
    """Of outputs that are constant, and of a record at the start alone."""
    x = np.stack(np.meshgrid(*[np.arange(8) / 8] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    y = np.cos(2 * np.pi * 2 * x[:, :1]) + np.cos(2 * np.pi * 3 * x[:, :1])
    measure = fpkit.measures.graph if kind == "graph" else fpkit.measures.radial
    getattr(fpkit.figures, kind)([measure(np.stack([0 * y, 0 * y]), x, y), measure((0 * y)[None], x, y)])


# --- pictures of what is not there ------------------------------------------------------------------------------------


def test_what_was_never_captured_is_in_the_picture():
    spectra = spectra_of()
    never = spectra.assign({name: np.nan * spectra[name] for name in ("first_passage", "hold_passage")})
    *_, passages = fpkit.figures.synthetic(never, width_mm=120).axes[:4]
    last = float(spectra["step"].max())
    low, high = passages.get_ylim()
    assert low <= 1
    assert high >= 1.5 * last
    assert len(passages.texts) == 4  # an arrow for each frequency and passage


def test_a_claim_without_a_number_has_no_mark():
    row = {
        "claim": "c",
        "variant": "v",
        "statistic": "lead",
        "bound": ">= 0.1",
        "verdict": "undecided",
        "level": np.nan,
    }
    known = row | {"value": 0.3, "ci_low": 0.2, "ci_high": np.inf, "verdict": "holds", "level": 0.98}
    unknown = row | {"claim": "d", "value": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    figure = fpkit.figures.claims(pd.DataFrame([known, unknown]))
    marks = [line for line in figure.axes[0].get_lines() if line.get_marker() != "None" and len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in marks] == [pytest.approx(0.2)]


def test_one_member_alone_has_its_lower_bound_marked():
    spectra = spectra_of(STEPS[STEPS <= 20]).isel(member=[0])
    figure = fpkit.figures.order(spectra)
    marks = [line for axes in figure.axes for line in axes.get_lines() if line.get_gid() == leads.LOWER]
    assert len(marks) == 1
    assert np.isfinite(marks[0].get_xdata()).all()


@pytest.mark.parametrize("width", [120, 180])
def test_no_text_of_the_first_figure_lies_beyond_it_or_on_another(width):
    figure = fpkit.figures.synthetic(spectra_of(), width_mm=width)
    figure.draw_without_rendering()
    page = figure.bbox
    shown = [axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]
    shown += [label for axes in figure.axes for label in (axes.xaxis.label, axes.yaxis.label)]
    boxes = [text.get_window_extent() for text in shown if text.get_text()]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 for box in boxes)
    assert not [1 for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]
