"""A small transformer encoder for images, as a model of one's own: `kind: "presets.transformer:transformer"`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def transformer(
    features: tuple[int, ...], outputs: int, patch: int = 2, width: int = 32, heads: int = 2, layers: int = 2
) -> nn.Module:
    """A vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) without class token, dropout and batch norm.

    Patches become tokens by a linear map, with learned positions added; then come pre-norm layers of self-attention and
    of a GELU network four times as wide; the output is linear in the mean over tokens.

    Args:
        features: (channel, row, column), rows and columns multiples of `patch`. outputs: how many.
        patch: pixels per side of a patch. width: numbers per token, a multiple of `heads`.
    """
    if len(features) != 3:
        raise ValueError(f"transformer needs images (channel, row, column), not inputs of shape {tuple(features)}")
    channels, rows, columns = features
    if rows % patch or columns % patch:
        raise ValueError(f"patch {patch} does not divide images of {rows} x {columns} pixels")
    if width % heads:
        raise ValueError(f"width {width} is no multiple of heads {heads}")
    return _Encoder(channels * patch**2, rows // patch * (columns // patch), outputs, patch, width, heads, layers)


class _Encoder(nn.Module):
    def __init__(self, pixels: int, tokens: int, outputs: int, patch: int, width: int, heads: int, layers: int):
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(pixels, width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.layers = nn.Sequential(*(_Layer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Images (sample, channel, row, column) -> (sample, output)."""
        patches = x.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))
        tokens = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return self.read(self.norm(self.layers(self.embed(tokens) + self.position)).mean(dim=1))


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (sample, token, width)."""
        query, key, value = self.attend(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
        x = x + self.project((weights @ value).transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.between(x))))
