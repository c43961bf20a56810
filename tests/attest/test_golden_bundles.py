"""Bundles by others, good and bad, from the projects that the formats come from; none travels with qaudit.

    QAUDIT_GOLDEN_BUNDLES=FOLDER pytest tests/attest/test_golden_bundles.py

FOLDER/sigstore holds sigstore-python's test assets (`bundle*.txt` with their bundles), FOLDER/oms those
of model-transparency (`v1.0.0-certificate/` and so on) with `keys/certificate/`. The Sigstore ones sign
a message and no statement, which ours never do: each is put into the form of ours first, so that what
it is about decides, and not the form.
"""

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qaudit.attest import verify
from qaudit.attest.certificate_mode import CertificateTrust
from qaudit.attest.dsse import MEDIA_TYPE, PAYLOAD_TYPE, parse_bundle
from qaudit.attest.files_differ import FilesDiffer
from qaudit.attest.keyless_material import KeylessMaterial, parse_material
from qaudit.attest.keyless_verifying import Identity
from qaudit.attest.sigstore_trust import packaged_trust
from qaudit.errors import VerificationFailed

GOLDEN = Path(os.environ.get("QAUDIT_GOLDEN_BUNDLES") or "/nonexistent")
pytestmark = pytest.mark.skipif(
    "QAUDIT_GOLDEN_BUNDLES" not in os.environ, reason="QAUDIT_GOLDEN_BUNDLES names no folder with them"
)
OLD_FORM = "application/vnd.dev.sigstore.bundle+json;version=0.1"
OMS_SIGNER = "stefanb@us.ibm.com"
OMS_ISSUER = "https://sigstore.verify.ibm.com/oauth2"


def read(name: str) -> dict[str, Any]:
    (path,) = (GOLDEN / "sigstore").glob(f"{name}.txt.sigstore*")
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def as_ours(document: dict[str, Any]) -> dict[str, Any]:
    """The same material beside a statement, a chain of version 0.1 as the one certificate of 0.3."""
    material = dict(document["verificationMaterial"])
    if "x509CertificateChain" in material:
        chain = material.pop("x509CertificateChain")["certificates"]
        material |= {"certificate": chain[0]} if chain else {}
    signature = document["messageSignature"]["signature"]
    kind = document["mediaType"]
    return {
        "mediaType": MEDIA_TYPE if kind == OLD_FORM else kind,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": base64.b64encode(b"{}").decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": signature}],
        },
    }


def parsed(document: dict[str, Any]) -> KeylessMaterial:
    return parse_material(parse_bundle(json.dumps(document).encode(), "b"), "b")


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("bundle", datetime(2023, 4, 26, 0, 21, 9, tzinfo=UTC)),
        ("bundle_v3", datetime(2024, 4, 2, 19, 19, 9, tzinfo=UTC)),
        # what is wrong with it is for the log's check, below
        ("bundle_cve_2022_36056", datetime(2024, 4, 5, 22, 8, 27, tzinfo=UTC)),
    ],
)
def test_whole_material_is_read(name: str, promised: datetime) -> None:
    assert parsed(as_ours(read(name))).promised_at == promised


def test_a_bundle_of_no_known_version() -> None:
    document = as_ours(read("bundle_invalid_version"))
    with pytest.raises(VerificationFailed, match="mediaType: not application/"):
        parsed(document)
    assert parsed(document | {"mediaType": MEDIA_TYPE}).promised_at


def test_a_bundle_without_a_log_entry() -> None:
    with pytest.raises(VerificationFailed, match="holds no entry of a transparency log"):
        parsed(as_ours(read("bundle_no_log_entry")))


def test_a_bundle_without_a_certificate() -> None:
    document = as_ours(read("bundle_no_cert_v1"))
    # its log entry has no checkpoint, for which it would be refused first
    document["verificationMaterial"]["tlogEntries"] = read("bundle")["verificationMaterial"]["tlogEntries"]
    with pytest.raises(VerificationFailed, match="certificate: Field required"):
        parsed(document)


