"""Updates in compiled code against autograd, whatever the shapes."""

import itertools
import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch
import xarray as xr
import zarr
from conftest import REPOSITORY, on_linux
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gradients import assert_exact_near_zero
from test_training import CNN, MLP, Records, image_data, line_data, names_of, trained

from fpkit import config
from fpkit.config.training import Activation, Loss, Optimizer, ResidualCnn, ResidualMlp, Training, Transformer
from fpkit.training import activations, losses, networks
from fpkit.training.compiled import ensemble, layers, library
from fpkit.training.compiled import networks as compiled
from fpkit.training.gradients import Autograd
from fpkit.training.layout import parted
from fpkit.training.trainer import build, train

pytestmark = pytest.mark.skipif(library.loaded() is None, reason="no C++ compiler on this machine")

ACTIVATIONS = [name for name in names_of(Activation) if library.knows("activation", name)]
ALGORITHMS = [name for name in names_of(Optimizer) if library.knows("algorithm", name)]
LOSSES = [name for name in names_of(Loss) if library.knows("loss", name)]
RESIDUAL = config.plain(ResidualCnn(kind="residual_cnn", channels=3, blocks=2, activation="silu"))
TRANSFORMER = config.plain(Transformer(kind="transformer", width=6, heads=3, layers=2, patch=1))
RESIDUAL_MLP = config.plain(ResidualMlp(kind="residual_mlp", width=7, blocks=3, activation="relu"))
TWO_UNITS = layers.dense([(1, 1), (1, 1)])
SGD = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.0, "nesterov": False}


def mlp(widths, activation="tanh"):
    return {"kind": "mlp", "widths": list(widths), "activation": activation, "initialization": "scaled", "std": 0.1}


def residual_mlp(widths, activation="tanh"):
    """As wide as the first of `widths`, and with as many blocks as there are others."""
    entry = {"kind": "residual_mlp", "width": widths[0], "blocks": len(widths), "activation": activation}
    return entry | {"initialization": "scaled", "std": 0.1}


def made(model, features=(3,), outputs=2, members=2, algorithm=SGD, loss="mse", threads=1):
    """The network as torch has it, its initial parameters, and the same in compiled code."""
    built = networks.build(features=features, outputs=outputs, **model)
    initial = [parameter.numpy() for parameter in built.initialize(range(members))]
    shape = ensemble.shape_of(model, features, outputs)
    return built, initial, compiled.Networks(initial, shape, model["activation"], loss, algorithm, threads)


def samples(count, features=(3,), outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    x, logits = (rng.standard_normal((count, *shape), np.float32) for shape in (features, (outputs,)))
    return 2 * x, scipy.special.softmax(logits, axis=1)


def torch_rounding(built, initial, loss, x, y) -> float:
    """How far torch's own gradient in single precision is from that in double: saturated units make it large."""
    found = []
    for dtype in (torch.float32, torch.float64):
        by_autograd = Autograd(built, [torch.from_numpy(part).to(dtype) for part in initial], loss)
        by_autograd.gradient(torch.from_numpy(x).to(dtype), torch.from_numpy(y).to(dtype))
        found.append(by_autograd.flat.grad.double())
    return float((found[0] - found[1]).abs().max())


def assert_step_of_length_one_is_the_gradient(model, count, features=(3,), outputs=2, loss="mse", threads=1):
    built, initial, ours = made(model, features, outputs, loss=loss, threads=threads)
    x, y = samples(count, features, outputs)
    by_autograd = Autograd(built, [*map(torch.from_numpy, initial)], losses.build(loss))
    output = by_autograd.gradient(torch.from_numpy(x), torch.from_numpy(y))
    x = ours.shape.arranged(x)
    np.testing.assert_allclose(ours.predict(x), output, rtol=1e-4, atol=1e-5)
    before = [part.copy() for part in ours.stacks(ours.flat)]
    ours.update(x, y, None, 0, 1)
    gradients = [old - new for old, new in zip(before, ours.stacks(ours.flat), strict=True)]
    expected = by_autograd.stacks(by_autograd.flat.grad)
    if model["kind"] == "mlp":
        expected = [part for some in parted(expected) for part in some]
    rounding = torch_rounding(built, initial, losses.build(loss), *samples(count, features, outputs))
    for gradient, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient.reshape(other.shape), other, rtol=1e-3, atol=max(3e-6, 10 * rounding))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_step_is_the_gradient_of_autograd(activation, loss):
    assert_step_of_length_one_is_the_gradient(mlp((20, 33), activation), 70, loss=loss)


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    count=st.integers(1, 300),
    features=st.integers(1, 40),
    outputs=st.integers(1, 20),
    activation=st.sampled_from(ACTIVATIONS),
)
def test_step_is_the_gradient_whatever_the_shapes(widths, count, features, outputs, activation):
    assert_step_of_length_one_is_the_gradient(mlp(widths, activation), count, (features,), outputs)
    assert_step_of_length_one_is_the_gradient(residual_mlp(widths, activation), count, (features,), outputs)


