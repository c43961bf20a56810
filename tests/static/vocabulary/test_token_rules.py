import math
from collections.abc import Callable
from typing import Any

import pytest
from processor_time import at_most

from qaudit.static.vocabulary.token_rules import BOOK
from qaudit.static.vocabulary.tokens import BYTE, CONTROL, NORMAL, Vocabulary

Make = Callable[..., Vocabulary]
HONEST = (("<s>", CONTROL), ("</s>", CONTROL), ("a", NORMAL), ("b", NORMAL), ("ab", NORMAL), ("<0x0A>", BYTE))


def severities(made: Vocabulary) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(made)}


def test_an_honest_vocabulary_breaks_no_rule(vocabulary: Make) -> None:
    made = vocabulary(
        *HONEST, merges=["a b"], special={"bos": 0, "eos": 1}, scores=[0.0] * 6, rows=6, bounds_hold=True
    )
    assert severities(made) == {}


@pytest.mark.parametrize(
    ("fields", "tokens", "rule", "severity"),
    [
        ({}, (*HONEST, ("a", NORMAL)), "duplicate-token", "low"),
        ({}, (*HONEST, ("</s>", NORMAL)), "duplicate-token", "high"),
        ({}, (*HONEST, ("x" * 2000, NORMAL)), "long-token", "medium"),
        ({"merges": ["a b", "a c"]}, HONEST, "merge-of-missing-token", "medium"),
        ({"merges": ["b a"]}, HONEST, "merge-of-missing-token", "medium"),
        ({"merges": ["ab"]}, HONEST, "merge-of-missing-token", "medium"),
        ({"merges": ["a\nb"]}, HONEST, "merge-of-missing-token", "medium"),
        ({}, (*HONEST, ("<0xGG>", BYTE)), "malformed-byte-token", "high"),
        ({"model": "plamo2"}, (*HONEST, ("<0x000041>", BYTE)), "malformed-byte-token", "critical"),
        ({}, tuple((f"<0x{n % 256:02X}>", BYTE) for n in range(257)), "malformed-byte-token", "high"),
        ({"kinds": [1, 1, 1, 1, 1, 77]}, HONEST, "unknown-kind", "medium"),
        ({"scores": [0.0, math.nan, 0.0, 0.0, 0.0, 0.0]}, HONEST, "score-not-a-number", "high"),
        ({"scores": [math.inf, 0.0, 0.0, 0.0, 0.0, 0.0]}, HONEST, "score-not-a-number", "high"),
        ({"scores": [0.0], "bounds_hold": True}, HONEST, "length-mismatch", "critical"),
        ({"kinds": [1] * 9, "bounds_hold": True}, HONEST, "length-mismatch", "high"),
        ({"rows": 5}, HONEST, "embedding-rows", "medium"),
        ({"rows": 7, "bounds_hold": True}, HONEST, "embedding-rows", "high"),
        ({"special": {"eos": 6}}, HONEST, "special-id-out-of-range", "high"),
        ({"special": {"pad": -2}}, HONEST, "special-id-out-of-range", "high"),
    ],
)  # fmt: skip
def test_each_rule_fires(
    vocabulary: Make, fields: dict[str, Any], tokens: tuple[tuple[str, int], ...], rule: str, severity: str
) -> None:
    assert severities(vocabulary(*tokens, **fields)).get(f"vocabulary/{rule}") == severity


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": 8},  # a folder's matrix that is padded
        {"special": {"pad": 0xFFFFFFFF}},
        {"merges": ["a b"] * 2},
    ],
)
def test_what_is_usual_breaks_no_rule(vocabulary: Make, fields: dict[str, Any]) -> None:
    assert severities(vocabulary(*HONEST, **fields)) == {}


def test_ids_that_are_not_used_are_no_duplicates(vocabulary: Make) -> None:
    assert severities(vocabulary(("a", 1), ("", 1), ("", 1), ("b", 1))) == {}


def test_parts_with_spaces_and_continued_words_are_found(vocabulary: Make) -> None:
    tokens = (("a b", 1), ("c", 1), ("a bc", 1), ("un", 1), ("##der", 1), ("under", 1))
    assert severities(vocabulary(*tokens, merges=["a b c", "un ##der"])) == {}


def test_many_wrong_merges_take_no_time_and_are_counted(vocabulary: Make) -> None:
    made = vocabulary(("a", 1), merges=[f"x{n} y" for n in range(200_000)])
    with at_most(1):
        found = BOOK.findings(made)
    assert "of 200000 merges" in found[-1].evidence


def test_added_tokens_of_a_tokenizer_json_have_no_scores(vocabulary: Make) -> None:
    made = vocabulary(*HONEST, scores=[0.0] * 4)
    assert severities(made) == {}
    assert severities(vocabulary(*HONEST, scores=[0.0] * 9)) == {"vocabulary/length-mismatch": "high"}


def test_line_feeds_are_merged_as_other_signs_are(vocabulary: Make) -> None:
    feeds = (("\n", NORMAL), ("\n\n", NORMAL))
    assert severities(vocabulary(*HONEST, *feeds, merges=["\n \n", "a b"])) == {}
    broken = vocabulary(*HONEST, *feeds, merges=["\n \n", "a \n"])
    assert severities(broken) == {"vocabulary/merge-of-missing-token": "medium"}
