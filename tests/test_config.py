"""config.yaml: what loads, and what every mistake in it is told in one line."""

import copy
import datetime
import inspect
import itertools
import json
import re
import string
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpkit import config
from fpkit.claims import statistics
from fpkit.config import ConfigError, schema
from fpkit.config.training import Cnn

ROOT = Path(__file__).parents[1]
REAL = config.read_yaml(ROOT / "config.yaml")
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def small() -> dict:
    """A configuration with one of everything, to be spoiled by the tests."""
    return {
        "datasets": {
            "waves": {"kind": "sines", "frequencies": [1, 2]},
            "digits": {"kind": "digits"},
        },
        "experiments": {
            "one": {"dataset": "waves", "model": {"kind": "mlp"}, "decomposition": {"fft": {}}},
            "two": {
                "dataset": "digits",
                "model": {"kind": "cnn"},
                "decomposition": {"projection": {}, "filtering": {}},
            },
        },
        "claims": {
            "order": {
                "statement": "low first",
                "source": "Sec. 3",
                "experiment": "one",
                "measure": "fft",
                "statistic": "first_order",
                "bound": {"at_least": 0.5},
            }
        },
        "figures": {"lines": {"kind": "synthetic", "experiment": "one"}},
    }


def changed(path: str, value) -> dict:
    """The small configuration with `value` at a path of keys parted by slashes; `...` deletes the key."""
    raw = small()
    *parents, last = path.split("/")
    node = raw
    for key in parents:
        node = node.setdefault(key, {})
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return raw


def problems(raw: dict) -> list[str]:
    with pytest.raises(ConfigError) as error:
        config.load(raw)
    assert str(error.value) == "\n".join(error.value.problems)
    for line in error.value.problems:
        assert line.isprintable(), f"not one printable line: {line!r}"
    return error.value.problems


def unfolded(sweep: dict, experiment: str = "one", **changes) -> list[config.Variant]:
    raw = small()
    raw["experiments"][experiment] |= {"sweep": sweep, **changes}
    return [variant for variant in config.variants(config.load(raw)) if variant.experiment == experiment]


# --- problems ---------------------------------------------------------------------------------------------------------


def _claim(measure: str, statistic: str) -> dict:
    """A claim on experiment two, with a control."""
    entry = {"statement": "low first", "source": "Sec. 4", "experiment": "two", "bound": {"at_least": 0}}
    return entry | {"measure": measure, "statistic": statistic, "control": "share"}


