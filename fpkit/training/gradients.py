"""The gradient of the loss of a stack of networks, in one flat tensor: by autograd for any, by hand for MLPs.

All parameters of the stack are views of one flat tensor, and their gradients lie in its `grad`: an algorithm makes one
pass over one tensor. By hand nothing is allocated after the first step, and no pass over the activations is made that
the derivative does not need (docs/performance.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from fpkit.training import activations, losses, networks
from fpkit.training.layout import parted

# Numbers that a vector loop of torch takes at once, twice the widest register (AVX-512): a multiple of it has no rest,
# which would be computed in another way.
LINE = 32


class _Stack:
    """Parameters (member, ...) in one flat tensor with a `grad`."""

    def __init__(self, initial: Sequence[Tensor]):
        self.shapes = [parameter.shape for parameter in initial]
        padding = -sum(parameter.numel() for parameter in initial) % LINE
        numbers = [*(parameter.flatten() for parameter in initial), initial[0].new_zeros(padding)]
        self.flat = torch.nn.Parameter(torch.cat(numbers))
        self.flat.grad = torch.zeros_like(self.flat, requires_grad=False)

    def stacks(self, flat: Tensor) -> list[Tensor]:
        """The parts of a tensor like `flat`, in the parameters' shapes (member, ...): views."""
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = flat.split([*sizes, flat.numel() - sum(sizes)])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=False)]


class Autograd(_Stack):
    """Any network and any loss."""

    def __init__(self, network: networks.Network, initial: Sequence[Tensor], member_losses: Callable):
        super().__init__(initial)
        self.network, self.member_losses = network, member_losses
        self.parameters = [parameter.requires_grad_() for parameter in self.stacks(self.flat.detach())]

    def gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Fill `flat.grad`; return the outputs (member, sample, output).

        Args:
            x: (sample, *feature), shared by all members, or (member, sample, *feature); y, the targets, likewise.
        """
        with torch.enable_grad():
            output = self.network.forward(self.parameters, x)
            # Summed over members: each member's gradient is that of its own loss.
            loss = self.member_losses(output, y).sum()
        gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        count = sum(gradient.numel() for gradient in gradients)
        torch.cat([gradient.flatten() for gradient in gradients], out=self.flat.grad[:count])
        return output.detach()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Outputs (member, sample, output) for x (sample, *feature)."""
        return self.network.forward(self.parameters, x)

    def release(self) -> None:
        """Give back what memory `gradient` keeps: none."""


