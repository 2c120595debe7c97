"""The default floating-point mode, on which all results in Python, NumPy and the kernels depend."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paramgen.errors import DeviceError

_SMALLEST_NORMAL = sys.float_info.min
_HALF_UNIT = sys.float_info.epsilon / 2


def is_default() -> bool:
    """Return True if this thread rounds to nearest and keeps subnormals."""
    unit = 1.0  # a name, or Python would compute the sums when it compiles them
    rounds_to_nearest = (
        unit + _HALF_UNIT == unit and -unit - _HALF_UNIT == -unit and unit + 1.5 * _HALF_UNIT == unit + 2 * _HALF_UNIT
    )
    return rounds_to_nearest and _SMALLEST_NORMAL / 2 > 0


@contextmanager
def default_float_mode() -> Iterator[None]:
    """Compute in the default mode, and restore the thread's own mode at the end.

    Other libraries change the mode: `torch.set_flush_denormal(True)`, C's `fesetround`, or a library linked with
    `-ffast-math`. Threads started in the meantime inherit the default. Raises DeviceError if the mode cannot be
    changed.
    """
    if is_default():
        yield
        return
    restore = _set_default()
    try:
        yield
    finally:
        restore()


def _set_default() -> Any:
    """Set the default mode by C's fesetenv; return a function that restores the current one."""
    try:
        import ctypes

        library = ctypes.CDLL(None)
        save, load = library.fegetenv, library.fesetenv
    except (ImportError, OSError, AttributeError):
        raise DeviceError(REFUSED) from None
    present = (ctypes.c_uint64 * 32)()  # an fenv_t, which has at most 32 bytes where Python runs
    save(present)
    load(_default_environment(ctypes, library))
    if not is_default():
        load(present)
        raise DeviceError(REFUSED)
    return lambda: load(present)


def _default_environment(ctypes: Any, library: Any) -> Any:
    """Return C's FE_DFL_ENV: a variable on macOS, BSD and POWER, elsewhere the address -1."""
    for name in ("_FE_DFL_ENV", "__fe_dfl_env"):
        try:
            return ctypes.byref(ctypes.c_byte.in_dll(library, name))
        except ValueError:
            continue
    return ctypes.c_void_p(-1)


REFUSED = (
    "this thread does not use the default floating-point mode, and C's fesetenv is missing; restore that mode first"
)
