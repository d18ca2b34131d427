"""One entry of `datasets:` -> netCDF."""

from fpkit.jobs import job

with job(snakemake.log[0], f"datasets.{snakemake.wildcards.dataset}", snakemake.threads):
    from importlib import import_module

    from fpkit import netcdf, parts

    options = {key: value for key, value in snakemake.params.dataset.items() if key not in ("kind", "optional")}
    kind = snakemake.params.dataset["kind"]
    if parts.is_own(kind):
        dataset = parts.load(kind)(**options["options"])
    else:
        dataset = import_module(f"fpkit.datasets.{kind}").build(**options)
    dataset.attrs["name"] = snakemake.wildcards.dataset
    netcdf.save(dataset, snakemake.output.dataset)
