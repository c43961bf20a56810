import json
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from loopback_sigstore.faults import stamped_earlier
from loopback_sigstore.forging import forge
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import SUBJECT, WORKFLOW
from loopback_sigstore.trust import Window, ended

from qaudit.attest import keyless_verifying
from qaudit.attest.dsse import SignedBy, make_bundle, parse_bundle
from qaudit.attest.keyless_verifying import Identity, IdentityVerifier, Workflow
from qaudit.attest.sigstore_trust import SigstoreTrust, packaged_trust, read_trust_config
from qaudit.errors import InputError, VerificationFailed

STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'
RAN = Workflow("example/models", "refs/heads/main", "f" * 40, "release", "push")
MACHINE = f"https://github.com/{WORKFLOW}"


def instance(version: Literal[1, 2] = 1, **options: Any) -> LoopbackSigstore:
    made = LoopbackSigstore(rekor=version, **options)
    made.stop()  # verifying needs no server, and the forger none either
    return made


def trust(made: LoopbackSigstore, folder: Path) -> SigstoreTrust:
    return read_trust_config(made.write_trust_config(folder / "trust.json"))


def authenticate(document: dict[str, Any], identity: Identity) -> SignedBy:
    return IdentityVerifier(identity).authenticate(parse_bundle(json.dumps(document).encode(), "b"), "b")


@pytest.mark.parametrize(
    ("version", "options"),
    [(1, {}), (1, {"timestamps": False}), (2, {}), (2, {"log_key": "ed25519"})],
)
def test_says_who_who_vouches_and_when(
    tmp_path: Path, version: Literal[1, 2], options: dict[str, Any]
) -> None:
    made = instance(version, **options)
    before = datetime.now(UTC).replace(microsecond=0)
    signed_by = authenticate(forge(made, STATEMENT), Identity(SUBJECT, made.url, trust(made, tmp_path)))
    assert (signed_by.mode, signed_by.identity, signed_by.issuer) == ("keyless", SUBJECT, made.url)
    assert signed_by.signed_at is not None
    assert before <= signed_by.signed_at <= datetime.now(UTC)


def test_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = instance(2)
    bundle, trusted = forge(made, STATEMENT), trust(made, tmp_path)

    def refuse(*arguments: object) -> None:
        raise OSError(f"a connection: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert authenticate(bundle, Identity(SUBJECT, made.url, trusted))


@pytest.mark.parametrize(("name", "issuer"), [("", "https://issuer"), ("ann@example.com", "")])
def test_an_identity_has_both_halves(name: str, issuer: str) -> None:
    with pytest.raises(InputError, match="give both"):
        Identity(name, issuer)


def test_the_public_root_is_the_default(tmp_path: Path) -> None:
    made = instance()
    public = packaged_trust().name
    with pytest.raises(VerificationFailed, match=f"logged where {public} knows no log"):
        authenticate(forge(made, STATEMENT), Identity(SUBJECT, made.url))


def test_conditions_on_the_workflow(tmp_path: Path) -> None:
    made = instance(timestamps=False)
    bundle = forge(made, STATEMENT, token=made.oidc.workflow_token())
    identity = Identity(MACHINE, made.url, trust(made, tmp_path), RAN)
    assert authenticate(bundle, identity).identity == MACHINE
    for field, shown in (
        ("repository", "repository"), ("ref", "ref"), ("sha", "commit"), ("name", "name"), ("trigger", "trigger"),
    ):  # fmt: skip
        only = Workflow(**{field: getattr(RAN, field)})
        assert authenticate(bundle, replace(identity, workflow=only))
        other = replace(RAN, **{field: "other"})
        with pytest.raises(VerificationFailed, match=f"the workflow's {shown} is not 'other'"):
            authenticate(bundle, replace(identity, workflow=other))


def test_an_empty_condition_is_one(tmp_path: Path) -> None:
    made = instance(timestamps=False)
    bundle = forge(made, STATEMENT, token=made.oidc.workflow_token())
    identity = Identity(MACHINE, made.url, trust(made, tmp_path), Workflow(ref=""))
    with pytest.raises(VerificationFailed, match="the workflow's ref is not ''"):
        authenticate(bundle, identity)


def test_a_person_is_no_workflow(tmp_path: Path) -> None:
    made = instance()
    identity = Identity(SUBJECT, made.url, trust(made, tmp_path), Workflow(repository="example/models"))
    with pytest.raises(VerificationFailed, match=r"repository is not .*does not contain"):
        authenticate(forge(made, STATEMENT), identity)


def test_other_modes_are_named() -> None:
    verifier = IdentityVerifier(Identity("ann@example.com", "https://issuer.example"))
    for material, option in (
        ({"publicKey": {"hint": "x"}, "tlogEntries": []}, "--key"),
        ({"x509CertificateChain": {"certificates": []}}, "--certificate-root"),
    ):
        bundle = parse_bundle(make_bundle(b"{}", b"signature", material), "b")  # type: ignore[arg-type]
        with pytest.raises(VerificationFailed, match=f"not signed with Sigstore; verify it with {option}"):
            verifier.authenticate(bundle, "b")


@pytest.mark.parametrize(
    ("knob", "kind"),
    [
        ("authority", "certificate authority"),
        ("certificates_log", "certificate transparency log"),
        ("log", "transparency log"),
    ],
)
def test_keys_count_at_the_proven_time_not_now(tmp_path: Path, knob: str, kind: str) -> None:
    made = instance(timestamps=False)
    bundle = forge(made, STATEMENT)
    # retired after the signing: still good
    setattr(made.windows, knob, Window(end=datetime.now(UTC) + timedelta(seconds=2)))
    assert authenticate(bundle, Identity(SUBJECT, made.url, trust(made, tmp_path)))
    # retired before it: the same bundle is not
    setattr(made.windows, knob, ended())
    with pytest.raises(VerificationFailed, match=f"by a {kind} that did not count then .validFor .*until"):
        authenticate(bundle, Identity(SUBJECT, made.url, trust(made, tmp_path)))


def test_sigstore_alone_takes_a_retired_authority(tmp_path: Path) -> None:
    # why validity_windows exists: when this fails, look whether it is still needed
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier, policy

    made = instance()
    made.windows.authority = made.windows.certificates_log = made.windows.log = ended()
    root = TrustedRoot(trust(made, tmp_path).trusted_root)
    bundle = Bundle.from_json(json.dumps(forge(made, STATEMENT)))
    assert Verifier(trusted_root=root).verify_dsse(bundle, policy.Identity(identity=SUBJECT))[1] == STATEMENT


def test_another_reason_is_not_taken_for_a_window(tmp_path: Path) -> None:
    made = instance()
    made.windows.authority = ended()
    with pytest.raises(VerificationFailed, match=r"was signed by .*, not by 'ann@example.com'"):
        authenticate(forge(made, STATEMENT), Identity("ann@example.com", made.url, trust(made, tmp_path)))


def test_every_proof_of_time_counts(tmp_path: Path) -> None:
    # the log says now, the timestamp says before the certificate was made
    made = instance()
    made.faults.stamp = stamped_earlier(timedelta(hours=1))
    with pytest.raises(VerificationFailed, match="not valid at the proven time"):
        authenticate(forge(made, STATEMENT), Identity(SUBJECT, made.url, trust(made, tmp_path)))


def test_no_policy_that_takes_anybody_is_used_anywhere() -> None:
    room = Path(keyless_verifying.__file__).parents[1]
    for file in room.rglob("*.py"):
        assert "UnsafeNoOp" not in file.read_text(encoding="utf-8"), file
