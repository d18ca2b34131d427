"""For Keras 3, on any of its backends: `model.fit(..., callbacks=[fpkit.keras.FrequencyRecorder("a.zarr", x, y)])`."""

from __future__ import annotations

from typing import Any

import keras

from fpkit.recording.recorder import Recorder


class FrequencyRecorder(keras.callbacks.Callback):
    """Records what the model predicts, in inference mode, by the number of batches trained on.

    Arguments: those of `fpkit.Recorder`, and `first_step`, of a training that goes on: batches before it.
    """

    def __init__(self, path: Any, x: Any, y: Any = None, *, first_step: int = 0, **options: Any):
        super().__init__()
        self.step = first_step
        self.recorder = Recorder(path, x, y, **{"forward": _predicted, **options})

    def on_train_begin(self, logs: Any = None) -> None:
        """Record the network as it starts."""
        self.recorder(self.step, self.model)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Record, if the step is due."""
        self.step += 1
        if self.recorder.due(self.step):
            self._record()

    def on_train_end(self, logs: Any = None) -> None:
        """Record the network as it ends, and write what is left."""
        self._record(last=True)
        self.recorder.close()

    def _record(self, last: bool = False) -> None:
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # on JAX, weights live elsewhere while it trains
        self.recorder(self.step, self.model, last=last)


def _predicted(model: Any, points: Any) -> Any:
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(points), training=False))
