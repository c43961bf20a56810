"""The values that a static look makes: findings, surfaces, and the inspection that holds them.

`qaudit.values` has them too. They stand apart so that `qaudit inspect`, whose start people wait for, need
not make the classes of everything that an audit measures.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Status = Literal["pass", "fail", "inconclusive"]
# how far a part was looked at
State = Literal["examined", "partial", "skipped", "absent"]


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file of a checkpoint: path relative to the checkpoint, size in bytes, SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ToolRef:
    """The program that wrote a report."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a checkpoint that a person should know."""

    id: str
    severity: Severity
    title: str
    location: str
    evidence: str
    remedy: str
    references: tuple[str, ...] = ()


# the weights' values are for --deep, version control and the like are for nobody who loads a model
OPTIONAL_SURFACES = frozenset({"weights", "bookkeeping"})


@dataclass(frozen=True, slots=True)
class Surface:
    """One part of a download and how far static rules looked at it.

    `state` is `examined` (all of it that its rules need), `partial` (headers only, a sample, or up to a
    limit), `skipped` (not looked at) or `absent` (other files ask for it and it is not there); `why` says
    the reason of anything but `examined`.
    """

    path: str
    kind: str
    state: State
    why: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it leaves a question open that the default look should answer: then nothing passes."""
        return self.state != "examined" and self.kind not in OPTIONAL_SURFACES


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `qaudit inspect` found in one target (schema qaudit/inspection/v1).

    `target` is what was named, with the commit for a hub; `status` is `fail` where a finding reaches
    `fail_on`, `inconclusive` where none does but a part that could hold one was not examined, else `pass`.
    """

    tool: ToolRef
    created: str
    duration_s: float
    target: str
    status: Status
    fail_on: Severity
    findings: tuple[Finding, ...]
    surfaces: tuple[Surface, ...]
    files: tuple[FileDigest, ...] = ()
    reference: str | None = None
    facts: dict[str, str] = field(default_factory=dict, hash=False)
    schema: Literal["qaudit/inspection/v1"] = "qaudit/inspection/v1"