@st.composite
def convolutional(draw):
    """Of either kind, with inputs that may be smaller than the kernel."""
    model = {"kernel": draw(st.sampled_from([1, 3, 5])), "activation": draw(st.sampled_from(ACTIVATIONS))}
    model |= {"initialization": "scaled", "std": 0.1}
    channels = st.integers(1, 35)
    if draw(st.booleans()):
        return model | {"kind": "residual_cnn", "channels": draw(channels), "blocks": draw(st.integers(1, 3))}
    widths = draw(st.lists(st.integers(1, 40), max_size=2))
    return model | {"kind": "cnn", "channels": draw(st.lists(channels, min_size=1, max_size=3)), "widths": widths}


images = st.tuples(st.integers(1, 3), st.integers(1, 15), st.integers(1, 15))


@settings(max_examples=60, deadline=None)
@given(model=convolutional(), count=st.integers(1, 40), features=images, outputs=st.integers(1, 11))
def test_step_of_convolutions_is_the_gradient_whatever_the_shapes(model, count, features, outputs):
    assert_step_of_length_one_is_the_gradient(model, count, features, outputs)


@st.composite
def encoders(draw):
    """A transformer, and inputs that suit it: an image, or numbers; tokens may fill more than one vector."""
    heads, patch = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    # The norm of two numbers is a sign.
    model = {"kind": "transformer", "heads": heads, "width": heads * draw(st.integers(4, 12)), "patch": patch}
    model |= {"layers": draw(st.integers(1, 3)), "activation": draw(st.sampled_from(ACTIVATIONS))}
    image = draw(st.integers(1, 3)), *(patch * draw(st.integers(1, 6)) for _ in range(2))
    return model, image if draw(st.booleans()) else (draw(st.integers(1, 40)),)


@settings(max_examples=60, deadline=None)
@given(encoder=encoders(), count=st.integers(1, 30), outputs=st.integers(1, 11))
def test_step_of_transformers_is_the_gradient_whatever_the_shapes(encoder, count, outputs):
    model, features = encoder
    assert_step_of_length_one_is_the_gradient(model, count, features, outputs)


@settings(max_examples=20, deadline=None)
@given(encoder=encoders(), count=st.integers(1, 100), members=st.integers(1, 4), threads=st.integers(2, 9))
def test_threads_change_no_bit_of_transformers(encoder, count, members, threads):
    model, features = encoder
    assert_threads_change_no_bit(model, count, features, 3, members, threads)


@pytest.mark.parametrize(("threads", "count"), [*itertools.product([2, 3], [1, 2, 61, 300])])
def test_threads_that_share_an_update_give_the_same_gradient(monkeypatch, threads, count):
    monkeypatch.setattr(compiled, "SHARED_NUMBERS", 0)
    assert_step_of_length_one_is_the_gradient(mlp((40, 17)), count, threads=threads)
    assert_step_of_length_one_is_the_gradient(residual_mlp((40, 1, 1)), count, threads=threads)


