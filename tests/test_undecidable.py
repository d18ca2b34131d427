"""Claims and figures that need what a run does not have: refused when planned, or told in their row."""

import itertools
import re
import runpy
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import REPOSITORY, run

from fpkit import config
from fpkit.claims import findings, statistics, verdicts
from fpkit.config import ConfigError
from fpkit.config.measures import Null
from fpkit.datasets import digits, parity, photograph, sines
from fpkit.errors import UserError
from fpkit.figures.kinds import claims as figure_of_claims
from fpkit.figures.kinds import early_stopping, generalization
from fpkit.measures.kinds import components, fft, filtering, graph, ntk, projection, radial, walsh
from fpkit.store import netcdf

DECOMPOSE = {
    "fft": fft, "projection": projection, "filtering": filtering, "walsh": walsh, "radial": radial, "ntk": ntk,
    "components": components, "graph": graph,
}  # fmt: skip
SCRIPTS = REPOSITORY / "workflow/scripts"
BUILD = {"sines": sines, "digits": digits, "parity": parity, "photograph": photograph}
# Data sets, each with and without what may be left out.
DATASETS = {
    "plain": {"kind": "sines", "frequencies": [1, 2], "samples": 16, "test_samples": 0},
    "tested": {"kind": "sines", "frequencies": [1, 2], "samples": 16, "test_samples": 16},
    "noisy": {"kind": "sines", "frequencies": [1], "samples": 9, "test_samples": 0, "validation_samples": 8},
    "all_parts": {"kind": "sines", "frequencies": [1, 2], "samples": 16, "test_samples": 8, "validation_samples": 8},
    "circle": {"kind": "sines", "frequencies": [1, 2], "samples": 16, "test_samples": 0, "embedding": "circle"},
    "digits": {"kind": "digits", "limit": 40, "test_limit": 10, "pool": 2},
    "digits_apart": {"kind": "digits", "limit": 40, "test_limit": 10, "pool": 2, "validation_limit": 10},
    "digits_made": {
        "kind": "digits", "limit": 40, "test_limit": 10, "pool": 2, "validation_limit": 10,
        "target": {"kind": "sines", "components": 2, "strength": 0.5},
    },
    "parity": {"kind": "parity", "dimensions": 4, "train_fraction": 0.6},
    "photograph": {"kind": "photograph", "size": 8},
}  # fmt: skip
BOTH = list(get_args(Null))
ONE = BOTH[0]
MEASURES = {
    "fft": {"nulls": BOTH}, "projection": {"nulls": BOTH, "permutations": 20, "frequencies": [1, 2]},
    "walsh": {"nulls": BOTH}, "filtering": {"nulls": BOTH, "widths": [0.3]}, "components": {"nulls": BOTH},
    "radial": {"nulls": BOTH}, "ntk": {"nulls": BOTH}, "graph": {"nulls": BOTH},
}  # fmt: skip


def configuration(dataset: str, split: str, measure: str, statistic: str, control: str | None = None) -> dict:
    """A claim about one variant, as it may be written."""
    optimizer = "sgd" if measure == "ntk" else "adam"
    return {
        "datasets": {dataset: DATASETS[dataset]},
        "experiments": {
            "one": {
                "dataset": dataset,
                "model": {"kind": "mlp", "widths": [4]},
                "training": {"steps": 3, "members": 6, "optimizer": optimizer},
                "record": {"split": split, "per_decade": 3, "parameters": measure == "ntk"},
                "decomposition": {measure: MEASURES[measure]},
            }
        },
        "claims": {
            "claim": {
                "statement": "Low first.", "source": "Here", "experiment": "one", "measure": measure,
                "statistic": statistic, "bound": {"at_least": 0.5}, "control": control,
            }
        },
    }  # fmt: skip


