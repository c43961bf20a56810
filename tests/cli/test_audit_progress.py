import io

from rich.console import Console
from sample_report import passing_report

from qaudit.auditing.events import Asked, Fetching, Finished, Loaded, Noted, Opened
from qaudit.cli.audit_progress import AuditProgress


def test_lines_without_a_terminal_and_the_report_at_the_end() -> None:
    stream = io.StringIO()
    report = passing_report()
    with AuditProgress(Console(file=stream)) as progress:
        assert progress.notice(Opened(report.reference, report.checkpoint, ("core",))) is None
        progress.notice(Loaded("reference", "llama.cpp", ()))
        progress.notice(Asked("reference", "replies", 1, 2))
        progress.notice(Noted("one [red]note[/red]"))
        assert progress.notice(Finished(report, None)) is report
    text = stream.getvalue()
    assert "candidate models/Q2_K.gguf (Q2_K)" in text
    assert "worker held by nothing" in text
    assert "one [red]note[/red]" in text


def test_bars_on_a_terminal() -> None:
    stream = io.StringIO()
    with AuditProgress(Console(file=stream, force_terminal=True, width=120)) as progress:
        progress.notice(Asked("candidate", "choices", 1, 2))
        progress.notice(Asked("candidate", "choices", 2, 2))
    assert "candidate: multiple choice" in stream.getvalue()
    assert "2/2" in stream.getvalue()


HUB = "hf://org/model@main"


def fetched(console: Console) -> None:
    with AuditProgress(console) as progress:
        for done, total in ((0, 2_000), (2_000, 2_000), (2_000, 5_000_000), (3_000_000, 5_000_000)):
            assert progress.notice(Fetching("candidate", HUB, done, total)) is None


def test_a_download_has_a_bar_in_bytes_on_a_terminal() -> None:
    stream = io.StringIO()
    fetched(Console(file=stream, force_terminal=True, width=120))
    assert "candidate: fetching" in stream.getvalue()
    assert "3.0/5.0 MB" in stream.getvalue()


def test_without_a_terminal_a_download_is_one_line() -> None:
    stream = io.StringIO()
    fetched(Console(file=stream))
    assert stream.getvalue() == f"candidate: fetching {HUB}\n"


def test_what_was_fetched_before_is_not_mentioned() -> None:
    stream = io.StringIO()
    with AuditProgress(Console(file=stream, force_terminal=True, width=120)) as progress:
        progress.notice(Fetching("reference", HUB, 2_000, 2_000))
        progress.notice(Fetching("reference", HUB, 5_000, 5_000))
    assert "fetching" not in stream.getvalue()
