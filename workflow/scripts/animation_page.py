"""GIF -> HTML page that holds it."""

from fpkit.jobs.job import job
from fpkit.jobs.plans import check

with job(snakemake.log[0], f"animation_page {snakemake.wildcards.figure}", snakemake.threads, snakemake.rule):
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from pathlib import Path

    from fpkit.jobs.pages import render

    page = render(
        Path(__file__).parents[1] / "report/animation_page.html.jinja",
        figure=snakemake.wildcards.figure,
        animation=snakemake.input.animation,
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
