"""Spectra -> claims.csv."""

from fpkit.jobs.job import job, without
from fpkit.jobs.plans import check

with job(snakemake.log[0], "judge_claims", snakemake.threads, snakemake.rule) as opened:
    check(snakemake.rule, snakemake.wildcards, snakemake.params)
    opened.enter_context(without("dask"))

    import pandas as pd

    from fpkit.claims.verdicts import COLUMNS, judge
    from fpkit.store import netcdf

    spectra = [opened.enter_context(netcdf.open_dataset(path)) for path in snakemake.input]
    rows = [
        judge(claim_id, snakemake.params.claims[claim_id], variant, [spectra[number] for number in numbers])
        for claim_id, judged in snakemake.params.spectra.items()
        for variant, numbers in judged.items()
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(snakemake.output.claims, index=False, float_format="%.4g")
