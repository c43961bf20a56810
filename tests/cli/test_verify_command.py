import json
from pathlib import Path

import pytest
import typer
from attest.realign_record import realign_record
from attest.refusals import payload_of, resign_document
from click.testing import Result
from model_signing import hashing
from model_signing import signing as oms_signing
from release_kit import Release, make_release
from typer.testing import CliRunner

from qaudit.attest.local_key import PASSWORD_VARIABLE, generate_key
from qaudit.attest.quantization import Making
from qaudit.cli.main import run as command_line
from qaudit.cli.verify_command import verify_command
from qaudit.errors import QauditError


@pytest.fixture(params=[False, True], ids=["folder", "file"])
def signed(tmp_path: Path, request: pytest.FixtureRequest) -> Release:
    release = make_release(tmp_path, single=request.param)
    # signed now: the command verifies at the present time
    release.sign(now=None)
    return release


def run(release: Release, *options: str) -> Result:
    app = typer.Typer()
    app.command()(verify_command)
    return CliRunner().invoke(app, [str(release.checkpoint), "--key", str(release.public), *options])


def failure(result: Result) -> QauditError:
    assert isinstance(result.exception, QauditError), result.output
    return result.exception


def weights(release: Release) -> Path:
    return release.checkpoint / "weights.gguf" if release.checkpoint.is_dir() else release.checkpoint


def test_passes_and_says_what_stands_behind(signed: Release) -> None:
    result = run(signed)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "audit: approved (verdict pass) under the policy house version 1" in result.stderr
    assert "refusal: 0.930 -> 0.920 (n 120" in result.stderr


def test_says_whether_the_figures_were_counted_again(signed: Release) -> None:
    assert "recounted: no, the figures are as the report tells them: nobody asked" in run(signed).stderr
    signed.sign(now=None, recheck=lambda *_: None)
    told = run(signed).stderr
    assert (
        "recounted: yes, from the replies when it was signed; as told, for no reply decides it: first_token"
        in told
    )
    said = payload_of(signed)
    del said["predicate"]["recount"]
    resign_document(signed, said)
    assert "recounted: the signature does not say" in run(signed).stderr


def test_says_that_the_recipe_is_of_another_reference(signed: Release, tmp_path: Path) -> None:
    record = realign_record(signed.checkpoint)
    place = tmp_path / "realign.json"
    reference = json.loads(signed.report.read_text())["reference"]["sha256"]
    for digest in ("2" * 64, reference):
        record["inputs"]["reference"]["sha256"] = digest
        place.write_text(json.dumps(record))
        signed.sign(now=None, making=Making(recipe=place))
        assert ("realigned against another file" in run(signed).stderr) == (digest != reference)


def test_json_is_one_document(signed: Release) -> None:
    document = json.loads(run(signed, "--json").stdout)
    assert document["verified"] is True
    assert document["audited"] is True
    assert document["audit"]["verdict"]["decision"] == "approved"
    assert document["note"] is None
    assert (document["recipe"], document["also"]) == (None, [])
    signed.sign(now=None, also=["test-result"])
    assert json.loads(run(signed, "--json").stdout)["also"] == ["test-result"]
    assert "also signed and checked: test-result" in run(signed).stderr


@pytest.mark.parametrize("what", ["checkpoint", "report", "policy", "bundle"])
def test_a_changed_byte_fails_the_gate_with_the_name_of_the_file(signed: Release, what: str) -> None:
    folder = signed.checkpoint.is_dir()
    sidecar = {
        "report": "report.json" if folder else "model.gguf.report.json",
        "policy": "policy.yaml" if folder else "model.gguf.policy.yaml",
        "bundle": signed.bundle.name,
    }
    path = weights(signed) if what == "checkpoint" else signed.bundle.with_name(sidecar[what])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    result = run(signed, "--json")
    error = failure(result)
    assert error.exit_code == 1
    assert path.name in str(error)
    assert "\n" not in str(error)
    document = json.loads(result.stdout)
    assert document["verified"] is False
    assert any(path.name in problem for problem in document["problems"])


