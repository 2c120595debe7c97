"""Golden files: other texts fail, and `--update-golden` records those of the tests that ran."""

import shutil

import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow

TESTS = """
    import pytest
    from golden import UNUSED

    @pytest.mark.parametrize("case", {cases})
    def test_it(case, tmp_path, golden):
        golden(f"{{tmp_path}}: {word}", case)

    def test_unused(pytestconfig):
        assert pytestconfig.getoption("--update-golden") or pytestconfig.stash[UNUSED] == []
"""


def run(pytester: pytest.Pytester, word: str, cases: list[str], *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=TESTS.format(word=word, cases=cases))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_texts_are_compared_and_recorded(pytester: pytest.Pytester, processes: str) -> None:
    shutil.copy(ROOT / "tests" / "golden.py", pytester.path)
    pytester.makeconftest('pytest_plugins = ["golden"]')
    file = pytester.path / "data" / "messages" / "test_it.txt"
    entry = "test_it[{}]\n    <tmp>: {}\n    {}\n".format

    run(pytester, "old", ["a", "b"], processes).assert_outcomes(passed=1, failed=2)
    run(pytester, "old", ["a", "b"], processes, "--update-golden").assert_outcomes(passed=3)
    assert file.read_text() == entry("a", "old", "a") + "\n" + entry("b", "old", "b")
    run(pytester, "old", ["a", "b"], processes).assert_outcomes(passed=3)

    reworded = run(pytester, "new", ["a", "b"], processes)
    reworded.assert_outcomes(passed=1, failed=2)
    reworded.stdout.fnmatch_lines(["-<tmp>: old", "+<tmp>: new", "*pytest --update-golden tests/test_it.py"])
    run(pytester, "new", ["a", "b"], processes, "--update-golden", "-k", "b")
    assert file.read_text() == entry("a", "old", "a") + "\n" + entry("b", "new", "b")

    left_over = run(pytester, "new", ["b"], processes)
    left_over.assert_outcomes(passed=1, failed=1)
    left_over.stdout.fnmatch_lines(["*test_unused*"])
    run(pytester, "new", ["b"], processes, "--update-golden").assert_outcomes(passed=2)
    assert file.read_text() == entry("b", "new", "b")
