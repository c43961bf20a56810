import os
import subprocess
import sys
from pathlib import Path

import pytest
import qaudit
from qaudit.errors import InputError, LimitExceeded, OutputProblem
from qaudit.files import make_folder, read_bounded, sha256_bytes, sha256_file, write_atomically

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert sha256_bytes(b"") == sha256_file(tmp_path / "a") == EMPTY
    with pytest.raises(InputError, match="cannot be read"):
        sha256_file(tmp_path / "none")


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(tmp_path / "a", 5) == b"12345"
    with pytest.raises(LimitExceeded, match="longer than 4 bytes"):
        read_bounded(tmp_path / "a", 4)
    with pytest.raises(InputError, match="cannot be read"):
        read_bounded(tmp_path, 4)


def test_writing_replaces_whole_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputProblem, match="cannot write"):
        write_atomically(tmp_path / "no" / "a", "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match="cannot make the folder"):
        make_folder(tmp_path / "file" / "sub")
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


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
    environment = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "cannot write (File too large)" in run.stdout
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