# ruff: noqa: E501
# Each case, on a line of its own: where the mistake is, what is written there, and the one line that must come of it (a pattern).
MISTAKES = {
    "extra key": ("datasets/waves/sampels", 3, r"datasets\.waves\.sampels: unknown key 'sampels'; .* 'samples'\?"),
    "extra table": ("figurs", {}, r"figurs: unknown key 'figurs'; did you mean 'figures'\?"),
    "extra key two deep": ("experiments/one/training/stps", 3, r"experiments\.one\.training\.stps: .*'steps'\?"),
    "key of another kind": ("experiments/one/model/channels", [8], r"experiments\.one\.model\.channels: unknown key"),
    "missing": ("experiments/one/dataset", ..., r"experiments\.one\.dataset: is missing"),
    "missing table": ("datasets", ..., r"datasets: is missing"),
    "missing in a union": ("datasets/waves/frequencies", ..., r"datasets\.waves\.frequencies: is missing"),
    "literal": ("experiments/one/model/activation", "rleu", r"experiments\.one\.model\.activation: .*'relu'\?"),
    "number for a literal": ("experiments/two/model/kernel", 4, r"experiments\.two\.model\.kernel: unknown 4"),
    "union kind": ("experiments/one/model/kind", "mpl", r"experiments\.one\.model\.kind: .*'mlp'\? \(.*:name, mlp, residual_mlp, cnn, res"),
    "union kind missing": ("datasets/digits/kind", ..., r"datasets\.digits\.kind: is missing"),
    "type": ("experiments/one/training/steps", "many", r"experiments\.one\.training\.steps: .*'many'"),
    "type in a list": ("datasets/waves/frequencies", [1, "x"], r"datasets\.waves\.frequencies\.1: .*'x'"),
    "mapping wanted": ("experiments/one/model", "mlp", r"experiments\.one\.model\.kind: is missing; say which kind"),
    "number where a mapping is wanted": ("datasets/waves", 3, r"datasets\.waves\.kind: is missing; say which kind"),
    "list where a mapping is wanted": ("experiments/one/training", [], r"experiments\.one\.training: .*\[\]"),
    "left out by null": ("datasets/waves", None, r"experiments\.one\.dataset: unknown dataset 'waves'"),
    "range": ("experiments/one/training/learning_rate", -1, r"experiments\.one\.training\.learning_rate: .*-1"),
    "not finite": ("experiments/one/training/learning_rate", float("inf"), r"\.learning_rate: .*finite"),
    "fraction": ("experiments/one/decomposition/fft", {"threshold": 1.5}, r"fft\.threshold: .*1\.5"),
    "name of a path": ("datasets/../x", {"kind": "digits"}, r"'\.\./x' is no name"),
    "name with a space": ("datasets/a b", {"kind": "digits"}, r"'a b' is no name"),
    "name with a separator": ("claims/a~b", {}, r"'a~b' is no name"),
    "dangling dataset": ("experiments/one/dataset", "wave", r"experiments\.one\.dataset: .*'wave'.*'waves'\?"),
    "dangling claim": ("claims/order/experiment", "on", r"claims\.order\.experiment: unknown experiment 'on'.*'one'\?"),
    "dangling figure": ("figures/lines/experiment", "three", r"figures\.lines\.experiment: unknown experiment 'three'"),
    "measure on a line": ("experiments/one/decomposition/filtering", {}, r"experiments\.one\.decomposition\.filtering"),
    "measure on images": ("experiments/two/decomposition/fft", {}, r"experiments\.two\.decomposition\.fft: .*'digits'"),
    "no measure": ("experiments/two/decomposition", {}, r"experiments\.two\.decomposition: names no measure"),
    "cnn on a line": ("experiments/one/model", {"kind": "cnn"}, r"experiments\.one\.model: cnn needs images"),
    "classes on a line": ("experiments/one/training/loss", "cross_entropy", r"experiments\.one\.training\.loss: cross"),
    "momentum of adam": ("experiments/one/training/momentum", 0.9, r"experiments\.one\.training: momentum goes with"),
    "Nyquist": ("datasets/waves/frequencies", [1, 100], r"datasets\.waves: frequency 100 .*Nyquist frequency 100"),
    "address": ("dask", {"address": "localhost"}, r"dask\.address: .* not 'localhost'"),
    "content": ("experiments/one/record", {"content": "spectra"}, r"content: unknown 'spectra'; did you mean 'spectrum'"),
    "lengths": ("datasets/waves/amplitudes", [1, 2, 3], r"datasets\.waves: amplitudes has 3 values for 2 frequencies"),
    "lengths of phases": ("datasets/waves/phases", [1], r"datasets\.waves: phases has 1 values for 2 frequencies"),
    "empty interval": ("datasets/waves/interval", [1, 1], r"datasets\.waves: interval .* is empty"),
    "interval of one": ("datasets/waves/interval", [0], r"datasets\.waves\.interval\.1: is missing"),
    "two bounds": ("claims/order/bound", {"at_least": 1, "at_most": 2}, r"claims\.order\.bound: .*one of at_least, at_most and between"),
    "no bound": ("claims/order/bound", {}, r"claims\.order\.bound: .*one of at_least, at_most and between"),
    "bound the wrong way round": ("claims/order/bound", {"between": [2, 1]}, r"claims\.order\.bound: between: give the lower end, then"),
    "bound of one end": ("claims/order/bound", {"between": [2]}, r"claims\.order\.bound\.between"),
    "given of nothing known": ("claims/order/given", {"captred": {"at_least": 1}}, r"claims\.order\.given.*captred"),
    "given of another measure": ("claims/order/given", {"low_advantage": {"at_least": 1}}, r"claims\.order\.given: low_advantage is no statistic of fft, but of filtering; leave it out"),
    "given without classes": ("claims/order/given", {"train_accuracy": {"at_least": 0.9}}, r"claims\.order\.given: train_accuracy needs classes, 'waves' has none"),
    "given without samples": ("claims/order/given", {"overfitting": {"at_least": 1}}, r"claims\.order\.given: overfitting needs .* samples; give datasets\.waves some"),
    "given itself": ("claims/order/given", {"first_order": {"at_least": 0}}, r"claims\.order\.given: first_order is what the claim is about"),
    "explanation of nothing": ("claims/order/explains", "oder", r"claims\.order\.explains: unknown explains 'oder'; did you mean 'order'\?"),
    "explanation of itself": ("claims/order/explains", "order", r"claims\.order\.explains: a claim does not explain itself"),
    "conjecture of no variant": ("claims/order/conjecture", {"bse": "Why."}, r"claims\.order\.conjecture: unknown variant 'bse'; did you mean 'base'\?"),
    "pool of no axis": ("claims/order/pool", "dataset.seed", r"claims\.order\.pool: unknown axis 'dataset\.seed' \(allowed: none\)"),
    "why not": ("claims/order/why_not", "Because.", r"claims\.order\.why_not: unknown key"),
    "statistic of another measure": ("claims/order/statistic", "low_advantage", r"claims\.order\.measure: low_advantage"),
    "control of fft": ("claims/order/control", "share", r"order\.control: share is not .* add it to experiments\.one\.decomposition\.fft\.nulls"),
    "control of paces": ("claims/order", _claim("projection", "area_order") | {"control": "paces"}, r"order\.control: projection computes no paces of area_order; leave it out, or take share$"),
    "few draws": ("experiments/one/decomposition/fft/null_draws", 8, r"fft\.null_draws: .*20"),
    "control of another": ("claims/order", _claim("projection", "test_accuracy"), r"\.control: projection computes no share of test_acc"),
    "figure of nothing": ("figures/lines/experiment", ..., r"figures\.lines: experiment is missing; say what to draw"),
    "figure of an empty list": ("figures/lines/experiment", [], r"figures\.lines: experiment is missing"),
    "figure of a list": ("figures/lines/experiment", ["one", "on"], r"figures\.lines\.experiment: .*'on'.*'one'\?"),
    "figure of one unsuited": ("figures/lines/experiment", ["one", "two"], r"figures\.lines: needs experiments\.two\.dec"),
    "variants of a claim": ("claims/order/variants", "a~b", r"claims\.order\.variants: .*list.*'a~b'"),
    "part of nowhere": ("experiments/one/model/activation", "no.where:bump", r"one\.model\.activation: cannot find module 'no\.where'"),
    "part that is not there": ("experiments/one/training/loss", "fpkit.errors:mes", r"training\.loss: .*errors\.py defines no 'mes'"),
    "part without a colon": ("experiments/one/training/optimizer", "mine.rprop", r"\.optimizer: unknown 'mine\.rprop'.*package\.module:name\)"),
    "own model of nowhere": ("experiments/one/model", {"kind": "no.where:net"}, r"one\.model\.kind: cannot find module 'no\.where'"),
    "own model, extra key": ("experiments/one/model", {"kind": "fpkit.errors:UserError", "widths": [1]}, r"model\.widths: .*\(allowed: kind, options\)"),
    "own data set that is not there": ("datasets/own", {"kind": "fpkit.errors:saw"}, r"datasets\.own\.kind: .* defines no 'saw'"),
    "own data set, extra key": ("datasets/saw", {"kind": "fpkit.errors:UserError", "option": {}}, r"datasets\.saw\.option: .*'options'\?"),
    "own data set, options": ("datasets/saw", {"kind": "fpkit.errors:UserError", "options": [1]}, r"datasets\.saw\.options: .*\[1\]"),
    "parity of too many bits": ("datasets/p", {"kind": "parity", "bits": 11}, r"datasets\.p: bits 11 exceeds dimensions 10"),
    "parity without a test part": ("datasets/p", {"kind": "parity", "train_fraction": 1}, r"datasets\.p\.train_fraction: .*less than 1"),
    "parity of too many inputs": ("datasets/p", {"kind": "parity", "dimensions": 17}, r"datasets\.p\.dimensions: .*16"),
    "photograph of nothing": ("datasets/p", {"kind": "photograph", "image": "flwer"}, r"datasets\.p\.image: .*'flower'\?"),
    "photograph too small": ("datasets/p", {"kind": "photograph", "size": 4}, r"datasets\.p\.size: .*8"),
    "photograph of no scale": ("datasets/p", {"kind": "photograph", "fourier_scale": 0}, r"datasets\.p\.fourier_scale: .*0"),
    "nesterov without momentum": ("experiments/one/training/nesterov", True, r"one\.training: nesterov needs a momentum"),
    "sweep of a part of nowhere": ("experiments/one/sweep", {"model": {"a": {"kind": "no.where:net"}}}, r"sweep\.model\.kind: cannot find module"),
    "sweep of unnamed paths": ("experiments/one/sweep", {"model.activation": ["fpkit.training.networks:F"]}, r"no file name; give the values names"),
    "sweep of null points": ("experiments/one/sweep", {"model.activation": {"a": None}}, r"sweep\.model\.activation: names no value"),
    "claim on a measure not taken": ("claims/order/experiment", "two", r"claims\.order: needs .*two\.decomposition\.fft"),
    "figure of a measure not taken": ("figures/lines/kind", "filtering", r"figures\.lines: needs experiments\.one"),
    "sweep key": ("experiments/one/sweep", {"model.activatoin": ["relu"]}, r"sweep\.model\.activatoin: .*'activation'\?"),
    "sweep table": ("experiments/one/sweep", {"modl.activation": ["relu"]}, r"experiments\.one\.sweep\.modl\.activation"),
    "sweep value": ("experiments/one/sweep", {"model.activation": ["relu", "rleu"]}, r"sweep\.model\.activation: .*'relu'\?"),
    "sweep value unsuited": ("experiments/one/sweep", {"dataset": ["digits"]}, r"dataset~digits\)\.decomposition\.fft"),
    "sweep value dangling": ("experiments/one/sweep", {"dataset": ["digts"]}, r"unknown dataset 'digts'.*'digits'\?"),
    "sweep twice the same": ("experiments/one/sweep", {"model.activation": ["relu", "relu"]}, r"two variants are called"),
    "sweep twice one number": ("experiments/one/sweep", {"training.steps": [10, 10.0]}, r"two variants are called"),
    "sweep of unnamed mappings": ("experiments/one/sweep", {"model": [{"kind": "mlp"}]}, r"sweep\.model: .*names"),
    "sweep below a scalar": ("experiments/one/sweep", {"model": [0.1], "model.std": [1.0]}, r"experiments\.one.*model"),
    "sweep of nothing": ("experiments/one/sweep", {"model.activation": []}, r"sweep\.model\.activation: names no value"),
    "sweep of a scalar": ("experiments/one/sweep", {"model.activation": "relu"}, r"sweep\.model\.activation: .*list"),
    "sweep with a bad name": ("experiments/one/sweep", {"model": {"a/b": {}}}, r"'a/b' is no name"),
    "sweep with an empty key": ("experiments/one/sweep", {"": ["relu"]}, r"unknown key ''"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_told_in_one_line_with_its_place(case):
    path, value, pattern = MISTAKES[case]
    found = problems(changed(path, value)) if "../" not in path else problems(_with_dataset("../x"))
    assert any(re.search(pattern, line) for line in found), "\n".join(found)


def _with_dataset(name: str) -> dict:
    raw = small()
    raw["datasets"][name] = {"kind": "digits"}
    return raw


@pytest.mark.parametrize("name", ["../x", "", ".", "..", "a/b", "a b", "-x", "ä", "a\nb", "a,b", "a~b", "x\n"])
def test_name_that_would_be_a_bad_file_name_is_refused(name):
    assert any("is no name" in line for line in problems(_with_dataset(name)))


@pytest.mark.parametrize(
    "raw",
    [
        changed("experiments/one/model/a\nb", 1),
        changed("experiments/one/dataset", "a\nb"),
        changed("experiments/one/sweep", {"dataset": ["a\nb"]}),
        changed("experiments/one/sweep", {"model.a\nb": ["a"]}),
        changed("datasets/a\nb", {"kind": "digits"}) | {"experiments": {}},
        changed("claims/order/experiment", "x" * 500),
    ],
    ids=["key", "reference", "sweep value", "sweep key", "allowed names", "long"],
)
def test_text_with_line_breaks_still_gives_one_line_each(raw):
    assert problems(raw)


def test_all_problems_come_at_once():
    raw = small()
    raw["datasets"]["waves"]["sampels"] = 3
    raw["experiments"]["one"]["model"]["activation"] = "rleu"
    raw["experiments"]["two"]["dataset"] = "digts"
    raw["figures"]["lines"]["experiment"] = "on"
    raw["claims"]["order"]["bound"] = {}
    found = problems(raw)
    assert len(found) == 5
    for place in (
        "datasets.waves.sampels:", "experiments.one.model.activation:", "experiments.two.dataset:",
        "figures.lines.experiment:", "claims.order.bound:",
    ):  # fmt: skip
        assert sum(line.startswith(place) for line in found) == 1


@pytest.mark.parametrize(
    ("kind", "taken", "measure"),
    [
        ("parity", "fft", "graph or walsh or ntk"),
        ("photograph", "walsh", "fft or graph or radial or components or ntk"),
        ("digits", "fft", "projection or filtering or graph or components or ntk"),
    ],
)
@pytest.mark.parametrize("model", ["cnn", "residual_cnn"])
def test_data_set_tells_what_suits_it(kind, taken, measure, model):
    raw = changed("datasets/new", {"kind": kind})
    raw["experiments"]["three"] = three(taken) | {"dataset": "new", "model": {"kind": model}}
    found = problems(raw)
    assert f"experiments.three.decomposition.{taken}: does not suit 'new'; use {measure}" in found
    needs = f"experiments.three.model: {model} needs images, 'new' has none; use mlp"
    assert (needs in found) == (kind != "digits")
    assert len(found) == 2 - (kind == "digits")


def three(measure: str) -> dict:
    """An experiment on the data set `new`."""
    split = "all" if measure == "walsh" else "train"
    return {"dataset": "new", "model": {"kind": "mlp"}, "record": {"split": split}, "decomposition": {measure: {}}}


def test_parity_and_photograph_load_with_what_suits_them():
    for dataset, measure in (({"kind": "parity", "bits": 10}, "walsh"), ({"kind": "photograph"}, "radial")):
        raw = changed("datasets/new", dataset)
        raw["experiments"]["three"] = three(measure)
        assert list(config.load(raw).experiments["three"].decomposition.measures) == [measure]


MADE = {"kind": "graph_bands", "components": 5}


def with_target(dataset: dict, measure: str = "components") -> dict:
    raw = changed("datasets/new", dataset)
    raw["experiments"]["three"] = three(measure)
    return raw


@pytest.mark.parametrize("dataset", [{"kind": "digits"}, {"kind": "photograph"}, {"kind": "cifar10"}])
def test_components_need_a_made_target_which_is_no_class(dataset):
    place = "experiments.three.decomposition.components"
    assert problems(with_target(dataset)) == [f"{place}: needs a made target; give datasets.new a target"]
    loaded = config.load(with_target(dataset | {"target": MADE}))
    assert config.plain(loaded.datasets["new"])["target"] == MADE | {"strength": None, "width": 0.25}
    raw = with_target(dataset | {"target": MADE | {"strength": 0.5}})
    raw["experiments"]["three"]["training"] = {"loss": "cross_entropy"}
    (found,) = problems(raw)
    assert found == "experiments.three.training.loss: cross_entropy needs one-hot classes, 'new' has none; use mse"


def test_made_targets_tell_what_is_wrong_with_them():
    for target, told in (
        ({"kind": "graph_band"}, r"datasets\.new\.target\.kind: unknown 'graph_band'; did you mean 'graph_bands'\?.*"),
        ({"kind": "sines", "width": 1}, r"datasets\.new\.target\.width: unknown key.*"),
        ({"kind": "sines", "components": 1}, r"datasets\.new\.target\.components: .*2.*"),
    ):
        (found,) = problems(with_target({"kind": "digits", "target": target}))
        assert re.fullmatch(told, found), found
    for key, value in (("label_noise", 0.1), ("shuffle_labels", True)):
        (found,) = problems(with_target({"kind": "digits", "target": MADE, key: value}))
        assert f"{key} changes labels, which target replaces" in found
        config.load(with_target({"kind": "digits", "target": MADE | {"strength": 1}, key: value}))


def test_photograph_has_a_grid_of_its_own():
    raw = changed("datasets/new", {"kind": "photograph", "size": 20})
    raw["experiments"]["three"] = three("fft")
    assert config.load(raw)
    raw["experiments"]["three"] |= {"record": {"split": "test"}, "decomposition": {"fft": {"frequencies": [4, 11]}}}
    assert problems(raw) == [
        "experiments.three.record.split: fft of a picture needs train, not test",
        "experiments.three.decomposition.fft.frequencies: 11 is beyond 10, the highest of 'new'; lower it",
    ]
    raw["experiments"]["three"] = three("fft")
    for kind in ("synthetic", "animation"):
        raw["figures"] = {"lines": {"kind": kind, "experiment": "three"}}
        assert problems(raw) == [
            f"figures.lines.kind: {kind} needs inputs on a line, 'new' has pixels; take natural_image, of radial"
        ]


def test_walsh_is_refused_unless_all_points_are_recorded():
    raw = changed("datasets/new", {"kind": "parity"})
    raw["experiments"]["three"] = three("walsh") | {"record": {"split": "test"}}
    assert problems(raw) == ["experiments.three.record.split: walsh needs all, not test"]


def test_each_variant_is_validated_once(monkeypatch):
    validated = []
    kept = schema._validated
    monkeypatch.setattr(schema, "_validated", lambda raw: validated.append(raw) or kept(raw))
    raw = changed("experiments/one/sweep", {"model.activation": ["relu", "tanh"], "training.steps": [5, 6, 7]})
    loaded = config.load(raw)
    assert len(config.variants(loaded)) == 6 + 1
    assert len(validated) == 6 + 1


def recorded(dataset: str, measures: dict) -> dict:
    """A configuration with an experiment `three` that records a spectrum."""
    raw = changed("datasets/digits", {"kind": "digits"})
    raw["datasets"]["saw"] = {"kind": "fpkit.datasets.sines:build", "options": {"frequencies": [1]}}
    raw["experiments"]["three"] = {
        "dataset": dataset, "model": {"kind": "mlp"}, "record": {"content": "spectrum"}, "decomposition": measures,
    }  # fmt: skip
    return raw


@pytest.mark.parametrize(
    ("measures", "basis"),
    [
        (
            {"projection": {"max_frequency": 9, "frequencies": [3, 12], "nulls": ["share"]}},
            {"highest": 12, "kind": "principal"},
        ),
        (
            {"projection": {"direction": 2, "seed": 5, "nulls": ["share"]}},
            {"highest": 20, "kind": "principal", "direction": 2},
        ),
        (
            {"projection": {"direction": "random", "seed": 5, "nulls": ["share"]}},
            {"highest": 20, "kind": "principal", "direction": "random", "seed": 5},
        ),
        ({"fft": {}}, {"kind": "fourier"}),
        (
            {"graph": {"neighbours": 5, "nulls": ["share"]}},
            {"kind": "graph", "width": 0.25, "neighbours": 5, "modes": 256, "bands": 10, "dense_limit": 4000},
        ),
        ({"walsh": {}}, {"kind": "walsh"}),
        ({"radial": {"rings": 5}}, {"kind": "rings", "rings": 5}),
        ({"components": {}}, {"kind": "components"}),
        ({"ntk": {"modes": [2, 1]}}, {"kind": "circle", "modes": [2, 1]}),
    ],
)
def test_spectrum_is_recorded_along_the_basis_of_its_measure(measures, basis):
    (variant,) = (v for v in config.variants(config.load(recorded("saw", measures))) if v.experiment == "three")
    assert variant.record == {"basis": basis, "per_decade": 50, "split": "train"}
    assert_plain(variant.record)


def test_every_measure_has_a_basis_but_the_filter():
    assert {name for name, entry in config.MEASURES.items() if entry().basis is None} == {"filtering"}
    bases = {entry().basis["kind"] for name, entry in config.MEASURES.items() if name != "filtering"}
    assert bases == modules("bases") - {"__init__", "basis", "eigenvectors", "recorded", "waves"}


def test_spectrum_is_recorded_of_one_measure_that_has_a_basis():
    assert problems(recorded("digits", {"filtering": {}})) == [
        "experiments.three.decomposition.filtering: needs predictions; set record.content to predictions, or leave it out"
    ]
    assert problems(recorded("saw", {"fft": {}, "projection": {"nulls": []}})) == [
        "experiments.three.record.content: spectrum keeps what one measure needs, not fft and projection; leave out all but one"
    ]


def test_paces_need_predictions():
    raw = recorded("digits", {"projection": {"nulls": ["share", "paces"]}})
    assert problems(raw) == [
        "experiments.three.decomposition.projection.nulls: paces needs predictions; leave it out, or set record.content to"
        " predictions"
    ]
    raw["experiments"]["three"]["decomposition"]["projection"]["nulls"] = ["share"]
    assert config.load(raw)


@pytest.mark.parametrize(
    ("content", "measure", "nulls"),
    [("predictions", "projection", ["share", "paces"]), ("predictions", "filtering", ["share", "paces"]),
     ("predictions", "graph", ["share", "paces"]), ("spectrum", "projection", ["share"]),
     ("spectrum", "graph", ["share"]), ("spectrum", "fft", []), ("predictions", "fft", [])],
)  # fmt: skip
def test_nulls_that_are_left_out_go_by_what_is_recorded_also_in_a_sweep(content, measure, nulls):
    raw = recorded("saw" if measure == "fft" else "digits", {measure: {}})
    raw["experiments"]["three"]["record"]["content"] = content
    (variant,) = [one for one in config.variants(config.load(raw)) if one.experiment == "three"]
    assert variant.decomposition[measure]["nulls"] == nulls
    other = "predictions" if content == "spectrum" else "spectrum"
    raw["experiments"]["three"]["record"]["content"] = other
    raw["experiments"]["three"]["sweep"] = {"record.content": [content]}
    (variant,) = [one for one in config.variants(config.load(raw)) if one.experiment == "three"]
    assert variant.decomposition[measure]["nulls"] == nulls


@pytest.mark.parametrize("kind", ["synthetic", "animation"])
def test_figure_of_outputs_needs_predictions(kind):
    raw = recorded("saw", {"fft": {}})
    raw["figures"]["three"] = {"kind": kind, "experiment": "three"}
    assert problems(raw) == [
        f"figures.three.kind: {kind} shows predictions; set experiments.three.record.content to predictions"
    ]
    raw["figures"]["three"] = {"kind": "order", "experiment": "three"}
    assert config.load(raw)


def test_accuracies_of_parity_need_predictions():
    raw = recorded("bits", {"walsh": {}})
    raw["datasets"]["bits"] = {"kind": "parity"}
    raw["experiments"]["three"]["record"]["split"] = "all"
    raw["claims"]["order"] = _claim("walsh", "test_accuracy") | {"experiment": "three", "control": None}
    (line,) = problems(raw)
    assert line.endswith("test_accuracy needs predictions; set experiments.three.record.content to predictions")
    raw["claims"]["order"]["statistic"] = "first_order"
    assert config.load(raw)


@pytest.mark.parametrize("measure", config.MEASURES)
def test_own_data_set_takes_any_measure_model_and_loss(measure):
    raw = changed("datasets/saw", {"kind": "fpkit.datasets.sines:build", "options": {"frequencies": [1]}})
    raw["experiments"]["three"] = {
        "dataset": "saw", "model": {"kind": "cnn"}, "training": {"loss": "cross_entropy"}, "decomposition": {measure: {}},
        "record": {"split": "all"},
    }  # fmt: skip
    assert config.load(raw).datasets["saw"].options == {"frequencies": [1]}


def test_parts_of_ones_own_load_wherever_a_name_may_stand():
    raw = small()
    raw["experiments"]["one"]["model"] |= {"activation": "fpkit.training.networks:F"}
    raw["experiments"]["one"]["training"] = {"optimizer": "fpkit.errors:UserError", "loss": "fpkit.training.losses:mae"}
    raw["experiments"]["two"]["model"] = {
        "kind": "fpkit.errors:UserError",
        "options": {"b": [1], "a": {"z": 1, "y": 2}},
    }
    one, two = config.variants(config.load(raw))
    assert one.model["activation"] == "fpkit.training.networks:F"
    assert (one.training["optimizer"], one.training["loss"]) == ("fpkit.errors:UserError", "fpkit.training.losses:mae")
    assert two.model == {"kind": "fpkit.errors:UserError", "options": {"a": {"y": 2, "z": 1}, "b": [1]}}
    assert_plain(two.model)


def modules(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / "fpkit" / folder).glob("*.py")}


def test_every_entry_has_its_module_or_its_function_and_no_more():
    assert set(config.FIGURES) == modules("figures/kinds") - {"__init__", "replication"}
    assert set(config.MEASURES) == modules("measures/kinds") - {"__init__"}
    for name in config.MEASURES:
        assert hasattr(import_module(f"fpkit.measures.kinds.{name}"), "decompose")
    public = {name for name, function in vars(statistics).items() if inspect.isfunction(function) and name[0] != "_"}
    assert set(config.STATISTICS) == public - {"best_step", "signal"}
    shown = {measure for figure in config.FIGURES.values() for measure in figure.measures}
    assert shown == set(config.MEASURES)
    assert {measure for name in config.STATISTICS for measure in config.measures_of(name)} == set(config.MEASURES)


def test_a_key_called_like_pydantics_mark_is_unknown_as_any():
    assert problems({"datasets": {}, "[key]": 1})[-1].startswith("[key]: unknown key '[key]'")
    raw = changed("experiments/one/[key]", 1)
    assert problems(raw)[0].startswith("experiments.one.[key]: unknown key '[key]'")


def test_statistic_is_of_every_measure_whose_spectra_hold_what_it_needs():
    assert config.measures_of("rate_slope") == ["ntk"]
    assert config.measures_of("low_advantage") == ["filtering"]
    assert config.measures_of("signal_before_best") == ["fft"]
    assert config.measures_of("first_order") == ["fft", "projection", "graph", "walsh", "radial", "components", "ntk"]
    assert config.measures_of("overfitting") == list(config.MEASURES)


def test_test_accuracy_of_what_has_no_classes_is_refused():
    raw = changed("claims/order", _claim("fft", "test_accuracy") | {"experiment": "one", "control": None})
    assert problems(raw) == [
        f"claims.order.statistic: test_accuracy needs classes, {raw['experiments']['one']['dataset']!r} has none"
    ]
    raw["claims"]["order"] |= {"experiment": "two", "measure": "projection"}
    assert config.load(raw)


@pytest.mark.parametrize("measure", ["walsh", "radial", "ntk", "fft"])
def test_control_is_refused_where_the_measure_computes_none(measure):
    raw = changed(
        "datasets/new",
        {"walsh": {"kind": "parity"}, "radial": {"kind": "photograph"}}.get(
            measure, {"kind": "sines", "frequencies": [1], "embedding": "circle"}
        ),
    )
    raw["experiments"]["three"] = three(measure)
    if measure == "ntk":
        raw["experiments"]["three"]["training"] = {"optimizer": "sgd"}
    statistic = "test_accuracy" if measure == "walsh" else "first_order"
    raw["claims"]["order"] = _claim(measure, statistic) | {"experiment": "three"}
    (line,) = problems(raw)
    if measure == "walsh":  # of accuracies, nothing has one
        assert line == "claims.order.control: walsh computes no share of test_accuracy; leave it out"
    else:
        key = f"experiments.three.decomposition.{measure}.nulls"
        assert line == f"claims.order.control: share is not computed; add it to {key}"
        raw["experiments"]["three"]["decomposition"][measure]["nulls"] = ["share"]
        assert config.load(raw)
    del raw["claims"]["order"]["control"]
    assert config.load(raw)


def test_figure_takes_one_experiment_or_a_list():
    raw = changed("figures/lines", {"kind": "order", "experiment": ["one", "two"]})
    raw["figures"]["table"] = {"kind": "claims"}
    loaded = config.load(raw)
    assert loaded.figures["lines"].experiments == ["one", "two"]
    assert config.load(small()).figures["lines"].experiments == ["one"]
    assert loaded.figures["table"].experiments == []


def test_claim_is_about_all_variants_unless_patterns_are_given():
    assert config.load(small()).claims["order"].variants == ["*"]
    raw = changed("claims/order/variants", ["activation~relu", "*+std~0.1"])
    raw["experiments"]["one"]["sweep"] = {"model.activation": ["relu"]}
    assert problems(raw) == ["claims.order.variants: unknown variant '*+std~0.1' (allowed: activation~relu)"]
    raw["experiments"]["one"]["sweep"] = {"model.activation": ["relu", "tanh"], "model.std": [0.1]}
    raw["claims"]["order"]["variants"] = ["activation~relu+*", "*+std~0.1"]
    assert config.load(raw).claims["order"].variants == ["activation~relu+*", "*+std~0.1"]


@pytest.mark.parametrize("statistic", ["signal_before_best", "noise_after_best", "overfitting"])
@pytest.mark.parametrize(
    ("dataset", "key"),
    [({"kind": "sines", "frequencies": [1]}, "validation_samples"), ({"kind": "digits"}, "validation_limit")],
)
def test_statistic_of_early_stopping_is_refused_without_validation_samples(statistic, dataset, key):
    measure = "fft" if dataset["kind"] == "sines" else "projection"
    if measure not in config.measures_of(statistic):
        return
    raw = changed("datasets/new", dict(dataset))
    raw["experiments"]["three"] = three(measure)
    raw["claims"]["order"] |= {"experiment": "three", "measure": measure, "statistic": statistic}
    (line,) = problems(raw)
    assert line == f"claims.order.statistic: {statistic} needs validation samples; give datasets.new some"
    raw["datasets"]["new"][key] = 20
    config.load(raw)


# --- null leaves out --------------------------------------------------------------------------------------------------


def test_entries_set_to_null_are_left_out_of_every_table():
    raw = small()
    raw["datasets"]["waves"] = raw["experiments"]["one"] = raw["claims"]["order"] = raw["figures"]["lines"] = None
    loaded = config.load(raw)
    assert (list(loaded.datasets), list(loaded.experiments)) == (["digits"], ["two"])
    assert not loaded.claims
    assert not loaded.figures
    assert raw["datasets"]["waves"] is None  # what was given stays as it was


def test_what_needs_an_entry_that_was_left_out_is_told():
    found = problems(changed("experiments/one", None))
    assert sorted(line.split(":")[0] for line in found) == ["claims.order.experiment", "figures.lines.experiment"]


def test_nothing_left_is_told():
    raw = small() | {"claims": {}, "figures": {}, "experiments": {"one": None, "two": None}}
    (line,) = problems(raw)
    assert line.startswith("experiments: ")


def test_null_leaves_out_sweep_axes_and_named_points():
    axes = {"model.activation": ["tanh", "relu"], "training": {"slow": {"steps": 9}, "fast": {"steps": 3}}}
    assert len(unfolded(axes)) == 4
    without_axis = unfolded(axes | {"model.activation": None})
    assert [variant.name for variant in without_axis] == ["training~slow", "training~fast"]
    points = {"training": {"slow": {"steps": 9}, "fast": None}, "model.activation": None}
    assert [(v.name, v.training["steps"]) for v in unfolded(points)] == [("training~slow", 9)]
    (base,) = unfolded({"model.activation": None})
    assert base.name == "base"


def test_null_elsewhere_is_a_value():
    (variant,) = unfolded({"training.batch_size": [None]}, training={"batch_size": 5})
    assert variant.training["batch_size"] is None
    (variant,) = unfolded({"training": {"all": {"batch_size": None}}}, training={"batch_size": 5})
    assert variant.training["batch_size"] is None


def test_overlay_takes_out_with_null_what_the_file_below_has():
    overlaid = config.load(config.merged(REAL, config.read_yaml(ROOT / "presets/smoke.yaml")))
    assert set(overlaid.experiments) == {"synthetic", "images"}
    assert {claim.experiment for claim in overlaid.claims.values()} == {"synthetic", "images"}


def test_example_of_the_design_is_met_word_for_word():
    raw = small()
    raw["experiments"]["activations"] = copy.deepcopy(raw["experiments"]["one"])
    raw["experiments"]["activations"]["model"]["activation"] = "rleu"
    (line,) = problems(raw)
    assert line.startswith("experiments.activations.model.activation: unknown 'rleu'; did you mean 'relu'?")


def test_suggestion_is_left_out_where_nothing_is_near():
    (line,) = problems(changed("experiments/one/model/activation", "zzzzz"))
    assert "did you mean" not in line
    assert "ricker" in line  # all that is allowed is listed


def test_configuration_is_left_as_it_was():
    raw = small()
    config.variants(config.load(raw))
    assert raw == small()


# --- files ------------------------------------------------------------------------------------------------------------


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path):
    path = tmp_path / "config.yaml"
    raw = changed("experiments/one/training", {"learning_rate": 0.5})
    raw["experiments"]["one"]["sweep"] = {"training.learning_rate": ["SECOND"]}
    path.write_text(yaml.safe_dump(raw).replace("0.5", "1e-2").replace("SECOND", "1e-3"))
    read = config.read_yaml(path)
    assert read["experiments"]["one"]["training"]["learning_rate"] == "1e-2"  # the trap is real
    loaded = config.load(read)
    assert loaded.experiments["one"].training.learning_rate == 0.01
    (variant, _) = config.variants(loaded)
    assert variant.name == "learning_rate~0.001"
    assert variant.training["learning_rate"] == 0.001


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("datasets:\n  a: [1, 2\nb: 3\n", 3, "broken YAML"),
        ("datasets:\n  a: 1\n  b: 2\n  a: 3\n", 4, "'a' is given twice"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice"),
        ("a: 1\n\tb: 2\n", 2, "broken YAML"),
        ("a: *nowhere\n", 1, "broken YAML"),
        ("a: {b: 1, c: 2, b: 3}\n", 1, "'b' is given twice"),
        ("a: 1\n? [1, 2]\n: 3\n", 2, "broken YAML"),
    ],
    ids=["unclosed", "twice, nested", "twice", "tab", "alias", "twice, inline", "list as key"],
)
def test_broken_yaml_names_file_and_line(tmp_path, text, line, what):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        config.read_yaml(path)
    (problem,) = error.value.problems
    assert problem.startswith(f"{path}, line {line}: ")
    assert what in problem
    assert "\n" not in problem


