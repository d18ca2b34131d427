# TAKES    config, as merged by Snakemake from config.yaml and --configfile overlays
# MAKES    CONFIG (checked), VARIANTS, and the functions that turn them into paths and params
# STEPS    validate, unfold the sweeps, leave out optional data sets that are not on this machine
from fpkit import config as fpconfig
from fpkit.datasets.files import is_present
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
    measure="fft|projection|filtering",


def variant_of(wildcards):
    return VARIANTS[wildcards.experiment, wildcards.variant]


def code_of(script, *modules):
    """Hashes of a script and all the fpkit code it runs, as params: an edit plans its dependents and nothing else."""
    return code_hashes(f"{SCRIPTS}/{script}", *modules)


def spectra_of(experiment, measure):
    """The spectra files of an experiment, one for each variant."""
    return [
        f"results/spectra/{e}/{name}/{measure}.nc"
        for e, name in VARIANTS
        if e == experiment
    ]
