import json
from pathlib import Path

import pytest
import typer
from attacks.gguf_builder import STRING, small_model
from attest.realign_record import realign_record
from click.testing import Result
from release_kit import Release, file_rows, make_release, sha256
from sample_report import passing_report
from typer.testing import CliRunner

from qaudit.attest import verify
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.local_key import PASSWORD_VARIABLE, generate_key
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.cli.sign_command import sign_command
from qaudit.errors import QauditError
from qaudit.report import json_report


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    return make_release(tmp_path, single=True)


def run(release: Release, *options: str, key: Path | None = None) -> Result:
    app = typer.Typer()
    app.command()(sign_command)
    arguments = [
        str(release.checkpoint),
        *("--report", str(release.report), "--key", str(key or release.key), "--policy", str(release.policy)),
        *options,
    ]
    return CliRunner().invoke(app, arguments)


def failure(result: Result) -> QauditError:
    assert isinstance(result.exception, QauditError), result.output
    assert result.stdout == ""
    return result.exception


def test_signs_and_says_where(release: Release) -> None:
    result = run(release)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "signed as approved: 1 file, report and policy" in result.stderr
    assert str(release.bundle) in result.stderr
    assert verify(release.checkpoint, key=release.public).audited


def test_json_is_one_document(release: Release, tmp_path: Path) -> None:
    result = run(release, "--json", "--out", str(tmp_path / "o" / "m.sigstore.json"), "--valid-days", "7")
    document = json.loads(result.stdout)
    assert document["signed"] is True
    assert document["files"] == 1
    assert document["recounted"] is False
    assert "responses.jsonl is not beside the report" in result.stderr
    assert Path(document["bundle"]) == tmp_path / "o" / "m.sigstore.json"
    verified = verify(release.checkpoint, key=release.public, bundle=document["bundle"])
    assert verified.statement_sha256 == document["statement_sha256"]
    assert verified.audit is not None
    assert verified.audit.notAfter == document["not_after"]


def test_a_failed_audit_is_not_signed_unless_the_risk_is_accepted(release: Release) -> None:
    failed = release.judged("fail")
    error = failure(run(failed))
    assert error.exit_code == 1
    assert "--accept-risk" in str(error)
    result = run(failed, "--accept-risk", "internal test", "--json")
    assert json.loads(result.stdout)["decision"] == "conditional"


def test_other_bytes_are_not_signed(release: Release) -> None:
    release.checkpoint.write_bytes(b"GGUF other")
    error = failure(run(release))
    assert error.exit_code == 1
    assert "model.gguf: changed" in str(error)


