"""Commands in scripts, notebooks, Dockerfiles and readmes that fetch and run, or hide what they run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qaudit.findings import Severity
from qaudit.static.lazy_pattern import LazyPattern

MAX_LINE: Final = 2000  # characters of a line that are looked at
MAX_LINES: Final = 50_000

# each is tried on one line at a time and has no nested repetition
_PATTERNS: Final[tuple[tuple[str, Severity, LazyPattern[str]], ...]] = (
    ("fetches and runs in one go", "high", LazyPattern(
        r"\b(?:curl|wget|fetch|iwr|Invoke-WebRequest)\b[^|;\n]{0,400}\|\s*(?:sudo\s+)?(?:\w+=\S+\s+)?"
        r"(?:ba|z|da|k)?sh\b|\b(?:curl|wget)\b[^|;\n]{0,400}\|\s*(?:sudo\s+)?(?:python3?|perl|ruby|node|php)\b")),
    ("fetches and runs in one go", "high", LazyPattern(
        r"\b(?:ba|z)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\(|`)\s*(?:curl|wget)\b|"
        r"\beval\s+[\"']?(?:\$\(|`)\s*(?:curl|wget)\b")),
    ("decodes and runs", "high", LazyPattern(
        r"\bbase64\s+(?:-d|-D|--decode)\b[^|\n]{0,200}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b|"
        r"\bxxd\s+-r\b[^|\n]{0,200}\|\s*(?:ba)?sh\b")),
    ("opens a shell to another machine", "critical", LazyPattern(
        r"/dev/(?:tcp|udp)/|\b(?:nc|ncat|netcat)\b[^|;\n]{0,100}\s-\w*[ec]\b|\bmkfifo\b[^\n]{0,100}\bnc\b|"
        r"\bsocat\b[^\n]{0,100}\bexec:", re.IGNORECASE)),
    ("runs hidden PowerShell", "high", LazyPattern(
        r"\bpowershell(?:\.exe)?\b[^\n]{0,200}\s-(?:e|en|enc|encodedcommand|w\s+hidden|windowstyle\s+hidden)\b|"
        r"\bIEX\b\s*\(|\bInvoke-Expression\b|\bDownloadString\s*\(|\bcertutil\b[^\n]{0,80}-urlcache|"
        r"\bbitsadmin\b[^\n]{0,80}/transfer|\bmshta\s+https?:|"
        r"\bregsvr32\b[^\n]{0,80}/i:http", re.IGNORECASE)),
    ("writes where programs start by themselves", "high", LazyPattern(
        r"\bcrontab\s+-|>>?\s*~?/?\S*(?:\.bashrc|\.zshrc|\.profile|\.bash_profile|authorized_keys)\b|"
        r"/etc/(?:cron|rc\.local|systemd/system|ld\.so\.preload)|\blaunchctl\s+load|\bHKEY_\w+\\\S*\\Run\b|"
        r"\breg\s+add\b[^\n]{0,100}\\Run\b|\bschtasks\s+/create", re.IGNORECASE)),
    ("deletes everything", "high", LazyPattern(
        r"\brm\s+-(?:rf|fr)\s+(?:--no-preserve-root\s+)?(?:/|~|\$HOME)(?:\s|\*|$)|"
        r"\bdd\s+[^\n]{0,60}of=/dev/[sn]\w+|\bmkfs\.|:\(\)\s*\{")),
    ("gives a file another user's rights", "medium", LazyPattern(
        r"\bchmod\s+(?:[ug]*\+\w*s|[246]7\d\d)\b|\bchattr\s+\+i\b")),
    ("reads keys or credentials", "high", LazyPattern(
        r"~?/\.ssh/id_|\.aws/credentials|/etc/shadow\b|\.netrc\b|\.git-credentials|169\.254\.169\.254")),
    ("sends to a drop", "high", LazyPattern(
        r"discord(?:app)?\.com/api/webhooks|api\.telegram\.org/bot|webhook\.site|"
        r"\.ngrok(?:-free)?\.(?:io|app)|\.oast\.\w+")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a text."""

    line: int
    what: str
    text: str
    severity: Severity


def commands_in(text: str) -> Iterator[Command]:
    """Yield the lines that a shell should not be given, each once for each kind."""
    number = 0
    for line in text.splitlines():
        number += 1
        if number > MAX_LINES:
            return
        if len(line) < 6:
            continue
        line = line[:MAX_LINE]
        seen = set()
        for what, severity, pattern in _PATTERNS:
            if what not in seen and pattern.search(line):
                seen.add(what)
                yield Command(number, what, line.strip(), severity)
