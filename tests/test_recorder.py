"""Recording a training that is not ours: what it leaves untouched, what the store holds, how it goes on."""

import copy
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import fpkit
from fpkit.errors import UserError
from fpkit.recording import writing
from fpkit.store.predictions import open_predictions
from fpkit.store.schedule import record_steps

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4)).astype(np.float32)
Y = np.sin(X.sum(axis=1, keepdims=True))
CLASSES = RNG.integers(0, 3, 50)


def steps_of(path) -> list[int]:
    return open_predictions(path)["step"].to_numpy().tolist()


# --- nothing of a training is touched ---------------------------------------------------------------------------------


class Net(nn.Module):
    """What a loop of somebody's has: batch norm, dropout, a part that is frozen in eval mode."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3))
        self.frozen = nn.BatchNorm1d(16).eval()
        self.read = nn.Linear(16, 3)

    def forward(self, x):
        return self.read(self.frozen(self.body(x)))


def trained(record=None, steps=40) -> dict:
    """A loop with a schedule, dropout, shuffling by all sources of chance, and gradients over two batches."""
    torch.manual_seed(3), random.seed(3), np.random.seed(3)  # noqa: NPY002 - what loops draw from
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    x, labels = torch.from_numpy(X), torch.from_numpy(CLASSES)
    for step in range(steps):
        if record:
            record(step, model)
        chosen = torch.randperm(50)[:16] if random.random() < 0.5 else torch.from_numpy(np.random.permutation(50)[:16])  # noqa: NPY002
        nn.functional.cross_entropy(model(x[chosen]), labels[chosen]).backward()
        if record:
            record(step, model)  # between two halves of a gradient: not due, or the same step again
        if step % 2:
            optimizer.step(), optimizer.zero_grad(), schedule.step()
    state = {name: values.clone() for name, values in model.state_dict().items()}
    gradients = {f"grad {name}": p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return state | gradients | {"chance": torch.rand(3), "modes": torch.tensor([m.training for m in model.modules()])}


def same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].numpy().tobytes() == other[name].numpy().tobytes(), name


def test_a_training_recorded_ends_with_the_bits_of_one_that_is_not(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, CLASSES, outputs="logits", batch=7)
    same(trained(recorder), trained())
    recorder.close()
    assert steps_of(tmp_path / "a.zarr") == record_steps(39, 50)


def test_gradients_that_are_being_summed_up_are_left_as_they_are(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, CLASSES, outputs="logits", when=lambda step: True)
    same(trained(recorder, steps=39), trained(steps=39))


def test_chance_within_the_model_is_given_back(tmp_path):
    def noisy(x):
        return np.random.standard_normal((len(x), 1)) + random.random() + torch.rand(1).item()  # noqa: NPY002

    def drawn():
        return np.random.random(), random.random(), torch.rand(1).item()  # noqa: NPY002

    torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
    before = drawn()
    torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
    fpkit.Recorder(tmp_path / "a.zarr", X, Y)(0, noisy)
    assert drawn() == before


def test_a_model_that_fails_is_left_in_its_modes(tmp_path):
    model = Net()
    with pytest.raises(RuntimeError, match="shape"):
        fpkit.Recorder(tmp_path / "a.zarr", X[:, :3], CLASSES, outputs="logits")(0, model)
    assert model.training
    assert not model.frozen.training


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_predictions_are_the_models_own_in_eval_mode(tmp_path):
    torch.manual_seed(0)
    model = Net()
    for record, double in (("a", False), ("b", True)):
        x = X.astype(np.float64) if double else torch.from_numpy(X)
        with fpkit.Recorder(tmp_path / f"{record}.zarr", x, CLASSES, outputs="values", batch=8) as recorder:
            assert recorder(0, model)
        run = fpkit.open_run(tmp_path / f"{record}.zarr")
        with torch.no_grad():
            wanted = model.eval()(torch.from_numpy(X)).numpy()
        model.train()
        assert np.allclose(run["prediction"][0, 0], wanted, atol=1e-6)
        assert np.array_equal(run["x"], X)
        assert np.array_equal(run["y"], np.eye(3)[CLASSES])
        right = (wanted.argmax(axis=1) == CLASSES).mean()
        assert float(run["accuracy_train"][0, 0]) == pytest.approx(right)
        assert float(run["loss_train"][0, 0]) == pytest.approx(((wanted - np.eye(3)[CLASSES]) ** 2).mean(), rel=1e-5)


def test_of_logits_the_softmax_is_recorded(tmp_path):
    logits = RNG.standard_normal((50, 3)) * 20
    with fpkit.Recorder(tmp_path / "a.zarr", X, CLASSES, outputs="logits", part="test") as recorder:
        recorder.append(0, logits)
    run = fpkit.open_run(tmp_path / "a.zarr")
    assert np.allclose(run["prediction"][0, 0], torch.from_numpy(logits).softmax(dim=1), atol=1e-6)
    assert "accuracy_test" in run


def test_any_callable_any_shape_and_numbers_made_elsewhere(tmp_path):
    images = RNG.standard_normal((6, 3, 4, 4))
    with fpkit.Recorder(tmp_path / "a.zarr", images, images[:, 0], batch=4) as recorder:
        assert recorder(0, lambda x: x[:, 1])
        assert recorder.append(7, [[0.5] * 16] * 6)
    run = fpkit.open_run(tmp_path / "a.zarr")
    assert run["x"].shape == (6, 3, 4, 4)
    assert np.allclose(run["prediction"][0, 0], images[:, 1].reshape(6, 16), atol=1e-6)
    assert (run["prediction"][1] == 0.5).all()


@pytest.mark.parametrize(("when", "steps"), [(None, [0, 123]), ([0, 200], [0])])
def test_the_last_step_is_due_unless_it_is_said_which_are(tmp_path, when, steps):
    model = nn.Linear(4, 1)
    with fpkit.Recorder(tmp_path / "a.zarr", X, Y, per_decade=1, when=when) as recorder:
        recorder(0, model)
        assert recorder(123, model, last=True) == (when is None)
        assert not recorder(123, model, last=True), "not twice"
    assert steps_of(tmp_path / "a.zarr") == steps


def test_scores_of_ones_own_stand_beside_it(tmp_path):
    with fpkit.Recorder(tmp_path / "a.zarr", X, Y) as recorder:
        recorder.append(0, Y, loss_test=2.0)
        recorder.append(1, Y)
        with pytest.raises(UserError, match="loss_validation was not given at the first record"):
            recorder.append(2, Y, loss_validation=1.0)
    run = fpkit.open_run(tmp_path / "a.zarr")
    assert run["loss_test"].to_numpy()[0] == 2
    assert np.isnan(run["loss_test"].to_numpy()[1])


def test_without_targets_a_member_that_gives_no_numbers_has_diverged(tmp_path):
    for member, value in ((0, 1.0), (1, np.nan)):
        with fpkit.Recorder(tmp_path / f"{member}.zarr", X, member=member) as recorder:
            recorder.append(0, Y)
            recorder.append(1, Y * value)
    from fpkit.store.predictions import diverged

    assert diverged(fpkit.open_run(tmp_path / "*.zarr")).to_numpy().tolist() == [False, True]


@pytest.mark.parametrize("measure", [{"projection": {"max_frequency": 5}}, {"graph": {"bands": 4}}])
def test_coefficients_give_the_spectra_of_predictions(tmp_path, measure):
    ((name, options),) = measure.items()
    steps = [0, 1, 2, 5, 9]
    outputs = {step: Y * (1 - np.exp(-step / 3)) + 0.01 * RNG.standard_normal(Y.shape) for step in steps}
    for kept in (None, measure):
        with fpkit.Recorder(tmp_path / f"{kept is None}.zarr", X, Y, coefficients=kept) as recorder:
            for step in steps[:3]:
                recorder.append(step, outputs[step])
        with fpkit.Recorder(tmp_path / f"{kept is None}.zarr", X, Y, coefficients=kept) as recorder:  # gone on with
            for step in steps[3:]:
                recorder.append(step, outputs[step])
    given = options | ({"frequencies": [1, 2, 3]} if name == "projection" else {})
    whole, less = (
        getattr(fpkit.measures, name)(fpkit.open_run(tmp_path / f"{kept}.zarr"), nulls=["share"], **given)
        for kept in (True, False)
    )
    for array in ("remaining", "relative_error"):
        assert np.allclose(whole[array], less[array], atol=2e-3, equal_nan=True), array
    assert less["remaining"].notnull().any()
    assert less["control_remaining"].notnull().any()


# --- when -------------------------------------------------------------------------------------------------------------


def recorded(path, steps, **options) -> list[int]:
    with fpkit.Recorder(path, X, Y, **options) as recorder:
        for step in steps:
            recorder(step, lambda x: x[:, :1])
    return steps_of(path)


def test_steps_are_those_of_a_training_of_ours(tmp_path):
    assert recorded(tmp_path / "a.zarr", range(2000), per_decade=10) == record_steps(1999, 10)


@pytest.mark.parametrize(
    ("steps", "options", "wanted"),
    [
        (range(0, 1000, 100), {"per_decade": 3}, [0, 100, 300, 500]),
        (range(5, 30), {"per_decade": 5}, [5, 6, 10, 16, 25]),
        (range(10), {"when": [3, 7]}, [0, 3, 7]),
        (range(0, 10, 2), {"when": [3, 7, 50]}, [0, 4, 8]),
        (range(10), {"when": lambda step: step % 4 == 2}, [0, 2, 6]),
    ],
)
def test_of_a_step_that_is_passed_over_the_next_call_is_recorded(tmp_path, steps, options, wanted):
    assert recorded(tmp_path / "a.zarr", steps, **options) == wanted


def test_asking_whether_a_step_is_due_changes_nothing(tmp_path):
    with fpkit.Recorder(tmp_path / "a.zarr", X, Y, when=[0, 4]) as recorder:
        asked = [step for step in range(6) if recorder.due(step) and recorder.due(step) and recorder.append(step, Y)]
    assert asked == steps_of(tmp_path / "a.zarr") == [0, 4]


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_training_that_goes_on_from_a_checkpoint_goes_on_with_its_store(tmp_path):
    path = tmp_path / "a.zarr"
    recorded(path, range(100), per_decade=10)
    assert recorded(path, range(60, 300), per_decade=10) == record_steps(299, 10)


def test_a_killed_training_begins_again_in_its_store(tmp_path):
    path = tmp_path / "a.zarr"
    recorder = fpkit.Recorder(path, X, Y, per_decade=5)
    for step in range(50):
        recorder(step, lambda x: x[:, :1])
    # As of a process that is killed: the kernel gives its lock back.
    recorder._store.held.close()
    writing.OPEN.clear()
    assert recorded(path, range(20), per_decade=5) == record_steps(19, 5)
    assert not list(tmp_path.glob("*.kept*"))


def test_what_a_finished_training_left_is_kept_when_another_begins(tmp_path, capfd):
    path = tmp_path / "a.zarr"
    before = recorded(path, range(50), per_decade=5)
    assert recorded(path, range(5), per_decade=5) == record_steps(4, 5)
    assert steps_of(tmp_path / "a.zarr.kept-1") == before
    assert "ended at step 40; begun anew, what it held is in" in capfd.readouterr().out


def test_coefficients_of_a_training_that_begins_again_are_beside_its_own_start(tmp_path):
    path, along = tmp_path / "a.zarr", {"projection": {"max_frequency": 5}}
    first = fpkit.Recorder(path, X, Y, coefficients=along)
    first.append(0, Y * 3)
    first._store.held.close()
    writing.OPEN.clear()
    with fpkit.Recorder(path, X, Y, coefficients=along) as recorder:
        recorder.append(0, 0 * Y)
        recorder.append(1, Y / 2)
    run, error = fpkit.open_run(path), Y - Y.mean()
    np.testing.assert_allclose(run["error_overlap"][:, 0], [(error**2).sum(), (error**2).sum() / 2], rtol=1e-5)


@pytest.mark.parametrize(
    "changed", [{"outputs": "logits"}, {"part": "test"}, {"coefficients": {"graph": {"bands": 3}}}]
)
def test_what_is_recorded_in_another_way_is_a_store_of_its_own(tmp_path, changed):
    given = {"outputs": "values", "coefficients": {"graph": {"bands": 4}}}
    for step, options in enumerate((given, given | changed)):
        with fpkit.Recorder(tmp_path / "a.zarr", X, CLASSES, **options) as recorder:
            recorder.append(step, np.eye(3)[CLASSES])
    assert steps_of(tmp_path / "a.zarr") == [1]
    assert steps_of(tmp_path / "a.zarr.kept-1") == [0]


def test_other_probe_points_begin_a_store_of_their_own(tmp_path):
    path = tmp_path / "a.zarr"
    recorded(path, range(5))
    with fpkit.Recorder(path, X + 1, Y) as recorder:
        recorder.append(9, Y)
    assert steps_of(path) == [9]
    assert steps_of(tmp_path / "a.zarr.kept-1") == [0, 1, 2, 3, 4]


KILLED = """
import sys, time, numpy as np, fpkit
path, first = sys.argv[1], int(sys.argv[2])
x = np.linspace(0, 1, 64)[:, None]
with fpkit.Recorder(path, x, x, per_decade=10) as recorder:
    for step in range(first, 3000):
        recorder(step, lambda x: x * step / (step + 100))
        if first == 0:
            time.sleep(0.002)
