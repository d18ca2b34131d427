"""Measures: of each its parameters, the data sets it suits, what its spectra hold and what it computes under nulls."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, create_model, model_validator

from fpkit.config.datasets import Images, Parity, Photograph, Samples, Sines
from fpkit.config.fields import Entry, FilterWidth, Fraction, Integer, PositiveFloat, PositiveInt, Seed, Units
from fpkit.config.names import MOST_KERNEL_SAMPLES, NULLS, PASSAGES, REMAINING

Null = Literal[tuple(NULLS)]
MEASURES: dict[str, type[Measure]] = {}


class Measure(Entry):
    """A measure, taken by the module of its name in `fpkit.measures.kinds`."""

    suits: ClassVar[tuple[type[Samples], ...]]
    """The kinds of data sets that it is taken on; one's own may be any."""
    splits: ClassVar[tuple[str, ...]] = ("train", "test", "all")
    """Samples that it may be taken of."""
    gives: ClassVar[tuple[str, ...]]
    """What its spectra hold for statistics, beside the losses, and the accuracies of classes."""
    controlled: ClassVar[dict[str, tuple[str, ...]]]
    """Those of them that it computes under each null, too, or that are the same there. A control needs all that its
    statistic is taken of: else it would be the difference of a number to itself."""
    of_predictions: ClassVar[tuple[str, ...]] = ()
    """Those of them that coefficients, recorded in place of predictions, do not tell."""
    of_parameters: ClassVar[tuple[str, ...]] = ()
    """Those of them that are NaN unless the parameters at the end are kept (`record.parameters`)."""
    on_gpu: ClassVar[bool] = False
    """Whether a GPU has a large part in it."""

    nulls: list[Null] | None = []
    """Errors that prefer no frequency, of which it computes the same: `share`, every frequency loses the same share of
    the error it starts with; `paces`, samples converge at paces that are dealt out among them. Left out, none, but of
    `projection`, `filtering` and `graph` both; `share` alone where the spectrum is recorded in place of predictions,
    which `paces` needs."""
    null_draws: Integer = Field(20, ge=20, le=1000)
    """Draws of each null."""

    @property
    def basis(self) -> dict[str, Any] | None:
        """The functions that it takes coefficients along: the module of `fpkit.bases` (`kind`) and its options."""
        return None

    def settled(self, content: str) -> Self:
        """With the nulls that are computed where none are given, of what is recorded (`record.content`)."""
        if self.nulls is not None:
            return self
        return self.model_copy(update={"nulls": list(NULLS) if content == "predictions" else ["share"]})

    @classmethod
    def __pydantic_init_subclass__(cls, **options) -> None:
        if "gives" in vars(cls):  # else it is a base
            MEASURES[cls.__name__.lower()] = cls

    def problems(self, dataset: Samples, experiment: Entry) -> Iterator[tuple[str, str]]:
        """Keys of an `Experiment`, and what is wrong with them for this measure on a data set that it suits."""
        yield from ()


class OnBasis(Measure):
    """A measure along a basis, and when a frequency counts as captured."""

    # Remaining shares alone under paces: errors would take a transform of all records for each draw.
    controlled: ClassVar = {
        "share": PASSAGES,
        "paces": tuple(name for name in PASSAGES if name.startswith(("remaining", "initial"))),
    }

    threshold: Fraction = 0.2
    """A frequency is captured when its relative error falls below this."""
    hold: Fraction = 0.05
    """`hold_passage`: the error stays below the threshold for this fraction of the records."""


class Fft(OnBasis):
    """Discrete Fourier transform on the uniform grid of a one-dimensional input, or of a picture's pixels by |k|."""

    suits = (Sines, Photograph)
    splits = ("train", "test")
    gives = (*PASSAGES, "clean_amplitude")

    frequencies: Annotated[list[PositiveFloat], Field(min_length=1)] | None = None
    """Cycles per unit of x, or per image, to follow; left out, the peaks of the target's spectrum."""
    peak_height: Fraction = 0.1
    """A peak reaches this fraction of the largest target amplitude."""

    @property
    def basis(self) -> dict[str, Any]:
        return {"kind": "fourier"}

    def problems(self, dataset: Sines | Photograph, experiment: Entry) -> Iterator[tuple[str, str]]:
        """Frequencies that the recorded samples cannot tell from lower ones."""
        split = experiment.record.split
        if isinstance(dataset, Photograph):
            highest = dataset.size // 2
            if split != "train":
                yield "record.split", f"fft of a picture needs train, not {split}"
            if max(self.frequencies or [0]) > highest:
                yield (
                    "decomposition.fft.frequencies",
                    f"{max(self.frequencies):g} is beyond {highest}, the highest of {experiment.dataset!r}; lower it",
                )
            return
        samples = dataset.samples if split == "train" else dataset.test_samples
        nyquist = dataset.nyquist(samples)
        limit = f"the Nyquist frequency {nyquist:g} of the {samples} {split} samples of {experiment.dataset!r}"
        if max(dataset.frequencies) >= nyquist:
            yield (
                "record.split",
                f"frequency {max(dataset.frequencies):g} is not below {limit}; raise test_samples",
            )
        if max(self.frequencies or [0]) > nyquist:
            yield "decomposition.fft.frequencies", f"{max(self.frequencies):g} is beyond {limit}; lower it"


