"""The configuration: what `config.yaml` may say, checked before any job starts.

`load` turns the parsed YAML into a `Config`, or raises `ConfigError` with *every* problem, one line each.
`variants` unfolds the sweeps into plain, key-sorted dictionaries, ready to be handed to jobs: Snakemake compares
parameters by their `repr`, so nothing but builtin types in a fixed order may leave this module.
"""

from __future__ import annotations

import copy
import difflib
import itertools
import json
import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fpkit import parts
from fpkit.errors import UserError
from fpkit.statistics import STATISTIC_ARRAYS, STATISTIC_MEASURES

# What a file system takes as a name, with the endings that are put behind it.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$", max_length=100)]
LONGEST_VARIANT = 200
# More variants of an experiment than this are a slip, and so is a configuration of more parts and letters, or deeper.
MOST_VARIANTS = 10_000
LARGEST, DEEPEST = 10**6, 100


def _number(value: Any) -> Any:
    """The number that was written, where YAML 1.1 read text (`1e4`, `5e-2`)."""
    if isinstance(value, bool):  # pydantic takes true for 1
        raise PydanticCustomError("boolean", "give a number")
    if isinstance(value, str) and re.fullmatch(EXPONENT, value):
        return float(value)
    return value


def _size(value: Any) -> Any:
    """The same of an integer out of a few, which pydantic takes by the letter."""
    value = _number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


EXPONENT = r"[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+"
# Numbers, as large as single precision and patience allow.
Number = BeforeValidator(_number)
Integer = Annotated[int, Number]
Real = Annotated[float, Number]
Finite = Annotated[float, Field(ge=-1e30, le=1e30), Number]
PositiveFloat = Annotated[float, Field(gt=0, le=1e30), Number]
NonNegativeFloat = Annotated[float, Field(ge=0, le=1e30), Number]
Fraction = Annotated[float, Field(gt=0, le=1), Number]
PositiveInt = Annotated[int, Field(gt=0, le=10**9), Number]
NonNegativeInt = Annotated[int, Field(ge=0, le=10**9), Number]
Units = Annotated[int, Field(gt=0, le=10**5), Number]
FilterWidth = Annotated[float, Field(ge=1e-6, le=1e6), Number]
Seed = Annotated[int, Field(ge=0, lt=2**32), Number]
Kernel = Annotated[Literal[3, 5, 7], BeforeValidator(_size)]

FilePath = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=4096)]

Null = Literal["white_noise", "shuffled_labels"]


def _findable(path: str) -> str:
    try:
        parts.source_file(path)
    except UserError as error:
        raise ValueError(str(error)) from error
    return path


OwnPart = Annotated[str, AfterValidator(_findable)]


def _one_of(*names: str):
    """A name from the package, or the path `package.module:name` of a part of the user's own."""

    def check(value: str) -> str:
        if value in names:
            return value
        if not parts.is_own(value):
            raise PydanticCustomError("unknown_part", "unknown", {"allowed": [*names, "package.module:name"]})
        return _findable(value)

    schema = {"anyOf": [{"enum": list(names)}, {"pattern": parts.PATTERN}]}
    return Annotated[str, AfterValidator(check), Field(json_schema_extra=schema)]


Activation = _one_of("tanh", "relu", "sigmoid", "softplus", "elu", "gelu", "silu", "sin", "gaussian", "ricker")
Optimizer = _one_of("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta", "lbfgs")
Loss = _one_of("mse", "mae", "huber", "cross_entropy")


class ConfigError(UserError):
    """What is wrong with a configuration: `problems`, one line each, naming the place and the remedy."""

    def __init__(self, problems: list[str]):
        # A line break within a name of the user's must not break the line.
        self.problems = ["".join(char if char.isprintable() else ascii(char)[1:-1] for char in p) for p in problems]
        super().__init__("\n".join(self.problems))


class Entry(BaseModel):
    """Base of every entry: an unknown key is an error, an entry never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


# --- datasets -------------------------------------------------------------------------------------------------------


class Sines(Entry):
    """y(x) = sum_i a_i sin(2 pi f_i x + phase_i) on a uniform grid."""

    kind: Literal["sines"]
    frequencies: list[PositiveFloat] = Field(min_length=1)
    """Cycles per unit of x. Multiples of 1 / (stop - start) fall on the FFT grid; others leak."""
    amplitudes: Finite | list[Finite] = 1.0
    """One for all, or one per frequency."""
    phases: Literal["random"] | Finite | list[Finite] = "random"
    """Radians; `random` draws each from [0, 2 pi) with `seed`."""
    interval: tuple[Finite, Finite] = (0.0, 1.0)
    """[start, stop) of x."""
    samples: Integer = Field(200, ge=2, le=10**8)
    test_samples: NonNegativeInt = 200
    """Noise-free test points, uniform and half a step off the training grid."""
    validation_samples: NonNegativeInt = 0
    """Points with noise of their own, a quarter step off the training grid: for choosing when to stop."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of the Gaussian noise added to the training and validation targets."""
    embedding: Literal["line", "circle"] = "line"
    """What the network sees: x rescaled to [-pi, pi), or the point (cos, sin) at that angle."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _consistent(self):
        for key in ("amplitudes", "phases"):
            values = getattr(self, key)
            if isinstance(values, list) and len(values) != len(self.frequencies):
                raise ValueError(
                    f"{key} has {len(values)} values for {len(self.frequencies)} frequencies; give one each"
                )
        start, stop = self.interval
        if not start < stop:
            raise ValueError(f"interval [{start}, {stop}) is empty; start must lie below stop")
        nyquist = self.nyquist(self.samples)
        if max(self.frequencies) >= nyquist:
            raise ValueError(
                f"frequency {max(self.frequencies):g} is not below the Nyquist frequency {nyquist:g} of"
                f" {self.samples} samples on [{start:g}, {stop:g}); raise samples or lower the frequency"
            )
        return self

    def nyquist(self, samples: int) -> float:
        """Of so many samples on the interval, in cycles per unit of x."""
        start, stop = self.interval
        return samples / (stop - start) / 2


class Images(Entry):
    """What all image data sets share. Inputs are centred and scaled by the training part, targets are one-hot."""

    limit: PositiveInt | None = None
    """Stratified subset of the training images; all of them when left out."""
    test_limit: PositiveInt | None = None
    """The same for the test images."""
    pool: PositiveInt = 1
    """Average over pool x pool pixels: 2 turns 28 x 28 into 14 x 14."""
    validation_limit: PositiveInt | None = None
    """Stratified part of the training images set aside for choosing when to stop; none when left out."""
    label_noise: Real = Field(0.0, ge=0, le=1)
    """Fraction of the training and validation labels replaced by random ones."""
    shuffle_labels: bool = False
    """Deal the labels out at random: same images, same classes, nothing to generalize."""
    seed: Seed = 0
    """Draws the subsets, the digits' test part, the noise and the shuffle."""


