"""Spectra of a figure's experiments, or the table of the claims or of a calibration -> SVG, PDF and PNG, or GIF."""

from fpkit.jobs.job import job, without
from fpkit.jobs.plans import check

with job(snakemake.log[0], f"figures.{snakemake.wildcards.figure}", snakemake.threads, snakemake.rule) as opened:
    check(snakemake.rule, snakemake.wildcards, snakemake.params)
    opened.enter_context(without("dask"))

    from importlib import import_module

    import matplotlib

    matplotlib.use("Agg")

    from fpkit.claims.calibrated import read_calibration
    from fpkit.claims.pooling import pooled
    from fpkit.claims.verdicts import read_claims

    # Seaborn would import them for densities and dendrograms: longer than all else of a figure's start.
    with without("scipy.stats", "scipy.cluster"):
        from fpkit.figures import style
    from fpkit.store import netcdf

    figure = snakemake.params.figure
    with style.context(**figure["style"]):
        if figure["kind"] == "claims":
            shown = read_claims(snakemake.input[0], figure["rows"])
        elif figure["kind"] == "calibration":
            shown = read_calibration(snakemake.input[0])
        else:
            # Read when drawn: of a long training, few of its amplitudes are.
            shown = [opened.enter_context(netcdf.open_dataset(path)) for path in snakemake.input]
            if groups := snakemake.params.groups:
                shown = [pooled(variant, [shown[number] for number in numbers]) for variant, numbers in groups]
        style.save(import_module(f"fpkit.figures.kinds.{figure['kind']}").draw(shown), snakemake.output)
