"""Parts that ship beside the presets: what they are, and that they are trained, and found."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from conftest import REPOSITORY, run

from fpkit import cli, config
from fpkit.config.training import Mlp, Record, Training
from fpkit.datasets import contract
from fpkit.measures.kinds import fft
from fpkit.store import netcdf

# Steps at which two runs of the authors' own code (github.com/xuzhiqin1990/F-Principle, f_principle.py) captured the
# peaks of sin x, sin 3x and sin 5x, at 0.2.
AUTHORS = [(42, 43), (475, 550), (782, 811)]


@pytest.fixture(autouse=True)
def found(monkeypatch):
    """As the workflow and its jobs find them: beside the Snakefile, after all that is installed."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(REPOSITORY)])


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
    assert made >= {"presets/authors.py", "presets/authors.yaml"}
    program, files = "from fpkit.cli import main; main()", ("config.yaml", "presets/authors.yaml")
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "check", *files],
        cwd=tmp_path / "study", capture_output=True, text=True, env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
