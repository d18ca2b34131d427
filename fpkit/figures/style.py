"""One look for all figures: fonts, colours, sizes, spread bands, and the mark of members that diverged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import contextmanager

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.animation import Animation
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from fpkit.claims.intervals import median_interval
from fpkit.config.grid import named_one
from fpkit.errors import UserError
from fpkit.xarrays import by_numpy

MM = 1 / 25.4
# Of each format, without the date.
CANVASES = {
    "svg": (FigureCanvasSVG, {"Date": None}),
    "pdf": (FigureCanvasPdf, {"CreationDate": None}),
    "png": (FigureCanvasAgg, {}),
}
TARGET, LOW, HIGH, NULL = "0.25", "#0072B2", "#D55E00", "0.55"


@contextmanager
def context(width_mm: float, font_size: float, colormap: str):
    """Everything drawn inside has this width (mm), font size (pt) and colour map for ordered quantities."""
    small = font_size - 1
    with by_numpy(), sns.axes_style("ticks"), plt.rc_context(
        {
            "figure.figsize": (width_mm * MM, 0.62 * width_mm * MM),
            "figure.constrained_layout.use": True,
            "font.size": font_size,
            "axes.titlesize": font_size,
            "axes.labelsize": font_size,
            "xtick.labelsize": small,
            "ytick.labelsize": small,
            "legend.fontsize": small,
            "legend.frameon": False,
            "axes.linewidth": 0.6,
            "lines.linewidth": 1.2,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "image.cmap": sns.color_palette(colormap, as_cmap=True).name,
            "svg.hashsalt": "fpkit",
            "pdf.fonttype": 42,
        }
    ):  # fmt: skip
        yield


def save(figure: Figure | Animation, paths: Sequence[str]) -> None:
    """Write the figure to each path, in the format its ending says; the same figure gives the same bytes."""
    if isinstance(figure, Animation):
        for path in paths:
            figure.save(path, writer="pillow", dpi=100)
        return
    # Laid out once, not anew for every format.
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    for path in paths:
        figure.set_dpi(200)  # which writing an SVG changes
        # By the canvas itself: `savefig` draws everything once more, before it does, to lay it out.
        kind = str(path).rsplit(".", 1)[-1]
        canvas, metadata = CANVASES[kind]
        getattr(canvas(figure), f"print_{kind}")(path, metadata=metadata)
    plt.close(figure)


def lines(count: float) -> float:
    """The height of so many lines of text, in inches: what a figure needs beside its panels, however narrow."""
    return count * 1.4 * plt.rcParams["font.size"] / 72


def position(spectra: xr.Dataset) -> xr.DataArray:
    """x of the samples (sample).

    Raises UserError where they do not lie on a line.
    """
    if "position" not in spectra:
        raise UserError(f"{variant_title(spectra)} is no function of one variable; draw another figure of it")
    return spectra["position"]


def ordered_colors(count: int) -> list:
    """Colours for `count` ordered things, without the palest end of the colour map."""
    return [plt.get_cmap()(value) for value in np.linspace(0, 0.85, count)]


def spread(axes: Axes, values: xr.DataArray, color, label: str | None = None, **line) -> None:
    """Median over members against `step`, with a band from the 10% to the 90% quantile, where any has a number."""
    values = values.dropna("step", how="all")
    if not values.sizes["step"]:
        return
    low, middle, high = values.quantile([0.1, 0.5, 0.9], "member").transpose("quantile", "step").to_numpy()
    axes.fill_between(values["step"], low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(values["step"], middle, color=color, label=label, **line)


def log_steps(axes: Axes, steps: xr.DataArray) -> None:
    """A logarithmic step axis, from step 1 on; of a single record, a factor of ten."""
    last = float(steps.max())
    axes.set(xlim=(1, last if last > 1 else 10), xlabel="training step")
    axes.set_xscale("log")  # behind the ends, or it would look for data, of which there may be none


def shares(axes: Axes) -> None:
    """The axis of a remaining share, of which lines are drawn: from 0 to 1, as at the start, and what of them lies
    beyond, from -1 to 2 at most."""
    drawn = np.concatenate([np.ravel(line.get_ydata()).astype(float) for line in axes.get_lines()] or [[]])
    drawn = drawn[np.isfinite(drawn)]
    low, high = drawn.min(initial=0) - 0.05, drawn.max(initial=1) + 0.05
    axes.axhline(0, color=TARGET, linewidth=0.5)
    axes.set(ylabel="remaining share", ylim=(max(-1, min(low, -0.15)), min(2, max(high, 1.15))))


def relative_errors(axes: Axes) -> None:
    """The axis of a relative error, of which lines are drawn: logarithmic, from wherever it starts to where it ends."""
    if not axes.get_lines():
        axes.set_ylim(0.1, 1)
    axes.set(ylabel="relative error", yscale="log")
    plain_log(axes.yaxis)


def plain_log(axis: Axis, widest: float = 500) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5, or, where its ends are `widest` times apart, at powers of ten; written
    in full, if they are not too long for it."""

    def is_wide() -> bool:
        low, high = sorted(axis.get_view_interval())
        return high >= widest * low

    class Locator(LogLocator):
        def tick_values(self, low: float, high: float) -> np.ndarray:
            self.set_params(subs=(1,) if is_wide() else (1, 2, 5))
            return super().tick_values(low, high)

    def written(value: float, _: int) -> str:
        low, high = sorted(axis.get_view_interval())
        in_full = not is_wide() or (low > 1e-4 and high < 1e5)
        return f"{value:g}" if in_full else f"$10^{{{np.log10(value):.0f}}}$"

    axis.set_major_locator(Locator())
    axis.set_major_formatter(FuncFormatter(written))
    axis.set_minor_formatter(NullFormatter())


