"""Does a physics-informed network, whose loss weighs frequency k by k^4, still learn low frequencies first?

One target, a sum of equally strong sines, is learned twice by the same network: from its values, and from the Poisson
equation -u'' = f with u = 0 at both ends, built into the network. The loop is DeepXDE's own, `dde.Model.train`: L. Lu,
X. Meng, Z. Mao, G. E. Karniadakis, SIAM Review 63 (2021) 208, https://github.com/lululxvi/deepxde, LGPL-2.1; a callback
of a few lines records it. `pip install 'fpkit[figures]' deepxde torch`, then
`python docs/examples/deepxde_poisson.py [FOLDER]`.
"""

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import torch

import fpkit

os.environ["DDE_BACKEND"] = "pytorch"
with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # it names its backend there
    import deepxde as dde

SEEDS, STEPS, LEARNING_RATE = range(6), 3600, 1e-3
WAVES = np.pi * np.array([1, 2, 4, 8])  # half a cycle to four cycles per unit of x, on [-1, 1]
LAYERS, ACTIVATION = [1, 64, 64, 64, 1], "sin"  # tanh did not learn the equation in 5000 steps
POINTS, GRID = 128, 256
LEAD = 0.1  # decades of training
ORDER = 0.8  # rank correlation


class Record(dde.callbacks.Callback):
    """Records before each update."""

    def __init__(self, recorder):
        super().__init__()
        self.recorder = recorder

    def on_batch_begin(self):
        self.recorder(self.model.train_state.step, self.model.net)

    def on_train_end(self):
        self.recorder(self.model.train_state.step, self.model.net, last=True)
        self.recorder.close()


def solution(x):
    return np.sin(x * WAVES).sum(axis=1, keepdims=True)


def equation(x, u):
    waves = torch.as_tensor(WAVES, dtype=x.dtype)
    return -dde.grad.hessian(u, x) - (waves**2 * torch.sin(x * waves)).sum(dim=1, keepdim=True)


def main(folder):
    torch.set_num_threads(1)
    grid = np.linspace(-1, 1, GRID, endpoint=False)[:, None]  # periodic: the end is the beginning
    line, found = dde.geometry.Interval(-1, 1), []
    losses = {
        "values": dde.data.Function(line, solution, POINTS, POINTS),
        "equation": dde.data.PDE(line, equation, [], num_domain=POINTS, train_distribution="uniform", num_test=POINTS),
    }
    for kind, data in losses.items():
        for seed in SEEDS:
            recorder = fpkit.Recorder(folder / f"deepxde_{kind}_{seed}.zarr", grid, solution(grid), member=seed)
            dde.config.set_random_seed(seed)
            net = dde.nn.FNN(LAYERS, ACTIVATION, "Glorot normal")
            net.apply_output_transform(lambda x, u: (1 - x**2) * u)  # zero at both ends
            model = dde.Model(data, net)
            model.compile("adam", lr=LEARNING_RATE, verbose=0)
            model.train(iterations=STEPS, display_every=STEPS, callbacks=[Record(recorder)], verbose=0)
        run = fpkit.open_run(folder / f"deepxde_{kind}_*.zarr", name=f"from its {kind}")
        found.append(fpkit.measures.fft(run))
        error = run["loss_train"].isel(step=-1).to_numpy()
        print(f"from its {kind}: mean squared error {error.min():.1g} to {error.max():.1g} at the end")
        print(fpkit.judge(found[-1], "lead", at_least=LEAD))
        print(fpkit.judge(found[-1], "first_order", at_least=ORDER))
        followed = found[-1].isel(frequency=found[-1]["followed"].to_numpy())
        largest = followed["relative_error"].max("step").median("member").to_numpy()
        captured = followed["first_passage"].median("member").to_numpy()
        for wave in zip(followed["frequency"].to_numpy(), largest, captured, strict=True):
            print("frequency {:g}: relative error {:.1f} at most, captured at step {:.0f}".format(*wave))
    fpkit.figures.order(found).savefig(folder / "deepxde_poisson.png", dpi=200)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs"))
