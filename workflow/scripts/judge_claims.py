"""Spectra -> claims.csv."""

from fpkit.jobs import job

with job(snakemake.log[0], "judge_claims", snakemake.threads):
    import pandas as pd

    from fpkit import netcdf
    from fpkit.claims import COLUMNS, judge

    rows = []
    for claim_id, numbers in snakemake.params.spectra.items():
        for number in numbers:
            with netcdf.open_dataset(snakemake.input[number]) as spectra:
                rows.append(judge(claim_id, snakemake.params.claims[claim_id], spectra.attrs["variant"], spectra))
    pd.DataFrame(rows, columns=COLUMNS).to_csv(snakemake.output.claims, index=False, float_format="%.4g")
