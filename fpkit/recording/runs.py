"""Runs, opened: recorded trainings, those of a workflow, and plain arrays, in one form."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fpkit.datasets.points import as_dataset, features
from fpkit.datasets.samples import samples_of
from fpkit.errors import UserError
from fpkit.jobs import locks
from fpkit.recording import given, writing
from fpkit.recording.evaluation import as_array
from fpkit.store import netcdf, places
from fpkit.store.arrays import snapshot
from fpkit.store.predictions import open_predictions

# Runs that end at nearly the same step are as long as each other.
NEARLY = 0.9


def open_run(stores: str | os.PathLike | Sequence[str | os.PathLike], name: str | None = None) -> xr.Dataset:
    """A training, as it was recorded: predictions, probe points, scores, lazily where they are large.

    Args:
        stores: of `fpkit.Recorder`, by path or pattern (`runs/*.zarr`), several as members of one ensemble; or a run of
            a workflow (`results/runs/synthetic/base`), beside its data sets.
        name: what figures call it; that of the store where left out, of several that of their folder.

    Returns:
        prediction (step, member, sample, output) or, where they were recorded in its place, coefficient (step, member,
        function, output); of recorded trainings also x (sample, feature_0, ...) and y (sample, output); losses and
        accuracies (step, member). Of several stores the steps that all of them hold.

    Raises:
        UserError: no store there, one that is damaged, or several that are no members of one ensemble.
    """
    paths = places.stores([stores] if isinstance(stores, str | os.PathLike) else stores)
    opened = [_opened(path) for path in paths]
    run = opened[0] if len(opened) == 1 else _together(paths, opened)
    run.attrs["stores"] = [str(path) for path in paths]
    if "x" not in run:
        run.attrs["dataset_file"] = str(_dataset_file(paths[0], run))
    return run if name is None else run.assign_attrs(dataset=name)


def _opened(path: Path) -> xr.Dataset:
    """The store at a path, as it is; of one that is being written to, as it was after some record."""
    writing.flush(path)
    if not locks.is_held(writing.lock_of(path)):
        return open_predictions(path)
    held = path.with_name(f".{path.name}.{os.getpid()}")  # on the same disk
    try:
        snapshot(path, held)
        run = open_predictions(held)
        if not run.chunks:
            return run.load()
    except OSError as error:
        raise UserError(f"{path}: cannot be read while it is written to ({error.strerror}); wait for it") from error
    finally:
        shutil.rmtree(held, ignore_errors=True)
    return open_predictions(path)  # too large for memory: as it is


def _together(paths: list[Path], runs: list[xr.Dataset]) -> xr.Dataset:
    """Several stores as one run, whose members follow one another."""
    first = runs[0]
    for path, run in zip(paths[1:], runs[1:], strict=True):
        if "x" not in run or "x" not in first:
            raise UserError(f"{path}: is of a workflow, whose run holds all members; open it alone")
        same = all(
            (name in run) == (name in first) and (name not in run or run[name].equals(first[name]))
            for name in ("x", "y")
        )
        if not same or _content(run) != _content(first):
            raise UserError(f"{path}: has other probe points than {paths[0]}; open them apart")
        if _recipe(run).get("record", {}).get("basis") != _recipe(first).get("record", {}).get("basis"):
            raise UserError(f"{path}: holds coefficients along another basis than {paths[0]}; open them apart")
        how, other = (_recipe(one).get("record", {}) for one in (run, first))
        if differing := [name for name in writing.HOW if how.get(name) != other.get(name)]:
            ways = f"{differing[0]} {how.get(differing[0])}, not {other.get(differing[0])}"
            raise UserError(f"{path}: was recorded in another way than {paths[0]} ({ways}); open them apart")
    steps = sorted(set.intersection(*(set(run["step"].to_numpy().tolist()) for run in runs)))
    if not steps:
        raise UserError(f"{paths[0]} and {len(paths) - 1} more: no step was recorded in all of them")
    members = np.concatenate([run["member"].to_numpy() for run in runs])
    if len(set(members.tolist())) < len(members):
        warnings.warn(
            "stores of the same member: they are numbered from 0 on, in the order of their names", stacklevel=3
        )
        members = np.arange(len(members))
    cut = _cut_short(paths, [int(run["step"][-1]) for run in runs], steps[-1])
    if cut:
        warnings.warn(cut, stacklevel=3)
    shared = [name for name in first if all(name in run for run in runs)]
    by_member = [name for name in shared if "member" in first[name].dims]
    whole = xr.concat(
        [run[by_member].sel(step=steps) for run in runs],
        "member", data_vars="all", coords="minimal", compat="override", combine_attrs="override",
    )  # fmt: skip
    points = {name: first[name] for name in ("x", "y") if name in first}
    folders = {path.parent.name for path in paths}
    name = folders.pop() if len(folders) == 1 else ""
    whole = whole.assign_coords(member=members).assign(points).assign_attrs(first.attrs)
    if cut:
        whole.attrs["cut"] = cut
    if own := sorted({name for run in runs for name in _recipe(run).get("record", {}).get("given", ())}):
        recipe = _recipe(first)
        whole.attrs["recipe"] = json.dumps(recipe | {"record": recipe["record"] | {"given": own}})
    return whole.assign_attrs(dataset=name) if name else whole


def _cut_short(paths: list[Path], ends: list[int], end: int) -> str:
    """What is lost of runs that go on beyond the last step that all of them hold; nothing if it is next to nothing."""
    shortest, longest = int(np.argmin(ends)), max(ends)
    if end >= NEARLY * longest:
        return ""
    if ends[shortest] == longest:
        return f"stores hold few of each other's steps, none beyond {end} of {longest}"
    return f"{paths[shortest].name} ends at step {ends[shortest]}, others at {longest}: what came later is left out"


def _content(run: xr.Dataset) -> str:
    return "coefficient" if "coefficient" in run else "prediction"


def _recipe(run: xr.Dataset) -> dict:
    return json.loads(run.attrs.get("recipe", "{}"))


def _dataset_file(path: Path, run: xr.Dataset) -> Path:
    """The data set of a workflow's run, `results/runs/{experiment}/{variant}`, or of one in `results/checkpoints`."""
    name = f"{run.attrs.get('dataset', '')}.nc"
    files = [folder / "datasets" / name for folder in path.resolve().parents]
    if (file := next((one for one in files if one.is_file()), None)) is None:
        raise UserError(f"{path}: {name}, its data set, is not in a folder datasets beside runs; leave both together")
    return file


