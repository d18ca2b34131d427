"""Training algorithms: how one step changes the flat tensor of all parameters of a stack (fpkit.training.gradients).

Every algorithm treats every number alike, hence each member by its own gradient alone; L-BFGS does not, and is given
one member at a time (`ONE_BY_ONE`). `state` holds what a checkpoint has to keep, beside the parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fpkit import parts
from fpkit.training.ensemble import ADAMW_WEIGHT_DECAY

ONE_BY_ONE = ("lbfgs",)


class Fused:
    """One pass of a fused kernel of torch over the flat tensor.

    The same kernels as under `torch.optim`, whose bookkeeping takes as long as the gradient of a small network.
    """

    def __init__(self, flat: torch.nn.Parameter, buffers: tuple[str, ...], update: Callable[..., None]):
        self.flat, self.update = flat, update
        self.state = {name: torch.zeros_like(flat, requires_grad=False) for name in buffers}
        self.state["step"] = torch.zeros((), device=flat.device)

    def step(self, gradient: Callable[[], Tensor], loss: Callable[[Tensor], Tensor]) -> None:
        """Take one step. gradient() fills `flat.grad` and returns the outputs, loss(outputs) is the summed loss."""
        gradient()
        self.state["step"] += 1
        with torch.no_grad():
            self.update(self.flat, self.flat.grad, **self.state)

    def load(self, state: dict) -> None:
        self.state = state


class Torch:
    """An optimizer of torch on the flat tensor."""

    def __init__(self, flat: torch.nn.Parameter, optimizer: torch.optim.Optimizer):
        self.flat, self.optimizer = flat, optimizer

    @property
    def state(self) -> dict:
        return self.optimizer.state[self.flat]

    def step(self, gradient: Callable[[], Tensor], loss: Callable[[Tensor], Tensor]) -> None:
        """Take one step, or more evaluations for it: see `Fused.step`."""
        self.optimizer.step(lambda: loss(gradient()))

    def load(self, state: dict) -> None:
        self.optimizer.state[self.flat] = state


def build(name: str, flat: torch.nn.Parameter, learning_rate: float, momentum: float, nesterov: bool) -> Fused | Torch:
    """The algorithm of a config `training.optimizer` on a flat tensor of parameters.

    Of one's own, by dotted path: a function of (parameters, learning_rate) that returns a torch optimizer which treats
    every number alike.
    """

    def adam(kernel: Callable, weight_decay: float) -> Fused:
        def update(flat, grad, mean, square, step):
            kernel(
                [flat], [grad], [mean], [square], [], [step], lr=learning_rate, beta1=0.9, beta2=0.999,
                weight_decay=weight_decay, eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip

        return Fused(flat, ("mean", "square"), update)

    def sgd() -> Fused:
        def update(flat, grad, step, velocity=None):
            torch._fused_sgd_(
                [flat], [grad], [] if velocity is None else [velocity], lr=learning_rate, momentum=momentum,
                nesterov=nesterov, weight_decay=0, dampening=0, maximize=False, is_first_step=False,
            )  # fmt: skip

        return Fused(flat, ("velocity",) if momentum else (), update)

    if parts.is_own(name):
        return Torch(flat, parts.load(name)([flat], learning_rate))
    algorithms = {
        "adam": lambda: adam(torch._fused_adam_, 0),
        "adamw": lambda: adam(torch._fused_adamw_, ADAMW_WEIGHT_DECAY),
        "sgd": sgd,
        "rmsprop": lambda: Torch(flat, torch.optim.RMSprop([flat], lr=learning_rate)),
        "adagrad": lambda: Torch(flat, torch.optim.Adagrad([flat], lr=learning_rate)),
        "adadelta": lambda: Torch(flat, torch.optim.Adadelta([flat], lr=learning_rate)),
        # One iteration a step. A low max_eval would cut the line search short.
        "lbfgs": lambda: Torch(
            flat,
            torch.optim.LBFGS([flat], lr=learning_rate, max_iter=1, max_eval=25, line_search_fn="strong_wolfe"),
        ),
    }
    return algorithms[name]()
