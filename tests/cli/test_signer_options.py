import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from certificate_kit import SIGNER, authority, write_pem
from cryptography.hazmat.primitives import serialization
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import WORKFLOW
from loopback_sigstore.tuf_repository import TufRepository
from release_kit import Release, make_release

from qaudit.attest.certificate_mode import CertificateSealer, CertificateTrust
from qaudit.attest.keyless_signing import KeylessSealer
from qaudit.attest.keyless_verifying import Identity
from qaudit.attest.local_key import PASSWORD_VARIABLE, KeySigner
from qaudit.cli.main import run
from qaudit.cli.signer_options import Instance, expected_certificate, expected_identity, sealer_for
from qaudit.errors import EnvironmentProblem, InputError

NOWHERE = Instance(None, False, None, None)
ISSUER = "https://issuer.example"


@dataclass
class Signing:
    """The options of `qaudit sign` and the warnings that they led to."""

    warnings: list[str]

    def __call__(self, **options: Any) -> object:
        given = {"key": None, "certificate": None, "chain": [], "keyless": False, "identity_token": None}
        return sealer_for(**(given | {"instance": NOWHERE, "warn": self.warnings.append} | options))


@pytest.fixture
def signing(monkeypatch: pytest.MonkeyPatch) -> Signing:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.delenv("SIGSTORE_ID_TOKEN", raising=False)
    return Signing([])


@pytest.fixture
def config(sigstore: LoopbackSigstore, tmp_path: Path) -> Path:
    return sigstore.write_trust_config(tmp_path / "trust.json")


def test_a_key_signs_and_loose_permissions_are_warned_about(signing: Signing, tmp_path: Path) -> None:
    release = make_release(tmp_path)
    assert isinstance(signing(key=release.key), KeySigner)
    assert signing.warnings == []
    release.key.chmod(0o644)
    signing(key=release.key)
    assert "others can read or change this private key" in signing.warnings[0]


def test_a_certificate_signs_with_its_key(signing: Signing, tmp_path: Path) -> None:
    root = authority()
    signer = root.issue()
    key = tmp_path / "key.pem"
    key.write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    key.chmod(0o600)
    certificate = write_pem(tmp_path / "leaf.pem", signer.certificate)
    sealer = signing(
        key=key, certificate=certificate, chain=[write_pem(tmp_path / "root.pem", root.certificate)]
    )
    assert isinstance(sealer, CertificateSealer)
    with pytest.raises(InputError, match="--key FILE with --certificate FILE"):
        signing(certificate=certificate)
    with pytest.raises(InputError, match="--chain: give the signer's certificate"):
        signing(key=key, chain=[certificate])


def test_somebody_must_sign(signing: Signing) -> None:
    with pytest.raises(InputError, match=r"say who signs: --key FILE, .* or --keyless"):
        signing()


@pytest.mark.parametrize(
    "options",
    [
        {"keyless": True},
        {"identity_token": "-"},
        {"instance": replace(NOWHERE, staging=True)},
        {"instance": replace(NOWHERE, trust_config=Path("x"))},
    ],
)
def test_two_ways_of_signing_are_one_too_many(signing: Signing, options: dict[str, Any]) -> None:
    for other in ({"key": Path("k")}, {"certificate": Path("c")}):
        with pytest.raises(InputError, match="give one"):
            signing(**options, **other)


