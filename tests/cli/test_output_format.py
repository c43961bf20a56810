from collections.abc import Iterator

import click
import pytest
import typer

from qaudit.cli.main import COMMANDS, LazyCommands
from qaudit.cli.output_format import wants_json


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from leaves(inner, f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_that_prints_json_takes_both_options(name: str) -> None:
    command = LazyCommands().get_command(click.Context(click.Command("qaudit")), name)
    for path, leaf in leaves(command, name):
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert ("--json" in options) == ("--format" in options), path
        if path.split()[-1] not in {"demo", "keygen", "report"}:
            assert "--json" in options, path


@pytest.mark.parametrize(
    ("flag", "word", "json"), [(False, "text", False), (True, "text", True), (False, "json", True)]
)
def test_either_option_asks_for_json(flag: bool, word: str, json: bool) -> None:
    assert wants_json(flag, word) is json


def test_another_format_is_a_usage_error() -> None:
    with pytest.raises(typer.BadParameter, match="text or json"):
        wants_json(False, "yaml")
