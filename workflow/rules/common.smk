# TAKES    config, as merged by Snakemake from config.yaml and --configfile overlays
# MAKES    CONFIG (checked), VARIANTS, and the functions that turn them into paths and params
# STEPS    validate, unfold the sweeps, leave out optional data sets that are not on this machine
import hashlib
import json
from fnmatch import fnmatchcase

from fpkit import config as fpconfig
from fpkit.datasets.files import is_present
from fpkit.datasets.inputs import compared
from fpkit.errors import UserError
from fpkit.parts import is_own, own_of
from fpkit.jobs.provenance import code_hashes

SCRIPTS = f"{workflow.basedir}/workflow/scripts"

try:
    CONFIG = fpconfig.load(config)
except ConfigError as error:
    sys.exit(str(error))


def is_there(name, dataset):
    """Whether a data set can be made here, or is made already; one that is not optional is waited for."""
    return (
        not getattr(dataset, "optional", False)
        or os.path.exists(f"results/datasets/{name}.nc")
        or is_present(dataset.kind, dataset.path)
    )


# Chosen once, by the process that plans: machines on which its jobs run may have other files.
if workflow.is_main_process:
    os.environ["FPKIT_ABSENT"] = json.dumps(
        [
            name
            for name, dataset in CONFIG.datasets.items()
            if not is_there(name, dataset)
        ]
    )
ABSENT = set(json.loads(os.environ.get("FPKIT_ABSENT", "[]")))
UNFOLDED = {(v.experiment, v.name): v for v in fpconfig.variants(CONFIG)}
VARIANTS = {place: v for place, v in UNFOLDED.items() if v.dataset not in ABSENT}
for name in sorted(ABSENT) if workflow.is_main_process else []:
    left_out = ["/".join(place) for place, v in UNFOLDED.items() if v.dataset == name]
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
        {name: CONFIG.datasets[name] for name in CONFIG.datasets if name not in ABSENT},
        ".snakemake/inputs.json",
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


CODE = {}


def code_of(script, *modules):
    """Hashes of a script and all the code it runs, as params: an edit plans its dependents and nothing else."""
    arguments = f"{SCRIPTS}/{script}", *modules
    CODE[arguments] = code_hashes(*arguments)
    return CODE[arguments]


def code_of_kind(script, room, kind):
    """The same for a script that runs the module of a `kind`: the package's, or the user's own."""
    return code_of(script, kind if is_own(kind) else f"fpkit.{room}.{kind}")


def training_recipe(variant):
    """`training`, less the number of threads, which changes no result."""
    return {key: value for key, value in variant.training.items() if key != "threads"}


def training_code(variant):
    """Hashes of the code that a variant's training runs; that of a basis only where it records along one."""
    spectrum = []
    if "basis" in variant.record:
        kind = variant.record["basis"]["kind"]
        spectrum = ["fpkit.bases.recorded", f"fpkit.bases.{kind}"]
    training = variant.training
    own = own_of(variant.model, training["optimizer"], training["loss"])
    return code_of("train.py", *own, *spectrum)


def spectra_of(experiment, measure, patterns=("*",)):
    """The spectra files of an experiment, one for each variant whose name fits a pattern."""
    return [
        f"results/spectra/{owner}/{name}/{measure}.nc"
        for (owner, name), variant in VARIANTS.items()
        if owner == experiment
        and measure in variant.decomposition
        and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def claim_spectra(claim):
    return spectra_of(claim.experiment, claim.measure, claim.variants)


# A recipe is a digest of everything that a file is made from, back to the configuration. Every rule carries those of its
# inputs as params: whatever was changed, and killed before it reached the end, the end is planned again. Times alone do
# not tell, once a file between is missing.
def digest(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def dataset_recipe(name):
    dataset = CONFIG.datasets[name]
    return digest(
        fpconfig.plain(dataset),
        INPUTS[name],
        code_of_kind("make_dataset.py", "datasets", dataset.kind),
    )


def run_recipe(variant):
    return digest(
        dataset_recipe(variant.dataset),
        variant.model,
        training_recipe(variant),
        variant.record,
        training_code(variant),
    )


def spectra_recipe(path):
    *_, experiment, name, file = path.split("/")
    variant, measure = VARIANTS[experiment, name], file.removesuffix(".nc")
    return digest(
        run_recipe(variant),
        variant.decomposition[measure],
        code_of("decompose.py", f"fpkit.measures.{measure}"),
    )


def spectra_recipes(paths):
    return {path: spectra_recipe(path) for path in paths}
