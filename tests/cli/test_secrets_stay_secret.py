"""Keys, passwords and tokens: in no process list, output or file, whether signing works or fails.

`qaudit sign` really runs in a process of its own here. A pipe as its report holds it where the secrets
are already loaded and nothing is written yet, and there it is looked at from outside.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback_sigstore.faults import Answer
from loopback_sigstore.instance import LoopbackSigstore
from release_kit import Release, make_release

import qaudit
from qaudit.attest.identity_tokens import TOKEN_VARIABLE
from qaudit.attest.local_key import PASSWORD_VARIABLE, generate_key
from qaudit.cli import main

PASSWORD = "Xq7-correct-horse-battery"
COMMAND = [sys.executable, "-c", "from qaudit.cli.main import main; main()"]
ROOT = Path(qaudit.__file__).parents[1]


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: text for name, text in os.environ.items() if name not in (PASSWORD_VARIABLE, TOKEN_VARIABLE)
    }
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def descendants(pid: int) -> list[int]:
    children = [
        int(p)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for p in (task / "children").read_text().split()
    ]
    return [pid, *(below for child in children for below in descendants(child))]


def open_files(pid: int) -> list[str]:
    names = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            names.append(os.readlink(link))
    return names


class Watched:
    """A command that was run, with everything that others could see of it."""

    def __init__(self) -> None:
        self.command_lines = b""
        self.environments = b""
        self.open_files: list[str] = []
        self.said = ""
        self.code = -1


@contextmanager
def paused_at(pipe: Path) -> Iterator[Callable[[bytes], None]]:
    """Make a pipe; what is run in the block waits for its bytes, which the function sends."""
    os.mkfifo(pipe)
    handle = os.open(pipe, os.O_RDWR)  # both ends, so that opening never waits
    done = threading.Event()

    def send(data: bytes) -> None:
        writing = os.open(pipe, os.O_WRONLY)
        os.close(handle)
        done.set()
        with os.fdopen(writing, "wb") as stream:
            stream.write(data)

    try:
        yield send
    finally:
        if not done.is_set():
            os.close(handle)


def watch(release: Release, pipe: Path, *options: str, stdin: str = "", **variables: str) -> Watched:
    """Sign with a report that comes late, and look at the process meanwhile."""
    seen = Watched()
    arguments = [
        *COMMAND,
        "sign",
        str(release.checkpoint),
        "--report",
        str(pipe),
        "--policy",
        str(release.policy),
    ]
    with paused_at(pipe) as send:
        process = subprocess.Popen(
            [*arguments, *options], env=environment(**variables), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        opened: list[str] = []
        while str(pipe) not in opened:
            assert process.poll() is None, process.communicate()[0]
            opened = open_files(process.pid)
            time.sleep(0.02)
        for pid in descendants(process.pid):
            seen.command_lines += Path(f"/proc/{pid}/cmdline").read_bytes()
            seen.environments += Path(f"/proc/{pid}/environ").read_bytes()
        seen.open_files = opened
        send(release.report.read_bytes())
        seen.said, _ = process.communicate(timeout=900)
        seen.code = process.returncode
    return seen


def written(release: Release) -> bytes:
    """Every byte that a release consists of now, and what lies beside it."""
    top = release.checkpoint.parent
    keys = {release.key, release.public}
    found = [p for p in top.rglob("*") if p.is_file() and p not in keys and p.suffix != ".secret"]
    return b"\n".join(path.read_bytes() for path in found)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A release whose key is encrypted."""
    folder = tmp_path / "there"
    folder.mkdir()
    release = make_release(folder)
    release.key.unlink()
    release.public.unlink()
    generate_key(release.key, "p256", PASSWORD)
    return release


def test_the_password_of_a_key(release: Release, tmp_path: Path) -> None:
    seen = watch(release, tmp_path / "pipe", "--key", str(release.key), **{PASSWORD_VARIABLE: PASSWORD})
    assert seen.code == 0, seen.said
    # the caller put it into the environment, where only the same user can look
    assert PASSWORD.encode() in seen.environments
    assert str(release.key).encode() in seen.command_lines
    body = "".join(line for line in release.key.read_text().splitlines() if "---" not in line)
    for secret in (PASSWORD, body[:40]):
        assert secret.encode() not in seen.command_lines
        assert secret not in seen.said
        assert secret.encode() not in written(release)
    # the key was read and closed again
    assert str(release.key) not in seen.open_files


