"""Where a large store is decomposed: by threads of the job, or by the workers of dask.distributed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import xarray as xr

from fpkit.errors import PassingError, UserError

CONNECT_SECONDS = 10


@contextmanager
def scheduler(predictions: xr.Dataset, address: str | None, threads: int) -> Iterator[None]:
    """Inside, what is made of lazy predictions is computed by `threads` threads, or by the workers at `address`.

    Workers read the store themselves: they see the same files and import the same fpkit. Results come back to this
    process, which alone writes. Predictions that are not lazy need neither, and dask is not even imported.

    Raises:
        UserError: dask.distributed is not installed, or no scheduler answers at the address.
    """
    if not predictions.chunks:
        yield
    elif address is None:
        import dask

        with dask.config.set(scheduler="threads", num_workers=threads):
            yield
    else:
        with _client(address) as client:
            print(f"computing on {len(client.scheduler_info()['workers'])} dask workers at {address}", flush=True)
            yield


def _client(address: str):
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(
            "dask.address: dask.distributed is not installed; pip install 'fpkit[distributed]', or leave dask out"
        ) from error
    try:
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise PassingError(f"dask.address: no scheduler answers at {address}; start one, or leave dask out") from error