def of_arrays(predictions: Any, x: Any, y: Any, steps: Sequence[int] | None) -> xr.Dataset:
    """Plain arrays as a run.

    Args:
        predictions: (step, sample, output) of one network, (step, member, sample, output) of several, or an
            xarray.DataArray with some of these names. x: (sample, *feature). y: (sample,) or (sample, output).
        steps: (step,), of predictions that do not say it themselves; 0, 1, 2, ... where left out.

    Raises:
        UserError: arrays that do not fit together.
    """
    names = ("step", "member", "sample", "output")
    if isinstance(predictions, xr.DataArray):
        missing = {name: 1 for name in ("member", "output") if name not in predictions.dims}
        if unknown := {*predictions.dims} - {*names}:
            raise UserError(f"predictions have a dimension {min(map(str, unknown))!r}; name them {', '.join(names)}")
        values = predictions.expand_dims(missing).transpose(*names)
    else:
        array = as_array(predictions, "predictions")
        if array.ndim not in (3, 4):
            raise UserError(
                f"predictions have {array.ndim} dimensions; give (step, sample, output), or (step, member, sample,"
                " output)"
            )
        values = xr.DataArray(array if array.ndim == 4 else array[:, None], dims=names)
    told = values["step"].to_numpy() if steps is None and "step" in values.coords else steps
    numbers = np.arange(values.sizes["step"]) if told is None else as_array(told, "steps")
    if numbers.shape != (values.sizes["step"],) or (numbers[1:] <= numbers[:-1]).any():
        raise UserError(f"steps: give {values.sizes['step']} of them, ascending, one for each prediction")
    inputs, targets = as_array(x, "x"), None if y is None else as_array(y, "y")
    for name, array in (("x", inputs), ("y", targets)):
        if array is not None and (array.ndim == 0 or len(array) != values.sizes["sample"]):
            raise UserError(f"{name} of shape {array.shape}: predictions are of {values.sizes['sample']} samples")
    run = xr.Dataset({"prediction": values.astype(np.float32)}).assign_coords(step=numbers)
    if "member" not in run.coords:
        run = run.assign_coords(member=np.arange(run.sizes["member"]))
    return _with_points(run, inputs, targets)


def _with_points(run: xr.Dataset, x: np.ndarray, y: np.ndarray | None) -> xr.Dataset:
    inputs = given.inputs(x)
    points = {"x": (("sample", *features(inputs)), inputs)}
    if y is not None:
        targets = given.values_of(y)
        if targets.shape[1] != run.sizes["output"]:
            raise UserError(f"y has {targets.shape[1]} outputs, the predictions {run.sizes['output']}; give as many")
        points["y"] = ("sample", "output"), targets
    return run.assign(points)


def with_targets(run: xr.Dataset, y: Any) -> xr.Dataset:
    """A run with other targets (sample,) or (sample, output) than it was recorded with, or with its first ones.

    Raises UserError where there are not as many as samples and outputs.
    """
    targets = given.values_of(y)
    wanted = run["x"].sizes["sample"], run.sizes["output"]
    if targets.shape != wanted:
        raise UserError(f"y of shape {targets.shape}: the run has {wanted[0]} samples and {wanted[1]} outputs")
    if "y" not in run or not np.array_equal(run["y"], targets):
        # Those are of the error beside the recorded targets.
        run = run.drop_vars(["error_norm", "error_overlap"], errors="ignore")
    return run.assign(y=(("sample", "output"), targets))


def inputs_of(run: xr.Dataset) -> xr.DataArray:
    """Inputs (sample, *feature) of the recorded points."""
    if "dataset_file" not in run.attrs:
        return run["x"]
    _, dataset, split = measured_on(run)
    return samples_of(dataset, split)[0]


def measured_on(run: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset, str]:
    """What a measure takes: predictions, the data set, and which part of it was recorded.

    Raises UserError: a run without targets.
    """
    if "dataset_file" in run.attrs:
        split = _recipe(run).get("record", {}).get("split", "train")
        return run, netcdf.load_dataset(run.attrs["dataset_file"]).assign_attrs(name=run.attrs["dataset"]), split
    if "y" not in run:
        raise UserError("the run was recorded without targets; give some: y=...")
    x, y = run["x"].to_numpy(), run["y"].to_numpy()
    dataset = as_dataset({"train": (x, y)}, {"train": x}, run.attrs.get("dataset", "points"))
    return run.drop_vars(["x", "y", *features(run["x"])], errors="ignore"), dataset, "train"
