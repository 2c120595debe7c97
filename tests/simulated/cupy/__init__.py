"""A simulation on the host of the parts of CuPy that paramgen uses, to test its GPU code without a GPU.

gcc compiles the kernels, which run block by block, thread by thread. Asynchronous work begins when somebody waits for
its stream, so a missing wait shows. Arrays refuse operations that only NumPy has. Environment:
SIMULATED_GPUS (2) is the number of devices, SIMULATED_MEMORY the bytes that each has, SIMULATED_ORDER=reversed runs
threads from the last to the first, SIMULATED_FOLDER keeps what was compiled.
"""

import ctypes
import hashlib
import itertools
import mmap
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np

__version__ = "simulated"
HERE = Path(__file__).parent
_folder = Path(os.environ.get("SIMULATED_FOLDER") or tempfile.mkdtemp(prefix="simulated-gpu-"))
_local = threading.local()
_streams = {}


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class NVRTCError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


def _devices():
    return int(os.environ.get("SIMULATED_GPUS", "2"))


class Device:
    def __init__(self, number):
        self.id = number

    def __int__(self):
        return self.id

    @property
    def compute_capability(self):
        return "90"

    def __enter__(self):
        if self.id >= _devices():
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _stack("devices").append(self.id)

    def __exit__(self, *_):
        _stack("devices").pop()


def _stack(name):
    if not hasattr(_local, name):
        setattr(_local, name, [])
    return getattr(_local, name)


def _device():
    return (_stack("devices") or [0])[-1]


class Stream:
    def __init__(self, non_blocking=False, ptr=None):
        self.waiting = []
        self.done = 0
        self.begun = 0
        self.ptr = id(self) if ptr is None else ptr
        self.device = _device()
        _streams[self.ptr, self.device] = self

    def begin(self, work):
        self.waiting.append(work)
        self.begun += 1

    def run(self, until):
        while self.done < until:
            self.done += 1
            self.waiting.pop(0)()

    def synchronize(self):
        self.run(self.begun)

    def __enter__(self):
        _stack("streams").append(self)

    def __exit__(self, *_):
        _stack("streams").pop()


def get_current_stream():
    own = [stream for stream in _stack("streams") if stream.device == _device()]
    return own[-1] if own else _streams.get((0, _device())) or Stream(ptr=0)


class Event:
    def __init__(self, disable_timing=False):
        self.recorded = None

    def record(self, stream):
        self.recorded = stream, stream.begun

    def synchronize(self):
        if self.recorded:
            self.recorded[0].run(self.recorded[1])


class ndarray(np.ndarray):  # noqa: N801 (CuPy's name)
    __array_ufunc__ = None
    device = None

    def __array_finalize__(self, source):
        self.device = getattr(source, "device", None)

    def __array_function__(self, *_, **__):
        raise TypeError("NumPy does not work on a GPU's arrays")

    def __setitem__(self, *_):
        raise TypeError("the host does not write a GPU's memory")

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)

    __cuda_array_interface__ = property(lambda self: {"version": 3})


def empty(shape, dtype=np.float64):
    dtype = np.dtype(dtype)
    if dtype.byteorder == ">" or dtype.name.startswith("float8") or dtype.kind in "OSUMm":
        raise ValueError(f"Unsupported dtype {dtype}")
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size > int(os.environ.get("SIMULATED_MEMORY", str(2**40))):
        raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
    array = np.full(size, 0xA5, np.uint8).view(dtype).reshape(shape).view(ndarray)
    array.device = Device(_device())
    return array


def zeros(shape, dtype=np.float64):
    array = empty(shape, dtype)
    get_current_stream().begin(lambda: np.asarray(array).view(np.ndarray).fill(0))
    return array


def asarray(source):
    if isinstance(source, ndarray) and int(source.device) == _device():
        return source
    out, held = empty(source.shape, source.dtype), np.array(source.view(np.ndarray))
    get_current_stream().begin(lambda: np.copyto(out.view(np.ndarray), held))
    return out


def asnumpy(array):
    get_current_stream().synchronize()
    return np.array(array.view(np.ndarray))


def ascontiguousarray(array):
    if array.flags.c_contiguous:
        return array
    out = empty(array.shape, array.dtype)
    get_current_stream().begin(lambda: np.copyto(out.view(np.ndarray), array.view(np.ndarray)))
    return out


def _memcpy(to, source, size, kind, stream):
    _streams[stream, _device()].begin(lambda: ctypes.memmove(to, source, size))


def _memcpy2d(to, to_step, source, source_step, width, height, kind, stream):
    def copy():
        for row in range(height):
            ctypes.memmove(to + row * to_step, source + row * source_step, width)

    _streams[stream, _device()].begin(copy)


_programs = {}
_numbers = itertools.count()


