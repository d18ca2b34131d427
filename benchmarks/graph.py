"""Graph modes of many images: neighbours and modes against scikit-learn's; and what nulls cost.

The inputs are made: points of a smooth surface of eight dimensions in those of an image, as images lie nearly on one.
The floor of the neighbours is one product of all inputs with all others, in single precision.
"""

from __future__ import annotations

from functools import partial

from benchmarks.measure import gemm_rate, goal, in_turn, options, row, write

SAMPLES, SURFACE, FEATURES, NEIGHBOURS, MODES = 60_000, 8, 784, 10, 256
MODES_OF = 8_000  # samples: SpectralEmbedding, which factors a matrix, was not done after 20 minutes with 20,000


def _inputs(samples: int):
    import numpy as np

    rng = np.random.default_rng(0)
    places = rng.standard_normal((samples, SURFACE), dtype=np.float32)
    return np.tanh(places @ rng.standard_normal((SURFACE, FEATURES), dtype=np.float32))


def neighbours(case: dict):
    """fpkit."""
    from fpkit.datasets.neighbours import nearest

    x = _inputs(case["samples"])
    return lambda: nearest(x, NEIGHBOURS)


def neighbours_by_scikit_learn(case: dict):
    """The same by sklearn.neighbors, which compares all pairs as well."""
    from sklearn.neighbors import NearestNeighbors

    x = _inputs(case["samples"])
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(x)
    return lambda: search.kneighbors(return_distance=False)


def modes(case: dict):
    """fpkit's, of a graph that is there."""
    from fpkit.bases import graph
    from fpkit.datasets import kernel

    similarity, root = kernel.normalised(graph.nearest(_inputs(case["samples"]), NEIGHBOURS))
    return lambda: graph.leading(similarity, root, MODES)


def modes_by_scikit_learn(case: dict):
    """SpectralEmbedding on the same graph."""
    import scipy.sparse
    from sklearn.manifold import SpectralEmbedding

    from fpkit.bases import graph

    affinity = scipy.sparse.csr_matrix(graph.nearest(_inputs(case["samples"]), NEIGHBOURS))
    affinity.indices, affinity.indptr = (numbers.astype("int32") for numbers in (affinity.indices, affinity.indptr))
    embedding = SpectralEmbedding(MODES, affinity="precomputed", eigen_solver="arpack", random_state=0)
    return lambda: embedding.fit(affinity)


def decomposition(case: dict, measure: str, nulls: list[str]):
    """A measure of 140 records of six networks on 1,437 digits, with 20 draws of each of the nulls."""
    import numpy as np
    from sklearn.datasets import load_digits

    import fpkit

    digits = load_digits()
    x, y = (digits.data[:1437] / 16).astype(np.float32), np.eye(10, dtype=np.float32)[digits.target[:1437]]
    rng, share = np.random.default_rng(0), np.linspace(0, 1, 140, dtype=np.float32)[:, None, None, None]
    start = 0.1 * rng.standard_normal((6, *y.shape), dtype=np.float32)
    outputs = share * y + (1 - share) * start + 0.05 * rng.standard_normal((140, 6, *y.shape), dtype=np.float32)
    return lambda: getattr(fpkit.measures, measure)(outputs, x, y, nulls=nulls)


def measure(threads: int, repetitions: int) -> list[dict]:
    """Rows of all measurements, and of the goals."""
    rows = []
    pairs = {
        "neighbours": (SAMPLES, threads, neighbours, neighbours_by_scikit_learn),
        # By one thread, as a job takes them.
        f"{MODES} modes": (MODES_OF, 1, modes, modes_by_scikit_learn),
    }
    seconds_floor = 2 * SAMPLES**2 * FEATURES / gemm_rate(threads)
    for what, (samples, count, ours, theirs) in pairs.items():
        name, case = f"graph, {samples} samples, {what}", {"samples": samples, "threads": count}
        results = in_turn({"fpkit": ours, "scikit-learn": theirs}, case, count, repetitions)
        floor = seconds_floor if ours is neighbours else None
        measured = [row(name, count, contender, timing, floor) for contender, timing in results.items()]
        print(*measured, sep="\n", flush=True)
        rows += measured
        ratio = results["scikit-learn"].median / results["fpkit"].median
        rows.append(goal(f"{name}: against scikit-learn", ratio, ">= 1"))
        if ours is neighbours:
            rows.append(goal(f"{name}: of the floor", floor / results["fpkit"].median, ">= 0.5"))
    for name in ("graph", "projection", "filtering"):
        contenders = {
            "with": partial(decomposition, measure=name, nulls=["share", "paces"]),
            "without": partial(decomposition, measure=name, nulls=[]),
        }
        results = in_turn(contenders, {"threads": 1}, 1, repetitions)
        cost = results["with"].median / results["without"].median - 1
        rows.append(goal(f"{name}, both nulls with 20 draws: cost, of the decomposition without", cost, "<= 1"))
    return rows


def main() -> None:
    parser = options(__doc__.splitlines()[0], "results/benchmarks/graph.csv")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    write(arguments.output, measure(arguments.threads, arguments.repetitions), arguments.device)


if __name__ == "__main__":
    main()