def accepted(raw: dict) -> bool:
    try:
        return bool(config.load(raw))
    except ConfigError:
        return False


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """made(dataset, split, measure): the spectra of a real training of three steps."""
    folder, kept = tmp_path_factory.mktemp("undecidable"), {}

    def spectra(dataset: str, split: str, measure: str) -> xr.Dataset:
        if (dataset, split, measure) not in kept:
            loaded = config.load(configuration(dataset, split, measure, "first_order") | {"claims": {}})
            (variant,) = config.variants(loaded)
            path = folder / f"{dataset}.nc"
            if not path.exists():
                options = config.plain(loaded.datasets[dataset])
                data = BUILD[options.pop("kind")].build(**options)
                netcdf.save(data.assign_attrs(name=dataset), path)
            place = f"{dataset}-{split}-{variant.training['optimizer']}"
            recipe = {"model": variant.model, "training": variant.training, "record": variant.record}
            predictions = run(path, folder / place, folder / f"work-{place}", **recipe)
            with netcdf.open_dataset(path) as data:
                found = DECOMPOSE[measure].decompose(predictions, data, split=split, **variant.decomposition[measure])
            kept[dataset, split, measure] = found.assign_attrs(experiment="one", variant="base", dataset=dataset)
        return kept[dataset, split, measure]

    return spectra


# --- what can be known is refused when planned ------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "split"), list(itertools.product(DATASETS, ("train", "test", "all"))))
def test_a_statistic_that_is_accepted_can_be_taken_of_a_real_run(dataset, split, made):
    """Every statistic of every measure, with every control, of every kind of data set: refused, or a number per member.

    What is refused for the data's sake is refused for the figure's, and nothing is refused that could be judged.
    """
    tried = 0
    for measure, statistic, control in itertools.product(config.MEASURES, config.STATISTICS, (None, *BOTH)):
        raw = configuration(dataset, split, measure, statistic, control)
        if not accepted(raw | {"claims": {}}):
            continue  # the measure itself does not suit the data
        spectra = made(dataset, split, measure)
        named = measure in config.measures_of(statistic)
        if accepted(raw):
            row = verdicts.judge("claim", config.plain(config.load(raw).claims["claim"]), "base", [spectra])
            assert row["verdict"] in ("holds", "undecided", "does not hold")
            assert "needs" not in row["remark"], row["remark"]
            assert "failed" not in row["remark"], row["remark"]
            tried += 1
        elif named and control is None:
            with pytest.raises(KeyError):
                getattr(statistics, statistic)(spectra)
        elif named:
            with pytest.raises((UserError, KeyError)):
                getattr(statistics, statistic)(verdicts.on_null(spectra, control, config.STATISTICS[statistic].needs))
    if (dataset, split) in (("tested", "train"), ("digits", "train"), ("parity", "all"), ("photograph", "train")):
        assert tried > 0


@pytest.mark.parametrize(
    ("dataset", "split", "measure", "statistic", "line"),
    [
        ("noisy", "train", "fft", "overfitting",
         "claims.claim.statistic: overfitting needs test samples; give datasets.noisy some"),
        ("tested", "train", "fft", "overfitting",
         "claims.claim.statistic: overfitting needs validation samples; give datasets.tested some"),
        ("digits", "train", "projection", "overfitting",
         "claims.claim.statistic: overfitting needs validation samples; give datasets.digits some"),
        ("all_parts", "test", "fft", "signal_before_best",
         "claims.claim.statistic: signal_before_best needs the target without its noise, known on the train samples"
         " alone; set experiments.one.record.split to train"),
    ],
)  # fmt: skip
def test_what_a_data_set_is_known_to_lack_is_one_line(dataset, split, measure, statistic, line):
    with pytest.raises(ConfigError) as error:
        config.load(configuration(dataset, split, measure, statistic))
    assert error.value.problems == [line]


def test_a_figure_of_early_stopping_without_validation_samples_is_refused_too():
    raw = configuration("tested", "train", "fft", "first_order")
    raw["figures"] = {"stop": {"kind": "early_stopping", "experiment": "one"}}
    with pytest.raises(ConfigError) as error:
        config.load(raw)
    assert error.value.problems == [
        "figures.stop.kind: early_stopping needs validation samples; give datasets.tested some"
    ]


