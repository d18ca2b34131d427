"""Training algorithms: how one step changes the flat tensor of all parameters of a stack (fpkit.training.gradients).

Each is a function of its name in the configuration; compiled code has twins of some
(fpkit/training/compiled/updates.hpp).

Every algorithm treats every number alike, hence each member by its own gradient alone; L-BFGS does not, and is given
one member at a time (`one_by_one`). `state` holds what a checkpoint has to keep, beside the parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fpkit import parts


class Fused:
    """One pass of a fused kernel of torch over the flat tensor.

    The same kernels as under `torch.optim`, whose bookkeeping takes as long as the gradient of a small network.
    """

    capturable = True

    def __init__(self, flat: torch.nn.Parameter, rate: float, buffers: tuple[str, ...], update: Callable[..., None]):
        self.flat, self.rate, self.update = flat, rate, update
        self.scaled = rate
        self.state = {name: torch.zeros_like(flat, requires_grad=False) for name in buffers}
        self.state["step"] = torch.zeros((), device=flat.device)

    def scale(self, factor: float) -> None:
        """Multiply the learning rate by `factor`."""
        self.scaled = _rate(self.flat, self.scaled, self.rate * factor)

    def step(self, gradient: Callable[[], Tensor], loss: Callable[[Tensor], Tensor]) -> None:
        """Take one step. gradient() fills `flat.grad` and returns the outputs, loss(outputs) is the summed loss."""
        gradient()
        self.state["step"] += 1
        with torch.no_grad():
            self.update(self.flat, self.flat.grad, lr=self.scaled, **self.state)

    def load(self, state: dict) -> None:
        self.state = state


class Torch:
    """An optimizer of torch on the flat tensor."""

    def __init__(self, flat: torch.nn.Parameter, optimizer: torch.optim.Optimizer):
        self.flat, self.optimizer = flat, optimizer
        self.rates: list[float] = []

    @property
    def capturable(self) -> bool:
        """Whether its steps can be captured in a CUDA graph."""
        return all(group.get("capturable") for group in self.optimizer.param_groups)

    @property
    def state(self) -> dict:
        return self.optimizer.state[self.flat]

    def scale(self, factor: float) -> None:
        """See `Fused.scale`."""
        groups = self.optimizer.param_groups
        self.rates = self.rates or [group["lr"] for group in groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = _rate(self.flat, group["lr"], rate * factor) if self.capturable else rate * factor

    def step(self, gradient: Callable[[], Tensor], loss: Callable[[Tensor], Tensor]) -> None:
        """Take one step, or more evaluations for it: see `Fused.step`."""
        self.optimizer.step(lambda: loss(gradient()))

    def load(self, state: dict) -> None:
        if not self.capturable:  # then torch counts steps on the host
            counted = {key: value.cpu() for key, value in state.items() if key == "step" and isinstance(value, Tensor)}
            state = state | counted
        self.optimizer.state[self.flat] = state


def _rate(flat: Tensor, last: float | Tensor, rate: float) -> float | Tensor:
    """A learning rate that changes: on a GPU a number in its memory, where a captured update finds it."""
    if not flat.is_cuda:
        return rate
    return last.fill_(rate) if isinstance(last, Tensor) else torch.tensor(rate, device=flat.device)


Algorithm = Fused | Torch


def build(
    name: str,
    flat: torch.nn.Parameter,
    learning_rate: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float | None = None,
    **of_blocks: object,
) -> Algorithm:
    """The algorithm of a config `training.optimizer` on a flat tensor of parameters.

    What else belongs to it, a schedule and a norm to clip to, is for whoever takes its steps.

    Of one's own, by dotted path: a function of (parameters, learning_rate) that returns a torch optimizer which treats
    every number alike.
    """
    if parts.is_own(name):
        return Torch(flat, parts.load(name)([flat], learning_rate))
    options = {"momentum": momentum, "nesterov": nesterov} if momentum else {}  # only an algorithm that knows them
    options |= {} if weight_decay is None else {"weight_decay": weight_decay}
    return globals()[name](flat, learning_rate, **options)


def goes_one_by_one(name: str) -> bool:
    """Whether a config `training.optimizer` is given one member at a time."""
    return not parts.is_own(name) and hasattr(globals()[name], "one_by_one")


def sgd(
    flat: torch.nn.Parameter,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Algorithm:
    """Gradient descent, with classical or Nesterov's momentum."""

    def update(flat, grad, lr, step, velocity=None):
        torch._fused_sgd_(
            [flat], [grad], [] if velocity is None else [velocity], lr=lr, momentum=momentum,
            nesterov=nesterov, weight_decay=weight_decay, dampening=0, maximize=False, is_first_step=False,
        )  # fmt: skip

    return Fused(flat, learning_rate, ("velocity",) if momentum else (), update)


def adam(flat: torch.nn.Parameter, learning_rate: float, weight_decay: float = 0.0) -> Algorithm:
    """Kingma, Ba 2015."""
    return _adam(torch._fused_adam_, flat, learning_rate, weight_decay)


def adamw(flat: torch.nn.Parameter, learning_rate: float, weight_decay: float = 0.01) -> Algorithm:
    """Loshchilov, Hutter 2019."""
    return _adam(torch._fused_adamw_, flat, learning_rate, weight_decay)


def _adam(kernel: Callable, flat: torch.nn.Parameter, learning_rate: float, weight_decay: float) -> Algorithm:
    def update(flat, grad, lr, mean, square, step):
        kernel(
            [flat], [grad], [mean], [square], [], [step], lr=lr, beta1=0.9, beta2=0.999,
            weight_decay=weight_decay, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip

    return Fused(flat, learning_rate, ("mean", "square"), update)


def rmsprop(flat: torch.nn.Parameter, learning_rate: float, weight_decay: float = 0.0) -> Algorithm:
    """Tieleman, Hinton 2012."""
    options = {"weight_decay": weight_decay, "capturable": flat.is_cuda}
    return Torch(flat, torch.optim.RMSprop([flat], lr=learning_rate, **options))


def adagrad(flat: torch.nn.Parameter, learning_rate: float, weight_decay: float = 0.0) -> Algorithm:
    """Duchi, Hazan, Singer 2011."""
    return Torch(flat, torch.optim.Adagrad([flat], lr=learning_rate, weight_decay=weight_decay))


def adadelta(flat: torch.nn.Parameter, learning_rate: float, weight_decay: float = 0.0) -> Algorithm:
    """Zeiler 2012."""
    options = {"weight_decay": weight_decay, "capturable": flat.is_cuda}
    return Torch(flat, torch.optim.Adadelta([flat], lr=learning_rate, **options))


def lbfgs(flat: torch.nn.Parameter, learning_rate: float) -> Algorithm:
    """Limited-memory BFGS (Liu, Nocedal 1989) with a strong Wolfe line search, one iteration a step."""
    # A low max_eval would cut the line search short.
    options = {"max_iter": 1, "max_eval": 25, "line_search_fn": "strong_wolfe"}
    return Torch(flat, torch.optim.LBFGS([flat], lr=learning_rate, **options))


lbfgs.one_by_one = True