"""


def test_kill_9_in_the_middle_of_a_loop_and_again_from_its_checkpoint(tmp_path):
    path = tmp_path / "a.zarr"
    loop = subprocess.Popen([sys.executable, "-c", KILLED, path, "0"], cwd=ROOT)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if steps_of(path)[-1] >= 100:
                break
        except (UserError, IndexError):
            pass
        time.sleep(0.05)
    loop.send_signal(signal.SIGKILL)
    loop.wait()
    held = steps_of(path)
    assert held == record_steps(held[-1], 10)
    assert 100 <= held[-1] < 2999
    checkpoint = held[-1] // 2
    subprocess.run([sys.executable, "-c", KILLED, path, str(checkpoint)], cwd=ROOT, check=True)
    run = fpkit.open_run(path)
    assert run["step"].to_numpy().tolist() == record_steps(2999, 10)
    end = run["step"].to_numpy()
    assert np.allclose(run["prediction"][:, 0, -1, 0], end / (end + 100), atol=1e-6)


# --- several processes ------------------------------------------------------------------------------------------------


HELD = """
import sys, numpy as np, fpkit
recorder = fpkit.Recorder(sys.argv[1], np.ones((3, 1)), np.ones(3))
recorder.append(0, np.ones(3))
print(flush=True)
sys.stdin.read()
"""


def test_another_process_at_the_same_store_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "WAIT_SECONDS", 0.5)
    held = subprocess.Popen(
        [sys.executable, "-c", HELD, tmp_path / "a.zarr"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    held.stdout.readline()
    with pytest.raises(UserError, match=rf"another process \({held.pid} on .*\) is recording to .*a\.zarr"):
        fpkit.Recorder(tmp_path / "a.zarr", X, Y).append(0, Y)
    held.communicate()
    with fpkit.Recorder(tmp_path / "a.zarr", X[:3], Y[:3]) as recorder:
        recorder.append(1, Y[:3])


def test_a_recorder_made_again_takes_over_from_the_one_before(tmp_path):
    first = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    first.append(0, Y)
    second = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    second.append(1, Y)
    with pytest.raises(UserError, match="another Recorder of this process has taken over"):
        first.append(2, Y)
    second.close()
    assert steps_of(tmp_path / "a.zarr") == [0, 1]


DISTRIBUTED = """
import sys, torch, numpy as np, fpkit
from torch import distributed, nn
path, rank, rendezvous = sys.argv[1], int(sys.argv[2]), sys.argv[3]
distributed.init_process_group("gloo", init_method="file://" + rendezvous, rank=rank, world_size=2)
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
x = torch.arange(200.0).reshape(50, 4).sin()
recorder = fpkit.Recorder(path, x, x[:, :1])
for step in range(20):
    recorder(step, model)
    optimizer.zero_grad()
    (model(x[rank::2]) - x[rank::2, :1]).square().mean().backward()
    optimizer.step()