class Digits(Images):
    """scikit-learn's 1,797 handwritten digits, 8 x 8; a fifth of them is the test part."""

    kind: Literal["digits"]


class Downloaded(Images):
    """An image data set that is downloaded once, or taken from a local folder."""

    path: str | None = None
    """Folder with the original files; left out, the usual places are looked at, then the mirrors."""
    mirrors: list[str] | None = None
    """Base addresses to download from, tried in order, instead of the built-in ones."""
    optional: bool = False
    """Leave out what needs this data set when its files are not on this machine, instead of downloading them."""


class FashionMnist(Downloaded):
    """Fashion-MNIST (Xiao, Rasul, Vollgraf; arXiv:1708.07747): 60,000 + 10,000 grey images, 28 x 28."""

    kind: Literal["fashion_mnist"]


class Mnist(Downloaded):
    """MNIST (LeCun, Cortes, Burges): 60,000 + 10,000 grey images, 28 x 28."""

    kind: Literal["mnist"]


class Cifar10(Downloaded):
    """CIFAR-10, binary version (Krizhevsky, 2009): 50,000 + 10,000 colour images, 32 x 32."""

    kind: Literal["cifar10"]


class Parity(Entry):
    """Product of `bits` of the `dimensions` signs of an input: all of {-1, 1}^dimensions, parted in two."""

    kind: Literal["parity"]
    dimensions: Integer = Field(10, ge=2, le=16)
    bits: PositiveInt | None = None
    """How many bits the target depends on; all of them when left out."""
    train_fraction: Real = Field(0.5, gt=0, lt=1)
    seed: Seed = 0
    """Draws the training part."""

    @model_validator(mode="after")
    def _consistent(self):
        if self.bits and self.bits > self.dimensions:
            raise ValueError(f"bits {self.bits} exceeds dimensions {self.dimensions}; lower it")
        return self


class Photograph(Entry):
    """Grey value of a photograph at a point: scikit-learn's sample images, cut to a square, as a regression."""

    kind: Literal["photograph"]
    image: Literal["china", "flower"] = "china"
    size: Integer = Field(48, ge=8, le=256)
    """Pixels per side, after averaging."""
    fourier_scale: PositiveFloat | None = None
    """Random Fourier features of this scale (cycles per image; Tancik et al. 2020) instead of plain coordinates."""
    fourier_features: Units = 64
    """How many frequencies are drawn."""
    seed: Seed = 0


class OwnDataset(Entry):
    """A data set of one's own: a function (**options) -> xarray.Dataset of the dataset contract."""

    kind: OwnPart
    """`package.module:function`."""
    options: dict[str, Any] = {}
    inputs: list[FilePath] = []
    """The files that the function reads, by their path from the working directory: when one of them is exchanged, what
    was made of it is made again."""


def _tagged(own: type, *entries: type):
    """One of the entries, by `kind`; a kind with a colon is one's own."""

    def tag(raw):
        kind = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
        return "own" if isinstance(kind, str) and parts.is_own(kind) else kind

    kinds = {entry.model_fields["kind"].annotation.__args__[0]: entry for entry in entries}
    union = Annotated[own, Tag("own")]
    for kind, entry in kinds.items():
        union = union | Annotated[entry, Tag(kind)]
    return Annotated[union, Discriminator(tag)]


Dataset = _tagged(OwnDataset, Sines, Digits, FashionMnist, Mnist, Cifar10, Parity, Photograph)


# --- models ---------------------------------------------------------------------------------------------------------


class Network(Entry):
    """What all networks share."""

    activation: Activation = "tanh"
    initialization: Literal["scaled", "gaussian", "xavier", "he"] = "scaled"
    """`scaled`: weights N(0, 1/fan_in), biases N(0, 1); `gaussian`: all N(0, std^2), the paper's choice; `xavier`
    (Glorot, Bengio 2010) and `he` (He et al. 2015): normal weights, zero biases."""
    std: PositiveFloat = 0.1
    """Standard deviation of `gaussian`; the others have their own."""


class Mlp(Network):
    """Fully connected network; images are flattened."""

    kind: Literal["mlp"]
    widths: list[Units] = [64, 64, 64]
    """Units of each hidden layer."""


