"""Figures drawn from spectra of networks that were really trained, and saved."""

import itertools
import os
import re
import runpy
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import REPOSITORY, run
from matplotlib.figure import SubFigure
from PIL import Image, ImageSequence

from fpkit import config
from fpkit.claims import statistics
from fpkit.config.claims import Claim
from fpkit.config.figures import Figure, Style
from fpkit.config.measures import Components, Fft, Filtering, Graph, Ntk, Projection, Radial, Walsh
from fpkit.config.training import Mlp, Record, ResidualMlp, Training
from fpkit.datasets import digits, parity, photograph, sines
from fpkit.figures import style
from fpkit.store import netcdf

pytestmark = pytest.mark.xdist_group("figures")  # the networks are trained once

STYLE = config.plain(Style())
MEASURES = {
    "fft": Fft(),
    "projection": Projection(permutations=20, frequencies=[1, 2, 3]),
    "filtering": Filtering(widths=[0.25, 0.4, 0.5]),
    "graph": Graph(bands=4),
    "walsh": Walsh(),
    "radial": Radial(rings=3),
    "components": Components(),
    "ntk": Ntk(),
}
CIRCLE = {"embedding": "circle", "samples": 32, "test_samples": 0}
SINES = {"kind": "sines", "components": 3, "strength": None, "direction": 1}
DATASETS = {
    "waves": lambda: sines.build(frequencies=[1, 2, 3], samples=32, test_samples=8),
    "rising": lambda: sines.build(frequencies=[1, 2, 3], amplitudes=[1 / 3, 2 / 3, 1], samples=32, test_samples=0),
    "others": lambda: sines.build(frequencies=[2, 4, 6, 8], samples=32, test_samples=0),
    "noisy": lambda: sines.build(frequencies=[1], samples=24, test_samples=24, validation_samples=24, noise=0.5),
    "circle": lambda: sines.build(frequencies=[1, 2, 3], **CIRCLE),
    "digits": lambda: digits.build(limit=100),
    "digits_noisy": lambda: digits.build(limit=100, test_limit=40, validation_limit=50, label_noise=0.4),
    "digits_sines": lambda: digits.build(limit=100, target=SINES),
    "photograph_sines": lambda: photograph.build(size=12, target=SINES),
    "parity_25": lambda: parity.build(dimensions=4, train_fraction=0.25),
    "parity_50": lambda: parity.build(dimensions=4, train_fraction=0.5),
    "sparse_2": lambda: parity.build(dimensions=4, bits=2, train_fraction=0.5),
    "photograph": lambda: photograph.build(size=12),
    "photograph_fourier": lambda: photograph.build(size=12, fourier_scale=2, fourier_features=6),
}
MLP, RESIDUAL = (
    Mlp(kind="mlp", widths=[16]),
    ResidualMlp(kind="residual_mlp", width=8, blocks=2),
)
GRADIENT_DESCENT = {"optimizer": "sgd", "learning_rate": 0.02}
HOPELESS = {"optimizer": "sgd", "learning_rate": 1e6}


class Laboratory:
    """Spectra of networks that were really trained: as they left the measure, went through a file, and were labelled.

    Whatever is asked for a second time is not made again.
    """

    def __init__(self, folder):
        self.folder, self.made = folder, {}

    def _once(self, key: str, make):
        if key not in self.made:
            self.made[key] = make(self.folder / f"{len(self.made)}")
        return self.made[key]

    def _dataset(self, name: str) -> xr.Dataset:
        def make(_):
            dataset = DATASETS[name]()
            dataset.to_netcdf(self.folder / f"{name}.nc", engine="netcdf4")
            return dataset

        return self._once(name, make)

    def _predictions(self, dataset: str, model, split: str, training: dict) -> xr.Dataset:
        def make(place):
            options = {"steps": 60, "members": 3, "learning_rate": 0.02, "device": "cpu"}
            return run(
                self.folder / f"{dataset}.nc",
                place / "run",
                place / "checkpoints",
                model=config.plain(model),
                training=config.plain(Training(**options | training)),
                record=config.plain(Record(per_decade=10, split=split)),
            )

        self._dataset(dataset)
        return self._once(repr((dataset, model, split, training)), make)

    def __call__(self, measure: str, dataset: str, variant="base", model=MLP, split="train", **training) -> xr.Dataset:
        def make(place):
            predictions = self._predictions(dataset, model, split, training)
            decompose = import_module(f"fpkit.measures.kinds.{measure}").decompose
            result = decompose(
                predictions,
                self._dataset(dataset),
                split=split,
                **config.plain(MEASURES[measure].settled("predictions")),
            )
            result.attrs.update(experiment="e", variant=variant, dataset=dataset)
            result.to_netcdf(f"{place}.nc", engine="netcdf4")
            return xr.load_dataset(f"{place}.nc", engine="netcdf4")

        return self._once(repr((measure, dataset, variant, model, split, training)), make).copy(deep=True)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("runs"))


def rates(laboratory, measure: str, dataset: str, labels=("learning_rate~0.01", "learning_rate~0.03"), **options):
    """Two variants, of two learning rates."""
    pairs = zip(labels, (0.01, 0.03), strict=True)
    return [laboratory(measure, dataset, label, learning_rate=rate, **options) for label, rate in pairs]


