# TAKES    what was asked for on the command line; VARIANTS, FIGURE_FILES, REPORT_FILES, ANIMATIONS
# MAKES    nothing; one line for each target that is none, with the nearest that is, before anything is planned
# STEPS    list all that the rules make of this configuration, compare
import difflib
import re

from snakemake.cli import get_argument_parser

TARGETS = [
    *expand("results/datasets/{dataset}.nc", dataset=DATASETS),
    *(
        f"results/runs/{experiment}/{name}"
        for (experiment, name), variant in VARIANTS.items()
        if not variant.recorded
    ),
    *(
        f"results/spectra/{experiment}/{name}/{measure}.nc"
        for (experiment, name), variant in VARIANTS.items()
        for measure in variant.decomposition
    ),
    "results/claims.csv",
    *expand("results/calibration/{figure}.csv", figure=CALIBRATIONS),
    *FIGURE_FILES,
    *REPORT_FILES,
    *REPLICATION_FILES,
    *SPEED_FILES,
]


def is_whole():
    """Whether nothing but this workflow is run: of another Snakefile, the targets are not known yet."""
    if not MAIN:
        return False
    text = Path(workflow.main_snakefile).read_text(encoding="utf-8")
    own = os.path.samefile(os.path.dirname(workflow.main_snakefile), HERE)
    return own or not re.search(r"^(rule|checkpoint|use|module|include)\b", text, re.M)


def asked_for():
    """All rules and files that the command line names. Snakemake keeps them to itself until the rules are read; what
    its jobs are asked for, it has planned.
    """
    if not is_whole() or "snakemake" not in sys.argv[0] or "--target-jobs" in sys.argv:
        return []
    asked = get_argument_parser().parse_args(sys.argv[1:])
    several = asked.targets, asked.forcerun, asked.until, asked.omit_from
    return sorted({name for names in several for name in names or ()})


def no_target(name):
    """In one line, if nothing of that name can be made."""
    path = os.path.relpath(name)
    if (
        workflow.is_rule(name)
        or "://" in name
        or (path in TARGETS and not os.path.isabs(name))
    ):
        return []
    names = [*TARGETS, *(rule.name for rule in workflow.rules)]
    near = difflib.get_close_matches(path, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return [f"{name}: is no target{hint} (`snakemake --summary` lists the files)"]


if wrong := [line for name in asked_for() for line in no_target(name)]:
    sys.exit("\n".join(wrong))
