"""Errors that tell of too little memory, the machine's or a GPU's, or of too few threads, whoever raised them."""

from __future__ import annotations

import errno
import re

from fpkit.errors import UserError

# NumPy, Python and C++, torch, CUDA's libraries, FINUFFT, Zstandard, HDF5, the system.
MEMORY = (
    r"out of memory|not enough memory|unable to allocate|can(?:no|')t allocate memory|bad_alloc|ALLOC_FAILED|malloc"
    r"|memory allocation"
)
GPU = r"\b(?:CUDA|HIP|cu\w+)\b|CU\w+_STATUS|\bGPU\b"
THREADS = r"can't start new thread|thread creation failed|pthread_create"


def of(error: BaseException | None) -> str | None:
    """What there was too little of: `memory`, `GPU memory` or `threads`; None if the error tells of something else.

    Looks at the errors that it was raised from, too.
    """
    while error is not None:
        # What our own errors say may hold any word; what they were raised from tells.
        text = "" if isinstance(error, UserError) else str(error)
        number = error.errno if isinstance(error, OSError) else None
        if isinstance(error, MemoryError) or number == errno.ENOMEM or re.search(MEMORY, text, re.IGNORECASE):
            return "GPU memory" if re.search(GPU, text) else "memory"
        if number == errno.EAGAIN or re.search(THREADS, text, re.IGNORECASE):
            return "threads"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
