"""The tails of the normal distribution against mpmath, and truncated distributions made of them."""

import mpmath
import pytest
from golden import Golden

from paramgen.catalog.distributions import TruncatedNormal
from paramgen.catalog.normal_tails import tail_probabilities

LIMITS = [(-2, 2), (0.1, 5), (-3, -2.9999), (30, 35), (-100, 100), (3, 3.5), (-8, 8), (2.9, 40), (-36, -35), (0, 1e6)]


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_tails_are_correctly_rounded(low: float, high: float) -> None:
    with mpmath.workdps(60):
        a, b = mpmath.mpf(low), mpmath.mpf(high)

        def above(x: mpmath.mpf) -> mpmath.mpf:
            return mpmath.erfc(x / mpmath.sqrt(2)) / 2

        within = above(a) - above(b) if a >= 0 else above(-b) - above(-a) if b <= 0 else 1 - above(-a) - above(b)
        assert tail_probabilities(low, high) == (float(above(-a)), float(above(b)), float(within))


@pytest.mark.parametrize(
    ("low", "high"),
    [(36, 40), (-50, -37), (1, 1), (2, -2), (-300, -200), (-1, float("inf")), (float("-inf"), 1), (float("nan"), 1)],
)
def test_limits_with_almost_no_mass_between_them_are_refused(low: float, high: float, golden: Golden) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (golden compares the text)
        TruncatedNormal(0.0, 1.0, low, high)
    golden(caught.value)


def test_the_plan_describes_limits_as_values() -> None:
    distribution = TruncatedNormal(1.0, 0.5, -2.0, 3.0)
    assert distribution.fields() == {"mean": 1.0, "std": 0.5, "low": 0.0, "high": 2.5}
    assert distribution.max_magnitude("float32") == 2.5
    assert TruncatedNormal(0.0, 1.0, -1e30, 1e30).max_magnitude("float32") < 38
    assert TruncatedNormal(0.0, 5.75e41, -1e-12, 1e-12).max_magnitude("float32") == 5.75e41
