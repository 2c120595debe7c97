"""The view of a loader on a folder while a build writes it."""

INDEX = "model.safetensors.index.json"


def has_no_mixture(left: dict[str, bytes], *builds: dict[str, bytes]) -> bool:
    """Return True if the index is absent, or is that of a build of which all files are there."""
    return INDEX not in left or any(
        left[INDEX] == build.get(INDEX) and build.items() <= left.items() for build in builds
    )
