import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import requests
from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import Encoding
from loopback_sigstore.faults import Answer
from loopback_sigstore.forging import forge, payload
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.keys import sha256
from loopback_sigstore.oidc import SUBJECT, WORKFLOW
from sigstore import dsse
from sigstore._internal.fulcio.client import FulcioClientError
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

Start = Callable[..., LoopbackSigstore]
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://example.com/p",
        "predicate": {},
    }
).encode()
KINDS: list[dict[str, Any]] = [
    {"rekor": 1},
    {"rekor": 1, "timestamps": False},
    {"rekor": 1, "log_key": "ed25519"},
    {"rekor": 2},
    {"rekor": 2, "log_key": "ed25519"},
]


def client(instance: LoopbackSigstore) -> ClientTrustConfig:
    return ClientTrustConfig.from_json(json.dumps(instance.trust_config()))


def sign(instance: LoopbackSigstore, token: str) -> str:
    context = SigningContext.from_trust_config(client(instance))
    with context.signer(IdentityToken(token)) as signer:
        return signer.sign_dsse(dsse.Statement(STATEMENT)).to_json()


def accepts(instance: LoopbackSigstore, bundle: str, *policies: Any) -> bytes:
    verifier = Verifier(trusted_root=client(instance).trusted_root)
    return verifier.verify_dsse(Bundle.from_json(bundle), policy.AllOf(list(policies)))[1]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_the_real_client_signed_verifies_after_the_server_stopped(
    start_sigstore: Start, kind: dict[str, Any]
) -> None:
    instance = start_sigstore(**kind)
    # the tree grows, so that proofs of several lengths are checked
    bundles = [sign(instance, instance.token(email="ann@example.com")) for _ in range(6)]
    instance.stop()
    who = policy.Identity(identity="ann@example.com", issuer=instance.url)
    for bundle in bundles:
        assert accepts(instance, bundle, who, policy.OIDCIssuerV2(instance.url)) == STATEMENT


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_forged_bundle_that_nobody_bent_verifies(start_sigstore: Start, kind: dict[str, Any]) -> None:
    instance = start_sigstore(**kind)
    bundle = forge(instance, STATEMENT)
    assert payload(bundle) == STATEMENT
    assert accepts(instance, json.dumps(bundle), policy.Identity(identity=SUBJECT)) == STATEMENT


def test_a_workflow_certificate_says_where_it_ran(sigstore: LoopbackSigstore) -> None:
    bundle = sign(sigstore, sigstore.oidc.workflow_token())
    accepts(
        sigstore,
        bundle,
        policy.Identity(identity=f"https://github.com/{WORKFLOW}"),
        policy.GitHubWorkflowRepository("example/models"),
        policy.GitHubWorkflowRef("refs/heads/main"),
        policy.OIDCSourceRepositoryURI("https://github.com/example/models"),
        policy.OIDCBuildTrigger("push"),
    )


def post(instance: LoopbackSigstore, path: str, body: dict[str, Any], token: str = "") -> tuple[int, str]:
    with requests.post(
        instance.url + path, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=120
    ) as reply:
        return reply.status_code, reply.json().get("message", "")


def test_the_authority_refuses_strangers(sigstore: LoopbackSigstore) -> None:
    with LoopbackSigstore() as other:
        foreign = other.token()
    good = sigstore.token()
    for token in ("", "no token", foreign, good[:-9] + "A" * 9, sigstore.token(audience="elsewhere")):
        status, _ = post(sigstore, "/api/v2/signingCert", {}, token)
        assert status == 403
    unproven = sigstore.token(email="ann@example.com", email_verified=False)
    with pytest.raises(FulcioClientError) as caught:
        sign(sigstore, unproven)
    assert "403" in str(caught.value.__cause__)
    status, message = post(
        sigstore, "/api/v2/signingCert", {"certificateSigningRequest": "AAAA"}, sigstore.token()
    )
    assert (status, message.split(":")[0]) == (400, "ValueError")


@pytest.mark.parametrize("version", [1, 2])
def test_the_log_takes_only_what_verifies(start_sigstore: Start, version: int) -> None:
    instance = start_sigstore(rekor=version)
    sign(instance, instance.token())
    asked = next(a for a in instance.asked if a.path.endswith("/log/entries"))
    body = json.loads(asked.body)
    assert post(instance, asked.path, body)[0] == 201
    if version == 1:
        envelope = json.loads(body["spec"]["proposedContent"]["envelope"])
        envelope["payload"] = "AAAA"
        body["spec"]["proposedContent"]["envelope"] = json.dumps(envelope)
    else:
        body["hashedRekordRequestV002"]["digest"] = "A" * 43 + "="
    assert post(instance, asked.path, body) == (400, "InvalidSignature: ")


def test_others_accept_its_timestamps(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    if which("openssl") is None:
        pytest.skip("needs openssl")
    data, reply = tmp_path / "data", tmp_path / "reply.tsr"
    data.write_bytes(b"signed")
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": sha256(b"signed")}
    request = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "cert_req": True, "nonce": 7})
    reply.write_bytes(sigstore.timestamps.answer(request.dump()))
    root = tmp_path / "root.pem"
    root.write_bytes(sigstore.timestamps.chain[-1].public_bytes(Encoding.PEM))
    checked = ["openssl", "ts", "-verify", "-data", str(data), "-in", str(reply), "-CAfile", str(root)]
    assert subprocess.run(checked, capture_output=True).returncode == 0
    data.write_bytes(b"other")
    assert subprocess.run(checked, capture_output=True).returncode != 0


def test_faults_take_the_place_of_answers(start_sigstore: Start) -> None:
    instance = start_sigstore()
    instance.faults.answers["/api/v2/signingCert"] = Answer(500, b"{}")
    instance.faults.redirect("/elsewhere", instance.url + "/.well-known/openid-configuration")
    assert post(instance, "/api/v2/signingCert", {})[0] == 500
    with requests.get(instance.url + "/elsewhere", timeout=120) as reply:
        assert reply.json()["issuer"] == instance.url
    with LoopbackSigstore() as crashing:
        crashing.faults.entry = lambda entry: entry["nothing"]  # answered as a bad request
        assert post(crashing, "/api/v1/log/entries", {"kind": "dsse"})[0] == 400


def test_a_crash_inside_is_not_lost() -> None:
    def leave(crashing: LoopbackSigstore) -> None:
        with crashing, pytest.raises(requests.ConnectionError):
            sign(crashing, crashing.token())

    broken = LoopbackSigstore()
    broken.faults.log_reply = lambda told: told | 1  # type: ignore[operator]
    with pytest.raises(RuntimeError, match="TypeError"):
        leave(broken)


def test_a_hanging_service_lets_go_when_the_server_stops(start_sigstore: Start) -> None:
    instance = start_sigstore()
    instance.faults.hangs.add("/slow")
    with pytest.raises(requests.ReadTimeout):
        requests.get(instance.url + "/slow", timeout=0.2)
    instance.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(instance.url + "/slow", timeout=120)
