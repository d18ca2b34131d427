"""The code in docs/recording.md, as it stands there, in the order in which it stands there."""

import re
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs/recording.md").read_text()


def test_three_lines_in_a_loop_and_what_they_say(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert len([line for line in said if re.fullmatch(r"Recorder\(.*seed\d\.zarr: \d+ records in .*%\)", line)]) == 6
    assert re.fullmatch(r"lead -?\d.* \[.*\], >= 0\.1: (holds|undecided|does not hold) \(6 of 6 members\).*", said[-2])
    assert re.search(r"\d+ of 20 draws reach it", said[-1])
    assert (tmp_path / "order.pdf").read_bytes()[:5] == b"%PDF-"