def test_the_shipped_policy_is_the_default(release: Release) -> None:
    report = json.loads(json_report.dump(passing_report()))
    (file,) = report["checkpoint"]["files"] = file_rows(release.checkpoint)
    report["checkpoint"]["sha256"] = file["sha256"]
    report["suites"][0]["name"] = "house"
    release.report.write_text(json.dumps(report))
    app = typer.Typer()
    app.command()(sign_command)
    arguments = [str(release.checkpoint), "--report", str(release.report), "--key", str(release.key)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert verify(release.checkpoint, key=release.public, policy="default").audited


@pytest.mark.parametrize("missing", ["--report", "--key"])
def test_report_and_key_are_needed(release: Release, missing: str) -> None:
    app = typer.Typer()
    app.command()(sign_command)
    given = {"--report": str(release.report), "--key": str(release.key)}
    del given[missing]
    result = CliRunner().invoke(
        app, [str(release.checkpoint), *(word for pair in given.items() for word in pair)]
    )
    if missing == "--key":
        assert "say who signs" in str(failure(result))
    else:
        assert result.exit_code == 2


def test_a_key_that_others_can_read_is_warned_about(release: Release) -> None:
    assert "others can read" not in run(release).stderr
    release.key.chmod(0o644)
    result = run(release)
    assert result.exit_code == 0
    assert f"chmod 600 {release.key}" in result.stderr


def test_passwords_and_keys_are_never_shown(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    key = release.key.with_name("encrypted.pem")
    generate_key(key, "p256", "pass-phrase-1")
    assert "set QAUDIT_KEY_PASSWORD or run in a terminal" in str(failure(run(release, key=key)))
    monkeypatch.setenv(PASSWORD_VARIABLE, "pass-phrase-2")
    error = failure(run(release, key=key))
    assert error.exit_code == 2
    assert "pass-phrase" not in str(error)
    monkeypatch.setenv(PASSWORD_VARIABLE, "pass-phrase-1")
    result = run(release, "--json", key=key)
    assert result.exit_code == 0
    secret = key.read_text().splitlines()[1]
    assert "pass-phrase" not in result.output
    assert secret not in result.output


def test_a_report_that_was_edited_is_not_signed(release: Release) -> None:
    report = json.loads(release.judged("fail").report.read_text())
    report["verdict"]["status"] = "pass"
    release.report.write_text(json.dumps(report))
    error = failure(run(release))
    assert error.exit_code == 1
    assert "says pass, and its own rules do not (rtsi); the report was changed" in str(error)
    report["verdict"]["rules"][0]["status"] = "pass"
    release.report.write_text(json.dumps(report))
    assert "the rule rtsi on rtsi.risk gives fail, and it says pass" in str(failure(run(release)))
    assert not release.bundle.exists()


def test_replies_that_were_edited_are_not_signed_over(release: Release) -> None:
    (release.report.parent / "responses.jsonl").write_text("{}")
    assert "responses.jsonl beside it is not the one" in str(failure(run(release)))


def test_summaries_on_request(release: Release) -> None:
    uri = "https://models.example.com/model.gguf"
    result = run(release, "--also", "vsa", "--also", "test-result", "--resource-uri", uri, "--json")
    document = json.loads(result.stdout)
    places = {kind: f"{release.checkpoint}.{kind}.sigstore.json" for kind in ("vsa", "test-result")}
    assert document["also"] == places
    assert all(f"{kind}: {place}" in result.stderr for kind, place in places.items())
    payload = json.loads(parse_bundle(Path(places["vsa"]).read_bytes(), "b").payload)
    assert payload["predicate"]["resourceUri"] == uri
    assert verify(release.checkpoint, key=release.public).summaries == ("vsa", "test-result")
    assert run(release, "--also", "svr").exit_code == 2


def test_a_conditional_release_gets_no_verification_summary(release: Release) -> None:
    error = failure(run(release.judged("fail"), "--accept-risk", "internal", "--also", "vsa"))
    assert error.exit_code == 1
    assert "drop --also vsa" in str(error)


def test_how_it_was_quantized_is_signed(release: Release, tmp_path: Path) -> None:
    matrix = tmp_path / "imatrix.dat"
    matrix.write_bytes(b"importance")
    assert run(release, "--quantizer", "llama.cpp@b4512", "--imatrix", str(matrix)).exit_code == 0
    audit = verify(release.checkpoint, key=release.public).audit
    assert audit is not None
    assert audit.quantization.quantizer is not None
    assert audit.quantization.quantizer.version == "b4512"
    assert audit.quantization.imatrix is not None
    assert audit.quantization.imatrix.digest.sha256 == sha256(b"importance")
    assert "--quantizer" in str(failure(run(release, "--quantizer", "llama.cpp")))


def test_the_header_s_claims_are_signed_as_such(release: Release) -> None:
    model = small_model()
    model.pairs += [("quantize.imatrix.file", STRING, "im.dat"), ("general.quantized_by", STRING, "someone")]
    model.write(release.checkpoint)
    again = release.audited_again()
    told = json.loads(again.report.read_text())
    info = open_checkpoint(release.checkpoint).info
    told["checkpoint"] |= {"quantization": info.quantization, "parameters": info.parameters}
    again.report.write_text(json.dumps(told))
    assert run(again).exit_code == 0
    audit = verify(release.checkpoint, key=release.public).audit
    assert audit is not None
    assert audit.quantization.claims is not None
    assert audit.quantization.claims.model_dump(exclude_none=True) == {
        "imatrix": "im.dat",
        "quantizer": "someone",
    }


def test_the_recipe_beside_it_or_named(release: Release, tmp_path: Path) -> None:
    record = tmp_path / "recipe.json"
    record.write_text(json.dumps(realign_record(release.checkpoint)))
    result = run(release, "--recipe", str(record), "--json")
    document = json.loads(result.stdout)
    assert document["recipe"] == f"{release.checkpoint}.realign.json"
    assert f"recipe: {document['recipe']}" in result.stderr
    release.checkpoint.write_bytes(b"GGUF of another model")
    error = failure(run(release.audited_again(), "--recipe", str(record)))
    assert "recipe.json: is the recipe of other bytes" in str(error)


def test_a_missing_key_is_told_of(release: Release, tmp_path: Path) -> None:
    error = failure(run(release, key=tmp_path / "none.pem"))
    assert error.exit_code == 2
    assert "none.pem" in str(error)


def test_no_bundle_goes_over_a_key(release: Release) -> None:
    before = release.key.read_bytes()
    assert "must end with .sigstore.json" in str(failure(run(release, "--out", str(release.key))))
    assert release.key.read_bytes() == before


def test_a_planted_file_is_not_the_policy(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").write_bytes(release.policy.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert "write ./default for the file" in str(failure(run(release, "--policy", "default")))
