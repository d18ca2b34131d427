"""Training an ensemble of fully connected networks: fpkit against a loop over networks in PyTorch, and JAX.

The JAX peer is what a careful user writes: `vmap` over members, `scan` over steps, `jit`; its compilation does not
count. The loop is the authors': one network after the other, autograd, torch's own optimizer. The floor is the time of
the matrix products at the rate of one large product, measured on the spot. Needs torch and numpy (and JAX if there).
"""

from __future__ import annotations

import itertools
import math
import statistics
from functools import partial

import numpy as np

from benchmarks.measure import Timing, gemm_rate, goal, in_turn, machine, options, write

PAPER = [200, 200, 200, 100]
# (members, widths, samples, algorithm)
GRID = [
    (64, [32, 32, 32], 200, "adam"),
    (10, [64, 64, 64], 200, "adam"),
    (10, PAPER, 61, "adam"),
    (10, PAPER, 201, "adam"),
    (4, [512, 512], 200, "adam"),
    (1, PAPER, 61, "adam"),
    (1, [16], 32, "adam"),
    (64, [16], 32, "sgd"),
    (10, [16, 16, 16, 16, 16, 16], 128, "adam"),
    (64, [64, 64], 512, "sgd"),
    (8, [128, 128, 128], 512, "adam"),
    (10, [64, 64, 64], 2048, "adam"),
    (1, [256, 256, 256], 1024, "sgd"),
    (2, [512, 512, 512, 512, 512, 512], 128, "adam"),
]
SECONDS = 0.06  # of work in each measurement, about


def operations(case: dict) -> float:
    """Floating-point operations of the matrix products of one step: forward, and backward twice as many."""
    units = [1, *case["widths"], 1]
    products = sum(a * b for a, b in itertools.pairwise(units))
    # The gradient by the inputs is needed by nobody.
    return 2 * case["members"] * case["samples"] * (3 * products - units[0] * units[1])


def _steps(case: dict) -> int:
    return max(5, int(SECONDS / (operations(case) / 4e10 + 3e-4)))


def _ensemble(case: dict, data: dict):
    from fpkit.training.trainer import build

    model = {"kind": "mlp", "widths": case["widths"], "activation": "tanh", "initialization": "scaled", "std": 0.1}
    algorithm = {"name": case["algorithm"], "learning_rate": 1e-3, "momentum": 0.0, "nesterov": False}
    return build(model, data, range(case["members"]), algorithm, device=case["device"], threads=case["threads"])


def ours(case: dict):
    """fpkit's ensemble."""
    ensemble = _ensemble(case, _data(case))

    def work():
        ensemble.advance(0, _steps(case))
        _wait(case)

    return work


def loop(case: dict):
    """A network after the other: PyTorch as in its tutorials."""
    import torch

    torch.set_num_threads(case["threads"])
    data = {name: torch.from_numpy(array).to(case["device"]) for name, array in _data(case).items()}
    units = [1, *case["widths"], 1]
    networks = []
    for seed in range(case["members"]):
        torch.manual_seed(seed)
        layers = []
        for fan_in, fan_out in itertools.pairwise(units):
            layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.Tanh()]
        network = torch.nn.Sequential(*layers[:-1]).to(case["device"])
        optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[case["algorithm"]]
        networks.append((network, optimizer(network.parameters(), lr=1e-3)))

    def work():
        for network, optimizer in networks:
            for _ in range(_steps(case)):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(network(data["x_train"]), data["y_train"]).backward()
                optimizer.step()
        _wait(case)

    return work


def jax(case: dict):
    """JAX: vmap over members, scan over steps, jit."""
    import jax
    import jax.numpy as jnp

    units, steps = [1, *case["widths"], 1], _steps(case)
    keys = jax.random.split(jax.random.PRNGKey(0), len(units))
    parameters = [
        (jax.random.normal(key, (case["members"], a, b)) / math.sqrt(a), jnp.zeros((case["members"], b)))
        for key, a, b in zip(keys, units[:-1], units[1:], strict=False)
    ]
    x = jnp.linspace(-math.pi, math.pi, case["samples"], endpoint=False)[:, None]
    y = jnp.sin(x)

    def loss(network):
        h = x
        for weight, bias in network[:-1]:
            h = jnp.tanh(h @ weight + bias)
        return ((h @ network[-1][0] + network[-1][1] - y) ** 2).mean()

    def adam(network, mean, square, step):
        gradient = jax.grad(loss)(network)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, gradient)
        first, second = 1 - 0.9**step, 1 - 0.999**step
        network = jax.tree.map(
            lambda p, m, s: p - 1e-3 * (m / first) / (jnp.sqrt(s / second) + 1e-8), network, mean, square
        )
        return network, mean, square

    def sgd(network, mean, square, step):
        return jax.tree.map(lambda p, g: p - 1e-3 * g, network, jax.grad(loss)(network)), mean, square

    update = jax.vmap({"adam": adam, "sgd": sgd}[case["algorithm"]], in_axes=(0, 0, 0, None))

    @jax.jit
    def run(state):
        steps_taken = jnp.arange(1, steps + 1, dtype=jnp.float32)
        return jax.lax.scan(lambda state, step: (update(*state, step), None), state, steps_taken)[0]

    zeros = jax.tree.map(jnp.zeros_like, parameters) if case["algorithm"] == "adam" else ()
    return lambda: jax.block_until_ready(run((parameters, zeros, zeros)))


