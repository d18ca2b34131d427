"""Parts that ship beside the presets: what they are, and that they are trained, and found."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, run
from torch import nn

from fpkit import cli, config
from fpkit.config.training import Mlp, OwnModel, Record, Training
from fpkit.datasets import contract, digits
from fpkit.measures.kinds import fft
from fpkit.store import netcdf
from fpkit.training import networks

ENCODER = "presets.transformer:transformer"
# Steps at which two runs of the authors' own code (github.com/xuzhiqin1990/F-Principle, f_principle.py) captured the
# peaks of sin x, sin 3x and sin 5x, at 0.2.
AUTHORS = [(42, 43), (475, 550), (782, 811)]


@pytest.fixture(autouse=True)
def found(monkeypatch):
    """As the workflow and its jobs find them: beside the Snakefile, after all that is installed."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(REPOSITORY)])


# --- transformer encoder ----------------------------------------------------------------------------------------------


def attention(layer: nn.MultiheadAttention, ours) -> None:
    """The weights of one of our layers in torch's own attention."""
    with torch.no_grad():
        layer.in_proj_weight.copy_(ours.attend.weight)
        layer.in_proj_bias.copy_(ours.attend.bias)
        layer.out_proj.load_state_dict(ours.project.state_dict())


def test_encoder_is_torch_s_own_transformer_on_patches():
    """Layer by layer against `nn.TransformerEncoderLayer`, patch by patch against slices of the images."""
    torch.manual_seed(3)
    network = import_module("presets.transformer").transformer((2, 4, 6), 3, patch=2, width=8, heads=2, layers=2)
    x = torch.randn(5, 2, 4, 6)
    patches = [x[:, :, r : r + 2, c : c + 2].flatten(1) for r in (0, 2) for c in (0, 2, 4)]
    tokens = network.embed(torch.stack(patches, dim=1)) + network.position
    for ours in network.layers:
        theirs = nn.TransformerEncoderLayer(8, 2, 32, dropout=0, activation="gelu", batch_first=True, norm_first=True)
        attention(theirs.self_attn, ours)
        for own, other in (("before", "norm1"), ("between", "norm2"), ("wide", "linear1"), ("narrow", "linear2")):
            getattr(theirs, other).load_state_dict(getattr(ours, own).state_dict())
        tokens = theirs(tokens)
    torch.testing.assert_close(network(x), network.read(network.norm(tokens).mean(dim=1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("features", "options", "told"),
    [
        ((8,), {}, "needs images"),
        ((1, 8, 8), {"patch": 3}, "does not divide"),
        ((1, 8, 8), {"heads": 3}, "no multiple"),
    ],
)
def test_encoder_says_what_does_not_fit(features, options, told):
    with pytest.raises(ValueError, match=told):
        import_module("presets.transformer").transformer(features, 1, **options)


def test_encoders_are_trained_together_as_each_would_be_alone(tmp_path):
    target = {"kind": "sines", "components": 2, "strength": None, "direction": 1}
    netcdf.save(digits.build(limit=40, seed=5, target=target).assign_attrs(name="d"), tmp_path / "d.nc")
    model = config.plain(OwnModel(kind=ENCODER, options={"width": 8, "patch": 4, "layers": 1}))
    together, alone = (
        run(
            tmp_path / "d.nc", tmp_path / f"run{first}", tmp_path / f"work{first}", model=model,
            training=config.plain(Training(steps=30, batch_size=20, learning_rate=0.01, members=members,
                                           seed_offset=first, device="cpu")),
            record=config.plain(Record(per_decade=5)),
        )
        for first, members in ((50, 3), (51, 1))
    )  # fmt: skip
    one, same = together.sel(member=51), alone.sel(member=51)
    np.testing.assert_allclose(one["prediction"], same["prediction"], rtol=1e-3, atol=1e-4)
    loss = together["loss_train"]
    assert (loss.isel(step=-1) < 0.9 * loss.isel(step=0)).all()
    assert float(abs(together["prediction"].sel(member=50) - together["prediction"].sel(member=52)).max()) > 0.1


def test_encoder_starts_from_its_seed_alone():
    network = networks.build(ENCODER, (1, 8, 8), 1, options={"width": 8})
    for alone, beside in zip(network.initialize([3]), network.initialize([4, 3]), strict=True):
        assert torch.equal(alone[0], beside[1])


# --- the authors' own target ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def overlay() -> dict:
    return config.read_yaml(REPOSITORY / "presets/authors.yaml")


def test_authors_preset_is_laid_over_the_configuration(overlay):
    loaded = config.load(config.merged(config.read_yaml(REPOSITORY / "config.yaml"), overlay, {}))
    assert loaded.datasets["authors"].kind == "presets.authors:target"
    assert loaded.experiments["authors"].training.members == 8


def test_peaks_of_the_authors_target_are_captured_when_theirs_were(overlay, tmp_path):
    """The whole training, with other seeds: each median within a factor of 1.5 of theirs, each member within 2."""
    data = contract.checked(import_module("presets.authors").target()).assign_attrs(name="authors")
    netcdf.save(data, tmp_path / "d.nc")
    entry = overlay["experiments"]["authors"]
    predictions = run(
        tmp_path / "d.nc", tmp_path / "run", tmp_path / "work",
        model=config.plain(Mlp(**entry["model"])),
        training=config.plain(Training(**entry["training"], seed_offset=300, device="cpu")),
        record=config.plain(Record()),
    )  # fmt: skip
    options = config.plain(config.MEASURES["fft"](**entry["decomposition"]["fft"]))
    with netcdf.open_dataset(tmp_path / "d.nc") as dataset:
        spectra = fft.decompose(predictions, dataset, split="train", **options)

    # Their spectrum, and their peaks: larger than both neighbours.
    x = np.linspace(-5, 5, 101)
    theirs = np.abs(np.fft.fft(np.sin(x) + 2 * np.sin(3 * x) + 3 * np.sin(5 * x))[:40]) / 101
    peaks = [2, 5, 8]
    assert all(theirs[peak] > max(theirs[peak - 1], theirs[peak + 1]) for peak in peaks)
    followed = spectra["followed"].to_numpy()
    assert np.flatnonzero(followed).tolist() == peaks
    ours = spectra["target_amplitude"].isel(output=0, frequency=peaks)
    np.testing.assert_allclose(ours, theirs[peaks], rtol=1e-6)
    np.testing.assert_allclose(spectra["frequency"][peaks], np.array(peaks) / 10.1)

    for (low, high), passage in zip(AUTHORS, spectra["first_passage"][:, followed].T, strict=True):
        assert low / 1.5 <= float(passage.median()) <= 1.5 * high
        assert bool(((passage >= low / 2) & (passage <= 2 * high)).all())


# --- where they are found ---------------------------------------------------------------------------------------------


def test_a_study_of_the_paper_brings_the_parts_that_its_presets_name(tmp_path):
    made = {path.relative_to(tmp_path / "study").as_posix() for path in cli.init(str(tmp_path / "study"), paper=True)}
    assert made >= {"presets/authors.py", "presets/authors.yaml", "presets/transformer.py"}
    program, files = "from fpkit.cli import main; main()", ("config.yaml", "presets/authors.yaml")
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "check", *files],
        cwd=tmp_path / "study", capture_output=True, text=True, env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
