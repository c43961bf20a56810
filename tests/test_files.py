"""Reading with bounds and writing all or nothing, on files that are odd, endless or in the way."""

import errno
import os
import stat
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

import qaudit
from qaudit.errors import InputError, LimitExceeded, OutputProblem
from qaudit.files import (
    file_written_whole,
    folder_written_whole,
    long_names_refused,
    make_folder,
    open_regular,
    read_bounded,
    sha256_and_size,
    sha256_bytes,
    sha256_file,
    shared_mode,
    write_atomically,
)

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def odd_places(folder: Path) -> list[tuple[Path, str]]:
    (folder / "file").write_text("")
    (folder / "loop").symlink_to("loop")
    return [
        (folder / "none", "No such file"),
        (folder / "file" / "below", "Not a directory"),
        (folder / "loop", "symbolic links"),
        (folder / ("n" * 300), "File name too long"),
        (folder / "a\0b", "null"),
        (folder / "\ud800", "surrogates"),
    ]


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert sha256_bytes(b"") == sha256_file(tmp_path / "a") == EMPTY
    (tmp_path / "b").write_bytes(b"x" * 1_000_000)
    assert sha256_and_size(tmp_path / "b") == (sha256_bytes(b"x" * 1_000_000), 1_000_000)


@pytest.mark.parametrize("read", [sha256_file, open_regular, lambda path: read_bounded(path, 10)])
def test_places_that_cannot_be_read(tmp_path: Path, read) -> None:  # noqa: ANN001
    for path, why in [*odd_places(tmp_path), (tmp_path, "Is a directory")]:
        with pytest.raises(InputError, match=f"cannot be read .*{why}") as caught:
            read(path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("read", [sha256_file, open_regular])
def test_what_may_never_end_is_not_hashed(tmp_path: Path, read) -> None:  # noqa: ANN001
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(InputError, match="is not a regular file"):
            read(path)


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5) == b"12345"
    assert read_bounded(tmp_path / "a", 1 << 40) == b"12345"
    with pytest.raises(LimitExceeded, match="longer than 4 bytes"):
        read_bounded(tmp_path / "a", 4)
    (tmp_path / "empty").write_bytes(b"")
    assert read_bounded(tmp_path / "empty", 0) == b""


def test_a_limit_costs_no_memory_and_a_long_file_is_not_read_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "sparse").write_bytes(b"")
    os.truncate(tmp_path / "sparse", 1 << 36)
    tracemalloc.start()
    read_bounded(tmp_path / "a", 1 << 30)
    with pytest.raises(LimitExceeded):
        read_bounded(tmp_path / "sparse", 1 << 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_device_is_read_up_to_the_limit() -> None:
    with pytest.raises(LimitExceeded, match="longer than 1000 bytes"):
        read_bounded(Path("/dev/zero"), 1000)
    assert read_bounded(Path("/dev/null"), 1000) == b""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_file_that_claims_to_be_empty_is_read() -> None:
    assert b"Name:" in read_bounded(Path("/proc/self/status"), 1 << 16)


def test_a_pipe_is_read_to_its_end_and_one_without_a_writer_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_bounded(tmp_path / "pipe", 10) == b""
    reader, writer = os.pipe()
    text = b"slowly " * 20_000

    def write() -> None:
        with os.fdopen(writer, "wb") as stream:
            stream.write(text)

    thread = threading.Thread(target=write)
    thread.start()
    # what the shell hands over for <(command)
    assert read_bounded(Path(f"/dev/fd/{reader}"), 1 << 20) == text
    thread.join()
    os.close(reader)


def test_writing_replaces_whole_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["a.txt"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_file_written_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")
    with file_written_whole(path) as stream:
        stream.write(b"one ")
        assert path.read_text() == "old"
        stream.write(b"two")
    assert path.read_bytes() == b"one two"
    with pytest.raises(ZeroDivisionError), file_written_whole(path) as stream:
        stream.write(bytes(1 // 0))
    assert path.read_bytes() == b"one two"
    assert names(tmp_path) == ["a.bin"]


def test_long_names_fit(tmp_path: Path) -> None:
    for name in ("n" * 250, "é" * 120):
        write_atomically(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


def test_text_that_utf8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "é\udcff")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\\udcff"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for path, _ in odd_places(tmp_path):
        if path.name in ("none", "loop"):
            continue
        with pytest.raises(OutputProblem, match="cannot write") as caught:
            write_atomically(path, "x")
        assert str(caught.value).isprintable()
    for path in (tmp_path / "no" / "a", tmp_path, Path("/proc/qaudit-report")):
        with pytest.raises(OutputProblem, match="cannot write"):
            write_atomically(path, "x")
    assert names(tmp_path) == ["file", "loop"]


def test_a_pipe_or_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/null")):
        with pytest.raises(OutputProblem, match="is a device or pipe; choose another place"):
            write_atomically(path, "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert names(tmp_path) == ["link", "pipe"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError, OSError(errno.ENOSPC, "No space left")])
def test_a_write_that_is_broken_off_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(_: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((KeyboardInterrupt, MemoryError, OutputProblem)):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from qaudit.errors import OutputProblem
from qaudit.files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), b"x" * 5000)
except OutputProblem as error:
    print(error)
"""


def test_no_space_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    assert "cannot write (File too large)" in run.stdout
    assert run.stdout.count("\n") == 1
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


KILLED = """
import os, sys
from pathlib import Path
from qaudit.files import write_atomically
os.fsync = lambda _: os.kill(os.getpid(), 9)
write_atomically(Path(sys.argv[1]), "new")
"""


def test_kill_9_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    run = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=ENVIRONMENT, check=False)
    assert run.returncode == -9
    assert path.read_text() == "old"


def test_folders(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    for path, _ in odd_places(tmp_path):
        if path.name == "none":
            continue
        with pytest.raises(OutputProblem, match="cannot make the folder") as caught:
            make_folder(path)
        assert str(caught.value).isprintable()
    with pytest.raises(OutputProblem, match="cannot make the folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputProblem, match="cannot make the folder"):
        make_folder(Path("/proc/qaudit"))


def test_a_folder_appears_whole_and_replaces_all(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for text in ("one", "two"):
        with folder_written_whole(target) as filled:
            (filled / text).write_text(text)
            assert not (target / text).exists()
    assert names(target) == ["two"]
    assert names(tmp_path) == ["folder"]
    (tmp_path / "plain").mkdir()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with folder_written_whole(target) as filled:
        (filled / "old").write_text("")
    with pytest.raises(ZeroDivisionError), folder_written_whole(target) as filled:
        (filled / "new").write_text(str(1 // 0))
    with pytest.raises(OutputProblem, match="No space left"), folder_written_whole(target) as filled:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(target) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_places_where_no_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "none" / "x", tmp_path / "file" / "x", tmp_path / "a\0b"):
        with pytest.raises(OutputProblem), folder_written_whole(place):
            pass
    assert names(tmp_path) == ["file"]


def test_a_mode_without_the_bits_of_the_mask(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    assert shared_mode(0o777) == made.stat().st_mode & 0o777
    assert shared_mode(0o000) == 0


def test_only_a_name_that_is_too_long_is_turned_into_a_refusal(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"x…: too long for a name here; check the path"),
        long_names_refused(),
    ):
        (tmp_path / ("x" * 5000)).exists()
    with pytest.raises(InputError, match="a name…: too long"), long_names_refused():
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    with pytest.raises(FileNotFoundError), long_names_refused():
        (tmp_path / "missing").read_bytes()
