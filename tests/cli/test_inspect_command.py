import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attacks.honest_models import chatting
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from processor_time import slowness

import qaudit
from qaudit.cli.main import run

EVIL = b"cos\nsystem\n(S'id'\ntR."
HEAVY = (
    "torch", "llama_cpp", "transformers", "gguf", "scipy", "pydantic", "numpy", "huggingface_hub", "cyclonedx",
    "jsonschema", "yaml",
)  # fmt: skip


@pytest.fixture
def clean(tmp_path: Path) -> str:
    path = tmp_path / "clean.gguf"
    path.write_bytes(chatting().build())
    return str(path)


@pytest.fixture
def evil(tmp_path: Path) -> str:
    path = tmp_path / "evil.bin"
    path.write_bytes(EVIL)
    return str(path)


@pytest.fixture
def unknown(tmp_path: Path) -> str:
    path = tmp_path / "odd.rar"
    path.write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(100))
    return str(path)


def test_exit_codes_are_those_of_the_contract(clean: str, evil: str, unknown: str, tmp_path: Path) -> None:
    assert run(["inspect", clean]) == 0
    assert run(["inspect", evil]) == 1
    assert run(["inspect", str(tmp_path / "missing")]) == 2
    assert run(["inspect", unknown, "--fail-on", "critical"]) == 3


def test_of_several_targets_a_failure_counts_most(
    clean: str, evil: str, unknown: str, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing")
    assert run(["inspect", clean, clean]) == 0
    assert run(["inspect", clean, missing, evil]) == 1
    assert run(["inspect", clean, missing]) == 2
    assert run(["inspect", clean, unknown, "--fail-on", "critical"]) == 3


def test_a_target_that_is_missing_is_one_line_and_the_others_are_told(
    clean: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["inspect", clean, str(tmp_path / "missing"), "--format", "json"])
    shown = capsys.readouterr()
    assert json.loads(shown.out)["target"] == clean
    assert shown.err.startswith("qaudit: ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("words", [["--json"], ["--format", "json"]])
def test_json_is_one_document_on_stdout(
    words: list[str], evil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", evil, *words]) == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["schema"] == "qaudit/inspection/v1"
    assert document["status"] == "fail"
    assert shown.err == ""
    run(["inspect", evil, evil, *words])
    assert len(json.loads(capsys.readouterr().out)["inspections"]) == 2


def test_sarif_is_written(evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", evil, "--format", "sarif"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    assert document["runs"][0]["results"][0]["level"] == "error"


def test_a_bill_of_materials_has_digests_without_being_asked(
    clean: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", clean, "--format", "cyclonedx"]) == 0
    text = capsys.readouterr().out
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    (file,) = json.loads(text)["metadata"]["component"]["components"]
    assert len(file["hashes"][0]["content"]) == 64


def test_text_says_what_is_wrong_where_and_what_to_do(evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", evil]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"FAIL {evil}")
    assert "critical" in out
    assert "to do:" in out
    assert "looked at:" in out


def test_a_document_goes_to_a_file_and_the_words_to_stderr(
    evil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.sarif"
    assert run(["inspect", evil, "--format", "sarif", "--out", str(out)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("FAIL")
    assert json.loads(out.read_text())["version"] == "2.1.0"
    assert run(["inspect", evil, "--out", str(tmp_path / "found.txt")]) == 1
    assert (tmp_path / "found.txt").read_text().startswith("FAIL")


def test_fail_on_moves_the_gate(clean: str, evil: str) -> None:
    assert run(["inspect", evil, "--fail-on", "critical"]) == 1
    assert run(["inspect", clean, "--fail-on", "low"]) == 0
    assert run(["inspect", clean, "--fail-on", "nothing"]) == 2


def test_hashes_are_there_where_asked(clean: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["inspect", clean, "--json"])
    assert json.loads(capsys.readouterr().out)["files"] == []
    run(["inspect", clean, "--json", "--hash"])
    assert len(json.loads(capsys.readouterr().out)["files"]) == 1


def test_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "--list-rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("pickle/") for line in lines)
    assert run(["inspect", "--list-rules", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rules"]) == len(lines)
    assert run(["inspect", "--list-rules", "--format", "sarif"]) == 2


def test_without_a_target_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def environment() -> dict[str, str]:
    # without coverage's tracing, which takes as long as the start itself
    kept = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    return {**kept, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}


def test_nothing_heavy_is_imported(clean: str, evil: str) -> None:
    for target in (clean, evil):
        code = (
            "import sys; from qaudit.cli.main import run; code = run(sys.argv[1:]);"
            f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "inspect", target],
            capture_output=True, text=True, env=environment(), check=True,
        )  # fmt: skip
        assert done.stderr.strip() == "[]", target


def test_it_starts_fast(clean: str) -> None:
    words = [sys.executable, "-c", "from qaudit.cli.main import main; main()", "inspect", clean]
    used = []
    for _ in range(3):
        before = os.times()
        started = time.monotonic()
        subprocess.run(words, capture_output=True, env=environment(), check=False)
        after = os.times()
        wall = time.monotonic() - started
        # processor time, so that a machine with other work to do does not fail us
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        used.append(min(wall, spent))
    # 0.4 s is the goal on a quiet machine; one that is shared counts up to twice the processor time
    assert min(used) < 0.8 * slowness(), used
