"""For Hugging Face's Trainer: `Trainer(callbacks=[fpkit.transformers.FrequencyRecorder("a.zarr", ids, y)])`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from fpkit.recording.recorder import Recorder


class FrequencyRecorder(TrainerCallback):
    """Records the logits that the model gives to probe points, by the number of optimizer steps.

    Arguments: those of `fpkit.Recorder`. The model is called with the points alone; `forward=lambda model, ids:
    model(ids, attention_mask=ids != 0)` says more.
    """

    def __init__(self, path: Any, x: Any, y: Any = None, **options: Any):
        self.recorder = Recorder(path, x, y, **options)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **about: Any
    ) -> None:
        """Record the network as it starts, or as it goes on from a checkpoint."""
        self.recorder(state.global_step, about["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **about: Any) -> None:
        """Record, if the step is due."""
        self.recorder(state.global_step, about["model"])

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **about: Any) -> None:
        """Record the network as it ends, and write what is left."""
        self.recorder(state.global_step, about["model"], last=True)
        self.recorder.close()
