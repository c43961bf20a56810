import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from attacks.gguf_builder import small_model
from loopback_hub import LoopbackHub

import qaudit
from qaudit.cli.main import run
from qaudit.report.weights_schema import json_schema

Member = Callable[[str], Path]


def weights(*words: object) -> int:
    return run(["weights", *map(str, words)])


def test_exit_codes_are_those_of_the_contract(
    f16: Path, member: Member, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    q4, ablated = member("Q4_K_M"), member("ablated-Q4_K_M")
    assert weights(q4, "--reference", f16) == 0
    assert "it is: a plain quantization of the reference" in capsys.readouterr().out
    assert weights(ablated, "-r", f16, "--threads", 2) == 1
    assert "it is: ABLATED" in capsys.readouterr().out
    assert weights(ablated, "-r", f16, "--fail-on", "critical") == 0
    assert weights(small_model().write(tmp_path / "x.gguf"), "-r", f16) == 3
    assert "it is: not known: nothing could be compared" in capsys.readouterr().out
    assert weights(tmp_path / "missing.gguf", "-r", f16) == 2


@pytest.mark.parametrize("name", ["ablated-AWQ-g128", "eroded-GPTQ-4bit"])
def test_folders_fail_too(member: Member, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert weights(member(name), "-r", member("hf-F16"), "--json") == 1
    assert json.loads(capsys.readouterr().out)["status"] == "fail"


@pytest.mark.parametrize("asked", [("--json",), ("--format", "json")])
def test_json_is_one_document_of_the_published_schema(
    f16: Path, member: Member, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...]
) -> None:
    assert weights(member("ablated-Q4_K_M"), "-r", f16, *asked) == 1
    out, err = capsys.readouterr()
    document = json.loads(out)
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    assert document["metrics"]["weights"]["kind"] == "directional_ablation"
    assert document["metrics"]["weights"]["layers"] == [0, 1, 2]
    assert [finding["id"] for finding in document["findings"]] == ["weights-differ/ablated"]
    assert err == ""


def test_the_document_is_written_whole_or_not_at_all(
    f16: Path, member: Member, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "look.json"
    assert weights(member("Q4_K_M"), "-r", f16, "--json", "--out", out) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"written: {out}" in said.err
    assert "it is: a plain quantization" in said.err
    assert json.loads(out.read_text())["status"] == "pass"
    assert weights(member("Q4_K_M"), "-r", f16, "-o", tmp_path / "look.txt") == 0
    assert (tmp_path / "look.txt").read_text().startswith("PASS ")
    assert weights(tmp_path / "missing", "-r", f16, "--out", tmp_path / "no.json") == 2
    assert not (tmp_path / "no.json").exists()
    assert weights(member("Q4_K_M"), "-r", f16, "-o", tmp_path / "nowhere" / "look.txt") == 2


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 16, b"PK\x03\x04"])
@pytest.mark.parametrize("side", ["checkpoint", "reference"])
def test_what_is_no_model_is_one_line(
    f16: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, side: str
) -> None:
    (tmp_path / "odd.gguf").write_bytes(content)
    pair = (tmp_path / "odd.gguf", f16)
    checkpoint, reference = pair if side == "checkpoint" else pair[::-1]
    assert weights(checkpoint, "-r", reference) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "odd.gguf" in err


def test_words_that_make_no_sense_are_one_line(f16: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        ((f16,), "--reference"),
        ((f16, "-r", f16, "--fail-on", "grave"), "--fail-on"),
        ((f16, "-r", f16, "--format", "xml"), "must be text or json"),
        (("https://host:8000/v1#model", "-r", f16), "a served model shows no weights"),
    ):
        assert weights(*words) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1


def test_a_hubs_file_is_fetched_and_named_by_its_commit(
    f16: Path, member: Member, hub: LoopbackHub, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = hub.push("org/tiny", {"Q4_K_M.gguf": member("Q4_K_M").read_bytes()})
    assert weights("hf://org/tiny/Q4_K_M.gguf", "-r", f16, "--json") == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"]["path"] == f"hf://org/tiny@{commit}/Q4_K_M.gguf"


def test_it_needs_neither_torch_nor_llama_cpp_for_a_gguf(f16: Path, member: Member) -> None:
    code = (
        "import sys; from qaudit.cli.main import run\n"
        f"code = run(['weights', {str(member('Q4_K_M'))!r}, '-r', {str(f16)!r}, '--json'])\n"
        "print(code, [n for n in ('torch', 'transformers', 'llama_cpp', 'scipy') if n in sys.modules],"
        " file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr.strip() == "0 []"


def test_from_python_it_is_the_same(f16: Path, member: Member, capsys: pytest.CaptureFixture[str]) -> None:
    weights(member("eroded-Q8_0"), "-r", f16, "--json")
    document = json.loads(capsys.readouterr().out)
    look = qaudit.examine_weights(member("eroded-Q8_0"), f16, threads=1)
    assert look.metrics.weights is not None
    assert look.metrics.weights.sentence == document["metrics"]["weights"]["sentence"]
    assert (look.status, look.findings[0].id) == ("fail", document["findings"][0]["id"])
