"""What is fixed before anything is asked: checkpoints, suites, policy, judge, template, engines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from qaudit import __version__
from qaudit.auditing.arm_engine import Seats, seat_both
from qaudit.auditing.comparability import require_comparable
from qaudit.auditing.defaults import default_suites
from qaudit.auditing.options import AuditOptions
from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.served import ServedModel, is_served
from qaudit.engines.devices import settle
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import InputError, SuiteError
from qaudit.files import make_folder, read_bounded, sha256_bytes
from qaudit.judges.judging import Judge, load_judge
from qaudit.metrics.rtsi import PUBLISHED, Calibration, load_calibration
from qaudit.policy.schema import Policy, find_policy, load_policy
from qaudit.probes.refusal import first_items
from qaudit.suites.loading import load_suite
from qaudit.values import Settings, Suite

MAX_TEMPLATE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Case:
    """An audit that can begin; nothing in it changes any more."""

    reference: Checkpoint
    candidate: Checkpoint
    template: str
    suites: tuple[Suite, ...]
    policy: Policy
    judge: Judge
    calibration: Calibration
    options: AuditOptions
    engine: EngineOptions
    seats: Seats

    @property
    def key(self) -> str:
        """Digest of everything that the answers depend on."""
        parts = {
            "tool": __version__,
            "reference": _known_as(self.reference),
            "candidate": _known_as(self.candidate),
            "template": self.template,
            "suites": [[s.name, s.sha256, [i.id for i in s.items]] for s in self.suites],
            "judge": [self.judge.name, self.judge.sha256],
            "engine": asdict(self.engine),
            "seats": [[self.seats.reference.engine, self.seats.candidate.engine]],
            "max_tokens": self.options.max_tokens,
            "batch": self.options.batch,
        }
        return sha256_bytes(json.dumps(parts, sort_keys=True).encode())

    @property
    def settings(self) -> Settings:
        """What the answers depend on, for the report."""
        engine = self.engine
        return Settings(
            template_source="file" if self.options.chat_template else "reference",
            template_sha256=sha256_bytes(self.template.encode(errors="surrogatepass")),
            max_tokens=self.options.max_tokens,
            context=engine.context_per_sequence,
            parallel=engine.parallel,
            batch=self.options.batch,
            gpu_layers=engine.gpu_layers or 0,
            calibration_sha256=self.calibration.sha256,
            compute=f"{engine.device} {engine.dtype}, kernels {engine.kernels}",
        )


def prepare(candidate: str | Path, reference: str | Path, options: AuditOptions) -> Case:
    """Open both checkpoints and everything that the audit rests on.

    Raises:
        InputError: files, suites or policy are unusable or cannot be compared.
        EnvironmentProblem: an extra is missing, or the folder cannot be made.
    """
    # everything that can be refused cheaply is refused before a model is loaded
    policy = load_policy(find_policy(options.policy))
    calibration = load_calibration(options.calibration) if options.calibration else PUBLISHED
    judge = load_judge(options.engine.judge or "rules")
    opened_reference, opened_candidate = _open(reference), _open(candidate)
    seats = seat_both(opened_reference, opened_candidate)
    require_comparable(opened_reference, opened_candidate)
    config = opened_reference.config if isinstance(opened_reference, HfCheckpoint) else {}
    suites = _load_suites(options.suites or default_suites(opened_reference), options.limit)
    if options.out:
        make_folder(options.out)
    template = _template(opened_reference, options.chat_template)
    return Case(
        opened_reference,
        opened_candidate,
        template,
        suites,
        policy,
        judge,
        calibration,
        options,
        settle(options.engine, config),
        seats,
    )


def _open(spec: str | Path) -> Checkpoint:
    return ServedModel(str(spec)) if is_served(str(spec)) else open_checkpoint(spec)


def _load_suites(names: Sequence[str], limit: int | None) -> tuple[Suite, ...]:
    suites = [load_suite(name) for name in names]
    seen: set[str] = set()
    for suite in suites:
        if suite.name in seen:
            raise SuiteError(f"suite {suite.name!r} is given twice; give each once")
        seen.add(suite.name)
    return tuple(first_items(suite, limit) for suite in suites) if limit is not None else tuple(suites)


def _template(reference: Checkpoint, given: Path | None) -> str:
    if given:
        return read_bounded(given, MAX_TEMPLATE_BYTES).decode("utf-8", errors="replace")
    if isinstance(reference, ServedModel):
        return ""  # its server applies one that nobody is shown
    if not reference.chat_template:
        raise InputError(f"{reference.path}: carries no chat template; give one with --chat-template FILE")
    return reference.chat_template


def _known_as(checkpoint: Checkpoint) -> list[str]:
    # a served model has no bytes: its address is all that tells it from another
    address = [checkpoint.info.path] if isinstance(checkpoint, ServedModel) else []
    return [checkpoint.info.sha256, *address]
