from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.static.configs.lenient_json import Document
from qaudit.static.metadata.generation_rules import BOOK, Generation, numbers

TOKENS = ["<s>", "</s>", "<pad>", "Ġsorry", "ĠI", "Ġcannot", "Ġyes", "Ġhello", "!", "<|im_start|>"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def severities(
    tokens: list[str] | None = None, config: dict[str, Any] | None = None, **settings: Any
) -> dict[str, str]:
    generation = Generation(
        "generation_config.json", Document(value=settings), settings, TOKENS if tokens is None else tokens,
        frozenset({1}), config or {},
    )  # fmt: skip
    return {finding.id: finding.severity for finding in BOOK.findings(generation)}


@pytest.mark.parametrize(
    "settings",
    [
        {"eos_token_id": [1, 2], "pad_token_id": 2, "bos_token_id": 0, "temperature": 0.7, "top_k": 20, "max_new_tokens": 2048},
        {"forced_eos_token_id": 1, "no_repeat_ngram_size": 3, "num_beams": 4, "early_stopping": True, "min_length": 56},
        {"is_multilingual": True, "suppress_tokens": [3, 4, 5], "begin_suppress_tokens": [1], "forced_decoder_ids": [[1, 2]]},
        {"bad_words_ids": [[2]]},
        {"stop_strings": ["<|im_end|>"], "chat_format": "chatml", "cache_implementation": "hybrid"},
        {"pad_token_id": -1},
    ],
)  # fmt: skip
def test_settings_of_real_models_break_no_rule(settings: dict[str, Any]) -> None:
    assert severities(**settings) == {}


@pytest.mark.parametrize(
    ("settings", "rule", "severity"),
    [
        ({"suppress_tokens": [1]}, "end-suppressed", "high"),
        ({"bad_words_ids": [[1]]}, "end-suppressed", "high"),
        ({"begin_suppress_tokens": [1]}, "end-suppressed", "low"),
        ({"min_new_tokens": 100_000}, "end-suppressed", "medium"),
        ({"eos_token_id": 1 << 30}, "end-out-of-range", "high"),
        ({"eos_token_id": -1}, "end-out-of-range", "high"),
        ({"eos_token_id": "x"}, "end-out-of-range", "medium"),
        ({"bos_token_id": 999}, "end-out-of-range", "low"),
        ({"eos_token_id": [1, 3]}, "end-is-a-word", "high"),
        ({"eos_token_id": 2}, "end-differs", "low"),
        ({"eos_token_id": []}, "end-missing", "low"),
        ({"suppress_tokens": [3]}, "words-suppressed", "high"),
        ({"bad_words_ids": [[4, 5]]}, "words-suppressed", "high"),
        ({"begin_suppress_tokens": [7]}, "words-suppressed", "medium"),
        ({"sequence_bias": [[[3], -100.0]]}, "words-suppressed", "high"),
        ({"sequence_bias": {"x": 1}}, "words-suppressed", "medium"),
        ({"forced_bos_token_id": 6}, "words-forced", "high"),
        ({"forced_decoder_ids": [[1, 6]]}, "words-forced", "high"),
        ({"stop_strings": ["I cannot"]}, "stops-at-words", "high"),
        ({"stop_strings": ["User:"]}, "stops-at-words", "low"),
        ({"stop_strings": [5]}, "stops-at-words", "medium"),
        ({"temperature": 90.0}, "out-of-range", "medium"),
        ({"max_new_tokens": 0}, "out-of-range", "medium"),
        ({"max_new_tokens": 1 << 40}, "out-of-range", "medium"),
        ({"watermarking_config": {"bias": 2.0}}, "watermark", "low"),
        ({"custom_generate": "owner/repo"}, "loads-code", "high"),
        ({"trust_remote_code": True}, "loads-code", "high"),
        ({"chat_format": "chat\u200bml"}, "hidden-characters", "high"),
    ],
)
def test_each_rule_fires(settings: dict[str, Any], rule: str, severity: str) -> None:
    assert severities(**settings).get(f"generation/{rule}") == severity


def test_without_a_tokenizer_suppressed_ids_need_a_person() -> None:
    assert severities(tokens=[], suppress_tokens=[44]) == {"generation/words-suppressed": "medium"}


def test_a_key_that_is_there_twice() -> None:
    document = Document(value={}, duplicates=["eos_token_id"])
    found = BOOK.findings(Generation("g.json", document, {}))
    assert [(finding.id, finding.severity) for finding in found] == [("generation/malformed", "high")]


@given(st.dictionaries(st.sampled_from(["eos_token_id", "suppress_tokens", "bad_words_ids", "sequence_bias",
    "forced_decoder_ids", "stop_strings", "temperature", "top_k", "max_length", "min_length", "pad_token_id"]), JSON))  # fmt: skip
def test_any_settings_are_judged(settings: dict[str, Any]) -> None:
    severities(**settings)


def test_numbers_of_lists_within_lists() -> None:
    assert numbers([1, [2, [3]], True, "4", 5.0]) == [1, 2, 3]
    assert numbers(None) == []