class Cnn(Network):
    """Convolutions of stride 2, then fully connected layers."""

    kind: Literal["cnn"]
    channels: list[Units] = Field([8, 16], min_length=1)
    """Channels of each convolution; each halves the image."""
    kernel: Kernel = 3
    widths: list[Units] = [64]
    """Units of each fully connected hidden layer after the convolutions."""


class ResidualMlp(Network):
    """x <- x + activation(W x + b), between a linear layer in and one out."""

    kind: Literal["residual_mlp"]
    width: Units = 64
    blocks: Integer = Field(4, gt=0, le=1000)


class ResidualCnn(Network):
    """A convolution of stride 2, residual blocks of two convolutions, a linear layer."""

    kind: Literal["residual_cnn"]
    channels: Units = 8
    blocks: Integer = Field(2, gt=0, le=1000)
    kernel: Kernel = 3


class OwnModel(Entry):
    """A model of one's own: a function (features, outputs, **options) -> torch.nn.Module."""

    kind: OwnPart
    """`package.module:function`."""
    options: dict[str, Any] = {}


Model = _tagged(OwnModel, Mlp, ResidualMlp, Cnn, ResidualCnn)


# --- training and record --------------------------------------------------------------------------------------------


class Training(Entry):
    """How an ensemble is trained. All members of a variant train together and differ by their seed alone."""

    optimizer: Optimizer = "adam"
    """`sgd` without a batch size is gradient descent. One's own: (parameters, learning_rate) -> torch optimizer."""
    learning_rate: PositiveFloat = 1e-3
    momentum: Real = Field(0.0, ge=0, lt=1)
    """Of `sgd`."""
    nesterov: bool = False
    """Nesterov's momentum instead of the classical one."""
    batch_size: PositiveInt | None = None
    """Samples per update, drawn without replacement in each epoch; all of them when left out."""
    loss: Loss = "mse"
    """One's own: a function (output, target) -> loss of each member."""
    steps: PositiveInt = 3000
    """Parameter updates. More of them continue from the last checkpoint."""
    members: Units = 10
    """Networks in the ensemble, one per seed."""
    seed_offset: Seed = 1000
    """Seed of the first member; the next ones count up. Keep off the data sets' seeds: equal ones share a stream."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Integer = Field(1, gt=0, le=1024)
    """CPU threads of the job, which share its members, or the work on each. No result depends on their number."""

    @model_validator(mode="after")
    def _momentum_needs_sgd(self):
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum goes with optimizer: sgd, not {self.optimizer}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Record(Entry):
    """When, and on which samples, predictions are written down."""

    per_decade: Integer = Field(50, ge=1, le=90)
    """Recorded steps per factor of ten, log-spaced, rounded to two digits; step 0 is always recorded."""
    split: Literal["train", "test", "all"] = "train"
    """The samples whose predictions are kept and decomposed; `all` is training, then test samples."""
    content: Literal["predictions", "spectrum"] = "predictions"
    """`spectrum`: only what `projection` makes of the predictions is kept, computed some samples at a time while they
    are made: for predictions too large to keep. Losses, one's own too, are then means over these parts."""


# --- decomposition --------------------------------------------------------------------------------------------------


class Passage(Entry):
    """When a frequency counts as captured."""

    threshold: Fraction = 0.2
    """A frequency is captured when its relative error falls below this."""
    hold: Fraction = 0.05
    """`hold_passage`: the error stays below the threshold for this fraction of the records."""


class Fft(Passage):
    """Discrete Fourier transform on the uniform grid of a one-dimensional input."""

    frequencies: Annotated[list[PositiveFloat], Field(min_length=1)] | None = None
    """Cycles per unit of x to follow; left out, the peaks of the target's spectrum."""
    peak_height: Fraction = 0.1
    """A peak reaches this fraction of the largest target amplitude."""


class Projection(Passage):
    """Non-uniform Fourier transform along the first principal component of the inputs."""

    frequencies: Annotated[list[Units], Field(min_length=1)] | None = None
    """Cycles over the extent of the data along p to follow; left out, those above the permutation floor."""
    max_frequency: Units = 20
    permutations: Integer = Field(200, ge=20, le=10**5)
    """Label permutations behind the 95% floor."""

    @property
    def highest_frequency(self) -> int:
        return max([self.max_frequency, *(self.frequencies or [])])


class Filtering(Entry):
    """Gaussian low-pass filter in input space, for a range of widths."""

    widths: list[FilterWidth] = Field([0.12, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5], min_length=1)
    """Kernel widths in units of the median distance between inputs."""
    null_draws: Integer = Field(8, gt=0, le=10**4)
    """White-noise errors and permutations behind the controls."""


class Walsh(Entry):
    """Walsh-Hadamard transform over all sign vectors, for parity (with `record.split: all`)."""


class Radial(Passage):
    """Two-dimensional Fourier transform of an image under a Hann window, error by ring of |k|."""

    rings: Integer = Field(8, ge=2, le=1000)
    """Rings of equal width up to the Nyquist frequency."""


class Ntk(Entry):
    """Decay rate of each Fourier mode, measured and predicted by the neural tangent kernel at initialization."""

    modes: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    """Cycles per turn of the circle; left out, the target's frequencies."""


MEASURES = {
    "fft": Fft,
    "projection": Projection,
    "filtering": Filtering,
    "walsh": Walsh,
    "radial": Radial,
    "ntk": Ntk,
}
Measure = Literal[tuple(MEASURES)]
# Which data sets a measure suits; one's own may take any.
SUITS = {
    "fft": (Sines,),
    "ntk": (Sines,),
    "projection": (Images,),
    "filtering": (Images,),
    "walsh": (Parity,),
    "radial": (Photograph,),
}


