"""Stacked networks against plain torch.nn networks, one per member."""

import math

import numpy as np
import pytest
import scipy.special
import torch
from pydantic import TypeAdapter
from test_training import functions_of
from torch import nn

from fpkit import config, parts
from fpkit.config.training import Activation, Model
from fpkit.training import activations, networks
from fpkit.training.initialization import initialize

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
    named, own = TypeAdapter(Activation).json_schema()["anyOf"]
    assert set(named["enum"]) == functions_of(activations) == set(FORMULAS)
    assert own == {"pattern": parts.PATTERN}


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_equals_its_formula(name):
    ours = activations.build(name)(torch.from_numpy(POINTS)).numpy()
    np.testing.assert_allclose(ours, FORMULAS[name](POINTS), atol=1e-12)


def test_ricker_is_the_negative_second_derivative_of_the_gaussian():
    x = torch.from_numpy(POINTS).requires_grad_()
    (slope,) = torch.autograd.grad(activations.build("gaussian")(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(activations.build("ricker")(x), -curvature)


# --- forward ----------------------------------------------------------------------------------------------------------


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def with_weights(layer: nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    return with_weights(nn.Linear(*weight.shape), weight.T, bias)


def convolution(weight: torch.Tensor, bias: torch.Tensor, stride: int) -> nn.Conv2d:
    out_channels, in_channels, kernel, _ = weight.shape
    layer = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2)
    return with_weights(layer, weight, bias)


class Residual(nn.Module):
    """x + inner(x)."""

    def __init__(self, *inner):
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x):
        return x + self.inner(x)


def plain_network(kind: str, parameters: list[torch.Tensor], activation: str) -> nn.Sequential:
    """One member's network from torch.nn's layers, with its weights (weight, bias, weight, ...)."""
    pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
    act = Function(activations.build(activation))
    if kind == "residual_mlp":
        first, *blocks, last = pairs
        inner = [Residual(linear(*pair), act) for pair in blocks]
        return nn.Sequential(nn.Flatten(), linear(*first), *inner, linear(*last))
    if kind == "residual_cnn":
        first, *convolutions, last = pairs
        inner = [
            Residual(convolution(*one, stride=1), act, convolution(*two, stride=1))
            for one, two in zip(convolutions[::2], convolutions[1::2], strict=True)
        ]
        return nn.Sequential(convolution(*first, stride=2), act, *inner, act, nn.Flatten(), linear(*last))
    layers = []
    for weight, bias in pairs:
        if layers:
            layers.append(act)
        if weight.dim() == 4:
            layers.append(convolution(weight, bias, stride=2))
        else:
            if not any(isinstance(other, nn.Linear) for other in layers):
                layers.append(nn.Flatten())
            layers.append(linear(weight, bias))
    return nn.Sequential(*layers)


def entry(kind: str, **options) -> dict:
    """A whole `model` entry, defaults filled in, as the workflow hands it over."""
    return config.plain(TypeAdapter(Model).validate_python({"kind": kind, **options}))


NETWORKS = {
    "mlp": (entry("mlp", widths=[7, 5], activation="tanh"), (3,)),
    "mlp on one feature": (entry("mlp", widths=[6], activation="ricker"), (1,)),
    "mlp on images": (entry("mlp", widths=[6], activation="gelu"), (2, 5, 4)),
    "linear": (entry("mlp", widths=[], activation="relu"), (3,)),
    "cnn": (entry("cnn", channels=[3, 4], widths=[6], activation="sin"), (1, 8, 8)),
    "cnn, colour, odd sizes": (entry("cnn", channels=[2, 3, 4], kernel=5, widths=[], activation="silu"), (3, 7, 9)),
    "cnn, wide kernel": (entry("cnn", channels=[2], kernel=7, widths=[3, 3], activation="elu"), (2, 4, 4)),
    "residual mlp": (entry("residual_mlp", width=6, blocks=3, activation="tanh"), (3,)),
    "residual mlp on images": (entry("residual_mlp", width=5, blocks=1, activation="softplus"), (2, 3, 3)),
    "residual cnn": (entry("residual_cnn", channels=3, blocks=2, activation="relu"), (1, 8, 8)),
    "residual cnn, colour, odd sizes": (
        entry("residual_cnn", channels=4, blocks=1, kernel=5, activation="gaussian"),
        (3, 7, 9),
    ),
}


@pytest.mark.parametrize("shared", [True, False], ids=["shared inputs", "inputs per member"])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_stacked_forward_equals_a_plain_network_per_member(name, members, shared):
    model, features = NETWORKS[name]
    network = networks.build(features=features, outputs=2, **model)
    parameters = network.initialize(range(members))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((10, *features) if shared else (members, 10, *features), generator=generator)
    output = network.forward(parameters, x)
    assert output.shape == (members, 10, 2)
    for member in range(members):
        plain = plain_network(model["kind"], [parameter[member] for parameter in parameters], model["activation"])
        torch.testing.assert_close(output[member], plain(x if shared else x[member]), rtol=1e-4, atol=1e-5)


def gradients_are_each_members_own(network: networks.Network, features: tuple[int, ...]) -> None:
    parameters = [p.requires_grad_() for p in network.initialize(range(3))]
    x = torch.randn((5, *features), generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(network.forward(parameters, x)[1].square().sum(), parameters)
    for gradient in gradients:
        assert gradient[1].abs().sum() > 0
        assert gradient[[0, 2]].abs().sum() == 0


@pytest.mark.parametrize("name", ["mlp", "cnn", "residual mlp", "residual cnn"])
def test_gradient_of_a_member_comes_from_its_own_output_alone(name):
    model, features = NETWORKS[name]
    gradients_are_each_members_own(networks.build(features=features, outputs=2, **model), features)


# --- one's own --------------------------------------------------------------------------------------------------------


class Towers(nn.Module):
    """A wide layer beside the input itself; a buffer, and a parameter of no dimension, for good measure."""

    def __init__(self, features, outputs, width=4):
        super().__init__()
        size = math.prod(features)
        self.wide = nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.Tanh())
        self.read = nn.Linear(width + size, outputs)
        self.scale = nn.Parameter(torch.rand(()) + 0.5)
        self.register_buffer("shift", torch.ones(outputs))

    def forward(self, x):
        return self.scale * self.read(torch.cat([self.wide(x), x.flatten(1)], dim=-1)) + self.shift


def cube(x: torch.Tensor) -> torch.Tensor:
    return x**3


OWN = {"kind": "test_networks:Towers", "options": {"width": 3}}


@pytest.mark.parametrize("shared", [True, False], ids=["shared inputs", "inputs per member"])
@pytest.mark.parametrize("features", [(3,), (1, 4, 4)])
def test_own_model_by_vmap_equals_the_module_run_alone(features, shared):
    network = networks.build(features=features, outputs=2, **OWN)
    seeds = [7, 8, 9]
    parameters = network.initialize(seeds)
    x = torch.randn((10, *features) if shared else (3, 10, *features), generator=torch.Generator().manual_seed(1))
    output = network.forward(parameters, x)
    assert output.shape == (3, 10, 2)
    for member, seed in enumerate(seeds):
        torch.manual_seed(seed)
        module = Towers(features, 2, width=3)
        for stacked, own in zip(parameters, module.parameters(), strict=True):
            assert torch.equal(stacked[member], own)
        torch.testing.assert_close(output[member], module(x if shared else x[member]), rtol=1e-4, atol=1e-5)
    gradients_are_each_members_own(network, features)


def test_own_model_is_initialized_by_seed_alone_and_leaves_the_global_generator_alone():
    network = networks.build(features=(3,), outputs=2, **OWN)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    together = network.initialize([3, 4])
    assert torch.equal(torch.rand(3), expected)
    for stacked, alone in zip(together, network.initialize([4]), strict=True):
        assert torch.equal(stacked[1], alone[0])
    assert not torch.equal(together[0][0], together[0][1])


def test_building_an_own_model_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    networks.build(features=(3,), outputs=2, **OWN)
    assert torch.equal(torch.rand(3), expected)


def test_own_activation_is_applied_between_layers():
    network = networks.build(features=(3,), outputs=2, **entry("mlp", widths=[4], activation="test_networks:cube"))
    parameters = network.initialize([0])
    x = torch.randn((5, 3), generator=torch.Generator().manual_seed(1))
    first, last = linear(parameters[0][0], parameters[1][0]), linear(parameters[2][0], parameters[3][0])
    torch.testing.assert_close(network.forward(parameters, x)[0], last(first(x) ** 3))


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        # An image of 7 x 9 halves to 4 x 5 and 2 x 3: the sizes that stride 2 with half padding leaves.
        (entry("cnn", channels=[3, 4], widths=[]), [(3, 1, 3, 3), (4, 3, 3, 3), (4 * 2 * 3, 2)]),
        (entry("residual_cnn", channels=3, blocks=1), [(3, 1, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3 * 4 * 5, 2)]),
        (entry("residual_mlp", width=5, blocks=2), [(63, 5), (5, 5), (5, 5), (5, 2)]),
        (entry("mlp", widths=[6]), [(63, 6), (6, 2)]),
    ],
    ids=["cnn", "residual_cnn", "residual_mlp", "mlp"],
)
def test_parameters_that_are_built_fit_the_forward_function_of_a_flattened_image(model, weights):
    network = networks.build(features=(1, 7, 9), outputs=2, **model)
    shapes = [tuple(parameter.shape[1:]) for parameter in network.initialize([0])]
    assert shapes[::2] == weights
    assert shapes[1::2] == [(shape[-1] if len(shape) == 2 else shape[0],) for shape in weights]


def test_initialization_of_the_entry_is_the_one_that_is_taken():
    for initialization in ("scaled", "gaussian", "xavier", "he"):
        model = entry("mlp", widths=[6], initialization=initialization, std=0.7)
        found = networks.build(features=(3,), outputs=2, **model).initialize([3, 4])
        expected = initialize([(3, 6), (6, 2)], initialization, 0.7, [3, 4])
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
