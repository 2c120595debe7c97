"""The test of docs/how-to/ci.md, section "Replace a downloaded checkpoint", passes with the fixture that it shows."""

import pytest
from ci_fixture import DOWNLOADED, GENERATED, TEST
from helpers import ROOT
from snippets import snippets

SECTION = "Replace a downloaded checkpoint"


def test_the_page_shows_the_test_that_is_measured() -> None:
    page = ROOT / "docs" / "how-to" / "ci.md"
    shown = [snippet.text for snippet in snippets(page) if (snippet.section, snippet.language) == (SECTION, "python")]
    assert shown == [TEST, GENERATED]
    assert DOWNLOADED in TEST


@pytest.mark.slow
@pytest.mark.frameworks("torch", "transformers")
def test_the_documented_test_passes(pytester: pytest.Pytester) -> None:
    (pytester.path / "configs").symlink_to(ROOT / "configs")
    pytester.makepyfile(TEST.replace(DOWNLOADED, GENERATED))
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1)