def test_merge_keys_and_equal_keys_of_different_mappings_are_no_repetition(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {x: 1}\nb: &b {y: 2}\nc: {<<: *a, z: 3}\nd:\n  <<: [*a, *b]\n  x: 5\n")
    assert config.read_yaml(path)["d"] == {"x": 5, "y": 2}


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"text\n", b"a: \xff\xfe\n", b"a: \x00\n"])
def test_file_without_a_readable_mapping_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.yaml") as error:
        config.read_yaml(path)
    assert "\n" not in str(error.value)


def test_missing_file_is_told_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.yaml: No such file"):
        config.read_yaml(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    "value", ["2020-01-01", "2020-01-01 10:00:00", "!!set {a, b}", "!!binary aGVsbG8=", "&x [*x]", "1" * 400]
)
def test_whatever_yaml_can_say_gives_one_line(tmp_path, value):
    path = tmp_path / "config.yaml"
    raw = changed("datasets/waves/samples", "VALUE")
    path.write_text(yaml.safe_dump(raw).replace("VALUE", value))
    with pytest.raises(ConfigError) as error:
        config.load(config.read_yaml(path))
    assert error.value.problems
    assert all(line.isprintable() for line in error.value.problems)


def test_schema_for_editors_is_current_and_named_in_the_first_line():
    schema = ROOT / "workflow/schemas/config.schema.json"
    assert schema.read_text() == config.json_schema()
    assert json.loads(schema.read_text())["additionalProperties"] is False
    first, *_ = (ROOT / "config.yaml").read_text().splitlines()
    assert first == f"# yaml-language-server: $schema={schema.relative_to(ROOT)}"


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "presets").glob("*.yaml")))
def test_every_preset_over_the_config_loads(preset):
    assert config.variants(config.load(config.merged(REAL, config.read_yaml(ROOT / "presets" / preset))))


