"""The ensemble trainer against plain PyTorch loops over single networks."""

import inspect
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fpkit import config
from fpkit.config.training import Cnn, Loss, Mlp, Optimizer, Training
from fpkit.errors import UserError
from fpkit.jobs import gpus
from fpkit.store import checkpoint
from fpkit.store.schedule import record_steps
from fpkit.training import activations, algorithms, initialization, losses, networks
from fpkit.training.batches import Batches
from fpkit.training.compiled import library
from fpkit.training.trainer import train

MLP = config.plain(Mlp(kind="mlp", widths=[8, 6], activation="tanh"))
CNN = config.plain(Cnn(kind="cnn", channels=[2, 3], widths=[5], activation="relu", initialization="he"))


@pytest.fixture(params=["compiled", "torch"])
def path(request, monkeypatch):
    """Both ways to train a fully connected network on the CPU."""
    if request.param == "torch":
        monkeypatch.setattr(library, "loaded", lambda: None)
    elif library.loaded() is None:
        pytest.skip("no C++ compiler on this machine")


class Records:
    """What the trainer asks of a sink, kept in a list: the smallest thing beside the Zarr store that fulfils it."""

    def __init__(self):
        self.rows = []

    @property
    def records(self) -> int:
        return len(self.rows)

    def append(self, step, prediction, **scores):
        self.rows.append((step, prediction.copy(), {name: score.copy() for name, score in scores.items()}))

    def flush(self):
        pass

    def truncate(self, records):
        del self.rows[records:]

    @property
    def steps(self) -> list[int]:
        return [step for step, _, _ in self.rows]

    @property
    def predictions(self) -> np.ndarray:
        return np.stack([prediction for _, prediction, _ in self.rows])

    def score(self, name: str) -> np.ndarray:
        return np.stack([scores[name] for _, _, scores in self.rows])


def line_data(samples: int = 24) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = np.linspace(-np.pi, np.pi, samples, endpoint=False)[:, np.newaxis]
    x_test = rng.uniform(-np.pi, np.pi, (9, 1))
    parts = {"x_train": x, "y_train": np.sin(x) + np.sin(3 * x), "x_test": x_test, "y_test": np.sin(x_test)}
    return {name: values.astype(np.float32) for name, values in parts.items()}


