"""The whole chain for one checkpoint: open, compare, ask both arms, measure, judge by policy, report.

This is the one file that knows every room. It yields typed events and keeps nothing but the
journal; whoever listens decides what to show.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from qaudit import __version__
from qaudit.auditing.arm import ArmPlan, render_prompts, require_answers, run_arm
from qaudit.auditing.arm_engine import Seat, open_seat
from qaudit.auditing.case import Case, prepare
from qaudit.auditing.comparability import compare_templates, compare_tokenizers
from qaudit.auditing.events import Arm, Event, Finished, Inspected, Loaded, Noted, Opened
from qaudit.auditing.measure import judge_replies, measure
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.outputs import remove_outputs, responses, write_outputs
from qaudit.auditing.reference_arm import Answered, answered_alike, kept_reference
from qaudit.auditing.reply_findings import crash_findings
from qaudit.auditing.static_look import look_at_files
from qaudit.auditing.telling import telling
from qaudit.checkpoints.hub_spec import hub_text
from qaudit.engines.protocol import Engine, EngineOptions
from qaudit.errors import InputError
from qaudit.files import make_folder
from qaudit.journal import Journal
from qaudit.policy.evaluation import evaluate
from qaudit.values import EngineInfo, Finding, JudgeRef, Report, SuiteRef, ToolRef

JOURNAL = "journal.sqlite"
SERVED_BATCHES = 16


def run_audit(candidate: str | Path, reference: str | Path, options: AuditOptions) -> Iterator[Event]:
    """Audit a candidate against its reference; the last event is Finished.

    Raises:
        InputError: files, suites or policy are unusable or cannot be compared.
        EnvironmentProblem: an extra is missing, the engine fails, or the outputs cannot be written.
    """
    started = time.monotonic()
    case = yield from _prepared(candidate, reference, options)
    yield Opened(case.reference.info, case.candidate.info, tuple(s.name for s in case.suites))
    with ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(TemporaryDirectory(prefix="qaudit-")))
        make_folder(folder)
        journal = Journal(folder / JOURNAL, case.key, resume=options.resume)
        stack.callback(journal.close)
        # the report of an earlier audit must not stand there for one that fails now
        remove_outputs(folder)
        seen, unseen = look_at_files(case.candidate, case.reference)
        yield Inspected(seen)
        for note in unseen:
            yield Noted(note)
        engine, notes = yield from _ask_both(case, journal)
        report, text = _conclude(case, journal, engine, (*unseen, *notes), started, seen)
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


def _prepared(
    candidate: str | Path, reference: str | Path, options: AuditOptions
) -> Generator[Event, None, Case]:
    if not (hub_text(candidate) or hub_text(reference)):
        return prepare(candidate, reference, options)
    return (yield from telling(partial(prepare, candidate, reference, options)))


def _ask_both(case: Case, journal: Journal) -> Generator[Event, None, tuple[EngineInfo, tuple[str, ...]]]:
    """Ask the reference, then the candidate, each in a worker of its own that ends before the next starts."""
    for text in case.seats.notes:
        yield Noted(text)
    kept = kept_reference(case)
    reference = kept.take(journal) if kept else None
    opened: Engine | None = None
    if reference:
        for text in reference.notes:
            yield Noted(text)
        # what a build uses of this machine is known once it holds a checkpoint
        opened = _open(case, "candidate")
        if not answered_alike(reference.engine, opened.info):
            opened.close()
            journal.forget("reference")
            reference = opened = None
    if reference is None:
        reference = yield from _ask(case, journal, "reference", _open(case, "reference"))
        if kept:
            kept.give(journal, reference)
    candidate = yield from _ask(case, journal, "candidate", opened or _open(case, "candidate"))
    return candidate.engine, (*case.seats.notes, *reference.notes, *candidate.notes)


def _open(case: Case, arm: Arm) -> Engine:
    return open_seat(case.seats.of(arm), case.reference.special_tokens, case.options, case.engine)


def _ask(case: Case, journal: Journal, arm: Arm, engine: Engine) -> Generator[Event, None, Answered]:
    """Ask one arm everything; its engine is closed when this ends."""
    seat = case.seats.of(arm)
    notes: list[str] = []
    try:
        yield Loaded(arm, f"{engine.info.name} ({engine.info.version})", tuple(engine.held))
        if arm == "reference":
            notes += render_prompts(engine, journal, _plan(case, seat))
        yield from run_arm(engine, arm, journal, _plan(case, seat))
        require_answers(journal, arm)
        notes += engine.notes
        for text in notes:
            yield Noted(text)
        answered = Answered(engine.info, tuple(notes))
    finally:
        engine.close()
    # the engine opened the file by its name: it must still be the one that was hashed
    seat.checkpoint.require_unchanged()
    return answered


def _plan(case: Case, seat: Seat) -> ArmPlan:
    batch = case.options.batch
    if seat.engine is None:
        # a server runs dry at the end of each batch
        batch = max(batch, SERVED_BATCHES * case.options.served.concurrency)
    return ArmPlan(case.suites, case.template, case.options.max_tokens, batch)


def _conclude(
    case: Case,
    journal: Journal,
    engine: EngineInfo,
    notes: tuple[str, ...],
    started: float,
    seen: tuple[Finding, ...],
) -> tuple[Report, str]:
    judged = judge_replies(journal, case.suites, case.judge)
    metrics, regime = measure(journal, case.suites, judged, case.calibration)
    findings = (
        *compare_templates(case.template, case.candidate),
        *compare_tokenizers(case.reference, case.candidate),
        *crash_findings(journal),
        *seen,
    )
    suites = tuple(SuiteRef(s.name, s.version, s.sha256, len(s.items)) for s in case.suites)
    verdict = evaluate(case.policy, metrics, findings, regime, suites=suites)
    text, evidence = responses(case.suites, judged)
    report = Report(
        tool=ToolRef("qaudit", __version__),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=round(time.monotonic() - started, 3),
        seed=case.options.seed,
        checkpoint=case.candidate.info,
        reference=case.reference.info,
        engine=engine,
        suites=suites,
        judge=JudgeRef(case.judge.name, case.judge.version, case.judge.sha256),
        verdict=verdict,
        metrics=metrics,
        findings=findings,
        evidence=evidence,
        notes=notes,
        settings=case.settings,
    )
    return report, text
