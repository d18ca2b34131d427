"""Files laid over config.yaml: another kind, null, numbers as people write them."""

import copy
import json

import pytest
import yaml
from conftest import REPOSITORY, planned_jobs

from fpkit import config
from fpkit.config import ConfigError
from fpkit.config.claims import Claim
from fpkit.config.datasets import Digits, Parity, Sines
from fpkit.config.figures import Style
from fpkit.config.measures import Fft, Filtering, Projection
from fpkit.config.training import Cnn, Mlp, Record, ResidualMlp, Training

BELOW = """
datasets:
  waves: {kind: sines, frequencies: [1, 2], noise: 0.1}
  digits: {kind: digits, limit: 100}
  1e3: {kind: digits, limit: 5e1}
experiments:
  one:
    dataset: waves
    model: {kind: mlp, widths: [8], activation: relu}
    training: {optimizer: sgd, momentum: 0.9, steps: 100}
    decomposition: {fft: {peak_height: 0.2}}
  two:
    dataset: digits
    model: {kind: cnn, channels: [4], kernel: 5}
    decomposition: {projection: {}, filtering: {}}
    sweep:
      model:
        small: {channels: [2]}
        other: {kind: residual_mlp, width: 3}
claims:
  order:
    {statement: Low first., source: Here, experiment: one, measure: fft, statistic: first_order, bound: {at_least: 0.5}}
figures:
  lines: {kind: synthetic, experiment: one, style: {font_size: 7}}
dask: {address: "tcp://host:8786"}
"""


def laid_over(tmp_path, *overlays: str) -> config.Config:
    """The configuration that the files make, read as the Snakefile reads them."""
    paths = []
    for number, text in enumerate((BELOW, *overlays)):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(text)
    return config.load(config.merged(*map(config.read_yaml, paths)))


def variant(loaded: config.Config, experiment: str, name: str = "base") -> config.Variant:
    return next(v for v in config.variants(loaded) if (v.experiment, v.name) == (experiment, name))


# --- another kind -----------------------------------------------------------------------------------------------------


def test_another_kind_starts_from_its_own_defaults(tmp_path):
    loaded = laid_over(
        tmp_path,
        """
        datasets: {waves: {kind: parity}}
        experiments:
          one:
            model: {kind: residual_mlp, blocks: 2}
            record: {split: all}
            decomposition: {fft: null, walsh: {}}
          two: {sweep: {model: {other: {kind: mlp}}}}
        claims: null
        figures: null
        """,
    )
    assert config.plain(loaded.datasets["waves"]) == config.plain(Parity(kind="parity"))
    assert variant(loaded, "one").model == config.plain(ResidualMlp(kind="residual_mlp", blocks=2))
    assert variant(loaded, "two", "model~other").model == config.plain(Mlp(kind="mlp"))


def test_the_same_kind_or_none_keeps_the_other_keys(tmp_path):
    loaded = laid_over(
        tmp_path,
        "experiments: {one: {model: {kind: mlp, widths: [9]}}, two: {model: {kernel: 3}}}",
        "datasets: {waves: {noise: 0.2}}",
    )
    assert variant(loaded, "one").model == config.plain(Mlp(kind="mlp", widths=[9], activation="relu"))
    small = config.plain(Cnn(kind="cnn", channels=[2], kernel=3))
    assert variant(loaded, "two", "model~small").model == small
    assert loaded.datasets["waves"].frequencies == [1, 2]


def test_another_kind_of_figure_shows_the_same(tmp_path):
    """All kinds of figures have the same keys."""
    loaded = laid_over(tmp_path, "figures: {lines: {kind: order}}")
    assert (loaded.figures["lines"].kind, loaded.figures["lines"].experiments) == ("order", ["one"])
    assert loaded.figures["lines"].style.font_size == 7


def test_a_kind_that_is_swept_starts_from_its_own_defaults_too(tmp_path):
    loaded = laid_over(
        tmp_path, "experiments: {one: {sweep: {model.activation: [tanh], model.kind: [mlp, residual_mlp]}}}"
    )
    same = variant(loaded, "one", "activation~tanh+kind~mlp").model
    assert same == config.plain(Mlp(kind="mlp", widths=[8], activation="tanh"))
    other = variant(loaded, "one", "activation~tanh+kind~residual_mlp").model
    assert other == config.plain(ResidualMlp(kind="residual_mlp", activation="tanh"))


