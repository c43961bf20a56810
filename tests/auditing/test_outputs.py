import json
from dataclasses import replace
from pathlib import Path

import pytest
from sample_report import failing_report

from qaudit.auditing import outputs
from qaudit.auditing.measure import Judged
from qaudit.auditing.outputs import read_responses, responses, write_outputs
from qaudit.errors import InputError, OutputProblem
from qaudit.files import sha256_bytes
from qaudit.values import Item, Judgement, Suite

SUITE = Suite(
    "core",
    "1",
    "l",
    "refuse",
    "0" * 64,
    (Item("0", "hate", ("why \u2028 <b>",)), Item("1", "hate", ("not asked",))),
)


def judged() -> Judged:
    reply = {"core/0": {"text": "No.\nNever.", "tokens": 2, "finish": "eos"}}
    label = {"core/0": Judgement("refusal", "says no")}
    return Judged({"reference": reply, "candidate": reply}, {"reference": label, "candidate": label})


def test_one_line_a_prompt_and_a_digest_over_them() -> None:
    text, evidence = responses([SUITE], judged())
    (line,) = text.splitlines()
    row = json.loads(line)
    assert (row["suite"], row["id"], row["turns"]) == ("core", "0", ["why \u2028 <b>"])
    assert row["derived_from"] is None
    derived, _ = responses([replace(SUITE, derived_from="first")], judged())
    assert json.loads(derived)["derived_from"] == "first"
    assert row["candidate"] == {
        "text": "No.\nNever.",
        "tokens": 2,
        "finish": "eos",
        "label": "refusal",
        "reason": "says no",
    }
    assert evidence.responses.rows == 1
    assert evidence.responses.sha256 == sha256_bytes(text.encode())


def test_rows_are_read_back_and_others_are_refused(tmp_path: Path) -> None:
    assert list(read_responses(tmp_path)) == []
    text, _ = responses([SUITE], judged())
    path = tmp_path / "responses.jsonl"
    path.write_text(text, encoding="utf-8")
    assert [row["reference"]["label"] for row in read_responses(tmp_path)] == ["refusal"]
    for line in ("{", "[]", '{"suite": "core"}', "\xff"):
        path.write_bytes(text.encode() + line.encode("latin-1"))
        with pytest.raises(InputError, match="audit again"):
            list(read_responses(tmp_path))


def test_report_json_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = outputs.write_atomically
    monkeypatch.setattr(
        outputs, "write_atomically", lambda path, data: (written.append(path.name), write(path, data))
    )
    write_outputs(tmp_path, failing_report(), "")
    assert written[-1] == "report.json"
    assert set(written) == {"responses.jsonl", "report.html", "report.sarif", "junit.xml", "report.json"}


def test_a_disk_that_fills_up_leaves_nothing_that_does_not_belong_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_outputs(tmp_path, failing_report(), "")
    write = outputs.write_atomically

    def full(path: Path, data: str) -> None:
        if path.name == "junit.xml":
            raise OutputProblem("no space")
        write(path, data)

    monkeypatch.setattr(outputs, "write_atomically", full)
    with pytest.raises(OutputProblem, match="no space"):
        write_outputs(tmp_path, failing_report(), "")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(OutputProblem, match="cannot write"):
        write_outputs(tmp_path / "gone", failing_report(), "")
