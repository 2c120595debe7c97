"""The entry point. It handles signals before it imports anything that takes time."""

import signal
import sys

from paramgen import UNSUPPORTED_PLATFORM

if UNSUPPORTED_PLATFORM:
    print(UNSUPPORTED_PLATFORM, file=sys.stderr)
    sys.exit(3)

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # before main() handles SIGINT, Python would print a traceback

import gc
import os
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from paramgen.cli import signals
from paramgen.errors import describe_os_error

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


def main() -> None:
    """Run the `paramgen` command and exit with its status."""
    try:
        _run_guarded()
    except BaseException as error:  # an interrupted lock or thread may raise an error of its own
        number = signals.received()
        if number is None:
            raise
        for note in getattr(error, "__notes__", ()):
            print(note, file=sys.stderr)
        sys.exit(128 + number)


def _run_guarded() -> None:
    try:
        signals.install()
        _run()
    except OSError as error:  # of standard output itself; commands report their own
        with suppress(OSError):
            print(f"standard output: {describe_os_error(error)}", file=sys.stderr)
        os._exit(3)
    finally:
        signals.ignore()


def _run() -> None:
    gc.disable()  # nothing here makes garbage in cycles, and scanning the objects of large specs takes long
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # searching for plugins takes a tenth of a tiny build
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 (for the life of the process)
    if sys.stdout is None:
        print("standard output is closed", file=sys.stderr)
        sys.exit(3)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    sys.unraisablehook = _report_unraisable
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)

    from paramgen.cli.commands import run

    sys.exit(run())


def _report_unraisable(unraisable: "UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, signals.Interrupted):
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    main()
