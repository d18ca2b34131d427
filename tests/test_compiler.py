"""The library of compiled code: what its name depends on, whom it is trusted from, and life without a compiler."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_training import line_data, trained

from fpkit.datasets import files
from fpkit.jobs import cache
from fpkit.training.compiled import compiler, library

COMPILER = next(filter(None, map(shutil.which, compiler.COMPILERS)), "")
SOURCES = sorted(file.name for file in library.SOURCE.parent.glob("*.[ch]pp"))
needs_compiler = pytest.mark.skipif(not COMPILER or "CXX" in os.environ, reason="no C++ compiler, or one of choice")


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A cache without compiled code; nothing remembered."""
    monkeypatch.setenv("FPKIT_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache/compiled"
    forget()


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """A cache with the library in it. Shared: look, do not touch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FPKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        forget()
        assert library.loaded() is not None
        forget()
        return cache.folder("compiled")


@pytest.fixture
def kept(fresh, compiled_once) -> Path:
    """The one library in the cache."""
    shutil.copytree(compiled_once, fresh)
    (file,) = fresh.iterdir()
    return file


def forget() -> None:
    library.loaded.cache_clear()


def again():
    """The library as another process finds it."""
    forget()
    return library.loaded()


def libraries(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*.so")}


def refused(capsys) -> str:
    """What the one line says that is said when torch trains instead."""
    assert again() is None
    said = capsys.readouterr().out
    assert said.count("\n") == 1, said
    told, _, end = said.rpartition("; ")
    assert end == "torch trains instead of compiled code, small networks up to 30 times slower\n"
    return told


# --- kept, and found again --------------------------------------------------------------------------------------------


@needs_compiler
def test_compiled_once_and_kept_in_a_folder_of_ones_own(kept):
    written = kept.stat().st_mtime_ns
    assert again()._name == str(kept)
    assert kept.stat().st_mtime_ns == written
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    kept.parent.chmod(0o777)
    assert again() is not None
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert list(kept.parent.iterdir()) == [kept]


def test_one_folder_keeps_downloads_and_compiled_code(monkeypatch):
    monkeypatch.setenv("FPKIT_CACHE", "~/mine")
    assert files.cache_folder("mnist") == Path.home() / "mine/mnist"
    assert cache.folder("compiled") == Path.home() / "mine/compiled"
    monkeypatch.delenv("FPKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert files.cache_folder("mnist") == Path("/elsewhere/fpkit/mnist")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder("compiled") == Path.home() / ".cache/fpkit/compiled"


@needs_compiler
@pytest.mark.parametrize("change", [*SOURCES, "options", "tuning", "processor", "arguments", "compiler"])
def test_everything_that_a_library_depends_on_is_in_its_name(change, kept, monkeypatch, tmp_path):
    def compile_nothing(command, source, trial, named, refused):
        names.append(named.name)
        return kept

    names = []
    monkeypatch.setattr(compiler, "_made", compile_nothing)
    if change == "options":
        monkeypatch.setattr(compiler, "OPTIONS", [*compiler.OPTIONS, "-ffast-math"])
    if change == "tuning":
        monkeypatch.setattr(compiler, "TUNING", [[]])
    if change in SOURCES:
        for name in SOURCES:
            shutil.copy(library.SOURCE.with_name(name), tmp_path)
        monkeypatch.setattr(library, "SOURCE", tmp_path / library.SOURCE.name)
        assert again()._name == str(kept), "a copy is the same"
        with open(tmp_path / change, "a") as source:
            source.write("\n")
    if change == "processor":
        monkeypatch.setattr(compiler, "processor", lambda: ["another"])
    if change == "arguments":
        monkeypatch.setenv("CXX", f"{COMPILER} -fno-inline")
    if change == "compiler":  # of the same command, and another version
        (tmp_path / "bin").mkdir()
        other = tmp_path / "bin" / Path(COMPILER).name
        other.write_text(f'#!/bin/sh\necho "version 99" >&2\nexec {COMPILER} "$@"\n')
        other.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert again() is not None
    (name,) = names
    assert not kept.name.startswith(name)


ARM = """processor	: {number}
BogoMIPS	: {speed}
Features	: {features}
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x3
CPU part	: {part}
CPU revision	: 1
"""
X86 = """processor	: {number}
model name	: AMD EPYC {part}
cpu MHz		: {speed}
core id		: {number}
apicid		: {number}
flags		: {features}
bogomips	: {speed}
"""


@pytest.mark.parametrize("words", [ARM, X86])
def test_processors_are_told_apart_and_no_core_or_moment(words, tmp_path):
    def told(speeds=(50.0, 60.5), part="0xd0c", features="fp asimd") -> list[str]:
        about = tmp_path / "cpuinfo"
        cores = enumerate(speeds)
        about.write_text("\n".join(words.format(number=n, speed=s, part=part, features=features) for n, s in cores))
        return compiler.processor(about)

    assert told() == told(speeds=(71.25, 3.0)) == told(speeds=(1.0,) * 5)
    assert told() != told(part="0xd40")
    assert told() != told(features="fp asimd sve")


def test_this_processor_is_the_same_a_moment_later():
    assert compiler.processor() == compiler.processor()
    assert compiler.processor(Path("/nowhere")) is not None


@needs_compiler
def test_without_a_compiler_the_library_of_one_serves(kept, monkeypatch, capsys):
    """As on compute nodes, which share a home with the one that compiled."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert again()._name == str(kept)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(compiler, "processor", lambda: ["another"])
    said = refused(capsys)
    assert said == "no c++, g++, clang++ here: install a C++ compiler, or set CXX to the command of one"


@needs_compiler
@pytest.mark.parametrize("how", ["flipped", "half", "empty", "text"])
def test_a_damaged_library_is_never_loaded_and_made_again(how, kept, monkeypatch, capsys):
    whole = kept.read_bytes()
    at = len(whole) // 2
    broken = {
        "flipped": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], "half": whole[:at], "empty": b"",
        "text": b"no library",
    }  # fmt: skip
    kept.write_bytes(broken[how])
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        assert "install a C++ compiler" in refused(capsys)
    if how == "half":  # once is enough: it takes three seconds
        loaded = again()
        assert loaded is not None
        assert compiler._kept(kept.parent, "*.so") == Path(loaded._name)


