# TAKES    datasets: in config.yaml, with the keys that sweeps lay over them; the files of downloaded data sets
# MAKES    results/datasets/{dataset}.nc
# STEPS    generate or read, centre and scale, one-hot targets
rule make_dataset:
    """Build one data set: training and test part, with units and provenance."""
    output:
        dataset="results/datasets/{dataset}.nc",
    log:
        "results/logs/datasets/{dataset}.log",
    benchmark:
        "results/benchmarks/datasets/{dataset}.tsv"
    # Before figures, so that the last jobs are many small ones.
    priority: 1
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 4000),
        runtime=growing("runtime", 30),
        gpu=0,
    params:
        dataset=lambda w: fpconfig.plain(DATASETS[w.dataset]),
        inputs=lambda w: INPUTS[w.dataset],
        code=lambda w: code_of_kind(
            "make_dataset.py", "datasets", DATASETS[w.dataset].kind
        ),
    script:
        "../scripts/make_dataset.py"
