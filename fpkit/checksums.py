"""A file's own SHA-256, behind its last byte.

Readers of netCDF ignore what follows the content; HDF5 itself notices neither a flipped bit nor loses its way safely.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

MARK = b"SHA-256:"
LENGTH = len(MARK) + hashlib.sha256().digest_size


def append(path: str | Path) -> None:
    """Put the checksum of a file behind its content."""
    with open(path, "r+b") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
        stream.write(MARK + digest)


def holds(path: str | Path) -> bool:
    """Whether the content is as it was when the checksum was appended; of a file without one nothing is known: True."""
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
