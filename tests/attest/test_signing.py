import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from release_kit import NOW, Release, report_for, sha256

from qaudit import shipped
from qaudit.attest import signing, verify
from qaudit.attest.local_key import PASSWORD_VARIABLE, generate_key
from qaudit.attest.release_terms import read_policy
from qaudit.errors import GateFailure, InputError, MalformedFile, OutputProblem
from qaudit.shipped import shipped_names


def test_signs_a_folder(release: Release) -> None:
    signed = release.sign()
    sidecar = release.checkpoint / ".qaudit"
    assert sorted(p.name for p in sidecar.iterdir()) == ["audit.sigstore.json", "policy.yaml", "report.json"]
    assert (sidecar / "report.json").read_bytes() == release.report.read_bytes()
    assert (sidecar / "policy.yaml").read_bytes() == release.policy.read_bytes()
    assert signed.decision == "approved"
    assert signed.not_after == "2027-08-01T12:00:00Z"
    assert [file.path for file in signed.files] == ["config.json", "tokenizer/vocab.txt", "weights.gguf"]


def test_signing_again_replaces_the_signature(release: Release) -> None:
    first = release.sign().statement_sha256
    second = release.sign(valid_days=1)
    assert second.statement_sha256 != first
    assert verify(release.checkpoint, key=release.public, now=NOW).statement_sha256 == second.statement_sha256


@pytest.mark.parametrize("status", ["fail", "inconclusive"])
def test_refuses_when_the_verdict_is_not_pass(release: Release, status: str) -> None:
    with pytest.raises(GateFailure, match=rf"verdict is {status} \(rtsi\)"):
        release.judged(status).sign()
    assert not (release.checkpoint / ".qaudit").exists()


def test_an_accepted_risk_is_signed(release: Release) -> None:
    failed = release.judged("fail")
    signed = failed.sign(accept_risk="  internal test only  ")
    assert signed.decision == "conditional"
    verified = verify(release.checkpoint, key=release.public, now=NOW, accept_conditional=True)
    assert verified.audit is not None
    assert verified.audit.verdict.acceptedRisk == "internal test only"
    assert verified.audit.verdict.status == "fail"


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "\x1b[31m", "x" * 1001])
def test_a_risk_needs_a_plain_reason(release: Release, reason: str) -> None:
    with pytest.raises(InputError, match="--accept-risk"):
        release.judged("fail").sign(accept_risk=reason)


def test_there_is_no_risk_to_accept_in_a_pass(release: Release) -> None:
    with pytest.raises(InputError, match="no risk to accept"):
        release.sign(accept_risk="why not")


def changed_byte(release: Release) -> str:
    path = release.checkpoint / "weights.gguf"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    return "weights.gguf: changed"


def added_file(release: Release) -> str:
    (release.checkpoint / ".gitattributes").write_text("x")
    return ".gitattributes: extra"


def removed_file(release: Release) -> str:
    (release.checkpoint / "config.json").unlink()
    return "config.json: missing"


def renamed_file(release: Release) -> str:
    (release.checkpoint / "config.json").rename(release.checkpoint / "a_evil.py")
    return "config.json: renamed to a_evil.py"


@pytest.mark.parametrize("change", [changed_byte, added_file, removed_file, renamed_file])
def test_refuses_a_report_of_other_bytes(release: Release, change: object) -> None:
    assert callable(change)
    says = change(release)
    with pytest.raises(GateFailure, match="not the bytes that") as caught:
        release.sign()
    assert says in str(caught.value)
    assert not (release.checkpoint / ".qaudit").exists()


def test_refuses_a_report_whose_sizes_are_wrong(release: Release) -> None:
    report = json.loads(release.report.read_text())
    report["checkpoint"]["files"][0]["size"] += 1
    release.report.write_text(json.dumps(report))
    with pytest.raises(GateFailure, match="sizes differ"):
        release.sign()


def test_refuses_a_changed_policy(release: Release) -> None:
    release.policy.write_text(release.policy.read_text() + "# looser\n")
    with pytest.raises(GateFailure, match=r"house\.yaml: not the policy that judged"):
        release.sign()


def test_takes_the_shipped_policy_that_the_report_names(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="'house', which is not a shipped one"):
        release.sign(policy=None)
    policies = tmp_path / "policies"
    policies.mkdir()
    monkeypatch.setattr(shipped, "shipped", lambda kind: tmp_path / kind)
    (policies / "house.yaml").write_bytes(release.policy.read_bytes())
    assert shipped_names("policies") == {"house": policies / "house.yaml"}
    release.sign(policy=None)
    release.sign(policy="house")
    assert read_policy("house") == release.policy.read_bytes()
    (policies / "house.yaml").write_text("name: house\nversion: 2\n")
    with pytest.raises(GateFailure, match="not the policy that judged"):
        release.sign(policy=None)


def test_unknown_policy(release: Release) -> None:
    with pytest.raises(InputError, match="neither a policy file nor"):
        release.sign(policy="nosuchpolicy")


@pytest.mark.parametrize("text", [b"[1, 2]", b"a: [", b"\xff\xfe\x00", b""])
def test_a_policy_that_is_not_one(release: Release, text: bytes) -> None:
    release.policy.write_bytes(text)
    with pytest.raises(InputError, match=r"not a (YAML file|policy)"):
        release.audited_again().sign()


