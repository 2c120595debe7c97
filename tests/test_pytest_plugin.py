"""The fixtures of the pytest plugin, in runs of pytest of their own."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from helpers import ROOT, TINY

from paramgen import api, checks, pytest_plugin
from paramgen.pytest_plugin import BUILT

# A run of pytest within a test forgets the modules that it imports, so all are imported here.
IMPORTED = (api, checks, pytest_plugin)

WITH_VARIABLES = """\
variables: {width: 4, layers: 1}
files:
  config.json: {width: "${width}"}
  words.txt: texts/words.txt
operations:
  - {name: dense, repeat: "${layers}", type: fully_connected, input_size: "${width}", output_size: 2}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Make a folder with specs, whose runs of pytest load plugins as users' runs do."""
    pytester.makefile(".yaml", tiny=TINY, wide=WITH_VARIABLES)
    pytester.mkdir("texts").joinpath("words.txt").write_text("a b\n")
    return pytester


def run_tests(project: pytest.Pytester, code: str, *arguments: str) -> pytest.RunResult:
    """Run a module of tests; its warnings are errors."""
    project.makepyfile("import paramgen, pytest\nfrom pathlib import Path\n" + code)
    return project.runpytest("-W", "error", *arguments)


def list_entries(project: pytest.Pytester) -> list[Path]:
    return [path for path in (project.path / ".pytest_cache/d/paramgen").iterdir() if path.is_dir()]


def test_a_file_is_what_build_writes(project: pytest.Pytester) -> None:
    code = """
def test(paramgen_file, tmp_path):
    path = paramgen_file("wide.yaml", seed=7, dtype="float16", layout="torch", width=3)
    spec = paramgen.load_spec("wide.yaml", seed=7, dtype="float16", layout="torch", variables={"width": 3})
    paramgen.build(spec, tmp_path / "a.safetensors")
    assert path.read_bytes() == (tmp_path / "a.safetensors").read_bytes()
    assert paramgen_file(spec) == path == paramgen_file(Path("wide.yaml").absolute(), seed=7, dtype="float16", layout="torch", width=3)
"""
    run_tests(project, code).assert_outcomes(passed=1)
    assert len(list_entries(project)) == 1


def test_a_folder_has_the_companions_and_the_options_of_a_build(project: pytest.Pytester) -> None:
    code = """
def test(paramgen_model):
    folder = paramgen_model("wide.yaml", width=3)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "words.txt"]
    assert (folder / "config.json").read_text() == '{\\n  "width": 3\\n}\\n'
    assert (folder / "words.txt").read_text() == "a b\\n"
    assert paramgen.verify(folder).holds
    shards = paramgen_model("wide.yaml", width=64, layers=99, max_shard_size="20KB", basename="other")
    assert (shards / "other.safetensors.index.json").exists()
    assert paramgen.verify(shards).holds
"""
    run_tests(project, code).assert_outcomes(passed=1)


def test_specs_can_be_mappings_in_fixtures_of_any_scope(project: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="session")
def path(paramgen_file):
    spec = {"operations": [{"name": "a", "type": "prelu"}]}
    return paramgen_file(spec, seed=3)

def test(path):
    assert paramgen.Spec.from_file(path).seed == 3
"""
    run_tests(project, code).assert_outcomes(passed=1)


def test_specs_are_found_from_the_root_folder(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\n")
    folder = project.mkdir("deep")
    (folder / "test_deep.py").write_text("def test(paramgen_file):\n    assert paramgen_file('tiny.yaml').exists()\n")
    os.chdir(folder)
    project.runpytest().assert_outcomes(passed=1)


LOG_BUILDS = """
from paramgen import api

@pytest.fixture(autouse=True)
def log_builds(monkeypatch):
    def build(*arguments, **keywords):
        with open("builds.txt", "a") as file:
            print(worker(), file=file)
        return original(*arguments, **keywords)

    original = api.build
    monkeypatch.setattr(api, "build", build)

def worker():
    import os
    return os.environ.get("PYTEST_XDIST_WORKER", "main")
"""


def count_builds(project: pytest.Pytester) -> int:
    path = project.path / "builds.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.slow
def test_a_build_is_used_until_what_determines_it_changes(project: pytest.Pytester) -> None:
    code = LOG_BUILDS + "\ndef test(paramgen_model):\n    assert paramgen.verify(paramgen_model('wide.yaml')).holds\n"
    run_tests(project, code).assert_outcomes(passed=1)
    run_tests(project, code).assert_outcomes(passed=1)
    assert count_builds(project) == 1
    (project.path / "wide.yaml").write_text(WITH_VARIABLES.replace("width: 4", "width: 5"))
    run_tests(project, code).assert_outcomes(passed=1)
    assert count_builds(project) == 2
    (project.path / "texts/words.txt").write_text("c\n")  # the same size and, in a CI job, often the same time
    run_tests(project, code).assert_outcomes(passed=1)
    assert count_builds(project) == 3
    run_tests(project, code, "--cache-clear").assert_outcomes(passed=1)
    assert count_builds(project) == 4


@pytest.mark.slow
def test_workers_of_xdist_build_a_file_once(project: pytest.Pytester) -> None:
    code = (
        LOG_BUILDS
        + """
