"""xarray as it computes by NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import xarray as xr


@contextmanager
def by_numpy() -> Iterator[None]:
    """No package that happens to be installed has a part in a number.

    xarray takes bottleneck, numbagg, flox and opt_einsum wherever it finds them; they sum in another order, which gives
    other last digits.
    """
    with xr.set_options(use_bottleneck=False, use_numbagg=False, use_flox=False, use_opt_einsum=False):
        yield
