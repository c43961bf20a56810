"""GGUF files whose structure lies: counts, lengths, types, dimensions, offsets, padding, tails (STATIC 1-18, 26)."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attacks.cases import Attack, Builder, Content, of, one_file, whole_folder, written
from attacks.gguf_builder import (
    ARRAY,
    BOOL,
    STRING,
    U8,
    U32,
    U64,
    GgufBuilder,
    Tensor,
    array,
    split_pairs,
    string,
)
from attacks.honest_models import TEMPLATE, chatting, honest_gguf, honest_tensors, matrix, vector

GGUF_MD = "gguf.md"


def gguf(changed: dict[str, Any] | None = None, *, name: str = "model.gguf", **fields: Any) -> Builder:
    """The honest model with something changed, as one file."""
    return one_file(name, lambda: honest_gguf(changed, **fields).build())


def raw(pairs: bytes, count: int = 1) -> Builder:
    """The honest model with pairs given as bytes after its own."""
    return one_file("model.gguf", lambda: _with_raw(honest_gguf(), pairs, count).build())


def _with_raw(builder: GgufBuilder, pairs: bytes, count: int) -> GgufBuilder:
    builder.raw_pairs, builder.pair_count = pairs, len(builder.pairs) + count
    return builder


def pair(key: str | bytes, kind: int, content: bytes) -> bytes:
    """A pair as bytes."""
    return string(key) + struct.pack("<I", kind) + content


def plus(*tensors: Tensor, **fields: Any) -> Builder:
    """The honest model with tensors after its own."""
    return one_file(
        "model.gguf", lambda: honest_gguf(tensors=[*honest_tensors(), *tensors], **fields).build()
    )


def edited(edit: Callable[[list[Tensor]], None], **fields: Any) -> Builder:
    """The honest model with its tensors edited."""

    def build() -> bytes:
        tensors = honest_tensors()
        edit(tensors)
        return honest_gguf(tensors=tensors, **fields).build()

    return one_file("model.gguf", build)


def bent(edit: Callable[[bytearray], bytes | bytearray]) -> Builder:
    """The honest model's bytes, edited."""
    return one_file("model.gguf", lambda: bytes(edit(bytearray(honest_gguf().build()))))


