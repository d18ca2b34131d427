"""What the benchmarks share: contenders in processes of their own, run in turn; the machine; the table of results."""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import platform
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import fpkit
from fpkit.jobs.provenance import code_hashes

# A contender: (case) -> a function that does the work once and returns a number of bytes or steps, whatever it likes.
Contender = Callable[[dict], Callable[[], object]]


@dataclass(frozen=True)
class Timing:
    """Seconds of each repetition, and the peak memory of the contender's process in bytes."""

    seconds: list[float]
    peak_bytes: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        return spread(self.seconds)


def spread(values: Sequence[float]) -> str:
    """The least and the largest, as parts of the median."""
    median = statistics.median(values)
    return f"{min(values) / median:.2f}-{max(values) / median:.2f}"


def in_turn(contenders: dict[str, Contender], case: dict, threads: int, repetitions: int) -> dict[str, Timing | str]:
    """Run the contenders A B C A B C ... on a case; of each its timing, or why it could not run.

    Each has a process of its own, with `threads` threads on as many cores, and has done its work once before: whatever
    is compiled or allocated at first does not count.
    """
    context = get_context("spawn")
    running, results = {}, {}
    with _environment(threads):
        for name, contender in contenders.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_contend, args=(contender, case, threads, theirs), daemon=True)
            process.start()
            theirs.close()
            running[name] = process, ours
    seconds = {name: [] for name in running}
    for repetition in range(repetitions + 1):
        for name, (_, pipe) in running.items():
            if name in results:
                continue
            try:
                pipe.send(None)
                answer = pipe.recv()
            except (EOFError, OSError):
                answer = "its process died"
            if isinstance(answer, str):
                results[name] = answer
            elif repetition:
                seconds[name].append(answer[0])
                if repetition == repetitions:
                    results[name] = Timing(seconds[name], answer[1])
    for process, pipe in running.values():
        pipe.close()
        process.join()
    return results


@contextmanager
def _environment(threads: int):
    """Limits that libraries read when they are loaded: in the processes started inside."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    # XLA takes as many threads as it may use cores (`_contend`); on one core it must not start any.
    limits["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _contend(contender: Contender, case: dict, threads: int, pipe) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        work = None
        while True:
            pipe.recv()
            if work is None:
                work = contender(case)
            began = time.perf_counter()
            work()
            pipe.send((time.perf_counter() - began, _peak_bytes()))
    except EOFError:
        return
    except ImportError as error:
        pipe.send(f"not installed: {error.name}")
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {error}")


def _peak_bytes() -> int:
    # ru_maxrss would begin with what the parent process had.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def gemm_rate(threads: int, device: str = "cpu", size: int = 1024) -> float:
    """Floating-point operations per second of one large float32 matrix product, by so many threads."""
    import torch

    a = torch.rand(size, size, device=device)
    out = torch.empty_like(a)
    return 2 * size**3 / _fastest(torch.mm, np.matmul, (a, a), out, threads)


def exp_rate(threads: int, device: str = "cpu", size: int = 1 << 16) -> float:
    """Exponentials per second, in the cache."""
    import torch

    a = torch.rand(size, device=device)
    return size / _fastest(torch.exp, np.exp, (a,), torch.empty_like(a), threads)


def _fastest(by_torch: Callable, by_numpy: Callable, values: tuple, out, threads: int) -> float:
    """Seconds of what torch and, on the CPU, NumPy compute, by the faster: which one it is, processors differ in."""
    seconds = best(lambda: by_torch(*values, out=out), threads, out.device.type)
    # Where its number of threads cannot be set (a machine with torch and NumPy alone), torch has to do.
    if out.device.type == "cpu" and find_spec("threadpoolctl"):
        arrays, array = [value.numpy() for value in values], out.numpy()
        seconds = min(seconds, best(lambda: by_numpy(*arrays, out=array), threads))
    return seconds


def bandwidth(threads: int, device: str = "cpu", size: int = 1 << 26) -> float:
    """Bytes per second of a large copy, reads and writes counted."""
    import torch

    a = torch.rand(size // 4, device=device)
    out = torch.empty_like(a)
    return 2 * size / best(lambda: out.copy_(a), threads, device)


def best(work: Callable[[], object], threads: int, device: str = "cpu", repetitions: int = 10) -> float:
    """Seconds of the fastest of some repetitions by torch or NumPy: what a floor is made of."""
    import torch

    seconds = []
    with _limited(threads):
        for _ in range(repetitions + 1):
            began = time.perf_counter()
            work()
            if device != "cpu":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def _limited(threads: int) -> AbstractContextManager:
    """Inside, torch and BLAS take so many threads, whatever a workflow set for its jobs."""
    import torch

    torch.set_num_threads(threads)
    if not find_spec("threadpoolctl"):
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(threads, user_api="blas")


def machine(device: str = "cpu") -> dict[str, str]:
    """The machine in words, and the versions of what was measured: for every row of a table."""
    import torch

    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    if device != "cpu":
        processor += f" + {torch.cuda.get_device_name()}"
    versions = {"python": platform.python_version()}
    for name in ("numpy", "torch", "jax"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {"machine": processor, "cores": str(os.cpu_count())} | versions


def code() -> str:
    """A digest of the code that is measured: every module of fpkit, as its jobs are compared, and the benchmarks."""
    here, package = Path(__file__).parent, Path(fpkit.__file__).parent
    modules = [path.relative_to(package.parent).with_suffix("") for path in package.rglob("*.py")]
    names = sorted({".".join(module.parts).removesuffix(".__init__") for module in modules})
    hashes = [one for script in sorted(here.glob("*.py")) for one in code_hashes(script, *names)]
    return hashlib.sha256("\n".join(sorted(set(hashes))).encode()).hexdigest()[:12]


def options(description: str, table: str) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repetitions", type=int, default=3, help="measurements of each contender; the median counts")
    parser.add_argument("--output", type=Path, default=Path(table), help="table to write (CSV)")
    return parser


def write(path: Path, rows: Sequence[dict], device: str = "cpu") -> None:
    """A tidy CSV: one measurement a row; all columns of all rows, with the machine and the code that was measured."""
    about = {"code": code()} | machine(device)
    rows = [row | about for row in rows]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def row(case: str, threads: int, contender: str, timing: Timing, floor: float | None = None) -> dict:
    """A row of the table: one contender on one case, beside the seconds of the floor, if one is known."""
    return {
        "row": "measurement",
        "case": case,
        "threads": threads,
        "contender": contender,
        "seconds": f"{timing.median:.4g}",
        "spread": timing.spread,
        "floor_seconds": f"{floor:.4g}" if floor else "",
        "fraction_of_floor": f"{floor / timing.median:.3f}" if floor else "",
        "peak_mb": round(timing.peak_bytes / 2**20),
    }


def goal(name: str, values: float | Sequence[float], bound: str) -> dict:
    """A row of the table that says whether a goal is met: `bound` such as `>= 3`; the median of several values."""
    several = isinstance(values, Sequence)
    value = statistics.median(values) if several else values
    sign, limit = bound.split()
    met = value >= float(limit) if sign == ">=" else value <= float(limit)
    print(f"goal: {name}: {value:.3g} ({bound}): {'met' if met else 'NOT met'}", flush=True)
    row = {"row": "goal", "case": name, "value": f"{value:.4g}", "bound": bound, "met": met}
    return row | {"spread": spread(values)} if several else row