class Decomposition(Entry):
    """The measures taken of an experiment, each with its parameters (`{}` takes the defaults)."""

    fft: Fft | None = None
    projection: Projection | None = None
    filtering: Filtering | None = None
    walsh: Walsh | None = None
    radial: Radial | None = None
    ntk: Ntk | None = None

    @model_validator(mode="after")
    def _any(self):
        if not self.measures:
            raise ValueError(f"names no measure; give at least one of {', '.join(MEASURES)}")
        return self

    @property
    def measures(self) -> dict[str, Entry]:
        return {name: getattr(self, name) for name in MEASURES if getattr(self, name) is not None}


# --- experiments, claims, figures -----------------------------------------------------------------------------------


class Experiment(Entry):
    """A data set, a model and a recipe; with `sweep`, one variant for each point of the grid."""

    dataset: str
    model: Model
    training: Training = Training()
    record: Record = Record()
    decomposition: Decomposition
    sweep: dict[str, list[Any] | dict[Name, Any]] = {}
    """Dotted keys of this experiment to the values they take: a list, or named values (`{small: ..., large: ...}`).
    A mapping is laid over the experiment's own; one of another `kind` takes its place."""


Statistic = Literal[tuple(STATISTIC_MEASURES)]
# Those that a measure computes under the nulls, too. A control needs all that its statistic is taken of: else it would
# be the difference of a number to itself.
CONTROLLED = {
    "projection": ("first_passage", "hold_passage", "area"),
    "filtering": ("low_error", "high_error"),
}


class Bound(Entry):
    """Where a statistic must lie: `{at_least: 0.8}` or `{at_most: 0.1}`."""

    at_least: Finite | None = None
    at_most: Finite | None = None

    @model_validator(mode="after")
    def _one(self):
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either at_least or at_most")
        return self


class Claim(Entry):
    """A sentence of the paper, made measurable. The bound is set before the run."""

    statement: str
    source: str
    """Section or figure of the paper."""
    experiment: str
    variants: list[str] = ["*"]
    """The variants it is about, by shell patterns (`activation~relu*`)."""
    measure: Measure
    statistic: Statistic
    bound: Bound
    """On the statistic; with a control, on the statistic less its control."""
    control: Null | None = None
    """The null on which the same statistic is taken."""
    why_not: str | None = None
    """One sentence, where the claim was seen to fail: why. Shown with a verdict of `does not hold`, and only there."""


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


# The kinds of figures and the measures whose spectra they show; `claims` is drawn from the claims.
FIGURE_MEASURES = {
    "synthetic": ("fft",),
    "animation": ("fft",),
    "order": ("fft", "projection"),
    "structures": ("fft", "projection"),
    "initialization": ("fft",),
    "amplitudes": ("fft",),
    "projection": ("projection",),
    "filtering": ("filtering",),
    "early_stopping": ("fft", "projection"),
    "generalization": ("walsh", "projection"),
    "natural_image": ("radial",),
    "theory": ("ntk",),
    "claims": (),
}


class Figure(Entry):
    """A picture of one experiment or several, all their variants side by side."""

    kind: Literal[tuple(FIGURE_MEASURES)]
    experiment: str | list[str] = []
    style: Style = Style()

    @property
    def experiments(self) -> list[str]:
        return [self.experiment] if isinstance(self.experiment, str) else self.experiment

    @model_validator(mode="after")
    def _shows_something(self):
        if FIGURE_MEASURES[self.kind] and not self.experiments:
            raise ValueError("experiment is missing; say what to draw")
        return self


class Dask(Entry):
    """Where predictions larger than memory are decomposed. Changes no result, so that nothing is made again for it."""

    address: Annotated[str, Field(pattern=r"^(tcp|tls)://[^/\s]+:\d+$")]
    """Of a running dask.distributed scheduler, `tcp://host:port`, whose workers see the same files."""


class Config(Entry):
    """fpkit: data sets, experiments on them, the claims judged by them and the figures drawn from them."""

    datasets: dict[Name, Dataset] = Field(min_length=1)
    experiments: dict[Name, Experiment] = Field(min_length=1)
    claims: dict[Name, Claim] = {}
    figures: dict[Name, Figure] = {}
    dask: Dask | None = None
    """Left out, every decomposition computes in its own process."""


# --- loading --------------------------------------------------------------------------------------------------------


