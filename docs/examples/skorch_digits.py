"""Does a small convolutional network, trained by skorch, learn what varies smoothly over handwritten digits first?

The loop is skorch's own, `NeuralNetClassifier.fit`: M. Tietz, T. J. Fan, D. Nouri, B. Bossan and skorch developers,
https://github.com/skorch-dev/skorch, BSD-3-Clause; a callback of a few lines records it. The images are scikit-learn's
digits (E. Alpaydin, C. Kaynak, UCI). `pip install 'fpkit[figures]' skorch torch`, then
`python docs/examples/skorch_digits.py [FOLDER]`.
"""

import sys
from pathlib import Path

import numpy as np
import skorch
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch.callbacks import LRScheduler

import fpkit

SEEDS, EPOCHS, BATCH, LEARNING_RATE = range(6), 20, 64, 1e-3
HELD_OUT, PROBES = 500, 500  # images
LEAD = 0.1  # decades of training


class Record(skorch.callbacks.Callback):
    """Records before each update, which skorch counts by epoch alone."""

    def __init__(self, recorder):
        self.recorder, self.step = recorder, 0

    def on_batch_begin(self, net, training=False, **about):
        if training:
            self.recorder(self.step, net.module_)
            self.step += 1

    def on_train_end(self, net, **about):
        self.recorder(self.step, net.module_, last=True)
        self.recorder.close()


def network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.BatchNorm2d(32), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Dropout(0.25), torch.nn.Linear(512, 10),
    )  # fmt: skip


def main(folder):
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    images = (images / 8 - 1).astype(np.float32).reshape(-1, 1, 8, 8)
    x, x_test, y, y_test = train_test_split(images, labels, test_size=HELD_OUT, stratify=labels, random_state=0)
    for seed in SEEDS:
        recorder = fpkit.Recorder(folder / f"skorch_{seed}.zarr", x[:PROBES], y[:PROBES], outputs="logits", member=seed)
        torch.manual_seed(seed)
        net = skorch.NeuralNetClassifier(
            network, criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=LEARNING_RATE,
            batch_size=BATCH, iterator_train__shuffle=True, max_epochs=EPOCHS, train_split=None, verbose=0,
            callbacks=[LRScheduler("CosineAnnealingLR", T_max=EPOCHS), Record(recorder)],
        )  # fmt: skip
        net.fit(x, y)
        print(f"seed {seed}: accuracy {net.score(x, y):.3f} in training, {net.score(x_test, y_test):.3f} held out")
    run = fpkit.open_run(folder / "skorch_*.zarr", name="digits")
    graph, projection = fpkit.measures.graph(run), fpkit.measures.projection(run)
    for spectra in (graph, projection):
        for control in (None, "share", "paces"):
            verdict = fpkit.judge(spectra, "lead", at_least=LEAD, control=control)
            print(f"{spectra.attrs['measure']}: {verdict}")
    fpkit.figures.graph(graph).savefig(folder / "skorch_digits.png", dpi=200)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs"))
