"""The transformer: torch's layers on tokens, of images and bits; a member beside others as alone; what does not fit."""

import numpy as np
import pytest
import torch
from conftest import run
from torch import nn

from fpkit import config
from fpkit.config.training import Record, Training
from fpkit.config.training import Transformer as Entry
from fpkit.datasets import digits, parity
from fpkit.errors import UserError
from fpkit.store import netcdf
from fpkit.training import networks
from fpkit.training.transformer import transformer


def entry(**options) -> dict:
    return config.plain(Entry(kind="transformer", **options))


def encoder(features: tuple[int, ...], outputs: int = 3, **options) -> nn.Module:
    return transformer(features, outputs, **{key: value for key, value in entry(**options).items() if key != "kind"})


def attention(layer: nn.MultiheadAttention, ours) -> None:
    """The weights of one of our layers in torch's own attention."""
    with torch.no_grad():
        layer.in_proj_weight.copy_(ours.attend.weight)
        layer.in_proj_bias.copy_(ours.attend.bias)
        layer.out_proj.load_state_dict(ours.project.state_dict())


def patches(x: torch.Tensor) -> torch.Tensor:
    """Images of 4 x 6 pixels as patches of 2 x 2."""
    return torch.stack([x[:, :, r : r + 2, c : c + 2].flatten(1) for r in (0, 2) for c in (0, 2, 4)], dim=1)


@pytest.mark.parametrize(
    ("features", "tokens"), [((2, 4, 6), patches), ((5,), lambda x: x[:, :, None])], ids=["images", "vectors"]
)
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_it_is_torch_s_own_transformer_on_tokens(features, tokens, activation):
    """Layer by layer against `nn.TransformerEncoderLayer`."""
    torch.manual_seed(3)
    network = encoder(features, patch=2, width=8, heads=2, layers=2, activation=activation)
    x = torch.randn(5, *features)
    inner = network.embed(tokens(x)) + network.position
    for ours in network.layers:
        theirs = nn.TransformerEncoderLayer(
            8, 2, 32, dropout=0, activation=activation, batch_first=True, norm_first=True
        )
        attention(theirs.self_attn, ours)
        for own, other in (("before", "norm1"), ("between", "norm2"), ("wide", "linear1"), ("narrow", "linear2")):
            getattr(theirs, other).load_state_dict(getattr(ours, own).state_dict())
        inner = theirs(inner)
    torch.testing.assert_close(network(x), network.read(network.norm(inner).mean(dim=1)), rtol=1e-4, atol=1e-5)


def test_patches_that_do_not_fit_are_told_in_one_line(tmp_path):
    netcdf.save(digits.build(limit=40, seed=5).assign_attrs(name="d"), tmp_path / "d.nc")
    with pytest.raises(UserError, match=r"model\.patch 3 does not divide images of 8 x 8 pixels"):
        run(
            tmp_path / "d.nc", tmp_path / "run", tmp_path / "work",
            model=entry(patch=3), training=config.plain(Training(device="cpu")), record=config.plain(Record()),
        )  # fmt: skip


def test_heads_that_do_not_fit_are_told_before_anything_runs():
    with pytest.raises(ValueError, match="heads 3 do not divide width 16"):
        Entry(kind="transformer", heads=3)


def dataset_of(kind: str):
    if kind == "parity":
        return parity.build(bits=6, train_fraction=0.8, seed=1)
    return digits.build(limit=40, seed=5, target={"kind": "sines", "components": 2, "strength": None, "direction": 1})


@pytest.mark.parametrize("kind", ["digits", "parity"])
def test_they_are_trained_together_as_each_would_be_alone(kind, tmp_path):
    netcdf.save(dataset_of(kind).assign_attrs(name="d"), tmp_path / "d.nc")
    together, alone = (
        run(
            tmp_path / "d.nc", tmp_path / f"run{first}", tmp_path / f"work{first}", model=entry(width=8, patch=4),
            training=config.plain(Training(steps=30, batch_size=20, learning_rate=0.01, members=members,
                                           seed_offset=first, device="cpu")),
            record=config.plain(Record(per_decade=5)),
        )
        for first, members in ((50, 3), (51, 1))
    )  # fmt: skip
    one, same = together.sel(member=51), alone.sel(member=51)
    np.testing.assert_allclose(one["prediction"], same["prediction"], rtol=1e-3, atol=1e-4)
    loss = together["loss_train"]
    assert (loss.isel(step=-1) < loss.isel(step=0)).all()
    assert float(abs(together["prediction"].sel(member=50) - together["prediction"].sel(member=52)).max()) > 0.05


def test_it_starts_from_its_seed_alone():
    network = networks.build(features=(1, 8, 8), outputs=1, **entry(width=8))
    for alone, beside in zip(network.initialize([3]), network.initialize([4, 3]), strict=True):
        assert torch.equal(alone[0], beside[1])
