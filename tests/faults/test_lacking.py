"""Disks that lack locks, links or modes, as Lustre, NFS, SMB and exFAT are mounted: one warning, and work goes on."""

import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, STARTED, environment, wait_until

from faults.test_files import assert_same_results
from fpkit.jobs import notices


@pytest.fixture
def lacking(tmp_path, monkeypatch):
    """lacking(folder, LOCKS="ENOLCK", ...): for all processes to come the folder lies on a disk that answers so."""

    def lay(folder: Path, **answers: str) -> None:
        compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
        if compiler is None or sys.platform != "linux":
            pytest.skip("takes Linux and a C++ compiler")
        library = tmp_path / f"lacking-{'-'.join(answers.values())}.so"
        macros = [f"-D{what}={answer}" for what, answer in answers.items()]
        source = str(Path(__file__).with_name("lacking.cpp"))
        subprocess.run([compiler, "-std=c++17", "-shared", "-fPIC", *macros, source, "-o", library, "-ldl"], check=True)
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv("LACKING", str(folder.resolve()))
        monkeypatch.setenv("LD_PRELOAD", str(library))

    return lay


@pytest.mark.workflow
def test_a_disk_without_locks_links_and_modes_gives_the_same_results(small, made, lacking):
    shutil.rmtree(small / "results")
    lacking(small / "results", LOCKS="EOPNOTSUPP", LINKS="EPERM", MODES="EPERM")
    done = small.make("figures", overlays=())
    assert done.stderr.count("this disk has no file locks (Operation not supported)") == 1, "once in a run"
    assert "permitted" not in done.stderr
    shards = [small / f"results/{part}" for part in ("runs/short/base", "checkpoints/short/base")]
    assert all(file.stat().st_nlink == 1 for folder in shards for file in folder.rglob("*") if file.is_file())
    assert not list((small / "results").rglob("*.held"))
    assert_same_results(small, made)
    assert small.plan(overlays=()) == set()

    small.edit("config.yaml", "steps: 100", "steps: 120")
    assert small.make("results/runs/short/base", overlays=()).stderr.count("no file locks") == 1, "in this one too"
    assert "continuing from step 100" in small.log("runs/short/base.log")


# --- locks ------------------------------------------------------------------------------------------------------------

ALONE = """
import sys, time
from pathlib import Path
from fpkit.jobs import locks
locks.GONE_SECONDS, locks.BEAT_SECONDS = {gone}, 0.05
with locks.alone("disk/lock", "at work"):
    {work}
"""
COUNT = """number = int(Path("number").read_text() or 0)
    time.sleep(0.05)
    Path("number").write_text(str(number + 1))"""
HOLD = """Path(sys.argv[1]).touch()
    time.sleep(600)"""
TOUCH = "Path(sys.argv[1]).touch()"


def start(folder: Path, work: str, *arguments: str, gone: float = 60.0) -> subprocess.Popen:
    """A process that does its work alone; what it says goes to the file of its first argument, `.said`."""
    environ = environment() | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    with open(folder / f"{''.join(arguments)}.said", "a") as said:
        command = [sys.executable, "-c", ALONE.format(work=work, gone=gone), *arguments]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=said, stderr=said, start_new_session=True)
    STARTED.append(process)
    return process


@pytest.mark.parametrize("answer", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", None])
def test_one_after_the_other_whatever_the_disk_has(answer, tmp_path, lacking):
    lacking(tmp_path / "disk", **({"LOCKS": answer} if answer else {"LINKS": "EPERM"}))
    (tmp_path / "number").write_text("")
    processes = [start(tmp_path, COUNT, str(number)) for number in range(6)]
    assert [process.wait(60) for process in processes] == [0] * 6
    assert (tmp_path / "number").read_text() == "6"
    said = "".join(file.read_text() for file in tmp_path.glob("*.said"))
    assert said.count("no file locks") == (6 if answer else 0), "each says so in its own log"
    assert [file.name for file in (tmp_path / "disk").iterdir()] == ["lock"]


def test_a_disk_that_fails_is_not_one_without_locks(tmp_path, lacking):
    lacking(tmp_path / "disk", LOCKS="EIO")
    assert start(tmp_path, TOUCH, "done").wait(60) == 1
    assert "Input/output error" in (tmp_path / "done.said").read_text()
    assert not (tmp_path / "done").exists()


def test_a_holder_that_stands_still_is_waited_for_and_one_that_was_killed_is_not(tmp_path, lacking):
    lacking(tmp_path / "disk", LOCKS="ENOSYS")
    holder = start(tmp_path, HOLD, "held")
    wait_until((tmp_path / "held").exists, "the first to hold it")
    holder.send_signal(signal.SIGSTOP)
    waiter = start(tmp_path, TOUCH, "waited", gone=0.2)
    wait_until(lambda: "waiting" in (tmp_path / "waited.said").read_text(), "the second to wait")
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(2)
    assert not (tmp_path / "waited").exists()
    holder.kill()
    holder.wait()
    assert waiter.wait(60) == 0
    said = (tmp_path / "waited.said").read_text()
    line = f"another process ({holder.pid} on {platform.node()}) is at work; waiting for it to end; if there is none,"
    assert said.count(f"{line} delete disk/lock.held\n") >= 1


def test_a_holder_on_another_machine_is_waited_for_as_long_as_it_beats(tmp_path, lacking):
    lacking(tmp_path / "disk", LOCKS="ENOSYS")
    held = tmp_path / "disk/lock.held"
    held.write_text("17 on elsewhere\n0")
    waiter = start(tmp_path, TOUCH, "waited", gone=5.0)
    for beat in range(20):
        held.write_text(f"17 on elsewhere\n{beat}")
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.wait(0.3)
    assert waiter.wait(60) == 0, "no beat any more"
    assert "another process (17 on elsewhere) is at work" in (tmp_path / "waited.said").read_text()
    assert not held.exists()


# --- what is said once ------------------------------------------------------------------------------------------------


def test_said_once_in_a_run_and_once_in_the_next(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(notices.FOLDER, str(tmp_path / "notes"))
    for run in (1, 2):
        notices.begin(tmp_path / "notes")
        for line in ("one", "two", "one"):
            notices.once(line)
        said = capsys.readouterr()
        assert (said.out, said.err) == ("one\ntwo\none\n", "one\ntwo\n"), run
        notices.end(tmp_path / "notes")
        assert capsys.readouterr().err == "", "this terminal has it already"
    monkeypatch.setattr(platform, "node", lambda: "login")
    notices.end(tmp_path / "notes")
    assert sorted(line.split(" (on ")[0] for line in capsys.readouterr().err.splitlines()) == ["one", "two"]


def test_what_cannot_be_noted_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv(notices.FOLDER, str(tmp_path / "file"))
    notices.once("one")
    assert capsys.readouterr().err == "one\n"
    monkeypatch.delenv(notices.FOLDER)
    notices.once("one")
    assert capsys.readouterr() == ("one\n", "")
