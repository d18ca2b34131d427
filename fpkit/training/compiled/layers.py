"""A network as the layers of compiled code: what each gathers, and from where; and where its parameters lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fpkit.training.compiled import library
from fpkit.training.layout import parted


@dataclass(frozen=True)
class Layer:
    """Weights that are used at one place, of a fully connected layer, or at many, as those of a convolution.

    Attributes:
        shape: of the weights, as `fpkit.training.initialization.weights` has it.
        table: (place, run) the place below at which a run of numbers begins that goes into a place, or -1 for zeros.
            None where there is one place, into which all below goes.
        skips: what is added to what comes out: nothing; 1: what goes in, behind the activation; 2: what goes into the
            layer before, ahead of it.
        activated: whether an activation follows.
    """

    shape: tuple[int, ...]
    table: np.ndarray | None = None
    skips: int = 0
    activated: bool = True

    @property
    def units(self) -> int:
        """What comes out of each place."""
        return self.shape[0] if self.convolution else self.shape[1]

    @property
    def inputs(self) -> int:
        """Numbers that go into a place."""
        return math.prod(self.shape) // self.units

    @property
    def places(self) -> int:
        return 1 if self.table is None else self.table.shape[0]

    @property
    def runs(self) -> int:
        """What goes into a place, parted."""
        return 1 if self.table is None else self.table.shape[1]

    @property
    def length(self) -> int:
        """Numbers of a run."""
        return self.inputs // self.runs

    @property
    def convolution(self) -> bool:
        return len(self.shape) == 4

    def taps(self, below: int) -> list[np.ndarray]:
        """What `table` says, with so many places below, as the three `Taps` of a layer in network.hpp."""
        place, run = np.nonzero(self.table >= 0)
        under = self.table[place, run]
        sides = ((place, self.places, run, under), (under, below, run, place), (run, self.runs, place, under))
        found = []
        for of, count, one, other in sides:
            order = np.argsort(of, kind="stable")
            found += [np.searchsorted(of[order], np.arange(count + 1)), one[order], other[order]]
        return [part.astype(np.int32) for part in found]

    def natural(self, weights: np.ndarray) -> np.ndarray:
        """Weights (member, input, unit) in the order of `shape`: a view.

        Of a layer behind an image the inputs (channel * pixel) keep two dimensions.
        """
        if self.convolution:
            _, channels, kernel, _ = self.shape
            return weights.reshape(-1, kernel, kernel, channels, self.units).transpose(0, 4, 3, 1, 2)
        return weights.reshape(-1, self.runs, self.length, self.units).swapaxes(1, 2) if self.runs > 1 else weights


@dataclass(frozen=True)
class Chain:
    """The layers of a network, one after the other; inputs have `step` numbers at each place, `features` in all.

    An image (channel, row, column) comes with its channels last, and a border of `border` zeros.
    """

    layers: list[Layer]
    features: int
    step: int
    border: int | None = None

    kind = "chain"
    shares = True  # an update among threads

    @property
    def convolutional(self) -> bool:
        return self.border is not None

    @property
    def outputs(self) -> int:
        return self.layers[-1].units

    @property
    def products(self) -> int:
        """Numbers that a sample's way through it multiplies."""
        return sum(layer.places * layer.inputs * layer.units for layer in self.layers)

    @cached_property
    def taps(self) -> list[list]:
        """Of each layer the arrays of `Layer.taps`; nothing of one that is no convolution."""
        below = [self.features // self.step, *(layer.places for layer in self.layers)]
        pairs = zip(self.layers, below, strict=False)
        return [layer.taps(places) if layer.convolution else [None] * 9 for layer, places in pairs]

    def structure(self, activation: str, loss: str) -> library.Chain:
        """As compiled code has it: while this lives, as it reads its arrays."""
        layers = [
            library.Layer(
                layer.units, layer.places, layer.runs, layer.length, layer.convolution,
                tuple(map(library.address, taps)), layer.skips, layer.activated,
            )
            for layer, taps in zip(self.layers, self.taps, strict=True)
        ]  # fmt: skip
        return library.Chain(
            (library.Layer * len(layers))(*layers), len(layers), self.features, self.step,
            library.entry("activation", activation), library.entry("loss", loss),
        )  # fmt: skip

    def arranged(self, x: np.ndarray) -> np.ndarray:
        """Inputs (sample, *feature) as (sample, number), float32, contiguous."""
        if self.convolutional:
            around = [(0, 0), (self.border, self.border), (self.border, self.border), (0, 0)]
            x = np.pad(np.moveaxis(x, 1, -1), around)
        return np.ascontiguousarray(x.reshape(len(x), self.features), np.float32)

    def parameters(self, members: np.ndarray) -> list[np.ndarray]:
        """Weight (member, input, unit) and bias (member, unit) of each layer in turn: views of (member, number)."""
        begin, weights, biases = 0, [], []
        for layer in self.layers:
            last = layer is self.layers[-1]
            rows, columns = (layer.units, layer.inputs) if last else (layer.inputs, layer.units)
            row = library.padded(columns)
            part = members[:, begin : begin + rows * row].reshape(-1, rows, row)[:, :, :columns]
            weights.append(part.mT if last else part)
            begin += rows * row
        for layer in self.layers:
            biases.append(members[:, begin : begin + layer.units])
            begin += library.padded(layer.units)
        return [part for parts in zip(weights, biases, strict=True) for part in parts]

    def natural(self, members: np.ndarray) -> list[np.ndarray]:
        """The same in the shapes of `fpkit.training.initialization`."""
        parts = self.parameters(members)
        parts[::2] = [layer.natural(weight) for layer, weight in zip(self.layers, parts[::2], strict=True)]
        return parts

    def stacks(self, members: np.ndarray) -> list[np.ndarray]:
        """The same as torch has it (fpkit.training.gradients), for whose checkpoints."""
        natural = self.natural(members)
        by_hand = not self.convolutional and not any(layer.skips for layer in self.layers)
        return natural if not by_hand else [part for some in parted(natural) for part in some]


def chain(model: dict, features: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> Chain:
    """Of a config `model` entry whose weights have these `shapes`, for inputs of shape `features`."""
    if model["kind"] == "mlp":
        return dense(shapes)
    if model["kind"] == "residual_mlp":
        first, *inner, last = shapes
        blocks = [Layer(shape, skips=1) for shape in inner]
        return Chain([Layer(first, activated=False), *blocks, Layer(last)], first[0], first[0])
    channels, rows, columns = features
    kernel, border, residual = model["kernel"], model["kernel"] // 2, model["kind"] == "residual_cnn"
    padded = rows + 2 * border, columns + 2 * border
    layers = []
    for number, shape in enumerate(shape for shape in shapes if len(shape) == 4):
        stride = 1 if number and residual else 2
        below, (rows, columns) = (rows, columns), (-(-rows // stride), -(-columns // stride))
        if number == 0:  # with its border in memory, a row of the kernel is one run
            table = _windows(padded, (rows, columns), (kernel, 1), stride, 0)
        else:
            table = _windows(below, (rows, columns), (kernel, kernel), stride, border)
        ends = residual and number > 0 and number % 2 == 0  # a block, of two convolutions
        layers.append(Layer(shape, table, 2 if ends else 0, activated=not ends or number == 2 * model["blocks"]))
    first, *others = [shape for shape in shapes if len(shape) == 2]
    layers.append(Layer(first, np.arange(rows * columns, dtype=np.int32)[np.newaxis]))
    layers += [Layer(shape) for shape in others]
    return Chain(layers, channels * math.prod(padded), channels, border)


def dense(shapes: Sequence[tuple[int, ...]]) -> Chain:
    """Fully connected layers."""
    features = shapes[0][0]
    return Chain([Layer(shape) for shape in shapes], features, features)


def _windows(
    below: tuple[int, int], above: tuple[int, int], window: tuple[int, int], stride: int, border: int
) -> np.ndarray:
    """(pixel above, pixel of its window) the pixel below, or -1 beyond its border; images and windows (row, column)."""
    at = []
    for axis in range(2):
        beginning = stride * np.arange(above[axis])[:, np.newaxis] - border
        at.append(beginning + np.arange(window[axis]))  # (pixel above, pixel of its window) along the axis
    rows, columns = at[0][:, np.newaxis, :, np.newaxis], at[1][np.newaxis, :, np.newaxis, :]
    inside = (rows >= 0) & (rows < below[0]) & (columns >= 0) & (columns < below[1])
    table = np.where(inside, rows * below[1] + columns, -1)
    return np.ascontiguousarray(table.reshape(math.prod(above), math.prod(window)), np.int32)