@pytest.mark.parametrize("how", ["environment", "standard input", "file"])
def test_an_identity_token(release: Release, sigstore: LoopbackSigstore, tmp_path: Path, how: str) -> None:
    token, config = sigstore.token(), sigstore.write_trust_config(tmp_path / "trust.json")
    options, variables, stdin = ["--trust-config", str(config)], {}, ""
    if how == "environment":
        variables[TOKEN_VARIABLE] = token
    elif how == "standard input":
        options += ["--identity-token", "-"]
        stdin = token
    else:
        file = tmp_path / "token.secret"
        file.write_text(token)
        options += ["--identity-token", str(file)]
    seen = watch(release, tmp_path / "pipe", *options, stdin=stdin, **variables)
    assert seen.code == 0, seen.said
    signature = token.rpartition(".")[2]
    for secret in (token, signature):
        assert secret.encode() not in seen.command_lines
        assert secret not in seen.said
        assert secret.encode() not in written(release)
        if how != "environment":
            assert secret.encode() not in seen.environments


@dataclass
class Shell:
    """Runs commands in this process; says exit code and everything that was printed."""

    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> tuple[int, str]:
        with self.monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", io.StringIO(stdin))
            for name in (PASSWORD_VARIABLE, TOKEN_VARIABLE):
                patched.delenv(name, raising=False)
            for name, text in variables.items():
                patched.setenv(name, text)
            code = main.run(list(arguments))
        printed = self.capture.readouterr()
        return code, printed.out + printed.err

    def sign(self, release: Release, *options: str, stdin: str = "", **variables: str) -> tuple[int, str]:
        given = ["--report", str(release.report), "--policy", str(release.policy)]
        return self("sign", str(release.checkpoint), *given, *options, stdin=stdin, **variables)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_a_password_that_does_not_open_the_key(release: Release, shell: Shell) -> None:
    wrong = "wr0ng-password"
    code, said = shell.sign(release, "--key", str(release.key), **{PASSWORD_VARIABLE: wrong})
    assert code == 2
    assert "the password does not open this key" in said
    assert wrong not in said
    assert PASSWORD not in said


@pytest.mark.parametrize("fault", ["refused", "garbage", "down"])
def test_a_token_when_the_services_fail(
    release: Release, sigstore: LoopbackSigstore, tmp_path: Path, shell: Shell, fault: str
) -> None:
    token, config = sigstore.token(), sigstore.write_trust_config(tmp_path / "trust.json")
    if fault == "down":
        sigstore.stop()
    else:
        # a service that says back what it was sent
        body = token.encode() if fault == "refused" else b"{" + token.encode()
        sigstore.faults.answers["/api/v2/signingCert"] = Answer(401 if fault == "refused" else 200, body)
    before = written(release)
    code, said = shell.sign(release, "--identity-token", "-", "--trust-config", str(config), stdin=token)
    assert code == 2, said
    assert token not in said
    assert token.rpartition(".")[2] not in said
    assert written(release) == before


def test_something_given_as_a_token_that_is_none_is_not_repeated(release: Release, shell: Shell) -> None:
    for given in ("hf_supersecrettoken", "x" * 3000):
        code, said = shell.sign(release, "--identity-token", given)
        assert code == 2
        assert given not in said
    code, said = shell.sign(release, "--keyless", **{TOKEN_VARIABLE: "ghs_supersecret"})
    assert code == 2
    assert "ghs_supersecret" not in said


def test_a_token_in_the_command_line_is_warned_of(
    release: Release, sigstore: LoopbackSigstore, tmp_path: Path, shell: Shell
) -> None:
    config = sigstore.write_trust_config(tmp_path / "trust.json")
    token = sigstore.token()
    code, said = shell.sign(release, "--identity-token", token, "--trust-config", str(config))
    assert code == 0, said
    assert "a token on the command line is in process lists" in said
    assert token not in said


def test_no_option_takes_a_password_and_help_shows_no_secret(shell: Shell) -> None:
    variables = {
        PASSWORD_VARIABLE: PASSWORD,
        TOKEN_VARIABLE: "a.b.c-supersecret",
        "HF_TOKEN": "hf_supersecret",
    }
    for command in ("sign", "verify", "keygen", "pack"):
        code, said = shell(command, "--help", **variables)
        assert code == 0, said
        assert not re.search(r"--\S*password", said)
        assert PASSWORD not in said
        assert "supersecret" not in said


def test_a_key_that_others_can_read_is_warned_of_in_every_mode_that_uses_it(
    release: Release, shell: Shell
) -> None:
    release.key.chmod(0o644)
    code, said = shell.sign(release, "--key", str(release.key), **{PASSWORD_VARIABLE: PASSWORD})
    assert code == 0, said
    assert "others can read or change this private key (mode 0644)" in said
    release.key.chmod(0o600)
    code, said = shell.sign(release, "--key", str(release.key), **{PASSWORD_VARIABLE: PASSWORD})
    assert code == 0
    assert "others can read" not in said
