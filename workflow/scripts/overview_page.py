"""claims.csv, the picture of the claims -> HTML page that the report begins with."""

from fpkit.jobs.job import job
from fpkit.jobs.plans import check

with job(snakemake.log[0], "overview_page", snakemake.threads, snakemake.rule):
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from pathlib import Path

    from fpkit.claims.findings import by_claim, given
    from fpkit.claims.verdicts import read_claims
    from fpkit.jobs.pages import render

    params = snakemake.params
    table = read_claims(snakemake.input.claims, params.rows, dtype=str, keep_default_na=False)
    rows = table.to_dict("records")
    page = render(
        Path(__file__).parents[1] / "report/overview_page.html.jinja",
        claims=by_claim(rows),
        given=given(rows),
        picture=next(iter(snakemake.input.picture), None),
        figures=params.figures,
        pages=params.pages,
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