def test_no_json_without_asking(signed: Release) -> None:
    weights(signed).write_bytes(b"GGUF other")
    result = run(signed)
    assert failure(result).exit_code == 1
    assert result.stdout == ""


def test_a_signer_is_always_needed(signed: Release) -> None:
    app = typer.Typer()
    app.command()(verify_command)
    error = failure(CliRunner().invoke(app, [str(signed.checkpoint)]))
    assert error.exit_code == 2
    assert "there is no way to accept any" in str(error)


def test_unusable_input_ends_with_2(signed: Release, tmp_path: Path) -> None:
    assert failure(run(signed, "--bundle", str(tmp_path / "none"))).exit_code == 2
    assert failure(run(signed, "--revoked", str(tmp_path / "none"))).exit_code == 2
    assert failure(run(signed, "--ignore-paths", "x")).exit_code == 2
    assert failure(run(signed, "--key", str(signed.report))).exit_code == 2


def test_policy_and_consent(signed: Release, tmp_path: Path) -> None:
    assert run(signed, "--policy", str(signed.policy)).exit_code == 0
    other = tmp_path / "other.yaml"
    other.write_text(signed.policy.read_text().replace("house", "other"))
    assert failure(run(signed, "--policy", str(other))).exit_code == 1
    other.write_text("name: other\nversion: 1\nrequires: {suites: {core: 1}}\nverdicts: [pass]\n")
    assert run(signed, "--policy", str(other)).exit_code == 0
    other.write_text("name: other\n")
    assert failure(run(signed, "--policy", str(other))).exit_code == 2
    signed.judged("fail").sign(now=None, accept_risk="lab only [bold]")
    assert failure(run(signed)).exit_code == 1
    result = run(signed, "--accept-conditional")
    assert result.exit_code == 0
    assert "accepted risk: lab only [bold]" in result.stderr


def test_a_bare_oms_signature_says_that_it_carries_no_audit(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    hasher = hashing.Config().set_ignored_paths(paths=["model.sig"])
    signer = oms_signing.Config().use_elliptic_key_signer(private_key=release.key).set_hashing_config(hasher)
    signer.sign(release.checkpoint, release.checkpoint / "model.sig")
    result = run(release, "--json")
    assert result.exit_code == 0, result.output
    assert "carries no audit" in result.stderr
    document = json.loads(result.stdout)
    assert document["audited"] is False
    assert "carries no audit" in document["note"]
    assert failure(run(release, "--require-audit")).exit_code == 1
    (release.checkpoint / ".gitignore").write_text("x")
    assert ".gitignore" in str(failure(run(release)))
    assert run(release, "--ignore-paths", ".gitignore", "--ignore-paths", ".git").exit_code == 0
    release.checkpoint.joinpath("weights.gguf").write_bytes(b"GGUF other")
    assert "weights.gguf: changed" in str(failure(run(release, "--ignore-paths", ".gitignore")))


def test_another_key_fails_the_gate(signed: Release, tmp_path: Path) -> None:
    assert failure(run(signed, "--key", str(generate_key(tmp_path / "o.pem")))).exit_code == 1


def test_the_whole_loop_through_the_real_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    release = make_release(tmp_path)
    key = tmp_path / "new.pem"
    assert command_line(["keygen", str(key), "--type", "ed25519"]) == 0
    signing = [
        "sign",
        str(release.checkpoint),
        "--report",
        str(release.report),
        "--policy",
        str(release.policy),
    ]
    assert command_line([*signing, "--key", str(key)]) == 0
    verifying = ["verify", str(release.checkpoint), "--key", str(tmp_path / "new.pub.pem")]
    assert command_line(verifying) == 0
    capsys.readouterr()
    weights(release).write_bytes(b"GGUF other")
    assert command_line(verifying) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "weights.gguf: changed" in said.err
    assert command_line([*signing, "--key", str(key)]) == 1
    assert command_line([*signing, "--key", str(tmp_path / "none.pem")]) == 2
    assert command_line(["verify", str(release.checkpoint)]) == 2
