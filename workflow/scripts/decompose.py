"""Predictions and dataset of a variant -> spectra of one measure."""

from fpkit.jobs import job

place = "/".join(snakemake.wildcards)
with job(snakemake.log[0], f"decompose {place}", snakemake.threads):
    from importlib import import_module
    from pathlib import Path

    import xarray as xr

    from fpkit.predictions import open_predictions
    from fpkit.spectra.common import save
    from fpkit.spectra.scheduler import scheduler

    output = Path(snakemake.output.spectra)
    # Its amplitudes are as large as the predictions; all other results are small.
    large = {"file": output} if snakemake.wildcards.measure == "fft" else {}
    measure = import_module(f"fpkit.spectra.{snakemake.wildcards.measure}")
    # No param, as it changes no result: another address makes nothing anew.
    address = (snakemake.config.get("dask") or {}).get("address")
    predictions = open_predictions(f"{snakemake.input.run}/predictions.zarr")
    with (
        scheduler(predictions, address, snakemake.threads),
        xr.open_dataset(snakemake.input.dataset, engine="h5netcdf") as dataset,
    ):
        spectra = measure.decompose(
            predictions, dataset, split=snakemake.params.split, **snakemake.params.measure, **large
        )
        spectra.attrs.update(
            experiment=snakemake.wildcards.experiment,
            variant=snakemake.wildcards.variant,
            dataset=dataset.attrs["name"],
        )
    save(spectra, output)
