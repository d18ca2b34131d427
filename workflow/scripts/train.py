"""Dataset and recipe of a variant -> predictions."""

from fpkit.jobs.job import job
from fpkit.jobs.plans import check

LARGE = "training.members, training.batch_size, or the samples recorded (record.split)"

name = f"{snakemake.wildcards.experiment}/{snakemake.wildcards.variant}"
with job(snakemake.log[0], f"train {name}", snakemake.threads, snakemake.rule, LARGE):
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from fpkit.jobs import gpus
    from fpkit.jobs.progress import Progress
    from fpkit.training.run import run

    params = snakemake.params
    if snakemake.resources.gpu and (gpu := gpus.take()):
        print(f"on GPU {gpu}")
    with Progress(name, params.training["steps"], params.progress) as progress:
        run(
            snakemake.input.dataset,
            snakemake.output.run,
            params.checkpoints,
            model=params.model,
            training=params.training | {"threads": snakemake.threads},
            record=params.record,
            code=params.code,
            progress=progress,
        )
