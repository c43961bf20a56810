"""cosign (3 or newer) on our bundles; runs where it is on the PATH or QAUDIT_COSIGN names it."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import SUBJECT
from release_kit import make_release

from qaudit.attest.keyless_signing import KeylessSealer
from qaudit.attest.oms_statement import OMS_PREDICATE_TYPE
from qaudit.attest.sigstore_trust import read_trust_config
from qaudit.attest.statement import PREDICATE_TYPE

COSIGN = os.environ.get("QAUDIT_COSIGN") or shutil.which("cosign")
VSA = "https://slsa.dev/verification_summary/v1"
pytestmark = pytest.mark.skipif(COSIGN is None, reason="cosign is not here; set QAUDIT_COSIGN")


@pytest.fixture
def cosign(tmp_path: Path) -> Callable[..., bool]:
    home = tmp_path / "home"
    home.mkdir()

    def accepts(bundle: Path, kind: str, *options: object) -> bool:
        words = [COSIGN, "verify-blob-attestation", "--bundle", bundle, "--type", kind, *options]
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            check=False,
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
        )
        assert (done.returncode == 0) == ("Verified OK" in done.stderr), done.stderr
        return done.returncode == 0

    return accepts


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_every_file_verifies_by_key(tmp_path: Path, cosign: Callable[..., bool], kind: Any) -> None:
    release = make_release(tmp_path, kind=kind)
    release.sign(also=["vsa"])
    options = ("--key", release.public, "--insecure-ignore-tlog")
    for name in ("weights.gguf", "tokenizer/vocab.txt"):
        assert cosign(release.bundle, PREDICATE_TYPE, *options, release.checkpoint / name)
    assert cosign(
        release.bundle.with_name("vsa.sigstore.json"), VSA, *options, release.checkpoint / "config.json"
    )
    assert not cosign(release.bundle, VSA, *options, release.checkpoint / "config.json")
    assert not cosign(release.bundle, PREDICATE_TYPE, *options, release.report)


def test_the_oms_signature_verifies_by_its_subject(tmp_path: Path, cosign: Callable[..., bool]) -> None:
    release = make_release(tmp_path)
    release.sign()
    oms = release.checkpoint / "model.sig"
    payload = json.loads(base64.b64decode(json.loads(oms.read_text())["dsseEnvelope"]["payload"]))
    options = ("--key", release.public, "--insecure-ignore-tlog", "--digestAlg", "sha256", "--digest")
    assert cosign(oms, OMS_PREDICATE_TYPE, *options, payload["subject"][0]["digest"]["sha256"])
    assert not cosign(oms, OMS_PREDICATE_TYPE, *options, "0" * 64)


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_keyless_release_verifies_by_identity(
    tmp_path: Path, cosign: Callable[..., bool], start_sigstore: Callable[..., LoopbackSigstore], rekor: int
) -> None:
    sigstore = start_sigstore(rekor=rekor)
    trust = read_trust_config(sigstore.write_trust_config(tmp_path / "trust.json"))
    release = make_release(tmp_path)
    release.sign_with(KeylessSealer(trust, sigstore.token()), now=None)
    root = tmp_path / "root.json"
    root.write_text(json.dumps(sigstore.trusted_root()))
    sigstore.stop()
    options = ("--trusted-root", root, "--certificate-oidc-issuer", sigstore.url, "--certificate-identity")
    file = release.checkpoint / "weights.gguf"
    assert cosign(release.bundle, PREDICATE_TYPE, *options, SUBJECT, file)
    assert not cosign(release.bundle, PREDICATE_TYPE, *options, "other@example.org", file)
