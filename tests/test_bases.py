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
from fpkit.measures.nulls import NULLS
from fpkit.store import netcdf

MODEL = config.plain(Mlp(kind="mlp", widths=[8]))

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
    "ntk": ({"kind": "sines", "frequencies": [1, 2, 4], "samples": 24, "embedding": "circle"}, "train", {}),
}
# What outputs alone tell.
OF_PREDICTIONS = {"output_median", "snapshot_output", "accuracy_train", "accuracy_test", "response"}
OF_SOME_MODES = {"mean_frequency_output", "mean_frequency_residual"}


def test_every_measure_on_a_basis_is_a_case():
    assert {case.split()[0] for case in CASES} == {name for name, entry in config.MEASURES.items() if entry().basis}


def entry(case: str) -> Measure:
    """The measure of a case, as a configuration gives it."""
    return config.MEASURES[case.split()[0]](**CASES[case][2], nulls=list(NULLS))


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
            taken = import_module(f"fpkit.measures.{case.split()[0]}").decompose
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
        np.testing.assert_allclose(
            recorded[name], dumped[name].transpose(*recorded[name].dims), rtol=5e-4, atol=1e-5, err_msg=name
        )


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
    # Noise of the error's norm, spread over all functions; and pairs dealt out anew start at an error like the first.
    controls = spectra["control_relative_error"].isel(frequency=followed)
    assert set(controls["null"].to_numpy()) == set(NULLS)
    assert bool(np.isfinite(controls).all())
    white = controls.sel(null="white_noise")
    ratio = white / white.isel(step=0)
    assert float(ratio.std("frequency").max()) < 1e-4  # one constant of the norm: no frequency is ahead
    area = spectra["control_area"].isel(frequency=followed)
    assert bool(np.isfinite(area).all())


@pytest.mark.parametrize("case", CASES)
def test_basis_with_its_samples_dealt_out_is_that_of_values_dealt_back(case):
    data, split, basis = built(case)
    samples = samples_of(data, split)[1].sizes["sample"]
    rng = np.random.default_rng(0)
    order, values = rng.permutation(samples), xr.DataArray(rng.standard_normal((samples, 2)), dims=("sample", "output"))
    back = values.copy(data=values.to_numpy()[np.argsort(order)])
    dealt = basis.dealt(order)
    xr.testing.assert_allclose(dealt.coefficients(values), basis.coefficients(back), atol=1e-12)
    product = values.to_numpy().T @ dealt.matrix(samples)
    np.testing.assert_allclose(dealt.coefficients(values).transpose("output", "function"), product, atol=1e-5)
    assert dealt.recipe == basis.recipe == entry(case).basis
