# TAKES    CONFIG, VARIANTS, INPUTS; the code that jobs run
# MAKES    CODE and the functions that tell, as params, of what a file is made
# STEPS    hash a script with all that it imports; digest it with the configuration, and with what its inputs are made of
import hashlib

from fpkit.jobs.provenance import code_hashes
from fpkit.parts import is_own, own_of

SCRIPTS, TEMPLATES = HERE / "scripts", HERE / "report"
CODE = {}


def code_of(script, *modules):
    """Hashes of a script and all the code it runs, as params: an edit plans its dependents and nothing else."""
    arguments = str(SCRIPTS / script), *modules
    CODE[arguments] = code_hashes(*arguments)
    return CODE[arguments]


def code_of_kind(script, room, kind):
    """The same for a script that runs the module of a `kind`: the package's, or the user's own."""
    return code_of(script, kind if is_own(kind) else f"fpkit.{room}.{kind}")


def code_of_page(name):
    """Hashes of the script of a page and of the templates, which are its code too."""
    templates = name, "base", "verdict"
    return code_of(
        f"{name}.py", *(f"{TEMPLATES}/{one}.html.jinja" for one in templates)
    )


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


def decomposition_code(variant, measure):
    """Hashes of the code that takes a measure of a variant."""
    opened = ["fpkit.recording.runs"] if variant.recorded else []
    return code_of("decompose.py", f"fpkit.measures.kinds.{measure}", *opened)


# A recipe is a digest of everything that a file is made from, back to the configuration. Every rule carries those of its
# inputs as params: whatever was changed, and killed before it reached the end, the end is planned again. Times alone do
# not tell, once a file between is missing.
def digest(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def dataset_recipe(name):
    dataset = DATASETS[name]
    return digest(
        fpconfig.plain(dataset),
        INPUTS[name],
        code_of_kind("make_dataset.py", "datasets", dataset.kind),
    )


def run_recipe(variant):
    if variant.recorded:
        return digest(RECORDED[variant.experiment])
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
        decomposition_code(variant, measure),
    )


def spectra_recipes(paths):
    return {path: spectra_recipe(path) for path in paths}