class Projection(OnBasis):
    """Non-uniform Fourier transform along the first principal component of the inputs, or another direction."""

    suits = (Images,)
    gives = PASSAGES

    nulls: list[Null] | None = None
    frequencies: Annotated[list[Units], Field(min_length=1)] | None = None
    """Cycles over the extent of the data along p to follow; left out, those above the permutation floor."""
    max_frequency: Units = 20
    direction: Literal["random"] | Units = 1
    """1: the first principal component, 2 the second, and so on; `random`: one that `seed` draws."""
    seed: Seed = 0
    permutations: Integer = Field(200, ge=20, le=10**5)
    """Label permutations behind the 95% floor."""

    @property
    def basis(self) -> dict[str, Any]:
        highest = max([self.max_frequency, *(self.frequencies or [])])
        # Of the first component as before there were others, so that what was recorded along it is found again.
        given = {} if self.direction == 1 else {"direction": self.direction}
        given |= {"seed": self.seed} if self.direction == "random" else {}
        return {"kind": "principal", "highest": highest, **given}


class Filtering(Measure):
    """Gaussian low-pass filter in input space, for a range of widths."""

    suits = (Images,)
    on_gpu = True
    gives = ("low_error", "high_error", *REMAINING)
    controlled: ClassVar = {"share": gives, "paces": REMAINING}

    nulls: list[Null] | None = None
    widths: list[FilterWidth] = Field([0.12, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5], min_length=1)
    """Kernel widths in units of the median distance between inputs."""


class Graph(OnBasis):
    """Eigenvectors of a graph on the inputs, near ones linked, in bands of their rank from smooth to rough."""

    suits = (Samples,)
    on_gpu = True
    gives = (*PASSAGES, "mean_frequency_output", "mean_frequency_residual")

    nulls: list[Null] | None = None
    width: FilterWidth = 0.25
    """Of the Gaussian that links all inputs, in units of the median distance between them."""
    neighbours: PositiveInt | None = None
    """Link each input to so many nearest ones instead; beyond `dense_limit` samples, 10 where left out."""
    modes: Integer = Field(256, ge=2, le=10**4)
    """How many are computed of more than `dense_limit` samples: the smoothest ones. Of fewer all are."""
    bands: Integer = Field(10, ge=2, le=1000)
    """How many, spaced by the logarithm of the rank."""
    dense_limit: Integer = Field(4000, ge=2, le=20_000)
    """Samples up to which all eigenvectors are computed: 8 bytes per pair of samples, a few times."""

    @property
    def basis(self) -> dict[str, Any]:
        options = ("width", "neighbours", "modes", "bands", "dense_limit")
        return {"kind": "graph", **{name: getattr(self, name) for name in options}}

    def problems(self, dataset: Samples, experiment: Entry) -> Iterator[tuple[str, str]]:
        """That there are no samples to make a graph of."""
        if (split := experiment.record.split) in dataset.lacks:
            yield "record.split", f"{experiment.dataset!r} has no {split} samples; give it some, or set it to train"


class Walsh(OnBasis):
    """Walsh-Hadamard transform over all sign vectors, for parity (with `record.split: all`), by degree."""

    suits = (Parity,)
    splits = ("all",)
    gives = (*PASSAGES, "accuracy_train", "accuracy_test")  # by sign
    of_predictions = ("accuracy_train", "accuracy_test")

    @property
    def basis(self) -> dict[str, Any]:
        return {"kind": "walsh"}


class Radial(OnBasis):
    """Two-dimensional Fourier transform of an image under a Hann window, error by ring of |k|."""

    suits = (Photograph,)
    splits = ("train", "all")
    gives = PASSAGES

    rings: Integer = Field(8, ge=2, le=1000)
    """Rings of equal width up to the Nyquist frequency."""

    @property
    def basis(self) -> dict[str, Any]:
        return {"kind": "rings", "rings": self.rings}


