import gc
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from loopback_sigstore.faults import Answer
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import WORKFLOW_CLAIMS

from qaudit.attest.identity_tokens import (
    TOKEN_VARIABLE,
    ambient_token,
    browser_token,
    given_token,
    token_from_environment,
)
from qaudit.attest.sigstore_trust import SigstoreTrust, read_trust_config
from qaudit.errors import EnvironmentProblem, InputError

EMPTY = io.StringIO()


def trust(instance: LoopbackSigstore, folder: Path) -> SigstoreTrust:
    return read_trust_config(instance.write_trust_config(folder / "trust.json"))


def test_a_token_comes_from_a_file_or_standard_input_or_as_it_is(
    sigstore: LoopbackSigstore, tmp_path: Path
) -> None:
    token = sigstore.token()
    file = tmp_path / "token"
    file.write_text(token + "\n")
    assert given_token(str(file), EMPTY) == token
    assert given_token("-", io.StringIO(f" {token}\n")) == token
    assert given_token(token, EMPTY) == token


def test_a_file_whose_name_looks_like_a_token_is_a_file(
    sigstore: LoopbackSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.b.c").write_text(sigstore.token())
    assert given_token("a.b.c", EMPTY) != "a.b.c"


@pytest.mark.parametrize(
    "given", ["s3cr3t", "/no/such/s3cr3t", "s3cr3t.s3cr3t", "s3cr3t\0", "s3cr3t" * 9000, "", "a.b.c.s3cr3t"]
)
def test_what_is_neither_is_not_repeated(given: str) -> None:
    with pytest.raises(InputError, match="neither a file nor a token") as caught:
        given_token(given, EMPTY)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"s3cr3t", b"\xff\xfe.s3cr3t.x", b"a b.c.d"])
def test_a_file_without_a_token_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(InputError, match="holds no identity token") as caught:
        given_token(str(file), EMPTY)
    assert str(file) in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(InputError, match="standard input: holds no identity token"):
        given_token("-", io.StringIO("s3cr3t"))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"a" * (65 << 10))
    with pytest.raises(InputError, match="longer than"):
        given_token(str(file), EMPTY)


def test_the_environment_may_hold_it(sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    token = sigstore.token()
    assert token_from_environment() is None
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    assert token_from_environment() is None
    monkeypatch.setenv(TOKEN_VARIABLE, f"{token}\n")
    assert token_from_environment() == token
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cr3t")
    with pytest.raises(InputError, match=f"{TOKEN_VARIABLE}: holds no identity token") as caught:
        token_from_environment()
    assert "s3cr3t" not in str(caught.value)


def test_a_ci_job_has_its_own(sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sigstore.oidc.ambient_environment().items():
        monkeypatch.setenv(name, value)
    token = ambient_token()
    assert token is not None
    assert sigstore.oidc.claims(token)["sub"] == WORKFLOW_CLAIMS["sub"]
    assert sigstore.asked[-1].query["audience"] == "sigstore"


def test_elsewhere_there_is_none(sigstore: LoopbackSigstore) -> None:
    assert ambient_token() is None


def test_a_job_without_permission_is_told_what_to_do(
    sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(EnvironmentProblem, match="permissions: id-token: write"):
        ambient_token()
    for name, value in sigstore.oidc.ambient_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "s3cr3t")
    with pytest.raises(EnvironmentProblem, match="hands out no identity token") as caught:
        ambient_token()
    assert "s3cr3t" not in str(caught.value)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A browser that follows the login page's redirects."""
    visits: list[threading.Thread] = []

    def visit(url: str) -> None:
        with requests.get(url, timeout=120):
            pass

    def open_page(url: str) -> bool:
        visits.append(threading.Thread(target=visit, args=[url]))
        visits[-1].start()
        return True

    monkeypatch.setattr("webbrowser.open", open_page)
    yield
    for started in visits:
        started.join()
    # sigstore leaves the listening socket of its login page to the collector
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("browser")
def test_a_person_logs_in_with_the_browser(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    token = browser_token(trust(sigstore, tmp_path))
    assert sigstore.oidc.claims(token)["email"] == "ann@example.com"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("browser")
def test_a_login_that_is_refused_is_one_line(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    sigstore.faults.answers["/token"] = Answer(400, b'{"error": "invalid_grant"}')
    with pytest.raises(EnvironmentProblem, match=f"{sigstore.url}: the login failed .*400.*; try again"):
        browser_token(trust(sigstore, tmp_path))


def test_an_issuer_that_is_away_or_odd(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    trusted = trust(sigstore, tmp_path)
    for answer in (Answer(500, b""), Answer(200, b"[]"), Answer(200, b"garbage")):
        sigstore.faults.answers["/.well-known/openid-configuration"] = answer
        with pytest.raises(EnvironmentProblem, match="could not find the login page"):
            browser_token(trusted)
    sigstore.stop()
    with pytest.raises(EnvironmentProblem, match="cannot be reached"):
        browser_token(trusted)


def test_an_instance_without_issuer_needs_a_token(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    trusted = trust(sigstore, tmp_path)
    assert trusted.signing_config is not None
    without = trusted.signing_config.model_copy(update={"oidc_urls": []})
    for config in (None, without):
        with pytest.raises(InputError, match="names no issuer to log in with; give --identity-token"):
            browser_token(SigstoreTrust("it", trusted.trusted_root, config))


def test_the_command_line_shows_no_token(sigstore: LoopbackSigstore, tmp_path: Path) -> None:
    # a token is read from a file, so that /proc/PID/cmdline never has it
    file = tmp_path / "token"
    file.write_text(sigstore.token())
    code = (
        "import sys, io, pathlib\n"
        "from qaudit.attest.identity_tokens import given_token\n"
        "token = given_token(sys.argv[1], io.StringIO())\n"
        "shown = pathlib.Path('/proc/self/cmdline').read_bytes() + pathlib.Path('/proc/self/environ').read_bytes()\n"
        "sys.exit(token.encode() in shown)"
    )
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc")
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == 0
