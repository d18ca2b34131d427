"""What a model makes of probe points, without leaving a trace in it: predictions as numbers.

Frameworks are those that the caller has imported; none is imported here.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fpkit.errors import UserError

Forward = Callable[[Any, Any], Any]


def evaluated(model: Any, points: Any, batch: int, forward: Forward | None, flat: bool = False) -> np.ndarray:
    """Outputs (sample, output), float32, of a model at points (sample, ...), so many of them at a time.

    A torch module is evaluated in eval mode, without gradients, on its own device; the modes of all its parts, its
    gradients, and the states of the random numbers of torch, numpy and Python are afterwards what they were.

    Args:
        model: any callable. points: array or tensor. forward: (model, some points) -> their outputs; `model(points)`
            where left out. flat: outputs are (sample, output), and nothing else.

    Raises:
        UserError: what comes out is no array with a row for each point, or the parameters of the model are elsewhere.
    """
    call = forward or (lambda one, some: one(some))
    pieces = (points[start : start + batch] for start in range(0, len(points), batch))
    with _random_states():
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(model, torch.nn.Module):
            return np.concatenate([as_predictions(call(model, piece), len(piece), flat) for piece in pieces])
        module = _bare(model)
        with _modes(module), torch.no_grad():
            tensors = (_as_input(piece, module) for piece in pieces)
            return np.concatenate([as_predictions(call(module, piece), len(piece), flat) for piece in tensors])


def as_predictions(output: Any, samples: int, flat: bool = False) -> np.ndarray:
    """Outputs of any framework as (sample, output), float32, a copy; of several dimensions, the last ones as one,
    unless they are to be `flat`.

    Raises UserError where they are no numbers with a row for each of so many samples.
    """
    output = getattr(output, "logits", output)  # Hugging Face's models give theirs a name
    if isinstance(output, tuple):
        named = f"a model's output is a tuple of {len(output)}"
        raise UserError(f"{named}; give forward=lambda model, x: model(x)[0], or what it is that predicts")
    values = as_array(output, "a model's output")
    if values.ndim == 0 or len(values) != samples:
        shape = f"of shape {values.shape}"
        raise UserError(f"a model's output {shape} has no row for each of {samples} probe points; give forward=")
    if flat and values.ndim > 2:
        raise UserError(
            f"logits of shape {values.shape}: (sample, class) is what a softmax is taken of; give forward= that chooses"
            " one of each sample, or gives probabilities"
        )
    return np.array(values.reshape(samples, -1), np.float32)


def as_array(values: Any, what: str) -> np.ndarray:
    """Numbers of any framework as an array of numpy's. Raises UserError where they are none."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        # numpy knows no bfloat16.
        values = (values.float() if values.is_floating_point() and values.itemsize < 4 else values).numpy()
    try:
        found = np.asarray(values)
    except (TypeError, ValueError) as error:  # ragged lists, say
        raise UserError(f"{what} of type {type(values).__name__} is no array of numbers ({error}); give one") from error
    if found.dtype.kind not in "biuf":
        remedy = "give forward=lambda model, x: ..., which returns one" if what.endswith("output") else "give one"
        raise UserError(f"{what} of type {type(values).__name__} is no array of real numbers; {remedy}")
    return found


def _as_input(piece: Any, module: Any) -> Any:
    """Points as a tensor where the module's parameters are, in their precision: numpy's own is double."""
    torch = sys.modules["torch"]
    tensor = piece.detach() if isinstance(piece, torch.Tensor) else torch.as_tensor(np.ascontiguousarray(piece))
    own = next(module.parameters(), None)
    if own is None:
        return tensor
    return tensor.to(own) if tensor.is_floating_point() and own.is_floating_point() else tensor.to(own.device)


def _bare(model: Any) -> Any:
    """The module that one for several processes, or a compiled one, is made of.

    Of several processes only the first records: a module that waits for the others would wait for ever. And a compiled
    one would be compiled again for each mode.
    """
    torch = sys.modules["torch"]
    sharded = sys.modules.get("torch.distributed.fsdp")
    while True:
        if sharded is not None and isinstance(model, sharded.FullyShardedDataParallel):
            raise UserError(
                "the parameters of this model are spread over processes (FSDP); evaluate it yourself in all of them,"
                " and give its outputs to recorder.append(step, predictions)"
            )
        if isinstance(model, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


@contextmanager
def _modes(module: Any) -> Iterator[None]:
    """All parts of a module in eval mode, and then in the mode of each again.

    By the flag that `train` and `eval` set: a model of somebody's own may do more in these.
    """
    before = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in before:
            part.training = False
        yield
    finally:
        for part, training in before:
            part.training = training


@contextmanager
def _random_states() -> Iterator[None]:
    """The states of all random numbers that a model may draw, as they are now, again at the end."""
    torch = sys.modules.get("torch")
    ours, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that others draw from
    drawn = torch.get_rng_state() if torch else None
    on_gpus = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numbers)  # noqa: NPY002
        if torch:
            torch.set_rng_state(drawn)
        if on_gpus is not None:
            torch.cuda.set_rng_state_all(on_gpus)
