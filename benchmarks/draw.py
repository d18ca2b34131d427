"""Tables of the benchmarks -> pictures, and the one of training -> the table in docs/performance.md."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.scaling import exponent
from fpkit.figures import style

COLORS = {"loop": style.NULL, "jax": style.HIGH, "fpkit": style.LOW}


def training(rows: list[dict]):
    """How many times faster than each peer, a line for each case, a column for each number of threads."""
    measured = [row for row in rows if row["row"] == "measurement"]
    threads = sorted({row["threads"] for row in measured})
    cases = list(dict.fromkeys((row["case"], row["algorithm"]) for row in measured))
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(
        1, len(threads), figsize=(width, 0.04 * width * (len(cases) + 4)), sharey=True, squeeze=False
    )
    for ax, letter, count in zip(axes[0], "abcd", threads, strict=False):
        for height, case in enumerate(cases):
            at = {
                row["contender"]: float(row["ms_per_step"])
                for row in measured
                if (row["case"], row["algorithm"]) == case and row["threads"] == count
            }
            for peer in set(at) - {"fpkit"}:
                ax.plot(at[peer] / at["fpkit"], height, "o", color=COLORS[peer], markersize=4)
        ax.axvline(1, color=style.TARGET, linewidth=0.8)
        ax.set(xscale="log", xlabel="times faster than the peer")
        style.panel(ax, letter, f"{count} thread{'s' * (count != '1')}")
    axes[0, 0].set_yticks(range(len(cases)), [f"{case}, {algorithm}" for case, algorithm in cases], fontsize="small")
    axes[0, 0].set_ylim(len(cases) - 0.5, -0.5)
    for peer, label in (("loop", "PyTorch loop"), ("jax", "JAX")):
        axes[0, -1].plot([], [], "o", color=COLORS[peer], markersize=4, label=label)
    style.legend(axes[0, -1])
    return figure


def spectra(rows: list[dict]):
    """Seconds of each contender and of the floor, a panel for each case."""
    measured = [row for row in rows if row["row"] == "measurement"]
    cases = list(dict.fromkeys(row["case"] for row in measured))
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(len(cases), 1, figsize=(width, 0.13 * width * len(cases)), squeeze=False)
    for ax, case in zip(axes[:, 0], cases, strict=True):
        shown = [row for row in measured if row["case"] == case]
        names = [row["contender"] for row in shown]
        seconds = [float(row["seconds"]) for row in shown]
        ax.barh(names, seconds, color=[COLORS.get(name, style.NULL) for name in names], height=0.6)
        if shown[0]["floor_seconds"]:
            ax.axvline(float(shown[0]["floor_seconds"]), color=style.TARGET, linewidth=1, linestyle="--")
        ax.invert_yaxis()
        ax.set_title(case, loc="left", fontsize="small")
    axes[-1, 0].set_xlabel("time (s); dashed: the floor")
    return figure


def pipeline(rows: list[dict]):
    """Time against size, with the exponent of the last decade."""
    scaling = [row for row in rows if row["row"] == "scaling"]
    axes_names = list(dict.fromkeys(row["case"] for row in scaling))
    width = plt.rcParams["figure.figsize"][0]
    figure, axes = plt.subplots(figsize=(0.6 * width, 0.45 * width))
    for name, color, marker in zip(axes_names, style.ordered_colors(len(axes_names)), "os^Dv<>PX", strict=False):
        size, seconds = np.array([[float(r["size"]), float(r["seconds"])] for r in scaling if r["case"] == name]).T
        label = f"{name.replace('_', ' ')} (exponent {exponent(size, seconds):.2f})"
        axes.plot(size, seconds, marker=marker, markersize=4, color=color, label=label)
    axes.set(xscale="log", yscale="log", xlabel="size", ylabel="time (s)")
    style.legend(axes, ncols=1)
    return figure


def in_words(rows: list[dict]) -> str:
    """The table of training as Markdown: how many times as fast as each peer, and the fraction of the floor."""
    measured = [row for row in rows if row["row"] == "measurement"]
    threads = sorted({row["threads"] for row in measured}, key=int)
    at = {(r["case"], r["algorithm"], r["threads"], r["contender"]): r for r in measured}
    names = {"loop": "loop", "jax": "JAX"}
    peers = [peer for peer in names if any(key[3] == peer for key in at)]
    columns = [f"{names[peer]}, {count} thread{'s' * (count != '1')}" for count in threads for peer in peers]
    lines = [
        ["members x network, samples x inputs, algorithm", *columns, f"floor, {' / '.join(threads)} threads"],
        ["---"] * (len(columns) + 2),
    ]
    for case, algorithm in dict.fromkeys((row["case"], row["algorithm"]) for row in measured):
        ours = {count: at[case, algorithm, count, "fpkit"] for count in threads}
        cells = [f"{case}, {algorithm}"]
        for count in threads:
            for peer in peers:
                peer_row = at.get((case, algorithm, count, peer))
                ratio = float(peer_row["ms_per_step"]) / float(ours[count]["ms_per_step"]) if peer_row else None
                cells.append("-" if ratio is None else f"{ratio:.2g}" if ratio < 100 else f"{ratio:.0f}")
        lines.append([*cells, " / ".join(f"{float(ours[count]['fraction_of_floor']):.0%}" for count in threads)])
    about = measured[0]
    versions = ", ".join(f"{name} {about[name]}" for name in ("python", "numpy", "torch", "jax") if about.get(name))
    words = f"{about['machine']}, {about['cores']} cores, {versions}; code {about['code']}."
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines]) + f"\n\n{words}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="a CSV of benchmarks: training, spectra or pipeline")
    parser.add_argument("picture", type=Path, help="SVG, PDF or PNG; of training also Markdown (.md)")
    arguments = parser.parse_args()
    with open(arguments.table, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if arguments.picture.suffix == ".md":
        arguments.picture.write_text(in_words(rows), encoding="utf-8")
        return
    draw = {"training": training, "spectra": spectra, "pipeline": pipeline}[arguments.table.stem]
    with style.context(180, 8, "cividis"):
        style.save(draw(rows), [str(arguments.picture)])


if __name__ == "__main__":
    main()
