import io
from dataclasses import replace

from rich.console import Console
from sample_inspection import failing, hostile, inconclusive, passing

from qaudit.report.inspection_terminal import MOST_SHOWN, render, text
from qaudit.values import Finding, Inspection


def coloured(inspection: Inspection) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False)
    render(inspection, console)
    out = console.file
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def test_the_answer_comes_first_and_the_gravest_finding_next() -> None:
    lines = text([failing()]).splitlines()
    assert lines[0] == "FAIL models/tiny against org/base"
    assert "2 critical, 1 high, 1 info" in lines[1]
    assert "gguf llama (Q4_K, F32)" in lines[1]
    assert lines[2] == "sub/b.bin"
    assert "critical" in lines[3]
    assert "pickle/unsafe-global" in lines[3]


def test_a_rule_is_told_once_with_all_its_places_and_what_to_do() -> None:
    shown = text([failing()])
    assert shown.count("Runs code when it is loaded") == 1
    for part in (
        "sub/b.bin@byte 3",
        "os.system",
        "sub/b.bin@byte 9",
        "posix.system",
        "to do: do not load it",
    ):
        assert shown.count(part) == 1
    assert "CVE-2025-1716, https://example.org/pickles" in shown
    # a difference keeps its lines
    assert "-a\n            +b" in shown


def test_coverage_tells_what_was_not_seen_and_why() -> None:
    shown = text([inconclusive()])
    assert shown.startswith("INCONCLUSIVE")
    assert "looked at: 2 examined, 1 skipped" in shown
    assert "not examined: x.rar (archive, skipped): RAR is not read" in shown
    assert "left out: a.gguf (weights): --deep reads the values" in shown
    assert "not examined" not in text([passing()])


def test_severities_have_colours_on_a_terminal_and_none_in_a_file() -> None:
    assert "\x1b[1;37;41m" in coloured(failing())
    assert "\x1b" not in text([failing()])


def test_nothing_from_outside_reaches_the_terminal_as_it_is() -> None:
    for shown in (text([hostile()]), coloured(hostile()).replace("\x1b[", "")):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "\u200b" not in shown
        assert "[red]" in shown
    assert len(text([hostile()])) < 50_000


def test_endless_findings_are_counted() -> None:
    many = tuple(Finding("f/x", "low", "T", f"a.gguf@byte {i}", "E", "R") for i in range(MOST_SHOWN + 7))
    assert "and 7 more findings" in text([replace(passing(), findings=many)])
