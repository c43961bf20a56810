import io

from rich.console import Console

from qaudit.cli.event_bars import EventBars


class Listener(EventBars):
    def hear(self, name: str) -> None:
        self._bars.add_task(name, total=3, completed=1)
        self._say(f"[red]{name}[/red]")


def shown(*, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, color_system=None, width=100)
    with Listener(console) as listener:
        listener.hear("model[Q4].gguf")
    return stream.getvalue()


def test_bars_are_for_terminals_and_lines_for_all() -> None:
    elsewhere = shown(terminal=False)
    assert elsewhere == "[red]model[Q4].gguf[/red]\n"
    on_terminal = shown(terminal=True)
    assert "1/3" in on_terminal
    # a name's brackets are not markup
    assert on_terminal.count("model[Q4].gguf") >= 2