def heat_map(axes: Axes, values: xr.DataArray, y: str, label: str, log: bool = False, **limits):
    """`values` over step (x, logarithmic) and `y`, every row one band, with a colour bar, which is pointed where values
    lie beyond."""
    values = values.sel(step=slice(1, None)).transpose(y, "step")
    if not values.sizes["step"]:  # of a record at the start alone, in the row of the others
        values = values.reindex(step=[1])
    edges = np.arange(values.sizes[y] + 1) - 0.5
    steps = values["step"].to_numpy().astype(float)
    borders = np.concatenate([[steps[0]], np.sqrt(steps[1:] * steps[:-1]), [steps[-1]]])
    norm = matplotlib.colors.LogNorm(**limits) if log else matplotlib.colors.Normalize(**limits)
    mesh = axes.pcolormesh(borders, edges, values, norm=norm, rasterized=True)
    axes.set_yticks(edges[:-1] + 0.5, [f"{value:g}" for value in values[y].to_numpy()])
    log_steps(axes, values["step"])
    below, above = bool((values < norm.vmin).any()), bool((values > norm.vmax).any())
    pointed = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    bar = axes.figure.colorbar(mesh, ax=axes, label=label, pad=0.02, extend=pointed[below, above])
    bar.outline.set_visible(False)
    return mesh


def passage_ranges(axes: Axes, spectra: xr.Dataset, passage: str, color, offset: float = 0, **marker) -> None:
    """Passage per followed frequency: median and whole range over members; an arrow where some never got there, which
    begins at the last step."""
    followed = spectra[passage].where(spectra["followed"], drop=True)
    last = float(spectra["step"].max())
    kept = int((~spectra["diverged"]).sum())
    for frequency, values in zip(
        followed["frequency"], followed.transpose("frequency", "member").to_numpy(), strict=True
    ):
        seen = values[np.isfinite(values)]
        where = float(frequency) + offset
        if len(seen) < kept:
            arrow = {"arrowstyle": "->", "color": color}
            axes.annotate("", (where, last * 1.5), (where, last), arrowprops=arrow, annotation_clip=False)
            axes.update_datalim([(where, last), (where, last * 1.5)])  # what is annotated widens no axis
        if len(seen):
            axes.plot([where, where], [seen.min(), seen.max()], color=color, linewidth=1, alpha=0.6)
    middle = followed.median("member")
    axes.plot(middle["frequency"] + offset, middle, color=color, **marker)
    axes.autoscale_view()
    if not middle.notnull().any():  # or the axis would be of the arrows alone
        axes.set_ylim(bottom=1)


def members_note(spectra: xr.Dataset) -> str:
    """`10 members`, or `9 of 10 members (1 diverged)`: a visible mark of what was left out."""
    bad, all_members = int(spectra["diverged"].sum()), spectra.sizes["member"]
    if bad == 0:
        return f"{all_members} members"
    return f"\N{WARNING SIGN} {all_members - bad} of {all_members} members ({bad} diverged)"


def all_diverged(row: Sequence[Axes], spectra: xr.Dataset) -> bool:
    """Whether nothing of a variant can be drawn, as all its members diverged; if so, `row` says it."""
    if not spectra["diverged"].all():
        return False
    row[0].text(0.5, 0.5, f"{variant_title(spectra)}\n{members_note(spectra)}", ha="center", va="center")
    for axes in row:
        axes.set_axis_off()
    return True


def panel(axes: Axes, letter: str, title: str, above: str = "") -> None:
    """A panel's letter and what it shows: never what should be seen. `above` stands on a line of its own."""
    name = f"$\\bf{{{letter}}}$  {title}" if letter else title
    axes.set_title("\n".join(line for line in (above, name) if line), loc="left")


def legend(axes: Axes, **options) -> None:
    """A legend below the axis label, which has to be set: there it covers no data, whatever they are.

    None where there is nothing to name.
    """
    if "handles" not in options and not axes.get_legend_handles_labels()[1]:
        return
    sizes = (plt.rcParams[name] for name in ("xtick.labelsize", "axes.labelsize"))
    ticks, label = (FontProperties(size=size).get_size_in_points() for size in sizes)
    lines = len(axes.get_xlabel().splitlines())
    depth = plt.rcParams["xtick.major.size"] + plt.rcParams["xtick.major.pad"] + 1.5 * ticks
    depth += plt.rcParams["axes.labelpad"] + 1.3 * lines * label
    below = axes.transAxes + ScaledTranslation(0, -depth / 72, axes.figure.dpi_scale_trans)
    options = {"ncols": 2, "columnspacing": 1, "handlelength": 1.5, "borderaxespad": 0.2} | options
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, **options)