class Components(OnBasis):
    """How much of each component of a made target (`target:` of a data set) is learned, by least squares over them."""

    suits = (Images, Photograph)
    gives = PASSAGES

    threshold: Fraction = 0.5
    """A component is captured when its relative error falls below this: at 0.5, when half of it is learned."""

    @property
    def basis(self) -> dict[str, Any]:
        return {"kind": "components"}

    def problems(self, dataset: Images | Photograph, experiment: Entry) -> Iterator[tuple[str, str]]:
        """That the target is not made, or that nothing is recorded."""
        if dataset.target is None:
            yield "decomposition.components", f"needs a made target; give datasets.{experiment.dataset} a target"
        if isinstance(dataset, Photograph) and experiment.record.split == "test":
            yield "record.split", "a photograph has no test samples; set it to train"


class Ntk(OnBasis):
    """Decay rates along the eigenvectors of the neural tangent kernel, measured and predicted by it."""

    suits = (Samples,)
    on_gpu = True
    splits = ("train",)
    gives = (*PASSAGES, "predicted_rate", "final_rate", "measured_rate", "kernel_change")
    of_parameters = ("final_rate", "kernel_change")

    modes: PositiveInt | Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    """How many of the leading eigenvectors to follow, or, as a list, Fourier modes in cycles per turn of the circle.
    Left out, the target's frequencies on the circle, and 16 eigenvectors elsewhere."""

    @property
    def basis(self) -> dict[str, Any] | None:
        """Eigenvectors are known to no data set alone: coefficients along Fourier modes only are recorded."""
        return None if isinstance(self.modes, int) else {"kind": "circle", "modes": self.modes}

    def problems(self, dataset: Samples, experiment: Entry) -> Iterator[tuple[str, str]]:
        """What keeps the kernel's prediction from being one: anything but gradient descent on not too many samples."""
        training, on_circle = experiment.training, getattr(dataset, "embedding", None) == "circle"
        samples = getattr(dataset, "samples", None) or getattr(dataset, "limit", None)
        whole = (training.batch_size or math.inf) >= (samples or math.inf)
        wants = {
            "training.optimizer": (training.optimizer, "sgd"),
            "training.momentum": (training.momentum, 0),
            "training.loss": (training.loss, "mse"),
            "training.schedule": (training.schedule and training.schedule.kind, None),
            "training.weight_decay": (training.weight_decay or None, None),
            "training.clip_norm": (training.clip_norm, None),
            "training.batch_size": (None if whole else training.batch_size, None),
        }
        for key, (given, needed) in wants.items():
            if given != needed:
                yield key, f"ntk needs {'none' if needed is None else needed}, not {given}"
        if samples and samples > MOST_KERNEL_SAMPLES:
            limit = f"give at most {MOST_KERNEL_SAMPLES:,} samples, not {samples:,}"
            yield f"dataset ({experiment.dataset!r})", f"ntk holds kernels of all samples; {limit}"
        if isinstance(self.modes, list) and not on_circle:
            line = f"a list is of cycles per turn, and {experiment.dataset!r} is on no circle; give a number"
            yield "decomposition.ntk.modes", line
        elif isinstance(self.modes, list) and max(self.modes) > (highest := (dataset.samples - 1) // 2):
            yield (
                "decomposition.ntk.modes",
                f"{max(self.modes)} is beyond {highest}, what {dataset.samples} samples on the circle allow; lower it",
            )
        if experiment.record.content == "spectrum" and self.basis and not on_circle:
            yield "record.content", f"ntk needs predictions of {experiment.dataset!r}; set it to predictions"


class _Measures(Entry):
    @model_validator(mode="after")
    def _any(self):
        if not self.measures:
            raise ValueError(f"names no measure; give at least one of {', '.join(MEASURES)}")
        return self

    @property
    def measures(self) -> dict[str, Measure]:
        return {name: taken for name in MEASURES if (taken := getattr(self, name)) is not None}

    def settled(self, content: str) -> Self:
        """With what is left out of each measure and goes by what is recorded."""
        return self.model_copy(update={name: taken.settled(content) for name, taken in self.measures.items()})


Decomposition = create_model(
    "Decomposition",
    __base__=_Measures,
    __doc__="The measures taken of an experiment, each with its parameters (`{}` takes the defaults).",
    **{name: (entry | None, None) for name, entry in MEASURES.items()},
)
