import io

from rich.console import Console

from qaudit.cli.matrix_progress import MatrixProgress
from qaudit.matrix.manifest import Row
from qaudit.matrix.running import RowFinished, RowStarted
from qaudit.matrix.table import RowResult
from qaudit.matrix.tasks import Outcome, unfinished


def shown(*, terminal: bool) -> str:
    stream = io.StringIO()
    row = Row("a", "a.gguf", "r.gguf")
    broken = RowResult(row, unfinished("a", "[red] gone\x1b[31m", 3), None, "[red] gone\x1b[31m")
    with MatrixProgress(Console(file=stream, force_terminal=terminal, width=120)) as progress:
        progress.notice(RowStarted("a", 1, 2))
        progress.notice(RowStarted("b", 2, 2))
        progress.notice(RowFinished(broken, 1, 2))
        reused = RowResult(Row("b", "b", "r"), Outcome("b", 0, None, reused=True), None, None)
        progress.notice(RowFinished(reused, 2, 2))
    return stream.getvalue()


def test_elsewhere_than_on_a_terminal_it_is_a_line_a_row() -> None:
    first, second = shown(terminal=False).splitlines()
    assert first == "1/2 a: error, [red] gone‹U+001B›[31m, at attempt 3"
    assert second.startswith("2/2 b: ")
    assert second.endswith("as it was")


def test_on_a_terminal_there_is_a_bar() -> None:
    text = shown(terminal=True)
    assert "2/2" in text
    assert "━" in text
    assert "\x1b[31m," not in text
