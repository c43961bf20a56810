"""Keyless signing as it is typed, from the audit of a lab model to a consumer without a network."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_sigstore.faults import Answer
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import SUBJECT, WORKFLOW
from loopback_sigstore.tuf_repository import TufRepository
from release_kit import Release, make_release

from qaudit.attest.identity_tokens import TOKEN_VARIABLE
from qaudit.cli.main import run
from qaudit.files import sha256_file

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Run a command line; give its exit code and what it said."""

    def type_(*words: object) -> tuple[int, str]:
        code = run([str(word) for word in words])
        printed, said = capsys.readouterr()
        return code, printed + said

    return type_


@pytest.fixture
def release(tmp_path: Path) -> Release:
    folder = tmp_path / "release"
    folder.mkdir()
    return make_release(folder, single=True)


@pytest.fixture
def trust(sigstore: LoopbackSigstore, tmp_path: Path) -> list[str]:
    return ["--trust-config", str(sigstore.write_trust_config(tmp_path / "trust.json"))]


def sign_words(release: Release) -> list[object]:
    return ["sign", release.checkpoint, "--report", release.report, "--policy", release.policy]


def files_beside(release: Release) -> set[str]:
    return {path.name for path in release.checkpoint.parent.iterdir()}


def who(sigstore: LoopbackSigstore, identity: str = SUBJECT) -> list[str]:
    return ["--identity", identity, "--issuer", sigstore.url]


