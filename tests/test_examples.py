"""The examples in docs/examples: they run, shortened here, and their page quotes what they printed."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs/examples"
# What makes them short, which shows that they run, not what they find: `make examples` runs the whole.
SHORT = {
    "skorch_digits": {"EPOCHS": 2},
    "trainer_walsh": {"STEPS": 40},
    "deepxde_poisson": {"STEPS": 40},
}
PACKAGES = {"skorch_digits": "skorch", "trainer_walsh": "transformers", "deepxde_poisson": "deepxde"}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.filterwarnings("ignore")  # those of the packages whose loops they are
def test_example_runs(name, tmp_path, monkeypatch, capsys):
    if importlib.util.find_spec(PACKAGES[name]) is None:
        pytest.skip(f"{PACKAGES[name]} is not installed")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, example)
    spec.loader.exec_module(example)
    for key, value in SHORT[name].items():
        assert hasattr(example, key)
        monkeypatch.setattr(example, key, value)
    example.main(tmp_path)
    assert (
        len(re.findall(r"lead .*: (?:holds|undecided|does not hold) \(\d of 6 members\)", capsys.readouterr().out)) > 1
    )
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_page_shows_each_and_quotes_what_it_printed():
    page = (EXAMPLES / "README.md").read_text()
    for script in EXAMPLES.glob("*.py"):
        assert script.stem in SHORT
        assert f"]({script.name})" in page
        assert f"]({script.stem}.png)" in page
    printed = {line for text in EXAMPLES.glob("*.txt") for line in text.read_text().splitlines()}
    quoted = [line for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert quoted
    assert [line for line in quoted if line not in printed] == []
