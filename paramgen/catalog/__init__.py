"""The tables of all that exists: operations, initializers, distributions, layouts and conventions."""