class Backpropagation(_Stack):
    """Fully connected networks with a known activation and loss: forward and backward pass written out.

    The same functions as `Autograd`, the same numbers to float tolerance. Activations are kept as
    (member, sample, unit); outputs, and the weights before them, transposed, as matrix products with few columns are
    slow and those with few rows are not. `features` counts the dimensions of one input.
    """

    def __init__(self, initial: Sequence[Tensor], features: int, activation: str, loss: str):
        weights, biases = parted(initial)
        super().__init__([*weights, *biases])
        values, gradients = self.stacks(self.flat.detach()), self.stacks(self.flat.grad)
        self.weights, self.biases = values[: len(weights)], values[len(weights) :]
        self.weight_gradients, self.bias_gradients = gradients[: len(weights)], gradients[len(weights) :]
        self.features = features
        self.activation, self.loss_gradient = activations.by_hand(activation), losses.gradient_of(loss)
        self.x = self.y = None

    def _flattened(self, x: Tensor) -> Tensor:
        return networks.flattened(x, self.features, len(self.weights[0]))

    def gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Fill `flat.grad`; return the outputs (member, sample, output): see `Autograd.gradient`.

        What is called on which memory is listed once, and again only when x or y is another tensor: new samples should
        come in the same memory.
        """
        if x is not self.x or y is not self.y:
            self.x, self.y = x, y
            self.calls, self.output = self._calls(self._flattened(x), y.transpose(-2, -1))
        for call in self.calls:
            call()
        return self.output

    def release(self) -> None:
        """Give back what memory `gradient` keeps."""
        self.x = self.y = self.calls = self.output = None

    def predict(self, x: Tensor) -> Tensor:
        """Outputs (member, sample, output) for x (sample, *feature)."""
        x = self._flattened(x)
        buffers = _Buffers(self.weights, x.shape[1], self.activation.keeps_input)
        for call in self._forward(x, buffers):
            call()
        return buffers.output.transpose(1, 2)

    def _forward(self, x: Tensor, buffers: _Buffers) -> list[Callable]:
        """Calls that make `output` (member, output, sample) of x (member, sample, feature)."""
        calls, scale = [], self.activation.scale
        layers = zip(self.weights[:-1], self.biases[:-1], buffers.inputs, buffers.hidden, strict=True)
        for weight, bias, z, h in layers:
            calls.append(partial(torch.baddbmm, bias, x, weight, beta=scale, alpha=scale, out=z.stack))
            calls += self.activation.forward(z.line, h.line)
            x = h.stack
        calls.append(partial(torch.baddbmm, self.biases[-1], self.weights[-1], x.transpose(1, 2), out=buffers.output))
        return calls

    def _calls(self, x: Tensor, y: Tensor) -> tuple[list[Callable], Tensor]:
        """Calls that fill `flat.grad` from x (member, sample, feature) and y ([member,] output, sample); the output."""
        buffers = _Buffers(self.weights, x.shape[1], self.activation.keeps_input)
        calls = self._forward(x, buffers)
        calls += self.loss_gradient(buffers.output, y, buffers.error)
        below = [x, *(h.stack for h in buffers.hidden)]
        calls.append(partial(torch.bmm, buffers.error, below[-1], out=self.weight_gradients[-1]))
        calls.append(partial(torch.sum, buffers.error, 2, keepdim=True, out=self.bias_gradients[-1]))
        error, weight = buffers.error.transpose(1, 2), self.weights[-1]
        for layer in reversed(range(len(self.weights) - 1)):
            upstream = buffers.gradients[layer]
            # With one output it is an outer product, which matrix multiplication is slow at.
            product = torch.mul if error.shape[2] == 1 else torch.bmm
            calls.append(partial(product, error, weight, out=upstream.stack))
            calls += self.activation.backward(upstream.line, buffers.inputs[layer].line, buffers.hidden[layer].line)
            error, weight = upstream.stack, self.weights[layer].transpose(1, 2)
            calls.append(partial(torch.bmm, below[layer].transpose(1, 2), error, out=self.weight_gradients[layer]))
            calls.append(partial(torch.sum, error, 1, keepdim=True, out=self.bias_gradients[layer]))
        return calls, buffers.output.transpose(1, 2)


class _Buffers:
    """What one gradient needs: inputs and values of the activations, the gradients by them, output and its gradient."""

    def __init__(self, weights: Sequence[Tensor], samples: int, keeps_input: bool):
        members, widths = len(weights[0]), [weight.shape[2] for weight in weights[:-1]]
        self.samples = samples
        self.hidden = [_Whole(weights[0], members, samples, width) for width in widths]
        self.inputs = [_Whole(weights[0], members, samples, width) for width in widths] if keeps_input else self.hidden
        # Layers share two buffers in turn: a gradient is used up by the one below it.
        turns = [_Whole(weights[0], members, samples, max(widths, default=0)) for _ in range(2)]
        self.gradients = [turns[layer % 2].narrowed(width) for layer, width in enumerate(widths)]
        self.output, self.error = (weights[0].new_empty(members, weights[-1].shape[1], samples) for _ in range(2))


class _Whole:
    """A buffer (member, sample, unit), as `stack`, and the same as whole cache lines, as `line` (number,).

    On lines, every number is computed by the same vector instructions, wherever its member stands.
    """

    def __init__(self, like: Tensor, members: int, samples: int, units: int, line: Tensor | None = None):
        numbers = members * samples * units
        self.shape = members, samples, units
        self.line = like.new_zeros(numbers + -numbers % LINE) if line is None else line
        self.stack = self.line[:numbers].view(self.shape)

    def narrowed(self, units: int) -> _Whole:
        """The same memory with fewer units."""
        members, samples, _ = self.shape
        numbers = members * samples * units
        return _Whole(self.line, members, samples, units, self.line[: numbers + -numbers % LINE])


def by_hand(model: dict, loss: str) -> bool:
    """Whether the gradient is taken by hand, else by autograd. Then no bit of a member depends on its neighbours."""
    return model["kind"] == "mlp" and None not in (activations.by_hand(model["activation"]), losses.gradient_of(loss))


def build(
    model: dict, features: int, network: networks.Network, initial: Sequence[Tensor], loss: str
) -> Autograd | Backpropagation:
    """The gradient of a config `model` entry from its initial parameters, under a config `training.loss`.

    `features` counts the dimensions of one input.
    """
    if by_hand(model, loss):
        return Backpropagation(initial, features, model["activation"], loss)
    return Autograd(network, initial, losses.build(loss))
