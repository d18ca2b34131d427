"""Training algorithms on a stack of networks: each member is updated by its own gradient alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fpkit import parts

# losses(parameters, member) -> loss of each member; `member` is a slice, the parameters those of its members.
Losses = Callable[[Sequence[Tensor], slice], Tensor]
ALL = slice(None)


class Elementwise:
    """A torch optimizer that treats every number alike: on a stack of members it acts on each member alone."""

    def __init__(self, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer):
        self.parameters, self.optimizer = parameters, optimizer

    def step(self, losses: Losses) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        # Summed over members: each member's gradient is that of its own loss.
        losses(self.parameters, ALL).sum().backward()
        self.optimizer.step()

    def state_dict(self) -> dict:
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.optimizer.load_state_dict(state)


class Lbfgs:
    """L-BFGS with a line search, member by member: its step length depends on all of a network's parameters."""

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float):
        # Views of one member each: what a member's optimizer writes is written into the stack.
        self.members = [
            [parameter.detach()[member : member + 1].requires_grad_() for parameter in parameters]
            for member in range(parameters[0].shape[0])
        ]
        # One iteration a step. A low max_eval would cut the line search short.
        options = {"lr": learning_rate, "max_iter": 1, "max_eval": 25, "line_search_fn": "strong_wolfe"}
        self.optimizers = [torch.optim.LBFGS(member, **options) for member in self.members]

    def step(self, losses: Losses) -> None:
        for index, (parameters, optimizer) in enumerate(zip(self.members, self.optimizers, strict=True)):

            def closure(parameters=parameters, optimizer=optimizer, member=slice(index, index + 1)):
                optimizer.zero_grad()
                loss = losses(parameters, member).sum()
                loss.backward()
                return loss

            optimizer.step(closure)

    def state_dict(self) -> dict:
        return {"members": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: dict) -> None:
        for optimizer, saved in zip(self.optimizers, state["members"], strict=True):
            optimizer.load_state_dict(saved)


def build(
    name: str, parameters: Sequence[Tensor], learning_rate: float, momentum: float, nesterov: bool
) -> Elementwise | Lbfgs:
    """The algorithm of a config `training.optimizer`.

    Of one's own, by dotted path: a function of (parameters, learning_rate) that returns a torch optimizer which treats
    every number alike.
    """
    if name == "lbfgs":
        return Lbfgs(parameters, learning_rate)
    if parts.is_own(name):
        return Elementwise(parameters, parts.load(name)(parameters, learning_rate))
    torch_optimizers = {
        "adam": lambda: torch.optim.Adam(parameters, lr=learning_rate, fused=True),
        "adamw": lambda: torch.optim.AdamW(parameters, lr=learning_rate, fused=True),
        "sgd": lambda: torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, nesterov=nesterov, fused=True),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, lr=learning_rate, foreach=True),
        "adagrad": lambda: torch.optim.Adagrad(parameters, lr=learning_rate, foreach=True),
        "adadelta": lambda: torch.optim.Adadelta(parameters, lr=learning_rate, foreach=True),
    }
    return Elementwise(parameters, torch_optimizers[name]())