def test_config_and_smoke_preset_over_it_load():
    smoke = config.read_yaml(ROOT / "presets/smoke.yaml")
    assert config.variants(config.load(REAL))
    overlaid = config.load(config.merged(REAL, smoke))
    assert overlaid.experiments["synthetic"].training.steps == smoke["experiments"]["synthetic"]["training"]["steps"]
    assert config.variants(overlaid)


def test_defaults_satisfy_their_own_constraints():
    loaded = config.load(small())
    # Laying every default out in full and loading it again checks each of them as if the user had written it.
    again = config.load(config.plain(loaded))
    assert again == loaded
    assert config.variants(again) == config.variants(loaded)


# --- variants ---------------------------------------------------------------------------------------------------------


def assert_plain(value):
    """Builtin types all the way down, mappings in sorted order: equal content has equal repr."""
    if type(value) is dict:
        assert list(value) == sorted(value)
        assert all(type(key) is str for key in value)
        for item in value.values():
            assert_plain(item)
    elif type(value) is list:
        for item in value:
            assert_plain(item)
    else:
        assert value is None or type(value) in (str, int, float, bool)


def test_variants_are_plain_and_sorted():
    for variant in config.variants(config.load(REAL)):
        for field in ("model", "training", "record", "decomposition"):
            assert_plain(getattr(variant, field))


