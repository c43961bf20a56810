"""What tests of the GGUF rules share: bytes in, what the walk and the rules of one file say out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case
from qaudit.static.gguf import (
    header_rules,
    name_rules,
    runtimes,
    shape_rules,
    shard_rules,
    space_rules,
    tensor_rules,
)
from qaudit.static.gguf.book import BOOK, GgufSubject
from qaudit.static.gguf.layout import lay_out
from qaudit.static.gguf.walking import walk_gguf
from qaudit.values import Finding

MODULES = (header_rules, name_rules, tensor_rules, shape_rules, shard_rules, space_rules, runtimes)


@dataclass(frozen=True)
class Seen:
    """A subject with the findings of the gguf rules alone."""

    subject: GgufSubject
    findings: list[Finding]

    @property
    def grave(self) -> dict[str, str]:
        """Id -> worst severity, without info."""
        order = ["info", "low", "medium", "high", "critical"]
        worst: dict[str, str] = {}
        for finding in self.findings:
            known = worst.get(finding.id, "info")
            worst[finding.id] = max(known, finding.severity, key=order.index)
        return {name: severity for name, severity in worst.items() if severity != "info"}

    def evidence(self, rule: str) -> str:
        return " | ".join(f"{f.location}: {f.evidence}" for f in self.findings if f.id == f"gguf/{rule}")


Look = Callable[..., Seen]


def seen_in(data: bytes, path: Path) -> Seen:
    """Write bytes to a file and apply the rules."""
    path.write_bytes(data)
    with LocalBytes(path, path.name) as source:
        walk = walk_gguf(source)
        subject = GgufSubject(source, walk, lay_out(walk), Case())
        return Seen(subject, BOOK.findings(subject))