def test_signed_on_the_network_and_verified_without(
    release: Release,
    sigstore: LoopbackSigstore,
    trust: list[str],
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = sigstore.token()
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    code, said = typed(*sign_words(release), "--keyless", *trust)
    assert code == 0, said
    assert token not in said
    assert f"--identity '{SUBJECT}' --issuer {sigstore.url}" in said
    sigstore.stop()
    asked = len(sigstore.asked)
    code, said = typed("verify", release.checkpoint, *who(sigstore), *trust, "--json")
    assert code == 0, said
    document: dict[str, Any] = json.JSONDecoder().raw_decode(said)[0]
    assert document["signed_by"]["identity"] == SUBJECT
    assert document["signed_by"]["issuer"] == sigstore.url
    assert document["audit"]["verdict"]["decision"] == "approved"
    assert len(sigstore.asked) == asked
    for other in (who(sigstore, SUBJECT + "x"), ["--identity", SUBJECT, "--issuer", "https://other.example"]):
        assert typed("verify", release.checkpoint, *other, *trust)[0] == 1
    for half in (["--identity", SUBJECT], ["--issuer", sigstore.url], []):
        assert typed("verify", release.checkpoint, *half, *trust)[0] == 2
    # the public instance's root knows nothing of this one
    assert typed("verify", release.checkpoint, *who(sigstore))[0] == 1


def test_the_published_sigstore_command_accepts_each_file(
    tmp_path: Path,
    sigstore: LoopbackSigstore,
    trust: list[str],
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = make_release(tmp_path)
    monkeypatch.setenv(TOKEN_VARIABLE, sigstore.token())
    assert typed(*sign_words(release), "--keyless", *trust)[0] == 0
    sigstore.stop()

    def accepts(path: Path, identity: str = SUBJECT) -> bool:
        told = [
            "--bundle",
            str(release.bundle),
            "--cert-identity",
            identity,
            "--cert-oidc-issuer",
            sigstore.url,
        ]
        words = [sys.executable, "-m", "sigstore", *trust, "verify", "identity", *told, str(path)]
        return subprocess.run(words, capture_output=True).returncode == 0

    assert accepts(release.checkpoint / "weights.gguf")
    assert accepts(release.checkpoint / "tokenizer" / "vocab.txt")
    assert not accepts(release.report)
    assert not accepts(release.checkpoint / "weights.gguf", "https://stranger.example/")


def test_a_ci_jobs_own_token_and_a_tuf_repository(
    release: Release,
    sigstore: LoopbackSigstore,
    typed: Typed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in sigstore.oidc.ambient_environment().items():
        monkeypatch.setenv(name, value)
    repository = TufRepository(sigstore)
    (tmp_path / "root.json").write_bytes(repository.first_root)
    tuf = ["--tuf-url", repository.url, "--tuf-root", str(tmp_path / "root.json")]
    code, said = typed(*sign_words(release), "--keyless", *tuf)
    assert code == 0, said
    repository.rotate_root()
    workflow = who(sigstore, f"https://github.com/{WORKFLOW}")
    ran = ["--workflow-repository", "example/models", "--workflow-ref", "refs/heads/main"]
    code, said = typed("verify", release.checkpoint, *workflow, *ran, *tuf)
    assert code == 0, said
    ran[-1] = "refs/heads/feature"
    assert typed("verify", release.checkpoint, *workflow, *ran, *tuf)[0] == 1
    with repository.rolled_back():
        repository.publish()
        assert typed("verify", release.checkpoint, *workflow, *tuf)[0] == 0
    code, said = typed("verify", release.checkpoint, *workflow, *tuf)
    assert code == 1
    assert "the TUF metadata does not verify" in said


FAILURES: dict[str, tuple[str, Answer]] = {
    "authority down": ("/api/v2/signingCert", Answer(500, b'{"message": "out of order"}')),
    "authority talks nonsense": ("/api/v2/signingCert", Answer(200, b"<html>portal</html>", "text/html")),
    "authority sends no chain": ("/api/v2/signingCert", Answer(200, b"{}")),
    "log down": ("/api/v1/log/entries", Answer(503, b"")),
    "log talks nonsense": ("/api/v1/log/entries", Answer(201, b"[]")),
}


def refused_and_left_nothing(release: Release, code: int, said: str, *secrets: str) -> None:
    assert code == 2, said
    assert "nothing was written" in said
    assert len([line for line in said.splitlines() if "nothing was written" in line]) == 1
    assert "Traceback" not in said
    assert not any(secret in said for secret in secrets)
    assert files_beside(release) == {release.checkpoint.name, "desk"}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_service_that_fails_leaves_nothing(
    release: Release,
    sigstore: LoopbackSigstore,
    trust: list[str],
    typed: Typed,
    tmp_path: Path,
    failure: str,
) -> None:
    path, answer = FAILURES[failure]
    sigstore.faults.answers[path] = answer
    token = tmp_path / "token"
    token.write_text(sigstore.token())
    code, said = typed(*sign_words(release), "--identity-token", token, *trust)
    refused_and_left_nothing(release, code, said, token.read_text())


LIES: dict[str, dict[str, Any]] = {
    "no SCT": {"scts": 0},
    "an entry for other bytes": {"entry": lambda entry: entry | {"spec": entry["spec"] | {"payloadHash": {"algorithm": "sha256", "value": "0" * 64}}}},
    "a proof from another tree": {"other_tree": True},
    "no proof": {"log_reply": lambda told: told | {"verification": {"signedEntryTimestamp": told["verification"]["signedEntryTimestamp"]}}},
    "a timestamp of other bytes": {"stamp": lambda stamp: type(stamp)(bytes(32), stamp.time)},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_service_that_lies_is_met_at_signing(
    release: Release,
    sigstore: LoopbackSigstore,
    trust: list[str],
    typed: Typed,
    tmp_path: Path,
    lie: str,
) -> None:
    for name, value in LIES[lie].items():
        setattr(sigstore.faults, name, value)
    token = tmp_path / "token"
    token.write_text(sigstore.token())
    code, said = typed(*sign_words(release), "--identity-token", token, *trust)
    refused_and_left_nothing(release, code, said, token.read_text())


def test_a_service_that_hangs_or_is_gone(
    release: Release,
    sigstore: LoopbackSigstore,
    trust: list[str],
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = sigstore.token()
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    monkeypatch.setattr("qaudit.attest.service_calls.DEADLINE_S", 0.5)
    sigstore.faults.hangs.add("/api/v1/log/entries")
    code, said = typed(*sign_words(release), "--keyless", *trust)
    refused_and_left_nothing(release, code, said, token)
    sigstore.stop()
    code, said = typed(*sign_words(release), "--keyless", *trust)
    refused_and_left_nothing(release, code, said, token)


def test_the_token_does_not_follow_a_redirect_elsewhere(
    release: Release,
    start_sigstore: Callable[..., LoopbackSigstore],
    typed: Typed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sigstore, stranger = start_sigstore(), start_sigstore()
    config = sigstore.write_trust_config(tmp_path / "trust.json")
    token = sigstore.token()
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    elsewhere = stranger.url.replace("127.0.0.1", "localhost") + "/api/v2/signingCert"
    sigstore.faults.redirect("/api/v2/signingCert", elsewhere)
    code, said = typed(*sign_words(release), "--keyless", "--trust-config", config)
    refused_and_left_nothing(release, code, said, token)
    assert not any("authorization" in asked.headers for asked in stranger.asked)


def audit(typed: Typed, candidate: Path, reference: Path, out: Path, *options: object) -> tuple[int, Path]:
    code, _ = typed("audit", candidate, "-r", reference, "-o", out, "-t", 1, *options)
    return code, out / "report.json"


def test_audited_signed_verified_and_a_failing_one_refused(
    member: Callable[[str], Path],
    q8: Path,
    f16: Path,
    sigstore: LoopbackSigstore,
    trust: list[str],
    typed: Typed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # audits take longer than tokens usually last
    monkeypatch.setenv(TOKEN_VARIABLE, sigstore.token(lifetime_s=36_000))
    code, report = audit(typed, q8, f16, tmp_path / "good")
    assert code == 0
    bundle = tmp_path / "q8.sigstore.json"
    code, said = typed("sign", q8, "--report", report, "--keyless", "--out", bundle, *trust)
    assert code == 0, said
    broken = member("ablated-Q4_K_M")
    code, report = audit(typed, broken, f16, tmp_path / "bad", "-s", "lab-core", "--limit", 16)
    assert code == 1
    code, said = typed(
        "sign", broken, "--report", report, "--keyless", "--out", tmp_path / "bad.sigstore.json", *trust
    )
    assert code == 1, said
    assert not (tmp_path / "bad.sigstore.json").exists()
    sigstore.stop()
    code, said = typed("verify", q8, "--bundle", bundle, *who(sigstore), *trust, "--policy", "default")
    assert code == 0, said
    # the good one's approval does not cover the other
    assert typed("verify", broken, "--bundle", bundle, *who(sigstore), *trust)[0] == 1


@pytest.mark.slow
def test_realigned_audited_signed_verified(
    member: Callable[[str], Path],
    f16: Path,
    sigstore: LoopbackSigstore,
    trust: list[str],
    typed: Typed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv(TOKEN_VARIABLE, sigstore.token(lifetime_s=36_000))
    out = tmp_path / "new.gguf"
    code, said = typed("realign", member("Q2_K-pure"), "-r", f16, "-o", out, "-m", "plain", "--to", "gguf:Q8_0", "-t", 1)  # fmt: skip
    assert code == 0, said
    code, report = audit(typed, out, f16, tmp_path / "again")
    assert code == 0
    code, said = typed("sign", out, "--report", report, "--keyless", *trust)
    assert code == 0, said
    sigstore.stop()
    code, said = typed("verify", out, *who(sigstore), *trust, "--json")
    assert code == 0, said
    predicate = json.JSONDecoder().raw_decode(said)[0]["audit"]
    recipe = tmp_path / "new.gguf.realign" / "realign.json"
    assert predicate["quantization"]["recipe"]["digest"]["sha256"] == sha256_file(recipe)
    assert predicate["quantization"]["type"] == "Q8_0"
