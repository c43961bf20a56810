"""Programs in tensors, and payloads in encoded text."""

import base64
import gzip
import pickle
import struct
import zlib
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most

from qaudit.static.carried import LONG, begun_file, carried_file, gravest, payloads

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 3, 62, 1) + bytes(40)
PE = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + bytes(20)
CODE = b"import os\nos.listdir('/tmp/brevik')  # harmless"


class Called:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("brevik",))


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (ELF, "ELF"), (PE, "Windows"), (b"\xcf\xfa\xed\xfe" + bytes(28), "Mach-O"), (b"#!/bin/sh\nexit 0\n", "script"),
        (b"PK\x03\x04" + bytes(30), "zip"), (gzip.compress(b"a" * 90), "gzip"), (b"\0" * 8 + ELF, "ELF"),
        *((pickle.dumps(Called(), protocol), "pickle") for protocol in range(1, 6)),
    ],
)  # fmt: skip
def test_files_are_known(head: bytes, what: str) -> None:
    assert what in carried_file(head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0" * 64,
        pickle.dumps([1, 2, 3]),
        b"\x80\x04\x95abcdefghij",
        b"\x89PNG\r\n\x1a\n" + bytes(20),
        b"MZ" + bytes(80),
    ],
)
def test_what_runs_nothing_is_not_told(head: bytes) -> None:
    assert carried_file(head) == ""


@pytest.mark.parametrize(
    "content",
    [
        CODE,
        ELF,
        PE,
        gzip.compress(CODE),
        zlib.compress(CODE * 2),
        pickle.dumps(OrderedDict(a=1)),
        b"see https://brevik.example/path/of/it",
        CODE.decode().encode("utf-16-le"),
    ],
)
@pytest.mark.parametrize(
    "coding",
    [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes, lambda data: data.hex().encode()],
)
def test_payloads_are_decoded(content: bytes, coding: object) -> None:
    text = coding(content).decode()  # type: ignore[operator]
    (found, *_) = list(payloads(f"note: {text}"))
    assert found.what
    assert found.at == len("note: ")
    assert found.what in found.told()


def test_escapes_are_decoded() -> None:
    (found,) = payloads("x = '" + "".join(f"\\x{byte:02x}" for byte in CODE) + "'")
    assert (found.coding, found.what) == ("escapes", "program text")


@pytest.mark.parametrize(
    "text",
    [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        f"789c{'42' * 30}",
        "Some-Model-Name-With-Many-Words-In-It-7B-Instruct-v0.1-GGUF",
        "/home/brevik/models/checkpoints/of-a-long-path/that/goes/on/and/on/model-00001",
        "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8).decode(),
        base64.b64encode(b"plain words and no more than that, in a row").decode(),
        "=" * 90 + "-" * 90,
    ],
)
def test_hashes_names_paths_and_pictures_are_none(text: str) -> None:
    assert list(payloads(text)) == []


def test_a_long_run_is_told_whatever_it_is() -> None:
    (found,) = payloads("Q7" * LONG)
    assert (found.what, found.length) == ("", 2 * LONG)


def test_what_matters_is_told_before_what_is_only_long() -> None:
    first, second = "Q7" * LONG, base64.b64encode(CODE).decode()
    found = gravest(f"{first} and {second}")
    assert found
    assert (found.what, found.at) == ("program text", len(first) + 5)
    assert gravest(first) == next(payloads(first))
    assert gravest("nothing of the kind") is None


@given(st.text(max_size=300), st.binary(max_size=300))
def test_anything_is_judged(text: str, head: bytes) -> None:
    list(payloads(text))
    carried_file(head)


@pytest.mark.parametrize("piece", ["A", "a\n", "-" * 40 + " ", "\\x41", "0f"])
def test_a_look_ends_soon(piece: str) -> None:
    with at_most(1):
        gravest(piece * (1_000_000 // len(piece)))


def test_a_program_that_begins_a_little_later_is_told_with_its_place() -> None:
    shell = b"#!/bin/sh\nexec something\n"
    assert begun_file(shell + bytes(50)) == "a script"
    assert begun_file(b"\x3c" + shell + bytes(50)) == "a script, 1 bytes in"
    assert begun_file(bytes(range(1, 200))) == ""