def test_order_of_keys_in_the_file_does_not_change_the_repr_of_a_variant():
    def reversed_keys(value):
        return {k: reversed_keys(value[k]) for k in reversed(value)} if isinstance(value, dict) else value

    raw = small()
    turned = reversed_keys(raw)
    turned["experiments"] = {name: turned["experiments"][name] for name in raw["experiments"]}
    assert repr(config.variants(config.load(turned))) == repr(config.variants(config.load(raw)))


def test_sweep_is_the_product_in_the_order_given():
    activations, rates = ["tanh", "relu"], [0.1, 0.01, 0.001]
    found = unfolded({"model.activation": activations, "training.learning_rate": rates})
    expected = list(itertools.product(activations, rates))
    assert [(v.model["activation"], v.training["learning_rate"]) for v in found] == expected
    assert [v.name for v in found] == [f"activation~{a}+learning_rate~{r}" for a, r in expected]


def test_experiment_without_sweep_has_one_variant_called_base():
    (variant,) = unfolded({})
    assert (variant.name, variant.dataset, variant.experiment) == ("base", "waves", "one")
    assert list(variant.decomposition) == ["fft"]


@pytest.mark.parametrize(
    ("key", "value", "label"),
    [
        ("training.steps", 10, "steps~10"),
        ("training.steps", 10.0, "steps~10"),
        ("training.learning_rate", "1e-4", "learning_rate~0.0001"),
        ("training.learning_rate", 0.1, "learning_rate~0.1"),
        ("model.widths", [64, 32], "widths~64-32"),
        ("model.activation", "relu", "activation~relu"),
        ("training.batch_size", None, "batch_size~none"),
    ],
)
def test_label_of_a_value(key, value, label):
    (variant,) = unfolded({key: [value]})
    assert variant.name.lower() == label  # also fit for file systems that know no case


