"""Every spec in configs/ builds, by the command, to the file whose digest is recorded in tests/data/digests.json.

`python tests/test_configs.py` records those of configs that are new; none that is there may ever change.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CONFIGS, DATA, DTYPES, ROOT, SMALL, Run

import paramgen

RECORDED = DATA / "digests.json"


def digests(path: Path, folder: Path) -> dict[str, str]:
    """SHA-256 of the file that a spec builds, as it is (or small) and for each dtype of the command line."""
    found = {}
    for dtype in (None, *DTYPES):
        target = folder / f"{path.stem}-{dtype}.safetensors"
        spec = paramgen.load_spec(path, dtype=dtype, variables=SMALL.get(path.stem))
        result = paramgen.build(spec, target, digest=True)
        assert result.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
        found[dtype or "as written"] = result.sha256
    return found


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_digests(path: Path, tmp_path: Path) -> None:
    assert digests(path, tmp_path) == json.loads(RECORDED.read_text())[path.stem]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_command_builds_it(path: Path, run: Run) -> None:
    settings = [f"--set={name}={value}" for name, value in SMALL.get(path.stem, {}).items()]
    document = json.loads(run("build", path, "--json", *settings).stdout)
    assert document["sha256"] == json.loads(RECORDED.read_text())[path.stem]["as written"]


def test_recorded_digests_are_of_these_configs() -> None:
    assert sorted(json.loads(RECORDED.read_text())) == [path.stem for path in CONFIGS]


def test_check_jsonschema_accepts_every_config() -> None:
    command = [Path(sys.executable).with_name("check-jsonschema"), "--schemafile", "schemas/paramgen.schema.json"]
    done = subprocess.run([*command, *CONFIGS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


if __name__ == "__main__":
    import tempfile

    recorded = json.loads(RECORDED.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        for config in CONFIGS:
            if config.stem not in recorded:
                recorded[config.stem] = digests(config, Path(scratch))
    RECORDED.write_text(json.dumps(dict(sorted(recorded.items())), indent=1) + "\n")
