"""What is fixed before anything is asked: checkpoints, suites, policy, judge, template, engines."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from qaudit import __version__
from qaudit.auditing.arm_engine import SERVED, Seats, require_engines, seat_both
from qaudit.auditing.comparability import require_comparable
from qaudit.auditing.defaults import default_suites
from qaudit.auditing.events import Arm, Event, Fetching
from qaudit.auditing.options import AuditOptions
from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.hf_repo import read_chat_template
from qaudit.checkpoints.hub_spec import hub_text, parse_hub_spec
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
Tell = Callable[[Event], None]


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


def prepare(
    candidate: str | Path, reference: str | Path, options: AuditOptions, tell: Tell | None = None
) -> Case:
    """Open both checkpoints and everything that the audit rests on.

    Args:
        candidate: what is audited; `hf://` is fetched, and so for the reference.
        reference: what it is compared with.
        options: everything else.
        tell: called with what a download has brought.

    Raises:
        InputError: files, suites or policy are unusable or cannot be compared.
        EnvironmentProblem: an extra is missing, a hub cannot be reached, or the folder cannot be made.
    """
    # everything that can be refused cheaply is refused before anything is fetched or a model is loaded
    policy = load_policy(find_policy(options.policy))
    calibration = load_calibration(options.calibration) if options.calibration else PUBLISHED
    judge = load_judge(options.engine.judge or "rules")
    suites = _load_suites(options.suites, options.limit)
    template = _read_template(options.chat_template) if options.chat_template else None
    here = {"reference": _open_here(reference), "candidate": _open_here(candidate)}
    require_engines(
        _format(reference, here["reference"]), _format(candidate, here["candidate"]), str(reference)
    )
    if options.out and None in here.values():
        make_folder(options.out)
    opened_reference = here["reference"] or _fetched(
        reference, "reference", tell, needs_template=template is None
    )
    if template is None:
        template = _template(opened_reference)
    suites = suites or _load_suites(default_suites(opened_reference), options.limit)
    # the candidate's download comes last, for what is wrong with the reference alone is known by now
    opened_candidate = here["candidate"] or _fetched(candidate, "candidate", tell)
    seats = seat_both(opened_reference, opened_candidate)
    require_comparable(opened_reference, opened_candidate)
    config = opened_reference.config if isinstance(opened_reference, HfCheckpoint) else {}
    if options.out:
        make_folder(options.out)
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


def _open_here(spec: str | Path) -> Checkpoint | None:
    """Open what needs no download; None for what does, whose address is checked at least."""
    if is_served(str(spec)):
        return ServedModel(str(spec))
    if text := hub_text(spec):
        parse_hub_spec(text)
        return None
    return open_checkpoint(spec)


def _format(spec: str | Path, opened: Checkpoint | None) -> str:
    if opened:
        return opened.format
    # a hub gives a folder, but where a file is named
    return "gguf" if str(spec).endswith(".gguf") else "safetensors"


def _fetched(spec: str | Path, arm: Arm, tell: Tell | None, *, needs_template: bool = False) -> Checkpoint:
    """Open a checkpoint on a hub; where its template is needed, one without is refused before its weights."""
    name = hub_text(spec) or str(spec)

    def told(done: int, total: int) -> None:
        if tell:
            tell(Fetching(arm, name, done, total))

    def look(folder: Path) -> None:
        if needs_template and not read_chat_template(folder):
            raise _templateless(name)

    return open_checkpoint(spec, progress=told, before_weights=look)


def _load_suites(names: Sequence[str], limit: int | None) -> tuple[Suite, ...]:
    suites = [load_suite(name) for name in names]
    seen: set[str] = set()
    for suite in suites:
        if suite.name in seen:
            raise SuiteError(f"suite {suite.name!r} is given twice; give each once")
        seen.add(suite.name)
    return tuple(first_items(suite, limit) for suite in suites) if limit is not None else tuple(suites)


def _read_template(given: Path) -> str:
    return read_bounded(given, MAX_TEMPLATE_BYTES).decode("utf-8", errors="replace")


def _template(reference: Checkpoint) -> str:
    if reference.format == SERVED:
        return ""  # its server applies one that nobody is shown
    if not reference.chat_template:
        raise _templateless(str(reference.path))
    return reference.chat_template


def _templateless(shown: str) -> InputError:
    return InputError(f"{shown}: carries no chat template; give one with --chat-template FILE")


def _known_as(checkpoint: Checkpoint) -> list[str]:
    # a served model has no bytes: its address is all that tells it from another
    address = [checkpoint.info.path] if isinstance(checkpoint, ServedModel) else []
    return [checkpoint.info.sha256, *address]
