"""Recorders for training loops of others, in the packages themselves: tiny networks, nothing downloaded."""

import os

import numpy as np
import pytest
import torch

import fpkit
from fpkit.store.schedule import record_steps

X = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
Y = np.sin(X.sum(axis=1, keepdims=True))


def steps_of(path) -> list[int]:
    return fpkit.open_run(path)["step"].to_numpy().tolist()


# --- Lightning --------------------------------------------------------------------------------------------------------


def lightning_training(folder, callbacks=(), steps=30, checkpoint=None, seed=1):
    """A module with dropout and batch norm; the trained parameters."""
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Linear(4, 16), torch.nn.BatchNorm1d(16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1)
            )

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch):
            x, y = batch
            return (self(x) - y).square().mean()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-2)

    torch.manual_seed(seed)
    module = Module()
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
    trainer = lightning.Trainer(
        max_steps=steps, max_epochs=-1, callbacks=list(callbacks), accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return trainer, module


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_lightning(tmp_path):
    pytest.importorskip("lightning.pytorch")
    from fpkit.lightning import FrequencyRecorder

    _, plain = lightning_training(tmp_path)
    trainer, module = lightning_training(tmp_path, [FrequencyRecorder(tmp_path / "a.zarr", X, Y)])
    for one, other in zip(plain.state_dict().values(), module.state_dict().values(), strict=True):
        assert torch.equal(one, other), "recorded and not recorded end with the same bits"
    assert steps_of(tmp_path / "a.zarr") == record_steps(30, 50)
    with torch.no_grad():
        wanted = module.eval()(torch.from_numpy(X))
    np.testing.assert_allclose(fpkit.open_run(tmp_path / "a.zarr")["prediction"][-1, 0], wanted, atol=1e-6)
    trainer.save_checkpoint(tmp_path / "at30.ckpt")
    lightning_training(
        tmp_path, [FrequencyRecorder(tmp_path / "a.zarr", X, Y)], steps=50, checkpoint=tmp_path / "at30.ckpt"
    )
    assert steps_of(tmp_path / "a.zarr") == record_steps(50, 50)


# --- Hugging Face -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # its own
def test_transformers(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    from fpkit.transformers import FrequencyRecorder

    rng = np.random.default_rng(0)
    ids = rng.integers(1, 20, (48, 6))
    labels = (ids.sum(axis=1) % 3).astype(int)
    data = [
        {"input_ids": torch.tensor(row), "labels": torch.tensor(label)} for row, label in zip(ids, labels, strict=True)
    ]

    def trained(callbacks):
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=20,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=3,
        )
        model = transformers.BertForSequenceClassification(config)
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=12, per_device_train_batch_size=8, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True, gradient_accumulation_steps=2,
        )  # fmt: skip
        transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=callbacks).train()
        return model

    recorder = FrequencyRecorder(tmp_path / "a.zarr", ids, labels, outputs="logits")
    plain, model = trained([]), trained([recorder])
    for one, other in zip(plain.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    run = fpkit.open_run(tmp_path / "a.zarr")
    assert run["step"].to_numpy().tolist() == list(range(13))
    with torch.no_grad():
        wanted = model.eval()(torch.from_numpy(ids)).logits.softmax(dim=-1)
    np.testing.assert_allclose(run["prediction"][-1, 0], wanted, atol=1e-5)


# --- Keras ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # its own
def test_keras(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    from fpkit.keras import FrequencyRecorder

    def trained(callbacks):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile("adam", "mse")
        model.fit(X, Y, batch_size=16, epochs=6, verbose=0, callbacks=callbacks)
        return model

    plain, model = trained([]), trained([FrequencyRecorder(tmp_path / "a.zarr", X, Y, per_decade=4)])
    for one, other in zip(plain.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert steps_of(tmp_path / "a.zarr") == [*record_steps(20, 4), 24], "the last one, too"
    wanted = model.predict(X, verbose=0)
    np.testing.assert_allclose(fpkit.open_run(tmp_path / "a.zarr")["prediction"][-1, 0], wanted, atol=1e-6)
