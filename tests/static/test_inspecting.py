import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attacks.honest_models import chatting, honest_gguf

from qaudit import __version__
from qaudit.errors import InputError
from qaudit.static import inspecting
from qaudit.static.inspecting import inspect_target, inspect_view, status_of, worst_first
from qaudit.static.surveying import survey
from qaudit.values import SEVERITIES, Finding, Severity, Surface


def finding(severity: Severity, location: str = "L") -> Finding:
    return Finding("f/x", severity, "T", location, "E", "R")


EXAMINED = Surface("a", "gguf", "examined")
SKIPPED = Surface("b", "archive", "skipped", "why")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(chatting().build())
    return path


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    path = tmp_path / "evil"
    path.mkdir()
    (path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    return path


@pytest.mark.parametrize("least", SEVERITIES[1:])
@pytest.mark.parametrize("found", SEVERITIES)
def test_the_gate_is_where_it_was_asked_for(least: Severity, found: Severity) -> None:
    expected = "fail" if SEVERITIES.index(found) >= SEVERITIES.index(least) else "pass"
    assert status_of([finding(found)], [EXAMINED], least) == expected


@pytest.mark.parametrize("state", ["partial", "skipped", "absent"])
def test_what_was_not_examined_is_never_a_pass(state: Any) -> None:
    assert status_of([], [EXAMINED, replace(SKIPPED, state=state)], "high") == "inconclusive"
    # but a finding that is there is there
    assert status_of([finding("high")], [replace(SKIPPED, state=state)], "high") == "fail"


@pytest.mark.parametrize("kind", ["weights", "bookkeeping"])
def test_what_the_default_look_does_not_need_leaves_nothing_open(kind: str) -> None:
    assert status_of([], [EXAMINED, replace(SKIPPED, kind=kind)], "high") == "pass"


def test_findings_come_gravest_first_and_once() -> None:
    given = [finding("low", "b"), finding("high", "z"), finding("low", "a"), finding("high", "z")]
    assert worst_first(given) == [finding("high", "z"), finding("low", "a"), finding("low", "b")]


def test_an_honest_file_passes(model: Path) -> None:
    seen = inspect_target(model)
    assert seen.status == "pass", (seen.findings, seen.surfaces)
    assert {f.severity for f in seen.findings} <= {"info"}
    assert (seen.target, seen.fail_on, seen.reference, seen.files) == (str(model), "high", None, ())
    assert (seen.tool.name, seen.tool.version) == ("qaudit", __version__)
    assert seen.created.endswith("Z")
    assert any(s.path == "m.gguf" and s.state == "examined" for s in seen.surfaces)


def test_a_pickle_that_runs_a_program_fails(evil: Path) -> None:
    seen = inspect_target(evil)
    assert seen.status == "fail"
    assert seen.findings[0].severity == "critical"
    assert seen.findings[0].location.startswith("pytorch_model.bin")


def test_hashes_are_taken_where_asked(model: Path) -> None:
    (digest,) = inspect_target(model, hash_files=True).files
    assert (digest.path, digest.size) == ("m.gguf", model.stat().st_size)


def test_a_reference_is_compared_with(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "r.gguf"
    template = (8, "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    other.write_bytes(honest_gguf({"tokenizer.chat_template": template}).build())
    same = inspect_target(model, reference=model)
    assert (same.status, same.reference) == ("pass", str(model)), same.findings
    assert any(surface.kind == "comparison" and surface.state == "examined" for surface in same.surfaces)
    known = {f.id for f in same.findings}
    assert [f for f in inspect_target(model, reference=other).findings if f.id not in known]


def test_a_file_that_changes_meanwhile_is_an_open_question(model: Path) -> None:
    view = survey(model)

    def touch(path: str, done: int, total: int) -> None:
        os.utime(model, ns=(1, 1))

    with pytest.MonkeyPatch.context() as patch:
        # the file is refused when it is opened after the change
        seen = inspect_view(view, "m", progress=touch)
        assert seen.status == "inconclusive"
        assert any("changed" in surface.why for surface in seen.surfaces)
        patch.undo()


def test_a_change_after_reading_is_noticed_too(model: Path) -> None:
    view = survey(model)
    seen = inspect_view(view, "m")
    assert seen.status == "pass"
    os.utime(model, ns=(1, 1))
    assert [surface.path for surface in inspecting._changed_meanwhile(view)] == ["m.gguf"]


def test_a_flood_of_findings_is_cut_and_told(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (evil / f"w{number}.bin").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    whole = inspect_target(evil)
    monkeypatch.setattr(inspecting, "MOST_FINDINGS", 2)
    cut = inspect_target(evil)
    assert cut.findings == whole.findings[:2]
    assert any(surface.kind == "findings" for surface in cut.surfaces)


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        inspect_target(tmp_path / "missing")


def test_a_folder_without_anything_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    seen = inspect_target(tmp_path / "empty")
    assert (seen.findings, seen.status) == ((), "inconclusive")
    assert [surface.why for surface in seen.surfaces] == ["there is no file in it"]
    assert json.dumps(seen.facts)