def variants_of(kind: str, laboratory) -> list[xr.Dataset]:
    """What a figure of each kind is drawn from in `config.yaml`, in small."""
    if kind in ("synthetic", "animation"):
        return rates(laboratory, "fft", "waves")
    if kind in ("projection", "filtering", "graph"):
        return rates(laboratory, kind, "digits", model=Mlp(kind="mlp", widths=[12], initialization="he"))
    if kind == "order":
        labels = ("training~slow", "training~fast")
        return [*rates(laboratory, "fft", "waves", labels), *rates(laboratory, "projection", "digits", labels)]
    if kind == "structures":
        sizes = [Mlp(kind="mlp", widths=widths) for widths in ([8], [16], [8, 8], [16, 16])]
        grid = [laboratory("fft", "waves", f"widths~{'-'.join(map(str, m.widths))}", m) for m in sizes]
        return [*grid, laboratory("fft", "waves", model=RESIDUAL), laboratory("projection", "digits", model=RESIDUAL)]
    if kind == "initialization":
        scales = [(a, s) for a in ("tanh", "relu") for s in (0.1, 1, 2)]
        entry = {"kind": "mlp", "widths": [16], "initialization": "gaussian"}
        return [
            laboratory("fft", "waves", f"activation~{a}+std~{s}", Mlp(**entry, activation=a, std=s)) for a, s in scales
        ]
    if kind == "amplitudes":
        return [laboratory("fft", name, f"dataset~{name}") for name in ("waves", "rising", "others")]
    if kind == "early_stopping":
        return [laboratory("fft", "noisy"), laboratory("projection", "digits_noisy")]
    if kind == "generalization":
        names = [(d, a) for d in ("parity_25", "parity_50", "sparse_2") for a in ("tanh", "relu")]
        signs = [
            laboratory(
                "walsh",
                d,
                f"dataset~{d}+activation~{a}",
                Mlp(kind="mlp", widths=[8], activation=a),
                "all",
            )
            for d, a in names
        ]
        return [*signs, laboratory("projection", "digits", "dataset~digits", split="all")]
    if kind == "equal_strength":
        models = {"mlp": Mlp(kind="mlp", widths=[16]), "wide": Mlp(kind="mlp", widths=[64])}
        made = [laboratory("components", "digits_sines", f"model~{name}", model) for name, model in models.items()]
        natural = [laboratory("graph", "digits", f"model~{name}", model) for name, model in models.items()]
        return [*made, laboratory("components", "photograph_sines"), *natural]
    if kind == "natural_image":
        return [laboratory("radial", name, f"dataset~{name}") for name in ("photograph", "photograph_fourier")]
    assert kind == "theory"
    models = {a: Mlp(kind="mlp", widths=[64], activation=a) for a in ("tanh", "relu")}
    circle = [laboratory("ntk", "circle", f"activation~{a}", m, **GRADIENT_DESCENT) for a, m in models.items()]
    return [*circle, laboratory("ntk", "digits", "activation~tanh", models["tanh"], **GRADIENT_DESCENT)]


# Drawn from a table, and not from spectra; that of a calibration is tested beside it.
TABLES = {"claims", "calibration"}
KINDS = [kind for kind in config.FIGURES if kind not in TABLES]
PICTURES = [kind for kind in KINDS if kind != "animation"]
# A row or more of panels for each variant, with its title.
BY_VARIANT = ["synthetic", "projection", "filtering", "graph", "early_stopping", "natural_image", "theory"]


@pytest.fixture(scope="module")
def spectra(laboratory) -> dict[str, list[xr.Dataset]]:
    """The variants of each kind of figure."""
    return {kind: variants_of(kind, laboratory) for kind in KINDS}


SCRIPTS = Path(__file__).parents[1] / "workflow/scripts"
JUDGED = [
    ("synthetic", "first_order", None, {"at_least": 0.8}),
    ("projection", "area_order", "share", {"at_least": 0.5}),
    ("filtering", "low_advantage", "share", {"at_least": 0.05}),
    ("early_stopping", "overfitting", None, {"at_most": 1.1}),
    ("generalization", "test_accuracy", None, {"at_most": 0.6}),
    ("natural_image", "area_order", None, {"at_least": 0.8}),
    ("theory", "rate_correlation", None, {"at_least": 0.9}),
]


def run_script(name: str, log, **snakemake) -> dict:
    """A job's script, as Snakemake runs it; its global names, as they are when its process ends."""
    wildcards = SimpleNamespace(figure="claims")
    told = SimpleNamespace(rule=Path(name).stem, log=[str(log)], threads=1, wildcards=wildcards, **snakemake)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(variable, "1")  # which the job sets, too
        return runpy.run_path(str(SCRIPTS / name), init_globals={"snakemake": told})


@pytest.fixture(scope="module")
def claims_csv(spectra, laboratory, tmp_path_factory) -> Path:
    """The claims of the configuration on these networks, one of which diverged: `claims.csv`, made by its job."""
    folder = tmp_path_factory.mktemp("claims")
    entries, numbers, paths = {}, {}, []
    for kind, statistic, control, bound in JUDGED:
        shown = [*spectra[kind], laboratory("fft", "waves", **HOPELESS)] if kind == "synthetic" else spectra[kind]
        entries[f"{kind}_claim"] = config.plain(
            Claim(
                statement="s", source="s", experiment="e", measure=shown[0].attrs["measure"], statistic=statistic,
                control=control, bound=bound,
            )
        )  # fmt: skip
        numbers[f"{kind}_claim"] = {
            one.attrs["variant"]: [number] for number, one in enumerate(shown, start=len(paths))
        }
        for variant in shown:
            paths.append(str(folder / f"{len(paths)}.nc"))
            variant.to_netcdf(paths[-1], engine="netcdf4")
    output = SimpleNamespace(claims=str(folder / "claims.csv"))
    params = SimpleNamespace(claims=entries, spectra=numbers)
    run_script("judge_claims.py", folder / "log", params=params, input=paths, output=output)
    return folder / "claims.csv"


@pytest.fixture(scope="module")
def table(claims_csv) -> pd.DataFrame:
    return pd.read_csv(claims_csv)


@pytest.fixture(autouse=True)
def no_figure_left_open():
    yield
    plt.close("all")


def drawn(kind: str, spectra: list[xr.Dataset]) -> plt.Figure:
    return import_module(f"fpkit.figures.kinds.{kind}").draw(spectra)


def saved(kind: str, spectra: list[xr.Dataset], paths, **changes) -> None:
    with style.context(**(STYLE | changes)):
        style.save(drawn(kind, spectra), [str(path) for path in paths])


def texts_of(figure: plt.Figure) -> list[str]:
    """All that is written on a figure, in the places where it is shown."""
    return [text.get_text() for text in figure.findobj(plt.Text) if text.get_visible()]


def without(spectra: xr.Dataset, members) -> xr.Dataset:
    """As a measure leaves it: some members marked, and NaN in everything that was measured of them."""
    sick = spectra.copy(deep=True)
    sick["diverged"][members] = True
    for name in sick:
        if "member" in sick[name].dims and name != "diverged":
            sick[name] = sick[name].where(~sick["diverged"])
    return sick


