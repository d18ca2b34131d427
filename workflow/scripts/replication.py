"""claims.csv of the run and of its replications -> replication.csv, and its picture as SVG, PDF and PNG."""

from fpkit.jobs.job import job, without
from fpkit.jobs.plans import check

with job(snakemake.log[0], "replication", snakemake.threads, snakemake.rule) as opened:
    check(snakemake.rule, snakemake.wildcards, snakemake.params)
    opened.enter_context(without("dask"))

    import matplotlib

    matplotlib.use("Agg")

    from fpkit.claims.replication import agreement, beside, read
    from fpkit.claims.verdicts import read_claims
    from fpkit.config import plain
    from fpkit.config.figures import Style
    from fpkit.errors import UserError
    from fpkit.figures import style
    from fpkit.figures.kinds import replication

    if not (found := snakemake.params.replications):
        raise UserError("no replication is there; make one with `make replicate SHIFT=1`")
    claims = read_claims(snakemake.input.claims, snakemake.params.rows)
    table = beside(claims, {int(number): read(path) for number, (path, _) in found.items()})
    table.to_csv(snakemake.output.table, index=False)
    with style.context(**plain(Style())):
        style.save(replication.draw(table), snakemake.output.pictures)
    print(agreement(table))
