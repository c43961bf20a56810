import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import rfc8785
from cryptography import x509
from loopback_sigstore.faults import Answer
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.keys import new_key
from loopback_sigstore.oidc import SUBJECT, WORKFLOW
from sigstore.oidc import IdentityToken

from qaudit.attest import keyless_signing, service_calls
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.keyless_signing import KeylessSealer
from qaudit.attest.keyless_verifying import Identity, IdentityVerifier
from qaudit.attest.sigstore_trust import SigstoreTrust, read_trust_config
from qaudit.errors import EnvironmentProblem, InputError, QauditError

Start = Callable[..., LoopbackSigstore]
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://example.com/p",
        "predicate": {},
    }
).encode()
CERTIFY, LOG, STAMP = "/api/v2/signingCert", "/api/v1/log/entries", "/api/v1/timestamp"


def trust(instance: LoopbackSigstore, folder: Path) -> SigstoreTrust:
    return read_trust_config(instance.write_trust_config(folder / "trust.json"))


@pytest.mark.parametrize("options", [{"rekor": 1}, {"rekor": 2}, {"rekor": 2, "log_key": "ed25519"}], ids=str)
def test_what_is_sealed_verifies_when_the_services_are_gone(
    start_sigstore: Start, tmp_path: Path, options: dict[str, object]
) -> None:
    instance = start_sigstore(**options)
    trusted = trust(instance, tmp_path)
    sealer = KeylessSealer(trusted, instance.token(email="ann@example.com"))
    assert sealer.signed_by is None
    sealed = sealer.seal(STATEMENT)
    instance.stop()
    bundle = parse_bundle(sealed, "b")
    assert bundle.payload == STATEMENT
    told = IdentityVerifier(Identity("ann@example.com", instance.url, trusted)).authenticate(bundle, "b")
    assert sealer.signed_by == told
    # one form, without white space between the parts
    assert rfc8785.dumps(json.loads(sealed)) == sealed


