"""What the documents say of measures is what the code has: names, labels and defaults, against real spectra."""

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import run

from fpkit import config
from fpkit.config.datasets import Images, Photograph
from fpkit.config.measures import MEASURES
from fpkit.config.names import NULLS
from fpkit.config.statistics import STATISTICS
from fpkit.config.training import Mlp, Record, Training
from fpkit.datasets import digits, parity, photograph, sines

TEXT = (Path(__file__).parents[1] / "docs" / "measures.md").read_text()
SECTIONS = dict(zip(*[iter(re.split(r"^### `(\w+)`$", TEXT, flags=re.MULTILINE)[1:])] * 2, strict=True))
COMMON = re.search(r"^## What is measured$(.*?)^## ", TEXT, re.MULTILINE | re.DOTALL)[1]
TARGET = {"kind": "sines", "components": 3, "strength": None, "direction": 1}
# Of each measure: a data set on which all that it gives is there, and the samples taken.
TAKEN = {
    "fft": [
        (lambda: sines.build([1, 3], samples=64, test_samples=8, noise=0.1), "train"),
        (lambda: photograph.build(size=16), "train"),
    ],
    "projection": [(lambda: digits.build(limit=80, test_limit=10), "train")],
    "filtering": [(lambda: digits.build(limit=80, test_limit=10), "train")],
    "graph": [(lambda: digits.build(limit=80, test_limit=10), "train")],
    "walsh": [(lambda: parity.build(dimensions=6, train_fraction=0.5), "all")],
    "radial": [(lambda: photograph.build(size=16), "train")],
    "components": [(lambda: digits.build(limit=80, test_limit=10, target=TARGET), "train")],
    "ntk": [
        (lambda: digits.build(limit=20, test_limit=10), "train"),
        (lambda: sines.build([1, 2], samples=16, test_samples=8, embedding="circle"), "train"),
    ],
}


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def item(section: str, name: str) -> str:
    return re.search(rf"^- {name}: (.*?)^(?:- |$)", section, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture(scope="module")
def spectra(tmp_path_factory) -> dict[str, list[xr.Dataset]]:
    """Of each measure on each of its data sets, of a short training, with both nulls."""
    made = {}
    for name, cases in TAKEN.items():
        for build, split in cases:
            folder, dataset = tmp_path_factory.mktemp(name), build()
            dataset.to_netcdf(folder / "dataset.nc", engine="netcdf4")
            model = config.plain(Mlp(kind="mlp", widths=[8]))
            training = config.plain(Training(optimizer="sgd", members=2, steps=10, learning_rate=0.01))
            record = config.plain(Record(split=split, parameters=True))
            predictions = run(
                folder / "dataset.nc", folder / "run", folder / "kept", model=model, training=training, record=record
            )
            given = {"frequencies": [1, 2, 3]} if name == "projection" else {}
            options = config.plain(MEASURES[name](nulls=list(NULLS), **given))
            decompose = import_module(f"fpkit.measures.kinds.{name}").decompose
            made.setdefault(name, []).append(decompose(predictions, dataset, split=split, **options))
    return made


def test_every_measure_and_every_null_has_its_section():
    assert list(SECTIONS) == [*NULLS, *MEASURES]
    for null in NULLS:
        assert re.findall(r"^- ([\w ]+):", SECTIONS[null], re.MULTILINE) == ["Keeps", "Destroys", "Beating it means"]
    by_default = {
        name for name, measure in MEASURES.items() if set(measure().settled("predictions").nulls) == set(NULLS)
    }
    assert named(re.search(r"`draw`\.(.*?)take\s+both nulls", TEXT, re.DOTALL)[1]) == by_default
    assert not [name for name, measure in MEASURES.items() if name not in by_default and measure().nulls]


@pytest.mark.parametrize("name", MEASURES)
def test_the_arrays_of_a_measure_are_those_of_its_spectra(spectra, name):
    common = {array for array in named(COMMON) if array not in ("level", "threshold", "hold")}
    given = set().union(*(found.data_vars for found in spectra[name]))
    given -= {array for array in given if re.match("control_|loss_|diverged", array)}
    own = item(SECTIONS[name], "Arrays")
    if name == "filtering":
        assert given & common == named(own) & common == {"remaining", "initial_energy", "followed"}
    else:
        assert given >= {"relative_error", "remaining_area", "first_passage"}
        assert given & common == {array for array in common if array in spectra["fft"][0]}
    if "accuracy_test" not in named(own):
        given -= {"accuracy_train", "accuracy_test"}
    assert given - common == named(own) - common - {"record.parameters"}


@pytest.mark.parametrize("name", MEASURES)
def test_the_label_of_a_frequency_and_the_defaults_are_the_ones_written(spectra, name):
    for found in spectra[name] if name != "components" else []:
        attrs = found["frequency"].attrs
        assert f"*{attrs['long_name']}* [{attrs['units']}]" in item(SECTIONS[name], "Frequency")
    section, entry = SECTIONS[name], MEASURES[name]()
    for option, value in re.findall(r"`(\w+)` \(([\d.]+)\)", section):
        assert getattr(entry, option) == float(value), option
    own = set(MEASURES[name].model_fields) - {"nulls", "null_draws", "threshold", "hold"}
    assert own <= named(section)
    assert set().union(*(found.attrs for found in spectra[name])) >= named(section) & {"median_distance"}


def test_whatever_is_named_is_there(spectra):
    every = [found for group in spectra.values() for found in group]
    known = {*MEASURES, *NULLS, *STATISTICS, "control_", "target:"}
    known |= {name for found in every for name in (*found.variables, *found.dims, *found.attrs)}
    known |= {option for measure in MEASURES.values() for option in measure.model_fields}
    for name in sorted(named(TEXT) - known):
        if name == "random":
            MEASURES["projection"](direction=name)
        elif name.startswith("kind: "):
            assert name.removeprefix("kind: ") in ("photograph", "parity")
        else:
            key, _, value = name.removeprefix("record.").partition(": ")
            assert name.startswith("record.")
            assert key in Record.model_fields
            assert not value or getattr(Record(**{key: value}), key) == value
    assert all("target" in kind.model_fields for kind in (Images, Photograph))


def test_controls_are_of_what_is_written(spectra):
    """Of what remains under paces; of all under share."""
    for name, (found, *_) in spectra.items():
        controls = {array for array in found if array.startswith("control_")}
        assert controls, name
        for array in controls:
            values = found[array].isel(draw=0)
            kept = values.notnull().any([dim for dim in values.dims if dim != "null"])
            if not array.startswith("control_remaining"):
                assert not kept.sel(null="paces"), array
        assert np.isfinite(found["control_remaining"]).any()
