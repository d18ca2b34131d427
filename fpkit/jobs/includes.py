"""What a C++ source is made of: itself, and what it includes of the files beside it."""

from __future__ import annotations

import os
import re
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def whole(source: Path) -> list[Path]:
    """A source, and all that it includes between quotes, directly or not, in the order in which they are found.

    One that is not beside the file that includes it is left out: a compiler has it, or tells.
    """
    found: list[Path] = []
    waiting = [source]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.append(file)
        names = INCLUDE.findall(file.read_text(encoding="utf-8", errors="replace"))
        waiting += [Path(os.path.normpath(file.parent / name)) for name in reversed(names)]
    return found
