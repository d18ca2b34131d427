"""What results are made from, changed beside the configuration: own code, data files, libraries. None stays stale."""

import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr
from conftest import REPOSITORY, environment, planned_jobs, same_records

from fpkit.datasets import files

pytestmark = pytest.mark.workflow

SPECTRA = "results/spectra/short/base/fft.nc"
OWN = """
datasets:
  images: {kind: mnist, path: images}
  table: {kind: "reading:read", inputs: [numbers.csv]}
experiments:
  own:
    dataset: sines
    model: {kind: mlp, widths: [8], activation: "waves:wave"}
    training: {steps: 20, members: 2}
    decomposition: {fft: {}}
"""
READING = """
import numpy as np
import xarray as xr


def read():
    y = np.loadtxt("numbers.csv", dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, len(y), dtype=np.float32)[:, None]
    parts = {"train": slice(None), "test": slice(0)}
    variables = {f"x_{part}": ((f"sample_{part}", "feature"), x[some]) for part, some in parts.items()}
    variables |= {f"y_{part}": ((f"sample_{part}", "output"), y[some]) for part, some in parts.items()}
    return xr.Dataset(variables)
"""


def write_images(folder, seed: int) -> None:
    """Random images and labels under the names of MNIST."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in files.SHA256["mnist"]:
        shape = (40, 4, 4) if "idx3" in name else (40,)
        values = rng.integers(256 if "idx3" in name else 10, size=shape, dtype=np.uint8)
        header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in shape)
        (folder / name.removesuffix(".gz")).write_bytes(header + values.tobytes())


@pytest.fixture
def own(small):
    """The tiny workflow, and parts of one's own laid over it."""
    (small / "own.yaml").write_text(OWN)
    (small / "reading.py").write_text(READING)
    (small / "waves.py").write_text(
        "from constants import scale\nimport torch\ndef wave(x): return torch.sin(scale * x)\n"
    )
    (small / "constants.py").write_text("scale = 1.0\n")
    (small / "numbers.csv").write_text("1\n2\n4\n")
    write_images(small / "images", 1)
    return small


def test_files_that_a_data_set_reads_are_compared_by_content(own):
    sets = ["results/datasets/images.nc", "results/datasets/table.nc"]
    own.make(*sets, overlays=["own.yaml"])
    assert own.plan(*sets, overlays=["own.yaml"]) == set()
    for path in (own / "numbers.csv", *(own / "images").iterdir()):
        path.touch()
    assert own.plan(*sets, overlays=["own.yaml"]) == set(), "touched alone"
    before = xr.load_dataset(own / sets[0])
    assert before.attrs["source"] == files.UNKNOWN
    write_images(own / "images", 2)
    assert own.plan(*sets, overlays=["own.yaml"]) == {"make_dataset images"}
    (own / "numbers.csv").write_text("1\n2\n5\n")
    assert own.plan(*sets, overlays=["own.yaml"]) == {"make_dataset images", "make_dataset table"}
    own.make(*sets, overlays=["own.yaml"])
    assert own.plan(*sets, overlays=["own.yaml"]) == set()
    assert not xr.load_dataset(own / sets[0]).x_train.equals(before.x_train)
    np.testing.assert_array_equal(xr.load_dataset(own / sets[1]).y_train[:, 0], [1, 2, 5])


def test_a_file_to_be_read_that_is_not_there_is_one_line_before_any_job(own):
    (own / "numbers.csv").unlink()
    done = own.snakemake("results/datasets/images.nc", overlays=["own.yaml"])
    assert done.returncode == 1
    assert "datasets.table.inputs: numbers.csv is not there; put it there, or correct it\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert "make_dataset" not in done.stderr


def test_an_edit_of_what_an_own_part_imports_trains_anew(own):
    run = "results/runs/own/base"
    own.make(run, overlays=["own.yaml"])
    assert own.plan(run, overlays=["own.yaml"]) == set()
    before = own.predictions("own/base").load()
    (own / "constants.py").write_text("scale = 1.0  # of the waves\n")
    assert own.plan(run, overlays=["own.yaml"]) == set(), "a comment"
    (own / "constants.py").write_text("scale = 2.0\n")
    assert own.plan(run, overlays=["own.yaml"]) == {"train own/base"}
    own.make(run, overlays=["own.yaml"])
    after = own.predictions("own/base").load()
    assert not np.array_equal(after.prediction[0], before.prediction[0]), "another activation, another start"


def test_another_version_of_a_library_that_computes_plans_what_it_computed(small, tmp_path):
    """...and one that only writes or draws does not. Versions as pip writes them down."""

    def plan(library: str) -> set[str]:
        about = tmp_path / library / f"{library}-99.9.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: 99.9\n")
        done = subprocess.run(
            small.command("--dry-run", "figures", overlays=()),
            cwd=small.folder, env=environment() | {"PYTHONPATH": str(about.parent)}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return planned_jobs(done.stdout)

    ends = {"decompose short/base/fft", "judge_claims", "plot short", "plot claims", "figures"}
    assert plan("numpy") == {"make_dataset sines", "train short/base"} | ends
    assert plan("torch") == {"train short/base"} | ends
    assert plan("scipy") == ends
    assert plan("matplotlib") == plan("zarr") == set()


# --- a training anew --------------------------------------------------------------------------------------------------


def anew(experiment: str) -> list[list[str]]:
    """The two commands of the README."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(rm -r results/checkpoints/.*?)```", text, re.DOTALL)
    return [shlex.split(line, comments=True) for line in block.replace("EXPERIMENT", experiment).splitlines()]


def test_a_training_begins_anew_by_the_commands_of_the_readme(small):
    def records() -> dict[str, int]:
        """When each file of the recorded losses was written."""
        folder = small / "results/runs/short/base/predictions.zarr/loss_train/c"
        return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

    before, written = small.predictions("short/base").load(), records()
    (_, _, *removed), (snakemake, *arguments) = anew("short")
    assert snakemake == "snakemake"
    assert removed == ["results/checkpoints/short"]
    arguments[arguments.index("figures")] = SPECTRA
    small.make(*arguments, overlays=())
    assert records() == written, "without the first command, what is finished is taken up"
    for folders in (removed, [*removed, "results/runs/short"]):  # with the runs, as one might
        for folder in folders:
            shutil.rmtree(small / folder)
        small.make(*arguments, overlays=())
        assert records().keys() == written.keys()
        assert not records().items() & written.items(), "all of it is new"
        written = records()
    same_records(small.predictions("short/base").load(), before)
