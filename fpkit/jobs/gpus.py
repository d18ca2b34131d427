"""GPUs of this machine, found without torch; one for each job, where several run at once; whether a job takes one."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from fpkit.errors import PassingError

NVIDIA, AMD = Path("/proc/driver/nvidia/gpus"), Path("/sys/class/kfd/kfd/topology/nodes")

_taken: list[socket.socket] = []


def visible() -> list[str]:
    """The GPUs that a process sees which is started here, as `CUDA_VISIBLE_DEVICES` names them; all without it."""
    present = [str(number) for number in range(_count())]
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is None or not present:
        return present
    names = [name.strip() for name in told.split(",")]
    # As CUDA does: what follows a name of no GPU does not count.
    return list(itertools.takewhile(lambda name: name in present or name.startswith(("GPU-", "MIG-")), names))


def take() -> str | None:
    """The GPU that fewest processes of this machine have taken, for this one till it ends: CUDA will see no other."""
    gpus = visible()
    for others in itertools.count() if gpus else ():
        for gpu in gpus:
            # An abstract address: the kernel knows who has it, in any folder, and frees it however the process ends.
            mark = socket.socket(socket.AF_UNIX)
            try:
                mark.bind(f"\0fpkit GPU {gpu}, {others}")
            except OSError as error:
                mark.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            _taken.append(mark)
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            return gpu
    return None


def resolve(device: str, pays: Callable[[], bool] = lambda: True) -> str:
    """`cpu` or `cuda`, of a config `device`: `auto` takes a GPU that torch can use, if it pays.

    Raises:
        PassingError: `cuda`, and torch finds no GPU.
    """
    if device == "cpu" or (device == "auto" and not (_driver() and pays())):
        return "cpu"
    import torch  # takes a second

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise PassingError(
            "training.device is cuda, but torch finds no GPU here; set it to auto or cpu, or train where there is one"
        )
    return "cpu"


def _driver() -> bool:
    """Whether torch can possibly find a GPU: there is NVIDIA's driver, or AMD's."""
    if os.path.exists("/dev/kfd"):
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _count() -> int:
    if NVIDIA.is_dir():
        return len(list(NVIDIA.iterdir()))
    if shutil.which("nvidia-smi"):  # in a container, or under Windows, there may be this alone
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return sum(path.read_text().strip() != "0" for path in AMD.glob("*/gpu_id"))
