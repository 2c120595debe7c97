"""The names of layouts and conventions, and of the buffers that layouts add. This module imports nothing.

A framework is a module here, of the same name, with a LAYOUT and a CONVENTION. tables.py joins them.
"""

FRAMEWORKS = ("torch", "keras", "flax")
CANONICAL, MATLAB = "canonical", "matlab"
LAYOUT_NAMES = (CANONICAL, *FRAMEWORKS)
CONVENTION_NAMES = (MATLAB, *FRAMEWORKS)

# Non-trainable tensors of modules. PyTorch and Keras use these last words, Flax a collection.
BUFFER_NAMES = frozenset({"running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance"})
BUFFER_COLLECTION = "batch_stats."


def is_buffer(name: str) -> bool:
    """Return True if a tensor of this name is a buffer, which optimizers and counts of parameters leave out."""
    return name.rpartition(".")[2] in BUFFER_NAMES or name.startswith(BUFFER_COLLECTION)
