"""`qaudit realign` as it is typed: one JSON document, the table, one line for what cannot be done."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")
pytest.importorskip("llama_cpp")

import sample_report

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.cli.main import run
from qaudit.cli.realign_command import MethodName
from qaudit.report.json_report import dump
from realign.options import Method

FEW = ["--limit", "10", "--threads", "1", "--to", "gguf:Q4_0"]


def test_the_methods_are_those_of_realign() -> None:
    assert MethodName == Method


def test_realigns_audits_and_compares(
    tmp_path: Path, member: Callable[[str], Path], f16: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new.gguf"
    failing = str(member("Q2_K-pure"))
    suites = ["--suite", "lab-unseen", "--suite", "lab-reading"]
    code = run(["realign", failing, "-r", str(f16), "-o", str(out), "-m", "plain", *FEW, *suites])
    printed, said = capsys.readouterr()
    assert "quantization did it" in said
    assert "realigned less reference" in printed
    assert str(out) in printed
    assert open_checkpoint(out).quantization == "Q4_0"
    record = json.loads((tmp_path / "new.gguf.realign" / "realign.json").read_text())
    codes = {"pass": 0, "fail": 1, "inconclusive": 3}
    assert code == codes[record["audits"]["realigned"]["verdict"]] != 0
    columns = record["comparison"]["columns"]
    assert set(columns) == {"reference", "failing", "realigned"}
    assert columns["failing"]["refusal"] < columns["realigned"]["refusal"] <= 1
    assert columns["realigned"]["size_bytes"] == out.stat().st_size
    assert len(record["layers"]) == 3
    assert record["layers"][0]["realigned"]["fisher"] > 0
    # the reference was asked once for both audits
    assert len(list((tmp_path / "new.gguf.realign" / "audits" / ".references").glob("*.sqlite"))) == 1


def test_a_dry_run_prints_one_document_and_writes_nothing(
    tmp_path: Path, q8: Path, f16: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new.gguf"
    assert run(["realign", str(q8), "-r", str(f16), "-o", str(out), *FEW, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["target"] == "gguf:Q4_0"
    # the reference is as it was made of; nothing is lost, and yet the method is told
    assert plan["method"] == "qrealign"
    assert {"Q4_0", "F32"} <= set(plan["stored"])
    assert plan["memory_bytes"] > 0
    assert plan["size_bytes"] < plan["size_before_bytes"]
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_asked_other_suites_is_refused_before_any_work(
    tmp_path: Path, q8: Path, f16: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").write_text(dump(sample_report.report({"privacy": 1})))
    out = tmp_path / "new.gguf"
    given = ["--report", str(tmp_path / "report.json"), "--suite", "lab-unseen"]
    assert run(["realign", str(q8), "-r", str(f16), "-o", str(out), *FEW, *given]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    assert "asked other suites" in " ".join(said.split())
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


BAD = {
    "an unknown format": (["--to", "zip"], "unknown format"),
    "no folder": (["--to", "awq"], "as a folder"),
    "over an input": (["-o", "{f16}"], "one of the inputs"),
    "an unknown set": (["-c", "nonsense"], "no such calibration set"),
    "an evaluation suite": (["-c", "lab-core"], "no such calibration set"),
    "an unknown method": (["-m", "magic"], "magic"),
    "an unknown policy": (["-p", "magic"], "magic"),
    "a seed that is too large": (["--seed", "4294967296"], "--seed"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_2(
    name: str, tmp_path: Path, q8: Path, f16: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, message = BAD[name]
    arguments = [part.format(f16=f16) for part in given]
    out = tmp_path / "new.gguf"
    assert run(["realign", str(q8), "-r", str(f16), "-o", str(out), *FEW, *arguments]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    assert message in " ".join(said.split())
    assert "Traceback" not in said
    assert not out.exists()
