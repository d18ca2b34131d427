"""The notebooks in docs, run as a reader would: they end, and find what the pages that show them say."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a notebook in an empty folder: the text that each code cell gave, now and in the notebook as it is kept."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

    def run(name: str) -> list[tuple[str, str]]:
        kept = nbformat.read(DOCS / f"{name}.ipynb", 4)
        made = nbformat.from_dict(kept)
        NotebookClient(made, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return list(zip(map(text, cells(kept)), map(text, cells(made)), strict=True))

    return run


def cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(cell: nbformat.NotebookNode) -> str:
    """What a cell printed, and the text of what it gave."""
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def test_tutorial(run):
    found = run("tutorial")
    for kept, made in found:
        # Numbers are a machine's own; where there is text there is text.
        assert bool(kept) == bool(made)
    leads = [line for kept, _ in found for line in kept.splitlines() if "lead" in line]
    again = [line for _, made in found for line in made.splitlines() if "lead" in line]
    assert len(leads) == len(again) == 5
    for line in (*leads[:3], *again[:3]):  # the graph's, and beyond either null
        assert re.match(r"lead.* \d\.\d+ \[.*\], >= .*: holds \(6 of 6 members\)", line)
    accuracies = re.findall(r"seed \d: (0\.\d+) of the test digits are right", found[2][1])
    assert len(accuracies) == 6
    assert min(map(float, accuracies)) > 0.9


def test_paper(run):
    found = run("paper")
    for kept, made in found:
        assert bool(kept) == bool(made)
    (kept,), (made,) = zip(*[cell for cell in found if "verdict" in cell[0] and "ci_low" in cell[0]], strict=True)
    for table in (kept, made):
        verdicts = dict(re.findall(r"^(\w+) .* (holds|undecided|does not hold) *$", table, re.MULTILINE))
        assert len(verdicts) == 8
        firm = ("order", "lead", "stopping_helps", "images_generalize", "parity_does_not", "sparse_parity_does")
        assert {claim: verdicts[claim] for claim in firm} == dict.fromkeys(firm, "holds")
