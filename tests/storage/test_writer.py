"""Writing files: each appears whole or not at all, and nothing else is left behind."""

import errno
import fcntl
import mmap
import os
import re
import select
import stat
import subprocess
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import Golden

from paramgen.errors import FileError, UsageError
from paramgen.storage import replacement, writer
from paramgen.storage.sink import Write

OURS = b"a file of ours"


def output(path: Path, size: int, force: bool = False) -> AbstractContextManager[Write]:
    return writer.open_output(str(path), size, force=force, may_replace=lambda path: Path(path).read_bytes() == OURS)


def write(path: Path, data: bytes = b"abc", size: int | None = None, force: bool = False) -> None:
    with output(path, len(data) if size is None else size, force) as put:
        put(memoryview(data))


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"abc"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["new"]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(OURS)
    path.chmod(0o604)
    write(path)
    assert path.read_bytes() == b"abc"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_other_files_need_force(tmp_path: Path, golden: Golden) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"text")
    with pytest.raises(UsageError) as caught:
        write(path)
    assert path.read_bytes() == b"text"
    write(path, force=True)
    assert path.read_bytes() == b"abc"
    assert os.listdir(tmp_path) == ["other"]
    golden(caught.value)


def test_symbolic_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    (tmp_path / "folder" / "real").write_bytes(OURS)
    link.symlink_to("folder/real")
    dangling.symlink_to("folder/fresh")
    write(link)
    write(dangling, b"new")
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert sorted(os.listdir(tmp_path / "folder")) == ["fresh", "real"]
    assert (tmp_path / "folder" / "real").read_bytes() == b"abc"
    assert (tmp_path / "folder" / "fresh").read_bytes() == b"new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failure_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "old"
    path.write_bytes(OURS)
    with pytest.raises(error), output(path, 100) as put:
        put(memoryview(b"half"))
        raise error
    assert path.read_bytes() == OURS
    assert os.listdir(tmp_path) == ["old"]


def refuse(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "fchmod", "pwrite", "link", "rename"])
def test_errors_of_the_system_are_reported_and_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, golden: Golden
) -> None:
    monkeypatch.setattr(os, call, refuse)
    target = tmp_path / ("new" if call == "link" else "x")
    (tmp_path / "x").write_bytes(OURS)
    with pytest.raises(FileError) as caught:
        write(target, force=call == "rename")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == OURS
    golden(caught.value)


def test_a_temporary_file_that_cannot_be_removed_is_reported_beside_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    def keep(path: str) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with pytest.raises(FileError) as caught, output(tmp_path / "x", 3):
        monkeypatch.setattr(os, "unlink", keep)
        refuse()
    (note,) = caught.value.__notes__
    assert note.startswith(str(tmp_path / ".paramgen-"))
    golden(caught.value, re.sub(r"[0-9a-f]{12}", "<random>", note))


def test_a_reason_without_an_error_number_is_one_short_line(tmp_path: Path, golden: Golden) -> None:
    with pytest.raises(FileError) as caught, output(tmp_path / "x", 3):
        raise OSError("first line\n\x1b[31msecond line" + 300 * "!")
    assert os.listdir(tmp_path) == []
    golden(caught.value)


@pytest.mark.parametrize("call", ["statvfs", "posix_fallocate", "fcntl.flock"])
def test_calls_that_only_tune_never_fail_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def missing(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl if call == "fcntl.flock" else os, call.rpartition(".")[2], missing)
    data = write_blocks(tmp_path / "x", writer.DIRECT_BYTES + 40, 2**20)
    assert (tmp_path / "x").read_bytes() == data
    assert os.listdir(tmp_path) == ["x"]


def test_a_file_that_appears_during_a_build_is_kept(tmp_path: Path, golden: Golden) -> None:
    with pytest.raises(UsageError) as caught, output(tmp_path / "x", 3) as put:
        put(memoryview(b"abc"))
        (tmp_path / "x").write_bytes(b"theirs")
    assert (tmp_path / "x").read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["x"]
    golden(caught.value)


def test_a_file_that_changes_during_a_build_is_kept(tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "x").write_bytes(OURS)
    with pytest.raises(UsageError) as caught, output(tmp_path / "x", 3) as put:
        put(memoryview(b"abc"))
        (tmp_path / "x").write_bytes(b"theirs")
    assert (tmp_path / "x").read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["x"]
    golden(caught.value)


