"""What happens during an audit, as typed values: the CLI, progress bars and the pytest plugin listen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qaudit.values import CheckpointInfo, Finding, Report

Arm = Literal["reference", "candidate"]
ARMS: tuple[Arm, ...] = ("reference", "candidate")
Stage = Literal["replies", "after_reasoning", "choices", "passages"]


@dataclass(frozen=True, slots=True)
class Fetching:
    """`done` of `total` bytes of a checkpoint are here; told before the first comes and after the last.

    `total` grows once where an index must be read before the weights are known. `name` is the reference
    into a hub, as it was given.
    """

    arm: Arm
    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Both files are parsed, hashed and comparable."""

    reference: CheckpointInfo
    candidate: CheckpointInfo
    suites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """The candidate's files were looked at by the static rules, before any engine opens them."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine holds one arm; `held` names the measures that confine its process."""

    arm: Arm
    engine: str
    held: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """`done` of `total` prompts of a stage are answered (and, after a batch, durable)."""

    arm: Arm
    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the reader of the report should know; it is in the report too."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The report is written under `folder` (None when nothing was to be written)."""

    report: Report
    folder: Path | None


Event = Fetching | Opened | Inspected | Loaded | Asked | Noted | Finished
