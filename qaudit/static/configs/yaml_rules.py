"""Rules over the lines of YAML files; no YAML is parsed, whose tags are the danger."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from qaudit.findings import Severity
from qaudit.static.configs.code_rules import REMOTE_CODE, is_dangerous
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook


@dataclass(frozen=True, slots=True)
class YamlFile:
    """One YAML file as text."""

    path: str
    text: str


BOOK: RuleBook[YamlFile] = RuleBook("yaml", "YAML files of a download")
MOST_LINES = 50  # each is counted from the file's beginning
_TAG = LazyPattern(r"!!?python/[\w/.:-]{1,120}|!<tag:yaml\.org,2002:python/[^>\n]{1,120}>")
_TARGET = LazyPattern(
    r"^[ \t-]*['\"]?_(?:partial_)?target_['\"]?[ \t]*:[ \t]*['\"]?([^\s'\"#]{1,200})", re.MULTILINE
)
_TRUST = LazyPattern(
    r"^[ \t-]*['\"]?trust_remote_code['\"]?[ \t]*:[ \t]*(?:true|yes|on)\b", re.MULTILINE | re.IGNORECASE
)


@BOOK.rule(
    "python-tag", "critical",
    title="a YAML tag makes a Python object",
    why="Parsers that load such tags call what they name, with the arguments of the file.",
    remedy="do not load it, and report who offers it", sources=("CVE-2020-14343", "CWE-502"),
)  # fmt: skip
def python_tag(file: YamlFile) -> Iterator[Hit]:
    """Find python tags; those of plain values and tuples are only unusual."""
    for match in islice(_TAG.finditer(file.text), MOST_LINES):
        harmless = re.search(
            r"python/(?:tuple|str|int|float|bool|none|unicode|list|dict|long|complex)\b", match.group()
        )
        yield Hit(_line(file, match.start()), ascii(match.group())[1:-1], "low" if harmless else None)


@BOOK.rule(
    "hydra-target", "medium",
    title="a key names a Python object to be called",
    why="Hydra and its like import and call whatever stands there, with the arguments beside it.",
    remedy="load it only with a list of allowed targets", sources=("CVE-2025-23304", "https://hydra.cc"),
)  # fmt: skip
def target(file: YamlFile) -> Iterator[Hit]:
    """Find _target_; those that run commands or load code are critical."""
    for match in islice(_TARGET.finditer(file.text), MOST_LINES):
        severity: Severity | None = "critical" if is_dangerous(match[1]) else None
        yield Hit(_line(file, match.start()), ascii(match[1]), severity)


@BOOK.rule(
    "trust-remote-code", "info",
    title="a training recipe trusts remote code",
    why="It says how the model was made; who runs the recipe again trusts that code too.",
    remedy="none needed for loading the model", sources=(REMOTE_CODE,),
)  # fmt: skip
def trust(file: YamlFile) -> Iterator[Hit]:
    """Find the first trust_remote_code: true."""
    match = _TRUST.search(file.text)
    if match:
        yield Hit(_line(file, match.start()), "trust_remote_code: true")


def _line(file: YamlFile, position: int) -> str:
    return f"{file.path}:{file.text.count(chr(10), 0, position) + 1}"