# --- whose it is ------------------------------------------------------------------------------------------------------


def give_away(path: Path) -> None:
    """Let `path` be somebody else's: root gives it away, others have in its place what is root's."""
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to("/bin/sh" if path.suffix else "/usr")


@needs_compiler
def test_a_folder_of_another_user_is_refused(kept, capsys):
    give_away(kept.parent)
    assert refused(capsys) == f"{kept.parent}: belongs to another user: set FPKIT_CACHE to a folder of your own"


@needs_compiler
def test_a_library_of_another_user_is_refused(kept, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    give_away(kept)
    assert again() is None
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{kept}: belongs to another user, and is not used; delete it"
    assert "install a C++ compiler" in said[1]


def test_a_folder_that_cannot_be_made_is_told_in_one_line(fresh, capsys):
    fresh.parent.write_text("a file")
    assert refused(capsys) == f"{fresh}: cannot be made (Not a directory): set FPKIT_CACHE to a folder of your own"


def test_a_home_that_is_none_is_told_and_no_folder_called_so_is_made(fresh, monkeypatch, tmp_path, capsys):
    """Users without a home are usual in containers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FPKIT_CACHE", "~nobody-of-this-name/cache")
    assert refused(capsys).startswith(
        "~nobody-of-this-name/cache/compiled: there is no such home folder: set FPKIT_CACHE"
    )
    assert not any(tmp_path.iterdir())


# --- CXX --------------------------------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("command", ["{wrapper} {compiler}", "{compiler} -m64"])
def test_a_command_with_arguments_compiles(command, fresh, monkeypatch, tmp_path, capsys):
    wrapper = tmp_path / "ccache"
    wrapper.write_text('#!/bin/sh\nexec "$@"\n')
    wrapper.chmod(0o755)
    if os.uname().machine != "x86_64":
        command = command.replace("-m64", "-DUNUSED")
    monkeypatch.setenv("CXX", command.format(wrapper=wrapper, compiler=COMPILER))
    assert again() is not None, capsys.readouterr().out
    assert len(libraries(fresh)) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("command", "arguments"), [("{path}", []), ("'{path}' -DUNUSED='a b'", ["-DUNUSED=a b"]), ("'{path}'", [])]
)
def test_a_command_may_hold_spaces(command, arguments, tmp_path):
    path = tmp_path / "my compiler"
    path.touch(mode=0o755)
    assert compiler._command(command.format(path=path)) == [str(path), *arguments]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/nowhere/c++", "CXX is '/nowhere/c++', which is no command here: install"),
        ("nowhere -m64", "CXX is 'nowhere -m64', which is no command here: install"),
        ("c++ 'oh", r"CXX is \"c++ 'oh\" \(No closing quotation\): set it to the command of a C++ compiler"),
        ("false", r"false does not compile .*library.cpp \(it ended with 1\): set CXX to another compiler"),
    ],
)
def test_a_command_that_is_no_compiler_is_told_in_one_line(command, told, monkeypatch, capsys):
    monkeypatch.setenv("CXX", command)
    assert re.search(told.replace("+", r"\+"), refused(capsys))


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("command", ["", " "])
def test_an_empty_command_forbids_compiled_code_without_a_word(command, monkeypatch, capsys):
    monkeypatch.setenv("CXX", command)
    assert again() is None
    assert capsys.readouterr().out == ""


@needs_compiler
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("command", ["", "/nowhere/c++"])
def test_without_a_compiler_torch_trains(monkeypatch, command):
    expected = trained(line_data())
    forget()
    monkeypatch.setenv("CXX", command)
    assert library.loaded() is None
    np.testing.assert_allclose(trained(line_data()).predictions, expected.predictions, rtol=1e-4, atol=1e-5)


# --- on trial ---------------------------------------------------------------------------------------------------------

FAULTS = {
    "an instruction that is none": (
        "#include <cstdlib>\n__attribute__((constructor)) static void start() { __builtin_trap(); }",
        r"Illegal instruction|Trace/breakpoint trap",
    ),
    "no end": ("__attribute__((constructor)) static void start() { for (volatile int i = 0;; i = 1 - i); }", "no end"),
    "wrong numbers": ("#define __builtin_sqrtf(number) (number)", r"mlp, tanh: predictions are off by [\d.e-]+"),
}


@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_a_library_that_fails_its_trial_is_never_loaded_and_not_tried_again(
    fault, fresh, monkeypatch, tmp_path, capsys
):
    text, why = FAULTS[fault]
    header = tmp_path / "fault.hpp"
    header.write_text(text + "\n")
    monkeypatch.setattr(compiler, "TRIAL_SECONDS", 5.0 if fault == "no end" else 60.0)
    monkeypatch.setenv("CXX", f"{COMPILER} -include {header}")
    said = refused(capsys)
    (note,) = fresh.iterdir()
    assert re.search(
        rf"fails its trial \(({why}).*\): set CXX to another compiler, or delete {note} to try again$", said
    )

    monkeypatch.setattr(compiler, "_made", lambda *_: pytest.fail("compiled again"))
    assert refused(capsys) == said, "remembered"
    monkeypatch.setattr(compiler, "_made", lambda *_: library.SOURCE)
    note.unlink()
    assert "library.cpp" in refused(capsys), "made again"


@needs_compiler
def test_a_trial_that_was_ended_from_outside_is_taken_again(fresh, monkeypatch, tmp_path, capsys):
    header = tmp_path / "kill.hpp"
    header.write_text("#include <csignal>\n__attribute__((constructor)) static void start() { raise(SIGKILL); }\n")
    monkeypatch.setenv("CXX", f"{COMPILER} -include {header}")
    assert "fails its trial (Killed): set CXX to another compiler" in refused(capsys)
    assert not any(fresh.iterdir())


# --- in a workflow ----------------------------------------------------------------------------------------------------

TWO_TRAININGS = """
datasets:
  sines: {kind: sines, frequencies: [1, 2], samples: 16, test_samples: 8}
experiments:
  pair:
    dataset: sines
    model: {kind: mlp, widths: [8]}
    training: {members: 2, steps: 10}
    record: {per_decade: 5}
    sweep: {training.learning_rate: [0.001, 0.01]}
    decomposition: {fft: {}}
"""
RUNS = [f"results/runs/pair/learning_rate~{rate}" for rate in (0.001, 0.01)]


@pytest.mark.workflow
def test_torch_in_place_of_compiled_code_is_told_once_in_a_run(project, monkeypatch):
    (project / "config.yaml").write_text(TWO_TRAININGS)
    monkeypatch.setenv("CXX", "/nowhere/c++")
    line = "CXX is '/nowhere/c++', which is no command here: install a C++ compiler, or set CXX to the command of one"
    said = project.make(*RUNS, overlays=()).stderr
    assert said.count(f"\n{line}; torch trains instead") == 1
    for run in RUNS:
        assert project.log(f"runs/pair/{Path(run).name}.log").count(line) == 1, "and in each log"
    shutil.rmtree(project / "results")
    said = project.make(RUNS[0], overlays=()).stderr
    assert said.count(f"\n{line}; torch trains instead") == 1, "in the next run too"
