"""What can be chosen about an audit besides its two checkpoints."""

from dataclasses import dataclass, field
from pathlib import Path

from qaudit.confinement import Limits
from qaudit.engines.protocol import EngineOptions, ServedOptions
from qaudit.processors import available_threads


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How to audit.

    Attributes:
        suites: names of shipped suites or folders; empty for the default set.
        policy: name of a shipped policy or a file.
        out: folder to write to; None keeps the report in memory only.
        resume: go on with the journal in `out`.
        limit: at most so many items of each suite, spread over its categories.
        max_tokens: longest reply.
        batch: prompts that are answered and stored together.
        engine: threads, parallel sequences, context, where to compute and judge.
        served: how to ask a served model.
        limits: bounds of the worker; None sets them from the files' sizes.
        chat_template: file with a template for both arms in place of the reference's.
        calibration: RTSI calibration file; None for the published one.
        seed: recorded; greedy decoding draws nothing.
        references: folder in which the answers of references are kept and looked for; None asks anew.
    """

    suites: tuple[str, ...] = ()
    policy: str = "default"
    out: Path | None = None
    resume: bool = False
    limit: int | None = None
    max_tokens: int = 256
    batch: int = 64
    engine: EngineOptions = field(default_factory=lambda: EngineOptions(threads=available_threads()))
    served: ServedOptions = field(default_factory=ServedOptions)
    limits: Limits | None = None
    chat_template: Path | None = None
    calibration: Path | None = None
    seed: int = 0
    references: Path | None = None
