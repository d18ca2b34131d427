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
from fpkit.parts import is_own
from fpkit.provenance import code_hashes

SCRIPTS = f"{workflow.basedir}/workflow/scripts"

try:
    CONFIG = fpconfig.load(config)
except ConfigError as error:
    sys.exit(str(error))

ABSENT = {
    name
    for name, dataset in CONFIG.datasets.items()
    if getattr(dataset, "optional", False)
    and not is_present(dataset.kind, dataset.path)
}
VARIANTS = {
    (v.experiment, v.name): v
    for v in fpconfig.variants(CONFIG)
    if v.dataset not in ABSENT
}

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


def growing(amount):
    """A resource that doubles with each attempt: where a profile retries, a job that ran out of it has more."""
    return lambda wildcards, attempt: amount * 2 ** (attempt - 1)


def variant_of(wildcards):
    return VARIANTS[wildcards.experiment, wildcards.variant]


def code_of(script, *modules):
    """Hashes of a script and all the code it runs, as params: an edit plans its dependents and nothing else."""
    return code_hashes(f"{SCRIPTS}/{script}", *modules)


def code_of_kind(script, room, kind):
    """The same for a script that runs the module of a `kind`: the package's, or the user's own."""
    return code_of(script, kind if is_own(kind) else f"fpkit.{room}.{kind}")


def own_parts(variant):
    """The user's own parts in a variant's recipe."""
    names = (
        variant.model.get("kind"),
        variant.model.get("activation"),
        variant.training["optimizer"],
        variant.training["loss"],
    )
    return [name for name in names if name and is_own(name)]


def training_recipe(variant):
    """`training`, less the number of threads, which changes no result."""
    return {key: value for key, value in variant.training.items() if key != "threads"}


def training_code(variant):
    """Hashes of the code that a variant's training runs; principal components only where it records their spectrum."""
    spectrum = ["fpkit.principal"] if "frequencies" in variant.record else []
    return code_of("train.py", *own_parts(variant), *spectrum)


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
        code_of("decompose.py", f"fpkit.spectra.{measure}"),
    )


def spectra_recipes(paths):
    return {path: spectra_recipe(path) for path in paths}
