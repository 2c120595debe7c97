"""Import all model types of transformers with their default configurations, and report how that goes.

    python tools/sweep_transformers.py results.jsonl [--timeout 120] [TYPE…]    # continues where it stopped
    python tools/sweep_transformers.py results.jsonl --summary    # prints the tables of docs/models.md
    python tools/sweep_transformers.py results.jsonl --record     # writes tools/transformers_types.csv, their source

For each type: does the class construct on the meta device, is the import exact, does the tiny folder load strictly, and
do its tensors have the distributions of the class's own initialization on the CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from import_pages import condense, record, summarize

SEEDS = 8
MOST_VALUES = 2**24
"""Values that are compared per model; larger ones get fewer seeds."""
MOST_ELEMENTS = 2**20
"""Elements that are compared per tensor, the first ones."""
MOST_PARAMETERS = 10**8
"""Tiny variants with more parameters are not tried."""
STANDARD_ERRORS = 5.5
RELATIVE, ABSOLUTE = 1e-5, 5e-4
COINCIDENCES = 1e-5
"""Share of random elements that may have the same value with all seeds."""
TASKS = (
    *("PRETRAINING", "CAUSAL_LM", "MASKED_LM", "SEQ_TO_SEQ_CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM"),
    *("SPEECH_SEQ_2_SEQ", "CTC", "OBJECT_DETECTION", "UNIVERSAL_SEGMENTATION"),
)


def model_classes() -> dict[str, str]:
    """Return the name of a class for each model type that has one."""
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    first = [f"MODEL_FOR_{task}_MAPPING_NAMES" for task in TASKS] + ["MODEL_MAPPING_NAMES"]
    others = [
        name
        for name in dir(modeling_auto)
        if name.startswith("MODEL_FOR") and name.endswith("_MAPPING_NAMES") and name not in first
    ]
    tables = [dict(getattr(modeling_auto, name)) for name in [*first, *others]]
    found = {}
    for model_type in CONFIG_MAPPING_NAMES:
        names = (table[model_type] for table in tables if model_type in table)
        if name := next(names, None):
            found[model_type] = name if isinstance(name, str) else name[0]
    return found


def examine(model_type: str, class_name: str) -> Iterator[dict[str, Any]]:
    """Yield facts about a model type, the result so far each time."""
    import torch
    import transformers
    from transformers import CONFIG_MAPPING

    result: dict[str, Any] = {"model_type": model_type, "class": class_name, "constructs": False}
    yield result
    try:
        model_class = getattr(transformers, class_name)
        content = {**CONFIG_MAPPING[model_type]().to_diff_dict(), "model_type": model_type}
        content = json.loads(json.dumps(content, default=str))
    except Exception as error:
        yield {**result, "reason": f"does not construct: {describe(error)}"}
        return
    expected = None
    try:
        with torch.device("meta"):
            expected = shapes(model_class._from_config(CONFIG_MAPPING[model_type].from_dict(dict(content))))
        result["constructs"] = True
    except Exception as error:
        result["reason"] = f"does not construct: {describe(error)}"
    result.update(examine_import(content, model_type, class_name, expected, result.get("reason")))
    yield result
    if "exact" in result:
        yield {**result, "tiny": examine_tiny(content, model_type, model_class)}


def examine_import(
    content: Mapping[str, Any], model_type: str, class_name: str, expected: Mapping[str, Any] | None, reason: str | None
) -> dict[str, Any]:
    """Return facts about the import of a configuration; `expected` has the shapes and dtypes of the state dict."""
    from paramgen.importing.transformers_config import import_written_config

    start = time.perf_counter()
    try:
        imported = import_written_config(content, model_type, class_name=class_name)
    except Exception as error:
        return {"reason": reason or f"import: {describe(error)}"}
    names = {tensor.name: (tensor.shape, tensor.dtype) for tensor in imported.tensors}
    facts: dict[str, Any] = {
        "seconds": round(time.perf_counter() - start, 2),
        "tensors": len(names),
        "patterns": len({re.sub(r"\d+", "*", name) for name in names}),
        "unknown": sum(tensor.initializer is None and tensor.tied_to is None for tensor in imported.tensors),
        "uninitialized": list(imported.uninitialized),
        "notes": list(imported.notes),
        "exact": expected is None or names == expected,
    }
    if expected is not None and names != expected:
        differing = sorted(name for name in names.keys() | expected.keys() if names.get(name) != expected.get(name))
        facts["reason"] = f"names, shapes or dtypes differ: {', '.join(differing[:3])}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            facts["lines"] = len(write_exact_spec(imported, Path(folder, "spec.yaml")).splitlines())
    except Exception as error:
        facts.update(exact=False, reason=f"spec: {describe(error)}")
    return facts


def write_exact_spec(imported: Any, path: Path) -> str:
    """Write the spec of an imported model, and return it; its plan has the model's tensors, or this raises."""
    import paramgen
    from paramgen.importing.writing import write_spec

    text = write_spec(imported)
    path.write_text(text, encoding="utf-8")
    planned = {entry.name: (entry.shape, entry.dtype.name) for entry in paramgen.load_spec(path).plan.tensors}
    tensors = {tensor.name: (tensor.shape, tensor.dtype) for tensor in imported.tensors if not tensor.tied_to}
    if tensors != planned:
        raise AssertionError("the plan differs from the model")
    return text


