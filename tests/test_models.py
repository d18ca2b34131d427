"""Stacked networks against plain torch.nn networks, one per member."""

import math

import numpy as np
import pytest
import scipy.special
import torch
from torch import nn

from fpkit import models
from fpkit.config import Activation

POINTS = np.linspace(-3, 3, 61)

# Written down with numpy and scipy from the definitions, not from torch.
FORMULAS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "gelu": lambda x: x * 0.5 * (1 + scipy.special.erf(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sin": np.sin,
    "gaussian": lambda x: np.exp(-(x**2) / 2),
    "ricker": lambda x: (1 - x**2) * np.exp(-(x**2) / 2),
}


def test_every_activation_of_the_config_is_there_and_has_a_formula():
    assert set(Activation.__args__) == set(models.ACTIVATIONS) == set(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_equals_its_formula(name):
    ours = models.ACTIVATIONS[name](torch.from_numpy(POINTS)).numpy()
    np.testing.assert_allclose(ours, FORMULAS[name](POINTS), atol=1e-12)


def test_ricker_is_the_negative_second_derivative_of_the_gaussian():
    x = torch.from_numpy(POINTS).requires_grad_()
    (slope,) = torch.autograd.grad(models.ACTIVATIONS["gaussian"](x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(models.ACTIVATIONS["ricker"](x), -curvature)


# --- forward ----------------------------------------------------------------------------------------------------------


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def plain_network(parameters: list[torch.Tensor], activation: str) -> nn.Sequential:
    """One member's network from torch.nn's layers, with its weights (weight, bias, weight, ...)."""
    layers = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        if layers:
            layers.append(Function(models.ACTIVATIONS[activation]))
        if weight.dim() == 4:
            out_channels, in_channels, kernel, _ = weight.shape
            layer = nn.Conv2d(in_channels, out_channels, kernel, stride=2, padding=kernel // 2)
            stored = weight
        else:
            if not any(isinstance(other, nn.Linear) for other in layers):
                layers.append(nn.Flatten())
            layer, stored = nn.Linear(*weight.shape), weight.T
        with torch.no_grad():
            layer.weight.copy_(stored)
            layer.bias.copy_(bias)
        layers.append(layer)
    return nn.Sequential(*layers)


NETWORKS = {
    "mlp": ({"kind": "mlp", "widths": [7, 5], "activation": "tanh"}, (3,)),
    "mlp on one feature": ({"kind": "mlp", "widths": [6], "activation": "ricker"}, (1,)),
    "mlp on images": ({"kind": "mlp", "widths": [6], "activation": "gelu"}, (2, 5, 4)),
    "linear": ({"kind": "mlp", "widths": [], "activation": "relu"}, (3,)),
    "cnn": ({"kind": "cnn", "channels": [3, 4], "kernel": 3, "widths": [6], "activation": "sin"}, (1, 8, 8)),
    "cnn, colour, odd sizes": (
        {"kind": "cnn", "channels": [2, 3, 4], "kernel": 5, "widths": [], "activation": "silu"},
        (3, 7, 9),
    ),
    "cnn, wide kernel": (
        {"kind": "cnn", "channels": [2], "kernel": 7, "widths": [3, 3], "activation": "elu"},
        (2, 4, 4),
    ),
}


@pytest.mark.parametrize("shared", [True, False], ids=["shared inputs", "inputs per member"])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_stacked_forward_equals_a_plain_network_per_member(name, members, shared):
    options, features = NETWORKS[name]
    network = models.build(features=features, outputs=2, **options)
    parameters = models.initialize(network.weights, "scaled", 0.1, range(members))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((10, *features) if shared else (members, 10, *features), generator=generator)
    output = network.forward(parameters, x)
    assert output.shape == (members, 10, 2)
    for member in range(members):
        plain = plain_network([parameter[member] for parameter in parameters], options["activation"])
        torch.testing.assert_close(output[member], plain(x if shared else x[member]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_gradient_of_a_member_comes_from_its_own_output_alone(name):
    options, features = NETWORKS[name]
    network = models.build(features=features, outputs=2, **options)
    parameters = [p.requires_grad_() for p in models.initialize(network.weights, "scaled", 0.1, range(3))]
    x = torch.randn((5, *features), generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(network.forward(parameters, x)[1].square().sum(), parameters)
    for gradient in gradients:
        assert gradient[1].abs().sum() > 0
        assert gradient[[0, 2]].abs().sum() == 0


# --- initialization ---------------------------------------------------------------------------------------------------

SHAPES = [(400, 300), (300, 200), (16, 8, 5, 5)]
# (fan_in, fan_out) of each shape: of a convolution, channels times kernel area.
FANS = [(400, 300), (300, 200), (8 * 25, 16 * 25)]


@pytest.mark.parametrize("initialization", ["scaled", "gaussian", "xavier", "he"])
def test_initial_weights_and_biases_have_the_documented_spread(initialization):
    parameters = models.initialize(SHAPES, initialization, 0.3, range(20))
    for (fan_in, fan_out), weight, bias in zip(FANS, parameters[::2], parameters[1::2], strict=True):
        weight_std, bias_std = {
            "scaled": (1 / math.sqrt(fan_in), 1),
            "gaussian": (0.3, 0.3),
            "xavier": (math.sqrt(2 / (fan_in + fan_out)), 0),
            "he": (math.sqrt(2 / fan_in), 0),
        }[initialization]
        for values, std in ((weight, weight_std), (bias, bias_std)):
            # Six standard errors of the sample's deviation and mean: far, but any wrong factor is farther.
            assert float(values.std()) == pytest.approx(std, rel=6 / math.sqrt(2 * values.numel()))
            assert abs(float(values.mean())) <= 6 * std / math.sqrt(values.numel())
        assert abs(float((weight**4).mean()) / weight_std**4 - 3) < 0.2  # normal, not uniform


def test_initial_parameters_are_stacked_float32_with_one_bias_per_unit():
    parameters = models.initialize([(4, 3), (5, 2, 3, 3)], "scaled", 0.1, [7, 8])
    assert [tuple(p.shape) for p in parameters] == [(2, 4, 3), (2, 3), (2, 5, 2, 3, 3), (2, 5)]
    assert {p.dtype for p in parameters} == {torch.float32}


def test_initial_values_of_a_member_do_not_depend_on_the_others():
    ensemble = models.initialize(SHAPES[1:], "gaussian", 0.1, [3, 4, 5])
    for place, seed in enumerate([3, 4, 5]):
        alone = models.initialize(SHAPES[1:], "gaussian", 0.1, [seed])
        for stacked, single in zip(ensemble, alone, strict=True):
            assert torch.equal(stacked[place], single[0])
    assert not torch.equal(ensemble[0][0], ensemble[0][1])


def test_initialization_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    models.initialize([(4, 3)], "he", 0.1, [0])
    assert torch.equal(torch.rand(3), expected)


def test_parameters_that_are_built_fit_the_forward_function_of_a_flattened_image():
    # An image of 7 x 9 halves to 4 x 5 and 2 x 3: the sizes that stride 2 with half padding leaves.
    network = models.build("cnn", (1, 7, 9), 2, "relu", channels=[3, 4], kernel=3, widths=[])
    assert network.weights == [(3, 1, 3, 3), (4, 3, 3, 3), (4 * 2 * 3, 2)]
