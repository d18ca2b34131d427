"""What was planned: a job that would do something else, since a file was edited while it waited, refuses.

A workflow reads its configuration and hashes its code when it is planned. A job that runs elsewhere reads the
configuration again, and every job loads its code when it starts, hours later perhaps: what it makes then would bear the
names and dates of what was planned.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

from fpkit.errors import UserError

# Where jobs find the plan: handed on by the environment, on clusters too.
VARIABLE = "FPKIT_PLAN"


def write(
    folder: str | Path, jobs: Iterable[tuple[str, Iterable[str], Mapping]], code: Mapping[tuple, tuple], files: Mapping
) -> None:
    """Leave a plan for jobs to `check`, in a file of its own below `folder`.

    Args:
        jobs: rule, wildcards and params of each.
        code: the arguments of `fpkit.jobs.provenance.code_hashes` that gave each result.
        files: `fpkit.jobs.provenance.STATES`.
    """
    plan = {
        "jobs": {_name(rule, wildcards): _digests(params) for rule, wildcards, params in jobs},
        "code": {_digest(hashes): list(map(str, arguments)) for arguments, hashes in code.items()},
        "files": {str(file): state for file, state in files.items()},
    }
    path = Path(folder) / f"{uuid.uuid4().hex}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan))
    os.environ[VARIABLE] = str(path)


def forget() -> None:
    """All its jobs have ended."""
    Path(os.environ.pop(VARIABLE)).unlink(missing_ok=True)


def check(rule: str, wildcards: Iterable[str], params: Mapping) -> None:
    """Raise UserError unless this job is what was planned; where no plan is handed on, there is nothing to compare."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    try:
        plan = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read what was planned ({path}); run again") from error
    planned, found = plan["jobs"].get(_name(rule, wildcards)), _digests(params)
    if planned is None or planned[0] != found[0]:
        raise UserError(
            "config.yaml, or a file laid over it, was edited after this job was planned; nothing was done, run again"
        )
    if planned[1] != found[1] or _edited(plan, params):
        raise UserError("its code was edited after this job was planned; nothing was done, run again")


def _edited(plan: dict, params: Mapping) -> bool:
    """Whether this job would load other code than it was planned with; comments and dates do not count."""
    # By name: jobs do not depend on its code, nor wait for its imports.
    if all(_state(file) == state for file, state in plan["files"].items()):
        return False
    arguments = plan["code"][_digest(params["code"])]
    return _digest(import_module("fpkit.jobs.provenance").code_hashes(*arguments)) != _digest(params["code"])


def _state(file: str) -> list[int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]


def _name(rule: str, wildcards: Iterable[str]) -> str:
    return " ".join([rule, "/".join(wildcards)]).strip()


def _digests(params: Mapping) -> list[str]:
    """Of the configuration, and of the code."""
    params = dict(params.items())
    code = params.pop("code", ())
    return [_digest(params), _digest(code)]


def _digest(what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
