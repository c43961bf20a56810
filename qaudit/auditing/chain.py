"""The whole chain for one checkpoint: open, compare, ask both arms, measure, judge by policy, report.

This is the one file that knows every room. It yields typed events and keeps nothing but the
journal; whoever listens decides what to show.
"""

import json
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from qaudit import __version__
from qaudit.auditing.arm import ArmPlan, render_prompts, require_answers, run_arm
from qaudit.auditing.comparability import compare_templates, require_comparable
from qaudit.auditing.defaults import default_limits, default_suites
from qaudit.auditing.events import ARMS, Arm, Event, Finished, Loaded, Noted, Opened
from qaudit.auditing.measure import judge_replies, measure
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.outputs import remove_outputs, responses, write_outputs
from qaudit.auditing.reply_findings import crash_findings
from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines.protocol import EngineOptions
from qaudit.engines.worker import WorkerEngine, require_llamacpp
from qaudit.errors import InputError, SuiteError
from qaudit.files import make_folder, read_bounded, sha256_bytes
from qaudit.journal import Journal
from qaudit.judges.judging import Judge, load_judge
from qaudit.metrics.rtsi import PUBLISHED, Calibration, load_calibration
from qaudit.policy.evaluation import evaluate
from qaudit.policy.schema import Policy, find_policy, load_policy
from qaudit.probes.refusal import first_items
from qaudit.suites.loading import load_suite
from qaudit.values import EngineInfo, JudgeRef, Report, Settings, Suite, SuiteRef, ToolRef

MAX_TEMPLATE_BYTES = 1 << 20
JOURNAL = "journal.sqlite"


@dataclass(frozen=True, slots=True)
class _Case:
    """What is fixed before anything is asked."""

    reference: Checkpoint
    candidate: Checkpoint
    template: str
    suites: tuple[Suite, ...]
    policy: Policy
    judge: Judge
    calibration: Calibration
    options: AuditOptions

    def checkpoint(self, arm: Arm) -> Checkpoint:
        return self.reference if arm == "reference" else self.candidate

    @property
    def key(self) -> str:
        """Digest of everything that the answers depend on."""
        parts = {
            "tool": __version__,
            "reference": self.reference.info.sha256,
            "candidate": self.candidate.info.sha256,
            "template": self.template,
            "suites": [[s.name, s.sha256, [i.id for i in s.items]] for s in self.suites],
            "judge": [self.judge.name, self.judge.sha256],
            "engine": asdict(self.options.engine),
            "max_tokens": self.options.max_tokens,
            "batch": self.options.batch,
        }
        return sha256_bytes(json.dumps(parts, sort_keys=True).encode())


def run_audit(candidate: str | Path, reference: str | Path, options: AuditOptions) -> Iterator[Event]:
    """Audit a candidate against its reference; the last event is Finished.

    Raises:
        InputError: files, suites or policy are unusable or cannot be compared.
        EnvironmentProblem: an extra is missing, the engine fails, or the outputs cannot be written.
    """
    started = time.monotonic()
    require_llamacpp()
    case = _prepare(candidate, reference, options)
    yield Opened(case.reference.info, case.candidate.info, tuple(s.name for s in case.suites))
    with ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(TemporaryDirectory(prefix="qaudit-")))
        make_folder(folder)
        journal = Journal(folder / JOURNAL, case.key, resume=options.resume)
        stack.callback(journal.close)
        # the report of an earlier audit must not stand there for one that fails now
        remove_outputs(folder)
        engine, notes = yield from _ask_both(case, journal)
        report, text = _conclude(case, journal, engine, notes, started)
        if options.out:
            write_outputs(options.out, report, text)
        yield Finished(report, options.out)


def audit(
    checkpoint: str | Path,
    reference: str | Path,
    suites: Sequence[str] = (),
    policy: str | None = None,
    engine: EngineOptions | None = None,
    options: AuditOptions | None = None,
) -> Report:
    """Audit a checkpoint and return the report; the same thing as `qaudit audit`.

    Args:
        checkpoint: the candidate.
        reference: the model that it was made from, at 8 bits per weight or more.
        suites: names of shipped suites or folders; empty for those of `options`, or the default set.
        policy: name of a shipped policy or a file; None for that of `options`, or "default".
        engine: threads, parallel sequences, context and GPU layers; None for those of `options`.
        options: everything else that can be chosen.

    Raises:
        QauditError: see `run_audit`.
    """
    chosen = options or AuditOptions()
    chosen = replace(
        chosen,
        suites=tuple(suites) or chosen.suites,
        policy=policy or chosen.policy,
        engine=engine or chosen.engine,
    )
    for event in run_audit(checkpoint, reference, chosen):
        if isinstance(event, Finished):
            return event.report
    raise InputError(f"{checkpoint}: the audit ended without a report; please report this as a bug")


