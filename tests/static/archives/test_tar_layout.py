import io
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.static.archives.tar_layout import walk_tar
from qaudit.static.pickles.window import Held


def tarred(*members: tuple[str, bytes, dict[str, Any]], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, data, more in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_every_format(form: int) -> None:
    name = "folder/" * 12 + "name" * 20
    data = tarred(
        ("a", b"1" * 700, {}),
        (name, b"2", {}),
        ("l", b"", {"type": tarfile.SYMTYPE, "linkname": "a"}),
        form=form,
    )
    walk = walk_tar(Held(data, "x"))
    assert not walk.faults
    assert [(m.name, m.size, m.kind, m.link) for m in walk.members] == [
        ("a", 700, "file", ""), (name, 1, "file", ""), ("l", 0, "link", "a"),
    ]  # fmt: skip
    assert data[walk.members[1].at : walk.members[1].at + 1] == b"2"


def test_faults() -> None:
    data = tarred(("a", b"1" * 700, {}), ("d", b"", {"type": tarfile.CHRTYPE}))
    assert {f.code for f in walk_tar(Held(data, "x")).faults} == {"device"}
    assert {f.code for f in walk_tar(Held(data + b"\x7fELF", "x")).faults} == {"device", "trailing"}
    assert "broken" in {f.code for f in walk_tar(Held(data[:900], "x")).faults}
    assert "broken" in {f.code for f in walk_tar(Held(b"x" + data[1:], "x")).faults}


@settings(max_examples=200)
@given(st.data())
def test_never_raises(data: st.DataObject) -> None:
    raw = bytearray(tarred(("a" * 150, b"1" * 10, {}), ("b", b"2", {})))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    walk_tar(Held(bytes(raw[: data.draw(st.integers(0, len(raw)))]), "x"))
