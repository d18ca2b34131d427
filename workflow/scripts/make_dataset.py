"""One entry of `datasets:` -> netCDF."""

from fpkit.jobs.job import job, without
from fpkit.jobs.plans import check

LARGE = "its samples (samples, limit)"

with job(
    snakemake.log[0], f"datasets.{snakemake.wildcards.dataset}", snakemake.threads, snakemake.rule, LARGE
) as opened:
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from importlib import import_module

    from fpkit import parts

    kind = snakemake.params.dataset["kind"]
    if not parts.is_own(kind):
        opened.enter_context(without("dask"))

    from fpkit.datasets import contract, own
    from fpkit.store import netcdf

    about = ("kind", "optional", "inputs")
    options = {key: value for key, value in snakemake.params.dataset.items() if key not in about}
    if parts.is_own(kind):
        dataset = own.build(kind, **options)
    else:
        dataset = import_module(f"fpkit.datasets.{kind}").build(**options)
    dataset = contract.checked(dataset)
    dataset.attrs["name"] = snakemake.wildcards.dataset
    netcdf.save(dataset, snakemake.output.dataset)
