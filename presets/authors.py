"""The one-dimensional target of the authors' own code, as a data set: `kind: "presets.authors:target"`."""

from __future__ import annotations

import numpy as np
import xarray as xr

# Of sin x, sin 3x, sin 5x.
AMPLITUDES = {1: 1.0, 3: 2.0, 5: 3.0}


def target(samples: int = 101, start: float = -5.0, stop: float = 5.0) -> xr.Dataset:
    """y = sin x + 2 sin 3x + 3 sin 5x on points from start to stop, both among them; the network sees x as it is.

    Returns the data set contract, without test samples; `position_train (sample_train)` is x, too.
    """
    x = np.linspace(start, stop, samples)
    y = sum(amplitude * np.sin(turns * x) for turns, amplitude in AMPLITUDES.items())
    about = {
        "x": {"units": "1", "long_name": "x"},
        "y": {"units": "1", "long_name": "sin x + 2 sin 3x + 3 sin 5x"},
    }
    variables = {}
    for part, chosen in (("train", slice(None)), ("test", slice(0))):
        sample = f"sample_{part}"
        for name, dim, values in (("x", "feature", x), ("y", "output", y)):
            variables[f"{name}_{part}"] = ((sample, dim), values[chosen, None].astype(np.float32), about[name])
    position = ("sample_train", x, {"units": "unit of x", "long_name": "x"})
    return xr.Dataset(
        variables,
        {"position_train": position},
        {"kind": "authors", "source": "computed: y = sin x + 2 sin 3x + 3 sin 5x", "license": "none needed: computed"},
    )