recorder.close()
print("records", recorder.records)
distributed.destroy_process_group()
"""


def test_of_two_processes_that_train_one_network_the_first_records(tmp_path):
    command = [sys.executable, "-c", DISTRIBUTED, tmp_path / "a.zarr"]
    ranks = [
        subprocess.Popen([*command, str(rank), tmp_path / "rendezvous"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    assert [rank.communicate(timeout=120)[0].strip() for rank in ranks] == ["records 20", "records 0"]
    assert steps_of(tmp_path / "a.zarr") == list(range(20))


def test_a_process_that_is_forked_off_writes_nothing(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    recorder.append(0, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads and fork
        child = os.fork()
    if child == 0:
        recorder.close()
        os._exit(0)
    os.waitpid(child, 0)
    recorder.append(1, Y)
    recorder.close()
    assert steps_of(tmp_path / "a.zarr") == [0, 1]


# --- what ends without a word -----------------------------------------------------------------------------------------

UNCLOSED = """
import sys, numpy as np, fpkit
x = np.linspace(0, 1, 64)[:, None]
recorder = fpkit.Recorder(sys.argv[1], x, x)
for step in range(300):
    recorder(step, lambda x: x * step)
exec(sys.argv[2])
"""


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "raise KeyboardInterrupt", "1 / 0"])
def test_a_process_that_ends_without_closing_writes_all(tmp_path, end):
    done = subprocess.run(
        [sys.executable, "-c", UNCLOSED, tmp_path / "a.zarr", end], cwd=ROOT, capture_output=True, text=True
    )
    assert "ignored" not in done.stderr
    assert steps_of(tmp_path / "a.zarr") == record_steps(299, 50)
    # And it has ended: another training does not replace it.
    recorded(tmp_path / "a.zarr", range(3))
    assert steps_of(tmp_path / "a.zarr.kept-1") == record_steps(299, 50)


def test_what_is_used_again_is_copied(tmp_path):
    buffer, target, step = np.zeros((50, 1), np.float32), np.array(Y), torch.tensor(0)
    held = torch.zeros(50, 1)
    with fpkit.Recorder(tmp_path / "a.zarr", X, target) as recorder, fpkit.Recorder(tmp_path / "b.zarr", X, Y) as other:
        for number in range(8):
            buffer[:], held[:] = number, number
            recorder.append(step, buffer)
            other(step, lambda x: held)
            target[:] = 99
            step += 1
    for name in "ab":
        run = fpkit.open_run(tmp_path / f"{name}.zarr")
        assert run["step"].to_numpy().tolist() == list(range(8))
        assert run["prediction"][:, 0, 0, 0].to_numpy().tolist() == list(range(8))
        assert np.allclose(run["y"], Y)


def test_a_run_can_be_opened_while_it_is_recorded(tmp_path):
    """In the same process at once; in another one whatever is being written."""
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y, when=lambda step: True)
    for step in range(20):
        recorder.append(step, Y)
    assert fpkit.open_run(tmp_path / "a.zarr").sizes["step"] == 20
    recorder.close()
    busy = subprocess.Popen([sys.executable, "-c", BUSY, tmp_path / "b.zarr"], cwd=ROOT)
    try:
        until = time.monotonic() + 60
        while len(steps_or_none(tmp_path / "b.zarr")) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        runs = [fpkit.open_run(tmp_path / "b.zarr") for _ in range(12)]
    finally:
        busy.kill()
        busy.wait()
    lengths = [run.sizes["step"] for run in runs]
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]
    for run in runs:
        assert (run["prediction"].squeeze(["member", "output"], drop=True) == run["step"]).all()
    assert not list(tmp_path.glob(".b.zarr.[0-9]*"))


def steps_or_none(path) -> list[int]:
    try:
        return fpkit.open_run(path)["step"].to_numpy().tolist()
    except UserError:
        return []


BUSY = """
import sys, time, numpy as np, fpkit
x = np.ones((200, 1))
recorder = fpkit.Recorder(sys.argv[1], x, x, when=lambda step: True)
for step in range(10**6):
    recorder.append(step, x * step)
    time.sleep(0.005)
