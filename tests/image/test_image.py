"""The image of the Dockerfile, built and run."""

import re
import subprocess
from pathlib import Path

import pytest

import fpkit

REPOSITORY = Path(__file__).parents[2]
TAG = f"fpkit-test:{fpkit.__version__}"


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout


def inside(*command: str) -> str:
    """What a command prints in a new container."""
    return docker("run", "--rm", TAG, *command)


@pytest.fixture(scope="module", autouse=True)
def image():
    try:
        subprocess.run(["docker", "info"], capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no docker that works on this machine")
    docker("build", "--tag", TAG, ".")
    yield
    docker("image", "rm", "--force", TAG)


def test_commands_answer():
    assert "init" in inside("fpkit", "--help")
    pinned = re.search(r"^snakemake==(.*)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert inside("snakemake", "--version").strip() == pinned[1]


def test_there_is_a_compiler():
    program = "echo 'int main() { return 7; }' | c++ -x c++ -o /tmp/seven - && /tmp/seven; echo $?"
    assert inside("sh", "-c", program) == "7\n"
