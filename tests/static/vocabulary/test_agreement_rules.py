import struct
from collections.abc import Callable
from typing import Any

import pytest
from tokenizer_kit import MERGES, SPECIAL, TEXTS, added, piece_model, tokenizer_json

from qaudit.static.model_parts import Examined

Look = Callable[..., Examined]
FIRST = len(TEXTS)
VOCABULARY = {text: index for index, text in enumerate(TEXTS)}
PIECES = [(text, 0.0, 1) for text in TEXTS]
FLAGS = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}


def severities(examined: Examined) -> dict[str, str]:
    return {f.id: f.severity for f in examined.findings if f.id.startswith("tokenizer-files/")}


@pytest.mark.parametrize(
    "files",
    [
        {},
        {
            "tokenizer_config.json": {
                "bos_token": SPECIAL[0], "eos_token": {"content": SPECIAL[2], "special": True},
                "added_tokens_decoder": {str(FIRST): {"content": SPECIAL[0], "special": True, **FLAGS}},
                "additional_special_tokens": [SPECIAL[1]], "model_max_length": 4096,
            },
            "special_tokens_map.json": {"eos_token": SPECIAL[2]},
            "added_tokens.json": {SPECIAL[1]: FIRST + 1},
            "vocab.json": VOCABULARY,
            "merges.txt": "#version: 0.2\n" + "\n".join(MERGES) + "\n",
            "tokenizer.model": piece_model(PIECES),
        },
        # the same pieces under other numbers, as XLM-R has them
        {"tokenizer.model": piece_model([("<unk>", 0.0, 2), *PIECES])},
    ],
)  # fmt: skip
def test_files_that_agree_break_no_rule(inspected: Look, files: dict[str, Any]) -> None:
    assert severities(inspected(files)) == {}


@pytest.mark.parametrize(
    ("files", "rule", "severity"),
    [
        ({"tokenizer.json": '{"model": {"vocab": {}}, "model": {"vocab": {}}}'}, "duplicate-key", "high"),
        ({"special_tokens_map.json": "{"}, "malformed", "medium"),
        ({"special_tokens_map.json": '{"a": NaN}'}, "malformed", "medium"),
        ({"tokenizer.model": b"\xff" * 100}, "malformed", "medium"),
        ({"tokenizer.model": piece_model(PIECES)[:-20] + b"\x0a\xff\xff\x7f"}, "malformed", "medium"),
        ({"added_tokens.json": {"<x>": 0}}, "id-differs", "high"),
        ({"tokenizer_config.json": {"added_tokens_decoder": {"3": {"content": "<x>"}}}}, "id-differs", "high"),
        ({"vocab.json": {**VOCABULARY, "q": 0, "a": 16}}, "id-differs", "high"),
        ({"added_tokens.json": {SPECIAL[1]: 900}}, "id-elsewhere", "medium"),
        ({"merges.txt": "\n".join(MERGES[::-1])}, "merges-differ", "high"),
        ({"merges.txt": "\n".join(MERGES[:3])}, "merges-differ", "medium"),
        ({"tokenizer.model": piece_model([("kill", 0.0, 1), *PIECES[1:]])}, "pieces-differ", "medium"),
        ({"tokenizer.model": piece_model([(f"x{n}", 0.0, 1) for n in range(40)])}, "pieces-differ", "medium"),
        ({"tokenizer_config.json": {"eos_token": SPECIAL[1]}, "special_tokens_map.json": {"eos_token": SPECIAL[2]}}, "role-differs", "low"),
        ({"tokenizer_config.json": {"eos_token": "<nowhere>"}}, "role-without-token", "low"),
        ({"tokenizer_config.json": {"pad_token": "sorry"}}, "role-is-a-word", "high"),
        ({"special_tokens_map.json": {"additional_special_tokens": ["cannot"]}}, "role-is-a-word", "high"),
        ({"tokenizer_config.json": {"added_tokens_decoder": {str(FIRST): {"content": SPECIAL[0], "special": False}}}}, "flags-differ", "medium"),
        ({"tokenizer.model": piece_model(PIECES, struct.pack("<I", 1 << 30) + bytes(8))}, "piece-normalizer", "high"),
    ],
)  # fmt: skip
def test_each_rule_fires(inspected: Look, files: dict[str, Any], rule: str, severity: str) -> None:
    assert severities(inspected(files)).get(f"tokenizer-files/{rule}") == severity


def test_an_added_tokens_list_that_disagrees_with_itself(inspected: Look) -> None:
    examined = inspected(added_tokens=[added(FIRST, SPECIAL[0]), added(FIRST, SPECIAL[1])])
    assert any(finding.id == "tokenizer/no-bijection" for finding in examined.findings)
    assert tokenizer_json()
