import os
import subprocess
import sys
from pathlib import Path

import pytest

import qaudit
from qaudit.cli.commands import COMMANDS, PLAIN, LazyCommands, run_application
from qaudit.cli.main import run
from qaudit.errors import InputError


def test_every_command_has_a_line_of_help_and_a_module() -> None:
    for name, (module, attribute, summary) in COMMANDS.items():
        assert module.startswith("qaudit.cli.")
        assert attribute.split("_")[0] == name
        assert summary.endswith(".")
    assert COMMANDS.keys() >= PLAIN


def test_words_that_make_no_command_are_an_input_error() -> None:
    with pytest.raises(InputError, match="see qaudit --help"):
        run_application(["nosuch"])


def test_an_interrupted_command_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise KeyboardInterrupt

    loaded = type("M", (), {"boom": staticmethod(command)})
    monkeypatch.setitem(COMMANDS, "boom", ("tests.fake", "boom", "fails"))
    monkeypatch.setattr("qaudit.cli.commands.importlib.import_module", lambda _: loaded)
    with pytest.raises(KeyboardInterrupt):
        run_application(["boom"])


def test_commands_are_listed_in_order() -> None:
    assert LazyCommands().list_commands(None) == sorted(COMMANDS)


@pytest.mark.parametrize("words", [["inspect", "/nowhere"], ["--", "inspect", "/nowhere"]])
def test_a_plain_command_is_reached_by_every_way(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert "/nowhere: cannot be read" in capsys.readouterr().err


def test_a_plain_command_takes_its_own_options_by_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--", "inspect", "--list-rules", "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")


def test_a_plain_command_does_not_wait_for_typer() -> None:
    code = "import sys; from qaudit.cli.main import run; run(['inspect', '/nowhere']); print('typer' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "False"
