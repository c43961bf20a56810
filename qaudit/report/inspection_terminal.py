"""An inspection for people: the answer, the findings by file with what to do, and what was looked at.

Every text from outside is made presentable and never read as markup.
"""

import io
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from qaudit.findings import SEVERITIES, Finding, Inspection, Severity, Status, Surface
from qaudit.report.inspection_places import Places
from qaudit.report.untrusted import one_line, presentable

STATUS_STYLES: dict[Status, str] = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
STYLES: dict[Severity, str] = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
}
_LONGEST = 600
_LONGEST_EVIDENCE = 2000
MOST_SHOWN = 200
MOST_SURFACES = 20
WIDTH = 110


def text(inspections: Sequence[Inspection]) -> str:
    """Return what `render` prints of all, without colours: for a file."""
    written = io.StringIO()
    console = Console(file=written, width=WIDTH, highlight=False, no_color=True)
    for inspection in inspections:
        render(inspection, console)
    return written.getvalue()


def render(inspection: Inspection, console: Console) -> None:
    """Print the answer, the findings and the coverage."""
    _head(inspection, console)
    places = Places(inspection)
    shown = inspection.findings[:MOST_SHOWN]
    by_file: dict[str, list[Finding]] = {}
    for finding in shown:
        by_file.setdefault(places.file_of(finding) or "", []).append(finding)
    for path, findings in by_file.items():
        _say(console, Text(one_line(path or inspection.target, _LONGEST), style="bold"))
        for _, same in groupby(findings, key=lambda finding: (finding.id, finding.severity)):
            _rule(list(same), console)
    if left := len(inspection.findings) - len(shown):
        _say(console, Text(f"and {left} more findings; --format json tells all", style="dim"))
    _coverage(inspection, console)


def _head(inspection: Inspection, console: Console) -> None:
    head = Text(inspection.status.upper(), style=STATUS_STYLES[inspection.status])
    head.append(f" {one_line(inspection.target, _LONGEST)}", style="default")
    if inspection.reference is not None:
        head.append(f" against {one_line(inspection.reference, _LONGEST)}", style="default")
    _say(console, head)
    counts = Counter(finding.severity for finding in inspection.findings)
    told = [f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity]]
    facts = inspection.facts
    what = " ".join(facts[key] for key in ("format", "architecture") if key in facts)
    types = f" ({facts['types']})" if "types" in facts else ""
    about = f"{what}{types}; " if what else ""
    found = ", ".join(told) or "no findings"
    line = f"{about}{found}; fails on {inspection.fail_on}; {inspection.duration_s:.2f} s"
    _say(console, Text(one_line(line, _LONGEST), style="dim"))


def _rule(findings: list[Finding], console: Console) -> None:
    """Print one rule with every place where it does not hold, and what to do once."""
    first = findings[0]
    line = Text("  ")
    line.append(f"{first.severity:>8}", style=STYLES[first.severity])
    line.append(f"  {one_line(first.title, _LONGEST)}  ")
    line.append(one_line(first.id, _LONGEST), style="dim")
    _say(console, line)
    for finding in findings:
        _indented(console, f"{one_line(finding.location, _LONGEST)}", "italic")
        # a difference of templates has lines, which are worth more than one line
        _indented(console, presentable(finding.evidence, _LONGEST_EVIDENCE), "")
    _indented(console, f"to do: {one_line(first.remedy, _LONGEST)}", "")
    if first.references:
        _indented(console, one_line(", ".join(first.references), _LONGEST), "dim")


def _coverage(inspection: Inspection, console: Console) -> None:
    """Print how much was looked at, and everything that was not, with the reason."""
    states = Counter(surface.state for surface in inspection.surfaces if not _is_optional(surface))
    parts = [
        f"{states[state]} {state}" for state in ("examined", "partial", "skipped", "absent") if states[state]
    ]
    _say(console, Text(f"looked at: {', '.join(parts) or 'nothing'}", style="dim"))
    left = [surface for surface in inspection.surfaces if surface.is_open]
    for surface in left[:MOST_SURFACES]:
        line = f"not examined: {surface.path} ({surface.kind}, {surface.state}): {surface.why}"
        _say(console, Text(f"  {one_line(line, _LONGEST)}", style="yellow"))
    if len(left) > MOST_SURFACES:
        _say(console, Text(f"  and {len(left) - MOST_SURFACES} more", style="yellow"))
    for surface in inspection.surfaces:
        if _is_optional(surface):
            line = f"left out: {surface.path} ({surface.kind}): {surface.why}"
            _say(console, Text(f"  {one_line(line, _LONGEST)}", style="dim"))


def _is_optional(surface: Surface) -> bool:
    return surface.state != "examined" and not surface.is_open


def _indented(console: Console, text: str, style: str) -> None:
    if text:
        console.print(Padding(Text(text, style=style), (0, 0, 0, 12), expand=False))


def _say(console: Console, text: Text) -> None:
    # a Text is printed as it is: no markup, no emoji names, no highlighting
    console.print(text, soft_wrap=True)
