"""Figures: the kinds that there are, with their captions, and what may be asked of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fpkit.config.fields import Entry, Number, Real


class Style(Entry):
    """How a figure is drawn."""

    width_mm: Real = Field(180, ge=60, le=400)
    font_size: Real = Field(8, ge=5, le=20)
    colormap: Literal["cividis", "viridis", "mako", "rocket"] = "cividis"

    @model_validator(mode="after")
    def _readable(self):
        least = 15 * self.font_size
        if self.width_mm < least:
            raise ValueError(
                f"width_mm {self.width_mm:g} is too narrow for font_size {self.font_size:g}; give {least:g}"
            )
        return self


@dataclass(frozen=True)
class Kind:
    """A kind of figure, drawn by the module of its name in `fpkit.figures.kinds`.

    `measures`: those whose spectra it shows, one of them at least; none for what is drawn from a table. `category`
    in the report, and the caption: what it `shows`, and where to `look` and how to read it, never what should be seen
    there. `needs`: arrays of the spectra that not every data set gives. `of_predictions`: it shows outputs, which
    coefficients recorded in their place do not tell. `of_model`: keys of the networks' models that it goes by.
    `animated`: its frames are written as a GIF.
    """

    category: str
    measures: tuple[str, ...]
    shows: str
    look: str
    needs: tuple[str, ...] = ()
    of_predictions: bool = False
    of_model: tuple[str, ...] = ()
    animated: bool = False


FIGURES = {
    "synthetic": Kind(
        category="Frequency Principle",
        measures=("fft",),
        shows="A one-dimensional target, outputs at some steps, and the errors and passages of its frequencies.",
        look=(
            "In (c) dark is captured; an order from low to high runs from the lower left to the upper right there and "
            "in (d), where an arrow says that some network never got there. The lead above: by how many decades of "
            "training the low half of the frequencies is ahead."
        ),
        needs=("position",),
        of_predictions=True,
    ),
    "animation": Kind(
        category="Frequency Principle",
        measures=("fft",),
        shows="The output of the networks and its amplitudes, step by step, over those of the target.",
        look="In which order the dots on the right, the output's amplitudes, come to the bars of the target.",
        needs=("position",),
        of_predictions=True,
        animated=True,
    ),
    "order": Kind(
        category="Scope",
        measures=("fft", "projection", "radial", "walsh", "components"),
        shows=(
            "First passages by frequency, the lead in decades of training, and the rank correlation of frequency and "
            "passage, for each activation, algorithm or loss."
        ),
        look=(
            "In (a) colours that brighten from left to right are an order from low to high. In (b) how far right of "
            "zero the marks lie: by so many decades of training low is ahead of high; where a triangle follows, the "
            "run ends before the high half is learned, and the lead is a lower bound; a diamond, before either is. "
            "In (c), as the paper has it, marks near 1 are an order from low to high."
        ),
    ),
    "structures": Kind(
        category="Scope",
        measures=("fft", "projection"),
        shows=(
            "The lead in decades of training, the rank correlation of frequency and passage, and the steps to the "
            "last frequency, over depth, width and other architectures."
        ),
        look=(
            "In (a) and (d) by how many decades of training low is ahead of high; a lower bound, marked so, where the "
            "run ends before the high half is learned. In (b) and (e), as the paper has it, 1 is an order from low to "
            "high, 0 none, and a cross stands where most members captured nothing; in (c) where most did not capture "
            "all."
        ),
    ),
    "initialization": Kind(
        category="Scope",
        measures=("fft",),
        shows=(
            "The lead in decades of training, and the rank correlation of frequency and passage, over the scale of "
            "the initial weights."
        ),
        look=(
            "In (a) where the lines come to zero: up to there low is ahead of high; triangles above mark lower bounds. "
            "In (b) and (c), as the paper has it, 1 is an order from low to high, 0 none; in (d) the part of the "
            "frequencies that was never captured."
        ),
        of_model=("activation", "std"),
    ),
    "amplitudes": Kind(
        category="Scope",
        measures=("fft",),
        shows=(
            "Targets whose amplitude grows with frequency: the rank correlation of frequency and passage by the "
            "relative error, and the lead, in decades of training, by the remaining share."
        ),
        look=(
            "In (c), the paper's, where the lines lie at each exponent: above zero low to high, below it high to low. "
            "In (d) the same of the lead, from which amplitude cancels; where both differ, low frequencies are so weak "
            "that what the untrained network puts there is large beside them."
        ),
    ),
    "equal_strength": Kind(
        category="Frequency Principle",
        measures=("components", "graph"),
        shows=(
            "Components of equal strength on real inputs: the passage of each, for several networks, beside natural "
            "targets of the same inputs; the lead of each variant in decades of training, and the rank correlation of "
            "frequency and passage."
        ),
        look=(
            "Passages that rise from left to right are an order from low to high. Points are medians over members, "
            "lines their whole range, which ends at a cross where some never got there. In the panel of the lead, how "
            "far right of zero the marks lie; a triangle follows a lower bound, where the run ends before the high "
            "half is learned, a diamond what ends before either half is."
        ),
    ),
    "projection": Kind(
        category="Frequency Principle",
        measures=("projection",),
        shows=(
            "Along a direction in real data (p, the first principal component, or another, as named): the target's "
            "spectrum, and by frequency the relative error and the remaining share, beside nulls."
        ),
        look=(
            "In (b) and (c) dark lines, low frequencies, below bright ones are an order from low to high. In (c) all "
            "start at 1, whatever the amplitudes; the broken lines are nulls, pooled over the lower and the upper half "
            "of the frequencies, and as far apart as these without any preference for a frequency."
        ),
    ),
    "filtering": Kind(
        category="Frequency Principle",
        measures=("filtering",),
        shows="Real data, split by a Gaussian filter into a low and a high part, and the error of each.",
        look=(
            "How far apart the solid lines (network) are, beside the dashed ones: a null in which every frequency "
            "loses the same share of its first error. In the maps, orange where the high part has the larger error."
        ),
    ),
    "graph": Kind(
        category="Frequency Principle",
        measures=("graph",),
        shows=(
            "What remains of the error in bands of modes of a graph that links near inputs, and the mean "
            "graph frequency of outputs and errors."
        ),
        look=(
            "In (a) the distance of dark lines (smooth modes) and bright ones (rough modes) along the step axis; in "
            "(b) the same of both halves, beside the nulls where they are drawn; in (c) the output's frequency "
            "beside the target's."
        ),
    ),
    "early_stopping": Kind(
        category="Generalization",
        measures=("fft", "projection"),
        shows=(
            "Losses over the steps, with the best step by validation, and the passages of the target's frequencies "
            "and of its noise."
        ),
        look="The dashed line, the best step, beside the passages of the target's frequencies and those of the noise.",
        needs=("loss_validation",),
    ),
    "generalization": Kind(
        category="Generalization",
        measures=("walsh", "projection"),
        shows="Test accuracies on parity and on images, and spectra of targets and outputs on all points.",
        look=(
            "Test accuracies against chance in (a) and (b), and in (c) and (d) the outputs' spectra against the "
            "targets'."
        ),
    ),
    "natural_image": Kind(
        category="Scope",
        measures=("radial",),
        shows=(
            "A photograph as a function of the position in it, outputs at some steps, and the error of each ring of "
            "frequency."
        ),
        look="The pictures in (a) from left to right, and in (b) the order in which the rings fall.",
        of_predictions=True,
    ),
    "theory": Kind(
        category="Theory",
        measures=("ntk",),
        shows=(
            "Decay rates along Fourier modes, or eigenvectors of the neural tangent kernel: predicted by the kernel "
            "at the start, measured, and, of networks that a run kept, predicted by the kernel at the end."
        ),
        look=(
            "How close the dots, one for each member, lie to the dashed line; below, where the measured rate lies "
            "between the two predictions. The squares at the bottom are the colours of the dots."
        ),
    ),
    "claims": Kind(
        category="Claims",
        measures=(),
        shows="Every claim on every variant of its experiment, against its bound.",
        look="Intervals right of the line clear their bound; the numbers at the right count the verdicts.",
    ),
    "calibration": Kind(
        category="Claims",
        measures=(),
        shows=(
            "How often the judge finds an order from low to high in made dynamics of known truth, by the lead and by "
            "the paper's own statistics."
        ),
        look=(
            "Marks on the shaded side are right: from .9 on where low is first (a, by a decade of training), up to .05 "
            "where it is not (c: high is first by a decade; d, e: samples are memorized in random order, of each "
            "network its own or of all eight one). Open marks have white noise of .3 of the initial residual's norm."
        ),
    ),
}


class Figure(Entry):
    """A picture of one experiment or several, all their variants side by side."""

    kind: Literal[tuple(FIGURES)]
    experiment: str | list[str] = []
    pool: str | None = None
    """An axis of the sweeps, `dataset.seed`: variants that differ along it alone are shown as one, with all their
    members. Outputs are those of the first of them."""
    ensembles: Annotated[int, Field(ge=20, le=10_000, multiple_of=5), Number] | None = None
    """Of `calibration`: how many ensembles of eight members each of its cases has, a multiple of five; 200 where left
    out."""
    style: Style = Style()

    @property
    def experiments(self) -> list[str]:
        return [self.experiment] if isinstance(self.experiment, str) else self.experiment

    @model_validator(mode="after")
    def _own_options(self):
        if self.kind != "calibration" and self.ensembles is not None:
            raise ValueError("ensembles is of kind calibration; leave it out")
        return self

    @model_validator(mode="after")
    def _shows_something(self):
        if FIGURES[self.kind].measures and not self.experiments:
            raise ValueError("experiment is missing; say what to draw")
        if self.pool and not FIGURES[self.kind].measures:
            raise ValueError(f"pool is for spectra, and {self.kind} shows none; leave it out")
        return self
