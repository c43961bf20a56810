import gzip
import io
import pickle
import tarfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.kinds import content_of, is_tar_header, is_zlib, kind_of, suffix_of

TEXT = b"some words\n"


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("model.gguf", b"GGUF\x03\0\0\0", "gguf"),
        ("model.gguf", pickle.dumps([1]), "pickle"),
        ("model.gguf", b"what is this", "gguf"),
        ("weights.safetensors", (16).to_bytes(8, "little") + b'{"a": 1}', "safetensors"),
        ("model.safetensors", b"PK\x03\x04", "zip"),
        ("x.bin", b"\x7fELF", "native"),
        ("x.bin", b"cos\nsystem\n(S'id'\ntR.", "pickle"),
        ("notes.txt", b"cos\nsystem\n(S'id'\ntR.", "pickle"),
        # values of protocol 0 before the first import
        ("m.dat", b"(dp0\nS'a'\np1\ncposix\nsystem\n(S'id'\ntRs.", "pickle"),
        ("m.dat", b"(lp0\nI7\nVb\np1\ncos\nsystem\n(tR.", "pickle"),
        ("words.txt", b"(less\ncode\nabc\n.", "text"),
        ("notes.txt", b"const x\nfor it\n", "text"),
        ("x.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "lfs-pointer"),
        ("x.tar", _tar()[:512], "archive"),
        ("x.unknown", _tar()[:512], "archive"),
        ("x.joblib", zlib.compress(b"abc"), "archive"),
        ("x.gz", gzip.compress(b"abc", mtime=0), "archive"),
        ("a/chat_template.jinja", TEXT, "template"),
        ("chat_template.json", b"{}", "template"),
        ("config.json", b"{}", "config"),
        ("tokenizer_config.json", b"{}", "tokenizer"),
        ("Modelfile", b"FROM x", "modelfile"),
        ("run", b"#!/bin/sh\n", "script"),
        ("run", b"#!/usr/bin/env python3\n", "python"),
        ("setup.py", b"import os", "python"),
        ("a.ipynb", b"{}", "notebook"),
        ("README.md", TEXT, "readme"),
        ("Dockerfile", b"FROM x", "script"),
        ("lib.so", b"", "native"),
        ("LICENSE", TEXT, "text"),
        ("whatever", "käse".encode(), "text"),
        ("whatever", b"\x00\x01\x02", "other"),
        ("picture.png", b"\x89PNG\r\n\x1a\n", "other"),
        ("a.npy", b"\x93NUMPY\x01\x00", "pickle"),
    ],
)
def test_kind_by_content_then_name(name: str, head: bytes, kind: str) -> None:
    assert kind_of(name, head) == kind


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol(protocol: int) -> None:
    assert kind_of("model.bin", pickle.dumps(np.float64, protocol)) == "pickle"


def test_numbers_are_not_taken_for_signatures() -> None:
    random = np.random.default_rng(0)
    heads = random.integers(0, 256, (20_000, 64), dtype=np.uint8)
    taken = [content_of(bytes(head)) for head in heads]
    assert sum(what is not None and what != "pickle" for what in taken) == 0
    # two bytes say pickle: who walks it finds out
    assert sum(what == "pickle" for what in taken) < 5


def test_tar_needs_its_checksum() -> None:
    block = bytearray(_tar()[:512])
    assert is_tar_header(bytes(block))
    block[0] ^= 1
    assert not is_tar_header(bytes(block))


def test_zlib_by_name_only() -> None:
    assert is_zlib("x.pkl", zlib.compress(b"a"))
    assert not is_zlib("x.txt", zlib.compress(b"a"))


def test_suffix() -> None:
    assert [suffix_of(name) for name in ("a/b.TXT", ".hidden", "a.b/c", "x.tar.gz")] == [
        ".txt",
        "",
        "",
        ".gz",
    ]


@given(st.text(max_size=30), st.binary(max_size=600))
def test_never_raises(name: str, head: bytes) -> None:
    kind_of(name, head)
