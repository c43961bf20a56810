import stat
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from qaudit.attest.local_key import PASSWORD_VARIABLE, load_signer, load_verifier
from qaudit.cli.keygen_command import keygen_command
from qaudit.errors import InputError, OutputProblem


@pytest.fixture(autouse=True)
def no_password_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(keygen_command)
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_makes_a_pair_that_works(tmp_path: Path, kind: str) -> None:
    result = run(str(tmp_path / "k.pem"), "--type", kind)
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "k.pub.pem") in result.stderr
    assert stat.S_IMODE((tmp_path / "k.pem").stat().st_mode) == 0o600
    load_signer(tmp_path / "k.pem", lambda: "").seal(b"{}")
    assert load_verifier(tmp_path / "k.pub.pem").is_elliptic == (kind == "p256")


def test_never_overwrites(tmp_path: Path) -> None:
    run(str(tmp_path / "k.pem"))
    before = (tmp_path / "k.pem").read_bytes()
    assert isinstance(run(str(tmp_path / "k.pem")).exception, OutputProblem)
    assert (tmp_path / "k.pem").read_bytes() == before


def test_encrypts_with_the_password_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(run(str(tmp_path / "k.pem"), "--encrypt").exception, InputError)
    assert not (tmp_path / "k.pem").exists()
    monkeypatch.setenv(PASSWORD_VARIABLE, "open-sesame")
    result = run(str(tmp_path / "k.pem"), "--encrypt")
    assert "encrypted" in result.stderr
    assert "open-sesame" not in result.output
    with pytest.raises(InputError):
        load_signer(tmp_path / "k.pem", lambda: "wrong")
    load_signer(tmp_path / "k.pem", lambda: "open-sesame").seal(b"{}")


def test_an_empty_password_does_not_encrypt_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "")
    assert isinstance(run(str(tmp_path / "k.pem"), "--encrypt").exception, InputError)
    assert not (tmp_path / "k.pem").exists()
