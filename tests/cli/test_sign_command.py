import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from release_kit import Release, make_release, report_for
from typer.testing import CliRunner

from qaudit.attest import verify
from qaudit.attest.local_key import PASSWORD_VARIABLE, generate_key
from qaudit.cli.sign_command import sign_command
from qaudit.errors import QauditError
from qaudit.shipped import shipped


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
    policy = (shipped("policies") / "default.yaml").read_bytes()
    report = report_for(release.checkpoint, policy)
    report["verdict"]["policy"]["name"] = "default"
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
    assert result.exit_code == 2


def test_a_key_that_others_can_read_is_warned_about(release: Release) -> None:
    assert "warning" not in run(release).stderr
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