def read_yaml(path: str | Path) -> dict:
    """The mapping in a YAML file.

    Raises ConfigError naming the file, and the line where it is broken or repeats a key.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            content = yaml.load(stream, Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).split("\n")[0] or type(error).__name__
        raise ConfigError([f"{path}{line}: broken YAML: {what}"]) from error
    if not isinstance(content, dict):
        raise ConfigError([f"{path}: holds no mapping; give datasets:, experiments:, claims:, figures:"])
    if "__use_yte__" in content:
        raise ConfigError([f"{path}: __use_yte__ runs code that stands in a configuration; leave it out"])
    _check_extent(content, str(path))
    return _with_numbers(content)


def merged(*layers: dict) -> dict:
    """Configurations laid over one another, the last on top: mappings merge, all else is replaced.

    A data set or a model of another `kind` takes the place of the one below, so that it starts from its own defaults.
    """
    result: dict = {}
    for layer in layers:
        for table, entries in layer.items():
            result[table] = _laid_over(result.get(table), entries, tagged=table in ("datasets", "experiments"))
    return result


def _laid_over(below: Any, above: Any, tagged: bool) -> Any:
    if not isinstance(above, dict):
        return copy.deepcopy(above)
    kinds = [node.get("kind") if isinstance(node, dict) else None for node in (below, above)]
    if not isinstance(below, dict) or (tagged and all(isinstance(kind, str) for kind in kinds) and len({*kinds}) > 1):
        below = {}
    changed = {key: _laid_over(below.get(key), value, tagged and key != "options") for key, value in above.items()}
    return below | changed


def load(raw: dict) -> Config:
    """Check a parsed configuration as a whole. What is set to null, by an overlay, is left out.

    Raises ConfigError with all problems found, one line each.
    """
    _check_extent(raw, "config")
    try:
        raw = _without_null_entries(
            json.loads(json.dumps(raw, default=str))
        )  # plain dicts, whatever the YAML reader made
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError([f"config: {str(error).lower()}; write plain mappings, lists and values"]) from error
    problems, config = [], None
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        problems += [_line(problem, Config) for problem in error.errors()]
    problems += _dangling_names(raw)
    if config is not None and not problems:
        for table in ("datasets", "experiments", "figures"):
            problems += _case_problems(table, getattr(config, table))
        for name, experiment in config.experiments.items():
            problems += _experiment_problems(config, name, experiment)
        problems = problems or _measure_problems(config)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return config


@dataclass(frozen=True)
class Variant:
    """One point of an experiment's sweep, resolved: one training job.

    `name` says the point (`activation~relu+learning_rate~0.1`), or is `base` without a sweep. It has no comma, since
    Snakemake cannot send a job to a cluster with one in a wildcard. The rest are plain dictionaries with sorted keys.
    """

    experiment: str
    name: str
    dataset: str
    model: dict
    training: dict
    record: dict
    decomposition: dict


def variants(config: Config) -> list[Variant]:
    """All variants of all experiments, in the order of the configuration."""
    return [variant for name in config.experiments for variant in _unfold(config, name)]


def plain(entry: BaseModel | Any) -> Any:
    """Builtin types with sorted keys, for anything in the configuration."""
    if isinstance(entry, BaseModel):
        entry = entry.model_dump(mode="json")
    if isinstance(entry, dict):
        return {key: plain(entry[key]) for key in sorted(entry)}
    return [plain(item) for item in entry] if isinstance(entry, list) else entry


def json_schema() -> str:
    """The JSON schema of `config.yaml`, for editors."""
    return json.dumps(Config.model_json_schema(), indent=1) + "\n"


def _check_extent(content: Any, where: str) -> None:
    """Raises ConfigError where content unfolds to more than a configuration needs: by aliases to aliases, say."""
    left, pending = LARGEST, [(content, 0)]
    while pending:
        node, depth = pending.pop()
        if isinstance(node, dict):
            inner = [*node, *node.values()]
        else:
            inner = node if isinstance(node, list | tuple | set) else ()
        left -= len(node) if isinstance(node, str | bytes) else len(inner)
        if left < 0:
            raise ConfigError(
                [f"{where}: unfolds to more than {LARGEST:,} parts and letters; write less, or fewer aliases"]
            )
        if depth > DEEPEST:
            raise ConfigError([f"{where}: is nested more than {DEEPEST} deep, or within itself; write it flatter"])
        pending += [(child, depth + 1) for child in inner]


class _Exponent(str):
    """A number that YAML 1.1 takes for text: `1e4`. Not everybody who asks for text (a name) wants it as a number."""


def _with_numbers(node: Any, options: bool = False) -> Any:
    """The same with each `_Exponent` as plain text; within options of one's own, which nobody here knows, as a number,
    an integer if it is one.
    """
    if isinstance(node, dict):
        return {str(key): _with_numbers(value, options or key == "options") for key, value in node.items()}
    if isinstance(node, list):
        return [_with_numbers(item, options) for item in node]
    if not isinstance(node, _Exponent):
        return node
    number = float(node)
    return (int(number) if number.is_integer() else number) if options else str(node)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML without silent overwriting: a key given twice in one mapping is an error."""

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # `!!bool x`, say
            what = f"{node.value!r:.60} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error

    def construct_mapping(self, node, deep=False):
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "a mapping belongs here", node.start_mark)
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain name", key_node.start_mark)
            if key_node.value in seen and key_node.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_UniqueKeyLoader.add_implicit_resolver("tag:fpkit,exponent", re.compile(rf"^(?:{EXPONENT})$"), list("-+.0123456789"))
_UniqueKeyLoader.add_constructor("tag:fpkit,exponent", lambda loader, node: _Exponent(loader.construct_scalar(node)))


# --- sweeps ---------------------------------------------------------------------------------------------------------


def _unfold(config: Config, name: str) -> list[Variant]:
    experiment = config.experiments[name]
    resolved = []
    for label, point in _points(experiment):
        base = Experiment.model_validate(_lay_over(plain(experiment) | {"sweep": {}}, point))
        fields = {field: plain(getattr(base, field)) for field in ("model", "training")}
        fields["record"] = _resolved_record(base)
        measures = plain(base.decomposition.measures)
        resolved.append(Variant(name, label, base.dataset, **fields, decomposition=measures))
    return resolved


def _resolved_record(experiment: Experiment) -> dict:
    """`record`, with the number of `frequencies` to record in place of its content, if that is their spectrum."""
    record = plain(experiment.record)
    if record.pop("content") == "spectrum":
        record = {"frequencies": experiment.decomposition.projection.highest_frequency} | record
    return record


def _points(experiment: Experiment) -> list[tuple[str, dict[str, Any]]]:
    """(name, {dotted key: value}) of every point of the sweep."""
    keys = list(experiment.sweep)
    short = [key.rsplit(".", 1)[-1] for key in keys]
    titles = [last if short.count(last) == 1 else key for key, last in zip(keys, short, strict=True)]
    axes = [
        list(values.items()) if isinstance(values, dict) else [(_slug(value), value) for value in values]
        for values in experiment.sweep.values()
    ]
    return [
        (
            "+".join(f"{title}~{label}" for title, (label, _) in zip(titles, point, strict=True)) or "base",
            {key: value for key, (_, value) in zip(keys, point, strict=True)},
        )
        for point in itertools.product(*axes)
    ]