def test_a_photograph_has_no_test_samples_to_record():
    raw = configuration("photograph", "test", "radial", "first_order") | {"claims": {}}
    with pytest.raises(ConfigError) as error:
        config.load(raw)
    assert error.value.problems == ["experiments.one.record.split: radial needs train or all, not test"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"training": {}}, "training.optimizer: ntk needs sgd, not adam"),
        ({"training": {"optimizer": "sgd", "momentum": 0.9}}, "training.momentum: ntk needs 0, not 0.9"),
        ({"training": {"optimizer": "sgd", "loss": "mae"}}, "training.loss: ntk needs mse, not mae"),
        ({"training": {"optimizer": "sgd", "batch_size": 8}}, "training.batch_size: ntk needs none, not 8"),
        (
            {"dataset": "plain", "decomposition": {"ntk": {"modes": [1, 2]}}},
            "decomposition.ntk.modes: a list is of cycles per turn, and 'plain' is on no circle; give a number",
        ),
        (
            {"dataset": "plain", "record": {"content": "spectrum"}},
            "record.content: ntk needs predictions of 'plain'; set it to predictions",
        ),
        (
            {"decomposition": {"ntk": {"modes": 4}}, "record": {"content": "spectrum"}},
            "decomposition.ntk: needs predictions; set record.content to predictions, or leave it out",
        ),
        (
            {"dataset": "long"},
            "dataset ('long'): ntk holds kernels of all samples; give at most 3,000 samples, not 4,000",
        ),
    ],
)  # fmt: skip
def test_theory_of_another_training_or_of_other_modes_is_refused_before_it_is_trained(change, line):
    raw = configuration("circle", "train", "ntk", "rate_slope")
    raw["datasets"] |= {"plain": DATASETS["plain"], "long": DATASETS["circle"] | {"samples": 4000}}
    assert config.load(raw)
    raw["experiments"]["one"] |= {"decomposition": {"ntk": {}}} | change
    with pytest.raises(ConfigError) as error:
        config.load(raw)
    assert error.value.problems == [f"experiments.one.{line}"]


def test_the_change_of_the_kernel_needs_the_networks_at_the_end():
    raw = configuration("circle", "train", "ntk", "kernel_change")
    (variant,) = config.variants(config.load(raw))
    assert variant.record == {"parameters": True, "per_decade": 3, "split": "train"}
    raw["experiments"]["one"]["record"]["parameters"] = False
    with pytest.raises(ConfigError) as error:
        config.load(raw)
    told = "kernel_change needs the networks at the end; set experiments.one.record.parameters to true"
    assert error.value.problems == [f"claims.claim.statistic: {told}"]
    raw["claims"]["claim"]["statistic"] = "rate_slope"
    (variant,) = config.variants(config.load(raw))
    assert variant.record == {"per_decade": 3, "split": "train"}


# --- a control that is none -------------------------------------------------------------------------------------------


# Of each measure a data set that has most: what it lacks all the same is refused for that, with and without a control.
MOST = {
    "fft": "all_parts", "ntk": "circle", "walsh": "parity", "radial": "photograph", "projection": "digits_apart",
    "filtering": "digits_apart", "components": "digits_made", "graph": "digits_apart",
}  # fmt: skip
CONTROLLABLE = [
    (statistic, measure)
    for statistic, (measure, dataset) in itertools.product(config.STATISTICS, MOST.items())
    if accepted(configuration(dataset, "all" if measure == "walsh" else "train", measure, statistic))
]


def test_every_statistic_and_every_measure_is_tried_with_a_control():
    assert {statistic for statistic, _ in CONTROLLABLE} == set(config.STATISTICS)
    assert {measure for _, measure in CONTROLLABLE} == set(config.MEASURES) == set(MOST)


@pytest.mark.parametrize("control", BOTH)
@pytest.mark.parametrize(("statistic", "measure"), CONTROLLABLE)
def test_a_control_is_accepted_where_all_that_the_statistic_is_taken_of_has_one_and_nowhere_else(
    statistic, measure, control, made
):
    dataset = MOST[measure]
    split = "all" if measure == "walsh" else "train"
    spectra = made(dataset, split, measure)
    arrays = config.STATISTICS[statistic].controlled
    computed = config.MEASURES[measure].controlled[control]
    has = set(arrays) <= set(computed)
    for array in {*arrays} - {*computed}:  # what is computed under the other null alone is NaN here
        one = spectra.get(f"control_{array}")
        assert one is None or bool(one.sel(null=control).isnull().all())
    assert accepted(configuration(dataset, split, measure, statistic, control)) == has
    if has:
        null = verdicts.on_null(spectra, control, arrays)
        for array in arrays:
            of_draw = spectra[f"control_{array}"].sel(null=control).isel(draw=0, missing_dims="ignore")
            np.testing.assert_array_equal(null[array], of_draw)
    else:
        claim = config.plain(config.load(configuration(dataset, split, measure, statistic)).claims["claim"])
        with pytest.raises(UserError, match=rf"{control}: {measure} computes no control of "):
            verdicts.judge("claim", claim | {"control": control}, "base", [spectra])


