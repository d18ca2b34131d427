"""A variant's run: dataset in, predictions out, resumed from its checkpoint whatever happened to it before.

Work in progress lives in a folder of its own, named after everything that determines the result except the number of
steps and threads, and whether parameters are kept: an interrupted run finds it again, a longer run of the same recipe
goes on from it, a changed recipe does not. The finished store shares its files with that folder (hard links), so
keeping both costs no disk.

Such folders are kept, finished or not, when a variant gets another recipe: a configuration that comes back takes its
trainings up where they are. What they hold is told, and cleared, by `fpkit.jobs.recipes`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import netCDF4
import numpy as np
import zarr

import fpkit
from fpkit.errors import UserError
from fpkit.jobs import locks
from fpkit.store import checkpoint, netcdf
from fpkit.store.arrays import copy
from fpkit.store.predictions import Writer, exploded
from fpkit.store.schedule import record_steps
from fpkit.training.ensemble import PARTS
from fpkit.training.trainer import train

STORE = "predictions.zarr"
STATE = "state.npz"


def run(
    dataset: str | Path,
    output: str | Path,
    checkpoints: str | Path,
    *,
    model: dict,
    training: dict,
    record: dict,
    code: Sequence[str] = (),
    progress: Callable[[int, np.ndarray], None] = lambda step, loss: None,
) -> None:
    """Train a variant and leave its store at `output/predictions.zarr`.

    Does without xarray and, where compiled code trains, without torch: their imports take longer than many a training.

    Args:
        dataset: netCDF file of the dataset contract.
        output: folder of the finished run; replaced as a whole, at the very end.
        checkpoints: folder for this variant's work in progress.
        model, training, record: config entries as plain dictionaries; `training.threads` is how many there are to be
            used, `record.basis`, if there, along what coefficients are recorded in place of predictions,
            `record.parameters`, if true, that the parameters at the end are kept beside them.
        code: hashes of the code in use; other code never continues a checkpoint.
        progress: see `fpkit.training.trainer.train`.

    Raises:
        UserError: the dataset holds too few samples, or cannot be trained on with this recipe.
    """
    output, checkpoints = Path(output), Path(checkpoints)
    data = _load(dataset, record["split"])
    # Threads change no result: they are as many as there happen to be.
    lasting = {key: value for key, value in training.items() if key != "threads"}
    recipe = {"model": model, "training": lasting, "record": record}
    work = checkpoints / _key(recipe, code, data)
    checkpoints.mkdir(parents=True, exist_ok=True)
    # Of the variant, not of the recipe: a training after an older one would replace the results of a newer one.
    with locks.alone(checkpoints / "lock", "training this variant"):
        work.mkdir(exist_ok=True)
        os.utime(work)  # the one last taken up, whatever is written there
        recorded = ("train", "test") if record["split"] == "all" else (record["split"],)
        samples, outputs = sum(len(data[f"y_{part}"]) for part in recorded), data["y_train"].shape[1]
        seeds = range(training["seed_offset"], training["seed_offset"] + training["members"])
        scores = [f"loss_{part}" for part in PARTS if len(data.get(f"x_{part}", ()))]
        scores += [name.replace("loss", "accuracy") for name in scores if outputs > 1]
        basis = None
        if "basis" in record:
            scores += ["error_norm", "error_overlap"]
            # By name: other trainings do not depend on its code (workflow/rules/common.smk), nor wait for its imports.
            basis = import_module("fpkit.bases.recorded").rows(dataset, record["split"], **record["basis"])
        functions = None if basis is None else basis.shape[1]
        extents = {"members": seeds, "samples": samples, "outputs": outputs, "functions": functions}
        open_store = partial(Writer, **extents, scores=scores)
        writer = open_store(work / STORE)
        writer.drop_damaged()
        # Whoever looks at a training that goes on finds its targets by this.
        writer.describe(recipe=recipe, dataset=Path(dataset).stem)
        began = time.time()
        device = train(
            model,
            data,
            writer,
            **training,
            per_decade=record["per_decade"],
            split=record["split"],
            basis=basis,
            checkpoint_path=work / STATE,
            progress=progress,
        )
        attributes = {
            "recipe": recipe,
            "checkpoint": work.name,
            "dataset": Path(dataset).stem,
            "device": device,
            "threads": training["threads"],
            "wall_seconds": round(time.time() - began, 2),
            "versions": {
                "fpkit": fpkit.__version__,
                "numpy": np.__version__,
                "torch": version("torch"),
                "python": platform.python_version(),
            },
        }
        records = len(record_steps(training["steps"], record["per_decade"]))
        parameters = _final_parameters(work / STATE, training["steps"]) if record.get("parameters") else None
        _publish(work / STORE, output, records, attributes, open_store, parameters)
        loss = zarr.open_array(output / STORE / "loss_train", mode="r")[:]
        for seed in np.asarray(seeds)[exploded(loss)]:
            print(f"member with seed {seed} diverged; it is left out of the spectra", flush=True)


def _load(dataset: str | Path, split: str) -> dict[str, np.ndarray]:
    with netcdf.reading(dataset), netCDF4.Dataset(dataset) as file:
        file.set_auto_maskandscale(False)
        names = [f"{axis}_{part}" for axis in "xy" for part in PARTS]
        variables = {name: file.variables[name] for name in names if name in file.variables}
        for name, variable in variables.items():
            packed = [key for key in netcdf.DECODED if key in variable.ncattrs() and key != "_FillValue"]
            if variable.dtype != np.float32 or packed:
                raise netcdf.damaged(dataset, f"{name} is packed: {', '.join([str(variable.dtype), *packed])}")
        data = {name: variable[...] for name, variable in variables.items()}
    for part in ("train", "train" if split == "all" else split):
        if len(data.get(f"x_{part}", ())) == 0:
            name = Path(dataset).stem
            raise UserError(f"{dataset}: has no {part} samples; give datasets.{name} some, or record others")
    return data


def _key(recipe: dict, code: Sequence[str], data: dict[str, np.ndarray]) -> str:
    lasting = {
        "training": {key: value for key, value in recipe["training"].items() if key != "steps"},
        "record": {key: value for key, value in recipe["record"].items() if key != "parameters"},
    }
    digest = hashlib.sha256(json.dumps([recipe | lasting, list(code)], sort_keys=True).encode())
    for name in sorted(data):
        digest.update(np.ascontiguousarray(data[name]).data)
    return digest.hexdigest()[:16]


def _final_parameters(state: Path, steps: int) -> np.ndarray | None:
    """Parameters (member, weight), float32, after so many steps, from a checkpoint; None if it went on beyond them."""
    for found in checkpoint.load(state):
        if found["step"] == steps:
            return np.stack([member["parameters"] for member in found["members"]]).astype(np.float32)
    print(
        f"parameters are left out: this training went on beyond step {steps}, where they are no longer; to have them,"
        f" delete {state.parent}, and train again",
        flush=True,
    )
    return None


def _publish(
    store: Path,
    output: Path,
    records: int,
    attributes: dict,
    open_store: Callable[[Path], Writer],
    parameters: np.ndarray | None,
) -> None:
    """Make `output` hold the first `records` records of `store`, and the parameters, in one move."""
    unfinished = output.with_name(output.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    copy(store, unfinished / STORE)
    writer = open_store(unfinished / STORE)
    if writer.records > records:
        writer.truncate(records)
    if parameters is not None:
        writer.keep_parameters(parameters)
    writer.describe(**attributes)
    shutil.rmtree(output, ignore_errors=True)
    os.replace(unfinished, output)