def image_data(samples: int = 30, classes: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    data = {}
    for part, count in (("train", samples), ("test", 11)):
        label = rng.integers(classes, size=count)
        data[f"x_{part}"] = (rng.standard_normal((count, 1, 4, 4)) + label[:, None, None, None]).astype(np.float32)
        data[f"y_{part}"] = np.eye(classes, dtype=np.float32)[label]
    return data


def trained(data: dict, model: dict = MLP, per_decade: int = 10, split: str = "train", **changes) -> Records:
    options = config.plain(Training(device="cpu")) | {"steps": 12, "members": 3, "learning_rate": 0.01}
    sink = Records()
    train(model, data, sink, **(options | changes), per_decade=per_decade, split=split)
    return sink


# --- against plain loops ----------------------------------------------------------------------------------------------


def plain_forward(parameters: list[torch.Tensor], x: torch.Tensor, activation) -> torch.Tensor:
    """One network, layer by layer, with torch's functions for single networks."""
    for layer in range(0, len(parameters), 2):
        weight, bias = parameters[layer : layer + 2]
        if layer:
            x = activation(x)
        if weight.dim() == 4:
            x = F.conv2d(x, weight, bias, stride=2, padding=weight.shape[-1] // 2)
        else:
            x = F.linear(x.flatten(1), weight.T, bias)
    return x


def rprop(parameters, learning_rate):
    """An algorithm of one's own."""
    return torch.optim.Rprop(parameters, lr=learning_rate)


def quartic(output, target):
    """A loss of one's own."""
    return (output - target).pow(4).mean(dim=(1, 2))


OWN_OPTIMIZER, OWN_LOSS = f"{__name__}:rprop", f"{__name__}:quartic"

# The recipe, and torch's own optimizer for one network's parameters.
SINGLE = {"foreach": False, "fused": False}
ALGORITHMS = {
    "adam": ({"learning_rate": 0.02}, lambda p: torch.optim.Adam(p, lr=0.02, **SINGLE)),
    "adamw": ({"learning_rate": 0.02}, lambda p: torch.optim.AdamW(p, lr=0.02, **SINGLE)),
    "sgd": ({"learning_rate": 0.02}, lambda p: torch.optim.SGD(p, lr=0.02, **SINGLE)),
    "momentum": ({"learning_rate": 0.02, "momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9)),
    "nesterov": (
        {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, **SINGLE),
    ),
    "rmsprop": ({"learning_rate": 0.01}, lambda p: torch.optim.RMSprop(p, lr=0.01, foreach=False)),
    "adagrad": ({"learning_rate": 0.05}, lambda p: torch.optim.Adagrad(p, lr=0.05, foreach=False)),
    "adadelta": ({"learning_rate": 1.0}, lambda p: torch.optim.Adadelta(p, lr=1.0, foreach=False)),
    "lbfgs": (
        {"learning_rate": 1.0},
        lambda p: torch.optim.LBFGS(p, lr=1.0, max_iter=1, max_eval=25, line_search_fn="strong_wolfe"),
    ),
    OWN_OPTIMIZER: ({"learning_rate": 0.01}, lambda p: torch.optim.Rprop(p, lr=0.01, foreach=False)),
}
RECIPES = {
    name: {"optimizer": "sgd" if name in ("momentum", "nesterov") else name, **options}
    for name, (options, _) in ALGORITHMS.items()
}
PLAIN_LOSSES = {
    "mse": F.mse_loss,
    "mae": F.l1_loss,
    "huber": F.huber_loss,
    "cross_entropy": F.cross_entropy,
    OWN_LOSS: lambda output, target: ((output - target) ** 4).mean(),
}


def names_of(part) -> list[str]:
    """The names in the package that a field of the configuration takes."""
    return TypeAdapter(part).json_schema()["anyOf"][0]["enum"]


def functions_of(module) -> set[str]:
    """The names of a module's own functions, but for those by which others find them."""
    own = {name for name, one in vars(module).items() if inspect.isfunction(one) and one.__module__ == module.__name__}
    return {name for name in own if not name.startswith("_")} - {"build", "by_hand", "gradient_of", "goes_one_by_one"}


def test_every_algorithm_and_loss_of_the_config_is_compared_with_a_plain_one():
    assert {recipe["optimizer"] for recipe in RECIPES.values()} == {
        *names_of(Optimizer),
        OWN_OPTIMIZER,
    }
    assert set(PLAIN_LOSSES) == {*names_of(Loss), OWN_LOSS}
    assert functions_of(losses) == set(names_of(Loss))
    assert functions_of(algorithms) == set(names_of(Optimizer))


def plain_loop(
    data, model, seed, *, algorithm, loss, steps, batch_size=None, optimizer=None, schedule=None, clip=None
) -> np.ndarray:
    """Predictions (step, sample, output) of one network at every step; what comes out is what the paper's loop does."""
    x, y = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    stacked = networks.build(features=x.shape[1:], outputs=y.shape[1], **model).initialize([seed])
    parameters = [parameter[0].clone().requires_grad_() for parameter in stacked]
    update = (optimizer or ALGORITHMS[algorithm][1])(parameters)
    rate = schedule and torch.optim.lr_scheduler.LambdaLR(update, schedule)
    batches = Batches(len(x), batch_size, [seed])
    activation = activations.build(model["activation"])
    history = []
    for step in range(steps + 1):
        with torch.no_grad():
            output = plain_forward(parameters, x, activation)
            history.append((output.softmax(1) if loss == "cross_entropy" else output).numpy())
        chosen = slice(None) if batch_size is None else batches.ahead(step, step + 1)[0, 0]
        x_batch, y_batch = x[chosen], y[chosen]

        def closure(x_batch=x_batch, y_batch=y_batch):
            update.zero_grad()
            value = PLAIN_LOSSES[loss](plain_forward(parameters, x_batch, activation), y_batch)
            value.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(parameters, clip, foreach=False)
            return value

        update.step(closure)
        if rate:
            rate.step()
    return np.stack(history)


def assert_equals_plain_loops(data, model, algorithm, loss, batch_size) -> None:
    # Every line search magnifies rounding errors: after a dozen of them, one seed in twenty comes to a kink of relu,
    # where the last bit decides.
    recipe = {"loss": loss, "steps": 7 if algorithm == "lbfgs" else 15, "batch_size": batch_size}
    ensemble = trained(data, model, seed_offset=6, **recipe, **RECIPES[algorithm])
    for member in range(3):
        plain = plain_loop(data, model, 6 + member, algorithm=algorithm, **recipe)
        assert np.ptp(plain, axis=0).max() > 0.01  # it does learn something, or the comparison would say nothing
        np.testing.assert_allclose(ensemble.predictions[:, member], plain[ensemble.steps], rtol=2e-3, atol=2e-4)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("data", "model"), [("line", MLP), ("images", CNN)], ids=["line", "images"])
def test_ensemble_equals_a_plain_loop_over_single_networks(data, model, algorithm, batch_size):
    assert_equals_plain_loops({"line": line_data, "images": image_data}[data](), model, algorithm, "mse", batch_size)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize(
    ("loss", "algorithm"),
    [
        *itertools.product(["cross_entropy", "huber"], ["adam", "sgd", "momentum", "lbfgs"]),
        # No line search over kinks, which the last bit decides; no momentum with fourth powers, which run away.
        *itertools.product(["mae"], ["adam", "sgd", "momentum"]),
        *itertools.product([OWN_LOSS], ["adam", "sgd", "lbfgs"]),
    ],
)
def test_ensemble_equals_a_plain_loop_under_any_loss(loss, algorithm, batch_size):
    # Where all units of relu are dead an output is its bias, by whose last bit it meets a target: a kink of this loss.
    model = CNN | ({"activation": "tanh"} if loss == "mae" else {})
    assert_equals_plain_loops(image_data(), model, algorithm, loss, batch_size)


@pytest.mark.parametrize("per_member", [False, True], ids=["shared target", "target per member"])
@pytest.mark.parametrize("name", PLAIN_LOSSES)
def test_loss_of_each_member_equals_that_of_torch(name, per_member):
    generator = torch.Generator().manual_seed(0)
    output = 3 * torch.randn((4, 9, 5), generator=generator, dtype=torch.float64)  # on both sides of huber's corner
    target = torch.rand((4, 9, 5) if per_member else (9, 5), generator=generator, dtype=torch.float64)
    target = target / target.sum(dim=-1, keepdim=True)
    found = losses.build(name)(output, target)
    assert found.shape == (4,)
    for member in range(4):
        expected = PLAIN_LOSSES[name](output[member], target[member] if per_member else target)
        torch.testing.assert_close(found[member], expected)


# --- members are independent ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("model", [MLP, CNN], ids=["mlp", "cnn"])
def test_member_trained_alone_equals_the_same_member_in_an_ensemble(model, algorithm, batch_size):
    data, recipe = line_data() if model is MLP else image_data(), RECIPES[algorithm]
    together = trained(data, model, members=4, seed_offset=10, batch_size=batch_size, **recipe)
    for member in range(4):
        alone = trained(data, model, members=1, seed_offset=10 + member, batch_size=batch_size, **recipe)
        np.testing.assert_allclose(together.predictions[:, member], alone.predictions[:, 0], rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_member_is_bit_identical_whoever_trains_beside_it_and_wherever_it_stands(algorithm, batch_size):
    recipe = {"members": 4, "batch_size": batch_size, **RECIPES[algorithm]}
    seeds_10_to_13 = trained(line_data(), seed_offset=10, **recipe)
    seeds_12_to_15 = trained(line_data(), seed_offset=12, **recipe)
    assert np.array_equal(seeds_10_to_13.predictions[:, 2:], seeds_12_to_15.predictions[:, :2])


def with_parameters_of_member_1(monkeypatch, change) -> None:
    """Let `change(parameter)` take the place of the initial parameters of the second member."""
    initialize = initialization.initialize

    def changed(*arguments):
        parameters = initialize(*arguments)
        for parameter in parameters:
            parameter[1] = change(parameter[1])
        return parameters

    monkeypatch.setattr(initialization, "initialize", changed)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("model", [MLP, CNN], ids=["mlp", "cnn"])
def test_member_is_bit_identical_when_its_neighbour_is_another(monkeypatch, model, batch_size):
    data = line_data() if model is MLP else image_data()
    before = trained(data, model, batch_size=batch_size)
    with_parameters_of_member_1(monkeypatch, lambda parameter: 0.1 - 0.7 * parameter)
    after = trained(data, model, batch_size=batch_size)
    assert not np.allclose(after.predictions[:, 1], before.predictions[:, 1])
    assert np.array_equal(after.predictions[:, [0, 2]], before.predictions[:, [0, 2]])


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7])
def test_same_seeds_give_the_same_bits(batch_size):
    data = image_data()
    one, two = (trained(data, CNN, batch_size=batch_size, optimizer="adam") for _ in range(2))
    assert np.array_equal(one.predictions, two.predictions)
    assert np.array_equal(one.score("loss_test"), two.score("loss_test"))


def test_members_differ_from_each_other():
    predictions = trained(line_data()).predictions
    assert all(not np.allclose(predictions[:, a], predictions[:, b]) for a, b in itertools.combinations(range(3), 2))


def test_training_does_not_depend_on_the_global_generator():
    torch.manual_seed(1)
    one = trained(line_data(), batch_size=7)
    torch.manual_seed(2)
    two = trained(line_data(), batch_size=7)
    assert np.array_equal(one.predictions, two.predictions)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30])