def test_a_bundle_whose_time_nobody_signed() -> None:
    document = as_ours(read("bundle_v3_no_signed_time"))
    document["verificationMaterial"].pop("timestampVerificationData")
    with pytest.raises(VerificationFailed, match="integratedTime: without a promise that signs it"):
        parsed(document)
    document["verificationMaterial"]["tlogEntries"][0].pop("integratedTime")
    document["verificationMaterial"]["tlogEntries"][0]["logIndex"] = document["verificationMaterial"][
        "tlogEntries"
    ][0]["inclusionProof"]["logIndex"]
    with pytest.raises(VerificationFailed, match="nothing proves when it was signed"):
        parsed(document)


@pytest.mark.parametrize(
    ("name", "says"),
    [("bundle", None), ("bundle_v3", None), ("bundle_cve_2022_36056", "log entry is inconsistent")],
)
def test_the_log_entry_of_another_signature(name: str, says: str | None) -> None:
    """CVE-2022-36056; the comparison is the library's, with the root that we hand to it."""
    from sigstore import models
    from sigstore.errors import VerificationError
    from sigstore.verify import Verifier, policy

    verifier = Verifier(trusted_root=models.TrustedRoot(packaged_trust("staging").trusted_root))
    message = (GOLDEN / "sigstore" / f"{name}.txt").read_bytes()
    bundle = models.Bundle.from_json(json.dumps(read(name)))
    if says is None:
        verifier.verify_artifact(message, bundle, policy.UnsafeNoOp())
        with pytest.raises(VerificationError):
            verifier.verify_artifact(message + b"x", bundle, policy.UnsafeNoOp())
    else:
        with pytest.raises(VerificationError, match=says):
            verifier.verify_artifact(message, bundle, policy.UnsafeNoOp())


@pytest.mark.parametrize("version", ["v0.3.1", "v1.0.0"])
def test_oms_with_a_key(version: str) -> None:
    folder = GOLDEN / "oms" / f"{version}-elliptic-key"
    key = GOLDEN / "oms" / "keys" / "certificate" / "signing-key-pub.pem"
    found = verify(folder / "signme-1", bundle=folder / "model.sig", key=key)
    assert (found.names, found.audited) == (("signme-1",), False)
    with pytest.raises(VerificationFailed, match="signs the single file 'signme-1', not the folder"):
        verify(folder, bundle=folder / "model.sig", key=key)


@pytest.mark.parametrize("version", ["v0.3.1", "v1.0.0"])
def test_oms_with_sigstore(version: str) -> None:
    folder = GOLDEN / "oms" / f"{version}-sigstore"
    signer = Identity(OMS_SIGNER, OMS_ISSUER)
    found = verify(folder, identity=signer)
    assert (found.names, found.signed_by.identity) == (("signme-1", "signme-2"), OMS_SIGNER)
    with pytest.raises(FilesDiffer) as caught:
        verify(folder / "signme-1", bundle=folder / "model.sig", identity=signer)
    assert caught.value.problems == ("signme-2: missing",)
    with pytest.raises(VerificationFailed, match=r"not by 'somebody@example\.com'"):
        verify(folder, identity=Identity("somebody@example.com", OMS_ISSUER))


@pytest.mark.parametrize("version", ["v0.3.1", "v1.0.0"])
def test_oms_with_a_certificate(version: str) -> None:
    folder = GOLDEN / "oms" / f"{version}-certificate"
    root = GOLDEN / "oms" / "keys" / "certificate" / "ca-cert.pem"
    found = verify(folder, certificate=CertificateTrust((root,), "CN=intermediate-ca"))
    assert (found.names, found.signed_by.issuer) == (("signme-1", "signme-2"), "CN=root-ca")
    with pytest.raises(VerificationFailed, match="not by 'CN=somebody'"):
        verify(folder, certificate=CertificateTrust((root,), "CN=somebody"))
