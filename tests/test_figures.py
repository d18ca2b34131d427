"""Figures drawn from spectra of networks that were really trained, and saved."""

import re
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from fpkit import config
from fpkit.datasets import digits, sines
from fpkit.figures import style
from fpkit.runs import run
from fpkit.spectra import fft, filtering, projection

pytestmark = pytest.mark.xdist_group("figures")  # the networks are trained once

STYLE = config.plain(config.Style())
MEASURES = {
    "synthetic": (fft, config.Fft()),
    "projection": (projection, config.Projection(permutations=20, frequencies=[1, 2, 3])),
    "filtering": (filtering, config.Filtering(widths=[0.25, 0.4, 0.5], null_draws=2)),
}


@pytest.fixture(scope="module")
def spectra(tmp_path_factory) -> dict[str, list[xr.Dataset]]:
    """For each figure, two variants: as they left the measure, went through a file, and were labelled by the job."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, dataset, model in (
        ("waves", sines.build(frequencies=[1, 2, 3], samples=32, test_samples=8), config.Mlp(kind="mlp", widths=[16])),
        ("digits", digits.build(limit=100), config.Mlp(kind="mlp", widths=[12], initialization="he")),
    ):
        dataset.to_netcdf(folder / f"{name}.nc", engine="h5netcdf")
        for rate in (0.01, 0.03):
            predictions = run(
                folder / f"{name}.nc",
                folder / f"run-{name}-{rate}",
                folder / f"checkpoints-{name}-{rate}",
                model=config.plain(model),
                training=config.plain(config.Training(steps=60, members=3, learning_rate=rate, device="cpu")),
                record=config.plain(config.Record(per_decade=10)),
            )
            for figure in ["synthetic"] if name == "waves" else ["projection", "filtering"]:
                module, options = MEASURES[figure]
                result = module.decompose(predictions, dataset, split="train", **config.plain(options))
                result.attrs.update(experiment="e", variant=f"learning_rate~{rate}", dataset=name)
                path = folder / f"{figure}-{rate}.nc"
                result.to_netcdf(path, engine="h5netcdf")
                found.setdefault(figure, []).append(xr.load_dataset(path, engine="h5netcdf"))
    return found


@pytest.fixture(autouse=True)
def no_figure_left_open():
    yield
    plt.close("all")


def drawn(kind: str, spectra: list[xr.Dataset]) -> plt.Figure:
    return import_module(f"fpkit.figures.{kind}").draw(spectra)


def saved(kind: str, spectra: list[xr.Dataset], paths, **changes) -> None:
    with style.context(**(STYLE | changes)):
        style.save(drawn(kind, spectra), [str(path) for path in paths])


def texts_of(figure: plt.Figure) -> list[str]:
    """All that is written on a figure, in the places where it is shown."""
    return [text.get_text() for text in figure.findobj(plt.Text) if text.get_visible()]


def with_diverged_member(spectra: xr.Dataset) -> xr.Dataset:
    """As a measure leaves it: the second member marked, and NaN in everything that was measured of it."""
    sick = spectra.copy(deep=True)
    sick["diverged"][1] = True
    for name in sick:
        if name.startswith(("relative", "first", "hold", "area", "low_error", "high_error", "control")):
            sick[name] = sick[name].where(~sick["diverged"])
    if "snapshot_output" in sick:
        sick["snapshot_output"] = sick["snapshot_output"].where(~sick["diverged"], np.inf)
    return sick


# --- each figure ------------------------------------------------------------------------------------------------------


def test_every_kind_of_the_config_has_a_figure_here():
    assert set(config.Figure.model_fields["kind"].annotation.__args__) == set(MEASURES)


@pytest.mark.parametrize("kind", MEASURES)
def test_figure_is_saved_in_every_format(kind, spectra, tmp_path):
    paths = [tmp_path / f"figure.{ending}" for ending in ("svg", "pdf", "png")]
    saved(kind, spectra[kind][:1], paths)
    heads = [path.read_bytes()[:300] for path in paths]
    assert b"<svg" in paths[0].read_bytes()[:2000]
    assert heads[1].startswith(b"%PDF")
    assert heads[2].startswith(b"\x89PNG")
    width = float(re.search(r'width="([0-9.]+)pt"', paths[0].read_text()).group(1))
    assert width / 72 * 25.4 == pytest.approx(STYLE["width_mm"], rel=1e-3)
    assert plt.get_fignums() == []  # closed, or a long workflow would hold them all


@pytest.mark.parametrize("kind", MEASURES)
def test_saving_twice_gives_the_same_bytes(kind, spectra, tmp_path):
    for name in ("one", "two"):
        saved(kind, spectra[kind][:1], [tmp_path / f"{name}.{ending}" for ending in ("svg", "pdf")])
    for ending in ("svg", "pdf"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes(), ending


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", MEASURES)
def test_every_axis_with_data_is_labelled_or_shares_its_label_with_its_row_or_column(kind, count, spectra):
    with style.context(**STYLE):
        figure = drawn(kind, spectra[kind][:count])
        figure.draw_without_rendering()
        panels = [ax for ax in figure.axes if ax.has_data() and ax.get_label() != "<colorbar>"]
        assert len(panels) >= 3 * count
        boxes = {ax: ax.get_position() for ax in panels}
        for ax in panels:
            own = boxes[ax]
            below = [o for o, box in boxes.items() if abs(box.x0 - own.x0) < 0.05 and box.y1 < own.y0]
            left = [o for o, box in boxes.items() if abs(box.y0 - own.y0) < 0.05 and box.x1 < own.x0]
            assert ax.get_xlabel() or any(other.get_xlabel() for other in below)
            named_ticks = any(not re.match(r"^[−\d.$]|^$", tick.get_text()) for tick in ax.get_yticklabels())
            assert ax.get_ylabel() or named_ticks or any(other.get_ylabel() for other in left)
        for bar in (ax for ax in figure.axes if ax.get_label() == "<colorbar>"):
            assert bar.get_ylabel()


@pytest.mark.parametrize("kind", MEASURES)
def test_variant_and_number_of_members_are_written_on_the_figure(kind, spectra):
    with style.context(**STYLE):
        written = "\n".join(texts_of(drawn(kind, spectra[kind])))
    name = spectra[kind][0].attrs["dataset"]
    for rate in ("0.01", "0.03"):
        assert f"{name}, {rate}" in written
    assert "3 members" in written
    assert "diverged" not in written


@pytest.mark.parametrize("kind", MEASURES)
def test_diverged_member_is_marked_in_the_text_and_the_figure_still_drawn(kind, spectra):
    sick = [with_diverged_member(spectra[kind][0]), spectra[kind][1]]
    with style.context(**STYLE):
        figure = drawn(kind, sick)
        written = "\n".join(texts_of(figure))
        assert "2 of 3 members (1 diverged)" in written
        assert "3 members" in written.replace("2 of 3 members", "")
        figure.draw_without_rendering()


@pytest.mark.parametrize("kind", MEASURES)
def test_figure_of_a_variant_whose_members_all_diverged_says_so(kind, spectra):
    """One hopeless learning rate in a sweep must not cost the figure of all the others."""
    hopeless = spectra[kind][0].copy(deep=True)
    hopeless["diverged"][:] = True
    for name in hopeless:
        if name.startswith(("relative", "first", "hold", "area", "low_error", "high_error", "control")):
            hopeless[name] = hopeless[name].where(~hopeless["diverged"])
    with style.context(**STYLE):
        figure = drawn(kind, [hopeless, spectra[kind][1]])
        assert "0 of 3 members (3 diverged)" in "\n".join(texts_of(figure))
        figure.draw_without_rendering()


def test_nothing_captured_is_drawn_as_arrows(spectra):
    blind = spectra["synthetic"][0].copy(deep=True)
    for name in ("first_passage", "hold_passage"):
        blind[name][:] = np.nan
    with style.context(**STYLE):
        figure = drawn("synthetic", [blind])
        figure.draw_without_rendering()
    arrows = [text for ax in figure.axes for text in ax.texts if text.arrow_patch is not None]
    assert len(arrows) == 2 * int(blind["followed"].sum())  # for both passages


# --- style ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colormap", config.Style.model_fields["colormap"].annotation.__args__)
def test_every_colour_map_of_the_config_has_ordered_colours(colormap):
    with style.context(**(STYLE | {"colormap": colormap})):
        colors = style.ordered_colors(5)
    assert len({tuple(color) for color in colors}) == 5
    # Ordered also in print: brightness rises or falls all the way.
    brightness = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b, _ in colors]
    assert brightness in (sorted(brightness), sorted(brightness, reverse=True))


def test_context_leaves_the_settings_of_others_as_they_were():
    before = dict(plt.rcParams)
    with style.context(width_mm=90, font_size=6, colormap="mako"):
        assert plt.rcParams["font.size"] == 6
    assert dict(plt.rcParams) == before


def test_width_and_font_size_reach_the_file(spectra, tmp_path):
    saved("filtering", spectra["filtering"][:1], [tmp_path / "a.svg"], width_mm=140, font_size=9)
    width = float(re.search(r'width="([0-9.]+)pt"', (tmp_path / "a.svg").read_text()).group(1))
    assert width / 72 * 25.4 == pytest.approx(140, rel=1e-3)


def test_spread_draws_the_median_and_the_quantiles_written_down():
    values = xr.DataArray(
        np.random.default_rng(0).random((11, 4)),
        dims=("member", "step"),
        coords={"step": [1, 2, 3, 4], "member": range(11)},
    )
    figure, ax = plt.subplots()
    style.spread(ax, values, "k")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(values, axis=0))
    band = ax.collections[0].get_paths()[0].vertices
    for step in range(4):
        ends = band[band[:, 0] == step + 1][:, 1]
        assert ends.min() == pytest.approx(np.quantile(values[:, step], 0.1))
        assert ends.max() == pytest.approx(np.quantile(values[:, step], 0.9))
    plt.close(figure)


def test_passage_ranges_span_the_members_and_point_on_where_some_never_got_there():
    spectra = xr.Dataset(
        {
            "first_passage": (("member", "frequency"), [[10.0, 40.0, 5.0], [20.0, np.nan, 5.0]]),
            "followed": ("frequency", [True, True, False]),
            "diverged": ("member", [False, False]),
        },
        coords={"frequency": [1, 2, 3], "step": [0, 1, 100]},
    )
    figure, ax = plt.subplots()
    style.passage_ranges(ax, spectra, "first_passage", "k", marker="o")
    *ranges, medians = [line.get_ydata().tolist() for line in ax.lines]
    assert ranges == [[10, 20], [40, 40]]
    assert medians == [15, 40]
    assert [text.xy[0] for text in ax.texts] == [2]  # one arrow, at the frequency that one member never captured
    plt.close(figure)
