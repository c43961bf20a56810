import struct

import pytest
from attacks.gguf_builder import ARRAY, STRING, U32, GgufBuilder, Tensor, small_model, strings
from gguf_seen import Look


def with_pair(key: str | bytes, kind: int = U32, value: object = 1, *, first: bool = False) -> bytes:
    builder = small_model()
    builder.pairs.insert(0 if first else len(builder.pairs), (key, kind, value))
    return builder.build()


def with_tensor(name: str | bytes) -> bytes:
    builder = small_model()
    builder.tensors.append(Tensor(name, (8,), 0, bytes(32)))
    return builder.build()


@pytest.mark.parametrize(
    ("key", "severity", "told"),
    [
        ("", "high", "an empty key"),
        ("Has Capitals", "low", "lower-case"),
        ("a..b", "low", "lower-case"),
        ("a\x1b[31m", "high", "U+001B"),
        (b"a\xff", "high", "not UTF-8"),
        ("gen\u0435ral.name", "medium", "another script"),
        ("general.\u202ename", "high", "U+202E"),
        ("k" * 65537, "medium", "65537 bytes"),
    ],
)
def test_bad_keys(look: Look, key: str | bytes, severity: str, told: str) -> None:
    seen = look(with_pair(key))
    assert seen.grave == {"gguf/bad-key": severity}
    assert told in seen.evidence("bad-key")


@pytest.mark.parametrize(
    "key",
    [
        "gpt-oss.block_count",
        "general.base_model.0.name",
        "tokenizer.chat_template.Tool_Use",
        "quantize.imatrix.file",
    ],
)
def test_keys_of_real_files_are_fine(look: Look, key: str) -> None:
    assert look(with_pair(key)).findings == []


def test_a_nul_lets_a_key_stand_for_another(look: Look) -> None:
    seen = look(with_pair(b"general.architecture\0x", STRING, "other", first=True))
    assert seen.grave == {"gguf/nul-in-key": "high"}
    assert "stands for general.architecture, which is there too" in seen.evidence("nul-in-key")


def test_duplicate_keys(look: Look) -> None:
    seen = look(with_pair("general.architecture", STRING, "llama"))
    assert seen.grave == {"gguf/duplicate-key": "high"}
    assert "with the same value" in seen.evidence("duplicate-key")
    assert "with another value" in look(with_pair("general.architecture", STRING, "x")).evidence(
        "duplicate-key"
    )
    twice = small_model()
    twice.pairs += [("a.list", ARRAY, strings(["x"])), ("a.list", ARRAY, strings(["y"]))]
    assert "with another value" in look(twice.build()).evidence("duplicate-key")


def test_nul_in_texts(look: Look) -> None:
    seen = look(with_pair("general.name", STRING, "seen\0hidden"))
    assert seen.grave == {"gguf/nul-in-value": "high"}
    assert "4 of 11 bytes; hidden: hidden" in seen.evidence("nul-in-value")
    seen = look(with_pair("general.tags", ARRAY, strings(["fine", "a\0b", "x" * 300])))
    assert seen.grave == {"gguf/nul-in-value": "medium"}
    assert "general.tags[1]" in seen.evidence("nul-in-value")
    assert look(with_pair("general.tags", ARRAY, strings(["", "x" * 300]))).findings == []


def test_texts_that_are_not_utf8(look: Look) -> None:
    assert look(with_pair("general.name", STRING, b"\xff\xfe")).grave == {"gguf/bad-utf8": "medium"}
    assert look(with_pair("general.name", STRING, "café")).findings == []


@pytest.mark.parametrize(
    ("name", "severity", "told"),
    [
        ("", "medium", "empty"),
        ("a" * 64, "medium", "64 bytes"),
        (b"fine\0x", "high", "ggml reads fine"),
        ("../../etc/passwd", "high", "leads out"),
        ("/etc/passwd", "high", "leads out"),
        ("a\\b", "high", "leads out"),
        ("C:/x", "high", "leads out"),
        ("a/b", "low", "slash"),
        ("a\x07", "high", "U+0007"),
        (b"\xc3(", "high", "not UTF-8"),
        ("blk.0.\u0430ttn", "medium", "ASCII"),
        ("t" * 65540, "medium", "65540 bytes"),
    ],
)
def test_bad_tensor_names(look: Look, name: str | bytes, severity: str, told: str) -> None:
    seen = look(with_tensor(name))
    assert seen.grave["gguf/bad-tensor-name"] == severity
    assert told in seen.evidence("bad-tensor-name")


@pytest.mark.parametrize("name", ["a" * 63, "v.blk.0.attn_q.weight", "blk.0.ffn_down_exps.weight", "A-b_c.d"])
def test_names_of_real_tensors_are_fine(look: Look, name: str) -> None:
    assert look(with_tensor(name)).findings == []


def test_duplicate_tensors(look: Look) -> None:
    assert look(with_tensor("output_norm.weight")).grave == {"gguf/duplicate-tensor": "high"}
    assert "gguf/duplicate-tensor" in look(with_tensor(b"output_norm.weight\0")).grave


def test_a_thousand_bad_names_are_told_in_twenty_places(look: Look) -> None:
    data = GgufBuilder(tensors=[Tensor(f"/{i}", (8,), 0, bytes(32)) for i in range(1000)]).build()
    seen = look(data)
    assert len([f for f in seen.findings if f.id == "gguf/bad-tensor-name"]) == 20
    assert struct.unpack_from("<Q", data, 8) == (1000,)
