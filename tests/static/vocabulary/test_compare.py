from typing import Any

import pytest

from qaudit.static.model_parts import ModelParts, VocabularyView
from qaudit.static.vocabulary.compare import Pair, compare_vocabularies

TOKENS = ["<s>", "</s>", "a", "b", "ab", "▁c", "<0x0A>"]
KINDS = [3, 3, 1, 1, 1, 1, 6]


def parts(**changes: Any) -> ModelParts:
    fields: dict[str, Any] = {
        "tokens": TOKENS,
        "kinds": KINDS,
        "merges": ["a b"],
        "special": {"bos": 0, "eos": 1},
    }
    return ModelParts(
        "m", "", vocabulary=VocabularyView("t.json", "BPE", **{**fields, "pre": "x", **changes})
    )


def severities(candidate: ModelParts, reference: ModelParts) -> dict[str, str]:
    return {finding.id: finding.severity for finding in compare_vocabularies(candidate, reference)}


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        ({}, {}),
        ({"tokens": [*TOKENS, "[PAD7]"], "kinds": [*KINDS, 5]}, {}),
        ({"tokens": [*TOKENS[:5], " c", "\n"], "kinds": [3, 3, 1, 1, 1, 1, 1], "merges": ()}, {}),
        (
            {"tokens": [*TOKENS, "<unused1>"], "kinds": [*KINDS, 1]},
            {"tokens": [*TOKENS, None], "kinds": [*KINDS, 1]},
        ),
        ({"scores": [0.0] * 7}, {"scores": [1e-6] * 7}),
        ({"kinds": ()}, {}),
    ],
)
def test_what_converters_change_is_no_finding(candidate: dict[str, Any], reference: dict[str, Any]) -> None:
    assert severities(parts(**candidate), parts(**reference)) == {}


def test_pieces_of_words_are_marked_where_a_gguf_marks_them() -> None:
    pieces = VocabularyView("t.json", "WordPiece", ["[CLS]", "a", "##b", "ab", ",", "c"])
    header = VocabularyView("m.gguf", "bert", ["[CLS]", "▁a", "b", "▁ab", "▁,", "▁d"])
    assert Pair(pieces, header).changed == Pair(header, pieces).changed == [5]
    other = VocabularyView("m.gguf", "llama", header.tokens)
    assert Pair(pieces, other).changed == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({"tokens": ["<s>", "</s>", "b", "a", *TOKENS[4:]]}, "tokens", "high"),
        ({"tokens": [*TOKENS, "<|x|>"], "kinds": [*KINDS, 3]}, "length", "medium"),
        ({"tokens": [*TOKENS, "bomb"], "kinds": [*KINDS, 4]}, "length", "high"),
        ({"tokens": TOKENS[:5], "kinds": KINDS[:5]}, "length", "medium"),
        ({"kinds": [3, 1, *KINDS[2:]]}, "kinds", "high"),
        ({"kinds": [3, 4, *KINDS[2:]]}, "kinds", "low"),
        ({"merges": ["b a"]}, "merges", "high"),
        ({"merges": ["a b", "b a"]}, "merges", "high"),
        ({"special": {"eos": 2}}, "roles", "high"),
        ({"pre": "y"}, "pipeline", "medium"),
    ],
)
def test_each_rule_fires(changes: dict[str, Any], rule: str, severity: str) -> None:
    assert severities(parts(**changes), parts()).get(f"vocabulary-differs/{rule}") == severity


def test_scores_and_flags() -> None:
    found = severities(parts(scores=[0.0] * 7), parts(scores=[0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]))
    assert found == {"vocabulary-differs/scores": "high"}
    plain, special = {"<s>": (0, frozenset[str]())}, {"<s>": (0, frozenset({"special"}))}
    assert severities(parts(added=plain), parts(added=special)) == {"vocabulary-differs/flags": "medium"}


def test_which_end_token_a_runtime_stops_at_is_a_choice() -> None:
    tokens = ["<|end_of_text|>", "<|eot_id|>"]
    found = severities(
        parts(tokens=tokens, kinds=[3, 3], special={"eos": 0}),
        parts(tokens=tokens, kinds=[3, 3], special={"eos": 1}),
    )
    assert found == {"vocabulary-differs/roles": "low"}


def test_models_without_a_vocabulary_are_not_compared() -> None:
    assert compare_vocabularies(ModelParts("m", ""), parts()) == []
    assert compare_vocabularies(parts(tokens=[]), parts()) == []
