"""Signals: the first ends the command cleanly, the second at once."""

import signal
from typing import NoReturn

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

_received: list[int] = []


class Interrupted(BaseException):
    """A signal that asked the command to end, raised to unwind and clean up."""


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

    Python drops an exception that is raised in a weak reference's callback or a finalizer, and so it may drop the
    signal's own. Long work calls this between its parts.
    """
    if _received:
        raise Interrupted


def ignore() -> None:
    """Ignore SIGNALS from now on, so that nothing interrupts Python's exit after the work is done."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: object) -> NoReturn:
    _received.append(number)
    for handled in SIGNALS:
        # A terminal that closes sends SIGHUP twice. A second signal of another kind ends the process at once.
        is_hangup = handled == signal.SIGHUP
        signal.signal(handled, signal.SIG_IGN if is_hangup else signal.SIG_DFL)
    raise Interrupted
