"""The public library: runs opened; measures, verdicts and figures as functions, beside the workflow's own."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from conftest import same_records
from matplotlib.figure import Figure

import fpkit
from fpkit.config import FIGURES, MEASURES, load, read_yaml, variants
from fpkit.datasets import digits
from fpkit.errors import UserError
from fpkit.store import netcdf

ROOT = Path(__file__).parents[1]
STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128])
RNG = np.random.default_rng(0)


def low_first(x: np.ndarray, frequencies=(1, 2, 4, 8), members: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Made dynamics on a line: each sine is learned at a pace that falls with its frequency."""
    waves = np.stack([np.sin(2 * np.pi * k * x[:, 0]) for k in frequencies])
    pace = np.exp(-STEPS[:, None] / (2.0 * np.array(frequencies) ** 1.5))
    member = 1 + 0.1 * np.arange(members)
    learned = 1 - pace[:, None, :] ** (1 / member[None, :, None])
    return (learned @ waves)[..., None].astype(np.float32), waves.sum(axis=0)[:, None]


LINE = np.arange(64)[:, None] / 64
H, Y = low_first(LINE)


@pytest.fixture
def stores(tmp_path):
    """Eight members, a store each."""
    for member in range(8):
        with fpkit.Recorder(
            tmp_path / f"seed{member}.zarr", LINE, Y, member=member, when=lambda step: True
        ) as recorder:
            for index, step in enumerate(STEPS):
                recorder.append(step, H[index, member])
    return tmp_path / "seed*.zarr"


# --- runs -------------------------------------------------------------------------------------------------------------


def test_stores_of_several_seeds_are_members_of_one_run(stores):
    run = fpkit.open_run(stores)
    assert run["prediction"].dims == ("step", "member", "sample", "output")
    assert run["member"].to_numpy().tolist() == list(range(8))
    assert np.array_equal(run["step"], STEPS)
    assert np.allclose(run["prediction"], H)
    assert np.allclose(run["y"], Y)
    assert run.attrs["dataset"] == stores.parent.name
    assert fpkit.measures.fft(fpkit.open_run(stores, name="waves")).attrs["dataset"] == "waves"
    few = fpkit.open_run([stores.parent / "seed3.zarr", stores.parent / "seed5.zarr"])
    assert few["member"].to_numpy().tolist() == [3, 5]


def test_of_stores_that_end_elsewhere_the_steps_that_all_hold(stores):
    with fpkit.Recorder(stores.parent / "seed8.zarr", LINE, Y, member=8) as recorder:
        for step in (0, 2, 3, 8):
            recorder.append(step, Y)
    with pytest.warns(UserWarning, match=r"seed8.zarr ends at step 8, others at"):
        run = fpkit.open_run(stores)
    assert run["step"].to_numpy().tolist() == [0, 2, 8]


def test_stores_of_one_number_are_numbered_and_told(stores):
    with fpkit.Recorder(stores.parent / "seed8.zarr", LINE, Y) as recorder:
        for step in fpkit.open_run(stores.parent / "seed0.zarr")["step"].to_numpy():
            recorder.append(int(step), Y)
    with pytest.warns(UserWarning, match="stores of the same member: they are numbered from 0 on"):
        run = fpkit.open_run(stores)
    assert run["member"].to_numpy().tolist() == list(range(9))


