"""The Gaussian low-pass filter: fpkit's tiles against dense kernels, step after step, in NumPy.

The peer is the authors' way: the whole kernel of each width, made once and kept; at each recorded step a product with
each of them; all in single precision, as fpkit's. The floor is one matrix product and one exponential for each pair of
samples and width, at rates measured on the spot. Needs torch and numpy alone.
"""

from __future__ import annotations

from benchmarks.measure import Timing, exp_rate, gemm_rate, goal, in_turn, options, row, write

FEATURES, OUTPUTS = 784, 10


def ours(case: dict):
    """fpkit's tiles, all steps as columns of one product."""
    from fpkit.jobs import devices
    from fpkit.measures.low_pass import array_of, low_high_energy

    with devices.computing_on(case["device"]):
        x, columns = map(array_of, _data(case))
    return lambda: devices.as_numpy(low_high_energy(x, columns, _widths(case))[0])


def dense(case: dict):
    """The kernels whole, in single precision; at each step a product with each of them."""
    import numpy as np

    x, columns = _data(case)
    steps = np.split(columns, case["steps"], axis=1)

    def work():
        squares = (x**2).sum(axis=1)
        distance = squares[:, None] + squares - 2 * x @ x.T
        kernels = [np.exp(-distance / (2 * width**2)) for width in _widths(case)]
        for kernel in kernels:
            kernel /= kernel.sum(axis=1, keepdims=True)
        assert kernels[0].dtype == np.float32
        for step in steps:
            for kernel in kernels:
                low = kernel @ step
                (low**2).sum(axis=0), ((step - low) ** 2).sum(axis=0)

    return work


def _data(case: dict):
    import numpy as np

    rng = np.random.default_rng(0)
    shape = (case["samples"], FEATURES)
    x = rng.standard_normal(shape, dtype=np.float32)
    return x, rng.standard_normal((case["samples"], case["steps"] * OUTPUTS), dtype=np.float32)


def _widths(case: dict) -> list[float]:
    """From a tenth of the length of an input on."""
    return [FEATURES**0.5 * (0.1 + 0.7 * i / max(1, case["widths"] - 1)) for i in range(case["widths"])]


def floor(case: dict) -> float:
    """Seconds of products and exponentials alone."""
    pairs, where = case["samples"] ** 2, (case["threads"], case["device"])
    products = 2 * pairs * (FEATURES + case["widths"] * case["steps"] * OUTPUTS)
    return products / gemm_rate(*where) + case["widths"] * pairs / exp_rate(*where)


def measure(device: str, threads: int, repetitions: int) -> list[dict]:
    """Rows of all measurements, and of the goals."""
    rows = []
    small = {"samples": 5000, "steps": 100, "widths": 20, "threads": threads, "device": device}
    large = {"samples": 60_000, "steps": 2, "widths": 1, "threads": threads, "device": device}
    for case, contenders in ((small, {"fpkit": ours, "dense": dense}), (large, {"fpkit": ours})):
        results = in_turn(contenders, case, threads, repetitions)
        seconds_floor = floor(case)
        name = f"filtering, {case['samples']} samples, {case['steps']} steps, {case['widths']} widths"
        for contender, timing in results.items():
            if isinstance(timing, Timing):
                rows.append(row(name, threads, contender, timing, seconds_floor))
                print(rows[-1], flush=True)
        fraction, memory = float(rows[-1]["fraction_of_floor"]), rows[-1]["peak_mb"]
        if case is small and isinstance(results["dense"], Timing):
            tiled, peer = results["fpkit"], results["dense"]
            rows += [
                goal("filtering, 5,000 samples: against dense NumPy", peer.median / tiled.median, ">= 6"),
                goal("filtering, 5,000 samples: of its memory", tiled.peak_bytes / peer.peak_bytes, "<= 0.25"),
                goal("filtering, 5,000 samples: of the floor", seconds_floor / tiled.median, ">= 0.7"),
            ]
        elif case is large:
            rows += [
                goal("filtering, 60,000 samples: of the floor", fraction, ">= 0.5"),
                goal("filtering, 60,000 samples: memory (MB)", memory, "<= 2048"),
            ]
    return rows


def main() -> None:
    parser = options(__doc__.splitlines()[0], "results/benchmarks/filtering.csv")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    rows = measure(arguments.device, arguments.threads, arguments.repetitions)
    write(arguments.output, rows, arguments.device)


if __name__ == "__main__":
    main()
