"""The published `model_signing` command and ours, each on what the other signed, in all modes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from certificate_kit import SIGNER, authority, write_pem
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import SUBJECT
from release_kit import NOW, Release, make_file_checkpoint, make_folder_checkpoint, make_release

from qaudit.attest import Verified, verify
from qaudit.attest.certificate_mode import CertificateTrust, load_certificate_sealer
from qaudit.attest.keyless_signing import KeylessSealer
from qaudit.attest.keyless_verifying import Identity
from qaudit.attest.local_key import generate_key
from qaudit.attest.sigstore_trust import read_trust_config
from qaudit.errors import VerificationFailed

ROOT = authority()
BETWEEN = ROOT.authority()
LEAF = BETWEEN.issue()
Start = Callable[..., LoopbackSigstore]


class Command:
    """Runs the published command with an empty home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "model_signing", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},
        )

    def accepts(self, mode: str, model: Path, signature: Path, *options: object) -> bool:
        done = self.run("verify", mode, model, "--signature", signature, *options)
        assert (done.returncode == 0) == ("Verification succeeded" in done.stdout), done.stderr
        return done.returncode == 0

    def sign(self, mode: str, model: Path, signature: Path, *options: object) -> None:
        done = self.run("sign", mode, model, "--signature", signature, *options)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def command(tmp_path: Path) -> Command:
    home = tmp_path / "home"
    home.mkdir()
    return Command(home)


def oms_of(release: Release) -> Path:
    if release.checkpoint.is_dir():
        return release.checkpoint / "model.sig"
    return release.checkpoint.with_name(release.checkpoint.name + ".sig")


def spoil(release: Release) -> None:
    file = release.checkpoint / "weights.gguf" if release.checkpoint.is_dir() else release.checkpoint
    file.write_bytes(file.read_bytes()[:-1] + b"\0")


# ---- ours, by their command ----


@pytest.mark.parametrize("single", [False, True])
def test_the_command_accepts_our_key_signature(tmp_path: Path, command: Command, single: bool) -> None:
    release = make_release(tmp_path, single=single)
    release.sign()
    options = ("--public_key", release.public)
    assert command.accepts("key", release.checkpoint, oms_of(release), *options)
    spoil(release)
    assert not command.accepts("key", release.checkpoint, oms_of(release), *options)


def test_the_command_accepts_ours_in_a_cloned_repository(release: Release, command: Command) -> None:
    # as the specification wants it, the command skips git's files and refuses signatures that name them
    (release.checkpoint / ".gitattributes").write_text("*.gguf filter=lfs\n")
    release.audited_again().sign()
    (release.checkpoint / ".git").mkdir()
    (release.checkpoint / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert command.accepts("key", release.checkpoint, oms_of(release), "--public_key", release.public)


def test_the_command_accepts_our_certificate_signature(release: Release, command: Command) -> None:
    desk = release.key.parent
    key, certificate = LEAF.write(desk, "leaf")
    between = write_pem(desk / "between.pem", BETWEEN.certificate)
    signer = load_certificate_sealer(key, certificate, [between], lambda: "")
    release.sign_with(signer)
    root = write_pem(desk / "root.pem", ROOT.certificate)
    assert command.accepts("certificate", release.checkpoint, oms_of(release), "--certificate_chain", root)
    other = write_pem(desk / "other.pem", authority("other").certificate)
    assert not command.accepts(
        "certificate", release.checkpoint, oms_of(release), "--certificate_chain", other
    )
    trust = CertificateTrust((root,), SIGNER)
    assert verify(release.checkpoint, certificate=trust, now=NOW).audited
    assert not verify(
        release.checkpoint, certificate=trust, bundle=oms_of(release), ignore_paths=[".qaudit"], now=NOW
    ).audited


def test_the_command_accepts_our_keyless_signature(
    release: Release, command: Command, start_sigstore: Start, tmp_path: Path
) -> None:
    sigstore = start_sigstore()
    config = sigstore.write_trust_config(tmp_path / "trust.json")
    trust = read_trust_config(config)
    release.sign_with(KeylessSealer(trust, sigstore.token()), now=None)
    sigstore.stop()
    options = ("--trust_config", config, "--identity", SUBJECT, "--identity_provider", sigstore.url)
    assert command.accepts("sigstore", release.checkpoint, oms_of(release), *options)
    identity = Identity(SUBJECT, sigstore.url, trust)
    assert verify(release.checkpoint, identity=identity).audited
    assert not verify(
        release.checkpoint, identity=identity, bundle=oms_of(release), ignore_paths=[".qaudit"]
    ).audited


# ---- theirs, by our gate: signed with the command, as others do ----


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_folder_checkpoint(tmp_path)


def bare(verified: Verified) -> tuple[str, ...]:
    assert not verified.audited
    return verified.names


def test_we_accept_their_key_signature(tmp_path: Path, model: Path, command: Command) -> None:
    public = generate_key(tmp_path / "k.pem")
    command.sign("key", model, model / "model.sig", "--private_key", tmp_path / "k.pem")
    assert bare(verify(model, key=public)) == ("config.json", "tokenizer/vocab.txt", "weights.gguf")
    file = make_file_checkpoint(tmp_path)
    command.sign("key", file, tmp_path / "model.gguf.sig", "--private_key", tmp_path / "k.pem")
    assert bare(verify(file, key=public)) == ("model.gguf",)


def test_we_accept_their_certificate_signature(tmp_path: Path, model: Path, command: Command) -> None:
    key, certificate = LEAF.write(tmp_path, "leaf")
    between = write_pem(tmp_path / "between.pem", BETWEEN.certificate)
    options = ("--private_key", key, "--signing_certificate", certificate, "--certificate_chain", between)
    command.sign("certificate", model, model / "model.sig", *options)
    roots = (write_pem(tmp_path / "root.pem", ROOT.certificate),)
    for identity in (SIGNER, "CN=release,O=Example"):
        assert bare(verify(model, certificate=CertificateTrust(roots, identity)))
    with pytest.raises(VerificationFailed, match="was signed by 'release@"):
        verify(model, certificate=CertificateTrust(roots, "CN=other,O=Example"))
    with pytest.raises(VerificationFailed, match="carries no audit"):
        verify(model, certificate=CertificateTrust(roots, SIGNER), require_audit=True)


def test_we_accept_their_keyless_signature(
    tmp_path: Path, model: Path, command: Command, start_sigstore: Start
) -> None:
    sigstore = start_sigstore()
    config = sigstore.write_trust_config(tmp_path / "trust.json")
    command.sign(
        "sigstore", model, model / "model.sig", "--trust_config", config, "--identity_token", sigstore.token()
    )
    sigstore.stop()
    trust = read_trust_config(config)
    assert bare(verify(model, identity=Identity(SUBJECT, sigstore.url, trust)))
    with pytest.raises(VerificationFailed):
        verify(model, identity=Identity("other@example.org", sigstore.url, trust))
    (model / "plugin.py").write_text("x")
    with pytest.raises(VerificationFailed, match=r"plugin\.py: extra"):
        verify(model, identity=Identity(SUBJECT, sigstore.url, trust))
