"""Comparison of the distributions of a model's tensors in two samples.

Each comparison fails with a probability of at most about `LEVEL` if the distributions are equal. The tests make a few
thousand of them with fixed seeds, so they always pass or always fail.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp, norm

Array = NDArray[Any]
Tensors = Mapping[str, Array]

LEVEL = 1e-6
STANDARD_ERRORS = float(norm.isf(LEVEL / 2))
# Of two equal samples, the k largest values are all in the same one with probability 2^(1 - k).
MOST_BEYOND = int(1 - np.log2(LEVEL))
# Constants that both sides compute: float32 has 2^-24, and functions of it (log, sin) are off by a few units.
RELATIVE, ABSOLUTE = 1e-6, 2e-6


def differences(theirs: Sequence[Tensors], ours: Sequence[Tensors]) -> list[str]:
    """Compare tensors, one mapping per seed on each side; return a line per difference."""
    names = theirs[0].keys()
    if names != ours[0].keys():
        return [f"names: {sorted(names ^ ours[0].keys())}"]
    return [
        f"{name}: {difference}"
        for name in names
        for difference in _compare(
            *(np.stack([tensors[name] for tensors in side]).astype(np.float64) for side in (theirs, ours))
        )
    ]


def _compare(theirs: Array, ours: Array) -> Iterator[str]:
    """Compare the values of one tensor; the first axis holds the seeds."""
    if theirs.shape != ours.shape:
        yield f"shape {theirs.shape[1:]} and {ours.shape[1:]}"
        return
    fixed, ours_fixed = ((side == side[0]).all(axis=0) for side in (theirs, ours))
    if (fixed != ours_fixed).any():  # for example, a padding row that is zero in one of them
        yield f"constant elements: {np.count_nonzero(fixed)} and {np.count_nonzero(ours_fixed)}"
        return
    if not np.allclose(theirs[0][fixed], ours[0][fixed], rtol=RELATIVE, atol=ABSOLUTE):
        yield f"constants up to {np.abs(theirs[0][fixed] - ours[0][fixed]).max():.2g} apart"
    if not fixed.all():
        yield from _compare_random(theirs[:, ~fixed].reshape(-1), ours[:, ~fixed].reshape(-1))


def _compare_random(theirs: Array, ours: Array) -> Iterator[str]:
    """Compare independent values of two distributions."""
    sides = (theirs, ours)
    means, variances = ([moment(side) for side in sides] for moment in (np.mean, np.var))
    if abs(means[0] - means[1]) > STANDARD_ERRORS * np.sqrt(sum(variances) / theirs.size):
        yield f"mean {means[0]:.4g} and {means[1]:.4g}"
    fourths = [np.mean((side - mean) ** 4) for side, mean in zip(sides, means, strict=True)]
    error = np.sqrt(
        sum(fourth - variance**2 for fourth, variance in zip(fourths, variances, strict=True)) / theirs.size
    )
    if abs(variances[0] - variances[1]) > STANDARD_ERRORS * error:
        yield f"std {np.sqrt(variances[0]):.4g} and {np.sqrt(variances[1]):.4g}"
    for one, other in (sides, sides[::-1]):
        if max(np.count_nonzero(one > other.max()), np.count_nonzero(one < other.min())) > MOST_BEYOND:
            yield f"bounds {theirs.min():.4g} … {theirs.max():.4g} and {ours.min():.4g} … {ours.max():.4g}"
            break
    if (p := ks_2samp(theirs, ours).pvalue) < LEVEL:
        yield f"Kolmogorov-Smirnov, p = {p:.1g}"