@pytest.mark.parametrize("model", [CNN, RESIDUAL], ids=["cnn", "residual_cnn"])
@pytest.mark.parametrize(("threads", "count"), [*itertools.product([2, 3], [1, 61, 300])])
def test_threads_that_share_an_update_of_convolutions_give_the_same_gradient(monkeypatch, threads, count, model):
    monkeypatch.setattr(compiled, "SHARED_NUMBERS", 0)
    assert_step_of_length_one_is_the_gradient(model, count, (2, 9, 8), threads=threads)


@pytest.mark.parametrize(("members", "threads"), [(1, 2), (1, 3), (2, 5), (4, 8), (8, 16)])
@pytest.mark.parametrize("batch_size", [None, 7, 1])
@pytest.mark.parametrize(
    ("model", "optimizer"),
    [*itertools.product([MLP], ALGORITHMS), (CNN, "adam")],
    ids=lambda one: one if isinstance(one, str) else one["kind"],
)
def test_threads_that_share_an_update_change_no_bit(monkeypatch, model, optimizer, batch_size, members, threads):
    monkeypatch.setattr(compiled, "SHARED_NUMBERS", 0)
    recipe = {"members": members, "optimizer": optimizer, "batch_size": batch_size, "steps": 20}
    one, shared = (trained(image_data(), model, threads=count, **recipe) for count in (1, threads))
    assert np.array_equal(one.predictions, shared.predictions)


def assert_threads_change_no_bit(model, count, features, outputs, members, threads):
    x, y = samples(count, features, outputs)
    order = np.random.default_rng(0).integers(count, size=(members, 3, min(count, 300)))
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "SHARED_NUMBERS", 0)
        for number in (1, threads):
            algorithm = SGD | {"learning_rate": 0.1, "clip_norm": 0.1, "weight_decay": 0.1}
            *_, ours = made(model, features, outputs, members, algorithm, threads=number)
            arranged = ours.shape.arranged(x)
            ours.update(arranged, y, None, 0, 2)
            ours.update(arranged, y, order, 2, 3)
            found.append(ours.flat)
    assert np.array_equal(*found, equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    count=st.integers(1, 1500),
    features=st.integers(1, 40),
    outputs=st.integers(1, 20),
    activation=st.sampled_from(ACTIVATIONS),
    members=st.integers(1, 3),
    threads=st.integers(2, 9),
)
def test_threads_change_no_bit_whatever_the_shapes(widths, count, features, outputs, activation, members, threads):
    assert_threads_change_no_bit(mlp(widths, activation), count, (features,), outputs, members, threads)
    assert_threads_change_no_bit(residual_mlp(widths, activation), count, (features,), outputs, members, threads)


@settings(max_examples=40, deadline=None)
@given(
    model=convolutional(),
    count=st.integers(1, 200),
    features=images,
    members=st.integers(1, 3),
    threads=st.integers(2, 9),
)
def test_threads_change_no_bit_of_convolutions(model, count, features, members, threads):
    assert_threads_change_no_bit(model, count, features, 3, members, threads)


# Of a process of its own.
ALONE = """
import os, resource
import numpy as np
from fpkit.training.compiled import layers, networks as compiled
compiled.SHARED_NUMBERS = 0
rng = np.random.default_rng(0)
initial = [rng.standard_normal(shape, np.float32) for shape in ((8, 3, 40), (8, 40), (8, 40, 2), (8, 2))]
x, y = rng.standard_normal((64, 3), np.float32), rng.standard_normal((64, 2), np.float32)
how = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0, "nesterov": False}
def made(threads):
    return compiled.Networks(initial, layers.dense([(3, 40), (40, 2)]), "tanh", "mse", how, threads)
"""
FEW_THREADS = """
found = []
for threads in (1, 64):
    networks = made(threads)
    if threads > 1:  # so many stacks do not fit: some of them start, or none
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
    networks.update(x, y, None, 0, 5)
    found.append(networks.flat)
assert np.array_equal(*found)
"""


