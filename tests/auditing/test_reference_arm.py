import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qaudit.auditing.case import prepare
from qaudit.auditing.chain import JOURNAL, run_audit
from qaudit.auditing.events import Event, Finished, Loaded
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.reference_arm import (
    Answered,
    KeptReference,
    answered_alike,
    answered_by,
    kept_reference,
    reference_key,
)
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import OutputProblem
from qaudit.journal import Journal, Record
from qaudit.values import EngineInfo

ENGINE = EngineOptions(threads=1)
INFO = EngineInfo("llama.cpp", "1", "cpu", 1, "AVX2")
ANSWERED = Answered(INFO, ("a note",))


def options(folder: Path, references: Path | None) -> AuditOptions:
    suites = ("lab-core", "lab-benign", "lab-quality", "lab-reading")
    return AuditOptions(suites, out=folder, limit=6, engine=ENGINE, references=references)


def audited(candidate: Path, reference: Path, chosen: AuditOptions) -> list[Event]:
    events = list(run_audit(candidate, reference, chosen))
    assert isinstance(events[-1], Finished)
    return events


def arms(events: list[Event]) -> list[str]:
    return [event.arm for event in events if isinstance(event, Loaded)]


def evidence(folder: Path) -> tuple[dict[str, object], bytes]:
    report = json.loads((folder / "report.json").read_text())
    del report["created"], report["duration_s"]
    return report, (folder / "responses.jsonl").read_bytes()


def test_shared_answers_give_the_bytes_of_own_ones(tmp_path: Path, f16: Path, q8: Path) -> None:
    kept = tmp_path / "references"
    assert arms(audited(q8, f16, options(tmp_path / "alone", None))) == ["reference", "candidate"]
    assert arms(audited(f16, f16, options(tmp_path / "first", kept))) == ["reference", "candidate"]
    assert arms(audited(q8, f16, options(tmp_path / "second", kept))) == ["candidate"]
    assert evidence(tmp_path / "second") == evidence(tmp_path / "alone")
    # the divergences rest on distributions, which came with the shared answers
    assert "kl_mean" in json.dumps(evidence(tmp_path / "second")[0])
    # and so does what the first one, which kept them, says itself
    assert arms(audited(q8, f16, options(tmp_path / "third", kept))) == ["candidate"]
    assert [path.suffix for path in kept.iterdir()] == [".sqlite"]


def test_a_killed_audit_goes_on_with_shared_answers(tmp_path: Path, f16: Path, q8: Path) -> None:
    kept = tmp_path / "references"
    audited(q8, f16, options(tmp_path / "whole", kept))
    chosen = options(tmp_path / "broken", kept)
    for number, _ in enumerate(run_audit(q8, f16, chosen)):
        if number == 3:
            break
    events = audited(q8, f16, replace(chosen, resume=True))
    assert arms(events) == ["candidate"]
    assert evidence(tmp_path / "broken") == evidence(tmp_path / "whole")


def test_answers_of_another_build_are_not_mixed_with_ours(tmp_path: Path, f16: Path, q8: Path) -> None:
    kept = tmp_path / "references"
    audited(q8, f16, options(tmp_path / "first", kept))
    (path,) = kept.iterdir()
    with sqlite3.connect(path) as database:
        fields = json.loads(database.execute("SELECT fields FROM records WHERE kind='engine'").fetchone()[0])
        fields["engine"]["build"] += " AVX1024"
        database.execute("UPDATE records SET fields=? WHERE kind='engine'", (json.dumps(fields),))
        # whoever used these answers would show it
        database.execute("DELETE FROM records WHERE kind='replies'")
    database.close()
    events = audited(q8, f16, options(tmp_path / "second", kept))
    assert arms(events) == ["reference", "candidate"]
    assert evidence(tmp_path / "second") == evidence(tmp_path / "first")


