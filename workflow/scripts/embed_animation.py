"""GIF -> HTML page that holds it."""

from fpkit.jobs.job import job
from fpkit.jobs.plans import check

with job(snakemake.log[0], f"embed_animation {snakemake.wildcards.figure}", snakemake.threads, snakemake.rule):
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from base64 import b64encode
    from pathlib import Path

    image = b64encode(Path(snakemake.input.animation).read_bytes()).decode()
    name = snakemake.wildcards.figure
    Path(snakemake.output.page).write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>\n'
        f'<img alt="{name}" style="max-width: 100%" src="data:image/gif;base64,{image}">\n'
    )