def _prepare(candidate: str | Path, reference: str | Path, options: AuditOptions) -> _Case:
    # everything that can be refused cheaply is refused before a model is loaded
    policy = load_policy(find_policy(options.policy))
    calibration = load_calibration(options.calibration) if options.calibration else PUBLISHED
    judge = load_judge(options.engine.judge or "rules")
    opened_reference, opened_candidate = open_checkpoint(reference), open_checkpoint(candidate)
    for opened in (opened_reference, opened_candidate):
        if opened.format != "gguf":
            raise InputError(f"{opened.path}: audits run on GGUF files so far; convert it to GGUF")
    require_comparable(opened_reference, opened_candidate)
    suites = _load_suites(options.suites or default_suites(opened_reference), options.limit)
    if options.out:
        make_folder(options.out)
    template = _template(opened_reference, options.chat_template)
    return _Case(opened_reference, opened_candidate, template, suites, policy, judge, calibration, options)


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
    if not reference.chat_template:
        raise InputError(f"{reference.path}: carries no chat template; give one with --chat-template FILE")
    return reference.chat_template


def _ask_both(case: _Case, journal: Journal) -> Generator[Event, None, tuple[EngineInfo, tuple[str, ...]]]:
    """Ask the reference, then the candidate, each in a worker of its own that ends before the next starts."""
    notes: list[str] = []
    plan = ArmPlan(case.suites, case.template, case.options.max_tokens, case.options.batch)
    info: EngineInfo | None = None
    for arm in ARMS:
        checkpoint = case.checkpoint(arm)
        limits = case.options.limits or default_limits(checkpoint, case.options)
        engine = WorkerEngine(checkpoint.path, case.options.engine, limits, case.reference.special_tokens)
        try:
            info = engine.info
            yield Loaded(arm, f"{info.name} ({info.version})", tuple(engine.held))
            if arm == "reference":
                for text in render_prompts(engine, journal, plan):
                    notes.append(text)
                    yield Noted(text)
            yield from run_arm(engine, arm, journal, plan)
            require_answers(journal, arm)
        finally:
            engine.close()
        # the engine opened the file by its name: it must still be the one that was hashed
        checkpoint.require_unchanged()
    if info is None:
        raise InputError("nothing was asked; please report this as a bug")
    return info, tuple(notes)


def _conclude(
    case: _Case, journal: Journal, engine: EngineInfo, notes: tuple[str, ...], started: float
) -> tuple[Report, str]:
    judged = judge_replies(journal, case.suites, case.judge)
    metrics, regime = measure(journal, case.suites, judged, case.calibration)
    findings = (*compare_templates(case.template, case.candidate), *crash_findings(journal))
    verdict = evaluate(case.policy, metrics, findings, regime)
    text, evidence = responses(case.suites, judged)
    report = Report(
        tool=ToolRef("qaudit", __version__),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=round(time.monotonic() - started, 3),
        seed=case.options.seed,
        checkpoint=case.candidate.info,
        reference=case.reference.info,
        engine=engine,
        suites=tuple(SuiteRef(s.name, s.version, s.sha256, len(s.items)) for s in case.suites),
        judge=JudgeRef(case.judge.name, case.judge.version, case.judge.sha256),
        verdict=verdict,
        metrics=metrics,
        findings=findings,
        evidence=evidence,
        notes=notes,
        settings=_settings(case),
    )
    return report, text


def _settings(case: _Case) -> Settings:
    engine = case.options.engine
    return Settings(
        template_source="file" if case.options.chat_template else "reference",
        template_sha256=sha256_bytes(case.template.encode(errors="surrogatepass")),
        max_tokens=case.options.max_tokens,
        context=engine.context_per_sequence,
        parallel=engine.parallel,
        batch=case.options.batch,
        gpu_layers=engine.gpu_layers,
        calibration_sha256=case.calibration.sha256,
    )
