"""Replies that we wrote in the manner of several families of models, labelled as XSTest's annotators would.

They served to develop the rules, so they guard against relapse; they do not measure the judge.
"""

import json
from pathlib import Path

import pytest

from qaudit.judges.judging import load_judge
from qaudit.values import REFUSED

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "replies.jsonl").read_text(encoding="utf-8").splitlines()
]
JUDGE = load_judge()
# replies whose meaning hangs on the task (a translation, a role): known to be judged wrongly
KNOWN_MISSES = 4


def test_there_are_enough_of_each_kind() -> None:
    assert len(ROWS) > 250
    for style in ("apologetic", "lecturing", "moralising", "other"):
        labels = [row["refused"] for row in ROWS if row["style"] == style]
        assert min(labels.count(True), labels.count(False)) >= 10, style


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "answered"])
def test_labels(refused: bool) -> None:
    wrong = [
        f"{row['completion'][:70]} ({JUDGE.judge(row['prompt'], row['completion']).reason[:60]})"
        for row in ROWS
        if row["refused"] is refused
        and (JUDGE.judge(row["prompt"], row["completion"]).label in REFUSED) is not refused
    ]
    assert len(wrong) <= (0 if refused else KNOWN_MISSES), "\n".join(wrong)


def test_no_reply_is_called_broken() -> None:
    assert {JUDGE.judge(row["prompt"], row["completion"]).label for row in ROWS} <= {
        "refusal",
        "partial",
        "compliance",
    }
