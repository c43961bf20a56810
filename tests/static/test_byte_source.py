import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.errors import InputError
from qaudit.static.byte_source import ByteSource, LocalBytes

DATA = bytes(range(256))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBytes]:
    path = tmp_path_factory.mktemp("bytes") / "a.bin"
    path.write_bytes(DATA)
    with LocalBytes(path) as opened:
        yield opened


@given(st.integers(0, 400), st.integers(-3, 1 << 62))
def test_reading_is_slicing(source: LocalBytes, offset: int, length: int) -> None:
    assert source.read_at(offset, length) == DATA[offset : offset + max(0, length)]


def test_it_is_what_inspectors_ask_for(source: LocalBytes) -> None:
    seam: ByteSource = source
    assert (seam.name, seam.size, seam.local) == ("a.bin", 256, True)


def test_a_name_in_the_download_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with LocalBytes(tmp_path / "a", "deep/inside/a") as source:
        assert source.name == "deep/inside/a"
        assert source.stamp[2] == 1


def test_what_is_replaced_after_opening_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    with LocalBytes(path) as source:
        (tmp_path / "b").write_bytes(b"other")
        os.replace(tmp_path / "b", path)
        assert source.read_at(0, 5) == b"first"


def test_a_file_that_shrinks_is_an_error_and_no_short_answer(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with LocalBytes(path) as source:
        os.truncate(path, 4)
        with pytest.raises(InputError, match="shrank"):
            source.read_at(2, 8)


def test_no_pipe_folder_or_missing_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing", "."):
        with pytest.raises(InputError):
            LocalBytes(tmp_path / name)


def test_closing_lets_go(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    source = LocalBytes(tmp_path / "a")
    source.close()
    with pytest.raises(ValueError, match="closed"):
        source.read_at(0, 1)