def test_axes_that_end_alike_are_told_apart_by_their_whole_key():
    axes = {"decomposition.projection.max_frequency": [5], "decomposition.filtering.widths": [[0.1], [0.2]]}
    clash = {"model.widths": [[8], [9]], **axes}
    names = [variant.name for variant in unfolded(clash, "two")]
    assert len(set(names)) == 4
    assert all("model.widths~" in name and "decomposition.filtering.widths~" in name for name in names)
    assert all("max_frequency~5" in name and "projection" not in name for name in names)


def test_named_point_of_the_same_kind_is_merged_of_another_kind_replaces():
    model = {"kind": "mlp", "widths": [5], "activation": "sin"}
    points = {"same": {"widths": [7]}, "told": {"kind": "mlp", "widths": [8]}, "other": {"kind": "cnn"}, "bare": {}}
    same, told, other, bare = unfolded({"model": points}, "two", model=model)
    assert (same.model["widths"], same.model["activation"]) == ([7], "sin")
    assert (told.model["widths"], told.model["activation"]) == ([8], "sin")
    assert other.model == config.plain(Cnn(kind="cnn"))  # nothing of the mlp is left
    assert (bare.model["widths"], bare.name) == ([5], "model~bare")


def test_variant_of_a_sweep_equals_the_same_thing_written_out():
    (swept,) = unfolded({"training.steps": [77]})
    (written,) = unfolded({}, training={"steps": 77})
    assert (swept.model, swept.training, swept.decomposition) == (
        written.model,
        written.training,
        written.decomposition,
    )


