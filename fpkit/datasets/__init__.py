"""The data sets: one module per `kind`, each with `build(...) -> xarray.Dataset`."""
