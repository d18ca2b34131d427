"""Training of an ensemble: all members of a variant together, as one stack of networks.

Needs numpy alone, and torch for what compiled code does not train. What is recorded goes to a `sink`, which only has to
have `records` (how many it holds), `append(step, prediction, **scores)`, `flush()` and `truncate(records)`;
`fpkit.store.predictions.Writer` is one.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from fpkit import parts
from fpkit.jobs import gpus
from fpkit.store import checkpoint
from fpkit.store.schedule import record_steps
from fpkit.training import initialization, work
from fpkit.training.compiled.ensemble import CompiledEnsemble, can
from fpkit.training.ensemble import PARTS, Ensemble

# Checkpoints are so far apart that writing them takes at most this share of the time.
CHECKPOINT_SHARE = 0.02
# And not closer than this.
CHECKPOINT_SECONDS = 1.0
# Updates between two looks at the clock, which a block takes at once, with its numbers in the cache.
STEPS_TOGETHER = 50


def train(
    model: dict,
    data: dict[str, np.ndarray],
    sink,
    *,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    nesterov: bool,
    batch_size: int | None,
    loss: str,
    steps: int,
    members: int,
    seed_offset: int,
    device: str,
    threads: int,
    per_decade: int,
    split: str,
    basis: np.ndarray | None = None,
    checkpoint_path: Path | None = None,
    schedule: dict | None = None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    progress: Callable[[int, np.ndarray], None] = lambda step, loss: None,
) -> str:
    """Train `members` networks for `steps` updates and record their predictions on the way.

    Same seeds, machine and device give the same bits, whatever the number of threads, also when the training was
    interrupted and resumed from `checkpoint_path`, and whatever the number of steps still to come. A member's
    trajectory does not depend on which members train beside it. A training that is found beyond `steps` is left as it
    is: its first records are those of `steps`, and the sink keeps all of them.

    Args:
        model: a config `model` entry.
        data: `x_train` (sample, *feature), `y_train` (sample, output), and the same for `test` and, if the data set has
            one, `validation`; float32.
        sink: takes, at each recorded step, the prediction (member, sample, output) on the samples of `split` (`all`:
            training, then test samples), and the scores `loss_train`, ... and, with several outputs,
            `accuracy_train`, ..., each (member,). Under cross-entropy the predictions are class probabilities.
        basis: (sample, row) float32; the sink then takes, in place of predictions, their coefficients (member, row,
            output), and `error_norm` and `error_overlap` (member,) among the scores. Outputs of some samples are all
            that the device or the host ever holds; losses are means over them.
        checkpoint_path: where the state is kept and looked for; the remaining arguments are those of the config.
        progress: called after each record with the step and the training loss (member,).

    Returns:
        The device that was used, and whether by compiled code, in words.
    """
    state = _last_state(checkpoint_path, sink)
    if state and state["step"] >= steps:
        print(f"already trained, to step {state['step']}", flush=True)
        return state["device"]
    algorithm = {"name": optimizer, "learning_rate": learning_rate, "momentum": momentum, "nesterov": nesterov}
    algorithm |= {"schedule": schedule, "weight_decay": weight_decay, "clip_norm": clip_norm}
    due_steps = record_steps(steps, per_decade)
    if device == "auto" and state:
        device = state["device"].split(",")[0]  # as it began, if that is here
        device = gpus.resolve("auto") if device == "cuda" else device
    elif device == "auto":
        extent = {"members": members, "updates": steps, "records": len(due_steps), "threads": threads}
        device = gpus.resolve(device, partial(_pays, model, data, algorithm, loss, batch_size, extent))
    else:
        device = gpus.resolve(device)
    seeds = range(seed_offset, seed_offset + members)
    own = parts.blamed(*parts.own_of(model, optimizer, loss))
    members_of = partial(build, model, data, seeds, algorithm, loss, batch_size, device, threads, basis)
    with ExitStack() as stack:
        stack.enter_context(own)
        ensemble = stack.enter_context(members_of())
        # The same members, which stay as they start, whatever the checkpoint.
        start = None if basis is None else stack.enter_context(members_of())
        if state:
            print(f"continuing from step {state['step']}", flush=True)
            ensemble.load(state["members"])
        step, records = (state["step"], state["records"]) if state else (0, 0)
        sink.truncate(records)
        used = f"{device}, compiled" if isinstance(ensemble, CompiledEnsemble) else device
        last_save, save_cost = time.monotonic(), 0.0
        pending: list[tuple[int, Callable]] = []  # the record that is taken, and not yet written

        def write() -> None:
            for taken_at, taken in pending:
                recorded, scores = taken()
                sink.append(taken_at, recorded, **scores)
                progress(taken_at, scores["loss_train"])
            pending.clear()

        while True:
            if records < len(due_steps) and step == due_steps[records]:
                pending.append((step, ensemble.record(split, start)))
                records += 1
            due = time.monotonic() - last_save > max(CHECKPOINT_SECONDS, save_cost / CHECKPOINT_SHARE)
            if checkpoint_path and (due or step == steps):
                write()
                began = time.monotonic()
                sink.flush()
                state = {"step": step, "records": sink.records, "device": used, "members": ensemble.state()}
                checkpoint.save(checkpoint_path, state)
                last_save = time.monotonic()
                save_cost = last_save - began
            if step == steps:
                break
            stop = min([step + STEPS_TOGETHER, steps, *due_steps[bisect(due_steps, step) :][:1]])
            ensemble.advance(step, stop, evaluate=stop in due_steps)
            write()  # while a GPU is busy with the updates
            step = stop
        write()
    sink.flush()
    return used


def build(
    model: dict,
    data: dict[str, np.ndarray],
    seeds: Sequence[int],
    algorithm: dict,
    loss: str = "mse",
    batch_size: int | None = None,
    device: str = "cpu",
    threads: int = 1,
    basis: np.ndarray | None = None,
) -> Ensemble:
    """The members with these seeds, for compiled code if it `can` train them, else for torch.

    Args:
        algorithm: arguments of `fpkit.training.algorithms.build` but `flat`. device: `cpu` or `cuda`.
            The others are those of `train`.

    Raises:
        UserError: a part of the user's own is not what it must be.
    """
    if parts.own_of(model, algorithm["name"], loss):
        from fpkit.training import own  # with torch

        own.check(model, data, algorithm, loss, batch_size, device)
    if can(model, algorithm["name"], loss, device):
        return CompiledEnsemble(model, data, seeds, algorithm, loss, batch_size, threads, basis)
    from fpkit.training.stacked import StackedEnsemble  # takes a second, as it imports torch

    return StackedEnsemble(model, data, seeds, algorithm, loss, batch_size, device, threads, basis)


def _pays(
    model: dict, data: dict[str, np.ndarray], algorithm: dict, loss: str, batch_size: int | None, extent: dict
) -> bool:
    """Whether a GPU would be sooner done, by what is known before; it says so.

    Args:
        extent: members, updates, records and threads: see `fpkit.training.work.seconds`.
    """
    x, y = data["x_train"], data["y_train"]
    weights = initialization.weights(model, x.shape[1:], y.shape[1])
    if weights is None:  # one's own
        from fpkit.training import networks

        network = networks.build(features=x.shape[1:], outputs=y.shape[1], **model)
        weights = [parameter.shape[1:] for parameter in network.initialize([0])]
    cpu, gpu = work.seconds(
        model, weights, x.shape[1:], updated=batch_size or len(x),
        evaluated=sum(len(data.get(f"x_{part}", ())) for part in PARTS),
        compiled=can(model, algorithm["name"], loss, "cpu"), **extent,
    )  # fmt: skip
    print(
        f"about {cpu:.2g} s on the CPU, {gpu:.2g} s on the GPU: trained on the {'GPU' if gpu < cpu else 'CPU'}",
        flush=True,
    )
    return gpu < cpu


def _last_state(path: Path | None, sink) -> dict | None:
    """The last checkpoint of which the sink has all records."""
    for state in checkpoint.load(path) if path else ():
        if state["records"] <= sink.records:
            return state
        print(f"a checkpoint of {state['records']} records, of which {sink.records} are in the store", flush=True)
    return None