def test_broken_member_leaves_the_others_untouched_bit_for_bit(monkeypatch, algorithm, poison):
    healthy = trained(image_data(), CNN, **RECIPES[algorithm])
    with_parameters_of_member_1(monkeypatch, lambda parameter: poison)
    sick = trained(image_data(), CNN, **RECIPES[algorithm])
    assert not np.array_equal(sick.predictions[:, 1], healthy.predictions[:, 1])
    for member in (0, 2):
        assert np.array_equal(sick.predictions[:, member], healthy.predictions[:, member])
        assert np.array_equal(sick.score("loss_train")[:, member], healthy.score("loss_train")[:, member])


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "cross_entropy"])
def test_gradient_of_the_summed_loss_is_each_member_its_own(loss):
    data = {name: torch.from_numpy(values) for name, values in image_data().items()}
    network = networks.build(features=(1, 4, 4), outputs=3, **MLP)
    parameters = [p.requires_grad_() for p in network.initialize(range(3))]
    by_member = losses.build(loss)(network.forward(parameters, data["x_train"]), data["y_train"])
    summed = torch.autograd.grad(by_member.sum(), parameters, retain_graph=True)
    for member in range(3):
        for own, together in zip(
            torch.autograd.grad(by_member[member], parameters, retain_graph=True), summed, strict=True
        ):
            torch.testing.assert_close(own[member], together[member])
            assert own[[other for other in range(3) if other != member]].abs().sum() == 0


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_training_resumed_from_its_checkpoint_gives_the_same_bits(tmp_path, algorithm, batch_size):
    options = config.plain(Training(device="cpu", members=3, batch_size=batch_size))
    options |= RECIPES[algorithm]

    def train_to(steps: int, sink: Records, path=None) -> Records:
        options["steps"] = steps
        train(MLP, line_data(), sink, **options, per_decade=50, split="train", checkpoint_path=path)
        return sink

    whole = train_to(14, Records())
    sink = train_to(4, Records(), tmp_path / "state.npz")
    for steps in (5, 9, 14):
        train_to(steps, sink, tmp_path / "state.npz")
    assert sink.steps == whole.steps
    assert np.array_equal(sink.predictions, whole.predictions)
    assert np.array_equal(sink.score("loss_train"), whole.score("loss_train"))
    assert len(np.unique(whole.score("loss_train"), axis=0)) == len(whole.steps)  # it did train on


