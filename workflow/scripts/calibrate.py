"""Made dynamics of known truth -> how often each statement about the order holds."""

from fpkit.jobs.job import job, without
from fpkit.jobs.plans import check

with job(snakemake.log[0], f"calibrate {snakemake.wildcards.figure}", snakemake.threads, snakemake.rule) as opened:
    check(snakemake.rule, snakemake.wildcards, snakemake.params)
    opened.enter_context(without("dask"))

    from fpkit.claims.calibration import calibrate

    table = calibrate(snakemake.params.ensembles)
    table.to_csv(snakemake.output.table, index=False, float_format="%.4g")
