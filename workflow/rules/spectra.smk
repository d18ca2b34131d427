# TAKES    results/runs/{experiment}/{variant} and results/datasets/{dataset}.nc, or recorded stores; a measure's parameters
# MAKES    results/spectra/{experiment}/{variant}/{measure}.nc
# STEPS    amplitudes and relative errors by frequency, their controls, when each frequency is captured
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
        mem_mb=growing("mem_mb", lambda w: by_size(w)["mem_mb"]),
        runtime=growing("runtime", lambda w: by_size(w)["runtime"]),
        gpu=lambda w: asks_for_gpu(w, device_of(w)),
    params:
        measure=lambda w: variant_of(w).decomposition[w.measure],
        split=recorded_split,
        recorded=lambda w: bool(variant_of(w).recorded),
        device=device_of,
        # Work in progress, which is no result.
        partial=place("results/.partial"),
        recipe=lambda w: run_recipe(variant_of(w)),
        code=lambda w: decomposition_code(variant_of(w), w.measure),
    script:
        "../scripts/decompose.py"
