"""One benchmark's table -> its picture."""

import os
import subprocess
import sys
from pathlib import Path

repository = Path(__file__).parents[2]
found = os.pathsep.join(filter(None, [str(repository), os.environ.get("PYTHONPATH")]))
with open(snakemake.log[0], "w", encoding="utf-8") as log:
    subprocess.run(
        [sys.executable, "-m", "benchmarks.draw", snakemake.input.table, snakemake.output.picture],
        env=os.environ | {"PYTHONPATH": found, "MPLBACKEND": "Agg"}, stdout=log, stderr=subprocess.STDOUT, check=True,
    )  # fmt: skip
