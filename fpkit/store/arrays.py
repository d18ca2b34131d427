"""The arrays of a prediction store on the disk: their files, and which of them are damaged."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import zarr
from zarr.storage import LocalStore

from fpkit.jobs import shortage

DESCRIPTION = "zarr.json"  # of a store, and of each array
# The arrays that a store may have.
DESCRIPTIONS = {
    "step": ("optimizer updates", "1"),
    "member": ("seed of the ensemble member", "1"),
    "sample": ("index of the sample in the dataset", "1"),
    "output": ("index of the output", "1"),
    "prediction": ("network output", "1"),
    "function": ("index of the function in the basis", "1"),
    "coefficient": ("coefficient of the output along a function", "1"),
    "error_norm": ("norm of the error less its mean over samples", "1"),
    "weight": ("index of the parameter in the network", "1"),
    "parameter": ("parameter of the network at the end of the training", "1"),
    "error_overlap": ("product of that error with the one at the start", "1"),
    "loss_train": ("loss on the training samples", "1"),
    "loss_validation": ("loss on the validation samples", "1"),
    "loss_test": ("loss on the test samples", "1"),
    "accuracy_train": ("fraction of training samples classified correctly", "1"),
    "accuracy_validation": ("fraction of validation samples classified correctly", "1"),
    "accuracy_test": ("fraction of test samples classified correctly", "1"),
    # Of a recorded training, its probe points, and what later errors are compared with where coefficients are kept.
    "x": ("input of the probe point", "1"),
    "y": ("target at the probe point", "1"),
    "first_prediction": ("network output at the first record", "1"),
    **{f"feature_{axis}": ("index along an axis of the inputs", "1") for axis in range(8)},
}


class Folder(LocalStore):
    """A folder as a store: on disks without links too, and blind to all in it that is no part of one.

    Desktops, notebooks and file systems leave folders and files of their own behind (`.ipynb_checkpoints`, `.nfs...`).
    """

    async def set_if_not_exists(self, key: str, value: zarr.core.buffer.Buffer) -> None:
        """Zarr's own way needs a hard link. Nobody else writes here: a training holds a lock on its folder."""
        if not await self.exists(key):
            await self.set(key, value)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names in a folder of the store."""
        async for name in super().list_dir(prefix):
            if prefix or name == DESCRIPTION or name in DESCRIPTIONS:
                yield name


def arrays_of(path: str | Path) -> dict[str, zarr.Array]:
    """All arrays of a store. Raises KeyError for a folder that is none: its description is missing."""
    group = zarr.open_group(Folder(path), mode="r")
    return {name: group[name] for name in sorted(DESCRIPTIONS) if (Path(path) / name).is_dir()}


def files_of(path: str | Path, array: zarr.Array) -> Iterator[tuple[tuple[slice, ...], Path]]:
    """The part of an array that each of its files holds, and the file."""
    extents = array.shards or array.chunks
    counts = [math.ceil(size / extent) for size, extent in zip(array.shape, extents, strict=True)]
    for cell in itertools.product(*map(range, counts)):
        part = tuple(slice(at * extent, (at + 1) * extent) for at, extent in zip(cell, extents, strict=True))
        yield part, Path(path) / array.basename / array.metadata.encode_chunk_key(cell)


def damaged_files(path: str | Path, array: zarr.Array) -> Iterator[tuple[int, Path]]:
    """Files of an array that are missing, cut short or altered, and the first index of what each should hold."""
    for part, file in files_of(path, array):
        try:
            whole = file.stat().st_size > 0
            array[part]
        except Exception as error:  # whatever the broken bytes lead the codecs to
            if shortage.of(error):  # says nothing of the file
                raise
            whole = False
        if not whole:
            yield part[0].start, file


def snapshot(path: str | Path, target: str | Path) -> None:
    """Link what a store that is being written to holds now into the folder `target`: whole records, as many as `step`
    says, which is written last.
    """
    path, target = Path(path), Path(target)
    records = json.loads((path / "step" / DESCRIPTION).read_text())["shape"][0]
    target.mkdir(parents=True)
    shutil.copyfile(path / DESCRIPTION, target / DESCRIPTION)
    for name in [name for name in sorted(DESCRIPTIONS) if (path / name).is_dir()]:
        about = json.loads((path / name / DESCRIPTION).read_text())
        if about["dimension_names"][0] == "step":
            about["shape"][0] = records
        (target / name).mkdir()
        (target / name / DESCRIPTION).write_text(json.dumps(about))
    for array in arrays_of(target).values():
        for _, file in files_of(target, array):
            _link(path / file.relative_to(target), file)


def copy(path: str | Path, target: str | Path) -> None:
    """Copy the store at `path` to the folder `target`, sharing its files by hard links where the disk has them.

    Zarr replaces files, never writes into them, so that linked stores cannot disturb each other.
    """
    path, target = Path(path), Path(target)
    files = [path / DESCRIPTION]
    for name, array in arrays_of(path).items():
        files += [path / name / DESCRIPTION, *(file for _, file in files_of(path, array))]
    for file in files:
        _link(file, target / file.relative_to(path))


def _link(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)  # its content alone: not every disk takes modes and times