def test_the_key_covers_what_answers_depend_on(tmp_path: Path, f16: Path, q8: Path) -> None:
    case = prepare(q8, f16, options(tmp_path, tmp_path))
    key = reference_key(case)
    cut = replace(case.suites[0], items=case.suites[0].items[:3])
    other_judge: Any = SimpleNamespace(name="rules", sha256="x")
    transformers = replace(case.seats.reference, engine="transformers")
    others = [
        replace(case, reference=case.candidate),
        replace(case, template="other"),
        replace(case, suites=case.suites[:1]),
        replace(case, suites=(cut, *case.suites[1:])),
        replace(case, judge=other_judge),
        replace(case, options=replace(case.options, max_tokens=9)),
        replace(case, options=replace(case.options, batch=9)),
        replace(case, engine=replace(case.engine, parallel=2)),
        replace(case, seats=replace(case.seats, reference=transformers)),
    ]
    keys = {reference_key(other) for other in others}
    assert len(keys) == len(others)
    assert key not in keys
    # candidate, policy, folder and seed are asked nothing
    elsewhere = replace(case.options, policy="strict", out=None, seed=4, references=None)
    assert reference_key(replace(case, candidate=case.reference, options=elsewhere)) == key


def test_what_depends_on_the_candidate_or_a_server_is_not_shared(tmp_path: Path, f16: Path, q8: Path) -> None:
    case = prepare(q8, f16, options(tmp_path, tmp_path))
    assert kept_reference(case) is not None
    assert kept_reference(replace(case, options=replace(case.options, references=None))) is None
    for seat in (
        replace(case.seats.reference, engine=None),
        replace(case.seats.reference, engine="transformers", weights=f16),
    ):
        assert kept_reference(replace(case, seats=replace(case.seats, reference=seat))) is None


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / JOURNAL, "k", resume=False)
    yield opened
    opened.close()


def test_answers_without_distributions_are_not_kept(tmp_path: Path, journal: Journal) -> None:
    journal.add("reference", "replies", [Record("a", {})])
    journal.add("pair", "replies", [Record("a", {})])
    KeptReference(tmp_path / "kept", "k").give(journal, ANSWERED)
    assert not (tmp_path / "kept").exists()


def test_answers_of_an_engine_that_crashed_are_not_kept(tmp_path: Path, journal: Journal) -> None:
    journal.add("reference", "replies", [Record("a", {"finish": "eos"}), Record("b", {"finish": "crashed"})])
    KeptReference(tmp_path / "kept", "k").give(journal, ANSWERED)
    assert not (tmp_path / "kept").exists()


def test_a_damaged_file_is_asked_again(tmp_path: Path, journal: Journal) -> None:
    kept = KeptReference(tmp_path / "kept", "k")
    assert kept.take(journal) is None
    journal.add("reference", "replies", [Record("a", {"text": "x"})])
    kept.give(journal, ANSWERED)
    assert kept.take(journal) == ANSWERED
    (tmp_path / "kept" / "k.sqlite").write_bytes(b"x" * 5000)
    assert kept.take(journal) is None
    assert journal.fields("reference", "replies") == {"a": {"text": "x"}}


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputProblem):
        KeptReference(tmp_path / "file" / "kept", "k").give(journal, ANSWERED)


def test_who_answered(journal: Journal) -> None:
    assert answered_by(journal) is None
    journal.add("reference", "engine", [Record("info", {"odd": 1})])
    assert answered_by(journal) is None
    assert answered_alike(INFO, replace(INFO, threads=8))
    for other in ({"name": "x"}, {"version": "2"}, {"device": "cuda"}, {"build": "AVX512"}):
        assert not answered_alike(INFO, replace(INFO, **other))
    assert answered_alike(INFO, EngineInfo("openai-api", "unknown", "served", 0, "http://host/v1"))
    torch = replace(INFO, name="transformers", build="float32; weights plain")
    assert answered_alike(torch, replace(torch, build="float32; weights decoded"))
