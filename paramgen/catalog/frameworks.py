"""The names of layouts and conventions, and of the buffers that layouts add; nothing that takes time to import."""

FRAMEWORKS = ("torch", "keras", "flax")
CANONICAL, MATHWORKS = "canonical", "matlab"
LAYOUT_NAMES = (CANONICAL, *FRAMEWORKS)
CONVENTION_NAMES = (MATHWORKS, *FRAMEWORKS)

# What modules keep beside their parameters. PyTorch and Keras have it under these last words, Flax in a collection.
BUFFERS = frozenset({"running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance"})
BUFFER_COLLECTION = "batch_stats."


def is_buffer(name: str) -> bool:
    """Return True if a tensor of this name is a buffer, which optimizers and counts of parameters leave out."""
    return name.rpartition(".")[2] in BUFFERS or name.startswith(BUFFER_COLLECTION)