def test_a_file_that_changes_between_the_check_and_the_replacement_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    """Change the file in the window in which only the exchange of names shows which file is replaced."""
    exchange = replacement._exchange_names

    def late(first: str, second: str) -> None:
        if Path(second).read_bytes() == OURS:
            (tmp_path / "theirs").write_bytes(b"theirs")
            os.rename(tmp_path / "theirs", second)
        exchange(first, second)

    (tmp_path / "x").write_bytes(OURS)
    try:
        exchange(str(tmp_path / "x"), str(tmp_path / "x"))
    except OSError:
        pytest.skip("this system or file system cannot exchange names")
    monkeypatch.setattr(replacement, "_exchange_names", late)
    with pytest.raises(UsageError) as caught:
        write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["x"]
    golden(caught.value)


@pytest.mark.parametrize("was_there", [False, True])
def test_file_systems_without_links_and_exchanges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_there: bool, golden: Golden
) -> None:
    def missing(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", missing)
    monkeypatch.setattr(replacement, "_exchange_names", missing)
    if was_there:
        (tmp_path / "x").write_bytes(OURS)
    write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc"
    with pytest.raises(UsageError) as caught, output(tmp_path / "y", 3):
        (tmp_path / "y").write_bytes(b"theirs")
    assert sorted(os.listdir(tmp_path)) == ["x", "y"]
    golden(caught.value)


def test_files_of_killed_builds_are_removed(tmp_path: Path) -> None:
    """Keep the files that other builds are writing, and other files with similar names."""
    (tmp_path / ".paramgen-0123456789ab.tmp").write_bytes(bytes(1000))
    (tmp_path / ".paramgen-notes.tmp").write_bytes(b"mine")
    (tmp_path / ".paramgen-ba9876543210.tmp").mkdir()
    with output(tmp_path / "x", 3) as slow:
        slow(memoryview(b"abc"))
        write(tmp_path / "y")
    left = {".paramgen-notes.tmp", ".paramgen-ba9876543210.tmp", "x", "y"}
    assert set(os.listdir(tmp_path)) == left


def test_a_temporary_file_removed_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []

    def remove(descriptor: int, operation: int) -> None:
        if not removed:
            (temporary,) = tmp_path.iterdir()
            temporary.unlink()
            removed.append(temporary)

    monkeypatch.setattr(fcntl, "flock", remove)
    write(tmp_path / "x")
    assert removed
    assert os.listdir(tmp_path) == ["x"]


def test_a_file_of_a_killed_build_that_cannot_be_removed_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    (tmp_path / ".paramgen-0123456789ab.tmp").write_bytes(bytes(1000))
    real = os.unlink

    def keep(path: str) -> None:
        if "0123456789ab" in path:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        real(path)

    monkeypatch.setattr(os, "unlink", keep)
    with pytest.warns(UserWarning) as warned:  # noqa: PT030 (golden compares the text)
        write(tmp_path / "x")
    golden(*(warning.message for warning in warned))
    assert (tmp_path / "x").read_bytes() == b"abc"


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_a_folder_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, golden: Golden
) -> None:
    """Report a failure, but ignore a file system without this call; the file is whole in either case."""
    real = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    if code == errno.EIO:
        with pytest.raises(FileError) as caught:
            write(tmp_path / "x")
        golden(caught.value)
    else:
        write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("name", sorted(writer.STDOUT_NAMES))
def test_the_names_of_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with (tmp_path / "out").open("wb") as file:
        file.write(b"before ")
        file.flush()
        monkeypatch.setattr(writer.sys, "stdout", file)
        write(Path(name))
    assert (tmp_path / "out").read_bytes() == b"before abc"


def test_free_space_is_checked_first(tmp_path: Path, golden: Golden) -> None:
    with (
        pytest.raises(FileError) as caught,
        output(tmp_path / "x", 2**63 - 1),
    ):
        pytest.fail("nothing is to be written")
    assert os.listdir(tmp_path) == []
    assert "9223 PB" in str(caught.value)
    golden(re.sub(r"[\d.]+ [kMGTP]?B\b", "<size>", str(caught.value)))


reserves = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system has no posix_fallocate")


@reserves
def test_the_space_is_reserved(tmp_path: Path) -> None:
    with output(tmp_path / "x", 10_000) as put:
        (temporary,) = tmp_path.iterdir()
        assert temporary.stat().st_size == 10_000
        assert temporary.name.startswith(".paramgen-")
        put(memoryview(bytes(10_000)))


