"""What networks that learned nothing make of the claims of `config.yaml`: none holds."""

from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import REPOSITORY, run

from fpkit import config
from fpkit.claims import verdicts
from fpkit.datasets.files import is_present

# Steps of training, and members, which have an interval.
UNTRAINED = {"steps": 3, "members": 8, "device": "cpu"}
# Of data sets that are larger: enough to be measured.
AT_MOST = {"limit": 200, "test_limit": 100, "validation_limit": 100}


def one_of_each_pool(written: config.Config, claim) -> list[config.Variant]:
    """The variants that a claim is about; of those that it takes together, the first."""
    groups, seen = config.pooled(written, claim.experiment, claim.pool), {}
    for variant in config.variants(written):
        if variant.experiment == claim.experiment and any(fnmatchcase(variant.name, one) for one in claim.variants):
            seen.setdefault(groups[variant.name], variant)
    return list(seen.values())


class Untrained:
    """The spectra of variants that were trained for three steps: data, training and measures as in a real run."""

    def __init__(self, written: config.Config, folder: Path):
        self.written, self.folder, self.kept = written, folder, {}

    def is_there(self, variant: config.Variant) -> bool:
        dataset = self.written.all_datasets[variant.dataset]
        return not getattr(dataset, "optional", False) or is_present(dataset.kind, dataset.path)

    def dataset(self, name: str) -> xr.Dataset:
        if name not in self.kept:
            entry = config.plain(self.written.all_datasets[name])
            options = {key: value for key, value in entry.items() if key not in ("optional", "inputs")}
            options |= {key: min(size, options[key] or size) for key, size in AT_MOST.items() if key in options}
            data = import_module(f"fpkit.datasets.{options.pop('kind')}").build(**options)
            data.to_netcdf(self.folder / f"{name}.nc", engine="netcdf4")
            self.kept[name] = data
        return self.kept[name]

    def spectra(self, variant: config.Variant, measure: str) -> xr.Dataset:
        data = self.dataset(variant.dataset)
        at = variant.experiment, variant.name
        if at not in self.kept:
            self.kept[at] = run(
                self.folder / f"{variant.dataset}.nc", self.folder / "/".join(at), self.folder / "checkpoints",
                model=variant.model, training=variant.training | UNTRAINED, record=variant.record,
            )  # fmt: skip
        if (*at, measure) not in self.kept:
            decompose = import_module(f"fpkit.measures.kinds.{measure}").decompose
            options = variant.decomposition[measure]
            self.kept[*at, measure] = decompose(self.kept[at], data, split=variant.record["split"], **options)
        return self.kept[*at, measure]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[dict]:
    """Every claim of `config.yaml`, on every variant that it is about and whose data are on this machine."""
    written = config.load(config.read_yaml(REPOSITORY / "config.yaml"))
    untrained = Untrained(written, tmp_path_factory.mktemp("untrained"))
    return [
        verdicts.judge(name, config.plain(claim), variant.name, [untrained.spectra(variant, claim.measure)])
        for name, claim in written.claims.items()
        for variant in one_of_each_pool(written, claim)
        if untrained.is_there(variant)
    ]


def test_no_claim_holds_of_networks_of_three_steps(rows):
    """A test that none of them can pass by a row that was not judged, either: each was, on eight members."""
    written = config.load(config.read_yaml(REPOSITORY / "config.yaml"))
    assert {row["claim"] for row in rows} == set(written.claims)
    assert all(row["members"].startswith("8 of 8") for row in rows)
    assert not any("failed" in row["remark"] or "which the run" in row["remark"] for row in rows)
    assert [(row["claim"], row["variant"], row["value"]) for row in rows if row["verdict"] == "holds"] == []


def test_what_captured_nothing_at_all_has_no_order_of_it(rows):
    about_order = [row for row in rows if row["statistic"] in ("first_order", "hold_order", "passage_exponent")]
    nothing = [row for row in about_order if len(set(row["censored"].split(" of "))) == 1]
    assert nothing
    for row in nothing:
        assert np.isnan(row["value"])
        assert row["verdict"] == "undecided"
