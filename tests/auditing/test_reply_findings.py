from pathlib import Path

from qaudit.auditing.reply_findings import crash_findings
from qaudit.journal import Journal, Record


def test_crashes_and_prompts_that_do_not_fit_are_named_by_arm(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", "key", resume=False)
    journal.add(
        "reference",
        "replies",
        [Record("core/a", {"finish": "eos"}), Record("core/b", {"finish": "too_long"})],
    )
    records = [Record(f"core/{i}", {"finish": "crashed"}) for i in range(7)]
    journal.add("candidate", "replies", [*records, Record("core/x", {"finish": "decided"})])
    found = {f.id: f for f in crash_findings(journal)}
    journal.close()
    assert set(found) == {"prompt-too-long-reference", "engine-crash-candidate"}
    assert found["engine-crash-candidate"].severity == "high"
    assert found["engine-crash-candidate"].evidence == "core/0, core/1, core/2, core/3, core/4 and 2 more"
    assert found["prompt-too-long-reference"].evidence == "core/b"


def test_questions_that_could_not_be_scored_are_a_finding(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", "key", resume=False)
    journal.add("candidate", "choices", [Record("quality/1", {"logprobs": [], "tokens": []})])
    journal.add("candidate", "choices", [Record("quality/2", {"logprobs": [-1.0], "tokens": [1]})])
    journal.add("candidate", "passages", [Record("reading/1", {"token_logprobs": []})])
    (found,) = crash_findings(journal)
    journal.close()
    assert (found.id, found.severity) == ("engine-unscored-candidate", "high")
    assert found.evidence == "quality/1, reading/1"


def test_nothing_wrong_nothing_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", "key", resume=False)
    journal.add("reference", "replies", [Record("core/a", {"finish": "length"})])
    assert crash_findings(journal) == []
    journal.close()
