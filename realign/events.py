"""What happens during a realignment, as typed values: the CLI and its progress bar listen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qaudit.values import CheckpointInfo
from realign.plan import Plan

Arm = Literal["plain", "realigned"]


@dataclass(frozen=True, slots=True)
class Opened:
    """All checkpoints are parsed, hashed and one model."""

    checkpoint: CheckpointInfo
    reference: CheckpointInfo
    parent: CheckpointInfo | None


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """Why the checkpoint fails, which method that asks for, and what the result is made of."""

    method: str
    why: str
    parent: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What will be done."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Resumed:
    """So many steps of an arm were there already."""

    arm: Arm
    steps: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step of an arm is done and durable."""

    arm: Arm
    number: int
    total: int
    name: str
    losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Written:
    """A checkpoint is written, read again and found to be what was meant."""

    arm: Arm
    path: Path
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the reader should know; it is in `realign.json` too."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """All is done; `record` is `realign.json` as it was written."""

    path: Path
    plain: Path | None
    record_path: Path
    record: Mapping[str, Any]


Event = Opened | Diagnosed | Planned | Resumed | Stepped | Written | Noted | Finished
