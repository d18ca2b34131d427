"""What every job script does around its one library call: thread limits, a log, and errors in one line."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import contextmanager

from fpkit.errors import UserError


@contextmanager
def job(log: str, name: str, threads: int):
    """Run a job: what it prints goes to `log`, a UserError ends it with one line there and on the terminal.

    Enter it before numpy or torch are imported: thread pools read their limits once.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    with open(log, "w", buffering=1, encoding="utf-8") as stream:
        terminal, sys.stdout = sys.stdout, stream
        try:
            yield
        except UserError as error:
            print(f"{name}: {error}", file=stream)
            print(f"{name}: {error}", file=sys.stderr)
            sys.exit(1)
        except Exception:
            traceback.print_exc(file=stream)
            raise
        finally:
            sys.stdout = terminal
