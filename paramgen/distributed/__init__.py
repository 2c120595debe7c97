"""Builds by many machines: the workers of a Dask cluster as an executor."""
