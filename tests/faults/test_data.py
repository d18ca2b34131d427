"""Faults of the data and of the training on it: no wrong number is drawn, one line says what, and a rerun heals."""

import os
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import copy_sources

from fpkit.datasets import contract, digits, own, parity, photograph, sines
from fpkit.errors import UserError
from fpkit.store import netcdf
from fpkit.training import run

# --- data sets of one's own, by the library ---------------------------------------------------------------------------

SAMPLES = 8


def dataset(**changes) -> xr.Dataset:
    """A data set that keeps to the contract, but for the changes: name -> (dimensions, values)."""
    x = np.linspace(-1, 1, SAMPLES, dtype=np.float32)[:, None]
    variables = {
        "x_train": (("sample_train", "feature"), x),
        "y_train": (("sample_train", "output"), np.sin(3 * x)),
        "x_test": (("sample_test", "feature"), x[:0]),
        "y_test": (("sample_test", "output"), x[:0]),
    }
    variables = {name: value for name, value in (variables | changes).items() if value is not None}
    return xr.Dataset(variables, coords={"position_train": ("sample_train", np.arange(SAMPLES) / SAMPLES)})


def spoiled(name: str, place, value, dtype=np.float32) -> dict:
    dims, values = dataset()[name].dims, dataset()[name].to_numpy().astype(dtype)
    values[place] = value
    return {name: (dims, values)}


