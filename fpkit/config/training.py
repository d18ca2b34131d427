"""Networks, how they are trained, and what is written down of a training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fpkit import parts
from fpkit.config.fields import (
    Entry,
    Integer,
    Kernel,
    NonNegativeFloat,
    NonNegativeInt,
    OwnPart,
    PositiveFloat,
    PositiveInt,
    Real,
    Seed,
    Units,
    one_of,
    tagged,
)

Activation = one_of("tanh", "relu", "sigmoid", "softplus", "elu", "gelu", "silu", "sin", "gaussian", "ricker")
Optimizer = one_of("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta", "lbfgs")
Loss = one_of("mse", "mae", "huber", "cross_entropy")


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


class Transformer(Entry):
    """Self-attention over the patches of an image, or over the numbers of a vector, as the bits of parity."""

    kind: Literal["transformer"]
    patch: PositiveInt = 2
    """Pixels per side of the patches, which divides that of the images."""
    width: Units = 16
    """Numbers of each token."""
    heads: Units = 2
    layers: Integer = Field(1, gt=0, le=1000)
    activation: Activation = "gelu"
    """Of the hidden units, four times `width`, that follow the attention in each layer."""

    @model_validator(mode="after")
    def _heads_share_the_width(self):
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} do not divide width {self.width}; change one")
        return self


class OwnModel(Entry):
    """A model of one's own: a function (features, outputs, **options) -> torch.nn.Module."""

    kind: OwnPart
    """`package.module:function`."""
    options: dict[str, Any] = {}


Model = tagged(OwnModel, Mlp, ResidualMlp, Cnn, ResidualCnn, Transformer)


class Schedule(Entry):
    """What all schedules of the learning rate share."""

    warmup: NonNegativeInt = 0
    """Updates over which the learning rate rises to its full size, on a line."""


class Falling(Schedule):
    """A learning rate that falls, and then stays."""

    kind: Literal["cosine", "linear"]
    steps: PositiveInt
    """Updates until it has fallen, those of `warmup` among them; `training.steps` may be more, or fewer."""
    final: Real = Field(0.0, ge=0, le=1)
    """What is left of it then, as a share."""

    @model_validator(mode="after")
    def _some_are_left(self):
        if self.warmup >= self.steps:
            raise ValueError(f"warmup takes all {self.steps} steps; lower it, or raise steps")
        return self


class Steps(Schedule):
    """A learning rate that falls in steps."""

    kind: Literal["step"]
    every: PositiveInt
    """Updates from one to the next."""
    factor: Real = Field(0.1, gt=0, lt=1)
    """By which it is multiplied each time."""


# Optimizers of the package without a weight decay of their own, or whose line search needs the gradient as it is.
WITHOUT_DECAY = ("lbfgs",)


class Training(Entry):
    """How an ensemble is trained. All members of a variant train together and differ by their seed alone."""

    optimizer: Optimizer = "adam"
    """`sgd` without a batch size is gradient descent. One's own: (parameters, learning_rate) -> torch optimizer."""
    learning_rate: PositiveFloat = 1e-3
    momentum: Real = Field(0.0, ge=0, lt=1)
    """Of `sgd`."""
    nesterov: bool = False
    """Nesterov's momentum instead of the classical one."""
    schedule: Annotated[Falling | Steps, Field(discriminator="kind")] | None = None
    """How the learning rate changes; left out, it stays."""
    weight_decay: NonNegativeFloat | None = None
    """Of `adamw` decoupled, 0.01 where left out; of others a penalty, added to the gradient, none where left out."""
    clip_norm: PositiveFloat | None = None
    """Each network's gradient is scaled down to this norm where it is larger."""
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

    @model_validator(mode="after")
    def _optimizer_takes_it(self):
        for key in ("weight_decay", "clip_norm"):
            if getattr(self, key) is not None and (self.optimizer in WITHOUT_DECAY or parts.is_own(self.optimizer)):
                raise ValueError(f"{key} does not go with optimizer: {self.optimizer}; leave it out")
        return self


class Record(Entry):
    """When, and on which samples, predictions are written down."""

    per_decade: Integer = Field(50, ge=1, le=90)
    """Recorded steps per factor of ten, log-spaced, rounded to two digits; step 0 is always recorded."""
    split: Literal["train", "test", "all"] = "train"
    """The samples whose predictions are kept and decomposed; `all` is training, then test samples."""
    content: Literal["predictions", "spectrum"] = "predictions"
    """`spectrum`: only what the one measure of the experiment makes of the predictions is kept, coefficients along its
    basis, computed some samples at a time while they are made: for predictions too large to keep. Losses, one's own
    too, are then means over these parts."""
    parameters: bool = False
    """Keep the parameters at the end of the training, too: for the kernel that `ntk` then predicts rates from."""