@on_linux
def test_threads_that_cannot_be_started_change_no_bit_and_are_told():
    """An exception of a thread library ends Python at once, where nobody catches it."""
    command = [sys.executable, "-c", ALONE + FEW_THREADS]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"the system starts \d+ threads only, of 64: slower, the same results\n", done.stdout)


FORKED = """
def trained(threads):
    networks = made(threads)
    for step in range(20):
        networks.update(x, y, None, step, 1)
    return networks.flat
expected = trained(1)
assert np.array_equal(trained(3), expected)
child = os.fork()
assert np.array_equal(trained(3), expected)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_process_that_was_forked_has_threads_of_its_own():
    """The parent's are not there, and who waits for them waits for ever."""
    subprocess.run([sys.executable, "-c", ALONE + FORKED], cwd=Path(__file__).parents[1], check=True, timeout=100)


def test_calls_from_several_threads_at_once(monkeypatch):
    monkeypatch.setattr(compiled, "SHARED_NUMBERS", 0)
    x, y = samples(64)

    def train(threads):
        *_, ours = made(mlp((20,)), members=4, algorithm=SGD | {"learning_rate": 0.1}, threads=threads)
        for step in range(100):
            ours.update(x, y, None, step, 1)
        return ours.flat

    expected = train(1)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(train, [2, 3, 4, 3]):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("outputs", [1, 4])
def test_evaluation_is_that_of_torch_whatever_the_threads(monkeypatch, loss, outputs):
    monkeypatch.setattr(compiled, "SHARED_NUMBERS", 0)
    model = mlp((150, 40))
    # More samples than are taken at a time, and fewer; one network has diverged.
    pairs = [samples(2000, outputs=outputs), samples(3, outputs=outputs, seed=2)]
    evaluated = []
    for threads in (1, 2, 7):
        *_, ours = made(model, outputs=outputs, members=3, loss=loss, threads=threads)
        ours.stacks(ours.flat)[-1][2] = np.nan
        evaluated.append(ours.evaluate(pairs))
    for (_, y), results in zip(pairs, evaluated[0], strict=True):
        output, found, accuracy = results
        expected = losses.build(loss)(torch.from_numpy(output), torch.from_numpy(y))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(accuracy, (output.argmax(-1) == y.argmax(-1)).mean(1), rtol=1e-6)
        assert outputs == 1 or 0 < accuracy[0] < 1
    for others in evaluated[1:]:
        for result, other in zip(itertools.chain(*evaluated[0]), itertools.chain(*others), strict=True):
            assert np.array_equal(result, other, equal_nan=True)


@pytest.mark.parametrize("members", [1, 5])
def test_evaluated_on_the_way_or_afterwards(members):
    algorithm = {"name": "adam", "learning_rate": 0.01, "momentum": 0.0, "nesterov": False}
    records = []
    for evaluate in (True, False):
        with build(MLP, image_data(), range(members), algorithm, batch_size=7, threads=2) as whole:
            assert isinstance(whole, ensemble.CompiledEnsemble)
            for start in range(0, 60, 20):
                whole.advance(start, start + 20, evaluate)
                records.append(whole.record("all")())
    for (prediction, scores), (other, others) in zip(records[:3], records[3:], strict=True):
        assert np.array_equal(prediction, other)
        assert scores.keys() == others.keys()
        assert all(np.array_equal(scores[name], others[name]) for name in scores)
    assert not np.array_equal(records[0][0], records[1][0])


