"""When predictions are recorded."""

from __future__ import annotations

import math


def record_steps(steps: int, per_decade: int) -> list[int]:
    """The recorded steps, 0 .. at most `steps`: log-spaced, rounded to two significant digits.

    The schedule does not depend on where training ends, so a longer run's records begin with a shorter one's.
    """
    grid, exponent = {0}, 0
    while (step := 10 ** (exponent / per_decade)) <= 1.1 * steps:
        digits = max(0, math.floor(math.log10(step)) - 1)
        grid.add(round(step / 10**digits) * 10**digits)
        exponent += 1
    return sorted(step for step in grid if step <= steps)
