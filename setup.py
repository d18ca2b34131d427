"""The wheel holds the workflow too, and what `fpkit init` starts a study with; all else is said in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BESIDE = ("workflow", "profiles/default", "presets", "config.yaml")


class WithWorkflow(build_py):
    """Puts into the package what lies beside it in the repository: in a folder of its own, where parts are found."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # it is found where it is
        for name in BESIDE:
            source, target = Path(name), Path(self.build_lib, "fpkit/shipped", name)
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".snakemake"))
            else:
                shutil.copyfile(source, target)


setup(cmdclass={"build_py": WithWorkflow})
