"""What exists: the tables of operations, initializers, distributions, layouts and conventions."""
