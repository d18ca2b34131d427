"""The prediction store: what a training writes and a decomposition reads. Zarr v3, sharded.

`prediction (step, member, sample, output)` float32 and scores such as `loss_train (step, member)`, with coordinates
`step` (optimizer updates), `member` (seed) and `sample`. One step of one member is a chunk and can be read alone, or,
where it is small, one step of all members; some tens of steps share a file.

A run with `record.content: spectrum` has, in place of its predictions, `coefficient (step, member, function, output)`
float32, along the functions of a basis (`fpkit.bases`). Beside the scores stand, of the error r less its mean over
samples, `error_norm (step, member)`, its norm over samples and outputs, and `error_overlap (step, member)`, its product
<r_t, r_0> with the one at step 0.

A recorded training (`fpkit.recording`) holds its probe points, too: inputs `x (sample, feature_0, ...)` and, if they
are known, targets `y (sample, output)`, float32.

A finished run with `record.parameters` has `parameter (member, weight)` float32, at the end of its training, in the
order of a checkpoint: `fpkit.training.layout.apart` takes them out of it.

Every chunk carries a checksum. Zarr takes a file that is missing, or empty, for one full of the fill value: here each
is written, whatever it holds, and looked for before anything is read.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import zarr

from fpkit.errors import UserError
from fpkit.store.arrays import DESCRIPTION, DESCRIPTIONS, Folder, arrays_of, damaged_files, files_of
from fpkit.store.places import STORE

if TYPE_CHECKING:  # imported where it is used: writing needs none of it
    import xarray as xr

zarr.config.set({"array.write_empty_chunks": True})

LOSS_EXPLODED = 1e3  # times its loss at step 0
SHARD_BYTES = 64 * 2**20
LARGE_BYTES = 256 * 2**20
SHARD_STEPS = 64
# A chunk takes Zarr a fifth of a millisecond to write or to read, however small it is.
SMALL_STEP_BYTES = 2**18


class Writer:
    """Appends recorded steps to a store.

    Records are gathered until a shard is full and written at once; `flush` writes what has been gathered so far.
    Memory and the cost of an append do not grow with the number of records.
    """

    def __init__(
        self,
        path: str | Path,
        members: Sequence[int],
        samples: int,
        outputs: int,
        scores: Sequence[str],
        functions: int | None = None,
    ):
        """Open the store at `path` to append to it, or create it. One that holds records and cannot be appended to is
        kept beside it, under another name.

        Args:
            members: seeds. samples, outputs: extents of a prediction. scores: names of the (member,) arrays.
            functions: along so many, coefficients are recorded in place of predictions.
        """
        self.path, self.scores = Path(path), list(scores)
        self.coords = {"member": np.asarray(members)}
        if functions is None:
            self.content = "prediction"
            self.coords |= {"sample": np.arange(samples), "output": np.arange(outputs)}
        else:
            self.content = "coefficient"
            self.coords |= {"function": np.arange(functions), "output": np.arange(outputs)}
        self.shape = tuple(len(values) for values in self.coords.values())
        self._steps_per_shard = int(np.clip(SHARD_BYTES // (4 * np.prod(self.shape)), 1, SHARD_STEPS))
        self._pending: list[tuple] = []
        try:
            self._group = zarr.open_group(Folder(self.path), mode="r+")
            arrays = arrays_of(self.path)
            self.records = arrays["step"].shape[0]
            if not self.records or not arrays.keys() >= {*self.scores}:
                raise ValueError("nothing to append to")
            if arrays[self.content].shape[1:] != self.shape:
                raise ValueError(f"{self.content} of another shape")
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            self.begin_anew(f"cannot be appended to ({error})")

    def begin_anew(self, why: str) -> None:
        """Create the store without records; what is there is kept beside it, if it holds any."""
        self._pending, self.records = [], 0
        contents = (self.path / name / "c" for name in ("prediction", "coefficient"))
        if any(file.is_file() for folder in contents for file in folder.rglob("*")):
            names = (f"{self.path.name}.kept-{number}" for number in itertools.count(1))
            kept = next(place for name in names if not (place := self.path.with_name(name)).exists())
            self.path.rename(kept)
            print(f"{self.path}: {why}; begun anew, what it held is in {kept}", flush=True)
        for name in DESCRIPTIONS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        (self.path / DESCRIPTION).unlink(missing_ok=True)
        self._group = zarr.open_group(Folder(self.path), mode="a", zarr_format=3)
        for name, values in self.coords.items():
            self._array(name, (name,), data=values.astype(np.int64))
        many, members = 4096, self.shape[0]  # steps per chunk of the small arrays
        self._array("step", ("step",), shape=(0,), chunks=(many,), dtype="int64")
        for name in self.scores:
            self._array(name, ("step", "member"), shape=(0, members), chunks=(many, members), dtype="float32")
        self._array(
            self.content,
            ("step", *self.coords),
            shape=(0, *self.shape),
            chunks=(1, members if 4 * math.prod(self.shape) <= SMALL_STEP_BYTES else 1, *self.shape[1:]),
            shards=(self._steps_per_shard, *self.shape),
            dtype="float32",
            compressors=[zarr.codecs.Crc32cCodec()],  # float noise hardly compresses
        )

    def _array(self, name: str, dimensions: tuple[str, ...], **options) -> None:
        long_name, units = DESCRIPTIONS[name]
        attributes = {"long_name": long_name, "units": units}
        options = {"compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()], **options}
        self._group.create_array(name, dimension_names=dimensions, attributes=attributes, fill_value=0, **options)

    def append(self, step: int, recorded: np.ndarray, **scores: np.ndarray) -> None:
        """Add one record: the prediction (member, sample, output) and the scores (member,).

        Or, in place of the prediction, coefficients (member, function, output).
        """
        self._pending.append((step, recorded.reshape(self.shape), scores))
        self.records += 1
        if self.records % self._steps_per_shard == 0:
            self.flush()

    def flush(self) -> None:
        """Write all records to the store."""
        if not self._pending:
            return
        steps, recorded, scores = zip(*self._pending, strict=True)
        begin = self.records - len(steps)
        columns = {self.content: np.stack(recorded)}
        columns |= {name: np.stack([score[name] for score in scores]) for name in self.scores}
        columns["step"] = np.asarray(steps)  # last: a store's length is that of `step`
        for name, values in columns.items():
            array = self._group[name]
            array.resize((self.records, *array.shape[1:]))
            array[begin:] = values
        self._pending = []

    def truncate(self, records: int) -> None:
        """Forget all but the first `records` records."""
        self._pending = []
        for name in ("step", self.content, *self.scores):
            array = self._group[name]
            array.resize((records, *array.shape[1:]))
        self.records = records

    def keep(self, name: str, values: np.ndarray, dimensions: Sequence[str]) -> None:
        """Add an array to a store without it, and coordinates that are not there yet: probe points, say."""
        missing = {dim: size for dim, size in zip(dimensions, values.shape, strict=True) if dim not in self._group}
        for dimension, size in missing.items():
            self._array(dimension, (dimension,), data=np.arange(size, dtype=np.int64))
        one_row = max(1, values[:1].nbytes)
        chunks = (int(np.clip(SHARD_BYTES // one_row, 1, len(values))), *values.shape[1:])
        self._array(name, dimensions, data=values, chunks=chunks)

    def forget(self, name: str) -> None:
        """Take out an array that was kept, if it is there."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def kept(self, name: str) -> np.ndarray | None:
        """An array that was kept; None if it is not there."""
        return self._group[name][...] if name in self._group else None

    def keep_parameters(self, parameters: np.ndarray) -> None:
        """Add the parameters (member, weight) at the end of the training, float32, to a store without them."""
        self._array("weight", ("weight",), data=np.arange(parameters.shape[1], dtype=np.int64))
        self._array("parameter", ("member", "weight"), data=parameters, chunks=(1, parameters.shape[1]))

    def drop_damaged(self) -> None:
        """Read everything once, and forget the records from the first damaged file on."""
        found = itertools.chain.from_iterable(
            damaged_files(self.path, array) for array in arrays_of(self.path).values()
        )
        # What lies behind the records is a flush that was cut short.
        whole, file = min(found, default=(self.records, None))
        if whole >= self.records:
            return
        print(f"{file}: damaged; what it held is made again", flush=True)
        if whole == 0:  # a coordinate, perhaps, which no record brings back
            self.begin_anew("damaged from the first record on")
        else:
            self.truncate(whole)

    def describe(self, **attributes) -> None:
        """Set attributes of the store; those that are no text or number are written as JSON."""
        texts = {
            key: value if isinstance(value, str | int | float) else json.dumps(value)
            for key, value in attributes.items()
        }
        self._group.attrs.update(texts | {"checksum": _checksum(texts)})


