"""The user's own parts of a training, tried on two samples before the first step: what one is not is said in one line.

Members are stacked, and a training that was interrupted ends with the bits of one that was not: a part that cannot be
stacked, or continued, would give other numbers without a word.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from fpkit import parts
from fpkit.errors import UserError
from fpkit.store import checkpoint
from fpkit.training import algorithms, networks
from fpkit.training.stacked import StackedEnsemble

SAMPLES, MEMBERS, STEPS = 2, 3, 4
NUMBERS = 64
ACTIVATION = "an activation takes a tensor and gives one of the same shape and type, number by number"
MODEL = (
    "a model is a torch.nn.Module, in single precision, a function of its parameters and of each sample alone: no batch"
    " norm, no dropout, no buffer that changes"
)
LOSS = "a loss takes outputs (member, sample, output) and targets and gives a tensor (member), a number for each"
OPTIMIZER = (
    "an optimizer is a function of (parameters, learning_rate) that gives a torch.optim.Optimizer, treats every number"
    " alike and keeps all it remembers in its state"
)


def check(
    model: dict,
    data: dict[str, np.ndarray],
    algorithm: dict,
    loss: str,
    batch_size: int | None,
    device: str,
) -> None:
    """Try those parts of a recipe that are the user's own.

    Args:
        as of `fpkit.training.trainer.build`.

    Raises:
        UserError: naming the part, what it gave and what is needed.
    """
    home = os.getcwd()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check(model, data, algorithm, loss, batch_size, device)
    if os.getcwd() != home:
        os.chdir(home)
        named = " or ".join(parts.own_of(model, algorithm["name"], loss))
        raise UserError(f"{named} leaves the working directory, to which all paths are relative; let it come back")


def _check(model: dict, data: dict, algorithm: dict, loss: str, batch_size: int | None, device: str) -> None:
    some = {name: array[:SAMPLES] for name, array in data.items() if name in ("x_train", "y_train")}
    x, y = (torch.as_tensor(some[name], dtype=torch.float32).to(device) for name in ("x_train", "y_train"))
    activation = model.get("activation")
    if activation and parts.is_own(activation):
        _check_activation(activation, device)
    mine, needs = (activation, ACTIVATION) if activation else (model["kind"], MODEL)
    if parts.is_own(mine):
        outputs = _check_network(mine, needs, model, x, y.shape[1])
    else:
        outputs = torch.linspace(-1, 1, MEMBERS * y.numel(), device=device).view(MEMBERS, *y.shape)
    if parts.is_own(loss):
        _check_loss(loss, outputs, y)
        if batch_size:
            _check_loss(loss, outputs, y.expand_as(outputs))
    if parts.is_own(algorithm["name"]):
        _check_optimizer(algorithm, device)
    _check_continuation(model, some, algorithm, loss, batch_size and 1, device)


def _trying(path: str, needs: str) -> AbstractContextManager:
    """Whatever goes wrong is told of this part."""
    needs = f"it is a class; {needs}" if isinstance(parts.load(path), type) else needs
    return parts.blamed(path, needs=needs, always=True)


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return "None" if value is None else f"a {type(value).__name__}"


def _same(one: Tensor, other: Tensor) -> bool:
    """But for rounding, where other numbers are beside them."""
    size = float(other.abs().nan_to_num(0, 0, 0).max()) if other.numel() else 0.0
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * size, equal_nan=True)


def _require(fulfilled: bool, path: str, what: str, needs: str) -> None:
    if not fulfilled:
        given = f"{path}, a class," if isinstance(parts.load(path), type) else path
        raise UserError(f"{given} {what}; {needs}")


def _check_activation(path: str, device: str) -> None:
    x = torch.linspace(-2, 2, 12, device=device).view(2, 2, 3)
    with _trying(path, ACTIVATION), torch.enable_grad():
        y = parts.load(path)(x.clone().requires_grad_() * 1)
    like = isinstance(y, Tensor) and (y.shape, y.dtype) == (x.shape, x.dtype)
    _require(like, path, f"gave {_described(y)} for {_described(x)}", ACTIVATION)
    _require(y.requires_grad, path, "gave numbers without a gradient", ACTIVATION)


def _check_network(path: str, needs: str, model: dict, x: Tensor, outputs: int) -> Tensor:
    """The outputs (member, sample, output) of a network that is what it must be."""
    require = partial(_require, path=path, needs=needs)
    with _trying(path, needs):
        network = networks.build(features=x.shape[1:], outputs=outputs, **model)
        parameters = [parameter.to(x.device) for parameter in network.initialize(range(MEMBERS))]
    require(bool(parameters), what="has no parameters")
    odd = [parameter for parameter in parameters if parameter.dtype != torch.float32]
    require(not odd, what=f"has parameters of {str(odd[0].dtype).removeprefix('torch.')}" if odd else "")
    buffers = {name: buffer.clone() for name, buffer in network.buffers.items()}
    with _trying(path, needs), torch.no_grad():
        together, again = network.forward(parameters, x), network.forward(parameters, x)
        alone = network.forward([parameter[:1] for parameter in parameters], x)
    shape = (MEMBERS, len(x), outputs)
    right = isinstance(together, Tensor) and (together.shape, together.dtype) == (shape, torch.float32)
    given = together[0] if isinstance(together, Tensor) and together.dim() else together
    require(right, what=f"gave {_described(given)} for {len(x)} samples, not {shape[1:]} of float32")
    require(_same(again, together), what="gave other outputs for the same inputs")
    kept = all(torch.equal(network.buffers[name], buffer) for name, buffer in buffers.items())
    require(kept, what="changes its buffers, which no checkpoint keeps")
    require(_same(alone, together[:1]), what="gave a member other outputs than it has alone")
    with _trying(path, needs), torch.no_grad():
        singly = torch.cat([network.forward(parameters, sample) for sample in x.split(1)], dim=1)
    require(_same(singly, together), what="gave a sample other outputs than it has alone")
    followed = [parameter.requires_grad_() for parameter in parameters]
    with _trying(path, needs), torch.enable_grad():
        output = network.forward(followed, x)
        learns = output.requires_grad
        if learns:
            torch.autograd.grad(output.square().sum(), followed, materialize_grads=True)
    require(learns, what="gave outputs that do not depend on its parameters")
    return together


def _check_loss(path: str, outputs: Tensor, targets: Tensor) -> None:
    require = partial(_require, path=path, needs=LOSS)
    function, followed = parts.load(path), outputs.detach().clone().requires_grad_()
    with _trying(path, LOSS), torch.enable_grad():
        value = function(followed, targets)
    right = isinstance(value, Tensor) and value.shape == (MEMBERS,) and value.is_floating_point()
    require(right, what=f"gave {_described(value)} for {MEMBERS} members of {targets.shape[-2]} samples")
    require(value.requires_grad, what="gave numbers that do not depend on the outputs")
    with _trying(path, LOSS), torch.enable_grad():
        (gradient,) = torch.autograd.grad(value[0], followed, retain_graph=True)
        alone = function(outputs[:1], targets[:1] if targets.dim() == 3 else targets)
    apart = isinstance(alone, Tensor) and not gradient[1:].nan_to_num().any() and _same(alone, value[:1].detach())
    require(apart, what="gave a member another loss than it has alone")


def _check_optimizer(algorithm: dict, device: str) -> None:
    """On numbers of its own, whose gradients are exact: equal ones stay equal, whatever stands beside them."""
    path = algorithm["name"]
    block, other = torch.linspace(-1, 1, NUMBERS, device=device), torch.linspace(5, -9, NUMBERS, device=device)

    def after_steps(*blocks: Tensor) -> list[Tensor]:
        flat = torch.nn.Parameter(torch.cat(blocks))
        flat.grad = torch.zeros_like(flat, requires_grad=False)
        update = algorithms.build(flat=flat, **algorithm)
        kind = update.optimizer
        _require(isinstance(kind, torch.optim.Optimizer), path, f"gave {_described(kind)}", OPTIMIZER)

        def gradient() -> Tensor:
            flat.grad.copy_(2 * (flat.detach() - 0.3))
            return flat.detach()

        for _ in range(STEPS):
            update.step(gradient, lambda output: (output - 0.3).square().sum())
        return list(flat.detach().split(NUMBERS))

    with _trying(path, OPTIMIZER):
        first, _, copy = after_steps(block, other, block)
        again, beside = after_steps(block, other, block)[0], after_steps(block, block, block)[0]

    def same(numbers: Tensor) -> bool:
        return torch.allclose(numbers, first, 0, 0, equal_nan=True)

    _require(not torch.equal(first, block), path, f"changed nothing in {STEPS} steps", OPTIMIZER)
    _require(same(again), path, "gave other numbers for the same gradients", OPTIMIZER)
    _require(same(copy), path, "treated equal numbers unlike", OPTIMIZER)
    _require(same(beside), path, "treated numbers by what stands beside them, as of other members", OPTIMIZER)


def _check_continuation(
    model: dict, data: dict, algorithm: dict, loss: str, batch_size: int | None, device: str
) -> None:
    """Two steps, and two more from the checkpoint between, are four."""
    named = parts.own_of(model, algorithm["name"], loss)
    make: Callable[[], StackedEnsemble] = partial(
        StackedEnsemble, model, data, range(MEMBERS), algorithm, loss, batch_size, device, 1, None
    )
    with parts.blamed(*named), make() as whole, make() as continued, TemporaryDirectory() as folder:
        whole.advance(0, STEPS // 2)
        try:
            checkpoint.save(Path(folder) / "state.npz", {"members": whole.state()})
        except UserError as error:
            raise UserError(f"{' or '.join(named)}: {error}") from error
        whole.advance(STEPS // 2, STEPS)
        continued.load(next(checkpoint.load(Path(folder) / "state.npz"))["members"])
        continued.advance(STEPS // 2, STEPS)
        same = _equal(whole.state(), continued.state(), exact=device == "cpu")
    if not same:
        needs = OPTIMIZER if parts.is_own(algorithm["name"]) else "let it be a function of what it is given"
        raise UserError(
            f"{' or '.join(named)} went on from a checkpoint otherwise than without, as what is remembered elsewhere is"
            f" lost; {needs}"
        )


def _equal(one: object, other: object, exact: bool) -> bool:
    """The same tree of dictionaries, lists and values; but for rounding, unless exact."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key], exact) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(*pair, exact) for pair in zip(one, other, strict=True))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype.kind == "f":
        tolerance = 0 if exact else 1e-3
        return one.shape == other.shape and np.allclose(one, other, tolerance, tolerance, equal_nan=True)
    return np.array_equal(one, other)
