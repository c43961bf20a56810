import io
import pickle
import struct
import zipfile

import pytest
from attacks.gguf_builder import ARRAY, I8, STRING, U8, GgufBuilder, Tensor, array, small_model
from gguf_seen import Look


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__main__.py", "print('hello')")
    return out.getvalue()


def padded(content: bytes) -> bytes:
    data = bytearray(
        GgufBuilder(tensors=[Tensor("a", (5,), 0, b"\1" * 20), Tensor("b", (8,), 0, b"\2" * 32)]).build()
    )
    at = data.rindex(b"\1") + 1
    data[at : at + len(content)] = content
    return bytes(data)


def gap(content: bytes) -> bytes:
    return GgufBuilder(
        tensors=[Tensor("a", (8,), 0, b"\1" * 32 + content), Tensor("b", (8,), 0, b"\2" * 32)]
    ).build()


@pytest.mark.parametrize(
    ("data", "grave", "rule", "told"),
    [
        (padded(b"secret"), {"padding-content": "medium"}, "padding-content", "after a: text: 'secret'"),
        (padded(b"#!/bin/sh\nx"), {"padding-content": "high", "polyglot": "high"}, "polyglot", "a script, in padding"),
        (gap(bytes(64)), {"gap": "medium"}, "gap", "64 bytes after a, all zero"),
        (gap(b"payload".ljust(64)), {"gap": "high"}, "gap", "text: 'payload"),
        (gap(bytes(32) + b"\x7fELF\2\1\1" + bytes(60)), {"gap": "high", "polyglot": "high"}, "polyglot", "ELF"),
        (small_model().build() + bytes(100), {"trailing-bytes": "low"}, "trailing-bytes", "100 bytes, all zero"),
        (small_model().build() + b"\xfe" * 9, {"trailing-bytes": "high"}, "trailing-bytes", "begin with fe fe"),
        (small_model().build() + a_zip(), {"trailing-bytes": "high", "polyglot": "high"}, "polyglot", "with 1 files"),
        (small_model().build() + pickle.dumps([1]), {"trailing-bytes": "high", "polyglot": "high"}, "polyglot", "a pickle, in trailing"),
    ],
)  # fmt: skip
def test_bytes_outside_of_tensors(
    look: Look, data: bytes, grave: dict[str, str], rule: str, told: str
) -> None:
    seen = look(data)
    assert seen.grave == {f"gguf/{name}": severity for name, severity in grave.items()}
    assert told in seen.evidence(rule)


def test_padding_in_many_places_is_grave_together(look: Look) -> None:
    tensors = [Tensor(f"t{i}", (5,), 0, b"\1" * 20) for i in range(8)]
    data = GgufBuilder(tensors=tensors).build().replace(b"\1" * 20 + bytes(12), b"\1" * 20 + b"twelve bytes")
    seen = look(data)
    assert set(seen.grave.values()) == {"high"}
    assert len(seen.findings) == 8


def test_a_zip_may_end_inside_a_tensor(look: Look) -> None:
    archive = bytes(-len(a_zip()) % 4) + a_zip()
    data = GgufBuilder(tensors=[Tensor("a", (len(archive) // 4,), 0, archive)], alignment=1).build()
    assert zipfile.is_zipfile(io.BytesIO(data))
    assert "with 1 files" in look(data).evidence("polyglot")


def test_files_that_begin_as_something_else_too(look: Look) -> None:
    builder = small_model()
    builder.pairs.insert(0, ("general.description", STRING, "%PDF-1.7\n1 0 obj"))
    assert "a PDF begins here" in look(builder.build()).evidence("polyglot")
    builder = small_model()
    builder.tensors[0].data = bytes(40_000)
    data = bytearray(builder.build())
    data[32769:32774] = b"CD001"
    assert "disc image" in look(bytes(data)).evidence("polyglot")


def test_a_tar_header_hides_in_the_first_strings(look: Look) -> None:
    builder = small_model()
    builder.pairs.insert(0, ("general.description", STRING, "x" * 600))
    data = bytearray(builder.build())
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % (sum(data[:512]))
    assert "tar header" in look(bytes(data)).evidence("polyglot")


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (STRING, b"\x7fELF\2\1\1" + bytes(100), "107 bytes: an ELF"),
        (ARRAY, array(U8, []) [:4] + struct.pack("<Q", 100) + (b"PK\3\4" + bytes(96)), "100 bytes: a zip"),
        (ARRAY, struct.pack("<IQ", I8, 100) + (b"\x7fELF\2\1\1" + bytes(93)), "100 bytes: an ELF"),
        (STRING, b"\x80\x04\x95" + bytes(100), "a pickle"),
    ],
)  # fmt: skip
def test_values_that_are_files(look: Look, kind: int, value: bytes, told: str) -> None:
    builder = small_model()
    builder.pairs.append(("general.blob", kind, value))
    seen = look(builder.build())
    assert seen.grave["gguf/embedded-file"] == "high"
    assert told in seen.evidence("embedded-file")


def test_a_charsmap_is_no_file(look: Look) -> None:
    builder = small_model()
    charsmap = bytes(range(256)) * 4
    builder.pairs.append(
        ("tokenizer.ggml.precompiled_charsmap", ARRAY, struct.pack("<IQ", U8, 1024) + charsmap)
    )
    builder.pairs.append(("general.description", STRING, "import the model. " * 20))
    assert look(builder.build()).findings == []