def test_options_of_ones_own_are_the_functions_own_affair(tmp_path):
    own = "datasets: {own: {kind: 'fpkit.datasets.sines:build', options: %s}}\n"
    loaded = laid_over(tmp_path, own % "{kind: a, x: null, y: [1]}", own % "{kind: b, z: 5e-1, name: '1e5', n: 1e3}")
    options = loaded.datasets["own"].options
    assert options == {"kind": "b", "x": None, "y": [1], "z": 0.5, "name": "1e5", "n": 1000}
    assert type(options["n"]) is int


def test_what_is_laid_over_does_not_change_what_lay_below():
    below, above = yaml.safe_load(BELOW), {"experiments": {"one": {"training": {"steps": 7}}}, "claims": None}
    copies = copy.deepcopy([below, above])
    result = config.merged(below, above)
    result["experiments"]["two"]["dataset"] = "other"
    assert [below, above] == copies


# --- null -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["claims", "figures", "dask"])
def test_null_drops_a_whole_table_and_what_is_laid_over_it_starts_anew(table, tmp_path):
    loaded = laid_over(tmp_path, f"{table}: null")
    assert not getattr(loaded, table)
    if table == "figures":
        loaded = laid_over(tmp_path, "figures: null", "figures: {other: {kind: claims}}")
        assert list(loaded.figures) == ["other"]


def test_null_of_whatever_may_be_absent_is_its_default(tmp_path):
    """Every key of every entry that has a default, by the models themselves."""
    entries = {
        "datasets/waves": Sines, "datasets/digits": Digits, "experiments/one/model": Mlp,
        "experiments/two/model": Cnn, "experiments/one/training": Training,
        "experiments/one/record": Record, "experiments/one/decomposition/fft": Fft,
        "experiments/two/decomposition/projection": Projection, "claims/order": Claim,
        "experiments/two/decomposition/filtering": Filtering, "figures/lines/style": Style,
    }  # fmt: skip
    for path, entry in entries.items():
        for key, field in entry.model_fields.items():
            if not field.is_required():
                overlay = {key: None} | ({"momentum": None, "nesterov": None} if entry is Training else {})
                for part in reversed(path.split("/")):
                    overlay = {part: overlay}
                node = config.plain(laid_over(tmp_path, json.dumps(overlay)))
                for part in path.split("/"):
                    node = node[part]
                default = json.loads(json.dumps(config.plain(field.get_default(call_default_factory=True))))
                assert node[key] == default, f"{path}/{key}"


def test_null_at_a_point_of_a_sweep_is_the_default_there(tmp_path):
    points = "{plain: {momentum: null, batch_size: null}, swung: {}}"
    loaded = laid_over(tmp_path, f"experiments: {{one: {{sweep: {{training: {points}, model.widths: [null, [4]]}}}}}}")
    plain = variant(loaded, "one", "training~plain+widths~None")
    assert (plain.training["momentum"], plain.model["widths"]) == (0.0, [64, 64, 64])
    assert variant(loaded, "one", "training~swung+widths~4").training["momentum"] == 0.9


@pytest.mark.parametrize(
    ("overlay", "line"),
    [
        ("datasets: null", "datasets: is missing; give it"),
        ("experiments: {one: {dataset: null}}", "experiments.one.dataset: is missing; give it"),
        ("experiments: {one: {model: null}}", "experiments.one.model: is missing; give it"),
        ("experiments: {one: {model: {kind: null}}}", "experiments.one.model.kind: is missing; say which kind"),
        ("claims: {order: {bound: null}}", "claims.order.bound: is missing; give it"),
    ],
)
def test_null_of_what_must_be_there_says_that_it_is_missing(overlay, line, tmp_path):
    with pytest.raises(ConfigError) as error:
        laid_over(tmp_path, overlay)
    assert line in error.value.problems


# --- numbers ----------------------------------------------------------------------------------------------------------

TEXTS = {"1e4": 10_000, "1E4": 10_000, "1.0e4": 10_000, "+2e1": 20, "2.5e1": 25, "1e+2": 100, "3.0": 3, "100e-1": 10}


