"""What a data set reads, by content: exchanged, touched, packed anew, gone, and never seen."""

import gzip
import json
import os
from pathlib import Path

import pytest

from fpkit.config.datasets import FashionMnist, Mnist, OwnDataset
from fpkit.datasets import files, inputs
from fpkit.errors import UserError

NAMES = list(files.SHA256["mnist"])
ORIGINAL = [f"{name}@{digest[:16]}" for name, digest in files.SHA256["mnist"].items()]


def mnist(folder: Path | None) -> Mnist:
    return Mnist(kind="mnist", path=None if folder is None else str(folder))


def own(*places) -> OwnDataset:
    return OwnDataset(kind="fpkit.datasets.parity:build", inputs=[str(place) for place in places])


@pytest.fixture
def kept(tmp_path) -> Path:
    return tmp_path / "work/inputs.json"


@pytest.fixture
def settled(monkeypatch):
    """Files count as old at once."""
    monkeypatch.setattr(inputs, "SETTLED_SECONDS", -1000)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "files").mkdir()
    for name in NAMES:
        (tmp_path / "files" / name).write_bytes(gzip.compress(name.encode(), mtime=0))
    return tmp_path / "files"


@pytest.mark.parametrize("age", ["young", "settled"])
def test_an_exchanged_file_counts_and_a_touched_one_does_not(folder, kept, age, request):
    if age == "settled":
        request.getfixturevalue("settled")
    datasets = {"mine": mnist(folder), "own": own(folder / NAMES[0], folder / NAMES[1])}
    before = inputs.compared(datasets, kept)
    assert kept.exists() == (age == "settled")
    assert [len(found) for found in before.values()] == [4, 2]
    for name in NAMES:
        os.utime(folder / name, (1e9, 1e9))
    assert inputs.compared(datasets, kept) == before
    state = os.stat(folder / NAMES[0])  # the same size, and the same times but that of the change
    (folder / NAMES[0]).write_bytes(gzip.compress(NAMES[0].upper().encode(), mtime=0).ljust(state.st_size, b"\0"))
    assert os.stat(folder / NAMES[0]).st_size == state.st_size
    os.utime(folder / NAMES[0], ns=(state.st_atime_ns, state.st_mtime_ns))
    after = inputs.compared(datasets, kept)
    for name in datasets:
        differ = [one != other for one, other in zip(before[name], after[name], strict=True)]
        assert differ == [True] + [False] * (len(differ) - 1)


def test_a_file_packed_anew_is_the_same_to_the_package(folder, kept):
    before = inputs.compared({"mine": mnist(folder)}, kept)
    (folder / NAMES[0]).write_bytes(gzip.compress(NAMES[0].encode(), 1, mtime=7))
    (folder / NAMES[1]).write_bytes(NAMES[1].encode())
    assert inputs.compared({"mine": mnist(folder)}, kept) == before


def test_digests_are_made_once(folder, kept, settled):
    datasets = {"mine": mnist(folder), "own": own(folder / NAMES[0])}
    before = inputs.compared(datasets, kept)
    made = kept.stat()
    assert inputs.compared(datasets, kept) == before
    assert kept.stat() == made, "nothing was new"
    known = json.loads(kept.read_text())
    for place in known:
        known[place][-1] = "f" * 64
    kept.write_text(json.dumps(known))
    assert inputs.compared(datasets, kept) == {
        "mine": [f"{name}@{'f' * 16}" for name in NAMES],
        "own": [f"{folder / NAMES[0]}@{'f' * 16}"],
    }, "it was read again"
    kept.write_text("[")
    assert inputs.compared(datasets, kept) == before


def test_where_nothing_can_be_kept_digests_are_made_each_time(folder, tmp_path, settled):
    (tmp_path / "file").write_text("")
    for kept in (tmp_path / "file/inputs.json", tmp_path / "files"):
        first, second = (inputs.compared({"mine": mnist(folder)}, kept) for _ in range(2))
        assert first == second
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


def test_files_that_are_gone_count_as_last_seen(folder, kept, settled):
    """As on a node that has them not: nothing is made of them there."""
    datasets = {"mine": mnist(folder), "own": own(folder / NAMES[0])}
    before = inputs.compared(datasets, kept)
    for name in NAMES:
        (folder / name).rename(folder / f"{name}.away")
    assert inputs.compared(datasets, kept) == before
    (folder / NAMES[0].removesuffix(".gz")).write_bytes(b"one alone")
    assert inputs.compared(datasets, kept) == before
    for name in NAMES[1:]:
        (folder / name.removesuffix(".gz")).write_bytes(b"all four")
    assert inputs.compared(datasets, kept)["mine"] != before["mine"]


def test_what_is_to_be_downloaded_counts_as_what_it_will_be(tmp_path, kept, monkeypatch):
    monkeypatch.setenv("FPKIT_CACHE", str(tmp_path / "nothing yet"))
    assert inputs.compared({"later": mnist(None)}, kept) == {"later": ORIGINAL}


@pytest.mark.skipif(
    not Path(files.WELL_KNOWN_FOLDERS["fashion_mnist"][0]).is_dir(), reason="Debian's are not installed"
)
def test_the_originals_packed_by_debian_are_those_that_are_downloaded(kept):
    found = inputs.compared({"fashion": FashionMnist(kind="fashion_mnist")}, kept)
    assert found == {"fashion": [f"{name}@{digest[:16]}" for name, digest in files.SHA256["fashion_mnist"].items()]}


@pytest.mark.parametrize("place", ["nothing.csv", "files", "x" * 300, "no/such/folder/x.csv", "~nobody/x.csv"])
def test_a_file_of_ones_own_that_is_not_there_is_one_line(place, folder, kept, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match=rf"^datasets\.mine\.inputs: {place} is (not there|a folder); ") as error:
        inputs.compared({"mine": own(place)}, kept)
    assert str(error.value).isprintable()


def test_broken_files_are_left_to_their_reader(folder, kept):
    (folder / NAMES[0]).write_bytes(gzip.compress(b"x" * 1000)[:-9])
    (folder / NAMES[1]).write_bytes(b"")
    assert len(inputs.compared({"mine": mnist(folder)}, kept)["mine"]) == 4
