"""The gradient by hand against autograd; blocks and threads against one stack."""

import itertools

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from test_training import CNN, MLP, Records, image_data, line_data, path, trained  # noqa: F401

from fpkit import config
from fpkit.config.training import Activation, Loss, ResidualCnn, ResidualMlp, Training, Transformer
from fpkit.training import activations, gradients, losses, networks, stacked
from fpkit.training.trainer import train
from fpkit.training.work import operations

ACTIVATIONS, LOSSES = (TypeAdapter(part).json_schema()["anyOf"][0]["enum"] for part in (Activation, Loss))


def both(activation="tanh", loss="mse", widths=(7, 5), features=(3,), outputs=2, members=3):
    """The same stack twice: its gradient by hand, and by autograd."""
    model = {"kind": "mlp", "widths": list(widths), "activation": activation, "initialization": "scaled", "std": 0.1}
    network = networks.build(features=features, outputs=outputs, **model)
    initial = network.initialize(range(members))
    by_hand = gradients.build(model, len(features), network, initial, loss)
    assert isinstance(by_hand, gradients.Backpropagation)
    return by_hand, gradients.Autograd(network, initial, losses.build(loss))


def as_taken(by_hand: gradients.Backpropagation, flat: torch.Tensor) -> list[torch.Tensor]:
    """The parts of a flat tensor as the network takes them: weight and bias of each layer in turn."""
    stacks = by_hand.stacks(flat)
    weights, biases = stacks[: len(stacks) // 2], stacks[len(stacks) // 2 :]
    weights[-1] = weights[-1].transpose(1, 2)
    return [part for weight, bias in zip(weights, biases, strict=True) for part in (weight, bias.flatten(1))]


def data(samples, features, outputs, members=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    leading = () if members is None else (members,)
    x = 2 * torch.randn((*leading, samples, *features), generator=generator)
    y = torch.softmax(torch.randn((*leading, samples, outputs), generator=generator), dim=-1)
    return x, y


def assert_same_gradient(by_hand, by_autograd, x, y) -> None:
    outputs = [way.gradient(x, y) for way in (by_hand, by_autograd)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    found, expected = as_taken(by_hand, by_hand.flat.grad), by_autograd.stacks(by_autograd.flat.grad)
    assert any(part.abs().max() > 1e-3 for part in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(by_hand.predict(x[..., :4, :]), by_autograd.predict(x[..., :4, :]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_by_hand_is_that_of_autograd(activation, loss):
    assert_same_gradient(*both(activation, loss), *data(11, (3,), 2))


@pytest.mark.parametrize("members", [None, 3], ids=["shared", "per member"])
@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("widths", [(), (6,), (5, 8, 3)])
def test_gradient_by_hand_fits_any_shape(widths, outputs, members):
    assert_same_gradient(*both(widths=widths, outputs=outputs), *data(9, (3,), outputs, members))


def test_images_are_flattened():
    by_hand, by_autograd = both(features=(1, 2, 3))
    for members in (None, 3):
        x, y = data(6, (1, 2, 3), 2, members)
        outputs = [way.gradient(x, y) for way in (by_hand, by_autograd)]
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_other_samples_give_another_gradient_in_new_memory_and_in_the_same():
    by_hand, by_autograd = both()
    x, y = data(11, (3,), 2)
    assert_same_gradient(by_hand, by_autograd, x, y)
    assert_same_gradient(by_hand, by_autograd, *data(11, (3,), 2, seed=1))
    assert_same_gradient(by_hand, by_autograd, x[:5], y[:5])
    x.mul_(-0.5)
    assert_same_gradient(by_hand, by_autograd, x, y)


def test_tanh_is_within_a_rounding_error_of_torch():
    z = torch.cat([torch.linspace(-20, 20, 100_001), torch.tensor([0.0, -0.0, 1e-8, torch.inf, -torch.inf])])
    h = z * activations.by_hand("tanh").scale
    for call in activations.by_hand("tanh").forward(h, h):
        call()
    assert (h - torch.tanh(z.double())).abs().max() < 2e-7


def assert_exact_near_zero(activation: str, z: np.ndarray, found: np.ndarray) -> None:
    """The relative error of an activation's values is that of rounding, down to 1e-30."""
    exactly = activations.build(activation)
    if activation == "elu":  # of torch's, e^x - 1 may be rounded in between
        exactly = lambda x: torch.where(x < 0, torch.expm1(x), x)  # noqa: E731
    expected = exactly(torch.from_numpy(z).double()).numpy()
    error = np.abs(found[expected != 0] / expected[expected != 0] - 1)
    assert error.max() < 1e-6, (activation, z[expected != 0][error.argmax()])
    assert not found[expected == 0].any()


@pytest.mark.parametrize("by", ["hand", "autograd"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_exact_near_zero_too(activation, by):
    """Where small weights keep a network."""
    sizes = np.logspace(-30, 0, 3001)
    z = np.concatenate([-sizes, sizes]).astype(np.float32)
    if activation == "ricker":  # which is zero at one
        z = z[np.abs(z) < 0.5]
    by_hand, by_autograd = both(activation, widths=(1,), features=(1,), outputs=1, members=1)
    network = by_hand if by == "hand" else by_autograd
    for stack, value in zip(
        network.stacks(network.flat.detach()), (1, 1, 0, 0) if by == "hand" else (1, 0, 1, 0), strict=False
    ):
        stack.fill_(value)
    assert_exact_near_zero(activation, z, network.predict(torch.from_numpy(z)[:, None])[0, :, 0].numpy())


def test_own_activation_and_own_loss_go_by_autograd():
    network = networks.build(features=(3,), outputs=2, **MLP)
    for model, loss in ((MLP, "test_training:quartic"), (MLP | {"activation": "torch:tanh"}, "mse"), (CNN, "mse")):
        assert isinstance(gradients.build(model, 1, network, network.initialize([0]), loss), gradients.Autograd)


# --- blocks and threads -----------------------------------------------------------------------------------------------

RECIPES = {"full batch": {}, "mini-batches": {"batch_size": 7}, "lbfgs": {"optimizer": "lbfgs", "learning_rate": 1.0}}


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_threads_and_blocks_change_no_bit_of_a_fully_connected_network(monkeypatch, recipe, threads):
    one = trained(line_data(), members=5, **RECIPES[recipe])
    many = trained(line_data(), members=5, threads=threads, **RECIPES[recipe])
    assert np.array_equal(one.predictions, many.predictions)
    monkeypatch.setattr(stacked, "BLOCK_OPERATIONS", 1)  # a block for each member
    apart = trained(line_data(), members=5, threads=threads, **RECIPES[recipe])
    assert np.array_equal(one.predictions, apart.predictions)


OTHERS = {
    "cnn": (CNN, {}),
    "residual cnn": (config.plain(ResidualCnn(kind="residual_cnn", channels=2, blocks=1)), {}),
    "residual mlp": (config.plain(ResidualMlp(kind="residual_mlp", width=33, blocks=2)), {}),
    "transformer": (config.plain(Transformer(kind="transformer", width=6, layers=2, patch=1)), {}),
    "own loss": (MLP, {"loss": "test_training:quartic"}),
    "own activation": (MLP | {"activation": "torch:tanh"}, {}),
    "own model": ({"kind": "test_gradients:two_layers", "options": {}}, {}),
}


def two_layers(features, outputs):
    """A model of one's own, of 33 units."""
    inputs = torch.Size(features).numel()
    layers = torch.nn.Linear(inputs, 33), torch.nn.Tanh(), torch.nn.Linear(33, outputs)
    return torch.nn.Sequential(torch.nn.Flatten(-len(features)), *layers)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("members", [1, 5])
@pytest.mark.parametrize("operations", [stacked.BLOCK_OPERATIONS, 1e6])
@pytest.mark.parametrize("kind", OTHERS)
def test_threads_change_no_bit_of_any_network(monkeypatch, kind, operations, members):
    """Threads of torch's own add up in another order."""
    monkeypatch.setattr(stacked, "BLOCK_OPERATIONS", operations)
    model, recipe = OTHERS[kind]
    data = {name: np.tile(array, (20, *[1] * (array.ndim - 1))) for name, array in image_data().items()}
    one, *more = (trained(data, model, members=members, threads=threads, **recipe) for threads in (1, 2, 3))
    for many in more:
        assert np.array_equal(one.predictions, many.predictions)


@pytest.mark.usefixtures("path")
def test_neighbours_change_no_bit_of_a_convolutional_network():
    """By torch, members are convolved by fours: a block is the same, whatever blocks there are beside it."""
    few, many = (trained(image_data(), CNN, members=members) for members in (4, 8))
    assert np.array_equal(few.predictions, many.predictions[:, :4])


@pytest.mark.parametrize(("size", "together"), [(8, 4), (14, 4), (28, 3), (56, 1)])
def test_small_networks_are_convolved_together_and_large_ones_alone(size, together):
    initial = networks.build(features=(1, size, size), outputs=10, **CNN | {"channels": [8, 16]}).initialize(range(12))
    of_one = operations(CNN, [parameter.shape[1:] for parameter in initial], [64, 1, size, size])
    assert stacked._blocks(CNN, "mse", "adam", initial, of_one, threads=2) == 12 // together


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("recipe", RECIPES)
def test_training_goes_on_with_another_number_of_threads(tmp_path, recipe):
    options = config.plain(Training(device="cpu", members=5)) | RECIPES[recipe]
    sink = Records()
    for steps, threads in ((4, 1), (9, 3), (14, 2)):
        options |= {"steps": steps, "threads": threads}
        train(MLP, line_data(), sink, **options, per_decade=50, split="train", checkpoint_path=tmp_path / "state.npz")
    whole = trained(line_data(), per_decade=50, **{**options, "threads": 1})
    assert sink.steps == whole.steps
    assert np.array_equal(sink.predictions, whole.predictions)


@pytest.mark.parametrize(("members", "threads"), [*itertools.product([1, 2, 7, 64], [1, 2, 5])])
def test_blocks_by_hand_leave_no_thread_idle(members, threads):
    for width in (2, 300):
        of_one = operations(MLP, [(width, width)], [500, width])
        count = stacked._blocks(MLP, "mse", "adam", [torch.zeros(members, width, width)], of_one, threads)
        assert min(members, threads) <= count <= members
