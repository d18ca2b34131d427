# TAKES    config, as merged by Snakemake from config.yaml and --configfile overlays
# MAKES    CONFIG (checked), VARIANTS, and the functions that turn them into paths and params
# STEPS    validate, unfold the sweeps, leave out optional data sets that are not on this machine
from fnmatch import fnmatchcase

from fpkit import config as fpconfig
from fpkit.datasets.files import is_present
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


wildcard_constraints:
    dataset="[^/]+",
    experiment="[^/]+",
    variant="[^/]+",
    measure="|".join(fpconfig.MEASURES),


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
