"""All checks on this machine's GPU, a line for each that fails: `python -m tests.gpu`. Needs torch and numpy alone."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial

import torch

from tests.gpu import checks


def every(device: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Names and checks."""
    for check in checks.by_recipe():
        for recipe in checks.RECIPES:
            yield f"{check.__name__}, {recipe}", partial(check, device, recipe)
    for check in checks.by_device():
        yield check.__name__, partial(check, device)
    if device == "cuda":
        for check in checks.of_gpu():
            yield check.__name__, check


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no GPU here")
    failed, count, began = 0, 0, time.monotonic()
    for name, check in every(device):
        count += 1
        try:
            check()
        except Exception as error:
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
            if failed <= 5:
                traceback.print_exc()
    where = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    print(f"{count - failed} of {count} checks passed on {where} in {time.monotonic() - began:.0f} s", flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