def outer_legend(figure: Figure, axes: Axes, **options) -> None:
    """The legend of `axes`, which others share, below the whole figure."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", columnspacing=1, **options)


def variant_title(spectra: xr.Dataset) -> str:
    """Data set and variant, as read: `fashion mnist, mlp`; models other than MLPs, and cross-entropy, are named.

    A seed says that it is one, `seed 3`; where draws are pooled, how many they are.
    """
    _, labels = named_one(f"+{spectra.attrs['variant']}")
    pairs = [label.split("~", 1) for label in labels]
    values = [_value(spectra, key, value) for key, value in pairs if key != "dataset"]
    kind = recipe(spectra).get("model", {}).get("kind", "")
    if kind not in ("", "mlp", "recorded") and "model" not in dict(pairs):
        values.append(kind.rpartition(":")[2])
    if recipe(spectra).get("training", {}).get("loss") == "cross_entropy" and "cross_entropy" not in values:
        values.append("cross-entropy")
    return ", ".join([named_one(spectra.attrs["dataset"])[0], *values]).replace("_", " ")


def _value(spectra: xr.Dataset, key: str, value: str) -> str:
    if value == "*":
        return f"{spectra.attrs['draws']} {'draws' if key.endswith('seed') else f'of {key}'}"
    return f"{key} {value}" if key.endswith("seed") else value


def of_the_first(spectra: xr.Dataset) -> str:
    """What a title says of outputs and targets where draws are pooled: they are those of the first; else nothing."""
    return ", first draw" if "draws" in spectra.attrs else ""


def recipe(spectra: xr.Dataset) -> dict:
    """The model, training and record entries behind the spectra."""
    return json.loads(spectra.attrs.get("recipe", "{}"))


def kept(spectra: xr.Dataset) -> xr.Dataset:
    """The spectra of the members that did not diverge."""
    return spectra.sel(member=~spectra["diverged"])


def short_titles(spectra: Sequence[xr.Dataset]) -> list[str]:
    """Titles of variants beside each other, without the dataset where all share one; those that are alike also have the
    experiment, or the measure, by which they differ.
    """
    titles = [variant_title(variant) for variant in spectra]
    for what in ("experiment", "measure"):
        # What titles leave open is told by what differs.
        same = [[other for other, name in zip(spectra, titles, strict=True) if name == title] for title in titles]
        several = [len({one.attrs.get(what) for one in alike}) > 1 for alike in same]
        names = [str(one.attrs.get(what, "")).replace("_", " ") for one in spectra]
        titles = [f"{t}, {name}" if told else t for t, name, told in zip(titles, names, several, strict=True)]
    if len({named_one(variant.attrs["dataset"])[0] for variant in spectra}) == 1:
        titles = [title.split(", ", 1)[-1] for title in titles]
    return [f"{title} *" if bool(v["diverged"].any()) else title for title, v in zip(titles, spectra, strict=True)]


def intervals(axes: Axes, positions, values: Sequence[xr.DataArray], horizontal: bool = True, **marker) -> None:
    """Median over members with its exact interval for each of `values` (member,), at `positions`.

    Nothing where most members have no number.
    """
    values = [known_by_most(value) for value in values]
    middle, low, high = np.array([interval_of(value) for value in values]).reshape(-1, 3).T
    low, high = np.where(np.isfinite(low), low, middle), np.where(np.isfinite(high), high, middle)
    errors = np.array([middle - low, high - middle])
    options = {"markersize": 4, "elinewidth": 1, **marker}
    if horizontal:
        axes.errorbar(middle, positions, xerr=errors, **options)
    else:
        axes.errorbar(positions, middle, yerr=errors, **options)


def interval_of(values: xr.DataArray) -> tuple[float, float, float]:
    """Median over members (member,) and its interval, that of the claims: pooled members share a draw of the data."""
    draws = values["data_draw"].to_numpy() if "data_draw" in values.coords else None
    return median_interval(values.to_numpy(), draws)


def known_by_most(values: xr.DataArray) -> xr.DataArray:
    """The values (member,), or NaN for all where most members have none: their median would be that of a few."""
    return values if 2 * int(values.notnull().sum()) > values.size else values.where(False)


def diverged_note(figure: Figure, spectra: Sequence[xr.Dataset]) -> None:
    """Below the figure: what the star on a variant's title means, if there is one."""
    bad = [
        (title, members_note(v)) for title, v in zip(short_titles(spectra), spectra, strict=True) if v["diverged"].any()
    ]
    if bad:
        figure.supxlabel("; ".join(f"{title}: {note}" for title, note in bad), fontsize="small")