X, Y = (("sample_train", "feature"), ("sample_train", "output"))
FAULTS = {
    "NaN in x": (spoiled("x_train", 5, np.nan), "x_train holds NaN or infinity in 1 of 8 samples, first in sample 5"),
    "NaN in y": (spoiled("y_train", [3, 4], np.nan), "y_train holds NaN or infinity in 2 of 8 samples, first in"),
    "infinity in y": (spoiled("y_train", 0, -np.inf), "y_train holds NaN or infinity in 1 of 8 samples"),
    "double precision": (spoiled("y_train", 0, 1, np.float64), "y_train is of type float64; give float32"),
    "whole numbers": (spoiled("y_train", 0, 1, np.int64), "y_train is of type int64; give float32"),
    "texts": ({"y_train": (Y, np.full((SAMPLES, 1), "a"))}, "y_train is of type <U1; give float32"),
    "no target": ({"y_train": None}, "y_train is missing; give it"),
    "no test part": ({"x_test": None, "y_test": None}, "x_test is missing; give it, without any sample if there is no"),
    "half a validation part": ({"x_validation": (("sample_validation", "feature"), np.ones((2, 1), np.float32))},
                               "y_validation is missing"),
    "a flat target": ({"y_train": (("sample_train",), np.ones(SAMPLES, np.float32))},
                      r"y_train has the dimensions \(sample_train\); give \(sample_train, output\)"),
    "a flat input": ({"x_train": (("sample_train",), np.ones(SAMPLES, np.float32))},
                     r"x_train has the dimensions \(sample_train\); give \(sample_train, feature, \.\.\.\)"),
    "turned": ({"y_train": (Y[::-1], np.ones((1, SAMPLES), np.float32))}, r"the dimensions \(output, sample_train\)"),
    "more targets than inputs": ({"y_train": (("sample", "output"), np.ones((9, 1), np.float32))},
                                 r"y_train has the dimensions \(sample, output\)"),
    "other features in the test part": ({"x_test": (("sample_test", "column"), np.ones((0, 3), np.float32))},
                                        r"a sample of x_test has the shape \(3,\), of x_train \(1,\); make them alike"),
    "no output": ({name: ((f"sample_{name[2:]}", "output"), np.ones((size, 0), np.float32))
                   for name, size in (("y_train", SAMPLES), ("y_test", 0))}, r"y_train has the shape \(0,\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_data_set_that_breaks_the_contract_is_one_line(case):
    changes, message = FAULTS[case]
    with pytest.raises(UserError, match=message) as error:
        contract.checked(dataset(**changes))
    assert str(error.value).isprintable()


def test_a_data_set_without_samples_is_one_line():
    with pytest.raises(UserError, match=r"^x_train holds no sample; give at least one$"):
        contract.checked(dataset().isel(sample_train=slice(0)))


@pytest.mark.parametrize("returned", [None, {}, np.ones(3), xr.DataArray([1.0])])
def test_what_is_no_data_set_at_all_is_one_line(returned):
    with pytest.raises(UserError, match=r"^is no xarray\.Dataset but of type \w+; return one$"):
        contract.checked(returned)


@pytest.mark.parametrize("value", [None, {"a": 1}, [None], True, 1j])
def test_an_attribute_that_no_file_takes_is_one_line(value):
    with pytest.raises(UserError, match=r"the attribute origin is of type .*; give numbers or text"):
        contract.checked(dataset().assign_attrs(origin=value))


NO_ATTRIBUTES = {
    "none": ({"origin": None}, "the attribute origin is of type NoneType"),
    "a bool": ({"origin": np.True_}, "the attribute origin is of type bool"),
    "objects": ({"origin": [object()]}, "the attribute origin is of type list"),
    "mixed": ({"origin": [1, "a"]}, "the attribute origin is of type list"),
    "ragged": ({"origin": [[1], [1, 2]]}, "the attribute origin is of type list"),
    "a huge number": ({"origin": 2**70}, "the attribute origin is of type int"),
    "text with a null": ({"origin": "a\0b"}, "the attribute origin is of type str"),
    "text that is none": ({"origin": "\udcff"}, "the attribute origin is of type str"),
    "a number for a name": ({1: 1}, "the attribute 1 is of type int"),
    "no name": ({"": 1}, "the attribute '' is of type int"),
    "a name with a line break": ({"a\nb": None}, r"the attribute 'a\\nb' is of type NoneType"),
    "a name of netCDF's own": ({"_NCProperties": "x"}, "the attribute _NCProperties is of type str"),
}


@pytest.mark.parametrize("of", ["", "y_train", "position_train"])
@pytest.mark.parametrize("case", NO_ATTRIBUTES)
def test_attributes_that_netcdf_cannot_hold_are_one_line_wherever_they_are(case, of):
    attrs, message = NO_ATTRIBUTES[case]
    given = dataset()
    (given[of] if of else given).attrs.update(attrs)
    message = message.replace(" is of", f" of {of} is of") if of else message
    with pytest.raises(UserError, match=f"^{message}") as error:
        contract.checked(given)
    assert str(error.value).isprintable()


SAMPLE = ("sample_train",)
NO_VARIABLES = {
    "a slash": ({"a/b": (SAMPLE, np.ones(SAMPLES))}, "a/b"),
    "a number for a name": ({5: (SAMPLE, np.ones(SAMPLES))}, "5"),
    "a slash in a dimension": ({"more": (("a/b",), np.ones(3))}, "more"),
    "a number for a dimension": ({"more": ((3,), np.ones(3))}, "more"),
    "mixed values": ({"more": (SAMPLE, np.array([1, "a"] * 4, dtype=object))}, "more"),
    "categories": ({"more": (SAMPLE, pd.Categorical(list("abcdefgh")))}, "more"),
    "records": ({"more": (SAMPLE, np.zeros(SAMPLES, dtype=[("a", "f4")]))}, "more"),
}


@pytest.mark.parametrize("case", NO_VARIABLES)
@pytest.mark.parametrize("coordinates", [False, True], ids=["variable", "coordinate"])
def test_what_else_netcdf_cannot_hold_is_one_line(case, coordinates):
    variables, name = NO_VARIABLES[case]
    given = dataset().assign_coords(variables) if coordinates else dataset().assign(variables)
    with pytest.raises(UserError, match=rf"^netCDF has no place for {name} \(.*\); give numbers or text") as error:
        contract.checked(given)
    assert str(error.value).isprintable()


def test_a_coordinate_of_several_levels_is_one_line():
    levels = pd.MultiIndex.from_product([[0, 1], range(SAMPLES // 2)], names=["a", "b"])
    given = dataset().assign_coords(xr.Coordinates.from_pandas_multiindex(levels, "sample_train"))
    with pytest.raises(UserError, match=r"^the coordinate sample_train is of several levels; use reset_index"):
        contract.checked(given)


@pytest.mark.parametrize("name", ["scale_factor", "add_offset", "missing_value", "_FillValue", "_Unsigned", "dtype"])
@pytest.mark.parametrize("of", ["x_train", "position_train"])
def test_attributes_that_have_readers_change_numbers_are_refused(name, of):
    given = dataset()
    given[of].attrs[name] = "bool" if name == "dtype" else np.float32(0.5)
    with pytest.raises(UserError, match=rf"^the attribute {name} of {of} has readers change what they read; unpack"):
        contract.checked(given)


ENCODINGS = {
    "packed": {"dtype": "int16", "scale_factor": 0.001, "add_offset": 2.0, "_FillValue": -999},
    "rounded": {"dtype": "int8"},
    "double precision": {"dtype": "float64"},
    "a fill value that is a number": {"_FillValue": np.float32(np.sin(-3.0))},
    "chunks of another shape": {"chunksizes": (1000, 1), "original_shape": (1000, 1), "zlib": True, "complevel": 9},
    "big-endian": {"dtype": ">f4", "endian": "big"},
    "unlimited": {"unlimited_dims": {"sample_train", "gone"}},
}


def read_both_ways(path) -> tuple[dict, xr.Dataset]:
    """What a training reads, and what the spectra do."""
    return run._load(path, "train"), netcdf.load_dataset(path)


@pytest.mark.parametrize("case", ENCODINGS)
def test_a_data_set_that_carries_an_encoding_is_written_and_read_as_it_is(case, tmp_path):
    given, plain = dataset(), dataset()
    for name in ("x_train", "y_train", "position_train"):
        given[name].encoding.update({} if "unlimited_dims" in ENCODINGS[case] else ENCODINGS[case])
    given.encoding.update(ENCODINGS[case] if "unlimited_dims" in ENCODINGS[case] else {})
    netcdf.save(contract.checked(given), tmp_path / "data.nc")
    trained, decomposed = read_both_ways(tmp_path / "data.nc")
    xr.testing.assert_identical(decomposed, plain)
    for name, values in trained.items():
        assert values.dtype == decomposed[name].dtype == np.float32
        np.testing.assert_array_equal(values, plain[name], strict=True)


def test_a_data_set_read_from_a_packed_file_is_what_it_was(tmp_path):
    """...of whichever netCDF: the old one has another order of bytes."""
    packing = {"y_train": {"dtype": "int16", "scale_factor": np.float32(0.001), "_FillValue": -999}}
    for name, how in {"new.nc": {"engine": "netcdf4", "encoding": packing}, "old.nc": {"engine": "scipy"}}.items():
        dataset().to_netcdf(tmp_path / name, **how)
        given = xr.load_dataset(tmp_path / name, engine=how["engine"])
        netcdf.save(contract.checked(given), tmp_path / "data.nc")
        trained, decomposed = read_both_ways(tmp_path / "data.nc")
        np.testing.assert_array_equal(trained["y_train"], given.y_train)
        np.testing.assert_array_equal(decomposed.y_train, given.y_train)
        np.testing.assert_allclose(trained["y_train"], dataset().y_train, atol=0.001)


@pytest.mark.parametrize("units", ["seconds", "days since 2000-01-01", "days", "hours since the start"])
def test_units_of_time_are_units_like_others(units, tmp_path):
    given = dataset()
    for name in ("x_train", "y_train", "position_train"):
        given[name].attrs["units"] = units
    netcdf.save(contract.checked(given), tmp_path / "data.nc")
    trained, decomposed = read_both_ways(tmp_path / "data.nc")
    xr.testing.assert_identical(decomposed, given)
    np.testing.assert_array_equal(trained["x_train"], given.x_train, strict=True)


def test_a_packed_file_is_not_trained_on(tmp_path):
    given = dataset()
    given.y_train.encoding.update(ENCODINGS["packed"])
    given.to_netcdf(tmp_path / "data.nc", engine="netcdf4")
    with pytest.raises(UserError, match=r"data\.nc: damaged \(y_train is packed: int16, scale_factor, add_offset\)"):
        run._load(tmp_path / "data.nc", "train")


def test_data_that_are_read_late_and_are_gone_are_one_line(tmp_path, monkeypatch):
    dataset().to_netcdf(tmp_path / "data.nc", engine="netcdf4")
    (tmp_path / "late.py").write_text(
        "import os\nimport xarray as xr\n\n\ndef read(path):\n"
        "    with xr.open_dataset(path, engine='netcdf4') as dataset:\n        os.remove(path)\n    return dataset\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"^late:read failed: ") as error:
        contract.checked(own.build("late:read", {"path": str(tmp_path / "data.nc")}))
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "built",
    [
        lambda: sines.build([1.0], samples=8, validation_samples=4, noise=0.1),
        lambda: digits.build(limit=100, test_limit=50, validation_limit=20),
        lambda: parity.build(dimensions=3),
        lambda: photograph.build(size=8),
        lambda: dataset(),
    ],
    ids=["sines", "digits", "parity", "photograph", "own"],
)
def test_right_data_sets_keep_to_the_contract(built, tmp_path):
    checked = contract.checked(built())
    checked.to_netcdf(tmp_path / "data.nc", engine="netcdf4")
    xr.testing.assert_equal(xr.load_dataset(tmp_path / "data.nc", engine="netcdf4"), checked)


def test_amplitudes_beyond_single_precision_never_become_a_data_set():
    with np.errstate(over="ignore"), pytest.raises(UserError, match=r"y_train holds NaN or infinity"):
        contract.checked(sines.build([1.0, 2.0], amplitudes=3e38, phases=0.3))


FAILING = {
    "raises": ("    raise ValueError('one line\\nand another')", r"line 2: ValueError: one line and another$"),
    "ends the process": ("    raise SystemExit(0)", r"line 2: SystemExit: 0$"),
    "fails deep in a library": (
        "    import numpy as np\n    return np.linalg.inv(np.zeros((2, 2)))",
        r"line 3: LinAlgError",
    ),
    "takes no such option": ("    return samples", r"failed: TypeError: .*unexpected keyword argument 'size'$"),
    "samples that differ between x and y": (
        "    import numpy as np, xarray as xr\n"
        "    return xr.Dataset({'x_train': (('sample_train', 'feature'), np.ones((9, 1))),\n"
        "                       'y_train': (('sample_train', 'output'), np.ones((8, 1)))})",
        r"line 3: ValueError: conflicting sizes for dimension 'sample_train'",
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_function_that_fails_is_one_line_with_its_own(case, tmp_path, monkeypatch):
    body, message = FAILING[case]
    name = f"failing_{re.sub(r'[^a-z]', '_', case)}"
    (tmp_path / f"{name}.py").write_text(f"def build(samples=3):\n{body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    options = {"size": 3} if "option" in case else {}
    with pytest.raises(UserError, match=message) as error:
        own.build(f"{name}:build", options)
    assert str(error.value).startswith(f"{name}:build failed")
    assert str(error.value).isprintable()


# --- all the way through the workflow ---------------------------------------------------------------------------------

# Each experiment has one fault. A learning rate of 0.08 is too much for seed 1115 alone, as test_interruption.py says.
OWN = """
import numpy as np
import xarray as xr


def waves(samples=16, level=1.0, hole=False):
    x = np.linspace(-1, 1, samples, endpoint=False, dtype=np.float32)[:, None]
    y = (level * np.sin(np.pi * x)).astype(np.float32)
    if hole:
        y[3] = np.nan
    return xr.Dataset(
        {
            "x_train": (("sample_train", "feature"), x),
            "y_train": (("sample_train", "output"), y),
            "x_test": (("sample_test", "feature"), x[:0]),
            "y_test": (("sample_test", "output"), y[:0]),
        },
        coords={"position_train": ("sample_train", np.arange(samples) / samples)},
    )
"""
DATASETS = """
datasets:
  sines: {kind: sines, frequencies: [1, 2, 3], samples: 32, test_samples: 16}
  hole: {kind: "mine:waves", options: {hole: true}}
  flat: {kind: "mine:waves", options: {level: 0}}
  single: {kind: "mine:waves", options: {samples: 1}}
"""
CONFIGURATION = """
experiments:
  one_member: &tiny
    dataset: sines
    model: {kind: mlp, widths: [16, 16], activation: relu}
    training: {steps: 40, members: 1}
    record: {per_decade: 10}
    decomposition: {fft: {threshold: 0.95}}
  some_diverge:
    <<: *tiny
    training: {optimizer: sgd, learning_rate: 0.08, steps: 300, members: 10, seed_offset: 1110}
    record: {per_decade: 20}
  all_diverge:
    <<: *tiny
    training: {optimizer: sgd, learning_rate: 1.0e+6, steps: 40, members: 3}
  hole: {<<: *tiny, dataset: hole}
  flat: {<<: *tiny, dataset: flat}
  single: {<<: *tiny, dataset: single}
claims:
  one_member: &order
    {statement: S., source: S, measure: fft, statistic: area_order, bound: {at_least: -1}, experiment: one_member}
  some_diverge: {<<: *order, experiment: some_diverge}
  all_diverge: {<<: *order, experiment: all_diverge}
figures:
  one_member: {kind: synthetic, experiment: one_member}
  diverge: {kind: order, experiment: [one_member, some_diverge, all_diverge]}
  hole: {kind: synthetic, experiment: hole}
  flat: {kind: synthetic, experiment: flat}
  single: {kind: synthetic, experiment: single}
  claims: {kind: claims}
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """All the faults in one run, and what Snakemake said of it. Shared: look, do not touch, but for the last test."""
    project = copy_sources(tmp_path_factory.mktemp("faulty") / "project")
    (project / "mine.py").write_text(OWN)
    (project / "config.yaml").write_text(DATASETS + CONFIGURATION)
    done = project.snakemake("figures", overlays=())
    assert done.returncode == 1, done.stdout + done.stderr
    return project, (done.stdout + done.stderr).splitlines()


@pytest.fixture(scope="module")
def rows(faulty) -> pd.DataFrame:
    """claims.csv, by the experiment."""
    return pd.read_csv(faulty[0] / "results/claims.csv").set_index("experiment")


pytestmark = pytest.mark.xdist_group("faulty")  # one run, looked at by several tests


def spectra(project, experiment: str) -> xr.Dataset:
    return xr.load_dataset(project / f"results/spectra/{experiment}/base/fft.nc", engine="netcdf4")


def drawn(project) -> set[str]:
    return {path.name for path in (project / "results/figures").iterdir() if path.suffix in (".svg", ".pdf", ".png")}


def of(*figures: str) -> set[str]:
    return {f"{figure}.{ending}" for figure in figures for ending in ("svg", "pdf", "png")}


@pytest.mark.workflow
def test_one_member_has_an_interval_without_ends_and_no_verdict(rows):
    row = rows.loc["one_member"]
    assert np.isfinite(row["value"])
    assert (row["ci_low"], row["ci_high"], row["verdict"]) == (-np.inf, np.inf, "undecided")
    assert row["members"] == "1 of 1"


@pytest.mark.workflow
def test_a_member_that_diverges_is_named_censored_and_left_out(faulty, rows):
    project, _ = faulty
    assert "member with seed 1115 diverged; it is left out of the spectra" in project.log("runs/some_diverge/base.log")
    measured = spectra(project, "some_diverge")
    assert measured["member"][measured["diverged"]].to_numpy().tolist() == [1115]
    for name in ("relative_error", "first_passage", "hold_passage", "area"):
        assert measured[name].sel(member=1115).isnull().all(), name
    kept = measured.sel(member=~measured["diverged"], frequency=measured["followed"])
    assert kept["area"].notnull().all()
    row = rows.loc["some_diverge"]
    assert row["members"] == "9 of 10"
    assert np.isfinite([row["value"], row["ci_low"], row["ci_high"]]).all()


@pytest.mark.workflow
def test_an_ensemble_that_diverges_as_a_whole_has_no_number_at_all(faulty, rows):
    project, _ = faulty
    assert project.log("runs/all_diverge/base.log").count("diverged; it is left out") == 3
    measured = spectra(project, "all_diverge")
    for name in ("relative_error", "first_passage", "hold_passage", "area", "output_median", "amplitude"):
        assert measured[name].isnull().all(), name
    row = rows.loc["all_diverge"]
    assert row[["value", "ci_low", "ci_high"]].isnull().all()
    assert (row["members"], row["verdict"]) == ("0 of 3", "undecided")


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("datasets/hole.log", r"datasets\.hole: y_train holds NaN or infinity in 1 of 16 samples, first in sample 3;"),
        ("spectra/flat/base/fft.log", r"decompose flat/base/fft: the target is constant: its relative error is undef"),
        ("spectra/single/base/fft.log", r"decompose single/base/fft: the target is constant: its relative error is un"),
    ],
    ids=["NaN in the data", "a constant target", "one sample"],
)  # fmt: skip
def test_data_of_which_nothing_can_be_said_is_one_line_of_its_job(faulty, log, message):
    project, said = faulty
    (line,) = [line for line in project.log(log).splitlines() if not line.startswith("step ")]
    assert re.match(message, line), line
    assert line in said


@pytest.mark.workflow
def test_nothing_is_drawn_of_faulty_data_and_everything_of_the_others(faulty):
    assert drawn(faulty[0]) == of("one_member", "diverge", "claims")


@pytest.mark.workflow
def test_z_a_rerun_with_mended_data_heals_and_repeats_nothing(faulty):
    project, _ = faulty
    before = {path: path.stat().st_mtime_ns for path in (project / "results/runs").glob("*_*/base/predictions.zarr")}
    mended = (
        DATASETS.replace("hole: true", "hole: false")
        .replace("level: 0", "level: 2")
        .replace("samples: 1}", "samples: 9}")
    )
    (project / "config.yaml").write_text(mended + CONFIGURATION)
    jobs = project.plan(overlays=())
    for name in ("hole", "flat", "single"):
        assert {f"make_dataset {name}", f"train {name}/base", f"decompose {name}/base/fft", f"plot {name}"} <= jobs
    assert jobs == {job for job in jobs if re.search("hole|flat|single|^figures$", job)}
    project.make("figures", overlays=())
    assert drawn(project) == of("one_member", "diverge", "claims", "hole", "flat", "single")
    assert project.plan(overlays=()) == set()
    assert before == {path: os.stat(path).st_mtime_ns for path in before}
    assert len(before) == 3
