"""Training of an ensemble: all members of a variant together, as one stack of networks.

Needs torch and numpy alone. What is recorded goes to a `sink`, which only has to have `records` (how many it holds),
`append(step, prediction, **scores)`, `flush()` and `truncate(records)`; `fpkit.predictions.Writer` is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpkit import models
from fpkit.training import checkpoint
from fpkit.training.schedule import record_steps

# Checkpoints are so far apart that writing them takes at most this share of the time.
CHECKPOINT_SHARE = 0.02


def train(
    model: dict,
    data: dict[str, np.ndarray],
    sink,
    *,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    batch_size: int | None,
    loss: str,
    steps: int,
    members: int,
    seed_offset: int,
    device: str,
    threads: int,
    per_decade: int,
    split: str,
    checkpoint_path: Path | None = None,
    progress: Callable[[int, Tensor], None] = lambda step, loss: None,
) -> str:
    """Train `members` networks for `steps` updates and record their predictions on the way.

    Same seeds, machine, device and threads give the same bits, also when the training was interrupted and resumed from
    `checkpoint_path`, and whatever the number of steps still to come. A member's trajectory does not depend on which
    members train beside it.

    Args:
        model: a config `model` entry.
        data: `x_train`, `x_test` (sample, *feature), `y_train`, `y_test` (sample, output); float32.
        sink: takes, at each recorded step, the prediction (member, sample, output) on the samples of `split`, and the
            scores `loss_train`, `loss_test` and, for classes, `accuracy_train`, `accuracy_test`, each (member,).
            Under cross-entropy the predictions are class probabilities.
        checkpoint_path: where the state is kept and looked for; the remaining arguments are those of the config.
        progress: called after each record with the step and the training loss (member,).

    Returns:
        The name of the device that was used.
    """
    device = resolve_device(device)
    _make_reproducible(threads)
    data = {name: torch.as_tensor(array).to(device) for name, array in data.items()}
    seeds = range(seed_offset, seed_offset + members)

    options = {key: value for key, value in model.items() if key not in ("initialization", "std")}
    network = models.build(features=data["x_train"].shape[1:], outputs=data["y_train"].shape[-1], **options)
    parameters = models.initialize(network.weights, model["initialization"], model["std"], seeds)
    parameters = [parameter.to(device).requires_grad_() for parameter in parameters]
    update = _optimizer(optimizer, parameters, learning_rate, momentum)
    batches = Batches(data["x_train"], data["y_train"], batch_size, seeds)

    schedule = record_steps(steps, per_decade)
    start = _resume(checkpoint_path, parameters, update, sink)
    last_save, save_cost = time.monotonic(), 0.0
    for step in range(start, steps + 1):
        if sink.records < len(schedule) and step == schedule[sink.records]:
            prediction, scores = _record(network, parameters, data, loss, split)
            sink.append(step, prediction, **scores)
            progress(step, scores["loss_train"])
        due = time.monotonic() - last_save > max(1.0, save_cost / CHECKPOINT_SHARE)
        if checkpoint_path and (due or step == steps):
            began = time.monotonic()
            sink.flush()
            state = {"step": step, "records": sink.records, "parameters": parameters, "optimizer": update.state_dict()}
            checkpoint.save(checkpoint_path, state)
            last_save = time.monotonic()
            save_cost = last_save - began
        if step == steps:
            break
        x, y = batches.at(step)
        for parameter in parameters:
            parameter.grad = None
        # Summed over members: each member's gradient is that of its own loss.
        member_losses(network.forward(parameters, x), y, loss).sum().backward()
        update.step()
    sink.flush()
    return str(device)


class Batches:
    """The samples of each update: all of them, or mini-batches without replacement within an epoch.

    A member's order in an epoch follows from its seed and the epoch alone, so nothing has to be kept to resume.
    An epoch's last samples that do not fill a batch are left out.
    """

    def __init__(self, x: Tensor, y: Tensor, batch_size: int | None, seeds: Sequence[int]):
        self.x, self.y, self.seeds = x, y, seeds
        self.size = None if batch_size is None or batch_size >= len(x) else batch_size
        self.epoch, self.order = -1, None

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """x (sample, *feature) and y (sample, output), or both with a leading member dimension for mini-batches."""
        if self.size is None:
            return self.x, self.y
        epoch, batch = divmod(step, len(self.x) // self.size)
        if epoch != self.epoch:
            orders = [self._order(seed, epoch) for seed in self.seeds]
            self.epoch, self.order = epoch, torch.stack(orders).to(self.x.device)
        chosen = self.order[:, batch * self.size : (batch + 1) * self.size]
        return self.x[chosen], self.y[chosen]

    def _order(self, seed: int, epoch: int) -> Tensor:
        # Seeded by both, spread over 64 bits, so that neighbouring seeds and epochs share nothing.
        mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return torch.randperm(len(self.x), generator=torch.Generator().manual_seed(mixed))


def member_losses(output: Tensor, target: Tensor, loss: str) -> Tensor:
    """Loss of each member (member,), mean over samples (and outputs, for mse).

    `output` is (member, sample, output); `target` is the same or without the member dimension. Under cross_entropy the
    outputs are logits and the targets class probabilities.
    """
    if loss == "mse":
        return (output - target).square().mean(dim=(1, 2))
    return -(target * F.log_softmax(output, dim=-1)).sum(dim=-1).mean(dim=1)


def resolve_device(device: str) -> torch.device:
    """`auto` takes the GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _make_reproducible(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def _optimizer(name: str, parameters: list[Tensor], learning_rate: float, momentum: float) -> torch.optim.Optimizer:
    """Elementwise algorithms only: on a stack they act on each member alone."""
    if name == "adam":
        return torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, fused=True)


def _resume(path: Path | None, parameters: list[Tensor], update: torch.optim.Optimizer, sink) -> int:
    """Bring parameters, optimizer and sink to the last checkpoint; the step to go on from."""
    state = checkpoint.load(path) if path else None
    if state is None or state["records"] > sink.records:
        sink.truncate(0)
        return 0
    sink.truncate(state["records"])
    with torch.no_grad():
        for parameter, saved in zip(parameters, state["parameters"], strict=True):
            parameter.copy_(saved)
    update.load_state_dict(state["optimizer"])
    print(f"continuing from step {state['step']}", flush=True)
    return state["step"]


@torch.no_grad()
def _record(
    network: models.Network, parameters: list[Tensor], data: dict[str, Tensor], loss: str, split: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Prediction (member, sample, output) on `split`, and the scores (member,) of both parts."""
    scores = {}
    for part in ("train", "test"):
        x, y = data[f"x_{part}"], data[f"y_{part}"]
        if len(x) == 0:
            continue
        # In blocks, so that recording needs no more memory than training.
        output = torch.cat([network.forward(parameters, block) for block in x.split(1024)], dim=1)
        scores[f"loss_{part}"] = member_losses(output, y, loss).cpu().numpy()
        if y.shape[-1] > 1:
            correct = output.argmax(dim=-1) == y.argmax(dim=-1)
            scores[f"accuracy_{part}"] = correct.float().mean(dim=1).cpu().numpy()
        if part == split:
            prediction = output if loss == "mse" else output.softmax(dim=-1)
    return prediction.cpu().numpy(), scores
