"""The resolved configuration -> HTML page."""

from fpkit.jobs.job import job
from fpkit.jobs.plans import check

with job(snakemake.log[0], "config_page", snakemake.threads, snakemake.rule):
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from pathlib import Path

    from fpkit.jobs.pages import render

    page = render(
        Path(__file__).parents[1] / "report/config_page.html.jinja",
        tables=snakemake.params.tables,
        absent=snakemake.params.absent,
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
