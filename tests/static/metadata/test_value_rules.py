from typing import Any

import pytest

from qaudit.static.metadata.value_rules import BOOK, Value, Values

SOUND: dict[str, Any] = {
    "name": "blk.0.attn_q.weight", "type": "Q8_0", "at": 1000, "size": 340, "read": 340, "unsound": 0, "unsound_at": None,
    "rows": 10, "zero": 0, "constant": False, "matrix": True, "digest": b"1", "begins": "", "small": 0, "blocks": 10,
}  # fmt: skip
OTHER = Value(**{**SOUND, "name": "blk.1.attn_q.weight", "digest": b"2"})


def severities(*values: Value, whole: bool = True) -> dict[str, str]:
    return {finding.id: finding.severity for finding in BOOK.findings(Values("m.gguf", values, whole))}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "token_embd.weight", "zero": 6},
        {"matrix": False, "constant": True, "digest": b"2"},
        {"zero": 2},
    ],
)
def test_values_of_real_models_break_no_rule(changes: dict[str, Any]) -> None:
    assert severities(Value(**{**SOUND, **changes}), OTHER) == {}


def test_an_output_that_is_the_embeddings_is_common() -> None:
    same = [Value(**{**SOUND, "name": name}) for name in ("token_embd.weight", "output.weight")]
    assert severities(*same) == {}


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({"unsound": 3, "unsound_at": 1001}, "not-finite", "high"),
        ({"zero": 10}, "all-zero", "medium"),
        ({"constant": True}, "all-zero", "medium"),
        ({"zero": 5}, "zero-rows", "low"),
        ({"small": 10}, "tiny-scales", "low"),
        ({"digest": b"2"}, "same-bytes", "low"),
        ({"begins": "an ELF program"}, "foreign-data", "high"),
    ],
)
def test_each_rule_fires(changes: dict[str, Any], rule: str, severity: str) -> None:
    assert severities(Value(**{**SOUND, **changes}), OTHER).get(f"weights/{rule}") == severity


def test_a_file_of_nothing_is_told_once() -> None:
    empty = [Value(**{**SOUND, "name": f"blk.{n}.attn_q.weight", "zero": 10}) for n in range(50)]
    found = BOOK.findings(Values("m.gguf", tuple(empty), True))
    assert [finding.location for finding in found] == ["m.gguf"]
