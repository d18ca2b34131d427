"""The compiled code as it is called from here: library.cpp, and what it can do by its own words."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from fpkit.training.compiled import compiler

SOURCE = Path(__file__).with_name("library.cpp")
PAD = 16  # numbers; rows of matrices are multiples of it


class Layer(ctypes.Structure):
    """As in network.hpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("units", "places", "runs", "length", "convolution")),
        ("taps", ctypes.c_void_p * 9),
        *((name, ctypes.c_int64) for name in ("skips", "activated")),
    )


class Chain(ctypes.Structure):
    """As in network.hpp."""

    _fields_ = (
        ("layer", ctypes.POINTER(Layer)),
        *((name, ctypes.c_int64) for name in ("layers", "features", "step")),
        *((name, ctypes.c_void_p) for name in ("activation", "loss")),
    )


class Encoder(ctypes.Structure):
    """As in encoder.hpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("tokens", "features", "width", "heads", "layers", "units")),
        *((name, ctypes.c_void_p) for name in ("activation", "loss")),
    )


class Update(ctypes.Structure):
    """As in updates.hpp."""

    _fields_ = (
        ("algorithm", ctypes.c_void_p),
        ("nesterov", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("momentum", "weight_decay", "clip_norm")),
    )

    @classmethod
    def of(cls, algorithm: dict) -> Update:
        """Of the arguments of `fpkit.training.algorithms.build`."""
        decay, norm = algorithm.get("weight_decay"), algorithm.get("clip_norm")
        return cls(
            entry("algorithm", algorithm["name"]), algorithm["nesterov"], algorithm["momentum"],
            -1 if decay is None else decay, norm or 0,
        )  # fmt: skip


class Evaluation(ctypes.Structure):
    """As in threads.hpp."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "y")),
        ("samples", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("output", "loss", "accuracy")),
    )


class Work(ctypes.Structure):
    """As in threads.hpp."""

    _fields_ = (
        ("how", ctypes.POINTER(Update)),
        ("members", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("parameter", "first", "second", "x", "y")),
        ("samples", ctypes.c_int64),
        ("order", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("order_row", "batch", "step", "steps")),
        ("rates", ctypes.c_void_p),
        ("evaluations", ctypes.POINTER(Evaluation)),
        *((name, ctypes.c_int64) for name in ("count", "teams", "share", "most")),
        ("memory", ctypes.c_void_p),
    )


# The kinds of networks, as the names of the functions begin.
KINDS = {"chain": Chain, "encoder": Encoder}


@cache
def loaded() -> ctypes.CDLL | None:
    """The compiled code, or None where it cannot be had. An empty environment variable CXX forbids it."""
    found = compiler.library(SOURCE, "fpkit.training.compiled.trial")
    return found and with_prototypes(found)


def with_prototypes(found: ctypes.CDLL) -> ctypes.CDLL:
    """A library that knows the types of its functions."""
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    for lookup in (found.activation, found.loss, found.algorithm):
        lookup.restype, lookup.argtypes = pointer, [ctypes.c_char_p]
    found.activations.restype, found.activations.argtypes = ctypes.c_char_p, []
    found.exactly.restype, found.exactly.argtypes = None, [*[pointer] * 3, number]
    found.buffers.restype, found.buffers.argtypes = ctypes.c_char_p, [ctypes.POINTER(Update)]
    for kind, network in KINDS.items():
        for name, more in (("parameters", []), ("workspace", [number]), ("advance", [ctypes.POINTER(Work)])):
            function = found[f"{kind}_{name}"]
            function.restype, function.argtypes = number, [ctypes.POINTER(network), *more]
            setattr(found, f"{kind}_{name}", function)
    return found


def knows(kind: str, name: str) -> bool:
    """Whether there is compiled code, and it has this `activation`, `loss` or `algorithm` of the configuration."""
    return loaded() is not None and getattr(loaded(), kind)(name.encode()) is not None


def entry(kind: str, name: str) -> int:
    """Where in compiled code this `activation`, `loss` or `algorithm` is; ValueError if it has none."""
    if not knows(kind, name):
        raise ValueError(f"compiled code has no {kind} {name!r}")
    return getattr(loaded(), kind)(name.encode())


def padded(numbers: int) -> int:
    """Of a row of so many numbers, with the zeros behind them."""
    return numbers + -numbers % PAD


def address(array) -> int | None:
    """Where an array's numbers are; None for None."""
    return None if array is None else array.ctypes.data
