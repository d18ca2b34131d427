"""Corners that one's own points, targets, losses and steps reach: right numbers, or one line that says what lacks."""

import numpy as np
import pytest

import fpkit
from fpkit.claims import statistics
from fpkit.errors import UserError

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


def leads(steps: np.ndarray = STEPS, **options) -> np.ndarray:
    predictions, y = low_first(steps)
    return statistics.lead(fpkit.measures.fft(predictions, GRID, y, steps=steps, **options)).to_numpy()


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
