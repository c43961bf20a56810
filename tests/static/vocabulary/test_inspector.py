from collections.abc import Callable
from typing import Any

from tokenizer_kit import SPECIAL, TEXTS, added

from qaudit.static.model_parts import Examined

Look = Callable[..., Examined]


def test_an_honest_folder_gives_parts_and_no_finding(inspected: Look) -> None:
    examined = inspected({"tokenizer_config.json": {"eos_token": SPECIAL[2]}})
    assert examined.findings == []
    assert examined.parts is not None
    assert examined.parts.vocabulary is not None
    assert examined.parts.vocabulary.special == {"eos": len(TEXTS) + 2}
    assert {surface.state for surface in examined.surfaces} == {"examined"}


def test_rules_on_tokens_pipeline_and_agreement_are_applied(inspected: Look) -> None:
    first = len(TEXTS)
    changes: dict[str, Any] = {
        "added_tokens": [added(first, "sorry")],
        "normalizer": {"type": "Replace", "pattern": {"String": "bomb"}, "content": "x"},
        "post_processor": None,
    }
    examined = inspected({"added_tokens.json": {"<x>": 0}}, **changes)
    assert {finding.id for finding in examined.findings} >= {
        "special-token/word-as-control", "tokenizer/rewrites-words", "tokenizer-files/id-differs",
    }  # fmt: skip


def test_the_embedding_rows_come_from_the_models_config(inspected: Look) -> None:
    examined = inspected({"config.json": {"vocab_size": 5}})
    assert any(finding.id == "vocabulary/embedding-rows" for finding in examined.findings)


def test_a_tokenizer_that_is_no_json_is_told(inspected: Look) -> None:
    examined = inspected({"tokenizer.json": b"\xff{"})
    assert examined.surfaces[0].state == "skipped"
    assert any(finding.id == "tokenizer-files/malformed" for finding in examined.findings)