def _slug(value: Any) -> str:
    """A value as part of a file name: `0.001`, `relu`, `64-64`, also where YAML read 1e-3 as text."""
    if isinstance(value, list):
        return "-".join(_slug(item) for item in value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lay_over(experiment: dict, point: dict[str, Any]) -> dict:
    """The experiment with the point's values at their dotted keys; `model` comes before `model.widths`, its `kind`
    before both: another one starts from its own defaults.
    """
    result = copy.deepcopy(experiment)
    for key, value in sorted(point.items(), key=lambda item: (item[0].count("."), not item[0].endswith(".kind"))):
        *parents, last = key.split(".")
        node = result
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):  # which its validation tells
                break
        else:
            if last == "kind" and value != node.get("kind"):
                node.clear()
            node[last] = _laid_over(node.get(last), value, tagged="options" not in parents)
    return _without_nulls(result)


# --- problems, each in one line -------------------------------------------------------------------------------------


def _experiment_problems(config: Config, name: str, experiment: Experiment) -> list[str]:
    problems = []
    for key, values in experiment.sweep.items():
        if key.split(".")[0] == "sweep":
            problems.append(f"experiments.{name}.sweep.{key}: a sweep cannot sweep itself; name the key it is about")
            continue
        if isinstance(values, list) and any(isinstance(value, dict) for value in values):
            problems.append(
                f"experiments.{name}.sweep.{key}: give the mappings names: {{first: {{...}}, second: {{...}}}}"
            )
        if not values:
            problems.append(f"experiments.{name}.sweep.{key}: names no value; give at least one")
        if _node(Experiment, key.split("."))[1] is None:
            allowed = list(Experiment.model_fields)
            parent, _, last = key.rpartition(".")
            schema, node = _node(Experiment, parent.split(".")) if parent else (None, None)
            if node is not None:
                allowed = _keys(schema, node)
            problems.append(f"experiments.{name}.sweep.{key}: {_unknown('key', last, allowed)}")
    count = math.prod(len(values) for values in experiment.sweep.values())
    if count > MOST_VARIANTS:
        problems.append(
            f"experiments.{name}.sweep: unfolds to {count:,} variants; {MOST_VARIANTS:,} at most, sweep less"
        )
    if problems:
        return problems
    points = _points(experiment)
    problems += _case_problems(f"experiments.{name}.sweep", [label for label, _ in points])
    labels, contents = set(), {}
    for label, point in points:
        if label in labels:
            problems.append(f"experiments.{name}.sweep: two variants are called {label!r}; give the values names")
        if not re.fullmatch(r"[A-Za-z0-9_.+~-]+", label):
            problems.append(f"experiments.{name}.sweep: {label!r} is no file name; give the values names")
        if len(label) > LONGEST_VARIANT:
            problems.append(
                f"experiments.{name}.sweep: {label!r} is longer than {LONGEST_VARIANT} letters; give the values names"
            )
        labels.add(label)
        try:
            variant = Experiment.model_validate(_lay_over(plain(experiment) | {"sweep": {}}, point))
        except ValidationError as error:
            problems += [_line(problem, Experiment, f"experiments.{name}.sweep.") for problem in error.errors()]
            continue
        twin = contents.setdefault(json.dumps(plain(variant)), label)
        if twin != label:
            problems.append(f"experiments.{name}.sweep: {twin!r} and {label!r} are the same; drop one")
        where = f"experiments.{name}" if label == "base" else f"experiments.{name}.sweep ({label})"
        problems += _suitability_problems(config, variant, where)
    return problems


def _case_problems(where: str, names: Iterable[str]) -> list[str]:
    """Names of files that some file systems take for one."""
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault(name.lower(), set()).add(name)
    return [
        f"{where}: {' and '.join(map(repr, sorted(several)))} differ in case alone, which some file systems ignore;"
        " rename one"
        for several in alike.values()
        if len(several) > 1
    ]


def _suitability_problems(config: Config, experiment: Experiment, where: str) -> list[str]:
    """What the data set, the model and the measures make of each other."""
    if experiment.dataset not in config.datasets:
        return [f"{where}.dataset: {_unknown('dataset', experiment.dataset, config.datasets)}"]
    dataset = config.datasets[experiment.dataset]
    problems = [
        f"{where}.decomposition.{measure}: needs predictions; set record.content to predictions, or leave it out"
        for measure in experiment.decomposition.measures
        if experiment.record.content == "spectrum" and measure != "projection"
    ]
    if isinstance(dataset, OwnDataset):
        return problems
    if isinstance(experiment.model, Cnn | ResidualCnn) and not isinstance(dataset, Images):
        problems.append(
            f"{where}.model: {experiment.model.kind} needs images, {experiment.dataset!r} has none; use mlp"
        )
    if experiment.training.loss == "cross_entropy" and not isinstance(dataset, Images):
        problems.append(f"{where}.training.loss: cross_entropy needs classes, {experiment.dataset!r} has none; use mse")
    suited = [measure for measure, kinds in SUITS.items() if isinstance(dataset, kinds)]
    for measure in experiment.decomposition.measures:
        if measure not in suited:
            use = " or ".join(suited)
            problems.append(f"{where}.decomposition.{measure}: does not suit {experiment.dataset!r}; use {use}")
    if experiment.decomposition.walsh and experiment.record.split != "all":
        problems.append(f"{where}.record.split: walsh needs all, not {experiment.record.split}")
    if experiment.decomposition.radial and experiment.record.split == "test":
        problems.append(f"{where}.record.split: radial needs train, not test")
    if isinstance(dataset, Sines) and not problems:
        problems += _grid_problems(dataset, experiment, where)
    return problems


