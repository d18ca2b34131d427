"""Work on fixed memory that is repeated: on a GPU it is captured once, as a CUDA graph, and replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")
# Before libraries have chosen how they work, and allocated what they work in, nothing can be captured.
WARMING_UP = 3


class Repeated:
    """A function called again and again, of whose kernels each takes less time than to be launched.

    Args:
        work: reads and writes the same memory at each call, and never waits for the GPU.
        captured: whether its kernels are captured, at the call after WARMING_UP others. Each call does the work once.
            What a replay returns is the memory of the replay before.
    """

    def __init__(self, work: Callable[[], Result], captured: bool):
        self.work, self.captured, self.calls, self.graph = work, captured, 0, None

    def __call__(self) -> Result:
        if not self.captured:
            return self.work()
        if self.graph is None:
            self.calls += 1
            if self.calls <= WARMING_UP:
                return self._aside()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # which records and does nothing
                self.result = self.work()
        self.graph.replay()
        return self.result

    def _aside(self) -> Result:
        """On a stream of its own, as captures are."""
        stream, main = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            result = self.work()
        main.wait_stream(stream)
        return result
