"""A Slurm cluster on this machine: munged, slurmctld and several slurmd, all in one folder and on free ports."""

from __future__ import annotations

import contextlib
import ctypes
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr")
NODES = ("node1", "node2", "node3")
GPU_NODE = "node3"
SECONDS = 300  # nothing the daemons do takes this long, on whatever machine

# Without cgroups; CPUs and memory as written here, whatever the machine has; jobs spread over the nodes (LLN). Waits
# are short: for a killed job to end (KillWait), for a lost node (SlurmdTimeout), before a requeue (cred_expire).
CONFIGURATION = """
ClusterName=fpkit
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
GresTypes=gpu
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=20
KillWait=2
PartitionName=all Nodes=ALL Default=YES LLN=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=64000{gres}\n"


class Slurm:
    """The running cluster. `path` goes in front of PATH: clients there know this cluster and no other."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "bin"
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        for name in ("state", "bin", *NODES):
            (self.folder / name).mkdir(mode=0o755)
        self._configure()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        # --force: the folders above may be closed to others, who have no business here.
        self._daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *files)
        self.wait_until((self.folder / "munge.socket").exists, "munged")
        self._daemon("slurmctld", "-D", "-f", self.configuration)
        for node in NODES:
            self.start_node(node)
        self.wait_until(lambda: all(self.state(node) == "IDLE" for node in NODES), "the nodes to be idle")

    def stop(self) -> None:
        """End all jobs, then all daemons, then what they may have left."""
        if "slurmctld" in self.daemons and self.daemons["slurmctld"].poll() is None:
            for job in self.jobs():
                self.run("scancel", "--signal=KILL", "--full", job, check=False)
                self.run("scancel", job, check=False)
        for daemon in self.daemons.values():
            daemon.kill()
            daemon.wait()
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    def _configure(self) -> None:
        host = socket.gethostname().split(".")[0]
        controller, *ports = free_ports(1 + len(NODES))
        text = CONFIGURATION.format(host=host, port=controller, user=getpass.getuser(), folder=self.folder)
        for name, port in zip(NODES, ports, strict=True):
            text += NODE.format(name=name, host=host, port=port, gres=" Gres=gpu:2" if name == GPU_NODE else "")
        self.configuration.write_text(text)
        # Two devices that every machine has stand for GPUs: Slurm only looks whether they are there.
        gpus = [f"NodeName={GPU_NODE} Name=gpu File={device}\n" for device in ("/dev/null", "/dev/zero")]
        (self.folder / "gres.conf").write_text("".join(gpus))
        # Jobs lose SLURM_CONF on their way to the job step.
        for name in CLIENTS:
            client = self.path / name
            client.write_text(f'#!/bin/sh\nSLURM_CONF="{self.configuration}" exec "{shutil.which(name)}" "$@"\n')
            client.chmod(0o755)

    def _daemon(self, name: str, *arguments: str | Path, node: str | None = None) -> None:
        environment = {"SLURM_CONF": str(self.configuration)} | ({"SLURMD_NODENAME": node} if node else {})
        with open(self.folder / f"{node or name}.terminal", "ab") as terminal:
            self.daemons[node or name] = subprocess.Popen(
                [find(name), *arguments],
                stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | environment, preexec_fn=end_with_parent,
            )  # fmt: skip

    def start_node(self, node: str) -> None:
        self._daemon("slurmd", "-D", "-f", self.configuration, "-N", node, node=node)

    def kill_node(self, node: str) -> None:
        """As if its power failed: the daemon and all that runs there, without a word to anybody."""
        self.daemons[node].kill()
        self.daemons[node].wait()
        # First those that watch over the jobs (they have the daemon's environment), so that none tells of a job's end.
        for process in sorted(self._processes(node), key=lambda process: process.name() != "slurmstepd"):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _processes(self, node: str | None = None) -> list[psutil.Process]:
        """Of this cluster, or of one node, what is not a daemon: jobs, and what Slurm runs them with."""
        marks = [f"SLURM_CONF={self.configuration}\0"] + ([f"SLURMD_NODENAME={node}\0"] if node else [])
        daemons = {daemon.pid for daemon in self.daemons.values()}
        found = []
        for process in psutil.process_iter():
            try:
                # psutil.Process.environ() stops where slurmstepd has written its title.
                environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            except OSError:
                continue  # gone, or somebody else's
            if process.pid not in daemons and all(mark.encode() in environment for mark in marks):
                found.append(process)
        return found

    def run(self, client: str, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [self.path / client, *arguments], capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
        assert not check or done.returncode == 0, f"{client} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def wait_until(self, condition, what: str, seconds: float = SECONDS):
        """What `condition` returns, once it is true."""
        end = time.monotonic() + seconds
        while not (result := condition()):
            dead = [name for name, daemon in self.daemons.items() if daemon.poll() not in (None, -signal.SIGKILL)]
            assert not dead, f"{dead} ended: see {self.folder}"
            assert time.monotonic() < end, f"waited in vain for {what}: see {self.folder}"
            time.sleep(0.2)
        return result

    def state(self, node: str) -> str:
        """IDLE, MIXED, ALLOCATED, DOWN, ...; empty while the controller does not answer."""
        return self.run("sinfo", "--noheader", "--nodes", node, "--format=%T", check=False).strip().upper()

    def jobs(self, *states: str) -> list[str]:
        """Ids of the jobs that have not ended, or of those in `states`."""
        chosen = [f"--states={','.join(states)}"] if states else []
        return self.run("squeue", "--noheader", "--format=%i", *chosen).split()

    def job(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says."""
        return dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "show", "job", "--oneliner", job)))

    def completed(self) -> list[dict[str, str]]:
        """All jobs that ended, in the order in which they did: JobId, JobState, NodeList, ..."""
        path = self.folder / "completed.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]


def missing() -> list[str]:
    """The programs a cluster needs that are not on this machine."""
    return [name for name in (*PROGRAMS, *CLIENTS) if not find(name)]


def find(program: str) -> str | None:
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def end_with_parent() -> None:
    """However the tests end, the daemons end with them."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