def _data(case: dict) -> dict:
    x = np.linspace(-math.pi, math.pi, case["samples"], endpoint=False, dtype=np.float32)[:, np.newaxis]
    return {"x_train": x, "y_train": np.sin(x)}


def _wait(case: dict) -> None:
    if case["device"] != "cpu":
        import torch

        torch.cuda.synchronize()


def _recording(case: dict, records: int):
    """fpkit's ensemble, stopping to record `records` times."""
    data = _data(case)
    data |= {"x_test": data["x_train"] + 0.01, "y_test": data["y_train"]}
    ensemble = _ensemble(case, data)

    def work():
        for _ in range(100):
            ensemble.advance(0, 30, evaluate=bool(records))
            if records:
                ensemble.record("train")

    return work


def _row(case: dict, contender: str, timing: Timing, seconds_floor: float) -> dict:
    per_step = timing.median / _steps(case)
    return {
        "row": "measurement",
        "case": f"{case['members']} x {'-'.join(map(str, case['widths']))}, {case['samples']} samples",
        "algorithm": case["algorithm"],
        "threads": case["threads"],
        "contender": contender,
        "ms_per_step": f"{1e3 * per_step:.4g}",
        "floor_ms": f"{1e3 * seconds_floor:.4g}",
        "fraction_of_floor": f"{seconds_floor / per_step:.3f}",
        "peak_mb": round(timing.peak_bytes / 2**20),
    }


def measure(device: str, threads: list[int], repetitions: int) -> list[dict]:
    """Rows of all measurements, and of the goals."""
    import torch

    rows, against = [], {"loop": {}, "jax": {}}
    fractions = {}
    for count in threads:
        for members, widths, samples, algorithm in GRID:
            case = {
                "members": members, "widths": widths, "samples": samples, "algorithm": algorithm,
                "threads": count, "device": device,
            }  # fmt: skip
            results = in_turn({"fpkit": ours, "loop": loop, "jax": jax}, case, count, repetitions)
            torch.set_num_threads(count)
            seconds_floor = operations(case) / gemm_rate(device)
            key = (members, tuple(widths), samples, algorithm, count)
            for contender, timing in results.items():
                if isinstance(timing, str):
                    print(f"{contender}: {timing}", flush=True)
                    continue
                rows.append(_row(case, contender, timing, seconds_floor))
                if contender != "fpkit":
                    against[contender][key] = timing.median / results["fpkit"].median
            fractions[key] = seconds_floor / (results["fpkit"].median / _steps(case))
            ratios = ", ".join(f"{peer} {of[key]:.2f}" for peer, of in against.items() if key in of)
            ours_ms = 1e3 * results["fpkit"].median / _steps(case)
            print(f"{rows[-1]['case']}, {algorithm}, {count} threads: {ours_ms:.3g} ms; times faster than {ratios}; "
                  f"{fractions[key]:.0%} of the floor", flush=True)  # fmt: skip
    return rows + _goals(against, fractions, device, threads, repetitions)


def _goals(against: dict, fractions: dict, device: str, threads: list[int], repetitions: int) -> list[dict]:
    def at(table: dict, members: int, widths: list[int], samples: int) -> float:
        return min(value for key, value in table.items() if key[:3] == (members, tuple(widths), samples))

    loops, peers = against["loop"], against["jax"]
    if device == "cuda":
        rows = [goal("against the loop, 64 members of width 32", at(loops, 64, [32] * 3, 200), ">= 30")]
        return rows + ([goal("against JAX, median", statistics.median(peers.values()), ">= 1")] if peers else [])
    rows = [
        goal("against the loop, 10 x 200-200-200-100 on 61 samples", at(loops, 10, PAPER, 61), ">= 3"),
        goal("against the loop, 64 members of width 32", at(loops, 64, [32] * 3, 200), ">= 10"),
        goal("against the loop, least on the grid", min(loops.values()), ">= 1"),
        goal("of the floor, 10 x 200-200-200-100 on 201 samples", at(fractions, 10, PAPER, 201), ">= 0.7"),
    ]
    if peers:
        rows += [
            goal("against JAX, median over the grid", statistics.median(peers.values()), ">= 1"),
            goal("against JAX, least on the grid", min(peers.values()), ">= 0.8"),
        ]
    both = {"with": partial(_recording, records=100), "without": partial(_recording, records=0)}
    case = {"members": 10, "widths": [64, 64, 64], "samples": 200, "algorithm": "adam", "device": device}
    for count in threads:
        recorded = in_turn(both, case | {"threads": count}, count, repetitions)
        cost = recorded["with"].median / recorded["without"].median - 1
        rows.append(goal(f"recording 100 of 3,000 steps, train and test part: cost, {count} threads", cost, "<= 0.05"))
    return rows


def main() -> None:
    parser = options(__doc__.splitlines()[0], "results/benchmarks/training.csv")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    rows = measure(arguments.device, arguments.threads, arguments.repetitions)
    write(arguments.output, [row | machine(arguments.device) for row in rows])


if __name__ == "__main__":
    main()
