"""Every operation loads strictly into real modules, and computes the same function in all frameworks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import FRAMEWORK_WARNINGS, Tensors, build_tensors, flax_variables, leaves, load_keras, load_torch
from module_cases import CASES, Case
from numpy.typing import NDArray

import paramgen
from paramgen.catalog.frameworks.tables import LAYOUTS
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, Custom

Array = NDArray[Any]
pytestmark = FRAMEWORK_WARNINGS


def torch_output(case: Case, tensors: Tensors) -> Array:
    import torch

    assert case.torch
    module = load_torch(case.torch(), tensors, "x.")
    x = case.input()
    with torch.no_grad():
        y = case.run_torch(module, torch.from_numpy(np.moveaxis(x, -1, 1).copy() if case.channels_first else x))
    return np.moveaxis(y.numpy(), 1, -1) if case.channels_first else y.numpy()  # type: ignore[no-any-return]


def keras_output(case: Case, tensors: Tensors) -> Array:
    assert case.keras
    layer = case.keras()
    case.run_keras(layer, case.input())
    load_keras(layer, tensors)
    return np.asarray(case.run_keras(layer, case.input()))


def flax_output(case: Case, tensors: Tensors) -> Array:
    """Run a Flax module with the file's variables, which must be exactly the module's own."""
    import jax

    assert case.flax
    module, x = case.flax(), case.input()
    variables = {collection: tree["x"] for collection, tree in flax_variables(tensors).items()}
    own = module.init(jax.random.key(0), x)
    if set(own["params"]) == {"alone"}:
        variables["params"] = {"alone": variables["params"]}
    found = {name: array.shape for name, array in leaves(variables)}
    assert found == {name: array.shape for name, array in leaves(own)}
    return np.asarray(module.apply(variables, x))


OUTPUTS = {"torch": torch_output, "keras": keras_output, "flax": flax_output}


@pytest.mark.frameworks("flax", "keras", "torch", "transformers")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_same_function_in_every_framework(case: Case, tmp_path: Path) -> None:
    operation = {"name": "x", **case.operation}
    outputs = {}
    for layout, output in OUTPUTS.items():
        if getattr(case, layout):
            outputs[layout] = output(case, build_tensors(tmp_path, layout, operation))
        else:
            with pytest.raises(paramgen.SpecError) as caught:
                build_tensors(tmp_path, layout, operation)
            assert [problem.path for problem in caught.value.diagnostics] == ["operations[0].type"]
            assert LAYOUTS[layout].framework in str(caught.value)
    assert outputs
    first, *others = outputs.values()
    assert np.abs(first).max() > 0.01
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-4, atol=1e-4)


def test_every_operation_has_a_case() -> None:
    there = {OPERATIONS_BY_TYPE[case.operation["type"]] for case in CASES}
    assert there == {model for model in OPERATIONS_BY_TYPE.values() if model is not Custom}
    for layout in OUTPUTS:
        with_module = {OPERATIONS_BY_TYPE[case.operation["type"]] for case in CASES if getattr(case, layout)}
        assert with_module == set(LAYOUTS[layout].rows)


@pytest.mark.parametrize("layout", OUTPUTS)
def test_custom_parameters_keep_their_values(layout: str, tmp_path: Path) -> None:
    custom = {"name": "x", "type": "custom", "parameters": {"w": {"shape": [2, 3, 4], "initializer": "ones"}}}
    (canonical,) = build_tensors(tmp_path, "canonical", custom).values()
    ((name, array),) = build_tensors(tmp_path, layout, custom).items()
    assert name == ("params.x.w" if layout == "flax" else "x.w")
    assert array.tobytes() == canonical.tobytes()
