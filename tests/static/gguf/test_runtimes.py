import struct
from pathlib import Path

import gguf
import pytest
from attacks.gguf_builder import ARRAY, BOOL, U8, U32, U64, GgufBuilder, Tensor, small_model, string
from gguf_seen import Look

from qaudit.static.gguf.runtimes import CANDLE, GGUF_PY, LLAMA_CPP, OLLAMA, RUNTIMES, refusals


def duplicated() -> bytes:
    builder = small_model()
    builder.pairs.append(builder.pairs[0])
    return builder.build()


def with_pair(key: str, kind: int, content: bytes) -> bytes:
    builder = small_model()
    builder.raw_pairs = string(key) + struct.pack("<I", kind) + content
    builder.pair_count = len(builder.pairs) + 1
    return builder.build()


def aligned(kind: int, value: object) -> bytes:
    builder = small_model()
    builder.pairs.append(("general.alignment", kind, value))
    return builder.build()


def plus(*tensors: Tensor) -> bytes:
    builder = small_model()
    builder.tensors += tensors
    return builder.build()


CASES = [
    (small_model().build(), set()),
    (GgufBuilder(version=4).build(), {LLAMA_CPP, GGUF_PY, CANDLE}),
    (b"FUGG" + small_model().build()[4:], {LLAMA_CPP, GGUF_PY}),
    (duplicated(), {LLAMA_CPP, GGUF_PY}),
    (with_pair("", U8, b"\1"), {LLAMA_CPP}),
    (with_pair("a", BOOL, b"\3"), {CANDLE}),
    (with_pair("a", ARRAY, struct.pack("<IQIQB", ARRAY, 1, U8, 1, 1)), {LLAMA_CPP, OLLAMA}),
    (aligned(U32, 24), {LLAMA_CPP, GGUF_PY}),
    (aligned(U64, 32), {LLAMA_CPP, GGUF_PY}),
    (aligned(U32, 0), set(RUNTIMES)),
    (plus(Tensor("a" * 70, (8,), 0, bytes(32))), {LLAMA_CPP}),
    (plus(Tensor("a", (8,), 0, bytes(64)), Tensor("b", (8,), 0, bytes(32))), {LLAMA_CPP}),
    (plus(Tensor("a", (1,) * 5, 0, bytes(4))), {LLAMA_CPP}),
    (plus(Tensor("a", (256,), 137, bytes(96))), set(RUNTIMES)),
    (plus(Tensor("a", (1 << 30,), 0, bytes(96))), set(RUNTIMES)),
    (small_model().build()[:100], set(RUNTIMES)),
]


@pytest.mark.parametrize(("data", "refusing"), CASES)
def test_who_refuses(look: Look, data: bytes, refusing: set[str]) -> None:
    seen = look(data)
    assert set(refusals(seen.subject)) == refusing
    told = seen.evidence("parser-differential")
    assert bool(told) == (0 < len(refusing) < len(RUNTIMES))
    assert all(f"{name} refuses it" in told for name in refusing if told)


@pytest.mark.parametrize("number", [0, 1, 3, 7, 9, 11, 12])
def test_gguf_py_does_what_is_said_of_it(look: Look, tmp_path: Path, number: int) -> None:
    data = CASES[number][0]
    expected = GGUF_PY in refusals(look(data).subject)
    path = tmp_path / "tried.gguf"
    path.write_bytes(data)
    try:
        gguf.GGUFReader(path)
    except (ValueError, KeyError, IndexError, TypeError, AssertionError):
        assert expected
    else:
        assert not expected


def test_version_one_and_big_endian(look: Look) -> None:
    assert set(refusals(look(b"GGUF" + struct.pack("<III", 1, 0, 0)).subject)) == {LLAMA_CPP, GGUF_PY, OLLAMA}
    assert set(refusals(look(b"GGUF" + struct.pack(">IQQ", 3, 0, 0)).subject)) == {LLAMA_CPP, CANDLE}