def test_every_variant_takes_the_measures_that_claims_and_figures_want_of_it():
    """A figure is made of all variants of its experiment: one that drops the measure has to be refused."""
    raw = changed("figures/lines", {"kind": "filtering", "experiment": "two"})
    raw["experiments"]["two"]["sweep"] = {"decomposition": {"with": {}, "without": {"filtering": None}}}
    assert any("filtering" in line for line in problems(raw))


# --- draws ------------------------------------------------------------------------------------------------------------


def datasets_of(raw: dict) -> dict[str, dict]:
    """All that are made, by name."""
    return {name: config.plain(entry) for name, entry in config.load(raw).all_datasets.items()}


def test_sweep_reaches_the_keys_of_the_data_set():
    raw = changed("experiments/one/sweep", {"dataset.seed": [0, 1, 2], "dataset.noise": [0.1]})
    draws = [variant.dataset for variant in config.variants(config.load(raw)) if variant.experiment == "one"]
    assert draws == ["waves+noise~0.1", "waves+noise~0.1+seed~1", "waves+noise~0.1+seed~2"], "0 is its own seed"
    made = datasets_of(raw)
    assert set(made) == {"waves", "digits", *draws}
    assert made["waves+noise~0.1+seed~2"] == made["waves"] | {"noise": 0.1, "seed": 2}


def test_point_whose_keys_are_those_of_the_named_data_set_is_made_of_it():
    assert [v.dataset for v in unfolded({"dataset.seed": [0, 1], "model.widths": [[4], [5]]})] == [
        *["waves"] * 2,
        *["waves+seed~1"] * 2,
    ]


def test_experiments_share_what_they_derive_in_any_order_of_axes():
    raw = changed("experiments/one/sweep", {"dataset.seed": [3], "dataset.noise": [0.1]})
    other = {"sweep": {"dataset.noise": {"loud": 0.1}, "dataset.seed": {"third": 3}}}
    raw["experiments"]["three"] = raw["experiments"]["one"] | other
    one, _, three = config.variants(config.load(raw))
    assert (one.name, three.name) == ("seed~3+noise~0.1", "noise~loud+seed~third")
    assert one.dataset == three.dataset == "waves+noise~0.1+seed~3"
    assert len(datasets_of(raw)) == 3


def test_keys_are_laid_over_each_data_set_of_an_axis():
    raw = changed("datasets/tones", {"kind": "sines", "frequencies": [3], "seed": 1})
    raw["experiments"]["one"]["sweep"] = {"dataset": ["waves", "tones"], "dataset.seed": [0, 1]}
    one = [v for v in config.variants(config.load(raw)) if v.experiment == "one"]
    assert {v.name: v.dataset for v in one} == {
        "dataset~waves+seed~0": "waves",
        "dataset~waves+seed~1": "waves+seed~1",
        "dataset~tones+seed~0": "tones+seed~0",
        "dataset~tones+seed~1": "tones",
    }


def test_options_of_a_data_set_of_ones_own_are_swept():
    raw = changed("datasets/saw", {"kind": "fpkit.datasets.sines:build", "options": {"frequencies": [1], "seed": 2}})
    raw["experiments"]["one"] |= {"dataset": "saw", "sweep": {"dataset.options.seed": [2, 3], "dataset.options.x": [1]}}
    made = datasets_of(raw)
    assert made["saw+seed~3+x~1"]["options"] == {"frequencies": [1], "seed": 3, "x": 1}
    assert made["saw+x~1"]["options"] == {"frequencies": [1], "seed": 2, "x": 1}


