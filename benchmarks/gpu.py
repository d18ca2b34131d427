"""On a GPU: training against the loop, `torch.func.vmap` with `torch.compile`, and JAX; filtering against two cores.

Needs torch and numpy (and JAX with CUDA, if there). Some minutes, most of them compiling what the peers run. The floor
is the time of the matrix products at the rate of one large product, in single precision.
"""

from __future__ import annotations

import statistics
from functools import partial

from benchmarks import filtering, networks, training
from benchmarks.measure import Timing, gemm_rate, goal, in_turn, options, row, write

# As in `benchmarks.training`: many small ones; of the default configuration and of presets/paper.yaml; wide ones.
GRID = [
    (64, [32, 32, 32], 200, 1, 1, None, "adam"),
    (10, [64, 64, 64], 200, 1, 1, None, "adam"),
    (6, [200, 100], 1437, 64, 10, 256, "adam"),
    (10, training.PAPER, 60_000, 784, 10, 128, "adam"),
    (16, [2048, 2048], 4096, 784, 10, None, "adam"),
    (10, [400], 60_000, (1, 28, 28), 10, 128, "adam", [32, 64]),
]
SMALL, WIDE = 0, 4
# Of the CPU's two cores so many images: their time grows as the square.
IMAGES, FEWER = 60_000, 6_000


def vmapped(case: dict):
    """All members by `torch.func.vmap`, the whole update by `torch.compile`, torch's fused Adam on the stack."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    x, y = (torch.from_numpy(array).to(case["device"]) for array in training._data(case).values())
    network = networks.in_torch(case).to(case["device"])
    stacked = {
        name: torch.stack([0.1 * torch.randn_like(value) for _ in range(case["members"])]).requires_grad_()
        for name, value in network.named_parameters()
    }
    optimizer = torch.optim.Adam(list(stacked.values()), lr=1e-3, fused=True)
    size, per_epoch = case["batch_size"], case["samples"] // (case["batch_size"] or case["samples"])

    def loss(parameters, batch):
        inputs, targets = (x, y) if batch is None else (x[batch], y[batch])
        return ((torch.func.functional_call(network, parameters, (inputs,)) - targets) ** 2).mean()

    @partial(torch.compile, mode="reduce-overhead")
    def gradient(parameters, batch):
        return torch.func.vmap(torch.func.grad(loss), in_dims=(0, 0 if size else None))(parameters, batch)

    def work():
        drawn = None
        for step in range(training._steps(case)):
            at, batch = step % per_epoch, None
            if size:
                if at == 0 or drawn is None:
                    drawn = torch.rand(case["members"], len(x), device=x.device).argsort(dim=1)
                batch = drawn[:, at * size : (at + 1) * size]
            for name, value in gradient({name: value.detach() for name, value in stacked.items()}, batch).items():
                stacked[name].grad = value
            optimizer.step()
        training._wait(case)

    return work


def _training(device: str, repetitions: int) -> list[dict]:
    rows, against, fractions = [], {}, {}
    rate = gemm_rate(1, device, 4096 if device == "cuda" else 1024)
    for index, case in enumerate(training.cases(GRID)):
        case |= {"threads": 1, "device": device}
        contenders = {"fpkit": training.ours, "loop": training.loop, "vmap": vmapped, "jax": training.jax}
        results = in_turn(contenders, case, 1, repetitions)
        floor, ours = training.operations(case) / rate, results["fpkit"]
        for contender, timing in results.items():
            if isinstance(timing, str):
                print(f"{training.describe(case)}: {contender}: {timing}", flush=True)
                continue
            rows.append(training._row(case, contender, timing, floor))
            if contender != "fpkit" and isinstance(ours, Timing):
                against.setdefault(contender, {})[index] = timing.median / ours.median
        if isinstance(ours, str):
            continue
        fractions[index] = floor / (ours.median / training._steps(case))
        ratios = ", ".join(f"{peer} {of[index]:.2f}" for peer, of in against.items() if index in of)
        print(f"{training.describe(case)}: times faster than {ratios}; {fractions[index]:.0%} of the floor", flush=True)
    # What did not run met no goal.
    rows.append(goal("GPU: against the loop, 64 members of width 32", against.get("loop", {}).get(SMALL, 0), ">= 30"))
    if "jax" in against:
        rows.append(goal("GPU: against JAX, median", statistics.median(against["jax"].values()), ">= 1"))
    return [*rows, goal("GPU: of the floor, wide ensembles", fractions.get(WIDE, 0), ">= 0.6")]


def _filtering(device: str, repetitions: int) -> list[dict]:
    """60,000 images on the device; on two cores a tenth of them, in a hundredth of the time of all."""
    case = {"steps": 2, "widths": 1, "threads": 2}
    here = in_turn({"fpkit": filtering.ours}, case | {"samples": IMAGES, "device": device}, 2, repetitions)["fpkit"]
    cores = in_turn({"fpkit": filtering.ours}, case | {"samples": FEWER, "device": "cpu"}, 2, repetitions)["fpkit"]
    on_cores = (IMAGES / FEWER) ** 2 * cores.median
    rows = [
        row(
            f"filtering, {IMAGES} samples",
            2,
            "fpkit",
            here,
            filtering.floor(case | {"samples": IMAGES, "device": device}),
        )
    ]
    return [*rows, goal(f"GPU: filtering of {IMAGES:,} images, against two cores", on_cores / here.median, ">= 20")]


def main() -> None:
    parser = options(__doc__.splitlines()[0], "results/benchmarks/gpu.csv")
    parser.set_defaults(device="cuda", repetitions=3)
    arguments = parser.parse_args()
    rows = _training(arguments.device, arguments.repetitions)
    write(arguments.output, rows, arguments.device)  # what is there is there, if the machine has to be given back
    write(arguments.output, rows + _filtering(arguments.device, arguments.repetitions), arguments.device)


if __name__ == "__main__":
    main()
