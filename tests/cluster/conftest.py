"""One Slurm cluster for all tests here, and what was seen on it."""

import os
import signal

import pytest

from .slurm import Slurm, missing

SEEN = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[SEEN] = []
    # Ended by `kill` or `timeout`, the tests still end their cluster, as they do on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def tell(request):
    """Adds a line to the end of the report."""
    return request.config.stash[SEEN].append


def pytest_terminal_summary(terminalreporter):
    for line in terminalreporter.config.stash[SEEN]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The cluster, with its clients first in PATH."""
    if missing():
        pytest.skip(f"needs {', '.join(missing())} (Debian: slurmctld, slurmd, slurm-client, munge)")
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", str(cluster.path), prepend=os.pathsep)
            yield cluster
    finally:
        cluster.stop()
