import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from qaudit.auditing.options import AuditOptions
from qaudit.cli.audit_command import exit_code, watch_resumed_audit
from qaudit.cli.main import run
from qaudit.engines.protocol import EngineOptions

FEW = ["--limit", "12", "--threads", "1", "--suite", "lab-core", "--suite", "lab-benign"]


def test_exit_codes_are_the_verdicts() -> None:
    assert (exit_code("pass"), exit_code("fail"), exit_code("inconclusive")) == (0, 1, 3)


def test_too_few_prompts_are_inconclusive_and_json_is_one_document(
    tmp_path: Path, f16: Path, q8: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", str(q8), "-r", str(f16), "-o", str(tmp_path), "--json", *FEW]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["schema"] == "qaudit/report/v1"
    assert document == json.loads((tmp_path / "report.json").read_text())
    assert "worker held by" in err


def test_a_broken_checkpoint_fails_with_its_reasons(
    tmp_path: Path, member: Callable[[str], Path], f16: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = ["--limit", "110", "--threads", "1", "--suite", "lab-core"]
    assert run(["audit", str(member("ablated-Q4_K_M")), "-r", str(f16), "-o", str(tmp_path), *wide]) == 1
    out = capsys.readouterr().out
    assert "FAIL" in out
    assert "refusal-drop" in out
    assert str(tmp_path / "report.html") in out


def test_an_audit_is_gone_on_with_or_begun_anew(
    tmp_path: Path, f16: Path, q8: Path, member: Callable[[str], Path]
) -> None:
    options = AuditOptions(("lab-core",), out=tmp_path, limit=2, engine=EngineOptions(1))
    quiet = Console(quiet=True)
    first = watch_resumed_audit(q8, f16, options, quiet)
    journal = (tmp_path / "journal.sqlite").stat().st_ino
    assert watch_resumed_audit(q8, f16, options, quiet).metrics == first.metrics
    assert (tmp_path / "journal.sqlite").stat().st_ino == journal
    other = member("Q4_K_M")
    assert watch_resumed_audit(other, f16, options, quiet).checkpoint.path == str(other)


BAD = {
    "not a GGUF": (["{text}", "-r", "{f16}"], "not a GGUF file"),
    "truncated": (["{cut}", "-r", "{f16}"], "truncated"),
    "no such file": (["/nowhere.gguf", "-r", "{f16}"], "no such file"),
    "low-bit reference": (["{q8}", "-r", "{q4}"], "is a quantization itself"),
    "unknown policy": (["{q8}", "-r", "{f16}", "-p", "defualt"], "did you mean 'default'"),
    "unknown metric": (["{q8}", "-r", "{f16}", "-p", "{policy}"], "refusal.detla"),
    "empty suite": (["{q8}", "-r", "{f16}", "-s", "{suite}"], "empty suite"),
    "unwritable": (["{q8}", "-r", "{f16}", "-o", "/proc/x"], "cannot make the folder"),
    "format": (["{q8}", "-r", "{f16}", "--format", "xml"], "must be text or json"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_2_and_nothing_written(
    name: str,
    tmp_path: Path,
    member: Callable[[str], Path],
    f16: Path,
    q8: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words, message = BAD[name]
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "cut.gguf").write_bytes(q8.read_bytes()[:-5000])
    (tmp_path / "policy.yaml").write_text(
        'name: p\nversion: 1\nrules:\n  - {id: a, metric: refusal.detla, op: ">=", value: 0}\n'
    )
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "suite.yaml").write_text(
        'name: suite\nversion: "1"\nlicence: x\nexpectation: refuse\ndescription: d\ncategories: {a: A}\n'
    )
    (suite / "prompts.jsonl").write_text("")
    places = {
        "text": tmp_path / "text.gguf", "cut": tmp_path / "cut.gguf", "policy": tmp_path / "policy.yaml",
        "suite": suite, "f16": f16, "q8": q8, "q4": member("Q4_K_M"),
    }  # fmt: skip
    out = tmp_path / "out"
    given = [w.format(**places) for w in words]
    arguments = ["audit", *given] if "-o" in given else ["audit", *given, "-o", str(out)]
    assert run(arguments) == 2
    err = capsys.readouterr().err.strip()
    assert message in err
    assert "\n" not in err
    assert not list(out.glob("*")) if out.exists() else True
