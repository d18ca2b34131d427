"""claims.csv -> HTML page: a table of all claims."""

from fpkit.jobs.job import job
from fpkit.jobs.plans import check

with job(snakemake.log[0], "claims_page", snakemake.threads, snakemake.rule):
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from pathlib import Path

    from fpkit.claims.findings import by_chance, by_claim, given
    from fpkit.claims.verdicts import read_claims
    from fpkit.jobs.pages import render

    table = read_claims(snakemake.input.claims, snakemake.params.rows, dtype=str, keep_default_na=False)
    rows = table.to_dict("records")
    page = render(
        Path(__file__).parents[1] / "report/claims_page.html.jinja",
        claims=by_claim(rows),
        given=given(rows),
        by_chance=by_chance(row["level"] for row in rows),
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