@pytest.mark.parametrize("text", TEXTS)
def test_an_integer_may_be_written_with_an_exponent(text, tmp_path):
    """YAML 1.1 reads `1e4` as text."""
    loaded = laid_over(tmp_path, f"experiments: {{one: {{training: {{steps: {text}}}, model: {{widths: [{text}]}}}}}}")
    found = variant(loaded, "one")
    assert (found.training["steps"], found.model["widths"]) == (TEXTS[text], [TEXTS[text]])
    assert type(found.training["steps"]) is int


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", ".1e-2", "0.001", "10e-4"])
def test_a_number_is_the_same_however_it_is_written(text, tmp_path):
    loaded = laid_over(tmp_path, f"experiments: {{one: {{training: {{learning_rate: {text}}}}}}}")
    assert variant(loaded, "one").training["learning_rate"] == 0.001
    swept = laid_over(tmp_path, f"experiments: {{one: {{sweep: {{training.learning_rate: [{text}]}}}}}}")
    assert variant(swept, "one", "learning_rate~0.001").training["learning_rate"] == 0.001


def test_a_sweep_of_integers_with_exponents_bears_their_plain_names(tmp_path):
    loaded = laid_over(tmp_path, "experiments: {one: {sweep: {training.steps: [1e3, 2e3, 3000]}}}")
    steps = {v.name: v.training["steps"] for v in config.variants(loaded) if v.experiment == "one"}
    assert steps == {"steps~1000": 1000, "steps~2000": 2000, "steps~3000": 3000}


def test_names_stay_names(tmp_path):
    """A data set may be called `1e3`."""
    loaded = laid_over(tmp_path, "experiments: {two: {dataset: 1e3}}")
    assert {v.dataset for v in config.variants(loaded) if v.experiment == "two"} == {"1e3"}
    assert loaded.datasets["1e3"].limit == 50


@pytest.mark.parametrize(
    ("text", "what"),
    [("1.5e0", "valid integer"), ("1e-1", "valid integer"), ("1e400", "finite number"), ("many", "valid integer"),
     ("1e30", "exceeded maximum size"), ("true", "give a number")],
)  # fmt: skip
def test_what_is_no_integer_is_still_refused(text, what, tmp_path):
    with pytest.raises(ConfigError, match=what) as error:
        laid_over(tmp_path, f"experiments: {{one: {{training: {{steps: {text}}}}}}}")
    (line,) = error.value.problems
    assert line.startswith("experiments.one.training.steps: ")


# --- the workflow -----------------------------------------------------------------------------------------------------


@pytest.mark.workflow
def test_the_workflow_lays_files_and_single_values_over_one_another(project):
    """As Snakemake does (--configfile, --config), but for what is tested above."""
    (project / "config.yaml").write_text(BELOW)
    (project / "one.yaml").write_text("claims: null\nexperiments: {one: {model: {kind: residual_mlp}}, two: null}\n")
    (project / "two.yaml").write_text("figures: {lines: null, order: {kind: order, experiment: one}}\n")
    value = "experiments={one: {training: {steps: 2e1}}}"
    done = project.make("--dry-run", "--config", value, overlays=("one.yaml", "two.yaml"))
    assert planned_jobs(done.stdout) == {
        "make_dataset waves", "train one/base", "decompose one/base/fft", "plot order", "judge_claims", "figures",
    }  # fmt: skip
    (project / "config.yaml").write_text("datasets: {none: {kind: digits}}\n")
    (project / "alone.yaml").write_text(BELOW)
    done = project.make("--dry-run", "results/datasets/waves.nc", "--replace-workflow-config", overlays=("alone.yaml",))
    assert planned_jobs(done.stdout) == {"make_dataset waves"}


def test_presets_and_the_notebook_come_to_what_they_came_to_before():
    """Merged as by Snakemake: nothing in this repository lays another kind over one."""

    def snakemakes(below, above):
        if isinstance(below, dict) and isinstance(above, dict):
            return below | {key: snakemakes(below.get(key), value) for key, value in above.items()}
        return above

    files = [config.read_yaml(REPOSITORY / name) for name in ("config.yaml", "presets/smoke.yaml")]
    assert config.merged(*files) == snakemakes(*files)
