"""The functions of the Python API: what the commands do, and arrays without a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paramgen import engine
from paramgen.catalog.initializers import ParameterTraits
from paramgen.catalog.operations import CustomParameter
from paramgen.digests import parse_digest
from paramgen.distributed.connection import connect_executor
from paramgen.engine import BuildResult
from paramgen.errors import UsageError, check_path
from paramgen.float_mode import default_float_mode
from paramgen.folder_build import NEEDS_FOLDER, build_folder, plan_output
from paramgen.language.diagnostics import LimitExceededError, ProblemCollector
from paramgen.language.document import Document, from_mapping
from paramgen.language.evaluation import Evaluator
from paramgen.language.parsed_spec import SpecFields, validate
from paramgen.messages import show_path
from paramgen.nested import Nested, nest
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import ResolvedParameter, as_tensor, resolve_parameter
from paramgen.progress import BytesCallback
from paramgen.sampling.devices import open_backend, parse_device
from paramgen.spec import Spec, SpecSource, as_spec, read_and_plan
from paramgen.storage.byte_source import is_url, use_storage_options
from paramgen.storage.writer import is_stream
from paramgen.threads import count_threads

if TYPE_CHECKING:
    from distributed import Client
    from numpy.typing import NDArray

    from paramgen.importing.sources import ImportedSpec

VariableValue = bool | float | str | Sequence[bool | float | str]


def load_spec(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    seed: int | None = None,
    dtype: str | None = None,
    layout: str | None = None,
    variables: Mapping[str, VariableValue] | None = None,
) -> Spec:
    """Read and check a spec: the path of a YAML file, or a mapping of the same form.

        spec = paramgen.load_spec("model.yaml", seed=7, layout="torch")

    `seed`, `dtype` and `layout` replace those of the spec. `variables` replaces values of the spec's variables by
    name, as `--set` does. Raises SpecError with all errors, their lines and columns. A variable that the spec does
    not have raises UsageError, and an unreadable file FileError.
    """
    return read_and_plan(source, variables=variables, seed=seed, dtype=dtype, layout=layout)


def parse_expected(text: str) -> str:
    """Return an expected digest in hexadecimal. Raises UsageError if it is not one."""
    try:
        return parse_digest(text)
    except ValueError as error:
        raise UsageError(f"expect: {error}") from None


def build(
    spec: SpecSource,
    path: str | os.PathLike[str] = "params.safetensors",
    *,
    device: str = "auto",
    threads: int | None = None,
    max_shard_size: int | str | None = None,
    basename: str | None = None,
    force: bool = False,
    digest: bool = False,
    expect: str | None = None,
    manifest: str | os.PathLike[str] | None = None,
    resume: bool = False,
    resume_verify: bool = False,
    sync: bool = True,
    dask: str | Client | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: BytesCallback | None = None,
) -> BuildResult:
    """Build a safetensors file, or a folder of them, from a spec, as `paramgen build` does.

        result = paramgen.build("model.yaml", "model.safetensors", digest=True)
        result.sha256
        paramgen.build("model.yaml", "model/", max_shard_size="5GB")

    - `path`: the file to write, or "-" for standard output. The file appears under its name when it is complete. If it
      is a folder, or ends in a slash, the weights become `model.safetensors` in that folder. A URL such as
      s3://bucket/name is uploaded without a local copy.
    - `device`: "auto" (a GPU if it is faster), "cpu", "gpu" (all GPUs), "gpu:0" or "gpu:0,gpu:1". All
      give the same bytes.
    - `threads`: the number of CPU threads. By default, one for each CPU that the process may use.
    - `max_shard_size`: in a folder, split the weights into files of at most this many bytes, or "5GB".
    - `basename`: in a folder, the name of the weights instead of "model".
    - `force`: replace a file that paramgen did not write. Without it, that raises UsageError.
    - `digest`: compute the file's SHA-256.
    - `expect`: the SHA-256 that the weights must have, in hexadecimal, with or without `sha256:` before it; else
      nothing is written, and DigestError raised.
    - `manifest`: a file for the digests of all files and tensors, which `verify` reads.
    - `resume`: in a folder, continue an interrupted build from its finished shards; `resume_verify` also draws these
      again and compares them.
    - `sync`: wait until the disk has the files.
    - `dask`: draw by the workers of a Dask cluster: "HOST:PORT" of its scheduler, "local:2" for two processes of this
      machine, or a `distributed.Client`. All workers must share the path, unless it is a folder of s3://. `device` and
      `threads` are those of each worker; the default is its number of threads.
    - `storage_options`: for a URL, the options of fsspec's file system, such as `{"profile": "work"}`.
    - `progress(count)` is called with the bytes that were drawn meanwhile, and with 0 after each block. If it raises,
      the build ends.

    Raises FileError if the file cannot be written, DeviceError if a GPU cannot be used, and WorkerError if the cluster
    cannot.
    """
    parse_device(device)
    count_threads(threads)
    path = check_path(path)
    options: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "force": force,
        "expect": None if expect is None else parse_expected(expect),
        "manifest": None if manifest is None else check_path(manifest),
        "sync": sync,
        "progress": progress,
    }
    output_plan = plan_output(spec, path, max_shard_size, basename)
    if not output_plan.folder and (resume or resume_verify):
        raise UsageError(f"resume: {NEEDS_FOLDER}, got {show_path(path)}")
    if dask is not None and not output_plan.folder and (is_url(path) or is_stream(path)):
        raise UsageError(
            f"dask: needs a file or folder that all workers share, or a folder of s3://, got {show_path(path)}"
        )
    with use_storage_options(storage_options), connect_executor(dask) as open_executor:
        options["open_executor"] = open_executor
        if output_plan.folder:
            return build_folder(output_plan, path, resume=resume or resume_verify, redraw=resume_verify, **options)
        return engine.build(output_plan, path, digest=digest, **options)


def import_file(
    path: str | os.PathLike[str],
    *,
    fit: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    progress: BytesCallback | None = None,
) -> Spec:
    """Return the spec of a safetensors file, a folder, an index, or a header saved as JSON.

        spec = paramgen.import_file("params.safetensors")

    It has the file's tensors. Their initial values are guesses from names, unless paramgen wrote the file: then it is
    the stored spec. With `fit` the data are read, and each tensor gets the mean and std, the bounds or the constant
    that it has; `progress(count)` is called with the bytes read meanwhile. `storage_options` are those of a URL, as for
    `build`. Raises FileError if it cannot be read.
    """
    from paramgen.importing.sources import import_weights

    with use_storage_options(storage_options):
        return _read_imported(import_weights(path, fit=fit, progress=progress))


def import_model(
    source: Any, arguments: Mapping[str, Any] | None = None, *, inputs: Sequence[Any] | None = None
) -> Spec:
    """Return the spec of a PyTorch, Keras or Flax model, with the initial values of its own code.

        spec = paramgen.import_model("torchvision.models:resnet18", {"num_classes": 10})
        spec = paramgen.import_model(my_keras_model)

    - PyTorch: `source` is a function or a class, or its name (`package.module:function`). It is called with `arguments`
      on the meta device, so a model of any size needs no memory, while its initialization is recorded. The
      distributions of a module that exists are not known: its tensors get the mean and std, or the constant, that they
      have.
    - Keras: `source` is a built model. The initializers are those of its layers.
    - Flax: `source` is a linen module, and `inputs` what it is applied to. Nothing is computed; the initializers are
      those of jax.nn.initializers.

    Initial values that cannot be identified are guessed from names. Raises UsageError if it is not a module.
    """
    from paramgen.importing.modules import import_any_module
    from paramgen.importing.sources import describe_model

    return _read_imported(describe_model(import_any_module(source, arguments, inputs)))


def _read_imported(imported: ImportedSpec) -> Spec:
    from paramgen.language.yaml_reader import from_yaml

    return read_and_plan(from_yaml(imported.text.encode(), imported.source).data)


def plan(spec: SpecSource) -> Plan:
    """Return what a build would write, without drawing anything.

        plan = paramgen.plan("model.yaml")
        plan.tensors[0].shape  # (10, 100)
        plan.rows()[0]["distribution"]  # {"type": "uniform", "low": …, "high": …}

    `rows` gives a mapping per tensor, with the keys of `paramgen plan --json`, for a DataFrame. Raises SpecError
    with all errors of the spec.
    """
    return as_spec(spec).plan


def sample(spec: SpecSource, *, device: str = "cpu", flat: bool = False) -> Nested:
    """Return a spec's parameters as nested dicts of arrays, without writing a file.

        params = paramgen.sample("model.yaml")
        params["head"]["weight"].shape  # (10, 100)

    Names are split at dots, or kept whole with `flat`. On "cpu" the arrays are NumPy's. On "gpu", the current GPU, or
    "gpu:N" they are CuPy's. `load` lists the dtypes.
    """
    spec_plan = as_spec(spec).plan
    backend, sampler = open_backend(device), engine.make_array_sampler(spec_plan.seed)
    arrays = {tensor.name: engine.draw_array(tensor, sampler, backend) for tensor in spec_plan.tensors}
    if flat:
        return arrays
    try:
        return nest(arrays)
    except ValueError as error:
        raise UsageError(f"sample: {error}; use flat=True") from None


@default_float_mode()
def initialize(
    initializer: str | Mapping[str, Any],
    shape: Sequence[int],
    *,
    fan_in: int | None = None,
    fan_out: int | None = None,
    seed: int = 0,
    name: str = "parameter",
    dtype: str = "float32",
    **fields: Any,
) -> NDArray[Any]:
    """Return the array that a file would hold for this name, seed and shape.

        w = paramgen.initialize("he", [5, 5, 3, 128], fan_in=75, seed=42, name="conv.weights")
        b = paramgen.initialize("uniform", [100, 100], bound=0.1)

    `initializer` is a name, with its fields as further arguments, or a mapping as in a spec. Initializers that scale
    need the fans of their mode: `glorot` needs `fan_in` and `fan_out`, `he` needs `fan_in`. The seed and the name
    choose the random numbers. `unit_forget_gate` needs the shape [4H] or [4H, 1]. Fields may be expressions, such as
    `value="${log(k + 1)}"` of `formula`. Raises SpecError or UsageError for invalid arguments.
    """
    fans = {"fan_in": fan_in, "fan_out": fan_out}
    document = from_mapping(
        {
            "seed": seed,
            "name": name,
            "shape": list(shape) if isinstance(shape, Iterable) else shape,
            "initializer": _merge_fields(initializer, fields),
            "dtype": dtype,
            **{key: value for key, value in fans.items() if value is not None},
        },
        "initialize",
    )
    try:
        spec, parameter = _resolve_single(document)
    except LimitExceededError as error:
        raise ProblemCollector([error.problem]).error(document) from None
    return engine.draw_array(as_tensor(spec.name, parameter), engine.make_array_sampler(spec.seed), open_backend("cpu"))


def _merge_fields(initializer: str | Mapping[str, Any], fields: dict[str, Any]) -> Any:
    """Return an initializer as in a spec, with further fields."""
    mapping: Any = {"type": initializer} if isinstance(initializer, str) else initializer
    if not fields:
        return mapping
    repeated = fields.keys() & mapping.keys() if isinstance(mapping, Mapping) else fields.keys()
    if repeated:
        raise UsageError(f"initialize: {', '.join(sorted(repeated))}: given twice; remove one")
    return {**mapping, **fields}


def _resolve_single(document: Document) -> tuple[SpecFields, ResolvedParameter]:
    """Check the arguments of `initialize`: the seed and name of a spec, and its parameter."""
    arguments = dict(document.data)
    evaluator = Evaluator(document.has_expressions)
    arguments["initializer"], failures = evaluator.evaluate(arguments["initializer"], ("initializer",))
    spec, spec_errors = validate(SpecFields, {key: arguments.pop(key) for key in ("seed", "name")})
    parameter, parameter_errors = validate(CustomParameter, arguments, failures)
    ProblemCollector([*evaluator.explain(failures), *spec_errors, *parameter_errors]).raise_if_any(document)
    assert spec is not None and parameter is not None
    shape = parameter.shape
    has_gate_shape = shape[1:] in ((), (1,)) and shape[:1] and shape[0] % 4 == 0
    num_hidden_units = shape[0] // 4 if has_gate_shape else None
    traits = ParameterTraits(shape, parameter.fan_in, parameter.fan_out, num_hidden_units=num_hidden_units)
    initializer = parameter.initializer
    if missing := [fan for fan in initializer.fans() if getattr(parameter, fan) is None]:
        fix = f"pass {'them' if len(missing) > 1 else 'it'}"
        raise UsageError(f"initialize: {initializer.type_name} needs {' and '.join(missing)}; {fix}")
    if reason := initializer.why_unfit(traits):
        raise UsageError(f"initialize: {initializer.type_name} {reason}")
    resolved = resolve_parameter(traits, initializer, document.data["dtype"])
    if reason := resolved.dtype_error(spec.name):
        raise UsageError(f"initialize: {reason}")
    return spec, resolved