DERIVED_MISTAKES = {
    "unknown key": ({"dataset.sed": [1]}, r"sweep\.dataset\.sed: unknown key 'sed'; did you mean 'seed'\?"),
    "key of another kind": ({"dataset.limit": [1]}, r"sweep\.dataset\.limit: unknown key 'limit'"),
    "type": ({"dataset.seed": ["many"]}, r"sweep\.dataset\.seed: input should be a valid integer.*'many'"),
    "together": ({"dataset.samples": [3]}, r"sweep\.dataset: frequency 2 is not below the Nyquist frequency 1\.5"),
    "same": ({"dataset.noise": {"a": 1, "b": 1.0}}, r"sweep: 'noise~a' and 'noise~b' are the same; drop one"),
    "suitability": ({"dataset.test_samples": [0, 3]}, r"sweep \(test_samples~3\)\.record\.split: frequency 2"),
    "case": ({"dataset.noise": {"a": 1, "A": 2}}, r"(sweep|datasets): .* differ in case alone"),
    "long": ({"dataset.frequencies": [[1 + i / 64 for i in range(40)]]}, r"is longer than 200 letters"),
}


@pytest.mark.parametrize("case", DERIVED_MISTAKES)
def test_mistake_in_a_swept_data_set_is_told_with_the_place_of_the_sweep(case):
    sweep, told = DERIVED_MISTAKES[case]
    raw = changed("experiments/one/sweep", sweep)
    raw["experiments"]["one"]["record"] = {"split": "test"}
    assert any(re.search(told, line) for line in problems(raw)), problems(raw)


def test_one_name_for_two_data_sets_is_refused():
    raw = changed("experiments/one/sweep", {"dataset.noise": {"loud": 1}})
    raw["experiments"]["three"] = raw["experiments"]["one"] | {"sweep": {"dataset.noise": {"loud": 2}}}
    (line,) = problems(raw)
    assert line.startswith("experiments.three.sweep.dataset.noise: two data sets are called 'waves+noise~loud'")


def test_pool_names_an_axis_of_the_sweep():
    raw = changed("experiments/one/sweep", {"dataset.seed": [0, 1], "model.widths": [[4], [5]]})
    raw["claims"]["order"]["pool"] = raw["figures"]["lines"]["pool"] = "dataset.seed"
    loaded = config.load(raw)
    assert config.pooled(loaded, "one", "dataset.seed") == {
        "seed~0+widths~4": "seed~*+widths~4",
        "seed~0+widths~5": "seed~*+widths~5",
        "seed~1+widths~4": "seed~*+widths~4",
        "seed~1+widths~5": "seed~*+widths~5",
    }
    assert config.pooled(loaded, "two", "dataset.seed") == {"base": "base"}
    raw["claims"]["order"]["pool"] = raw["figures"]["lines"]["pool"] = "dataset.sed"
    assert problems(raw) == [
        f"{where}: unknown axis 'dataset.sed'; did you mean 'dataset.seed'? (allowed: dataset.seed, model.widths)"
        for where in ("claims.order.pool", "figures.lines.pool")
    ]


def test_seed_shift_moves_every_seed_and_nothing_else():
    raw = changed("experiments/one/sweep", {"dataset.seed": [0, 1]})
    raw["datasets"]["saw"] = {"kind": "fpkit.datasets.sines:build", "options": {"frequencies": [1], "seed": 2}}
    raw["datasets"]["fixed"] = {"kind": "fpkit.datasets.sines:build", "options": {"frequencies": [1]}}
    shifted = raw | {"seed_shift": 5000}
    before, after = datasets_of(raw), datasets_of(shifted)
    assert list(before) == list(after), "names stay, and files with them"
    saw = before["saw"] | {"options": {"frequencies": [1], "seed": 5002}}
    assert after["saw"] == saw
    assert after["fixed"] == before["fixed"]
    for name in ("waves", "digits", "waves+seed~1"):
        assert after[name] == before[name] | {"seed": before[name]["seed"] + 5000}
    for one, other in zip(config.variants(config.load(raw)), config.variants(config.load(shifted)), strict=True):
        training = one.training | {"seed_offset": one.training["seed_offset"] + 5000}
        assert vars(other) == vars(one) | {"training": training}
    zero = config.load(raw | {"seed_shift": 0})
    assert repr(config.variants(zero)) == repr(config.variants(config.load(raw)))
    assert zero.all_datasets == config.load(raw).all_datasets


def test_seed_shift_beyond_all_seeds_is_told():
    raw = changed("experiments/one/sweep", {"dataset.seed": [2**32 - 1]}) | {"seed_shift": 1}
    assert problems(raw) == ["seed_shift: takes the seed 4294967295 to 4294967296, beyond 4294967295; lower it"]


# --- fuzz -------------------------------------------------------------------------------------------------------------

WORDS = ["datasets", "experiments", "kind", "sines", "mlp", "cnn", "model", "sweep", "fft", "decomposition", "one"]
texts = st.text(max_size=6) | st.sampled_from(WORDS) | st.text(string.printable, max_size=4)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 10**30, 10**400])
    | st.floats()
    | texts
    | st.dates()
    | st.just(datetime.datetime(2020, 1, 1))
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


def loads_or_tells(raw: dict) -> None:
    """The one property of `load`: a Config, or ConfigError with at least one problem, each in one line."""
    try:
        loaded = config.load(raw)
    except ConfigError as error:
        found = error.problems
        told = True
    else:
        found, told = [], False
        for variant in config.variants(loaded):
            assert re.fullmatch(r"[A-Za-z0-9_.,+~-]+", variant.name)
            assert_plain(variant.training)
    assert bool(found) == told
    for line in found:
        assert len(line.splitlines()) == 1, repr(line)


@FUZZ
@given(raw=st.dictionaries(texts, values, max_size=4))
def test_arbitrary_structure_loads_or_raises_config_error(raw):
    loads_or_tells(raw)


def paths_of(node, prefix=()) -> list[tuple]:
    """The path of every key and list item."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for key, value in items for path in [(*prefix, key), *paths_of(value, (*prefix, key))]]


@FUZZ
@given(
    data=st.data(), path=st.sampled_from(paths_of(REAL)), how=st.sampled_from(["delete", "rename", "replace", "add"])
)
def test_real_config_with_one_thing_changed_loads_or_raises_config_error(data, path, how):
    raw = copy.deepcopy(REAL)
    *parents, last = path
    node = raw
    for key in parents:
        node = node[key]
    if how == "replace":
        node[last] = data.draw(values, "value")
    elif how == "add" and isinstance(node, dict):
        node[data.draw(texts, "key")] = data.draw(values, "value")
    else:
        value = node.pop(last)
        if how == "rename" and isinstance(node, dict):
            node[data.draw(texts, "key")] = value
    loads_or_tells(raw)


@FUZZ
@given(
    sweep=st.dictionaries(
        st.sampled_from(["dataset", "model", "model.widths", "training.steps", "decomposition.fft", "sweep"]) | texts,
        st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3),
        max_size=2,
    )
)
def test_arbitrary_sweep_loads_or_raises_config_error(sweep):
    loads_or_tells(changed("experiments/one/sweep", sweep))
