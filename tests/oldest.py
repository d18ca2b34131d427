"""What `make test-oldest` installs: the lower bounds of pyproject.toml as exact versions, a line each for pip.

`python tests/oldest.py torch==2.13.0` takes that version in place of the bound.
"""

import re
import sys
import tomllib
from pathlib import Path

# The plugins of Slurm, S3 and Kubernetes ask for newer libraries than fpkit does.
EXTRAS = ("figures", "workflow", "distributed", "dev")


def bounds(project: dict) -> dict[str, str]:
    """package -> lower bound, of the dependencies and of EXTRAS."""
    extras = project["optional-dependencies"]
    requirements = project["dependencies"] + [line for extra in EXTRAS for line in extras.get(extra, ())]
    return dict(re.fullmatch(r"([\w.-]+)>=([\w.]+)", line).groups() for line in requirements if "[" not in line)


if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for package, version in (bounds(project) | dict(argument.split("==") for argument in sys.argv[1:])).items():
        print(f"{package}=={version}")