def test_what_is_no_run_or_no_ensemble_is_one_line(stores, tmp_path):
    with pytest.raises(UserError, match=r"none\*\.zarr: no such store; give the path of a recorded run, or a pattern"):
        fpkit.open_run(tmp_path / "none*.zarr")
    with pytest.raises(UserError, match="no readable prediction store"):
        fpkit.open_run(tmp_path)
    with fpkit.Recorder(tmp_path / "seed9.zarr", LINE + 1, Y, member=9) as recorder:
        recorder.append(0, Y)
    with pytest.raises(UserError, match=r"seed9\.zarr: has other probe points than .*seed0\.zarr; open them apart"):
        fpkit.open_run(stores)
    chunk = next(file for file in (tmp_path / "seed0.zarr/prediction/c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-9] + b"123456789")
    with pytest.raises(UserError, match=r"seed0\.zarr: no readable prediction store \(the checksum of prediction/"):
        fpkit.measures.fft(fpkit.open_run(tmp_path / "seed0.zarr"))


# --- measures ---------------------------------------------------------------------------------------------------------


def test_every_measure_and_figure_is_a_function_and_typed():
    for package, names in ((fpkit.measures, MEASURES), (fpkit.figures, FIGURES)):
        for name in names:
            function = getattr(package, name)
            assert callable(function)
            assert function.__name__ == name
        stub = (ROOT / package.__name__.replace(".", "/") / "__init__.pyi").read_text()
        assert [line.split(":")[0] for line in stub.splitlines() if line[:1].islower() and ": " in line] == sorted(
            names
        )
    with pytest.raises(AttributeError, match="no attribute 'grph'"):
        _ = fpkit.measures.grph
    assert "permutations: " in fpkit.measures.projection.__doc__


def test_arrays_stores_and_named_arrays_give_the_same_spectra(stores):
    options = {"frequencies": [1, 2, 4, 8], "nulls": ["share", "paces"]}
    run = fpkit.measures.fft(fpkit.open_run(stores), **options)
    arrays = fpkit.measures.fft(H, LINE, Y, steps=STEPS, **options)
    dims = ("step", "member", "sample", "output")
    named = xr.DataArray(H, {"step": STEPS}, dims).transpose("sample", "output", "member", "step")
    same_records(arrays, fpkit.measures.fft(named, LINE, Y[:, 0], **options))
    for name in ("remaining", "relative_error", "first_passage", "control_remaining"):
        np.testing.assert_allclose(run[name], arrays[name], rtol=2e-5, atol=1e-6)
    one = fpkit.measures.fft(H[:, 0], LINE, Y, steps=STEPS, **options)
    np.testing.assert_allclose(one["remaining"][:, 0], arrays["remaining"][:, 0], rtol=1e-6)


def test_spectra_of_made_dynamics_are_what_was_made(stores):
    spectra = fpkit.measures.fft(fpkit.open_run(stores), frequencies=[1, 2, 4, 8])
    wanted = np.exp(-STEPS[:, None] / (2.0 * np.array([1, 2, 4, 8]) ** 1.5))
    found = spectra["remaining"].isel(member=0).where(spectra["followed"], drop=True)
    np.testing.assert_allclose(found.transpose("step", "frequency"), wanted, atol=1e-4)


def on_images(samples=120, members=6):
    x = digits.build(limit=samples)["x_train"].to_numpy()
    y = RNG.standard_normal((samples, 3))
    rest = np.exp(-STEPS / 20)[:, None, None, None] * (
        1 + 0.05 * RNG.standard_normal((len(STEPS), members, samples, 3))
    )
    rest[0] = 1
    return (y * (1 - rest)).astype(np.float32), x, y


@pytest.mark.parametrize("measure", ["graph", "projection", "filtering"])
def test_measures_of_any_inputs_take_their_defaults(measure):
    options = {"frequencies": [1, 2, 3]} if measure == "projection" else {}
    spectra = getattr(fpkit.measures, measure)(*on_images(), steps=STEPS, **options)
    assert spectra.attrs["measure"] == measure
    assert spectra["null"].to_numpy().tolist() == ["share", "paces"]
    assert spectra.sizes["draw"] == 20


def test_sign_vectors_and_pixels_are_known_by_their_values():
    signs = 1 - 2 * (np.arange(16)[:, None] >> np.arange(4) & 1)
    y = signs.prod(axis=1, keepdims=True)
    spectra = fpkit.measures.walsh(np.stack([0 * y, 0.5 * y, y]), signs, y)
    np.testing.assert_allclose(spectra["target_coefficient"][:, 0], [0, 0.5, 1], atol=1e-6)
    pixels = np.stack(np.meshgrid(np.arange(16.0), np.arange(16.0), indexing="ij"), axis=-1).reshape(-1, 2)
    wave = np.cos(2 * np.pi * 3 * pixels[:, :1] / 16)
    for points in (pixels, pixels[:, ::-1]):
        spectra = fpkit.measures.radial(np.stack([0 * wave, 0.5 * wave, wave]), points, wave, rings=4)
        assert int(np.argmax(spectra["target_amplitude"].to_numpy())) == 1
        ring = spectra["remaining"].isel(member=0, frequency=1)
        np.testing.assert_allclose(ring, [1, 0.5, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        ((H,), {}, "fft: predictions alone; give the inputs x and the targets y, too, or a run"),
        ((H[0, 0], LINE, Y), {}, r"predictions have 2 dimensions; give \(step, sample, output\)"),
        ((H, LINE[:5], Y), {}, r"x of shape \(5, 1\): predictions are of 64 samples"),
        ((H, LINE, Y[:5]), {}, r"y of shape \(5, 1\): predictions are of 64 samples"),
        ((H, LINE, np.ones((64, 2))), {}, "y has 2 outputs, the predictions 1"),
        ((H, LINE, Y), {"steps": [1, 2]}, "steps: give 9 of them, ascending"),
        ((H, LINE, Y), {"frequency": [1]}, "fft.frequency: unknown key 'frequency'; did you mean 'frequencies'"),
        ((H, LINE, Y), {"threshold": 2}, "fft.threshold: "),
        ((H, np.sort(RNG.random((64, 1)), axis=0), Y), {}, "fft needs a uniform grid"),
    ],
)
def test_what_does_not_fit_a_measure_is_one_line(arguments, options, told):
    with pytest.raises(UserError, match=told) as error:
        fpkit.measures.fft(*arguments, **options)
    assert "\n" not in str(error.value)


def test_a_run_without_targets_takes_them_from_whoever_measures(tmp_path):
    with fpkit.Recorder(tmp_path / "a.zarr", LINE) as recorder:
        for index, step in enumerate(STEPS):
            recorder.append(step, H[index, 0])
    run = fpkit.open_run(tmp_path / "a.zarr")
    with pytest.raises(UserError, match=r"the run was recorded without targets; give some: y=\.\.\."):
        fpkit.measures.fft(run)
    with pytest.raises(UserError, match=r"y of shape \(5, 1\): the run has 64 samples and 1 outputs"):
        fpkit.measures.fft(run, y=Y[:5])
    spectra = fpkit.measures.fft(run, y=Y, frequencies=[1, 2, 4, 8])
    assert spectra["remaining"].notnull().any()


def test_mean_frequency_is_the_rayleigh_quotient_of_a_dense_graph(tmp_path):
    h, x, _ = on_images(60, 3)
    found = fpkit.measures.mean_frequency(h, x, steps=STEPS, neighbours=5)
    assert found.dims == ("step", "member")
    flat = x.reshape(60, -1).astype(float)
    distance = ((flat[:, None] - flat) ** 2).sum(-1)
    linked = np.zeros((60, 60))
    for row, near in enumerate(np.argsort(distance + np.diag([np.inf] * 60), axis=1)[:, :5]):
        linked[row, near] = 1
    affinity = (linked + linked.T) / 2
    degree = affinity.sum(axis=1)
    laplacian = np.eye(60) - affinity / np.sqrt(np.outer(degree, degree))
    v = h[-1, 1] - h[-1, 1].mean(axis=0)
    root = np.sqrt(degree / degree.sum())
    v = v - np.outer(root, root @ v)
    wanted = np.einsum("io,ij,jo->", v, laplacian, v) / (v**2).sum()
    assert float(found[-1, 1]) == pytest.approx(wanted, rel=1e-4)
    assert np.isnan(found[0]).all(), "the output is constant"
    with fpkit.Recorder(tmp_path / "a.zarr", x) as recorder:  # no target is needed
        for index, step in enumerate(STEPS):
            recorder.append(step, h[index, 1])
    again = fpkit.measures.mean_frequency(fpkit.open_run(tmp_path / "a.zarr"), neighbours=5)
    np.testing.assert_allclose(again[:, 0], found[:, 1], rtol=1e-5)
    with pytest.raises(UserError, match="mean_frequency: 60 samples have 59 neighbours at most, not 60"):
        fpkit.measures.mean_frequency(h, x, neighbours=60)
    with pytest.raises(UserError, match="mean_frequency: predictions alone; give the inputs x"):
        fpkit.measures.mean_frequency(h)


def test_neighbours_by_a_tree_are_those_by_pairs(monkeypatch):
    from fpkit.bases import graph

    x = RNG.standard_normal((200, 3))
    by_pairs = graph.nearest(x, 6).toarray()
    monkeypatch.setattr(graph, "MANY_SAMPLES", 100)
    np.testing.assert_array_equal(graph.nearest(x, 6).toarray(), by_pairs)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_made_dynamics_are_judged(stores):
    spectra = fpkit.measures.fft(fpkit.open_run(stores), frequencies=[1, 2, 4, 8], nulls=["share"])
    found = fpkit.judge(spectra, "lead", at_least=0.1)
    assert found.verdict == "holds"
    assert found.low <= found.value <= found.high
    assert str(found).startswith("lead 0.")
    assert fpkit.judge(spectra, "lead", at_most=0.1).verdict == "does not hold"
    assert fpkit.judge(spectra, "lead", between=[0.1, 2]).verdict == "holds"
    assert fpkit.judge(spectra, "first_order", at_least=0.8).verdict == "holds"
    beyond = fpkit.judge(spectra, "lead", at_least=0.05, control="share")
    assert beyond.verdict == "holds"
    assert beyond.reached == "0 of 20"
    # In reverse, high comes first.
    back = low_first(LINE, (8, 4, 2, 1))[0]
    wanted = np.stack([np.sin(2 * np.pi * k * LINE[:, 0]) for k in (1, 2, 4, 8)])
    pace = np.exp(-STEPS[:, None] / (2.0 * np.array([8, 4, 2, 1]) ** 1.5))
    h = np.repeat(((1 - pace) @ wanted)[:, None, :, None], 8, axis=1) + 0 * back
    reverse = fpkit.measures.fft(h, LINE, Y, steps=STEPS, frequencies=[1, 2, 4, 8])
    assert fpkit.judge(reverse, "lead", at_least=0.1).verdict == "does not hold"
    both = fpkit.judge([spectra, reverse], "lead", at_least=0.1)
    assert both.verdict == "undecided"
    assert both.members == "16 of 16 in 2 draws"


@pytest.mark.parametrize(
    ("statistic", "options", "told"),
    [
        ("leed", {"at_least": 0.1}, "did you mean 'lead'"),
        ("low_advantage", {"at_least": 0.1}, "low_advantage is a statistic of filtering, not of fft"),
        ("lead", {}, "give one of at_least, at_most and between"),
        ("lead", {"at_least": 0.1, "at_most": 1}, "give one of at_least, at_most and between"),
        (
            "lead",
            {"at_least": 0.1, "control": "paces"},
            r"paces was not computed; take the measure with nulls=\['paces'",
        ),
        ("lead", {"at_least": 0.1, "control": "noise"}, "unknown 'noise'"),
        ("lead", {"at_least": 0.1, "given": {"captured": {"at_leest": 1}}}, "did you mean 'at_least'"),
    ],
)
def test_what_cannot_be_judged_is_one_line(statistic, options, told):
    spectra = fpkit.measures.fft(H, LINE, Y, steps=STEPS, frequencies=[1, 2, 4, 8], nulls=["share"])
    with pytest.raises(UserError, match=told):
        fpkit.judge(spectra, statistic, **options)


# --- figures ----------------------------------------------------------------------------------------------------------


def test_figures_of_a_recorded_run(stores, tmp_path):
    spectra = fpkit.measures.fft(fpkit.open_run(stores), frequencies=[1, 2, 4, 8])
    for name in ("order", "synthetic"):
        figure = getattr(fpkit.figures, name)(spectra, width_mm=90, font_size=6)
        assert isinstance(figure, Figure)
        assert figure.get_figwidth() == pytest.approx(90 / 25.4)
        figure.savefig(tmp_path / f"{name}.png")
    assert not plt.get_fignums(), "a notebook would show it twice"
    images = fpkit.measures.graph(*on_images(), steps=STEPS)
    fpkit.figures.graph([images, images]).savefig(tmp_path / "graph.png")
    with pytest.raises(UserError, match=r"figures\.graph: shows spectra of graph, not of fft"):
        fpkit.figures.graph(spectra)


# --- beside the workflow ----------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_configuration():
    config = load(
        {
            "datasets": {"d": {"kind": "digits", "limit": 100}},
            "experiments": {
                "e": {"dataset": "d", "model": {"kind": "mlp"}, "decomposition": {"graph": {}, "projection": {}}}
            },
        }
    )
    (variant,) = variants(config)
    for name, wanted in variant.decomposition.items():
        signature = {
            key: parameter.default
            for key, parameter in __import__("inspect").signature(getattr(fpkit.measures, name)).parameters.items()
        }
        given = {key: signature[key] for key in wanted if key != "nulls"}
        assert given == {key: value for key, value in wanted.items() if key != "nulls"}


# --- what an import takes ---------------------------------------------------------------------------------------------


def test_recording_loads_no_torch_and_no_configuration(tmp_path):
    program = f"""
import sys, numpy as np, fpkit
with fpkit.Recorder({str(tmp_path / "a.zarr")!r}, np.ones((3, 1)), np.arange(3.0)) as recorder:
    recorder(0, lambda x: x)
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "zarr" in loaded
    assert not loaded & {"torch", "pydantic", "matplotlib", "snakemake", "sklearn", "xarray"}


# What `pip install fpkit` does not bring.
WITHOUT_EXTRAS = """
import sys, json, numpy as np
for name in ("torch", "snakemake", "matplotlib", "seaborn", "rich", "jinja2", "pygments"):
    sys.modules[name] = None
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else found(name, *rest)
import fpkit
data = np.load(sys.argv[1])
with fpkit.Recorder(sys.argv[1] + ".zarr", data["x"], data["y"]) as recorder:
    for step, h in zip(data["steps"], data["h"][:, 0]):
        recorder.append(int(step), h)
run = fpkit.open_run(sys.argv[1] + ".zarr")
verdict = fpkit.judge(fpkit.measures.graph(run, nulls=["share"]), "lead", at_least=0.1)
assert verdict.verdict == "undecided", "one member has no interval"
result = {}
for measure in ("graph", "filtering", "projection"):
    options = {"frequencies": [1, 2, 3]} if measure == "projection" else {}
    spectra = getattr(fpkit.measures, measure)(data["h"], data["x"], data["y"], steps=data["steps"], **options)
    result[measure] = np.asarray(spectra["remaining"]).tolist()
print(json.dumps(result))
"""


def test_the_library_does_without_what_it_does_not_bring(tmp_path):
    h, x, y = on_images(60, 6)
    np.savez(tmp_path / "data.npz", h=h, x=x, y=y, steps=STEPS)
    command = [sys.executable, "-c", WITHOUT_EXTRAS, tmp_path / "data.npz"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for measure, values in json.loads(done.stdout).items():
        options = {"frequencies": [1, 2, 3]} if measure == "projection" else {}
        spectra = getattr(fpkit.measures, measure)(h, x, y, steps=STEPS, **options)
        np.testing.assert_allclose(values, spectra["remaining"], rtol=1e-4, atol=1e-5)


def test_a_run_of_the_workflow_is_opened_beside_its_data_set(tmp_path):
    from fpkit.datasets import contract, sines
    from fpkit.training.run import run

    (tmp_path / "results/datasets").mkdir(parents=True)
    config = load(read_yaml(ROOT / "config.yaml"))
    variant = next(one for one in variants(config) if one.experiment == "synthetic")
    options = {key: value for key, value in config.all_datasets[variant.dataset] if key != "kind"}
    dataset = contract.checked(sines.build(**options)).assign_attrs(name=variant.dataset)
    file = tmp_path / f"results/datasets/{variant.dataset}.nc"
    netcdf.save(dataset, file)
    output = tmp_path / "results/runs/synthetic/base"
    training = variant.training | {"steps": 20, "members": 2, "threads": 1}
    output.parent.mkdir(parents=True)
    run(file, output, tmp_path / "work", model=variant.model, training=training, record=variant.record)
    opened = fpkit.open_run(output)
    spectra = fpkit.measures.fft(opened)
    from fpkit.measures.kinds import fft
    from fpkit.store.predictions import open_predictions

    wanted = fft.decompose(
        open_predictions(output / "predictions.zarr"), dataset, split="train", **variant.decomposition["fft"]
    )
    same_records(spectra, wanted)
    file.unlink()
    with pytest.raises(UserError, match=r"\.nc, its data set, is not in a folder datasets beside runs"):
        fpkit.open_run(output)
