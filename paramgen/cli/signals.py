"""The end of the command by a signal: cleanly at the first one, at once at the second."""

import signal
from typing import NoReturn

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

_received: list[int] = []


class Interrupted(BaseException):
    """A signal asked the command to end: unwind, cleaning up on the way."""


def install() -> None:
    """Handle those of SIGNALS that the process does not ignore."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def received() -> int | None:
    """Return the number of the signal that came, None if none did."""
    return _received[0] if _received else None


def check() -> None:
    """Raise Interrupted if a signal came.

    Python drops an exception that is raised while it runs a weak reference's callback or a finalizer. The signal's own
    can be dropped so, and long work calls this between its parts.
    """
    if _received:
        raise Interrupted


def ignore() -> None:
    """Ignore SIGNALS from now on: the work is done, and Python's own end is not to be interrupted."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: object) -> NoReturn:
    _received.append(number)
    for other in SIGNALS:
        # A terminal that closes sends SIGHUP twice; whoever sends another signal again wants the end at once.
        is_hangup = other == signal.SIGHUP
        signal.signal(other, signal.SIG_IGN if is_hangup else signal.SIG_DFL)
    raise Interrupted
