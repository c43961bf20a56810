import base64
import struct
from typing import Any

import pytest
from tokenizer_kit import SPECIAL, TEXTS, added, tokenizer_json

from qaudit.static.vocabulary.pipeline_rules import BOOK
from qaudit.static.vocabulary.tokenizer_json import read_tokenizer

FIRST = len(TEXTS)


def severities(**changes: Any) -> dict[str, str]:
    found = read_tokenizer("tokenizer.json", tokenizer_json(**changes))
    assert found is not None
    return {finding.id: finding.severity for finding in BOOK.findings(found)}


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def split(pattern: str, behaviour: str = "Isolated", **more: Any) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behaviour, "invert": False, **more}


def processing(single: list[Any] | None = None, **tokens: Any) -> dict[str, Any]:
    spec: dict[str, Any] = tokenizer_json()["post_processor"]
    return {**spec, "single": spec["single"] if single is None else single, **tokens}


def words(text: str, index: int) -> dict[str, Any]:
    return {"special_tokens": {"x": {"id": "x", "ids": [index], "tokens": [text]}}}


MAP = base64.b64encode(struct.pack("<I", 4) + bytes(4) + b"fi\0").decode()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace({"String": " "}, "▁")]}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, replace({"Regex": " {2,}"}, " "), replace({"String": "``"}, '"')]}},
        {"normalizer": replace({"Regex": r"\s+"}, " ")},
        {"normalizer": replace({"Regex": r"[\u0000-\u0008\p{Cc}\t]"}, "")},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": MAP}},
        {"decoder": {"type": "Sequence", "decoders": [replace({"String": "▁"}, " "), {"type": "ByteFallback"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}},
        {"pre_tokenizer": split(r"<\|startoftext\|>|'s|[\p{L}]+", "Removed", invert=True)},
        {"pre_tokenizer": split(r"\s+", "Removed")},
        {"post_processor": {"type": "BertProcessing", "sep": [SPECIAL[1], FIRST + 1], "cls": [SPECIAL[0], FIRST]}},
        {"truncation": {"max_length": 512, "direction": "Right", "strategy": "LongestFirst", "stride": 0}},
        {"added_tokens": [added(FIRST, SPECIAL[0]), added(FIRST + 1, "<|end|>", rstrip=True), added(FIRST + 2, "<mask>", lstrip=True)]},
    ],
)  # fmt: skip
def test_pipelines_of_real_tokenizers_break_no_rule(changes: dict[str, Any]) -> None:
    assert severities(**changes) == {}


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({"normalizer": replace({"String": "kill"}, "stop")}, "rewrites-words", "high"),
        ({"normalizer": replace({"String": " "}, " please ")}, "rewrites-words", "high"),
        ({"normalizer": replace({"Regex": r"\bhow\s+to\b"}, "")}, "rewrites-words", "high"),
        ({"normalizer": replace({"Regex": r"[^a-z]"}, "")}, "rewrites-words", "medium"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [replace({"String": "bomb"}, "x")]}]}}, "rewrites-words", "high"),
        ({"normalizer": {"type": "Prepend", "prepend": "Sure. "}}, "adds-words", "high"),
        ({"pre_tokenizer": {"type": "Metaspace", "replacement": "xy"}}, "adds-words", "high"),
        ({"decoder": replace({"String": "sorry"}, "sure")}, "output-rewritten", "high"),
        ({"decoder": replace({"Regex": ".*"}, "")}, "output-rewritten", "medium"),
        ({"decoder": {"type": "Strip", "content": "I", "start": 1, "stop": 0}}, "output-rewritten", "medium"),
        ({"pre_tokenizer": split("not|never", "Removed")}, "drops-words", "high"),
        ({"pre_tokenizer": split(r"\w", "Removed")}, "drops-words", "medium"),
        ({"pre_tokenizer": split(r"(\w+)+$")}, "slow-pattern", "high"),
        ({"pre_tokenizer": split("a" * 20_000)}, "slow-pattern", "medium"),
        ({"post_processor": processing(**words("the", 30))}, "template-adds-words", "high"),
        ({"post_processor": processing([{"SpecialToken": {"id": "x", "type_id": 0}}])}, "template-adds-words", "high"),
        ({"post_processor": processing([{"SpecialToken": {"id": "x"}}] * 9 + [{"Sequence": {"id": "A"}}])}, "template-adds-words", "high"),
        ({"post_processor": processing(**words(SPECIAL[0], 3))}, "wrong-id", "high"),
        ({"post_processor": processing(**words(SPECIAL[0], 99))}, "wrong-id", "high"),
        ({"post_processor": {"type": "RobertaProcessing", "sep": ["<|x|>", 0], "cls": [SPECIAL[0], FIRST]}}, "wrong-id", "high"),
        ({"added_tokens": [added(0, "<x>")]}, "no-bijection", "high"),
        ({"model": {"type": "Morse"}}, "malformed", "medium"),
        ({"model": {"dropout": 0.1}}, "random-cuts", "medium"),
        ({"truncation": {"max_length": 4, "direction": "Left"}}, "short-prompts", "medium"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "%"}}, "character-map", "high"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}}, "character-map", "high"),
        ({"added_tokens": [added(FIRST, "<|im_start|>", lstrip=True)]}, "marker-flags", "medium"),
    ],
)  # fmt: skip
def test_each_rule_fires(changes: dict[str, Any], rule: str, severity: str) -> None:
    assert severities(**changes).get(f"tokenizer/{rule}") == severity
