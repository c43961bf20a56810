import struct

import pytest
from attacks.gguf_builder import (
    ARRAY,
    BOOL,
    I32,
    STRING,
    U8,
    U32,
    U64,
    GgufBuilder,
    Tensor,
    small_model,
    string,
)
from gguf_seen import Look

from qaudit.static.gguf.header_rules import is_legacy


def with_raw(pairs: bytes, count: int = 1) -> bytes:
    builder = small_model()
    builder.raw_pairs, builder.pair_count = pairs, len(builder.pairs) + count
    return builder.build()


def pair(key: str, kind: int, content: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + content


def aligned(kind: int, value: object) -> bytes:
    builder = small_model()
    builder.pairs.append(("general.alignment", kind, value))
    return builder.build()


def test_an_honest_file_breaks_no_rule(look: Look) -> None:
    assert look(small_model().build()).findings == []


@pytest.mark.parametrize(
    ("data", "rule", "severity", "told"),
    [
        (b"PK\3\4" + bytes(60), "bad-magic", "high", "it is a zip archive"),
        (b"nonsense" * 9, "bad-magic", "high", "begins with b'nonsense'"),
        (b"FUGG" + small_model().build()[4:], "bad-magic", "high", "GGUF backwards"),
        (b"tjgg\3\0\0\0" + bytes(60), "legacy", "medium", "a GGJT file"),
        (GgufBuilder(version=7).build(), "bad-version", "high", "version 7"),
        (b"GGUF" + struct.pack("<III", 1, 0, 0), "bad-version", "medium", "November 2023"),
        (small_model().build()[:200], "truncated", "high", "remain for all of them"),
        (GgufBuilder(pair_count=1 << 60).build(), "impossible-count", "critical", "keys declared"),
        (GgufBuilder(tensor_count=1 << 60).build(), "impossible-count", "critical", "tensors declared"),
        (with_raw(pair("a", STRING, struct.pack("<Q", 1 << 50))), "impossible-length", "critical", "the value of a claims"),
        (with_raw(pair("a", ARRAY, struct.pack("<IQ", U64, 1 << 61))), "impossible-length", "critical", "elements of 8"),
        (with_raw(pair("a", 200, b"1234")), "unknown-value-type", "high", "unknown type 200"),
        (with_raw(pair("a", ARRAY, struct.pack("<IQIQB", ARRAY, 1, U8, 1, 3))), "nested-array", "medium", "1 arrays"),
        (with_raw(pair("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 99)), "nested-array", "high", "deeper than"),
        (with_raw(pair("a", BOOL, b"\7")), "bad-bool", "medium", "stored as 7"),
        (aligned(U32, 0), "bad-alignment", "critical", "is 0"),
        (aligned(U32, 48), "bad-alignment", "high", "no power of two"),
        (aligned(U32, 1 << 21), "bad-alignment", "high", "over 1048576"),
        (aligned(I32, 32), "bad-alignment", "high", "type i32"),
        (aligned(STRING, "32"), "bad-alignment", "high", "type string"),
        (aligned(U32, 4), "bad-alignment", "low", "no multiple of 8"),
    ],
)  # fmt: skip
def test_each_rule(look: Look, data: bytes, rule: str, severity: str, told: str) -> None:
    seen = look(data)
    assert seen.grave[f"gguf/{rule}"] == severity
    assert told in seen.evidence(rule)


@pytest.mark.parametrize("alignment", [8, 32, 64, 4096])
def test_usual_alignments_are_fine(look: Look, alignment: int) -> None:
    builder = small_model()
    builder.pairs.append(("general.alignment", U32, alignment))
    builder.alignment = alignment
    assert look(builder.build()).findings == []


def test_big_endian_is_low_and_read(look: Look) -> None:
    head = b"GGUF" + struct.pack(">IQQ", 3, 0, 1) + struct.pack(">Q", 3) + b"a.n" + struct.pack(">II", U32, 5)
    seen = look(head)
    assert seen.grave == {"gguf/big-endian": "low"}
    assert "llama.cpp" in seen.evidence("parser-differential")


def test_limits(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    from qaudit.static.gguf import walking

    monkeypatch.setattr(walking, "MAX_STRING", 8)
    assert look(with_raw(pair("a.b", STRING, string("x" * 40)))).grave["gguf/over-limit"] == "medium"
    monkeypatch.setattr(walking, "MAX_TENSORS", 2)
    seen = look(GgufBuilder(tensors=[Tensor(str(i)) for i in range(3)]).build())
    assert seen.grave == {"gguf/too-many": "medium", "gguf/over-limit": "medium"}


def test_legacy_is_told_apart(look: Look) -> None:
    assert is_legacy(look(b"lmgg" + bytes(40)).subject)
    assert not is_legacy(look(b"GGUF" + bytes(40)).subject)
