"""A file's own SHA-256, behind its last byte.

Readers of netCDF ignore what follows the content; HDF5 itself notices neither a flipped bit nor loses its way safely.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

MARK = b"SHA-256:"
LENGTH = len(MARK) + hashlib.sha256().digest_size


def trailer(content: bytes | memoryview) -> bytes:
    """What goes behind the content."""
    return MARK + hashlib.sha256(content).digest()


def holds(path: str | Path) -> bool:
    """Whether the content fits the checksum behind it. Of a file without one nothing is known: True."""
    size = Path(path).stat().st_size - LENGTH
    with open(path, "rb") as stream:
        stream.seek(max(size, 0))
        end = stream.read()
        if not end.startswith(MARK):
            return True
        digest = hashlib.sha256()
        stream.seek(0)
        while size > 0:
            block = stream.read(min(size, 2**20))
            digest.update(block)
            size -= len(block)
    return end == MARK + digest.digest()
