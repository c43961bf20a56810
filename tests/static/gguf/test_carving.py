import gzip
import io
import pickle
import struct
import sys
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most

from qaudit.static.gguf.carving import carved, described, is_tar, kind_of_start, zip_at_end


def a_zip(*names: str, comment: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
        archive.comment = comment
    return out.getvalue()


def a_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("GGUF-looking")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    return out.getvalue()


PE = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + bytes(20)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x7fELF\2\1\1" + bytes(20), "an ELF executable or library"),
        (PE, "a Windows executable or library"),
        (b"\xcf\xfa\xed\xfe\7\0\0\1" + bytes(20), "a Mach-O executable or library"),
        (b"\xfe\xed\xfa\xce\0\0\0\x12" + bytes(20), "a Mach-O executable or library"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(20), "a Mach-O for several machines or a Java class"),
        (a_zip("a"), "a zip archive"),
        (gzip.compress(b"text", mtime=0), "a gzip archive"),
        *((pickle.dumps({"a": 1}, protocol=p), "a pickle") for p in (2, 3, 4, 5)),
        (b"cos\nsystem\n(S'true'\ntR.", "a pickle"),
        (b"#!/bin/sh\ntrue\n", "a script"),
        (b"GGUF\3\0\0\0" + bytes(8), "a GGUF file"),
        (b"%PDF-1.7\n", "a PDF"),
        (struct.pack("<Q", 20) + b'{"a":{"dtype":"F32"}}', "a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file"),
    ],
)
def test_files_are_known_by_their_start(data: bytes, what: str) -> None:
    assert kind_of_start(data) == what
    assert next(carved(bytes(40) + data)) == (40 + len(data) - len(data.lstrip(b"\0")), what) or data[0] == 20


@pytest.mark.parametrize(
    "data",
    [b"", b"MZ", b"MZ" + bytes(100), b"\x7fELF\7\7\7", b"\x80", b"\x80\x04", b"PK\3\4", b"GGUF", b"#!", b"GGUFFF\0\0",
     b"\x1f\x8b\0\0", b"continue\n", bytes(100)],
)  # fmt: skip
def test_a_magic_alone_is_not_a_file(data: bytes) -> None:
    assert kind_of_start(data) is None


def test_files_are_found_inside() -> None:
    data = b"noise" * 9 + a_zip("a") + b"more" + b"7z\xbc\xaf\x27\x1c"
    assert [(at, what) for at, what in carved(data)] == [
        (45, "a zip archive"),
        (len(data) - 6, "a 7-Zip archive"),
    ]


def test_a_flood_of_magics_is_bounded() -> None:
    with at_most(2):
        assert list(carved(b"\x7fELF" * 500_000)) == []
        assert len(list(carved(b"7z\xbc\xaf\x27\x1c" * 500_000))) <= 21


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (a_zip("a"), "a zip archive"),
        (b"xyz" + PE.replace(b"MZ", b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive at 3 bytes in"),
        (b"\0\0hello there\0", "text: 'hello there'"),
        (("é" * 5000).encode(), "text: '" + "é" * 80 + "'"),
        (b"\0\x01\xfe\xff", "bytes that begin with 01 fe ff"),
    ],
)
def test_descriptions(data: bytes, told: str) -> None:
    assert described(data) == told


def test_a_zip_is_found_from_the_end_of_a_file() -> None:
    archive = a_zip("__main__.py", "b.txt", comment=b"bye")
    data = bytes(1000) + archive
    found = zip_at_end(data[-500:], len(data))
    assert found is not None
    assert found[1] == 2
    assert data[found[0] : found[0] + 4] == b"PK\1\2"
    assert zip_at_end(data[:-1], len(data) - 1) is None
    assert zip_at_end(b"PK\5\6" * 5000, 20_000) is None
    assert zip_at_end(b"", 0) is None


def test_what_python_takes_for_a_zip_is_told() -> None:
    for names in ((), ("a",), ("a", "b")):
        data = b"GGUF" + bytes(300) + a_zip(*names)
        assert zipfile.is_zipfile(io.BytesIO(data))
        assert zip_at_end(data, len(data)) is not None


def test_tar_headers_by_their_checksum() -> None:
    data = bytearray(a_tar())
    assert is_tar(bytes(data[:512]))
    data[0] ^= 1
    assert not is_tar(bytes(data[:512]))
    assert not is_tar(b"GGUF" + bytes(508))
    assert not is_tar(b"")


@given(st.binary(max_size=2000))
def test_noise_never_breaks_it(data: bytes) -> None:
    assert kind_of_start(data) is None or data
    assert all(0 <= at < len(data) for at, _ in carved(data))
    assert described(data) or sys.maxsize
    assert zip_at_end(data, len(data) + 5) is None or b"PK\5\6" in data