# --- each figure ------------------------------------------------------------------------------------------------------


def test_every_kind_of_the_config_has_a_figure_here():
    assert {*KINDS, *TABLES} == set(Figure.model_fields["kind"].annotation.__args__)


def assert_saved_in_every_format(draw, folder) -> None:
    paths = [folder / f"figure.{ending}" for ending in ("svg", "pdf", "png")]
    with style.context(**STYLE):
        style.save(draw(), [str(path) for path in paths])
    heads = [path.read_bytes()[:300] for path in paths]
    assert b"<svg" in paths[0].read_bytes()[:2000]
    assert heads[1].startswith(b"%PDF")
    assert heads[2].startswith(b"\x89PNG")
    width = float(re.search(r'width="([0-9.]+)pt"', paths[0].read_text()).group(1))
    assert width / 72 * 25.4 == pytest.approx(STYLE["width_mm"], rel=1e-3)
    pixels = int.from_bytes(heads[2][16:20], "big")  # the width in the header of a PNG
    assert pixels / 200 * 25.4 == pytest.approx(STYLE["width_mm"], rel=2e-3), "200 pixels an inch"
    assert plt.get_fignums() == []  # closed, or a long workflow would hold them all


@pytest.mark.parametrize("kind", PICTURES)
def test_figure_is_saved_in_every_format(kind, spectra, tmp_path):
    assert_saved_in_every_format(lambda: drawn(kind, spectra[kind]), tmp_path)


@pytest.mark.parametrize("kind", PICTURES)
def test_figure_of_a_single_variant_is_drawn(kind, spectra):
    for variant in spectra[kind]:
        with style.context(**STYLE):
            drawn(kind, [variant]).draw_without_rendering()
            plt.close("all")


