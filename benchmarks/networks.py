"""The networks of the benchmarks' cases: as fpkit's configuration has them, and as one writes them in PyTorch and JAX.

A case has `widths` of fully connected layers, behind convolutions with `channels` if there are any, or behind so many
residual `blocks` of as many channels as the one convolution before them; or `encoder`: patch, width, heads and layers
of a transformer. `features` is a number, or the shape (channel, row, column).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

KERNEL = 3


def features(case: dict) -> tuple[int, ...]:
    """The shape of an input."""
    return case["features"] if isinstance(case["features"], tuple) else (case["features"],)


def model(case: dict) -> dict:
    """A config `model` entry."""
    if case.get("encoder"):
        named = zip(("patch", "width", "heads", "layers"), case["encoder"], strict=True)
        return {"kind": "transformer", "activation": "gelu", **dict(named)}
    entry = {"activation": "tanh", "initialization": "scaled", "std": 0.1}
    if case.get("blocks"):
        return entry | {
            "kind": "residual_cnn", "channels": case["channels"][0], "blocks": case["blocks"], "kernel": KERNEL,
        }  # fmt: skip
    if case.get("channels"):
        return entry | {"kind": "cnn", "channels": case["channels"], "kernel": KERNEL, "widths": case["widths"]}
    return entry | {"kind": "mlp", "widths": case["widths"]}


def layers(case: dict) -> list[tuple[int, int, int]]:
    """(places, inputs, units) of each layer: how often its weights are used, and their numbers."""
    *image, last = features(case)
    if not image:
        return [(1, *pair) for pair in pairwise([last, *case["widths"], case["outputs"]])]
    channels, rows, columns = features(case)
    if case.get("encoder"):
        patch, width, _, blocks = case["encoder"]
        tokens = rows // patch * (columns // patch)
        inner = [(width, 3 * width), (width, 2 * tokens), (width, width), (width, 4 * width), (4 * width, width)]
        maps = [(channels * patch**2, width), *inner * blocks]  # attention, too, is products: scores and sums
        return [(tokens, *pair) for pair in maps] + [(1, width, case["outputs"])]
    found = []
    for units in case["channels"]:
        rows, columns = -(-rows // 2), -(-columns // 2)
        found.append((rows * columns, KERNEL**2 * channels, units))
        channels = units
    found += [(rows * columns, KERNEL**2 * channels, channels)] * (2 * case.get("blocks", 0))
    behind = pairwise([channels * rows * columns, *case["widths"], case["outputs"]])
    return found + [(1, *pair) for pair in behind]


def _convolutions(case: dict) -> int:
    """How many of the layers, the first, are convolutions."""
    return len(case.get("channels", ())) + 2 * case.get("blocks", 0)


def in_torch(case: dict):
    """A module, as in PyTorch's tutorials."""
    import torch
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self, patch: int, width: int, heads: int, blocks: int):
            super().__init__()
            channels, rows, columns = features(case)
            self.embed = nn.Conv2d(channels, width, patch, stride=patch)
            self.position = nn.Parameter(0.02 * torch.randn(rows // patch * (columns // patch), width))
            layer = nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout=0, activation="gelu", batch_first=True, norm_first=True
            )
            self.inner = nn.TransformerEncoder(layer, blocks, nn.LayerNorm(width), enable_nested_tensor=False)
            self.read = nn.Linear(width, case["outputs"])

        def forward(self, x):
            tokens = self.embed(x).flatten(2).transpose(1, 2) + self.position
            return self.read(self.inner(tokens).mean(dim=1))

    if case.get("encoder"):
        return Encoder(*case["encoder"])

    class Block(nn.Module):
        def __init__(self, channels: int):
            super().__init__()
            self.first, self.second = (nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2) for _ in range(2))

        def forward(self, x):
            return x + self.second(self.first(x).tanh())

    parts: list = []
    channels = features(case)[0]
    for units in case.get("channels", ()):
        parts += [nn.Conv2d(channels, units, KERNEL, stride=2, padding=KERNEL // 2), nn.Tanh()]
        channels = units
    if case.get("blocks"):
        parts += [*(Block(channels) for _ in range(case["blocks"])), nn.Tanh()]
    if parts:
        parts.append(nn.Flatten())
    for _, inputs, units in layers(case)[_convolutions(case) :]:
        parts += [nn.Linear(inputs, units), nn.Tanh()]
    return nn.Sequential(*parts[:-1])


def in_jax(case: dict, key) -> tuple[list, Callable]:
    """Parameters with a leading member dimension, and (parameters of one network, inputs) -> outputs."""
    import jax
    import jax.numpy as jnp

    if case.get("encoder"):
        return _encoder_in_jax(case, key)
    members, shape, blocks = case["members"], features(case), case.get("blocks", 0)
    found = layers(case)
    convolutions = _convolutions(case)
    parameters = []
    for at, (_, inputs, units) in enumerate(found):
        key, drawn = jax.random.split(key)
        weight = jax.random.normal(drawn, (members, inputs, units)) / math.sqrt(inputs)
        if at < convolutions:  # row, column, channel, unit: what XLA's CPU likes best
            weight = weight.reshape(members, KERNEL, KERNEL, -1, units)
        parameters.append((weight, jnp.zeros((members, units))))

    def convolve(h, layer, stride):
        weight, bias = layer
        return bias + jax.lax.conv_general_dilated(
            h, weight, (stride, stride), "SAME" if stride == 1 else [(KERNEL // 2, KERNEL // 2)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    def forward(network, x):
        h = x
        if convolutions:
            h = x.reshape(-1, *shape).transpose(0, 2, 3, 1)
            for layer in network[: convolutions - 2 * blocks]:
                h = jnp.tanh(convolve(h, layer, 2))
            for at in range(convolutions - 2 * blocks, convolutions, 2):
                h = h + convolve(jnp.tanh(convolve(h, network[at], 1)), network[at + 1], 1)
            h = (jnp.tanh(h) if blocks else h).reshape(len(h), -1)
        for weight, bias in network[convolutions:-1]:
            h = jnp.tanh(h @ weight + bias)
        return h @ network[-1][0] + network[-1][1]

    return parameters, forward


def _encoder_in_jax(case: dict, key) -> tuple[list, Callable]:
    import jax
    import jax.numpy as jnp

    patch, width, heads, blocks = case["encoder"]
    members, (channels, rows, columns) = case["members"], features(case)
    tokens = rows // patch * (columns // patch)

    def linear(inputs: int, units: int):
        nonlocal key
        key, drawn = jax.random.split(key)
        weight = jax.random.normal(drawn, (members, inputs, units)) / math.sqrt(inputs)
        return weight, jnp.zeros((members, units))

    def norm():
        return jnp.ones((members, width)), jnp.zeros((members, width))

    wide = 4 * width
    inner = [
        (norm(), linear(width, 3 * width), linear(width, width), norm(), linear(width, wide), linear(wide, width))
        for _ in range(blocks)
    ]
    position = linear(tokens, width)[0]
    parameters = [position, linear(channels * patch**2, width), inner, norm(), linear(width, case["outputs"])]

    def through(h, layer):
        return h @ layer[0] + layer[1]

    def normalized(h, layer):
        centred = h - h.mean(axis=-1, keepdims=True)
        deviation = jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return centred / deviation * layer[0] + layer[1]

    def forward(network, x):
        position, embed, inner, last, read = network
        patches = x.reshape(-1, channels, rows // patch, patch, columns // patch, patch)
        patches = patches.transpose(0, 2, 4, 1, 3, 5).reshape(len(x), tokens, -1)
        h = through(patches, embed) + position
        for before, attend, project, between, widen, narrow in inner:
            parts = through(normalized(h, before), attend).reshape(*h.shape[:2], 3, heads, -1)
            mixed = jax.nn.dot_product_attention(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2])
            h = h + through(mixed.reshape(h.shape), project)
            hidden = jax.nn.gelu(through(normalized(h, between), widen), approximate=False)
            h = h + through(hidden, narrow)
        return through(normalized(h, last).mean(axis=1), read)

    return parameters, forward
