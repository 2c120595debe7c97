"""The replacement of files: written and locked under a temporary name, renamed when complete."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from paramgen.errors import FileError, UsageError, describe_os_error
from paramgen.messages import escape
from paramgen.units import human_bytes

FORCE_OPTION = "--force (force=True in Python)"
FOREIGN = "exists and was not written by paramgen, or was changed since"
RESERVATION_SLICE = 2**28
TEMPORARY_NAME = re.compile(r"\.paramgen-[0-9a-f]{12}\.tmp")

# Errors of file systems and kernels without hard links, exchanges, locks, or syncs of folders.
UNSUPPORTED_ERRNOS = {errno.EINVAL, errno.EMLINK, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
RENAME_EXCHANGE = 2
AT_FDCWD = -100


@contextmanager
def replace_atomically(
    target: str, size: int, existing: os.stat_result | None, force: bool, sync: bool
) -> Iterator[tuple[str, int]]:
    """Yield the temporary name and the descriptor of a new file of `size` bytes, which is named `target` on success.

    `existing` is the status of the file that may be replaced, None if there is none. Without `force`, a file that
    appears meanwhile is kept, and UsageError is raised. An error changes nothing. With `sync` the file survives a loss
    of power.
    """
    folder = os.path.dirname(target)
    _remove_abandoned(folder)
    with open_temporary(folder) as (temporary, descriptor):
        if existing is not None:
            os.fchmod(descriptor, stat.S_IMODE(existing.st_mode))
        _reserve(descriptor, folder, size)
        yield temporary, descriptor
        if sync:
            os.fsync(descriptor)
        _publish(temporary, target, existing, force)
    if sync:
        sync_folder(folder)


@contextmanager
def open_temporary(folder: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the descriptor of a new file in a folder; an error removes it, at whatever moment it comes.

    The file is locked until the end, after it may have been renamed: the lock keeps other builds from removing it.
    """
    temporary = os.path.join(folder, f".paramgen-{os.urandom(6).hex()}.tmp")
    descriptor = None
    try:
        while descriptor is None:
            descriptor = _create(temporary)
        yield temporary, descriptor
    except BaseException as error:
        _remove_temporary(temporary, error)
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _create(temporary: str) -> int | None:
    """Create and lock a file; return None if another build removed it before it was locked."""
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        raise OSError(errno.ENOENT, "its folder does not exist; create it first") from None
    if _lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    """Lock a file; return False if another build removed it first.

    On a system without locks nothing is removed, neither this file nor others.
    """
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return os.fstat(descriptor).st_nlink > 0
    return True


def _remove_abandoned(folder: str) -> None:
    """Remove the temporary files of builds that were killed: those that no process has locked."""
    with suppress(OSError), os.scandir(folder) as entries:
        candidates = [entry for entry in entries if TEMPORARY_NAME.fullmatch(entry.name)]
        for path in [entry.path for entry in candidates if entry.is_file(follow_symlinks=False)]:
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _unlink_abandoned(path)
                finally:
                    os.close(descriptor)


def _unlink_abandoned(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        reason = describe_os_error(error)
        warnings.warn(f"{escape(path)}: cannot remove this file of a killed build: {reason}", stacklevel=2)


def _remove_temporary(temporary: str, cause: BaseException) -> None:
    """Remove a temporary file; if that fails, add a note to `cause`, the error that ended the build."""
    try:
        os.unlink(temporary)
    except FileNotFoundError:
        pass
    except OSError as error:
        cause.add_note(f"{escape(temporary)}: cannot remove it: {describe_os_error(error)}; remove it by hand")


def _publish(temporary: str, target: str, existing: os.stat_result | None, force: bool) -> None:
    if force:
        os.rename(temporary, target)
    elif existing is None:
        _link(temporary, target)
    else:
        _exchange(temporary, target, existing)


def _link(temporary: str, target: str) -> None:
    """Give a file a name that no other file has; atomically, if the file system has hard links."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _changed_error(target) from None
    except OSError as error:
        if error.errno not in UNSUPPORTED_ERRNOS:
            raise
        if os.path.lexists(target):
            raise _changed_error(target) from None
        os.rename(temporary, target)
    else:
        os.unlink(temporary)


def _exchange(temporary: str, target: str, existing: os.stat_result) -> None:
    """Replace the file that was there when the build began, and no other.

    If the system can exchange the two names atomically, the replaced file is checked before it is removed.
    """
    try:
        if _identity(os.stat(target)) != _identity(existing):
            raise _changed_error(target)
    except FileNotFoundError:  # another process removed it
        _link(temporary, target)
        return
    try:
        _exchange_names(temporary, target)
    except OSError as error:
        if error.errno not in UNSUPPORTED_ERRNOS:
            raise
        os.rename(temporary, target)
        return
    if _identity(os.stat(temporary)) != _identity(existing):
        _exchange_names(temporary, target)
        raise _changed_error(target)
    os.unlink(temporary)


def _exchange_names(first: str, second: str) -> None:
    rename: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _changed_error(target: str) -> UsageError:
    problem = "another program changed this file during the build"
    return UsageError(f"{escape(target)}: {problem}; build again, or use {FORCE_OPTION}")


def _reserve(descriptor: int, folder: str, size: int) -> None:
    """Check that `size` bytes are free, and reserve them if the system can."""
    free = free_bytes(folder)
    if free is not None and size > free:
        raise FileError(f"{escape(folder)}: needs {human_bytes(size)} of free space, got {human_bytes(free)}")
    if hasattr(os, "posix_fallocate"):
        try:
            # Signals are handled between slices. If the file system cannot reserve, the C library writes every block.
            for start in range(0, size, RESERVATION_SLICE):
                os.posix_fallocate(descriptor, start, min(RESERVATION_SLICE, size - start))
        except OSError as error:
            if error.errno not in UNSUPPORTED_ERRNOS:
                raise


def free_bytes(folder: str) -> int | None:
    """Return the bytes that a new file in a folder may take, None if the system does not report them."""
    try:
        space = os.statvfs(folder)
    except OSError:
        return None
    return space.f_bavail * space.f_frsize


def sync_folder(folder: str) -> None:
    """Sync a folder, so that a new name survives a loss of power; some file systems cannot."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:  # a folder can be writable but not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED_ERRNOS:
            reason = describe_os_error(error)
            effect = "the new file is complete, but a power loss may undo it"
            raise FileError(f"{escape(folder)}: cannot sync it: {reason}; {effect}") from None
    finally:
        os.close(descriptor)
