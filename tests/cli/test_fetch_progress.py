import io

from rich.console import Console

from qaudit.cli.fetch_progress import FetchProgress


def shown(terminal: bool, *steps: tuple[int, int]) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100)
    with FetchProgress(console, "hf://o/[r]") as progress:
        for done, total in steps:
            progress(done, total)
    return stream.getvalue()


def test_one_line_where_there_is_no_terminal() -> None:
    assert shown(False, (0, 10), (5, 10), (10, 10)) == "fetching hf://o/[r]\n"


def test_nothing_where_nothing_is_fetched() -> None:
    assert shown(False, (10, 10)) == ""


def test_a_bar_on_a_terminal() -> None:
    assert "5/10 bytes" in shown(True, (0, 10), (5, 10))


def test_the_check_is_shown_from_the_beginning_and_hidden_while_it_is_fetched() -> None:
    assert "checking" in shown(True)
    frames = shown(True, (0, 10), (5, 10)).split("\x1b[2K")
    assert not any("checking" in frame for frame in frames if "5/10 bytes" in frame)
    frames = shown(True, (0, 10), (10, 10)).split("\x1b[2K")
    assert any("checking" in frame and "10/10 bytes" in frame for frame in frames)
