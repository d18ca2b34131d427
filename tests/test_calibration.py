"""Made dynamics: they are what they say they are, and the judge says of them what is true."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import Project, copy_sources

from fpkit import config
from fpkit.claims import calibration, dynamics, verdicts
from fpkit.claims.calibrated import FALSE, TRUE, read_calibration
from fpkit.claims.dynamics import Case
from fpkit.config.claims import Claim
from fpkit.errors import UserError
from fpkit.figures import style
from fpkit.figures.kinds.calibration import draw

# Of 20 ensembles, which are made once.
pytestmark = pytest.mark.xdist_group("calibration")
STEPS = np.array([0, 1, 2, 5, 10, 22, 46, 100, 220, 460, 1000, 2200, 4600, 10_000])
CONFIGURATION = """
datasets: {sines: {kind: sines, frequencies: [1]}}
experiments: {none: {dataset: sines, model: {kind: mlp, widths: [8]}, decomposition: {fft: {}}}}
figures: {truth: {kind: calibration, ensembles: 20}}
"""


@pytest.fixture(scope="module")
def line() -> calibration.Inputs:
    return calibration.line()


@pytest.fixture(scope="module")
def images() -> calibration.Inputs:
    return calibration.images()


def residuals(inputs, truth, target="flat", noise=0.0, steps=STEPS, members=40, each=4) -> np.ndarray:
    """r_t (step, member, sample) of made dynamics, of ensembles of `each`."""
    rng = np.random.default_rng(0)
    y = inputs.bands.target(target, 1, rng)
    h = dynamics.predictions(Case(truth, target, noise), inputs.bands, y, steps, members // each, each, rng)
    return (h - y)[..., 0].astype(float)


# --- the dynamics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "power"), dynamics.POWERS.items())
def test_amplitudes_of_a_target_are_as_its_name_says(line, images, target, power):
    for inputs in (line, images):
        y = inputs.bands.target(target, 1, np.random.default_rng(3))[:, 0].astype(float)
        if inputs is line:
            size = np.abs(np.fft.rfft(y))
            np.testing.assert_allclose(size[[0, *range(9, 33)]], 0, atol=1e-4 * size.max())
            size = size[1:9]
        else:
            along = inputs.bands.functions.T.astype(float) @ y
            size = np.array([np.linalg.norm(along[inputs.bands.of == band]) for band in range(8)])
        np.testing.assert_allclose(size / size[0], np.arange(1, 9.0) ** power, rtol=1e-4)


@pytest.mark.parametrize("target", dynamics.POWERS)
@pytest.mark.parametrize("truth", ["low first", "all alike", "high first"])
def test_low_is_ahead_by_the_decades_that_the_truth_says(line, truth, target):
    """By numpy's transform and a fine grid of steps, without any part of the measures or statistics."""
    steps = np.concatenate([[0], np.geomspace(1, 1e4, 400)])
    transformed = np.fft.rfft(residuals(line, truth, target, steps=steps, members=60))[..., 1:9]
    inner = (transformed * transformed[0].conj()).real
    low, high = inner[..., :4].sum(-1) / inner[0, :, :4].sum(-1), inner[..., 4:].sum(-1) / inner[0, :, 4:].sum(-1)
    ahead = np.trapezoid((high - low)[1:], np.log10(steps[1:]), axis=0)
    assert np.mean(ahead) == pytest.approx(dynamics.LEADS[truth], abs=0.03)


def test_noise_is_white_and_of_a_part_of_the_norm_from_step_1_on(images):
    clean = residuals(images, "low first", "red")
    noise = residuals(images, "low first", "red", noise=0.3) - clean
    np.testing.assert_allclose(noise[0], 0, atol=1e-6)
    ratio = np.linalg.norm(noise[1:], axis=-1) / np.linalg.norm(clean[0], axis=-1)
    np.testing.assert_allclose(ratio, 0.3, rtol=1e-4)
    flat = noise[1:].reshape(-1, noise.shape[-1])
    correlation = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 6 / np.sqrt(len(flat))


