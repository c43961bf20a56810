"""`qaudit sign` and `qaudit verify` in certificate mode, and what they say of the OMS signature."""

import json
from pathlib import Path

import pytest
import typer
from certificate_kit import SIGNER, authority, write_pem
from click.testing import Result
from release_kit import Release, make_release
from typer.testing import CliRunner

from qaudit.cli.sign_command import sign_command
from qaudit.cli.verify_command import verify_command
from qaudit.errors import InputError, VerificationFailed

ROOT = authority()
BETWEEN = ROOT.authority()
LEAF = BETWEEN.issue()


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path)


def sign(release: Release, *options: object, key: Path | None = None) -> Result:
    app = typer.Typer()
    app.command()(sign_command)
    usual = ("--report", release.report, "--policy", release.policy, "--key", key or release.key)
    return CliRunner().invoke(app, [str(word) for word in (release.checkpoint, *usual, *options)])


def verify(release: Release, *options: object) -> Result:
    app = typer.Typer()
    app.command()(verify_command)
    return CliRunner().invoke(app, [str(word) for word in (release.checkpoint, *options)])


def test_sign_with_a_certificate_and_verify_by_its_root(release: Release, tmp_path: Path) -> None:
    key, certificate = LEAF.write(tmp_path, "leaf")
    chain = write_pem(tmp_path / "chain.pem", BETWEEN.certificate)
    root = write_pem(tmp_path / "root.pem", ROOT.certificate)
    result = sign(release, "--certificate", certificate, "--chain", chain, "--json", key=key)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["oms"] == str(release.checkpoint / "model.sig")
    alone = ("--bundle", release.checkpoint / "model.sig", "--ignore-paths", ".qaudit")
    for bundle in ((), alone):
        result = verify(release, "--certificate-root", root, "--identity", SIGNER, "--json", *bundle)
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        assert document["audited"] is (not bundle)
        assert document["signed_by"]["mode"] == "certificate"
        assert document["signed_by"]["identity"] == SIGNER
        assert document["signed_by"]["issuer"] == "CN=root,O=Example"
    result = verify(release, "--certificate-root", root, "--identity", "other@example.org")
    assert isinstance(result.exception, VerificationFailed)
    assert f"was signed by '{SIGNER}'" in str(result.exception)
    result = verify(release, "--certificate-root", root)
    assert isinstance(result.exception, InputError)


def test_the_oms_signature_is_told_of_and_can_be_left_out(release: Release) -> None:
    result = sign(release, "--no-oms", "--json")
    assert json.loads(result.stdout)["oms"] is None
    assert "no OMS signature: left out as asked" in result.stderr
    assert not (release.checkpoint / "model.sig").exists()
    result = sign(release)
    assert f"OMS signature: {release.checkpoint / 'model.sig'}" in result.stderr
    assert (release.checkpoint / "model.sig").exists()


def test_an_ed25519_key_says_why_there_is_none(tmp_path: Path) -> None:
    result = sign(make_release(tmp_path, kind="ed25519"))
    assert "no OMS signature: OMS signatures are made with ECDSA keys, not with Ed25519" in result.stderr
