# TAKES    results/datasets/{dataset}.nc; model, training and record of an experiment's variant
# MAKES    results/runs/{experiment}/{variant}/predictions.zarr
# STEPS    train all members together, dump predictions at log-spaced steps, resume from results/checkpoints
from fpkit.jobs import gpus

GPU_DEVICES = ["cuda"]
# On this machine as many trainings at once as it has GPUs, unless `--resources gpu=...` says how many. On a cluster, its
# scheduler knows where GPUs are: a training asks for one that must have it, or for which the profile does.
if workflow.global_resources["_nodes"].value is None and workflow.is_main_process:
    if GPUS := gpus.visible():
        GPU_DEVICES.append("auto")
        if "gpu" not in workflow.global_resources:
            workflow.register_resource("gpu", len(GPUS))


rule train:
    """Train the ensemble of one variant and dump its predictions."""
    input:
        dataset=lambda w: f"results/datasets/{variant_of(w).dataset}.nc",
    output:
        run=directory("results/runs/{experiment}/{variant}"),
    log:
        "results/logs/runs/{experiment}/{variant}.log",
    benchmark:
        "results/benchmarks/runs/{experiment}/{variant}.tsv"
    # Before figures, so that the last jobs are many small ones.
    priority: 1
    conda:
        "../envs/fpkit.yaml"
    threads: lambda w: variant_of(w).training["threads"]
    resources:
        mem_mb=growing("mem_mb", lambda w: by_size(w)["mem_mb"]),
        runtime=growing("runtime", lambda w: by_size(w)["runtime"]),
        gpu=lambda w: asks_for_gpu(w, variant_of(w).training["device"]),
    params:
        model=lambda w: variant_of(w).model,
        training=lambda w: training_recipe(variant_of(w)),
        record=lambda w: variant_of(w).record,
        dataset=lambda w: dataset_recipe(variant_of(w).dataset),
        code=lambda w: training_code(variant_of(w)),
        # Beside the results: work in progress, which is no result.
        checkpoints=lambda w: place(f"results/checkpoints/{w.experiment}/{w.variant}"),
        progress=place("results/.progress"),
    script:
        "../scripts/train.py"
