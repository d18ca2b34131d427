"""Predictions and dataset of a variant, or stores that were recorded elsewhere -> spectra of one measure."""

from fpkit.jobs.job import job, without
from fpkit.jobs.plans import check

LARGE = "the samples recorded (record.split), training.members, or the measure's own numbers"

place = "/".join(snakemake.wildcards)
with job(snakemake.log[0], f"decompose {place}", snakemake.threads, snakemake.rule, LARGE) as opened:
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    import hashlib
    import json
    from contextlib import ExitStack
    from importlib import import_module
    from inspect import signature

    from fpkit.store.predictions import is_large, open_predictions, reading

    recorded = snakemake.params.recorded
    stores = snakemake.input.run if recorded else [f"{snakemake.input.run}/predictions.zarr"]
    if not any(map(is_large, stores)):
        opened.enter_context(without("dask"))

    from fpkit.jobs import devices, gpus
    from fpkit.measures.pieces import keeping
    from fpkit.measures.scheduler import scheduler
    from fpkit.store import netcdf
    from fpkit.xarrays import by_numpy

    begun = netcdf.begin(snakemake.output.spectra)
    decompose = import_module(f"fpkit.measures.kinds.{snakemake.wildcards.measure}").decompose
    # Of a measure whose spectra are as large as the predictions.
    large = {"file": begun} if "file" in signature(decompose).parameters else {}
    # No param, as it changes no result: another address makes nothing anew.
    address = (snakemake.config.get("dask") or {}).get("address")
    with ExitStack() as contexts:
        contexts.enter_context(by_numpy())
        for store in stores:
            contexts.enter_context(reading(store))
        if recorded:
            # By name: the spectra of other trainings do not depend on its code.
            runs = import_module("fpkit.recording.runs")
            predictions, dataset, _ = runs.measured_on(runs.open_run(stores))
        else:
            dataset = contexts.enter_context(netcdf.open_dataset(snakemake.input.dataset))
            predictions = open_predictions(stores[0])
        wanted, large_enough = snakemake.params.device, predictions.sizes.get("sample", 0) >= devices.WORTH_SAMPLES
        if snakemake.resources.gpu and (gpu := gpus.take()):
            print(f"on GPU {gpu}")
        device = gpus.resolve(wanted, lambda: large_enough)
        contexts.enter_context(scheduler(predictions, address, snakemake.threads))
        contexts.enter_context(devices.computing_on(device))
        made_of = {name: value for name, value in snakemake.params.items() if name not in ("device", "partial")}
        key = hashlib.sha256(json.dumps([place, made_of, device], sort_keys=True, default=str).encode()).hexdigest()
        with keeping(f"{snakemake.params.partial}/{place}.npz", key):
            spectra = decompose(predictions, dataset, split=snakemake.params.split, **snakemake.params.measure, **large)
        spectra.attrs.update(
            experiment=snakemake.wildcards.experiment,
            variant=snakemake.wildcards.variant,
            dataset=snakemake.wildcards.experiment if recorded else dataset.attrs["name"],
        )
    netcdf.save(spectra, snakemake.output.spectra, begun)
