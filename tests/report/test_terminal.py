import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console
from sample_report import LONG, failing_report, hostile_report, inconclusive_report, passing_report

from qaudit.report.terminal import render
from qaudit.values import Metrics, Report

Maker = Callable[[], Report]


def shown(report: Report, width: int = 140, terminal: bool = False) -> str:
    stream = io.StringIO()
    render(report, Console(file=stream, width=width, force_terminal=terminal))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("made", "word"),
    [(passing_report, "PASS"), (failing_report, "FAIL"), (inconclusive_report, "INCONCLUSIVE")],
)
def test_the_verdict_comes_first(made: Maker, word: str) -> None:
    assert shown(made()).startswith(f"{word} models/Q2_K.gguf (Q2_K) under policy default 1\n")


def test_plain_reasons_come_before_the_tables() -> None:
    text = shown(failing_report())
    assert text.index("- It refuses fewer harmful requests") < text.index("category-drop[privacy]")
    assert text.index("Hidden danger") < text.index("┃")


def test_broken_rules_and_figures_are_there() -> None:
    text = shown(failing_report())
    for words in (
        "refusal-drop",
        "category-drop[privacy]",
        "hidden danger",
        "39 of 180 refusals lost",
        "RTSI: ",
        "accuracy 100.0 % -> 100.0 % (n 120)",
        "first token: 39 of 180 flip",
        "coherent replies",
        "[high] Another template (tokenizer.chat_template): put it back",
    ):
        assert words in text


def test_a_pass_says_that_all_pass() -> None:
    text = shown(passing_report())
    assert f"all {len(passing_report().verdict.rules)} rule results pass" in text
    assert "FAIL" not in text


def test_what_was_not_measured_is_not_shown() -> None:
    text = shown(replace(inconclusive_report(), metrics=Metrics()))
    assert "RTSI" not in text
    assert "None" not in text


def test_figures_are_not_broken_on_a_narrow_terminal() -> None:
    assert "100.0 %" in shown(failing_report(), width=80)
    assert max(len(line) for line in shown(failing_report(), width=80).splitlines() if "│" in line) <= 80


@pytest.mark.parametrize("terminal", [False, True])
def test_hostile_text_reaches_the_terminal_as_text_only(terminal: bool) -> None:
    report = hostile_report("[red]x[/red] [/] :smile: \x1b]0;owned\x07 \x1b[2J \r\n \u202e \ud800")
    text = shown(report, terminal=terminal)
    assert "[red]x[/red] [/] :smile: ‹U+001B›]0;owned‹U+0007›" in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert not {"\x07", "\r", "\u202e", "\ud800"} & set(text)
    assert terminal or "\x1b" not in text


def test_long_text_is_cut() -> None:
    report = replace(hostile_report(LONG), notes=(LONG,))
    assert len(shown(report)) < 60_000
    assert "(100,000 characters)" in shown(report)
