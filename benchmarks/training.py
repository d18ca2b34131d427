"""Training an ensemble of networks: fpkit against a loop over networks in PyTorch, and JAX.

The cases are those of the default configuration and of presets/paper.yaml, the goals', and one small network. fpkit is
called as in a training: up to a record, and for at most 50 updates. The JAX peer is what a careful user writes: `vmap`
over members, `scan` over steps, `jit`; its compilation does not count. The loop is the authors': one network after the
other, autograd, torch's own optimizer, by as many of the threads as it is fastest with. Each contender draws its own
mini-batches. The floor is the time of the matrix products at the rate of one large product, measured on the spot. Needs
torch and numpy (and JAX if there).
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect
from functools import partial

import numpy as np

from benchmarks import networks
from benchmarks.measure import Timing, gemm_rate, goal, in_turn, options, write

PAPER = [200, 200, 200, 100]
# (members, widths, samples, features, outputs, batch size or None for all samples, algorithm)
GRID = [
    (10, [64, 64, 64], 200, 1, 1, None, "adam"),  # synthetic
    (8, [64, 64, 64], 100, 1, 1, 25, "sgd"),  # algorithms
    (8, [256, 256, 256, 256, 256, 256], 64, 1, 1, None, "adam"),  # structures
    (8, [512], 128, 2, 1, None, "sgd"),  # theory
    (4, [128, 128], 512, 10, 1, None, "adam"),  # parity
    (6, [200, 100], 1437, 64, 10, 256, "adam"),  # images
    (6, [200, 100], 1437, 64, 10, 256, "adamw"),  # with what many trainings have: see RECIPES
    (10, PAPER, 60_000, 784, 10, 128, "adam"),  # images, at the paper's scale
    (10, PAPER, 201, 1, 1, None, "adam"),  # the paper's one-dimensional ones
    (10, PAPER, 61, 1, 1, None, "adam"),
    (64, [32, 32, 32], 200, 1, 1, None, "adam"),
    (1, [16], 32, 1, 1, None, "adam"),
    (6, [64], 1437, (1, 8, 8), 10, 256, "adam", [8, 16]),  # images: convolutions
    (6, [64], 5000, (1, 14, 14), 10, 256, "adam", [8, 16]),
    (6, [64], 5000, (1, 28, 28), 10, 128, "adam", [8, 16]),
    (10, [400], 60_000, (1, 28, 28), 10, 128, "adam", [32, 64]),  # and at the paper's scale
    (6, [], 1437, (1, 8, 8), 10, 256, "adam", [8], 2),  # with residual blocks
    (10, [], 60_000, (1, 28, 28), 10, 128, "adam", [32], 3),
    (6, [], 1437, (1, 8, 8), 10, 256, "adam", [], 0, (2, 16, 2, 1)),  # transformers
    (6, [], 5000, (1, 28, 28), 10, 128, "adam", [], 0, (4, 64, 4, 2)),
]
NAMES = (
    "members",
    "widths",
    "samples",
    "features",
    "outputs",
    "batch_size",
    "algorithm",
    "channels",
    "blocks",
    "encoder",
)
RATE, CLIP_NORM, DECAY = 1e-3, 0.1, 0.01
SCHEDULE = {"kind": "cosine", "steps": 10_000, "warmup": 0, "final": 0.0}
# Arguments of `fpkit.training.algorithms.build`, by the algorithm of a case.
RECIPES = {"sgd": {}, "adam": {}, "adamw": {"schedule": SCHEDULE, "weight_decay": DECAY, "clip_norm": CLIP_NORM}}
SMALL_IMAGES = ("6 x CNN 8-16 + 64, 1437 x 8x8", "6 x CNN 8-16 + 64, 5000 x 14x14")
SECONDS = 0.15  # of work in each measurement, about
FIRST, WHOLE_RUN = 1000, 3000  # the updates measured begin here, in a training of so many


def cases(grid: list[tuple]) -> list[dict]:
    """Each a dictionary; what it does not name it has not."""
    return [dict(zip(NAMES, values, strict=False)) for values in grid]


def operations(case: dict) -> float:
    """Floating-point operations of the matrix products of one step: forward, and backward twice as many."""
    products = [math.prod(layer) for layer in networks.layers(case)]
    # The gradient by the inputs is needed by nobody.
    return 2 * case["members"] * (case["batch_size"] or case["samples"]) * (3 * sum(products) - products[0])


def _steps(case: dict) -> int:
    on_gpu = case["device"] == "cuda"
    update = operations(case) / 2e13 + 1e-4 if on_gpu else operations(case) / 4e10 + 3e-5 * case["members"]
    steps = int(SECONDS / update)
    return max(20, min(400, steps if steps < 50 else steps // 50 * 50))


def calls(start: int, stop: int, records: list[int]) -> list[tuple[int, int]]:
    """The updates from `start` to `stop` as `fpkit.training.trainer.train` calls for them: each up to a record, and at
    most STEPS_TOGETHER.
    """
    from fpkit.training.trainer import STEPS_TOGETHER

    ends = []
    while start < stop:
        end = min([start + STEPS_TOGETHER, stop, *records[bisect(records, start) :][:1]])
        ends.append((start, end))
        start = end
    return ends


def _records() -> list[int]:
    from fpkit.store.schedule import record_steps

    return [int(step) for step in record_steps(WHOLE_RUN, 50)]


def _ensemble(case: dict, data: dict):
    from fpkit.training.trainer import build

    algorithm = {"name": case["algorithm"], "learning_rate": RATE, "momentum": 0.0, "nesterov": False}
    algorithm |= RECIPES[case["algorithm"]]
    loss = "mse"
    return build(
        networks.model(case),
        data,
        range(case["members"]),
        algorithm,
        loss,
        case["batch_size"],
        case["device"],
        case["threads"],
    )


def ours(case: dict):
    """fpkit's ensemble."""
    ensemble = _ensemble(case, _data(case))
    parts = calls(FIRST, FIRST + _steps(case), _records())

    def work():
        for start, stop in parts:
            ensemble.advance(start, stop)
        _wait(case)

    return work


