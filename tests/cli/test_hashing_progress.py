import io
import json
from pathlib import Path

import pytest
from release_kit import Release, make_release
from rich.console import Console

from qaudit.cli.hashing_progress import HashingProgress, signing_progress
from qaudit.cli.main import run
from qaudit.errors import InputError


def screen(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def told(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path)


def test_a_bar_on_a_terminal_from_the_beginning() -> None:
    console = screen(terminal=True)
    with HashingProgress(console, "checking [x]"):
        pass
    assert "checking [x]" in told(console)
    with HashingProgress(console, "hashing", 10) as progress:
        progress.read(4)
    assert "4/10 bytes" in told(console)


def test_nothing_moves_after_the_last_byte() -> None:
    console = screen(terminal=True)
    with HashingProgress(console, "hashing", 10) as progress:
        progress.read(4)
        progress.read(6)
        after = told(console)
        console.print("enter the code")
    assert "10/10 bytes" in after
    # a display that were still on would be drawn again below what is printed
    assert told(console).removeprefix(after) == "enter the code\n"


def test_nothing_where_there_is_no_terminal(release: Release) -> None:
    console = screen(terminal=False)
    with signing_progress(console, release.checkpoint) as progress:
        release.sign(on_read=progress.read)
    assert told(console) == ""


def test_sign_and_verify_show_it(
    release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = ["sign", str(release.checkpoint), "--report", str(release.report), "--policy", str(release.policy)]
    verify = ["verify", str(release.checkpoint), "--key", str(release.public)]
    for words, shows in (([*sign, "--key", str(release.key)], "hashing"), (verify, "checking")):
        for forced in ("1", ""):
            monkeypatch.setenv("FORCE_COLOR", forced)
            if not forced:
                monkeypatch.delenv("FORCE_COLOR")
            assert run(words) == 0
            assert (shows in capsys.readouterr().err) == bool(forced), words
    assert run([*verify, "--out", str(tmp_path / "out"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["load_from"] == str(tmp_path / "out")
    assert f"load it from: {tmp_path / 'out'}" in told.err.replace("\n", "")
    assert run([*verify, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["load_from"] is None


def test_the_bytes_are_those_that_are_signed(release: Release) -> None:
    console = screen(terminal=True)
    release.sign()
    size = sum(path.stat().st_size for path in release.checkpoint.rglob("*") if path.is_file())
    size -= sum(path.stat().st_size for path in (release.checkpoint / ".qaudit").iterdir())
    size -= (release.checkpoint / "model.sig").stat().st_size
    with signing_progress(console, release.checkpoint) as progress:
        release.sign(on_read=progress.read)
        assert f"{size / 1000:.1f}/{size / 1000:.1f} kB" in told(console)
    with pytest.raises(InputError):
        signing_progress(console, release.checkpoint / "missing")
