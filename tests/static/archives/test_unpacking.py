import bz2
import gzip
import io
import lzma
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.static.archives.unpacking import can_unpack, unpack_member, unpack_stream
from qaudit.static.archives.zip_layout import walk_zip
from qaudit.static.pickles.window import Held

DATA = bytes(range(256)) * 1000
STREAMS = {
    "gzip": gzip.compress(DATA, mtime=0), "zlib": zlib.compress(DATA), "bzip2": bz2.compress(DATA), "xz": lzma.compress(DATA),
    "lzma": lzma.compress(DATA, lzma.FORMAT_ALONE),
}  # fmt: skip


@pytest.mark.parametrize("form", STREAMS)
def test_streams(form: str) -> None:
    source = Held(STREAMS[form], "x")
    whole = unpack_stream(source, form, 1 << 20)
    assert (whole.data, whole.complete, whole.problem) == (DATA, True, "")
    part = unpack_stream(source, form, 1000)
    assert (part.data, part.complete) == (DATA[:1000], False)
    assert can_unpack(form)


@pytest.mark.parametrize("form", STREAMS)
def test_broken_streams_give_what_came_before(form: str) -> None:
    cut = unpack_stream(Held(STREAMS[form][:-20], "x"), form, 1 << 20)
    assert cut.problem
    assert not cut.complete
    assert unpack_stream(Held(b"\xff" * 50, "x"), form, 100).problem


def test_others_are_named() -> None:
    assert "zstd" in unpack_stream(Held(b"", "x"), "zstd", 10).problem
    assert not can_unpack("7z")


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_members(method: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a", DATA)
    source = Held(stream.getvalue(), "x")
    member = walk_zip(source).members[0]
    whole = unpack_member(source, member, 1 << 20)
    assert whole.data == DATA
    assert whole.crc == member.crc == zlib.crc32(DATA)
    assert unpack_member(source, member, 100).data == DATA[:100]


@settings(max_examples=100)
@given(st.sampled_from(sorted(STREAMS)), st.data())
def test_never_raises(form: str, data: st.DataObject) -> None:
    raw = bytearray(STREAMS[form][:600])
    for _ in range(4):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert len(unpack_stream(Held(bytes(raw), "x"), form, 5000).data) <= 5000
