"""The command `fpkit`: starts a study of one's own, checks a configuration."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fpkit.errors import UserError

if TYPE_CHECKING:  # imported where it is used: `fpkit init` waits for none of it
    from fpkit.config import Config

DESCRIPTION = """\
In which order does a neural network learn the frequencies of its target?

  fpkit init study                 a folder to work in: configuration, Snakefile, parts of your own
  cd study
  fpkit check config.yaml          mistakes, one line each, before anything runs
  snakemake --cores 8 figures      trainings, spectra, claims and figures, below results/
  fpkit watch runs/*.zarr          a recorded training of your own, while it goes on
"""
PACKAGE = Path(__file__).parent
# Where the workflow and what belongs to it lie: in the package, as it is installed, or beside it, as it is written.
PLACES = PACKAGE / "shipped", PACKAGE.parent


def beside(name: str) -> Path:
    """The file or folder of this name that the wheel brings with the package: `workflow`, `profiles`, `presets`.

    Raises:
        UserError: it is not there.
    """
    for place in PLACES:
        if (place / "workflow/Snakefile").is_file() and (place / name).exists():
            return place / name
    raise UserError(
        f"{PACKAGE}: the workflow is missing; install fpkit anew: pip install --force-reinstall 'fpkit[workflow]'"
    )


def snakefile() -> str:
    """The path of the workflow, to be included by a Snakefile."""
    return str(beside("workflow/Snakefile"))


def init(folder: str, paper: bool = False) -> list[Path]:
    """Make a study in a folder that is empty, or not there yet. The paths of its files.

    Args:
        paper: with the configuration of the paper's experiments, and the presets that may be laid over it, in place of
            a short one.

    Raises:
        UserError: the folder holds something, or cannot be written; what was begun is removed again.
    """
    study = Path(folder)
    if os.pathsep in str(study.absolute()):
        raise UserError(f"{folder}: Python parts paths at '{os.pathsep}'; name another folder")
    made: list[Path] = []
    try:
        if study.exists() and any(study.iterdir()):
            raise UserError(f"{folder}: is not empty; name a folder that is, or is not there yet")
        for name, source in _files(paper).items():
            _make_folder((study / name).parent, made)
            with open(study / name, "xb") as file:
                made.append(study / name)
                file.write(source.read_bytes())
    except OSError as error:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()
        what = "is a file; name a folder" if study.is_file() else f"cannot be made ({error.strerror}); name another"
        raise UserError(f"{folder}: {what}") from error
    return [path for path in made if path.is_file()]


def _files(paper: bool) -> dict[str, Path]:
    """What a study is made of: names in it, and where they are copied from."""
    study = beside("workflow/study")
    found = {
        name: study / source
        for name, source in {
            "Snakefile": "Snakefile",
            "config.yaml": "config.yaml",
            "parts/bumps.py": "parts/bumps.py",
            ".gitignore": "gitignore",
        }.items()
    }
    found["profiles/default/profile.yaml"] = beside("profiles/default/profile.yaml")
    if paper:
        found["config.yaml"] = beside("config.yaml")
        # The parts that they name, too.
        found |= {f"presets/{path.name}": path for path in sorted(beside("presets").iterdir()) if path.is_file()}
    return found


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder and those around it; each that is new is noted."""
    if not folder.is_dir():
        _make_folder(folder.parent, made)
        folder.mkdir()
        made.append(folder)


def check(files: list[str]) -> str:
    """What a configuration comes to, in one line: the first file, and those laid over it.

    Raises:
        UserError: what is wrong with it, a line for each problem, or a file or store that it names and is not there.
    """
    from fpkit.config import load, merged, read_yaml, variants
    from fpkit.planning import estimate

    # Where the workflow looks for parts of the user's own, and for those that come with it.
    for folder in (os.path.dirname(os.path.abspath(files[0])), os.getcwd(), str(beside("presets").parent)):
        if folder not in sys.path:
            sys.path.append(folder)
    config = load(merged(*map(read_yaml, files), {}))
    # Paths are from the folder that the workflow will work in: this one, or that of the configuration.
    missing = []
    for folder in (os.getcwd(), os.path.dirname(os.path.abspath(files[0]))):
        try:
            with contextlib.chdir(folder):
                _check_files(config)
            break
        except UserError as error:
            missing.append(error)
    else:
        raise missing[0]
    counts = {
        "data set": len(config.all_datasets),
        "experiment": len(config.experiments),
        "variant": len(list(variants(config))),
        "claim": len(config.claims),
        "figure": len(config.figures),
    }
    told = ", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items())
    return f"{' + '.join(files)}: {told}; {estimate(config)}"


def _check_files(config: Config) -> None:
    """Raises UserError where a file or a store that a configuration names is not there."""
    from fpkit.datasets.inputs import check_files

    needed = {name: one for name, one in config.all_datasets.items() if not getattr(one, "optional", False)}
    patterns = {name: one.stores for name, one in config.experiments.items() if hasattr(one, "stores")}
    check_files(needed, patterns, ".snakemake/inputs.json")


def _watch(asked: argparse.Namespace) -> None:
    """Raises UserError where a library is missing that pictures or tables need."""
    try:
        from fpkit.watching import watch

        watch(asked.stores, asked.measure, asked.html, asked.every, asked.once)
    except ModuleNotFoundError as error:
        raise UserError(f"fpkit watch needs {error.name}: pip install 'fpkit[figures]'") from error
    except KeyboardInterrupt:
        return


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="fpkit", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = command.add_subparsers(dest="command", required=True, metavar="init | check | watch")
    one = commands.add_parser(
        "init", help="start a study in a new folder", description="Start a study in a new folder."
    )
    one.add_argument("folder")
    one.add_argument("--paper", action="store_true", help="with all experiments of the paper, for hours, not a minute")
    what = "tell mistakes in a configuration, one line each"
    two = commands.add_parser("check", help=what, description=f"{what.capitalize()}.")
    two.add_argument("files", nargs="+", metavar="FILE", help="the configuration, and files laid over it")
    what = "look at a training while it goes on"
    three = commands.add_parser("watch", help=what, description=f"{what.capitalize()}.")
    three.add_argument("stores", nargs="+", metavar="STORE", help="of fpkit.Recorder, or a run of the workflow")
    three.add_argument("--measure", help="graph, projection, ...; left out, the one that suits the points")
    three.add_argument("--html", metavar="FILE", help="write a page that refreshes itself, instead of to the terminal")
    three.add_argument("--every", type=float, default=10, metavar="SECONDS", help="between two looks (10)")
    three.add_argument("--once", action="store_true", help="look once, and end")
    return command


def main() -> None:
    """Run the command; what the user can mend is told in one line, and ends it with 1."""
    asked = parser().parse_args()
    try:
        if asked.command == "check":
            print(check(asked.files))
            return
        if asked.command == "watch":
            _watch(asked)
            return
        for path in init(asked.folder, asked.paper):
            print(path)
        print(f"next: cd {shlex.quote(asked.folder)}, then: snakemake --cores 8 figures")
        if not find_spec("snakemake"):
            print("(the workflow needs more than the library: pip install 'fpkit[workflow]')")
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