def examine_tiny(content: Mapping[str, Any], model_type: str, model_class: Any) -> dict[str, Any]:
    """Return whether the tiny variant constructs, loads strictly, and has the class's own distributions."""
    import torch
    from transformers import CONFIG_MAPPING

    from paramgen.importing.transformers_config import import_written_config

    facts: dict[str, Any] = {"constructs": False, "loads": False, "agrees": False}
    try:
        imported = import_written_config(content, model_type, class_name=model_class.__name__, tiny=True)
    except Exception as error:
        return {**facts, "reason": f"tiny: {describe(error)}"}
    written = imported.files["config.json"]
    count = sum(math.prod(tensor.shape) for tensor in imported.tensors)
    facts.update(parameters=count, tensors=len(imported.tensors), unknown=list(imported.notes))
    if count > MOST_PARAMETERS:
        return {**facts, "reason": f"tiny: {count:,} parameters are too many to compare"}
    seeds = max(3, min(SEEDS, MOST_VALUES // max(count, 1)))
    theirs = []
    try:
        for seed in range(seeds):
            torch.manual_seed(seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = model_class._from_config(CONFIG_MAPPING[model_type].from_dict(json.loads(json.dumps(written))))
            theirs.append({name: to_numpy(value) for name, value in model.state_dict().items()})
        facts["constructs"] = True
    except Exception as error:
        return {**facts, "reason": f"tiny: does not construct on the CPU: {describe(error)}"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            ours = build(imported, Path(folder), seeds)
        except Exception as error:
            return {**facts, "reason": f"tiny: spec: {describe(error)}"}
        try:
            facts.update(load(model_class, Path(folder)))
        except Exception as error:
            facts["reason"] = f"tiny: loading: {describe(error)}"
    differing = {
        tensor.name: difference
        for tensor in imported.tensors
        if not tensor.tied_to and tensor.name not in imported.uninitialized and math.prod(tensor.shape)
        for difference in [
            compare([side[tensor.name] for side in theirs], [side[tensor.name] for side in ours])
            if tensor.initializer
            else "unknown distribution"
        ]
        if difference
    }
    facts["agrees"] = not differing
    facts["differing"] = dict(list(differing.items())[:5])
    facts["differing_count"] = len(differing)
    return facts


def build(imported: Any, folder: Path, seeds: int) -> list[Any]:
    """Build a folder from the spec of an imported model; return the arrays that the spec gives with other seeds."""
    import paramgen

    spec = folder / "spec.yaml"
    write_exact_spec(imported, spec)
    paramgen.build(spec, folder)
    return [paramgen.sample(paramgen.load_spec(spec, seed=seed), flat=True) for seed in range(1, seeds + 1)]


def load(model_class: Any, folder: Path) -> dict[str, Any]:
    """Load a built folder by from_pretrained; return its report if it is not clean."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, report = model_class.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    problems = {name: sorted(map(str, values))[:3] for name, values in report.items() if values}
    return {"loads": True} if not problems else {"loads": False, "reason": f"tiny: loading: {problems}"}


def compare(theirs: list[Any], ours: list[Any]) -> str | None:
    """Return how two samples of a tensor differ, None if they don't; the arrays of a side have different seeds."""
    if theirs[0].shape != ours[0].shape:
        return f"shape {theirs[0].shape} and {ours[0].shape}"
    sides = [np.stack([array.ravel()[:MOST_ELEMENTS].astype(np.float64) for array in side]) for side in (theirs, ours)]
    fixed = [(side == side[0]).all(axis=0) for side in sides]
    if np.count_nonzero(fixed[0] != fixed[1]) > max(3, fixed[0].size * COINCIDENCES):
        return f"constant elements: {int(fixed[0].sum()):,} and {int(fixed[1].sum()):,} of {fixed[0].size:,}"
    fixed[0] &= fixed[1]
    if not np.allclose(sides[0][0][fixed[0]], sides[1][0][fixed[0]], rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
        return "constants differ"
    return None if fixed[0].all() else compare_random(*(side[:, ~fixed[0]].ravel() for side in sides))


def compare_random(one: Any, other: Any) -> str | None:
    """Return which moment of two samples differs by more than its standard error explains.

    The standard error of few elements is uncertain itself.
    """
    limit = STANDARD_ERRORS * (1 + 12 / one.size)
    means = [float(np.mean(side)) for side in (one, other)]
    squares = [np.square(side - mean) for side, mean in zip((one, other), means, strict=True)]
    variances, fourths = ([float(np.mean(power)) for power in powers] for powers in (squares, map(np.square, squares)))
    if abs(means[0] - means[1]) > limit * math.sqrt(sum(variances) / one.size):
        return f"mean {means[0]:.4g} and {means[1]:.4g}"
    error = math.sqrt(sum(max(f - v**2, 0) for f, v in zip(fourths, variances, strict=True)) / one.size)
    if abs(variances[0] - variances[1]) > limit * error + 1e-12:
        return f"std {math.sqrt(variances[0]):.4g} and {math.sqrt(variances[1]):.4g}"
    return None


def shapes(model: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shapes and dtypes of a state dict."""
    return {
        name: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in model.state_dict().items()
    }


def to_numpy(tensor: Any) -> Any:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def describe(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:200]


def work(connection: Connection) -> None:
    """Examine the models that arrive, until None does."""
    import logging

    import torch
    from transformers.utils import logging as transformers_logging

    logging.disable(logging.CRITICAL)
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)
    while (request := connection.recv()) is not None:
        for result in examine(*request):
            connection.send(result)
        connection.send(None)


def sweep(output: Path, types: list[str], timeout: float) -> None:
    """Examine the model types that the file does not have yet, each for at most `timeout` seconds."""
    classes = model_classes()
    done = {entry["model_type"] for entry in read(output)} if output.exists() else set()
    context = multiprocessing.get_context("spawn")
    worker = None
    for model_type in types or classes:
        if model_type in done:
            continue
        if worker is None or not worker.is_alive():
            connection, remote = context.Pipe()
            worker = context.Process(target=work, args=(remote,), daemon=True)
            worker.start()
        connection.send((model_type, classes[model_type]))
        result: dict[str, Any] = {"model_type": model_type, "class": classes[model_type], "constructs": False}
        deadline = time.monotonic() + timeout + 20
        while True:
            try:
                if not connection.poll(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                latest = connection.recv()
            except (EOFError, TimeoutError) as error:
                kind = "takes too long" if isinstance(error, TimeoutError) else "ends the process"
                result = {**result, "reason": f"{kind}{'' if 'exact' not in result else ', tiny'}"}
                worker.kill()
                worker.join()
                worker = None
                break
            if latest is None:
                break
            result = latest
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
    if worker is not None:
        connection.send(None)
        worker.join()


def read(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Run the sweep, or print its summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("types", nargs="*")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if options.record:
        record(read(options.output))
    elif not options.summary:
        sweep(options.output, options.types, options.timeout)
    print(summarize([condense(entry) for entry in read(options.output)]))


if __name__ == "__main__":
    main()
