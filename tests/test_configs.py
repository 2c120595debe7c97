"""Every spec in configs/ builds, by the command, to the file whose digest is recorded in tests/data/digests.json.

The recorded digests are of the specs without their `files`.

So do the texts in tests/data/specs, which were in configs/ before: the metadata of a file hold its spec.
`python tests/test_configs.py` records the digests of new configs; recorded ones never change.
"""

import hashlib
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import (
    CONFIGS,
    DATA,
    FIRST_DTYPES,
    FORMER,
    FORMER_SMALL,
    ROOT,
    SMALL,
    SPECS,
    Run,
    find_digest_key,
    find_small_variables,
    read_plan_json,
    read_without_files,
)
from model_pages import first_comment

import paramgen
from paramgen.catalog.entries import SpecEntry
from paramgen.catalog.initializers import (
    INITIALIZERS,
    Arange,
    Formula,
    LogUniform,
    Sinusoidal,
    SsmDtBias,
    Values,
)
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, Custom
from paramgen.dtypes import DTYPES
from paramgen.language.yaml_writer import to_yaml

RECORDED = DATA / "digests.json"


def read_config(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def digests(path: Path, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the file that a spec without its `files` builds, for each dtype of the first version.

    "as written" is the one with the spec's own dtype. Large specs are made small.
    """
    found, source = {}, read_without_files(path)
    for dtype in (None, *FIRST_DTYPES):
        target = folder / f"{path.stem}-{dtype}.safetensors"
        spec = paramgen.load_spec(source, dtype=dtype, variables=find_small_variables(path))
        result = paramgen.build(spec, target, digest=True)
        assert result.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
        found[dtype or "as written"] = result.sha256
    return found


@pytest.mark.parametrize("path", SPECS, ids=find_digest_key)
def test_configs_keep_their_digests(path: Path, tmp_path: Path) -> None:
    assert digests(path, tmp_path) == json.loads(RECORDED.read_text())[find_digest_key(path)]


@pytest.mark.parametrize("path", SPECS, ids=find_digest_key)
def test_the_command_builds_it(path: Path, tmp_path: Path, run: Run) -> None:
    settings = [f"--set={name}={json.dumps(value)}" for name, value in find_small_variables(path).items()]
    (tmp_path / "spec.yaml").write_text(to_yaml(read_without_files(path)), encoding="utf-8")
    document = json.loads(run("build", "spec.yaml", "--json", *settings).stdout)
    assert document["sha256"] == json.loads(RECORDED.read_text())[find_digest_key(path)]["as written"]


@pytest.mark.parametrize("path", [path for path in CONFIGS if "files" in read_config(path)], ids=find_digest_key)
def test_files_change_no_tensor(path: Path, tmp_path: Path) -> None:
    """Compare the bytes after the header, where the metadata hold `files`."""
    data = []
    for source in (path, read_without_files(path)):
        spec = paramgen.load_spec(source, variables=find_small_variables(path))
        paramgen.build(spec, tmp_path / "p.safetensors", device="cpu")
        header = spec.plan.files[0].header
        assert ("config.json" in header[8:].decode()) == (source is path)
        data.append((tmp_path / "p.safetensors").read_bytes()[len(header) :])
    assert data[0] == data[1]


def test_recorded_digests_are_of_these_specs() -> None:
    assert sorted(json.loads(RECORDED.read_text())) == sorted(map(find_digest_key, SPECS))


@pytest.mark.parametrize(
    ("former", "config", "more"),
    [("llama", "llama", {}), ("llama_untied", "llama", {"tie": False}), ("resnet50", "resnet50", {})],
)
def test_a_config_has_the_tensors_of_the_former_text(former: str, config: str, more: dict[str, Any]) -> None:
    before = paramgen.load_spec(FORMER / f"{former}.yaml", variables=FORMER_SMALL[former])
    now = paramgen.load_spec(ROOT / "configs" / f"{config}.yaml", variables={**SMALL[config], **more})
    old, new = (
        {name: array.tobytes() for name, array in paramgen.sample(spec, flat=True).items()} for spec in (before, now)
    )
    assert new == old


def operations_of(*stems: str) -> list[dict[str, Any]]:
    """Return the operations at the top level of some specs, as written."""
    return [operation for stem in stems for operation in read_config(ROOT / "configs" / f"{stem}.yaml")["operations"]]


def tensors_of(stem: str) -> dict[str, dict[str, Any]]:
    plan = paramgen.load_spec(ROOT / "configs" / f"{stem}.yaml").plan
    return {tensor["name"]: tensor for tensor in read_plan_json(plan)["parameters"]}


def claims_of_layers() -> None:
    operations = operations_of("layers")
    types = {operation["type"] for operation in operations}
    assert types == {name for kind in types for name in OPERATIONS_BY_TYPE[kind].names()}
    convs = [
        operation for operation in operations if OPERATIONS_BY_TYPE[operation["type"]] is OPERATIONS_BY_TYPE["conv"]
    ]
    ranks = {len(size) if isinstance(size := operation["filter_size"], list) else 1 for operation in convs}
    assert ranks == {1, 2, 3}
    assert {operation.get("bias") for operation in convs} == {None, "shared", "none", False}
    assert {operation.get("num_groups") for operation in convs} >= {None, 4, "channel-wise"}
    modes = {operation.get("reset_gate_mode", "after-multiplication") for operation in operations}
    assert modes == {"after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"}


def claims_of_operations() -> None:
    in_table = {OPERATIONS_BY_TYPE[operation["type"]] for operation in operations_of("layers")}
    operations = operations_of("operations", "parts")
    others = {OPERATIONS_BY_TYPE[operation["type"]] for operation in operations} - in_table
    assert in_table | others | {Custom} == set(OPERATIONS_BY_TYPE.values())
    fields = {field for model in others for field in model.model_fields}
    assert fields - {"dtype", "initializers", "tie", *SpecEntry.model_fields} <= {
        field for operation in operations for field in operation
    }


def claims_of_parts() -> None:
    tensors = tensors_of("parts")
    assert tensors["tokens.weights"]["distribution"]["padding_index"] == 7
    assert "norm.offset" not in tensors
    plan = paramgen.load_spec(ROOT / "configs" / "parts.yaml", layout="torch").plan
    shapes = {tensor["name"]: tensor["shape"] for tensor in read_plan_json(plan)["parameters"]}
    assert shapes["attention_in.weight"] == [30, 90]
    assert shapes["experts.gate_up_proj"] == [4, 40, 30]
    assert (shapes["mixer.A_log"], shapes["heads.dt_bias"]) == ([60, 16], [8])


def types_and_fields(config: str) -> tuple[set[str], set[str]]:
    """Return the types and the fields of a config's initializers."""
    types, fields = set(), set()
    for operation in operations_of(config):
        parameters = {name: value["initializer"] for name, value in operation.get("parameters", {}).items()}
        for value in [*parameters.values(), *operation.get("initializers", {}).values()]:
            types.add(value if isinstance(value, str) else value["type"])
            fields.update({} if isinstance(value, str) else value)
    return types, fields


COMPUTED = {Values, Arange, Formula, Sinusoidal, LogUniform, SsmDtBias}


def claims_of_initializers() -> None:
    (types, fields), (discrete, bounds) = types_and_fields("initializers"), types_and_fields("dtypes")
    types, fields = types | discrete, fields | bounds
    for model in set(INITIALIZERS) - COMPUTED:
        assert types & set(model.names()), model.names()
        assert set(model.model_fields) - {"low", "high"} <= fields, model.names()
    stds = {name: tensor["distribution"].get("std") for name, tensor in tensors_of("initializers").items()}
    assert stds["blocks.0.dense_0.weights"] != stds["blocks.1.dense_1.weights"]


def claims_of_computed_values() -> None:
    types, fields = types_and_fields("computed_values")
    for model in COMPUTED:
        assert types & set(model.names()), model.names()
        assert set(model.model_fields) <= fields, model.names()
    assert {"uniform"} < types and {"low", "high"} < fields


def claims_of_lenet_batchnorm() -> None:
    """Check all but the image of 28 × 28, which modules take in tests/frameworks/test_networks.py."""
    tensors = tensors_of("lenet_batchnorm")
    assert not {"conv1.bias", "conv2.bias"} & set(tensors)
    stds = [tensors[f"{name}.weights"]["distribution"]["std"] for name in ("conv1", "conv2", "fc1", "fc2")]
    assert stds == [math.sqrt(2 / fan) for fan in (25, 150, 400, 120)]


def claims_of_lstm_classifier() -> None:
    operations = operations_of("lstm_classifier")
    assert [operation["type"] for operation in operations] == ["embedding", "lstm", "lstm", "fully_connected"]
    assert operations[-1]["output_size"] == 4


def claims_of_gru_classifier() -> None:
    dtypes = {name.split(".")[0]: tensor["dtype"] for name, tensor in tensors_of("gru_classifier").items()}
    assert dtypes == {"embedding": "float8_e4m3fn", "gru": "bfloat16", "classifier": "float32"}


def claims_of_dtypes() -> None:
    tensors = tensors_of("dtypes")
    assert {tensor["dtype"] for tensor in tensors.values()} == set(DTYPES)
    for name, tensor in tensors.items():
        group, dtype = name.split(".")
        assert tensor["dtype"] == dtype or group == "quantized"
    codes = tensors["quantized.codes"]["distribution"]
    assert codes["high"] - codes["low"] + 1 == 2**4
    assert math.log2(tensors["quantized.scales"]["distribution"]["value"]).is_integer()


# What each config's first comment claims; those about classes that load one are tested in tests/frameworks.
CLAIMS: dict[str, Callable[[], None]] = {
    "dtypes": claims_of_dtypes,
    "computed_values": claims_of_computed_values,
    "gru_classifier": claims_of_gru_classifier,
    "initializers": claims_of_initializers,
    "layers": claims_of_layers,
    "lenet_batchnorm": claims_of_lenet_batchnorm,
    "lstm_classifier": claims_of_lstm_classifier,
    "operations": claims_of_operations,
    "parts": claims_of_parts,
}
CLAIMED_ELSEWHERE = {
    "flax_convnet": "frameworks/test_networks.py",
    "keras_tagger": "frameworks/test_documented_loading.py",
    "source_examples": "planning/test_plan.py",
}


@pytest.mark.parametrize("stem", CLAIMS)
def test_a_claim_of_a_first_comment_holds(stem: str) -> None:
    CLAIMS[stem]()


def test_every_claim_is_tested() -> None:
    for stem, file in CLAIMED_ELSEWHERE.items():
        assert f"{stem}.yaml" in (ROOT / "tests" / file).read_text(encoding="utf-8")
    of_classes = {path.stem for path in CONFIGS if "Loads strictly as" in first_comment(path)}
    assert of_classes | set(CLAIMS) | set(CLAIMED_ELSEWHERE) == {path.stem for path in CONFIGS}


def test_the_page_of_models_lists_every_class() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\(\.\./configs/(\w+)\.yaml\)", page))
    assert listed == {path.stem for path in CONFIGS if "oads strictly" in first_comment(path)}


# Other sizes in first comments, "<model> has <variables>.", and the parameters of the published models.
OTHER_SIZES = {
    ("llama", "LLaMA 7B"): 6_738_415_616,
    ("llama", "Llama 3 8B"): 8_030_261_248,
    ("mamba", "Mamba 2.8B"): 2_768_345_600,
    ("mixtral", "Mixtral 8x22B"): 140_620_634_112,
    ("mixtral_separate", "Mixtral 8x22B"): 140_620_634_112,
    ("qwen3", "Qwen3 8B"): 8_190_735_360,
}


def other_sizes(stem: str) -> dict[str, dict[str, Any]]:
    """Return the variables of other sizes in a config's first comment, by model."""
    found = re.findall(
        r"(?<=\. )((?:(?!\. )[^,])+) has (\w+=.*?)\.(?= |$)", first_comment(ROOT / "configs" / f"{stem}.yaml")
    )
    return {
        model: {name: json.loads(value) for name, value in re.findall(r"(\w+)=(\w+)", sizes)} for model, sizes in found
    }


@pytest.mark.parametrize(("stem", "model"), OTHER_SIZES)
def test_other_sizes_in_comments(stem: str, model: str) -> None:
    spec = paramgen.load_spec(ROOT / "configs" / f"{stem}.yaml", variables=other_sizes(stem)[model])
    assert spec.plan.total_parameters == OTHER_SIZES[stem, model]


def test_every_other_size_is_tested() -> None:
    assert {(path.stem, model) for path in CONFIGS for model in other_sizes(path.stem)} == set(OTHER_SIZES)


def test_mixtral_separate_has_the_tensors_of_a_published_file_in_its_order() -> None:
    """Compare with the headers of the shards of WizardLM-2 8x22B: names, dtypes and shapes, a line per tensor."""
    sizes = other_sizes("mixtral_separate")["Mixtral 8x22B"]
    plan = paramgen.load_spec(ROOT / "configs" / "mixtral_separate.yaml", variables=sizes).plan
    dtypes = {"bfloat16": "BF16"}
    lines = [f"{row['name']} {dtypes[row['dtype']]} {row['shape']}\n" for row in read_plan_json(plan)["parameters"]]
    assert len(lines) == 1739
    published = "0fbaea261500880bcfa67f35d5a34947e7e080fac6a4247c5d162ad0d0b5b1f0"
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == published


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
            if find_digest_key(config) not in recorded:
                recorded[find_digest_key(config)] = digests(config, Path(scratch))
    RECORDED.write_text(json.dumps(dict(sorted(recorded.items())), indent=1) + "\n")
