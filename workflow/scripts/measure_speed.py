"""One benchmark -> its table. In a process of its own, as by hand: `python -m benchmarks.training --output ...`."""

import os
import subprocess
import sys
from pathlib import Path

repository = Path(__file__).parents[2]
found = os.pathsep.join(filter(None, [str(repository), os.environ.get("PYTHONPATH")]))
with open(snakemake.log[0], "w", encoding="utf-8") as log:
    subprocess.run(
        [sys.executable, "-m", f"benchmarks.{snakemake.wildcards.benchmark}", "--output", snakemake.output.table],
        env=os.environ | {"PYTHONPATH": found}, stdout=log, stderr=subprocess.STDOUT, check=True,
    )  # fmt: skip
