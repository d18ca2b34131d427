"""Progress of the training jobs: a line in the job's log every few seconds, bars on a terminal.

Jobs run side by side in processes of their own, so each leaves its state in a small file, and whichever job speaks
draws the bars of all of them in one line. It is rewritten in place and leaves the cursor where the next message begins.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

LOG_SECONDS, DRAW_SECONDS, STALE_SECONDS = 5.0, 0.5, 5.0


class Progress:
    """Called with step and training loss (member,) as training goes; a context that ends with the training."""

    def __init__(self, name: str, steps: int, folder: str | Path):
        self.name, self.steps = name, steps
        self.file = Path(folder) / f"{os.getpid()}.json"
        self.began = time.monotonic()
        self.first_step = None
        self.logged = self.drawn = -np.inf
        self.terminal = sys.stderr if sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception) -> None:
        self.file.unlink(missing_ok=True)
        if self.terminal:
            print("\x1b[2K\r", end="", file=self.terminal, flush=True)

    def __call__(self, step: int, loss: np.ndarray) -> None:
        now = time.monotonic()
        if self.first_step is None:
            self.first_step = step
        if now - self.logged >= LOG_SECONDS or step == self.steps:
            self.logged = now
            print(
                f"step {step} of {self.steps}, median loss {np.median(loss):.3g}, {self._remaining(step, now)}",
                flush=True,
            )
        if self.terminal and now - self.drawn >= DRAW_SECONDS:
            self.drawn = now
            self.file.write_text(json.dumps([self.name, step / self.steps]))
            self._draw()

    def _remaining(self, step: int, now: float) -> str:
        done = step - self.first_step
        if done == 0:
            return "just begun"
        return f"{(now - self.began) / done * (self.steps - step):.0f} s left"

    def _draw(self) -> None:
        states = []
        for file in sorted(self.file.parent.glob("*.json")):
            try:
                if time.time() - file.stat().st_mtime < STALE_SECONDS:
                    name, part = json.loads(file.read_text())
                    states.append((name, float(part)))
            except (OSError, ValueError, TypeError):
                continue  # its job ended, or is just writing; or it is no job's
        bars = (f"{name} {'━' * int(12 * part):╌<12} {part:4.0%}" for name, part in states)
        width = shutil.get_terminal_size().columns
        print("\x1b[2K" + "   ".join(bars)[: width - 1], end="\r", file=self.terminal, flush=True)