def _grid_problems(dataset: Sines, experiment: Experiment, where: str) -> list[str]:
    """Frequencies that the recorded samples cannot tell from lower ones."""
    split, fft, ntk = experiment.record.split, experiment.decomposition.fft, experiment.decomposition.ntk
    problems = []
    if fft and split == "all":
        problems.append(f"{where}.record.split: fft needs train or test, not all")
    elif fft:
        samples = dataset.samples if split == "train" else dataset.test_samples
        nyquist = dataset.nyquist(samples)
        limit = f"the Nyquist frequency {nyquist:g} of the {samples} {split} samples of {experiment.dataset!r}"
        if max(dataset.frequencies) >= nyquist:
            problems.append(
                f"{where}.record.split: frequency {max(dataset.frequencies):g} is not below {limit}; raise test_samples"
            )
        if max(fft.frequencies or [0]) > nyquist:
            problems.append(
                f"{where}.decomposition.fft.frequencies: {max(fft.frequencies):g} is beyond {limit}; lower it"
            )
    if ntk:
        training = experiment.training
        wants = {
            "record.split": (split, "train"),
            f"dataset ({experiment.dataset!r}).embedding": (dataset.embedding, "circle"),
            "training.optimizer": (training.optimizer, "sgd"),
            "training.momentum": (training.momentum, 0),
            "training.loss": (training.loss, "mse"),
            "training.batch_size": (
                training.batch_size if (training.batch_size or math.inf) < dataset.samples else None,
                None,
            ),
        }
        problems += [
            f"{where}.{key}: ntk needs {'none' if needed is None else needed}, not {given}"
            for key, (given, needed) in wants.items()
            if given != needed
        ]
    if ntk and ntk.modes and max(ntk.modes) > (highest := (dataset.samples - 1) // 2):
        problems.append(
            f"{where}.decomposition.ntk.modes: {max(ntk.modes)} is beyond {highest}, what {dataset.samples} samples"
            " on the circle allow; lower it"
        )
    return problems


def _without_nulls(node: Any, levels: int = DEEPEST) -> Any:
    """An entry without the keys that are null, so many levels deep: by them an overlay brings back defaults, and takes
    out axes and points of a sweep. What a point lays over its experiment keeps its nulls until then, and what options
    of one's own say is for their function.
    """
    if not isinstance(node, dict) or levels == 0:
        return node
    below = {"options": 0, "sweep": 2}
    return {
        key: _without_nulls(value, min(levels - 1, below.get(key, DEEPEST)))
        for key, value in node.items()
        if value is not None
    }


def _without_null_entries(raw: dict) -> dict:
    """The same of a whole configuration, whose tables and entries may be null, too."""
    return {
        table: {name: _without_nulls(entry) for name, entry in entries.items() if entry is not None}
        if isinstance(entries, dict)
        else entries
        for table, entries in raw.items()
        if entries is not None
    }


def _dangling_names(raw: dict) -> list[str]:
    """References to entries that do not exist, also where other entries are broken."""
    tables = {key: raw.get(key) if isinstance(raw.get(key), dict) else {} for key in Config.model_fields}
    problems = []
    for table, field, target in (
        ("experiments", "dataset", "datasets"),
        ("claims", "experiment", "experiments"),
        ("figures", "experiment", "experiments"),
    ):
        for name, entry in tables[table].items():
            value = entry.get(field) if isinstance(entry, dict) else None
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, str) and reference not in tables[target]:
                    problems.append(f"{table}.{name}.{field}: {_unknown(field, reference, tables[target])}")
    return problems


def _measure_problems(config: Config) -> list[str]:
    """Claims about nothing, and claims and figures that need what their experiment does not have."""
    problems = []
    unfolded = {name: _unfold(config, name) for name in config.experiments}
    for name, claim in config.claims.items():
        variants = unfolded[claim.experiment]
        for pattern in claim.variants:
            if not any(fnmatchcase(variant.name, pattern) for variant in variants):
                known = [variant.name for variant in variants]
                problems.append(f"claims.{name}.variants: {_unknown('variant', pattern, known)}")
        chosen = [v for v in variants if any(fnmatchcase(v.name, pattern) for pattern in claim.variants)]
        needs = f"claims.{name}.statistic: {claim.statistic} needs"
        problems += _lacking(config, chosen, STATISTIC_ARRAYS[claim.statistic], needs)
        measures = STATISTIC_MEASURES[claim.statistic]
        if claim.measure not in measures:
            problems.append(f"claims.{name}.measure: {claim.statistic} is a statistic of {' and '.join(measures)}")
        elif claim.control and not set(STATISTIC_ARRAYS[claim.statistic]) <= set(CONTROLLED.get(claim.measure, ())):
            problems.append(
                f"claims.{name}.control: {claim.measure} computes no control of {claim.statistic}; leave it out, or use"
                f" a statistic of {' or '.join(CONTROLLED)}"
            )
    wants = [(f"claims.{name}", claim.experiment, (claim.measure,)) for name, claim in config.claims.items()]
    for name, figure in config.figures.items():
        if figure.kind == "early_stopping":
            shown = [variant for experiment in figure.experiments for variant in unfolded[experiment]]
            problems += _lacking(config, shown, ("loss_validation",), f"figures.{name}.kind: {figure.kind} needs")
        wants += [(f"figures.{name}", experiment, FIGURE_MEASURES[figure.kind]) for experiment in figure.experiments]
    for where, experiment, measures in wants:
        lacking = any(not set(measures) & set(variant.decomposition) for variant in unfolded[experiment])
        if measures and lacking:
            needed = f"experiments.{experiment}.decomposition.{' or .'.join(measures)}"
            problems.append(f"{where}: needs {needed}, which is not there; add it")
    return problems


