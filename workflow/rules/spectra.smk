# TAKES    results/runs/{experiment}/{variant}/predictions.zarr, results/datasets/{dataset}.nc; one measure's parameters
# MAKES    results/spectra/{experiment}/{variant}/{measure}.nc
# STEPS    amplitudes and relative errors by frequency, their controls, when each frequency is captured
rule decompose:
    """Take one measure of one variant's predictions."""
    input:
        run="results/runs/{experiment}/{variant}",
        dataset=lambda w: f"results/datasets/{variant_of(w).dataset}.nc",
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
        split=lambda w: variant_of(w).record["split"],
        recipe=lambda w: run_recipe(variant_of(w)),
        code=lambda w: code_of("decompose.py", f"fpkit.measures.kinds.{w.measure}"),
    script:
        "../scripts/decompose.py"