CHANGING = {
    "cosine": (
        {"schedule": {"kind": "cosine", "steps": 12, "warmup": 2, "final": 0.1}},
        lambda step: (step + 1) / 3 if step < 2 else 0.1 + 0.45 * (1 + np.cos(np.pi * min(1, (step - 2) / 10))),
    ),
    "linear": (
        {"schedule": {"kind": "linear", "steps": 10, "warmup": 0, "final": 0.0}},
        lambda step: max(0, 1 - step / 10),
    ),
    "step": ({"schedule": {"kind": "step", "every": 4, "warmup": 1, "factor": 0.3}},
             lambda step: 0.5 if step < 1 else 0.3 ** ((step - 1) // 4)),
}  # fmt: skip


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("batch_size", [None, 7], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("schedule", CHANGING)
@pytest.mark.parametrize("algorithm", ["adam", "adamw", "sgd", "momentum", "rmsprop", OWN_OPTIMIZER])
def test_schedules_equal_those_of_a_plain_loop(algorithm, schedule, batch_size):
    options, factor = CHANGING[schedule]
    recipe = {"loss": "mse", "steps": 15, "batch_size": batch_size}
    ensemble = trained(line_data(), MLP, seed_offset=6, **recipe, **RECIPES[algorithm], **options)
    for member in range(2):
        plain = plain_loop(line_data(), MLP, 6 + member, algorithm=algorithm, schedule=factor, **recipe)
        np.testing.assert_allclose(ensemble.predictions[:, member], plain[ensemble.steps], rtol=2e-3, atol=2e-4)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    "changing", [{"weight_decay": 0.3, "clip_norm": 0.05}, {"weight_decay": 0.3}, {"clip_norm": 0.05}]
)
@pytest.mark.parametrize(("data", "model"), [("line", MLP), ("images", CNN)], ids=["line", "images"])
@pytest.mark.parametrize("algorithm", ["adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta"])
def test_weight_decay_and_clipping_equal_those_of_a_plain_loop(algorithm, data, model, changing):
    data = {"line": line_data, "images": image_data}[data]()
    rate = RECIPES[algorithm]["learning_rate"]
    kinds = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
    kind = getattr(torch.optim, kinds.get(algorithm, "Adadelta"))
    recipe = {"loss": "mse", "steps": 15, "batch_size": 7}
    decay = {"weight_decay": changing["weight_decay"]} if "weight_decay" in changing else {}
    ensemble = trained(data, model, seed_offset=6, **recipe, **RECIPES[algorithm], **changing)
    without = trained(data, model, seed_offset=6, **recipe, **RECIPES[algorithm])
    assert not np.allclose(ensemble.predictions[-1], without.predictions[-1], atol=1e-3)
    for member in range(2):
        plain = plain_loop(
            data, model, 6 + member, algorithm=algorithm, clip=changing.get("clip_norm"), **recipe,
            optimizer=lambda p: kind(p, lr=rate, foreach=False, **decay),
        )  # fmt: skip
        np.testing.assert_allclose(ensemble.predictions[:, member], plain[ensemble.steps], rtol=2e-3, atol=2e-4)


@pytest.mark.usefixtures("path")
def test_a_schedule_goes_on_where_a_training_stopped(tmp_path):
    options = config.plain(Training(device="cpu", members=2, batch_size=7, clip_norm=0.1, weight_decay=0.01))
    options["schedule"] = CHANGING["cosine"][0]["schedule"]

    def train_to(steps: int, sink: Records, path=None) -> Records:
        options["steps"] = steps
        train(MLP, line_data(), sink, **options, per_decade=50, split="train", checkpoint_path=path)
        return sink

    whole, sink = train_to(14, Records()), Records()
    for steps in (4, 9, 14):
        train_to(steps, sink, tmp_path / "state.npz")
    assert np.array_equal(sink.predictions, whole.predictions)


class Counting(torch.optim.SGD):
    """An optimizer that keeps what no checkpoint can."""

    def step(self, closure):
        closure()
        super().step(closure)
        self.state[self.param_groups[0]["params"][0]] = {"counts": {1: 2}}


def counting(parameters, learning_rate):
    return Counting(parameters, lr=learning_rate)


def test_optimizer_whose_state_no_checkpoint_holds_is_told(tmp_path):
    options = config.plain(Training(device="cpu", steps=3)) | {"optimizer": f"{__name__}:counting"}
    path = tmp_path / "state.npz"
    with pytest.raises(UserError, match=r"keeps \{1: 2\} in its state, which no checkpoint can hold; let it keep"):
        train(MLP, line_data(), Records(), **options, per_decade=5, split="train", checkpoint_path=path)
    assert not any(tmp_path.iterdir())


def test_checkpoint_gives_back_what_it_was_given(tmp_path):
    leaves = [
        np.arange(3),
        np.float32(0.1),
        np.array(7),
        np.nan,
        None,
        True,
        3,
        "text",
        [],
        {},
        [[np.eye(2)], {"a": -0.0}],
    ]
    checkpoint.save(tmp_path / "state.npz", {"members": leaves})
    (state,) = checkpoint.load(tmp_path / "state.npz")
    np.testing.assert_equal(state, {"members": leaves})
    assert [getattr(leaf, "dtype", type(leaf)) for leaf in state["members"]] == [
        getattr(leaf, "dtype", type(leaf)) for leaf in leaves
    ]


class Precise(torch.optim.SGD):
    """Momentum in double precision, or in another that NumPy does not know."""

    def __init__(self, parameters, dtype):
        super().__init__(parameters, lr=0.01)
        self.dtype = dtype

    def step(self, closure):
        closure()
        (flat,) = self.param_groups[0]["params"]
        state = self.state[flat]
        velocity = state.setdefault("velocity", torch.zeros_like(flat, dtype=self.dtype, requires_grad=False))
        velocity.mul_(0.9).add_(flat.grad.to(self.dtype))
        with torch.no_grad():
            flat.sub_(0.01 * velocity.to(flat.dtype))


def double(parameters, learning_rate):
    return Precise(parameters, torch.float64)


def brain(parameters, learning_rate):
    return Precise(parameters, torch.bfloat16)


def trained_twice(tmp_path, optimizer) -> tuple[Records, Records]:
    """At once, and with a stop on the way."""
    options = config.plain(Training(device="cpu", members=3)) | {"optimizer": f"{__name__}:{optimizer}"}
    rest = {"per_decade": 50, "split": "train"}
    whole, sink = Records(), Records()
    train(MLP, line_data(), whole, **options | {"steps": 14}, **rest)
    for steps in (6, 14):
        train(MLP, line_data(), sink, **options | {"steps": steps}, **rest, checkpoint_path=tmp_path / "state.npz")
    return whole, sink


def test_state_of_ones_own_optimizer_keeps_its_precision(tmp_path):
    whole, sink = trained_twice(tmp_path, "double")
    assert np.array_equal(whole.predictions, sink.predictions)


def test_state_in_numbers_that_numpy_does_not_know_is_told(tmp_path):
    with pytest.raises(UserError, match=r"keeps numbers of torch\.bfloat16 in its state"):
        trained_twice(tmp_path, "brain")


@pytest.mark.usefixtures("path")
def test_cross_entropy_that_diverges_is_no_crash():
    found = trained(
        image_data(), MLP | {"activation": "relu"}, loss="cross_entropy", optimizer="sgd", learning_rate=1e30
    )
    assert np.isfinite(found.predictions[0]).all()
    assert np.isnan(found.predictions[-1]).any()


@pytest.mark.usefixtures("path")
def test_data_in_double_precision_is_taken():
    data = {name: array.astype(np.float64) for name, array in line_data().items()}
    assert np.array_equal(trained(data).predictions, trained(line_data()).predictions)


# --- device -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", [False, True])
@pytest.mark.parametrize("available", [False, True])
def test_auto_takes_a_gpu_that_torch_can_use_and_asks_it_only_if_there_is_a_driver(monkeypatch, driver, available):
    asked = []
    monkeypatch.setattr(gpus, "_driver", lambda: driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(True) or available)
    assert gpus.resolve("auto") == ("cuda" if driver and available else "cpu")
    assert bool(asked) == driver
    assert gpus.resolve("auto", pays=lambda: False) == "cpu"


@pytest.mark.parametrize("available", [False, True])
def test_device_that_is_named_is_taken_or_missed(monkeypatch, available):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert gpus.resolve("cpu") == "cpu"
    if available:
        assert gpus.resolve("cuda") == "cuda"
    else:
        with pytest.raises(UserError, match=r"device is cuda, but torch finds no GPU here; set it to auto or cpu"):
            gpus.resolve("cuda")


def test_where_torch_finds_a_gpu_there_is_a_driver():
    assert gpus._driver() or not torch.cuda.is_available()


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("path")
def test_recording_does_not_disturb_training():
    often, seldom = (trained(line_data(), per_decade=count, steps=100, batch_size=7) for count in (50, 2))
    common = sorted(set(often.steps) & set(seldom.steps))
    assert len(often.steps) > 2 * len(seldom.steps)
    assert common[-1] == 100
    for step in common:
        at = often.steps.index(step), seldom.steps.index(step)
        assert np.array_equal(often.predictions[at[0]], seldom.predictions[at[1]])


@pytest.mark.usefixtures("path")
def test_longer_training_begins_with_the_shorter_one():
    short, long = (trained(line_data(), steps=steps, batch_size=7) for steps in (20, 60))
    assert long.steps[: short.records] == short.steps
    assert np.array_equal(long.predictions[: short.records], short.predictions)


# A smooth activation: dead units give equal outputs for many samples, whose largest is a matter of rounding.
@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("model", [MLP, CNN | {"activation": "silu"}], ids=["mlp", "cnn"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_scores_equal_their_direct_computation_from_the_predictions(loss, model):
    data = image_data(samples=1100)  # more than one block of recording
    for split in ("train", "test"):
        sink = trained(data, model, loss=loss, split=split, steps=5)
        prediction, target = sink.predictions.astype(np.float64), data[f"y_{split}"]
        assert prediction.shape == (sink.records, 3, *target.shape)
        if loss == "mse":
            expected = ((prediction - target) ** 2).mean(axis=(2, 3))
        else:
            expected = -np.log((prediction * target).sum(axis=3)).mean(axis=2)
        np.testing.assert_allclose(sink.score(f"loss_{split}"), expected, rtol=1e-4)
        accuracy = (prediction.argmax(axis=3) == target.argmax(axis=1)).mean(axis=2)
        np.testing.assert_allclose(sink.score(f"accuracy_{split}"), accuracy, atol=1e-6)


def test_scores_are_of_both_parts_with_accuracy_for_classes_only():
    assert set(trained(line_data()).rows[0][2]) == {"loss_train", "loss_test"}
    assert set(trained(image_data()).rows[0][2]) == {"loss_train", "loss_test", "accuracy_train", "accuracy_test"}
    without_test = line_data() | {"x_test": np.empty((0, 1), np.float32), "y_test": np.empty((0, 1), np.float32)}
    assert set(trained(without_test).rows[0][2]) == {"loss_train"}


def with_validation(data: dict, classes: int = 3) -> dict:
    """Another part of the same kind, told apart by its size."""
    rng = np.random.default_rng(2)
    label = rng.integers(classes, size=13)
    x = (rng.standard_normal((13, 1, 4, 4)) + label[:, None, None, None]).astype(np.float32)
    return data | {"x_validation": x, "y_validation": np.eye(classes, dtype=np.float32)[label]}


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_validation_part_is_scored_like_the_others_and_never_trained_on(loss):
    data = with_validation(image_data())
    smooth = CNN | {"activation": "silu"}
    sink, without = trained(data, smooth, loss=loss), trained(image_data(), smooth, loss=loss)
    assert set(sink.rows[0][2]) == {f"{s}_{p}" for s in ("loss", "accuracy") for p in ("train", "validation", "test")}
    assert np.array_equal(sink.predictions, without.predictions)
    as_test = {"x_test": data["x_validation"], "y_test": data["y_validation"]}
    predictions = trained(image_data() | as_test, smooth, loss=loss, split="test").predictions.astype(np.float64)
    if loss == "mse":
        expected = ((predictions - as_test["y_test"]) ** 2).mean(axis=(2, 3))
    else:
        expected = -np.log((predictions * as_test["y_test"]).sum(axis=3)).mean(axis=2)
    np.testing.assert_allclose(sink.score("loss_validation"), expected, rtol=1e-4)
    accuracy = (predictions.argmax(axis=3) == as_test["y_test"].argmax(axis=1)).mean(axis=2)
    np.testing.assert_allclose(sink.score("accuracy_validation"), accuracy, atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_split_all_is_training_then_test_samples(loss):
    data = with_validation(image_data(samples=1100))
    parts = [trained(data, CNN, loss=loss, steps=5, split=split) for split in ("train", "test", "all")]
    train_part, test_part, both = (sink.predictions for sink in parts)
    assert both.shape[2] == 1100 + 11  # and no validation samples
    assert np.array_equal(both, np.concatenate([train_part, test_part], axis=2))
    assert np.array_equal(parts[2].score("loss_test"), parts[1].score("loss_test"))


def test_split_all_without_test_samples_is_the_training_part():
    data = line_data() | {"x_test": np.empty((0, 1), np.float32), "y_test": np.empty((0, 1), np.float32)}
    assert np.array_equal(trained(data, split="all").predictions, trained(data).predictions)


def test_under_cross_entropy_predictions_are_probabilities():
    predictions = trained(image_data(), loss="cross_entropy").predictions
    assert (predictions >= 0).all()
    np.testing.assert_allclose(predictions.sum(axis=-1), 1, rtol=1e-5)


def test_progress_hears_of_every_record():
    heard = []
    data, sink = line_data(), Records()
    options = config.plain(Training(device="cpu", steps=30, members=2))
    train(MLP, data, sink, **options, per_decade=10, split="train", progress=lambda *said: heard.append(said))
    assert [step for step, _ in heard] == sink.steps == record_steps(30, 10)
    assert np.array_equal(np.stack([loss for _, loss in heard]), sink.score("loss_train"))


# --- mini-batches -----------------------------------------------------------------------------------------------------


@given(
    samples=st.integers(2, 40),
    batch_size=st.integers(1, 40),
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
@settings(deadline=None)
def test_batches_of_an_epoch_draw_without_replacement(samples, batch_size, seeds):
    batches = Batches(samples, batch_size, seeds)
    if batch_size >= samples:
        assert batches.ahead(3, 8) is None
        return
    per_epoch = samples // batch_size
    epochs = batches.ahead(0, 3 * per_epoch)
    assert epochs.shape == (len(seeds), 3 * per_epoch, batch_size)
    for epoch in np.split(epochs, 3, axis=1):
        for seen in epoch.reshape(len(seeds), -1).tolist():
            assert len(set(seen)) == len(seen)
            assert set(seen) <= set(range(samples))


def test_batches_differ_between_members_and_epochs():
    batches = Batches(60, 6, [0, 1, 2])
    orders = {}
    for epoch in range(4):
        drawn = batches.ahead(10 * epoch, 10 * epoch + 10)
        for member, order in enumerate(drawn.reshape(3, -1).tolist()):
            assert sorted(order) == list(range(60))
            orders[epoch, member] = order
    assert all(orders[a] != orders[b] for a, b in itertools.combinations(orders, 2))


def test_batch_follows_from_its_step_alone_so_that_nothing_is_kept_to_resume():
    in_turn, jumping = (Batches(50, 8, [3, 4]) for _ in range(2))
    expected = [in_turn.ahead(step, step + 1) for step in range(30)]
    for step in (29, 3, 17, 4):
        assert np.array_equal(jumping.ahead(step, step + 1), expected[step])
    assert np.array_equal(jumping.ahead(3, 25), np.concatenate(expected[3:25], axis=1))
    assert np.array_equal(jumping.epoch(2), jumping.ahead(12, 18))
    next_drawn = in_turn.epochs * in_turn.per_epoch  # the first update whose samples are drawn later than those before
    across = range(next_drawn - 3, next_drawn + 3)
    expected = [in_turn.ahead(step, step + 1) for step in reversed(across)][::-1]
    assert np.array_equal(jumping.ahead(across[0], across[-1] + 1), np.concatenate(expected, axis=1))
    assert not np.array_equal(in_turn.ahead(next_drawn, next_drawn + 6), in_turn.ahead(0, 6))


def test_no_epoch_draws_the_numbers_of_which_the_parameters_were_made():
    order = Batches(50, 8, [3]).epoch(0)[0].ravel()
    assert not np.array_equal(order, np.random.default_rng(3).permutation(50)[: len(order)])


# --- schedule ---------------------------------------------------------------------------------------------------------


@given(steps=st.integers(1, 300_000), more=st.integers(0, 300_000), per_decade=st.integers(1, 90))
@settings(deadline=None)
def test_schedule_starts_at_zero_rises_ends_in_time_and_a_shorter_one_is_its_beginning(steps, more, per_decade):
    short, long = record_steps(steps, per_decade), record_steps(steps + more, per_decade)
    assert short[:2] == [0, 1]
    assert all(a < b for a, b in itertools.pairwise(short))
    assert short[-1] <= steps
    assert all(type(step) is int for step in short)
    assert long[: len(short)] == short
    assert all(step > steps for step in long[len(short) :])


@given(steps=st.integers(10, 300_000), per_decade=st.integers(1, 90))
@settings(deadline=None)
def test_schedule_is_log_spaced_with_as_many_steps_per_decade_as_asked_for(steps, per_decade):
    schedule = np.asarray(record_steps(steps, per_decade)[1:])
    # No gap is wider than one spacing after rounding: to integers up to 10, then to two digits, 5% on either side.
    ratio = 10 ** (1 / per_decade)
    widest = np.maximum(schedule[:-1] * ratio * 1.05**2, (schedule[:-1] + 0.5) * ratio + 0.5)
    assert (schedule[1:] <= widest + 1e-9).all()
    whole = [((schedule >= 10**e) & (schedule < 10 ** (e + 1))).sum() for e in range(int(np.log10(steps)))]
    assert all(count <= per_decade + 1 for count in whole)


@pytest.mark.parametrize("steps", [1, 10, 100, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000, 100_000])
def test_round_number_of_steps_is_the_last_record_at_50_per_decade(steps):
    assert record_steps(steps, 50)[-1] == steps