def test_functions_of_the_activations_are_within_rounding_errors():
    far = [0.0, 1e-8, 1e3, -1e3, 1.9e4, 2.1e4, 1e6, -1e9]
    z = np.concatenate([np.linspace(-30, 30, 10_001), far]).astype(np.float32)
    for activation in ACTIVATIONS:
        # One unit with weight 1 and bias 0, and the same behind it: the output is the activation itself.
        unit, none = np.ones((1, 1, 1), np.float32), np.zeros((1, 1), np.float32)
        networks = compiled.Networks([unit, none, unit, none], TWO_UNITS, activation, "mse", SGD, 1)
        expected = activations.build(activation)(torch.from_numpy(z).double()).numpy()
        error = np.abs(networks.predict(z[:, np.newaxis])[0, :, 0] - expected) / np.abs(expected).clip(min=1)
        assert error.max() < 3e-7, activation


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_exact_near_zero_too(activation):
    """Where small weights keep a network: relative to what the activation adds to its value at zero."""
    sizes = np.logspace(-30, 0, 3001)
    z = np.concatenate([-sizes, sizes]).astype(np.float32)
    unit, none = np.ones((1, 1, 1), np.float32), np.zeros((1, 1), np.float32)
    networks = compiled.Networks([unit, none, unit, none], TWO_UNITS, activation, "mse", SGD, 1)
    assert_exact_near_zero(activation, z, networks.predict(z[:, np.newaxis])[0, :, 0])


@pytest.mark.parametrize(
    ("model", "features"),
    [
        (mlp((5, 18)), (3,)),
        (residual_mlp((18, 1)), (3,)),
        (CNN, (1, 7, 7)),
        (RESIDUAL, (3, 4, 4)),
        (TRANSFORMER, (2, 5, 4)),
    ],
    ids=["mlp", "residual_mlp", "cnn", "residual", "transformer"],
)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_pads_the_rows_stays_zero(activation, model, features):
    rate = SGD | {"learning_rate": 0.01}
    *_, ours = made(model | {"activation": activation}, features, outputs=3, algorithm=rate)
    x, y = samples(20, features, outputs=3)
    ours.update(ours.shape.arranged(x), y, None, 0, 25)
    seen = sum(np.abs(part, dtype=float).sum() for part in ours.stacks(ours.flat))
    assert np.abs(ours.flat, dtype=float).sum() == pytest.approx(seen, rel=1e-12)


APART = """
import sys
sys.path.insert(0, "tests")
import numpy as np
from test_compiled import RESIDUAL, made, samples
*_, ours = made(RESIDUAL | {"kernel": 1, "channels": 1, "blocks": 1, "activation": "tanh"}, (1, 2, 3), 3, members=1)
x = ours.shape.arranged(samples(9, (1, 2, 3))[0])
together, apart = ours.predict(x), [ours.predict(x[i : i + 1]) for i in range(len(x))]
assert np.array_equal(together, np.concatenate(apart, axis=1))
"""


