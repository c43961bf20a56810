import io

import pytest
from qaudit.report.terminal import render
from rich.console import Console
from sample_report import failing_report, hostile_report, inconclusive_report, passing_report


def shown(report: object) -> str:
    stream = io.StringIO()
    render(report, Console(file=stream, width=140))  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize(
    ("made", "word"),
    [(passing_report, "PASS"), (failing_report, "FAIL"), (inconclusive_report, "INCONCLUSIVE")],
)
def test_the_verdict_comes_first(made: object, word: str) -> None:
    assert shown(made()).startswith(word)  # type: ignore[operator]


def test_broken_rules_and_figures_are_there() -> None:
    text = shown(failing_report())
    for words in (
        "refusal-drop",
        "category-drop[privacy]",
        "hidden danger",
        "lost 39 of 180",
        "RTSI",
        "accuracy",
        "first token",
    ):
        assert words in text


def test_control_characters_and_markup_do_not_reach_the_terminal() -> None:
    text = shown(hostile_report())
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "[red]" in text
