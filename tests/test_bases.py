"""What all measures on a basis share, measure by measure, on real trainings."""

from importlib import import_module

import numpy as np
import pytest
import xarray as xr
from conftest import run

from fpkit import config
from fpkit.bases.basis import Basis
from fpkit.config.measures import Measure
from fpkit.config.training import Mlp, Training
from fpkit.datasets.samples import samples_of
from fpkit.store import netcdf

MODEL = config.plain(Mlp(kind="mlp", widths=[8]))

SINES = {"kind": "sines", "components": 3, "direction": 2, "strength": 0.5}
# By measure, and what of it where it is taken of several things.
CASES = {
    "fft": ({"kind": "sines", "frequencies": [1, 3], "samples": 24}, "train", {}),
    "fft of a picture": ({"kind": "photograph", "size": 10}, "train", {}),
    "projection along p2": (
        {"kind": "digits", "limit": 60, "pool": 2},
        "train",
        {"frequencies": [1, 2], "permutations": 20, "direction": 2},
    ),
    "graph of neighbours": (
        {"kind": "digits", "limit": 60, "pool": 2},
        "train",
        {"bands": 4, "dense_limit": 50, "neighbours": 5, "modes": 20},
    ),
    "projection": ({"kind": "digits", "limit": 60, "pool": 2}, "train", {"frequencies": [1, 2, 5], "permutations": 20}),
    "graph": ({"kind": "digits", "limit": 60, "pool": 2}, "train", {"bands": 4}),
    "walsh": ({"kind": "parity", "dimensions": 4, "bits": 2}, "all", {}),
    "radial": ({"kind": "photograph", "size": 10}, "train", {"rings": 3}),
    "components": ({"kind": "digits", "limit": 60, "target": SINES}, "train", {}),
    "ntk": ({"kind": "sines", "frequencies": [1, 2, 4], "samples": 24, "embedding": "circle"}, "train", {}),
}
# What outputs alone tell.
OF_PREDICTIONS = {"output_median", "snapshot_output", "accuracy_train", "accuracy_test", "response"}
OF_SOME_MODES = {"mean_frequency_output", "mean_frequency_residual"}


def test_every_measure_on_a_basis_is_a_case():
    assert {case.split()[0] for case in CASES} == {name for name, entry in config.MEASURES.items() if entry().basis}


def entry(case: str) -> Measure:
    """The measure of a case, as a configuration gives it."""
    return config.MEASURES[case.split()[0]](**CASES[case][2], nulls=["share"])


def built(case: str) -> tuple[xr.Dataset, str, Basis]:
    """Its data set, split and basis."""
    source, split, _ = CASES[case]
    options_of_source = {key: value for key, value in source.items() if key != "kind"}
    data = import_module(f"fpkit.datasets.{source['kind']}").build(**options_of_source).assign_attrs(name="data")
    recipe = dict(entry(case).basis)
    return data, split, import_module(f"fpkit.bases.{recipe.pop('kind')}").build(data, split, **recipe)


@pytest.fixture(scope="module")
def spectra_of(tmp_path_factory):
    """spectra_of(case, recorded): of a real training, whose predictions or whose coefficients were kept."""
    made = {}

    def spectra(case: str, recorded: bool) -> xr.Dataset:
        if (case, recorded) not in made:
            folder = tmp_path_factory.mktemp("case")
            data, split, _ = built(case)
            options = entry(case)
            netcdf.save(data, folder / "data.nc")
            record = {"per_decade": 5, "split": split}
            record |= {"basis": config.plain(options.basis)} if recorded else {}
            training = config.plain(Training(optimizer="sgd", learning_rate=0.05, members=3, steps=40))
            predictions = run(
                folder / "data.nc", folder / "run", folder / "work", model=MODEL, training=training, record=record
            )
            taken = import_module(f"fpkit.measures.kinds.{case.split()[0]}").decompose
            with netcdf.open_dataset(folder / "data.nc") as data:
                made[case, recorded] = taken(predictions, data, split=split, **config.plain(options))
        return made[case, recorded]

    return spectra