@on_linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="has no shorter vectors")
@pytest.mark.parametrize("option", ["", "-mno-avx512f", "-mno-avx"])
def test_no_bit_of_convolutions_depends_on_the_samples_beside(option):
    environment = os.environ | {"CXX": f"c++ {option}"}
    done = subprocess.run(
        [sys.executable, "-c", APART], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_means_of_gradients_that_vanished_end_at_zero_not_among_the_denormal_numbers(threads):
    """Products with these take some processors a hundred times as long."""
    least = np.finfo(np.float32).smallest_normal
    *_, ours = made(mlp((40, 40)), algorithm=SGD | {"name": "adam", "learning_rate": 0.01}, threads=threads)
    x, y = samples(600)
    ours.update(x, y, None, 0, 1)
    ours.update(np.zeros_like(x), y, None, 1, 1500)  # the weights of inputs have no gradient
    means = ours.stacks(ours.buffers["mean"])[0]
    assert means.size == 2 * 3 * 40
    assert not means.any()
    for numbers in (ours.flat, *ours.buffers.values()):
        assert not ((numbers != 0) & (np.abs(numbers) < least)).any()
    denormal = np.full(1, least) / 2  # the user's own thread has them as before
    assert denormal[0] > 0


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_no_number_is_not_hidden(activation, poison):
    *_, ours = made(mlp((5, 4), activation), members=1)
    ours.stacks(ours.flat)[0][0, 0, 0] = poison
    ours.update(*samples(8), None, 0, 3)
    assert not np.isfinite(ours.flat).all()


@pytest.mark.parametrize("model", [CNN, RESIDUAL, TRANSFORMER], ids=["cnn", "residual_cnn", "transformer"])
def test_a_member_that_diverged_leaves_no_trace_in_the_others(model):
    """They follow each other in the same memory, which is wider than what they read of it."""
    x, y = samples(50, (2, 9, 8))
    found = []
    for poison in (0.0, np.nan):
        *_, ours = made(model, (2, 9, 8), members=3, algorithm=SGD | {"learning_rate": 0.01})
        ours.stacks(ours.flat)[0][1] += poison
        ours.update(ours.shape.arranged(x), y, None, 0, 5)
        found.append(ours.members_apart(ours.flat))
    for member in (0, 2):
        assert np.isfinite(found[0][member]).all()
        assert np.array_equal(found[0][member], found[1][member])
    assert np.isnan(found[1][1]).any()


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [*itertools.product([MLP], ALGORITHMS), *itertools.product([RESIDUAL_MLP, CNN, RESIDUAL, TRANSFORMER], ["adam"])],
    ids=lambda one: one if isinstance(one, str) else one["kind"],
)
def test_training_begun_in_compiled_code_goes_on_without_it(tmp_path, monkeypatch, model, optimizer):
    options = config.plain(Training(device="cpu", members=3)) | {"batch_size": 7, "optimizer": optimizer}
    options |= {
        "clip_norm": 0.05,
        "weight_decay": 0.1,
        "schedule": {"kind": "step", "every": 4, "warmup": 2, "factor": 0.3},
    }
    data = line_data() if model is MLP else image_data()
    sink, rest = Records(), {"per_decade": 50, "split": "train", "checkpoint_path": tmp_path / "state.npz"}
    train(model, data, sink, **options | {"steps": 6}, **rest)
    monkeypatch.setattr(library, "loaded", lambda: None)
    train(model, data, sink, **options | {"steps": 14}, **rest)
    whole = trained(data, model, per_decade=50, **options | {"steps": 14})
    assert sink.steps == whole.steps
    np.testing.assert_allclose(sink.predictions, whole.predictions, rtol=1e-4, atol=1e-5)


WITHOUT_TORCH = """
import sys
from fpkit.training.run import run
run(*sys.argv[1:4], model={model}, training={training}, record={record})
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    ("model", "changes"), [(MLP, {}), (MLP, {"batch_size": 7, "loss": "cross_entropy"}), (CNN, {"clip_norm": 0.1})]
)
def test_a_training_by_compiled_code_does_without_torch(tmp_path, model, changes):
    """To import it takes longer than many a training."""
    dataset = xr.Dataset({name: ([f"{name}_{d}" for d in range(a.ndim)], a) for name, a in image_data().items()})
    dataset.to_netcdf(tmp_path / "images.nc", engine="netcdf4")
    training = config.plain(Training(device="cpu", members=3, steps=20)) | changes
    program = WITHOUT_TORCH.format(model=model, training=training, record={"per_decade": 5, "split": "all"})
    places = [tmp_path / "images.nc", tmp_path / "run", tmp_path / "checkpoints"]
    subprocess.run([sys.executable, "-c", program, *places], check=True, cwd=Path(__file__).parents[1])
    found = zarr.open_array(tmp_path / "run/predictions.zarr/prediction", mode="r")[:]
    expected = trained(image_data(), model, per_decade=5, split="all", **training)
    assert np.array_equal(found, expected.predictions)