def test_a_control_under_another_null_than_those_computed_is_an_error(made):
    spectra = made("digits", "train", "projection")
    with pytest.raises(UserError, match="pink_noise: projection computes no control"):
        verdicts.on_null(spectra, "pink_noise", ("area",))


# --- of the rest, the row says why ------------------------------------------------------------------------------------


def captured(spectra: xr.Dataset) -> xr.Dataset:
    """As if every frequency had been captured at some time: three steps are few."""
    passages = [name for name in ("first_passage", "hold_passage") if name in spectra]
    return spectra.assign({name: spectra[name].fillna(3) for name in passages})


def judged(spectra: xr.Dataset, statistic: str, measure: str = "fft", control: str | None = None) -> dict:
    raw = configuration("all_parts" if measure == "fft" else "digits_apart", "train", measure, statistic, control)
    return verdicts.judge("claim", config.plain(config.load(raw).claims["claim"]), "base", [spectra])


@pytest.mark.parametrize(
    ("statistic", "dropped", "remark"),
    [
        ("overfitting", ["loss_test"], "overfitting needs loss_test, which the run does not have"),
        ("overfitting", ["loss_test", "loss_validation"],
         "overfitting needs loss_test and loss_validation, which the run does not have"),
        ("signal_before_best", ["clean_amplitude"],
         "signal_before_best needs clean_amplitude, which the run does not have"),
    ],
)  # fmt: skip
def test_an_array_that_is_not_there_is_a_remark(statistic, dropped, remark, made):
    """As of a data set of one's own, of which nothing is known when it is planned."""
    row = judged(made("all_parts", "train", "fft").drop_vars(dropped), statistic)
    assert tuple(row) == verdicts.COLUMNS
    assert (row["verdict"], row["remark"], row["members"]) == ("undecided", remark, "6 of 6")
    assert np.isnan([row["value"], row["ci_low"], row["ci_high"]]).all()


def test_a_statistic_that_fails_is_a_remark_and_its_traceback_goes_to_the_log(made, capsys):
    spectra = made("all_parts", "train", "fft")
    broken = spectra.assign(first_passage=spectra["first_passage"].rename(frequency="another"))
    row = judged(broken, "first_order")
    assert row["verdict"] == "undecided"
    assert re.match(r"first_order failed: \w+: ", row["remark"])
    assert row["remark"].isprintable()
    assert "Traceback" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("statistic", "measure", "control"),
    [("overfitting", "fft", None), ("area_order", "projection", "share"),
     ("low_advantage", "filtering", "share"), ("low_advantage", "filtering", None)],
)  # fmt: skip
def test_an_ensemble_that_diverged_and_one_member_alone_are_told(statistic, measure, control, made):
    spectra = captured(made("all_parts" if measure == "fft" else "digits_apart", "train", measure))
    row = judged(spectra.assign(diverged=~spectra["diverged"]), statistic, measure, control)
    assert (row["verdict"], row["members"]) == ("undecided", "0 of 6")
    assert row["remark"] == "all members diverged"
    row = judged(spectra.isel(member=[0]), statistic, measure, control)
    assert row["verdict"] == "undecided"
    assert row["remark"] == "1 member has no 95% interval; it takes 6"


def test_widths_that_tell_nothing_are_told(made):
    spectra = made("digits_apart", "train", "filtering")
    row = judged(spectra.assign(low_share=0 * spectra["low_share"]), "low_advantage", "filtering")
    assert (row["verdict"], row["remark"]) == ("undecided", "low_advantage is undefined for every member")


def test_a_claim_that_is_decided_has_no_remark(made):
    spectra = made("all_parts", "train", "fft")
    first = xr.zeros_like(spectra["first_passage"]) + spectra["frequency"]
    row = judged(spectra.assign(first_passage=first), "first_order")
    assert (row["verdict"], row["remark"]) == ("holds", "")


def test_rows_with_remarks_are_read_drawn_and_said(made, tmp_path):
    good = made("all_parts", "train", "fft")
    rows = [judged(good.drop_vars("loss_test"), "overfitting"), judged(good, "overfitting")]
    path = tmp_path / "claims.csv"
    pd.DataFrame(rows, columns=verdicts.COLUMNS).to_csv(path, index=False, float_format="%.4g")
    table = verdicts.read_claims(path, 2)
    figure_of_claims.draw(table)
    said = findings.finding("Low first", findings.judged_claims(path)["claim"]).replace("\\", "")
    assert said.endswith("Undecided for base: overfitting needs loss_test, which the run does not have.")