def little_zip() -> bytes:
    """A zip with one text in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("note.txt", "hidden")
    return out.getvalue()


def tail(content: bytes) -> Builder:
    """The honest model with something after its last tensor."""
    return gguf(tail=content)


def _set(index: int, **fields: Any) -> Callable[[list[Tensor]], None]:
    def edit(tensors: list[Tensor]) -> None:
        for key, value in fields.items():
            setattr(tensors[index], key, value)

    return edit


def _offsets(change: Callable[[list[int]], list[int]]) -> Callable[[list[Tensor]], None]:
    def edit(tensors: list[Tensor]) -> None:
        true, at = [], 0
        for tensor in tensors:
            true.append(at)
            at += len(tensor.data) + -len(tensor.data) % 32
        for tensor, offset in zip(tensors, change(true), strict=True):
            tensor.offset = offset

    return edit


def _padding() -> bytes:
    # a pair of the length that leaves 30 bytes of padding between the tensor table and the data
    for extra in range(32):
        builder = honest_gguf({"general.author": (STRING, "x" * extra)})
        data = bytearray(builder.build())
        at = data.index(builder.tensors[0].data)
        if data[at - 30 : at] == bytes(30):
            data[at - 29 : at - 19] = b"secret pad"
            return bytes(data)
    raise ValueError("no length leaves thirty bytes")


def _tensor_padding() -> bytes:
    small = Tensor("rope_freqs.weight", (3,), 0, struct.pack("<3f", 1, 1, 1))
    data = bytearray(honest_gguf(tensors=[small, *honest_tensors()]).build())
    at = data.index(honest_tensors()[0].data)
    data[at - 12 : at - 2] = b"secret pad"
    return bytes(data)


def _gap() -> bytes:
    tensors = honest_tensors()
    tensors[-2].data += b"payload in a gap that no loader reads".ljust(4096, b"!")
    return honest_gguf(tensors=tensors).build()


def _big_endian() -> bytes:
    name = b"general.architecture"
    head = b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + struct.pack(">Q", len(name)) + name
    head += struct.pack(">IQ", STRING, 5) + b"llama"
    head += struct.pack(">Q", 17) + b"token_embd.weight" + struct.pack(">IQQIQ", 2, 32, 2, 0, 0)
    return head + b"\0" * (-len(head) % 32) + struct.pack(">64f", *range(64))


def _shard(at: int, count: int, **changed: Any) -> bytes:
    tensors = honest_tensors()
    half = len(tensors) // 2
    own = tensors[:half] if at == 0 else tensors[half:]
    builder = honest_gguf(tensors=changed.get("tensors", own))
    if at:
        builder.pairs = builder.pairs[:1]
    builder.pairs += split_pairs(changed.get("number", at), count, changed.get("total", len(tensors)))
    return builder.build()


def _split(**changed: Any) -> Builder:
    return whole_folder(
        lambda: {
            "m-00001-of-00002.gguf": _shard(0, 2, total=changed.get("total", len(honest_tensors()))),
            "m-00002-of-00002.gguf": _shard(1, 2, **changed),
        }
    )


def _lone_shard(folder: Path) -> Path:
    return written(folder / "m-00001-of-00002.gguf", _shard(0, 2))


def _many(count: int, what: Callable[[int], bytes]) -> bytes:
    return b"".join(what(i) for i in range(count))


def _many_tensors(count: int) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, count, 1) + pair("general.architecture", STRING, string("llama"))
    head += _many(count, lambda i: string(f"t.{i}") + struct.pack("<IQIQ", 1, 8, 0, 32 * i))
    return head + b"\0" * (-len(head) % 32) + b"\0" * 32 * count


def _file(name: str, content: Content) -> Builder:
    return one_file(name, content)


def _case(name: str, builder: Builder, rules: str, *sources: str) -> Attack:
    return Attack(name, "gguf", builder, of(*rules.split()), sources)


HUGE, WRAP = 1 << 40, (1 << 64) - 1
# one past the largest product: 2^32 * 2^31 * 2 elements wrap to zero in 64 bits
WRAPPED = (1 << 32, 1 << 31, 2)

ATTACKS = [
    _case("magic-of-something-else", gguf(magic=b"GGUX"), "gguf/bad-magic", "item 1"),
    _case("version-zero", gguf(version=0), "gguf/bad-version", "item 1"),
    _case("version-one", gguf(version=1), "gguf/bad-version", "item 1"),
    _case("version-of-the-future", gguf(version=99), "gguf/bad-version", "item 1"),
    _case("ggml-of-old", _file("model.gguf", b"lmgg" + b"\0" * 200), "gguf/legacy", "item 1"),
    _case("ggjt-of-old", _file("model.bin", b"tjgg\3\0\0\0" + b"\0" * 200), "gguf/legacy", "item 1"),
    _case("empty-gguf", _file("model.gguf", b""), "gguf/truncated", "item 1"),
    _case("header-cut-short", bent(lambda data: data[:18]), "gguf/truncated", "item 1"),
    _case("pairs-cut-short", bent(lambda data: data[:300]), "gguf/truncated", "item 2"),
    _case("data-cut-short", bent(lambda data: data[:-5000]), "gguf/tensor-past-end", "item 15"),
    _case("big-endian", _file("model.gguf", _big_endian), "gguf/big-endian", "item 1"),
    _case("pair-count-huge", gguf(pair_count=HUGE), "gguf/impossible-count", "item 2"),
    _case("pair-count-wraps", gguf(pair_count=WRAP), "gguf/impossible-count", "item 2", "llama.cpp #15711"),
    _case("tensor-count-huge", gguf(tensor_count=HUGE), "gguf/impossible-count", "item 2"),
    _case("tensor-count-wraps", gguf(tensor_count=1 << 61), "gguf/impossible-count", "llama.cpp #15711"),
    _case("string-past-end", raw(string("a.b") + struct.pack("<IQ", STRING, HUGE)), "gguf/impossible-length", "item 3"),
    _case("string-length-wraps", raw(string("a.b") + struct.pack("<IQ", STRING, WRAP)), "gguf/impossible-length", "item 3", "CVE-2024-25664"),
    _case("key-length-wraps", raw(struct.pack("<Q", WRAP) + b"abc"), "gguf/impossible-length", "CVE-2024-25665"),
    _case("array-of-bytes-huge", raw(pair("a.b", ARRAY, array(U8, [], HUGE))), "gguf/impossible-length", "item 3", "llama.cpp #27188"),
    _case("array-of-strings-wraps", raw(pair("a.b", ARRAY, array(STRING, [], 1 << 61))), "gguf/impossible-length", "CVE-2024-25667"),
    _case("array-of-words-wraps", raw(pair("a.b", ARRAY, array(U64, [], 1 << 61))), "gguf/impossible-length", "CVE-2024-25666"),
    _case("value-type-unknown", raw(pair("a.b", 13, b"\0" * 8)), "gguf/unknown-value-type", "item 3"),
    _case("element-type-unknown", raw(pair("a.b", ARRAY, array(99, [], 4) + b"\0" * 8)), "gguf/unknown-value-type", "item 3"),
    _case("array-in-array", raw(pair("a.b", ARRAY, struct.pack("<IQ", ARRAY, 1) + array(U8, [1, 2]))), "gguf/nested-array", "item 4"),
    _case("array-in-array-10000-deep", raw(pair("a.b", ARRAY, struct.pack("<IQ", ARRAY, 1) * 10000 + array(U8, [1]))), "gguf/nested-array", "item 4", "huggingface.js #2028"),
    _case("key-empty", raw(pair("", U8, b"\1")), "gguf/bad-key", "item 5"),
    _case("key-with-capitals-and-blanks", raw(pair("General Name!", U8, b"\1")), "gguf/bad-key", "item 5"),
    _case("key-of-70000-bytes", raw(pair("a" * 70000, U8, b"\1")), "gguf/bad-key", "item 5"),
    _case("key-with-nul-shadows", one_file("model.gguf", lambda: _shadowed()), "gguf/nul-in-key", "item 5"),
    _case("duplicate-key", raw(pair("general.name", STRING, string("Another")) ), "gguf/duplicate-key", "item 6"),
    _case("duplicate-tensor", plus(vector("output_norm.weight", 64)), "gguf/duplicate-tensor", "item 6"),
    _case("duplicate-tensor-after-nul", plus(Tensor(b"output_norm.weight\0x", (64,), 0, b"\0\0\x80\x3f" * 64)), "gguf/bad-tensor-name", "item 6"),
    _case("nul-in-template", gguf({"tokenizer.chat_template": (STRING, TEMPLATE + "\0{{ 'for python only' }}")}), "gguf/nul-in-value", "item 7"),
    _case("bool-of-seven", raw(pair("a.flag", BOOL, b"\7")), "gguf/bad-bool", "item 8"),
    _case("value-not-utf8", raw(pair("general.author", STRING, string(b"\xff\xfe\xfa"))), "gguf/bad-utf8", "item 8"),
    _case("value-with-terminal-escapes", gguf({"general.description": (STRING, "nice\x1b[2J\x1b]0;owned\x07 model")}), "metadata-text/hidden-characters", "item 8"),
    _case("value-with-bidi-override", gguf({"general.name": (STRING, "safe \u202eledom\u202c")}), "metadata-text/hidden-characters", "item 8"),
    _case("value-with-tag-characters", gguf({"general.description": (STRING, "nice" + "".join(chr(0xE0000 + ord(c)) for c in "obey"))}), "metadata-text/hidden-characters", "item 8"),
    _case("tensor-name-empty", plus(vector("", 8)), "gguf/bad-tensor-name", "item 9"),
    _case("tensor-name-of-64-bytes", plus(vector("a" * 64, 8)), "gguf/bad-tensor-name", "item 9"),
    _case("tensor-name-climbs-out", plus(vector("../../../etc/cron.d/x", 8)), "gguf/bad-tensor-name", "item 9"),
    _case("tensor-name-with-escapes", plus(vector("blk\x1b[31m.weight", 8)), "gguf/bad-tensor-name", "item 9"),
    _case("tensor-name-length-wraps", plus(Tensor("x", (8,), 0, b"", name_length=WRAP)), "gguf/impossible-length", "item 9"),
    _case("five-dimensions", plus(Tensor("x.weight", (2, 2, 2, 2, 2), 0, b"\0" * 128)), "gguf/too-many-dimensions", "item 10"),
    _case("nine-dimensions", plus(Tensor("x.weight", (1,) * 9, 0, b"\0" * 32)), "gguf/too-many-dimensions", "gguf-tools #25"),
    _case("dimensions-beyond-file", plus(Tensor("x.weight", (8,), 0, b"", dimensions=1 << 31)), "gguf/too-many-dimensions", "item 10"),
    _case("dimension-zero", plus(Tensor("x.weight", (0, 8), 0, b"")), "gguf/bad-dimension", "item 10"),
    _case("dimension-negative", plus(Tensor("x.weight", (1 << 63, 2), 0, b"")), "gguf/bad-dimension", "item 10"),
    _case("elements-wrap-to-zero", plus(Tensor("x.weight", WRAPPED, 0, b"")), "gguf/size-overflow", "CVE-2025-53630", "CVE-2026-27940"),
    _case("elements-wrap-to-small", plus(Tensor("x.weight", ((1 << 62) + 8, 4), 0, b"\0" * 128)), "gguf/size-overflow", "CVE-2026-33298"),
    _case("bytes-wrap", plus(Tensor("x.weight", (1 << 62,), 28, b"")), "gguf/size-overflow", "item 11"),
    _case("sizes-sum-wraps", plus(Tensor("x.weight", (1 << 60,), 0, b""), Tensor("y.weight", (1 << 60,), 0, b""), Tensor("z.weight", (1 << 60,), 0, b""), Tensor("w.weight", (1 << 60,), 0, b"")), "gguf/tensor-past-end", "CVE-2025-53630"),
    _case("type-unknown", plus(Tensor("x.weight", (256,), 250, b"\0" * 512)), "gguf/unknown-type", "item 12"),
    _case("type-negative", plus(Tensor("x.weight", (256,), WRAP & 0xFFFFFFFF, b"\0" * 512)), "gguf/unknown-type", "item 12"),
    _case("type-removed", plus(Tensor("x.weight", (256,), 4, b"\0" * 512)), "gguf/removed-type", "item 12"),
    _case("type-removed-repacked", plus(Tensor("x.weight", (256,), 31, b"\0" * 512)), "gguf/removed-type", "item 12"),
    _case("type-of-a-fork", plus(Tensor("x.weight", (256,), 137, b"\0" * 96)), "gguf/fork-type", "item 12"),
    _case("type-of-another-fork", plus(Tensor("x.weight", (256,), 142, b"\0" * 96)), "gguf/fork-type", "item 12"),
    _case("rows-not-whole-blocks", plus(Tensor("x.weight", (33, 32), 8, b"\0" * 1122)), "gguf/partial-block", "item 12"),
    _case("alignment-zero", gguf({"general.alignment": (U32, 0)}), "gguf/bad-alignment", "item 13"),
    _case("alignment-of-three", gguf({"general.alignment": (U32, 3)}), "gguf/bad-alignment", "item 13"),
    _case("alignment-of-two-gigabytes", gguf({"general.alignment": (U32, 1 << 31)}), "gguf/bad-alignment", "llama.cpp #24997"),
    _case("alignment-as-text", gguf({"general.alignment": (STRING, "32")}), "gguf/bad-alignment", "item 13"),
    _case("alignment-as-u64", gguf({"general.alignment": (U64, 32)}), "gguf/bad-alignment", "item 13"),
    _case("offset-misaligned", edited(_offsets(lambda true: [*true[:-1], true[-1] - 7])), "gguf/misaligned-offset", "item 14"),
    _case("tensors-overlap", edited(_offsets(lambda true: [*true[:-1], true[-2]])), "gguf/overlapping-tensors", "item 14"),
    _case("tensors-out-of-order", edited(_offsets(lambda true: [true[1], true[0], *true[2:]])), "gguf/overlapping-tensors", "item 14"),
    _case("offset-past-end", edited(_offsets(lambda true: [*true[:-1], 1 << 34])), "gguf/tensor-past-end", "item 15"),
    _case("offset-wraps", edited(_offsets(lambda true: [*true[:-1], (1 << 64) - 32])), "gguf/tensor-past-end", "CVE-2025-53630"),
    _case("q4_k-past-end", plus(Tensor("x.weight", (256, 4096), 12, b"\0" * 144)), "gguf/tensor-past-end", "CVE-2026-7482"),
    _case("f32-past-end", plus(Tensor("x.weight", (256, 4096), 0, b"\0" * 144)), "gguf/tensor-past-end", "CVE-2026-7482"),
    _case("header-padding-not-zero", _file("model.gguf", _padding), "gguf/padding-content", "item 16"),
    _case("tensor-padding-not-zero", _file("model.gguf", _tensor_padding), "gguf/padding-content", "item 16"),
    _case("gap-with-content", _file("model.gguf", _gap), "gguf/gap", "item 16"),
    _case("tail-of-noise", tail(bytes(range(1, 200)) * 40), "gguf/trailing-bytes", "item 16"),
    _case("tail-is-a-zip", tail(little_zip()), "gguf/polyglot", "item 16"),
    _case("tail-is-an-elf", tail(b"\x7fELF\2\1\1" + b"\0" * 57), "gguf/polyglot", "item 16"),
    _case("tail-is-a-pe", tail(b"MZ\x90\0" + b"\0" * 56 + struct.pack("<I", 64) + b"PE\0\0" + b"\0" * 60), "gguf/polyglot", "item 16"),
    _case("tail-is-a-mach-o", tail(b"\xcf\xfa\xed\xfe\x07\0\0\1" + b"\0" * 56), "gguf/polyglot", "item 16"),
    _case("tail-is-a-script", tail(b"#!/bin/sh\ntrue\n"), "gguf/polyglot", "item 16"),
    _case("tail-is-a-pickle", tail(b"\x80\x04\x95\x0f\0\0\0\0\0\0\0cposix\nsystem\n\x8c\x04true\x85R."), "gguf/polyglot", "item 16"),
    _case("tail-is-a-gguf", tail(honest_gguf(tensors=[]).build()), "gguf/polyglot", "item 16"),
    _case("tail-is-a-pdf", tail(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"), "gguf/polyglot", "item 16"),
    _case("tail-is-a-7z", tail(b"7z\xbc\xaf\x27\x1c\0\4" + b"\0" * 40), "gguf/polyglot", "item 16"),
    _case("tail-is-a-gzip", tail(b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"x" * 40), "gguf/polyglot", "item 16"),
    _case("zip-inside-a-gap", _file("model.gguf", lambda: _zip_in_gap()), "gguf/gap", "item 16"),
    _case("pickle-called-gguf", _file("model.gguf", b"\x80\x02cposix\nsystem\nU\x04true\x85R."), "pickle/unsafe-global", "item 17", "CVE-2025-10155"),
    _case("zip-called-gguf", _file("model.gguf", little_zip), "repository/content-differs", "item 17"),
    _case("page-called-gguf", _file("model.gguf", "<!DOCTYPE html><html><body>404</body></html>"), "gguf/bad-magic", "item 17"),
    _case("pairs-too-many", _file("model.gguf", lambda: _with_raw(honest_gguf(), _many(70000, lambda i: pair(f"x.k{i}", U8, b"\1")), 70000).build()), "gguf/too-many", "item 2"),
    _case("tensors-too-many", _file("model.gguf", lambda: _many_tensors(110_000)), "gguf/too-many", "item 2"),
    _case("shard-missing", _lone_shard, "gguf/missing-shard", "item 26"),
    _case("shard-number-repeated", _split(number=0), "gguf/split-disagrees", "item 26"),
    _case("shard-total-lies", _split(total=99), "gguf/split-disagrees", "item 26"),
    _case("shards-share-a-tensor", _split(tensors=honest_tensors()[:3] + honest_tensors()[10:]), "gguf/split-disagrees", "item 26"),
    _case("shard-not-of-the-set", _split(tensors=[matrix("blk.7.attn_q.weight", 64, 64)]), "gguf/split-disagrees", "item 26"),
]  # fmt: skip


def _shadowed() -> bytes:
    builder = chatting()
    builder.pairs.insert(0, (b"tokenizer.chat_template\0x", STRING, "{{ 'what llama.cpp sees' }}"))
    return builder.build()


def _zip_in_gap() -> bytes:
    tensors = honest_tensors()
    tensors[3].data += little_zip().ljust(256, b"\0")
    return honest_gguf(tensors=tensors).build()