def loop(case: dict, threads: int | None = None):
    """A network after the other: PyTorch as in its tutorials, by `threads` of the case's threads."""
    import torch

    torch.set_num_threads(threads or case["threads"])
    data = {name: torch.from_numpy(array).to(case["device"]) for name, array in _data(case).items()}
    members, recipe = [], RECIPES[case["algorithm"]]
    for seed in range(case["members"]):
        torch.manual_seed(seed)
        network = networks.in_torch(case).to(case["device"])
        optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[case["algorithm"]]
        optimizer = optimizer(network.parameters(), lr=RATE)
        # Only where it is asked for: it makes each step of the optimizer a little slower.
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, SCHEDULE["steps"]) if recipe else None
        members.append((network, optimizer, falling))

    x, y = data["x_train"], data["y_train"]
    size, per_epoch = case["batch_size"], case["samples"] // (case["batch_size"] or case["samples"])
    order = torch.randperm(len(x))

    def work():
        for network, optimizer, falling in members:
            drawn = order
            for step in range(_steps(case)):
                if size and step and step % per_epoch == 0:
                    drawn = torch.randperm(len(x))
                first = step % per_epoch * size if size else 0
                batch = drawn[first : first + size] if size else slice(None)
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(network(x[batch]), y[batch]).backward()
                if recipe:
                    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe["clip_norm"])
                optimizer.step()
                if falling:
                    falling.step()
        _wait(case)

    return work


