"""netCDF files between two jobs: written whole or not at all, and never read when damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fpkit.errors import UserError
from fpkit.jobs import shortage
from fpkit.store import checksums

if TYPE_CHECKING:  # imported where it is used: a training reads without it
    import xarray as xr

# Attributes by which readers change the numbers they read, each in its own way or not at all.
DECODED = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", "dtype")


def begin(path: str | Path) -> Path:
    """Where the large parts of a file may be put while they are made, before `save` adds the rest: not there yet."""
    begun = _partial(path)
    begun.unlink(missing_ok=True)
    return begun


def save(dataset: xr.Dataset, path: str | Path, begun: Path | None = None) -> None:
    """Write a dataset with a checksum; `path` appears, or is replaced, when all of it is on the disk.

    What is written is what is in memory, whatever a file that it was read from had packed it into.

    Args:
        begun: a file of `begin`, to which the dataset is added if anything has been put there.
    """
    partial = _partial(path)
    try:
        try:
            mode = "a" if begun is not None and begun.exists() else "w"
            dataset.drop_encoding().to_netcdf(partial, mode=mode, engine="netcdf4")
        except RuntimeError:
            # netCDF does not tell why it cannot write. The system does, of as many bytes more.
            _append(partial, bytes(dataset.nbytes))
            raise
        _append(partial, checksums.trailer_of(partial))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _append(path: Path, content: bytes) -> None:
    with open(path, "ab") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _partial(path: str | Path) -> Path:
    return Path(path).with_name(f".{Path(path).name}.partial")


def open_dataset(path: str | Path) -> xr.Dataset:
    """The dataset at `path`, lazily. Raises UserError where it is damaged or missing."""
    import xarray as xr

    with reading(path):
        # Units of time are units like others: decoded, numbers would be dates.
        return xr.open_dataset(path, engine="netcdf4", decode_times=False)


def load_dataset(path: str | Path) -> xr.Dataset:
    """The dataset at `path`, in memory. Raises UserError where it is damaged or missing."""
    with open_dataset(path) as dataset:
        return dataset.load()


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Check a netCDF file before it is read. Raises UserError where it is damaged or missing."""
    if not Path(path).exists():
        raise UserError(f"{path}: not there; the next run makes it anew")
    if not checksums.holds(path):
        raise damaged(path, "its checksum does not fit")
    try:
        yield
    except OSError as error:  # no HDF5, or cut short so that the checksum is missing too
        if error.errno is None or error.errno > 0 or shortage.of(error):  # below 0 are netCDF's own
            raise
        raise damaged(path, error.strerror) from error


def damaged(path: str | Path, what: str) -> UserError:
    """The error that says what is wrong with a file that a job made, in one line."""
    return UserError(f"{path}: damaged ({what}); delete it, the next run makes it anew")
