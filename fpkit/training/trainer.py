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
from torch import Tensor

from fpkit import models
from fpkit.training import algorithms, checkpoint, losses
from fpkit.training.schedule import record_steps

# Checkpoints are so far apart that writing them takes at most this share of the time.
CHECKPOINT_SHARE = 0.02
PARTS = ("train", "validation", "test")


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
    checkpoint_path: Path | None = None,
    progress: Callable[[int, Tensor], None] = lambda step, loss: None,
) -> str:
    """Train `members` networks for `steps` updates and record their predictions on the way.

    Same seeds, machine, device and threads give the same bits, also when the training was interrupted and resumed from
    `checkpoint_path`, and whatever the number of steps still to come. A member's trajectory does not depend on which
    members train beside it.

    Args:
        model: a config `model` entry.
        data: `x_train` (sample, *feature), `y_train` (sample, output), and the same for `test` and, if the data set has
            one, `validation`; float32.
        sink: takes, at each recorded step, the prediction (member, sample, output) on the samples of `split` (`all`:
            training, then test samples), and the scores `loss_train`, ... and, with several outputs,
            `accuracy_train`, ..., each (member,). Under cross-entropy the predictions are class probabilities.
        checkpoint_path: where the state is kept and looked for; the remaining arguments are those of the config.
        progress: called after each record with the step and the training loss (member,).

    Returns:
        The name of the device that was used.
    """
    device = resolve_device(device)
    _make_reproducible(threads)
    data = {name: torch.as_tensor(array).to(device) for name, array in data.items()}
    seeds = range(seed_offset, seed_offset + members)

    network = models.build(features=data["x_train"].shape[1:], outputs=data["y_train"].shape[-1], **model)
    parameters = [parameter.to(device).requires_grad_() for parameter in network.initialize(seeds)]
    algorithm = algorithms.build(optimizer, parameters, learning_rate, momentum, nesterov)
    member_losses = losses.build(loss)
    batches = Batches(data["x_train"], data["y_train"], batch_size, seeds)

    schedule = record_steps(steps, per_decade)
    start = _resume(checkpoint_path, parameters, algorithm, sink)
    last_save, save_cost = time.monotonic(), 0.0
    for step in range(start, steps + 1):
        if sink.records < len(schedule) and step == schedule[sink.records]:
            prediction, scores = _record(network, parameters, data, member_losses, split, loss == "cross_entropy")
            sink.append(step, prediction, **scores)
            progress(step, scores["loss_train"])
        due = time.monotonic() - last_save > max(1.0, save_cost / CHECKPOINT_SHARE)
        if checkpoint_path and (due or step == steps):
            began = time.monotonic()
            sink.flush()
            state = {
                "step": step,
                "records": sink.records,
                "parameters": parameters,
                "algorithm": algorithm.state_dict(),
            }
            checkpoint.save(checkpoint_path, state)
            last_save = time.monotonic()
            save_cost = last_save - began
        if step == steps:
            break
        algorithm.step(batches.losses(step, network.forward, member_losses))
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

    def losses(self, step: int, forward, member_losses) -> algorithms.Losses:
        """The losses of this step's samples as a function of parameters and members."""
        x, y = self.at(step)

        def losses_of(parameters: Sequence[Tensor], member: slice) -> Tensor:
            own = (x, y) if self.size is None else (x[member], y[member])
            return member_losses(forward(parameters, own[0]), own[1])

        return losses_of

    def _order(self, seed: int, epoch: int) -> Tensor:
        # Seeded by both, spread over 64 bits, so that neighbouring seeds and epochs share nothing.
        mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return torch.randperm(len(self.x), generator=torch.Generator().manual_seed(mixed))


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


def _resume(path: Path | None, parameters: list[Tensor], algorithm, sink) -> int:
    """Bring parameters, algorithm and sink to the last checkpoint; the step to go on from."""
    state = checkpoint.load(path) if path else None
    if state is None or state["records"] > sink.records:
        sink.truncate(0)
        return 0
    sink.truncate(state["records"])
    with torch.no_grad():
        for parameter, saved in zip(parameters, state["parameters"], strict=True):
            parameter.copy_(saved)
    algorithm.load_state_dict(state["algorithm"])
    print(f"continuing from step {state['step']}", flush=True)
    return state["step"]


@torch.no_grad()
def _record(
    network: models.Network,
    parameters: list[Tensor],
    data: dict[str, Tensor],
    member_losses: Callable[[Tensor, Tensor], Tensor],
    split: str,
    logits: bool,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Prediction (member, sample, output) on `split`, and the scores (member,) of each part of the data."""
    scores, outputs = {}, {}
    for part in PARTS:
        x, y = data.get(f"x_{part}"), data.get(f"y_{part}")
        if x is None or len(x) == 0:
            continue
        # In blocks, so that recording needs no more memory than training.
        output = torch.cat([network.forward(parameters, block) for block in x.split(1024)], dim=1)
        scores[f"loss_{part}"] = member_losses(output, y).cpu().numpy()
        if y.shape[-1] > 1:
            correct = output.argmax(dim=-1) == y.argmax(dim=-1)
            scores[f"accuracy_{part}"] = correct.float().mean(dim=1).cpu().numpy()
        outputs[part] = output.softmax(dim=-1) if logits else output
    chosen = ("train", "test") if split == "all" else (split,)
    prediction = torch.cat([outputs[part] for part in chosen if part in outputs], dim=1)
    return prediction.cpu().numpy(), scores