@pytest.mark.parametrize("kind", PICTURES)
def test_saving_twice_gives_the_same_bytes(kind, spectra, tmp_path):
    for name in ("one", "two"):
        shown = spectra[kind][:1] if kind in BY_VARIANT else spectra[kind]
        saved(kind, shown, [tmp_path / f"{name}.{ending}" for ending in ("svg", "pdf")])
    for ending in ("svg", "pdf"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes(), ending


def assert_labelled(figure: plt.Figure, least: int) -> None:
    figure.draw_without_rendering()
    shown = [ax for ax in figure.axes if ax.has_data() and ax.get_visible() and ax.get_label() != "<colorbar>"]
    assert len(shown) >= least
    boxes = {ax: ax.get_position() for ax in shown}
    for ax in shown:
        if ax.get_images() and not len(ax.get_xticks()):
            continue  # a picture
        own = boxes[ax]
        below = [o for o, box in boxes.items() if abs(box.x0 - own.x0) < 0.05 and box.y1 < own.y0]
        left = [o for o, box in boxes.items() if abs(box.y0 - own.y0) < 0.05 and box.x1 < own.x0]
        assert ax.get_xlabel() or any(other.get_xlabel() for other in below)
        ticks = [tick for one in (ax, *left) if one is ax or one in ax.get_shared_y_axes().get_siblings(ax)
                 for tick in one.get_yticklabels()]  # fmt: skip
        named_ticks = any(not re.match(r"^[−\d.$]|^$", tick.get_text()) for tick in ticks)
        assert ax.get_ylabel() or named_ticks or any(other.get_ylabel() for other in left)
    for bar in (ax for ax in figure.axes if ax.get_label() == "<colorbar>"):
        assert bar.get_ylabel() or bar.get_xlabel()


@pytest.mark.parametrize("count", [1, None])
@pytest.mark.parametrize("kind", PICTURES)
def test_every_axis_with_data_is_labelled_or_shares_its_label_with_its_row_or_column(kind, count, spectra):
    with style.context(**STYLE):
        shown = spectra[kind][:count]
        assert_labelled(drawn(kind, shown), 2 * len(shown) if kind in BY_VARIANT else 2)


@pytest.mark.parametrize("lowest", [0.3, 0.05, 2e-3, 1e-5, 1e-12, 1e-30])
def test_a_logarithmic_axis_has_some_numbers_and_not_too_many_however_long_it_is(lowest):
    with style.context(**STYLE):
        figure, axes = plt.subplots(figsize=(2, 1.3))
        axes.plot([1, 2], [lowest, 2])
        axes.set_yscale("log")
        style.plain_log(axes.yaxis)
        figure.draw_without_rendering()
    low, high = axes.get_ylim()
    seen = [tick.label1 for tick in axes.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert 2 <= len(seen) <= 10
    assert all(label.get_text() for label in seen)
    boxes = sorted((label.get_window_extent() for label in seen), key=lambda box: box.y0)
    assert all(upper.y0 > lower.y1 for lower, upper in itertools.pairwise(boxes)), "they lie on each other"


@pytest.mark.parametrize(
    ("low", "high", "pointed"), [(0, 1, "neither"), (-1, 1, "min"), (0, 3, "max"), (-1, 3, "both")]
)
def test_colours_beyond_their_bar_are_told(low, high, pointed):
    values = xr.DataArray([[low, 0.5, high], [0.5, np.nan, 0.5]], {"frequency": [1, 2], "step": [1, 10, 100]})
    with style.context(**STYLE):
        _, axes = plt.subplots()
        mesh = style.heat_map(axes, values.transpose("frequency", "step"), "frequency", "error", vmin=0, vmax=1)
    assert mesh.colorbar.extend == pointed


@pytest.mark.parametrize("kind", ["projection", "filtering", "natural_image"])
def test_no_relative_error_lies_beyond_the_picture(kind, spectra):
    """Ten times the target's, too, as where an output that nobody asked for starts."""
    larger = [one.assign({name: 10 * one[name] for name in one if name.endswith("_error")}) for one in spectra[kind]]
    shown = [axes for axes in drawn(kind, larger).axes if axes.get_ylabel() == "relative error"]
    for axes in shown:
        low, high = axes.get_ylim()
        errors = np.concatenate([line.get_ydata() for line in axes.get_lines() if len(line.get_xdata()) > 2])
        assert np.nanmax(errors) > 1.2
        assert (low <= errors[errors > 0]).all()
        assert np.nanmax(errors) <= high
    assert shown


@pytest.mark.parametrize(("lowest", "bottom"), [(0.1, -0.15), (-0.6, -0.65), (-30, -1)])
def test_an_overshoot_of_the_target_is_in_the_picture(lowest, bottom):
    with style.context(**STYLE):
        _, axes = plt.subplots()
        axes.plot([1, 10, 100], [1, lowest, np.nan])
        style.shares(axes)
    assert axes.get_ylim() == pytest.approx((bottom, 1.15))


@pytest.mark.parametrize("kind", BY_VARIANT)
def test_variant_and_number_of_members_are_written_on_the_figure(kind, spectra):
    with style.context(**STYLE):
        written = "\n".join(texts_of(drawn(kind, spectra[kind])))
    titles = style.short_titles(spectra[kind]) if kind == "theory" else map(style.variant_title, spectra[kind])
    for title in titles:
        assert title in written
    assert "3 members" in written
    assert "diverged" not in written


# --- words and places -------------------------------------------------------------------------------------------------

# What says how it came out, or asks it: order, comparison, or a sentence at all.
ASSERTS = re.compile(
    r"\b(first(?! passage| principal)|last(?! frequency)|before|after|until|ahead|behind"
    r"|sooner|later|faster|slower|better|worse"
    r"|whatever|always|turns?|breaks?|survives?|holds?(?! passage)|fails?|way|reach\w*|rises?|falls?|spreads?"
    r"|is|are|was|were|has|have|does?|will|learn(s|ed)?|captures?|fits?|generalizes?|predicts?|matche[sd])\b|\?",
    re.IGNORECASE,
)


def opposite(variant: xr.Dataset) -> xr.Dataset:
    """Spectra of the other outcome: what was measured at low frequencies stands at high ones, and in reverse."""
    dims = [dim for dim in ("frequency",) if dim in variant.dims]
    turned = variant.isel({dim: slice(None, None, -1) for dim in dims}).assign_coords({d: variant[d] for d in dims})
    if "low_error" in variant:
        names = ("low_error", "high_error", "control_low_error", "control_high_error")
        swapped = (name.replace("low", "-").replace("high", "low").replace("-", "high") for name in names)
        turned = turned.assign({name: turned[other] for name, other in zip(names, swapped, strict=True)})
    return turned


def still(kind: str, spectra: list[xr.Dataset]) -> plt.Figure:
    """A figure; of an animation one of its frames."""
    figure = drawn(kind, spectra)
    if kind != "animation":
        return figure
    figure._func(7)
    figure._draw_was_started = True  # never to be saved: no warning about it
    return figure._fig


def laid_out(figure) -> plt.Figure:
    """As `style.save` lays it out."""
    for _ in range(2):
        figure.canvas.draw()
    return figure


def titles_of(figure: plt.Figure) -> list[str]:
    """Of panels, rows and the whole, without the letters."""
    figures = [figure, *figure.findobj(SubFigure)]
    titles = [ax.get_title(loc) for ax in figure.axes for loc in ("left", "center", "right")]
    titles += [part._suptitle.get_text() for part in figures if part._suptitle]
    return [re.sub(r"^\$\\bf\{.\}\$ *", "", line) for title in titles for line in title.splitlines() if line.strip()]


@pytest.mark.parametrize("kind", [*PICTURES, "animation"])
def test_titles_say_what_is_shown_whatever_came_out(kind, spectra):
    """The same words over the opposite outcome, none of which says or asks how it came out."""
    said = []
    for shown in (spectra[kind], [opposite(variant) for variant in spectra[kind]]):
        with style.context(**STYLE):
            figure = still(kind, shown)
            found = [re.sub(r"([≥≤~] )?[-−]?[0-9.]+|nan", "#", title) for title in titles_of(laid_out(figure))]
            said.append([re.sub(r"[≥≤]: (lower|upper) bound", "≥: bound", title) for title in found])
            plt.close("all")
    assert said[0] == said[1]
    assert said[0] or kind == "animation"
    assert [title for title in said[0] if ASSERTS.search(title)] == []


@pytest.mark.parametrize(
    "title",
    ["Low frequencies are captured first", "Low before high, whatever the size", "Where the order turns",
     "How far the low part is ahead", "Low before high?", "Steps until all frequencies are captured"],
)  # fmt: skip
def test_titles_that_say_how_it_came_out_would_be_noticed(title):
    assert ASSERTS.search(title)


def test_captions_say_what_is_shown():
    """In the report and under the pictures of the README."""
    said = [kind.shows for kind in config.FIGURES.values()]
    readme = (REPOSITORY / "README.md").read_text()
    said += re.findall(r"!\[(.*?)\]", readme)
    assert len(said) > len(config.FIGURES)
    said += re.findall(r"!\[.*\n\n\*([^*]+)\*", readme)
    table = re.search(r"\| figure \|.*\n\|---.*\n((?:\|.*\n)+)", readme)[1]
    said += [line.split("|")[2] for line in table.splitlines()]
    assert [words for words in said if ASSERTS.search(words)] == []


def points_of(ax: plt.Axes) -> np.ndarray:
    """Everything that is plotted in `ax`, as points in display coordinates: (point, 2)."""
    points = []
    for line in ax.lines:
        if line.get_transform().contains_branch(ax.transData) and line.get_transform() == ax.transData:
            path = line.get_transform().transform_path(line.get_path())
            points.append(path.interpolated(20).vertices if len(path.vertices) > 1 and line.get_linestyle() != "None"
                          else path.vertices)  # fmt: skip
    for collection in ax.collections:
        for path in collection.get_paths():
            points.append(collection.get_transform().transform_path(path).interpolated(20).vertices)
    for patch in ax.patches:  # bars
        points.append(patch.get_transform().transform_path(patch.get_path()).interpolated(20).vertices)
    for image in ax.get_images():
        box = image.get_window_extent()
        points.append(
            np.stack(np.meshgrid(np.linspace(box.x0, box.x1), np.linspace(box.y0, box.y1)), -1).reshape(-1, 2)
        )
    points = np.concatenate([np.empty((0, 2)), *(np.asarray(part, float) for part in points)])
    return points[np.isfinite(points).all(axis=1)]


def covered(figure: plt.Figure) -> list[str]:
    """The legends and notes that lie on what is plotted, on another text or beyond the figure."""
    laid_out(figure)
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.axison]
    points = np.concatenate([np.empty((0, 2)), *map(points_of, shown)])
    legends = [ax.get_legend() for ax in shown] + [
        legend for part in (figure, *figure.findobj(SubFigure)) for legend in part.legends
    ]
    legends = [legend for legend in legends if legend is not None and legend.get_texts()]
    words = [ax.title for ax in shown] + [ax._left_title for ax in shown] + [ax._right_title for ax in shown]
    words += [axis.label for ax in shown for axis in (ax.xaxis, ax.yaxis)]
    words += [
        tick.label1
        for ax in shown
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    words = [word for word in words if word.get_text().strip() and word.get_visible()]
    found = []
    for legend in legends:
        box, name = legend.get_window_extent(), [text.get_text() for text in legend.get_texts()]
        x, y = points.T
        if ((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).any():
            found.append(f"{name} on data")
        found += [f"{name} on {w.get_text()!r}" for w in words if w.get_window_extent().overlaps(box)]
        found += [
            f"{name} on another legend" for o in legends if o is not legend and o.get_window_extent().overlaps(box)
        ]
        if not (figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and figure.bbox.y0 <= box.y0):
            found.append(f"{name} beyond the figure")
    for ax in shown:
        for text in (t for t in ax.texts if t.get_text() and not ax.get_images()):  # numbers in a map are its data
            box = text.get_window_extent()
            if ((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).any() if len(points) else False:
                found.append(f"{text.get_text()!r} on data")
    return found


def outcomes(kind: str, spectra: list[xr.Dataset]) -> dict[str, list[xr.Dataset]]:
    """What a figure may have to show: as measured, the opposite, a single variant, everything captured late."""
    turned = [opposite(variant) for variant in spectra]
    late = [
        variant.assign({
            name: variant["followed"].where(False, float(variant["step"][-1])) + 0 * variant[name].fillna(0)
            for name in ("first_passage", "hold_passage") if name in variant
        })
        for variant in spectra
    ]  # fmt: skip
    return {
        "measured": spectra,
        "opposite": turned,
        "single": spectra[:1],
        "single, opposite": turned[-1:],
        "late": late,
    }


@pytest.mark.parametrize("kind", [*PICTURES, "animation"])
def test_no_legend_covers_data(kind, spectra):
    for name, shown in outcomes(kind, spectra[kind]).items():
        for changes in ({}, {"width_mm": 140, "font_size": 9}):
            with style.context(**(STYLE | changes)):
                figure = still(kind, shown)
                assert covered(figure) == [], (name, changes)
                plt.close("all")


def test_legend_of_the_claims_figure_covers_no_data(table):
    with style.context(**STYLE):
        assert covered(drawn("claims", table)) == []


def test_a_legend_that_covers_data_would_be_noticed():
    with style.context(**STYLE):
        figure, ax = plt.subplots()
        ax.plot([0, 1, 2], [0, 0.5, 1], "o", label="points")
        ax.legend(loc="upper right")
        assert covered(figure) == ["['points'] on data"]
        ax.legend(loc="lower right")
        assert covered(figure) == []


@pytest.mark.parametrize(
    ("dataset", "variant", "title"),
    [
        ("noisy_sines+seed~3", "seed~3", "noisy sines, seed 3"),
        ("noisy_sines", "seed~0+activation~relu", "noisy sines, seed 0, relu"),
        ("noisy+noise~0.1+seed~3", "dataset~noisy+noise~0.1+seed~3", "noisy, 0.1, seed 3"),
        ("noisy+noise~0.1", "noise~0.1+seed~*", "noisy, 0.1, 5 draws"),
        ("a+b", "base", "a+b"),
        ("waves", "learning_rate~1e+2+seed~1", "waves, 1e+2, seed 1"),
    ],
)
def test_titles_of_draws_say_which_or_how_many(dataset, variant, title):
    assert style.variant_title(xr.Dataset(attrs={"dataset": dataset, "variant": variant, "draws": 5})) == title


def test_titles_are_those_of_dataset_and_variant(spectra):
    assert [style.variant_title(v) for v in spectra["synthetic"]] == ["waves, 0.01", "waves, 0.03"]
    assert style.short_titles(spectra["synthetic"]) == ["0.01", "0.03"]
    assert style.short_titles(spectra["early_stopping"]) == ["noisy", "digits noisy"]
    swept = spectra["synthetic"][0].assign_attrs(variant="activation~a+b+learning_rate~1e+16+std~0.1")
    assert style.variant_title(swept) == "waves, a+b, 1e+16, 0.1"


@pytest.mark.parametrize("kind", ["order", "structures", "amplitudes", "generalization", "equal_strength"])
def test_every_variant_is_named_on_figures_that_compare_them(kind, spectra):
    with style.context(**STYLE):
        figure = drawn(kind, spectra[kind])
        figure.draw_without_rendering()  # and with it the labels of the ticks
        written = "\n".join(texts_of(figure))
    if kind == "order":
        expected = style.short_titles(spectra[kind])
    elif kind == "structures":
        expected = ["waves", "digits", "8", "16", "1", "2"]
    elif kind == "amplitudes":
        expected = ["$k^{0}$", "$k^{1}$", "others"]
    elif kind == "equal_strength":
        expected = ["digits sines", "photograph sines", "MLP", "wide", "digits sines, MLP", "photograph sines, MLP"]
        expected += ["digits, labels", "digits, labels, wide"]
    else:
        expected = ["all 4 bits, tanh", "all 4 bits, relu", "2 bits, tanh", "2 bits, relu", "digits", "trained on 50%"]
    for text in expected:
        assert text in written


@pytest.mark.parametrize("kind", PICTURES)
def test_diverged_member_is_marked_in_the_text_and_the_figure_still_drawn(kind, spectra):
    for index in {0, len(spectra[kind]) - 1}:
        sick = [without(v, 1) if i == index else v for i, v in enumerate(spectra[kind])]
        with style.context(**STYLE):
            figure = drawn(kind, sick)
            figure.draw_without_rendering()
            written = "\n".join(texts_of(figure))
            plt.close("all")
        assert "2 of 3 members (1 diverged)" in written
        if kind in BY_VARIANT:
            assert "3 members" in written.replace("2 of 3 members", "")


@pytest.mark.parametrize("kind", PICTURES)
def test_figure_of_a_variant_whose_members_all_diverged_says_so(kind, spectra):
    """One hopeless learning rate in a sweep must not cost the figure of all the others."""
    for index in {0, len(spectra[kind]) - 1}:
        hopeless = [without(v, slice(None)) if i == index else v for i, v in enumerate(spectra[kind])]
        with style.context(**STYLE):
            figure = drawn(kind, hopeless)
            figure.draw_without_rendering()
            written = "\n".join(texts_of(figure))
            plt.close("all")
        assert "0 of 3 members (3 diverged)" in written


@pytest.mark.parametrize("kind", PICTURES)
def test_figure_of_nothing_but_diverged_members_is_drawn(kind, spectra):
    with style.context(**STYLE):
        figure = drawn(kind, [without(variant, slice(None)) for variant in spectra[kind]])
        figure.draw_without_rendering()
        assert "0 of 3 members (3 diverged)" in "\n".join(texts_of(figure))


@pytest.mark.parametrize(
    ("kind", "measure", "dataset", "split"),
    [
        ("synthetic", "fft", "waves", "train"),
        ("order", "fft", "waves", "train"),
        ("structures", "fft", "waves", "train"),
        ("initialization", "fft", "waves", "train"),
        ("amplitudes", "fft", "waves", "train"),
        ("projection", "projection", "digits", "train"),
        ("filtering", "filtering", "digits", "train"),
        ("graph", "graph", "digits", "train"),
        ("early_stopping", "fft", "noisy", "train"),
        ("early_stopping", "projection", "digits_noisy", "train"),
        ("generalization", "walsh", "parity_50", "all"),
        ("generalization", "projection", "digits", "all"),
        ("natural_image", "radial", "photograph", "train"),
        ("equal_strength", "components", "digits_sines", "train"),
        ("theory", "ntk", "circle", "train"),
    ],
)
def test_networks_that_really_diverged_leave_the_figure_of_the_others(
    kind, measure, dataset, split, laboratory, spectra
):
    bad = laboratory(measure, dataset, split=split, **HOPELESS)
    assert bad["diverged"].all()
    with style.context(**STYLE):
        figure = drawn(kind, [*spectra[kind], bad])
        figure.draw_without_rendering()
        assert "0 of 3 members (3 diverged)" in "\n".join(texts_of(figure))


@pytest.mark.parametrize("kind", ["generalization", "initialization"])
def test_any_number_of_activations_is_drawn(kind, spectra):
    """They are told apart by their colours, of which there are a few."""
    names = ["gelu", "elu", "silu", "sin", "softplus", "sigmoid"]
    more = []
    for name in names:
        variant = spectra[kind][0].copy()
        variant.attrs["recipe"] = variant.attrs["recipe"].replace('"tanh"', f'"{name}"')
        more.append(variant)
    with style.context(**STYLE):
        figure = drawn(kind, [*spectra[kind], *more])
        figure.draw_without_rendering()
        written = "\n".join(texts_of(figure))
    for name in names:
        assert name in written


def test_parity_of_any_number_of_bits_is_drawn(spectra):
    """The fewer, the paler."""
    shown = [variant.copy() for variant in spectra["generalization"][:5]]
    for variant, bits in zip(shown, (10, 8, 6, 3, 1), strict=True):
        variant.attrs.update(bits=bits, dimensions=10)
    with style.context(**STYLE):
        figure = drawn("generalization", shown)
        figure.draw_without_rendering()
        assert "8 bits, relu" in "\n".join(texts_of(figure))


# --- what some of them show -------------------------------------------------------------------------------------------


def test_rank_correlations_on_the_order_figure_are_those_of_the_claims(spectra):
    with style.context(**STYLE):
        figure = drawn("order", spectra["order"])
    order = figure.axes[2]
    for container, statistic in zip(order.containers, (statistics.first_order, statistics.hold_order), strict=True):
        expected = [float(style.known_by_most(statistic(variant)).median()) for variant in spectra["order"]]
        np.testing.assert_allclose(container.lines[0].get_xdata(), expected)


def test_order_figure_shows_the_median_passage_and_a_cross_for_never(spectra):
    variant = spectra["order"][0].copy(deep=True)
    followed = np.flatnonzero(variant["followed"])
    variant["first_passage"][dict(frequency=followed)] = np.nan
    variant["first_passage"][dict(frequency=followed[0])] = [5, 20, 30]
    variant["first_passage"][dict(frequency=followed[1], member=0)] = 10  # not by the median member
    with style.context(**STYLE):
        passages = drawn("order", [variant]).axes[0]
    np.testing.assert_array_equal(passages.get_images()[0].get_array().filled(-1), [[20, -1, -1]])
    assert [line.get_xdata()[0] for line in passages.lines] == [1, 2]
    assert passages.get_xlabel().endswith("× never")
    variant["first_passage"][:] = 5
    with style.context(**STYLE):
        assert "never" not in drawn("order", [variant]).axes[0].get_xlabel()


def test_equal_strength_figure_shows_median_passages_their_range_and_a_cross_for_never(spectra):
    variant = spectra["equal_strength"][0].copy(deep=True)
    step = float(variant["step"][-1])
    variant["first_passage"][:] = [[1, 4, step], [2, 8, step], [3, 16, np.nan]]
    with style.context(**STYLE):
        passages, lead, order = drawn("equal_strength", [variant]).axes
    np.testing.assert_allclose(lead.lines[0].get_xdata(), statistics.lead(variant))
    middle, never = passages.lines
    np.testing.assert_allclose(middle.get_xdata(), variant["frequency"])
    np.testing.assert_allclose(middle.get_ydata(), [2, 8, step])
    assert never.get_xdata().tolist() == [3]
    ranges = [segment[:, 1].tolist() for segment in passages.collections[0].get_segments()]
    assert ranges == [[1, 3], [4, 16], [step, 2 * step]]
    np.testing.assert_allclose(order.lines[0].get_xdata(), statistics.first_order(variant))
    assert "never" in texts_of(passages.figure)
    variant["first_passage"][:] = 5
    with style.context(**STYLE):
        assert "never" not in texts_of(drawn("equal_strength", [variant]))


def test_structures_figure_says_what_the_sign_of_a_lower_bound_is_where_there_is_one(spectra):
    for left, marks in ((0.1, False), (0.3, True)):
        with style.context(**STYLE):
            title = (
                drawn("structures", [learned(variant, left) for variant in spectra["structures"]])
                .axes[0]
                .get_title(loc="left")
            )
        assert ("≥: lower bound" in title) == marks


def test_structures_figure_places_depths_and_widths(spectra):
    with style.context(**STYLE):
        figure = drawn("structures", spectra["structures"])
    for axes, statistic in zip(figure.axes, (statistics.lead, statistics.first_order), strict=False):
        shown = axes.get_images()[0].get_array()
        expected = [float(statistic(variant).median()) for variant in spectra["structures"][:4]]
        np.testing.assert_allclose(shown, np.reshape(expected, (2, 2)))  # (depth, width)


def test_structures_figure_leaves_a_network_out_that_is_not_there(spectra):
    with style.context(**STYLE):
        figure = drawn("structures", spectra["structures"][:3])  # of a depth and a width, one
        written = [text.get_text() for text in figure.axes[0].texts]
        plt.close(figure)
    assert len(written) == 3


LEADS = {"order": 1, "structures": 3, "initialization": 0, "amplitudes": 3, "equal_strength": -2}


def learned(variant: xr.Dataset, left: float) -> xr.Dataset:
    """The same run, at the end of which the low half is learned, and so much is left of the high one's first error."""
    ended = variant.copy(deep=True)
    followed = np.flatnonzero(variant["followed"])
    last = slice(-max(1, round(0.1 * variant.sizes["step"])), None)
    ended["remaining"][dict(step=last)] = 0.1
    ended["remaining"][dict(step=last, frequency=followed[-(len(followed) // 2) :])] = left
    return ended


@pytest.mark.parametrize("kind", LEADS)
def test_lead_is_drawn_in_decades_as_judged_and_lower_bounds_are_marked(kind, spectra):
    for left, marks in ((0.1, False), (0.3, True)):
        shown = [learned(variant, left) for variant in spectra[kind]]
        with style.context(**STYLE):
            figure = drawn(kind, shown)
        axes = figure.axes[LEADS[kind]]
        assert axes.get_ylabel() == "lead\n(decades of training)" or axes.get_xlabel() == "lead\n(decades of training)"
        if kind == "amplitudes":
            shown = shown[:2]  # the family
        elif kind == "structures":
            shown = shown[4:]  # those in no map
        along = [line.get_xdata() if kind in ("order", "structures", "equal_strength") else line.get_ydata()
                 for line in axes.lines if line.get_markersize() == 2]  # fmt: skip
        for points, variant in zip(along, shown, strict=True):
            np.testing.assert_allclose(np.sort(points), np.sort(statistics.lead(variant)), rtol=1e-6)
        signs = [line for line in axes.lines if line.get_gid() == "lower bound"]
        assert len(signs) == (len(shown) if marks else 0)
        assert ("lower bound of the lead" in texts_of(figure)) == marks
        plt.close("all")


@pytest.mark.parametrize("kind", ["synthetic", "projection", "filtering", "graph", "natural_image"])
def test_titles_name_the_lead_in_decades(kind, spectra):
    for left, sign in ((0.1, ""), (0.3, "≥ ")):
        variant = learned(spectra[kind][0], left)
        with style.context(**STYLE):
            written = "\n".join(texts_of(drawn(kind, [variant])))
        assert f"lead {sign}{float(statistics.lead(variant).median()):.2f} decades" in written
        plt.close("all")


def test_theory_figure_draws_each_measured_rate_against_the_predicted(spectra):
    (variant, *_) = spectra["theory"]
    with style.context(**STYLE):
        against, by_frequency = drawn("theory", [variant]).axes
    points = [line for line in against.lines if line.get_marker() == "o"]
    assert len(points) == 3
    for line, frequency in zip(points, variant["frequency"], strict=True):
        np.testing.assert_allclose(line.get_xdata(), variant["predicted_rate"].sel(frequency=frequency))
        np.testing.assert_allclose(line.get_ydata(), variant["measured_rate"].sel(frequency=frequency))
    assert "predicted at the end" not in by_frequency.get_legend_handles_labels()[1]


def test_theory_figure_shows_the_end_where_the_networks_were_kept(spectra):
    (variant, *_) = spectra["theory"]
    ended = variant.assign(
        final_rate=2 * variant["predicted_rate"], kernel_change=xr.full_like(variant["kernel_change"], 0.25)
    )
    with style.context(**STYLE):
        by_frequency = drawn("theory", [ended]).axes[1]
    drawn_as = dict(zip(*reversed(by_frequency.get_legend_handles_labels()), strict=True))
    shown = drawn_as["predicted at the end"].lines[0].get_ydata()
    np.testing.assert_allclose(shown, ended["final_rate"].median("member"))
    assert by_frequency.get_title(loc="left").startswith("kernel changed by 0.25 of its norm")


def test_theory_figure_names_eigenvectors_by_their_rank(spectra):
    (*_, variant) = spectra["theory"]
    assert variant.sizes["frequency"] == 16
    with style.context(**STYLE):
        by_frequency = drawn("theory", [variant]).axes[1]
    assert by_frequency.get_xlabel() == "rank of the kernel's eigenvector"


def test_claims_figure_is_saved_in_every_format_and_counts_the_verdicts(table, tmp_path):
    assert_saved_in_every_format(lambda: drawn("claims", table), tmp_path)
    with style.context(**STYLE):
        figure = drawn("claims", table)
        assert_labelled(figure, 1)
        (axes,) = figure.axes
        labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(labels) == table["claim"].nunique()
    assert labels[1].startswith("projection claim\narea order beyond equal shares >= 0.5")
    counts = np.array([int(text.get_text()) for text in axes.texts]).reshape(len(labels), 3)
    for row, (_, variants) in zip(counts, table.groupby("claim", sort=False), strict=True):
        assert row.tolist() == [(variants["verdict"] == v).sum() for v in ("holds", "undecided", "does not hold")]
    assert counts.sum() == len(table)


def test_claims_figure_is_drawn_by_its_job_also_where_a_claim_has_no_value(claims_csv, table, tmp_path):
    assert table["value"][table["members"] == "0 of 3"].isna().tolist() == [True]  # the variant that diverged
    paths = [str(tmp_path / f"claims.{ending}") for ending in ("svg", "pdf", "png")]
    params = SimpleNamespace(figure=config.plain(Figure(kind="claims")) | {"rows": len(table)})
    run_script("plot.py", tmp_path / "log", params=params, input=[str(claims_csv)], output=paths)
    assert all(Path(path).stat().st_size > 1000 for path in paths)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files cannot be listed here")
@pytest.mark.parametrize("script", ["judge_claims.py", "plot.py"])
def test_a_job_closes_the_spectra_it_read_before_it_ends(script, spectra, tmp_path):
    """Whatever is open when Python ends may be closed after what closes it: `Exception ignored in File.close`."""
    path = tmp_path / "fft.nc"
    spectra["synthetic"][0].to_netcdf(path, engine="netcdf4")
    netcdf.save(xr.load_dataset(path, engine="netcdf4"), path)
    if script == "plot.py":
        params = SimpleNamespace(figure=config.plain(Figure(kind="order", experiment="e")), groups=[])
        output = [str(tmp_path / "order.svg")]
    else:
        entry = Claim(
            statement="s", source="s", experiment="e", measure="fft", statistic="first_order", bound={"at_least": 0}
        )
        params = SimpleNamespace(claims={"c": config.plain(entry)}, spectra={"c": {"base": [0]}})
        output = SimpleNamespace(claims=str(tmp_path / "claims.csv"))
    names = run_script(script, tmp_path / "log", params=params, input=[str(path)], output=output)
    opened = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert str(path) not in opened
    assert names


def test_claims_figure_marks_the_margin_on_the_side_of_the_bound():
    rows = [
        {"claim": "a", "variant": "v", "statistic": "first_order", "value": 0.9, "ci_low": 0.85, "ci_high": 1.0,
         "level": 0.97, "bound": ">= 0.8", "verdict": "holds"},
        {"claim": "b", "variant": "v", "statistic": "first_order", "value": 0.9, "ci_low": 0.85, "ci_high": 1.0,
         "level": 0.97, "bound": "<= 0.8", "verdict": "does not hold"},
        {"claim": "c", "variant": "v", "statistic": "first_order", "value": np.nan, "ci_low": np.nan, "ci_high": np.nan,
         "level": np.nan, "bound": ">= 0.8", "verdict": "undecided"},
    ]  # fmt: skip
    with style.context(**STYLE):
        figure = drawn("claims", pd.DataFrame(rows))
        figure.draw_without_rendering()
    marks = [float(line.get_xdata()[0]) for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(marks, [0.1, -0.1])  # without a number, none


def test_claims_figure_draws_an_interval_without_ends_from_border_to_border():
    """And not up to the bound, as if it kept to one side."""
    row = {
        "claim": "a", "variant": "v", "statistic": "first_order", "value": 0.9, "ci_low": -np.inf, "ci_high": np.inf,
        "level": np.nan, "bound": ">= 0.8", "verdict": "undecided",
    }  # fmt: skip
    with style.context(**STYLE):
        lines = drawn("claims", pd.DataFrame([row])).axes[0].lines
    assert [-1.2, 1.2] in [list(line.get_xdata()) for line in lines]


# --- animation --------------------------------------------------------------------------------------------------------


def test_animation_has_a_frame_for_each_record(spectra, tmp_path):
    (variant, _) = spectra["animation"]
    saved("animation", [variant], [tmp_path / "one.gif"])
    with Image.open(tmp_path / "one.gif") as image:
        assert image.format == "GIF"
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]
        milliseconds = sum(frame.info["duration"] for frame in ImageSequence.Iterator(image))
        assert image.width == pytest.approx(STYLE["width_mm"] / 25.4 * 100, abs=1)
        assert image.info.get("loop") == 0  # again and again
    records = variant.sizes["step"]
    assert records > 10
    assert len(frames) >= records  # frames that repeat the last one may have been joined
    assert milliseconds == 100 * (records + 10)
    assert all(np.abs(one - other).max() > 50 for one, other in itertools.pairwise(frames[:records]))


def test_long_animation_has_a_choice_of_the_records_and_twice_the_same_bytes(spectra, tmp_path, monkeypatch):
    monkeypatch.setattr("fpkit.figures.kinds.animation.FRAMES", 4)
    for name in ("one", "two"):
        saved("animation", spectra["animation"], [tmp_path / f"{name}.gif"])
        plt.close("all")
    with Image.open(tmp_path / "one.gif") as image:
        assert sum(frame.info["duration"] for frame in ImageSequence.Iterator(image)) == 100 * (4 + 10)
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "two.gif").read_bytes()


def test_frame_of_the_animation_shows_the_medians_of_its_step(spectra):
    (variant, _) = spectra["animation"]
    with style.context(**STYLE):
        animation = drawn("animation", [variant])
        output, dots = animation._func(7)
        animation._draw_was_started = True  # never to be saved: no warning about it
    np.testing.assert_allclose(output.get_ydata(), variant["output_median"][7, :, 0])
    amplitude = variant["amplitude"].isel(step=7, output=0).median("member")
    np.testing.assert_allclose(dots.get_ydata(), amplitude.sel(frequency=dots.get_xdata()))


@pytest.mark.filterwarnings("ignore:All-NaN slice", "ignore:Mean of empty slice")
def test_animation_is_drawn_without_the_diverged_members(spectra, laboratory, tmp_path, monkeypatch):
    monkeypatch.setattr("fpkit.figures.kinds.animation.FRAMES", 2)
    for index, sick in enumerate([without(spectra["animation"][0], 1), laboratory("fft", "waves", **HOPELESS)]):
        saved("animation", [sick], [tmp_path / f"{index}.gif"])
        with Image.open(tmp_path / f"{index}.gif") as image:
            assert image.n_frames > 1 - index


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


@pytest.mark.parametrize("colormap", Style.model_fields["colormap"].annotation.__args__)
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