def test_several_statements_share_a_certificate(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    sealer = KeylessSealer(trust(sigstore, tmp_path), sigstore.token())
    first, second = sealer.seal(STATEMENT), sealer.seal(STATEMENT)
    assert first != second
    assert [asked.path for asked in sigstore.asked].count(CERTIFY) == 1


def test_a_certificate_that_is_about_to_end_is_not_used_again(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = KeylessSealer(trust(sigstore, tmp_path), sigstore.token())
    sealer.seal(STATEMENT)
    monkeypatch.setattr(keyless_signing, "SPARE", timedelta(hours=1))
    sealer.seal(STATEMENT)
    assert [asked.path for asked in sigstore.asked].count(CERTIFY) == 2


def test_who_signed_is_what_the_certificate_says(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    # a workflow's token names a repository, its certificate the workflow
    sealer = KeylessSealer(trust(sigstore, tmp_path), sigstore.oidc.workflow_token())
    sealer.seal(STATEMENT)
    assert sealer.signed_by is not None
    assert sealer.signed_by.identity == f"https://github.com/{WORKFLOW}"
    assert sealer.signed_by.issuer == sigstore.url


def test_a_token_is_fetched_when_it_is_needed_and_again_when_it_ended(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def token() -> str:
        fetched.append(sigstore.token())
        return fetched[-1]

    sealer = KeylessSealer(trust(sigstore, tmp_path), token)
    assert fetched == []
    sealer.seal(STATEMENT)
    sealer.seal(STATEMENT)
    assert len(fetched) == 1
    monkeypatch.setattr(keyless_signing, "SPARE", timedelta(hours=1))
    # the first has ended by now
    monkeypatch.setattr(IdentityToken, "in_validity_period", lambda token: str(token) != fetched[0])
    sealer.seal(STATEMENT)
    assert len(fetched) == 2


@pytest.mark.parametrize("token", ["", "a.b.c", "no token", "eyJhbGciOiJub25lIn0.e30."])
def test_unusable_tokens_are_refused_without_being_shown(
    sigstore: LoopbackSigstore, tmp_path: Path, token: str
) -> None:
    with pytest.raises(InputError, match="identity token cannot be used") as caught:
        KeylessSealer(trust(sigstore, tmp_path), token)
    assert not token or token not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_token_for_another_audience_or_time_is_refused(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    for token in (sigstore.token(audience="elsewhere"), sigstore.token(lifetime_s=-100)):
        with pytest.raises(InputError, match="audience 'sigstore'"):
            KeylessSealer(trust(sigstore, tmp_path), token)


def test_a_token_that_ended_meanwhile_is_said_to_have(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = KeylessSealer(trust(sigstore, tmp_path), sigstore.token())
    monkeypatch.setattr(IdentityToken, "in_validity_period", lambda token: False)
    with pytest.raises(InputError, match="token has expired; get a new one"):
        sealer.seal(STATEMENT)
    assert sigstore.asked == []


def test_a_bare_root_cannot_sign(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    trusted = replace(trust(sigstore, tmp_path), signing_config=None)
    with pytest.raises(InputError, match="bare trusted root, enough to verify"):
        KeylessSealer(trusted, sigstore.token())


def test_only_statements_are_sealed(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an in-toto statement"):
        KeylessSealer(trust(sigstore, tmp_path), sigstore.token()).seal(b"{}")
    assert sigstore.asked == []


def refuse(instance: LoopbackSigstore, folder: Path, says: str) -> None:
    token = instance.token()
    with pytest.raises(EnvironmentProblem, match=says) as caught:
        KeylessSealer(trust(instance, folder), token).seal(STATEMENT)
    _hides(caught.value, token)


def _hides(error: QauditError, token: str) -> None:
    message = str(error)
    assert "nothing was written" in message
    assert message.isprintable()
    assert token not in message


@pytest.mark.parametrize("path", [CERTIFY, LOG])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"{}"),
        Answer(403, b'{"code": 7, "message": "not you"}'),
        Answer(201, b"garbage"),
        Answer(201, b"{}"),
        Answer(201, b"[1]"),
        Answer(200, b""),
        Answer(201, b'{"signedCertificateEmbeddedSct": {"chain": {"certificates": ["a", "b"]}}}'),
        Answer(307, b"", headers={"Location": "/nowhere"}),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:10]!r}",
)
def test_services_that_answer_nonsense(
    sigstore: LoopbackSigstore, tmp_path: Path, path: str, answer: Answer
) -> None:
    sigstore.faults.answers[path] = answer
    refuse(sigstore, tmp_path, "could not (get a signing certificate|log the signature)")


@pytest.mark.parametrize("path", [CERTIFY, LOG])
def test_services_that_hang(
    sigstore: LoopbackSigstore, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = KeylessSealer(trust(sigstore, tmp_path), sigstore.token())
    # what is loaded on first use is not the services' fault
    KeylessSealer(trust(sigstore, tmp_path), sigstore.token()).seal(STATEMENT)
    sigstore.faults.hangs.add(path)
    # long enough for the services that do answer, on a busy machine
    monkeypatch.setattr(service_calls, "DEADLINE_S", 3)
    with pytest.raises(EnvironmentProblem, match="no answer within 3 s"):
        sealer.seal(STATEMENT)


def test_services_that_are_away(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    token, trusted = sigstore.token(), trust(sigstore, tmp_path)
    sigstore.stop()
    with pytest.raises(
        EnvironmentProblem, match=r"get a signing certificate \(127.0.0.1:\d+ cannot be reached"
    ):
        KeylessSealer(trusted, token).seal(STATEMENT)


def test_an_authority_that_refuses_says_why(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    token = sigstore.token(email="ann@example.com", email_verified=False)
    with pytest.raises(EnvironmentProblem, match=r"127.0.0.1:\d+ answers 403 .*message"):
        KeylessSealer(trust(sigstore, tmp_path), token).seal(STATEMENT)


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("other_tree", True),
        ("log_key", new_key()),
        ("leaf", lambda leaf: replace(leaf, names=[x509.DNSName("ci.example.com")])),
        (
            "leaf",
            lambda leaf: replace(leaf, names=[*leaf.names, x509.UniformResourceIdentifier("https://b")]),
        ),
        ("leaf", lambda leaf: replace(leaf, extensions=[])),
        ("stamp_key", new_key()),
    ],
    ids=["other tree", "other log key", "unknown name", "two names", "no issuer", "other stamp key"],
)
def test_services_that_lie_are_found_out_at_signing(
    sigstore: LoopbackSigstore, tmp_path: Path, knob: str, value: object
) -> None:
    setattr(sigstore.faults, knob, value)
    refuse(sigstore, tmp_path, "answers with what does not verify")


def test_a_timestamp_authority_that_is_away_is_no_loss_where_the_log_gives_the_time(
    start_sigstore: Start, tmp_path: Path
) -> None:
    first, second = start_sigstore(rekor=1), start_sigstore(rekor=2)
    for instance in (first, second):
        instance.faults.answers[STAMP] = Answer(500, b"")
    assert KeylessSealer(trust(first, tmp_path), first.token()).seal(STATEMENT)
    refuse(second, tmp_path, "could not log the signature .*signed timestamp")


def test_the_token_goes_to_the_authority_and_nowhere_else(
    sigstore: LoopbackSigstore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    token = sigstore.token()
    with caplog.at_level(logging.INFO):
        sealed = KeylessSealer(trust(sigstore, tmp_path), token).seal(STATEMENT)
    assert token.encode() not in sealed
    assert token not in caplog.text
    assert token not in "".join(capfd.readouterr())
    for asked in sigstore.asked:
        held = token in str(asked.headers) or token.encode() in asked.body or token in str(asked.query)
        assert held == (asked.path == CERTIFY)
    assert SUBJECT not in token
