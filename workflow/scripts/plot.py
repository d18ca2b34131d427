"""Spectra of a figure's experiment -> SVG, PDF and PNG."""

from fpkit.jobs import job

with job(snakemake.log[0], f"figures.{snakemake.wildcards.figure}", snakemake.threads):
    from importlib import import_module

    import xarray as xr

    from fpkit.figures import style

    figure = snakemake.params.figure
    spectra = [xr.load_dataset(path, engine="h5netcdf") for path in snakemake.input.spectra]
    with style.context(**figure["style"]):
        style.save(import_module(f"fpkit.figures.{figure['kind']}").draw(spectra), snakemake.output)