@pytest.mark.parametrize(("truth", "sharing"), [("memorized", 1), ("memorized in one order", 4)])
def test_samples_are_memorized_one_by_one_in_an_order_of_each_member_or_ensemble(line, truth, sharing):
    remains = residuals(line, truth)
    remains = remains / remains[0]
    pace = 10 ** np.linspace(1, 3, 64)
    step = 7
    expected = 1e-3 + (1 - 1e-3) * np.exp(-STEPS[step] / pace)
    np.testing.assert_allclose(np.sort(remains[step], axis=-1), np.tile(np.sort(expected), (40, 1)), rtol=1e-3)
    places = remains[step].argsort(axis=-1)
    same = np.kron(np.eye(40 // sharing), np.ones((sharing, sharing)))
    np.testing.assert_array_equal((places[:, None] == places).all(axis=-1), same)
    # Of none with one that it does not share, or with x.
    correlation = np.corrcoef(np.concatenate([places[::sharing], np.arange(64)[None]]))
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.6


def test_spectra_on_several_targets_are_those_on_each_alone(images):
    """Measured at once, as residuals on one of them."""
    case, rng = Case("low first", "red", 0.3), np.random.default_rng(1)
    targets = [images.bands.target("red", 1, rng) for _ in range(3)]
    made = [dynamics.predictions(case, images.bands, y, STEPS, 1, 8, rng) for y in targets]
    (together,) = calibration._measured(images, "graph", made, targets, STEPS, nulls=True)
    for number, (h, y) in enumerate(zip(made, targets, strict=True)):
        one = together.isel(member=slice(8 * number, 8 * number + 8))
        (alone,) = calibration._measured(images, "graph", [h], [y], STEPS, nulls=True)
        for name in ("remaining", "relative_error", "control_remaining"):
            np.testing.assert_allclose(one[name], alone[name], rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(one["first_passage"], alone["first_passage"])


# --- the judge --------------------------------------------------------------------------------------------------------


def test_the_verdict_on_an_ensemble_is_that_of_the_judge():
    """Which takes statistic, null and interval of one ensemble alone, or of five."""
    compared = set()
    cases = [Case("low first", "flat", 0.3), Case("high first", "red", 0.3), Case("memorized in one order", "blue", 0)]
    for inputs, _, measure, drawn in calibration.made_spectra(10, cases):
        alone = [one.isel(member=slice(8 * n, 8 * n + 8)) for one in drawn for n in range(one.sizes["member"] // 8)]
        for stated in inputs.measures[measure][1]:
            claim = config.plain(
                Claim(
                    statement="s", source="s", experiment="e", measure=measure, statistic=stated.statistic,
                    control=stated.control, bound={"at_least": stated.bound},
                )
            )  # fmt: skip
            values = calibration.values_of(stated.statistic, drawn)
            judged = [alone[1::2]] if stated.pooled else [[alone[1]], [alone[2]]]
            rows = [verdicts.judge("c", claim, "v", spectra) for spectra in judged]
            found = calibration.judge(stated, values, drawn)[1 : 1 + len(rows)]
            assert [row["verdict"] for row in rows] == [verdict for verdict, _ in found]
            np.testing.assert_allclose([row["value"] for row in rows], [value for _, value in found], rtol=1e-6)
            compared |= {(stated.name, row["verdict"]) for row in rows}
    for name in ("lead", "lead beyond paces", "lead beyond share", "lead, five draws pooled"):
        assert {(name, "holds"), (name, "does not hold")} <= compared


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A figure of a calibration, and nothing else, made by the workflow."""
    project = copy_sources(tmp_path_factory.mktemp("calibration") / "project")
    (project / "config.yaml").write_text(CONFIGURATION)
    assert project.plan(overlays=()) == {"calibrate truth", "plot truth", "judge_claims", "figures"}
    project.make("figures", overlays=())
    return project


@pytest.fixture(scope="module")
def table(project) -> pd.DataFrame:
    return read_calibration(project / "results/calibration/truth.csv")


@pytest.mark.workflow
def test_every_case_is_there_once(table):
    cases = len(dynamics.LEADS) * len(dynamics.POWERS) * 2
    assert len(table) == cases * (5 + 7 + 2)
    assert not table.duplicated(["inputs", "measure", "truth", "target", "noise", "statistic"]).any()
    pooled = table["statistic"].str.contains("pooled")
    assert (table["ensembles"] == np.where(pooled, 4, 20)).all()
    np.testing.assert_allclose(table[["holds", "undecided", "does_not_hold"]].sum(axis=1), 1)
    # Clopper and Pearson's rule of none in n: 1 - (alpha / 2)^(1 / n).
    none = table[table["holds"] == 0]
    np.testing.assert_allclose(none["holds_high"], 1 - 0.025 ** (1 / none["ensembles"]), rtol=1e-3)


@pytest.mark.workflow
def test_the_lead_tells_the_truth(table):
    """Of 20 ensembles, with or without noise: .05 of them is one."""
    lead = table[(table["statistic"] == "lead") & (table["measure"] != "filtering")]
    assert set(lead["measure"]) == {"fft", "graph"}
    low_first, one_order = lead["lead"] == 1, lead["truth"] == dynamics.SHARED
    assert (lead.loc[low_first, "holds"] >= TRUE).all()
    assert (lead.loc[~low_first & ~one_order, "holds"] <= FALSE).all()
    # Which is a verdict, and no lack of one; with noise, some of these runs look as if they ended too early.
    high_first = lead["lead"] == -1
    assert (lead.loc[high_first & (lead["noise"] == 0), "does_not_hold"] == 1).all()
    assert (lead.loc[high_first, "does_not_hold"] >= 0.7).all()
    np.testing.assert_allclose(lead.loc[~one_order, "value"], lead.loc[~one_order, "lead"], atol=0.1)


@pytest.mark.workflow
def test_an_order_of_one_ensemble_is_no_order_of_five(table):
    """All its members may be ahead by the luck of one deal; draws of the data have each a deal of their own."""
    one_order = table[table["truth"] == dynamics.SHARED]
    assert one_order.loc[one_order["statistic"] == "lead", "holds"].mean() > 2 * FALSE
    pooled = table[table["statistic"] == "lead, five draws pooled"]
    assert (pooled.loc[pooled["lead"] == 1, "holds"] >= TRUE).all()
    assert (pooled.loc[pooled["lead"] < 1, "holds"] <= FALSE).all()


@pytest.mark.workflow
def test_the_papers_statistics_take_noise_for_an_order(table):
    """Where all bands are learned alike, noise keeps the weaker ones above the threshold."""
    wrong = table[(table["truth"] == "all alike") & (table["noise"] > 0) & (table["target"] == "red")]
    area = wrong[(wrong["measure"] == "graph") & (wrong["statistic"] == "area_order")]
    assert area["holds"].item() > 0.5
    # Without noise, and where high is first, they say what is true.
    clean = table[(table["truth"].isin(["all alike", "high first"])) & (table["noise"] == 0)]
    assert (clean["holds"] <= FALSE).all()


@pytest.mark.workflow
def test_the_figure_has_a_mark_for_each_row_of_the_table(project, table):
    heads = {
        ending: (project / f"results/figures/truth.{ending}").read_bytes()[:2000] for ending in ("svg", "pdf", "png")
    }
    assert b"<svg" in heads["svg"]
    assert heads["pdf"].startswith(b"%PDF")
    assert heads["png"].startswith(b"\x89PNG")
    with style.context(width_mm=180, font_size=8, colormap="cividis"):
        figure = draw(table)
    marks = [line for axes in figure.axes for line in axes.lines if line.get_marker() in ("o", "D", "s")]
    assert sorted(float(mark.get_xdata()[0]) for mark in marks) == sorted(table["holds"])
    assert len(figure.axes) == len(dynamics.LEADS)
    plt.close(figure)


@pytest.mark.workflow
def test_a_damaged_table_is_told_and_not_drawn(project, tmp_path):
    text = (project / "results/calibration/truth.csv").read_text()
    for broken in ("", text[:-1], text.replace("holds_low", "low", 1), text.splitlines()[0] + "\n"):
        (tmp_path / "truth.csv").write_text(broken)
        with pytest.raises(UserError, match="damaged"):
            read_calibration(tmp_path / "truth.csv")


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ({"kind": "claims", "ensembles": 20}, "figures.truth: ensembles is of kind calibration"),
        ({"kind": "calibration", "ensembles": 15}, "figures.truth.ensembles"),
        ({"kind": "calibration", "ensembles": 21}, "figures.truth.ensembles"),
    ],
)
def test_ensembles_are_of_a_calibration_and_not_few(figure, said):
    raw = {
        "datasets": {"sines": {"kind": "sines", "frequencies": [1]}},
        "experiments": {
            "none": {"dataset": "sines", "model": {"kind": "mlp", "widths": [8]}, "decomposition": {"fft": {}}}
        },
        "figures": {"truth": figure},
    }
    with pytest.raises(config.ConfigError, match=re.escape(said)):
        config.load(raw)
