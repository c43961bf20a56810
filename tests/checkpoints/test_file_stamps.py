import os
from pathlib import Path

import pytest

from qaudit.checkpoints.file_stamps import file_stamp, read_stamped, require_stamp
from qaudit.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(100)))
    return path


def test_bytes_are_those_asked_for(path: Path) -> None:
    stamp = file_stamp(path.stat())
    require_stamp(path, stamp)
    assert read_stamped(path, stamp, 10, 5) == bytes([10, 11, 12, 13, 14])
    assert read_stamped(path, stamp, 0, 100) == bytes(range(100))
    assert read_stamped(path, stamp, 100, 0) == b""


def test_more_than_there_is(path: Path) -> None:
    stamp = file_stamp(path.stat())
    with pytest.raises(InputError, match=r"weights\.bin: changed since it was opened"):
        read_stamped(path, stamp, 90, 11)


def test_written_to(path: Path) -> None:
    stamp = file_stamp(path.stat())
    path.write_bytes(bytes(101))
    with pytest.raises(InputError, match="changed since it was opened"):
        require_stamp(path, stamp)
    with pytest.raises(InputError, match="changed since it was opened"):
        read_stamped(path, stamp, 0, 5)


def test_same_size_another_time(path: Path) -> None:
    stamp = file_stamp(path.stat())
    path.write_bytes(bytes(100))
    os.utime(path, ns=(stamp[3] + 1, stamp[3] + 1))
    with pytest.raises(InputError, match="changed"):
        require_stamp(path, stamp)
    with pytest.raises(InputError, match="changed"):
        read_stamped(path, stamp, 0, 5)


def test_replaced_by_a_file_of_the_same_size_and_time(path: Path) -> None:
    stamp = file_stamp(path.stat())
    other = path.with_name("other")
    other.write_bytes(bytes(100))
    os.utime(other, ns=(stamp[3], stamp[3]))
    other.replace(path)
    with pytest.raises(InputError, match="changed"):
        require_stamp(path, stamp)
    with pytest.raises(InputError, match="changed"):
        read_stamped(path, stamp, 0, 5)


def test_removed(path: Path) -> None:
    stamp = file_stamp(path.stat())
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        require_stamp(path, stamp)
    with pytest.raises(InputError, match="cannot be read"):
        read_stamped(path, stamp, 0, 5)


def test_reading_does_not_change_the_stamp(path: Path) -> None:
    stamp = file_stamp(path.stat())
    read_stamped(path, stamp, 0, 100)
    assert file_stamp(path.stat()) == stamp