"""


@pytest.mark.parametrize("kind", ["group", "folder", "file"])
def test_what_is_no_store_of_a_recorder_is_left_alone(tmp_path, kind):
    path = tmp_path / "data.zarr"
    if kind == "group":
        xr.Dataset({"x": ("n", np.arange(3))}, attrs={"note": "mine"}).to_zarr(path, consolidated=False)
    elif kind == "folder":
        (path / "x").mkdir(parents=True)
        (path / "x/precious.txt").write_text("mine")
        (path / "zarr.json").write_text("{}")
    else:
        path.write_text("mine")
    before = sorted(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    with pytest.raises(
        UserError, match=r"data\.zarr: is a (folder of other things|file); give the recorder another path"
    ):
        fpkit.Recorder(path, X, Y).append(0, Y)
    assert sorted(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()) == before


def test_one_logit_is_the_logistic_functions(tmp_path):
    logits = RNG.standard_normal((50, 1)) * 3
    for name, y in (("a", CLASSES > 0), ("b", (CLASSES > 0).astype(int)), ("c", (CLASSES > 0)[:, None].astype(float))):
        with fpkit.Recorder(tmp_path / f"{name}.zarr", X, y, outputs="logits") as recorder:
            recorder.append(0, logits)
        run = fpkit.open_run(tmp_path / f"{name}.zarr")
        np.testing.assert_allclose(run["prediction"][0, 0], 1 / (1 + np.exp(-logits)), atol=1e-6)
        np.testing.assert_array_equal(run["y"][:, 0], CLASSES > 0)
    right = ((logits[:, 0] > 0) == (CLASSES > 0)).mean()
    assert float(fpkit.open_run(tmp_path / "a.zarr")["accuracy_train"][0, 0]) == pytest.approx(right)


def test_it_says_what_it_took_until_the_end_alone(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    recorder.append(0, Y)
    recorder.close()
    before = repr(recorder)
    time.sleep(0.2)
    assert repr(recorder) == before


def test_one_that_records_is_not_copied(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    again = pickle.loads(pickle.dumps(recorder))
    with again:
        again.append(0, Y)
        with pytest.raises(UserError, match="a Recorder that is recording cannot be copied"):
            copy.deepcopy(again)


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        ((X, CLASSES), {}, "y holds whole numbers: if they are classes, say what the model gives, outputs='logits'"),
        ((X, Y[:3]), {}, r"y of shape \(3, 1\) has no target for each of 50 probe points"),
        ((X, Y * np.nan), {}, "y holds NaN or infinity"),
        ((X[:0],), {}, "x holds no probe point"),
        (([[1, 2], [3]],), {}, "x of type list is no array of numbers"),
        ((["a", "b"],), {}, "x of type list is no array of real numbers"),
        ((X * np.nan, Y), {}, "x holds NaN or infinity; mend or drop these points"),
        ((X, CLASSES), {"outputs": "logit"}, "outputs 'logit': give 'logits' or 'values', or leave it out"),
        ((X, Y), {"per_decade": 0}, "per_decade 0: give a whole number, 1 or more"),
        ((X, Y), {"batch": 0}, "batch 0: give a whole number, 1 or more"),
        ((X, Y), {"when": 10}, "when 10: give a list of steps, or a function of the step"),
        ((X, Y), {"when": [0.5]}, "when 0.5: give a whole number, 0 or more"),
        ((X, Y), {"member": "a"}, "member 'a': give a whole number, 0 or more"),
        ((X, Y), {"member": 1.5}, "member 1.5: give a whole number"),
        ((X, Y), {"part": "dev"}, "part 'dev': give one of train, validation, test"),
        ((X, Y), {"coefficients": {}}, "coefficients: 0 measures; name the one"),
        ((X, Y), {"coefficients": {"filtering": {}}}, "coefficients: filtering has no basis"),
        ((X, Y), {"coefficients": {"projection": {"max_freq": 3}}}, "did you mean 'max_frequency'"),
        ((X, Y), {"coefficients": {"projektion": {}}}, "did you mean 'projection'"),
    ],
)
def test_what_does_not_fit_is_one_line_before_the_training(tmp_path, arguments, options, told):
    with pytest.raises(UserError, match=told) as error:
        fpkit.Recorder(tmp_path / "a.zarr", *arguments, **options)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("y", "model", "told"),
    [
        (Y, lambda x: x[:1], r"a model's output of shape \(1, 4\) has no row for each of 50 probe points"),
        (Y, lambda x: (x, x), "a model's output is a tuple of 2; give forward=lambda model, x: model"),
        (Y, lambda x: {"out": x}, "a model's output of type dict is no array of real numbers; give forward=lambda"),
        (Y, lambda x: x, "y has 1 values a sample, and the model 4 outputs"),
        (CLASSES, lambda x: x[:, :2], "y holds classes from 0 to 2, and the model has 2 outputs"),
    ],
)
def test_outputs_that_do_not_fit_are_one_line_at_the_first_record(tmp_path, y, model, told):
    outputs = "values" if y is CLASSES else None
    with pytest.raises(UserError, match=told):
        fpkit.Recorder(tmp_path / "a.zarr", X, y, outputs=outputs)(0, model)


@pytest.mark.parametrize("step", [0.25, -1, None, "0", np.float32(1), True, float("nan")])
def test_a_step_that_is_none_is_one_line(tmp_path, step):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    for call in (recorder.due, lambda step: recorder(step, lambda x: x[:, :1]), lambda step: recorder.append(step, Y)):
        with pytest.raises(UserError, match=r"a\.zarr: step .*: give a whole number, 0 or more"):
            call(step)


def test_numbers_of_numpy_and_tensors_are_steps(tmp_path):
    with fpkit.Recorder(tmp_path / "a.zarr", X, Y, per_decade=3) as recorder:
        for step in (np.int8(0), np.uint8(90), torch.tensor(120, dtype=torch.uint8), 127):
            recorder(step, lambda x: x[:, :1])
    assert steps_of(tmp_path / "a.zarr") == [0, 90, 120]


def test_a_step_is_recorded_once(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    recorder.append(1, Y)
    with pytest.raises(UserError, match="step 1 was recorded already"):
        recorder.append(1, Y)


def test_logits_of_sequences_are_one_line(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, np.zeros((50, 15)), outputs="logits")
    with pytest.raises(UserError, match=r"logits of shape \(50, 3, 5\): \(sample, class\) is what a softmax"):
        recorder.append(0, np.zeros((50, 3, 5)))


def test_scores_that_are_no_numbers_and_places_that_are_none_are_one_line(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    with pytest.raises(UserError, match="loss_test None: give a number"):
        recorder.append(0, Y, loss_test=None)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"file/a\.zarr: cannot be written \(.*\); give another path"):
        fpkit.Recorder(tmp_path / "file/a.zarr", X, Y).append(0, Y)


def test_steps_that_begin_again_in_every_epoch_are_told(tmp_path):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    recorder(0, lambda x: x[:, :1])
    recorder(9, lambda x: x[:, :1])
    with pytest.raises(UserError, match="step 0 comes after step 9; count the updates over all epochs"):
        recorder(0, lambda x: x[:, :1])


def test_a_full_disk_ends_no_training(tmp_path, monkeypatch):
    recorder = fpkit.Recorder(tmp_path / "a.zarr", X, Y)
    recorder.append(0, Y)
    flush = recorder._store.writer.flush

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder._store.writer, "flush", full)
    monkeypatch.setattr(writing, "WRITING", np.inf)
    with pytest.warns(RuntimeWarning, match=r"a\.zarr: cannot be written \(No space left on device\)"):
        recorder.append(1, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.append(2, Y)  # told once
    monkeypatch.setattr(recorder._store.writer, "flush", flush)
    recorder.append(3, Y)
    recorder.close()
    assert steps_of(tmp_path / "a.zarr") == [0, 1, 2, 3]


def test_what_recording_took_is_said(tmp_path):
    with fpkit.Recorder(tmp_path / "a.zarr", X, Y) as recorder:
        recorder(0, lambda x: (time.sleep(0.05), x[:, :1])[1])
    assert recorder.seconds >= 0.05
    assert "1 records in" in repr(recorder)
    attributes = xr.open_zarr(tmp_path / "a.zarr", consolidated=False, chunks=None).attrs
    assert attributes["recording_seconds"] >= 0.05
    assert attributes["ended"] == 1
