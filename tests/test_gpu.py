"""The checks of tests/gpu, on the CPU, and on a GPU where there is one."""

import pytest
import torch

from tests.gpu import __main__ as gpu

DEVICES = ["cpu", *["cuda"] * torch.cuda.is_available()]
CHECKS = [(f"{device}: {name}", check) for device in DEVICES for name, check in gpu.every(device)]


@pytest.mark.parametrize("check", [check for _, check in CHECKS], ids=[name for name, _ in CHECKS])
def test_check(check):
    check()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: `make test-gpu` is for where there is one")
def test_all_of_it_ran_on_a_gpu():
    assert "cuda" in DEVICES
