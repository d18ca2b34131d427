# TAKES    config, merged from config.yaml and --configfile overlays, or given by the workflow of which this is a module
# MAKES    CONFIG (checked), DATASETS, VARIANTS, and the functions that turn them into paths and params
# STEPS    validate, unfold the sweeps, leave out optional data sets that are not on this machine
import json
from collections import Counter
from fnmatch import fnmatchcase

from fpkit import config as fpconfig
from fpkit.claims.findings import finding
from fpkit.datasets.files import is_present
from fpkit.datasets.inputs import compared, recorded
from fpkit.errors import UserError

PATHS = workflow.modifier.path_modifier


def place(path):
    """Where a file of ours is: below the prefix of the module that this may be. In rules, Snakemake adds it itself."""
    return PATHS.replace_prefix(path)


# Said, not refused: a dry run and a report only look.
RESULTS = place("results")
READ_ONLY = os.path.isdir(RESULTS) and not os.access(RESULTS, os.W_OK)
if READ_ONLY:
    print(
        f"{RESULTS}: cannot be written; make it writable, or work in a copy",
        file=sys.stderr,
    )
# What jobs say once in a run is noted here.
os.environ[notices.FOLDER] = os.path.abspath(f"{RESULTS}/.progress")

try:
    CONFIG = fpconfig.load(config)
    DATASETS = CONFIG.all_datasets
except ConfigError as error:
    told = "" if MAIN else f"module {workflow.modifier.namespace}: "
    sys.exit("\n".join(f"{told}{line}" for line in str(error).splitlines()))


def is_there(name, dataset):
    """Whether a data set can be made here, or is made already; one that is not optional is waited for."""
    return (
        not getattr(dataset, "optional", False)
        or os.path.exists(f"{RESULTS}/datasets/{name}.nc")
        or is_present(dataset.kind, dataset.path)
    )


# Chosen once, by the process that plans: machines on which its jobs run may have other files. Of each results folder.
CHOSEN = json.loads(os.environ.get("FPKIT_ABSENT", "{}"))
if workflow.is_main_process:
    CHOSEN[RESULTS] = [
        name for name, dataset in DATASETS.items() if not is_there(name, dataset)
    ]
    os.environ.update(FPKIT_ABSENT=json.dumps(CHOSEN))
ABSENT = set(CHOSEN.get(RESULTS, []))
UNFOLDED = {(v.experiment, v.name): v for v in fpconfig.variants(CONFIG)}
VARIANTS = {at: v for at, v in UNFOLDED.items() if v.dataset not in ABSENT}
for name in sorted(ABSENT) if workflow.is_main_process else []:
    left_out = ["/".join(at) for at, v in UNFOLDED.items() if v.dataset == name]
    if left_out:
        print(
            f"datasets.{name}: optional, and its files are not on this machine; left out: {', '.join(left_out)}",
            file=sys.stderr,
        )


envvars:
    "FPKIT_ABSENT",


# Of each data set, the files that it reads, by content.
try:
    INPUTS = compared(
        {name: DATASETS[name] for name in DATASETS if name not in ABSENT},
        ".snakemake/inputs.json",
    )
    # And of each experiment that was recorded elsewhere, its stores.
    RECORDED = recorded(
        {v.experiment: v.recorded for v in VARIANTS.values() if v.recorded},
        ".snakemake/recorded.json",
    )
except UserError as error:
    sys.exit(str(error))


wildcard_constraints:
    dataset="[^/]+",
    experiment="[^/]+",
    variant="[^/]+",
    measure="|".join(fpconfig.MEASURES),


def variant_of(wildcards):
    return VARIANTS[wildcards.experiment, wildcards.variant]