def jax(case: dict):
    """JAX: vmap over members, scan over steps, jit."""
    import jax
    import jax.numpy as jnp

    steps = _steps(case)
    parameters, forward = networks.in_jax(case, jax.random.PRNGKey(0))
    x, y = (jnp.asarray(array) for array in _data(case).values())

    def loss(network, batch):
        h, target = (x, y) if batch is None else (x[batch], y[batch])
        return ((forward(network, h) - target) ** 2).mean()

    def adamw(network, mean, square, step, batch):
        gradient = jax.grad(loss)(network, batch)
        norm = jnp.sqrt(sum(jnp.sum(part**2) for part in jax.tree.leaves(gradient)))
        gradient = jax.tree.map(lambda g: g * jnp.minimum(1, CLIP_NORM / (norm + 1e-6)), gradient)
        rate = RATE * (1 + jnp.cos(jnp.pi * step / SCHEDULE["steps"])) / 2
        network = jax.tree.map(lambda p: p * (1 - rate * DECAY), network)
        return adapted(network, mean, square, step, gradient, rate)

    def adam(network, mean, square, step, batch):
        return adapted(network, mean, square, step, jax.grad(loss)(network, batch), RATE)

    def adapted(network, mean, square, step, gradient, rate):
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, gradient)
        first, second = 1 - 0.9**step, 1 - 0.999**step
        network = jax.tree.map(
            lambda p, m, s: p - rate * (m / first) / (jnp.sqrt(s / second) + 1e-8), network, mean, square
        )
        return network, mean, square

    def sgd(network, mean, square, step, batch):
        return jax.tree.map(lambda p, g: p - RATE * g, network, jax.grad(loss)(network, batch)), mean, square

    size = case["batch_size"]
    update = jax.vmap(
        {"adam": adam, "sgd": sgd, "adamw": adamw}[case["algorithm"]], in_axes=(0, 0, 0, None, 0 if size else None)
    )
    per_epoch = case["samples"] // (size or case["samples"])

    def orders(key):
        """(step, member, sample): as many epochs of each member as the steps take, in a random order each."""
        keys = jax.random.split(key, (case["members"], -(-steps // per_epoch)))
        drawn = jax.vmap(jax.vmap(lambda k: jax.random.permutation(k, case["samples"])[: per_epoch * size]))(keys)
        return drawn.reshape(case["members"], -1, size).swapaxes(0, 1)[:steps]

    @jax.jit
    def run(state, key, order):
        steps_taken = jnp.arange(1, steps + 1, dtype=jnp.float32)
        if size and order is None:
            order = orders(key)
        return jax.lax.scan(lambda state, at: (update(*state, *at), None), state, (steps_taken, order))[0]

    zeros = jax.tree.map(jnp.zeros_like, parameters) if case["algorithm"] != "sgd" else ()
    key = jax.random.PRNGKey(1)
    # An epoch longer than what is measured is drawn before: it would count too often.
    order = jax.jit(orders)(key) if size and per_epoch > steps else None
    return lambda: jax.block_until_ready(run((parameters, zeros, zeros), key, order))


def _data(case: dict) -> dict:
    """Inputs (sample, feature) and targets (sample, output), smooth in the inputs."""
    shape = (case["samples"], *networks.features(case))
    if case["features"] == 1:
        x = np.linspace(-math.pi, math.pi, case["samples"], endpoint=False, dtype=np.float32)[:, np.newaxis]
    else:
        x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return {"x_train": x, "y_train": np.repeat(np.sin(x.reshape(len(x), -1)[:, :1]), case["outputs"], axis=1)}


def _wait(case: dict) -> None:
    if case["device"] != "cpu":
        import torch

        torch.cuda.synchronize()


def _recording(case: dict, records: bool):
    """A whole run of fpkit's ensemble, stopping to record as a training does, or not at all."""
    data = _data(case)
    data |= {"x_test": data["x_train"] + 0.01, "y_test": data["y_train"]}
    ensemble = _ensemble(case, data)
    schedule = _records() if records else []
    parts = calls(0, WHOLE_RUN, schedule)

    def work():
        for start, stop in parts:
            ensemble.advance(start, stop, evaluate=stop in schedule)
            if stop in schedule:
                ensemble.record("train")()

    return work


def describe(case: dict) -> str:
    """`6 x 200-100, 1437 x 64, batches of 256`: members and widths, samples and features."""
    batches = f", batches of {case['batch_size']}" if case["batch_size"] else ""
    widths = "-".join(map(str, case["widths"]))
    if case.get("encoder"):
        patch, width, _, layers = case["encoder"]
        widths = f"transformer {width} ({layers} layer{'s' * (layers > 1)}, patches {patch}x{patch})"
    if len(case["widths"]) > 4:
        widths = f"{case['widths'][0]} ({len(case['widths'])} layers)"
    if case.get("blocks"):
        widths = f"residual CNN {case['channels'][0]} ({case['blocks']} blocks)"
    elif case.get("channels"):
        widths = f"CNN {'-'.join(map(str, case['channels']))} + {widths}"
    return f"{case['members']} x {widths}, {case['samples']} x {'x'.join(map(str, _shown(case)))}{batches}"


def _shown(case: dict) -> tuple[int, ...]:
    """The shape of an input, without the one channel of an image in grey."""
    shape = networks.features(case)
    return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape


def _row(case: dict, contender: str, timing: Timing, seconds_floor: float) -> dict:
    per_step = timing.median / _steps(case)
    return {
        "row": "measurement",
        "case": describe(case),
        "algorithm": case["algorithm"],
        "threads": case["threads"],
        "contender": contender,
        "ms_per_step": f"{1e3 * per_step:.4g}",
        "spread": timing.spread,
        "floor_ms": f"{1e3 * seconds_floor:.4g}",
        "fraction_of_floor": f"{seconds_floor / per_step:.3f}",
        "peak_mb": round(timing.peak_bytes / 2**20),
    }


def measure(device: str, threads: list[int], repetitions: int) -> list[dict]:
    """Rows of all measurements, and of the goals."""

    rows, against = [], {"loop": {}, "jax": {}}
    fractions = {}
    for count in threads:
        for case in cases(GRID):
            case |= {"threads": count, "device": device}
            contenders = {"fpkit": ours, "loop": loop, "jax": jax}
            if case.get("channels") and not describe(case).startswith(SMALL_IMAGES[0]):
                del contenders["jax"]  # which convolves ten times as long and more
            if count > 1:
                contenders["loop, 1 thread"] = partial(loop, threads=1)
            results = in_turn(contenders, case, count, repetitions)
            if isinstance(results["fpkit"], str):
                raise SystemExit(f"{describe(case)}, {count} threads: fpkit: {results['fpkit']}")
            # Of the loops the faster one counts.
            alone = results.pop("loop, 1 thread", None)
            if isinstance(alone, Timing) and (
                isinstance(results["loop"], str) or alone.median < results["loop"].median
            ):
                results["loop"] = alone
            seconds_floor = operations(case) / gemm_rate(count, device)
            key = (describe(case), case["algorithm"], count)
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
            print(f"{describe(case)}, {case['algorithm']}, {count} threads: {ours_ms:.3g} ms; "
                  f"times faster than {ratios}; {fractions[key]:.0%} of the floor", flush=True)  # fmt: skip
    return rows + _goals(against, fractions, device, threads, repetitions)


def _is_dense_batch(name: str) -> bool:
    return "batches" in name and "CNN" not in name and "transformer" not in name


def _goals(against: dict, fractions: dict, device: str, threads: list[int], repetitions: int) -> list[dict]:
    def at(table: dict, *beginning: str) -> float:
        return min(value for (case, *_), value in table.items() if case.startswith(beginning))

    loops, peers = against["loop"], against["jax"]
    if device == "cuda":
        rows = [goal("against the loop, 64 members of width 32", at(loops, "64 x 32-32-32, 200"), ">= 30")]
        return rows + ([goal("against JAX, median", statistics.median(peers.values()), ">= 1")] if peers else [])
    rows = [
        goal("against the loop, 10 x 200-200-200-100 on 61 samples", at(loops, "10 x 200-200-200-100, 61 "), ">= 3"),
        goal("against the loop, 64 members of width 32", at(loops, "64 x 32-32-32, 200"), ">= 10"),
        goal("against the loop, least on the grid", min(loops.values()), ">= 1"),
        goal(
            "of the floor, 10 x 200-200-200-100 on 201 samples", at(fractions, "10 x 200-200-200-100, 201 "), ">= 0.7"
        ),
        goal("against the loop, CNN on 8x8 and 14x14", at(loops, *SMALL_IMAGES), ">= 2.5"),
        goal("of the floor, CNN on 28x28", at(fractions, "6 x CNN 8-16 + 64, 5000 x 28x28"), ">= 0.6"),
        goal("against the loop, transformers", at(loops, "6 x transformer"), ">= 2.5"),
        # The loop, or else the floor: what is worse of the two does not count.
        goal(
            "mini-batches, fully connected, least of (loop / 2 or of the floor / 0.85)",
            min(max(loops[key] / 2, fractions[key] / 0.85) for key in loops if _is_dense_batch(key[0])),
            ">= 1",
        ),
    ]
    if peers:
        rows += [
            goal(
                "mini-batches, fully connected, against JAX, least",
                min(value for key, value in peers.items() if _is_dense_batch(key[0])),
                ">= 1.3",
            ),
            goal("against JAX, median over the grid", statistics.median(peers.values()), ">= 1"),
            goal("against JAX, least on the grid", min(peers.values()), ">= 0.8"),
        ]
    both = {"with": partial(_recording, records=True), "without": partial(_recording, records=False)}
    case = cases(GRID)[0] | {"device": device}
    for count in threads:
        recorded = in_turn(both, case | {"threads": count}, count, min(3, repetitions))
        cost = recorded["with"].median / recorded["without"].median - 1
        name = f"recording {len(_records())} of {WHOLE_RUN} steps, train and test part: cost, {count} threads"
        rows.append(goal(name, cost, "<= 0.05"))
    return rows


def main() -> None:
    parser = options(__doc__.splitlines()[0], "results/benchmarks/training.csv")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    rows = measure(arguments.device, arguments.threads, arguments.repetitions)
    write(arguments.output, rows, arguments.device)


if __name__ == "__main__":
    main()