def _create(source, name, headers, names):
    assert isinstance(source, str) and all(isinstance(text, bytes) for text in (*headers, *names))
    number = next(_numbers)
    _programs[number] = [source, dict(zip(names, headers, strict=True)), None]
    return number


def _compile(program, options):
    assert {"--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"} <= set(options)
    source, headers, _ = _programs[program]
    defines = [option for option in options if option.startswith("-D")]
    kernels = re.findall(r"^PG_KERNEL (\w+)\(([^)]*)\)\n\{(.*?)^\}", source, re.M | re.S)
    text = f"{(HERE / 'grid.h').read_text()}\n{source}\n"
    for name, parameters, body in kernels:
        types = [re.fullmatch(r"(.*?)\w+", parameter.strip(), re.S)[1] for parameter in parameters.split(",")]
        given = ", ".join(f"*({kind} *)a[{number}]" for number, kind in enumerate(types))
        guard = "#ifdef PG_DISTRIBUTION" if name.startswith("pg_draw") else "#ifndef PG_DISTRIBUTION"
        text += f"""{guard}
static void call_{name}(void **a) {{ {name}({given}); }}
int launch_{name}(void **a, unsigned blocks, unsigned threads, int reversed)
{{
    return pg_grid(call_{name}, a, {int("PG_BARRIER" in body)}, blocks, threads, reversed);
}}
const int sizes_{name}[] = {{{", ".join(f"sizeof({kind})" for kind in types)}, 0}};
#endif
"""
    key = hashlib.sha256(repr((text, sorted(headers.items()), defines)).encode()).hexdigest()[:16]
    library = _folder / f"{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=_folder) as scratch:
            for name, content in headers.items():
                Path(scratch, name.decode()).write_bytes(content)
            Path(scratch, "gpu.c").write_text(text)
            flags = ["-O1", "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing", "-w"]
            command = ["gcc", *flags, *defines, "-I", scratch, "-o", f"{scratch}/gpu.so", f"{scratch}/gpu.c"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NVRTCError(done.stderr)
            os.rename(f"{scratch}/gpu.so", library)
    _programs[program][2] = library


class Module:
    def load(self, code):
        self.library = ctypes.CDLL(code.decode())
        self.device = _device()

    def get_function(self, name):
        return Function(self, name)


class Function:
    def __init__(self, module, name):
        self.module = module
        self.name = name
        self.launch = getattr(module.library, f"launch_{name}")

    def __call__(self, grid, block, arguments, shared_mem=0, stream=None):
        assert self.module.device == _device() == stream.device, "a kernel of another device"
        values = [self.value(argument) for argument in arguments]
        sizes = (ctypes.c_int * (len(values) + 1)).in_dll(self.module.library, f"sizes_{self.name}")
        assert list(sizes) == [*(value.itemsize for value in values), 0], self.name
        buffers = [ctypes.create_string_buffer(value.tobytes(), value.itemsize) for value in values]
        pointers = (ctypes.c_void_p * len(buffers))(*map(ctypes.addressof, buffers))
        reversed_order = os.environ.get("SIMULATED_ORDER") == "reversed"

        def run(held=(arguments, buffers)):
            assert not self.launch(pointers, grid[0], block[0], reversed_order), f"{self.name}: a divergent barrier"

        stream.begin(run)

    @staticmethod
    def value(argument):
        if isinstance(argument, ndarray):
            assert int(argument.device) == _device(), "an array of another device"
            return np.uint64(argument.ctypes.data)
        assert isinstance(argument, np.number | np.void), type(argument)
        return argument


def _pinned(size):
    memory = mmap.mmap(-1, size)
    np.frombuffer(memory, np.uint8)[:] = 0x5A
    return memory


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=_devices,
    getDevice=_device,
    getDeviceProperties=lambda number: {"name": b"Simulated GPU", "major": 9, "minor": 0},
    memGetInfo=lambda: (60 * 10**9, 80 * 10**9),
    memcpyAsync=_memcpy,
    memcpy2DAsync=_memcpy2d,
    memcpyDefault=4,
    memcpyDeviceToDevice=3,
)
nvrtc = SimpleNamespace(
    NVRTCError=NVRTCError,
    getVersion=lambda: (12, 9),
    getSupportedArchs=lambda: (75, 80, 90),
    createProgram=_create,
    compileProgram=_compile,
    destroyProgram=_programs.pop,
    getCUBIN=lambda program: os.fsencode(_programs[program][2]),
)
cuda = SimpleNamespace(
    Device=Device,
    Event=Event,
    Module=Module,
    Stream=Stream,
    alloc_pinned_memory=_pinned,
    driver=SimpleNamespace(CUDADriverError=CUDADriverError),
    get_current_stream=get_current_stream,
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    nvrtc=nvrtc,
    runtime=runtime,
)
