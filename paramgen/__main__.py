"""The entry point: ready for signals before anything is imported that takes time."""

import gc
import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import NoReturn

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """One of SIGNALS came: unwind, cleaning up on the way."""


_received: list[int] = []


def _interrupt(number: int, frame: object) -> NoReturn:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    _received.append(number)
    raise Interrupted


def main() -> None:
    """Run the `paramgen` command and exit with its status."""
    try:
        _guarded()
    except BaseException:  # an interrupted lock or thread may end in an error of its own
        if not _received:
            raise
        sys.exit(128 + _received[0])


def _guarded() -> None:
    try:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)
        _run()
    except OSError as error:  # of --help and the like; commands tell their own
        with suppress(OSError):
            print(f"standard output: {error.strerror or error}", file=sys.stderr)
        os._exit(3)
    finally:
        for number in SIGNALS:  # the work is done; what is left of Python's own is not to be interrupted
            signal.signal(number, signal.SIG_IGN)


def _run() -> None:
    gc.disable()  # nothing here makes garbage in cycles, and large specs are many objects to look through
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for plugins costs a tenth of a tiny build
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 (for the life of the process)
    if sys.stdout is None:
        print("standard output is closed", file=sys.stderr)
        sys.exit(3)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)

    from paramgen.cli import app

    app(prog_name="paramgen")


if __name__ == "__main__":
    main()