WORKERS = pytest.mark.parametrize("number", range(12))

@WORKERS
def test(paramgen_file, number):
    path = paramgen_file("tiny.yaml", seed=number // 6)
    assert paramgen.verify(path).holds
    with open("workers.txt", "a") as file:
        print(worker(), file=file)
"""
    )
    run_tests(project, code, "-n3", "--dist=each").assert_outcomes(passed=36)
    assert len(set((project.path / "workers.txt").read_text().split())) == 3
    assert count_builds(project) == 2


CHANGES = {
    "write": "path.chmod(0o644); path.write_bytes(b'')",
    "append": "path.chmod(0o644); open(path, 'ab').write(b'x')",
    "remove": "path.unlink()",
    "add": "(path.parent / 'more').touch()",
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_test_that_writes_into_the_cache_spoils_no_later_one(project: pytest.Pytester, change: str) -> None:
    code = f"""
def test_writer(paramgen_model):
    path = paramgen_model("wide.yaml") / "config.json"
    {CHANGES[change]}

def test_reader(paramgen_model):
    folder = paramgen_model("wide.yaml")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "words.txt"]
    assert (folder / "config.json").read_text() == '{{\\n  "width": 4\\n}}\\n'
"""
    run_tests(project, code, "-W", "default").assert_outcomes(passed=2)


def test_files_are_read_only(project: pytest.Pytester) -> None:
    run_tests(project, "def test(paramgen_model):\n    paramgen_model('wide.yaml')\n").assert_outcomes(passed=1)
    (entry,) = list_entries(project)
    assert [path.stat().st_mode & 0o777 for path in entry.iterdir()] == [0o444] * 3
    assert {path.stat().st_mtime for path in (entry, *entry.iterdir())} == {BUILT}


def test_an_unfinished_build_is_removed(project: pytest.Pytester) -> None:
    unfinished = project.path / ".pytest_cache/d/paramgen/unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "model.safetensors").write_bytes(b"half")
    code = "def test(paramgen_file):\n    assert paramgen.verify(paramgen_file('tiny.yaml')).holds\n"
    run_tests(project, code).assert_outcomes(passed=1)
    assert not unfinished.exists()


def test_without_the_cache_files_last_for_the_run(project: pytest.Pytester) -> None:
    code = """
def test(paramgen_file, tmp_path_factory):
    assert paramgen_file("tiny.yaml").is_relative_to(tmp_path_factory.getbasetemp())
"""
    run_tests(project, code, "-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert not (project.path / ".pytest_cache").exists()


ERRORS = {
    "spec": ('paramgen_file("wrong.yaml")', "wrong.yaml:1:59: operations[0].input_size: must be a positive integer"),
    "variable": ('paramgen_model("wide.yaml", layres=2)', "variable 'layres'"),
    "missing": ('paramgen_file("absent.yaml")', "absent.yaml: No such file or directory"),
    "copied": ('paramgen_model("copies.yaml")', "copies.yaml:1:16: files.a.txt: must be a regular file below"),
    "shards": ('paramgen_model("wide.yaml", max_shard_size=-1)', "max_shard_size: must be a positive number of bytes"),
    "Spec": (
        'paramgen_file(paramgen.load_spec("tiny.yaml"), seed=3)',
        "seed: a Spec is used as it is; pass them to load_spec",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ERRORS)
def test_an_error_fails_the_test_in_one_line(project: pytest.Pytester, case: str) -> None:
    project.makefile(
        ".yaml",
        wrong="operations: [{name: a, type: fully_connected, input_size: -1, output_size: 2}]",
        copies="files: {a.txt: b}\noperations: [{name: a, type: prelu}]",
    )
    call, message = ERRORS[case]
    result = run_tests(project, f"def test(paramgen_file, paramgen_model):\n    {call}\n")
    result.assert_outcomes(failed=1)
    section = result.stdout.str().partition("= FAILURES =")[2].splitlines()
    lines = [line for line in section[2:] if line and not line.startswith("=")]
    assert message in lines[0]
    assert not any("Traceback" in line or "Error" in line.split(":")[0] for line in lines)


@pytest.mark.slow
def test_pytest_loads_the_plugin_by_itself_and_imports_little(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import sys

        def test_modules(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("paramgen")
            assert not {"numpy", "pydantic", "yaml"} & set(sys.modules)
            loaded = [name for name in sys.modules if name.split(".")[0] == "paramgen"]
            assert sorted(loaded) == ["paramgen", "paramgen.pytest_plugin"]
        """
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    others = [name for name in find_plugins() if name != "paramgen"]
    command += [argument for name in others for argument in ("-p", f"no:{name}")]
    done = subprocess.run(command, cwd=project.path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def find_plugins() -> list[str]:
    """Return the names of all plugins that pytest would load; others import what they like."""
    return [entry.name for entry in entry_points(group="pytest11")]


def test_pytest_is_not_needed_at_run_time() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not any(name.startswith("pytest") for name in project["dependencies"])
    assert project["entry-points"]["pytest11"] == {"paramgen": "paramgen.pytest_plugin"}