@reserves
@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_file_systems_that_cannot_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(code, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc"


@reserves
def test_reservation_refused_for_lack_of_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(FileError) as caught:
        write(tmp_path / "x")
    assert os.listdir(tmp_path) == []
    golden(caught.value)


@pytest.mark.parametrize("path", ["none/x", ".", "f/x"])
def test_invalid_targets_are_refused(tmp_path: Path, path: str, golden: Golden) -> None:
    (tmp_path / "f").write_bytes(OURS)
    with pytest.raises(FileError) as caught:
        write(tmp_path / path)
    assert os.listdir(tmp_path) == ["f"]
    golden(caught.value)


def test_a_pipe_is_written_in_order_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    data = bytes(range(256)) * 1000  # more than a pipe holds: written in parts
    write(path, data)
    reader.join(10)
    assert read == [data]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_nonblocking_pipe_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    data = bytes(range(256)) * 4000
    read = bytearray()

    def drain() -> None:
        while len(read) < len(data):
            select.select([reader], [], [])
            read.extend(os.read(reader, 100_000))

    thread = threading.Thread(target=drain)
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    thread.start()
    writer._StreamWriter(descriptor)(memoryview(data))
    thread.join(20)
    os.close(descriptor)
    os.close(reader)
    assert read == data


def test_a_device_is_written_and_kept() -> None:
    write(Path(os.devnull))
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_full_device(tmp_path: Path, golden: Golden) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    with pytest.raises(FileError) as caught:
        write(Path("/dev/full"))
    golden(caught.value)


def test_a_small_file_system(tmp_path: Path) -> None:
    """Test a real lack of space, if this machine permits a mount."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        with pytest.raises(FileError) as caught:
            write(tmp_path / "x", bytes(100_000))
        assert str(caught.value).startswith(f"{tmp_path}: ") and "100 kB" in str(caught.value)
        write(tmp_path / "y", bytes(10_000))
        assert os.listdir(tmp_path) == ["y"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def write_blocks(path: Path, size: int, block: int) -> bytes:
    """Write a file as builds do: from one aligned buffer, in blocks, the last one shorter; return its bytes."""
    data = np.random.default_rng(0).bytes(size)
    buffer = mmap.mmap(-1, block)
    with output(path, size) as put:
        for start in range(0, size, block):
            part = data[start : start + block]
            buffer[: len(part)] = part
            put(memoryview(buffer)[: len(part)])
    return data


def is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0))


@pytest.mark.parametrize("beyond", [-1, 0, 1, 8, 4095, 4096, 4104, 2**20 + 24])
def test_large_files_of_any_size(tmp_path: Path, beyond: int) -> None:
    data = write_blocks(tmp_path / "x", writer.DIRECT_BYTES + beyond, 2**20)
    assert (tmp_path / "x").read_bytes() == data


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="this system has no O_DIRECT")
@pytest.mark.parametrize("size", [5000, writer.DIRECT_BYTES + 40])
def test_large_files_go_past_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    ways = []

    def pwrite(descriptor: int, data: memoryview, offset: int, original: Any = os.pwrite) -> int:
        ways.append(is_direct(descriptor))
        return original(descriptor, data, offset)  # type: ignore[no-any-return]

    with (tmp_path / "try").open("wb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETFL, os.O_DIRECT)
        except OSError:
            pytest.skip("this file system has no direct writes")
    monkeypatch.setattr(os, "pwrite", pwrite)
    write_blocks(tmp_path / "x", size, 2**22)
    assert ways == ([False] if size < writer.DIRECT_BYTES else [True] * 4 + [False])


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EFAULT], ids=["file system", "memory"])
def test_file_systems_that_refuse_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def pwrite(descriptor: int, data: memoryview, offset: int, original: Any = os.pwrite) -> int:
        if is_direct(descriptor) and offset:
            raise OSError(code, os.strerror(code))
        return original(descriptor, data, offset)  # type: ignore[no-any-return]

    monkeypatch.setattr(os, "pwrite", pwrite)
    assert write_blocks(tmp_path / "x", writer.DIRECT_BYTES + 40, 2**20) == (tmp_path / "x").read_bytes()


@pytest.mark.parametrize("most", [999, 4096, 5000])
def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    def pwrite(descriptor: int, data: memoryview, offset: int, original: Any = os.pwrite) -> int:
        if is_direct(descriptor):
            return original(descriptor, data[: max(4096, most // 4096 * 4096)], offset)  # type: ignore[no-any-return]
        return original(descriptor, data[: most + offset // 100], offset)  # type: ignore[no-any-return]

    monkeypatch.setattr(os, "pwrite", pwrite)
    assert write_blocks(tmp_path / "x", writer.DIRECT_BYTES + 40, 2**20) == (tmp_path / "x").read_bytes()


def test_a_signal_while_the_file_is_created_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int, operation: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, "flock", interrupt)
    with (
        pytest.raises(KeyboardInterrupt),
        writer.open_output(str(tmp_path / "x"), 8, force=False, may_replace=lambda path: False),
    ):
        pass
    assert os.listdir(tmp_path) == []