def open_predictions(path: str | Path) -> xr.Dataset:
    """The store at `path`, lazily; a large one in dask chunks of one shard, or of fewer members where that is large.

    Raises UserError where there is no readable store, or where a file of it is missing.
    """
    import xarray as xr

    arrays, content = _described(path)
    try:
        for array in arrays.values():
            for dimension in array.metadata.dimension_names:
                arrays[dimension]  # without its coordinate, xarray would count from 0
            for _, file in files_of(path, array):
                if not file.exists() or file.stat().st_size == 0:
                    raise _damage(path, f"{file.relative_to(path)} is missing or empty")
        # In full: workers elsewhere have another working directory.
        store = Folder(Path(path).resolve(), read_only=True)
        predictions = xr.open_zarr(store, consolidated=False, chunks=None)
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise _damage(path, str(error)) from error
    checksum = predictions.attrs.pop("checksum", None)
    if checksum is not None and checksum != _checksum(predictions.attrs):
        raise _damage(path, "the checksum of its attributes does not fit")
    if not _large(arrays[content]):
        return predictions
    shards = arrays[content].shards
    members = max(1, SHARD_BYTES // (4 * math.prod(shards[2:])))
    return predictions.chunk(step=shards[0], member=members)


def is_large(path: str | Path) -> bool:
    """Whether the store at `path` is opened in dask chunks, since it may not fit into memory.

    Raises UserError where there is no readable store.
    """
    arrays, content = _described(path)
    return _large(arrays[content])


def _large(array: zarr.Array) -> bool:
    return array.nbytes > LARGE_BYTES


def _described(path: str | Path) -> tuple[dict[str, zarr.Array], str]:
    """Its arrays, and which of them it holds at each step. Raises UserError where there is no readable store."""
    try:
        arrays = arrays_of(path)
        content = "coefficient" if "coefficient" in arrays else "prediction"
        arrays[content]  # the one or the other
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise _damage(path, str(error)) from error
    return arrays, content


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Where reading from the store at `path` fails and a file of it is damaged, raise a UserError that names the file.

    Data are checked as they are read, by Zarr, which does not say where.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        for array in arrays_of(path).values():
            for _, file in damaged_files(path, array):
                raise _damage(path, f"the checksum of {file.relative_to(path)} does not fit") from error
        raise


def _damage(path: str | Path, what: str) -> UserError:
    """What is wrong with a store, and the remedy, in one line."""
    remedy = "record it anew, or leave it out"
    if Path(path).name == STORE:  # Snakemake made the folder around it
        remedy = f"delete {Path(path).parent}, the next run makes it anew"
    return UserError(f"{path}: no readable prediction store ({what}); {remedy}")


def _checksum(attributes: dict) -> str:
    return hashlib.sha256(json.dumps(attributes, sort_keys=True).encode()).hexdigest()


def diverged(predictions: xr.Dataset) -> xr.DataArray:
    """Members (member,) whose training `exploded`; where no loss was recorded but what somebody called so, that ever
    gave what is no number.
    """
    import xarray as xr

    recipe = json.loads(predictions.attrs.get("recipe", "{}"))
    own = recipe.get("record", {}).get("given", ())
    losses = [f"loss_{part}" for part in ("train", "validation", "test")]
    losses = [name for name in losses if name in predictions and name not in own]
    if not losses:
        content = predictions["coefficient" if "coefficient" in predictions else "prediction"]
        finite = np.isfinite(content).all([dim for dim in content.dims if dim != "member"])
        return (~finite).rename("diverged").compute()
    loss = predictions[losses[0]].transpose("step", "member").to_numpy()
    least = 0.0
    if recipe.get("model", {}).get("kind") == "recorded" and "prediction" in predictions:
        # It may have been trained before: what starts next to its target may leave it by as much as outputs measure.
        start = predictions["prediction"].isel(step=0).astype(float)
        start = start - start.mean("sample")
        least = (start**2).mean(["sample", "output"]).to_numpy() / LOSS_EXPLODED
    coords = {"member": predictions["member"]} if "member" in predictions.coords else {}
    return xr.DataArray(exploded(loss, least), coords, ("member",), name="diverged")


def exploded(loss: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Members (member,) whose loss (step, member) was ever not finite, or above 1,000 times its first value, or `least`
    (member,)."""
    return (~np.isfinite(loss) | (loss > LOSS_EXPLODED * np.maximum(loss[0], least))).any(axis=0)