def _lacking(config: Config, variants: list[Variant], arrays: Iterable[str], needs: str) -> list[str]:
    """What these variants' data sets are known to lack for these arrays; of one's own nothing is known."""
    problems = []
    for variant in variants:
        dataset = config.datasets[variant.dataset]
        known = not isinstance(dataset, OwnDataset)
        samples = {
            "validation": _has_validation(dataset),
            "test": not isinstance(dataset, Sines) or dataset.test_samples,
        }
        problems += [
            f"{needs} {part} samples; give datasets.{variant.dataset} some"
            for part, there in samples.items()
            if known and f"loss_{part}" in arrays and not there
        ]
        if known and "clean_amplitude" in arrays and variant.record["split"] != "train":
            problems.append(
                f"{needs} the target without its noise, known on the train samples alone; set"
                f" experiments.{variant.experiment}.record.split to train"
            )
    return sorted(set(problems))


def _has_validation(dataset: Entry) -> bool:
    """Whether samples are set aside."""
    if isinstance(dataset, Sines | Images):
        return bool(dataset.validation_samples if isinstance(dataset, Sines) else dataset.validation_limit)
    return False


def _line(problem: dict, root: type[BaseModel], prefix: str = "") -> str:
    """One pydantic error as `path: what is wrong; did you mean ...? allowed: ...`."""
    kind, given = problem["type"], problem["input"]
    location, schema_node = _path(root, problem["loc"])
    where = prefix + ".".join(location) if location else prefix.rstrip(".") or "config"
    if kind == "extra_forbidden":
        return f"{where}: {_unknown('key', location[-1], _keys(*schema_node))}"
    if kind == "missing":
        return f"{where}: is missing; give it"
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"]) or [problem["ctx"]["expected"]]
        return f"{where}: {_unknown('', given, allowed)}"
    if kind == "unknown_part":
        return f"{where}: {_unknown('', given, problem['ctx']['allowed'])}"
    if kind == "union_tag_invalid":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected_tags"].replace("'own'", "'package.module:name'"))
        return f"{where}.kind: {_unknown('', problem['ctx']['tag'], allowed)}"
    if kind == "union_tag_not_found":
        return f"{where}.kind: is missing; say which kind"
    if problem["loc"] and problem["loc"][-1] == "[key]":
        return f"{where}: {given!r} is no name; use letters, digits, '_', '+' and '-', 100 at most"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{where}: {message}" + ("" if kind == "value_error" else f", not {_shown(given)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown(what: str, given: Any, allowed) -> str:
    allowed = [str(option) for option in allowed]
    near = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what + ' ' if what else ''}{given!r}{hint} (allowed: {', '.join(allowed) or 'none'})"


@cache
def _schema(root: type[BaseModel]) -> dict:
    return root.model_json_schema()


def _path(root: type[BaseModel], loc: tuple) -> tuple[list[str], tuple[dict, dict]]:
    """A pydantic location without the union tags in it, and the schema node of the last part's parent."""
    schema = _schema(root)
    node, parent, shown = schema, schema, []
    for part in loc:
        if part == "[key]":
            break
        options = _options(schema, node)
        tagged = [option for option in options if _tag(option) == part]
        if tagged:
            node = tagged[0]
            continue
        if len(options) > 1 and not any(_child(option, part) for option in options):
            continue  # pydantic names the branch of a plain union (`list[float]`, `float`): no key of the user's
        shown.append(str(part) or "''")
        parent = next((option for option in options if _child(option, part)), options[0])
        node = _child(parent, part) or {}
    return shown, (schema, parent)


def _node(root: type[BaseModel], parts: list[str]) -> tuple[dict, dict | None]:
    """The root's schema and the node at dotted `parts` in any branch of its unions, or None."""
    schema = _schema(root)
    nodes = [schema]
    for part in parts:
        nodes = [child for node in nodes for option in _options(schema, node) if (child := _child(option, part))]
    return schema, {"anyOf": nodes} if nodes else None


def _options(schema: dict, node: dict) -> list[dict]:
    """The concrete branches of a schema node, references followed."""
    if "$ref" in node:
        return _options(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    branches = node.get("oneOf") or node.get("anyOf")
    return [option for branch in branches for option in _options(schema, branch)] if branches else [node]


def _child(node: dict, part: Any) -> dict | None:
    if isinstance(part, int):
        return node.get("items") or (node["prefixItems"][part] if part < len(node.get("prefixItems", [])) else None)
    if part in node.get("properties", {}):
        return node["properties"][part]
    extra = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
    return extra if isinstance(extra, dict) else None


def _tag(node: dict) -> str | None:
    kind = node.get("properties", {}).get("kind", {})
    return kind.get("const", "own" if kind and "enum" not in kind else None)


def _keys(schema: dict, node: dict) -> list[str]:
    """The keys a user may write in any branch of a schema node."""
    return list(dict.fromkeys(key for option in _options(schema, node) for key in option.get("properties", {})))


if __name__ == "__main__":  # the schema; or, of files named, the line that is broken
    try:
        for path in sys.argv[1:]:
            read_yaml(path)
        print(json_schema() if len(sys.argv) == 1 else "well-formed\n", end="")
    except ConfigError as error:
        sys.exit(str(error))