def test_the_jobs_judge_the_other_claims_and_the_report_says_why(made, tmp_path, monkeypatch):
    """As Snakemake runs them."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")  # which the jobs set, too
    whole = captured(made("all_parts", "train", "fft"))
    paths = [tmp_path / "whole.nc", tmp_path / "less.nc"]
    netcdf.save(whole, paths[0])
    netcdf.save(whole.drop_vars("loss_test").assign_attrs(variant="less"), paths[1])
    raw = configuration("all_parts", "train", "fft", "overfitting")
    raw["claims"]["order"] = raw["claims"]["claim"] | {"statistic": "first_order"}
    entries = config.plain(config.load(raw).claims)
    told = {"threads": 1, "wildcards": SimpleNamespace(), "log": [str(tmp_path / "log")]}

    def run_script(name: str, **more) -> None:
        snakemake = SimpleNamespace(rule=name.removesuffix(".py"), **told | more)
        runpy.run_path(str(SCRIPTS / name), init_globals={"snakemake": snakemake})

    run_script(
        "judge_claims.py", input=[str(path) for path in paths], output=SimpleNamespace(claims=tmp_path / "claims.csv"),
        params=SimpleNamespace(claims=entries, spectra={name: {"base": [0], "less": [1]} for name in entries}),
    )  # fmt: skip
    table = verdicts.read_claims(tmp_path / "claims.csv", 4).set_index(["claim", "variant"])
    assert table["value"].notna().to_dict() == {
        ("claim", "base"): True, ("claim", "less"): False, ("order", "base"): True, ("order", "less"): True,
    }  # fmt: skip
    run_script(
        "claims_page.py", input=SimpleNamespace(claims=tmp_path / "claims.csv"),
        output=SimpleNamespace(page=tmp_path / "claims.html"), params=SimpleNamespace(rows=4),
    )  # fmt: skip
    assert "overfitting needs loss_test, which the run does not have" in (tmp_path / "claims.html").read_text()


def test_the_notebook_without_test_samples_is_refused_in_one_line():
    """It ended all claims, after all trainings."""
    with pytest.raises(ConfigError) as error:
        config.load(
            config.merged(
                config.read_yaml(REPOSITORY / "config.yaml"), {"datasets": {"noisy_sines": {"test_samples": 0}}}
            )
        )
    (line,) = error.value.problems
    assert (
        line == "claims.early_stopping_helps.statistic: overfitting needs test samples; give datasets.noisy_sines some"
    )


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dropped",
    [["loss_test"], ["loss_validation"], ["loss_test", "loss_validation"], ["clean_amplitude"],
     ["loss_test", "loss_validation", "clean_amplitude"]],
    ids=" ".join,
)  # fmt: skip
def test_early_stopping_is_drawn_of_what_there_is(dropped, made):
    whole = made("all_parts", "train", "fft")
    figure = early_stopping.draw([whole, whole.drop_vars(dropped)])
    figure.canvas.draw()
    losses = figure.axes[3]
    names = {line.get_label() for line in losses.get_lines()}
    parts = {part for part in ("train", "validation", "test") if f"loss_{part}" not in dropped}
    assert names == parts | ({"best (validation)"} if "validation" in parts else set())
    if "loss_validation" in dropped:
        assert "no validation samples" in losses.get_title(loc="left")


@pytest.mark.parametrize(
    "dropped",
    [["accuracy_test", "loss_test"], ["accuracy_validation", "loss_validation"],
     [f"accuracy_{part}" for part in ("train", "validation", "test")]],
    ids=" ".join,
)  # fmt: skip
def test_early_stopping_and_generalization_are_drawn_of_images_of_what_there_is(dropped, made):
    whole = made("digits_apart", "train", "projection")
    less = whole.drop_vars(dropped)
    early_stopping.draw([whole, less]).canvas.draw()
    figure = generalization.draw([whole, less])
    figure.canvas.draw()
    shown = 1 if "accuracy_test" in dropped else 2
    assert len(figure.axes[1].get_yticks()) == shown
