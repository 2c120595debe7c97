"""The text of an imported spec."""

from __future__ import annotations

from paramgen.importing.model import ImportedModel


def write_spec(model: ImportedModel) -> str:
    """Return the YAML of a spec with a model's tensors, folded; it has been planned and compared with the model."""
    raise NotImplementedError
