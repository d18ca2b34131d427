"""Spectra of a figure's experiments, or the claims -> SVG, PDF and PNG, or GIF."""

from fpkit.jobs import job

with job(snakemake.log[0], f"figures.{snakemake.wildcards.figure}", snakemake.threads):
    from importlib import import_module

    import pandas as pd
    import xarray as xr

    from fpkit.figures import style

    figure = snakemake.params.figure
    if figure["kind"] == "claims":
        shown = pd.read_csv(snakemake.input[0])
    else:
        # Read when drawn: of a long training, few of its amplitudes are.
        shown = [xr.open_dataset(path, engine="h5netcdf") for path in snakemake.input]
    with style.context(**figure["style"]):
        style.save(import_module(f"fpkit.figures.{figure['kind']}").draw(shown), snakemake.output)
