import errno
import os
import stat
from pathlib import Path

import pytest

from qaudit.attest import private_copy
from qaudit.attest.private_copy import Copying, copy_privately
from qaudit.errors import InputError, OutputProblem, VerificationFailed

DATA = os.urandom(3 << 20) + b"end"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def copy(source: Path, target: Path) -> bytes:
    copy_privately([Copying(source, target)], target.parent)
    return target.read_bytes()


def test_copies_bytes_and_makes_folders_for_the_owner_only(source: Path, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    target = tmp_path / "p" / "a" / "b"
    copy_privately([Copying(source, target), Copying(source, tmp_path / "p" / "c")], tmp_path / "p")
    assert target.read_bytes() == (tmp_path / "p" / "c").read_bytes() == DATA
    assert stat.S_IMODE(target.stat().st_mode) == 0o400
    assert stat.S_IMODE(target.parent.stat().st_mode) & 0o077 == 0
    assert target.stat().st_ino != source.stat().st_ino


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "e").touch()
    assert copy(tmp_path / "e", tmp_path / "copy") == b""


def test_another_disk_or_kernel_copies_through_memory(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuses)
    assert copy(source, tmp_path / "copy") == DATA
    monkeypatch.delattr(os, "copy_file_range")
    assert copy(source, tmp_path / "again") == DATA


def test_what_is_written_to_the_original_later_is_not_in_the_copy(source: Path, tmp_path: Path) -> None:
    with source.open("r+b") as held_open:
        assert copy(source, tmp_path / "copy") == DATA
        held_open.write(b"evil")
    assert source.read_bytes() != DATA
    assert (tmp_path / "copy").read_bytes() == DATA


def test_links_pipes_and_missing_files_are_not_copied(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(VerificationFailed, match=f"{name}: was replaced"):
            copy(tmp_path / name, tmp_path / "copy")
    with pytest.raises(InputError, match="none: cannot be read"):
        copy(tmp_path / "none", tmp_path / "copy")


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    with pytest.raises(OutputProblem, match="there: cannot copy"):
        copy(source, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "x"


def test_a_file_larger_than_the_disk_is_refused_before_a_byte_is_copied(tmp_path: Path) -> None:
    hole = tmp_path / "hole"
    with hole.open("wb") as stream:
        stream.truncate(1 << 43)  # takes no space, and its copy would take it all
    with pytest.raises(OutputProblem, match=f"needs {1 << 43}"):
        copy(hole, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_file_that_grows_for_ever_is_copied_as_long_as_it_was(source: Path, tmp_path: Path) -> None:
    # the size is that at the opening: what is appended while it is copied is not asked for
    target = os.open(tmp_path / "copy", os.O_WRONLY | os.O_CREAT)
    with source.open("rb") as stream:
        private_copy._copied(stream.fileno(), target, 1000)
    os.close(target)
    assert (tmp_path / "copy").read_bytes() == DATA[:1000]


def test_errors_are_told_with_the_names_of_the_originals() -> None:
    error = InputError("/srv/c/m: not as signed: m/a; see /srv/c/m/.qaudit/x, '/srv/c' and /srv/cc", 3)
    private_copy.name_originals(error, {Path("/srv/c/m"): r"hf://o/r\1", Path("/srv/c"): "there"})
    assert error.args[0] == (r"hf://o/r\1: not as signed: m/a; see hf://o/r\1/.qaudit/x, 'there' and /srv/cc")


def test_a_private_folder_is_made_where_nobody_can_put_another_in_its_place(tmp_path: Path) -> None:
    made = private_copy.private_folder("p-", tmp_path)
    assert made.parent == tmp_path
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    private_copy.private_folder("p-", None).rmdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(OutputProblem, match="everybody may write there"):
        private_copy.private_folder("p-", shared)
    shared.chmod(0o1777)  # as /tmp is: only a folder's owner renames it
    assert private_copy.private_folder("p-", shared).parent == shared
    own, other = os.getgid(), 54321
    shared.chmod(0o775)
    if os.geteuid() == 0:  # others may not give a folder away
        os.chown(shared, -1, other)
        with pytest.raises(OutputProblem, match="its group may write there"):
            private_copy.private_folder("p-", shared)
        shared.chmod(0o1775)
        assert private_copy.private_folder("p-", shared).parent == shared
        shared.chmod(0o775)
        os.chown(shared, -1, own)
        # root's own group holds root alone
        assert private_copy.private_folder("p-", shared).parent == shared
    with pytest.raises(OutputProblem, match="none: cannot make a folder"):
        private_copy.private_folder("p-", tmp_path / "none")
