"""The machine's C++ compiler, and the library that it makes of a source: tried, kept, and found again.

Everything that a library depends on is in its name: the source and what it includes, the options, the processor, the
command that was asked for; the compiler behind it and what it takes `native` for; and the library's own bytes, so that
a damaged one has another name. A home folder may be shared by unlike machines, and each finds its own. Without a
compiler (compute nodes often have none), a library that one made before for such a processor serves.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from fpkit.errors import UserError
from fpkit.jobs import cache, includes, notices

COMPILERS = ("c++", "g++", "clang++")
# Tuned for some processors, GCC multiplies and adds apart where a loop has one sum, and in one step where it has more:
# the same number would have other bits.
ALIKE = "--param=avoid-fma-max-bits=0"
# The others are for compilers that do not know the first, call it otherwise, or cannot tell.
TUNING = (["-march=native", ALIKE], ["-march=native"], ["-mcpu=native"], [])
OPTIONS = ["-O3", "-std=c++17", "-fPIC", "-shared", "-pthread", "-fno-math-errno"]
# Whoever takes longer for a tiny training hangs.
TRIAL_SECONDS = 60.0
# How a trial ends that found wrong numbers.
WRONG = 3
# Lines of /proc/cpuinfo that tell one core, or one moment, from another.
PASSING = re.compile(
    r"processor|core id|physical id|(initial )?apicid|siblings|cpu cores|cpu number|hart|microcode|serial|.*mhz|.*clock"
    r"|.*bogomips",
    re.IGNORECASE,
)


def library(source: Path, trial: str) -> ctypes.CDLL | None:
    """The compiled `source`, or None where it cannot be had, which is said once in a run, with what to do.

    An empty environment variable CXX forbids it, without a word. CXX may be a command with arguments.

    Args:
        trial: a module that, run with the library's path, tries it; told where the library comes from a fresh compiler.
    """
    if "CXX" in os.environ and not os.environ["CXX"].strip():
        return None
    try:
        return ctypes.CDLL(str(_file(source, trial)))
    except (OSError, UserError) as error:
        notices.once(f"{error}; torch trains instead of compiled code, small networks up to 30 times slower")
        return None


def _file(source: Path, trial: str) -> Path:
    try:
        folder = cache.own_folder("compiled")
    except UserError as error:
        raise UserError(f"{error}: set FPKIT_CACHE to a folder of your own") from error
    asked = os.environ.get("CXX", "")
    kept = f"compiled-{_digest(*_texts(source), repr((TUNING, OPTIONS, asked)), *processor())}"
    command = _command(asked)
    if command is None:
        found = _kept(folder, f"{kept}-*.so")
        if found is None:
            where = f"CXX is {asked!r}, which is no command here" if asked else f"no {', '.join(COMPILERS)} here"
            raise UserError(f"{where}: install a C++ compiler, or set CXX to the command of one")
        return found
    kept += f"-{_digest(*command, _identity(command))}"
    refused = folder / f"{kept}.refused"
    if refused.exists() and cache.is_own(refused):
        raise UserError(refused.read_text(encoding="utf-8"))
    return _kept(folder, f"{kept}-*.so") or _made(command, source, trial, folder / kept, refused)


def _texts(source: Path) -> list[bytes]:
    return [file.read_bytes() for file in includes.whole(source)]


def _command(asked: str) -> list[str] | None:
    """The compiler and its arguments, or None where there is none."""
    if not asked:
        found = next(filter(None, map(shutil.which, COMPILERS)), None)
        return found and [found]
    try:
        words = [asked] if shutil.which(asked) else shlex.split(asked)
    except ValueError as error:
        raise UserError(f"CXX is {asked!r} ({error}): set it to the command of a C++ compiler") from error
    found = shutil.which(words[0])
    return found and [found, *words[1:]]


def _identity(command: list[str]) -> str:
    """What the compiler says of itself, and what processor `native` is to it: the commands it would run."""
    said = ""
    for tuning in TUNING:
        dry = [*command, *tuning, "-###", "-E", "-x", "c++", os.devnull]
        done = subprocess.run(
            dry, capture_output=True, check=False, text=True, errors="replace", env=os.environ | {"LC_ALL": "C"}
        )
        said += done.stdout + done.stderr
        if done.returncode == 0:
            break
    return said


def processor(about: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What tells this processor from others, in whatever words the system has."""
    lines = about.read_text(encoding="utf-8", errors="replace").splitlines() if about.exists() else []
    lasting = {line for line in lines if line.strip() and not PASSING.fullmatch(line.partition(":")[0].strip())}
    return [platform.machine(), platform.processor(), *sorted(lasting)]


def _kept(folder: Path, pattern: str) -> Path | None:
    """The newest library of such a name that is this user's and whole."""
    for file in sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime, reverse=True):
        if not cache.is_own(file):
            notices.once(f"{file}: belongs to another user, and is not used; delete it")
        elif file.stem.endswith(f"-{_digest(file.read_bytes())}"):
            return file
    return None


def _made(command: list[str], source: Path, trial: str, kept: Path, refused: Path) -> Path:
    """Compile, try, and keep what passes. What does not is remembered as well, and not tried by every job."""
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        partial = Path(folder) / "compiled.so"
        for tuning in TUNING:
            compiling = [*command, *OPTIONS, *tuning, str(source), "-o", str(partial)]
            done = subprocess.run(compiling, capture_output=True, check=False, text=True, errors="replace")
            if done.returncode == 0:
                break
        else:
            why = done.stderr.strip().partition("\n")[0] or f"it ended with {done.returncode}"
            raise UserError(f"{shlex.join(command)} does not compile {source} ({why}): set CXX to another compiler")
        why, lasting = _fault(trial, partial)
        if why:
            told = f"what {shlex.join(command)} makes of {source} fails its trial ({why}): set CXX to another compiler"
            if lasting:
                told += f", or delete {refused} to try again"
                refused.write_text(told, encoding="utf-8")
            raise UserError(told)
        file = kept.with_name(f"{kept.name}-{_digest(partial.read_bytes())}.so")
        os.replace(partial, file)  # jobs may compile side by side
        return file


def _fault(trial: str, file: Path) -> tuple[str, bool]:
    """Why a library cannot be trusted, if so, and whether it would be the same another time.

    An illegal instruction, or a loop without end, does not end this process.
    """
    # All modules are looked for as they are here.
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-P", "-m", trial, str(file)]
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, check=False, text=True, errors="replace", timeout=TRIAL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no end after {TRIAL_SECONDS:.0f} s", True
    if done.returncode < 0:
        number = -done.returncode
        return signal.strsignal(number) or f"signal {number}", number not in (signal.SIGKILL, signal.SIGTERM)
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2] or f"exit {done.returncode}", done.returncode == WRONG
    return "", False


def _digest(*parts: str | bytes) -> str:
    whole = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hashlib.sha256(whole).hexdigest()[:16]