@pytest.mark.parametrize("case", CASES)
def test_spectra_of_recorded_coefficients_are_those_of_the_predictions(spectra_of, case):
    dumped, recorded = (spectra_of(case, recorded) for recorded in (False, True))
    lost = {name for name in OF_PREDICTIONS & set(dumped) if case == "walsh" or "accuracy" not in name}
    lost |= OF_SOME_MODES if case == "graph of neighbours" else set()
    assert set(dumped) - set(recorded) == lost
    assert set(recorded) <= set(dumped)
    for name in recorded:
        if name == "null" or name.startswith("control_"):
            continue
        np.testing.assert_allclose(
            recorded[name], dumped[name].transpose(*recorded[name].dims), rtol=5e-4, atol=2e-5, err_msg=name
        )


@pytest.mark.parametrize("case", CASES)
def test_recorded_coefficients_tell_share_but_for_one_shift_of_all_frequencies(spectra_of, case):
    """What the basis does not tell of the start, the noise is taken for orthogonal to: a shift, alike everywhere."""
    dumped, recorded = (
        spectra_of(case, kept)["control_remaining"].sel(null="share").dropna("frequency", how="all")
        for kept in (False, True)
    )
    shift = recorded - dumped.transpose(*recorded.dims)
    assert float(np.abs(shift - shift.mean("frequency")).max()) < 0.02
    np.testing.assert_allclose(recorded.sel(step=0), 1, atol=1e-3)
    if case in ("fft", "walsh"):  # which tell all but the mean
        np.testing.assert_allclose(shift, 0, atol=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_relative_error_is_made_of_coefficients_by_frequency(spectra_of, case):
    """Of those recorded, and of the target's, function by function."""
    spectra = spectra_of(case, True)
    data, split, basis = built(case)
    y = samples_of(data, split)[1].to_numpy()
    own = basis.matrix(len(y)).T.astype(float) @ y
    energy = np.stack([(own[basis.bands.of == band] ** 2).sum() for band in range(basis.bands.frequency.size)])
    followed = spectra["followed"].to_numpy()
    known = spectra["relative_error"].notnull().all(["step", "member"]).to_numpy()
    np.testing.assert_array_equal(known, followed)
    assert followed.any()
    assert (energy[followed] > 0).all()
    for name in ("remaining", "initial_energy", "control_remaining", "control_relative_error", "control_area"):
        known = spectra[name].notnull()
        np.testing.assert_array_equal(known.all([dim for dim in known.dims if dim != "frequency"]), followed, name)


@pytest.mark.parametrize("case", CASES)
def test_adjoint_moves_a_transform_to_the_other_side_of_a_product(case):
    data, split, basis = built(case)
    samples = samples_of(data, split)[1].sizes["sample"]
    rng = np.random.default_rng(0)
    values = xr.DataArray(rng.standard_normal((samples, 2)), dims=("sample", "output"))
    own = basis.coefficients(values)
    functions = np.flatnonzero(rng.random(own.sizes["function"]) < 0.6)
    weights = xr.DataArray(rng.standard_normal((2, len(functions), 2)), dims=("row", "function", "output"))
    left = xr.dot(own.isel(function=functions), weights, dim=["function", "output"])
    back = basis.adjoint(weights, functions, samples)
    np.testing.assert_allclose(left, xr.dot(values, back, dim=["sample", "output"]), rtol=1e-9)
    # What a basis has that brings none of its own.
    dense = Basis.adjoint(basis, weights, functions, samples)
    np.testing.assert_allclose(back.transpose(*dense.dims), dense, atol=1e-5)
    product = values.to_numpy().T @ basis.matrix(samples)
    np.testing.assert_allclose(own.transpose("output", "function"), product, atol=1e-5)
    assert basis.recipe == entry(case).basis
