"""Errors of too little memory or too few threads, raised for real by what raises them."""

import errno
import mmap
import threading
from pathlib import Path

import finufft
import numpy as np
import pytest
import torch

from fpkit.datasets import own
from fpkit.errors import PassingError, UserError
from fpkit.jobs import endings, shortage

TOO_MUCH = 10**15


def a_thread():
    threading.stack_size(2**46)
    try:
        threading.Thread(target=print).start()
    finally:
        threading.stack_size(0)


def by_finufft():
    finufft.Plan(2, (10**7, 10**6)).setpts(np.zeros(3), np.zeros(3))


def of_another():
    try:
        np.ones(TOO_MUCH)
    except MemoryError as error:
        raise UserError("the data set failed") from error


def on_a_gpu():
    # Needs a GPU to be raised for real: the words are torch's.
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ...")


def by_cublas():
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


RAISED = {
    lambda: np.ones(TOO_MUCH): "memory",
    lambda: bytearray(TOO_MUCH): "memory",
    lambda: torch.ones(TOO_MUCH): "memory",
    lambda: mmap.mmap(-1, 2**46): "memory",
    by_finufft: "memory",
    of_another: "memory",
    a_thread: "threads",
    on_a_gpu: "GPU memory",
    by_cublas: "GPU memory",
    lambda: Path("there/is/none").read_bytes(): None,
    lambda: np.ones(3) + np.ones(4): None,
    lambda: own.build("there.is:none", {}): None,
}


@pytest.mark.parametrize(("fails", "short"), RAISED.items())
def test_errors_tell_what_was_short(fails, short):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        fails()
    assert shortage.of(caught.value) == short


def test_a_word_of_the_user_is_no_shortage():
    assert shortage.of(UserError("experiments.malloc: out of memory is no model")) is None


def test_a_fork_that_fails_is_a_shortage_of_threads():
    assert shortage.of(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")) == "threads"


KINDS = {
    UserError("set it to another value"): "final",
    PassingError("no server answers"): "failed",
    MemoryError(): "short of memory",
    torch.OutOfMemoryError("CUDA out of memory"): "final",
    RuntimeError("can't start new thread"): "failed",
    ValueError("a bug of ours"): "failed",
    KeyboardInterrupt(): "failed",
}


@pytest.mark.parametrize(("error", "kind"), KINDS.items())
def test_a_job_leaves_how_it_ended(error, kind, tmp_path):
    log = tmp_path / "base.log"

    with pytest.raises(type(error)), endings.noted(log, "train a/base", "lower it"):
        raise error
    assert endings.take(log) == endings.Ending("train a/base", "lower it", kind)
    assert endings.take(log) is None, "once"


def test_a_job_that_ends_well_leaves_nothing(tmp_path):
    with endings.noted(tmp_path / "base.log", "train a/base", "lower it"):
        assert [path.name for path in tmp_path.iterdir()] == [".base.log.ending"], "what it leaves if it is killed"
    assert list(tmp_path.iterdir()) == []
    assert endings.take(tmp_path / "base.log") is None