def spectra_of(experiment, measure, patterns=("*",)):
    """The spectra files of an experiment, one for each variant whose name fits a pattern."""
    return [
        f"results/spectra/{owner}/{name}/{measure}.nc"
        for (owner, name), variant in VARIANTS.items()
        if owner == experiment
        and measure in variant.decomposition
        and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def decomposition_inputs(wildcards):
    """A run and its data set; of a training that was recorded elsewhere its stores, which are compared by content."""
    variant = variant_of(wildcards)
    if variant.recorded:
        stores = RECORDED[variant.experiment]
        paths = [store.rpartition("@")[0] for store in stores]
        # In full: a prefix is that of the workflow's own files.
        return {"run": [ancient(os.path.abspath(path)) for path in paths]}
    return {
        "run": f"results/runs/{variant.experiment}/{variant.name}",
        "dataset": f"results/datasets/{variant.dataset}.nc",
    }


def recorded_split(wildcards):
    """The samples that were recorded; of a training that was recorded elsewhere all that there are, by any name."""
    variant = variant_of(wildcards)
    if not variant.recorded:
        return variant.record["split"]
    return fpconfig.MEASURES[wildcards.measure].splits[0]


def device_of(wildcards):
    """Where a measure is taken: as the training says, if a GPU would have a large part in it."""
    on_gpu = fpconfig.MEASURES[wildcards.measure].on_gpu
    training = variant_of(wildcards).training or {}
    return training.get("device", "auto") if on_gpu else "cpu"


def asks_for_gpu(wildcards, device):
    """How many GPUs a training or a decomposition asks for: none where it would be sooner done without."""
    if device not in GPU_DEVICES or device == "cuda":
        return int(device in GPU_DEVICES)
    from fpkit import planning
    from fpkit.jobs.devices import WORTH_SAMPLES

    variant = variant_of(wildcards)
    dataset = DATASETS.get(variant.dataset)
    if dataset is None or dataset.extent is None:
        return 1
    if "measure" in wildcards.keys():
        return int(dataset.extent[0] >= WORTH_SAMPLES)
    return int(planning.pays(dataset, variant))


def by_size(wildcards):
    """Memory and minutes that a training or a decomposition may take, at most, by what is known before."""
    from fpkit import planning

    variant = variant_of(wildcards)
    dataset = DATASETS.get(variant.dataset)
    if "measure" in wildcards.keys():
        return planning.of_decomposition(dataset, variant, wildcards.measure)
    return planning.of_training(dataset, variant)


def grouped(paths, axis):
    """Spectra files as (variant, those that are pooled as one along an axis); without an axis, each alone."""
    groups, names = {}, {}
    for path in paths:
        *_, experiment, name, measure = path.split("/")
        if experiment not in names:
            names[experiment] = fpconfig.pooled(CONFIG, experiment, axis)
        variant = names[experiment][name]
        groups.setdefault((experiment, variant, measure), []).append(path)
    return [(variant, several) for (_, variant, _), several in groups.items()]


def claim_spectra(claim):
    """The spectra that each row of a claim is judged by, by the row's variant."""
    paths = spectra_of(claim.experiment, claim.measure, claim.variants)
    return dict(grouped(paths, claim.pool))


def figure_inputs(wildcards):
    figure = CONFIG.figures[wildcards.figure]
    if figure.kind == "claims":
        return "results/claims.csv"
    if figure.kind == "calibration":
        return f"results/calibration/{wildcards.figure}.csv"
    measures = fpconfig.FIGURES[figure.kind].measures
    return [
        path
        for experiment in figure.experiments
        for measure in measures
        for path in spectra_of(experiment, measure)
    ]


def figure_groups(wildcards):
    """What a figure shows as one: the variant's name, and which of its inputs; empty where each stands for itself."""
    axis = CONFIG.figures[wildcards.figure].pool
    if axis is None:
        return []
    paths = figure_inputs(wildcards)
    return [
        [variant, [paths.index(path) for path in several]]
        for variant, several in grouped(paths, axis)
    ]


def figure_recipes(wildcards):
    kind = CONFIG.figures[wildcards.figure].kind
    if kind == "claims":
        return CLAIMS_RECIPE
    if kind == "calibration":
        return calibration_recipe(wildcards.figure)
    return spectra_recipes(figure_inputs(wildcards))


def figure_params(wildcards):
    params = fpconfig.plain(CONFIG.figures[wildcards.figure])
    return params | {"rows": CLAIM_ROWS} if params["kind"] == "claims" else params


def figure_category(wildcards):
    return fpconfig.FIGURES[CONFIG.figures[wildcards.figure].kind].category


def figure_code(wildcards):
    return code_of(
        "plot.py", f"fpkit.figures.kinds.{CONFIG.figures[wildcards.figure].kind}"
    )


def findings(figure, judged):
    """The findings of the claims about a figure's experiments, of the measures that it shows if there are any."""
    shown = []
    if figure.kind == "claims":
        shown = list(CONFIG.claims)
    for experiment in figure.experiments:
        about = {
            name: claim
            for name, claim in CONFIG.claims.items()
            if claim.experiment == experiment
        }
        measures = fpconfig.FIGURES[figure.kind].measures
        shown += [name for name in about if about[name].measure in measures] or about
    return [
        finding(CONFIG.claims[name].statement, judged[name])
        for name in shown
        if name in judged
    ]


def shown_figures():
    """By category, the file in the report that shows each figure."""
    shown = {}
    for name, figure in CONFIG.figures.items():
        animated = name in ANIMATIONS
        path = f"report/animations/{name}.html" if animated else f"figures/{name}.svg"
        category = fpconfig.FIGURES[figure.kind].category
        shown.setdefault(category, {})[name] = place(f"results/{path}")
    return shown


def undone_for_report(dag):
    """Where the report alone is asked for: what is to be done before it, in one line. It shows what is there, and a day's
    results of another configuration are not made anew for it."""
    asked = {job.rule.name for job in dag.jobs}
    if "report_inputs" not in asked or "figures" in asked:
        return None
    undone = Counter(job.rule.name for job in dag.needrun_jobs())
    pages = "overview_page", "claims_page", "config_page", "animation_page"
    for name in ("report_inputs", *pages):
        undone.pop(name, None)
    if not undone:
        return None
    order = [
        "make_dataset",
        "train",
        "decompose",
        "judge_claims",
        "calibrate",
        "plot",
        "animate",
    ]
    counts = ", ".join(f"{name} {undone[name]}" for name in order if name in undone)
    return (
        f"report: {undone.total()} jobs of this configuration are still to be done ({counts}); run `make figures` with it"
        " first, or report on the configuration of what is there (`make report CONFIG=...`)"
    )


def is_ours(rule):
    """Whether a rule is written in this workflow, and not in one that includes or imports it."""
    return Path(str(rule.snakefile)).is_relative_to(HERE)


def planned(jobs):
    """What of jobs is compared while they wait: rule, wildcards and params of each, and all code that these name."""
    jobs = [job for job in jobs if is_ours(job.rule)]
    code = {}
    for job in jobs:  # of all modules that this workflow may be
        code |= job.rule.module_globals["CODE"]
    return [(job.rule.name, job.wildcards, job.params) for job in jobs], code


def ensembles(figure):
    """How many made ensembles of each dynamics a calibration judges."""
    return CONFIG.figures[figure].ensembles or 200


def calibration_recipe(figure):
    """What a calibration is made by, in a few letters."""
    return digest(ensembles(figure), code_of("calibrate.py"))