def test_bad_reports(release: Release) -> None:
    release.report.write_text('{"schema": "qaudit/report/v1"}')
    with pytest.raises(MalformedFile, match=r"report\.json"):
        release.sign()
    with pytest.raises(InputError, match="cannot be read"):
        replace(release, report=release.report.with_name("none.json")).sign()


def test_unsignable_trees_and_missing_checkpoints(release: Release) -> None:
    (release.checkpoint / "link").symlink_to("config.json")
    with pytest.raises(InputError, match="link: a symbolic link"):
        release.sign()
    with pytest.raises(InputError, match="No such file"):
        replace(release, checkpoint=release.checkpoint / "nothing").sign()


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_validity_is_bounded(release: Release, days: int) -> None:
    with pytest.raises(InputError, match="valid days"):
        release.sign(valid_days=days)


def test_out_puts_report_and_policy_beside_the_bundle(release: Release, tmp_path: Path) -> None:
    out = tmp_path / "sidecar" / "model.sigstore.json"
    release.sign(out=out)
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "model.policy.yaml",
        "model.report.json",
        "model.sig",
        "model.sigstore.json",
    ]
    assert not (release.checkpoint / ".qaudit").exists()
    verify(release.checkpoint, key=release.public, bundle=out, now=NOW)
    with pytest.raises(InputError, match="inside the signed checkpoint"):
        release.sign(out=release.checkpoint / "model.sigstore.json")


def test_unwritable_places_leave_nothing(release: Release, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(OutputProblem):
        release.sign(out=tmp_path / "blocked" / "x.sigstore.json")
    (release.checkpoint / ".qaudit").write_text("a file")
    with pytest.raises(OutputProblem):
        release.audited_again().sign()


def test_encrypted_key_with_the_password_from_the_environment(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = release.key.with_name("secret.pem")
    public = generate_key(key, "p256", "s3cret-pass")
    encrypted = replace(release, key=key, public=public)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(InputError, match="set QAUDIT_KEY_PASSWORD"):
        encrypted.sign()
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong-pass")
    with pytest.raises(InputError, match="does not open") as caught:
        encrypted.sign()
    assert "wrong-pass" not in str(caught.value)
    monkeypatch.setenv(PASSWORD_VARIABLE, "s3cret-pass")
    encrypted.sign()
    verify(release.checkpoint, key=public, now=NOW)
    written = b"".join(p.read_bytes() for p in (release.checkpoint / ".qaudit").iterdir())
    assert b"s3cret-pass" not in written
    assert b"PRIVATE" not in written


def test_split_file_is_signed_as_a_whole(release: Release, tmp_path: Path) -> None:
    parts = [tmp_path / f"m-0000{n}-of-00002.gguf" for n in (1, 2)]
    for part in parts:
        part.write_bytes(part.name.encode())
    report = report_for(parts[0], release.policy.read_bytes())
    rows = [{"path": p.name, "size": p.stat().st_size, "sha256": sha256(p.read_bytes())} for p in parts]
    report["checkpoint"]["files"] = rows
    release.report.write_text(json.dumps(report))
    split = replace(release, checkpoint=parts[1])
    assert split.sign().places.bundle == tmp_path / "m-00001-of-00002.gguf.sigstore.json"
    for part in parts:
        assert len(verify(part, key=release.public, now=NOW).names) == 2


@pytest.mark.parametrize("blocked", ["cryptography", "rfc8785"])
def test_missing_extra_is_named(blocked: str) -> None:
    code = (
        f"import sys; sys.modules[{blocked!r}] = None\n"
        "from qaudit.errors import MissingExtra\n"
        "try:\n    import qaudit.attest\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(signing.__file__).parents[2])},
    )
    assert done.stdout.strip() == f"{blocked} is not installed; run: pip install 'qaudit[sign]'"


def test_the_bundle_is_named_like_one(release: Release) -> None:
    before = release.key.read_bytes()
    with pytest.raises(InputError, match=r"must end with \.sigstore\.json; give key\.pem\.sigstore\.json"):
        release.sign(out=release.key)
    assert release.key.read_bytes() == before


def test_a_resource_without_a_summary_that_names_it_is_refused(release: Release) -> None:
    for also in ((), ("test-result",)):
        with pytest.raises(InputError, match="add --also vsa"):
            release.sign(resource_uri="https://example.org/m", also=also)
    assert release.sign(resource_uri="https://example.org/m", also=("vsa",)).also == ("vsa",)


def test_facts_that_no_statement_can_hold_are_told_of(release: Release) -> None:
    report = json.loads(release.report.read_text())
    report["checkpoint"]["parameters"] = 10**19
    release.report.write_text(json.dumps(report))
    with pytest.raises(InputError, match=r"cannot be signed: .*parameters"):
        release.sign()


def test_whether_the_figures_were_counted_again_is_told(release: Release) -> None:
    assert not release.sign().recounted
    assert release.sign(recheck=lambda *_: None).recounted
    assert release.sign(recheck=lambda *_: "no replies").why_not_recounted == "no replies"
