import os
import subprocess
import sys
from pathlib import Path

import pytest

import qaudit
from qaudit.attest.local_key import generate_key
from qaudit.cli import commands as cli
from qaudit.cli.commands import COMMANDS
from qaudit.cli.main import run
from qaudit.errors import ExitCode, GateFailure, InputError


def test_help_lists_every_command_and_imports_none() -> None:
    code = "import sys; from qaudit.cli.main import run; run(['--help']); print([m for m in sys.modules if m in ('numpy','torch','llama_cpp','scipy')])"
    environment = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip().endswith("[]")


def test_every_command_loads_and_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert run([name, "--help"]) == 0
        assert "Usage: qaudit" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"qaudit {qaudit.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch"],
        ["audit"],
        ["audit", "x.gguf"],
        ["rtsi", "--nosuch"],
        ["audit", "x", "-r", "y", "--limit", "0"],
    ],
)
def test_wrong_usage_is_one_line_and_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == ExitCode.UNABLE
    err = capsys.readouterr().err.strip()
    assert err.startswith("qaudit: ")
    assert "\n" not in err


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (InputError("a.gguf: is\nbroken"), 2, "qaudit: a.gguf: is broken"),
        (GateFailure("no"), 1, "qaudit: no"),
        (KeyboardInterrupt(), 2, "qaudit: interrupted; an audit or a realignment goes on with --resume"),
        (
            RuntimeError("oops"),
            2,
            "qaudit: internal error (RuntimeError: oops); set QAUDIT_DEBUG=1 and report it",
        ),
    ],
)
def test_errors_become_one_line_and_a_code(
    raised: BaseException,
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def command() -> None:
        raise raised

    monkeypatch.delenv("QAUDIT_DEBUG", raising=False)
    monkeypatch.setitem(COMMANDS, "boom", ("tests.fake", "boom", "fails"))
    monkeypatch.setattr(
        cli.importlib, "import_module", lambda _: type("M", (), {"boom": staticmethod(command)})
    )
    assert run(["boom"]) == code
    assert capsys.readouterr().err.strip() == line


@pytest.mark.parametrize("name", ["x" * 5000, "oci:" + "x" * 5000, "x" * 250])
@pytest.mark.parametrize("words", [["verify", "PATH", "--key", "k.pem"], ["pack", "PATH", "--out", "o"]])
def test_a_name_that_is_too_long_is_no_internal_error(
    words: list[str],
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QAUDIT_DEBUG", raising=False)
    generate_key(tmp_path / "p.pem", "p256").rename(tmp_path / "k.pem")
    assert run([name if word == "PATH" else word for word in words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("qaudit: ")
    assert "internal error" not in told
    assert told.count("\n") == 1


def test_the_traceback_is_there_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise RuntimeError("oops")

    monkeypatch.setenv("QAUDIT_DEBUG", "1")
    monkeypatch.setitem(COMMANDS, "boom", ("tests.fake", "boom", "fails"))
    monkeypatch.setattr(
        cli.importlib, "import_module", lambda _: type("M", (), {"boom": staticmethod(command)})
    )
    with pytest.raises(RuntimeError, match="oops"):
        run(["boom"])


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "audit" in capsys.readouterr().out


def test_a_terminal_without_unicode_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        'name: odd\nversion: "1"\nlicence: CC0\nexpectation: answer\ncategories: {a: A}\n'
    )
    (tmp_path / "prompts.jsonl").write_text('{"id": "1", "category": "a", "prompt": "hi \\ud83d\\ude00"}\n')
    words = [sys.executable, "-c", "from qaudit.cli.main import main; main()", "suite", "show", str(tmp_path)]
    done = subprocess.run(
        words, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
    )
    assert done.returncode == 0, done.stderr
    assert rb"hi \U0001f600" in done.stdout
