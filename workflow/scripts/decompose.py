"""Predictions and dataset of a variant -> spectra of one measure."""

from fpkit.jobs import job

place = "/".join(snakemake.wildcards)
with job(snakemake.log[0], f"decompose {place}", snakemake.threads):
    from importlib import import_module

    import dask

    from fpkit import netcdf
    from fpkit.predictions import open_predictions, reading

    measure = import_module(f"fpkit.spectra.{snakemake.wildcards.measure}")
    store = f"{snakemake.input.run}/predictions.zarr"
    with (
        dask.config.set(scheduler="threads", num_workers=snakemake.threads),
        netcdf.open_dataset(snakemake.input.dataset) as dataset,
        reading(store),
    ):
        predictions = open_predictions(store)
        spectra = measure.decompose(predictions, dataset, split=snakemake.params.split, **snakemake.params.measure)
        spectra.attrs.update(
            experiment=snakemake.wildcards.experiment,
            variant=snakemake.wildcards.variant,
            dataset=dataset.attrs["name"],
        )
    netcdf.save(spectra, snakemake.output.spectra)
