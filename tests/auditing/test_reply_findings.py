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


def test_nothing_wrong_nothing_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite", "key", resume=False)
    journal.add("reference", "replies", [Record("core/a", {"finish": "length"})])
    assert crash_findings(journal) == []
    journal.close()
