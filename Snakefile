# fpkit: in which order does a neural network learn the frequencies of its target?
# config.yaml -> datasets -> training -> spectra -> claims and figures. Everything else is in workflow/rules.
import os
import shlex
import sys

# Snakemake writes it into the shell commands of its jobs as it is. From here, where they run, the way to the environment
# that `make` puts here is plain, whatever this folder is called.
if os.path.exists(sys.executable) and shlex.quote(sys.executable) != sys.executable:
    sys.executable = shlex.quote(os.path.relpath(sys.executable))

for folder in (str(workflow.basedir), os.getcwd()):
    if os.pathsep in folder:
        sys.exit(
            f"{folder}: Python parts paths at '{os.pathsep}'; rename the folder, or work in another"
        )

# In the workflow and in its jobs: before all else the package beside this file, behind all else the user's own parts,
# beside this file and in the working directory. One that is called like a module must not take its place.
FIRST, LAST = f"{workflow.basedir}/workflow/path", [str(workflow.basedir), os.getcwd()]
sys.path[:] = [FIRST, *(path for path in sys.path if path not in ("", *LAST)), *LAST]
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [FIRST, os.environ.get("PYTHONPATH")])
)
os.environ["PYTHONSAFEPATH"] = "1"
os.environ["FPKIT_PARTS"] = os.pathsep.join(LAST)

from fpkit.jobs import notices, plans, recipes
from fpkit.config import ConfigError, merged, read_yaml
from fpkit.jobs.provenance import STATES

# What jobs say once in a run is noted here.
os.environ[notices.FOLDER] = os.path.abspath("results/.progress")

# Snakemake's own reader, below, does not say which line is broken, and takes a key given twice.
try:
    LAYERS = [
        read_yaml(path)
        for path in (
            "config.yaml",
            *map(os.path.relpath, workflow.overwrite_configfiles),
        )
    ]
except ConfigError as error:
    sys.exit(str(error))

# Said, not refused: a dry run and a report only look.
READ_ONLY = os.path.isdir("results") and not os.access("results", os.W_OK)
if READ_ONLY:
    print(
        "results: cannot be written; make it writable, or work in a copy",
        file=sys.stderr,
    )


configfile: "config.yaml"


# Snakemake's own merging leaves the keys of one kind to another.
if workflow.config_settings.replace_workflow_config:
    del LAYERS[0]
config.clear()
config.update(merged(*LAYERS, workflow.config_settings.config))


include: "workflow/rules/common.smk"
include: "workflow/rules/failures.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/spectra.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/benchmarks.smk"


rule figures:
    """Everything: all figures, and the claims judged."""
    default_target: True
    input:
        FIGURE_FILES,
        "results/claims.csv",


rule report_inputs:
    """What the report shows beside the figures, once those are made: `make report`."""
    input:
        FIGURE_FILES,
        REPORT_FILES,
        "results/claims.csv",


# After all rules: a mistyped target is told with the nearest name.
include: "workflow/rules/targets.smk"


onstart:
    # Otherwise Snakemake ends in a traceback.
    if READ_ONLY:
        sys.exit(1)
    # The commands that jobs are sent with pass through two shells.
    if not workflow.local_exec and (taken := set('$`"\\') & set(os.getcwd())):
        sys.exit(
            f"{os.getcwd()}: '{min(taken)}' does not reach jobs elsewhere; rename the folder, or run without this profile"
        )
    if undone := undone_for_report(workflow.dag):
        sys.exit(undone)
    notices.begin(os.environ[notices.FOLDER])
    # Its jobs compare what they would do with it.
    plans.write(
        ".snakemake/plans",
        ((job.rule.name, job.wildcards, job.params) for job in workflow.dag.jobs),
        CODE,
        STATES,
    )


onsuccess:
    plans.forget()
    notices.end(os.environ[notices.FOLDER])
    if told := recipes.summary():
        print(told, file=sys.stderr)


onerror:
    plans.forget()
    notices.end(os.environ[notices.FOLDER])
