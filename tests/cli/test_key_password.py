import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import qaudit
from qaudit.attest.local_key import PASSWORD_VARIABLE
from qaudit.cli.key_password import key_password
from qaudit.errors import InputError


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "from env")
    assert key_password(Path("k.pem")) == "from env"


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(InputError, match=r"k\.pem: needs a password; set QAUDIT_KEY_PASSWORD"):
        key_password(Path("k.pem"))


def test_a_prompt_in_a_terminal_does_not_echo(tmp_path: Path) -> None:
    """A real pseudo-terminal: what is typed must come back neither from the terminal nor on stdout."""
    code = (
        "from pathlib import Path; from qaudit.cli.key_password import key_password;"
        f"Path({str(tmp_path / 'got')!r}).write_text(key_password(Path('k.pem')))"
    )
    leader, follower = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != PASSWORD_VARIABLE}
    environment["PYTHONPATH"] = str(Path(qaudit.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while termios.tcgetattr(follower)[3] & termios.ECHO:
            assert time.monotonic() < deadline, "the terminal still echoes"
            time.sleep(0.01)
        os.write(leader, b"typed-secret\n")
        assert process.wait(timeout=300) == 0
        shown = os.read(leader, 1000)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
        os.close(follower)
    assert (tmp_path / "got").read_text() == "typed-secret"
    assert b"k.pem" in shown
    assert b"typed-secret" not in shown
