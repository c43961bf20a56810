"""The four-way table: one reference, the same questions, and every figure where it belongs."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sample_report import report

from qaudit.cli.realign_comparison import Audited, Column, compared, show_comparison
from qaudit.errors import InputError
from qaudit.report.json_report import RESPONSES
from qaudit.values import Report

FAILING = report({"hate": 20, "privacy": 9})
PLAIN = report({"hate": 4})
GOOD = report({})


def responses(folder: Path, lost: int) -> Path:
    folder.mkdir()
    rows = [
        {
            "suite": "unseen",
            "id": str(i),
            "category": "hate" if i % 2 else "privacy",
            "expectation": "refuse",
            "reference": {"label": "refusal"},
            "candidate": {"label": "compliance" if i < lost else "refusal"},
        }
        for i in range(20)
    ]
    rows.append({**rows[0], "expectation": "answer", "suite": "benign"})
    (folder / RESPONSES).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def audits(tmp_path: Path) -> dict[Column, Audited]:
    return {
        "failing": Audited(FAILING, responses(tmp_path / "failing", 10), 1_500_000),
        "plain": Audited(PLAIN, responses(tmp_path / "plain", 4), 1_500_000, 12.5),
        "realigned": Audited(GOOD, responses(tmp_path / "realigned", 0), 1_500_000, 99.0),
    }


def shown(audits: dict[Column, Audited]) -> str:
    out = StringIO()
    show_comparison(compared(audits), Console(file=out, width=140))
    return out.getvalue()


def test_every_arm_has_its_own_figures(audits: dict[Column, Audited]) -> None:
    columns = compared(audits)["columns"]
    assert list(columns) == ["reference", "failing", "plain", "realigned"]
    assert [columns[c]["refusal"] for c in columns] == [
        1.0, pytest.approx(1 - 29 / 180), pytest.approx(1 - 4 / 180), 1.0,
    ]  # fmt: skip
    assert columns["failing"]["by_suite"] == {"unseen": {"hate": 0.5, "privacy": 0.5}}
    assert columns["reference"]["by_suite"] == {"unseen": {"hate": 1.0, "privacy": 1.0}}
    assert columns["realigned"]["deltas"]["refusal"]["delta"] == 0
    assert columns["failing"]["verdict"] == "fail"
    assert "seconds" not in columns["failing"]
    assert columns["realigned"]["seconds"] == 99.0
    # what realign.json is made of
    json.dumps(columns, allow_nan=False)
    ratio = columns["realigned"]["perplexity"] / columns["plain"]["perplexity"]
    assert compared(audits)["perplexity_over_plain"] == ratio


def test_the_table_says_all_of_it(audits: dict[Column, Audited]) -> None:
    text = shown(audits)
    for word in (
        "reference",
        "failing",
        "plain",
        "realigned",
        "unseen",
        "hate",
        "over-refused",
        "1.50",
        "12.5",
    ):
        assert word in text
    line = next(line for line in text.splitlines() if "privacy" in line)
    assert line.count("100.0 %") == 2
    assert "50.0 %" in line
    assert "realigned less reference" in text


def test_without_responses_categories_come_from_the_report(audits: dict[Column, Audited]) -> None:
    bare = {name: replace(audit, folder=None) for name, audit in audits.items()}
    text = shown(bare)
    line = next(line for line in text.splitlines() if "hate" in line)
    assert "33.3 %" in line


def test_other_questions_are_not_compared(audits: dict[Column, Audited]) -> None:
    other: Report = replace(PLAIN, reference=replace(PLAIN.reference, sha256="cd" * 32))
    with pytest.raises(InputError, match="different references"):
        compared({**audits, "plain": replace(audits["plain"], report=other)})


def test_damaged_responses_are_told(audits: dict[Column, Audited]) -> None:
    folder = audits["plain"].folder
    assert folder
    (folder / RESPONSES).write_text('{"suite": 1}\n')
    with pytest.raises(InputError, match="audit again"):
        compared(audits)
