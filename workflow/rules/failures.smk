# TAKES    what failed jobs leave beside their logs (fpkit.jobs.endings), and what the executor says of them
# MAKES    one line of a job that was killed; retries that can succeed, with more of what was short, and no others
# STEPS    listen to Snakemake's own report of each failed job, before it decides whether to repeat it
import logging
import re
from collections import Counter

from snakemake.jobs import Job
from snakemake.logging import logger
from snakemake.settings.types import SharedFSUsage
from snakemake_interface_logger_plugins.common import LogEvent

from fpkit.jobs import endings

# How often a job had too little of a resource, and the jobs that would fail the same way again.
SHORT, FINAL = Counter(), set()
GLOBALS = globals()
# What Slurm calls the end of a job that it ended itself; of any other it says FAILED.
NO_TIME, NO_MEMORY = r"TIMEOUT|DEADLINE", r"OUT_OF_MEMORY"
NO_FAULT = r"CANCELLED|NODE_FAIL|BOOT_FAIL|PREEMPTED"


def growing(resource, amount):
    """A resource that doubles after each attempt that had too little of it; `--resources` says what is the most.

    `amount` is a number, or a function of the wildcards.
    """

    def asked(wildcards, rulename):
        first = amount(wildcards) if callable(amount) else amount
        return first * 2 ** SHORT[rulename, tuple(wildcards), resource]

    return asked


def is_of_this_module(job):
    return job.rule.module_globals is GLOBALS and is_ours(job.rule)


def identity(job):
    return job.rule.name, tuple(job.wildcards)


def short_of(ending, said):
    """The resource of which a failed job had too little, if any."""
    if re.search(NO_TIME, said):
        return "runtime"
    if re.search(NO_MEMORY, said) or (ending and ending.kind == "short of memory"):
        return "mem_mb"
    if ending and ending.kind == "killed" and not re.search(NO_FAULT, said):
        return "mem_mb"
    if SharedFSUsage.INPUT_OUTPUT not in workflow.storage_settings.shared_fs_usage:
        return "mem_mb"  # its ending is on another disk: most often, that is it
    return None


def can_succeed(job, ending, short):
    if short is None:
        return not ending or ending.kind != "final"
    SHORT[(*identity(job), short)] += 1
    if short == "runtime" and str(job.rule.script).endswith("train.py"):
        return True  # it goes on from its checkpoint
    again = job.rule.expand_resources(job.wildcards_dict, job.input, job.attempt + 1)
    return ending is None or again.get(short, 0) > job.resources.get(short, 0)


def is_final(job):
    return is_of_this_module(job) and identity(job) in FINAL


class Failures(logging.Handler):
    def emit(self, record):
        if getattr(record, "event", None) != LogEvent.JOB_ERROR:
            return
        try:
            [job] = [
                job
                for job in workflow.dag.jobs
                if workflow.dag.jobid(job) == record.jobid
            ]
            if is_of_this_module(job):
                look_at(job, record.rule_msg or "")
        except Exception:  # told, and no more: the other jobs go on
            self.handleError(record)


def look_at(job, said):
    log = str(job.log[0]) if job.log else None
    ending = endings.take(log) if log else None
    short = short_of(ending, said)
    if ending and ending.kind == "killed" and short == "mem_mb":
        line = f"{ending.name}: killed, or crashed, without a word; if for its memory: {ending.remedy}"
        print(line, file=sys.stderr, flush=True)
        with open(log, "a", encoding="utf-8") as stream:
            print(line, file=stream)
    if not can_succeed(job, ending, short):
        FINAL.add(identity(job))


# In the process that plans and repeats jobs, not in those that run them on a cluster.
if workflow.is_main_process:
    logger.addHandler(Failures())
    # Snakemake knows one number for all jobs of a rule. Of jobs that are not ours, it goes on to.
    restart_times = Job.restart_times.fget
    Job.restart_times = property(
        lambda job, before=restart_times: 0 if is_final(job) else before(job)
    )
