"""A small transformer encoder as a torch module: self-attention over the patches of an image, or over numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fpkit.errors import UserError
from fpkit.training import activations
from fpkit.training.work import tokens


def transformer(
    features: tuple[int, ...], outputs: int, patch: int, width: int, heads: int, layers: int, activation: str
) -> nn.Module:
    """An encoder as of vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929), no class token, no dropout.

    Tokens are embedded by a linear map, with learned positions added; then come pre-norm layers of self-attention and
    of a network of one hidden layer, four times as wide; the output is linear in the mean over tokens. Weights start as
    torch's own layers do, positions at N(0, 0.02^2).

    Args:
        features: (channel, row, column), rows and columns multiples of `patch`; or (number,), each of them a token.
        outputs: how many. patch: pixels per side of a patch. width: numbers per token, a multiple of `heads`.
    """
    if len(features) == 3 and (features[1] % patch or features[2] % patch):
        size = f"{features[1]} x {features[2]}"
        raise UserError(f"model.patch {patch} does not divide images of {size} pixels; change it")
    numbers = features[0] * patch**2 if len(features) == 3 else 1
    count = tokens(features, patch)
    return _Encoder(numbers, count, outputs, patch, width, heads, layers, activations.build(activation))


class _Encoder(nn.Module):
    def __init__(
        self,
        numbers: int,
        tokens: int,
        outputs: int,
        patch: int,
        width: int,
        heads: int,
        layers: int,
        activation: Callable[[Tensor], Tensor],
    ):
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(numbers, width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.layers = nn.Sequential(*(_Layer(width, heads, activation) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Images (sample, channel, row, column) or vectors (sample, number) -> (sample, output)."""
        tokens = self._patches(x) if x.dim() == 4 else x.unsqueeze(-1)
        return self.read(self.norm(self.layers(self.embed(tokens) + self.position)).mean(dim=1))

    def _patches(self, x: Tensor) -> Tensor:
        patches = x.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))
        return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        self.heads, self.activation = heads, activation
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (sample, token, width)."""
        query, key, value = self.attend(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
        x = x + self.project((weights @ value).transpose(1, 2).flatten(2))
        return x + self.narrow(self.activation(self.wide(self.between(x))))
