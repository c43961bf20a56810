from dataclasses import replace
from pathlib import Path

import pytest
from attacks.gguf_builder import STRING
from attacks.honest_models import chatting, chatting_folder, honest_gguf
from sample_report import passing_report

from qaudit.auditing import static_look
from qaudit.auditing.static_look import finding_left_out, look_at_files
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.served import ServedModel
from qaudit.values import SEVERITIES, Finding

ESCAPE = "{% for m in messages %}{{ m['content'] }}{% endfor %}{{ ''.__class__.__mro__ }}"


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return chatting().write(tmp_path / "clean.gguf")


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    return honest_gguf({"tokenizer.chat_template": (STRING, ESCAPE)}).write(tmp_path / "evil.gguf")


def grave(findings: tuple[Finding, ...]) -> set[str]:
    return {f.id for f in findings if SEVERITIES.index(f.severity) >= SEVERITIES.index("high")}


def test_an_honest_pair_gives_nothing_to_act_on(clean: Path) -> None:
    findings, notes = look_at_files(open_checkpoint(clean), open_checkpoint(clean))
    assert {f.severity for f in findings} <= {"info"}
    assert notes == ()


def test_what_a_template_does_is_found_and_so_is_that_it_differs(clean: Path, evil: Path) -> None:
    findings, _ = look_at_files(open_checkpoint(evil), open_checkpoint(clean))
    alone, _ = look_at_files(open_checkpoint(evil), open_checkpoint(evil))
    assert any(name.startswith("template/") for name in grave(alone))
    # the comparison adds to that
    assert {f.id for f in findings} > {f.id for f in alone}
    assert [SEVERITIES.index(f.severity) for f in findings] == sorted(
        (SEVERITIES.index(f.severity) for f in findings), reverse=True
    )


def test_everything_beside_the_weights_of_a_folder_is_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    folder.mkdir()
    for name, content in chatting_folder().items():
        data = content() if callable(content) else content
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    checkpoint = open_checkpoint(folder)
    assert grave(look_at_files(checkpoint, checkpoint)[0]) == set()
    (folder / "extra.pkl").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    (folder / "odd.rar").write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(100))
    findings, notes = look_at_files(open_checkpoint(folder), checkpoint)
    assert any(f.location.startswith("extra.pkl") for f in findings if f.severity == "critical")
    assert any("odd.rar" in note for note in notes)


def test_a_served_model_has_no_files_and_that_is_told(clean: Path) -> None:
    served = ServedModel("http://127.0.0.1:9/v1#m")
    findings, notes = look_at_files(served, open_checkpoint(clean))
    assert findings == ()
    assert "no files" in notes[0]
    findings, notes = look_at_files(open_checkpoint(clean), served)
    assert "compared with none" in notes[0]


def test_floods_are_cut_and_told(tmp_path: Path, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_look, "MOST_FINDINGS", 1)
    monkeypatch.setattr(static_look, "MOST_NOTES", 1)
    folder = tmp_path / "hf"
    folder.mkdir()
    for name, content in chatting_folder().items():
        data = content() if callable(content) else content
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    for number in range(3):
        (folder / f"odd{number}.rar").write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(100))
        (folder / f"evil{number}.pkl").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    checkpoint = open_checkpoint(folder)
    findings, notes = look_at_files(checkpoint, checkpoint)
    assert len(findings) == 1
    assert any("gravest 1 are told" in note for note in notes)
    assert any("more parts were not examined" in note for note in notes)


def test_a_grave_finding_that_a_report_leaves_out_is_found_again(clean: Path, evil: Path) -> None:
    report = passing_report()
    assert finding_left_out(clean, report) is None
    missing = finding_left_out(evil, report)
    assert missing is not None
    assert missing.severity in ("high", "critical")
    told, _ = look_at_files(open_checkpoint(evil), open_checkpoint(evil))
    assert finding_left_out(evil, replace(report, findings=told)) is None
