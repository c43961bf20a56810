"""Small honest tokenizer files, of which tests change one part."""

import json
import struct
from pathlib import Path
from typing import Any

LETTERS = [chr(97 + i) for i in range(26)] + ["Ġ"]
MERGES = ["t h", "th e", "Ġ the", "i s", "Ġ is"]
SPECIAL = ["<|begin_of_text|>", "<|im_start|>", "<|im_end|>"]
TEXTS = [*LETTERS, *(merge.replace(" ", "") for merge in MERGES)]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def added(index: int, content: str, **flags: bool) -> dict[str, Any]:
    """An entry of added_tokens."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": index, "content": content, **plain, **flags}


def tokenizer_json(**changes: Any) -> dict[str, Any]:
    """A tokenizer.json of a byte-level BPE; `model` is merged into the model, other names replace a part."""
    first = len(TEXTS)
    cut = {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    spec: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(first + n, text) for n, text in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, level]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": SPECIAL[0], "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {SPECIAL[0]: {"id": SPECIAL[0], "ids": [first], "tokens": [SPECIAL[0]]}},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "byte_fallback": False,
            "vocab": {text: index for index, text in enumerate(TEXTS)}, "merges": list(MERGES),
        },
    }  # fmt: skip
    model = changes.pop("model", {})
    spec.update(changes)
    if isinstance(model, dict):
        spec["model"] = {**spec["model"], **model}
    return spec


def write_json(path: Path, content: Any) -> Path:
    """Write bytes and text as they are, everything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")
    return path


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def piece(text: str, score: float = 0.0, kind: int = 1) -> bytes:
    """A SentencePiece entry."""
    body = message(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score)
    return message(1, body + (varint(3 << 3) + varint(kind) if kind != 1 else b""))


def piece_model(pieces: list[tuple[str, float, int]], charsmap: bytes = b"", eos: int = 2) -> bytes:
    """A tokenizer.model."""
    out = b"".join(piece(*entry) for entry in pieces)
    out += message(2, varint(42 << 3) + varint(eos))
    return out + message(3, message(1, b"identity") + (message(2, charsmap) if charsmap else b""))
