"""An ensemble that compiled code trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fpkit.training import initialization
from fpkit.training.batches import Batches
from fpkit.training.compiled import layers, library
from fpkit.training.compiled.encoder import Encoder
from fpkit.training.compiled.networks import Networks
from fpkit.training.ensemble import Ensemble
from fpkit.training.work import CONVOLUTIONAL

KINDS = (*CONVOLUTIONAL, "mlp", "residual_mlp", "transformer")


def can(model: dict, algorithm: str, loss: str, device: str) -> bool:
    """Whether compiled code trains this config `model` entry, by this algorithm and loss, on this device."""
    return (
        model["kind"] in KINDS
        and not (model["kind"] == "mlp" and len(model["widths"]) == 0)
        and device == "cpu"
        and library.knows("activation", model["activation"])
        and library.knows("algorithm", algorithm)
        and library.knows("loss", loss)
    )


def shape_of(model: dict, features: Sequence[int], outputs: int) -> layers.Chain | Encoder:
    """Of a config `model` entry, for inputs of shape `features`."""
    if model["kind"] == "transformer":
        return Encoder(tuple(features), outputs, *(model[name] for name in ("patch", "width", "heads", "layers")))
    return layers.chain(model, features, initialization.weights(model, features, outputs))


def initial_of(model: dict, features: Sequence[int], outputs: int, seeds: Sequence[int]) -> list[np.ndarray]:
    """Parameters (member, *shape) as they start, of the members with these seeds."""
    if model["kind"] == "transformer":
        from fpkit.training import networks  # takes a second, as it imports torch, whose own layers draw them

        built = networks.build(features=features, outputs=outputs, **model)
        return [parameter.numpy() for parameter in built.initialize(seeds)]
    weights = initialization.weights(model, features, outputs)
    return initialization.initialize(weights, model["initialization"], model["std"], seeds)


class CompiledEnsemble(Ensemble):
    """Networks that `can` names, on the CPU.

    Args:
        model: a config `model` entry. seeds: one for each member.
        algorithm: arguments of `fpkit.training.algorithms.build`. The others are those of `train`.
    """

    def __init__(
        self,
        model: dict,
        data: dict[str, np.ndarray],
        seeds: Sequence[int],
        algorithm: dict,
        loss: str,
        batch_size: int | None,
        threads: int,
        basis: np.ndarray | None,
    ):
        if basis is not None:
            import torch  # which sums the coefficients up

            torch.set_num_threads(1)  # more would change the last bits
            basis = torch.as_tensor(basis)
        features, outputs = data["x_train"].shape[1:], data["y_train"].shape[1]
        initial = initial_of(model, features, outputs, seeds)
        shape = shape_of(model, features, outputs)
        data = {
            name: shape.arranged(array) if name.startswith("x_") else np.ascontiguousarray(array, np.float32)
            for name, array in data.items()
        }
        super().__init__(data, loss, basis)
        self.networks = Networks(initial, shape, model["activation"], loss, algorithm, threads)
        self.batches = Batches(len(data["x_train"]), batch_size, seeds)

    def update(self, start: int, stop: int, then: Sequence[tuple]) -> list[tuple]:
        """See `Ensemble.update`."""
        x, y = self.parts["train"]
        return self.networks.update(x, y, self.batches.ahead(start, stop), start, stop - start, then)

    def evaluate(self, pairs: Sequence[tuple]) -> list[tuple]:
        """See `Ensemble.evaluate`."""
        return self.networks.evaluate(pairs)

    def softmax(self, output: np.ndarray) -> np.ndarray:
        """See `Ensemble.softmax`."""
        with np.errstate(invalid="ignore"):  # of a member that diverged
            exponential = np.exp(output - output.max(axis=-1, keepdims=True))
            return exponential / exponential.sum(axis=-1, keepdims=True)

    def fetch(self, arrays: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        """See `Ensemble.fetch`."""
        return lambda: list(arrays)

    def state(self) -> list[dict]:
        """See `Ensemble.state`."""
        networks = self.networks
        numbers = [networks.members_apart(flat) for flat in (networks.flat, *networks.buffers.values())]
        step = np.array(networks.steps, np.float32)
        return [
            {"parameters": parameters, "algorithm": dict(zip(networks.buffers, buffers, strict=True)) | {"step": step}}
            for parameters, *buffers in zip(*numbers, strict=True)
        ]

    def load(self, members: Sequence[dict]) -> None:
        """See `Ensemble.load`."""
        super().load(members)
        networks = self.networks
        networks.steps = int(members[0]["algorithm"]["step"])
        networks.fill(networks.flat, [member["parameters"] for member in members])
        for name, buffer in networks.buffers.items():
            networks.fill(buffer, [member["algorithm"][name] for member in members])
