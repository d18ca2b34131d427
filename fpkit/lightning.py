"""For Lightning: `Trainer(callbacks=[fpkit.lightning.FrequencyRecorder("runs/seed0.zarr", x, y)])`."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from fpkit.recording.recorder import Recorder


class FrequencyRecorder(Callback):
    """Records what the module predicts, by the number of optimizer steps. Arguments: those of `fpkit.Recorder`."""

    def __init__(self, path: Any, x: Any, y: Any = None, **options: Any):
        self.recorder = Recorder(path, x, y, **options)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the network as it starts, or as it goes on from a checkpoint."""
        self.recorder(trainer.global_step, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        """Record, if the step is due."""
        self.recorder(trainer.global_step, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the network as it ends."""
        self.recorder(trainer.global_step, pl_module, last=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write what is left, however the training ended."""
        self.recorder.close()
