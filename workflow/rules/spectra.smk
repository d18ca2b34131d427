# TAKES    results/runs/{experiment}/{variant}/predictions.zarr, results/datasets/{dataset}.nc, or stores recorded elsewhere;
#          one measure's parameters
# MAKES    results/spectra/{experiment}/{variant}/{measure}.nc
# STEPS    amplitudes and relative errors by frequency, their controls, when each frequency is captured
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


rule decompose:
    """Take one measure of one variant's predictions."""
    input:
        unpack(decomposition_inputs),
    output:
        spectra="results/spectra/{experiment}/{variant}/{measure}.nc",
    log:
        "results/logs/spectra/{experiment}/{variant}/{measure}.log",
    benchmark:
        "results/benchmarks/spectra/{experiment}/{variant}/{measure}.tsv"
    # Before figures, so that the last jobs are many small ones.
    priority: 1
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 4000),
        runtime=growing("runtime", 60),
        gpu=0,
    params:
        measure=lambda w: variant_of(w).decomposition[w.measure],
        split=recorded_split,
        recorded=lambda w: bool(variant_of(w).recorded),
        recipe=lambda w: run_recipe(variant_of(w)),
        code=lambda w: decomposition_code(variant_of(w), w.measure),
    script:
        "../scripts/decompose.py"