def test_a_token_from_a_file_signs(
    signing: Signing, sigstore: LoopbackSigstore, config: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(sigstore.token())
    sealer = signing(identity_token=str(token), instance=replace(NOWHERE, trust_config=config))
    assert isinstance(sealer, KeylessSealer)
    assert signing.warnings == []


def test_a_token_on_the_command_line_is_warned_about(
    signing: Signing, sigstore: LoopbackSigstore, config: Path
) -> None:
    token = sigstore.token()
    signing(identity_token=token, instance=replace(NOWHERE, trust_config=config))
    (warning,) = signing.warnings
    assert "process lists" in warning
    assert token not in warning


def test_the_environments_token_is_taken(
    signing: Signing, sigstore: LoopbackSigstore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", "garbage")
    with pytest.raises(InputError, match="SIGSTORE_ID_TOKEN: holds no identity token"):
        signing(keyless=True, instance=replace(NOWHERE, trust_config=config))


def test_without_token_or_terminal_nothing_is_signed(
    signing: Signing, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = signing(keyless=True, instance=replace(NOWHERE, trust_config=config))
    assert isinstance(sealer, KeylessSealer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    statement = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "p", "predicate": {}}
    statement["subject"] = [{"name": "m", "digest": {"sha256": "0" * 64}}]
    with pytest.raises(InputError, match="nobody is here to log in"):
        sealer.seal(json.dumps(statement).encode())


def test_an_instance_is_one(tmp_path: Path, sigstore: LoopbackSigstore, config: Path) -> None:
    assert "production" in NOWHERE.trust(fresh=False).name
    assert "staging" in replace(NOWHERE, staging=True).trust(fresh=False).name
    repository = TufRepository(sigstore)
    root = tmp_path / "root.json"
    root.write_bytes(repository.first_root)
    by_tuf = replace(NOWHERE, tuf_url=repository.url, tuf_root=root).trust(fresh=False)
    assert by_tuf.trusted_root == replace(NOWHERE, trust_config=config).trust(fresh=True).trusted_root
    with pytest.raises(InputError, match="name different instances; give one"):
        Instance(config, True, None, None).trust(fresh=False)
    with pytest.raises(InputError, match="--tuf-root: give the repository too"):
        replace(NOWHERE, tuf_root=root).trust(fresh=False)


@pytest.mark.parametrize(
    ("named", "which"),
    [
        ({}, "public Sigstore instance"),
        ({"staging": True}, "public Sigstore staging instance"),
        ({"tuf_url": "https://tuf-repo-cdn.sigstore.dev/"}, "public Sigstore instance"),
    ],
)
def test_signing_with_a_public_instance_asks_for_its_present_state(
    signing: Signing,
    sigstore: LoopbackSigstore,
    monkeypatch: pytest.MonkeyPatch,
    named: dict[str, Any],
    which: str,
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(EnvironmentProblem, match="cannot be fetched"):
        signing(keyless=True, instance=replace(NOWHERE, **named))
    # said before anything leaves this machine
    assert f"{which} publishes your identity" in signing.warnings[0]


def test_an_identity_needs_its_issuer(config: Path) -> None:
    given: Callable[..., Identity | None] = lambda **options: expected_identity(  # noqa: E731
        **({"name": None, "issuer": None, "workflow": {"ref": None}, "instance": NOWHERE} | options)
    )
    private = replace(NOWHERE, trust_config=config)
    assert given() is None
    whole = given(name="ann@example.com", issuer=ISSUER, workflow={"ref": "main"}, instance=private)
    assert whole is not None
    assert (whole.name, whole.issuer, whole.workflow.ref) == ("ann@example.com", ISSUER, "main")
    assert whole.trust is not None
    assert whole.trust.name == str(config)
    with pytest.raises(InputError, match="--issuer: give the identity too"):
        given(issuer=ISSUER)
    for alone in ({"instance": private}, {"workflow": {"ref": "main"}}):
        with pytest.raises(InputError, match="give --identity and --issuer too"):
            given(**alone)


def test_certificate_roots_need_a_name_and_no_issuer() -> None:
    roots = [Path("root.pem")]
    assert expected_certificate([], None, None) is None
    assert expected_certificate([], "ann@example.com", ISSUER) is None
    assert expected_certificate(roots, SIGNER, None) == CertificateTrust((Path("root.pem"),), SIGNER)
    with pytest.raises(InputError, match="who vouches for it"):
        expected_certificate([], SIGNER, None)
    with pytest.raises(InputError, match="different modes"):
        expected_certificate(roots, SIGNER, ISSUER)
    with pytest.raises(InputError, match="give the signer's name"):
        expected_certificate(roots, None, None)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path)


def test_keyless_through_the_real_command_line(
    release: Release,
    sigstore: LoopbackSigstore,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in sigstore.oidc.ambient_environment().items():
        monkeypatch.setenv(name, value)
    path, instance = str(release.checkpoint), ["--trust-config", str(config)]
    signing = ["sign", path, "--report", str(release.report), "--policy", str(release.policy)]
    assert run([*signing, "--keyless", *instance, "--json"]) == 0
    signed = json.loads(capsys.readouterr().out)
    machine = f"https://github.com/{WORKFLOW}"
    assert signed["signed_by"] == {"identity": machine, "issuer": sigstore.url}
    sigstore.stop()
    who = ["--identity", machine, "--issuer", sigstore.url]
    ran = ["--workflow-repository", "example/models", "--workflow-trigger", "push"]
    assert run(["verify", path, *who, *ran, *instance, "--json"]) == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified["signed_by"]["mode"] == "keyless"
    assert verified["signed_by"]["identity"] == machine
    assert verified["signed_by"]["signed_at"].endswith("Z")
    assert verified["signed_by"]["key_sha256"] is None
    assert run(["verify", path, *who, *instance]) == 0
    assert f"is as signed by {machine} ({sigstore.url}) at " in capsys.readouterr().err
    assert run(["verify", path, *who, "--workflow-ref", "refs/heads/other", *instance]) == 1
    assert "the workflow's ref is not 'refs/heads/other'" in capsys.readouterr().err
    assert run(["verify", path, "--key", str(release.public)]) == 1
    assert run(["verify", path, *who, "--key", str(release.public), *instance]) == 2
    assert run(["verify", path]) == 2
    assert "there is no way to accept any" in capsys.readouterr().err


def test_a_failed_audit_asks_for_no_token(
    release: Release, sigstore: LoopbackSigstore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sigstore.oidc.ambient_environment().items():
        monkeypatch.setenv(name, value)
    failed = release.judged("fail")
    arguments = [str(failed.checkpoint), "--report", str(failed.report), "--policy", str(failed.policy)]
    assert run(["sign", *arguments, "--keyless", "--trust-config", str(config)]) == 1
    assert sigstore.asked == []
    assert not (failed.checkpoint / ".qaudit").exists()


def test_a_service_that_fails_leaves_nothing(
    release: Release, sigstore: LoopbackSigstore, config: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(sigstore.token())
    sigstore.faults.other_tree = True
    arguments = [str(release.checkpoint), "--report", str(release.report), "--policy", str(release.policy)]
    before = sorted(release.checkpoint.rglob("*"))
    assert run(["sign", *arguments, "--identity-token", str(token), "--trust-config", str(config)]) == 2
    assert sorted(release.checkpoint.rglob("*")) == before
