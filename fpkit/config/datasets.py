"""Data sets: what may be asked of each kind, and what is known of its samples before they are made."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from fpkit.config.fields import (
    Entry,
    FilePath,
    Finite,
    Integer,
    NonNegativeFloat,
    NonNegativeInt,
    OwnPart,
    PositiveFloat,
    PositiveInt,
    Real,
    Seed,
    Units,
    tagged,
)
from fpkit.config.made_targets import MadeTarget

# Training samples, test samples, shape of an input, outputs.
Extent = tuple[int, int, tuple[int, ...], int]


class Samples(Entry):
    """What all data sets say of themselves."""

    @property
    def extent(self) -> Extent | None:
        """How much data there will be; None where nothing is known of it."""
        return None

    @property
    def classes(self) -> bool:
        """Whether the largest output is the class."""
        return False

    @property
    def one_hot(self) -> bool:
        """Whether targets are classes and nothing else, one-hot."""
        return False

    @property
    def lacks(self) -> list[str]:
        """The parts, of test and validation samples, that are known not to be there."""
        return ["validation"]


class Sines(Samples):
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

    @property
    def extent(self) -> Extent:
        return self.samples, self.test_samples, (2 if self.embedding == "circle" else 1,), 1

    @property
    def lacks(self) -> list[str]:
        parts = {"validation": self.validation_samples, "test": self.test_samples}
        return [part for part, samples in parts.items() if not samples]

    def nyquist(self, samples: int) -> float:
        """Of so many samples on the interval, in cycles per unit of x."""
        start, stop = self.interval
        return samples / (stop - start) / 2


class Images(Samples):
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
    """Draws the subsets, the digits' test part, the noise, the shuffle and what is random about a made target."""
    target: MadeTarget | None = None
    """A made target on these inputs; left out, the classes."""

    @model_validator(mode="after")
    def _labels_count(self):
        if self.target and self.target.strength is None:
            for key in ("label_noise", "shuffle_labels"):
                if getattr(self, key):
                    raise ValueError(f"{key} changes labels, which target replaces; give target a strength, or drop it")
        return self

    whole: ClassVar[tuple[int, int, int, int]]
    """Images for training, and for the test; channels, and pixels per side."""

    @property
    def extent(self) -> Extent:
        train, test, channels, side = self.whole
        shape = channels, side // self.pool, side // self.pool
        train -= self.validation_limit or 0
        return min(self.limit or train, train), min(self.test_limit or test, test), shape, 10 if self.classes else 1

    @property
    def classes(self) -> bool:
        return self.one_hot or self.target.strength is not None  # which is added to all outputs alike

    @property
    def one_hot(self) -> bool:
        return self.target is None

    @property
    def lacks(self) -> list[str]:
        return [] if self.validation_limit else ["validation"]


class Digits(Images):
    """scikit-learn's 1,797 handwritten digits, 8 x 8; a fifth of them is the test part."""

    kind: Literal["digits"]
    whole = (1437, 360, 1, 8)


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
    whole = (60_000, 10_000, 1, 28)


class Mnist(Downloaded):
    """MNIST (LeCun, Cortes, Burges): 60,000 + 10,000 grey images, 28 x 28."""

    kind: Literal["mnist"]
    whole = (60_000, 10_000, 1, 28)


class Cifar10(Downloaded):
    """CIFAR-10, binary version (Krizhevsky, 2009): 50,000 + 10,000 colour images, 32 x 32."""

    kind: Literal["cifar10"]
    whole = (50_000, 10_000, 3, 32)


class Parity(Samples):
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

    @property
    def extent(self) -> Extent:
        train = round(self.train_fraction * 2**self.dimensions)
        return train, 2**self.dimensions - train, (self.dimensions,), 1


class Photograph(Samples):
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
    target: MadeTarget | None = None
    """A made target on the coordinates, whatever the network sees of them; left out, the grey values."""

    @property
    def extent(self) -> Extent:
        return self.size**2, 0, (2 * self.fourier_features if self.fourier_scale else 2,), 1

    @property
    def lacks(self) -> list[str]:
        return ["validation", "test"]


class Own(Samples):
    """What data sets of the user's own share: nothing is known of them before they are read."""

    @property
    def lacks(self) -> list[str]:
        return []


class Arrays(Own):
    """Inputs and targets out of a file of one's own."""

    kind: Literal["arrays"]
    path: FilePath
    """`.npz` or netCDF (`.nc`) with arrays `x (sample, ...)` and `y (sample, ...)`, or `x_train`, `y_train` and the
    same for `test` and `validation`; `.csv` with a line of names; `.npy` with the inputs. From the working folder."""
    targets: str | list[str] | None = None
    """Of `.csv` the names of the columns that are targets, the last one where left out; of `.npy` the file of them."""
    labels: bool = False
    """Targets are classes, whole numbers from 0 on: they become one-hot."""
    scale: Literal["each", "all", "none"] = "each"
    """Inputs are centred by the training part and divided by the standard deviation of each, by one for `all`, as suits
    pixels, or left as they are."""
    test_fraction: Real = Field(0.0, ge=0, lt=1)
    """Set aside so much of the training part, at random, for the test."""
    seed: Seed = 0
    """Draws the test part."""

    @property
    def inputs(self) -> list[str]:
        """The files that are read."""
        of_targets = self.path.endswith(".npy") and isinstance(self.targets, str)
        return [self.path, self.targets] if of_targets else [self.path]

    @property
    def classes(self) -> bool:
        return self.labels

    @property
    def one_hot(self) -> bool:
        return self.labels


class OwnDataset(Own):
    """A data set of one's own: a function (**options) -> xarray.Dataset of the dataset contract."""

    kind: OwnPart
    """`package.module:function`."""
    options: dict[str, Any] = {}
    inputs: list[FilePath] = []
    """The files that the function reads, by their path from the working directory: when one of them is exchanged, what
    was made of it is made again."""


Dataset = tagged(OwnDataset, Arrays, Sines, Digits, FashionMnist, Mnist, Cifar10, Parity, Photograph)
